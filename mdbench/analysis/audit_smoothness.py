"""Jumps of energies and forces while atoms pass a cutoff, wherever that is.

Two ways to find them. A jump that is large on the scale of a scan shows in third differences; where
they do not shrink as points are added, the jump is real: for a smooth function halving the distance
between points divides them by 8, at a jump of the slope by 2, at a jump of the value by 1. This is
done in a dense cell, where every atom has many neighbors, and in clusters that an atom leaves.

The end of the interaction in those clusters is found without a scale: beyond it, energies and
forces do not depend on the atom's place. What they are just before the end is the jump, however
small; how fast they vanish tells a jump of the curvature, which harms dynamics little and does not
fail the check. Jumps are held against the rms force of the structure, or its largest where larger.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np

from mdbench.analysis.audit_probe import Follower, Structure, shortest_distance, unit_vector
from mdbench.analysis.audit_slopes import WIDEST
from mdbench.analysis.audit_symmetry import Bench, Part
from mdbench.errors import InputError
from mdbench.potentials.base import FloatArray

#: The line through the dense cell: points, and the rms motion of an atom between them, Å.
_DENSE_POINTS, _DENSE_STEP = 40, 0.003
#: An atom leaves a cluster up to here, in such steps; the edge of its box, Å; most clusters.
_FARTHEST, _CLUSTER_STEP, _BOX, _MOST_PAIRS = 12.0, 0.1, 30.0, 15
#: How often a step is halved at most, and at how many places of a line.
_LEVELS, _PLACES = 26, 3
#: A step that keeps this share of a third difference from level to level, so often, shows a jump.
_KEPT, _TIMES = 0.8, 8
#: Halvings of the interval in which an interaction ends, and before the end, where its way to
#: vanish is looked at, Å.
_END_LEVELS, _BEFORE_END = 36, 0.02

#: Share of the tolerance at which one need not look closer.
_SURE = 0.2
#: A jump is this many times what values scatter beside it, at these distances and steps, Å.
_ABOVE_SCATTER, _BESIDE, _SCATTER_STEP = 4.0, (-0.05, -0.02, 0.02, 0.05), 1e-5

Line = Callable[[float], FloatArray]


@dataclass(frozen=True)
class Jump:
    """What does not get smaller as one looks closer.

    Attributes:
        size: In units of what was looked at.
        place: On the line.
        component: Of the values.
        unseen: Largest jump that may have been missed.
    """

    size: float
    place: float
    component: int
    unseen: float


@dataclass(frozen=True)
class End:
    """Where an interaction ends.

    Attributes:
        distance: Å.
        jump: Of energies or forces there, relative.
        in_forces: Whether it is the forces that jump most.
        power: Forces vanish as this power of the distance to the end; NaN below detection.
    """

    distance: float
    jump: float
    in_forces: bool
    power: float


def cutoff_smoothness(bench: Bench, rng: np.random.Generator) -> Iterator[Part]:
    """A dense cell on a line through its configurations; atoms that leave clusters."""
    tolerance = _tolerance(bench)
    yield _dense(bench, rng, tolerance)
    try:
        clusters = Clusters(bench)
        yield from clusters.parts(tolerance)
    except InputError:  # some calculators refuse atoms without neighbors
        return


def _tolerance(bench: Bench) -> float:
    """The tolerance, and noise that reaches it."""
    answer, noise = bench.of_small, bench.noise
    if not answer.force_scale > 0.0:
        return bench.tolerance
    by = max(noise.force / answer.force_scale, noise.energy / answer.energy_scale)
    return max(bench.tolerance, min(10.0 * by, WIDEST))


def _dense(bench: Bench, rng: np.random.Generator, tolerance: float) -> Part:
    small, answer = bench.small, bench.of_small
    direction = unit_vector(small, rng) * len(small) ** 0.5
    follower = bench.probe.follow(small)

    def values(s: float) -> FloatArray:
        found = follower.at(small.positions + s * direction)[0].values
        return (found - answer.values) / answer.scales

    points = _DENSE_STEP * np.arange(_DENSE_POINTS, dtype=np.float64)
    jump = largest_jump(values, points, np.array([values(s) for s in points]), tolerance)
    return Part(
        jump.size,
        tolerance,
        f"{_jumping(jump.component, jump.size)} on a line through configurations of {len(small)} "
        "atoms, however short the step",
        remark=f"jumps in a dense cell are seen from {max(jump.unseen, tolerance):.0e} on",
    )


def largest_jump(values: Line, points: FloatArray, known: FloatArray, tolerance: float) -> Jump:
    """The largest jump along a line, by refining where third differences are largest.

    Args:
        values: (n_values,) at a place of the line, over their scales.
        points: (n_points,) places at equal distances.
        known: (n_points, n_values) there.
        tolerance: Of values; what is smaller is not looked at.
    """
    sizes = np.array([_roughness(known[k : k + 5])[0] for k in range(len(points) - 4)])
    if not np.isfinite(sizes).all():
        return Jump(np.inf, float(points[int(np.argmax(sizes))]), 1, np.inf)
    best, left, hidden = Jump(0.0, float(points[0]), 0, 0.0), sizes.copy(), 0.0
    for _ in range(_PLACES):
        k = int(np.argmax(left))
        if left[k] <= tolerance:
            break
        left[max(0, k - 3) : k + 4] = 0.0
        found = _refined(values, points[k : k + 5], known[k : k + 5], tolerance)
        if found.size > tolerance and found.size < _ABOVE_SCATTER * _scatter(values, found.place):
            hidden = max(hidden, found.size)
        else:
            best = max(best, found, key=lambda jump: jump.size)
    return Jump(best.size, best.place, best.component, max(hidden, float(left.max())))


def _scatter(values: Line, place: float) -> float:
    """Largest third difference of points that are next to each other, beside a place."""
    steps = _SCATTER_STEP * np.arange(5)
    known = [np.array([values(place + d + h) for h in steps]) for d in _BESIDE]
    return max(_roughness(each)[0] for each in known)


def _refined(values: Line, points: FloatArray, known: FloatArray, tolerance: float) -> Jump:
    """Halves the distance of five points again and again, around the largest third difference."""
    size, component = _roughness(known)
    kept = 0
    for _ in range(_LEVELS):
        between = 0.5 * (points[1:] + points[:-1])
        fine, fine_known = np.empty(9), np.empty((9, known.shape[1]))
        fine[::2], fine[1::2] = points, between
        fine_known[::2], fine_known[1::2] = known, [values(s) for s in between]
        candidates = [_roughness(fine_known[k : k + 5]) for k in range(5)]
        k = max(range(5), key=lambda i: candidates[i][0])
        points, known = fine[k : k + 5], fine_known[k : k + 5]
        before, (size, component) = size, candidates[k]
        kept = kept + 1 if size > _KEPT * before else 0
        if size <= _SURE * tolerance or kept == _TIMES:
            break
    return Jump(size, float(points[2]), component, 0.0)


def _roughness(known: FloatArray) -> tuple[float, int]:
    """Largest third difference of five points over that of a unit step, and whose it is.

    Values that are larger than their scale are held against themselves.
    """
    third = known[3:] - 3.0 * known[2:-1] + 3.0 * known[1:-2] - known[:-3]
    magnitude = np.maximum(1.0, np.abs(known).max())
    rough = np.abs(third).max(axis=0) / (2.0 * magnitude)
    if not np.isfinite(rough).all():
        return np.inf, int(np.argmax(~np.isfinite(rough)))
    component = int(rough.argmax())
    return float(rough[component]), component


class Clusters:
    """Small clusters in a large box, one for each pair of elements, that an atom leaves.

    The atom starts at an anchor of the other element, behind which there are two more atoms, so
    that angles and several neighbors take part.
    """

    def __init__(self, bench: Bench) -> None:
        elements = np.unique(bench.material.numbers)
        pairs = list(combinations_with_replacement(elements.tolist(), 2))[:_MOST_PAIRS]
        self.pairs = pairs
        self._nearest = 0.9 * shortest_distance(bench.material)
        self._force = bench.of_material.force_scale
        spacing = 1.3 * self._nearest
        behind = spacing * np.array([[-0.5, 0.8, 0.1], [-0.6, -0.7, 0.4]])
        center = np.full(3, 0.5 * _BOX)
        self._still = np.concatenate([[np.zeros(3)], behind]) + center
        numbers = [
            np.array([i, elements[k % len(elements)], elements[(k + 1) % len(elements)], j])
            for k, (i, j) in enumerate(pairs)
        ]
        self._structures = [
            Structure(n, self._placed(_FARTHEST), _BOX * np.eye(3)) for n in numbers
        ]
        self._follower: Follower = bench.probe.follow(*self._structures)
        self._far = self._at(np.full(len(pairs), _FARTHEST))

    def parts(self, tolerance: float) -> Iterator[Part]:
        """Jumps on the way, and at the end of each interaction."""
        points = np.arange(self._nearest, _FARTHEST, _CLUSTER_STEP)
        known = np.array([self._scaled(self._at(np.full(len(self.pairs), r))) for r in points])
        jump = largest_jump(
            lambda r: self._scaled(self._at(np.full(len(self.pairs), r))).ravel(),
            points,
            known.reshape(len(points), -1),
            tolerance,
        )
        pair = self.pairs[jump.component // known.shape[2]]
        what = _jumping(jump.component % known.shape[2], jump.size)
        yield Part(
            jump.size, tolerance, f"{what} where {_names(pair)} are {jump.place:.3f} A apart"
        )
        for pair, end in zip(self.pairs, self._ends(points, known, tolerance), strict=True):
            if end is not None:
                yield _end_part(pair, end, tolerance)

    def _placed(self, distance: float) -> FloatArray:
        leaving = self._still[0] + np.array([distance, 0.0, 0.0])
        return np.concatenate([self._still, [leaving]])

    def _at(self, distances: FloatArray) -> FloatArray:
        """(n_pairs, 13) energies in eV and forces in eV/Å, the atom at (n_pairs,) Å."""
        answers = self._follower.at(*(self._placed(r) for r in distances))
        return np.array([answer.values for answer in answers])

    def _scaled(self, values: FloatArray) -> FloatArray:
        """Differences from what they are far away, over the scale of the material."""
        scale = self._force if self._force > 0.0 else 1.0
        difference = (values - self._far) / scale
        difference[:, 0] /= len(self._structures[0])
        return difference

    def _ends(self, points: FloatArray, known: FloatArray, tolerance: float) -> list[End | None]:
        """Where each interaction ends; None where it does not, or there is none.

        Args:
            points: (n_points,) distances, Å.
            known: (n_points, n_pairs, 13) as `_scaled` at them.
            tolerance: Of the check; an interaction below a tenth of it is none.
        """
        least = 0.1 * tolerance
        felt = np.abs(known).max(axis=2) > least  # (n_points, n_pairs)
        resolved = felt.any(axis=0) & ~felt[-1]
        last = len(points) - 1 - felt[::-1].argmax(axis=0)
        inner = np.where(resolved, points[last], points[0])
        outer = inner + _CLUSTER_STEP
        for _ in range(_END_LEVELS):
            middle = 0.5 * (inner + outer)
            inside = np.abs(self._scaled(self._at(middle))).max(axis=1) > least
            inner, outer = np.where(inside, middle, inner), np.where(inside, outer, middle)
        at_end = np.abs(self._scaled(self._at(inner)))
        before = np.array(
            [
                np.abs(self._scaled(self._at(inner - k * _BEFORE_END)))[:, 1:].max(axis=1)
                for k in (1, 2, 4)
            ]
        )
        return [
            End(
                distance=float(inner[p]),
                jump=float(at_end[p].max()),
                in_forces=bool(at_end[p].argmax()),
                power=_power(before[:, p], floor=1e3 * least),
            )
            if resolved[p]
            else None
            for p in range(len(self.pairs))
        ]


def _power(forces: FloatArray, *, floor: float) -> float:
    """The exponent n of forces that vanish as δⁿ, from those at δ, 2 δ and 4 δ.

    The larger of two: at one distance parts with other exponents may cancel, and seem to be less.
    """
    return float(np.diff(np.log2(forces)).max()) if forces.min() > floor else np.nan


def _end_part(pair: tuple[int, int], end: End, tolerance: float) -> Part:
    where = f"where {_names(pair)} are {end.distance:.4f} A apart"
    linear = end.jump <= tolerance and 0.5 < end.power < 1.5
    return Part(
        end.jump,
        tolerance,
        f"{_jumping(end.in_forces, end.jump)} {where}",
        remark=f"the curvature of the energy jumps, forces do not, {where}" if linear else "",
    )


def _jumping(in_forces: int, size: float) -> str:
    if not np.isfinite(size):
        return "energies or forces are not numbers"
    if in_forces:
        return f"forces jump by {size:.1e} of the rms force"
    return f"the energy jumps by {size:.1e} of its scale"


def _names(pair: tuple[int, int]) -> str:
    from ase.data import chemical_symbols

    return " and ".join(chemical_symbols[z] for z in pair)
