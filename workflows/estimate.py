"""How long a benchmark takes and how much disk space, before it starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from .plan import Task
from .profile import Profile

#: Seconds for the start of a process, for each run that is analyzed, for the report.
_START_S, _RUN_S, _REPORT_S = 4.0, 0.6, 30.0
#: Trajectories are float32; what a file takes beside them, as a factor.
_BYTES_PER_VALUE, _OVERHEAD = 4.0, 1.2
_READ_BYTES_PER_S = 2e8


@dataclass(frozen=True)
class Estimate:
    """Expected cost of tasks.

    Attributes:
        core_s: Seconds of one core by task; None where it is not known.
        cores: Cores that share the work.
        disk_bytes: Of everything that is kept.
    """

    core_s: Mapping[str, float | None]
    cores: int
    disk_bytes: float

    @property
    def seconds(self) -> float:
        """Wall-clock time of all that is known, s, the report included."""
        known = [s for s in self.core_s.values() if s is not None]
        return sum(known) / self.cores + _REPORT_S

    @property
    def unknown(self) -> list[str]:
        """Tasks of which the time is not known."""
        return [task for task, s in self.core_s.items() if s is None]


def estimate(tasks: Sequence[Task], settings: Profile, cores: int) -> Estimate:
    """What the tasks cost on this kind of machine, roughly.

    Args:
        tasks: What is to be done.
        settings: The profile.
        cores: Cores that share the work.
    """
    starts = 0.0 if settings.one_process_per == "stage" else _START_S
    on_gpu = settings.device == "cuda"
    return Estimate(
        core_s={task.id: _plus(starts, core_s(task, on_gpu=on_gpu)) for task in tasks},
        cores=cores,
        disk_bytes=sum(_disk_bytes(task) for task in tasks),
    )


def _plus(start: float, seconds: float | None) -> float | None:
    return None if seconds is None else start + seconds


def core_s(task: Task, *, on_gpu: bool = False) -> float | None:
    """Seconds of one core; None where it is not known, as on a GPU but for trainings."""
    work = task.work
    if task.stage == "train":
        return float(work["budget_s"])
    if task.stage == "ingest":
        return float(work["bytes"]) / _READ_BYTES_PER_S + 1.0
    if "force_field" not in work:
        return _RUN_S * float(work["n_runs"])
    cost = _costs().get(str(work["force_field"]))
    if cost is None or (on_gpu and task.gpu):
        return None
    steps = float(work.get("steps", work.get("evaluations", 0.0)))
    return 1e-6 * cost * steps * float(work["n_atoms"])


def _disk_bytes(task: Task) -> float:
    work = task.work
    if "frames" not in work:
        return 0.7 * float(work.get("bytes", 0.0))
    values = 3.0 * float(work["vectors"]) * float(work["n_atoms"]) * float(work["frames"])
    return _OVERHEAD * _BYTES_PER_VALUE * values


@cache
def _costs() -> dict[str, float]:
    text = files(__package__).joinpath("costs.yaml").read_text(encoding="utf-8")
    stored: Any = yaml.safe_load(text)
    return {str(name): float(cost) for name, cost in stored["atom_step_us"].items()}
