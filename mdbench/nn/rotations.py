"""Functions on the sphere, given by their harmonics: in other frames, and at points.

A function is f(x) = Σ_lm c_lm Y_lm(x), with the harmonics and the order of `nn.spherical`.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mdbench.nn.spherical import spherical_harmonics


def edge_frames(directions: Tensor) -> Tensor:
    """(n, 3, 3) proper rotations that turn the directions onto the z axis.

    The x axis of a frame is the part across the direction of that Cartesian axis which is closest
    to being perpendicular to it. So nothing is ill-conditioned anywhere, but frames jump where
    another axis becomes the closest, and do not turn along with the system: what is computed in
    them should not depend on a turn about z.

    Args:
        directions: (n, 3) unit vectors.
    """
    axes = torch.eye(3, dtype=directions.dtype, device=directions.device)
    axis = axes[directions.detach().abs().argmin(dim=1)]
    across = axis - (axis * directions).sum(dim=1, keepdim=True) * directions
    across = across / torch.linalg.vector_norm(across, dim=1, keepdim=True)
    return torch.stack([across, torch.linalg.cross(directions, across), directions], dim=1)


def rotated_harmonics(rotations: Tensor, n_degrees: int, max_order: int | None = None) -> Tensor:
    """(n, n_kept, n_degrees²) D with Y(R x) = D Y(x): Wigner's matrices, smooth in R.

    D c are the coefficients of f in the frame R, f(R⁻¹ x), and Dᵀ takes them back. They are the
    projections of Y(R x) onto harmonics, by a quadrature that is exact.

    Args:
        rotations: (n, 3, 3) R, proper or not.
        n_degrees: Degrees l from 0 on.
        max_order: Rows of larger |m| are left out.
    """
    grid = sphere_grid(
        n_degrees, n_degrees, 2 * n_degrees - 1, None, rotations.dtype, rotations.device
    )
    turned = (grid.points @ rotations.transpose(1, 2)).flatten(0, 1)
    values = spherical_harmonics(turned, n_degrees).view(len(rotations), -1, n_degrees**2)
    if max_order is not None:
        values = values[:, :, orders_up_to(n_degrees, max_order).to(values.device)]
    return values.transpose(1, 2) @ grid.to_coefficients.T


def orders_up_to(n_degrees: int, max_order: int) -> Tensor:
    """(n_kept,) places of the harmonics of order |m| ≤ max_order among n_degrees²."""
    _, orders = _degrees_and_orders(n_degrees)
    return (orders.abs() <= max_order).nonzero()[:, 0]


def _degrees_and_orders(n_degrees: int) -> tuple[Tensor, Tensor]:
    """(n_degrees²,) l and m of the harmonics."""
    every = torch.arange(n_degrees)
    degrees = every.repeat_interleave(2 * every + 1)
    return degrees, torch.arange(n_degrees**2) - degrees * (degrees + 1)


@dataclass(frozen=True, eq=False)
class SphereGrid:
    """Points on the sphere, and the maps between values there and coefficients of harmonics.

    Attributes:
        points: (n_points, 3) unit vectors.
        to_points: (n_points, n_coefficients).
        to_coefficients: (n_coefficients, n_points).
    """

    points: Tensor
    to_points: Tensor
    to_coefficients: Tensor


@functools.cache
def sphere_grid(
    n_degrees: int,
    n_polar: int,
    n_azimuth: int,
    max_order: int | None,
    dtype: torch.dtype,
    device: torch.device,
) -> SphereGrid:
    """A grid of Gauss–Legendre points in cos θ and even ones in φ.

    Coefficients of a function of degree k and order m are exact if k + n_degrees ≤ 2 n_polar and
    m + max_order < n_azimuth. What a nonlinear function has of higher orders comes back as lower
    ones, in a way that depends on the frame: points in φ make it small.

    Args:
        n_degrees: Degrees l from 0 on.
        n_polar: Points in θ, at least n_degrees.
        n_azimuth: Points in φ, more than 2 max_order.
        max_order: Largest |m|; all if None.
        dtype: Of the tensors, which are computed in float64.
        device: Where they are.
    """
    cosines, weights = np.polynomial.legendre.leggauss(n_polar)
    azimuths = 2.0 * math.pi * (np.arange(n_azimuth) + 0.5) / n_azimuth
    z, phi = np.repeat(cosines, n_azimuth), np.tile(azimuths, n_polar)
    across = np.sqrt(1.0 - z * z)
    points = torch.tensor(np.stack([across * np.cos(phi), across * np.sin(phi), z], axis=1))
    kept = orders_up_to(n_degrees, n_degrees if max_order is None else max_order)
    to_points = spherical_harmonics(points, n_degrees)[:, kept]
    norms = 2 * _degrees_and_orders(n_degrees)[0][kept] + 1  # 4π over the square integral
    shares = torch.tensor(np.repeat(weights / (2.0 * n_azimuth), n_azimuth))
    parts = points, to_points, norms[:, None] * shares * to_points.T
    return SphereGrid(*(part.to(device, dtype) for part in parts))
