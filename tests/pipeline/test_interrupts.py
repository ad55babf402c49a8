"""Ctrl-C in every command, at any moment: one line, nothing half-written, nothing lost."""

import random
import shutil
import signal
import time
from pathlib import Path

import pytest

from tests.pipeline.commands import CASES, Case, check_whole, result


def interrupted(mdbench, case: Case, after_s: float):
    """Runs a command that is interrupted by hand after a time."""

    def press(*_) -> None:
        signal.raise_signal(signal.SIGINT)

    old = signal.signal(signal.SIGALRM, press)
    signal.setitimer(signal.ITIMER_REAL, after_s)
    try:
        return mdbench(*case.words)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, old)


def check(name: str, base: Path, tmp_path: Path, monkeypatch, mdbench, shares) -> None:
    case = CASES[name]
    whole = tmp_path / "whole"
    shutil.copytree(base, whole)
    monkeypatch.chdir(whole)
    began = time.monotonic()
    assert mdbench(*case.words).status == 0
    length = time.monotonic() - began
    expected = result(whole)
    for k, share in enumerate(shares):
        folder = tmp_path / f"broken{k}"
        shutil.copytree(base, folder)
        monkeypatch.chdir(folder)
        done = interrupted(mdbench, case, max(share * length, 1e-4))
        assert done.status in (0, 130), done
        if done.status == 130:
            last = done.err.splitlines()[-1] if done.err else ""
            assert last in ("mdbench: interrupted", "") or case.resumes, done
        assert "Traceback" not in done.err, done
        check_whole(folder, case)
        if done.status:
            again = mdbench(*case.words)
            assert again.status == 0, again
        found = result(folder)
        assert found.keys() == expected.keys()
        if case.alike:
            assert found == expected
        shutil.rmtree(folder)


#: Those that take long, but for the one that resumes.
LONG = {"audit", "selftest", "rdf", "evaluate"}


@pytest.mark.parametrize("name", [name for name in CASES if name not in LONG])
def test_interrupted_in_the_middle(name, base, tmp_path, monkeypatch, mdbench) -> None:
    check(name, base, tmp_path, monkeypatch, mdbench, (0.5,))


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_interrupted_at_any_moment(name, base, tmp_path, monkeypatch, mdbench) -> None:
    rng = random.Random(name)
    check(name, base, tmp_path, monkeypatch, mdbench, [rng.random() for _ in range(10)])
