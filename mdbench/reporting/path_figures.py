"""Figures of diffusion paths: where ions are, between which sites they jump, how far they come."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from mdbench.reporting.figures import PAGE_WIDTH, STYLE, plain
from mdbench.reporting.path_panels import KINDS, Panel, Scales, draw_foot, draw_panel
from mdbench.reporting.path_pictures import PathPicture, PathSide, picture_of

__all__ = ["PathPicture", "PathSide", "path_figure", "picture_of"]

#: Inches: beside and between panels, for a title, for the legends below, and most of a page.
_MARGIN, _GAP, _TITLE, _FOOT, _HEAD, _TALLEST = 0.22, 0.09, 0.17, 0.72, 0.3, 9.3
#: Most rows of an overview; beyond that a figure is no picture any more.
_MOST_ROWS = 30


def path_figure(pictures: PathPicture | Sequence[PathPicture]) -> Figure:
    """Density of the ions with the jumps between their sites, and paths from first to last frame.

    One state is seen along each of the cell vectors; of several there is one view, the one that
    shows most of the jumps. The reference stands beside its model.

    Args:
        pictures: One state, or several; beyond 30 rows those that follow are left out.
    """
    states = [pictures] if isinstance(pictures, PathPicture) else list(pictures)
    with mpl.rc_context({**STYLE, "figure.constrained_layout.use": False}):
        if len(states) == 1:
            return _one_state(states[0])
        return _several_states(states)


def _one_state(picture: PathPicture) -> Figure:
    """Rows of densities and paths by view; beside a reference a row for each view."""
    title = picture.title + (f":  {picture.result}" if picture.result else "")
    if picture.reference is None:
        rows = [
            [Panel(picture, picture.side, kind, view, f"along {'abc'[view]}") for view in range(3)]
            for kind in KINDS
        ]
    else:
        rows = [
            [
                Panel(picture, side, kind, view, f"{name}, along {'abc'[view]}")
                for kind in KINDS
                for name, side in picture.sides
            ]
            for view in range(3)
        ]
    return _arranged(rows, title)


def _several_states(pictures: Sequence[PathPicture]) -> Figure:
    """One view of each state: two states in a row, or one beside its reference."""
    view = _telling_view([side for picture in pictures for _, side in picture.sides])
    rows: list[list[Panel]] = []
    for picture in pictures:
        panels = [
            Panel(picture, side, kind, view, picture.title if side is picture.side else name)
            for kind in KINDS
            for name, side in picture.sides
        ]
        if rows and len(rows[-1]) + len(panels) <= 4:
            rows[-1] += panels
        else:
            rows.append(panels)
    return _arranged(rows[:_MOST_ROWS], "")


def _telling_view(sides: Sequence[PathSide]) -> int:
    """The cell vector along which jumps go the least: seen along it, they show the most."""
    lengths = np.zeros(3)
    for side in sides:
        ends, per_ns, _ = side.segments
        moved = np.diff(ends, axis=1)[:, 0] * np.linalg.norm(side.cell, axis=1)
        lengths += per_ns @ moved**2
    return int(lengths.argmin())


def _arranged(rows: Sequence[Sequence[Panel]], title: str) -> Figure:
    """Panels at one scale, placed by hand: the layout of matplotlib knows no equal scales."""
    sizes = [[panel.view.box[1] for panel in row] for row in rows]
    columns = max(len(row) for row in rows)
    widths = np.array([max(size[k][0] for size in sizes if k < len(size)) for k in range(columns)])
    heights = np.array([max(size[1] for size in row) for row in sizes])
    room = PAGE_WIDTH - 2 * _MARGIN - (columns - 1) * _GAP
    inches = room / widths.sum()
    if len(rows) <= 3:
        around = _HEAD + _FOOT + len(rows) * (_TITLE + _GAP)
        inches = min(inches, (_TALLEST - around) / heights.sum())
    head = _HEAD if title else 0.25 * _HEAD
    total = float(head + _FOOT + (heights * inches + _TITLE + _GAP).sum())
    figure = Figure(figsize=(PAGE_WIDTH, total))
    left = 0.5 * (PAGE_WIDTH - widths.sum() * inches - (columns - 1) * _GAP)
    scales = Scales.of([p for row in rows for p in row], inches)
    top = total - head
    for row, height in zip(rows, heights * inches, strict=True):
        top -= _TITLE + height
        x = left
        for panel, width in zip(row, widths * inches, strict=False):
            box = (x / PAGE_WIDTH, top / total, width / PAGE_WIDTH, height / total)
            axes = figure.add_axes(box)
            draw_panel(axes, panel, scales, np.array([width, height]) / inches)
            x += width + _GAP
        top -= _GAP
    draw_foot(figure, scales, total)
    if title:
        figure.text(0.5, 1.0 - 0.1 / total, plain(title), ha="center", va="top", fontsize=8)
    return figure
