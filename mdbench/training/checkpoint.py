"""A trained model on disk: `model.json` says what it is, `model.safetensors` holds the weights.

Checkpoints come from strangers. Nothing in one is executed; what it says is held against the
architecture on torch's meta device, which takes no memory, before a tensor is made of it.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from ase.data import chemical_symbols
from torch import Tensor

from mdbench.errors import InputError, located
from mdbench.models import model_class, parse_name
from mdbench.models.base import EnergyModel
from mdbench.training.packages import installed_model, installed_package, package_entry
from mdbench.training.tensor_files import packed, read_bytes, unpacked, write_bytes
from mdbench.version import __version__

SCHEMA = 1
JSON_NAME, WEIGHTS_NAME = "model.json", "model.safetensors"
#: A longer description is none of ours.
_MOST_JSON_BYTES = 1 << 20
#: Hyper-parameters may be as many times those of the published benchmark.
_MOST_TIMES = 10
_UNITS = {"energy": "eV", "length": "Angstrom"}
#: What a network raises that cannot be made of its hyper-parameters.
_NO_MODEL = (
    *(ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError),
    ValueError,
)


@dataclass(frozen=True)
class Checkpoint:
    """A trained model, and what is known about it.

    Attributes:
        model: On the CPU, in evaluation mode.
        name: As `schnet-small`.
        seed: Of its weights and of its training.
        arguments: All hyper-parameters.
        elements: Symbols of the elements that it was trained on.
        closest: Smallest distance in training of each pair of elements, as `Li-S`, Å.
        training: How it was trained.
        package: Package and version that its model is from here, and the version that trained it
            where that is another one; empty of a model of ours.
    """

    model: EnergyModel
    name: str
    seed: int
    arguments: dict[str, Any]
    elements: tuple[str, ...]
    closest: dict[str, float]
    training: dict[str, Any]
    package: str = ""


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Writes a checkpoint into a folder: the weights, then what they are.

    Raises:
        InputError: It cannot be written.
    """
    weights = packed(checkpoint.model.state_dict())
    about = {
        "kind": "checkpoint",
        "schema": SCHEMA,
        "mdbench_version": __version__,
        "name": checkpoint.name,
        "arguments": checkpoint.arguments,
        "seed": checkpoint.seed,
        "elements": list(checkpoint.elements),
        "units": _UNITS,
        "cutoff": checkpoint.model.cutoff,
        "closest": checkpoint.closest,
        "training": checkpoint.training,
        "sha256": hashlib.sha256(weights).hexdigest(),
    }
    if package := package_entry(parse_name(checkpoint.name)):
        about["package"] = package
    text = json.dumps(about, indent=2, allow_nan=False) + "\n"
    write_bytes(folder / WEIGHTS_NAME, weights)
    write_bytes(folder / JSON_NAME, text.encode())


def load_checkpoint(path: Path) -> Checkpoint:
    """The checkpoint in a folder.

    Args:
        path: The folder, or a file of it.

    Raises:
        InputError: None is there; it is damaged, of another schema, or not what it says; its model
            is of a package that is not installed.
    """
    folder = checkpoint_folder(path)
    if not folder.is_dir():
        raise InputError(
            "no checkpoint", where=path, expected=f"a folder with {JSON_NAME} and {WEIGHTS_NAME}"
        )
    about = read_about(folder)
    with located(folder / JSON_NAME):
        name = installed_model(about)
        cls = model_class(name.architecture)
        arguments = _arguments(cls, about.get("arguments"))
        elements = _elements(about.get("elements"))
        closest = _closest(about.get("closest"))
        seed, training = about.get("seed"), about.get("training")
        if not isinstance(seed, int) or not isinstance(training, dict):
            raise InputError("seed and training", expected="a whole number and a table")
        sha256 = _text(about, "sha256")
        blank = _blank(cls, arguments)
    tensors = _weights(folder / WEIGHTS_NAME, sha256)
    _check_tensors(folder / WEIGHTS_NAME, blank, tensors)
    with torch.random.fork_rng(devices=[]):
        model = cls(**arguments).eval()
    model.load_state_dict(tensors)
    if not float(model.energy_scale) > 0.0:
        raise InputError("energy_scale", where=folder / WEIGHTS_NAME, expected="above 0")
    package = installed_package(about)
    return Checkpoint(model, name.text, seed, arguments, elements, closest, training, package)


def checkpoint_folder(path: Path) -> Path:
    """The folder of a checkpoint that is named by itself or by one of its files."""
    return path.parent if path.name in (JSON_NAME, WEIGHTS_NAME) else path


def read_about(folder: Path) -> dict[str, Any]:
    """What the `model.json` of a folder says, after it was found to be one.

    Raises:
        InputError: It is missing, damaged or of another schema.
    """
    path = folder / JSON_NAME
    try:
        about = json.loads(read_bytes(path, most=_MOST_JSON_BYTES))
    except (ValueError, RecursionError) as error:
        raise InputError("damaged or no JSON", where=path) from error
    if not isinstance(about, dict) or about.get("kind") != "checkpoint":
        raise InputError("no checkpoint of mdbench", where=path)
    if about.get("schema") != SCHEMA:
        raise InputError(
            "written by another version of mdbench",
            where=path,
            expected=f"schema {SCHEMA}",
            found=f"schema {_shown(about.get('schema'))}",
            remedy="use that version, or train again",
        )
    return about


