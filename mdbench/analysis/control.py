"""What a control is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Control:
    """One control and what came of it.

    Attributes:
        name: What is controlled.
        expected: The truth.
        found: What was computed.
        passed: Whether they agree.
    """

    name: str
    expected: str
    found: str
    passed: bool
