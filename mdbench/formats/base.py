"""What every reader of a foreign file gives: a header, and blocks of frames one after another."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Hints:
    """What the user says about a source that does not say it itself.

    Attributes:
        species: Symbols by LAMMPS type (`{"1": "O"}`), or a list in VASP order or one per atom.
        cell: A CP2K `.cell` file, or a (3, 3) cell in Å.
        constant_order: A dump without ids keeps its atoms in one order.
        timestep_fs: MD timestep, fs: turns step counters into times.
        lammps_units: `metal` or `real`.
    """

    species: Mapping[str, str] | tuple[str, ...] | None = None
    cell: Path | FloatArray | None = None
    constant_order: bool = False
    timestep_fs: float | None = None
    lammps_units: str = "metal"


@dataclass(frozen=True)
class Header:
    """What is known of a source before its first frame is read; None is unknown.

    Attributes:
        atomic_numbers: (n_atoms,).
        pbc: (3,) bool.
        scaled: The coordinates of the blocks are fractional, not Cartesian.
        unwrapped: The coordinates are unwrapped already, or come with image flags.
        time_axis: False where the frames are no time series (a relaxation, recomputed frames).
        no_time_reason: Why there is no time axis, for the message.
        timestep_fs: MD timestep.
        frame_interval_fs: Time between the stored frames, where steps or times do not say.
        temperature_k: Temperature that the run was set to.
        code: Program and version that wrote the file.
        thermostat: As the file names it.
    """

    atomic_numbers: NDArray[np.int64]
    pbc: NDArray[np.bool_] = field(default_factory=lambda: np.ones(3, dtype=bool))
    scaled: bool = False
    unwrapped: bool = False
    time_axis: bool = True
    no_time_reason: str | None = None
    timestep_fs: float | None = None
    frame_interval_fs: float | None = None
    temperature_k: float | None = None
    code: str | None = None
    thermostat: str | None = None


@dataclass(frozen=True)
class Frames:
    """A block of consecutive frames, as the file states them.

    Attributes:
        coordinates: (n_frames, n_atoms, 3) Å, or fractional where the header says `scaled`.
        cells: (n_frames, 3, 3) Å, row vectors.
        steps: (n_frames,) MD step counters.
        times_fs: (n_frames,) fs.
        images: (n_frames, n_atoms, 3) image flags.
        energies: (n_frames,) eV, potential energy.
        forces: (n_frames, n_atoms, 3) eV/Å.
        velocities: (n_frames, n_atoms, 3) Å/fs.
        stresses: (n_frames, 3, 3) eV/Å³, positive under tension.
    """

    coordinates: FloatArray
    cells: FloatArray
    steps: NDArray[np.int64] | None = None
    times_fs: FloatArray | None = None
    images: NDArray[np.int64] | None = None
    energies: FloatArray | None = None
    forces: FloatArray | None = None
    velocities: FloatArray | None = None
    stresses: FloatArray | None = None

    @property
    def n_frames(self) -> int:
        """Number of frames in the block."""
        return len(self.coordinates)


@dataclass
class Source:
    """An open trajectory file.

    Attributes:
        path: The file.
        format: Name of the format, as `vasprun.xml`.
        header: What is known before the first frame.
        blocks: Yields the frames once, in order, in blocks of bounded size; closing it closes
            the file.
        notes: Filled while reading: what was dropped or repaired, one sentence each.
        fraction: How much of the file has been read, 0 to 1, for a progress bar.
    """

    path: Path
    format: str
    header: Header
    blocks: Generator[Frames]
    notes: list[str]
    fraction: Callable[[], float]


def stack(frames: list[dict[str, Any]]) -> Frames:
    """One block from single frames given as keyword arguments; drops what not all of them have."""
    names = set.intersection(*(set(f) for f in frames))
    return Frames(**{name: np.array([f[name] for f in frames]) for name in names})
