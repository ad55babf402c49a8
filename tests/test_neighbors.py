"""Neighbor lists: naive twin, other codes, invariances, the skin's promise."""

from itertools import product

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.neighborlist import neighbor_list as ase_pairs
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from vesin import NeighborList as Vesin

from mdbench import neighbors_torch
from mdbench.errors import InputError
from mdbench.neighbors import GRID_ATOMS, moved_too_far, neighbor_list


def random_cell(rng, size=4.0):
    return size * (np.eye(3) + rng.uniform(-0.4, 0.4, (3, 3)))


def naive(x, cell, cutoff, half):
    """Rows i, j, S in order, from every image that could matter."""
    heights = 1.0 / np.linalg.norm(np.linalg.inv(cell), axis=0)
    spread = np.ptp(x @ np.linalg.inv(cell), axis=0)
    most = np.ceil(cutoff / heights + spread).astype(int)
    rows = []
    for shift in product(*(range(-m, m + 1) for m in most)):
        vectors = (x + np.array(shift) @ cell)[None] - x[:, None]
        for i, j in np.argwhere((vectors**2).sum(axis=2) < cutoff**2):
            if (i == j and not any(shift)) or (half and (i > j or (i == j and shift < (0, 0, 0)))):
                continue
            rows.append((i, j, *shift))
    return np.array(sorted(rows), dtype=np.int64).reshape(-1, 5)


def rows(found):
    return np.hstack([found.pairs, found.cell_shifts])


def vectors(x, cell, found):
    return x[found.pairs[:, 1]] + found.cell_shifts @ cell - x[found.pairs[:, 0]]


def both(x, cells, cutoff, **options):
    """The list, after a check that torch has the same one."""
    cells = np.asarray(cells).reshape(-1, 3, 3)
    first = options.get("first_atom", np.array([0, len(x)]))
    half = options.get("half", False)
    found = neighbor_list(x, cells, cutoff, **options)
    edges = neighbors_torch.neighbor_list(
        torch.tensor(x), torch.tensor(cells), torch.tensor(first), cutoff, half=half
    )
    assert_array_equal(edges.edge_index.T.numpy(), found.pairs)
    assert_array_equal(edges.cell_shifts.numpy(), found.cell_shifts)
    return found


@pytest.mark.parametrize("half", [True, False])
@pytest.mark.parametrize("seed", range(8))
def test_few_atoms_in_any_cell(seed, half):
    """Unwrapped positions, cutoffs up to twice the lattice vectors."""
    rng = np.random.default_rng(seed)
    cell, x = random_cell(rng), rng.normal(0.0, 5.0, (rng.integers(1, 9), 3))
    cutoff = rng.uniform(1.0, 8.0)
    assert_array_equal(rows(both(x, cell, cutoff, half=half)), naive(x, cell, cutoff, half))


@pytest.mark.parametrize("half", [True, False])
@pytest.mark.parametrize("shape", [(12, 12, 12), (2, 5, 60), (40, 2.5, 7)])
def test_many_atoms_by_the_grid(shape, half):
    rng = np.random.default_rng(1)
    cell = np.diag(shape) + rng.uniform(-1.0, 1.0, (3, 3))
    x = rng.uniform(-1.0, 2.0, (GRID_ATOMS + 2, 3)) @ cell
    assert_array_equal(rows(both(x, cell, 3.1, half=half)), naive(x, cell, 3.1, half))


@pytest.mark.parametrize("n_atoms", [40, GRID_ATOMS + 40])
def test_the_same_pairs_as_ase_and_vesin(n_atoms):
    rng = np.random.default_rng(2)
    cell = random_cell(rng, 9.0)
    x = rng.uniform(0.0, 1.0, (n_atoms, 3)) @ cell
    ours = rows(neighbor_list(x, cell, 4.5))
    theirs = ase_pairs("ijS", Atoms(f"H{n_atoms}", positions=x, cell=cell, pbc=True), 4.5)
    assert_array_equal(ours, np.array(sorted(map(tuple, np.column_stack(theirs)))))
    i, j, s = Vesin(cutoff=4.5, full_list=True).compute(x, cell, periodic=True, quantities="ijS")
    theirs = np.column_stack([i, j, s]).astype(np.int64)
    assert_array_equal(ours, np.array(sorted(map(tuple, theirs))))


def test_the_images_of_a_lone_atom():
    """Simple cubic: 6 + 12 + 8 + 6 lattice points within two lattice constants."""
    x, cell = np.array([[0.3, 20.0, -7.0]]), 3.0 * np.eye(3)
    assert len(both(x, cell, 6.1).pairs) == 32
    assert len(both(x, cell, 6.1, half=True).pairs) == 16
    assert len(both(x, cell, 6.0).pairs) == 26  # a pair at the cutoff is none
    empty = both(x, cell, 2.9)
    assert empty.pairs.shape == (0, 2)
    assert empty.cell_shifts.shape == (0, 3)


