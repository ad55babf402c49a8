"""LeftNet: its size, its equations written out, its frames, its symmetry and its cutoff."""

import math

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from mdbench.graph import build_graph
from mdbench.models import create, parse_name
from mdbench.models.leftnet import LeftNet, edge_frames
from mdbench.nn.envelopes import polynomial_envelope

LITTLE = {"cutoff": 4.5, "n_channels": 8, "n_layers": 2, "n_basis": 7}


def n_weights(module) -> int:
    return sum(p.numel() for p in module.parameters())


def little(seed=0, **options):
    """A model in float64 whose weights are all of them random and not small."""
    torch.manual_seed(seed)
    model = LeftNet(**(LITTLE | options)).eval()
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.2 * torch.randn_like(p))
    return model.double()


def graph_of(numbers, positions, cell, cutoff=4.5):
    return build_graph(numbers, positions, cell, cutoff, dtype=torch.float64)


def crystal(seed=1, n_atoms=4):
    rng = np.random.default_rng(seed)
    cell = 5.0 * np.eye(3) + rng.uniform(-1.0, 1.0, (3, 3))
    return rng.choice([3, 15, 16, 32], n_atoms), rng.uniform(0.0, 1.0, (n_atoms, 3)) @ cell, cell


def cluster(*places):
    return graph_of([3, 16, 8, 15, 3][: len(places)], np.array(places), 40.0 * np.eye(3))


def frames_of(graph, cutoff=4.5):
    directions = graph.edge_vectors / graph.edge_lengths[:, None]
    return edge_frames(directions, polynomial_envelope(graph.edge_lengths, cutoff)[:, None], graph)


def test_size():
    model = create(parse_name("leftnet"))
    counts = {name: n_weights(module) for name, module in model.named_children()}
    assert counts == {
        "basis": 0,
        "radial": 20_736,
        "embedding": 12_160,
        "neighbors": 12_160,
        "surroundings": 16_512,
        "structure": 161,
        "messages": 386_688 * 4 - 70_016,
        "updates": 115_200 * 4,
        "energy": 129,
        "force": 49_666 - 129,
    }
    assert [n_weights(m) for m in model.messages] == [386_688 - 70_016, *[386_688] * 3]
    assert [n_weights(u) for u in model.updates] == [115_200] * 4
    assert model.n_parameters == model.paper_parameters - 70_016 - 129
    # the last update has nothing to do for vectors that no head reads
    gradient = create(parse_name("leftnet"), forces="gradient")
    assert gradient.n_parameters == model.n_parameters - 49_537 - (128 * 128 + 128)


def silu(x):
    return x * torch.sigmoid(x)


def perceptron(layers, x):
    return layers[2](silu(layers[0](x)))


def soft(squares):
    return torch.sqrt(squares + 0.01) - 0.1


