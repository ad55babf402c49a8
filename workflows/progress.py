"""How a benchmark goes: what is done, what runs, how long it still takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from mdbench.records import Record, read_record
from mdbench.units import HOUR_IN_S, MINUTE_IN_S

from .estimate import Estimate
from .plan import Task

#: How far measured times may move the estimate.
_LEAST_SCALE, _MOST_SCALE = 0.3, 5.0
#: Stages that take the time that they are given.
_AS_LONG_AS_SAID = ("train",)
#: At the longest time without a line, s.
_SILENCE_S = 60.0


class Progress:
    """Watches the records of tasks and says what changes.

    Args:
        folder: The run folder.
        tasks: What is to be done.
        cost: Expected cost of them.
        say: Takes lines.
    """

    def __init__(
        self, folder: Path, tasks: Sequence[Task], cost: Estimate, say: Callable[[str], None]
    ) -> None:
        self._folder, self._cost, self.say = folder, cost, say
        self._waiting = {task.id: task for task in tasks}
        self._n_tasks = len(tasks)
        self._expected_s, self._spent_s = 0.0, 0.0
        self._said = time.monotonic()

    def update(self) -> None:
        """Says what ended since the last call; now and then what still runs."""
        for name, task in list(self._waiting.items()):
            path = self._folder / task.record
            if path.exists():
                del self._waiting[name]
                self._ended(task, read_record(path))
        if time.monotonic() - self._said > _SILENCE_S:
            running = [n for n, t in self._waiting.items() if (self._folder / t.begun).exists()]
            if running:
                self._line(f"running: {', '.join(running)}")

    def _ended(self, task: Task, record: Record) -> None:
        expected = self._cost.core_s.get(task.id)
        measured = record.cpu_s if record.state == "done" else None
        if expected is not None and measured is not None and task.stage not in _AS_LONG_AS_SAID:
            self._expected_s += expected
            self._spent_s += measured
        took = "" if record.seconds is None else f" ({duration(record.seconds)})"
        if record.state == "done":
            self._line(f"{task.id}{took}")
        else:
            self._line(f"{task.id} {record.state.upper()}: {record.message}")

    def _line(self, text: str) -> None:
        done = self._n_tasks - len(self._waiting)
        left = f", about {duration(self._left_s())} left" if self._waiting else ""
        self.say(f"[{done}/{self._n_tasks}{left}] {text}")
        self._said = time.monotonic()

    def _left_s(self) -> float:
        """Expected time of what is not done, by how long the rest took, s."""
        scale = 1.0
        if self._expected_s > 0.0:
            scale = self._spent_s / self._expected_s
            scale = min(max(scale, _LEAST_SCALE), _MOST_SCALE)
        known = (
            (self._cost.core_s.get(name) or 0.0)
            * (1.0 if task.stage in _AS_LONG_AS_SAID else scale)
            for name, task in self._waiting.items()
        )
        return sum(known) / self._cost.cores


def duration(seconds: float) -> str:
    """A time as people say it: "40 s", "12 min", "1.5 h"."""
    if seconds < 1.5 * MINUTE_IN_S:
        return f"{seconds:.0f} s"
    if seconds < 1.5 * HOUR_IN_S:
        return f"{seconds / MINUTE_IN_S:.0f} min"
    return f"{seconds / HOUR_IN_S:.3g} h"
