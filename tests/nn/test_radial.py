"""Radial bases against their formulas."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy.integrate import quad

from mdbench.nn.radial import BesselBasis, ExpNormalBasis, GaussianBasis

LENGTHS = np.array([0.4, 1.3, 2.71, 4.0, 4.99])


def values(basis, lengths=LENGTHS):
    return basis.double()(torch.tensor(lengths)).detach().numpy()


@pytest.mark.parametrize("trainable", [True, False])
def test_gaussians(trainable):
    basis = GaussianBasis(5.0, 11, trainable=trainable)
    mu = 0.5 * np.arange(11)
    expected = np.exp(-((LENGTHS[:, None] - mu) ** 2) / (2 * 0.5**2))
    expected[expected < 1e-20] = 0.0
    assert (expected == 0.0).any()
    assert_allclose(values(basis), expected, rtol=1e-5, atol=0)
    assert sum(p.numel() for p in basis.parameters()) == (12 if trainable else 0)
    assert set(basis.state_dict()) == {"centers", "width"}


def envelope(d, cutoff, p):
    x = d / cutoff
    return (
        1
        - (p + 1) * (p + 2) / 2 * x**p
        + p * (p + 2) * x ** (p + 1)
        - p * (p + 1) / 2 * x ** (p + 2)
    )


@pytest.mark.parametrize("power", [5, 6])
def test_bessel_functions(power):
    k = np.arange(1, 7)
    expected = np.sqrt(2 / 5.0) * np.sin(k * np.pi * LENGTHS[:, None] / 5.0) / LENGTHS[:, None]
    expected *= envelope(LENGTHS, 5.0, power)[:, None]
    found = values(BesselBasis(5.0, 6, power=power))
    assert_allclose(found, expected, rtol=1e-5, atol=1e-7)  # float32 frequencies


def test_bessel_functions_are_orthonormal_in_the_sphere():
    """∫ d² e_m e_n over the sphere's radius, without the envelope."""
    basis = BesselBasis(4.0, 4)

    def product(d, m, n):
        e = values(basis, np.array([d]))[0] / envelope(d, 4.0, 6)
        return d * d * e[m] * e[n]

    found = [[quad(product, 1e-6, 4.0 - 1e-4, (m, n))[0] for n in range(4)] for m in range(4)]
    assert_allclose(found, np.eye(4), rtol=0, atol=1e-3)


def test_frequencies_are_learned():
    basis = BesselBasis(5.0, 6)
    assert_allclose(basis.frequencies.detach(), np.pi * np.arange(1, 7), rtol=1e-6, atol=0)
    basis(torch.tensor([2.0])).sum().backward()
    assert basis.frequencies.grad.abs().min() > 0.0


@pytest.mark.parametrize("cutoff", [5.0, 6.0])
def test_exponential_normal_functions(cutoff):
    centers = np.linspace(np.exp(-5.0), 1.0, 16)
    beta = (2.0 / 16 * (1.0 - np.exp(-5.0))) ** -2
    lengths = LENGTHS * cutoff / 5.0  # a fifth of the cutoff is the unit
    expected = np.exp(-beta * (np.exp(-LENGTHS[:, None]) - centers) ** 2)
    assert_allclose(values(ExpNormalBasis(cutoff, 16), lengths), expected, rtol=1e-5, atol=1e-12)
    assert not list(ExpNormalBasis(cutoff, 16).parameters())
