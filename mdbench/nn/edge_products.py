"""What edges make of both their atoms: maps between parts of x_j + y_i, times filters.

An edge has (n_parts, n_channels) products

    p_kc = Σ_m M_km (x_jmc + y_imc) w_c,

in the slot that it has at the atom i (`AtomGraph.slots`): sums over neighbors, with the weights of
many heads of attention, are matrix products then. M may be a direction r̂ that takes a vector to
its part along the edge, or turn it. On a CPU, models of some tens of atoms are bound by the memory
traffic of tensors of all edges: a compiled loop reads rows of atoms and of filters where they are
and writes nothing but p, another one makes all derivatives in one pass. Sums are made of some atoms
at a time, whose products stay in the cache. All is linear in each factor, so derivatives are made
of the same functions, to any order. Elsewhere, torch does it step by step.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from mdbench.twins import compiled_module

#: Numbers in the products of some atoms: a megabyte in single precision.
_PIECE = 2**18

Factors = tuple[Tensor | None, ...]


class EdgeProducts(NamedTuple):
    """The factors of products in the slots of all atoms.

    Attributes:
        senders: (n_atoms · n_slots,) the atom j in each slot of i.
        rows: (n_atoms · n_slots,) which of the filters a slot has.
        maps: (n_atoms · n_slots, n_parts, n_own) M; None for the identity.
        sent: (n_atoms, n_own, n_channels) x.
        received: (n_atoms, n_own, n_channels) y.
        filters: (n_rows, n_channels) w.
    """

    senders: Tensor
    rows: Tensor
    maps: Tensor | None
    sent: Tensor
    received: Tensor
    filters: Tensor

    def made(self) -> Tensor:
        """(n_atoms · n_slots, n_parts, n_channels): p."""
        if is_compiled(self.sent):
            return _tensor(_Products, *self)
        n_slots = len(self.senders) // len(self.received)
        own = self.sent.index_select(0, self.senders)
        own = own + self.received.repeat_interleave(n_slots, dim=0)
        own = own if self.maps is None else self.maps @ own
        return own * self.filters.index_select(0, self.rows)[:, None]

    def heard(self, weights: Tensor) -> Tensor:
        """(n_atoms, n_heads, n_parts · n_channels): sums over slots, with (…, n_slots) weights."""
        if is_compiled(self.sent):
            return _tensor(_Heard, self.senders, self.rows, weights, *self[2:])
        return weights @ self.made().view(len(weights), weights.shape[2], -1)

    def arrays(self) -> list[Any]:
        """What kernels take; maps without parts are the identity."""
        maps = self.sent.new_empty(0, 0, 0) if self.maps is None else self.maps
        factors = (self.senders, self.rows, maps, *self[3:])
        return [factor.detach().contiguous().numpy() for factor in factors]

    def empty(self, n: int) -> Tensor:
        """Room for the products of n slots."""
        n_parts = self.sent.shape[1] if self.maps is None else self.maps.shape[1]
        return self.sent.new_empty(n, n_parts, self.sent.shape[2])

    def zeros(self) -> list[Tensor]:
        """Room for derivatives by M, which may be none, x, y and w."""
        maps = self.sent.new_empty(0, 0, 0) if self.maps is None else self.maps
        return [factor.new_zeros(factor.shape) for factor in (maps, *self[3:])]


def is_compiled(tensor: Tensor) -> bool:
    """Whether there are kernels where a tensor is."""
    return tensor.device.type == "cpu" and kernels() is not None


def kernels() -> Any:
    """The compiled loops, or None on a bare GPU machine without numba."""
    return compiled_module("nn.product_kernels")


def pieces(n: int, size: int) -> Iterator[tuple[int, int]]:
    """First and last + 1 of n rows, as many at a time as have `_PIECE` numbers of size each."""
    step = max(1, _PIECE // size)
    return ((start, min(start + step, n)) for start in range(0, n, step))


def _tensor(function: Any, *arguments: Tensor | None) -> Tensor:
    made: Tensor = function.apply(*arguments)
    return made


def _slopes(function: Any, *arguments: Tensor | None) -> Factors:
    made: Factors = function.apply(*arguments)
    return made


class _Products(torch.autograd.Function):
    """p, of the factors M, x, y and w."""

    @staticmethod
    def forward(ctx: Any, *factors: Any) -> Tensor:
        ctx.save_for_backward(*factors)
        of = EdgeProducts(*factors)
        made = of.empty(len(of.senders))
        kernels().make_products(0, *of.arrays(), made.numpy())
        return made

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Factors:
        senders, rows, *factors = ctx.saved_tensors
        return None, None, *_slopes(_Slopes, senders, rows, gradients[0], *factors)


class _Slopes(torch.autograd.Function):
    """The derivatives of Σ g · p by M, x, y and w."""

    @staticmethod
    def forward(ctx: Any, senders: Tensor, rows: Tensor, g: Tensor, *factors: Any) -> Factors:
        ctx.save_for_backward(senders, rows, g, *factors)
        ctx.set_materialize_grads(False)
        of = EdgeProducts(senders, rows, *factors)
        found = of.zeros()
        slopes = [slope.numpy() for slope in found]
        kernels().add_slopes(0, *of.arrays(), g.detach().contiguous().numpy(), *slopes)
        return None if of.maps is None else found[0], *found[1:]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> Factors:
        return _of_slopes(_Products, _Slopes, ((0,), (1, 2), (3,)), ctx.saved_tensors, gradients)


class _Heard(torch.autograd.Function):
    """Σ a p over slots, of the factors a, M, x, y and w."""

    @staticmethod
    def forward(ctx: Any, senders: Tensor, rows: Tensor, a: Tensor, *factors: Any) -> Tensor:
        ctx.save_for_backward(senders, rows, a, *factors)
        of, (n_atoms, n_heads, n_slots) = EdgeProducts(senders, rows, *factors), a.shape
        size = of.empty(1).numel()
        made, arrays = a.new_empty(n_atoms, n_heads, size), of.arrays()
        for i, end in pieces(n_atoms, n_slots * size):
            p = of.empty((end - i) * n_slots)
            kernels().make_products(i * n_slots, *arrays, p.numpy())
            torch.bmm(a[i:end], p.view(-1, n_slots, size), out=made[i:end])
        return made

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Factors:
        senders, rows, *factors = ctx.saved_tensors
        return None, None, *_slopes(_HeardSlopes, senders, rows, gradients[0], *factors)


class _HeardSlopes(torch.autograd.Function):
    """The derivatives of Σ g · Σ a p by a, M, x, y and w."""

    @staticmethod
    def forward(
        ctx: Any, senders: Tensor, rows: Tensor, g: Tensor, a: Tensor, *factors: Any
    ) -> Factors:
        ctx.save_for_backward(senders, rows, g, a, *factors)
        ctx.set_materialize_grads(False)
        of, (n_atoms, _, n_slots) = EdgeProducts(senders, rows, *factors), a.shape
        g, size = g.detach().contiguous(), of.empty(1).numel()
        of_a, found, arrays = a.new_empty(a.shape), of.zeros(), of.arrays()
        slopes = [slope.numpy() for slope in found]
        for i, end in pieces(n_atoms, n_slots * size):
            p = of.empty((end - i) * n_slots)
            flat = p.view(-1, n_slots, size)
            kernels().make_products(i * n_slots, *arrays, p.numpy())
            torch.bmm(g[i:end], flat.transpose(1, 2), out=of_a[i:end])
            torch.bmm(a[i:end].transpose(1, 2), g[i:end], out=flat)  # now what g is to p
            kernels().add_slopes(i * n_slots, *arrays, p.numpy(), *slopes)
        return of_a, None if of.maps is None else found[0], *found[1:]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> Factors:
        if not torch.is_grad_enabled():
            return None, None, *_second_slopes(ctx.saved_tensors, gradients)
        places = ((0,), (1,), (2, 3), (4,))
        return _of_slopes(_Heard, _HeardSlopes, places, ctx.saved_tensors, gradients)


def _second_slopes(saved: tuple[Any, ...], gradients: Factors) -> Factors:
    """What `_of_slopes` gives for sums, in one pass: training spends much of its time there."""
    senders, rows, g, a, *factors = saved
    g, (n_atoms, n_heads, n_slots) = g.contiguous(), a.shape
    of = EdgeProducts(senders, rows, *factors)
    of_a = torch.zeros_like(a) if gradients[0] is None else gradients[0]
    size, arrays, found = of.empty(1).numel(), of.arrays(), of.zeros()
    slopes = [slope.numpy() for slope in found]
    moved: list[Any] = []  # other factors, and where derivatives by them go
    for places, others in _replaced(((0,), (1, 2), (3,)), factors, gradients[1:]):
        into = [np.zeros_like(s) if k in places else s for k, s in enumerate(slopes)]  # unread
        moved.append((EdgeProducts(senders, rows, *others).arrays(), into))
    by_g, by_a = g.new_empty(n_atoms, n_heads, size), g.new_empty(a.shape)
    for i, end in pieces(n_atoms, n_slots * size):
        p, part = (of.empty((end - i) * n_slots) for _ in range(2))
        flat, change = p.view(-1, n_slots, size), torch.zeros_like(p)
        for others, _ in moved:
            kernels().make_products(i * n_slots, *others, part.numpy())
            change += part
        kernels().make_products(i * n_slots, *arrays, p.numpy())
        change = change.view_as(flat)
        torch.bmm(a[i:end], change, out=by_g[i:end]).baddbmm_(of_a[i:end], flat)
        torch.bmm(g[i:end], change.transpose(1, 2), out=by_a[i:end])
        torch.bmm(a[i:end].transpose(1, 2), g[i:end], out=flat)
        for others, into in moved:
            kernels().add_slopes(i * n_slots, *others, p.numpy(), *into)
        torch.bmm(of_a[i:end].transpose(1, 2), g[i:end], out=flat)
        kernels().add_slopes(i * n_slots, *arrays, p.numpy(), *slopes)
    return by_g, by_a, None if of.maps is None else found[0], *found[1:]


def _of_slopes(
    value: Any,
    slopes: Any,
    linear_in: tuple[tuple[int, ...], ...],
    saved: tuple[Any, ...],
    gradients: Factors,
) -> Factors:
    """Derivatives of Σ gradient · slope: of the form with each factor replaced by its gradient.

    Args:
        value: The function that is linear in each of its factors.
        slopes: Its derivatives by all of them.
        linear_in: Places of each factor; x and y are one.
        saved: Senders, rows, g and the factors.
        gradients: By the slopes; None for zeros.
    """
    senders, rows, g, *factors = saved
    total: list[Tensor | None] = [None] * (1 + len(factors))
    for places, others in _replaced(linear_in, factors, gradients):
        parts = [value.apply(senders, rows, *others)]
        parts += slopes.apply(senders, rows, g, *others)
        for place in places:  # nothing is left of what was replaced
            parts[1 + place] = None
        both = zip(total, parts, strict=True)
        total = [a if b is None else b if a is None else a + b for a, b in both]
    return None, None, *total


def _replaced(
    linear_in: tuple[tuple[int, ...], ...], factors: list[Any], gradients: Factors
) -> Iterator[tuple[tuple[int, ...], list[Any]]]:
    """Places at which there are gradients, and the factors with those there."""
    for places in linear_in:
        if all(gradients[place] is None for place in places):
            continue
        others = list(factors)
        for place in places:
            gradient = gradients[place]
            others[place] = torch.zeros_like(factors[place]) if gradient is None else gradient
        yield places, others
