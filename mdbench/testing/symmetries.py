"""What must not change the answers of a model: checks that compare two systems."""

from __future__ import annotations

import numpy as np

from mdbench.models.base import EnergyModel
from mdbench.potentials.base import FloatArray
from mdbench.testing.systems import (
    NAMES,
    System,
    accuracy,
    angular_accuracy,
    assert_near,
    assert_same,
    force_scale,
    narrow_system,
    predict,
    random_system,
    simple_cubic,
    supercell,
    turned,
)

_MOVE = np.array([31.7, -0.4, 5.9])


def translation(model: EnergyModel) -> None:
    """Answers stay when all atoms move together."""
    for system in (random_system(3), narrow_system(4)):
        moved = System(system.numbers, system.positions + _MOVE, system.cell)
        found, expected = predict(model, moved), predict(model, system)
        assert_same(model, found, expected, "when all atoms move together")


def proper_rotation(model: EnergyModel) -> None:
    """Forces and virials turn with a system, of models that claim E(3) or SE(3)."""
    if model.symmetry in ("E(3)", "SE(3)"):
        _check_orthogonal(model, _orthogonal(5, proper=True), "when the system is rotated")


def reflection(model: EnergyModel) -> None:
    """Mirror images have mirrored forces, of models that claim E(3)."""
    if model.symmetry == "E(3)":
        _check_orthogonal(model, _orthogonal(6, proper=False), "in the mirror")


def permutation(model: EnergyModel) -> None:
    """Answers do not depend on the order of atoms, also where neighbors are equally far."""
    when = "when atoms change their order"
    for system in (random_system(7), simple_cubic(2)):
        order = np.random.default_rng(8).permutation(len(system.numbers))
        energies, forces, virials = predict(model, system)
        shuffled = System(system.numbers[order], system.positions[order], system.cell)
        found, allowed = predict(model, shuffled), accuracy(model)
        scale = force_scale(model, forces, virials)
        assert_near(found[0], energies, allowed, what=f"energies {when}")
        assert_near(found[1], forces[order], allowed, scale, what=f"forces {when}")
        assert_near(found[2], virials, allowed, what=f"virials {when}")


def periodic_wrap(model: EnergyModel) -> None:
    """Answers do not depend on which image of an atom is stored, tens of cells away."""
    for system in (random_system(9), narrow_system(10)):
        turns = np.random.default_rng(11).integers(-40, 41, system.positions.shape)
        moved = System(system.numbers, system.positions + turns @ system.cell, system.cell)
        found, expected = predict(model, moved), predict(model, system)
        assert_same(model, found, expected, "when atoms are stored as other images")


def extensivity(model: EnergyModel) -> None:
    """Supercells have as much more energy and virial, and the same forces."""
    for system, repeats in (
        (random_system(12), (2, 1, 1)),
        (narrow_system(13), (2, 3, 1)),
        (simple_cubic(), (2, 2, 3)),
    ):
        n, when = int(np.prod(repeats)), f"of {repeats} cells"
        energies, forces, virials = predict(model, system)
        found, allowed = predict(model, supercell(system, repeats)), accuracy(model)
        scale = force_scale(model, forces, virials)
        assert_near(found[0], n * energies, allowed, what=f"energies {when}")
        assert_near(found[1], np.tile(forces, (n, 1)), allowed, scale, what=f"forces {when}")
        assert_near(found[2], n * virials, allowed, what=f"virials {when}")


def _orthogonal(seed: int, *, proper: bool) -> FloatArray:
    """(3, 3) a random rotation, or one with a mirror."""
    q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return np.asarray(q if (np.linalg.det(q) > 0) == proper else -q)


def _check_orthogonal(model: EnergyModel, matrix: FloatArray, when: str) -> None:
    for system in (random_system(1), narrow_system(2)):
        energies, forces, virials = predict(model, system)
        expected = energies, forces @ matrix.T, matrix @ virials @ matrix.T
        found = predict(model, turned(system, matrix))
        for name, one, other in zip(NAMES, found, expected, strict=True):
            assert_near(one, other, angular_accuracy(model), what=f"{name} {when}")
