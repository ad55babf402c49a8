"""Small layers."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from mdbench.nn.smooth import softplus


class ShiftedSoftplus(nn.Module):
    """ln(½ eˣ + ½): smooth, and 0 at 0 (Schütt et al. 2018, doi:10.1063/1.5019779)."""

    def forward(self, x: Tensor) -> Tensor:
        """Of the shape of x."""
        return softplus(x) - math.log(2.0)


def linear(n_in: int, n_out: int, *, bias: bool = True) -> nn.Linear:
    """A linear layer with uniform (Glorot) weights and zero biases."""
    layer = nn.Linear(n_in, n_out, bias=bias)
    nn.init.xavier_uniform_(layer.weight)
    if bias:
        nn.init.zeros_(layer.bias)
    return layer


def soft_length(squares: Tensor) -> Tensor:
    """√(x² + 0.01) − 0.1 of squares x²: like a length, and smooth where that is 0."""
    return torch.sqrt(squares + 0.01) - 0.1
