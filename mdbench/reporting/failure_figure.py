"""The figure of one failure: what the run does in time, the limit, and what the reference does."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mdbench.analysis.evidence import EvidenceCurve
from mdbench.reporting.figures import COLORS, PAGE_WIDTH, STYLE, plain

FloatArray = NDArray[np.float64]

_MODEL, _REFERENCE, _LIMIT = COLORS[1], COLORS[5], COLORS[6]
#: Characters in a line of the figure's width.
_LINE = 125
#: The same in the legend.
_LEGEND = 26
_UNITS = {"Angstrom": "Å", "moves/ion": "per ion"}
#: Share of the height that is kept free above and below the curves.
_MARGIN = 0.08
#: Largest over smallest value from which the axis is logarithmic.
_WIDE = 30.0


def failure_figure(curve: EvidenceCurve, failure: Mapping[str, Any], name: str) -> Figure:
    """One failure, with its sentence above.

    Args:
        curve: What shows it.
        failure: As `mdbench rdf --against --json` prints it under `evidence`.
        name: Of the model's runs.
    """
    message = textwrap.wrap(str(failure["message"]), _LINE)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(PAGE_WIDTH, 2.5 + 0.13 * len(message)))
        draw_evidence(figure.add_subplot(), curve, failure)
        head = f"{name}: {failure['mode']} in run {int(failure['run']) + 1}"
        figure.suptitle(plain("\n".join([head, *message])), fontsize=8)
    return figure


def draw_evidence(axes: Axes, curve: EvidenceCurve, failure: Mapping[str, Any]) -> None:
    """Draws the run over the reference, the limit, and when the failure begins.

    Args:
        axes: To draw in.
        curve: What shows it.
        failure: As `failure_figure`.
    """
    edges = curve.times_ps if curve.end_ps is None else np.append(curve.times_ps, curve.end_ps)
    if curve.reference is not None:
        low, high = (_held(limit, curve) for limit in curve.reference)
        label = plain("\n".join(textwrap.wrap(curve.reference_what, _LEGEND)))
        band: Any = {"facecolor": to_rgba(_REFERENCE, 0.45), "edgecolor": _REFERENCE}
        axes.fill_between(edges, low, high, step="post", linewidth=0.8, label=label, **band)
    if curve.limit is not None:
        style: Any = {"color": _LIMIT, "linewidth": 0.8, "linestyle": "--"}
        axes.step(edges, _held(curve.limit, curve), where="post", label="limit", **style)
    if curve.end_ps is None:
        axes.plot(edges, curve.values, color=_MODEL, marker=".", markersize=3, label="the run")
    else:
        axes.step(edges, _held(curve.values, curve), where="post", color=_MODEL, label="the run")
    begin = float(failure["first_bad_time_ps"])
    if edges[0] <= begin <= edges[-1]:
        label = "last frame" if failure["subject"] == "run" else "first bad window"
        axes.axvline(begin, color="0.5", linewidth=0.8, linestyle=":", label=label)
    axes.set_xlim(edges[0], edges[-1])
    axes.margins(y=_MARGIN)
    if _is_wide(curve.values):
        axes.set_yscale("log")
    axes.set_title(plain(curve.what), loc="left", pad=3)
    axes.set_xlabel("time (ps)")
    unit = _UNITS.get(curve.unit, curve.unit)
    axes.set_ylabel(plain(f"{curve.quantity} ({unit})" if unit else curve.quantity))
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=7)


def _held(values: FloatArray, curve: EvidenceCurve) -> FloatArray:
    """The values; of windows with the last one twice, for its begin and its end."""
    return values if curve.end_ps is None else np.append(values, values[-1])


def _is_wide(values: FloatArray) -> bool:
    """Whether positive values span orders of magnitude, as temperatures of an explosion do."""
    known = values[np.isfinite(values)]
    return bool(known.size and known.min() > 0.0 and known.max() > _WIDE * known.min())
