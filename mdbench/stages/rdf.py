"""g(r) of trajectories: replicas pooled, equilibration left out, one result per group."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mdbench.analysis.rdf import PairHistogram, RadialDistribution, first_peaks, pool
from mdbench.config import RdfConfig, stamp
from mdbench.errors import InputError, located
from mdbench.reporting.tables import Cell, text_table, write_csv
from mdbench.stages.runs import Group, expand, grouped, trajectories_in
from mdbench.store import (
    Dataset,
    Input,
    TrajectoryFile,
    check_output,
    input_of,
    read_result,
    write_result,
)
from mdbench.units import FS_IN_PS

#: Runs of at least this length leave out the first of these; shorter ones a share (ps).
_LONG_RUN_PS, _LONG_RUN_SKIP_PS, _SHORT_RUN_SHARE = 50.0, 15.0, 0.3

Progress = Callable[[float, str], None]


@dataclass(frozen=True)
class UsedRun:
    """Which part of a trajectory a result was made from."""

    path: Path
    first_frame: int
    n_frames: int
    skip_ps: float
    time_axis: bool


@dataclass(frozen=True)
class GroupResult:
    """g(r) of the replicas of one source, material and temperature."""

    group: Group
    pooled: RadialDistribution
    each: tuple[RadialDistribution, ...]
    runs: tuple[UsedRun, ...]


@dataclass
class RdfReport:
    """The results of all groups, ready to be printed."""

    config: RdfConfig
    results: list[GroupResult] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """One JSON document: `groups`; a single group's keys also at top level."""
        groups = [_json(result, self.config) for result in self.results]
        return {**(groups[0] if len(groups) == 1 else {}), "groups": groups}

    def as_text(self) -> str:
        """A table of the first peak of every pair, for each group."""
        return "\n\n".join(_text(result) for result in self.results)


