"""Units of two sides, dealt out to them anew.

Where ions keep to places that are spread evenly over the crystal, tracks dealt out at random would
leave some places to one side alone, which does not happen to runs. So tracks are put in groups that
make the same jumps, without a look at the side; what is dealt out is how many of a group are on a
side as it is, among groups, and which, within them.
"""

from __future__ import annotations

import numpy as np

from mdbench.analysis.jumps import IntArray
from mdbench.analysis.msd import FloatArray
from mdbench.analysis.path_events import Events, Units, counted


def deal_out(units: Units, n_draws: int, rng: np.random.Generator) -> FloatArray:
    """(n_draws, n_units) 1 for the model's: as many of all units as it has."""
    sides = np.tile(units.is_model.astype(np.float64), (n_draws, 1))
    return np.asarray(rng.permuted(sides, axis=1))


def deal_tracks(happened: Events, n_draws: int, rng: np.random.Generator) -> FloatArray:
    """(n_draws, n_units) 1 for the model's, dealt out among and within groups of like tracks."""
    tracks = happened.tracks
    order, size = _by_likeness(happened, rng), happened.n_runs
    n_groups = tracks.n // size
    sides = tracks.is_model[order].astype(np.float64)
    groups = np.tile(sides[: n_groups * size].reshape(n_groups, size), (n_draws, 1, 1))
    groups = np.take_along_axis(
        groups, rng.random((n_draws, n_groups)).argsort(axis=1)[..., None], axis=1
    )
    dealt = np.tile(sides, (n_draws, 1))
    dealt[:, : n_groups * size] = rng.permuted(groups, axis=2).reshape(n_draws, -1)
    dealt[:, order] = dealt.copy()
    return dealt


def small_sides(
    units: Units, some: IntArray, n_draws: int, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """(n_draws, n_units) masks of both sides, together as many units as the reference has.

    Args:
        units: Of both sides as they are.
        some: Units that may be drawn, at least as many.
        n_draws: Number of draws.
        rng: Source of the random numbers.
    """
    n_known = int((~units.is_model).sum())
    n_own = min(max(1, round(n_known * float(units.is_model.mean()))), n_known - 1)
    ranks = rng.random((n_draws, len(some))).argsort(axis=1).argsort(axis=1)
    own, other = np.zeros((2, n_draws, units.n))
    own[:, some] = ranks < n_own
    other[:, some] = (ranks >= n_own) & (ranks < n_known)
    return own, other


def _by_likeness(happened: Events, rng: np.random.Generator) -> IntArray:
    """(n_tracks,) their order: each is followed by the one left that is most like it.

    Likeness is Bhattacharyya's overlap of the distributions of jumps over pairs; where nothing is
    left that has any, by chance. It must not know the sides, also in ties.
    """
    tracks = happened.tracks
    shape = tracks.n, int(happened.pair.max(initial=0)) + 1
    jumps = counted(tracks.of_jump, happened.pair, shape)
    totals = np.maximum(np.bincount(tracks.of_jump, minlength=tracks.n), 1)
    jumps.data = np.sqrt(jumps.data / np.repeat(totals, np.diff(jumps.indptr)))
    shuffled = rng.permutation(tracks.n)
    jumps = jumps[shuffled]
    likeness = (jumps @ jumps.T).tocsr()
    left, order, begin = np.ones(tracks.n, dtype=bool), [], 0
    current = 0
    for _ in range(tracks.n):
        order.append(current)
        left[current] = False
        row = slice(likeness.indptr[current], likeness.indptr[current + 1])
        others = likeness.indices[row]
        worth = np.where(left[others], likeness.data[row], 0.0)
        if len(others) and worth.max() > 0.0:
            current = int(others[worth.argmax()])
            continue
        while begin < tracks.n and not left[begin]:
            begin += 1
        current = begin
    return np.asarray(shuffled[order])
