"""Python's garbage collector, kept away from what lives on."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def leaving_old_objects() -> Iterator[None]:
    """While it lasts, the collector does not visit the objects that there are at its beginning.

    With torch loaded these are so many that a full round takes 0.1 s, as long as tens of steps of a
    small model, which make just enough objects for one round every hundred steps.
    """
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
