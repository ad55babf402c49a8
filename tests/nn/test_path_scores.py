"""Scores of edges: those that torch makes of all of them, and their derivatives."""

import pytest
import torch
from numpy.testing import assert_allclose
from torch.nn import functional

from mdbench.nn import edge_products
from mdbench.nn.edge_products import EdgeProducts
from mdbench.nn.path_scores import leaky, path_scores

N_ATOMS, N_SLOTS, N_ROWS = 4, 3, 5


def random(seed, *shape):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def both_products():
    """Of 4 channels of scalars, and of 3 channels of vectors along an edge."""
    n, generator = N_ATOMS * N_SLOTS, torch.Generator().manual_seed(0)
    senders = torch.randint(N_ATOMS, (n,), generator=generator)
    rows = torch.randint(N_ROWS, (n,), generator=generator)
    shapes = [(None, (N_ATOMS, 1, 4), (N_ROWS, 4)), ((n, 1, 3), (N_ATOMS, 3, 3), (N_ROWS, 3))]
    made = []
    for seed, (maps, atoms, filters) in enumerate(shapes):
        wanted = [maps, atoms, atoms, filters]
        made.append(
            [
                s if s is None else random(10 * seed + k, *s).requires_grad_()
                for k, s in enumerate(wanted)
            ]
        )
    return [EdgeProducts(senders, rows, *of) for of in made]


def layers(*, trained):
    """W, b and heads."""
    return (
        [random(30, 5, 7), random(31, 5), random(32, 5, 2)]
        if not trained
        else [x.requires_grad_() for x in layers(trained=False)]
    )


def naive_scores(first, second, weights, bias, heads):
    """One slot after the other."""
    products = torch.cat([first.made()[:, 0], second.made()[:, 0]], dim=1)
    scores = []
    for row in products:
        hidden = weights @ row + bias
        scores.append((0.2 * hidden + 0.8 * functional.silu(hidden)) @ heads)
    return torch.stack(scores)


def assert_same(found, expected):
    for one, other in zip(found, expected, strict=True):
        bound = 1e-12 * float(other.detach().abs().max())
        assert_allclose(one.detach(), other.detach(), rtol=0, atol=bound)


@pytest.mark.parametrize("kind", ["frozen", "trained", "torch"])
def test_values_and_derivatives_of_two_orders(kind, monkeypatch):
    monkeypatch.setattr(edge_products, "_PIECE", 5 * 7)  # five slots at a time
    if kind == "torch":
        monkeypatch.setattr(edge_products, "kernels", lambda: None)
    both, weights = both_products(), layers(trained=kind == "trained")
    inputs = [x for of in both for x in of[2:] if x is not None]
    inputs += [x for x in weights if x.requires_grad]
    values = path_scores(*both, *weights), naive_scores(*both, *weights)
    assert_same(*([value] for value in values))
    without_graph = [
        torch.autograd.grad(value.square().sum(), inputs, retain_graph=True) for value in values
    ]
    assert_same(*without_graph)
    slopes = [
        torch.autograd.grad(value.square().sum(), inputs, create_graph=True) for value in values
    ]
    assert_same(slopes[0], without_graph[1])
    assert_same(*(torch.autograd.grad(sum(s.square().sum() for s in of), inputs) for of in slopes))


def test_activation_leaks_on_one_side():
    far = torch.tensor([-50.0, 0.0, 50.0], dtype=torch.float64)
    assert_allclose(leaky(far), [-10.0, 0.0, 50.0], rtol=1e-12, atol=1e-12)
