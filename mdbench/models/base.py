"""What every model is: a network of a graph's edge vectors that gives energies.

Forces and virials are derived from the energies here, once for all models that have no head for
forces.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from mdbench.errors import check_word
from mdbench.graph import AtomGraph, segment_sum

_FORCES = ("direct", "gradient")


class Prediction(NamedTuple):
    """What a model says about some systems.

    Attributes:
        energies: (n_systems,) eV, float64.
        forces: (n_atoms, 3) eV/Å.
        virials: (n_systems, 3, 3) eV, −stress · volume (ASE's sign of stress); NaN beside direct
            forces, as nothing says what the stress is.
    """

    energies: Tensor
    forces: Tensor
    virials: Tensor


class EnergyModel(nn.Module, ABC):
    """A force field whose forces are the derivative of its energy.

    Hyper-parameters are keyword arguments; their defaults are the sizes of the published benchmark.
    The energy of a system is energy_scale · network + Σ energy_shifts[Z], in eV: energies and
    forces share the one scale.

    Args:
        cutoff: Å.
        max_neighbors: Most neighbors of an atom, the nearest ones.
        n_elements: Atomic numbers are below this.
    """

    #: Group under which energies do not change, beside translations and permutations.
    symmetry: ClassVar[str] = "E(3)"
    #: Whether forces are derivatives of the energy.
    conservative: bool = True
    #: Whether edges beyond the cutoff have no effect, so that graphs may have some.
    ends_at_cutoff: bool = True
    #: Relative deviations that checks of the audit may find, where they are not those of rounding.
    tolerances: ClassVar[Mapping[str, float]] = {}
    #: The paper that the architecture is from.
    source: ClassVar[str]
    #: What the published code of the benchmark counts as parameters, and its Table 1 claims.
    paper_parameters: ClassVar[int]
    paper_symmetry: ClassVar[str] = "E(3)"
    #: Why our count or a claim is another one.
    remark: ClassVar[str] = ""
    #: Other arguments of the small size, and of the variant that does as the published code does.
    SMALL: ClassVar[Mapping[str, Any]]
    PUBLISHED: ClassVar[Mapping[str, Any]] = {}

    energy_scale: Tensor
    energy_shifts: Tensor

    def __init__(self, *, cutoff: float, max_neighbors: int, n_elements: int) -> None:
        super().__init__()
        self.cutoff, self.max_neighbors = cutoff, max_neighbors
        self.register_buffer("energy_scale", torch.ones(()))
        self.register_buffer("energy_shifts", torch.zeros(n_elements))

    @property
    def n_elements(self) -> int:
        """Atomic numbers are below this."""
        return len(self.energy_shifts)

    @property
    def n_parameters(self) -> int:
        """Number of trainable parameters."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad)

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the weights."""
        return self.energy_scale.dtype

    @abstractmethod
    def forward(self, graph: AtomGraph) -> Tensor:
        """(n_systems,) energies in units of the scale, without shifts."""

    def tabulate(self) -> None:
        """Makes tables of radial functions, where that pays: for inference on a CPU.

        Afterwards their weights are gone, and energies have only first derivatives.
        """

    def predict(self, graph: AtomGraph, *, create_graph: bool = False) -> Prediction:
        """Energies, forces and virials.

        F_i = Σ_j ∂E/∂r_ij − ∂E/∂r_ji and W = −Σ r_ij ⊗ ∂E/∂r_ij over the directed edges.

        Args:
            graph: In the precision and on the device of the model.
            create_graph: Keep what derivatives of the forces need, for training.
        """
        vectors = graph.edge_vectors.detach().requires_grad_()
        with torch.enable_grad():
            network = self(graph.with_vectors(vectors))
            (slope,) = torch.autograd.grad(
                network.sum(), vectors, create_graph=create_graph, materialize_grads=True
            )
        slope = self.energy_scale * slope
        receivers, senders = graph.edge_index
        forces = segment_sum(slope, receivers, graph.n_atoms) - segment_sum(
            slope, senders, graph.n_atoms
        )
        products = vectors[:, :, None] * slope[:, None]  # (n_edges, 3, 3)
        virials = -segment_sum(products, graph.system_index[receivers], graph.n_systems)
        found = Prediction(self._energies(network, graph), forces, virials)
        return found if create_graph else Prediction(*(part.detach() for part in found))

    def _energies(self, network: Tensor, graph: AtomGraph) -> Tensor:
        """(n_systems,) eV, float64, of the (n_systems,) energies of the network."""
        shifts = self.energy_shifts.double()[graph.atomic_numbers]
        return self.energy_scale.double() * network.double() + segment_sum(
            shifts, graph.system_index, graph.n_systems
        )


class DirectModel(EnergyModel):
    """A force field with a head for forces, which are then no derivative of its energy.

    Args:
        forces: direct, of the head; or gradient: the derivative of the energy, without a head.
        cutoff: Å.
        max_neighbors: Most neighbors of an atom, the nearest ones.
        n_elements: Atomic numbers are below this.

    Raises:
        InputError: Other forces.
    """

    conservative = False

    def __init__(self, *, forces: str, cutoff: float, max_neighbors: int, n_elements: int) -> None:
        super().__init__(cutoff=cutoff, max_neighbors=max_neighbors, n_elements=n_elements)
        check_word("forces", forces, _FORCES)
        self.conservative = forces == "gradient"

    @abstractmethod
    def heads(self, graph: AtomGraph) -> tuple[Tensor, Tensor | None]:
        """(n_systems,) energies and (n_atoms, 3) forces in units of the scale.

        There are no forces where they are the gradient.
        """

    def forward(self, graph: AtomGraph) -> Tensor:
        """(n_systems,) energies in units of the scale, without shifts."""
        return self.heads(graph)[0]

    def predict(self, graph: AtomGraph, *, create_graph: bool = False) -> Prediction:
        """Energies and forces of their own; virials are NaN then.

        Args:
            graph: In the precision and on the device of the model.
            create_graph: Keep what derivatives of the forces need, for training.
        """
        if self.conservative:
            return super().predict(graph, create_graph=create_graph)
        with torch.set_grad_enabled(create_graph):
            network, forces = self.heads(graph)
            assert forces is not None
            forces = self.energy_scale * forces
            energies = self._energies(network, graph)
        return Prediction(energies, forces, forces.new_full((graph.n_systems, 3, 3), torch.nan))
