"""The compiled derivatives of the form in `angular_form`: one pass over the edges of each atom.

Inner loops go over channels, which are a row in memory: vector units take them. Orders but the
first of a degree go two at a time, as a row is read in less time than a loop is begun. Arrays are
first (n_atoms + 1,), rows (n_edges,), y (n_edges, n_degrees²), a (n_atoms, n_degrees², n_channels),
v (n_edges, n_channels) and w (n_rows, n_degrees, n_channels).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mdbench.compiled import compiled

IntArray = NDArray[np.int64]
Array = NDArray[Any]


@compiled(any_order=True)
def add_to_harmonics(
    first: IntArray, rows: IntArray, y: Array, a: Array, v: Array, w: Array
) -> None:  # pragma: no cover
    """Adds Σ_c a v w to y."""
    weighted = np.empty_like(a[0, 0]) if len(a) else np.empty(0, a.dtype)
    n = len(weighted)
    for j in range(len(first) - 1):
        for e in range(first[j], first[j + 1]):
            value, place = v[e], y[e]
            for degree in range(w.shape[1]):
                filters = w[rows[e], degree]
                start = degree * degree
                one = a[j, start]
                total = other = y.dtype.type(0)
                for c in range(n):
                    weighted[c] = value[c] * filters[c]
                    total += weighted[c] * one[c]
                place[start] += total
                for k in range(start + 1, start + 2 * degree + 1, 2):
                    one, two = a[j, k], a[j, k + 1]
                    total = other = y.dtype.type(0)
                    for c in range(n):
                        total += weighted[c] * one[c]
                        other += weighted[c] * two[c]
                    place[k] += total
                    place[k + 1] += other


@compiled(any_order=True)
def add_to_moments(
    first: IntArray, rows: IntArray, y: Array, a: Array, v: Array, w: Array
) -> None:  # pragma: no cover
    """Adds Σ_e y v w over the edges of an atom to a."""
    weighted = np.empty_like(a[0, 0]) if len(a) else np.empty(0, a.dtype)
    n = len(weighted)
    for j in range(len(first) - 1):
        for e in range(first[j], first[j + 1]):
            value, harmonics = v[e], y[e]
            for degree in range(w.shape[1]):
                filters = w[rows[e], degree]
                start = degree * degree
                one, of_one = a[j, start], harmonics[start]
                for c in range(n):
                    weighted[c] = value[c] * filters[c]
                    one[c] += of_one * weighted[c]
                for k in range(start + 1, start + 2 * degree + 1, 2):
                    one, two = a[j, k], a[j, k + 1]
                    of_one, of_two = harmonics[k], harmonics[k + 1]
                    for c in range(n):
                        one[c] += of_one * weighted[c]
                        two[c] += of_two * weighted[c]


@compiled(any_order=True)
def add_to_values(
    first: IntArray, rows: IntArray, y: Array, a: Array, v: Array, w: Array
) -> None:  # pragma: no cover
    """Adds Σ_lm y a w to v."""
    heard = np.empty_like(a[0, 0]) if len(a) else np.empty(0, a.dtype)
    n = len(heard)
    for j in range(len(first) - 1):
        for e in range(first[j], first[j + 1]):
            place, harmonics = v[e], y[e]
            for degree in range(w.shape[1]):
                start = degree * degree
                one, of_one = a[j, start], harmonics[start]
                for c in range(n):
                    heard[c] = of_one * one[c]
                for k in range(start + 1, start + 2 * degree + 1, 2):
                    one, two = a[j, k], a[j, k + 1]
                    of_one, of_two = harmonics[k], harmonics[k + 1]
                    for c in range(n):
                        heard[c] += of_one * one[c] + of_two * two[c]
                filters = w[rows[e], degree]
                for c in range(n):
                    place[c] += heard[c] * filters[c]


@compiled(any_order=True)
def add_to_filters(
    first: IntArray, rows: IntArray, y: Array, a: Array, v: Array, w: Array
) -> None:  # pragma: no cover
    """Adds Σ_m y a v, over the edges of a row, to w."""
    heard = np.empty_like(a[0, 0]) if len(a) else np.empty(0, a.dtype)
    n = len(heard)
    for j in range(len(first) - 1):
        for e in range(first[j], first[j + 1]):
            value, harmonics = v[e], y[e]
            for degree in range(w.shape[1]):
                start = degree * degree
                one, of_one = a[j, start], harmonics[start]
                for c in range(n):
                    heard[c] = of_one * one[c]
                for k in range(start + 1, start + 2 * degree + 1, 2):
                    one, two = a[j, k], a[j, k + 1]
                    of_one, of_two = harmonics[k], harmonics[k + 1]
                    for c in range(n):
                        heard[c] += of_one * one[c] + of_two * two[c]
                place = w[rows[e], degree]
                for c in range(n):
                    place[c] += heard[c] * value[c]
