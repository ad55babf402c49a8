"""DeeperGATGNN: attention to neighbors, normalized in groups of atoms."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from mdbench.errors import check_word
from mdbench.graph import AtomGraph, segment_sum
from mdbench.models.base import EnergyModel
from mdbench.nn.edge_form import EdgeRows
from mdbench.nn.edge_sums import values_and_scores
from mdbench.nn.envelopes import envelope as envelope_of
from mdbench.nn.layers import linear
from mdbench.nn.norms import RowNorm
from mdbench.nn.radial import GaussianBasis

_READOUTS = ("sum", "mean")
_ACTIVATIONS = ("smooth", "leaky_relu")
#: Slope of a leaky ReLU below 0.
_LEAK = 0.2
#: What a normalized group counts beside what it is made of (arXiv:2006.06972, eq. 3).
_GROUP_WEIGHT = 0.01


class DeeperGatgnn(EnergyModel):
    """Omee et al., Patterns 2022, 3, 100491, doi:10.1016/j.patter.2022.100491.

    Attention is that of GATGNN: Louis et al., Phys. Chem. Chem. Phys. 2020, 22, 18141,
    doi:10.1039/D0CP01474E; the paper adds group normalization (Zhou et al., arXiv:2006.06972) and
    a skip past each layer.

    | symbol | variable |
    |---|---|
    | x_i | atoms (n_atoms, n_channels) |
    | e_ij | features of pairs (n_pairs, n_channels), of trainable Gaussians of the distance |
    | softplus((x_j ⊕ e_ij) W) | values (n_edges, n_heads · n_channels) |
    | a_ij | scores (n_edges, n_heads) |
    | α_ij | attention (n_edges, n_heads) |
    | s_i | groups (n_atoms, n_groups), a softmax |

    e_ij = e_ji, so what the paper computes of x_i for the edge i ← j is the value of the edge
    j ← i: neighbors are kept in pairs, with one distance and two values.

    It departs from the paper where a force field needs it:

    * Atoms have energies, which are summed: E = Σ_i ε(σ(g_i) x_i), where g_i is the score of the
      global attention and ε the layers of the readout. The paper has E = ε(Σ_i x_i exp(g_i)/Σ_k
      exp(g_k)), where k are all atoms of the system: one energy for a cell and its supercell, whose
      forces are then halved, and atoms that know of each other at any distance. A denominator
      1 + exp(g_i), of the atom alone, makes the sigmoid of that softmax: `readout="mean"` is the
      paper's.
    * α_ij = u_ij w_ij/(1 + Σ_k u_ik w_ik), where w = exp(softplus(a)) = 1 + exp(a) and u is a
      polynomial that takes neighbors smoothly to zero at the cutoff. The 1 keeps the attention to
      the last neighbor from being whole until it is gone. The paper has neither, and the energy
      jumps: `envelope=None`.
    * Scores saturate: exp(a) is 1/(exp(−a) + exp(−max_score)). So none is beyond single precision.
      A large weight would also undo the envelope of an atom's last neighbor: its force would end
      within 0.01 Å of the cutoff. The published code has no bound; 20 is as good as none.
    * Both normalizations, of scores and of groups, are fixed after the first batches, so systems
      never mix. `norm="batch"` is that of the batch in training, and of each system by itself
      later, as in `Cgcnn`. A fixed one is linear: weak sums stay weak.
    * The leaky ReLU of e_ij, x where x > 0 and 0.2 x elsewhere, bends where a distance gets there,
      and forces jump: 0.2 x + 0.8 x σ(x) is smooth. `edge_activation="leaky_relu"` is the other.
    * Weights start from Glorot's distribution, in which two Gaussians count for e_ij, and biases
      from 0; global attention starts with all atoms alike. From the uniform ones of the authors'
      code, forces start at 1e-3 of their scale.

    Args:
        cutoff: Å.
        n_embedding: Width of the elements' vectors.
        n_channels: Width of the atoms' and pairs' features.
        n_layers: Attention layers.
        n_heads: Attentions of a layer, whose mean is taken.
        n_groups: Groups of the normalization.
        n_basis: Gaussians.
        readout: sum, or mean.
        envelope: polynomial, cosine, or None.
        norm: fixed, or batch.
        edge_activation: smooth, or leaky_relu.
        max_score: Where scores saturate, in standard deviations of the first batches.
        max_neighbors: Most neighbors of an atom.
        n_elements: Atomic numbers are below this.
    """

    source: ClassVar[str] = "doi:10.1016/j.patter.2022.100491"
    paper_parameters: ClassVar[int] = 222_351
    remark: ClassVar[str] = (
        "without the 5,760 parameters of the global attention that the published code never uses"
    )
    SMALL: ClassVar[Mapping[str, Any]] = {
        "cutoff": 5.0,
        "n_embedding": 32,
        "n_channels": 32,
        "n_layers": 3,
        "n_basis": 32,
    }
    PUBLISHED: ClassVar[Mapping[str, Any]] = {
        "readout": "mean",
        "envelope": None,
        "norm": "batch",
        "edge_activation": "leaky_relu",
        "max_score": 20.0,
    }

    def __init__(
        self,
        *,
        cutoff: float = 6.0,
        n_embedding: int = 128,
        n_channels: int = 64,
        n_layers: int = 5,
        n_heads: int = 4,
        n_groups: int = 10,
        n_basis: int = 100,
        readout: str = "sum",
        envelope: str | None = "polynomial",
        norm: str = "fixed",
        edge_activation: str = "smooth",
        max_score: float = 5.0,
        max_neighbors: int = 500,
        n_elements: int = 100,
    ) -> None:
        super().__init__(cutoff=cutoff, max_neighbors=max_neighbors, n_elements=n_elements)
        check_word("readout", readout, _READOUTS)
        check_word("edge_activation", edge_activation, _ACTIVATIONS)
        self.pools_features = readout == "mean"
        self.envelope = None if envelope is None else envelope_of(envelope)
        self.ends_at_cutoff = envelope is not None
        self.bends = edge_activation == "leaky_relu"
        self.embedding = nn.Embedding(n_elements, n_embedding)
        self.to_channels = linear(n_embedding, n_channels)
        self.basis = GaussianBasis(cutoff, n_basis, trainable=True)
        self.to_features = linear(n_basis, n_channels)
        _glorot(self.to_features.weight, 2, n_channels)  # about two Gaussians see a distance
        self.layers = nn.ModuleList(
            Attention(n_channels, n_heads, norm, max_score) for _ in range(n_layers)
        )
        self.norms = nn.ModuleList(GroupNorm(n_channels, n_groups, norm) for _ in range(n_layers))
        score = linear(n_channels, 1)
        nn.init.zeros_(score.weight)
        self.scores = nn.Sequential(
            linear(n_channels, n_channels),
            nn.Softplus(),
            linear(n_channels, n_channels),
            nn.Softplus(),
            score,
        )
        self.readout = nn.Sequential(
            linear(n_channels, n_channels), nn.Softplus(), linear(n_channels, 1)
        )

    def forward(self, graph: AtomGraph) -> Tensor:
        """(n_systems,) energies in units of the scale: sums over atoms, unless they are pooled."""
        around = self._surroundings(graph)
        atoms = functional.leaky_relu(self.to_channels(self.embedding(graph.atomic_numbers)), _LEAK)
        for layer, norm in zip(self.layers, self.norms, strict=True):
            atoms = atoms + norm(layer(atoms, around), graph.system_index, graph.n_systems)
        scores = self.scores(atoms)
        if self.pools_features:
            weights = _softmax(scores, graph.system_index, graph.n_systems)
            pooled = segment_sum(weights * atoms, graph.system_index, graph.n_systems)
            energy: Tensor = self.readout(pooled)[:, 0]
            return energy
        energies = self.readout(torch.sigmoid(scores) * atoms)[:, 0]
        return segment_sum(energies, graph.system_index, graph.n_systems)

    def _surroundings(self, graph: AtomGraph) -> Surroundings:
        pairs, edges = EdgeRows.of_pairs(graph), EdgeRows.of_edges(graph)
        lengths = graph.edge_lengths.index_select(0, pairs.first)
        features = self.to_features(self.basis(lengths))
        if self.bends:
            features = functional.leaky_relu(features, _LEAK)
        else:
            features = features * (_LEAK + (1.0 - _LEAK) * torch.sigmoid(features))
        envelope = None
        if self.envelope is not None:
            envelope = self.envelope(lengths, self.cutoff).index_select(0, pairs.rows)[:, None]
        return Surroundings(
            pairs=pairs,
            edges=edges,
            system_index=graph.system_index[edges.receivers],
            n_systems=graph.n_systems,
            features=features,
            envelope=envelope,
        )


@dataclass(frozen=True, eq=False)
class Surroundings:
    """Neighbors of all atoms.

    Attributes:
        pairs: Edges, whose rows are those of pairs.
        edges: Edges, whose rows are their own.
        system_index: (n_edges,) which system they belong to.
        n_systems: Number of systems.
        features: (n_pairs, n_channels) e_ij.
        envelope: (n_edges, 1) u_ij, if any.
    """

    pairs: EdgeRows
    edges: EdgeRows
    system_index: Tensor
    n_systems: int
    features: Tensor
    envelope: Tensor | None


class Attention(nn.Module):
    """What an atom hears of its neighbors: Σ_j α_ij softplus((x_j ⊕ e_ij) W), mean of the heads."""

    def __init__(self, n_channels: int, n_heads: int, norm: str, max_score: float) -> None:
        super().__init__()
        self.max_score = max_score
        self.from_atoms = nn.Parameter(torch.empty(n_channels, n_heads * n_channels))
        self.from_pairs = nn.Parameter(torch.empty(n_channels, n_heads * n_channels))
        self.to_scores = nn.Parameter(torch.empty(n_heads, 2 * n_channels))
        for weights in (self.from_atoms, self.from_pairs):
            _glorot(weights, 2 * n_channels, n_heads * n_channels)
        _glorot(self.to_scores, n_heads, 2 * n_channels)
        self.score_norm = RowNorm(n_heads, norm)
        self.bias = nn.Parameter(torch.zeros(n_channels))

    def forward(self, atoms: Tensor, around: Surroundings) -> Tensor:
        """(n_atoms, n_channels)."""
        n_heads, n_channels = len(self.to_scores), len(self.bias)
        values, scores = values_and_scores(
            around.pairs,
            atoms @ self.from_atoms,
            around.features @ self.from_pairs,
            self.to_scores.view(n_heads, 2, n_channels).transpose(0, 1).flatten(1),
            n_heads,
        )
        attention = self._attention(scores, around, len(atoms))
        everybody = values.new_ones(len(atoms), 1, n_heads * n_channels)
        heard = around.edges.heard(everybody, values, attention[:, None])
        return heard.view(-1, n_heads, n_channels).sum(dim=1) + self.bias

    def _attention(self, scores: Tensor, around: Surroundings, n_atoms: int) -> Tensor:
        """(n_edges, n_heads) α, as the mean of the heads takes it.

        Args:
            scores: (n_edges, n_heads, 2) of the values, of receivers and of senders.
            around: Neighbors.
            n_atoms: Number of atoms.
        """
        receivers = around.edges.receivers
        of_receiver = scores[:, :, 0].index_select(0, around.edges.back)
        scores = functional.softplus(of_receiver + scores[:, :, 1])
        scores = self.score_norm(scores, around.system_index, around.n_systems)
        weights = 1.0 + math.exp(self.max_score) * torch.sigmoid(scores - self.max_score)
        nobody = 1e-16
        if around.envelope is not None:
            weights, nobody = weights * around.envelope, 1.0
        sums = nobody + segment_sum(weights, receivers, n_atoms)
        return weights * (1.0 / (len(self.to_scores) * sums)).index_select(0, receivers)


class GroupNorm(nn.Module):
    """x_i + λ Σ_g norm(s_ig x_i): atoms that are alike are normalized among themselves.

    Zhou et al., NeurIPS 2020, arXiv:2006.06972, eq. 3; s_i is the softmax of a linear map of x_i.
    """

    def __init__(self, n_channels: int, n_groups: int, norm: str) -> None:
        super().__init__()
        self.to_groups = linear(n_channels, n_groups, bias=False)
        self.norm = RowNorm(n_groups * n_channels, norm)

    def forward(self, atoms: Tensor, system_index: Tensor, n_systems: int) -> Tensor:
        """(n_atoms, n_channels)."""
        groups = torch.softmax(self.to_groups(atoms), dim=1)

        def rows() -> Tensor:
            return (groups[:, :, None] * atoms[:, None]).flatten(1)

        if self.norm.fixed:
            scale, shift = (f.view(-1, atoms.shape[1]) for f in self.norm.factors(rows))
            normed = torch.addcmul(shift.sum(dim=0), atoms, groups @ scale)
        else:
            each = self.norm(rows(), system_index, n_systems)
            normed = each.view(len(atoms), -1, atoms.shape[1]).sum(dim=1)
        return atoms + _GROUP_WEIGHT * normed


def _glorot(weights: Tensor, n_in: int, n_out: int) -> None:
    """Makes weights uniform with the variance 2/(n_in + n_out)."""
    limit = math.sqrt(6.0 / (n_in + n_out))
    nn.init.uniform_(weights, -limit, limit)


def _softmax(scores: Tensor, index: Tensor, n: int) -> Tensor:
    """(n_rows, 1) of (n_rows, 1) scores among the rows with the same index."""
    largest = scores.detach().new_full((n, 1), -math.inf)
    largest = largest.scatter_reduce(0, index[:, None], scores.detach(), "amax")
    exponentials = torch.exp(scores - largest[index])
    softmax: Tensor = exponentials / segment_sum(exponentials, index, n)[index]
    return softmax