def run(
    files: Sequence[Path],
    config: RdfConfig,
    *,
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
        run_folder: Where to look without files; by default $MDBENCH_RUN, else `run`.
        output: HDF5 file for the result of the one group. Without files each group is written
            to its place in the run folder.
        csv: Table of r and g(r), one column per pair.
        plot: Figure, .png, .svg or .pdf.
        force: Overwrite.
        progress: Called with the share done and what is being read.
    """
    for target in (output, csv, plot):
        if target is not None:
            check_output(target, force=force or target is not output)
    if plot is not None:
        from mdbench.reporting.figures import check_name

        check_name(plot)
    folder = None
    if not files:
        folder = run_folder or Path(os.environ.get("MDBENCH_RUN", "run"))
    paths = trajectories_in(folder) if folder is not None else expand(files)
    groups = grouped(paths, run=folder)
    report = RdfReport(config)
    if folder is not None:
        report.notes.append(f"run folder {folder}: {len(paths)} trajectories")
    if output is not None and len(groups) > 1:
        raise InputError(
            "-o takes one group", found="; ".join(g.name for g in groups), remedy="name its files"
        )
    for group in groups:
        result = _group(group, config, progress)
        report.results.append(result)
        target = output if folder is None or output is not None else _place(folder, group)
        if target is not None and not _already_done(target, result, config, force or output):
            _write(target, result, config)
    report.notes.extend(_notes(report.results))
    if csv is not None:
        _write_csv(csv, report.results)
    if plot is not None:
        _plot(plot, report.results)
    return report


def _group(group: Group, config: RdfConfig, progress: Progress | None) -> GroupResult:
    each, runs = [], []
    for path in group.paths:
        with TrajectoryFile(path) as file:
            used = _used_part(file, config)
            histogram = PairHistogram(
                file.atomic_numbers, r_max=config.r_max, dr=config.dr, threads=config.threads
            )
            for block in file.blocks(used.first_frame, stride=config.stride, fields=()):
                with located(path):
                    histogram.add(block.positions, block.cells, block.pbc)
                if progress is not None:
                    n_read = histogram.n_frames * config.stride
                    progress(n_read / max(used.n_frames * config.stride, 1), path.name)
        each.append(histogram.result())
        runs.append(used)
    return GroupResult(group, pool(each), tuple(each), tuple(runs))


def _used_part(file: TrajectoryFile, config: RdfConfig) -> UsedRun:
    """Which frames are left once equilibration is left out."""
    times = file.times_ps - file.times_ps[0]
    interval_fs = file.frame_interval_fs
    if interval_fs is None:
        skip_ps, first = 0.0, 0
        if config.skip_ps and file.n_frames > 1:
            raise InputError(
                "--skip-ps", where=file.path, expected="a trajectory with a time axis", found="none"
            )
    else:
        length_ps = float(times[-1]) + interval_fs * FS_IN_PS
        skip_ps = config.skip_ps if config.skip_ps is not None else default_skip_ps(length_ps)
        first = int(np.searchsorted(times, skip_ps - 1e-9))
    n_frames = len(range(first, file.n_frames, config.stride))
    if n_frames == 0:
        raise InputError(
            "no frames left after equilibration",
            where=file.path,
            expected=f"a run longer than {skip_ps:g} ps",
            found=f"{times[-1]:g} ps",
            remedy="a smaller --skip-ps",
        )
    return UsedRun(file.path, first, n_frames, skip_ps, interval_fs is not None)


def default_skip_ps(length_ps: float) -> float:
    """Equilibration to leave out, ps: 15 of runs of 50 or more, else 30 % of the run."""
    if length_ps >= _LONG_RUN_PS - 1e-6:
        return _LONG_RUN_SKIP_PS
    return _SHORT_RUN_SHARE * length_ps


def _place(folder: Path, group: Group) -> Path:
    """Where a run folder keeps the result of a group."""
    suffix = "" if group.temperature_k is None else f"-{group.temperature_k:g}K"
    return folder / "observables" / group.source / group.material / f"rdf{suffix}.h5"


def _inputs(result: GroupResult) -> list[Input]:
    return [input_of(run.path, "trajectory") for run in result.runs]


def _already_done(target: Path, result: GroupResult, config: RdfConfig, force: object) -> bool:
    """Whether a run folder holds this very result; another one is refused unless forced."""
    if force or not target.exists():
        check_output(target, force=True)
        return False
    stored = read_result(target, "observables")
    if stored.config == stamp(config) and stored.inputs == _inputs(result):
        return True
    raise InputError(
        "made with other settings or from other trajectories",
        where=target,
        remedy="--force writes it again",
    )


def _write(path: Path, result: GroupResult, config: RdfConfig) -> None:
    pooled, group = result.pooled, result.group
    bins = ("bin",)
    datasets = {
        "r": Dataset(pooled.r, "Angstrom", bins),
        "edges": Dataset(pooled.edges, "Angstrom", ("edge",)),
    }
    for pair, g in pooled.g.items():
        datasets[f"g/{pair}"] = Dataset(g, "", bins)
        stacked = np.array([one.g[pair] for one in result.each])
        datasets[f"runs/{pair}"] = Dataset(stacked, "", ("run", "bin"))
    attributes = {
        "observable": "rdf",
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
        inputs=_inputs(result),
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
    }


def _text(result: GroupResult) -> str:
    frames = sum(run.n_frames for run in result.runs)
    skipped = sorted({run.skip_ps for run in result.runs})
    head = f"{result.group.name}, {len(result.runs)} run(s), {frames} frames"
    if any(run.time_axis for run in result.runs):
        head += " after " + " and ".join(f"{s:g}" for s in skipped) + " ps of equilibration"
    rows: list[list[Cell]] = []
    for pair, peak in _peaks(result).items():
        rows.append([pair, peak["r"], peak["height"], peak["coordination"], peak["reverse"]])
    table = text_table(("pair", "peak (A)", "height", "CN A-B", "CN B-A"), rows)
    return f"{head}\n{table}"


def _notes(results: Sequence[GroupResult]) -> list[str]:
    notes = []
    for result in results:
        known = result.group.provenance
        if known.potential and "synthetic" in known.potential:
            notes.append(f"{result.group.name}: synthetic data: {known.potential}")
    return notes


def _write_csv(path: Path, results: Sequence[GroupResult]) -> None:
    header = ["source", "material", "temperature_k", "r", *_all_pairs(results)]
    rows: list[list[Cell]] = []
    for result in results:
        group, pooled = result.group, result.pooled
        for index, r in enumerate(pooled.r):
            values = [float(pooled.g[p][index]) if p in pooled.g else None for p in header[4:]]
            rows.append([group.source, group.material, group.temperature_k, float(r), *values])
    write_csv(path, header, rows)


def _all_pairs(results: Sequence[GroupResult]) -> list[str]:
    pairs = {pair for result in results for pair in result.pooled.g}
    return ["total", *sorted(pairs - {"total"})]


def _plot(path: Path, results: Sequence[GroupResult]) -> None:
    from mdbench.reporting.figures import rdf_figure, save

    curves = {result.group.name: result.pooled.g for result in results}
    title = results[0].group.name if len(results) == 1 else ""
    save(rdf_figure(results[0].pooled.r, curves, title=title), path)
