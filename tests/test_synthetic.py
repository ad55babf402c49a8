import gzip
import hashlib
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from mdbench.errors import InputError
from mdbench.synthetic import SHELLS, HoppingModel, ideal_gas, ion_conductor, lattice
from mdbench.units import BOLTZMANN_EV_PER_K

DATA = Path(__file__).parents[1] / "data"


def distances(positions, side):
    """All pair distances of one frame in a cubic cell, shortest images only."""
    delta = positions[:, None] - positions
    delta -= side * np.rint(delta / side)
    return np.linalg.norm(delta, axis=-1)[np.triu_indices(len(positions), 1)]


def conductor(model=None, n_frames=50, seed=1, **options):
    return ion_conductor(model or HoppingModel(), n_frames, np.random.default_rng(seed), **options)


def mean_square_slope(x, interval_ps, early, late):
    """D in cm²/s from the growth of the mean square displacement between two lags; x (F, N, 3)."""
    early_msd, late_msd = (((x[lag:] - x[:-lag]) ** 2).sum(axis=-1).mean() for lag in (early, late))
    return (late_msd - early_msd) / (6 * (late - early) * interval_ps) * 1e-4


def test_ideal_gas_has_no_structure():
    gas = ideal_gas(40, 300, 10 * np.eye(3), np.random.default_rng(0))
    edges = np.linspace(0, 4, 5)
    counts = sum(np.histogram(distances(p, 10.0), edges)[0] for p in gas.positions)
    shells = 4 * np.pi / 3 * np.diff(edges**3)
    assert_allclose(counts, 300 * 40 * 39 / 2 * shells / 1000, rtol=0.05, atol=0)


def test_ideal_gas_fills_a_skew_cell_and_has_no_time_axis():
    cell = np.array([[8, 0, 0], [3, 7, 0], [-2, 1, 9]])
    gas = ideal_gas(30, 20, cell, np.random.default_rng(0))
    scaled = gas.positions @ np.linalg.inv(cell)
    assert scaled.min() > -1e-12
    assert scaled.max() < 1 + 1e-12
    assert_allclose(scaled.mean(axis=(0, 1)), 0.5, rtol=0.1, atol=0)
    assert gas.frame_interval_fs is None


@pytest.mark.parametrize("kind", SHELLS)
def test_shells_of_lattices(kind):
    crystal = lattice(kind, 3.1, 5)
    delta = crystal.positions[0] - crystal.positions[0, 0]
    delta -= 15.5 * np.rint(delta / 15.5)
    found = Counter(np.round(np.linalg.norm(delta, axis=1) / 3.1, 9))
    expected = [(0.0, 1), *((round(r, 9), n) for r, n in SHELLS[kind])]
    assert sorted(found.items())[: len(expected)] == expected


def test_lattice_amplitude():
    crystal = lattice("fcc", 4.0, 3, n_frames=30, amplitude=0.1, rng=np.random.default_rng(0))
    assert_allclose((crystal.positions - lattice("fcc", 4.0, 3).positions).std(), 0.1, rtol=0.03)
    with pytest.raises(InputError, match="rng"):
        lattice("fcc", 4.0, 3, amplitude=0.1)
    with pytest.raises(InputError, match="sc or bcc or fcc, found 'hcp'"):
        lattice("hcp", 4.0, 3)


def test_tracer_and_collective_diffusivity_are_those_stated():
    model = HoppingModel(repeats=3, n_vacancies=60, attempts_per_ps=10.0)
    tracer, collective = [], []
    for seed in range(12):
        ions = conductor(model, 300, seed, frame_interval_fs=200).select("Li").positions
        tracer.append(mean_square_slope(ions, 0.2, 10, 40))
        total = ions.sum(axis=1, keepdims=True) / ions.shape[1] ** 0.5
        collective.append(mean_square_slope(total, 0.2, 5, 10))
    assert_allclose(np.mean(tracer), model.tracer_diffusivity(800), rtol=0.05, atol=0)
    assert_allclose(np.mean(collective), model.collective_diffusivity(800), rtol=0.2, atol=0)
    assert np.mean(collective) < 0.5 * np.mean(tracer)


def test_hop_rate_is_activated():
    model = HoppingModel(activation_energy=0.3)
    ratio = model.tracer_diffusivity(1000) / model.tracer_diffusivity(800)
    expected = np.exp(-0.3 / BOLTZMANN_EV_PER_K * (1 / 1000 - 1 / 800))
    assert_allclose(ratio, expected, rtol=1e-12)


