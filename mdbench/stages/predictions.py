"""What a force field says of frames whose energies and forces are known, material by material."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from pathlib import Path
from threading import local

import numpy as np
from numpy.typing import NDArray

from mdbench.analysis.accuracy import Predictions
from mdbench.errors import InputError, located
from mdbench.potentials.base import Evaluator, ForceField, Systems, beside, on_host
from mdbench.samples import Samples
from mdbench.stages.dataset_file import LABELS, check_labels, load, read_dataset
from mdbench.stages.structure import Progress
from mdbench.store import Input, TrajectoryFile, check_kind, input_of, open_checked, reading
from mdbench.trajectory import Trajectory, reduced_formula

FloatArray = NDArray[np.float64]

#: Frames that are computed together.
_BATCH = 32
#: Batches that a thread is given at a time.
_BATCHES = 4


@dataclass(frozen=True)
class LabeledFrames:
    """Where the frames of one material are.

    Attributes:
        material: Its name.
        paths: A dataset, or trajectories.
        split: Of the dataset; None for trajectories.
        potential: What the forces came from; None is unknown.
    """

    material: str
    paths: tuple[Path, ...]
    split: str | None
    potential: str | None

    def inputs(self) -> list[Input]:
        """The files, to be stamped.

        Raises:
            InputError: A file and its copy, which are no replicas.
        """
        kind = "trajectory" if self.split is None else "dataset"
        found = [input_of(path, kind) for path in self.paths]
        first: dict[str, Path] = {}
        for path, one in zip(self.paths, found, strict=True):
            if first.setdefault(one.sha256, path) != path:
                raise InputError("the same file twice", where=path, found=first[one.sha256])
        return found


def by_material(paths: Sequence[Path], split: str) -> list[LabeledFrames]:
    """The files by material, in the order of the first one of each.

    Args:
        paths: Datasets, at most one of each material, or trajectories with energies and forces.
        split: Of the datasets.

    Raises:
        InputError: Other files, no frames in the split, trajectories of several potentials.
    """
    found: dict[str, LabeledFrames] = {}
    for path in paths:
        new = _frames_of(path, split)
        old = found.setdefault(new.material, new)
        if old is new:
            continue
        if old.split is not None or new.split is not None:
            raise InputError(f"{new.material} twice", where=path, expected="one dataset of each")
        if old.potential != new.potential:
            raise InputError(
                f"{new.material}: energies and forces of several potentials",
                where=path,
                expected=old.potential or "an unknown one",
                found=new.potential or "an unknown one",
            )
        found[new.material] = replace(old, paths=(*old.paths, path))
    return list(found.values())


def _frames_of(path: Path, split: str) -> LabeledFrames:
    with reading(path), open_checked(path) as file:
        kind = check_kind(path, file, None)
    if kind == "dataset":
        content = read_dataset(path)
        if split in content.splits and not len(content.splits[split]):
            raise InputError(f"no frame in split {split}", where=path)
        return LabeledFrames(content.material, (path,), split, content.document["potential"])
    if kind != "trajectory":
        raise InputError(
            "wrong kind of file", where=path, expected="dataset or trajectory", found=kind
        )
    with TrajectoryFile(path) as trajectory:
        check_labels(trajectory)
        if not trajectory.pbc.all():
            raise InputError("cell", where=path, expected="periodic in three directions")
        known = trajectory.provenance
        material = known.material or reduced_formula(trajectory.atomic_numbers)
    return LabeledFrames(material, (path,), None, known.potential)


def predict(
    known: LabeledFrames,
    force_field: ForceField,
    *,
    stride: int = 1,
    n_threads: int = 1,
    progress: Progress | None = None,
) -> tuple[list[str], Predictions]:
    """Names of the runs, and what the force field says of their frames, read block by block.

    Args:
        known: The frames.
        force_field: Who is asked.
        stride: Use every so many frames.
        n_threads: Threads that share the frames.
        progress: Called with the share of a file that is done, and its name.
    """
    runs: list[str] = []
    parts: list[Predictions] = []
    predictor = _Predictor(force_field)
    with ThreadPoolExecutor(n_threads) as pool:
        for samples, share, name in _blocks(known, stride, runs, n_threads * _BATCHES * _BATCH):
            energies, forces = predictor.predict(samples, pool)
            parts.append(
                Predictions(
                    samples.atomic_numbers,
                    energies,
                    forces,
                    samples.energies,
                    samples.forces,
                    samples.temperatures_k,
                    samples.runs,
                    samples.frames,
                )
            )
            if progress is not None:
                progress(share, name)
    joined = {
        f.name: np.concatenate([getattr(part, f.name) for part in parts])
        for f in fields(Predictions)
        if f.name != "atomic_numbers"
    }
    return runs, Predictions(atomic_numbers=parts[0].atomic_numbers, **joined)


def _blocks(
    known: LabeledFrames, stride: int, runs: list[str], size: int
) -> Iterator[tuple[Samples, float, str]]:
    """Yields some frames, the share of all that they complete, and the file; fills in `runs`.

    Args:
        known: The data.
        stride: Use every so many frames.
        runs: Gets the names of the runs.
        size: Frames of a block.
    """
    if known.split is not None:
        path = known.paths[0]
        runs += [source.path for source in read_dataset(path).sources]
        samples = load(path, [known.split])[known.split]
        chosen = np.arange(0, len(samples), stride)
        for begin in range(0, len(chosen), size):
            part = samples.select(chosen[begin : begin + size])
            yield part, min((begin + size) / len(chosen), 1.0), path.name
        return
    composition = None
    for path in known.paths:
        runs.append(path.name)
        with TrajectoryFile(path) as file, located(path):
            numbers = np.sort(file.atomic_numbers)
            if composition is not None and not np.array_equal(numbers, composition):
                raise InputError(
                    f"{known.material} with other atoms",
                    expected=f"the {len(composition)} atoms of {runs[0]}",
                    found=f"{len(numbers)} atoms, {reduced_formula(numbers)}",
                )
            composition = numbers
            n_frames = len(range(0, file.n_frames, stride))
            done = 0
            for block in file.blocks(stride=stride, fields=LABELS):
                for begin in range(0, len(block), size):
                    span = block[begin : begin + size]
                    frames = np.arange(done, done + len(span)) * stride
                    done += len(span)
                    found = _samples(span, known.material, len(runs) - 1, frames)
                    yield found, done / n_frames, path.name


def _samples(block: Trajectory, material: str, run: int, frames: NDArray[np.int64]) -> Samples:
    """Frames of a trajectory, atoms by element: runs may have them in another order."""
    assert block.energies is not None
    assert block.forces is not None
    order = np.argsort(block.atomic_numbers, kind="stable")
    temperature_k = block.provenance.temperature_k
    return Samples(
        material,
        block.atomic_numbers[order],
        block.positions[:, order],
        block.cells,
        block.energies,
        block.forces[:, order],
        np.full(len(block), np.nan if temperature_k is None else temperature_k),
        np.full(len(block), run),
        frames,
    )


class _Predictor:
    """Energies and forces of any frames, over threads, each with an evaluator of its own.

    Frames of the same atoms and cells share an evaluator: making one costs as much as using it.
    """

    def __init__(self, force_field: ForceField) -> None:
        self._force_field = force_field
        self._own = local()

    def predict(self, samples: Samples, pool: Executor) -> tuple[FloatArray, FloatArray]:
        """(n_frames,) eV and (n_frames, n_atoms, 3) eV/Å."""
        parts = [
            samples.select(np.arange(begin, min(begin + _BATCH, len(samples))))
            for begin in range(0, len(samples), _BATCH)
        ]
        found = list(pool.map(self._batch, parts))
        return np.concatenate([e for e, _ in found]), np.concatenate([f for _, f in found])

    def _batch(self, samples: Samples) -> tuple[FloatArray, FloatArray]:
        n, n_atoms = len(samples), samples.n_atoms
        evaluator = self._evaluator(samples)
        positions = samples.positions.reshape(-1, 3)
        active = np.ones(n, dtype=np.bool_)
        evaluator.evaluate(beside(evaluator, positions), beside(evaluator, active))
        return on_host(evaluator.energies), on_host(evaluator.forces).reshape(n, n_atoms, 3)

    def _evaluator(self, samples: Samples) -> Evaluator:
        last: tuple[Samples, Evaluator] | None = getattr(self._own, "last", None)
        if (
            last is not None
            and np.array_equal(last[0].cells, samples.cells)
            and np.array_equal(last[0].atomic_numbers, samples.atomic_numbers)
        ):
            return last[1]
        n, n_atoms = len(samples), samples.n_atoms
        systems = Systems(
            np.tile(samples.atomic_numbers, n), samples.cells, np.arange(n + 1) * n_atoms
        )
        evaluator = self._force_field.evaluator(systems)
        self._own.last = samples, evaluator
        return evaluator
