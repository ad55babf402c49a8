"""Mean squared displacements: naive twins, freud, closed forms."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.spatial.transform import Rotation

from mdbench.analysis.msd import (
    TENSOR_AXES,
    lag_moments,
    mean_squared_displacement,
    non_gaussian_parameter,
)
from mdbench.walks import Walk

from .little import walk_of


def free(n_ions=5, n_frames=120, seed=0):
    """(n_ions, 3, n_frames) Å."""
    return np.cumsum(np.random.default_rng(seed).normal(size=(n_ions, 3, n_frames)), axis=2)


def naive_msd(paths):
    n_frames = paths.shape[2]
    found = np.zeros((3, n_frames))
    for lag in range(1, n_frames):
        for axis in range(3):
            squares = [
                (path[axis, s + lag] - path[axis, s]) ** 2
                for path in paths
                for s in range(n_frames - lag)
            ]
            found[axis, lag] = sum(squares) / len(squares)
    return found


def naive_moments(path, lag, origins):
    """Six mean products and the mean fourth power of one ion over some origins."""
    moved = [path[:, s + lag] - path[:, s] for s in origins]
    products = [np.mean([d[i] * d[j] for d in moved]) for i, j in TENSOR_AXES]
    return products, np.mean([(d @ d) ** 2 for d in moved])


@pytest.mark.parametrize("shape", [(1, 2), (1, 31), (3, 30), (4, 64)])
def test_msd_is_that_of_the_definition(shape):
    paths = free(*shape)
    assert_allclose(mean_squared_displacement(paths), naive_msd(paths), rtol=1e-9, atol=1e-12)


def test_msd_is_that_of_freud():
    freud = pytest.importorskip("freud")
    paths = free(8, 500)
    oracle = freud.msd.MSD(mode="window").compute(paths.transpose(2, 0, 1)).msd
    found = mean_squared_displacement(paths).sum(axis=0)
    assert_allclose(found[1:], oracle[1:], rtol=1e-4, atol=0)  # freud has single precision


def test_ballistic_motion_is_exact():
    velocities = np.random.default_rng(1).normal(size=(6, 3, 1))  # Å per frame
    lags = np.arange(200)
    found = mean_squared_displacement(velocities * lags)
    expected = (velocities**2).mean(axis=0) * lags**2  # (3, n_frames)
    assert_allclose(found[:, 1:], expected[:, 1:], rtol=1e-9, atol=0)
    assert (found[:, 0] == 0).all()


def test_ions_may_be_read_one_after_the_other():
    paths = free()
    again = [path.copy() for path in paths]
    assert_allclose(
        mean_squared_displacement(again), mean_squared_displacement(paths), rtol=1e-12, atol=0
    )
    one, two = (lag_moments(x, np.array([1, 5]), 3) for x in (again, paths))
    assert_allclose(one.products, two.products, rtol=1e-12, atol=0)
    assert_allclose(paths, np.array(again), rtol=0, atol=0)  # nothing was centered in place


@given(st.floats(-1e4, 1e4), st.integers(0, 1000))
def test_a_constant_shift_changes_nothing(shift, seed):
    paths = free(2, 40, seed)
    shifted = paths + shift
    lags = np.array([1, 2, 7])
    here, there = mean_squared_displacement(paths), mean_squared_displacement(shifted)
    assert_allclose(there[:, 1:], here[:, 1:], rtol=1e-6, atol=0)
    squares = [lag_moments(x, lags, 4).squares for x in (paths, shifted)]
    assert_allclose(squares[1], squares[0], rtol=1e-6, atol=0)


@pytest.mark.parametrize("n_blocks", [1, 3, 8])
def test_moments_are_those_of_the_definition(n_blocks):
    paths, lags = free(3, 61), np.array([1, 4, 20])
    moments = lag_moments(paths, lags, n_blocks)
    assert moments.products.shape == (3, n_blocks, 3, 6)
    for k, lag in enumerate(lags):
        n_origins = 61 - lag
        edges = [b * n_origins // n_blocks for b in range(n_blocks + 1)]
        for b in range(n_blocks):
            origins = range(edges[b], edges[b + 1])
            assert_allclose(moments.weights[b, k], len(origins) / n_origins, rtol=1e-12, atol=0)
            for ion, path in enumerate(paths):
                products, quartic = naive_moments(path, lag, origins)
                assert_allclose(moments.products[ion, b, k], products, rtol=1e-9, atol=1e-12)
                assert_allclose(moments.quartic[ion, b, k], quartic, rtol=1e-9, atol=0)


def test_moments_add_up_to_the_msd():
    paths, lags = free(), np.array([1, 3, 10, 40])
    moments = lag_moments(paths, lags, 8)
    found = (moments.products[..., :3].mean(axis=0) * moments.weights[..., None]).sum(axis=0)
    expected = mean_squared_displacement(paths)[:, lags].T  # (n_lags, 3)
    assert_allclose(found, expected, rtol=1e-9, atol=0)
    assert_allclose(moments.squares, moments.products[..., :3].sum(axis=-1), rtol=1e-12, atol=0)


def test_more_blocks_than_origins_leave_some_empty():
    moments = lag_moments(free(2, 10), np.array([7]), 8)
    empty = moments.weights[:, 0] == 0
    assert empty.sum() == 5
    assert (moments.products[:, empty] == 0).all()


@given(st.integers(0, 1000))
def test_products_turn_with_the_ions(seed):
    paths = free(2, 30, seed)
    turn = Rotation.random(rng=np.random.default_rng(seed)).as_matrix()
    lags = np.array([1, 5])
    before, after = lag_moments(paths, lags, 2), lag_moments(turn @ paths, lags, 2)
    tensors = np.empty((2, *before.squares.shape, 3, 3))
    for tensor, moments in zip(tensors, (before, after), strict=True):
        for n, (i, j) in enumerate(TENSOR_AXES):
            tensor[..., i, j] = tensor[..., j, i] = moments.products[..., n]
    assert_allclose(tensors[1], turn @ tensors[0] @ turn.T, rtol=1e-9, atol=1e-9)
    assert_allclose(after.squares, before.squares, rtol=1e-9, atol=0)
    assert_allclose(after.quartic, before.quartic, rtol=1e-9, atol=0)


def test_free_walkers_are_gaussian():
    motion = walk_of(Walk(n_ions=300, repeats=7, free_diffusivity=1e-4), 300)
    moments = lag_moments(motion.displacements, np.array([1, 3, 10]), 4)
    assert_allclose(non_gaussian_parameter(moments), 0.0, rtol=0, atol=0.03)


def test_rare_hops_are_not_gaussian():
    """λ hops within a lag: ⟨r²⟩ = λa², ⟨r⁴⟩ = (λ + 5λ²/3)a⁴, so that α₂ = 3/(5λ)."""
    motion = walk_of(Walk(n_ions=300, repeats=7, hops_per_ps=0.2), 600)
    lags = np.array([1, 5, 20])
    moments = lag_moments(motion.displacements, lags, 4)
    expected = 3 / (5 * 0.2 * 0.1 * lags)
    assert_allclose(non_gaussian_parameter(moments), expected, rtol=0.1, atol=0)


def test_ions_at_rest_have_no_non_gaussian_parameter():
    moments = lag_moments(np.zeros((2, 3, 20)), np.array([1, 2]), 2)
    assert np.isnan(non_gaussian_parameter(moments)).all()
    assert (mean_squared_displacement(np.zeros((2, 3, 20))) == 0).all()
