"""The compiled loops of `tables`: one pass over distances, whose rows of the table are in cache."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from mdbench.compiled import compiled

Array = NDArray[Any]


@compiled(any_order=True)
def look_up(lengths: Array, table: Array, step: float, found: Array) -> None:
    """Sets rows of found to the cubics at lengths.

    Args:
        lengths: (n,) from 0 to the end of the table.
        table: (n_knots, 2, n_out) values, and slopes times the step.
        step: Between knots.
        found: (n, n_out).
    """
    one = lengths.dtype.type(1)
    two, three = one + one, one + one + one
    for p in range(len(lengths)):
        k = min(int(lengths[p] / step), len(table) - 2)
        t = lengths[p] / lengths.dtype.type(step) - lengths.dtype.type(k)
        s = one - t
        a, b = (one + two * t) * s * s, t * s * s
        c, d = t * t * (three - two * t), -t * t * s
        values, slopes = table[k, 0], table[k, 1]
        next_values, next_slopes = table[k + 1, 0], table[k + 1, 1]
        row = found[p]
        for n in range(found.shape[1]):
            row[n] = a * values[n] + b * slopes[n] + c * next_values[n] + d * next_slopes[n]


@compiled(any_order=True)
def add_slopes(lengths: Array, table: Array, step: float, gradients: Array, found: Array) -> None:
    """Sets found (n,) to the slopes of the cubics times gradients (n, n_out), summed."""
    one = lengths.dtype.type(1)
    two, three, six = one + one, one + one + one, lengths.dtype.type(6)
    size = lengths.dtype.type(step)
    for p in range(len(lengths)):
        k = min(int(lengths[p] / step), len(table) - 2)
        t = lengths[p] / size - lengths.dtype.type(k)
        s = one - t
        a, b, d = -six * t * s / size, s * (one - three * t) / size, t * (three * t - two) / size
        values, slopes = table[k, 0], table[k, 1]
        next_values, next_slopes = table[k + 1, 0], table[k + 1, 1]
        row = gradients[p]
        total = lengths.dtype.type(0)
        for n in range(gradients.shape[1]):
            slope = a * (values[n] - next_values[n]) + b * slopes[n] + d * next_slopes[n]
            total += row[n] * slope
        found[p] = total
