"""The audit: sound force fields pass, and every planted fault is called by its name."""

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from ase.calculators.morse import MorsePotential
from numpy.testing import assert_allclose, assert_array_equal

from mdbench.analysis.audit import CHECKS, DOUBLE, SINGLE, Claims, audit
from mdbench.analysis.audit_controls import audit_controls
from mdbench.analysis.audit_probe import (
    Probe,
    Structure,
    audited,
    noise_of,
    rotation,
    shortest_distance,
    small_structure,
)
from mdbench.analysis.audit_slopes import slope
from mdbench.analysis.audit_smoothness import _power, largest_jump
from mdbench.errors import InputError
from mdbench.potentials.ase_force_field import AseForceField
from mdbench.potentials.materials import material
from mdbench.potentials.refpot import RefPot
from tests.analysis import fields

#: All but the one that asks most often.
QUICK = tuple(name for name in CHECKS if name != "cutoff_smoothness")
SMOOTH = ("cutoff_smoothness",)


def of(force_field, checks=CHECKS, **options):
    crystal = fields.NUMBERS, fields.POSITIONS, fields.CELL
    return audit(force_field, *crystal, checks=checks, **options)


def failed(found):
    return {check.name for check in found.checks if not check.passed}


def only(found):
    (check,) = found.checks
    return check


def argon(**options):
    field = AseForceField(lambda: LennardJones(sigma=3.4, epsilon=0.0104, rc=7.0, **options), "lj")
    atoms = bulk("Ar", a=5.3, cubic=True)
    return field, atoms.numbers.astype(np.int64), atoms.positions, atoms.cell.array


def test_a_sound_force_field_passes_everything():
    found = of(fields.Field())
    assert failed(found) == set()
    assert tuple(check.name for check in found.checks) == CHECKS
    assert all(check.claimed and check.tolerance < 1e-5 for check in found.checks)
    assert not found.single
    assert "curvature" not in found.checks[CHECKS.index("cutoff_smoothness")].detail


def test_single_precision_is_held_to_less():
    found = of(fields.Single())
    assert found.single
    assert failed(found) == set()
    rotated = next(check for check in found.checks if check.name == "rotation")
    assert DOUBLE < rotated.deviation < rotated.tolerance == SINGLE


def test_single_precision_is_noticed_where_it_is_not_stated():
    field = fields.Single()
    hidden = type("Hidden", (), {"label": "x", "closest": {}, "evaluator": field.evaluator})()
    assert of(hidden, ("determinism",)).single
    sound = fields.Field()
    hidden = type("Hidden", (), {"label": "x", "closest": {}, "evaluator": sound.evaluator})()
    assert not of(hidden, ("determinism",)).single


@pytest.mark.parametrize(
    "fault, names",
    [
        (fields.MeanReadout, {"extensivity"}),
        (fields.DetachedAngles, {"conservativeness"}),
        (fields.DirectForces, {"conservativeness"}),
        (fields.WrongVirial, {"conservativeness"}),
        (fields.BiasedVectors, {"rotation", "reflection"}),
        (fields.Chiral, {"reflection"}),
        (fields.UnwrappedImages, {"periodic_wrap"}),
        (fields.BatchStatistics, {"batch_independence"}),
        (fields.InOrder, {"permutation"}),
        (fields.StaleList, {"determinism"}),
    ],
)
def test_a_fault_is_called_by_its_name(fault, names):
    assert failed(of(fault(), QUICK)) == names


@pytest.mark.parametrize(
    "fault, name",
    [
        (fields.Dropout, "determinism"),
        (fields.AbsolutePositions, "translation"),
    ],
)
def test_faults_that_spoil_more_than_one_check(fault, name):
    assert name in failed(of(fault(), QUICK))
    sound = of(fault(), ("permutation",)) if fault is fields.AbsolutePositions else None
    assert sound is None or not failed(sound)


def test_answers_that_are_not_numbers_fail_every_check():
    found = of(fields.NotANumber())
    assert failed(found) == set(CHECKS)
    assert "not a number" in found.checks[0].detail


def test_halved_forces_are_said_to_be_halved():
    detail = only(of(fields.MeanReadout(), ("extensivity",))).detail
    assert "forces 0.5 times as large" in detail


@pytest.mark.parametrize(
    "fault, smallest, largest",
    [
        (fields.EnergyJump, 1e-2, 10.0),
        (fields.ForceJump, 1e-2, 10.0),
        (fields.SmallJump, 1e-7, 1e-4),
    ],
)
def test_a_jump_is_found_where_it_is(fault, smallest, largest):
    check = only(of(fault(), SMOOTH))
    assert not check.passed
    assert smallest < check.deviation < largest
    distance = float(check.detail.rpartition(" are ")[2].split()[0])
    assert_allclose(distance, fields.Field.cutoff, rtol=1e-3, atol=0)


