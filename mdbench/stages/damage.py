"""One line where a stored result is not what its stage writes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mdbench.errors import InputError

_DAMAGE = (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError)


@contextmanager
def undamaged(path: Path, command: str) -> Iterator[None]:
    """Turns what reading a damaged result raises into one line.

    Args:
        path: The file.
        command: That writes such files.
    """
    try:
        yield
    except _DAMAGE as error:
        raise InputError(
            "damaged result",
            where=path,
            expected=f"what `mdbench {command}` writes",
            found=f"{type(error).__name__} {error}",
            remedy="make it again",
        ) from error
