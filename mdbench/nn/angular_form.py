"""Sums of harmonics over the edges of atoms, without tensors as large as edges times degrees.

The sums are derivatives of one form,

    T = Σ_e Σ_lmc Y_e,lm A_j,lmc v_ec w_r,lc,    j the receiver of e and r the row of filters of e,

and so are their own derivatives, of any order. What torch would write to memory in between is some
times what it reads; compiled loops keep it in the cache of a CPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from mdbench.nn.multilinear import derivative
from mdbench.twins import compiled_module

#: Places of Y, A, v and w among the factors of the form.
HARMONICS, MOMENTS, VALUES, FILTERS = range(4)


def kernels() -> Any:
    """The compiled loops, if any."""
    return compiled_module("nn.angular_kernels")


@dataclass(frozen=True, eq=False)
class AngularForm:
    """The form for some edges.

    Attributes:
        first_edge: (n_atoms + 1,) where the edges of an atom begin.
        rows: (n_edges,) which row of filters an edge has.
    """

    first_edge: Tensor
    rows: Tensor

    def moments(self, harmonics: Tensor, values: Tensor, filters: Tensor) -> Tensor:
        """(n_atoms, n_degrees², n_channels): Σ_e Y v w.

        Args:
            harmonics: (n_edges, n_degrees²).
            values: (n_edges, n_channels).
            filters: (n_rows, n_degrees, n_channels).
        """
        shape = len(self.first_edge) - 1, harmonics.shape[1], values.shape[1]
        return derivative(self, MOMENTS, shape, (harmonics, None, values, filters))

    def values(self, harmonics: Tensor, moments: Tensor, filters: Tensor) -> Tensor:
        """(n_edges, n_channels): Σ_lm Y A w.

        Args:
            harmonics: (n_edges, n_degrees²).
            moments: (n_atoms, n_degrees², n_channels).
            filters: (n_rows, n_degrees, n_channels).
        """
        shape = len(harmonics), moments.shape[2]
        return derivative(self, VALUES, shape, (harmonics, moments, None, filters))

    def add_derivative(self, place: int, factors: Sequence[Tensor]) -> None:
        """Adds the derivative of the form by a factor to that factor (`multilinear.Form`)."""
        loops = kernels()
        add = (loops.add_to_harmonics, loops.add_to_moments, loops.add_to_values)
        arrays = [factor.numpy() for factor in factors]
        (*add, loops.add_to_filters)[place](self.first_edge.numpy(), self.rows.numpy(), *arrays)
