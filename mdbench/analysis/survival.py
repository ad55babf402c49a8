"""How many replicas are still sound after a time: Kaplan–Meier, with intervals for few replicas.

E. L. Kaplan, P. Meier, J. Am. Stat. Assoc. 1958, 53, 457; intervals: the beta product confidence
procedure of M. P. Fay, E. H. Brittain, M. A. Proschan, Biostatistics 2013, 14, 723, with its
method of moments. Greenwood's formula is of no use here: it gives no width to a curve without
failures, and covers far too little with three or six replicas.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betaincinv

from mdbench.analysis.pairs import FloatArray, IntArray
from mdbench.errors import InputError


@dataclass(frozen=True)
class Survival:
    """The share of replicas that survive: a step function of K steps.

    Attributes:
        times_ps: (K,) ps, 0 and each time at which a replica failed or ended; a step lasts to the
            next one, the last to `end_ps`.
        survival: (K,) Kaplan–Meier estimate.
        low: (K,) lower limit of its interval.
        high: (K,) upper limit.
        at_risk: (K,) replicas that are running and sound throughout the step.
        failed: (K,) replicas that failed at its beginning.
        end_ps: Longest time of any replica, ps.
        level: Confidence of the interval, at any one time.
    """

    times_ps: FloatArray
    survival: FloatArray
    low: FloatArray
    high: FloatArray
    at_risk: IntArray
    failed: IntArray
    end_ps: float
    level: float


def survival(times_ps: ArrayLike, failed: ArrayLike, *, level: float = 0.95) -> Survival:
    """Kaplan–Meier estimate of the share that survives, with an interval at each time.

    A replica that ends sound when another one fails was at risk then. Without censoring the
    intervals are those of Clopper and Pearson.

    Args:
        times_ps: (n,) ps, when each replica failed or ended.
        failed: (n,) whether it failed; one that ended sound is censored.
        level: Confidence of the interval.
    """
    times, bad = np.asarray(times_ps, dtype=np.float64), np.asarray(failed, dtype=bool)
    if times.ndim != 1 or times.shape != bad.shape or not len(times):
        raise InputError(
            "survival", expected="a time and an outcome of each replica", found=times.shape
        )
    if not (np.isfinite(times).all() and (times >= 0).all()):
        raise InputError("survival", expected="times from 0 on", found=times)
    end = float(times.max())
    steps = np.unique(np.concatenate([[0.0], times[(times < end) | bad]]))
    failures = np.array([int((bad & (times == t)).sum()) for t in steps])
    before = np.array([int((times >= t).sum()) for t in steps])
    during = np.array([int(((times > t) | ((times == end) & ~bad)).sum()) for t in steps])
    factors: list[int] = []
    low, high = np.zeros(len(steps)), np.ones(len(steps))
    tail = 0.5 * (1.0 - level)
    for k, (n, d) in enumerate(zip(before.tolist(), failures.tolist(), strict=True)):
        factors += range(n, n - d, -1)
        high[k] = _quantile(factors, 1.0 - tail)
        low[k] = _quantile([*factors, int(during[k])], tail)
    return Survival(
        times_ps=steps,
        survival=np.cumprod(1.0 - failures / before),
        low=low,
        high=high,
        at_risk=during,
        failed=failures,
        end_ps=end,
        level=level,
    )


def _quantile(at_risk: list[int], probability: float) -> float:
    """Quantile of a product of Beta(n, 1) variables, by the beta variable of equal moments.

    The product over no factors is 1, and Beta(0, 1) is 0.
    """
    n = np.array(at_risk, dtype=np.float64)
    if not n.all():
        return 0.0
    mean, square = float((n / (n + 1.0)).prod()), float((n / (n + 2.0)).prod())
    if mean == 1.0:
        return 1.0
    scale = (mean - square) / (square - mean**2)
    return float(betaincinv(mean * scale, (1.0 - mean) * scale, probability))
