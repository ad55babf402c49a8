"""`mdbench evaluate` from files to JSON, table, CSV, figure and HDF5."""

import csv
import dataclasses
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from mdbench_cli.main import run
from numpy.testing import assert_allclose, assert_array_equal

from mdbench.analysis.accuracy import Predictions, accuracy
from mdbench.config import DatasetConfig, EvaluateConfig
from mdbench.errors import InputError
from mdbench.potentials.base import Systems
from mdbench.potentials.materials import material
from mdbench.potentials.refpot import RefPot
from mdbench.stages import dataset, evaluate
from mdbench.stages.dataset_file import load
from mdbench.stages.evaluate_output import quantities_of, read_evaluated
from mdbench.stages.predictions import by_material, predict
from mdbench.store import read_result, write_trajectory
from mdbench.trajectory import Provenance, Trajectory

QUANTITY = {"value", "low", "high", "unit", "resolved"}
ERRORS = {"mae", "median", "p99", "max", "rmse", "r2"}

#: Calculators in a module of the user's: far off, further off, and one that breaks down.
MODULE = '''
import numpy as np
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.lj import LennardJones

def lj():
    return LennardJones(sigma=2.1, epsilon=0.05, rc=6.0, smooth=True)

class Wave(Calculator):
    """E = sum of sin x."""
    implemented_properties = ["energy", "forces"]
    def calculate(self, atoms=None, properties=None, system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        x = atoms.positions
        self.results = {"energy": float(np.sin(x).sum()), "forces": -np.cos(x)}

class Breaks(Wave):
    """Not a number where an atom is far from the origin."""
    def calculate(self, atoms=None, properties=None, system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        if atoms.positions.max() > 250.0:
            self.results["forces"] = np.full((len(atoms), 3), np.nan)
'''


def labeled(name="li4ges4", kelvin=800.0, seed=0, n_frames=20, **changed) -> Trajectory:
    """Frames of a crystal that rattles, with energies and forces of the reference potential."""
    crystal = material(name)
    rng = np.random.default_rng(seed)
    n_atoms = len(crystal.atomic_numbers)
    steps = rng.normal(0.0, 0.02, (n_frames, n_atoms, 3))
    for k in range(1, n_frames):
        steps[k] += 0.9 * steps[k - 1]
    positions = crystal.positions + steps
    one = Systems(crystal.atomic_numbers, crystal.cell[None], np.array([0, n_atoms]))
    known = RefPot().evaluator(one)
    energies, forces = np.zeros(n_frames), np.zeros((n_frames, n_atoms, 3))
    for k in range(n_frames):
        known.evaluate(positions[k], np.ones(1, dtype=bool))
        energies[k], forces[k] = known.energies[0], known.forces
    return Trajectory(
        positions=positions,
        cells=crystal.cell,
        atomic_numbers=crystal.atomic_numbers,
        times_ps=0.1 * np.arange(n_frames),
        energies=energies,
        forces=forces,
        provenance=Provenance(
            **{"material": name, "temperature_k": kelvin, "potential": "refpot"} | changed
        ),
    )


@pytest.fixture(scope="module")
def trajectories(tmp_path_factory):
    """Two runs at each of two temperatures, as a run folder."""
    folder = tmp_path_factory.mktemp("run")
    places = []
    for k, (kelvin, replica) in enumerate([(800, 0), (800, 1), (1000, 0), (1000, 1)]):
        places.append(folder / f"reference/li4ges4/{kelvin}K-r{replica}.h5")
        write_trajectory(places[-1], labeled(kelvin=float(kelvin), seed=k))
    return places


@pytest.fixture
def module(tmp_path, monkeypatch):
    """The folder of a user with a module of calculators."""
    (tmp_path / "mycalc.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MDBENCH_RUN", raising=False)
    yield tmp_path
    sys.modules.pop("mycalc", None)


