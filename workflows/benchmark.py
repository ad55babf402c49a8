"""`mdbench benchmark`: a whole benchmark by its profile, resumed where it was."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING

from mdbench.errors import InputError
from mdbench.records import Record, read_records, without_time, write_record
from mdbench.version import __version__

from .cluster import Executor, read_executor
from .entries import Entry, control, read_entries
from .estimate import Estimate, estimate
from .machine import available_cores, environment
from .plan import Task, make_plan
from .profile import Profile, read_profile
from .progress import Progress
from .run_file import done_record, write_run_file
from .takeover import Hold, cancel_leftovers, held

if TYPE_CHECKING:
    from .data import SourceRun

_LOG = "snakemake.log"
_OUTDATED = "outdated"


@dataclass(frozen=True)
class Request:
    """What was asked for.

    Attributes:
        profile: Name or YAML file.
        run_folder: Where everything goes.
        data: Users' own trajectories; None: the reference is made.
        models: Names with commas between, instead of the profile's.
        executor: local, slurm, or a folder with a profile of Snakemake.
        cores: CPU cores on this machine or, on a cluster, of a job.
    """

    profile: str
    run_folder: Path
    data: Path | None = None
    models: str | None = None
    executor: str = "local"
    cores: int | None = None


@dataclass(frozen=True)
class Prepared:
    """A benchmark that is ready to start.

    Attributes:
        request: What was asked for.
        settings: The profile.
        entries: The force fields.
        tasks: All tasks.
        todo: Those that are not done.
        cost: Of those.
        notes: What the user should know.
    """

    request: Request
    settings: Profile
    entries: Sequence[Entry]
    tasks: Sequence[Task]
    todo: Sequence[Task]
    cost: Estimate
    notes: Sequence[str]


@dataclass(frozen=True)
class Outcome:
    """What became of a benchmark.

    Attributes:
        records: Of all tasks, as far as there are any.
        interrupted: Whether the user stopped it.
        missing: Tasks that have no record.
    """

    records: Sequence[Record]
    interrupted: bool = False
    missing: Sequence[str] = field(default_factory=list)

    @property
    def failed(self) -> list[Record]:
        """Tasks that were not done."""
        return [record for record in self.records if record.state != "done"]


def prepare(request: Request) -> Prepared:
    """Works out what is to be done; nothing is written.

    Raises:
        InputError: A profile, model, calculator or trajectory that cannot be used.
    """
    settings = read_profile(request.profile)
    texts = settings.models if request.models is None else request.models.split(",")
    entries = read_entries(texts, size=settings.size, seed=settings.training.seed)
    notes: list[str] = []
    runs = [] if request.data is None else _own_runs(request.data, notes)
    own = settings.reference.calculator
    if settings.control and not runs and all(entry.name != own for entry in entries):
        entries.append(control(own))
    tasks = make_plan(settings, entries, runs)
    todo = _not_done(request.run_folder, tasks)
    cores = request.cores or available_cores()
    cost = estimate(todo, settings, cores)
    return Prepared(request, settings, entries, tasks, todo, cost, notes)


def run(prepared: Prepared, say: Callable[[str], None]) -> Outcome:
    """Does what is not done; what fails is recorded and stops nothing else.

    Args:
        prepared: What is to be done.
        say: Takes lines on how it goes.

    Raises:
        InputError: Another benchmark runs in this folder, or Snakemake is not installed.
    """
    if importlib.util.find_spec("snakemake") is None:
        raise InputError("Snakemake is not installed", remedy="pip install 'mdbench[workflow]'")
    folder = prepared.request.run_folder
    executor = read_executor(prepared.request.executor)
    folder.mkdir(parents=True, exist_ok=True)
    with held(folder, say) as hold:
        if executor is not None and executor.kind == "slurm":
            cancel_leftovers(folder, say)
        # what was stopped may have done something until then
        prepared = dataclasses.replace(prepared, todo=_not_done(folder, prepared.tasks))
        _outdate(folder, prepared)
        _describe(prepared)
        interrupted = False
        if prepared.todo:
            interrupted = _snakemake(prepared, executor, hold, say)
    known = {(r.stage, r.name): r for r in read_records(folder)}
    found = [known[t.stage, t.name] for t in prepared.tasks if (t.stage, t.name) in known]
    missing = [t.id for t in prepared.tasks if (t.stage, t.name) not in known]
    return Outcome(found, interrupted, missing)


def _own_runs(place: Path, notes: list[str]) -> list[SourceRun]:
    """Users' trajectories; formats are imported where they are read."""
    from .data import find_runs

    return find_runs(place, notes)


