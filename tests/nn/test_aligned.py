"""Functions on the sphere in the frames of edges, and at points."""

import math

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from mdbench.graph import build_graph
from mdbench.nn import aligned
from mdbench.nn.aligned import (
    AlignedEdges,
    by_order,
    orthonormal_grid,
    sums_by_atom,
    sums_in_slots,
)
from mdbench.nn.rotations import edge_frames, rotated_harmonics

CPU = torch.device("cpu")


def crystal():
    """Atoms with different numbers of neighbors, images of their own among them."""
    rng = np.random.default_rng(0)
    cell = np.array([[4.3, 0.2, -0.3], [0.9, 5.6, 0.1], [-0.5, 0.8, 7.1]])
    return build_graph([3, 16, 15, 3], rng.uniform(size=(4, 3)) @ cell, cell, 4.5).to(
        "cpu", torch.float64
    )


def aligned_edges(graph, weights, n_degrees, max_order):
    frames = edge_frames(graph.edge_vectors / graph.edge_lengths[:, None])
    sizes = {"n_atoms": graph.n_atoms, "n_degrees": n_degrees, "max_order": max_order}
    return AlignedEdges.of(graph.edge_index, graph.back, frames, weights, **sizes)


def random(*shape):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def test_order_of_coefficients():
    assert by_order(3, 0) == [0, 2, 6]
    assert by_order(3, 2) == [0, 2, 6, 3, 7, 1, 5, 8, 4]


@pytest.mark.parametrize("max_order", [None, 1])
def test_harmonics_are_orthonormal(max_order):
    grid = orthonormal_grid(4, 6, 9, max_order, torch.float64, CPU)
    one = torch.eye(grid.to_points.shape[1], dtype=torch.float64)
    assert_close(grid.to_coefficients @ grid.to_points, one, rtol=0, atol=1e-13)
    assert_close(
        grid.to_points[:, 0],
        torch.full_like(one[0, 0], math.sqrt(0.25 / math.pi)).expand(len(grid.points)),
        rtol=1e-14,
        atol=0,
    )
    weights = grid.to_coefficients[0] / grid.to_points[:, 0]  # of the integral
    squares = grid.to_points.T @ (weights[:, None] * grid.to_points) * math.sqrt(4.0 * math.pi)
    assert_close(squares / squares[0, 0], one, rtol=0, atol=1e-13)


def test_turns_of_all_edges():
    """Row by row of edge by edge: Σ over coefficients of what is known at each end."""
    graph, n_degrees, max_order = crystal(), 4, 2
    edges = aligned_edges(graph, torch.ones(graph.n_edges), n_degrees, max_order)
    frames = edge_frames(graph.edge_vectors / graph.edge_lengths[:, None])
    wigner = rotated_harmonics(frames, n_degrees)
    degrees = torch.tensor([0, 1, 1, 1, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3])
    for order, (turns, rows) in enumerate(zip(edges.turns, edges.rows, strict=True)):
        n_maps = 4 if order else 2
        known = random(n_maps, graph.n_atoms, 16 - order**2, 5)
        found = (turns @ known).flatten(0, 2)[rows].flatten(1, 2)  # (n_edges, n_rows · n_maps, 5)
        for edge, ends in enumerate(graph.edge_index.T.tolist()):
            row = {}
            for sign in {order, -order}:
                places = degrees * (degrees + 1) + sign
                picked = wigner[edge, places.clamp(max=15), torch.arange(16)]
                row[sign] = torch.where(degrees >= order, picked, 0.0)[order**2 :]
            c, s = row[order], row[-order]
            kinds = [[c, c]] if not order else [[c, c, -s, -s], [s, s, c, c]]
            expected = [
                turn @ known[k, ends[k % 2]] for kind in kinds for k, turn in enumerate(kind)
            ]
            assert_close(found[edge], torch.stack(expected), rtol=0, atol=1e-13)


@pytest.mark.parametrize("max_order", [0, 2])
def test_sums_of_messages(max_order, monkeypatch):
    """At once, piece by piece, and in slots; also of functions that have fewer orders."""
    graph, n_degrees = crystal(), 3
    weights = random(graph.n_edges)
    edges = aligned_edges(graph, weights, n_degrees, 2)
    kept = by_order(n_degrees, max_order)
    told = random(graph.n_edges, len(kept), 4)
    frames = edge_frames(graph.edge_vectors / graph.edge_lengths[:, None])
    back = rotated_harmonics(frames, n_degrees)[:, kept].transpose(1, 2) @ told
    expected = torch.zeros(graph.n_atoms, 9, 4, dtype=torch.float64)
    for edge, receiver in enumerate(graph.edge_index[0].tolist()):
        expected[receiver] += weights[edge] * back[edge]
    assert_close(edges.summed(told), expected, rtol=0, atol=1e-13)
    returns = edges.returns[:, : len(kept)]
    in_slots = sums_in_slots(returns, told, edges.slots, (graph.n_atoms, edges.n_slots))
    assert_close(in_slots, expected, rtol=0, atol=1e-13)
    monkeypatch.setattr(aligned, "_CPU_EDGES", 1)
    assert len(list(edges.pieces())) == 1  # as gradients are recorded
    with torch.no_grad():
        pieces = list(edges.pieces())
    assert len(pieces) == graph.n_atoms
    found = torch.cat([edges.summed(told[piece.edges], piece) for piece in pieces])
    assert_close(found, expected, rtol=0, atol=1e-13)


def test_an_atom_without_edges_gets_nothing():
    returns, told = random(3, 2, 9), random(3, 2, 4)
    found = sums_by_atom(returns, told, [0, 0, 1, 1, 3])
    assert found.shape == (4, 9, 4)
    assert not found[[0, 2]].any()
    slots = torch.tensor([2, 6, 7])
    assert_close(sums_in_slots(returns, told, slots, (4, 2)), found, rtol=0, atol=1e-13)
