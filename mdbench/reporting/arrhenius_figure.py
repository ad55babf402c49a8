"""The figure of conductivity against temperature."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import NullFormatter
from numpy.typing import NDArray

from mdbench.reporting.figures import COLORS, PAGE_WIDTH, STYLE, plain
from mdbench.stats import Estimate

FloatArray = NDArray[np.float64]

_GUIDE = "0.45"
#: The first one is that of the reference in the figure of a verdict, the second its model.
_SIDES = (COLORS[6], COLORS[1], COLORS[0], *COLORS[2:6])
_MARKERS = "os^Dvph"
#: Decades that error bars of points, and bands of lines, may add to an axis on either side.
_BEYOND_POINTS, _BEYOND_LINES = 2.0, 6.0
#: Fewer decades make no axis with powers of ten.
_LEAST_DECADES = 2.0
#: Letters of a name that a figure has room for.
_MOST_LETTERS = 44
#: Temperatures that an axis may name, K, those that matter most first.
_ROUND_K = (300, 500, 1000, 400, 600, 800, 700, 1200, 1500, 2000, 200, 100, 900, 1100, 250, 350)


@dataclass(frozen=True)
class ArrheniusCurves:
    """Conductivities of one source and material over temperatures, and the line in them.

    Attributes:
        label: Stands in the legend.
        temperatures_k: (n,) K.
        conductivity: n estimates, mS/cm.
        temperatures_line_k: (n_line,) K; None without a line.
        line: (n_line,) mS/cm; None without a line.
        low: (n_line,) mS/cm, lower limit of the line, NaN where there is none; None without a line.
        high: (n_line,) mS/cm, upper limit.
        at_k: Temperature that the line is drawn to.
        at: Conductivity there, mS/cm; None without a line.
        ended_k: Temperatures without a point, K: all runs ended early.
    """

    label: str
    temperatures_k: FloatArray
    conductivity: tuple[Estimate, ...]
    temperatures_line_k: FloatArray | None
    line: FloatArray | None
    low: FloatArray | None
    high: FloatArray | None
    at_k: float
    at: Estimate | None
    ended_k: tuple[float, ...] = ()

    @property
    def simulated_k(self) -> list[float]:
        """All temperatures, K, ascending."""
        return sorted([*self.temperatures_k.tolist(), *self.ended_k])


def arrhenius_figure(sides: Sequence[ArrheniusCurves]) -> Figure:
    """Conductivity against 1000/T, with lines, their bands, and what they say at `at_k`.

    Error bars are 95 % intervals; bounds are hollow with an arrow down. Points of several sides
    stand a little apart, so that their bars can be told. Error bars that reach more than two
    decades beyond all values are cut at the frame.

    Args:
        sides: Reference and models, or one alone.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(PAGE_WIDTH, max(3.2, 0.9 + 0.28 * len(sides))))
        axes, beside = figure.subplots(1, 2, width_ratios=[1.0, 0.48])
        axes.set_yscale("log")
        bottom, top = _decades(sides)
        axes.set_ylim(bottom, top)
        axes.yaxis.set_minor_formatter(NullFormatter())
        left, right = _inverse_limits(sides)
        axes.set_xlim(left, right)
        handles = _extrapolated_region(axes, sides)
        apart = min(0.01, 0.04 / len(sides)) * (right - left)
        for number, side in enumerate(sides):
            shift = apart * (number - 0.5 * (len(sides) - 1))
            handles.insert(number, _side(axes, side, number, shift))
        axes.set_xlabel("1000/$T$ (K$^{-1}$)")
        axes.set_ylabel(r"$\sigma$ (mS/cm)")
        _kelvin_axis(axes, sides)
        legend_beside(beside, handles)
    return figure


