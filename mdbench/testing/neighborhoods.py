"""What few, many and distant neighbors must do to the answers of a model."""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import Tensor

from mdbench.errors import InputError
from mdbench.graph import AtomGraph, ListedEdges, edge_list
from mdbench.models.base import EnergyModel
from mdbench.models.force_field import ModelForceField
from mdbench.potentials.base import FloatArray, Systems
from mdbench.testing.batches import batch_is_single
from mdbench.testing.symmetries import periodic_wrap, permutation
from mdbench.testing.systems import (
    NAMES,
    System,
    accuracy,
    angular_accuracy,
    assert_near,
    cluster,
    force_scale,
    graph,
    narrow_system,
    predict,
    random_system,
    require,
    simple_cubic,
)

#: Distances of the shells of `simple_cubic` in units of its lattice constant, 3 Å, and their sizes.
_SHELLS = ((1.0, 6), (2.0**0.5, 12), (3.0**0.5, 8))


def few_atoms(model: EnergyModel) -> None:
    """No atom but oneself, one neighbor, nothing but one's own images: sane forces."""
    places = np.array([[0.0, 0.0, 0.0], [model.cutoff, 0.1, 0.0]])
    alone = [predict(model, cluster(place, numbers=(3,))) for place in places]
    energies, forces, virials = (sum(parts) for parts in zip(*alone, strict=True))
    require(bool(np.isfinite(energies).all()), "the energy of an atom alone is not finite")
    require(not np.any(virials), "an atom alone has a virial")
    far, allowed = predict(model, cluster(*places, numbers=(3, 3))), accuracy(model)
    assert_near(far[0], energies, allowed, what="energies of two atoms beyond the cutoff")
    total = far[1].sum(axis=0)
    assert_near(total, np.asarray(forces)[0], allowed, what="forces on two atoms beyond the cutoff")
    crystal = System(np.array([8]), np.zeros((1, 3)), random_system(27, (1, 1, 1)).cell)
    energies, of_crystal, virials = predict(model, crystal)
    require(bool(np.isfinite(energies).all()), "the energy of one atom and its images is no number")
    if model.symmetry == "T(3)":  # even an atom alone may have a force
        return
    require(not np.any(forces), "an atom alone has a force")
    require(not far[1].any(), "atoms beyond the cutoff have forces")
    if model.conservative or model.symmetry == "E(3)":
        scale = force_scale(model, of_crystal, virials)
        what = "forces on an atom among its own images, which cancel,"
        assert_near(of_crystal, 0 * of_crystal, angular_accuracy(model), scale, what=what)
    _check_pair(model)


def few_neighbors(model: EnergyModel) -> None:
    """Where neighbors are too many, whole shells go, and both directions of a pair."""
    model = copy.deepcopy(model)
    for most in (10, 20):
        model.max_neighbors = most
        edges = graph(model, simple_cubic(2))
        expected = 8 * _whole_shells(model.cutoff, most)
        require(edges.n_edges == expected, f"{edges.n_edges} edges of a cubic crystal: {expected}")
        crowded = graph(model, random_system(28))
        busiest = int(torch.bincount(crowded.edge_index[0]).max())
        require(busiest <= most, f"an atom has {busiest} neighbors, not {most} at most")
        back = crowded.edge_vectors[crowded.back]
        assert_near(back, -crowded.edge_vectors, accuracy(model), what="edges and those back")
        permutation(model)
        periodic_wrap(model)
        batch_is_single(model)


def edges_beyond_the_cutoff(model: EnergyModel) -> None:
    """Edges beyond the cutoff have no effect, so that neighbor lists may have some."""
    require(model.ends_at_cutoff, "ends_at_cutoff is False: edges beyond the cutoff have an effect")
    for system in (random_system(40), narrow_system(41)):
        x, cells = torch.tensor(system.positions), torch.tensor(system.cell)[None]
        first = torch.tensor([0, len(system.numbers)])
        found = edge_list(x, cells, first, model.cutoff + 1.0)
        listed = ListedEdges.of(torch.tensor(system.numbers), cells, first, found)
        vectors = listed.edge_vectors(x).to(model.dtype)
        whole = listed.whole(model.dtype).with_vectors(vectors)
        near = graph(model, system)
        require(whole.n_edges > near.n_edges, "the longer list has no more edges")
        answers = model.predict(whole), model.predict(near)
        for name, one, other in zip(NAMES, *answers, strict=True):
            what = f"{name} with edges beyond the cutoff"
            require(one.isnan().equal(other.isnan()), f"{what} are NaN")
            assert_near(one.nan_to_num(), other.nan_to_num(), accuracy(model), what=what)


