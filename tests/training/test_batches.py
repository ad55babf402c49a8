"""Batches against graphs that are built at once; order of frames; the thread that works ahead."""

import threading
from itertools import chain

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from mdbench.graph import build_graph
from mdbench.training.batches import bytes_per_edge, parts, prefetched, steps, steps_of_epoch
from tests.training.little import CELL, frame_set, samples, teacher

OTHER = np.array([3, 16, 16, 16])


@pytest.fixture(scope="module")
def two():
    """Two materials of 5 and 7 frames."""
    return [samples(5), samples(7, seed=1, numbers=OTHER, material="other")]


@pytest.mark.parametrize("cache_bytes", [1 << 20, 5_000, 0])
def test_a_batch_is_the_graph_of_its_frames(two, cache_bytes):
    data = frame_set(two, cache_bytes=cache_bytes)
    assert len(data) == 12
    for _ in range(2):  # the second time from the cache
        batch = data.batch([6, 0, 11])
        chosen = [(two[1], 1), (two[0], 0), (two[1], 6)]
        whole = build_graph(
            np.concatenate([s.atomic_numbers for s, _ in chosen]),
            np.concatenate([s.positions[k] for s, k in chosen]),
            np.stack([CELL] * 3),
            5.0,
            first_atom=[0, 4, 8, 12],
        )
        for name in ("atomic_numbers", "system_index", "edge_index"):
            assert_array_equal(getattr(batch.graph, name), getattr(whole, name))
        assert_array_equal(batch.graph.cell_shifts.long(), whole.cell_shifts)
        assert_allclose(batch.graph.edge_vectors, whole.edge_vectors, rtol=1e-5, atol=1e-6)
        assert_allclose(batch.graph.volumes, whole.volumes, rtol=1e-6, atol=0)
        assert_allclose(batch.energies, [s.energies[k] for s, k in chosen], rtol=1e-6, atol=0)
        assert_array_equal(batch.forces[4:8], two[0].forces[0].astype(np.float32))
        assert_array_equal(batch.sizes, [4, 4, 4])
        assert_array_equal(batch.frames, [6, 0, 11])


def test_the_cache_changes_no_bit(two):
    with_cache, without = frame_set(two), frame_set(two, cache_bytes=0)
    with_cache.batch(range(12))
    again, fresh = with_cache.batch(range(12)), without.batch(range(12))
    assert torch.equal(again.graph.edge_vectors, fresh.graph.edge_vectors)


def test_atoms_far_outside_the_cell():
    """Their shifts are beyond 8 bits."""
    near = samples(1)
    x = near.positions.copy()
    x[0, 2] += 300 * CELL[0]
    far = type(near)(**{**vars(near), "positions": x})
    expected, found = (frame_set([s]).batch([0]).graph for s in (near, far))
    assert found.cell_shifts.abs().max() > 127
    assert_allclose(np.sort(found.edge_lengths), np.sort(expected.edge_lengths), rtol=1e-5, atol=0)


def test_closest_pairs(two):
    data = frame_set(two)
    batch = data.batch([0, 8])
    images = np.stack(np.meshgrid(*[range(-3, 4)] * 3), -1).reshape(-1, 3) @ CELL
    found = {(3, 3): np.inf, (3, 16): np.inf, (16, 16): np.inf}
    for sample, k in ((two[0], 0), (two[1], 3)):
        for i, a in enumerate(sample.atomic_numbers):
            for j, b in enumerate(sample.atomic_numbers):
                d = np.linalg.norm(sample.positions[k, j] + images - sample.positions[k, i], axis=1)
                pair = min(a, b), max(a, b)
                found[pair] = min(found[pair], d[d > 1e-9].min())
    assert_array_equal(data.elements, [3, 16])
    assert_allclose(batch.closest[[0, 1, 3]], list(found.values()), rtol=1e-9, atol=0)
    assert np.isinf(batch.closest[2])


@pytest.fixture(scope="module")
def twelve():
    return frame_set([samples(12)])


def taken(data, n, **kwargs):
    stream = steps(data, **{"batch_size": 5, "seed": 3, "first": 0, "most_edges": 1e9} | kwargs)
    return [next(stream).frames.tolist() for _ in range(n)]


def test_an_epoch_takes_each_frame_once(two):
    data = frame_set(two)
    assert steps_of_epoch(12, 5) == 3
    made = taken(data, 6)
    assert [len(frames) for frames in made] == [5, 5, 2] * 2
    first, second = (list(chain(*half)) for half in (made[:3], made[3:]))
    assert sorted(first) == sorted(second) == list(range(12))
    assert first != second
    assert taken(data, 6, seed=4) != made


def test_going_on_takes_the_same_frames(two):
    data = frame_set(two)
    made = taken(data, 9)
    for first in range(9):
        assert taken(data, 9 - first, first=first) == made[first:]


@settings(deadline=None)
@given(st.lists(st.integers(0, 11), min_size=1, max_size=12), st.floats(0.5, 4.5))
def test_parts_fit_into_memory(twelve, frames, room):
    data = twelve
    most = room * data.n_edges(0)
    made = list(parts(data, frames, most))
    assert list(chain(*made)) == frames
    edges = [sum(map(data.n_edges, part)) for part in made]
    assert all(len(p) == 1 or n <= most for p, n in zip(made, edges, strict=True))
    for n, part in zip(edges, made[1:], strict=False):
        assert n + data.n_edges(part[0]) > most  # no room was left


def test_a_step_in_parts_is_the_step(two):
    data = frame_set(two)
    whole = next(steps(data, 5, 0, 0, 1e9))
    split = next(steps(data, 5, 0, 0, 1.0))
    assert (len(whole.batches), len(split.batches)) == (1, 5)
    assert whole.n_atoms == split.n_atoms == 20
    assert_array_equal(np.concatenate([b.frames for b in split.batches]), whole.frames)


def test_prefetched_keeps_the_order():
    assert list(prefetched(range(50))) == list(range(50))


def test_prefetched_passes_on_what_is_raised():
    def broken():
        yield 1
        raise ZeroDivisionError("here")

    stream = prefetched(broken())
    assert next(stream) == 1
    with pytest.raises(ZeroDivisionError, match="here"):
        next(stream)


def test_prefetched_ends_its_thread():
    before = threading.active_count()
    stream = prefetched(iter(int, 1))
    next(stream)
    assert threading.active_count() == before + 1
    stream.close()
    assert threading.active_count() == before


def test_memory_grows_with_edges():
    data, model = frame_set([samples(9)]), teacher()
    one, nine = (bytes_per_edge(model, data.batch(range(n))) for n in (1, 9))
    assert one > 4 * (32 + 8)  # radial functions and filters at least
    assert_allclose(nine, one, rtol=0.2, atol=0)
