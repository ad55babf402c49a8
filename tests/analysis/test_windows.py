"""Windows of a run: counts, drift, displacements, closest approaches, however the frames come."""

import dataclasses

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from mdbench.analysis import windows as windows_module
from mdbench.analysis.lattice import _span_squares
from mdbench.analysis.mobile import framework, mobile_species
from mdbench.analysis.pair_counts import count_pairs
from mdbench.analysis.rdf import radial_distribution
from mdbench.analysis.windows import WindowedRun, nearest_atoms
from mdbench.errors import InputError
from mdbench.synthetic import HoppingModel, drifting, ion_conductor
from mdbench.trajectory import Trajectory

SKEW = np.array([[6.0, 0.0, 0.0], [2.9, 5.5, 0.0], [-2.5, 2.0, 7.0]])


def conductor(n_frames=60, seed=0, interval_fs=100.0, **options):
    rng = np.random.default_rng(seed)
    return ion_conductor(
        HoppingModel(repeats=1), n_frames, rng, frame_interval_fs=interval_fs, **options
    )


def watched(run, sizes=(10**9,), **options):
    collector = WindowedRun(run.atomic_numbers, 6.0, 0.05, **options)
    start, k = 0, 0
    while start < run.n_frames:
        collector.add(run[start : start + sizes[k % len(sizes)]])
        start, k = start + sizes[k % len(sizes)], k + 1
    return collector.result()


def image_distances(a, b, cell, reach=3):
    """(n_images, n_a, n_b) Å, by all images within a wide reach."""
    shifts = np.array(list(np.ndindex(*[2 * reach + 1] * 3))) - reach
    return np.linalg.norm(a[:, None] - b + (shifts @ cell)[:, None, None], axis=-1)


def test_blocks_of_any_size_make_the_same_windows():
    run = conductor()
    whole = watched(run)
    for sizes in ((1,), (7, 13), (10,)):
        other = watched(run, sizes)
        assert_array_equal(other.counts, whole.counts)
        assert_array_equal(other.start_ps, whole.start_ps)
        assert_array_equal(other.drift, whole.drift)
        assert_allclose(other.squares, whole.squares, rtol=1e-10, atol=0)
        assert other.approaches["Li-S"][-1] == whole.approaches["Li-S"][-1]


def test_windows_hold_a_picosecond_each():
    run = conductor(65)
    found = watched(run)
    assert_array_equal(found.n_frames, [10] * 6 + [5])
    assert_allclose(found.start_ps, np.arange(7.0), rtol=1e-12, atol=0)
    assert found.length_ps == run.times_ps[-1]
    symbols = (run.atomic_numbers == 16).astype(int)
    for k in (0, 3, 6):
        part = run[10 * k : 10 * k + 10]
        counts = count_pairs(part.positions, part.cells, symbols, 6.0, 0.05)
        assert_array_equal(found.counts[k], counts.counts)
    g = radial_distribution(run, r_max=6.0, dr=0.05).g
    for pair, values in found.distribution().g.items():
        assert_allclose(values, g[pair], rtol=1e-12, atol=0)


def test_displacements_are_those_of_a_naive_sum():
    run = drifting(conductor(), (0.3, -0.2, 0.1))
    found = watched(run)
    inner = run.positions[:, run.atomic_numbers == 16]
    inner = inner - inner.mean(axis=1, keepdims=True)  # the drift is not among them
    for n_windows in (1, 2, 6):
        squares, n_frames = _span_squares(found, n_windows)
        for k in range(7 - n_windows):
            span = inner[10 * k : 10 * (k + n_windows)]
            naive = ((span - span.mean(axis=0)) ** 2).sum(axis=-1).mean(axis=0)
            assert_allclose(squares[k], naive, rtol=1e-9, atol=0)
            assert n_frames[k] == len(span)


def test_drift_is_that_of_the_center_of_mass():
    run = drifting(conductor(), (3.0, 4.0, 0.0), start_ps=2.0)
    still = watched(conductor()).drift.max()
    found = watched(run).drift
    expected = 5.0 * np.array([0.0, 0.0, 0.9, 1.9, 2.9, 3.9])
    assert (np.abs(found - expected) <= still + 1e-9).all()
    assert 0.0 < still < 0.5


