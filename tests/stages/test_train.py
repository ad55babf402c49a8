"""`mdbench train`: from a dataset to a checkpoint, stopped, gone on with, refused."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from mdbench_cli.main import run as command
from numpy.testing import assert_allclose

from mdbench.config import DatasetConfig, TrainConfig
from mdbench.errors import InputError
from mdbench.samples import Samples
from mdbench.stages import dataset, train
from mdbench.store import read_result, write_trajectory
from mdbench.training.checkpoint import load_checkpoint
from mdbench.trajectory import Provenance, Trajectory
from tests.training.little import CELL, Steps, samples


def write_data(folder, *, seed=0, shift=0.0):
    """A run folder with a dataset of a salt that a network can learn."""
    for replica in range(2):
        made = samples(40, seed=seed + replica)
        run = Trajectory(
            positions=made.positions,
            cells=CELL,
            atomic_numbers=made.atomic_numbers,
            times_ps=0.1 * np.arange(40),
            energies=made.energies + shift,
            forces=made.forces,
            provenance=Provenance(material="salt", temperature_k=500.0, replica=replica),
        )
        path = folder / f"reference/salt/500K-r{replica}.h5"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        write_trajectory(path, run)
    dataset.run((), DatasetConfig(fraction=0.01), run_folder=folder, force=True)
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run folder with a model that was trained for 30 steps."""
    folder = write_data(tmp_path_factory.mktemp("made"))
    return folder, trained(folder, 30)


@pytest.fixture
def folder(made, tmp_path):
    """A run folder with a dataset."""
    target = tmp_path / "run"
    for part in ("reference", "dataset"):
        shutil.copytree(made[0] / part, target / part)
    return target


def trained(folder, seconds, steps=None, *, force=False, plot=None, **options):
    """What `mdbench train` makes where each step takes a second."""
    steps = steps or Steps()
    config = TrainConfig(**{"model": "schnet-small", "budget": f"{seconds}s"} | options)
    return train.run(
        config,
        materials=["salt"],
        run_folder=folder,
        plot=plot,
        force=force,
        clock=steps.clock,
        stop=steps.stop,
    )


def weights(folder):
    return load_checkpoint(folder / "models/schnet-small-s0").model.state_dict()


def test_what_is_made(made):
    folder, report = made
    target = folder / "models/schnet-small-s0"
    names = {path.name for path in target.iterdir()}
    assert names == {"model.json", "model.safetensors", "training.h5"}
    found = load_checkpoint(target)
    assert (found.name, found.seed, found.elements) == ("schnet-small", 0, ("Li", "S"))
    assert set(found.closest) == {"Li-Li", "Li-S", "S-S"}
    assert all(1.0 < d < 4.0 for d in found.closest.values())
    assert found.training["n_steps"] == 30
    assert found.training["settings"]["data"] == [dataset.content_hash(folder / "dataset/salt.h5")]
    assert report.document["checkpoint"] == str(target)
    assert report.document["end_reason"] is None
    forces = dataset.load(folder / "dataset/salt.h5", ["train"])["train"].forces
    scale = float(found.model.energy_scale)
    assert_allclose(scale, np.sqrt(np.mean(forces**2)), rtol=1e-6, atol=0)
    assert "30 steps" in report.as_text()
    assert json.loads(json.dumps(report.as_json())) == report.document


def test_the_learning_curve(made):
    stored = read_result(made[0] / "models/schnet-small-s0/training.h5", "training")
    columns = stored.datasets
    assert columns["loss/step"].tolist() == list(range(1, 31))
    assert columns["validation/step"][-1] == 30
    assert stored.units["validation/force_mae"] == "eV Angstrom-1"
    best = columns["validation/loss"].argmin()
    assert stored.attributes["best"] == best
    found = made[1].document["validation"]
    assert_allclose(columns["validation/force_mae"][best], found["force_mae"], rtol=1e-9, atol=0)
    assert stored.config["model"] == "schnet-small"
    assert [i.name for i in stored.inputs] == ["salt.h5"]


def test_already_done(made, tmp_path, monkeypatch):
    monkeypatch.setattr("mdbench.stages.train.load", None)  # nothing is read again
    again = trained(made[0], 30, plot=tmp_path / "curve.svg")
    assert again.as_json() == made[1].as_json()
    assert again.notes[0].endswith("already done")
    assert "force MAE" in (tmp_path / "curve.svg").read_text()


def test_stopped_and_gone_on_with(made, folder):
    first = trained(folder, 30, Steps(11))
    assert first.stopped
    assert "11 s of 30 s; the same command goes on" in first.notes[-1]
    state = folder / "models/schnet-small-s0/training.state"
    assert [path.name for path in state.parent.iterdir()] == [state.name]
    second = trained(folder, 30)
    assert "went on where it was" in second.notes
    assert not state.exists()
    twins = weights(made[0])
    assert all(torch.equal(value, twins[name]) for name, value in weights(folder).items())


@pytest.mark.parametrize(
    "options, words",
    [
        ({"seconds": 40}, "budget_s = 30.0, not 40.0"),
        ({"seconds": 30, "learning_rate": 1e-4}, "learning_rate"),
        ({"seconds": 30, "paper": True}, "amsgrad"),
    ],
)
def test_other_settings_are_refused(made, folder, options, words):
    with pytest.raises(InputError, match=words):
        trained(made[0], **options)
    trained(folder, 30, Steps(2))
    with pytest.raises(InputError, match=words):
        trained(folder, **options)


def test_a_dataset_that_changed(folder):
    trained(folder, 30, Steps(2))
    write_data(folder, shift=1.0)
    with pytest.raises(InputError, match=r"from a dataset that changed; --force"):
        trained(folder, 30)
    assert not trained(folder, 4, force=True).stopped


