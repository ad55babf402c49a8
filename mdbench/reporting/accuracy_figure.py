"""Parity of energies and forces: what a force field says over what is true."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec, GridSpecFromSubplotSpec
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from mdbench.reporting.figures import COLORS, PAGE_WIDTH, STYLE, plain
from mdbench.stats import Estimate

FloatArray = NDArray[np.float64]

_GUIDE, _DENSITY = "0.45", "cividis"
#: Hexagons across a panel; of a small one.
_BINS, _SMALL_BINS = 60, 36
_ELEMENTS_PER_ROW = 5
_MATERIALS_PER_ROW = 3
#: What an axis shows of the outermost points: all but this share, on either side.
_OUTSIDE = 1e-4


@dataclass(frozen=True)
class ParityPoints:
    """Predicted and true numbers of one material.

    Attributes:
        title: Force field, material and frames.
        energies: (n_frames,) meV/atom, predicted.
        reference_energies: (n_frames,) meV/atom.
        temperatures_k: (n_frames,) K, NaN is unknown.
        forces: (n,) eV/Å, predicted components, a sample of all.
        reference_forces: (n,) eV/Å.
        elements: (n,) symbols of their atoms.
        energy_mae: meV/atom, after the shift was taken off.
        force_mae: meV/Å, of each element, and of all as "all".
    """

    title: str
    energies: FloatArray
    reference_energies: FloatArray
    temperatures_k: FloatArray
    forces: FloatArray
    reference_forces: FloatArray
    elements: NDArray[Any]
    energy_mae: Estimate
    force_mae: dict[str, Estimate]


def accuracy_figure(materials: Sequence[ParityPoints]) -> Figure:
    """Energies and forces side by side, a row for each material; of one also each element.

    Energies stand relative to the mean of the reference, those of the model without their mean
    offset. Densities are on a logarithmic scale of color.
    """
    single = materials[0] if len(materials) == 1 else None
    elements = sorted(set(single.elements.tolist())) if single is not None else []
    columns = min(_ELEMENTS_PER_ROW, max(len(elements), 1))
    rows = math.ceil(len(elements) / columns) if len(elements) > 1 else 0
    side = PAGE_WIDTH / 2.0
    with mpl.rc_context(STYLE):
        height = 0.86 * side * len(materials) + 1.05 * (PAGE_WIDTH / columns) * rows
        figure = Figure(figsize=(PAGE_WIDTH, height + 0.2))
        ratios = [0.86 * side] * len(materials) + [1.05 * PAGE_WIDTH / columns] * rows
        grid = GridSpec(len(ratios), 1, figure=figure, height_ratios=ratios)
        for row, parity in enumerate(materials):
            pair = GridSpecFromSubplotSpec(1, 2, subplot_spec=grid[row])
            _energies(figure.add_subplot(pair[0]), parity)
            axes = figure.add_subplot(pair[1])
            _forces(axes, parity, "all", bins=_BINS)
            axes.set_ylabel("predicted force (eV/Å)")
            axes.set_xlabel("reference force (eV/Å)")
            if single is None:
                axes.text(
                    0.97, 0.04, plain(parity.title), transform=axes.transAxes, ha="right", size=6
                )
        for index, element in enumerate(elements if rows and single is not None else []):
            row, column = divmod(index, columns)
            line = GridSpecFromSubplotSpec(1, columns, subplot_spec=grid[len(materials) + row])
            axes = figure.add_subplot(line[column])
            assert single is not None
            _forces(axes, single, element, bins=_SMALL_BINS)
            axes.set_xlabel("reference (eV/Å)")
            if column == 0:
                axes.set_ylabel("predicted (eV/Å)")
        if single is not None:
            figure.suptitle(plain(single.title), fontsize=8)
    return figure


def force_figure(materials: Sequence[ParityPoints], title: str) -> Figure:
    """Forces alone, a panel for each material under its own title."""
    columns = min(_MATERIALS_PER_ROW, len(materials))
    rows = -(-len(materials) // columns)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(PAGE_WIDTH, 2.55 * rows + 0.2))
        grid = GridSpec(rows, columns, figure=figure)
        for index, parity in enumerate(materials):
            row, column = divmod(index, columns)
            axes = figure.add_subplot(grid[row, column])
            _forces(axes, parity, "all", bins=_SMALL_BINS)
            axes.set_title(plain(parity.title), loc="left", pad=3)
            axes.set_xlabel("reference force (eV/Å)")
            if column == 0:
                axes.set_ylabel("predicted force (eV/Å)")
        figure.suptitle(plain(title), fontsize=8)
    return figure


def _energies(axes: Axes, parity: ParityPoints) -> None:
    """One color for each temperature, density where there are more frames than can be told."""
    known = parity.reference_energies - parity.reference_energies.mean()
    found = parity.energies - parity.energies.mean()
    _frame(axes, known, found)
    temperatures = np.unique(parity.temperatures_k[np.isfinite(parity.temperatures_k)])
    size = float(np.clip(60.0 / math.sqrt(len(known)), 0.8, 9.0))
    style: Any = {"s": size, "linewidths": 0, "alpha": 0.6, "rasterized": True}
    # in the order of the frames: no temperature hides the others
    shades = _shades(len(temperatures))
    colors = np.array([*shades, "0.5"])
    place = np.where(
        np.isfinite(parity.temperatures_k),
        np.searchsorted(temperatures, parity.temperatures_k),
        len(shades),
    )
    order = np.random.default_rng(0).permutation(len(known))
    axes.scatter(known[order], found[order], c=colors[place[order]].tolist(), **style)
    if 1 < len(temperatures) <= 2 * _ELEMENTS_PER_ROW:
        handles = [
            Line2D([], [], linestyle="none", marker="o", markersize=3, color=c, label=f"{t:g} K")
            for t, c in zip(temperatures, shades, strict=True)
        ]
        axes.legend(handles=handles, loc="lower right", handletextpad=0.1, fontsize=7)
    axes.set_title(f"energy: {_stated(parity.energy_mae)}", loc="left", pad=3)
    axes.set_xlabel("reference energy − mean (meV/atom)")
    axes.set_ylabel("predicted energy − mean (meV/atom)")


def _forces(axes: Axes, parity: ParityPoints, element: str, *, bins: int) -> None:
    own = parity.elements == element if element != "all" else slice(None)
    known, found = parity.reference_forces[own], parity.forces[own]
    low, high = _frame(axes, known, found)
    axes.hexbin(
        known,
        found,
        gridsize=bins,
        extent=(low, high, low, high),
        norm=LogNorm(vmin=1),
        cmap=_DENSITY,
        mincnt=1,
        linewidths=0.1,
    )
    mae = parity.force_mae[element]
    if element == "all":
        axes.set_title(f"forces: {_stated(mae)}", loc="left", pad=3)
    else:
        value = "" if mae.value is None else f": {mae.value:.3g} {_shown_unit(mae.unit)}"
        axes.set_title(f"{element}{value}", loc="left", pad=3)


def _frame(axes: Axes, known: FloatArray, found: FloatArray) -> tuple[float, float]:
    """A square with the diagonal; its limits, which a few outliers of the model do not set."""
    least, most = float(known.min()), float(known.max())
    reach = 3.0 * (most - least)  # a model that is far off may not shrink the reference to a point
    low, high = (float(x) for x in np.quantile(found, [_OUTSIDE, 1.0 - _OUTSIDE]))
    if reach > 0.0:
        low, high = max(low, least - reach), min(high, most + reach)
    low, high = min(low, least), max(high, most)
    margin = 0.04 * (high - low) or 1.0
    low, high = low - margin, high + margin
    axes.plot([low, high], [low, high], color=_GUIDE, linewidth=0.6, zorder=0)
    axes.set_xlim(low, high)
    axes.set_ylim(low, high)
    axes.set_aspect("equal")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(nbins=5))
    beyond = int(((found < low) | (found > high)).sum())
    if beyond:
        axes.text(0.03, 0.96, f"{beyond} beyond", transform=axes.transAxes, va="top", fontsize=6)
    return low, high


def _shades(n: int) -> list[str]:
    """Colors from cold to hot."""
    if n <= 1:
        return [COLORS[0]] * n
    scale = mpl.colormaps["plasma"]
    return [mpl.colors.to_hex(scale(0.05 + 0.8 * i / (n - 1))) for i in range(n)]


def _stated(mae: Estimate) -> str:
    """The mean absolute error with its interval."""
    if mae.value is None:
        return "MAE unknown"
    limits = "" if mae.low is None or mae.high is None else f" ({mae.low:.3g} to {mae.high:.3g})"
    return f"MAE {mae.value:.3g}{limits} {_shown_unit(mae.unit)}"


def _shown_unit(unit: str) -> str:
    return unit.replace("/A", "/Å")
