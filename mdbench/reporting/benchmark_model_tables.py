"""The paper's Table 1 with ours beside, and the same facts on all other force fields."""

from __future__ import annotations

from mdbench.analysis.audit import Check
from mdbench.reporting import published as paper
from mdbench.reporting.assessment import Assessed, Assessment, Cited
from mdbench.reporting.benchmark_cells import (
    EMPTY,
    MODEL,
    NOTHING,
    BenchmarkTable,
    Shown,
    duration,
    make_table,
    published,
    said,
    stated,
)
from mdbench.reporting.model_facts import Audited, TrainedModel
from mdbench.reporting.transport_html import plain_number
from mdbench.stats import Estimate


def table_1(a: Assessment) -> BenchmarkTable:
    """Claims, sizes and speeds of models in full size beside the paper's; no rows without ours."""
    columns = [
        MODEL,
        ("symmetry, paper", "symmetry_claimed"),
        ("symmetry claimed here", "symmetry_claimed"),
        ("measured here", "symmetry_measured"),
        ("parameters", "parameters"),
        ("parameters, paper (10⁶)", "parameters_in_millions"),
        ("epochs", "epochs"),
        ("epochs, paper", "epochs"),
        ("ns/day", "ns_per_day"),
        ("ns/day, paper", "ns_per_day"),
    ]
    ours = [model for model in a.models if _row_of_paper(model) is not None]
    rows = []
    for row in paper.TABLE_1 if ours else ():
        own = [model for model in ours if _row_of_paper(model) is row]
        rows += [_beside(row, model) for model in own] or [_beside(row, None)]
    if ours:
        rows.append(_aimd())
    caption = (
        "Epochs: the paper's are of 30,000 frames in ten hours; below ours, its frames and time.",
        f"ns/day: the paper's on an {paper.GPU}; below ours, its device.",
        f"Paper: {paper.PAPER}, doi:{paper.DOI}.",
    )
    title = "Table 1: symmetry, size and speed, ours beside the paper's"
    return make_table("table-1", title, caption, columns, rows, n_words=4)


def _row_of_paper(model: Assessed) -> paper.PublishedModel | None:
    """The row of Table 1 on a model in full size; None of all others."""
    return paper.published_model(model.name) if model.size == "paper" else None


def _beside(row: paper.PublishedModel, model: Assessed | None) -> list[Shown]:
    name = said(row.name, "paper alone") if model is None else said(model.source, row.name)
    claimed, *known = [EMPTY] * 5 if model is None else _facts(model)
    symmetry, parameters, epochs, speed = known
    return [
        *(name, published(row.symmetry), claimed, symmetry),
        *(parameters, published(row.parameters_in_millions)),
        *(epochs, published(row.n_epochs)),
        *(speed, published(row.ns_per_day)),
    ]


def _aimd() -> list[Shown]:
    """AIMD, which has neither parameters nor epochs."""
    none = Shown(NOTHING, published=True)
    return [
        *(said("AIMD", "paper alone"), published(None), EMPTY, EMPTY),
        *(EMPTY, none, EMPTY, none),
        *(EMPTY, published(paper.AIMD_NS_PER_DAY)),
    ]


def run_models(a: Assessment) -> BenchmarkTable:
    """The same of small models and calculators, which the paper has nothing to set beside."""
    columns = [
        MODEL,
        ("kind", "kind"),
        ("trained on", "trained_on"),
        ("symmetry claimed", "symmetry_claimed"),
        ("measured", "symmetry_measured"),
        ("parameters", "parameters"),
        ("epochs", "epochs"),
        ("ns/day", "ns_per_day"),
    ]
    kinds = {"small": "small model", "paper": "model", None: "calculator"}
    rows = [
        [
            said(model.source),
            said(kinds.get(model.size, NOTHING)),
            said(", ".join(model.training_materials) or NOTHING),
            *_facts(model),
        ]
        for model in a.models
        if _row_of_paper(model) is None
    ]
    caption = (
        "Small models have the architecture of the paper's, but fewer channels and layers: none of "
        "their numbers compares with its Table 1.",
    )
    title = "Models of this run"
    return make_table("run-models", title, caption, columns, rows, n_words=5)


def _facts(model: Assessed) -> list[Shown]:
    """Claims, what the audit found, parameters, epochs, ns/day."""
    trained, audit = model.trained, model.audit
    speed = EMPTY
    if model.ns_per_day is not None:
        file = None if audit is None else audit.origin.file
        text, device = plain_number(model.ns_per_day), model.device or ""
        key = "attributes/facts/ns_per_day"
        speed = stated(model.ns_per_day, file, key, text=text, remark=device)
    return [
        _claims(trained, audit),
        EMPTY if audit is None else _audited(audit),
        *([EMPTY, EMPTY] if trained is None else _training(trained)),
        speed,
    ]


def _training(trained: TrainedModel) -> list[Shown]:
    """Parameters and epochs."""
    file = trained.origins[0].file if trained.origins else None
    n, epochs = trained.n_parameters, trained.n_epochs
    spent = f"{trained.n_frames:,} frames, {duration(trained.budget_s)}"
    return [
        stated(n, file, "training/n_parameters", text=f"{n:,}"),
        stated(epochs, file, "training/n_epochs", text=plain_number(epochs), remark=spent),
    ]


def _claims(trained: TrainedModel | None, audit: Audited | None) -> Shown:
    if trained is not None:
        forces = "conservative" if trained.conservative else "direct"
        return said(trained.symmetry, f"{forces} forces")
    if audit is None:
        return EMPTY
    claimed = {check.name: check.claimed for check in audit.checks}
    return said(_group(claimed))


def _audited(audit: Audited) -> Shown:
    """The group that was measured, whether all claims hold, and those that do not."""
    passed = {check.name: check.passed for check in audit.checks}
    failed = ", ".join(check.name for check in audit.failed)
    words = f"fails: {failed}" if failed else f"all {audit.n_claimed} claims hold"
    group, symbol = _group(passed), "✗" if failed else "✓"
    decisive = next((check for check in audit.checks if check.name == "rotation"), None)
    cited = None if decisive is None else _deviation(audit, decisive)
    return Shown(f"{symbol} {group}", cited, words, value=group, remark=words)


def _deviation(audit: Audited, check: Check) -> Cited:
    found = Estimate(check.deviation, None, None, "")
    return Cited(found, audit.origin.file, f"deviation, {check.name}")


def _group(holds: dict[str, bool]) -> str:
    """The group of those translations, rotations and reflections that hold."""
    groups = ("translation", "T(3)"), ("rotation", "SE(3)"), ("reflection", "E(3)")
    found = "none"
    for check, group in groups:
        if check not in holds:
            return f"{found}, {check} not known"
        if not holds[check]:
            break
        found = group
    return found
