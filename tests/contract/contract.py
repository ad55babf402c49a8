"""What every model must do, as functions that raise AssertionError for one that does not.

`CONTRACT` holds for any precision, `EXACT` is asked in float64.
"""

import copy

import numpy as np
import pytest
import torch

from mdbench.errors import InputError
from mdbench.graph import AtomGraph, ListedEdges, edge_list
from mdbench.models.force_field import ModelForceField
from mdbench.potentials.base import Systems
from tests.contract.systems import (
    System,
    accuracy,
    assert_identical,
    assert_near,
    assert_same,
    cluster,
    force_scale,
    graph,
    narrow_system,
    predict,
    random_system,
    simple_cubic,
    supercell,
)

MOVE = np.array([31.7, -0.4, 5.9])


def rotation(seed, *, proper):
    q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return q if (np.linalg.det(q) > 0) == proper else -q


def turned(system, matrix):
    return System(system.numbers, system.positions @ matrix.T, system.cell @ matrix.T)


def check_orthogonal(model, matrix):
    for system in (random_system(1), narrow_system(2)):
        energies, forces, virials = predict(model, system)
        expected = energies, forces @ matrix.T, matrix @ virials @ matrix.T
        found = predict(model, turned(system, matrix))
        for one, other in zip(found, expected, strict=True):
            assert_near(one, other, angular_accuracy(model))


def angular_accuracy(model):
    """Claimed relative error of results in another orientation."""
    return max(accuracy(model), model.tolerances.get("rotation", 0.0))


def translation(model):
    for system in (random_system(3), narrow_system(4)):
        moved = System(system.numbers, system.positions + MOVE, system.cell)
        assert_same(model, predict(model, moved), predict(model, system))


def proper_rotation(model):
    if model.symmetry in ("E(3)", "SE(3)"):
        check_orthogonal(model, rotation(5, proper=True))


def reflection(model):
    if model.symmetry == "E(3)":
        check_orthogonal(model, rotation(6, proper=False))


def permutation(model):
    """Also on a perfect lattice, where neighbors are equally far."""
    for system in (random_system(7), simple_cubic(2)):
        order = np.random.default_rng(8).permutation(len(system.numbers))
        energies, forces, virials = predict(model, system)
        shuffled = System(system.numbers[order], system.positions[order], system.cell)
        found = predict(model, shuffled)
        assert_near(found[0], energies, accuracy(model))
        scale = force_scale(model, forces, virials)
        assert_near(found[1], forces[order], accuracy(model), scale)
        assert_near(found[2], virials, accuracy(model))


def periodic_wrap(model):
    """Atoms stored as images tens of cells away."""
    for system in (random_system(9), narrow_system(10)):
        turns = np.random.default_rng(11).integers(-40, 41, system.positions.shape)
        moved = System(system.numbers, system.positions + turns @ system.cell, system.cell)
        assert_same(model, predict(model, moved), predict(model, system))


def extensivity(model):
    """Supercells have as much more energy and virial, and the same forces."""
    for system, repeats in (
        (random_system(12), (2, 1, 1)),
        (narrow_system(13), (2, 3, 1)),
        (simple_cubic(), (2, 2, 3)),
    ):
        n = int(np.prod(repeats))
        energies, forces, virials = predict(model, system)
        found = predict(model, supercell(system, repeats))
        assert_near(found[0], n * energies, accuracy(model))
        scale = force_scale(model, forces, virials)
        assert_near(found[1], np.tile(forces, (n, 1)), accuracy(model), scale)
        assert_near(found[2], n * virials, accuracy(model))


def batch_is_single(model):
    """Mixed compositions, sizes and cells; one system without any edge."""
    systems = [random_system(14), narrow_system(15), cluster([1.0, 2.0, 3.0]), random_system(16)]
    singles = [predict(model, system) for system in systems]
    energies, forces, virials = predict(model, *systems)
    scale = np.abs(forces).max()
    assert_near(energies, np.concatenate([s[0] for s in singles]), accuracy(model))
    assert_near(forces, np.concatenate([s[1] for s in singles]), accuracy(model), scale)
    assert_near(virials, np.concatenate([s[2] for s in singles]), accuracy(model))
    if model.symmetry != "T(3)":
        assert not forces[len(systems[0].numbers) + len(systems[1].numbers)].any()


