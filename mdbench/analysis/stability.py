"""Is the structure of a model right? A number, its noise, its interval, a state and a reason.

`rdf_mae` is the mean over bins of |g_model − g_reference|, runs of a side pooled with the same
weight. Its noise floor is that of `noise`. Its interval is value ± t·SE by the jackknife over both
sides, and speaks about the expectation of `rdf_mae` at this amount of data.

Never a percentile bootstrap: resampled runs differ from the pooled ones by as much noise again,
and |Δg| has no sign by which noise could cancel. Every resampled value is then larger than the
estimate on average, so the percentiles lie above it, in most trials all of them. The
jackknife only takes its *width* from resampling. The same trap waits in every norm of a difference.

The verdict is the first that applies:

1. evidence of explosion, fusion or drift: `unstable`;
2. the lower limit above both the threshold and the floor's q95: `unstable`;
3. the upper limit below the threshold: `stable` (a small difference is never noise);
4. rdf_mae at most the floor's q95: `indistinguishable`, no evidence at this amount of data;
5. else `undecided`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import stdtrit

from mdbench.analysis.noise import (
    FloatArray,
    Floor,
    RunSample,
    check_samples,
    mean_g,
    memory,
    noise_floor,
    pooled,
    run_lengths,
)

State = Literal["stable", "unstable", "indistinguishable", "undecided"]

#: The paper's limit of `rdf_mae`.
THRESHOLD = 0.02
#: Failure modes that make a model unstable whatever its g(r).
DECISIVE_MODES = ("exploded", "fusion", "drift")
#: More data than this many times the present are no advice.
_MOST_DATA = 1e4


@dataclass(frozen=True)
class Needed:
    """How much data would bring the upper limit below the threshold, at the estimated difference.

    Attributes:
        factor: Times the present data of both sides; 1 where the limit is below already.
        n_model: Runs of the model, each as long as the present ones are on average.
        n_reference: Runs of the reference, likewise.
        model_ps: Length of one run of the model; None without a time axis.
        reference_ps: Length of one run of the reference; None without a time axis.
    """

    factor: float
    n_model: int
    n_reference: int
    model_ps: float | None
    reference_ps: float | None

    def __str__(self) -> str:
        sides = (
            (self.n_model, self.model_ps, "the model"),
            (self.n_reference, self.reference_ps, "the reference"),
        )
        return " and ".join(
            f"{n} run{'s' * (n > 1)}{'' if ps is None else f' of {ps:.3g} ps'} of {side}"
            for n, ps, side in sides
        )


@dataclass(frozen=True)
class Comparison:
    """g(r) of a model against that of a reference.

    Attributes:
        rdf_mae: Mean over bins of |g_model − g_reference|.
        interval: 95 % interval of its expectation; None where neither side has measurable noise
            (a single frame of each).
        floor: What a perfect model would show; None where the noise of the reference is unknown
            (a single frame).
        without_noise: √(rdf_mae² − expected²), about what would be left of rdf_mae with endless
            data: noise adds to a difference in squares. None where the floor is unknown.
        needed: Data that would bring the upper limit below the threshold; None where none would,
            as the estimated difference itself is above, or where the noise is unknown.
        threshold: The limit of rdf_mae that was asked for.
    """

    rdf_mae: float
    interval: tuple[float, float] | None
    floor: Floor | None
    without_noise: float | None
    needed: Needed | None
    threshold: float


@dataclass(frozen=True)
class Verdict:
    """What the comparison says about the model.

    Attributes:
        state: One of the four states.
        paper: `stable` where rdf_mae is below the threshold, else `unstable`: the bare rule.
        rule: Number of the rule that decided, 1 to 5.
        failure_mode: The first failure mode that applies; None without one.
        reason: One sentence with the numbers.
    """

    state: State
    paper: Literal["stable", "unstable"]
    rule: int
    failure_mode: str | None
    reason: str


@dataclass(frozen=True)
class _Spread:
    """Variance of rdf_mae by the runs of one side, and its degrees of freedom."""

    variance: float
    freedom: float


def compare(
    model: Sequence[RunSample], reference: Sequence[RunSample], *, threshold: float = THRESHOLD
) -> Comparison:
    """rdf_mae with its interval, its noise floor and the data that would settle it.

    Args:
        model: g(r) of the model's runs: of all atoms, or of any one pair or group.
        reference: The same of the reference, on the same bins.
        threshold: Limit of rdf_mae.

    Raises:
        InputError: The g(r) cannot be compared.
    """
    check_samples(model, reference)
    difference = mean_g(model) - mean_g(reference)
    rdf_mae = float(np.abs(difference).mean())
    floor = noise_floor(model, reference)
    spread = _spread(difference, model, reference)
    interval = without_noise = needed = None
    if spread is not None:
        width = _half_width(spread, 1.0)
        interval = max(rdf_mae - width, 0.0), rdf_mae + width
    if floor is not None:
        without_noise = math.sqrt(max(rdf_mae**2 - floor.expected**2, 0.0))
    if spread is not None and floor is not None:
        factor = _factor(rdf_mae, floor, spread, threshold)
        needed = None if factor is None else _needed(factor, model, reference)
    return Comparison(rdf_mae, interval, floor, without_noise, needed, threshold)


def compare_halves(runs: Sequence[RunSample]) -> Comparison | None:
    """First against second halves of the same runs: is the reference equilibrated?

    It is not where rdf_mae exceeds floor.q95, which happens to one equilibrated reference in
    twenty, too. None where a run has fewer than four blocks.
    """
    if any(run.n_blocks < 4 for run in runs):
        return None
    halves = []
    for part in (0, 1):
        side = []
        for run in runs:
            n = run.n_blocks // 2
            share = n / run.n_blocks
            side.append(
                RunSample(
                    blocks=run.blocks[:n] if part == 0 else run.blocks[-n:],
                    length_ps=None if run.length_ps is None else share * run.length_ps,
                    n_frames=max(1, round(share * run.n_frames)),
                )
            )
        halves.append(side)
    return compare(halves[0], halves[1])


def classify(comparison: Comparison, failure_mode: str | None = None) -> Verdict:
    """The verdict by the ordered rules.

    Args:
        comparison: Of the total g(r).
        failure_mode: The first failure mode that applies; those of `DECISIVE_MODES` decide alone.
    """
    value, threshold = comparison.rdf_mae, comparison.threshold
    state, rule, reason = _decide(comparison, failure_mode)
    return Verdict(
        state=state,
        paper="stable" if value < threshold else "unstable",
        rule=rule,
        failure_mode=failure_mode,
        reason=reason,
    )


def _decide(comparison: Comparison, failure_mode: str | None) -> tuple[State, int, str]:
    value, threshold, floor = comparison.rdf_mae, comparison.threshold, comparison.floor
    mae = f"rdf_mae {value:.4f}"
    if failure_mode in DECISIVE_MODES:
        return "unstable", 1, f"{failure_mode}, whatever g(r) is ({mae})"
    if comparison.interval is None:
        return "undecided", 5, f"{mae}, but single frames do not tell their noise; give more frames"
    low, high = comparison.interval
    mae += f" ({low:.4f} to {high:.4f})"
    if floor is not None and low > max(threshold, floor.q95):
        limits = f"the threshold {threshold:g} and the noise of a perfect model {floor.q95:.4f}"
        return "unstable", 2, f"{mae} is above {limits} with its whole interval"
    if high < threshold:
        return "stable", 3, f"{mae} is below the threshold {threshold:g} with its whole interval"
    if floor is None:
        return "undecided", 5, f"{mae}, but a single frame of the reference does not tell its noise"
    pooling = f"{floor.n_model} x {floor.n_reference} runs"
    noise = f"a perfect model at {pooling} (expected {floor.expected:.4f}, 95 % {floor.q95:.4f})"
    advice = _advice(comparison)
    if value <= floor.q95:
        return "indistinguishable", 4, f"{mae} is within the noise of {noise}; {advice}"
    if low > threshold:
        across = f"its interval reaches below the noise {floor.q95:.4f}"
    else:
        across = f"its interval holds the threshold {threshold:g}"
    return "undecided", 5, f"{mae} is more than the noise of {noise}, but {across}; {advice}"


def _advice(comparison: Comparison) -> str:
    if comparison.needed is None:
        return "more data would not bring the upper limit below the threshold"
    return f"about {comparison.needed} would bring the upper limit below {comparison.threshold:g}"


def _spread(
    difference: FloatArray, model: Sequence[RunSample], reference: Sequence[RunSample]
) -> _Spread | None:
    """Variance of rdf_mae by both sides, with Welch's degrees of freedom.

    A side without noise of its own (a single frame) is given that of the other one.
    """
    lengths = run_lengths(model, reference)
    sides = [_side_spread(difference, model), _side_spread(-difference, reference)]
    for own, other in ((0, 1), (1, 0)):
        known = sides[other]
        if sides[own] is None and known is not None:
            ratio = pooled(lengths[own]) / pooled(lengths[other])
            sides[own] = _Spread(known.variance * ratio, known.freedom)
    found = [side for side in sides if side is not None]
    return _sum(found) if found else None


def _side_spread(difference: FloatArray, runs: Sequence[RunSample]) -> _Spread | None:
    """The larger of the jackknife over runs and that over blocks; None for a single block.

    Two or three runs can lie close together by chance; blocks cannot see what is slower than a
    run. The larger of both covers better than either, and is narrower than that over two runs,
    whose t is 12.7.
    """
    found = []
    if len(runs) > 1:
        found.append(_jackknife(difference, np.stack([run.g for run in runs])))
    blocks = [run.blocks for run in runs if run.n_blocks > 1]
    if len(blocks) == len(runs):
        each = [_jackknife(difference, b, weight=1.0 / len(runs)) for b in blocks]
        factors = [max(1.0, memory(b)) for b in blocks]
        inflated = [
            _Spread(spread.variance * factor, spread.freedom / factor)
            for spread, factor in zip(each, factors, strict=True)
        ]
        found.append(_sum(inflated))
    return max(found, key=lambda spread: spread.variance) if found else None


def _jackknife(difference: FloatArray, samples: FloatArray, weight: float = 1.0) -> _Spread:
    """Delete-one jackknife of mean |Δg|.

    Args:
        difference: (n_bins,) Δg, to which the mean of the samples contributes with `weight`.
        samples: (n, n_bins) g(r).
        weight: Share of the samples' mean.
    """
    n = len(samples)
    moved = weight * (samples - samples.mean(axis=0)) / (n - 1.0)
    left_out = np.abs(difference - moved).mean(axis=1)
    variance = (n - 1.0) / n * float(((left_out - left_out.mean()) ** 2).sum())
    return _Spread(variance, n - 1.0)


def _sum(spreads: Sequence[_Spread]) -> _Spread:
    """Variances added, degrees of freedom by Welch and Satterthwaite."""
    variance = sum(s.variance for s in spreads)
    squares = sum(s.variance**2 / s.freedom for s in spreads)
    freedom = variance**2 / squares if squares > 0.0 else sum(s.freedom for s in spreads)
    return _Spread(variance, freedom)


def _half_width(spread: _Spread, factor: float) -> float:
    """t·SE with so many times the data."""
    t = float(stdtrit(factor * spread.freedom, 0.975))
    return t * math.sqrt(spread.variance / factor)


def _factor(rdf_mae: float, floor: Floor, spread: _Spread, threshold: float) -> float | None:
    """Times the present data of both sides at which the upper limit falls below the threshold."""
    if rdf_mae + _half_width(spread, 1.0) < threshold:
        return 1.0
    squared = max(rdf_mae**2 - floor.expected**2, 0.0)

    def upper(factor: float) -> float:
        return math.sqrt(squared + floor.expected**2 / factor) + _half_width(spread, factor)

    low, high = 1.0, _MOST_DATA
    if upper(high) >= threshold:
        return None
    while high / low > 1.01:
        middle = math.sqrt(low * high)
        low, high = (middle, high) if upper(middle) >= threshold else (low, middle)
    return high


def _needed(factor: float, model: Sequence[RunSample], reference: Sequence[RunSample]) -> Needed:
    lengths = [[run.length_ps for run in runs] for runs in (model, reference)]
    means = [
        float(np.mean([ps for ps in side if ps is not None])) if None not in side else None
        for side in lengths
    ]
    return Needed(
        factor=factor,
        n_model=math.ceil(factor * len(model)),
        n_reference=math.ceil(factor * len(reference)),
        model_ps=means[0],
        reference_ps=means[1],
    )
