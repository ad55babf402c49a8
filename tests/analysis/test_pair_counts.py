"""Counting pairs: both CPU methods and torch against a twin that goes through all images."""

import subprocess
import sys
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from pymatgen.optimization.neighbors import find_points_in_spheres

from mdbench.analysis import pair_counts, pair_counts_torch
from mdbench.analysis.pair_counts import count_pairs
from mdbench.analysis.pairs import PairCounts, bin_count, pair_index, species_pairs
from mdbench.errors import InputError

DR = 0.051  # no multiple of a lattice constant of the tests
METHODS = ("all pairs", "grid")
SKEWED = np.array([[4.0, 0.0, 0.0], [9.5, 3.0, 0.0], [-7.1, 8.2, 5.0]])
SEEDS = st.integers(0, 2**32 - 1)


def twin(positions, cells, species, r_max, dr):
    """Every unordered pair with every image in a range that surely holds the sphere."""
    n_bins, rows = bin_count(r_max, dr), pair_index(species.max() + 1)
    counts = np.zeros((rows.max() + 1, n_bins), dtype=np.int64)
    volume_counts = np.zeros(counts.shape)
    for frame, cell in zip(positions.astype(np.float64), cells, strict=True):
        inverse = np.linalg.inv(cell)
        wrapped = (frame @ inverse) % 1.0 @ cell
        most = np.ceil(r_max * np.linalg.norm(inverse, axis=0)).astype(int) + 1
        images = np.array(list(product(*(range(-m, m + 1) for m in most)))) @ cell
        found = np.zeros_like(counts)
        for i in range(len(frame)):
            for j in range(i + 1):
                bins = np.floor(np.linalg.norm(wrapped[i] - wrapped[j] + images, axis=1) / dr)
                one = np.bincount(bins[bins < n_bins].astype(int), minlength=n_bins)
                if i == j:
                    one[0] -= 1  # the atom itself
                    one //= 2  # n and −n are one pair
                found[rows[species[i], species[j]]] += one
        counts += found
        volume_counts += found * abs(np.linalg.det(cell))
    return counts, volume_counts


def random_cell(rng):
    while True:
        cell = rng.normal(size=(3, 3)) * 4.0
        if abs(np.linalg.det(cell)) > 30.0:
            return cell


def random_frames(rng, n_frames, n_atoms, *, moves=5.0, strain=0.0):
    """Atoms that move a little or many cells from frame to frame."""
    cells = [random_cell(rng)]
    while len(cells) < n_frames:
        cell = cells[0] * (1.0 + strain * rng.normal(size=(3, 3)))
        if abs(np.linalg.det(cell)) > 30.0:
            cells.append(cell)
    start = rng.normal(size=(n_atoms, 3)) * 5.0
    return start + moves * rng.normal(size=(n_frames, n_atoms, 3)), np.array(cells)


def assert_same(found: PairCounts, expected):
    counts, volume_counts = expected
    assert_array_equal(found.counts, counts)
    assert_allclose(found.volume_counts, volume_counts, rtol=1e-11, atol=0)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("moves, strain", [(0.1, 0.0), (50.0, 0.0), (0.1, 0.02), (5.0, 0.3)])
def test_every_method_counts_what_the_twin_counts(seed, moves, strain):
    rng = np.random.default_rng([seed, int(100 * moves), int(100 * strain)])
    positions, cells = random_frames(rng, 4, 7, moves=moves, strain=strain)
    species = rng.integers(0, 3, 7)
    expected = twin(positions, cells, species, 7.0, DR)
    assert expected[0].sum() > 100
    for method in METHODS:
        assert_same(count_pairs(positions, cells, species, 7.0, DR, method=method), expected)
    assert_same(pair_counts_torch.count_pairs(positions, cells, species, 7.0, DR), expected)


def test_a_skewed_cell_and_a_cutoff_of_several_cells():
    rng = np.random.default_rng(1)
    positions, species = rng.normal(size=(2, 3, 3)) * 30.0, np.array([1, 0, 1])
    cells = np.repeat(SKEWED[None], 2, axis=0)
    expected = twin(positions, cells, species, 15.0, DR)
    for method in METHODS:
        assert_same(count_pairs(positions, cells, species, 15.0, DR, method=method), expected)
    assert_same(pair_counts_torch.count_pairs(positions, cells, species, 15.0, DR), expected)


def test_a_single_atom_sees_its_own_images():
    cells, species = np.eye(3)[None] * 3.3, np.zeros(1, dtype=int)
    counts = count_pairs(np.zeros((1, 1, 3)), cells, species, 6.0, DR).counts
    shells = [3.3, 3.3 * 2**0.5, 3.3 * 3**0.5]
    expected = np.zeros(bin_count(6.0, DR), dtype=int)
    expected[[int(r / DR) for r in shells]] = [3, 6, 4]  # half of 6, 12, 8
    assert_array_equal(counts, [expected])


