"""Weighted least squares where the variances of the values are themselves estimated.

Weights are the inverse estimated variances. With the 8 to 40 degrees of freedom that these have,
the textbook interval is too narrow: the weights follow the noise, and (XᵀWX)⁻¹ takes them for
exact. In a linear combination Σ c_i y_i each variance is therefore multiplied by
1 + 4 (1 − h_i)/ν_i, h_i leverage, ν_i degrees of freedom: for a weighted mean this is P. Meier,
Biometrics 1953, 9, 59; for a line the same expansion of A. M. Kackar and D. A. Harville (J. Am.
Stat. Assoc. 1984, 79, 853) and M. G. Kenward and J. H. Roger (Biometrics 1997, 53, 983) with
independent variances. Student's t with the degrees of freedom of Welch and Satterthwaite.

Chi-squares are held against an F distribution: S. Johansen, Biometrika 1980, 67, 85 (Welch's test
of means is the simplest case). At 5 % it rejects 5 %; a chi-square distribution 6 to 11 %.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import chdtrc, fdtrc, stdtr

from mdbench.errors import InputError
from mdbench.stats import Estimate, FloatArray, Spread, sum_of


@dataclass(frozen=True)
class Misfit:
    """Whether residuals are noise.

    Attributes:
        chi_square: Σ (residual/error)².
        freedom: Its degrees of freedom.
        excess: `chi_square` over what noise gives on average, about.
        p_value: Probability of so much or more by noise alone.
    """

    chi_square: float
    freedom: int
    excess: float
    p_value: float


@dataclass(frozen=True)
class Regression:
    """Weighted least squares with variances that were estimated.

    Attributes:
        parameters: (p,) solution.
        coefficients: (p, n) its derivative by the values.
        spreads: n variances as measured.
        leverages: (n,).
        residuals: (n,).
    """

    parameters: FloatArray
    coefficients: FloatArray
    spreads: tuple[Spread, ...]
    leverages: FloatArray
    residuals: FloatArray

    def spread(self, direction: ArrayLike) -> Spread:
        """Spread of a linear combination of the parameters, (p,)."""
        shares = np.asarray(direction, dtype=np.float64) @ self.coefficients
        return sum_of(corrected(self.spreads, self.leverages), shares)

    def misfit(self) -> Misfit | None:
        """Chi-square of the residuals by Johansen's F; None without degrees of freedom."""
        freedom = len(self.residuals) - len(self.parameters)
        if freedom < 1:
            return None
        variances = np.array([s.variance for s in self.spreads])
        chi_square = float((self.residuals**2 / variances).sum())
        inverse = np.array([1.0 / s.freedom for s in self.spreads])
        loss = float(((1.0 - self.leverages) ** 2 * inverse).sum())
        expected = freedom + 2.0 * loss - 6.0 * loss / (freedom + 2.0)
        if loss > 0.0:
            second = freedom * (freedom + 2.0) / (3.0 * loss)
            p_value = float(fdtrc(freedom, second, chi_square / expected))
        else:
            p_value = float(chdtrc(freedom, chi_square))
        return Misfit(chi_square, freedom, chi_square / expected, p_value)


def regress(design: FloatArray, values: FloatArray, spreads: Sequence[Spread]) -> Regression:
    """Weighted least squares with the inverse variances as weights.

    Args:
        design: (n, p).
        values: (n,).
        spreads: n variances of the values.
    """
    roots = 1.0 / np.sqrt([spread.variance for spread in spreads])
    coefficients = np.linalg.pinv(design * roots[:, None]) * roots  # (p, n)
    parameters = coefficients @ values
    return Regression(
        parameters=parameters,
        coefficients=coefficients,
        spreads=tuple(spreads),
        leverages=np.einsum("ip,pi->i", design, coefficients),
        residuals=values - design @ parameters,
    )


def corrected(spreads: Sequence[Spread], leverages: FloatArray) -> list[Spread]:
    """Variances enlarged by what the noise of the weights adds to a linear combination."""
    return [
        Spread(spread.variance * (1.0 + 4.0 * (1.0 - h) / spread.freedom), spread.freedom)
        for spread, h in zip(spreads, leverages.tolist(), strict=True)
    ]


def two_sided(value: float, spread: Spread) -> float:
    """Probability of a value as far from zero by noise alone."""
    return 2.0 * float(stdtr(spread.freedom, -abs(value) / spread.standard_error))


def log_point(diffusivity: Estimate) -> tuple[float, Spread]:
    """Natural logarithm of a resolved diffusivity and its spread, first order in the error."""
    value, spread = diffusivity.value, diffusivity.spread
    if value is None or spread is None or not (value > 0.0 and spread.variance > 0.0):
        raise InputError(
            "diffusivity", expected="a value and a variance above 0", found=diffusivity.as_json()
        )
    return math.log(value), spread.scaled(1.0 / value)
