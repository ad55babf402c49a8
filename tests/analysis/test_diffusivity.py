"""Tracer diffusivity of walkers whose truth is known: values, bounds, tensors, replicas."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import stats as distributions
from scipy.spatial.transform import Rotation

from mdbench.analysis.diffusivity import tracer_diffusion
from mdbench.analysis.motion import IonMotion, ion_motion
from mdbench.analysis.msd import mean_squared_displacement
from mdbench.errors import InputError
from mdbench.walks import Walk, walkers

from .little import motion_of, walk_of

FREE = Walk(free_diffusivity=1e-4)
HOPPING = Walk(hops_per_ps=0.3, rattle=0.3)
TENSOR = 1e-5 * np.array([[8.0, 2.0, 0.0], [2.0, 4.0, -1.0], [0.0, -1.0, 2.0]])
TRICLINIC = np.array([[9.0, 0.0, 0.0], [3.0, 10.0, 0.0], [-2.0, 1.0, 11.0]])


def diffusion(walk, n_frames=1000, seed=0, **options):
    return tracer_diffusion([walk_of(walk, n_frames, seed, **options)])


def holds(estimate, truth):
    return estimate.low <= truth <= estimate.high


def near(estimate, truth):
    """Whether the truth is within twice the width of the interval, for single draws."""
    low, high = (2 * limit - estimate.value for limit in (estimate.low, estimate.high))
    return low <= truth <= high


def shift(motion, hops):
    """The motion with hops of 3 Å planted: (ion, axis, frame)."""
    paths = np.array(motion.displacements)
    for ion, axis, frame in hops:
        paths[ion, axis, frame:] += 3.0
    return replace(motion, displacements=paths)


@pytest.mark.parametrize(
    "walk", [FREE, HOPPING, replace(HOPPING, group=2)], ids=["free", "hops", "pairs"]
)
@pytest.mark.parametrize("interval_fs, n_frames", [(20.0, 4000), (100.0, 1000)])
def test_diffusivity_of_walkers(walk, interval_fs, n_frames):
    found = diffusion(walk, n_frames, frame_interval_fs=interval_fs)
    assert near(found.diffusivity, walk.tracer_diffusivity)
    assert_allclose(found.diffusivity.value, walk.tracer_diffusivity, rtol=0.2, atol=0)
    assert found.window.reached == "diffusive" or walk.group > 1
    assert (found.window.reached == "diffusive") == (found.warnings == ())
    assert not found.between_replicas


def test_what_stands_beside_the_value():
    motion = walk_of(HOPPING)
    found = tracer_diffusion([motion])
    curve = mean_squared_displacement(motion.displacements)
    lags = np.rint(found.window.lags_ps / 0.1).astype(int)
    assert_allclose(found.msd_at_lags, curve.sum(axis=0)[lags], rtol=1e-9, atol=0)
    assert_allclose(found.slope, 6e4 * found.diffusivity.value, rtol=1e-9, atol=0)
    line = found.intercept + found.slope * found.window.lags_ps
    assert_allclose(found.msd_at_lags, line, rtol=0.03, atol=0)
    assert_allclose(found.exponent, 1.0, rtol=0.05, atol=0)
    farthest = curve.sum(axis=0).max()
    assert_allclose(found.n_eff, 20 * farthest / found.site_distance**2, rtol=1e-9, atol=0)
    assert_allclose(found.he_zhu_mo, 3.43 / found.n_eff**0.5 + 0.04, rtol=1e-12, atol=0)
    assert_allclose(found.length_ps, 99.9, rtol=1e-12, atol=0)
    assert_allclose(found.replicas, [found.diffusivity.value], rtol=1e-12, atol=0)
    assert found.n_ions == 20
    assert found.non_gaussian.shape == (10,)
    again = tracer_diffusion([motion], curves=[curve])
    assert again.diffusivity == found.diffusivity


def test_the_intercept_is_the_rattling():
    """MSD = 6Dt + 6·rattle² beyond the relaxation time."""
    walk = Walk(n_ions=200, repeats=6, hops_per_ps=0.05, rattle=0.4, relaxation_ps=0.1)
    found = [diffusion(walk, 1000, seed).intercept for seed in range(4)]
    assert_allclose(np.mean(found), 6 * 0.4**2, rtol=0.15, atol=0)


def test_drift_of_the_cell_changes_nothing():
    still, moved = (diffusion(HOPPING, drift_per_ps=d).diffusivity for d in ((0, 0, 0), (3, 1, 0)))
    found = [moved.value, moved.low, moved.high]
    assert_allclose(found, [still.value, still.low, still.high], rtol=1e-6, atol=0)


def test_a_rigidly_moving_cell_has_a_bound():
    found = diffusion(Walk(), drift_per_ps=(0.5, 0, 0))
    assert found.n_hops == 0
    assert not found.diffusivity.resolved


@pytest.mark.parametrize("rattle", [0.0, 0.15])
@pytest.mark.parametrize("n_ions, n_frames", [(20, 1000), (5, 400)])
def test_a_frozen_crystal_has_the_bound_of_no_hop(rattle, n_ions, n_frames):
    """A Poisson count of zero: fewer than −ln 0.05 = 3.0 were expected."""
    found = diffusion(Walk(n_ions=n_ions, rattle=rattle), n_frames)
    a, t_ps = found.site_distance, (n_frames - 1) * 0.1
    bound = -np.log(0.05) * a**2 / (6 * n_ions * t_ps) * 1e-4
    assert found.diffusivity.value is None
    assert found.diffusivity.low is None
    assert_allclose(found.diffusivity.high, bound, rtol=1e-9, atol=0)
    assert any("no diffusion resolved: 0 hops seen" in line for line in found.warnings)


@pytest.mark.parametrize(
    "hops",
    [
        [(0, 0, 500)],
        [(0, 0, 300), (7, 1, 650)],
        [(0, 0, 300), (7, 1, 650), (11, 2, 450)],
        [(3, 2, 970)],
    ],
    ids=["1", "2", "3", "late"],
)
def test_few_hops_have_the_bound_of_a_poisson_count(hops):
    found = tracer_diffusion([shift(walk_of(Walk(rattle=0.1)), hops)])
    assert found.n_hops == len(hops)
    assert not found.diffusivity.resolved
    hops_below = found.diffusivity.high * 1e4 * 6 * 20 * 99.9 / found.site_distance**2
    chance = distributions.poisson.cdf(len(hops), hops_below)
    assert chance <= 0.05 * (1 + 1e-9)
    assert chance > 0.003  # the fit asks for more than the count, but not for everything
    assert f"no diffusion resolved: {len(hops)} hops seen" in found.warnings[-1]


def test_bounds_cover_the_truth():
    """About three hops in a run: unresolved, and the bound is above the truth."""
    walk = Walk(hops_per_ps=0.0015, rattle=0.15)
    found = [diffusion(walk, 1000, seed).diffusivity for seed in range(40)]
    assert sum(d.value is None for d in found) > 26
    below = [d.high < walk.tracer_diffusivity for d in found]
    assert np.mean(below) <= 0.1


def test_bounds_of_replicas_add_up():
    one = diffusion(Walk())
    three = tracer_diffusion([walk_of(Walk(), seed=seed) for seed in range(3)])
    assert_allclose(three.diffusivity.high, one.diffusivity.high / 3, rtol=1e-9, atol=0)


def test_ions_in_flight_have_neither_value_nor_bound():
    found = diffusion(Walk(speed=5.0), 400)
    d = found.diffusivity
    assert (d.value, d.low, d.high) == (None, None, None)
    assert found.window.reached == "ballistic"
    assert found.exponent > 1.4
    assert found.anisotropy is None
    assert len(found.warnings) == 1
    assert found.warnings[0].startswith("MSD grows faster than a line up to")


def test_slow_rattling_in_a_cage_has_a_bound():
    """Relaxation as slow as the run is long looks like diffusion, but goes nowhere."""
    found = diffusion(Walk(n_ions=40, rattle=0.5, relaxation_ps=6.0), 400)
    assert found.window.reached == "caged"
    assert not found.diffusivity.resolved
    assert found.diffusivity.high is not None
    assert found.warnings[0].startswith("MSD still slows down at")


def test_the_tensor_of_an_anisotropic_walk():
    walk = Walk(n_ions=60, free_diffusivity=TENSOR.tolist())
    run = walkers(walk, 1000, np.random.default_rng(0))
    found = tracer_diffusion([ion_motion(replace(run, cells=TRICLINIC), "Li")])
    for i in range(3):
        for j in range(3):
            assert near(found.tensor[i][j], TENSOR[i, j])
            assert found.tensor[i][j] == found.tensor[j][i]
            assert found.tensor[i][j].high - found.tensor[i][j].low < 2e-5
    trace = sum(found.tensor[i][i].value for i in range(3))
    assert_allclose(trace / 3, found.diffusivity.value, rtol=1e-9, atol=0)
    for estimate, vector in zip(found.along_cell, TRICLINIC, strict=True):
        unit = vector / np.linalg.norm(vector)
        assert near(estimate, unit @ TENSOR @ unit)
        value = unit @ [[entry.value for entry in row] for row in found.tensor] @ unit
        assert_allclose(estimate.value, value, rtol=1e-9, atol=0)
    values = [estimate.value for estimate in found.along_cell]
    assert_allclose(found.anisotropy, max(values) / min(values), rtol=1e-12, atol=0)
    assert found.isotropy_p < 1e-4


def test_intervals_of_the_tensor_cover():
    walk = Walk(free_diffusivity=TENSOR.tolist())
    covered = np.zeros((3, 3))
    for seed in range(60):
        found = diffusion(walk, 300, seed)
        covered += [[holds(found.tensor[i][j], TENSOR[i, j]) for j in range(3)] for i in range(3)]
    assert (covered >= 0.85 * 60).all()
    assert covered.mean() >= 0.92 * 60


def test_isotropic_walkers_seldom_look_anisotropic():
    p = np.array([diffusion(FREE, 300, seed).isotropy_p for seed in range(100)])
    assert distributions.kstest(p, "uniform").pvalue > 0.005
    assert (p < 0.05).mean() < 0.13


def test_frozen_ions_have_no_isotropy():
    assert diffusion(Walk(), 100).isotropy_p is None


def test_replicas_are_data():
    motions = [walk_of(HOPPING, 600, seed) for seed in range(6)]
    found, one = tracer_diffusion(motions), tracer_diffusion(motions[:1])
    assert near(found.diffusivity, HOPPING.tracer_diffusivity)
    assert len(found.replicas) == 6
    assert_allclose(np.mean(found.replicas), found.diffusivity.value, rtol=1e-9, atol=0)
    assert_allclose(found.length_ps, 6 * one.length_ps, rtol=1e-12, atol=0)
    shrunk = found.diffusivity.spread.standard_error / one.diffusivity.spread.standard_error
    assert 0.2 < shrunk < 0.7
    assert not found.between_replicas


def test_replicas_that_differ_speak_for_themselves():
    """Then the interval is that of their scatter, with its few degrees of freedom."""
    walks = [replace(FREE, free_diffusivity=d) for d in (1e-4, 2e-4, 4e-4)]
    found = tracer_diffusion([walk_of(w, 600, seed) for seed, w in enumerate(walks)])
    assert found.between_replicas
    assert any("replicas differ" in line for line in found.warnings)
    expected = distributions.sem(found.replicas)
    assert_allclose(found.diffusivity.spread.standard_error, expected, rtol=1e-9, atol=0)
    assert found.diffusivity.spread.freedom == 2


def test_equal_replicas_seldom_differ():
    called = [
        tracer_diffusion([walk_of(HOPPING, 300, [seed, k]) for k in range(3)]).between_replicas
        for seed in range(40)
    ]
    assert sum(called) <= 3


def test_replicas_of_other_lengths_and_intervals():
    walk = replace(FREE, framework_rattle=0.05)
    motions = [
        walk_of(walk, 1500, 0, frame_interval_fs=50.0),
        walk_of(walk, 400, 1, frame_interval_fs=100.0),
        walk_of(walk, 301, 2, frame_interval_fs=70.0),
    ]
    found = tracer_diffusion(motions)
    assert near(found.diffusivity, walk.tracer_diffusivity)
    lengths = np.array([motion.length_ps for motion in motions])
    expected = lengths @ found.replicas / lengths.sum()
    assert_allclose(found.diffusivity.value, expected, rtol=1e-9, atol=0)
    lags = np.array(found.window.steps) * [0.05, 0.1, 0.07]
    assert_allclose(lags, found.window.step_ps, rtol=0.5, atol=0)
    assert 10 * lags.max() <= lengths.min() / 3 * (1 + 1e-9)


def test_frames_that_do_not_suffice():
    with pytest.raises(InputError, match=r"^too few frames .*expected 31 or more .*found 30; "):
        diffusion(FREE, 30)
    assert diffusion(FREE, 31).window.steps == (1,)


def test_one_ion_has_an_interval_from_blocks_of_time():
    walk = replace(FREE, n_ions=1)
    found = [diffusion(walk, 2000, seed).diffusivity for seed in range(20)]
    resolved = [d for d in found if d.resolved]
    assert len(resolved) > 15
    assert_allclose([d.spread.freedom for d in resolved], 7.0, rtol=1e-9, atol=0)
    assert np.mean([holds(d, walk.tracer_diffusivity) for d in resolved]) >= 0.85


def scaled(motion: IonMotion, length: float, time: float) -> IonMotion:
    return replace(
        motion,
        displacements=length * np.asarray(motion.displacements),
        frame_interval_ps=time * motion.frame_interval_ps,
    )


@settings(max_examples=20, deadline=None)
@given(st.floats(0.5, 2.0), st.floats(0.1, 10.0), st.integers(0, 50))
def test_units_of_diffusivity(length, time, seed):
    """Length² over time; the steps are longer than sites are apart, at any scale."""
    rng = np.random.default_rng(seed)
    motion = motion_of(np.cumsum(6.0 * rng.standard_normal((6, 3, 150)), axis=2))
    here, there = (tracer_diffusion([m]) for m in (motion, scaled(motion, length, time)))
    assert here.diffusivity.resolved
    factor = length**2 / time
    for name in ("value", "low", "high"):
        found, expected = (getattr(d.diffusivity, name) for d in (there, here))
        assert_allclose(found, factor * expected, rtol=1e-6, atol=0)
    assert_allclose(there.window.step_ps, time * here.window.step_ps, rtol=1e-9, atol=0)
    assert_allclose(there.intercept, length**2 * here.intercept, rtol=1e-6, atol=1e-6)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000))
def test_a_turned_system_has_the_same_diffusivity_and_a_turned_tensor(seed):
    rng = np.random.default_rng(seed)
    turn = Rotation.random(rng=rng).as_matrix()
    run = walkers(Walk(n_ions=8, hops_per_ps=1.0, rattle=0.2), 200, rng)
    turned = replace(run, positions=run.positions @ turn.T, cells=run.cells @ turn.T)
    here, there = (tracer_diffusion([ion_motion(r, "Li")]) for r in (run, turned))
    assert there.window == here.window
    if here.diffusivity.resolved:
        assert_allclose(there.diffusivity.value, here.diffusivity.value, rtol=1e-6, atol=0)
    before, after = (np.array([[e.value for e in row] for row in d.tensor]) for d in (here, there))
    scale = np.abs(before).max()
    assert_allclose(after, turn @ before @ turn.T, rtol=0, atol=1e-6 * scale)
    along = [[e.value for e in d.along_cell] for d in (here, there)]
    assert_allclose(along[1], along[0], rtol=0, atol=1e-6 * scale)


def test_order_of_ions_and_replicas_does_not_matter():
    motions = [walk_of(HOPPING, 300, seed) for seed in range(3)]
    mixed = [
        replace(m, displacements=m.displacements[::-1].copy(), origin=m.origin[::-1])
        for m in motions[::-1]
    ]
    here, there = (tracer_diffusion(m).diffusivity for m in (motions, mixed))
    found = [there.value, there.low, there.high]
    assert_allclose(found, [here.value, here.low, here.high], rtol=1e-9, atol=0)


def test_vibrations_that_are_watched_for_a_moment_are_no_diffusion() -> None:
    """Far below the time in which rattling forgets, its MSD is a line, and the lags see no end."""
    run = walkers(Walk(n_ions=60, rattle=0.5), 60, np.random.default_rng(0), frame_interval_fs=10.0)
    found = tracer_diffusion([ion_motion(run, "Li")])
    assert found.n_hops < 5
    assert not found.diffusivity.resolved
    assert found.diffusivity.high is not None
