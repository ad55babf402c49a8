"""SCN: functions on the sphere around each atom, and messages in the frames of edges."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, pad

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

#: Of weights, times their number of inputs. That of the authors' code, a sixth of it, learns later.
_VARIANCE = 2.0

_linear = functools.partial(scaled_linear, variance=_VARIANCE)


class Scn(DirectModel):
    """Zitnick, Das, Kolluru, Lan, Shuaibi, Sriram, Ulissi, Wood, NeurIPS 2022, arXiv:2206.14331.

    | symbol | variable |
    |---|---|
    | x_i, coefficients of the spherical channels | atoms (n_atoms, n_degrees², n_channels) |
    | D_st, rotation to an edge | AlignedEdges |
    | F_e, function of distance and elements | EdgeFeatures |
    | message m_st | Message |
    | F_c, aggregation on the sphere | Layer |

    It departs from the paper where a force field needs it:

    * The frame of an edge is a function of its direction. The paper draws its turn about the edge
      anew at every call, so that the same atoms get other forces.
    * The paper takes the 12 nearest neighbors at fine resolution, others at a coarse one (the
      published benchmark the 6 nearest), so energies jump where two neighbors swap ranks. Here the
      resolution goes from fine to coarse smoothly with the distance, up to `near_cutoff`, within
      which 7 neighbors are in Li₁₀GeP₂S₁₂.
    * A polynomial takes every message smoothly to zero at the cutoff.
    * Nonlinear functions on the sphere are computed at Gauss–Legendre points and integrated with
      their weights. The 128 evenly spread points of the paper do not even integrate harmonics
      exactly: its forces on an atom alone are not 0.
    * The head for forces has no last bias, as ∫ b x̂ = 0.
    * Weights start with the variance 2/n_inputs, not a sixth of it as in the code of the authors,
      where forces start as hardly more than rounding in single precision.

    What is left of a dependence on the orientation (`tolerances`) grows in training; more taps and
    points make it smaller.

    Args:
        cutoff: Å.
        near_cutoff: Å; closer neighbors send messages of fine resolution.
        n_channels: Functions on the sphere of each atom.
        n_hidden: Hidden width of fine messages.
        n_coarse_hidden: Hidden width of coarse messages.
        n_edge_channels: Width of edges' features.
        n_layers: Message passing layers.
        n_basis: Gaussians of the distance.
        n_degrees: Degrees l of the functions from 0 on, lmax + 1.
        n_coarse_degrees: Those that coarse messages see and change.
        max_order: Largest |m| that messages see in the frame of the edge, mmax.
        n_taps: Turns about the edge.
        n_polar: Points in θ of the sphere.
        n_azimuth: Points in φ of the sphere.
        n_head_polar: Points in θ for energies and forces, with twice as many in φ.
        forces: direct, or gradient.
        max_neighbors: Most neighbors of an atom.
        n_elements: Atomic numbers are below this.
    """

    source: ClassVar[str] = "arXiv:2206.14331"
    symmetry: ClassVar[str] = "SE(3)"
    tolerances: ClassVar[Mapping[str, float]] = {"rotation": 1e-2}
    paper_parameters: ClassVar[int] = 20_441_602
    paper_symmetry: ClassVar[str] = "SO(3)"
    remark: ClassVar[str] = "the bias of the head for forces has no effect: ∫ b x̂ = 0"
    SMALL: ClassVar[Mapping[str, Any]] = {
        "cutoff": 5.0,
        "n_channels": 16,
        "n_hidden": 32,
        "n_coarse_hidden": 16,
        "n_edge_channels": 16,
        "n_layers": 2,
        "n_basis": 50,
        "n_degrees": 3,
        "n_coarse_degrees": 2,
        "n_polar": 6,
        "n_azimuth": 12,
        "n_head_polar": 8,
    }

    def __init__(
        self,
        *,
        cutoff: float = 6.0,
        near_cutoff: float = 3.5,
        n_channels: int = 128,
        n_hidden: int = 256,
        n_coarse_hidden: int = 64,
        n_edge_channels: int = 128,
        n_layers: int = 8,
        n_basis: int = 300,
        n_degrees: int = 7,
        n_coarse_degrees: int = 5,
        max_order: int = 1,
        n_taps: int = 8,
        n_polar: int = 14,
        n_azimuth: int = 24,
        n_head_polar: int = 16,
        forces: str = "direct",
        max_neighbors: int = 500,
        n_elements: int = 90,
    ) -> None:
        super().__init__(
            forces=forces, cutoff=cutoff, max_neighbors=max_neighbors, n_elements=n_elements
        )
        self.near_cutoff, self.max_order = near_cutoff, max_order
        self.n_degrees, self.n_coarse_degrees = n_degrees, n_coarse_degrees
        self.n_points, self.n_head_points = (n_polar, n_azimuth), (n_head_polar, 2 * n_head_polar)
        self.embedding = nn.Embedding(n_elements, n_channels)
        self.basis = GaussianBasis(cutoff, n_basis)
        self.layers = nn.ModuleList(
            Layer(
                EdgeFeatures(n_elements, n_basis, n_edge_channels, variance=_VARIANCE),
                Message(n_channels, n_hidden, n_edge_channels, n_degrees, max_order, n_taps),
                Message(
                    n_channels,
                    n_coarse_hidden,
                    n_edge_channels,
                    n_coarse_degrees,
                    max_order,
                    n_taps,
                ),
                n_channels,
            )
            for _ in range(n_layers)
        )
        self.energy = SphereIntegral(n_channels, variance=_VARIANCE, bias=True)
        self.force = None if self.conservative else SphereIntegral(n_channels, variance=_VARIANCE)

    def heads(self, graph: AtomGraph) -> tuple[Tensor, Tensor | None]:
        """(n_systems,) energies and (n_atoms, 3) forces: integrals over the atoms' spheres."""
        radial = self.basis(graph.edge_lengths[graph.pairs[1]])
        near, fine, coarse = self._edges(graph)
        grid, head_grid = (
            orthonormal_grid(self.n_degrees, *points, None, radial.dtype, radial.device)
            for points in (self.n_points, self.n_head_points)
        )
        atoms = self.embedding(graph.atomic_numbers)
        atoms = pad(atoms[:, None], (0, 0, 0, self.n_degrees**2 - 1))  # l = 0 and zeros
        for n, layer in enumerate(self.layers):
            change = layer(atoms, radial, near, fine, coarse, graph, grid)
            atoms = atoms + change if n else change
        weights = head_grid.to_coefficients[:1] * head_grid.to_points[0, 0]  # (1, n_points), mean
        energies = self.energy(atoms, head_grid, weights)[:, 0]
        energies = segment_sum(energies.double(), graph.system_index, graph.n_systems)
        if self.force is None:
            return energies, None
        forces = self.force(atoms, head_grid, weights * head_grid.points.T)
        lonely = torch.bincount(graph.edge_index[0], minlength=graph.n_atoms)[:, None] == 0
        return energies, forces.masked_fill(lonely, 0.0)  # which rounding would not give

    def _edges(self, graph: AtomGraph) -> tuple[Tensor, AlignedEdges, AlignedEdges]:
        """Which edges are near; these, whose messages are fine; and all, of coarse messages."""
        lengths = graph.edge_lengths
        frames = edge_frames(graph.edge_vectors / lengths[:, None])
        weights = polynomial_envelope(lengths, self.cutoff)
        near = weights * polynomial_envelope(lengths, self.near_cutoff)
        is_near = lengths < self.near_cutoff
        chosen = is_near.nonzero()[:, 0]
        sizes = {"n_atoms": graph.n_atoms, "max_order": self.max_order}
        fine = AlignedEdges.of(
            graph.edge_index[:, chosen],
            (is_near.cumsum(0) - 1)[graph.back[chosen]],
            frames[chosen],
            near[chosen],
            n_degrees=self.n_degrees,
            **sizes,
        )
        coarse = AlignedEdges.of(
            graph.edge_index,
            graph.back,
            frames,
            weights - near,
            n_degrees=self.n_coarse_degrees,
            **sizes,
        )
        return chosen, fine, coarse


