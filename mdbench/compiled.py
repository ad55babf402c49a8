"""The one way in which mdbench compiles its CPU kernels."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast, overload

import numba

F = TypeVar("F", bound=Callable[..., Any])


@overload
def compiled(function: F) -> F: ...
@overload
def compiled(*, any_order: bool) -> Callable[[F], F]: ...
def compiled(function: F | None = None, *, any_order: bool = False) -> F | Callable[[F], F]:
    """A function as machine code: cached on disk, and without holding the interpreter's lock.

    numba's cache looks at the file of the function alone. A kernel that calls one of another file
    would go on with the old one after an edit or an upgrade there, so the files of all kernels that
    are called count here.

    Args:
        function: The kernel.
        any_order: Sums may be taken in any order, as vector units do: their last bits then depend
            on the processor.
    """
    return partial(_compiled, any_order=any_order) if function is None else _compiled(function)


def _compiled(function: F, *, any_order: bool = False) -> F:
    fastmath = {"reassoc", "contract"} if any_order else False
    try:
        made = numba.njit(cache=True, nogil=True, fastmath=fastmath)(function)
    except RuntimeError:  # nowhere to keep it: neither the installation nor a home can be written
        return cast(F, numba.njit(nogil=True, fastmath=fastmath)(function))
    known = function.__globals__
    called = (known.get(name) for name in function.__code__.co_names)
    files = {function.__code__.co_filename}.union(*(getattr(k, "_sources", ()) for k in called))
    made._sources = files
    stamp = tuple(sorted((f, *_stamp(f)) for f in files))
    index = made._cache._cache_file
    index._source_stamp = (index._source_stamp, stamp)
    return cast(F, made)


def _stamp(file: str) -> tuple[float, int]:
    """Time of the last change and size of a source file."""
    known = Path(file).stat()
    return known.st_mtime, known.st_size
