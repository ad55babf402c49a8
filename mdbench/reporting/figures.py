"""Figures in the style of a journal page: no pyplot, no global state."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mdbench.errors import InputError
from mdbench.store import written

FloatArray = NDArray[np.float64]

#: Width of a page's two columns, inches.
PAGE_WIDTH = 7.1

STYLE: Any = {
    "font.family": "sans-serif",
    "font.sans-serif": ["Arial", "Helvetica", "Liberation Sans", "DejaVu Sans"],
    "font.size": 8,
    "axes.labelsize": 8,
    "axes.titlesize": 8,
    "axes.linewidth": 0.6,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "xtick.direction": "in",
    "ytick.direction": "in",
    "xtick.top": True,
    "ytick.right": True,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1.1,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "mdbench",
    "pdf.fonttype": 42,
    "figure.constrained_layout.use": True,
}
#: Without dates: the same figure makes the same file.
_KINDS: dict[str, dict[str, Any]] = {
    ".png": {"dpi": 300},
    ".svg": {"metadata": {"Date": None}},
    ".pdf": {"metadata": {"CreationDate": None}},
}
#: Okabe and Ito's colors, told apart also by the color-blind.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
#: Those that follow the first six are unlike the one with the same color.
_MARKERS = "os^DvPX*p<h>"


@dataclass(frozen=True)
class Look:
    """What one of several is told by: a marker of its own, and a color."""

    color: str
    marker: str


#: Black, which no model has.
REFERENCE = Look(COLORS[6], "d")


def looks(names: Sequence[str]) -> dict[str, Look]:
    """The look of each name: another marker for each of twelve, another pair for each of 72."""
    found = {}
    for number, name in enumerate(names):
        turns, place = divmod(number, len(_MARKERS))
        color = COLORS[number % (len(COLORS) - 1)]
        found[name] = Look(color, _MARKERS[(place + turns) % len(_MARKERS)])
    return found


def rdf_figure(
    r: FloatArray,
    curves: Mapping[str, Mapping[str, FloatArray]],
    *,
    title: str = "",
) -> Figure:
    """g(r) of all atoms above, one panel per species pair below.

    Args:
        r: (n_bins,) Å, bin centers.
        curves: For each line's label, (n_bins,) arrays by pair: `total` and `Li-S`, ….
        title: Stands above the figure.
    """
    names = {pair for g in curves.values() for pair in g}
    pairs = sorted(names - {"total"})
    columns = min(5, max(len(pairs), 1))
    rows = math.ceil(len(pairs) / columns) if len(pairs) > 1 else 0
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(PAGE_WIDTH, 2.1 + 1.25 * rows))
        grid = figure.add_gridspec(1 + rows, columns, height_ratios=[1.7] + [1.0] * rows)
        main = figure.add_subplot(grid[0, :])
        _draw(main, r, curves, "total")
        main.set_title("all atoms", loc="left", pad=3)
        main.set_ylabel("$g(r)$")
        if len(curves) > 1:
            main.legend(loc="upper right")
        for index, pair in enumerate(pairs if rows else []):
            row, column = divmod(index, columns)
            panel = figure.add_subplot(grid[1 + row, column], sharex=main)
            _draw(panel, r, curves, pair)
            panel.set_title(pair, loc="left", pad=3)
            lowest = index + columns >= len(pairs)
            panel.tick_params(labelbottom=lowest)
            if lowest:
                panel.set_xlabel("$r$ (Å)")
            if column == 0:
                panel.set_ylabel("$g(r)$")
        if not rows:
            main.set_xlabel("$r$ (Å)")
        if title:
            figure.suptitle(plain(title), fontsize=8)
    return figure


def _draw(
    axes: Axes, r: FloatArray, curves: Mapping[str, Mapping[str, FloatArray]], pair: str
) -> None:
    axes.axhline(1.0, color="0.6", linewidth=0.5, linestyle=(0, (4, 3)), zorder=0)
    for (label, g), color in zip(curves.items(), cycle(COLORS), strict=False):
        if pair in g:
            axes.plot(r, g[pair], color=color, label=plain(label))
    half = 0.5 * (r[1] - r[0]) if len(r) > 1 else 0.0
    axes.set_xlim(0.0, float(r[-1]) + half)
    axes.margins(y=0.12)
    axes.set_ylim(bottom=0.0)
    axes.locator_params(axis="y", nbins=4)


def plain(text: str) -> str:
    """A name as it is: file names and materials are no mathematics, nor half surrogate pairs."""
    return text.encode("utf-8", "replace").decode("utf-8").replace("$", r"\$")


def check_name(path: Path) -> None:
    """Refuses a name that `save` cannot write, before any work is done."""
    if path.suffix.lower() not in _KINDS:
        raise InputError(
            "--plot", expected="a name ending in " + ", ".join(_KINDS), found=path.name
        )


def save(figure: Figure, path: Path) -> None:
    """Writes a figure as .png, .svg or .pdf, told by the suffix; whole or not at all."""
    check_name(path)
    suffix = path.suffix.lower()
    with written(path) as part, mpl.rc_context(STYLE):
        figure.savefig(part, format=suffix[1:], **_KINDS[suffix])
