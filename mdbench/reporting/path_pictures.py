"""What is drawn of where ions are and how they move, as arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mdbench.analysis.ion_density import IonDensity
from mdbench.units import PS_IN_NS

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
#: Directed pairs of sites with the lattice vectors between them.
Pairs = list[tuple[int, ...]]

_ORIGIN = "rates/origin"
#: Å, of the Gaussian that densities are smoothed with.
_SMOOTHING = 0.3


@dataclass(frozen=True)
class PathSide:
    """Where the ions of some runs are, and how they move.

    Attributes:
        density: (n_a, n_b, n_c) ions per Å³.
        cell: (3, 3) Å, row vectors.
        framework: (n_framework, 3) fractional coordinates of the other atoms.
        sites: (n_sites, 3) fractional coordinates.
        own: (n_sites,) sites that the other side lacks.
        origin: (n_pairs,) indices of the sites that jumps begin at.
        target: (n_pairs,) those that they end at.
        shift: (n_pairs, 3) lattice vectors from the image of the one to that of the other.
        per_ns: (n_pairs,) jumps of all ions in the cell per ns.
        alone: (n_pairs,) jumps that the other side never makes.
        paths: (n_ions, 3, n_points) Å, positions of the ions of one run, not wrapped.
        path_ps: Time from the first to the last of them.
    """

    density: FloatArray
    cell: FloatArray
    framework: FloatArray
    sites: FloatArray
    own: NDArray[np.bool_]
    origin: IntArray
    target: IntArray
    shift: IntArray
    per_ns: FloatArray
    alone: NDArray[np.bool_]
    paths: FloatArray
    path_ps: float

    @cached_property
    def segments(self) -> tuple[FloatArray, FloatArray, NDArray[np.bool_]]:
        """Pairs of sites, there and back as one.

        (n, 2, 3) fractional coordinates of their ends, (n,) jumps per ns, and (n,) whether the
        other side makes neither.
        """
        joined: dict[tuple[int, ...], list[float]] = {}
        pairs = zip(self.origin, self.target, self.shift, self.per_ns, self.alone, strict=True)
        for origin, target, shift, rate, alone in pairs:
            there = (int(origin), int(target), *(int(n) for n in shift))
            back = (int(target), int(origin), *(-int(n) for n in shift))
            found = joined.setdefault(min(there, back), [0.0, 1.0])
            found[0] += float(rate)
            found[1] *= float(alone)
        keys = np.array(list(joined), dtype=np.int64).reshape(-1, 5)
        values = np.array(list(joined.values())).reshape(-1, 2)
        ends = np.stack([self.sites[keys[:, 0]], self.sites[keys[:, 1]] + keys[:, 2:]], axis=1)
        return ends, values[:, 0], values[:, 1] > 0.0


@dataclass(frozen=True)
class PathPicture:
    """One state, and the reference that it is held against.

    Attributes:
        title: Source, material and temperature.
        side: Its ions.
        reference: Those of the reference; None without one.
        result: A few words on what was found.
    """

    title: str
    side: PathSide
    reference: PathSide | None = None
    result: str = ""

    @property
    def sides(self) -> list[tuple[str, PathSide]]:
        """The reference first."""
        own = self.title.partition(": ")[0]
        return [
            *([("reference", self.reference)] if self.reference is not None else []),
            (own, self.side),
        ]


def picture_of(attributes: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> PathPicture:
    """What is drawn of a result of `mdbench path`.

    Args:
        attributes: What its file says about the arrays.
        arrays: By their paths in the file.

    Raises:
        KeyError: An array is missing.
    """
    n_known, reference = attributes["n_reference_sites"], attributes["reference"]
    sites = np.asarray(arrays["sites/scaled"], dtype=np.float64)
    own = np.arange(len(sites)) >= (len(sites) if n_known is None else n_known)
    pairs = [_pairs(arrays, place) for place in ("", "reference/") if place + _ORIGIN in arrays]

    def side(place: str, known: Mapping[str, Any], mine: Pairs, others: Pairs | None) -> PathSide:
        cell, counts = arrays[f"{place}density/cell"], arrays[f"{place}density/counts"]
        n_frames, length_ps = int(known["n_frames"]), float(known["length_ps"])
        density = IonDensity(np.asarray(counts, np.int64), cell, n_frames, length_ps)
        times_ps = arrays[f"{place}paths/time_ps"]
        shift = np.asarray(arrays[f"{place}rates/shift"], dtype=np.int64)
        alone = [others is not None and pair not in others for pair in mine]
        return PathSide(
            density=density.smoothed_per_volume(_SMOOTHING),
            cell=cell,
            framework=arrays[f"{place}framework/scaled"],
            sites=sites,
            own=own,
            origin=arrays[f"{place}rates/origin"],
            target=arrays[f"{place}rates/target"],
            shift=shift,
            per_ns=arrays[f"{place}rates/n_jumps"] / (length_ps * PS_IN_NS),
            alone=np.array(alone, dtype=bool),
            paths=np.asarray(arrays[f"{place}paths/positions"], dtype=np.float64),
            path_ps=float(times_ps[-1] - times_ps[0]) if len(times_ps) else 0.0,
        )

    temperature = attributes["temperature_k"]
    state = "" if temperature is None else f", {temperature:g} K"
    mine, *others = pairs
    return PathPicture(
        title=f"{attributes['source']}: {attributes['material']}{state}",
        side=side("", attributes, mine, others[0] if others else None),
        reference=side("reference/", reference, others[0], mine) if others else None,
        result=_result(attributes["document"]),
    )


def _pairs(arrays: Mapping[str, NDArray[Any]], place: str) -> Pairs:
    """Directed pairs of sites with the lattice vectors between them."""
    ends = [arrays[f"{place}rates/{name}"][:, None] for name in ("origin", "target")]
    rows = np.hstack([*ends, arrays[f"{place}rates/shift"]])
    return [tuple(row) for row in rows.tolist()]


def _result(document: Mapping[str, Any]) -> str:
    """A few words on which way ions go, or how the run fails."""
    if document["failure_mode"] is not None:
        return str(document["failure_mode"])
    axes = document["percolation_axes"]
    return f"jumps lead along {', '.join(axes)}" if axes else "jumps lead nowhere"
