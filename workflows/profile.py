"""Profiles say how large a benchmark is: YAML, of which unknown keys are refused."""

from __future__ import annotations

import dataclasses
import typing
from dataclasses import dataclass, field
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from types import NoneType, UnionType
from typing import Any

from mdbench.errors import InputError, located, suggest

from .yaml_text import plain_yaml

#: A profile is a page of settings; anything longer is something else.
_MOST_BYTES, _DEEPEST = 100_000, 8
#: Nothing that is set is larger.
_LARGEST = 1e15


@dataclass(frozen=True)
class Reference:
    """Reference dynamics; not made where users bring their own.

    Attributes:
        calculator: What moves the atoms.
        materials: Crystals by name, or structure files.
        temperatures: As `--temps`.
        replicas: Runs at each temperature.
        ps: Length of a run.
        stride: Every how many steps a frame is kept.
    """

    calculator: str = "refpot"
    materials: tuple[str, ...] = ("lgps", "li3ps4", "li4ges4")
    temperatures: str = "800-1200"
    replicas: int = 3
    ps: float = 50.0
    stride: int = 5


@dataclass(frozen=True)
class Training:
    """How models are trained.

    Attributes:
        material: Whose frames; of users' own data by default that with the most runs.
        fraction: Share of the paper's numbers of frames.
        budget: Time for each model, as `--budget`.
        paper_recipe: The published recipe instead of ours.
        seed: Of weights and of the order of frames.
    """

    material: str | None = None
    fraction: float = 1.0
    budget: str = "5m"
    paper_recipe: bool = False
    seed: int = 0


@dataclass(frozen=True)
class Rollouts:
    """Dynamics of the models.

    Attributes:
        temperatures: As `--temps`; of users' own data those of the data among them, or all.
        replicas, ps, stride: As of the reference.
        start: `reference`: where its runs ended, or `structure`: heated from 100 K.
    """

    temperatures: str = "800-1200"
    replicas: int = 6
    ps: float = 50.0
    stride: int = 5
    start: str = "reference"


@dataclass(frozen=True)
class Profile:
    """What a benchmark does.

    Attributes:
        about: One line on what it is for.
        models: Names as on the command line; `all`: every model, at `size`; `pairs`: each that has
            a published variant, and the variant.
        size: `small` or `paper`, of the models that `all` and `pairs` mean.
        control: Also runs the reference's force field with other random numbers, as a model
            without a fault.
        near: Also tests on frames that stand between those of training.
        audit_dynamics: Also audits at constant energy, and measures speed.
        one_process_per: `task`, or `stage` where starting up costs more than the work.
        device: auto, cpu or cuda.
        reference, training, rollouts: The stages.
    """

    about: str = ""
    models: tuple[str, ...] = ("all",)
    size: str = "small"
    control: bool = True
    near: bool = True
    audit_dynamics: bool = False
    one_process_per: str = "task"
    device: str = "auto"
    reference: Reference = field(default_factory=Reference)
    training: Training = field(default_factory=Training)
    rollouts: Rollouts = field(default_factory=Rollouts)

    def __post_init__(self) -> None:
        for name, known in _WORDS.items():
            section, _, key = name.rpartition(".")
            value = getattr(getattr(self, section) if section else self, key)
            if value not in known:
                raise InputError(name, expected=" or ".join(known), found=repr(value))


#: Settings that are one of a few words.
_WORDS = {
    "size": ("small", "paper"),
    "one_process_per": ("task", "stage"),
    "device": ("auto", "cpu", "cuda"),
    "rollouts.start": ("reference", "structure"),
}


def profile_names() -> list[str]:
    """Names of the profiles that come with mdbench: sizes, then experiments."""
    return list(_shipped())


def _shipped() -> dict[str, Traversable]:
    """Files of the profiles by name."""
    found: dict[str, Traversable] = {}
    for folder in ("profiles", "config"):
        place = files(__package__).joinpath(folder)
        known = sorted((p for p in place.iterdir() if p.name[0] != "."), key=lambda p: p.name)
        found |= {p.name.removesuffix(".yaml"): p for p in known}
    return found


def read_profile(name: str) -> Profile:
    """A profile that comes with mdbench, or one of a file.

    Args:
        name: As `laptop`, or the path of a YAML file.

    Raises:
        InputError: Neither, no YAML, an unknown key, or a value of another type.
    """
    known = _shipped()
    if name in known:
        return _profile(known[name].read_text("utf-8"))
    path = Path(name)
    if not path.is_file():
        raise InputError(
            f"profile {name!r}",
            expected=f"{', '.join(known)}, or a YAML file",
            remedy=suggest(name, known),
        )
    if path.stat().st_size > _MOST_BYTES:
        raise InputError("too long for a profile", where=path)
    with located(path):
        return _profile(path.read_text(encoding="utf-8", errors="replace"))


def _profile(text: str) -> Profile:
    stored = plain_yaml(text, deepest=_DEEPEST, expected="keys and values")
    return typing.cast(Profile, _filled(Profile, {} if stored is None else stored, ""))


def _filled(cls: type, stored: Any, place: str) -> Any:
    """A dataclass with what is stored, checked by the types of its fields."""
    if not isinstance(stored, dict):
        raise InputError(place or "profile", expected="keys and values", found=_shown(stored))
    types = typing.get_type_hints(cls)
    values = {}
    for key, value in stored.items():
        if key not in types:
            raise InputError(
                f"unknown key {place + str(key)!r}", remedy=suggest(str(key), map(str, types))
            )
        values[key] = _value(types[key], value, f"{place}{key}")
    return cls(**values)


def _value(kind: Any, value: Any, name: str) -> Any:
    """A value as its type says; numbers stand for themselves as text where text is asked for."""
    if dataclasses.is_dataclass(kind):
        return _filled(typing.cast(type, kind), value, f"{name}.")
    if isinstance(kind, UnionType):
        if value is None:
            return None
        (kind,) = (k for k in typing.get_args(kind) if k is not NoneType)
    if typing.get_origin(kind) is tuple:
        listed = value if isinstance(value, list) else [value]
        return tuple(_value(str, each, name) for each in listed)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    is_number = is_number and abs(value) < _LARGEST
    if kind is str and is_number:
        return f"{value:g}"
    if kind is float and is_number and value > 0:
        return float(value)
    if kind is int and isinstance(value, int) and is_number and value >= 0:
        return value
    if kind in (str, bool) and isinstance(value, kind):
        return value
    words = {str: "text", bool: "true or false", int: "a whole number", float: "a number above 0"}
    raise InputError(name, expected=words[kind], found=_shown(value))


def _shown(value: Any) -> str:
    """A value in few letters, whatever it is."""
    try:
        return repr(value)[:80]
    except ValueError:
        return "a number of thousands of digits"
