"""DeeperGATGNN: its equations written out, its counts, its corrections and its published faults."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch.nn import functional

from mdbench.errors import InputError
from mdbench.models.deeper_gatgnn import DeeperGatgnn
from mdbench.nn.envelopes import polynomial_envelope
from mdbench.testing.systems import System, cluster, graph, random_system, supercell

LITTLE = {
    "cutoff": 4.0,
    "n_embedding": 5,
    "n_channels": 6,
    "n_layers": 2,
    "n_heads": 3,
    "n_groups": 2,
    "n_basis": 7,
}


def little(seed=0, **options):
    """A model in float64 whose weights and statistics are all of them random."""
    torch.manual_seed(seed)
    model = DeeperGatgnn(**(LITTLE | options)).eval()
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.2 * torch.randn_like(p))
        for name, buffer in model.named_buffers():
            if "running" in name:
                buffer.add_(0.5 * torch.rand_like(buffer))
    return model.double()


def predict(model, *systems):
    return model.predict(graph(model, *systems))


def normed(norm, rows):
    mean, variance = norm.running_mean, norm.running_var
    if not norm.fixed:
        variance, mean = torch.var_mean(rows, dim=0, correction=0)
    return (rows - mean) / torch.sqrt(variance + 1e-5) * norm.weight + norm.bias


def heard(layer, x, i, j, e, u):
    """What atoms hear, with the whole matrix W on both ends of each edge, as the paper has it."""
    n_heads, n_channels = len(layer.to_scores), len(layer.bias)
    weights = torch.cat([layer.from_atoms, layer.from_pairs])
    own, other = (
        functional.softplus(torch.cat([x[k], e], dim=1) @ weights).view(-1, n_heads, n_channels)
        for k in (i, j)
    )
    scores = (torch.cat([own, other], dim=2) * layer.to_scores).sum(dim=2)
    scores = normed(layer.score_norm, functional.softplus(scores))
    scores = -torch.logaddexp(-scores, torch.full_like(scores, -layer.max_score))
    exponentials = functional.softplus(scores).exp()
    heard = []
    for k in range(len(x)):
        w = exponentials[i == k]
        if u is None:
            attention = torch.softmax(w.log(), dim=0)
        else:
            w = w * u[i == k, None]
            attention = w / (1.0 + w.sum(dim=0))
        heard.append((attention[:, :, None] * other[i == k]).sum(dim=0).mean(dim=0) + layer.bias)
    return torch.stack(heard)


def twin(model, system):
    """One system's energy, edge by edge and atom by atom."""
    inputs = graph(model, system)
    i, j = inputs.edge_index
    d = inputs.edge_lengths
    e = model.to_features(
        torch.exp(-((d[:, None] - model.basis.centers) ** 2) / (2 * model.basis.width**2))
    )
    e = functional.leaky_relu(e, 0.2) if model.bends else 0.2 * e + 0.8 * functional.silu(e)
    u = model.envelope and polynomial_envelope(d, model.cutoff)
    x = functional.leaky_relu(model.to_channels(model.embedding(inputs.atomic_numbers)), 0.2)
    for layer, norm in zip(model.layers, model.norms, strict=True):
        h = heard(layer, x, i, j, e, u)
        groups = torch.softmax(h @ norm.to_groups.weight.T, dim=1)
        n_channels = h.shape[1]
        for g in range(groups.shape[1]):
            rows = normed_part(norm.norm, groups[:, g, None] * h, g * n_channels)
            x = x + 0.01 * rows
        x = x + h
    scores = model.scores(x)
    if model.pools_features:
        return model.readout((torch.softmax(scores, dim=0) * x).sum(dim=0))[0]
    return model.readout(x / (1.0 + torch.exp(-scores))).sum()


def normed_part(norm, rows, start):
    """Rows normalized as channels from the start on."""
    wide = rows.new_zeros(len(rows), len(norm.weight))
    wide[:, start : start + rows.shape[1]] = rows
    return normed(norm, wide)[:, start : start + rows.shape[1]]


@pytest.mark.parametrize("options", [{}, dict(DeeperGatgnn.PUBLISHED)], ids=["ours", "published"])
def test_it_is_what_the_paper_writes(options):
    model, systems = little(**options), [random_system(1), random_system(2, (1, 2, 3))]
    expected = [twin(model, system).item() for system in systems]
    found = predict(model, *systems).energies
    assert_allclose(found, expected, rtol=1e-10, atol=0)


def test_the_counts_are_the_published_ones():
    model = DeeperGatgnn()

    def count(module):
        return sum(p.numel() for p in module.parameters())

    assert count(model.embedding) == 12_800
    assert count(model.basis) == 101
    assert count(model.to_channels) == 128 * 64 + 64
    assert count(model.to_features) == 100 * 64 + 64
    assert [count(layer) for layer in model.layers] == [33_352] * 5
    assert [count(norm) for norm in model.norms] == [1_920] * 5
    assert count(model.scores) == 14_145 - 5_760
    assert [count(layer) for layer in model.readout] == [4_160, 0, 65]
    assert model.n_parameters == model.paper_parameters - 5_760 == 216_591


