"""The mobile ions of a group of replicas: read, put into one cell, followed from site to site."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from ase.data import atomic_masses
from numpy.typing import NDArray

from mdbench.analysis.ion_density import IonDensity, ion_density, pooled
from mdbench.analysis.jumps import Jumps, site_jumps
from mdbench.analysis.mobile import framework
from mdbench.analysis.motion import IonMotion, check_times
from mdbench.analysis.msd import Displacements
from mdbench.analysis.registration import Framework, registration, scaled_paths
from mdbench.analysis.sites import Sites
from mdbench.config import PathConfig
from mdbench.errors import InputError, located
from mdbench.stages.loaded import Opener, OpenRun
from mdbench.stages.motion import Progress, ions_of, read_atoms, rows_of
from mdbench.stages.runs import EndedEarlyError, Group, ended_early, first_frame
from mdbench.store import TrajectoryFile
from mdbench.trajectory import element_number
from mdbench.units import FS_IN_PS

FloatArray = NDArray[np.float64]

#: Frames that a run that ended early must have.
_LEAST_FRAMES = 100


@dataclass(frozen=True)
class RunFacts:
    """What is known of one run after its equilibration, apart from its motion.

    Attributes:
        path: The file.
        skip_ps: Equilibration left out.
        start_ps: Time of the first frame on the clock of the run.
        n_frames: Number of frames.
        frame_interval_ps: Time between frames.
        drift: Å, the farthest that the mass-weighted center of all atoms came.
    """

    path: Path
    skip_ps: float
    start_ps: float
    n_frames: int
    frame_interval_ps: float
    drift: float

    @property
    def length_ps(self) -> float:
        """Time from the first frame to the last."""
        return (self.n_frames - 1) * self.frame_interval_ps


@dataclass(frozen=True)
class IonRun:
    """One run after its equilibration.

    Attributes:
        facts: What is known of it.
        motion: Of its mobile ions.
        framework: Of its other atoms.
    """

    facts: RunFacts
    motion: IonMotion
    framework: Framework


@dataclass(frozen=True)
class Ions:
    """The mobile ions of all replicas, in the cell that they are seen in.

    Attributes:
        group: The replicas.
        runs: Those that were read.
        offsets: (n_runs, 3) fractional, what puts each run's framework onto the first one.
        rms: Å, how far frameworks are from it then, at most.
        left_out: Why runs are left out that ended early.
    """

    group: Group
    runs: tuple[IonRun, ...]
    offsets: FloatArray
    rms: float
    left_out: tuple[str, ...]

    @property
    def species(self) -> str:
        """Symbol of the mobile ions."""
        return self.runs[0].motion.species

    @property
    def n_ions(self) -> int:
        """Ions of one run."""
        return self.runs[0].motion.n_ions

    def paths(self, index: int, shift: FloatArray | float = 0.0) -> Sequence[FloatArray]:
        """n_ions arrays (3, n_frames) of a run, fractional in the common cell, unwrapped."""
        return scaled_paths(self.runs[index].motion, self.offsets[index] + shift)

    def density(
        self, cell: FloatArray, shape: tuple[int, int, int], shift: FloatArray | float = 0.0
    ) -> IonDensity:
        """The density of all runs.

        Args:
            cell: (3, 3) Å, row vectors.
            shape: Voxels along each of them.
            shift: (3,) fractional, added to the ions.
        """
        return pooled(
            [
                ion_density(
                    self.paths(index, shift),
                    shape,
                    cell,
                    frame_interval_ps=run.facts.frame_interval_ps,
                )
                for index, run in enumerate(self.runs)
            ]
        )

    def jumps(self, sites: Sites, config: PathConfig) -> tuple[Jumps, ...]:
        """The jumps of each run between sites."""
        return tuple(
            site_jumps(
                self.paths(index),
                sites,
                frame_interval_ps=run.facts.frame_interval_ps,
                residence_ps=config.residence_fs * FS_IN_PS,
            )
            for index, run in enumerate(self.runs)
        )


def read_ions(
    group: Group,
    config: PathConfig,
    onto: Framework | None = None,
    progress: Progress | None = None,
    *,
    opened: Opener = TrajectoryFile,
) -> Ions:
    """The ions of a group's runs, put onto a framework.

    Args:
        group: Files of one source, material and temperature.
        config: Mobile species, equilibration.
        onto: The framework that all are put onto; by default that of the first run.
        progress: Called with the share done and what is being read.
        opened: How a run is opened.
    """
    left_out = ended_early(group.paths, config.skip_ps, config.stride, _LEAST_FRAMES, opened)
    paths = [path for path in group.paths if path not in left_out]
    if not paths:
        raise EndedEarlyError(group, list(left_out.values()))
    runs = []
    for path in paths:
        with opened(path) as file, located(path):
            runs.append(_ion_run(file, config, progress))
    _check_replicas(runs)
    offsets, rms = [], 0.0
    for run in runs:
        with located(run.facts.path):
            found = registration(run.framework, onto or runs[0].framework)
        offsets.append(found.offset)
        rms = max(rms, found.rms)
    return Ions(group, tuple(runs), np.array(offsets), rms, tuple(left_out.values()))


def _ion_run(file: OpenRun, config: PathConfig, progress: Progress | None) -> IonRun:
    check_times(file.times_ps)
    numbers = file.atomic_numbers
    species, _ = ions_of(file, config.mobile)
    ions, others = (np.flatnonzero(numbers == element_number(species)), framework(numbers, species))
    if len(ions) == len(numbers):
        raise InputError("no framework", expected="other atoms than the mobile ones", found=species)
    if not file.pbc.all():
        raise InputError("not periodic", expected="a crystal, periodic in all directions")
    first, skipped = first_frame(file, config.skip_ps)
    n_frames = len(range(first, file.n_frames, config.stride))
    paths, drift, origin, cell = read_atoms(file, first, config.stride, n_frames, species, progress)
    interval = file.frame_interval_fs
    assert interval is not None
    moved = np.array([path.mean(axis=1) for path in rows_of(paths, others)])
    center = drift + _center(paths, atomic_masses[numbers])
    return IonRun(
        facts=RunFacts(
            path=file.path,
            skip_ps=skipped,
            start_ps=float(file.times_ps[first]),
            n_frames=n_frames,
            frame_interval_ps=interval * config.stride * FS_IN_PS,
            drift=float(np.linalg.norm(center, axis=0).max()),
        ),
        motion=IonMotion(
            displacements=rows_of(paths, ions),
            origin=origin[ions],
            cell=cell,
            frame_interval_ps=interval * config.stride * FS_IN_PS,
            drift=drift,
            species=species,
        ),
        framework=Framework(numbers[others], origin[others] + moved, cell),
    )


def _center(paths: Displacements, masses: FloatArray) -> FloatArray:
    """(3, n_frames) Å, the mass-weighted mean of paths."""
    center = np.zeros_like(paths[0])
    for path, mass in zip(paths, masses / masses.sum(), strict=True):
        center += mass * path
    return center


def _check_replicas(runs: Sequence[IonRun]) -> None:
    """Replicas have one mobile species, and are not one run named twice."""
    for one, other in combinations(runs, 2):
        if one.motion.species != other.motion.species:
            raise InputError(
                "replicas with another mobile species",
                where=other.facts.path,
                expected=f"{one.motion.species}, as in {one.facts.path}",
                found=other.motion.species,
                remedy="--mobile settles it",
            )
        if np.array_equal(one.motion.displacements[0], other.motion.displacements[0]):
            raise InputError(
                "the same frames twice",
                where=other.facts.path,
                expected="independent replicas",
                found=f"those of {one.facts.path}",
                remedy="name each run once",
            )
