"""Holds a run folder for one benchmark; stops what is left of one that was killed.

The lock is on an open file that Snakemake inherits: where the process that started it was killed,
Snakemake goes on and still holds it. Whoever comes next stops it. On a cluster jobs outlive both,
and are found by their names.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from mdbench.errors import InputError

from .cluster import job_prefix

_LOCK = "benchmark.lock"
#: Times that processes and jobs get to end, s.
_INTERRUPTED_S, _KILLED_S, _CANCELED_S, _SLURM_S = 20.0, 5.0, 180.0, 60.0
#: Jobs that still do, or will do, something.
_UNFINISHED = "PENDING,CONFIGURING,RUNNING,SUSPENDED,COMPLETING"


@dataclass(frozen=True)
class _Holder:
    """Who holds a run folder.

    Attributes:
        host: Name of the machine.
        process: That started Snakemake.
        group: Process group of Snakemake and its jobs; None before it was started.
    """

    host: str
    process: int
    group: int | None = None

    @property
    def text(self) -> str:
        """The content of the lock file."""
        group = "" if self.group is None else f", its jobs in process group {self.group}"
        return f"process {self.process} on {self.host}{group}"


class Hold:
    """A run folder that is held.

    Args:
        file: The lock file.
    """

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self.note(None)

    @property
    def descriptor(self) -> int:
        """To be inherited by Snakemake."""
        return self._file.fileno()

    def note(self, group: int | None) -> None:
        """Writes down who holds it, for whoever comes after a kill.

        Args:
            group: Process group of Snakemake.
        """
        self._file.truncate(0)
        self._file.write(_Holder(_host(), os.getpid(), group).text + "\n")
        self._file.flush()


@contextlib.contextmanager
def held(run_folder: Path, say: Callable[[str], None]) -> Iterator[Hold]:
    """Holds a run folder, and first stops what a killed benchmark has left on this machine.

    Args:
        run_folder: The run folder.
        say: Takes a line when something was stopped.

    Raises:
        InputError: Another benchmark runs there, or the file system has no locks.
    """
    with (run_folder / _LOCK).open("a+", encoding="utf-8") as file:
        free = _locks(file, run_folder)
        holder = _read(file)
        if holder is not None and not _alive(holder):
            if _stop_group(holder, run_folder):
                say(f"stopped what was left of an earlier start ({holder.text})")
            free = free or _locks_soon(file, run_folder)
        if not free:
            raise InputError(
                "another benchmark runs in this folder",
                where=run_folder,
                found=None if holder is None else holder.text,
                remedy="wait for it, or name another --run",
            )
        yield Hold(file)


def cancel_leftovers(run_folder: Path, say: Callable[[str], None]) -> None:
    """Cancels this user's jobs of a run folder in Slurm, and waits until they have ended.

    Args:
        run_folder: The run folder, held: no benchmark there waits for those jobs any more.
        say: Takes a line when there were some.

    Raises:
        InputError: No Slurm here, or they do not end.
    """
    prefix = job_prefix(run_folder)
    jobs = _queued(prefix)
    if not jobs:
        return
    # it complains of a job that has ended by itself meanwhile; the queue says whether all have
    _slurm(["scancel", *jobs], check=False)
    if not _within(_CANCELED_S, lambda: not _queued(prefix), pause_s=1.0):
        raise InputError(
            f"jobs of an earlier start do not end: {', '.join(_queued(prefix))}",
            where=run_folder,
            remedy="wait for them, then run this again",
        )
    say(f"canceled jobs that an earlier start left in Slurm: {', '.join(jobs)}")


def _host() -> str:
    return os.uname().nodename


def _read(file: IO[str]) -> _Holder | None:
    """Who holds the folder, or held it last; None of a file that does not say."""
    file.seek(0)
    pattern = r"process (\d+) on (\S+?)(?:, its jobs in process group (\d+))?\n"
    found = re.fullmatch(pattern, file.read())
    if found is None:
        return None
    process, host, group = found.groups()
    return _Holder(host, int(process), None if group is None else int(group))


def _alive(holder: _Holder) -> bool:
    """Whether who started it may live: so on other machines, of which nothing is known here."""
    import psutil

    if holder.host != _host():
        return True
    try:
        return bool(psutil.Process(holder.process).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _stop_group(holder: _Holder, run_folder: Path) -> bool:
    """Stops Snakemake and its jobs, gently at first; whether there was anything."""
    group = holder.group
    if group is None or not _members(group, run_folder):
        return False
    for how, patience_s in ((signal.SIGINT, _INTERRUPTED_S), (signal.SIGKILL, _KILLED_S)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, how)
        if _within(patience_s, lambda: not _members(group, run_folder)):
            break
    return True


def _members(group: int, run_folder: Path) -> list[int]:
    """Processes of a group that work in the run folder: of another with its number none do."""
    import psutil

    place, found = run_folder.resolve(), []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if os.getpgid(process.pid) == group and Path(process.cwd()) == place:
                found.append(process.pid)
    return found


def _locks(file: IO[str], run_folder: Path) -> bool:
    """Locks the file, if no one else has."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise InputError(
            f"files cannot be locked here ({error.strerror})",
            where=run_folder,
            remedy="name a --run on another file system",
        ) from error
    return True


def _locks_soon(file: IO[str], run_folder: Path) -> bool:
    return _within(_KILLED_S, lambda: _locks(file, run_folder))


def _within(patience_s: float, check: Callable[[], bool], pause_s: float = 0.1) -> bool:
    """Whether a check holds before the patience ends."""
    end = time.monotonic() + patience_s
    while not check():
        if time.monotonic() > end:
            return False
        time.sleep(pause_s)
    return True


def _queued(prefix: str) -> list[str]:
    """This user's unfinished jobs in Slurm whose names begin so."""
    command = ["squeue", "--noheader", f"--user={os.getuid()}", f"--states={_UNFINISHED}"]
    lines = _slurm([*command, "--format=%i %j"]).splitlines()
    return [job for job, _, name in (line.partition(" ") for line in lines) if _is(name, prefix)]


def _is(name: str, prefix: str) -> bool:
    return name.strip().startswith(f"{prefix}_")


def _slurm(command: Sequence[str], *, check: bool = True) -> str:
    """What a command of Slurm prints."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=_SLURM_S
        )
    except FileNotFoundError as error:
        raise InputError(
            f"{command[0]} of Slurm is not here", remedy="start this where jobs are submitted"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise InputError(f"{command[0]} of Slurm does not answer") from error
    if check and done.returncode:
        raise InputError(f"{command[0]} of Slurm failed", found=done.stderr)
    return done.stdout
