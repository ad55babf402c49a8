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
from mdbench.nn.edge_form import EdgeRows
from mdbench.nn.edge_sums import edge_rows, gated_sums, gated_sums_of_rows
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
    | u_ij = u_ji | radial (n_pairs, n_basis), trainable Gaussians of the distance |
    | z_ij = v_i ⊕ v_j ⊕ u_ij | never made: its linear map is the sum of three |
    | Σ_j σ(z W_f + b_f) ∘ g(z W_s + b_s) | `gated_sums`, where g is the softplus |

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
        self.ends_at_cutoff = envelope is not None
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
        edges = EdgeRows.of_pairs(graph)
        lengths = graph.edge_lengths.index_select(0, edges.first)
        radial = self.basis(lengths)
        envelope = None if self.envelope is None else self.envelope(lengths, self.cutoff)
        weights = torch.ones_like(lengths) if envelope is None else envelope
        atoms = self.embedding(self.element_bits[graph.atomic_numbers])
        for convolution in self.convolutions:
            atoms = atoms + convolution(atoms, radial, weights, edges, graph)
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
        self, atoms: Tensor, radial: Tensor, weights: Tensor, edges: EdgeRows, graph: AtomGraph
    ) -> Tensor:
        """(n_atoms, n_channels).

        Args:
            atoms: (n_atoms, n_channels).
            radial: (n_pairs, n_basis).
            weights: (n_pairs,) the envelope.
            edges: With rows of pairs.
            graph: Whose systems are normalized by themselves, where that is asked for.
        """

        def terms(weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            widths = [atoms.shape[1], atoms.shape[1], radial.shape[1]]
            to_receiver, to_sender, to_radial = torch.split(weight, widths, dim=1)
            received = functional.linear(atoms, to_receiver, bias)
            sent, paired = functional.linear(atoms, to_sender), functional.linear(radial, to_radial)
            return received, sent, paired

        def rows() -> Tensor:
            return edge_rows(edges, *terms(self.linear.weight, self.linear.bias))

        if self.edge_norm.fixed:
            # the linear map takes its normalization in: nothing of z is made for edges
            scale, shift = self.edge_norm.factors(rows)
            weight, bias = scale[:, None] * self.linear.weight, scale * self.linear.bias + shift
            heard = gated_sums(edges, *terms(weight, bias), weights)
        else:
            owners = graph.system_index[edges.receivers]
            normed = self.edge_norm(rows(), owners, graph.n_systems)
            heard = gated_sums_of_rows(edges, normed, weights)
        change: Tensor = self.atom_norm(heard)
        return change
