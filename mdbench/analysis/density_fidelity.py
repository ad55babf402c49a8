"""How much of the time the ions of a model are where those of the reference are.

The overlap is `ion_density.density_overlap`: Σ min(p, q) of the two smoothed probabilities. Even
two runs of one force field do not have all of it, since ions visit some places in one run and not
in the other. What a perfect model would have is the lower of

* the mean of stretches of time (`path_events`) of both sides, dealt out to the sides anew, and
* 1 − (1 − o) √((1/T + 1/T') / (1/t + 1/t')), where o is the mean overlap of two replicas of the
  reference of lengths t and t', and T and T' are the lengths of the sides: what is not shared goes
  with the noise. Of a single run, the overlap of its halves: shorter than the sides, but one
  follows the other, and their ions have hardly moved on where the run is short.

Its quantiles are those of a normal distribution with the standard deviation of the deals, or the
error of the jackknife over stretches where that is larger. On 12 runs of 21 ps of an LGPS-like
crystal, two overlap by 0.905 ± 0.016; stretches say 0.914, halves of one run 0.884 ± 0.017, and the
standard deviation comes out as 0.018. Three overlap with three by 0.948; two by two say 0.945.
Tracks of ions, which floors of jumps have, are no units here: ions keep each other from being at
one site, so that dealing them out makes sides that no run has (0.72).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from mdbench.analysis.ion_density import IonDensity, grid_shape
from mdbench.analysis.jumps import Jumps, ScaledPaths
from mdbench.analysis.msd import FloatArray
from mdbench.analysis.path_deals import deal_out
from mdbench.analysis.path_events import Events, Units, counted, events
from mdbench.analysis.path_floors import Floor, Score, drawn
from mdbench.stats import Estimate, student_t

Shape = tuple[int, int, int]
#: Å, standard deviation of the smoothing and edge of the voxels.
WIDTH = 0.5
#: ps after which an ion is looked at again: vibrations forget where they were.
_EVERY_PS = 0.1
#: How often stretches are dealt out.
_DEALS = 200
#: Draws that are computed at once.
_AT_ONCE = 32


@dataclass(frozen=True)
class SeenRun:
    """The ions of a run.

    Attributes:
        paths: n_ions arrays (3, n_frames), fractional, in the frame of the reference.
        frame_interval_ps: Time between frames.
    """

    paths: ScaledPaths
    frame_interval_ps: float


def density_fidelity(
    model: Sequence[SeenRun], reference: Sequence[SeenRun], cell: FloatArray, *, seed: int = 0
) -> Score:
    """The overlap of the densities of a model and of the reference, with interval and floor.

    Args:
        model: Runs of the model.
        reference: Runs of the reference.
        cell: (3, 3) Å, row vectors, of the reference.
        seed: Of the deals.
    """
    shape = grid_shape(cell, WIDTH)
    rng = np.random.default_rng(seed)
    own, known = ([_sightings(run, shape) for run in side] for side in (model, reference))
    happened = events(own, known, window_ps=np.inf)
    units = happened.stretches
    dealt = deal_out(units, _DEALS, rng)
    tally = _OverlapTally.of(happened, units, shape, cell)
    found = drawn(tally, units, dealt, rng, apart=False)
    value, spread = float(found.value[0]), found.spread(0)
    width = student_t(spread.freedom) * spread.standard_error
    estimate = Estimate(value, max(value - width, 0.0), min(value + width, 1.0), "", spread)
    lengths = [sum(run.exposure_ps for run in side) for side in (own, known)]
    if len(known) > 1:
        parts = _by_replicas(known, lengths, shape, cell)
    else:
        parts = _by_halves(known[0], shape, cell)
    expected = min(float(found.dealt.mean()), parts)
    deviation = max(float(found.dealt.std()), spread.standard_error)
    reach = float(ndtri(0.95)) * deviation
    p = float(ndtr((value - expected) / deviation)) if deviation else float(value >= expected)
    floor = Floor(expected, max(expected - reach, 0.0), min(expected + reach, 1.0), p)
    return Score(estimate, floor)


def _by_replicas(
    runs: Sequence[Jumps], lengths: Sequence[float], shape: Shape, cell: FloatArray
) -> float:
    """The overlap that is expected from that of replicas.

    Args:
        runs: Of the reference.
        lengths: Ion-picoseconds of the two sides.
        shape: Of the grid.
        cell: (3, 3) Å, row vectors.
    """
    noise, expected = sum(1.0 / length for length in lengths), []
    for one, other in combinations(runs, 2):
        of_pair = 1.0 / one.exposure_ps + 1.0 / other.exposure_ps
        apart = 1.0 - _overlap(one, other, shape, cell)
        expected.append(1.0 - apart * math.sqrt(noise / of_pair))
    return max(float(np.mean(expected)), 0.0)


def _by_halves(run: Jumps, shape: Shape, cell: FloatArray) -> float:
    """The overlap of the halves of a run."""
    middle = run.n_frames // 2
    if not middle:
        return 1.0
    return _overlap(run.between(0, middle), run.between(middle, run.n_frames), shape, cell)


def _overlap(one: Jumps, other: Jumps, shape: Shape, cell: FloatArray) -> float:
    happened = events([one], [other], window_ps=np.inf)
    sides = Units((~happened.is_model).astype(np.int64), np.array([True, False]), np.ones(2))
    tally = _OverlapTally.of(happened, sides, shape, cell)
    return float(tally(np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]]))[0, 0])


@dataclass(frozen=True)
class _OverlapTally:
    """The overlap for any choice of units of both sides.

    Attributes:
        seen: (n_units, n_voxels) how often ions were seen around each voxel.
    """

    seen: NDArray[np.float32]

    @classmethod
    def of(cls, happened: Events, units: Units, shape: Shape, cell: FloatArray) -> _OverlapTally:
        """The tally of sightings, whose sites are voxels."""
        counts = counted(units.of_jump, happened.origin, (units.n, math.prod(shape)))
        seen = np.empty(counts.shape, dtype=np.float32)
        for row in range(units.n):
            one = counts[[row]].toarray().astype(np.int64).reshape(shape)
            density = IonDensity(one, cell, 1, 1.0)
            seen[row] = (density.n_samples * density.smoothed(WIDTH)).ravel()
        return cls(seen)

    def __call__(self, model: FloatArray, reference: FloatArray) -> FloatArray:
        """(n_draws, 1) the overlap; NaN where a side has nothing.

        Args:
            model: (n_draws, n_units) 1 for the units that are the model's.
            reference: (n_draws, n_units) 1 for those that are the reference's.
        """
        found = np.full((len(model), 1), np.nan)
        for start in range(0, len(model), _AT_ONCE):
            draws = slice(start, start + _AT_ONCE)
            p, q = (self._shares(side[draws]) for side in (model, reference))
            found[draws, 0] = np.minimum(p, q).sum(axis=1)
        return found

    def _shares(self, mask: FloatArray) -> NDArray[np.float32]:
        """(n_draws, n_voxels) share of the sightings of chosen units."""
        seen = mask.astype(np.float32) @ self.seen
        total = seen.sum(axis=1, keepdims=True, dtype=np.float64)
        total[total == 0.0] = np.nan
        return np.asarray(seen / total.astype(np.float32))


def _sightings(run: SeenRun, shape: Shape) -> Jumps:
    """Where ions are from time to time, as if they jumped there: voxels are sites."""
    every = max(1, round(_EVERY_PS / run.frame_interval_ps))
    sizes = np.array(shape)[:, None]
    places = []
    for path in run.paths:
        voxels = np.floor(path[:, ::every] * sizes).astype(np.int64)
        places.append(np.ravel_multi_index(tuple(voxels), shape, mode="wrap"))
    seen = np.array(places)  # (I, F)
    n_ions, n_frames = seen.shape
    return Jumps(
        ion=np.repeat(np.arange(n_ions), n_frames),
        frame=np.tile(np.arange(n_frames), n_ions),
        origin=seen.ravel(),
        target=seen.ravel(),
        shift=np.zeros((seen.size, 3), dtype=np.int64),
        ion_sites=seen[:, 0],
        arrival=np.zeros(n_ions, dtype=np.int64),
        n_sites=math.prod(shape),
        n_frames=n_frames,
        frame_interval_ps=run.frame_interval_ps * every,
    )
