"""Simulations that are killed at any moment and started again: the same files in the end."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.stages.contents import arrays, files

PLACES = {f"reference/lgps/{t}K-r0.h5" for t in (800, 1200)}
CODE = "from mdbench_cli.main import main; main()"


def start(folder: Path, ps: float, threads: int) -> subprocess.Popen[str]:
    options = (
        *("--material", "lgps", "--temps", "800,1200", "--replicas", "1", "--ramp-ps", "2"),
        *("--ps", str(ps), "--threads", str(threads), "--run", str(folder), "--quiet"),
    )
    return subprocess.Popen(
        [sys.executable, "-c", CODE, "reference", *options],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def finish(folder: Path, ps: float, threads: int = 1) -> str:
    """Runs to the end; what was printed."""
    process = start(folder, ps, threads)
    out, err = process.communicate()
    assert (process.returncode, err) == (0, "")
    return out


def kill(process: subprocess.Popen[str], how: signal.Signals = signal.SIGKILL) -> int:
    process.send_signal(how)
    process.communicate()
    return process.returncode


def wait_for_state(process: subprocess.Popen[str], folder: Path, older: set[int]) -> set[int]:
    """Waits until a run has stored a state that is none of the older ones; their times."""
    while process.poll() is None:
        states = {path.stat().st_mtime_ns for path in folder.rglob("*.state")}
        if states - older:
            return states
        time.sleep(0.002)
    return set()


def check_unfinished(folder: Path, expected: dict[str, dict[str, bytes]]) -> None:
    """A file that has its final name is finished."""
    for place in files(folder) & PLACES:
        assert arrays(folder / place) == expected[place]


def check_finished(folder: Path, expected: dict[str, dict[str, bytes]]) -> None:
    assert files(folder) == PLACES
    for place in PLACES:
        assert arrays(folder / place) == expected[place]


def test_killed_and_killed_again(tmp_path) -> None:
    """After its first states, in a row; then interrupted by hand; then left alone."""
    ps, rng = 16.0, random.Random(4)
    assert "made" in finish(tmp_path / "whole", ps)
    expected = {place: arrays(tmp_path / "whole" / place) for place in PLACES}
    folder, states = tmp_path / "killed", set[int]()
    for how in (signal.SIGKILL, signal.SIGKILL, signal.SIGINT):
        process = start(folder, ps, threads=1)
        states = wait_for_state(process, folder, states)
        time.sleep(rng.uniform(0.0, 0.1))
        assert not files(folder) & PLACES
        assert kill(process, how) in ((-how,) if how is signal.SIGKILL else (130, -how))
        assert not files(folder) & PLACES
        assert {Path(name).suffix for name in files(folder)} <= {".part", ".state", ".new", ".lock"}
    assert "resumed" in finish(folder, ps, threads=2)
    check_finished(folder, expected)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_killed_at_any_moment(tmp_path, seed) -> None:
    """Before it began, in the ramp, between frames and state, while trajectories are written."""
    ps, rng = 16.0, random.Random(seed)
    began = time.monotonic()
    finish(tmp_path / "whole", ps)
    length = time.monotonic() - began
    expected = {place: arrays(tmp_path / "whole" / place) for place in PLACES}
    for round_ in range(4):
        folder = tmp_path / f"killed{round_}"
        for _ in range(4):
            process = start(folder, ps, threads=rng.choice((1, 2)))
            time.sleep(rng.uniform(0.0, length))
            kill(process)
            check_unfinished(folder, expected)
        finish(folder, ps, threads=rng.choice((1, 2)))
        check_finished(folder, expected)
