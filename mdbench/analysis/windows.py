"""What a run does in each picosecond: contacts of atoms, where its center is, how it vibrates.

Collected from blocks of frames in bounded memory; `failures` judges. Windows are 1 ps long. From
1024 windows on, neighbors are joined: the windows of a run of 2 ns are 2 ps long.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial, reduce
from itertools import groupby
from operator import add
from typing import Any

import numpy as np
from ase.data import atomic_masses, chemical_symbols
from ase.geometry import minkowski_reduce
from numpy.typing import ArrayLike, NDArray

from mdbench.analysis.mobile import framework, mobile_species
from mdbench.analysis.pair_counts import count_pairs
from mdbench.analysis.pairs import FloatArray, IntArray, PairCounts, bin_count, species_pairs
from mdbench.analysis.rdf import PairHistogram, RadialDistribution
from mdbench.trajectory import Trajectory

#: Length of a window, ps, and most windows of a run.
_WINDOW_PS, _MOST_WINDOWS = 1.0, 1024


@dataclass(frozen=True)
class Approach:
    """Two atoms that came nearer than any of their species before in the run.

    Attributes:
        time_ps: When.
        distance: Å.
        atoms: Which two.
    """

    time_ps: float
    distance: float
    atoms: tuple[int, int]


@dataclass(frozen=True)
class RunWindows:
    """A run in windows of time; W of them, none where a run ended too early.

    Distances and displacements are those of the first frame's cell: where the cell changes, they
    are taken in fractional coordinates. Displacements of the framework are relative to the mean
    of all framework atoms, so that a drift of the cell is not among them.

    Attributes:
        atomic_numbers: (n_atoms,).
        framework: (n_framework,) indices of the atoms that are not mobile.
        mobile: Symbol of the mobile species; None where there is none.
        r_max: Å, largest distance that is counted.
        dr: Å, bin width.
        window_ps: Length of a window, ps.
        start_ps: (W,) ps, time of the first frame of each window.
        end_ps: Time of the last frame, ps.
        time_axis: Whether the frames are a time series.
        n_frames: (W,) number of frames.
        counts: (W, n_pairs, n_bins) as `PairCounts.counts`.
        total: Counts of all windows; None without frames.
        drift: (W,) Å, farthest distance in the window of the mass-weighted center of all atoms
            from where it was in the first frame.
        origin: (n_framework, 3) Å, positions in the first frame.
        cell: (3, 3) Å, of the first frame.
        moved: (W, n_framework, 3) Å, displacements from `origin`, summed over frames.
        squares: (W, n_framework) Å², their squares, summed over frames.
        paths: (n_mobile, 3, W) Å, mean displacements of the mobile ions in each window, relative
            to the mean of the framework; no ions where all atoms are of one element.
        approaches: By pair such as "Li-S": each nearer than the one before, to the bin width.
        end_reason: Why the run ended early, as "exploded: temperature of 1e6 K".
    """

    atomic_numbers: IntArray
    framework: IntArray
    mobile: str | None
    r_max: float
    dr: float
    window_ps: float
    start_ps: FloatArray
    end_ps: float
    time_axis: bool
    n_frames: IntArray
    counts: IntArray
    total: PairCounts | None
    drift: FloatArray
    origin: FloatArray
    cell: FloatArray
    moved: FloatArray
    squares: FloatArray
    paths: FloatArray
    approaches: dict[str, tuple[Approach, ...]]
    end_reason: str | None

    @property
    def elements(self) -> tuple[str, ...]:
        """Symbols of the elements in alphabetical order."""
        return tuple(sorted({chemical_symbols[z] for z in self.atomic_numbers}))

    @property
    def pairs(self) -> tuple[str, ...]:
        """Names of the pairs of species in the order of the counts."""
        names = self.elements
        return tuple(f"{names[a]}-{names[b]}" for a, b in species_pairs(len(names)))

    @property
    def length_ps(self) -> float:
        """Time from the first frame to the last, ps; 0 without frames."""
        return float(self.end_ps - self.start_ps[0]) if len(self.start_ps) else 0.0

    def distribution(self) -> RadialDistribution:
        """g(r) of all frames."""
        histogram = PairHistogram(self.atomic_numbers, self.r_max, self.dr)
        histogram.counts = self.total
        return histogram.result()

    def mean_positions(self) -> FloatArray:
        """(n_framework, 3) Å, mean positions of the framework's atoms, drift removed."""
        return np.asarray(self.origin + self.moved.sum(axis=0) / self.n_frames.sum())


@dataclass(frozen=True)
class _FirstFrame:
    time_ps: float
    positions: FloatArray
    cell: FloatArray


