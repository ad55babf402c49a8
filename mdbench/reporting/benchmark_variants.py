"""What the faults of the published code cost: each corrected model beside its published variant."""

from __future__ import annotations

import math
from collections.abc import Iterator

from mdbench.reporting.assessment import Assessed, Assessment, Cited
from mdbench.reporting.benchmark_cells import (
    EMPTY,
    MATERIAL,
    MODEL,
    NOT_RESOLVED,
    BenchmarkTable,
    Shown,
    diffusion_ratio,
    make_table,
    measured,
    said,
    state_cell,
)
from mdbench.stats import Estimate

_PUBLISHED = ":published"


def faults(a: Assessment) -> BenchmarkTable:
    """Errors, verdicts and diffusion of models of the same data and budget, by material."""
    both = ("corrected", "published")
    columns = [MATERIAL, MODEL]
    columns += [(f"MAE, {v}", f"force_mae_{v}") for v in both]
    columns += [("ratio", "force_mae_ratio")]
    columns += [(f"verdict, {v}", f"state_{v}") for v in both]
    columns += [(f"D ratio to reference, {v}", f"d_ratio_{v}") for v in both]
    rows = [
        _row(material, right, wrong)
        for material in a.materials
        for right, wrong in _pairs(a)
        if material in right.standings and material in wrong.standings
    ]
    caption = (
        "Pairs of models that were given the same data, budget and random numbers; below each, "
        "what the audit finds in the published one. MAE of forces in meV/Å on test frames; ratio: "
        "published over corrected. Below each number its 95 % interval; the errors of both are "
        "taken as independent. Verdict: the worst over the temperatures.",
    )
    title = "What the faults of the published code cost"
    return make_table("faults", title, caption, columns, rows, n_words=2)


def _pairs(a: Assessment) -> Iterator[tuple[Assessed, Assessed]]:
    """Corrected and published variants of one model that were trained alike."""
    trained = {_how(model, model.name): model for model in a.models}
    for wrong in a.models:
        right = trained.get(_how(wrong, wrong.name.removesuffix(_PUBLISHED)))
        if wrong.name.endswith(_PUBLISHED) and wrong.trained is not None and right is not None:
            yield right, wrong


def _how(model: Assessed, name: str) -> tuple[object, ...]:
    """Run, name, seed, data and budget."""
    trained = model.trained
    if trained is None:
        return model.run, name
    return model.run, name, trained.seed, tuple(trained.materials), trained.budget_s


def _row(material: str, right: Assessed, wrong: Assessed) -> list[Shown]:
    standings = right.standings[material], wrong.standings[material]
    failed = [] if wrong.audit is None else [check.name for check in wrong.audit.failed]
    errors = [None if s.accuracy is None else s.accuracy.force_mae for s in standings]
    return [
        said(material),
        said(right.source, ", ".join(failed)),
        *(measured(error) for error in errors),
        _ratio(*errors),
        *(state_cell(standing) for standing in standings),
        *(EMPTY if s.transport is None else diffusion_ratio(s.transport) for s in standings),
    ]


def _ratio(right: Cited | None, wrong: Cited | None) -> Shown:
    """How many times the error of the corrected model the published one has."""
    if right is None or wrong is None:
        return EMPTY
    found = _quotient(wrong.estimate, right.estimate)
    if found.low is None or found.high is None or not found.low < 1.0 < found.high:
        return measured(Cited(found, wrong.file, wrong.key))
    return measured(Cited(found, wrong.file, wrong.key), NOT_RESOLVED)


def _quotient(above: Estimate, below: Estimate) -> Estimate:
    """The ratio of two positive, independent quantities; no limits where one has none."""
    assert above.value is not None
    assert below.value is not None
    value = above.value / below.value
    if not (above.low and above.high and below.low and below.high):
        return Estimate(value, None, None, "")
    down = math.hypot(math.log(above.value / above.low), math.log(below.high / below.value))
    up = math.hypot(math.log(above.high / above.value), math.log(below.value / below.low))
    return Estimate(value, value * math.exp(-down), value * math.exp(up), "")
