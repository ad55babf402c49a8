"""Layers for features that are scalars and vectors, which turn with the system."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional


class Widths(NamedTuple):
    """Numbers of channels.

    Attributes:
        scalars: Of degree 0.
        vectors: Of degree 1; 0 where nobody reads them.
    """

    scalars: int
    vectors: int


class Features(NamedTuple):
    """What atoms, or edges, have.

    Attributes:
        scalars: (n, n_scalars).
        vectors: (n, 3, n_vectors).
    """

    scalars: Tensor
    vectors: Tensor

    def plus(self, other: Features) -> Features:
        """The sum."""
        return Features(self.scalars + other.scalars, self.vectors + other.vectors)


def normal_linear(n_in: int, n_out: int, *, bias: bool = True) -> nn.Linear:
    """A linear layer with normal weights of variance 1/n_in and zero biases."""
    layer = nn.Linear(n_in, n_out, bias=bias)
    nn.init.normal_(layer.weight, std=1.0 / math.sqrt(n_in))
    if bias:
        nn.init.zeros_(layer.bias)
    return layer


def gain_of(function: Callable[[Tensor], Tensor]) -> float:
    """1/√⟨f(x)²⟩ over the normal distribution: times it, f keeps the second moment."""
    points, weights = np.polynomial.hermite_e.hermegauss(100)
    values = function(torch.as_tensor(points)).numpy()
    return float(1.0 / np.sqrt(np.sum(weights * values**2) / math.sqrt(2.0 * math.pi)))


SILU_GAIN = gain_of(functional.silu)
SIGMOID_GAIN = gain_of(torch.sigmoid)


class EquivariantLinear(nn.Module):
    """Scalars are mixed with scalars, with biases, and vectors with vectors.

    Args:
        n_in: Widths that it takes.
        n_out: Widths that it gives; vectors that are none have no weights.
        bias: Whether scalars have biases.
    """

    def __init__(self, n_in: Widths, n_out: Widths, *, bias: bool = True) -> None:
        super().__init__()
        self.scalars = normal_linear(n_in.scalars, n_out.scalars, bias=bias)
        self.vectors = (
            normal_linear(n_in.vectors, n_out.vectors, bias=False) if n_out.vectors else None
        )

    def forward(self, x: Features) -> Features:
        """Features of the widths that it gives."""
        vectors = x.vectors[:, :, :0] if self.vectors is None else self.vectors(x.vectors)
        return Features(self.scalars(x.scalars), vectors)


class EquivariantNorm(nn.Module):
    """Scalars less their mean, over their deviation; vectors over their root mean square.

    Liao, Smidt, ICLR 2023, arXiv:2206.11990, layer normalization, with the mean square over
    channels and components.

    Args:
        widths: Of the features.
        least_vectors: Root mean square in the vectors' denominator beside their own. Vectors
            vanish where an atom's surroundings are symmetric, or go: a small number would blow up
            what is left of them.
    """

    def __init__(self, widths: Widths, *, least_vectors: float = 0.3) -> None:
        super().__init__()
        self.scalars = nn.LayerNorm(widths.scalars)
        self.vectors = nn.Parameter(torch.ones(widths.vectors)) if widths.vectors else None
        self.least_vectors = least_vectors

    def forward(self, x: Features) -> Features:
        """Features of the same widths."""
        scalars = self.scalars(x.scalars)
        if self.vectors is None:
            return Features(scalars, x.vectors)
        squares = (x.vectors * x.vectors).mean(dim=(1, 2), keepdim=True)
        scales = torch.rsqrt(squares + self.least_vectors**2)
        return Features(scalars, x.vectors * (scales * self.vectors))


def gated(x: Features) -> Features:
    """SiLU of scalars, of which the last ones, one for each vector, are the vectors' gates.

    Both functions have their gains, so features of order one stay so.
    """
    n_vectors = x.vectors.shape[2]
    if not n_vectors:
        return Features(SILU_GAIN * functional.silu(x.scalars), x.vectors)
    scalars, gates = torch.split(x.scalars, [x.scalars.shape[1] - n_vectors, n_vectors], dim=1)
    gates = SIGMOID_GAIN * torch.sigmoid(gates)
    return Features(SILU_GAIN * functional.silu(scalars), x.vectors * gates[:, None])
