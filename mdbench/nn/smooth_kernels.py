"""Compiled softplus, sigmoid and silu″ in single precision, as loops that vector units take.

All are made of y = exp(−|x|), which is in (0, 1]: softplus(x) = max(x, 0) + ln(1 + y), and σ(x) is
1/(1 + y) or y/(1 + y). Polynomials stand for 2ᶠ and ln(1 + y)/y, so a small y keeps its relative
accuracy: some 1e-6 where softplus is eˣ, as x itself is rounded to that.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.polynomial import Chebyshev, Polynomial
from numpy.typing import NDArray

from mdbench.compiled import compiled

Array = NDArray[np.float32]


def _coefficients(
    function: Callable[[NDArray[Any]], NDArray[Any]], degree: int, first: float, last: float
) -> tuple[np.float32, ...]:
    """Of the polynomial that is a function at Chebyshev's points between two ends."""
    fitted = Chebyshev.interpolate(function, degree, domain=[first, last])
    return tuple(np.float32(c) for c in fitted.convert(kind=Polynomial).coef)


#: Of 2ᶠ, to 2e-9, and of ln(1 + y)/y, to 2e-9: less than a float32 is rounded.
_EXP2 = _coefficients(np.exp2, 6, -0.5, 0.5)
_LOG1P = _coefficients(lambda y: np.log1p(y) / y, 9, 0.0, 1.0)
_LOG2_E = np.float32(math.log2(math.e))
#: Exponent below which a float32 is denormal, and what the exponent is stored with.
_LOWEST, _STORED = np.float32(-126.0), np.int32(127)
#: What makes truncation round a stored exponent.
_ROUNDED = np.float32(127.5)
_ZERO, _ONE, _TWO = np.float32(0.0), np.float32(1.0), np.float32(2.0)


@compiled(any_order=True)
def exp_minus_abs(x: np.float32) -> Any:
    """exp(−|x|), not below 1e-38."""
    power = -abs(x) * _LOG2_E
    power = _LOWEST if power < _LOWEST else power
    stored = np.int32(power + _ROUNDED)
    f = power - np.float32(stored - _STORED)  # |f| ≤ ½
    c = _EXP2
    fraction = c[0] + f * (c[1] + f * (c[2] + f * (c[3] + f * (c[4] + f * (c[5] + f * c[6])))))
    return fraction * np.int32(stored << np.int32(23)).view(np.float32)


@compiled(any_order=True)
def softplus_of(x: np.float32, y: np.float32) -> Any:
    """ln(1 + eˣ) of x and y = exp(−|x|)."""
    c = _LOG1P
    high = c[5] + y * (c[6] + y * (c[7] + y * (c[8] + y * c[9])))
    low = c[0] + y * (c[1] + y * (c[2] + y * (c[3] + y * (c[4] + y * high))))
    return (_ZERO if x < _ZERO else x) + y * low


@compiled(any_order=True)
def sigmoid_of(x: np.float32, y: np.float32) -> Any:
    """1/(1 + e⁻ˣ) of x and y = exp(−|x|)."""
    # np.divide: the operator looks whether it divides by zero, and loops then stay scalar
    return np.divide(y if x < _ZERO else _ONE, _ONE + y)


@compiled(any_order=True)
def softplus(x: Array, found: Array) -> None:
    """Puts ln(1 + eˣ) of (n,) x into (n,) found."""
    for k in range(len(x)):
        found[k] = softplus_of(x[k], exp_minus_abs(x[k]))


@compiled(any_order=True)
def curved(z: Array, y: Array, x: Array, found: Array) -> None:
    """Puts z y silu″(x) into found; all are (n,)."""
    for k in range(len(x)):
        s: Any = sigmoid_of(x[k], exp_minus_abs(x[k]))
        found[k] = z[k] * y[k] * s * (_ONE - s) * (_TWO + x[k] * (_ONE - _TWO * s))
