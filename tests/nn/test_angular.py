"""Sums over the edges that meet in an atom, against a list of all pairs of edges."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from mdbench.graph import AtomGraph, build_graph, join_graphs
from mdbench.nn.angular import AngularBasis

N_DEGREES, N_BASIS, N_CHANNELS, N_MIXED = 4, 2, 3, 5


def crystal(seed: int, n_atoms: int = 4, cutoff: float = 3.2) -> AtomGraph:
    """Atoms in a small triclinic cell: they meet their own images, and images of one another."""
    rng = np.random.default_rng(seed)
    cell = np.diag(rng.uniform(2.6, 4.0, 3)) + rng.uniform(-0.6, 0.6, (3, 3))
    positions = rng.uniform(-1.0, 2.0, (n_atoms, 3)) @ cell
    numbers = rng.integers(1, 90, n_atoms)
    return build_graph(numbers, positions, cell, cutoff, dtype=torch.float64)


def unit(graph: AtomGraph) -> torch.Tensor:
    """(n_pairs, 3) directions of the first edges."""
    first = graph.pairs[1]
    return graph.edge_vectors[first] / graph.edge_lengths[first, None]


def random_inputs(graph: AtomGraph, seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    shapes = [
        (graph.n_edges // 2, N_DEGREES, N_BASIS),
        (graph.n_edges, N_CHANNELS),
        (N_CHANNELS, N_DEGREES, N_BASIS),
    ]
    radial, values, weights = (torch.as_tensor(rng.normal(size=shape)) for shape in shapes)
    return radial, values, weights


def listed_triplets(graph: AtomGraph) -> tuple[list[int], list[int]]:
    """Places of all i ← j and j ← k that are not the same line in both directions."""
    receivers, senders = graph.edge_index.tolist()
    shifts = graph.cell_shifts.tolist()
    first, second = [], []
    for e in range(graph.n_edges):
        for f in range(graph.n_edges):
            back = receivers[e] == senders[f] and shifts[e] == [-s for s in shifts[f]]
            if senders[e] == receivers[f] and not back:
                first.append(e)
                second.append(f)
    return first, second


def naive_sums(graph, directions, radial, values, weights):
    pairs, first_edges = graph.pairs
    ways = torch.full((graph.n_edges, 1), -1.0, dtype=torch.float64)
    ways[first_edges] = 1.0
    directions, radial = directions[pairs] * ways, radial[pairs]
    first, second = listed_triplets(graph)
    cosines = (directions[first] * directions[second]).sum(dim=1)
    polynomials = torch.stack(
        [
            torch.ones_like(cosines),
            cosines,
            (3 * cosines**2 - 1) / 2,
            (5 * cosines**3 - 3 * cosines) / 2,
        ],
        dim=1,
    )
    degrees = torch.arange(N_DEGREES, dtype=torch.float64)
    basis = polynomials * torch.sqrt((2 * degrees + 1) / (4 * math.pi))
    factors = torch.einsum("tl,tln,cln->tc", basis, radial[second], weights)
    sums = torch.zeros(graph.n_edges, N_CHANNELS, dtype=torch.float64)
    return sums.index_add(0, torch.tensor(first, dtype=torch.long), factors * values[second])


def random_mixed_inputs(graph: AtomGraph, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    shapes = [(graph.n_edges, N_MIXED, N_CHANNELS), (N_MIXED, N_DEGREES, N_BASIS)]
    values, weights = (torch.as_tensor(rng.normal(size=shape)) for shape in shapes)
    return values, weights


def naive_mixed_sums(graph, directions, radial, values, weights):
    parts = [
        naive_sums(graph, directions, radial, one, weight.expand(N_CHANNELS, -1, -1))
        for one, weight in zip(values.unbind(dim=1), weights, strict=True)
    ]
    return torch.stack(parts).sum(dim=0)


def check(graph: AtomGraph, seed: int) -> None:
    directions, radial, values, weights = (unit(graph), *random_inputs(graph, seed))
    compare(graph, seed, AngularBasis.sums, naive_sums, [directions, radial, values, weights])
    mixed = random_mixed_inputs(graph, seed)
    compare(graph, seed, AngularBasis.mixed_sums, naive_mixed_sums, [directions, radial, *mixed])


def compare(graph: AtomGraph, seed: int, sums, naive, inputs: list[torch.Tensor]) -> None:
    inputs = [x.detach().requires_grad_() for x in inputs]
    directions, radial, values, weights = inputs
    found = sums(AngularBasis.of(graph, directions, radial), values, weights)
    expected = naive(graph, directions, radial, values, weights)
    close(found, expected)
    probe = torch.as_tensor(np.random.default_rng(seed).normal(size=tuple(found.shape)))
    fast, slow = (torch.autograd.grad((x * probe).sum(), inputs) for x in (found, expected))
    close(turning(graph, fast[0]), turning(graph, slow[0]))
    for k in (1, 2, 3):
        close(fast[k], slow[k])


def close(found: torch.Tensor, expected: torch.Tensor) -> None:
    expected = expected.detach()
    scale = float(expected.abs().max()) if expected.numel() else 0.0
    assert_close(found.detach(), expected, rtol=0, atol=1e-11 * max(1.0, scale))


def turning(graph: AtomGraph, slope: torch.Tensor) -> torch.Tensor:
    """What a slope by directions says of lines that turn."""
    normal = unit(graph)
    return slope - (slope * normal).sum(dim=1, keepdim=True) * normal


@given(st.integers(0, 10**6), st.integers(1, 5))
@settings(max_examples=15, deadline=None)
def test_sums_are_those_over_listed_triplets(seed, n_atoms):
    check(crystal(seed, n_atoms, cutoff=2.8), seed)


def test_torch_does_the_same_without_compiled_loops(monkeypatch):
    monkeypatch.setattr("mdbench.nn.angular.kernels", lambda: None)
    check(crystal(3), 3)


def test_systems_of_a_batch_stay_apart():
    graph = join_graphs([crystal(1, 3), crystal(2, 5), crystal(3, 1, cutoff=0.5), crystal(4, 2)])
    check(graph, 0)


def test_an_image_of_the_receiver_is_a_sender():
    """One atom in a cubic cell has six edges: all but the one back meet each, all k are i."""
    graph = build_graph([3], [[0.1, 0.2, 0.3]], np.eye(3) * 3.0, 3.5, dtype=torch.float64)
    first, _ = listed_triplets(graph)
    assert graph.n_edges == 6
    assert len(first) == 6 * 5
    check(graph, 5)


@pytest.mark.parametrize("n_atoms", [1, 2])
def test_atoms_without_neighbors(n_atoms):
    positions = [[0.0, 0.0, 0.0], [5.0, 5.0, 5.0]][:n_atoms]
    graph = build_graph([3] * n_atoms, positions, np.eye(3) * 10.0, 2.0, dtype=torch.float64)
    assert graph.n_edges == 0
    check(graph, 6)


def test_angles_on_a_line():
    """k, j, i straight: α = 0, Y_l0 = √((2l+1)/4π)."""
    positions = [[2.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]  # i, j, k
    graph = build_graph([1, 1, 1], positions, np.eye(3) * 20.0, 1.5, dtype=torch.float64)
    _, values, weights = random_inputs(graph, 7)
    radial = torch.ones(graph.n_edges // 2, N_DEGREES, N_BASIS, dtype=torch.float64)
    found = AngularBasis.of(graph, unit(graph), radial).sums(values, weights)
    i_from_j, j_from_k = 0, 2
    assert graph.edge_index[:, i_from_j].tolist() == [0, 1]
    assert graph.edge_index[:, j_from_k].tolist() == [1, 2]
    harmonics = torch.sqrt((2 * torch.arange(N_DEGREES).double() + 1) / (4 * math.pi))
    expected = values[j_from_k] * (weights.sum(dim=2) @ harmonics)
    assert_close(found[i_from_j], expected, rtol=1e-12, atol=0)
