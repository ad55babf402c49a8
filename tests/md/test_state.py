"""Runs and initial states: what is refused, momenta, closest pairs."""

import dataclasses
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from mdbench.errors import InputError
from mdbench.md.limits import closest_pair, kinetic_limits
from mdbench.md.settings import MDSettings
from mdbench.md.state import initial_state
from mdbench.units import AMU_ANGSTROM2_PER_FS2_IN_EV, BOLTZMANN_EV_PER_K
from tests.md.little import argon, crystal


def kinetic(state, s):
    atoms = slice(*state.first_atom[s : s + 2])
    return (state.momenta[atoms] ** 2 / state.masses[atoms, None]).sum() / 2.0


def total(state, s):
    return state.momenta[slice(*state.first_atom[s : s + 2])].sum(axis=0)


@pytest.mark.parametrize("ensemble", ["nve", "nose-hoover", "csvr"])
def test_momentum_is_zero_and_the_ramp_starts_exactly(ensemble):
    state = initial_state([crystal(20), crystal(7, 900.0)], MDSettings(ensemble=ensemble))
    assert_array_equal(state.degrees_of_freedom, [57, 18])
    for s in range(2):
        start = 0.5 * state.degrees_of_freedom[s] * BOLTZMANN_EV_PER_K * 100.0
        assert_allclose([kinetic(state, s), state.kinetic_energies[s]], start, rtol=1e-12, atol=0)
        assert np.abs(total(state, s)).max() < 1e-13 * np.abs(state.momenta).max()


def test_langevin_and_a_single_atom_keep_all_degrees_of_freedom():
    langevin = initial_state([crystal(20)], MDSettings(ensemble="langevin"))
    assert_array_equal(langevin.degrees_of_freedom, [60])
    assert np.abs(total(langevin, 0)).min() > 0.0
    alone = initial_state([crystal(1)], MDSettings())
    assert_array_equal(alone.degrees_of_freedom, [3])
    start = 1.5 * BOLTZMANN_EV_PER_K * 100.0
    assert_allclose(kinetic(alone, 0), start, rtol=1e-12, atol=0)


def test_without_a_ramp_velocities_are_canonical_at_the_target():
    runs = [crystal(4, 500.0, replica=r) for r in range(2000)]
    state = initial_state(runs, MDSettings(ramp_ps=0.0))
    scaled = state.kinetic_energies / (BOLTZMANN_EV_PER_K * 500.0)  # Gamma(9/2)
    assert abs(scaled.mean() - 4.5) < 4.0 * np.sqrt(4.5 / 2000)
    assert abs(scaled.var() / 4.5 - 1.0) < 4.0 * np.sqrt((2.0 + 6.0 / 4.5) / 2000)


def test_a_run_starts_alike_in_any_batch():
    runs = [crystal(9, replica=1), crystal(30, 700.0), argon()]
    settings = MDSettings(seed=4)
    batch = initial_state(runs, settings)
    for s, run in enumerate(runs):
        alone = initial_state([run], settings)
        assert_array_equal(alone.momenta, batch.momenta[slice(*batch.first_atom[s : s + 2])])
        assert alone.kinetic_energies[0] == batch.kinetic_energies[s]
    other = initial_state(runs, dataclasses.replace(settings, seed=5))
    assert not (other.momenta == batch.momenta).any()


def test_masses_are_those_of_the_elements_unless_given():
    lithium = crystal(2, numbers=(3,))
    masses = initial_state([lithium], MDSettings()).masses
    assert_allclose(masses, 6.94 * AMU_ANGSTROM2_PER_FS2_IN_EV, rtol=1e-9, atol=0)
    heavy = dataclasses.replace(lithium, masses=np.array([7.016, 7.016]))
    masses = initial_state([heavy], MDSettings()).masses
    assert_allclose(masses, 7.016 * AMU_ANGSTROM2_PER_FS2_IN_EV, rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"temperature_k": 0.0}, r"^crystal: temperature: expected K, above zero, found 0$"),
        ({"temperature_k": -5.0}, r"^crystal: temperature: "),
        ({"cell": np.ones((3, 3))}, r"^crystal: cell: expected three lattice vectors"),
        ({"cell": np.diag([9.0, 9.0, 0.5])}, r"^crystal: cell: expected wider than 0.6 A"),
        ({"positions": np.zeros((5, 3))}, r"^crystal: positions: expected shape"),
        ({"positions": np.full((8, 3), np.nan)}, r"^crystal: positions: expected finite"),
        ({"atomic_numbers": np.array([], dtype=int)}, r"^crystal: atomic_numbers: expected shape"),
        (
            {"atomic_numbers": np.full(8, 500), "masses": np.empty(0)},
            r"^atomic number: expected an element, found 500$",
        ),
        ({"masses": np.zeros(8)}, r"^crystal: masses: expected amu, above zero$"),
    ],
)
def test_senseless_runs_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        dataclasses.replace(crystal(8), **change)


def test_overlapping_atoms_are_refused_across_the_boundary_too():
    run = crystal(8)
    positions = np.array(run.positions)
    positions[5] = positions[2] + [0.1, 6.0, -12.1]  # two images away
    message = r"^crystal: overlapping atoms: expected 0.3 A or more, found 0.141 A between atoms 2"
    with pytest.raises(InputError, match=message):
        dataclasses.replace(run, positions=positions)


def test_no_runs():
    with pytest.raises(InputError, match="at least one run"):
        initial_state([], MDSettings())


def brute_force(positions, cell):
    """All pairs, all images around."""
    images = np.array(list(product((-1, 0, 1), repeat=3))) @ cell
    inverse = np.linalg.inv(cell)
    best = np.inf
    for i in range(len(positions)):
        for j in range(i):
            d = positions[i] - positions[j]
            d = d - np.rint(d @ inverse) @ cell
            best = min(best, np.linalg.norm(d + images, axis=1).min())
    return best


@given(st.integers(0, 10_000), st.integers(1, 12))
def test_closest_pair_is_the_brute_force_one(seed, n_atoms):
    rng = np.random.default_rng(seed)
    cell = np.eye(3) * rng.uniform(1.0, 3.0, 3) + 0.4 * rng.standard_normal((3, 3))
    if 1.0 / np.linalg.norm(np.linalg.inv(cell), axis=0).max() <= 0.6:
        return
    positions = rng.uniform(-5.0, 5.0, (n_atoms, 3))
    expected = brute_force(positions, cell)
    distance, i, j = closest_pair(positions, cell)
    if expected < 0.3:
        assert_allclose(distance, expected, rtol=1e-9, atol=0)
        assert_allclose(brute_force(positions[[i, j]], cell), expected, rtol=1e-9, atol=0)
        assert i < j
    else:
        assert distance == np.inf


def test_limits_are_ten_targets_except_for_few_atoms():
    freedoms = np.array([3, 6, 9, 150])
    limits = kinetic_limits(np.full(4, 800.0), freedoms)
    factors = limits / (0.5 * freedoms * BOLTZMANN_EV_PER_K * 800.0)
    assert factors[0] > 19.0
    assert factors[1] > 10.0
    assert_allclose(factors[2:], 10.0, rtol=1e-12, atol=0)
