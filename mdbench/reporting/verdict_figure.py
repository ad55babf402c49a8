"""The figure of a stability verdict: model over reference, what differs, what noise explains."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec, GridSpecFromSubplotSpec
from numpy.typing import NDArray

from mdbench.reporting.figures import PAGE_WIDTH, STYLE, plain

FloatArray = NDArray[np.float64]

_REFERENCE, _MODEL, _NOISE = "#000000", "#D55E00", "#56B4E9"
_STATES = {
    "stable": "#009E73",
    "indistinguishable": "#0072B2",
    "undecided": "#E69F00",
    "unstable": "#D55E00",
}


@dataclass(frozen=True)
class VerdictCurves:
    """What the figure shows.

    Attributes:
        r: (n_bins,) Å, bin centers.
        reference: (n_bins,) each, g(r) of the reference by pair, `total` and `Li-S`, ….
        model: The same of the model.
        noise: (n_bins,) each, half the 95 % band of the difference of a perfect model.
        state: The verdict.
        title: Stands above the figure.
        survival_ps: Times of the steps of the survival curve, ps; empty without a time axis.
        surviving: Share of runs that survive from each of these times on.
        length_ps: Length of the longest run.
    """

    r: FloatArray
    reference: Mapping[str, FloatArray]
    model: Mapping[str, FloatArray]
    noise: Mapping[str, FloatArray]
    state: str
    title: str
    survival_ps: Sequence[float] = ()
    surviving: Sequence[float] = ()
    length_ps: float = 0.0


def verdict_figure(curves: VerdictCurves) -> Figure:
    """All atoms and the survival curve above, one panel per pair below, residuals under each."""
    pairs = sorted((curves.reference.keys() & curves.model.keys()) - {"total"})
    columns = min(5, max(len(pairs), 1))
    rows = math.ceil(len(pairs) / columns) if len(pairs) > 1 else 0
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(PAGE_WIDTH, 2.7 + 1.7 * rows))
        outer = GridSpec(1 + rows, 1, figure=figure, height_ratios=[2.4] + [1.6] * rows)
        survives = bool(curves.survival_ps)
        top = GridSpecFromSubplotSpec(1, 5, subplot_spec=outer[0])
        _overlay(figure, top[:4] if survives else top[:], curves, "total", "all atoms", True, True)
        if survives:
            _survival(figure.add_subplot(top[4]), curves)
        for row in range(rows):
            line = GridSpecFromSubplotSpec(1, columns, subplot_spec=outer[1 + row])
            for column, pair in enumerate(pairs[row * columns : (row + 1) * columns]):
                lowest = (row + 1) * columns + column >= len(pairs)
                _overlay(figure, line[column], curves, pair, pair, column == 0, lowest)
        figure.suptitle(plain(curves.title), fontsize=8, color=_STATES.get(curves.state, "black"))
    return figure


def _overlay(
    figure: Figure,
    place: object,
    curves: VerdictCurves,
    pair: str,
    name: str,
    leftmost: bool,
    lowest: bool,
) -> None:
    halves = GridSpecFromSubplotSpec(2, 1, subplot_spec=place, height_ratios=[3, 1], hspace=0.02)  # type: ignore[arg-type]
    above = figure.add_subplot(halves[0])
    below = figure.add_subplot(halves[1], sharex=above)
    r = curves.r
    above.axhline(1.0, color="0.6", linewidth=0.5, linestyle=(0, (4, 3)), zorder=0)
    above.plot(r, curves.reference[pair], color=_REFERENCE, label="reference")
    above.plot(r, curves.model[pair], color=_MODEL, label="model", linestyle=(0, (4, 1.2)))
    above.margins(y=0.12)
    above.set_ylim(bottom=0.0)
    above.set_title(name, loc="left", pad=3)
    above.tick_params(labelbottom=False)
    above.locator_params(axis="y", nbins=4)
    band = curves.noise[pair]
    below.fill_between(r, -band, band, color=_NOISE, alpha=0.45, linewidth=0, label="noise, 95 %")
    below.axhline(0.0, color="0.6", linewidth=0.5)
    below.plot(r, curves.model[pair] - curves.reference[pair], color=_MODEL, linewidth=0.8)
    below.set_xlim(0.0, float(r[-1] + 0.5 * (r[1] - r[0])))
    below.locator_params(axis="y", nbins=3)
    if leftmost:
        above.set_ylabel("$g(r)$")
        below.set_ylabel("$\\Delta g$")
    if lowest:
        below.set_xlabel("$r$ (Å)")
    if pair == "total":
        above.legend(loc="upper left")
        below.legend(loc="upper left", fontsize=6)


def _survival(axes: Axes, curves: VerdictCurves) -> None:
    times = [0.0, *curves.survival_ps, curves.length_ps]
    shares = [1.0, *curves.surviving]
    axes.step(times, [*shares, shares[-1]], where="post", color=_MODEL)
    axes.set_xlim(0.0, curves.length_ps)
    axes.set_ylim(0.0, 1.05)
    axes.set_title("surviving runs", loc="left", pad=3)
    axes.set_xlabel("time (ps)")
