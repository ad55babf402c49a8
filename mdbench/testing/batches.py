"""What else is computed, or was, must not matter to the answers of a model."""

from __future__ import annotations

import copy

import numpy as np
import torch

from mdbench.models.base import EnergyModel
from mdbench.testing.systems import (
    NAMES,
    accuracy,
    assert_identical,
    assert_near,
    assert_same,
    cluster,
    graph,
    narrow_system,
    predict,
    random_system,
    require,
)


def batch_is_single(model: EnergyModel) -> None:
    """A batch of mixed systems, one without any edge, has the answers of each alone."""
    systems = [random_system(14), narrow_system(15), cluster([1.0, 2.0, 3.0]), random_system(16)]
    singles = [predict(model, system) for system in systems]
    found, when = predict(model, *systems), "of a batch, against those of each alone,"
    scales = None, float(np.abs(found[1]).max()), None
    for k, (name, one, scale) in enumerate(zip(NAMES, found, scales, strict=True)):
        alone = np.concatenate([single[k] for single in singles])
        assert_near(one, alone, accuracy(model), scale, what=f"{name} {when}")
    if model.symmetry != "T(3)":
        lone = found[1][len(systems[0].numbers) + len(systems[1].numbers)]
        require(not lone.any(), "an atom alone has a force")


def no_leak(model: EnergyModel) -> None:
    """What one system is does not matter to another one of the batch."""
    system, n = random_system(17), 8
    with_one = predict(model, system, random_system(18))
    with_other = predict(model, system, narrow_system(19))
    for name, one, other, length in zip(NAMES, with_one, with_other, (1, n, 1), strict=True):
        what = f"{name} beside two other systems"
        assert_near(one[:length], other[:length], accuracy(model), what=what)


def no_leak_in_training(model: EnergyModel) -> None:
    """Nor does it in training mode."""
    system, n = random_system(17), 8
    found = []
    for partner in (random_system(18), narrow_system(19)):
        trained = copy.deepcopy(model).train()
        energies, forces, virials = predict(trained, system, partner)
        found.append((energies[:1], forces[:n], virials[:1]))
    assert_same(model, found[0], found[1], "beside two other systems, in training mode,")


def training_is_evaluation(model: EnergyModel) -> None:
    """What is trained is what is evaluated, once the first batches have set the scene."""
    model = copy.deepcopy(model).train()
    first = graph(model, cluster([0.0, 0.0, 0.0], [1.2, 0.9, 1.6], [-1.5, 0.3, 1.9]))
    with torch.no_grad():
        for _ in range(60):
            model(first)
    others = random_system(20), narrow_system(21)
    evaluated = predict(copy.deepcopy(model).eval(), *others)
    when = "in training mode, against evaluation,"
    assert_same(model, predict(model, *others), evaluated, when)
    assert_same(model, predict(model.eval(), *others), evaluated, when)


def determinism(model: EnergyModel) -> None:
    """The same bits, whatever was computed in between and whether gradients are on."""
    inputs = graph(model, random_system(24), narrow_system(25))
    state = {name: value.clone() for name, value in model.state_dict().items()}
    before = model.predict(inputs)
    predict(model, random_system(26, (3, 1, 1)))
    with torch.no_grad():
        after = model.predict(inputs)
    assert_identical(before, after, "when the same is asked again")
    attached = any(part.requires_grad for part in after)
    require(not attached, "what is predicted for evaluation still needs gradients")
    for name, value in model.state_dict().items():
        require(torch.equal(value, state[name]), f"{name} changes in evaluation")
    for name, parameter in model.named_parameters():
        require(parameter.grad is None, f"{name} has a gradient after evaluation")


def round_trip(model: EnergyModel) -> None:
    """The state is all that there is: another model that loads it does the same, bit for bit."""
    other = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(1.0)
    other.load_state_dict(model.state_dict())
    inputs = graph(model, random_system(29))
    when = "of a model that has loaded the state of another"
    assert_identical(model.predict(inputs), other.predict(inputs), when)


def scale_and_shifts(model: EnergyModel) -> None:
    """Energies and forces have one scale; shifts are by element and have no forces."""
    system = random_system(30)
    plain = predict(model, system)
    scaled = copy.deepcopy(model)
    scaled.energy_scale.fill_(2.5)
    scaled.energy_shifts.copy_(torch.arange(model.n_elements))
    found, when = predict(scaled, system), "with another scale and shifts"
    energies = 2.5 * plain[0] + system.numbers.sum()
    assert_same(model, found, (energies, 2.5 * plain[1], 2.5 * plain[2]), when)
