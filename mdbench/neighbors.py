"""Pairs of atoms within a cutoff: every periodic image, any triclinic cell, any number of images.

A pair (i, j) with the cell shift S has the vector x[j] + S @ cell − x[i]. The positions may be
unwrapped; S accounts for that, so it stays right while the atoms move on. Pairs are sorted by
i, j and S. `neighbors_torch` gives the same ones on any torch device, without numba.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mdbench.compiled import compiled
from mdbench.errors import InputError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: More periodic images than this of a single pair are a mistake, not a question.
MOST_IMAGES = 1e6
#: The grid costs less than all pairs from this many atoms on.
GRID_ATOMS = 160
#: Boxes of the grid along the cutoff: smaller ones follow the sphere closer, but are more.
_BOXES_IN_CUTOFF = 2.0
#: By how much bounds are widened, so that rounding loses no pair; its distance then decides.
_MARGIN = 1e-9


@dataclass(frozen=True)
class NeighborList:
    """Pairs of atoms that are closer than a cutoff.

    Attributes:
        pairs: (n_pairs, 2) atoms i and j, counted through all systems.
        cell_shifts: (n_pairs, 3) whole lattice vectors S: the pair's vector is
            x[j] + S @ cell − x[i].
        first_pair: (n_systems + 1,) system s has the pairs first_pair[s] … first_pair[s + 1] − 1.
    """

    pairs: IntArray
    cell_shifts: IntArray
    first_pair: IntArray


def neighbor_list(
    positions: ArrayLike,
    cells: ArrayLike,
    cutoff: float,
    *,
    first_atom: ArrayLike | None = None,
    half: bool = False,
) -> NeighborList:
    """All pairs of atoms closer than the cutoff, an atom's own images included.

    For a list that lasts while atoms move, give the cutoff plus a skin and build again when
    `moved_too_far` says so.

    Args:
        positions: (n_atoms, 3) Å, wrapped or not.
        cells: (n_systems, 3, 3) Å, row vectors; or (3, 3) of one system.
        cutoff: Å; a pair at exactly this distance is none.
        first_atom: (n_systems + 1,) where each system's atoms begin, and the end of the last one.
        half: Each unordered pair once, with i < j, or i = j and the first shift that is not 0
            above 0; else each pair in both directions.

    Raises:
        InputError: Positions that are not finite, a cell without volume, a senseless cutoff.
    """
    x = np.array(positions, dtype=np.float64, order="C")
    lattices = np.array(cells, dtype=np.float64, order="C").reshape(-1, 3, 3)
    first = np.array([0, len(x)]) if first_atom is None else np.asarray(first_atom, dtype=np.int64)
    if x.ndim != 2 or x.shape[1] != 3 or not np.isfinite(x).all():
        raise InputError("positions", expected="finite, (atoms, 3)", found=x.shape)
    if len(first) != len(lattices) + 1 or first[0] != 0 or first[-1] != len(x):
        raise InputError("first_atom", expected=f"0 … {len(x)} of {len(lattices)} systems")
    found = []
    for s, cell in enumerate(lattices):
        inverse, heights = check_cell(cell, cutoff, system=s)
        atoms = x[first[s] : first[s + 1]]
        pairs, shifts = system_pairs(atoms, cell, inverse, heights, cutoff, half)
        found.append((pairs + first[s], shifts))
    return NeighborList(
        pairs=np.concatenate([pairs for pairs, _ in found]),
        cell_shifts=np.concatenate([shifts for _, shifts in found]),
        first_pair=np.cumsum([0, *(len(pairs) for pairs, _ in found)]),
    )


def check_cell(cell: FloatArray, cutoff: float, *, system: int) -> tuple[FloatArray, FloatArray]:
    """Inverse (3, 3) in 1/Å and distances (3,) between lattice planes in Å of a sound cell.

    Raises:
        InputError: No volume, or more images within the cutoff than anybody wants.
    """
    if not (math.isfinite(cutoff) and cutoff > 0.0):
        raise InputError("cutoff", expected="a length above 0 A", found=f"{cutoff:g}")
    volume = abs(float(np.linalg.det(cell))) if np.isfinite(cell).all() else 0.0
    if not volume > 1e-6 * float(np.linalg.norm(cell, axis=1).prod()):  # NaN included
        raise InputError(
            f"cell of system {system}",
            expected="three lattice vectors that span a volume",
            found=np.array2string(cell, precision=4, separator=",").replace("\n", ""),
        )
    inverse = np.ascontiguousarray(np.linalg.inv(cell))
    heights = 1.0 / np.linalg.norm(inverse, axis=0)
    images = float((2.0 * cutoff / heights + 1.0).prod())
    if images > MOST_IMAGES:
        raise InputError(
            f"cutoff {cutoff:g} A",
            expected=f"at most {MOST_IMAGES:.0e} periodic images of a pair within it",
            found=f"about {images:.1e} in the cell of system {system}",
            remedy="lower the cutoff",
        )
    return inverse, heights


@compiled
def moved_too_far(positions: FloatArray, reference: FloatArray, skin: float) -> bool:
    """Whether two atoms together have moved by more than the skin, so that pairs may lack.

    Args:
        positions: (n_atoms, 3) Å, not wrapped in between.
        reference: (n_atoms, 3) Å, where the list was built.
        skin: Å, by how much the list reaches beyond the cutoff.
    """
    most = second = 0.0
    for i in range(len(positions)):
        x = positions[i, 0] - reference[i, 0]
        y = positions[i, 1] - reference[i, 1]
        z = positions[i, 2] - reference[i, 2]
        squared = x * x + y * y + z * z
        if squared > second:
            second = min(squared, most)
            most = max(squared, most)
    return math.sqrt(most) + math.sqrt(second) > skin


@compiled
def system_pairs(
    positions: FloatArray,
    cell: FloatArray,
    inverse: FloatArray,
    heights: FloatArray,
    cutoff: float,
    half: bool,
) -> tuple[IntArray, IntArray]:
    """(n_pairs, 2) atoms and (n_pairs, 3) cell shifts of one system, for other kernels.

    Args:
        positions: (n_atoms, 3) Å, finite.
        cell: (3, 3) Å.
        inverse: (3, 3) 1/Å, of the cell.
        heights: (3,) Å, distances between its planes.
        cutoff: Å.
        half: Each unordered pair once.
    """
    n_atoms = len(positions)
    wraps = np.empty((n_atoms, 3), dtype=np.int64)
    wrapped = np.empty((n_atoms, 3))  # fractional, from 0 to 1
    for i in range(n_atoms):
        for k in range(3):
            fraction = 0.0
            for m in range(3):
                fraction += positions[i, m] * inverse[m, k]
            whole = math.floor(fraction)
            wraps[i, k] = int(whole)
            wrapped[i, k] = fraction - whole
    if n_atoms < GRID_ATOMS:
        return _pairs_of_all(positions, wraps, wrapped, cell, heights, cutoff, half)
    return _pairs_by_grid(positions, wraps, wrapped, cell, heights, cutoff, half)


@compiled
def _is_close(
    positions: FloatArray,
    cell: FloatArray,
    pair: tuple[int, int],
    shift: tuple[int, int, int],
    squared_cutoff: float,
) -> bool:  # pragma: no cover
    """Whether x[j] + S @ cell − x[i] is shorter than the cutoff."""
    i, j = pair
    a, b, c = shift
    x = positions[j, 0] + (a * cell[0, 0] + b * cell[1, 0] + c * cell[2, 0]) - positions[i, 0]
    y = positions[j, 1] + (a * cell[0, 1] + b * cell[1, 1] + c * cell[2, 1]) - positions[i, 1]
    z = positions[j, 2] + (a * cell[0, 2] + b * cell[1, 2] + c * cell[2, 2]) - positions[i, 2]
    return bool(x * x + y * y + z * z < squared_cutoff)


@compiled
def _is_counted(i: int, j: int, a: int, b: int, c: int, half: bool) -> bool:  # pragma: no cover
    """Whether the list holds this direction; never an atom with itself.

    Args:
        i: First atom.
        j: Second atom.
        a: Cell shift along the first lattice vector …
        b: … the second …
        c: … and the third.
        half: Each unordered pair once.
    """
    if i != j:
        return i < j or not half
    if not half:
        return a != 0 or b != 0 or c != 0
    return a > 0 or (a == 0 and (b > 0 or (b == 0 and c > 0)))


@compiled
def _longer(table: IntArray) -> IntArray:  # pragma: no cover
    """A copy with twice the rows."""
    longer = np.empty((2 * table.shape[0], table.shape[1]), dtype=np.int64)
    longer[: len(table)] = table
    return longer


@compiled
def _three(row: FloatArray) -> tuple[float, float, float]:  # pragma: no cover
    """The numbers of a (3,) row."""
    return row[0], row[1], row[2]


@compiled
def _turns(apart: float, whole: int, reach: float) -> tuple[int, int]:  # pragma: no cover
    """First and behind the last lattice vectors by which planes come within reach of each other.

    Args:
        apart: Between the wrapped atoms, in lattice vectors …
        whole: … and what wrapping has taken from that.
        reach: In lattice vectors.
    """
    return math.ceil(apart - reach) + whole, math.floor(apart + reach) + whole + 1


@compiled
def _pairs_of_all(
    positions: FloatArray,
    wraps: IntArray,
    wrapped: FloatArray,
    cell: FloatArray,
    heights: FloatArray,
    cutoff: float,
    half: bool,
) -> tuple[IntArray, IntArray]:  # pragma: no cover
    """Each pair with the images whose planes are near enough: for few atoms."""
    n_atoms, n = len(positions), 0
    pairs = np.empty((64 * n_atoms + 64, 2), dtype=np.int64)
    shifts = np.empty((64 * n_atoms + 64, 3), dtype=np.int64)
    # Numbers, not arrays, in the loops: an array is read anew after each store to another one.
    reach_a, reach_b, reach_c = _three(cutoff / heights + _MARGIN)
    ax, ay, az = _three(cell[0])
    bx, by, bz = _three(cell[1])
    cx, cy, cz = _three(cell[2])
    for i in range(n_atoms):
        xi, yi, zi = positions[i, 0], positions[i, 1], positions[i, 2]
        for j in range(i if half else 0, n_atoms):
            xj, yj, zj = positions[j, 0], positions[j, 1], positions[j, 2]
            low_a, high_a = _turns(
                wrapped[i, 0] - wrapped[j, 0], wraps[i, 0] - wraps[j, 0], reach_a
            )
            low_b, high_b = _turns(
                wrapped[i, 1] - wrapped[j, 1], wraps[i, 1] - wraps[j, 1], reach_b
            )
            low_c, high_c = _turns(
                wrapped[i, 2] - wrapped[j, 2], wraps[i, 2] - wraps[j, 2], reach_c
            )
            while n + (high_a - low_a) * (high_b - low_b) * (high_c - low_c) > len(pairs):
                pairs, shifts = _longer(pairs), _longer(shifts)
            for a in range(low_a, high_a):
                for b in range(low_b, high_b):
                    abx, aby, abz = a * ax + b * bx, a * ay + b * by, a * az + b * bz
                    for c in range(low_c, high_c):
                        x = xj + (abx + c * cx) - xi
                        y = yj + (aby + c * cy) - yi
                        z = zj + (abz + c * cz) - zi
                        if x * x + y * y + z * z >= cutoff * cutoff:
                            continue
                        if i == j and not _is_counted(i, j, a, b, c, half):
                            continue
                        pairs[n, 0], pairs[n, 1] = i, j
                        shifts[n, 0], shifts[n, 1], shifts[n, 2] = a, b, c
                        n += 1
    return pairs[:n], shifts[:n]


@compiled
def _pairs_by_grid(
    positions: FloatArray,
    wraps: IntArray,
    wrapped: FloatArray,
    cell: FloatArray,
    heights: FloatArray,
    cutoff: float,
    half: bool,
) -> tuple[IntArray, IntArray]:  # pragma: no cover
    """Each atom with those in the boxes around it: cost linear in the number of atoms.

    The neighbors of an atom are found box by box, and put in order by a number made of j and S.
    """
    n_atoms, n = len(positions), 0
    shape = _grid_shape(heights, cutoff, n_atoms)
    places, starts, atoms = _boxes(wrapped, shape)
    reach = np.empty(3, dtype=np.int64)  # in boxes
    most = np.empty(3, dtype=np.int64)  # larger than any shift between wrapped atoms
    for k in range(3):
        reach[k] = math.ceil(cutoff * shape[k] / heights[k] + _MARGIN)
        most[k] = reach[k] // shape[k] + 2
    span_b, span_c = 2 * most[1], 2 * most[2]
    span = 2 * most[0] * span_b * span_c
    pairs = np.empty((64 * n_atoms, 2), dtype=np.int64)
    shifts = np.empty((64 * n_atoms, 3), dtype=np.int64)
    keys = np.empty((1024, 1), dtype=np.int64)
    for i in range(n_atoms):
        n_keys = 0
        for box_a in range(places[i, 0] - reach[0], places[i, 0] + reach[0] + 1):
            a = box_a // shape[0]
            for box_b in range(places[i, 1] - reach[1], places[i, 1] + reach[1] + 1):
                b = box_b // shape[1]
                row = ((box_a - a * shape[0]) * shape[1] + box_b - b * shape[1]) * shape[2]
                for box_c in range(places[i, 2] - reach[2], places[i, 2] + reach[2] + 1):
                    c = box_c // shape[2]
                    box = row + box_c - c * shape[2]
                    while n_keys + starts[box + 1] - starts[box] > len(keys):
                        keys = _longer(keys)
                    for m in range(starts[box], starts[box + 1]):
                        j = atoms[m]
                        if not _is_counted(i, j, a, b, c, half):
                            continue
                        shift = (
                            a - wraps[j, 0] + wraps[i, 0],
                            b - wraps[j, 1] + wraps[i, 1],
                            c - wraps[j, 2] + wraps[i, 2],
                        )
                        if _is_close(positions, cell, (i, j), shift, cutoff * cutoff):
                            turns = ((a + most[0]) * span_b + b + most[1]) * span_c + c + most[2]
                            keys[n_keys, 0] = j * span + turns
                            n_keys += 1
        while n + n_keys > len(pairs):
            pairs, shifts = _longer(pairs), _longer(shifts)
        for key in np.sort(keys[:n_keys, 0]):
            j = key // span
            turns = key - j * span
            pairs[n, 0], pairs[n, 1] = i, j
            shifts[n, 0] = turns // (span_b * span_c) - most[0] - wraps[j, 0] + wraps[i, 0]
            shifts[n, 1] = turns // span_c % span_b - most[1] - wraps[j, 1] + wraps[i, 1]
            shifts[n, 2] = turns % span_c - most[2] - wraps[j, 2] + wraps[i, 2]
            n += 1
    return pairs[:n], shifts[:n]


@compiled
def _grid_shape(heights: FloatArray, cutoff: float, n_atoms: int) -> IntArray:  # pragma: no cover
    """(3,) boxes along the lattice vectors, no more than about one for each atom."""
    boxes = np.maximum(_BOXES_IN_CUTOFF * heights / cutoff - _MARGIN, 1.0)
    crowd = max(1.0, boxes.prod() / n_atoms)
    shape: IntArray = np.maximum(boxes / crowd ** (1.0 / 3.0), 1.0).astype(np.int64)
    return shape


@compiled
def _boxes(
    wrapped: FloatArray, shape: IntArray
) -> tuple[IntArray, IntArray, IntArray]:  # pragma: no cover
    """(n_atoms, 3) box of each atom; where each box begins in the list of all atoms; that list."""
    n_atoms = len(wrapped)
    places = np.empty((n_atoms, 3), dtype=np.int64)
    boxes = np.empty(n_atoms, dtype=np.int64)
    starts = np.zeros(shape[0] * shape[1] * shape[2] + 1, dtype=np.int64)
    for i in range(n_atoms):
        for k in range(3):
            places[i, k] = min(int(wrapped[i, k] * shape[k]), shape[k] - 1)
        boxes[i] = (places[i, 0] * shape[1] + places[i, 1]) * shape[2] + places[i, 2]
        starts[boxes[i] + 1] += 1
    starts = np.cumsum(starts)
    filled = starts[:-1].copy()
    atoms = np.empty(n_atoms, dtype=np.int64)
    for i in range(n_atoms):
        atoms[filled[boxes[i]]] = i
        filled[boxes[i]] += 1
    return places, starts, atoms
