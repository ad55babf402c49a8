"""Motion in the frame of the framework: drift, time axes, sites, hops."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from mdbench.analysis.motion import (
    SITE_DISTANCE,
    check_times,
    count_hops,
    count_moves,
    ion_motion,
    mean_paths,
    site_distance,
)
from mdbench.errors import InputError
from mdbench.synthetic import HoppingModel, ideal_gas, ion_conductor
from mdbench.walks import Walk, walkers

from .little import motion_of, walk_of


def run(walk, n_frames=200, seed=0, **options):
    return walkers(walk, n_frames, np.random.default_rng(seed), **options)


def test_the_mean_displacement_of_the_framework_is_taken_off():
    found = run(Walk(free_diffusivity=1e-5, framework_rattle=0.2), drift_per_ps=(1, -2, 3))
    motion = ion_motion(found, "Li")
    moved = found.positions - found.positions[0]
    for frame in (0, 1, 77, 199):
        drift = np.mean([moved[frame, a] for a in range(64)], axis=0)
        assert_allclose(motion.drift[:, frame], drift, rtol=1e-12, atol=1e-12)
        for ion in range(20):
            path = motion.displacements[ion][:, frame]
            assert_allclose(path, moved[frame, 64 + ion] - drift, rtol=1e-9, atol=1e-9)
    assert_allclose(motion.drift[:, -1] / motion.length_ps, [1, -2, 3], rtol=0.02, atol=0)
    assert_allclose(motion.origin, found.positions[0, 64:], rtol=1e-12, atol=0)
    assert_allclose(motion.volume, 12**3, rtol=1e-12, atol=0)
    assert (motion.n_ions, motion.n_frames, motion.species) == (20, 200, "Li")
    assert_allclose(motion.length_ps, 19.9, rtol=1e-12, atol=0)


def test_drift_is_not_motion():
    still, moved = (
        walk_of(Walk(hops_per_ps=0.1, rattle=0.2), 200, drift_per_ps=d)
        for d in ((0, 0, 0), (9, 9, 9))
    )
    assert_allclose(moved.displacements, still.displacements, rtol=0, atol=1e-9)


def test_a_single_species_moves_about_its_own_center():
    ions = run(Walk(free_diffusivity=1e-5), drift_per_ps=(5, 0, 0)).select("Li")
    motion = ion_motion(ions, "Li")
    assert_allclose(np.sum(motion.displacements, axis=0), np.zeros((3, 200)), rtol=0, atol=1e-9)
    assert_allclose(motion.drift[0, -1], 5 * 19.9, rtol=0.02, atol=0)


def test_an_element_that_is_not_there():
    with pytest.raises(InputError, match=r"^no atom of Na: found"):
        ion_motion(run(Walk()), "Na")


def test_the_mean_cell_is_that_of_all_frames():
    found = run(Walk(), 3)
    cells = 12 * np.eye(3) * np.array([1.0, 1.1, 1.2])[:, None, None]
    motion = ion_motion(replace(found, cells=cells), "Li")
    assert_allclose(motion.cell, 13.2 * np.eye(3), rtol=1e-12, atol=0)


@pytest.mark.parametrize("times", [[], [0.0], [0.0, 0.0, 0.0]])
def test_frames_without_times(times):
    with pytest.raises(InputError, match=r"^no time axis: .*--frame-interval-fs"):
        check_times(np.array(times))


def test_an_ideal_gas_is_no_time_series():
    gas = ideal_gas(4, 50, 10 * np.eye(3), np.random.default_rng(0))
    with pytest.raises(InputError, match=r"found 50 frame\(s\) without times"):
        ion_motion(gas, "Ar")


def test_frames_at_another_interval():
    times = 0.1 * np.arange(20)
    check_times(times + 0.0005 * np.sin(np.arange(20)))  # to 1 %
    times[7:] += 0.1
    with pytest.raises(InputError, match=r"^frame 7 comes at another interval: .*found 0.2 ps"):
        check_times(times)


@pytest.mark.parametrize("n_frames, interval_ps, per_average", [(1003, 0.1, 10), (40, 0.1, 5)])
def test_paths_are_averaged_over_a_picosecond_or_an_eighth(n_frames, interval_ps, per_average):
    motion = walk_of(Walk(free_diffusivity=1e-5), n_frames, frame_interval_fs=1000 * interval_ps)
    found = mean_paths(motion)
    n = n_frames // per_average
    assert found.shape == (20, 3, n)
    for k in (0, 1, n - 1):
        part = slice(k * per_average, (k + 1) * per_average)
        for ion in (0, 19):
            expected = motion.displacements[ion][:, part].mean(axis=1)
            assert_allclose(found[ion, :, k], expected, rtol=1e-9, atol=1e-12)


def test_frames_further_apart_than_a_picosecond_stay_as_they_are():
    motion = walk_of(Walk(free_diffusivity=1e-5), 50, frame_interval_fs=2000)
    assert_allclose(mean_paths(motion), motion.displacements, rtol=1e-12, atol=0)


def test_long_runs_have_some_thousand_averages():
    motion = motion_of(np.zeros((1, 3, 20_500)), interval_ps=1.0)
    assert mean_paths(motion).shape == (1, 3, 4100)


@pytest.mark.parametrize("distance", [2.5, 3.0, 4.0])
def test_sites_of_a_lattice(distance):
    walk = Walk(n_ions=40, hop_distance=distance, rattle=0.2)
    motions = [walk_of(walk, 400, seed) for seed in range(2)]
    assert_allclose(site_distance(motions), distance, rtol=0.04, atol=0)


def test_sites_of_a_conductor():
    model = HoppingModel()
    found = ion_conductor(model, 500, np.random.default_rng(0), temperature_k=900.0)
    assert_allclose(site_distance([ion_motion(found, "Li")]), model.hop_distance, rtol=0.04, atol=0)


@pytest.mark.parametrize(
    "walk",
    [
        Walk(n_ions=1),
        Walk(free_diffusivity=1e-3),
        Walk(n_ions=40, hop_distance=1.5, rattle=0.1),
        Walk(n_ions=3, repeats=2, hop_distance=6.5),
    ],
    ids=["one ion", "fluid", "too near", "too far"],
)
def test_ions_that_do_not_tell_their_sites(walk):
    assert site_distance([walk_of(walk, 400)]) == SITE_DISTANCE


def test_replicas_that_tell_speak_for_those_that_do_not():
    lattice = walk_of(Walk(n_ions=40, hop_distance=4.0, rattle=0.2), 400)
    alone = site_distance([lattice])
    assert site_distance([lattice, walk_of(Walk(n_ions=1), 400)]) == alone


def planted(hops, n_ions=5, n_frames=1000):
    """Paths with hops of 3 Å: (ion, axis, frame, sign)."""
    paths = np.zeros((n_ions, 3, n_frames))
    for ion, axis, frame, sign in hops:
        paths[ion, axis, frame:] += 3.0 * sign
    return paths


@pytest.mark.parametrize("rattle", [0.0, 0.15])
@pytest.mark.parametrize(
    "hops, n_hops",
    [
        ([], 0),
        ([(0, 0, 500, 1)], 1),
        ([(0, 0, 503, 1), (1, 2, 507, -1)], 2),
        ([(2, 1, 300, 1), (2, 1, 600, -1)], 2),
        ([(3, 0, 200, 1), (3, 1, 400, 1), (3, 2, 605, -1), (4, 0, 30, 1)], 4),
        ([(2, 1, 301, 1), (2, 1, 304, -1)], 0),
    ],
    ids=["none", "one", "two ions", "there and back", "four", "back within 0.3 ps"],
)
def test_planted_hops_are_counted(hops, n_hops, rattle):
    noise = walk_of(Walk(n_ions=5, rattle=rattle, relaxation_ps=0.1)).displacements
    motion = motion_of(planted(hops) + noise)
    assert count_hops(motion, 3.0) == n_hops


def test_hops_of_rare_walkers_are_counted():
    walk = Walk(hops_per_ps=0.02, rattle=0.15, relaxation_ps=0.1)
    found, made = [], []
    for seed in range(10):
        bare = np.diff(walk_of(replace(walk, rattle=0.0), 1000, seed).displacements, axis=2)
        made.append((np.abs(bare) > 1.0).sum())
        found.append(count_hops(walk_of(walk, 1000, seed), 3.0))
    assert_allclose(np.mean(found), np.mean(made), rtol=0.04, atol=0)


@pytest.mark.parametrize("relaxation_ps", [0.1, 0.5])
def test_rattling_is_no_hop(relaxation_ps):
    walk = Walk(rattle=0.4, relaxation_ps=relaxation_ps)
    assert sum(count_hops(walk_of(walk, 1000, seed), 3.0) for seed in range(10)) <= 1


def naive_moves(path, limit):
    """Moves of one ion: half a distance off the mean since the last one, now and at the next."""
    moves, stay = 0, []
    for now, later in zip(path.T[:-1], path.T[1:], strict=True):
        if stay and all(np.linalg.norm(x - np.mean(stay, axis=0)) > limit for x in (now, later)):
            moves, stay = moves + 1, []
        stay.append(now)
    return moves


@pytest.mark.parametrize("n_times", [1, 2, 3, 60])
@pytest.mark.parametrize("step", [0.3, 1.0])
def test_moves_are_those_of_the_definition(n_times, step):
    steps = np.random.default_rng(n_times).normal(0.0, step, (6, 3, n_times))
    paths = np.cumsum(steps, axis=2)
    expected = sum(naive_moves(path, 1.5) for path in paths)
    assert count_moves(paths, 3.0) == expected
    assert expected > 0 or n_times < 60
