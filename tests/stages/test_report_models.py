"""`mdbench report` on models that were trained, evaluated and audited by their own stages."""

import csv
import json
import shutil

import numpy as np
import pytest
from ase import Atoms
from mdbench_cli.main import run as command
from numpy.testing import assert_allclose

from mdbench.config import AuditConfig, DatasetConfig, EvaluateConfig, TrainConfig
from mdbench.errors import InputError
from mdbench.stages import audit, dataset, evaluate, report, report_models, report_results, train
from mdbench.stages.report_models import read_models
from mdbench.store import Dataset, read_result, write_result, write_trajectory
from mdbench.trajectory import Provenance, Trajectory
from tests.reporting.test_html import COMPARISON, Outline
from tests.reporting.test_report import write_rdf
from tests.training.little import CELL, NUMBERS, SITES, Steps, samples

SOURCE = "schnet-small-s0"
ERRORS = f"accuracy/{SOURCE}/salt.h5"
AUDIT = f"audit/{SOURCE}.h5"
CURVE = f"models/{SOURCE}/training.h5"
ABOUT = f"models/{SOURCE}/model.json"


def write_dataset(folder, material, *, sampling="blocks"):
    """A dataset of a run folder."""
    for replica in range(2):
        found = samples(60, seed=replica)
        run = Trajectory(
            positions=found.positions,
            cells=CELL,
            atomic_numbers=found.atomic_numbers,
            times_ps=0.1 * np.arange(60),
            energies=found.energies,
            forces=found.forces,
            provenance=Provenance(material=material, temperature_k=500.0, replica=replica),
        )
        path = folder / f"reference/{material}/500K-r{replica}.h5"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_trajectory(path, run)
    config = DatasetConfig(fraction=0.01, sampling=sampling)
    files = sorted(folder.glob(f"reference/{material}/*.h5"))
    dataset.run(files, config, output=folder / f"dataset/{material}.h5", force=True)


