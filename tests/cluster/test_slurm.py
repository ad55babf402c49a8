"""Benchmarks on a real Slurm that is started for them from Debian's packages."""

import importlib.util
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mdbench.records import read_records

HERE = Path(__file__).parent
MDBENCH = Path(sys.executable).with_name("mdbench")
SYSTEM = f"{os.environ['PATH']}:/usr/sbin"
PROGRAMS = ("munged", "mungekey", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol")
PROFILE = """
about: as little as there can be
models: [schnet-small, broken:make]
control: false
near: false
reference: {materials: [lgps], temperatures: "800,1200", replicas: 1, ps: 5, stride: 5}
training: {material: lgps, fraction: 0.005, budget: 6s}
rollouts: {temperatures: "800,1200", replicas: 1, ps: 0.5, stride: 5}
"""
# as the owner of a cluster account would write it
CONFIG = """
executor: slurm
jobs: 8
max-threads: 2
restart-times: 0
latency-wait: 10
slurm-status-command: squeue
slurm-init-seconds-before-status-checks: 5
slurm-no-account: true
default-resources:
  - slurm_partition=cpu
config:
  - gpus=1
  - gpu_model=pretended
  - runtime_audit=30
"""
BROKEN = "def make():\n    raise RuntimeError('the weights are gone')\n"
STAGES = ("train", "evaluate", "audit", "simulate", "analyze")
AFTER_REFERENCE = ("dataset", "analyze", "simulate")
ALL = {
    **dict.fromkeys(("reference/lgps", "dataset/lgps", "analyze/reference"), "done"),
    **{f"{name}/schnet-small-s0": "done" for name in ("train", "evaluate", "audit", "analyze")},
    "simulate/schnet-small-s0-lgps": "done",
    **dict.fromkeys(("evaluate/broken.make", "audit/broken.make"), "failed"),
    "simulate/broken.make-lgps": "failed",
    "analyze/broken.make": "skipped",
}


def lacking() -> str | None:
    """Why there can be no Slurm here."""
    missing = [name for name in PROGRAMS if shutil.which(name, path=SYSTEM) is None]
    if missing:
        return f"Debian's slurmctld, slurmd, slurm-client and munge are not here: {missing[0]}"
    if importlib.util.find_spec("snakemake_executor_plugin_slurm") is None:
        return "snakemake-executor-plugin-slurm is not installed"
    return "Slurm's daemons need root" if os.geteuid() else None


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(lacking() is not None, reason=str(lacking())),
]


@dataclass(frozen=True)
class Cluster:
    """A Slurm, and a user's folder on its shared file system."""

    environment: dict[str, str]
    home: Path

    @property
    def run(self) -> Path:
        return self.home / "a run"

    def start(self, *options: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [MDBENCH, "benchmark", "--profile", "tiny.yaml", "--run", "a run", *options],
            cwd=self.home, env=self.environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def ask(self, *command: str) -> str:
        done = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, check=True, timeout=60
        )
        return done.stdout

    def jobs(self) -> list[dict[str, str]]:
        """All jobs, ended ones too, by what `scontrol` calls their properties."""
        lines = self.ask("scontrol", "--oneliner", "show", "job").splitlines()
        return [dict(re.findall(r"(\w+)=(\S*)", line)) for line in lines if "JobId=" in line]


def stage(job: dict[str, str]) -> str:
    return job["Comment"].split("_")[1]


