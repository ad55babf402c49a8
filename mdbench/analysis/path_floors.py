"""Floors and intervals of statistics that are made of sets.

Which pairs two runs have in common depends on how long they are: even a perfect model does not make
all jumps of the reference. The floor is what it would show: units of both sides, pooled, are dealt
out to the sides anew, and the statistic is computed for each deal. Neither kind of unit is right
alone. On simulated jumps a perfect model should be beyond the 5 % quantile once in twenty times.
With stretches of time, which forget the channel or cage that an ion is in, it is there in 15 to
100 % of all cases; with tracks, which forget what ions do in concert, in 20 to 40 %. So:

* The mean is that of stretches, S, or that of tracks, T, or S + T − C, the least favorable; C is
  that of cells, single ions in stretches, which forget both. Of the rate ratio it is S.
* The quantiles are as far from it as those of stretches or of tracks from their means, the farther.

A bad model's units are in the pool, too, and would make a perfect one look bad. Where the jumps of
the sides are told apart (p < 0.01 of efficiency, fake rate or distance), the reference's units are
also dealt among themselves, to two sides that are so much smaller, and the means are better by as
much as these do better than equally small sides of the pool. Without this condition a perfect model
that is far off by chance would raise its own floor.

Intervals are of the mean of a statistic at this amount of data: value ± t·SE, from the jackknife
over stretches or that over tracks, the larger. Never a bootstrap: drawing units repeatedly makes
sides of fewer pairs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from scipy.special import betaincinv

from mdbench.analysis.msd import FloatArray
from mdbench.analysis.path_deals import small_sides
from mdbench.analysis.path_events import BoolArray, Units
from mdbench.stats import LEVEL, Estimate, Spread, student_t, sum_of

#: Parts of a side that are left out one after another, where it has more units.
_MOST_PARTS = 20
#: Below this probability it is no chance.
_RARE = 0.01
#: Equal statistics differ by rounding alone.
_SLACK = 1e-12
_TAIL = 0.5 * (1.0 - LEVEL)


@dataclass(frozen=True)
class Floor:
    """What a perfect model would show at this amount of data.

    Attributes:
        expected: Its mean.
        low: Its 5 % quantile.
        high: Its 95 % quantile.
        p: Probability that it is as bad as the model, and of a ratio, as far from 1; None where the
            model has no value.
    """

    expected: float
    low: float
    high: float
    p: float | None

    def as_json(self) -> dict[str, float | None]:
        """Its numbers by their names."""
        return {"expected": self.expected, "q05": self.low, "q95": self.high, "p": self.p}


@dataclass(frozen=True)
class Score:
    """A statistic of a model's paths, with its interval and its floor.

    Attributes:
        estimate: Value and 95 % interval of its mean at this amount of data; unresolved where a
            side has nothing that it could be a share of.
        floor: None where no deal has a value.
    """

    estimate: Estimate
    floor: Floor | None

    def as_json(self) -> dict[str, Any]:
        """The estimate's keys and the floor."""
        floor = None if self.floor is None else self.floor.as_json()
        return {**self.estimate.as_json(), "floor": floor}


class Tally(Protocol):
    """Statistics of two sides that are given by masks of units."""

    def __call__(self, model: FloatArray, reference: FloatArray) -> FloatArray:
        """(n_draws, n_statistics) for two masks (n_draws, n_units)."""


@dataclass(frozen=True)
class Drawn:
    """Statistics by one kind of units.

    Attributes:
        value: (n_statistics,) of the sides as they are.
        dealt: (n_draws, n_statistics) of units dealt out anew.
        gain: (n_statistics,) mean of small sides of the reference's units alone, over that of as
            small ones of the pool; 0 where they were not dealt.
        variances: For the model and the reference: (n_statistics,) of the jackknife.
        freedoms: For the model and the reference: degrees of freedom.
    """

    value: FloatArray
    dealt: FloatArray
    gain: FloatArray
    variances: tuple[FloatArray, FloatArray]
    freedoms: tuple[float, float]

    def spread(self, column: int) -> Spread:
        """Variance of a statistic by both sides."""
        sides = zip(self.variances, self.freedoms, strict=True)
        return sum_of([Spread(float(v[column]), f) for v, f in sides])


