"""Trajectories that a dataset is made from: read once, held against each other, counted."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mdbench.errors import InputError
from mdbench.samples import FloatArray, HashArray, IntArray, frame_hashes, label_hashes
from mdbench.stages.dataset_file import LABELS, Split, atoms, check_labels
from mdbench.store import Input, TrajectoryFile
from mdbench.training.sampling import RunSplit
from mdbench.trajectory import Provenance

BoolArray = NDArray[np.bool_]
Progress = Callable[[float, str], None]


@dataclass(frozen=True)
class LabeledRun:
    """One trajectory as it was read; F frames.

    Attributes:
        path: The file.
        source: Its checksum.
        provenance: What is known about it.
        atomic_numbers: (n_atoms,)
        interval_fs: Time between frames, fs; None without a time axis.
        hashes: (F,) of the geometries.
        labels: (F,) of energies and forces.
        energies: (F,) eV.
        squares: (F,) (eV/Å)², mean square of the force components.
        largest: (F,) eV/Å, largest force component.
    """

    path: Path
    source: Input
    provenance: Provenance
    atomic_numbers: IntArray
    interval_fs: float | None
    hashes: HashArray
    labels: HashArray
    energies: FloatArray
    squares: FloatArray
    largest: FloatArray

    def __len__(self) -> int:
        return len(self.hashes)

    @property
    def key(self) -> tuple[float, int, str]:
        """Its place among the runs, whatever its file is called."""
        known = self.provenance
        t = -1.0 if known.temperature_k is None else known.temperature_k
        replica = -1 if known.replica is None else known.replica
        return t, replica, hashlib.sha256(self.hashes.tobytes()).hexdigest()


def read_run(path: Path, source: Input, progress: Progress | None) -> LabeledRun:
    """Reads a run once; refuses one whose energies or forces are not all there."""
    hashes, labels, energies, squares, largest = [], [], [], [], []
    done = 0
    with TrajectoryFile(path) as file:
        check_labels(file)
        if not file.pbc.all():
            raise InputError("cell", where=path, expected="periodic in three directions")
        for block in file.blocks(fields=LABELS):
            assert block.energies is not None
            assert block.forces is not None
            components = np.asarray(block.forces, dtype=np.float64).reshape(len(block), -1)
            for name, values in (("energy", block.energies[:, None]), ("forces", components)):
                bad = ~np.isfinite(values).all(axis=1)
                if bad.any():
                    raise InputError(
                        f"{name} of frame {done + int(bad.argmax())}",
                        where=path,
                        expected="finite",
                        found="NaN or inf",
                        remedy="leave the frame or the file out",
                    )
            hashes.append(frame_hashes(file.atomic_numbers, block.positions, block.cells))
            labels.append(label_hashes(block.energies, block.forces))
            energies.append(block.energies)
            squares.append(np.einsum("fi,fi->f", components, components) / components.shape[1])
            largest.append(np.abs(components).max(axis=1))
            done += len(block)
            if progress is not None:
                progress(done / file.n_frames, path.name)
        return LabeledRun(
            path,
            source,
            file.provenance,
            np.asarray(file.atomic_numbers, dtype=np.int64),
            file.frame_interval_fs,
            np.concatenate(hashes),
            np.concatenate(labels),
            np.concatenate(energies),
            np.concatenate(squares),
            np.concatenate(largest),
        )


def check_together(runs: Sequence[LabeledRun], *, force: bool) -> list[str]:
    """Notes on runs that are put together; refuses those that do not belong together."""
    first = runs[0]
    potentials = dict.fromkeys(one.provenance.potential or "unknown" for one in runs)
    for one in runs[1:]:
        if not np.array_equal(one.atomic_numbers, first.atomic_numbers):
            raise InputError(
                "other atoms, or in another order",
                where=one.path,
                expected=f"the {atoms(first.atomic_numbers)}, of {first.path}",
                found=atoms(one.atomic_numbers),
                remedy="one dataset for each",
            )
    if len(potentials) == 1:
        return []
    if not force:
        raise InputError(
            "energies and forces of several potentials",
            found="; ".join(potentials),
            remedy="name the files of one, or --force",
        )
    return [f"energies and forces of several potentials: {'; '.join(potentials)}"]


def usable_frames(runs: Sequence[LabeledRun], gaps: Sequence[int]) -> tuple[list[BoolArray], int]:
    """Which frames of each run may be drawn, and how many occurred before.

    A geometry may be drawn where it occurs first. Where a run repeats frames of another one, as
    files of a restart do, those next to them are left out, too: they have neighbors in both.
    """
    every = np.concatenate([one.hashes for one in runs])
    owner = np.repeat(np.arange(len(runs)), [len(one) for one in runs])
    _, first, which = np.unique(every, return_index=True, return_inverse=True)
    origin = first[which]
    new = origin == np.arange(len(every))
    foreign = owner[origin] != owner
    usable = []
    for rank, (one, gap) in enumerate(zip(runs, gaps, strict=True)):
        mine = owner == rank
        if foreign[mine].all():
            raise InputError(
                "the same frames twice",
                where=one.path,
                expected="independent runs",
                found=f"those of {runs[int(owner[origin[mine][0]])].path}",
                remedy="name each run once",
            )
        usable.append(new[mine] & ~_widened(foreign[mine], gap))
    return usable, int((~new).sum())


def _widened(flags: BoolArray, n: int) -> BoolArray:
    """(F,) whether a flag is set at most n frames away."""
    total = np.concatenate([[0], np.cumsum(flags)])
    at = np.arange(len(flags))
    return np.asarray(total[np.minimum(at + n + 1, len(flags))] > total[np.maximum(at - n, 0)])


def gathered(runs: Sequence[LabeledRun], found: Sequence[RunSplit], name: str) -> Split:
    """A split of all runs."""
    each = [split.frames[name] for split in found]
    none = np.empty(0, dtype=np.int64)
    return Split(
        run=np.concatenate([none, *(np.full(len(f), r) for r, f in enumerate(each))]),
        frame=np.concatenate([none, *each]),
        hash=_concatenated([one.hashes[f] for one, f in zip(runs, each, strict=True)]),
        label=_concatenated([one.labels[f] for one, f in zip(runs, each, strict=True)]),
    )


def _concatenated(parts: Sequence[HashArray]) -> HashArray:
    return np.concatenate([np.empty(0, dtype=np.uint64), *parts])


def statistics(runs: Sequence[LabeledRun], split: Split) -> dict[str, Any]:
    """Number of frames in all and by temperature; spread of energies and forces."""
    temperatures = [one.provenance.temperature_k for one in runs]
    counts = dict.fromkeys(temperatures, 0)
    for rank, n in enumerate(np.bincount(split.run, minlength=len(runs)).tolist()):
        counts[temperatures[rank]] += n
    per_temperature = [{"temperature_k": t, "n_frames": n} for t, n in counts.items()]
    document: dict[str, Any] = {"n_frames": len(split), "per_temperature": per_temperature}
    if not len(split):
        return {**document, "energy": None, "forces": None}

    def of(name: str) -> FloatArray:
        each = [getattr(one, name)[split.frame[split.run == r]] for r, one in enumerate(runs)]
        return np.concatenate(each)

    energies = of("energies")
    return {
        **document,
        "energy": {"mean": float(energies.mean()), "sd": float(energies.std()), "unit": "eV"},
        "forces": {
            "rms": math.sqrt(of("squares").mean()),
            "largest": float(of("largest").max()),
            "unit": "eV/A",
        },
    }
