"""What the audit asks of a force field: energies, forces and virials of structures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mdbench.potentials.base import (
    FloatArray,
    ForceField,
    IntArray,
    Systems,
    beside,
    on_host,
)

#: Atoms of a structure that is made up, and the fewest of one that is given.
_FEW_ATOMS, _FEWEST_ATOMS = 10, 8
#: Displacements that lift the symmetry of a crystal, Å.
_NOISE = 0.1
#: Points, and the distance between them in Å, by which noise is told from slopes and curvatures:
#: sixth differences of smooth functions are below rounding there.
_NOISE_POINTS, _NOISE_STEP = 10, 1e-4
_SIXTH = np.array([1.0, -6.0, 15.0, -20.0, 15.0, -6.0, 1.0])


@dataclass(frozen=True)
class Structure:
    """Atoms in a periodic cell.

    Attributes:
        numbers: (n_atoms,) atomic numbers.
        positions: (n_atoms, 3) Å.
        cell: (3, 3) Å, row vectors.
    """

    numbers: IntArray
    positions: FloatArray
    cell: FloatArray

    def __len__(self) -> int:
        return len(self.numbers)

    def moved(self, positions: FloatArray) -> Structure:
        """The same atoms at other positions, (n_atoms, 3) Å."""
        return Structure(self.numbers, positions, self.cell)

    def transformed(self, matrix: FloatArray) -> Structure:
        """Every vector v as v @ matrix; cells stay right-handed by turning all lattice vectors."""
        sign = np.sign(np.linalg.det(matrix))
        return Structure(self.numbers, self.positions @ matrix, sign * self.cell @ matrix)

    def repeated(self, axis: int) -> Structure:
        """Twice the structure along a lattice vector: all atoms, then all atoms of the copy."""
        cell = self.cell.copy()
        cell[axis] *= 2.0
        positions = np.concatenate([self.positions, self.positions + self.cell[axis]])
        return Structure(np.tile(self.numbers, 2), positions, cell)


@dataclass(frozen=True)
class Answer:
    """What a force field says of a structure.

    Attributes:
        energy: eV.
        forces: (n_atoms, 3) eV/Å.
        virial: (3, 3) eV; NaN where the force field has none.
    """

    energy: float
    forces: FloatArray
    virial: FloatArray

    @property
    def force_scale(self) -> float:
        """Root mean square of the components of the forces, eV/Å."""
        return float(np.sqrt(np.mean(self.forces**2)))

    @property
    def energy_scale(self) -> float:
        """What energies and virials are held against, eV.

        The energy, or the rms force times 1 Å of every atom, whichever is larger.
        """
        return max(abs(self.energy), len(self.forces) * self.force_scale)

    @property
    def values(self) -> FloatArray:
        """(1 + 3 n_atoms,) energy in eV, then forces in eV/Å."""
        return np.concatenate([[self.energy], self.forces.ravel()])

    @property
    def scales(self) -> FloatArray:
        """(1 + 3 n_atoms,) what `values` are held against."""
        forces = np.full(self.forces.size, self.force_scale)
        return np.concatenate([[self.energy_scale], forces])


class Probe:
    """Asks a force field, and counts.

    Attributes:
        n_calls: Calls of evaluators.
        n_structures: Structures that were computed.
        n_atoms: Their atoms, added up.
    """

    def __init__(self, force_field: ForceField) -> None:
        self.force_field = force_field
        self.n_calls = 0
        self.n_structures = 0
        self.n_atoms = 0

    def ask(self, *structures: Structure) -> list[Answer]:
        """What a new evaluator says of structures that are computed as one batch."""
        return self.follow(*structures).at(*(s.positions for s in structures))

    def follow(self, *structures: Structure) -> Follower:
        """An evaluator that is asked several times, as in dynamics."""
        return Follower(self, structures)


class Follower:
    """One evaluator of a batch of structures, at positions that change."""

    def __init__(self, probe: Probe, structures: Sequence[Structure]) -> None:
        self._probe, self._structures = probe, structures
        self._first = np.cumsum([0, *map(len, structures)])
        self._evaluator: Any = probe.force_field.evaluator(
            Systems(
                atomic_numbers=np.concatenate([s.numbers for s in structures]),
                cells=np.stack([s.cell for s in structures]),
                first_atom=self._first,
            )
        )

    def at(self, *positions: FloatArray) -> list[Answer]:
        """What it says of each structure with its atoms at other positions, (n_atoms, 3) Å."""
        self._probe.n_calls += 1
        self._probe.n_structures += len(positions)
        self._probe.n_atoms += int(self._first[-1])
        active = beside(self._evaluator, np.ones(len(positions), dtype=np.bool_))
        self._evaluator.evaluate(beside(self._evaluator, np.concatenate(positions)), active)
        energies, forces, virials = (
            on_host(getattr(self._evaluator, name)) for name in ("energies", "forces", "virials")
        )
        return [
            Answer(float(energies[s]), forces[begin:end], virials[s])
            for s, (begin, end) in enumerate(zip(self._first[:-1], self._first[1:], strict=True))
        ]


@dataclass(frozen=True)
class Deviation:
    """By how much answers differ, relatively.

    Attributes:
        size: Largest difference over its scale.
        quantity: What differs most: energy, forces or virial.
    """

    size: float
    quantity: str


def deviation(found: Answer, expected: Answer, scale: Answer | None = None) -> Deviation:
    """How far an answer is from the expected one, in the scales of the latter or of another."""
    scale = scale or expected
    differences: dict[str, tuple[float | FloatArray, float]] = {
        "energy": (found.energy - expected.energy, scale.energy_scale),
        "forces": (found.forces - expected.forces, scale.force_scale),
    }
    if not np.isnan(expected.virial).all():
        differences["virial"] = (found.virial - expected.virial, scale.energy_scale)
    sizes = {name: relative(*difference) for name, difference in differences.items()}
    worst = max(sizes, key=lambda name: sizes[name])
    return Deviation(sizes[worst], worst)


def relative(difference: float | FloatArray, scale: float) -> float:
    """Largest difference over a scale; infinite where it is not a number."""
    largest = float(np.abs(difference).max())
    if largest == 0.0:
        return 0.0
    size = largest / scale if scale > 0.0 else np.inf
    return size if np.isfinite(size) else np.inf


@dataclass(frozen=True)
class Noise:
    """How energies and forces scatter about a smooth line.

    Attributes:
        energy: Standard deviation, eV.
        force: The same of components of forces, eV/Å.
    """

    energy: float
    force: float


def noise_of(probe: Probe, structure: Structure, rng: np.random.Generator) -> Noise:
    """Scatter of energies and forces, by sixth differences along a short line."""
    follower, direction = probe.follow(structure), unit_vector(structure, rng)
    values = np.array(
        [
            follower.at(structure.positions + k * _NOISE_STEP * direction)[0].values
            for k in range(_NOISE_POINTS)
        ]
    )
    n = len(values) - len(_SIXTH) + 1
    sixth = np.array([_SIXTH @ values[k : k + len(_SIXTH)] for k in range(n)])
    sixth /= np.linalg.norm(_SIXTH)
    return Noise(
        energy=float(np.sqrt(np.mean(sixth[:, 0] ** 2))),
        force=float(np.sqrt(np.mean(sixth[:, 1:] ** 2))),
    )


def is_single(force_field: ForceField, answer: Answer, noise: Noise) -> bool:
    """Whether a force field computes in less than double precision.

    By its `dtype` where it has one; else where all forces are single-precision numbers, or noise is
    far above the rounding of double precision.
    """
    dtype = str(getattr(force_field, "dtype", ""))
    if dtype:
        return "64" not in dtype
    narrow = bool((answer.forces == answer.forces.astype(np.float32)).all())
    if narrow and answer.force_scale > 0.0:
        return True
    return noise.energy > 1e-10 * answer.energy_scale or noise.force > 1e-9 * answer.force_scale


def unit_vector(structure: Structure, rng: np.random.Generator) -> FloatArray:
    """(n_atoms, 3) a random direction of all atoms, of length 1 and without a common part."""
    direction = rng.normal(size=structure.positions.shape)
    direction -= direction.mean(axis=0)
    return np.asarray(direction / np.linalg.norm(direction))


def rotation(rng: np.random.Generator) -> FloatArray:
    """(3, 3) a proper rotation, evenly distributed."""
    orthogonal, triangle = np.linalg.qr(rng.normal(size=(3, 3)))
    matrix = orthogonal * np.sign(np.diag(triangle))
    return np.asarray(matrix * np.sign(np.linalg.det(matrix)))


def audited(structure: Structure, rng: np.random.Generator) -> Structure:
    """A structure without symmetry: doubled until it has some atoms, displaced at random."""
    while len(structure) < _FEWEST_ATOMS:
        structure = structure.repeated(int(np.linalg.norm(structure.cell, axis=1).argmin()))
    noise = rng.normal(scale=_NOISE, size=structure.positions.shape)
    return structure.moved(structure.positions + noise)


def small_structure(like: Structure, rng: np.random.Generator) -> Structure:
    """A few atoms in a triclinic cell, of the elements and at the density of a material.

    They are pushed apart until no two are much nearer than in the material.
    """
    elements, counts = np.unique(like.numbers, return_counts=True)
    n_atoms = max(_FEW_ATOMS, len(elements))
    shares = counts / counts.sum() * (n_atoms - len(elements))
    numbers = np.repeat(elements, 1 + shares.astype(int))
    rest = np.argsort(-(shares % 1.0), kind="stable")[: n_atoms - len(numbers)]
    numbers = rng.permutation(np.concatenate([numbers, elements[rest]]))
    per_atom = abs(float(np.linalg.det(like.cell))) / len(like)
    shape = np.eye(3) + rng.uniform(-0.25, 0.25, size=(3, 3))
    cell = shape * (per_atom * n_atoms / np.linalg.det(shape)) ** (1.0 / 3.0)
    wanted = min(0.95 * shortest_distance(like), 0.9 * per_atom ** (1.0 / 3.0))
    return Structure(numbers, _pushed_apart(rng.random((n_atoms, 3)) @ cell, cell, wanted), cell)


def shortest_distance(structure: Structure) -> float:
    """Distance of the nearest two atoms, periodic images included, Å."""
    vectors = _image_vectors(structure.positions, structure.cell)  # (27, A, A, 3)
    distances = np.linalg.norm(vectors, axis=-1)
    return float(distances[distances > 0.0].min())


def _pushed_apart(positions: FloatArray, cell: FloatArray, wanted: float) -> FloatArray:
    """(n_atoms, 3) Å where pairs nearer than wanted (Å) were pushed apart, again and again."""
    for _ in range(500):
        vectors = _image_vectors(positions, cell)
        distances = np.linalg.norm(vectors, axis=-1, keepdims=True)
        near = (distances < wanted) & (distances > 0.0)
        if not near.any():
            break
        push = np.where(near, (wanted * 1.02 - distances) / np.maximum(distances, 1e-6), 0.0)
        positions = positions - 0.5 * (push * vectors).sum(axis=(0, 2))
    return positions


def _image_vectors(positions: FloatArray, cell: FloatArray) -> FloatArray:
    """(27, n_atoms, n_atoms, 3) Å from atom to atom, in the neighboring cells as well."""
    inverse = np.linalg.inv(cell)
    scaled = positions @ inverse
    difference = scaled[None] - scaled[:, None]
    difference -= np.rint(difference)
    images = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3, indexing="ij"), axis=-1).reshape(-1, 1, 1, 3)
    return np.asarray((difference + images) @ cell)
