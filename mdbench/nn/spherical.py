"""Functions of distance and direction that solve the wave equation in a sphere."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mdbench.nn.envelopes import polynomial_envelope


def spherical_bessel(x: Tensor) -> Tensor:
    """(…, n_degrees, n): j_l of the arguments in row l, by recursion upward from sin and cos.

    The error is about ε (2l−1)!!/xˡ⁺¹ with ε of the precision, so arguments far below l need
    float64: 1e-11 at x = 0.87, l = 6, which is 0.5 Å in a sphere of 6 Å.

    Args:
        x: (…, n_degrees, n) above 0.
    """
    return _bessel_with_lower(x)[0]


def _bessel_with_lower(x: Tensor) -> tuple[Tensor, Tensor]:
    """j_l and j_{l−1} of the arguments in row l, where j_{−1} is cos(x)/x."""
    sine, cosine = torch.sin(x), torch.cos(x)
    before, now = cosine / x, sine / x
    rows, lower = [now[..., :1, :]], [before[..., :1, :]]
    for degree in range(1, x.shape[-2]):
        x, before, now = x[..., 1:, :], before[..., 1:, :], now[..., 1:, :]  # from l = degree on
        before, now = now, (2 * degree - 1) / x * now - before
        rows.append(now[..., :1, :])
        lower.append(before[..., :1, :])
    return torch.cat(rows, dim=-2), torch.cat(lower, dim=-2)


def bessel_zeros(n_degrees: int, n_zeros: int) -> NDArray[np.float64]:
    """(n_degrees, n_zeros): z_ln, the n-th argument above 0 at which j_l is 0.

    Each zero lies between two neighboring zeros of the degree below, where it is bisected.
    """
    zeros = math.pi * np.arange(1, n_zeros + n_degrees, dtype=np.float64)  # of j_0
    rows = [zeros[:n_zeros]]
    for degree in range(1, n_degrees):
        low, high = zeros[:-1], zeros[1:]
        sign = np.sign(_bessel_of_degree(degree, low))
        for _ in range(60):
            middle = 0.5 * (low + high)
            left = np.sign(_bessel_of_degree(degree, middle)) == sign
            low, high = np.where(left, middle, low), np.where(left, high, middle)
        zeros = 0.5 * (low + high)
        rows.append(zeros[:n_zeros])
    return np.stack(rows)


def _bessel_of_degree(degree: int, x: NDArray[np.float64]) -> NDArray[np.float64]:
    rows = torch.as_tensor(x).expand(degree + 1, -1)
    values: NDArray[np.float64] = spherical_bessel(rows)[degree].numpy()
    return values


class SphericalBesselBasis(nn.Module):
    """u(d) c/d √2/|j_{l+1}(z_ln)| j_l(z_ln d/c): waves that end at the cutoff, their radial part.

    Gasteiger, Groß, Günnemann, ICLR 2020, arXiv:2003.03123, eq. 6, in units of the cutoff. u is the
    polynomial envelope. The factor c/d is not in the equation, but in the code of its authors.

    Args:
        cutoff: c, Å.
        n_degrees: Degrees l from 0 on.
        n_basis: Zeros of each degree.
        power: Of the envelope.
    """

    def __init__(self, cutoff: float, n_degrees: int, n_basis: int, *, power: int = 6) -> None:
        super().__init__()
        self.cutoff, self.power = cutoff, power
        self.n_degrees, self.n_basis = n_degrees, n_basis

    def forward(self, lengths: Tensor) -> Tensor:
        """(n_edges, n_degrees, n_basis) of (n_edges,) distances in Å, computed in float64."""
        x = lengths.double() / self.cutoff
        waves: Tensor = _Waves.apply(x, self, 0)  # type: ignore[no-untyped-call]
        return waves.to(lengths.dtype)

    def derivative(self, x: Tensor, order: int) -> Tensor:
        """(n_edges, n_degrees, n_basis) of order 0 to 2, by (n_edges,) x = d/c in float64.

        j_l′ = j_{l−1} − (l+1)/y j_l, and j_l″ is what the wave equation says.
        """
        x = x[:, None, None]
        zeros, norms = (torch.as_tensor(a).to(x) for a in _waves(self.n_degrees, self.n_basis))
        y = zeros * x
        wave, lower = _bessel_with_lower(y)
        envelope = _envelope_over_x(x, self.power, order)
        found = envelope[0] * wave
        if order:
            degrees = torch.arange(self.n_degrees, device=x.device)[:, None]
            slope = lower - (degrees + 1) / y * wave
            found = envelope[1] * wave + envelope[0] * zeros * slope
        if order == 2:
            bend = (degrees * (degrees + 1) / (y * y) - 1.0) * wave - 2.0 / y * slope
            found = envelope[2] * wave + zeros * (
                2.0 * envelope[1] * slope + envelope[0] * zeros * bend
            )
        return norms * found


class _Waves(torch.autograd.Function):
    """A derivative of the basis, each function of which depends on one length alone.

    Autograd would keep a tensor of float64 for each step of the recursion, and training goes back
    through all of them twice.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, basis: SphericalBesselBasis, order: int) -> Tensor:
        ctx.save_for_backward(x)
        ctx.basis, ctx.order = basis, order
        return basis.derivative(x, order)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (x,) = ctx.saved_tensors
        if ctx.order < 2:
            slope = _Waves.apply(x, ctx.basis, ctx.order + 1)  # type: ignore[no-untyped-call]
            return (gradients[0] * slope).sum(dim=(1, 2)), None, None
        again = torch.is_grad_enabled()
        with torch.enable_grad():
            bend = ctx.basis.derivative(x, 2)
            (slope,) = torch.autograd.grad(bend, x, gradients[0], create_graph=again)
        return slope, None, None


