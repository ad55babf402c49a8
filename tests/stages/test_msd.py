"""`mdbench msd` from files to JSON, table, CSV, figure and HDF5."""

import csv
import dataclasses
import json
import re

import numpy as np
import pytest
from mdbench_cli.main import run
from numpy.testing import assert_allclose, assert_array_equal

from mdbench.analysis.diffusion_analyzer import analyzer_diffusivity
from mdbench.analysis.diffusivity import tracer_diffusion
from mdbench.config import MsdConfig
from mdbench.errors import InputError
from mdbench.stages import msd
from mdbench.stages.motion import read_motion
from mdbench.stages.msd import run as analyze
from mdbench.store import read_result, write_trajectory
from mdbench.walks import Walk
from tests.stages.little import FROZEN, HOPPERS, at, run_of, write_run

QUANTITY = {"value", "low", "high", "unit", "resolved"}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Two replicas at 800 K and one run at 900 K."""
    folder = tmp_path_factory.mktemp("runs")
    return [
        write_run(folder / "a.h5", at(800.0), 0),
        write_run(folder / "b.h5", at(800.0), 1),
        write_run(folder / "hot.h5", at(900.0), 2),
    ]


def document_of(capsys, *args):
    """What --json prints, which is one document and nothing else."""
    assert run(["msd", *map(str, args), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_json_has_what_the_rest_relies_on(files, capsys):
    document = document_of(capsys, *files[:2])
    (group,) = document["groups"]
    assert {k: v for k, v in document.items() if k != "groups"} == group
    assert {
        "source", "material", "temperature_k", "lag_ps", "msd", "diffusivity",
        "diffusivity_tensor", "haven_ratio", "n_eff", "window_ps", "warnings", "settings",
    } <= set(group)  # fmt: skip
    assert (group["source"], group["material"]) == ("synthetic", "walkers")
    for name, unit in (("diffusivity", "cm^2/s"), ("haven_ratio", "")):
        assert set(group[name]) == QUANTITY
        assert group[name]["unit"] == unit
        assert group[name]["low"] < group[name]["value"] < group[name]["high"]
    for name in ("value", "low", "high"):
        assert np.shape(group["diffusivity_tensor"][name]) == (3, 3)
    assert group["diffusivity_tensor"]["unit"] == "cm^2/s"
    assert isinstance(group["n_eff"], float)
    assert_allclose(group["lag_ps"], np.arange(210) * 0.1, rtol=1e-9, atol=0)
    assert len(group["msd"]) == 210
    assert_allclose(np.sum(group["msd_xyz"], axis=0), group["msd"], rtol=1e-12, atol=0)
    low, high = group["window_ps"]
    assert_allclose(high, 10 * low, rtol=1e-9, atol=0)
    assert group["settings"]["mobile"] == "Li"
    assert_allclose(group["settings"]["skip_ps"], [9.0, 9.0], rtol=1e-9, atol=0)
    assert [run["n_frames"] for run in group["runs"]] == [210, 210]


def test_replicas_are_pooled(files):
    (result,) = analyze(files[:2], MsdConfig()).results
    each = [read_motion(path) for path in files[:2]]
    expected = tracer_diffusion([one.motion for one in each])
    assert result.diffusivity == expected.diffusivity
    assert_array_equal(result.msd, np.mean([one.curve for one in each], axis=0))
    assert_allclose(np.mean(result.diffusion.replicas), expected.diffusivity.value, rtol=1e-9)
    known = at(800.0).tracer_diffusivity
    assert result.diffusivity.low < known < result.diffusivity.high


def test_replicas_of_other_intervals_and_lengths(files, tmp_path):
    """The curve is that of the runs like the first one, up to the shortest of them; D of all."""
    short = write_run(tmp_path / "short.h5", at(800.0), 5, 150)
    often = write_run(tmp_path / "often.h5", at(800.0), 6, 600, interval_fs=50.0)
    (result,) = analyze([files[0], short, often], MsdConfig()).results
    assert len(result.lag_ps) == 105
    curves = [read_motion(path).curve[:, :105] for path in (files[0], short)]
    assert_array_equal(result.msd, np.mean(curves, axis=0))
    assert len(result.diffusion.replicas) == 3
    assert_allclose(result.diffusion.length_ps, 20.9 + 10.4 + 20.95, rtol=1e-9, atol=0)


def test_groups_by_temperature_and_material(files, tmp_path, capsys):
    other = write_run(tmp_path / "other.h5", material="other", label="mlff")
    document = document_of(capsys, *files, other)
    assert set(document) == {"groups"}
    names = [(g["source"], g["material"], g["temperature_k"]) for g in document["groups"]]
    assert names == [
        ("synthetic", "walkers", 800.0), ("synthetic", "walkers", 900.0), ("mlff", "other", 800.0),
    ]  # fmt: skip
    assert [len(g["runs"]) for g in document["groups"]] == [2, 1, 1]


def test_temperatures_are_selected(files, capsys):
    assert document_of(capsys, *files, "--temps", "850-1200")["temperature_k"] == 900.0
    assert run(["msd", *map(str, files), "--temps", "1000"]) == 2
    assert "no trajectory at 1000 K: found 800, 900 K" in capsys.readouterr().err


def test_a_run_of_unknown_temperature_has_a_diffusivity(tmp_path, capsys):
    path = write_run(tmp_path / "a.h5", temperature_k=None)
    assert document_of(capsys, path)["temperature_k"] is None


def test_files_that_are_written(files, tmp_path, capsys):
    out, table = tmp_path / "out.h5", tmp_path / "out.csv"
    assert run(["msd", str(files[0]), str(files[1]), "-o", str(out), "--csv", str(table)]) == 0
    printed = capsys.readouterr().out
    stored = read_result(out, "observables")
    document = analyze(files[:2], MsdConfig()).as_json()["groups"][0]
    assert stored.attributes["observable"] == "msd"
    assert stored.attributes["n_runs"] == 2
    assert stored.attributes["temperature_k"] == 800.0
    assert [i.name for i in stored.inputs] == ["a.h5", "b.h5"]
    for name in ("lag_ps", "msd", "msd_xyz"):
        assert_array_equal(stored.datasets[name], document[name])
        del document[name]
    assert_array_equal(stored.datasets["others/S"], document.pop("others")["S"])
    assert_array_equal(stored.datasets["tensor"], document["diffusivity_tensor"]["value"])
    assert stored.units["msd"] == "Angstrom2"
    assert stored.attributes["document"] == json.loads(json.dumps(document))
    with table.open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(stored.datasets["lag_ps"])
    assert_array_equal([float(row["msd"]) for row in rows], stored.datasets["msd"])
    assert_array_equal([float(row["msd_z"]) for row in rows], stored.datasets["msd_xyz"][2])
    assert rows[0]["material"] == "walkers"
    assert f"{document['diffusivity']['value']:.3g}" in printed
    assert "framework moved 0.00 A and was taken off" in printed
    assert not list(tmp_path.glob("*.part"))


def test_figures(files, tmp_path):
    figure = tmp_path / "msd.svg"
    analyze(files[:2], MsdConfig(), plot=figure)
    assert figure.read_bytes().startswith(b"<?xml")


def test_an_output_of_several_groups_is_refused(files, tmp_path):
    with pytest.raises(InputError, match=r"^-o takes one group: found .*800 K.*900 K"):
        analyze(files, MsdConfig(), output=tmp_path / "out.h5")
    assert not (tmp_path / "out.h5").exists()


def test_outputs_are_not_overwritten(files, tmp_path, capsys):
    out = tmp_path / "out.h5"
    out.write_text("mine")
    assert run(["msd", str(files[0]), "-o", str(out)]) == 2
    assert "output exists" in capsys.readouterr().err
    assert out.read_text() == "mine"
    assert run(["msd", str(files[0]), "-o", str(out), "--force"]) == 0
    assert read_result(out, "observables").attributes["n_runs"] == 1


@pytest.mark.parametrize("option", ["-o", "--csv"])
def test_a_trajectory_is_not_overwritten_even_under_force(option, tmp_path, capsys):
    path = write_run(tmp_path / "a.h5")
    before = path.read_bytes()
    link = tmp_path / "link.h5"
    link.symlink_to(path)
    for target in (path, link):
        assert run(["msd", str(path), option, str(target), "--force"]) == 2
        assert "output is one of the trajectories" in capsys.readouterr().err
    assert path.read_bytes() == before


@pytest.fixture
def run_folder(tmp_path, monkeypatch):
    """A run folder with the reference at two temperatures and a model at one."""
    for kelvin in (800, 900):
        for replica in (0, 1):
            place = tmp_path / f"run/reference/walkers/{kelvin}K-r{replica}.h5"
            write_run(place, at(float(kelvin)), kelvin + replica)
    write_run(tmp_path / "run/rollouts/mace-s0/walkers/800K-r0.h5", at(800.0), 7)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MDBENCH_RUN", raising=False)
    return tmp_path / "run"


def written(run_folder):
    places = (run_folder / "observables").rglob("*.h5")
    return {str(p.relative_to(run_folder)): p.read_bytes() for p in places}


def test_a_run_folder_keeps_its_results(run_folder, capsys):
    document = document_of(capsys)
    assert [g["source"] for g in document["groups"]] == ["reference", "reference", "mace-s0"]
    before = written(run_folder)
    assert set(before) == {
        "observables/reference/walkers/msd-800K.h5",
        "observables/reference/walkers/msd-900K.h5",
        "observables/mace-s0/walkers/msd-800K.h5",
    }
    assert run(["msd", "--run", "run"]) == 0
    told = capsys.readouterr()
    assert told.err.count("already done") == 3
    assert "run folder run: 5 trajectories" in told.err
    assert written(run_folder) == before
    assert run(["msd", "--stride", "2"]) == 2
    assert "made with other settings" in capsys.readouterr().err
    assert written(run_folder) == before
    assert run(["msd", "--stride", "2", "--force"]) == 0
    for path in (run_folder / "observables").rglob("*.h5"):
        assert read_result(path, "observables").config["stride"] == 2


def test_a_selection_of_temperatures_does_not_count_as_another_setting(run_folder, capsys):
    assert run(["msd", "--temps", "800"]) == 0
    assert set(written(run_folder)) == {
        "observables/reference/walkers/msd-800K.h5",
        "observables/mace-s0/walkers/msd-800K.h5",
    }
    capsys.readouterr()
    assert run(["msd"]) == 0
    assert capsys.readouterr().err.count("already done") == 2
    assert len(written(run_folder)) == 3


def test_another_trajectory_in_a_run_folder_is_not_taken_for_the_same(run_folder, capsys):
    assert run(["msd", "--temps", "900"]) == 0
    write_run(run_folder / "reference/walkers/900K-r2.h5", at(900.0), 50)
    assert run(["msd", "--temps", "900"]) == 2
    assert "from other trajectories" in capsys.readouterr().err


def test_a_run_folder_by_name_and_by_environment(run_folder, monkeypatch, tmp_path, capsys):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert run(["msd"]) == 2
    assert "no trajectories in this run folder" in capsys.readouterr().err
    monkeypatch.setenv("MDBENCH_RUN", str(run_folder))
    assert len(document_of(capsys)["groups"]) == 3
    monkeypatch.setenv("MDBENCH_RUN", "nowhere")
    assert len(document_of(capsys, "--run", run_folder)["groups"]) == 3


@pytest.mark.parametrize("smoothing", ["false", "max", "constant"])
def test_pymatgen_s_estimator(smoothing, tmp_path, capsys):
    files = [write_run(tmp_path / f"{i}.h5", at(800.0), i, 1500) for i in (0, 1)]
    options = ["--estimator", "pymatgen", "--smoothing", smoothing, "--skip-ps", "0"]
    found = document_of(capsys, *files, *options)["diffusivity"]
    each = [
        analyzer_diffusivity(read_motion(path, skip_ps=0.0).motion.displacements, 100.0, smoothing)
        for path in files
    ]
    assert_allclose(found["value"], np.mean([one.diffusivity for one in each]), rtol=1e-9, atol=0)
    assert (found["low"], found["high"], found["resolved"]) == (None, None, True)


def test_too_few_frames_for_a_smoothing(files):
    with pytest.raises(InputError, match=r"a\.h5: smoothing constant: expected at least 1003"):
        analyze(files[:1], MsdConfig(estimator="pymatgen", smoothing="constant"))


@pytest.mark.parametrize(("option", "known"), [("estimator", "gls"), ("smoothing", "constant")])
def test_unknown_estimators(option, known, files, capsys):
    assert run(["msd", str(files[0]), f"--{option}", "best"]) == 2
    told = capsys.readouterr().err
    assert f"--{option}" in told
    assert known in told
    assert told.count("\n") == 1


@pytest.mark.parametrize("skip_ps", ["2", "5"])
def test_a_run_that_ended_early_is_left_out(skip_ps, files, tmp_path, capsys):
    """Also where it ended before its equilibration did."""
    broken = write_run(tmp_path / "broken.h5", at(800.0), 1, 40, end_reason="fusion at 3.9 ps")
    assert run(["msd", str(files[0]), str(broken), "--skip-ps", skip_ps]) == 0
    told = capsys.readouterr()
    assert "left out: broken.h5: fusion at 3.9 ps" in told.err
    assert "1 run(s)" in told.out


# What is no diffusion


def test_a_frozen_crystal_has_a_bound(tmp_path, capsys):
    path = write_run(tmp_path / "frozen.h5", FROZEN)
    found = document_of(capsys, path)
    assert found["diffusivity"]["value"] is None
    assert 0 < found["diffusivity"]["high"] < 1e-5
    assert not found["haven_ratio"]["resolved"]
    assert found["warnings"] == [
        "no diffusion resolved: 0 hops seen, N_eff " + f"{found['n_eff']:.3g}: a bound"
    ]
    assert run(["msd", str(path)]) == 0
    told = capsys.readouterr()
    assert re.search(r"^D +< ", told.out, re.MULTILINE)
    assert "note: synthetic: walkers, 800 K: no diffusion resolved: 0 hops seen" in told.err


def test_a_cell_that_drifts_does_not_diffuse(tmp_path, capsys):
    run_ = run_of(FROZEN)
    drift = np.arange(300)[:, None, None] * [0.1, 0.0, 0.05]
    path = tmp_path / "drift.h5"
    write_trajectory(path, dataclasses.replace(run_, positions=run_.positions + drift))
    found = document_of(capsys, path)
    assert found["diffusivity"]["value"] is None
    assert found["diffusivity"]["high"] < 1e-5
    assert_allclose(found["framework_drift"], 209 * np.hypot(0.1, 0.05), rtol=1e-4, atol=0)


def test_flight_is_called_ballistic(tmp_path, capsys):
    found = document_of(capsys, write_run(tmp_path / "a.h5", Walk(speed=1.0)))
    assert found["regime"] == "ballistic"
    assert found["diffusivity"]["resolved"] is False
    assert found["diffusivity"]["high"] is None
    assert "ballistic, no diffusion" in found["warnings"][0]


@pytest.mark.parametrize("relaxation_ps", [0.5, 20.0])
def test_caged_ions_have_no_collective_diffusion_either(relaxation_ps, tmp_path, capsys):
    """Slow rattling looks like diffusion of their sum; its bound is not below that of one ion."""
    walk = Walk(n_ions=5, rattle=0.3, relaxation_ps=relaxation_ps)
    found = document_of(capsys, write_run(tmp_path / "a.h5", walk))
    assert found["diffusivity"]["value"] is None
    assert found["collective_diffusivity"]["value"] is None
    assert found["collective_diffusivity"]["high"] >= found["diffusivity"]["high"]


def test_a_single_species_has_no_collective_diffusion(tmp_path, capsys):
    """In the frame of all atoms their sum does not move, but for rounding."""
    run_ = run_of(HOPPERS)
    ions = run_.atomic_numbers == 3
    alone = dataclasses.replace(
        run_, positions=run_.positions[:, ions], atomic_numbers=run_.atomic_numbers[ions]
    )
    write_trajectory(tmp_path / "alone.h5", alone)
    found = document_of(capsys, tmp_path / "alone.h5")
    assert found["diffusivity"]["resolved"]
    for name in ("collective_diffusivity", "haven_ratio"):
        assert (found[name]["value"], found[name]["high"]) == (None, None)


# Bad input


def refused(capsys, *args):
    assert run(["msd", *map(str, args)]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("mdbench: error: ")
    assert told.err.count("\n") == 1
    return told.err


def test_runs_shorter_than_the_window(files, tmp_path, capsys):
    """The file that is too short is named, not the first one."""
    short = write_run(tmp_path / "short.h5", at(800.0), 9, 43)
    line = refused(capsys, files[0], short)
    assert f"{short}: too few frames for a diffusivity: expected 31 or more" in line
    assert "found 30" in line
    assert run(["msd", str(short), "--skip-ps", "0", "--quiet"]) == 0


def test_a_trajectory_of_another_cell_among_replicas(files, tmp_path, capsys):
    run_ = run_of(at(800.0), 3)
    wider = tmp_path / "wider.h5"
    write_trajectory(wider, dataclasses.replace(run_, cells=1.02 * run_.cells))
    line = refused(capsys, *files[:2], wider)
    assert f"{wider}: replicas with another cell: expected that of {files[0]}, 1728.0 A^3" in line
    write_trajectory(tmp_path / "near.h5", dataclasses.replace(run_, cells=1.005 * run_.cells))
    assert run(["msd", str(files[0]), str(tmp_path / "near.h5"), "--quiet"]) == 0


def test_a_copy_is_no_replica(files, tmp_path, capsys):
    copy = tmp_path / "copy.h5"
    copy.write_bytes(files[0].read_bytes())
    line = refused(capsys, *files[:2], copy)
    assert f"{copy}: the same frames twice" in line
    assert f"found those of {files[0]}" in line


def test_a_file_that_is_named_twice_counts_once(files, capsys):
    assert len(document_of(capsys, files[0], files[0])["runs"]) == 1


def test_replicas_of_another_mobile_ion(files, tmp_path, capsys):
    other = write_run(tmp_path / "other.h5", at(800.0), 4, mobile="S")
    line = refused(capsys, files[0], other)
    assert f"{other}: replicas with another mobile species" in line
    assert run(["msd", str(files[0]), str(other), "--mobile", "Li", "--quiet"]) == 0


def test_replicas_of_other_atoms(files, tmp_path, capsys):
    bigger = write_run(tmp_path / "bigger.h5", dataclasses.replace(HOPPERS, n_ions=30))
    assert "replicas with other atoms" in refused(capsys, files[0], bigger)


def test_a_run_without_times(tmp_path, capsys):
    path = tmp_path / "frames.h5"
    write_trajectory(path, dataclasses.replace(run_of(), times_ps=np.zeros(300)))
    assert "no time axis" in refused(capsys, path)


def test_a_molecule(tmp_path, capsys):
    path = tmp_path / "molecule.h5"
    write_trajectory(path, dataclasses.replace(run_of(), pbc=np.zeros(3, dtype=bool)))
    assert "not periodic" in refused(capsys, path)


def test_options_that_cannot_be(files, capsys):
    for options in (
        ["--stride", "0"], ["--skip-ps", "-1"], ["--skip-ps", "40"], ["--mobile", "Xx"],
        ["--temps", "hot"], ["--plot", "msd.xls"], ["--stride", "100"],
    ):  # fmt: skip
        refused(capsys, files[0], *options)


def test_long_runs_print_fewer_lags(tmp_path, monkeypatch):
    from mdbench.stages import transport

    monkeypatch.setattr(transport, "_MOST_LAGS", 40)
    path = write_run(tmp_path / "a.h5")
    (result,) = msd.run([path], MsdConfig(skip_ps=0.0)).results
    frames = np.rint(result.lag_ps / 0.1).astype(int)
    assert len(frames) <= 40
    assert_array_equal(frames[:20], np.arange(20))
    assert frames[-1] == 299
    assert_array_equal(result.msd, read_motion(path, skip_ps=0.0).curve[:, frames])
    assert_array_equal(result.others["S"], np.zeros(len(frames)))
