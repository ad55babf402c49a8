"""The one way in which mdbench compiles its CPU kernels."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """A function as machine code: cached on disk, and without holding the interpreter's lock."""
    return cast(F, numba.njit(cache=True, nogil=True)(function))
