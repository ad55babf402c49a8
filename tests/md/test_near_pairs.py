"""Pairs below the limit of their elements: both back ends against all images of all pairs."""

import dataclasses
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from mdbench.md import near_pairs_torch
from mdbench.md.kernels import CpuMoves
from mdbench.md.kernels_torch import TorchMoves
from mdbench.md.limits import PAIR, PAIR_LIMIT, TRAINING_FACTOR, closest_pair
from mdbench.md.settings import MDSettings
from mdbench.md.state import Run, copy, initial_state
from mdbench.potentials.materials import material
from tests.md.little import crystal

NVE = MDSettings(ensemble="nve")
SYMBOLS = {3: "Li", 15: "P", 16: "S", 32: "Ge"}
PAIRS = ("Li-Li", "Li-P", "Li-S", "P-P", "P-S", "S-S")


def limit(one, other, closest):
    name = "-".join(sorted((SYMBOLS[one], SYMBOLS[other])))
    return max(PAIR_LIMIT, TRAINING_FACTOR * closest.get(name, 0.0))


def naive(numbers, positions, cell, closest):
    """The lowest distance over limit, that distance and its atoms: every pair, many images."""
    heights = 1.0 / np.linalg.norm(np.linalg.inv(cell), axis=0)
    most = np.ceil(max(closest.values(), default=0.3) / heights).astype(int) + 1
    images = np.array(list(product(*(range(-n, n + 1) for n in most)))) @ cell
    best = np.inf, np.inf, 0, 0
    for j in range(len(numbers)):
        for i in range(j):
            d = positions[j] - positions[i]
            d = d - np.floor(d @ np.linalg.inv(cell)) @ cell
            distance = np.linalg.norm(d + images, axis=1).min()
            best = min(best, (distance / limit(numbers[i], numbers[j], closest), distance, i, j))
    return best


def look(state, positions, closest):
    """What both back ends find."""
    found = []
    for moves in (
        CpuMoves(copy(state), NVE, closest),
        TorchMoves(state, NVE, torch.device("cpu"), closest),
    ):
        own = moves.state.positions
        own[:] = positions if isinstance(own, np.ndarray) else torch.tensor(positions)
        moves.look_at_pairs()
        found.append(moves.on_host())
    return found


def assert_right(found, state, positions, closest):
    for after in found:
        for s, cell in enumerate(state.cells):
            atoms = slice(*state.first_atom[s : s + 2])
            numbers = state.atomic_numbers[atoms]
            ratio, distance, i, j = naive(numbers, positions[atoms], cell, closest)
            assert after.active[s] == (ratio >= 1.0)
            assert after.end_codes[s] == (0 if ratio >= 1.0 else PAIR)
            if ratio < 1.0:
                assert_allclose(after.end_values[s], distance, rtol=1e-9, atol=0)
                assert_array_equal(after.end_atoms[s], [i, j])


@given(
    st.integers(0, 2**32 - 1),
    st.dictionaries(st.sampled_from(PAIRS), st.floats(0.1, 3.0), max_size=6),
    st.floats(1.0, 12.0),
)
@settings(deadline=None, max_examples=40)
def test_any_limits_in_cells_of_any_shape(seed, closest, size):
    """Some limits are longer than half the width of a cell, some than all of it."""
    rng = np.random.default_rng(seed)
    state = initial_state([crystal(n) for n in (1, 2, 5, 8)], NVE)
    cells = size * (np.eye(3) + 0.4 * rng.uniform(-1.0, 1.0, (4, 3, 3)))
    cells *= rng.uniform(0.5, 2.0, (4, 3, 1))
    state = dataclasses.replace(state, cells=cells)
    positions = rng.uniform(-2.0 * size, 2.0 * size, state.positions.shape)
    assert_right(look(state, positions, closest), state, positions, closest)


def test_distances_of_a_real_crystal():
    """Li10GeP2S12: P and Ge are farther from each other than half the width of the cell."""
    rng = np.random.default_rng(3)
    lgps = material("lgps")
    run = Run("lgps", lgps.atomic_numbers, lgps.positions, lgps.cell, 800.0)
    state = initial_state([run] * 3, NVE)
    positions = state.positions + 0.05 * rng.standard_normal(state.positions.shape)
    apart = {"Ge-P": 5.0, "Ge-Ge": 5.0, "P-P": 6.5, "P-S": 2.0}
    found = look(state, positions, apart)
    assert_right(found, state, positions, apart)
    names = {SYMBOLS[n] for n in lgps.atomic_numbers[found[0].end_atoms[0]]}
    assert found[0].end_values[0] > 0.5 * 8.69
    assert names <= {"Ge", "P"}


def test_one_limit_for_all_finds_the_closest_pair():
    rng = np.random.default_rng(1)
    state = initial_state([crystal(30)], NVE)
    for _ in range(20):
        positions = rng.uniform(-20.0, 20.0, state.positions.shape)
        positions[7] = positions[21] + rng.uniform(0.0, 0.2, 3)
        distance, i, j = closest_pair(positions, state.cells[0])
        for after in look(state, positions, {}):
            assert after.active[0] == (distance == np.inf)
            if distance < np.inf:
                assert_allclose(after.end_values[0], distance, rtol=1e-9, atol=0)
                assert_array_equal(after.end_atoms[0], [i, j])


def test_the_pair_that_is_furthest_below_relative_to_its_limit_is_named():
    """Li-P at 1.2 of 1.7 Å, not Li-S at 1.1 of 1.275 Å."""
    state = initial_state([crystal(27)], NVE)
    assert state.atomic_numbers[:6].tolist() == [3, 16, 15] * 2
    positions = state.positions.copy()
    positions[4] = positions[0] + [0.0, 0.0, 1.1]
    positions[5] = positions[3] + [1.2, 0.0, 0.0]
    closest = {"Li-S": 1.5, "Li-P": 2.0}
    for after in look(state, positions, closest):
        assert_array_equal(after.end_atoms[0], [3, 5])
        assert_allclose(after.end_values[0], 1.2, rtol=1e-12, atol=0)


def test_an_atom_and_its_own_image_are_no_pair():
    state = initial_state([crystal(1, numbers=(16,))], NVE)
    state = dataclasses.replace(state, cells=2.0 * np.eye(3)[None])
    for after in look(state, state.positions, {"S-S": 3.0}):
        assert after.active.all()


@pytest.mark.parametrize("block", [1, 60, 1000])
def test_blocks_do_not_matter(block, monkeypatch):
    monkeypatch.setattr(near_pairs_torch, "_BLOCK_PAIRS", block)
    rng = np.random.default_rng(5)
    state = initial_state([crystal(9), crystal(14), crystal(3)], NVE)
    state = dataclasses.replace(state, cells=0.6 * state.cells)
    closest = {"Li-S": 2.5, "P-P": 4.5}
    positions = state.positions + rng.uniform(-1.0, 1.0, state.positions.shape)
    assert_right(look(state, positions, closest), state, positions, closest)
