"""Tasks put together that one process runs, since starting a process takes seconds."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from mdbench.records import record_of

from .estimate import core_s
from .plan import STAGES, Task

#: Longer tasks are alike, in tenths of a second.
_MOST = 1_000_000


@dataclass(frozen=True)
class Batch:
    """Tasks that one process runs, one after the other.

    Attributes:
        name: Of the job, letters and digits.
        tasks: Their names.
        records: Files that say what became of them.
        needs: Records of tasks that come before.
        gpu: Whether a GPU may do the work.
        share: Of the cores that its threads may use; 0: one thread.
        priority: Larger is sooner, where not all can start.
    """

    name: str
    tasks: tuple[str, ...]
    records: tuple[str, ...]
    needs: tuple[str, ...]
    gpu: bool
    share: float
    priority: int


def batches(tasks: Sequence[Task], one_process_per: str) -> list[Batch]:
    """All tasks in batches.

    Args:
        tasks: Each after those that it needs.
        one_process_per: `task`, or `stage`. Reading users' files is one batch in any case.
    """
    groups: dict[str, list[Task]] = {}
    for task in tasks:
        alone = one_process_per == "task" and task.stage != "ingest"
        groups.setdefault(task.id if alone else _part(task), []).append(task)
    return [
        _batch(f"{_plain(name)}_{n}", group, one_process_per)
        for n, (name, group) in enumerate(groups.items())
    ]


def _part(task: Task) -> str:
    """Stage; the analysis of the reference does not wait for that of models."""
    alone = task.stage == "analyze" and task.source is None
    return task.id if alone else task.stage


def _priority(members: Sequence[Task]) -> int:
    """Earlier stages first; in a stage what takes longest, or nobody knows how long."""
    known = [core_s(task) for task in members]
    seconds = math.inf if None in known else sum(s for s in known if s is not None)
    rank = len(STAGES) - STAGES.index(members[0].stage)
    return _MOST * rank + int(min(10.0 * seconds, _MOST - 1))


def _share(task: Task, one_process_per: str) -> float:
    """Share of the cores. Threads of networks get into each other's way; processes do not.

    A job for all cores would wait until no other one runs.
    """
    if not task.parallel:
        return 0.0
    if one_process_per == "stage":
        return 1.0
    return 0.5 if task.stage == "reference" else 0.25


def _plain(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "_", text).strip("_")


def _batch(name: str, members: Sequence[Task], one_process_per: str) -> Batch:
    own = {task.id for task in members}
    needs = dict.fromkeys(before for task in members for before in task.after if before not in own)
    return Batch(
        name=name,
        tasks=tuple(task.id for task in members),
        records=tuple(task.record for task in members),
        needs=tuple(map(record_of, needs)),
        gpu=any(task.gpu for task in members),
        share=max(_share(task, one_process_per) for task in members),
        priority=_priority(members),
    )
