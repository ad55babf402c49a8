"""Functions of a distance as tables, for networks whose weights no longer change.

A filter network is asked for the same one-dimensional functions again and again. On a CPU, two rows
of a table are read in a fraction of the time in which the network is computed, and the memory for
its hidden layers and their derivatives is not needed.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from mdbench.errors import InputError
from mdbench.twins import compiled_module

#: Largest errors of a table between its knots, in units of the largest value and slope.
VALUE_ERROR, SLOPE_ERROR = 1e-6, 2e-5
_FEWEST_KNOTS, _MOST_KNOTS = 257, 16_385
#: Å, of differences: far below the width of any radial function.
_STEP = 1e-3


class RadialTable(nn.Module):
    """A module of distances as cubic splines with its values and slopes at even knots (Hermite).

    Between knots, values are within 1e-6 and slopes within 2e-5 of the largest ones. Its slope is
    exactly that of its values, so energies are conserved; the second derivative jumps at knots, by
    as little. Only first derivatives can be taken.

    Args:
        function: (n, n_out) of (n,) distances in Å, smooth from 0 on.
        cutoff: Å; larger distances count as this.
        dtype: Of the table, which is made in double precision.

    Raises:
        InputError: A function too jagged for any table, or not finite.
    """

    table: Tensor

    def __init__(self, function: nn.Module, cutoff: float, dtype: torch.dtype) -> None:
        super().__init__()
        exact = copy.deepcopy(function).double().requires_grad_(False)
        table, self.step = _table(exact, cutoff)
        self.register_buffer("table", table.to(dtype), persistent=False)
        self.cutoff = cutoff

    def forward(self, lengths: Tensor) -> Tensor:
        """(n, n_out) of (n,) distances in Å."""
        lengths = lengths.clamp(max=self.cutoff)
        found: Tensor = _LookUp.apply(lengths, self.table, self.step)  # type: ignore[no-untyped-call]
        return found


def _table(function: Callable[[Tensor], Tensor], cutoff: float) -> tuple[Tensor, float]:
    """(n_knots, 2, n_out) values, and slopes times the step; and the step in Å."""
    n_knots = _FEWEST_KNOTS
    while n_knots <= _MOST_KNOTS:
        step = cutoff / (n_knots - 1)
        knots = torch.linspace(0.0, cutoff, n_knots, dtype=torch.float64)
        table = torch.stack([function(knots), step * _slopes(function, knots)], dim=1)
        if _is_good(function, knots[:-1], table, step):
            return table, step
        n_knots = 2 * n_knots - 1
    raise InputError("radial functions", expected=f"smooth within {cutoff / _MOST_KNOTS:.1g} A")


def _slopes(function: Callable[[Tensor], Tensor], lengths: Tensor) -> Tensor:
    """(n, n_out) by differences of fourth order."""
    near, far = (function(lengths + h) - function(lengths - h) for h in (_STEP, 2.0 * _STEP))
    return (8.0 * near - far) / (12.0 * _STEP)


def _is_good(
    function: Callable[[Tensor], Tensor], knots: Tensor, table: Tensor, step: float
) -> bool:
    """Whether errors are within bounds after each of these knots, where those of cubics peak."""
    middle, beside = knots + 0.5 * step, knots + (3.0 - math.sqrt(3.0)) / 6.0 * step
    exact, slopes = function(middle), _slopes(function, beside)
    values, found = _cubics(middle, table, step), _cubic_slopes(beside, table, step)
    return bool(
        (values - exact).abs().max() <= VALUE_ERROR * exact.abs().max()
        and (found - slopes).abs().max() <= SLOPE_ERROR * slopes.abs().max()
    )


class _LookUp(torch.autograd.Function):
    """Values of the cubics; their slopes in the backward pass."""

    @staticmethod
    def forward(ctx: Any, lengths: Tensor, table: Tensor, step: float) -> Tensor:
        ctx.step = step
        ctx.save_for_backward(lengths, table)
        lengths = lengths.detach().contiguous()
        if (kernels := _kernels(table)) is None:
            return _cubics(lengths, table, step)
        found = lengths.new_empty(len(lengths), table.shape[2])
        kernels.look_up(lengths.numpy(), table.numpy(), step, found.numpy())
        return found

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        lengths, table = ctx.saved_tensors
        if (kernels := _kernels(table)) is None:
            slopes = _cubic_slopes(lengths, table, ctx.step)
            return (gradients[0] * slopes).sum(dim=1), None, None
        found = torch.empty_like(lengths)
        rows = gradients[0].contiguous().numpy()
        kernels.add_slopes(lengths.detach().numpy(), table.numpy(), ctx.step, rows, found.numpy())
        return found, None, None


def _kernels(table: Tensor) -> Any:
    if table.device.type != "cpu":
        return None
    return compiled_module("nn.table_kernels")


def _intervals(lengths: Tensor, table: Tensor, step: float) -> tuple[Tensor, Tensor]:
    """(n, 1) places in intervals, from 0 to 1; (n, 4, n_out) values and slopes at their ends."""
    below = (lengths / step).long().clamp(max=len(table) - 2)
    ends = torch.cat([table[below], table[below + 1]], dim=1)
    return (lengths / step - below)[:, None], ends


def _cubics(lengths: Tensor, table: Tensor, step: float) -> Tensor:
    """(n, n_out) values."""
    t, ends = _intervals(lengths, table, step)
    s = 1.0 - t
    shares = [(1.0 + 2.0 * t) * s * s, t * s * s, t * t * (3.0 - 2.0 * t), -t * t * s]
    return torch.bmm(torch.stack(shares, dim=2), ends)[:, 0]


def _cubic_slopes(lengths: Tensor, table: Tensor, step: float) -> Tensor:
    """(n, n_out) slopes."""
    t, ends = _intervals(lengths, table, step)
    s = 1.0 - t
    shares = [-6.0 * t * s, s * (1.0 - 3.0 * t), 6.0 * t * s, t * (3.0 * t - 2.0)]
    return torch.bmm(torch.stack(shares, dim=2), ends)[:, 0] / step
