"""`mdbench path` from files to JSON, table, CSV, figure, density and HDF5."""

import csv
import dataclasses
import json

import numpy as np
import pytest
from ase.data import atomic_masses
from ase.io.cube import read_cube_data
from mdbench_cli import main
from numpy.testing import assert_allclose, assert_array_equal
from pymatgen.io.ase import AseAtomsAdaptor
from pymatgen.io.vasp import Chgcar

from mdbench.analysis.failures import find_failures
from mdbench.analysis.path_controls import ChannelWalk, channel_walkers
from mdbench.analysis.windows import WindowedRun
from mdbench.config import PathConfig
from mdbench.errors import InputError
from mdbench.reporting.path_figures import path_figure, picture_of
from mdbench.stages.path import run as analyze
from mdbench.store import read_result, read_trajectory, write_trajectory
from mdbench.trajectory import Trajectory
from mdbench.units import BOHR_IN_ANGSTROM
from tests.reporting.test_transport_figures import drawn

QUANTITY = {"value", "low", "high", "unit", "resolved"}
#: Ions in nine channels of three sites along c; each hops every 2 ps.
WALK = ChannelWalk(n_ions=27, repeats=3, hops_per_ps=0.5)
ACROSS = dataclasses.replace(WALK, across=1.0)
FROZEN = dataclasses.replace(WALK, hops_per_ps=0.0)
N_SITES = 27


