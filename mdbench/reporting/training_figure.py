"""The figure of a training: errors and loss over the time spent."""

from __future__ import annotations

from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mdbench.reporting.figures import COLORS, PAGE_WIDTH, STYLE, plain
from mdbench.units import EV_IN_MEV

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class TrainingCurves:
    """What the figure shows.

    Attributes:
        name: Of the model.
        loss_steps: (n_losses,) steps after which a mean of the loss was complete.
        losses: (n_losses,) means of the training loss.
        steps: (n_validations,) steps before a validation.
        elapsed_s: (n_validations,) s.
        energy_mae: (n_validations,) eV per atom.
        force_mae: (n_validations,) eV/Å.
        validation_losses: (n_validations,)
        best: Number of the validation whose weights were kept.
    """

    name: str
    loss_steps: FloatArray
    losses: FloatArray
    steps: FloatArray
    elapsed_s: FloatArray
    energy_mae: FloatArray
    force_mae: FloatArray
    validation_losses: FloatArray
    best: int


def training_figure(curves: TrainingCurves) -> Figure:
    """Loss over steps to the left, validation errors over the time spent to the right."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(PAGE_WIDTH, 2.6))
        left, middle, right = figure.subplots(1, 3)
        left.plot(curves.loss_steps, curves.losses, color="0.7", linewidth=0.7, label="training")
        mark = {"marker": "o", "markersize": 2.5}
        left.plot(
            curves.steps, curves.validation_losses, color=COLORS[1], label="validation", **mark
        )
        left.set_xlabel("step")
        left.set_ylabel("loss")
        left.legend(loc="upper right")
        for axes, errors, unit in (
            (middle, curves.force_mae, "force MAE (meV/Å)"),
            (right, curves.energy_mae, "energy MAE (meV/atom)"),
        ):
            axes.plot(curves.elapsed_s, EV_IN_MEV * errors, color=COLORS[1], **mark)
            axes.plot(
                curves.elapsed_s[curves.best],
                EV_IN_MEV * errors[curves.best],
                color=COLORS[6],
                marker="o",
                markersize=5,
                markerfacecolor="none",
                linestyle="none",
                label="kept",
            )
            axes.set_xlabel("time spent (s)")
            axes.set_ylabel(unit)
            axes.legend(loc="best")
        for axes in (left, middle, right):
            axes.set_yscale("log")
        figure.suptitle(plain(curves.name), fontsize=8)
    return figure
