"""`mdbench rdf` from files to JSON, table, CSV, figure and HDF5."""

import csv
import dataclasses
import json

import numpy as np
import pytest
from mdbench_cli.main import run

from mdbench.analysis.rdf import radial_distribution
from mdbench.config import RdfConfig
from mdbench.errors import InputError
from mdbench.stages import rdf
from mdbench.stages.runs import default_skip_ps
from mdbench.store import read_result, read_trajectory, write_trajectory
from mdbench.synthetic import HoppingModel, ion_conductor

SMALL = HoppingModel(repeats=1, n_vacancies=1)


def made(seed, n_frames=60, **known):
    rng = np.random.default_rng(seed)
    trajectory = ion_conductor(SMALL, n_frames, rng, frame_interval_fs=100.0)
    provenance = dataclasses.replace(trajectory.provenance, **known)
    return dataclasses.replace(trajectory, provenance=provenance)


@pytest.fixture
def replicas(tmp_path):
    """Two replicas at 800 K and one run at 900 K."""
    paths = [tmp_path / name for name in ("a.h5", "b.h5", "hot.h5")]
    for seed, path in enumerate(paths):
        write_trajectory(path, made(seed, temperature_k=900.0 if path.stem == "hot" else 800.0))
    return paths


def test_the_pooled_result_is_the_mean_over_replicas(replicas):
    report = rdf.run(replicas[:2], RdfConfig(skip_ps=2.0))
    (result,) = report.results
    stored = [read_trajectory(path)[20:] for path in replicas[:2]]
    each = [radial_distribution(run, r_max=6.0, dr=0.05) for run in stored]
    for pair, g in result.pooled.g.items():
        np.testing.assert_array_equal(g, np.mean([e.g[pair] for e in each], axis=0))
    assert result.pooled.n_frames == 80


def test_groups_by_temperature(replicas, capsys):
    assert run(["rdf", *map(str, replicas), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert set(document) == {"groups"}
    assert [g["temperature_k"] for g in document["groups"]] == [800.0, 900.0]
    assert [len(g["runs"]) for g in document["groups"]] == [2, 1]


def test_one_group_stands_at_top_level_too(replicas, capsys):
    assert run(["rdf", str(replicas[0]), "--json", "--r-max", "5", "--dr", "0.1"]) == 0
    document = json.loads(capsys.readouterr().out)
    (group,) = document["groups"]
    assert {k: v for k, v in document.items() if k != "groups"} == group
    assert set(group["g"]) == {"total", "Li-Li", "Li-S", "S-S"}
    np.testing.assert_allclose(group["r"], 0.05 + 0.1 * np.arange(50), rtol=1e-12, atol=0)
    assert group["settings"]["r_max"] == 5.0
    np.testing.assert_allclose(group["settings"]["skip_ps"], [1.8], rtol=1e-9, atol=0)


def test_files_that_are_written(replicas, tmp_path, capsys):
    out, table, figure = tmp_path / "out.h5", tmp_path / "out.csv", tmp_path / "out.svg"
    options = ["-o", str(out), "--csv", str(table), "--plot", str(figure)]
    assert run(["rdf", str(replicas[0]), str(replicas[1]), *options]) == 0
    printed = capsys.readouterr().out
    stored = read_result(out, "observables")
    assert stored.attributes["observable"] == "rdf"
    assert stored.attributes["n_runs"] == 2
    assert [i.name for i in stored.inputs] == ["a.h5", "b.h5"]
    assert stored.datasets["runs/Li-S"].shape == (2, 120)
    np.testing.assert_array_equal(
        stored.datasets["runs/Li-S"].mean(axis=0), stored.datasets["g/Li-S"]
    )
    with table.open() as file:
        rows = list(csv.DictReader(file))
    values = np.array([float(row["Li-S"]) for row in rows])
    np.testing.assert_array_equal(values, stored.datasets["g/Li-S"])
    assert b"</svg>" in figure.read_bytes()
    peak = stored.attributes["peaks"]["Li-S"]
    assert f"{peak['r']:.3f}" in printed
    assert not list(tmp_path.glob("*.part"))


def test_a_run_folder_keeps_its_results(tmp_path, capsys, monkeypatch):
    for replica in (0, 1):
        write_trajectory(tmp_path / f"run/reference/li2s/800K-r{replica}.h5", made(replica))
    monkeypatch.chdir(tmp_path)
    assert run(["rdf"]) == 0
    assert "run folder run: 2 trajectories" in capsys.readouterr().err
    (written,) = (tmp_path / "run/observables").rglob("*.h5")
    assert written.parts[-4:-1] == ("observables", "reference", "Li-S hopping model")
    before = written.read_bytes()
    assert run(["rdf", "--run", "run"]) == 0  # the same again is no error, and nothing is redone
    assert written.read_bytes() == before
    assert run(["rdf", "--dr", "0.1"]) == 2
    assert "other settings" in capsys.readouterr().err
    assert run(["rdf", "--dr", "0.1", "--force"]) == 0
    assert read_result(written, "observables").config["dr"] == 0.1


def test_an_empty_run_folder_says_what_to_type(tmp_path, capsys):
    assert run(["rdf", "--run", str(tmp_path)]) == 2
    assert "mdbench rdf traj.h5" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("length", "skip"), [(49.9, 14.97), (50.0, 15.0), (500.0, 15.0), (1.0, 0.3)]
)
def test_equilibration(length, skip):
    np.testing.assert_allclose(default_skip_ps(length), skip, rtol=1e-9, atol=0)


def test_replicas_with_other_atoms_are_refused(replicas, tmp_path):
    other = tmp_path / "other.h5"
    rng = np.random.default_rng(0)
    bigger = ion_conductor(HoppingModel(repeats=1, n_vacancies=2), 20, rng)
    write_trajectory(other, bigger)
    with pytest.raises(InputError, match="replicas with other atoms"):
        rdf.run([replicas[0], other], RdfConfig())


def test_materials_named_like_formatting_are_drawn_as_they_are(tmp_path):
    path = tmp_path / "x.h5"
    write_trajectory(path, made(0, material=r"$\alpha<b>_x^$", label="50 %"))
    rdf.run([path], RdfConfig(), plot=tmp_path / "x.pdf")
    assert (tmp_path / "x.pdf").read_bytes().startswith(b"%PDF")


def test_threads_and_blocks_do_not_change_the_result(replicas):
    one = rdf.run(replicas[:1], RdfConfig(threads=1)).results[0].pooled
    two = rdf.run(replicas[:1], RdfConfig(threads=2)).results[0].pooled
    for pair in one.g:
        np.testing.assert_array_equal(one.g[pair], two.g[pair])
