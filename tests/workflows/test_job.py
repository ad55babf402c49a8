import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from mdbench_workflows import job
from mdbench_workflows.plan import Task
from mdbench_workflows.run_file import done_record, write_run_file

from mdbench.records import Record, read_record, read_records, write_record

STRUCTURE = '2\nLattice="5 0 0 0 5 0 0 0 5" Properties=species:S:1:pos:R:3\nAr 0 0 0\nAr 2 2 2\n'


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "two.extxyz").write_text(STRUCTURE)
    return tmp_path


def reading(name="two", source="two.extxyz", **more) -> Task:
    """A task that takes no time: an ingested structure."""
    command = ("ingest", source, "-o", f"{name}.h5", "--frame-interval-fs", "0")
    known = {"fingerprint": "a", "outputs": (f"{name}.h5",), **more}
    return Task("ingest", name, (command,), **known)


def test_done(folder, capfd) -> None:
    task = reading()
    assert done_record(folder, task) is None
    assert job.run_task(task, 2) == 0
    record = read_record(folder / task.record)
    assert (record.state, record.message, record.fingerprint) == ("done", None, "a")
    assert (record.seconds or 0.0) > 0.0
    assert (record.cpu_s or 0.0) > 0.0
    assert record.gpu_s == 0.0
    assert record.device.endswith("2 threads")
    log = (folder / record.log).read_text()
    assert log.startswith("$ mdbench ingest two.extxyz")
    assert capfd.readouterr() == ("", "")
    assert done_record(folder, task) is not None
    assert done_record(folder, dataclasses.replace(task, fingerprint="b")) is None
    (folder / "two.h5").unlink()
    assert done_record(folder, task) is None


def test_what_fails_is_recorded_and_what_needs_it_skipped(folder) -> None:
    bad, good = reading("bad", "nothing.extxyz"), reading()
    after = reading("after", after=(bad.id, good.id))
    for task in (bad, good, after):
        assert job.run_task(task, 1) == 0
    found = {record.name: record for record in read_records(folder)}
    assert [found[name].state for name in ("bad", "two", "after")] == ["failed", "done", "skipped"]
    message = found["bad"].message or ""
    assert message.startswith("nothing.extxyz: ")
    assert found["after"].message == "ingest/bad did not succeed"
    assert not (folder / "after.h5").exists()


def test_all_commands_of_a_task_are_run(folder) -> None:
    bad, good = reading("bad", "nothing.extxyz"), reading()
    both = dataclasses.replace(good, commands=(*bad.commands, *good.commands))
    job.run_task(both, 1)
    assert read_record(folder / both.record).state == "failed"
    assert (folder / "two.h5").exists()


def test_an_output_that_is_missing(folder) -> None:
    task = reading(outputs=("two.h5", "three.h5"))
    job.run_task(task, 1)
    assert read_record(folder / task.record).message == "three.h5 was not made"


def test_other_settings_replace_what_was_made(folder) -> None:
    job.run_task(reading(), 1)
    before = (folder / "two.h5").stat().st_mtime_ns
    same = reading(outputs=("two.h5", "never.h5"))  # not done; its settings are the same
    job.run_task(same, 1)
    assert "exists" in (read_record(folder / same.record).message or "")
    assert (folder / "two.h5").stat().st_mtime_ns == before
    job.run_task(reading(fingerprint="b"), 1)
    assert read_record(folder / same.record).state == "done"
    assert (folder / "two.h5").stat().st_mtime_ns > before


def test_a_record_that_snakemake_removed_comes_back(folder) -> None:
    task = reading()
    job.run_task(task, 1)
    before = (folder / task.record).read_text()
    (folder / task.record).unlink()
    job.run_task(task, 1)
    assert (folder / task.record).read_text() == before
    assert (folder / read_record(folder / task.record).log).read_text().count("$ mdbench") == 1


def test_what_a_kill_left_is_removed_where_it_would_be_refused(folder) -> None:
    task = reading(from_scratch=True)
    (folder / "two.h5").write_text("of a job that was killed before its record")
    job.run_task(task, 1)
    assert read_record(folder / task.record).state == "done"


def test_what_was_begun_and_has_no_end_died(folder) -> None:
    task = reading()
    job.run_task(task, 1)
    begun = read_record(folder / task.begun)
    write_record(folder / task.begun, dataclasses.replace(begun, state="died"))
    (folder / task.record).unlink()
    (record,) = read_records(folder)
    assert isinstance(record, Record)
    assert record.state == "died"


def test_as_snakemake_starts_it(folder) -> None:
    write_run_file(
        folder, {"settings": {"one_process_per": "stage"}}, [reading(), reading("other")]
    )
    names = ["ingest/two", "ingest/other"]
    done = subprocess.run(
        [sys.executable, "-m", "mdbench_workflows.job", "--threads", "2", *names],
        check=True, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.stdout == ""
    assert {r.state for r in read_records(folder)} == {"done"}


def test_a_damaged_description(folder) -> None:
    (folder / "benchmark.json").write_text(json.dumps({"schema": 1, "tasks": [{}]}))
    done = subprocess.run(
        [sys.executable, "-m", "mdbench_workflows.job", "ingest/two"],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode != 0
    assert "damaged description of a benchmark" in done.stderr
