"""Whatever a file holds: a sound result, or one line that says what is wrong with it.

Inputs are sound files that were spoiled, the same ones whenever the tests run. `python -m
tests.fuzz.worker READER NUMBER` reads one of them again.
"""

import os

import pytest

from tests.fuzz.feeding import Outcome, Worker
from tests.fuzz.readers import READERS

#: How many inputs each reader is fed with, by default and in slow tests, by what one of them takes.
INPUTS = {
    "vasprun": (80, 15_000),
    "XDATCAR": (80, 15_000),
    "outcar": (80, 12_000),
    "dump": (80, 12_000),
    "extxyz": (80, 12_000),
    "cp2k": (80, 8_000),
    "ase": (80, 8_000),
    "h5md": (40, 3_000),
    "trajectory": (40, 2_500),
    "dataset": (20, 600),
    "result": (40, 2_500),
    "run folder": (0, 100),
    "checkpoint": (30, 1_500),
    "training state": (30, 1_500),
    "journal": (40, 2_000),
    "structure": (40, 2_000),
    "runs.yaml": (60, 5_000),
    "profile": (60, 5_000),
    "benchmark.json": (80, 8_000),
    "options": (120, 12_000),
    "real files": (0, 2_000),
}
AT_LEAST = 1_000, 100_000


@pytest.fixture(scope="module")
def worker():
    """A process that feeds readers."""
    made = Worker()
    yield made
    made.remove()


@pytest.fixture(scope="module")
def fed():
    """What became of the inputs, by reader and kind of test."""
    return {}


def feed(worker: Worker, fed: dict, name: str, slow: bool) -> None:
    count = INPUTS[name][slow]
    found = worker.feed(name, 0, count)
    fed[name, slow] = found
    print(f"{name}: {found.n} inputs, {found.read} read, in {found.seconds:.0f} s")
    assert not found.findings, "\n".join(found.findings[:20])
    assert found.n == count
    # neither all of them harmless nor all beyond reading
    assert 0.02 * count < found.read < 0.95 * count


def total(fed: dict[tuple[str, bool], Outcome], slow: bool) -> int:
    """Inputs of all readers, once all were fed."""
    wanted = {name for name, counts in INPUTS.items() if counts[slow]} - {"real files"}
    if not wanted <= {name for name, kind in fed if kind == slow}:
        pytest.skip("not all readers were fed")
    return sum(found.n for (_, kind), found in fed.items() if kind == slow)


def test_every_reader_is_fed() -> None:
    assert INPUTS.keys() == READERS.keys()


@pytest.mark.parametrize("name", [name for name, counts in INPUTS.items() if counts[0]])
def test_spoiled_files(name, worker, fed) -> None:
    feed(worker, fed, name, slow=False)


def test_how_many_there_were(fed) -> None:
    assert total(fed, slow=False) >= AT_LEAST[0]


@pytest.mark.slow
@pytest.mark.parametrize("name", INPUTS)
def test_many_spoiled_files(name, worker, fed) -> None:
    if name == "real files" and not os.environ.get("MDBENCH_REAL_DATA"):
        pytest.skip("MDBENCH_REAL_DATA is not set: no real files of other codes here")
    feed(worker, fed, name, slow=True)


@pytest.mark.slow
def test_how_many_there_were_in_all(fed) -> None:
    n = total(fed, slow=True)
    print(f"{n} inputs in {sum(f.seconds for f in fed.values()):.0f} s")
    assert n >= AT_LEAST[1]
