"""Atoms that are too near each other: a sweep along one axis, compiled for the CPU."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from mdbench.compiled import compiled
from mdbench.md.limits import PAIR, PAIR_LIMIT
from mdbench.potentials.base import FloatArray, IntArray

BoolArray = NDArray[np.bool_]


@compiled
def look_at_pairs(
    positions: FloatArray,
    cells: FloatArray,
    inverses: FloatArray,
    heights: FloatArray,
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
    """Retires systems with a pair below the limit, found as in `limits.closest_pair`.

    Beside fields of `State`: `inverses` (n_systems, 3, 3) 1/Å, of the cells; `heights`
    (n_systems, 3) Å, between lattice planes; `order` (n_atoms,), the atoms of each system along
    its widest direction as the last look left them, so nearly sorted; `scaled` (n_atoms, 3), room
    for fractional coordinates.
    """
    for s in range(len(active)):
        if not active[s]:
            continue
        first, n_atoms = first_atom[s], first_atom[s + 1] - first_atom[s]
        axis = int(np.argmax(heights[s]))
        _wrap(positions, inverses[s], first, n_atoms, scaled)
        _sort(scaled, axis, first, n_atoms, order)
        reach = PAIR_LIMIT / heights[s, axis]
        closest = PAIR_LIMIT * PAIR_LIMIT
        for i in range(n_atoms):
            one = first + order[first + i]
            for j in range(i + 1, i + n_atoms):
                other = first + order[first + j % n_atoms]
                along = scaled[other, axis] - scaled[one, axis] + (1.0 if j >= n_atoms else 0.0)
                if along > reach:
                    break
                distance = _squared_distance(scaled, cells[s], one, other)
                if distance < closest:
                    closest = distance
                    active[s] = False
                    end_codes[s], end_steps[s] = PAIR, steps[s]
                    end_values[s] = math.sqrt(distance)
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
    """Å², of two atoms that are nearer than half the cell's width."""
    squared = 0.0
    u = scaled[j, 0] - scaled[i, 0]
    v = scaled[j, 1] - scaled[i, 1]
    w = scaled[j, 2] - scaled[i, 2]
    u, v, w = u - np.rint(u), v - np.rint(v), w - np.rint(w)
    for k in range(3):
        x = u * cell[0, k] + v * cell[1, k] + w * cell[2, k]
        squared += x * x
    return squared
