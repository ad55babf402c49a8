"""The loss over all steps of a training, in bounded room."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_MOST_POINTS = 4096


class LossCurve:
    """Means of the loss over so many steps each; when there are too many, over twice as many.

    Attributes:
        every: Steps of a mean.
        values: The means.
    """

    def __init__(self) -> None:
        self.every = 1
        self.values: list[float] = []
        self._sum, self._count = 0.0, 0

    def append(self, loss: float) -> None:
        """Takes note of the next step."""
        self._sum, self._count = self._sum + loss, self._count + 1
        if self._count < self.every:
            return
        self.values.append(self._sum / self.every)
        self._sum, self._count = 0.0, 0
        if len(self.values) == _MOST_POINTS:
            self.values = np.array(self.values).reshape(-1, 2).mean(axis=1).tolist()
            self.every *= 2

    @property
    def steps(self) -> NDArray[np.int64]:
        """(n_values,) number of steps after which a mean was complete."""
        return self.every * np.arange(1, len(self.values) + 1)

    def as_json(self) -> dict[str, Any]:
        """What it goes on from, beside its values."""
        return {"every": self.every, "sum": self._sum, "count": self._count}

    @classmethod
    def restored(cls, known: dict[str, Any], values: list[float]) -> LossCurve:
        """The curve with these values."""
        curve = cls()
        curve.every, curve.values = int(known["every"]), list(values)
        curve._sum, curve._count = float(known["sum"]), int(known["count"])
        return curve
