"""Two processes that make the same thing in one run folder: one does, nothing is spoiled."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.stages.contents import arrays, files

CODE = "from mdbench_cli.main import main; main()"
REFERENCE = (
    *("reference", "--material", "lgps", "--temps", "800,900", "--replicas", "2", "--ps", "8"),
    *("--ramp-ps", "0.2", "--stride", "5", "--threads", "1", "--run", "run", "--quiet"),
)
DATASET = ("dataset", "--run", "run", "--fraction", "0.05")
TRAIN = ("train", "--model", "cgcnn-small", "--run", "run", "--budget", "6s", "--quiet")
SIMULATE = (
    *("simulate", "--model", "cgcnn-small", "--run", "run", "--temps", "800", "--replicas", "4"),
    *("--ps", "0.4", "--ramp-ps", "0.1", "--threads", "2", "--quiet"),
)
MSD = ("msd", "--run", "run", "--quiet")


def start(folder: Path, words: tuple[str, ...]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", CODE, *words],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def together(folder: Path, words: tuple[str, ...]) -> None:
    """One of two has the work; the other is refused in a line, or comes when all is done."""
    both = [start(folder, words) for _ in range(2)]
    ends = [(process.communicate()[1], process.returncode) for process in both]
    assert 0 in [status for _, status in ends], ends
    for err, status in ends:
        assert status in (0, 2), ends
        if status == 2:
            assert "another process is making this" in err
            assert len(err.splitlines()) == 1
    assert not [name for name in files(folder) if name.endswith((".part", ".lock", ".state"))]


def alone(folder: Path, words: tuple[str, ...]) -> None:
    process = start(folder, words)
    _, err = process.communicate()
    assert process.returncode == 0, err


def folders(tmp_path: Path) -> tuple[Path, Path]:
    both = tmp_path / "both", tmp_path / "one"
    for folder in both:
        folder.mkdir()
    return both


def same(one: Path, other: Path, pattern: str) -> bool:
    names = {str(p.relative_to(one)) for p in one.glob(pattern)}
    assert names
    return names == {str(p.relative_to(other)) for p in other.glob(pattern)} and all(
        arrays(one / name) == arrays(other / name) for name in names
    )


def test_reference_and_analysis(tmp_path) -> None:
    both, one = folders(tmp_path)
    together(both, REFERENCE)
    alone(one, REFERENCE)
    assert same(both, one, "run/reference/*/*.h5")
    together(both, MSD)
    alone(one, MSD)
    assert same(both, one, "run/observables/*/*/*.h5")


@pytest.mark.slow
def test_dataset_training_and_dynamics(tmp_path) -> None:
    both, one = folders(tmp_path)
    alone(both, REFERENCE)
    together(both, DATASET)
    together(both, TRAIN)
    together(both, TRAIN)  # both find it done
    together(both, SIMULATE)
    (one / "run").mkdir()
    for name in ("reference", "dataset", "models"):
        shutil.copytree(both / "run" / name, one / "run" / name)
    alone(one, SIMULATE)
    assert same(both, one, "run/rollouts/*/*/*.h5")


@pytest.mark.slow
@pytest.mark.parametrize("round_", range(5))
def test_again_and_again(tmp_path, round_) -> None:
    both, one = folders(tmp_path)
    together(both, REFERENCE)
    alone(one, REFERENCE)
    assert same(both, one, "run/reference/*/*.h5")
