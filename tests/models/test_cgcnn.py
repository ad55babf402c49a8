"""CGCNN: its equations written out, its counts, its normalization and its published faults."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from mdbench.errors import InputError
from mdbench.graph import build_graph
from mdbench.models.cgcnn import Cgcnn
from mdbench.nn.envelopes import polynomial_envelope

LITTLE = {"cutoff": 4.5, "n_channels": 6, "n_hidden": 2, "n_basis": 5}


def little(seed=0, **options):
    """A model in float64 whose weights are all of them random."""
    torch.manual_seed(seed)
    model = Cgcnn(**(LITTLE | options)).eval()
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.1 * torch.randn_like(p))
        for name, buffer in model.named_buffers():
            if "running" in name:
                buffer.add_(0.5 * torch.rand_like(buffer))
    return model.double()


def crystal(seed=1, n_atoms=4):
    rng = np.random.default_rng(seed)
    cell = 5.0 * np.eye(3) + rng.uniform(-1.0, 1.0, (3, 3))
    return rng.choice([3, 15, 16, 32], n_atoms), rng.uniform(0.0, 1.0, (n_atoms, 3)) @ cell, cell


def graph_of(*parts, cutoff=4.5, dtype=torch.float64):
    numbers, positions, cells = zip(*parts, strict=True)
    return build_graph(
        np.concatenate(numbers),
        np.concatenate(positions),
        np.array(cells),
        cutoff,
        first_atom=np.cumsum([0, *(len(n) for n in numbers)]),
        dtype=dtype,
    )


def twin(model, graph):
    """One system's energy, edge by edge, with z = v_i ⊕ v_j ⊕ u_ij as the paper has it."""
    atoms = [model.embedding(model.element_bits[z]) for z in graph.atomic_numbers]
    for layer in model.convolutions:
        norm, sums, zs = layer.edge_norm, [torch.zeros_like(v) for v in atoms], []
        for i, j, d in zip(*graph.edge_index, graph.edge_lengths, strict=True):
            u = torch.exp(-((d - model.basis.centers) ** 2) / (2 * model.basis.width**2))
            zs.append(layer.linear(torch.cat([atoms[i], atoms[j], u])))
        mean, variance = norm.running_mean, norm.running_var
        if not norm.fixed:
            variance, mean = torch.var_mean(torch.stack(zs), dim=0, correction=0)
        for i, d, z in zip(graph.edge_index[0], graph.edge_lengths, zs, strict=True):
            z = (z - mean) / torch.sqrt(variance + 1e-5)
            gate, core = (z * norm.weight + norm.bias).chunk(2)
            message = torch.sigmoid(gate) * torch.log1p(torch.exp(core))
            if model.envelope:
                message = message * polynomial_envelope(d, model.cutoff)
            sums[i] = sums[i] + message
        atoms = [v + layer.atom_norm(s) for v, s in zip(atoms, sums, strict=True)]
    if model.pools_features:
        return model.readout(sum(atoms) / len(atoms))[0]
    return sum(model.readout(v)[0] for v in atoms)


@pytest.mark.parametrize("variant", [{}, dict(Cgcnn.PUBLISHED)], ids=["corrected", "published"])
def test_it_is_what_the_paper_writes(variant):
    model, parts = little(**variant), [crystal(1), crystal(2, 3)]
    expected = [twin(model, graph_of(part)).item() for part in parts]
    assert_allclose(model(graph_of(*parts)).detach(), expected, rtol=1e-10, atol=0)


def test_the_counts_are_the_published_ones():
    model = Cgcnn()

    def count(module):
        return sum(p.numel() for p in module.parameters())

    assert count(model.embedding) == 11_904
    assert [count(layer) for layer in model.convolutions] == [92_160, 92_160]
    assert [count(layer) for layer in model.readout] == [16_512, 0, 16_512, 0, 16_512, 0, 129]
    assert count(model.basis) == 101
    assert model.n_parameters == model.paper_parameters == 245_990


@pytest.mark.parametrize("repeats", [2, 3])
def test_the_published_mean_divides_the_forces_of_a_supercell(repeats):
    numbers, positions, cell = crystal()
    large = np.diag([repeats, 1, 1]) @ cell
    moved = [positions + k * cell[0] for k in range(repeats)]
    for options, divisor in ((Cgcnn.PUBLISHED, repeats), ({}, 1)):
        model = little(**options)
        one = model.predict(graph_of((numbers, positions, cell)))
        many = model.predict(graph_of((np.tile(numbers, repeats), np.concatenate(moved), large)))
        forces = many.forces[: len(numbers)] * divisor
        assert (forces - one.forces).abs().max() < 1e-11 * one.forces.abs().max()
        assert_allclose(many.energies * divisor, one.energies * repeats, rtol=1e-11, atol=0)


def test_without_an_envelope_the_energy_jumps():
    def energies(model):
        pairs = [([3, 16], [[0, 0, 0], [d, 0, 0]], 30.0 * np.eye(3)) for d in (4.499999, 4.500001)]
        return model.predict(graph_of(*pairs)).energies

    near, far = energies(little(envelope=None))
    assert abs(near - far) > 1e-3 * abs(far)
    near, far = energies(little())
    assert_allclose(near, far, rtol=1e-12, atol=0)


def test_a_lone_pair_parts_gently():
    """Normalization of messages does not make the envelope's end a cliff."""
    distances = np.array([1.5, 2.0, 2.5, 3.0, 3.5, 0.98 * 4.5])
    pairs = [([3, 16], [[0, 0, 0], [d, 0, 0]], 30.0 * np.eye(3)) for d in distances]
    for seed in range(4):
        forces = little(seed).predict(graph_of(*pairs)).forces[::2, 0].abs()
        assert 0.0 < forces[-1] < 0.03 * forces[:-1].max()


def test_batches_can_be_added_up_before_a_step_back():
    """Statistics of a later batch must not spoil the derivatives of an earlier one."""
    parts, model = [graph_of(crystal(k)) for k in (1, 2)], little().train()
    for graph in parts:
        loss(model, graph).backward()
    expected = {name: p.grad for name, p in model.named_parameters()}
    again = little().train()
    sum(loss(again, graph) for graph in parts).backward()
    for name, p in again.named_parameters():
        assert_allclose(p.grad, expected[name], rtol=1e-9, atol=1e-12, err_msg=name)


def loss(model, graph):
    found = model.predict(graph, create_graph=True)
    return found.forces.square().sum() + found.energies.square().sum()


def test_statistics_go_into_a_checkpoint():
    model = little().train()
    model.predict(graph_of(crystal()))
    other = little(seed=5)
    other.load_state_dict(model.state_dict())
    graph = graph_of(crystal(4))
    assert torch.equal(other.predict(graph).forces, model.eval().predict(graph).forces)
    assert int(other.convolutions[0].edge_norm.n_batches) == 1


@pytest.mark.parametrize(
    "options, message",
    [
        ({"readout": "max"}, "^readout 'max'; did you mean mean"),
        ({"norm": "fix"}, "^norm 'fix'; did you mean fixed"),
        ({"envelope": "cos"}, "^envelope 'cos'; did you mean cosine"),
    ],
)
def test_unknown_options_are_one_line(options, message):
    with pytest.raises(InputError, match=message):
        Cgcnn(**LITTLE, **options)
