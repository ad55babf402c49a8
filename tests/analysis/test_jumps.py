"""Jumps of ions: against a naive twin, and of walkers and conductors whose hops are known."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from mdbench.analysis.jumps import site_jumps
from mdbench.errors import InputError
from mdbench.synthetic import HoppingModel, drifting, ion_conductor
from mdbench.walks import Walk, walkers

from .hops import SKEWED, counted, made_sites

IMAGES = np.stack(np.meshgrid(*[np.arange(-2, 3)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)


def naive_stays(path, sites, needed):
    """[(frame, site, image)] of one ion, frame by frame."""
    stays, current, candidate, begin, count = [], None, None, 0, 0
    for frame, place in enumerate(path.T):
        home = np.floor(place)
        apart = (place - home - sites.scaled[:, None] - IMAGES) @ sites.cell
        distance = np.linalg.norm(apart, axis=-1)
        site, image = np.unravel_index(distance.argmin(), distance.shape)
        at = None
        if distance[site, image] < sites.radius:
            at = (int(site), *(home + IMAGES[image]).astype(int).tolist())
        if at is None or at == current:
            candidate, count = None, 0
            continue
        if at != candidate:
            candidate, begin, count = at, frame, 0
        count += 1
        if count == needed:
            stays.append((begin, *at))
            current, candidate, count = at, None, 0
    return stays


def rows_of(jumps):
    ends = np.column_stack([jumps.ion, jumps.frame, jumps.origin, jumps.target])
    return np.hstack([ends, jumps.shift])


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    needed=st.integers(1, 5),
    step=st.floats(0.02, 0.3),
    skew=st.floats(0.0, 0.4),
)
def test_jumps_are_those_of_the_naive_twin(seed, needed, step, skew):
    """Also of times: every frame of an ion belongs to one site, or to none before the first."""
    rng = np.random.default_rng(seed)
    cell = 4.0 * (np.eye(3) + rng.uniform(-skew, skew, (3, 3)))
    sites = made_sites(rng.random((4, 3)), cell, radius=1.2)
    paths = rng.random((3, 3, 1)) + np.cumsum(rng.normal(0.0, step, (3, 3, 120)), axis=2)
    found = site_jumps(paths, sites, frame_interval_ps=0.02, residence_ps=0.02 * needed)
    expected, time_at, time_off = [], np.zeros(4), 0
    for ion, path in enumerate(paths):
        stays = naive_stays(path, sites, needed)
        for (_, before, *home), (frame, after, *cell_of) in pairwise(stays):
            expected.append([ion, frame, before, after, *np.subtract(cell_of, home)])
        marks = [*(stay[0] for stay in stays), 120]
        time_off += marks[0]
        for stay, (begin, end) in zip(stays, pairwise(marks), strict=True):
            time_at[stay[1]] += end - begin
        assert found.ion_sites[ion] == (stays[0][1] if stays else -1)
        assert found.arrival[ion] == marks[0]
    assert_array_equal(rows_of(found), np.array(expected).reshape(-1, 7))
    assert_allclose(found.time_at, 0.02 * time_at, rtol=1e-12, atol=1e-12)
    assert_allclose(found.time_off, 0.02 * time_off, rtol=1e-12, atol=1e-12)
    assert_allclose(found.time_at.sum() + found.time_off, found.exposure_ps, rtol=1e-12, atol=0)


def along(*heights):
    """A path of one ion along c through a cube of 9 Å, in Å."""
    return np.stack([np.zeros(len(heights)), np.zeros(len(heights)), np.array(heights) / 9.0])


THREE = made_sites([(0, 0, 0), (0, 0, 1 / 3), (0, 0, 2 / 3)], np.eye(3) * 9.0)


def moves(*heights, interval_ps=0.05, radius=None):
    found = site_jumps([along(*heights)], THREE, frame_interval_ps=interval_ps, radius=radius)
    ends = zip(
        found.origin.tolist(), found.target.tolist(), found.shift[:, 2].tolist(), strict=True
    )
    return found.frame.tolist(), list(ends)


def test_a_jump_needs_a_stay():
    """Two frames of 50 fs on end; one of 100 fs."""
    assert moves(0, 0, 3, 0, 3, 1.5, 3, 0, 0) == ([], [])
    assert moves(0, 0, 1.5, 3, 3, 0) == ([3], [(0, 1, 0)])
    assert moves(0, 0, 3, 6, 6) == ([3], [(0, 2, 0)])
    assert moves(0, 3, 6, interval_ps=0.1) == ([1, 2], [(0, 1, 0), (1, 2, 0)])


def test_a_jump_leads_across_the_boundary():
    assert moves(6, 6, 9, 9, 12, 12) == ([2, 4], [(2, 0, 1), (0, 1, 0)])
    assert moves(0, 0, -3, -3) == ([2], [(0, 2, -1)])


def test_an_image_of_the_own_site_is_another_site():
    """As seen in frames that are far apart, or in a cell with one site."""
    assert moves(0, 0, 9, 9, 9, 0, 0) == ([2, 5], [(0, 0, 1), (0, 0, -1)])


def test_the_radius_says_what_is_at_a_site():
    assert moves(0, 0, 2.2, 2.2) == ([2], [(0, 1, 0)])
    assert moves(0, 0, 2.2, 2.2, radius=0.5) == ([], [])


def test_ions_that_come_to_no_site_count_as_off():
    far = site_jumps([along(1.5, 1.5, 1.5), along(1.5, 3, 3)], THREE, frame_interval_ps=0.1)
    assert_array_equal(far.ion_sites, [-1, 1])
    assert_array_equal(far.arrival, [3, 1])
    assert_allclose(far.time_off, 0.4, rtol=1e-12, atol=0)
    assert_allclose(far.time_at, [0.0, 0.2, 0.0], rtol=1e-12, atol=1e-15)


def test_no_sites_and_no_ions():
    none = made_sites(np.empty((0, 3)), np.eye(3) * 9.0)
    found = site_jumps([along(0, 0)], none, frame_interval_ps=0.1)
    assert (found.n, found.n_sites, found.time_at.sum()) == (0, 0, 0.0)
    with pytest.raises(InputError, match="no ions"):
        site_jumps([], THREE, frame_interval_ps=0.1)


@pytest.mark.parametrize("interval_fs", [10.0, 100.0])
def test_walkers_make_the_jumps_that_are_their_hops(interval_fs):
    """Hops of 3 Å that take no time, with rattling: all but those undone within a frame or two."""
    walk = Walk(n_ions=30, rattle=0.25, hops_per_ps=0.1)
    n_frames = round(60_000 / interval_fs)
    run = walkers(walk, n_frames, np.random.default_rng(5), frame_interval_fs=interval_fs)
    found = counted(run)
    expected = walk.hops_per_ps * found.jumps.exposure_ps
    assert abs(found.jumps.n - expected) < 4.0 * expected**0.5
    lengths = np.linalg.norm(vectors(found, run.cells[0]), axis=1)
    assert_allclose(np.median(lengths), 3.0, rtol=0.03, atol=0)
    assert (np.abs(lengths - 3.0) < 0.5).mean() > 0.9  # two hops within 0.1 ps look like one


def vectors(found, cell):
    """(n, 3) Å from the origins to the targets of all jumps."""
    jumps, places = found.jumps, found.sites.scaled
    return (places[jumps.target] + jumps.shift - places[jumps.origin]) @ cell


@pytest.mark.parametrize("n_frames, interval_fs", [(2000, 20.0), (600, 100.0)])
def test_rates_of_a_conductor_are_those_of_its_bonds(n_frames, interval_fs):
    """Hops take 300 fs; in passing each other on a bond two ions make two of them."""
    model = HoppingModel()
    rng = np.random.default_rng(int(interval_fs))
    run = ion_conductor(model, n_frames, rng, temperature_k=1000.0, frame_interval_fs=interval_fs)
    found = counted(run)
    expected = 6.0 * model.bond_rate_per_ps(1000.0) * found.jumps.exposure_ps
    # both ions of a bond jump at once, so the variance is up to twice that of a Poisson process
    assert abs(found.jumps.n - expected) < 4.0 * (2.0 * expected) ** 0.5
    lengths = np.linalg.norm(vectors(found, run.cells[0]), axis=1)
    assert (np.abs(lengths - model.hop_distance) < 0.3).mean() > 0.95


def test_jumps_add_up_to_the_way_of_each_ion():
    run = ion_conductor(HoppingModel(), 400, np.random.default_rng(3), temperature_k=1200.0)
    found = counted(run)
    ways = vectors(found, run.cells[0])
    for ion, path in enumerate(found.paths):
        way = ways[found.jumps.ion == ion].sum(axis=0)
        moved = (path[:, -1] - path[:, 0]) @ run.cells[0]
        assert np.linalg.norm(moved - way) < 2.0 * found.sites.radius + 2.0


def test_rattling_and_rest_are_no_jumps():
    for rattle in (0.0, 0.3):
        run = walkers(Walk(rattle=rattle), 1000, np.random.default_rng(0), frame_interval_fs=20.0)
        assert counted(run).jumps.n == 0


def test_a_cell_that_drifts_makes_no_jumps():
    run = walkers(Walk(rattle=0.2), 300, np.random.default_rng(0))
    found = counted(drifting(run, (0.3, -0.2, 0.1)))
    assert (found.sites.n_sites, found.jumps.n) == (20, 0)


def test_a_single_ion_jumps_to_its_own_images():
    walk = Walk(n_ions=1, repeats=1, hop_distance=3.5, rattle=0.2, hops_per_ps=0.3)
    found = counted(walkers(walk, 3000, np.random.default_rng(1)))
    expected = 0.3 * found.jumps.exposure_ps
    assert abs(found.jumps.n - expected) < 4.0 * expected**0.5
    assert (found.jumps.origin == found.jumps.target).all()
    assert (np.abs(found.jumps.shift).sum(axis=1) == 1).mean() > 0.95


def test_the_choice_of_lattice_vectors_does_not_matter():
    run = ion_conductor(HoppingModel(), 300, np.random.default_rng(2), temperature_k=1000.0)
    found = counted(run)
    cell = SKEWED @ run.cells[0]
    back = np.linalg.inv(SKEWED)
    scaled = found.sites.scaled @ back
    sites = made_sites(scaled - np.floor(scaled), cell)
    paths = [back.T @ path for path in found.paths]
    again = site_jumps(paths, sites, frame_interval_ps=found.jumps.frame_interval_ps)
    assert_array_equal(rows_of(again)[:, :4], rows_of(found.jumps)[:, :4])


def test_stretches_and_ions_are_parts_of_the_whole():
    run = ion_conductor(HoppingModel(), 500, np.random.default_rng(4), temperature_k=1200.0)
    whole = counted(run).jumps
    marks = [0, 130, 131, 400, 500]
    parts = [whole.between(start, stop) for start, stop in pairwise(marks)]
    assert sum(part.n for part in parts) == whole.n
    assert_allclose(sum(part.time_at for part in parts), whole.time_at, rtol=1e-9, atol=1e-9)
    assert_allclose(sum(part.exposure_ps for part in parts), whole.exposure_ps, rtol=1e-9, atol=0)
    for start, part in zip(marks, parts, strict=False):
        assert ((part.frame >= 0) & (part.frame < part.n_frames)).all()
        for ion in np.unique(part.ion):  # each jump leaves from where the one before led
            mine = part.ion == ion
            at = [part.ion_sites[ion], *part.target[mine]]
            assert_array_equal(part.origin[mine], at[:-1])
            assert_array_equal(part.frame[mine] + start, np.sort(part.frame[mine] + start))
    rows = np.random.default_rng(0).permutation(60)
    groups = [whole.of_ions(rows[:20]), whole.of_ions(rows[20:])]
    assert sum(group.n for group in groups) == whole.n
    assert_allclose(groups[0].time_at + groups[1].time_at, whole.time_at, rtol=1e-9, atol=1e-9)
    first = whole.of_ions(rows[:1])
    assert_array_equal(rows_of(first)[:, 1:], rows_of(whole)[whole.ion == rows[0]][:, 1:])


def test_stretches_begin_before_an_ion_came_to_a_site():
    path = along(*[1.5] * 4, *[3] * 4, *[6] * 4)
    whole = site_jumps([path], THREE, frame_interval_ps=0.1)
    before, at, after = (whole.between(*span) for span in ((0, 3), (2, 6), (6, 12)))
    assert [part.ion_sites.tolist() for part in (before, at, after)] == [[-1], [1], [1]]
    assert [part.arrival.tolist() for part in (before, at, after)] == [[3], [2], [0]]
    assert [part.n for part in (before, at, after)] == [0, 0, 1]
    assert after.frame.tolist() == [2]


@pytest.mark.parametrize("span", [(-1, 3), (3, 3), (5, 2), (12, 20)])
def test_senseless_stretches_are_refused(span):
    whole = site_jumps([along(*[0] * 12)], THREE, frame_interval_ps=0.1)
    with pytest.raises(InputError, match="a stretch of 0 to 12"):
        whole.between(*span)
