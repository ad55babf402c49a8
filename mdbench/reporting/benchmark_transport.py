"""Figures of a benchmark about transport: conduction, diffusion, activation energies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from mdbench.reporting.assessment import Assessment, Transport
from mdbench.reporting.benchmark_marks import (
    AROUND_ROWS,
    NO_VALUE,
    ROW,
    BenchmarkFigure,
    Scale,
    entry,
    legend_below,
    rows_and_columns,
    same_temperature,
    scale_of,
    shown,
    spanned,
)
from mdbench.reporting.benchmark_sides import (
    Pick,
    Series,
    Side,
    arrhenius_lines,
    estimates,
    name_outer,
    over_temperature,
    sides_of,
    source_rows,
    temperatures_of,
    transports,
    value_of,
)
from mdbench.reporting.figures import PAGE_WIDTH, REFERENCE, STYLE, Look, plain
from mdbench.reporting.markup import count
from mdbench.stats import Estimate

#: Heights of panels over temperature, inches.
_TALL, _FLAT = 2.2, 1.5


def conduction_figure(assessment: Assessment) -> BenchmarkFigure | None:
    """Conductivity over 1/T above, -log10 of it at one temperature below, for each material.

    None where there is no conductivity, nor runs that were to give one.
    """
    found = sides_of(assessment, lambda t: bool(t.conductivity or t.ended_k))
    if not found:
        return None
    at_k = next(t.at_k for t in transports(found))
    pick: Pick = attrgetter("minus_log10")
    with mpl.rc_context(STYLE):
        figure, panels = _panels(len(found), [_TALL, _rows_height(assessment)])
        scale = _common_scale(found, _conductivities)
        rows_scale = scale_of(estimates(found, pick))
        for (first, above, rows), (material, sides) in zip(panels, found.items(), strict=True):
            above.set_title(plain(material), loc="left", pad=3)
            kelvins = temperatures_of(sides, _conductivities)
            over_temperature(above, sides, _conductivities, scale, kelvins, inverse=True)
            arrhenius_lines(above, sides)
            source_rows(rows, sides, pick, rows_scale, named=first)
            above.set_xlabel("1000/$T$ (K$^{-1}$); above: $T$ (K)")
            rows.set_xlabel(rf"$-\log_{{10}}\,\sigma({at_k:g}\,\mathrm{{K}})$, mS/cm")
            name_outer(above, first, r"$\sigma$ (mS/cm)")
        legend_below(figure, _legend(found, _conductivities, ended=True))
    return BenchmarkFigure(
        name="figure-4",
        title=f"Conductivity, and what it is at {at_k:g} K",
        alt=_words(found, f"-log10 of the conductivity at {at_k:g} K in mS/cm", pick),
        caption=(
            "Points with 95 % intervals, the reference with its Arrhenius line and its band; "
            "hollow points with an arrow are bounds, crosses stand where all runs ended early. "
            f"Below: at {at_k:g} K, from the lines; the interval of the reference is shaded, bars "
            f"are cut at the frame. {_open(found, pick)}"
        ),
        figure=figure,
    )


def diffusivity_figure(assessment: Assessment) -> BenchmarkFigure | None:
    """Diffusivity at each temperature, over that of the reference, and over all temperatures.

    None without a diffusivity of a model.
    """
    found = sides_of(assessment, lambda t: bool(t.diffusivity), models_only=True)
    if not found:
        return None
    pick: Pick = attrgetter("ratio")
    with mpl.rc_context(STYLE):
        heights = [_TALL - 0.4, _FLAT, _rows_height(assessment) - ROW]
        figure, panels = _panels(len(found), heights)
        scale = _common_scale(found, _diffusivities)
        rows_scale = scale_of(estimates(found, pick), also=[1.0], log=True)
        ratios = {material: _over_reference(sides) for material, sides in found.items()}
        every = [
            estimate
            for material, sides in found.items()
            for transport in transports({material: sides})
            for estimate in ratios[material](transport).values()
        ]
        ratio_scale = scale_of(every, also=[1.0], log=True)
        for (first, above, middle, rows), (material, sides) in zip(
            panels, found.items(), strict=True
        ):
            above.set_title(plain(material), loc="left", pad=3)
            kelvins = temperatures_of(sides, _diffusivities)
            over_temperature(above, sides, _diffusivities, scale, kelvins, inverse=False)
            over_temperature(middle, sides, ratios[material], ratio_scale, kelvins, inverse=False)
            middle.axhline(1.0, color=REFERENCE.color, linewidth=0.6)
            source_rows(rows, sides[1:], pick, rows_scale, named=first, equal=1.0)
            middle.set_xlabel("$T$ (K)")
            rows.set_xlabel(r"$D/D_\mathrm{reference}$, all temperatures")
            name_outer(above, first, "$D$ (cm$^2$/s)")
            name_outer(middle, first, r"$D/D_\mathrm{reference}$")
        legend_below(figure, _legend(found, _diffusivities))
    known = [s.transport for sides in found.values() for s in sides[1:] if s.transport is not None]
    return BenchmarkFigure(
        name="diffusivity",
        title="Diffusivity against the reference",
        alt=_words(found, "Diffusivity over that of the reference", pick),
        caption=(
            "Diffusivity with 95 % intervals; the same over the reference's value, where bars are "
            "of the model alone and the reference's own stands at 1; below the ratio over all "
            "temperatures with both intervals. Hollow points with an arrow are bounds. A "
            f"difference is resolved in {sum(bool(t.differs) for t in known)} of {len(known)} "
            "cases."
        ),
        figure=figure,
    )


def activation_figure(assessment: Assessment) -> BenchmarkFigure | None:
    """Activation energies, a row for each model, a panel for each material.

    None without an activation energy.
    """
    pick: Pick = attrgetter("activation_energy")
    found = sides_of(assessment, lambda t: shown(value_of(pick, t)))
    if not found:
        return None
    with mpl.rc_context(STYLE):
        figure, panels = _panels(len(found), [_rows_height(assessment)])
        scale = scale_of(estimates(found, pick))
        for (first, rows), (material, sides) in zip(panels, found.items(), strict=True):
            rows.set_title(plain(material), loc="left", pad=3)
            source_rows(rows, sides, pick, scale, named=first)
            rows.set_xlabel("activation energy (eV)")
    return BenchmarkFigure(
        name="activation",
        title="Activation energies",
        alt=_words(found, "Activation energies in eV", pick),
        caption=(
            "Slopes of the Arrhenius lines with 95 % intervals, cut at the frame; the interval of "
            f"the reference is shaded. {_open(found, pick)}"
        ),
        figure=figure,
    )


def _conductivities(transport: Transport) -> dict[float, Estimate]:
    return {t: cited.estimate for t, cited in sorted(transport.conductivity.items())}


def _diffusivities(transport: Transport) -> dict[float, Estimate]:
    return {t: cited.estimate for t, cited in sorted(transport.diffusivity.items())}


def _over_reference(sides: Sequence[Side]) -> Series:
    """Diffusivities over the values of the reference, which are taken as exact."""
    reference = sides[0].transport
    known = {} if reference is None else _diffusivities(reference)

    def series(transport: Transport) -> dict[float, Estimate]:
        ratios = {}
        for kelvin, d in _diffusivities(transport).items():
            value = next((e.value for t, e in known.items() if same_temperature(t, kelvin)), None)
            if value is not None:
                ratios[kelvin] = d.scaled(1.0 / value, "")
        return ratios

    return series


def _common_scale(found: Mapping[str, Sequence[Side]], series: Series) -> Scale:
    return scale_of((e for t in transports(found) for e in series(t).values()), log=True)


def _rows_height(assessment: Assessment) -> float:
    return ROW * (len(assessment.models) + 1) + AROUND_ROWS


def _panels(n: int, heights: Sequence[float]) -> tuple[Figure, list[tuple[Any, ...]]]:
    """For each of n materials whether it is the first in its row, and panels of these heights."""
    blocks, columns = rows_and_columns(n)
    figure = Figure(figsize=(PAGE_WIDTH, sum(heights) * blocks))
    grid = figure.add_gridspec(len(heights) * blocks, columns, height_ratios=list(heights) * blocks)
    found = []
    for index in range(n):
        block, column = divmod(index, columns)
        places = [grid[block * len(heights) + row, column] for row in range(len(heights))]
        found.append((column == 0, *(figure.add_subplot(place) for place in places)))
    return figure, found


def _legend(
    found: Mapping[str, Sequence[Side]], series: Series, *, ended: bool = False
) -> list[Line2D | Patch]:
    """Each side, and what is not a value."""
    sides = next(iter(found.values()))
    entries: list[Line2D | Patch] = [entry(side.label, side.look) for side in sides]
    every = transports(found)
    gray = Look(NO_VALUE, "o")
    if any(not e.resolved for t in every for e in series(t).values()):
        entries.append(entry("bound", gray, "none"))
    if ended and any(t.ended_k for t in every):
        entries.append(entry("all runs ended early", Look(NO_VALUE, "x")))
    return entries


def _words(found: Mapping[str, Sequence[Side]], what: str, pick: Pick) -> str:
    """What rows show, material by material."""
    words = [f"{what}."]
    for material, sides in found.items():
        reference, *each = [value_of(pick, side.transport) for side in sides]
        parts = []
        if reference is not None and reference.resolved:
            parts.append(f"reference {reference.value:.3g}")
        values = [e.value for e in each if e is not None and e.value is not None]
        span = f": {spanned(values)}" if values else ""
        parts.append(f"a value of {len(values)} of {count(len(each), 'model')}{span}")
        words.append(f"{material}: {'; '.join(parts)}.")
    return " ".join(words)


def _open(found: Mapping[str, Sequence[Side]], pick: Pick) -> str:
    """How many models have no value that was to be found."""
    each = [value_of(pick, side.transport) for sides in found.values() for side in sides[1:]]
    n_open = sum(e is None or not e.resolved for e in each)
    if not n_open:
        return "All models have a value."
    return f"Without a value: {n_open} of {len(each)} models and materials."