def _side(axes: Axes, side: ArrheniusCurves, number: int, shift: float) -> Line2D:
    """Draws line, band and points; the entry in the legend."""
    turns, place = divmod(number, len(_SIDES))
    color, marker = _SIDES[place], _MARKERS[(place + turns) % len(_MARKERS)]
    line_k, line = side.temperatures_line_k, side.line
    if line_k is not None and line is not None:
        x = 1000.0 / line_k
        if side.low is not None and side.high is not None:
            axes.fill_between(x, side.low, side.high, color=color, alpha=0.14, linewidth=0)
        axes.plot(x, line, color=color, linewidth=0.9)
    style = {"color": color, "markersize": 4.0, "linestyle": "none", "marker": marker}
    for temperature_k, sigma in zip(side.temperatures_k, side.conductivity, strict=True):
        _point(axes, 1000.0 / float(temperature_k) + shift, sigma, style)
    label = short(side.label)
    if side.at is not None:
        _point(axes, 1000.0 / side.at_k + shift, side.at, {**style, "markersize": 5.5})
        label += "\n" + stated(side.at, rf"\sigma({side.at_k:g}\,\mathrm{{K}})")
    if not side.conductivity:
        label, marker = f"{label}\nno value: all runs ended early", "none"
    elif side.ended_k:
        label += "\n" + short(f"ended early at {', '.join(f'{t:g}' for t in side.ended_k)} K")
    dash: Any = "-" if line is not None else "none"
    return Line2D([], [], color=color, marker=marker, markersize=4.0, linestyle=dash, label=label)


def _point(axes: Axes, x: float, sigma: Estimate, style: Mapping[str, Any]) -> None:
    if sigma.value is not None:
        if sigma.low is not None and sigma.high is not None:
            axes.plot([x, x], [sigma.low, sigma.high], color=style["color"], linewidth=0.9)
        axes.plot(x, sigma.value, **style)
    elif sigma.high is not None:
        bottom, top = axes.get_ylim()
        tip = sigma.high * (bottom / top) ** 0.07
        arrow = {"arrowstyle": "-|>", "color": style["color"], "linewidth": 0.9, "shrinkA": 0}
        axes.annotate("", (x, tip), (x, sigma.high), arrowprops={**arrow, "mutation_scale": 6})
        axes.plot(x, sigma.high, **{**style, "markerfacecolor": "white"})


def _extrapolated_region(axes: Axes, sides: Sequence[ArrheniusCurves]) -> list[Any]:
    """Shades what lies beyond the simulated temperatures; the entries below those of sides."""
    inverse = [1000.0 / float(t) for side in sides for t in side.temperatures_k]
    aims = [1000.0 / side.at_k for side in sides if side.at is not None]
    spans = []
    if aims and max(aims) > max(inverse):
        spans.append((max(inverse), axes.get_xlim()[1]))
    if aims and min(aims) < min(inverse):
        spans.append((axes.get_xlim()[0], min(inverse)))
    look: dict[str, Any] = {"facecolor": "0.96", "edgecolor": "0.88", "hatch": "//", "linewidth": 0}
    for span in spans:
        axes.axvspan(*span, zorder=0, **look)
    entries: list[Any] = [Patch(label="extrapolated", **look)] if spans else []
    if any(not sigma.resolved for side in sides for sigma in side.conductivity):
        hollow: dict[str, Any] = {
            "marker": "o",
            "markersize": 4.0,
            "markerfacecolor": "white",
            "color": _GUIDE,
        }
        entries.append(Line2D([], [], linestyle="none", label="upper bound", **hollow))
    return entries


def _decades(sides: Sequence[ArrheniusCurves]) -> tuple[float, float]:
    """Limits of an axis that shows all values, and of their errors what may be shown."""
    values: list[float | None] = []
    bars: list[float | None] = []
    bands: list[float | None] = []
    for side in sides:
        for sigma in side.conductivity:
            values.append(sigma.high if sigma.value is None else sigma.value)
            bars += [sigma.low, sigma.high]
        values += [] if side.line is None else side.line.tolist()
        bands += [] if side.at is None else [side.at.low, side.at.high]
        bands += [x for band in (side.low, side.high) if band is not None for x in band.tolist()]
    inner = _logarithms(values) or [0.0]
    low, high = min(inner), max(inner)
    least, most = low, high
    for limits, beyond in ((bars, _BEYOND_POINTS), (bands, _BEYOND_LINES)):
        outer = _logarithms(limits)
        least = min([least, *(max(x, low - beyond) for x in outer)])
        most = max([most, *(min(x, high + beyond) for x in outer)])
    margin = max(0.06 * (most - least), 0.5 * (_LEAST_DECADES - (most - least)))
    return 10.0 ** (least - margin), 10.0 ** (most + margin)


