"""Pairs of one large frame through a grid: cost linear in the number of atoms.

The atoms are sorted into the boxes of a grid that follows the lattice vectors, along a fastest.
Neighbors of a box are rows of boxes along a, and the atoms of such a row lie one after the other
in memory. Rows are taken from one half of space, so each pair is met once.
"""

from __future__ import annotations

from math import ceil, floor, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mdbench.analysis.pairs import FloatArray, IntArray
from mdbench.compiled import compiled

#: Boxes along r_max. Smaller boxes follow the sphere closer, but make more and shorter rows.
_BOXES_IN_REACH = 2.0


def grid_shape(heights: FloatArray, n_bins: int, n_atoms: int) -> IntArray:
    """(3,) boxes along a, b, c: edges of a share of r_max, and no more boxes than atoms.

    Args:
        heights: (3,) distances between lattice planes, in bins.
        n_bins: Largest distance, in bins.
        n_atoms: Number of atoms.
    """
    shape = _BOXES_IN_REACH * heights / n_bins
    crowd = max(1.0, float(np.maximum(shape, 1.0).prod()) / n_atoms)
    boxes: IntArray = np.maximum(1, shape / crowd ** (1.0 / 3.0)).astype(np.int64)
    return boxes


def count_frame(
    positions: NDArray[Any],
    order: IntArray,
    kinds: IntArray,
    rows: IntArray,
    inverse: FloatArray,
    lattice: FloatArray,
    shape: IntArray,
    counts: IntArray,
) -> None:
    """Adds the distances between all atoms of a frame to the counts.

    Args:
        positions: (n_atoms, 3) Å.
        order: (n_atoms,) the atoms sorted by species.
        kinds: (n_atoms,) their species.
        rows: (n_species, n_species) the row of a pair of species.
        inverse: (3, 3) 1/Å.
        lattice: (6,) in bins.
        shape: (3,) boxes of the grid along a, b, c.
        counts: (n_pairs, n_bins + 1); the last bin takes what is too far.
    """
    starts, places, sorted_kinds, boxes = _sort(positions, order, kinds, inverse, lattice, shape)
    _count_rows(starts, places, sorted_kinds, boxes, rows, lattice, shape, counts)


