"""Figures of transport: how ions spread and how fast; conductivity is in `arrhenius_figure`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullFormatter
from numpy.typing import NDArray

from mdbench.reporting.arrhenius_figure import (
    ArrheniusCurves,
    arrhenius_figure,
    legend_beside,
    short,
    stated,
)
from mdbench.reporting.figures import COLORS, PAGE_WIDTH, STYLE, plain
from mdbench.stats import Estimate

__all__ = ["ArrheniusCurves", "MsdCurves", "arrhenius_figure", "msd_figure"]

FloatArray = NDArray[np.float64]

_TOTAL, _SHADE, _GUIDE = COLORS[6], "0.92", "0.45"
_AXES = dict(zip("xyz", COLORS[:3], strict=True))
_OTHERS = COLORS[3:6]
_DASHES: tuple[Any, ...] = ("-", (0, (4, 1.5)), (0, (1, 1)), (0, (5, 1.5, 1, 1.5)))
#: Height of a line of a legend within a panel, over that of the panel.
_LEGEND_LINE = 0.062
#: More points than these a line of a page's width cannot show.
_MOST_POINTS = 400


@dataclass(frozen=True)
class MsdCurves:
    """Mean squared displacements of one state and the fit in them.

    Attributes:
        title: Source, material and temperature.
        lag_ps: (n_lags,) ps.
        msd: (3, n_lags) Å², of the mobile ions along x, y, z.
        others: (n_lags,) Å² by other species.
        window_ps: (10,) ps, lags of the fit.
        window_msd: (10,) Å², MSD there.
        slope: Å²/ps, of the fitted line.
        intercept: Å².
        diffusivity: cm²/s.
        tensor: (3, 3) estimates, cm²/s.
        along_cell: Along the cell vectors a, b, c, cm²/s.
    """

    title: str
    lag_ps: FloatArray
    msd: FloatArray
    others: Mapping[str, FloatArray]
    window_ps: FloatArray
    window_msd: FloatArray
    slope: float
    intercept: float
    diffusivity: Estimate
    tensor: tuple[tuple[Estimate, ...], ...]
    along_cell: tuple[Estimate, ...]

    @property
    def total(self) -> FloatArray:
        """(n_lags,) Å², over all axes."""
        return np.asarray(self.msd.sum(axis=0))


def msd_figure(curves: MsdCurves | Sequence[MsdCurves]) -> Figure:
    """MSD on linear and on logarithmic axes; of one state also its tensor of diffusion.

    The window of the fit is shaded, or drawn bold where there are several states. Linear axes end
    at 1.5 windows, since the last lags are noise.

    Args:
        curves: One state, or several, in any order; a title ends in ", 800 K".
    """
    states = [curves] if isinstance(curves, MsdCurves) else list(curves)
    with mpl.rc_context(STYLE):
        return _one_state(states[0]) if len(states) == 1 else _several_states(states)


def _one_state(curves: MsdCurves) -> Figure:
    figure = Figure(figsize=(PAGE_WIDTH, 2.6))
    linear, logarithmic, tensor = figure.subplots(1, 3, width_ratios=[1.15, 1.15, 1.0])
    start_ps, end_ps = float(curves.window_ps[0]), float(curves.window_ps[-1])
    for axes in (linear, logarithmic):
        axes.axvspan(start_ps, end_ps, color=_SHADE, linewidth=0, zorder=0)
    shown = _up_to(curves.lag_ps, 1.5 * end_ps)
    lag_ps = curves.lag_ps[shown]
    linear.plot(lag_ps, curves.total[shown], color=_TOTAL, label="all axes")
    for (name, color), msd in zip(_AXES.items(), curves.msd, strict=True):
        linear.plot(lag_ps, msd[shown], color=color, linewidth=0.7, label=f"${name}$")
    ends = np.array([0.0, max(end_ps, float(lag_ps[-1]))])
    line = curves.intercept + curves.slope * ends
    look: dict[str, Any] = {"color": COLORS[4], "linewidth": 0.9, "linestyle": (0, (4, 2))}
    linear.plot(ends, line, label="fit", **look)
    linear.set_xlim(0.0, ends[1])
    linear.margins(y=0.05)
    linear.set_ylim(bottom=min(0.0, curves.intercept))
    _logarithmic(logarithmic, curves, color=_TOTAL, label="mobile ions")
    for (symbol, msd), color in zip(curves.others.items(), cycle(_OTHERS), strict=False):
        _log_line(logarithmic, curves.lag_ps, msd, color=color, linewidth=0.8, label=plain(symbol))
    _slope_guide(logarithmic, curves)
    for axes, name in ((linear, "shaded: window of the fit"), (logarithmic, "double logarithmic")):
        axes.set_title(name, loc="left", pad=3, fontsize=7)
        _name_axes(axes)
        _legend_above_lines(axes)
    _tensor(tensor, curves)
    figure.suptitle(f"{short(curves.title)}:  {stated(curves.diffusivity, 'D')}", fontsize=8)
    return figure


def _several_states(states: Sequence[MsdCurves]) -> Figure:
    series = list(dict.fromkeys(_series_and_state(curves.title)[0] for curves in states))
    distinct = sorted({_series_and_state(curves.title)[1] for curves in states}, key=_natural)
    states = sorted(
        states, key=lambda c: (series.index(_series_and_state(c.title)[0]), _natural(c.title))
    )
    colors = mpl.colormaps["viridis"](np.linspace(0.0, 0.88, len(distinct)))
    figure = Figure(figsize=(PAGE_WIDTH, max(2.6, 0.5 + 0.27 * len(states))))
    linear, logarithmic, beside = figure.subplots(1, 3, width_ratios=[1.0, 1.0, 0.85])
    handles = []
    longest_ps = max(float(curves.window_ps[-1]) for curves in states)
    for curves in states:
        name, state = _series_and_state(curves.title)
        dashes = _DASHES[series.index(name) % len(_DASHES)]
        look: dict[str, Any] = {"color": colors[distinct.index(state)], "linestyle": dashes}
        shown = _up_to(curves.lag_ps, 1.5 * longest_ps)
        linear.plot(curves.lag_ps[shown], curves.total[shown], linewidth=0.9, **look)
        _logarithmic(logarithmic, curves, **look)
        for axes in (linear, logarithmic):
            window: dict[str, Any] = {"color": look["color"], "linewidth": 2.6, "alpha": 0.45}
            axes.plot(curves.window_ps, curves.window_msd, **window)
        label = short(state if len(series) == 1 else curves.title)
        label += f"\n{stated(curves.diffusivity, 'D')}"
        handles.append(Line2D([], [], linewidth=1.3, label=label, **look))
    _slope_guide(logarithmic, max(states, key=lambda curves: float(curves.window_msd[-1])))
    linear.set_xlim(0.0, 1.5 * longest_ps)
    linear.margins(y=0.05)
    linear.set_ylim(bottom=0.0)
    for axes in (linear, logarithmic):
        _name_axes(axes)
    _legend_above_lines(logarithmic)
    legend_beside(beside, handles)
    if len(series) == 1:
        figure.suptitle(short(series[0]), fontsize=8)
    return figure


def _logarithmic(axes: Axes, curves: MsdCurves, **look: Any) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.margins(x=0.0, y=0.05)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_minor_formatter(NullFormatter())
    _log_line(axes, curves.lag_ps, curves.total, linewidth=1.1, **look)


def _log_line(axes: Axes, lag_ps: FloatArray, msd: FloatArray, **style: Any) -> None:
    positive = np.flatnonzero((lag_ps > 0.0) & (msd > 0.0))
    if len(positive):
        kept = positive[_spread(len(positive), geometric=True)]
        axes.plot(lag_ps[kept], msd[kept], **style)


def _slope_guide(axes: Axes, curves: MsdCurves) -> None:
    """A line of slope 1 through the end of the window: parallel to it ions diffuse."""
    end_ps, end = float(curves.window_ps[-1]), float(curves.window_msd[-1])
    if end > 0.0:
        lags = np.array([end_ps / 30.0, end_ps])
        style: dict[str, Any] = {"color": _GUIDE, "linewidth": 0.7, "linestyle": (0, (1, 1.5))}
        axes.plot(lags, 1.6 * end * lags / end_ps, label="slope 1", **style)


def _name_axes(axes: Axes) -> None:
    axes.set_xlabel("lag (ps)")
    axes.set_ylabel("MSD (Å$^2$)")


def _legend_above_lines(axes: Axes) -> None:
    """A legend above on the left; the axis is extended where lines would cross it."""
    if not axes.get_legend_handles_labels()[0]:
        return
    legend = axes.legend(loc="upper left", fontsize=6, handlelength=1.4, labelspacing=0.25)
    share = 0.06 + _LEGEND_LINE * len(legend.get_texts())
    log = axes.get_yscale() == "log"
    axes.autoscale_view()
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    if log:  # a power of ten to read it by
        bottom = min(bottom, top / 20.0)
    half = math.sqrt(left * right) if log else 0.5 * (left + right)
    crossing = [
        float(y)
        for line in axes.lines
        for x, y in zip(*np.asarray(line.get_data(), dtype=float), strict=True)
        if left <= x <= half
    ]
    if not crossing:
        return
    if log:
        room = (max(crossing) / bottom) ** (1.0 / (1.0 - share))
        axes.set_ylim(bottom, max(top, bottom * room))
    else:
        axes.set_ylim(bottom, max(top, bottom + (max(crossing) - bottom) / (1.0 - share)))


def _tensor(axes: Axes, curves: MsdCurves) -> None:
    """Components of D with their intervals, one below the other; hollow where D is not resolved."""
    places = {name: "xyz".index(name) for name in "xyz"}
    looks = {**{2 * name: color for name, color in _AXES.items()}, "yz": _GUIDE, "xz": _GUIDE}
    rows = [
        (f"$D_{{{name}}}$", curves.tensor[places[name[0]]][places[name[1]]], color)
        for name, color in {**looks, "xy": _GUIDE}.items()
    ]
    along = zip("abc", curves.along_cell, strict=True)
    rows += [(f"along ${name}$", estimate, _TOTAL) for name, estimate in along]
    numbers = [d.value for _, d, _ in rows if d.value is not None]
    power = math.floor(math.log10(max(map(abs, numbers)))) if any(numbers) else 0
    unit = 10.0**power
    heights = [0, 1, 2, 3.5, 4.5, 5.5, 7, 8, 9]
    full = "full" if curves.diffusivity.resolved else "none"
    for height, (_, estimate, color) in zip(heights, rows, strict=True):
        if estimate.value is None:
            continue
        value = estimate.value / unit
        if estimate.low is not None and estimate.high is not None:
            limits = [estimate.low / unit, estimate.high / unit]
            axes.plot(limits, [height] * 2, color=color, linewidth=1.0)
        axes.plot(value, height, "o", color=color, fillstyle=full, markersize=3.5)
    axes.axvline(0.0, color="0.6", linewidth=0.5, zorder=0)
    axes.set_yticks(heights, [name for name, _, _ in rows])
    axes.set_ylim(9.7, -0.7)
    axes.tick_params(axis="y", length=0)
    scale = "" if power == 0 else f"$10^{{{power}}}$ "
    axes.set_xlabel(f"$D$ ({scale}cm$^2$/s)")
    axes.locator_params(axis="x", nbins=5)
    # an interval of one component that says nothing must not hide the others
    reach = 4.0 * max((abs(x) / unit for x in numbers), default=1.0) or 1.0
    left, right = axes.get_xlim()
    axes.set_xlim(max(left, -reach), min(right, reach))
    axes.set_title("tensor, and along the cell", loc="left", pad=3, fontsize=7)


def _up_to(lag_ps: FloatArray, end_ps: float) -> NDArray[np.int64]:
    """Indices of lags up to a time, no more than can be seen."""
    n = max(int(np.searchsorted(lag_ps, end_ps, side="right")), 2)
    return _spread(min(n, len(lag_ps)))


def _spread(n: int, *, geometric: bool = False) -> NDArray[np.int64]:
    """At most `_MOST_POINTS` of n indices, the first and the last among them."""
    if n <= _MOST_POINTS:
        return np.arange(n)
    if geometric:
        return np.unique(np.rint(np.geomspace(1, n, _MOST_POINTS)).astype(np.int64)) - 1
    return np.rint(np.linspace(0, n - 1, _MOST_POINTS)).astype(np.int64)


def _natural(name: str) -> tuple[float, str]:
    """A key that sorts "800 K" before "1000 K", and unknown temperatures last."""
    kelvin = _series_and_state(name)[1].removesuffix(" K")
    known = kelvin.replace(".", "", 1).isdecimal()
    return (float(kelvin) if known else math.inf, name)


def _series_and_state(title: str) -> tuple[str, str]:
    """Source and material, and the temperature, of "reference: li2s, 800 K"."""
    series, comma, state = title.rpartition(", ")
    return (series, state) if comma else ("", title)
