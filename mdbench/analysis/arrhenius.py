"""Diffusivity against temperature: ln D = ln D0 − Ea/(k T).

Weighted least squares with variances that are estimated (`regression`). Measured coverage of the
95 % intervals of D(300 K) and Ea, five temperatures, relative errors of 0.05 to 0.3, 8 degrees of
freedom: 91 to 94 % by the textbook, 94 to 95 % with its correction. Where the error of D itself,
not of ln D, is normal and reaches 0.3 at one end: 93 %.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mdbench.analysis.regression import (
    Misfit,
    Regression,
    corrected,
    log_point,
    regress,
    two_sided,
)
from mdbench.errors import InputError
from mdbench.stats import Estimate, FloatArray, Spread, log_estimate, normal_estimate, sum_of
from mdbench.units import BOLTZMANN_EV_PER_K

#: Expected hops of which none is seen with 5 % probability: what a bound on D stands for.
HOPS_AT_BOUND = 3.0
_MOST_STEPS = 500


@dataclass(frozen=True)
class Curvature:
    """Departure from a straight line.

    Attributes:
        coefficient: Of 1/T² in ln D, K².
        p_value: Two-sided, of no curvature.
    """

    coefficient: Estimate
    p_value: float


@dataclass(frozen=True)
class ArrheniusFit:
    """A line ln D = ln D0 − Ea/(k T) with all that its intervals need.

    Attributes:
        temperatures_k: (n,) of the points, as given.
        censored: (n,) whether a point is an upper bound.
        contradicted: (n,) bounds below the lower limit of the line of the resolved points.
        log_prefactor: ln D0, D0 in cm²/s.
        slope: −Ea/k, K.
        coefficients: (2, n) shares of ln D of each point in ln D0 and the slope, K.
        spreads: n variances of ln D, as measured; of a bound by the curvature of its likelihood.
        leverages: (n,) share of each point in its own fitted value.
        goodness: Scatter of the resolved points about their own line; None with two of them.
        curvature: By the resolved points; None with fewer than three temperatures.
    """

    temperatures_k: FloatArray
    censored: NDArray[np.bool_]
    contradicted: NDArray[np.bool_]
    log_prefactor: float
    slope: float
    coefficients: FloatArray
    spreads: tuple[Spread, ...]
    leverages: FloatArray
    goodness: Misfit | None
    curvature: Curvature | None

    @property
    def covariance(self) -> FloatArray:
        """(2, 2) covariance of ln D0 and the slope, K and K²."""
        variances = [s.variance for s in corrected(self.spreads, self.leverages)]
        covariance: FloatArray = (self.coefficients * np.array(variances)) @ self.coefficients.T
        return covariance

    @property
    def freedom(self) -> FloatArray:
        """(n,) degrees of freedom of the variance of each point; infinite for a bound."""
        return np.array([spread.freedom for spread in self.spreads])

    @property
    def activation_energy(self) -> Estimate:
        """Activation energy, eV."""
        spread = self._spread(0.0, 1.0).scaled(BOLTZMANN_EV_PER_K)
        return normal_estimate(-BOLTZMANN_EV_PER_K * self.slope, spread, "eV")

    @property
    def prefactor(self) -> Estimate:
        """Diffusivity at infinite temperature, cm²/s."""
        return log_estimate(self.log_prefactor, self._spread(1.0, 0.0), "cm^2/s")

    def log_diffusivity(self, at_k: float) -> tuple[float, Spread]:
        """Natural logarithm of the diffusivity in cm²/s at a temperature, and its spread."""
        return self.log_prefactor + self.slope / at_k, self._spread(1.0, 1.0 / at_k)

    def diffusivity(self, at_k: float) -> Estimate:
        """Diffusivity on the line at a temperature, cm²/s."""
        return log_estimate(*self.log_diffusivity(at_k), "cm^2/s")

    def amplification(self, at_k: float) -> float:
        """Standard deviation of ln D on the line over the rms of those of the resolved points."""
        shares = np.array([1.0, 1.0 / at_k]) @ self.coefficients
        resolved = [
            s.variance for s, bound in zip(self.spreads, self.censored, strict=True) if not bound
        ]
        return math.sqrt(sum_of(self.spreads, shares).variance / float(np.mean(resolved)))

    def _spread(self, of_prefactor: float, of_slope: float) -> Spread:
        shares = np.array([of_prefactor, of_slope]) @ self.coefficients
        return sum_of(corrected(self.spreads, self.leverages), shares)


def fit_arrhenius(
    temperatures_k: Sequence[float], diffusivities: Sequence[Estimate]
) -> ArrheniusFit:
    """The most likely line of ln D against 1/T, bounds included.

    A bound is censored data: its likelihood is exp(−3 D(T)/bound), that of seeing no hop where the
    bound stands for three expected ones. Newton's method on a convex function; without bounds this
    is weighted least squares. Measured with the coldest of five temperatures a bound (0 to 4 hops
    seen of 0.05 to 5 expected): the 95 % intervals of D(300 K) and Ea cover 93 to 96 %.

    Biased where a resolved point has a relative error above about 0.3: a value that came out low
    states a small error where errors scale with values.

    Args:
        temperatures_k: (n,) K; a temperature may be repeated.
        diffusivities: n of them, cm²/s.

    Raises:
        InputError: Fewer than two temperatures are resolved, or a point is not usable.
    """
    temperatures = np.asarray(temperatures_k, dtype=np.float64)
    if len(temperatures) != len(diffusivities) or not (temperatures > 0.0).all():
        raise InputError(
            "Arrhenius fit", expected="a temperature above 0 K of each D", found=temperatures
        )
    censored = np.array([not d.resolved for d in diffusivities], dtype=bool)
    if len(np.unique(temperatures[~censored])) < 2:
        raise InputError(
            "Arrhenius fit",
            expected="D resolved at two temperatures or more",
            found=f"{len(np.unique(temperatures[~censored]))}",
            remedy="simulate longer or at more temperatures",
        )
    design = np.column_stack([np.ones_like(temperatures), 1.0 / temperatures])
    points = [log_point(d) for d in diffusivities if d.resolved]
    values = np.array([value for value, _ in points])
    spreads = tuple(spread for _, spread in points)
    line = regress(design[~censored], values, spreads)
    goodness, curvature = line.misfit(), _curvature(temperatures[~censored], values, spreads)
    contradicted = np.zeros_like(censored)
    if censored.any():
        bounds = np.array([_log_bound(d) for d in diffusivities if not d.resolved])
        contradicted[censored] = bounds < _lower_limits(line, design[censored])
        line = _regress_with_bounds(design, censored, line, values, spreads, bounds)
    return ArrheniusFit(
        temperatures_k=temperatures,
        censored=censored,
        contradicted=contradicted,
        log_prefactor=float(line.parameters[0]),
        slope=float(line.parameters[1]),
        coefficients=line.coefficients,
        spreads=line.spreads,
        leverages=line.leverages,
        goodness=goodness,
        curvature=curvature,
    )


def unweighted_line(
    temperatures_k: Sequence[float], diffusivities: Sequence[float]
) -> tuple[float, float]:
    """Ln D0 (D0 in cm²/s) and −Ea/k (K) of a line that takes all points for equally good.

    How most papers extrapolate. It has no honest interval.

    Args:
        temperatures_k: (n,) K.
        diffusivities: (n,) cm²/s, above zero.
    """
    inverse = 1.0 / np.asarray(temperatures_k, dtype=np.float64)
    slope, log_prefactor = np.polyfit(inverse, np.log(diffusivities), 1)
    return float(log_prefactor), float(slope)


def _regress_with_bounds(
    design: FloatArray,
    censored: NDArray[np.bool_],
    start: Regression,
    values: FloatArray,
    spreads: Sequence[Spread],
    bounds: FloatArray,
) -> Regression:
    """Maximum likelihood with bounds.

    A step of Newton's is a regression in which a bound takes part with the weight 3 D/bound and the
    value ln D − 1, D that of the line before the step.

    Args:
        design: (n, 2) one and 1/T.
        censored: (n,) which points are bounds.
        start: Line of the resolved points.
        values: (n_resolved,) ln D.
        spreads: n_resolved, of ln D.
        bounds: (n - n_resolved,) ln of the bounds.
    """
    full, free = np.empty(len(design)), np.empty(len(design), dtype=object)
    full[~censored], free[~censored] = values, spreads
    weights = 1.0 / np.array([spread.variance for spread in spreads])

    def loss(parameters: FloatArray) -> float:
        line = design @ parameters
        excess = np.minimum(line[censored] - bounds, 700.0)
        squares = weights * (line[~censored] - values) ** 2
        return 0.5 * float(squares.sum()) + HOPS_AT_BOUND * float(np.exp(excess).sum())

    parameters = start.parameters.copy()
    # From a start below all bounds no weight overflows.
    parameters[0] -= max(0.0, float(((design @ parameters)[censored] - bounds).max()))
    for _ in range(_MOST_STEPS):
        line = (design @ parameters)[censored]
        full[censored] = line - 1.0
        free[censored] = [
            Spread(math.exp(min(b - m, 600.0)) / HOPS_AT_BOUND, math.inf)
            for b, m in zip(bounds, line, strict=True)
        ]
        fit = regress(design, full, tuple(free))
        step, share, present = fit.parameters - parameters, 1.0, loss(parameters)
        allowed = present + 1e-12 * (1.0 + present)
        while loss(parameters + share * step) > allowed:
            share *= 0.5
        parameters = parameters + share * step
        if np.abs(design @ step).max() < 1e-10:
            return fit
    raise RuntimeError("Newton's method did not converge on a convex function")


def _lower_limits(line: Regression, design: FloatArray) -> FloatArray:
    """(n,) lower limits of ln D on a line at the rows of a design."""
    limits = [
        normal_estimate(float(row @ line.parameters), line.spread(row), "").low for row in design
    ]
    return np.array(limits, dtype=np.float64)


def _curvature(
    temperatures: FloatArray, values: FloatArray, spreads: Sequence[Spread]
) -> Curvature | None:
    if len(np.unique(temperatures)) < 3:
        return None
    inverse = 1.0 / temperatures
    middle, width = inverse.mean(), float(np.ptp(inverse))
    scaled = (inverse - middle) / width
    fit = regress(np.column_stack([np.ones_like(scaled), scaled, scaled**2]), values, spreads)
    value, spread = (
        float(fit.parameters[2]) / width**2,
        fit.spread([0.0, 0.0, 1.0]).scaled(1.0 / width**2),
    )
    return Curvature(normal_estimate(value, spread, "K^2"), two_sided(value, spread))


def _log_bound(diffusivity: Estimate) -> float:
    if diffusivity.high is None or not diffusivity.high > 0.0:
        raise InputError(
            "diffusivity", expected="a value or an upper bound", found=diffusivity.as_json()
        )
    return math.log(diffusivity.high)