def test_a_distance_on_an_edge_belongs_to_the_bin_above():
    cells = np.eye(3)[None] * 16.0
    positions = np.array([[[1.0, 1.0, 1.0], [3.0, 1.0, 1.0]]])  # 2 Å in bins of 1/4 Å
    for method in METHODS:
        found = count_pairs(positions, cells, np.zeros(2, dtype=int), 4.0, 0.25, method=method)
        assert_array_equal(np.flatnonzero(found.counts[0]), [8])


def test_many_blocks_and_runs_of_equal_cells():
    rng = np.random.default_rng(2)
    positions = rng.normal(size=(700, 2, 3)) * 3.0
    cells = np.repeat(np.array([random_cell(rng) for _ in range(7)]), 100, axis=0)
    species = np.array([0, 1])
    expected = twin(positions, cells, species, 4.0, DR)
    for method in METHODS:
        assert_same(count_pairs(positions, cells, species, 4.0, DR, method=method), expected)
    found = pair_counts_torch.count_pairs(positions, cells, species, 4.0, DR, chunk_bytes=20_000)
    assert_same(found, expected)
    assert found.n_frames == 700
    assert_allclose(found.volume_sum, abs(np.linalg.det(cells)).sum(), rtol=1e-12, atol=0)


@pytest.mark.parametrize("n_atoms", [60, 400])
def test_grid_and_all_pairs_agree_on_larger_cells(n_atoms):
    rng = np.random.default_rng(n_atoms)
    cell = random_cell(rng)
    cell *= (20.0 * n_atoms / abs(np.linalg.det(cell))) ** (1 / 3)
    positions = rng.random((3, n_atoms, 3)) @ cell
    cells, species = np.repeat(cell[None], 3, axis=0), rng.integers(0, 4, n_atoms)
    pairs = count_pairs(positions, cells, species, 6.0, DR, method="all pairs")
    grid = count_pairs(positions, cells, species, 6.0, DR, method="grid")
    torched = pair_counts_torch.count_pairs(
        positions, cells, species, 6.0, DR, chunk_bytes=2_000_000
    )
    assert pairs.counts.sum() > 50 * n_atoms
    assert_array_equal(grid.counts, pairs.counts)
    assert_array_equal(torched.counts, pairs.counts)


def test_the_method_follows_the_size_of_the_cell(monkeypatch):
    used = []
    for name in ("_count_all_pairs", "_count_by_grid"):
        original = getattr(pair_counts, name)

        def spy(*arguments, name=name, original=original):
            used.append(name)
            return original(*arguments)

        monkeypatch.setattr(pair_counts, name, spy)
    rng = np.random.default_rng(3)
    for n_frames, n_atoms in ((300, 50), (1, 5000)):
        cells = np.repeat(np.eye(3)[None] * (20.0 * n_atoms) ** (1 / 3), n_frames, axis=0)
        positions = rng.random((n_frames, n_atoms, 3)) @ cells[0]
        count_pairs(positions, cells, np.zeros(n_atoms, dtype=int), 5.0, DR)
    assert used == ["_count_all_pairs", "_count_by_grid"]


@pytest.mark.parametrize("method", METHODS)
def test_threads_change_nothing(method):
    rng = np.random.default_rng(4)
    positions, cells = random_frames(rng, 3000, 5, moves=0.3, strain=0.01)
    species = np.array([0, 0, 1, 1, 2])
    one, two = (
        count_pairs(positions, cells, species, 4.0, DR, method=method, threads=n) for n in (1, 2)
    )
    assert_array_equal(one.counts, two.counts)
    assert_array_equal(one.volume_counts, two.volume_counts)
    assert one.volume_sum == two.volume_sum


@pytest.mark.parametrize("method", METHODS)
def test_float32_and_read_only_positions(method):
    rng = np.random.default_rng(5)
    positions, cells = random_frames(rng, 20, 6)
    single, species = positions.astype(np.float32), np.array([0, 0, 1, 1, 2, 2])
    single.flags.writeable = False
    found = count_pairs(single, cells, species, 6.0, DR, method=method)
    exact = count_pairs(single.astype(np.float64), cells, species, 6.0, DR, method=method)
    assert_array_equal(found.counts, exact.counts)
    torched = pair_counts_torch.count_pairs(torch.tensor(single), cells, species, 6.0, DR)
    assert_array_equal(torched.counts, exact.counts)


