"""Frames with energies and forces, out of their order in time; and what tells two frames apart."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mdbench.errors import InputError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
HashArray = NDArray[np.uint64]


@dataclass(frozen=True)
class Samples:
    """Sampled frames of one material with energies and forces.

    Attributes:
        material: Name of the material.
        atomic_numbers: (n_atoms,)
        positions: (n_frames, n_atoms, 3) Å, Cartesian, unwrapped.
        cells: (n_frames, 3, 3) Å, row vectors.
        energies: (n_frames,) eV, potential energy.
        forces: (n_frames, n_atoms, 3) eV/Å.
        temperatures_k: (n_frames,) K, of the run that a frame is from; NaN where unknown.
        runs: (n_frames,) index of the trajectory that a frame is from.
        frames: (n_frames,) its number there.

    Raises:
        InputError: Shapes that do not fit, or numbers that are not finite.
    """

    material: str
    atomic_numbers: IntArray
    positions: FloatArray
    cells: FloatArray
    energies: FloatArray
    forces: FloatArray
    temperatures_k: FloatArray
    runs: IntArray
    frames: IntArray

    def __post_init__(self) -> None:
        if np.ndim(self.positions) != 3:
            found = np.shape(self.positions)
            raise InputError("positions", expected="(frames, atoms, 3)", found=found)
        n_frames, n_atoms = np.shape(self.positions)[:2]
        if n_atoms == 0:
            raise InputError("samples", expected="at least one atom", found="none")
        arrays: dict[str, tuple[Any, tuple[int, ...]]] = {
            "atomic_numbers": (np.int64, (n_atoms,)),
            "positions": (np.float64, (n_frames, n_atoms, 3)),
            "cells": (np.float64, (n_frames, 3, 3)),
            "energies": (np.float64, (n_frames,)),
            "forces": (np.float64, (n_frames, n_atoms, 3)),
            "temperatures_k": (np.float64, (n_frames,)),
            "runs": (np.int64, (n_frames,)),
            "frames": (np.int64, (n_frames,)),
        }
        for name, (dtype, shape) in arrays.items():
            array = np.asarray(getattr(self, name), dtype=dtype)
            if array.shape != shape:
                raise InputError(name, expected=f"shape {shape}", found=array.shape)
            if name in ("positions", "cells", "energies", "forces"):
                _check_finite(name, array)
            view = array.view()
            view.flags.writeable = False
            object.__setattr__(self, name, view)

    def __len__(self) -> int:
        return int(self.positions.shape[0])

    @property
    def n_atoms(self) -> int:
        """Number of atoms."""
        return int(self.positions.shape[1])

    def select(self, index: ArrayLike) -> Self:
        """The samples of an index or boolean array, in its order."""
        chosen = np.asarray(index)
        if not chosen.size:
            chosen = chosen.astype(np.int64)
        return type(self)(
            self.material,
            self.atomic_numbers,
            self.positions[chosen],
            self.cells[chosen],
            self.energies[chosen],
            self.forces[chosen],
            self.temperatures_k[chosen],
            self.runs[chosen],
            self.frames[chosen],
        )


def _check_finite(name: str, array: FloatArray) -> None:
    good = np.isfinite(array).all(axis=tuple(range(1, array.ndim)))
    if not good.all():
        sample = int(np.flatnonzero(~good)[0])
        raise InputError(f"{name} of sample {sample}", expected="finite", found="NaN or inf")


def frame_hashes(atomic_numbers: ArrayLike, positions: ArrayLike, cells: ArrayLike) -> HashArray:
    """(n_frames,) what tells geometries apart: the first 8 bytes of a sha256 of each frame.

    Of the atomic numbers (int64), positions and cell in single precision, little-endian: a frame
    has the same one whether its file stores single or double precision.

    Args:
        atomic_numbers: (n_atoms,)
        positions: (n_frames, n_atoms, 3) Å.
        cells: (n_frames, 3, 3) Å.
    """
    atoms = np.ascontiguousarray(atomic_numbers, dtype="<i8").tobytes()
    return _hashes(atoms, _single(positions), _single(cells))


def label_hashes(energies: ArrayLike, forces: ArrayLike) -> HashArray:
    """(n_frames,) what tells energies and forces apart, in the same way.

    Args:
        energies: (n_frames,) eV, in double precision.
        forces: (n_frames, n_atoms, 3) eV/Å, in single precision.
    """
    return _hashes(b"", np.ascontiguousarray(energies, dtype="<f8")[:, None], _single(forces))


def _single(values: ArrayLike) -> NDArray[Any]:
    return np.ascontiguousarray(values, dtype="<f4")


def _hashes(start: bytes, *parts: NDArray[Any]) -> HashArray:
    common = hashlib.sha256(start)
    digests = bytearray()
    for rows in zip(*parts, strict=True):
        digest = common.copy()
        for row in rows:
            digest.update(row)
        digests += digest.digest()[:8]
    return np.frombuffer(bytes(digests), dtype="<u8").astype(np.uint64)
