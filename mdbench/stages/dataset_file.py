"""The file of a dataset: which frames of which trajectories, and whether these are still the same.

Frames are not copied. For each split the file has the run, the number and two hashes of every
frame: of its geometry, and of its energy and forces. Loading reads the frames from the
trajectories and refuses what changed, and a frame that stands in two splits.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mdbench.errors import InputError, located, suggest
from mdbench.samples import FloatArray, HashArray, IntArray, Samples, frame_hashes, label_hashes
from mdbench.store import Dataset, Input, TrajectoryFile, read_result, reading, write_result
from mdbench.training.sampling import SPLITS
from mdbench.trajectory import reduced_formula

#: What frames must have beside positions.
LABELS = ("energies", "forces")
#: Frames further apart than this, the usual length of a chunk, are read apart.
_FAR = 256


@dataclass(frozen=True)
class Source:
    """A trajectory that frames are from.

    Attributes:
        path: Relative to the folder of the dataset file.
        sha256: Of the file, when the dataset was made.
        temperature_k: K; None is unknown.
        replica: Number of the replica; None is unknown.
        n_frames: Its length.
        n_blocks: Blocks of time that it was cut into; 0 where frames were drawn at random.
        gap_frames: Frames left out between blocks of different splits.
        gap_ps: The same as time; None without a time axis.
    """

    path: str
    sha256: str
    temperature_k: float | None
    replica: int | None
    n_frames: int
    n_blocks: int
    gap_frames: int
    gap_ps: float | None


@dataclass(frozen=True)
class Split:
    """The frames of a split, sorted by run and number.

    Attributes:
        run: (n,) index of the trajectory.
        frame: (n,) number of the frame there.
        hash: (n,) of its geometry: `samples.frame_hashes`.
        label: (n,) of its energy and forces: `samples.label_hashes`.
    """

    run: IntArray
    frame: IntArray
    hash: HashArray
    label: HashArray

    def __len__(self) -> int:
        return len(self.run)


@dataclass(frozen=True)
class Content:
    """What a dataset file says.

    Attributes:
        material: Name of the material.
        atomic_numbers: (n_atoms,)
        sources: The trajectories.
        splits: By name, as in `training.sampling.SPLITS`.
        document: The report of the stage that made it.
    """

    material: str
    atomic_numbers: IntArray
    sources: tuple[Source, ...]
    splits: dict[str, Split]
    document: dict[str, Any]


def relative_to(path: Path, dataset: Path) -> str:
    """The path of a trajectory as a dataset file says it."""
    return Path(os.path.relpath(path.resolve(), dataset.parent.resolve())).as_posix()


def write_dataset(
    path: Path, content: Content, *, config: Mapping[str, Any], inputs: Sequence[Input]
) -> None:
    """Writes a dataset, after no frame was found in two splits."""
    _check_disjoint(path, content.splits)
    samples = ("sample",)
    datasets = {"atomic_numbers": Dataset(content.atomic_numbers, "", ("atom",))}
    for name, split in content.splits.items():
        for part, values in vars(split).items():
            datasets[f"split/{name}/{part}"] = Dataset(values, "", samples)
    attributes = {
        "material": content.material,
        "trajectories": [vars(source) for source in content.sources],
        "document": content.document,
    }
    write_result(path, "dataset", datasets, attributes=attributes, config=config, inputs=inputs)


def read_dataset(path: Path) -> Content:
    """What a dataset file says, after it was found sound and without a leak between splits."""
    result = read_result(path, "dataset")
    with reading(path):
        splits = {
            name: Split(
                run=result.datasets[f"split/{name}/run"].astype(np.int64, casting="safe"),
                frame=result.datasets[f"split/{name}/frame"].astype(np.int64, casting="safe"),
                hash=result.datasets[f"split/{name}/hash"].astype(np.uint64, casting="safe"),
                label=result.datasets[f"split/{name}/label"].astype(np.uint64, casting="safe"),
            )
            for name in SPLITS
        }
        sources = tuple(_source(known) for known in result.attributes["trajectories"])
        numbers = result.datasets["atomic_numbers"].astype(np.int64, casting="safe")
        lengths = np.array([source.n_frames for source in sources])
        for split in splits.values():
            if any(values.shape != (len(split),) for values in vars(split).values()):
                raise ValueError("columns of different lengths")
            if len(split) and (split.run.min() < 0 or (split.frame < 0).any()):
                raise ValueError("negative numbers of frames")
            if (split.frame >= lengths[split.run]).any():
                raise ValueError("frames beyond the end of a trajectory")
        content = Content(
            str(result.attributes["material"]),
            numbers,
            sources,
            splits,
            dict(result.attributes["document"]),
        )
    _check_disjoint(path, splits)
    return content


def content_hash(path: Path) -> str:
    """sha256 of all splits: the same for the same frames with the same energies and forces."""
    return splits_hash(read_dataset(path).splits)


def splits_hash(splits: Mapping[str, Split]) -> str:
    """sha256 of the splits' hashes, in the order of `SPLITS`."""
    digest = hashlib.sha256()
    for name in SPLITS:
        digest.update(f"{name} {len(splits[name])} ".encode())
        for values in (splits[name].hash, splits[name].label):
            digest.update(values.astype("<u8").tobytes())
    return digest.hexdigest()


