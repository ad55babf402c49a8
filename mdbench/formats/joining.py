"""The sources of one run, in order, as one unwrapped time series."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Iterator
from contextlib import closing
from itertools import chain, pairwise, repeat
from typing import Any

import numpy as np
from ase.data import chemical_symbols
from numpy.typing import NDArray

from mdbench.errors import InputError
from mdbench.formats.base import Frames, Header, Source
from mdbench.trajectory import Trajectory, Unwrapper, check_cells
from mdbench.units import FS_IN_PS

FloatArray = NDArray[np.float64]
Steps = NDArray[np.int64]

#: What the user states and what a file says may differ by this share.
_AGREE = 1e-3
#: Coordinates of a frame that a restart writes once more (Å, or fractional).
_SAME_PLACE = 1e-6
#: Nothing in a file is larger than this (Å, eV, Å/fs, counters) unless it is damaged.
_LARGEST = 1e15


class JoinedRun:
    """Puts a run together from its sources, block after block.

    Args:
        frame_interval_fs: As the user states it; 0 for frames without a time axis.
        timestep_fs: As the user states it.
        temperature_k: As the user states it.
        force: What the user states wins where a file contradicts it.

    Attributes:
        header: Of the first source, once it was read.
        interval_fs: Time between frames; None for a single frame or without a time axis.
        notes: What was dropped, one sentence each.
        n_frames: Frames so far.
    """

    def __init__(
        self,
        *,
        frame_interval_fs: float | None = None,
        timestep_fs: float | None = None,
        temperature_k: float | None = None,
        force: bool = False,
    ) -> None:
        self.header: Header
        self.interval_fs: float | None = None
        self.notes: list[str] = []
        self.n_frames = 0
        self.time_axis = frame_interval_fs != 0
        self._stated_interval = frame_interval_fs
        self._stated_timestep = timestep_fs
        self._stated_temperature = temperature_k
        self._force = force
        self._unwrapper: Unwrapper
        self._last: Frames | None = None
        self._last_scaled = False
        self._last_time = 0.0
        self._clock_zero = 0.0

    @property
    def largest_step(self) -> float:
        """Largest displacement between frames, as a share of half the shortest lattice vector."""
        return self._unwrapper.largest_step

    @property
    def unwrapped_by(self) -> str:
        """How atoms were followed across the boundaries."""
        if not self.time_axis:
            return "not a time series"
        return "as stored" if self.header.unwrapped else "minimum image"

    def blocks(self, source: Source) -> Generator[tuple[Trajectory, Steps | None]]:
        """Yields the frames of the next source, with their MD step counters where known."""
        header = source.header
        with closing(source.blocks):
            first, blocks = _first_two_frames(_quietly(source.blocks))
            self._join(source, first)
            for new_source, stated in zip(chain([True], repeat(False)), blocks, strict=False):
                check_cells(stated.cells, first_frame=self.n_frames)
                _check_numbers(stated, self.n_frames)
                frames = self._without_repeats(header, stated, new_source)
                if frames.n_frames:
                    times = self._times(header, frames, new_source)
                    positions = self._positions(header, frames)
                    yield _trajectory(header, frames, positions, times), frames.steps
                    self.n_frames += frames.n_frames
                self._last, self._last_scaled = _last_frame(stated), header.scaled
        self.notes.extend(f"{source.path.name}: {note}" for note in source.notes)

    def _join(self, source: Source, first: Frames) -> None:
        """Checks that a source goes on where the one before ended, and settles its time axis."""
        header = source.header
        if self._last is None:
            self.header = header
            self._unwrapper = Unwrapper(header.pbc)
        elif not np.array_equal(header.atomic_numbers, self.header.atomic_numbers):
            raise InputError(
                "other atoms than in the source before",
                expected=_composition(self.header.atomic_numbers),
                found=_composition(header.atomic_numbers),
                remedy="the sources of one run hold the same atoms in the same order",
            )
        elif header.scaled != self._last_scaled:
            self._last = _in_other_coordinates(self._last, scaled=header.scaled)
        self._agree("--timestep-fs", self._stated_timestep, header.timestep_fs, "fs")
        self._agree("--temperature", self._stated_temperature, header.temperature_k, "K")
        if self.time_axis:
            self._settle_interval(source, first)

    def _settle_interval(self, source: Source, first: Frames) -> None:
        header, before = source.header, self.interval_fs
        own = self._own_interval(header, first) if header.time_axis else None
        if own is not None and own <= 0:
            raise InputError("time between the first two frames", expected="above 0 fs", found=own)
        self._agree("--frame-interval-fs", self._stated_interval, own, "fs")
        interval = self._stated_interval or own or (before if header.time_axis else None)
        if interval is None and (first.n_frames > 1 or self._last is not None):
            if not header.time_axis:
                raise InputError(
                    f"not a time series: {header.no_time_reason}",
                    remedy="--frame-interval-fs 0 stores the frames without a time axis",
                )
            by_steps = "" if first.steps is None else " or --timestep-fs"
            raise InputError(
                f"{source.format} does not say how far apart in time its frames are",
                remedy="give --frame-interval-fs (timestep x steps between frames)" + by_steps,
            )
        if before and interval and abs(interval / before - 1) > _AGREE:
            raise InputError(
                "frames further apart or closer than in the source before",
                expected=f"{before:g} fs",
                found=f"{interval:g} fs",
                remedy="ingest these runs apart",
            )
        self.interval_fs = interval

    def _own_interval(self, header: Header, first: Frames) -> float | None:
        if first.n_frames == 1 and self.interval_fs is None and self._last is not None:
            first = _concatenate(self._last, first)  # a file for each frame
        clock = self._clock_fs(first, header)
        if clock is not None and len(clock) > 1:
            return float(np.median(np.diff(clock)))
        return header.frame_interval_fs

    def _agree(self, flag: str, stated: float | None, own: float | None, unit: str) -> None:
        if not stated or own is None or abs(stated - own) <= _AGREE * abs(own):
            return
        message = f"{flag} {stated:g} {unit} contradicts the file, which says {own:g} {unit}"
        if not self._force:
            raise InputError(message, remedy="--force if the file is wrong")
        if message not in self.notes:
            self.notes.append(message)

    def _clock_fs(self, frames: Frames, header: Header) -> FloatArray | None:
        """(n_frames,) fs, the source's own times."""
        if frames.times_fs is not None:
            return frames.times_fs
        timestep = self._stated_timestep or header.timestep_fs
        if frames.steps is not None and timestep is not None:
            return np.asarray(frames.steps * timestep, dtype=np.float64)
        return None

    def _times(self, header: Header, frames: Frames, new_source: bool) -> FloatArray:
        """(n_frames,) fs since the first frame of the run."""
        if not self.time_axis:
            return np.zeros(frames.n_frames)
        next_time = self._last_time + (self.interval_fs or 0.0) if self.n_frames else 0.0
        clock = None
        if not self._stated_interval:
            clock = self._clock_fs(frames, header)
        if clock is None:
            times = next_time + np.arange(frames.n_frames) * (self.interval_fs or 0.0)
        else:
            if self.n_frames == 0:
                self._clock_zero = float(clock[0])
            elif new_source and clock[0] - self._clock_zero <= self._last_time:
                self._clock_zero = float(clock[0]) - next_time  # set back at the restart
            times = clock - self._clock_zero
            self._check_increase(times)
        self._last_time = float(times[-1])
        return np.asarray(times)

    def _check_increase(self, times: FloatArray) -> None:
        before = [self._last_time] if self.n_frames else []
        gaps = np.diff(np.concatenate([before, times]))
        if (gaps <= 0).any():
            at = int(np.flatnonzero(gaps <= 0)[0]) + 1 - len(before)
            raise InputError(
                f"frame {self.n_frames + at}: time does not increase",
                found=f"{times[at] + self._clock_zero:g} fs after "
                f"{times[at] + self._clock_zero - gaps[at - 1 + len(before)]:g} fs",
                remedy="joined runs? split them and name them in order",
            )

    def _without_repeats(self, header: Header, frames: Frames, new_source: bool) -> Frames:
        """Drops a frame that stands again right after itself, as restarts write it."""
        if not self.time_axis:
            return frames
        joined = frames if self._last is None else _concatenate(self._last, frames)
        gaps = np.abs(np.diff(joined.coordinates, axis=0))
        if header.scaled:
            gaps = np.abs(gaps - np.rint(gaps))
        repeated = gaps.max(axis=(1, 2), initial=0.0) < _SAME_PLACE
        counter = joined.steps if joined.steps is not None else joined.times_fs
        same_time = np.zeros(len(gaps), bool) if counter is None else np.diff(counter) == 0
        if self._last is None:
            keep = np.concatenate([[True], ~(repeated & same_time)])
        else:
            same_time[0] |= new_source
            keep = ~(repeated & same_time)
        for at in np.flatnonzero(~keep):
            self.notes.append(f"frame {self.n_frames + at} repeats the frame before, dropped")
        if keep.all():
            return frames
        present = _present(frames)
        return Frames(**{name: value[keep] for name, value in present.items()})

    def _positions(self, header: Header, frames: Frames) -> FloatArray:
        """(n_frames, n_atoms, 3) Å, Cartesian and unwrapped."""
        coordinates, cells, images = frames.coordinates, frames.cells, frames.images
        if images is None and not header.unwrapped and self.time_axis and header.pbc.any():
            scaled = coordinates
            if not header.scaled:
                scaled = np.einsum("fai,fij->faj", coordinates, np.linalg.inv(cells))
            images = self._unwrapper.image_counts(scaled, cells)
        if header.scaled:
            unwrapped = coordinates if images is None else coordinates + images
            return np.asarray(np.einsum("fai,fij->faj", unwrapped, cells))
        if images is None or not images.any():
            return coordinates
        return np.asarray(coordinates + np.einsum("fai,fij->faj", images, cells))


