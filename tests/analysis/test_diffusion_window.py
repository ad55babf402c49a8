"""The lags at which ions diffuse: how far they reach, and what they are called."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from mdbench.analysis.diffusion_window import LATE, diffusive_window
from mdbench.walks import Walk

from .little import motion_of, walk_of

FREE = Walk(free_diffusivity=1e-4)


def window_of(walk, n_frames=1000, seed=0, hop=3.0, **options):
    return diffusive_window([walk_of(walk, n_frames, seed, **options)], hop)[0]


def median_step_ps(walk, n_frames, interval_fs, hop):
    """Over five runs."""
    options = {"hop": hop, "frame_interval_fs": interval_fs}
    return np.median([window_of(walk, n_frames, seed, **options).step_ps for seed in range(5)])


def test_free_walkers_diffuse_from_the_first_frames_on():
    found = [window_of(FREE, seed=seed) for seed in range(20)]
    assert sum(window.steps[0] <= 5 for window in found) >= 14
    assert all(window.reached == "diffusive" for window in found)
    step = found[0].step_ps
    assert_allclose(step, 0.1 * found[0].steps[0], rtol=1e-9, atol=0)
    assert_allclose(found[0].lags_ps, step * np.arange(1, 11), rtol=1e-12, atol=0)


@pytest.mark.parametrize("n_frames, longest", [(31, 1), (61, 2), (400, 13), (1000, 33)])
def test_the_longest_lag_is_a_third_of_the_run(n_frames, longest):
    for walk in (FREE, Walk(hops_per_ps=0.02, rattle=0.4), Walk(speed=3.0), Walk()):
        assert window_of(walk, n_frames).steps[0] <= longest


def test_the_window_reaches_the_distance_between_sites():
    """Short lags would do for slow free walkers, but not if they sit in a cage."""
    slow = Walk(free_diffusivity=1e-5, n_ions=40)
    motion = walk_of(slow, 1000)
    for hop in (0.5, 3.0):
        window, (moments,) = diffusive_window([motion], hop)
        assert window.taken
        farthest = moments.squares[..., -1].mean()
        assert farthest >= hop**2
    steps = [diffusive_window([motion], hop)[0].steps[0] for hop in (0.5, 3.0)]
    assert steps[0] < steps[1]


def test_rattling_is_waited_for():
    """The same in time, whatever the frames; the slower it relaxes, the longer."""
    fast = Walk(n_ions=60, hops_per_ps=0.5, rattle=0.5, relaxation_ps=0.1)
    slow = replace(fast, relaxation_ps=1.0)
    often, seldom, later = (
        median_step_ps(walk, n_frames, interval, hop=0.5)
        for walk, n_frames, interval in ((fast, 4000, 10.0), (fast, 2000, 20.0), (slow, 4000, 20.0))
    )
    assert_allclose(often, seldom, rtol=0.6, atol=0)
    assert seldom > 0.1
    assert later > 2.0 * seldom


def test_flight_is_ballistic():
    window = window_of(Walk(speed=3.0))
    assert (window.reached, window.taken) == ("ballistic", False)


def test_diffusion_after_flight_is_found():
    """Velocities that forget in 0.2 ps: ballistic at 10 fs, a line from some 0.4 ps on."""
    rng = np.random.default_rng(0)
    kept = np.exp(-0.01 / 0.2)
    velocities = np.empty((60, 3, 3000))
    velocities[..., 0] = rng.standard_normal((60, 3))
    for frame in range(1, 3000):
        noise = np.sqrt(1 - kept**2) * rng.standard_normal((60, 3))
        velocities[..., frame] = kept * velocities[..., frame - 1] + noise
    window, _ = diffusive_window([motion_of(velocities.cumsum(axis=2), interval_ps=0.01)], 0.5)
    assert window.reached == "diffusive"
    assert 0.1 < window.step_ps < 1.0


def test_a_slow_cage_is_called_one_and_judged_by_its_late_lags():
    window = window_of(Walk(n_ions=40, rattle=0.5, relaxation_ps=6.0), 400)
    assert (window.reached, window.taken, window.first) == ("caged", False, LATE)
    assert_allclose(window.lags_ps, window.step_ps * np.arange(LATE, 11), rtol=1e-12, atol=0)


def test_replicas_share_a_window_in_time():
    often = walk_of(FREE, 2000, frame_interval_fs=50.0)
    window, moments = diffusive_window([often, walk_of(FREE, 1000, 1)], 3.0)
    assert_allclose(0.05 * window.steps[0], 0.1 * window.steps[1], rtol=0.3, atol=0)
    assert [m.lags[-1] for m in moments] == [10 * step for step in window.steps]
    mean = (0.05 * window.steps[0] + 0.1 * window.steps[1]) / 2
    assert_allclose(window.step_ps, mean, rtol=1e-9, atol=0)
