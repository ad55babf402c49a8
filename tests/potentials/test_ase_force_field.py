"""Calculators of ASE as force fields."""

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from numpy.testing import assert_allclose, assert_array_equal

from mdbench.errors import InputError
from mdbench.md.ase_calculator import MdbenchCalculator
from mdbench.md.settings import MDSettings
from mdbench.md.simulate import simulate
from mdbench.potentials.ase_force_field import AseForceField
from mdbench.potentials.refpot import RefPot
from tests.md.little import crystal, together
from tests.potentials.crystals import all_distorted, assert_near, batch


class Given(Calculator):  # type: ignore[misc]
    """Results that the test gives, counted."""

    implemented_properties = ("energy", "forces")

    def __init__(self, results):
        super().__init__()
        self.given, self.calls = results, 0

    def calculate(self, atoms=None, properties=None, system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.calls += 1
        self.results = {
            name: value(len(atoms)) if callable(value) else value
            for name, value in self.given.items()
        }


class Raising(Calculator):  # type: ignore[misc]
    implemented_properties = ("energy", "forces")

    def calculate(self, atoms=None, properties=None, system_changes=all_changes):
        raise RuntimeError("out of\n  memory")


def forces(n_atoms):
    return np.zeros((n_atoms, 3))


def metals(seed):
    """Three crystals of different sizes and elements, in triclinic cells."""
    rng = np.random.default_rng(seed)
    parts = []
    for atoms in (bulk("Cu") * (2, 2, 2), bulk("Au") * (1, 2, 3), bulk("Al") * (2, 1, 1)):
        change = np.eye(3) + rng.uniform(-0.05, 0.05, (3, 3))
        positions = atoms.positions @ change + rng.normal(0.0, 0.1, (len(atoms), 3))
        parts.append((atoms.numbers, positions, atoms.cell.array @ change))
    return parts


def evaluated(force_field, parts):
    systems, positions = batch(parts)
    evaluator = force_field.evaluator(systems)
    evaluator.evaluate(positions, np.ones(len(parts), dtype=bool))
    return evaluator


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("kind", [EMT, lambda: LennardJones(rc=4.0, sigma=2.2, smooth=True)])
def test_results_are_the_calculators(shared, kind):
    parts = metals(0)
    found = evaluated(AseForceField(kind, "metal", shared=shared), parts)
    first = 0
    for s, (numbers, positions, cell) in enumerate(parts):
        atoms = Atoms(numbers, positions, cell=cell, pbc=True, calculator=kind())
        rows = slice(first, first + len(atoms))
        first += len(atoms)
        assert_allclose(found.energies[s], atoms.get_potential_energy(), rtol=1e-12, atol=0)
        assert_near(found.forces[rows], atoms.get_forces(), rtol=1e-12)
        virial = -atoms.get_stress(voigt=False) * atoms.get_volume()
        assert_near(found.virials[s], virial, rtol=1e-12)
    assert {a.dtype for a in (found.energies, found.forces, found.virials)} == {np.dtype(float)}


def test_our_own_potential_comes_back_through_ase():
    systems, positions = all_distorted(3)
    active = np.ones(systems.n_systems, dtype=bool)
    expected = RefPot().evaluator(systems)
    expected.evaluate(positions, active)
    found = AseForceField(lambda: MdbenchCalculator(RefPot()), "again").evaluator(systems)
    found.evaluate(positions, active)
    assert_allclose(found.energies, expected.energies, rtol=1e-13, atol=0)
    assert_near(found.forces, expected.forces, rtol=1e-13)
    assert_near(found.virials, expected.virials, rtol=1e-13)
    assert found.state() == {}
    found.restore({})


def test_systems_that_are_not_active_keep_what_they_have():
    parts = metals(1)
    systems, positions = batch(parts)
    found = AseForceField(EMT, "EMT").evaluator(systems)
    found.evaluate(positions, np.ones(3, dtype=bool))
    energies, old = found.energies.copy(), found.forces.copy()
    moved = positions + np.random.default_rng(0).normal(0.0, 0.05, positions.shape)
    found.evaluate(moved, np.array([True, False, True]))
    second = slice(*systems.first_atom[1:3])
    assert_array_equal(found.forces[second], old[second])
    assert found.energies[1] == energies[1]
    assert (found.energies[[0, 2]] != energies[[0, 2]]).all()


@pytest.mark.parametrize("shared, n_made", [(False, 3), (True, 1)])
def test_calculators_are_made_for_each_system_or_once(shared, n_made):
    made = []

    def make():
        made.append(EMT())
        return made[-1]

    force_field = AseForceField(make, "EMT", shared=shared)
    evaluated(force_field, metals(2))
    assert len(made) == n_made


def test_a_step_costs_one_calculation():
    calculator = Given({"energy": -1.0, "forces": forces, "stress": np.zeros(6)})
    calculator.implemented_properties = ("energy", "forces", "stress")
    systems, positions = batch(metals(0)[:1])
    evaluator = AseForceField(lambda: calculator, "given").evaluator(systems)
    for k in range(4):
        evaluator.evaluate(positions + 0.01 * k, np.ones(1, dtype=bool))
    assert calculator.calls == 4


def test_the_energy_is_that_of_the_forces():
    """With electrons at a temperature, forces are the slope of the free energy."""
    calculator = Given({"energy": -1.0, "free_energy": -1.5, "forces": forces})
    calculator.implemented_properties = ("energy", "free_energy", "forces")
    assert evaluated(AseForceField(lambda: calculator, "given"), metals(0)[:1]).energies == [-1.5]


def test_without_a_stress_the_virial_is_not_a_number():
    given = {"energy": np.array([-1.0]), "forces": forces}
    found = evaluated(AseForceField(lambda: Given(given), "given"), metals(0))
    assert np.isnan(found.virials).all()
    assert_array_equal(found.energies, [-1.0] * 3)


def test_stresses_may_be_matrices():
    matrix = np.array([[1.0, 0.1, 0.2], [0.1, 2.0, 0.3], [0.2, 0.3, 3.0]])
    calculator = Given({"energy": 0.0, "forces": forces, "stress": matrix})
    calculator.implemented_properties = ("energy", "forces", "stress")
    numbers, positions, cell = metals(0)[0]
    found = evaluated(AseForceField(lambda: calculator, "given"), [(numbers, positions, cell)])
    assert_allclose(found.virials[0], -matrix * abs(np.linalg.det(cell)), rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: Raising(), r"^calculator odd: RuntimeError: out of memory$"),
        (lambda: 1 / 0, r"^calculator odd: ZeroDivisionError: division by zero$"),
        (lambda: EMT, r"^calculator odd: expected .*, found one that returns the class EMT$"),
        (lambda: bulk("Cu"), r"^calculator odd: expected .*, found one that returns Atoms$"),
        (lambda: None, r"^calculator odd: expected .*, found one that returns NoneType$"),
        (
            lambda: Given({"energy": 0.0, "forces": np.zeros((1, 3))}),
            r"^calculator odd: forces: expected shape \(8, 3\), found \(1, 3\)$",
        ),
        (
            lambda: Given({"energy": np.zeros(8), "forces": forces}),
            r"^calculator odd: energy: expected shape \(\), found \(8,\)$",
        ),
        (
            lambda: Given({"energy": 0.0}),
            r"^calculator odd: PropertyNotImplementedError: forces not present in this calc",
        ),
    ],
)
def test_what_calculators_get_wrong_is_said_in_a_line(make, message):
    with pytest.raises(InputError, match=message) as caught:
        evaluated(AseForceField(make, "odd"), metals(0)[:1])
    assert "\n" not in str(caught.value)