def load(path: Path, splits: Sequence[str] = SPLITS) -> dict[str, Samples]:
    """The frames of some splits, read from their trajectories.

    Args:
        path: A dataset file.
        splits: Names: train, validation, test, near.

    Raises:
        InputError: A trajectory that is gone or changed, a frame in two splits, an unknown name.
    """
    content = read_dataset(path)
    names = list(dict.fromkeys(splits))
    if not names:
        return {}
    for name in names:
        if name not in SPLITS:
            raise InputError(f"split {name!r}", where=path, remedy=suggest(name, SPLITS))
    chosen = [content.splits[name] for name in names]
    wanted = _Wanted(path, content, chosen)
    for run in np.unique(wanted.run):
        wanted.read(int(run))
    ends = np.cumsum([len(split) for split in chosen]).tolist()
    with located(path):
        return {
            name: wanted.samples(slice(end - len(split), end))
            for name, split, end in zip(names, chosen, ends, strict=True)
        }


class _Wanted:
    """Frames that are asked for, in one array for all splits, filled run by run."""

    def __init__(self, path: Path, content: Content, splits: Sequence[Split]) -> None:
        self.path, self.content = path, content
        self.run = np.concatenate([split.run for split in splits])
        self.frame = np.concatenate([split.frame for split in splits])
        self.hash = np.concatenate([split.hash for split in splits])
        self.label = np.concatenate([split.label for split in splits])
        n, n_atoms = len(self.run), len(content.atomic_numbers)
        self.positions = np.empty((n, n_atoms, 3))
        self.cells = np.empty((n, 3, 3))
        self.energies = np.empty(n)
        self.forces = np.empty((n, n_atoms, 3))
        temperatures = [source.temperature_k for source in content.sources]
        known: FloatArray = np.array([np.nan if t is None else t for t in temperatures])
        self.temperatures_k = known[self.run]

    def read(self, run: int) -> None:
        """Fills in the frames of a run."""
        rows = np.flatnonzero(self.run == run)
        rows = rows[np.argsort(self.frame[rows])]
        place = self.path.resolve().parent / self.content.sources[run].path
        if not place.is_file():
            raise self._changed(place, "no such file")
        with TrajectoryFile(place) as file:
            self._check(file, int(self.frame[rows[-1]]))
            frames = self.frame[rows]
            apart = np.flatnonzero(np.diff(frames) > _FAR) + 1
            for some in np.split(rows, apart):
                self._read_span(file, some)

    def samples(self, rows: slice) -> Samples:
        """The samples of a range of rows."""
        return Samples(
            self.content.material,
            self.content.atomic_numbers,
            self.positions[rows],
            self.cells[rows],
            self.energies[rows],
            self.forces[rows],
            self.temperatures_k[rows],
            self.run[rows],
            self.frame[rows],
        )

    def _read_span(self, file: TrajectoryFile, rows: IntArray) -> None:
        """Fills in rows of one run whose frames are close to each other, in their order."""
        frames = self.frame[rows]
        begin = int(frames[0])
        for block in file.blocks(begin, int(frames[-1]) + 1, fields=LABELS):
            low, high = np.searchsorted(frames, (begin, begin + block.n_frames))
            inside, own = frames[low:high] - begin, rows[low:high]
            begin += block.n_frames
            positions, cells = block.positions[inside], block.cells[inside]
            assert block.energies is not None
            assert block.forces is not None
            energies, forces = block.energies[inside], block.forces[inside]
            hashes = frame_hashes(self.content.atomic_numbers, positions, cells)
            self._same(file.path, own, hashes != self.hash[own], "other positions or cell")
            labels = label_hashes(energies, forces)
            self._same(file.path, own, labels != self.label[own], "another energy or other forces")
            self.positions[own], self.cells[own] = positions, cells
            self.energies[own], self.forces[own] = energies, forces

    def _check(self, file: TrajectoryFile, last: int) -> None:
        numbers = self.content.atomic_numbers
        if not np.array_equal(file.atomic_numbers, numbers):
            raise self._changed(
                file.path, "other atoms", expected=atoms(numbers), found=atoms(file.atomic_numbers)
            )
        if last >= file.n_frames:
            raise self._changed(file.path, f"no frame {last}", found=f"{file.n_frames} frames")
        check_labels(file)

    def _same(self, place: Path, rows: IntArray, bad: NDArray[np.bool_], what: str) -> None:
        if bad.any():
            frame = int(self.frame[rows[int(np.flatnonzero(bad)[0])]])
            raise self._changed(place, f"frame {frame} has {what} than in the dataset")

    def _changed(self, place: Path, what: str, **comparison: object) -> InputError:
        return InputError(
            what,
            where=place,
            remedy=f"not what {self.path} was made from: `mdbench dataset --force` makes it anew",
            **comparison,
        )


