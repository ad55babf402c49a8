"""The noise of g(r): by how much two sets of runs differ although nothing is different.

A norm of a difference is biased upwards: between two finite sets of runs of the *same* force
field the mean |Δg| is not zero. How large it is depends on the number and length of the runs and
on the bin width alone. This is the floor under every `rdf_mae`.

A run comes as the mean g(r) of consecutive blocks of equal numbers of frames. How far these lie
apart tells the covariance C of the run's mean without knowing a correlation time, so that frames
that are dense, thinned or repeated weigh what they are worth.

Size: With two or more reference runs, the mean |Δg| of their pairs, scaled to the pooling at hand:
unbiased also where g has modes that are slower than a block. With one run √(2/π)·mean √C_kk, C
from its blocks. Blocks that remember their neighbors make C too small; the correlation between
neighbors tells by how much (`memory`). Modes slower than the whole run stay unseen.

Shape: Δg ~ N(0, C) makes mean |Δg| scatter as if it were the mean of m independent parts, and the
estimate of its size scatters likewise: their ratio is that of two χ variables, whose quantile is
an F quantile. m comes from the squared correlations of the bins, estimated without bias; noise
that is slower than the blocks counts as a single part. (Draws from a C of few blocks have few
directions and scatter by far too much: 1.4 times too high a q95 with the rank two of three runs.
Draws that take the size for known scatter too little: 7 to 10 % exceed their q95.)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.special import fdtri, gammaln

from mdbench.errors import InputError

FloatArray = NDArray[np.float64]

#: E|x| of a standard normal variable.
_MEAN_ABS_NORMAL = math.sqrt(2.0 / math.pi)
#: With fewer blocks, neighbors do not tell anything about memory.
_FEWEST_FOR_MEMORY = 5
#: Longest correlation time that so few blocks can tell, in lengths of the run.
_LONGEST_MEMORY = 0.25
#: Least memory: neighbors that are opposite by chance do not make a mean this much better.
_LEAST_MEMORY = 0.5
#: (d ln memory / d correlation)² / 2 where it is short: what its estimate adds to the scatter.
_MEMORY_SCATTER = 3.6
#: With fewer samples, a squared correlation has no unbiased estimate that is bounded.
_FEWEST_ROWS = 4
#: Noise that differs by less than this factor from what the clock says is not worth a doubt.
_CLOCK_TOLERANCE = 1.5


@dataclass(frozen=True)
class RunSample:
    """g(r) of one run: that of all atoms, of a pair of species or of a group of atoms.

    Attributes:
        blocks: (n_blocks, n_bins) mean g(r) of consecutive blocks of equal numbers of frames.
        length_ps: Length of the run; None without a time axis.
        n_frames: Number of frames.
    """

    blocks: FloatArray
    length_ps: float | None
    n_frames: int

    @property
    def g(self) -> FloatArray:
        """Mean of the blocks, (n_bins,)."""
        return np.asarray(self.blocks.mean(axis=0))

    @property
    def n_blocks(self) -> int:
        """Number of blocks."""
        return len(self.blocks)


@dataclass(frozen=True)
class Floor:
    """The mean |Δg| of a perfect model.

    Attributes:
        expected: Its expectation at this pooling.
        q95: What a perfect model exceeds once in twenty times.
        single: Its expectation for one run of the reference against another one.
        n_model: Number of runs of the model.
        n_reference: Number of runs of the reference.
        noise_ratio: See `noise_ratio`.
    """

    expected: float
    q95: float
    single: float
    n_model: int
    n_reference: int
    noise_ratio: float


@dataclass(frozen=True)
class _Size:
    """Mean |Δg| of two runs.

    Attributes:
        expected: Its expectation.
        n_independent: Independent runs that it is known from.
        unseen: Share of the noise that is slower than the blocks.
    """

    expected: float
    n_independent: float
    unseen: float


def mean_g(runs: Sequence[RunSample]) -> FloatArray:
    """(n_bins,) g(r) of the pooled runs, each with the same weight."""
    return np.asarray(np.mean([run.g for run in runs], axis=0))


def check_samples(model: Sequence[RunSample], reference: Sequence[RunSample]) -> None:
    """Refuses what cannot be compared.

    Raises:
        InputError: A side without runs, a run without frames, other bins, not a number.
    """
    for side, runs in (("reference", reference), ("model", model)):
        if not runs:
            raise InputError(f"runs of the {side}", expected="at least one", found="none")
        for number, run in enumerate(runs, start=1):
            where = f"{side}, run {number}"
            if run.blocks.ndim != 2 or run.n_blocks == 0 or run.n_frames < 1:
                raise InputError("g(r)", where=where, expected="frames", found="none")
            n_bins, expected = run.blocks.shape[1], reference[0].blocks.shape[1]
            if n_bins != expected:
                raise InputError("bins of g(r)", where=where, expected=expected, found=n_bins)
            if not np.isfinite(run.blocks).all():
                raise InputError("g(r)", where=where, expected="numbers", found="NaN or infinity")


def noise_floor(model: Sequence[RunSample], reference: Sequence[RunSample]) -> Floor | None:
    """The mean |Δg| that a perfect model would show at this pooling.

    Args:
        model: Runs of the model. Only their number, their lengths and their `noise_ratio` count:
            how far they lie apart does not, so that one bad run cannot raise the floor.
        reference: Runs of the reference.

    Returns:
        None where the noise of the reference cannot be known: one run that is a single block.
    """
    size = _size(reference)
    if size is None:
        return None
    ratio = noise_ratio(model, reference)
    model_lengths, reference_lengths = run_lengths(model, reference)
    unit = float(reference_lengths.mean())
    variance = pooled(reference_lengths / unit) + ratio * pooled(model_lengths / unit)
    expected = size.expected * math.sqrt(0.5 * variance)
    scatter = (1.0 - size.unseen) ** 2 * _scatter(_contrasts(reference))
    scatter += size.unseen**2 * (0.5 * math.pi - 1.0)  # as if it were a single mode
    return Floor(
        expected=expected,
        q95=expected * _quantile(scatter, size.n_independent),
        single=size.expected,
        n_model=len(model),
        n_reference=len(reference),
        noise_ratio=ratio,
    )


def run_lengths(
    model: Sequence[RunSample], reference: Sequence[RunSample]
) -> tuple[FloatArray, FloatArray]:
    """Lengths of the runs of both sides: ps where all are known, else numbers of frames."""
    clocked = all(run.length_ps for run in (*model, *reference))
    own, other = (
        np.array([run.length_ps if clocked else run.n_frames for run in runs], dtype=float)
        for runs in (model, reference)
    )
    return own, other


def pooled(lengths: FloatArray) -> float:
    """Variance of the mean over runs of these lengths, in that of a run of length 1."""
    return float((1.0 / lengths).sum()) / len(lengths) ** 2


def noise_ratio(model: Sequence[RunSample], reference: Sequence[RunSample]) -> float:
    """Variance of g(r) in a run of the model over that in a reference run of the same length.

    Larger than 1 where frames repeat, are thinned or decorrelate more slowly than the clock says:
    a run counts for what it is worth. From the median squared step between neighboring blocks,
    which neither a drift nor a sudden change of the structure inflates. 1 within a factor of 1.5,
    and where a side has fewer than two steps.
    """
    noise = []
    for runs, lengths in zip((model, reference), run_lengths(model, reference), strict=True):
        steps = [
            (np.diff(run.blocks, axis=0) ** 2).sum(axis=1) * length / run.n_blocks
            for run, length in zip(runs, lengths, strict=True)
        ]
        together = np.concatenate(steps)
        noise.append(float(np.median(together)) if len(together) > 1 else 0.0)
    if not (noise[0] > 0.0 and noise[1] > 0.0):
        return 1.0
    ratio = noise[0] / noise[1]
    return ratio if abs(math.log(ratio)) > math.log(_CLOCK_TOLERANCE) else 1.0


def memory(blocks: FloatArray) -> float:
    """Variance of the mean over that of as many independent blocks.

    From the correlation of neighboring blocks, the mean over bins weighted with their standard
    deviations, by comparison with averages of an exponentially forgetting process, whose every
    bias at this number of blocks is known. 1 with fewer than 5 blocks.

    Args:
        blocks: (n_blocks, n_bins).
    """
    if len(blocks) < _FEWEST_FOR_MEMORY:
        return 1.0
    scaled = blocks - blocks.mean(axis=0)
    deviation = np.sqrt((scaled**2).mean(axis=0))
    moving = deviation > 0.0
    if not moving.any():
        return 1.0
    scaled = scaled[:, moving] / np.sqrt(deviation[moving])
    correlation = float((scaled[1:] * scaled[:-1]).sum() / (scaled**2).sum())
    correlations, factors = _memory_table(len(blocks))
    slope = (factors[1] - factors[0]) / (correlations[1] - correlations[0])
    below = min(correlation - correlations[0], 0.0) * slope  # so that noise averages out
    return max(_LEAST_MEMORY, float(np.interp(correlation, correlations, factors) + below))


@lru_cache
def _memory_table(n_blocks: int) -> tuple[FloatArray, FloatArray]:
    """(correlation of neighbors, memory) of block averages, for growing correlation times."""
    lags = np.abs(np.subtract.outer(np.arange(n_blocks), np.arange(n_blocks)))
    center = np.eye(n_blocks) - 1.0 / n_blocks
    table = []
    for tau in np.geomspace(0.2, _LONGEST_MEMORY * n_blocks, 100):  # in blocks
        decay = -math.expm1(-1.0 / tau)
        covariance = (tau * decay) ** 2 * np.exp(-(lags - 1.0) / tau)
        np.fill_diagonal(covariance, 2.0 * tau - 2.0 * tau**2 * decay)
        seen = center @ covariance @ center
        total = float(np.trace(seen))
        correlation = float(np.trace(seen, offset=1)) / total
        table.append((correlation, covariance.mean() * n_blocks * (n_blocks - 1) / total))
    correlations, factors = np.array(table).T
    return correlations, factors


def _size(runs: Sequence[RunSample]) -> _Size | None:
    """From the pairs of several runs, from the blocks of one; None for one of a single block."""
    if len(runs) > 1:
        lengths, _ = run_lengths(runs, runs)
        shares = lengths.mean() / lengths
        distances = [
            np.abs(runs[a].g - runs[b].g).mean() / math.sqrt(0.5 * (shares[a] + shares[b]))
            for a, b in combinations(range(len(runs)), 2)
        ]
        return _Size(float(np.mean(distances)), len(runs) - 1.0, unseen=0.0)
    blocks = runs[0].blocks
    if len(blocks) < 2:
        return None
    inflation = memory(blocks)
    n_independent = (len(blocks) - 1.0) / inflation
    deviation = np.sqrt(inflation * blocks.var(axis=0, ddof=1) / len(blocks))
    expected = _MEAN_ABS_NORMAL * math.sqrt(2.0) * float(deviation.mean())
    scatter = _MEMORY_SCATTER / len(blocks) if len(blocks) >= _FEWEST_FOR_MEMORY else 0.0
    return _Size(
        expected=expected / _mean_chi(n_independent),
        n_independent=1.0 / (1.0 / n_independent + scatter),
        unseen=max(0.0, 1.0 - 1.0 / inflation),
    )


def _contrasts(runs: Sequence[RunSample]) -> FloatArray:
    """(n, n_bins) rows that scatter as C, up to a factor: of blocks, else of runs of one block."""
    lengths, _ = run_lengths(runs, runs)
    rows = [
        math.sqrt(length / run.n_blocks) * _orthonormal(run.n_blocks) @ run.blocks
        for run, length in zip(runs, lengths, strict=True)
    ]
    found = np.concatenate(rows)
    if len(found):
        return np.asarray(found)
    return np.asarray(_orthonormal(len(runs)) @ np.stack([run.g for run in runs]))


@lru_cache
def _orthonormal(n: int) -> FloatArray:
    """(n − 1, n) orthonormal rows, each of sum zero (Helmert)."""
    rows = np.tril(np.ones((n, n)), -1)[1:]
    rows[np.arange(n - 1), np.arange(1, n)] = -np.arange(1.0, n)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def _quantile(scatter: float, n_independent: float) -> float:
    """95 % quantile of mean |Δg| over its expectation, where that is known from few samples.

    Args:
        scatter: Squared relative scatter of mean |Δg|; that of χ with m degrees of freedom is
            1/(2m − 1/4), exact to 2 %.
        n_independent: Samples that its expectation is known from.
    """
    m = 0.5 / scatter + 0.125
    known = m * n_independent
    ratio = float(fdtri(m, known, 0.95))
    return math.sqrt(ratio) * _mean_chi(known) / _mean_chi(m)


def _mean_chi(n: float) -> float:
    """E √(χ²/n) with n degrees of freedom."""
    return math.exp(float(gammaln(0.5 * (n + 1.0)) - gammaln(0.5 * n))) * math.sqrt(2.0 / n)


def _scatter(rows: FloatArray) -> float:
    """Squared relative scatter of mean |x|, x normal with the covariance of the rows.

    Σ σ_i σ_j h(ρ_ij) / (Σ σ_i)² with h = √(1 − ρ²) + ρ asin ρ − 1 ≈ ρ²/2 + (π/2 − 3/2) ρ⁴, which
    is exact at both ends. Few rows make the powers of ρ too large; this is undone.
    """
    n = len(rows)
    deviation = np.sqrt((rows**2).mean(axis=0))
    moving = deviation > 0.0
    if not moving.any():
        return 0.5 * math.pi - 1.0
    scaled = rows[:, moving] / deviation[moving]
    shares = deviation[moving] / deviation.sum()
    squared = np.minimum((scaled.T @ scaled / n) ** 2, 1.0)  # (n_moving, n_moving)
    fourth = float(shares @ squared**2 @ shares)
    if n >= _FEWEST_ROWS:
        by_chance = 3.0 / (n * (n + 2.0))  # ρ⁴ of independent bins
        fourth = (fourth - by_chance) / (1.0 - by_chance)
        squared = np.interp(squared, *_unbiased(n))
    second = float(shares @ squared @ shares)
    least = (0.5 * math.pi - 1.0) * float((shares**2).sum())  # of independent bins
    return max(0.5 * second + (0.5 * math.pi - 1.5) * fourth, least)


@lru_cache
def _unbiased(n: int) -> tuple[FloatArray, FloatArray]:
    """(r², unbiased ρ²) of n samples of mean zero.

    1 − (n − 2)/(n − 1)·(1 − r²)·₂F₁(1, 1; (n + 1)/2; 1 − r²), Olkin and Pratt 1958; by its series.
    """
    r_squared = np.linspace(0.0, 1.0, 401)
    rest = 1.0 - r_squared
    powers = np.arange(1.0, 1001.0)
    factors = np.cumprod(powers / (powers + 0.5 * (n - 1.0)))
    series = 1.0 + rest[:, None] ** powers @ factors
    return r_squared, 1.0 - (n - 2.0) / (n - 1.0) * rest * series