@dataclass(frozen=True)
class Deals:
    """Statistics by all kinds of units.

    Attributes:
        stretches: By stretches of time.
        tracks: By ions.
        cells: (n_statistics,) mean over deals of ions in stretches.
    """

    stretches: Drawn
    tracks: Drawn
    cells: FloatArray

    def spread(self, column: int) -> Spread:
        """The larger variance of a statistic."""
        spreads = self.stretches.spread(column), self.tracks.spread(column)
        return max(spreads, key=lambda spread: spread.variance)


def drawn(
    tally: Tally, units: Units, dealt: FloatArray, rng: np.random.Generator, *, apart: bool
) -> Drawn:
    """The statistics of units as they are, dealt out anew and left out one by one.

    Args:
        tally: Of these units.
        units: Stretches or tracks.
        dealt: (n_draws, n_units) 1 for the units that are the model's in a deal.
        rng: Which units are left out together where there are many, and which make small sides.
        apart: Whether the reference's units are dealt among themselves, too.
    """
    own = units.is_model.astype(np.float64)
    variances, freedoms = [], []
    for side in (units.is_model, ~units.is_model):
        members = rng.permutation(np.flatnonzero(side))
        n_parts = min(len(members), _MOST_PARTS)
        kept = np.ones((n_parts, units.n))
        kept[np.arange(len(members)) % n_parts, members] = 0.0
        left_out = tally(own * kept, (1.0 - own) * kept)
        defined = np.isfinite(left_out)
        n = defined.sum(axis=0)
        mean = np.where(defined, left_out, 0.0).sum(axis=0) / np.maximum(n, 1)
        squares = np.where(defined, (left_out - mean) ** 2, 0.0).sum(axis=0)
        variances.append((n_parts - 1.0) / np.maximum(n, 1) * squares)
        freedoms.append(max(n_parts - 1.0, 1.0))
    gain = np.zeros(1)
    if apart and units.n - own.sum() > 1.0:
        everyone, known = np.arange(units.n), np.flatnonzero(~units.is_model)
        pool, alone = (
            mean_of(tally(*small_sides(units, some, len(dealt), rng))) for some in (everyone, known)
        )
        gain = alone - pool
    value = tally(own[None], 1.0 - own[None])[0]
    return Drawn(
        value=value,
        dealt=tally(dealt, 1.0 - dealt),
        gain=np.where(np.isfinite(gain), gain, 0.0) + np.zeros_like(value),
        variances=(variances[0], variances[1]),
        freedoms=(freedoms[0], freedoms[1]),
    )


def mean_of(draws: FloatArray) -> FloatArray:
    """(n_statistics,) over the draws that have a value; NaN where none has."""
    defined = np.isfinite(draws)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(defined, draws, 0.0).sum(axis=0) / defined.sum(axis=0))


def told_apart(deals: Deals, bests: Mapping[int, str]) -> bool:
    """Whether a perfect model is as bad less than once in a hundred times, in any statistic.

    Args:
        deals: By all kinds of units.
        bests: Columns of statistics, and for each of them what `_floor` wants to know.
    """
    floors = [_floor(deals, column, best) for column, best in bests.items()]
    return any(floor is not None and (floor.p or 1.0) < _RARE for floor in floors)


def share(deals: Deals, column: int, *, trials: float, best: str) -> Score:
    """A share from 0 to 1, by all kinds of units.

    Its interval is never narrower than that of a binomial share of so many trials (Clopper and
    Pearson), as where nothing was missed and no unit makes a difference.

    Args:
        deals: By all kinds of units.
        column: Of the statistic.
        trials: Independent events that it is a share of.
        best: See `_floor`.
    """
    value = float(deals.stretches.value[column])
    floor = _floor(deals, column, best)
    if not math.isfinite(value):
        return Score(Estimate(None, None, None, ""), floor)
    spread = deals.spread(column)
    width = student_t(spread.freedom) * spread.standard_error
    value = min(max(value, 0.0), 1.0)
    low, high = _binomial_limits(value * trials, trials)
    limits = max(min(low, value - width), 0.0), min(max(high, value + width), 1.0)
    return Score(Estimate(value, *limits, "", spread), floor)


