"""Panels of figures of diffusion paths: a cell seen along one of its vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize, PowerNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Polygon

from mdbench.reporting.figures import COLORS, plain
from mdbench.reporting.path_pictures import FloatArray, PathPicture, PathSide

_SHARED, _ALONE, _CELL, _FRAMEWORK = COLORS[6], COLORS[1], "0.35", "0.62"
_DENSITY, _TIME = "Blues", "viridis"
_DASHES = (0, (2.2, 1.0))
#: Size of what is shown of a cell over that of the cell, and inches per Å of full-sized marks.
_AROUND, _ROOMY = 1.14, 0.2
#: Ions whose paths have the colors of time, the ones that come farthest.
_MOST_PATHS = 40
#: Points: lines of the rarest and of the most frequent jumps, and least ratio of their rates.
_THIN, _THICK, _CONTRAST = 0.5, 3.0, 10.0


@dataclass(frozen=True)
class View:
    """A cell seen along one of its vectors, which becomes a point.

    Attributes:
        plane: (3, 2) from fractional coordinates to Å in the plane of the figure.
        names: Of the vectors that lie along it and upwards.
    """

    plane: FloatArray
    names: tuple[str, str]

    @classmethod
    def of(cls, cell: FloatArray, along: int) -> View:
        """The view along a vector; of the other two the first lies horizontally."""
        first, second = (k for k in range(3) if k != along)
        ray = cell[along] / np.linalg.norm(cell[along])
        seen = cell - np.outer(cell @ ray, ray)  # (3, 3) Å, without what points to the eye
        right = seen[first] / np.linalg.norm(seen[first])
        up = np.cross(ray, right)
        up *= np.sign(seen[second] @ up)
        return cls(np.stack([seen @ right, seen @ up], axis=1), ("abc"[first], "abc"[second]))

    @property
    def corners(self) -> FloatArray:
        """(4, 2) Å, of the cell."""
        grid = [(i, j, k) for i in (0, 1) for j in (0, 1) for k in (0, 1)]
        return np.asarray(np.array(grid) @ self.plane)

    @property
    def box(self) -> tuple[FloatArray, FloatArray]:
        """(2,) Å, middle and size of what is shown of the cell."""
        low, high = self.corners.min(axis=0), self.corners.max(axis=0)
        return 0.5 * (low + high), _AROUND * (high - low)


#: What panels show.
Kind = Literal["density", "paths"]
KINDS: tuple[Kind, ...] = ("density", "paths")


@dataclass(frozen=True)
class Panel:
    """What a panel shows.

    Attributes:
        picture: The state.
        side: The model or the reference.
        kind: Density with jumps, or paths.
        along: Index of the cell vector that it is seen along.
        title: Stands above it.
    """

    picture: PathPicture
    side: PathSide
    kind: Kind
    along: int
    title: str

    @cached_property
    def view(self) -> View:
        """The cell as it is seen."""
        return View.of(self.side.cell, self.along)


@dataclass(frozen=True)
class Scales:
    """What panels have in common.

    Attributes:
        density: Projected ions per Å².
        time: ps.
        rate: Jumps per ns of the thickest line.
        lowest_rate: Of the thinnest one.
        reach: Of each picture and view, (2,) Å, the middle of its paths and its cell.
        magnitude: Of each picture, Å of its paths to 1 Å of its cell.
        mark: Size of marks and lines over what it is where there is room.
        compared: Whether there is a reference.
        gray: Whether there are more ions than have paths in color.
    """

    density: PowerNorm
    time: Normalize
    rate: float
    lowest_rate: float
    reach: dict[tuple[int, int], FloatArray]
    magnitude: dict[int, float]
    mark: float
    compared: bool
    gray: bool

    @classmethod
    def of(cls, panels: Sequence[Panel], inches: float) -> Scales:
        """The scales of panels of so many inches per Å; paths of both sides at one scale."""
        high = max(float(np.quantile(projected(p.side, p.along), 0.998)) for p in panels)
        rates = np.concatenate([p.side.segments[1] for p in panels])
        lowest = float(rates.min(initial=np.inf))
        reach, magnitude = {}, dict.fromkeys((id(p.picture) for p in panels), 1.0)
        for key, (low, high_, size) in _extents(panels).items():
            reach[key] = 0.5 * (low + high_)
            most = float((1.06 * (high_ - low) / size).max())
            magnitude[key[0]] = max(magnitude[key[0]], most)
        return cls(
            density=PowerNorm(0.5, 0.0, high),
            time=Normalize(0.0, max(p.side.path_ps for p in panels)),
            # lines of single jumps stay thin where there is nothing else
            rate=max(float(rates.max(initial=0.0)), _CONTRAST * lowest) if len(rates) else 0.0,
            lowest_rate=lowest,
            reach=reach,
            magnitude=magnitude,
            mark=float(np.clip(inches / _ROOMY, 0.4, 1.0)),
            compared=any(p.picture.reference is not None for p in panels),
            gray=any(len(p.side.paths) > _MOST_PATHS for p in panels),
        )

    def width(self, per_ns: Any) -> Any:
        """Points, of lines of jumps: by the root of their rate."""
        share = np.sqrt(np.asarray(per_ns) / (self.rate or 1.0))
        return self.mark * (_THIN + (_THICK - _THIN) * share)


def _extents(
    panels: Sequence[Panel],
) -> dict[tuple[int, int], tuple[FloatArray, FloatArray, FloatArray]]:
    """Of each picture and view (2,) Å: from where to where paths go, and the size of the cell."""
    found: dict[tuple[int, int], tuple[FloatArray, FloatArray, FloatArray]] = {}
    for panel in panels:
        if panel.kind == "paths":
            view, key = panel.view, (id(panel.picture), panel.along)
            seen = _flat(panel.side, view)
            low = np.minimum(seen.min(axis=(0, 2)), view.corners.min(axis=0))
            high = np.maximum(seen.max(axis=(0, 2)), view.corners.max(axis=0))
            if key in found:
                low, high = np.minimum(low, found[key][0]), np.maximum(high, found[key][1])
            found[key] = low, high, view.box[1]
    return found


def projected(side: PathSide, view: int) -> FloatArray:
    """(n, m) ions per Å² seen along a cell vector."""
    step = np.linalg.norm(side.cell[view]) / side.density.shape[view]
    return np.asarray(side.density.sum(axis=view) * step)


def _flat(side: PathSide, view: View) -> FloatArray:
    """(n_ions, 2, n_points) Å, paths in the plane of a view."""
    plane = np.linalg.inv(side.cell) @ view.plane
    return np.asarray(np.einsum("ixt,xp->ipt", side.paths, plane))


def draw_panel(axes: Axes, panel: Panel, scales: Scales, size: FloatArray) -> None:
    """Draws one panel.

    Args:
        axes: Its place in the figure.
        panel: What it shows.
        scales: What panels have in common.
        size: (2,) Å that it holds at the scale of the cell.
    """
    side, view = panel.side, panel.view
    middle = view.box[0]
    if panel.kind == "paths":
        middle = scales.reach[id(panel.picture), panel.along]
        size = scales.magnitude[id(panel.picture)] * size
    axes.set_xlim(middle[0] - 0.5 * size[0], middle[0] + 0.5 * size[0])
    axes.set_ylim(middle[1] - 0.5 * size[1], middle[1] + 0.5 * size[1])
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(plain(panel.title), loc="left", pad=2.5, fontsize=7)
    outline = _outline(axes, view)
    if panel.kind == "density":
        _density(axes, panel, scales, outline)
        _network(axes, side, view, scales, outline)
    else:
        _paths(axes, side, view, scales)
    _bar(axes)
    names = f"${view.names[0]}\\rightarrow$", f"${view.names[1]}\\rightarrow$"
    look: dict[str, Any] = {"transform": axes.transAxes, "fontsize": 6, "color": _CELL}
    axes.text(0.5, 0.005, names[0], ha="center", va="bottom", **look)
    axes.text(0.005, 0.5, names[1], ha="left", va="center", rotation=90, **look)


def _outline(axes: Axes, view: View) -> Polygon:
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], dtype=float)
    kept = [k for k in range(3) if "abc"[k] in view.names]
    look: dict[str, Any] = {"edgecolor": _CELL, "linewidth": 0.6, "zorder": 4}
    outline = Polygon(corners @ view.plane[kept], facecolor="none", **look)
    axes.add_patch(outline)
    return outline


def _density(axes: Axes, panel: Panel, scales: Scales, outline: Polygon) -> None:
    """Ions seen through the cell, and the atoms of the framework."""
    view = panel.view
    seen = np.pad(projected(panel.side, panel.along), 1, mode="wrap")
    kept = [k for k in range(3) if k != panel.along]
    centers = [(np.arange(n) - 0.5) / (n - 2) for n in seen.shape]
    places = np.stack(np.meshgrid(*centers, indexing="ij"), axis=-1) @ view.plane[kept]
    mesh = axes.pcolormesh(
        places[..., 0], places[..., 1], seen, cmap=_DENSITY, norm=scales.density,
        shading="gouraud", rasterized=True, zorder=1,
    )  # fmt: skip
    mesh.set_clip_path(outline)
    others = (panel.side.framework % 1.0) @ view.plane
    look: dict[str, Any] = {"color": _FRAMEWORK, "markersize": 2.6 * scales.mark}
    axes.plot(*others.T, "+", markeredgewidth=0.5, zorder=2, **look)


def _network(axes: Axes, side: PathSide, view: View, scales: Scales, outline: Polygon) -> None:
    """Jumps as lines, each from the first cell's image of either site; sites as dots."""
    ends, per_ns, alone = side.segments
    # seen from the other end, what leaves the cell on one side comes in on the other
    back = ends - np.floor(ends[:, 1:])
    for these in (ends, back):
        lines = these @ view.plane
        for chosen, color, dashes in ((~alone, _SHARED, "-"), (alone, _ALONE, _DASHES)):
            drawn = LineCollection(
                list(lines[chosen]), colors=color, linestyles=[dashes],
                linewidths=scales.width(per_ns[chosen]), zorder=5 + (color == _ALONE),
            )  # fmt: skip
            axes.add_collection(drawn)
            drawn.set_clip_path(outline)
    sites = side.sites @ view.plane
    for chosen, color in ((~side.own, _SHARED), (side.own, _ALONE)):
        axes.plot(
            *sites[chosen].T, "o", color=color, markerfacecolor="white", zorder=7,
            markersize=2.8 * scales.mark, markeredgewidth=0.7 * scales.mark,
        )  # fmt: skip


