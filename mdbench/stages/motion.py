"""How the atoms of one run move, read from its file once, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase.data import chemical_symbols
from numpy.typing import NDArray

from mdbench.analysis.mobile import MOBILE_SPECIES, framework, mobile_species
from mdbench.analysis.motion import IonMotion, check_times
from mdbench.analysis.msd import Displacements, mean_squared_displacement
from mdbench.errors import InputError, located
from mdbench.stages import spool
from mdbench.stages.loaded import OpenRun
from mdbench.stages.runs import first_frame
from mdbench.store import TrajectoryFile
from mdbench.trajectory import Provenance, element_number
from mdbench.units import FS_IN_PS

FloatArray = NDArray[np.float64]
Progress = Callable[[float, str], None]


@dataclass(frozen=True)
class RunMotion:
    """One run after its equilibration.

    Attributes:
        path: The file.
        motion: Of its mobile ions.
        curve: (3, n_frames) Å², their MSD.
        others: (n_frames,) Å², MSD of every other element, in the same frame.
        n_atoms: Number of atoms of each element.
        skip_ps: Equilibration left out.
        provenance: What the file says about the run.
    """

    path: Path
    motion: IonMotion
    curve: FloatArray
    others: dict[str, FloatArray]
    n_atoms: dict[str, int]
    skip_ps: float
    provenance: Provenance


def read_motion(
    path: Path,
    *,
    mobile: str | None = None,
    skip_ps: float | None = None,
    stride: int = 1,
    progress: Progress | None = None,
) -> RunMotion:
    """Reads a run's displacements in the frame of its framework.

    Args:
        path: A trajectory file.
        mobile: Symbol of the mobile ion; by default the file's, else by rule.
        skip_ps: Equilibration to leave out.
        stride: Use every N-th frame.
        progress: Called with the share done and the name of the file.
    """
    with TrajectoryFile(path) as file:
        return motion_of(file, mobile=mobile, skip_ps=skip_ps, stride=stride, progress=progress)


def motion_of(
    file: OpenRun,
    *,
    mobile: str | None = None,
    skip_ps: float | None = None,
    stride: int = 1,
    progress: Progress | None = None,
) -> RunMotion:
    """The same of a run that is open.

    Args:
        file: A trajectory.
        mobile: Symbol of the mobile ion; by default the file's, else by rule.
        skip_ps: Equilibration to leave out.
        stride: Use every N-th frame.
        progress: Called with the share done and the name of the file.
    """
    with located(file.path):
        check_times(file.times_ps)
        numbers = file.atomic_numbers
        species, counts = ions_of(file, mobile)
        if not file.pbc.all():
            raise InputError("not periodic", expected="a crystal, periodic in all directions")
        first, skipped = first_frame(file, skip_ps)
        n_frames = len(range(first, file.n_frames, stride))
        paths, drift, origin, cell = read_atoms(file, first, stride, n_frames, species, progress)
        interval = file.frame_interval_fs
        assert interval is not None
        ions = np.flatnonzero(numbers == element_number(species))
        motion = IonMotion(
            displacements=rows_of(paths, ions),
            origin=origin[ions],
            cell=cell,
            frame_interval_ps=interval * stride * FS_IN_PS,
            drift=drift,
            species=species,
        )
        return RunMotion(
            path=file.path,
            motion=motion,
            curve=mean_squared_displacement(motion.displacements),
            others={
                symbol: mean_squared_displacement(
                    rows_of(paths, np.flatnonzero(numbers == element_number(symbol)))
                ).sum(axis=0)
                for symbol in counts
                if symbol != species
            },
            n_atoms=counts,
            skip_ps=skipped,
            provenance=file.provenance,
        )


def ions_of(file: OpenRun, mobile: str | None = None) -> tuple[str, dict[str, int]]:
    """Symbol of the mobile ions, and the number of atoms of each element.

    Args:
        file: A trajectory.
        mobile: Symbol of the mobile ion; by default the file's, else by rule.
    """
    numbers = file.atomic_numbers
    counts = {chemical_symbols[z]: int((numbers == z).sum()) for z in np.unique(numbers)}
    species = mobile_species(numbers, mobile or file.provenance.mobile)
    if species is None:
        raise InputError(
            "no mobile species",
            expected=f"one of {', '.join(MOBILE_SPECIES)}",
            found=", ".join(sorted(counts)),
            remedy="--mobile names it",
        )
    return species, counts


def read_atoms(
    file: OpenRun,
    first: int,
    stride: int,
    n_frames: int,
    species: str,
    progress: Progress | None,
) -> tuple[Displacements, FloatArray, FloatArray, FloatArray]:
    """How all atoms move in the frame of the framework.

    Args:
        file: A trajectory.
        first: The first frame to use.
        stride: Use every so many frames.
        n_frames: How many there are then.
        species: Symbol of the mobile ions.
        progress: Called with the share done and the name of the file.

    Returns:
        n_atoms arrays (3, n_frames) Å from the first frame, in memory or, where they are large, in
        a file; (3, n_frames) Å, the mean displacement of the framework that was taken off;
        (n_atoms, 3) Å, the first frame; (3, 3) Å, the mean cell.
    """
    shape = (file.n_atoms, 3, n_frames)
    large = 8 * np.prod(shape, dtype=np.int64) > spool.IN_MEMORY
    paths = spool.Spool(file.n_atoms, n_frames) if large else np.empty(shape)
    frame = framework(file.atomic_numbers, species)
    drift, cell = np.empty((3, n_frames)), np.zeros((3, 3))
    origin: FloatArray | None = None
    done = 0
    for block in file.blocks(first, stride=stride, fields=()):
        positions = np.asarray(block.positions, dtype=np.float64)
        if origin is None:
            origin = positions[0].copy()
        moved = positions - origin  # (F, A, 3)
        mean = moved[:, frame].mean(axis=1)
        moved -= mean[:, None]
        span = slice(done, done + block.n_frames)
        drift[:, span] = mean.T
        if isinstance(paths, spool.Spool):
            paths.write(done, moved.transpose(1, 2, 0))
        else:
            paths[..., span] = moved.transpose(1, 2, 0)
        cell += block.cells.sum(axis=0)
        done = span.stop
        if progress is not None:
            progress(done / n_frames, file.path.name)
    assert origin is not None
    return paths, drift, origin, cell / n_frames


def rows_of(paths: Displacements, rows: NDArray[np.int64]) -> Displacements:
    """The paths of some atoms."""
    return spool.Rows(paths, rows) if isinstance(paths, spool.Spool) else np.asarray(paths)[rows]
