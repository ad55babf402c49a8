"""Where a run folder keeps results, and whether one is there already."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mdbench.config import stamp
from mdbench.errors import InputError
from mdbench.stages.runs import Group, expand, grouped, trajectories_in, without
from mdbench.store import Input, check_output, read_result


def current_run(asked: Path | None) -> Path:
    """The run folder that was named, else $MDBENCH_RUN, else `run`."""
    return asked or Path(os.environ.get("MDBENCH_RUN", "run"))


def place(folder: Path, group: Group, name: str) -> Path:
    """Where a run folder keeps an observable of a group, as rdf-800K.h5."""
    suffix = "" if group.temperature_k is None else f"-{group.temperature_k:g}K"
    return folder / "observables" / group.source / group.material / f"{name}{suffix}.h5"


def already_done(
    target: Path, inputs: list[Input], config: Any, *, force: bool, kind: str = "observables"
) -> bool:
    """Whether a run folder holds this very result; another one is refused unless forced.

    Args:
        target: The file of the result.
        inputs: What it would be made from.
        config: Settings of the stage.
        force: Make it again.
        kind: Of the file.
    """
    if force or not target.exists():
        check_output(target, force=True)
        return False
    stored = read_result(target, kind)
    if stored.config == stamp(config) and stored.inputs == inputs:
        return True
    raise InputError(
        "made with other settings or from other trajectories",
        where=target,
        remedy="--force writes it again",
    )


@dataclass(frozen=True)
class Selection:
    """What an analysis works on.

    Attributes:
        folder: The run folder, where no files are named.
        groups: Replicas by source, material and temperature.
        references: Files of the other side, which are no group of a run folder.
        notes: What the user should know.
    """

    folder: Path | None
    groups: list[Group]
    references: list[Path]
    notes: list[str]


def select(
    files: Sequence[Path],
    references: Sequence[Path] = (),
    *,
    run_folder: Path | None,
    output: Path | None,
    csv: Path | None,
    plot: Path | None,
    force: bool,
) -> Selection:
    """The trajectories of an analysis, after its outputs were found fit to be written.

    Args:
        files: Trajectories or patterns; none means those of the run folder.
        references: Trajectories or patterns of the reference.
        run_folder: Where to look without files; by default $MDBENCH_RUN, else `run`.
        output: HDF5 file.
        csv: Table.
        plot: Figure.
        force: Overwrite.
    """
    check_outputs(output, csv, plot, force=force)
    others, notes, folder = expand(references), [], None
    if files:
        paths = expand(files)
    else:
        folder = current_run(run_folder)
        paths = trajectories_in(folder)
    check_not_read((output, csv, plot), [*paths, *others], "trajectories")
    if folder is not None:
        paths = without(paths, others, folder)
        notes.append(f"run folder {folder}: {len(paths)} trajectories")
    return Selection(folder, grouped(paths, run=folder), others, notes)


def check_outputs(output: Path | None, csv: Path | None, plot: Path | None, *, force: bool) -> None:
    """Refuses outputs that cannot be written, before any work; tables and figures are replaced."""
    for target in (output, csv, plot):
        if target is not None:
            check_output(target, force=force or target is not output)
    if plot is not None:
        from mdbench.reporting.figures import check_name

        check_name(plot)


def one_group(output: Path | None, names: Sequence[str], what: str = "group") -> None:
    """Refuses one output file for several results."""
    if output is not None and len(names) > 1:
        raise InputError(f"-o takes one {what}", found="; ".join(names), remedy="name its files")


def check_not_read(targets: Iterable[Path | None], sources: Sequence[Path], what: str) -> None:
    """Refuses, also when forced, outputs in place of what is read, as `what` names it."""
    for target in targets:
        if (
            target is not None
            and target.exists()
            and any(s.exists() and target.samefile(s) for s in sources)
        ):
            raise InputError(f"output is one of the {what}", where=target)
