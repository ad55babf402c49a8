"""The verdict on each force field of a run folder: all its metrics, and its rank."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mdbench.errors import InputError, suggest
from mdbench.reporting.assessment import METRICS, Assessed, Assessment
from mdbench.reporting.tables import write_table
from mdbench.stages.assess import assess
from mdbench.stages.assess_ranks import cited
from mdbench.stages.outputs import check_not_read, current_run
from mdbench.stages.verdict_output import (
    assessment_text,
    correlation_json,
    group_json,
    groups_table,
)
from mdbench.stats import Estimate
from mdbench.store import (
    Dataset,
    Input,
    check_kind,
    check_output,
    input_of,
    open_checked,
    read_result,
    reading,
    write_result,
)
from mdbench.table import Table, Tabular

_KIND = "verdict"
#: Units of metrics as files state them.
_UNITS = {"force_mae": "meV Angstrom-1", "rdf_mae": "", "conductivity_error": "decades"}


@dataclass
class VerdictReport(Tabular):
    """What became of each force field, ready to be printed.

    Attributes:
        assessment: Of all force fields of the run folder.
        models: Those that were asked for.
        files: Of their verdicts.
        notes: What the user should know.
    """

    assessment: Assessment
    models: list[Assessed]
    files: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def stable(self) -> bool:
        """Whether all were found stable in all their materials."""
        states = [{s.state for s in model.standings.values()} for model in self.models]
        return all(each == {"stable"} for each in states)

    @property
    def groups(self) -> list[dict[str, Any]]:
        """One document per force field and material."""
        return [group_json(m, standing) for m in self.models for standing in m.standings.values()]

    def as_json(self) -> dict[str, Any]:
        """One JSON document: `groups`; a single group's keys also at top level."""
        groups = self.groups
        return {
            **(groups[0] if len(groups) == 1 else {}),
            "groups": groups,
            "correlations": [correlation_json(c) for c in self.assessment.correlations],
            "synthetic": self.assessment.synthetic,
        }

    def as_text(self) -> str:
        """A table for each material, best first."""
        return assessment_text(self.assessment, self.models)

    def table(self) -> Table:
        """One row per force field and material."""
        return groups_table(self.groups)


def run(
    run_folder: Path | None = None,
    *,
    source: str | None = None,
    csv: Path | None = None,
    force: bool = False,
) -> VerdictReport:
    """Puts together what is known about each force field, into verdict/<source>.h5.

    Args:
        run_folder: By default $MDBENCH_RUN, else `run`.
        source: Only this force field is shown and written; it is ranked among all.
        csv: Table.
        force: Replace files that are no verdicts, too. Verdicts always are.
    """
    folder = current_run(run_folder)
    if csv is not None:
        check_output(csv, force=True)
    found = assess([folder])
    models = _chosen(found.models, source, folder)
    targets = [folder / "verdict" / f"{model.source}.h5" for model in models]
    inputs = [_inputs(model) for model in models]
    check_not_read([csv], [folder / i for names in inputs for i in names], "results")
    for model, target in zip(models, targets, strict=True):
        _check(model.source, target, force=force)
    report = VerdictReport(found, models, targets, list(found.notes))
    if found.synthetic:
        report.notes.append("synthetic reference: no statement about real materials")
    for model, target, names in zip(models, targets, inputs, strict=True):
        if not _write(target, found, model, [_input(folder, name) for name in names]):
            report.notes.append(f"already done: {target}")
    if csv is not None:
        write_table(csv, report.table())
    return report


def _chosen(models: Sequence[Assessed], source: str | None, folder: Path) -> list[Assessed]:
    names = [model.source for model in models]
    if not names:
        raise InputError(
            "no force field",
            where=folder,
            expected="results of one beside those of the reference",
            remedy="`mdbench simulate`, then `mdbench rdf --against` and `conductivity --against`",
        )
    if source is not None and source not in names:
        raise InputError(f"--source {source}", where=folder, remedy=suggest(source, names))
    return [model for model in models if source in (None, model.source)]


def _check(source: str, target: Path, *, force: bool) -> None:
    """Refuses to write outside verdict/ and over what is no verdict."""
    if Path(source).name != source or source.startswith("."):
        raise InputError("name of a force field", expected="no path", found=repr(source))
    check_output(target, force=True)
    if target.exists() and not force:
        try:
            with reading(target), open_checked(target) as file:
                check_kind(target, file, _KIND)
        except InputError as error:
            raise InputError(
                "exists and is no verdict", where=target, remedy="--force replaces it"
            ) from error


def _inputs(model: Assessed) -> list[str]:
    """Names of the files that say something about a force field."""
    names = [] if model.audit is None else [model.audit.origin.file]
    if model.trained is not None:
        names += [origin.file for origin in model.trained.origins]
    for standing in model.standings.values():
        names += [each.file for each in standing.stability]
        names += [] if standing.transport is None else [standing.transport.file]
        names += [] if standing.accuracy is None else [standing.accuracy.force_mae.file]
    return sorted({*names, *(cost.file for cost in model.costs)})


def _input(folder: Path, name: str) -> Input:
    place = name.partition("/")[0]
    kinds = {"models": "model", "accuracy": "accuracy", "audit": "audit", "jobs": "record"}
    kind = "training" if name.endswith("training.h5") else kinds.get(place, "observables")
    found = input_of(folder / name, kind)
    return Input(name, found.kind, found.sha256)


def _write(target: Path, found: Assessment, model: Assessed, inputs: list[Input]) -> bool:
    """Writes a verdict, unless it is there already; whether it was not."""
    standings = list(model.standings.values())
    attributes = {
        "source": model.source,
        "materials": [standing.material for standing in standings],
        "synthetic": found.synthetic,
        "ns_per_day": model.ns_per_day,
        "models": [each.source for each in found.models],
        "groups": [group_json(model, standing) for standing in standings],
        "correlations": [correlation_json(c) for c in found.correlations],
    }
    if _is_there(target, attributes, inputs):
        return False
    datasets = {}
    for metric in METRICS:
        rows, places = [], []
        for standing in standings:
            known, rank = cited(standing, metric), standing.ranks.get(metric)
            e = Estimate(None, None, None, "") if known is None else known.estimate
            rows.append([math.nan if x is None else x for x in (e.value, e.low, e.high)])
            places.append([0, 0, 0] if rank is None else [rank.best, rank.worst, rank.of])
        values, ranks = np.reshape(rows, (-1, 3)), np.reshape(places, (-1, 3))
        axes = ("material", "value low high")
        datasets[f"metrics/{metric}"] = Dataset(values.astype(float), _UNITS[metric], axes)
        axes = ("material", "best worst of")
        datasets[f"ranks/{metric}"] = Dataset(ranks.astype(np.int64), "", axes)
    write_result(target, _KIND, datasets, attributes=attributes, config={}, inputs=inputs)
    return True


def _is_there(target: Path, attributes: dict[str, Any], inputs: list[Input]) -> bool:
    if not target.exists():
        return False
    try:
        stored = read_result(target, _KIND)
    except InputError:  # damaged, or no verdict and --force
        return False
    same = json.loads(json.dumps(attributes)) == stored.attributes
    return same and stored.inputs == inputs
