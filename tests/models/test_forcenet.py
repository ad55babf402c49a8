"""ForceNet: its equations written out, its counts, its element features, what was mended in it."""

import math

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch.nn import functional
from torch.testing import assert_close

from mdbench.graph import build_graph
from mdbench.models import create, parse_name
from mdbench.models.elements import elements
from mdbench.models.forcenet import ForceNet, covalent_radii, element_features
from mdbench.nn.envelopes import polynomial_envelope
from mdbench.potentials.materials import material

LITTLE = {"cutoff": 4.5, "n_channels": 8, "n_layers": 2, "n_frequencies": 12}


def little(seed=0, **options) -> ForceNet:
    """A model in float64 whose weights are all of them random."""
    torch.manual_seed(seed)
    model = ForceNet(**(LITTLE | options))
    generator = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.1 * torch.randn(p.shape, generator=generator))
    return model.double()


def crystal(seed=1, n_atoms=4):
    rng = np.random.default_rng(seed)
    cell = 5.0 * np.eye(3) + rng.uniform(-1.0, 1.0, (3, 3))
    return rng.choice([3, 15, 16, 32], n_atoms), rng.uniform(0.0, 1.0, (n_atoms, 3)) @ cell, cell


def graph_of(numbers, positions, cell, cutoff=4.5):
    return build_graph(numbers, positions, cell, cutoff, dtype=torch.float64)


def harmonics(direction):
    """(9,) in the order of `spherical_harmonics`, of mean square 1."""
    x, y, z = direction
    first = [y, z, x]
    root = math.sqrt(3.0)
    second = [root * x * y, root * y * z, (3 * z * z - 1) / 2, root * x * z]
    second.append(root * (x * x - y * y) / 2)
    scaled = [*(root * v for v in first), *(math.sqrt(5.0) * v for v in second)]
    return torch.stack([torch.ones_like(x), *scaled])


def sines(values, n):
    return torch.stack([torch.sin(1.1**k * v) for v in values for k in range(n)])


def twin(model, graph):
    """(energy, forces), edge by edge, with h_t ⊕ h_s ⊕ e_st as the paper has it."""
    n, radii = model.basis.n_frequencies, torch.as_tensor(covalent_radii())
    features = torch.as_tensor(element_features())
    atoms = [model.embedding(sines(features[z], n)) for z in graph.atomic_numbers]
    for layer in model.interactions:
        values = [layer.values(h) for h in atoms]
        sums = [layer.itself[0] * v for v in values]
        for t, s, vector in zip(*graph.edge_index, graph.edge_vectors, strict=True):
            d, ends = vector.norm(), radii[graph.atomic_numbers[torch.stack([t, s])]]
            distances = [d, d - ends[1], d - ends[0], d - ends.sum()]
            radial = model.basis.radial(sines([x / model.cutoff for x in distances], n))
            edge = layer.from_basis(torch.outer(radial, harmonics(vector / d)).flatten())
            filters = layer.filters(layer.joint(torch.cat([edge, atoms[s], atoms[t]])))
            sums[t] = sums[t] + polynomial_envelope(d, model.cutoff) * filters * values[s]
        atoms = [h + normed(layer.update, total) for h, total in zip(atoms, sums, strict=True)]
    last = [functional.silu(model.last(h)) for h in atoms]
    return sum(model.energy(h)[0] for h in last), torch.stack(
        [normed(model.decoder, h) for h in last]
    )


def normed(layers, x):
    first, norm, _, second = layers
    x = first(x)
    x = (x - x.mean()) / torch.sqrt(x.var(correction=0) + 1.0)
    return second(functional.silu(norm.weight * x + norm.bias))


@pytest.mark.parametrize("seed, n_atoms", [(1, 4), (2, 3)])
def test_it_is_what_the_paper_writes(seed, n_atoms):
    model, graph = little(seed), graph_of(*crystal(seed, n_atoms))
    found = model.predict(graph)
    with torch.no_grad():
        energy, forces = twin(model, graph)
    # constants are single precision
    assert_allclose(found.energies.item(), energy.item(), rtol=2e-6, atol=0)
    assert_close(found.forces, forces, rtol=0, atol=2e-6 * float(forces.abs().max()))


def test_the_counts_are_the_published_ones():
    model = ForceNet()

    def count(module):
        return sum(p.numel() for p in module.parameters())

    assert count(model.embedding) == 230_912
    assert count(model.basis) == 804
    assert [count(layer) for layer in model.interactions] == [2_120_704] * 5
    assert count(model.last) == 262_656
    assert count(model.decoder) == 265_219
    assert count(model.energy) == 513
    assert model.n_parameters == 11_363_624
    frozen = 101 * 9 + 101 + 50 * 9 + 50 * 4  # features, radii, frequencies of both
    assert model.paper_parameters == model.n_parameters + frozen
    assert ForceNet(forces="gradient").n_parameters == 11_363_624 - 265_219


