"""DimeNet: its size, and its bilinear layer against a list of all pairs of edges."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from mdbench.graph import AtomGraph, build_graph
from mdbench.models import create, parse_name
from mdbench.models.dimenet import DimeNet, Interaction
from mdbench.nn.angular import AngularBasis


def n_weights(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_size():
    model = create(parse_name("dimenet"))
    parts = [
        n_weights(model.radial) + n_weights(model.spherical),
        n_weights(model.embedding),
        *(n_weights(interaction) for interaction in model.interactions),
        *(n_weights(output) for output in model.outputs),
    ]
    assert parts == [6, 62_336, *[280_784] * 3, *[50_432] * 4]
    assert model.n_parameters == sum(parts) == model.paper_parameters == 1_106_422
    assert 10_000 < create(parse_name("dimenet-small")).n_parameters < 100_000


def crystal(seed: int) -> AtomGraph:
    """Atoms in a triclinic cell in which they meet their own images."""
    rng = np.random.default_rng(seed)
    cell = np.array([[3.7, 0.2, -0.3], [0.9, 4.0, 0.1], [-0.5, 0.8, 4.4]])
    positions = rng.uniform(-1.0, 2.0, (3, 3)) @ cell
    return build_graph([3, 16, 15], positions, cell, 4.2, dtype=torch.float64)


def triplets(graph: AtomGraph) -> tuple[list[int], list[int]]:
    """Places of m_ji and m_kj that meet in j, but for the two directions of one line."""
    receivers, senders = graph.edge_index.tolist()
    shifts = graph.cell_shifts.tolist()
    pairs = [
        (ji, kj)
        for ji in range(graph.n_edges)
        for kj in range(graph.n_edges)
        if senders[ji] == receivers[kj]
        and not (receivers[ji] == senders[kj] and shifts[ji] == [-s for s in shifts[kj]])
    ]
    ji, kj = zip(*pairs, strict=True)
    return list(ji), list(kj)


def harmonics(cosines: Tensor, n_degrees: int) -> Tensor:
    """(n, n_degrees) Y_l0 of angles."""
    polynomials = [
        np.polynomial.legendre.legval(cosines.numpy(), np.eye(n_degrees)[degree])
        for degree in range(n_degrees)
    ]
    norms = np.sqrt((2 * np.arange(n_degrees) + 1) / (4 * np.pi))
    return torch.as_tensor(norms * np.stack(polynomials, axis=1))


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("at", ["straight is 0", "straight is π"])
def test_bilinear_layer(at, seed):
    """Σ_k Σ_bc W_bic (W a_SBF(d_kj, α))_b x_kj,c, α at j; π − α with other signs of odd degrees."""
    torch.manual_seed(seed)
    graph, n_degrees, n_basis = crystal(seed), 5, 3
    layer = Interaction(6, 4, n_degrees, n_basis).double()
    directions = graph.edge_vectors / graph.edge_lengths[:, None]
    pairs, first = graph.pairs
    radial = torch.randn(len(first), n_degrees, n_basis, dtype=torch.float64)
    incoming = torch.randn(graph.n_edges, 6, dtype=torch.float64)
    found = layer.heard(incoming, AngularBasis.of(graph, directions[first], radial))

    ji, kj = triplets(graph)
    cosines = (directions[ji] * directions[kj]).sum(dim=1)  # k → j and j → i
    weights = layer.spherical.weight.detach()
    if at == "straight is π":
        cosines = (-directions[ji] * directions[kj]).sum(dim=1)  # j → k and j → i
        signs = (-1.0) ** torch.arange(n_degrees, dtype=torch.float64)
        weights = weights * signs.repeat_interleave(n_basis)
    basis = (harmonics(cosines, n_degrees)[:, :, None] * radial[pairs[kj]]).flatten(1)
    bilinear = layer.bilinear.weight.detach().view(4, 6, 6)
    parts = torch.einsum("tb,tc,bic->ti", basis @ weights.T, incoming[kj], bilinear)
    expected = torch.zeros_like(found).index_add(0, torch.tensor(ji), parts)
    assert len(ji) > 10 * graph.n_edges
    assert_close(
        found.detach(), expected.detach(), rtol=0, atol=1e-12 * float(expected.abs().max())
    )


def test_published_code():
    """Few neighbors, and angles that do not move with the atoms."""
    model = create(parse_name("dimenet:published"))
    assert isinstance(model, DimeNet)
    assert model.detached_angles
    assert model.max_neighbors == 50
