"""Softplus: its values far from 0, where it is hard, and its derivatives."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from mdbench.nn import smooth
from mdbench.nn.smooth import softplus


def exact(x):
    return np.logaddexp(0.0, x.double().numpy())


@pytest.mark.parametrize(
    "dtype, rtol", [(torch.float32, 4e-6), (torch.float64, 3e-9)], ids=["single", "double"]
)
def test_small_values_are_right_relatively(dtype, rtol):
    """Where it is eˣ, 1 + eˣ would lose all digits."""
    x = torch.linspace(-80.0, 80.0, 20_001, dtype=dtype)
    assert_allclose(softplus(x).double(), exact(x), rtol=rtol, atol=0)


def test_single_precision_is_rounding_near_zero():
    x = torch.linspace(-5.0, 20.0, 20_001)
    assert_allclose(softplus(x).double(), exact(x), rtol=5e-7, atol=0)


def test_what_is_no_number_stays_none():
    x = torch.tensor([np.nan, np.inf, -np.inf, -200.0, 200.0])
    found = softplus(x)
    assert found[0].isnan()
    assert found[1] == np.inf
    assert 0.0 <= found[2] < 1e-37
    assert 0.0 <= found[3] < 1e-37
    assert found[4] == 200.0


@pytest.mark.parametrize("way", ["compiled", "torch"])
def test_any_shape_and_order_in_memory(way, monkeypatch):
    if way == "torch":
        monkeypatch.setattr(smooth, "smooth_kernels", lambda: None)
    x = torch.randn(4, 3, 5, generator=torch.Generator().manual_seed(0))
    for part in (x, x[:, 1], x.transpose(0, 2), x[0, 0, 0], x[:0]):
        assert softplus(part).shape == part.shape
        assert_allclose(softplus(part).double(), exact(part), rtol=1e-6, atol=0)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_derivatives_are_those_of_torch(order):
    start = torch.linspace(-15.0, 15.0, 61, dtype=torch.float64)
    found = []
    for function in (softplus, torch.nn.functional.softplus):
        x = start.clone().requires_grad_()
        y = function(x)
        for _ in range(order):
            (y,) = torch.autograd.grad(y.sum(), x, create_graph=True)
        found.append(y.detach())
    assert_allclose(*found, rtol=1e-9, atol=1e-16)
