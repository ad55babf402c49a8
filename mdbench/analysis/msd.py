"""Mean squared displacements, averaged over all time origins of a run ("window-averaged").

MSD(t) = ⟨|r(s + t) − r(s)|²⟩ over the ions and over every s, not from the first frame only.
Displacements may be one array or any sequence of one array per ion, read as they are needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from mdbench.compiled import compiled

FloatArray = NDArray[np.float64]
#: Of each ion (3, n_frames) Å.
Displacements = Sequence[FloatArray] | FloatArray

#: xx, yy, zz, yz, xz, xy: the six components of a symmetric tensor.
TENSOR_AXES = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))


@dataclass(frozen=True)
class LagMoments:
    """Moments of the displacements of each ion at some lags, in blocks of time origins.

    Attributes:
        lags: (n_lags,) frames.
        products: (n_ions, n_blocks, n_lags, 6) Å², mean products of the components, `TENSOR_AXES`.
        quartic: (n_ions, n_blocks, n_lags) Å⁴, mean of |Δr|⁴.
        weights: (n_blocks, n_lags) share of the origins that stand in each block.
    """

    lags: NDArray[np.int64]
    products: FloatArray
    quartic: FloatArray
    weights: FloatArray

    @property
    def squares(self) -> FloatArray:
        """(n_ions, n_blocks, n_lags) Å², mean squared displacements."""
        return np.asarray(self.products[..., :3].sum(axis=-1))


def mean_squared_displacement(displacements: Displacements) -> FloatArray:
    """(3, n_frames) Å², MSD along each axis at the lags 0, 1, … n_frames − 1, over all ions.

    By FFT of each ion's path (Calandrini et al., Collection SFN 2011, 12, 201,
    doi:10.1051/sfn/201112010, section 4.2); the power spectra are summed before one inverse
    transform. The last lags hold few origins: their noise is large.

    Args:
        displacements: n_ions arrays (3, n_frames) Å, unwrapped.
    """
    n_frames = displacements[0].shape[1]
    n_points = fft.next_fast_len(2 * n_frames - 1, real=True)
    power = np.zeros((3, n_points // 2 + 1))
    squares = np.zeros((3, n_frames))
    for path in displacements:
        centered = path - path.mean(axis=1, keepdims=True)
        spectrum = fft.rfft(centered, n_points, axis=1)
        power += spectrum.real**2
        power += spectrum.imag**2
        centered *= centered
        squares += centered
    correlation = fft.irfft(power, n_points, axis=1)[:, :n_frames]
    # Σ over origins of r(s)² + r(s + t)²: what is left of the whole sum on both sides
    head = np.cumsum(squares, axis=1)[:, ::-1]
    tail = np.cumsum(squares[:, ::-1], axis=1)[:, ::-1]
    sums = head + tail - 2.0 * correlation
    sums[:, 0] = 0.0
    counts = len(displacements) * np.arange(n_frames, 0, -1.0)
    return np.asarray(np.maximum(sums, 0.0) / counts)


def lag_moments(displacements: Displacements, lags: NDArray[Any], n_blocks: int) -> LagMoments:
    """Moments of the displacements at some lags, every origin used once, in blocks of origins.

    Args:
        displacements: n_ions arrays (3, n_frames) Å.
        lags: (n_lags,) frames, each below n_frames.
        n_blocks: Consecutive blocks of equally many origins.
    """
    lags = np.asarray(lags, dtype=np.int64)
    n_frames = displacements[0].shape[1]
    edges = (np.arange(n_blocks + 1)[:, None] * (n_frames - lags)) // n_blocks  # (B + 1, L)
    sums = np.empty((len(displacements), n_blocks, len(lags), 7))
    for ion, path in enumerate(displacements):
        _moments(np.ascontiguousarray(path, dtype=np.float64), lags, edges, sums[ion])
    counts = np.diff(edges, axis=0)
    sums /= np.maximum(counts, 1)[..., None]
    return LagMoments(lags, sums[..., :6], sums[..., 6], counts / counts.sum(axis=0))


@compiled(any_order=True)
def _moments(
    path: FloatArray, lags: NDArray[np.int64], edges: NDArray[np.int64], out: FloatArray
) -> None:
    """Sums over the origins of each block: six products and the fourth power."""
    for k in range(len(lags)):
        for block in range(out.shape[0]):
            first, last, lag = edges[block, k], edges[block + 1, k], lags[k]
            # slices, so that the loop has no index arithmetic and vectorizes
            x0, x1 = path[0, first:last], path[0, first + lag : last + lag]
            y0, y1 = path[1, first:last], path[1, first + lag : last + lag]
            z0, z1 = path[2, first:last], path[2, first + lag : last + lag]
            xx = yy = zz = yz = xz = xy = quartic = 0.0
            for s in range(last - first):
                x, y, z = x1[s] - x0[s], y1[s] - y0[s], z1[s] - z0[s]
                xx += x * x
                yy += y * y
                zz += z * z
                yz += y * z
                xz += x * z
                xy += x * y
                square = x * x + y * y + z * z
                quartic += square * square
            out[block, k, 0] = xx
            out[block, k, 1] = yy
            out[block, k, 2] = zz
            out[block, k, 3] = yz
            out[block, k, 4] = xz
            out[block, k, 5] = xy
            out[block, k, 6] = quartic


def non_gaussian_parameter(moments: LagMoments) -> FloatArray:
    """(n_lags,) α₂ = 3⟨r⁴⟩/(5⟨r²⟩²) − 1: zero for free walkers, large for rare hops.

    Rahman, Phys. Rev. 1964, 136, A405, doi:10.1103/PhysRev.136.A405, equation 16.
    """
    quartic = (moments.quartic.mean(axis=0) * moments.weights).sum(axis=0)
    squares = (moments.squares.mean(axis=0) * moments.weights).sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(3.0 * quartic / (5.0 * squares**2) - 1.0)
