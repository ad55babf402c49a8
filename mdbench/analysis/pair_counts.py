"""Distances between pairs of atoms, counted with all periodic images, on the CPU.

All lengths inside are in units of the bin width, so that a bin is the integer part of a distance.

Two ways with equal counts. Cells of up to some thousand atoms go pair by pair, many frames at once
(`_count_all_pairs`): atoms move little between neighboring frames, so the box that holds the
vector of a pair in all of these frames tells which periodic images come near enough, and for each
of those the distances in all frames are one vectorized loop. Large cells go frame by frame through
a grid (`_count_by_grid`), at a cost that is linear in the number of atoms.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from math import ceil, floor, sqrt
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mdbench.analysis.pairs import (
    FloatArray,
    IntArray,
    Lattices,
    PairCounts,
    bin_count,
    check_finite,
    check_frames,
    pair_index,
)
from mdbench.compiled import compiled

#: Numbers that the coordinates of one block of frames may take, so that they stay in the cache.
_BLOCK = 100_000
#: Most and fewest frames of a block: longer loops, but wider boxes.
_MOST_FRAMES, _FEWEST_FRAMES = 256, 16
#: Frames that a thread takes at once.
_TASK_FRAMES = 1024
#: Counters side by side: the next count need not wait until the last is stored.
_LANES = 4
#: Widening of every box for rounding, in bins; and smallest pair box that is worth wrapping.
_SLACK = 1e-6
_WIDE = 1.0
#: Measured costs, ns: a pair rejected by its box; a distance; a distance and an atom in the grid.
_COST_BOX, _COST_DISTANCE, _COST_GRID_DISTANCE, _COST_GRID_ATOM = 12.0, 1.2, 1.6, 250.0


def count_pairs(
    positions: NDArray[Any],
    cells: ArrayLike,
    species: ArrayLike,
    r_max: float,
    dr: float,
    *,
    threads: int = 1,
    pbc: ArrayLike = True,
    method: str | None = None,
) -> PairCounts:
    """Counts of the distances between atoms of each pair of species, all periodic images.

    Args:
        positions: (n_frames, n_atoms, 3) Å, wrapped or not.
        cells: (n_frames, 3, 3) Å, any three vectors that span the lattice.
        species: (n_atoms,) integers from 0.
        r_max: Largest distance, Å; only whole bins below it are counted.
        dr: Bin width, Å.
        threads: Threads that share the frames; the result does not depend on it.
        pbc: Which lattice vectors are periodic; all must be.
        method: "all pairs" or "grid"; by default the one that should take less time.

    Raises:
        InputError: Frames that have no pairs to count, or senseless bins.
    """
    positions, cells, species = np.asarray(positions), np.asarray(cells), np.asarray(species)
    if positions.dtype not in (np.float32, np.float64):
        positions = positions.astype(np.float64)
    lattices = check_frames(positions, cells, species, r_max, dr, pbc)
    n_bins = bin_count(r_max, dr)
    n_frames, n_atoms, _ = positions.shape
    if method is None:
        method = _cheaper_method(n_frames, n_atoms, n_bins, lattices)
    count = {"all pairs": _count_all_pairs, "grid": _count_by_grid}[method]
    order = np.argsort(species, kind="stable")
    kinds = species[order].astype(np.int64)
    rows = pair_index(int(kinds[-1]) + 1)

    def task(start: int) -> PairCounts:
        stop = min(start + _TASK_FRAMES, n_frames)
        check_finite(positions[start:stop], start)
        which = lattices.which[start:stop]
        return count(positions[start:stop], order, kinds, rows, lattices, which, n_bins)

    starts = range(0, n_frames, _TASK_FRAMES)
    total = PairCounts(
        np.zeros((rows.max() + 1, n_bins), dtype=np.int64),
        np.zeros((rows.max() + 1, n_bins)),
        0,
        0.0,
    )
    for part in _in_threads(task, starts, threads):
        total = total + part
    return total


def _in_threads(
    task: Callable[[int], PairCounts], starts: range, threads: int
) -> Iterator[PairCounts]:
    """The results of the tasks in their order, so that sums do not depend on the threads."""
    if threads <= 1 or len(starts) <= 1:
        yield from map(task, starts)
        return
    with ThreadPoolExecutor(threads) as pool:
        yield from pool.map(task, starts)
