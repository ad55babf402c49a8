"""A process of its own that feeds readers, so that no input can take the tests down with it.

Reads lines `READER FIRST COUNT`, answers each with a line of JSON. `python -m tests.fuzz.worker
READER NUMBER [FOLDER]` repeats one input, with its traceback.
"""

from __future__ import annotations

import contextlib
import gc
import io
import json
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

from tests.fuzz.hdf5 import hdf5_mutated
from tests.fuzz.readers import READERS, Case, Reader, WrongError, demand, refused

#: More CPU time than this for one small input is an endless loop.
DEADLINE_S = 10
#: More memory than this for one small input was asked for by the input.
ROOM_BYTES = 600 << 20
_OURS = tuple(f"{Path(__file__).parents[2]}/{name}/" for name in ("mdbench", "cli", "workflows"))


class DeadlineError(BaseException):
    """An input took too long."""


def _late(number: int, frame: FrameType | None) -> None:
    raise DeadlineError


@contextlib.contextmanager
def bounded() -> Iterator[None]:
    """A deadline, and room for little more memory than there is now."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limits = resource.getrlimit(resource.RLIMIT_AS)
    room = pages * resource.getpagesize() + ROOM_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (room, limits[1]))
    signal.setitimer(signal.ITIMER_PROF, DEADLINE_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        resource.setrlimit(resource.RLIMIT_AS, limits)


class Feeder:
    """Feeds one reader.

    Args:
        name: Of the reader.
        folder: Where its inputs lie.
        progress: A file that holds the number of the input that is read.
    """

    def __init__(self, name: str, folder: Path, progress: int | None = None) -> None:
        self.name, self.reader, self.folder = name, READERS[name], folder
        self._progress = progress
        self._warned: list[str] = []
        self._sound: dict[int, Any] = {}
        for seed, files in enumerate(self.reader.seeds()):
            folder.mkdir(exist_ok=True)
            path = self._lay(files)
            with contextlib.suppress(Exception) if name in _NOT_ALL_SOUND else _nothing():
                self._sound[seed] = self.reader.read(path, 0)
        self._open = _open_files()

    def run(self, first: int, count: int) -> dict[str, Any]:
        """Feeds inputs of these numbers; what became of them."""
        read, findings, began = 0, [], time.perf_counter()
        with self._watching_warnings():
            for number in range(first, first + count):
                if self._progress is not None:
                    os.pwrite(self._progress, f"{number:12d}".encode(), 0)
                case = self.reader.case(self.name, number)
                path = self._lay(case.files)
                case = self._spoiled_on_disk(case)
                finding, was_read = self.outcome(case, path)
                read += was_read
                if finding is not None:
                    what = f"{self.name} {number} ({case.what[:300]}): {finding}"
                    findings.append(what.encode("ascii", "backslashreplace").decode())
        seconds = time.perf_counter() - began
        return {"n": count, "read": read, "findings": findings, "seconds": seconds}

    def outcome(self, case: Case, path: Path) -> tuple[str | None, bool]:
        """What is wrong, None where nothing is; and whether the input was read."""
        self._warned.clear()
        try:
            if case.command and self.reader.commands is not None:
                was_read = self._command(self.reader, case, path)
            else:
                was_read = self._call(case, path)
            self._after(case, path)
        except WrongError as error:
            return str(error), False
        except DeadlineError:
            return f"more than {DEADLINE_S} s", False
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            return _described(error), False
        return None, was_read

    def _call(self, case: Case, path: Path) -> bool:
        try:
            with bounded():
                found = self.reader.read(path, case.options)
        except Exception as error:
            if isinstance(error, WrongError):
                raise
            if type(error).__name__ != "InputError":
                demand(False, _described(error))
            refused(
                error, list(case.files), named=self.name != "options", own=self.name != "structure"
            )
            demand(case.expect != "same" or case.seed not in self._sound, f"refused: {error}")
            return False
        if case.seed in self._sound and self._sound[case.seed] is not None:
            self._compare(case, found)
        return True

    def _compare(self, case: Case, found: Any) -> None:
        known = self._sound[case.seed]
        if case.expect == "same":
            demand(np.array_equal(found, known), "other positions than in the sound file")
        if case.expect == "prefix":
            alike = len(found) <= len(known) and np.array_equal(found, known[: len(found)])
            demand(alike, "other positions than in the frames before the cut")

    def _command(self, reader: Reader, case: Case, path: Path) -> bool:
        from mdbench_cli.main import run

        assert reader.commands is not None
        words, output = reader.commands(path, case.options)
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), bounded():
            status = run(words)
        said = err.getvalue()
        demand(status in (0, 2), f"status {status}: {said[:500]}")
        if status == 2:
            demand(said.startswith("mdbench: error: "), f"printed {said[:300]!r}")
            demand(said.count("\n") == 1 and said[:-1].isprintable(), f"printed {said[:300]!r}")
            demand(out.getvalue() == "", f"printed {out.getvalue()[:300]!r}")
            demand(output is None or not output.exists(), "an output, and an error")
        elif output is not None:
            from mdbench.store import read_trajectory

            demand(np.isfinite(read_trajectory(output).positions).all(), "numbers in the output")
            output.unlink()
        return status == 0

    def _after(self, case: Case, path: Path) -> None:
        """Nothing is left open, nothing half-written, nobody was warned."""
        demand(not self._warned, f"warned: {self._warned[:2]}")
        left = [p.name for p in self.folder.rglob("*") if p.name.endswith((".lock", ".h5.part"))]
        demand(not left, f"left behind: {left}")
        if _open_files() > self._open:
            gc.collect()
            self._open = _open_files()  # what libraries open once stays open
            with contextlib.suppress(Exception):
                self.reader.read(path, case.options)
            gc.collect()
            demand(_open_files() <= self._open, "files left open")

    def _lay(self, files: dict[str, bytes]) -> Path:
        """Writes the files of an input, and takes away what else there is."""
        for path in self.folder.rglob("*"):
            if path.is_file() and path.relative_to(self.folder).as_posix() not in files:
                path.unlink()
        for name, content in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return self.folder / next(iter(files))

    def _spoiled_on_disk(self, case: Case) -> Case:
        if case.expect != "hdf5":
            return case
        name, _, seed = case.what.rpartition("|")
        what = hdf5_mutated(np.random.default_rng(int(seed)), self.folder / name)
        return Case(case.files, f"{name}: {what}", "any", case.seed, case.command, case.options)

    @contextlib.contextmanager
    def _watching_warnings(self) -> Iterator[None]:
        def note(message: Any, category: Any, filename: str, lineno: int, *_: Any) -> None:
            if filename.startswith(_OURS):
                self._warned.append(f"{category.__name__} {message} in {filename}:{lineno}")

        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.showwarning = note  # type: ignore[assignment]
            yield


#: Readers that some of their seeds are no sound input of.
_NOT_ALL_SOUND = ("options", "real files", "structure")


@contextlib.contextmanager
def _nothing() -> Iterator[None]:
    yield


def _open_files() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208


def _described(error: BaseException) -> str:
    """An error and the lines of ours that it came through."""
    places = [
        f"{Path(f.filename).name}:{f.lineno} {f.name}"
        for f in traceback.extract_tb(error.__traceback__)
        if f.filename.startswith(_OURS)
    ]
    return f"{type(error).__name__} {str(error)[:200]} at {' < '.join(reversed(places[-4:]))}"


def serve() -> None:
    """Answers jobs from stdin until it ends."""
    signal.signal(signal.SIGPROF, _late)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    progress = os.open(os.environ["FUZZ_PROGRESS"], os.O_RDWR)
    feeders: dict[str, Feeder] = {}
    with tempfile.TemporaryDirectory(prefix="mdbench-fuzz-") as place:
        for line in sys.stdin:
            name, first, count = json.loads(line)
            if name not in feeders:
                folder = Path(place) / str(len(feeders))
                folder.mkdir()
                feeders[name] = Feeder(name, folder, progress)
            answer = feeders[name].run(first, count)
            print(json.dumps(answer), file=answers, flush=True)


def replay(name: str, number: int, folder: Path) -> None:
    """Reads one input again, without bounds."""
    feeder = Feeder(name, folder)
    case = feeder.reader.case(name, number)
    path = feeder._lay(case.files)
    case = feeder._spoiled_on_disk(case)
    print(f"{path}: {case.what}"[:2000])
    if case.command and feeder.reader.commands is not None:
        from mdbench_cli.main import run

        words, _ = feeder.reader.commands(path, case.options)
        print(words, run([*words, "--debug"]))
    else:
        print(feeder.reader.read(path, case.options))


if __name__ == "__main__":
    if len(sys.argv) > 2:
        place = sys.argv[3] if len(sys.argv) > 3 else tempfile.mkdtemp(prefix="mdbench-fuzz-")
        Path(place).mkdir(exist_ok=True)
        replay(sys.argv[1], int(sys.argv[2]), Path(place))
    else:
        serve()