def test_a_breathing_cell_neither_drifts_nor_vibrates():
    rng = np.random.default_rng(4)
    scaled = rng.random((8, 3))
    cells = SKEW * (1.0 + 0.03 * np.sin(np.arange(40) / 5.0))[:, None, None]
    run = Trajectory(scaled @ cells + 5.0 * cells.sum(axis=1)[:, None], cells, np.full(8, 16),
                     np.arange(40) * 0.1)  # fmt: skip
    found = watched(run)
    assert found.drift.max() < 1e-9
    assert _span_squares(found, 4)[0].max() < 1e-9


@pytest.mark.parametrize("same", [True, False])
def test_nearest_atoms_are_those_of_all_images(same):
    rng = np.random.default_rng(5)
    for _ in range(20):
        cell = SKEW + rng.normal(scale=1.0, size=(3, 3))
        a = 10.0 * rng.normal(size=(3, 3))
        b = a if same else 10.0 * rng.normal(size=(5, 3))
        found, which = nearest_atoms(a, b, cell, same=same)
        wrapped = [x - np.floor(x @ np.linalg.inv(cell)) @ cell for x in (a, b)]
        distances = image_distances(*wrapped, cell)
        if same:
            distances[np.abs(distances) < 1e-9] = np.inf
        assert_allclose(found, distances.min(axis=(0, 2)), rtol=1e-9, atol=0)
        assert_array_equal(which, distances.min(axis=0).argmin(axis=1))


def test_approaches_name_atoms_distance_and_time():
    run = conductor(50, seed=3)
    for pair, known in watched(run, (9,)).approaches.items():
        a, b = pair.split("-")
        ones, others = (np.flatnonzero(np.array(run.symbols) == s) for s in (a, b))
        for approach in known:
            frame = int(np.searchsorted(run.times_ps, approach.time_ps - 1e-9))
            assert approach.atoms[0] in ones
            assert approach.atoms[1] in others
            i, j = (run.positions[frame, [atom]] for atom in approach.atoms)
            apart = image_distances(i, j, run.cells[0], 6)
            nearest = apart[apart > 1e-9].min()
            assert_allclose(approach.distance, nearest, rtol=1e-9, atol=0)
        least = min(
            d[d > 1e-9].min()
            for p in run.wrapped_positions()
            for d in [image_distances(p[ones], p[others], run.cells[0], 1)]
        )
        assert least - 1e-9 < known[-1].distance < least + 0.05
        distances = [approach.distance for approach in known]
        assert distances == sorted(distances, reverse=True)


def test_long_runs_join_their_windows(monkeypatch):
    run = conductor(2050, interval_fs=20.0)
    fine = watched(run)
    monkeypatch.setattr(windows_module, "_MOST_WINDOWS", 8)
    coarse = watched(run, (300,))
    assert (fine.window_ps, coarse.window_ps) == (1.0, 8.0)
    assert_array_equal(coarse.start_ps, fine.start_ps[::8])
    assert_array_equal(coarse.counts, np.add.reduceat(fine.counts, range(0, 41, 8)))
    assert_array_equal(coarse.drift, np.maximum.reduceat(fine.drift, range(0, 41, 8)))
    assert_allclose(
        coarse.moved, np.add.reduceat(fine.moved, range(0, 41, 8)), rtol=1e-9, atol=1e-9
    )
    assert_array_equal(coarse.total.counts, fine.total.counts)


def test_frames_without_a_time_axis_are_one_window():
    run = dataclasses.replace(conductor(), times_ps=np.zeros(60))
    found = watched(run, (7,))
    assert not found.time_axis
    assert_array_equal(found.n_frames, [60])
    assert watched(conductor()).time_axis


def test_the_mobile_species():
    numbers = np.array([16, 3, 11, 15])
    assert mobile_species(numbers) == "Li"
    assert mobile_species(numbers, "Na") == "Na"
    assert mobile_species(np.array([14, 8])) is None
    with pytest.raises(InputError, match=r"mobile species: expected one of Li, Na, P, S, found K"):
        mobile_species(numbers, "K")
    assert_array_equal(framework(numbers, "Li"), [0, 2, 3])
    assert_array_equal(framework(numbers, None), [0, 1, 2, 3])
    assert_array_equal(framework(np.array([29, 29]), "Cu"), [0, 1])
