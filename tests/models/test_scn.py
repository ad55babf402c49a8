"""SCN: its size, turns about edges, resolutions, and integrals over the sphere."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.testing import assert_close

from mdbench.graph import build_graph
from mdbench.models import create, parse_name
from mdbench.models import scn as module
from mdbench.models.scn import Scn
from mdbench.nn import pieces
from mdbench.nn.aligned import AlignedEdges, by_order
from mdbench.nn.rotations import edge_frames, orders_up_to, rotated_harmonics


def n_weights(part: nn.Module) -> int:
    return sum(p.numel() for p in part.parameters())


def small(**overrides) -> Scn:
    model = create(parse_name("scn-small"), seed=1, **overrides).double()
    assert isinstance(model, Scn)
    return model


def crystal(seed=0):
    """Atoms in a triclinic cell that is narrower than the cutoff."""
    rng = np.random.default_rng(seed)
    cell = np.array([[4.3, 0.2, -0.3], [0.9, 4.6, 0.1], [-0.5, 0.8, 5.1]])
    places = np.array([[0.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.5, 0.0, 0.5], [0.0, 0.5, 0.5]])
    return np.array([3, 16, 15, 3]), (places + rng.uniform(-0.08, 0.08, (4, 3))) @ cell, cell


def graph(model, numbers, positions, cell):
    return build_graph(numbers, positions, cell, model.cutoff, dtype=model.dtype)


def test_size():
    model = create(parse_name("scn"))
    layer = model.layers[0]
    parts = [
        n_weights(model.embedding),
        *(n_weights(each) for each in model.layers),
        n_weights(model.energy),
        n_weights(model.force),
    ]
    assert parts == [90 * 128, *[2_545_472] * 8, 33_153, 33_152]
    assert n_weights(layer.embedding) == 78_080
    assert [n_weights(layer.fine), n_weights(layer.coarse)] == [1_969_280, 333_632]
    assert model.n_parameters == sum(parts) == model.paper_parameters - 1
    assert 15_000 < create(parse_name("scn-small")).n_parameters < 100_000


def turned_by(angles):
    """Edge frames with a turn about the edge, of which nothing is to be seen."""

    def frames(directions):
        upright = edge_frames(directions)
        c, s = torch.cos(angles[: len(upright)]), torch.sin(angles[: len(upright)])
        zero, one = torch.zeros_like(c), torch.ones_like(c)
        rows = [torch.stack(row, dim=1) for row in ([c, s, zero], [-s, c, zero], [zero, zero, one])]
        return torch.stack(rows, dim=1) @ upright

    return frames


def dependence_on_turns(monkeypatch, **overrides):
    """Relative change of forces by turns about the edges that are drawn at random."""
    model = small(**overrides)
    inputs = graph(model, *crystal())
    expected = model.predict(inputs).forces
    generator = torch.Generator().manual_seed(2)
    angles = 6.3 * torch.rand(inputs.n_edges, generator=generator, dtype=torch.float64)
    with monkeypatch.context() as patch:
        patch.setattr(module, "edge_frames", turned_by(angles))
        found = model.predict(inputs).forces
    return float((found - expected).abs().max() / expected.abs().max())


def test_taps_make_turns_of_frames_immaterial(monkeypatch):
    one, two, four, eight = (dependence_on_turns(monkeypatch, n_taps=n) for n in (1, 2, 4, 8))
    assert one > 0.1
    assert four < 1e-4 < two
    assert eight < 1e-10
    assert dependence_on_turns(monkeypatch, max_order=0, n_taps=1) < 1e-12


def test_higher_orders_need_more_taps(monkeypatch):
    sizes = {"n_degrees": 4, "n_coarse_degrees": 4, "max_order": 2}
    assert dependence_on_turns(monkeypatch, n_taps=4, **sizes) > 1e-5
    assert dependence_on_turns(monkeypatch, n_taps=14, **sizes) < 1e-9


def test_points_on_the_sphere_make_orientations_immaterial():
    numbers, positions, cell = crystal()
    q, _ = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))
    q *= np.linalg.det(q)
    found = []
    for points in (4, 6, 14):
        model = small(n_taps=8, n_polar=points, n_azimuth=2 * points, n_head_polar=points)
        with torch.no_grad():
            for parameter in model.parameters():  # what is nonlinear shows with larger weights
                parameter.mul_(1.2)
        forces = model.predict(graph(model, numbers, positions, cell)).forces
        turned = model.predict(graph(model, numbers, positions @ q.T, cell @ q.T)).forces
        difference = turned - forces @ torch.tensor(q.T)
        found.append(float(difference.abs().max() / forces.abs().max()))
    assert found[0] > 1e-7
    assert found[1] < 0.01 * found[0]
    assert found[2] < 1e-10


def test_reflections_matter():
    """The symmetry that is claimed is all there is."""
    model = small()
    numbers, positions, cell = crystal()
    forces = model.predict(graph(model, numbers, positions, cell)).forces
    mirrored = model.predict(graph(model, numbers, -positions, -cell)).forces
    assert (forces + mirrored).abs().max() > 1e-3 * forces.abs().max()


def pair(model, distance):
    ends = [[0.0, 0.0, 0.0], [0.0, 0.6 * distance, -0.8 * distance]]
    return graph(model, [3, 16], ends, 40.0 * np.eye(3))


def energy(model, inputs):
    return float(model(inputs).detach())


def test_the_fine_resolution_fades_with_two_derivatives():
    """What it changes in the energy of a pair goes as the third power of what is left."""
    model, coarse = small(n_basis=8), small(n_basis=8)
    coarse.near_cutoff = 0.1
    parts = []
    for left in (0.02, 0.01, 0.005):
        inputs = pair(model, model.near_cutoff - left)
        parts.append(energy(model, inputs) - energy(coarse, inputs))
    assert_close(np.divide(parts[:-1], parts[1:]), np.array([8.0, 8.0]), rtol=0.05, atol=0)


def test_near_neighbors_are_fine_and_far_ones_coarse():
    model, changes = small(), {}
    for part in ("fine", "coarse"):
        other = small()
        with torch.no_grad():
            for layer in other.layers:
                getattr(layer, part).last.bias.add_(0.1)
        for distance in (0.9, 4.0):
            inputs = pair(model, distance)
            changes[part, distance] = abs(energy(other, inputs) - energy(model, inputs))
    assert changes["coarse", 0.9] < 0.1 * changes["fine", 0.9]
    assert changes["fine", 4.0] == 0.0 < changes["coarse", 4.0]


def test_an_atom_alone_has_no_force():
    model = small()
    inputs = graph(model, [3], [[0.3, 0.2, 0.1]], 40.0 * np.eye(3))
    assert not model.predict(inputs).forces.any()
    with torch.no_grad():
        _, forces = model.heads(inputs)
    assert not forces.any()


def test_pieces_of_edges_are_the_whole(monkeypatch):
    model = small()
    inputs = graph(model, *crystal())
    expected = model.predict(inputs)
    monkeypatch.setattr(pieces, "_CACHE_BYTES", 100_000)
    found = model.predict(inputs)
    assert_close(found.energies, expected.energies, rtol=1e-12, atol=0)
    scale = float(expected.forces.abs().max())
    assert_close(found.forces, expected.forces, rtol=0, atol=1e-12 * scale)


def test_the_same_bits_again():
    for dtype in (torch.float32, torch.float64):
        model = small().to(dtype)
        inputs = graph(model, *crystal())
        one, other = model.predict(inputs), model.predict(inputs)
        assert torch.equal(one.energies, other.energies)
        assert torch.equal(one.forces, other.forces)


@pytest.mark.parametrize("max_order", [0, 1, 2])
def test_messages_against_a_naive_twin(max_order):
    """Edge by edge and turn by turn, with rotations of both ends' coefficients."""
    n_degrees, n_taps, n_channels = 4, 5, 3
    torch.manual_seed(4)
    message = module.Message(n_channels, 6, 5, n_degrees, max_order, n_taps).double()
    inputs = graph(small(), *crystal())
    frames = edge_frames(inputs.edge_vectors / inputs.edge_lengths[:, None])
    weights = torch.rand(inputs.n_edges, dtype=torch.float64)
    features = torch.randn(inputs.n_edges, 5, dtype=torch.float64)
    atoms = torch.randn(inputs.n_atoms, n_degrees**2, n_channels, dtype=torch.float64)
    framed = AlignedEdges.of(
        inputs.edge_index,
        inputs.back,
        frames,
        weights,
        n_atoms=inputs.n_atoms,
        n_degrees=n_degrees,
        max_order=max_order,
    )
    found = message(atoms, features, framed).detach()

    silu, expected = nn.functional.silu, torch.zeros_like(found)
    kept = orders_up_to(n_degrees, max_order).tolist()
    columns = [kept.index(place) for place in by_order(n_degrees, max_order)]
    with torch.no_grad():
        for tap in range(n_taps):
            angles = torch.full_like(weights, 2.0 * np.pi * tap / n_taps)
            turned = turned_by(angles)(frames[:, 2])
            turns = rotated_harmonics(turned, n_degrees, max_order)
            for edge, (i, j) in enumerate(inputs.edge_index.T.tolist()):
                ends = torch.stack([turns[edge] @ atoms[j], turns[edge] @ atoms[i]])
                hidden = torch.einsum("skc,skhc->h", ends, message.first) + message.bias
                hidden = silu(hidden) * silu(message.edge(features[edge]))
                told = silu(message.last(silu(message.second(hidden)))).view(-1, n_channels)
                back = turns[edge][columns].T @ told
                expected[i] += weights[edge] / n_taps * back
    assert_close(found, expected, rtol=0, atol=1e-12 * float(expected.abs().max()))
