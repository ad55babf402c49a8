"""Efficiency, fake and duplicate rate of jumps and of paths, for any choice of units of both sides.

The words are those of particle tracking, where a found track is matched to a true one (for one, the
TrackML challenge: S. Amrouche et al., in The NeurIPS '18 Competition, Springer 2020, 231,
doi:10.1007/978-3-030-29135-8_9).

A tally takes two masks, which units are the model's and which the reference's, so that values,
intervals and floors are computed in one way.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_flow

from mdbench.analysis.jumps import IntArray
from mdbench.analysis.msd import FloatArray
from mdbench.analysis.path_events import Units, counted

#: Numbers that are held at once.
_MOST_NUMBERS = 4_000_000
#: Exposures are equalized by a ratio of whole numbers, the smaller one no larger than this.
_LARGEST_FACTOR = 20


@dataclass(frozen=True)
class JumpTally:
    """Jumps of units by their kind.

    Attributes:
        counts: (n_kinds, n_units) jumps, without kinds that one unit alone has: nothing matches
            these, whichever side it is on.
        totals: (n_units,) jumps of all kinds.
        exposure_ps: (n_units,) ps, summed over ions.
    """

    counts: csr_array
    totals: FloatArray
    exposure_ps: FloatArray

    @classmethod
    def of(cls, kinds: IntArray, units: Units) -> JumpTally:
        """The tally of jumps whose kinds are (n_jumps,) indices."""
        shape = int(kinds.max(initial=-1)) + 1, units.n
        counts = counted(kinds, units.of_jump, shape)
        shared = np.flatnonzero(np.diff(counts.indptr) > 1)
        totals = np.bincount(units.of_jump, minlength=units.n).astype(np.float64)
        return cls(counts[shared], totals, units.exposure_ps)

    def __call__(self, model: FloatArray, reference: FloatArray) -> FloatArray:
        """Efficiency, fake rate, duplicate rate, rate distance and rate ratio; NaN where 0/0.

        Args:
            model: (n_draws, n_units) 1 for the units that are the model's.
            reference: (n_draws, n_units) 1 for those that are the reference's.

        Returns:
            (n_draws, 5).
        """
        at_once = max(1, _MOST_NUMBERS // max(1, self.counts.shape[0]))
        starts = range(0, len(model), at_once)
        parts = [self._shares(model[k : k + at_once], reference[k : k + at_once]) for k in starts]
        return np.concatenate(parts)

    def _shares(self, model: FloatArray, reference: FloatArray) -> FloatArray:
        made, known = self.counts @ model.T, self.counts @ reference.T  # (n_kinds, n_draws)
        n_made, n_known = model @ self.totals, reference @ self.totals
        with np.errstate(divide="ignore", invalid="ignore"):
            scale = (model @ self.exposure_ps) / (reference @ self.exposure_ps)
            beyond = np.where(known > 0.0, np.maximum(made - scale * known, 0.0), 0.0)
            common = np.minimum(made / n_made, known / n_known).sum(axis=0)
            shares = (
                np.where(made > 0.0, known, 0.0).sum(axis=0) / n_known,
                1.0 - np.where(known > 0.0, made, 0.0).sum(axis=0) / n_made,
                beyond.sum(axis=0) / n_made,
                np.where(n_made * n_known > 0.0, 1.0 - common, math.nan),
                n_made / n_known / scale,
            )
        return np.stack(shares, axis=1)


@dataclass(frozen=True)
class PathTally:
    """Paths of units by the set of sites that they visit.

    Attributes:
        counts: (n_sets, n_units) paths.
        exposure_ps: (n_units,) ps, summed over ions.
        allowed: (2, n_edges) sets of a model path and of a reference path to which it may be
            matched.
    """

    counts: csr_array
    exposure_ps: FloatArray
    allowed: IntArray

    def __call__(self, model: FloatArray, reference: FloatArray) -> FloatArray:
        """Efficiency, fake rate and duplicate rate; NaN where 0/0.

        Args:
            model: (n_draws, n_units) 1 for the units that are the model's.
            reference: (n_draws, n_units) 1 for those that are the reference's.

        Returns:
            (n_draws, 3).
        """
        draws = zip(model, reference, strict=True)
        return np.array([self._shares(own, other) for own, other in draws]).reshape(-1, 3)

    def _shares(self, model: FloatArray, reference: FloatArray) -> tuple[float, float, float]:
        exposures = float(model @ self.exposure_ps), float(reference @ self.exposure_ps)
        if not all(exposures):
            return math.nan, math.nan, math.nan
        own, other = _whole_ratio(exposures[1] / exposures[0])
        made = own * np.rint(self.counts @ model).astype(np.int64)
        known = other * np.rint(self.counts @ reference).astype(np.int64)
        fits = self.allowed[:, (made[self.allowed[0]] > 0) & (known[self.allowed[1]] > 0)]
        matched = _largest_matching(made, known, fits)
        n_made, n_known = int(made.sum()), int(known.sum())
        real = int(made[np.unique(fits[0])].sum())
        if not n_made:
            return 0.0 if n_known else math.nan, math.nan, math.nan
        efficiency = matched / n_known if n_known else math.nan
        return efficiency, (n_made - real) / n_made, (real - matched) / n_made


def allowed_matches(members: csr_array, *, whole: bool) -> IntArray:
    """Which paths of a model may be matched to which of the reference: (2, n_edges) sets.

    A path of the model fits one of the reference that holds more than half of its sites.

    Args:
        members: (n_sets, n_sites) 1 where a set holds a site.
        whole: Whether all of its sites have to be there.
    """
    common = (members @ members.T).tocoo()
    sizes = np.diff(members.indptr)[common.coords[0]]
    fits = common.data == sizes if whole else 2.0 * common.data > sizes
    edges = np.stack([axis[fits] for axis in common.coords]).astype(np.int64)
    return edges[:, np.lexsort(edges[::-1])]


def _largest_matching(made: IntArray, known: IntArray, allowed: IntArray) -> int:
    """Pairs of one path each in the largest one-to-one matching, from the numbers of equal paths.

    Args:
        made: (n_sets,) paths of the model.
        known: (n_sets,) paths of the reference.
        allowed: (2, n_edges) sets that may be matched, none without paths, sorted.
    """
    if not allowed.size:
        return 0
    lefts, firsts = np.unique(allowed[0], return_index=True)
    rights, right = np.unique(allowed[1], return_inverse=True)
    n_left, n_right = len(lefts), len(rights)
    # A flow from node 0 through those of the model and of the reference to the last one.
    widest = np.minimum(made[allowed[0]], known[allowed[1]])
    capacities = np.concatenate([made[lefts], widest, known[rights]]).astype(np.int32)
    sink = 1 + n_left + n_right
    ends = np.concatenate([1 + np.arange(n_left), 1 + n_left + right, np.full(n_right, sink)])
    starts = n_left + np.concatenate([[-n_left], firsts, len(right) + np.arange(n_right + 1)])
    starts = np.append(starts, starts[-1])
    graph = csr_array((capacities, ends.astype(np.int32), starts.astype(np.int32)), (sink + 1,) * 2)
    return int(maximum_flow(graph, 0, sink).flow_value)


def _whole_ratio(ratio: float) -> tuple[int, int]:
    """Two whole numbers of about this ratio."""
    if ratio > 1.0:
        other, own = _whole_ratio(1.0 / ratio)
        return own, other
    near = Fraction(1.0 / ratio).limit_denominator(_LARGEST_FACTOR)
    return near.denominator, near.numerator
