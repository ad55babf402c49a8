"""Weights of a slope: their covariance against a double sum and against drawn paths."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from mdbench.analysis.brownian import msd_covariance, slope_weights

N_LAGS = 10


def double_sum(noise_ratio, n_lags, n_steps):
    """Covariance from that of the positions, origin by origin."""
    at = np.arange(n_steps + 1)
    positions = np.minimum(at[:, None], at) + 0.5 * noise_ratio * np.eye(n_steps + 1)
    rows = []
    for lag in range(1, n_lags + 1):
        moves = np.zeros((n_steps + 1 - lag, n_steps + 1))
        for s in range(len(moves)):
            moves[s, s + lag], moves[s, s] = 1.0, -1.0
        rows.append(moves)
    # the covariance of squares of normal variables is twice the square of theirs
    return np.array([[(2 * (p @ positions @ q.T) ** 2).mean() for q in rows] for p in rows])


def drawn_msd(noise_ratio, n_steps, n_paths, rng):
    """(n_paths, N_LAGS) MSD of paths with σ = 1."""
    steps = rng.standard_normal((n_paths, n_steps + 1))
    steps[:, 0] = 0.0
    noise = np.sqrt(noise_ratio / 2) * rng.standard_normal(steps.shape)
    x = np.cumsum(steps, axis=1) + noise
    lags = range(1, N_LAGS + 1)
    return np.stack([((x[:, k:] - x[:, :-k]) ** 2).mean(axis=1) for k in lags], axis=1)


@pytest.mark.parametrize("noise_ratio", [0.0, 0.3, 5.0])
@pytest.mark.parametrize("n_lags, n_steps", [(1, 1), (4, 5), (6, 6), (10, 33)])
def test_covariance_is_the_double_sum_over_origins(noise_ratio, n_lags, n_steps):
    found = msd_covariance(noise_ratio, n_lags, n_steps)
    assert_allclose(found, double_sum(noise_ratio, n_lags, n_steps), rtol=1e-10, atol=0)


@pytest.mark.parametrize("noise_ratio", [0.0, 4.0])
def test_covariance_is_that_of_drawn_paths(noise_ratio):
    msd = drawn_msd(noise_ratio, 30, 40_000, np.random.default_rng(0))
    expected = msd_covariance(noise_ratio, N_LAGS, 30)
    scale = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
    assert_allclose(np.cov(msd.T) / scale, expected / scale, rtol=0, atol=0.05)
    assert_allclose(msd.mean(axis=0), noise_ratio + np.arange(1, 11), rtol=0.02, atol=0)


def test_covariance_of_one_lag_without_noise():
    """Squares of n independent normal steps: variance 2/n."""
    assert_allclose(msd_covariance(0.0, 1, 25), [[2 / 25]], rtol=1e-12, atol=0)


curves = st.lists(st.floats(0.0, 1e3), min_size=N_LAGS, max_size=N_LAGS)


@given(curves, st.integers(10, 200), st.integers(1, 8))
def test_weights_find_any_straight_line(msd, n_steps, first):
    weights = slope_weights(msd, n_steps, first=first)
    assert weights.shape == (2, N_LAGS)
    assert (weights[:, : first - 1] == 0).all()
    lags = np.arange(1.0, N_LAGS + 1)
    assert_allclose(weights @ np.ones(N_LAGS), [1, 0], rtol=0, atol=1e-6)
    assert_allclose(weights @ lags, [0, 1], rtol=0, atol=1e-6)
    assert_allclose(weights @ (3.0 + 0.5 * lags), [3.0, 0.5], rtol=0, atol=1e-5)


@pytest.mark.parametrize("first", [1, 5])
@pytest.mark.parametrize("noise_ratio", [0.0, 0.7, 20.0])
def test_weights_are_those_of_least_variance(noise_ratio, first):
    lags = np.arange(first, N_LAGS + 1.0)
    design = np.stack([np.ones_like(lags), lags], axis=1)
    covariance = double_sum(noise_ratio, N_LAGS, 40)[first - 1 :, first - 1 :]
    inverse = np.linalg.inv(covariance)
    least = np.linalg.inv(design.T @ inverse @ design)
    msd = 2.5 * (noise_ratio + np.arange(1, N_LAGS + 1))
    weights = slope_weights(msd, 40, first=first)[:, first - 1 :]
    assert_allclose(weights, least @ design.T @ inverse, rtol=1e-6, atol=1e-8)
    ordinary = np.linalg.pinv(design)
    assert (weights @ covariance @ weights.T)[1, 1] <= (ordinary @ covariance @ ordinary.T)[1, 1]


@pytest.mark.parametrize("noise_ratio, gain", [(0.0, 3.0), (1.0, 1.7)])
def test_slopes_are_unbiased_and_beat_ordinary_least_squares(noise_ratio, gain):
    """Each from the curve of twelve paths alone, as for ions; `gain` in variance."""
    msd = drawn_msd(noise_ratio, 100, 12 * 500, np.random.default_rng(2))
    curves = msd.reshape(500, 12, N_LAGS).mean(axis=1)
    slopes = np.array([(slope_weights(curve, 100) @ curve)[1] for curve in curves])
    ordinary = np.polyfit(np.arange(1, 11), curves.T, 1)[0]
    assert_allclose(slopes.mean(), 1.0, rtol=0.01, atol=0)
    assert ordinary.var() > gain * slopes.var()


def test_a_plateau_counts_all_lags_alike():
    """There is no slope that the noise could be compared with."""
    weights = slope_weights([3.0] * N_LAGS, 10_000)
    lags = np.arange(N_LAGS) - 4.5
    assert_allclose(weights[1], lags / (lags @ lags), rtol=0.1, atol=0.002)
