"""Equiformer: its size, its parity, and what it does where neighbors go or stand symmetrically."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import nn

from mdbench.errors import InputError
from mdbench.graph import AtomGraph, build_graph
from mdbench.models import create, parse_name
from mdbench.models.equiformer import Equiformer
from mdbench.nn.equivariant import EquivariantNorm, Features, Widths
from mdbench.nn.equivariant_attention import LearnedGaussians, Neighborhoods


def n_weights(*modules: nn.Module) -> int:
    return sum(p.numel() for module in modules for p in module.parameters())


def small(name="equiformer-small", **overrides) -> Equiformer:
    model = create(parse_name(name), seed=1, **overrides).double()
    assert isinstance(model, Equiformer)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in model.parameters():  # biases start at 0
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return model


def graph(model, numbers, positions, cell=None) -> AtomGraph:
    cell = 60.0 * np.eye(3) if cell is None else cell
    return build_graph(numbers, positions, cell, model.cutoff, dtype=model.dtype)


def cluster(seed=3, n_atoms=6):
    rng = np.random.default_rng(seed)
    return rng.choice([3, 8, 15, 16], n_atoms), rng.uniform(0.0, 4.5, (n_atoms, 3))


def test_size():
    """The published count, but for weights without effect there.

    Published: 21,760; 258; 235,520; 5 of 1,172,608 and 1,451,904; 263,169 with a norm of 1,024.
    """
    model = create(parse_name("equiformer"))
    blocks = [n_weights(block) for block in model.blocks]
    assert blocks[:5] == [1_172_608] * 5
    # no mixing of hidden vectors, no norm of vectors, no mixing of heads' vectors, no vectors of
    # heads, no radial functions for them; but hidden scalars for gates
    paths = 256 + 128 + 128
    unread = 128 * 384 + 128 + 128 * 128 + paths * 128 + paths * 65
    assert blocks[5] == 1_451_904 - unread + 384 * 512 == 1_484_032
    # one constant for a weight and a bias of 1; nothing from vectors, which are 0 there
    unread = 256 + 3 * 128 * 65 + 128 * 256 + 2 * 128 * 128
    assert n_weights(model.degree) == 235_520 - unread == 144_768
    # six elements more, no bias beside; Gaussians without a scale and a shift of their own
    assert n_weights(model.embedding) == 21_760 + 6 * 256 - 256 == 23_040
    assert n_weights(model.basis) == 258 - 2
    assert n_weights(model.norm, model.hidden, model.readout) == 1_024 + 263_169
    assert model.n_parameters == 7_779_329
    assert abs(model.n_parameters / model.paper_parameters - 1.0) < 0.01
    assert 15_000 < create(parse_name("equiformer-small")).n_parameters < 100_000


def test_both_parities_have_the_same_weights():
    sizes = [
        {name: p.shape for name, p in small(parity=parity).named_parameters()}
        for parity in ("odd", "even")
    ]
    assert sizes[0] == sizes[1]


def test_even_vectors_tell_a_mirror_image():
    """A chiral cluster and its mirror image: one energy with odd vectors, two with even ones."""
    numbers, positions = cluster()
    for parity, same in (("odd", True), ("even", False)):
        model = small(parity=parity)
        one, other = (
            model(graph(model, numbers, positions * [1.0, 1.0, sign])).item() for sign in (1, -1)
        )
        assert (abs(one - other) < 1e-12 * abs(one)) is same
        assert abs(one - other) < 0.5 * abs(one)


@pytest.mark.parametrize("n_others", [1, 3])
def test_a_neighbor_goes_as_the_third_power(n_others):
    """Also the last one, which attention over neighbors alone would keep whole."""
    others = [[0.0, 0.0, 0.0], [1.6, 1.2, 0.3], [-0.9, 1.9, 0.8]][:n_others]
    numbers = np.array([3, 16, 8, 16])[: n_others + 1]
    parts = []
    for model in (small(), small(envelope=None)):
        for left in (0.01, 0.005):
            ends = [
                model(graph(model, numbers, [*others, [0.0, -0.6 * r, -0.8 * r]])).item()
                for r in (model.cutoff - left, model.cutoff + left)
            ]
            parts.append(abs(ends[0] - ends[1]))
    assert 7.5 < parts[0] / parts[1] < 8.5
    assert parts[2] > 1e3 * parts[0]


def test_slots_without_edges_do_not_matter():
    """Atoms with fewer neighbors than another one, and atoms with none."""
    model = small()
    numbers, positions = cluster()
    alone = model(graph(model, numbers, positions))
    far = np.array([[25.0, 25.0, 25.0], [27.0, 25.0, 25.0], [40.0, 40.0, 10.0]])
    pair = model(graph(model, [3, 16], far[:2]))
    lone = model(graph(model, [8], far[2:]))
    inputs = graph(model, [*numbers, 3, 16, 8], np.concatenate([positions, far]))
    assert_allclose(model(inputs).item(), (alone + pair + lone).item(), rtol=1e-13, atol=0)


def test_norm_does_not_blow_up_vectors():
    norm = EquivariantNorm(Widths(4, 3))
    generator = torch.Generator().manual_seed(0)
    scalars = torch.randn(5, 4, generator=generator)
    vectors = torch.randn(5, 3, 3, generator=generator)
    large = norm(Features(scalars, 1e3 * vectors)).vectors
    assert_allclose(large.detach().square().mean(dim=(1, 2)), np.ones(5), rtol=1e-5, atol=0)
    least = norm(Features(scalars, 1e-4 * vectors)).vectors
    assert float(least.detach().norm()) < 4.0 * 1e-4 * float(vectors.norm())
    zero = torch.zeros(5, 3, 3, requires_grad=True)
    norm(Features(scalars, zero)).vectors.sum().backward()
    assert zero.grad is not None
    assert zero.grad.isfinite().all()


def test_perfect_lattice_has_no_forces():
    """All vectors are zero there; a little way off, forces are as much less."""
    model = small()
    places = 3.0 * np.array(list(np.ndindex(2, 2, 2)), dtype=float)
    cell, numbers = 6.0 * np.eye(3), np.full(8, 16)
    assert model.predict(graph(model, numbers, places, cell)).forces.abs().max() < 1e-13
    largest = []
    for step in (1e-4, 1e-2):
        moved = places.copy()
        moved[0] += [0.6 * step, 0.0, 0.8 * step]
        forces = model.predict(graph(model, numbers, moved, cell)).forces
        largest.append(float(forces.abs().max()) / step)
    assert_allclose(largest[0], largest[1], rtol=1e-2, atol=0)


def test_gaussians_have_a_least_width():
    basis = LearnedGaussians(6.0, 8)
    with torch.no_grad():
        basis.widths.zero_()
        basis.centers.fill_(0.5)
    lengths = torch.tensor([3.0, 3.0 + 6.0 / 8])
    values = basis(lengths).detach().numpy()
    assert_allclose(values[0], 8 / np.sqrt(2 * np.pi), rtol=1e-6, atol=0)
    assert_allclose(values[1] / values[0], np.exp(-0.5), rtol=1e-6, atol=0)


def test_attention_leaves_room():
    """Weights of a neighborhood add up to less than 1, and to 1 without the envelope."""
    for model, whole in ((small(), False), (small(envelope=None), True)):
        near = Neighborhoods.of(graph(model, *cluster()), model.basis, model.envelope, model.cutoff)
        attention = model.blocks[0].attention
        n, n_rows = len(near.envelope), len(near.radial)
        generator = torch.Generator().manual_seed(4)
        scalars, vectors = (
            [
                torch.randn(*shape, width, generator=generator, dtype=model.dtype)
                for shape in ((n, n_own), (n, n_own), (n_rows,))
            ]
            for n_own, width in zip((1, 3), attention.path_widths, strict=False)
        )
        along = near.directions.view(-1, 1, 3)
        paths = near.products(*scalars), near.products(*vectors, along)
        total = attention.attention(paths, near.envelope).sum(dim=2)
        assert bool(((total - 1.0).abs() < 1e-12).all()) is whole
        assert total.max() < 1.0 + 1e-12


@pytest.mark.parametrize("wrong", [{"parity": "odds"}, {"n_heads": 3}, {"envelope": "cosin"}])
def test_wrong_hyper_parameters(wrong):
    with pytest.raises(InputError):
        create(parse_name("equiformer-small"), **wrong)
