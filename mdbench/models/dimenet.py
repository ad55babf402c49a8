"""DimeNet: messages between edges, by distance and angle; and what DimeNet++ shares with it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, cast

from torch import Tensor, nn

from mdbench.graph import AtomGraph, segment_sum
from mdbench.models.base import EnergyModel
from mdbench.nn.angular import AngularBasis
from mdbench.nn.directional import (
    EDGES,
    HEARD,
    Block,
    EdgeEmbedding,
    Residual,
    orthogonal_linear,
    run_blocks,
)
from mdbench.nn.radial import BesselBasis
from mdbench.nn.smooth import silu
from mdbench.nn.spherical import SphericalBesselBasis


class DirectionalModel(EnergyModel):
    """Energies of atoms from messages along edges, before and after each of some interactions.

    A model of this kind makes its `interactions`, and one more of its `outputs`.
    """

    PUBLISHED: ClassVar[Mapping[str, Any]] = {"detached_angles": True, "max_neighbors": 50}

    interactions: nn.ModuleList
    outputs: nn.ModuleList

    def __init__(
        self,
        *,
        cutoff: float,
        n_channels: int,
        n_degrees: int,
        n_basis: int,
        power: int,
        detached_angles: bool,
        max_neighbors: int,
        n_elements: int,
    ) -> None:
        super().__init__(cutoff=cutoff, max_neighbors=max_neighbors, n_elements=n_elements)
        self.detached_angles = detached_angles
        self.radial = BesselBasis(cutoff, n_basis, power=power)
        self.spherical = SphericalBesselBasis(cutoff, n_degrees, n_basis, power=power)
        self.embedding = EdgeEmbedding(n_elements, n_channels, n_basis)

    def forward(self, graph: AtomGraph) -> Tensor:
        """(n_systems,) sums of the atoms' energies, in units of the scale."""
        pairs, first = graph.pairs
        lengths = graph.edge_lengths.index_select(0, first)
        directions = graph.edge_vectors.index_select(0, first) / lengths[:, None]
        if self.detached_angles:
            directions = directions.detach()
        radial = self.radial(lengths).index_select(0, pairs)
        angular = AngularBasis.of(graph, directions, self.spherical(lengths))
        edges = self.embedding(graph, radial)
        energies = self.outputs[0](edges, radial, graph)
        for interaction, output in zip(self.interactions, self.outputs[1:], strict=True):
            edges = interaction(edges, radial, angular)
            energies = energies + output(edges, radial, graph)
        return segment_sum(energies, graph.system_index, graph.n_systems)


class DimeNet(DirectionalModel):
    """Gasteiger, Groß, Günnemann, ICLR 2020, arXiv:2003.03123.

    | symbol | variable |
    |---|---|
    | m_ji, message of j to i | edges (n_edges, n_channels) |
    | e_RBF(d_ji) | radial (n_edges, n_basis) |
    | a_SBF(d_kj, α) | angular |
    | W of the bilinear layer | bilinear (n_bilinear · n_channels, n_channels) |
    | t_i | energies (n_atoms,) |

    α is the angle at j between the messages m_kj and m_ji, as in the paper (fig. 1). The code of
    its authors takes the one at i between j and k, which they call a bug
    (github.com/gasteigerjo/dimenet, issue 9). Here α is 0 where k, j, i are a straight line; with
    ∠kji = π − α it is the same model, with other signs of the weights of odd degrees.

    Messages m_kj are multiplied by W e_RBF(d_kj), as in the code of the authors and in DimeNet++;
    the paper's update of messages writes e_RBF(d_ji).

    Angles are between edges of periodic images, with gradients, and only the edge back is left out;
    where atoms meet their own images, leaving out all k = i would be another model.

    The energy and its first two derivatives are continuous at the cutoff without more envelopes
    than e_RBF and a_SBF have: atoms sum W e_RBF(d_ji) ∘ m_ji, and what other messages get of m_kj
    is linear in e_RBF(d_kj) and in a_SBF(d_kj, α).

    Args:
        cutoff: Å.
        n_channels: Width of messages and of the atoms' layers.
        n_layers: Interactions.
        n_bilinear: Width to which a_SBF is reduced for the bilinear layer.
        n_output_layers: Layers of the atoms, in each output.
        n_degrees: Spherical harmonics of the angle.
        n_basis: Radial functions, also of each degree.
        power: Of the envelope; "envelope exponent" + 1.
        detached_angles: Leave the change of angles out of the forces, which are then no derivative
            of the energy; as the published code.
        max_neighbors: Most neighbors of an atom.
        n_elements: Atomic numbers are below this.
    """

    source: ClassVar[str] = "arXiv:2003.03123"
    paper_parameters: ClassVar[int] = 1_106_422
    SMALL: ClassVar[Mapping[str, Any]] = {
        "cutoff": 5.0,
        "n_channels": 32,
        "n_layers": 2,
        "n_output_layers": 2,
        "n_degrees": 4,
    }

    def __init__(
        self,
        *,
        cutoff: float = 6.0,
        n_channels: int = 128,
        n_layers: int = 3,
        n_bilinear: int = 8,
        n_output_layers: int = 3,
        n_degrees: int = 7,
        n_basis: int = 6,
        power: int = 6,
        detached_angles: bool = False,
        max_neighbors: int = 500,
        n_elements: int = 95,
    ) -> None:
        super().__init__(
            cutoff=cutoff,
            n_channels=n_channels,
            n_degrees=n_degrees,
            n_basis=n_basis,
            power=power,
            detached_angles=detached_angles,
            max_neighbors=max_neighbors,
            n_elements=n_elements,
        )
        self.interactions = nn.ModuleList(
            Interaction(n_channels, n_bilinear, n_degrees, n_basis) for _ in range(n_layers)
        )
        self.outputs = nn.ModuleList(
            Output(n_channels, n_output_layers, n_basis) for _ in range(n_layers + 1)
        )