def test_features_of_the_elements():
    features = element_features()
    assert features.shape == (101, 9)
    assert not features[0].any()
    assert_allclose(features[1:].min(axis=0), -np.ones(9), rtol=1e-15, atol=0)
    assert_allclose(features[1:].max(axis=0), np.ones(9), rtol=1e-15, atol=0)
    assert len(np.unique(features[1:], axis=0)) == 100
    assert_allclose(features[3, :2], [-1.0, -2.0 / 3.0], rtol=1e-15, atol=0)  # lithium
    assert_allclose(features[[1, 5, 21, 57], 7], [-1.0, -1.0 / 3.0, 1.0 / 3.0, 1.0], rtol=1e-15)
    known = [e.atomic_number for e in elements() if not math.isnan(e.electronegativity)]
    unknown = sorted(set(range(1, 101)) - set(known))
    assert unknown == [2, 10, 18]
    assert_allclose(features[unknown, 2], features[known, 2].mean(), rtol=1e-12, atol=0)


@pytest.mark.parametrize("pair, radius", [((3, 16), 1.28 + 1.05), ((3, 3), 1.28), ((3, 8), 0.66)])
def test_there_is_no_kink_where_atoms_touch(pair, radius):
    """As there would be if distances less the radii were kept positive."""
    model, cell, step = little(), 40.0 * np.eye(3), 1e-4

    def forces(d):
        direction = np.array([0.48, 0.6, 0.64])
        return model.predict(graph_of(pair, [np.zeros(3), d * direction], cell)).forces

    left, at, right = (forces(radius + 1e-3 * 4.5 + k * step) for k in (-1, 0, 1))
    slope = (right - left).abs().max() / (2 * step)
    change = (right - 2 * at + left).abs().max() / step
    assert slope > 0.0
    assert change < 0.01 * slope


def test_outputs_begin_of_order_one():
    """At the published size, where sums over neighbors would be multiplied up layer by layer."""
    lgps = material("lgps")
    for name in ("forcenet", "forcenet-small"):
        model = create(parse_name(name))
        graph = build_graph(lgps.atomic_numbers, lgps.positions, lgps.cell, model.cutoff)
        found = model.predict(graph)
        assert 0.05 < found.forces.square().mean().sqrt() < 2.0
        assert abs(float(found.energies)) < 3.0 * graph.n_atoms


def test_a_lone_pair_parts_gently():
    """The norm of an atom with a single weak message does not make it strong."""
    cell, distances = 40.0 * np.eye(3), np.array([1.5, 2.0, 2.5, 3.0, 0.95 * 4.5, 0.98 * 4.5])
    for seed in range(4):
        model, alone = little(seed), []
        for number in (3, 16):
            graph = graph_of([number], [np.zeros(3)], cell)
            alone.append(model.predict(graph).forces)
        changes = []
        for d in distances:
            graph = graph_of([3, 16], [np.zeros(3), [0.6 * d, 0.0, 0.8 * d]], cell)
            changes.append((model.predict(graph).forces - torch.cat(alone)).abs().max())
        assert 0.0 < changes[-1] < changes[-2]
        assert changes[-1] < 0.01 * max(changes)


def test_one_atom_twice_is_twice_the_energy():
    """Also without neighbors: an energy has its bias once for every atom."""
    model, cell = little(), 40.0 * np.eye(3)
    one = model(graph_of([3], [np.zeros(3)], cell))
    two = model(graph_of([3, 3], [np.zeros(3), np.full(3, 20.0)], cell))
    assert_close(two, 2.0 * one, rtol=1e-12, atol=0)


def test_the_frame_matters():
    """As designed: rotations are not built in, nor is Newton's third law."""
    model, (numbers, positions, cell) = little(), crystal()
    turn = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    forces = model.predict(graph_of(numbers, positions, cell)).forces
    turned = model.predict(graph_of(numbers, positions @ turn.T, cell @ turn.T)).forces
    scale = forces.abs().max()
    assert (turned - forces @ torch.as_tensor(turn).T).abs().max() > 0.05 * scale
    assert forces.sum(dim=0).abs().max() > 0.05 * scale


def test_the_decoder_does_not_touch_energies():
    direct = little()
    gradient = little(forces="gradient")
    weights = {k: v for k, v in direct.state_dict().items() if not k.startswith("decoder")}
    gradient.load_state_dict(weights)
    graph = graph_of(*crystal())
    one, other = direct.predict(graph), gradient.predict(graph)
    assert_close(one.energies, other.energies, rtol=1e-13, atol=0)
    assert one.virials.isnan().all()
    scale = other.forces.abs().max()
    assert (one.forces - other.forces).abs().max() > 0.05 * scale
    assert other.forces.sum(dim=0).abs().max() < 1e-12 * scale