def no_leak(model):
    """What one system is does not matter to another one of the batch."""
    system, n = random_system(17), 8
    with_one = predict(model, system, random_system(18))
    with_other = predict(model, system, narrow_system(19))
    for one, other, length in zip(with_one, with_other, (1, n, 1), strict=True):
        assert_near(one[:length], other[:length], accuracy(model))


def no_leak_in_training(model):
    """Nor in training mode."""
    system, found = random_system(17), []
    for partner in (random_system(18), narrow_system(19)):
        trained = copy.deepcopy(model).train()
        energies, forces, virials = predict(trained, system, partner)
        found.append((energies[:1], forces[:8], virials[:1]))
    assert_same(model, *found)


def training_is_evaluation(model):
    """What is trained is what is evaluated, once the first batches have set the scene."""
    model = copy.deepcopy(model).train()
    first = graph(model, cluster([0.0, 0.0, 0.0], [1.2, 0.9, 1.6], [-1.5, 0.3, 1.9]))
    with torch.no_grad():
        for _ in range(60):
            model(first)
    others = random_system(20), narrow_system(21)
    evaluated = predict(copy.deepcopy(model).eval(), *others)
    assert_same(model, predict(model, *others), evaluated)
    assert_same(model, predict(model.eval(), *others), evaluated)


def determinism(model):
    """Bit for bit, whatever was computed in between and whether gradients are on."""
    inputs = graph(model, random_system(24), narrow_system(25))
    state = {name: value.clone() for name, value in model.state_dict().items()}
    before = model.predict(inputs)
    predict(model, random_system(26, (3, 1, 1)))
    with torch.no_grad():
        after = model.predict(inputs)
    assert_identical(before, after)
    assert not any(part.requires_grad for part in after)
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def few_atoms(model):
    """No atom but oneself, one neighbor, nothing but one's own images."""
    places = np.array([[0.0, 0.0, 0.0], [model.cutoff, 0.1, 0.0]])
    alone = [predict(model, cluster(place, numbers=(3,))) for place in places]
    energies, forces, virials = (sum(parts) for parts in zip(*alone, strict=True))
    assert np.isfinite(energies).all()
    assert not virials.any()
    far = predict(model, cluster(*places, numbers=(3, 3)))
    assert_near(far[0], energies, accuracy(model))
    assert_near(far[1].sum(axis=0), forces[0], accuracy(model))
    crystal = System(np.array([8]), np.zeros((1, 3)), random_system(27, (1, 1, 1)).cell)
    energies, of_crystal, virials = predict(model, crystal)
    assert np.isfinite(energies).all()
    if model.symmetry == "T(3)":  # even an atom alone may have a force
        return
    assert not forces.any()
    assert not far[1].any()
    if model.conservative or model.symmetry == "E(3)":
        scale = force_scale(model, of_crystal, virials)
        assert_near(of_crystal, 0 * of_crystal, angular_accuracy(model), scale)
    direction = np.array([1.2, 0.9, 1.6])
    _, forces, virials = predict(model, cluster([0.0, 0.0, 0.0], direction))
    sideways = np.cross(forces, direction)
    assert_near(sideways, 0 * sideways, 10 * angular_accuracy(model), np.abs(forces).max())
    if model.conservative:
        assert_near(forces[0], -forces[1], accuracy(model))
        assert_near(virials[0], np.outer(direction, forces[1]), accuracy(model))


def few_neighbors(model):
    """Crowded atoms: whole shells and both directions of a pair, whatever the order of atoms."""
    model = copy.deepcopy(model)
    for model.max_neighbors in (10, 20):
        edges = graph(model, simple_cubic(2))
        assert edges.n_edges == 8 * {10: 6, 20: 18}[model.max_neighbors]
        crowded = graph(model, random_system(28))
        assert torch.bincount(crowded.edge_index[0]).max() <= model.max_neighbors
        back = crowded.back
        assert_near(crowded.edge_vectors[back], -crowded.edge_vectors, accuracy(model))
        permutation(model)
        periodic_wrap(model)
        batch_is_single(model)


