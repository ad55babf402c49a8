"""Arrhenius lines of conductivity: with errors, or as most papers draw them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mdbench.analysis.arrhenius import ArrheniusFit, fit_arrhenius, unweighted_line
from mdbench.analysis.conductivity import (
    UNIT,
    conductivity_factor,
    ionic_conductivity,
)
from mdbench.analysis.transitions import transitions_within
from mdbench.config import ConductivityConfig
from mdbench.stages.transport import Transport, analyzer_estimate
from mdbench.stats import Estimate
from mdbench.trajectory import element_number, reduced_formula
from mdbench.units import BOLTZMANN_EV_PER_K

#: Points of a drawn line.
_N_LINE = 80
#: Goodness of fit and curvature below this are worth a warning.
_ODD = 0.05


@dataclass(frozen=True)
class Point:
    """One temperature of a material.

    Attributes:
        temperature_k: K.
        diffusivity: By the estimator that was asked for, cm²/s.
        conductivity: Tracer (Nernst–Einstein), mS/cm.
        collective: Of the collective displacement, mS/cm.
        transport: All that is known there.
    """

    temperature_k: float
    diffusivity: Estimate
    conductivity: Estimate
    collective: Estimate
    transport: Transport


@dataclass(frozen=True)
class Extrapolation:
    """An Arrhenius line and what it says about another temperature.

    Attributes:
        activation_energy: eV.
        prefactor: cm²/s.
        conductivity: mS/cm at `at_k`.
        at_k: K.
        amplification: Standard deviation of ln σ(at_k) over the rms of those of ln D; None where
            the line has no errors.
        temperatures_k: (n,) K, of the drawn line.
        line: (n, 3) mS/cm, value and limits; limits are NaN where there are none.
    """

    activation_energy: Estimate
    prefactor: Estimate
    conductivity: Estimate
    at_k: float
    amplification: float | None
    temperatures_k: NDArray[np.float64]
    line: NDArray[np.float64]

    @property
    def minus_log10(self) -> Estimate:
        """−log10 of the conductivity in mS/cm, as tables of papers have it."""
        found = self.conductivity
        value, low, high = (
            None if x is None else -math.log10(x) for x in (found.value, found.high, found.low)
        )
        return Estimate(value, low, high, "")

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "activation_energy": self.activation_energy.as_json(),
            "prefactor": self.prefactor.as_json(),
            "conductivity": self.conductivity.as_json(),
            "minus_log10": self.minus_log10.as_json(),
            "at_k": self.at_k,
            "amplification": self.amplification,
            "line": {
                "temperature_k": self.temperatures_k.tolist(),
                **{
                    name: [None if math.isnan(x) else x for x in column]
                    for name, column in zip(
                        ("value", "low", "high"), self.line.T.tolist(), strict=True
                    )
                },
            },
        }


def point_of(found: Transport, charge: float) -> Point:
    """Conductivities at one temperature: tracer and collective."""
    temperature_k = found.group.temperature_k
    assert temperature_k is not None
    sigma, collective = (
        ionic_conductivity(
            d,
            n_ions=found.diffusion.n_ions,
            volume=found.volume,
            charge=charge,
            temperature_k=temperature_k,
        )
        for d in (found.diffusivity, found.collective.diffusivity)
    )
    return Point(temperature_k, found.diffusivity, sigma, collective, found)


def fitted_line(
    points: Sequence[Point], config: ConductivityConfig
) -> tuple[ArrheniusFit | None, list[str]]:
    """The line through the points, or None, and what there is to say about that."""
    if sum(p.diffusivity.resolved for p in points) < 2:
        return None, [no_line(points, config.at_k)]
    usable = [p for p in points if p.diffusivity.resolved or p.diffusivity.high is not None]
    lines = []
    if len(usable) < len(points):
        lines.append("temperatures without diffusion (ballistic) are left out of the line")
    fit = fit_arrhenius([p.temperature_k for p in usable], [p.diffusivity for p in usable])
    return fit, lines


def no_line(points: Sequence[Point], at_k: float) -> str:
    """Why there is no Arrhenius line through fewer than two resolved points."""
    if len(points) == 1:
        return f"one temperature: no Arrhenius line, nothing said about {at_k:g} K"
    n_resolved = sum(p.diffusivity.resolved for p in points)
    few = f"D is resolved at {n_resolved} of {len(points)} temperatures"
    return f"{few}: no Arrhenius line, run longer"


def two_temperatures(temperatures_k: Iterable[float]) -> list[str]:
    """What there is to say about a line through two temperatures."""
    two = len(set(temperatures_k)) == 2
    return ["two temperatures: a line without a goodness of fit"] if two else []


def line_warnings(fit: ArrheniusFit, points: Sequence[Point], at_k: float) -> list[str]:
    """What speaks against a line, or against going on along it to a temperature."""
    resolved = fit.temperatures_k[~fit.censored].tolist()
    lines = two_temperatures(resolved)
    if fit.censored.any():
        where = ", ".join(f"{t:g}" for t in fit.temperatures_k[fit.censored])
        lines.append(f"bounds at {where} K enter the line as censored data")
    if fit.contradicted.any():
        where = ", ".join(f"{t:g}" for t in fit.temperatures_k[fit.contradicted])
        lines.append(f"the bound at {where} K lies below the line of the others")
    if fit.goodness is not None and fit.goodness.p_value < _ODD:
        lines.append(f"points scatter by more than their errors (p = {fit.goodness.p_value:.2g})")
    if fit.curvature is not None and fit.curvature.p_value < _ODD:
        lines.append(f"ln D is curved in 1/T (p = {fit.curvature.p_value:.2g}): a line misleads")
    return lines + transition_warnings(points, resolved, at_k)


def transition_warnings(
    points: Sequence[Point], temperatures_k: Sequence[float], at_k: float
) -> list[str]:
    """Known transitions of the material within a line, or between it and another temperature.

    Args:
        points: Of the material.
        temperatures_k: Those that the line goes through, K.
        at_k: Where it is extrapolated to, K.
    """
    formula = reduced_formula(
        np.concatenate(
            [
                np.full(n, element_number(symbol))
                for symbol, n in points[0].transport.runs[0].n_atoms.items()
            ]
        )
    )
    low, high = min(temperatures_k), max(temperatures_k)
    crossed = transitions_within(formula, min(at_k, low), max(at_k, high))
    return [
        f"{formula} changes its phase at {t:g} K, "
        + ("within the line" if low <= t <= high else f"between the line and {at_k:g} K")
        for t in crossed
    ]


def _factor(points: Sequence[Point], charge: float, temperature_k: float) -> float:
    """σ/D at another temperature, with the mean density of the points."""
    density = np.mean([p.transport.diffusion.n_ions / p.transport.volume for p in points])
    return conductivity_factor(
        n_ions=float(density), volume=1.0, charge=charge, temperature_k=temperature_k
    )


def _writable(estimate: Estimate) -> Estimate:
    """An estimate without what is beyond the numbers of a computer, as σ at 1 K."""
    value, low, high = (
        x if x is not None and 0.0 < x < math.inf else None
        for x in (estimate.value, estimate.low, estimate.high)
    )
    return Estimate(value, low, high, estimate.unit, estimate.spread)


def _exp(exponent: float) -> float:
    return math.exp(exponent) if exponent < 700.0 else math.inf


def _drawn(points: Sequence[Point], at_k: float) -> NDArray[np.float64]:
    known = [p.temperature_k for p in points]
    low, high = min(at_k, *known), max(at_k, *known)
    return np.asarray(1.0 / np.linspace(1.0 / high, 1.0 / low, _N_LINE))


def extrapolated(
    fit: ArrheniusFit, points: Sequence[Point], charge: float, at_k: float
) -> Extrapolation:
    """Conductivity along the fitted line, with intervals."""
    temperatures = _drawn(points, at_k)
    line = []
    for t in temperatures.tolist():
        sigma = _writable(fit.diffusivity(t).scaled(_factor(points, charge, t), UNIT))
        line.append([sigma.value, sigma.low, sigma.high])
    return Extrapolation(
        activation_energy=fit.activation_energy,
        prefactor=_writable(fit.prefactor),
        conductivity=_writable(fit.diffusivity(at_k).scaled(_factor(points, charge, at_k), UNIT)),
        at_k=at_k,
        amplification=fit.amplification(at_k),
        temperatures_k=temperatures,
        line=np.array(line, dtype=np.float64),
    )


def extrapolated_without_errors(
    points: Sequence[Point], charge: float, at_k: float
) -> Extrapolation | None:
    """The unweighted line through points that have no intervals; None with fewer than two."""
    usable = [(p.temperature_k, p.diffusivity.value) for p in points if p.diffusivity.value]
    usable = [(t, d) for t, d in usable if d > 0.0]
    if len({t for t, _ in usable}) < 2:
        return None
    log_prefactor, slope = unweighted_line([t for t, _ in usable], [d for _, d in usable])
    temperatures = _drawn(points, at_k)

    def sigma(t: float) -> float:
        return _exp(log_prefactor + slope / t) * _factor(points, charge, t)

    drawn = [_writable(Estimate(sigma(t), None, None, UNIT)).value for t in temperatures.tolist()]
    values = np.array(drawn, dtype=np.float64)
    nothing = np.full_like(values, np.nan)
    return Extrapolation(
        activation_energy=Estimate(-BOLTZMANN_EV_PER_K * slope, None, None, "eV"),
        prefactor=_writable(Estimate(_exp(log_prefactor), None, None, "cm^2/s")),
        conductivity=_writable(Estimate(sigma(at_k), None, None, UNIT)),
        at_k=at_k,
        amplification=None,
        temperatures_k=temperatures,
        line=np.stack([values, nothing, nothing], axis=1),
    )


def usual_recipe(points: Sequence[Point], charge: float, at_k: float) -> dict[str, Any]:
    """What the usual recipe gives: MSD from the first frame, unweighted line."""
    usual = []
    for p in points:
        diffusivity = analyzer_estimate(p.transport.runs, "false")
        factor = _factor([p], charge, p.temperature_k)
        usual.append(
            replace(p, diffusivity=diffusivity, conductivity=diffusivity.scaled(factor, UNIT))
        )
    line = extrapolated_without_errors(usual, charge, at_k)
    return {
        "recipe": "pymatgen DiffusionAnalyzer smoothed=False, unweighted line",
        "temperatures": [
            {
                "temperature_k": p.temperature_k,
                "diffusivity": p.diffusivity.as_json(),
                "conductivity": p.conductivity.as_json(),
            }
            for p in usual
        ],
        "arrhenius": None if line is None else line.as_json(),
    }