def test_parts_that_cancel_before_the_end_are_no_jump_of_the_curvature():
    """Forces that vanish as δ², with a part of δ³ that takes half away at the second distance."""
    delta = 0.02 * np.array([1.0, 2.0, 4.0])
    assert_allclose(_power(delta, floor=0.0), 1.0, rtol=1e-12, atol=0)
    forces = np.abs(delta**2 - 18.0 * delta**3)
    assert 0.5 < np.log2(forces[1] / forces[0]) < 1.5
    assert _power(forces, floor=0.0) > 1.5
    assert np.isnan(_power(delta, floor=0.03))


@pytest.mark.parametrize("jump", [0.0, 1e-2])
def test_scatter_is_no_jump_and_hides_none_that_is_larger(jump):
    rng = np.random.default_rng(0)

    def values(r):
        return np.array([np.cos(r), np.sin(r) + jump * (r > 1.234)]) + rng.normal(0.0, 1e-4, 2)

    points = np.arange(0.5, 2.5, 0.05)
    found = largest_jump(values, points, np.array([values(r) for r in points]), 1e-4)
    assert_allclose(found.size, jump, rtol=0.1, atol=1e-4)
    assert jump == 0.0 or abs(found.place - 1.234) < 1e-3
    assert jump != 0.0 or found.unseen > 1e-4


def test_a_jump_of_the_curvature_is_seen_and_forgiven():
    check = only(of(fields.CurvatureJump(), SMOOTH))
    assert check.passed
    assert "the curvature of the energy jumps" in check.detail
    assert check.detail.endswith("4.0000 A apart")


def test_neighbors_that_change_places_are_found_in_a_dense_cell():
    check = only(of(fields.NearestNeighbors(), SMOOTH))
    assert not check.passed
    assert check.deviation > 1e-3


def test_lennard_jones_with_and_without_a_smooth_end():
    plain = only(audit(*argon(), checks=SMOOTH))
    assert not plain.passed
    assert "7.0000 A apart" in plain.detail
    smooth = only(audit(*argon(smooth=True, ro=6.0), checks=SMOOTH))
    assert smooth.passed
    assert "curvature" in smooth.detail


def test_forces_that_jump_are_the_slope_of_the_energy_all_the_same():
    assert failed(audit(*argon(), checks=("conservativeness",))) == set()


def test_the_embedded_potential_passes():
    for name in ("lgps", "gamma-li3ps4"):
        crystal = material(name)
        for seed in range(10):
            found = audit(
                RefPot(), crystal.atomic_numbers, crystal.positions, crystal.cell, seed=seed
            )
            assert failed(found) == set(), (name, seed)


@pytest.mark.parametrize("seed", range(5))
def test_there_is_no_false_alarm(seed):
    assert failed(of(fields.Field(), QUICK, seed=seed)) == set()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_calculators_of_ase(seed):
    """Morse passes; EMT's neighbors end where its cutoff function is not zero yet."""
    copper = bulk("Cu", cubic=True)
    arrays = copper.numbers.astype(np.int64), copper.positions, copper.cell.array
    morse = AseForceField(
        lambda: MorsePotential(epsilon=0.3, r0=2.6, rho0=4.0, rcut1=1.6, rcut2=1.9), "morse"
    )
    assert failed(audit(morse, *arrays, seed=seed)) == set()
    assert failed(audit(AseForceField(EMT, "emt"), *arrays, seed=seed)) == {"cutoff_smoothness"}


def test_the_controls_of_the_selftest():
    controls = list(audit_controls(3))
    assert len(controls) > 4
    assert all(control.passed for control in controls)


def test_claims():
    scalar = Claims("SE(3)", conservative=False)
    included = {name for name in (*CHECKS, "nve_drift", "echo") if scalar.include(name)}
    assert included == {*CHECKS, "echo"} - {"reflection", "conservativeness"}
    assert not Claims("T(3)").include("rotation")
    assert Claims("T(3)").include("translation")
    found = of(fields.Chiral(), ("reflection",), claims=Claims("SE(3)"))
    assert not only(found).claimed
    assert not only(found).passed


def test_a_claim_may_have_its_own_tolerance():
    loose = Claims(tolerances={"rotation": 0.5})
    assert only(of(fields.BiasedVectors(), ("rotation",), claims=loose)).passed
    assert not only(of(fields.BiasedVectors(), ("reflection",), claims=loose)).passed


@pytest.mark.parametrize(
    "make, word",
    [
        (lambda: Claims("SE3"), "SE(3)"),
        (lambda: Claims(tolerances={"rotations": 1.0}), "rotation"),
        (lambda: of(fields.Field(), ("wrap",)), "wrap"),
    ],
)
def test_unknown_names_are_refused(make, word):
    with pytest.raises(InputError, match="found") as caught:
        make()
    assert word in str(caught.value)


