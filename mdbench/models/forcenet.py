"""ForceNet: messages by the direction of edges as it stands, forces by a head."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from mdbench.graph import AtomGraph, segment_sum
from mdbench.models.base import DirectModel
from mdbench.models.elements import N_ELEMENTS, elements
from mdbench.nn.edge_form import EdgeRows
from mdbench.nn.envelopes import polynomial_envelope
from mdbench.nn.layers import linear
from mdbench.nn.pieces import silu
from mdbench.nn.spherical import spherical_harmonics

#: Each frequency over the one before.
_GROWTH = 1.1
#: Numbers of a layer at once on a CPU, so that what is between two layers stays in its cache.
_PIECE = 2**18
#: Distances by which an edge is described: between the centers or surfaces of its atoms.
_N_DISTANCES = 4


class ForceNet(DirectModel):
    """Hu et al., arXiv:2103.01436; layers as in its code (github.com/Open-Catalyst-Project/ocp).

    | symbol | variable |
    |---|---|
    | h_t | atoms (n_atoms, n_channels) |
    | e_st | basis (n_edges, 4 n_degrees²): radial functions ∘ harmonics |
    | A e_st ⊕ h_s ⊕ h_t | never made: its linear map is the sum of three |
    | W_st, filter that knows both atoms | filters (n_edges, n_channels) |
    | u(d_st), decay | envelope (n_edges, 1) |

    Messages u W_st ∘ (B h_s) are summed over neighbors. They see the direction of an edge in the
    frame of the cell, so forces do not turn with a system and do not add up to zero: rotations are
    to be learned from the data. The paper turns its training data at random; mdbench does not, and
    its audit measures what is left.

    It departs from the paper, and from the code of the authors, where a force field needs it:

    * The decay is a polynomial whose second derivative is continuous, for cos(π d/2c), which ends
      in a kink.
    * Distances less the radii of atoms may be negative. The authors' code keeps them above 0.001,
      which puts a kink where atoms touch: where bonds are. Radii are covalent ones.
    * Layers between atoms' messages and outputs are normalized over an atom's channels, for the
      batch normalization of the code, which mixes systems in training. (Fixed statistics, as in
      CGCNN, come too late: without a norm the features of the first step grow beyond 10⁷.)
    * Atoms have energies, which are summed. In the code the bias of the energy is added once to a
      system, so that two cells have not twice the energy of one.
    * Harmonics have a mean square of 1, for about 1/4π in the code, so that training sees
      directions sooner. Properties of elements go from −1 to 1, for 0 to 1.

    Args:
        cutoff: Å.
        n_channels: Width of the atoms' features and filters.
        n_layers: Interactions.
        n_degrees: Spherical harmonics of the direction.
        n_frequencies: Sines of each property of an element and of each distance.
        forces: direct, of the decoder; or gradient: the derivative of the energy, no decoder.
        max_neighbors: Most neighbors of an atom.
    """

    source: ClassVar[str] = "arXiv:2103.01436"
    paper_parameters: ClassVar[int] = 11_365_284
    paper_symmetry: ClassVar[str] = "translation"
    symmetry: ClassVar[str] = "T(3)"
    remark: ClassVar[str] = "the published code also counts 1,660 constants"
    SMALL: ClassVar[Mapping[str, Any]] = {"cutoff": 5.0, "n_channels": 32, "n_layers": 3}

    element_waves: Tensor

    def __init__(
        self,
        *,
        cutoff: float = 6.0,
        n_channels: int = 512,
        n_layers: int = 5,
        n_degrees: int = 3,
        n_frequencies: int = 50,
        forces: str = "direct",
        max_neighbors: int = 500,
    ) -> None:
        super().__init__(
            forces=forces, cutoff=cutoff, max_neighbors=max_neighbors, n_elements=N_ELEMENTS
        )
        features = torch.as_tensor(element_features())
        self.register_buffer("element_waves", waves(features, n_frequencies).float())
        self.embedding = linear(self.element_waves.shape[1], n_channels)
        self.basis = EdgeBasis(cutoff, n_degrees, n_frequencies)
        self.interactions = nn.ModuleList(
            Interaction(n_channels, _N_DISTANCES * n_degrees**2) for _ in range(n_layers)
        )
        self.last = linear(n_channels, n_channels)
        self.energy = linear(n_channels, 1)
        if not self.conservative:
            self.decoder = normed_layers(n_channels, 3)

    def heads(self, graph: AtomGraph) -> tuple[Tensor, Tensor | None]:
        """(n_systems,) sums of the atoms' energies, (n_atoms, 3) forces in units of the scale."""
        basis = self.basis(graph)
        envelope = polynomial_envelope(graph.edge_lengths, self.cutoff)[:, None]
        atoms = self.embedding(self.element_waves[graph.atomic_numbers])
        pieces = Edges.of(graph, basis, envelope).pieces(atoms.shape[1])
        for interaction in self.interactions:
            atoms = atoms + interaction(atoms, pieces)
        atoms = functional.silu(self.last(atoms))
        energies = segment_sum(self.energy(atoms)[:, 0], graph.system_index, graph.n_systems)
        return energies, None if self.conservative else self.decoder(atoms)