def _paths(axes: Axes, side: PathSide, view: View, scales: Scales) -> None:
    """The paths of the ions that come farthest in the colors of time, the others in gray."""
    points = _flat(side, view).transpose(0, 2, 1)  # (I, T, 2)
    far = np.linalg.norm(side.paths[..., -1] - side.paths[..., 0], axis=1)
    order = np.argsort(far, kind="stable")
    least = max(len(order) - _MOST_PATHS, 0)
    look: dict[str, Any] = {"capstyle": "round", "rasterized": True}
    width = 0.9 * scales.mark**0.5
    others = list(points[order[:least]])
    axes.add_collection(LineCollection(others, colors="0.8", linewidths=0.5 * width, **look))
    shown = points[order[least:]]
    pieces = np.stack([shown[:, :-1], shown[:, 1:]], axis=2)  # (I, T - 1, 2, 2)
    lines = LineCollection(
        list(pieces.reshape(-1, 2, 2)), cmap=_TIME, norm=scales.time, linewidths=width, zorder=5,
        **look,
    )  # fmt: skip
    steps = (np.arange(pieces.shape[1]) + 0.5) * side.path_ps / max(pieces.shape[1], 1)
    lines.set_array(np.tile(steps, len(shown)))
    axes.add_collection(lines)
    ends: dict[str, Any] = {"markersize": 2.4 * scales.mark**0.5, "markeredgewidth": 0.5}
    axes.plot(*shown[:, 0].T, "o", color="black", markerfacecolor="white", zorder=6, **ends)
    axes.plot(*shown[:, -1].T, "o", color="black", zorder=6, **ends)


