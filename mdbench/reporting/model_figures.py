"""Learning curves of several models in one figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter
from numpy.typing import NDArray

from mdbench.reporting.figures import COLORS, PAGE_WIDTH, STYLE, plain
from mdbench.units import EV_IN_MEV

FloatArray = NDArray[np.float64]

_LINES = ("-", "--", ":", "-.")
_LABELS_PER_ROW = 4


@dataclass(frozen=True)
class LearningCurve:
    """Validations of one training.

    Attributes:
        label: Name of the model.
        elapsed_s: (n_validations,) time spent, s.
        force_mae: (n_validations,) eV/Å.
        energy_mae: (n_validations,) eV/atom.
        best: Number of the validation whose weights were kept.
    """

    label: str
    elapsed_s: FloatArray
    force_mae: FloatArray
    energy_mae: FloatArray
    best: int


def learning_figure(curves: Sequence[LearningCurve]) -> Figure:
    """Validation errors over the time spent, forces left and energies right; circles are kept.

    All axes are logarithmic: budgets and errors of models differ by orders of magnitude.
    """
    n_rows = -(-len(curves) // _LABELS_PER_ROW)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(PAGE_WIDTH, 2.6 + 0.15 * n_rows))
        panels = figure.subplots(1, 2)
        handles = []
        for number, curve in enumerate(curves):
            line = _LINES[number // len(COLORS) % len(_LINES)]
            style: Any = {"color": COLORS[number % len(COLORS)], "linestyle": line}
            for axes, errors in zip(panels, (curve.force_mae, curve.energy_mae), strict=True):
                (drawn,) = axes.plot(
                    curve.elapsed_s, EV_IN_MEV * errors, marker="o", markersize=2, **style
                )
                axes.plot(
                    curve.elapsed_s[curve.best],
                    EV_IN_MEV * errors[curve.best],
                    marker="o",
                    markersize=6,
                    markerfacecolor="none",
                    **style,
                )
            handles.append(drawn)
        for axes, label in zip(panels, ("force MAE (meV/Å)", "energy MAE (meV/atom)"), strict=True):
            axes.set_xscale("log")
            axes.set_yscale("log")
            for axis in (axes.xaxis, axes.yaxis):
                axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
                axis.set_major_formatter("{x:g}")
                axis.set_minor_formatter(NullFormatter())
            axes.set_xlabel("time spent (s)")
            axes.set_ylabel(f"validation {label}")
        names = [plain(curve.label) for curve in curves]
        figure.legend(handles, names, loc="outside lower center", ncols=_LABELS_PER_ROW)
    return figure
