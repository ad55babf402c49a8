from typing import ClassVar

from torch import Tensor, nn

from mdbench.graph import AtomGraph, segment_sum
from mdbench.models.base import EnergyModel
from mdbench.nn.envelopes import polynomial_envelope
from mdbench.nn.radial import GaussianBasis


class MyModel(EnergyModel):
    """The energy of an atom is a network of the cloud of its neighbors."""

    source = "https://example.org/my-model"  # or doi:…
    SMALL: ClassVar = {"cutoff": 4.0, "n_channels": 16}  # my-model-small; may be left out

    def __init__(
        self,
        *,
        cutoff: float = 6.0,
        n_channels: int = 64,
        n_basis: int = 20,
        max_neighbors: int = 500,
        n_elements: int = 100,
    ) -> None:
        super().__init__(cutoff=cutoff, max_neighbors=max_neighbors, n_elements=n_elements)
        self.basis = GaussianBasis(cutoff, n_basis)
        self.filters = nn.Linear(n_basis, n_channels)
        self.elements = nn.Embedding(n_elements, n_channels)
        self.readout = nn.Sequential(
            nn.Linear(n_channels, n_channels), nn.SiLU(), nn.Linear(n_channels, 1)
        )

    def forward(self, graph: AtomGraph) -> Tensor:
        """(n_systems,) energies in units of the scale."""
        receivers, senders = graph.edge_index
        lengths = graph.edge_lengths  # Å, what forces are derived by
        fading = polynomial_envelope(lengths, self.cutoff)[:, None]
        atoms = self.elements(graph.atomic_numbers)  # (n_atoms, n_channels)
        heard = atoms[senders] * self.filters(self.basis(lengths)) * fading
        clouds = segment_sum(heard, receivers, graph.n_atoms)
        energies = self.readout(atoms * clouds)[:, 0]
        return segment_sum(energies, graph.system_index, graph.n_systems)
