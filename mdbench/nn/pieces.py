"""Functions of rows, computed a few rows at a time: what is in between stays in a CPU's cache."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

#: Of the cache of a CPU core, 2 MB in those of today, what the largest result of a piece may fill.
_CACHE_BYTES = 1_400_000

RowFunction = Callable[..., Tensor]


def silu(x: Tensor) -> Tensor:
    """SiLU of an intermediate result, which it overwrites where no gradient is recorded."""
    return functional.silu(x, inplace=not torch.is_grad_enabled())


def even_sizes(rows: Tensor, bytes_per_row: int) -> list[int]:
    """Sizes of pieces of some rows that stay in cache; all rows where there is none to mind.

    Args:
        rows: (n_rows, …)
        bytes_per_row: Of what is computed of a row.
    """
    if rows.device.type != "cpu":
        return [len(rows)]
    step = max(1, _CACHE_BYTES // bytes_per_row)
    return [min(step, len(rows) - first) for first in range(0, len(rows), step)]


def in_pieces(
    function: RowFunction,
    rows: Sequence[Tensor],
    sizes: list[int],
    weights: Sequence[Tensor] = (),
) -> Tensor:
    """(n, …) results of a function of pieces of rows, one after another.

    Nothing in between is kept for the derivative, which computes it anew: on a CPU that takes less
    time than to write to memory what does not fit into its cache.

    Args:
        function: Of a piece of each of the rows.
        rows: (n_rows, …) each.
        sizes: Of the pieces; if there is but one, nothing is computed anew.
        weights: What else the function uses and derivatives are wanted of.
    """
    if len(sizes) <= 1:
        return function(*rows)
    if torch.is_grad_enabled():
        made: Tensor = _InPieces.apply(  # type: ignore[no-untyped-call]
            function, sizes, len(rows), *rows, *weights
        )
        return made
    return _joined(function, sizes, rows)


def _joined(function: RowFunction, sizes: list[int], rows: Sequence[Tensor]) -> Tensor:
    pieces = zip(*(torch.split(row, sizes) for row in rows), strict=True)
    return torch.cat([function(*piece) for piece in pieces])


class _InPieces(torch.autograd.Function):
    """Of the function, the sizes of pieces and how many tensors are rows; rows, weights."""

    @staticmethod
    def forward(
        ctx: Any, function: RowFunction, sizes: list[int], n_rows: int, *tensors: Tensor
    ) -> Tensor:
        ctx.function, ctx.sizes, ctx.n_rows = function, sizes, n_rows
        ctx.save_for_backward(*tensors)
        return _joined(function, sizes, tensors[:n_rows])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        tensors, needed = ctx.saved_tensors, ctx.needs_input_grad[3:]
        if torch.is_grad_enabled():  # derivatives of this derivative are wanted: keep everything
            wanted = [tensor for tensor, need in zip(tensors, needed, strict=True) if need]
            made = _joined(ctx.function, ctx.sizes, tensors[: ctx.n_rows])
            found = list(torch.autograd.grad(made, wanted, gradients[0], create_graph=True))
        else:
            found = _slopes(ctx, tensors, needed, gradients[0])
        return None, None, None, *(found.pop(0) if need else None for need in needed)


def _slopes(
    ctx: Any, tensors: Sequence[Tensor], needed: Sequence[bool], gradient: Tensor
) -> list[Tensor]:
    """Derivatives by the tensors that need them, piece by piece."""
    n = ctx.n_rows
    pieces = zip(*(torch.split(row, ctx.sizes) for row in tensors[:n]), strict=True)
    weights = [weight for weight, need in zip(tensors[n:], needed[n:], strict=True) if need]
    of_rows: list[Sequence[Tensor]] = []
    of_weights: list[Tensor] = []
    first = 0
    for piece in pieces:
        with torch.enable_grad():
            known = [
                row.detach().requires_grad_(need)
                for row, need in zip(piece, needed[:n], strict=True)
            ]
            made = ctx.function(*known)
        wanted = [row for row in known if row.requires_grad]
        slope = gradient[first : first + len(made)]
        found = torch.autograd.grad(made, [*wanted, *weights], slope)
        of_rows.append(found[: len(wanted)])
        if of_weights:
            torch._foreach_add_(of_weights, found[len(wanted) :])
        else:
            of_weights = list(found[len(wanted) :])
        first += len(made)
    return [*(torch.cat(parts) for parts in zip(*of_rows, strict=True)), *of_weights]
