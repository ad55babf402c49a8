"""The lags at which ions diffuse: a rule, so that nobody has to choose.

Δ grows by factors of 1.5 from one frame, 10Δ at most a third of the run. The first Δ is taken

* at which the slope of MSD over the first five lags does not exceed that over the last five
  (one-sided t test over the ions, p > 0.02), nor falls far short of it as in ballistic motion
  (p > 0.999, also by a test over blocks of time),
* at which MSD has no other bend (Hotelling's T² of the terms in t², t³, t⁴ over ions, p > 0.005),
* and at which neither of the next two Δ says otherwise (p > 0.005);

then two factors further, since the tests have little power, and on until MSD reaches the square
of the distance between sites: shorter lags see the cage.

A log–log slope of one is no such rule: with MSD = 6Dt + c (rattling) it starts ever later as data
improve. A test against slowing down alone is none either: frames 2 fs apart show ballistic motion.
A higher p in the first test biases D: free walkers are then passed over where they seem to slow
down (with p > 0.3: by −8 % where Δ came out at 26 frames instead of 3).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import fdtrc, stdtr

from mdbench.analysis.motion import IonMotion
from mdbench.analysis.msd import FloatArray, LagMoments, lag_moments
from mdbench.stats import mean_spread

Reached = Literal["diffusive", "unsure", "caged", "ballistic"]

N_LAGS, N_BLOCKS = 10, 8
#: The first of the late lags, in Δ: rattling that relaxes slowly is over by then.
LATE = 5
#: Fewer ions tell neither a test nor a variance.
LEAST_IONS = 5

_GROWTH, _FURTHER = 1.5, 2
#: p values of the rule: no slowing down, not against it later, not faster than diffusion.
_LINEAR, _CONTRADICTION, _BALLISTIC, _BENDS = 0.02, 0.005, 1e-3, 0.005
#: At the longest window, a slowing down with less than this p is no diffusion yet.
_CAGED = 0.01


@dataclass(frozen=True)
class Window:
    """The lags that a slope is taken over.

    Attributes:
        step_ps: Δ; the lags are Δ, 2Δ, … 10Δ.
        steps: (n_runs,) Δ of each run in frames.
        taken: Whether the rule takes a Δ; else it is the largest.
        first: First lag in use, in Δ: 1, or `LATE` where MSD slows down over the first ones.
        reached: Whether MSD is a straight line there: `diffusive`; where the rule takes no Δ:
            `unsure` where it may slow down (p < 0.05 over ions), `caged` where it does (p < 0.01,
            also over blocks), `ballistic` where it outruns a line.
    """

    step_ps: float
    steps: tuple[int, ...]
    taken: bool
    first: int
    reached: Reached

    @property
    def lags_ps(self) -> FloatArray:
        """(n_lags,) ps, the lags in use."""
        return self.step_ps * np.arange(float(self.first), N_LAGS + 1.0)


def diffusive_window(motions: Sequence[IonMotion], hop: float) -> tuple[Window, list[LagMoments]]:
    """The window by the rule above, ions of all replicas together, and the moments in it.

    Args:
        motions: Replicas.
        hop: Å, distance between sites.
    """
    longest = min(m.length_ps / (3 * N_LAGS) for m in motions)
    shortest = max(m.frame_interval_ps for m in motions)
    steps_ps = [shortest]
    while steps_ps[-1] * _GROWTH <= longest * (1 + 1e-9):
        steps_ps.append(steps_ps[-1] * _GROWTH)
    candidates = list(dict.fromkeys(_in_frames(motions, step) for step in steps_ps))
    known: dict[int, tuple[list[LagMoments], _Slowing]] = {}

    def look(index: int) -> _Slowing:
        """The test at a candidate, made once."""
        if index not in known:
            moments = _moments(motions, candidates[index])
            known[index] = moments, _slowing(moments, candidates[index])
        return known[index][1]

    last = len(candidates) - 1
    chosen = last
    reached: Reached | None = None
    for index in range(last + 1):
        after = range(index + 1, min(index + _FURTHER, last) + 1)
        if not look(index).is_straight(_LINEAR):
            continue
        if all(look(i).is_straight(_CONTRADICTION) for i in after):
            chosen, reached = min(index + _FURTHER, last), "diffusive"
            while chosen < last and look(chosen).farthest < hop**2:
                chosen += 1
            break
    taken, first = reached is not None, 1
    if reached is None:
        reached = look(last).word
        if reached == "caged":  # the late lags may be beyond it
            first = LATE
            reached = _slowing(known[last][0], candidates[last], first).word
    frames = candidates[chosen]
    step_ps = float(
        np.mean([n * m.frame_interval_ps for n, m in zip(frames, motions, strict=True)])
    )
    look(chosen)
    return Window(step_ps, frames, taken, first, reached), known[chosen][0]


def _in_frames(motions: Sequence[IonMotion], step_ps: float) -> tuple[int, ...]:
    return tuple(
        min(max(round(step_ps / m.frame_interval_ps), 1), (m.n_frames - 1) // (3 * N_LAGS))
        for m in motions
    )


def _moments(motions: Sequence[IonMotion], steps: Sequence[int]) -> list[LagMoments]:
    lags = np.arange(1, N_LAGS + 1)
    return [
        lag_moments(motion.displacements, step * lags, N_BLOCKS)
        for motion, step in zip(motions, steps, strict=True)
    ]


@dataclass(frozen=True)
class _Slowing:
    """Probability, by two tests, of a first slope that exceeds the second as much by chance.

    Attributes:
        by_ions: t over ions; that over blocks where there are few.
        by_blocks: t over blocks of time, right also where ions move in concert.
        farthest: Å², MSD at the last lag, over all ions.
        bends: Of any bend as large: Hotelling's T² over ions, of the terms in t², t³ and t⁴.
    """

    by_ions: float
    by_blocks: float
    bends: float
    farthest: float

    def is_straight(self, p: float) -> bool:
        """No slowing down at this p, no other bend, and not faster than diffusion."""
        return self.by_ions > p and self.bends > _BENDS and not self.outruns

    @property
    def outruns(self) -> bool:
        """MSD grows faster than a line by both tests."""
        return min(self.by_ions, self.by_blocks) > 1.0 - _BALLISTIC

    @property
    def word(self) -> Reached:
        """What a window says that the rule did not take."""
        if self.outruns:
            return "ballistic"
        if max(self.by_ions, self.by_blocks) < _CAGED:
            return "caged"
        return "unsure" if self.by_ions < 0.05 else "diffusive"


def _slowing(moments: Sequence[LagMoments], steps: Sequence[int], first: int = 1) -> _Slowing:
    """The tests on the lags from `first` Δ on."""
    n_lags = N_LAGS - first + 1
    x = np.arange(n_lags) - (n_lags - 1) / 2
    half = n_lags // 2
    contrast = np.concatenate([x[:half] - x[:half].mean(), x[half:].mean() - x[half:]])
    farthest = float(np.concatenate([one.squares[..., -1].mean(axis=1) for one in moments]).mean())
    paths = [one.squares[..., first - 1 :] / n for one, n in zip(moments, steps, strict=True)]
    by_block = _upper_tail(np.concatenate([one.mean(axis=0) @ contrast for one in paths]))
    by_ion = np.concatenate([one.mean(axis=1) for one in paths])
    if len(by_ion) < LEAST_IONS:
        return _Slowing(by_block, by_block, 1.0, farthest)
    return _Slowing(_upper_tail(by_ion @ contrast), by_block, _bends(by_ion), farthest)


def _bends(paths: FloatArray) -> float:
    """P of Hotelling's T² for a straight line against a polynomial, over ions.

    Args:
        paths: (n_ions, n_lags) MSD of each ion.
    """
    degrees = min(3, len(paths) // 3)
    basis = np.linalg.qr(
        np.vander(np.linspace(-1, 1, paths.shape[1]), degrees + 2, increasing=True)
    )[0]
    samples = paths @ basis[:, 2:]
    n = len(samples)
    covariance = np.atleast_2d(np.cov(samples.T)) / n
    if np.linalg.matrix_rank(covariance) < degrees:
        return 1.0
    mean = samples.mean(axis=0)
    t_squared = float(mean @ np.linalg.solve(covariance, mean))
    ratio = max(t_squared, 0.0) * (n - degrees) / (degrees * (n - 1))
    return float(fdtrc(degrees, n - degrees, ratio))


def _upper_tail(values: FloatArray) -> float:
    """One-sided p of a mean above zero."""
    spread = mean_spread(values)
    mean = float(values.mean())
    if spread.variance == 0.0:
        return 0.5 if mean == 0.0 else float(mean < 0.0)
    return float(stdtr(spread.freedom, -mean / spread.standard_error))
