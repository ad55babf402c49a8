"""Tensors of replicas: what ions and blocks contribute, and how replicas are pooled."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats as distributions

from mdbench.analysis.brownian import slope_weights
from mdbench.analysis.msd import TENSOR_AXES, lag_moments
from mdbench.analysis.tensor_fit import ISOTROPIC, TensorFit, block_spread, pooled

LAGS = np.arange(1, 11)


def paths(n_ions=6, n_frames=200, seed=0):
    """(n_ions, 3, n_frames) Å."""
    return np.cumsum(np.random.default_rng(seed).normal(size=(n_ions, 3, n_frames)), axis=2)


def fit(x, *, step=2, first=1, interval_ps=0.1):
    return TensorFit.of(
        lag_moments(x, step * LAGS, 8),
        step=step,
        first=first,
        n_frames=x.shape[2],
        frame_interval_ps=interval_ps,
    )


def replica(by_ion, *, share=1.0):
    """A fit whose ions and blocks have these isotropic D; eight blocks as many as ions."""
    tensors = np.outer(by_ion, [1.0, 1.0, 1.0, 0.0, 0.0, 0.0])
    return TensorFit(tensors, tensors, msd=np.ones(10), intercept=0.0, share=share)


@pytest.mark.parametrize("first", [1, 5])
def test_each_component_is_a_weighted_sum_of_mean_products(first):
    x = paths()
    found = fit(x, first=first)
    msd = [((x[:, :, 2 * k :] - x[:, :, : -2 * k]) ** 2).sum(axis=1).mean() for k in LAGS]
    assert_allclose(found.msd, msd, rtol=1e-9, atol=0)
    weights = slope_weights(msd, 99, first=first)
    for n, (i, j) in enumerate(TENSOR_AXES):
        products = [
            ((x[:, i, 2 * k :] - x[:, i, : -2 * k]) * (x[:, j, 2 * k :] - x[:, j, : -2 * k])).mean()
            for k in LAGS
        ]
        expected = weights[1] @ products / (2 * 0.2) * 1e-4
        scale = found.diffusivity
        assert_allclose(found.by_block[:, n].mean(), expected, rtol=0, atol=1e-9 * scale)
        assert_allclose(found.by_ion[:, n].mean(), expected, rtol=0, atol=1e-9 * scale)
    assert_allclose(found.intercept, weights[0] @ msd, rtol=1e-9, atol=1e-9)
    assert_allclose(found.diffusivity, weights[1] @ msd / (6 * 0.2) * 1e-4, rtol=1e-9, atol=0)
    assert_allclose(found.share, 6 * 19.9, rtol=1e-12, atol=0)


def test_one_replica_has_the_larger_of_two_variances():
    found = fit(paths())
    ions, blocks = found.by_ion @ ISOTROPIC, found.by_block @ ISOTROPIC
    by_ions = distributions.sem(ions) ** 2
    result = pooled([found], np.ones(1), ISOTROPIC)
    expected = max(by_ions, block_spread(blocks).variance)
    assert_allclose(result.spread.variance, expected, rtol=1e-9, atol=0)
    assert result.spread == result.within
    assert not result.replicas_differ


@pytest.mark.parametrize("n_ions", [1, 4, 5])
def test_fewer_than_five_ions_speak_by_blocks_alone(n_ions):
    one = replica(1.0 + 0.1 * np.arange(8))
    ions = np.outer(1.0 + np.arange(float(n_ions)), [1.0, 1.0, 1.0, 0.0, 0.0, 0.0])
    result = pooled([replace(one, by_ion=ions)], np.ones(1), ISOTROPIC)
    blocks = block_spread(one.by_block @ ISOTROPIC).variance
    expected = blocks if n_ions < 5 else distributions.sem(ions[:, 0]) ** 2
    assert expected == blocks or expected > 2 * blocks
    assert_allclose(result.spread.variance, expected, rtol=1e-9, atol=0)


def test_replicas_that_agree_are_pooled():
    """Variances within and between, by their degrees of freedom."""
    rng = np.random.default_rng(0)
    ions = 1.0 + 0.3 * rng.standard_normal((3, 8))
    ions += 1.0 - ions.mean(axis=1, keepdims=True) + [[-0.05], [0.0], [0.05]]
    result = pooled([replica(row) for row in ions], np.full(3, 1 / 3), ISOTROPIC)
    assert not result.replicas_differ
    between, within = np.var([-0.05, 0.0, 0.05], ddof=1) / 3, result.within
    freedom = within.freedom + 2
    expected = (within.freedom * within.variance + 2 * between) / freedom
    assert_allclose(result.value, 1.0, rtol=1e-9, atol=0)
    assert_allclose(result.spread.variance, expected, rtol=1e-9, atol=0)
    assert_allclose(result.spread.freedom, freedom, rtol=1e-9, atol=0)


def test_replicas_that_differ_stand_alone():
    ions = np.array([[1.0], [2.0], [3.0]]) + 0.01 * np.arange(8.0)
    result = pooled([replica(row) for row in ions], np.full(3, 1 / 3), ISOTROPIC)
    assert result.replicas_differ
    assert result.spread.freedom == 2
    assert_allclose(result.spread.variance, 1 / 3, rtol=1e-9, atol=0)
    assert result.within.variance < 1e-3


def test_neighboring_blocks_are_correlated():
    """Σ over blocks and their neighbors, by hand; it is at most a quarter below the truth."""
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((4000, 9))
    for memory, least in ((0.0, 0.95), (0.4, 0.75), (1.0, 0.7)):
        values = noise[:, 1:] + memory * noise[:, :-1]
        stated = np.mean([block_spread(row).variance for row in values])
        assert least < stated / values.mean(axis=1).var() < 1.2
    row = np.array([1.0, 2.0, 4.0, 5.0])  # −2, −1, 1, 2 about the mean
    assert_allclose(block_spread(row).variance, (10 + 2 * (2 - 1 + 2)) / 12, rtol=1e-12, atol=0)
    # a negative covariance of neighbors counts as none
    trend = np.array([-1.0, 1.0] * 4)
    assert_allclose(block_spread(trend).variance, 8 / (8 * 7), rtol=1e-12, atol=0)
