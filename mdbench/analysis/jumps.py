"""Jumps of ions between sites.

An ion is at a site within a radius of it, the nearest where there are several. Its site changes
when it was at another one for a residence time on end: what leaves a site and comes back has not
jumped, and what passes through one has not been there. On its way it still counts for the site that
it left (core sets of a Markov model: N.-V. Buchete, G. Hummer, J. Phys. Chem. B 2008, 112, 6057,
doi:10.1021/jp0761665), so that the times at all sites add up to that of the ions, and jumps over
time are rates without bias also where ions are between sites for long.

An ion that arrives at another image of its own site has jumped, too: in a small cell that is the
neighboring site.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mdbench.analysis.msd import FloatArray
from mdbench.analysis.site_map import nearest_site, site_map, unpacked
from mdbench.analysis.sites import Sites
from mdbench.compiled import compiled
from mdbench.errors import InputError

IntArray = NDArray[np.int64]
#: Of each ion (3, n_frames) fractional coordinates, unwrapped.
ScaledPaths = Sequence[FloatArray] | FloatArray


@dataclass(frozen=True)
class Jumps:
    """What n jumps the ions of one run, or of a stretch of it, made.

    Attributes:
        ion: (n,) index of the ion; jumps are in the order of ions, then of frames.
        frame: (n,) frame of arrival: the first of the stay at the target.
        origin: (n,) site that it left.
        target: (n,) site that it came to.
        shift: (n, 3) lattice vectors from the cell of the origin to that of the target.
        ion_sites: (n_ions,) first site of each ion; −1 for an ion that comes to none.
        arrival: (n_ions,) frame from which on the ion counts for that site; n_frames for none.
        n_sites: Number of sites, also of those where no ion was.
        n_frames: Number of frames.
        frame_interval_ps: Time between frames; each frame stands for so much time.
    """

    ion: IntArray
    frame: IntArray
    origin: IntArray
    target: IntArray
    shift: IntArray
    ion_sites: IntArray
    arrival: IntArray
    n_sites: int
    n_frames: int
    frame_interval_ps: float

    @property
    def n(self) -> int:
        """Number of jumps."""
        return len(self.ion)

    @property
    def n_ions(self) -> int:
        """Number of ions, also of those that never jump."""
        return len(self.ion_sites)

    @property
    def length_ps(self) -> float:
        """Time that the frames stand for, ps."""
        return self.n_frames * self.frame_interval_ps

    @property
    def exposure_ps(self) -> float:
        """Length times ions, ps."""
        return self.n_ions * self.length_ps

    @property
    def time_at(self) -> FloatArray:
        """(n_sites,) ps, summed over ions, from the arrival at a site to that at the next."""
        ions = np.concatenate([np.arange(self.n_ions), self.ion])
        order = np.argsort(ions, kind="stable")
        ions = ions[order]
        sites = np.concatenate([self.ion_sites, self.target])[order]
        begin = np.concatenate([self.arrival, self.frame])[order]
        same = np.append(ions[1:] == ions[:-1], False)
        end = np.where(same, np.append(begin[1:], 0), self.n_frames)
        at = sites >= 0
        frames = np.bincount(sites[at], weights=(end - begin)[at], minlength=self.n_sites)
        return np.asarray(frames * self.frame_interval_ps)

    @property
    def time_off(self) -> float:
        """Time of all ions before their arrival at a first site, ps."""
        return float(self.arrival.sum()) * self.frame_interval_ps

    def between(self, start_frame: int, stop_frame: int) -> Jumps:
        """The jumps of a stretch: those that arrive in frames start_frame to stop_frame − 1.

        Its frames count from 0, and `ion_sites` are the sites that ions come from.

        Args:
            start_frame: First frame.
            stop_frame: Frame after the last one; what is beyond the run is left out.
        """
        stop = min(stop_frame, self.n_frames)
        if not 0 <= start_frame < stop:
            raise InputError(
                "frames", expected=f"a stretch of 0 to {self.n_frames}", found=(start_frame, stop)
            )
        inside = (self.frame >= start_frame) & (self.frame < stop)
        sites = np.where(self.arrival < stop, self.ion_sites, -1)
        before = self.frame < start_frame
        sites[self.ion[before]] = self.target[before]  # in the order of frames: the last one stays
        return Jumps(
            ion=self.ion[inside],
            frame=self.frame[inside] - start_frame,
            origin=self.origin[inside],
            target=self.target[inside],
            shift=self.shift[inside],
            ion_sites=sites,
            arrival=np.clip(self.arrival, start_frame, stop) - start_frame,
            n_sites=self.n_sites,
            n_frames=stop - start_frame,
            frame_interval_ps=self.frame_interval_ps,
        )

    def of_ions(self, rows: ArrayLike) -> Jumps:
        """The jumps of some ions, which count from 0 in the order of the rows.

        Args:
            rows: (n,) indices of ions, each once.
        """
        chosen = np.asarray(rows, dtype=np.int64)
        place = np.full(self.n_ions, -1)
        place[chosen] = np.arange(len(chosen))
        ion = place[self.ion]
        order = np.argsort(ion, kind="stable")
        order = order[ion[order] >= 0]
        return Jumps(
            ion=ion[order],
            frame=self.frame[order],
            origin=self.origin[order],
            target=self.target[order],
            shift=self.shift[order],
            ion_sites=self.ion_sites[chosen],
            arrival=self.arrival[chosen],
            n_sites=self.n_sites,
            n_frames=self.n_frames,
            frame_interval_ps=self.frame_interval_ps,
        )


def site_jumps(
    paths: ScaledPaths,
    sites: Sites,
    *,
    frame_interval_ps: float,
    residence_ps: float = 0.1,
    radius: float | None = None,
) -> Jumps:
    """The jumps of a run between given sites.

    A stay of `residence_ps` is as many frames on end as fill that time, at least one: where frames
    are farther apart, being seen at a site once is enough.

    Args:
        paths: n_ions arrays (3, n_frames), fractional, unwrapped, in the frame of the sites.
        sites: Where ions can be.
        frame_interval_ps: Time between frames.
        residence_ps: How long an ion has to be at a site on end before it has arrived.
        radius: Å, of a site; by default that of `sites`.
    """
    known = unpacked(site_map(sites.scaled, sites.cell, radius or sites.radius))
    needed = max(1, math.ceil(residence_ps / frame_interval_ps - 1e-6))
    stays: list[IntArray] = []
    n_frames = 0
    for path in paths:
        n_frames = path.shape[1]
        found = np.empty((n_frames // needed, 5), dtype=np.int64)
        n = _stays(*known, np.ascontiguousarray(path), needed, found)
        stays.append(found[:n].copy())
    if not stays:
        raise InputError("no ions", expected="paths of ions")
    first = [stay[0, :2] if len(stay) else np.array([n_frames, -1]) for stay in stays]
    later = np.concatenate([stay[1:] for stay in stays])
    before = np.concatenate([stay[:-1] for stay in stays])
    return Jumps(
        ion=np.repeat(np.arange(len(stays)), [max(len(stay) - 1, 0) for stay in stays]),
        frame=later[:, 0],
        origin=before[:, 1],
        target=later[:, 1],
        shift=later[:, 2:] - before[:, 2:],
        ion_sites=np.array([site for _, site in first]),
        arrival=np.array([frame for frame, _ in first]),
        n_sites=sites.n_sites,
        n_frames=n_frames,
        frame_interval_ps=frame_interval_ps,
    )


@compiled
def _stays(
    shape: IntArray,
    first: IntArray,
    sites: IntArray,
    images: IntArray,
    scaled: FloatArray,
    cell: FloatArray,
    square: float,
    path: FloatArray,
    needed: int,
    stays: IntArray,
) -> int:
    """Writes (first frame, site, image) of each stay that is not at the site of the one before."""
    image, now = np.zeros(3, dtype=np.int64), np.zeros(3, dtype=np.int64)
    last, last_image = -1, np.zeros(3, dtype=np.int64)
    site, begin, n_on_end, n_stays = -1, 0, 0, 0
    for frame in range(path.shape[1]):
        a, b, c = path[0, frame], path[1, frame], path[2, frame]
        at = nearest_site(shape, first, sites, images, scaled, cell, square, a, b, c, now)
        if at < 0 or (at == last and _equal(now, last_image)):
            n_on_end = 0
            continue
        if n_on_end == 0 or at != site or not _equal(now, image):
            site, begin, n_on_end = at, frame, 0
            image[:] = now
        n_on_end += 1
        if n_on_end == needed:
            stays[n_stays, 0], stays[n_stays, 1] = begin, site
            stays[n_stays, 2:] = image
            n_stays += 1
            last, n_on_end = site, 0
            last_image[:] = image
    return n_stays


@compiled
def _equal(one: IntArray, other: IntArray) -> bool:
    return bool(one[0] == other[0] and one[1] == other[1] and one[2] == other[2])