@functools.cache
def _turns(n_taps: int, max_order: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """(n_taps, 1 + 2 max_order): 1, then cos mφ and sin mφ of each order, at even angles."""
    angles = 2.0 * math.pi * torch.arange(n_taps, dtype=torch.float64)[:, None] / n_taps
    waves = [f(m * angles) for m in range(1, max_order + 1) for f in (torch.cos, torch.sin)]
    return torch.cat([torch.ones_like(angles), *waves], dim=1).to(device, dtype)


@functools.cache
def _means(
    n_taps: int, max_order: int, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, ...]:
    """For each order (1 or 2, n_taps · (1 or 2)): c_m and c_−m in the frame that is not turned.

    They are means over turns of cos mφ c_m − sin mφ c_−m and cos mφ c_−m + sin mφ c_m.
    """
    constant, *waves = _turns(n_taps, max_order, torch.float64, torch.device("cpu")).T / n_taps
    found = [constant[None]]
    for cosine, sine in zip(waves[::2], waves[1::2], strict=True):
        rows = torch.stack([cosine, -sine], dim=1), torch.stack([sine, cosine], dim=1)
        found.append(torch.stack(rows).flatten(1))
    return tuple(part.to(device, dtype) for part in found)


class Message(nn.Module):
    """What neighbors tell, in the frame of the edge; averaged over turns about it (fig. 2).

    σ(W₃ σ(W₂ (σ(W₁ [x_j, x_i]) ∘ σ(W_e e)))), with biases. In a frame turned by φ, W₁ [x_j, x_i] is
    A + Σ_m (cos mφ B_m + sin mφ C_m): W₁ is multiplied once for all turns, and on atoms.
    """

    def __init__(
        self,
        n_channels: int,
        n_hidden: int,
        n_edge_channels: int,
        n_degrees: int,
        max_order: int,
        n_taps: int,
    ) -> None:
        super().__init__()
        self.max_order, self.n_taps = max_order, n_taps
        self.orders = [2 * min(degree, max_order) + 1 for degree in range(n_degrees)]
        sizes = [n_degrees, *(2 * (n_degrees - m) for m in range(1, max_order + 1))]
        self.sizes = [size * n_channels for size in sizes]
        n_inputs = sum(self.sizes)
        # of j and i, by l, m of the frame, hidden channel, channel
        self.first = nn.Parameter(torch.empty(2, n_inputs // n_channels, n_hidden, n_channels))
        self.bias = nn.Parameter(torch.zeros(n_hidden))
        scaled_uniform(self.first, 2 * n_inputs, variance=_VARIANCE)
        self.edge = _linear(n_edge_channels, n_hidden)
        self.second = _linear(n_hidden, n_hidden)
        self.last = _linear(n_hidden, n_inputs)  # by |m|, sign, l, channel

    def forward(self, atoms: Tensor, edges: Tensor, neighbors: AlignedEdges) -> Tensor:
        """(n_atoms, n_coefficients, n_channels): sums over neighbors.

        Args:
            atoms: (n_atoms, n_coefficients, n_channels).
            edges: (n_edges, n_edge_channels).
            neighbors: The n_edges neighbors.
        """
        seen, features = self._seen(atoms, neighbors), silu(self.edge(edges))
        last = [torch.split(part, self.sizes) for part in (self.last.weight, self.last.bias)]
        weights = [*self.last.parameters(), *self.second.parameters()]
        turns = _turns(self.n_taps, self.max_order, seen.dtype, seen.device)
        means = _means(self.n_taps, self.max_order, seen.dtype, seen.device)

        def told(seen: Tensor, features: Tensor) -> Tensor:
            hidden = silu(turns @ seen) * features[:, None]  # (n_edges, n_taps, n_hidden)
            hidden = silu(self.second(hidden))
            parts = []
            for mean, weight, bias in zip(means, *last, strict=True):
                part = silu(linear(hidden, weight, bias))
                part = part.view(len(seen), mean.shape[1], len(bias) // len(mean))
                parts.append((mean @ part).flatten(1))
            return torch.cat(parts, dim=1)

        n_bytes = self.n_taps * sum(self.sizes) * seen.element_size()
        messages = in_pieces(told, [seen, features], even_sizes(seen, n_bytes), weights)
        n_kept = len(self.last.bias) // atoms.shape[2]
        return neighbors.summed(messages.view(len(messages), n_kept, atoms.shape[2]))

    def _seen(self, atoms: Tensor, neighbors: AlignedEdges) -> Tensor:
        """(n_edges, n_waves, n_hidden): W₁ [x_j, x_i] + b in a frame turned by φ, as waves of φ."""
        sizes = [2 * degree + 1 for degree in range(len(self.orders))]
        parts = [part.contiguous() for part in torch.split(atoms, sizes, dim=1)]
        sent, received = (
            [part.unbind() for part in torch.split(weights, self.orders)] for weights in self.first
        )  # for each l and k (n_hidden, n_channels)
        waves = []
        for order, rows in enumerate(neighbors.rows):
            ends = torch.stack(
                [
                    self._of_order(order, neighbors.turns[order][end::2], parts, weights)
                    for end, weights in enumerate((received, sent))
                ]
            ).flatten(0, 2)
            receiver, sender = rows[:, :, 0].flatten(), rows[:, :, 1].flatten()
            known = ends.index_select(0, receiver) + ends.index_select(0, sender)
            waves.append(known.view(*rows.shape[:2], len(self.bias)))
        waves[0] = waves[0] + self.bias
        return torch.cat(waves, dim=1)

    def _of_order(
        self,
        order: int,
        turns: Tensor,
        parts: Sequence[Tensor],
        weights: Sequence[Sequence[Tensor]],
    ) -> Tensor:
        """(n_atoms, n_slots · n_rows, n_hidden) what the weights of c_lm and c_l,−m make, turned.

        Args:
            order: m.
            turns: (1 or 2, n_atoms, n_slots · n_rows, n_degrees² − m²) see `AlignedEdges`.
            parts: For each degree l (n_atoms, 2l + 1, n_channels).
            weights: For each l and k (n_hidden, n_channels) of c_lk.
        """

        def products(k: int) -> Tensor:
            pairs = zip(parts[order:], weights[order:], strict=True)
            return torch.cat([linear(part, of[len(of) // 2 + k]) for part, of in pairs], dim=1)

        found = turns[0] @ products(order)
        return torch.baddbmm(found, turns[1], products(-order), alpha=-1.0) if order else found


class Layer(nn.Module):
    """The change of atoms: messages of both resolutions, and a network of each point (eq. 5)."""

    def __init__(
        self, embedding: EdgeFeatures, fine: Message, coarse: Message, n_channels: int
    ) -> None:
        super().__init__()
        self.embedding, self.fine, self.coarse = embedding, fine, coarse
        self.first = _linear(2 * n_channels, 2 * n_channels)
        self.second = _linear(2 * n_channels, 2 * n_channels)
        self.last = _linear(2 * n_channels, n_channels)

    def forward(
        self,
        atoms: Tensor,
        radial: Tensor,
        near: Tensor,
        fine: AlignedEdges,
        coarse: AlignedEdges,
        graph: AtomGraph,
        grid: SphereGrid,
    ) -> Tensor:
        """(n_atoms, n_coefficients, n_channels), as the atoms."""
        edges = self.embedding(radial, graph)
        messages = self.fine(atoms, edges[near], fine)
        n_coefficients = coarse.returns.shape[2]
        far = self.coarse(atoms[:, :n_coefficients], edges, coarse)
        messages = messages + pad(far, (0, 0, 0, atoms.shape[1] - n_coefficients))
        return self._mixed(torch.cat([atoms, messages], dim=2), grid)

    def _mixed(self, functions: Tensor, grid: SphereGrid) -> Tensor:
        """(n_atoms, n_coefficients, n_channels) of the network of functions, 2 n_channels.

        Its linear ends act on coefficients, which are fewer than points.
        """
        constant = grid.constant[:, None]
        functions = linear(functions, self.first.weight) + constant * self.first.bias

        def changed(functions: Tensor) -> Tensor:
            points = silu(grid.to_points @ functions)  # (n_atoms, n_points, 2 n_channels)
            return grid.to_coefficients @ silu(self.second(points))

        n_bytes = 2 * len(grid.points) * functions.shape[2] * functions.element_size()
        sizes = even_sizes(functions, n_bytes)
        functions = in_pieces(changed, [functions], sizes, list(self.second.parameters()))
        return linear(functions, self.last.weight) + constant * self.last.bias
