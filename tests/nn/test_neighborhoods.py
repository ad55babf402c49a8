"""Neighbors in slots beside loops over the edges."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from mdbench.graph import build_graph
from mdbench.nn.neighborhoods import Neighborhoods


def graph_of(n_atoms, side, seed=0, cutoff=4.0):
    rng = np.random.default_rng(seed)
    cell = side * np.eye(3) + rng.uniform(-0.3, 0.3, (3, 3))
    positions = rng.uniform(0.0, 1.0, (n_atoms, 3)) @ cell
    return build_graph(np.full(n_atoms, 3), positions, cell, cutoff, dtype=torch.float64)


@pytest.mark.parametrize("n_atoms, side", [(1, 3.1), (5, 4.5), (9, 8.0), (2, 30.0)])
def test_every_edge_has_its_slot(n_atoms, side):
    graph = graph_of(n_atoms, side)
    near, (receivers, senders) = Neighborhoods.of(graph), graph.edge_index
    rows = torch.randn(n_atoms, 3, dtype=torch.float64)
    sent, lengths = near.of_senders(rows), near.padded(graph.edge_lengths[:, None])
    by_pair = near.of_pairs(graph.edge_lengths[near.first][:, None])
    busiest = int(torch.bincount(receivers, minlength=n_atoms).max())
    assert near.shape == (n_atoms, max(1, busiest))
    assert len(near.first) == graph.n_edges // 2
    for i in range(n_atoms):
        mine, n = receivers == i, int((receivers == i).sum())
        assert_close(sent[i, :n], rows[senders[mine]], rtol=0, atol=0)
        assert_close(lengths[i, :n, 0], graph.edge_lengths[mine], rtol=0, atol=0)
        assert_close(by_pair[i, :n, 0], graph.edge_lengths[mine], rtol=1e-14, atol=0)
        assert not lengths[i, n:].any()


def test_without_any_edge():
    near = Neighborhoods.of(graph_of(1, 30.0))
    assert near.shape == (1, 1)
    assert near.of_senders(torch.ones(1, 4)).shape == (1, 1, 4)
    assert near.of_pairs(torch.ones(0, 4)).shape == (1, 1, 4)
    assert near.padded(torch.ones(0, 4)).shape == (1, 1, 4)
