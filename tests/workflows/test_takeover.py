import errno
import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from mdbench_workflows import takeover
from mdbench_workflows.cluster import job_prefix
from mdbench_workflows.takeover import cancel_leftovers, held

from mdbench.errors import InputError
from mdbench.records import read_records

pytest.importorskip("psutil")
HOST = os.uname().nodename
MDBENCH = Path(sys.executable).with_name("mdbench")
LEFT = "import signal, sys, time; {}; print(flush=True); time.sleep(600)"
STUBBORN = "signal.signal(signal.SIGINT, signal.SIG_IGN)"
GENTLE = "signal.signal(signal.SIGINT, signal.SIG_DFL)"


@pytest.fixture
def left():
    """Starts processes as those that a killed benchmark leaves behind."""
    started = []

    def start(place: Path, lock: int | None = None, how: str = GENTLE) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-c", LEFT.format(how)], cwd=place, stdout=subprocess.PIPE,
            start_new_session=True, pass_fds=() if lock is None else (lock,),
        )  # fmt: skip
        started.append(process)
        assert process.stdout is not None
        process.stdout.readline()
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def dead() -> int:
    """Number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def write(folder: Path, text: str) -> None:
    (folder / "benchmark.lock").write_text(text)


def locked(folder: Path, text: str):
    """A lock file that is held, as Snakemake holds it."""
    file = (folder / "benchmark.lock").open("w")
    file.write(text)
    file.flush()
    fcntl.flock(file, fcntl.LOCK_EX)
    return file


def test_held_and_let_go(tmp_path) -> None:
    said: list[str] = []
    for _ in range(2):
        with held(tmp_path, said.append) as hold:
            lock = tmp_path / "benchmark.lock"
            assert lock.read_text() == f"process {os.getpid()} on {HOST}\n"
            hold.note(12)
            expected = f"process {os.getpid()} on {HOST}, its jobs in process group 12\n"
            assert lock.read_text() == expected
    assert said == []


def test_a_live_one_is_left_alone(tmp_path, left) -> None:
    said: list[str] = []
    with held(tmp_path, said.append) as hold:
        jobs = left(tmp_path, hold.descriptor)
        hold.note(jobs.pid)
        with pytest.raises(InputError) as error, held(tmp_path, said.append):
            pass
    assert f"found process {os.getpid()} on {HOST}" in str(error.value)
    assert (jobs.poll(), said) == (None, [])


def test_one_on_another_machine_is_left_alone(tmp_path, left, dead) -> None:
    jobs = left(tmp_path)
    with locked(tmp_path, f"process {dead} on login7, its jobs in process group {jobs.pid}\n"):
        with pytest.raises(InputError, match=f"process {dead} on login7"), held(tmp_path, print):
            pass
        assert jobs.poll() is None


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_snakemake_without_its_driver_is_stopped(tmp_path, left, dead, monkeypatch, how) -> None:
    monkeypatch.setattr(takeover, "_INTERRUPTED_S", 0.5 if how is signal.SIGKILL else 20.0)
    with locked(tmp_path, "") as lock:
        jobs = left(tmp_path, lock.fileno(), STUBBORN if how is signal.SIGKILL else GENTLE)
        text = f"process {dead} on {HOST}, its jobs in process group {jobs.pid}"
        lock.write(f"{text}\n")
    said: list[str] = []
    with held(tmp_path, said.append):
        assert jobs.wait() == -how
    assert said == [f"stopped what was left of an earlier start ({text})"]


def test_jobs_without_their_snakemake_are_stopped(tmp_path, left, dead) -> None:
    jobs = left(tmp_path)
    write(tmp_path, f"process {dead} on {HOST}, its jobs in process group {jobs.pid}\n")
    said: list[str] = []
    with held(tmp_path, said.append):
        assert jobs.wait() == -signal.SIGINT
    assert len(said) == 1


def test_a_driver_that_nobody_has_waited_for_is_dead(tmp_path, left) -> None:
    driver, jobs = left(tmp_path), left(tmp_path)
    driver.kill()
    os.waitid(os.P_PID, driver.pid, os.WEXITED | os.WNOWAIT)
    write(tmp_path, f"process {driver.pid} on {HOST}, its jobs in process group {jobs.pid}\n")
    with held(tmp_path, print):
        assert jobs.wait() == -signal.SIGINT


def test_others_with_the_same_number_are_left_alone(tmp_path, left, dead) -> None:
    """After a restart of the machine the numbers of processes belong to others."""
    (tmp_path / "run").mkdir()
    others = left(tmp_path)
    write(tmp_path / "run", f"process {dead} on {HOST}, its jobs in process group {others.pid}\n")
    said: list[str] = []
    with held(tmp_path / "run", said.append):
        assert (others.poll(), said) == (None, [])


@pytest.mark.parametrize("text", ["", "\0\0\0", "process 0\n"])
def test_a_lock_that_does_not_say_whose_it_is(tmp_path, text) -> None:
    lock = locked(tmp_path, text)
    with pytest.raises(InputError, match="another benchmark runs"), held(tmp_path, print):
        pass
    lock.close()
    with held(tmp_path, print):
        pass


def test_a_file_system_without_locks(tmp_path, monkeypatch) -> None:
    def refuse(*_):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(InputError, match="cannot be locked here"), held(tmp_path, print):
        pass


@pytest.fixture
def queue(tmp_path, monkeypatch) -> Path:
    """A queue of jobs, a line each, and stand-ins of Slurm's commands."""
    for name, text in {"squeue": 'cat "$QUEUE"', "scancel": 'touch "$QUEUE.canceled"'}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("QUEUE", f"{tmp_path}/queue")
    (tmp_path / "queue").write_text("")
    return tmp_path / "queue"


