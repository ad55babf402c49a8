"""What `--model` and `--calculator` name, for every stage that asks a force field."""

from __future__ import annotations

from dataclasses import dataclass
from glob import escape
from pathlib import Path
from typing import Any

from mdbench.errors import InputError
from mdbench.models import create, is_model, package_of, parse_name
from mdbench.potentials.base import ForceField
from mdbench.potentials.calculators import force_field
from mdbench.stages.dynamics import arguments
from mdbench.stages.outputs import current_run
from mdbench.store import Input, input_of


@dataclass(frozen=True)
class Resolved:
    """A force field and what is known about it.

    Attributes:
        force_field: What is asked for energies and forces.
        source: Its name in paths and tables: `schnet-small-s0`, `refpot`.
        symmetry: Group under which it claims that energies do not change.
        conservative: Whether it claims that forces are derivatives of energies.
        inputs: The checkpoint.
    """

    force_field: ForceField
    source: str
    symmetry: str = "E(3)"
    conservative: bool = True
    inputs: tuple[Input, ...] = ()

    def threads(self, wanted: int | None) -> int | None:
        """Threads that share runs: one where a GPU does the work, else as many as are wanted."""
        device = getattr(self.force_field, "device", None)
        if device is None:
            return wanted
        import torch

        torch.set_num_threads(1)  # of each of ours: torch's own would spin on the same cores
        return wanted if device.type == "cpu" else 1


def resolve(
    *,
    model: str | None,
    calculator: str | None,
    calculator_args: str | None = None,
    run_folder: Path | None = None,
    untrained: bool = False,
    seed: int = 0,
    device: str = "auto",
    precision: str = "float32",
) -> Resolved:
    """The force field that `--model` or `--calculator` names.

    Args:
        model: A checkpoint, or the name of a model of the run folder.
        calculator: A name of `potentials.calculators`, or MODULE:FACTORY.
        calculator_args: KEY=VALUE,…
        run_folder: Where models by name are; by default $MDBENCH_RUN, else `run`.
        untrained: A name that is not trained there means random weights from the seed.
        seed: Of random weights.
        device: auto, cpu or cuda.
        precision: float32 or float64, of a model.

    Raises:
        InputError: Neither or both, a name or file that is not known, a device that is not there.
    """
    if (model is None) == (calculator is None):
        raise InputError(
            "what is to be asked",
            expected="--model NAME or CHECKPOINT, or --calculator NAME",
            found="neither" if model is None else "both",
        )
    if calculator is not None:
        if calculator_args is None and calculator == "refpot" and device == "cuda":
            calculator_args = "device=cuda"
        found = force_field(calculator, arguments(calculator_args))
        return Resolved(found, calculator_source(calculator))
    assert model is not None
    if calculator_args is not None:
        raise InputError("--calculator-args", expected="with --calculator", found="with --model")
    path = Path(model)
    if path.exists() or len(path.parts) > 1 or path.suffix in (".json", ".safetensors"):
        return _checkpoint(path, device, precision)
    trained = _trained(model, current_run(run_folder))
    if trained is not None:
        return _checkpoint(trained, device, precision)
    name = parse_name(model)
    if untrained:
        plugin = package_of(name.architecture)
        return _wrapped(
            create(name, seed=seed),
            f"{name.text} with random weights, seed {seed}{_of(plugin.origin if plugin else '')}",
            f"{name.folder}-s{seed}-untrained",
            device,
            precision,
        )
    raise InputError(
        f"no trained {name.text}",
        where=current_run(run_folder) / "models",
        remedy=f"`mdbench train --model {name.text}` makes it, or name a checkpoint",
    )


def calculator_source(name: str) -> str:
    """The name of a calculator in paths and tables."""
    return name.replace(":", ".").replace("/", "-")


def _trained(model: str, run_folder: Path) -> Path | None:
    """The checkpoint that `schnet-small` or `schnet-small-s1` names; None without one."""
    place = run_folder / "models"
    if (place / model).is_dir():
        return place / model
    # what is not known here may be a model of a package that is missing: its checkpoint says so
    name = parse_name(model).folder if is_model(model) else escape(model)
    found = sorted(path for path in place.glob(f"{name}-s[0-9]*") if path.is_dir())
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise InputError(
            f"model {model!r} has several seeds", where=place, expected=f"one of {names}"
        )
    return found[0] if found else None


def torch_device(name: str) -> str:
    """The device that a name means: cpu or cuda.

    Args:
        name: auto takes a GPU where there is one.

    Raises:
        InputError: Another name, or cuda without a usable GPU.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise InputError("--device", expected="auto, cpu or cuda", found=repr(name))
    if name == "cpu":
        return name
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if name == "cuda":
        raise InputError("--device cuda", found="no usable GPU", remedy="--device cpu")
    return "cpu"


def _checkpoint(path: Path, device: str, precision: str) -> Resolved:
    from mdbench.training.checkpoint import WEIGHTS_NAME, checkpoint_folder, load_checkpoint

    checkpoint = load_checkpoint(path)
    stamp = input_of(checkpoint_folder(path) / WEIGHTS_NAME, "checkpoint")
    return _wrapped(
        checkpoint.model,
        f"{checkpoint.name} of seed {checkpoint.seed}, weights {stamp.sha256[:8]}"
        f"{_of(checkpoint.package)}",
        f"{parse_name(checkpoint.name).folder}-s{checkpoint.seed}",
        device,
        precision,
        closest=checkpoint.closest,
        elements=checkpoint.elements,
        inputs=(stamp,),
    )


def _of(package: str) -> str:
    """A package in a label."""
    return f" ({package})" if package else ""


def _wrapped(
    model: Any,
    label: str,
    source: str,
    device: str,
    precision: str,
    *,
    inputs: tuple[Input, ...] = (),
    **known: Any,
) -> Resolved:
    from mdbench.models.force_field import ModelForceField

    model = model.double() if precision == "float64" else model.float()
    wrapped = ModelForceField(model, label, device=torch_device(device), **known)
    return Resolved(wrapped, source, model.symmetry, model.conservative, inputs)
