"""Figures as a page embeds them: in few colors, since a page has many of them."""

from __future__ import annotations

import io

import matplotlib as mpl
from matplotlib.figure import Figure
from PIL import Image

from mdbench.reporting.figures import STYLE

#: As wide as the page has room for.
_DPI = 110
_N_COLORS = 256


def png(figure: Figure) -> bytes:
    """A figure in 256 colors, which takes a third of the bytes and looks the same."""
    drawn = io.BytesIO()
    with mpl.rc_context(STYLE):
        figure.savefig(drawn, format="png", dpi=_DPI)
    with Image.open(drawn) as image:
        few = image.convert("RGB").quantize(
            _N_COLORS, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE
        )
    few.putpalette(_with_white(few.getpalette() or []))
    stored = io.BytesIO()
    few.save(stored, "png", optimize=True)
    return stored.getvalue()


def _with_white(palette: list[int]) -> list[int]:
    """The palette with its brightest color made white, which an octree has nearly."""
    colors = [palette[i : i + 3] for i in range(0, len(palette), 3)]
    brightest = max(range(len(colors)), key=lambda i: sum(colors[i]))
    colors[brightest] = [255, 255, 255]
    return [level for color in colors for level in color]
