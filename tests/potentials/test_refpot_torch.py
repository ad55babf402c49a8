"""The tensor twin of the embedded potential against the machine code."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from mdbench.errors import InputError
from mdbench.potentials.materials import MATERIALS, material
from mdbench.potentials.refpot import Parameters, RefPot
from mdbench.potentials.refpot_torch import RefPotTorch
from tests.potentials.crystals import all_distorted, assert_near, batch, single

LI, P, S = 3, 15, 16


def evaluate(evaluator, positions, active):
    device = evaluator.energies.device
    evaluator.evaluate(torch.tensor(positions, device=device), torch.tensor(active, device=device))


def assert_same(tensors, arrays, rtol=1e-10):
    assert_near(tensors.energies.cpu(), arrays.energies, rtol)
    assert_near(tensors.forces.cpu(), arrays.forces, rtol)
    assert_near(tensors.virials.cpu(), arrays.virials, rtol)


def relaxed():
    crystals = [material(name) for name in MATERIALS]
    return batch([(c.atomic_numbers, c.positions, c.cell) for c in crystals])


def test_relaxed_crystals():
    systems, positions = relaxed()
    twin, own = RefPot().evaluator(systems), RefPotTorch().evaluator(systems)
    twin.evaluate(positions, np.ones(4, dtype=bool))
    evaluate(own, positions, np.ones(4, dtype=bool))
    assert_allclose(own.energies, twin.energies, rtol=1e-13, atol=0)
    assert_near(own.virials, twin.virials, 1e-12)
    assert np.abs(own.forces.numpy() - twin.forces).max() < 1e-12


@pytest.mark.parametrize("width", [0.05, 0.2, 0.5])
def test_distorted_crystals_while_lists_change(width):
    """0.5 Å breaks bonds, makes others, and brings atoms onto each other's cores."""
    rng = np.random.default_rng(0)
    systems, positions = all_distorted(1, width=width, strain=0.15)
    twin, own = RefPot().evaluator(systems), RefPotTorch().evaluator(systems)
    for _ in range(6):
        twin.evaluate(positions, np.ones(4, dtype=bool))
        evaluate(own, positions, np.ones(4, dtype=bool))
        assert_same(own, twin)
        positions = positions + rng.normal(0.0, 0.15, positions.shape)


def test_small_cells_and_other_parameters():
    rng = np.random.default_rng(1)
    parameters = Parameters(cutoff=5.0, switch=(2.4, 3.6), angle_reach=3.2)
    cell = 4.0 * (np.eye(3) + rng.uniform(-0.3, 0.3, (3, 3)))
    systems, positions = single([LI, P, S, S, S], rng.normal(0.0, 5.0, (5, 3)), cell)
    twin = RefPot(parameters).evaluator(systems)
    own = RefPotTorch(parameters, skin=0.2).evaluator(systems)
    twin.evaluate(positions, np.ones(1, dtype=bool))
    evaluate(own, positions, np.ones(1, dtype=bool))
    assert_same(own, twin)
    assert RefPotTorch(parameters).label == RefPot(parameters).label


def test_atoms_out_of_reach_of_each_other():
    systems, positions = single([LI, P], np.array([[0.0, 0, 0], [0, 0, 9.0]]), 20.0 * np.eye(3))
    own = RefPotTorch().evaluator(systems)
    evaluate(own, positions, np.ones(1, dtype=bool))
    assert own.energies[0] == 0.0
    assert (own.forces == 0.0).all()


def test_activity_and_lost_atoms():
    """The same systems change, keep their values or become NaN as with the machine code."""
    rng = np.random.default_rng(2)
    systems, positions = all_distorted(3)
    twin, own = RefPot().evaluator(systems), RefPotTorch().evaluator(systems)
    for active in ([1, 0, 0, 1], [0, 1, 0, 1], [1, 1, 1, 1], [0, 0, 1, 1], [1, 1, 1, 1]):
        flags = np.array(active, dtype=bool)
        if active == [0, 0, 1, 1]:
            positions[systems.first_atom[3]] = np.nan
        twin.evaluate(positions, flags)
        evaluate(own, positions, flags)
        lost = np.isnan(twin.energies)
        assert_array_equal(own.energies.isnan().numpy(), lost)
        assert_array_equal(own.forces.isnan().numpy(), np.isnan(twin.forces))
        assert_near(own.energies[~lost], twin.energies[~lost], 1e-12)
        assert_near(own.forces.nan_to_num(), np.nan_to_num(twin.forces), 1e-10)
        assert_near(own.virials.nan_to_num(), np.nan_to_num(twin.virials), 1e-10)
        positions = positions + rng.normal(0.0, 0.3, positions.shape)


def test_either_twin_takes_up_the_state_of_the_other():
    systems, positions = all_distorted(4)
    active = np.array([True, True, False, True])
    own, twin = RefPotTorch().evaluator(systems), RefPot().evaluator(systems)
    evaluate(own, positions, active)
    twin.evaluate(positions, active)
    for name, value in own.state().items():
        theirs = twin.state()[name]
        assert value.dtype == theirs.dtype
        assert_array_equal(value, theirs)
    resumed = RefPotTorch().evaluator(systems)
    resumed.restore(own.state())
    moved = positions + np.random.default_rng(5).normal(0.0, 0.1, positions.shape)
    for evaluator in (own, resumed):
        evaluate(evaluator, moved, active)
    assert_array_equal(resumed.energies, own.energies)
    assert_array_equal(resumed.forces, own.forces)
    assert_array_equal(resumed.virials, own.virials)
    for name, value in resumed.state().items():
        assert_array_equal(value, own.state()[name])


def test_other_elements_are_refused_by_name():
    systems, _ = single([3, 17], np.zeros((2, 3)), 9.0 * np.eye(3))
    with pytest.raises(InputError, match=r"refpot-v1: expected only Ge, Li, P, S, found Cl"):
        RefPotTorch().evaluator(systems)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_computes_the_same():
    systems, positions = all_distorted(6)
    twin, own = RefPot().evaluator(systems), RefPotTorch(device="cuda").evaluator(systems)
    twin.evaluate(positions, np.ones(4, dtype=bool))
    evaluate(own, positions, np.ones(4, dtype=bool))
    assert_same(own, twin)