def document_of(capsys, *args):
    """What --json prints, which is one document and nothing else."""
    assert run(["evaluate", *map(str, args), "--json", "--threads", "1"]) == 0
    return json.loads(capsys.readouterr().out)


def wave(positions):
    """Energies and forces of the calculator Wave."""
    return np.sin(positions).sum(axis=(1, 2)), -np.cos(positions)


def test_json_has_what_the_rest_relies_on(trajectories, capsys):
    found = document_of(capsys, "--calculator", "refpot", *data(trajectories))
    (group,) = found["groups"]
    assert {k: v for k, v in found.items() if k != "groups"} == group
    assert (group["source"], group["material"], group["split"]) == ("refpot", "li4ges4", None)
    assert (group["n_runs"], group["n_frames"], group["failure"]) == (4, 80, None)
    energy, forces = group["energy"], group["forces"]
    for errors, unit in (
        (energy, "meV/atom"),
        (energy["shift_removed"], "meV/atom"),
        (energy["per_temperature"]["800"], "meV/atom"),
        (forces, "meV/A"),
        *((e, "meV/A") for e in forces["per_element"].values()),
        *((e, "meV/A") for e in forces["per_axis"].values()),
        *((e, "meV/A") for e in forces["per_temperature"].values()),
        (forces["magnitude"], "meV/A"),
    ):
        assert set(errors) >= ERRORS
        assert all(set(errors[name]) == QUANTITY for name in ERRORS)
        assert errors["mae"]["unit"] == unit
        assert errors["r2"]["unit"] == ""
        assert errors["mae"]["low"] < errors["mae"]["value"] < errors["mae"]["high"]
        assert errors["max"]["low"] is None
    assert list(forces["per_element"]) == ["Ge", "Li", "S"]
    assert list(forces["per_axis"]) == ["x", "y", "z"]
    assert set(forces["per_temperature"]) == set(energy["per_temperature"]) == {"800", "1000"}
    assert set(energy["spearman"]) == set(energy["shift"]) == QUANTITY
    assert set(forces["angle"]) == {"mean", "median"}


def data(paths):
    return [word for path in paths for word in ("--data", path)]


def test_the_reference_agrees_with_itself(trajectories, capsys):
    """But for positions in single precision."""
    found = document_of(capsys, "--calculator", "refpot", *data(trajectories))
    assert 0.0 < found["energy"]["max"]["value"] < 1e-2
    assert 0.0 < found["forces"]["mae"]["value"] < 0.01
    assert found["forces"]["r2"]["value"] > 0.999999
    assert found["forces"]["angle"]["median"]["value"] < 0.01


def test_errors_are_those_of_the_frames_in_the_files(trajectories, module):
    """Against predictions that are written out here."""
    config = EvaluateConfig(calculator="mycalc:Wave", stride=3)
    (result,) = evaluate.run(config, data=trajectories, threads=2).results
    parts = []
    for number, kelvin in enumerate((800.0, 800.0, 1000.0, 1000.0)):
        frames = labeled(kelvin=kelvin, seed=number)[::3]
        order = np.argsort(frames.atomic_numbers, kind="stable")
        energies, forces = wave(np.asarray(frames.positions, dtype=np.float32).astype(float))
        n = len(frames)
        known = np.float32(frames.forces[:, order]).astype(float)
        parts.append(
            (energies, forces[:, order], frames.energies, known,
             np.full(n, kelvin), np.full(n, number), 3 * np.arange(n))
        )  # fmt: skip
    joined = [np.concatenate(column) for column in zip(*parts, strict=True)]
    numbers = np.sort(labeled(n_frames=1).atomic_numbers)
    expected = quantities_of(accuracy(Predictions(numbers, *joined)))
    assert result.quantities.keys() == expected.keys()
    for name, estimate in expected.items():
        for part in ("value", "low", "high"):
            one, other = getattr(result.quantities[name], part), getattr(estimate, part)
            assert (one is None) == (other is None), name
            if other is not None:
                assert_allclose(one, other, rtol=1e-9, atol=0, err_msg=name)


