"""Panels of a benchmark's figures about transport: points over temperature, rows of sources."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from mdbench.reporting.assessment import Assessment, Cited, Transport
from mdbench.reporting.benchmark_marks import (
    NO_VALUE,
    Scale,
    draw,
    name_rows,
    reference_band,
    reference_name,
    same_temperature,
    say,
    shown,
)
from mdbench.reporting.figures import REFERENCE, Look, looks
from mdbench.stats import Estimate

#: Shares of the distance between temperatures: what points at one of them take, and what at most
#: is between two of them.
_APART, _MOST_APART = 0.6, 0.09
#: Share of a panel's width that a temperature above it takes.
_KELVIN_WIDTH = 0.15
#: More models than these have no lines of their own.
_MOST_LINES = 3

#: A quantity of one source in one material.
Pick = Callable[[Transport], Cited | None]
#: A quantity by temperature, K.
Series = Callable[[Transport], Mapping[float, Estimate]]


@dataclass(frozen=True)
class Side:
    """The reference or a model in one material.

    Attributes:
        label: Its name.
        look: Its color and marker.
        transport: None where there is none.
        missing: What stands instead of a value that there is not.
    """

    label: str
    look: Look
    transport: Transport | None
    missing: str


def sides_of(
    assessment: Assessment, told: Callable[[Transport], bool], *, models_only: bool = False
) -> dict[str, list[Side]]:
    """The reference, then each model, of the materials in which one of them has what is told."""
    each = looks([model.source for model in assessment.models])
    found = {}
    for material in assessment.materials:
        reference = assessment.reference.get(material)
        name = reference_name(assessment.synthetic)
        sides = [Side(name, REFERENCE, reference, "no value" if reference else "no reference")]
        for model in assessment.models:
            standing = model.standings.get(material)
            transport = None if standing is None else standing.transport
            missing = "no runs"
            if transport is not None:
                missing = transport.failure_mode or "not resolved"
            elif standing is not None and standing.stability:
                missing = "not computed"
            sides.append(Side(model.source, each[model.source], transport, missing))
        if any(s.transport is not None and told(s.transport) for s in sides[models_only:]):
            found[material] = sides
    return found


def transports(found: Mapping[str, Sequence[Side]]) -> list[Transport]:
    """What is known of all sides in all materials."""
    return [s.transport for sides in found.values() for s in sides if s.transport is not None]


def estimates(found: Mapping[str, Sequence[Side]], pick: Pick) -> list[Estimate]:
    """A quantity of all sides in all materials, where there is one."""
    each = (value_of(pick, transport) for transport in transports(found))
    return [estimate for estimate in each if estimate is not None]


def value_of(pick: Pick, transport: Transport | None) -> Estimate | None:
    """A quantity; None where there is none."""
    cited = None if transport is None else pick(transport)
    return None if cited is None else cited.estimate


def name_outer(axes: Axes, first: bool, name: str) -> None:
    """All panels of a row have the same axis: the first one names it."""
    axes.tick_params(labelleft=first)
    if first:
        axes.set_ylabel(name)


def over_temperature(
    axes: Axes,
    sides: Sequence[Side],
    series: Series,
    scale: Scale,
    temperatures: Sequence[float],
    *,
    inverse: bool,
) -> None:
    """Points of all sides, a little apart at each temperature.

    Args:
        axes: An empty panel.
        sides: Reference and models.
        series: What of them is drawn.
        scale: Of the vertical axis.
        temperatures: That the horizontal one shows, K, ascending.
        inverse: Whether that is 1000/T, with T above.
    """
    scale.set(axes, "y")
    present = [(side, side.transport) for side in sides if side.transport is not None]
    if not temperatures:
        axes.set_xticks([])
        axes.text(0.5, 0.5, "no value", transform=axes.transAxes, ha="center", color=NO_VALUE)
        return
    places = sorted(1000.0 / t if inverse else t for t in temperatures)
    gap = min((b - a for a, b in pairwise(places)), default=0.3 * places[0])
    axes.set_xlim(places[0] - 0.6 * gap, places[-1] + 0.6 * gap)
    step = gap * min(_APART / len(present), _MOST_APART)
    for number, (side, transport) in enumerate(present):
        shift = step * (number - 0.5 * (len(present) - 1))
        shown_here = series(transport)
        draw(
            axes,
            [(1000.0 / t if inverse else t) + shift for t in shown_here],
            list(shown_here.values()),
            side.look,
            size=3.2 if len(present) > _MOST_LINES + 1 else 4.0,
            label=side.label,
        )
        if inverse:
            ended = [1000.0 / t + shift for t in transport.ended_k]
            axes.plot(
                ended,
                [0.035] * len(ended),
                "x",
                color=side.look.color,
                markersize=3.2,
                transform=axes.get_xaxis_transform(),
                label=f"{side.label} ended early",
            )
    if inverse:
        _kelvin_above(axes, temperatures)


def temperatures_of(sides: Sequence[Side], series: Series) -> list[float]:
    """All temperatures of all sides, K, ascending, each once."""
    known = [side.transport for side in sides if side.transport is not None]
    found: list[float] = []
    for kelvin in sorted(t for each in known for t in (*series(each), *each.ended_k)):
        if not found or not same_temperature(kelvin, found[-1]):
            found.append(kelvin)
    return found


def _kelvin_above(axes: Axes, temperatures: Sequence[float]) -> None:
    """Temperatures above the frame, the outermost first, the others where there is room."""
    left, right = axes.get_xlim()
    chosen: list[float] = []
    for kelvin in (temperatures[0], temperatures[-1], *temperatures):
        near = [abs(1000.0 / kelvin - 1000.0 / other) for other in chosen]
        if min(near, default=math.inf) >= _KELVIN_WIDTH * (right - left):
            chosen.append(kelvin)
    axes.tick_params(axis="x", top=False)
    axes.locator_params(axis="x", nbins=5)
    above = axes.secondary_xaxis("top")
    above.set_xticks([1000.0 / t for t in chosen], [f"{t:g}" for t in chosen])


def arrhenius_lines(axes: Axes, sides: Sequence[Side]) -> None:
    """Lines with bands: of the reference, and of models where they are few."""
    few = len(sides) - 1 <= _MOST_LINES
    for side in sides if few else sides[:1]:
        if side.transport is None or side.transport.line is None:
            continue
        kelvin, line, low, high = np.asarray(side.transport.line, dtype=float).T
        look: dict[str, Any] = {"color": side.look.color, "zorder": 1}
        axes.plot(1000.0 / kelvin, line, linewidth=0.8, label=f"{side.label} line", **look)
        axes.fill_between(1000.0 / kelvin, low, high, alpha=0.13, linewidth=0, **look)


def source_rows(
    axes: Axes,
    sides: Sequence[Side],
    pick: Pick,
    scale: Scale,
    *,
    named: bool,
    equal: float | None = None,
) -> None:
    """A row for each side.

    Args:
        axes: An empty panel.
        sides: In order from above; the interval of the reference is shaded.
        pick: What stands in the rows.
        scale: Of the horizontal axis.
        named: Whether names stand beside the rows.
        equal: Where a line is drawn that means the reference; None for its own value.
    """
    scale.set(axes, "x")
    name_rows(axes, [side.label for side in sides], named=named)
    known = value_of(pick, sides[0].transport) if sides[0].look == REFERENCE else None
    reference_band(axes, known)
    if equal is not None:
        axes.axvline(equal, color=REFERENCE.color, linewidth=0.6)
    elif known is not None:
        equal = known.value
    # words stand where the line is not
    left = equal is not None and equal < _middle(scale)
    for row, side in enumerate(sides):
        estimate = value_of(pick, side.transport)
        if estimate is not None and shown(estimate):
            draw(axes, [row], [estimate], side.look, rows=True, label=side.label)
        else:
            say(axes, row, side.missing, right=left)


def _middle(scale: Scale) -> float:
    if scale.log:
        return math.sqrt(scale.low * scale.high)
    return 0.5 * (scale.low + scale.high)
