"""Force fields by name: the embedded potential, foundation models, any calculator of ASE."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import inspect
import io
import math
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from importlib import metadata
from itertools import accumulate
from pathlib import Path
from types import ModuleType
from typing import Any

from mdbench.errors import InputError, suggest
from mdbench.plugins import Offers, offers
from mdbench.potentials.ase_force_field import AseForceField
from mdbench.potentials.base import ForceField

_EXTRA = "install it: pip install 'mdbench[potentials]'"
_WORDS: dict[str, Any] = {"true": True, "false": False, "none": None}


def force_field(name: str, arguments: Mapping[str, str] | None = None) -> ForceField:
    """The force field of that name.

    Args:
        name: One of `NAMES`, or of another package (`GROUP`); or MODULE:FACTORY, a function or
            class that returns a calculator of ASE, of a module in the current folder or the
            environment.
        arguments: Of the potential or factory, as text: numbers, true, false and none are
            recognized, unless the parameter is a text by its annotation or default.

    Raises:
        InputError: An unknown name, module or factory, arguments that it does not take, or a
            package that is not installed.
    """
    texts = dict(arguments or {})
    if ":" in name:
        return _custom(name, texts)
    if name not in _MAKERS:
        others = outside_calculators()
        if (plugin := others.find(name)) is not None and plugin.name == name:
            factory, origin = plugin.load(f"calculator {name}"), plugin.origin
            return _made_by(name, factory, texts, lambda: origin)
        known = (*NAMES, *others.names)
        raise InputError(
            f"calculator {name!r}",
            expected=f"one of {', '.join(known)}, or MODULE:FACTORY as in ase.calculators.emt:EMT",
            remedy=suggest(name.lower(), known),
        )
    maker = _MAKERS[name]
    return maker(**_values(name, maker, texts))


def _refpot(skin: Any = 1.0, device: str = "") -> ForceField:
    """The embedded reference: machine code, or torch where a device is named."""
    if not isinstance(skin, int | float) or not 0.0 <= skin < math.inf:
        raise InputError("calculator refpot: skin", expected="A, zero or more", found=skin)
    if not device:
        from mdbench.potentials.refpot import RefPot

        return RefPot(skin=float(skin))
    from mdbench.potentials.refpot_torch import RefPotTorch

    _check_device(device)
    return RefPotTorch(skin=float(skin), device=device)  # type: ignore[return-value]


def _chgnet(model: str = "0.3.0", device: str = "") -> ForceField:
    """CHGNet: B. Deng et al., Nat. Mach. Intell. 2023, 5, 1031, doi:10.1038/s42256-023-00716-3."""
    dynamics, version = _package("chgnet", "chgnet.model.dynamics", _EXTRA)
    _check_device(device)

    def make() -> Any:
        with _quiet():
            network = dynamics.CHGNet.load(model_name=model, verbose=False, use_device="cpu")
            return dynamics.CHGNetCalculator(network, use_device=device or None)

    return AseForceField(make, f"CHGNet {version}, model {model}", shared=True)


def _sevennet(model: str = "7net-0", device: str = "", modal: str = "") -> ForceField:
    """SevenNet: Y. Park et al., J. Chem. Theory Comput. 2024, doi:10.1021/acs.jctc.4c00190."""
    calculator, version = _package("sevenn", "sevenn.calculator", _EXTRA)
    _check_device(device)

    def make() -> Any:
        with _quiet():
            chosen = device or "auto"
            return calculator.SevenNetCalculator(model, device=chosen, modal=modal or None)

    label = f"SevenNet {version}, model {model}{f' ({modal})' if modal else ''}"
    return AseForceField(make, label, shared=True)


def _mace(model: str = "", device: str = "", dtype: str = "float64") -> ForceField:
    """MACE: I. Batatia et al., NeurIPS 2022, arXiv:2206.07697."""
    own = "it needs an environment of its own: pip install mace-torch mdbench there"
    calculators, version = _package("mace-torch", "mace.calculators", own)
    if not Path(model).is_file():
        raise InputError(
            "mace: model", expected="the file of a model, as model=FILE", found=model or "none"
        )
    _check_device(device)
    digest = hashlib.sha256(Path(model).read_bytes()).hexdigest()[:8]

    def make() -> Any:
        return calculators.MACECalculator(
            model_paths=model, device=device or _best_device(), default_dtype=dtype
        )

    return AseForceField(make, f"MACE {version}, model {Path(model).name} {digest}", shared=True)


_MAKERS: dict[str, Callable[..., ForceField]] = {
    "refpot": _refpot,
    "chgnet": _chgnet,
    "sevennet": _sevennet,
    "mace": _mace,
}
#: Force fields that have a name.
NAMES = tuple(_MAKERS)
#: Entry points by which other packages add theirs, as `my-potential = my_package:make`: what
#: returns a calculator of ASE.
GROUP = "mdbench.calculators"


def outside_calculators() -> Offers:
    """The calculators of other installed packages, which are not imported."""
    return offers(GROUP, NAMES)


def _custom(name: str, texts: dict[str, str]) -> ForceField:
    """MODULE:FACTORY; each system gets a calculator of its own."""
    module_name, _, attribute = name.partition(":")
    module = _module(name, module_name)
    found: Any = module
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise InputError(
                f"calculator {name}: {module_name} has no {attribute or 'empty name'}",
                where=getattr(module, "__file__", None),
                remedy=suggest(part, [n for n in vars(found) if not n.startswith("_")])
                if hasattr(found, "__dict__")
                else None,
            )
        found = getattr(found, part)
    return _made_by(name, found, texts, lambda: _origin(module))


def _made_by(
    name: str, factory: Any, texts: dict[str, str], origin: Callable[[], str]
) -> ForceField:
    """The force field of a function or class that returns a calculator."""
    if not callable(factory):
        raise InputError(
            f"calculator {name}",
            expected="a function or class that returns a calculator of ASE",
            found=type(factory).__name__,
        )
    values = _values(name, factory, texts)
    given = ", ".join(f"{key}={value!r}" for key, value in sorted(values.items()))
    return AseForceField(lambda: factory(**values), f"{name}({given}), {origin()}")


def _module(name: str, module_name: str) -> ModuleType:
    folder = str(Path.cwd())
    if not {folder, ""} & set(sys.path):
        sys.path.insert(0, folder)  # as `python -m` does
    importlib.invalidate_caches()
    try:
        return importlib.import_module(module_name)
    except (Exception, SystemExit) as error:
        wanted = list(accumulate(module_name.split("."), "{}.{}".format))
        if not module_name or (isinstance(error, ModuleNotFoundError) and error.name in wanted):
            raise InputError(
                f"calculator {name}: no module {module_name or '(empty name)'}",
                where=folder,
                remedy="give MODULE:FACTORY of a module here or in the environment",
            ) from error
        raise InputError(
            f"calculator {name}: importing {module_name} failed",
            found=f"{type(error).__name__}: {error}",
        ) from error


def _origin(module: ModuleType) -> str:
    """Package and version of a module, or the hash of its file."""
    top = module.__name__.partition(".")[0]
    packages = metadata.packages_distributions().get(top)
    if packages:
        return f"{packages[0]} {metadata.version(packages[0])}"
    file = getattr(module, "__file__", None)
    if file is None:
        return "built in"
    return f"{Path(file).name} {hashlib.sha256(Path(file).read_bytes()).hexdigest()[:8]}"


def _package(package: str, module: str, remedy: str) -> tuple[Any, str]:
    """A module of a package that may be missing, and the package's version."""
    try:
        return importlib.import_module(module), metadata.version(package)
    except Exception as error:
        absent = isinstance(error, ModuleNotFoundError) and module.startswith(error.name or "-")
        found = None if absent else f"{type(error).__name__}: {error}"
        what = f"{package} is not installed" if absent else f"{package} cannot be imported"
        raise InputError(what, found=found, remedy=remedy) from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what packages print and warn of when they load a model."""
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _check_device(device: str) -> None:
    """Refuses a device that torch does not find here."""
    if not device:
        return
    import torch

    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(
            f"device {device!r}", found=str(error).partition("\n")[0], remedy="cpu always works"
        ) from error


def _best_device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _values(name: str, factory: Callable[..., Any], texts: dict[str, str]) -> dict[str, Any]:
    """Arguments as the factory takes them."""
    try:
        parameters = dict(inspect.signature(factory).parameters)
    except ValueError:  # compiled, without a signature
        return {key: parsed(text) for key, text in texts.items()}
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    usable = [
        k for k, p in parameters.items() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
    ]
    for key in texts:
        if key not in usable and not takes_any:
            raise InputError(
                f"calculator {name}: argument {key!r}",
                expected=f"one of {', '.join(usable)}" if usable else "no arguments",
                remedy=suggest(key, usable) if usable else None,
            )
    missing = [
        k for k in usable if parameters[k].default is inspect.Parameter.empty and k not in texts
    ]
    if missing:
        raise InputError(
            f"calculator {name}", expected=f"a value of {', '.join(missing)}", found="none"
        )
    return {
        key: text if key in parameters and _is_text(parameters[key]) else parsed(text)
        for key, text in texts.items()
    }


def _is_text(parameter: inspect.Parameter) -> bool:
    return parameter.annotation in (str, "str") or isinstance(parameter.default, str)


def parsed(text: str) -> Any:
    """The number, true, false or none that a text stands for, or else the text itself."""
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            if "_" not in text:
                return kind(text)
    return text
