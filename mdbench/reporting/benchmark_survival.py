"""The figure of survival: how long the runs of each model of a benchmark stay sound."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from mdbench.analysis.survival import Survival, survival
from mdbench.reporting.assessment import Assessment, Standing
from mdbench.reporting.benchmark_marks import (
    AROUND_ROWS,
    BenchmarkFigure,
    Scale,
    legend_below,
    name_rows,
    rows_and_columns,
    say,
)
from mdbench.reporting.figures import COLORS, PAGE_WIDTH, STYLE, plain

_SOUND, _SOUND_BAND = COLORS[0], COLORS[5]
#: Height of the lane of a curve, inches, and the share of it that the curve takes.
_LANE, _LANE_SHARE = 0.34, 0.8


def survival_figure(assessment: Assessment) -> BenchmarkFigure | None:
    """A lane for each model with its survival curve, a panel for each material.

    None without runs that have a time axis.
    """
    curves = {
        material: {
            model.source: curve
            for model in assessment.models
            if (s := model.standings.get(material)) is not None
            and (curve := pooled_survival(s)) is not None
        }
        for material in assessment.materials
    }
    curves = {material: found for material, found in curves.items() if found}
    if not curves:
        return None
    rows, columns = rows_and_columns(len(curves))
    height = max(_LANE * len(assessment.models), 0.8) + AROUND_ROWS
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(PAGE_WIDTH, height * rows))
        for index, (material, found) in enumerate(curves.items()):
            axes = figure.add_subplot(rows, columns, index + 1)
            names = [model.source for model in assessment.models]
            end_ps = max(curve.end_ps for curve in found.values())
            Scale(0.0, end_ps or 1.0, False).set(axes, "x")
            name_rows(axes, names, named=index % columns == 0, lines=False)
            axes.set_title(plain(material), loc="left", pad=3)
            axes.set_xlabel("time (ps)")
            for lane, model in enumerate(assessment.models):
                curve = found.get(model.source)
                if curve is not None:
                    _draw_lane(axes, lane, curve)
                else:
                    standing = model.standings.get(material)
                    ran = standing is not None and standing.stability
                    say(axes, lane, "times unknown" if ran else "no runs")
            if (index + 1) % columns == 0 or index + 1 == len(curves):
                _number_lane(axes)
        legend_below(figure, _survival_legend())
    n_runs, n_failed = _runs_and_failures([c for found in curves.values() for c in found.values()])
    return BenchmarkFigure(
        name="survival",
        title="How long runs stay sound",
        alt=_survival_words(curves),
        caption=(
            "Share of runs without a failure, Kaplan and Meier's estimate over the runs at all "
            "temperatures of a material; each lane reaches from 0 (below) to 1 (above). Intervals "
            "(95 %, at any one time) take all runs as alike, so they are rather too wide; "
            f"{n_failed} of {n_runs} runs failed."
        ),
        figure=figure,
    )


def pooled_survival(standing: Standing) -> Survival | None:
    """Survival over the runs at all temperatures; None without a time axis.

    The intervals take failures as equally likely at all temperatures. Where they are not, the
    number of failures scatters less than binomially, and the intervals cover more than they say.
    """
    times_ps: list[float] = []
    failed: list[bool] = []
    for each in standing.stability:
        if each.survival is None:
            return None
        own_ps, own = _runs_of(each.survival, each.n_runs)
        times_ps += own_ps
        failed += own
    return survival(times_ps, failed) if times_ps else None


def _runs_of(stored: Mapping[str, Any], n_runs: int) -> tuple[list[float], list[bool]]:
    """When each run failed or ended, ps, and whether it failed: a survival curve taken apart."""
    times_ps: list[float] = []
    failed: list[bool] = []
    before = n_runs
    steps = zip(stored["times_ps"], stored["at_risk"], stored["failed"], strict=True)
    for time_ps, during, n_failed in steps:
        n_ended = before - during - n_failed
        times_ps += [float(time_ps)] * (n_failed + n_ended)
        failed += [True] * n_failed + [False] * n_ended
        before = during
    times_ps += [float(stored["end_ps"])] * before
    failed += [False] * before
    return times_ps, failed


def _draw_lane(axes: Axes, lane: int, curve: Survival) -> None:
    """The curve from 0 at the lower edge of its lane to 1 at the upper one."""

    def height(share: Any) -> Any:
        return lane + _LANE_SHARE * (0.5 - np.append(share, share[-1]))

    times = np.append(curve.times_ps, curve.end_ps)
    axes.fill_between(
        times,
        height(curve.low),
        height(curve.high),
        step="post",
        color=_SOUND_BAND,
        alpha=0.4,
        linewidth=0,
    )
    edges = [lane - 0.5 * _LANE_SHARE, lane + 0.5 * _LANE_SHARE]
    span = axes.get_yaxis_transform()
    axes.hlines(edges, 0.0, 1.0, transform=span, color="0.75", linewidth=0.4)
    axes.step(times, height(curve.survival), where="post", color=_SOUND, label="survival")
    before = np.append(curve.at_risk[0] + curve.failed[0], curve.at_risk[:-1])
    ended = np.append(before - curve.at_risk - curve.failed, curve.at_risk[-1]) > 0
    if ended.any():  # a line without points has an extent at the origin of the canvas
        marks: dict[str, Any] = {"color": _SOUND, "markersize": 5, "clip_on": False}
        axes.plot(times[ended], height(curve.survival)[ended], "|", label="ended sound", **marks)
    n_runs, n_failed = _runs_and_failures([curve])
    halfway = int(np.searchsorted(curve.times_ps, 0.5 * curve.end_ps, side="right")) - 1
    above = curve.survival[halfway] < 0.5
    axes.text(
        0.97,
        lane + (-0.2 if above else 0.2),
        f"{n_failed} of {n_runs} failed",
        transform=axes.get_yaxis_transform(),
        ha="right",
        va="center",
        fontsize=6,
    )


def _number_lane(axes: Axes) -> None:
    """Writes beside the first lane what its edges mean."""
    for share in (0, 1):
        height = _LANE_SHARE * (0.5 - share)
        where = axes.get_yaxis_transform()
        axes.text(1.015, height, f"{share}", transform=where, va="center", fontsize=6)


def _runs_and_failures(curves: Sequence[Survival]) -> tuple[int, int]:
    runs = sum(int(curve.at_risk[0] + curve.failed[0]) for curve in curves)
    return runs, sum(int(curve.failed.sum()) for curve in curves)


def _survival_legend() -> list[Line2D | Patch]:
    return [
        Line2D([], [], color=_SOUND, label="share of sound runs"),
        Line2D([], [], color=_SOUND, marker="|", linestyle="none", label="runs that ended sound"),
        Patch(color=_SOUND_BAND, alpha=0.4, linewidth=0, label="95 % interval"),
    ]


def _survival_words(curves: Mapping[str, Mapping[str, Survival]]) -> str:
    words = ["Share of runs without a failure over time."]
    for material, found in curves.items():
        each = [
            f"{source} {float(curve.survival[-1]):.2g} ({curve.low[-1]:.2g} to "
            f"{curve.high[-1]:.2g}) at {curve.end_ps:.3g} ps"
            for source, curve in found.items()
        ]
        words.append(f"{material}: {'; '.join(each)}.")
    return " ".join(words)
