"""The noise of g(r): what two finite sets of runs differ by although nothing differs.

A norm of a difference is biased upwards: between two sets of runs of the *same* force field the
mean |Δg| is not zero, and how large it is depends on the length and number of the runs and on the
bin width alone. This is the floor under every `rdf_mae`.

Blocks: A run comes as the mean g(r) of consecutive blocks of equal numbers of frames. How much
these differ tells the covariance C of the run's mean without any correlation time, so that frames
that are dense, thinned or repeated weigh what they are worth. Lengths in ps only compare runs of
one side with each other.

Size: With two or more reference runs, `expected` is the mean |Δg| over their pairs, scaled to the
pooling at hand. It is unbiased also where modes slower than a block move g. With a single run it
is √(2/π)·mean √C_kk; blocks that remember their neighbors make C too small, which is undone by
the correlation between neighboring blocks (`memory`). Modes slower than the whole run stay unseen.

Shape: `q95` is drawn from Δg ~ N(0, C). The C of a few blocks has few directions, and too few
directions scatter the mean |Δg| too widely, as a size known from a few runs scatters it more:
both are corrected in closed form (`_spread`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from mdbench.errors import InputError

FloatArray = NDArray[np.float64]

#: Draws of Δg for the quantile: its own error is then 1 % of the floor.
_DRAWS = 2000
_SEED = 20240731
#: E|x| of a standard normal variable.
_MEAN_ABS_NORMAL = math.sqrt(2.0 / math.pi)
#: With fewer blocks, neighbors do not tell anything about memory.
_FEWEST_FOR_MEMORY = 5
#: Longest memory that can be told from so few blocks, in shares of the run.
_LONGEST_MEMORY = 0.25


@dataclass(frozen=True)
class RunSample:
    """g(r) of one run: any of its g, of all atoms, of a pair of species or of a group.

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
        """(n_bins,) mean g(r)."""
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
        noise_ratio: Variance of g(r) in a run of the model over that in one of the reference of
            the same length, between neighboring blocks: about 1 for a perfect model; large where
            frames repeat or decorrelate more slowly. 1 where blocks are too few to tell.
    """

    expected: float
    q95: float
    single: float
    n_model: int
    n_reference: int
    noise_ratio: float


def mean_g(runs: Sequence[RunSample]) -> FloatArray:
    """(n_bins,) g(r) of the pooled runs, each with the same weight."""
    return np.asarray(np.mean([run.g for run in runs], axis=0))


def check_samples(model: Sequence[RunSample], reference: Sequence[RunSample]) -> None:
    """Refuses sides without runs, and g(r) that are not numbers or not on the same bins.

    Raises:
        InputError: They cannot be compared.
    """
    for side, runs in (("model", model), ("reference", reference)):
        if not runs:
            raise InputError(f"runs of the {side}", expected="at least one", found="none")
        for number, run in enumerate(runs, start=1):
            where = f"{side}, run {number}"
            if run.blocks.ndim != 2 or run.n_blocks == 0 or run.n_frames < 1:
                raise InputError("g(r)", where=where, expected="frames", found="none")
            if run.blocks.shape[1] != reference[0].blocks.shape[1]:
                raise InputError(
                    "g(r)",
                    where=where,
                    expected=f"{reference[0].blocks.shape[1]} bins, as the first reference",
                    found=run.blocks.shape[1],
                )
            if not np.isfinite(run.blocks).all():
                raise InputError("g(r)", where=where, expected="numbers", found="NaN or infinity")


def noise_floor(model: Sequence[RunSample], reference: Sequence[RunSample]) -> Floor | None:
    """The mean |Δg| that a perfect model would show at this pooling.

    Args:
        model: Runs of the model; only their number, their lengths and how much their neighboring
            blocks differ are used: a bad model does not raise its own floor.
        reference: Runs of the reference.

    Returns:
        None where the noise of the reference cannot be known: one run that is a single block.
    """
    known = _single(reference)
    if known is None:
        return None
    single, n_independent, rows = known
    ratio = noise_ratio(model, reference)
    model_lengths, reference_lengths = run_lengths(model, reference)
    unit = float(np.mean(reference_lengths))
    pooled = _pooled(reference_lengths, unit) + ratio * _pooled(model_lengths, unit)
    expected = single * math.sqrt(0.5 * pooled)
    return Floor(
        expected=expected,
        q95=expected * _quantile(rows, n_independent),
        single=single,
        n_model=len(model),
        n_reference=len(reference),
        noise_ratio=ratio,
    )


def run_lengths(
    model: Sequence[RunSample], reference: Sequence[RunSample]
) -> tuple[FloatArray, FloatArray]:
    """Lengths of the runs of both sides in the same unit: ps where all are known, else frames."""
    sides = (model, reference)
    clocked = all(run.length_ps for runs in sides for run in runs)
    lengths = [[run.length_ps if clocked else run.n_frames for run in runs] for runs in sides]
    return np.array(lengths[0], dtype=float), np.array(lengths[1], dtype=float)


def noise_ratio(model: Sequence[RunSample], reference: Sequence[RunSample]) -> float:
    """Variance of a run of the model over that of a reference of the same length.

    From the median squared step between neighboring blocks, which neither a drift of the structure
    nor a sudden change can inflate. 1 where there are fewer than two steps on a side.
    """
    lengths = run_lengths(model, reference)
    found = [_step_noise(runs, own) for runs, own in zip((model, reference), lengths, strict=True)]
    if found[0] is None or not found[1]:
        return 1.0
    return found[0] / found[1]


def memory(blocks: FloatArray) -> float:
    """Variance of a run's mean over that of as many independent blocks; at least 1.

    The correlation of neighboring blocks, summed over the bins, is compared with that of an
    exponentially forgetting process, whose biases at this number of blocks are exactly known.

    Args:
        blocks: (n_blocks, n_bins).
    """
    n_blocks = len(blocks)
    if n_blocks < _FEWEST_FOR_MEMORY:
        return 1.0
    deviations = blocks - blocks.mean(axis=0)
    total = float((deviations**2).sum())
    if total == 0.0:
        return 1.0
    correlation = float((deviations[1:] * deviations[:-1]).sum()) / total
    return float(np.interp(correlation, *_memory_table(n_blocks)))


@lru_cache
def _memory_table(n_blocks: int) -> tuple[FloatArray, FloatArray]:
    """(correlation, memory) of averages over blocks of processes with a growing memory."""
    table = []
    lags = np.abs(np.subtract.outer(np.arange(n_blocks), np.arange(n_blocks)))
    center = np.eye(n_blocks) - 1.0 / n_blocks
    for tau in np.geomspace(0.01, _LONGEST_MEMORY * n_blocks, 200):  # in blocks
        decay = -math.expm1(-1.0 / tau)
        covariance = tau**2 * decay**2 * np.exp(-(lags - 1.0) / tau)
        np.fill_diagonal(covariance, 2.0 * tau - 2.0 * tau**2 * decay)
        seen = center @ covariance @ center
        spread = float(np.trace(seen))
        correlation = float(np.trace(seen, offset=1)) / spread
        table.append((correlation, covariance.mean() * n_blocks * (n_blocks - 1) / spread))
    correlations, factors = np.array(table).T
    return correlations, np.maximum(factors, 1.0)


def _single(runs: Sequence[RunSample]) -> tuple[float, float, FloatArray] | None:
    """Expected mean |Δg| of two runs; independent samples that it rests on; rows for its shape."""
    rows = _block_rows(runs)
    if len(runs) > 1:
        lengths = np.array(run_lengths(runs, runs)[0])
        weights = 0.5 * lengths.mean() * (1.0 / lengths[:, None] + 1.0 / lengths)
        distances = [
            np.abs(runs[a].g - runs[b].g).mean() / math.sqrt(weights[a, b])
            for a, b in combinations(range(len(runs)), 2)
        ]
        if not len(rows):
            rows = np.stack([run.g for run in runs]) - mean_g(runs)
        return float(np.mean(distances)), len(runs) - 1.0, rows
    blocks = runs[0].blocks
    if len(blocks) < 2:
        return None
    inflation = memory(blocks)
    deviation = np.sqrt(inflation * blocks.var(axis=0, ddof=1) / len(blocks))
    single = _MEAN_ABS_NORMAL * math.sqrt(2.0) * float(deviation.mean())
    return single, (len(blocks) - 1.0) / inflation, rows


def _block_rows(runs: Sequence[RunSample]) -> FloatArray:
    """(n_independent, n_bins) whose scatter has the shape of C: Helmert contrasts of the blocks."""
    lengths, _ = run_lengths(runs, runs)
    rows = [
        math.sqrt(length / run.n_blocks) * _contrasts(run.n_blocks) @ run.blocks
        for run, length in zip(runs, lengths, strict=True)
    ]
    return np.concatenate(rows)


@lru_cache
def _contrasts(n: int) -> FloatArray:
    """(n − 1, n) orthonormal rows, each of sum zero."""
    rows = np.tril(np.ones((n, n)), -1)[1:]
    rows[np.arange(n - 1), np.arange(1, n)] = -np.arange(1.0, n)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def _quantile(rows: FloatArray, n_independent: float) -> float:
    """95 % quantile over expectation of mean |Δg|, Δg normal with the scatter of the rows."""
    rng = np.random.default_rng(_SEED)
    draws = np.abs(rng.standard_normal((_DRAWS, len(rows))) @ rows).mean(axis=1)
    mean = float(draws.mean())
    if mean == 0.0:
        return 1.0
    excess = float(np.quantile(draws, 0.95)) / mean - 1.0
    return 1.0 + excess * _spread(rows) * math.sqrt(1.0 + 1.0 / n_independent)


def _spread(rows: FloatArray) -> float:
    """True over drawn relative spread of mean |Δg|.

    The squared relative spread goes with R = Σ C_ij²/(σ_i σ_j) / (Σ σ_i)², which a C from ν samples
    has too large by about 1/ν; the unbiased estimate of a squared covariance matrix is used.
    """
    n = len(rows)
    deviation = np.sqrt((rows**2).mean(axis=0))
    moving = deviation > 0.0
    scaled = rows[:, moving] / np.sqrt(deviation[moving])
    found = float(((scaled @ scaled.T) ** 2).sum()) / (n * deviation.sum()) ** 2
    if n < 3:
        return 1.0
    unbiased = (found - 1.0 / n) * n**2 / ((n - 1.0) * (n + 2.0))
    return math.sqrt(min(max(unbiased, 1.0 / moving.sum()) / found, 1.0))


def _pooled(lengths: FloatArray, unit: float) -> float:
    """Variance of the mean over runs, in that of one run of unit length."""
    return float((unit / lengths).sum()) / len(lengths) ** 2


def _step_noise(runs: Sequence[RunSample], lengths: FloatArray) -> float | None:
    """Median squared step between neighboring blocks, as variance of a run of unit length."""
    steps = [
        (np.diff(run.blocks, axis=0) ** 2).sum(axis=1) * length / run.n_blocks
        for run, length in zip(runs, lengths, strict=True)
    ]
    together = np.concatenate(steps)
    return float(np.median(together)) if len(together) > 1 else None