def rate_ratio(
    deals: Deals, column: int, *, events: tuple[float, float], exposure_ratio: float
) -> Score:
    """The ratio of two rates, by all kinds of units.

    The interval holds that of two Poisson rates, from the binomial share of the model in all
    events.

    Args:
        deals: By all kinds of units.
        column: Of the statistic.
        events: Independent events of the model and of the reference.
        exposure_ratio: Exposure of the model over that of the reference.
    """
    floor = _floor(deals, column, "near")
    made, known = events
    if not made + known > 0.0:
        return Score(Estimate(None, None, None, ""), floor)
    low, high = (
        math.inf if share >= 1.0 else share / (1.0 - share) / exposure_ratio
        for share in _binomial_limits(made, made + known)
    )
    if not known > 0.0:
        return Score(Estimate(None, low, None, ""), floor)
    value = float(deals.stretches.value[column])
    if not value > 0.0:
        return Score(Estimate(0.0, 0.0, high, ""), floor)
    spread = deals.spread(column)
    width = student_t(spread.freedom) * spread.standard_error / value
    low, high = min(low, value * math.exp(-width)), max(high, value * math.exp(min(width, 50.0)))
    return Score(Estimate(value, low, high, "", spread), floor)


def dispersion(units: Units) -> float:
    """Variance over mean of the numbers of jumps in stretches, at least 1.

    So many jumps are one independent event. What is above 1 is made larger as far as a t quantile
    is above a normal one: few stretches tell it badly.
    """
    jumps = np.bincount(units.of_jump, minlength=units.n)
    squares = freedom = 0.0
    for side in (units.is_model, ~units.is_model):
        expected = units.exposure_ps[side] * jumps[side].sum() / units.exposure_ps[side].sum()
        if expected.all():
            squares += float(((jumps[side] - expected) ** 2 / expected).sum())
            freedom += float(side.sum()) - 1.0
    if not freedom:
        return 1.0
    excess = max(squares / freedom - 1.0, 0.0)
    return 1.0 + excess * (student_t(freedom) / student_t(math.inf)) ** 2


def _floor(deals: Deals, column: int, best: str) -> Floor | None:
    """As the first lines of this file say.

    Args:
        deals: By all kinds of units.
        column: Of the statistic.
        best: Which values are better: `high` or `low` ones, or those `near` 1.
    """
    value = float(deals.stretches.value[column])
    kinds = deals.stretches, deals.tracks
    dealt = [kind.dealt[np.isfinite(kind.dealt[:, column]), column] for kind in kinds]
    if not all(len(draws) for draws in dealt):
        return None
    means = [float(draws.mean()) for draws in dealt]
    if math.isfinite(deals.cells[column]):
        pooled = [*means, means[0] + means[1] - float(deals.cells[column])]
    else:
        pooled = means
    moved = [mean + float(kind.gain[column]) for mean, kind in zip(means, kinds, strict=True)]
    expected = {
        "high": max(min(pooled), min(moved)),
        "low": min(max(pooled), max(moved)),
        "near": means[0],
    }[best]
    ceiling = math.inf if best == "near" else 1.0
    expected = min(max(expected, 0.0), ceiling)
    low, high, chance = expected, expected, 0.0
    for draws, mean in zip(dealt, means, strict=True):
        shifted = draws + (expected - mean)
        low = min(low, float(np.quantile(shifted, 0.05, method="lower")))
        high = max(high, float(np.quantile(shifted, 0.95, method="higher")))
        chance = max(chance, (1.0 + _as_bad(shifted, value, best).sum()) / (1.0 + len(draws)))
    p = chance if math.isfinite(value) else None
    return Floor(expected, max(low, 0.0), min(high, ceiling), p)


def _as_bad(draws: FloatArray, value: float, best: str) -> BoolArray:
    """(n_draws,) whether each is as bad as the value."""
    if best == "near":
        with np.errstate(divide="ignore", invalid="ignore"):
            away, far = np.abs(np.log(value)), np.abs(np.log(np.maximum(draws, 0.0)))
        return np.asarray(far >= away - _SLACK)
    return np.asarray(draws <= value + _SLACK if best == "high" else draws >= value - _SLACK)


def _binomial_limits(successes: float, trials: float) -> tuple[float, float]:
    """Limits of Clopper and Pearson, also for numbers that are not whole."""
    failures = max(trials - successes, 0.0)
    low = float(betaincinv(successes, failures + 1.0, _TAIL)) if successes > 0.0 else 0.0
    high = float(betaincinv(successes + 1.0, failures, 1.0 - _TAIL)) if failures > 0.0 else 1.0
    return low, high