def strange_elements(model: EnergyModel) -> None:
    """Elements that the model does not know are refused in one line."""
    for beyond in (0, model.n_elements):
        system = Systems(np.array([3, beyond]), 9.0 * np.eye(3)[None], np.array([0, 2]))
        said = f"it: expected atomic numbers from 1 to {model.n_elements - 1}, found {beyond}"
        try:
            ModelForceField(copy.deepcopy(model), "it").evaluator(system)
        except InputError as error:
            require(str(error) == said, f"atomic number {beyond} is refused as {error}")
        else:
            raise AssertionError(f"atomic number {beyond} is not refused")


def smooth_at_the_cutoff(model: EnergyModel) -> None:
    """A pair's part in the energy goes as δ³ and in forces as δ², δ before the cutoff.

    Then both, and the derivative of forces, are continuous. In a crystal and for a lone pair.
    """
    model = exact(model)
    pair = graph(model, random_system(35))
    edge = int((pair.edge_lengths - 0.8 * model.cutoff).abs().argmin())
    lone = graph(model, cluster([0.0, 0.0, 0.0], [1.2, 0.9, 1.6]))
    for inputs, chosen in ((pair, edge), (lone, 0)):
        whole = model.predict(inputs)
        gone = model.predict(_without_pair(inputs, chosen))
        parts = []
        for delta in (0.001 * model.cutoff, 0.0005 * model.cutoff):
            near = model.predict(_with_length(inputs, chosen, model.cutoff - delta))
            parts.append([float((a - b).abs().max()) for a, b in zip(near, gone, strict=True)])
        # where the pair is not to be seen at all, rounding decides the ratio
        unseen = 1e-13 * float(whole.forces.abs().max())
        for name, power, far, last in zip(NAMES[:2], (3, 2), *np.array(parts)[:, :2], strict=True):
            if not last <= max(1.15 * far / 2**power, unseen):
                raise AssertionError(
                    f"the part of a pair in the {name} falls by {far / last:.3g}, not by "
                    f"{2**power}, when its distance from the cutoff is halved"
                )


def exact(model: EnergyModel) -> EnergyModel:
    """The model itself in double precision, else a copy that is."""
    return model if model.dtype == torch.float64 else copy.deepcopy(model).double()


def _check_pair(model: EnergyModel) -> None:
    """Forces of two atoms are along the line between them, and opposite where they are slopes."""
    direction = np.array([1.2, 0.9, 1.6])
    _, forces, virials = predict(model, cluster([0.0, 0.0, 0.0], direction))
    sideways: FloatArray = np.cross(forces, direction)
    allowed, scale = 10 * angular_accuracy(model), float(np.abs(forces).max())
    what = "forces on two atoms across the line between them"
    assert_near(sideways, 0 * sideways, allowed, scale, what=what)
    if model.conservative:
        allowed = accuracy(model)
        assert_near(forces[0], -forces[1], allowed, what="forces of two atoms on each other")
        expected = np.outer(direction, forces[1])
        assert_near(virials[0], expected, allowed, what="virials of two atoms")


def _whole_shells(cutoff: float, most: int) -> int:
    """Neighbors of an atom of `simple_cubic` in those of its first shells that fit as a whole."""
    total = 0
    for distance, size in _SHELLS:
        if 3.0 * distance >= cutoff or total + size > most:
            break
        total += size
    return total


def _pair_edges(inputs: AtomGraph, edge: int) -> Tensor:
    return torch.tensor([edge, int(inputs.back[edge])])


def _with_length(inputs: AtomGraph, edge: int, length: float) -> AtomGraph:
    """The graph with one pair at another distance."""
    both = _pair_edges(inputs, edge)
    vectors = inputs.edge_vectors.clone()
    vectors[both] *= length / inputs.edge_lengths[both][:, None]
    return inputs.with_vectors(vectors)


def _without_pair(inputs: AtomGraph, edge: int) -> AtomGraph:
    """The graph without both edges of a pair."""
    kept = torch.ones(inputs.n_edges, dtype=torch.bool)
    kept[_pair_edges(inputs, edge)] = False
    places = kept.cumsum(0) - 1
    return AtomGraph(
        atomic_numbers=inputs.atomic_numbers,
        system_index=inputs.system_index,
        volumes=inputs.volumes,
        edge_index=inputs.edge_index[:, kept],
        cell_shifts=inputs.cell_shifts[kept],
        back=places[inputs.back[kept]],
        edge_vectors=inputs.edge_vectors[kept],
    )
