"""What became of each task of a benchmark: small JSON files in jobs/ of the run folder.

A task is one or several commands of mdbench that make one thing: one model trained, the reference
of one material. jobs/<stage>/<name>.json is its record, .log what it printed, .began.json says
that it was begun.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from mdbench.errors import InputError
from mdbench.store import written

#: Folder of the records in a run folder.
PLACE = "jobs"
#: Of every record.
_TIME = 1e9
State = Literal["done", "failed", "skipped", "died"]


@dataclass(frozen=True)
class Record:
    """What became of a task.

    Attributes:
        stage: As "train".
        name: As "schnet-small-s0" or "lgps".
        source: The force field that it is about; None of a reference or a dataset.
        commands: What was run, each as a list of words.
        state: done; failed: a command ended with an error; skipped: a task before it failed;
            died: it was begun and has no end (killed, or still running).
        message: Of a task that is not done: why, one line.
        began: When, ISO 8601 with its zone.
        seconds: Wall-clock time; None of one that died.
        cpu_s: CPU time of all threads.
        gpu_s: Time for which a GPU was held.
        host: Name of the machine.
        device: What did the work, as "AMD EPYC 7763, 2 cores" or "NVIDIA H200".
        fingerprint: Hash of all settings that the task depends on.
    """

    stage: str
    name: str
    source: str | None
    commands: Sequence[Sequence[str]]
    state: State
    message: str | None
    began: str
    seconds: float | None
    cpu_s: float | None
    gpu_s: float | None
    host: str
    device: str
    fingerprint: str

    @property
    def log(self) -> str:
        """What it printed, named below the run folder."""
        return f"{PLACE}/{self.stage}/{self.name}.log"

    @property
    def file(self) -> str:
        """The record, named below the run folder."""
        return record_of(f"{self.stage}/{self.name}")


def record_of(task: str) -> str:
    """The record of a task such as "train/schnet-s0", named below the run folder."""
    return f"{PLACE}/{task}.json"


def write_record(path: Path, record: Record) -> None:
    """Writes a record, whole or not at all."""
    with written(path) as part:
        part.write_text(json.dumps(dataclasses.asdict(record), indent=1) + "\n", encoding="utf-8")
    without_time(path)


def without_time(path: Path) -> None:
    """Gives a record the time that all records have.

    Snakemake takes what is older than its inputs for a failure and removes it: so it would be
    after a clock was set back. What is to be made anew has no record, so times are not needed.
    """
    os.utime(path, (_TIME, _TIME))


def read_record(path: Path) -> Record:
    """Reads a record.

    Raises:
        InputError: It is damaged.
    """
    try:
        stored: Any = json.loads(path.read_text(encoding="utf-8"))
        record = Record(**stored)
        _check(record)
    except (OSError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise InputError(
            "damaged record of a task", where=path, remedy="remove it, and run again"
        ) from error
    return record


def _check(record: Record) -> None:
    """Raises ValueError where a value is not of the type that it has in records."""
    known = vars(record)
    texts = [known[k] for k in ("stage", "name", "began", "host", "device", "fingerprint")]
    texts += [known[k] for k in ("source", "message") if known[k] is not None]
    texts += [word for words in _list(record.commands) for word in _list(words)]
    numbers = [known[k] for k in ("seconds", "cpu_s", "gpu_s") if known[k] is not None]
    if (
        record.state not in get_args(State)
        or not all(isinstance(text, str) for text in texts)
        or not all(type(number) in (int, float) for number in numbers)
        or not all(math.isfinite(number) for number in numbers)
    ):
        raise ValueError("values of other types")


def _list(stored: Any) -> list[Any]:
    if not isinstance(stored, list):
        raise ValueError("no list")
    return stored


def read_records(run_folder: Path) -> list[Record]:
    """The records of a run folder, by stage and name; of tasks that died what was begun."""
    place = run_folder / PLACE
    found = {}
    for path in sorted(place.glob("*/*.json")):
        name = path.name.removesuffix(".json").removesuffix(".began")
        if path.name.endswith(".began.json") and path.with_name(name + ".json").exists():
            continue
        found[path.parent.name, name] = read_record(path)
    return list(found.values())
