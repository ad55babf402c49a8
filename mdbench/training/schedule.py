"""Learning rates over a training whose length is a time, not a number of steps."""

from __future__ import annotations

import math
from dataclasses import dataclass

#: The rise: of steps, or of the budget, whichever is shorter. The lowest rate of the fall.
_RISE_STEPS, _RISE_SHARE, _LOWEST = 100, 0.02, 1e-2
#: Of the published recipe: factor, validations without gain, lowest rate, what is no gain.
_FACTOR, _PATIENCE, _LOWEST_RATE, _NO_GAIN = 0.8, 5, 1e-6, 1e-4


def cosine(share: float, step: int) -> float:
    """Learning rate as a share of the largest: a linear rise, then half a cosine to a hundredth.

    Args:
        share: Of the time for training that has passed.
        step: Steps taken so far.
    """
    rise = max((step + 1) / _RISE_STEPS, share / _RISE_SHARE)
    fall = 0.5 * (1.0 + math.cos(math.pi * min(max(share, 0.0), 1.0)))
    return min(rise, 1.0) * (_LOWEST + (1.0 - _LOWEST) * fall)


@dataclass
class Plateau:
    """A learning rate that falls where validations no longer improve.

    As torch's ReduceLROnPlateau with factor 0.8, patience 5, lowest rate 1e-6.

    Attributes:
        learning_rate: Now.
        best: Lowest loss so far.
        waited: Validations since then.
    """

    learning_rate: float
    best: float = math.inf
    waited: int = 0

    def update(self, loss: float) -> None:
        """Takes note of a validation."""
        if loss < self.best * (1.0 - _NO_GAIN):
            self.best, self.waited = loss, 0
            return
        self.waited += 1
        if self.waited > _PATIENCE:
            self.learning_rate = max(self.learning_rate * _FACTOR, _LOWEST_RATE)
            self.waited = 0
