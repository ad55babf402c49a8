"""Layers of networks that send messages between edges."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from mdbench.graph import AtomGraph
from mdbench.nn.smooth import silu

#: What is added to σ(W … σ(W x + b) … + b): x itself, the edges of before, or what they have heard.
ITSELF, EDGES, HEARD = range(3)
Block = tuple[tuple[nn.Linear, ...], int]
#: Rows of a piece: some arrays of them stay in the L2 cache.
_PIECE = 512


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
        return x + silu(self.second(silu(self.first(x))))

    def block(self) -> Block:
        """The same, for `run_blocks`."""
        return (self.first, self.second), ITSELF


def run_blocks(blocks: Sequence[Block], edges: Tensor, heard: Tensor) -> Tensor:
    """(n_edges, n_channels) after blocks of layers σ(W x + b), from edges on.

    Rows do not know of each other. Where weights are not trained, pieces of some rows go through
    all layers, and back: a CPU keeps them in its cache, and no graph of derivatives is made.

    Args:
        blocks: The layers of each, all with biases, and what is added to what they make.
        edges: (n_edges, n_channels).
        heard: (n_edges, n_channels).
    """
    layers = [layer for block, _ in blocks for layer in block]
    if edges.device.type != "cpu" or any(layer.weight.requires_grad for layer in layers):
        return _by_layers(blocks, edges, heard)
    made: Tensor = _ByPieces.apply(blocks, edges, heard)  # type: ignore[no-untyped-call]
    return made


def _by_layers(blocks: Sequence[Block], edges: Tensor, heard: Tensor) -> Tensor:
    x = edges
    for layers, added in blocks:
        to = (x, edges, heard)[added]
        for layer in layers:
            x = silu(layer(x))
        x = x + to
    return x


class _ByPieces(torch.autograd.Function):
    """`_by_layers`, piece by piece, keeping of each layer what goes into σ."""

    @staticmethod
    def forward(ctx: Any, blocks: Sequence[Block], edges: Tensor, heard: Tensor) -> Tensor:
        made = torch.empty_like(edges)
        kept = [edges.new_empty(len(edges), w.out_features) for layers, _ in blocks for w in layers]
        for start in range(0, len(edges), _PIECE):
            rows = slice(start, start + _PIECE)
            x, places = edges[rows], iter(kept)
            for layers, added in blocks:
                to = (x, edges[rows], heard[rows])[added]
                for layer in layers:
                    place = next(places)[rows]
                    x = functional.silu(torch.addmm(layer.bias, x, layer.weight.T, out=place))
                x += to
            made[rows] = x
        ctx.blocks = blocks
        ctx.save_for_backward(edges, heard, *kept)
        return made

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, Tensor, Tensor]:
        edges, heard, *kept = ctx.saved_tensors
        if torch.is_grad_enabled():  # derivatives of this derivative are wanted
            made = _by_layers(ctx.blocks, edges, heard)
            found = torch.autograd.grad(made, (edges, heard), gradients, create_graph=True)
            return None, found[0], found[1]
        by_edges, by_heard = torch.zeros_like(edges), torch.zeros_like(heard)
        for start in range(0, len(edges), _PIECE):
            rows = slice(start, start + _PIECE)
            x, places = gradients[0][rows], reversed(kept)
            for layers, added in reversed(ctx.blocks):
                to = x
                for layer in reversed(layers):
                    x = torch.ops.aten.silu_backward(x, next(places)[rows]) @ layer.weight
                (x, by_edges[rows], by_heard[rows])[added].add_(to)
            by_edges[rows] += x
        return None, by_edges, by_heard


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
        return silu(
            torch.index_select(self.from_receiver(atoms), 0, receivers)
            + torch.index_select(self.from_sender(atoms), 0, senders)
            + self.from_radial(silu(self.radial(radial)))
        )
