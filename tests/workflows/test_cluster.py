import dataclasses
import re
from pathlib import Path

import pytest
from mdbench_workflows.batches import Batch, batches
from mdbench_workflows.cluster import asked, job_prefix, read_executor, threads
from mdbench_workflows.entries import read_entries
from mdbench_workflows.plan import STAGES, make_plan
from mdbench_workflows.profile import read_profile

from mdbench.errors import InputError

CONFIG = "executor: slurm\njobs: 5\nmax-threads: 8\n"


def resources(config, *, profile="laptop", per="task", device="auto", attempt=1, **training):
    """What each batch asks for at an attempt, by the stage of its first task."""
    settings = read_profile(profile)
    known = dataclasses.replace(settings.training, **training)
    settings = dataclasses.replace(settings, training=known)
    entries = read_entries(("schnet-small", "cgcnn-small"), size="small", seed=0)
    tasks = make_plan(settings, entries)
    found = {}
    for batch in batches(tasks, per):
        amounts = asked(batch, tasks, config, device)
        found[batch.tasks[0].partition("/")[0]] = {
            name: amount(None, attempt) if callable(amount) else amount
            for name, amount in amounts.items()
        }
    return found


@pytest.mark.parametrize(
    ("share", "cores", "most", "expected"),
    [
        (0.0, 8, None, 1), (0.25, 8, None, 2), (0.25, 2, None, 1), (1.0, 8, None, 8),
        (0.0, None, 4, 1), (0.25, None, 4, 4), (1.0, 64, 4, 4),
    ],
)  # fmt: skip
def test_threads(share, cores, most, expected) -> None:
    batch = Batch("a", (), (), (), gpu=False, share=share, priority=0)
    assert threads(batch, cores, most) == expected


def test_every_stage_asks_for_time_and_memory() -> None:
    found = resources({})
    assert set(found) == set(STAGES) - {"ingest"}
    for stage, amounts in found.items():
        assert set(amounts) == {"runtime", "mem_mb"}, stage
        assert amounts["runtime"] > 0
        assert amounts["mem_mb"] >= 1000


def test_a_training_gets_its_budget_and_ten_minutes() -> None:
    assert resources({}, budget="2h")["train"]["runtime"] == 130
    assert resources({}, budget="90s")["train"]["runtime"] == 12
    # two models in one job
    assert resources({}, per="stage", budget="2h")["train"]["runtime"] == 260


def test_the_second_attempt_gets_twice_as_much() -> None:
    first, second = resources({}), resources({}, attempt=2)
    for stage, amounts in first.items():
        assert second[stage] == {name: 2 * amount for name, amount in amounts.items()}


def test_settings_of_a_stage() -> None:
    found = resources({"runtime_simulate": 30, "mem_mb_train": 123, "runtime_train": 5})
    default = resources({})
    assert found["simulate"]["runtime"] == 30
    assert found["train"] == {"mem_mb": 123, "runtime": default["train"]["runtime"] - 5}
    assert found["audit"] == default["audit"]


@pytest.mark.parametrize(
    ("config", "device", "n_gpus"),
    [
        ({}, "auto", 0), ({}, "cpu", 0), ({}, "cuda", 1), ({"gpus": 2}, "auto", 2),
        ({"gpus": 0}, "cuda", 0),
    ],
)  # fmt: skip
def test_who_asks_for_a_gpu(config, device, n_gpus) -> None:
    found = resources({**config, "gpu_model": "a100", "gpu_partition": "fast"}, device=device)
    for stage, amounts in found.items():
        if n_gpus and stage in ("train", "evaluate", "audit", "simulate"):
            assert amounts["gpu"] == n_gpus
            assert (amounts["gpu_model"], amounts["slurm_partition"]) == ("a100", "fast")
        else:
            assert set(amounts) == {"runtime", "mem_mb"}


def test_job_names_tell_run_folders_apart(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path / "a")
    prefix = job_prefix(tmp_path / "a")
    assert job_prefix((tmp_path / "a").relative_to(tmp_path)) == prefix
    assert job_prefix(tmp_path / "link") == prefix
    assert job_prefix(tmp_path / "b") != prefix


def executor(folder, text):
    (folder / "config.yaml").write_text(text)
    return read_executor(str(folder))


def test_executors_that_come_with_mdbench() -> None:
    assert read_executor("local") is None
    slurm = read_executor("slurm")
    assert slurm is not None
    assert (slurm.kind, slurm.folder.name) == ("slurm", "slurm")
    assert {"jobs", "max-threads"} <= set(slurm.settings)


def test_options_of_a_cluster(tmp_path) -> None:
    found = executor(tmp_path, CONFIG).options(tmp_path / "run", None)
    options = dict(zip(found[::2], found[1::2], strict=True))
    assert options == {
        "--profile": str(tmp_path),
        "--max-threads": "8",
        "--slurm-jobname-prefix": job_prefix(tmp_path / "run"),
        "--slurm-logdir": str(tmp_path / "run/jobs/slurm"),
    }
    assert "3" in executor(tmp_path, CONFIG).options(tmp_path / "run", 3)


def test_options_of_other_executors(tmp_path) -> None:
    plain = executor(tmp_path, "executor: lsf\njobs: 5\n")
    assert plain.options(tmp_path, None) == ["--profile", str(tmp_path), "--max-threads", "1"]
    here = executor(tmp_path, "cores: 3\n")
    assert here.options(tmp_path, None) == ["--profile", str(tmp_path), "--cores", "3"]
    assert here.options(tmp_path, 2)[-1] == "2"


@pytest.mark.parametrize("own", ["config: [gpus=1, runtime_train=5]", "config: {gpus: 1}", ""])
def test_own_settings(tmp_path, own) -> None:
    assert executor(tmp_path, f"{CONFIG}{own}\n").kind == "slurm"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{CONFIG}config: [gpu=1]", "unknown key 'gpu' below config; did you mean gpus"),
        (f"{CONFIG}config: {{runtime_training: 1}}", "did you mean runtime_train"),
        (f"{CONFIG}config: 3", "config: expected a list of key=value, found 3"),
        (f"{CONFIG}config: [gpus=one]", "gpus: expected a whole number, found 'one'"),
        ("- executor", "keys and values"),
        ("a: [", "no YAML"),
    ],
)
def test_bad_executors(tmp_path, text, message) -> None:
    with pytest.raises(InputError) as error:
        executor(tmp_path, text)
    assert message in str(error.value)
    assert str(error.value).startswith(str(tmp_path / "config.yaml"))


def test_the_folder_that_the_documentation_shows(tmp_path) -> None:
    page = Path(__file__).parents[2] / "docs/howto/cluster.md"
    shown = re.search(
        r"`my-cluster/config\.yaml`:\n\n```yaml\n(.*?)```", page.read_text(), re.DOTALL
    )
    assert shown is not None
    found = executor(tmp_path, shown[1])
    assert (found.kind, found.settings["max-threads"]) == ("slurm", 8)


def test_no_executor(tmp_path) -> None:
    with pytest.raises(InputError, match="did you mean slurm"):
        read_executor("slrum")
    with pytest.raises(InputError, match=r"a folder with a config\.yaml"):
        read_executor(str(tmp_path))
