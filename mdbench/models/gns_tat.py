"""GNS-TAT: attention between atoms that carry scalars and vectors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from mdbench.errors import InputError, check_word
from mdbench.graph import AtomGraph, segment_sum
from mdbench.models.base import EnergyModel
from mdbench.nn.edge_form import EdgeRows
from mdbench.nn.envelopes import envelope as envelope_of
from mdbench.nn.layers import linear, soft_length
from mdbench.nn.matrices import inverse_square_root
from mdbench.nn.radial import GaussianBasis
from mdbench.nn.smooth import silu

_READOUTS = ("sum", "mean")


class GnsTat(EnergyModel):
    """The equivariant transformer of Thölke, De Fabritiis, arXiv:2202.02541, with whitened vectors.

    The benchmark calls it GNS-TAT, after another network of the paper that whitens its vectors:
    Zaidi et al., arXiv:2206.00133. There are no vectors before the first layer of attention, so
    this one has no weights on them, nor on those that the last block would make.

    | symbol in arXiv:2202.02541 | variable |
    |---|---|
    | x_i | atoms (n_atoms, n_channels) |
    | v_i | vectors (n_atoms, 3, n_channels) |
    | e^RBF(d_ij) | radial (n_pairs, n_basis) |
    | φ(d_ij) | envelope (n_edges, 1, 1) |
    | D^K | key_filter (n_pairs, n_channels) |
    | D^V | filters, likewise: of scalars, of vectors along edges, of vectors that are carried |
    | A φ(d_ij) | weights (n_edges, 1, n_heads) |

    It departs from the papers, and from the code that was published with the benchmark:

    * Atoms have energies, which are summed, so energies are extensive. The published code takes
      their mean: `readout="mean"`.
    * The envelope is on messages of vectors too, not on attention alone; without it, the energy
      jumps at the cutoff: `vector_envelope=False`. It is a polynomial whose second derivative is
      continuous; the papers' cosine jumps in it: `envelope="cosine"`.
    * Linear maps of vectors have no biases, which single out a direction of space
      (`vector_biases=True`), and the covariance of vectors that is inverted is regularized by a
      multiple of one, not by diag(2, 3, 4) · 10⁻⁵ (`anisotropic=True`, `regularizer=1e-5`). By 1,
      so that weak vectors are left weak: in a perfect lattice all vanish, and a small number would
      make them strong as soon as an atom moves, which is also harder to learn.
    * Lengths of vectors are √(|v|² + 0.01) − 0.1, smooth where vectors vanish.
    * Edges to an atom's own images have unit vectors like all others; the published code leaves
      them as long as they are. There is no edge from an atom to itself.

    Args:
        cutoff: Å.
        n_channels: Width of scalars, and number of vectors.
        n_layers: Of attention.
        n_heads: Of attention, a divisor of n_channels.
        n_basis: Gaussians, whose centers and width are trained.
        readout: sum, or mean.
        envelope: polynomial or cosine.
        vector_envelope: Whether messages of vectors end at the cutoff.
        vector_biases: Whether linear maps of vectors have biases.
        regularizer: What is added to the diagonal of the covariance of vectors.
        anisotropic: Whether 2, 3 and 4 times that is added to x, y and z.
        max_neighbors: Most neighbors of an atom.
        n_elements: Atomic numbers are below this.
    """

    source: ClassVar[str] = "arXiv:2206.00133"
    paper_parameters: ClassVar[int] = 1_968_872
    remark: ClassVar[str] = (
        "no biases on vectors (3,329), and none of the 111,745 parameters that act on vectors "
        "which are still zero, in the first layer, or that are never used, in the last"
    )
    SMALL: ClassVar[Mapping[str, Any]] = {
        "cutoff": 5.0,
        "n_channels": 32,
        "n_layers": 3,
        "n_heads": 4,
        "n_basis": 32,
    }
    PUBLISHED: ClassVar[Mapping[str, Any]] = {
        "readout": "mean",
        "envelope": "cosine",
        "vector_envelope": False,
        "vector_biases": True,
        "regularizer": 1e-5,
        "anisotropic": True,
    }

    def __init__(
        self,
        *,
        cutoff: float = 6.0,
        n_channels: int = 128,
        n_layers: int = 8,
        n_heads: int = 8,
        n_basis: int = 100,
        readout: str = "sum",
        envelope: str = "polynomial",
        vector_envelope: bool = True,
        vector_biases: bool = False,
        regularizer: float = 1.0,
        anisotropic: bool = False,
        max_neighbors: int = 500,
        n_elements: int = 100,
    ) -> None:
        super().__init__(cutoff=cutoff, max_neighbors=max_neighbors, n_elements=n_elements)
        check_word("readout", readout, _READOUTS)
        if n_channels % n_heads:
            raise InputError("n_heads", expected=f"a divisor of {n_channels}", found=n_heads)
        self.averages, self.vector_envelope = readout == "mean", vector_envelope
        self.ends_at_cutoff = vector_envelope
        self.envelope = envelope_of(envelope)
        self.embedding = nn.Embedding(n_elements, n_channels)
        self.basis = GaussianBasis(cutoff, n_basis, trainable=True)
        self.attentions = nn.ModuleList(
            Attention(n_channels, n_basis, n_heads, layer > 0, vector_biases)
            for layer in range(n_layers)
        )
        self.norm = nn.LayerNorm(n_channels)
        self.whitening = Whitening(n_channels, regularizer, anisotropic)
        self.gated = GatedBlock(n_channels, n_channels // 2, vector_biases)
        self.energy = ScalarBlock(n_channels // 2, 1, vector_biases)

    def forward(self, graph: AtomGraph) -> Tensor:
        """(n_systems,) sums of the atoms' energies, in units of the scale."""
        edges = self._edges(graph)
        atoms = self.embedding(graph.atomic_numbers)
        vectors = atoms.new_zeros(len(atoms), 3, atoms.shape[1])
        for attention in self.attentions:
            atoms, vectors = attention(atoms, vectors, edges)
        atoms, vectors = self.gated(self.norm(atoms), self.whitening(vectors))
        energies = self.energy(atoms, vectors)[:, 0]
        total = segment_sum(energies, graph.system_index, graph.n_systems)
        if self.averages:
            total = total / torch.bincount(graph.system_index, minlength=graph.n_systems)
        return total

    def _edges(self, graph: AtomGraph) -> Edges:
        rows, lengths = EdgeRows.of_pairs(graph), graph.edge_lengths
        envelope = self.envelope(lengths, self.cutoff)
        fade = envelope if self.vector_envelope else torch.ones_like(envelope)
        return Edges(
            rows=rows,
            radial=self.basis(torch.index_select(lengths, 0, rows.first)),
            envelope=envelope[:, None, None],
            fade=fade[:, None, None],
            directions=(graph.edge_vectors * (fade / lengths)[:, None])[:, :, None],
        )


