"""Graphs: naive twin over all images, truncation, batches, both directions of a pair."""

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from mdbench import graph as graphs
from mdbench.graph import (
    ListedEdges,
    build_graph,
    edge_list,
    join_graphs,
    nearest_edges,
    segment_sum,
)

SEEDS = st.integers(0, 2**32 - 1)


def random_system(seed, n_atoms=None, size=4.0):
    """Triclinic cell, positions anywhere."""
    rng = np.random.default_rng(seed)
    cell = size * (np.eye(3) + rng.uniform(-0.4, 0.4, (3, 3)))
    n_atoms = n_atoms or int(rng.integers(1, 8))
    return rng.integers(1, 90, n_atoms), rng.normal(0.0, 5.0, (n_atoms, 3)), cell


def batch(*systems):
    """Arguments of `build_graph` beside the cutoff."""
    numbers, positions, cells = zip(*systems, strict=True)
    first = np.cumsum([0, *(len(n) for n in numbers)])
    return np.concatenate(numbers), np.concatenate(positions), np.array(cells), first


def exact(numbers, positions, cells, cutoff, first_atom=None, max_neighbors=10**6):
    return build_graph(
        numbers,
        positions,
        cells,
        cutoff,
        first_atom=first_atom,
        max_neighbors=max_neighbors,
        dtype=torch.float64,
    )


def naive(positions, cell, cutoff):
    """Rows i, j, S in order and their vectors, from every image that could matter."""
    heights = 1.0 / np.linalg.norm(np.linalg.inv(cell), axis=0)
    spread = np.ptp(positions @ np.linalg.inv(cell), axis=0)
    most = np.ceil(cutoff / heights + spread).astype(int)
    found = []
    for shift in product(*(range(-m, m + 1) for m in most)):
        vectors = (positions + np.array(shift) @ cell)[None] - positions[:, None]
        for i, j in np.argwhere((vectors**2).sum(axis=2) < cutoff**2).tolist():
            if i != j or any(shift):
                found.append((i, j, *shift, vectors[i, j]))
    found.sort(key=lambda row: row[:5])
    rows = np.array([row[:5] for row in found], dtype=np.int64).reshape(-1, 5)
    return rows, np.array([row[5] for row in found]).reshape(-1, 3)


def rows(graph):
    return np.hstack([graph.edge_index.T.numpy(), graph.cell_shifts.numpy()])


def assert_same_graph(one, other):
    for name in ("atomic_numbers", "system_index", "volumes", "edge_index", "cell_shifts", "back"):
        assert torch.equal(getattr(one, name), getattr(other, name)), name
    assert_allclose(one.edge_vectors, other.edge_vectors, rtol=1e-13, atol=0)


@given(SEEDS, st.floats(1.0, 9.0))
@settings(max_examples=40, deadline=None)
def test_all_edges_of_any_cell(seed, cutoff):
    """Unwrapped positions, cutoffs up to more than twice the lattice vectors."""
    numbers, positions, cell = random_system(seed)
    graph = exact(numbers, positions, cell, cutoff)
    expected, vectors = naive(positions, cell, cutoff)
    assert_array_equal(rows(graph), expected)
    assert_allclose(graph.edge_vectors, vectors, rtol=0, atol=1e-12)
    lengths = np.linalg.norm(vectors, axis=1)
    assert_allclose(graph.edge_lengths, lengths, rtol=1e-12, atol=0)
    assert_allclose(graph.volumes, [abs(np.linalg.det(cell))], rtol=1e-12, atol=0)
    assert (graph.n_atoms, graph.n_edges, graph.n_systems) == (len(numbers), len(expected), 1)


@given(SEEDS)
@settings(max_examples=10, deadline=None)
def test_whole_lattice_vectors_change_no_vector(seed):
    numbers, positions, cell = random_system(seed)
    turns = np.random.default_rng(seed).integers(-50, 51, positions.shape)
    one, other = (
        exact(numbers, x, cell, 5.0).edge_vectors for x in (positions, positions + turns @ cell)
    )
    keys = [np.round(v.numpy(), 6) for v in (one, other)]
    assert_array_equal(*(np.sort(key @ [1.0, 1e3, 1e6]).round(3) for key in keys))


