"""eSCN: its size, its messages edge by edge, and what frames and grids do to it."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.testing import assert_close

from mdbench.graph import build_graph
from mdbench.models import create, escn, parse_name
from mdbench.models.escn import Escn, Message
from mdbench.nn.aligned import AlignedEdges, by_order, orthonormal_grid
from mdbench.nn.envelopes import polynomial_envelope
from mdbench.nn.rotations import edge_frames, rotated_harmonics


def n_weights(*modules: nn.Module) -> int:
    return sum(p.numel() for part in modules for p in part.parameters())


def random(**overrides) -> Escn:
    """With weights of all kinds, in double precision."""
    model = create(parse_name("escn-small"), seed=1, **overrides).double()
    assert isinstance(model, Escn)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.1)
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return model


def crystal(model, turn=None, seed=0):
    """The graph of atoms in a triclinic cell, turned."""
    rng = np.random.default_rng(seed)
    turn = np.eye(3) if turn is None else np.asarray(turn)
    cell = np.array([[5.3, 0.2, -0.3], [0.9, 5.6, 0.1], [-0.5, 0.8, 6.1]])
    places = np.array([[0.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.5, 0.0, 0.5], [0.0, 0.5, 0.5]])
    positions = (places + rng.uniform(-0.08, 0.08, (4, 3))) @ cell
    return build_graph(
        [3, 16, 15, 3], positions @ turn.T, cell @ turn.T, model.cutoff, dtype=model.dtype
    )


def aligned_edges(graph, weights, n_degrees):
    frames = edge_frames(graph.edge_vectors / graph.edge_lengths[:, None])
    sizes = {"n_atoms": graph.n_atoms, "n_degrees": n_degrees, "max_order": 2}
    return AlignedEdges.of(graph.edge_index, graph.back, frames, weights, **sizes)


def test_size():
    model = create(parse_name("escn"))
    assert isinstance(model, Escn)
    assert n_weights(model.embedding) == 90 * 128
    for number, layer in enumerate(model.layers):
        message = layer.message
        assert n_weights(message.edge) == 78_080
        assert n_weights(layer) - n_weights(message) == 65_536
        convolutions = 2 * (2_065_664 if number else 295_168)  # of receiver and sender
        assert n_weights(message) - n_weights(message.edge) == convolutions
    assert n_weights(model.energy) == n_weights(model.force) == 33_152
    zeros = 2 * (2_065_664 - 295_168)
    assert model.paper_parameters == model.n_parameters + zeros + 6_656 == 34_284_032
    assert 15_000 < create(parse_name("escn-small")).n_parameters < 100_000


def complex_map(message: Message, x, end, order, gates):
    """What one end of an edge sends of an order: real and imaginary weights, one by one.

    Args:
        message: Whose weights.
        x: (n_degrees², n_channels) in the frame.
        end: 0 of the receiver, 1 of the sender.
        order: m.
        gates: Of all maps, (n_maps, n_hidden).
    """
    n_degrees, start = message.n_degrees, 0 if order == 0 else 4 * order - 2
    first = [message.first[degree] for degree in range(order, n_degrees)]
    second = message.second[order].view(-1, gates.shape[1], n_degrees - order, x.shape[1])

    def through(sign, part):
        place = 2 * part + end
        rows = [x[degree * (degree + 1) + sign] for degree in range(order, n_degrees)]
        hidden = sum(row @ weight[start + place] for row, weight in zip(rows, first, strict=True))
        return torch.einsum("h,hlc->lc", hidden * gates[start + place], second[place])

    if order == 0:
        return through(0, 0)
    cosine = through(order, 0) - through(-order, 1)
    sine = through(-order, 0) + through(order, 1)
    return torch.cat([cosine, sine])


def test_messages_edge_by_edge():
    """All products of all edges at once, beside one edge after another in the plain way."""
    model = random(n_degrees=4, n_azimuth=7, n_polar=5)
    graph, message = crystal(model), model.layers[1].message
    atoms = torch.randn(4, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    radial = model.basis(graph.edge_lengths[graph.pairs[1]])
    envelope = polynomial_envelope(graph.edge_lengths, 5.0)
    edges = aligned_edges(graph, envelope, 4)
    found = message(atoms, radial, edges, graph)

    features = message.edge(radial, graph)
    wigner = rotated_harmonics(edge_frames(graph.edge_vectors / graph.edge_lengths[:, None]), 4)
    grid = orthonormal_grid(4, 5, 7, 2, torch.float64, torch.device("cpu"))
    kept = by_order(4, 2)
    expected = torch.zeros_like(found)
    for edge, ends in enumerate(graph.edge_index.T.tolist()):
        gates = functional.silu(message.gates(features[edge])).view(10, -1)
        orders = []
        for order in range(3):
            sent = [
                complex_map(message, wigner[edge] @ atoms[atom], end, order, gates)
                for end, atom in enumerate(ends)
            ]
            orders.append(sent[0] + sent[1])
        told = grid.to_coefficients @ functional.silu(grid.to_points @ torch.cat(orders))
        expected[ends[0]] += envelope[edge] * (wigner[edge][kept].T @ told)
    assert_close(found, expected, rtol=0, atol=1e-12 * float(expected.detach().abs().max()))


def test_the_first_layer_has_nothing_but_axial_messages():
    """Weights of m > 0 would act on zeros: so it is that of a layer that has them."""
    model = random()
    graph, first = crystal(model), model.layers[0].message
    full = Message(16, 32, 32, 32, 90, n_degrees=3, n_degrees_in=3, max_order=2, grid=(3, 5))
    full = full.double()
    full.edge = first.edge
    with torch.no_grad():
        full.first[0].copy_(first.first[0])
        full.second[0].copy_(first.second[0])
        full.gates.weight[:64].copy_(first.gates.weight)
        full.gates.bias[:64].copy_(first.gates.bias)
    atoms = model.embedding(graph.atomic_numbers)[:, None]
    radial = model.basis(graph.edge_lengths[graph.pairs[1]])
    edges = aligned_edges(graph, graph.edge_lengths, 3)
    expected = full(functional.pad(atoms, (0, 0, 0, 8)), radial, edges, graph)
    found = first(atoms, radial, edges, graph)
    assert_close(found, expected, rtol=0, atol=1e-12 * float(expected.detach().abs().max()))


def turned_frames(monkeypatch, angle):
    """All frames turned about their edges."""
    c, s = math.cos(angle), math.sin(angle)
    turn = torch.tensor([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
    monkeypatch.setattr(escn, "edge_frames", lambda directions: turn @ edge_frames(directions))


def test_frames_hardly_matter(monkeypatch):
    """As random frames at every call would, with few and with many points about an edge."""
    changes = []
    for n_azimuth in (5, 11, 25):
        with monkeypatch.context() as patch:
            model = random(n_azimuth=n_azimuth)
            graph = crystal(model)
            before = model.predict(graph).forces
            turned_frames(patch, 0.3)
            after = model.predict(graph).forces
        changes.append(float((after - before).abs().max() / before.square().mean().sqrt()))
    assert changes[0] > 1e-3
    assert changes[1] < 1e-3 * changes[0]
    assert changes[2] < 1e-3 * changes[1]


def change(graph_of, model, matrix):
    """How far forces are from turning with the system, relatively."""
    expected = model.predict(graph_of(model)).forces @ torch.as_tensor(matrix.T)
    found = model.predict(graph_of(model, matrix)).forces
    return float((found - expected).abs().max() / expected.abs().max())


def test_rotations_as_finely_as_the_grids_and_no_reflections():
    q, _ = np.linalg.qr(np.random.default_rng(5).normal(size=(3, 3)))
    q = q * np.linalg.det(q)
    fine = random(n_azimuth=31, n_atom_polar=30)
    assert change(crystal, fine, q) < 1e-11
    assert change(crystal, random(), q) < 1e-6
    assert change(crystal, fine, -q) > 0.02  # imaginary weights have a hand


def test_a_pair_of_atoms_is_pulled_along_its_line():
    model = random(n_atom_polar=24, n_azimuth=25)
    direction = np.array([1.2, 0.9, 1.6])
    positions = np.array([[0.0, 0.0, 0.0], direction])
    graph = build_graph([3, 16], positions, 40.0 * np.eye(3), model.cutoff, dtype=model.dtype)
    forces = model.predict(graph).forces.numpy()
    assert np.abs(np.cross(forces, direction)).max() < 1e-10 * np.abs(forces).max()


def test_an_atom_alone_has_no_force():
    """To the last bit, though points of the sphere add up to rounding only."""
    model = random()
    graph = build_graph([3], np.zeros((1, 3)), 40.0 * np.eye(3), model.cutoff, dtype=model.dtype)
    assert not model.predict(graph).forces.any()


def test_forces_of_the_energy():
    model = random(forces="gradient")
    assert not hasattr(model, "force")
    assert model.n_parameters == random().n_parameters - n_weights(random().force)
    found = model.predict(crystal(model))
    assert found.forces.sum(dim=0).abs().max() < 1e-12 * found.forces.abs().max()
    assert found.virials.isfinite().all()


@pytest.mark.parametrize("name", ["escn", "escn-small"])
def test_initial_outputs_are_of_order_one(name):
    model = create(parse_name(name), **({"n_layers": 3} if name == "escn" else {}))
    found = model.predict(crystal(model))
    assert 1e-5 < found.forces.square().mean().sqrt() < 1.0
    assert found.energies.abs().max() / 4 < 1.0
