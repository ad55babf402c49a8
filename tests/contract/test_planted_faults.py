"""The contract finds each fault by name: models that break one rule on purpose."""

import pytest
import torch
from torch import nn

from mdbench.graph import segment_sum
from mdbench.models.base import Prediction
from mdbench.models.schnet import SchNet
from mdbench.testing import CHECKS

LITTLE = {"cutoff": 5.0, "n_channels": 8, "n_filters": 8, "n_layers": 1, "n_basis": 16}


class Planted(SchNet):
    """SchNet with something more in the energy: (n_systems,) of a graph and the own energies."""

    def forward(self, graph):
        return self.fault(graph, super().forward(graph))


def atom_vectors(graph, power):
    """(n_atoms, 3) smooth sums of edge vectors, weighted by (1 − d/c) to a power."""
    weights = (1.0 - graph.edge_lengths / 5.0).clamp(min=0.0) ** power
    return segment_sum(graph.edge_vectors * weights[:, None], graph.edge_index[0], graph.n_atoms)


def by_system(values, graph):
    return segment_sum(values, graph.system_index, graph.n_systems)


class Biased(Planted):
    """A direction of space counts more."""

    def fault(self, graph, energies):
        return energies + by_system(atom_vectors(graph, 4)[:, 0] ** 2, graph)


class Chiral(Planted):
    """A triple product has another sign in the mirror."""

    def fault(self, graph, energies):
        a, b, c = (atom_vectors(graph, power) for power in (4, 5, 6))
        return energies + by_system((torch.linalg.cross(a, b) * c).sum(dim=1), graph)


class Mixing(Planted):
    """Energies are divided by their mean size in the batch."""

    def fault(self, graph, energies):
        return energies / energies.abs().mean()


class Ordered(Planted):
    """Atoms that stand first count more."""

    def fault(self, graph, energies):
        place = torch.arange(graph.n_atoms) / graph.n_atoms
        return energies + by_system(place * atom_vectors(graph, 4).square().sum(dim=1), graph)


class Counting(Planted):
    """Neighbors are counted, wherever they are."""

    def fault(self, graph, energies):
        counts = torch.bincount(graph.edge_index[0], minlength=graph.n_atoms)
        return energies + by_system(counts.to(energies) ** 2, graph)


class Dropping(Planted):
    """Dropout that evaluation does not switch off."""

    def fault(self, graph, energies):
        squares = atom_vectors(graph, 4).square()
        dropped = nn.functional.dropout(squares, 0.5, training=True)
        return energies + by_system(dropped.sum(dim=1), graph)


class Normed(Planted):
    """Energies are shifted by an average of those of all calls."""

    def __init__(self, **options):
        super().__init__(**options)
        self.register_buffer("average", torch.zeros(()))

    def fault(self, graph, energies):
        self.average = 0.9 * self.average + 0.1 * energies.detach().mean()
        return energies - self.average


class Dead(Planted):
    """A weight without effect."""

    def __init__(self, **options):
        super().__init__(**options)
        self.unused = nn.Parameter(torch.ones(3))

    def fault(self, graph, energies):
        return energies + 0.0 * self.unused.sum()


class Detached(Planted):
    """A part of the energy has no forces."""

    def fault(self, graph, energies):
        vectors = atom_vectors(graph, 4).detach()
        return energies + by_system(vectors.square().sum(dim=1), graph)


class Rescaled(Planted):
    """Forces are not in the units of the energy."""

    def fault(self, graph, energies):
        return energies

    def predict(self, graph, *, create_graph=False):
        energies, forces, virials = super().predict(graph, create_graph=create_graph)
        return Prediction(energies, 0.5 * forces, virials)


BY_NAME = {check.__name__: check for check in CHECKS}
FAULTS = [
    (Biased, {"proper_rotation", "reflection", "few_atoms"}),
    (Chiral, {"reflection"}),
    (Counting, {"smooth_at_the_cutoff", "edges_beyond_the_cutoff"}),
    (Dead, {"all_weights_learn"}),
    (Detached, {"forces_are_derivatives", "virials_are_derivatives"}),
    (Rescaled, {"forces_are_derivatives", "few_atoms"}),
]
#: These break the rules that others rest on, so more checks fail than are named.
DEEP_FAULTS = [
    (Mixing, {"batch_is_single", "no_leak", "no_leak_in_training", "extensivity"}),
    (Ordered, {"permutation"}),
    (Dropping, {"determinism", "training_is_evaluation"}),
    (Normed, {"determinism", "training_is_evaluation"}),
]


def broken(model, names=frozenset(BY_NAME)):
    """Names of the checks that the model does not pass."""
    found = {}
    for name in names:
        try:
            BY_NAME[name](model)
        except AssertionError as error:
            found[name] = str(error)
    assert all(sentence and "\n" not in sentence for sentence in found.values())
    return set(found)


def little(kind, **options):
    torch.manual_seed(0)
    return kind(**LITTLE, **options).double().eval()


@pytest.mark.parametrize("kind, expected", FAULTS, ids=lambda value: getattr(value, "__name__", ""))
def test_a_fault_is_found_by_name(kind, expected):
    assert broken(little(kind)) == expected


@pytest.mark.parametrize(
    "kind, expected", DEEP_FAULTS, ids=lambda value: getattr(value, "__name__", "")
)
def test_a_deep_fault_is_found(kind, expected):
    assert broken(little(kind), expected) == expected


def test_the_cosine_is_smooth_once_only():
    assert broken(little(SchNet, envelope="cosine")) == {"smooth_at_the_cutoff"}
    assert broken(little(SchNet)) == set()
