"""The compiled products of `edge_products`, and their derivatives by all that they are made of.

Inner loops go over channels, which are a row in memory: vector units take them. Arrays are
maps (n_slots, n_parts, n_own), s and r (n_atoms, n_own, n), w (n_rows, n) and y (some of n_slots,
n_parts, n); maps with no parts are the identity.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mdbench.compiled import compiled

IntArray = NDArray[np.int64]
Array = NDArray[Any]


@compiled(any_order=True)
def make_products(
    start: int,
    senders: IntArray,
    rows: IntArray,
    maps: Array,
    s: Array,
    r: Array,
    w: Array,
    y: Array,
) -> None:
    """Puts the maps of s_j + r_i, times w, into y.

    Args:
        start: The first slot in y.
        senders: (n_slots,) the atom j in a slot, those of an atom i one after the other.
        rows: (n_slots,) the row of w of each slot.
        maps: Between parts.
        s: Of senders.
        r: Of receivers.
        w: Filters.
        y: Products.
    """
    n_each, n_own, n = len(senders) // len(r), s.shape[1], s.shape[2]
    for place in range(len(y)):
        t = start + place
        i, j, q = t // n_each, senders[t], rows[t]
        for k in range(y.shape[1]):
            if maps.shape[1] == 0:
                for c in range(n):
                    y[place, k, c] = (s[j, k, c] + r[i, k, c]) * w[q, c]
            elif n_own == 3:  # in one go, as y is not in the cache yet
                first, second, third = maps[t, k, 0], maps[t, k, 1], maps[t, k, 2]
                for c in range(n):
                    x = first * (s[j, 0, c] + r[i, 0, c]) + second * (s[j, 1, c] + r[i, 1, c])
                    y[place, k, c] = (x + third * (s[j, 2, c] + r[i, 2, c])) * w[q, c]
            else:
                y[place, k] = 0.0
                for m in range(n_own):
                    share = maps[t, k, m]
                    for c in range(n):
                        y[place, k, c] += share * (s[j, m, c] + r[i, m, c]) * w[q, c]


@compiled(any_order=True)
def add_slopes(
    start: int,
    senders: IntArray,
    rows: IntArray,
    maps: Array,
    s: Array,
    r: Array,
    w: Array,
    y: Array,
    of_maps: Array,
    of_s: Array,
    of_r: Array,
    of_w: Array,
) -> None:
    """Adds the derivatives of Σ y · products to those by maps, s, r and w; as in `make_products`.

    Those by maps are left out where there is no room for them.
    """
    n_each, n_own, n = len(senders) // len(r), s.shape[1], s.shape[2]
    n_parts, zero = maps.shape[1], w.dtype.type(0)
    x, z = np.empty((n_own, n), w.dtype), np.empty((n_own, n), w.dtype)
    for place in range(len(y)):
        t = start + place
        i, j, q = t // n_each, senders[t], rows[t]
        if n_parts == 0:
            for m in range(n_own):
                for c in range(n):
                    slope = y[place, m, c]
                    of_w[q, c] += slope * (s[j, m, c] + r[i, m, c])
                    of_s[j, m, c] += slope * w[q, c]
                    of_r[i, m, c] += slope * w[q, c]
            continue
        for m in range(n_own):
            for c in range(n):
                x[m, c] = s[j, m, c] + r[i, m, c]
                z[m, c] = maps[t, 0, m] * y[place, 0, c]
            for k in range(1, n_parts):
                for c in range(n):
                    z[m, c] += maps[t, k, m] * y[place, k, c]
            for c in range(n):
                of_w[q, c] += z[m, c] * x[m, c]
                of_s[j, m, c] += z[m, c] * w[q, c]
                of_r[i, m, c] += z[m, c] * w[q, c]
        for m in range(n_own):
            for c in range(n):
                x[m, c] *= w[q, c]
            for k in range(of_maps.shape[1]):
                total = zero
                for c in range(n):
                    total += y[place, k, c] * x[m, c]
                of_maps[t, k, m] += total
