"""CGCNN: gated convolutions over the graph of a crystal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from mdbench.errors import check_word
from mdbench.graph import AtomGraph, segment_sum
from mdbench.models.base import EnergyModel
from mdbench.models.elements import N_ELEMENTS, element_bits
from mdbench.nn.envelopes import envelope as envelope_of
from mdbench.nn.layers import linear
from mdbench.nn.norms import RowNorm
from mdbench.nn.radial import GaussianBasis

_READOUTS = ("sum", "mean")


class Cgcnn(EnergyModel):
    """Xie, Grossman, Phys. Rev. Lett. 2018, 120, 145301, doi:10.1103/PhysRevLett.120.145301.

    | symbol | variable |
    |---|---|
    | v_i | atoms (n_atoms, n_channels) |
    | u_ij | radial (n_edges, n_basis), trainable Gaussians of the distance |
    | z_ij = v_i ⊕ v_j ⊕ u_ij | never made: its linear map is the sum of three |
    | σ(z W_f + b_f) | gate (n_edges, n_channels) after the sigmoid |
    | g(z W_s + b_s) | core (n_edges, n_channels) after the softplus |

    It departs from the paper (pool, eq. 2; convolution, eq. 5) where a force field needs it:

    * Atoms have energies, which are summed, so energies are extensive. The paper's mean of
      features before a nonlinear head gives one energy to a cell and to its supercell, whose
      forces are then halved: `readout="mean"`.
    * A polynomial takes every message smoothly to zero at the cutoff; without it the energy
      jumps: `envelope=None`.
    * The normalization of edges is fixed after the first batches, so systems never mix.
      `norm="batch"` is that of the batch in training, and of each system by itself later: the
      calculator of the published benchmark never leaves training mode, and gets one system at a
      time. (With running averages instead, forces lack the derivative of the statistics, and their
      error is several times that of training.)
    * Sums of messages are normalized over an atom's channels, as in the published benchmark, not
      over the batch; weak sums, of atoms with few neighbors, stay weak.

    Args:
        cutoff: Å.
        n_channels: Width of the atoms' features.
        n_layers: Convolutions.
        n_hidden: Hidden layers of the readout.
        n_basis: Gaussians.
        readout: sum, or mean.
        envelope: polynomial, cosine, or None.
        norm: fixed, or batch.
        max_neighbors: Most neighbors of an atom.
    """

    source: ClassVar[str] = "doi:10.1103/PhysRevLett.120.145301"
    paper_parameters: ClassVar[int] = 245_990
    SMALL: ClassVar[Mapping[str, Any]] = {
        "cutoff": 5.0,
        "n_channels": 32,
        "n_hidden": 1,
        "n_basis": 32,
    }
    PUBLISHED: ClassVar[Mapping[str, Any]] = {"readout": "mean", "envelope": None, "norm": "batch"}

    element_bits: Tensor

    def __init__(
        self,
        *,
        cutoff: float = 6.0,
        n_channels: int = 128,
        n_layers: int = 2,
        n_hidden: int = 3,
        n_basis: int = 100,
        readout: str = "sum",
        envelope: str | None = "polynomial",
        norm: str = "fixed",
        max_neighbors: int = 500,
    ) -> None:
        super().__init__(cutoff=cutoff, max_neighbors=max_neighbors, n_elements=N_ELEMENTS)
        check_word("readout", readout, _READOUTS)
        self.pools_features = readout == "mean"
        self.envelope = None if envelope is None else envelope_of(envelope)
        self.register_buffer("element_bits", torch.as_tensor(element_bits(), dtype=torch.float32))
        self.embedding = linear(self.element_bits.shape[1], n_channels)
        self.basis = GaussianBasis(cutoff, n_basis, trainable=True)
        self.convolutions = nn.ModuleList(
            Convolution(n_channels, n_basis, norm) for _ in range(n_layers)
        )
        hidden = [
            layer
            for _ in range(n_hidden)
            for layer in (linear(n_channels, n_channels), nn.Softplus())
        ]
        self.readout = nn.Sequential(*hidden, linear(n_channels, 1))

    def forward(self, graph: AtomGraph) -> Tensor:
        """(n_systems,) energies in units of the scale: sums over atoms, unless they are pooled."""
        radial = self.basis(graph.edge_lengths)
        envelope = self.envelope and self.envelope(graph.edge_lengths, self.cutoff)[:, None]
        atoms = self.embedding(self.element_bits[graph.atomic_numbers])
        for convolution in self.convolutions:
            atoms = atoms + convolution(atoms, radial, envelope, graph)
        if self.pools_features:
            n_atoms = torch.bincount(graph.system_index, minlength=graph.n_systems)
            features = segment_sum(atoms, graph.system_index, graph.n_systems)
            pooled: Tensor = self.readout(features / n_atoms[:, None])[:, 0]
            return pooled
        energies = self.readout(atoms)[:, 0]
        return segment_sum(energies, graph.system_index, graph.n_systems)


class Convolution(nn.Module):
    """An atom's change by its neighbors: Σ_j σ(z_ij W_f + b_f) ∘ g(z_ij W_s + b_s) (eq. 5)."""

    def __init__(self, n_channels: int, n_basis: int, norm: str) -> None:
        super().__init__()
        self.linear = linear(2 * n_channels + n_basis, 2 * n_channels)
        self.edge_norm = RowNorm(2 * n_channels, norm)
        # a small number here would blow up the weak message of a neighbor about to leave
        self.atom_norm = nn.LayerNorm(n_channels, eps=1.0)

    def forward(
        self, atoms: Tensor, radial: Tensor, envelope: Tensor | None, graph: AtomGraph
    ) -> Tensor:
        """(n_atoms, n_channels)."""
        receivers, senders = graph.edge_index
        widths = [atoms.shape[1], atoms.shape[1], radial.shape[1]]
        to_receiver, to_sender, to_radial = torch.split(self.linear.weight, widths, dim=1)
        received = functional.linear(atoms, to_receiver, self.linear.bias)
        sent = functional.linear(atoms, to_sender)
        sums = functional.linear(radial, to_radial)  # (n_edges, 2 n_channels)
        sums = sums + received.index_select(0, receivers) + sent.index_select(0, senders)
        owners = graph.system_index[receivers]
        gate, core = self.edge_norm(sums, owners, graph.n_systems).chunk(2, dim=1)
        messages = torch.sigmoid(gate) * functional.softplus(core)
        if envelope is not None:
            messages = messages * envelope
        change: Tensor = self.atom_norm(segment_sum(messages, receivers, graph.n_atoms))
        return change
