"""How much wider or narrower one structure is than another, from their g(r)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase.data import chemical_symbols
from scipy.special import stdtrit

from mdbench.analysis.pairs import FloatArray, IntArray, pair_index
from mdbench.analysis.windows import RunWindows

#: Both g(r) are averaged over a Gaussian of this standard deviation, Å, or of one bin.
_BLUR = 0.1
#: Largest stretch that is looked for, and the steps of the search.
_MOST, _STEP = 0.08, 5e-4
#: Most blocks of a jackknife.
_BLOCKS = 10
#: Quantile of Student's t for the error: two-sided 1 %.
_QUANTILE = 0.995


@dataclass(frozen=True)
class Stretch:
    """The factor s that best maps g_reference(r) onto g_model(s·r).

    Attributes:
        value: s.
        error: Half the width of its 99 % interval, by jackknife over blocks of time on both
            sides; infinite where neither side has two windows.
    """

    value: float
    error: float


def stretch(r: FloatArray, g_reference: FloatArray, g_model: FloatArray) -> float | None:
    """The factor s that best maps g_reference(r) onto g_model(s·r); None without any structure.

    Least squares, weighted by r², of both g(r) averaged over a Gaussian of 0.1 Å, up to
    r_max/1.08; by search between 0.92 and 1.08, refined by a parabola. At an end of that range it
    means "at least". It is the scale of structures that differ by their scale alone; of others it
    is the scale that fits best, which may be a good fit or not.

    Args:
        r: (n_bins,) Å, bin centers, equally spaced.
        g_reference: (n_bins,).
        g_model: (n_bins,).
    """
    if len(r) < 3 or not (g_reference.any() and g_model.any()):
        return None
    reference, model = _blurred(r, g_reference), _blurred(r, g_model)
    within = r <= r[-1] / (1.0 + _MOST)
    scales = np.arange(1.0 - _MOST, 1.0 + _MOST + 0.5 * _STEP, _STEP)
    mapped = np.interp(np.outer(scales, r[within]), r, model)  # (n_scales, n_within)
    costs = ((mapped - reference[within]) ** 2) @ r[within] ** 2
    best = int(costs.argmin())
    if not 0 < best < len(scales) - 1:
        return float(scales[best])
    left, middle, right = costs[best - 1 : best + 2]
    curvature = left - 2.0 * middle + right
    shift = 0.5 * (left - right) / curvature if curvature > 0.0 else 0.0
    return float(scales[best] + shift * _STEP)


def framework_stretch(model: RunWindows, reference: Sequence[RunWindows]) -> Stretch | None:
    """How much wider the framework of a run is than in the reference's runs together.

    Noise: replicas of 32 framework atoms at 1000 K differ by 0.1 % after 1 ps, 0.03 % after 5 ps,
    0.01 % after 35 ps (standard deviations).

    Args:
        model: A run with frames.
        reference: Runs with frames, of the same elements and bins.
    """
    sides = [
        (framework_g(model), model.n_frames),
        (
            np.concatenate([framework_g(run) for run in reference]),
            np.concatenate([run.n_frames for run in reference]),
        ),
    ]
    r = bin_centers(model)
    ours, theirs = (np.average(g, axis=0, weights=n) for g, n in sides)
    value = stretch(r, theirs, ours)
    if value is None:
        return None
    trials = (
        [stretch(r, theirs, g) for g in _without_one_block(*sides[0])],
        [stretch(r, g, ours) for g in _without_one_block(*sides[1])],
    )
    known = [[s for s in side if s is not None] for side in trials]
    return Stretch(value, _half_width(known, [int(n.sum()) for _, n in sides]))


def bin_centers(run: RunWindows) -> FloatArray:
    """(n_bins,) Å, centers of the bins of a run."""
    return np.asarray(run.dr * (np.arange(run.counts.shape[2]) + 0.5))


def framework_g(run: RunWindows) -> FloatArray:
    """(W, n_bins) g(r) of the framework's atoms as one species, in each window.

    Each window's volume is that of the whole run.
    """
    assert run.total is not None
    names = sorted({chemical_symbols[z] for z in run.atomic_numbers[run.framework]})
    inner = [run.elements.index(name) for name in names]
    rows = np.unique(pair_index(len(run.elements))[np.ix_(inner, inner)])
    counts = run.counts[:, rows].sum(axis=1)
    edges = run.dr * np.arange(counts.shape[1] + 1)
    shells = 4.0 / 3.0 * np.pi * np.diff(edges**3)
    volume = run.total.volume_sum / run.total.n_frames
    norm = 2.0 * volume / (len(run.framework) ** 2 * shells)
    return np.asarray(counts * norm / run.n_frames[:, None])


def _without_one_block(g: FloatArray, n_frames: IntArray) -> list[FloatArray]:
    """(n_bins,) each, the mean g of all windows but those of one block; at most 10 blocks."""
    n = len(n_frames)
    if n < 2:
        return []
    block = np.arange(n) * min(n, _BLOCKS) // n
    return [
        np.average(g[block != k], axis=0, weights=n_frames[block != k])
        for k in range(int(block[-1]) + 1)
    ]


def _half_width(trials: list[list[float]], n_frames: list[int]) -> float:
    """Half the interval from the leave-one-out values of two sides.

    A side with a single window has the variance of the other one, scaled to its frames.
    """
    known = {
        side: (len(values) - 1) * float(np.var(values))
        for side, values in enumerate(trials)
        if len(values) > 1
    }
    if not known:
        return float("inf")
    freedom = sum(len(trials[side]) - 1 for side in known)
    total = sum(
        known[side] if side in known else known[1 - side] * n_frames[1 - side] / n_frames[side]
        for side in (0, 1)
    )
    return float(stdtrit(freedom, _QUANTILE) * total**0.5)


def _blurred(r: FloatArray, g: FloatArray) -> FloatArray:
    """(n_bins,) mean of g over a Gaussian, each bin with its volume."""
    width = max(_BLUR, float(r[1] - r[0]))
    weights = np.exp(-0.5 * ((r[:, None] - r) / width) ** 2) * r**2
    return np.asarray(weights @ g / weights.sum(axis=1))
