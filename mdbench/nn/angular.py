"""Sums over pairs of edges that meet in an atom, by the angle between them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from mdbench.graph import AtomGraph
from mdbench.nn.angular_form import AngularForm, kernels
from mdbench.nn.spherical import spherical_harmonics


@dataclass(frozen=True, eq=False)
class AngularBasis:
    """a_ln(d_kj, α) = R_ln(d_kj) Y_l0(α) of each edge i ← j with all edges j ← k but the one back.

    By the addition theorem a sum over k of R Y_l0(α) v is a product of the harmonics of i ← j with
    the moments Σ_k Y_lm R v of the atom j. So there is no list of pairs of edges; time and memory
    grow with the number of edges. α is 0 where k, j, i are a straight line.

    Attributes:
        graph: With edges in both directions.
        outward: (n_edges, n_degrees²) for each j ← i the harmonics of i ← j, which points away from
            j as j ← i does.
        radial: (n_pairs, n_degrees, n_basis) a of an edge with the one back: (−1)ˡ R_ln. That sign
            is undone where it meets the one of outward.
    """

    graph: AtomGraph
    outward: Tensor
    radial: Tensor

    @classmethod
    def of(cls, graph: AtomGraph, directions: Tensor, radial: Tensor) -> AngularBasis:
        """The basis of a graph, of what both edges of a pair share: `AtomGraph.pairs`.

        Args:
            graph: With edges in both directions.
            directions: (n_pairs, 3) unit vectors of the first edges.
            radial: (n_pairs, n_degrees, n_basis) R.
        """
        n_degrees = radial.shape[1]
        pairs, first = graph.pairs
        sizes = 2 * torch.arange(n_degrees, device=pairs.device) + 1
        signs = (2 - sizes % 4).to(radial)  # (−1)ˡ
        radial = radial * (signs * torch.sqrt(sizes.to(radial) / (4.0 * math.pi)))[:, None]
        # what points away along the first edge of a pair is the second one, and the other way round
        ways = torch.ones_like(pairs).index_fill(0, first, -1).to(radial)[:, None]
        odd = torch.repeat_interleave(signs < 0.0, sizes, output_size=n_degrees**2)
        harmonics = spherical_harmonics(directions, n_degrees).index_select(0, pairs)
        return cls(graph, harmonics * torch.where(odd, ways, 1.0), radial)

    def sums(self, values: Tensor, weights: Tensor) -> Tensor:
        """(n_edges, n_channels): Σ_k v_kj,c Σ_ln W_cln a_ln(d_kj, α) for each edge i ← j.

        The edge j ← i is no j ← k; one from j to another image of i is.

        Args:
            values: (n_edges, n_channels) v.
            weights: (n_channels, n_degrees, n_basis) W.
        """
        pairs, _ = self.graph.pairs
        radial, (n_channels, n_degrees, _) = self.radial.flatten(1), weights.shape
        itself = values * (radial @ weights.flatten(1).T).index_select(0, pairs)
        # one product with zeros between degrees: those of each degree would leave gaps in rows
        apart = torch.eye(n_degrees, device=radial.device, dtype=radial.dtype)[:, None, :, None]
        blocks = (weights.permute(1, 2, 0)[:, :, None] * apart).flatten(2).flatten(0, 1)
        filters = (radial @ blocks).view(-1, n_degrees, n_channels)
        if values.device.type != "cpu" or kernels() is None:
            weighted = values[:, None] * filters.index_select(0, pairs)
            return self._without_back(self._meet(weighted), itself)
        counts = torch.bincount(self.graph.edge_index[0], minlength=self.graph.n_atoms)
        first = torch.nn.functional.pad(counts.cumsum(0), (1, 0))
        moments = AngularForm(first, pairs).moments(self.outward, values, filters)
        form, ones = AngularForm(first, torch.zeros_like(pairs)), torch.ones_like(filters[:1])
        return self._without_back(form.values(self.outward, moments, ones), itself)

    def mixed_sums(self, values: Tensor, weights: Tensor) -> Tensor:
        """(n_edges, n_channels): Σ_k Σ_b v_kj,bc Σ_ln W_bln a_ln(d_kj, α) for each edge i ← j.

        The sum over b is done on the edges j ← k, once for each degree, so that what is summed over
        k is n_channels wide.

        Args:
            values: (n_edges, n_mixed, n_channels) v.
            weights: (n_mixed, n_degrees, n_basis) W.
        """
        shares = torch.einsum("pln,bln->plb", self.radial, weights)
        mixed = shares.index_select(0, self.graph.pairs[0]) @ values
        return self._without_back(self._meet(mixed), mixed.sum(dim=1))

    def _meet(self, weighted: Tensor) -> Tensor:
        """(n_edges, n_channels): Σ_k Σ_l P_l w of (n_edges, n_degrees, n_channels), by torch.

        Those of the atom that an edge leads to, so they belong to the edge back.
        """
        outward, by_degree = self._outward_rows, self._rows(weighted).unbind(dim=2)
        sizes = [2 * degree + 1 for degree in range(len(by_degree))]
        moments = [
            harmonics.transpose(1, 2) @ part  # (n_atoms, 2l + 1, n_channels)
            for harmonics, part in zip(torch.split(outward, sizes, dim=2), by_degree, strict=True)
        ]
        sums = (outward @ torch.cat(moments, dim=1)).flatten(0, 1)
        return torch.index_select(sums, 0, self.graph.slots[0])

    @cached_property
    def _outward_rows(self) -> Tensor:
        return self._rows(self.outward)

    def _rows(self, values: Tensor) -> Tensor:
        """(n_atoms, n_slots, …) with (n_edges, …) values in their slots, 0 in those left over."""
        (slots, n_slots), n_atoms = self.graph.slots, self.graph.n_atoms
        rows = values.new_zeros(n_atoms * n_slots, *values.shape[1:])
        return rows.index_copy(0, slots, values).view(n_atoms, n_slots, *values.shape[1:])

    def _without_back(self, sums: Tensor, itself: Tensor) -> Tensor:
        """(n_edges, n_channels) sums of the edges back, less the part of the edge itself."""
        return torch.index_select(sums - itself, 0, self.graph.back)