def twin(model, graph):
    """Energy and forces of one system, edge by edge."""
    n, width = graph.n_atoms, model.embedding.embedding_dim
    edges = list(zip(*graph.edge_index.tolist(), graph.edge_vectors, strict=True))
    centers, sharpness = model.basis.centers, (2 * (1 - math.exp(-5.0)) / 7) ** -2
    e, u, basis, f = [], [], [], []
    for _, _, r in edges:
        d = torch.linalg.vector_norm(r)
        e.append(r / d)
        u.append(polynomial_envelope(d, 4.5))
        basis.append(torch.exp(-sharpness * (torch.exp(-5.0 * d / 4.5) - centers) ** 2))
        f.append(u[-1] * perceptron(model.radial, u[-1] * basis[-1]))
    h = list(model.embedding(graph.atomic_numbers))
    beside = torch.zeros(n, 3, dtype=torch.float64)
    around = torch.zeros(n, 3, width, dtype=torch.float64)
    for k, (i, j, _) in enumerate(edges):
        h[i] = h[i] + model.neighbors(graph.atomic_numbers[j]) * f[k]
        beside[i] += u[k] * e[k]
    for k, (i, j, _) in enumerate(edges):
        around[i] += torch.outer(e[k], silu(model.surroundings.sent[0](h[j])) * f[k])
    structure = []
    for k, (i, j, _) in enumerate(edges):
        c = torch.linalg.cross(e[k], beside[i] + beside[j])
        c = c / torch.sqrt(1.0 + c @ c)
        seen = []
        for s in (around[i], around[j]):
            p = [e[k] @ s, soft((c @ s) ** 2), torch.linalg.cross(e[k], c) @ s]
            seen.append(perceptron(model.structure.scalars, torch.stack(p, 1))[:, 0] + p[0])
        structure.append(torch.cat([*(u[k] * s for s in seen), f[k], u[k] * basis[k]]))
    v = [torch.zeros(3, width, dtype=torch.float64) for _ in range(n)]
    for message, update in zip(model.messages, model.updates, strict=True):
        old_h, old_v = list(h), list(v)
        for k, (i, j, _) in enumerate(edges):
            m = perceptron(message.sent, old_h[j]) * (u[k] * message.filters(basis[k]))
            m = m * perceptron(message.structure, structure[k])
            scalars, along, *share = m.split(width)
            h[i] = h[i] + scalars
            v[i] = v[i] + torch.outer(e[k], along) / width**0.5
            if share:
                v[i] = v[i] + old_v[j] * share[0] / (3 * width) ** 0.5
        for i in range(n):
            one, two = update.mixed(v[i]).split(width, dim=1)
            gates = perceptron(update.gates, torch.cat([h[i], soft((one * one).sum(dim=0))]))
            a, b, c = gates.split(width)
            h[i] = h[i] + (a + b * (one * two).sum(dim=0) / width**0.5) / 2**0.5
            v[i] = v[i] + c * two
    forces = []
    for i in range(n):
        lengths = soft(model.force.measured(v[i]).square().sum(dim=0))
        gate = perceptron(model.force.gate, torch.cat([h[i], lengths]))
        forces.append(gate * model.force.kept(v[i])[:, 0])
    return sum(model.energy(x)[0] for x in h), torch.stack(forces)


@pytest.mark.parametrize("seed", [1, 2])
def test_it_is_what_is_written(seed):
    model, graph = little(seed), graph_of(*crystal(seed))
    energy, forces = twin(model, graph)
    found = model.predict(graph)
    assert_allclose(found.energies.item(), energy.item(), rtol=1e-10, atol=0)
    scale = float(forces.detach().abs().max())
    assert_allclose(found.forces, forces.detach(), rtol=0, atol=1e-10 * scale)


def test_frames():
    """e, c and e × c are at right angles; the latter two are shorter than 1, and equally long."""
    frames = frames_of(graph_of(*crystal()))
    products = frames @ frames.transpose(1, 2)
    lengths = products[:, 1, 1]
    expected = torch.zeros_like(products)
    expected[:, 0, 0], expected[:, 1, 1], expected[:, 2, 2] = 1.0, lengths, lengths
    assert_allclose(products, expected, rtol=0, atol=1e-14)
    assert (lengths > 0.0).all()
    assert (lengths < 1.0).all()


def test_frames_see_the_neighbors_of_both_ends():
    """A third atom bends the frame of a pair, as seen from either end, as far as it is seen."""
    for third in ([1.1, 1.9, 0.3], [-1.9, 2.4, 0.3]):  # a neighbor of both, of one
        graph = cluster([0.0, 0.0, 0.0], [2.5, 0.0, 0.0], third)
        frames = frames_of(graph)
        pair = [graph.edge_index.T.tolist().index(ends) for ends in ([0, 1], [1, 0])]
        one, other = frames[pair]
        assert_allclose(one[0], -other[0], rtol=0, atol=1e-15)
        assert_allclose(one[1], -other[1], rtol=0, atol=1e-15)
        assert_allclose(one[2], other[2], rtol=0, atol=1e-15)
        normal = np.cross([1.0, 0.0, 0.0], third)
        assert_allclose(np.cross(one[1].numpy(), normal), np.zeros(3), rtol=0, atol=1e-14)
        assert one[1] @ torch.tensor(normal) > 0.1


def moved_in(axis, size, where):
    """A line of atoms, or a cube and the images of its atom: one atom moved aside."""
    step = size * np.array([0.36, 0.48, 0.8])
    if where == "line":
        line = np.outer([-2.1, 0.0, 1.9, 4.0], axis)
        line[1] += step
        return [3, 16, 8, 3], line, 40.0 * np.eye(3)
    places = 2.6 * np.array(list(np.ndindex(2, 2, 2)), dtype=float)
    places[0] += step
    return [16] * 8, places, 5.2 * np.eye(3)


