"""Tracer diffusivity of the mobile ions: its window, its interval, or a bound.

D = slope/6 of the window-averaged MSD at ten equally spaced lags Δ … 10Δ, intercept free, by the
weights of `brownian`, at lags that `diffusion_window` finds. The intercept is what ions rattle; it
does not bias the slope.

Interval: by the scatter of ions, of blocks of time and of replicas (`tensor_fit`), Student's t, on
the scale of ln D.

Resolved: N_eff = N·max(MSD)/a² ≥ 5, a lower limit D − t·SE above zero (by what
replicas show within themselves), and five moves of ions by
more than half a site distance a (or a lower limit worth five of them). Else there is an upper
bound.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import fdtrc, gammaincinv

from mdbench.analysis.diffusion_window import (
    LATE,
    N_LAGS,
    Window,
    diffusive_window,
)
from mdbench.analysis.motion import IonMotion, count_hops, site_distance
from mdbench.analysis.msd import (
    TENSOR_AXES,
    FloatArray,
    LagMoments,
    mean_squared_displacement,
    non_gaussian_parameter,
)
from mdbench.analysis.tensor_fit import ISOTROPIC, Pooled, TensorFit, pooled
from mdbench.errors import InputError
from mdbench.stats import (
    LEVEL,
    Estimate,
    Spread,
    log_estimate,
    normal_estimate,
)
from mdbench.units import ANGSTROM2_PER_PS_IN_CM2_PER_S

UNIT = "cm^2/s"
#: Effective hops below which nothing is resolved.
_LEAST_HOPS = 5.0
#: Lags below this see vibrations, whose MSD can rise in a line for a while, ps.
_VIBRATIONS_PS = 1.0


@dataclass(frozen=True)
class Diffusion:
    """Tracer diffusion of one species over the replicas of one state.

    Attributes:
        diffusivity: cm²/s.
        tensor: (3, 3) estimates, cm²/s, Cartesian.
        along_cell: D along the cell vectors a, b, c, cm²/s.
        isotropy_p: Probability that D_xx, D_yy, D_zz differ as much where they are equal.
        anisotropy: Largest over smallest of D along the cell vectors; None where not resolved.
        window: Lags in use.
        msd_at_lags: (10,) Å², of the fit, over all replicas.
        slope: Å²/ps, of the fit.
        intercept: Å², of the fit: twice the mean square amplitude of rattling, all axes.
        exponent: Slope of ln(MSD − intercept) against ln t in the window; None where undefined.
        non_gaussian: (10,) α₂ at the lags Δ … 10Δ.
        n_eff: N·max(MSD)/a², summed over replicas.
        he_zhu_mo: Relative error by He, Zhu and Mo (npj Comput. Mater. 2018, 4, 18,
            doi:10.1038/s41524-018-0074-y): 3.43/√N_eff + 0.04.
        site_distance: a, Å.
        n_hops: Moves by more than a/2.
        n_ions: Ions of one replica.
        length_ps: Of all replicas together.
        replicas: (n_runs,) cm²/s, of each replica, resolved or not.
        between_replicas: Whether the interval is that of the scatter between replicas.
        warnings: What the reader should know.
    """

    diffusivity: Estimate
    tensor: tuple[tuple[Estimate, ...], ...]
    along_cell: tuple[Estimate, ...]
    isotropy_p: float | None
    anisotropy: float | None
    window: Window
    msd_at_lags: FloatArray
    slope: float
    intercept: float
    exponent: float | None
    non_gaussian: FloatArray
    n_eff: float
    he_zhu_mo: float
    site_distance: float
    n_hops: int
    n_ions: int
    length_ps: float
    replicas: tuple[float, ...]
    between_replicas: bool
    warnings: tuple[str, ...]


def tracer_diffusion(
    motions: Sequence[IonMotion], *, curves: Sequence[FloatArray] | None = None
) -> Diffusion:
    """The tracer diffusivity with its interval, or a bound where none is resolved.

    Args:
        motions: Replicas of one species in one state.
        curves: Of each replica, (3, n_frames) Å², the MSD; computed where not given.

    Raises:
        InputError: A run shorter than the shortest window, 31 frames.
    """
    for motion in motions:
        if motion.n_frames < 3 * N_LAGS + 1:
            raise InputError(
                "too few frames for a diffusivity",
                expected=f"{3 * N_LAGS + 1} or more after equilibration",
                found=f"{motion.n_frames}",
                remedy="longer runs, frames stored more often, or a smaller --skip-ps",
            )
    hop = site_distance(motions)
    window, moments = diffusive_window(motions, hop)
    fits = _fits(motions, moments, window, window.first)
    shares = np.array([fit.share for fit in fits])
    shares /= shares.sum()
    fit = pooled(fits, shares, ISOTROPIC)
    if curves is None:
        curves = [mean_squared_displacement(motion.displacements) for motion in motions]
    evidence = _Evidence.of(motions, curves, hop)
    if evidence.resolves(fit, window.lags_ps[-1]) and window.reached in ("diffusive", "unsure"):
        diffusivity = log_estimate(math.log(fit.value), fit.spread.scaled(1.0 / fit.value), UNIT)
        if not window.taken and window.first < LATE:
            late = pooled(_fits(motions, moments, window, LATE), shares, ISOTROPIC)
            diffusivity = _with_late(diffusivity, late)
    elif window.reached == "ballistic":
        diffusivity = Estimate(None, None, None, UNIT)
    else:
        diffusivity = evidence.bound(fit)
    tensor, along = _tensor(fits, shares, motions[0].cell)
    msd = np.average([fit.msd for fit in fits], axis=0, weights=shares)[window.first - 1 :]
    intercept = float(np.average([fit.intercept for fit in fits], weights=shares))
    return Diffusion(
        diffusivity=diffusivity,
        tensor=tensor,
        along_cell=along,
        isotropy_p=_isotropy(fits, shares),
        anisotropy=_anisotropy(along) if diffusivity.resolved else None,
        window=window,
        msd_at_lags=msd,
        slope=6.0 * fit.value / ANGSTROM2_PER_PS_IN_CM2_PER_S,
        intercept=intercept,
        exponent=_exponent(window.lags_ps, msd - intercept),
        non_gaussian=np.average(
            [non_gaussian_parameter(m) for m in moments], axis=0, weights=shares
        ),
        n_eff=evidence.n_eff,
        he_zhu_mo=evidence.he_zhu_mo,
        site_distance=hop,
        n_hops=evidence.n_hops,
        n_ions=motions[0].n_ions,
        length_ps=sum(motion.length_ps for motion in motions),
        replicas=tuple(fit.diffusivity for fit in fits),
        between_replicas=fit.replicas_differ,
        warnings=tuple(_warnings(window, fit.replicas_differ, diffusivity, evidence)),
    )


@dataclass(frozen=True)
class _Evidence:
    """What says that ions have diffused at all.

    Attributes:
        n_eff: N·max(MSD)/a².
        n_hops: Moves by more than a/2.
        exposure: Effective hops that one cm²/s of D would have made: 6·N·t/a².
    """

    n_eff: float
    n_hops: int
    exposure: float

    @classmethod
    def of(
        cls, motions: Sequence[IonMotion], curves: Sequence[FloatArray], hop: float
    ) -> _Evidence:
        """The evidence of replicas together."""
        squares = [m.n_ions * c.sum(axis=0).max() for m, c in zip(motions, curves, strict=True)]
        times = sum(motion.n_ions * motion.length_ps for motion in motions)
        return cls(
            n_eff=float(sum(squares)) / hop**2,
            n_hops=sum(count_hops(motion, hop) for motion in motions),
            exposure=6.0 * times / hop**2 / ANGSTROM2_PER_PS_IN_CM2_PER_S,
        )

    @property
    def he_zhu_mo(self) -> float:
        """Relative error of D by the number of effective hops."""
        return 3.43 / math.sqrt(self.n_eff) + 0.04 if self.n_eff > 0.0 else math.inf

    def resolves(self, fit: Pooled, longest_ps: float) -> bool:
        """Whether a fitted D is more than noise, and than vibrations that look like it.

        Args:
            fit: Of all replicas.
            longest_ps: The longest lag.
        """
        expected = fit.low_within * self.exposure if longest_ps >= _VIBRATIONS_PS else 0.0
        moved = max(self.n_hops, expected) >= _LEAST_HOPS
        return self.n_eff >= _LEAST_HOPS and fit.low_within > 0.0 and moved

    def bound(self, fit: Pooled) -> Estimate:
        """An upper bound of D: the Poisson limit of the hops seen, or that of the fit if larger."""
        expected = float(gammaincinv(self.n_hops + 1, LEVEL))  # 3.0 for none
        upper = expected / self.exposure
        if self.n_hops:
            upper = max(upper, fit.value + fit.width)
        return Estimate(None, None, upper, UNIT)


def _fits(
    motions: Sequence[IonMotion], moments: Sequence[LagMoments], window: Window, first: int
) -> list[TensorFit]:
    return [
        TensorFit.of(
            one,
            step=step,
            first=first,
            n_frames=run.n_frames,
            frame_interval_ps=run.frame_interval_ps,
        )
        for run, one, step in zip(motions, moments, window.steps, strict=True)
    ]


def _with_late(whole: Estimate, late: Pooled) -> Estimate:
    """An estimate whose interval holds that of the late lags, too.

    Args:
        whole: From all lags of a window in which MSD may bend.
        late: From the late ones.
    """
    assert whole.value is not None
    assert whole.low is not None
    assert whole.high is not None
    assert whole.spread is not None
    low = min(whole.low, max(late.value - late.width, 0.25 * whole.low))
    high = max(whole.high, late.value + late.width)
    # what is compared, or goes into a line, is no better known than the interval says
    wider = math.log(high / low) / math.log(whole.high / whole.low)
    spread = Spread(wider**2 * whole.spread.variance, whole.spread.freedom)
    return Estimate(whole.value, low, high, UNIT, spread)


def _tensor(
    fits: Sequence[TensorFit], shares: FloatArray, cell: FloatArray
) -> tuple[tuple[tuple[Estimate, ...], ...], tuple[Estimate, ...]]:
    """The tensor, component by component, and D along the cell vectors."""

    def component(weights: FloatArray) -> Estimate:
        fit = pooled(fits, shares, weights)
        return normal_estimate(fit.value, fit.spread, UNIT)

    single = [component(row) for row in np.eye(6)]
    place = {axes: n for n, axes in enumerate(TENSOR_AXES)}
    tensor = tuple(tuple(single[place[min(i, j), max(i, j)]] for j in range(3)) for i in range(3))
    along = []
    for vector in cell / np.linalg.norm(cell, axis=1, keepdims=True):
        weights = [vector[i] * vector[j] * (1.0 if i == j else 2.0) for i, j in TENSOR_AXES]
        along.append(component(np.array(weights)))
    return tensor, tuple(along)


def _anisotropy(along: Sequence[Estimate]) -> float | None:
    values = [d.value for d in along if d.value is not None]
    return max(values) / min(values) if min(values) > 0.0 else None


def _isotropy(fits: Sequence[TensorFit], shares: FloatArray) -> float | None:
    """Probability by Hotelling's T² for D_xx = D_yy = D_zz, over blocks of time of all replicas."""
    contrasts = np.array([[1.0, -1.0, 0.0], [0.5, 0.5, -1.0]])
    samples = np.concatenate([fit.by_block[:, :3] @ contrasts.T for fit in fits])
    n = len(samples)
    covariance = np.cov(samples.T) / n
    if np.linalg.matrix_rank(covariance) < 2:
        return None
    mean = shares @ np.array([(fit.by_block[:, :3] @ contrasts.T).mean(axis=0) for fit in fits])
    t_squared = float(mean @ np.linalg.solve(covariance, mean))
    return float(fdtrc(2, n - 2, max(t_squared, 0.0) * (n - 2) / (2 * (n - 1))))


def _exponent(lags_ps: FloatArray, msd: FloatArray) -> float | None:
    if (msd <= 0.0).any():
        return None
    return float(np.polyfit(np.log(lags_ps), np.log(msd), 1)[0])


def _warnings(
    window: Window, between: bool, diffusivity: Estimate, evidence: _Evidence
) -> list[str]:
    lines = []
    longest = f"{window.lags_ps[-1]:.3g} ps"
    if window.reached == "ballistic":
        lines.append(f"MSD grows faster than a line up to {longest}: ballistic, no diffusion")
    elif window.reached == "caged":
        lines.append(f"MSD still slows down at {longest}: caged motion, or the run is too short")
    elif window.reached == "unsure":
        lines.append(f"MSD may still slow down at {longest}: D may be too large, run longer")
    if not diffusivity.resolved and window.reached != "ballistic":
        hops, n_eff = evidence.n_hops, evidence.n_eff
        lines.append(f"no diffusion resolved: {hops} hops seen, N_eff {n_eff:.3g}: a bound")
    if between:
        lines.append("replicas differ by more than they show within themselves (p < 0.01)")
    return lines