def test_a_right_peer_counts_the_same():
    rng = np.random.default_rng(6)
    cell = np.array([[8.71, 0.0, 0.0], [0.05, 8.72, 0.0], [0.11, 0.03, 12.63]])
    positions = rng.random((1, 50, 3)) @ cell
    _, _, _, distances = find_points_in_spheres(
        positions[0], positions[0], 10.0, np.ones(3, dtype=np.int64), cell, 1e-8
    )
    n_bins = bin_count(10.0, DR)
    bins = np.floor(distances[distances > 1e-8] / DR).astype(int)
    ordered = np.bincount(bins[bins < n_bins], minlength=n_bins)
    found = count_pairs(positions, cell[None], np.zeros(50, dtype=int), 10.0, DR)
    assert_array_equal(2 * found.counts[0], ordered)


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, method=st.sampled_from(METHODS))
def test_invariances(seed, method):
    """Translation, order of atoms, lattice vectors added to atoms, other lattice vectors."""
    rng = np.random.default_rng(seed)
    positions, cells = random_frames(rng, 3, 6)
    species = rng.integers(0, 2, 6)
    species[0] = 1

    def counts(positions, cells, species):
        return count_pairs(positions, cells, species, 6.0, DR, method=method).counts

    expected = counts(positions, cells, species)
    assert_array_equal(counts(positions + rng.normal(size=3) * 9.0, cells, species), expected)
    order = rng.permutation(6)
    assert_array_equal(counts(positions[:, order], cells, species[order]), expected)
    shifts = rng.integers(-5, 6, size=positions.shape) @ cells
    assert_array_equal(counts(positions + shifts, cells, species), expected)
    assert_array_equal(counts(positions, unimodular(rng) @ cells, species), expected)


def unimodular(rng):
    """(3, 3) integers of determinant ±1."""
    lower, upper = (np.eye(3, dtype=int) for _ in range(2))
    lower[np.tril_indices(3, -1)] = rng.integers(-2, 3, 3)
    upper[np.triu_indices(3, 1)] = rng.integers(-2, 3, 3)
    return (lower @ upper)[rng.permutation(3)]


def test_rows_are_the_unordered_pairs():
    assert species_pairs(3) == [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)]
    table = pair_index(3)
    assert [table[a, b] for a, b in species_pairs(3)] == list(range(6))
    assert_array_equal(table, table.T)


@pytest.mark.parametrize("r_max, dr, n_bins", [(6.0, 0.05, 120), (0.3, 0.1, 3), (6.02, 0.05, 120)])
def test_only_whole_bins_count(r_max, dr, n_bins):
    assert bin_count(r_max, dr) == n_bins


ONE_FRAME = {
    "positions": np.zeros((1, 2, 3)),
    "cells": np.eye(3)[None] * 5.0,
    "species": np.array([0, 1]),
    "r_max": 4.0,
    "dr": 0.1,
}


@pytest.mark.parametrize("count", [count_pairs, pair_counts_torch.count_pairs])
@pytest.mark.parametrize(
    "change, message",
    [
        ({"pbc": [True, True, False]}, "periodic in all three directions"),
        ({"positions": np.zeros((0, 2, 3)), "cells": np.zeros((0, 3, 3))}, "at least one frame"),
        ({"positions": np.full((1, 2, 3), np.nan)}, "frame 0, atom 0: position"),
        ({"positions": np.zeros((1, 2))}, r"\(frames, atoms, 3\)"),
        ({"cells": np.zeros((1, 3, 3))}, "frame 0: cell"),
        ({"cells": np.full((1, 3, 3), np.nan)}, "frame 0: cell"),
        ({"cells": np.full((1, 3, 3), np.inf)}, "frame 0: cell"),
        ({"cells": np.eye(3)}, "cells: expected shape"),
        ({"species": np.array([0, -1])}, "integers from 0"),
        ({"species": np.array([0])}, "species"),
        ({"dr": 0.0}, "bin width above 0"),
        ({"dr": -0.1}, "bin width above 0"),
        ({"dr": float("nan")}, "bin width above 0"),
        ({"dr": 1e-9}, "at most"),
        ({"r_max": -1.0}, "r_max"),
        ({"r_max": float("inf")}, "r_max"),
        ({"r_max": 0.05}, "at least one bin"),
        ({"r_max": 5000.0}, "r_max 5000 A: expected at most .* images"),
    ],
)
def test_bad_input_is_refused_by_name(count, change, message):
    arguments = ONE_FRAME | change
    with pytest.raises(InputError, match=message):
        count(**arguments)


def test_the_frame_of_a_bad_cell_is_named():
    cells = np.repeat(np.eye(3)[None] * 5.0, 10, axis=0)
    cells[7] = [[5.0, 0.0, 0.0], [5.0, 0.0, 0.0], [0.0, 0.0, 5.0]]
    with pytest.raises(InputError, match="frame 7: cell"):
        count_pairs(np.zeros((10, 2, 3)), cells, np.array([0, 1]), 4.0, 0.1)


def test_torch_counts_without_numba():
    code = (
        "import sys; sys.modules['numba'] = None; import numpy as np\n"
        "from mdbench.analysis.pair_counts_torch import count_pairs\n"
        "found = count_pairs(np.zeros((1, 1, 3)), np.eye(3)[None], np.zeros(1, int), 1.2, 0.1)\n"
        "print(found.counts.sum())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["3"]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("strain", [0.0, 0.02])
def test_cuda_counts_the_same(strain):
    rng = np.random.default_rng(7)
    positions, cells = random_frames(rng, 300, 20, strain=strain)
    species = rng.integers(0, 3, 20)
    expected = count_pairs(positions, cells, species, 6.0, DR)
    found = pair_counts_torch.count_pairs(positions, cells, species, 6.0, DR, device="cuda")
    assert_same(found, (expected.counts, expected.volume_counts))
