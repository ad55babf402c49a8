"""The embedded potential: published energies, a naive twin, derivatives, invariances, exactness."""

from itertools import combinations, product
from math import exp

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from mdbench.errors import InputError
from mdbench.neighbors import GRID_ATOMS
from mdbench.potentials.base import Systems
from mdbench.potentials.materials import MATERIALS, material
from mdbench.potentials.refpot import PARAMETERS, Parameters, RefPot
from mdbench.units import EV_PER_ANGSTROM3_IN_GPA
from tests.potentials.crystals import all_distorted, assert_near, batch, distorted, single

LI, P, S, GE = 3, 15, 16, 32
RC = 6.0
CHARGES = {LI: 0.92, P: 1.04, S: -0.95, GE: 0.12}
REPULSIONS = {(LI, S): (25310, 0.195), (S, S): (7562, 0.338), (LI, GE): (4067, 0.330)}
ORDERED = {(LI, S), (LI, GE), (P, S), (GE, S)}
BONDS = {P: (5.0, 1.340, 2.002, 5.03), GE: (5.0, 1.394, 2.071, 3.95)}


def computed(systems, positions, **options):
    evaluator = RefPot(**options).evaluator(systems)
    evaluator.evaluate(positions, np.ones(systems.n_systems, dtype=bool))
    return evaluator


def energy(numbers, positions, cell):
    return computed(*single(numbers, positions, cell)).energies[0]


def pair_energy(a, b, r):
    """The terms of one pair, as the specification writes them."""
    x = r - RC
    found = 14.3996454 * CHARGES[a] * CHARGES[b]
    found *= 1 / r - 15 / (8 * RC) + 5 * r**2 / (4 * RC**3) - 3 * r**4 / (8 * RC**5)
    if (a, b) in REPULSIONS:
        height, rho = REPULSIONS[a, b]
        tail = exp(-RC / rho) * (1 - x / rho + x**2 / (2 * rho**2))
        found += height * (exp(-r / rho) - tail)
    if (a, b) == (S, S):
        found -= 170 * (r**-6 - RC**-6 + 6 * x * RC**-7 - 21 * x**2 * RC**-8)
    if b == S and a in BONDS and r < 2.9:
        depth, steepness, rest, _ = BONDS[a]
        t = max(0.0, (r - 2.5) / 0.4)
        morse = exp(-2 * steepness * (r - rest)) - 2 * exp(-steepness * (r - rest))
        found += depth * morse * (1 - t**3 * (10 - 15 * t + 6 * t**2))
    return found


def naive_energy(numbers, positions, cell):
    """Sums over every image that could matter, and over angles at each center."""
    heights = 1 / np.linalg.norm(np.linalg.inv(cell), axis=0)
    positions = positions - np.floor(positions @ np.linalg.inv(cell)) @ cell
    most = np.ceil(RC / heights).astype(int) + 1
    shifts = [np.array(s) @ cell for s in product(*(range(-m, m + 1) for m in most))]
    total = 0.0
    for i, a in enumerate(numbers):
        ligands = []
        for j, b in enumerate(numbers):
            for shift in shifts:
                vector = positions[j] + shift - positions[i]
                r = np.linalg.norm(vector)
                if r >= RC or r == 0.0:
                    continue
                total += 0.5 * pair_energy(*((a, b) if (a, b) in ORDERED else (b, a)), r)
                if a in BONDS and b == S and r < 3.5:
                    ligands.append((vector / r, exp(1 / (r - 3.5))))
        for (u, h), (v, k) in combinations(ligands, 2):
            total += BONDS[a][3] * h * k * (u @ v + 1 / 3) ** 2
    return total


@pytest.mark.parametrize(
    "name, expected",
    [
        ("lgps", -210.484665),
        ("li3ps4", -147.347439),
        ("gamma-li3ps4", -73.988977),
        ("li4ges4", -128.397671),
    ],
)
def test_relaxed_crystals(name, expected):
    """Energies of the prototype, no forces, stress of at most 3 GPa (3.03 in Li3PS4)."""
    crystal = material(name)
    found = computed(*single(crystal.atomic_numbers, crystal.positions, crystal.cell))
    assert_allclose(found.energies, [expected], rtol=0, atol=1e-6)
    assert np.abs(found.forces).max() < 5e-5
    stress = -found.virials[0] / np.linalg.det(crystal.cell) * EV_PER_ANGSTROM3_IN_GPA
    assert np.abs(stress).max() < 3.05


