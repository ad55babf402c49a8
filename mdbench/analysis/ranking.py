"""Ranks with their significance, and whether one error tells another."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import combinations, permutations, product

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from mdbench.analysis.regression import two_sided
from mdbench.stats import LEVEL, Estimate, Spread, student_t, sum_of

FloatArray = NDArray[np.float64]

#: Pairs and models below which nothing is said about a correlation, and about its chance.
_LEAST_PAIRS, _LEAST_MODELS = 4, 3
#: Arrangements of models that are all gone through; of more a sample of this size is drawn.
_MOST_ARRANGEMENTS = 10_000
#: Correlations that are tried for an interval, in Fisher's z, and samples drawn of each.
_Z_GRID = np.linspace(-4.0, 4.0, 161)
_N_DRAWS = 4_000
#: Coefficients that differ by less are one.
_SAME = 1e-9


@dataclass(frozen=True)
class Rank:
    """The place of one among several, as far as their intervals tell them apart.

    Attributes:
        best: 1 + the number that are significantly better.
        worst: The number of all less those that are significantly worse.
        of: The number of all.
    """

    best: int
    worst: int
    of: int

    @property
    def resolved(self) -> bool:
        """Whether the place is one place."""
        return self.best == self.worst


@dataclass(frozen=True)
class Pair:
    """Two errors of one model in one material.

    Attributes:
        model: Its name.
        material: Its name.
        x: The error that may tell the other.
        y: The other one.
        failed: Whether the model failed, so that `y` counts as larger than all that did not.
    """

    model: str
    material: str
    x: Estimate
    y: Estimate
    failed: bool = False

    @property
    def label(self) -> str:
        """Model and material."""
        return f"{self.model}, {self.material}"


@dataclass(frozen=True)
class Correlation:
    """Spearman's rank correlation of two errors over models, within materials.

    Attributes:
        x, y: What is correlated, as "force_mae" and "rdf_mae".
        points: (label, x, y) of each pair that has both values.
        rho: None with fewer than four pairs, or where nothing can be ranked.
        low, high: 95 % interval; None where there is none.
        p: Two-sided, of no correlation, by permutation of the models.
        failed: (label, x) of models that failed: counted as worse in `y` than all others.
        n_models: Models that are compared with another one in some material.
        least_p: The smallest p that so few models can give; None without a p.
        reason: Why something is None; None where nothing is.
    """

    x: str
    y: str
    points: Sequence[tuple[str, Estimate, Estimate]]
    rho: float | None
    low: float | None
    high: float | None
    p: float | None
    failed: Sequence[tuple[str, Estimate]] = ()
    n_models: int = 0
    least_p: float | None = None
    reason: str | None = None

    @property
    def resolved(self) -> bool:
        """Whether there is a correlation beyond chance, at 5 %."""
        return self.p is not None and self.p < 0.05


def rank(values: Mapping[str, Estimate], failed: Collection[str] = ()) -> dict[str, Rank]:
    """The place of each among all, less is better, as far as significance goes.

    Two differ where their p is below 5 % after Holm's correction over all pairs (S. Holm, Scand. J.
    Stat. 1979, 6, 65), so that with equal ones the chance of any wrong order is at most 5 %. p is
    that of Welch's t (Biometrika 1947, 34, 28) where variances are known; else the standard error
    of each is the side of its interval that faces the other, over 1.96 (the square-and-add rule of
    G. Y. Zou, A. Donner, Stat. Med. 2008, 27, 1693), which for a symmetric interval is half of it
    over 1.96. A bound without a value differs only from those whose interval it lies beyond.

    The errors are taken as independent. Errors of models that share a reference or test frames
    mostly rise and fall together, and a difference is then better known than is said here.

    Args:
        values: By name.
        failed: Names that are worse than all others, and not told apart among themselves; they
            need no value.
    """
    sound = {name: value for name, value in values.items() if name not in failed}
    lost = [*(name for name in values if name in failed), *(n for n in failed if n not in values)]
    n_all = len(sound) + len(lost)
    better: dict[str, int] = dict.fromkeys(sound, 0)
    worse: dict[str, int] = dict.fromkeys(sound, 0)
    for low, high in _differing(sound):
        worse[low] += 1
        better[high] += 1
    found = {name: Rank(1 + better[name], len(sound) - worse[name], n_all) for name in sound}
    return found | {name: Rank(len(sound) + 1, n_all, n_all) for name in lost}


def _differing(values: Mapping[str, Estimate]) -> Iterator[tuple[str, str]]:
    """Pairs of names that differ, the smaller one first."""
    tests: list[tuple[float, tuple[str, str]]] = []
    for a, b in combinations(values, 2):
        if values[a].value is None or values[b].value is None:
            tests.append((1.0, (a, b)))
            for one, other in ((a, b), (b, a)):
                if _beyond(values[one], values[other]):
                    yield one, other
            continue
        one, other = sorted((a, b), key=lambda name: values[name].value or 0.0)
        tests.append((_chance(values[one], values[other]), (one, other)))
    for k, (p, names) in enumerate(sorted(tests, key=lambda test: test[0])):
        if p >= (1.0 - LEVEL) / (len(tests) - k):
            return
        yield names


def _beyond(smaller: Estimate, larger: Estimate) -> bool:
    """Whether all that one may be lies below all that the other may be."""
    return smaller.high is not None and larger.low is not None and smaller.high < larger.low


def _chance(smaller: Estimate, larger: Estimate) -> float:
    """Two-sided probability of a difference as large by noise alone; 1 where noise is unknown."""
    assert smaller.value is not None
    assert larger.value is not None
    difference = larger.value - smaller.value
    spreads = [_side(smaller, smaller.high), _side(larger, larger.low)]
    known = [spread for spread in spreads if spread is not None]
    if len(known) < 2 or not math.isfinite(difference):
        return 1.0
    spread = sum_of(known)
    if spread.variance == 0.0:
        return 1.0 if difference == 0.0 else 0.0
    return two_sided(difference, spread)


def _side(estimate: Estimate, limit: float | None) -> Spread | None:
    if estimate.spread is not None:
        return estimate.spread
    if estimate.value is None or limit is None:
        return None
    return Spread(((limit - estimate.value) / student_t(math.inf)) ** 2, math.inf)


def correlate(x: str, y: str, pairs: Sequence[Pair]) -> Correlation:
    """Whether models with a larger `x` have a larger `y` in the same material.

    `rho` is Spearman's with materials as blocks: ranks (ties: their mean) within each material,
    less their mean there, correlated over all pairs (J. M. G. Taylor, Biometrics 1987, 43, 409).
    With one material it is Spearman's. That both errors are larger for a harder material is no
    correlation.

    p permutes models as wholes: the `y` of one model in all its materials go together to another
    model that has the same materials. The errors of a model in several materials are not
    independent (a bad model is bad in all), and shuffling each material on its own would count
    them as if they were: three models in the same order in three materials would get 2/216, and
    have 2/6, as three models have six orders. Four models give 2/24 at best: less than 5 % takes
    five. All arrangements where there are at most 10,000, else as many drawn with a fixed seed; p
    is twice the share on the smaller side.

    The interval holds all correlations from which as many models in *one* material would give a
    rho as far off in at least 2.5 % of samples, to either side (the principle of C. J. Clopper,
    E. S. Pearson, Biometrika 1934, 26, 404; samples of a Gaussian copula, whose ρ_S is 6/π
    arcsin(r/2): W. H. Kruskal, J. Am. Stat. Assoc. 1958, 53, 814). More materials make rho
    better known by an unknown amount, none where they repeat each other, so they do not count.
    Fisher's z has no width for rho = ±1, which few models often give.

    Args:
        x: Name of the error that may tell the other.
        y: Name of the other.
        pairs: Both of models and materials, each once. A failed one needs no value of `y`; other
            pairs without a value of both are left out.
    """
    known = [p for p in pairs if p.x.value is not None and (p.failed or p.y.value is not None)]
    points = [(p.label, p.x, p.y) for p in known if not p.failed]
    failed = [(p.label, p.x) for p in known if p.failed]
    blocks = _Blocks(known)
    rho = blocks.rho(blocks.y)
    empty = Correlation(x, y, points, None, None, None, None, failed, blocks.n_models)
    if len(known) < _LEAST_PAIRS:
        few = f"{len(known)} pairs: four are the fewest that say anything"
        return replace(empty, reason=few)
    if rho is None:
        return replace(empty, reason="no material in which models differ in both")
    if blocks.n_models < _LEAST_MODELS:
        return replace(empty, rho=rho, reason=f"{blocks.n_models} models: no interval and no p")
    low, high = _interval(rho, blocks.n_models)
    p, least = blocks.chance(rho)
    reason = "no two models have the same materials: no p" if p is None else None
    return replace(empty, rho=rho, low=low, high=high, p=p, least_p=least, reason=reason)


class _Blocks:
    """Ranks within materials.

    Attributes:
        x, y: (n_models, n_materials) ranks less their mean in the material; NaN where a model lacks
            a material, or is alone there.
        n_models: Models that have a material together with another model.
    """

    def __init__(self, pairs: Sequence[Pair]) -> None:
        models = list(dict.fromkeys(p.model for p in pairs))
        materials = list(dict.fromkeys(p.material for p in pairs))
        values = np.full((2, len(models), len(materials)), np.nan)
        for p in pairs:
            y = math.inf if p.failed else p.y.value
            values[:, models.index(p.model), materials.index(p.material)] = p.x.value, y
        for column in np.moveaxis(values, 2, 0):
            there = ~np.isnan(column[0])
            ranks = rankdata(column[:, there], axis=1)
            alone = there.sum() < 2
            column[:, there] = np.nan if alone else ranks - ranks.mean(axis=1, keepdims=True)
        self.x, self.y = values
        self.n_models = int((~np.isnan(self.x)).any(axis=1).sum())

    def rho(self, y: FloatArray) -> float | None:
        """Correlation of `self.x` with the y of models; None where one does not vary."""
        norm = math.sqrt(np.nansum(self.x**2) * np.nansum(y**2))
        return float(np.nansum(self.x * y)) / norm if norm > 0.0 else None

    def chance(self, rho: float) -> tuple[float | None, float | None]:
        """Two-sided p of a correlation as strong, and the least that any could have."""
        groups: dict[bytes, list[int]] = {}
        for model, row in enumerate(np.isnan(self.x)):
            if not row.all():
                groups.setdefault(row.tobytes(), []).append(model)
        orders = [group for group in groups.values() if len(group) > 1]
        n_all = math.prod(math.factorial(len(group)) for group in orders)
        if n_all == 1:
            return None, None
        drawn = n_all > _MOST_ARRANGEMENTS
        # of a sample the arrangement that was found is one
        found = [rho] if drawn else []
        for arrangement in _drawn(orders) if drawn else _all(orders):
            y = self.y.copy()
            for group, order in zip(orders, arrangement, strict=True):
                y[group] = self.y[order]
            found.append(self.rho(y) or 0.0)
        others = np.array(found)
        sides = (others >= rho - _SAME).mean(), (others <= rho + _SAME).mean()
        return min(1.0, 2.0 * float(min(sides))), min(1.0, 2.0 / len(others))


def _all(groups: Sequence[Sequence[int]]) -> Iterator[tuple[Sequence[int], ...]]:
    return product(*(map(list, permutations(group)) for group in groups))


def _drawn(groups: Sequence[Sequence[int]]) -> Iterator[tuple[Sequence[int], ...]]:
    rng = np.random.default_rng(0)
    for _ in range(_MOST_ARRANGEMENTS - 1):
        yield tuple(rng.permutation(group).tolist() for group in groups)


def _interval(rho: float, n: int) -> tuple[float, float]:
    """Correlations from which n pairs give rho or more, and rho or less, in 2.5 % of samples."""
    if rho < 0.0:
        low, high = _interval(-rho, n)
        return -high, -low
    tail = 0.5 * (1.0 - LEVEL)
    samples = _samples(n)  # (n_grid, n_draws)
    truths = 6.0 / math.pi * np.arcsin(0.5 * np.tanh(_Z_GRID))
    above = (samples >= rho - _SAME).mean(axis=1) >= tail
    below = (samples <= rho + _SAME).mean(axis=1) >= tail
    low = -1.0 if above[0] else float(truths[max(int(np.argmax(above)) - 1, 0)])
    last = len(below) - 1 - int(np.argmax(below[::-1]))
    high = 1.0 if below[-1] else float(truths[min(last + 1, len(truths) - 1)])
    return low, high


@cache
def _samples(n: int) -> FloatArray:
    """(n_grid, n_draws) Spearman's rho of n pairs of a Gaussian copula, by its correlation."""
    rng = np.random.default_rng(0)
    x, noise = rng.standard_normal((2, _N_DRAWS, n))
    own = rankdata(x, axis=1) - 0.5 * (n + 1.0)
    norm = n * (n * n - 1.0) / 12.0
    rows = []
    for r in np.tanh(_Z_GRID):
        other = rankdata(r * x + math.sqrt(1.0 - r * r) * noise, axis=1) - 0.5 * (n + 1.0)
        rows.append((own * other).sum(axis=1) / norm)
    return np.array(rows)
