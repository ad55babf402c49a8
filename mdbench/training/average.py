"""The running average of a model's weights, by which it is judged and which is kept."""

from __future__ import annotations

import copy

import torch

from mdbench.models.base import EnergyModel


def averaged(model: EnergyModel) -> EnergyModel:
    """A copy of a model that is to hold the average, in evaluation mode."""
    average = copy.deepcopy(model).eval()
    return average.requires_grad_(False)


def decay_at(step: int, most: float) -> float:
    """min(most, (1 + n) / (10 + n)) after n steps: an average over about the last tenth of them.

    So that short trainings are not judged by where they started.
    """
    return min(most, (1.0 + step) / (10.0 + step))


@torch.no_grad()
def update_average(average: EnergyModel, model: EnergyModel, decay: float) -> None:
    """Moves the average towards a model: decay · average + (1 − decay) · model.

    Statistics of the layers are averaged with the weights that they belong to; what counts is
    copied.
    """
    old, new = [], []
    for mine, other in zip(average.state_dict().values(), model.state_dict().values(), strict=True):
        if mine.is_floating_point():
            old.append(mine)
            new.append(other)
        else:
            mine.copy_(other)
    torch._foreach_lerp_(old, new, 1.0 - decay)
