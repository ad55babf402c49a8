"""Equiformer: attention between neighbors with scalars and vectors."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from mdbench.errors import InputError, check_word
from mdbench.graph import AtomGraph, segment_sum
from mdbench.models.base import EnergyModel
from mdbench.nn.envelopes import envelope as envelope_of
from mdbench.nn.equivariant import (
    SILU_GAIN,
    EquivariantLinear,
    EquivariantNorm,
    Features,
    Widths,
    gated,
    normal_linear,
)
from mdbench.nn.equivariant_attention import (
    EquivariantAttention,
    LearnedGaussians,
    Neighborhoods,
    RadialFunctions,
)

_PARITIES = ("odd", "even")
#: Stands in the denominators of atoms without neighbors.
_NOTHING = 1e-16


class Equiformer(EnergyModel):
    """Liao, Smidt, ICLR 2023, arXiv:2206.11990, with linear messages and features up to degree 1.

    | symbol | variable |
    |---|---|
    | x_i of degree 0 | atoms.scalars (n_atoms, n_channels) |
    | x_i of degree 1 | atoms.vectors (n_atoms, 3, n_vectors) |
    | x_ij = W_src x_j + W_dst x_i | scalars, vectors in `EquivariantAttention` |
    | Y(r_ij) | near.directions (n_atoms, n_slots, 3) |
    | w(‖r_ij‖) | the radial functions of each path |
    | a_ij | attention (n_atoms, n_heads, n_slots) |
    | v_ij, linear in the paths | never made: paths are summed before they are mixed |

    Vectors have odd parity, so the model is E(3). The depth-wise tensor product of an edge has the
    paths 0⊗0→0, 1⊗1→0, 0⊗1→1, 1⊗0→1 and 1⊗2→1, the last one being 3 (v · r̂) r̂ − v. It stands in for
    the cross product 1⊗1→1 of the published model, which calls vectors even though those of edges
    are odd: so that one is SE(3), and mirror images have other forces (`parity="even"`). Both have
    the same weights. Without either path the model would lack 2.2 % of its weights, and vectors
    along an edge would be treated as those across it.

    It departs from the paper where a force field needs it:

    * Attention is u exp(z)/(1 + Σ u exp(z)) with the polynomial envelope u, not
      exp(z)/Σ exp(z): a neighbor that goes loses its weight smoothly, also if it is the last one.
      The same envelope is in the degree embedding. `envelope=None` is without: the energy jumps.
    * Vectors that nearly vanish are not blown up by their norm (`EquivariantNorm`).
    * No dropout.
    * No weights without effect. The degree embedding acts on one constant of degree 0, so paths
      from degree 1 are left out (90,496 weights in the published model); nobody reads vectors of
      the last block, so it makes none, and the scalars that were their gates are hidden ones.

    Args:
        cutoff: Å.
        n_channels: Scalars of an atom.
        n_vectors: Vectors of an atom.
        n_layers: Blocks of attention and feed-forward.
        n_heads: Of the attention; they divide scalars and vectors among them.
        n_basis: Gaussians, with trainable centers and widths.
        n_radial: Width of the two hidden layers of radial functions.
        n_hidden: Hidden scalars of the feed-forward.
        n_hidden_vectors: Its hidden vectors.
        n_output: Scalars from which energies are told.
        mean_neighbors: Constant by whose root sums over neighbors are divided: those within 6 Å in
            Li₁₀GeP₂S₁₂.
        parity: odd, or even.
        envelope: polynomial, cosine, or None.
        max_neighbors: Most neighbors of an atom.
        n_elements: Atomic numbers are below this.
    """

    source: ClassVar[str] = "arXiv:2206.11990"
    paper_parameters: ClassVar[int] = 7_836_675
    paper_symmetry: ClassVar[str] = "SE(3)/E(3)"
    remark: ClassVar[str] = (
        "weights without effect left out; E(3), as vectors are odd and no cross product mixes them"
    )
    SMALL: ClassVar[Mapping[str, Any]] = {
        "cutoff": 5.0,
        "n_channels": 32,
        "n_vectors": 16,
        "n_layers": 2,
        "n_heads": 4,
        "n_basis": 32,
        "n_radial": 32,
        "n_hidden": 64,
        "n_hidden_vectors": 32,
        "n_output": 64,
    }
    PUBLISHED: ClassVar[Mapping[str, Any]] = {"parity": "even", "envelope": None}

    def __init__(
        self,
        *,
        cutoff: float = 6.0,
        n_channels: int = 256,
        n_vectors: int = 128,
        n_layers: int = 6,
        n_heads: int = 8,
        n_basis: int = 128,
        n_radial: int = 64,
        n_hidden: int = 768,
        n_hidden_vectors: int = 384,
        n_output: int = 512,
        mean_neighbors: float = 44.46,
        parity: str = "odd",
        envelope: str | None = "polynomial",
        max_neighbors: int = 500,
        n_elements: int = 90,
    ) -> None:
        super().__init__(cutoff=cutoff, max_neighbors=max_neighbors, n_elements=n_elements)
        check_word("parity", parity, _PARITIES)
        if n_channels % n_heads or n_vectors % n_heads:
            raise InputError(
                f"{n_heads} heads",
                expected=f"a number that divides {n_channels} scalars and {n_vectors} vectors",
            )
        self.envelope = None if envelope is None else envelope_of(envelope)
        self.ends_at_cutoff = envelope is not None
        widths = Widths(n_channels, n_vectors)
        self.embedding = nn.Embedding(n_elements, n_channels)
        self.basis = LearnedGaussians(cutoff, n_basis)
        self.degree = DegreeEmbedding(widths, n_basis, n_radial, mean_neighbors)
        self.blocks = nn.ModuleList(
            Block(
                widths,
                hidden=Widths(n_hidden, n_hidden_vectors),
                out=Widths(n_output, 0) if last else widths,
                attention={
                    "n_heads": n_heads,
                    "n_basis": n_basis,
                    "n_radial": n_radial,
                    "even": parity == "even",
                    "vacancy": _NOTHING if envelope is None else 1.0,
                },
            )
            for last in [False] * (n_layers - 1) + [True]
        )
        self.norm = nn.LayerNorm(n_output)
        self.hidden = normal_linear(n_output, n_output)
        self.readout = normal_linear(n_output, 1)

    def forward(self, graph: AtomGraph) -> Tensor:
        """(n_systems,) sums of the atoms' energies, in units of the scale."""
        near = Neighborhoods.of(graph, self.basis, self.envelope, self.cutoff)
        atoms = self.degree(near)
        atoms = Features(self.embedding(graph.atomic_numbers) + atoms.scalars, atoms.vectors)
        for block in self.blocks:
            atoms = block(atoms, near)
        hidden = SILU_GAIN * functional.silu(self.hidden(self.norm(atoms.scalars)))
        return segment_sum(self.readout(hidden)[:, 0], graph.system_index, graph.n_systems)