def check_labels(file: TrajectoryFile) -> None:
    """Refuses a trajectory without energies or forces."""
    for name in LABELS:
        if name not in file.fields:
            raise InputError(
                f"no {name}",
                where=file.path,
                expected="frames with energies and forces",
                remedy="`mdbench reference` keeps them unless --no-forces; "
                "ingest files of a code that writes them",
            )


def atoms(numbers: IntArray) -> str:
    """Number of atoms and formula, for messages."""
    return f"{len(numbers)} atoms, {reduced_formula(numbers)}"


def _source(known: dict[str, Any]) -> Source:
    """What a file says about a trajectory, with the types that it should have."""
    source = Source(**known)
    temperature = source.temperature_k
    return replace(
        source,
        path=str(source.path),
        n_frames=int(source.n_frames),
        temperature_k=None if temperature is None else float(temperature),
    )


def _check_disjoint(path: Path, splits: Mapping[str, Split]) -> None:
    """Refuses a geometry that stands twice: in two splits it is a leak, in one a mistake."""
    owners = np.repeat(np.arange(len(splits)), [len(split) for split in splits.values()])
    hashes = np.concatenate([split.hash for split in splits.values()])
    order = np.argsort(hashes, kind="stable")
    twice = np.flatnonzero(np.diff(hashes[order]) == 0)
    if len(twice):
        names = list(splits)
        one, other = (names[owners[order[k]]] for k in (twice[0], twice[0] + 1))
        raise InputError(
            f"a frame of split {one} stands in split {other}, too",
            where=path,
            expected="splits without common frames",
            remedy="make the dataset again with `mdbench dataset --force`",
        )
