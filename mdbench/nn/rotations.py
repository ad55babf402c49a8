"""Functions on the sphere, given by their harmonics: in other frames, and at points.

A function is f(x) = Σ_lm c_lm Y_lm(x), with the harmonics and the order of `nn.spherical`.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from mdbench.nn.spherical import spherical_harmonics


def edge_frames(directions: Tensor) -> Tensor:
    """(n, 3, 3) proper rotations that turn the directions onto the z axis.

    A fixed frame is carried to a direction by the shortest turn. So frames change smoothly with
    directions, but for the one opposite to the fixed frame's z axis, about which they turn twice:
    some place of the kind there must be, and none is in a plane or along an axis of usual crystals.
    They do not turn along with the system: what is computed in them should not depend on a turn
    about z.

    Args:
        directions: (n, 3) unit vectors.
    """
    fixed = torch.as_tensor(_fixed_frame()).to(directions)
    x, y, z = (directions @ fixed.T).unbind(dim=1)
    below, share = z < 0.0, 1.0 / (1.0 + z.abs())
    side = torch.where(below, 1.0, -1.0).to(z)
    first = torch.stack([1.0 - share * x * x, -share * x * y, side * x], dim=1)
    second = torch.stack([-share * x * y, 1.0 - share * y * y, side * y], dim=1)
    # below, these two are those of the shortest turn from the opposite direction
    squared = x * x + y * y
    turns = below & (squared > 1e-20)
    squared = torch.where(turns, squared, 1.0)
    cosine = torch.where(turns, (x * x - y * y) / squared, 1.0)[:, None]
    sine = torch.where(turns, 2.0 * x * y / squared, 0.0)[:, None]
    turned = -cosine * first - sine * second, cosine * second - sine * first
    below = below[:, None]
    rows = torch.where(below, turned[0], first), torch.where(below, turned[1], second)
    return torch.stack([row @ fixed for row in rows] + [directions], dim=1)


@functools.cache
def _fixed_frame() -> NDArray[np.float64]:
    """(3, 3) x, y, z of a frame in general position."""
    z = np.array([0.3137, 0.5411, 0.7803])
    x = np.cross(z, [0.2718, -0.1618, 0.0577])
    frame = np.stack([x, np.cross(z, x), z])
    normed: NDArray[np.float64] = frame / np.linalg.norm(frame, axis=1, keepdims=True)
    return normed


def rotated_harmonics(rotations: Tensor, n_degrees: int, max_order: int | None = None) -> Tensor:
    """(n, n_kept, n_degrees²) D with Y(R x) = D Y(x): Wigner's matrices, smooth in R.

    D c are the coefficients of f in the frame R, f(R⁻¹ x), and Dᵀ takes them back. They are fitted
    to Y(R x) at points x, degree by degree, which is exact.

    Args:
        rotations: (n, 3, 3) R, proper or not.
        n_degrees: Degrees l from 0 on.
        max_order: Rows of larger |m| are left out.
    """
    points, fits = _points_to_fit(n_degrees, rotations.dtype, rotations.device)
    turned = (points @ rotations.transpose(1, 2)).flatten(0, 1)
    values = spherical_harmonics(turned, n_degrees).view(len(rotations), len(points), n_degrees**2)
    values = values.transpose(1, 2)
    blocks = []
    for degree, fit in enumerate(fits):
        order = degree if max_order is None else min(degree, max_order)
        middle = degree * (degree + 1)
        block = values[:, middle - order : middle + order + 1] @ fit
        blocks.append(functional.pad(block, (degree**2, n_degrees**2 - (degree + 1) ** 2)))
    return torch.cat(blocks, dim=1)


@functools.cache
def _points_to_fit(
    n_degrees: int, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """(n_points, 3) of a hemisphere; for each degree (n_points, 2l + 1): Y of points to matrices.

    At x and −x harmonics are the same but for the sign. So many points are well-conditioned.
    """
    n_points = 4 * n_degrees
    z = 1.0 - (np.arange(n_points) + 0.5) / n_points
    phi = math.pi * (3.0 - math.sqrt(5.0)) * np.arange(n_points)  # golden angle
    across = np.sqrt(1.0 - z * z)
    points = torch.tensor(np.stack([across * np.cos(phi), across * np.sin(phi), z], axis=1))
    values = spherical_harmonics(points, n_degrees)
    sizes = [2 * degree + 1 for degree in range(n_degrees)]
    fits = [torch.linalg.pinv(part).T.to(device, dtype) for part in torch.split(values, sizes, 1)]
    return points.to(device, dtype), tuple(fits)


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

    @cached_property
    def constant(self) -> Tensor:
        """(n_coefficients,) of the function that is 1 everywhere."""
        return self.to_coefficients.sum(dim=1)


def sphere_grid(n_degrees: int, n_polar: int, n_azimuth: int) -> SphereGrid:
    """A grid of Gauss–Legendre points in cos θ and even ones in φ, in float64.

    The coefficient of order m' of a function of degree k and order m is exact if k + n_degrees ≤
    2 n_polar and |m| + |m'| < n_azimuth. What a nonlinear function has of higher orders comes back
    as lower ones, in a way that depends on the frame: points in φ make it small.

    Args:
        n_degrees: Degrees l from 0 on.
        n_polar: Points in θ, at least n_degrees.
        n_azimuth: Points in φ, more than twice the largest |m| that matters.
    """
    cosines, weights = np.polynomial.legendre.leggauss(n_polar)
    azimuths = 2.0 * math.pi * (np.arange(n_azimuth) + 0.5) / n_azimuth
    z, phi = np.repeat(cosines, n_azimuth), np.tile(azimuths, n_polar)
    across = np.sqrt(1.0 - z * z)
    points = torch.tensor(np.stack([across * np.cos(phi), across * np.sin(phi), z], axis=1))
    to_points = spherical_harmonics(points, n_degrees)
    norms = 2 * _degrees_and_orders(n_degrees)[0] + 1  # 4π over the square integral
    shares = torch.tensor(np.repeat(weights / (2.0 * n_azimuth), n_azimuth))
    return SphereGrid(points, to_points, norms[:, None] * shares * to_points.T)
