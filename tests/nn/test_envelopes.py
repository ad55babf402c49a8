"""Envelopes: how often they can be differentiated at the cutoff."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from mdbench.errors import InputError
from mdbench.nn.envelopes import cosine_envelope, envelope, polynomial_envelope
from mdbench.nn.layers import ShiftedSoftplus, linear

CUTOFF = 5.0


def derivatives(function, d):
    """Value and three derivatives at d."""
    x = torch.tensor([d], dtype=torch.float64, requires_grad=True)
    y = function(x, CUTOFF)
    found = [y]
    for _ in range(3):
        (y,) = torch.autograd.grad(y.sum(), x, create_graph=True)
        found.append(y)
    return [float(f.detach()) for f in found]


@pytest.mark.parametrize("power", [4, 5, 6, 8])
def test_the_polynomial_goes_with_the_third_power(power):
    """By finite differences, without trust in autograd: near the cutoff δ³ times −u'''/6."""
    p, delta = power, np.array([0.02, 0.01, 0.005])
    inside = polynomial_envelope(torch.tensor(CUTOFF - delta), CUTOFF, p).numpy()
    third = p * (p + 1) * (p + 2) / CUTOFF**3
    assert_allclose(inside / delta**3, np.full(3, third / 6), rtol=0.04, atol=0)
    assert polynomial_envelope(torch.tensor(CUTOFF), CUTOFF, p) == 0.0
    assert not polynomial_envelope(torch.tensor([CUTOFF + 1e-9, 7.0, 90.0]), CUTOFF, p).any()


def test_the_polynomial_is_one_at_zero_and_falls():
    d = torch.linspace(0.0, CUTOFF, 200, dtype=torch.float64)
    u = polynomial_envelope(d, CUTOFF)
    assert u[0] == 1.0
    assert (u.diff() < 1e-15).all()


def test_derivatives_at_the_cutoff():
    """The polynomial's first two vanish, the cosine's second one jumps to π²/2c²."""
    inside = CUTOFF - 1e-7
    assert_allclose(derivatives(polynomial_envelope, inside)[:3], np.zeros(3), rtol=0, atol=1e-6)
    value, first, second, _ = derivatives(cosine_envelope, inside)
    assert_allclose([value, first], [0.0, 0.0], rtol=0, atol=1e-7)
    assert_allclose(second, 0.5 * (np.pi / CUTOFF) ** 2, rtol=1e-6, atol=0)
    assert derivatives(cosine_envelope, CUTOFF + 1e-7) == [0.0] * 4


def test_the_cosine():
    d = np.array([0.0, 1.25, 2.5, 3.75])
    found = cosine_envelope(torch.tensor(d), CUTOFF)
    assert_allclose(found, [1.0, 0.5 + 0.5**1.5, 0.5, 0.5 - 0.5**1.5], rtol=1e-12, atol=0)


def test_envelopes_have_names():
    assert envelope("polynomial") is polynomial_envelope
    assert envelope("cosine") is cosine_envelope
    with pytest.raises(InputError, match=r"^envelope 'cosin'; did you mean cosine\?$"):
        envelope("cosin")


def test_shifted_softplus():
    x = torch.tensor([-3.0, 0.0, 0.7], dtype=torch.float64)
    expected = np.log(0.5 * np.exp(x.numpy()) + 0.5)
    assert_allclose(ShiftedSoftplus()(x), expected, rtol=1e-12, atol=1e-15)


def test_linear_layers_begin_without_bias():
    torch.manual_seed(0)
    layer = linear(200, 100)
    assert not layer.bias.any()
    bound = np.sqrt(6 / 300)
    assert 0.99 * bound < layer.weight.abs().max() <= bound
    assert linear(2, 3, bias=False).bias is None