class DegreeEmbedding(nn.Module):
    """What an atom's surroundings look like when all neighbors are alike.

    Σ_j W (c ∘ w(‖r_ij‖) ∘ Y(r_ij))/√mean_neighbors. All after the hidden layers of w is linear, so
    Σ_j u Y ⊗ hidden comes first, and the weights act on atoms.
    """

    def __init__(self, widths: Widths, n_basis: int, n_radial: int, mean_neighbors: float) -> None:
        super().__init__()
        self.constant = nn.Parameter(torch.randn(widths.scalars))
        self.radial = RadialFunctions(n_basis, n_radial, 2 * widths.scalars)
        self.scalars = normal_linear(widths.scalars, widths.scalars)
        self.vectors = normal_linear(widths.scalars, widths.vectors, bias=False)
        self.mean_neighbors = mean_neighbors

    def forward(self, near: Neighborhoods) -> Features:
        """Features of atoms."""
        hidden = self.radial.before_last(near.radial)
        weights = (near.envelope / math.sqrt(self.mean_neighbors))[:, :, None]
        harmonics = functional.pad(math.sqrt(3.0) * near.directions, (1, 0), value=1.0) * weights
        rows = hidden.index_select(0, near.rows).view(*near.envelope.shape, -1)
        sums = harmonics.transpose(1, 2) @ rows  # (n_atoms, 4, n_radial + 1)
        to_scalars, to_vectors = (
            self.constant[:, None] * w for w in self.radial.last_weights.chunk(2)
        )
        scalars = functional.linear(sums[:, 0] @ to_scalars.T, self.scalars.weight)
        scalars = scalars + sums[:, 0, -1:] * self.scalars.bias  # each edge has the bias
        return Features(scalars, self.vectors(sums[:, 1:] @ to_vectors.T))


class Block(nn.Module):
    """Attention to neighbors, then a feed-forward of each atom, each of normalized features."""

    def __init__(
        self, widths: Widths, *, hidden: Widths, out: Widths, attention: Mapping[str, Any]
    ) -> None:
        super().__init__()
        if not out.vectors:
            hidden = Widths(hidden.scalars + hidden.vectors, 0)
        attended = Widths(widths.scalars, out.vectors)
        self.attention_norm = EquivariantNorm(widths)
        self.attention = EquivariantAttention(widths, out.vectors, **attention)
        self.norm = EquivariantNorm(attended)
        with_gates = Widths(hidden.scalars + hidden.vectors, hidden.vectors)
        self.first = EquivariantLinear(attended, with_gates)
        self.second = EquivariantLinear(hidden, out)
        changes = attended != out
        self.shortcut = EquivariantLinear(attended, out) if changes else nn.Identity()

    def forward(self, atoms: Features, near: Neighborhoods) -> Features:
        """Features of atoms."""
        heard = self.attention(self.attention_norm(atoms), near)
        atoms = Features(atoms.scalars, atoms.vectors[:, :, : heard.vectors.shape[2]]).plus(heard)
        change: Features = self.second(gated(self.first(self.norm(atoms))))
        return change.plus(self.shortcut(atoms))
