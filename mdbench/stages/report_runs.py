"""Run folders as one page reads them: each file and force field by the name that tables give it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mdbench.errors import InputError
from mdbench.records import read_records
from mdbench.reporting.assessment import Assessment
from mdbench.reporting.environment import RunFacts
from mdbench.reporting.model_facts import Models, Origin
from mdbench.stages.assess import assess
from mdbench.stages.report_models import read_models
from mdbench.stages.report_results import Results, read_results

_ABOUT = "benchmark.json"
#: In observables/, what is no force field.
_REFERENCE = "reference"


@dataclass(frozen=True)
class ReadRun:
    """What was read of a run folder.

    Attributes:
        folder: The run folder.
        facts: What the workflow wrote down.
        models: What is known about force fields.
        results: What stands below observables/.
    """

    folder: Path
    facts: RunFacts
    models: Models
    results: Results


def read_runs(runs: Sequence[Path]) -> tuple[list[ReadRun], Assessment | None]:
    """All that a page shows of run folders, and what it comes to; None without a force field.

    Args:
        runs: Run folders. Of several the names of files begin with that of their run.

    Raises:
        InputError: A damaged file; several runs that do not belong in one table.
    """
    assessment = assess(runs) if len(runs) > 1 or _has_force_fields(runs[0]) else None
    names = [runs[0].resolve().name] if assessment is None else assessment.runs
    read = [
        _read(folder, name, f"{name}/" if len(runs) > 1 else "", assessment)
        for folder, name in zip(runs, names, strict=True)
    ]
    return read, assessment


def merged(read: Sequence[ReadRun]) -> tuple[Models, Results]:
    """All run folders as one."""
    models = Models(
        trained=[each for one in read for each in one.models.trained],
        learning=[each for one in read for each in one.models.learning],
        errors=[each for one in read for each in one.models.errors],
        parity={key: image for one in read for key, image in one.models.parity.items()},
        audits=[each for one in read for each in one.models.audits],
        warnings=[each for one in read for each in one.models.warnings],
    )
    results = Results(
        [each for one in read for each in one.results.sections],
        [each for one in read for each in one.results.evidence],
        [each for one in read for each in one.results.not_shown],
    )
    return models, results


def _has_force_fields(folder: Path) -> bool:
    """Whether there is anything but a reference."""
    return (
        any(place.name != _REFERENCE for place in folder.glob("observables/*"))
        or any(True for name in ("models", "accuracy", "audit") for _ in folder.glob(f"{name}/*"))
        or any(record.source is not None for record in read_records(folder))
    )


def _read(folder: Path, name: str, prefix: str, assessment: Assessment | None) -> ReadRun:
    """A run folder, its files and force fields named as in the tables."""
    models, left = read_models(folder, draw=True)
    results = read_results(folder)
    facts = RunFacts(name, _about(folder / _ABOUT), read_records(folder), prefix)
    results = dataclasses.replace(results, not_shown=[*results.not_shown, *left])
    if prefix and assessment is not None:
        models = _models_of(name, prefix, models, assessment)
        results = _results_of(name, prefix, results, assessment)
    return ReadRun(folder, facts, models, results)


def _about(path: Path) -> dict[str, Any]:
    """Content of benchmark.json; empty where there is none."""
    if not path.exists():
        return {}
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError("damaged", where=path, remedy="run the benchmark again") from error
    if not isinstance(stored, dict):
        raise InputError("damaged", where=path, remedy="run the benchmark again")
    return stored


def _shown(source: str, run: str, assessment: Assessment) -> str:
    """The name of a source of one of several runs."""
    full = f"{source} ({run})"
    names = {model.source for model in assessment.models if model.run == run}
    return source if source in names else full


def _models_of(run: str, prefix: str, models: Models, assessment: Assessment) -> Models:
    def origin(known: Origin) -> Origin:
        return dataclasses.replace(known, file=prefix + known.file)

    def name(source: str) -> str:
        return _shown(source, run, assessment)

    return dataclasses.replace(
        models,
        trained=[
            dataclasses.replace(m, source=name(m.source), origins=[origin(o) for o in m.origins])
            for m in models.trained
        ],
        errors=[
            dataclasses.replace(e, source=name(e.source), origin=origin(e.origin))
            for e in models.errors
        ],
        audits=[
            dataclasses.replace(a, source=name(a.source), origin=origin(a.origin))
            for a in models.audits
        ],
        parity={name(source): image for source, image in models.parity.items()},
    )


def _results_of(run: str, prefix: str, results: Results, assessment: Assessment) -> Results:
    return Results(
        [
            dataclasses.replace(s, source=_shown(s.source, run, assessment), file=prefix + s.file)
            for s in results.sections
        ],
        [
            dataclasses.replace(
                p, title=f"{run}: {p.title}", files=[prefix + file for file in p.files]
            )
            for p in results.evidence
        ],
        [prefix + name for name in results.not_shown],
    )
