"""Spreads of means over correlated frames: blocks, runs, temperatures."""

import numpy as np
from numpy.testing import assert_allclose, assert_array_equal

from mdbench.analysis.correlated import frame_blocks


def layout(n_temperatures, n_runs, n_frames):
    """Temperature, run and number of every frame."""
    t, run, frame = np.meshgrid(
        *(np.arange(n) for n in (n_temperatures, n_runs, n_frames)), indexing="ij"
    )
    return t.ravel().astype(float), (t * n_runs + run).ravel(), frame.ravel()


def test_blocks_are_neighbors_whatever_the_order():
    rng = np.random.default_rng(0)
    t, runs, frames = layout(2, 3, 47)
    order = rng.permutation(len(t))
    blocks = frame_blocks(t[order], runs[order], frames[order])
    back = np.argsort(order)
    assert_array_equal(blocks.blocks[back], frame_blocks(t, runs, frames).blocks)
    assert_array_equal(np.unique(blocks.blocks), np.arange(60))
    for block in range(60):
        own = blocks.blocks == block
        assert len(np.unique(blocks.runs[own])) == 1
        numbers = np.sort(frames[order][own])
        assert_array_equal(numbers, np.arange(numbers[0], numbers[0] + len(numbers)))
        assert len(numbers) in (4, 5)


def test_the_blocks_of_independent_frames_say_little_more_than_sigma_over_root_n():
    """Memory and run excess count only where they add: about 1.4 times the variance."""
    rng = np.random.default_rng(1)
    blocks = frame_blocks(*layout(3, 4, 200))
    ratios = []
    for _ in range(200):
        values = rng.standard_normal(2400)
        ratios.append(blocks.spread(values).variance * 2400)
    assert 1.0 < np.mean(ratios) < 1.6
    assert 1.0 < np.median(ratios) < 1.5


def test_temperatures_are_no_noise():
    t, runs, frames = layout(3, 2, 100)
    values = np.random.default_rng(2).standard_normal(600)
    blocks = frame_blocks(t, runs, frames)
    alike, apart = blocks.spread(values), blocks.spread(values + 1000.0 * t)
    assert_allclose(apart.variance, alike.variance, rtol=1e-6, atol=0)
    pooled = frame_blocks(np.full(600, np.nan), runs, frames).spread(values + 1000.0 * t)
    assert pooled.variance > 1e4 * apart.variance


def test_runs_that_differ_count_as_runs():
    """Six runs with values of their own: the spread of six numbers."""
    t, runs, frames = layout(1, 6, 100)
    levels = np.array([3.0, -1.0, 4.0, 1.0, -5.0, 9.0])
    spread = frame_blocks(t, runs, frames).spread(levels[runs])
    assert_allclose(spread.variance, levels.var(ddof=1) / 6, rtol=1e-9, atol=0)
    assert 5.0 <= spread.freedom < 9.0


def test_a_large_offset_changes_nothing():
    blocks = frame_blocks(*layout(2, 2, 50))
    values = np.random.default_rng(3).standard_normal(200)
    assert_allclose(
        blocks.spread(values + 1e3).variance, blocks.spread(values).variance, rtol=1e-8, atol=0
    )


def test_a_single_frame_tells_nothing():
    one = frame_blocks(np.array([800.0]), np.array([0]), np.array([5]))
    assert one.spread(np.array([1.0])) is None


def test_single_frames_of_temperatures_are_taken_together():
    blocks = frame_blocks(np.arange(4.0), np.arange(4), np.zeros(4, dtype=int))
    values = np.array([1.0, 2.0, 4.0, 8.0])
    spread = blocks.spread(values)
    assert_allclose(spread.variance, values.var(ddof=1) / 4, rtol=1e-12, atol=0)
    assert_allclose(spread.freedom, 3.0, rtol=1e-12, atol=0)
