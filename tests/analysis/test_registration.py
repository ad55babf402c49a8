"""Frameworks put onto each other: moved, wrapped, shuffled, swollen; and what does not fit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from mdbench.analysis.motion import ion_motion
from mdbench.analysis.registration import Framework, registration, scaled_paths
from mdbench.errors import InputError
from mdbench.walks import Walk, walkers

CELL = np.array([[8.0, 0.4, 0.1], [3.0, 7.0, -0.2], [-1.0, 2.5, 9.0]])


def random_framework(rng, n=(4, 12)):
    """Atoms that keep 1.6 Å apart, P and S."""
    scaled = [rng.random(3)]
    while len(scaled) < sum(n):
        tried = rng.random(3)
        apart = np.array(scaled) - tried
        apart -= np.rint(apart)
        if np.linalg.norm(apart @ CELL, axis=1).min() > 1.6:
            scaled.append(tried)
    return Framework(np.repeat([15, 16], n), np.array(scaled) @ CELL, CELL)


def changed(framework, rng, *, offset, noise=0.1, scale=1.0, order=None):
    """The framework moved by −offset (fractional), each atom in any cell."""
    n = len(framework.positions)
    order = np.arange(n) if order is None else order
    scaled = framework.scaled - offset + rng.integers(-2, 3, (n, 3))
    cell = scale * framework.cell
    positions = scaled @ cell + rng.normal(0.0, noise, (n, 3))
    return Framework(framework.atomic_numbers[order], positions[order], cell)


def assert_same_offset(found, offset, within):
    apart = found.offset - offset
    apart -= np.rint(apart)
    assert np.linalg.norm(apart @ CELL) < within
    assert (np.abs(found.offset) <= 0.5 + 1e-12).all()


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    offset=st.tuples(*[st.floats(-1.0, 1.0)] * 3),
    scale=st.floats(0.95, 1.06),
    shuffled=st.booleans(),
)
def test_the_translation_is_found(seed, offset, scale, shuffled):
    rng = np.random.default_rng(seed)
    reference = random_framework(rng)
    order = rng.permutation(16) if shuffled else None
    moved = changed(reference, rng, offset=offset, scale=scale, order=order)
    found = registration(moved, reference)
    assert_same_offset(found, offset, 0.15)
    assert found.matched == 1.0
    assert 0.05 < found.rms < 0.3


def test_the_same_framework_stays_where_it_is():
    reference = random_framework(np.random.default_rng(0))
    found = registration(reference, reference)
    assert_allclose(found.offset, 0.0, rtol=0, atol=1e-12)
    assert (found.matched, found.rms < 1e-9) == (1.0, True)


def test_atoms_of_one_element_in_another_order():
    rng = np.random.default_rng(3)
    reference = random_framework(rng)
    order = np.concatenate([rng.permutation(4), 4 + rng.permutation(12)])
    moved = changed(reference, rng, offset=(0.3, -0.2, 0.45), order=order)
    assert_array_equal(moved.atomic_numbers, reference.atomic_numbers)
    found = registration(moved, reference)
    assert_same_offset(found, (0.3, -0.2, 0.45), 0.15)
    assert found.matched == 1.0


def test_of_the_translations_of_a_crystal_the_shortest_is_taken():
    """Two cells of one crystal, listed in another order: half a lattice vector fits as well."""
    rng = np.random.default_rng(1)
    half = random_framework(rng)
    doubled = np.diag([2.0, 1.0, 1.0]) @ CELL
    positions = np.concatenate([half.positions, half.positions + CELL[0]])
    reference = Framework(np.tile(half.atomic_numbers, 2), positions, doubled)
    order = rng.permutation(32)
    moved = changed(reference, rng, offset=(0.04, 0.02, 0.0), noise=0.1, order=order)
    found = registration(moved, reference)
    assert_allclose(found.offset, (0.04, 0.02, 0.0), rtol=0, atol=0.02)


def test_a_few_atoms_that_moved_do_not_move_the_others():
    rng = np.random.default_rng(2)
    reference = random_framework(rng)
    moved = changed(reference, rng, offset=(0.1, 0.2, 0.3), noise=0.0)
    positions = moved.positions.copy()
    positions[4:7] += 3.0
    found = registration(Framework(moved.atomic_numbers, positions, moved.cell), reference)
    assert_same_offset(found, (0.1, 0.2, 0.3), 1e-6)
    assert_allclose(found.matched, 13 / 16, rtol=1e-12, atol=0)


def test_the_same_atoms_are_accepted_even_from_a_melt():
    rng = np.random.default_rng(4)
    reference = random_framework(rng)
    melt = Framework(reference.atomic_numbers, rng.random((16, 3)) @ CELL, CELL)
    found = registration(melt, reference)
    assert found.matched < 1.0
    assert found.rms > 0.5


def test_another_material_is_refused():
    rng = np.random.default_rng(5)
    with pytest.raises(InputError, match=r"another framework.*expected 16 atoms.*found 18 atoms"):
        registration(random_framework(rng, (4, 14)), random_framework(rng))


def test_another_structure_is_refused():
    rng = np.random.default_rng(6)
    reference = random_framework(rng, (4, 4))
    scaled = rng.random((8, 3)) * (0.05, 1.0, 1.0)
    other = Framework(reference.atomic_numbers[::-1], scaled @ CELL, CELL)
    with pytest.raises(InputError, match="does not fit the reference's"):
        registration(other, reference)


def test_paths_are_fractional_and_unwrapped():
    run = walkers(Walk(n_ions=3, hops_per_ps=0.5, rattle=0.2), 50, np.random.default_rng(0))
    motion = ion_motion(run, "Li")
    paths = scaled_paths(motion, (0.25, 0.0, -0.5))
    assert len(paths) == 3
    expected = run.positions[:, -3:] @ np.linalg.inv(run.cells[0]) + (0.25, 0.0, -0.5)
    for ion, path in enumerate(paths):
        assert_allclose(path, expected[:, ion].T, rtol=1e-12, atol=1e-12)
    assert_array_equal(paths[1:][1], paths[2])
    with pytest.raises(IndexError):
        paths[3]