def free_port() -> int:
    """The first of three in a row that nothing listens to, below those of outgoing connections."""
    for port in random.sample(range(20000, 32000, 3), 100):
        with socket.socket() as a, socket.socket() as b, socket.socket() as c:
            try:
                for i, one in enumerate((a, b, c)):
                    one.bind(("127.0.0.1", port + i))
            except OSError:
                continue
            return port
    raise AssertionError("no free ports")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory) -> Iterator[Cluster]:
    place = tmp_path_factory.mktemp("slurm").resolve()
    home = tmp_path_factory.mktemp("home")
    (home / "my cluster").mkdir()
    (home / "my cluster/config.yaml").write_text(CONFIG)
    (home / "tiny.yaml").write_text(PROFILE)
    (home / "broken.py").write_text(BROKEN)
    try:
        started = subprocess.run(
            [HERE / "slurm_up.sh", place, f"{free_port()}"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert started.returncode == 0, started.stderr
        own = {
            "SLURM_CONF": f"{place}/slurm.conf",
            "PATH": f"{place}/bin:{SYSTEM}",
            "OMP_NUM_THREADS": "1",
        }
        yield Cluster({**os.environ, **own}, home)
    finally:
        subprocess.run([HERE / "slurm_down.sh", place], check=True, timeout=120)


@dataclass(frozen=True)
class Resumed:
    """A benchmark that was killed in the middle, and what came of starting it again."""

    left: list[str]
    output: str
    status: int
    before: dict[str, float] = field(default_factory=dict)


def states(run: Path) -> dict[str, str]:
    return {f"{r.stage}/{r.name}": r.state for r in read_records(run)}


def done(run: Path) -> dict[str, float]:
    """Of tasks that are done: the time of the record, s."""
    return {
        f"{r.stage}/{r.name}": (run / r.file).stat().st_mtime
        for r in read_records(run)
        if r.state == "done"
    }


@pytest.fixture(scope="module")
def resumed(cluster) -> Resumed:
    """Killed with its Snakemake when the reference is made and what needs it has just started.

    Those jobs are suspended, so that they do not end by themselves.
    """
    process = cluster.start("--executor", "my cluster")
    left: list[str] = []
    while process.poll() is None and len(left) < 3:
        time.sleep(0.2)
        left = [
            job["JobId"]
            for job in cluster.jobs()
            if stage(job) in AFTER_REFERENCE and job["JobState"] == "RUNNING"
        ]
    assert process.poll() is None, process.communicate()
    cluster.ask("scontrol", "suspend", ",".join(left))
    group = int((cluster.run / "benchmark.lock").read_text().split()[-1])
    process.kill()
    process.communicate()
    os.killpg(group, signal.SIGKILL)
    assert set(cluster.ask("squeue", "--noheader", "--format=%i").split()) >= set(left)
    before = done(cluster.run)
    again = cluster.start("--executor", "my cluster")
    output, _ = again.communicate(timeout=600)
    return Resumed(left, output, again.returncode, before)


def test_a_failure_does_not_stop_the_others(cluster, resumed) -> None:
    assert resumed.status == 1, resumed.output
    assert states(cluster.run) == ALL
    assert "failed: audit broken.make: " in resumed.output
    assert "the weights are gone" in resumed.output
    assert (cluster.run / "report/index.html").exists()


def test_what_was_left_in_the_queue_is_canceled(cluster, resumed) -> None:
    (line,) = (x for x in resumed.output.splitlines() if "an earlier start left in Slurm" in x)
    canceled = re.findall(r"\d+", line)
    assert set(resumed.left) <= set(canceled)
    for job in cluster.jobs():
        ended = "CANCELLED" if job["JobId"] in canceled else "COMPLETED"
        assert job["JobState"] == ended


def test_only_what_is_missing_is_done(cluster, resumed) -> None:
    assert set(resumed.before) == {"reference/lgps"}
    assert done(cluster.run)["reference/lgps"] == resumed.before["reference/lgps"]
    jobs = [job["Comment"] for job in cluster.jobs() if job["JobState"] == "COMPLETED"]
    assert len(set(jobs)) == len(ALL)
    twice = {name for name in jobs if jobs.count(name) > 1}
    assert all("broken" in name for name in twice)  # what fails is tried again


def test_jobs_ask_for_what_they_need(cluster, resumed) -> None:
    """All ran on nodes of Slurm, and only those that a GPU helps had one."""
    jobs = cluster.jobs()
    assert {stage(job) for job in jobs} == {"reference", "dataset", *STAGES}
    for job in jobs:
        assert job["BatchHost"] in ("n1", "n2")
        on_gpu = stage(job) in ("train", "evaluate", "audit", "simulate")
        assert job.get("TresPerJob", "") == ("gres:gpu:pretended:1" if on_gpu else "")
        parallel = stage(job) in ("reference", "evaluate", "simulate", "analyze")
        assert job["NumCPUs"] == ("2" if parallel else "1")
    assert {job["TimeLimit"] for job in jobs if stage(job) == "audit"} == {"00:30:00"}


def test_nothing_is_written_beside_the_run_folder(cluster, resumed) -> None:
    assert {p.name for p in cluster.home.iterdir()} <= {
        *("a run", "my cluster", "tiny.yaml", "broken.py", "__pycache__")
    }


def test_the_settings_that_come_with_mdbench(cluster, resumed) -> None:
    """One task is missing; without the broken model all end well, and none asks for a GPU."""
    for name in ("schnet-small-s0.json", "schnet-small-s0.began.json"):
        (cluster.run / "jobs/evaluate" / name).unlink()
    known, n_before = done(cluster.run), len(cluster.jobs())
    process = cluster.start("--executor", "slurm", "--models", "schnet-small")
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 0, output
    assert states(cluster.run) == ALL
    after = done(cluster.run)
    assert {name: after[name] for name in known} == known
    (job,) = cluster.jobs()[n_before:]
    assert (stage(job), job["JobState"], job["NumCPUs"]) == ("evaluate", "COMPLETED", "4")
    assert "TresPerJob" not in job
