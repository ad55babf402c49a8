"""Modules of compiled loops, whose twins in torch take over where numba is not installed."""

from __future__ import annotations

import functools
from importlib import import_module
from typing import Any


@functools.cache
def compiled_module(name: str) -> Any:
    """The module mdbench.<name>; None on a bare GPU machine without numba."""
    try:
        return import_module(f"mdbench.{name}")
    except ImportError:
        return None