@dataclass(frozen=True, eq=False)
class Edges:
    """What all interactions know of some edges.

    Messages are u V(h) ∘ v_s with a linear map V. An atom that hears of several images of another
    one hears of the same v_s, so V acts once on Σ u h of the images: of a link.

    Attributes:
        receivers: (n_edges,)
        senders: (n_edges,)
        basis: (n_edges, n_functions).
        envelope: (n_edges, 1).
        link: (n_edges,) ascending.
        links: Their edges are links: any two atoms that are neighbors, of whatever images.
        decay: (n_links, 1) sums of the envelope.
    """

    receivers: Tensor
    senders: Tensor
    basis: Tensor
    envelope: Tensor
    link: Tensor
    links: EdgeRows
    decay: Tensor

    @classmethod
    def of(cls, graph: AtomGraph, basis: Tensor, envelope: Tensor) -> Edges:
        """All edges of a graph.

        Args:
            graph: Atoms and edges.
            basis: (n_edges, n_functions).
            envelope: (n_edges, 1).
        """
        (receivers, senders), n_atoms = graph.edge_index, graph.n_atoms
        keys, link = torch.unique(receivers * n_atoms + senders, return_inverse=True)
        i, j = keys // n_atoms, keys % n_atoms
        links = _rows(i, j, torch.searchsorted(keys, j * n_atoms + i), n_atoms)
        decay = segment_sum(envelope, link, len(keys))
        return cls(receivers, senders, basis, envelope, link, links, decay)

    def pieces(self, n_channels: int) -> list[Edges]:
        """The same without derivatives: on a CPU, so many that layers stay in its cache."""
        link, n_links = self.link, len(self.decay)
        if torch.is_grad_enabled() or link.device.type != "cpu":
            return [self]
        last = torch.cat([link[:: _PIECE // n_channels], link.new_tensor([n_links])])
        ends = [torch.searchsorted(link, last).tolist(), last.tolist()]
        cuts = zip(*([slice(*pair) for pair in pairwise(cut)] for cut in ends), strict=True)
        return [self._piece(*cut) for cut in cuts]

    def _piece(self, some: slice, links: slice) -> Edges:
        receivers, senders, back = self.links.receivers, self.links.senders, self.links.back
        return Edges(
            self.receivers[some],
            self.senders[some],
            self.basis[some],
            self.envelope[some],
            self.link[some] - links.start,
            _rows(receivers[links], senders[links], back[links], self.links.n_atoms),
            self.decay[links],
        )


def _rows(receivers: Tensor, senders: Tensor, back: Tensor, n_atoms: int) -> EdgeRows:
    """Edges with a row of filters for each."""
    every = torch.arange(len(receivers), device=receivers.device)
    return EdgeRows(receivers, senders, back, every, every, n_atoms)


class EdgeBasis(nn.Module):
    """R_b(d_st) Y_lm(r_st): harmonics times as many radial functions as there are distances.

    R = W s + w, s the sines of d, d less the radius of the sender, of the receiver, and of both,
    in units of the cutoff.

    Args:
        cutoff: Å.
        n_degrees: Spherical harmonics, normalized to a mean square of 1.
        n_frequencies: Sines of each distance.
    """

    radii: Tensor
    norms: Tensor

    def __init__(self, cutoff: float, n_degrees: int, n_frequencies: int) -> None:
        super().__init__()
        self.cutoff, self.n_degrees, self.n_frequencies = cutoff, n_degrees, n_frequencies
        self.register_buffer("radii", torch.as_tensor(covalent_radii(), dtype=torch.float32))
        sizes = [2 * degree + 1 for degree in range(n_degrees)]
        norms = [math.sqrt(size) for size in sizes for _ in range(size)]
        self.register_buffer("norms", torch.tensor(norms))
        self.radial = linear(_N_DISTANCES * n_frequencies, _N_DISTANCES)

    def forward(self, graph: AtomGraph) -> Tensor:
        """(n_edges, 4 n_degrees²)."""
        lengths, (receivers, senders) = graph.edge_lengths, graph.edge_index
        radii = self.radii[graph.atomic_numbers]
        received, sent = radii.index_select(0, receivers), radii.index_select(0, senders)
        overlaps = torch.stack([torch.zeros_like(sent), sent, received, sent + received], dim=1)
        distances = (lengths[:, None] - overlaps) / self.cutoff
        radial: Tensor = self.radial(waves(distances, self.n_frequencies))
        directions = graph.edge_vectors / lengths[:, None]
        harmonics = self.norms * spherical_harmonics(directions, self.n_degrees)
        return (radial[:, :, None] * harmonics[:, None]).flatten(1)


class Interaction(nn.Module):
    """An atom's change by its neighbors and itself, by filters that know both atoms of an edge."""

    def __init__(self, n_channels: int, n_functions: int) -> None:
        super().__init__()
        self.from_basis = linear(n_functions, n_channels)
        self.joint = linear(3 * n_channels, n_channels)
        self.filters = nn.Sequential(
            nn.SiLU(), linear(n_channels, n_channels), nn.SiLU(), linear(n_channels, n_channels)
        )
        self.values = linear(n_channels, n_channels)
        self.itself = nn.Parameter(nn.init.xavier_uniform_(torch.empty(1, n_channels)))
        self.update = normed_layers(n_channels, n_channels)

    def forward(self, atoms: Tensor, pieces: list[Edges]) -> Tensor:
        """(n_atoms, n_channels)."""
        to_edge, to_sender, to_receiver = self.joint.weight.chunk(3, dim=1)
        bias = self.joint.bias + to_edge @ self.from_basis.bias
        received = functional.linear(atoms, to_receiver, bias)
        sent = functional.linear(atoms, to_sender)
        to_sums = to_edge @ self.from_basis.weight  # both layers at once
        values = self.values(atoms)
        heard = self.itself * values
        for edges in pieces:
            heard += self._heard(received, sent, to_sums, values, edges)
        change: Tensor = self.update(heard)
        return change

    def _heard(
        self, received: Tensor, sent: Tensor, to_sums: Tensor, values: Tensor, edges: Edges
    ) -> Tensor:
        """(n_atoms, n_channels) sums of the messages of some edges."""
        to_middle, middle_bias, to_last, last_bias = self.filters.parameters()
        sums = received.index_select(0, edges.receivers)
        sums += sent.index_select(0, edges.senders)
        hidden = silu(sums.addmm_(edges.basis, to_sums.T))
        hidden = silu(functional.linear(hidden, to_middle, middle_bias))
        of_links = segment_sum(hidden * edges.envelope, edges.link, len(edges.decay))
        filters = (edges.decay * last_bias).addmm_(of_links, to_last.T)
        every = filters.new_ones(len(filters), 1, 1)
        return edges.links.heard(values[:, None], filters, every)[:, 0]


def normed_layers(n_channels: int, n_out: int) -> nn.Sequential:
    """Two linear layers of atoms, between them a norm over each atom's channels and SiLU."""
    norm = nn.LayerNorm(n_channels, eps=1.0)  # what is weak stays weak
    return nn.Sequential(linear(n_channels, n_channels), norm, nn.SiLU(), linear(n_channels, n_out))


def waves(x: Tensor, n_frequencies: int) -> Tensor:
    """(n, n_features · n_frequencies): sin(1.1ᵏ x), k = 0 …, of (n, n_features)."""
    frequencies = _GROWTH ** torch.arange(n_frequencies, dtype=x.dtype, device=x.device)
    return torch.sin(x[:, :, None] * frequencies).flatten(1)


def element_features() -> NDArray[np.float64]:
    """(101, 9) properties of the elements by atomic number, from −1 to 1; row 0 is zero.

    Group, period, electronegativity, covalent radius, valence electrons, ionization energy,
    electron affinity, block (s, p, d, f equally far apart), molar volume. −1 is the lowest value of
    the table, 1 the highest. What is unknown, and the group in the f block, is the mean of the
    others.
    """
    table = np.full((N_ELEMENTS, 9), np.nan)
    for element in elements():
        table[element.atomic_number] = (
            element.group or np.nan,
            element.period,
            element.electronegativity,
            element.covalent_radius,
            element.valence_electrons,
            element.ionization_energy,
            element.electron_affinity,
            "spdf".index(element.block),
            element.molar_volume,
        )
    low, high = np.nanmin(table, axis=0), np.nanmax(table, axis=0)
    features = _known(2.0 * (table - low) / (high - low) - 1.0)
    features[0] = 0.0
    return features


def covalent_radii() -> NDArray[np.float64]:
    """(101,) Å by atomic number; the mean where it is unknown."""
    radii = np.full(N_ELEMENTS, np.nan)
    for element in elements():
        radii[element.atomic_number] = element.covalent_radius
    return _known(radii)


def _known(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """The table with the mean of each column where there is no number."""
    return np.where(np.isnan(table), np.nanmean(table, axis=0), table)