class Edges(NamedTuple):
    """What all layers know of the edges.

    Attributes:
        rows: Their atoms, and the pair of each.
        radial: (n_pairs, n_basis) functions of their lengths.
        envelope: (n_edges, 1, 1) φ of attention.
        fade: (n_edges, 1, 1) φ of messages of vectors.
        directions: (n_edges, 3, 1) unit vectors times that.
    """

    rows: EdgeRows
    radial: Tensor
    envelope: Tensor
    fade: Tensor
    directions: Tensor

    def filters(self, layer: nn.Linear, n: int) -> list[Tensor]:
        """(n_pairs, n_channels) each: the n parts of a layer of the radial functions."""
        parts = zip(layer.weight.chunk(n), layer.bias.chunk(n), strict=True)
        return [silu(functional.linear(self.radial, *part)) for part in parts]


class Attention(nn.Module):
    """Scalars and vectors of atoms after they have attended to those of their neighbors.

    Args:
        n_channels: Width.
        n_basis: Radial functions.
        n_heads: Heads of attention.
        has_vectors: Whether there are vectors that are not zero, before.
        biases: Whether the linear map of vectors has them; then it is there in any case.
    """

    def __init__(
        self, n_channels: int, n_basis: int, n_heads: int, has_vectors: bool, biases: bool
    ) -> None:
        super().__init__()
        self.n_heads, self.has_vectors = n_heads, has_vectors
        self.norm = nn.LayerNorm(n_channels)
        self.query = linear(n_channels, n_channels)
        self.key = linear(n_channels, n_channels)
        self.key_filters = linear(n_basis, n_channels)
        n_values = 3 if has_vectors else 2
        self.value = linear(n_channels, n_values * n_channels)
        self.filters = linear(n_basis, n_values * n_channels)
        mixes = has_vectors or biases
        self.output = linear(n_channels, (3 if mixes else 1) * n_channels)
        self.mixed = linear(n_channels, 3 * n_channels, bias=biases) if mixes else None

    def forward(self, atoms: Tensor, vectors: Tensor, edges: Edges) -> tuple[Tensor, Tensor]:
        """(n_atoms, n_channels) and (n_atoms, 3, n_channels), as the arguments."""
        rows, normed = edges.rows, self.norm(atoms)
        n_channels = atoms.shape[1]
        query, key = self.query(normed)[:, None], self.key(normed)[:, None]
        (key_filter,) = edges.filters(self.key_filters, 1)
        scores = rows.scores(query, key, key_filter, self.n_heads)
        weights = silu(scores) * edges.envelope
        values = self.value(normed)[:, None].split(n_channels, dim=2)
        filters = edges.filters(self.filters, len(values))
        scalars = rows.heard(values[0], filters[0], weights)[:, 0]
        heard = rows.heard(values[1], filters[1], edges.directions)
        if self.has_vectors:
            heard = heard + rows.heard(vectors * values[2], filters[2], edges.fade)

        change = self.output(scalars)
        if self.mixed is None:
            return atoms + change, heard
        one, two, three = self.mixed(vectors).split(n_channels, dim=2)
        first, second, third = change.split(n_channels, dim=1)
        atoms = atoms + (one * two).sum(dim=1) * second + third
        return atoms, vectors + heard + three * first[:, None]