@pytest.mark.parametrize("where", ["line", "cube"])
def test_forces_where_frames_vanish(where):
    """Finite, derivatives of the energy, and continuous with their derivative."""
    model, axis = little(forces="gradient"), np.array([0.6, 0.0, -0.8])

    def energy_and_force(size):
        found = model.predict(graph_of(*moved_in(axis, size, where)))
        moved = found.forces[1 if where == "line" else 0].numpy()
        return found.energies.item(), moved @ [0.36, 0.48, 0.8]

    assert where != "cube" or not frames_of(graph_of(*moved_in(axis, 0.0, where)))[:, 1].any()
    h = 1e-3
    (_, behind), (_, here), (_, ahead) = (energy_and_force(k * h) for k in (-1, 0, 1))
    slope = (energy_and_force(-1e-4)[0] - energy_and_force(1e-4)[0]) / 2e-4
    curvature = abs(ahead - behind) / (2 * h)
    assert curvature > 0.0
    assert_allclose(here, slope, rtol=0, atol=1e-5 * curvature)
    # left and right slopes of the force, which a kink at 0 would tear apart
    assert abs((ahead - here) - (here - behind)) < 1e-2 * curvature * h


def chiral():
    """Five atoms in general positions, and their mirror image."""
    places = np.array(
        [[0.0, 0, 0], [2.0, 0.3, 0], [0.4, 1.9, 0.5], [1.7, 1.5, 1.9], [-1.3, 0.8, 1]]
    )
    return cluster(*places), cluster(*(places * [1.0, 1.0, -1.0]))


def test_a_mirror_image_has_mirrored_forces():
    one, other = (little().predict(graph) for graph in chiral())
    assert_allclose(one.energies, other.energies, rtol=1e-12, atol=0)
    mirrored = one.forces * torch.tensor([1.0, 1.0, -1.0])
    assert_allclose(other.forces, mirrored, rtol=0, atol=1e-12 * float(one.forces.abs().max()))


def test_one_projection_of_three_changes_sign_in_a_mirror():
    """So that nothing but its sign could tell a mirror image."""
    model, seen = little(), []
    model.structure.register_forward_pre_hook(lambda _, inputs: seen.append(inputs))
    projections = []
    for graph in chiral():
        model(graph)
        surroundings, frames, _ = seen.pop()
        projections.append(frames @ surroundings[graph.edge_index[0]])
    one, other = projections
    mirrored = one * torch.tensor([1.0, -1.0, 1.0])[:, None]
    assert one[:, 1].abs().min() > 0.0
    assert_allclose(other.detach(), mirrored.detach(), rtol=0, atol=1e-13)


def test_the_second_and_third_vector_matter(monkeypatch):
    """Without them the energies are others."""
    graph, model = graph_of(*crystal()), little()
    energy = model(graph).item()
    for row in (1, 2):
        keep = torch.ones(3, 1, dtype=torch.float64)
        keep[row] = 0.0
        with monkeypatch.context() as patch:
            patch.setattr(
                "mdbench.models.leftnet.edge_frames", lambda *a, k=keep: edge_frames(*a) * k
            )
            assert abs(model(graph).item() - energy) > 1e-6 * abs(energy)


@pytest.mark.parametrize("forces", ["direct", "gradient"])
def test_an_edge_vanishes_at_the_cutoff_with_two_derivatives(forces):
    """Its part of the energy goes as the third power of what is left; so do direct forces."""
    model, parts, axis = little(forces=forces), [], np.array([0.0, -0.6, -0.8])
    others = [[0.0, 0.0, 0.0], [1.6, 1.2, 0.3], [-0.9, 1.9, 0.8]]
    for left in (0.01, 0.005):
        ends = []
        for distance in (4.5 - left, 4.5 + left):
            found = model.predict(cluster(*others, distance * axis))
            ends.append([found.energies.item(), found.forces[0].numpy() @ axis])
        parts.append(np.abs(np.subtract(*ends)))
    assert (parts[1] > 0.0).all()
    expected = [8.0, 8.0 if forces == "direct" else 4.0]
    assert_allclose(parts[0] / parts[1], expected, rtol=0.06, atol=0)
