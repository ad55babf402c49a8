"""eSCN: messages between functions on the sphere, in frames in which edges stand upright."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from mdbench.graph import AtomGraph, segment_sum
from mdbench.models.base import DirectModel
from mdbench.nn.aligned import AlignedEdges, orthonormal_grid
from mdbench.nn.envelopes import polynomial_envelope
from mdbench.nn.pieces import even_sizes, in_pieces, silu
from mdbench.nn.radial import GaussianBasis
from mdbench.nn.rotations import SphereGrid, edge_frames
from mdbench.nn.sphere_layers import (
    EdgeFeatures,
    SphereIntegral,
    scaled_linear,
    scaled_uniform,
)


class Escn(DirectModel):
    """Passaro & Zitnick, ICML 2023, arXiv:2302.03655.

    | symbol | variable |
    |---|---|
    | x_i, functions on the sphere of an atom | atoms (n_atoms, n_degrees², n_channels) |
    | m_i, sums of messages | messages, of the same shape |
    | R_ts x, in the frame of an edge | hidden, after the first linear map |
    | w_m, w̃_m of SO(2) convolutions | first, second; the maps of `AlignedEdges` order them |
    | edge-distance embedding | features (n_edges, n_edge_channels) |

    Coefficients belong to harmonics whose squares have the integral 1. Messages (eq. 2, 5, 6):
    functions at both ends of an edge are turned into its frame, convolved about the edge for each
    order |m| ≤ max_order, gated by elements and distance, convolved again, added, put through SiLU
    at points of the sphere, and turned back. The first maps act on atoms, before the turn, as they
    are the same for all coefficients of a degree. An update (eq. 4) is an MLP of x_i and m_i at
    points. Energies are integrals over the sphere of an MLP of x_i at points, forces those of an
    MLP times the point (eq. 8, 9).

    It departs from the paper as follows.

    * Messages end smoothly: they are multiplied by an envelope before they are added (eq. 3).
    * Frames (sect. 3) depend on the direction of an edge alone; random ones at every call give
      the same structure other forces. Grids have more points in azimuth than the authors' code
      (13 for 5 about an edge) and exact weights, so that frames hardly matter; for not at all
      it would take ever more: rotations are exact to the tolerance.
    * Points of the heads are a grid with the right weights, for points that are evenly spread
      at different distances from the center.
    * The first layer knows functions of degree 0 alone, which have no order but 0: it is without
      the weights that act on zeros. What it sends has that order alone.
    * Initial weights keep the size of what they act on; with those of the authors' code initial
      forces are 1e-6.
    * Energies are not multiplied by 0.001.

    Args:
        cutoff: Å.
        n_channels: Width of functions on the sphere.
        n_hidden: Width between the two convolutions, for each order and part.
        n_edge_channels: Width of the features of edges.
        n_layers: Interactions.
        n_degrees: Degrees l of functions, from 0 on.
        max_order: Largest |m| of messages.
        n_basis: Gaussians.
        n_polar: Points along the edge of a message's grid.
        n_azimuth: Points about the edge.
        n_atom_polar: Points from pole to pole at atoms; twice as many less one about the axis.
        forces: direct, of the head; or gradient, without it.
        max_neighbors: Most neighbors of an atom.
        n_elements: Atomic numbers are below this.
    """

    source: ClassVar[str] = "arXiv:2302.03655"
    paper_parameters: ClassVar[int] = 34_284_032
    paper_symmetry: ClassVar[str] = "SO(2)"
    symmetry: ClassVar[str] = "SE(3)"
    tolerances: ClassVar[Mapping[str, float]] = {"rotation": 1e-2}
    remark: ClassVar[str] = (
        "3,540,992 weights of the first layer act on zeros and are left out, 6,656 are constants; "
        "SE(3) as finely as its grids: beside turns about an edge all rotations are meant"
    )
    SMALL: ClassVar[Mapping[str, Any]] = {
        "cutoff": 5.0,
        "n_channels": 16,
        "n_hidden": 32,
        "n_edge_channels": 32,
        "n_layers": 2,
        "n_degrees": 3,
        "n_basis": 32,
        "n_polar": 3,
        "n_azimuth": 21,
        "n_atom_polar": 12,
    }

    def __init__(
        self,
        *,
        cutoff: float = 6.0,
        n_channels: int = 128,
        n_hidden: int = 256,
        n_edge_channels: int = 128,
        n_layers: int = 8,
        n_degrees: int = 7,
        max_order: int = 2,
        n_basis: int = 300,
        n_polar: int = 7,
        n_azimuth: int = 13,
        n_atom_polar: int = 20,
        forces: str = "direct",
        max_neighbors: int = 500,
        n_elements: int = 90,
    ) -> None:
        super().__init__(
            forces=forces, cutoff=cutoff, max_neighbors=max_neighbors, n_elements=n_elements
        )
        self.n_degrees, self.max_order = n_degrees, max_order
        self.atom_grid = (n_degrees, n_atom_polar, 2 * n_atom_polar - 1, None)
        self.embedding = nn.Embedding(n_elements, n_channels)
        self.basis = GaussianBasis(cutoff, n_basis)
        self.layers = nn.ModuleList()
        for layer in range(n_layers):
            message = Message(
                n_channels,
                n_hidden,
                n_edge_channels,
                n_basis,
                n_elements,
                n_degrees=n_degrees,
                n_degrees_in=n_degrees if layer else 1,
                max_order=max_order if layer else 0,
                grid=(n_polar, n_azimuth if layer else 1),
            )
            self.layers.append(Layer(message, n_channels))
        self.energy = SphereIntegral(n_channels)
        if not self.conservative:
            self.force = SphereIntegral(n_channels)

    def heads(self, graph: AtomGraph) -> tuple[Tensor, Tensor | None]:
        """(n_systems,) energies and (n_atoms, 3) forces, in units of the scale."""
        grid = orthonormal_grid(*self.atom_grid, self.dtype, graph.edge_vectors.device)
        radial = self.basis(graph.edge_lengths[graph.pairs[1]])
        envelope = polynomial_envelope(graph.edge_lengths, self.cutoff)
        edges = AlignedEdges.of(
            graph.edge_index,
            graph.back,
            edge_frames(graph.edge_vectors / graph.edge_lengths[:, None]),
            envelope,
            n_atoms=graph.n_atoms,
            n_degrees=self.n_degrees,
            max_order=self.max_order,
        )
        atoms = self.embedding(graph.atomic_numbers)[:, None]  # of degree 0
        for number, layer in enumerate(self.layers):
            change = layer(atoms, radial, edges, graph, grid)
            atoms = atoms + change if number else change
        weights = grid.to_coefficients[0] / math.sqrt(4.0 * math.pi)  # their sum is 1
        energies = self.energy(atoms, grid, weights[None])[:, 0]
        total = segment_sum(energies, graph.system_index, graph.n_systems)
        if self.conservative:
            return total, None
        forces = self.force(atoms, grid, weights * grid.points.T)
        lonely = torch.bincount(graph.edge_index[0], minlength=graph.n_atoms) == 0
        return total, forces.masked_fill(lonely[:, None], 0.0)


class Layer(nn.Module):
    """An atom's change by what its neighbors send: an MLP at points of the sphere (eq. 4).

    Its first and last maps are linear and act on coefficients, which are fewer than points.
    """

    def __init__(self, message: Message, n_channels: int) -> None:
        super().__init__()
        self.message = message
        self.from_atoms = scaled_linear(2 * n_channels, n_channels, bias=False)
        with torch.no_grad():  # messages are sums of many
            self.from_atoms.weight[:, n_channels:] /= 2.5
        self.between = scaled_linear(n_channels, n_channels, bias=False)
        self.to_change = scaled_linear(n_channels, n_channels, bias=False)

    def forward(
        self, atoms: Tensor, radial: Tensor, edges: AlignedEdges, graph: AtomGraph, grid: SphereGrid
    ) -> Tensor:
        """(n_atoms, n_degrees², n_channels)."""
        messages = self.message(atoms, radial, edges, graph)
        of_atoms, of_messages = self.from_atoms.weight.tensor_split(2, dim=1)
        known = functional.linear(messages, of_messages)
        atoms = functional.pad(atoms, (0, 0, 0, known.shape[1] - atoms.shape[1]))
        known = known + functional.linear(atoms, of_atoms)

        def changed(known: Tensor) -> Tensor:
            values = silu(grid.to_points @ known)  # (n_atoms, n_points, n_channels)
            return grid.to_coefficients @ silu(self.between(values))

        n_bytes = 2 * len(grid.points) * known.shape[2] * known.element_size()
        sizes = even_sizes(known, n_bytes)
        change: Tensor = self.to_change(in_pieces(changed, [known], sizes, [self.between.weight]))
        return change


class Message(nn.Module):
    """What edges send: SO(2) convolutions in frames in which they stand upright (eq. 5, 6).

    Args:
        n_channels: Width of functions on the sphere.
        n_hidden: Width between the convolutions.
        n_edge_channels: Width of the features of edges.
        n_basis: Radial functions.
        n_elements: Atomic numbers are below this.
        n_degrees: Degrees of what is sent.
        n_degrees_in: Degrees of what is known.
        max_order: Largest |m|.
        grid: Points along and about the edge.
    """

    def __init__(
        self,
        n_channels: int,
        n_hidden: int,
        n_edge_channels: int,
        n_basis: int,
        n_elements: int,
        *,
        n_degrees: int,
        n_degrees_in: int,
        max_order: int,
        grid: tuple[int, int],
    ) -> None:
        super().__init__()
        self.n_degrees, self.max_order, self.grid = n_degrees, max_order, grid
        self.edge = EdgeFeatures(n_elements, n_basis, n_edge_channels)
        self.n_maps = [4 if order else 2 for order in range(max_order + 1)]
        self.gates = scaled_linear(n_edge_channels, sum(self.n_maps) * n_hidden)
        nn.init.ones_(self.gates.bias)
        self.first = nn.ParameterList()
        for degree in range(n_degrees_in):
            parts = []
            for order, n_maps in enumerate(self.n_maps[: degree + 1]):
                part = torch.empty(n_maps, n_channels, n_hidden)
                parts.append(scaled_uniform(part, (n_degrees_in - order) * n_channels))
            self.first.append(nn.Parameter(torch.cat(parts)))
        self.second = nn.ParameterList(
            nn.Parameter(
                scaled_uniform(
                    torch.empty(n * n_hidden, (n_degrees - order) * n_channels), n_hidden
                )
            )
            for order, n in enumerate(self.n_maps)
        )

    def forward(
        self, atoms: Tensor, radial: Tensor, edges: AlignedEdges, graph: AtomGraph
    ) -> Tensor:
        """(n_atoms, n_degrees², n_channels) sums over neighbors."""
        grid = orthonormal_grid(
            self.n_degrees, *self.grid, self.max_order, atoms.dtype, atoms.device
        )
        features = self.edge(radial, graph)
        hidden = self._hidden(atoms, edges)
        n_bytes = len(grid.points) * atoms.shape[2] * atoms.element_size()

        def at_points(coefficients: Tensor) -> Tensor:
            return grid.to_coefficients @ silu(grid.to_points @ coefficients)

        found = []
        for piece in edges.pieces():
            gates = silu(self.gates(features[piece.edges]))
            coefficients = self._convolved(hidden, gates, edges, piece.edges, atoms.shape[2])
            sizes = even_sizes(coefficients, n_bytes)
            found.append(edges.summed(in_pieces(at_points, [coefficients], sizes), piece))
        return torch.cat(found)

    def _hidden(self, atoms: Tensor, edges: AlignedEdges) -> list[Tensor]:
        """For each order the (n_rows, n_hidden) rows of all edges before their gates."""
        sizes = [2 * degree + 1 for degree in range(len(self.first))]
        parts = [part.contiguous() for part in torch.split(atoms, sizes, dim=1)]
        weights = [
            torch.split(weight, self.n_maps[: degree + 1])
            for degree, weight in enumerate(self.first)
        ]  # for each degree and order (n_maps, n_channels, n_hidden)
        hidden = []
        for order in range(len(self.n_maps)):
            mapped = [
                (part.flatten(0, 1) @ of[order]).view(-1, *part.shape[:2], of[order].shape[2])
                for part, of in zip(parts[order:], weights[order:], strict=True)
            ]
            known = torch.cat(mapped, dim=2)  # (n_maps, n_atoms, n_degrees² − m², n_hidden)
            turns = edges.turns[order][..., : known.shape[2]]
            hidden.append((turns @ known).flatten(0, 2))
        return hidden

    def _convolved(
        self,
        hidden: list[Tensor],
        gates: Tensor,
        edges: AlignedEdges,
        chosen: slice,
        n_channels: int,
    ) -> Tensor:
        """(n_edges, n_kept, n_channels): SO(2) convolutions of all orders."""
        found = []
        sizes = [n_maps * hidden[0].shape[1] for n_maps in self.n_maps]
        for order, gate in enumerate(torch.split(gates, sizes, dim=1)):
            rows = torch.index_select(hidden[order], 0, edges.rows[order][chosen].flatten())
            n_rows = 2 if order else 1
            gated = rows.view(len(gate), n_rows, gate.shape[1]) * gate[:, None]
            convolved = gated @ self.second[order]
            n_kept = n_rows * (self.n_degrees - order)
            found.append(convolved.view(len(gate), n_kept, n_channels))
        return torch.cat(found, dim=1)