class Whitening(nn.Module):
    """(C + εI)^(−1/2) (v − mean of v) times weights: vectors that are as long in all directions.

    C is the covariance of an atom's vectors over its channels, the mean is over these too.

    Args:
        n_channels: Number of vectors.
        regularizer: ε.
        anisotropic: Whether x, y and z get 2, 3 and 4 times that.
    """

    regularizer: Tensor

    def __init__(self, n_channels: int, regularizer: float, anisotropic: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(n_channels))
        shares = [2.0, 3.0, 4.0] if anisotropic else [1.0, 1.0, 1.0]
        self.register_buffer("regularizer", torch.diag(regularizer * torch.tensor(shares)))

    def forward(self, vectors: Tensor) -> Tensor:
        """(n_atoms, 3, n_channels), as the argument."""
        centered = vectors - vectors.mean(dim=2, keepdim=True)
        covariance = centered @ centered.transpose(1, 2) / vectors.shape[2]
        # determinants of ill-conditioned matrices cancel in single precision
        scale = inverse_square_root((covariance + self.regularizer).double()).to(vectors.dtype)
        return scale @ (centered * self.weight)


class ScalarBlock(nn.Module):
    """Scalars of scalars and lengths of vectors (PaiNN, arXiv:2102.03150, fig. 3).

    Args:
        n_channels: Width before.
        n_out: Width after.
        biases: Whether linear maps of vectors have them.
    """

    def __init__(self, n_channels: int, n_out: int, biases: bool) -> None:
        super().__init__()
        self.measured = linear(n_channels, n_channels, bias=biases)
        self.hidden = linear(2 * n_channels, n_channels)
        self.result = linear(n_channels, n_out)

    def forward(self, atoms: Tensor, vectors: Tensor) -> Tensor:
        """(n_atoms, n_out) of (n_atoms, n_channels) and (n_atoms, 3, n_channels)."""
        squares = self.measured(vectors).square().sum(dim=1)
        lengths = soft_length(squares)
        hidden = silu(self.hidden(torch.cat([atoms, lengths], dim=1)))
        result: Tensor = self.result(hidden)
        return result


class GatedBlock(nn.Module):
    """Scalars as of `ScalarBlock`, and vectors that are gated by others."""

    def __init__(self, n_channels: int, n_out: int, biases: bool) -> None:
        super().__init__()
        self.scalars = ScalarBlock(n_channels, 2 * n_out, biases)
        self.kept = nn.Linear(n_channels, n_out, bias=biases)  # biases do not start at 0 there
        nn.init.xavier_uniform_(self.kept.weight)

    def forward(self, atoms: Tensor, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """(n_atoms, n_out) and (n_atoms, 3, n_out)."""
        scalars, gates = self.scalars(atoms, vectors).chunk(2, dim=1)
        return silu(scalars), self.kept(vectors) * gates[:, None]
