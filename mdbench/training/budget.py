"""The time that a training may take."""

from __future__ import annotations

from collections.abc import Callable


class Budget:
    """The time of a training: it runs from the making of this, on top of what was spent before.

    Args:
        seconds: In all.
        clock: Seconds that pass, from whenever.
    """

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self.seconds, self._clock, self._began = seconds, clock, clock()
        self.spent = 0.0

    @property
    def elapsed(self) -> float:
        """Seconds spent."""
        return self.spent + self._clock() - self._began