@pytest.mark.parametrize("n_threads", [1, 3])
def test_predictions_do_not_depend_on_threads_and_batches(n_threads, trajectories, tmp_path):
    """Cells that change on the way, atoms in another order, a run of one frame."""
    first = labeled(seed=9)
    turned = np.random.default_rng(0).permutation(first.n_atoms)
    shuffled = dataclasses.replace(
        first,
        positions=1.01 * first.positions[:, turned],
        forces=first.forces[:, turned],
        atomic_numbers=first.atomic_numbers[turned],
        cells=first.cells * np.where(np.arange(20) < 7, 1.01, 1.02)[:, None, None],
    )
    others = [tmp_path / "shuffled.h5", tmp_path / "short.h5"]
    write_trajectory(others[0], shuffled, float64=True)
    write_trajectory(others[1], labeled(seed=10, n_frames=1), float64=True)
    (known,) = by_material([trajectories[0], *others], "test")
    runs, found = predict(known, RefPot(), n_threads=n_threads)
    assert runs == ["800K-r0.h5", "shuffled.h5", "short.h5"]
    assert_array_equal(found.runs, np.repeat([0, 1, 2], [20, 20, 1]))
    assert_array_equal(found.frames, [*range(20), *range(20), 0])
    order = np.argsort(shuffled.atomic_numbers, kind="stable")
    for k in (0, 6, 7, 19):
        atoms = shuffled.atomic_numbers[order], shuffled.cells[k : k + 1]
        alone = RefPot().evaluator(Systems(*atoms, np.array([0, first.n_atoms])))
        alone.evaluate(shuffled.positions[k][order], np.ones(1, dtype=bool))
        assert_allclose(found.energies[20 + k], alone.energies[0], rtol=1e-12, atol=0)
        assert_allclose(found.forces[20 + k], alone.forces, rtol=1e-9, atol=1e-12)


def test_a_wrong_force_field_is_far_off(trajectories, module, capsys):
    found = document_of(capsys, "--calculator", "mycalc:lj", *data(trajectories), "--stride", 5)
    assert found["source"] == "mycalc.lj"
    assert found["forces"]["r2"]["value"] < 0.5
    assert found["energy"]["mae"]["value"] > 100.0
    removed = found["energy"]["shift_removed"]["mae"]["value"]
    assert removed < 0.1 * found["energy"]["mae"]["value"]
    assert found["forces"]["angle"]["mean"]["value"] > 20.0


# Files


def test_files_that_are_written(trajectories, module, capsys):
    out, table, figure = (module / name for name in ("out.h5", "out.csv", "out.svg"))
    args = ["evaluate", "--calculator", "mycalc:Wave", *map(str, data(trajectories))]
    outputs = ["-o", str(out), "--csv", str(table), "--plot", str(figure)]
    assert run([*args, *outputs]) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("mycalc.Wave: li4ges4, 4 run(s), 80 frames, ")
    assert f"{read_evaluated(out)[0].quantities['forces/mae'].value:.3g}" in printed.out
    stored = read_result(out, "accuracy")
    assert [i.kind for i in stored.inputs] == ["trajectory"] * 4
    assert stored.units["quantities/forces/mae"] == "meV Angstrom-1"
    assert stored.datasets["parity/energies"].shape == (80, 2)
    assert_array_equal(stored.datasets["parity/temperature_k"], np.repeat([800.0, 1000.0], 40))
    n_components = 80 * 3 * stored.attributes["n_atoms"]
    assert stored.datasets["parity/forces"].shape == (min(20_000, n_components), 2)
    document = document_of(capsys, *args[1:])
    with table.open() as file:
        rows = list(csv.DictReader(file))
    (row,) = (r for r in rows if (r["of"], r["quantity"]) == ("forces/per_element/Li", "rmse"))
    assert float(row["low"]) == document["forces"]["per_element"]["Li"]["rmse"]["low"]
    assert row["unit"] == "meV/A"
    assert figure.read_bytes().startswith(b"<?xml")
    assert not list(module.glob("*.part"))