def _quietly(blocks: Generator[Frames]) -> Iterator[Frames]:
    """The blocks; numbers that overflow become infinite without a warning, and are refused then."""
    while True:
        with np.errstate(over="ignore", invalid="ignore"):
            block = next(blocks, None)
        if block is None:
            return
        yield block


def _first_two_frames(blocks: Iterator[Frames]) -> tuple[Frames, Iterator[Frames]]:
    """The first block (and the next, where it holds one frame), and all blocks again."""
    held: list[Frames] = []
    for block in blocks:
        held.append(block)
        if sum(b.n_frames for b in held) > 1:
            break
    if not held:
        raise InputError("no complete frame", expected="at least one")
    first = held[0] if len(held) == 1 else _concatenate(*held)
    return first, chain(held, blocks)


def _present(frames: Frames) -> dict[str, NDArray[Any]]:
    names = [f.name for f in dataclasses.fields(Frames)]
    return {n: value for n in names if (value := getattr(frames, n)) is not None}


def _concatenate(a: Frames, b: Frames) -> Frames:
    """Two blocks as one; keeps what both have."""
    first, second = _present(a), _present(b)
    return Frames(**{n: np.concatenate([first[n], second[n]]) for n in first if n in second})


def _last_frame(frames: Frames) -> Frames:
    return Frames(**{name: value[-1:].copy() for name, value in _present(frames).items()})