@pytest.mark.parametrize("seed", range(4))
def test_energies_of_a_naive_twin(seed):
    """A distorted crystal, and small cells with many images of each atom."""
    numbers, positions, cell = distorted("gamma-li3ps4", seed, width=0.15)
    expected = naive_energy(numbers, positions, cell)
    assert_allclose(energy(numbers, positions, cell), expected, rtol=1e-11, atol=0)
    rng = np.random.default_rng(seed)
    numbers = np.array([GE, S, P, LI, S, LI])
    cell = 4.0 * (np.eye(3) + rng.uniform(-0.3, 0.3, (3, 3)))
    positions = rng.normal(0.0, 6.0, (6, 3))
    expected = naive_energy(numbers, positions, cell)
    assert_allclose(energy(numbers, positions, cell), expected, rtol=1e-11, atol=0)


@pytest.mark.parametrize("name", MATERIALS)
def test_forces_and_virials_are_derivatives(name):
    numbers, positions, cell = distorted(name, 0)
    found = computed(*single(numbers, positions, cell))
    step = 1e-5
    atoms = range(0, len(numbers), 3)
    slopes = np.zeros((len(atoms), 3))
    for row, k in product(range(len(atoms)), range(3)):
        for sign in (1, -1):
            moved = positions.copy()
            moved[atoms[row], k] += sign * step
            slopes[row, k] -= sign * energy(numbers, moved, cell) / (2 * step)
    assert_near(found.forces[::3], slopes, 1e-7)
    assert_near(found.forces.sum(axis=0) + 1.0, np.ones(3), 1e-11)
    virial = np.zeros((3, 3))
    for a, b in product(range(3), range(3)):
        for sign in (1, -1):
            strain = np.eye(3)
            strain[a, b] += sign * step
            virial[a, b] -= sign * energy(numbers, positions @ strain, cell @ strain) / (2 * step)
    assert_near(found.virials[0], virial, 1e-7)


@pytest.mark.parametrize("pair", [(LI, S), (S, S), (GE, LI), (LI, LI), (P, S), (GE, S)])
@pytest.mark.parametrize("r", [2.5, 2.9, 3.5, 6.0])
def test_pairs_are_smooth_where_terms_begin_and_end(pair, r):
    """No step in energy or force; at 6 Å both are gone, the force like the square."""
    step, cell = 1e-5, 20.0 * np.eye(3)
    found = []
    for sign in (-1, 1):
        positions = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, r + sign * step]])
        found.append(computed(*single(pair, positions, cell)))
    (before, after), force = [f.energies[0] for f in found], [f.forces[1, 2] for f in found]
    assert_allclose(before - after + 1.0, 1.0 + step * sum(force), rtol=0, atol=1e-11)
    assert abs(force[1] - force[0]) < 200.0 * step
    if r == 6.0:
        assert after == force[1] == 0.0
        assert 0.0 < abs(force[0]) < 10.0 * step**2


def test_angles_end_smoothly():
    """S–P–S with one sulfur about 3.5 Å: the force on the other one turns no corner."""
    cell, step = 20.0 * np.eye(3), 1e-3
    forces = []
    for r in 3.5 + step * np.arange(-60, 60):
        x = np.array([[0.0, 0.0, 0.0], [2.0, 0.0, 0.0], [0.0, r, 0.0]])
        forces.append(computed(*single([P, S, S], x, cell)).forces)
    second = np.diff(forces, n=2, axis=0) / step**2
    assert np.abs(np.diff(second, axis=0)).max() < 0.05
    bent, straight = (
        naive_energy([P, S, S], np.array([[0.0, 0, 0], [2.0, 0, 0], end]), cell)
        for end in ([0, 3.4, 0], [-3.4, 0, 0])
    )
    assert abs(bent - straight) > 1e-5


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=15, deadline=None)
def test_translation_rotation_and_order(seed):
    rng = np.random.default_rng(seed)
    numbers, positions, cell = distorted(MATERIALS[seed % 4], seed)
    base = computed(*single(numbers, positions, cell))
    rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    shuffled = rng.permutation(len(numbers))
    wrapped = positions + rng.integers(-2, 3, positions.shape) @ cell + rng.normal(size=3)
    moved = computed(*single(numbers[shuffled], wrapped[shuffled] @ rotation, cell @ rotation))
    assert_allclose(moved.energies, base.energies, rtol=1e-11, atol=0)
    assert_near(moved.forces, base.forces[shuffled] @ rotation, 1e-9)
    assert_near(moved.virials[0], rotation.T @ base.virials[0] @ rotation, 1e-9)


