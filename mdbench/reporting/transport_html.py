"""Sections of a page on diffusion and conductivity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mdbench.reporting.arrhenius_figure import close, exponent, three_digits
from mdbench.reporting.markup import bullets, heading, image, provenance, table, text
from mdbench.reporting.result_section import ResultSection, StateSection
from mdbench.stats import Estimate

_NO_BREAK = "\N{NO-BREAK SPACE}"
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True, kw_only=True)
class MsdSection(StateSection):
    """What the page shows of diffusion in one state.

    Attributes:
        species: Symbol of the mobile ions.
        diffusivity: Tracer diffusivity, cm²/s.
        along_cell: Along the cell vectors a, b, c, cm²/s.
        collective: Collective diffusivity, cm²/s.
        haven_ratio: Tracer over collective diffusivity.
        window_ps: First and last lag of the fit.
        n_eff: Effective number of hops.
        he_zhu_mo: Relative error by He, Zhu and Mo.
        n_hops: Moves by more than half a site distance.
        site_distance: Å.
        warnings: What the reader should know.
    """

    species: str
    diffusivity: Estimate
    along_cell: Sequence[Estimate]
    collective: Estimate
    haven_ratio: Estimate
    window_ps: tuple[float, float]
    n_eff: float
    he_zhu_mo: float
    n_hops: int
    site_distance: float
    warnings: Sequence[str]


@dataclass(frozen=True)
class ConductivityRow:
    """One temperature.

    Attributes:
        temperature_k: K.
        diffusivity: cm²/s.
        conductivity: Tracer (Nernst–Einstein), mS/cm.
        collective: Of the collective displacement, mS/cm; None where it is not stored.
        haven_ratio: None where it is not stored.
        ended_early: All runs ended early, and nothing is resolved.
    """

    temperature_k: float
    diffusivity: Estimate
    conductivity: Estimate
    collective: Estimate | None = None
    haven_ratio: Estimate | None = None
    ended_early: bool = False


@dataclass(frozen=True)
class ArrheniusFacts:
    """What an Arrhenius line says.

    Attributes:
        activation_energy: eV.
        prefactor: cm²/s.
        conductivity: mS/cm at `at_k`.
        minus_log10: −log10 of it.
        at_k: K.
        amplification: How much errors of ln D grow at `at_k`; None where the line has none.
    """

    activation_energy: Estimate
    prefactor: Estimate
    conductivity: Estimate
    minus_log10: Estimate
    at_k: float
    amplification: float | None


@dataclass(frozen=True)
class Recipe:
    """The same by the usual recipe of papers.

    Attributes:
        name: What it does.
        temperatures: Likewise.
        line: None without one.
    """

    name: str
    temperatures: Sequence[ConductivityRow]
    line: ArrheniusFacts | None


@dataclass(frozen=True)
class ConductivityComparison:
    """A model's diffusivity over that of the reference.

    Attributes:
        reference: Name of the reference.
        ratios: Where they are taken, ratio, and p of no difference, None at a bound; empty where
            all runs of the model ended early.
        energy_difference: Activation energy less that of the reference, eV; None where unknown.
        p_value: Of no difference at all; None where everything is a bound.
        resolved: Whether they differ.
        failure_mode: `frozen` where the reference diffuses and the model does not, `ended early`
            where no run of the model reaches its end; else None.
    """

    reference: str
    ratios: Sequence[tuple[str, Estimate, float | None]]
    energy_difference: Estimate | None
    p_value: float | None
    resolved: bool
    failure_mode: str | None


@dataclass(frozen=True, kw_only=True)
class ConductivitySection(ResultSection):
    """What the page shows of the conductivity of one source and material.

    Attributes:
        species: Symbol of the mobile ions.
        charge: e, of the mobile ion.
        temperatures: One row each.
        line: None without an Arrhenius line.
        recipe: None where it is not stored.
        comparison: None without a reference.
        warnings: What the reader should know.
    """

    species: str
    charge: float
    temperatures: Sequence[ConductivityRow]
    line: ArrheniusFacts | None
    recipe: Recipe | None
    comparison: ConductivityComparison | None
    warnings: Sequence[str]


def msd_html(s: MsdSection, level: int) -> str:
    """Figure, D in all directions, Haven ratio, what D rests on, warnings.

    Args:
        s: What is shown.
        level: Of the heading.
    """
    temperature = "temperature unknown" if s.temperature_k is None else f"{s.temperature_k:g} K"
    name = f"{s.species} in {s.material}, {temperature}, {s.source}"
    rows = [("D", s.diffusivity)]
    rows += [(f"D along {v}", d) for v, d in zip("abc", s.along_cell, strict=True)]
    rows += [("D collective", s.collective), ("Haven ratio", s.haven_ratio)]
    first, last = s.window_ps
    return "\n".join(
        [
            heading(f"Diffusion of {name}", level=level, synthetic=s.synthetic),
            image(s.figure, f"mean squared displacement of {name}"),
            bullets(s.warnings),
            _quantities(f"Diffusion of {name}", rows),
            f"<p>Lags {first:.3g} to {last:.3g} ps; N_eff {s.n_eff:.3g} (relative error by He, Zhu "
            f"and Mo {s.he_zhu_mo:.0%}); {s.n_hops} hops of {s.site_distance:.2f} Å.</p>",
            '<p class="small">N_eff: number of ions times the largest MSD over the squared '
            "distance of sites. Haven ratio: D over the collective D, which carries charge</p>",
            provenance(s.file),
        ]
    )


def msd_result(s: MsdSection) -> str:
    """D in a few words."""
    return _stated("D", s.diffusivity)


def conductivity_html(s: ConductivitySection, level: int) -> str:
    """Figure, table by temperature, what the line says, comparison, the usual recipe, warnings.

    Args:
        s: What is shown.
        level: Of the heading.
    """
    name = f"{s.material}, {s.source}"
    parts = [
        heading(f"Conductivity of {name}", level=level, synthetic=s.synthetic),
        image(s.figure, f"conductivity of {name} against inverse temperature"),
        bullets(s.warnings),
        _by_temperature(s),
        "" if s.line is None else _line(s.line),
        "" if s.comparison is None else _comparison(s.comparison),
        "" if s.recipe is None else _recipe(s, s.recipe),
        f'<p class="small">σ by the charge {s.charge:+g} of {text(s.species)}: tracer, as if ions '
        "moved without regard to each other (Nernst–Einstein), and collective</p>",
        provenance(s.file),
    ]
    return "\n".join(part for part in parts if part)


def conductivity_result(s: ConductivitySection) -> str:
    """Conductivity at the temperature of interest in a few words."""
    if all(row.ended_early for row in s.temperatures):
        return "no value: ended early"
    if s.line is None:
        return "no Arrhenius line"
    return _stated(f"σ({s.line.at_k:g} K)", s.line.conductivity)


def _by_temperature(s: ConductivitySection) -> str:
    head = ("T (K)", "D (cm²/s)", "σ tracer (mS/cm)", "σ collective (mS/cm)", "Haven ratio")
    rows = []
    for row in s.temperatures:
        if row.ended_early:
            rows.append((f"{row.temperature_k:g}", "ended early", *["–"] * 3))
            continue
        known = (row.diffusivity, row.conductivity, row.collective, row.haven_ratio)
        cells = ["–" if quantity is None else text(_in_one(quantity)) for quantity in known]
        rows.append((f"{row.temperature_k:g}", *cells))
    caption = f"Diffusion and conductivity of {s.material}, {s.source}, with 95 % intervals"
    return table(head, rows, n_words=1, caption=caption)


def _line(line: ArrheniusFacts) -> str:
    body = _quantities("Arrhenius line, with 95 % intervals", _line_rows(line))
    if line.amplification is None:
        return body
    return (
        f"{body}\n<p>Errors of ln D at the simulated temperatures grow {line.amplification:.3g} "
        f"times at {line.at_k:g} K.</p>"
    )


def _line_rows(line: ArrheniusFacts) -> list[tuple[str, Estimate]]:
    return [
        ("activation energy", line.activation_energy),
        ("prefactor", line.prefactor),
        (f"σ at {line.at_k:g} K", line.conductivity),
        (f"−log10 σ at {line.at_k:g} K", line.minus_log10),
    ]


def _comparison(found: ConductivityComparison) -> str:
    mode = "" if found.failure_mode is None else f"; {text(found.failure_mode)}"
    if not found.ratios:
        verdict = '<strong class="verdict">no value</strong>'
        return f"<p>{verdict} to hold against {text(found.reference)}{mode}.</p>"
    p = "" if found.p_value is None else f" (p = {plain_number(found.p_value)})"
    verdict = "different" if found.resolved else "no difference resolved"
    rows = [
        (text(where), *_limits(ratio), "–" if p_value is None else plain_number(p_value))
        for where, ratio, p_value in found.ratios
    ]
    lines = [
        f'<p><strong class="verdict">{verdict}</strong> from {text(found.reference)}{p}{mode}.</p>',
        table(
            ("at", "ratio", "low", "high", "p"),
            rows,
            n_words=1,
            caption="D over that of the reference, with 95 % intervals",
        ),
    ]
    if found.energy_difference is not None:
        energies = _stated("Difference of the activation energies", found.energy_difference)
        lines.append(f"<p>{text(energies)}</p>")
    return "\n".join(lines)


def _recipe(s: ConductivitySection, recipe: Recipe) -> str:
    """Ours beside the usual recipe, quantity by quantity."""
    ours = {row.temperature_k: row for row in s.temperatures}
    pairs: list[tuple[str, Estimate | None, Estimate]] = []
    for row in recipe.temperatures:
        own = ours.get(row.temperature_k)
        name = f"D at {row.temperature_k:g} K"
        pairs.append((name, None if own is None else own.diffusivity, row.diffusivity))
    if recipe.line is not None:
        own_line = dict(_line_rows(s.line)) if s.line is not None else {}
        pairs += [(name, own_line.get(name), q) for name, q in _line_rows(recipe.line)]
    rows = [
        (text(name), "–" if own is None else _value(own), _value(usual), text(_unit(usual)))
        for name, own, usual in pairs
    ]
    return table(
        ("quantity", "ours", "usual recipe", "unit"),
        rows,
        n_words=1,
        caption=f"The usual recipe beside ours: {recipe.name}. It has no intervals.",
    )


def _quantities(caption: str, rows: Sequence[tuple[str, Estimate]]) -> str:
    cells = [(text(name), *_limits(quantity), text(_unit(quantity))) for name, quantity in rows]
    return table(("quantity", "value", "low", "high", "unit"), cells, n_words=1, caption=caption)


def _limits(quantity: Estimate) -> tuple[str, str, str]:
    """Value or bound, and limits."""
    if quantity.value is None:
        return _value(quantity), "–", "–"
    low, high = ("–" if x is None else plain_number(x) for x in (quantity.low, quantity.high))
    return _value(quantity), low, high


def _value(quantity: Estimate) -> str:
    """Value or bound, as HTML."""
    return text(_in_one(Estimate(quantity.value, None, quantity.high, quantity.unit)))


def _in_one(quantity: Estimate) -> str:
    """Value and interval, or bound, as text."""
    value, low, high = quantity.value, quantity.low, quantity.high
    if value is None:
        return "not resolved" if high is None else f"< {plain_number(high)}"
    if low is None or high is None:
        return plain_number(value)
    power = exponent(value)
    if power is None or not close(low, high):
        limits = f"({plain_number(low)} to {plain_number(high)})"
        return f"{plain_number(value)} {limits.replace(' ', _NO_BREAK)}"
    shares = [f"{x / 10.0**power:.2f}" for x in (value, low, high)]
    limits = f"({shares[1]} to {shares[2]}){_power_of_ten(power)}"
    return f"{shares[0]} {limits.replace(' ', _NO_BREAK)}"


def _stated(name: str, quantity: Estimate) -> str:
    """A named quantity with its interval, or bound, as text."""
    resolved = quantity.value is not None or quantity.high is not None
    unit = f" {_unit(quantity)}" if quantity.unit and resolved else ""
    return f"{name} {_in_one(quantity)}{unit}"


def _unit(quantity: Estimate) -> str:
    return quantity.unit.replace("^2", "²").replace("^3", "³")


def plain_number(x: float) -> str:
    """Three digits, by powers of ten where it is large or small."""
    power = exponent(x)
    if power is None:
        return three_digits(x).replace("-", "−").replace("inf", "∞")
    mantissa = f"{x / 10.0**power:.2f}".replace("-", "−")
    return f"{mantissa}{_power_of_ten(power)}"


def _power_of_ten(power: int) -> str:
    return f"×10{str(power).translate(_SUPERSCRIPTS)}"