def test_only_jobs_of_the_run_folder_are_canceled(tmp_path, queue) -> None:
    """Also where `scancel` complains, as it does of a job that has ended meanwhile."""
    run, said = tmp_path / "run", list[str]()
    other = job_prefix(tmp_path / "run2")
    lines = [f"7 {job_prefix(run)}_a", f"8 {other}_b", f"9_[1-3] {job_prefix(run)}_a", "10 x y"]
    queue.write_text("\n".join(lines) + "\n")
    queue.with_name("scancel").write_text(
        '#!/bin/sh\necho "$@" > "$QUEUE.canceled"\nsed -i "/^7 /d; /^9_/d" "$QUEUE"\nexit 1\n'
    )
    cancel_leftovers(run, said.append)
    assert Path(f"{queue}.canceled").read_text() == "7 9_[1-3]\n"
    assert said == ["canceled jobs that an earlier start left in Slurm: 7, 9_[1-3]"]
    assert queue.read_text() == f"8 {other}_b\n10 x y\n"


def test_nothing_is_canceled_where_nothing_is_left(tmp_path, queue) -> None:
    said: list[str] = []
    cancel_leftovers(tmp_path, said.append)
    assert said == []
    assert not Path(f"{queue}.canceled").exists()


def test_jobs_that_do_not_end(tmp_path, queue, monkeypatch) -> None:
    monkeypatch.setattr(takeover, "_CANCELED_S", 0.0)
    queue.write_text(f"7 {job_prefix(tmp_path)}_a\n")
    queue.with_name("scancel").write_text("#!/bin/sh\n")
    with pytest.raises(InputError, match="do not end: 7"):
        cancel_leftovers(tmp_path, print)


def test_no_slurm(tmp_path, queue, monkeypatch) -> None:
    queue.with_name("squeue").write_text("#!/bin/sh\necho 'no controller' >&2; exit 1\n")
    with pytest.raises(InputError, match="squeue of Slurm failed: found no controller"):
        cancel_leftovers(tmp_path, print)
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    with pytest.raises(InputError, match="squeue of Slurm is not here"):
        cancel_leftovers(tmp_path, print)


PROFILE = """
models: [refpot]
control: false
reference: {materials: [lgps], temperatures: "800,1000", replicas: 4, ps: 10, stride: 5}
training: {fraction: 0.005}
rollouts: {temperatures: "800,1000", replicas: 4, ps: 60, stride: 20}
"""


class Killed:
    """A benchmark of refpot against itself in a folder, killed while it makes something."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.run = folder, folder / "run"
        (folder / "profile.yaml").write_text(PROFILE)
        self.command = [str(MDBENCH), "benchmark", "--profile", "profile.yaml", "--cores", "2"]
        self.environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self.environment.pop("MDBENCH_RUN", None)

    def until(self, task: str) -> tuple[int, str]:
        """Kills the driver as soon as a task was begun; the group of Snakemake, what was said."""
        process = subprocess.Popen(
            self.command, cwd=self.folder, env=self.environment, text=True, stderr=subprocess.PIPE
        )
        begun, lock = self.run / f"jobs/{task}.began.json", self.run / "benchmark.lock"
        held = f"process {process.pid} on "  # what an earlier start left may have begun the task
        while process.poll() is None and not (begun.exists() and held in lock.read_text()):
            time.sleep(0.05)
        assert process.poll() is None, process.communicate()
        time.sleep(0.5)
        process.kill()
        _, said = process.communicate()
        return int((self.run / "benchmark.lock").read_text().split()[-1]), said

    def finish(self) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command, cwd=self.folder, env=self.environment, text=True, capture_output=True,
            timeout=300, check=False,
        )  # fmt: skip

    def done(self) -> dict[str, tuple[str, int]]:
        """Of tasks that are done: when each was begun, and the time of its record, ns."""
        return {
            f"{r.stage}/{r.name}": (r.began, (self.run / r.file).stat().st_mtime_ns)
            for r in read_records(self.run)
            if r.state == "done"
        }


@pytest.mark.slow
def test_killed_and_taken_over(tmp_path) -> None:
    """First the driver alone, then with its Snakemake; only what is missing is done."""
    pytest.importorskip("snakemake")
    killed = Killed(tmp_path)
    first, _ = killed.until("reference/lgps")
    os.killpg(first, 0)  # it goes on
    assert killed.done() == {}
    second, said = killed.until("simulate/refpot-lgps")
    assert "stopped what was left of an earlier start (process " in said
    assert f"process group {first})" in said
    with pytest.raises(ProcessLookupError):
        os.killpg(first, 0)
    os.kill(second, signal.SIGKILL)
    before = killed.done()
    assert "reference/lgps" in before

    last = killed.finish()
    assert last.returncode == 0, last.stdout + last.stderr
    assert f"process group {second})" in last.stderr
    after = killed.done()
    assert {name: after[name] for name in before} == before
    assert set(after) > {"simulate/refpot-lgps", "analyze/refpot", "audit/refpot", "dataset/lgps"}