def all_arguments(cls: type[EnergyModel], given: dict[str, Any]) -> dict[str, Any]:
    """All hyper-parameters of an architecture, those that are not given at their defaults."""
    return {name: given.get(name, p.default) for name, p in _parameters(cls).items()}


def pair_names(elements: list[str], closest: list[float]) -> dict[str, float]:
    """The finite ones of (n · n,) distances in Å by the alphabetical names of their pairs.

    Args:
        elements: n symbols.
        closest: Of the elements a and b, a not after b, at a · n + b.
    """
    n = len(elements)
    return {
        "-".join(sorted((elements[k // n], elements[k % n]))): distance
        for k, distance in enumerate(closest)
        if math.isfinite(distance)
    }


def _parameters(cls: type[EnergyModel]) -> dict[str, inspect.Parameter]:
    return dict(inspect.signature(cls).parameters)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:39] + "…"


def _text(about: dict[str, Any], key: str) -> str:
    value = about.get(key)
    if not isinstance(value, str) or len(value) > 100:
        raise InputError(key, expected="a short text", found=_shown(value))
    return value


def _arguments(cls: type[EnergyModel], given: object) -> dict[str, Any]:
    """Hyper-parameters of the right types and of a sane size."""
    known = _parameters(cls)
    if not isinstance(given, dict) or set(given) != set(known):
        raise InputError("hyper-parameters", expected=", ".join(known), found=_shown(given))
    for key, value in given.items():
        sizes = getattr(cls, "SMALL", {}), cls.PUBLISHED
        ours = [known[key].default, *(v[key] for v in sizes if key in v)]
        types = {type(v) for v in ours}
        if type(value) not in (types | {int} if float in types else types):
            names = " or ".join(sorted(t.__name__ for t in types))
            raise InputError(f"hyper-parameter {key}", expected=names, found=_shown(value))
        if type(value) in (int, float):
            most = _MOST_TIMES * max(v for v in (*ours, 1) if isinstance(v, int | float))
            if not 0 <= value <= most:  # NaN included
                raise InputError(
                    f"hyper-parameter {key}", expected=f"0 to {most:g}", found=_shown(value)
                )
        if isinstance(value, str) and len(value) > 100:
            raise InputError(f"hyper-parameter {key}", expected="a short text")
    return dict(given)


def _elements(given: object) -> tuple[str, ...]:
    if (
        not isinstance(given, list)
        or not given
        or not all(e in chemical_symbols[1:] for e in given)
    ):
        raise InputError("elements", expected="symbols of elements", found=_shown(given))
    return tuple(given)


def _closest(given: object) -> dict[str, float]:
    if not isinstance(given, dict):
        raise InputError("closest", expected="distances by pair", found=_shown(given))
    for pair, distance in given.items():
        symbols = pair.split("-")
        if (
            symbols != sorted(symbols)
            or len(symbols) != 2
            or not set(symbols) <= set(chemical_symbols[1:])
        ):
            raise InputError("closest", expected="pairs as Li-S", found=_shown(pair))
        if type(distance) not in (int, float) or not 0.0 < distance < math.inf:
            raise InputError(f"closest {pair}", expected="a distance", found=_shown(distance))
    return {pair: float(distance) for pair, distance in given.items()}


def _blank(cls: type[EnergyModel], arguments: dict[str, Any]) -> EnergyModel:
    """The model without memory for its weights."""
    try:
        with torch.device("meta"):
            return cls(**arguments)
    except _NO_MODEL as e:
        raise InputError("hyper-parameters that make no model", found=str(e)[:100]) from e


def _weights(path: Path, sha256: str) -> dict[str, Tensor]:
    content = read_bytes(path)
    if hashlib.sha256(content).hexdigest() != sha256:
        raise InputError(
            f"damaged, or not the weights of this {JSON_NAME}",
            where=path,
            expected=f"sha256 {sha256[:16]}…",
            remedy="copy both files again",
        )
    return unpacked(content, path)


def _check_tensors(path: Path, blank: EnergyModel, tensors: dict[str, Tensor]) -> None:
    """Refuses weights that are not those of the model: names, shapes, types, finite numbers."""
    wanted = blank.state_dict()
    for name in [*sorted(wanted.keys() - tensors.keys()), *sorted(tensors.keys() - wanted.keys())]:
        where = "lack" if name in wanted else "have"
        raise InputError(
            f"not the weights of this model: they {where} {_shown(name)}",
            where=path,
            expected=f"{len(wanted)} tensors",
            found=len(tensors),
        )
    for name, tensor in tensors.items():
        if tensor.shape != wanted[name].shape or tensor.dtype != wanted[name].dtype:
            raise InputError(
                f"not the weights of this model: {name}",
                where=path,
                expected=f"{tuple(wanted[name].shape)} {wanted[name].dtype}",
                found=f"{tuple(tensor.shape)} {tensor.dtype}",
            )
        if not torch.isfinite(tensor).all():
            raise InputError(f"{name} has NaN or inf", where=path, remedy="train again")