def test_a_stored_result_says_the_same(trajectories, module):
    out = module / "out.h5"
    config = EvaluateConfig(calculator="mycalc:Wave")
    fresh = evaluate.run(config, data=trajectories, output=out)
    stored = evaluate.EvaluateReport([read_evaluated(out)[0]])
    assert json.dumps(stored.as_json(), sort_keys=True) == json.dumps(
        fresh.as_json(), sort_keys=True
    )
    assert stored.as_text() == fresh.as_text()


def test_the_sample_of_components_is_of_all_atoms(trajectories, module):
    (known,) = by_material(trajectories, "test")
    (result,) = evaluate.run(EvaluateConfig(calculator="refpot"), data=trajectories).results
    _, found = predict(known, RefPot())
    shown = result.parity
    n = min(20_000, found.forces.size)
    assert shown.forces.shape == (n, 2)
    assert np.isin(shown.forces[:, 1], found.reference_forces.ravel()).all()
    shares = np.bincount(shown.atomic_numbers) / n
    expected = np.bincount(found.atomic_numbers) / len(found.atomic_numbers)
    assert_allclose(shares, expected, rtol=0.05, atol=0)
    for z in np.unique(found.atomic_numbers):
        own = found.reference_forces[:, found.atomic_numbers == z]
        assert np.isin(shown.forces[shown.atomic_numbers == z, 1], own.ravel()).all()


def test_outputs_are_not_overwritten(trajectories, module, capsys):
    out = module / "out.h5"
    out.write_text("mine")
    args = ["evaluate", "--calculator", "refpot", "--data", str(trajectories[0]), "-o", str(out)]
    assert run(args) == 2
    assert "output exists" in capsys.readouterr().err
    assert out.read_text() == "mine"
    assert run([*args, "--force"]) == 0
    assert read_evaluated(out)[0].n_runs == 1


@pytest.mark.parametrize("option", ["-o", "--csv"])
def test_the_data_are_not_overwritten_even_under_force(option, module, capsys):
    place = module / "a.h5"
    write_trajectory(place, labeled())
    before = place.read_bytes()
    args = ["evaluate", "--calculator", "refpot", "--data", "a.h5", option, "a.h5", "--force"]
    assert run(args) == 2
    assert "output is one of the inputs" in capsys.readouterr().err
    assert place.read_bytes() == before


# Datasets and the run folder


@pytest.fixture
def run_folder(module):
    """A run folder with a dataset."""
    for replica in (0, 1):
        place = module / f"run/reference/li4ges4/800K-r{replica}.h5"
        write_trajectory(place, labeled(seed=replica, n_frames=200))
    dataset.run([], DatasetConfig(fraction=0.02), run_folder=module / "run")
    return module / "run"


def test_a_run_folder_keeps_its_results(run_folder, capsys):
    found = document_of(capsys, "--calculator", "mycalc:Wave")
    target = run_folder / "accuracy/mycalc.Wave/li4ges4.h5"
    assert found["split"] == "test"
    test = load(run_folder / "dataset/li4ges4.h5", ["test"])["test"]
    energies, forces = wave(test.positions)
    assert found["n_frames"] == len(test)
    assert_allclose(
        found["forces"]["mae"]["value"], 1e3 * np.abs(forces - test.forces).mean(), rtol=1e-9
    )
    difference = 1e3 * (energies - test.energies) / test.n_atoms
    assert_allclose(found["energy"]["mae"]["value"], np.abs(difference).mean(), rtol=1e-9)
    before = target.read_bytes()
    assert run(["evaluate", "--calculator", "mycalc:Wave", "--run", "run", "--json"]) == 0
    told = capsys.readouterr()
    assert "already done" in told.err
    again = json.loads(told.out)
    assert again["forces"] == found["forces"]
    assert again["energy"] == found["energy"]
    assert target.read_bytes() == before
    assert run(["evaluate", "--calculator", "mycalc:Wave", "--stride", "2"]) == 2
    assert "made with other settings" in capsys.readouterr().err
    assert target.read_bytes() == before
    assert run(["evaluate", "--calculator", "mycalc:Wave", "--stride", "2", "--force"]) == 0
    assert read_result(target, "accuracy").config["stride"] == 2


