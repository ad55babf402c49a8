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


def collective_diffusion(motions: Sequence[IonMotion], tracer: Diffusion) -> CollectiveDiffusion:
    """D_σ at the lags of the tracer's window, by the same weights; intervals by blocks of time.

    Args:
        motions: Replicas of one species in one state.
        tracer: Their tracer diffusion.
    """
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
    alone = tracer.diffusivity
    if fit.low_within <= 0.0 or tracer.window.reached == "ballistic":
        bound = fit.value + fit.width if tracer.window.reached != "ballistic" else None
        return CollectiveDiffusion(
            Estimate(None, None, bound, UNIT), Estimate(None, None, None, "")
        )
    relative = fit.spread.scaled(1.0 / fit.value)
    together = log_estimate(math.log(fit.value), relative, UNIT)
    if alone.value is None or alone.spread is None:
        return CollectiveDiffusion(together, Estimate(None, None, None, ""))
    both = sum_of([alone.spread.scaled(1.0 / alone.value), relative])
    return CollectiveDiffusion(together, log_estimate(math.log(alone.value / fit.value), both, ""))


def summed(motion: IonMotion) -> FloatArray:
    """(3, n_frames) Å, the sum of the ions' displacements over √n_ions."""
    total = np.zeros((3, motion.n_frames))
    for path in motion.displacements:
        total += path
    return np.asarray(total / math.sqrt(motion.n_ions))
