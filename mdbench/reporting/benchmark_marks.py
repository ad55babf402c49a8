"""What the figures of a benchmark are made of: points with intervals, bounds, rows, scales."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any, Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.markers import CARETDOWN, CARETLEFT, CARETRIGHT, CARETUP
from matplotlib.patches import Patch
from matplotlib.ticker import (
    LogFormatterSciNotation,
    LogLocator,
    NullFormatter,
    NullLocator,
)

from mdbench.reporting.figures import PAGE_WIDTH, REFERENCE, Look, plain
from mdbench.stats import Estimate

Fill = Literal["full", "none", "left", "bottom", "right", "top"]

#: Height of a row, of what stands around rows, and of a line of a legend; inches.
ROW, AROUND_ROWS, LEGEND_LINE = 0.175, 0.45, 0.17
#: Panels beside each other.
_MOST_COLUMNS = 3
NO_VALUE = "0.35"
BAND = "0.87"
_GRID = "0.93"
#: Letters of a name that an axis has room for.
_MOST_LETTERS = 26
#: Letters of a legend on the width of a page, one entry's line and gap counted as so many.
_LEGEND_LETTERS, _ENTRY_LETTERS = 104, 7
#: Values that span more than this factor stand on a logarithmic axis.
_LOG_FROM = 12.0
#: Fewer decades have ticks at 1, 2 and 5.
_FEW_DECADES = 2.8
#: A logarithmic axis has at least so many.
_LEAST_DECADES = 1.0
#: What bars may add to an axis on either side of all values: decades, or times the span of values,
#: or more where most bars are longer.
_BEYOND_DECADES, _BEYOND_SPANS = 1.0, 0.8
#: Temperatures closer than this are one, K.
_SAME_K = 0.5
#: Markers that look smaller than others of their size.
_WIDE = {"*": 1.5}
#: Share of an axis that the arrow of a bound takes.
_ARROW = 0.07


@dataclass(frozen=True)
class BenchmarkFigure:
    """A figure of a benchmark with its words.

    Attributes:
        name: Of its files, without a suffix.
        title: What it is about.
        alt: What it shows, for those who cannot see it.
        caption: How to read it, and what is not resolved.
        figure: The figure.
    """

    name: str
    title: str
    alt: str
    caption: str
    figure: Figure


@dataclass(frozen=True)
class Scale:
    """Limits of an axis.

    Attributes:
        low: Left or lower end.
        high: Right or upper end.
        log: Whether it is logarithmic.
        known: Whether a value stands on it; an axis without one has no numbers.
    """

    low: float
    high: float
    log: bool
    known: bool = True

    def set(self, axes: Axes, direction: Literal["x", "y"]) -> None:
        """Gives an axis these limits, and ticks at 1, 2 and 5 where decades are few."""
        if direction == "x":
            axes.set_xlim(self.low, self.high)
        else:
            axes.set_ylim(self.low, self.high)
        axis = axes.xaxis if direction == "x" else axes.yaxis
        if not self.known:
            axis.set_major_locator(NullLocator())
            return
        if not self.log:
            axes.locator_params(axis=direction, nbins=5)
            return
        (axes.set_xscale if direction == "x" else axes.set_yscale)("log")
        few = math.log10(self.high / self.low) < _FEW_DECADES
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if few else (1.0,)))
        if few:
            axis.set_minor_locator(NullLocator())
        if self.low > 1e-4 and self.high < 1e5:
            axis.set_major_formatter("{x:g}")
        else:
            axis.set_major_formatter(LogFormatterSciNotation(minor_thresholds=(math.inf, math.inf)))
        axis.set_minor_formatter(NullFormatter())

    def raised(self, share: float) -> Scale:
        """With room above: this share of what there is."""
        if self.log:
            return replace(self, high=self.high * (self.high / self.low) ** share)
        return replace(self, high=self.high + share * (self.high - self.low))


def scale_of(
    estimates: Iterable[Estimate],
    *,
    also: Sequence[float] = (),
    log: bool | None = None,
    zero: bool = False,
) -> Scale:
    """An axis that shows all values and bounds, and of their bars what may be shown.

    Args:
        estimates: What stands on it.
        also: Values that must be seen, too.
        log: Whether it is logarithmic; by default where values span more than a decade.
        zero: Whether a linear axis begins at 0.
    """
    known = list(estimates)
    values = [*also, *(x for e in known if (x := _place(e)) is not None)]
    limits = [x for e in known if e.resolved for x in (e.low, e.high) if x is not None]
    if log is None:
        log = bool(values) and min(values) > 0.0 and max(values) > _LOG_FROM * min(values)
    if not values:
        return Scale(0.0, 1.0, False, known=False)
    if log:
        powers = [math.log10(x) for x in values if x > 0.0]
        bars = [math.log10(x) for x in limits if 0.0 < x < math.inf]
        low, high = _reach(powers, bars, _BEYOND_DECADES)
        margin = max(0.07 * (high - low), 0.5 * (_LEAST_DECADES - (high - low)))
        return Scale(10.0 ** (low - margin), 10.0 ** (high + margin), True)
    widths = [
        max(e.value - e.low, e.high - e.value)
        for e in known
        if e.value is not None and e.low is not None and e.high is not None
    ]
    usual = 1.5 * median(w for w in widths if math.isfinite(w)) if widths else 0.0
    beyond = max(_BEYOND_SPANS * (max(values) - min(values)), usual)
    low, high = _reach(values, [x for x in limits if math.isfinite(x)], beyond)
    low = 0.0 if zero else low
    margin = 0.07 * (high - low) or 0.5 * max(abs(low), abs(high)) or 1.0
    return Scale(low if zero else low - margin, high + margin, False)


def _reach(values: Sequence[float], bars: Sequence[float], beyond: float) -> tuple[float, float]:
    """The least and the largest value, and of the bars what is not further away than so much."""
    low, high = min(values), max(values)
    least = min([low, *(max(x, low - beyond) for x in bars)])
    most = max([high, *(min(x, high + beyond) for x in bars)])
    return least, most


def _place(estimate: Estimate) -> float | None:
    """Where an estimate stands: its value, else its bound; None where there is neither."""
    places = (estimate.value, estimate.high, estimate.low)
    return next((x for x in places if x is not None and math.isfinite(x)), None)


def shown(estimate: Estimate | None) -> bool:
    """Whether there is a value or a bound."""
    return estimate is not None and _place(estimate) is not None


def draw(
    axes: Axes,
    places: Sequence[float],
    estimates: Sequence[Estimate],
    look: Look,
    *,
    rows: bool = False,
    fill: Fill = "full",
    size: float = 4.0,
    label: str = "",
) -> None:
    """Values with their bars; bounds hollow with an arrow. Bars are cut at the frame.

    Args:
        axes: With its limits and scales.
        places: (n,) where the estimates stand on the other axis.
        estimates: n of them.
        look: Of all of them.
        rows: Whether values run along x.
        fill: What of a marker is filled.
        size: Of a marker, points.
        label: Of the line that holds the values.
    """
    low, high = axes.get_xlim() if rows else axes.get_ylim()
    pairs = list(zip(places, estimates, strict=True))
    bars = [
        (place, max(e.low, low), min(e.high, high))
        for place, e in pairs
        if e.resolved and e.low is not None and e.high is not None
    ]
    lines = axes.hlines if rows else axes.vlines
    where, starts, ends = ([bar[i] for bar in bars] for i in range(3))
    lines(where, starts, ends, color=look.color, linewidth=0.9)
    size *= _WIDE.get(look.marker, 1.0)
    style: dict[str, Any] = {"color": look.color, "markersize": size, "linestyle": "none"}
    back = {"markerfacecoloralt": "white", "markeredgewidth": 0.8}
    values = [(p, e.value) for p, e in pairs if e.value is not None]
    marks = {**style, **back, "marker": look.marker, "fillstyle": fill, "label": label}
    axes.plot(*_columns(values, rows), **marks)
    for place, e in pairs:
        bound = None if e.resolved else _place(e)
        if bound is None:
            continue
        upper = bound == e.high
        share = -_ARROW if upper else _ARROW
        log = (axes.get_xscale() if rows else axes.get_yscale()) == "log"
        tip = bound * (high / low) ** share if log else bound + share * (high - low)
        lines([place], [min(tip, bound)], [max(tip, bound)], color=look.color, linewidth=0.9)
        caret = (CARETLEFT if upper else CARETRIGHT) if rows else CARETDOWN if upper else CARETUP
        axes.plot(*_columns([(place, tip)], rows), marker=caret, **style)
        hollow = {**style, "marker": look.marker, "markerfacecolor": "white"}
        axes.plot(*_columns([(place, bound)], rows), **hollow)


def _columns(pairs: Sequence[tuple[float, float]], rows: bool) -> tuple[list[float], list[float]]:
    places, values = [p for p, _ in pairs], [v for _, v in pairs]
    return (values, places) if rows else (places, values)


def rows_and_columns(n_panels: int) -> tuple[int, int]:
    """How panels stand together, none of them alone in a row if that can be."""
    rows = math.ceil(n_panels / _MOST_COLUMNS)
    return rows, math.ceil(n_panels / rows)


def name_rows(axes: Axes, names: Sequence[str], *, named: bool, lines: bool = True) -> None:
    """A row for each name, the first above, with a line through it."""
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_yticks(range(len(names)), [cut(name) for name in names])
    axes.tick_params(axis="y", length=0, labelleft=named)
    if lines:
        axes.grid(axis="y", color=_GRID, linewidth=0.5)
    axes.set_axisbelow(True)


def say(axes: Axes, row: int, words: str, *, right: bool = False) -> None:
    """Writes into a row, at its left or right end, what stands there instead of a value."""
    axes.yaxis.get_major_ticks()[row].gridline.set_visible(False)
    axes.text(
        0.98 if right else 0.02,
        row,
        words,
        ha="right" if right else "left",
        transform=axes.get_yaxis_transform(),
        va="center",
        fontsize=6,
        style="italic",
        color=NO_VALUE,
    )


def cut(name: str) -> str:
    """A name as it is; of a long one its beginning and its end, which tell it from others."""
    if len(name) > _MOST_LETTERS:
        half = _MOST_LETTERS // 2
        name = f"{name[:half]}…{name[1 - half :]}"
    return plain(name)


def legend_rows(labels: Sequence[str]) -> tuple[int, int]:
    """Lines and columns of a legend that is as wide as the page."""
    widest = max((len(label) for label in labels), default=0) + _ENTRY_LETTERS
    columns = max(1, min(len(labels), _LEGEND_LETTERS // widest))
    return math.ceil(len(labels) / columns), columns


def legend_below(figure: Figure, handles: Sequence[Line2D | Patch]) -> None:
    """A legend below all panels; the figure grows by its height."""
    lines, columns = legend_rows([str(handle.get_label()) for handle in handles])
    figure.set_size_inches(PAGE_WIDTH, figure.get_figheight() + LEGEND_LINE * lines + 0.05)
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=columns,
        fontsize=6.5,
        columnspacing=1.4,
        handletextpad=0.5,
        handlelength=1.4,
    )


def entry(label: str, look: Look, fill: Fill = "full", *, line: bool = False) -> Line2D:
    """The line of a legend that names a look; names that begin with "_" would be left out."""
    return Line2D(
        [],
        [],
        color=look.color,
        marker=look.marker,
        markersize=4.0 * _WIDE.get(look.marker, 1.0),
        markeredgewidth=0.8,
        fillstyle=fill,
        markerfacecoloralt="white",
        linestyle="-" if line else "none",
        linewidth=0.9,
        label=cut(f" {label}" if label.startswith("_") else label),
    )


def spanned(values: Sequence[float], digits: int = 3) -> str:
    """The least and the largest of some values, in words."""
    low, high = (f"{x:.{digits}g}" for x in (min(values), max(values)))
    return low if low == high else f"{low} to {high}"


def same_temperature(a: float | None, b: float | None) -> bool:
    """Whether two temperatures (K) are one; an unknown one is only the same as another unknown."""
    return a is b if a is None or b is None else abs(a - b) < _SAME_K


def reference_name(synthetic: bool) -> str:
    """What the reference is called in figures that leave their page."""
    return "reference (synthetic)" if synthetic else "reference"


def reference_band(axes: Axes, estimate: Estimate | None) -> None:
    """Shades the interval of the reference, with a line at its value."""
    if estimate is None or estimate.value is None:
        return
    left, right = axes.get_xlim()
    if estimate.low is not None and estimate.high is not None:
        band = max(estimate.low, left), min(estimate.high, right)
        axes.axvspan(*band, color=BAND, linewidth=0, zorder=0)
    axes.axvline(estimate.value, color=REFERENCE.color, linewidth=0.6, zorder=1)
