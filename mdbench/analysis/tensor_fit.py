"""Diffusion tensors of replicas from their moments, and the spread of any part of them.

Each replica is fitted once; what ions and what blocks of time origins contribute comes from the
same weights, so that their scatter tells the variance of the fit. Within a replica it is the larger
of that of the mean over ions (right where ions hop on their own) and that of the mean over blocks
with the covariance of neighboring blocks (right where ions hop in concert). Never the covariance of
Brownian motion itself: it is right for free walkers, and far too small for ions that hop.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import fdtrc

from mdbench.analysis.brownian import slope_weights
from mdbench.analysis.diffusion_window import LEAST_IONS, N_BLOCKS
from mdbench.analysis.msd import FloatArray, LagMoments
from mdbench.stats import Spread, mean_spread, student_t, sum_of
from mdbench.units import ANGSTROM2_PER_PS_IN_CM2_PER_S

#: Replicas differ by more than their own intervals explain, where p is below this.
_REPLICAS_DIFFER = 0.01
#: A third of the trace, of the components of `TENSOR_AXES`.
ISOTROPIC = np.array([1.0, 1.0, 1.0, 0.0, 0.0, 0.0]) / 3.0


@dataclass(frozen=True)
class TensorFit:
    """The diffusion tensor of one replica, components in the order of `TENSOR_AXES`.

    Attributes:
        by_ion: (n_ions, 6) cm²/s.
        by_block: (n_blocks, 6) cm²/s.
        msd: (n_lags,) Å².
        intercept: Å².
        share: Ion-picoseconds, the weight of the replica.
    """

    by_ion: FloatArray
    by_block: FloatArray
    msd: FloatArray
    intercept: float
    share: float

    @classmethod
    def of(
        cls,
        moments: LagMoments,
        *,
        step: int,
        n_frames: int,
        frame_interval_ps: float,
        first: int = 1,
    ) -> TensorFit:
        """The fit of one replica.

        Args:
            moments: At the lags `step`, 2 `step`, …
            step: Δ in frames.
            first: First lag in use, in Δ.
            n_frames: Length of the run.
            frame_interval_ps: Time between frames.
        """
        msd = (moments.squares.mean(axis=0) * moments.weights).sum(axis=0)
        weights = slope_weights(msd, (n_frames - 1) // step, first=first)
        to_diffusivity = ANGSTROM2_PER_PS_IN_CM2_PER_S / (2.0 * step * frame_interval_ps)
        # a block's share of the origins is the same at every lag, to one origin
        scaled = moments.products * (N_BLOCKS * moments.weights)[None, :, :, None]
        tensors = np.einsum("ibkc,k->ibc", scaled, weights[1]) * to_diffusivity
        return cls(
            by_ion=tensors.mean(axis=1),
            by_block=tensors.mean(axis=0),
            msd=msd,
            intercept=float(weights[0] @ msd),
            share=len(moments.products) * (n_frames - 1) * frame_interval_ps,
        )

    @property
    def diffusivity(self) -> float:
        """cm²/s."""
        return float(self.by_ion[:, :3].mean())


@dataclass(frozen=True)
class Pooled:
    """A combination of the tensor's components over replicas.

    Attributes:
        value: cm²/s.
        spread: Its variance.
        within: What the replicas show within themselves.
        replicas_differ: Whether `spread` is that of the scatter between replicas alone.
    """

    value: float
    spread: Spread
    within: Spread
    replicas_differ: bool = False

    @property
    def width(self) -> float:
        """Half the width of the 95 % interval, cm²/s."""
        return student_t(self.spread.freedom) * self.spread.standard_error

    @property
    def low_within(self) -> float:
        """Lower limit by what the replicas show within themselves, cm²/s."""
        return self.value - student_t(self.within.freedom) * self.within.standard_error


def pooled(fits: Sequence[TensorFit], shares: FloatArray, weights: FloatArray) -> Pooled:
    """A combination of the tensor's components over replicas, with its spread.

    Within replicas: the larger of the variance by ions and that by blocks. The scatter between
    replicas is pooled with it, degrees of freedom as weights; it stands alone where an F test says
    (p < 0.01) that replicas differ by more than they show within themselves.

    Args:
        fits: One for each replica.
        shares: (n_runs,) weight of each replica, sum 1.
        weights: (6,) of the components.
    """
    by_ion = [fit.by_ion @ weights for fit in fits]
    means = np.array([ions.mean() for ions in by_ion])
    value = float(shares @ means)
    within = sum_of([block_spread(fit.by_block @ weights) for fit in fits], shares)
    if sum(len(ions) for ions in by_ion) >= LEAST_IONS and min(map(len, by_ion)) > 1:
        ions = sum_of([mean_spread(ions) for ions in by_ion], shares)
        within = max(within, ions, key=lambda spread: spread.variance)
    n = len(fits)
    if n == 1:
        return Pooled(value, within, within)
    scatter = float((shares @ (means - value) ** 2) * n / (n - 1) * (shares @ shares))
    between = Spread(scatter, n - 1.0)
    if within.variance == 0.0:
        return Pooled(value, between, within, replicas_differ=scatter > 0.0)
    ratio = between.variance / within.variance
    if fdtrc(between.freedom, within.freedom, ratio) < _REPLICAS_DIFFER:
        return Pooled(value, between, within, replicas_differ=True)
    freedom = within.freedom + between.freedom
    variance = within.freedom * within.variance + between.freedom * between.variance
    return Pooled(value, Spread(variance / freedom, freedom), within)


def block_spread(values: FloatArray) -> Spread:
    """The spread of the mean of consecutive blocks, neighbors of which are correlated.

    A negative covariance of neighbors is taken as none.
    """
    n = len(values)
    off = values - values.mean()
    neighbors = max(2.0 * float(off[1:] @ off[:-1]), 0.0)
    return Spread((float(off @ off) + neighbors) / (n * (n - 1)), n - 1.0)
