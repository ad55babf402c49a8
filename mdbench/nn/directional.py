"""Layers of networks that send messages between edges."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from mdbench.graph import AtomGraph


def orthogonal_linear(n_in: int, n_out: int, *, bias: bool = True) -> nn.Linear:
    """A linear layer with orthogonal weights of Glorot's variance 2/(n_in + n_out), zero biases."""
    layer = nn.Linear(n_in, n_out, bias=bias)
    nn.init.orthogonal_(layer.weight)
    with torch.no_grad():
        layer.weight *= math.sqrt(2.0 / (n_in + n_out)) / layer.weight.square().mean().sqrt()
    if bias:
        nn.init.zeros_(layer.bias)
    return layer


class Residual(nn.Module):
    """x + σ(W₂ σ(W₁ x + b₁) + b₂), σ = SiLU."""

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        self.first = orthogonal_linear(n_channels, n_channels)
        self.second = orthogonal_linear(n_channels, n_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Of the shape of x."""
        return x + functional.silu(self.second(functional.silu(self.first(x))))


class EdgeEmbedding(nn.Module):
    """σ(W [h_i ‖ h_j ‖ σ(W_e e(d_ij) + b_e)] + b): an edge by its elements and its length.

    Gasteiger, Groß, Günnemann, ICLR 2020, arXiv:2003.03123, eq. 9; e has a layer of its own as in
    the code of the authors. W is three matrices: two of them act on atoms, which are few.

    Args:
        n_elements: Atomic numbers are below this.
        n_channels: Width of elements and edges.
        n_basis: Radial functions.
    """

    def __init__(self, n_elements: int, n_channels: int, n_basis: int) -> None:
        super().__init__()
        self.elements = nn.Embedding(n_elements, n_channels)
        nn.init.uniform_(self.elements.weight, -math.sqrt(3.0), math.sqrt(3.0))
        self.radial = orthogonal_linear(n_basis, n_channels)
        self.from_receiver = orthogonal_linear(n_channels, n_channels, bias=False)
        self.from_sender = orthogonal_linear(n_channels, n_channels, bias=False)
        self.from_radial = orthogonal_linear(n_channels, n_channels)

    def forward(self, graph: AtomGraph, radial: Tensor) -> Tensor:
        """(n_edges, n_channels) of (n_edges, n_basis) radial functions."""
        receivers, senders = graph.edge_index
        atoms = self.elements(graph.atomic_numbers)
        return functional.silu(
            torch.index_select(self.from_receiver(atoms), 0, receivers)
            + torch.index_select(self.from_sender(atoms), 0, senders)
            + self.from_radial(functional.silu(self.radial(radial)))
        )
