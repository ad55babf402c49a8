"""A run as analyses read it: a trajectory file, or a trajectory that is in memory already."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from mdbench.store import frames_per_block
from mdbench.trajectory import Provenance, Trajectory

#: What a trajectory may have beside positions and cells.
_FIELDS = ("velocities", "forces", "energies", "stresses")


class OpenRun(Protocol):
    """What analyses ask a run for, as `store.TrajectoryFile` has it."""

    path: Path
    n_frames: int
    n_atoms: int
    atomic_numbers: NDArray[Any]
    times_ps: NDArray[Any]
    pbc: NDArray[Any]
    provenance: Provenance

    @property
    def frame_interval_fs(self) -> float | None:
        """Time between frames, fs; None for one frame or without a time axis."""

    def blocks(
        self,
        start: int = 0,
        stop: int | None = None,
        *,
        stride: int = 1,
        fields: Sequence[str] | None = None,
    ) -> Iterator[Trajectory]:
        """Yields the frames of a range in blocks of bounded size."""


#: Opens a run by its path.
Opener = Callable[[Path], AbstractContextManager[OpenRun]]


class LoadedRun:
    """A trajectory in memory in place of its file: analyses get the same blocks of frames.

    Attributes:
        path: What errors call it.
        n_frames, n_atoms, atomic_numbers, times_ps, pbc, provenance: Of the trajectory.
    """

    def __init__(self, trajectory: Trajectory, name: str) -> None:
        self.path = Path(name)
        self._trajectory = trajectory
        self.n_frames, self.n_atoms = trajectory.n_frames, trajectory.n_atoms
        self.atomic_numbers = trajectory.atomic_numbers
        self.times_ps, self.pbc = trajectory.times_ps, trajectory.pbc
        self.provenance = trajectory.provenance

    @property
    def frame_interval_fs(self) -> float | None:
        """Time between frames, fs; None for one frame or without a time axis."""
        return self._trajectory.frame_interval_fs

    def blocks(
        self,
        start: int = 0,
        stop: int | None = None,
        *,
        stride: int = 1,
        fields: Sequence[str] | None = None,
    ) -> Iterator[Trajectory]:
        """Yields the frames of a range in the blocks that its file would be read in.

        Args:
            start: First frame.
            stop: Frame after the last; the end by default.
            stride: Every how many frames.
            fields: What to give beside positions and cells; all that is there by default.
        """
        first, last, _ = slice(start, stop).indices(self.n_frames)
        size = frames_per_block(self.n_atoms, stride)
        dropped: dict[str, Any] = {}
        if fields is not None:
            dropped = {name: None for name in _FIELDS if name not in fields}
        whole = dataclasses.replace(self._trajectory, **dropped)
        for begin in range(first, last, size):
            yield whole[begin : min(begin + size, last) : stride]
