"""How far a mean over the frames of several runs is known, although frames resemble each other.

Neighboring frames of a run share their error: the spread of a mean is not σ/√n. It is taken from
averages over whole blocks of time and over whole runs, temperature by temperature: temperatures
are chosen, and that errors grow with them is no noise.

Blocks that remember their neighbors make the variance too small; the correlation between neighbors
tells by how much (`noise.memory`). Blocks cannot see what is slower than a run. By how much runs
lie further apart than their blocks say is added, with the few degrees of freedom of the runs: so a
pair of runs that differ by chance does not make every interval useless (t is 12.7 with two runs),
and runs that do differ count.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mdbench.analysis.noise import memory
from mdbench.stats import Spread, sum_of

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: Blocks of time of a run that has that many frames.
_N_BLOCKS = 10


@dataclass(frozen=True)
class FrameBlocks:
    """Which frames belong together.

    Attributes:
        strata: (n_frames,) number of the temperature of each frame, from 0.
        runs: (n_frames,) number of its run, from 0; a run has one temperature.
        blocks: (n_frames,) number of its block, from 0; a block is in one run, blocks of a run
            follow each other.
    """

    strata: IntArray
    runs: IntArray
    blocks: IntArray

    def select(self, frames: IntArray) -> FrameBlocks:
        """The blocks of some of the frames, by their places."""
        return FrameBlocks(self.strata[frames], self.runs[frames], self.blocks[frames])

    def spread(self, influence: FloatArray) -> Spread | None:
        """The spread of the mean of a number of each frame; None where it cannot be known.

        Args:
            influence: (n_frames,) what each frame adds to the quantity, linearized, times n_frames.
        """
        strata = self.strata
        if min(len(np.unique(self.blocks[strata == s])) for s in np.unique(strata)) < 2:
            strata = np.zeros_like(strata)  # apart they tell nothing
        parts = [self._stratum(influence, np.flatnonzero(strata == s)) for s in np.unique(strata)]
        known = [spread for spread in parts if spread is not None]
        if len(known) < len(parts):
            return None
        shares = np.bincount(strata)[np.unique(strata)] / len(strata)
        return sum_of(known, shares)

    def _stratum(self, influence: FloatArray, members: IntArray) -> Spread | None:
        """The spread of the mean over the frames of one temperature."""
        values, runs = influence[members], self.runs[members]
        between_blocks = _cluster_spread(values, self.blocks[members])
        if between_blocks is None:
            return None
        inflation = max(1.0, self._memory(values, members))
        seen = Spread(inflation * between_blocks.variance, between_blocks.freedom / inflation)
        between_runs = _cluster_spread(values, runs)
        if between_runs is None or between_runs.variance <= seen.variance:
            return seen
        return sum_of([seen, Spread(between_runs.variance - seen.variance, between_runs.freedom)])

    def _memory(self, values: FloatArray, members: IntArray) -> float:
        """Variance of a mean over that of independent blocks, from all runs with enough of them."""
        rows = []
        for run in np.unique(self.runs[members]):
            own = self.runs[members] == run
            means = _means(values[own], self.blocks[members][own])[0]
            if len(means) == _N_BLOCKS:
                rows.append(means)
        return memory(np.stack(rows, axis=1)) if rows else 1.0


def frame_blocks(temperatures_k: FloatArray, runs: IntArray, frames: IntArray) -> FrameBlocks:
    """Blocks of neighboring frames, equally many in each block of a run.

    Args:
        temperatures_k: (n_frames,) K; NaN is unknown, and one temperature.
        runs: (n_frames,) the run of each frame.
        frames: (n_frames,) its number there.
    """
    strata = np.unique(temperatures_k, return_inverse=True)[1].astype(np.int64)
    numbers = np.unique(np.stack([strata, runs]), axis=1, return_inverse=True)[1]
    numbers = numbers.reshape(-1).astype(np.int64)
    blocks = np.empty(len(frames), dtype=np.int64)
    first = 0
    for run in range(int(numbers.max()) + 1):
        members = np.flatnonzero(numbers == run)
        n_blocks = min(_N_BLOCKS, len(members))
        place = np.arange(len(members)) * n_blocks // len(members)
        blocks[members[np.argsort(frames[members], kind="stable")]] = first + place
        first += n_blocks
    return FrameBlocks(strata, numbers, blocks)


def _cluster_spread(values: FloatArray, clusters: IntArray) -> Spread | None:
    """The spread of a mean over whole clusters of frames; None for a single cluster."""
    means, sizes = _means(values, clusters)
    n = len(means)
    if n < 2:
        return None
    shares = sizes / sizes.sum()
    deviations = shares * (means - values.mean())
    return Spread(n / (n - 1.0) * float((deviations**2).sum()), n - 1.0)


def _means(values: FloatArray, clusters: IntArray) -> tuple[FloatArray, FloatArray]:
    """(n_clusters,) means, and how many frames each is of."""
    place = np.unique(clusters, return_inverse=True)[1]
    sizes = np.bincount(place).astype(np.float64)
    return np.bincount(place, weights=values) / sizes, sizes
