"""DimeNet++: messages between edges, by distance and angle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn import functional

from mdbench.graph import AtomGraph, segment_sum
from mdbench.models.base import EnergyModel
from mdbench.nn.angular import AngularBasis
from mdbench.nn.directional import EdgeEmbedding, Residual, orthogonal_linear
from mdbench.nn.radial import BesselBasis
from mdbench.nn.spherical import SphericalBesselBasis


class DimeNetPlusPlus(EnergyModel):
    """Gasteiger, Giri, Margraf, Günnemann, arXiv:2011.14115, with the bases of arXiv:2003.03123.

    | symbol | variable |
    |---|---|
    | m_ji, message of j to i | edges (n_edges, n_channels) |
    | e_RBF(d_ji) | radial (n_edges, n_basis) |
    | a_SBF(d_kj, α) | angular |
    | t_i | energies (n_atoms,) |

    Angles are between edges of periodic images, with gradients, and only the edge back is left out;
    where atoms meet their own images, leaving out all k = i would be another model.

    The energy and its first two derivatives are continuous at the cutoff without more envelopes
    than e_RBF and a_SBF have. m_ji itself does not vanish there, as its embedding has biases, but
    all that it acts on does: atoms sum W e_RBF(d_ji) ∘ m_ji, and other messages get
    σ(W (σ(W m_kj + b) ∘ W e_RBF(d_kj))) ∘ W a_SBF(d_kj, α), where no bias follows e_RBF and
    σ(0) = 0.

    Args:
        cutoff: Å.
        n_channels: Width of messages.
        n_layers: Interactions.
        n_angular_channels: Width in which messages meet at an angle.
        n_basis_channels: Width to which bases are reduced.
        n_output_channels: Width of the atoms' layers.
        n_output_layers: Number of these.
        n_degrees: Spherical harmonics of the angle.
        n_basis: Radial functions, also of each degree.
        power: Of the envelope; "envelope exponent" + 1.
        detached_angles: Leave the change of angles out of the forces, which are then no derivative
            of the energy; as the published code.
        max_neighbors: Most neighbors of an atom.
        n_elements: Atomic numbers are below this.
    """

    source: ClassVar[str] = "arXiv:2011.14115"
    paper_parameters: ClassVar[int] = 1_488_774
    SMALL: ClassVar[Mapping[str, Any]] = {
        "cutoff": 5.0,
        "n_channels": 32,
        "n_layers": 2,
        "n_angular_channels": 16,
        "n_output_channels": 64,
        "n_output_layers": 2,
    }
    PUBLISHED: ClassVar[Mapping[str, Any]] = {"detached_angles": True, "max_neighbors": 50}

    def __init__(
        self,
        *,
        cutoff: float = 6.0,
        n_channels: int = 128,
        n_layers: int = 3,
        n_angular_channels: int = 64,
        n_basis_channels: int = 8,
        n_output_channels: int = 256,
        n_output_layers: int = 3,
        n_degrees: int = 7,
        n_basis: int = 6,
        power: int = 6,
        detached_angles: bool = False,
        max_neighbors: int = 500,
        n_elements: int = 95,
    ) -> None:
        super().__init__(cutoff=cutoff, max_neighbors=max_neighbors, n_elements=n_elements)
        self.detached_angles = detached_angles
        self.radial = BesselBasis(cutoff, n_basis, power=power)
        self.spherical = SphericalBesselBasis(cutoff, n_degrees, n_basis, power=power)
        self.embedding = EdgeEmbedding(n_elements, n_channels, n_basis)
        self.interactions = nn.ModuleList(
            Interaction(n_channels, n_angular_channels, n_basis_channels, n_degrees, n_basis)
            for _ in range(n_layers)
        )
        self.outputs = nn.ModuleList(
            Output(n_channels, n_output_channels, n_output_layers, n_basis)
            for _ in range(n_layers + 1)
        )

    def forward(self, graph: AtomGraph) -> Tensor:
        """(n_systems,) sums of the atoms' energies, in units of the scale."""
        lengths = graph.edge_lengths
        directions = graph.edge_vectors / lengths[:, None]
        if self.detached_angles:
            directions = directions.detach()
        radial = self.radial(lengths)
        angular = AngularBasis.of(graph, directions, self.spherical(lengths))
        edges = self.embedding(graph, radial)
        energies = self.outputs[0](edges, radial, graph)
        for interaction, output in zip(self.interactions, self.outputs[1:], strict=True):
            edges = interaction(edges, radial, angular)
            energies = energies + output(edges, radial, graph)
        return segment_sum(energies, graph.system_index, graph.n_systems)


class Interaction(nn.Module):
    """Messages that have heard the messages m_kj to their senders (arXiv:2011.14115, fig. 1)."""

    def __init__(
        self,
        n_channels: int,
        n_angular_channels: int,
        n_basis_channels: int,
        n_degrees: int,
        n_basis: int,
    ) -> None:
        super().__init__()
        self.degrees = (n_degrees, n_basis)
        self.radial = nn.Sequential(
            orthogonal_linear(n_basis, n_basis_channels, bias=False),
            orthogonal_linear(n_basis_channels, n_channels, bias=False),
        )
        self.spherical_down = orthogonal_linear(n_degrees * n_basis, n_basis_channels, bias=False)
        self.spherical_up = orthogonal_linear(n_basis_channels, n_angular_channels, bias=False)
        self.from_incoming = orthogonal_linear(n_channels, n_channels)
        self.from_itself = orthogonal_linear(n_channels, n_channels)
        self.down = orthogonal_linear(n_channels, n_angular_channels, bias=False)
        self.up = orthogonal_linear(n_angular_channels, n_channels, bias=False)
        self.before_skip = Residual(n_channels)
        self.skip = orthogonal_linear(n_channels, n_channels)
        self.after_skip = nn.Sequential(Residual(n_channels), Residual(n_channels))

    def forward(self, edges: Tensor, radial: Tensor, angular: AngularBasis) -> Tensor:
        """(n_edges, n_channels)."""
        incoming = functional.silu(self.from_incoming(edges)) * self.radial(radial)
        incoming = functional.silu(self.down(incoming))
        weights = self.spherical_up.weight @ self.spherical_down.weight  # both layers at once
        weights = weights.view(-1, *self.degrees)  # (n_angular_channels, n_degrees, n_basis)
        heard = functional.silu(self.up(angular.sums(incoming, weights)))
        changed = self.before_skip(functional.silu(self.from_itself(edges)) + heard)
        result: Tensor = self.after_skip(functional.silu(self.skip(changed)) + edges)
        return result


class Output(nn.Module):
    """Energies of atoms by their messages: Σ_j W e_RBF(d_ji) ∘ m_ji and layers after it."""

    def __init__(
        self, n_channels: int, n_output_channels: int, n_output_layers: int, n_basis: int
    ) -> None:
        super().__init__()
        self.radial = orthogonal_linear(n_basis, n_channels, bias=False)
        self.up = orthogonal_linear(n_channels, n_output_channels)
        self.layers = nn.ModuleList(
            orthogonal_linear(n_output_channels, n_output_channels) for _ in range(n_output_layers)
        )
        self.energy = orthogonal_linear(n_output_channels, 1, bias=False)

    def forward(self, edges: Tensor, radial: Tensor, graph: AtomGraph) -> Tensor:
        """(n_atoms,) in units of the scale."""
        messages = self.radial(radial) * edges
        atoms = self.up(segment_sum(messages, graph.edge_index[0], graph.n_atoms))
        for layer in self.layers:
            atoms = functional.silu(layer(atoms))
        energies: Tensor = self.energy(atoms)[:, 0]
        return energies
