"""What training makes small, and the units that it is made small in.

With N the atoms of a system, s the energy scale (eV, and eV/Å by 1 Å) and ⟨ ⟩ the mean over the
systems, or over the force components, of a step's batch,

    loss = 1 · ⟨((E − E_ref) / (N s))²⟩ + 1000 · ⟨((F − F_ref) / s)²⟩.

The published recipe takes whole systems: N = 1. s is the root mean square of the training set's
force components. Energies and forces share it, as forces are derivatives of the energy: 1:1000
then says that 1 meV/atom counts as much as 1/√1000 = 0.032 meV/Å.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mdbench.errors import InputError
from mdbench.models.base import EnergyModel, Prediction
from mdbench.samples import Samples
from mdbench.training.batches import Batch
from mdbench.training.settings import TrainingSettings

FloatArray = NDArray[np.float64]


class Normalization(NamedTuple):
    """Where a model starts from.

    Attributes:
        energy_scale: Root mean square of the force components, eV (by 1 Å).
        energy_shifts: (n_elements,) eV, the energies of atoms that fit the systems' energies best;
            of all that fit equally well the smallest ones.
    """

    energy_scale: float
    energy_shifts: FloatArray


def normalization(samples: Sequence[Samples], n_elements: int) -> Normalization:
    """Scale and shifts of the training set.

    Args:
        samples: Its materials.
        n_elements: Atomic numbers are below this.

    Raises:
        InputError: Forces that are all zero.
    """
    squares = sum(float(np.square(part.forces).sum()) for part in samples)
    scale = float(np.sqrt(squares / sum(part.forces.size for part in samples)))
    if not scale > 0.0:
        raise InputError("forces of the training frames", expected="other than 0", found="all 0")
    # frames of one composition are as one equation with their mean energy
    roots = np.sqrt([len(part) for part in samples])
    counts = [np.bincount(part.atomic_numbers, minlength=n_elements) for part in samples]
    energies = np.array([part.energies.mean() for part in samples])
    shifts = np.linalg.lstsq(roots[:, None] * np.array(counts), roots * energies, rcond=None)[0]
    return Normalization(scale, shifts)


def normalize(model: EnergyModel, normal: Normalization) -> None:
    """Sets scale and shifts of a model."""
    with torch.no_grad():
        model.energy_scale.fill_(normal.energy_scale)
        model.energy_shifts.copy_(torch.as_tensor(normal.energy_shifts))


def loss_of(
    prediction: Prediction,
    batch: Batch,
    settings: TrainingSettings,
    scale: Tensor,
    *,
    n_systems: int,
    n_atoms: int,
) -> Tensor:
    """() what some systems add to the loss of a step's batch.

    Args:
        prediction: Of the model.
        batch: What it should have been.
        settings: Weights, and whether energies count per atom.
        scale: () eV.
        n_systems: Of the whole step.
        n_atoms: Of the whole step.
    """
    energies = (prediction.energies - batch.energies).to(scale.dtype) / scale
    if settings.per_atom:
        energies = energies / batch.sizes
    forces = (prediction.forces - batch.forces) / scale
    return (
        settings.energy_weight / n_systems * energies.square().sum()
        + (settings.force_weight / (3 * n_atoms)) * forces.square().sum()
    )


@torch.no_grad()
def shift_correction(prediction: Prediction, batch: Batch, n_elements: int) -> Tensor:
    """(n_elements,) eV by which the energies of atoms would have to change, summed over systems.

    For each system the smallest change that takes its error away: c ΔE / |c|², with c the numbers
    of atoms of its elements.

    Args:
        prediction: Of the model.
        batch: What it should have been.
        n_elements: Atomic numbers are below this.
    """
    graph = batch.graph
    counts = batch.sizes.new_zeros(graph.n_systems, n_elements)
    ones = torch.ones_like(graph.atomic_numbers, dtype=counts.dtype)
    counts.index_put_((graph.system_index, graph.atomic_numbers), ones, accumulate=True)
    errors = (batch.energies - prediction.energies).to(counts) / counts.square().sum(dim=1)
    return errors @ counts
