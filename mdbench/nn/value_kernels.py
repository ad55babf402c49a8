"""The compiled loops of `edge_sums.values`, in single precision, built as those of `gated_kernels`.

Arguments that all kernels share: senders and back are (n_edges,), first is (n_pairs,), as in
`EdgeRows`; b (n_atoms, n_channels), p (n_pairs, n_channels) and t (2, n_channels), the vectors of
two scores; v are the values; g_v (n_edges, n_channels) and g_s (n_edges, n_heads, 2) multiply
values and scores in a sum whose slopes are taken. Heads divide the channels among them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mdbench.compiled import compiled
from mdbench.nn.smooth_kernels import exp_minus_abs, sigmoid_of, softplus_of

IntArray = NDArray[np.int64]
Array = NDArray[np.float32]

_ZERO, _ONE = np.float32(0.0), np.float32(1.0)


@compiled(any_order=True)
def _add(row: Array, into: Array) -> None:
    for c in range(len(row)):
        into[c] += row[c]


@compiled(any_order=True)
def _put_values(b: Array, p: Array, v: Array) -> None:
    for c in range(len(v)):
        z = b[c] + p[c]
        v[c] = softplus_of(z, exp_minus_abs(z))


@compiled(any_order=True)
def _put_sigmoids(b: Array, p: Array, into: Array) -> None:
    for c in range(len(into)):
        z = b[c] + p[c]
        into[c] = sigmoid_of(z, exp_minus_abs(z))


@compiled(any_order=True)
def _multiply(row: Array, into: Array) -> None:
    for c in range(len(row)):
        into[c] *= row[c]


@compiled(any_order=True)
def _add_dots(v: Array, t: Array, s: Array) -> None:
    """Adds the products of each head's channels with both vectors to (n_heads, 2) s."""
    n = len(v) // len(s)
    for m in range(len(s)):
        of_v, t_0, t_1 = (
            v[m * n : (m + 1) * n],
            t[0, m * n : (m + 1) * n],
            t[1, m * n : (m + 1) * n],
        )
        one, other = _ZERO, _ZERO
        for c in range(n):
            one += of_v[c] * t_0[c]
            other += of_v[c] * t_1[c]
        s[m, 0] += one
        s[m, 1] += other


@compiled(any_order=True)
def _add_mixed(s: Array, t: Array, into: Array) -> None:
    """Adds both vectors, times (n_heads, 2) s."""
    n = len(into) // len(s)
    for m in range(len(s)):
        t_0, t_1, of_into = (
            t[0, m * n : (m + 1) * n],
            t[1, m * n : (m + 1) * n],
            into[m * n : (m + 1) * n],
        )
        one, other = s[m, 0], s[m, 1]
        for c in range(n):
            of_into[c] += one * t_0[c] + other * t_1[c]


@compiled(any_order=True)
def _add_outer(s: Array, row: Array, of_t: Array) -> None:
    """Adds a row, times (n_heads, 2) s, to both vectors."""
    n = len(row) // len(s)
    for m in range(len(s)):
        of_row = row[m * n : (m + 1) * n]
        for k in range(2):
            factor, into = s[m, k], of_t[k, m * n : (m + 1) * n]
            for c in range(n):
                into[c] += factor * of_row[c]


@compiled(any_order=True)
def values(
    senders: IntArray,
    first: IntArray,
    back: IntArray,
    b: Array,
    p: Array,
    t: Array,
    v: Array,
    s: Array,
) -> None:
    """Puts softplus(b_j + p) into v, and adds its products with t to s.

    Args:
        senders: As all kernels have them.
        first: As well.
        back: As well.
        b: As well.
        p: As well.
        t: As well.
        v: (n_edges, n_channels).
        s: (n_edges, n_heads, 2).
    """
    for r in range(len(first)):
        for e in (first[r], back[first[r]]):
            _put_values(b[senders[e]], p[r], v[e])
            _add_dots(v[e], t, s[e])


@compiled(any_order=True)
def value_slopes(
    senders: IntArray,
    first: IntArray,
    back: IntArray,
    v: Array,
    b: Array,
    p: Array,
    t: Array,
    g_v: Array,
    g_s: Array,
    of_b: Array,
    of_p: Array,
    of_t: Array,
) -> None:
    """Adds the slopes of Σ g_v v + Σ g_s s by b, p and t; none by t where of_t has no rows."""
    n_channels = b.shape[1]
    total, q = np.empty(n_channels, np.float32), np.empty(n_channels, np.float32)
    for r in range(len(first)):
        for e in (first[r], back[first[r]]):
            total[:] = g_v[e]
            _add_mixed(g_s[e], t, total)
            _put_sigmoids(b[senders[e]], p[r], q)
            _multiply(total, q)
            _add(q, of_b[senders[e]])
            _add(q, of_p[r])
            if len(of_t):
                _add_outer(g_s[e], v[e], of_t)


@compiled(any_order=True)
def value_bends(
    senders: IntArray,
    first: IntArray,
    back: IntArray,
    v: Array,
    b: Array,
    p: Array,
    t: Array,
    g_v: Array,
    g_s: Array,
    h_b: Array,
    h_p: Array,
    h_t: Array,
    of_b: Array,
    of_p: Array,
    of_t: Array,
    of_v: Array,
    of_s: Array,
) -> None:
    """Adds the slopes of Σ h · (slopes of `value_slopes`) by b, p, t, g_v and g_s.

    h_t has no rows where nothing follows from the slope by t.
    """
    n_channels = b.shape[1]
    total, mixed = np.empty(n_channels, np.float32), np.zeros(n_channels, np.float32)
    q = np.empty(n_channels, np.float32)
    for r in range(len(first)):
        for e in (first[r], back[first[r]]):
            j = senders[e]
            total[:] = g_v[e]
            _add_mixed(g_s[e], t, total)
            if len(h_t):
                mixed[:] = _ZERO
                _add_mixed(g_s[e], h_t, mixed)
                _add_dots(v[e], h_t, of_s[e])
            _put_sigmoids(b[j], p[r], q)
            _put_turned(q, h_b[j], h_p[r], of_v[e])
            _add_dots(of_v[e], t, of_s[e])
            _add_outer(g_s[e], of_v[e], of_t)
            _take_bend(of_v[e], total, mixed, q)
            _add(q, of_b[j])
            _add(q, of_p[r])


@compiled(any_order=True)
def _put_turned(q: Array, h_b: Array, h_p: Array, into: Array) -> None:
    for c in range(len(q)):
        into[c] = q[c] * (h_b[c] + h_p[c])


@compiled(any_order=True)
def _take_bend(turned: Array, total: Array, mixed: Array, q: Array) -> None:
    """q, which is σ(z), becomes the slope by z."""
    for c in range(len(q)):
        q[c] = total[c] * turned[c] * (_ONE - q[c]) + mixed[c] * q[c]