@pytest.mark.parametrize("repeats", [2, 3])
def test_the_published_softmax_over_a_system_divides_the_forces_of_a_supercell(repeats):
    system = random_system(3)
    for options, divisor in ((DeeperGatgnn.PUBLISHED, repeats), ({}, 1)):
        model = little(**options)
        one, many = predict(model, system), predict(model, supercell(system, (repeats, 1, 1)))
        forces = many.forces[: len(system.numbers)] * divisor
        assert (forces - one.forces).abs().max() < 1e-11 * one.forces.abs().max()
        assert_allclose(many.energies * divisor, one.energies * repeats, rtol=1e-11, atol=0)


def test_only_a_softmax_over_a_system_reaches_beyond_its_edges():
    near, far = [[0, 0, 0], [1.3, 0.9, 1.5]], [[18.0, 1.0, 0.0], [19.2, 2.1, 1.0]]
    alone, both = cluster(*near), cluster(*near, *far, numbers=(3, 16, 8, 15))
    model = little()
    forces = predict(model, alone).forces
    assert forces.abs().max() > 0.0
    assert_allclose(predict(model, both).forces[:2], forces, rtol=1e-12, atol=0)
    model = little(readout="mean")
    forces = predict(model, alone).forces
    assert (predict(model, both).forces[:2] - forces).abs().max() > 0.01 * forces.abs().max()


def pairs_of(distances):
    return [cluster([0, 0, 0], [d, 0, 0]) for d in distances]


def test_without_an_envelope_the_energy_jumps():
    ends = 4.0 * (1.0 - 1e-7), 4.0 * (1.0 + 1e-7)
    near, far = predict(little(envelope=None), *pairs_of(ends)).energies
    assert abs(near - far) > 1e-3 * abs(far)
    near, far = predict(little(), *pairs_of(ends)).energies
    assert_allclose(near, far, rtol=1e-12, atol=0)


def test_attention_to_the_last_neighbor_fades():
    """It is not whole until the neighbor is gone, nor is it normalized to be whole again."""
    for seed in range(4):
        energies = predict(little(seed), *pairs_of((2.0, 3.0, 0.999 * 4.0, 5.0))).energies
        parts = (energies - energies[3]).abs()
        assert 0.0 < parts[2] < 1e-5 * parts[:2].max()


def test_forces_jump_where_a_leaky_relu_bends():
    jumps = []
    for activation in ("leaky_relu", "smooth"):
        model = little(edge_activation=activation)
        bend = bend_of(model)
        before, after = predict(model, *pairs_of((bend - 1e-8, bend + 1e-8))).forces[::2, 0]
        jumps.append(float(abs(after - before) / abs(before)))
    assert jumps[0] > 1e-4
    assert jumps[1] < 1e-6


def bend_of(model):
    """A distance at which a feature is 0, Å."""
    d = torch.linspace(1.5, 3.5, 2001, dtype=torch.float64)

    def features(lengths):
        with torch.no_grad():
            return model.to_features(model.basis(lengths))

    place, channel = (features(d)[1:] * features(d)[:-1] < 0.0).nonzero()[0]
    low, high = d[place], d[place + 1]
    for _ in range(50):
        middle = 0.5 * (low + high)
        ends = features(torch.stack([low, middle]))[:, channel]
        low, high = (middle, high) if ends.prod() > 0.0 else (low, middle)
    return float(low)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_score_is_too_large(dtype):
    model, system = little().to(dtype), random_system(4)
    with torch.no_grad():
        for layer in model.layers:
            layer.to_scores.mul_(1e5)
    for part in predict(model, system):
        assert part.isfinite().all()


def test_normalization_is_that_of_the_first_batches():
    model = little().train()
    for norm in (model.layers[0].score_norm, model.norms[0].norm):
        assert not int(norm.n_batches)
    before = predict(model, random_system(5)).energies
    after = predict(model, random_system(5)).energies
    assert (after - before).abs() > 1e-6 * before.abs()
    for norm in (model.layers[0].score_norm, model.norms[0].norm):
        assert int(norm.n_batches) == 2


def test_perfect_lattices_and_images_of_oneself():
    cubic = System(np.array([16]), np.zeros((1, 3)), 2.9 * np.eye(3))
    for options in ({}, DeeperGatgnn.PUBLISHED):
        found = predict(little(**options), cubic, cluster([0, 0, 0]))
        assert all(part.isfinite().all() for part in found)
        assert found.forces.abs().max() < 1e-12


@pytest.mark.parametrize(
    "options, message",
    [
        ({"readout": "max"}, "^readout 'max'; did you mean mean"),
        ({"norm": "fix"}, "^norm 'fix'; did you mean fixed"),
        ({"envelope": "cos"}, "^envelope 'cos'; did you mean cosine"),
        ({"edge_activation": "leaky"}, "^edge_activation 'leaky'; did you mean leaky_relu"),
    ],
)
def test_unknown_options_are_one_line(options, message):
    with pytest.raises(InputError, match=message):
        DeeperGatgnn(**LITTLE, **options)
