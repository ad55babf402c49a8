"""`mdbench verdict`: what is written and printed, and when it is refused."""

import csv
import json
import re
import shutil

import numpy as np
import pytest
from mdbench_cli.main import run as command
from numpy.testing import assert_allclose, assert_array_equal

from mdbench.errors import InputError
from mdbench.stages import verdict
from mdbench.store import input_of, read_result
from tests.stages.results import (
    fusion,
    write_accuracy,
    write_conductivity,
    write_rdf,
    write_task,
)

METRICS = ("force_mae", "rdf_mae", "conductivity_error")


@pytest.fixture
def run(tmp_path):
    """A good model, a poor one, and one of which every run fails; the good one in brine, too."""
    folder = tmp_path / "run"
    write_conductivity(folder, "reference")
    for source, k in (("good", 1.0), ("poor", 3.0)):
        write_accuracy(folder, source, mae=30.0 * k)
        for t in (800.0, 1000.0):
            state = "stable" if k == 1.0 else "undecided"
            write_rdf(folder, source, t=t, mae=0.01 * k, state=state)
        write_conductivity(folder, source, ratio=1.0 / k, spread=1.2)
    write_accuracy(folder, "lost", mae=5.0)
    for t in (800.0, 1000.0):
        write_rdf(folder, "lost", t=t, mae=0.001, state="unstable", evidence=[fusion()])
    write_conductivity(folder, "lost", mode="ended early")
    write_rdf(folder, "good", "brine")
    return folder


def groups(document):
    return {(g["source"], g["material"]): g for g in document["groups"]}


