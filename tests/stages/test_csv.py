"""What commands write with --csv is what they print with --json, and what pandas reads."""

import dataclasses
import json

import numpy as np
import pandas
import pytest
from mdbench_cli.main import run as command
from pandas.testing import assert_frame_equal

from mdbench.config import ConductivityConfig, EvaluateConfig, MsdConfig, PlanConfig, RdfConfig
from mdbench.stages import (
    audit,
    conductivity,
    dataset,
    evaluate,
    info,
    models,
    msd,
    plan,
    rdf,
    verdict,
)
from mdbench.store import write_trajectory
from mdbench.synthetic import HoppingModel, ion_conductor
from mdbench.table import Tabular
from tests.stages.little import at, write_run

KELVINS = (800.0, 1000.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run folder: a reference of a crystal, a model's runs of it, walkers beside it."""
    folder = tmp_path_factory.mktemp("run")
    for place in ("reference/salt", "rollouts/chgnet/salt"):
        for kelvin in KELVINS:
            rng = np.random.default_rng([len(place), int(kelvin)])
            run = ion_conductor(HoppingModel(repeats=1), 200, rng, temperature_k=kelvin)
            about = dataclasses.replace(run.provenance, material="salt")
            path = folder / place / f"{kelvin:g}K-r0.h5"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_trajectory(path, dataclasses.replace(run, provenance=about))
    for kelvin in KELVINS:
        write_run(folder / f"walk-{kelvin:g}.h5", at(kelvin), int(kelvin))
    words = ["--against", f"{folder}/reference/*/*.h5", "--run", str(folder), "--quiet"]
    assert command(["rdf", *words]) == 0
    walks = [str(folder / f"walk-{kelvin:g}.h5") for kelvin in KELVINS]
    assert command(["conductivity", *walks, "-o", str(folder / "pilot.h5"), "--quiet"]) == 0
    return folder


@pytest.fixture
def both(folder, tmp_path, capsys):
    """The CSV file and the JSON document of a command."""
    capsys.readouterr()

    def ask(*words):
        path = tmp_path / "table.csv"
        assert command([*words, "--json", "--quiet", "--csv", str(path)]) == 0
        return pandas.read_csv(path), json.loads(capsys.readouterr().out)

    return ask


def cells(frame, *names):
    """Rows of some columns, what is missing as None."""
    chosen = frame[list(names)].astype(object)
    return chosen.where(chosen.notna(), None).to_numpy().tolist()


def test_models(both):
    frame, shown = both("models")
    assert list(frame.columns) == list(shown[0])
    expected = [[value or None for value in entry.values()] for entry in shown]
    found = [[value or None for value in row] for row in cells(frame, *frame.columns)]
    assert found == expected


def test_selftest(both):
    frame, shown = both("selftest")
    assert frame["control"].tolist() == [c["name"] for c in shown["controls"]]
    assert frame["passed"].tolist() == [c["passed"] for c in shown["controls"]]
    assert frame["found"].tolist() == [c["found"] for c in shown["controls"]]


def test_info(both, folder):
    frame, shown = both("info", str(folder / "walk-800.h5"))
    facts = dict(zip(frame["fact"], frame["value"], strict=True))
    assert float(facts["temperature_k"]) == shown["temperature_k"]
    assert float(facts["cell_A.0.0"]) == shown["cell_A"][0][0]
    assert facts["source"] == shown["source"]
    assert pandas.isna(facts["end_reason"])
    frame, shown = both("info", str(folder / "pilot.h5"))
    facts = dict(zip(frame["fact"], frame["value"], strict=True))
    assert facts["made from.1.sha256"] == shown["made from"][1]["sha256"]


def test_audit(both, tmp_path):
    frame, shown = both("audit", "--calculator", "refpot", "-o", str(tmp_path / "a.h5"))
    names = ("name", "done", "deviation", "tolerance", "claimed", "passed")
    expected = [[check[name] for name in names] for check in shown["checks"]]
    assert cells(frame, *names) == expected
    assert set(frame["source"]) == {"refpot"}
    assert set(frame["material"]) == {shown["material"]}


def test_plan(both, folder):
    frame, shown = both("plan", str(folder / "pilot.h5"))
    names = ("way", "temperature_k", "ns", "replicas", "relative_error", "total_ns", "half_width")
    expected = [
        [
            *(way, at["temperature_k"], at["ns"], at["replicas"], at["relative_error"]),
            *(found["total_ns"], found["half_width"]),
        ]
        for way, found in shown["ways"].items()
        if found is not None
        for at in found["temperatures"]
    ]
    assert cells(frame, *names) == expected
    assert expected


def test_dataset(both, folder, tmp_path):
    frame, shown = both("dataset", "--run", str(folder), "-o", str(tmp_path / "d.h5"))
    expected = [
        [name, split["n_frames"], *(each["n_frames"] for each in split["per_temperature"])]
        for name, split in shown["splits"].items()
    ]
    assert cells(frame, "split", "n_frames", "n_frames_800K", "n_frames_1000K") == expected
    energies = [(split["energy"] or {}).get("mean") for split in shown["splits"].values()]
    assert [row[0] for row in cells(frame, "energy_mean_ev")] == energies


def test_rdf_and_msd(both, folder):
    path = str(folder / "walk-800.h5")
    frame, shown = both("rdf", path)
    assert frame["r"].tolist() == shown["r"]
    for pair, g in shown["g"].items():
        assert frame[pair].tolist() == g
    frame, shown = both("msd", path)
    assert frame["lag_ps"].tolist() == shown["lag_ps"]
    assert frame["msd"].tolist() == shown["msd"]
    assert frame[["msd_x", "msd_y", "msd_z"]].T.to_numpy().tolist() == shown["msd_xyz"]


def test_conductivity(both, folder):
    frame, shown = both("conductivity", *(str(folder / f"walk-{k:g}.h5") for k in KELVINS))
    keys = {"diffusivity": "diffusivity", "conductivity": "conductivity"}
    keys["collective_conductivity"] = "collective"
    for key, column in keys.items():
        expected = [
            [t[key][part] for part in ("value", "low", "high")] for t in shown["temperatures"]
        ]
        assert cells(frame, column, f"{column}_low", f"{column}_high") == expected


def test_evaluate(both, folder):
    data = str(folder / "reference/salt/800K-r0.h5")
    frame, shown = both("evaluate", "--calculator", "refpot", "--data", data)
    rows = frame.set_index(["of", "quantity"])
    for of, quantity, known in (
        ("forces", "mae", shown["forces"]["mae"]),
        ("forces/per_element/Li", "rmse", shown["forces"]["per_element"]["Li"]["rmse"]),
        ("energy", "r2", shown["energy"]["r2"]),
    ):
        assert rows.loc[(of, quantity), "value"] == known["value"]


def test_verdict(both, folder):
    frame, shown = both("verdict", "--run", str(folder))
    assert cells(frame, "source", "material", "state") == [
        [group["source"], group["material"], group["state"]] for group in shown["groups"]
    ]
    assert frame["rdf_mae"].tolist() == [g["rdf_mae"]["value"] for g in shown["groups"]]
    assert frame["rdf_mae_rank_best"].tolist() == [
        g["ranks"]["rdf_mae"]["best"] for g in shown["groups"]
    ]


def reports(folder, tmp_path):
    """The report of each command that shows a table, with the name of its file."""
    walks = [folder / f"walk-{kelvin:g}.h5" for kelvin in KELVINS]
    data = [folder / "reference/salt/800K-r0.h5"]
    yield lambda csv: models.run(csv=csv)
    yield lambda csv: info.run(walks[0], csv=csv)
    yield lambda csv: audit.run(
        audit.AuditConfig(), calculator="refpot", run_folder=tmp_path, csv=csv
    )
    yield lambda csv: plan.run([folder / "pilot.h5"], PlanConfig(), csv=csv)
    yield lambda csv: dataset.run(
        (), dataset.DatasetConfig(), run_folder=folder, output=tmp_path / "d.h5", csv=csv
    )
    yield lambda csv: rdf.run(walks, RdfConfig(), csv=csv)
    yield lambda csv: msd.run(walks, MsdConfig(), csv=csv)
    yield lambda csv: conductivity.run(walks, ConductivityConfig(), csv=csv)
    yield lambda csv: evaluate.run(EvaluateConfig(calculator="refpot"), data=data, csv=csv)
    yield lambda csv: verdict.run(folder, csv=csv)


def test_frames_are_the_files(folder, tmp_path):
    """One source of truth: the frame of a report is what pandas reads of its file."""
    for number, make in enumerate(reports(folder, tmp_path)):
        path = tmp_path / f"{number}.csv"
        report = make(path)
        assert isinstance(report, Tabular)
        frame = report.to_frame().astype(object)
        read = pandas.read_csv(path, keep_default_na=False, na_values=[], dtype=str)
        shown = frame.map(lambda cell: "" if pandas.isna(cell) else str(cell))
        numbers = [n for n in frame if report.to_frame()[n].dtype.kind in "fi"]
        texts = [name for name in frame if name not in numbers]
        assert list(read.columns) == list(frame.columns)
        assert_frame_equal(read[texts].astype(object), shown[texts].astype(object))
        for name in numbers:
            values = pandas.to_numeric(read[name], errors="coerce").to_numpy(dtype=float)
            assert np.array_equal(values, frame[name].to_numpy(dtype=float), equal_nan=True)


@pytest.mark.parametrize(
    "words",
    [
        ["models"],
        ["selftest"],
        ["info", "{walk}"],
        ["audit", "--calculator", "refpot", "-o", "{out}"],
        ["plan", "{pilot}"],
        ["dataset", "--run", "{run}", "-o", "{out}"],
    ],
    ids=lambda words: words[0],
)
def test_a_place_that_cannot_be_written_is_found_before_any_work(words, folder, tmp_path, capsys):
    known = {"walk": folder / "walk-800.h5", "pilot": folder / "pilot.h5", "run": folder}
    asked = [word.format(**known, out=tmp_path / "out.h5") for word in words]
    assert command([*asked, "--csv", str(tmp_path)]) == 2
    shown = capsys.readouterr()
    assert "output is a folder" in shown.err
    assert shown.out == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [["info", "{0}"], ["plan", "{0}"]], ids=lambda w: w[0])
def test_inputs_are_not_overwritten(words, folder, tmp_path, capsys):
    path = tmp_path / "pilot.h5"
    path.write_bytes((folder / "pilot.h5").read_bytes())
    asked = [word.format(path) for word in words]
    assert command([*asked, "--csv", str(path)]) == 2
    assert "output is one of the" in capsys.readouterr().err
    assert path.read_bytes() == (folder / "pilot.h5").read_bytes()
