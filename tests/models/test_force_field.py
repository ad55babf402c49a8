"""Models as force fields of the MD engine."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal

from mdbench.errors import InputError
from mdbench.md.settings import MDSettings
from mdbench.md.simulate import simulate
from mdbench.md.state import Run
from mdbench.models import create, parse_name
from mdbench.models.force_field import ModelForceField, expected_edges
from mdbench.models.memory import bytes_per_edge
from mdbench.potentials.base import Systems
from mdbench.potentials.materials import MATERIALS, material
from mdbench.potentials.refpot import RefPot
from tests.potentials.crystals import all_distorted, assert_near, single

TINY = {"n_channels": 8, "n_filters": 8, "n_layers": 2, "n_basis": 12, "cutoff": 4.0}


def model(seed=0, **overrides):
    return create(parse_name("schnet-small"), seed=seed, **(TINY | overrides)).double()


def field(**options):
    return ModelForceField(model(), "tiny", **options)


@pytest.mark.parametrize("dtype, accuracy", [(torch.float64, 1e-10), (torch.float32, 1e-5)])
@pytest.mark.parametrize("max_neighbors", [500, 30])
def test_whole_lists_give_the_same(max_neighbors, dtype, accuracy):
    """Also by tables, where atoms have too many neighbors, and when a system is lost."""
    rng = np.random.default_rng(4)
    systems, positions = all_distorted(4, width=0.1, strain=0.1)
    usual, whole = (
        ModelForceField(
            model(max_neighbors=max_neighbors).to(dtype), "tiny", whole_lists=way, skin=0.6
        ).evaluator(systems)
        for way in (False, True)
    )
    active = np.ones(4, dtype=bool)
    for step in range(8):
        if step == 3:
            active[1] = False
        if step == 5:
            positions[systems.first_atom[2]] = np.nan
        for evaluator in (usual, whole):
            evaluator.evaluate(positions, active)
        for name in ("energies", "forces", "virials"):
            one, other = getattr(whole, name), getattr(usual, name)
            assert_array_equal(np.isnan(one), np.isnan(other))
            assert_near(one[~np.isnan(one)], other[~np.isnan(other)], accuracy)
        positions = positions + rng.normal(0.0, 0.05, positions.shape)


def alone(systems, positions, s):
    atoms = slice(systems.first_atom[s], systems.first_atom[s + 1])
    n_atoms = atoms.stop - atoms.start
    one = Systems(systems.atomic_numbers[atoms], systems.cells[s : s + 1], np.array([0, n_atoms]))
    evaluator = field().evaluator(one)
    evaluator.evaluate(positions[atoms], np.ones(1, dtype=bool))
    return evaluator, atoms


@pytest.mark.parametrize("edges", [1, 2_000, 10**9])
def test_a_batch_in_parts_is_its_systems_alone(edges):
    systems, positions = all_distorted(0, width=0.1, strain=0.1)
    evaluator = field(max_bytes=edges * bytes_per_edge(model())).evaluator(systems)
    evaluator.evaluate(positions, np.ones(4, dtype=bool))
    for s in range(4):
        twin, atoms = alone(systems, positions, s)
        assert_near(evaluator.forces[atoms], twin.forces, 1e-10)
        assert_near(evaluator.energies[s : s + 1], twin.energies, 1e-10)
        assert_near(evaluator.virials[s : s + 1], twin.virials, 1e-10)


def test_lists_that_last_give_what_fresh_lists_give():
    rng = np.random.default_rng(0)
    systems, positions = all_distorted(1, width=0.1, strain=0.1)
    lasting = field(skin=1.5).evaluator(systems)
    for _ in range(8):
        lasting.evaluate(positions, np.ones(4, dtype=bool))
        fresh = field(skin=1e-6).evaluator(systems)
        fresh.evaluate(positions, np.ones(4, dtype=bool))
        assert_array_equal(lasting.forces, fresh.forces)
        assert_array_equal(lasting.energies, fresh.energies)
        positions = positions + rng.normal(0.0, 0.2, positions.shape)


def test_only_active_systems_change_and_lost_ones_are_nan():
    systems, positions = all_distorted(2, width=0.1, strain=0.1)
    evaluator = field().evaluator(systems)
    evaluator.evaluate(positions, np.ones(4, dtype=bool))
    before = evaluator.forces.copy(), evaluator.energies.copy()
    positions = positions + np.random.default_rng(0).normal(0.0, 0.1, positions.shape)
    positions[systems.first_atom[2]] = np.nan
    evaluator.evaluate(positions, np.array([True, False, True, False]))
    owner = np.repeat(np.arange(4), np.diff(systems.first_atom))
    for s in (1, 3):
        assert_array_equal(evaluator.forces[owner == s], before[0][owner == s])
        assert evaluator.energies[s] == before[1][s]
    twin, atoms = alone(systems, positions, 0)
    assert_near(evaluator.forces[atoms], twin.forces, 1e-10)
    assert np.isnan(evaluator.forces[owner == 2]).all()
    assert np.isnan(evaluator.energies[2])
    assert np.isnan(evaluator.virials[2]).all()


def test_virial_is_the_slope_by_strain():
    rng = np.random.default_rng(3)
    crystal = material("li4ges4")
    positions = crystal.positions + rng.normal(0.0, 0.1, crystal.positions.shape)
    strain, h = rng.normal(0.0, 1.0, (3, 3)), 1e-5

    def energy(sign):
        deformation = np.eye(3) + sign * h * strain
        evaluator = field().evaluator(
            single(crystal.atomic_numbers, positions, crystal.cell @ deformation)[0]
        )
        evaluator.evaluate(positions @ deformation, np.ones(1, dtype=bool))
        return evaluator.energies[0], evaluator.virials[0]

    slope = (energy(1)[0] - energy(-1)[0]) / (2.0 * h)
    virial = energy(0)[1]
    np.testing.assert_allclose(-(virial * strain).sum(), slope, rtol=1e-6, atol=0)


def test_elements_that_it_does_not_know_are_one_line():
    crystal = material("lgps")
    systems, _ = single(crystal.atomic_numbers, crystal.positions, crystal.cell)
    with pytest.raises(InputError, match="never saw Ge"):
        field(elements=("Li", "P", "S")).evaluator(systems)
    heavy = Systems(np.array([130]), crystal.cell[None], np.array([0, 1]))
    with pytest.raises(InputError, match="130"):
        field().evaluator(heavy)


def test_expected_edges_are_about_right():
    for name in MATERIALS:
        crystal = material(name)
        systems, positions = single(crystal.atomic_numbers, crystal.positions, crystal.cell)
        from mdbench.graph import build_graph

        found = build_graph(crystal.atomic_numbers, positions, crystal.cell, 6.0).n_edges
        np.testing.assert_allclose(expected_edges(systems, 6.0)[0], found, rtol=0.1, atol=0)


def test_dynamics_alone_and_in_a_batch_and_resumed():
    crystals = [material("lgps"), material("li4ges4")]
    runs = [Run(c.name, c.atomic_numbers, c.positions, c.cell, 600.0, 0) for c in crystals]
    settings = MDSettings(ramp_ps=0.0, production_ps=0.04, stride=2)
    (both,) = simulate(field(), runs, settings)
    for number, run in enumerate(runs):
        (one,) = simulate(field(), [run], settings)
        assert_near(one.frames[0].positions, both.frames[number].positions, 1e-6)
    chunks = simulate(field(), runs, settings, chunk_frames=5)
    first = next(chunks)
    rest = list(simulate(field(), runs, settings, snapshot=first.snapshot, chunk_frames=5))
    assert_array_equal(rest[-1].frames[1].positions, both.frames[1].positions[5:])


def test_precision_is_that_of_the_model_and_weights_do_not_change():
    network = create(parse_name("schnet-small"), **TINY)
    weights = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    force_field = ModelForceField(network, "tiny")
    assert force_field.dtype is torch.float32
    crystal = material("lgps")
    run = Run(crystal.name, crystal.atomic_numbers, crystal.positions, crystal.cell, 600.0, 0)
    list(simulate(force_field, [run], MDSettings(ramp_ps=0.0, production_ps=0.02)))
    for name, tensor in network.state_dict().items():
        assert_array_equal(tensor, weights[name])


def test_it_stands_beside_the_embedded_potential():
    """Both satisfy the one protocol, so what one can be asked, the other can."""
    systems, positions = all_distorted(0, width=0.05, strain=0.0)
    for force_field in (field(), RefPot()):
        evaluator = force_field.evaluator(systems)
        evaluator.evaluate(positions, np.ones(4, dtype=bool))
        assert evaluator.energies.shape == (4,)
        assert evaluator.forces.shape == positions.shape
        assert evaluator.virials.shape == (4, 3, 3)
        assert force_field.label
        assert not force_field.closest