def write_run(path, walk=WALK, seed=0, n_frames=500, *, drift=0.0, interval_fs=50.0, **known):
    """Writes a run of ions in channels in single precision, as the commands do.

    The center of all atoms stands still, as in dynamics, or moves along a by `drift`, Å/ps.
    """
    rng = np.random.default_rng(seed)
    made = channel_walkers(walk, n_frames, rng, frame_interval_fs=interval_fs)
    masses = atomic_masses[made.atomic_numbers]
    center = np.average(made.positions - made.positions[0], axis=1, weights=masses)
    center[:, 0] -= drift * made.times_ps
    made = dataclasses.replace(
        made,
        positions=(made.positions - center[:, None]).astype(np.float32),
        provenance=dataclasses.replace(made.provenance, **known),
    )
    write_trajectory(path, made)
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Two replicas of the reference, and runs of models."""
    folder = tmp_path_factory.mktemp("runs")
    return {
        "a": write_run(folder / "a.h5", WALK, 0),
        "b": write_run(folder / "b.h5", WALK, 1),
        "same": write_run(folder / "same.h5", WALK, 2, label="same"),
        "across": write_run(folder / "across.h5", ACROSS, 3, label="across"),
        "frozen": write_run(folder / "frozen.h5", FROZEN, 4, label="frozen"),
        "drift": write_run(folder / "drift.h5", WALK, 5, drift=0.1, label="drift"),
    }


def run(args):
    """Runs the command line; the exit status."""
    return main.run([str(arg) for arg in args])


def document_of(capsys, *args):
    """What --json prints, which is one document and nothing else."""
    assert run(["path", *args, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.fixture(scope="module")
def reports(files):
    """Each model held against the two replicas of the reference; with its result file."""
    references, config = [files["a"], files["b"]], PathConfig()
    return {
        name: analyze([files[name]], config, references=references, output=_out(files[name]))
        for name in ("same", "across", "frozen", "drift")
    }


def _out(path):
    return path.with_name(f"path-{path.name}")


def comparison_of(reports, model):
    document = json.loads(json.dumps(reports[model].as_json()))
    return document, document["comparison"]


def test_json_has_what_the_rest_relies_on(files, capsys):
    document = document_of(capsys, files["a"], files["b"])
    (group,) = document["groups"]
    assert {k: v for k, v in document.items() if k != "groups"} == group
    assert {
        "source", "material", "temperature_k", "sites", "jump_rates", "percolation_axes",
        "cell_drift", "failure_mode", "warnings", "settings",
    } <= set(group)  # fmt: skip
    assert (group["source"], group["material"]) == ("synthetic", "walkers")
    assert len(group["sites"]) == N_SITES
    assert group["percolation_axes"] == ["c"]
    assert group["percolation"]["dimension"] == 1
    assert set(group["cell_drift"]) == QUANTITY
    assert (group["cell_drift"]["unit"], group["failure_mode"]) == ("A", None)
    assert group["cell_drift"]["value"] < 1e-3
    assert group["at_sites"] > 0.95
    rate = group["jumps_per_ion"]
    assert rate["low"] < rate["value"] < rate["high"]
    # of two hops within the residence none is seen
    assert_allclose(rate["value"], 1e3 * WALK.hops_per_ps, rtol=0.15, atol=0)
    assert rate["unit"] == "1/ns"
    for pair in group["jump_rates"]:
        assert set(pair["rate"]) == QUANTITY
        ends = [group["sites"][pair[name]]["scaled"] for name in ("origin", "target")]
        step = np.array(ends[1]) + pair["shift"] - ends[0]
        assert_allclose(step[:2], 0.0, rtol=0, atol=0.05)
    assert sum(pair["n_jumps"] for pair in group["jump_rates"]) == group["n_jumps"]
    assert_allclose(sum(s["occupancy"] for s in group["sites"]), WALK.n_ions, rtol=0.05, atol=0)
    assert group["settings"]["mobile"] == "Li"
    assert_allclose(group["settings"]["skip_ps"], [7.5, 7.5], rtol=1e-9, atol=0)
    assert [r["n_frames"] for r in group["runs"]] == [350, 350]
    assert "comparison" not in group


def test_sites_are_those_of_the_walk(files):
    (result,) = analyze([files["a"], files["b"]], PathConfig()).results
    found = np.sort(np.round(result.side.sites.scaled * WALK.repeats) % WALK.repeats, axis=0)
    expected = np.sort(np.indices((WALK.repeats,) * 3).reshape(3, -1).T, axis=0)
    assert_array_equal(found, expected)
    assert result.side.sites.n_sites == N_SITES


def test_replicas_are_pooled(files):
    both = analyze([files["a"], files["b"]], PathConfig()).results[0].side
    each = [analyze([files[name]], PathConfig()).results[0].side for name in "ab"]
    assert both.density.n_samples == sum(side.density.n_samples for side in each)
    assert both.n_jumps == sum(side.n_jumps for side in each)
    assert_allclose(both.length_ps, sum(side.length_ps for side in each), rtol=1e-9, atol=0)


def test_runs_that_start_elsewhere_are_put_onto_the_first(files, tmp_path):
    """A whole cell that was shifted, with its atoms wrapped into the cell."""
    made = read_trajectory(files["b"])
    moved = np.asarray(made.positions, dtype=float) + np.array([1.3, -2.1, 0.7])
    cell = np.diag(made.cells[0])
    moved -= np.floor(moved[0] / cell) * cell
    path = tmp_path / "moved.h5"
    write_trajectory(path, dataclasses.replace(made, positions=moved.astype(np.float32)))
    known = analyze([files["a"], files["b"]], PathConfig()).results[0].side
    (found,) = analyze([files["a"], path], PathConfig()).results
    assert found.side.n_jumps == known.n_jumps
    assert_allclose(found.side.sites.scaled, known.sites.scaled, rtol=0, atol=1e-3)


def test_a_perfect_model(reports):
    document, comparison = comparison_of(reports, "same")
    names = ("density_overlap", "efficiency", "fake_rate", "duplicate_rate")
    for found in (comparison, comparison["strict"], comparison["paths"]["all"]):
        for name in names[1:] if found is not comparison else names:
            assert set(found[name]) == QUANTITY
            assert found[name]["unit"] == ""
            assert found[name]["low"] <= found[name]["value"] <= found[name]["high"]
    for name in (*names, "rate_distance", "rate_ratio"):
        floor = comparison["floors"][name]
        assert floor["q05"] <= floor["expected"] <= floor["q95"]
        assert floor["p"] > 0.01
    assert comparison["failure_mode"] is None
    assert "cannot be told" in comparison["meaning"]
    assert comparison["strict"]["efficiency"]["value"] <= comparison["efficiency"]["value"]
    assert comparison["reference"]["source"] == "synthetic"
    assert [s["in_reference"] for s in document["sites"]][:N_SITES] == [True] * N_SITES
    assert document["source"] == "same"


def test_a_model_with_other_ways(reports):
    """Its ions hop along a, never along c."""
    document, comparison = comparison_of(reports, "across")
    assert comparison["efficiency"]["value"] < 0.05
    assert comparison["fake_rate"]["value"] > 0.95
    assert comparison["floors"]["efficiency"]["q05"] > 0.05
    assert comparison["floors"]["density_overlap"]["p"] > 0.01
    assert document["percolation_axes"] == ["a"]
    meaning = comparison["meaning"]
    assert "misses 100% of the reference's jumps" in meaning
    assert "makes 100% of its jumps where the reference never does" in meaning


def test_a_frozen_model(reports):
    document, comparison = comparison_of(reports, "frozen")
    assert comparison["failure_mode"] == document["failure_mode"] == "frozen"
    assert document["jumps_per_ion"]["value"] is None
    assert document["jumps_per_ion"]["high"] > 0.0
    assert comparison["efficiency"]["value"] == 0.0
    assert comparison["fake_rate"]["value"] is None
    assert document["percolation_axes"] == []


def test_a_cell_that_moves_as_a_whole(reports, files, capsys):
    """Its ions are in the frame of the framework: the same jumps, and a failure of its own."""
    document, comparison = comparison_of(reports, "drift")
    assert_allclose(document["cell_drift"]["value"], 0.1 * 349 * 0.05, rtol=0.05, atol=0)
    assert comparison["failure_mode"] == document["failure_mode"] == "drift"
    assert comparison["floors"]["efficiency"]["p"] > 0.01
    assert "moves as a whole" in comparison["meaning"]
    assert document_of(capsys, files["drift"])["failure_mode"] == "drift"


@pytest.mark.parametrize(("drift", "failed"), [(0.02, False), (0.1, True)])
def test_drift_is_that_of_the_verdict(drift, failed, tmp_path):
    path = write_run(tmp_path / "run.h5", drift=drift, n_frames=300)
    (result,) = analyze([path], PathConfig(skip_ps=0.0)).results
    made = read_trajectory(path)
    windows = WindowedRun(made.atomic_numbers, 4.0, 0.1)
    windows.add(made)
    modes = [failure.mode for failure in find_failures([windows.result()])]
    assert ("drift" in modes) == failed
    assert result.failure_mode == ("drift" if failed else None)
    assert_allclose(result.side.drift, windows.result().drift.max(), rtol=1e-4, atol=0)


def test_the_table_and_the_sentence(reports):
    text = reports["across"].as_text()
    assert text.startswith("across: walkers, 800 K, 27 Li, 1 run(s), 17.5 ps after 7.5 ps")
    assert "jumps lead through the crystal along a (weakest link" in text
    assert "perfect model" in text
    assert text.splitlines()[-1].startswith("meaning: the model misses")
    assert any("synthetic data" in note for note in reports["across"].notes)


def test_files_that_are_written(reports, files, tmp_path):
    table = tmp_path / "out.csv"
    assert run(["path", files["same"], "--csv", table]) == 0
    stored = read_result(_out(files["same"]), "observables")
    (document,) = reports["same"].as_json()["groups"]
    (result,) = reports["same"].results
    assert stored.attributes["observable"] == "path"
    assert [i.name for i in stored.inputs] == ["same.h5", "a.h5", "b.h5"]
    sites, rates = document.pop("sites"), document.pop("jump_rates")
    assert stored.attributes["document"] == json.loads(json.dumps(document))
    assert_array_equal(stored.datasets["sites/scaled"], [site["scaled"] for site in sites])
    assert_array_equal(stored.datasets["rates/n_jumps"], [rate["n_jumps"] for rate in rates])
    assert_array_equal(stored.datasets["density/counts"], result.side.density.counts)
    assert stored.units["density/cell"] == stored.units["paths/positions"] == "Angstrom"
    assert stored.axes["jumps/shift"] == ("jump", "abc")
    assert stored.axes["rates/rate"] == ("pair", "value low high")
    times = stored.datasets["jumps/time_ps"]
    assert len(times) == document["n_jumps"]
    assert times.min() >= 7.5
    assert times.max() <= 24.95
    assert stored.datasets["paths/positions"].shape == (
        27,
        3,
        len(stored.datasets["paths/time_ps"]),
    )
    assert stored.datasets["reference/density/counts"].sum() == 2 * 27 * 350
    with table.open() as file:
        rows = list(csv.DictReader(file))
    alone = analyze([files["same"]], PathConfig()).table()
    assert [int(row["n_jumps"]) for row in rows] == [r[8] for r in alone.rows]
    assert list(rows[0]) == list(alone.columns)
    assert rows[0]["source"] == "same"
    assert not list(tmp_path.glob("*.part"))


def test_paths_that_are_shown_are_those_of_the_ions(files):
    """Means over equal stretches, in the frame of the framework, from the first cell on."""
    (result,) = analyze([files["a"]], PathConfig(skip_ps=0.0)).results
    side = result.side
    made = read_trajectory(files["a"])
    ions = np.array([symbol == "Li" for symbol in made.symbols])
    moved = np.asarray(made.positions, float) - made.positions[0]
    moved -= moved[:, ~ions].mean(axis=1)[:, None]
    paths = (made.positions[0] + moved)[:, ions]
    inside = paths - np.floor(paths[:1] / np.diag(made.cells[0])) * np.diag(made.cells[0])
    expected = inside.reshape(250, 2, 27, 3).mean(axis=1).transpose(1, 2, 0)
    assert_allclose(side.shown, expected, rtol=0, atol=1e-4)
    assert_allclose(side.shown_ps[[0, -1]], [0.025, 24.925], rtol=1e-6, atol=0)


def test_the_stored_result_is_drawn(reports, files):
    assert reports["across"].results
    stored = read_result(_out(files["across"]), "observables")
    picture = picture_of(stored.attributes, stored.datasets)
    assert picture.title == "across: walkers, 800 K"
    assert picture.reference is not None
    assert picture.side.alone.all()
    drawn(path_figure(picture))


@pytest.mark.parametrize("name", ["li.cube", "li.CHGCAR"])
def test_density_for_others(name, files, tmp_path):
    """Ions stand in the middles between the atoms of the framework, to a fifth of a voxel."""
    target = tmp_path / name
    analyze([files["a"], files["b"]], PathConfig(), density=target)
    if name.endswith("cube"):
        data, atoms = read_cube_data(str(target))
        per_volume = data / BOHR_IN_ANGSTROM**3
    else:
        found = Chgcar.from_file(target)
        atoms = AseAtomsAdaptor.get_atoms(found.structure)
        per_volume = found.data["total"] / found.structure.volume
    assert_allclose(atoms.cell.array, 9.0 * np.eye(3), rtol=0, atol=1e-5)
    voxel = 9.0**3 / per_volume.size
    assert_allclose(per_volume.sum() * voxel, WALK.n_ions, rtol=1e-4, atol=0)
    for axis, n in enumerate(per_volume.shape):
        profile = per_volume.sum(axis=tuple(k for k in range(3) if k != axis))
        ions = np.sum(profile * np.exp(2j * np.pi * 3 * np.arange(n) / n))
        framework = np.exp(2j * np.pi * atoms.positions[:, axis] / 3.0).sum()
        apart = np.angle(ions / framework) / (2 * np.pi) * 3.0
        assert_allclose(abs(apart), 1.5, rtol=0, atol=0.05)


def test_outputs_that_are_refused(files, tmp_path, capsys):
    exists = tmp_path / "li.cube"
    exists.write_text("mine")
    assert run(["path", files["a"], "--density", str(exists)]) == 2
    assert "output exists" in capsys.readouterr().err
    assert run(["path", files["a"], "--density", str(tmp_path / "li.xyz")]) == 2
    assert "--density: expected NAME.cube" in capsys.readouterr().err
    two = [files["a"], files["same"], "--density", str(tmp_path / "new.cube")]
    assert run(["path", *two]) == 2
    assert "--density takes one group" in capsys.readouterr().err
    assert exists.read_text() == "mine"
    with pytest.raises(InputError, match=r"^-o takes one group"):
        analyze([files["a"], files["same"]], PathConfig(), output=tmp_path / "out.h5")


def test_what_cannot_be_compared(files, tmp_path, capsys):
    other = write_run(tmp_path / "other.h5", dataclasses.replace(WALK, repeats=4))
    assert run(["path", str(other), "--against", files["a"]]) == 2
    shown = capsys.readouterr().err
    assert shown.count("\n") == 1
    assert "framework" in shown
    assert run(["path", files["a"], files["a"], str(other), "--against", files["b"]]) == 2
    assert "replicas with other atoms" in capsys.readouterr().err


def test_the_same_run_twice(files, tmp_path, capsys):
    copy = tmp_path / "copy.h5"
    copy.write_bytes(files["a"].read_bytes())
    assert run(["path", files["a"], str(copy)]) == 2
    assert "the same frames twice" in capsys.readouterr().err


def test_one_species_has_no_framework(tmp_path, capsys):
    rng = np.random.default_rng(0)
    positions = np.cumsum(rng.normal(size=(50, 4, 3)) * 0.1, axis=0)
    alone = Trajectory(positions, 9.0 * np.eye(3), np.full(4, 3), np.arange(50) * 0.1)
    write_trajectory(tmp_path / "li.h5", alone)
    assert run(["path", str(tmp_path / "li.h5")]) == 2
    assert "no framework: expected other atoms than the mobile ones, found Li" in (
        capsys.readouterr().err
    )


def test_coarse_frames_are_told(tmp_path):
    path = write_run(tmp_path / "coarse.h5", n_frames=200, interval_fs=200.0)
    report = analyze([path], PathConfig())
    assert any("frames are 200 fs apart" in note for note in report.notes)


def test_ions_that_flow_are_told(tmp_path):
    fast = dataclasses.replace(WALK, rattle=1.2)
    path = write_run(tmp_path / "melt.h5", fast)
    report = analyze([path], PathConfig(site_radius=0.5))
    assert any("no site" in n or "flow rather than jump" in n for n in report.notes)


def test_a_grid_that_is_none(files):
    with pytest.raises(InputError, match=r"^--spacing: expected at most 20,000,000 voxels"):
        analyze([files["a"]], PathConfig(spacing=0.01))


@pytest.fixture
def run_folder(tmp_path, monkeypatch):
    """A run folder with the reference at two temperatures and a model at one."""
    for kelvin in (800.0, 900.0):
        place = tmp_path / f"run/reference/walkers/{kelvin:g}K-r0.h5"
        write_run(place, WALK, int(kelvin), 300, temperature_k=kelvin)
    write_run(tmp_path / "run/rollouts/mace-s0/walkers/800K-r0.h5", WALK, 7, 300)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MDBENCH_RUN", raising=False)
    return tmp_path / "run"


def test_a_run_folder_keeps_its_results(run_folder, capsys):
    document = document_of(capsys)
    assert [g["source"] for g in document["groups"]] == ["reference", "reference", "mace-s0"]
    places = sorted(p.relative_to(run_folder).as_posix() for p in run_folder.rglob("path-*.h5"))
    assert places == [
        "observables/mace-s0/walkers/path-800K.h5",
        "observables/reference/walkers/path-800K.h5",
        "observables/reference/walkers/path-900K.h5",
    ]
    before = (run_folder / places[0]).read_bytes()
    assert run(["path"]) == 0
    assert "already done" in capsys.readouterr().err
    assert (run_folder / places[0]).read_bytes() == before
    assert run(["path", "--residence-fs", "200"]) == 2
    assert "made with other settings" in capsys.readouterr().err
    against = ["--against", "run/reference/walkers/*.h5"]
    assert run(["path", *against]) == 2
    assert run(["path", *against, "--force"]) == 0
    stored = read_result(run_folder / places[0], "observables")
    assert "comparison" in stored.attributes["document"]


def test_runs_that_ended_early(run_folder, capsys):
    """Too short ones are left out; a group of such has no result, and loses an outdated one."""
    model = run_folder / "rollouts/mace-s0/walkers"
    write_run(model / "800K-r1.h5", WALK, 9, 60, end_reason="exploded: temperature of 1e6 K")
    assert run(["path", "--source", "mace-s0"]) == 0
    assert "left out: 800K-r1.h5: exploded" in capsys.readouterr().err
    target = run_folder / "observables/mace-s0/walkers/path-800K.h5"
    assert target.exists()
    write_run(model / "800K-r0.h5", WALK, 9, 40, end_reason="exploded: force of 1e6 eV/A")
    assert run(["path", "--source", "mace-s0"]) == 2
    assert "which end early now" in capsys.readouterr().err
    assert run(["path", "--source", "mace-s0", "--force"]) == 0
    assert "no run reaches its end" in capsys.readouterr().out
    assert not target.exists()
