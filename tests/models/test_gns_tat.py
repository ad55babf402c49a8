"""GNS-TAT: its attention edge by edge, its size, and what its corrections are for."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import nn
from torch.nn import functional

from mdbench.errors import InputError
from mdbench.graph import build_graph
from mdbench.models import create, parse_name
from mdbench.models.gns_tat import GnsTat
from mdbench.nn.envelopes import envelope as envelope_of

LITTLE = {"cutoff": 4.5, "n_channels": 8, "n_layers": 3, "n_heads": 2, "n_basis": 12}


def n_weights(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def little(seed=0, **options) -> GnsTat:
    """In float64, with random weights everywhere."""
    torch.manual_seed(seed)
    model = GnsTat(**(LITTLE | options)).eval()
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.1 * torch.randn_like(p))
    return model.double()


def graph_of(model, numbers, positions, cell):
    return build_graph(numbers, positions, cell, model.cutoff, dtype=model.dtype)


def crystal(seed=1, n_atoms=4):
    rng = np.random.default_rng(seed)
    cell = 5.0 * np.eye(3) + rng.uniform(-1.0, 1.0, (3, 3))
    return rng.choice([3, 15, 16, 32], n_atoms), rng.uniform(0.0, 1.0, (n_atoms, 3)) @ cell, cell


def attended(layer, atoms, vectors, graph, model):
    """One layer, edge by edge and head by head."""
    n_channels, heads = atoms.shape[1], layer.n_heads
    envelope = envelope_of("polynomial" if model.vector_envelope else "cosine")
    normed = layer.norm(atoms)
    query, key, value = layer.query(normed), layer.key(normed), layer.value(normed)
    scalars, heard = torch.zeros_like(atoms), torch.zeros_like(vectors)
    edges = zip(*graph.edge_index, graph.edge_vectors, graph.edge_lengths, strict=True)
    for i, j, vector, length in edges:
        radial = torch.exp(-0.5 * ((length - model.basis.centers) / model.basis.width) ** 2)
        phi = envelope(length, model.cutoff)
        score = (query[i] * key[j] * functional.silu(layer.key_filters(radial))).view(heads, -1)
        weights = functional.silu(score.sum(dim=1)) * phi
        parts = (value[j] * functional.silu(layer.filters(radial))).split(n_channels)
        scalars[i] += (parts[0].view(heads, -1) * weights[:, None]).flatten()
        message = vector[:, None] / length * parts[1]
        if len(parts) == 3:
            message = message + vectors[j] * parts[2]
        heard[i] += message * phi if model.vector_envelope else message
    out = layer.output(scalars).split(n_channels, dim=1)
    if len(out) == 1:
        return atoms + out[0], heard
    one, two, three = layer.mixed(vectors).split(n_channels, dim=2)
    changed = vectors + heard + three * out[0][:, None]
    return atoms + (one * two).sum(dim=1) * out[1] + out[2], changed


@pytest.mark.parametrize("options", [{}, dict(GnsTat.PUBLISHED)], ids=["corrected", "published"])
def test_attention_is_what_the_paper_writes(options):
    model = little(**options)
    graph = graph_of(model, *crystal())
    edges, atoms = model._edges(graph), model.embedding(graph.atomic_numbers)
    vectors = torch.zeros(len(atoms), 3, atoms.shape[1], dtype=model.dtype)
    assert graph.n_edges > 30
    with torch.no_grad():
        for layer in model.attentions:
            expected = attended(layer, atoms, vectors, graph, model)
            atoms, vectors = layer(atoms, vectors, edges)
            for one, other in zip((atoms, vectors), expected, strict=True):
                assert_allclose(one, other, rtol=0, atol=1e-12 * float(other.abs().max()))


@pytest.mark.parametrize("options", [{}, {"regularizer": 1e-5, "anisotropic": True}])
def test_whitening_is_what_the_paper_writes(options):
    whitening = little(**options).whitening
    vectors = torch.randn(6, 3, 8, dtype=torch.float64)
    found = whitening(vectors).detach().numpy()
    for v, w in zip(vectors.numpy(), found, strict=True):
        centered = v - v.mean(axis=1, keepdims=True)
        covariance = centered @ centered.T / 8 + whitening.regularizer.numpy()
        values, axes = np.linalg.eigh(covariance)
        expected = (axes * values**-0.5) @ axes.T @ centered * whitening.weight.detach().numpy()
        assert_allclose(w, expected, rtol=0, atol=1e-9 * np.abs(expected).max())


def test_size():
    """Parts of the published count of 1,968,872, less what could never matter."""
    model = create(parse_name("gns-tat"))
    first, *others = (n_weights(layer) for layer in model.attentions)
    assert n_weights(model.embedding) == 12_800
    assert n_weights(model.basis) == 101
    assert others == [233_600 - 384] * 7
    assert first == others[0] - 49_152 - 33_024 - 29_440  # vectors; what they are times; carried
    assert n_weights(model.norm) + n_weights(model.whitening) == 384
    assert n_weights(model.gated) == 74_176 - 128 - 64
    assert (
        n_weights(model.energy) == 12_611 - 64 - 65 - 65
    )  # biases; vectors and gates that are not used
    assert model.n_parameters == model.paper_parameters - 3_329 - 111_745 == 1_853_798
    assert GnsTat(**GnsTat.PUBLISHED).n_parameters == model.paper_parameters - 29_440 - 130
    assert 15_000 < create(parse_name("gns-tat-small")).n_parameters < 100_000


def turned(system, seed=3):
    numbers, positions, cell = system
    q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return numbers, positions @ q.T, cell @ q.T


@pytest.mark.parametrize(
    "options, turns",
    [
        ({}, True),
        ({"vector_biases": True}, False),
        ({"regularizer": 1e-5, "anisotropic": True}, False),
        ({"regularizer": 3e-5}, True),
    ],
)
def test_each_of_two_faults_singles_out_a_direction(options, turns):
    model = little(**options)
    energies = [model(graph_of(model, *system)).item() for system in (crystal(), turned(crystal()))]
    assert (abs(energies[1] - energies[0]) < 1e-11 * abs(energies[0])) is turns


@pytest.mark.parametrize("repeats", [2, 3])
def test_the_published_mean_divides_the_forces_of_a_supercell(repeats):
    numbers, positions, cell = crystal()
    large = np.diag([repeats, 1, 1]) @ cell
    moved = np.concatenate([positions + k * cell[0] for k in range(repeats)])
    for options, divisor in (({"readout": "mean"}, repeats), ({}, 1)):
        model = little(**options)
        one = model.predict(graph_of(model, numbers, positions, cell))
        many = model.predict(graph_of(model, np.tile(numbers, repeats), moved, large))
        forces = many.forces[: len(numbers)] * divisor
        assert (forces - one.forces).abs().max() < 1e-11 * one.forces.abs().max()


def test_without_an_envelope_on_vectors_the_energy_jumps():
    others = [[0.0, 0.0, 0.0], [1.6, 1.2, 0.3]]

    def jump(model):
        ends = [
            graph_of(model, [3, 16, 8], [*others, [0.0, -0.6 * d, -0.8 * d]], 40.0 * np.eye(3))
            for d in (4.5 - 1e-7, 4.5 + 1e-7)
        ]
        assert [graph.n_edges for graph in ends] == [4, 2]
        return abs(model(ends[0]).item() - model(ends[1]).item())

    assert jump(little(vector_envelope=False)) > 1e-4
    assert jump(little()) < 1e-12


def forces_near_a_lattice(model, shift):
    """(8, 3) of a perfect cubic lattice with one atom moved by a shift (3,) Å."""
    places = 2.9 * np.array(list(np.ndindex(2, 2, 2)), dtype=float)
    places[0] += shift
    graph = graph_of(model, np.full(8, 16), places, 5.8 * np.eye(3))
    return model.predict(graph).forces.numpy()


def test_forces_are_linear_about_a_perfect_lattice():
    """All vectors vanish there: lengths and whitening must not make a kink of that."""
    for size in (1e-7, 1e-4):
        shift = size * np.array([0.48, -0.6, 0.64])
        once, twice = (forces_near_a_lattice(little(), k * shift)[0] for k in (1, 2))
        assert np.isfinite(once).all()
        assert np.abs(twice - 2 * once).max() < 2e-2 * size**0.25 * np.abs(twice).max()


def test_training_on_a_perfect_lattice_is_finite():
    model = little()
    places = 2.9 * np.array(list(np.ndindex(2, 2, 2)), dtype=float)
    found = model.predict(
        graph_of(model, np.full(8, 16), places, 5.8 * np.eye(3)), create_graph=True
    )
    (found.forces.square().sum() + found.energies.square().sum()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_a_lone_pair_parts_gently():
    """The norms do not blow up the weak vectors of an atom whose one neighbor leaves."""
    pairs = [np.array([[0, 0, 0], [d, 0, 0]]) for d in (1.5, 2.0, 2.5, 3.0, 3.5, 0.98 * 4.5)]
    for seed in range(4):
        model = little(seed)
        forces = [
            abs(float(model.predict(graph_of(model, [3, 16], x, 30.0 * np.eye(3))).forces[0, 0]))
            for x in pairs
        ]
        assert 0.0 < forces[-1] < 0.03 * max(forces[:-1])


def test_energies_of_untrained_models_are_of_order_one():
    for name in ("gns-tat", "gns-tat-small"):
        model = create(parse_name(name))
        numbers, positions, cell = crystal(5, 8)
        graph = graph_of(model, numbers, positions, cell * 1.3)
        assert abs(float(model.predict(graph).energies)) < 8.0


@pytest.mark.parametrize(
    "options, message",
    [
        ({"readout": "max"}, "^readout 'max'"),
        ({"envelope": "cos"}, "^envelope 'cos'"),
        ({"n_heads": 3}, "^n_heads: expected a divisor of 8, found 3"),
    ],
)
def test_unknown_options_are_one_line(options, message):
    with pytest.raises(InputError, match=message):
        GnsTat(**(LITTLE | options))