def edges_beyond_the_cutoff(model):
    """Have no effect: whole neighbor lists give what is left of them at the cutoff."""
    assert model.ends_at_cutoff
    for system in (random_system(40), narrow_system(41)):
        x, cells = torch.tensor(system.positions), torch.tensor(system.cell)[None]
        first = torch.tensor([0, len(system.numbers)])
        found = edge_list(x, cells, first, model.cutoff + 1.0)
        listed = ListedEdges.of(torch.tensor(system.numbers), cells, first, found)
        vectors = listed.edge_vectors(x).to(model.dtype)
        whole = listed.whole(model.dtype).with_vectors(vectors)
        near = graph(model, system)
        assert whole.n_edges > near.n_edges
        for one, other in zip(model.predict(whole), model.predict(near), strict=True):
            assert one.isnan().equal(other.isnan())
            assert_near(one.nan_to_num(), other.nan_to_num(), accuracy(model))


def round_trip(model):
    """The state is all that there is: another model that loads it does the same, bit for bit."""
    other = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(1.0)
    other.load_state_dict(model.state_dict())
    inputs = graph(model, random_system(29))
    assert_identical(model.predict(inputs), other.predict(inputs))


def scale_and_shifts(model):
    """Energies and forces have one scale; shifts are by element and have no forces."""
    system = random_system(30)
    plain = predict(model, system)
    scaled = copy.deepcopy(model)
    scaled.energy_scale.fill_(2.5)
    scaled.energy_shifts.copy_(torch.arange(model.n_elements))
    energies, forces, virials = predict(scaled, system)
    assert_near(energies, 2.5 * plain[0] + system.numbers.sum(), accuracy(model))
    assert_same(model, (forces, virials), (2.5 * plain[1], 2.5 * plain[2]))


def strange_elements(model):
    """One line where a force field is asked for them."""
    for beyond in (0, model.n_elements):
        system = Systems(np.array([3, beyond]), 9.0 * np.eye(3)[None], np.array([0, 2]))
        message = f"^it: expected atomic numbers from 1 to {model.n_elements - 1}, found {beyond}$"
        with pytest.raises(InputError, match=message):
            ModelForceField(copy.deepcopy(model), "it").evaluator(system)


def slopes(model, systems, step):
    """(n,) central differences of the energies of n systems and their n opposites, at once."""
    energies = predict(model, *systems)[0].reshape(2, -1)
    return (energies[0] - energies[1]) / (2.0 * step)


def forces_are_derivatives(model):
    """−∂E/∂x."""
    if not model.conservative:
        return
    for system in (random_system(31), narrow_system(32)):
        forces, step, systems = predict(model, system)[1][:2], 1e-4, []
        for sign in (1, -1):
            for i, k in np.ndindex(forces.shape):
                x = system.positions.copy()
                x[i, k] += sign * step
                systems.append(System(system.numbers, x, system.cell))
        found = -slopes(model, systems, step).reshape(forces.shape)
        assert_near(found, forces, 1e-5)


def virials_are_derivatives(model):
    """−∂E/∂strain."""
    if not model.conservative:
        return
    for system in (random_system(33), narrow_system(34)):
        virial, step, systems = predict(model, system)[2][0], 1e-5, []
        for sign in (1, -1):
            for place in np.ndindex(3, 3):
                strain = np.zeros((3, 3))
                strain[place] = sign * step
                systems.append(turned(system, np.eye(3) + strain.T))
        assert_near(-slopes(model, systems, step).reshape(3, 3), virial, 1e-5)


