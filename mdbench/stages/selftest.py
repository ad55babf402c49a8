"""Runs the controls: known answers and planted faults."""

from __future__ import annotations

from mdbench.analysis.control import Control
from mdbench.analysis.controls import all_controls


def run(*, seed: int = 0) -> list[Control]:
    """Every control with its outcome."""
    return list(all_controls(seed))
