"""Energy and force errors of a force field, on a dataset or on trajectories, by material."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mdbench.analysis.accuracy import accuracy
from mdbench.config import EvaluateConfig
from mdbench.errors import InputError
from mdbench.reporting.tables import write_table
from mdbench.stages.evaluate_output import (
    Evaluated,
    Failure,
    draw,
    group_json,
    group_text,
    parity,
    quantities_of,
    read_evaluated,
    results_table,
    write_evaluated,
)
from mdbench.stages.force_fields import Resolved, resolve
from mdbench.stages.outputs import check_not_read, check_outputs, current_run, one_group
from mdbench.stages.predictions import LabeledFrames, by_material, predict
from mdbench.stages.runs import expand
from mdbench.stages.structure import Progress
from mdbench.store import Input, check_output
from mdbench.table import Table, Tabular

#: Files that a result names.
_MOST_NAMES = 50


@dataclass
class EvaluateReport(Tabular):
    """The errors of all materials, ready to be printed."""

    results: list[Evaluated] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """One JSON document: `groups`; a single group's keys also at top level."""
        groups = [group_json(result) for result in self.results]
        return {**(groups[0] if len(groups) == 1 else {}), "groups": groups}

    def as_text(self) -> str:
        """A table of the errors of each material."""
        return "\n\n".join(group_text(result) for result in self.results)

    def table(self) -> Table:
        """Errors: one row per material and quantity."""
        return results_table(self.results)


def run(
    config: EvaluateConfig,
    *,
    data: Sequence[Path] = (),
    run_folder: Path | None = None,
    output: Path | None = None,
    plot: Path | None = None,
    csv: Path | None = None,
    threads: int | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> EvaluateReport:
    """Asks a force field for energies and forces that are known, and holds both together.

    Args:
        config: Force field, split, stride.
        data: Datasets, or trajectories with energies and forces, or patterns; none means the
            datasets of the run folder.
        run_folder: Where results go: accuracy/<source>/<material>.h5. By default nowhere where
            data are named, else $MDBENCH_RUN or `run`.
        output: HDF5 file for the result of the one material, in place of the run folder.
        plot: Figure, .png, .svg or .pdf.
        csv: Table, one row per quantity.
        threads: Threads that share the frames; by default as many as there are cores.
        force: Overwrite.
        progress: Called with the share done and what is being computed.
    """
    folder = current_run(run_folder)
    paths = expand(data) if data else _datasets(folder)
    check_outputs(output, csv, plot, force=force)
    check_not_read((output, csv, plot), paths, "inputs")
    materials = by_material(paths, config.split)
    one_group(output, [known.material for known in materials], "material")
    asked = resolve(
        model=config.model,
        calculator=config.calculator,
        calculator_args=config.calculator_args,
        run_folder=folder,
        device=config.device,
    )
    n_threads = asked.threads(threads) or len(os.sched_getaffinity(0))
    report = EvaluateReport()
    for known in materials:
        target = output
        if output is None and (run_folder is not None or not data):
            target = _place(folder, asked.source, known)
        inputs = [*known.inputs(), *asked.inputs]
        settings = _settings(known, config, asked)
        stored = None
        if target is not None and output is None:
            stored = _already_done(target, inputs, settings, force=force)
        if stored is not None:
            report.results.append(stored)
            report.notes.append(f"{target}: already done")
            continue
        result = _evaluate(known, config, asked, n_threads, progress)
        report.results.append(result)
        if target is not None:
            write_evaluated(target, result, settings, inputs)
    for result in report.results:
        if "synthetic" in (result.reference or ""):
            report.notes.append(f"{result.name}: synthetic data: {result.reference}")
    if csv is not None:
        write_table(csv, report.table())
    if plot is not None and all(result.failure for result in report.results):
        report.notes.append(f"{plot}: not drawn: no finite predictions")
    elif plot is not None:
        draw(plot, report.results)
    return report


def _datasets(folder: Path) -> list[Path]:
    """The datasets of a run folder."""
    found = sorted(folder.glob("dataset/*.h5"))
    if not found:
        raise InputError(
            "no dataset in this run folder",
            where=folder,
            remedy="`mdbench dataset` makes one; or name files with --data",
        )
    return found


def _settings(known: LabeledFrames, config: EvaluateConfig, asked: Resolved) -> dict[str, Any]:
    """What the result of one material depends on."""
    return {
        "force_field": asked.force_field.label,
        "split": known.split,
        "stride": config.stride,
    }


def _place(folder: Path, source: str, known: LabeledFrames) -> Path:
    """Where a run folder keeps the errors of a material; `test` is what others look for."""
    suffix = "" if known.split in (None, "test") else f"-{known.split}"
    return folder / "accuracy" / source / f"{known.material}{suffix}.h5"


def _already_done(
    target: Path, inputs: list[Input], settings: dict[str, Any], *, force: bool
) -> Evaluated | None:
    """The very result that a run folder holds; another one is refused unless forced."""
    if force or not target.exists():
        check_output(target, force=True)
        return None
    stored, found, made_from = read_evaluated(target)
    if found == settings and made_from == inputs:
        return stored
    raise InputError(
        "made with other settings or from other data",
        where=target,
        remedy="--force writes it again",
    )


def _evaluate(
    known: LabeledFrames,
    config: EvaluateConfig,
    asked: Resolved,
    n_threads: int,
    progress: Progress | None,
) -> Evaluated:
    runs, predictions = predict(
        known,
        asked.force_field,
        stride=config.stride,
        n_threads=n_threads,
        progress=progress,
    )
    unsound = predictions.unsound
    failure, quantities = None, {}
    if len(unsound):
        first = int(unsound[0])
        failure = Failure(
            len(unsound), runs[predictions.runs[first]], int(predictions.frames[first])
        )
    else:
        quantities = quantities_of(accuracy(predictions))
    return Evaluated(
        source=asked.source,
        label=asked.force_field.label,
        material=known.material,
        split=known.split,
        stride=config.stride,
        reference=known.potential,
        files=_listed(known.paths),
        n_atoms=len(predictions.atomic_numbers),
        n_frames=len(predictions),
        n_runs=len(np.unique(predictions.runs)),
        failure=failure,
        quantities=quantities,
        parity=parity(predictions),
    )


def _listed(paths: Sequence[Path]) -> tuple[str, ...]:
    """Names of files, of very many the first ones: an attribute of HDF5 holds 64 kB."""
    names = tuple(str(path) for path in paths)
    return names if len(names) <= _MOST_NAMES else (*names[:_MOST_NAMES], f"{len(names)} in all")
