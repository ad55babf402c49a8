"""Atoms that are too near each other: a sweep along one axis, compiled for the CPU."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from mdbench.compiled import compiled
from mdbench.md.limits import PAIR
from mdbench.potentials.base import FloatArray, IntArray

BoolArray = NDArray[np.bool_]


@compiled
def look_at_pairs(
    positions: FloatArray,
    cells: FloatArray,
    inverses: FloatArray,
    heights: FloatArray,
    kinds: IntArray,
    limits: FloatArray,
    reaches: FloatArray,
    first_atom: IntArray,
    active: BoolArray,
    steps: IntArray,
    end_codes: IntArray,
    end_steps: IntArray,
    end_values: FloatArray,
    end_atoms: IntArray,
    order: IntArray,
    scaled: FloatArray,
) -> None:
    """Retires systems with a pair below its limit: for the one that is furthest below, relatively.

    Beside fields of `State` and `PairLimits`: `inverses` (n_systems, 3, 3) 1/Å, of the cells;
    `heights` (n_systems, 3) Å, between lattice planes; `order` (n_atoms,), the atoms of each system
    along its widest direction as the last look left them, so nearly sorted; `scaled` (n_atoms, 3),
    room for fractional coordinates. An atom and its own image are no pair: nothing moves them.
    """
    for s in range(len(active)):
        if not active[s]:
            continue
        first, n_atoms = first_atom[s], first_atom[s + 1] - first_atom[s]
        cell, widths = cells[s], heights[s]
        axis = int(np.argmax(widths))
        _wrap(positions, inverses[s], first, n_atoms, scaled)
        _sort(scaled, axis, first, n_atoms, order)
        width, half = widths[axis], 0.5 * np.min(widths)
        furthest = 1.0  # square of distance over limit
        for i in range(n_atoms):
            one = first + order[first + i]
            reach = reaches[one] / width
            for j in range(i + 1, i + n_atoms):
                other = first + order[first + j % n_atoms]
                along = scaled[other, axis] - scaled[one, axis] + (1.0 if j >= n_atoms else 0.0)
                if along > reach:
                    break
                limit = limits[kinds[one], kinds[other]]
                if along * width > limit:
                    continue
                if limit > half:
                    squared = _least_of_images(scaled, cell, widths, one, other, limit)
                else:
                    squared = _squared_distance(scaled, cell, one, other)
                ratio = squared / (limit * limit)
                if ratio < furthest:
                    furthest = ratio
                    active[s] = False
                    end_codes[s], end_steps[s] = PAIR, steps[s]
                    end_values[s] = math.sqrt(squared)
                    end_atoms[s, 0] = min(one, other) - first
                    end_atoms[s, 1] = max(one, other) - first


@compiled
def _wrap(
    positions: FloatArray, inverse: FloatArray, first: int, n_atoms: int, scaled: FloatArray
) -> None:
    """Fractional coordinates from 0 to 1."""
    for a in range(first, first + n_atoms):
        for k in range(3):
            x = (
                positions[a, 0] * inverse[0, k]
                + positions[a, 1] * inverse[1, k]
                + positions[a, 2] * inverse[2, k]
            )
            scaled[a, k] = x - math.floor(x)


@compiled
def _sort(scaled: FloatArray, axis: int, first: int, n_atoms: int, order: IntArray) -> None:
    """Sorts the atoms of a system along an axis, by insertion."""
    for i in range(1, n_atoms):
        atom = order[first + i]
        key, j = scaled[first + atom, axis], i - 1
        while j >= 0 and scaled[first + order[first + j], axis] > key:
            order[first + j + 1] = order[first + j]
            j -= 1
        order[first + j + 1] = atom


@compiled
def _squared_distance(scaled: FloatArray, cell: FloatArray, i: int, j: int) -> float:
    """Å², of two atoms that are nearer than half the cell's width.

    A vector that is shorter than that is its own nearest image.
    """
    u = scaled[j, 0] - scaled[i, 0]
    v = scaled[j, 1] - scaled[i, 1]
    w = scaled[j, 2] - scaled[i, 2]
    return _squared_length(u - np.rint(u), v - np.rint(v), w - np.rint(w), cell)


@compiled
def _least_of_images(
    scaled: FloatArray, cell: FloatArray, heights: FloatArray, i: int, j: int, limit: float
) -> float:
    """Å², of two atoms in a cell of any width, right where it is below the limit.

    All images are looked at whose planes are near enough.
    """
    u = scaled[j, 0] - scaled[i, 0]
    v = scaled[j, 1] - scaled[i, 1]
    w = scaled[j, 2] - scaled[i, 2]
    u, v, w = u - np.rint(u), v - np.rint(v), w - np.rint(w)
    n_a = int(limit / heights[0] + 0.5)
    n_b = int(limit / heights[1] + 0.5)
    n_c = int(limit / heights[2] + 0.5)
    least = math.inf
    for a in range(-n_a, n_a + 1):
        for b in range(-n_b, n_b + 1):
            for c in range(-n_c, n_c + 1):
                least = min(least, _squared_length(u + a, v + b, w + c, cell))
    return least


@compiled
def _squared_length(u: float, v: float, w: float, cell: FloatArray) -> float:
    """Å², of a vector in fractional coordinates."""
    squared = 0.0
    for k in range(3):
        x = u * cell[0, k] + v * cell[1, k] + w * cell[2, k]
        squared += x * x
    return squared