def smooth_at_the_cutoff(model):
    """A pair's part in the energy goes as δ³ and in forces as δ², δ before the cutoff.

    Then both, and the derivative of forces, are continuous. In a crystal and for a lone pair.
    """
    crystal = random_system(35)
    pair = graph(model, crystal)
    edge = int((pair.edge_lengths - 0.8 * model.cutoff).abs().argmin())
    lone = graph(model, cluster([0.0, 0.0, 0.0], [1.2, 0.9, 1.6]))
    for inputs, chosen in ((pair, edge), (lone, 0)):
        whole = model.predict(inputs)
        without = without_pair(inputs, chosen)
        parts = []
        for delta in (0.001 * model.cutoff, 0.0005 * model.cutoff):
            near = model.predict(with_length(inputs, chosen, model.cutoff - delta))
            gone = model.predict(without)
            parts.append([float((a - b).abs().max()) for a, b in zip(near, gone, strict=True)])
        for (far, near), power in zip(np.transpose(parts)[:2], (3, 2), strict=True):
            # where the pair is not to be seen at all, rounding decides the ratio
            unseen = 1e-13 * float(whole.forces.abs().max())
            assert near <= max(1.15 * far / 2**power, unseen)


def pair_edges(inputs, edge):
    return torch.tensor([edge, int(inputs.back[edge])])


def with_length(inputs, edge, length):
    """The graph with one pair at another distance."""
    both = pair_edges(inputs, edge)
    vectors = inputs.edge_vectors.clone()
    vectors[both] *= length / inputs.edge_lengths[both][:, None]
    return inputs.with_vectors(vectors)


def without_pair(inputs, edge):
    """The graph without both edges of a pair."""
    kept = torch.ones(inputs.n_edges, dtype=torch.bool)
    kept[pair_edges(inputs, edge)] = False
    places = kept.cumsum(0) - 1
    return AtomGraph(
        atomic_numbers=inputs.atomic_numbers,
        system_index=inputs.system_index,
        volumes=inputs.volumes,
        edge_index=inputs.edge_index[:, kept],
        cell_shifts=inputs.cell_shifts[kept],
        back=places[inputs.back[kept]],
        edge_vectors=inputs.edge_vectors[kept],
    )


def loss_has_right_gradients(model):
    """Of energies and forces by all weights, in both modes, along a random direction of them."""
    inputs = graph(model, random_system(36), narrow_system(37), cluster([0.0, 0.0, 0.0]))
    generator = torch.Generator().manual_seed(38)
    target = torch.randn(inputs.n_atoms, 3, generator=generator, dtype=model.dtype)

    def loss(changed):
        found = changed.predict(inputs, create_graph=True)
        return (found.forces - target).square().mean() + found.energies.square().mean()

    for mode in (True, False):
        learner = copy.deepcopy(model).train(mode)
        weights = [p for p in learner.parameters() if p.requires_grad]
        loss(learner).backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in weights)
        steps = [
            p.detach().abs().mean() * torch.randn(p.shape, generator=generator, dtype=p.dtype)
            for p in weights
        ]
        slope = sum(float((p.grad * step).sum()) for p, step in zip(weights, steps, strict=True))
        h, losses = 1e-5, []
        for sign in (1, -1):
            moved = copy.deepcopy(model).train(mode)
            with torch.no_grad():
                for p, step in zip(moved.parameters(), steps, strict=True):
                    p.add_(sign * h * step)
            losses.append(loss(moved).item())
        assert_near((losses[0] - losses[1]) / (2 * h), slope, 1e-5)


def all_weights_learn(model):
    """No parameter is without effect on energies and forces."""
    learner = copy.deepcopy(model).train()
    found = learner.predict(graph(model, random_system(39)), create_graph=True)
    (found.forces.square().mean() + found.energies.square().mean()).backward()
    dead = [name for name, p in learner.named_parameters() if p.grad is None or not p.grad.any()]
    assert not dead


CONTRACT = [
    translation,
    proper_rotation,
    reflection,
    permutation,
    periodic_wrap,
    extensivity,
    batch_is_single,
    no_leak,
    no_leak_in_training,
    training_is_evaluation,
    determinism,
    few_atoms,
    few_neighbors,
    edges_beyond_the_cutoff,
    round_trip,
    scale_and_shifts,
    strange_elements,
]
EXACT = [
    forces_are_derivatives,
    virials_are_derivatives,
    smooth_at_the_cutoff,
    loss_has_right_gradients,
    all_weights_learn,
]
