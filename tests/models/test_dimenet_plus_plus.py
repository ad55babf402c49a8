"""DimeNet++: its size; and angles, the cutoff and atoms in a line, of DimeNet++ and DimeNet."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.testing import assert_close

from mdbench.graph import AtomGraph, build_graph
from mdbench.models import create, parse_name
from mdbench.models.dimenet import DirectionalModel

BOTH = pytest.mark.parametrize("name", ["dimenet++-small", "dimenet-small"])


def n_weights(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def small(name, **overrides) -> DirectionalModel:
    model = create(parse_name(name), seed=1, **overrides).double()
    assert isinstance(model, DirectionalModel)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in model.parameters():  # biases start at 0
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return model


def graph(model, numbers, positions, cell) -> AtomGraph:
    return build_graph(
        numbers, positions, cell, model.cutoff, max_neighbors=model.max_neighbors, dtype=model.dtype
    )


def crystal(seed=0):
    """Atoms in a triclinic cell that is narrower than the cutoff."""
    rng = np.random.default_rng(seed)
    cell = np.array([[4.3, 0.2, -0.3], [0.9, 4.6, 0.1], [-0.5, 0.8, 5.1]])
    places = np.array([[0.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.5, 0.0, 0.5], [0.0, 0.5, 0.5]])
    return np.array([3, 16, 15, 3]), (places + rng.uniform(-0.08, 0.08, (4, 3))) @ cell, cell


def test_size():
    model = create(parse_name("dimenet++"))
    parts = [
        n_weights(model.radial) + n_weights(model.spherical),
        n_weights(model.embedding),
        *(n_weights(interaction) for interaction in model.interactions),
        *(n_weights(output) for output in model.outputs),
    ]
    assert parts == [6, 62_336, *[166_912] * 3, *[231_424] * 4]
    assert model.n_parameters == sum(parts) == model.paper_parameters == 1_488_774
    assert 10_000 < create(parse_name("dimenet++-small")).n_parameters < 100_000


@BOTH
def test_angles_matter(name):
    """Two arrangements with the same distances between neighbors of a chain, bent and straight."""
    model = small(name, cutoff=3.0)
    cell, energies = 40.0 * np.eye(3), []
    for angle in (0.0, 0.4):  # the ends of the chain stay out of reach of each other
        turn = 2.2 * np.array([np.cos(angle), np.sin(angle), 0.0])
        chain = np.array([[-2.2, 0.0, 0.0], [0.0, 0.0, 0.0], turn])
        inputs = graph(model, [3, 16, 3], chain, cell)
        assert inputs.n_edges == 4
        energies.append(float(model(inputs).detach()))
    assert abs(energies[0] - energies[1]) > 1e-4 * abs(energies[0])


@BOTH
def test_detached_angles_change_forces_alone(name):
    right, detached = small(name), small(name, detached_angles=True)
    inputs = graph(right, *crystal())
    one, other = right.predict(inputs), detached.predict(inputs)
    assert_close(one.energies, other.energies, rtol=1e-13, atol=0)
    difference = (one.forces - other.forces).abs().max()
    assert difference > 1e-3 * one.forces.abs().max()


def energy(model, numbers, positions, cell) -> float:
    return float(model(graph(model, numbers, positions, cell)).detach())


@BOTH
@pytest.mark.parametrize("bend", [0.0, 1e-9, 1e-6, 1e-3])
def test_forces_of_atoms_in_a_line(bend, name):
    """Where the angle is 0 or π its own derivative is not defined, and the forces are."""
    model, cell = small(name), 40.0 * np.eye(3)
    numbers = np.array([3, 16, 8, 3])
    axis = np.array([0.48, 0.6, 0.64])  # no axis of the harmonics
    line = np.outer([-2.1, 0.0, 1.9, 4.0], axis) + bend * np.outer([1, 0, -1, 1], [0.8, -0.64, 0])
    forces = model.predict(graph(model, numbers, line, cell)).forces
    expected = torch.zeros_like(forces)
    for atom in range(4):
        for axis in range(3):
            moved = []
            for step in (1e-4, -1e-4):
                positions = line.copy()
                positions[atom, axis] += step
                moved.append(energy(model, numbers, positions, cell))
            expected[atom, axis] = -(moved[0] - moved[1]) / 2e-4
    assert_close(forces, expected, rtol=0, atol=1e-6 * float(forces.abs().max()))


@BOTH
def test_harmonics_in_a_line_along_their_axis(name):
    """Forces do not depend on how a straight chain lies."""
    model, cell, numbers = small(name), 40.0 * np.eye(3), np.array([3, 16, 8])
    found = []
    for axis in ([0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.48, 0.6, 0.64]):
        line = np.outer([-2.1, 0.0, 1.9], axis)
        forces = model.predict(graph(model, numbers, line, cell)).forces
        along = forces @ torch.tensor(axis, dtype=torch.float64)
        found.append(along)
        across = forces - along[:, None] * torch.tensor(axis, dtype=torch.float64)
        assert across.abs().max() < 1e-12 * along.abs().max()
    assert_close(found[1], found[0], rtol=1e-10, atol=0)
    assert_close(found[2], found[0], rtol=1e-10, atol=0)


@BOTH
@pytest.mark.parametrize("role", ["both", "alone"])
def test_an_edge_vanishes_at_the_cutoff_with_two_derivatives(role, name):
    """An atom that leaves: its part of the energy goes as the third power of what is left.

    With "both" its neighbor has others, so that the edge is d_ji as well as d_kj.
    """
    model, cell = small(name), 60.0 * np.eye(3)
    with torch.no_grad():
        model.radial.frequencies.add_(0.5)  # at kπ the waves vanish too, and it is the fourth power
    others = [[0.0, 0.0, 0.0], [1.6, 1.2, 0.3], [-0.9, 1.9, 0.8]][: 3 if role == "both" else 1]
    direction, parts = np.array([0.0, -0.6, -0.8]), []
    for left in (0.01, 0.005):
        ends = []
        for distance in (model.cutoff - left, model.cutoff + left):
            positions = np.array([*others, distance * direction])
            inputs = graph(model, [3, 16, 8, 16][: len(positions)], positions, cell)
            ends.append(float(model(inputs).detach()))
        parts.append(abs(ends[0] - ends[1]))
    assert parts[1] > 0.0
    assert 7.5 < parts[0] / parts[1] < 8.5


@BOTH
def test_single_precision_is_as_good_as_the_basis(name):
    model = small(name)
    inputs = graph(model, *crystal())
    exact = model.predict(inputs)
    single = model.float().predict(inputs.to("cpu", torch.float32))
    scale = float(exact.forces.abs().max())
    assert_close(single.forces.double(), exact.forces, rtol=0, atol=1e-5 * scale)
