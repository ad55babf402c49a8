"""The structure of one run, read from its file: g(r) block by block, what each window shows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from mdbench.analysis.rdf import PairHistogram, RadialDistribution
from mdbench.analysis.windows import RunWindows, WindowedRun
from mdbench.config import RdfConfig
from mdbench.errors import InputError, located
from mdbench.stages.loaded import OpenRun
from mdbench.stages.runs import first_frame
from mdbench.trajectory import Trajectory
from mdbench.units import EV_PER_ANGSTROM3_IN_GPA, FS_IN_PS

#: Consecutive blocks that a run is cut into, to see how much its g(r) scatters.
_N_BLOCKS = 10

Progress = Callable[[float, str], None]


@dataclass(frozen=True)
class RunStructure:
    """g(r) of one run, and what a verdict needs beside it.

    Attributes:
        path: The file.
        n_frames: Frames used.
        skip_ps: Equilibration left out before them.
        length_ps: Time that they stand for, 0 for the one frame of a run that ended where it
            started; None without a time axis.
        whole: g(r) of all of them.
        blocks: g(r) of consecutive blocks of them; one block unless read closely.
        windows: What each picosecond shows; None unless read closely.
        pressure_gpa: Mean pressure; None where stresses are not stored, or not read closely.
    """

    path: Path
    n_frames: int
    skip_ps: float
    length_ps: float | None
    whole: RadialDistribution
    blocks: tuple[RadialDistribution, ...]
    windows: RunWindows | None
    pressure_gpa: float | None


def run_structure(
    file: OpenRun, config: RdfConfig, *, closely: bool = False, progress: Progress | None = None
) -> RunStructure:
    """Reads the frames of a run after its equilibration, once, in bounded memory.

    Args:
        file: A trajectory.
        config: Bins, equilibration, threads.
        closely: Also collect what a verdict needs.
        progress: Called with the share done and the name of the file.
    """
    with located(file.path):
        first, skip_ps = _first_frame(file, config.skip_ps)
        n_frames = len(range(first, file.n_frames, config.stride))
        windows = None
        if closely:
            windows = WindowedRun(
                file.atomic_numbers,
                config.r_max,
                config.dr,
                mobile=config.mobile or file.provenance.mobile,
                threads=config.threads,
            )
        edges = np.linspace(0, n_frames, min(_N_BLOCKS if closely else 1, n_frames) + 1)
        whole = _histogram(file, config)
        blocks, pressures = [], []
        for start, stop in pairwise((first + config.stride * edges.astype(int)).tolist()):
            part = _histogram(file, config)
            wanted = ("stresses",) if closely else ()
            stored = file.blocks(start, stop, stride=config.stride, fields=wanted)
            for frames in _read_ahead(stored, config.threads):
                part.add(frames.positions, frames.cells, frames.pbc)
                if windows is not None:
                    windows.add(frames)
                if frames.stresses is not None:
                    pressures.append(-np.trace(frames.stresses, axis1=1, axis2=2) / 3.0)
                if progress is not None:
                    progress((whole.n_frames + part.n_frames) / n_frames, file.path.name)
            blocks.append(part.result())
            whole.merge(part)
        return RunStructure(
            path=file.path,
            n_frames=n_frames,
            skip_ps=skip_ps,
            length_ps=_length_ps(file, n_frames * config.stride),
            whole=whole.result(),
            blocks=tuple(blocks),
            windows=None
            if windows is None
            else windows.result(end_reason=file.provenance.end_reason),
            pressure_gpa=float(np.concatenate(pressures).mean()) * EV_PER_ANGSTROM3_IN_GPA
            if pressures
            else None,
        )


def _first_frame(file: OpenRun, skip_ps: float | None) -> tuple[int, float]:
    """As `first_frame`; of a run that ended before its equilibration did, the last frame."""
    try:
        return first_frame(file, skip_ps)
    except InputError:
        if file.provenance.end_reason is None or file.frame_interval_fs is None:
            raise
        return file.n_frames - 1, float(file.times_ps[-1] - file.times_ps[0])


def _length_ps(file: OpenRun, n_frames: int) -> float | None:
    interval_fs = file.frame_interval_fs
    if interval_fs is not None:
        return n_frames * interval_fs * FS_IN_PS
    at_once = file.n_frames == 1 and file.provenance.end_reason is not None
    return 0.0 if at_once else None


def _read_ahead(blocks: Iterator[Trajectory], threads: int) -> Iterator[Trajectory]:
    """The blocks; with several threads the next one is read while one is worked on."""
    if threads < 2:
        yield from blocks
        return
    with ThreadPoolExecutor(1) as reader:
        coming = reader.submit(next, blocks, None)
        while (block := coming.result()) is not None:
            coming = reader.submit(next, blocks, None)
            yield block


def _histogram(file: OpenRun, config: RdfConfig) -> PairHistogram:
    return PairHistogram(file.atomic_numbers, config.r_max, config.dr, threads=config.threads)
