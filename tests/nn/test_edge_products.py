"""Products of edges and their sums: naive ones, derivatives of two orders, both ways."""

import pytest
import torch
from numpy.testing import assert_allclose

from mdbench.nn import edge_products
from mdbench.nn.edge_products import EdgeProducts, pieces

N_ATOMS, N_SLOTS, N_ROWS, N_HEADS, N_CHANNELS = 4, 3, 5, 2, 6
#: Parts of products and of what atoms have; no parts of products for the identity.
MAPS = [(0, 1), (0, 3), (1, 1), (1, 3), (3, 1), (3, 3), (2, 2)]


@pytest.fixture(params=["compiled", "torch"])
def way(request, monkeypatch):
    """Both ways to compute, and sums of two atoms at a time."""
    monkeypatch.setattr(edge_products, "_PIECE", 2 * N_SLOTS * 3 * N_CHANNELS)
    if request.param == "torch":
        monkeypatch.setattr(edge_products, "kernels", lambda: None)


def factors(maps, seed=1):
    """Weights of sums, M, x, y and w."""
    generator = torch.Generator().manual_seed(seed)
    n_parts, n_own = maps
    shapes = [
        (N_ATOMS, N_HEADS, N_SLOTS),
        (N_ATOMS * N_SLOTS, n_parts, n_own),
        (N_ATOMS, n_own, N_CHANNELS),
        (N_ATOMS, n_own, N_CHANNELS),
        (N_ROWS, N_CHANNELS),
    ]
    made = [
        torch.randn(s, dtype=torch.float64, generator=generator, requires_grad=True) for s in shapes
    ]
    return made if n_parts else [made[0], None, *made[2:]]


def places(seed=0):
    generator = torch.Generator().manual_seed(seed)
    n = N_ATOMS * N_SLOTS
    return (
        torch.randint(N_ATOMS, (n,), generator=generator),
        torch.randint(N_ROWS, (n,), generator=generator),
    )


def naive_products(senders, rows, maps, sent, received, filters):
    """One slot after the other."""
    made = []
    for slot, (j, row) in enumerate(zip(senders, rows, strict=True)):
        own = sent[j] + received[slot // N_SLOTS]
        if maps is not None:
            own = torch.stack([sum(m * x for m, x in zip(r, own, strict=True)) for r in maps[slot]])
        made.append(own * filters[row])
    return torch.stack(made)


def naive_sums(weights, products):
    """One atom and one head after the other."""
    sums = [
        [
            sum(a * products[i * N_SLOTS + slot] for slot, a in enumerate(weights[i, h]))
            for h in range(N_HEADS)
        ]
        for i in range(N_ATOMS)
    ]
    return torch.stack([torch.stack(of_atom) for of_atom in sums]).flatten(2)


def some_number(values, seed=5):
    """A random sum, so that all of them matter."""
    generator = torch.Generator().manual_seed(seed)
    return (values * torch.randn(values.shape, dtype=torch.float64, generator=generator)).sum()


def assert_same(found, expected):
    for one, other in zip(found, expected, strict=True):
        bound = 1e-12 * float(other.detach().abs().max())
        assert_allclose(one.detach(), other.detach(), rtol=0, atol=bound)


@pytest.mark.parametrize("maps", MAPS)
@pytest.mark.parametrize("summed", [False, True])
def test_values_and_derivatives_of_two_orders(way, maps, summed):
    every = factors(maps)
    inputs = [x for x in (every if summed else every[1:]) if x is not None]
    others = [x for x in factors(maps, seed=2) if x is not None][-len(inputs) :]
    ours = EdgeProducts(*places(), *every[1:])
    naive = naive_products(*places(), *every[1:])
    values = (ours.heard(every[0]), naive_sums(every[0], naive)) if summed else (ours.made(), naive)
    assert_same(*([value] for value in values))
    slopes = [
        torch.autograd.grad(some_number(value.square()), inputs, create_graph=True)
        for value in values
    ]
    assert_same(*slopes)
    mixed = [sum((s * w).sum() for s, w in zip(of, others, strict=True)) for of in slopes]
    assert_same(*(torch.autograd.grad(number, inputs) for number in mixed))


def test_second_derivatives_by_some_factors_only(way):
    """Where the others have none, as when a model is not trained."""
    every = factors((1, 3))
    for x in (every[1], every[3]):
        x.requires_grad_(False)
    inputs = [every[0], every[2]]
    ours = EdgeProducts(*places(), *every[1:]).heard(every[0])
    naive = naive_sums(every[0], naive_products(*places(), *every[1:]))
    found = []
    for value in (ours, naive):
        slopes = torch.autograd.grad(some_number(value.square()), inputs, create_graph=True)
        found.append(torch.autograd.grad(slopes[1].square().sum(), inputs))
    assert_same(*found)


def test_maps_may_be_a_view(way):
    """Derivatives by maps whose rows are not one after the other in memory."""
    _, maps, *others = factors((3, 3))
    turned = maps.transpose(1, 2)
    one = EdgeProducts(*places(), turned, *others).made()
    other = EdgeProducts(*places(), turned.contiguous(), *others).made()
    assert_same([one], [other])
    assert_same(*(torch.autograd.grad(some_number(value), maps) for value in (one, other)))


def test_single_precision_stays_single(way):
    weights, *others = [None if x is None else x.detach() for x in factors((3, 3))]
    single = EdgeProducts(*places(), *(x.float() for x in others)).heard(weights.float())
    assert single.dtype == torch.float32
    exact = EdgeProducts(*places(), *others).heard(weights)
    assert_allclose(single, exact, rtol=0, atol=1e-6 * float(exact.abs().max()))


@pytest.mark.parametrize("n", [1, 7, 8])
def test_pieces_are_everything_once(n, monkeypatch):
    monkeypatch.setattr(edge_products, "_PIECE", 30)
    for size, most in ((10, 3), (100, 1)):
        found = list(pieces(n, size))
        assert [i for start, end in found for i in range(start, end)] == list(range(n))
        assert max(end - start for start, end in found) <= most


@pytest.mark.parametrize("maps", MAPS)
def test_third_derivatives_of_sums(way, maps):
    """Also where second ones are made to have derivatives."""
    every = factors(maps)
    inputs = [x for x in every if x is not None]
    ours = EdgeProducts(*places(), *every[1:]).heard(every[0])
    naive = naive_sums(every[0], naive_products(*places(), *every[1:]))
    found = []
    for value in (ours, naive):
        number = some_number(value.square())
        for _ in range(2):
            slopes = torch.autograd.grad(number, inputs, create_graph=True)
            number = sum(some_number(slope) for slope in slopes)
        found.append(torch.autograd.grad(number, inputs))
    assert_same(*found)