def test_calculators_that_refuse_small_cells_and_lone_atoms():
    """The material takes the place of the small cell, and clusters are left out."""
    asked = []

    class Picky(fields.Field):
        def evaluator(self, systems):
            sizes = np.diff(systems.first_atom)
            if not np.isin(sizes, (8, 16)).all():
                raise InputError("cell", expected="another one")
            asked.extend(sizes)
            return super().evaluator(systems)

    found = of(Picky(), ("extensivity", "cutoff_smoothness"))
    assert failed(found) == set()
    assert set(asked) == {8, 16}


def test_slopes_know_their_error():
    smooth = slope(np.sin, 0.01, 1e-16)
    assert_allclose(smooth.value, 1.0, rtol=1e-8, atol=0)
    assert abs(smooth.value - 1.0) < smooth.error < 1e-7
    rough = slope(lambda s: float(np.sin(30.0 * s)), 0.05, 0.0)
    assert abs(rough.value - 30.0) < rough.error


@pytest.mark.parametrize("place", [-0.015, -0.008, -0.003, 0.001, 0.007, 0.012, 0.039])
def test_a_jump_of_the_energy_within_a_step_is_no_wrong_slope(place):
    jumping = slope(lambda s: s + 1e-3 * (s > place), 0.01, 0.0)
    assert abs(jumping.value - 1.0) < jumping.error


def test_a_step_is_told_from_a_slope_and_a_kink():
    points = np.linspace(0.0, 1.0, 41)

    def jump(f):
        return largest_jump(f, points, np.array([f(s) for s in points]), 1e-8)

    steep = jump(lambda s: np.array([np.tanh(50.0 * (s - 0.4))]))
    kink = jump(lambda s: np.array([0.0, abs(s - 0.4321)]))
    step = jump(lambda s: np.array([0.0, np.sin(3.0 * s) + 1e-3 * (s > 0.4321)]))
    hidden = jump(lambda s: np.array([0.0, np.sin(9.0 * s) + 1e-3 * (s > 0.4321)]))
    assert steep.size < 1e-8
    assert kink.size < 1e-8
    assert_allclose(step.size, 1e-3, rtol=0.01, atol=0)
    assert_allclose(step.place, 0.4321, rtol=1e-3, atol=0)
    assert step.component == 1
    assert hidden.size > 1e-4 or hidden.unseen > 1e-3


@pytest.mark.parametrize("name", ["lgps", "li4ges4"])
def test_a_small_structure_resembles_its_material(name):
    crystal = material(name)
    whole = Structure(crystal.atomic_numbers, crystal.positions, crystal.cell)
    for seed in range(5):
        small = small_structure(whole, np.random.default_rng(seed))
        assert_array_equal(np.unique(small.numbers), np.unique(whole.numbers))
        assert_allclose(
            np.linalg.det(small.cell) / len(small),
            np.linalg.det(whole.cell) / len(whole),
            rtol=1e-12,
            atol=0,
        )
        assert shortest_distance(small) > 0.8 * shortest_distance(whole)


def test_a_single_atom_gets_company():
    one = Structure(np.array([29]), np.zeros((1, 3)), 2.5 * np.eye(3))
    assert len(audited(one, np.random.default_rng(0))) == 8


def test_the_shortest_distance_by_brute_force():
    rng = np.random.default_rng(1)
    cell = np.array([[5.0, 0, 0], [1.2, 4.5, 0], [-0.8, 0.9, 6.0]])
    x = rng.uniform(-20.0, 20.0, (6, 3))
    steps = np.stack(np.meshgrid(*[np.arange(-12, 13)] * 3, indexing="ij"), -1).reshape(-1, 3)
    shortest = min(
        np.linalg.norm(x[j] - x[i] + steps @ cell, axis=1).min() for i in range(6) for j in range(i)
    )
    found = shortest_distance(Structure(np.full(6, 3), x, cell))
    assert_allclose(found, shortest, rtol=1e-12, atol=0)


def test_rotations_are_rotations():
    matrix = rotation(np.random.default_rng(2))
    assert np.abs(matrix @ matrix.T - np.eye(3)).max() < 1e-14
    assert_allclose(np.linalg.det(matrix), 1.0, rtol=1e-14, atol=0)


def test_noise_is_measured():
    class Noisy(fields.Field):
        def evaluator(self, systems):
            evaluator, rng = super().evaluator(systems), np.random.default_rng(0)
            plain = evaluator.evaluate

            def evaluate(positions, active):
                plain(positions, active)
                evaluator.energies += rng.normal(0.0, 1e-3, 1)
                evaluator.forces += rng.normal(0.0, 1e-4, evaluator.forces.shape)

            evaluator.evaluate = evaluate
            return evaluator

    structure = Structure(fields.NUMBERS, fields.POSITIONS, fields.CELL)
    noise = noise_of(Probe(Noisy()), structure, np.random.default_rng(1))
    assert 1e-4 < noise.energy < 1e-2
    assert_allclose(noise.force, 1e-4, rtol=0.3, atol=0)
