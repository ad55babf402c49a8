"""What the MD engine asks of a force field, whatever stands behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Systems:
    """Systems that are computed together, atoms of one system next to each other.

    Attributes:
        atomic_numbers: (n_atoms,) of all systems.
        cells: (n_systems, 3, 3) Å, row vectors, constant; periodic in all directions.
        first_atom: (n_systems + 1,) system s has the atoms first_atom[s] … first_atom[s + 1] − 1.
    """

    atomic_numbers: IntArray
    cells: FloatArray
    first_atom: IntArray

    @property
    def n_systems(self) -> int:
        """Number of systems."""
        return len(self.cells)


class Evaluator(Protocol):
    """Energies and forces of some systems, step after step.

    It owns the neighbor lists of its systems. Everything that later results depend on beside the
    positions (where the lists were built) is in `state`, so that a run can be resumed exactly.
    """

    energies: FloatArray  # (n_systems,) eV, of the last call
    forces: FloatArray  # (n_atoms, 3) eV/Å, of the last call
    virials: FloatArray  # (n_systems, 3, 3) eV, −stress · volume (ASE's sign of stress)

    def evaluate(self, positions: FloatArray, active: NDArray[np.bool_]) -> None:
        """Computes energies, forces and virials in place.

        Args:
            positions: (n_atoms, 3) Å, wrapped or not.
            active: (n_systems,) the others keep what they have.
        """
        ...

    def state(self) -> dict[str, NDArray[Any]]:
        """What `restore` needs to go on exactly from here; empty where nothing is kept."""
        ...

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Goes back to a state; called before the next `evaluate`."""
        ...


def beside(evaluator: Any, array: NDArray[Any]) -> Any:
    """The array where an evaluator has its own: itself, or a tensor on the evaluator's device."""
    own = evaluator.forces
    if isinstance(own, np.ndarray):
        return array
    import torch

    return torch.tensor(array, device=own.device)


def on_host(array: Any) -> FloatArray:
    """A copy of an evaluator's array or tensor, in double precision."""
    if not isinstance(array, np.ndarray):
        array = array.detach().cpu().numpy()
    return np.array(array, dtype=np.float64)


class ForceField(Protocol):
    """A potential or model that the engine can run."""

    #: As provenance states it, "synthetic-refpot-v1 (analytic toy potential, not DFT) …".
    label: str
    #: Smallest distance of pairs of elements ("Li-S") in the training data, Å; where it is known.
    closest: Mapping[str, float]

    def evaluator(self, systems: Systems) -> Evaluator:
        """An evaluator for these systems.

        Raises:
            InputError: An element that the force field does not know.
        """
        ...
