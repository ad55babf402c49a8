"""Densities of ions: counts against a naive twin, smoothing in skewed cells, overlap."""

from itertools import product

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from mdbench.analysis.ion_density import (
    IonDensity,
    density_overlap,
    grid_shape,
    ion_density,
    pooled,
)
from mdbench.errors import InputError

TRICLINIC = np.array([[6.0, 0.3, 0.1], [2.0, 5.0, -0.2], [1.0, -1.5, 7.0]])


def counts_of(counts, cell, n_frames=1):
    return IonDensity(np.asarray(counts), np.asarray(cell, dtype=float), n_frames, 0.1 * n_frames)


def test_no_edge_of_a_voxel_is_longer_than_asked():
    for spacing in (0.1, 0.25, 0.33, 2.0, 50.0):
        shape = np.array(grid_shape(TRICLINIC, spacing))
        lengths = np.linalg.norm(TRICLINIC, axis=1)
        assert (lengths / shape <= spacing).all()
        assert (lengths / np.maximum(shape - 1, 1) > spacing).all() or (shape == 1).any()
    assert grid_shape(np.eye(3) * 10.0, 0.25) == (40, 40, 40)
    assert grid_shape(np.eye(3) * (3 * 0.1), 0.1) == (3, 3, 3)  # 0.1 three times is above 0.3


@pytest.mark.parametrize("spacing", [0.0, -1.0, np.nan])
def test_senseless_spacing_is_refused(spacing):
    with pytest.raises(InputError, match="spacing of the grid"):
        grid_shape(TRICLINIC, spacing)


def test_counts_are_those_of_the_naive_twin():
    rng = np.random.default_rng(0)
    paths = rng.normal(0.0, 2.0, (3, 3, 200))
    shape = (5, 4, 7)
    expected = np.zeros(shape, dtype=int)
    for path in paths:
        for place in path.T:
            expected[tuple(int(x % 1.0 * n) for x, n in zip(place, shape, strict=True))] += 1
    found = ion_density(paths, shape, TRICLINIC, frame_interval_ps=0.5)
    assert_array_equal(found.counts, expected)
    assert (found.n_samples, found.n_frames, found.n_ions) == (600, 200, 3)
    assert_allclose(found.length_ps, 100.0, rtol=1e-12, atol=0)
    assert_allclose(found.probability.sum(), 1.0, rtol=1e-12, atol=0)
    volume = np.linalg.det(TRICLINIC) / expected.size
    assert_allclose(found.per_volume.sum() * volume, 3.0, rtol=1e-12, atol=0)


def test_a_hair_below_zero_is_in_a_voxel():
    path = np.full((3, 1), -1e-20)
    assert ion_density([path], (4, 4, 4), np.eye(3), frame_interval_ps=1.0).n_samples == 1


def test_a_point_becomes_a_gaussian_in_a_skewed_cell():
    cell = TRICLINIC * 0.6
    shape, width = (24, 22, 27), 0.45
    counts = np.zeros(shape, dtype=int)
    counts[3, 20, 11] = 5
    found = counts_of(counts, cell).smoothed(width)
    grid = np.stack(np.meshgrid(*[np.arange(n) / n for n in shape], indexing="ij"), axis=-1)
    expected = np.zeros(shape)
    for image in product(range(-3, 4), repeat=3):
        apart = (grid - np.array([3, 20, 11]) / shape + image) @ cell
        expected += np.exp(-0.5 * (apart**2).sum(axis=-1) / width**2)
    expected /= expected.sum()
    assert_allclose(found, expected, rtol=1e-6, atol=1e-9 * expected.max())


def test_smoothing_keeps_the_sum_and_moves_with_the_grid():
    rng = np.random.default_rng(1)
    counts = rng.poisson(0.05, (9, 8, 7))
    one = counts_of(counts, TRICLINIC).smoothed(0.4)
    moved = counts_of(np.roll(counts, (2, 3, 4), axis=(0, 1, 2)), TRICLINIC).smoothed(0.4)
    assert_allclose(one.sum(), 1.0, rtol=1e-12, atol=0)
    assert (one >= 0.0).all()
    assert_allclose(np.roll(one, (2, 3, 4), axis=(0, 1, 2)), moved, rtol=1e-9, atol=1e-15)


def test_overlap():
    """Two points apart, the same point, and half of one on the other."""
    cell = np.eye(3) * 8.0
    here, there, half = (np.zeros((32, 32, 32), dtype=int) for _ in range(3))
    here[4, 4, 4], there[20, 20, 20] = 7, 3
    half[4, 4, 4], half[20, 20, 20] = 50, 50
    one, other, both = (counts_of(x, cell) for x in (here, there, half))
    assert_allclose(density_overlap(one, one, width=0.3), 1.0, rtol=1e-12, atol=0)
    assert density_overlap(one, other, width=0.3) < 1e-6
    assert_allclose(density_overlap(one, both, width=0.3), 0.5, rtol=1e-6, atol=0)
    assert_allclose(density_overlap(both, one, width=0.3), 0.5, rtol=1e-6, atol=0)


def test_overlap_of_two_gaussians_has_a_closed_form():
    """Of unit width σ at a distance d: 2 Φ(−d/2σ)."""
    cell, width = np.eye(3) * 8.0, 0.5
    counts = np.zeros((64, 64, 64), dtype=int)
    counts[10, 30, 30] = 1
    moved = np.roll(counts, 6, axis=0)  # 0.75 Å
    found = density_overlap(counts_of(counts, cell), counts_of(moved, cell), width=width)
    assert_allclose(found, 2 * 0.2266273523768682, rtol=1e-2, atol=0)


def test_runs_are_pooled_by_frames():
    rng = np.random.default_rng(2)
    paths = rng.random((2, 3, 90))
    parts = [paths[..., :30], paths[..., 30:]]
    cells = [TRICLINIC, 1.1 * TRICLINIC]
    runs = [
        ion_density(part, (6, 5, 7), cell, frame_interval_ps=0.1)
        for part, cell in zip(parts, cells, strict=True)
    ]
    whole = ion_density(paths, (6, 5, 7), TRICLINIC, frame_interval_ps=0.1)
    found = pooled(runs)
    assert_array_equal(found.counts, whole.counts)
    assert_array_equal(found.cell, TRICLINIC)
    assert found.n_frames == 90
    assert_allclose(found.length_ps, 9.0, rtol=1e-12, atol=0)


def test_other_grids_are_refused():
    one, other = (
        counts_of(np.ones(shape, dtype=int), np.eye(3)) for shape in ((2, 2, 2), (2, 2, 3))
    )
    with pytest.raises(InputError, match="several grids"):
        pooled([one, other])
    with pytest.raises(InputError, match="two grids"):
        density_overlap(one, other, width=0.3)
