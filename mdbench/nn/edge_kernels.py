"""The compiled derivatives of the form in `edge_form`: one pass over the edges, no products kept.

Inner loops go over the channels of a head, which are a row in memory: vector units take them.
Arrays are a (n_edges, n_parts, n_heads), g and x (n_atoms, n_parts, n_heads, n) and w (n_rows,
n_heads, n); a factor with one part has it in all parts of the others.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mdbench.compiled import compiled

IntArray = NDArray[np.int64]
Array = NDArray[Any]


@compiled(any_order=True)
def add_to_atoms(
    first: IntArray,
    others: IntArray,
    here: IntArray,
    rows: IntArray,
    a: Array,
    x: Array,
    w: Array,
    y: Array,
) -> None:
    """Adds Σ a x w over the edges of an atom, x at their other ends, to y.

    Args:
        first: (n_atoms + 1,) where the edges of an atom begin.
        others: (n_edges,) the atom at the other end.
        here: (n_edges,) which edge's a and w count.
        rows: (n_edges,) the row of w of each edge.
        a: Weights.
        x: Of the other ends.
        w: Filters.
        y: As x, of the atoms.
    """
    n_parts, n_heads, n = y.shape[1:]
    each_a, each_x, each_y = a.shape[1] > 1, x.shape[1] > 1, n_parts > 1
    n_all = max(a.shape[1], x.shape[1], n_parts)
    for i in range(len(first) - 1):
        for k in range(first[i], first[i + 1]):
            e, j = here[k], others[k]
            r = rows[e]
            for m in range(n_all):
                for h in range(n_heads):
                    weight = a[e, m * each_a, h]
                    of_x, of_w, of_y = x[j, m * each_x, h], w[r, h], y[i, m * each_y, h]
                    for c in range(n):
                        of_y[c] += weight * of_x[c] * of_w[c]


@compiled(any_order=True)
def add_to_weights(
    first: IntArray, others: IntArray, rows: IntArray, g: Array, x: Array, w: Array, a: Array
) -> None:
    """Adds Σ g x w over the channels of each head to a; arguments as in `add_to_atoms`."""
    n_parts, n_heads = a.shape[1:]
    n = w.shape[2]
    each_a, each_g, each_x = n_parts > 1, g.shape[1] > 1, x.shape[1] > 1
    n_all = max(g.shape[1], x.shape[1], n_parts)
    zero = a.dtype.type(0)
    for i in range(len(first) - 1):
        for e in range(first[i], first[i + 1]):
            j, r = others[e], rows[e]
            for m in range(n_all):
                for h in range(n_heads):
                    of_g, of_x, of_w = g[i, m * each_g, h], x[j, m * each_x, h], w[r, h]
                    total = zero
                    for c in range(n):
                        total += of_g[c] * of_x[c] * of_w[c]
                    a[e, m * each_a, h] += total


@compiled(any_order=True)
def add_to_filters(
    first: IntArray, others: IntArray, rows: IntArray, a: Array, g: Array, x: Array, w: Array
) -> None:
    """Adds Σ a g x over the edges of each row to w; arguments as in `add_to_atoms`."""
    n_heads, n = w.shape[1:]
    each_a, each_g, each_x = a.shape[1] > 1, g.shape[1] > 1, x.shape[1] > 1
    n_all = max(a.shape[1], g.shape[1], x.shape[1])
    for i in range(len(first) - 1):
        for e in range(first[i], first[i + 1]):
            j, r = others[e], rows[e]
            for m in range(n_all):
                for h in range(n_heads):
                    weight = a[e, m * each_a, h]
                    of_g, of_x, of_w = g[i, m * each_g, h], x[j, m * each_x, h], w[r, h]
                    for c in range(n):
                        of_w[c] += weight * of_g[c] * of_x[c]
