"""Attention of atoms to their neighbors, by features that are scalars and vectors."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from mdbench.graph import AtomGraph
from mdbench.nn.edge_products import EdgeProducts
from mdbench.nn.envelopes import Envelope
from mdbench.nn.equivariant import EquivariantLinear, Features, Widths, gain_of, normal_linear
from mdbench.nn.path_scores import leaky, path_scores

LEAKY_GAIN = gain_of(leaky)


@dataclass(frozen=True, eq=False)
class Neighborhoods:
    """Edges by the atom that receives them, so that sums over neighbors are matrix products.

    What depends on the length of an edge alone is the same for both its directions: it is computed
    once for a pair.

    Attributes:
        senders: (n_atoms · n_slots,) sending atom; 0 in a slot without an edge.
        rows: (n_atoms · n_slots,) the row of radial functions of a slot.
        radial: (n_pairs + 1, n_basis) of the length; the last row is for slots without an edge.
        directions: (n_atoms, n_slots, 3) unit vectors from receiver to sender.
        envelope: (n_atoms, n_slots); 0 in a slot without an edge.
    """

    senders: Tensor
    rows: Tensor
    radial: Tensor
    directions: Tensor
    envelope: Tensor

    @classmethod
    def of(
        cls, graph: AtomGraph, basis: nn.Module, envelope: Envelope | None, cutoff: float
    ) -> Neighborhoods:
        """The edges of a graph.

        Args:
            graph: With its edges sorted by receiver, in both directions.
            basis: (n, n_basis) of (n,) lengths.
            envelope: None for 1 at each edge.
            cutoff: Å.
        """
        senders = graph.edge_index[1]
        slots, n_slots = graph.slots
        shape = (graph.n_atoms, n_slots)
        nowhere = graph.edge_vectors.new_tensor([cutoff, 0.0, 0.0])
        vectors = nowhere.repeat(math.prod(shape), 1).index_copy(0, slots, graph.edge_vectors)
        lengths = torch.linalg.vector_norm(vectors, dim=1)
        if envelope is None:
            weights = torch.zeros_like(lengths).index_fill(0, slots, 1.0)
        else:
            weights = envelope(lengths, cutoff)
        pairs, first = graph.pairs
        rows = slots.new_full((math.prod(shape),), len(first)).index_copy(0, slots, pairs)
        return cls(
            senders=slots.new_zeros(math.prod(shape)).index_copy(0, slots, senders),
            rows=rows,
            radial=basis(torch.cat([lengths[slots[first]], nowhere[:1]])),
            directions=(vectors / lengths[:, None]).view(*shape, 3),
            envelope=weights.view(shape),
        )

    def products(
        self, sent: Tensor, received: Tensor, filters: Tensor, maps: Tensor | None = None
    ) -> EdgeProducts:
        """Products of edges, of (n_atoms, n_own, n) features and (n_pairs + 1, n) filters."""
        return EdgeProducts(self.senders, self.rows, maps, sent, received, filters)


class LearnedGaussians(nn.Module):
    """Normal distributions of d/cutoff, whose centers and widths are trained.

    They are no narrower than n_basis of them are apart, so no weights make a force field jagged.

    Args:
        cutoff: Å.
        n_basis: Number of Gaussians.
    """

    def __init__(self, cutoff: float, n_basis: int) -> None:
        super().__init__()
        self.cutoff = cutoff
        self.centers = nn.Parameter(torch.rand(n_basis))
        self.widths = nn.Parameter(torch.empty(n_basis).uniform_(1.0 / n_basis, 1.0))

    def forward(self, lengths: Tensor) -> Tensor:
        """(n, n_basis) of (n,) distances in Å."""
        narrowness = torch.rsqrt(self.widths**2 + 1.0 / len(self.widths) ** 2)
        scaled = (lengths[:, None] / self.cutoff - self.centers) * narrowness
        return torch.exp(-0.5 * scaled * scaled) * (narrowness / math.sqrt(2.0 * math.pi))


class RadialFunctions(nn.Module):
    """w(‖r‖) of each channel of each path: two hidden layers, and a last one that is linear.

    Args:
        n_basis: Gaussians.
        n_radial: Width of the hidden layers.
        n_out: Number of functions.
    """

    def __init__(self, n_basis: int, n_radial: int, n_out: int) -> None:
        super().__init__()
        first, second = nn.Linear(n_basis, n_radial), nn.Linear(n_radial, n_radial)
        for layer in (first, second):
            nn.init.zeros_(layer.bias)
        self.hidden = nn.Sequential(
            *(first, nn.LayerNorm(n_radial), nn.SiLU()),
            *(second, nn.LayerNorm(n_radial), nn.SiLU()),
        )
        self.last = nn.Linear(n_radial, n_out)

    def before_last(self, radial: Tensor) -> Tensor:
        """(…, n_radial + 1): what the last layer takes, with a 1 for its biases."""
        return functional.pad(self.hidden(radial), (0, 1), value=1.0)

    @property
    def last_weights(self) -> Tensor:
        """(n_out, n_radial + 1): of the last layer, with its biases."""
        return torch.cat([self.last.weight, self.last.bias[:, None]], dim=1)


class EquivariantAttention(nn.Module):
    """Σ_j a_ij v_ij in each head, mixed: attention between neighbors, with linear messages.

    Liao, Smidt, ICLR 2023, arXiv:2206.11990, equivariant graph attention.

    v is linear in the paths x of the tensor product, so Σ_j a v(x) = v(Σ_j a x): edges have no
    values, and the matrices of v act on atoms. Only scores are made of each edge.

    Args:
        widths: Of atoms' features.
        n_vectors_out: Vectors that it gives: as many as it takes, or none.
        n_heads: Heads.
        n_basis: Gaussians.
        n_radial: Width of the hidden layers of the radial functions.
        even: The cross product in place of the path 1⊗2→1.
        vacancy: What stands in the denominator of attention beside the neighbors.
    """

    def __init__(
        self,
        widths: Widths,
        n_vectors_out: int,
        *,
        n_heads: int,
        n_basis: int,
        n_radial: int,
        even: bool,
        vacancy: float,
    ) -> None:
        super().__init__()
        n, n_v = widths
        self.n_heads, self.even, self.vacancy = n_heads, even, vacancy
        self.from_sender = EquivariantLinear(widths, widths)
        self.from_receiver = EquivariantLinear(widths, widths, bias=False)
        paths = Widths(n + n_v, n + 2 * n_v if n_vectors_out else 0)
        self.path_widths = [n, n_v, n, n_v, n_v] if n_vectors_out else [n, n_v]
        self.radial = RadialFunctions(n_basis, n_radial, sum(paths))
        self.to_scores = normal_linear(paths.scalars, n)
        self.scores = nn.Parameter(torch.empty(n_heads, n // n_heads))
        nn.init.xavier_uniform_(self.scores)
        out = Widths(n, n_vectors_out)
        self.values = EquivariantLinear(paths, out)
        self.mix = EquivariantLinear(out, out)

    def forward(self, atoms: Features, near: Neighborhoods) -> Features:
        """Features of atoms."""
        sent, received = self.from_sender(atoms), self.from_receiver(atoms)
        scalars = sent.scalars[:, None], received.scalars[:, None]
        vectors = sent.vectors, received.vectors
        w = self.filters(near.radial)
        along = near.directions.view(-1, 1, 3)
        paths = near.products(*scalars, w[0]), near.products(*vectors, w[1], along)
        attention = self.attention(paths, near.envelope)
        heard = by_head([path.heard(attention) for path in paths], self.values.scalars.weight)
        bias = self.values.scalars.bias.view(self.n_heads, -1)
        own = attention.sum(dim=2, keepdim=True) * bias  # each edge has the bias
        heard = heard + own.flatten(1)
        carried = heard.new_zeros(len(heard), 3, 0)
        if self.values.vectors is not None:
            directed = attention[:, :, None] * near.directions.transpose(1, 2)[:, None]
            directed = math.sqrt(3.0) * directed.flatten(1, 2)  # (n_atoms, 3 n_heads, n_slots)
            turns = (across if self.even else quadrupoles)(near.directions)
            heads = (
                near.products(*scalars, w[2]).heard(directed),  # 0⊗1→1
                near.products(*vectors, w[3]).heard(attention),  # 1⊗0→1
                near.products(*vectors, w[4], turns).heard(attention),  # 1⊗1→1, or 1⊗2→1
            )
            by_component = [part.view(len(heard), self.n_heads, 3, -1) for part in heads]
            carried = by_head(by_component, self.values.vectors.weight)
        mixed: Features = self.mix(Features(heard, carried))
        return mixed

    def filters(self, radial: Tensor) -> list[Tensor]:
        """(n, n_channels) radial functions of each path, of (n, n_basis)."""
        hidden, last = self.radial.hidden(radial), self.radial.last
        of_paths = (torch.split(p, self.path_widths) for p in (last.weight, last.bias))
        return [functional.linear(hidden, *parts) for parts in zip(*of_paths, strict=True)]

    def attention(self, paths: tuple[EdgeProducts, EdgeProducts], envelope: Tensor) -> Tensor:
        """(n_atoms, n_heads, n_slots): a, from the scalar paths."""
        own = torch.eye(self.n_heads, dtype=envelope.dtype, device=envelope.device)
        heads = LEAKY_GAIN * torch.einsum("hc,hg->hcg", self.scores, own).flatten(0, 1)
        scores = path_scores(*paths, self.to_scores.weight, self.to_scores.bias, heads)
        scores = scores.view(*envelope.shape, -1).transpose(1, 2)
        scores = scores.masked_fill(envelope[:, None] == 0.0, 0.0)
        most = scores.detach().amax(dim=2, keepdim=True).clamp(min=0.0)
        weights = torch.exp(scores - most) * envelope[:, None]
        total = weights.sum(dim=2, keepdim=True) + self.vacancy * torch.exp(-most)
        return weights / total


def quadrupoles(directions: Tensor) -> Tensor:
    """(n, 3, 3): (3 r̂ r̂ᵀ − 1)/√2 of (…, 3) directions, which gives 1⊗2→1."""
    x = directions.reshape(-1, 3)
    own = torch.eye(3, dtype=x.dtype, device=x.device)
    return (3.0 * x[:, :, None] * x[:, None] - own) / math.sqrt(2.0)


def across(directions: Tensor) -> Tensor:
    """(n, 3, 3): √(3/2) times v ↦ v × r̂ of (…, 3) directions, which gives 1⊗1→1."""
    x = directions.reshape(-1, 1, 3).expand(-1, 3, 3)
    own = torch.eye(3, dtype=x.dtype, device=x.device).expand_as(x)
    turned: Tensor = torch.linalg.cross(own, x, dim=2)  # of each axis, a row
    return math.sqrt(1.5) * turned.transpose(1, 2)


def by_head(sums: Sequence[Tensor], weights: Tensor) -> Tensor:
    """(n_atoms, …, n_out): what each head makes of its sums, one head after the other.

    Sums are large; views of them and of the weights, path by path, are what a batched product
    takes, so nothing is copied.

    Args:
        sums: (n_atoms, n_heads, …, n_in) of some paths.
        weights: (n_out, n_in of all paths).
    """
    n_heads, widths = sums[0].shape[1], [part.shape[-1] for part in sums]
    shape = (n_heads, *(1 for _ in sums[0].shape[3:]), -1)
    made = [
        part.movedim(0, -2) @ w.reshape(*shape, w.shape[1]).transpose(-1, -2)
        for part, w in zip(sums, torch.split(weights, widths, dim=1), strict=True)
    ]
    total: Tensor = functools.reduce(torch.add, made)
    return total.movedim((-2, 0), (0, -2)).flatten(-2)
