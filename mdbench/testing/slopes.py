"""Derivatives of a model against differences, in double precision."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from mdbench.models.base import EnergyModel
from mdbench.potentials.base import FloatArray
from mdbench.testing.neighborhoods import exact
from mdbench.testing.systems import (
    System,
    assert_near,
    cluster,
    graph,
    narrow_system,
    predict,
    random_system,
    require,
    turned,
)

#: Steps of positions in Å, of strains, and of weights relative to their mean size.
_STEP, _STRAIN, _SHARE = 1e-4, 1e-5, 1e-5
_RTOL = 1e-5


def forces_are_derivatives(model: EnergyModel) -> None:
    """Forces are −∂E/∂x, of models that claim to be conservative."""
    if not model.conservative:
        return
    model = exact(model)
    for system in (random_system(31), narrow_system(32)):
        forces = predict(model, system)[1][:2]
        systems = []
        for sign in (1, -1):
            for i, k in np.ndindex(forces.shape):
                x = system.positions.copy()
                x[i, k] += sign * _STEP
                systems.append(System(system.numbers, x, system.cell))
        found = -_slopes(model, systems, _STEP).reshape(forces.shape)
        assert_near(found, forces, _RTOL, what="slopes of the energy and forces")


def virials_are_derivatives(model: EnergyModel) -> None:
    """Virials are −∂E/∂strain, of models that claim to be conservative."""
    if not model.conservative:
        return
    model = exact(model)
    for system in (random_system(33), narrow_system(34)):
        virial, systems = predict(model, system)[2][0], []
        for sign in (1, -1):
            for place in np.ndindex(3, 3):
                strain = np.zeros((3, 3))
                strain[place] = sign * _STRAIN
                systems.append(turned(system, np.eye(3) + strain.T))
        found = -_slopes(model, systems, _STRAIN).reshape(3, 3)
        assert_near(found, virial, _RTOL, what="slopes of the energy by strain and virials")


def loss_has_right_gradients(model: EnergyModel) -> None:
    """Gradients of energies and forces by all weights are right, in training and evaluation."""
    model = exact(model)
    inputs = graph(model, random_system(36), narrow_system(37), cluster([0.0, 0.0, 0.0]))
    generator = torch.Generator().manual_seed(38)
    target = torch.randn(inputs.n_atoms, 3, generator=generator, dtype=model.dtype)

    def loss(changed: EnergyModel) -> Tensor:
        found = changed.predict(inputs, create_graph=True)
        return (found.forces - target).square().mean() + found.energies.square().mean()

    for mode in (True, False):
        learner = copy.deepcopy(model).train(mode)
        loss(learner).backward()  # type: ignore[no-untyped-call]
        slope, steps = 0.0, []
        for name, p in _weights(learner):
            if p.grad is None or not p.grad.isfinite().all():
                raise AssertionError(f"{name} has no gradient, or one that is not finite")
            noise = torch.randn(p.shape, generator=generator, dtype=p.dtype)
            steps.append(p.detach().abs().mean() * noise)
            slope += float((p.grad * steps[-1]).sum())
        losses = []
        for sign in (1, -1):
            moved = copy.deepcopy(model).train(mode)
            with torch.no_grad():
                for (_, p), step in zip(_weights(moved), steps, strict=True):
                    p.add_(sign * _SHARE * step)
            losses.append(loss(moved).item())
        found = (losses[0] - losses[1]) / (2 * _SHARE)
        assert_near(found, slope, _RTOL, what="slopes of the loss and its gradients by weights")


def all_weights_learn(model: EnergyModel) -> None:
    """No parameter is without effect on energies and forces."""
    learner = copy.deepcopy(exact(model)).train()
    found = learner.predict(graph(learner, random_system(39)), create_graph=True)
    loss = found.forces.square().mean() + found.energies.square().mean()
    loss.backward()  # type: ignore[no-untyped-call]
    dead = [name for name, p in _weights(learner) if p.grad is None or not p.grad.any()]
    require(not dead, f"weights without effect: {', '.join(dead)}")


def _weights(model: EnergyModel) -> list[tuple[str, torch.nn.Parameter]]:
    return [(name, p) for name, p in model.named_parameters() if p.requires_grad]


def _slopes(model: EnergyModel, systems: Sequence[System], step: float) -> FloatArray:
    """(n,) central differences of the energies of n systems and their n opposites, at once."""
    energies = predict(model, *systems)[0].reshape(2, -1)
    return np.asarray((energies[0] - energies[1]) / (2.0 * step))
