"""Scores of attention that a hidden layer makes of the products of edges."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from mdbench.nn.edge_products import EdgeProducts, is_compiled, kernels, pieces

#: Slope of the activation of scores far below 0.
LEAK = 0.2


def leaky(x: Tensor) -> Tensor:
    """(1 + leak)/2 x + (1 − leak)/2 x tanh(x/2): a leaky rectifier without a kink."""
    made: Tensor = _Leaky.apply(x)  # type: ignore[no-untyped-call]
    return made


def _value(x: Tensor) -> Tensor:
    return torch.add((1.0 - LEAK) * functional.silu(x), x, alpha=LEAK)


def _slope(x: Tensor, g: Tensor) -> Tensor:
    made: Tensor = torch.ops.aten.silu_backward((1.0 - LEAK) * g, x)
    return torch.add(made, g, alpha=LEAK)


def _curvature(x: Tensor, g: Tensor, c: Tensor) -> Tensor:
    gate = torch.sigmoid(x)
    return (1.0 - LEAK) * c * g * gate * (1.0 - gate) * (2.0 + x * (1.0 - 2.0 * gate))


def _by_rows(function: Callable[..., Tensor], *rows: Tensor) -> Tensor:
    """A function of elements, of some rows at a time: what is in between stays in the cache.

    Where it is to have derivatives, of all at once.
    """
    x = rows[0]
    if torch.is_grad_enabled() or x.device.type != "cpu" or x.dim() != 2:
        return function(*rows)
    made = torch.empty_like(x)
    for start, end in pieces(len(x), 2 * x.shape[1]):
        made[start:end] = function(*(row[start:end] for row in rows))
    return made


class _Leaky(torch.autograd.Function):
    """The activation; torch makes many tensors of the second derivatives that training needs."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return _by_rows(_value, x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        made: Tensor = _LeakySlope.apply(x, gradients[0])  # type: ignore[no-untyped-call]
        return made


class _LeakySlope(torch.autograd.Function):
    """Its derivative times g."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, g: Tensor) -> Tensor:
        ctx.save_for_backward(x, g)
        return _by_rows(_slope, x, g)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        (x, g), (c,) = ctx.saved_tensors, gradients
        return _by_rows(_curvature, x, g, c), _LeakySlope.apply(x, c)  # type: ignore[no-untyped-call]


def path_scores(
    first: EdgeProducts, second: EdgeProducts, weights: Tensor, bias: Tensor, heads: Tensor
) -> Tensor:
    """(n_atoms · n_slots, n_heads): leaky(p W₁ᵀ + q W₂ᵀ + b) · heads of two products p and q.

    A model that is not trained does it some slots at a time, so that nothing as large as all edges
    is written but the hidden layer, which is kept for the derivatives.

    Args:
        first: p of one part.
        second: q of one part.
        weights: (n_hidden, n_channels of p and of q) W.
        bias: (n_hidden,) b.
        heads: (n_hidden, n_heads).
    """
    is_trained = any(tensor.requires_grad for tensor in (weights, bias, heads))
    if is_trained or not is_compiled(weights):
        return _scores(first, second, weights, bias, heads)
    made: Tensor = _Scores.apply(*first, *second, weights, bias, heads)  # type: ignore[no-untyped-call]
    return made


def _scores(
    first: EdgeProducts, second: EdgeProducts, weights: Tensor, bias: Tensor, heads: Tensor
) -> Tensor:
    p, q = first.made()[:, 0], second.made()[:, 0]
    of_p, of_q = torch.split(weights, [p.shape[1], q.shape[1]], dim=1)
    hidden = torch.addmm(functional.linear(p, of_p, bias), q, of_q.T)
    return functional.linear(leaky(hidden), heads.T)


class _Scores(torch.autograd.Function):
    """The same, by the factors of products only."""

    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> Tensor:
        both = EdgeProducts(*arguments[:6]), EdgeProducts(*arguments[6:12])
        weights, bias, heads = arguments[12:]
        n, size = len(both[0].senders), weights.shape[1]
        hidden: Tensor = weights.new_empty(n, len(bias))
        scores: Tensor = weights.new_empty(n, heads.shape[1])
        arrays = [of.arrays() for of in both]
        split = torch.split(weights, [of.sent.shape[2] for of in both], dim=1)
        for start, end in pieces(n, size):
            part = hidden[start:end]
            part.copy_(bias.expand_as(part))
            for of, factors, w in zip(both, arrays, split, strict=True):
                p = of.empty(end - start)
                kernels().make_products(start, *factors, p.numpy())
                part.addmm_(p[:, 0], w.T)
            torch.mm(_value(part), heads, out=scores[start:end])
        ctx.save_for_backward(hidden, *arguments)
        return scores

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        hidden, *arguments = ctx.saved_tensors
        if torch.is_grad_enabled():
            return _slopes_with_graph(arguments, gradients[0])
        both = EdgeProducts(*arguments[:6]), EdgeProducts(*arguments[6:12])
        weights, _, heads = arguments[12:]
        arrays, found = [of.arrays() for of in both], [of.zeros() for of in both]
        split = torch.split(weights, [of.sent.shape[2] for of in both], dim=1)
        for start, end in pieces(len(hidden), weights.shape[1]):
            g = gradients[0][start:end] @ heads.T
            g = _slope(hidden[start:end], g)
            for factors, w, slopes in zip(arrays, split, found, strict=True):
                p = (g @ w)[:, None]
                kernels().add_slopes(start, *factors, p.numpy(), *(s.numpy() for s in slopes))
        by_factors = [
            (None, None, None if of.maps is None else slopes[0], *slopes[1:])
            for of, slopes in zip(both, found, strict=True)
        ]
        return *by_factors[0], *by_factors[1], None, None, None


def _slopes_with_graph(arguments: list[Any], gradient: Tensor) -> tuple[Tensor | None, ...]:
    """Derivatives that have derivatives."""
    scores = _scores(EdgeProducts(*arguments[:6]), EdgeProducts(*arguments[6:12]), *arguments[12:])
    wanted = [x for x in arguments if x is not None and x.requires_grad]
    found = iter(torch.autograd.grad(scores, wanted, gradient, create_graph=True))
    return tuple(next(found) if x is not None and x.requires_grad else None for x in arguments)