def test_a_batch_is_its_systems():
    rng = np.random.default_rng(3)
    sizes = [5, 1, GRID_ATOMS, 12]
    first = np.concatenate([[0], np.cumsum(sizes)])
    cells = np.array([random_cell(rng, size) for size in (4.0, 3.0, 12.0, 6.0)])
    x = rng.normal(0.0, 6.0, (first[-1], 3))
    found = both(x, cells, 4.0, first_atom=first, half=True)
    for s, cell in enumerate(cells):
        alone = neighbor_list(x[first[s] : first[s + 1]], cell, 4.0, half=True)
        part = slice(found.first_pair[s], found.first_pair[s + 1])
        assert_array_equal(found.pairs[part] - first[s], alone.pairs)
        assert_array_equal(found.cell_shifts[part], alone.cell_shifts)


@given(st.integers(0, 2**32 - 1), st.sampled_from([6, GRID_ATOMS]))
@settings(max_examples=20, deadline=None)
def test_whole_lattice_vectors_change_only_shifts(seed, n_atoms):
    rng = np.random.default_rng(seed)
    cell = random_cell(rng, 4.0 if n_atoms == 6 else 10.0)
    x = rng.uniform(0.0, 1.0, (n_atoms, 3)) @ cell
    turns = rng.integers(-3, 4, (n_atoms, 3))
    wrapped, moved = neighbor_list(x, cell, 3.7), neighbor_list(x + turns @ cell, cell, 3.7)
    assert_array_equal(moved.pairs, wrapped.pairs)
    i, j = wrapped.pairs.T
    assert_array_equal(moved.cell_shifts, wrapped.cell_shifts + turns[i] - turns[j])


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_a_full_list_is_the_half_list_both_ways(seed):
    rng = np.random.default_rng(seed)
    cell, x = random_cell(rng), rng.normal(0.0, 4.0, (7, 3))
    half = rows(neighbor_list(x, cell, 5.0, half=True))
    back = np.hstack([half[:, 1::-1], -half[:, 2:]])
    full = rows(neighbor_list(x, cell, 5.0))
    assert_array_equal(full, np.array(sorted(map(tuple, np.vstack([half, back])))))


def test_a_list_holds_every_pair_until_atoms_moved_too_far():
    rng = np.random.default_rng(4)
    cell = random_cell(rng, 7.0)
    reference = rng.uniform(0.0, 1.0, (30, 3)) @ cell
    skin, n_tested = 0.8, 0
    listed = set(map(tuple, rows(neighbor_list(reference, cell, 3.0 + skin))))
    for width in np.linspace(0.05, 0.35, 40):
        x = reference + rng.normal(0.0, width, reference.shape)
        if moved_too_far(x, reference, skin):
            continue
        n_tested += 1
        assert listed >= set(map(tuple, rows(neighbor_list(x, cell, 3.0))))
    assert 5 < n_tested < 35


def test_two_atoms_share_the_skin():
    reference = np.zeros((5, 3))
    x = reference.copy()
    x[1, 0], x[3, 2] = 0.6, -0.39
    assert not moved_too_far(x, reference, 1.0)
    x[4, 1] = 0.41
    assert moved_too_far(x, reference, 1.0)
    flags = [
        bool(neighbors_torch.moved_too_far(torch.tensor(x), torch.zeros(5, 3), skin))
        for skin in (1.1, 1.3)
    ]
    assert flags == [True, False]


@pytest.mark.parametrize(
    "x, cell, cutoff, message",
    [
        ([[0.0, np.nan, 0.0]], np.eye(3), 1.0, "positions: expected finite"),
        ([[0.0, 0.0]], np.eye(3), 1.0, r"positions: expected finite, \(atoms, 3\)"),
        ([[0.0, 0.0, 0.0]], np.diag([1.0, 1.0, 0.0]), 1.0, "cell of system 0: expected three"),
        ([[0.0, 0.0, 0.0]], np.diag([1.0, 1.0, np.nan]), 1.0, "cell of system 0: expected three"),
        ([[0.0, 0.0, 0.0]], np.eye(3), 0.0, "cutoff: expected a length above 0"),
        ([[0.0, 0.0, 0.0]], np.eye(3), 1e3, "cutoff.*: expected at most 1e"),
    ],
)
def test_senseless_input_is_refused(x, cell, cutoff, message):
    x, cell = np.array(x), np.asarray(cell)
    with pytest.raises(InputError, match=message):
        neighbor_list(x, cell, cutoff)
    with pytest.raises(InputError, match=message):
        neighbors_torch.neighbor_list(
            torch.tensor(x), torch.tensor(cell)[None], torch.tensor([0, len(x)]), cutoff
        )


def test_atoms_that_do_not_fit_the_systems_are_refused():
    with pytest.raises(InputError, match="first_atom: expected"):
        neighbor_list(np.zeros((3, 3)), np.eye(3)[None], 1.0, first_atom=[0, 2])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_finds_the_same_pairs():
    rng = np.random.default_rng(5)
    cells = np.array([random_cell(rng, size) for size in (9.0, 30.0)])
    first = np.array([0, 40, 2000])
    x = rng.uniform(-20.0, 20.0, (2000, 3))
    found = neighbor_list(x, cells, 4.5, first_atom=first, half=True)
    edges = neighbors_torch.neighbor_list(
        *(torch.tensor(a, device="cuda") for a in (x, cells, first)), 4.5, half=True
    )
    assert_array_equal(edges.edge_index.T.cpu().numpy(), found.pairs)
    assert_array_equal(edges.cell_shifts.cpu().numpy(), found.cell_shifts)
