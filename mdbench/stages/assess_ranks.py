"""Ranks of force fields by each metric, and whether errors of forces tell those of dynamics."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from mdbench.analysis.ranking import Correlation, Pair, correlate, rank
from mdbench.analysis.stability import DECISIVE_MODES
from mdbench.reporting.assessment import METRICS, Assessed, Cited, Metric, Stability, Standing
from mdbench.stages.assess_files import mean_rdf_mae
from mdbench.stages.runs import same_temperature
from mdbench.stats import Estimate

#: What is held against each other.
_CORRELATED: tuple[tuple[Metric, Metric], ...] = (
    ("force_mae", "rdf_mae"),
    ("force_mae", "conductivity_error"),
)


def materials_of(models: Sequence[Assessed], others: Iterable[str] = ()) -> list[str]:
    """Names of all materials, those of training first."""
    trained = {material for model in models for material in model.training_materials}
    found = {material for model in models for material in model.standings} | set(others)
    return sorted(found, key=lambda material: (material not in trained, material))


def ranked(models: Sequence[Assessed]) -> tuple[list[Assessed], list[str]]:
    """The models with means over common temperatures and ranks, and what could not be ranked."""
    notes = []
    found = {model.source: dict(model.standings) for model in models}
    for material in materials_of(models):
        here = {source: s[material] for source, s in found.items() if material in s}
        runs = {source: standing.stability for source, standing in here.items()}
        common = _common_k([each for each in runs.values() if each])
        if not common and sum(bool(each) for each in runs.values()) > 1:
            notes.append(f"{material}: no temperature that all models have: no ranks by rdf_mae")
        for source, standing in here.items():
            here[source] = _with_mean(standing, common)
        for metric in METRICS:
            values = {
                source: value
                for source, standing in here.items()
                if (value := _value(standing, metric)) is not None
            }
            lost = [source for source, standing in here.items() if metric in standing.failed]
            for source, place in rank(values, lost).items():
                standing = here[source]
                here[source] = replace(standing, ranks={**standing.ranks, metric: place})
        for source, standing in here.items():
            found[source][material] = standing
    return [replace(model, standings=found[model.source]) for model in models], notes


def _common_k(runs: Sequence[Sequence[Stability]]) -> list[float | None]:
    """Temperatures that all have, K."""
    if not runs:
        return []
    return [
        first.temperature_k
        for first in runs[0]
        if all(
            any(same_temperature(first.temperature_k, s.temperature_k) for s in each)
            for each in runs
        )
    ]


def _with_mean(standing: Standing, common_k: Sequence[float | None]) -> Standing:
    chosen = [
        each
        for each in standing.stability
        if any(same_temperature(each.temperature_k, t) for t in common_k)
    ]
    failed: list[Metric] = []
    if standing.no_accuracy is not None:
        failed.append("force_mae")
    if any(mode in DECISIVE_MODES for mode in standing.failure_modes):
        failed.append("rdf_mae")
    found = standing.transport
    if found is not None and found.failure_mode == "ended early":
        failed.append("conductivity_error")
    mean = mean_rdf_mae(chosen) if chosen else None
    return replace(standing, rdf_mae=mean, common_k=tuple(common_k), failed=tuple(failed))


def cited(standing: Standing, metric: Metric) -> Cited | None:
    """What a model is ranked by."""
    if metric == "force_mae":
        return None if standing.accuracy is None else standing.accuracy.force_mae
    return standing.rdf_mae if metric == "rdf_mae" else standing.conductivity_error


def _value(standing: Standing, metric: Metric) -> Estimate | None:
    found = cited(standing, metric)
    return None if found is None else found.estimate


def correlations(models: Sequence[Assessed]) -> list[Correlation]:
    """Whether one error tells the other, over all models and materials that have both.

    A force field that several runs have counts once in each material.
    """
    return [_correlation(models, x, y) for x, y in _CORRELATED]


def _correlation(models: Sequence[Assessed], x: Metric, y: Metric) -> Correlation:
    nothing = Estimate(None, None, None, "")
    pairs, seen = [], set()
    for model in models:
        for material, standing in model.standings.items():
            own, other = _value(standing, x), _value(standing, y)
            failed, key = y in standing.failed, (_identity(model), material)
            if own is not None and (other is not None or failed) and key not in seen:
                seen.add(key)
                pairs.append(Pair(model.source, material, own, other or nothing, failed))
    return correlate(x, y, pairs)


def _identity(model: Assessed) -> str:
    """The same for one force field in several runs: its weights, else its name."""
    if model.trained is not None:
        return model.trained.weights
    return model.source.removesuffix(f" ({model.run})")
