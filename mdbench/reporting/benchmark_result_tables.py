"""The paper's Table 2 with ours beside, and the kinds of table of its supplement.

Its supplement holds errors of energies, forces and g(r), diffusivities and activation energies in
Tables S1 to S6; which number is whose is not at hand, so titles say what is in each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from mdbench.reporting import published as paper
from mdbench.reporting.assessment import Assessment, Cited, Stability, Standing, Transport
from mdbench.reporting.benchmark_cells import (
    EMPTY,
    MATERIAL,
    MODEL,
    SOURCE,
    BenchmarkTable,
    Column,
    Shown,
    diffusion_ratio,
    four_decimals,
    in_place,
    make_table,
    measured,
    published,
    said,
    standings,
    stated,
)
from mdbench.reporting.transport_html import plain_number

_REFERENCE = "reference"
_INTERVALS = "Below each number its 95 % interval."
_BOUNDS = "“<” and “>” are bounds of what is not resolved."
_TRANSFER = "Transfer: the model was not trained on this material."


def table_2(a: Assessment) -> BenchmarkTable:
    """The extrapolated conductivity of the reference and of each model, as the paper writes it."""
    at_k = sorted({found.at_k for _, _, found in _transports(a)})
    where = " and ".join(f"{each:g} K" for each in at_k)
    columns = [SOURCE, *((material, material) for material in a.materials)]
    rows = _by_source(a, lambda found: _on_line(found, found.minus_log10))
    caption = [
        f"−log10 of the conductivity in mS/cm, extrapolated to {where}.",
        f"{_INTERVALS} {_BOUNDS}",
    ]
    if rows and at_k == [paper.AT_K] and any(paper.in_table_2(m) for m in a.materials):
        aimd = [
            published(paper.aimd_minus_log10(m)) if paper.in_table_2(m) else EMPTY
            for m in a.materials
        ]
        rows.insert(1 if rows[0][0].text == _REFERENCE else 0, [said("AIMD", "paper"), *aimd])
        caption.append("Of the paper's numbers that of AIMD for lgps is at hand, no other.")
    title = f"Table 2: −log10 σ at {where}"
    return make_table("table-2", title, caption, columns, rows, n_words=1)


def energies(a: Assessment) -> BenchmarkTable:
    """Errors of energies by model and material."""
    columns = [MODEL, *((m, f"energy_mae_{m}") for m in _evaluated(a))]
    rows = _by_material(a, lambda standing: [_error(standing, "energy_mae")])
    caption = "meV/atom, after the mean offset was taken off.", _INTERVALS, _TRANSFER
    title = "Energy errors (MAE) on test frames"
    return make_table("s1-energy", title, caption, columns, rows, n_words=1)


def forces(a: Assessment) -> BenchmarkTable:
    """Errors of forces by model and material."""
    columns = [MODEL]
    for m in _evaluated(a):
        columns += [(f"{m}, MAE", f"force_mae_{m}"), (f"{m}, R²", f"force_r2_{m}")]

    def both(standing: Standing | None) -> list[Shown]:
        return [_error(standing, "force_mae"), _error(standing, "force_r2", four_decimals)]

    rows = _by_material(a, both)
    caption = "MAE of force components in meV/Å, and R².", _INTERVALS, _TRANSFER
    title = "Force errors (MAE and R²) on test frames"
    return make_table("s2-force", title, caption, columns, rows, n_words=1)


def _evaluated(a: Assessment) -> list[str]:
    """Materials on which a model was evaluated, or should have been."""
    found = {m for _, m, standing in standings(a) if standing.accuracy or standing.no_accuracy}
    return [material for material in a.materials if material in found]


def _by_material(
    a: Assessment, cells: Callable[[Standing | None], list[Shown]]
) -> list[list[Shown]]:
    """A row for each model that was evaluated, or should have been."""
    return [
        [
            said(model.source),
            *(cell for m in _evaluated(a) for cell in cells(model.standings.get(m))),
        ]
        for model in a.models
        if any(s.accuracy or s.no_accuracy for s in model.standings.values())
    ]


def _error(
    standing: Standing | None, name: str, form: Callable[[float], str] = plain_number
) -> Shown:
    if standing is None or standing.accuracy is None:
        return measured(None, (standing and standing.no_accuracy) or "")
    found = standing.accuracy
    return measured(getattr(found, name), "transfer" if found.transfer else "", form)


def structures(a: Assessment) -> BenchmarkTable:
    """Errors of g(r) by material, model and temperature, with what noise explains."""
    held = [(model, m, standing) for model, m, standing in standings(a) if standing.stability]
    known = {each.temperature_k for _, _, standing in held for each in standing.stability}
    temperatures = sorted(known, key=lambda t: float("inf") if t is None else t)
    columns = [MATERIAL, MODEL, *(_at(t, "rdf_mae") for t in temperatures)]
    rows = []
    for model, material, standing in held:
        by_k = {each.temperature_k: each for each in standing.stability}
        cells = [_difference(by_k[t]) if t in by_k else EMPTY for t in temperatures]
        rows.append([said(material), said(model.source), *cells])
    caption = (
        "rdf_mae: mean |g − g of the reference| over r, total g(r), without unit.",
        _INTERVALS,
        "Floor: what a perfect model would show on average at this amount of data.",
    )
    title = "Errors of the radial distribution function"
    return make_table("s3-rdf", title, caption, columns, rows, n_words=2)


def _difference(found: Stability) -> Shown:
    floor = "floor not known" if found.floor is None else f"floor {plain_number(found.floor[0])}"
    return measured(found.rdf_mae, floor)


def diffusivities(a: Assessment) -> BenchmarkTable:
    """Diffusivities by material, source and temperature."""
    found = _transports(a)
    temperatures = _temperatures(found)
    columns = [MATERIAL, SOURCE, *(_at(t, "diffusivity") for t in temperatures)]
    rows = [
        [said(m), said(source), *(_at_temperature(t, each.diffusivity, each) for t in temperatures)]
        for m, source, each in found
    ]
    caption = "Tracer diffusivity of the mobile ion, cm²/s.", _INTERVALS, _BOUNDS
    title = "Diffusivity by temperature"
    return make_table("s4-diffusivity", title, caption, columns, rows, n_words=2)


def activation_energies(a: Assessment) -> BenchmarkTable:
    """Activation energies by source and material."""
    columns = [SOURCE, *((material, material) for material in a.materials)]
    rows = _by_source(a, lambda found: _on_line(found, found.activation_energy))
    caption = "eV, from the Arrhenius line of the diffusivity.", _INTERVALS, _BOUNDS
    title = "Activation energies"
    return make_table("s5-activation", title, caption, columns, rows, n_words=1)


def conductivities(a: Assessment) -> BenchmarkTable:
    """Conductivities by material, source and temperature, held against the reference."""
    found = _transports(a)
    temperatures = _temperatures(found)
    columns = [
        *(MATERIAL, SOURCE),
        *(_at(t, "conductivity") for t in temperatures),
        ("extrapolated", "extrapolated"),
        ("extrapolated to (K)", "extrapolated_to_k"),
        ("D over the reference’s", "d_ratio"),
        ("p", "p"),
    ]
    rows = [
        [
            *(said(material), said(source)),
            *(_at_temperature(t, each.conductivity, each) for t in temperatures),
            _on_line(each, each.extrapolated),
            Shown(f"{each.at_k:g}", value=each.at_k),
            *_against(each),
        ]
        for material, source, each in found
    ]
    caption = (
        "Nernst–Einstein conductivity, mS/cm, and its extrapolation by the Arrhenius line.",
        f"{_INTERVALS} {_BOUNDS}",
        "Ratio of diffusivities over the simulated temperatures, and p that they are equal.",
    )
    title = "Conductivity by temperature, and against the reference"
    return make_table("s6-conductivity", title, caption, columns, rows, n_words=2)


def _transports(a: Assessment) -> list[tuple[str, str, Transport]]:
    """Material, source and transport; of each material the reference first."""
    found = []
    for material in a.materials:
        if material in a.reference:
            found.append((material, _REFERENCE, a.reference[material]))
        for model in a.models:
            standing = model.standings.get(material)
            if standing is not None and standing.transport is not None:
                found.append((material, model.source, standing.transport))
    return found


def _by_source(a: Assessment, cell: Callable[[Transport], Shown]) -> list[list[Shown]]:
    """A row for each source, a cell for each material; the reference first."""
    cells = {(source, material): cell(found) for material, source, found in _transports(a)}
    sources = [_REFERENCE, *(model.source for model in a.models)]
    return [
        [said(source), *(cells.get((source, m), EMPTY) for m in a.materials)]
        for source in sources
        if any((source, m) in cells for m in a.materials)
    ]


def _temperatures(found: Sequence[tuple[str, str, Transport]]) -> list[float]:
    return sorted({t for _, _, each in found for t in (*each.diffusivity, *each.ended_k)})


def _at(temperature_k: float | None, name: str) -> Column:
    if temperature_k is None:
        return "unknown T", f"{name}_unknown_temperature"
    return f"{temperature_k:g} K", f"{name}_{temperature_k:g}K"


def _at_temperature(
    temperature_k: float, quantities: Mapping[float, Cited], found: Transport
) -> Shown:
    if temperature_k in found.ended_k:
        return in_place("ended early")
    return measured(quantities.get(temperature_k))


def _on_line(found: Transport, quantity: Cited | None) -> Shown:
    if quantity is not None:
        return measured(quantity)
    return in_place(found.failure_mode or "no line")


def _against(found: Transport) -> list[Shown]:
    """The ratio to the reference, and its significance."""
    if found.p is None:
        return [diffusion_ratio(found), EMPTY]
    key = "attributes/document/comparison/p"
    return [diffusion_ratio(found), stated(found.p, found.file, key, text=plain_number(found.p))]
