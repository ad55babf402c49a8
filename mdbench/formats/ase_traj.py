"""ASE .traj files, read without running anything that is in them.

The file is a ulm container: JSON per frame, arrays before it, an index of the frames. Only plain
JSON and arrays of numbers are taken; constraints and calculators are never built, and the pickled
files of old ASE versions are refused by name.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Generator
from contextlib import ExitStack, closing
from itertools import pairwise
from pathlib import Path
from typing import IO, Any

import numpy as np
from ase.data import atomic_masses
from numpy.typing import NDArray

from mdbench.errors import InputError
from mdbench.formats._stream import ByteStream, peek
from mdbench.formats.base import Frames, Header, Hints, Source, stack
from mdbench.units import ASE_TIME_IN_FS

_MAGIC = (b"- of Ulm", b"AFFormat")
_PICKLE = b"PickleTrajectory"
_TAG = b"ASE-Trajectory"
_HEADER_BYTES = 48
_BLOCK_BYTES = 1 << 23
_BLOCK_FRAMES = 1024
_TYPES = {
    name: np.dtype(name).newbyteorder("<")
    for name in (
        *("float16", "float32", "float64", "bool"),
        *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    )
}
#: What reading broken JSON or a broken array can raise.
_DAMAGE = (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError)


def looks_like_ase_traj(name: str, head: bytes) -> bool:
    """Whether a file is a ulm container, or one of the pickled .traj files of old."""
    binary = any(byte < 9 or byte > 126 for byte in head[:64])
    return head.startswith((*_MAGIC, _PICKLE)) or (name.lower().endswith(".traj") and binary)


def open_ase_traj(path: Path, hints: Hints) -> Source:
    """An ASE .traj file, also compressed; it has no times, and its index tells its frames.

    Velocities are the momenta over the file's masses. Of a file that was cut off, the frames
    before the cut are read where the index survived.
    """
    del hints  # a .traj says everything but the time between its frames
    container = _Ulm(path)
    try:
        if container.is_cut_off(0):
            raise InputError(
                "cut off in the first frame",
                where=path,
                expected="at least one complete frame",
                remedy="copy the file again",
            )
        first = container.item(0)
        header, masses = _header(container, first)
    except BaseException:
        container.close()
        raise
    notes: list[str] = []
    if masses is not None and not np.array_equal(masses, atomic_masses[header.atomic_numbers]):
        notes.append("masses other than the standard ones turned the momenta into velocities")
    return Source(
        path=path,
        format="ASE .traj",
        header=header,
        blocks=_blocks(container, header, masses, notes),
        notes=notes,
        fraction=lambda: container.n_read / container.n_items,
    )


class _Ulm:
    """The frames of a ulm container: where they are, their JSON and their arrays."""

    def __init__(self, path: Path) -> None:
        self.path = path
        _check_kind(path, peek(path, 64))
        self._file = _plain_file(path)
        try:
            self._size = self._file.seek(0, os.SEEK_END)
            self._offsets = self._read_index()
        except BaseException:
            self._file.close()
            raise
        self.n_items = len(self._offsets) - 1
        self.n_read = 0

    def close(self) -> None:
        self._file.close()

    def is_cut_off(self, index: int) -> bool:
        """Whether the file ended before the frame did; then all frames behind it are gone, too."""
        start, next_start = self._offsets[index : index + 2]
        if next_start <= self._size and index + 1 < self.n_items:
            return False
        return start + 8 > self._size or start + 8 + self._integers(start, 1)[0] > self._size

    def item(self, index: int) -> dict[str, Any]:
        """The JSON of a frame as a dictionary."""
        try:
            start = self._offsets[index]
            data = json.loads(self._read(start + 8, int(self._integers(start, 1)[0])))
            if not isinstance(data, dict):
                raise TypeError("no JSON object")
        except _DAMAGE as error:
            raise self.damage(index, error) from error
        return data

    def array(self, data: dict[str, Any], name: str) -> NDArray[Any] | None:
        """The named array of a frame, from its place in the file or from the JSON itself."""
        if name + "." in data:
            shape, kind, offset = data[name + "."]["ndarray"]
            shape = [int(n) for n in shape]
            count = int(np.prod(shape, dtype=object))
            dtype = _TYPES[kind]
            text = self._read(int(offset), count * dtype.itemsize)
            if data.get("_little_endian") is False:
                dtype = dtype.newbyteorder(">")
            values = np.frombuffer(text, dtype=dtype)
            return values.reshape(shape)
        value = data.get(name)
        if isinstance(value, dict) and "__ndarray__" in value:
            shape, kind, values = value["__ndarray__"]
            return np.array(values, dtype=_TYPES[kind]).reshape(shape)
        return None if value is None else np.asarray(value, dtype=np.float64)

    def damage(self, index: int, error: Exception) -> InputError:
        """What a broken frame is reported as."""
        return InputError(
            "damaged frame",
            where=f"{self.path}: frame {index}",
            expected="the JSON and arrays of an ASE frame",
            found=f"{type(error).__name__} {error}"[:120],
            remedy="copy or write the file again",
        )

    def _read_index(self) -> list[int]:
        if self._size < _HEADER_BYTES:
            raise self._index_error(f"{self._size} bytes")
        n_items, at = self._integers(32, 2)
        if n_items == 0:
            raise InputError("no frames", where=self.path, expected="at least one")
        if not 0 < n_items <= self._size // 8 or not 0 < at <= self._size - 8 * n_items:
            raise self._index_error(f"{n_items} frames in {self._size} bytes")
        offsets = self._integers(at, n_items)
        if offsets[0] < 0 or any(b <= a for a, b in pairwise(offsets)):
            raise self._index_error("frames that overlap")
        return [*offsets, 1 << 63]

    def _index_error(self, found: str) -> InputError:
        return InputError(
            "index of the frames is damaged or cut off",
            where=self.path,
            expected="a complete ASE .traj file",
            found=found,
            remedy="copy or write the file again",
        )

    def _integers(self, at: int, count: int) -> list[int]:
        numbers: list[int] = np.frombuffer(self._read(at, 8 * count), dtype="<i8").tolist()
        return numbers

    def _read(self, at: int, size: int) -> bytes:
        if at < 0 or size < 0 or at + size > self._size:
            raise ValueError(f"bytes {at} to {at + size} of a file of {self._size}")
        try:
            self._file.seek(at)
            return self._file.read(size)
        except OSError as error:
            raise InputError(f"cannot be read: {error.strerror}", where=self.path) from error


def _check_kind(path: Path, head: bytes) -> None:
    """Refuses what is no ASE trajectory, above all pickles: loading one runs what is in it."""
    if head.startswith(_MAGIC) and head[8:24].strip(b" ") == _TAG:
        return
    remedy = None
    found = f"bytes {head[:8].hex(' ')}"
    if head.startswith(_MAGIC):
        found = f"a ulm file of kind {head[8:24].decode('latin-1').strip()!r}"
    elif head.startswith((_PICKLE, b"\x80")):
        found = "a pickled file, which could run any program"
        remedy = "if you trust where it comes from, convert it with `python -m ase.io.trajectory`"
    raise InputError(
        "not an ASE trajectory",
        where=path,
        expected="'- of UlmASE-Trajectory' at the start",
        found=found,
        remedy=remedy,
    )


def _plain_file(path: Path) -> IO[bytes]:
    """The open file; a compressed one as a temporary file that vanishes when it is closed."""
    with path.open("rb") as file:
        if file.read(8) in _MAGIC:
            return path.open("rb")
    with ByteStream(path) as stream, ExitStack() as on_error:
        plain = on_error.enter_context(tempfile.TemporaryFile(prefix="mdbench-"))
        try:
            while piece := stream.read():
                plain.write(piece)
            plain.flush()
        except OSError as error:
            raise InputError(
                f"no room to decompress it: {error.strerror}",
                where=path,
                remedy="set TMPDIR to a folder with space, or decompress it yourself",
            ) from error
        on_error.pop_all()
        return plain


def _header(container: _Ulm, first: dict[str, Any]) -> tuple[Header, NDArray[Any] | None]:
    """What the first frame says about all of them, and the masses where the file has its own."""
    where = f"{container.path}: frame 0"
    try:
        numbers = container.array(first, "numbers")
        masses = container.array(first, "masses")
        pbc = _periodic(first["pbc"])
    except _DAMAGE as error:
        raise container.damage(0, error) from error
    if numbers is None or numbers.ndim != 1 or not len(numbers):
        raise InputError("atomic numbers", where=where, expected="one per atom", found="none")
    bad = ~((numbers >= 1) & (numbers <= 118) & (numbers == np.rint(numbers)))
    if bad.any():
        found = numbers[bad][0]
        raise InputError("atomic numbers", where=where, expected="elements 1 to 118", found=found)
    if masses is not None and (masses.shape != numbers.shape or not (masses > 0).all()):
        raise InputError("masses", where=where, expected="one above 0 per atom")
    return Header(numbers.astype(np.int64), pbc, **_run_of(first)), masses


def _periodic(value: Any) -> NDArray[np.bool_]:
    """(3,) which directions are periodic, as three or one for all."""
    flags = np.asarray(value)
    if flags.dtype.kind not in "bi" or flags.shape not in ((), (3,)):
        raise TypeError("periodic directions that are no truth values")
    return np.broadcast_to(flags.astype(bool), (3,))


def _run_of(first: dict[str, Any]) -> dict[str, Any]:
    """What ASE's description of the run says, as arguments of `Header`."""
    version = first.get("ase_version")
    known: dict[str, Any] = {"code": f"ASE {version}" if isinstance(version, str) else "ASE"}
    run = first.get("description")
    if not isinstance(run, dict):
        return known
    if run.get("type") == "optimization":
        return known | {
            "time_axis": False,
            "no_time_reason": f"an optimization ({run.get('optimizer')})",
        }
    if run.get("type") == "molecular-dynamics":
        timestep, temperature = run.get("timestep"), run.get("temperature_K")
        if isinstance(timestep, float) and 0 < timestep < 1e6:
            known["timestep_fs"] = round(timestep * ASE_TIME_IN_FS, 6)
        if isinstance(temperature, int | float) and 0 < temperature < 1e6:
            known["temperature_k"] = round(float(temperature), 6)
        if isinstance(run.get("md-type"), str):
            known["thermostat"] = run["md-type"]
    return known


