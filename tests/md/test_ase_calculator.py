"""Our force fields as calculators of ASE."""

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError
from ase.calculators.fd import calculate_numerical_forces, calculate_numerical_stress
from numpy.testing import assert_allclose, assert_array_equal

from mdbench.errors import InputError
from mdbench.md.ase_calculator import MdbenchCalculator
from mdbench.potentials.refpot import RefPot
from mdbench.potentials.refpot_torch import RefPotTorch
from tests.potentials.crystals import assert_near, distorted, single


class Counted:
    """A force field that counts its evaluators."""

    def __init__(self):
        self.inner, self.n_evaluators = RefPot(), 0
        self.label, self.closest = self.inner.label, self.inner.closest

    def evaluator(self, systems):
        self.n_evaluators += 1
        return self.inner.evaluator(systems)


class Stressless(Counted):
    """A force field that does not know the stress."""

    def evaluator(self, systems):
        evaluator = super().evaluator(systems)
        evaluate = evaluator.evaluate

        def without(positions, active):
            evaluate(positions, active)
            evaluator.virials[:] = np.nan

        evaluator.evaluate = without
        return evaluator


def lgps(seed=0, force_field=None):
    numbers, positions, cell = distorted("lgps", seed)
    atoms = Atoms(numbers, positions, cell=cell, pbc=True)
    atoms.calc = MdbenchCalculator(force_field or RefPot())
    return atoms


def test_results_are_the_force_fields():
    atoms = lgps()
    systems, positions = single(atoms.numbers, atoms.positions, atoms.cell.array)
    expected = RefPot().evaluator(systems)
    expected.evaluate(positions, np.ones(1, dtype=bool))
    assert atoms.get_potential_energy() == expected.energies[0]
    assert atoms.get_potential_energy(force_consistent=True) == expected.energies[0]
    assert_array_equal(atoms.get_forces(), expected.forces)
    stress = -expected.virials[0] / atoms.get_volume()
    assert_near(atoms.get_stress(voigt=False), 0.5 * (stress + stress.T), rtol=1e-12)


def test_a_stress_that_is_not_known_is_not_there():
    atoms = lgps(force_field=Stressless())
    assert_array_equal(atoms.get_forces(), lgps().get_forces())
    with pytest.raises(PropertyNotImplementedError):
        atoms.get_stress()


def test_forces_and_stress_are_slopes_of_the_energy():
    atoms = lgps(1)
    some = [0, 20, 49]
    slopes = calculate_numerical_forces(atoms, eps=1e-5, iatoms=some)
    assert_near(atoms.get_forces()[some], slopes, rtol=1e-6)
    assert_near(atoms.get_stress(), calculate_numerical_stress(atoms, eps=1e-5), rtol=1e-6)


def test_tensors_are_the_same():
    arrays, tensors = lgps(2), lgps(2, RefPotTorch())
    assert_allclose(
        tensors.get_potential_energy(), arrays.get_potential_energy(), rtol=1e-12, atol=0
    )
    assert_near(tensors.get_forces(), arrays.get_forces(), rtol=1e-10)
    assert_near(tensors.get_stress(), arrays.get_stress(), rtol=1e-10)


def test_the_evaluator_is_kept_while_the_system_is_the_same():
    force_field = Counted()
    atoms = lgps(3, force_field)
    for _ in range(3):
        atoms.rattle(0.02)
        atoms.get_forces()
    assert force_field.n_evaluators == 1
    atoms.set_cell(1.01 * atoms.cell, scale_atoms=True)
    assert_near(
        atoms.get_forces(), Atoms(atoms, calculator=MdbenchCalculator(RefPot())).get_forces(), 1e-12
    )
    assert force_field.n_evaluators == 2
    atoms.symbols[[0, 49]] = atoms.symbols[[49, 0]]
    fresh = Atoms(atoms, calculator=MdbenchCalculator(RefPot()))
    assert atoms.get_potential_energy() == fresh.get_potential_energy()
    assert force_field.n_evaluators == 3
    del atoms[4]
    assert atoms.get_forces().shape == (49, 3)


def test_results_belong_to_the_caller():
    atoms = lgps(4)
    forces = atoms.get_forces()
    kept = forces.copy()
    atoms.rattle(0.1)
    atoms.get_forces()
    assert_array_equal(forces, kept)


def test_atoms_that_are_not_periodic_are_refused_each_time():
    atoms = lgps()
    energy = atoms.get_potential_energy()
    atoms.pbc = [True, True, False]
    for _ in range(2):
        with pytest.raises(InputError, match=r"periodic in all three .*, found pbc \[True, True,"):
            atoms.get_potential_energy()
    atoms.pbc = True
    assert atoms.get_potential_energy() == energy
    with pytest.raises(InputError, match=r"expected a cell with a volume, found none$"):
        Atoms("S", pbc=True, calculator=MdbenchCalculator(RefPot())).get_potential_energy()
    with pytest.raises(InputError, match=r"^refpot-v1: expected only .*, found Fe"):
        Atoms("Fe", cell=[8] * 3, pbc=True, calculator=MdbenchCalculator(RefPot())).get_forces()
