"""Numbers from text, fast and right to the last digit.

Each decimal number becomes the double nearest to it: m/10^k in double-double arithmetic where the
digits fit 19 places and 10^k is exact (k ≤ 22), and Python's own `float` where they do not.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from mdbench.compiled import compiled

Bytes = NDArray[np.uint8]

_POWERS = 10.0 ** np.arange(23)
_SPLIT = 134217729.0  # 2^27 + 1: Dekker's splitting constant


@compiled
def _scaled(mantissa: np.uint64, power: float, divide: bool) -> float:  # pragma: no cover
    """The quotient or product of two exact integers, rounded once."""
    if mantissa < 9007199254740992:  # 2^53
        exact = float(mantissa)
        return exact / power if divide else exact * power
    high = float(mantissa)
    # `high` rounds the mantissa; the rest of it fits a double exactly
    rest = float(np.int64(mantissa - np.uint64(high)))
    quotient = high / power if divide else high * power
    factor = quotient if divide else high
    product = factor * power
    c = _SPLIT * factor
    f_high = c - (c - factor)
    f_low = factor - f_high
    c = _SPLIT * power
    p_high = c - (c - power)
    p_low = power - p_high
    error = ((f_high * p_high - product) + f_high * p_low + f_low * p_high) + f_low * p_low
    if divide:
        return quotient + (((high - product) - error) + rest) / power
    return product + (error + rest * power)


@compiled
def scan_numbers(
    text: Bytes, start: int, stop: int, out: NDArray[np.float64], hard: NDArray[np.int64]
) -> tuple[int, int, int]:  # pragma: no cover
    """Reads numbers until `out` is full, `stop` is reached or something is no number.

    White space and XML tags separate numbers; so does a sign that follows a digit
    ("-0.6326-0.1122"). A token that is no finite decimal number stops the reading.

    Args:
        text: (n_bytes,) the text.
        start: First byte to read.
        stop: Byte after the last one to read.
        out: (n,) receives the numbers.
        hard: (m, 3) receives (index in `out`, first byte, byte after) of numbers that are left
            to `float`.

    Returns:
        How many numbers were read, the byte where reading stopped, how many are in `hard`.
    """
    count = 0
    n_hard = 0
    i = start
    while count < out.shape[0]:
        while i < stop:
            c = text[i]
            if c == 32 or (9 <= c <= 13):
                i += 1
            elif c == 60:  # <
                j = i + 1
                while j < stop and text[j] != 62:  # >
                    j += 1
                if j == stop:
                    return count, i, n_hard
                i = j + 1
            else:
                break
        if i >= stop:
            break
        first = i
        negative = text[i] == 45
        if negative or text[i] == 43:
            i += 1
        mantissa = np.uint64(0)
        digits = 0
        seen = 0
        exponent = 0
        while i < stop and 48 <= text[i] <= 57:
            if digits < 19:
                mantissa = mantissa * np.uint64(10) + np.uint64(text[i] - 48)
                if mantissa != 0:
                    digits += 1
            else:
                exponent += 1
                digits += 1
            seen += 1
            i += 1
        if i < stop and text[i] == 46:
            i += 1
            while i < stop and 48 <= text[i] <= 57:
                if digits < 19:
                    mantissa = mantissa * np.uint64(10) + np.uint64(text[i] - 48)
                    if mantissa != 0:
                        digits += 1
                    exponent -= 1
                else:
                    digits += 1
                seen += 1
                i += 1
        if seen == 0:
            return count, first, n_hard
        if i < stop and (text[i] == 69 or text[i] == 101 or text[i] == 68 or text[i] == 100):
            j = i + 1  # E e D d
            down = False
            if j < stop and (text[j] == 43 or text[j] == 45):
                down = text[j] == 45
                j += 1
            if j >= stop or not 48 <= text[j] <= 57:
                return count, first, n_hard
            power = 0
            while j < stop and 48 <= text[j] <= 57:
                if power < 10000:
                    power = power * 10 + (text[j] - 48)
                j += 1
            exponent += -power if down else power
            i = j
        if i < stop:
            c = text[i]
            if not (c == 32 or (9 <= c <= 13) or c == 60 or c == 45 or c == 43):
                return count, first, n_hard
        if digits <= 19 and -22 <= exponent <= 22:
            value = _scaled(mantissa, _POWERS[abs(exponent)], exponent < 0)
            out[count] = -value if negative else value
        else:
            if n_hard == hard.shape[0]:
                return count, first, n_hard
            hard[n_hard, 0] = count
            hard[n_hard, 1] = first
            hard[n_hard, 2] = i
            n_hard += 1
        count += 1
    return count, i, n_hard


def settle_hard(text: Bytes, hard: NDArray[np.int64], out: NDArray[np.float64]) -> int | None:
    """Reads the numbers that `scan_numbers` left to `float`; the index of the first infinite one.

    Args:
        text: (n_bytes,) the text.
        hard: (n, 3) as `scan_numbers` fills it.
        out: Contiguous, of any shape; receives the numbers.
    """
    flat = out.reshape(-1)
    infinite = None
    for index, first, last in hard.tolist():
        flat[index] = float(text[first:last].tobytes().lower().replace(b"d", b"e"))
        if infinite is None and not math.isfinite(flat[index]):
            infinite = int(index)
    return infinite


def parse_numbers(
    text: bytes | bytearray | memoryview | Bytes,
    n: int,
    start: int = 0,
    stop: int | None = None,
) -> tuple[NDArray[np.float64], int]:
    """The next `n` numbers of a text and the byte where reading stopped; fewer where it broke off.

    Args:
        text: The text.
        n: How many numbers to read at most.
        start: First byte to read.
        stop: Byte after the last one to read; the end of the text by default.
    """
    view: Bytes = text if isinstance(text, np.ndarray) else np.frombuffer(text, dtype=np.uint8)
    stop = len(view) if stop is None else stop
    out = np.empty(n)
    hard = np.empty((64, 3), dtype=np.int64)
    done = 0
    at = start
    while done < n:
        count, at, n_hard = scan_numbers(view, at, stop, out[done:], hard)
        settle_hard(view, hard[:n_hard], out[done:])
        done += count
        if n_hard < len(hard):
            break
    return out[:done], at
