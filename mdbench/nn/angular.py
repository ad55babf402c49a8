"""Sums over pairs of edges that meet in an atom, by the angle between them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from mdbench.graph import AtomGraph
from mdbench.nn.neighborhoods import edge_slots
from mdbench.nn.spherical import spherical_harmonics


@dataclass(frozen=True, eq=False)
class AngularBasis:
    """a_ln(d_kj, α) = R_ln(d_kj) Y_l0(α) of each edge i ← j with all edges j ← k but the one back.

    By the addition theorem a sum over k of R Y_l0(α) v is a product of the harmonics of i ← j with
    the moments Σ_k Y_lm R v of the atom j. So there is no list of pairs of edges; time and memory
    grow with the number of edges. α is 0 where k, j, i are a straight line.

    Attributes:
        harmonics: For each degree l (n_atoms, n_slots, 2l + 1) of the directions of an atom's edges
            j ← k, and 0 where it has fewer than n_slots.
        outward: (n_atoms, n_slots, n_degrees²) the same of the edges i ← j, which point away from j
            as j ← i does.
        radial: For each degree (n_atoms · n_slots, n_basis) R, and 0 likewise.
        radial_back: (n_edges, n_degrees · n_basis) a of an edge with the one back.
        slots: (n_edges,) where an edge stands among the n_atoms · n_slots.
        back: (n_edges,) place of the edge j ← i.
    """

    harmonics: tuple[Tensor, ...]
    outward: Tensor
    radial: tuple[Tensor, ...]
    radial_back: Tensor
    slots: Tensor
    back: Tensor

    @classmethod
    def of(cls, graph: AtomGraph, directions: Tensor, radial: Tensor) -> AngularBasis:
        """The basis of a graph.

        Args:
            graph: With edges in both directions.
            directions: (n_edges, 3) unit vectors of its edges.
            radial: (n_edges, n_degrees, n_basis) R.
        """
        receivers = graph.edge_index[0]
        slots, n_slots = edge_slots(receivers, graph.n_atoms)
        sizes = [2 * degree + 1 for degree in range(radial.shape[1])]
        orders = torch.tensor(sizes, device=slots.device)
        radial = radial * torch.sqrt(orders.to(radial) / (4.0 * math.pi))[:, None]
        signs = (2 - orders % 4).to(radial)  # (−1)ˡ
        harmonics = spherical_harmonics(directions, len(sizes))
        n_rows = graph.n_atoms * n_slots
        harmonics = _padded(harmonics, slots, n_rows).view(graph.n_atoms, n_slots, sum(sizes))
        return cls(
            harmonics=torch.split(harmonics, sizes, dim=2),
            outward=harmonics * signs.repeat_interleave(orders, output_size=sum(sizes)),
            radial=_padded(radial, slots, n_rows).unbind(dim=1),
            radial_back=(radial * signs[:, None]).flatten(1),
            slots=slots,
            back=graph.back,
        )

    def sums(self, values: Tensor, weights: Tensor) -> Tensor:
        """(n_edges, n_channels): Σ_k v_kj,c Σ_ln W_cln a_ln(d_kj, α) for each edge i ← j.

        The edge j ← i is no j ← k; one from j to another image of i is.

        Args:
            values: (n_edges, n_channels) v.
            weights: (n_channels, n_degrees, n_basis) W.
        """
        n_atoms, n_slots, _ = self.outward.shape
        padded = _padded(values, self.slots, n_atoms * n_slots)
        moments = []
        for harmonics, radial, weight in zip(
            self.harmonics, self.radial, weights.unbind(dim=1), strict=True
        ):
            weighted = (padded * (radial @ weight.T)).view(n_atoms, n_slots, padded.shape[1])
            moments.append(harmonics.transpose(1, 2) @ weighted)  # (n_atoms, 2l + 1, n_channels)
        return self._from_moments(moments, values * (self.radial_back @ weights.flatten(1).T))

    def mixed_sums(self, values: Tensor, weights: Tensor) -> Tensor:
        """(n_edges, n_channels): Σ_k Σ_b v_kj,bc Σ_ln W_bln a_ln(d_kj, α) for each edge i ← j.

        The sum over b is done on the edges j ← k, once for each degree, so that what is summed over
        k is n_channels wide.

        Args:
            values: (n_edges, n_mixed, n_channels) v.
            weights: (n_mixed, n_degrees, n_basis) W.
        """
        n_atoms, n_slots, _ = self.outward.shape
        radial = self.radial_back.view(-1, *weights.shape[1:])
        mixed = torch.einsum("eln,bln->elb", radial, weights) @ values
        padded = _padded(mixed, self.slots, n_atoms * n_slots)
        by_degree = padded.view(n_atoms, n_slots, *padded.shape[1:]).unbind(dim=2)
        # the (−1)ˡ of radial_back is undone by that of outward
        sizes = [harmonics.shape[2] for harmonics in self.harmonics]
        outward = torch.split(self.outward, sizes, dim=2)
        moments = [
            harmonics.transpose(1, 2) @ weighted  # (n_atoms, 2l + 1, n_channels)
            for harmonics, weighted in zip(outward, by_degree, strict=True)
        ]
        return self._from_moments(moments, mixed.sum(dim=1))

    def _from_moments(self, moments: list[Tensor], itself: Tensor) -> Tensor:
        """(n_edges, n_channels) of the moments of atoms, without the part of the edge back."""
        sums = (self.outward @ torch.cat(moments, dim=1)).flatten(0, 1)
        return torch.index_select(torch.index_select(sums, 0, self.slots) - itself, 0, self.back)


def _padded(values: Tensor, slots: Tensor, n_rows: int) -> Tensor:
    """(n_rows, …) with the rows of (n_edges, …) values in their slots, else 0."""
    return values.new_zeros(n_rows, *values.shape[1:]).index_copy(0, slots, values)
