"""Jumps and paths of both sides of a comparison, and the units in which they come.

Ions are independent neither of each other nor of what they did before. A *stretch* of time of one
run, with all its ions, keeps what ions do in concert; a *track*, one ion from the begin to the end,
keeps where it was and where it returns to; a *cell*, one ion in one stretch, keeps neither. What an
ion does in a window of time is a *path*.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from mdbench.analysis.jumps import IntArray, Jumps
from mdbench.analysis.msd import FloatArray

BoolArray = NDArray[np.bool_]

#: Stretches that the side with less data is cut into.
_N_STRETCHES = 8
#: Jumps that an ion makes in a window, mean over both sides.
_JUMPS_PER_WINDOW = 2.0
_ENDS = ("origin", "target")


@dataclass(frozen=True)
class Units:
    """What floors exchange between the sides, and intervals leave out.

    Attributes:
        of_jump: (n_jumps,) the unit that a jump belongs to.
        is_model: (n_units,) whether it is one of the model.
        exposure_ps: (n_units,) ps, summed over ions.
    """

    of_jump: IntArray
    is_model: BoolArray
    exposure_ps: FloatArray

    @property
    def n(self) -> int:
        """Number of units."""
        return len(self.is_model)


@dataclass(frozen=True)
class _Cut:
    """How runs are cut.

    Attributes:
        n_stretches: (n_runs,) stretches of each run.
        n_parts: (n_runs,) parts of each run that are tracks.
        n_windows: Windows of a stretch.
        window_ps: Mean length of a window.
    """

    n_stretches: IntArray
    n_parts: IntArray
    n_windows: int
    window_ps: float


@dataclass(frozen=True)
class Events:
    """The jumps of all runs, those of the model first; in a run in the order of ions, then of time.

    Attributes:
        pair: (n_jumps,) index of the directed pair of sites with the lattice vectors between them.
        origin: (n_jumps,) site.
        target: (n_jumps,) site.
        path: (n_jumps,) index of the path.
        is_model: (n_jumps,) whether it is one of the model.
        stretches: Stretches of time.
        tracks: Ions.
        cells: Ions in stretches of time: each forgets what the ion did and what others do.
        n_runs: Number of runs, or of the parts of them that are tracks.
        window_ps: Length of a window, mean over the runs.
    """

    pair: IntArray
    origin: IntArray
    target: IntArray
    path: IntArray
    is_model: BoolArray
    stretches: Units
    tracks: Units
    cells: Units
    n_runs: int
    window_ps: float

    @property
    def n_jumps(self) -> int:
        """Number of jumps."""
        return len(self.pair)

    @property
    def starts(self) -> IntArray:
        """(n_paths,) index of the first jump of each path."""
        return np.flatnonzero(np.diff(self.path, prepend=-1))


def events(
    model: Sequence[Jumps], reference: Sequence[Jumps], window_ps: float | None = None
) -> Events:
    """The jumps of both sides, with their units and paths.

    Stretches are of about equal length: an eighth of all runs of the side that has less data, or a
    whole run where that is shorter. Tracks are whole runs, or parts of them where the runs of the
    other side are shorter. Windows divide stretches.

    Args:
        model: Runs of the model.
        reference: Runs of the reference.
        window_ps: About how long windows are; by default the time in which an ion makes two jumps,
            mean over both sides.
    """
    runs = (*model, *reference)
    of_model = np.arange(len(runs)) < len(model)
    cut = _cut(runs, of_model, window_ps)
    n_windows = cut.n_windows
    stretch, track, cell, place = [], [], [], []
    first_stretch = first_track = first_cell = 0
    for number, run in enumerate(runs):
        cuts, parts = int(cut.n_stretches[number]), int(cut.n_parts[number])
        window = run.frame * (cuts * n_windows) // run.n_frames
        stretch.append(first_stretch + window // n_windows)
        track.append(first_track + run.ion * parts + run.frame * parts // run.n_frames)
        cell.append(first_cell + run.ion * cuts + window // n_windows)
        place.append((first_cell + run.ion * cuts) * n_windows + window)
        first_stretch += cuts
        first_track += parts * run.n_ions
        first_cell += cuts * run.n_ions
    n_ions = np.array([run.n_ions for run in runs])
    exposures = np.array([run.exposure_ps for run in runs])
    origin, target = (np.concatenate([getattr(r, name) for r in runs]) for name in _ENDS)
    shift = np.concatenate([run.shift for run in runs])
    return Events(
        pair=_numbered(np.column_stack([origin, target, shift])),
        origin=origin,
        target=target,
        path=_numbered(np.concatenate(place)[:, None]),
        is_model=np.repeat(of_model, [run.n for run in runs]),
        stretches=_units(stretch, cut.n_stretches, of_model, exposures),
        tracks=_units(track, cut.n_parts * n_ions, of_model, exposures),
        cells=_units(cell, cut.n_stretches * n_ions, of_model, exposures),
        n_runs=int(cut.n_parts.sum()),
        window_ps=cut.window_ps,
    )


def whole_paths(happened: Events) -> IntArray:
    """(n_jumps,) index of what its path is: equal where all pairs are the same, in their order."""
    return _sequences(happened.pair, happened.starts)[happened.path]


def site_sets(happened: Events, n_sites: int) -> tuple[IntArray, csr_array]:
    """The sites that each path visits, those that it starts from among them.

    Args:
        happened: Jumps.
        n_sites: Number of sites.

    Returns:
        (n_paths,) index of the set of each path; (n_sets, n_sites) 1 where a set holds a site.
    """
    n_paths = len(happened.starts)
    visits = np.concatenate([happened.path, happened.path]) * n_sites
    visits += np.concatenate([happened.origin, happened.target])
    path, site = np.divmod(np.unique(visits), n_sites)
    kind = _sequences(site, np.searchsorted(path, np.arange(n_paths)))
    shape = int(kind.max(initial=-1)) + 1, n_sites
    example = np.zeros(shape[0], dtype=np.int64)
    example[kind] = np.arange(n_paths)
    listed = np.flatnonzero(example[kind[path]] == path)
    return kind, counted(kind[path[listed]], site[listed], shape)


def counted(rows: IntArray, columns: IntArray, shape: tuple[int, int]) -> csr_array:
    """How often each row comes with each column."""
    counts = csr_array((np.ones(len(rows)), (rows, columns)), shape)
    counts.sum_duplicates()
    return counts


def _cut(runs: Sequence[Jumps], of_model: BoolArray, window_ps: float | None) -> _Cut:
    """As `events` says."""
    lengths = np.array([run.length_ps for run in runs])
    sides = lengths[of_model], lengths[~of_model]
    stretch_ps = min(side.sum() for side in sides) / _N_STRETCHES
    n_stretches = np.clip(np.rint(lengths / stretch_ps), 1, [run.n_frames for run in runs])
    n_parts = np.clip(np.rint(lengths / min(side.max() for side in sides)), 1, None)
    stretch_ps = float(lengths.sum() / n_stretches.sum())
    n_windows = max(1, round(stretch_ps / (window_ps or _window_ps(runs, stretch_ps))))
    return _Cut(
        n_stretches=n_stretches.astype(np.int64),
        n_parts=n_parts.astype(np.int64),
        n_windows=n_windows,
        window_ps=stretch_ps / n_windows,
    )


def _window_ps(runs: Sequence[Jumps], longest_ps: float) -> float:
    """Time, ps, in which an ion makes two jumps, mean over both sides.

    The reference alone would do, were it not for chance: one that has few jumps would make windows
    long for itself and too long for a perfect model, which no deal shows.
    """
    n_jumps = sum(run.n for run in runs)
    exposure = sum(run.exposure_ps for run in runs)
    return _JUMPS_PER_WINDOW * exposure / n_jumps if n_jumps else longest_ps


def _units(
    of_jump: Sequence[IntArray], per_run: IntArray, of_model: BoolArray, exposures_ps: FloatArray
) -> Units:
    """From the units of the jumps of each run, and how many units each has."""
    return Units(
        of_jump=np.concatenate(of_jump),
        is_model=np.repeat(of_model, per_run),
        exposure_ps=np.repeat(exposures_ps / per_run, per_run),
    )


def _sequences(values: IntArray, starts: IntArray) -> IntArray:
    """(n,) index of each of n sequences, one after another in `values`: the same for equal ones."""
    lengths = np.diff(starts, append=len(values))
    indices = np.zeros(len(starts), dtype=np.int64)
    used = 0
    for length in np.unique(lengths):
        alike = np.flatnonzero(lengths == length)
        indices[alike] = used + _numbered(values[starts[alike, None] + np.arange(length)])
        used = int(indices[alike].max()) + 1
    return indices


def _numbered(rows: IntArray) -> IntArray:
    """(n,) index of each of n rows among the different ones."""
    index = np.zeros(len(rows), dtype=np.int64)
    for column in rows.T:
        low, high = (int(column.min()), int(column.max())) if len(column) else (0, 0)
        index = np.unique(index * (high - low + 1) + column - low, return_inverse=True)[1]
    return index
