"""Where a run folder keeps results, and whether one is there already."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from mdbench.config import stamp
from mdbench.errors import InputError
from mdbench.stages.runs import Group
from mdbench.store import Input, check_output, read_result


def place(folder: Path, group: Group, name: str) -> Path:
    """Where a run folder keeps an observable of a group, as rdf-800K.h5."""
    suffix = "" if group.temperature_k is None else f"-{group.temperature_k:g}K"
    return folder / "observables" / group.source / group.material / f"{name}{suffix}.h5"


def already_done(target: Path, inputs: list[Input], config: Any, *, force: bool) -> bool:
    """Whether a run folder holds this very result; another one is refused unless forced.

    Args:
        target: The file of the result.
        inputs: What it would be made from.
        config: Settings of the stage.
        force: Make it again.
    """
    if force or not target.exists():
        check_output(target, force=True)
        return False
    stored = read_result(target, "observables")
    if stored.config == stamp(config) and stored.inputs == inputs:
        return True
    raise InputError(
        "made with other settings or from other trajectories",
        where=target,
        remedy="--force writes it again",
    )


def check_not_read(targets: Iterable[Path | None], sources: Sequence[Path]) -> None:
    """Refuses, also when forced, outputs in place of the trajectories that are read."""
    for target in targets:
        if (
            target is not None
            and target.exists()
            and any(s.exists() and target.samefile(s) for s in sources)
        ):
            raise InputError("output is one of the trajectories", where=target)
