"""LeftNet: scalars and vectors of atoms, messages that know the surroundings of both their ends."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from mdbench.graph import AtomGraph, segment_sum
from mdbench.models.base import DirectModel
from mdbench.nn.edge_form import EdgeRows
from mdbench.nn.envelopes import polynomial_envelope
from mdbench.nn.frame_scalars import frame_scalars
from mdbench.nn.layers import linear, soft_length
from mdbench.nn.pieces import silu
from mdbench.nn.radial import ExpNormalBasis

#: Edges at once on a CPU, so that what is between two layers stays in its cache.
_PIECE = 512


class LeftNet(DirectModel):
    """Du et al., NeurIPS 2023, arXiv:2304.04757.

    | symbol | variable |
    |---|---|
    | h_i, scalars of an atom | atoms (n_atoms, n_channels) |
    | **h**_i, vectors of an atom | vectors (n_atoms, 3, n_channels) |
    | **S**_i, its surroundings | surroundings (n_atoms, 3, n_channels) |
    | e_ij, direction to a neighbor | directions (n_edges, 3) |
    | F_ij, frame of an edge | frames (n_edges, 3, 3), vectors in rows |
    | A_ij, scalars of both ends in it | structure (n_edges, 2 n_channels) |

    It departs from the paper and the code of its authors:

    * The frame of an edge has e_ij and c_ij ∝ x_i × x_j, of positions seen from the center of the
      molecule; a crystal has no such center. As x_i × x_j = (x_i − x_j) × x_j for any point x_j of
      the edge's line, the place of the center beside that line is all that counts. Here it is that
      of the neighbors of both ends: w_ij = u_i + u_j, u_i = Σ_k u(d_ik) e_ik, c = e_ij × w_ij.
    * c is divided by √(1 + |c|²), not by |c|: in a perfect lattice, or in a line, it vanishes
      smoothly, and the third vector e_ij × c with it.
    * |S · c| and the lengths of vectors are √(x² + 0.01) − 0.1, smooth at 0. As S · c is the only
      number here that changes sign in a mirror, the model has the symmetry E(3).
    * A polynomial whose second derivative is continuous, for the cosine; and on the whole filter
      of a message, so that its biases do not outlast the cutoff.
    * The change of scalars by vectors is gated, a + b ∘ ⟨Uh, Vh⟩, as in PaiNN (arXiv:2102.03150,
      eq. 9). In the code of the authors it is a + b + ⟨Uh, Vh⟩, where a + b is but one map.
    * The structure's part of a message's filter starts around 1, as if it were not there. In the
      code of the authors it starts around 0, and vectors and forces are next to nothing for long.
    * Exponential functions are those of the paper at its cutoff of 5 Å, and wider with a wider one.

    Args:
        cutoff: Å.
        n_channels: Width of scalars, and number of vectors.
        n_layers: Messages and updates.
        n_basis: Radial functions.
        forces: direct or gradient.
        max_neighbors: Most neighbors of an atom.
        n_elements: Atomic numbers are below this.
    """

    source: ClassVar[str] = "arXiv:2304.04757"
    paper_parameters: ClassVar[int] = 2_119_076
    paper_symmetry: ClassVar[str] = "SE(3)/E(3)"
    remark: ClassVar[str] = (
        "none of the 70,016 parameters that act on vectors which are still zero, in the first "
        "layer, nor 129 of the force head that are never used; frames do not depend on the origin, "
        "and no odd power of a pseudoscalar is used: E(3)"
    )
    SMALL: ClassVar[Mapping[str, Any]] = {"cutoff": 5.0, "n_channels": 32, "n_layers": 2}

    def __init__(
        self,
        *,
        cutoff: float = 6.0,
        n_channels: int = 128,
        n_layers: int = 4,
        n_basis: int = 32,
        forces: str = "direct",
        max_neighbors: int = 500,
        n_elements: int = 95,
    ) -> None:
        super().__init__(
            forces=forces, cutoff=cutoff, max_neighbors=max_neighbors, n_elements=n_elements
        )
        self.basis = ExpNormalBasis(cutoff, n_basis)
        self.radial = nn.Sequential(
            nn.Linear(n_basis, n_channels), nn.SiLU(), nn.Linear(n_channels, n_channels)
        )
        self.embedding = nn.Embedding(n_elements, n_channels)
        self.neighbors = nn.Embedding(n_elements, n_channels)
        self.surroundings = Surroundings(n_channels)
        self.structure = Structure(n_channels)
        self.messages = nn.ModuleList(
            Message(n_channels, n_basis, has_vectors=layer > 0) for layer in range(n_layers)
        )
        self.updates = nn.ModuleList(
            Update(n_channels, changes_vectors=forces == "direct" or layer < n_layers - 1)
            for layer in range(n_layers)
        )
        self.energy = nn.Linear(n_channels, 1)
        self.force = ForceHead(n_channels) if forces == "direct" else None

    def heads(self, graph: AtomGraph) -> tuple[Tensor, Tensor | None]:
        """(n_systems,) energies and (n_atoms, 3) forces in units of the scale."""
        pairs = EdgeRows.of_pairs(graph)
        lengths = torch.index_select(graph.edge_lengths, 0, pairs.first)
        envelope = polynomial_envelope(lengths, self.cutoff)[:, None]
        basis = self.basis(lengths)
        radial = basis * envelope
        filters = self.radial(radial) * envelope
        directions = (graph.edge_vectors / graph.edge_lengths[:, None])[:, :, None]
        every = directions.new_ones(graph.n_edges, 1, 1)

        atoms = self.embedding(graph.atomic_numbers)
        neighbors = self.neighbors(graph.atomic_numbers)[:, None]
        atoms = atoms + pairs.heard(neighbors, filters, every)[:, 0]
        surroundings = self.surroundings(atoms, filters, directions, pairs)
        decay = torch.index_select(envelope, 0, pairs.rows)
        frames = edge_frames(directions[:, :, 0], decay, graph)
        structure = self.structure(surroundings, frames, graph) * decay
        edges = Edges(EdgeRows.of_edges(graph), pairs.rows, structure, directions, every)
        known = Lengths(torch.cat([filters, radial], dim=1), basis, envelope)
        pieces = edges.pieces()
        vectors: Tensor | None = None
        for message, update in zip(self.messages, self.updates, strict=True):
            atoms, vectors = message(atoms, vectors, known, pieces)
            atoms, vectors = update(atoms, vectors)
        energies = self.energy(atoms)[:, 0]
        total = segment_sum(energies, graph.system_index, graph.n_systems)
        return total, None if self.force is None else self.force(atoms, vectors)


class Lengths(NamedTuple):
    """What all messages know of the lengths of pairs: once for both directions.

    Attributes:
        radial: (n_pairs, n_channels + n_basis) functions that end at the cutoff.
        basis: (n_pairs, n_basis) functions that do not.
        envelope: (n_pairs, 1).
    """

    radial: Tensor
    basis: Tensor
    envelope: Tensor


class Edges(NamedTuple):
    """What all messages know of some edges.

    Attributes:
        rows: Their atoms.
        pairs: (n_edges,) pair of each.
        structure: (n_edges, 2 n_channels) A_ij, which ends at the cutoff.
        directions: (n_edges, 3, 1) e_ij.
        every: (n_edges, 1, 1) ones.
    """

    rows: EdgeRows
    pairs: Tensor
    structure: Tensor
    directions: Tensor
    every: Tensor

    def pieces(self) -> list[Edges]:
        """The same without derivatives: on a CPU, so many that stay in its cache."""
        if torch.is_grad_enabled() or self.pairs.device.type != "cpu":
            return [self]
        firsts = range(0, len(self.pairs), _PIECE)
        return [self._piece(slice(first, first + _PIECE)) for first in firsts]

    def _piece(self, some: slice) -> Edges:
        rows, pairs = self.rows, self.pairs[some]
        every = torch.arange(len(pairs))
        return Edges(
            EdgeRows(
                rows.receivers[some],
                rows.senders[some],
                rows.back[some],
                every,
                every,
                rows.n_atoms,
            ),
            pairs,
            self.structure[some],
            self.directions[some],
            self.every[some],
        )


def edge_frames(directions: Tensor, envelope: Tensor, graph: AtomGraph) -> Tensor:
    """(n_edges, 3, 3): in rows e, c and e × c, the latter two shorter than 1, or 0.

    Args:
        directions: (n_edges, 3) unit vectors.
        envelope: (n_edges, 1).
        graph: Atoms and edges.
    """
    receivers, senders = graph.edge_index
    beside = segment_sum(directions * envelope, receivers, graph.n_atoms)
    beside = torch.index_select(beside, 0, receivers) + torch.index_select(beside, 0, senders)
    across = torch.linalg.cross(directions, beside)
    across = across * torch.rsqrt(1.0 + across.square().sum(dim=1, keepdim=True))
    return torch.stack([directions, across, torch.linalg.cross(directions, across)], dim=1)


class Surroundings(nn.Module):
    """S_i = Σ_j σ(W h_j + b) ∘ f(d_ij) e_ij: where neighbors of what kind are."""

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        self.sent = nn.Sequential(nn.Linear(n_channels, n_channels), nn.SiLU())

    def forward(
        self, atoms: Tensor, filters: Tensor, directions: Tensor, pairs: EdgeRows
    ) -> Tensor:
        """(n_atoms, 3, n_channels)."""
        return pairs.heard(self.sent(atoms)[:, None], filters, directions)


class Structure(nn.Module):
    """Scalars of the surroundings of both ends of an edge, seen in its frame: f(p) + p₁.

    p are the three projections of one vector; f is one network for all vectors.
    """

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        self.scalars = nn.Sequential(
            nn.Linear(3, n_channels // 4), nn.SiLU(), nn.Linear(n_channels // 4, 1)
        )

    def forward(self, surroundings: Tensor, frames: Tensor, graph: AtomGraph) -> Tensor:
        """(n_edges, 2 n_channels), of the receiver and of the sender.

        Args:
            surroundings: (n_atoms, 3, n_channels).
            frames: (n_edges, 3, 3).
            graph: Atoms and edges.
        """
        return frame_scalars(surroundings, frames, graph.edge_index, self.scalars)


class Message(nn.Module):
    """What atoms hear of their neighbors: PaiNN's messages, whose filters know the structure.

    Args:
        n_channels: Width.
        n_basis: Radial functions.
        has_vectors: Whether there are vectors that are not zero, before.
    """

    def __init__(self, n_channels: int, n_basis: int, *, has_vectors: bool) -> None:
        super().__init__()
        self.n_parts = n_parts = 3 if has_vectors else 2
        n_edge = 3 * n_channels + n_basis
        self.sent = nn.Sequential(
            linear(n_channels, n_channels), nn.SiLU(), linear(n_channels, n_parts * n_channels)
        )
        self.filters = linear(n_basis, n_parts * n_channels)
        last = nn.Linear(3 * n_channels, n_parts * n_channels)
        with torch.no_grad():
            last.bias.add_(1.0)
        self.structure = nn.Sequential(nn.Linear(n_edge, 3 * n_channels), nn.SiLU(), last)

    def forward(
        self, atoms: Tensor, vectors: Tensor | None, known: Lengths, pieces: list[Edges]
    ) -> tuple[Tensor, Tensor]:
        """(n_atoms, n_channels) and (n_atoms, 3, n_channels), with what is heard."""
        n_channels = atoms.shape[1]
        scalars, along, *shares = self.sent(atoms)[:, None].split(n_channels, dim=2)
        carried = None if vectors is None else vectors * shares[0] / math.sqrt(3.0)
        scalars_heard, heard = torch.zeros_like(atoms), atoms.new_zeros(len(atoms), 3, n_channels)
        for edges, filters in self._filters(known, pieces):
            rows = edges.rows
            scalars_heard = scalars_heard + rows.heard(scalars, filters[0], edges.every)[:, 0]
            heard = heard + rows.heard(along, filters[1], edges.directions)
            if carried is not None:
                heard = heard + rows.heard(carried, filters[2], edges.every)
        heard = heard / math.sqrt(n_channels)
        return atoms + scalars_heard, heard if vectors is None else vectors + heard

    def _filters(self, known: Lengths, pieces: list[Edges]) -> Iterator[tuple[Edges, list[Tensor]]]:
        """Each piece and the (n_edges, n_channels) filters of each part of what is sent."""
        of_edges, bias, to_parts, part_biases = self.structure.parameters()
        sizes = [of_edges.shape[1] - known.radial.shape[1], known.radial.shape[1]]
        of_ends, of_lengths = torch.split(of_edges, sizes, dim=1)
        of_pairs = functional.linear(known.radial, of_lengths, bias)
        fading = self.filters(known.basis) * known.envelope
        # a product for each part: its rows are then rows in memory, as sums over edges want them
        parts = [
            (to_part, part_bias, fading_part.contiguous())
            for to_part, part_bias, fading_part in zip(
                to_parts.chunk(self.n_parts),
                part_biases.chunk(self.n_parts),
                fading.chunk(self.n_parts, dim=1),
                strict=True,
            )
        ]
        for edges in pieces:
            sums = of_pairs.index_select(0, edges.pairs)
            hidden = silu(sums.addmm_(edges.structure, of_ends.T))
            yield (
                edges,
                [
                    functional.linear(hidden, to_part, part_bias)
                    * fading_part.index_select(0, edges.pairs)
                    for to_part, part_bias, fading_part in parts
                ],
            )


class Update(nn.Module):
    """Scalars and vectors of an atom change each other (PaiNN, arXiv:2102.03150, eqs. 9 and 10).

    Args:
        n_channels: Width.
        changes_vectors: Whether vectors are needed afterwards.
    """

    def __init__(self, n_channels: int, *, changes_vectors: bool) -> None:
        super().__init__()
        self.mixed = linear(n_channels, 2 * n_channels, bias=False)
        self.gates = nn.Sequential(
            linear(2 * n_channels, n_channels),
            nn.SiLU(),
            linear(n_channels, (3 if changes_vectors else 2) * n_channels),
        )

    def forward(self, atoms: Tensor, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """(n_atoms, n_channels) and (n_atoms, 3, n_channels), as the arguments."""
        n_channels = atoms.shape[1]
        one, two = self.mixed(vectors).split(n_channels, dim=2)
        lengths = soft_length(one.square().sum(dim=1))
        product = (one * two).sum(dim=1) / math.sqrt(n_channels)
        gates = self.gates(torch.cat([atoms, lengths], dim=1))
        shift, gate, *factors = gates.split(n_channels, dim=1)
        atoms = atoms + (shift + gate * product) / math.sqrt(2.0)
        if factors:
            vectors = torch.addcmul(vectors, factors[0][:, None], two)
        return atoms, vectors


class ForceHead(nn.Module):
    """Forces of atoms: a mean of their vectors times a number of their scalars and lengths."""

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        self.measured = linear(n_channels, n_channels, bias=False)
        self.kept = linear(n_channels, 1, bias=False)
        self.gate = nn.Sequential(
            linear(2 * n_channels, n_channels), nn.SiLU(), linear(n_channels, 1)
        )

    def forward(self, atoms: Tensor, vectors: Tensor) -> Tensor:
        """(n_atoms, 3) in units of the scale."""
        lengths = soft_length(self.measured(vectors).square().sum(dim=1))
        forces: Tensor = self.kept(vectors)[:, :, 0] * self.gate(torch.cat([atoms, lengths], 1))
        return forces