def _logarithms(values: Iterable[float | None]) -> list[float]:
    return [math.log10(x) for x in values if x is not None and 0.0 < x < math.inf]


def _inverse_limits(sides: Sequence[ArrheniusCurves]) -> tuple[float, float]:
    inverse = [1000.0 / t for side in sides for t in side.simulated_k]
    inverse += [1000.0 / side.at_k for side in sides if side.at is not None]
    margin = 0.05 * (max(inverse) - min(inverse)) or 0.2 * max(inverse)
    return min(inverse) - margin, max(inverse) + margin


def _kelvin_axis(axes: Axes, sides: Sequence[ArrheniusCurves]) -> None:
    """Temperatures above the frame: where conductivities stand, then round ones where is room."""
    left, right = axes.get_xlim()
    known = [side.at_k for side in sides if side.at is not None]
    simulated = sorted({t for side in sides for t in side.simulated_k})
    known += [simulated[0], simulated[-1], *simulated]
    chosen: list[float] = []
    for kelvin in (*known, *_ROUND_K):
        x = 1000.0 / kelvin
        near = any(abs(x - 1000.0 / other) < 0.075 * (right - left) for other in chosen)
        if left <= x <= right and not near:
            chosen.append(kelvin)
    axes.tick_params(axis="x", top=False)
    above = axes.secondary_xaxis("top")
    above.set_xticks([1000.0 / t for t in chosen], [f"{t:g}" for t in chosen])
    above.set_xlabel("$T$ (K)", labelpad=3)


def legend_beside(axes: Axes, handles: Sequence[Any]) -> None:
    """Makes a panel one large legend: beside the others it covers nothing."""
    axes.axis("off")
    axes.legend(
        handles=handles,
        loc="center left",
        bbox_to_anchor=(0.0, 0.5),
        borderaxespad=0.0,
        fontsize=6.5,
        labelspacing=0.7,
        handlelength=1.8,
    )


def short(name: str) -> str:
    """A name as it is, cut to what a figure has room for."""
    return plain(name if len(name) <= _MOST_LETTERS else name[: _MOST_LETTERS - 1] + "…")


def stated(estimate: Estimate, symbol: str) -> str:
    """A quantity with its interval or bound, as a figure writes it.

    Args:
        estimate: The quantity.
        symbol: What it is called, in TeX.
    """
    unit = estimate.unit.replace("cm^2", "cm$^2$")
    if estimate.value is None:
        if estimate.high is None:
            return f"${symbol}$ not resolved"
        return f"${symbol} < {_number(estimate.high)}$ {unit}: not resolved"
    if estimate.low is None or estimate.high is None:
        return f"${symbol} = {_number(estimate.value)}$ {unit}"
    power = exponent(estimate.value)
    if power is not None and close(estimate.low, estimate.high):
        value, low, high = (
            f"{x / 10.0**power:.2f}" for x in (estimate.value, estimate.low, estimate.high)
        )
        return rf"${symbol} = {value}$ (${low}$ to ${high}$)$\,\times 10^{{{power}}}$ {unit}"
    value, low, high = map(_number, (estimate.value, estimate.low, estimate.high))
    return f"${symbol} = {value}$ (${low}$ to ${high}$) {unit}"


def close(low: float, high: float) -> bool:
    """Whether limits can be written with one power of ten."""
    return 0.0 < high < 100.0 * low


def exponent(x: float) -> int | None:
    """The power of ten that a number is written with; None where it is written plainly."""
    if x == 0.0 or not math.isfinite(x):
        return None
    power = math.floor(math.log10(float(f"{abs(x):.2e}")))
    return None if -3 < power < 4 else power


def _number(x: float) -> str:
    power = exponent(x)
    if power is None:
        return r"\infty" if math.isinf(x) else three_digits(x)
    return rf"{x / 10.0**power:.2f}\times 10^{{{power}}}"


def three_digits(x: float) -> str:
    """A number without a power of ten: 1260, 12.6, 0.0126."""
    return f"{float(f'{x:.3g}'):g}"
