"""What edges make of a sum of three rows: of the receiver, of the sender and of the pair.

A linear map of features of both atoms and of their distance is such a sum, z_ij = a_i + b_j + p_ij,
whose terms have a row per atom or per pair. Functions of z are as large as all edges, and on a CPU
their traffic to and from memory is most of the time of a model. Compiled loops make them in the
cache, and again for derivatives, in single precision; elsewhere, torch keeps them.

The compiled ones can be differentiated twice: forces, and the loss of forces.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from mdbench.graph import segment_sum
from mdbench.nn.edge_form import EdgeRows
from mdbench.nn.smooth import compiles, softplus


@functools.cache
def _kernels() -> Any:
    from mdbench.nn import gated_kernels, value_kernels

    return gated_kernels, value_kernels


def _arrays(tensors: Iterable[Tensor]) -> list[Any]:
    return [tensor.detach().contiguous().numpy() for tensor in tensors]


def _zeros(tensors: Iterable[Tensor]) -> tuple[Tensor, ...]:
    return tuple(tensor.new_zeros(tensor.shape) for tensor in tensors)


def _ends(edges: EdgeRows) -> list[Any]:
    return _arrays((edges.receivers, edges.senders, edges.first, edges.back))


def gated_sums(
    edges: EdgeRows, received: Tensor, sent: Tensor, paired: Tensor, weights: Tensor
) -> Tensor:
    """(n_atoms, n_channels): Σ_j u σ(z_g) ∘ softplus(z_c), where z = z_g ⊕ z_c.

    Args:
        edges: With rows of pairs.
        received: (n_atoms, 2 n_channels) a.
        sent: (n_atoms, 2 n_channels) b.
        paired: (n_pairs, 2 n_channels) p.
        weights: (n_pairs,) u.
    """
    if compiles(paired):
        found: Tensor = _Gated.apply(edges, received, sent, paired, weights)  # type: ignore[no-untyped-call]
        return found
    return gated_sums_of_rows(edges, edge_rows(edges, received, sent, paired), weights)


def gated_sums_of_rows(edges: EdgeRows, rows: Tensor, weights: Tensor) -> Tensor:
    """(n_atoms, n_channels) as `gated_sums`, of (n_edges, 2 n_channels) z."""
    gate, core = rows.chunk(2, dim=1)
    messages = torch.sigmoid(gate) * softplus(core)
    messages = messages * weights.index_select(0, edges.rows)[:, None]
    return segment_sum(messages, edges.receivers, edges.n_atoms)


def edge_rows(edges: EdgeRows, received: Tensor, sent: Tensor, paired: Tensor) -> Tensor:
    """(n_edges, n) z, of (n_atoms, n) a and b and (n_pairs, n) p."""
    ends = received.index_select(0, edges.receivers) + sent.index_select(0, edges.senders)
    return ends + paired.index_select(0, edges.rows)


class _Gated(torch.autograd.Function):
    """Gated sums of four terms: received, sent, paired and weights."""

    @staticmethod
    def forward(ctx: Any, edges: EdgeRows, *terms: Tensor) -> Tensor:
        ctx.edges = edges
        ctx.save_for_backward(*terms)
        found = terms[0].new_zeros(edges.n_atoms, terms[0].shape[1] // 2)
        _kernels()[0].gated(*_ends(edges), *_arrays((*terms, found)))
        return found

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return None, *_GatedSlopes.apply(ctx.edges, *gradients, *ctx.saved_tensors)  # type: ignore[no-untyped-call]


class _GatedSlopes(torch.autograd.Function):
    """Slopes of g · (gated sums) by the four terms."""

    @staticmethod
    def forward(ctx: Any, edges: EdgeRows, *terms: Tensor) -> tuple[Tensor, ...]:
        ctx.edges = edges
        ctx.save_for_backward(*terms)
        found = _zeros(terms[1:])
        _kernels()[0].gated_slopes(*_ends(edges), *_arrays((*terms, *found)))
        return found

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        terms = ctx.saved_tensors
        found = _zeros(terms)
        _kernels()[0].gated_bends(*_ends(ctx.edges), *_arrays((*terms, *gradients, *found)))
        return None, *found


def values_and_scores(
    edges: EdgeRows, sent: Tensor, paired: Tensor, vectors: Tensor, n_heads: int
) -> tuple[Tensor, Tensor]:
    """(n_edges, n_channels) softplus(z) and (n_edges, n_heads, 2) its products with two vectors.

    z has no term of the receiver. Heads divide the channels among them.

    Args:
        edges: With rows of pairs.
        sent: (n_atoms, n_channels) b.
        paired: (n_pairs, n_channels) p.
        vectors: (2, n_channels) t.
        n_heads: Number of heads.
    """
    if compiles(paired):
        found: tuple[Tensor, Tensor] = _Values.apply(edges, n_heads, sent, paired, vectors)  # type: ignore[no-untyped-call]
        return found
    rows = sent.index_select(0, edges.senders) + paired.index_select(0, edges.rows)
    values = softplus(rows)
    each = vectors.shape[1] // n_heads
    heads = (part.view(len(part), n_heads, each) for part in (values, vectors))
    return values, torch.einsum("ehc,khc->ehk", *heads)


class _Values(torch.autograd.Function):
    """Values and scores of three terms: sent, paired and vectors."""

    @staticmethod
    def forward(ctx: Any, edges: EdgeRows, n_heads: int, *terms: Tensor) -> tuple[Tensor, Tensor]:
        n_edges, n_channels = len(edges.rows), terms[0].shape[1]
        values = terms[0].new_empty(n_edges, n_channels)
        scores = terms[0].new_zeros(n_edges, n_heads, 2)
        _kernels()[1].values(*_ends(edges)[1:], *_arrays((*terms, values, scores)))
        ctx.edges = edges
        ctx.save_for_backward(*terms, values)
        return values, scores

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        *terms, values = ctx.saved_tensors
        by_vectors = ctx.needs_input_grad[4]
        factors = (values.detach(), *terms, *gradients)
        slopes = _ValueSlopes.apply(ctx.edges, by_vectors, *factors)  # type: ignore[no-untyped-call]
        return None, None, *slopes[:2], slopes[2] if by_vectors else None


class _ValueSlopes(torch.autograd.Function):
    """Slopes of Σ g_v values + Σ g_s scores by the three terms; none by vectors if not asked for.

    Factors are the values, the terms, g_v and g_s. Values follow from the terms, so they have no
    slope of their own.
    """

    @staticmethod
    def forward(
        ctx: Any, edges: EdgeRows, by_vectors: bool, *factors: Tensor
    ) -> tuple[Tensor, ...]:
        ctx.edges = edges
        ctx.save_for_backward(*factors)
        ctx.set_materialize_grads(False)
        sent, paired, vectors = factors[1:4]
        found = _zeros((sent, paired, vectors if by_vectors else vectors[:0]))
        _kernels()[1].value_slopes(*_ends(edges)[1:], *_arrays((*factors, *found)))
        return found

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        factors = ctx.saved_tensors
        sent, paired, vectors = factors[1:4]
        # nothing follows from the slope by vectors where it is not that of a loss
        like = (sent, paired, vectors[:0])
        along = (
            h if h is not None else _zeros((x,))[0] for h, x in zip(gradients, like, strict=True)
        )
        found = _zeros(factors[1:])
        _kernels()[1].value_bends(*_ends(ctx.edges)[1:], *_arrays((*factors, *along, *found)))
        return None, None, None, *found
