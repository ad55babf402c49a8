"""Layers of networks whose atoms have functions on the sphere."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from mdbench.graph import AtomGraph
from mdbench.nn.pieces import even_sizes, in_pieces, silu
from mdbench.nn.rotations import SphereGrid


def scaled_linear(n_in: int, n_out: int, *, variance: float = 1.0, bias: bool = True) -> nn.Linear:
    """A linear layer with uniform weights of the variance `variance`/n_in and zero biases."""
    layer = nn.Linear(n_in, n_out, bias=bias)
    scaled_uniform(layer.weight, n_in, variance=variance)
    if bias:
        nn.init.zeros_(layer.bias)
    return layer


def scaled_uniform(weights: Tensor, n_in: int, *, variance: float = 1.0) -> Tensor:
    """Weights, drawn anew from a uniform distribution of the variance `variance`/n_in."""
    bound = math.sqrt(3.0 * variance / n_in)
    return nn.init.uniform_(weights, -bound, bound)


class EdgeFeatures(nn.Module):
    """σ(W σ(W_d e(d) + a_i + b_j)): an edge by its length and its elements.

    Args:
        n_elements: Atomic numbers are below this.
        n_basis: Radial functions.
        n_channels: Width.
        variance: Of weights, times their number of inputs.
    """

    def __init__(
        self, n_elements: int, n_basis: int, n_channels: int, *, variance: float = 1.0
    ) -> None:
        super().__init__()
        self.radial = scaled_linear(n_basis, n_channels, variance=variance)
        self.receiver = nn.Embedding(n_elements, n_channels)
        self.sender = nn.Embedding(n_elements, n_channels)
        for elements in (self.receiver, self.sender):
            nn.init.uniform_(elements.weight, -0.001, 0.001)
        self.mixed = scaled_linear(n_channels, n_channels, variance=variance)

    def forward(self, radial: Tensor, graph: AtomGraph) -> Tensor:
        """(n_edges, n_channels) of edges.

        Args:
            radial: (n_pairs, n_basis) radial functions of the length, which both edges of a pair
                share.
            graph: With n_edges.
        """
        receivers, senders = graph.edge_index
        numbers = graph.atomic_numbers
        known = torch.index_select(self.radial(radial), 0, graph.pairs[0])
        known = known + torch.index_select(self.receiver(numbers), 0, receivers)
        known = known + torch.index_select(self.sender(numbers), 0, senders)
        return functional.silu(self.mixed(functional.silu(known)))


class SphereIntegral(nn.Module):
    """∫ W₃ σ(W₂ σ(W₁ x(r̂))) w(r̂): a network of functions at each point of the sphere, integrated.

    Args:
        n_channels: Functions of an atom.
        variance: Of weights, times their number of inputs.
        bias: Of the last layer; without effect where the integral of w is 0.
    """

    def __init__(self, n_channels: int, *, variance: float = 1.0, bias: bool = False) -> None:
        super().__init__()
        self.first = scaled_linear(n_channels, n_channels, variance=variance)
        self.second = scaled_linear(n_channels, n_channels, variance=variance)
        self.last = scaled_linear(n_channels, 1, variance=variance, bias=bias)

    def forward(self, atoms: Tensor, grid: SphereGrid, weights: Tensor) -> Tensor:
        """(n_atoms, n) integrals.

        Args:
            atoms: (n_atoms, n_coefficients, n_channels).
            grid: Of n_points.
            weights: (n, n_points) of the points, which sum to 1 or 0.
        """
        functions = functional.linear(atoms, self.first.weight)
        functions = functions + grid.constant[:, None] * self.first.bias

        def integrated(functions: Tensor) -> Tensor:
            points = silu(grid.to_points @ functions)  # (n_atoms, n_points, n_channels)
            return weights @ silu(self.second(points))

        n_bytes = 2 * len(grid.points) * functions.shape[2] * functions.element_size()
        sizes = even_sizes(functions, n_bytes)
        sums = in_pieces(integrated, [functions], sizes, list(self.second.parameters()))
        result: Tensor = self.last(sums)[:, :, 0]
        return result
