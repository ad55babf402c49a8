"""Edges that stand upright in frames of their own: functions on the sphere there and back.

Coefficients in the frames are sorted by the order of their harmonics: first m = 0, then m = 1, and
so on, and within an order the cosines (+m) before the sines (−m), each by degree.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from mdbench.graph import edge_slots
from mdbench.nn.rotations import SphereGrid, rotated_harmonics, sphere_grid

#: Edges whose messages are computed at once: few for a CPU's cache, many to fill a GPU.
_CPU_EDGES, _GPU_EDGES = 512, 16_384


@functools.cache
def by_order(n_degrees: int, max_order: int) -> list[int]:
    """Places of the harmonics of orders |m| ≤ max_order in l² + l + m, sorted by order."""
    places = [degree * (degree + 1) for degree in range(n_degrees)]
    for order in range(1, max_order + 1):
        for sign in (order, -order):
            places += [degree * (degree + 1) + sign for degree in range(order, n_degrees)]
    return places


@functools.cache
def orthonormal_grid(
    n_degrees: int,
    n_polar: int,
    n_azimuth: int,
    max_order: int | None,
    dtype: torch.dtype,
    device: torch.device,
) -> SphereGrid:
    """A `sphere_grid` for harmonics whose squares have the integral 1.

    With a max_order its harmonics are sorted by order.
    """
    grid = sphere_grid(n_degrees, n_polar, n_azimuth)
    degrees = torch.arange(n_degrees, dtype=torch.float64)
    norms = torch.sqrt((2 * degrees + 1) / (4.0 * math.pi))
    norms = norms.repeat_interleave(2 * torch.arange(n_degrees) + 1)
    to_points, to_coefficients = grid.to_points * norms, grid.to_coefficients / norms[:, None]
    if max_order is not None:
        kept = by_order(n_degrees, max_order)
        to_points, to_coefficients = to_points[:, kept], to_coefficients[kept]
    parts = grid.points, to_points, to_coefficients
    return SphereGrid(*(part.to(device, dtype).contiguous() for part in parts))


@dataclass(frozen=True, eq=False)
class Piece:
    """Some atoms and the edges that they receive."""

    atoms: slice
    edges: slice


@dataclass(frozen=True, eq=False)
class AlignedEdges:
    """Turns into the frames of all edges of an atom, as matrices that act on all of them at once.

    An edge i ← j knows a function at its receiver i and one at its sender j. Linear maps of
    coefficients that treat all of one degree alike can be done before the turn, on atoms, so
    that the turn of an edge adds up degrees: Σ_l D^l_rm' z_lm' in row r.

    Attributes:
        turns: For each order m (n_maps, n_atoms, n_slots · n_rows, n_degrees² − m²) D. Maps are
            those at the receiver and at the sender; for m > 0 rows are the cosine and the sine,
            (C, S), and after these two maps come two that give (−S, C).
        rows: For each order (n_edges, n_rows, n_maps) where the rows of an edge stand among the
            n_maps · n_atoms · n_slots · n_rows.
        returns: (n_edges, n_kept, n_degrees²) turns back, with the weights of the edges.
        slots: (n_edges,) where an edge stands among the n_atoms · n_slots.
        n_slots: Of each atom.
        first_edge: n_atoms + 1 places where the edges of an atom begin.
    """

    turns: tuple[Tensor, ...]
    rows: tuple[Tensor, ...]
    returns: Tensor
    slots: Tensor
    n_slots: int
    first_edge: list[int]

    @classmethod
    def of(
        cls,
        edge_index: Tensor,
        back: Tensor,
        frames: Tensor,
        weights: Tensor,
        *,
        n_atoms: int,
        n_degrees: int,
        max_order: int,
    ) -> AlignedEdges:
        """The turns of some edges, which stand in both directions.

        Args:
            edge_index: (2, n_edges) receivers, sorted, and senders.
            back: (n_edges,) place of the other direction of an edge.
            frames: (n_edges, 3, 3) rotations that put edges upright.
            weights: (n_edges,) of what an edge sends to its receiver.
            n_atoms: Number of atoms.
            n_degrees: Degrees l from 0 on.
            max_order: Largest order |m| of what is known in the frames.
        """
        receivers = edge_index[0]
        slots, n_slots = edge_slots(receivers, n_atoms)
        counts = torch.bincount(receivers, minlength=n_atoms)
        first_edge = functional.pad(counts.cumsum(0), (1, 0)).tolist()

        wigner = rotated_harmonics(frames, n_degrees, max_order)
        sizes, kept = _rows_by_order(n_degrees, max_order)
        wigner = wigner[:, kept]  # (n_edges, n_kept, n_degrees²)
        turns, rows = [], []
        for order, part in enumerate(torch.split(wigner, sizes, dim=1)):
            maps = _maps(part, order, back)  # (n_maps, n_edges, n_rows, n_degrees² − m²)
            n_maps, _, n_rows, n_places = maps.shape
            padded = maps.new_zeros(n_maps, n_atoms * n_slots, n_rows, n_places)
            padded = padded.index_copy(1, slots, maps)
            turns.append(padded.view(n_maps, n_atoms, n_slots * n_rows, n_places))
            # edge back[e] has the sender of e as its receiver, so its slot is with that atom
            ends = torch.stack([slots, slots[back]] * (n_maps // 2), dim=1)
            ends = ends + n_atoms * n_slots * torch.arange(n_maps, device=ends.device)
            each = torch.arange(n_rows, device=ends.device)[:, None]
            rows.append(ends[:, None] * n_rows + each)
        returns = wigner * weights[:, None, None]
        return cls(tuple(turns), tuple(rows), returns, slots, n_slots, first_edge)

    def pieces(self) -> Iterator[Piece]:
        """Atoms in pieces; all at once where gradients are recorded, which keep all anyway."""
        n_atoms = len(self.first_edge) - 1
        limit = _CPU_EDGES if self.slots.device.type == "cpu" else _GPU_EDGES
        step = max(1, n_atoms if torch.is_grad_enabled() else limit // self.n_slots)
        for start in range(0, n_atoms, step):
            stop = min(start + step, n_atoms)
            edges = slice(self.first_edge[start], self.first_edge[stop])
            yield Piece(slice(start, stop), edges)

    def summed(self, messages: Tensor, piece: Piece | None = None) -> Tensor:
        """(n_atoms, n_degrees², n_channels) sums over edges of what they tell, turned back.

        Args:
            messages: (n_edges, n_kept, n_channels) coefficients in the frames; those of low orders
                alone if there are fewer.
            piece: Which atoms and edges these are, if not all.
        """
        every = slice(0, len(self.first_edge) - 1), slice(0, len(self.slots))
        atoms, edges = (piece.atoms, piece.edges) if piece else every
        returns = self.returns[edges, : messages.shape[1]]
        if messages.device.type == "cpu":
            first = self.first_edge[atoms.start : atoms.stop + 1]
            return sums_by_atom(returns, messages, first)
        slots = self.slots[edges] - atoms.start * self.n_slots
        return sums_in_slots(returns, messages, slots, (atoms.stop - atoms.start, self.n_slots))


def sums_by_atom(returns: Tensor, messages: Tensor, first_edge: Sequence[int]) -> Tensor:
    """(n_atoms, n_degrees², n_channels): a product for each atom, whose edges stand together.

    Args:
        returns: (n_edges, n_kept, n_degrees²)
        messages: (n_edges, n_kept, n_channels)
        first_edge: n_atoms + 1 places where the edges of an atom begin.
    """
    sizes = [end - start for start, end in itertools.pairwise(first_edge)]
    parts = zip(torch.split(returns, sizes), torch.split(messages, sizes), strict=True)
    return torch.stack([a.flatten(0, 1).T @ b.flatten(0, 1) for a, b in parts])


def sums_in_slots(
    returns: Tensor, messages: Tensor, slots: Tensor, shape: tuple[int, int]
) -> Tensor:
    """(n_atoms, n_degrees², n_channels): the same in one product, as a GPU likes it.

    Args:
        returns: (n_edges, n_kept, n_degrees²)
        messages: (n_edges, n_kept, n_channels)
        slots: (n_edges,) where an edge stands among the n_atoms · n_slots.
        shape: (n_atoms, n_slots)
    """

    def padded(x: Tensor) -> Tensor:
        rows = x.new_zeros(shape[0] * shape[1], *x.shape[1:]).index_copy(0, slots, x)
        return rows.view(shape[0], shape[1] * x.shape[1], x.shape[2])

    return padded(returns).transpose(1, 2) @ padded(messages)


def _maps(wigner: Tensor, order: int, back: Tensor) -> Tensor:
    """(n_maps, n_edges, n_rows, n_degrees² − m²) turns of one order by what they act on.

    Args:
        wigner: (n_edges, n_rows · degrees, n_degrees²) rows of the order.
        order: m.
        back: (n_edges,) the other direction of an edge.
    """
    n_rows = 2 if order else 1
    n_degrees = wigner.shape[1] // n_rows
    # a row is zero but for its own degree
    both = wigner.reshape(len(wigner), n_rows, n_degrees, wigner.shape[2]).sum(dim=2)
    both = both[:, :, order**2 :]
    maps = [both, both[back]]
    if order:
        turned = torch.stack([-both[:, 1], both[:, 0]], dim=1)
        maps += [turned, turned[back]]
    return torch.stack(maps)


def _rows_by_order(n_degrees: int, max_order: int) -> tuple[list[int], list[int]]:
    """How many rows each order has, and places of rows among those of |m| ≤ max_order by degree."""
    places = by_order(n_degrees, max_order)
    standing = {place: k for k, place in enumerate(sorted(places))}
    sizes = [(2 if order else 1) * (n_degrees - order) for order in range(max_order + 1)]
    return sizes, [standing[place] for place in places]
