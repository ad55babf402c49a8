"""Periodic systems as graphs: what every model takes.

A model sees edge vectors and nothing else of the geometry, so it cannot depend on where the cell
is or which image of an atom is stored. One derivative by them gives forces and virials.
"""

from __future__ import annotations

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
        edge_vectors: (n_edges, 3) Å, x[j] + S @ cell − x[i].
    """

    atomic_numbers: Tensor
    system_index: Tensor
    volumes: Tensor
    edge_index: Tensor
    cell_shifts: Tensor
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

    def with_vectors(self, edge_vectors: Tensor) -> AtomGraph:
        """The same graph with other (n_edges, 3) edge vectors in Å."""
        return dataclasses.replace(self, edge_vectors=edge_vectors)

    def to(self, device: torch.device | str, dtype: torch.dtype) -> AtomGraph:
        """On a device, with vectors and volumes of a precision."""
        moved = {f.name: getattr(self, f.name).to(device) for f in dataclasses.fields(self)}
        for name in ("edge_vectors", "volumes"):
            moved[name] = moved[name].to(dtype)
        return AtomGraph(**moved)


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
    graph = graph_of(numbers, x, lattices, torch.tensor(first), edges, cutoff, max_neighbors)
    return graph.to("cpu", dtype)


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
    try:
        from mdbench import neighbors
    except ImportError:  # a bare GPU machine without numba
        return None
    return neighbors


def graph_of(
    atomic_numbers: Tensor,
    positions: Tensor,
    cells: Tensor,
    first_atom: Tensor,
    edges: EdgeList,
    cutoff: float,
    max_neighbors: int = 500,
) -> AtomGraph:
    """The graph of the edges of a list that are now closer than the cutoff, in float64.

    It does not depend on how far the list reaches beyond that.

    Args:
        atomic_numbers: (n_atoms,).
        positions: (n_atoms, 3) Å, float64.
        cells: (n_systems, 3, 3) Å, float64.
        first_atom: (n_systems + 1,).
        edges: Sorted, with at least all edges within the cutoff.
        cutoff: Å.
        max_neighbors: Most neighbors of an atom.
    """
    sizes = first_atom.to(positions.device).diff()
    system = torch.repeat_interleave(torch.arange(len(cells), device=positions.device), sizes)
    i, j = edges.edge_index
    # both directions of a pair are rounded alike, so both are within the cutoff or none
    turned = _is_backward(edges)[:, None]
    pair = torch.where(turned, edges.edge_index.flip(0).T, edges.edge_index.T)
    shifts = torch.where(turned, -edges.cell_shifts, edges.cell_shifts).to(positions)
    moved = torch.einsum("ek,ekm->em", shifts, cells[system[i]])
    vectors = positions[pair[:, 1]] + moved - positions[pair[:, 0]]
    vectors = torch.where(turned, -vectors, vectors)
    squared = (vectors * vectors).sum(dim=1)
    kept = (squared < cutoff * cutoff).nonzero()[:, 0]
    near = nearest_edges(i[kept], j[kept], squared[kept].sqrt(), len(positions), max_neighbors)
    kept = kept[near]
    return AtomGraph(
        atomic_numbers=atomic_numbers,
        system_index=system,
        volumes=torch.linalg.det(cells).abs(),
        edge_index=edges.edge_index[:, kept],
        cell_shifts=edges.cell_shifts[kept],
        edge_vectors=vectors[kept],
    )


def _is_backward(edges: EdgeList) -> Tensor:
    """(n_edges,) whether the other direction of an edge's pair is the first one."""
    i, j = edges.edge_index
    a, b, c = edges.cell_shifts.unbind(dim=1)
    below = (a < 0) | ((a == 0) & ((b < 0) | ((b == 0) & (c < 0))))
    backward: Tensor = (i > j) | ((i == j) & below)
    return backward


def nearest_edges(
    receivers: Tensor, senders: Tensor, lengths: Tensor, n_atoms: int, max_neighbors: int
) -> Tensor:
    """(n_kept,) places of the edges that are left when atoms have too many neighbors.

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
        return torch.arange(len(lengths), device=lengths.device)
    order = torch.argsort(lengths, stable=True)
    order = order[torch.argsort(receivers[order], stable=True)]
    first = counts.cumsum(0) - counts
    limits = lengths.new_full((n_atoms,), torch.inf)
    beyond = lengths[order[first[crowded] + max_neighbors]]
    limits[crowded] = beyond * (1.0 - _SAME_LENGTH)
    return (lengths < torch.minimum(limits[receivers], limits[senders])).nonzero()[:, 0]


def join_graphs(graphs: Sequence[AtomGraph]) -> AtomGraph:
    """One graph of all systems of some graphs, in their order."""
    n_atoms = np.cumsum([0, *(graph.n_atoms for graph in graphs)]).tolist()
    n_systems = np.cumsum([0, *(graph.n_systems for graph in graphs)]).tolist()
    return AtomGraph(
        atomic_numbers=torch.cat([graph.atomic_numbers for graph in graphs]),
        system_index=torch.cat(
            [g.system_index + n for g, n in zip(graphs, n_systems, strict=False)]
        ),
        volumes=torch.cat([graph.volumes for graph in graphs]),
        edge_index=torch.cat([g.edge_index + n for g, n in zip(graphs, n_atoms, strict=False)], 1),
        cell_shifts=torch.cat([graph.cell_shifts for graph in graphs]),
        edge_vectors=torch.cat([graph.edge_vectors for graph in graphs]),
    )


def reversed_edges(graph: AtomGraph) -> Tensor:
    """(n_edges,) for each edge i ← j the place of the edge j ← i along the same line."""
    i, j = graph.edge_index
    if not graph.n_edges:
        return graph.edge_index[0]
    shifts = graph.cell_shifts.long()
    most = int(shifts.abs().max())
    digits = 2 * most + 1

    def key(a: Tensor, b: Tensor, s: Tensor) -> Tensor:
        image: Tensor = ((s[:, 0] + most) * digits + s[:, 1] + most) * digits + s[:, 2] + most
        pair: Tensor = (a * graph.n_atoms + b) * digits**3
        return pair + image

    keys, order = torch.sort(key(i, j, shifts))
    places: Tensor = order[torch.searchsorted(keys, key(j, i, -shifts))]
    return places
