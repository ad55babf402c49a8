"""LeftNet: scalars and vectors of atoms, messages that know the surroundings of both their ends."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from mdbench.graph import AtomGraph, segment_sum
from mdbench.models.base import DirectModel
from mdbench.nn.envelopes import polynomial_envelope
from mdbench.nn.layers import linear, soft_length
from mdbench.nn.radial import ExpNormalBasis

#: Rows of a layer at once on a CPU, so that what is between two layers stays in its cache.
_BLOCK = 8192


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
        receivers, senders = graph.edge_index
        directions = graph.edge_vectors / graph.edge_lengths[:, None]
        envelope = polynomial_envelope(graph.edge_lengths, self.cutoff)[:, None]
        basis = self.basis(graph.edge_lengths)
        radial = basis * envelope
        filters = self.radial(radial) * envelope

        neighbors = torch.index_select(self.neighbors(graph.atomic_numbers), 0, senders)
        atoms = self.embedding(graph.atomic_numbers)
        atoms = atoms + segment_sum(neighbors * filters, receivers, graph.n_atoms)
        surroundings = self.surroundings(atoms, filters, directions, graph)
        structure = self.structure(surroundings, edge_frames(directions, envelope, graph), graph)
        edges = torch.cat([structure * envelope, filters, radial], dim=1)
        vectors: Tensor | None = None
        for message, update in zip(self.messages, self.updates, strict=True):
            atoms, vectors = message(atoms, vectors, edges, basis, envelope, directions, graph)
            atoms, vectors = update(atoms, vectors)
        energies = self.energy(atoms)[:, 0]
        total = segment_sum(energies, graph.system_index, graph.n_systems)
        return total, None if self.force is None else self.force(atoms, vectors)


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
        self, atoms: Tensor, filters: Tensor, directions: Tensor, graph: AtomGraph
    ) -> Tensor:
        """(n_atoms, 3, n_channels)."""
        receivers, senders = graph.edge_index
        sent = torch.index_select(self.sent(atoms), 0, senders) * filters
        return segment_sum(directions[:, :, None] * sent[:, None], receivers, graph.n_atoms)


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
        ends = [
            self._seen(frames @ torch.index_select(surroundings, 0, end))
            for end in graph.edge_index
        ]
        return torch.cat(ends, dim=1)

    def _seen(self, projections: Tensor) -> Tensor:
        """(n_edges, n_channels) of (n_edges, 3, n_channels)."""
        along, across, third = projections.unbind(dim=1)
        across = soft_length(across.square())  # of either handedness
        rows = torch.stack([along, across, third], dim=2).view(-1, 3)
        blocks = torch.split(rows, _BLOCK) if rows.device.type == "cpu" else (rows,)
        return along + torch.cat([self.scalars(block) for block in blocks]).view_as(along)


class Message(nn.Module):
    """What atoms hear of their neighbors: PaiNN's messages, whose filters know the structure.

    Args:
        n_channels: Width.
        n_basis: Radial functions.
        has_vectors: Whether there are vectors that are not zero, before.
    """

    def __init__(self, n_channels: int, n_basis: int, *, has_vectors: bool) -> None:
        super().__init__()
        n_parts = 3 if has_vectors else 2
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
        self,
        atoms: Tensor,
        vectors: Tensor | None,
        edges: Tensor,
        basis: Tensor,
        envelope: Tensor,
        directions: Tensor,
        graph: AtomGraph,
    ) -> tuple[Tensor, Tensor]:
        """(n_atoms, n_channels) and (n_atoms, 3, n_channels).

        Args:
            atoms: (n_atoms, n_channels).
            vectors: (n_atoms, 3, n_channels), or None where all are zero.
            edges: (n_edges, 3 n_channels + n_basis) structure and distance.
            basis: (n_edges, n_basis), without the envelope.
            envelope: (n_edges, 1).
            directions: (n_edges, 3) unit vectors.
            graph: Atoms and edges.
        """
        receivers, senders = graph.edge_index
        n_atoms, n_channels = atoms.shape
        filters = self.filters(basis) * envelope * self.structure(edges)
        sent = torch.index_select(self.sent(atoms), 0, senders) * filters
        scalars, along, *shares = sent.split(n_channels, dim=1)
        heard = directions[:, :, None] * along[:, None]
        if vectors is not None:
            carried = torch.index_select(vectors / math.sqrt(3.0), 0, senders)
            heard = torch.addcmul(heard, carried, shares[0][:, None])
        heard = segment_sum(heard, receivers, n_atoms) / math.sqrt(n_channels)
        atoms = atoms + segment_sum(scalars, receivers, n_atoms)
        return atoms, heard if vectors is None else vectors + heard


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