def test_one_ion_per_site_and_the_framework_stays():
    model = HoppingModel(springs={"Li": 1e8, "S": 1e8}, transit_fs=1.0)
    run = conductor(model, 400)
    sites = np.rint(run.select("Li").wrapped_positions() / model.hop_distance - 0.5) % 4
    occupied = [len({tuple(s) for s in frame}) for frame in sites]
    assert set(occupied) == {60}
    assert (np.diff(run.select("Li").positions, axis=0).max(axis=(0, 2)) > 2).sum() > 10
    sulfur = run.select("S").positions
    assert_allclose(sulfur, np.broadcast_to(sulfur[0], sulfur.shape), rtol=0, atol=1e-3)


def test_ions_pass_each_other_through_voids():
    # Rarely enough that no ion begins a hop before it has ended another.
    model = HoppingModel(springs={"Li": 1e8, "S": 1e8}, n_vacancies=0, attempts_per_ps=0.2)
    nearest = {"Li": 9.0, "S": 9.0}
    for positions in conductor(model, 2000, frame_interval_fs=20).positions:
        ions, sulfur = positions[32:], positions[:32]
        delta = ions[:, None] - sulfur
        delta -= 11.4 * np.rint(delta / 11.4)
        nearest["S"] = min(nearest["S"], np.linalg.norm(delta, axis=-1).min())
        nearest["Li"] = min(nearest["Li"], distances(ions, 11.4).min())
    assert nearest["S"] > 2.15  # 2.47 at a site, 2.01 in the middle of a straight path
    assert nearest["Li"] > 2.3  # 0 where two ions trade places on a straight path


@pytest.mark.parametrize("interval", (1.0, 37.0))
def test_vibration_is_thermal_at_any_interval(interval):
    model = HoppingModel(attempts_per_ps=0.0, repeats=3)
    run = conductor(model, 400, temperature_k=600, frame_interval_fs=interval)
    temperatures = run.kinetic_temperatures()
    assert_allclose(temperatures.mean(), 600, rtol=0.02, atol=0)
    assert_allclose(
        run.energies.mean(), 1.5 * run.n_atoms * BOLTZMANN_EV_PER_K * 600, rtol=0.03, atol=0
    )


def test_velocities_are_the_slope_of_the_positions():
    run = conductor(
        n_frames=2000, frame_interval_fs=0.5, temperature_k=2000, drift_per_ps=(0, 0, 50)
    )
    slope = (run.positions[2:] - run.positions[:-2]) / 1.0
    assert np.abs(slope - run.velocities[1:-1]).max() < 0.06 * np.abs(run.velocities).max()
    rms = ((slope - run.velocities[1:-1]) ** 2).mean() ** 0.5
    assert rms < 0.05 * (run.velocities**2).mean() ** 0.5


def test_forces_are_those_of_the_springs():
    run = conductor(HoppingModel(attempts_per_ps=0.0))
    springs = np.where(np.array(run.symbols) == "Li", 2.2, 3.5)[:, None]
    sites = (run.positions + run.forces / springs)[0]
    assert_allclose(run.forces, -springs * (run.positions - sites), rtol=0, atol=1e-10)
    assert_allclose(np.unique(np.round(sites[32:] % 2.85, 9)), 1.425, rtol=1e-9)


def test_drift_moves_every_atom():
    still, moved = (conductor(drift_per_ps=d) for d in ((0, 0, 0), (1, -2, 3)))
    expected = still.times_ps[:, None, None] * np.array([1, -2, 3])
    assert_allclose(moved.positions - still.positions, expected + 0 * still.positions, atol=1e-9)


def test_seed_decides():
    first, again, other = (conductor(seed=s).positions for s in (3, 3, 4))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_samples_are_what_their_script_makes(tmp_path):
    script = [sys.executable, str(DATA / "make_samples.py"), str(tmp_path)]
    subprocess.run(script, check=True, stdout=subprocess.DEVNULL)
    names = sorted(p.name for p in (DATA / "samples").iterdir())
    assert names == sorted(p.name for p in tmp_path.iterdir())
    for name in names:
        made, kept = (
            np.array(re.findall(rb"-?\d+\.\d+", gzip.decompress((folder / name).read_bytes())))
            for folder in (tmp_path, DATA / "samples")
        )
        # A last digit may round the other way on another machine.
        assert_allclose(made.astype(float), kept.astype(float), rtol=0, atol=2e-5)


def test_samples_are_listed_with_their_checksums():
    listed = dict(re.findall(r"\| `(\S+)` \|.*`([0-9a-f]{64})`", (DATA / "README.md").read_text()))
    found = {
        p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in (DATA / "samples").iterdir()
    }
    assert listed == found
    assert sum(p.stat().st_size for p in (DATA / "samples").iterdir()) < 1_000_000
