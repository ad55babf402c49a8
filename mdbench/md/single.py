"""One system through a force field, for codes that move it themselves."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mdbench.potentials.base import FloatArray, ForceField, IntArray, Systems


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
        self._active = self._like(np.ones(1, dtype=np.bool_))
        self.energy = 0.0
        self.forces = np.zeros((len(numbers), 3))
        self.virial = np.zeros((3, 3))

    def evaluate(self, positions: FloatArray) -> None:
        """Computes energy, forces and virial.

        Args:
            positions: (n_atoms, 3) Å, wrapped or not.
        """
        positions = np.array(positions, dtype=np.float64, order="C")
        self._evaluator.evaluate(self._like(positions), self._active)
        self.energy = float(self._evaluator.energies[0])
        self.forces = _on_host(self._evaluator.forces)
        self.virial = _on_host(self._evaluator.virials[0])

    def _like(self, array: NDArray[Any]) -> Any:
        """The array where the evaluator has its own."""
        own = self._evaluator.forces
        if isinstance(own, np.ndarray):
            return array
        import torch

        return torch.as_tensor(array, device=own.device)


def _on_host(array: Any) -> FloatArray:
    """A copy in double precision."""
    if not isinstance(array, np.ndarray):
        array = array.detach().cpu().numpy()
    return np.array(array, dtype=np.float64)
