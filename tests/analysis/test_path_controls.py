"""Ions in channels and wrong models of them, from positions to what is said about them."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from mdbench.analysis.motion import ion_motion
from mdbench.analysis.path_controls import (
    MODELS,
    ChannelWalk,
    channel_walkers,
    path_controls,
    paths_against,
    run_paths,
)

TRUTH = ChannelWalk()
SMALL = replace(TRUTH, n_ions=64, repeats=4, hops_per_ps=0.5)


def steps_of(run, walk):
    """(n_jumps, 3) whole steps between sites that the ions make from frame to frame."""
    motion = ion_motion(run, "Li")
    sites = np.rint((motion.origin[..., None] + motion.displacements) / walk.site_distance)
    steps = np.diff(sites, axis=2).transpose(0, 2, 1).reshape(-1, 3)
    return steps[steps.any(axis=1)]


def test_ions_hop_along_channels_at_the_rate_that_was_asked_for():
    walk = replace(TRUTH, rattle=0.0, framework_rattle=0.0)
    steps = steps_of(channel_walkers(walk, 1200, np.random.default_rng(0)), walk)
    assert not steps[:, :2].any()
    expected = walk.hops_per_ps * walk.n_ions * 1199 * 0.05
    assert_allclose(len(steps), expected, rtol=4.0 / np.sqrt(expected))


def test_the_bridge_joins_two_layers_with_every_tenth_hop():
    walk = replace(SMALL, rattle=0.0, framework_rattle=0.0, bridge=0.2, hops_per_ps=1.0)
    run = channel_walkers(walk, 1200, np.random.default_rng(0), frame_interval_fs=20.0)
    motion = ion_motion(run, "Li")
    layers = np.rint((motion.origin[..., None] + motion.displacements)[:, 0] / 3.0)
    on_it = np.isin(layers[:, 0], (0, 1))
    assert set(np.unique(layers[on_it])) == {0, 1}
    assert (layers[~on_it] == layers[~on_it][:, :1]).all()
    steps = steps_of(run, walk)
    assert_allclose((steps[:, 0] != 0).mean(), 0.2 * on_it.mean(), rtol=0.25)


def test_the_jumps_of_the_hops_are_found():
    """All sites, and as many jumps as hops, up to those that follow each other too fast."""
    rng = np.random.default_rng(0)
    found = run_paths(channel_walkers(SMALL, 1200, rng), "Li")
    expected = SMALL.hops_per_ps * SMALL.n_ions * 1199 * 0.05
    assert found.sites.n_sites == 64
    assert_allclose(found.jumps.n, expected, rtol=0.1)


def test_a_cell_that_moves_as_a_whole_makes_the_same_jumps():
    still, moving = (
        run_paths(channel_walkers(SMALL, 600, np.random.default_rng(0), drift_per_ps=drift), "Li")
        for drift in ((0.0, 0.0, 0.0), (0.2, -0.1, 0.1))
    )
    assert still.drift < 0.2
    assert moving.drift > 5.0
    assert moving.jumps.n == still.jumps.n
    assert (np.sort(moving.jumps.frame) == np.sort(still.jumps.frame)).mean() > 0.99


@pytest.mark.parametrize("name", ["another seed", "a false path"])
def test_wrong_models_are_told(name):
    rng = np.random.default_rng(0)
    reference = channel_walkers(TRUTH, 1200, rng)
    fidelity, paths = paths_against(MODELS[name].run(TRUTH, rng), reference, "Li")
    efficiency, fake = fidelity.efficiency, fidelity.fake_rate
    assert efficiency.estimate.value > efficiency.floor.low > 0.9
    if name == "another seed":
        assert fake.estimate.value < fake.floor.high < 0.1
    else:
        assert fake.estimate.value > fake.floor.high
        assert_allclose(fake.estimate.value, 0.1, rtol=0.3)
    assert paths.drift < 0.5


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_every_control_passes(seed):
    controls = list(path_controls(np.random.default_rng(seed)))
    assert len(controls) == len(MODELS)
    for control in controls:
        assert control.passed, control
