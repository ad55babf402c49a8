"""SchNet: continuous-filter convolutions over distances."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from mdbench.graph import AtomGraph, segment_sum
from mdbench.models.base import EnergyModel
from mdbench.nn.edge_form import EdgeRows
from mdbench.nn.envelopes import Envelope
from mdbench.nn.envelopes import envelope as envelope_of
from mdbench.nn.layers import ShiftedSoftplus, linear
from mdbench.nn.radial import GaussianBasis
from mdbench.nn.tables import RadialTable


class SchNet(EnergyModel):
    """Schütt et al., J. Chem. Phys. 2018, 148, 241722, doi:10.1063/1.5019779.

    | symbol | variable |
    |---|---|
    | x_i | atoms (n_atoms, n_channels) |
    | e_k(r_ij) | radial (n_pairs, n_basis) |
    | W(r_ij) | self.filters(radial) (n_pairs, n_filters) |
    | f_cut | weights (n_edges, 1, 1) |

    It departs from the paper in the cutoff: a polynomial whose second derivative is continuous,
    for the cosine that jumps in it; `envelope="cosine"` is the one of other implementations.

    Args:
        cutoff: Å.
        n_channels: Width of the atoms' features.
        n_filters: Width of the filters.
        n_layers: Interactions.
        n_basis: Gaussians.
        envelope: polynomial or cosine.
        max_neighbors: Most neighbors of an atom.
        n_elements: Atomic numbers are below this.
    """

    source: ClassVar[str] = "doi:10.1063/1.5019779"
    paper_parameters: ClassVar[int] = 494_209
    SMALL: ClassVar[Mapping[str, Any]] = {
        "cutoff": 5.0,
        "n_channels": 32,
        "n_filters": 32,
        "n_layers": 3,
        "n_basis": 32,
    }

    def __init__(
        self,
        *,
        cutoff: float = 6.0,
        n_channels: int = 128,
        n_filters: int = 128,
        n_layers: int = 6,
        n_basis: int = 100,
        envelope: str = "polynomial",
        max_neighbors: int = 500,
        n_elements: int = 100,
    ) -> None:
        super().__init__(cutoff=cutoff, max_neighbors=max_neighbors, n_elements=n_elements)
        self.envelope = envelope_of(envelope)
        self.embedding = nn.Embedding(n_elements, n_channels)
        self.basis: nn.Module = GaussianBasis(cutoff, n_basis)
        self.interactions = nn.ModuleList(
            Interaction(n_channels, n_filters, n_basis) for _ in range(n_layers)
        )
        self.readout = nn.Sequential(
            linear(n_channels, n_channels // 2), ShiftedSoftplus(), linear(n_channels // 2, 1)
        )

    def forward(self, graph: AtomGraph) -> Tensor:
        """(n_systems,) sums of the atoms' energies, in units of the scale."""
        edges = EdgeRows.of_pairs(graph)
        lengths = torch.index_select(graph.edge_lengths, 0, edges.first)
        radial = self.basis(lengths)
        envelope = self.envelope(lengths, self.cutoff)
        if isinstance(self.basis, nn.Identity):  # tables have the envelope in them
            envelope = torch.ones_like(lengths)
        weights = torch.index_select(envelope, 0, edges.rows)[:, None, None]
        atoms = self.embedding(graph.atomic_numbers)
        for interaction in self.interactions:
            atoms = atoms + interaction(atoms, radial, weights, edges)
        energies = self.readout(atoms)[:, 0]
        return segment_sum(energies, graph.system_index, graph.n_systems)

    def tabulate(self) -> None:
        """Makes tables of the filters, which depend on the distance alone."""
        for interaction in self.interactions:
            assert isinstance(interaction, Interaction)
            filters = Faded(self.basis, interaction.filters, self.envelope, self.cutoff)
            interaction.filters = RadialTable(filters, self.cutoff, self.dtype)
        self.basis = nn.Identity()  # tables take distances


class Faded(nn.Module):
    """Filters times their envelope, as functions of the distance."""

    def __init__(
        self, basis: nn.Module, filters: nn.Module, envelope: Envelope, cutoff: float
    ) -> None:
        super().__init__()
        self.filters, self.envelope, self.cutoff = nn.Sequential(basis, filters), envelope, cutoff

    def forward(self, lengths: Tensor) -> Tensor:
        """(n, n_filters) of (n,) distances in Å."""
        faded: Tensor = self.filters(lengths) * self.envelope(lengths, self.cutoff)[:, None]
        return faded


class Interaction(nn.Module):
    """An atom's change by its neighbors: Σ_j x_j ∘ W(r_ij) (eq. 9), between atomwise layers."""

    def __init__(self, n_channels: int, n_filters: int, n_basis: int) -> None:
        super().__init__()
        self.filters: nn.Module = nn.Sequential(
            linear(n_basis, n_filters), ShiftedSoftplus(), linear(n_filters, n_filters)
        )
        self.to_filters = linear(n_channels, n_filters, bias=False)
        self.to_channels = nn.Sequential(
            linear(n_filters, n_channels), ShiftedSoftplus(), linear(n_channels, n_channels)
        )

    def forward(self, atoms: Tensor, radial: Tensor, weights: Tensor, edges: EdgeRows) -> Tensor:
        """(n_atoms, n_channels).

        Args:
            atoms: (n_atoms, n_channels).
            radial: (n_pairs, n_basis).
            weights: (n_edges, 1, 1) f_cut.
            edges: With rows of pairs.
        """
        sent = self.to_filters(atoms)[:, None]
        heard = edges.heard(sent, self.filters(radial), weights)[:, 0]
        change: Tensor = self.to_channels(heard)
        return change
