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
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mdbench.analysis.pair_grid import count_frame, grid_shape
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

Method = Literal["all pairs", "grid"]

#: Numbers that the coordinates of one block of frames may take, so that they stay in the cache.
_BLOCK = 100_000
#: Most and fewest frames of a block: longer loops, but wider boxes.
_MOST_FRAMES, _FEWEST_FRAMES = 256, 16
#: Atoms of all frames that a thread takes at once, and most of those frames.
_TASK_ATOMS, _TASK_FRAMES = 60_000, 512
#: Counters side by side: the next count need not wait until the last is stored.
_LANES = 4
#: Widening of every box for rounding, in bins; most widening for cells that differ, as a share of
#: r_max; width of a box from which on wrapping makes it smaller, in cells.
_SLACK, _MOST_SLACK, _WIDE = 1e-6, 0.5, 1.0
#: Measured costs, ns: of each pair's box and of a pair within r_max; of each atom of a grid and of
#: a pair within r_max.
_COST_BOX, _COST_NEAR = 80.0, 2.5
_COST_GRID_ATOM, _COST_GRID_NEAR = 450.0, 18.0


def count_pairs(
    positions: NDArray[Any],
    cells: ArrayLike,
    species: ArrayLike,
    r_max: float,
    dr: float,
    *,
    threads: int = 1,
    pbc: ArrayLike = True,
    method: Method | None = None,
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
    lattices = check_frames(positions.shape, cells, species, r_max, dr, pbc)
    n_bins = bin_count(r_max, dr)
    n_frames, n_atoms, _ = positions.shape
    if method is None:
        method = _cheaper_method(n_frames, n_atoms, n_bins, lattices)
    count = {"all pairs": _count_all_pairs, "grid": _count_by_grid}[method]
    order = np.argsort(species, kind="stable")
    kinds = species[order].astype(np.int64)
    rows = pair_index(int(kinds[-1]) + 1)

    step = int(np.clip(_TASK_ATOMS // n_atoms, 1, _TASK_FRAMES))

    def task(start: int) -> PairCounts:
        stop = min(start + step, n_frames)
        check_finite(positions[start:stop], start)
        which = lattices.which[start:stop]
        return count(positions[start:stop], order, kinds, rows, lattices, which, n_bins)

    starts = range(0, n_frames, step)
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


def _cheaper_method(n_frames: int, n_atoms: int, n_bins: int, lattices: Lattices) -> Method:
    """The way of counting that should take less time for such frames."""
    sphere = 4.0 / 3.0 * np.pi * n_bins**3  # in cubic bins, as `lower`
    volume = float(lattices.lower[0, [0, 2, 5]].prod())
    within = n_atoms * n_atoms * sphere / volume / 2.0  # pairs within r_max, of one frame
    block = min(n_frames, _block_frames(n_atoms))
    all_pairs = n_atoms**2 / 2.0 * _COST_BOX / block + within * _COST_NEAR
    grid = n_atoms * _COST_GRID_ATOM + within * _COST_GRID_NEAR
    return "all pairs" if all_pairs < grid else "grid"


def _block_frames(n_atoms: int) -> int:
    return int(np.clip(_BLOCK // (6 * n_atoms), _FEWEST_FRAMES, _MOST_FRAMES))


def _count_all_pairs(
    positions: NDArray[Any],
    order: IntArray,
    kinds: IntArray,
    rows: IntArray,
    lattices: Lattices,
    which: IntArray,
    n_bins: int,
) -> PairCounts:
    volumes = lattices.volumes[which]
    one_cell = bool((which == which[0]).all())
    lanes = np.zeros((rows.max() + 1, _LANES, n_bins + 1), dtype=np.int64)
    volume_counts = np.zeros((rows.max() + 1, n_bins + 1))
    for block, slack in _blocks(lattices, which, len(order), n_bins):
        scaled = np.empty((len(order), 3, block.stop - block.start))
        _follow(positions[block], order, lattices.inverses, which[block], scaled)
        _count_block(
            scaled,
            kinds,
            rows,
            lattices.lower,
            which[block],
            slack,
            np.empty(0) if one_cell else volumes[block],
            lanes,
            volume_counts,
        )
    counts = lanes.sum(axis=1)[:, :n_bins]
    weighted = counts * volumes[0] if one_cell else volume_counts[:, :n_bins]
    return PairCounts(counts, weighted, len(which), float(volumes.sum()))


def _blocks(
    lattices: Lattices, which: IntArray, n_atoms: int, n_bins: int
) -> Iterator[tuple[slice, FloatArray]]:
    """Blocks of frames whose cells are alike, and the slack of their boxes."""
    size = _block_frames(n_atoms)
    waiting = [(k, min(k + size, len(which))) for k in range(0, len(which), size)][::-1]
    while waiting:
        start, stop = waiting.pop()
        slack = _cell_slack(lattices, which[start:stop], n_bins)
        if stop - start > 1 and slack.max() > _MOST_SLACK * n_bins:
            middle = (start + stop) // 2
            waiting += [(middle, stop), (start, middle)]
        else:
            yield slice(start, stop), slack


def _cell_slack(lattices: Lattices, which: IntArray, n_bins: int) -> FloatArray:
    """(3,) in bins: how far a lattice vector within reach differs from that of the first frame."""
    lower = lattices.lower[which]
    spread = np.abs(lower - lower[0]).max(axis=0)
    most = 2.0 + np.ceil(n_bins / lattices.heights[which].min(axis=0))  # most cells along a, b, c
    return _SLACK + np.array(
        [
            most @ spread[[0, 1, 3]],
            most[1:] @ spread[[2, 4]],
            most[2] * spread[5],
        ]
    )


def _count_by_grid(
    positions: NDArray[Any],
    order: IntArray,
    kinds: IntArray,
    rows: IntArray,
    lattices: Lattices,
    which: IntArray,
    n_bins: int,
) -> PairCounts:
    counts = np.zeros((rows.max() + 1, n_bins), dtype=np.int64)
    volume_counts = np.zeros((rows.max() + 1, n_bins))
    for frame, lattice in enumerate(which):
        found = np.zeros((rows.max() + 1, n_bins + 1), dtype=np.int64)
        count_frame(
            positions[frame],
            order,
            kinds,
            rows,
            lattices.inverses[lattice],
            lattices.lower[lattice],
            grid_shape(lattices.heights[lattice], n_bins, len(order)),
            found,
        )
        counts += found[:, :n_bins]
        volume_counts += found[:, :n_bins] * lattices.volumes[lattice]
    return PairCounts(counts, volume_counts, len(which), float(lattices.volumes[which].sum()))


@compiled
def _count_block(
    scaled: FloatArray,
    kinds: IntArray,
    rows: IntArray,
    lattices: FloatArray,
    which: IntArray,
    slack: FloatArray,
    volumes: FloatArray,
    counts: IntArray,
    volume_counts: FloatArray,
) -> None:  # pragma: no cover
    """Adds the distances between all atoms in a block of frames to the counts.

    Args:
        scaled: (n_atoms, 3, n_frames) fractional coordinates, each atom's close together.
        kinds: (n_atoms,) species.
        rows: (n_species, n_species) the row of a pair of species.
        lattices: (n_lattices, 6) bins.
        which: (n_frames,) lattice of each frame.
        slack: (3,) bins, widening of the boxes.
        volumes: (n_frames,) Å³; empty where `volume_counts` are not wanted.
        counts: (n_pairs, lanes, n_bins + 1); the last bin takes what is too far.
        volume_counts: (n_pairs, n_bins + 1) Å³.
    """
    n_atoms, _, n_frames = scaled.shape
    lower = np.empty((6, n_frames))
    for t in range(n_frames):
        for k in range(6):
            lower[k, t] = lattices[which[t], k]
    places = np.empty((n_atoms, 3, n_frames))
    scaled_box = np.empty((n_atoms, 3, 2))
    place_box = np.empty((n_atoms, 3, 2))
    for atom in range(n_atoms):
        _place(scaled[atom], lower, places[atom])
        _bounds(scaled[atom], scaled_box[atom])
        _bounds(places[atom], place_box[atom])
    bins = np.empty(n_frames, dtype=np.int32)
    box, nowhere = np.zeros((3, 2)), np.zeros((3, n_frames))
    vector, image = np.empty((3, n_frames)), np.empty((3, n_frames))
    for i in range(n_atoms):
        for j in range(i):
            row = rows[kinds[j], kinds[i]]
            first, second = places[i], places[j]
            for k in range(3):
                box[k, 0] = place_box[i, k, 0] - place_box[j, k, 1]
                box[k, 1] = place_box[i, k, 1] - place_box[j, k, 0]
            if _is_wide(scaled_box[i], scaled_box[j]):
                _wrap(scaled[i], scaled[j], scaled_box[i], scaled_box[j], vector)
                _place(vector, lower, image)
                _bounds(image, box)
                first, second = image, nowhere
            _count_images(
                first,
                second,
                box,
                lower,
                slack,
                False,
                bins,
                counts[row],
                volumes,
                volume_counts[row],
            )
    own = np.zeros((_LANES, counts.shape[2]), dtype=np.int64)
    own_volumes = np.zeros(volume_counts.shape[1])
    for k in range(3):
        box[k, 0] = box[k, 1] = 0.0
    _count_images(nowhere, nowhere, box, lower, slack, True, bins, own, volumes, own_volumes)
    for kind in kinds:  # an atom's own images are the same for all atoms
        row = rows[kind, kind]
        for k in range(counts.shape[2]):
            volume_counts[row, k] += own_volumes[k]
            for lane in range(_LANES):
                counts[row, lane, k] += own[lane, k]


@compiled
def _follow(
    positions: NDArray[Any],
    order: IntArray,
    inverses: FloatArray,
    which: IntArray,
    scaled: FloatArray,
) -> None:  # pragma: no cover
    """Fractional coordinates: in the cell in the first frame, then near that place.

    Args:
        positions: (n_frames, n_atoms, 3) Å.
        order: (n_atoms,) the atoms in the order that is wanted.
        inverses: (n_lattices, 3, 3) 1/Å.
        which: (n_frames,) lattice of each frame.
        scaled: (n_atoms, 3, n_frames) receives the coordinates.
    """
    for t in range(len(positions)):
        inverse = inverses[which[t]]
        for i in range(len(order)):
            x = np.float64(positions[t, order[i], 0])
            y = np.float64(positions[t, order[i], 1])
            z = np.float64(positions[t, order[i], 2])
            for k in range(3):
                scaled[i, k, t] = x * inverse[0, k] + y * inverse[1, k] + z * inverse[2, k]
    for i in range(len(order)):
        for k in range(3):
            row = scaled[i, k]
            start = row[0] - floor(row[0])
            for t in range(len(row)):
                row[t] -= np.rint(row[t] - start)


@compiled
def _place(scaled: FloatArray, lower: FloatArray, places: FloatArray) -> None:  # pragma: no cover
    """Cartesian coordinates, in bins, of fractional ones: (3, n_frames) both."""
    for t in range(scaled.shape[1]):
        a, b, c = scaled[0, t], scaled[1, t], scaled[2, t]
        places[0, t] = a * lower[0, t] + b * lower[1, t] + c * lower[3, t]
        places[1, t] = b * lower[2, t] + c * lower[4, t]
        places[2, t] = c * lower[5, t]


@compiled
def _bounds(values: FloatArray, box: FloatArray) -> None:  # pragma: no cover
    """The least and the largest of each row; four at a time, since they need not wait."""
    n = values.shape[1]
    for k in range(len(values)):
        v = values[k]
        low0 = low1 = low2 = low3 = v[0]
        high0 = high1 = high2 = high3 = v[0]
        for t in range(0, n - 3, 4):
            low0, high0 = min(low0, v[t]), max(high0, v[t])
            low1, high1 = min(low1, v[t + 1]), max(high1, v[t + 1])
            low2, high2 = min(low2, v[t + 2]), max(high2, v[t + 2])
            low3, high3 = min(low3, v[t + 3]), max(high3, v[t + 3])
        for t in range(n // 4 * 4, n):
            low0, high0 = min(low0, v[t]), max(high0, v[t])
        box[k, 0] = min(min(low0, low1), min(low2, low3))
        box[k, 1] = max(max(high0, high1), max(high2, high3))


@compiled
def _is_wide(first: FloatArray, second: FloatArray) -> bool:  # pragma: no cover
    """Whether a pair's fractional vector may leave a cell that is centered on it."""
    widest = 0.0
    for k in range(3):
        widest = max(widest, first[k, 1] - first[k, 0] + second[k, 1] - second[k, 0])
    return widest > _WIDE


@compiled
def _wrap(
    first: FloatArray,
    second: FloatArray,
    first_box: FloatArray,
    second_box: FloatArray,
    vector: FloatArray,
) -> None:  # pragma: no cover
    """(3, n_frames) fractional vectors of a pair, wrapped along the axes on which they are wide."""
    for k in range(3):
        extent = first_box[k, 1] - first_box[k, 0] + second_box[k, 1] - second_box[k, 0]
        wide = 1.0 if extent > _WIDE else 0.0
        for t in range(vector.shape[1]):
            difference = first[k, t] - second[k, t]
            vector[k, t] = difference - wide * np.rint(difference)


@compiled
def _count_images(
    first: FloatArray,
    second: FloatArray,
    box: FloatArray,
    lower: FloatArray,
    slack: FloatArray,
    half: bool,
    bins: NDArray[np.int32],
    counts: IntArray,
    volumes: FloatArray,
    volume_counts: FloatArray,
) -> None:  # pragma: no cover
    """Adds the distances of one pair and all its images to the counts.

    The images are those that come within reach of the box of the pair's vectors, axis after axis:
    the lattice is triangular, so c alone decides about z, b and c about y.

    Args:
        first: (3, n_frames) places of one atom, in bins.
        second: (3, n_frames) places of the other.
        box: (3, 2) least and largest difference of the places along x, y, z.
        lower: (6, n_frames) lattice of each frame.
        slack: (3,) by which the box is widened.
        half: Only one of each two opposite lattice vectors, and not 0.
        bins: (n_frames,) scratch.
        counts: (lanes, n_bins + 1).
        volumes: (n_frames,) Å³ or empty.
        volume_counts: (n_bins + 1,) Å³.
    """
    reach = float(counts.shape[1] - 1)
    ax, bx, by = lower[0, 0], lower[1, 0], lower[2, 0]
    cx, cy, cz = lower[3, 0], lower[4, 0], lower[5, 0]
    z_low, z_high = box[2, 0] - slack[2], box[2, 1] + slack[2]
    for c in range(ceil((z_low - reach) / cz), floor((z_high + reach) / cz) + 1):
        if half and c < 0:
            continue
        y_reach = _rest(reach, z_low - c * cz, z_high - c * cz)
        y_low, y_high = box[1, 0] - slack[1] - c * cy, box[1, 1] + slack[1] - c * cy
        for b in range(ceil((y_low - y_reach) / by), floor((y_high + y_reach) / by) + 1):
            if half and c == 0 and b < 0:
                continue
            x_reach = _rest(y_reach, y_low - b * by, y_high - b * by)
            origin = c * cx + b * bx
            x_low, x_high = box[0, 0] - slack[0] - origin, box[0, 1] + slack[0] - origin
            for a in range(ceil((x_low - x_reach) / ax), floor((x_high + x_reach) / ax) + 1):
                if half and c == 0 and b == 0 and a <= 0:
                    continue
                _bins_of_image(first, second, lower, a, b, c, reach, bins)
                _count(bins, counts)
                if len(volumes):
                    for t in range(len(bins)):
                        volume_counts[bins[t]] += volumes[t]


@compiled
def _rest(reach: float, low: float, high: float) -> float:  # pragma: no cover
    """How far one can still go across, having gone to the nearest point of an interval."""
    gone = max(0.0, low, -high)
    return sqrt(max(0.0, reach * reach - gone * gone))


@compiled
def _bins_of_image(
    first: FloatArray,
    second: FloatArray,
    lower: FloatArray,
    a: float,
    b: float,
    c: float,
    reach: float,
    bins: NDArray[np.int32],
) -> None:  # pragma: no cover
    """(n_frames,) the bins of the distances from one atom to an image of the other."""
    for t in range(len(bins)):
        x = first[0, t] - second[0, t] - (a * lower[0, t] + b * lower[1, t] + c * lower[3, t])
        y = first[1, t] - second[1, t] - (b * lower[2, t] + c * lower[4, t])
        z = first[2, t] - second[2, t] - c * lower[5, t]
        r = sqrt(x * x + y * y + z * z)
        bins[t] = np.int32(r if r < reach else reach)


@compiled
def _count(bins: NDArray[np.int32], counts: IntArray) -> None:  # pragma: no cover
    """Counts bins into four histograms in turn."""
    n = len(bins) // _LANES * _LANES
    for t in range(0, n, _LANES):
        counts[0, bins[t]] += 1
        counts[1, bins[t + 1]] += 1
        counts[2, bins[t + 2]] += 1
        counts[3, bins[t + 3]] += 1
    for t in range(n, len(bins)):
        counts[0, bins[t]] += 1