def _blocks(
    container: _Ulm, header: Header, masses: NDArray[Any] | None, notes: list[str]
) -> Generator[Frames]:
    size = max(1, min(_BLOCK_FRAMES, _BLOCK_BYTES // (24 * len(header.atomic_numbers))))
    if masses is None:
        masses = atomic_masses[header.atomic_numbers]
    names: set[str] | None = None
    pending: list[dict[str, Any]] = []
    with closing(container):
        for index in range(container.n_items):
            if container.is_cut_off(index):
                notes.append(
                    f"cut off: {index} of {container.n_items} frames are complete, the rest is lost"
                )
                break
            frame = _frame(container, index, header, masses)
            names = set(frame) if names is None else names
            missing = names - set(frame)
            if missing:
                notes.append(f"frame {index} has no {', '.join(sorted(missing))}: left out")
                names -= missing
            pending.append({name: value for name, value in frame.items() if name in names})
            container.n_read = index + 1
            if len(pending) == size:
                yield stack(pending)
                pending = []
        if pending:
            yield stack(pending)


def _frame(container: _Ulm, index: int, header: Header, masses: NDArray[Any]) -> dict[str, Any]:
    """A frame as arguments of `Frames`."""
    data = container.item(index)
    calculator = data.get("calculator.")
    if not isinstance(calculator, dict):
        calculator = {}
    calculator["_little_endian"] = data.get("_little_endian")
    try:
        _check_atoms(container, index, data, header)
        stated = {
            "coordinates": container.array(data, "positions"),
            "cells": container.array(data, "cell"),
            "energies": container.array(calculator, "energy"),
            "forces": container.array(calculator, "forces"),
            "velocities": container.array(data, "momenta"),
            "stresses": container.array(calculator, "stress"),
        }
        frame = {
            name: _shaped(name, value, len(masses))
            for name, value in stated.items()
            if value is not None
        }
    except _DAMAGE as error:
        raise container.damage(index, error) from error
    for name in ("coordinates", "cells"):
        if name not in frame:
            raise InputError("frame without " + name, where=f"{container.path}: frame {index}")
    for name, value in frame.items():
        if not np.isfinite(value).all():
            raise InputError(
                name,
                where=f"{container.path}: frame {index}",
                expected="finite numbers",
                found="NaN or inf",
            )
    if "velocities" in frame:
        frame["velocities"] = frame["velocities"] / (masses[:, None] * ASE_TIME_IN_FS)
    return frame


def _check_atoms(container: _Ulm, index: int, data: dict[str, Any], header: Header) -> None:
    """Later frames have atoms of their own only where something about them changed."""
    if index == 0:
        return
    numbers = container.array(data, "numbers")
    where = f"{container.path}: frame {index}"
    if numbers is not None and not np.array_equal(numbers, header.atomic_numbers):
        expected, found = f"{len(header.atomic_numbers)} atoms", f"{numbers.size}"
        if numbers.shape == header.atomic_numbers.shape:
            atom = int(np.flatnonzero(numbers != header.atomic_numbers)[0])
            expected = f"atom {atom} of atomic number {header.atomic_numbers[atom]}"
            found = f"{numbers[atom]}"
        raise InputError(
            "other atoms than in frame 0",
            where=where,
            expected=expected,
            found=found,
            remedy="a run keeps its atoms and their order",
        )
    pbc = data.get("pbc")
    if pbc is not None and not (_periodic(pbc) == header.pbc).all():
        raise InputError(
            "periodic directions change", where=where, expected=header.pbc.tolist(), found=pbc
        )


def _shaped(name: str, value: NDArray[Any], n_atoms: int) -> NDArray[np.float64]:
    """The array in the shape and precision of `Frames`; stress from its six Voigt components."""
    value = np.asarray(value, dtype=np.float64)
    if name == "energies":
        return value.reshape(())
    if name == "stresses" and value.shape == (6,):
        return value[[[0, 5, 4], [5, 1, 3], [4, 3, 2]]]
    shape = (3, 3) if name in ("cells", "stresses") else (n_atoms, 3)
    if value.shape != shape:
        raise ValueError(f"{name} of shape {value.shape} instead of {shape}")
    return value
