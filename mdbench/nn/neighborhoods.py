"""Neighbors in rows of equal length, so that sums over them are matrix products."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mdbench.graph import AtomGraph


def edge_slots(receivers: Tensor, n_atoms: int) -> tuple[Tensor, int]:
    """(n_edges,) slots of edges, each atom having n_slots in a row; and n_slots.

    That is the largest number of edges of an atom, but one where there are none.

    Args:
        receivers: (n_edges,) of the edges, sorted.
        n_atoms: Number of atoms.
    """
    counts = torch.bincount(receivers, minlength=n_atoms)
    n_slots = max(1, int(counts.max()))
    places = torch.arange(len(receivers), device=receivers.device)
    return receivers * n_slots + places - (counts.cumsum(0) - counts)[receivers], n_slots


@dataclass(frozen=True, eq=False)
class Neighborhoods:
    """As many slots for each atom as the atom with most neighbors has, at least one.

    What depends on the length of an edge alone is the same for both its directions: it is
    computed once for a pair. Slots that are left over have to be made zero: `padded` does.

    Attributes:
        shape: (n_atoms, n_slots).
        slots: (n_edges,) where an edge stands among the n_atoms · n_slots.
        senders: (n_atoms · n_slots,) which atom is in a slot; 0 in those that are left over.
        pairs: (n_atoms · n_slots,) which pair is in a slot; 0 likewise.
        first: (n_edges / 2,) place of one of the two edges of each pair.
    """

    shape: tuple[int, int]
    slots: Tensor
    senders: Tensor
    pairs: Tensor
    first: Tensor

    @classmethod
    def of(cls, graph: AtomGraph) -> Neighborhoods:
        """Those of a graph with edges in both directions."""
        receivers, senders = graph.edge_index
        slots, n_slots = edge_slots(receivers, graph.n_atoms)
        shape = graph.n_atoms, n_slots
        pairs, first = graph.pairs
        none = slots.new_zeros(shape[0] * shape[1])
        return cls(
            shape=shape,
            slots=slots,
            senders=none.index_copy(0, slots, senders),
            pairs=none.index_copy(0, slots, pairs),
            first=first,
        )

    def padded(self, edges: Tensor) -> Tensor:
        """(n_atoms, n_slots, n): rows of (n_edges, n) edges in their slots, 0 in all others."""
        rows = edges.new_zeros(self.shape[0] * self.shape[1], edges.shape[1])
        return rows.index_copy(0, self.slots, edges).view(*self.shape, edges.shape[1])

    def of_senders(self, atoms: Tensor) -> Tensor:
        """(n_atoms, n_slots, n): rows of (n_atoms, n) atoms for those who are in a slot."""
        return torch.index_select(atoms, 0, self.senders).view(*self.shape, atoms.shape[1])

    def of_pairs(self, pairs: Tensor) -> Tensor:
        """(n_atoms, n_slots, n): rows of (n_pairs, n) pairs for those that are in a slot."""
        if not len(pairs):
            return pairs.new_zeros(*self.shape, pairs.shape[1])
        return torch.index_select(pairs, 0, self.pairs).view(*self.shape, pairs.shape[1])
