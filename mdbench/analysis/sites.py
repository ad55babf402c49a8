"""Sites of mobile ions: maxima of their density that are no noise.

Symmetry is not assumed: a disordered crystal, or one that a model has bent, has the sites that its
ions use. From the density to the sites:

1. The density is smoothed by a Gaussian of 0.3 radii. A maximum is higher than the 26 voxels around
   it; its region are the voxels from which steepest ascent leads there.
2. Two regions that touch are one where no barrier worth the name is between them: where
   ln(h/s) < b + noise, h the density at the lower maximum, s at the highest saddle between them. In
   units of kT, b is 0.5 for maxima two radii apart or more, and 1 for nearer ones, whose spheres
   overlap. Noise is one standard deviation of counting at the saddle, samples taken to be
   independent after 0.1 ps. The lowest barrier goes first; the higher maximum stays.
3. A site is the place in a region whose sphere holds the most of its ions: from the maximum, and
   from the mean position of all of them, it moves to the mean position of those within a radius of
   it until it stays, and the fuller of the two spheres is taken.
4. Regions in which ions spent less than 1 ps in all, or that hold less than 0.01 ions on average,
   have no site. Of two sites nearer than one radius the one with fewer ions is none.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np
from numpy.typing import NDArray

from mdbench.analysis.ion_density import IonDensity
from mdbench.analysis.msd import FloatArray
from mdbench.analysis.site_map import nearest_sites, site_map
from mdbench.neighbors import neighbor_list

IntArray = NDArray[np.int64]

#: Width of the smoothing, in radii.
_SMOOTHING = 0.3
#: Least barriers, in kT: between sites whose spheres are apart, and between those that overlap.
_BARRIER, _BARRIER_NEAR = 0.5, 1.0
#: Standard deviations of noise by which a barrier has to be more.
_NOISE = 1.0
#: ps after which an ion has forgotten where about its site it was.
_MEMORY_PS = 0.1
#: Least number of ions in the region of a site, and least time that they spend there, ps.
_LEAST_IONS, _LEAST_PS = 0.01, 1.0
#: Densities below this share of the mean belong to no region.
_FLOOR = 0.01
#: Å, how far a site moves in its last step, and most steps.
_STEP, _MOST_STEPS = 1e-3, 200
#: One of each pair of voxels around a voxel.
_SIDES = tuple(step for step in product((-1, 0, 1), repeat=3) if step > (0, 0, 0))


@dataclass(frozen=True)
class Sites:
    """Where ions rest.

    Attributes:
        scaled: (n_sites, 3) fractional coordinates in [0, 1).
        cell: (3, 3) Å, row vectors.
        occupancy: (n_sites,) mean number of ions within `radius`; an ion within that of several
            counts for the nearest.
        radius: Å.
    """

    scaled: FloatArray
    cell: FloatArray
    occupancy: FloatArray
    radius: float

    @property
    def n_sites(self) -> int:
        """Number of sites."""
        return len(self.scaled)


@dataclass(frozen=True)
class _Regions:
    """Voxels by the maximum that they belong to.

    Attributes:
        labels: (n_a, n_b, n_c) number of the region; −1 where there is no density to speak of.
        values: (n_a, n_b, n_c) smoothed density, ions per Å³.
        peaks: (n_regions, 3) voxel of each maximum.
    """

    labels: IntArray
    values: FloatArray
    peaks: IntArray

    @property
    def heights(self) -> FloatArray:
        """(n_regions,) ions per Å³ at the maxima."""
        return np.asarray(self.values[tuple(self.peaks.T)])


def find_sites(density: IonDensity, *, radius: float = 1.0, known: Sites | None = None) -> Sites:
    """The sites of a density, the most occupied first.

    Args:
        density: Of the ions.
        radius: Å, of a site.
        known: Sites of another density (a reference). They come first, as they stand there, with
            the occupancy that they have in this density. Sites of this density follow where it
            has others: more than a radius from all known ones, and parted from any in the same
            region by a barrier.
    """
    smooth = density.smoothed_per_volume(_SMOOTHING * radius)
    regions = _merged(_regions(smooth), density, radius)
    scaled, ions = _centers(regions, density, radius)
    enough = ions >= max(_LEAST_IONS, _LEAST_PS / density.length_ps)
    if known is not None:
        enough &= ~_holds_known(regions, known, scaled, density.cell, radius)
    order = np.flatnonzero(enough)[np.argsort(-ions[enough], kind="stable")]
    given = np.empty((0, 3)) if known is None else known.scaled
    scaled = _apart(np.concatenate([given, scaled[order]]), len(given), density.cell, radius)
    occupancy = _occupancy(scaled, density, radius)
    order = np.argsort(-occupancy[len(given) :], kind="stable") + len(given)
    order = np.concatenate([np.arange(len(given)), order])
    return Sites(scaled[order], density.cell, occupancy[order], radius)


def _regions(values: FloatArray) -> _Regions:
    """The maxima of a periodic function and their regions, by steepest ascent."""
    own = np.arange(values.size).reshape(values.shape)
    best, up = values.copy(), own.ravel().copy()
    for side in _SIDES:
        for step in (side, (-side[0], -side[1], -side[2])):
            near = np.roll(values, step, axis=(0, 1, 2))
            higher = near > best
            best[higher] = near[higher]
            up[higher.ravel()] = np.roll(own, step, axis=(0, 1, 2))[higher]
    while (further := up[up]).tobytes() != up.tobytes():
        up = further
    used = values.ravel() > _FLOOR * values.mean()
    peaks, found = np.unique(up[used], return_inverse=True)
    labels = np.full(values.size, -1)
    labels[used] = found
    return _Regions(
        labels=labels.reshape(values.shape),
        values=values,
        peaks=np.stack(np.unravel_index(peaks, values.shape), axis=-1),
    )


def _saddles(regions: _Regions) -> dict[tuple[int, int], float]:
    """Of each pair of regions that touch, the highest density on the way between them."""
    n = len(regions.peaks)
    keys, values = [], []
    for side in _SIDES:
        other = np.roll(regions.labels, side, axis=(0, 1, 2))
        low = np.minimum(regions.values, np.roll(regions.values, side, axis=(0, 1, 2)))
        border = (regions.labels != other) & (regions.labels >= 0) & (other >= 0)
        pair = np.sort(np.stack([regions.labels[border], other[border]]), axis=0)
        keys.append(pair[0] * n + pair[1])
        values.append(low[border])
    pairs, rows = np.unique(np.concatenate(keys), return_inverse=True)
    highest = np.zeros(len(pairs))
    np.maximum.at(highest, rows, np.concatenate(values))
    return {divmod(int(p), n): float(h) for p, h in zip(pairs, highest, strict=True)}


def _merged(regions: _Regions, density: IonDensity, radius: float) -> _Regions:
    """The regions with real barriers between them."""
    heights, samples = regions.heights, _samples(density, _SMOOTHING * radius)
    near = _near_pairs((regions.peaks + 0.5) / regions.values.shape, density.cell, 2.0 * radius)
    around: list[dict[int, float]] = [{} for _ in heights]
    for (i, j), saddle in _saddles(regions).items():
        around[i][j] = around[j][i] = saddle

    def candidate(i: int, j: int) -> tuple[float, int, int, float]:
        low, saddle = min(heights[i], heights[j]), around[i][j]
        barrier = _BARRIER_NEAR if (i, j) in near else _BARRIER
        most = samples * low * math.exp(-barrier)
        noise = _NOISE * math.sqrt(most * (1.0 + math.exp(-barrier)))
        real = samples * saddle < most - noise
        return math.inf if real else math.log(low / saddle), i, j, saddle

    queue = [candidate(i, j) for i in range(len(around)) for j in around[i] if i < j]
    heapq.heapify(queue)
    into = np.arange(len(heights))
    while queue:
        barrier, i, j, saddle = heapq.heappop(queue)
        if barrier == math.inf:
            break
        if around[i].get(j) != saddle:
            continue  # one of them is part of another region by now
        if heights[j] > heights[i]:
            i, j = j, i
        into[into == j] = i
        for k, other in around[j].items():
            del around[k][j]
            if k != i:
                around[i][k] = around[k][i] = max(other, around[i].get(k, 0.0))
                heapq.heappush(queue, candidate(i, k))
        around[j] = {}
    kept, labels = np.unique(into, return_inverse=True)
    merged = np.where(regions.labels >= 0, labels[regions.labels], -1)
    return _Regions(merged, regions.values, regions.peaks[kept])


def _samples(density: IonDensity, width: float) -> float:
    """Å³: times a smoothed density, the number of independent counts that it stands for.

    Smoothing by w averages over a volume of (4π w²)^(3/2).
    """
    interval_ps = density.length_ps / density.n_frames
    volume = math.pow(4.0 * math.pi * width**2, 1.5)
    return volume * density.n_frames * min(1.0, interval_ps / _MEMORY_PS)


def _near_pairs(scaled: FloatArray, cell: FloatArray, cutoff: float) -> set[tuple[int, int]]:
    """Both (i, j) and (j, i) of points nearer than a cutoff, images included."""
    pairs = neighbor_list(scaled @ cell, cell, cutoff).pairs
    return {(int(i), int(j)) for i, j in pairs if i != j}


def _centers(
    regions: _Regions, density: IonDensity, radius: float
) -> tuple[FloatArray, FloatArray]:
    """Of each region: (n, 3) fractional coordinates of its site, (n,) mean number of ions."""
    shape, labels = np.array(regions.values.shape), regions.labels.ravel()
    counted = np.flatnonzero((density.counts.ravel() > 0) & (labels >= 0))
    counted = counted[np.argsort(labels[counted], kind="stable")]
    ends = np.searchsorted(labels[counted], np.arange(len(regions.peaks) + 1))
    scaled, ions = (regions.peaks + 0.5) / shape, np.zeros(len(regions.peaks))
    for k, (start, stop) in enumerate(pairwise(ends)):
        if start == stop:
            continue  # ringing of a sharp density, no ion was there
        voxels = counted[start:stop]
        weights = density.counts.ravel()[voxels] / density.n_frames
        apart = (np.stack(np.unravel_index(voxels, tuple(shape)), axis=-1) + 0.5) / shape
        apart -= scaled[k]
        apart = (apart - np.rint(apart)) @ density.cell
        ions[k] = weights.sum()
        begins = np.zeros(3), weights @ apart / ions[k]
        _, center = max(
            (_fullest(begin, apart, weights, radius) for begin in begins),
            key=lambda found: found[0],
        )
        scaled[k] += center @ np.linalg.inv(density.cell)
    return scaled - np.floor(scaled), ions


def _fullest(
    center: FloatArray, places: FloatArray, weights: FloatArray, radius: float
) -> tuple[float, FloatArray]:
    """Ions in a sphere that moves to the mean position of those in it until it stays; its center.

    Args:
        center: (3,) Å, where it begins.
        places: (n, 3) Å.
        weights: (n,) ions at each place.
        radius: Å, of the sphere.
    """
    held = 0.0
    for _ in range(_MOST_STEPS):
        apart = places - center
        inside = np.einsum("vi,vi->v", apart, apart) <= radius**2
        held = float(weights[inside].sum())
        if held == 0.0:
            break
        step = weights[inside] @ apart[inside] / held
        center = center + step
        if np.linalg.norm(step) < _STEP:
            break
    return held, center


def _holds_known(
    regions: _Regions, known: Sites, scaled: FloatArray, cell: FloatArray, radius: float
) -> NDArray[np.bool_]:
    """(n_regions,) whether a known site lies in each, with no barrier's worth of density less."""
    shape = np.array(regions.values.shape)
    voxels = tuple((np.floor(known.scaled * shape).astype(np.int64) % shape).T)
    near = _near_pairs(np.concatenate([known.scaled, scaled]), cell, 2.0 * radius)
    held = np.zeros(len(scaled), dtype=bool)
    for site, region in enumerate(regions.labels[voxels]):
        if region >= 0:
            close = (site, known.n_sites + region) in near
            barrier = _BARRIER_NEAR if close else _BARRIER
            here = regions.values[tuple(v[site] for v in voxels)]
            held[region] |= here >= regions.heights[region] * math.exp(-barrier)
    return held


def _apart(scaled: FloatArray, n_known: int, cell: FloatArray, radius: float) -> FloatArray:
    """The known sites, and of the others those that no earlier one is nearer to than a radius."""
    if not len(scaled):
        return scaled
    near: dict[int, list[int]] = {}
    for i, j in _near_pairs(scaled, cell, radius):
        near.setdefault(i, []).append(j)
    kept = np.zeros(len(scaled), dtype=bool)
    for i in range(len(scaled)):
        kept[i] = i < n_known or not any(kept[j] for j in near.get(i, ()))
    return scaled[kept]


def _occupancy(scaled: FloatArray, density: IonDensity, radius: float) -> FloatArray:
    """(n_sites,) mean number of ions at each site, by the middles of the voxels."""
    shape = density.counts.shape
    counted = np.flatnonzero(density.counts)
    middles = [(x + 0.5) / n for x, n in zip(np.unravel_index(counted, shape), shape, strict=True)]
    at = nearest_sites(site_map(scaled, density.cell, radius), np.array(middles))
    ions = np.bincount(
        at[at >= 0], weights=density.counts.ravel()[counted][at >= 0], minlength=len(scaled)
    )
    return ions / density.n_frames