@dataclass(frozen=True)
class _Window:
    index: int
    start_ps: float
    counts: PairCounts
    drift: float
    moved: FloatArray
    squares: FloatArray
    ions: FloatArray

    def __add__(self, other: _Window) -> _Window:
        return _Window(
            self.index,
            self.start_ps,
            self.counts + other.counts,
            max(self.drift, other.drift),
            self.moved + other.moved,
            self.squares + other.squares,
            self.ions + other.ions,
        )


class WindowedRun:
    """Collects, block after block, the windows of a run after its equilibration.

    Args:
        atomic_numbers: (n_atoms,).
        r_max: Largest distance to count, Å.
        dr: Bin width, Å.
        mobile: Symbol of the mobile species; by default the first usual one that is present.
        threads: Threads that share the frames of a window.
        count: What counts instead of `pair_counts.count_pairs`.
    """

    def __init__(
        self,
        atomic_numbers: ArrayLike,
        r_max: float,
        dr: float,
        *,
        mobile: str | None = None,
        threads: int = 1,
        count: Callable[..., PairCounts] | None = None,
    ) -> None:
        self._numbers = np.asarray(atomic_numbers)
        symbols = np.array([chemical_symbols[z] for z in self._numbers])
        self._elements, self._species = np.unique(symbols, return_inverse=True)
        self._pairs = species_pairs(len(self._elements))
        self.r_max, self.dr = float(r_max), float(dr)
        self.mobile = mobile_species(self._numbers, mobile)
        self._framework = framework(self._numbers, self.mobile)
        self._ions = np.setdiff1d(np.arange(len(self._numbers)), self._framework)
        self._masses = atomic_masses[self._numbers]
        self._count = count or partial(count_pairs, threads=threads)
        self._windows: list[_Window] = []
        self._window_ps = _WINDOW_PS
        self._first: _FirstFrame | None = None
        self._end_ps = 0.0
        self._approaches: list[list[Approach]] = [[] for _ in self._pairs]

    def add(self, block: Trajectory) -> None:
        """Takes the next frames of the run, unwrapped."""
        if not block.n_frames:
            return
        if self._first is None:
            self._first = _FirstFrame(
                float(block.times_ps[0]),
                block.positions[0].astype(np.float64),
                block.cells[0].copy(),
            )
        start = 0
        while start < block.n_frames:
            elapsed = block.times_ps[start:] - self._first.time_ps
            index = (elapsed / self._window_ps + 1e-6).astype(np.int64)
            n = int((index == index[0]).argmin()) or len(index)
            self._append(self._measure(block[start : start + n], int(index[0])))
            start += n
        self._end_ps = float(block.times_ps[-1])

    def _append(self, part: _Window) -> None:
        if self._windows and self._windows[-1].index == part.index:
            self._windows[-1] += part
        else:
            self._windows.append(part)
        if len(self._windows) > _MOST_WINDOWS:
            self._window_ps *= 2.0
            self._windows = [
                _joined(index, list(group))
                for index, group in groupby(self._windows, key=lambda w: w.index // 2)
            ]

    def _measure(self, part: Trajectory, index: int) -> _Window:
        assert self._first is not None
        counts = self._count(
            part.positions, part.cells, self._species, self.r_max, self.dr, pbc=part.pbc
        )
        self._watch_approaches(part, counts)
        moved = _in_cell(part, self._first.cell) - self._first.positions  # (F, A, 3) Å
        center = np.einsum("fai,a->fi", moved, self._masses / self._masses.sum())
        inner = moved[:, self._framework]
        drift = inner.mean(axis=1, keepdims=True)
        inner -= drift
        return _Window(
            index=index,
            start_ps=float(part.times_ps[0]),
            counts=counts,
            drift=float(np.linalg.norm(center, axis=1).max()),
            moved=inner.sum(axis=0),
            squares=np.einsum("fai,fai->a", inner, inner),
            ions=(moved[:, self._ions] - drift).sum(axis=0),
        )

    def _watch_approaches(self, part: Trajectory, counts: PairCounts) -> None:
        """Finds the atoms behind the shortest distances, where these are shorter than ever."""
        for row, (a, b) in enumerate(self._pairs):
            occupied = np.flatnonzero(counts.counts[row])
            if not occupied.size:
                continue
            known = self._approaches[row]
            if not known or (occupied[0] + 1) * self.dr <= known[-1].distance:
                known.append(self._approach(part, a, b, int(occupied[0])))

    def _approach(self, part: Trajectory, a: int, b: int, lowest: int) -> Approach:
        """The first frame of the lowest bin, by bisection, and its two nearest atoms."""
        atoms = np.flatnonzero(np.isin(self._species, (a, b)))
        kinds = np.unique(self._species[atoms], return_inverse=True)[1]
        row = 0 if a == b else 1
        low, high = 0, part.n_frames
        while high - low > 1:
            middle = (low + high) // 2
            found = self._count(
                part.positions[low:middle, atoms],
                part.cells[low:middle],
                kinds,
                (lowest + 1) * self.dr,
                self.dr,
                pbc=part.pbc,
            )
            low, high = (low, middle) if found.counts[row].any() else (middle, high)
        ones, others = (np.flatnonzero(self._species == kind) for kind in (a, b))
        frame = part.positions[low].astype(np.float64)
        distances, nearest = nearest_atoms(frame[ones], frame[others], part.cells[low], same=a == b)
        one = int(distances.argmin())
        return Approach(
            time_ps=float(part.times_ps[low]),
            distance=float(distances[one]),
            atoms=(int(ones[one]), int(others[nearest[one]])),
        )

    def result(self, *, end_reason: str | None = None, end_ps: float | None = None) -> RunWindows:
        """The windows so far.

        Args:
            end_reason: Why the run ended early, as its `Provenance` says.
            end_ps: When the run ended, ps; by default the last frame.
        """
        windows, n_windows = self._windows, len(self._windows)
        shape = (n_windows, len(self._framework))
        bins = (n_windows, len(self._pairs), bin_count(self.r_max, self.dr))
        first = self._first or _FirstFrame(0.0, np.zeros((len(self._numbers), 3)), np.eye(3))
        return RunWindows(
            atomic_numbers=self._numbers,
            framework=self._framework,
            mobile=self.mobile,
            r_max=self.r_max,
            dr=self.dr,
            window_ps=self._window_ps,
            start_ps=np.array([w.start_ps for w in windows]),
            end_ps=self._end_ps if end_ps is None else end_ps,
            time_axis=self._end_ps > first.time_ps,
            n_frames=np.array([w.counts.n_frames for w in windows], dtype=np.int64),
            counts=np.array([w.counts.counts for w in windows], dtype=np.int64).reshape(bins),
            total=reduce(add, (w.counts for w in windows)) if windows else None,
            drift=np.array([w.drift for w in windows]),
            origin=first.positions[self._framework],
            cell=first.cell,
            moved=np.array([w.moved for w in windows]).reshape(*shape, 3),
            squares=np.array([w.squares for w in windows]).reshape(shape),
            paths=np.array([w.ions / w.counts.n_frames for w in windows])
            .reshape(n_windows, len(self._ions), 3)
            .transpose(1, 2, 0),
            approaches={
                f"{self._elements[a]}-{self._elements[b]}": tuple(known)
                for (a, b), known in zip(self._pairs, self._approaches, strict=True)
            },
            end_reason=end_reason,
        )


def nearest_atoms(
    points: FloatArray, others: FloatArray, cell: ArrayLike, *, same: bool
) -> tuple[FloatArray, IntArray]:
    """(n,) Å and (n,) the distance of each point to the nearest of the others, and which it is.

    All periodic images count, a point's own images with them.

    Args:
        points: (n, 3) Å.
        others: (m, 3) Å.
        cell: (3, 3) Å, periodic along all three vectors.
        same: The others are the points: no point is its own neighbor.
    """
    from scipy.spatial import cKDTree

    reduced, _ = minkowski_reduce(np.asarray(cell, dtype=np.float64))
    inverse = np.linalg.inv(reduced)
    # In a reduced cell the nearest image of a wrapped point is in the cells next to it.
    shifts = np.stack(np.meshgrid(*[(0, -1, 1)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    wrapped = [x @ inverse - np.floor(x @ inverse) for x in (points, others)]
    images = (shifts[:, None] + wrapped[1]).reshape(-1, 3) @ reduced
    distances, indices = cKDTree(images).query(wrapped[0] @ reduced, k=2 if same else [1])
    column = np.zeros(len(points), dtype=np.int64)
    if same:  # the first images are the points themselves
        column += indices[:, 0] == np.arange(len(points))
    rows = np.arange(len(points))
    return distances[rows, column], indices[rows, column] % len(others)


def _in_cell(part: Trajectory, cell: FloatArray) -> NDArray[Any]:
    """(n_frames, n_atoms, 3) Å, the fractional coordinates of each frame in one cell."""
    positions = part.positions.astype(np.float64)
    if (part.cells == cell).all():
        return positions
    return np.asarray(positions @ (np.linalg.inv(part.cells) @ cell))


def _joined(index: int, windows: list[_Window]) -> _Window:
    return replace(reduce(add, windows), index=index)
