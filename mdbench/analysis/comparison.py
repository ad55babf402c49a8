"""Diffusivities of a model against those of a reference, with their significance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mdbench.analysis.arrhenius import ArrheniusFit
from mdbench.analysis.regression import Misfit, Regression, log_point, regress, two_sided
from mdbench.errors import InputError
from mdbench.stats import Estimate, Spread, log_estimate, normal_estimate, sum_of
from mdbench.units import BOLTZMANN_EV_PER_K


@dataclass(frozen=True)
class Ratio:
    """Diffusivity of a model over that of the reference.

    Attributes:
        temperature_k: Where both are taken.
        estimate: The ratio; a bound (one limit and no value) where one side is a bound; without
            limits where both are.
        p_value: Two-sided, of equal diffusivities; None where either side is a bound.
    """

    temperature_k: float
    estimate: Estimate
    p_value: float | None

    @property
    def direction(self) -> Literal["lower", "higher"] | None:
        """On which side of the reference the whole interval lies."""
        if self.estimate.high is not None and self.estimate.high < 1.0:
            return "lower"
        if self.estimate.low is not None and self.estimate.low > 1.0:
            return "higher"
        return None


@dataclass(frozen=True)
class PairedComparison:
    """A model against a reference over the temperatures that both were simulated at.

    Attributes:
        ratios: One of each temperature, ascending.
        ratio: Weighted geometric mean of the resolved ones; None without any.
        p_value: Two-sided, of a mean ratio of 1.
        energy_difference: Activation energy of the model less that of the reference, eV; None with
            fewer than two temperatures resolved.
        trend_p_value: Two-sided, of equal activation energies.
        scatter: Of the ratios about their mean; None with one temperature.
    """

    ratios: tuple[Ratio, ...]
    ratio: Estimate | None
    p_value: float | None
    energy_difference: Estimate | None
    trend_p_value: float | None
    scatter: Misfit | None

    @property
    def resolved(self) -> bool:
        """Whether model and reference differ, at 5 % in all.

        By the mean ratio or the activation energies, each at 2.5 % (the mean at 5 % where it is
        alone); or as a bound of one side lies below the lower limit of the other, which happens to
        equal sides in less than 1 % per temperature.
        """
        tests = [p for p in (self.p_value, self.trend_p_value) if p is not None]
        apart = any(r.p_value is None and r.direction is not None for r in self.ratios)
        return apart or any(p < 0.05 / len(tests) for p in tests)


def compare_temperatures(
    model: Mapping[float, Estimate], reference: Mapping[float, Estimate]
) -> PairedComparison:
    """A model against a reference, paired over temperatures.

    The mean of ln(D_model/D_reference) and its slope against 1/T are weighted least squares, as the
    lines are. Where the ratios scatter about them more than their errors explain, s times in
    variance, the variance is multiplied by s, and 1/s² of its inverse degrees of freedom are its
    own, the others those of the scatter. Measured: between equal sides `resolved` comes up in 3 to
    5 %; in 8 % with systematic scatter as large as the errors, in 9 % with twice as much.

    Args:
        model: D by temperature in K, cm²/s; temperatures of one side alone are left out.
        reference: Likewise.

    Raises:
        InputError: No temperature is shared.
    """
    shared = sorted(set(model) & set(reference))
    if not shared:
        raise InputError(
            "comparison of diffusivities",
            expected="a temperature that model and reference share",
            found=f"{sorted(model)} and {sorted(reference)} K",
        )
    ratios = tuple(_ratio(t, model[t], reference[t]) for t in shared)
    paired = [t for t in shared if model[t].resolved and reference[t].resolved]
    if not paired:
        return PairedComparison(ratios, None, None, None, None, None)
    differences = [_log_ratio(model[t], reference[t]) for t in paired]
    values, spreads = np.array([v for v, _ in differences]), tuple(s for _, s in differences)
    design = np.column_stack([np.ones(len(paired)), 1.0 / np.array(paired)])
    mean = regress(design[:, :1], values, spreads)
    spread = _widened(mean)
    energy, trend_p = None, None
    if len(paired) > 1:
        trend = regress(design, values, spreads)
        slope, slope_spread = float(trend.parameters[1]), _widened(trend)
        energy = normal_estimate(
            -BOLTZMANN_EV_PER_K * slope, slope_spread.scaled(BOLTZMANN_EV_PER_K), "eV"
        )
        trend_p = two_sided(slope, slope_spread)
    value = float(mean.parameters[0])
    return PairedComparison(
        ratios=ratios,
        ratio=log_estimate(value, spread, "1"),
        p_value=two_sided(value, spread),
        energy_difference=energy,
        trend_p_value=trend_p,
        scatter=mean.misfit(),
    )


def compare_extrapolated(model: ArrheniusFit, reference: ArrheniusFit, at_k: float) -> Ratio:
    """Diffusivity of a model over that of the reference on their lines at a temperature."""
    (own, own_spread), (other, other_spread) = (
        fit.log_diffusivity(at_k) for fit in (model, reference)
    )
    spread = sum_of([own_spread, other_spread])
    difference = own - other
    return Ratio(at_k, log_estimate(difference, spread, "1"), two_sided(difference, spread))


def _widened(fit: Regression) -> Spread:
    """Spread of the last parameter with what the residuals show beyond their errors."""
    spread, misfit = fit.spread(np.eye(len(fit.parameters))[-1]), fit.misfit()
    if misfit is None or misfit.excess <= 1.0:
        return spread
    own = misfit.excess**-2.0
    freedom = 1.0 / (own / spread.freedom + (1.0 - own) / misfit.freedom)
    return Spread(misfit.excess * spread.variance, freedom)


def _ratio(temperature_k: float, model: Estimate, reference: Estimate) -> Ratio:
    if model.resolved and reference.resolved:
        value, spread = _log_ratio(model, reference)
        return Ratio(temperature_k, log_estimate(value, spread, "1"), two_sided(value, spread))
    low = high = None
    if reference.resolved and reference.low and model.high is not None:
        high = model.high / reference.low
    if model.resolved and model.low and reference.high:
        low = model.low / reference.high
    return Ratio(temperature_k, Estimate(None, low, high, "1"), None)


def _log_ratio(model: Estimate, reference: Estimate) -> tuple[float, Spread]:
    (own, own_spread), (other, other_spread) = log_point(model), log_point(reference)
    return own - other, sum_of([own_spread, other_spread])
