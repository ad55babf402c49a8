"""Walkers move as they state: diffusivities, hops, rattling, flight."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from mdbench.errors import InputError
from mdbench.units import BOLTZMANN_EV_PER_K
from mdbench.walks import Walk, walkers


def run(walk, n_frames=400, seed=0, **options):
    return walkers(walk, n_frames, np.random.default_rng(seed), **options)


def paths(walk, n_frames=400, seed=0, **options):
    """(n_frames, n_ions, 3) Å, from the first frame."""
    ions = run(walk, n_frames, seed, **options).select("Li").positions
    return ions - ions[0]


def tensor(x, interval_ps, lag):
    """(3, 3) cm²/s, from the products of displacements over one lag."""
    moved = x[lag:] - x[:-lag]
    products = np.einsum("fai,faj->ij", moved, moved) / moved[..., 0].size
    return products / (2 * lag * interval_ps) * 1e-4


@pytest.mark.parametrize(
    "walk",
    [
        Walk(n_ions=300, repeats=7, free_diffusivity=2e-5),
        Walk(n_ions=300, repeats=7, hops_per_ps=0.5),
        Walk(n_ions=300, repeats=7, free_diffusivity=1e-5, hops_per_ps=0.3, group=3),
    ],
    ids=["free", "hops", "both"],
)
@pytest.mark.parametrize("interval_fs", [20.0, 100.0])
def test_diffusivities_are_those_stated(walk, interval_fs):
    tracer, together = [], []
    for seed in range(5):
        x = paths(walk, 300, seed, frame_interval_fs=interval_fs)
        tracer.append(np.trace(tensor(x, interval_fs / 1000, 5)) / 3)
        total = x.sum(axis=1, keepdims=True) / walk.n_ions**0.5
        together.append(np.trace(tensor(total, interval_fs / 1000, 2)) / 3)
    assert_allclose(np.mean(tracer), walk.tracer_diffusivity, rtol=0.08, atol=0)
    assert_allclose(np.mean(together), walk.collective_diffusivity, rtol=0.15, atol=0)
    assert_allclose(walk.tracer_diffusivity, np.trace(walk.tensor) / 3, rtol=1e-12, atol=0)


def test_closed_forms():
    hopping = Walk(hops_per_ps=0.06, hop_distance=2.5, group=4)
    assert_allclose(hopping.tracer_diffusivity, 0.06 * 2.5**2 / 6 * 1e-4, rtol=1e-12, atol=0)
    ratio = hopping.tracer_diffusivity / hopping.collective_diffusivity
    assert_allclose(ratio, 1 / 4, rtol=1e-12, atol=0)
    assert Walk().tracer_diffusivity == 0
    assert Walk(speed=5.0).tracer_diffusivity == np.inf
    assert_allclose(Walk(repeats=3, hop_distance=2.0).volume, 216, rtol=1e-12, atol=0)


def test_free_walk_with_a_tensor():
    given = 1e-5 * np.array([[3.0, 1.0, 0.0], [1.0, 2.0, -0.5], [0.0, -0.5, 1.0]])
    walk = Walk(n_ions=300, repeats=7, free_diffusivity=given.tolist())
    assert_allclose(walk.tracer_diffusivity, 2e-5, rtol=1e-12, atol=0)
    assert_allclose(tensor(paths(walk, 500), 0.1, 1), given, rtol=0, atol=3e-7)


def test_hop_rate_is_activated():
    hot = Walk(hops_per_ps=10.0, activation_energy=0.25, temperature_k=900.0)
    cold = replace(hot, temperature_k=300.0)
    expected = np.exp(-0.25 / BOLTZMANN_EV_PER_K * (1 / 300 - 1 / 900))
    found = cold.tracer_diffusivity / hot.tracer_diffusivity
    assert_allclose(found, expected, rtol=1e-12, atol=0)
    n_hops = (np.abs(np.diff(paths(hot, 2000), axis=0)) > 1).sum()
    assert_allclose(n_hops, hot.hop_rate_per_ps * 20 * 199.9, rtol=0.1, atol=0)


@pytest.mark.parametrize("group", [1, 4])
def test_hops_are_along_axes_by_the_distance_and_of_a_group(group):
    steps = np.diff(paths(Walk(hops_per_ps=0.02, hop_distance=2.5, group=group), 2000), axis=0)
    lengths = np.abs(steps[steps != 0])
    assert_allclose(lengths % 2.5, np.where(lengths % 2.5 > 1, 2.5, 0), rtol=0, atol=1e-9)
    together = (np.abs(steps) > 1).sum(axis=1)[(np.abs(steps) > 1).any(axis=1)]
    assert np.bincount(together).argmax() == group


def test_ions_start_on_sites_of_their_own():
    start = run(Walk(n_ions=60, hop_distance=2.5)).positions[0]
    sites = start[-60:] / 2.5
    assert_allclose(sites, np.rint(sites), rtol=0, atol=1e-9)
    assert len({tuple(site) for site in np.rint(sites)}) == 60
    apart = start[:-60, None] - start[None, -60:]
    apart -= 10.0 * np.rint(apart / 10.0)
    assert_allclose(np.linalg.norm(apart, axis=-1).min(), 2.5 * 0.75**0.5, rtol=1e-9, atol=0)


@pytest.mark.parametrize("interval_fs", [50.0, 500.0])
def test_rattling_is_stationary_and_forgets(interval_fs):
    walk = Walk(n_ions=300, repeats=7, relaxation_ps=0.5)
    moving, rigid = (
        run(
            replace(walk, rattle=rattle, framework_rattle=rattle / 3), frame_interval_fs=interval_fs
        )
        for rattle in (0.3, 0.0)
    )
    away = moving.positions - rigid.positions
    for atoms, amplitude in ((slice(343), 0.1), (slice(343, None), 0.3)):
        x = away[:, atoms]
        for frames in (slice(1), slice(1, 20), slice(20, None)):
            assert_allclose(x[frames].std(), amplitude, rtol=0.08, atol=0)
        kept = (x[1:] * x[:-1]).mean() / amplitude**2
        assert_allclose(kept, np.exp(-interval_fs / 500), rtol=0.05, atol=0)


def test_ions_in_flight_keep_their_velocities():
    velocities = np.diff(paths(Walk(n_ions=300, repeats=7, speed=4.0)), axis=0) / 0.1
    constant = np.broadcast_to(velocities[0], velocities.shape)
    assert_allclose(velocities, constant, rtol=1e-9, atol=1e-9)
    assert_allclose(velocities[0].std(), 4.0, rtol=0.1, atol=0)


def test_drift_moves_every_atom():
    still, moved = (run(Walk(rattle=0.2), drift_per_ps=d) for d in ((0, 0, 0), (1, -2, 3)))
    expected = still.times_ps[:, None, None] * np.array([1, -2, 3])
    away = moved.positions - still.positions
    assert_allclose(away, np.broadcast_to(expected, away.shape), rtol=1e-9, atol=1e-9)


def test_what_a_run_says_of_itself():
    found = run(Walk(n_ions=4, repeats=2, mobile="Na", temperature_k=500.0), 5)
    assert found.symbols == ["S"] * 8 + ["Na"] * 4
    assert found.provenance.mobile == "Na"
    assert found.provenance.temperature_k == 500.0
    assert found.provenance.label == "synthetic"
    assert_allclose(found.times_ps, [0, 0.1, 0.2, 0.3, 0.4], rtol=1e-12, atol=0)
    assert_array_equal(run(Walk(rattle=0.1)).positions, run(Walk(rattle=0.1)).positions)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"n_ions": 9, "repeats": 2}, "n_ions: expected 1 to 8, the sites, found 9"),
        ({"n_ions": 0}, "n_ions: expected 1 to 64"),
        ({"group": 21}, "group: expected 1 to 20, the ions, found 21"),
    ],
)
def test_walks_that_cannot_be(options, message):
    with pytest.raises(InputError, match=message):
        Walk(**options)
