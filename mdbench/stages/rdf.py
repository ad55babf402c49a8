"""g(r) of trajectories: replicas pooled, equilibration left out, one result per group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mdbench.analysis.rdf import RadialDistribution, first_peaks, pool
from mdbench.config import RdfConfig, stamp
from mdbench.errors import InputError
from mdbench.reporting.tables import Cell, text_table, write_table
from mdbench.stages.evidence import evidence_attributes, evidence_datasets
from mdbench.stages.loaded import Opener
from mdbench.stages.outputs import NOTHING, already_done, analyzed, one_group, select
from mdbench.stages.runs import Group, grouped
from mdbench.stages.structure import Progress, RunStructure, run_structure
from mdbench.store import (
    Dataset,
    Input,
    TrajectoryFile,
    input_of,
    write_result,
)
from mdbench.table import Table, Tabular

if TYPE_CHECKING:
    from mdbench.stages.against import Against


@dataclass(frozen=True)
class GroupResult:
    """g(r) of the replicas of one source, material and temperature."""

    group: Group
    pooled: RadialDistribution
    runs: tuple[RunStructure, ...]
    against: Against | None = None


@dataclass
class RdfReport(Tabular):
    """The results of all groups, ready to be printed.

    Attributes:
        config: Settings.
        results: By group.
        notes: What the user should know.
        complete: Whether every group has a result.
    """

    config: RdfConfig
    results: list[GroupResult] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    complete: bool = True

    def as_json(self) -> dict[str, Any]:
        """One JSON document: `groups`; a single group's keys also at top level."""
        groups = [_json(result, self.config) for result in self.results]
        return {**(groups[0] if len(groups) == 1 else {}), "groups": groups}

    def as_text(self) -> str:
        """A table of the first peak of every pair, for each group."""
        return "\n\n".join(_text(result) for result in self.results) or NOTHING

    def table(self) -> Table:
        """g(r): one row per group and bin, one column per pair."""
        names = ["source", "material", "temperature_k", "r"]
        pairs = _all_pairs(self.results)
        rows: list[list[Cell]] = []
        for result in self.results:
            group, pooled = result.group, result.pooled
            for index, r in enumerate(pooled.r):
                values = [float(pooled.g[p][index]) if p in pooled.g else None for p in pairs]
                rows.append([group.source, group.material, group.temperature_k, float(r), *values])
        return Table((*names, *pairs), rows)


