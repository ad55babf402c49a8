"""DimeNet++: messages between edges, by distance and angle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn

from mdbench.models.dimenet import DirectionalInteraction, DirectionalModel, Output
from mdbench.nn.angular import AngularBasis
from mdbench.nn.directional import Residual, orthogonal_linear
from mdbench.nn.smooth import silu


class DimeNetPlusPlus(DirectionalModel):
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
            Interaction(n_channels, n_angular_channels, n_basis_channels, n_degrees, n_basis)
            for _ in range(n_layers)
        )
        self.outputs = nn.ModuleList(
            Output(n_channels, n_output_layers, n_basis, n_atom_channels=n_output_channels)
            for _ in range(n_layers + 1)
        )


class Interaction(DirectionalInteraction):
    """Angles act on fewer channels, each by itself (arXiv:2011.14115, fig. 1)."""

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

    def heard(self, incoming: Tensor, angular: AngularBasis) -> Tensor:
        """(n_edges, n_channels)."""
        weights = self.spherical_up.weight @ self.spherical_down.weight  # both layers at once
        weights = weights.view(-1, *self.degrees)  # (n_angular_channels, n_degrees, n_basis)
        values = silu(self.down(incoming))
        return silu(self.up(angular.sums(values, weights)))