def _envelope_over_x(x: Tensor, power: int, order: int) -> list[Tensor]:
    """u/x and its derivatives up to an order; u′ = −p(p+1)(p+2)/2 xᵖ⁻¹ (1 − x)²."""
    u = polynomial_envelope(x, 1.0, power)
    found = [u / x]
    rest = (1.0 - x).clamp(min=0.0)
    scale = -0.5 * power * (power + 1) * (power + 2)
    if order:
        found.append((scale * x ** (power - 1) * rest**2 - found[0]) / x)
    if order == 2:
        bend = scale * x ** (power - 2) * rest * ((power - 1) * rest - 2.0 * x)
        found.append((bend - 2.0 * found[1]) / x)
    return found


@functools.cache
def _waves(n_degrees: int, n_basis: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(n_degrees, n_basis) z_ln and √2/|j_{l+1}(z_ln)|."""
    zeros = bessel_zeros(n_degrees, n_basis)
    ends = [_bessel_of_degree(degree + 1, row) for degree, row in enumerate(zeros)]
    return zeros, math.sqrt(2.0) / np.abs(np.stack(ends))


def spherical_harmonics(directions: Tensor, n_degrees: int) -> Tensor:
    """(n, n_degrees²): real harmonics, degree l and order m = −l … l in column l² + l + m.

    They are normalized so that Σ_m Y_lm(a) Y_lm(b) = P_l(a · b) for unit vectors a and b
    (Schmidt's, without the phase (−1)ᵐ). As polynomials of x, y and z they are smooth everywhere.

    Args:
        directions: (n, 3) unit vectors.
        n_degrees: Degrees l from 0 on.
    """
    x, y, z = directions[:, :1], directions[:, 1:2], directions[:, 2:]
    cosines, sines = [torch.ones_like(x)], [torch.zeros_like(x)]
    for _ in range(1, n_degrees):
        cosine, sine = cosines[-1], sines[-1]
        cosines.append(x * cosine - y * sine)
        sines.append(x * sine + y * cosine)
    turns = torch.cat([*sines[:0:-1], *cosines], dim=1)  # orders −(n_degrees − 1) … n_degrees − 1
    columns = []
    for degree, legendre in enumerate(_legendre_rows(z, n_degrees)):
        orders = torch.arange(-degree, degree + 1, device=z.device)
        turn = turns[:, n_degrees - 1 - degree : n_degrees + degree]
        columns.append(legendre[:, orders.abs()] * turn)
    return torch.cat(columns, dim=1)


def _legendre_rows(z: Tensor, n_degrees: int) -> list[Tensor]:
    """For each degree l (n, l + 1): Schmidt's P_lm(z)/(1 − z²)^{m/2} of orders m = 0 … l.

    (l − m) P_lm = (2l − 1) z P_{l−1,m} − (l + m − 1) P_{l−2,m}, P_ll = (2l − 1)!!.
    """
    rows = [torch.ones_like(z)]
    for degree in range(1, n_degrees):
        order = torch.arange(degree, dtype=z.dtype, device=z.device)
        row = (2 * degree - 1) * z * rows[-1]
        if degree > 1:
            older = torch.nn.functional.pad(rows[-2], (0, 1))
            row = row - (degree + order - 1) * older
        diagonal = (2 * degree - 1) * rows[-1][:, -1:]
        rows.append(torch.cat([row / (degree - order), diagonal], dim=1))
    return [row * torch.as_tensor(_schmidt_norms(k)).to(z) for k, row in enumerate(rows)]


@functools.cache
def _schmidt_norms(degree: int) -> NDArray[np.float64]:
    """(degree + 1,): √((2 − δ_m0) (l − m)!/(l + m)!)."""
    factorial = math.factorial
    shares = [factorial(degree - m) / factorial(degree + m) for m in range(degree + 1)]
    norms = [math.sqrt(share * (1 if m == 0 else 2)) for m, share in enumerate(shares)]
    return np.array(norms)
