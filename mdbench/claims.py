"""Files that one process makes at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mdbench.errors import InputError


@contextmanager
def claimed(path: Path) -> Iterator[None]:
    """While it lasts, no other process that asks makes what belongs at a path.

    The lock is on an open file, `NAME.lock` beside it: it ends with the process, however that
    ends, and what is left of the file means nothing. A file system without locks has none.

    Args:
        path: What is to be made; its folder is made, too.

    Raises:
        InputError: Another process makes it, or nothing can be written there.
    """
    lock = path.with_name(path.name + ".lock")
    made = [folder for folder in lock.parents if not folder.exists()]
    try:
        descriptor = _locked(lock, path)
        while not _stands(descriptor, lock):  # its last holder took it away
            os.close(descriptor)
            descriptor = _locked(lock, path)
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror or error}", where=path) from error
    try:
        yield
    finally:
        with suppress(OSError):
            lock.unlink()
            for folder in made:  # where nothing came of it
                folder.rmdir()
        os.close(descriptor)


def _locked(lock: Path, path: Path) -> int:
    """The open file of a lock that is ours."""
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    lock.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(lock, flags, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise InputError(
            "another process is making this", where=path, remedy="wait for it, or write elsewhere"
        ) from error
    except OSError:
        pass  # no locks here
    return descriptor


def _stands(descriptor: int, lock: Path) -> bool:
    """Whether the open file is the one of that name."""
    try:
        return os.path.samestat(os.fstat(descriptor), lock.stat())
    except FileNotFoundError:
        return False
