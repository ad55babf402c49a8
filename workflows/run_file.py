"""benchmark.json in a run folder: what the benchmark there is."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mdbench.errors import InputError
from mdbench.records import Record, read_record
from mdbench.store import written

from .plan import Task

NAME, SCHEMA = "benchmark.json", 1


def write_run_file(run_folder: Path, about: dict[str, Any], tasks: Sequence[Task]) -> None:
    """Writes what the benchmark is, whole or not at all."""
    document = {"schema": SCHEMA, **about, "tasks": [dataclasses.asdict(task) for task in tasks]}
    with written(run_folder / NAME) as part:
        part.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


@dataclass(frozen=True)
class RunFile:
    """What the benchmark in a run folder is.

    Attributes:
        tasks: Each after those that it needs.
        one_process_per, device: As in its profile.
    """

    tasks: list[Task]
    one_process_per: str
    device: str


def read_run_file(run_folder: Path) -> RunFile:
    """What the benchmark in a run folder is.

    Raises:
        InputError: It is damaged, or of another version.
    """
    path = run_folder / NAME
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["schema"] != SCHEMA:
            raise InputError("schema", where=path, expected=SCHEMA, found=document["schema"])
        tasks = [_task(stored) for stored in document["tasks"]]
        settings = document["settings"]
        return RunFile(tasks, str(settings["one_process_per"]), str(settings.get("device", "auto")))
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise InputError(
            "damaged description of a benchmark", where=path, remedy="`mdbench benchmark` renews it"
        ) from error


def done_record(run_folder: Path, task: Task) -> Record | None:
    """The record of a task that was done with these settings, if what it made is there.

    Snakemake removes records when it starts a batch anew; what was begun keeps a copy.
    """
    for name in (task.record, task.begun):
        path = run_folder / name
        if path.exists():
            record = read_record(path)
            same = record.state == "done" and record.fingerprint == task.fingerprint
            there = same and all((run_folder / output).exists() for output in task.outputs)
            return record if there else None
    return None


def _task(stored: dict[str, Any]) -> Task:
    commands = tuple(tuple(command) for command in stored["commands"])
    lists = {name: tuple(stored[name]) for name in ("outputs", "after", "reads")}
    task = Task(**{**stored, **lists, "commands": commands})
    texts = [task.stage, task.name, task.redo, task.fingerprint, *task.outputs, *task.after]
    texts += [word for command in commands for word in command]
    if not all(isinstance(text, str) and "\0" not in text for text in texts):
        raise ValueError("values of other types")
    if max(len(part) for text in (task.record, *task.outputs) for part in text.split("/")) > 255:
        raise ValueError("names that no file can have")
    return task
