"""Verdicts as JSON, text and CSV."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mdbench.analysis.ranking import Correlation, Rank
from mdbench.analysis.stability import Needed
from mdbench.reporting.assessment import (
    METRICS,
    Assessed,
    Assessment,
    Cited,
    Metric,
    Stability,
    Standing,
)
from mdbench.reporting.tables import Cell, text_table
from mdbench.stages.assess_files import kelvin
from mdbench.stages.assess_ranks import cited
from mdbench.stats import Estimate
from mdbench.table import Table

#: Names of the metrics in tables.
_NAMES: Mapping[Metric, str] = {
    "force_mae": "force MAE (meV/A)",
    "rdf_mae": "rdf_mae",
    "conductivity_error": "|log10 D/D_ref|",
}


def group_json(model: Assessed, standing: Standing) -> dict[str, Any]:
    """One force field on one material as plain JSON values."""
    errors, found = standing.accuracy, standing.transport
    metrics = {metric: cited(standing, metric) for metric in METRICS}
    return {
        "source": model.source,
        "material": standing.material,
        "state": standing.state,
        "failure_modes": standing.failure_modes,
        "n_runs": standing.n_runs,
        "n_failed": standing.n_failed,
        **{metric: _quantity(each) for metric, each in metrics.items()},
        "force_r2": _quantity(None if errors is None else errors.force_r2),
        "energy_mae": _quantity(None if errors is None else errors.energy_mae),
        "transfer": None if errors is None else errors.transfer,
        "no_accuracy": standing.no_accuracy,
        "temperatures": [_stability_json(each) for each in standing.stability],
        "common_k": list(standing.common_k),
        "diffusivity_ratio": _quantity(None if found is None else found.ratio),
        "diffusivity_p": None if found is None else found.p,
        "diffusivity_differs": None if found is None else found.differs,
        "conductivity": _quantity(None if found is None else found.extrapolated),
        "activation_energy": _quantity(None if found is None else found.activation_energy),
        "at_k": None if found is None else found.at_k,
        "ranks": {metric: _rank_json(place) for metric, place in standing.ranks.items()},
        "failed": list(standing.failed),
        "needed": [
            {"temperature_k": each.temperature_k, **each.needed}
            for each in standing.stability
            if each.needed is not None
        ],
        "files": {
            metric: {"file": each.file, "key": each.key}
            for metric, each in metrics.items()
            if each is not None
        },
    }


def correlation_json(found: Correlation) -> dict[str, Any]:
    """A correlation as plain JSON values."""
    return {
        "x": found.x,
        "y": found.y,
        "rho": found.rho,
        "low": found.low,
        "high": found.high,
        "p": found.p,
        "least_p": found.least_p,
        "resolved": found.resolved,
        "n_models": found.n_models,
        "reason": found.reason,
        "points": [
            {"name": name, "x": x.as_json(), "y": y.as_json()} for name, x, y in found.points
        ],
        "failed": [{"name": name, "x": x.as_json()} for name, x in found.failed],
    }


def _stability_json(found: Stability) -> dict[str, Any]:
    floor = found.floor
    return {
        "temperature_k": found.temperature_k,
        "rdf_mae": found.rdf_mae.estimate.as_json(),
        "noise_floor": None if floor is None else {"expected": floor[0], "q95": floor[1]},
        "verdict": found.state,
        "paper_verdict": found.paper,
        "failure_mode": found.failure_mode,
        "reason": found.reason,
        "n_runs": found.n_runs,
        "needed": found.needed,
        "file": found.file,
    }


def _rank_json(place: Rank) -> dict[str, Any]:
    return {**vars(place), "resolved": place.resolved}


def _quantity(found: Cited | None) -> dict[str, Any] | None:
    return None if found is None else found.estimate.as_json()


def assessment_text(found: Assessment, models: Sequence[Assessed]) -> str:
    """A table for each material, best first, and what there is to say about it."""
    parts = []
    for material in found.materials:
        here = [(m.source, m.standings[material]) for m in models if material in m.standings]
        if here:
            parts.append(_material_text(material, sorted(here, key=_place), found.models))
    parts += [f"{model.source}: no results" for model in models if not model.standings]
    lines = [
        "best first, by rdf_mae at the temperatures that all models have; a rank as 1-3 is not "
        "resolved: any of these places"
    ]
    lines += [correlation_text(each) for each in found.correlations]
    return "\n\n".join([*parts, "\n".join(lines)])


def _place(one: tuple[str, Standing]) -> tuple[int, float, str]:
    source, standing = one
    rank, found = standing.ranks.get("rdf_mae"), cited(standing, "rdf_mae")
    value = None if found is None else found.estimate.value
    if rank is None or value is None:
        return 1_000_000 if rank is None else rank.best, 0.0, source
    after = "rdf_mae" in standing.failed
    return rank.best if after else 0, value, source


def _material_text(
    material: str, here: Sequence[tuple[str, Standing]], models: Sequence[Assessed]
) -> str:
    header = ["model", "verdict", "failure"]
    for metric in METRICS:
        header += [_NAMES[metric], "rank"]
    rows: list[list[Cell]] = []
    for source, standing in here:
        row: list[Cell] = [source, standing.state or "no runs"]
        row.append(", ".join(standing.failure_modes) or None)
        for metric in METRICS:
            row += [_shown(standing, metric), _rank_text(standing.ranks.get(metric))]
        rows.append(row)
    trained = any(material in model.training_materials for model in models)
    title = material + (" (training)" if trained else "")
    lines = [line for source, standing in here for line in _remarks(source, standing)]
    return "\n".join([title, text_table(header, rows), *lines])


def _shown(standing: Standing, metric: Metric) -> str | None:
    found = cited(standing, metric)
    if found is None:
        return "failed" if metric in standing.failed else None
    return estimate_text(found.estimate)


def estimate_text(estimate: Estimate) -> str:
    """A value with three digits; a lower limit where it has none."""
    if estimate.value is not None:
        return f"{estimate.value:#.3g}".rstrip(".")
    return "not resolved" if estimate.low is None else f"> {estimate.low:.2g}"


def _rank_text(place: Rank | None) -> str | None:
    if place is None:
        return None
    return str(place.best) if place.resolved else f"{place.best}-{place.worst}"


def _remarks(source: str, standing: Standing) -> Iterator[str]:
    """How runs failed, and what would settle what is not decided."""
    if standing.no_accuracy is not None:
        yield f"{source}: {standing.no_accuracy}"
    bad = [each for each in standing.stability if each.evidence]
    if bad:
        first = bad[0].evidence[0]
        runs = f"{standing.n_failed} of {standing.n_runs} runs fail"
        where = kelvin(bad[0].temperature_k)
        yield f"{source}: {runs}; first {first['mode']} at {where}: {first['message']}"
    open_ = [s for s in standing.stability if s.state in ("undecided", "indistinguishable")]
    if open_ and standing.state != "unstable":
        yield f"{source}: not decided at {_kelvins(open_)}; {_settled_by(open_)}"


def _kelvins(chosen: Sequence[Stability]) -> str:
    return " and ".join(kelvin(each.temperature_k) for each in chosen)


def _settled_by(chosen: Sequence[Stability]) -> str:
    """What the temperature takes that takes most."""
    beyond = [each for each in chosen if each.needed is None]
    if beyond:
        where = _kelvins(beyond)
        return f"rdf_mae is above the threshold at {where}: more data tell whether that is noise"
    most = max((Needed(**each.needed) for each in chosen if each.needed), key=lambda n: n.factor)
    return f"about {most} at each would settle it, {most.factor:.2g} times the data"


def correlation_text(found: Correlation) -> str:
    """A correlation in one line."""
    name = f"does {found.x} tell {found.y}?"
    if found.rho is None:
        return f"{name} nothing to say: {found.reason}"
    text = f"{name} rank correlation {found.rho:.2f}"
    if found.low is not None and found.high is not None:
        text += f" ({found.low:.2f} to {found.high:.2f})"
    if found.p is None:
        return f"{text}; {found.reason}"
    text += f", p = {found.p:.2g}: {'resolved' if found.resolved else 'not resolved'}"
    if found.least_p is not None and found.least_p >= 0.05:
        text += f", and {found.n_models} models cannot resolve any (p {found.least_p:.2g} at least)"
    return text


def groups_table(groups: Sequence[Mapping[str, Any]]) -> Table:
    """One row per force field and material."""
    header = ["source", "material", "state", "failure_modes", "n_runs", "n_failed"]
    for metric in METRICS:
        header += [metric, f"{metric}_low", f"{metric}_high", f"{metric}_unit"]
        header += [f"{metric}_rank_best", f"{metric}_rank_worst", f"{metric}_rank_of"]
    rows: list[list[Cell]] = []
    for group in groups:
        row: list[Cell] = [group["source"], group["material"], group["state"]]
        row += ["; ".join(group["failure_modes"]), group["n_runs"], group["n_failed"]]
        for metric in METRICS:
            found, place = group[metric] or {}, group["ranks"].get(metric, {})
            row += [found.get(key) for key in ("value", "low", "high", "unit")]
            row += [place.get(key) for key in ("best", "worst", "of")]
        rows.append(row)
    return Table(header, rows)
