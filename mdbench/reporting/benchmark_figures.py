"""The figures of a benchmark: what all models of a run did, on all its materials."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.markers import CARETUP

from mdbench.analysis.ranking import Correlation
from mdbench.analysis.stability import THRESHOLD
from mdbench.reporting.assessment import Assessed, Assessment, Metric, Standing
from mdbench.reporting.benchmark_marks import (
    NO_VALUE,
    BenchmarkFigure,
    Fill,
    draw,
    entry,
    legend_below,
    rows_and_columns,
    scale_of,
)
from mdbench.reporting.benchmark_stability import structure_figure
from mdbench.reporting.benchmark_survival import survival_figure
from mdbench.reporting.benchmark_transport import (
    activation_figure,
    conduction_figure,
    diffusivity_figure,
)
from mdbench.reporting.figures import PAGE_WIDTH, STYLE, Look, looks, save
from mdbench.reporting.markup import count
from mdbench.stats import Estimate
from mdbench.units import HOUR_IN_S

__all__ = ["BenchmarkFigure", "benchmark_figures", "save_all"]

_SUFFIXES = (".png", ".svg", ".pdf")
#: Of a row of panels, inches; of a marker, points.
_HEIGHT, _SIZE = 2.6, 4.8
_NAMES: dict[str, str] = {
    "force_mae": "force MAE (meV/Å)",
    "rdf_mae": "rdf_mae",
    "conductivity_error": r"$|\log_{10}(D/D_\mathrm{reference})|$",
}
_WORDS: dict[str, str] = {
    "force_mae": "force MAE",
    "rdf_mae": "rdf_mae",
    "conductivity_error": "error of diffusivity",
}
#: What of a marker is filled, by material.
_FILLS: tuple[Fill, ...] = ("full", "none", "left", "bottom", "right", "top")

_THRESHOLD: dict[str, Any] = {"color": "0.25", "linewidth": 0.8, "linestyle": (0, (4, 2))}
Looks = Mapping[str, tuple[Look, Fill]]


def benchmark_figures(assessment: Assessment) -> list[BenchmarkFigure]:
    """The figures that have something to show, in the order of the page."""
    makers: tuple[Callable[[Assessment], BenchmarkFigure | None], ...] = (
        structure_figure,
        conduction_figure,
        correlation_figure,
        survival_figure,
        diffusivity_figure,
        activation_figure,
        cost_figure,
    )
    found = [made for make in makers if (made := make(assessment)) is not None]
    for each in found:
        _settle(each.figure)
    return found


def _settle(figure: Figure) -> None:
    """Places all panels for good: a figure is drawn four times, and layout takes half of it."""
    with mpl.rc_context(STYLE):
        figure.draw_without_rendering()
    figure.set_layout_engine("none")


def save_all(folder: Path, figures: Sequence[BenchmarkFigure]) -> None:
    """Writes each figure as PNG, SVG and PDF; each file whole or not at all."""
    for each in figures:
        for suffix in _SUFFIXES:
            save(each.figure, folder / f"{each.name}{suffix}")


def correlation_figure(assessment: Assessment) -> BenchmarkFigure | None:
    """A panel for each correlation of two errors, a point for each model and material.

    None where there is not one point.
    """
    found = assessment.correlations
    present = {label for c in found for label, _, _ in c.points}
    present |= {label for c in found for label, _ in c.failed}
    if not present:
        return None
    each = _looks(assessment)
    absent = [m.source for m in assessment.models if not present & _labels(assessment, m.source)]
    rows, columns = rows_and_columns(len(found))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(PAGE_WIDTH, _HEIGHT * rows))
        for index, correlation in enumerate(found):
            axes = figure.add_subplot(rows, columns, index + 1)
            _correlate(axes, correlation, each)
            axes.set_title("\n".join(_stated(correlation)), loc="left", pad=4, fontsize=7)
        legend_below(figure, _legend(assessment, present))
    told = [f"{_WORDS[c.x]} and {_WORDS[c.y]}: {', '.join(_stated(c))}" for c in found]
    n_open = sum(not c.resolved for c in found)
    verdict = f"Not resolved: {n_open} of {len(found)}." if n_open else "All are resolved."
    failed = "at the upper edge failed models, which count as worst; " if _any_failed(found) else ""
    return BenchmarkFigure(
        name="correlation",
        title="Do errors of forces tell errors of dynamics?",
        alt=f"Errors of force fields against each other. {'. '.join(told)}.",
        caption=(
            f"A point for each model and material, with 95 % intervals; {failed}ρ is Spearman's "
            "rank correlation over models within materials, p that of none, by permutation. "
            f"{verdict}" + (f" Without both errors: {', '.join(absent)}." if absent else "")
        ),
        figure=figure,
    )


def cost_figure(assessment: Assessment) -> BenchmarkFigure | None:
    """Force MAE and rdf_mae over what a model took; hours of CPUs and of GPUs stand apart.

    None where no model has a cost and an error.
    """
    metrics: tuple[Metric, ...] = ("force_mae", "rdf_mae")
    hours = {model.source: spent for model in assessment.models if (spent := _hours(model))}
    present = {
        f"{model.source}, {material}"
        for model in assessment.models
        for material, standing in model.standings.items()
        if model.source in hours and any(_error(standing, metric) for metric in metrics)
    }
    found = [m for m in assessment.models if present & _labels(assessment, m.source)]
    if not found:
        return None
    kinds = sorted({hours[model.source][0] for model in found})
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(PAGE_WIDTH, _HEIGHT * len(kinds)))
        panels = figure.subplots(len(kinds), 2, squeeze=False)
        for line, kind in zip(panels, kinds, strict=True):
            of_kind = {source: h for source, (own, h) in hours.items() if own == kind}
            for axes, metric in zip(line, metrics, strict=True):
                _over_hours(axes, assessment, metric, of_kind)
                axes.set_xlabel(f"{kind} hours")
        legend_below(figure, _legend(assessment, present))
    dearest = max(found, key=lambda model: hours[model.source][1])
    kind, most = hours[dearest.source]
    stages = sorted({cost.stage for model in found for cost in model.costs})
    return BenchmarkFigure(
        name="cost",
        title="Errors over cost",
        alt=(
            f"Force MAE and rdf_mae of {count(len(found), 'model')} over the hours that they "
            f"took; {dearest.source} took most, {most:.3g} {kind} hours."
        ),
        caption=(
            f"Hours of all stages together ({', '.join(stages)}), of models that used a GPU those "
            "of the GPU; errors with 95 % intervals. Models of which one of the two is unknown are "
            "left out."
        ),
        figure=figure,
    )


def _error(standing: Standing, metric: Metric) -> Estimate | None:
    """An error with a value; None without."""
    if metric == "force_mae":
        cited = None if standing.accuracy is None else standing.accuracy.force_mae
    else:
        cited = standing.rdf_mae if metric == "rdf_mae" else standing.conductivity_error
    return None if cited is None or not cited.estimate.resolved else cited.estimate


def _any_failed(found: Sequence[Correlation]) -> bool:
    return any(correlation.failed for correlation in found)


def _stated(found: Correlation) -> tuple[str, str]:
    """What a correlation says, in two lines."""
    n = f"{len(found.points) + len(found.failed)} points"
    if found.rho is None:
        return "Spearman's ρ: not resolved", found.reason or n
    limits = ""
    if found.low is not None and found.high is not None:
        limits = f" ({_signed(found.low)} to {_signed(found.high)})"
    rho = f"ρ = {_signed(found.rho)}{limits}"
    if found.p is None:
        return rho, f"{n}: not resolved; {found.reason or 'no p'}"
    return rho, f"p = {found.p:.2g}, {n}: {'resolved' if found.resolved else 'not resolved'}"


def _signed(x: float) -> str:
    return f"{x:.2f}".replace("-", "−")


def _correlate(axes: Axes, found: Correlation, each: Looks) -> None:
    """Points with both intervals, which are cut at the frame; those that failed above."""
    _set_scale(
        axes, "x", found.x, [*(x for _, x, _ in found.points), *(x for _, x in found.failed)]
    )
    _set_scale(axes, "y", found.y, [y for _, _, y in found.points], 0.15 if found.failed else 0.0)
    if not found.points and not found.failed:
        axes.text(0.5, 0.5, "no value", transform=axes.transAxes, ha="center", color=NO_VALUE)
    for label, x, y in found.points:
        assert x.value is not None
        assert y.value is not None
        look, fill = each[label]
        if x.low is not None and x.high is not None:
            left, right = axes.get_xlim()
            bar = max(x.low, left), min(x.high, right)
            axes.hlines(y.value, *bar, color=look.color, linewidth=0.9)
        draw(axes, [x.value], [y], look, fill=fill, size=_SIZE, label=label)
    above: dict[str, Any] = {"transform": axes.get_xaxis_transform(), "linestyle": "none"}
    for label, x in found.failed:
        assert x.value is not None
        look, fill = each[label]
        marker: dict[str, Any] = {"marker": look.marker, "markersize": _SIZE, "fillstyle": fill}
        marker["markerfacecoloralt"] = "white"
        axes.plot([x.value], [0.9], color=look.color, label=label, **marker, **above)
        axes.plot([x.value], [0.98], color=look.color, marker=CARETUP, markersize=4.0, **above)


def _set_scale(
    axes: Axes,
    direction: Literal["x", "y"],
    name: str,
    shown: Sequence[Estimate],
    room: float = 0.0,
) -> None:
    """An axis of errors, with the threshold of the literature on one of rdf_mae."""
    threshold = [THRESHOLD] if name == "rdf_mae" else []
    log = False if name == "conductivity_error" else None
    scale_of(shown, also=threshold, log=log, zero=True).raised(room).set(axes, direction)
    (axes.set_xlabel if direction == "x" else axes.set_ylabel)(_NAMES[name])
    for limit in threshold:
        (axes.axvline if direction == "x" else axes.axhline)(limit, **_THRESHOLD)


def _over_hours(
    axes: Axes, assessment: Assessment, metric: Metric, hours: Mapping[str, float]
) -> None:
    points = {
        (model.source, material): error
        for model in assessment.models
        if model.source in hours
        for material, standing in model.standings.items()
        if (error := _error(standing, metric)) is not None
    }
    spent = [Estimate(hours[source], None, None, "h") for source, _ in points]
    scale_of(spent, zero=True).set(axes, "x")
    _set_scale(axes, "y", metric, list(points.values()))
    if not points:
        axes.text(0.5, 0.5, "no value", transform=axes.transAxes, ha="center", color=NO_VALUE)
    each = _looks(assessment)
    for (source, material), error in points.items():
        label = f"{source}, {material}"
        look, fill = each[label]
        draw(axes, [hours[source]], [error], look, fill=fill, size=_SIZE, label=label)


def _labels(assessment: Assessment, source: str) -> set[str]:
    """What the points of a model are called."""
    return {f"{source}, {material}" for material in assessment.materials}


def _looks(assessment: Assessment) -> Looks:
    """By "model, material": color and marker are the model's, what is filled the material's."""
    return {
        f"{source}, {material}": (look, _FILLS[number % len(_FILLS)])
        for source, look in looks([model.source for model in assessment.models]).items()
        for number, material in enumerate(assessment.materials)
    }


def _legend(assessment: Assessment, present: Collection[str]) -> list[Line2D]:
    """The models, and the materials if there are several, that have a point."""
    models, materials = [model.source for model in assessment.models], assessment.materials
    named = [
        entry(source, look)
        for source, look in looks(models).items()
        if any(f"{source}, {material}" in present for material in materials)
    ]
    if len(materials) < 2:
        return named
    gray = Look(NO_VALUE, "o")
    return named + [
        entry(material, gray, _FILLS[number % len(_FILLS)])
        for number, material in enumerate(materials)
        if any(f"{source}, {material}" in present for source in models)
    ]


def _hours(model: Assessed) -> tuple[str, float] | None:
    """GPU hours of a model that used one, else CPU hours; None where neither is known."""
    gpu_s = sum(cost.gpu_s for cost in model.costs)
    cpu_s = sum(cost.cpu_s for cost in model.costs)
    if gpu_s > 0.0:
        return "GPU", gpu_s / HOUR_IN_S
    return ("CPU", cpu_s / HOUR_IN_S) if cpu_s > 0.0 else None
