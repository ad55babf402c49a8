"""The functions for notebooks give the numbers of the commands."""

import dataclasses
import json

import numpy as np
import pytest
from mdbench_cli.main import run as command
from numpy.testing import assert_allclose, assert_array_equal

import mdbench
from mdbench.stats import Estimate
from mdbench.synthetic import HoppingModel, ion_conductor, swollen
from tests.stages.little import at, run_of

KELVINS = (800.0, 1000.0, 1200.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Files of walkers at three temperatures, and of a crystal, one of them swollen."""
    folder = tmp_path_factory.mktemp("runs")
    for kelvin in KELVINS:
        for replica in range(2):
            run = run_of(at(kelvin), int(kelvin) + replica, material="toy", label="walkers")
            mdbench.write_trajectory(folder / f"walk-{kelvin:g}-{replica}.h5", run)
    for replica in range(3):
        rng = np.random.default_rng(replica)
        run = ion_conductor(HoppingModel(repeats=1), 200, rng)
        mdbench.write_trajectory(folder / f"salt-{replica}.h5", run)
        mdbench.write_trajectory(folder / f"swollen-{replica}.h5", swollen(run, 1.05))
    return folder


@pytest.fixture
def printed(folder, capsys, monkeypatch):
    """What a command prints with --json, in the folder of the files."""
    monkeypatch.chdir(folder)

    def ask(*words):
        assert command([*words, "--json", "--quiet"]) == 0
        return json.loads(capsys.readouterr().out)

    return ask


def read(folder, pattern):
    return [mdbench.read_trajectory(path) for path in sorted(folder.glob(pattern))]


def same(estimate: Estimate, shown: dict) -> None:
    """Value, limits and unit are the printed ones."""
    assert estimate.as_json() == shown


@pytest.mark.parametrize("skip_ps", [None, 3.0])
def test_g_of_r(folder, printed, skip_ps):
    words = [] if skip_ps is None else ["--skip-ps", str(skip_ps)]
    shown = printed("rdf", "salt-0.h5", "salt-1.h5", "--dr", "0.1", *words)
    g = mdbench.radial_distribution(read(folder, "salt-[01].h5"), dr=0.1, skip_ps=skip_ps)
    assert shown["r"] == g.r.tolist()
    assert shown["g"] == {pair: values.tolist() for pair, values in g.g.items()}
    frame = g.to_frame()
    assert list(frame.columns) == ["r", *g.g]
    assert_array_equal(frame["Li-S"], g.g["Li-S"])


def test_g_of_r_is_of_all_frames_unless_asked_otherwise(folder):
    (run,) = read(folder, "salt-0.h5")
    everything = mdbench.radial_distribution(run)
    assert everything.n_frames == run.n_frames
    assert mdbench.radial_distribution([run, run]).n_frames == 2 * run.n_frames


@pytest.mark.parametrize("options", [{}, {"skip_ps": 2.0, "stride": 2, "threshold": 0.05}])
def test_stability(folder, printed, options):
    words = [word for key, x in options.items() for word in (f"--{key.replace('_', '-')}", str(x))]
    references = ["--against", "salt-*.h5"]
    shown = printed("rdf", "swollen-0.h5", "swollen-1.h5", *references, *words)["comparison"]
    model, reference = read(folder, "swollen-[01].h5"), read(folder, "salt-*.h5")
    found = mdbench.stability(model, reference, **options)
    assert found.rdf_mae.value == shown["rdf_mae"]
    assert [found.rdf_mae.low, found.rdf_mae.high] == shown["rdf_mae_interval"]
    assert vars(found.noise_floor) == shown["noise_floor"]
    assert found.verdict == shown["verdict"] == "unstable"
    assert found.paper_verdict == shown["paper_verdict"]
    assert found.failure_mode == shown["failure_mode"] is not None
    rows = found.to_frame().set_index("pair")
    for pair, each in shown["per_pair"].items():
        assert rows.loc[pair, "rdf_mae"] == each["rdf_mae"]
        assert rows.loc[pair, "noise_q95"] == each["noise_floor"]["q95"]
    # the reason names no file, so it is the same sentence
    assert found.reason == shown["reason"]


def test_a_single_run_is_one_replica(folder):
    (one,), others = read(folder, "salt-0.h5"), read(folder, "salt-[12].h5")
    assert mdbench.stability(one, others) is not None
    alone, listed = mdbench.diffusion(run_of()), mdbench.diffusion([run_of()])
    assert alone.diffusivity == listed.diffusivity


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, []),
        ({"skip_ps": 0.0, "stride": 2}, ["--skip-ps", "0", "--stride", "2"]),
        ({"estimator": "pymatgen"}, ["--estimator", "pymatgen"]),
    ],
)
def test_diffusion(folder, printed, options, words):
    shown = printed("msd", "walk-800-0.h5", "walk-800-1.h5", *words)
    found = mdbench.diffusion(read(folder, "walk-800-*.h5"), **options)
    same(found.diffusivity, shown["diffusivity"])
    same(found.collective_diffusivity, shown["collective_diffusivity"])
    same(found.haven_ratio, shown["haven_ratio"])
    for estimate, each in zip(found.along_cell, shown["along_cell_vectors"], strict=True):
        same(estimate, each)
    tensor = [[d.value for d in row] for row in found.tensor]
    assert tensor == shown["diffusivity_tensor"]["value"]
    assert found.n_eff == shown["n_eff"]
    assert list(found.window_ps) == shown["window_ps"]
    assert found.lag_ps.tolist() == shown["lag_ps"]
    assert found.msd.tolist() == shown["msd"]
    assert found.msd_xyz.tolist() == shown["msd_xyz"]
    assert (found.species, found.temperature_k) == (shown["species"], 800.0)


def test_a_table_of_diffusion(folder):
    found = mdbench.diffusion(read(folder, "walk-800-*.h5"))
    rows = found.to_frame().set_index("quantity")
    assert rows.loc["diffusivity", "value"] == found.diffusivity.value
    assert rows.loc["diffusivity_xz", "low"] == found.tensor[0][2].low
    assert rows.loc["diffusivity_along_b", "high"] == found.along_cell[1].high
    assert rows.loc["haven_ratio", "value"] == found.haven_ratio.value
    assert rows.loc["diffusivity", "unit"] == "cm^2/s"


def test_conductivity(folder, printed):
    shown = printed("conductivity", "walk-*.h5", "--at", "350", "--charge", "1")
    runs = read(folder, "walk-*.h5")
    found = mdbench.conductivity(runs, at=350.0, charge=1)
    for point, each in zip(found.temperatures, shown["temperatures"], strict=True):
        assert point.temperature_k == each["temperature_k"]
        same(point.diffusivity, each["diffusivity"])
        same(point.conductivity, each["conductivity"])
        same(point.collective_conductivity, each["collective_conductivity"])
        same(point.haven_ratio, each["haven_ratio"])
    line = shown["arrhenius"]
    for name in ("activation_energy", "prefactor", "conductivity", "minus_log10"):
        same(getattr(found, name), line[name])
    assert (found.at_k, found.amplification) == (line["at_k"], line["amplification"])
    assert list(found.warnings) == shown["warnings"]
    frame = found.to_frame()
    assert frame["temperature_k"].tolist() == list(KELVINS)
    assert_array_equal(
        frame["conductivity"], [t["conductivity"]["value"] for t in shown["temperatures"]]
    )


def test_temperatures_may_be_given(folder):
    runs = {k: read(folder, f"walk-{k:g}-*.h5") for k in KELVINS}
    stated = mdbench.conductivity([run for each in runs.values() for run in each])
    assert mdbench.conductivity(runs).conductivity == stated.conductivity
    unknown = {k: [silent(run) for run in each] for k, each in reversed(runs.items())}
    assert mdbench.conductivity(unknown).conductivity == stated.conductivity


def silent(run):
    """A run that does not say its temperature."""
    return dataclasses.replace(
        run, provenance=dataclasses.replace(run.provenance, temperature_k=None)
    )


def test_trajectories_of_memory_alone():
    """Nothing has to be a file first: images of ASE do."""
    images = run_of(at(1000.0), n_frames=250).to_ase()
    run = mdbench.Trajectory.from_ase(images, frame_interval_fs=100.0, unwrap=False)
    found = mdbench.diffusion(run, skip_ps=0.0)
    known = mdbench.diffusion(run_of(at(1000.0), n_frames=250), skip_ps=0.0)
    assert_allclose(found.diffusivity.value, known.diffusivity.value, rtol=1e-9, atol=0)
    assert found.temperature_k is None


def test_few_temperatures_have_no_line(folder):
    found = mdbench.conductivity({800: read(folder, "walk-800-*.h5")})
    assert found.conductivity is None
    assert found.activation_energy is None
    assert len(found.to_frame()) == 1


@pytest.mark.parametrize("options", [{}, {"skip_ps": 1.0, "site_radius": 0.8, "spacing": 0.3}])
def test_diffusion_paths(folder, printed, options):
    words = [word for key, x in options.items() for word in (f"--{key.replace('_', '-')}", str(x))]
    shown = printed("path", "salt-0.h5", "salt-1.h5", *words)
    found = mdbench.diffusion_paths(read(folder, "salt-[01].h5"), **options)
    assert found.species == shown["species"]
    assert found.sites.scaled.tolist() == [site["scaled"] for site in shown["sites"]]
    assert found.sites.occupancy.tolist() == [site["occupancy"] for site in shown["sites"]]
    assert [rate.n_jumps for rate in found.rates] == [r["n_jumps"] for r in shown["jump_rates"]]
    for rate, each in zip(found.rates, shown["jump_rates"], strict=True):
        same(rate.rate, each["rate"])
    assert sum(jumps.n for jumps in found.jumps) == shown["n_jumps"] > 0
    same(found.jumps_per_ion, shown["jumps_per_ion"])
    same(found.cell_drift, shown["cell_drift"])
    assert found.at_sites == shown["at_sites"]
    assert list(found.warnings) == shown["warnings"]
    assert len(found.to_frame()) == len(shown["jump_rates"])


def test_paths_against_a_reference(folder, printed):
    shown = printed("path", "salt-0.h5", "--against", "salt-1.h5")
    found = mdbench.diffusion_paths(read(folder, "salt-0.h5"), read(folder, "salt-1.h5"))
    expected = shown["comparison"]
    assert found.comparison is not None
    for key in (expected.keys() | found.comparison.keys()) - {"reference"}:
        assert found.comparison[key] == expected[key], key
