"""What must not change the answers of a force field: checks of the audit that need no derivative.

Each compares answers that must be equal after a transformation. Differences of forces are held
against the rms force, differences of energies and virials against `Answer.energy_scale`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mdbench.analysis.audit_probe import (
    Answer,
    Deviation,
    Noise,
    Probe,
    Structure,
    deviation,
    rotation,
    small_structure,
)
from mdbench.potentials.base import FloatArray

#: Distances by which all atoms are moved together, Å.
_SHIFT = 20.0
#: How far atoms are from where they will be asked for, Å.
_ELSEWHERE = 1.0
#: How many cells atoms are moved by, one run of the check after the other.
_CELLS_AWAY = (1, 3)


@dataclass(frozen=True)
class Bench:
    """What checks work on.

    Attributes:
        probe: Asks the force field.
        material: The structure that it is for, displaced at random.
        small: A few of its elements' atoms in a triclinic cell.
        of_material: What the force field says of `material`, alone in a new evaluator.
        of_small: The same of `small`.
        noise: Scatter of its energies and forces, on `small`.
        tolerance: Of relative deviations.
        single: Whether it computes in less than double precision.
    """

    probe: Probe
    material: Structure
    small: Structure
    of_material: Answer
    of_small: Answer
    noise: Noise
    tolerance: float
    single: bool


@dataclass(frozen=True)
class Part:
    """One comparison of a check.

    Attributes:
        deviation: Relative.
        tolerance: That it is held against.
        detail: What is wrong where it fails, as a sentence.
        remark: What should be known also where it passes.
    """

    deviation: float
    tolerance: float
    detail: str
    remark: str = ""

    @property
    def excess(self) -> float:
        """Deviation in tolerances."""
        return self.deviation / self.tolerance if self.tolerance > 0.0 else np.inf


def translation(bench: Bench, rng: np.random.Generator) -> Iterator[Part]:
    """All atoms moved by one vector."""
    for _ in range(2):
        shift = rng.uniform(-_SHIFT, _SHIFT, size=3)
        moved = bench.material.moved(bench.material.positions + shift)
        (found,) = bench.probe.ask(moved)
        length = float(np.linalg.norm(shift))
        yield _part(bench, found, bench.of_material, f"when all atoms move by {length:.0f} A")


def rotations(bench: Bench, rng: np.random.Generator) -> Iterator[Part]:
    """Positions and lattice vectors rotated; forces and virial rotate along."""
    for _ in range(2):
        yield _transformed(bench, rotation(rng), "when the cell with its atoms is rotated")


def reflection(bench: Bench, rng: np.random.Generator) -> Iterator[Part]:
    """Inversion, and a mirror; forces and virial follow."""
    yield _transformed(bench, -np.eye(3), "when the crystal is inverted")
    normal = rotation(rng)[0]
    mirror = np.eye(3) - 2.0 * np.outer(normal, normal)
    yield _transformed(bench, mirror, "when the crystal is mirrored")


def permutation(bench: Bench, rng: np.random.Generator) -> Iterator[Part]:
    """Atoms in another order."""
    n_atoms = len(bench.material)
    for order in (np.arange(n_atoms)[::-1], rng.permutation(n_atoms)):
        material = bench.material
        shuffled = Structure(material.numbers[order], material.positions[order], material.cell)
        (found,) = bench.probe.ask(shuffled)
        forces = np.empty_like(found.forces)
        forces[order] = found.forces
        restored = Answer(found.energy, forces, found.virial)
        yield _part(bench, restored, bench.of_material, "when atoms change their order")


def periodic_wrap(bench: Bench, rng: np.random.Generator) -> Iterator[Part]:
    """Atoms moved by whole lattice vectors, each by others; and all atoms inside the cell."""
    material = bench.material
    scaled = material.positions @ np.linalg.inv(material.cell)
    inside = (scaled - np.floor(scaled)) @ material.cell
    (found,) = bench.probe.ask(material.moved(inside))
    yield _part(bench, found, bench.of_material, "when atoms are wrapped into the cell")
    for cells in _CELLS_AWAY:
        away = rng.integers(-cells, cells + 1, size=material.positions.shape) @ material.cell
        (found,) = bench.probe.ask(material.moved(material.positions + away))
        yield _part(bench, found, bench.of_material, f"when atoms stand up to {cells} cell(s) away")


def extensivity(bench: Bench, rng: np.random.Generator) -> Iterator[Part]:
    """A cell doubled along each axis: energy and virial double, forces of every copy stay.

    The cell is the small one, in which an atom is within reach of its own images.
    """
    small, one = bench.small, bench.of_small
    doubled = Answer(2.0 * one.energy, np.tile(one.forces, (2, 1)), 2.0 * one.virial)
    for axis in range(3):
        (found,) = bench.probe.ask(small.repeated(axis))
        ratio = _ratio(found.forces, doubled.forces)
        yield _part(
            bench,
            found,
            doubled,
            f"when the cell is doubled along axis {axis + 1} (forces {ratio:.3g} times as large)",
        )


def determinism(bench: Bench, rng: np.random.Generator) -> Iterator[Part]:
    """The same question again: at once, to a new evaluator, and to one that saw others before."""
    material, positions = bench.material, bench.material.positions
    follower = bench.probe.follow(material)
    (first,) = follower.at(positions)
    yield _part(bench, first, bench.of_material, "when a new evaluator is asked the same")
    (again,) = follower.at(positions)
    yield _part(bench, again, first, "when the same is asked twice")
    other = bench.probe.follow(material)
    other.at(positions + rng.normal(scale=_ELSEWHERE, size=positions.shape))
    (later,) = other.at(positions)
    yield _part(bench, later, first, "when other positions were asked for before")


def batch_independence(bench: Bench, rng: np.random.Generator) -> Iterator[Part]:
    """Structures computed together, with partners of another composition, against each alone."""
    partner = small_structure(bench.material, rng)
    partner = Structure(
        rng.choice(bench.small.numbers, len(partner)), partner.positions, partner.cell
    )
    (alone,) = bench.probe.ask(partner)
    batches = (
        ((bench.material, bench.of_material), (partner, alone)),
        ((bench.small, bench.of_small), (bench.material, bench.of_material)),
    )
    for batch in batches:
        found = bench.probe.ask(*(structure for structure, _ in batch))
        for answer, (structure, expected) in zip(found, batch, strict=True):
            n_atoms = len(structure)
            yield _part(
                bench, answer, expected, f"when {n_atoms} atoms are computed beside another cell"
            )


def _transformed(bench: Bench, matrix: FloatArray, when: str) -> Part:
    """Vectors v of the material become v @ matrix: so must the answers."""
    (found,) = bench.probe.ask(bench.material.transformed(matrix))
    known = bench.of_material
    expected = Answer(known.energy, known.forces @ matrix, matrix.T @ known.virial @ matrix)
    return _part(bench, found, expected, when)


def _part(bench: Bench, found: Answer, expected: Answer, when: str) -> Part:
    size = deviation(found, expected)
    return Part(size.size, bench.tolerance, f"{changed(size)} {when}")


def changed(by: Deviation) -> str:
    """A deviation in words."""
    if not np.isfinite(by.size):
        return f"{by.quantity}: not a number"
    if by.quantity == "forces":
        return f"forces change by {by.size:.1e} of the rms force"
    return f"the {by.quantity} changes by {by.size:.1e} of its scale"


def _ratio(found: FloatArray, expected: FloatArray) -> float:
    """By which factor forces are larger, by least squares; NaN without forces."""
    norm = float((expected**2).sum())
    return float((found * expected).sum()) / norm if norm > 0.0 else np.nan
