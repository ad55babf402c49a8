"""Our force fields as calculators of ASE."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.stress import full_3x3_to_voigt_6_stress

from mdbench.errors import InputError
from mdbench.md.single import SingleSystem
from mdbench.potentials.base import ForceField


class MdbenchCalculator(Calculator):  # type: ignore[misc]
    """A calculator of ASE for a force field of ours: energy, forces and, where it has it, stress.

    Its evaluator, with its neighbor lists, is kept while atomic numbers and cell stay.

    Args:
        force_field: Any.

    Raises:
        InputError: Atoms that are not periodic in all directions, or an unknown element.
    """

    implemented_properties: ClassVar[list[str]] = ["energy", "free_energy", "forces", "stress"]

    def __init__(self, force_field: ForceField) -> None:
        super().__init__()
        self.force_field = force_field
        self._system: SingleSystem | None = None

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: list[str] = all_changes,
    ) -> None:
        """Fills `results`: eV, eV/Å and, in Voigt's order, eV/Å³."""
        super().calculate(atoms, properties or ["energy"], system_changes)
        if self._system is None or {"numbers", "cell", "pbc"} & set(system_changes):
            self._system = None  # also when the new atoms are refused
            self._system = self._new_system()
        system = self._system
        system.evaluate(self.atoms.positions)
        self.results = {
            "energy": system.energy,
            "free_energy": system.energy,
            "forces": system.forces,
        }
        if not np.isnan(system.virial).all():
            stress: Any = full_3x3_to_voigt_6_stress(-system.virial / self.atoms.get_volume())
            self.results["stress"] = np.asarray(stress)

    def _new_system(self) -> SingleSystem:
        atoms = self.atoms
        if not atoms.pbc.all():
            raise InputError(
                self.force_field.label,
                expected="atoms that are periodic in all three directions",
                found=f"pbc {atoms.pbc.tolist()}",
            )
        if not atoms.cell.volume > 0.0:
            raise InputError(self.force_field.label, expected="a cell with a volume", found="none")
        return SingleSystem(self.force_field, atoms.numbers, atoms.cell.array)
