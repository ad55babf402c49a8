"""Where mobile ions go: their density, sites, jumps and paths; group by group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mdbench.config import PathConfig
from mdbench.errors import InputError
from mdbench.reporting.tables import write_table
from mdbench.stages.ion_paths import Ions, read_ions
from mdbench.stages.motion import Progress
from mdbench.stages.outputs import (
    NOTHING,
    already_done,
    analyzed,
    check_not_read,
    one_group,
    remove_outdated,
    select,
)
from mdbench.stages.path_against import held_against
from mdbench.stages.path_output import (
    PathResult,
    path_json,
    path_table,
    path_text,
    plot_paths,
    write_density,
    write_path,
)
from mdbench.stages.path_sides import Side, between, side_of
from mdbench.stages.runs import EndedEarlyError, Group, grouped
from mdbench.stages.temperatures import selected
from mdbench.store import check_output
from mdbench.table import Table, Tabular


@dataclass
class PathReport(Tabular):
    """The results of all groups, ready to be printed."""

    config: PathConfig
    results: list[PathResult] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """One JSON document: `groups`; a single group's keys also at top level."""
        groups = [path_json(result) for result in self.results]
        return {**(groups[0] if len(groups) == 1 else {}), "groups": groups}

    def as_text(self) -> str:
        """A table of what is known about each group."""
        return "\n\n".join(path_text(result) for result in self.results) or NOTHING

    def table(self) -> Table:
        """Rates of jumps: one row per group and directed pair of sites."""
        return path_table(self.results)


def run(
    files: Sequence[Path],
    config: PathConfig,
    *,
    references: Sequence[Path] = (),
    sources: Sequence[str] = (),
    run_folder: Path | None = None,
    output: Path | None = None,
    csv: Path | None = None,
    plot: Path | None = None,
    density: Path | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> PathReport:
    """Paths of the ions in the files, or in a run folder's trajectories, group by group.

    Args:
        files: Trajectories or patterns; none means those of the run folder.
        config: Mobile species, equilibration, grid, sites, residence.
        references: Trajectories or patterns of the reference that the others are held against.
        sources: Without files: only these sources of the run folder.
        run_folder: Where to look without files; by default $MDBENCH_RUN, else `run`.
        output: HDF5 file for the result of the one group. Without files each group is written
            to its place in the run folder.
        csv: Table of the rates of jumps.
        plot: Figure, .png, .svg or .pdf.
        density: Density of the one group for VESTA, cube or CHGCAR by its name.
        force: Overwrite.
        progress: Called with the share done and what is being read.
    """
    if density is not None:
        from mdbench.formats.volumetric import check_volumetric

        check_volumetric(density)
        check_output(density, force=force)
    chosen = select(
        files,
        references,
        sources=sources,
        run_folder=run_folder,
        output=output,
        csv=csv,
        plot=plot,
        force=force,
    )
    groups = selected(chosen.groups, config.temps)
    read = [path for group in chosen.groups for path in group.paths]
    check_not_read([density], [*read, *chosen.references], "trajectories")
    report = PathReport(config, notes=chosen.notes)
    named = [(group.name, group) for group in groups]
    one_group(output, [name for name, _ in named])
    if density is not None and len(named) > 1:
        found = "; ".join(name for name, _ in named)
        raise InputError("--density takes one group", found=found, remedy="name its files")
    own = replace(config, temps=None)
    analysis = _Analysis(grouped(chosen.references), own, density, progress)

    def analyze(group: Group) -> PathResult:
        known = analysis.reference_of(group)
        try:
            return analysis.result(group, known)
        except EndedEarlyError:
            if chosen.in_places:
                remove_outdated(chosen.target(group, "path"), force=force)
            raise

    for result in analyzed(named, analyze, report.notes, go_on=chosen.in_places):
        report.results.append(result)
        report.notes += [f"{result.group.name}: {line}" for line in result.notes]
        target = chosen.target(result.group, "path")
        if target is not None:
            inputs = result.inputs
            if already_done(target, inputs, own, force=force or output is not None):
                report.notes.append(f"{target}: already done")
            else:
                write_path(target, result, own, inputs)
    if csv is not None:
        write_table(csv, report.table())
    if plot is not None and report.results:
        plot_paths(plot, report.results)
    return report


class _Analysis:
    """Makes the result of a group; of the references it keeps the last one that was needed.

    Args:
        references: What the groups are held against; may be none.
        config: Settings.
        density: Where the density of the group goes; None is nowhere.
        progress: Called with the share done and what is being read.
    """

    def __init__(
        self,
        references: Sequence[Group],
        config: PathConfig,
        density: Path | None,
        progress: Progress | None,
    ) -> None:
        self._references, self._config = references, config
        self._density, self._progress = density, progress
        self._known: tuple[Ions, Side] | None = None

    def reference_of(self, group: Group) -> tuple[Ions, Side] | None:
        """The ions that a group is held against, and what is known of them."""
        if not self._references:
            return None
        from mdbench.stages.against import reference_of

        chosen = reference_of(group, self._references)
        if self._known is None or self._known[0].group.paths != chosen.paths:
            self._known = None  # one at a time in memory
            ions = read_ions(chosen, self._config, progress=self._progress)
            self._known = ions, side_of(ions, self._config)
        return self._known

    def result(self, group: Group, known: tuple[Ions, Side] | None) -> PathResult:
        """The result of a group, held against what is known."""
        onto = None if known is None else known[0].runs[0].framework
        ions = read_ions(group, self._config, onto, self._progress)
        found = path_result(ions, self._config, known)
        if self._density is not None:
            write_density(self._density, ions, found.side)
        return found


def path_result(
    ions: Ions, config: PathConfig, known: tuple[Ions, Side] | None = None
) -> PathResult:
    """Where ions go, held against where those of a reference go.

    Args:
        ions: Put onto the framework of the reference where there is one.
        config: Settings.
        known: Ions of the reference, and what is known of them.
    """
    side = side_of(ions, config, None if known is None else known[1])
    if known is None:
        return PathResult(side, None, config)
    reference, own = known
    both = between(side.sites, own, reference, config)
    against = held_against(ions, side, reference, both, own.sites.n_sites, config)
    return PathResult(side, against, config)
