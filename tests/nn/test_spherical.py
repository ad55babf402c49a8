"""Spherical Bessel functions, their zeros, real harmonics: against SciPy and their identities."""

import math

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy.special import sph_harm_y, spherical_jn
from torch.testing import assert_close

from mdbench.nn.spherical import (
    SphericalBesselBasis,
    bessel_zeros,
    spherical_bessel,
    spherical_harmonics,
)

N_DEGREES, N_BASIS, CUTOFF = 7, 6, 6.0


def directions(n: int, seed: int = 0) -> torch.Tensor:
    vectors = torch.as_tensor(np.random.default_rng(seed).normal(size=(n, 3)))
    return vectors / vectors.norm(dim=1, keepdim=True)


def radial_of_scipy(lengths):
    """u(d) c/d √2/|j_{l+1}(z)| j_l(z d/c), with p = 6 written out."""
    x = lengths / CUTOFF
    u = 1 - 28 * x**6 + 48 * x**7 - 21 * x**8
    zeros = bessel_zeros(N_DEGREES, N_BASIS)
    functions = np.empty((len(x), N_DEGREES, N_BASIS))
    for degree in range(N_DEGREES):
        z = zeros[degree]
        norms = math.sqrt(2) / np.abs(spherical_jn(degree + 1, z))
        functions[:, degree] = norms * spherical_jn(degree, z * x[:, None])
    return functions * (u / x)[:, None, None]


def test_bessel_functions():
    x = np.linspace(0.85, 30.0, 500)  # from 0.5 Å on at 6 Å
    found = spherical_bessel(torch.as_tensor(np.tile(x, (N_DEGREES, 1))))
    for degree in range(N_DEGREES):
        error = np.abs(found[degree].numpy() - spherical_jn(degree, x))
        assert error.max() < 1e-11
        if degree < 3:
            assert error.max() < 1e-14


def test_zeros():
    zeros = bessel_zeros(10, 8)
    assert_allclose(zeros[0], math.pi * np.arange(1, 9), rtol=1e-15, atol=0)
    for degree in range(1, 10):
        z = zeros[degree]
        newton = spherical_jn(degree, z) / spherical_jn(degree, z, derivative=True)
        assert (np.abs(newton) < 1e-13 * z).all()
        # one zero between two of the degree below: none is left out
        assert (z[:-1] < zeros[degree - 1][1:]).all()
        assert (zeros[degree - 1] < z).all()


@pytest.mark.parametrize("dtype, rtol", [(torch.float64, 1e-9), (torch.float32, 3e-6)])
def test_radial_functions_down_to_half_an_angstrom(dtype, rtol):
    basis = SphericalBesselBasis(CUTOFF, N_DEGREES, N_BASIS).to(dtype)
    lengths = np.linspace(0.5, 5.9, 300).astype(np.float32).astype(np.float64)
    found = basis(torch.as_tensor(lengths).to(dtype))
    assert found.dtype == dtype
    expected = radial_of_scipy(lengths)
    scale = np.abs(expected).max(axis=0)
    assert (np.abs(found.numpy() - expected) < rtol * scale).all()


def test_radial_functions_vanish_at_the_cutoff_with_two_derivatives():
    near = torch.tensor([5.98, 5.99], dtype=torch.float64, requires_grad=True)
    value = SphericalBesselBasis(CUTOFF, N_DEGREES, N_BASIS)(near)[:, 3, 2]
    (slope,) = torch.autograd.grad(value.sum(), near, create_graph=True)
    (curvature,) = torch.autograd.grad(slope.sum(), near)
    # both the function and the envelope vanish: (c − d)⁴ at the least
    for found, power in ((value, 4), (slope, 3), (curvature, 2)):
        ratio = float((found[0] / found[1]).detach())
        assert_allclose(ratio, 2.0**power, rtol=0.05, atol=0)


@pytest.mark.parametrize("power", [5, 6])
def test_derivatives_of_radial_functions_are_those_of_autograd(power):
    """Of the first three orders; the basis knows two of them by itself."""
    basis = SphericalBesselBasis(CUTOFF, N_DEGREES, N_BASIS, power=power)
    lengths = torch.linspace(1.0, CUTOFF - 0.01, 40, dtype=torch.float64, requires_grad=True)
    probe = torch.randn(40, N_DEGREES, N_BASIS, dtype=torch.float64)
    found, expected = basis(lengths), basis.derivative(lengths / CUTOFF, 0)
    assert_close(found, expected, rtol=0, atol=0)
    for weights in (probe, probe[:, 0, 0], probe[:, 1, 0]):
        found, expected = (
            torch.autograd.grad((x * weights).sum(), lengths, create_graph=True)[0]
            for x in (found, expected)
        )
        assert_close(found, expected, rtol=0, atol=1e-11 * float(expected.detach().abs().max()))


def test_radial_functions_beyond_the_cutoff_are_zero():
    lengths = torch.tensor([CUTOFF, CUTOFF + 0.5], dtype=torch.float64, requires_grad=True)
    found = SphericalBesselBasis(CUTOFF, N_DEGREES, N_BASIS)(lengths)
    (slope,) = torch.autograd.grad(found.sum(), lengths, create_graph=True)
    (curvature,) = torch.autograd.grad(slope.sum(), lengths)
    for zero in (found, slope, curvature):
        assert (zero == 0).all()


def test_harmonics():
    n = directions(200)
    found = spherical_harmonics(n, N_DEGREES).numpy()
    polar = np.arccos(n[:, 2].numpy())
    azimuth = np.arctan2(n[:, 1].numpy(), n[:, 0].numpy())
    for degree in range(N_DEGREES):
        norm = math.sqrt(4 * math.pi / (2 * degree + 1))
        for order in range(-degree, degree + 1):
            complex_one = norm * (-1) ** order * sph_harm_y(degree, abs(order), polar, azimuth)
            parts = {0: complex_one.real, 1: math.sqrt(2) * complex_one.real}
            expected = parts.get(np.sign(order), math.sqrt(2) * complex_one.imag)
            column = found[:, degree**2 + degree + order]
            assert np.abs(column - expected).max() < 1e-13


@pytest.mark.parametrize("dtype, error", [(torch.float64, 1e-14), (torch.float32, 3e-6)])
def test_sums_over_orders_are_legendre_polynomials(dtype, error):
    a, b = directions(300, 1), directions(300, 2)
    products = spherical_harmonics(a.to(dtype), 9) * spherical_harmonics(b.to(dtype), 9)
    cosines = (a * b).sum(dim=1).numpy()
    for degree in range(9):
        legendre = np.polynomial.legendre.Legendre.basis(degree)(cosines)
        found = products[:, degree**2 : (degree + 1) ** 2].sum(dim=1).numpy()
        assert np.abs(found - legendre).max() < 10 * error


def test_harmonics_are_smooth_at_the_poles():
    """∂P_l(a·b)/∂a at a = b = z is P_l'(1) z = l(l+1)/2 z."""
    pole = torch.tensor([[0.0, 0.0, 1.0]], dtype=torch.float64)
    moved = pole.clone().requires_grad_()
    for degree in range(N_DEGREES):
        columns = slice(degree**2, (degree + 1) ** 2)
        overlap = (spherical_harmonics(moved, N_DEGREES) * spherical_harmonics(pole, N_DEGREES))[
            :, columns
        ].sum()
        (slope,) = torch.autograd.grad(overlap, moved)
        assert torch.isfinite(slope).all()
        assert (slope[0, :2] == 0).all()
