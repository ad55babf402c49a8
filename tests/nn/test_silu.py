"""silu and its derivatives of the first three orders, in both precisions."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch.nn import functional

from mdbench.nn.smooth import silu


def derivatives(function, x, y, z):
    """What forces and their losses take: of y f(x), and of the slope times z, by x and y."""
    value = function(x)
    (slope,) = torch.autograd.grad(value, x, y, create_graph=True)
    return [value, slope, *torch.autograd.grad(slope, (x, y), z)]


@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 2e-6), (torch.float64, 1e-13)])
def test_values_and_derivatives_are_those_of_torch(dtype, tolerance):
    generator = torch.Generator().manual_seed(0)
    x, y, z = torch.randn(3, 40, 30, generator=generator, dtype=torch.float64)
    x = 6.0 * x  # tails too
    exact = derivatives(functional.silu, x.requires_grad_(), y.requires_grad_(), z)
    x, y, z = (t.detach().to(dtype) for t in (x, y, z))
    found = derivatives(silu, x.requires_grad_(), y.requires_grad_(), z)
    for one, other in zip(found, exact, strict=True):
        assert one.dtype == dtype
        scale = float(other.detach().abs().max())
        assert_allclose(one.detach(), other.detach(), rtol=0, atol=tolerance * scale)


def test_far_from_zero_it_is_a_line_or_nothing():
    x = torch.tensor([-1e4, -200.0, -90.0, 90.0, 200.0, 1e4], requires_grad=True)
    ones = torch.ones_like(x, requires_grad=True)
    value, slope, curved, _ = derivatives(silu, x, ones, torch.ones_like(x))
    assert_allclose(value.detach(), x.detach().clamp(min=0.0), rtol=0, atol=1e-30)
    assert_allclose(slope.detach(), np.float32([0, 0, 0, 1, 1, 1]), rtol=0, atol=1e-30)
    assert_allclose(curved, torch.zeros_like(x), rtol=0, atol=1e-30)


def test_rows_need_not_be_contiguous():
    x = torch.randn(6, 4).t().requires_grad_()
    y = torch.randn(4, 6, requires_grad=True)
    z = torch.randn(6, 4).t()
    found, expected = (derivatives(f, x, y, z) for f in (silu, functional.silu))
    for one, other in zip(found, expected, strict=True):
        assert_allclose(one.detach(), other.detach(), rtol=0, atol=1e-5)


def test_third_derivatives():
    x = torch.linspace(-3.0, 3.0, 7, dtype=torch.float64, requires_grad=True)
    thirds = []
    for function in (silu, functional.silu):
        slope = function(x).sum()
        for _ in range(3):
            (slope,) = torch.autograd.grad(slope.sum(), x, create_graph=True)
        thirds.append(slope.detach())
    assert_allclose(thirds[0], thirds[1], rtol=0, atol=1e-13)
