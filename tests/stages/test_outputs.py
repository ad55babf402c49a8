"""Analyses of a run folder: which sources, and that one bad group does not stop the others."""

import json

import pytest
from mdbench_cli.main import run

from tests.stages.little import at, write_run

ANALYSES = ("rdf", "msd", "conductivity")
#: What each analysis calls the result of 800 K, or of all temperatures.
RESULTS = {"rdf": "rdf-800K.h5", "msd": "msd-800K.h5", "conductivity": "conductivity.h5"}


@pytest.fixture
def run_folder(tmp_path, monkeypatch):
    """A reference and two models, all at 800 K."""
    for number, source in enumerate(("reference", "rollouts/mace-s0", "rollouts/mace-s1")):
        write_run(tmp_path / f"run/{source}/walkers/800K-r0.h5", at(800.0), number)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MDBENCH_RUN", raising=False)
    return tmp_path / "run"


def document_of(capsys, *args):
    """What --json prints, and the notes."""
    assert run([*map(str, args), "--json"]) == 0
    told = capsys.readouterr()
    return json.loads(told.out), told.err


def refused(capsys, *args):
    assert run([*map(str, args)]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("mdbench: error: ")
    assert told.err.count("\n") == 1
    return told.err


def written(run_folder):
    places = (run_folder / "observables").rglob("*.h5")
    return {str(place.relative_to(run_folder / "observables")) for place in places}


def end_early(run_folder, source, n_frames=1, reason="fusion: Li-S 0.30 A at 0 ps", replica=0):
    place = run_folder / source / f"walkers/800K-r{replica}.h5"
    return write_run(place, at(800.0), 90 + replica, n_frames, end_reason=reason)


# --source


@pytest.mark.parametrize("analysis", ANALYSES)
def test_only_the_named_sources(analysis, run_folder, capsys):
    """The files of others are not even opened."""
    (run_folder / "rollouts/mace-s1/walkers/800K-r0.h5").write_bytes(b"damaged")
    document, notes = document_of(capsys, analysis, "--source", "mace-s0")
    assert [group["source"] for group in document["groups"]] == ["mace-s0"]
    assert "note: run folder run: 1 trajectories" in notes
    assert written(run_folder) == {f"mace-s0/walkers/{RESULTS[analysis]}"}
    both = ("--source", "mace-s0", "--source", "reference")
    document, _ = document_of(capsys, analysis, *both)
    assert [group["source"] for group in document["groups"]] == ["reference", "mace-s0"]


@pytest.mark.parametrize("analysis", ["rdf", "conductivity"])
def test_a_source_against_the_reference(analysis, run_folder, capsys):
    args = (analysis, "--source", "mace-s1", "--against", "run/reference/*/*.h5")
    document, _ = document_of(capsys, *args)
    assert document["source"] == "mace-s1"
    assert document["comparison"] is not None
    line = refused(capsys, analysis, "--source", "reference", *args[3:])
    assert "nothing to hold against the reference" in line


@pytest.mark.parametrize("analysis", ANALYSES)
def test_sources_that_cannot_be(analysis, run_folder, capsys):
    line = refused(capsys, analysis, "--source", "mace-s7")
    assert "run: no trajectories of the source 'mace-s7'; did you mean mace-s" in line
    assert "known: mace-s0, mace-s1, reference" in refused(capsys, analysis, "--source", "x")
    file = run_folder / "reference/walkers/800K-r0.h5"
    line = refused(capsys, analysis, file, "--source", "reference")
    assert "--source: expected no files" in line
    assert written(run_folder) == set()


# Groups that cannot be analyzed


def test_runs_that_ended_early_do_not_stop_the_others(run_folder, capsys):
    end_early(run_folder, "rollouts/mace-s0")
    document, notes = document_of(capsys, "msd")
    assert [group["source"] for group in document["groups"]] == ["reference", "mace-s1"]
    assert (
        "note: no result: mace-s0: walkers, 800 K: nothing to analyze: expected a run that reaches "
        "its end, found 800K-r0.h5: fusion: Li-S 0.30 A at 0 ps\n"
    ) in notes
    results = {f"{source}/walkers/msd-800K.h5" for source in ("reference", "mace-s1")}
    assert written(run_folder) == results


def test_nothing_but_runs_that_ended_early_is_a_result(run_folder, capsys, tmp_path):
    for replica in (0, 1):
        end_early(run_folder, "rollouts/mace-s0", 1 + 3 * replica, replica=replica)
    table, figure = tmp_path / "t.csv", tmp_path / "f.png"
    args = ("msd", "--source", "mace-s0", "--csv", table, "--plot", figure)
    document, notes = document_of(capsys, *args)
    assert document == {"groups": []}
    assert "nothing to analyze" in notes
    assert table.read_text().startswith("source,material,temperature_k,lag_ps")
    assert len(table.read_text().splitlines()) == 1
    assert not figure.exists()
    assert run(["msd", "--source", "mace-s0"]) == 0
    assert capsys.readouterr().out == "no run reaches its end: no result\n"
    assert written(run_folder) == set()
    # a file that is asked for is not left out silently
    line = refused(capsys, "msd", "--source", "mace-s0", "-o", tmp_path / "o.h5")
    assert "nothing to analyze" in line
    assert "nothing to analyze" in refused(capsys, "msd", "run/rollouts/mace-s0/walkers/*.h5")


def test_a_result_of_runs_that_end_early_now_does_not_stay(run_folder, capsys):
    assert run(["msd"]) == 0
    before = written(run_folder)
    end_early(run_folder, "rollouts/mace-s0")
    capsys.readouterr()
    line = refused(capsys, "msd", "--source", "mace-s0")
    assert "mace-s0/walkers/msd-800K.h5: made from other trajectories, which end early" in line
    assert "--force removes it" in line
    assert written(run_folder) == before
    assert run(["msd", "--source", "mace-s0", "--force"]) == 0
    assert before - written(run_folder) == {"mace-s0/walkers/msd-800K.h5"}


@pytest.mark.parametrize("analysis", ["msd", "conductivity"])
def test_runs_that_are_too_short_are_noted(analysis, run_folder, capsys):
    """They reached their end: bad input where there is nothing else."""
    write_run(run_folder / "rollouts/mace-s0/walkers/800K-r0.h5", at(800.0), 9, 30)
    document, notes = document_of(capsys, analysis)
    assert [group["source"] for group in document["groups"]] == ["reference", "mace-s1"]
    assert "note: no result: mace-s0: walkers" in notes
    assert notes.count("too few frames for a diffusivity") == 1
    line = refused(capsys, analysis, "--source", "mace-s0")
    assert "too few frames for a diffusivity" in line
    end_early(run_folder, "rollouts/mace-s1")  # no result either, but not the user's to mend
    sources = ("--source", "mace-s1", "--source", "mace-s0")
    if analysis == "msd":
        assert "too few frames" in refused(capsys, analysis, *sources)


def test_one_group_without_a_reference_does_not_stop_the_others(run_folder, capsys):
    place = run_folder / "rollouts/mace-s1/walkers"
    (place / "800K-r0.h5").unlink()
    write_run(place / "900K-r0.h5", at(900.0), 5)
    args = ("rdf", "--against", "run/reference/*/*.h5")
    document, notes = document_of(capsys, *args)
    assert [group["source"] for group in document["groups"]] == ["mace-s0"]
    assert "note: no result: mace-s1: walkers, 900 K: no reference of this temperature" in notes
    assert "no reference of this temperature" in refused(capsys, *args, "--source", "mace-s1")
    # not every verdict is `stable` where there is none
    wanted = (*args, "--require", "stable", "--threshold", "9", "--force")
    assert run([*wanted, "--source", "mace-s0"]) == 0
    assert run([*wanted]) == 1
