"""Attention of atoms to their neighbors, by features that are scalars and vectors."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from mdbench.graph import AtomGraph
from mdbench.nn.envelopes import Envelope
from mdbench.nn.equivariant import EquivariantLinear, Features, Widths, gain_of, normal_linear
from mdbench.nn.neighborhoods import edge_slots

#: Slope of the activation of scores far below 0.
_LEAK = 0.2


def _leaky(x: Tensor) -> Tensor:
    return _LEAK * x + (1.0 - _LEAK) * functional.silu(x)


LEAKY_GAIN = gain_of(_leaky)


@dataclass(frozen=True, eq=False)
class Neighborhoods:
    """Edges by the atom that receives them, so that sums over neighbors are matrix products.

    Attributes:
        senders: (n_atoms · n_slots,) sending atom; 0 in a slot without an edge.
        directions: (n_atoms, n_slots, 3) unit vectors from receiver to sender.
        radial: (n_atoms, n_slots, n_basis) of the length.
        envelope: (n_atoms, n_slots); 0 in a slot without an edge.
    """

    senders: Tensor
    directions: Tensor
    radial: Tensor
    envelope: Tensor

    @classmethod
    def of(
        cls, graph: AtomGraph, basis: nn.Module, envelope: Envelope | None, cutoff: float
    ) -> Neighborhoods:
        """The edges of a graph.

        Args:
            graph: With its edges sorted by receiver.
            basis: (n, n_basis) of (n,) lengths.
            envelope: None for 1 at each edge.
            cutoff: Å.
        """
        receivers, senders = graph.edge_index
        slots, n_slots = edge_slots(receivers, graph.n_atoms)
        shape = (graph.n_atoms, n_slots)
        nowhere = graph.edge_vectors.new_tensor([cutoff, 0.0, 0.0])
        vectors = nowhere.repeat(math.prod(shape), 1).index_copy(0, slots, graph.edge_vectors)
        lengths = torch.linalg.vector_norm(vectors, dim=1)
        if envelope is None:
            weights = torch.zeros_like(lengths).index_fill(0, slots, 1.0)
        else:
            weights = envelope(lengths, cutoff)
        return cls(
            senders=slots.new_zeros(math.prod(shape)).index_copy(0, slots, senders),
            directions=(vectors / lengths[:, None]).view(*shape, 3),
            radial=basis(lengths).view(*shape, -1),
            envelope=weights.view(shape),
        )


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
        s_j, v_j = (
            torch.index_select(x, 0, near.senders).view(*near.envelope.shape, *x.shape[1:])
            for x in sent
        )
        scalars = s_j + received.scalars[:, None]
        along = (v_j * near.directions[:, :, :, None]).sum(dim=2)
        along = along + near.directions @ received.vectors
        hidden = self.radial.before_last(near.radial)
        last = torch.split(self.radial.last_weights, self.path_widths)
        w = [hidden @ weights.T for weights in last]
        paths = scalars * w[0], along * w[1]  # 0⊗0→0, 1⊗1→0
        attention = self.attention(paths, near.envelope)
        sums = torch.cat([attention @ path for path in paths], dim=2)
        bias = self.values.scalars.bias.view(self.n_heads, -1)
        heard = by_head(sums, self.values.scalars.weight)
        heard = (heard + attention.sum(dim=2, keepdim=True) * bias).flatten(1)
        vectors = v_j.new_zeros(len(heard), 3, 0)
        if self.values.vectors is not None:
            parts = scalars, along, v_j, received
            sums = self.vector_sums(attention, near.directions, w[2:], *parts)
            vectors = by_head(sums, self.values.vectors.weight).transpose(1, 2).flatten(2)
        mixed: Features = self.mix(Features(heard, vectors))
        return mixed

    def vector_sums(
        self,
        attention: Tensor,
        directions: Tensor,
        radial: list[Tensor],
        scalars: Tensor,
        along: Tensor,
        sent: Tensor,
        received: Features,
    ) -> Tensor:
        """(n_atoms, n_heads, 3, n): Σ_j a_ij of the paths that give vectors.

        A sum with a r̂ is a product with a ⊗ r̂, and what is the receiver's stands before the sum,
        so an edge's vectors are multiplied as they are sent.
        """
        shape = (*attention.shape[:2], 3, -1)
        directed = attention[:, :, None] * directions.transpose(1, 2)[:, None]
        directed = directed.flatten(1, 2)  # (n_atoms, 3 n_heads, n_slots)
        plain = [
            (attention @ (sent * w[:, :, None]).flatten(2)).view(shape)
            + (attention @ w)[:, :, None] * received.vectors[:, None]
            for w in (radial[1:2] if self.even else radial[1:])
        ]
        first = math.sqrt(3.0) * (directed @ (scalars * radial[0])).view(shape)
        if self.even:
            vectors = sent + received.vectors[:, None]
            across = torch.linalg.cross(vectors, directions[..., None].expand_as(sent), dim=2)
            turned = (attention @ (across * radial[2][:, :, None]).flatten(2)).view(shape)
            last = math.sqrt(1.5) * turned  # 1⊗1→1
        else:
            stretched = (directed @ (along * radial[2])).view(shape)
            last = (3.0 * stretched - plain[1]) / math.sqrt(2.0)  # 1⊗2→1
        return torch.cat([first, plain[0], last], dim=3)  # 0⊗1→1, 1⊗0→1

    def attention(self, paths: tuple[Tensor, Tensor], envelope: Tensor) -> Tensor:
        """(n_atoms, n_heads, n_slots): a, from the (n_atoms, n_slots, n) scalar paths."""
        widths = [path.shape[2] for path in paths]
        first, second = torch.split(self.to_scores.weight, widths, dim=1)
        hidden = functional.linear(paths[0], first, self.to_scores.bias) + paths[1] @ second.T
        own = torch.eye(self.n_heads, dtype=hidden.dtype, device=hidden.device)
        heads = LEAKY_GAIN * torch.einsum("hc,hg->hcg", self.scores, own).flatten(0, 1)
        scores = functional.silu(hidden) @ ((1.0 - _LEAK) * heads) + hidden @ (_LEAK * heads)
        scores = scores.transpose(1, 2).masked_fill(envelope[:, None] == 0.0, 0.0)
        most = scores.detach().amax(dim=2, keepdim=True).clamp(min=0.0)
        weights = torch.exp(scores - most) * envelope[:, None]
        return weights / (weights.sum(dim=2, keepdim=True) + self.vacancy * torch.exp(-most))


def by_head(sums: Tensor, weights: Tensor) -> Tensor:
    """(n_atoms, n_heads, …, n_out/n_heads): what each head makes of its sums.

    Args:
        sums: (n_atoms, n_heads, …, n_in).
        weights: (n_out, n_in).
    """
    weights = weights.view(sums.shape[1], -1, weights.shape[1])
    return torch.einsum("nh...i,hoi->nh...o", sums, weights)