def test_another_version_of_a_calculator_is_not_taken_for_the_same(run_folder, capsys):
    assert run(["evaluate", "--calculator", "mycalc:Wave"]) == 0
    (run_folder.parent / "mycalc.py").write_text(MODULE + "\n# changed\n")
    assert run(["evaluate", "--calculator", "mycalc:Wave"]) == 2
    assert "made with other settings" in capsys.readouterr().err


def test_splits_have_files_of_their_own(run_folder, capsys):
    for split in ("test", "near", "validation", "train"):
        found = document_of(capsys, "--calculator", "refpot", "--split", split)
        assert found["split"] == split
    names = {path.name for path in (run_folder / "accuracy/refpot").iterdir()}
    expected = {"li4ges4.h5", *(f"li4ges4-{s}.h5" for s in ("near", "validation", "train"))}
    assert names == expected


def test_named_data_are_kept_only_where_a_run_folder_is_named(run_folder, capsys):
    args = ["--calculator", "refpot", "--data", "run/dataset/li4ges4.h5"]
    document_of(capsys, *args)
    assert not (run_folder / "accuracy").exists()
    document_of(capsys, *args, "--run", "run")
    assert (run_folder / "accuracy/refpot/li4ges4.h5").is_file()


def test_materials_are_judged_apart(trajectories, module, capsys):
    other = module / "other.h5"
    write_trajectory(other, labeled("li3ps4"))
    found = document_of(capsys, "--calculator", "refpot", *data([trajectories[0], other]))
    assert set(found) == {"groups"}
    assert [g["material"] for g in found["groups"]] == ["li4ges4", "li3ps4"]
    assert set(found["groups"][1]["forces"]["per_element"]) == {"Li", "P", "S"}
    args = ["evaluate", "--calculator", "refpot", *map(str, data([trajectories[0], other]))]
    assert run([*args, "-o", "out.h5"]) == 2
    assert "-o takes one material" in capsys.readouterr().err
    assert run([*args, "--plot", "both.svg"]) == 0


# Failures and bad input


def test_a_model_that_breaks_down_is_a_stated_failure(module, capsys):
    broken = labeled(n_frames=20)
    positions = np.array(broken.positions)
    positions[[4, 9, 13], 0] += 300.0
    write_trajectory(module / "a.h5", labeled(seed=1, n_frames=5))
    write_trajectory(module / "b.h5", dataclasses.replace(broken, positions=positions))
    paths = ["a.h5", "b.h5"]
    out = module / "out.h5"
    found = document_of(capsys, "--calculator", "mycalc:Breaks", *data(paths), "-o", out)
    assert found["failure"] == {"n_frames": 3, "run": "b.h5", "frame": 4}
    assert (found["energy"], found["forces"]) == (None, None)
    assert read_evaluated(out)[0].failure.frame == 4
    args = ["evaluate", "--calculator", "mycalc:Breaks", *data(paths), "--plot", "no.png"]
    assert run(args) == 0
    told = capsys.readouterr()
    assert "failed: no finite prediction of 3 frames, first frame 4 of b.h5" in told.out
    assert "not drawn" in told.err
    assert not (module / "no.png").exists()


