"""Trajectory files below a folder: which there are, and what their first frames say."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mdbench import formats, store
from mdbench.config import IngestConfig
from mdbench.errors import InputError, located
from mdbench.formats.hints import hints_from
from mdbench.formats.joining import JoinedRun
from mdbench.trajectory import Trajectory

FloatArray = NDArray[np.float64]

#: Format of a trajectory that mdbench wrote itself.
OWN = "mdbench"
_COMPRESSED = (".gz", ".bz2", ".xz")
#: Of several files of one run, the first of these with energies and forces is taken.
_PREFERRED = (
    *(OWN, "vasprun.xml", "OUTCAR", "H5MD", "ASE .traj"),
    *("CP2K xyz", "extxyz", "LAMMPS dump", "XDATCAR"),
)
#: What CP2K writes beside the positions.
_BESIDE_CP2K = re.compile(r".*([-_.](frc|vel)([-_.]\d+)?\.xyz|\.cell|\.ener)", re.IGNORECASE)
#: Names of formats and their usual endings: what is left tells runs in one folder apart.
_FORMAT_WORDS = re.compile(
    r"(?i)vasprun|xdatcar|outcar|\.(xml|traj|extxyz|xyz|lammps\w*|dump|h5md|h5|hdf5)$"
)
#: Programs, pictures and tables may have a format's name in theirs.
_OTHER_ENDINGS = {
    *(".py", ".pyc", ".ipynb", ".sh", ".m", ".md", ".html", ".pdf", ".png", ".jpg", ".svg"),
    *(".csv", ".json", ".yaml", ".yml", ".tar", ".tgz", ".zip", ".part", ".state", ".lock"),
}
#: What makes a folder the run folder of a benchmark, whose files are results.
_RUN_FOLDER = ("benchmark.json", "reference/*/*K-r*.h5", "rollouts/*/*/*K-r*.h5")
_MOST_FILES = 100_000
#: Frames that are compared, and what two writings of one place may differ by, Å.
_COMPARED, _SAME_PLACE = 4, 1e-3


class NoRunError(InputError):
    """A file that can be read but is no run: one structure, a relaxation."""


@dataclass(frozen=True)
class Look:
    """What the first frames of a trajectory file say.

    Attributes:
        path: The file.
        format: As `vasprun.xml`; `mdbench` for a trajectory of ours.
        frames: The first few of them.
        temperature_k: As the file states it.
        material: As the file states it; only one of ours does.
    """

    path: Path
    format: str
    frames: Trajectory
    temperature_k: float | None
    material: str | None = None

    @property
    def atomic_numbers(self) -> NDArray[np.int64]:
        """(n_atoms,)."""
        return self.frames.atomic_numbers

    @property
    def has_labels(self) -> bool:
        """Whether the frames have energies and forces."""
        return self.frames.energies is not None and self.frames.forces is not None

    @cached_property
    def _fractions(self) -> FloatArray:
        """(n_frames, n_atoms, 3) coordinates as fractions of the cell."""
        inverse = np.linalg.inv(self.frames.cells)
        return np.asarray(np.einsum("fai,fij->faj", self.frames.positions, inverse))

    def same_frames(self, other: Look) -> int:
        """How many of the first frames are those of another file: 0, or all that were read."""
        n = min(len(self.frames), len(other.frames))
        gaps = self._fractions[:n] - other._fractions[:n]
        gaps -= np.rint(gaps)
        moved = np.einsum("fai,fij->faj", gaps, self.frames.cells[:n])
        return int((np.abs(moved).max(axis=(1, 2)) < _SAME_PLACE).cumprod().sum())

    def is_copy_of(self, other: Look) -> bool:
        """Whether all frames that were read are those of another file."""
        return self.same_frames(other) == min(len(self.frames), len(other.frames))


def look(path: Path, config: IngestConfig) -> Look:
    """What the first frames of a file say, read as `mdbench ingest` would.

    Raises:
        NoRunError: It is no run.
        InputError: It cannot be read, or something is missing in the settings.
    """
    if format_of(path) == OWN:
        return _look_at_own(path)
    with located(path):
        source = formats.open_source(path, hints_from(config))
        if not source.header.time_axis:
            with closing(source.blocks):
                next(source.blocks, None)  # what never began would not close the file
            raise NoRunError(f"not a time series: {source.header.no_time_reason}", where=path)
        joined = JoinedRun(
            frame_interval_fs=config.frame_interval_fs, timestep_fs=config.timestep_fs
        )
        with closing(joined.blocks(source)) as blocks:
            first = next(blocks)[0][:_COMPARED]
            if len(first) < 2:
                first = _concatenated([first, *(b[:1] for b, _ in islice(blocks, _COMPARED - 1))])
    if len(first) < 2:
        raise NoRunError("a single frame", where=path, expected="a trajectory")
    return Look(path, source.format, first, source.header.temperature_k)


def _look_at_own(path: Path) -> Look:
    with store.TrajectoryFile(path) as file:
        if file.frame_interval_fs is None:
            raise NoRunError("no time axis", where=path, expected="a trajectory")
        known = file.provenance
        return Look(path, OWN, file.read(0, _COMPARED), known.temperature_k, known.material)


def _concatenated(frames: Sequence[Trajectory]) -> Trajectory:
    """Positions, cells and labels of frames that were read one by one."""
    first = frames[0]

    def together(name: str) -> FloatArray | None:
        values = [getattr(frame, name) for frame in frames]
        return None if any(v is None for v in values) else np.concatenate(values)

    return Trajectory(
        positions=np.concatenate([f.positions for f in frames]),
        cells=np.concatenate([f.cells for f in frames]),
        atomic_numbers=first.atomic_numbers,
        times_ps=np.concatenate([f.times_ps for f in frames]),
        pbc=first.pbc,
        energies=together("energies"),
        forces=together("forces"),
    )


def format_of(path: Path) -> str | None:
    """The format of a trajectory file; None for any other file.

    Raises:
        InputError: An HDF5 file that is damaged or leads out of itself.
    """
    name = bare_name(path)
    if Path(name).suffix.lower() in _OTHER_ENDINGS or _BESIDE_CP2K.fullmatch(name):
        return None
    try:
        found = formats.format_of(path)
    except InputError:  # empty, or may not be read
        return None
    return _hdf5_format(path) if found == "H5MD" else found


def _hdf5_format(path: Path) -> str | None:
    """Ours, H5MD, or neither."""
    with store.open_checked(path) as file:
        if "mdbench_version" in file.attrs:
            own = store.check_kind(path, file, None) == "trajectory"
            return OWN if own else None
        return "H5MD" if "particles" in file else None


def bare_name(path: Path) -> str:
    """The name of a file without the ending of its compression."""
    return path.stem if path.suffix in _COMPRESSED else path.name


def natural(text: str) -> list[tuple[int, str]]:
    """Sorts names with numbers in them as people do: r2 before r10."""
    return [
        (int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", text)
    ]


def trajectories_below(folder: Path, notes: list[str]) -> list[list[Path]]:
    """Trajectory files below a folder, by run: files of one run, the best first.

    Hidden files, run folders of benchmarks and whatever is no trajectory are left out. Files of
    one folder belong to one run if their names differ by the format alone, as those of VASP.

    Args:
        folder: Where to look.
        notes: Receives what was left out and might be missed.
    """
    known = {}
    for path in _files_below(folder, notes):
        form = format_of(path)
        if form is not None:
            known[path] = form
    runs: dict[tuple[Path, str], list[Path]] = {}
    for path, form in known.items():
        if form == OWN and _made_of_neighbors(path, known):
            notes.append(f"{path.relative_to(folder)}: left out, what it was made of is beside it")
            continue
        runs.setdefault((path.parent, _stem(path)), []).append(path)
    return [
        sorted(paths, key=lambda p: (_PREFERRED.index(known[p]), p.suffix in _COMPRESSED, p.name))
        for paths in runs.values()
    ]


def _stem(path: Path) -> str:
    """What is left of a name without the words of formats."""
    return _FORMAT_WORDS.sub("", _FORMAT_WORDS.sub("", bare_name(path))).strip(" ._-")


def _made_of_neighbors(path: Path, known: Mapping[Path, str]) -> bool:
    """Whether a trajectory of ours was ingested from files of its own folder."""
    with store.TrajectoryFile(path) as file:
        inputs = [path.with_name(one.name) for one in file.inputs if one.kind == "foreign"]
    return bool(inputs) and all(other in known for other in inputs)


def is_run_folder(folder: Path) -> bool:
    """Whether mdbench keeps the results of a run in a folder."""
    return any(next(folder.glob(name), None) is not None for name in _RUN_FOLDER)


def _files_below(folder: Path, notes: list[str]) -> Iterable[Path]:
    """Regular files, each once and under its own name rather than that of a link."""
    folders, visited = deque([folder]), set()
    files: dict[Path, Path] = {}
    top = folder.resolve()
    while folders:
        here = folders.popleft()
        real = here.resolve()
        if real in visited or (here != folder and top.is_relative_to(real)):
            continue  # a link to what contains it
        visited.add(real)
        if here != folder and is_run_folder(here):
            notes.append(f"{here.relative_to(folder)}: left out, a run folder of mdbench")
            continue
        for entry in _entries(here):
            if entry.is_dir():
                (folders.append if entry.is_symlink() else folders.appendleft)(entry)
            elif entry.is_file():
                target = entry.resolve()
                if target not in files or (target == entry.absolute()):
                    files[target] = entry
        if len(files) + len(visited) > _MOST_FILES:
            raise InputError(
                "too many files to look through",
                where=folder,
                expected=f"at most {_MOST_FILES}",
                remedy="name a folder further down, or a YAML file",
            )
    return sorted(files.values(), key=lambda path: natural(str(path)))


def _entries(folder: Path) -> list[Path]:
    try:
        return [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=folder) from error