@pytest.mark.parametrize("with_numba", [True, False])
def test_a_batch_is_its_systems_joined(with_numba, monkeypatch):
    """Also without compiled neighbor lists, as on a machine with torch alone."""
    if not with_numba:
        monkeypatch.setattr(graphs, "_compiled_neighbors", lambda: None)
    lone = (np.array([3]), np.zeros((1, 3)), 20.0 * np.eye(3))
    systems = [random_system(1), lone, random_system(2, 200, 14.0), random_system(3)]
    numbers, positions, cells, first = batch(*systems)
    joined = join_graphs([exact(*system, 4.2) for system in systems])
    assert_same_graph(exact(numbers, positions, cells, 4.2, first), joined)
    assert_array_equal(joined.system_index, np.repeat(np.arange(4), np.diff(first)))
    assert not (joined.system_index[joined.edge_index[0]] == 1).any()


@given(SEEDS, st.sampled_from([3, 170]))
@settings(max_examples=10, deadline=None)
def test_both_neighbor_lists_make_the_same_graph(seed, n_atoms):
    system = random_system(seed, n_atoms, 4.0 if n_atoms == 3 else 13.0)
    compiled = exact(*system, 4.5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(graphs, "_compiled_neighbors", lambda: None)
        assert_same_graph(exact(*system, 4.5), compiled)


@given(SEEDS, st.floats(0.0, 2.0))
@settings(max_examples=10, deadline=None)
def test_a_list_with_a_skin_makes_the_same_graph(seed, skin):
    """Built where the atoms were, used where they are."""
    numbers, before, cell = random_system(seed)
    rng = np.random.default_rng(seed)
    after = before + rng.uniform(-1.0, 1.0, before.shape) * skin / (2.0 * np.sqrt(3.0))
    z, x, old, lattice = (torch.as_tensor(a) for a in (numbers, after, before, cell[None]))
    first = torch.tensor([0, len(numbers)])
    listed = ListedEdges.of(z, lattice, first, edge_list(old, lattice, first, 4.0 + skin))
    assert_same_graph(listed.graph(x, 4.0), exact(numbers, after, cell, 4.0))


@given(SEEDS, st.sampled_from([1, 2, 5, 12]))
@settings(max_examples=20, deadline=None)
def test_crowded_atoms_keep_their_nearest(seed, most):
    """An edge is left where it is among the nearest of both its atoms."""
    system = random_system(seed, 6)
    whole, cut = exact(*system, 6.0), exact(*system, 6.0, max_neighbors=most)
    i, j = whole.edge_index.numpy()
    lengths = whole.edge_lengths.numpy()
    limits = np.full(6, np.inf)
    for atom in range(6):
        own = np.sort(lengths[i == atom])
        if len(own) > most:
            limits[atom] = own[most] * (1.0 - 1e-9)
    kept = (lengths < limits[i]) & (lengths < limits[j])
    assert_array_equal(rows(cut), rows(whole)[kept])
    assert np.bincount(cut.edge_index[0], minlength=6).max() <= most
    assert_pairs_are_whole(cut)


def assert_pairs_are_whole(graph):
    there = set(map(tuple, rows(graph).tolist()))
    assert {(j, i, -a, -b, -c) for i, j, a, b, c in there} == there


@pytest.mark.parametrize("most, kept", [(5, 0), (6, 6), (17, 6), (18, 18), (25, 18), (26, 26)])
def test_shells_stay_or_go_as_a_whole(most, kept):
    """Simple cubic: 6, 12, 8 neighbors; a rotated lattice has them at not quite equal distances."""
    q, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))
    places = 3.0 * np.array(list(np.ndindex(2, 2, 2)), dtype=float) + 0.1
    graph = exact(np.full(8, 16), places @ q.T, 6.0 * q.T, 5.5, max_neighbors=most)
    assert_array_equal(np.bincount(graph.edge_index[0], minlength=8), np.full(8, kept))


def test_nothing_is_cut_where_there_is_room():
    lengths = torch.tensor([1.0, 2.0, 1.0, 2.0], dtype=torch.float64)
    i, j = torch.tensor([0, 0, 1, 2]), torch.tensor([1, 2, 0, 0])
    assert nearest_edges(i, j, lengths, 3, 2) is None
    assert_array_equal(nearest_edges(i, j, lengths, 3, 1), [0, 2])


