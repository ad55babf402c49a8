"""Periodic systems as graphs: what every model takes.

A model sees edge vectors and nothing else of the geometry, so it cannot depend on where the cell
is or which image of an atom is stored. One derivative by them gives forces and virials.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from mdbench.neighbors_torch import EdgeList
from mdbench.twins import compiled_module

#: Shells of neighbors that differ by less than this share are one.
_SAME_LENGTH = 1e-9


@dataclass(frozen=True, eq=False)
class AtomGraph:
    """Atoms of some systems and the directed edges between those closer than a cutoff.

    Attributes:
        atomic_numbers: (n_atoms,) of all systems.
        system_index: (n_atoms,) which system an atom belongs to, ascending.
        volumes: (n_systems,) Å³.
        edge_index: (2, n_edges) receiving atom i and sending atom j, sorted by i; each pair stands
            in both directions, and an atom may be the neighbor of its own images.
        cell_shifts: (n_edges, 3) whole lattice vectors S.
        back: (n_edges,) for each edge i ← j the place of the edge j ← i along the same line.
        edge_vectors: (n_edges, 3) Å, x[j] + S @ cell − x[i].
    """

    atomic_numbers: Tensor
    system_index: Tensor
    volumes: Tensor
    edge_index: Tensor
    cell_shifts: Tensor
    back: Tensor
    edge_vectors: Tensor

    @property
    def n_systems(self) -> int:
        """Number of systems."""
        return len(self.volumes)

    @property
    def n_atoms(self) -> int:
        """Number of atoms of all systems."""
        return len(self.atomic_numbers)

    @property
    def n_edges(self) -> int:
        """Number of directed edges."""
        return self.edge_index.shape[1]

    @cached_property
    def edge_lengths(self) -> Tensor:
        """(n_edges,) Å."""
        lengths: Tensor = torch.linalg.vector_norm(self.edge_vectors, dim=1)
        return lengths

    @cached_property
    def pairs(self) -> tuple[Tensor, Tensor]:
        """(n_edges,) number of the pair of both directions; (n_pairs,) one edge of each pair."""
        places = torch.arange(self.n_edges, device=self.back.device)
        is_first, n_pairs = places < self.back, self.n_edges // 2
        order = is_first.cumsum(0) - 1
        # the second edges all go to a last place, which is dropped
        first = places.new_zeros(n_pairs + 1)
        first = first.index_copy(0, torch.where(is_first, order, n_pairs), places)[:n_pairs]
        return torch.where(is_first, order, order.index_select(0, self.back)), first

    @cached_property
    def slots(self) -> tuple[Tensor, int]:
        """Those of all edges, as `edge_slots`."""
        return edge_slots(self.edge_index[0], self.n_atoms)

    def with_vectors(self, edge_vectors: Tensor) -> AtomGraph:
        """The same graph with other (n_edges, 3) edge vectors in Å: all else is known as before."""
        made = copy.copy(self)
        made.__dict__["edge_vectors"] = edge_vectors
        made.__dict__.pop("edge_lengths", None)
        return made

    def to(self, device: torch.device | str, dtype: torch.dtype) -> AtomGraph:
        """On a device, with vectors and volumes of a precision."""
        moved = {f.name: getattr(self, f.name).to(device) for f in dataclasses.fields(self)}
        for name in ("edge_vectors", "volumes"):
            moved[name] = moved[name].to(dtype)
        return AtomGraph(**moved)


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


def segment_sum(values: Tensor, index: Tensor, n: int) -> Tensor:
    """(n, …) sums of the rows of (n_rows, …) values that have the same index (n_rows,)."""
    return values.new_zeros(n, *values.shape[1:]).index_add(0, index, values)


def build_graph(
    atomic_numbers: ArrayLike,
    positions: ArrayLike,
    cells: ArrayLike,
    cutoff: float,
    *,
    first_atom: ArrayLike | None = None,
    max_neighbors: int = 500,
    dtype: torch.dtype = torch.float32,
) -> AtomGraph:
    """The graph of periodic systems, on the CPU.

    Args:
        atomic_numbers: (n_atoms,) of all systems.
        positions: (n_atoms, 3) Å, wrapped or not.
        cells: (n_systems, 3, 3) Å, row vectors; or (3, 3) of one system.
        cutoff: Å.
        first_atom: (n_systems + 1,) where each system's atoms begin, and the end of the last one.
        max_neighbors: Most neighbors of an atom, the nearest ones (`nearest_edges`).
        dtype: Of edge vectors and volumes, which are computed in float64.

    Raises:
        InputError: Positions that are not finite, a cell without volume.
    """
    numbers = torch.tensor(np.asarray(atomic_numbers, dtype=np.int64))
    x = torch.tensor(np.asarray(positions, dtype=np.float64))
    lattices = torch.tensor(np.asarray(cells, dtype=np.float64)).reshape(-1, 3, 3)
    first = [0, len(numbers)] if first_atom is None else np.asarray(first_atom).tolist()
    edges = edge_list(x, lattices, torch.tensor(first), cutoff * (1.0 + _SAME_LENGTH))
    listed = ListedEdges.of(numbers, lattices, torch.tensor(first), edges)
    return listed.graph(x, cutoff, max_neighbors).to("cpu", dtype)


def edge_list(positions: Tensor, cells: Tensor, first_atom: Tensor, cutoff: float) -> EdgeList:
    """All directed edges closer than the cutoff: compiled on the CPU, where numba is there.

    Args:
        positions: (n_atoms, 3) Å, float64, wrapped or not.
        cells: (n_systems, 3, 3) Å, float64.
        first_atom: (n_systems + 1,).
        cutoff: Å; with a skin for a list that is to last.

    Raises:
        InputError: Positions that are not finite, a cell without volume.
    """
    if positions.device.type == "cpu" and (neighbors := _compiled_neighbors()) is not None:
        x, lattices, first = positions.numpy(), cells.numpy(), first_atom.numpy()
        found = neighbors.neighbor_list(x, lattices, cutoff, first_atom=first)
        pairs = torch.as_tensor(np.ascontiguousarray(found.pairs.T))
        return EdgeList(pairs, torch.as_tensor(found.cell_shifts))
    from mdbench import neighbors_torch

    return neighbors_torch.neighbor_list(positions, cells, first_atom, cutoff)


def _compiled_neighbors() -> Any:
    return compiled_module("neighbors")


@dataclass(frozen=True, eq=False)
class ListedEdges:
    """A neighbor list, with all about its edges that does not change while atoms move.

    Attributes:
        atomic_numbers: (n_atoms,).
        system_index: (n_atoms,).
        volumes: (n_systems,) Å³.
        edge_index: (2, n_edges) sorted, with at least all edges within a cutoff.
        cell_shifts: (n_edges, 3).
        back: (n_edges,) as in `AtomGraph`.
        pairs: (n_edges,) as in `AtomGraph`.
        signs: (n_edges, 1) −1 where the edge goes against its pair.
        pair_index: (2, n_pairs) atoms of each pair, where it begins and where it ends.
        pair_shifts: (n_pairs, 3) Å, from the image of the second atom in the cell to the one meant.
    """

    atomic_numbers: Tensor
    system_index: Tensor
    volumes: Tensor
    edge_index: Tensor
    cell_shifts: Tensor
    back: Tensor
    pairs: Tensor
    signs: Tensor
    pair_index: Tensor
    pair_shifts: Tensor

    @classmethod
    def of(
        cls, atomic_numbers: Tensor, cells: Tensor, first_atom: Tensor, edges: EdgeList
    ) -> ListedEdges:
        """The edges of a list.

        Args:
            atomic_numbers: (n_atoms,).
            cells: (n_systems, 3, 3) Å, float64.
            first_atom: (n_systems + 1,).
            edges: Sorted, in both directions.
        """
        index, shifts = edges.edge_index, edges.cell_shifts
        sizes = first_atom.to(cells.device).diff()
        system = torch.repeat_interleave(torch.arange(len(cells), device=cells.device), sizes)
        back = reversed_edges(index, shifts, len(atomic_numbers))
        places = torch.arange(len(back), device=back.device)
        forward = places < back
        order = forward.cumsum(0) - 1
        first = forward.nonzero()[:, 0]
        moved = torch.einsum("ek,ekm->em", shifts[first].to(cells), cells[system[index[0, first]]])
        return cls(
            atomic_numbers=atomic_numbers,
            system_index=system,
            volumes=torch.linalg.det(cells).abs(),
            edge_index=index,
            cell_shifts=shifts,
            back=back,
            pairs=torch.where(forward, order, order[back]),
            signs=torch.where(forward, 1.0, -1.0).to(cells)[:, None],
            pair_index=index[:, first],
            pair_shifts=moved,
        )

    def whole(self, dtype: torch.dtype) -> AtomGraph:
        """The graph of all edges of the list, in a precision, at positions yet to be given."""
        return AtomGraph(
            atomic_numbers=self.atomic_numbers,
            system_index=self.system_index,
            volumes=self.volumes.to(dtype),
            edge_index=self.edge_index,
            cell_shifts=self.cell_shifts,
            back=self.back,
            edge_vectors=self.volumes.new_zeros(len(self.back), 3, dtype=dtype),
        )

    def edge_vectors(self, positions: Tensor) -> Tensor:
        """(n_edges, 3) Å of all edges of the list, of (n_atoms, 3) positions in Å."""
        return self._pair_vectors(positions).index_select(0, self.pairs) * self.signs

    def _pair_vectors(self, positions: Tensor) -> Tensor:
        """(n_pairs, 3) Å: once for both directions, so both are within a cutoff or none."""
        i, j = self.pair_index
        return positions.index_select(0, j) + self.pair_shifts - positions.index_select(0, i)

    def graph(self, positions: Tensor, cutoff: float, max_neighbors: int = 500) -> AtomGraph:
        """The graph of the edges that are now closer than the cutoff, in float64.

        It does not depend on how far the list reaches beyond that.

        Args:
            positions: (n_atoms, 3) Å, float64.
            cutoff: Å.
            max_neighbors: Most neighbors of an atom.
        """
        pairs = self._pair_vectors(positions)
        squared = (pairs * pairs).sum(dim=1)
        kept = (squared < cutoff * cutoff).index_select(0, self.pairs).nonzero()[:, 0]
        index, pair = self.edge_index.index_select(1, kept), self.pairs.index_select(0, kept)
        lengths = squared.index_select(0, pair).sqrt()
        near = nearest_edges(index[0], index[1], lengths, len(positions), max_neighbors)
        if near is not None:
            kept, index, pair = kept[near], index[:, near], pair[near]
        every = torch.arange(len(kept), device=kept.device)
        places = torch.zeros_like(self.pairs).index_copy_(0, kept, every)
        return AtomGraph(
            atomic_numbers=self.atomic_numbers,
            system_index=self.system_index,
            volumes=self.volumes,
            edge_index=index,
            cell_shifts=self.cell_shifts.index_select(0, kept),
            back=places.index_select(0, self.back.index_select(0, kept)),
            edge_vectors=pairs.index_select(0, pair) * self.signs.index_select(0, kept),
        )


def nearest_edges(
    receivers: Tensor, senders: Tensor, lengths: Tensor, n_atoms: int, max_neighbors: int
) -> Tensor | None:
    """(n_kept,) places of the edges that are left where atoms have too many neighbors, else None.

    An edge stays if it is among the nearest of both its atoms, so both directions of a pair stay
    or go. A shell of equal distances that does not fit as a whole goes as a whole: neither the
    order of the atoms nor rounding decides.

    Args:
        receivers: (n_edges,) sorted.
        senders: (n_edges,)
        lengths: (n_edges,) Å, float64.
        n_atoms: Number of atoms.
        max_neighbors: Most edges of an atom.
    """
    counts = torch.bincount(receivers, minlength=n_atoms)
    crowded = counts > max_neighbors
    if not bool(crowded.any()):
        return None
    order = torch.argsort(lengths, stable=True)
    order = order[torch.argsort(receivers[order], stable=True)]
    first = counts.cumsum(0) - counts
    limits = lengths.new_full((n_atoms,), torch.inf)
    beyond = lengths[order[first[crowded] + max_neighbors]]
    limits[crowded] = beyond * (1.0 - _SAME_LENGTH)
    near: Tensor = (lengths < torch.minimum(limits[receivers], limits[senders])).nonzero()[:, 0]
    return near


def join_graphs(graphs: Sequence[AtomGraph]) -> AtomGraph:
    """One graph of all systems of some graphs, in their order."""
    n_atoms, n_systems, n_edges = (
        np.cumsum([0, *(getattr(graph, name) for graph in graphs)]).tolist()
        for name in ("n_atoms", "n_systems", "n_edges")
    )

    def joined(name: str, offsets: Sequence[int], dim: int = 0) -> Tensor:
        parts = [getattr(g, name) + n for g, n in zip(graphs, offsets, strict=False)]
        return torch.cat(parts, dim)

    return AtomGraph(
        atomic_numbers=torch.cat([graph.atomic_numbers for graph in graphs]),
        system_index=joined("system_index", n_systems),
        volumes=torch.cat([graph.volumes for graph in graphs]),
        edge_index=joined("edge_index", n_atoms, 1),
        cell_shifts=torch.cat([graph.cell_shifts for graph in graphs]),
        back=joined("back", n_edges),
        edge_vectors=torch.cat([graph.edge_vectors for graph in graphs]),
    )


def reversed_edges(edge_index: Tensor, cell_shifts: Tensor, n_atoms: int) -> Tensor:
    """(n_edges,) for each edge i ← j the place of the edge j ← i along the same line.

    Args:
        edge_index: (2, n_edges) in both directions.
        cell_shifts: (n_edges, 3).
        n_atoms: Number of atoms.
    """
    i, j = edge_index.unbind()
    if not len(i):
        return i
    shifts = cell_shifts.long()
    most = int(shifts.abs().max())
    digits = 2 * most + 1

    def key(a: Tensor, b: Tensor, s: Tensor) -> Tensor:
        image: Tensor = ((s[:, 0] + most) * digits + s[:, 1] + most) * digits + s[:, 2] + most
        pair: Tensor = (a * n_atoms + b) * digits**3
        return pair + image

    keys, order = torch.sort(key(i, j, shifts))
    places: Tensor = order[torch.searchsorted(keys, key(j, i, -shifts))]
    return places
