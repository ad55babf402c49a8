"""Estimates with their intervals, and how variances of few samples are put together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

FloatArray = NDArray[np.float64]

#: Probability that an interval covers the truth.
LEVEL = 0.95


@dataclass(frozen=True)
class Spread:
    """The variance of an estimate and the degrees of freedom that it was estimated with."""

    variance: float
    freedom: float

    @property
    def standard_error(self) -> float:
        """Square root of the variance."""
        return math.sqrt(self.variance)

    def scaled(self, factor: float) -> Spread:
        """The spread of a multiple of the estimate."""
        return Spread(factor**2 * self.variance, self.freedom)


@dataclass(frozen=True)
class Estimate:
    """A quantity with its 95 % interval; where nothing is resolved, a bound without a value.

    Attributes:
        value: None where it is not resolved.
        low: Lower limit; None where there is none.
        high: Upper limit; of an unresolved quantity the bound.
        unit: As it is printed, "cm^2/s".
        spread: Variance of the value and its degrees of freedom; None where not resolved.
    """

    value: float | None
    low: float | None
    high: float | None
    unit: str
    spread: Spread | None = None

    @property
    def resolved(self) -> bool:
        """Whether there is a value."""
        return self.value is not None

    def scaled(self, factor: float, unit: str) -> Estimate:
        """The estimate times a positive constant, in another unit."""
        value, low, high = (
            None if x is None else factor * x for x in (self.value, self.low, self.high)
        )
        spread = None if self.spread is None else self.spread.scaled(factor)
        return Estimate(value, low, high, unit, spread)

    def as_json(self) -> dict[str, Any]:
        """Value, limits, unit and whether it is resolved."""
        return {
            "value": self.value,
            "low": self.low,
            "high": self.high,
            "unit": self.unit,
            "resolved": self.resolved,
        }


def normal_estimate(value: float, spread: Spread, unit: str) -> Estimate:
    """A quantity with the limits value ± t·SE."""
    width = student_t(spread.freedom) * spread.standard_error
    return Estimate(value, value - width, value + width, unit, spread)


def log_estimate(log_value: float, spread: Spread, unit: str) -> Estimate:
    """A positive quantity from its natural logarithm: exp(ln value ± t·SE).

    Args:
        log_value: Natural logarithm of the value.
        spread: Of the logarithm.
        unit: Of the quantity.
    """
    value = _exp(log_value)
    width = student_t(spread.freedom) * spread.standard_error
    low, high = _exp(log_value - width), _exp(log_value + width)
    return Estimate(value, low, high, unit, spread.scaled(value))


@cache
def student_t(freedom: float) -> float:
    """The two-sided quantile of Student's t at `LEVEL`."""
    return float(stdtrit(freedom, 0.5 + 0.5 * LEVEL))


def sum_of(spreads: Sequence[Spread], weights: ArrayLike = 1.0) -> Spread:
    """The spread of a weighted sum of independent estimates.

    Degrees of freedom by Welch and Satterthwaite (Biometrics Bull. 1946, 2, 110,
    doi:10.2307/3002019).
    """
    shares = np.broadcast_to(np.asarray(weights, dtype=float), len(spreads))
    parts = [spread.scaled(float(w)) for spread, w in zip(spreads, shares, strict=True)]
    variance = sum(part.variance for part in parts)
    squares = sum(part.variance**2 / part.freedom for part in parts)
    freedom = variance**2 / squares if squares > 0.0 else sum(part.freedom for part in parts)
    return Spread(variance, freedom)


def mean_spread(values: ArrayLike) -> Spread:
    """The spread of the mean of independent values."""
    numbers = np.asarray(values, dtype=float)
    return Spread(float(numbers.var(ddof=1)) / len(numbers), len(numbers) - 1.0)


def _exp(exponent: float) -> float:
    return math.exp(exponent) if exponent < 700.0 else math.inf
