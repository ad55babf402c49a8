"""Runs tasks of a benchmark in one process: `python -m mdbench_workflows.job train/schnet-s0`.

Snakemake starts it inside the run folder. A command that fails is a result: it is recorded, what
needs it is skipped, and the exit status is 0, so that nothing else stops.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import os
import resource
import shlex
import shutil
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from mdbench.records import Record, read_record, record_of, write_record
from mdbench.store import written

from .machine import processor
from .plan import COPY, Task
from .run_file import done_record, read_run_file

_ERROR, _INTERRUPTED = "mdbench: error: ", 130


def main(args: Sequence[str] | None = None) -> int:
    """Runs tasks by their names; the exit status: 0, or 130 if it was interrupted."""
    parser = argparse.ArgumentParser(prog="mdbench_workflows.job", description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("tasks", nargs="+", metavar="STAGE/NAME")
    asked = parser.parse_args(args)
    known = {task.id: task for task in read_run_file(Path()).tasks}
    for name in asked.tasks:
        if run_task(known[name], asked.threads) == _INTERRUPTED:
            return _INTERRUPTED
    return 0


def run_task(task: Task, threads: int) -> int:
    """Runs a task in the current folder and records what became of it; its exit status."""
    path = Path(task.record)
    done = done_record(Path(), task)
    if done is not None:
        write_record(path, done)
        return 0
    begun = Path(task.begun)
    redo = (task.redo,) if _fingerprint(begun) not in (None, task.fingerprint) else ()
    if task.from_scratch:
        for name in task.outputs:
            Path(name).unlink(missing_ok=True)
    record = Record(
        stage=task.stage,
        name=task.name,
        source=task.source,
        commands=task.with_threads(threads),
        state="died",
        message="it was begun and has not ended",
        began=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=None,
        cpu_s=None,
        gpu_s=None,
        host=socket.gethostname(),
        device=f"{processor()}, {threads} threads" if threads > 1 else processor(),
        fingerprint=task.fingerprint,
    )
    blocked = [before for before in task.after if not _succeeded(before)]
    if blocked:
        reason = f"{', '.join(blocked)} did not succeed"
        write_record(path, dataclasses.replace(record, state="skipped", message=reason))
        return 0
    path.unlink(missing_ok=True)
    write_record(begun, record)
    wall, cpu = time.monotonic(), _cpu_s()
    log = path.with_suffix(".log")
    problems = []
    for command in record.commands:
        status = _run([*command, *redo], log)
        if status == _INTERRUPTED:
            return status
        if status:
            problems.append(_last_error(log) or f"{command[0]} ended with status {status}")
    missing = [name for name in task.outputs if not Path(name).exists()]
    if missing and not problems:
        problems.append(f"{missing[0]} was not made")
    seconds = time.monotonic() - wall
    gpu = _gpu() if task.gpu else None
    record = dataclasses.replace(
        record,
        state="failed" if problems else "done",
        message="; ".join(problems) or None,
        seconds=seconds,
        cpu_s=_cpu_s() - cpu,
        gpu_s=0.0 if gpu is None else seconds,
        device=gpu or record.device,
    )
    write_record(begun, record)
    write_record(path, record)
    return 0


def _succeeded(before: str) -> bool:
    path = Path(record_of(before))
    return path.exists() and read_record(path).state == "done"


def _fingerprint(begun: Path) -> str | None:
    """Of the settings that a task was last begun with."""
    return read_record(begun).fingerprint if begun.exists() else None


def _run(command: Sequence[str], log: Path) -> int:
    """Runs a command of mdbench; what it prints is added to the log."""
    if command[0] == COPY:
        with written(Path(command[2])) as part:
            shutil.copyfile(command[1], part)
        return 0
    from mdbench_cli.main import run

    with log.open("a", encoding="utf-8", buffering=1) as file, _printing_to(file):
        file.write(f"$ mdbench {shlex.join(command)}\n")
        return int(run(list(command)))


@contextlib.contextmanager
def _printing_to(file: IO[str]) -> Iterator[None]:
    """Sends standard output and error of this process, compiled code's too, to a file."""
    kept = [os.dup(stream) for stream in (1, 2)]
    for stream in (1, 2):
        os.dup2(file.fileno(), stream)
    try:
        with contextlib.redirect_stdout(file), contextlib.redirect_stderr(file):
            yield
    finally:
        for stream, old in zip((1, 2), kept, strict=True):
            os.dup2(old, stream)
            os.close(old)


def _last_error(log: Path) -> str | None:
    """The last line of a log that names an error."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    found = [line for line in lines if line.startswith("mdbench: ")]
    return found[-1].removeprefix(_ERROR) if found else None


def _cpu_s() -> float:
    """CPU time of this process and of what it has started."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


def _gpu() -> str | None:
    """Name of the GPU that this process has used; None where it has used none."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available() or not torch.cuda.is_initialized():
        return None
    return str(torch.cuda.get_device_name(0))


if __name__ == "__main__":
    sys.exit(main())
