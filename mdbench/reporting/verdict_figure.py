"""The figure of a stability verdict: model over reference, what differs, what noise explains."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec, GridSpecFromSubplotSpec
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from mdbench.analysis.evidence import EvidenceCurve
from mdbench.reporting.failure_figure import draw_evidence
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
        comparison: What `mdbench rdf --against --json` prints as `comparison`.
        name: Of the model's runs.
        evidence: What shows the first failure, and that failure as `failure_figure` takes it; None
            without one.
    """

    r: FloatArray
    reference: Mapping[str, FloatArray]
    model: Mapping[str, FloatArray]
    noise: Mapping[str, FloatArray]
    comparison: Mapping[str, Any]
    name: str
    evidence: tuple[EvidenceCurve, Mapping[str, Any]] | None = None

    @property
    def title(self) -> str:
        """Verdict and numbers in one line."""
        found = self.comparison
        parts = [f"rdf_mae {found['rdf_mae']:.4f}"]
        if found["rdf_mae_interval"]:
            parts.append("{:.4f} to {:.4f}".format(*found["rdf_mae_interval"]))
        if found["noise_floor"]:
            parts.append(f"noise 95 % {found['noise_floor']['q95']:.4f}")
        mode = f" ({found['failure_mode']})" if found["failure_mode"] else ""
        return f"{self.name}: {found['verdict']}{mode}; {', '.join(parts)}"


def verdict_figure(curves: VerdictCurves) -> Figure:
    """All atoms and the survival curve above, one panel per pair below, residuals under each.

    The evidence of a failure stands at the bottom.
    """
    pairs = sorted((curves.reference.keys() & curves.model.keys()) - {"total"})
    columns = min(5, max(len(pairs), 1))
    rows = math.ceil(len(pairs) / columns) if len(pairs) > 1 else 0
    with mpl.rc_context(STYLE):
        more = 0 if curves.evidence is None else 1
        figure = Figure(figsize=(PAGE_WIDTH, 2.7 + 1.7 * rows + 2.0 * more))
        heights = [2.4] + [1.6] * rows + [1.6] * more
        outer = GridSpec(len(heights), 1, figure=figure, height_ratios=heights)
        survival = curves.comparison["survival"]
        top = GridSpecFromSubplotSpec(1, 5, subplot_spec=outer[0])
        _overlay(figure, top[:4] if survival else top[:], curves, "total", "all atoms", True, True)
        if survival:
            _survival(figure.add_subplot(top[4]), survival)
        for row in range(rows):
            line = GridSpecFromSubplotSpec(1, columns, subplot_spec=outer[1 + row])
            for column, pair in enumerate(pairs[row * columns : (row + 1) * columns]):
                lowest = (row + 1) * columns + column >= len(pairs)
                _overlay(figure, line[column], curves, pair, pair, column == 0, lowest)
        if curves.evidence is not None:
            draw_evidence(figure.add_subplot(outer[-1]), *curves.evidence)
        figure.suptitle(
            plain(curves.title),
            fontsize=8,
            color=_STATES.get(curves.comparison["verdict"], "black"),
        )
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
    reach = float(max(np.abs(curves.model[pair] - curves.reference[pair]).max(), band.max(), 1e-3))
    below.set_ylim(-1.2 * reach, 1.2 * reach)
    below.yaxis.set_major_locator(MaxNLocator(nbins=2, symmetric=True))
    if leftmost:
        above.set_ylabel("$g(r)$")
        below.set_ylabel("$\\Delta g$")
    if lowest:
        below.set_xlabel("$r$ (Å)")
    if pair == "total":
        above.legend(loc="upper left")
        below.legend(loc="upper left", fontsize=6)


def _survival(axes: Axes, survival: Mapping[str, Any]) -> None:
    times = [*survival["times_ps"], survival["end_ps"]]
    steps = {name: [*survival[name], survival[name][-1]] for name in ("survival", "low", "high")}
    axes.fill_between(
        times, steps["low"], steps["high"], step="post", color=_NOISE, alpha=0.45, linewidth=0
    )
    axes.step(times, steps["survival"], where="post", color=_MODEL)
    axes.set_xlim(0.0, max(times[-1], 1e-9))
    axes.set_ylim(0.0, 1.05)
    axes.set_title("share of sound runs", loc="left", pad=3)
    axes.set_xlabel("time (ps)")
