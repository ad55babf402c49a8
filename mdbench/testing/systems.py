"""Small periodic systems for checks of models, and what models say about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from mdbench.graph import AtomGraph, build_graph
from mdbench.models.base import EnergyModel
from mdbench.potentials.base import FloatArray, IntArray

SPECIES = np.array([3, 8, 15, 16, 17, 32])
NAMES = ("energies", "forces", "virials")

#: Energies (n_systems,) eV, forces (n_atoms, 3) eV/Å and virials (n_systems, 3, 3) eV.
Answers = tuple[FloatArray, FloatArray, FloatArray]


@dataclass(frozen=True)
class System:
    """Atoms in a periodic cell.

    Attributes:
        numbers: (n_atoms,) atomic numbers.
        positions: (n_atoms, 3) Å.
        cell: (3, 3) Å, row vectors.
    """

    numbers: IntArray
    positions: FloatArray
    cell: FloatArray


def random_system(
    seed: int, shape: tuple[int, int, int] = (2, 2, 2), spacing: float = 3.0
) -> System:
    """Jittered grid points of a random triclinic cell: no two atoms meet.

    Args:
        seed: Of places, elements and cell.
        shape: Atoms along each lattice vector.
        spacing: Between them, Å.
    """
    rng = np.random.default_rng(seed)
    grid = np.array(list(np.ndindex(shape))) + rng.uniform(-0.15, 0.15, (int(np.prod(shape)), 3))
    cell = spacing * np.diag(shape) @ (np.eye(3) + rng.uniform(-0.15, 0.15, (3, 3)))
    return System(rng.choice(SPECIES, len(grid)), grid / shape @ cell, cell)


def narrow_system(seed: int) -> System:
    """Two atoms in a triclinic cell that is narrower than any cutoff."""
    return random_system(seed, (1, 1, 2), 3.0)


def cluster(*places: ArrayLike, numbers: Sequence[int] = (3, 16, 8)) -> System:
    """Atoms at places (3,) Å in a cell in which they see nothing of their images."""
    cell = 40.0 * np.eye(3)
    return System(np.array(numbers[: len(places)]), np.array(places, dtype=float), cell)


def simple_cubic(n: int = 1) -> System:
    """Sulfur in a cube of n³ cells, where each atom has shells of neighbors at equal distances."""
    places = 3.0 * np.array(list(np.ndindex(n, n, n)), dtype=float)
    return System(np.full(len(places), 16), places, 3.0 * n * np.eye(3))


def supercell(system: System, repeats: tuple[int, int, int]) -> System:
    """The system repeated along its lattice vectors, image by image."""
    shifts = np.array(list(np.ndindex(repeats)))
    return System(
        np.tile(system.numbers, len(shifts)),
        (system.positions + (shifts @ system.cell)[:, None]).reshape(-1, 3),
        np.diag(repeats) @ system.cell,
    )


def turned(system: System, matrix: FloatArray) -> System:
    """The system with every vector v as matrix @ v."""
    return System(system.numbers, system.positions @ matrix.T, system.cell @ matrix.T)


def graph(model: EnergyModel, *systems: System) -> AtomGraph:
    """What the model takes, of one or more systems."""
    numbers = np.concatenate([s.numbers for s in systems])
    require(
        int(numbers.max()) < model.n_elements,
        f"atomic numbers end at {model.n_elements - 1}, checks need some up to {numbers.max()}",
    )
    return build_graph(
        numbers,
        np.concatenate([s.positions for s in systems]),
        np.array([s.cell for s in systems]),
        model.cutoff,
        first_atom=np.cumsum([0, *(len(s.numbers) for s in systems)]),
        max_neighbors=model.max_neighbors,
        dtype=model.dtype,
    )


def predict(model: EnergyModel, *systems: System) -> Answers:
    """What the model says; zeros for the virials that direct forces lack."""
    energies, forces, virials = (
        part.double().numpy() for part in model.predict(graph(model, *systems))
    )
    if not model.conservative:
        require(bool(np.isnan(virials).all()), "there are virials beside direct forces")
        virials = np.zeros_like(virials)
    return energies, forces, virials


def force_scale(model: EnergyModel, forces: FloatArray, virials: FloatArray) -> float:
    """What forces that vanish by symmetry are held against: without virials, those of another."""
    scale = float(max(np.abs(forces).max(), np.abs(virials).max()))
    if model.conservative:
        return scale
    return max(scale, float(np.abs(predict(model, random_system(0))[1]).max()))


def accuracy(model: EnergyModel) -> float:
    """Relative error of results that the model's precision explains."""
    return 1e-4 if model.dtype == torch.float32 else 1e-8


def angular_accuracy(model: EnergyModel) -> float:
    """Claimed relative error of results in another orientation."""
    return max(accuracy(model), model.tolerances.get("rotation", 0.0))


def require(holds: bool, sentence: str) -> None:
    """Raises AssertionError with the sentence where something does not hold."""
    if not holds:
        raise AssertionError(sentence)


def assert_near(
    found: Any, expected: Any, rtol: float, scale: float | None = None, *, what: str = "results"
) -> None:
    """Requires every element within rtol of the largest one, or of a scale.

    Args:
        found: Of any shape.
        expected: Of the same.
        rtol: Relative to the scale.
        scale: By default the largest element: some vanish by symmetry.
        what: In the plural, for the sentence where it does not hold.
    """
    one, other = np.asarray(found), np.asarray(expected)
    require(one.shape == other.shape, f"{what} have the shape {one.shape}, not {other.shape}")
    finite = np.isfinite(one).all() and np.isfinite(other).all()
    require(bool(finite), f"{what} are not finite")
    size = float(np.abs(other).max(initial=0.0)) if scale is None else scale
    difference = float(np.abs(one - other).max(initial=0.0))
    require(
        difference <= rtol * size,
        f"{what} differ by {difference:.3g} where {rtol:.1g} of {size:.3g} is allowed",
    )


def assert_same(model: EnergyModel, found: Answers, expected: Answers, when: str) -> None:
    """Requires answers that agree as well as the model's precision allows.

    Args:
        model: Whose they are.
        found: As `predict` gives them.
        expected: Likewise.
        when: As "when all atoms move together".
    """
    for name, one, other in zip(NAMES, found, expected, strict=True):
        assert_near(one, other, accuracy(model), what=f"{name} {when}")


def assert_identical(found: Sequence[Any], expected: Sequence[Any], when: str) -> None:
    """Requires tensors that agree bit for bit, NaN included."""
    for name, one, other in zip(NAMES, found, expected, strict=True):
        same = torch.equal(one.isnan(), other.isnan()) and torch.equal(
            one.nan_to_num(), other.nan_to_num()
        )
        require(same, f"{name} are not the same bit for bit {when}")