def _in_other_coordinates(frames: Frames, *, scaled: bool) -> Frames:
    matrices = np.linalg.inv(frames.cells) if scaled else frames.cells
    coordinates = np.einsum("fai,fij->faj", frames.coordinates, matrices)
    return dataclasses.replace(frames, coordinates=coordinates)


def _trajectory(
    header: Header, frames: Frames, positions: FloatArray, times_fs: FloatArray
) -> Trajectory:
    return Trajectory(
        positions=positions,
        cells=frames.cells,
        atomic_numbers=header.atomic_numbers,
        times_ps=times_fs * FS_IN_PS,
        pbc=header.pbc,
        energies=frames.energies,
        forces=frames.forces,
        velocities=frames.velocities,
        stresses=frames.stresses,
    )


def _check_numbers(frames: Frames, first_frame: int) -> None:
    """Refuses coordinates that are not finite, and whatever only damage makes so large."""
    for name, values in _present(frames).items():
        size = np.abs(values)
        bad = ~(size <= _LARGEST) if name == "coordinates" else size > _LARGEST
        if bad.any():
            frame, *atom = np.argwhere(bad)[0][:2]
            place = f", atom {atom[0]}" if values.shape[1:] == frames.coordinates.shape[1:] else ""
            raise InputError(
                f"frame {first_frame + frame}{place}: {name}",
                expected="finite numbers" if name == "coordinates" else "sensible numbers",
                found=values[(frame, *atom)].tolist(),
            )


def _composition(numbers: NDArray[np.int64]) -> str:
    """Atoms in their order, as `Li20 Ge2 P4 S24`."""
    edges = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist(), len(numbers)]
    runs = [f"{chemical_symbols[numbers[a]]}{b - a}" for a, b in pairwise(edges)]
    return " ".join(runs[:12]) + (" …" if len(runs) > 12 else "")