@pytest.mark.parametrize("shape", [(2, 1, 1), (1, 3, 2)])
def test_larger_cells_have_more_energy(shape):
    """The larger one has its pairs from the grid."""
    numbers, positions, cell = distorted("li4ges4", 1)
    base = computed(*single(numbers, positions, cell))
    images = [np.array(s) @ cell for s in product(*map(range, shape))]
    many = np.concatenate([positions + image for image in images])
    large = computed(*single(np.tile(numbers, len(images)), many, cell * np.array(shape)[:, None]))
    assert (len(many) >= GRID_ATOMS) == (len(images) == 6)
    assert_allclose(large.energies, len(images) * base.energies, rtol=1e-12, atol=0)
    assert_near(large.forces, np.tile(base.forces, (len(images), 1)), 1e-10)
    assert_near(large.virials, len(images) * base.virials, 1e-10)


def test_a_system_does_not_feel_its_batch():
    """Bit for bit, while all atoms wander and lists are built anew at different times."""
    rng = np.random.default_rng(2)
    parts = [distorted(name, k) for k, name in enumerate([*MATERIALS, *MATERIALS])]
    systems, positions = batch(parts)
    together = RefPot().evaluator(systems)
    alone = [RefPot().evaluator(single(*part)[0]) for part in parts]
    for _ in range(12):
        together.evaluate(positions, np.ones(len(parts), dtype=bool))
        for s, evaluator in enumerate(alone):
            atoms = slice(systems.first_atom[s], systems.first_atom[s + 1])
            evaluator.evaluate(positions[atoms], np.ones(1, dtype=bool))
            assert together.energies[s] == evaluator.energies[0]
            assert_array_equal(together.forces[atoms], evaluator.forces)
            assert_array_equal(together.virials[s], evaluator.virials[0])
        positions = positions + rng.normal(0.0, 0.06, positions.shape)


@pytest.mark.parametrize("drift", [0.0, 0.1, 0.7], ids=["near", "far", "very far"])
def test_results_do_not_depend_on_where_lists_were_built(drift):
    """Bit for bit: a list that is carried on, one that is restored, new ones, other skins."""
    rng = np.random.default_rng(3)
    systems, positions = all_distorted(5)
    active = np.ones(4, dtype=bool)
    carried = RefPot().evaluator(systems)
    for _ in range(10):
        carried.evaluate(positions, active)
        positions = positions + rng.normal(0.0, 0.04, positions.shape) + drift
    restored = RefPot().evaluator(systems)
    restored.restore(carried.state())
    others = [RefPot(skin=skin).evaluator(systems) for skin in (0.0, 0.3, 1.7)]
    carried.evaluate(positions, active)
    for other in (restored, *others):
        other.evaluate(positions, active)
        assert_array_equal(other.energies, carried.energies)
        assert_array_equal(other.forces, carried.forces)
        assert_array_equal(other.virials, carried.virials)
    for name, value in restored.state().items():
        assert_array_equal(value, carried.state()[name])


def test_the_state_says_which_systems_have_lists():
    systems, positions = all_distorted(6)
    evaluator = RefPot().evaluator(systems)
    active = np.array([True, False, True, False])
    evaluator.evaluate(positions, active)
    state = evaluator.state()
    assert_array_equal(state["has_list"], active)
    evaluator.evaluate(positions + 5.0, active)  # the state is a copy
    own = active[np.repeat(np.arange(4), np.diff(systems.first_atom))]
    assert_array_equal(state["list_positions"][own], positions[own])


def test_systems_that_are_not_active_keep_what_they_have():
    systems, positions = all_distorted(7)
    evaluator = computed(systems, positions)
    energies, forces = evaluator.energies.copy(), evaluator.forces.copy()
    evaluator.evaluate(positions * 1.01, np.array([False, True, False, False]))
    atoms = slice(systems.first_atom[1], systems.first_atom[2])
    changed = np.zeros(len(forces), dtype=bool)
    changed[atoms] = True
    assert evaluator.energies[1] != energies[1]
    assert_array_equal(evaluator.energies[[0, 2, 3]], energies[[0, 2, 3]])
    assert (evaluator.forces[changed] != forces[changed]).all()
    assert_array_equal(evaluator.forces[~changed], forces[~changed])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_lost_atoms_spoil_their_own_system_only(bad):
    systems, positions = all_distorted(8)
    good = computed(systems, positions)
    spoiled = positions.copy()
    spoiled[systems.first_atom[2] + 1, 1] = bad
    for evaluator in (RefPot().evaluator(systems), good):
        evaluator.evaluate(spoiled, np.ones(4, dtype=bool))
        own = slice(systems.first_atom[2], systems.first_atom[3])
        assert_array_equal(np.isnan(evaluator.energies), [False, False, True, False])
        assert np.isnan(evaluator.forces[own]).all()
        assert np.isfinite(np.delete(evaluator.forces, own, axis=0)).all()
        assert np.isnan(evaluator.virials[2]).all()
    good.evaluate(positions, np.ones(4, dtype=bool))
    assert_array_equal(good.energies, computed(systems, positions).energies)


