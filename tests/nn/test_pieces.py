"""Functions of rows piece by piece: values and derivatives are those of the whole."""

import pytest
import torch
from torch.testing import assert_close

from mdbench.nn import pieces
from mdbench.nn.pieces import even_sizes, in_pieces, silu


def random(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def inputs():
    """Rows that matter to the derivative and some that do not, and the weights of a function."""
    x = random(7, 4, 3).requires_grad_()
    return x, random(7, 3, seed=1), random(3, 5, seed=2).requires_grad_()


def through(weights):
    def function(x, scale):
        return silu(x @ weights) * scale.sum(dim=1)[:, None, None]

    return function


@pytest.mark.parametrize("sizes", [[7], [3, 3, 1], [0, 2, 0, 5]])
def test_values_and_derivatives(sizes):
    x, scale, weights = inputs()
    function = through(weights)
    whole = function(x, scale)
    found = in_pieces(function, [x, scale], sizes, [weights])
    assert_close(found, whole, rtol=1e-14, atol=0)
    with torch.no_grad():
        assert_close(in_pieces(function, [x, scale], sizes), whole, rtol=1e-14, atol=0)
    slope = random(*whole.shape, seed=3)
    expected = torch.autograd.grad(whole, [x, weights], slope)
    for one, other in zip(torch.autograd.grad(found, [x, weights], slope), expected, strict=True):
        assert_close(one, other, rtol=1e-12, atol=0)


def test_sums_over_pieces():
    """A piece may become any number of rows."""
    x = random(7, 3).requires_grad_()

    def function(x):
        return x.square().sum(dim=0, keepdim=True)

    found = in_pieces(function, [x], [3, 4])
    assert_close(found, torch.stack([x[:3].square().sum(0), x[3:].square().sum(0)]))
    (slope,) = torch.autograd.grad(found, x, random(2, 3))
    expected = 2.0 * x * random(2, 3).repeat_interleave(torch.tensor([3, 4]), dim=0)
    assert_close(slope, expected, rtol=1e-14, atol=0)


def test_derivatives_of_derivatives():
    """Of results and of rows that are themselves computed."""
    x, scale, weights = inputs()

    def computed(x, weights):
        return in_pieces(through(weights), [2.0 * x, scale], [3, 3, 1], [weights])

    assert torch.autograd.gradcheck(computed, (x, weights))
    assert torch.autograd.gradgradcheck(computed, (x, weights))


def test_weights_that_take_no_part_in_training():
    x, scale, weights = inputs()
    weights.requires_grad_(False)
    found = in_pieces(through(weights), [x, scale], [4, 3], [weights])
    (slope,) = torch.autograd.grad(found.sum(), x)
    (expected,) = torch.autograd.grad(through(weights)(x, scale).sum(), x)
    assert_close(slope, expected, rtol=1e-13, atol=0)


def test_silu_overwrites_where_nothing_needs_it():
    x = random(5)
    expected = torch.nn.functional.silu(x)
    kept = x.clone()
    assert_close(silu(x), expected, rtol=0, atol=0)
    assert torch.equal(x, kept)
    with torch.no_grad():
        found = silu(x)
    assert found is x
    assert_close(x, expected, rtol=0, atol=0)


def test_pieces_fit_into_the_cache(monkeypatch):
    monkeypatch.setattr(pieces, "_CACHE_BYTES", 1000)
    assert even_sizes(torch.zeros(7, 2), 300) == [3, 3, 1]
    assert even_sizes(torch.zeros(2), 5000) == [1, 1]
    assert even_sizes(torch.zeros(0), 1) == []
    assert even_sizes(torch.zeros(7, device="meta"), 300) == [7]  # as on a GPU
