"""The overlap of densities, with its interval and floor."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from mdbench.analysis.density_fidelity import WIDTH, SeenRun, density_fidelity
from mdbench.analysis.ion_density import density_overlap, grid_shape, ion_density, pooled

CELL = np.array([[9.0, 0.0, 0.0], [-2.0, 8.0, 0.0], [0.5, 1.0, 10.0]])
INTERVAL_PS = 0.1


def hopping(seed, *, n_ions=12, n_frames=300, sites=None, stay=0.97) -> SeenRun:
    """Ions that rattle on random sites and now and then hop to any other one."""
    rng = np.random.default_rng(seed)
    places = np.random.default_rng(99).random((20, 3)) if sites is None else sites
    site = rng.integers(len(places), size=(n_ions, n_frames))
    keep = rng.random((n_ions, n_frames)) < stay
    keep[:, 0] = False
    last = np.maximum.accumulate(np.where(keep, 0, np.arange(n_frames)), axis=1)
    site = np.take_along_axis(site, last, axis=1)
    paths = places[site].transpose(0, 2, 1) + 0.02 * rng.normal(size=(n_ions, 3, n_frames))
    return SeenRun(paths + rng.integers(-2, 3, size=(n_ions, 3, 1)), INTERVAL_PS)


def naive(model, reference) -> float:
    shape = grid_shape(CELL, WIDTH)
    sides = [
        pooled([ion_density(r.paths, shape, CELL, frame_interval_ps=INTERVAL_PS) for r in side])
        for side in (model, reference)
    ]
    return density_overlap(*sides, width=WIDTH)


def test_the_value_is_that_of_the_definition():
    model, reference = [hopping(0), hopping(1, n_frames=200)], [hopping(2)]
    found = density_fidelity(model, reference, CELL)
    assert_allclose(found.estimate.value, naive(model, reference), rtol=1e-4, atol=0)
    assert found.estimate.low < found.estimate.value < found.estimate.high <= 1.0
    assert found.floor.low < found.floor.expected < found.floor.high <= 1.0


def test_a_run_against_itself_and_elsewhere():
    one = hopping(0)
    assert_allclose(density_fidelity([one], [one], CELL).estimate.value, 1.0, rtol=1e-5, atol=0)
    sites = np.random.default_rng(99).random((20, 3))
    layer = np.concatenate([sites[:, :2], 0.1 + 0.1 * sites[:, 2:]], axis=1)
    below, above = hopping(1, sites=layer), hopping(2, sites=layer + 0.5 * np.eye(3)[2])
    apart = density_fidelity([below], [above], CELL)
    assert apart.estimate.value < 0.01
    assert apart.floor.p < 1e-6


@pytest.mark.parametrize("n_runs", [1, 2])
def test_a_perfect_model_is_above_its_floor(n_runs):
    """Below the 5 % quantile once in twenty times at most; here in none or one of twelve."""
    p = []
    for case in range(12):
        runs = [hopping(1000 * case + k) for k in range(2 * n_runs)]
        floor = density_fidelity(runs[:n_runs], runs[n_runs:], CELL).floor
        assert floor is not None
        p.append(floor.p)
    assert sum(each < 0.05 for each in p) <= 1
    assert np.mean(p) > 0.3


def test_another_occupation_is_below_the_floor():
    """A model whose ions keep to half of the sites."""
    half = np.random.default_rng(99).random((20, 3))[:10]
    model = [hopping(k, sites=half) for k in (0, 1)]
    found = density_fidelity(model, [hopping(k) for k in (2, 3)], CELL)
    assert found.estimate.value < 0.75
    assert found.floor.p < 0.01


def test_vibrations_are_looked_at_every_tenth_of_a_picosecond():
    """Frames in between change nothing."""
    coarse = hopping(0)
    fine = SeenRun(np.repeat(coarse.paths, 5, axis=2), INTERVAL_PS / 5)
    other = [hopping(1)]
    assert density_fidelity([fine], other, CELL) == density_fidelity([coarse], other, CELL)
