"""Sums over edges: naive sums, derivatives of first and second order, compiled and by torch."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from mdbench.graph import build_graph
from mdbench.nn import edge_form
from mdbench.nn.edge_form import EdgeRows

#: Parts of weights, of what is received and of what is sent.
PARTS = [(1, 1, 1), (3, 3, 1), (1, 3, 3), (3, 1, 3)]


@pytest.fixture(params=["compiled", "torch"])
def way(request, monkeypatch):
    """Both ways to compute."""
    if request.param == "torch":
        monkeypatch.setattr(edge_form, "_kernels", lambda: None)


def some_graph(n_atoms=5, side=5.0, seed=0):
    rng = np.random.default_rng(seed)
    positions = rng.uniform(0.0, side, (n_atoms, 3))
    return build_graph(np.full(n_atoms, 3), positions, side * np.eye(3), 4.0, dtype=torch.float64)


def rows_of(kind, graph):
    return EdgeRows.of_pairs(graph) if kind == "pairs" else EdgeRows.of_edges(graph)


def factors(edges, parts, n_channels=6, n_heads=2, seed=1):
    generator = torch.Generator().manual_seed(seed)
    n_edges, n_rows, (of_a, of_g, of_x) = len(edges.rows), len(edges.first), parts
    shapes = [
        (n_edges, of_a, n_heads),
        (edges.n_atoms, of_g, n_channels),
        (edges.n_atoms, of_x, n_channels),
        (n_rows, n_channels),
    ]
    return [
        torch.randn(s, dtype=torch.float64, generator=generator, requires_grad=True) for s in shapes
    ]


def naive_form(edges, a, g, x, w):
    """T, term by term: one edge and one part at a time."""
    n_parts, each = max(a.shape[1], g.shape[1], x.shape[1]), w.shape[1] // a.shape[2]
    total = 0.0
    for e, (i, j, r) in enumerate(zip(edges.receivers, edges.senders, edges.rows, strict=True)):
        for m in range(n_parts):
            of_a, of_g, of_x = a[e, m % a.shape[1]], g[i, m % g.shape[1]], x[j, m % x.shape[1]]
            total = total + (of_a.repeat_interleave(each) * of_g * of_x * w[r]).sum()
    return total


def the_form(edges, a, g, x, w):
    """T by what is heard, or by scores where receivers have fewer parts than the others."""
    if g.shape[1] == max(a.shape[1], x.shape[1]):
        return (g * edges.heard(x, w, a)).sum()
    parts = [edges.scores(g, x[:, m : m + 1], w, a.shape[2]) for m in range(x.shape[1])]
    return (a * torch.cat(parts, dim=1)).sum()


@pytest.mark.parametrize("kind", ["pairs", "edges"])
@pytest.mark.parametrize("parts", PARTS)
def test_sums_and_their_slopes_are_those_of_the_form(way, kind, parts):
    edges = rows_of(kind, some_graph())
    every = factors(edges, parts)
    found, expected = the_form(edges, *every), naive_form(edges, *every)
    assert_allclose(found.item(), expected.item(), rtol=1e-12, atol=0)
    slopes = [torch.autograd.grad(form, every) for form in (found, expected)]
    for one, other in zip(*slopes, strict=True):
        assert_allclose(one, other, rtol=0, atol=1e-12 * float(other.abs().max()))


@pytest.mark.parametrize("parts", PARTS)
def test_second_derivatives_are_those_of_the_form(way, parts):
    """Of a random sum of all slopes, by all factors."""
    edges = rows_of("pairs", some_graph(3))
    every, weights = factors(edges, parts), factors(edges, parts, seed=2)
    curved = []
    for form in (the_form(edges, *every), naive_form(edges, *every)):
        slopes = torch.autograd.grad(form, every, create_graph=True)
        mixed = sum((s * w.detach()).sum() for s, w in zip(slopes, weights, strict=True))
        curved.append(torch.autograd.grad(mixed, every))
    for one, other in zip(*curved, strict=True):
        assert_allclose(one, other, rtol=0, atol=1e-12 * float(other.abs().max()))


def test_scores_are_sums_over_all_parts_and_the_channels_of_a_head(way):
    edges = rows_of("edges", some_graph())
    _, g, x, w = factors(edges, (1, 3, 3))
    products = g[edges.receivers] * x[edges.senders] * w[:, None]
    expected = products.unflatten(2, (2, 3)).sum(dim=(1, 3))
    found = edges.scores(g, x, w, 2)[:, 0]
    assert_allclose(found.detach(), expected.detach(), rtol=1e-12, atol=1e-12)


def test_single_precision_stays_single(way):
    edges = rows_of("pairs", some_graph())
    a, _, x, w = (f.detach().float() for f in factors(edges, (1, 1, 1)))
    heard = edges.heard(x, w, a)
    assert heard.dtype == torch.float32
    exact = edges.heard(x.double(), w.double(), a.double())
    assert_allclose(heard, exact, rtol=0, atol=1e-6 * float(exact.abs().max()))


def test_atoms_without_neighbors_hear_nothing(way):
    edges = rows_of("pairs", some_graph(2, 60.0))
    a, _, x, w = factors(edges, (3, 3, 1))
    assert len(edges.rows) == 0
    assert not edges.heard(x, w, a).any()
    of_sent, of_filters = torch.autograd.grad(edges.heard(x, w, a).sum(), (x, w))
    assert not of_sent.any()
    assert of_filters.shape == w.shape
