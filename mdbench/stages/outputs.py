"""Where a run folder keeps results, and whether one is there already."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from mdbench.config import stamp
from mdbench.errors import InputError
from mdbench.stages.runs import (
    EndedEarlyError,
    Group,
    expand,
    grouped,
    trajectories_in,
    without,
)
from mdbench.store import Input, check_output, read_result

#: What is printed where no group has a result.
NOTHING = "no run reaches its end: no result"

Item = TypeVar("Item")
Result = TypeVar("Result")


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
        output: The file that was asked for.
    """

    folder: Path | None
    groups: list[Group]
    references: list[Path]
    notes: list[str]
    output: Path | None

    @property
    def in_places(self) -> bool:
        """Whether each result goes to its place in the run folder."""
        return self.folder is not None and self.output is None

    def target(self, group: Group, name: str) -> Path | None:
        """Where an observable of a group goes; None is nowhere."""
        if self.folder is None or self.output is not None:
            return self.output
        return place(self.folder, group, name)


def select(
    files: Sequence[Path],
    references: Sequence[Path] = (),
    *,
    sources: Sequence[str] = (),
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
        sources: Of the run folder, those to take; none means all.
        run_folder: Where to look without files; by default $MDBENCH_RUN, else `run`.
        output: HDF5 file.
        csv: Table.
        plot: Figure.
        force: Overwrite.
    """
    check_outputs(output, csv, plot, force=force)
    others, notes, folder = expand(references), [], None
    if files and sources:
        raise InputError("--source", expected="no files: it names sources of a run folder")
    if files:
        paths = expand(files)
    else:
        folder = current_run(run_folder)
        paths = trajectories_in(folder, sources)
    check_not_read((output, csv, plot), [*paths, *others], "trajectories")
    if folder is not None:
        paths = without(paths, others, folder)
        notes.append(f"run folder {folder}: {len(paths)} trajectories")
    return Selection(folder, grouped(paths, run=folder), others, notes, output)


def analyzed(
    groups: Iterable[tuple[str, Item]],
    analyze: Callable[[Item], Result],
    notes: list[str],
    *,
    go_on: bool,
) -> Iterator[Result]:
    """Yields the results of the groups; those that cannot be analyzed do not stop the others.

    Args:
        groups: What is to be analyzed, each with its name.
        analyze: Gives the result of one.
        notes: Where it is said why one has no result.
        go_on: Whether to do so, as in a run folder; else the first one's error is raised.

    Raises:
        InputError: None has a result, and not since runs ended early, which is one of its own.
    """
    n_results, errors = 0, []
    for name, group in groups:
        try:
            result = analyze(group)
        except InputError as error:
            if not go_on:
                raise
            where = "" if name in str(error) else f"{name}: "
            notes.append(f"no result: {where}{error}")
            errors.append(error)
            continue
        n_results += 1
        yield result
    bad = [error for error in errors if not isinstance(error, EndedEarlyError)]
    if bad and not n_results:
        raise bad[0]


def remove_outdated(target: Path | None, *, force: bool) -> None:
    """Removes the result of runs that have none any more; refused unless forced."""
    if target is None or not target.exists():
        return
    if not force:
        raise InputError(
            "made from other trajectories, which end early now",
            where=target,
            remedy="--force removes it",
        )
    target.unlink()


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