def test_atoms_in_one_place_do_not_stop_the_others():
    systems, positions = all_distorted(9)
    positions[1] = positions[0]
    evaluator = computed(systems, positions)
    assert not np.isfinite(evaluator.energies[0])
    assert np.isfinite(evaluator.energies[1:]).all()


def test_crowded_atoms_find_room_in_their_list():
    """A clump in an empty cell has many times the pairs that its density lets expect."""
    rng = np.random.default_rng(10)
    clump = (rng.choice([LI, S], 80), rng.uniform(0.0, 5.0, (80, 3)), 40.0 * np.eye(3))
    parts = [distorted("lgps", 10), clump, distorted("li4ges4", 11)]
    together = computed(*batch(parts))
    n = 80 * 79 / 2
    assert together._lists.far.kind_starts[1, -1] > 0.9 * n
    for s, part in enumerate(parts):
        assert together.energies[s] == energy(*part)
    expected = naive_energy(*(part[:20] if k < 2 else part for k, part in enumerate(clump)))
    found = energy(clump[0][:20], clump[1][:20], clump[2])
    assert_allclose(found, expected, rtol=1e-11, atol=0)


def test_arrays_of_other_kinds_are_taken():
    """Read-only, strided, in single precision."""
    numbers, positions, cell = distorted("lgps", 12)
    positions = positions.astype(np.float32)
    base = computed(*single(numbers, positions.astype(float), cell))
    strided = np.repeat(positions, 2, axis=0)[::2]
    strided.flags.writeable = cell.flags.writeable = False
    found = computed(*single(numbers, strided, cell))
    assert_array_equal(found.energies, base.energies)


def test_no_system_is_no_work():
    empty = Systems(np.zeros(0, dtype=np.int64), np.zeros((0, 3, 3)), np.zeros(1, dtype=np.int64))
    evaluator = computed(empty, np.zeros((0, 3)))
    assert evaluator.energies.shape == (0,)


def test_other_elements_are_refused_by_name():
    systems, _ = single([3, 17, 16, 35], np.zeros((4, 3)), 9.0 * np.eye(3))
    with pytest.raises(InputError, match=r"refpot-v1: expected only Ge, Li, P, S, found Br, Cl"):
        RefPot().evaluator(systems)


def test_a_flat_cell_is_refused():
    systems, _ = single([3], np.zeros((1, 3)), np.diag([5.0, 5.0, 0.0]))
    with pytest.raises(InputError, match="cell of system 0"):
        RefPot().evaluator(systems)


def test_the_label_names_the_parameters():
    label = RefPot().label
    digest = PARAMETERS.digest()
    assert label == (
        "synthetic-refpot-v1 (analytic toy potential, not DFT), parameters " + digest[:8]
    )
    assert Parameters().digest() == digest
    for other in (
        Parameters(cutoff=6.1),
        Parameters(charges={**PARAMETERS.charges, "Li": 0.93}),
        Parameters(switch=(2.5, 2.91)),
        Parameters(dispersions={("S", "S"): 171.0}),
    ):
        assert other.digest() != digest
        assert RefPot(other).label != label


def test_other_parameters_change_their_term_alone():
    """Without charges, repulsion and dispersion two P–S pairs are bonds."""
    bare = Parameters(charges=dict.fromkeys(PARAMETERS.charges, 0.0), repulsions={}, dispersions={})
    systems, x = single([P, S], np.array([[0.0, 0, 0], [0, 0, 2.002]]), 20.0 * np.eye(3))
    found = computed(systems, x, parameters=bare)
    assert_allclose(found.energies, [-5.0], rtol=1e-14, atol=0)
    assert np.abs(found.forces).max() < 1e-13
