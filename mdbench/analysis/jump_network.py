"""Rates of jumps between sites, and which way they lead through the crystal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtri

from mdbench.analysis.jumps import Jumps
from mdbench.errors import InputError
from mdbench.stats import LEVEL, Estimate

Shift = tuple[int, int, int]


@dataclass(frozen=True)
class Rate:
    """How often ions go from one site to another.

    Attributes:
        origin: Site.
        target: Site.
        shift: Lattice vectors from the cell of the origin to that of the target.
        n_jumps: Jumps seen.
        rate: 1/ps, for an ion at the origin; its interval is that of a Poisson process, too
            narrow where jumps come together.
    """

    origin: int
    target: int
    shift: Shift
    n_jumps: int
    rate: Estimate


@dataclass(frozen=True)
class Percolation:
    """Which way jumps lead.

    A way there is one back: jumps are connections without direction here.

    Attributes:
        axes: For a, b, c: whether jumps connect a site with an image of itself that is one or
            several lattice vectors along that axis away, and none along the others. A way from
            image to image along (1, 1, 0) alone leads along neither a nor b.
        bottleneck: For a, b, c: the largest k for which connections of k jumps or more, those
            there and those back together, still do; 0 where none do.
        dimension: In how many independent directions a connected set of sites leads to its own
            images, 0 to 3; the most of any set.
    """

    axes: tuple[bool, bool, bool]
    bottleneck: tuple[int, int, int]
    dimension: int


def jump_rates(jumps: Sequence[Jumps]) -> list[Rate]:
    """Jumps of each directed pair of sites over the time at the origin, most jumps first.

    Pairs that saw none are left out. The limits are Garwood's, exact for a Poisson process
    (Biometrika 1936, 28, 437, doi:10.1093/biomet/28.3-4.437).

    Args:
        jumps: Of runs between the same sites; they are pooled.
    """
    if len({run.n_sites for run in jumps}) > 1:
        sizes = sorted({run.n_sites for run in jumps})
        raise InputError("jumps between several sets of sites", expected="one", found=sizes)
    counts: Counter[tuple[int, int, Shift]] = Counter()
    for run in jumps:
        ends = zip(run.origin.tolist(), run.target.tolist(), run.shift.tolist(), strict=True)
        counts.update((i, j, (a, b, c)) for i, j, (a, b, c) in ends)
    time_at = np.sum([run.time_at for run in jumps], axis=0)
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [Rate(*pair, n, _rate(n, float(time_at[pair[0]]))) for pair, n in ordered]


def percolation(rates: Sequence[Rate], n_sites: int) -> Percolation:
    """Which way the jumps lead through the crystal.

    Args:
        rates: Of the directed pairs of sites.
        n_sites: Number of sites.
    """
    jumps: Counter[tuple[int, int, Shift]] = Counter()
    for rate in rates:
        a, b, c = rate.shift
        there, back = (
            (rate.origin, rate.target, (a, b, c)),
            (rate.target, rate.origin, (-a, -b, -c)),
        )
        jumps[min(there, back)] += rate.n_jumps
    network, bottleneck = _Network(n_sites), [0, 0, 0]
    ordered = sorted(jumps.items(), key=lambda item: -item[1])
    for n, group in groupby(ordered, key=lambda item: item[1]):
        network.connect(pair for pair, _ in group)
        for axis in range(3):
            if not bottleneck[axis] and network.leads_along(axis):
                bottleneck[axis] = n
    a, b, c = bottleneck
    return Percolation((a > 0, b > 0, c > 0), (a, b, c), network.dimension)


class _Network:
    """Connected sets of sites, and the lattice vectors by which each leads to itself.

    A site's place is that of the first site of its set, plus lattice vectors: a connection within
    a set that does not fit these closes a way through the crystal.
    """

    def __init__(self, n_sites: int) -> None:
        self._set_of = np.arange(n_sites)
        self._offset = np.zeros((n_sites, 3), dtype=np.int64)
        self._ways: dict[int, NDArray[np.int64]] = {}

    def connect(self, pairs: Iterable[tuple[int, int, Shift]]) -> None:
        """Adds connections from a site to one that stands so many lattice vectors away."""
        for i, j, shift in pairs:
            one, other = int(self._set_of[i]), int(self._set_of[j])
            gap = self._offset[i] + np.array(shift) - self._offset[j]
            if one == other:
                self._lead(one, gap[None])
                continue
            members = self._set_of == other
            self._offset[members] += gap
            self._set_of[members] = one
            if other in self._ways:
                self._lead(one, self._ways.pop(other))

    def leads_along(self, axis: int) -> bool:
        """Whether a set leads to its own image along a lattice vector alone."""
        unit = np.eye(3, dtype=np.int64)[axis]
        return any(_rank(np.vstack([ways, unit])) == len(ways) for ways in self._ways.values())

    @property
    def dimension(self) -> int:
        """The most independent directions of any set."""
        return max((len(ways) for ways in self._ways.values()), default=0)

    def _lead(self, name: int, vectors: NDArray[np.int64]) -> None:
        """Keeps those vectors that are independent of the ones known."""
        for vector in vectors:
            known = self._ways.get(name, np.empty((0, 3), dtype=np.int64))
            more = np.vstack([known, vector])
            if _rank(more) > len(known):
                self._ways[name] = more


def _rank(vectors: NDArray[np.int64]) -> int:
    return int(np.linalg.matrix_rank(vectors))


def _rate(n_jumps: int, time_ps: float) -> Estimate:
    tail = 0.5 * (1.0 - LEVEL)
    low = 0.5 * float(chdtri(2 * n_jumps, 1.0 - tail))
    high = 0.5 * float(chdtri(2 * n_jumps + 2, tail))
    return Estimate(n_jumps / time_ps, low / time_ps, high / time_ps, "1/ps")