class DirectionalInteraction(nn.Module, ABC):
    """Messages that have heard the messages m_kj to their senders."""

    radial: nn.Module
    from_incoming: nn.Linear
    from_itself: nn.Linear
    before_skip: Residual
    skip: nn.Linear
    after_skip: nn.Sequential

    def forward(self, edges: Tensor, radial: Tensor, angular: AngularBasis) -> Tensor:
        """(n_edges, n_channels)."""
        incoming = silu(self.from_incoming(edges)) * self.radial(radial)
        heard = self.heard(incoming, angular)
        blocks: list[Block] = [
            ((self.from_itself,), HEARD),
            self.before_skip.block(),
            ((self.skip,), EDGES),
            *(residual.block() for residual in cast(Iterable[Residual], self.after_skip)),
        ]
        return run_blocks(blocks, edges, heard)

    @abstractmethod
    def heard(self, incoming: Tensor, angular: AngularBasis) -> Tensor:
        """(n_edges, n_channels) sums over the incoming (n_edges, n_channels) messages, by angle."""


class Interaction(DirectionalInteraction):
    """Bilinear in messages and angles: Σ_k Σ_b (W a_SBF)_b W_b x_kj (arXiv:2003.03123, fig. 4)."""

    def __init__(self, n_channels: int, n_bilinear: int, n_degrees: int, n_basis: int) -> None:
        super().__init__()
        self.shape = (n_bilinear, n_degrees, n_basis)
        self.radial = orthogonal_linear(n_basis, n_channels, bias=False)
        self.spherical = orthogonal_linear(n_degrees * n_basis, n_bilinear, bias=False)
        self.from_incoming = orthogonal_linear(n_channels, n_channels)
        self.from_itself = orthogonal_linear(n_channels, n_channels)
        self.bilinear = nn.Linear(n_channels, n_bilinear * n_channels, bias=False)
        nn.init.normal_(self.bilinear.weight, std=2.0 / n_channels)
        self.before_skip = Residual(n_channels)
        self.skip = orthogonal_linear(n_channels, n_channels)
        self.after_skip = nn.Sequential(Residual(n_channels), Residual(n_channels))

    def heard(self, incoming: Tensor, angular: AngularBasis) -> Tensor:
        """(n_edges, n_channels)."""
        values = self.bilinear(incoming).unflatten(1, (self.shape[0], -1))
        return angular.mixed_sums(values, self.spherical.weight.view(self.shape))


class Output(nn.Module):
    """Energies of atoms by their messages: Σ_j W e_RBF(d_ji) ∘ m_ji and layers after it.

    Args:
        n_channels: Width of messages.
        n_layers: Layers of the atoms.
        n_basis: Radial functions.
        n_atom_channels: Width of the atoms' layers, to which another one leads; None for that of
            messages.
    """

    def __init__(
        self, n_channels: int, n_layers: int, n_basis: int, *, n_atom_channels: int | None = None
    ) -> None:
        super().__init__()
        width = n_atom_channels or n_channels
        self.radial = orthogonal_linear(n_basis, n_channels, bias=False)
        self.up = orthogonal_linear(n_channels, width) if n_atom_channels else nn.Identity()
        self.layers = nn.ModuleList(orthogonal_linear(width, width) for _ in range(n_layers))
        self.energy = orthogonal_linear(width, 1, bias=False)

    def forward(self, edges: Tensor, radial: Tensor, graph: AtomGraph) -> Tensor:
        """(n_atoms,) in units of the scale."""
        messages = self.radial(radial) * edges
        atoms = self.up(segment_sum(messages, graph.edge_index[0], graph.n_atoms))
        for layer in self.layers:
            atoms = silu(layer(atoms))
        energies: Tensor = self.energy(atoms)[:, 0]
        return energies
