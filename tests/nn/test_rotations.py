"""Harmonics in other frames and at points."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from mdbench.nn.rotations import edge_frames, orders_up_to, rotated_harmonics, sphere_grid
from mdbench.nn.spherical import spherical_harmonics


def unit_vectors(n, seed=0):
    x = np.random.default_rng(seed).normal(size=(n, 3))
    return torch.tensor(x / np.linalg.norm(x, axis=1)[:, None])


def rotations(n, seed=1):
    return edge_frames(unit_vectors(n, seed)) @ edge_frames(unit_vectors(n, seed + 1))


def test_frames_are_rotations_that_put_edges_upright():
    axes = torch.cat([torch.eye(3), -torch.eye(3)]).double()
    directions = torch.cat([unit_vectors(50), axes, unit_vectors(6) * 1e-9 + axes])
    directions = directions / torch.linalg.vector_norm(directions, dim=1, keepdim=True)
    frames = edge_frames(directions)
    upright = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64).expand(len(directions), 3)
    assert_close((frames @ directions[:, :, None])[:, :, 0], upright, rtol=0, atol=1e-14)
    one = torch.eye(3, dtype=torch.float64).expand_as(frames)
    assert_close(frames @ frames.transpose(1, 2), one, rtol=0, atol=1e-14)
    assert_close(torch.linalg.det(frames), torch.ones(len(frames)).double(), rtol=1e-14, atol=0)


def test_frames_change_smoothly():
    """All around the sphere, but for the neighborhood of one direction."""
    a, b = unit_vectors(200, 8), unit_vectors(200, 9)
    near = a + 1e-6 * b
    near = near / torch.linalg.vector_norm(near, dim=1, keepdim=True)
    slopes = (edge_frames(near) - edge_frames(a)).abs().amax(dim=(1, 2)) / 1e-6
    assert slopes.median() < 2.0
    assert slopes.max() < 40.0


@pytest.mark.parametrize("n_degrees", [1, 2, 4, 7])
def test_harmonics_of_rotated_points(n_degrees):
    turns, points = rotations(5), unit_vectors(20, 3)
    turns = torch.cat([turns, -turns])  # also improper ones
    matrices = rotated_harmonics(turns, n_degrees)
    turned = torch.einsum("nij,pj->npi", turns, points).flatten(0, 1)
    found = torch.einsum("nab,pb->npa", matrices, spherical_harmonics(points, n_degrees))
    assert_close(found.flatten(0, 1), spherical_harmonics(turned, n_degrees), rtol=0, atol=1e-13)
    one = torch.eye(n_degrees**2, dtype=torch.float64).expand_as(matrices)
    assert_close(matrices @ matrices.transpose(1, 2), one, rtol=0, atol=1e-13)


def test_rotations_after_one_another():
    one, other = rotations(4, 5), rotations(4, 7)
    both = rotated_harmonics(one, 5) @ rotated_harmonics(other, 5)
    assert_close(rotated_harmonics(one @ other, 5), both, rtol=0, atol=1e-13)


def test_rows_of_low_order():
    turns = rotations(3)
    kept = orders_up_to(4, 1)
    assert kept.tolist() == [0, 1, 2, 3, 5, 6, 7, 11, 12, 13]
    few = rotated_harmonics(turns, 4, max_order=1)
    assert_close(few, rotated_harmonics(turns, 4)[:, kept], rtol=0, atol=1e-14)


def test_derivatives_by_the_rotation():
    turns = rotations(2)
    assert torch.autograd.gradcheck(lambda r: rotated_harmonics(r, 3), turns.requires_grad_())


def test_values_and_coefficients():
    n_degrees = 5
    grid = sphere_grid(n_degrees, 6, 12)
    norms = torch.linalg.vector_norm(grid.points, dim=1)
    assert_close(norms, torch.ones_like(norms), rtol=1e-14, atol=0)
    values = spherical_harmonics(grid.points, n_degrees)
    assert_close(grid.to_points, values, rtol=0, atol=1e-14)
    one = torch.eye(n_degrees**2, dtype=torch.float64)
    assert_close(grid.to_coefficients @ grid.to_points, one, rtol=0, atol=1e-13)
    ones = torch.ones(len(grid.points), dtype=torch.float64)
    assert_close(grid.to_points @ grid.constant, ones, rtol=1e-13, atol=0)


def turn_dependence(n_azimuth):
    """How much a nonlinear function of values depends on a turn about z, relatively."""
    grid, kept = sphere_grid(4, 6, n_azimuth), orders_up_to(4, 2)
    to_points, to_coefficients = grid.to_points[:, kept], grid.to_coefficients[kept]
    c, s = np.cos(0.3), np.sin(0.3)
    turn = torch.tensor([[[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]]], dtype=torch.float64)
    matrix = rotated_harmonics(turn, 4)[0][kept][:, kept]
    generator = torch.Generator().manual_seed(0)
    coefficients = torch.randn(len(kept), 8, generator=generator, dtype=torch.float64)

    def changed(x):
        return to_coefficients @ torch.nn.functional.silu(to_points @ x)

    difference = matrix.T @ changed(matrix @ coefficients) - changed(coefficients)
    return float(difference.abs().max() / changed(coefficients).abs().max())


def test_points_in_azimuth_make_aliases_small():
    few, some, many = (turn_dependence(n) for n in (5, 9, 17))
    assert few > 0.02
    assert some < 0.5 * few
    assert many < 0.1 * few
