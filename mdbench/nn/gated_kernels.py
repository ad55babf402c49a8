"""The compiled loops of `edge_sums`, in single precision: values, slopes, slopes of slopes.

They go over pairs, and for each over its two directions: what a pair has is read once, and what
atoms have stays in the cache. The numbers of one edge are rows that never leave the nearest cache.
A loop over a row writes one or two rows only: a compiler proves that rows are apart by comparing
them, and gives up vector units where there are many.

Arguments that all kernels share: receivers, senders and back are (n_edges,), first is (n_pairs,),
as in `EdgeRows`; n atoms' and pairs' rows are those of `edge_sums`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mdbench.compiled import compiled
from mdbench.nn.smooth_kernels import exp_minus_abs, sigmoid_of, softplus_of

IntArray = NDArray[np.int64]
Array = NDArray[np.float32]

_ZERO, _ONE, _TWO = np.float32(0.0), np.float32(1.0), np.float32(2.0)


@compiled(any_order=True)
def _add(row: Array, into: Array) -> None:
    for c in range(len(row)):
        into[c] += row[c]


@compiled(any_order=True)
def _sum(a: Array, b: Array, p: Array, into: Array) -> None:
    for c in range(len(into)):
        into[c] = a[c] + b[c] + p[c]


@compiled(any_order=True)
def gated(
    receivers: IntArray,
    senders: IntArray,
    first: IntArray,
    back: IntArray,
    a: Array,
    b: Array,
    p: Array,
    u: Array,
    y: Array,
) -> None:
    """Adds Σ_j u σ(z_g) softplus(z_c), z = a_i + b_j + p, to y.

    Args:
        receivers: As all kernels have them.
        senders: As well.
        first: As well.
        back: As well.
        a: (n_atoms, 2 n_channels).
        b: (n_atoms, 2 n_channels).
        p: (n_pairs, 2 n_channels).
        u: (n_pairs,).
        y: (n_atoms, n_channels).
    """
    z = np.empty(p.shape[1], np.float32)
    for r in range(len(first)):
        for e in (first[r], back[first[r]]):
            _sum(a[receivers[e]], b[senders[e]], p[r], z)
            _add_message(z, u[r], y[receivers[e]])


@compiled(any_order=True)
def _add_message(z: Array, u: np.float32, y: Array) -> None:
    n = len(y)
    gate, core = z[:n], z[n:]
    for c in range(n):
        opened = sigmoid_of(gate[c], exp_minus_abs(gate[c]))
        y[c] += u * opened * softplus_of(core[c], exp_minus_abs(core[c]))


@compiled(any_order=True)
def gated_slopes(
    receivers: IntArray,
    senders: IntArray,
    first: IntArray,
    back: IntArray,
    g: Array,
    a: Array,
    b: Array,
    p: Array,
    u: Array,
    of_a: Array,
    of_b: Array,
    of_p: Array,
    of_u: Array,
) -> None:
    """Adds the slopes of Σ_i g_i y_i, y as in `gated`, by a, b, p and u."""
    z = np.empty(p.shape[1], np.float32)
    for r in range(len(first)):
        for e in (first[r], back[first[r]]):
            i, j = receivers[e], senders[e]
            _sum(a[i], b[j], p[r], z)
            of_u[r] += _take_slope(z, g[i], u[r])
            _add(z, of_a[i])
            _add(z, of_b[j])
            _add(z, of_p[r])


@compiled(any_order=True)
def _take_slope(z: Array, g: Array, u: np.float32) -> np.float32:
    """Slope of g y by u; puts that by z in the place of z."""
    n = len(g)
    gate, core = z[:n], z[n:]
    total = _ZERO
    for c in range(n):
        y = exp_minus_abs(core[c])
        s, q = sigmoid_of(gate[c], exp_minus_abs(gate[c])), sigmoid_of(core[c], y)
        passed = g[c] * s
        value = passed * softplus_of(core[c], y)
        total += value
        gate[c] = u * value * (_ONE - s)
        core[c] = u * passed * q
    return total


@compiled(any_order=True)
def gated_bends(
    receivers: IntArray,
    senders: IntArray,
    first: IntArray,
    back: IntArray,
    g: Array,
    a: Array,
    b: Array,
    p: Array,
    u: Array,
    h_a: Array,
    h_b: Array,
    h_p: Array,
    h_u: Array,
    of_g: Array,
    of_a: Array,
    of_b: Array,
    of_p: Array,
    of_u: Array,
) -> None:
    """Adds the slopes of Σ h · (slopes of `gated_slopes`) by g, a, b, p and u."""
    n = g.shape[1]
    z, h, q = np.empty(2 * n, np.float32), np.empty(2 * n, np.float32), np.empty(n, np.float32)
    for r in range(len(first)):
        for e in (first[r], back[first[r]]):
            i, j = receivers[e], senders[e]
            _sum(a[i], b[j], p[r], z)
            _sum(h_a[i], h_b[j], h_p[r], h)
            _take_parts(z, q)
            of_u[r] += _add_bend_of_g(z[:n], z[n:], q, h, g[i], u[r], h_u[r], of_g[i])
            _take_bend(z[:n], z[n:], q, h, g[i], u[r], h_u[r])
            _add(h, of_a[i])
            _add(h, of_b[j])
            _add(h, of_p[r])


@compiled(any_order=True)
def _take_parts(z: Array, q: Array) -> None:
    """Makes σ(z_g) and softplus(z_c) of z in its place, and q σ(z_c)."""
    n = len(q)
    gate, core = z[:n], z[n:]
    for c in range(n):
        y = exp_minus_abs(core[c])
        q[c] = sigmoid_of(core[c], y)
        core[c] = softplus_of(core[c], y)
        gate[c] = sigmoid_of(gate[c], exp_minus_abs(gate[c]))


@compiled(any_order=True)
def _add_bend_of_g(
    s: Array, v: Array, q: Array, h: Array, g: Array, u: np.float32, h_u: np.float32, of_g: Array
) -> np.float32:
    """Slope by u; adds the slope by g. s, v and q are σ(z_g), softplus(z_c) and σ(z_c)."""
    n = len(g)
    h_gate, h_core = h[:n], h[n:]
    total = _ZERO
    for c in range(n):
        turned = s[c] * ((_ONE - s[c]) * v[c] * h_gate[c] + q[c] * h_core[c])
        total += g[c] * turned
        of_g[c] += u * turned + h_u * s[c] * v[c]
    return total


@compiled(any_order=True)
def _take_bend(
    s: Array, v: Array, q: Array, h: Array, g: Array, u: np.float32, h_u: np.float32
) -> None:
    """Puts the slope by z in the place of h."""
    n = len(g)
    h_gate, h_core = h[:n], h[n:]
    for c in range(n):
        shut, passed = _ONE - s[c], g[c] * s[c]
        along_gate, along_core = u * h_gate[c], u * h_core[c]
        bend = (_ONE - _TWO * s[c]) * v[c] * along_gate + q[c] * along_core + h_u * v[c]
        h_gate[c] = passed * shut * bend
        h_core[c] = passed * q[c] * (shut * along_gate + (_ONE - q[c]) * along_core + h_u)
