"""How good a model is while it is trained: the same frames each time, in a tenth of the time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mdbench.graph import segment_sum
from mdbench.models.base import EnergyModel
from mdbench.training.batches import FrameSet, parts
from mdbench.training.budget import Budget
from mdbench.training.settings import TrainingSettings

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: Share of the budget that validations may take together, and one batch of one.
_SHARE, _BATCH_SHARE = 0.1, 0.005
#: Frames of a validation, rather than more validations; of a batch of one at most.
_FEW_FRAMES, _MOST_FRAMES = 16, 64
#: A training step takes about as many times as long as energies and forces of its frames.
_STEP_TIMES = 3


class FrameErrors(NamedTuple):
    """Errors of each frame.

    Attributes:
        losses: (n_frames,) as in training, of the frame alone.
        energy_mae: Mean absolute error of energies per atom, eV.
        force_mae: Mean absolute error of force components, eV/Å.
    """

    losses: FloatArray
    energy_mae: float
    force_mae: float


def frame_errors(
    model: EnergyModel,
    data: FrameSet,
    frames: IntArray,
    settings: TrainingSettings,
    *,
    most_edges: float,
    most_frames: int,
    stop: Callable[[], bool] = lambda: False,
) -> FrameErrors:
    """Errors of a model on some frames, in their order.

    Args:
        model: In evaluation mode.
        data: Frames.
        frames: (n_frames,) their numbers.
        settings: Weights of the loss.
        most_edges: Edges of a batch that fits into memory.
        most_frames: Frames of a batch.
        stop: Asked after each batch; the frames of later ones are left out.
    """
    losses, energies, forces = [], [], []
    n_components = 0
    scale = float(model.energy_scale)
    for first in range(0, len(frames), most_frames):
        for part in parts(data, frames[first : first + most_frames], most_edges):
            batch = data.batch(part)
            graph = batch.graph
            prediction = model.predict(graph)
            energy = (prediction.energies - batch.energies).double()
            force = (prediction.forces - batch.forces).double()
            per_atom = energy / batch.sizes
            squares = segment_sum(force.square().sum(1), graph.system_index, graph.n_systems)
            counted = per_atom if settings.per_atom else energy
            loss = settings.energy_weight * counted.square()
            loss = loss + settings.force_weight * squares / (3.0 * batch.sizes)
            losses.append((loss / scale**2).cpu().numpy())
            energies.append(per_atom.abs().cpu().numpy())
            forces.append(float(force.abs().sum()))
            n_components += force.numel()
            if stop():
                break
        else:
            continue
        break
    return FrameErrors(
        losses=np.concatenate(losses),
        energy_mae=float(np.concatenate(energies).mean()),
        force_mae=sum(forces) / n_components,
    )


@dataclass(frozen=True)
class Plan:
    """Which frames validations see, and how often.

    Attributes:
        frames: (n_frames,) numbers in the validation set, in an order of which each beginning is
            spread over materials, temperatures and times.
        n_validations: Over the budget, that at its end included.
        batch_size: Frames of a batch.
        estimate_s: What one takes, s.
    """

    frames: IntArray
    n_validations: int
    batch_size: int
    estimate_s: float

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**vars(self), "frames": self.frames.tolist()}

    @classmethod
    def restored(cls, known: dict[str, Any]) -> Plan:
        """The plan of such values."""
        return cls(**{**known, "frames": np.array(known["frames"], dtype=np.int64)})


def plan_validations(
    model: EnergyModel,
    data: FrameSet,
    settings: TrainingSettings,
    budget: Budget,
    n_train: int,
    most_edges: float,
) -> Plan:
    """Validations that take a tenth of the budget at most, by what one batch takes here.

    Args:
        model: In evaluation mode.
        data: Validation frames.
        settings: The recipe.
        budget: Its time.
        n_train: Training frames, as many as an epoch has.
        most_edges: Edges of a batch that fits into memory.
    """
    order = spread_order(data)
    some = order[: min(len(order), 4)]
    for _ in range(2):  # the first time finds neighbors and warms up
        begun = budget.elapsed
        frame_errors(model, data, some, settings, most_edges=most_edges, most_frames=len(some))
        frame_s = max((budget.elapsed - begun) / len(some), 1e-9)
    affordable = max(int(_SHARE * budget.seconds / frame_s), 1)
    if settings.validations is None:
        n_validations = 1
        n_frames = min(affordable, max(int(_SHARE * _STEP_TIMES * n_train), 1))
    else:
        n_validations = min(settings.validations, max(affordable // _FEW_FRAMES, 1))
        n_frames = affordable // n_validations
    frames = order[:n_frames]
    return Plan(
        frames=frames,
        n_validations=n_validations,
        batch_size=int(np.clip(_BATCH_SHARE * budget.seconds / frame_s, 1, _MOST_FRAMES)),
        estimate_s=frame_s * len(frames) if frame_s > 1e-9 else 0.0,
    )


def spread_order(data: FrameSet) -> IntArray:
    """(n_frames,) all frames, by turns from each material and temperature, spread over times.

    The frames of each are taken in the order of the golden section, which fills gaps first.
    """
    materials = np.concatenate([np.full(len(part), n) for n, part in enumerate(data.samples)])
    temperatures = np.nan_to_num(data.temperatures_k, nan=-1.0)
    turns = np.empty(len(data))
    groups, kinds = np.unique(np.stack([materials, temperatures]), axis=1, return_inverse=True)
    for kind in range(groups.shape[1]):
        members = np.flatnonzero(kinds.reshape(-1) == kind)
        ratio = 0.5 * (np.sqrt(5.0) - 1.0)
        places = np.argsort((np.arange(len(members)) * ratio) % 1.0, kind="stable")
        turns[members[places]] = np.arange(len(members))
    return np.lexsort((kinds.reshape(-1), turns))