def run(
    files: Sequence[Path],
    config: RdfConfig,
    *,
    references: Sequence[Path] = (),
    sources: Sequence[str] = (),
    run_folder: Path | None = None,
    output: Path | None = None,
    csv: Path | None = None,
    plot: Path | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> RdfReport:
    """Computes g(r) of the files, or of a run folder's trajectories, group by group.

    Args:
        files: Trajectories or patterns; none means those of the run folder.
        config: Bins, equilibration, threads.
        references: Trajectories or patterns of the reference that the others are held against.
        sources: Without files: only these sources of the run folder.
        run_folder: Where to look without files; by default $MDBENCH_RUN, else `run`.
        output: HDF5 file for the result of the one group. Without files each group is written
            to its place in the run folder.
        csv: Table of r and g(r), one column per pair.
        plot: Figure, .png, .svg or .pdf.
        force: Overwrite.
        progress: Called with the share done and what is being read.
    """
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
    report = RdfReport(config, notes=chosen.notes)
    named = [(group.name, group) for group in chosen.groups]
    one_group(output, [name for name, _ in named])
    analyze = _Analysis(grouped(chosen.references), config, progress)
    for result in analyzed(named, analyze, report.notes, go_on=chosen.in_places):
        if result.against is not None:
            lines = result.against.notes
            report.notes.extend(f"{result.group.name}: {line}" for line in lines)
        report.results.append(result)
        target = chosen.target(result.group, "rdf")
        if target is not None:
            inputs = _inputs(result)
            if not already_done(target, inputs, config, force=force or output is not None):
                _write(target, result, inputs, config)
    report.complete = len(report.results) == len(named)
    report.notes.extend(_notes(report.results))
    if csv is not None:
        write_table(csv, report.table())
    if plot is not None and report.results:
        _plot(plot, report.results)
    return report


class _Analysis:
    """Makes the result of a group; of the references it reads those that are needed, once.

    Args:
        references: What the groups are held against; may be none.
        config: Bins, equilibration, threads.
        progress: Called with the share done and what is being read.
    """

    def __init__(
        self, references: Sequence[Group], config: RdfConfig, progress: Progress | None
    ) -> None:
        self._references, self._config, self._progress = references, config, progress
        self._known: dict[tuple[Path, ...], tuple[RunStructure, ...]] = {}

    def __call__(self, group: Group) -> GroupResult:
        """The result of a group."""
        if not self._references:
            return pooled_group(group, self._config, self._progress)
        from mdbench.stages.against import against, reference_of

        reference = reference_of(group, self._references)
        if reference.paths not in self._known:
            found = pooled_group(reference, self._config, self._progress, closely=True)
            self._known[reference.paths] = found.runs
        known = self._known[reference.paths]
        result = pooled_group(group, self._config, self._progress, closely=True)
        compared = against(group, result.runs, reference, known, self._config)
        return replace(result, against=compared)


def pooled_group(
    group: Group,
    config: RdfConfig,
    progress: Progress | None = None,
    *,
    closely: bool = False,
    opened: Opener = TrajectoryFile,
) -> GroupResult:
    """g(r) of a group's runs.

    Args:
        group: Replicas.
        config: Bins, equilibration, threads.
        progress: Called with the share done and what is being read.
        closely: Also collect what a verdict needs.
        opened: How a run is opened.
    """
    runs = []
    for path in group.paths:
        with opened(path) as file:
            runs.append(run_structure(file, config, closely=closely, progress=progress))
    for one, other in combinations(runs, 2):
        alone = one.n_frames == 1  # as of runs that ended where they started
        if not alone and _same_frames(one.whole, other.whole):
            raise InputError(
                "the same frames twice",
                where=other.path,
                expected="independent replicas",
                found=f"those of {one.path}",
                remedy="name each run once",
            )
    return GroupResult(group, pool([run.whole for run in runs]), tuple(runs))


def _same_frames(one: RadialDistribution, other: RadialDistribution) -> bool:
    """Whether two runs have the same counts of every pair, which no two replicas have."""
    pairs = one.counts.keys() & other.counts.keys()
    something = any(one.counts[p].any() for p in pairs)
    return something and all(np.array_equal(one.counts[p], other.counts[p]) for p in pairs)


def _inputs(result: GroupResult) -> list[Input]:
    runs = [*result.runs, *(result.against.runs if result.against else ())]
    return [input_of(run.path, "trajectory") for run in runs]


def _write(path: Path, result: GroupResult, inputs: list[Input], config: RdfConfig) -> None:
    pooled, group = result.pooled, result.group
    bins = ("bin",)
    datasets = {
        "r": Dataset(pooled.r, "Angstrom", bins),
        "edges": Dataset(pooled.edges, "Angstrom", ("edge",)),
    }
    for pair, g in pooled.g.items():
        datasets[f"g/{pair}"] = Dataset(g, "", bins)
        stacked = np.array([run.whole.g[pair] for run in result.runs])
        datasets[f"runs/{pair}"] = Dataset(stacked, "", ("run", "bin"))
    compared = result.against
    if compared is not None:
        for pair, band in compared.band.items():
            datasets[f"noise/{pair}"] = Dataset(band, "", bins)
        for pair, g in compared.pooled.g.items():
            datasets[f"reference/{pair}"] = Dataset(g, "", bins)
        datasets |= evidence_datasets(compared.shown)
    attributes = {
        "observable": "rdf",
        "comparison": None if compared is None else compared.as_json(),
        "evidence": {} if compared is None else evidence_attributes(compared.shown),
        "source": group.source,
        "material": group.material,
        "temperature_k": group.temperature_k,
        "potential": group.provenance.potential,
        "label": group.provenance.label,
        "n_runs": len(result.runs),
        "n_frames": sum(run.n_frames for run in result.runs),
        "skip_ps": [run.skip_ps for run in result.runs],
        "n_atoms": dict(pooled.n_atoms),
        "peaks": _peaks(result),
    }
    write_result(
        path,
        "observables",
        datasets,
        attributes=attributes,
        config=stamp(config),
        inputs=inputs,
    )


def _peaks(result: GroupResult) -> dict[str, dict[str, float | None]]:
    """First peak and coordination numbers by pair, plain JSON values."""
    return {
        pair: {
            "r": None if shell.peak is None else shell.peak.position,
            "height": None if shell.peak is None else shell.peak.height,
            "coordination": shell.coordination,
            "reverse": shell.reverse_coordination,
        }
        for pair, shell in first_peaks(result.pooled).items()
    }


def _json(result: GroupResult, config: RdfConfig) -> dict[str, Any]:
    group, pooled = result.group, result.pooled
    return {
        "source": group.source,
        "material": group.material,
        "temperature_k": group.temperature_k,
        "r": pooled.r.tolist(),
        "g": {pair: g.tolist() for pair, g in pooled.g.items()},
        "peaks": _peaks(result),
        "runs": [
            {"file": str(run.path), "n_frames": run.n_frames, "skip_ps": run.skip_ps}
            for run in result.runs
        ],
        "settings": {**stamp(config), "skip_ps": [run.skip_ps for run in result.runs]},
        **({} if result.against is None else {"comparison": result.against.as_json()}),
    }


def _text(result: GroupResult) -> str:
    frames = sum(run.n_frames for run in result.runs)
    skipped = sorted({run.skip_ps for run in result.runs})
    head = f"{result.group.name}, {len(result.runs)} run(s), {frames} frames"
    if any(run.length_ps is not None for run in result.runs):
        head += " after " + " and ".join(f"{s:g}" for s in skipped) + " ps of equilibration"
    if result.against is not None:
        return f"{head}\n{_verdict_text(result.against)}"
    rows: list[list[Cell]] = []
    for pair, peak in _peaks(result).items():
        rows.append([pair, peak["r"], peak["height"], peak["coordination"], peak["reverse"]])
    table = text_table(("pair", "peak (A)", "height", "CN A-B", "CN B-A"), rows)
    return f"{head}\n{table}"


def _verdict_text(found: Against) -> str:
    """The verdict, the numbers behind it by pair, and how the runs failed."""
    lines = [
        f"against {found.reference.name}, {len(found.runs)} run(s)",
        f"verdict: {found.verdict.state} - {found.verdict.reason}",
        f"rdf_mae alone, as in the literature: {found.verdict.paper}",
    ]
    if found.failures:
        first = found.failures[0]
        lines.append(f"failure: {first.mode} in run {first.run + 1}: {first.message}")
    if found.pressure_gpa is not None:
        lines.append("pressure: {:.2f} GPa, reference {:.2f} GPa".format(*found.pressure_gpa))
    for name, value in found.metrics.items():
        lines.append(f"{name}: {'undefined' if value is None else f'{value:.4g}'}")
    rows: list[list[Cell]] = []
    for pair, c in found.by_pair.items():
        low, high = c.interval or (None, None)
        floor = (None, None) if c.floor is None else (c.floor.expected, c.floor.q95)
        rows.append([pair, *(_four(x) for x in (c.rdf_mae, low, high, *floor))])
    header = ("pair", "rdf_mae", "low", "high", "noise", "noise 95 %")
    return "\n".join([*lines, text_table(header, rows)])


def _four(value: float | None) -> str | None:
    return None if value is None else f"{value:.4f}"


def _notes(results: Sequence[GroupResult]) -> list[str]:
    notes = []
    for result in results:
        known = result.group.provenance
        if known.potential and "synthetic" in known.potential:
            notes.append(f"{result.group.name}: synthetic data: {known.potential}")
    return notes


def _all_pairs(results: Sequence[GroupResult]) -> list[str]:
    pairs = {pair for result in results for pair in result.pooled.g}
    return ["total", *sorted(pairs - {"total"})]


def _plot(path: Path, results: Sequence[GroupResult]) -> None:
    from mdbench.reporting.figures import rdf_figure, save

    compared = [result for result in results if result.against is not None]
    if len(results) == 1 and compared:
        from mdbench.reporting.verdict_figure import VerdictCurves, verdict_figure

        found, pooled, name = results[0].against, results[0].pooled, results[0].group.name
        assert found is not None
        curves = VerdictCurves(
            pooled.r, found.pooled.g, pooled.g, found.band, found.as_json(), name, found.evidence
        )
        save(verdict_figure(curves), path)
        return
    lines = {result.group.name: result.pooled.g for result in results}
    for result in compared:
        if result.against is not None:
            lines[f"reference: {result.against.reference.name}"] = result.against.pooled.g
    title = results[0].group.name if len(results) == 1 else ""
    save(rdf_figure(results[0].pooled.r, lines, title=title), path)
