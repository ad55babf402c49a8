"""Collective (charge) diffusion of the mobile ions, and the Haven ratio.

D_σ = (1/6N) d⟨|Σ_i Δr_i|²⟩/dt in the frame of the framework: what carries charge. It equals the
tracer diffusivity where ions move without regard to each other. The Haven ratio is D*/D_σ. One sum
stands where the tracer has N paths, so it is known far less well: often not at all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mdbench.analysis.diffusion_window import N_BLOCKS, N_LAGS
from mdbench.analysis.diffusivity import UNIT, Diffusion
from mdbench.analysis.motion import IonMotion
from mdbench.analysis.msd import FloatArray, lag_moments
from mdbench.analysis.tensor_fit import ISOTROPIC, TensorFit, pooled
from mdbench.stats import Estimate, log_estimate, sum_of


@dataclass(frozen=True)
class CollectiveDiffusion:
    """Collective diffusion of the mobile ions.

    Attributes:
        diffusivity: D_σ, cm²/s.
        haven_ratio: D*/D_σ; unresolved where one of them is.
    """

    diffusivity: Estimate
    haven_ratio: Estimate


def collective_diffusion(
    motions: Sequence[IonMotion], tracer: Diffusion, *, alone: bool = False
) -> CollectiveDiffusion:
    """D_σ at the lags of the tracer's window, by the same weights; intervals by blocks of time.

    Where no tracer diffusion is resolved D_σ is a bound, never below the tracer's: the sum of ions
    that are not seen to move on says no more than they do.

    Args:
        motions: Replicas of one species in one state.
        tracer: Their tracer diffusion.
        alone: There are no other atoms: in their own frame the sum of all stays where it is.
    """
    nothing = Estimate(None, None, None, "")
    if alone or tracer.window.reached == "ballistic":
        return CollectiveDiffusion(Estimate(None, None, None, UNIT), nothing)
    lags = np.arange(1, N_LAGS + 1)
    fits = [
        TensorFit.of(
            lag_moments([summed(motion)], step * lags, N_BLOCKS),
            step=step,
            first=tracer.window.first,
            n_frames=motion.n_frames,
            frame_interval_ps=motion.frame_interval_ps,
        )
        for motion, step in zip(motions, tracer.window.steps, strict=True)
    ]
    shares = np.array([motion.length_ps for motion in motions])
    fit = pooled(fits, shares / shares.sum(), ISOTROPIC)
    known = tracer.diffusivity
    if known.value is None or known.spread is None or fit.low_within <= 0.0:
        least = 0.0 if known.resolved or known.high is None else known.high
        bound = max(fit.value + fit.width, least)
        return CollectiveDiffusion(Estimate(None, None, bound, UNIT), nothing)
    relative = fit.spread.scaled(1.0 / fit.value)
    together = log_estimate(math.log(fit.value), relative, UNIT)
    both = sum_of([known.spread.scaled(1.0 / known.value), relative])
    return CollectiveDiffusion(together, log_estimate(math.log(known.value / fit.value), both, ""))


def summed(motion: IonMotion) -> FloatArray:
    """(3, n_frames) Å, the sum of the ions' displacements over √n_ions."""
    total = np.zeros((3, motion.n_frames))
    for path in motion.displacements:
        total += path
    return np.asarray(total / math.sqrt(motion.n_ions))
