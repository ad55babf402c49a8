"""Radial distribution functions g(r): of all atoms, and of each pair of species.

g_ab(r) = V / (N_a N_b) · ⟨Σ_{i∈a} Σ_{j∈b, images} 1[r ≤ r_ij < r + Δr]⟩ / (4π/3 ((r+Δr)³ − r³)),
i ≠ j or a different image: all periodic images within r_max are counted, also beyond half the
cell, and an atom's own images with them. The total g(r) takes all atoms as one species. The mean
is over frames, each with its own V. Within the shortest lattice vector an ideal gas has
g = (N − 1)/N for like atoms and 1 for unlike ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from ase.data import chemical_symbols
from numpy.typing import ArrayLike, NDArray

from mdbench.analysis.pair_counts import count_pairs
from mdbench.analysis.pairs import (
    FloatArray,
    IntArray,
    PairCounts,
    bin_count,
    species_pairs,
)
from mdbench.errors import InputError
from mdbench.table import Table, Tabular
from mdbench.trajectory import Trajectory

#: Shells are told apart in g averaged over this width (Å), so that noise does not split them …
_SMOOTHING = 0.25
#: … and begin beyond this distance (Å): nearer, a single count makes a large g.
_SHORTEST_BOND = 0.5
#: The name of g(r) of all atoms as one species, next to pairs such as "Li-S".
TOTAL = "total"


@dataclass(frozen=True)
class RadialDistribution(Tabular):
    """g(r) of one or several runs of the same atoms.

    Attributes:
        r: (n_bins,) Å, bin centers.
        edges: (n_bins + 1,) Å; a bin holds edge ≤ r < edge + dr.
        g: (n_bins,) each, "total" first, then the pairs of species such as "Li-S", both in
            alphabetical order.
        counts: (n_bins,) each, unordered pairs of atoms summed over frames.
        n_frames: Number of frames.
        n_atoms: Number of atoms of each species.
        volume: Mean volume of the cell, Å³.
        dr: Bin width, Å.
        r_max: Å, as asked for; the bins end at the last whole one.
    """

    r: FloatArray
    edges: FloatArray
    g: dict[str, FloatArray]
    counts: dict[str, IntArray]
    n_frames: int
    n_atoms: dict[str, int]
    volume: float
    dr: float
    r_max: float

    def table(self) -> Table:
        """One row per bin: `r`, Å, and g by pair."""
        return Table(("r", *self.g), np.column_stack([self.r, *self.g.values()]).tolist())


@dataclass(frozen=True)
class Peak:
    """A maximum of g(r).

    Attributes:
        position: Å.
        height: g there.
    """

    position: float
    height: float


@dataclass(frozen=True)
class FirstShell:
    """The first maximum of g(r) of a pair "a-b" and what lies around it; None is undefined.

    Attributes:
        peak: The first maximum.
        coordination: Atoms of b around one of a.
        reverse_coordination: Atoms of a around one of b.
    """

    peak: Peak | None
    coordination: float | None
    reverse_coordination: float | None


class PairHistogram:
    """Counts of pair distances, fed with blocks of frames of the same atoms.

    Attributes:
        counts: What was counted so far; None before the first frame.
    """

    def __init__(
        self,
        atomic_numbers: ArrayLike,
        r_max: float,
        dr: float,
        *,
        threads: int = 1,
        count: Callable[..., PairCounts] | None = None,
    ) -> None:
        """An empty histogram.

        Args:
            atomic_numbers: (n_atoms,).
            r_max: Largest distance, Å.
            dr: Bin width, Å.
            threads: Threads that share the frames of a block.
            count: What counts instead of `pair_counts.count_pairs`, as that of
                `pair_counts_torch` with its device.
        """
        symbols = np.array([chemical_symbols[z] for z in np.asarray(atomic_numbers)])
        names, self._species = np.unique(symbols, return_inverse=True)
        self.n_atoms = {
            str(name): int(n) for name, n in zip(names, np.bincount(self._species), strict=True)
        }
        self.r_max, self.dr = float(r_max), float(dr)
        self.counts: PairCounts | None = None
        self._count = count or partial(count_pairs, threads=threads)

    @property
    def n_frames(self) -> int:
        """Number of frames so far."""
        return 0 if self.counts is None else self.counts.n_frames

    def add(self, positions: NDArray[Any], cells: ArrayLike, pbc: ArrayLike = True) -> None:
        """Counts a block of frames.

        Args:
            positions: (n_frames, n_atoms, 3) Å, wrapped or not.
            cells: (n_frames, 3, 3) Å.
            pbc: Which lattice vectors are periodic; all must be.
        """
        self._add(self._count(positions, cells, self._species, self.r_max, self.dr, pbc=pbc))

    def merge(self, other: PairHistogram) -> None:
        """Adds the frames of another histogram of the same atoms and bins."""
        mine, theirs = (h.n_atoms | {"r_max": h.r_max, "dr": h.dr} for h in (self, other))
        if mine != theirs:
            raise InputError("histograms of pairs", expected=mine, found=theirs)
        if other.counts is not None:
            self._add(other.counts)

    def _add(self, counts: PairCounts) -> None:
        self.counts = counts if self.counts is None else self.counts + counts

    def result(self) -> RadialDistribution:
        """g(r) of all frames so far."""
        found = self.counts
        if found is None:
            raise InputError("g(r)", expected="at least one frame", found="none")
        names, numbers = list(self.n_atoms), np.array(list(self.n_atoms.values()))
        edges: FloatArray = np.float64(self.dr) * np.arange(bin_count(self.r_max, self.dr) + 1)
        volume_counts = found.volume_counts / (found.n_frames * _shells(edges))  # mean V·n / shell
        n_all = int(numbers.sum())
        g = {TOTAL: 2.0 * volume_counts.sum(axis=0) / n_all**2}
        counts = {TOTAL: found.counts.sum(axis=0)}
        for row, (a, b) in enumerate(species_pairs(len(names))):
            name = f"{names[a]}-{names[b]}"
            orders = 2.0 if a == b else 1.0  # i, j and j, i are both in the sum over like atoms
            g[name] = orders * volume_counts[row] / (numbers[a] * numbers[b])
            counts[name] = found.counts[row]
        return RadialDistribution(
            r=0.5 * (edges[1:] + edges[:-1]),
            edges=edges,
            g=g,
            counts=counts,
            n_frames=found.n_frames,
            n_atoms=dict(self.n_atoms),
            volume=found.volume_sum / found.n_frames,
            dr=self.dr,
            r_max=self.r_max,
        )


def radial_distribution(
    trajectory: Trajectory, *, r_max: float, dr: float, threads: int = 1
) -> RadialDistribution:
    """g(r) of all frames of a trajectory.

    Args:
        trajectory: Periodic in all three directions.
        r_max: Largest distance, Å; may be beyond half the cell.
        dr: Bin width, Å.
        threads: Threads that share the frames.

    Raises:
        InputError: No frames, a direction that is not periodic, senseless bins.
    """
    histogram = PairHistogram(trajectory.atomic_numbers, r_max, dr, threads=threads)
    histogram.add(trajectory.positions, trajectory.cells, trajectory.pbc)
    return histogram.result()


def pool(distributions: Sequence[RadialDistribution]) -> RadialDistribution:
    """The mean g(r) of replicas, each with the same weight; counts and frames are summed.

    Raises:
        InputError: No replicas, or replicas of other atoms or bins.
    """
    if not distributions:
        raise InputError("replicas", expected="at least one g(r)", found="none")
    first = distributions[0]
    for number, other in enumerate(distributions):
        mine, theirs = ((d.n_atoms, d.dr, d.r_max) for d in (first, other))
        if mine != theirs:
            raise InputError(f"replica {number}: atoms, dr, r_max", expected=mine, found=theirs)
    return replace(
        first,
        g={name: np.mean([d.g[name] for d in distributions], axis=0) for name in first.g},
        counts={name: np.sum([d.counts[name] for d in distributions], axis=0) for name in first.g},
        n_frames=sum(d.n_frames for d in distributions),
        volume=float(np.mean([d.volume for d in distributions])),
    )


def first_peak(r: FloatArray, g: FloatArray) -> Peak | None:
    """The first maximum of g(r); None where g does not rise above 1 and fall below it again.

    The highest bin of the first stretch beyond 0.5 Å in which g, averaged over 0.25 Å, is above 1;
    by the parabola through it and its two neighbors.

    Args:
        r: (n_bins,) Å, equally spaced.
        g: (n_bins,).
    """
    stretch = _first_stretch(r, g)
    if stretch is None:
        return None
    start, stop = stretch
    top = start + int(g[start:stop].argmax())
    if not 0 < top < len(g) - 1:
        return Peak(float(r[top]), float(g[top]))
    left, middle, right = (float(value) for value in g[top - 1 : top + 2])
    curvature = left - 2.0 * middle + right
    if max(left, right) > middle or curvature == 0.0:
        return Peak(float(r[top]), middle)
    shift = 0.5 * (left - right) / curvature  # in bins, within ±½
    return Peak(
        position=float(r[top] + shift * (r[1] - r[0])),
        height=middle - 0.25 * (left - right) * shift,
    )


def first_peaks(distribution: RadialDistribution) -> dict[str, FirstShell]:
    """The first shell of every g(r), "total" and pairs."""
    shells = {}
    for name, g in distribution.g.items():
        a, b = (TOTAL, TOTAL) if name == TOTAL else name.split("-")
        shells[name] = FirstShell(
            peak=first_peak(distribution.r, g),
            coordination=coordination_number(distribution, a, b),
            reverse_coordination=coordination_number(distribution, b, a),
        )
    return shells


def coordination_number(
    distribution: RadialDistribution, center: str, neighbor: str
) -> float | None:
    """Neighbors in the first shell: ∫ 4πr² ρ g dr up to the first minimum, ρ that of the neighbors.

    The minimum is the lowest bin between the first stretch beyond 0.5 Å in which g, averaged over
    0.25 Å, is above 1 and the next one. None where there is no such stretch, or where g still
    falls at r_max.

    Args:
        distribution: g(r).
        center: Species of the atoms in the middle, or "total" for all atoms.
        neighbor: Species of the atoms around them, or "total" with "total".
    """
    total = center == neighbor == TOTAL
    g = distribution.g[TOTAL if total else "-".join(sorted((center, neighbor)))]
    stretch = _first_stretch(distribution.r, g)
    if stretch is None:
        return None
    _, stop = stretch
    later = np.flatnonzero(_smooth(distribution.r, g)[stop:] > 1.0)
    end = stop + int(later[0]) if later.size else len(g)
    minimum = stop + int(g[stop:end].argmin())
    if minimum == len(g) - 1 and g[minimum] > 0.0:
        return None
    numbers = distribution.n_atoms
    density = (sum(numbers.values()) if total else numbers[neighbor]) / distribution.volume
    return float((g * _shells(distribution.edges))[:minimum].sum() * density)


def _first_stretch(r: FloatArray, g: FloatArray) -> tuple[int, int] | None:
    """(start, stop) of the first bins beyond `_SHORTEST_BOND` whose smooth g is above 1.

    None where there are none, or no end of them.
    """
    above = (_smooth(r, g) > 1.0) & (r > _SHORTEST_BOND)
    if not above.any():
        return None
    start = int(above.argmax())
    if above[start:].all():
        return None
    return start, start + int((~above[start:]).argmax())


def _smooth(r: FloatArray, g: FloatArray) -> FloatArray:
    """(n_bins,) mean of g over the volume of the shells within ±½ `_SMOOTHING` of each bin."""
    side = int(0.5 * _SMOOTHING / (r[1] - r[0])) if len(r) > 1 else 0
    window, volumes = np.ones(2 * side + 1), r * r
    sums = np.convolve(g * volumes, window)[side : side + len(g)]
    return np.asarray(sums / np.convolve(volumes, window)[side : side + len(g)])


def _shells(edges: FloatArray) -> FloatArray:
    """(n_bins,) Å³, volumes of the spherical shells between the edges."""
    return np.asarray(4.0 / 3.0 * np.pi * np.diff(edges**3))


def framework_curves(distribution: RadialDistribution, mobile: str) -> dict[str, FloatArray]:
    """g(r) of the framework with itself, and of all pairs that hold a mobile ion.

    Both are the mean of g over their pairs of atoms, so that the total g(r) is their mean, too.

    Args:
        distribution: g(r) of all pairs of species.
        mobile: Symbol of the mobile ion; all other species are the framework.

    Returns:
        (n_bins,) each, by `framework` and `with mobile`; a kind without pairs is left out.
    """
    sums: dict[str, FloatArray] = {}
    weights: dict[str, float] = {}
    for name, g in distribution.g.items():
        if name == TOTAL:
            continue
        a, b = name.split("-")
        kind = "with mobile" if mobile in (a, b) else "framework"
        orders = 1 if a == b else 2
        weight = float(orders * distribution.n_atoms[a] * distribution.n_atoms[b])
        sums[kind] = sums.get(kind, 0.0) + weight * g
        weights[kind] = weights.get(kind, 0.0) + weight
    return {kind: sums[kind] / weights[kind] for kind in sorted(sums)}