def _bar(axes: Axes) -> None:
    """A bar of 5 Å, or more where that would be too short to see."""
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    length = next(n for n in (1, 2, 5, 10, 20, 50, 100, 1e3) if n > 0.14 * (right - left))
    x, y = right - 0.03 * (right - left), bottom + 0.03 * (top - bottom)
    axes.plot([x - length, x], [y, y], color="black", linewidth=1.2, zorder=8)
    look: dict[str, Any] = {"ha": "right", "va": "center", "fontsize": 6, "zorder": 8}
    axes.text(x - length - 0.02 * (right - left), y, f"{length:g} Å", **look)


def draw_foot(figure: Figure, scales: Scales, total: float) -> None:
    """Scales of color and width, and what marks mean."""
    for left, norm, name, label in (
        (0.04, scales.density, _DENSITY, "ions seen through the cell (1/Å$^2$)"),
        (0.28, scales.time, _TIME, "time along paths (ps)"),
    ):
        axes = figure.add_axes((left, 0.42 / total, 0.2, 0.08 / total))
        mappable = mpl.cm.ScalarMappable(norm, name)
        figure.colorbar(mappable, cax=axes, orientation="horizontal")
        axes.set_xlabel(label, fontsize=6.5, labelpad=1.5)
        axes.tick_params(labelsize=6, length=2, top=False)
        axes.locator_params(axis="x", nbins=5)
    dot: dict[str, Any] = {"marker": "o", "linestyle": "", "markersize": 3, "markeredgewidth": 0.7}
    marks = [
        Line2D([], [], color=_SHARED, markerfacecolor="white", label="site; first frame", **dot),
        Line2D([], [], color=_SHARED, label="last frame", **dot),
        Line2D([], [], color=_FRAMEWORK, marker="+", linestyle="", label="framework"),
    ]
    if scales.gray:
        marks.append(Line2D([], [], color="0.7", linewidth=0.8, label="ions less mobile"))
    lines = [
        Line2D([], [], color=_SHARED, linewidth=scales.width(r), label=f"{r:g} jumps/ns")
        for r in _round_rates(scales)
    ]
    if scales.compared:
        alone: dict[str, Any] = {"linestyle": _DASHES, "linewidth": 1.2}
        lines.append(Line2D([], [], color=_ALONE, label="this side alone", **alone))
    look: dict[str, Any] = {"fontsize": 6.5, "labelspacing": 0.4, "borderaxespad": 0.0}
    for x, handles in ((0.53, lines), (0.76, marks)):
        figure.legend(handles=handles, loc="center left", bbox_to_anchor=(x, 0.36 / total), **look)


def _round_rates(scales: Scales) -> list[float]:
    """Up to three rates for a legend: the largest round one, and lower ones that occur."""
    if scales.rate <= 0.0:
        return []
    power = 10.0 ** np.floor(np.log10(scales.rate))
    first = float(power * max(n for n in (1.0, 2.0, 5.0) if n * power <= scales.rate))
    return [r for r in (first / 100.0, first / 10.0, first) if r >= 0.5 * scales.lowest_rate]
