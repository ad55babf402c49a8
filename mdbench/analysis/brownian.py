"""Weights that turn mean squared displacements at equally spaced lags into a slope.

Generalized least squares with the exact covariance of window-averaged mean squared displacements
of Brownian motion whose positions carry independent noise (Bullerjahn, von Bülow, Hummer, J. Chem.
Phys. 2020, 153, 024116, doi:10.1063/5.0008312). Positions at multiples of the lag Δ are
X_i = (a/√2) S_i + σ Σ_{j ≤ i} R_j with independent standard normal S and R, so that
MSD_k = a² + k σ² per axis. The weights are only as good as this model of the motion; the slope that
they give is unbiased wherever MSD is a straight line.

| symbol | here |
|---|---|
| σ² | `slope` of MSD per lag |
| a² | `intercept` |
| a²/σ² | `noise_ratio` |
| n | `n_steps`, length of the run in lags |
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]

#: From here on all lags count alike; a plateau has no slope to compare with.
_LARGEST_RATIO = 1e3
_ITERATIONS = 3


def slope_weights(msd: ArrayLike, n_steps: int, *, first: int = 1) -> FloatArray:
    """(2, n_lags) weights w: w @ msd is the intercept and the slope per lag.

    The noise ratio is found by iteration from equal weights.

    Args:
        msd: (n_lags,) at the lags Δ, 2Δ, …
        n_steps: Length of the run in Δ, at least n_lags.
        first: The first lag in use, in Δ; weights of earlier ones are zero.
    """
    values = np.asarray(msd, dtype=float)[first - 1 :]
    lags = np.arange(float(first), len(values) + float(first))
    design = np.stack([np.ones_like(lags), lags], axis=1)
    terms = _covariance_terms(len(values) + first - 1, n_steps)[:, first - 1 :, first - 1 :]
    weights = np.linalg.pinv(design)
    for _ in range(_ITERATIONS):
        intercept, slope = weights @ values
        ratio = min(max(intercept, 0.0) / slope, _LARGEST_RATIO) if slope > 0 else _LARGEST_RATIO
        weighted = np.linalg.solve(terms[0] + ratio * terms[1] + ratio**2 * terms[2], design)
        weights = np.linalg.solve(design.T @ weighted, weighted.T)
    unused = np.zeros((2, first - 1))
    return np.hstack([unused, weights])


def msd_covariance(noise_ratio: float, n_lags: int, n_steps: int) -> FloatArray:
    """(n_lags, n_lags) covariance of one path's MSD along one axis, in units of σ⁴.

    Args:
        noise_ratio: a²/σ².
        n_lags: Lags 1 … n_lags.
        n_steps: Length of the path.
    """
    terms = _covariance_terms(n_lags, n_steps)
    return np.asarray(terms[0] + noise_ratio * terms[1] + noise_ratio**2 * terms[2])


def _covariance_terms(n_lags: int, n_steps: int) -> FloatArray:
    """(3, n_lags, n_lags) factors of σ⁴, a²σ² and a⁴ in the covariance.

    Displacements from s over j and from t over k covary by σ² times the overlap of [s, s + j] and
    [t, t + k], and by ±a²/2 for each end that they share. Gaussian squares covary by twice the
    square of that; pairs of origins only differ in t − s, so the double sum is one over t − s.
    """
    j = np.arange(1, n_lags + 1)[:, None, None]
    k = np.arange(1, n_lags + 1)[None, :, None]
    apart = np.arange(-n_lags, n_lags + 1)[None, None, :]  # t − s
    first, last = np.maximum(0, -apart), np.minimum(n_steps - j, n_steps - k - apart)
    pairs = np.maximum(last - first + 1, 0)
    overlap = np.maximum(np.minimum(j, apart + k) - np.maximum(0, apart), 0)
    shared = 0.5 * (
        (apart + k == j) * 1.0 + (apart == 0) * 1.0 - (apart == j) * 1.0 - (apart == -k) * 1.0
    )
    terms = [overlap**2, 2.0 * overlap * shared, shared**2]
    norm = 2.0 / ((n_steps - j + 1) * (n_steps - k + 1))[..., 0]
    return np.asarray([norm * (pairs * term).sum(axis=-1) for term in terms])
