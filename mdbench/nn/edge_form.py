"""Sums over edges of products of what atoms and edges have, without tensors as large as both.

Messages of many models are x_j ∘ w(d_ij), times weights a of the edge or of its heads of
attention, summed over neighbors; scores of attention are Σ_c g_ic x_jc w_c(d_ij). Both are
derivatives of one form,

    T = Σ_e Σ_mhc a_emh g_imhc x_jmhc w_rhc,    e: i ← j, and r the row of filters of e,

and so are their own derivatives, of any order. On a CPU, models of some tens of atoms are bound by
the memory traffic of (n_edges, n_channels) tensors: compiled loops read each row where it is, and
keep no products. Elsewhere, torch makes the products.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from mdbench.graph import AtomGraph, segment_sum
from mdbench.nn.multilinear import derivative
from mdbench.twins import compiled_module

#: Places of a, g, x and w among the factors of the form.
_WEIGHTS, _RECEIVED, _SENT, _FILTERS = range(4)


@dataclass(frozen=True, eq=False)
class EdgeRows:
    """Atoms at the ends of edges, and which row of filters an edge has.

    Attributes:
        receivers: (n_edges,) sorted.
        senders: (n_edges,)
        back: (n_edges,) place of the edge j ← i along the same line.
        rows: (n_edges,) row of filters: of the pair, for both its directions, or of the edge.
        first: (n_rows,) an edge of each row.
        n_atoms: Number of atoms.
    """

    receivers: Tensor
    senders: Tensor
    back: Tensor
    rows: Tensor
    first: Tensor
    n_atoms: int

    @classmethod
    def of_pairs(cls, graph: AtomGraph) -> EdgeRows:
        """One row for both directions of a pair: for what depends on the length alone."""
        receivers, senders = graph.edge_index
        return cls(receivers, senders, graph.back, *graph.pairs, graph.n_atoms)

    @classmethod
    def of_edges(cls, graph: AtomGraph) -> EdgeRows:
        """A row for each edge."""
        receivers, senders = graph.edge_index
        every = torch.arange(graph.n_edges, device=receivers.device)
        return cls(receivers, senders, graph.back, every, every, graph.n_atoms)

    @cached_property
    def first_edge(self) -> Tensor:
        """(n_atoms + 1,) where the edges of an atom begin."""
        counts = torch.bincount(self.receivers, minlength=self.n_atoms)
        return functional.pad(counts.cumsum(0), (1, 0))

    @cached_property
    def here(self) -> Tensor:
        """(n_edges,) place of each edge itself."""
        return torch.arange(len(self.rows), device=self.rows.device)

    def heard(self, sent: Tensor, filters: Tensor, weights: Tensor) -> Tensor:
        """(n_atoms, n_parts, n_channels): Σ_j a x_j ∘ w, for n_parts of weights or of what is sent.

        Args:
            sent: (n_atoms, n_parts or 1, n_channels) x.
            filters: (n_rows, n_channels) w.
            weights: (n_edges, n_parts or 1, n_heads) a; heads divide the channels among them.
        """
        n_parts = max(sent.shape[1], weights.shape[1])
        shape = (self.n_atoms, n_parts, filters.shape[1])
        return derivative(self, _RECEIVED, shape, (weights, None, sent, filters))

    def scores(self, received: Tensor, sent: Tensor, filters: Tensor, n_heads: int = 1) -> Tensor:
        """(n_edges, 1, n_heads): Σ g_i x_j w over all parts, and the channels of each head.

        Args:
            received: (n_atoms, n_parts or 1, n_channels) g.
            sent: (n_atoms, n_parts or 1, n_channels) x.
            filters: (n_rows, n_channels) w.
            n_heads: Which divide the channels among them.
        """
        shape = (len(self.rows), 1, n_heads)
        return derivative(self, _WEIGHTS, shape, (None, received, sent, filters))

    def add_derivative(self, place: int, factors: Sequence[Tensor]) -> None:
        """Adds the derivative of the form by a factor to that factor (`multilinear.Form`)."""
        n_heads = factors[_WEIGHTS].shape[2]
        parts = [_by_head(factor, n_heads, k) for k, factor in enumerate(factors)]
        compiled = self.rows.device.type == "cpu" and _kernels() is not None
        (_add_compiled if compiled else _add)(self, place, *parts)


def _by_head(factor: Tensor, n_heads: int, place: int) -> Tensor:
    """A view of a factor in which heads have a dimension of their own."""
    if place == _WEIGHTS:
        return factor
    return factor.view(*factor.shape[:-1], n_heads, factor.shape[-1] // n_heads)


def _kernels() -> Any:
    return compiled_module("nn.edge_kernels")


def _add_compiled(edges: EdgeRows, place: int, a: Tensor, g: Tensor, x: Tensor, w: Tensor) -> None:
    """Adds the derivative to the factor at its place, on the CPU."""
    kernels, (of_a, of_g, of_x, of_w) = _kernels(), (factor.numpy() for factor in (a, g, x, w))
    first, senders, rows = edges.first_edge.numpy(), edges.senders.numpy(), edges.rows.numpy()
    if place == _WEIGHTS:
        kernels.add_to_weights(first, senders, rows, of_g, of_x, of_w, of_a)
    elif place == _RECEIVED:
        kernels.add_to_atoms(first, senders, edges.here.numpy(), rows, of_a, of_x, of_w, of_g)
    elif place == _SENT:  # the edges that an atom sends are those back of what it receives
        kernels.add_to_atoms(first, senders, edges.back.numpy(), rows, of_a, of_g, of_w, of_x)
    else:
        kernels.add_to_filters(first, senders, rows, of_a, of_g, of_x, of_w)


def _add(edges: EdgeRows, place: int, a: Tensor, g: Tensor, x: Tensor, w: Tensor) -> None:
    """The same with tensors of all products."""
    into = (a, g, x, w)[place]
    a = a[..., None]
    g, x, w = g[edges.receivers], x[edges.senders], w[edges.rows][:, None]
    if place == _WEIGHTS:
        into += _of_parts(g * x * w, into.shape[1]).sum(dim=3)
    elif place == _FILTERS:
        into += segment_sum(_of_parts(a * g * x, 1)[:, 0], edges.rows, len(into))
    else:
        ends, other = (edges.receivers, x) if place == _RECEIVED else (edges.senders, g)
        into += segment_sum(_of_parts(a * other * w, into.shape[1]), ends, len(into))


def _of_parts(products: Tensor, n_parts: int) -> Tensor:
    """Products of as many parts as the result has, or of one part, their sum."""
    return products if n_parts > 1 else products.sum(dim=1, keepdim=True)
