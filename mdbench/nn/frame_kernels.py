"""The compiled loops of `frame_scalars`: hidden units of one edge at a time, all in the cache.

Inner loops go over channels, which vector units take. Arrays are those of `frame_scalars`, in
single precision; a layer is (n_hidden, 5): of each hidden unit the weights of the three
projections, its bias, and its weight in the result.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mdbench.compiled import compiled

IntArray = NDArray[np.int64]
Array = NDArray[np.float32]

_HALF, _ONE = np.float32(0.5), np.float32(1.0)
_SOFTNESS, _SHORTEST = np.float32(0.01), np.float32(0.1)
#: tanh y = y A(y²)/B(y²): the seventh convergent of Lambert's continued fraction.
_A = tuple(np.float32(a) for a in (135135, 17325, 378))
_B = tuple(np.float32(b) for b in (135135, 62370, 3150, 28))
#: Where single precision takes a sigmoid for 0 or 1.
_END = np.float32(18.0)
_QUARTER = np.float32(0.25)


@compiled(any_order=True)
def _sigmoid(x: Any) -> Any:
    """Within 1.1e-7, without exponential functions or branches, which no vector unit takes.

    Of t = p/q = tanh(x/4), it is 1/2 + t/(1 + t²).
    """
    y = min(max(x, -_END), _END) * _QUARTER
    s = y * y
    p = y * (_A[0] + s * (_A[1] + s * (_A[2] + s)))
    q = _B[0] + s * (_B[1] + s * (_B[2] + s * _B[3]))
    return _HALF + np.divide(p * q, p * p + q * q)  # an operator would look for zeros


@compiled(any_order=True)
def _project(frame: Array, x: Array, p: Array) -> None:
    """Sets p (3, n_channels) to the vectors x (3, n_channels) in a frame."""
    for m in range(3):
        a, b, c, row = frame[m, 0], frame[m, 1], frame[m, 2], p[m]
        for n in range(p.shape[1]):
            row[n] = a * x[0, n] + b * x[1, n] + c * x[2, n]


@compiled(any_order=True)
def set_scalars(
    vectors: Array, frames: Array, ends: IntArray, layer: Array, bias: Any, found: Array
) -> None:
    """Sets the scalars.

    Args:
        vectors: (n_atoms, 3, n_channels).
        frames: (n_edges, 3, 3).
        ends: (2, n_edges).
        layer: (n_hidden, 5).
        bias: Of the result.
        found: (n_edges, 2, n_channels).
    """
    p = np.empty_like(vectors[0])
    for e in range(len(frames)):
        for end in range(2):
            _project(frames[e], vectors[ends[end, e]], p)
            row = found[e, end]
            for n in range(len(row)):
                p[1, n] = math.sqrt(p[1, n] * p[1, n] + _SOFTNESS) - _SHORTEST
                row[n] = p[0, n] + bias
            for k in range(len(layer)):
                # to unpack a row would check its length, and keep vector units from the loop
                a, b, c = layer[k, 0], layer[k, 1], layer[k, 2]
                shift, weight = layer[k, 3], layer[k, 4]
                for n in range(len(row)):
                    x = a * p[0, n] + b * p[1, n] + c * p[2, n] + shift
                    row[n] += weight * x * _sigmoid(x)


@compiled(any_order=True)
def add_slopes(
    vectors: Array,
    frames: Array,
    ends: IntArray,
    layer: Array,
    gradients: Array,
    of_vectors: Array,
    of_frames: Array,
    of_layer: Array,
) -> None:
    """Adds the derivatives of Σ gradients · scalars.

    Args:
        vectors: (n_atoms, 3, n_channels).
        frames: (n_edges, 3, 3).
        ends: (2, n_edges).
        layer: (n_hidden, 5).
        gradients: (n_edges, 2, n_channels).
        of_vectors: As vectors.
        of_frames: As frames.
        of_layer: As layer.
    """
    p, g, bent = np.empty_like(vectors[0]), np.empty_like(vectors[0]), np.empty_like(vectors[0, 0])
    units = np.empty((len(layer), len(bent)), vectors.dtype)
    slopes = np.empty_like(units)
    for e in range(len(frames)):
        for end in range(2):
            atom, gradient = ends[end, e], gradients[e, end]
            _project(frames[e], vectors[atom], p)
            for n in range(len(bent)):
                length = math.sqrt(p[1, n] * p[1, n] + _SOFTNESS)
                bent[n] = np.divide(p[1, n], length)
                p[1, n] = length - _SHORTEST
            _set_units(layer, p, gradient, units, slopes)
            for k in range(len(layer)):
                _add_to_layer(p, units[k], slopes[k], of_layer[k])
            _set_slopes(layer, slopes, g)
            for n in range(len(bent)):
                g[0, n] += gradient[n]
                g[1, n] *= bent[n]
            _add_projections(frames[e], vectors[atom], g, of_vectors[atom], of_frames[e])


@compiled(any_order=True)
def _set_units(layer: Array, p: Array, gradient: Array, units: Array, slopes: Array) -> None:
    """Sets hidden units times a gradient, and the derivatives of the result by their arguments."""
    for k in range(len(layer)):
        a, b, c = layer[k, 0], layer[k, 1], layer[k, 2]
        shift, weight = layer[k, 3], layer[k, 4]
        unit, slope = units[k], slopes[k]
        for n in range(len(unit)):
            x = a * p[0, n] + b * p[1, n] + c * p[2, n] + shift
            s = _sigmoid(x)
            unit[n] = gradient[n] * x * s
            slope[n] = gradient[n] * weight * (s + x * s * (_ONE - s))


@compiled(any_order=True)
def _set_slopes(layer: Array, slopes: Array, g: Array) -> None:
    """Sets g to the derivatives by projections, of those by the arguments of hidden units."""
    for m in range(3):
        row = g[m]
        for n in range(len(row)):
            row[n] = np.float32(0)
        for k in range(len(layer)):
            share = layer[k, m]
            for n in range(len(row)):
                row[n] += share * slopes[k, n]


@compiled(any_order=True)
def _add_to_layer(p: Array, unit: Array, slope: Array, of_unit: Array) -> None:
    """Adds the derivatives by the weights of a hidden unit."""
    of_a = of_b = of_c = of_shift = of_weight = np.float32(0)
    for n in range(len(unit)):
        of_a += slope[n] * p[0, n]
        of_b += slope[n] * p[1, n]
        of_c += slope[n] * p[2, n]
        of_shift += slope[n]
        of_weight += unit[n]
    of_unit[0] += of_a
    of_unit[1] += of_b
    of_unit[2] += of_c
    of_unit[3] += of_shift
    of_unit[4] += of_weight


@compiled(any_order=True)
def _add_projections(frame: Array, x: Array, g: Array, of_x: Array, of_frame: Array) -> None:
    """Adds the derivatives by a frame and by vectors x to theirs, of those by projections g."""
    for m in range(3):
        row = g[m]
        for k in range(3):
            share, total = frame[m, k], np.float32(0)
            for n in range(len(row)):
                of_x[k, n] += share * row[n]
                total += row[n] * x[k, n]
            of_frame[m, k] += total