def test_other_seeds_stand_beside_it(folder):
    for seed in (0, 1):
        trained(folder, 2, seed=seed)
    a, b = (load_checkpoint(folder / f"models/schnet-small-s{s}").model for s in (0, 1))
    assert not torch.equal(a.embedding.weight, b.embedding.weight)


def poisoned(monkeypatch, after):
    """Forces of all training frames become huge after some validations."""
    from mdbench.training.loop import Training

    validate = Training._validate

    def and_poison(self, most_edges):
        validate(self, most_edges)
        if len(self.validations) == after:
            with torch.no_grad():
                next(self.model.parameters()).fill_(torch.nan)

    monkeypatch.setattr(Training, "_validate", and_poison)


def test_a_divergence_keeps_the_best(folder, monkeypatch):
    poisoned(monkeypatch, 2)
    report = trained(folder, 30)
    note = report.notes[-1]
    assert "was not finite" in note
    assert "reference/salt/500K-r" in note
    assert "frame" in note
    assert report.document["end_reason"] in note
    assert all(torch.isfinite(v).all() for v in weights(folder).values())
    assert "ended early: loss or gradient of step" in report.as_text()


def test_a_divergence_before_any_validation(folder):
    with pytest.raises(InputError, match=r"before any validation; a lower --learning-rate"):
        trained(folder, 300, learning_rate=1e18)
    assert not list((folder / "models").rglob("*.*"))


def with_atoms(monkeypatch, z):
    known = dataset.load

    def changed(path, splits):
        found = known(path, splits)
        return {
            name: Samples(**{**vars(s), "atomic_numbers": np.full(4, z)})
            for name, s in found.items()
        }

    monkeypatch.setattr("mdbench.stages.train.load", changed)


def test_elements_beyond_the_table(folder, monkeypatch):
    with_atoms(monkeypatch, 105)
    with pytest.raises(InputError, match=r"^element Db: expected elements up to Es"):
        trained(folder, 5)


def test_no_frames(folder, monkeypatch):
    known = dataset.load
    monkeypatch.setattr(
        "mdbench.stages.train.load",
        lambda path, splits: {name: s.select([]) for name, s in known(path, splits).items()},
    )
    with pytest.raises(InputError, match="no frames for train"):
        trained(folder, 5)


@pytest.mark.parametrize(
    "args, words",
    [
        ([], "expected --model NAME"),
        (["--model", "shcnet"], "did you mean schnet"),
        (["--model", "schnet-small", "--budget", "0s"], "--budget"),
        (["--model", "schnet-small", "--budget", "-3m"], "10h, 5m or 90s"),
        (["--model", "schnet-small", "--budget", "ten"], "10h, 5m or 90s"),
        (["--model", "schnet-small", "--budget", "90"], "10h, 5m or 90s"),
        (["--model", "schnet-small", "--budget", "5s", "--material", "slat"], "did you mean salt"),
        (["--model", "schnet-small", "--budget", "5s", "--data", "none.h5"], "no such file"),
        (["--model", "schnet-small", "--budget", "5s", "--batch-size", "0"], "--batch-size"),
        (
            ["--model", "schnet-small", "--budget", "5s", "--learning-rate", "nan"],
            "--learning-rate",
        ),
        (["--model", "schnet-small", "--budget", "5s", "--device", "gpu"], "auto or cpu or cuda"),
        (["--model", "schnet-small", "--budget", "5s", "--plot", "a.doc"], "--plot"),
    ],
)
def test_bad_input_is_one_line(folder, args, words, capsys):
    budget = [] if "--budget" in args else ["--budget", "5s"]
    material = [] if "--material" in args else ["--material", "salt"]
    before = {*folder.rglob("*")}
    assert command(["train", "--run", str(folder), *args, *budget, *material]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert words in shown.err
    assert {*folder.rglob("*")} == before


def test_recipes():
    def asked(size, **options):
        return train.recipe(TrainConfig(**options), size)

    assert asked("small").learning_rate > asked("paper").learning_rate
    paper = asked("small", paper=True)
    assert paper == asked("paper", paper=True)
    assert (paper.batch_size, paper.amsgrad, paper.schedule) == (2, True, "plateau")
    assert asked("small", paper=True, batch_size=5).batch_size == 5
    assert asked("paper", learning_rate=0.5).learning_rate == 0.5


def test_budgets():
    for text, seconds in (("10h", 36_000.0), ("5m", 300.0), ("1.5 min", 90.0), ("90S", 90.0)):
        assert_allclose(TrainConfig(budget=text).budget_s, seconds, rtol=1e-12, atol=0)


def test_the_command(folder, capsys):
    args = ["train", "--run", str(folder), "--model", "schnet-small", "--material", "salt"]
    assert command([*args, "--budget", "1s", "--json"]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["n_steps"] >= 1
    assert shown.err == ""


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_killed_and_gone_on_with(folder, how, capsys):
    """A process that is killed after its first validations, then the same command."""
    args = ["train", "--run", str(folder), "--model", "schnet-small", "--material", "salt"]
    args += ["--budget", "20s"]
    code = "from mdbench_cli.main import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, *args], stderr=subprocess.PIPE, text=True
    )
    state = folder / "models/schnet-small-s0/training.state"
    while not state.exists() and process.poll() is None:
        time.sleep(0.05)
    os.kill(process.pid, how)
    said = process.communicate()[1]
    assert state.exists()
    if how == signal.SIGINT:
        assert process.returncode == 130
        assert "the same command goes on" in said
    assert command([*args, "--json"]) == 0
    shown = capsys.readouterr()
    assert "went on where it was" in shown.err
    assert json.loads(shown.out)["seconds"] >= 18.0
    assert not state.exists()
