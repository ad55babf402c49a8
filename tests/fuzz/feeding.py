"""The process that feeds readers, seen from the tests: watched, and begun anew where it dies."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

#: An input that takes longer hangs in a library, where no deadline of Python's own is seen.
_HANGS_S = 120.0
#: So long the first input of a reader may take, whose sound files are made before.
_STARTS_S = 600.0
_ROOT = Path(__file__).parents[2]


@dataclass
class Outcome:
    """What became of a reader's inputs.

    Attributes:
        n: How many there were.
        read: How many of them gave a result; the others were refused.
        seconds: CPU and waiting time.
        findings: What no reader may do, with the number of its input.
    """

    n: int = 0
    read: int = 0
    seconds: float = 0.0
    findings: list[str] = field(default_factory=list)


class Worker:
    """A process that feeds readers; one that dies or hangs is replaced, and its input noted."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="mdbench-fuzz-")
        self._progress = Path(self._folder.name) / "progress"
        self._errors = Path(self._folder.name) / "stderr"
        self._process: subprocess.Popen[str] | None = None

    def feed(self, name: str, first: int, count: int) -> Outcome:
        """Feeds a reader with inputs first … first + count − 1."""
        found, end = Outcome(), first + count
        while first < end:
            answer = self._asked(name, first, end - first)
            if answer is None:
                number = max(int(self._progress.read_text() or first), first)
                words = self._errors.read_text(errors="replace").splitlines()[-6:]
                found.findings.append(f"{name} {number}: the process died or hung: {words}")
                found.n += number + 1 - first
                first = number + 1
                continue
            found.n += answer["n"]
            found.read += answer["read"]
            found.seconds += answer["seconds"]
            found.findings += answer["findings"]
            first = end
        return found

    def close(self) -> None:
        """Ends the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            self._process.stdin.close()
            self._process.stdout.close()
            self._process = None

    def remove(self) -> None:
        """Ends the process and takes its files away."""
        self.close()
        self._folder.cleanup()

    def _asked(self, name: str, first: int, count: int) -> dict[str, Any] | None:
        """The answer to a job; None where the process died or hung, which then is gone."""
        self._progress.write_text("")
        if self._process is None:
            self._process = self._started()
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps([name, first, count]) + "\n")
        process.stdin.flush()
        known, patience = "", time.monotonic() + _STARTS_S
        while time.monotonic() < patience:
            if select.select([process.stdout], [], [], 1.0)[0]:
                line = process.stdout.readline()
                if line:
                    answer: dict[str, Any] = json.loads(line)
                    return answer
                break
            now = self._progress.read_text()
            if now != known:
                known, patience = now, time.monotonic() + _HANGS_S
        self.close()
        return None

    def _started(self) -> subprocess.Popen[str]:
        environment = {
            **os.environ,
            "FUZZ_PROGRESS": str(self._progress),
            "TMPDIR": self._folder.name,
            "OMP_NUM_THREADS": "1",
            "PYTHONFAULTHANDLER": "1",
        }
        with self._errors.open("w") as errors:
            return subprocess.Popen(
                [sys.executable, "-m", "tests.fuzz.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                cwd=_ROOT,
                env=environment,
            )
