"""Functions of sums over edges: naive ones, derivatives of first and second order, both ways."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch.nn import functional

from mdbench.graph import build_graph
from mdbench.nn import smooth
from mdbench.nn.edge_form import EdgeRows
from mdbench.nn.edge_sums import gated_sums, values_and_scores

N_HEADS = 3


@pytest.fixture(params=["compiled", "torch", "double"])
def dtype(request, monkeypatch):
    """Compiled in single precision, and torch in both."""
    if request.param == "torch":
        monkeypatch.setattr(smooth, "smooth_kernels", lambda: None)
    return torch.float64 if request.param == "double" else torch.float32


def some_edges(n_atoms=5, side=5.0, seed=0):
    rng = np.random.default_rng(seed)
    positions = rng.uniform(0.0, side, (n_atoms, 3))
    graph = build_graph(np.full(n_atoms, 3), positions, side * np.eye(3), 4.0)
    return EdgeRows.of_pairs(graph)


def random_tensors(shapes, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return [2.0 * torch.randn(s, dtype=torch.float64, generator=generator) for s in shapes]


def naive_gated(edges, received, sent, paired, weights):
    """Edge by edge."""
    found = [torch.zeros(received.shape[1] // 2, dtype=received.dtype) for _ in received]
    for i, j, r in zip(edges.receivers, edges.senders, edges.rows, strict=True):
        gate, core = (received[i] + sent[j] + paired[r]).chunk(2)
        found[i] = found[i] + weights[r] * torch.sigmoid(gate) * functional.softplus(core)
    return (torch.stack(found),)


def naive_values(edges, sent, paired):
    """(n_edges, n_heads, n), edge by edge."""
    rows = [sent[j] + paired[r] for j, r in zip(edges.senders, edges.rows, strict=True)]
    return functional.softplus(torch.stack(rows)).unflatten(1, (N_HEADS, -1))


def naive_both(edges, sent, paired, vectors):
    """Values, and their products with all vectors at once."""
    values = naive_values(edges, sent, paired)
    vectors = vectors.unflatten(1, (N_HEADS, -1)).transpose(0, 1)
    return values.flatten(1), (values[:, :, None] * vectors).sum(dim=3)


def gated(edges, *terms):
    return (gated_sums(edges, *terms),)


def both(edges, *terms):
    return values_and_scores(edges, *terms, N_HEADS)


def gated_shapes(edges):
    n, n_pairs = edges.n_atoms, len(edges.first)
    return [(n, 12), (n, 12), (n_pairs, 12), (n_pairs,)]


def both_shapes(edges):
    return [(edges.n_atoms, 15), (len(edges.first), 15), (2, 15)]


CASES = pytest.mark.parametrize(
    "function, naive, shapes",
    [(gated, naive_gated, gated_shapes), (both, naive_both, both_shapes)],
    ids=["gated", "values"],
)


def derivatives(function, edges, terms, places):
    """Values; slopes of their random sum; slopes of a random sum of the slopes at some places."""
    terms = [term.clone().requires_grad_() for term in terms]
    made = function(edges, *terms)
    factors = [f.to(made[0]).requires_grad_() for f in random_tensors([m.shape for m in made], 2)]
    total = sum((m * f).sum() for m, f in zip(made, factors, strict=True))
    slopes = torch.autograd.grad(total, terms, create_graph=True)
    along = [a.to(made[0]) for a in random_tensors([s.shape for s in slopes], 3)]
    mixed = sum((slopes[k] * along[k]).sum() for k in places)
    bends = torch.autograd.grad(mixed, [*terms, *factors], materialize_grads=True)
    return [part.detach() for part in (*made, *slopes, *bends)]


@CASES
@pytest.mark.parametrize("places", [(0, 1), (0, 1, 2)], ids=["some", "more"])
def test_values_and_derivatives_are_the_naive_ones(dtype, function, naive, shapes, places):
    edges = some_edges()
    terms = random_tensors(shapes(edges))
    found = derivatives(function, edges, [term.to(dtype) for term in terms], places)
    expected = derivatives(naive, edges, terms, places)
    rtol = 2e-6 if dtype == torch.float32 else 1e-11
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == dtype
        assert_allclose(one, other, rtol=0, atol=rtol * float(other.abs().max()))


def test_the_slope_by_weights_counts_in_second_derivatives(dtype):
    """Envelopes depend on distances, as z does."""
    edges = some_edges()
    terms = random_tensors(gated_shapes(edges))
    found = derivatives(gated, edges, [term.to(dtype) for term in terms], (2, 3))
    expected = derivatives(naive_gated, edges, terms, (2, 3))
    for one, other in zip(found, expected, strict=True):
        assert_allclose(one, other, rtol=0, atol=2e-6 * float(other.abs().max()))


@CASES
def test_only_what_is_asked_for_gets_a_slope(dtype, function, naive, shapes):
    """Weights have none where forces are all that is wanted."""
    edges = some_edges()
    terms = [term.to(dtype) for term in random_tensors(shapes(edges))]
    every = [term.clone().requires_grad_() for term in terms]
    expected = torch.autograd.grad(sum(m.sum() for m in function(edges, *every)), every)
    for k, term in enumerate(terms):
        alone = term.clone().requires_grad_()
        made = function(edges, *terms[:k], alone, *terms[k + 1 :])
        (slope,) = torch.autograd.grad(sum(m.sum() for m in made), alone)
        assert_allclose(slope, expected[k], rtol=1e-5, atol=1e-6 * float(slope.abs().max()))


@CASES
def test_rows_may_lie_in_any_order_in_memory(dtype, function, naive, shapes):
    edges = some_edges()
    terms = [term.to(dtype) for term in random_tensors(shapes(edges))]
    turned = [term.T.contiguous().T if term.dim() > 1 else term for term in terms]
    one, other = (derivatives(function, edges, given, (0, 1)) for given in (turned, terms))
    for x, y in zip(one, other, strict=True):
        assert_allclose(x, y, rtol=1e-5, atol=1e-6 * float(y.abs().max()))


@CASES
def test_atoms_without_neighbors(dtype, function, naive, shapes):
    edges = some_edges(2, 60.0)
    assert len(edges.rows) == 0
    terms = [term.to(dtype) for term in random_tensors(shapes(edges))]
    for part in derivatives(function, edges, terms, (0, 1)):
        assert not part.any()
