"""`mdbench plan`: from stored conductivities to ways and times."""

import json
import math

import h5py
import numpy as np
import pytest
from mdbench_cli.main import run
from numpy.testing import assert_allclose

from mdbench.analysis.planning import PilotPoint, plan
from mdbench.config import ConductivityConfig, MsdConfig, PlanConfig
from mdbench.stages import conductivity, msd
from mdbench.stages.plan import run as analyze
from tests.stages.little import FROZEN, at, write_run

TEMPERATURES = (800, 1000, 1200)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A pilot of three temperatures, two replicas of the coldest: runs and what came of them."""
    place = tmp_path_factory.mktemp("pilot")
    files = [write_run(place / f"{t}.h5", at(float(t)), t) for t in TEMPERATURES]
    files.append(write_run(place / "800-b.h5", at(800.0), 1))
    conductivity.run(files, ConductivityConfig(), output=place / "pilot.h5")
    return place


def document_of(capsys, *args):
    """What --json prints, which is one document and nothing else."""
    assert run(["plan", *map(str, args), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def refused(capsys, *args):
    assert run(["plan", *map(str, args)]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("mdbench: error: ")
    assert told.err.count("\n") == 1
    return told.err


def test_the_plan_is_that_of_the_pilot_in_memory(folder, capsys):
    """Through the file and back nothing is lost."""
    paths = [[folder / "800.h5", folder / "800-b.h5"], [folder / "1000.h5"], [folder / "1200.h5"]]
    pilot = []
    for group, t in zip(paths, TEMPERATURES, strict=True):
        (found,) = msd.run(group, MsdConfig()).results
        pilot.append(PilotPoint(t, found.diffusivity, found.diffusion.length_ps, len(group)))
    expected = plan(pilot, 0.3, 300.0)
    document = document_of(capsys, folder / "pilot.h5")
    (group,) = document["groups"]
    assert {k: v for k, v in document.items() if k != "groups"} == group
    assert (group["source"], group["material"]) == ("synthetic", "walkers")
    assert group["present_half_width"] == expected.present.half_width
    for name, way in (
        ("as the pilot", expected.proportional), ("equal times", expected.equal),
        ("two temperatures", expected.best), ("with a third", expected.robust),
    ):  # fmt: skip
        found = group["ways"][name]
        assert [t["ns"] for t in found["temperatures"]] == list(way.total_ns)
        assert [t["replicas"] for t in found["temperatures"]] == list(way.replicas)
        assert [t["temperature_k"] for t in found["temperatures"]] == list(way.temperatures_k)
        assert found["run_ps"] == way.run_ps
        assert_allclose(found["half_width"], 0.3, rtol=1e-6, atol=0)
        assert_allclose(found["total_ns"], sum(way.total_ns), rtol=1e-12, atol=0)
    assert [c["temperature_k"] for c in group["next_run"]] == [
        c.temperature_k for c in expected.next_run
    ]


def test_wanting_more_costs_more(folder):
    def needed(**settings):
        (result,) = analyze([folder / "pilot.h5"], PlanConfig(**settings)).results
        return sum(result.plan.best.total_ns)

    assert_allclose(needed(wanted=0.01) / needed(wanted=0.02), 4.0, rtol=0.02, atol=0)
    assert needed(at=250.0) > needed(at=300.0) > needed(at=400.0)


def test_the_length_of_runs(folder, capsys):
    found = document_of(capsys, folder / "pilot.h5", "--ps", "50")["ways"]["two temperatures"]
    assert found["run_ps"] == 50.0
    for t in found["temperatures"]:
        assert t["replicas"] == math.ceil(t["ns"] * 1e3 / 50.0 * (1 - 1e-9))


def test_what_is_printed(folder, capsys):
    assert run(["plan", str(folder / "pilot.h5"), "--wanted", "0.2", "--at", "298"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("synthetic: walkers: log10 sigma(298 K) to ± 0.2 decades; the pilot")
    for name in ("as the pilot", "equal times", "two temperatures", "with a third"):
        assert f"\n{name}" in shown
    assert "the next run of" in shown
    assert "the pilot is enough" not in shown
    assert run(["plan", str(folder / "pilot.h5"), "--wanted", "10"]) == 0
    shown = capsys.readouterr().out
    assert "the pilot is enough" in shown
    assert "* so short at one temperature" in shown


def test_a_pilot_of_two_temperatures_has_no_third(folder, tmp_path, capsys):
    pilot = tmp_path / "two.h5"
    files = [folder / "800.h5", folder / "1200.h5"]
    conductivity.run(files, ConductivityConfig(), output=pilot)
    document = document_of(capsys, pilot)
    assert document["ways"]["with a third"] is None
    assert document["ways"]["two temperatures"]["total_ns"] > 0


def test_a_bound_in_the_pilot_takes_part(folder, tmp_path, capsys):
    frozen = write_run(tmp_path / "600.h5", at(600.0, FROZEN), 6)
    pilot = tmp_path / "bound.h5"
    files = [folder / f"{t}.h5" for t in TEMPERATURES]
    conductivity.run([frozen, *files], ConductivityConfig(), output=pilot)
    found = document_of(capsys, pilot)
    assert 600.0 in [c["temperature_k"] for c in found["next_run"]]


def test_a_run_folder(tmp_path, monkeypatch, capsys):
    for t in (800, 1200):
        write_run(tmp_path / f"run/reference/walkers/{t}K-r0.h5", at(float(t)), t)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MDBENCH_RUN", raising=False)
    line = refused(capsys)
    assert "no conductivities in this run folder; `mdbench conductivity --run run` first" in line
    assert run(["conductivity", "--quiet"]) == 0
    capsys.readouterr()
    assert document_of(capsys)["source"] == "reference"
    assert run(["plan", "--run", "run"]) == 0
    assert "note: run folder run: 1 result(s) of conductivity" in capsys.readouterr().err


def test_a_pilot_of_which_no_run_reaches_its_end(tmp_path, monkeypatch, capsys):
    """Beside others in a run folder it is left out."""
    for t in (800, 1200):
        place = f"walkers/{t}K-r0.h5"
        write_run(tmp_path / "run/reference" / place, at(float(t)), t)
        ended = {"n_frames": 20, "end_reason": "exploded"}
        write_run(tmp_path / "run/rollouts/mace-s0" / place, at(float(t)), t, **ended)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MDBENCH_RUN", raising=False)
    assert run(["conductivity", "--quiet"]) == 0
    capsys.readouterr()
    stored = "run/observables/mace-s0/walkers/conductivity.h5"
    line = refused(capsys, stored)
    assert f"{stored}: nothing to plan from: expected a pilot with runs that reach" in line
    assert [g["source"] for g in document_of(capsys)["groups"]] == ["reference"]
    assert run(["plan"]) == 0
    assert f"note: {stored}: left out: no run reaches its end" in capsys.readouterr().err
    (tmp_path / "run/observables/reference/walkers/conductivity.h5").unlink()
    assert "run: nothing to plan from: found no run that reaches its end" in refused(capsys)


def test_several_pilots_stand_apart(folder, tmp_path, capsys):
    other = tmp_path / "other.h5"
    files = [
        write_run(tmp_path / f"{t}.h5", at(float(t)), t + 5, label="mlff") for t in TEMPERATURES
    ]
    conductivity.run(files, ConductivityConfig(), output=other)
    document = document_of(capsys, folder / "pilot.h5", other)
    assert set(document) == {"groups"}
    assert [g["source"] for g in document["groups"]] == ["synthetic", "mlff"]


# Bad input


@pytest.mark.parametrize(
    "options",
    [
        ["--wanted", "0"], ["--wanted", "nan"], ["--wanted", "1e-9"], ["--wanted", "1e200"],
        ["--at", "0"], ["--at", "1000"], ["--ps", "-5"], ["--ps", "long"],
    ],
)  # fmt: skip
def test_settings_that_cannot_be(options, folder, capsys):
    refused(capsys, folder / "pilot.h5", *options)


def test_pilots_that_resolve_too_little(folder, tmp_path, capsys):
    files = [folder / "800.h5", write_run(tmp_path / "600.h5", at(600.0, FROZEN), 6)]
    conductivity.run(files, ConductivityConfig(), output=tmp_path / "a.h5")
    line = refused(capsys, tmp_path / "a.h5")
    assert f"{tmp_path / 'a.h5'}: Arrhenius fit: expected D resolved at two temperatures" in line
    conductivity.run(
        [folder / "800.h5", folder / "1200.h5"], ConductivityConfig(estimator="pymatgen"),
        output=tmp_path / "b.h5",
    )  # fmt: skip
    assert "expected a value and a variance" in refused(capsys, tmp_path / "b.h5")


def test_other_files(folder, tmp_path, capsys):
    msd.run([folder / "800.h5"], MsdConfig(), output=tmp_path / "msd.h5")
    line = refused(capsys, tmp_path / "msd.h5")
    assert "wrong observable: expected a result of `mdbench conductivity`, found msd" in line
    assert "trajectory" in refused(capsys, folder / "800.h5")
    assert "no such file" in refused(capsys, tmp_path / "none.h5")
    (tmp_path / "text.h5").write_text("conductivity")
    assert "text.h5" in refused(capsys, tmp_path / "text.h5")


def spoiled(folder, target, change):
    """A copy of the pilot with other attributes."""
    target.write_bytes((folder / "pilot.h5").read_bytes())
    with h5py.File(target, "r+") as file:
        known = json.loads(file.attrs["attributes"])
        change(known)
        file.attrs["attributes"] = np.bytes_(json.dumps(known))
    return target


DAMAGES = {
    "no pilot": lambda known: known.pop("pilot"),
    "pilot of words": lambda known: known.update(pilot="abc"),
    "pilot of nothing": lambda known: known.update(pilot=[None]),
    "no points": lambda known: known.update(pilot=[]),
    "no source": lambda known: known.pop("source"),
    "no time": lambda known: known["pilot"][0].pop("total_ps"),
    "time of zero": lambda known: known["pilot"][0].update(total_ps=0.0),
    "time of words": lambda known: known["pilot"][0].update(total_ps="long"),
    "no D": lambda known: known["pilot"][1].update(diffusivity=None),
    "D of words": lambda known: known["pilot"][1]["diffusivity"].update(value="fast"),
    "D below zero": lambda known: known["pilot"][1]["diffusivity"].update(value=-1.0),
    "a variance without freedom": lambda known: known["pilot"][1].update(freedom=None),
    "no temperature": lambda known: known["pilot"][1].update(temperature_k=None),
    "temperature of zero": lambda known: known["pilot"][1].update(temperature_k=0.0),
    "a temperature twice": lambda known: known["pilot"].append(known["pilot"][0]),
    "no replicas": lambda known: known["pilot"][0].update(n_replicas=0),
}


@pytest.mark.parametrize("change", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_pilot(change, folder, tmp_path, capsys):
    path = spoiled(folder, tmp_path / "spoiled.h5", change)
    assert str(path) in refused(capsys, path)


def test_a_pilot_that_is_cut_off(folder, tmp_path, capsys):
    content = (folder / "pilot.h5").read_bytes()
    for share in (0.05, 0.5, 0.95):
        path = tmp_path / "cut.h5"
        path.write_bytes(content[: int(share * len(content))])
        assert str(path) in refused(capsys, path)
