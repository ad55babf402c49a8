"""Bytes of a file in bounded pieces, decompressed on the fly, also where the file was cut off."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from pathlib import Path
from typing import Any, Self

from mdbench.errors import InputError

#: Bytes that are read at a time.
PIECE = 1 << 22
_SMALL_READ = 1 << 16

_MAGIC: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open}


class ByteStream:
    """A file's content in pieces: plain, .gz, .bz2 or .xz, told apart by its first bytes.

    Attributes:
        truncated: The compressed stream ended in the middle; what came before it was given.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.truncated = False
        try:
            self._raw = path.open("rb")
            magic = self._raw.read(6)
            self._raw.seek(0)
            self._size = max(path.stat().st_size, 1)
        except IsADirectoryError as error:
            raise InputError("a folder", where=path, expected="a trajectory file") from error
        except FileNotFoundError as error:
            raise InputError("no such file", where=path) from error
        except OSError as error:
            raise InputError(f"cannot be read: {error.strerror}", where=path) from error
        if not magic:
            self._raw.close()
            raise InputError("empty file", where=path, expected="a trajectory")
        opener = next((o for m, o in _MAGIC.items() if magic.startswith(m)), None)
        self._data: Any = self._raw if opener is None else opener(self._raw, "rb")

    def read(self, size: int = PIECE) -> bytes:
        """The next bytes, at most `size`; empty at the end."""
        parts: list[bytes] = []
        missing = size
        try:
            # in small reads, so that a stream that breaks off gives all that came before
            while missing and (part := self._data.read1(min(missing, _SMALL_READ))):
                parts.append(part)
                missing -= len(part)
            return b"".join(parts)
        except EOFError:
            self.truncated = True
            return b"".join(parts)
        except (OSError, zlib.error, lzma.LZMAError) as error:
            raise InputError(
                "damaged compressed file",
                where=self.path,
                expected="an intact stream",
                found=str(error),
                remedy="copy or compress it again",
            ) from error

    def fraction(self) -> float:
        """How much of the file has been read, 0 to 1."""
        return 1.0 if self._raw.closed else self._raw.tell() / self._size

    def close(self) -> None:
        """Closes the file."""
        self._data.close()
        self._raw.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def peek(path: Path, size: int = 1 << 16) -> bytes:
    """The first decompressed bytes of a file: enough to tell its format."""
    with ByteStream(path) as stream:
        return stream.read(size)
