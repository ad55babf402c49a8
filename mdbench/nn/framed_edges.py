"""Edges with a frame each, in which what their atoms know is seen, and messages are told."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from mdbench.nn.neighborhoods import edge_slots
from mdbench.nn.rotations import orders_up_to, rotated_harmonics


@dataclass(frozen=True, eq=False)
class FramedEdges:
    """Maps from coefficients of harmonics at atoms to the frames of edges, and back.

    Each atom has as many slots as the busiest one has neighbors, so that what happens between its
    coefficients and all its edges is one matrix product.

    Attributes:
        slots: The slot of each edge (n_edges,) at its sender and at its receiver.
        seeing: From products of coefficients with weights to what an edge sees of them,
            (n_atoms, n_slots n_waves, n_products) at senders and at receivers; see `_products`.
        telling: From messages to coefficients, (n_atoms, n_coefficients, n_slots n_rows); rows of
            a slot as in `_rows`.
        n_waves: 1, cos mφ and sin mφ of each order.
        n_rows: Rows of a slot.
    """

    slots: tuple[Tensor, Tensor]
    seeing: tuple[Tensor, Tensor]
    telling: Tensor
    n_waves: int
    n_rows: int

    @classmethod
    def of(
        cls,
        edge_index: Tensor,
        n_atoms: int,
        rotations: Tensor,
        weights: Tensor,
        n_degrees: int,
        max_order: int,
    ) -> FramedEdges:
        """Of some edges, which stand in both directions.

        Args:
            edge_index: (2, n_edges) receivers and senders.
            n_atoms: Number of atoms.
            rotations: (n_edges, 3, 3) the frames.
            weights: (n_edges,) share of their messages.
            n_degrees: Degrees l from 0 on.
            max_order: Largest |m| that is seen and told.
        """
        receiving, n_slots = edge_slots(edge_index[0], n_atoms)
        sending = _ranks(edge_index[1], n_atoms) + n_slots * edge_index[1]

        def spread(rows: Tensor, slots: Tensor) -> Tensor:
            return rows.new_zeros(n_atoms * n_slots, rows.shape[1]).index_copy_(0, slots, rows)

        device = edge_index.device
        harmonics = rotated_harmonics(rotations, n_degrees, max_order)
        places, signs = (a.to(device) for a in _products(n_degrees, max_order))
        seen = harmonics.flatten(1)[:, places.flatten()] * signs.to(harmonics).flatten()
        n_waves, n_products = places.shape
        seeing = [
            spread(seen, slots).view(n_atoms, n_slots * n_waves, n_products)
            for slots in (sending, receiving)
        ]
        rows, signs = (a.to(device) for a in _rows(n_degrees, max_order))
        told = harmonics[:, rows] * (signs.to(harmonics) * weights[:, None])[:, :, None]
        telling = spread(told.flatten(1), receiving).view(
            n_atoms, n_slots * len(rows), n_degrees**2
        )
        return cls(
            (sending, receiving),
            (seeing[0], seeing[1]),
            telling.transpose(1, 2),
            n_waves,
            len(rows),
        )

    def seen(self, of_senders: Tensor, of_receivers: Tensor) -> Tensor:
        """(n_edges, n_waves, n) sums of both: what is seen in a frame turned by φ, as waves of φ.

        Args:
            of_senders: (n_atoms, n_products, n): n weighted sums over channels for each product.
            of_receivers: (n_atoms, n_products, n).
        """
        width = self.n_waves * of_senders.shape[2]
        sent, received = (
            torch.bmm(seeing, products)
            .view(len(seeing) * seeing.shape[1] // self.n_waves, width)
            .index_select(0, slots)
            for seeing, products, slots in zip(
                self.seeing, (of_senders, of_receivers), self.slots, strict=True
            )
        )
        return (sent + received).view(len(sent), self.n_waves, of_senders.shape[2])

    def summed(self, pieces: Iterable[Tensor], n_channels: int) -> Tensor:
        """(n_atoms, n_coefficients, n_channels) sums over neighbors of what they tell.

        Args:
            pieces: Consecutive pieces of messages (n_edges, n_rows n_channels).
            n_channels: Of each row.
        """
        n_atoms, _, n_rows = self.telling.shape
        messages = self.telling.new_zeros(n_atoms * n_rows // self.n_rows, self.n_rows * n_channels)
        first = 0
        for piece in pieces:
            last = first + len(piece)
            messages.index_copy_(0, self.slots[1][first:last], piece)
            first = last
        return torch.bmm(self.telling, messages.view(n_atoms, n_rows, n_channels))


def _ranks(index: Tensor, n_atoms: int) -> Tensor:
    """(n,) how many have the same index (n,), which is below n_atoms, and come before."""
    counts = torch.bincount(index, minlength=n_atoms)
    order = torch.argsort(index, stable=True)
    first = (counts.cumsum(0) - counts)[index[order]]
    places = torch.arange(len(index), device=index.device)
    return torch.empty_like(index).index_copy_(0, order, places - first)


@functools.cache
def _rows(n_degrees: int, max_order: int) -> tuple[Tensor, Tensor]:
    """(n_rows,) kept harmonics and their signs: c_l0; for each m c_m and c_−m, then c_−m and −c_m.

    In a frame turned by φ about z, c_m and c_−m are cos mφ times the first two, plus sin mφ times
    the last two.
    """
    degrees = torch.arange(n_degrees)
    middle = degrees * (degrees + 1)
    rows, signs = [middle], [torch.ones(n_degrees)]
    for m in range(1, max_order + 1):
        one = torch.ones(n_degrees - m)
        rows += [middle[m:] + m, middle[m:] - m, middle[m:] - m, middle[m:] + m]
        signs += [one, one, one, -one]
    return torch.searchsorted(orders_up_to(n_degrees, max_order), torch.cat(rows)), torch.cat(signs)


@functools.cache
def _products(n_degrees: int, max_order: int) -> tuple[Tensor, Tensor]:
    """(1 + 2 max_order, n_products): places in D (n_kept, n_degrees²), and their signs or 0.

    A product is of the coefficient c_lm' and the weights of c_lk in the frame, in the order l, m',
    k; so it is multiplied by D_km'. Rows are A and, for each m, B_m and C_m, as in `_rows`.
    """
    kept = {place: row for row, place in enumerate(orders_up_to(n_degrees, max_order).tolist())}
    places, signs = [], []
    for degree in range(n_degrees):
        middle, most = degree * (degree + 1), min(degree, max_order)
        for column in range(degree**2, (degree + 1) ** 2):
            for order in range(-most, most + 1):
                place, sign = [0] * (1 + 2 * max_order), [0.0] * (1 + 2 * max_order)
                waves = (0,) if order == 0 else (2 * abs(order) - 1, 2 * abs(order))
                for wave, of in zip(waves, (order, -order), strict=False):
                    place[wave] = kept[middle + of] * n_degrees**2 + column
                    sign[wave] = -1.0 if of > 0 > order else 1.0
                places.append(place)
                signs.append(sign)
    return torch.tensor(places).T, torch.tensor(signs).T
