"""Tensors in safetensors files: read without trust, written whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from mdbench.errors import InputError

#: Larger ones are no checkpoint of ours.
_MOST_BYTES = 1 << 34
_KEY = "mdbench"


def packed(tensors: Mapping[str, Tensor], about: Mapping[str, Any] | None = None) -> bytes:
    """The content of a safetensors file.

    Args:
        tensors: By name.
        about: What else is stored, plain JSON values.
    """
    metadata = None if about is None else {_KEY: json.dumps(about)}
    return save({name: t.detach().cpu().contiguous() for name, t in tensors.items()}, metadata)


def unpacked(content: bytes, path: Path) -> dict[str, Tensor]:
    """The tensors in the content of a safetensors file.

    Raises:
        InputError: It is damaged or something else.
    """
    try:
        return load(content)
    except (SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise InputError("damaged or no safetensors file", where=path) from error


def about(content: bytes, path: Path) -> dict[str, Any]:
    """What `packed` stored beside the tensors.

    Raises:
        InputError: There is nothing, or it is damaged.
    """
    try:
        size = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + size])
        found = json.loads(header["__metadata__"][_KEY])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError("damaged or no file of mdbench", where=path) from error
    if not isinstance(found, dict):
        raise InputError("damaged or no file of mdbench", where=path)
    return found


def read_bytes(path: Path, *, most: int = _MOST_BYTES) -> bytes:
    """The content of a file that is not too large.

    Raises:
        InputError: It is not there, cannot be read, or is too large.
    """
    if not path.exists():
        raise InputError("no such file", where=path)
    if not path.is_file():
        raise InputError("not a regular file", where=path)
    try:
        size = path.stat().st_size
        if size > most:
            raise InputError("too large", where=path, expected=f"at most {most:,} bytes")
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", where=path) from error


def write_bytes(path: Path, content: bytes) -> None:
    """Makes a file of the content, or replaces one: whole, or not at all.

    Raises:
        InputError: It cannot be written.
    """
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        raise InputError(f"cannot be written: {error.strerror or error}", where=path) from error
