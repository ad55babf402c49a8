"""What a running simulation leaves on disk, so that it can be killed at any moment.

`NAME.part` is a journal: a header of fixed size, then one record of fixed size per frame. It is not
HDF5: a process that is killed while HDF5 writes leaves a file that nobody can open. `NAME.state`
(arrays, no pickle) is what the engine goes on from, and says how many frames belong to it; it is
replaced at once, after its frames, and frames beyond it are cut off. When the run is over, the
journal becomes `NAME.h5`, and both are gone.
"""

from __future__ import annotations

import io
import json
import os
import tokenize
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mdbench.errors import InputError
from mdbench.md.frames import Frames, Recording
from mdbench.store import write_error

_MAGIC = "mdbench journal 1"
_HEADER_BYTES = 16_384
_BLOCK_BYTES = 1 << 23
_N_FRAMES = "journal.n_frames"
#: What numpy raises where an archive of arrays is damaged, or something else.
_DAMAGE = (
    OSError,
    ValueError,
    KeyError,
    EOFError,
    TypeError,
    AttributeError,
    NotImplementedError,
    OverflowError,
    RuntimeError,
    MemoryError,
    SyntaxError,
    tokenize.TokenError,
    zipfile.BadZipFile,
)


def record_type(n_atoms: int, recording: Recording, *, float64: bool) -> np.dtype[Any]:
    """One frame: step, time (ps), energies (eV), temperature (K), positions (Å), what is kept."""
    real = "<f8" if float64 else "<f4"
    fields: list[Any] = [
        ("step", "<i8"),
        ("time", "<f8"),
        ("potential_energy", "<f8"),
        ("kinetic_energy", "<f8"),
        ("temperature", "<f8"),
        ("conserved_energy", "<f8"),
        ("pressure", "<f8"),
        ("position", real, (n_atoms, 3)),
    ]
    fields += [("velocity", real, (n_atoms, 3))] if recording.velocities else []
    fields += [("forces", real, (n_atoms, 3))] if recording.forces else []
    fields += [("stress", "<f8", (3, 3))] if recording.stresses else []
    return np.dtype(fields)


class Journal:
    """The journal of one run, beside the name that its trajectory will have.

    Args:
        target: Name of the finished file.
        record: Type of a frame.
        settings: All that the run depends on, plain JSON values.
    """

    def __init__(self, target: Path, record: np.dtype[Any], settings: dict[str, Any]) -> None:
        self.target = target
        self.part = target.with_suffix(".part")
        self.state = target.with_suffix(".state")
        self._record = record
        self._header = _MAGIC + " " + json.dumps(settings, sort_keys=True)
        self._begun = False
        if len(self._header) > _HEADER_BYTES:
            raise ValueError("header too long")

    def resume(self) -> dict[str, NDArray[Any]] | None:
        """The engine's snapshot to go on from; None where there is nothing to go on from.

        Raises:
            InputError: What is there was made with other settings, or is damaged.
        """
        if not self.state.exists() or not self.part.exists():
            return None
        with self.part.open("rb") as file:
            header = file.read(_HEADER_BYTES).decode(errors="replace").rstrip()
        if header != self._header:
            raise InputError(
                "a run that was begun with other settings",
                where=self.part,
                expected="the same settings",
                found=_difference(header, self._header),
                remedy="--update starts it anew",
            )
        try:
            with (
                self.state.open("rb") as file,
                np.load(file, allow_pickle=False) as stored,
                warnings.catch_warnings(),
            ):
                warnings.simplefilter("ignore")  # of headers that only damage makes odd
                snapshot = {name: stored[name] for name in stored.files}
            if not all(isinstance(value, np.ndarray) for value in snapshot.values()):
                raise ValueError("members that are no arrays")
            n_frames = int(snapshot.pop(_N_FRAMES))
            if n_frames < 0:
                raise ValueError("fewer frames than none")
        except _DAMAGE as error:
            raise InputError(
                "damaged state of a run", where=self.state, remedy="--update starts it anew"
            ) from error
        size = _HEADER_BYTES + n_frames * self._record.itemsize
        if self.part.stat().st_size < size:
            raise InputError(
                "frames are missing", where=self.part, remedy="--update starts it anew"
            )
        os.truncate(self.part, size)
        self._begun = True
        return snapshot

    def begin(self) -> None:
        """An empty journal; what was there is gone."""
        try:
            self.part.parent.mkdir(parents=True, exist_ok=True)
            self.discard()
            self.part.write_bytes(self._header.encode().ljust(_HEADER_BYTES))
        except OSError as error:
            raise write_error(self.part, error) from error
        self._begun = True

    def append(self, frames: Frames, snapshot: dict[str, NDArray[Any]]) -> None:
        """Adds frames, then replaces the state by that after them; the first ones begin it."""
        if not self._begun:
            self.begin()
        records = np.empty(len(frames.steps), dtype=self._record)
        for name, values in (
            ("step", frames.steps),
            ("time", frames.times_ps),
            ("potential_energy", frames.potential_energies),
            ("kinetic_energy", frames.kinetic_energies),
            ("temperature", frames.temperatures_k),
            ("conserved_energy", frames.conserved_energies),
            ("pressure", frames.pressures),
            ("position", frames.positions),
            ("velocity", frames.velocities),
            ("forces", frames.forces),
            ("stress", frames.stresses),
        ):
            if name in (self._record.names or ()):
                records[name] = values
        try:
            with self.part.open("ab") as file:
                file.write(records.tobytes())
                n_frames = (file.tell() - _HEADER_BYTES) // self._record.itemsize
            content = io.BytesIO()
            arrays: dict[str, Any] = {**snapshot, _N_FRAMES: np.array(n_frames)}
            np.savez(content, **arrays)
            fresh = self.state.with_name(self.state.name + ".new")
            fresh.write_bytes(content.getvalue())
            fresh.replace(self.state)
        except OSError as error:
            raise write_error(self.part, error) from error

    @property
    def n_frames(self) -> int:
        """Frames that are there."""
        return (self.part.stat().st_size - _HEADER_BYTES) // self._record.itemsize

    def blocks(self) -> Iterator[NDArray[Any]]:
        """Yields the records in blocks of bounded size."""
        size = max(1, _BLOCK_BYTES // self._record.itemsize)
        with self.part.open("rb") as file:
            file.seek(_HEADER_BYTES)
            while len(block := np.fromfile(file, dtype=self._record, count=size)):
                yield block

    @property
    def exists(self) -> bool:
        """Whether anything of it is there."""
        return self.part.exists() or self.state.exists()

    def discard(self) -> None:
        """Removes journal and state."""
        self._begun = False
        self.part.unlink(missing_ok=True)
        self.state.unlink(missing_ok=True)


def _difference(found: str, expected: str) -> str:
    """The first setting that is another one, as found."""
    try:
        known, asked = (json.loads(text.removeprefix(_MAGIC)) for text in (found, expected))
    except (ValueError, RecursionError):
        return "another kind of file"
    if not isinstance(known, dict):
        return "another kind of file"
    names = [name for name in {**asked, **known} if known.get(name) != asked.get(name)]
    if not names:
        return "other settings"
    return f"{names[0]} = {known.get(names[0])} instead of {asked.get(names[0])}"
