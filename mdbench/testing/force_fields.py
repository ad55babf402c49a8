"""Checks of anything that gives energies and forces, made by the audit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from mdbench.analysis.audit import CHECKS, Claims, audit
from mdbench.potentials.base import FloatArray, ForceField, IntArray

if TYPE_CHECKING:
    from ase import Atoms


def check_force_field(
    force_field: ForceField,
    atomic_numbers: IntArray,
    positions: FloatArray,
    cell: FloatArray,
    claims: Claims | None = None,
    *,
    checks: Sequence[str] = CHECKS,
    seed: int = 0,
) -> None:
    """Requires that a force field is what it claims to be, on a material.

    These are the checks of `mdbench audit`: nothing but energies, forces and virials is asked for.

    Args:
        force_field: Anything that the engine can run.
        atomic_numbers: (n_atoms,) of the material, which is displaced at random.
        positions: (n_atoms, 3) Å.
        cell: (3, 3) Å, row vectors.
        claims: By default those of an ordinary potential: E(3), forces that are slopes.
        checks: Which of the audit's.
        seed: Of displacements, directions and small cells.

    Raises:
        AssertionError: Each claim that does not hold, with a sentence.
        InputError: An element that the force field does not know, an unknown check.
    """
    found = audit(
        force_field, atomic_numbers, positions, cell, claims, seed=seed, checks=tuple(checks)
    )
    failed = [check for check in found.checks if check.claimed and not check.passed]
    if failed:
        raise AssertionError("\n".join(f"{each.name}: {each.detail}" for each in failed))


def check_calculator(
    make: Callable[[], Any],
    atoms: Atoms,
    claims: Claims | None = None,
    *,
    checks: Sequence[str] = CHECKS,
    seed: int = 0,
) -> None:
    """Requires that a calculator of ASE is what it claims to be, on a material.

    Args:
        make: Makes a calculator.
        atoms: The material: periodic, of elements that the calculator knows.
        claims: By default those of an ordinary potential: E(3), forces that are slopes.
        checks: Which of the audit's.
        seed: Of displacements, directions and small cells.

    Raises:
        AssertionError: Each claim that does not hold, with a sentence.
        InputError: What the calculator refuses.
    """
    from mdbench.potentials.ase_force_field import AseForceField

    force_field = AseForceField(make, getattr(make, "__name__", "calculator"))
    where = atoms.numbers, atoms.positions, atoms.cell.array
    check_force_field(force_field, *where, claims, checks=checks, seed=seed)
