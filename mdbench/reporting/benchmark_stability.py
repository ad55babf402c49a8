"""The figure of force errors beside errors of structure, for all models of a benchmark."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from mdbench.analysis.stability import THRESHOLD
from mdbench.reporting.assessment import STATES, Assessed, Assessment, Standing, State
from mdbench.reporting.benchmark_marks import (
    AROUND_ROWS,
    BAND,
    NO_VALUE,
    ROW,
    BenchmarkFigure,
    Fill,
    draw,
    legend_below,
    name_rows,
    same_temperature,
    say,
    scale_of,
    spanned,
)
from mdbench.reporting.figures import COLORS, PAGE_WIDTH, STYLE, Look, plain
from mdbench.reporting.markup import count
from mdbench.stats import Estimate

_LOOKS: dict[State, tuple[Look, Fill]] = {
    "stable": (Look(COLORS[2], "o"), "full"),
    "indistinguishable": (Look(COLORS[0], "o"), "none"),
    "undecided": (Look(COLORS[4], "D"), "none"),
    "unstable": (Look(COLORS[1], "X"), "full"),
}
_NO_STATE: tuple[Look, Fill] = (Look(NO_VALUE, "s"), "none")
#: Height of the name of an axis, inches.
_AXIS_NAME = 0.15
_FORCES = Look(COLORS[6], "o")
_THRESHOLD: dict[str, Any] = {"color": "0.25", "linewidth": 0.8, "linestyle": (0, (4, 2))}
_NOISE: dict[str, Any] = {"color": BAND, "linewidth": 0}


def structure_figure(assessment: Assessment) -> BenchmarkFigure | None:
    """Force MAE left, rdf_mae right, a row for each model, a block for each material.

    None without a model that was evaluated or run.
    """
    materials = [
        material
        for material in assessment.materials
        if any(_tried(model.standings.get(material)) for model in assessment.models)
    ]
    if not materials:
        return None
    found = [s for model in assessment.models for s in model.standings.values()]
    forces = scale_of((e for s in found if (e := _force_mae(s)) is not None), zero=True)
    rdf = scale_of(
        (s.rdf_mae.estimate for s in found if s.rdf_mae is not None),
        also=[THRESHOLD, *(x for s in found for x in _seen(s))],
        zero=True,
    )
    height = ROW * max(len(assessment.models), 2) + AROUND_ROWS
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(PAGE_WIDTH, height * len(materials) + _AXIS_NAME))
        panels = figure.subplots(len(materials), 2, squeeze=False)
        for (left, right), material in zip(panels, materials, strict=True):
            models = sorted(assessment.models, key=lambda m: _by_force(m, material))
            for axes, scale in ((left, forces), (right, rdf)):
                scale.set(axes, "x")
                name_rows(axes, [model.source for model in models], named=axes is left)
            left.set_title(_heading(models, material), loc="left", pad=3)
            for row, model in enumerate(models):
                standing = model.standings.get(material)
                _draw_forces(left, row, standing)
                _draw_rdf(right, row, standing)
            right.axvline(THRESHOLD, **_THRESHOLD)
        panels[-1, 0].set_xlabel("force MAE (meV/Å)")
        panels[-1, 1].set_xlabel("rdf_mae, mean over temperatures")
        legend_below(figure, _structure_legend(found))
    return BenchmarkFigure(
        name="figure-3",
        title="Errors of forces and of structure",
        alt=_structure_words(assessment, materials),
        caption=_structure_caption(assessment, materials),
        figure=figure,
    )


def _tried(standing: Standing | None) -> bool:
    """Whether a model was evaluated or run at all."""
    if standing is None:
        return False
    return bool(standing.accuracy or standing.no_accuracy or standing.stability)


def _force_mae(standing: Standing | None) -> Estimate | None:
    if standing is None or standing.accuracy is None:
        return None
    return standing.accuracy.force_mae.estimate


def _seen(standing: Standing) -> list[float]:
    """Values of rdf_mae, at single temperatures too, and the noise, that an axis must show."""
    single = [s.rdf_mae.estimate.value for s in standing.stability]
    return [x for x in (*single, *(noise_of(standing) or ())) if x is not None and x > 0.0]


def noise_of(standing: Standing) -> tuple[float, float] | None:
    """Expected rdf_mae of a perfect model and its 95 % quantile, means as that of rdf_mae.

    The quantile of the mean of independent noise lies below the mean of the quantiles.
    """
    floors = [
        each.floor
        for each in standing.stability
        if each.floor is not None
        and (not standing.common_k or _any_same(each.temperature_k, standing.common_k))
    ]
    if not floors:
        return None
    expected, q95 = np.mean(floors, axis=0)
    return float(expected), float(q95)


def _any_same(kelvin: float | None, others: Sequence[float | None]) -> bool:
    return any(same_temperature(kelvin, other) for other in others)


def _by_force(model: Assessed, material: str) -> tuple[float, str]:
    mae = _force_mae(model.standings.get(material))
    return (math.inf if mae is None or mae.value is None else mae.value, model.source)


def _heading(models: Sequence[Assessed], material: str) -> str:
    known = {
        s.accuracy.transfer
        for model in models
        if (s := model.standings.get(material)) is not None and s.accuracy is not None
    }
    if known == {True}:
        return f"{plain(material)}: not trained on"
    if known == {False}:
        return f"{plain(material)}: trained on"
    return plain(material)


def _draw_forces(axes: Axes, row: int, standing: Standing | None) -> None:
    mae = _force_mae(standing)
    if mae is not None and mae.resolved:
        draw(axes, [row], [mae], _FORCES, rows=True, label="force MAE")
    else:
        why = None if standing is None else standing.no_accuracy
        say(axes, row, "not evaluated" if why is None else "no finite forces")


def _draw_rdf(axes: Axes, row: int, standing: Standing | None) -> None:
    if standing is None or not standing.stability:
        say(axes, row, "no runs")
        return
    noise = noise_of(standing)
    if noise is not None:
        left, right = (float(np.clip(x, *axes.get_xlim())) for x in noise)
        axes.barh(row, right - left, left=left, height=1.0, zorder=0.5, **_NOISE)
    single = [s.rdf_mae.estimate.value for s in standing.stability]
    ticks = [x for x in single if x is not None and x > 0.0]
    axes.plot(ticks, [row] * len(ticks), "|", color="0.45", markersize=4, markeredgewidth=0.6)
    state = standing.state
    look, fill = _NO_STATE if state is None else _LOOKS[state]
    if standing.rdf_mae is not None and standing.rdf_mae.estimate.resolved:
        draw(axes, [row], [standing.rdf_mae.estimate], look, rows=True, fill=fill, label="rdf_mae")
    axes.text(
        1.02,
        row,
        _outcome(standing, bool(ticks)),
        transform=axes.get_yaxis_transform(),
        va="center",
        fontsize=6.5,
    )


def _outcome(standing: Standing, seen: bool) -> str:
    """The verdict with its first failure mode, and whether there is no number."""
    mode, *others = [*standing.failure_modes, ""]
    words = str(standing.state) + (f": {mode}" if mode else "")
    words += f" +{len(others) - 1}" if len(others) > 1 else ""
    if standing.rdf_mae is None or not standing.rdf_mae.estimate.resolved:
        words += ", no mean" if seen else ", no value"
    return plain(words)


def _structure_legend(found: Sequence[Standing]) -> list[Line2D | Patch]:
    """What is in the figure."""
    style: dict[str, Any] = {"linestyle": "none", "markersize": 4.0, "markeredgewidth": 0.8}
    present = {standing.state for standing in found}
    entries: list[Line2D | Patch] = [
        Line2D([], [], color=look.color, marker=look.marker, fillstyle=fill, label=state, **style)
        for state, (look, fill) in _LOOKS.items()
        if state in present
    ]
    if any(standing.stability for standing in found):
        tick: dict[str, Any] = {**style, "markeredgewidth": 0.6, "color": "0.45"}
        entries.append(Line2D([], [], marker="|", label="one temperature", **tick))
    entries.append(Line2D([], [], label=f"threshold {THRESHOLD:g}", **_THRESHOLD))
    if any(noise_of(standing) is not None for standing in found):
        entries.append(Patch(label="noise of a perfect model", **_NOISE))
    return entries


def _structure_words(assessment: Assessment, materials: Sequence[str]) -> str:
    words = [f"Force MAE and rdf_mae of {count(len(assessment.models), 'model')}."]
    for material in materials:
        found = [s for m in assessment.models if (s := m.standings.get(material)) is not None]
        states = Counter(s.state for s in found)
        counts = [f"{states[state]} {state}" for state in reversed(STATES) if states[state]]
        parts = [", ".join(counts) or "no verdict"]
        values = [
            e.value for s in found if (e := _force_mae(s)) is not None and e.value is not None
        ]
        if values:
            parts.append(f"force MAE {spanned(values)} meV/Å")
        means = [x for s in found if s.rdf_mae and (x := s.rdf_mae.estimate.value) is not None]
        if means:
            parts.append(f"rdf_mae {spanned(means, 2)}")
        modes = Counter(mode for s in found for mode in s.failure_modes)
        parts += [f"{mode} in {n}" for mode, n in modes.items()]
        words.append(f"{material}: {'; '.join(parts)}.")
    return " ".join(words)


def _structure_caption(assessment: Assessment, materials: Sequence[str]) -> str:
    states = [
        standing.state
        for model in assessment.models
        for material, standing in model.standings.items()
        if material in materials and standing.state is not None
    ]
    open_ = sum(state in ("undecided", "indistinguishable") for state in states)
    resolved = (
        f"Not resolved: {open_} of {len(states)} verdicts."
        if open_
        else ("All verdicts are resolved." if states else "There are no runs to judge.")
    )
    return (
        "Models in order of their force error, with 95 % intervals; gray is what a perfect model "
        "would show from noise, from the expected value to the 95 % quantile (the mean of those of "
        "all temperatures, so rather too high). At the right stands the worst verdict of all "
        f"temperatures. {resolved}"
    )