def test_json(run, capsys):
    assert command(["verdict", "--run", str(run), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    found = groups(document)
    assert set(found) == {("good", "salt"), ("good", "brine"), ("poor", "salt"), ("lost", "salt")}
    assert "source" not in document
    good, lost = found["good", "salt"], found["lost", "salt"]
    assert good["force_mae"] == {
        "value": 30.0, "low": 28.0, "high": 32.0, "unit": "meV/A", "resolved": True,
    }  # fmt: skip
    assert (good["state"], good["failure_modes"], good["needed"]) == ("stable", [], [])
    assert [t["temperature_k"] for t in good["temperatures"]] == [800.0, 1000.0]
    assert good["temperatures"][0]["rdf_mae"]["value"] == 0.01
    assert good["temperatures"][0]["noise_floor"] == {"expected": 0.004, "q95": 0.006}
    assert good["ranks"]["rdf_mae"] == {"best": 1, "worst": 1, "of": 3, "resolved": True}
    assert found["poor", "salt"]["needed"][0]["n_model"] == 8
    assert (lost["state"], lost["failure_modes"]) == ("unstable", ["fusion"])
    assert lost["failed"] == ["rdf_mae", "conductivity_error"]
    assert lost["conductivity_error"] is None
    assert lost["ranks"]["force_mae"]["best"] == 1
    assert lost["ranks"]["rdf_mae"] == {"best": 3, "worst": 3, "of": 3, "resolved": True}
    assert [(c["x"], c["y"]) for c in document["correlations"]] == [
        ("force_mae", "rdf_mae"),
        ("force_mae", "conductivity_error"),
    ]
    assert document["correlations"][0]["reason"] == "3 pairs: four are the fewest that say anything"


def test_one_group_stands_at_top_level_too(run, capsys):
    assert command(["verdict", "--run", str(run), "--source", "poor", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    (group,) = document["groups"]
    assert {key: document[key] for key in group} == group
    assert group["ranks"]["rdf_mae"] == {"best": 2, "worst": 2, "of": 3, "resolved": True}
    assert [p.name for p in (run / "verdict").iterdir()] == ["poor.h5"]


def test_text(run, capsys):
    assert command(["verdict", "--run", str(run)]) == 0
    shown = capsys.readouterr().out
    salt = shown.partition("salt\n")[2].partition("\n\n")[0].splitlines()
    rows = [re.split(r"\s{2,}", line) for line in salt[2:5]]
    assert rows == [
        ["good", "stable", "–", "30.0", "2", "0.0100", "1", "0.00", "1"],
        ["poor", "undecided", "–", "90.0", "3", "0.0300", "2", "0.477", "2"],
        ["lost", "unstable", "fusion", "5.00", "1", "0.00100", "3", "failed", "3"],
    ]
    assert salt[5] == (
        "poor: not decided at 800 K and 1000 K; about 8 runs of 7 ps of the model and 12 runs of "
        "7 ps of the reference at each would settle it, 4 times the data"
    )
    assert salt[6] == "lost: 2 of 4 runs fail; first fusion at 800 K: Li-S 1.20 A at 3 ps"
    assert "does force_mae tell rdf_mae? nothing to say: 3 pairs" in shown


def test_unresolved_ranks_and_correlations_are_shown_as_such(run, capsys):
    shutil.rmtree(run / "observables/lost")
    for t in (800.0, 1000.0):
        write_rdf(run, "poor", t=t, mae=0.0105)
        write_rdf(run, "third", t=t, mae=0.09)
    write_accuracy(run, "third", mae=200.0)
    for source, mae in (("good", 0.01), ("poor", 0.02), ("third", 0.03)):
        write_accuracy(run, source, "acid", mae=1e3 * mae)
        write_rdf(run, source, "acid", mae=mae)
    assert command(["verdict", "--run", str(run)]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"^good .* 0\.0100 +1-2 ", shown, re.MULTILINE)
    assert re.search(r"^poor .* 0\.0105 +1-2 ", shown, re.MULTILINE)
    line = next(x for x in shown.splitlines() if x.startswith("does force_mae tell rdf_mae?"))
    assert "rank correlation 1.00 (" in line
    assert line.endswith(
        "p = 0.33: not resolved, and 3 models cannot resolve any (p 0.33 at least)"
    )


def test_files(run):
    verdict.run(run)
    stored = read_result(run / "verdict/good.h5", "verdict")
    assert stored.attributes["materials"] == ["brine", "salt"]
    assert stored.attributes["models"] == ["good", "lost", "poor"]
    assert_array_equal(stored.datasets["metrics/force_mae"][1], [30.0, 28.0, 32.0])
    assert np.isnan(stored.datasets["metrics/force_mae"][0]).all()
    assert_array_equal(stored.datasets["ranks/rdf_mae"], [[1, 1, 1], [1, 1, 3]])
    assert_array_equal(stored.datasets["ranks/force_mae"], [[0, 0, 0], [2, 2, 3]])
    assert stored.units["metrics/force_mae"] == "meV Angstrom-1"
    names = {i.name: i.sha256 for i in stored.inputs}
    assert set(names) == {
        "accuracy/good/salt.h5",
        "observables/good/brine/rdf-800K.h5",
        "observables/good/salt/rdf-800K.h5",
        "observables/good/salt/rdf-1000K.h5",
        "observables/good/salt/conductivity.h5",
    }
    assert all(input_of(run / name, "").sha256 == sha256 for name, sha256 in names.items())
    group = groups(verdict.run(run).as_json())["good", "salt"]
    assert stored.attributes["groups"][1] == json.loads(json.dumps(group))
    for metric in METRICS:
        place = group["files"][metric]["file"]
        assert place in names


def test_info_shows_a_verdict(run, capsys):
    verdict.run(run)
    assert command(["info", str(run / "verdict/good.h5"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["kind"] == "verdict"


def test_again(run, capsys):
    """The same results: nothing is written; others replace our file; of others' ranks, too."""
    verdict.run(run)
    path = run / "verdict/good.h5"
    before = path.stat().st_mtime_ns
    assert command(["verdict", "--run", str(run), "--source", "good"]) == 0
    assert f"already done: {path}" in capsys.readouterr().err
    assert path.stat().st_mtime_ns == before
    for t in (800.0, 1000.0):
        write_rdf(run, "poor", t=t, mae=0.001)
    report = verdict.run(run)
    assert f"already done: {path}" not in report.notes
    stored = read_result(path, "verdict")
    assert stored.attributes["groups"][1]["ranks"]["rdf_mae"]["best"] == 2


@pytest.mark.parametrize("content", [b"mine", None])
def test_what_is_no_verdict_is_kept(run, content):
    path = run / "verdict/poor.h5"
    path.parent.mkdir()
    other = run / "observables/good/salt/conductivity.h5"
    path.write_bytes(other.read_bytes() if content is None else content)
    before = path.read_bytes()
    with pytest.raises(InputError, match="is no verdict; --force replaces it"):
        verdict.run(run)
    assert path.read_bytes() == before
    assert len(list(path.parent.iterdir())) == 1
    verdict.run(run, force=True)
    assert read_result(path, "verdict").attributes["source"] == "poor"


def test_csv(run, tmp_path):
    table = tmp_path / "t.csv"
    assert command(["verdict", "--run", str(run), "--csv", str(table), "--quiet"]) == 0
    with table.open(encoding="utf-8", newline="") as file:
        rows = {(r["source"], r["material"]): r for r in csv.DictReader(file)}
    poor, lost = rows["poor", "salt"], rows["lost", "salt"]
    numbers = [float(poor[f"rdf_mae{part}"]) for part in ("", "_rank_best", "_rank_of")]
    assert_allclose(numbers, [0.03, 2, 3], rtol=1e-12, atol=0)
    assert (lost["conductivity_error"], lost["conductivity_error_rank_worst"]) == ("", "3")
    assert lost["failure_modes"] == "fusion"


def test_a_table_does_not_replace_a_result(run):
    path = run / "observables/good/salt/conductivity.h5"
    before = path.read_bytes()
    with pytest.raises(InputError, match="output is one of the results"):
        verdict.run(run, csv=path)
    assert path.read_bytes() == before


def test_require(run):
    arguments = ["verdict", "--run", str(run), "--require", "stable", "--quiet"]
    assert command(arguments) == 1
    assert command([*arguments, "--source", "good"]) == 0
    assert command([*arguments, "--source", "lost"]) == 1
    write_accuracy(run, "good", "water")  # no runs, so nothing says that it is stable
    assert command([*arguments, "--source", "good"]) == 1


def test_a_model_without_results_is_shown(run, capsys):
    """Its training failed: it is not stable, and the reason is a note."""
    write_task(run, "train", "schnet-small-s0", "schnet-small-s0", "failed", "out of memory")
    assert command(["verdict", "--run", str(run), "--require", "stable"]) == 1
    shown = capsys.readouterr()
    assert "train of schnet-small-s0 failed: out of memory" in shown.err
    assert "schnet-small-s0: no results" in shown.out
    assert command(["verdict", "--run", str(run), "--source", "schnet-small-s0", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["groups"] == []


def test_the_current_run_folder(run, monkeypatch, capsys):
    monkeypatch.setenv("MDBENCH_RUN", str(run))
    assert command(["verdict", "--quiet"]) == 0
    assert (run / "verdict/good.h5").is_file()
    shown = capsys.readouterr()
    assert shown.err == ""
    assert shown.out


def emptied(run, *patterns):
    for path in [path for pattern in patterns for path in run.glob(pattern)]:
        shutil.rmtree(path)


@pytest.mark.parametrize(
    "change, line",
    [
        (shutil.rmtree, "no such run folder"),
        (lambda run: emptied(run, "*"), "no results"),
        (lambda run: emptied(run, "accuracy", "observables/[!r]*"), "no force field"),
        (
            lambda run: (run / "observables/good/salt/conductivity.h5").write_bytes(b""),
            "empty file",
        ),
        (lambda run: write_accuracy(run, "x", name="../../x"), "expected no path"),
    ],
)
def test_bad_input_is_one_line(run, change, line, capsys):
    change(run)
    assert command(["verdict", "--run", str(run)]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert line in shown.err
    assert not (run / "verdict").exists()


def test_an_unknown_source_gets_near_names(run):
    with pytest.raises(InputError, match=r"--source god; did you mean good\?"):
        verdict.run(run, source="god")
