"""What every way of counting pairs shares: the bins, the order of species pairs, the lattices."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mdbench.errors import InputError
from mdbench.trajectory import check_cells

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: More periodic images than this of a single pair within r_max are a mistake, not a question.
MOST_IMAGES = 1e7


@dataclass(frozen=True)
class PairCounts:
    """Distances between pairs of atoms, all periodic images, summed over frames.

    Each unordered pair is counted once, an atom with its own image at n or −n included. Bin k
    holds the distances of k·dr ≤ r < (k + 1)·dr, as float64 rounds r/dr.

    Attributes:
        counts: (n_pairs, n_bins), one row for each unordered pair of species in the order of
            `species_pairs`.
        volume_counts: (n_pairs, n_bins) Å³, the same with each frame's counts times its volume.
        n_frames: Number of frames.
        volume_sum: Sum of the frames' volumes, Å³.
    """

    counts: IntArray
    volume_counts: FloatArray
    n_frames: int
    volume_sum: float

    def __add__(self, other: PairCounts) -> PairCounts:
        return PairCounts(
            self.counts + other.counts,
            self.volume_counts + other.volume_counts,
            self.n_frames + other.n_frames,
            self.volume_sum + other.volume_sum,
        )


@dataclass(frozen=True)
class Lattices:
    """The lattices of all frames, equal neighbors stored once.

    Attributes:
        which: (n_frames,) which lattice a frame has.
        inverses: (n_lattices, 3, 3) 1/Å, fractional = Cartesian @ inverse.
        lower: (n_lattices, 6) the lattice vectors (x, 0, 0), (x, y, 0), (x, y, z) after a
            rotation, one after the other without their zeros, in units of the bin width.
        heights: (n_lattices, 3) distances between lattice planes, in units of the bin width.
        volumes: (n_lattices,) Å³.
    """

    which: IntArray
    inverses: FloatArray
    lower: FloatArray
    heights: FloatArray
    volumes: FloatArray

    @classmethod
    def from_cells(cls, cells: ArrayLike, dr: float) -> Lattices:
        """The lattices of (n_frames, 3, 3) cells in Å."""
        cells = np.asarray(cells)
        first = np.ones(len(cells), dtype=bool)
        first[1:] = (cells[1:] != cells[:-1]).any(axis=(1, 2))
        starts = np.flatnonzero(first)
        distinct = cells[starts].astype(np.float64)
        infinite = np.flatnonzero(~np.isfinite(distinct).all(axis=(1, 2)))
        if infinite.size:
            frame = starts[infinite[0]]
            raise InputError(f"frame {frame}: cell", expected="finite", found="NaN or inf")
        lengths = np.linalg.norm(distinct, axis=2)
        volumes = np.abs(np.linalg.det(distinct))
        bad = np.flatnonzero(volumes <= 1e-6 * lengths.prod(axis=1))
        if bad.size:
            check_cells(distinct[bad[:1]], first_frame=int(starts[bad[0]]))
        inverses = np.linalg.inv(distinct)
        metric = np.linalg.cholesky(distinct @ distinct.swapaxes(1, 2))
        return cls(
            which=np.cumsum(first) - 1,
            inverses=np.asarray(inverses, dtype=np.float64),
            lower=np.ascontiguousarray(metric[:, *np.tril_indices(3)]) / dr,
            heights=1.0 / np.linalg.norm(inverses, axis=1) / dr,
            volumes=volumes,
        )


def bin_count(r_max: float, dr: float) -> int:
    """How many whole bins of width dr lie below r_max."""
    return int(r_max / dr + 1e-9)


def species_pairs(n_species: int) -> list[tuple[int, int]]:
    """Unordered pairs of species in the order of the rows of `PairCounts`."""
    return list(combinations_with_replacement(range(n_species), 2))


def pair_index(n_species: int) -> IntArray:
    """(n_species, n_species) the row of a pair of species, in either order."""
    table = np.empty((n_species, n_species), dtype=np.int64)
    for row, (a, b) in enumerate(species_pairs(n_species)):
        table[a, b] = table[b, a] = row
    return table


def check_frames(
    shape: tuple[int, ...],
    cells: NDArray[Any],
    species: NDArray[Any],
    r_max: float,
    dr: float,
    pbc: ArrayLike,
) -> Lattices:
    """The lattices of frames whose pairs can be counted.

    Args:
        shape: Of the positions, (n_frames, n_atoms, 3).
        cells: (n_frames, 3, 3) Å.
        species: (n_atoms,) integers from 0.
        r_max: Largest distance, Å.
        dr: Bin width, Å.
        pbc: Which lattice vectors are periodic.

    Raises:
        InputError: No frames, shapes that do not fit, directions without periodic boundary,
            a lattice without volume, senseless bins.
    """
    if len(shape) != 3 or shape[2] != 3:
        raise InputError("positions", expected="(frames, atoms, 3)", found=shape)
    n_frames, n_atoms, _ = shape
    if n_frames == 0:
        raise InputError("pair distances", expected="at least one frame", found="none")
    if cells.shape != (n_frames, 3, 3):
        raise InputError("cells", expected=f"shape {(n_frames, 3, 3)}", found=cells.shape)
    if species.shape != (n_atoms,) or n_atoms == 0:
        raise InputError("species", expected=f"one of each of {n_atoms} atoms", found=species.shape)
    if not np.all(np.asarray(pbc, dtype=bool)):
        raise InputError(
            "g(r)",
            expected="a cell that is periodic in all three directions",
            found=f"pbc {np.asarray(pbc).astype(bool).tolist()}",
            remedy="g(r) has no volume to refer to without one",
        )
    if species.dtype.kind not in "iu" or species.min() < 0:
        raise InputError("species", expected="integers from 0", found=species.dtype)
    _check_bins(r_max, dr)
    lattices = Lattices.from_cells(cells, dr)
    images = 4.0 / 3.0 * math.pi * r_max**3 / float(lattices.volumes.min())
    if images > MOST_IMAGES:
        raise InputError(
            f"r_max {r_max:g} A",
            expected=f"at most {MOST_IMAGES:.0e} periodic images of a pair within r_max",
            found=f"about {images:.1e} in a cell of {lattices.volumes.min():.4g} A^3",
            remedy="lower r_max",
        )
    return lattices


def check_finite(positions: NDArray[Any], first_frame: int) -> None:
    """Refuses positions that are not finite, naming frame and atom."""
    if not np.isfinite(positions).all():
        frame, atom, _ = np.argwhere(~np.isfinite(positions))[0]
        raise InputError(
            f"frame {first_frame + frame}, atom {atom}: position",
            expected="finite",
            found="NaN or inf",
        )


def _check_bins(r_max: float, dr: float) -> None:
    if not (math.isfinite(dr) and dr > 0):
        raise InputError("dr", expected="a bin width above 0 A", found=f"{dr:g}")
    if not (math.isfinite(r_max) and bin_count(r_max, dr) >= 1):
        raise InputError("r_max", expected=f"at least one bin of {dr:g} A", found=f"{r_max:g}")
    if r_max / dr > MOST_IMAGES:
        raise InputError("dr", expected=f"at most {MOST_IMAGES:.0e} bins", found=f"{r_max / dr:g}")
