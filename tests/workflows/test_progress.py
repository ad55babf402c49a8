import dataclasses

import pytest
from mdbench_workflows.entries import read_entries
from mdbench_workflows.estimate import Estimate, estimate
from mdbench_workflows.plan import Task, make_plan
from mdbench_workflows.profile import read_profile
from mdbench_workflows.progress import Progress, duration
from numpy.testing import assert_allclose

from mdbench.records import Record, write_record

DONE = Record(
    stage="audit", name="a", source="a", commands=[["audit"]], state="done", message=None,
    began="2026-01-01T00:00:00+00:00", seconds=20.0, cpu_s=20.0, gpu_s=0.0, host="h", device="d",
    fingerprint="",
)  # fmt: skip


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (80, "80 s"), (91, "2 min"), (3000, "50 min"), (9000, "2.5 h")],
)  # fmt: skip
def test_duration(seconds, text) -> None:
    assert duration(seconds) == text


def test_time_left_follows_what_was_measured(tmp_path) -> None:
    tasks = [Task("audit", name, (), ()) for name in "abc"]
    said: list[str] = []
    cost = Estimate({"audit/a": 10.0, "audit/b": 10.0, "audit/c": None}, 1, 0.0)
    progress = Progress(tmp_path, tasks, cost, said.append)
    progress.update()
    assert said == []
    write_record(tmp_path / tasks[0].record, DONE)  # took twice as long as expected
    progress.update()
    assert said == ["[1/3, about 20 s left] audit/a (20 s)"]
    failed = dataclasses.replace(DONE, name="b", state="failed", message="no")
    write_record(tmp_path / tasks[1].record, failed)
    progress.update()
    assert said[1:] == ["[2/3, about 0 s left] audit/b FAILED: no"]
    progress.update()
    assert len(said) == 2


def tasks_of(name, **rollouts):
    profile = read_profile(name)
    profile = dataclasses.replace(
        profile, rollouts=dataclasses.replace(profile.rollouts, **rollouts)
    )
    entries = read_entries(("schnet-small", "my:Calc"), size="small", seed=0)
    return make_plan(profile, entries), profile


def test_an_estimate_grows_with_the_work() -> None:
    (short, profile), (long, _) = tasks_of("laptop", ps=2.0), tasks_of("laptop", ps=4.0)
    one, two = (estimate(tasks, profile, 2) for tasks in (short, long))
    start = 4.0
    name = "simulate/schnet-small-s0-lgps"
    assert_allclose(two.core_s[name] - start, 2 * (one.core_s[name] - start), rtol=1e-12, atol=0)
    assert one.core_s["train/schnet-small-s0"] == start + 120.0
    assert one.seconds < two.seconds
    assert one.disk_bytes < two.disk_bytes
    assert {name.partition("/")[2].partition("-")[0] for name in one.unknown} == {"my.Calc"}


def test_disk_space_of_the_reference() -> None:
    """12 runs at five temperatures of three crystals with 50, 32 and 36 atoms, 2500 frames each."""
    tasks, profile = tasks_of("laptop")
    found = estimate([t for t in tasks if t.stage == "reference"], profile, 2)
    values = 12 * 5 * 2500 * (50 + 32 + 36) * 6
    assert_allclose(found.disk_bytes, 1.2 * 4 * values, rtol=1e-12, atol=0)