@compiled
def _count_rows(
    starts: IntArray,
    places: FloatArray,
    sorted_kinds: IntArray,
    boxes: IntArray,
    rows: IntArray,
    lattice: FloatArray,
    shape: IntArray,
    counts: IntArray,
) -> None:  # pragma: no cover
    """Adds the distances from each atom to those in the rows of boxes near it."""
    n_atoms, n_bins = len(boxes), counts.shape[1] - 1
    near = _near_rows(lattice, shape, n_bins)
    n_a, n_b, n_c = shape
    bins = np.empty(n_atoms, dtype=np.int32)
    ax, bx, by = lattice[0], lattice[1], lattice[2]
    cx, cy, cz = lattice[3], lattice[4], lattice[5]
    for i in range(n_atoms):
        in_c, rest = divmod(boxes[i], n_b * n_a)
        in_b, in_a = divmod(rest, n_a)
        row_of = rows[sorted_kinds[i]]
        for k in range(len(near)):
            to_c, to_b, low, high = near[k]
            c, row_c = divmod(in_c + to_c, n_c)
            b, row_b = divmod(in_b + to_b, n_b)
            row = (row_c * n_b + row_b) * n_a
            for a in range((in_a + low) // n_a, (in_a + high) // n_a + 1):
                begin = starts[row + max(in_a + low - a * n_a, 0)]
                end = starts[row + min(in_a + high - a * n_a, n_a - 1) + 1]
                if to_c == 0 and to_b == 0 and a == 0:
                    begin = i + 1
                x = places[0, i] - (a * ax + b * bx + c * cx)
                y = places[1, i] - (b * by + c * cy)
                z = places[2, i] - c * cz
                _bins_from(x, y, z, places[:, begin:end], float(n_bins), bins)
                for j in range(end - begin):
                    counts[row_of[sorted_kinds[begin + j]], bins[j]] += 1


@compiled
def _sort(
    positions: NDArray[Any],
    order: IntArray,
    kinds: IntArray,
    inverse: FloatArray,
    lattice: FloatArray,
    shape: IntArray,
) -> tuple[IntArray, FloatArray, IntArray, IntArray]:  # pragma: no cover
    """The atoms in the order of the boxes.

    Returns:
        (n_boxes + 1,) first atom of each box; (3, n_atoms) places, in bins; (n_atoms,) species;
        (n_atoms,) box of each atom.
    """
    n_atoms = len(order)
    scaled, box = np.empty((3, n_atoms)), np.zeros(n_atoms, dtype=np.int64)
    starts = np.zeros(shape[0] * shape[1] * shape[2] + 1, dtype=np.int64)
    for i in range(n_atoms):
        p = positions[order[i]]
        for k in range(2, -1, -1):
            f = p[0] * inverse[0, k] + p[1] * inverse[1, k] + p[2] * inverse[2, k]
            scaled[k, i] = f - floor(f)
            box[i] = box[i] * shape[k] + min(int(scaled[k, i] * shape[k]), shape[k] - 1)
        starts[box[i] + 1] += 1
    starts = np.cumsum(starts)
    free = starts.copy()
    places = np.empty((3, n_atoms))
    sorted_kinds, sorted_boxes = np.empty(n_atoms, np.int64), np.empty(n_atoms, np.int64)
    for i in range(n_atoms):
        k = free[box[i]]
        free[box[i]] += 1
        a, b, c = scaled[0, i], scaled[1, i], scaled[2, i]
        places[0, k] = a * lattice[0] + b * lattice[1] + c * lattice[3]
        places[1, k] = b * lattice[2] + c * lattice[4]
        places[2, k] = c * lattice[5]
        sorted_kinds[k] = kinds[i]
        sorted_boxes[k] = box[i]
    return starts, places, sorted_kinds, sorted_boxes


@compiled
def _near_rows(lattice: FloatArray, shape: IntArray, n_bins: int) -> IntArray:  # pragma: no cover
    """(n_rows, 4) steps along c and b, first and last step along a, of boxes within reach.

    One half of space: steps along c of 0 and more; where that is 0, along b; where both are 0,
    the boxes from the own one onwards.
    """
    ax, bx, by = lattice[0] / shape[0], lattice[1] / shape[1], lattice[2] / shape[1]
    cx, cy, cz = lattice[3] / shape[2], lattice[4] / shape[2], lattice[5] / shape[2]
    # Vectors between two points in boxes differ from that between the boxes by up to one box.
    width_x, width_y, width_z = ax + abs(bx) + abs(cx) + 1e-6, by + abs(cy) + 1e-6, cz + 1e-6
    near = []
    for c in range(floor((n_bins + width_z) / cz) + 1):
        z = max(0.0, c * cz - width_z)
        y_reach = sqrt(max(0.0, n_bins * n_bins - z * z)) + width_y
        for b in range(ceil((-c * cy - y_reach) / by), floor((-c * cy + y_reach) / by) + 1):
            if c == 0 and b < 0:
                continue
            y = max(0.0, abs(c * cy + b * by) - width_y)
            x_reach = sqrt(max(0.0, n_bins * n_bins - z * z - y * y)) + width_x
            origin = c * cx + b * bx
            low, high = ceil((-origin - x_reach) / ax), floor((-origin + x_reach) / ax)
            if c == 0 and b == 0:
                low = 0
            if high >= low:
                near.append((c, b, low, high))
    return np.array(near)


@compiled
def _bins_from(
    x: float,
    y: float,
    z: float,
    places: FloatArray,
    reach: float,
    bins: NDArray[np.int32],
) -> None:  # pragma: no cover
    """The bins of the distances from a point to consecutive atoms."""
    for j in range(places.shape[1]):
        to_x, to_y, to_z = x - places[0, j], y - places[1, j], z - places[2, j]
        r = sqrt(to_x * to_x + to_y * to_y + to_z * to_z)
        bins[j] = np.int32(r if r < reach else reach)
