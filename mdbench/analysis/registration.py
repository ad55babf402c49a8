"""Where one run's framework stands in another's cell.

Runs of one material may be wrapped differently or start elsewhere, and their cells differ in size:
fractional coordinates are compared, and a translation is looked for. A crystal that is turned, or
another supercell, is not recognized.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import overload

import numpy as np
from ase.geometry import minkowski_reduce
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from mdbench.analysis.motion import IonMotion
from mdbench.analysis.msd import FloatArray
from mdbench.errors import InputError
from mdbench.trajectory import reduced_formula

IntArray = NDArray[np.int64]

#: Å, farthest that an atom may be from its partner.
_FAR = 1.0
#: Least share of atoms that have a partner.
_LEAST_MATCHED = 0.5
#: Most atoms by which translations are tried.
_MOST_TRIED = 100
#: A longer translation is better than a shorter one where its rms distance is below this share.
_BETTER = 0.8
#: Rounds in which a translation settles.
_ROUNDS = 5
_AROUND = np.array(list(product((0, -1, 1), repeat=3)), dtype=np.float64)


@dataclass(frozen=True)
class Framework:
    """The atoms that stay, at their mean positions.

    Attributes:
        atomic_numbers: (n,).
        positions: (n, 3) Å, mean over frames after the mean displacement of these atoms from the
            first frame was taken off, as in `IonMotion`.
        cell: (3, 3) Å, row vectors.
    """

    atomic_numbers: IntArray
    positions: FloatArray
    cell: FloatArray

    @property
    def scaled(self) -> FloatArray:
        """(n, 3) fractional coordinates."""
        return np.asarray(self.positions @ np.linalg.inv(self.cell))


@dataclass(frozen=True)
class Registration:
    """How fractional coordinates of one run become those of another.

    Attributes:
        offset: (3,) fractional; added to coordinates of the first run.
        rms: Å, root mean square distance of the atoms from their partners, in the cell of the
            second run.
        matched: Share of the atoms that are within 1 Å of their partner.
    """

    offset: FloatArray
    rms: float
    matched: float


def registration(framework: Framework, reference: Framework) -> Registration:
    """The translation that puts a framework onto a reference's.

    Where both list the same elements in the same order, atoms are partners by their order, unless
    half of them are farther than 1 Å from their partners then. Else the partner of an atom is the
    nearest one of its element; translations are tried that take one atom of the rarest element onto
    each of them there. Of several that fit alike, as those of a crystal do, the shortest is taken.

    Args:
        framework: Of the run that is put onto the other.
        reference: Of the other.

    Raises:
        InputError: They are no frameworks of one material.
    """
    own, other = framework.atomic_numbers, reference.atomic_numbers
    if not np.array_equal(np.sort(own), np.sort(other)):
        raise InputError(
            "another framework than the reference's",
            expected=_named(other),
            found=_named(own),
            remedy="compare runs of one material in one supercell",
        )
    by_order = None
    if np.array_equal(own, other):
        by_order = _by_order(framework, reference)
        if by_order.matched >= _LEAST_MATCHED:
            return by_order
    found = _by_element(framework, reference)
    if found.matched >= _LEAST_MATCHED:
        return found
    if by_order is not None:
        return by_order  # the same atoms, whatever became of them
    raise InputError(
        "the framework does not fit the reference's",
        expected=f"{_LEAST_MATCHED:.0%} of its atoms within {_FAR:g} A of atoms there",
        found=f"{found.matched:.0%}",
        remedy="compare runs that start from one structure, not turned",
    )


def scaled_paths(motion: IonMotion, offset: ArrayLike = (0.0, 0.0, 0.0)) -> Sequence[FloatArray]:
    """n_ions arrays (3, n_frames), fractional, unwrapped: made as they are asked for.

    Args:
        motion: Of the ions of one run.
        offset: (3,) fractional, of `registration`.
    """
    return _ScaledPaths(motion, np.asarray(offset, dtype=np.float64))


class _ScaledPaths(Sequence[FloatArray]):
    def __init__(self, motion: IonMotion, offset: FloatArray) -> None:
        self._motion = motion
        self._inverse = np.linalg.inv(motion.cell)
        self._begin = motion.origin @ self._inverse + offset

    def __len__(self) -> int:
        return self._motion.n_ions

    @overload
    def __getitem__(self, row: int) -> FloatArray: ...
    @overload
    def __getitem__(self, row: slice) -> list[FloatArray]: ...
    def __getitem__(self, row: int | slice) -> FloatArray | list[FloatArray]:
        if isinstance(row, slice):
            return [self[i] for i in range(*row.indices(len(self)))]
        if not 0 <= row < len(self):
            raise IndexError(row)
        moved = self._inverse.T @ self._motion.displacements[row]
        return np.asarray(moved + self._begin[row, :, None])


class _Places:
    """The atoms of a framework and their periodic images."""

    def __init__(self, framework: Framework) -> None:
        self._cell = framework.cell
        self._reduced, self._transform = minkowski_reduce(framework.cell)
        self._scaled, self._numbers = framework.scaled, framework.atomic_numbers
        self._trees: dict[int, tuple[cKDTree, FloatArray]] = {}

    def nearest_images(self, apart: FloatArray) -> FloatArray:
        """(n, 3) Å, the shortest vectors among the images of (n, 3) fractional ones."""
        local = apart @ np.linalg.inv(self._transform)
        local -= np.rint(local)
        # in a reduced cell the shortest image is in the cells next to it
        vectors = (local[:, None] + _AROUND) @ self._reduced  # (n, 27, 3)
        nearest = np.einsum("nki,nki->nk", vectors, vectors).argmin(axis=1)
        return np.asarray(vectors[np.arange(len(apart)), nearest])

    def to_nearest(self, scaled: FloatArray, numbers: IntArray) -> FloatArray:
        """(n, 3) Å, from points to the nearest atom of an element each."""
        vectors = np.empty((len(scaled), 3))
        for number in np.unique(numbers):
            rows = numbers == number
            tree, images = self._images_of(int(number))
            points = scaled[rows] @ np.linalg.inv(self._transform)
            points = (points - np.floor(points)) @ self._reduced
            vectors[rows] = images[tree.query(points)[1]] - points
        return vectors

    def _images_of(self, number: int) -> tuple[cKDTree, FloatArray]:
        if number not in self._trees:
            scaled = self._scaled[self._numbers == number] @ np.linalg.inv(self._transform)
            images = (scaled - np.floor(scaled) + _AROUND[:, None]).reshape(-1, 3) @ self._reduced
            self._trees[number] = cKDTree(images), images
        return self._trees[number]


def _by_order(framework: Framework, reference: Framework) -> Registration:
    """Partners by their order."""
    apart = reference.scaled - framework.scaled
    # the mean of numbers that are known up to whole ones
    offset = np.angle(np.exp(2j * np.pi * apart).mean(axis=0)) / (2.0 * np.pi)
    places = _Places(reference)
    return _settled(offset, reference, lambda tried: places.nearest_images(apart - tried))


def _by_element(framework: Framework, reference: Framework) -> Registration:
    """Partners are the nearest of an element."""
    own, numbers = framework.scaled, framework.atomic_numbers
    some = np.unique(np.linspace(0, len(own) - 1, _MOST_TRIED).round().astype(np.int64))
    places = _Places(reference)

    def settled(offset: FloatArray, rows: IntArray) -> Registration:
        return _settled(
            offset, reference, lambda tried: places.to_nearest(own[rows] + tried, numbers[rows])
        )

    kinds, counts = np.unique(numbers, return_counts=True)
    rarest = kinds[counts.argmin()]
    ways = reference.scaled[reference.atomic_numbers == rarest] - own[numbers == rarest][0]
    ways -= np.rint(ways)
    ways = ways[np.linalg.norm(ways @ reference.cell, axis=1).argsort(kind="stable")]
    best = settled(np.zeros(3), some)
    for way in ways:
        found = settled(way, some)
        if found.matched > best.matched or found.rms < _BETTER * best.rms:
            best = found
    return settled(best.offset, np.arange(len(own)))


def _settled(
    offset: FloatArray, reference: Framework, to_partners: Callable[[FloatArray], FloatArray]
) -> Registration:
    """The translation near a first one that brings most atoms onto their partners.

    Args:
        offset: (3,) fractional, the first one.
        reference: In whose cell distances are measured.
        to_partners: Of a translation (n, 3) Å, from each atom to its partner.
    """
    inverse = np.linalg.inv(reference.cell)
    for _ in range(_ROUNDS):
        vectors = to_partners(offset)
        near = np.linalg.norm(vectors, axis=1) < _FAR
        offset = offset + vectors[near if near.any() else ~near].mean(axis=0) @ inverse
    distances = np.linalg.norm(to_partners(offset), axis=1)
    return Registration(
        offset=offset - np.rint(offset),
        rms=float(np.sqrt((distances**2).mean())),
        matched=float((distances < _FAR).mean()),
    )


def _named(numbers: IntArray) -> str:
    return f"{len(numbers)} atoms, {reduced_formula(numbers)}"