@given(SEEDS, st.sampled_from([8, 10**6]))
@settings(max_examples=20, deadline=None)
def test_reversed_edges_lead_back(seed, most):
    numbers, positions, cells, first = batch(random_system(seed), random_system(seed + 1))
    graph = exact(numbers, positions, cells, 5.0, first, most)
    back = graph.back
    assert_array_equal(back[back], np.arange(graph.n_edges))
    assert torch.equal(graph.edge_index[:, back], graph.edge_index.flip(0))
    assert torch.equal(graph.cell_shifts[back], -graph.cell_shifts)
    assert_allclose(graph.edge_vectors[back], -graph.edge_vectors, rtol=0, atol=1e-12)


def test_a_graph_without_edges_has_none_to_reverse():
    graph = exact(np.array([3]), np.zeros((1, 3)), 20.0 * np.eye(3), 5.0)
    assert graph.n_edges == 0
    assert len(graph.back) == 0


def test_a_pair_at_the_cutoff_is_there_both_ways_or_not_at_all():
    """A lattice with a shell at the cutoff, anywhere: rounding must not decide by direction."""
    for seed in range(20):
        origin = np.random.default_rng(seed).uniform(0.0, 6.0, 3)
        places = 3.0 * np.array(list(np.ndindex(2, 2, 2)), dtype=float) + origin
        assert_pairs_are_whole(exact(np.full(8, 16), places, 6.0 * np.eye(3), 6.0))


def test_sums_of_rows():
    rng = np.random.default_rng(4)
    values, index = rng.normal(size=(30, 2, 3)), rng.integers(0, 5, 30)
    expected = np.array([values[index == k].sum(axis=0) for k in range(7)])
    found = segment_sum(torch.tensor(values), torch.tensor(index), 7)
    assert_allclose(found, expected, rtol=1e-12, atol=1e-15)
    assert not found[5:].any()


def test_moving_changes_only_precision():
    graph = exact(*random_system(5), 5.0)
    moved = graph.to("cpu", torch.float32)
    assert moved.edge_vectors.dtype == moved.volumes.dtype == torch.float32
    assert moved.edge_index.dtype == torch.int64
    assert_array_equal(rows(moved), rows(graph))
    assert moved.edge_lengths.dtype == torch.float32


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_makes_the_same_graph():
    numbers, positions, cells, first = batch(random_system(6), random_system(7, 300, 16.0))
    expected = exact(numbers, positions, cells, 5.0, first)
    on_gpu = [torch.as_tensor(a).cuda() for a in (numbers, positions, cells)]
    z, x, lattices = on_gpu
    edges = edge_list(x, lattices, torch.tensor(first), 5.0)
    found = ListedEdges.of(z, lattices, torch.tensor(first), edges).graph(x, 5.0)
    assert_same_graph(found.to("cpu", torch.float64), expected)


@pytest.mark.parametrize("n_atoms, side", [(1, 3.1), (5, 4.5), (9, 8.0), (2, 30.0)])
def test_every_edge_has_its_slot_and_its_pair(n_atoms, side):
    """Slots of an atom in a row, as many as the busiest one needs; both directions are one pair."""
    rng = np.random.default_rng(0)
    cell = side * np.eye(3) + rng.uniform(-0.3, 0.3, (3, 3))
    graph = exact(np.full(n_atoms, 3), rng.uniform(0.0, 1.0, (n_atoms, 3)) @ cell, cell, 4.0)
    receivers, (slots, n_slots), (pairs, first) = graph.edge_index[0], graph.slots, graph.pairs
    assert n_slots == max(1, int(torch.bincount(receivers, minlength=n_atoms).max()))
    assert len(first) == graph.n_edges // 2
    for i in range(n_atoms):
        mine = slots[receivers == i]
        assert_array_equal(mine, i * n_slots + np.arange(len(mine)))
    by_pair = graph.edge_lengths[first][pairs]
    assert_allclose(by_pair, graph.edge_lengths, rtol=1e-14, atol=0)
