"""The whole chain as a user starts it: a model, a calculator that is broken, and the control."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from mdbench.records import read_records
from mdbench.store import TrajectoryFile

MDBENCH = Path(sys.executable).with_name("mdbench")
PROFILE = """
about: as little as there can be
models: [schnet-small, broken:make]
one_process_per: stage
near: false
reference: {materials: [lgps], temperatures: 800, replicas: 2, ps: 2, stride: 5}
training: {material: lgps, fraction: 0.005, budget: 2s}
rollouts: {temperatures: 800, replicas: 1, ps: PS, stride: 2}
"""
BROKEN = "def make():\n    raise RuntimeError('the weights are gone')\n"
ALL = {
    "reference/lgps": "done", "dataset/lgps": "done", "train/schnet-small-s0": "done",
    "evaluate/schnet-small-s0": "done", "audit/schnet-small-s0": "done",
    "simulate/schnet-small-s0-lgps": "done", "analyze/schnet-small-s0": "done",
    "evaluate/broken.make": "failed", "audit/broken.make": "failed",
    "simulate/broken.make-lgps": "failed", "analyze/broken.make": "skipped",
    "audit/refpot": "done", "simulate/refpot-lgps": "done",
    "analyze/refpot": "done", "analyze/reference": "done",
}  # fmt: skip


def benchmark(folder: Path, ps: str, *more: str) -> subprocess.CompletedProcess[str]:
    (folder / "profile.yaml").write_text(PROFILE.replace("PS", ps))
    command = [str(MDBENCH), "benchmark", "--profile", "profile.yaml", "--run", "here", *more]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def states(folder: Path) -> dict[str, str]:
    return {f"{r.stage}/{r.name}": r.state for r in read_records(folder / "here")}


def began(folder: Path) -> dict[str, str]:
    return {f"{r.stage}/{r.name}": r.began for r in read_records(folder / "here")}


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    pytest.importorskip("snakemake")
    folder = tmp_path_factory.mktemp("benchmark")
    (folder / "broken.py").write_text(BROKEN)
    return folder, benchmark(folder, "0.2")


def test_a_failure_does_not_stop_the_others(first) -> None:
    folder, done = first
    assert done.returncode == 1, done.stderr
    assert states(folder) == ALL
    assert "failed: audit broken.make: " in done.stdout
    assert "the weights are gone" in done.stdout
    assert "skipped: analyze broken.make: simulate/broken.make-lgps did not succeed" in done.stdout


def test_the_report(first) -> None:
    folder, done = first
    page = folder / "here/report/index.html"
    assert done.stdout.splitlines()[-1] == "report: here/report/index.html"
    text = page.read_text()
    assert "schnet-small-s0" in text
    assert "the weights are gone" in text
    for name in ("tables/summary.csv", "figures/figure-3.png", "figures/figure-3.svg"):
        assert (page.parent / name).stat().st_size > 100
    assert {p.name for p in (folder / "here/verdict").iterdir()} == {
        "schnet-small-s0.h5", "refpot.h5", "broken.make.h5"
    }  # fmt: skip


def test_what_it_was_is_written_down(first) -> None:
    folder, _ = first
    about = json.loads((folder / "here/benchmark.json").read_text())
    assert about["settings"]["training"]["budget"] == "2s"
    assert about["models"] == ["schnet-small-s0", "broken.make", "refpot"]
    assert about["environment"]["torch"]


@pytest.mark.slow
def test_a_clock_that_jumps(first) -> None:
    """Whatever the times of files are, what is done is not made again, and nothing is lost."""
    folder, _ = first
    rng = random.Random(0)
    made = [p for p in (folder / "here").rglob("*") if p.suffix in (".h5", ".safetensors")]
    assert len(made) > 10
    for path in (p for p in (folder / "here").rglob("*") if p.is_file()):
        time = path.stat().st_mtime + rng.uniform(-1e5, 1e5)
        os.utime(path, (time, time))
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in made}
    again = benchmark(folder, "0.2")
    assert again.returncode == 1
    assert states(folder) == ALL
    known = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in made}
    changed = [path for path in made if known[path] != before[path]]
    assert all("verdict" in path.parts for path in changed), changed


@pytest.mark.slow
def test_only_what_changed_is_made_anew(first) -> None:
    """What failed is tried again; with other rollouts no model is trained again."""
    folder, _ = first
    before = began(folder)
    again = benchmark(folder, "0.2")
    assert again.returncode == 1
    assert states(folder) == ALL
    retried = {name for name, time in began(folder).items() if time != before[name]}
    assert retried <= {name for name in ALL if "broken" in name}
    assert "tasks: 4 to do, 11 done" in again.stderr

    (folder / "broken.py").write_text("from ase.calculators.lj import LennardJones as make\n")
    longer = benchmark(folder, "0.3")
    after = {name: time for name, time in began(folder).items() if "broken" not in name}
    redone = {name for name, time in after.items() if time != before[name]}
    assert {name.partition("/")[0] for name in redone} == {"simulate", "analyze"}
    assert "analyze/reference" not in redone
    with TrajectoryFile(folder / "here/rollouts/refpot/lgps/800K-r0.h5") as file:
        assert file.n_frames == 75
    assert states(folder)["simulate/broken.make-lgps"] == "done", longer.stdout


def test_dry_run(first) -> None:
    folder, _ = first
    shown = benchmark(folder, "0.3", "--dry-run", "--models", "cgcnn-small")
    assert shown.returncode == 0
    assert "mdbench train --run . --model cgcnn-small --material lgps" in shown.stdout
    assert "reference" not in {line.partition(":")[0] for line in shown.stdout.splitlines()}
    assert not (folder / "here/models/cgcnn-small-s0").exists()
    assert "estimate: " in shown.stdout


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--models", "shnet"], "did you mean schnet"),
        (["--profile", "labtop"], "did you mean laptop"),
        (["--data", "nothing"], "no such file or folder"),
        (["--executor", "slurn"], "did you mean slurm"),
    ],
)
def test_bad_input_is_one_line(tmp_path, more, message) -> None:
    done = benchmark(tmp_path, "0.2", *more)
    assert done.returncode == 2
    (line,) = (x for x in done.stderr.splitlines() if "error" in x)
    assert message in line
    assert not (tmp_path / "here/benchmark.json").exists()