def _not_done(folder: Path, tasks: Sequence[Task]) -> list[Task]:
    """Tasks that are not done with their settings, and all that come after them."""
    todo: dict[str, Task] = {}
    for task in tasks:
        if any(before in todo for before in task.after) or done_record(folder, task) is None:
            todo[task.id] = task
    return list(todo.values())


def _outdate(folder: Path, prepared: Prepared) -> None:
    """Takes away the records of what is to be done; what was done once is to be made anew."""
    for task in prepared.todo:
        done = done_record(folder, task)
        if done is not None:
            write_record(folder / task.begun, dataclasses.replace(done, fingerprint=_OUTDATED))
        (folder / task.record).unlink(missing_ok=True)
    for task in prepared.tasks:
        if (folder / task.record).exists():  # also of older versions
            without_time(folder / task.record)


def _describe(prepared: Prepared) -> None:
    """Writes benchmark.json."""
    request = prepared.request
    about = {
        "mdbench_version": __version__,
        "profile": request.profile,
        "settings": dataclasses.asdict(prepared.settings),
        "models": [entry.source for entry in prepared.entries],
        "data": None if request.data is None else str(request.data.resolve()),
        "executor": request.executor,
        "began": datetime.now(UTC).isoformat(timespec="seconds"),
        "environment": environment(),
    }
    write_run_file(request.run_folder, about, prepared.tasks)


def _snakemake(
    prepared: Prepared, executor: Executor | None, hold: Hold, say: Callable[[str], None]
) -> bool:
    """Starts Snakemake and watches it; whether the user stopped it."""
    folder = prepared.request.run_folder
    cores = prepared.request.cores
    local = ("--cores", f"{cores or available_cores()}")
    with as_file(files(__package__).joinpath("Snakefile")) as snakefile:
        command = [
            *(sys.executable, "-m", "snakemake", "--snakefile", str(snakefile)),
            # records are written whole or not at all: one that is there is complete
            *("--directory", str(folder), "--keep-going", "--ignore-incomplete", "--nolock"),
            # what is to be made anew has no record any more; times of files say nothing
            *("--rerun-triggers", "software-env"),
            *(local if executor is None else executor.options(folder, cores)),
        ]
        with (folder / _LOG).open("ab") as log:
            process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                pass_fds=(hold.descriptor,),
                env=_environment(),
                start_new_session=True,
            )
            hold.note(process.pid)
            progress = Progress(folder, prepared.todo, prepared.cost, say)
            return _watched(process, progress)


def _watched(process: subprocess.Popen[bytes], progress: Progress) -> bool:
    """Waits for a process; whether the user stopped it."""
    stopped = 0
    while True:
        try:
            while process.poll() is None:
                progress.update()
                time.sleep(0.5)
            progress.update()
            return stopped > 0
        except KeyboardInterrupt:
            stopped += 1
            progress.say("stopping; Ctrl-C again stops at once. The same command goes on")
            group = signal.SIGINT if stopped == 1 else signal.SIGKILL
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, group)


def _environment() -> dict[str, str]:
    """Of the jobs: modules of the user's folder are found, threads do not spin."""
    places = [str(Path.cwd()), os.environ.get("PYTHONPATH", "")]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(place for place in places if place),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
    }
