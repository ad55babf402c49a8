"""What a training leaves on disk while it runs, so that it can be killed at any moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from mdbench.errors import InputError
from mdbench.training.tensor_files import about, packed, read_bytes, unpacked, write_bytes

_SCHEMA = 1


@dataclass(frozen=True)
class Saved:
    """All that a training goes on from.

    Attributes:
        settings: All that it depends on, plain JSON values.
        counters: Steps, time spent, schedule, validations: plain JSON values.
        tensors: Weights, their average, the best of those, the optimizer, losses, by name.
    """

    settings: dict[str, Any]
    counters: dict[str, Any]
    tensors: dict[str, Tensor]


def write_state(path: Path, saved: Saved) -> None:
    """Replaces the state of a training.

    Raises:
        InputError: It cannot be written.
    """
    known = {"schema": _SCHEMA, "settings": saved.settings, "counters": saved.counters}
    write_bytes(path, packed(saved.tensors, known))


def read_state(path: Path, settings: Mapping[str, Any]) -> Saved:
    """The state of a training, after it was found to be one with these settings.

    Raises:
        InputError: It is damaged, or of a training with other settings.
    """
    content = read_bytes(path)
    known = about(content, path)
    found, counters = known.get("settings"), known.get("counters")
    remedy = "--force starts it anew"
    sound = known.get("schema") == _SCHEMA
    if not sound or not isinstance(found, dict) or not isinstance(counters, dict):
        raise InputError("the training of another version", where=path, remedy=remedy)
    check_settings(path, found, settings)
    try:
        return Saved(found, counters, unpacked(content, path))
    except InputError as error:
        raise InputError("damaged state of a training", where=path, remedy=remedy) from error


def check_settings(path: Path, found: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
    """Refuses a training that was made with other settings or from other data.

    Raises:
        InputError: The first setting that is another one.
    """
    for name in [*settings, *found]:
        if found.get(name) != settings.get(name):
            what = "from a dataset that changed" if name == "data" else "with other settings"
            shown = f"{name} = {found.get(name)}, not {settings.get(name)}"
            raise InputError(
                f"trained {what}",
                where=path,
                found=None if name == "data" else shown,
                remedy="--force trains anew, another --run or --seed keeps both",
            )