def refused(capsys, *args):
    assert run(["evaluate", *map(str, args)]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("mdbench: error: ")
    assert told.err.count("\n") == 1
    return told.err


def test_an_element_that_the_model_does_not_know(module, capsys):
    crystal = labeled(n_frames=3)
    numbers = np.where(crystal.atomic_numbers == 3, 11, crystal.atomic_numbers)
    write_trajectory(module / "na.h5", dataclasses.replace(crystal, atomic_numbers=numbers))
    line = refused(capsys, "--calculator", "refpot", "--data", "na.h5")
    assert "expected only Ge, Li, P, S, found Na" in line


def test_trajectories_without_forces_or_energies(module, capsys):
    for name in ("forces", "energies"):
        write_trajectory(module / "a.h5", dataclasses.replace(labeled(n_frames=3), **{name: None}))
        line = refused(capsys, "--calculator", "refpot", "--data", "a.h5")
        assert f"a.h5: no {name}" in line


def test_a_reference_that_is_not_finite(module, capsys):
    energies = np.array(labeled(n_frames=3).energies)
    energies[1] = np.nan
    write_trajectory(module / "a.h5", dataclasses.replace(labeled(n_frames=3), energies=energies))
    line = refused(capsys, "--calculator", "refpot", "--data", "a.h5")
    assert "a.h5" in line
    assert "energies of sample 1" in line


def test_data_that_do_not_belong_together(module, trajectories, capsys):
    here = trajectories[0]
    write_trajectory(module / "chgnet.h5", labeled(seed=3, potential="chgnet"))
    line = refused(capsys, "--calculator", "refpot", *data([here, "chgnet.h5"]))
    assert "several potentials: expected refpot, found chgnet" in line
    write_trajectory(module / "li3ps4.h5", labeled("li3ps4", material="li4ges4"))
    line = refused(capsys, "--calculator", "refpot", *data([here, "li3ps4.h5"]))
    assert "li3ps4.h5: li4ges4 with other atoms" in line
    (module / "copy.h5").write_bytes(Path(here).read_bytes())
    assert "the same file twice" in refused(
        capsys, "--calculator", "refpot", *data([here, "copy.h5"])
    )


def test_no_force_field_or_two(trajectories, capsys):
    assert "neither" in refused(capsys, *data(trajectories))
    line = refused(capsys, *data(trajectories), "--calculator", "refpot", "--model", "schnet")
    assert "both" in line


def test_a_dataset_twice(run_folder, capsys):
    line = refused(
        capsys, "--calculator", "refpot",
        *data(["run/dataset/li4ges4.h5", "run/reference/li4ges4/800K-r0.h5"]),
    )  # fmt: skip
    assert "li4ges4 twice" in line


def test_a_run_folder_without_a_dataset(module, capsys):
    line = refused(capsys, "--calculator", "refpot")
    assert "run: no dataset in this run folder; `mdbench dataset` makes one" in line


@pytest.mark.parametrize(
    "options",
    [["--split", "tset"], ["--stride", "0"], ["--plot", "a.xls"], ["--data", "none-*.h5"]],
)
def test_options_that_cannot_be(options, trajectories, module, capsys):
    refused(capsys, "--calculator", "refpot", "--data", trajectories[0], *options)


def test_a_result_is_no_data(trajectories, module, capsys):
    config = EvaluateConfig(calculator="refpot")
    evaluate.run(config, data=trajectories[:1], output=module / "out.h5")
    line = refused(capsys, "--calculator", "refpot", "--data", "out.h5")
    assert "expected dataset or trajectory, found accuracy" in line


def test_outputs_are_looked_at_before_the_work(trajectories, monkeypatch):
    def never(*args, **kwargs):
        raise AssertionError

    monkeypatch.setattr(evaluate, "predict", never)
    config = EvaluateConfig(calculator="refpot")
    with pytest.raises(InputError, match="output is a folder"):
        evaluate.run(config, data=trajectories, output=trajectories[0].parent)