def write_errors(folder, split):
    config = EvaluateConfig(model="schnet-small", split=split)
    return evaluate.run(config, run_folder=folder, threads=1, force=True).results


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A model trained on salt, its errors for salt and brine, its audit."""
    folder = tmp_path_factory.mktemp("made") / "run"
    for material in ("salt", "brine"):
        write_dataset(folder, material)
    steps = Steps()
    config = TrainConfig(model="schnet-small", budget="3s")
    train.run(config, materials=["salt"], run_folder=folder, clock=steps.clock, stop=steps.stop)
    for split in ("test", "near"):
        write_errors(folder, split)
    cell = folder / "salt.vasp"
    Atoms(NUMBERS, scaled_positions=SITES, cell=CELL, pbc=True).write(cell)
    audit.run(
        AuditConfig(material=str(cell)), model=str(folder / f"models/{SOURCE}"), run_folder=folder
    )
    return folder


@pytest.fixture
def drawn(monkeypatch):
    """Figures that were asked for; pixels take long and are looked at in one test only."""
    figures = []

    def png(figure):
        figures.append(figure)
        return b"figure"

    monkeypatch.setattr(report_models, "png", png)
    monkeypatch.setattr(report_results, "png", lambda figure: b"figure")
    monkeypatch.setattr(report, "benchmark_figures", lambda assessment: [])
    return figures


@pytest.fixture
def folder(made, tmp_path, drawn):
    """The same to be changed."""
    return shutil.copytree(made, tmp_path / "run")


def rewrite(path, kind, change):
    """Writes a result again, its arrays and attributes changed."""
    stored = read_result(path, kind)
    change(stored.datasets, stored.attributes)
    datasets = {
        name: Dataset(values, stored.units.get(name, ""), tuple("abc"[: np.ndim(values)]))
        for name, values in stored.datasets.items()
    }
    write_result(
        path,
        kind,
        datasets,
        attributes=stored.attributes,
        config=stored.config,
        inputs=stored.inputs,
    )


def words_of(folder):
    return Outline(report.run([folder]).output.read_text(encoding="utf-8")).words


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_training(folder):
    (model,) = read_models(folder)[0].trained
    about = json.loads((folder / ABOUT).read_text())
    best = about["training"]["validation"]
    assert (model.source, model.name, model.seed) == (SOURCE, "schnet-small", 0)
    assert (model.symmetry, model.conservative, model.materials) == ("E(3)", True, ["salt"])
    assert (model.n_steps, model.budget_s) == (about["training"]["n_steps"], 3.0)
    assert_allclose(model.force_mae, best["force_mae"], rtol=1e-12, atol=0)
    words = words_of(folder)
    claims = "E(3), conservative forces ✓ 10 of 10 claims hold"
    shown = f"{SOURCE} {claims} salt {1e3 * best['force_mae']:.3g}"
    assert shown in words.replace("\N{NO-BREAK SPACE}", " ")
    assert f"{about['training']['n_parameters']:,} 3" in words


def test_figures(folder, drawn, monkeypatch):
    report.run([folder])
    curves, parity = drawn
    forces, energies = curves.axes
    stored = read_result(folder / CURVE, "training").datasets
    for axes, name in ((forces, "force_mae"), (energies, "energy_mae")):
        x, y = axes.lines[0].get_data()
        assert_allclose(x, stored["validation/elapsed_s"], rtol=1e-12, atol=0)
        assert_allclose(y, 1e3 * stored[f"validation/{name}"], rtol=1e-12, atol=0)
    maes = [
        read_result(folder / f"accuracy/{SOURCE}/{material}.h5", "accuracy").datasets[
            "quantities/forces/mae"
        ][0]
        for material in ("salt", "brine")
    ]
    titles = [axes.get_title(loc="left") for axes in parity.axes]
    assert titles == [f"salt: MAE {maes[0]:.3g} meV/Å", f"brine, transfer: MAE {maes[1]:.3g} meV/Å"]
    monkeypatch.undo()
    text = report.run([folder]).output.read_text(encoding="utf-8")
    alternatives = Outline(text).values("alt")
    assert text.count("data:image/png;base64,iVBOR") == len(alternatives) == 3
    assert {path.name for path in (folder / "report/figures").iterdir()} == {
        f"figure-3.{suffix}" for suffix in ("png", "svg", "pdf")
    }
    assert any("learning curves" in words for words in alternatives)
    assert any(f"reference forces of {SOURCE}" in words for words in alternatives)


def test_errors_are_those_of_the_files(folder):
    found = {(e.material, e.split): e for e in read_models(folder)[0].errors}
    assert set(found) == {(m, s) for m in ("salt", "brine") for s in ("test", "near")}
    assert [found[m, "test"].transfer for m in ("salt", "brine")] == [False, True]
    words = words_of(folder)
    for (material, split), each in found.items():
        suffix = "" if split == "test" else "-near"
        stored = read_result(folder / f"accuracy/{SOURCE}/{material}{suffix}.h5", "accuracy")
        value, low, high = stored.datasets["quantities/forces/mae"]
        mae = each.quantities["forces/mae"]
        assert_allclose([mae.value, mae.low, mae.high], [value, low, high], rtol=1e-12, atol=0)
        assert f"{value:.3g} {low:.3g} to {high:.3g}" in words
    assert "brine transfer" in words
    assert "salt transfer" not in words
    assert "Near frames are from the blocks" in words
    assert "Transfer: the model was not trained on this material." in words


def test_every_number_has_its_file(folder):
    words = words_of(folder)
    for name in (ABOUT, CURVE, AUDIT, ERRORS, f"accuracy/{SOURCE}/brine-near.h5"):
        assert name in words
    for path, kind in ((CURVE, "training"), (AUDIT, "audit"), (ERRORS, "accuracy")):
        assert all(i.sha256 in words for i in read_result(folder / path, kind).inputs)


def test_tables_have_the_numbers_of_the_page(folder):
    report.run([folder])
    (row,) = rows_of(folder / "report/tables/models.csv")
    best = json.loads((folder / ABOUT).read_text())["training"]["validation"]
    assert (row["model"], row["trained_on"], row["failed"]) == (SOURCE, "salt", "")
    assert_allclose(float(row["force_mae"]), 1e3 * best["force_mae"], rtol=1e-12, atol=0)
    assert_allclose(float(row["energy_mae"]), 1e3 * best["energy_mae"], rtol=1e-12, atol=0)
    errors = rows_of(folder / "report/tables/accuracy.csv")
    assert len(errors) == 4 * 6
    (mae,) = [
        r
        for r in errors
        if (r["material"], r["split"], r["of"], r["quantity"]) == ("salt", "test", "forces", "mae")
    ]
    stored = read_result(folder / ERRORS, "accuracy").datasets["quantities/forces/mae"]
    shown = [float(mae[key]) for key in ("value", "low", "high")]
    assert_allclose(shown, stored, rtol=1e-12, atol=0)
    assert (mae["transfer"], mae["unit"]) == ("0", "meV/A")


def test_terminal_has_a_line_for_each_model(folder, capsys):
    assert command(["report", str(folder)]) == 0
    first = capsys.readouterr().out.splitlines()[0]
    value = read_result(folder / ERRORS, "accuracy").datasets["quantities/forces/mae"][0]
    assert first.startswith(f"{SOURCE}: force MAE salt {value:.3g} (")
    assert "meV/A (transfer); audit: 10 of 10 claims hold" in first


def test_failing_claims_are_named_and_explained(folder):
    def fail(datasets, attributes):
        names = [check["name"] for check in attributes["checks"]]
        k, other = names.index("rotation"), names.index("conservativeness")
        datasets["passed"][[k, other]], datasets["claimed"][other] = False, False
        datasets["deviation"][k] = 0.125
        attributes["checks"][k]["detail"] = "turned by 30 deg"

    rewrite(folder / AUDIT, "audit", fail)
    words = words_of(folder).replace("\N{NO-BREAK SPACE}", " ")
    assert "✗ 1 of 9 claims fail: rotation" in words
    assert "✗ FAILED 1.2e-01" in words
    assert "✗ does not pass, not claimed" in words
    assert f"{SOURCE}, rotation: deviation 1.2e-01, tolerance" in words
    assert ": turned by 30 deg" in words
    assert f"{SOURCE}, conservativeness (not claimed): deviation" in words
    assert "audit: 1 of 9 claims fail: rotation" in report.run([folder]).shown[0]
    assert rows_of(folder / "report/tables/models.csv")[0]["failed"] == "rotation"


@pytest.mark.parametrize(
    ("left_out", "gone", "kept"),
    (
        ("models", "Trained models", "Errors with 95 %"),
        ("accuracy", "Errors with 95 %", "Trained models"),
        ("audit", "What force fields claim", "not audited"),
        ("dataset", "Not there", "Trained models"),
    ),
)
def test_what_is_missing_makes_the_page_smaller(folder, left_out, gone, kept):
    shutil.rmtree(folder / left_out)
    words = words_of(folder)
    assert gone not in words
    assert kept in words


def test_a_model_without_its_learning_curve(folder):
    (folder / CURVE).unlink()
    models, _ = read_models(folder)
    assert not read_models(folder, draw=True)[0].learning
    assert models.trained[0].materials == []
    assert {each.transfer for each in models.errors} == {None}
    assert "transfer" not in words_of(folder)


def test_a_material_is_known_by_the_dataset_not_by_its_name(folder):
    (folder / "dataset/salt.h5").rename(folder / "dataset/mine.h5")
    assert read_models(folder)[0].trained[0].materials == ["salt"]


def test_random_test_frames_are_marked(folder):
    write_dataset(folder, "salt", sampling="paper")
    write_errors(folder, "test")
    found = {(e.material, e.split): e.random for e in read_models(folder)[0].errors}
    assert found["salt", "test"]
    assert not found["brine", "test"]
    assert "salt random frames" in words_of(folder)


def test_other_weights_are_said(folder):
    about = json.loads((folder / ABOUT).read_text())
    about["sha256"] = "0" * 64
    (folder / ABOUT).write_text(json.dumps(about))
    words = words_of(folder)
    assert words.count(f"made with other weights than {SOURCE} has now") == 5
    assert f"{AUDIT}: made with other weights" in words


def test_an_unfinished_training_is_said(folder):
    state = folder / "models/cgcnn-s1/training.state"
    state.parent.mkdir()
    state.write_bytes(b"")
    assert "cgcnn-s1: training not finished" in words_of(folder)


def test_other_splits_are_not_shown(folder):
    write_errors(folder, "train")
    summary = report.run([folder])
    names = {f"accuracy/{SOURCE}/{m}-train.h5" for m in ("salt", "brine")}
    assert set(summary.not_shown) == names


def test_predictions_that_are_not_finite(folder):
    def fail(datasets, attributes):
        for name in [n for n in datasets if n.startswith("quantities/")]:
            del datasets[name]
        attributes["failure"] = {"n_frames": 7, "run": "500K-r0.h5", "frame": 2}

    rewrite(folder / ERRORS, "accuracy", fail)
    assert "no finite prediction of 7 frames" in words_of(folder)
    rows = rows_of(folder / "report/tables/accuracy.csv")
    assert "no finite prediction of 7 frames" in {row["quantity"] for row in rows}


def accurate(datasets, attributes):
    datasets["quantities/forces/r2"][:] = 0.9934, 0.992, 0.995


def verdict(state, mode=None):
    """What the comparison with a reference says, as far as a page and an assessment read it."""
    changed = {"verdict": state, "paper_verdict": state, "failure_mode": mode}
    return {**COMPARISON, **changed, "needed": None, "survival": None}


def test_accurate_forces_with_wrong_dynamics_are_said(folder, monkeypatch):
    monkeypatch.setattr(report_results, "_png", lambda result: b"figure")
    line = f"{SOURCE}: R² 0.9934 on forces of salt, and unstable (fusion) at 800 K in salt"
    place = f"{SOURCE}/salt/rdf-800K.h5"
    known = {"source": SOURCE, "material": "salt"}
    write_rdf(folder, place, comparison=verdict("unstable", "fusion"), **known)
    assert "Accurate forces" not in words_of(folder)
    rewrite(folder / ERRORS, "accuracy", accurate)
    assert line in words_of(folder)
    write_rdf(folder, place, comparison=verdict("stable"), **known)
    assert "Accurate forces" not in words_of(folder)
    write_rdf(folder, place, comparison=verdict("unstable"), **known | {"material": "brine"})
    assert "Accurate forces" not in words_of(folder)


def test_hostile_names(folder, monkeypatch):
    monkeypatch.undo()
    hostile = "<script>alert(1)</script>\ud800"

    def rename(datasets, attributes):
        attributes["material"], attributes["source"] = hostile, hostile

    rewrite(folder / ERRORS, "accuracy", rename)
    rewrite(folder / AUDIT, "audit", rename)
    text = report.run([folder]).output.read_text(encoding="utf-8")
    assert "<script" not in text
    assert "alert(1)" in Outline(text).words
    assert "alert(1)" in (folder / "report/tables/accuracy.csv").read_text(encoding="utf-8")


def drop(name):
    return lambda datasets, attributes: datasets.pop(name)


def put(name, values):
    return lambda datasets, attributes: datasets.update({name: np.array(values)})


def state(name, value):
    return lambda datasets, attributes: attributes.update({name: value})


@pytest.mark.parametrize(
    ("name", "kind", "change"),
    (
        (ERRORS, "accuracy", drop("quantities/forces/mae")),
        (ERRORS, "accuracy", drop("parity/forces")),
        (ERRORS, "accuracy", put("parity/forces", [[1.0, 2.0]])),
        (ERRORS, "accuracy", put("parity/forces", np.zeros((0, 2)))),
        (ERRORS, "accuracy", put("quantities/forces/mae", [1.0])),
        (ERRORS, "accuracy", state("source", ["a"])),
        (ERRORS, "accuracy", state("mine", 1)),
        (CURVE, "training", drop("validation/force_mae")),
        (CURVE, "training", put("validation/elapsed_s", [1.0] * 99)),
        (CURVE, "training", state("best", 99)),
        (CURVE, "training", state("best", None)),
        (AUDIT, "audit", drop("passed")),
        (AUDIT, "audit", put("passed", [True])),
        (AUDIT, "audit", state("checks", "none")),
        (AUDIT, "audit", state("facts", None)),
        ("dataset/salt.h5", "dataset", state("material", None)),
    ),
)
def test_damage_is_one_line(folder, name, kind, change):
    rewrite(folder / name, kind, change)
    if kind == "dataset":
        rewrite_config(folder / name)
    with pytest.raises(InputError, match="damaged result") as caught:
        report.run([folder])
    assert str(folder / name) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (folder / "report").exists()


def rewrite_config(path):
    """A dataset that does not say how its frames were drawn."""
    stored = read_result(path, "dataset")
    write_result(path, "dataset", {}, attributes=stored.attributes, config={}, inputs=[])


@pytest.mark.parametrize(
    ("change", "message"),
    (
        ({"name": "nonsense"}, "nonsense"),
        ({"name": 5}, "name: expected a short text"),
        ({"seed": None}, "damaged result"),
        ({"training": {}}, "damaged result"),
        ({"training": 3}, "damaged result"),
        ({"schema": 99}, "another version"),
    ),
)
def test_a_damaged_description_is_one_line(folder, change, message):
    path = folder / ABOUT
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(InputError, match=message) as caught:
        report.run([folder])
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("name", (ERRORS, CURVE, AUDIT))
def test_truncated_files_are_named(folder, name):
    path = folder / name
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(InputError) as caught:
        report.run([folder])
    assert str(path) in str(caught.value)


def test_tables_of_others_are_kept(folder, tmp_path):
    table = tmp_path / "elsewhere/tables/accuracy.csv"
    table.parent.mkdir(parents=True)
    table.write_text("mine")
    with pytest.raises(InputError, match="output exists"):
        report.run([folder], tmp_path / "elsewhere")
    assert table.read_text() == "mine"
    report.run([folder], tmp_path / "elsewhere", force=True)
    assert rows_of(table)


def test_tables_follow_the_page(folder):
    report.run([folder])
    shutil.rmtree(folder / "accuracy")
    report.run([folder])
    assert rows_of(folder / "report/tables/accuracy.csv") == []
    assert len(rows_of(folder / "report/tables/models.csv")) == 1


def test_a_page_that_a_workflow_took_away_is_made_again(folder):
    report.run([folder])
    (folder / "report/index.html").unlink()
    report.run([folder])
    assert (folder / "report/index.html").exists()
