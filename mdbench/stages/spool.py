"""Paths of many atoms over many frames: in memory where they fit, else in a temporary file."""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Sequence
from contextlib import suppress
from typing import IO, NoReturn, overload

import numpy as np
from numpy.typing import NDArray

from mdbench.errors import InputError

FloatArray = NDArray[np.float64]

#: Paths that are larger are kept in a file, bytes.
IN_MEMORY = 1 << 28


class Spool(Sequence[FloatArray]):
    """n_rows arrays (3, n_frames), written block of frames by block, read row by row.

    The file has no name and is gone with the object.
    """

    def __init__(self, n_rows: int, n_frames: int) -> None:
        self._shape = (n_rows, 3, n_frames)
        try:
            self._file = tempfile.TemporaryFile(prefix="mdbench-")  # noqa: SIM115
        except OSError as error:
            _refuse(error)
        weakref.finalize(self, _close, self._file)

    def write(self, start: int, block: FloatArray) -> None:
        """Stores frames from `start` on: (n_rows, 3, n_block)."""
        try:
            for row, path in enumerate(np.ascontiguousarray(block, dtype=np.float64)):
                for axis, values in enumerate(path):
                    self._file.seek(8 * (self._shape[2] * (3 * row + axis) + start))
                    self._file.write(values.data)
            self._file.flush()
        except OSError as error:
            _refuse(error)

    def __len__(self) -> int:
        return self._shape[0]

    @overload
    def __getitem__(self, row: int) -> FloatArray: ...
    @overload
    def __getitem__(self, row: slice) -> list[FloatArray]: ...
    def __getitem__(self, row: int | slice) -> FloatArray | list[FloatArray]:
        if isinstance(row, slice):
            return [self[i] for i in range(*row.indices(len(self)))]
        if not 0 <= row < len(self):
            raise IndexError(row)
        size = 3 * self._shape[2]
        self._file.seek(8 * size * row)
        return np.frombuffer(self._file.read(8 * size)).reshape(3, -1)


def _close(file: IO[bytes]) -> None:
    with suppress(OSError):  # what is left to be written on a full disk
        file.close()


def _refuse(error: OSError) -> NoReturn:
    raise InputError(
        f"no room for the paths of the atoms: {error.strerror}",
        where=tempfile.gettempdir(),
        remedy="free space, or set TMPDIR to a folder with more",
    ) from error


class Rows(Sequence[FloatArray]):
    """Some rows of a spool."""

    def __init__(self, spool: Spool, rows: NDArray[np.int64]) -> None:
        self._spool, self._rows = spool, rows

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, row: int) -> FloatArray: ...
    @overload
    def __getitem__(self, row: slice) -> list[FloatArray]: ...
    def __getitem__(self, row: int | slice) -> FloatArray | list[FloatArray]:
        if isinstance(row, slice):
            return [self._spool[int(i)] for i in self._rows[row]]
        return self._spool[int(self._rows[row])]
