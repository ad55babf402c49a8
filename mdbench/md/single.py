"""One system through a force field, for codes that move it themselves."""

from __future__ import annotations

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


class SingleSystem:
    """Energy, forces and virial of one system in memory of the host, wherever they are computed.

    Attributes:
        energy: eV, of the last call.
        forces: (n_atoms, 3) eV/Å.
        virial: (3, 3) eV, −stress · volume.
    """

    def __init__(self, force_field: ForceField, numbers: IntArray, cell: FloatArray) -> None:
        systems = Systems(
            atomic_numbers=np.array(numbers, dtype=np.int64),
            cells=np.array(cell, dtype=np.float64)[None],
            first_atom=np.array([0, len(numbers)]),
        )
        self._evaluator: Any = force_field.evaluator(systems)
        self._active = beside(self._evaluator, np.ones(1, dtype=np.bool_))
        self.energy = 0.0
        self.forces = np.zeros((len(numbers), 3))
        self.virial = np.zeros((3, 3))

    def evaluate(self, positions: FloatArray) -> None:
        """Computes energy, forces and virial.

        Args:
            positions: (n_atoms, 3) Å, wrapped or not.
        """
        positions = np.array(positions, dtype=np.float64, order="C")
        self._evaluator.evaluate(beside(self._evaluator, positions), self._active)
        self.energy = float(self._evaluator.energies[0])
        self.forces = on_host(self._evaluator.forces)
        self.virial = on_host(self._evaluator.virials[0])