def test_an_element_that_a_calculator_does_not_know():
    with pytest.raises(InputError, match=r"^calculator EMT: NotImplementedError: No EMT-pot"):
        evaluated(AseForceField(EMT, "EMT"), [([3, 3], np.eye(3)[:2] * 3, np.eye(3) * 5)])


def test_a_run_whose_forces_are_not_numbers_is_retired_and_the_others_go_on():
    count = []

    def failing(n_atoms):
        count.append(n_atoms)
        return np.full((n_atoms, 3), np.nan if len(count) > 4 and n_atoms == 5 else 0.0)

    force_field = AseForceField(lambda: Given({"energy": 0.0, "forces": failing}), "failing")
    settings = MDSettings(ramp_ps=0.0, production_ps=0.02, ensemble="nve")
    runs, ends, _ = together(simulate(force_field, [crystal(4), crystal(5)], settings))
    assert len(runs[0]["steps"]) == 10
    assert 0 < len(runs[1]["steps"]) < 10
    assert ends[0] is None
    assert "not finite" in ends[1]


def test_threads_take_turns_at_a_shared_calculator():
    """Its results are those of the atoms that it was asked about last."""

    class Slow(EMT):
        def calculate(self, *arguments, **options):
            super().calculate(*arguments, **options)
            time.sleep(1e-3)

    force_field = AseForceField(Slow, "EMT", shared=True)
    parts = metals(0)
    expected = [evaluated(AseForceField(EMT, "EMT"), [part]).forces for part in parts]

    def work(k):
        return [evaluated(force_field, [parts[k % 3]]).forces for _ in range(10)]

    with ThreadPoolExecutor(6) as pool:
        for k, found in enumerate(pool.map(work, range(6))):
            for forces in found:
                assert_near(forces, expected[k % 3], rtol=1e-12)
