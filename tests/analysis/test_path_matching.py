"""Matched, fake and duplicate jumps and paths: by hand, and against naive twins."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from mdbench.analysis.path_events import events, site_sets, whole_paths
from mdbench.analysis.path_matching import (
    JumpTally,
    PathTally,
    _largest_matching,
    allowed_matches,
)
from tests.analysis.jumpers import jumpers, jumps_of


def tally_of(model, reference, kinds, window_ps=None):
    happened = events(model, reference, window_ps)
    units = happened.stretches
    own = units.is_model[None].astype(float)
    return JumpTally.of(kinds(happened), units)(own, 1.0 - own)[0]


def pairs(happened):
    return happened.pair


def keys(run):
    return list(zip(run.origin, run.target, *run.shift.T, strict=True))


def naive_jumps(model, reference):
    """Efficiency, fake rate, duplicate rate, distance and ratio from counts of pairs."""
    made = Counter(key for run in model for key in keys(run))
    known = Counter(key for run in reference for key in keys(run))
    n_made, n_known = made.total(), known.total()
    own, other = (sum(run.exposure_ps for run in side) for side in (model, reference))
    return (
        sum(n for key, n in known.items() if made[key]) / n_known,
        sum(n for key, n in made.items() if not known[key]) / n_made,
        sum(max(0, n - own / other * known[key]) for key, n in made.items() if known[key]) / n_made,
        0.5 * sum(abs(made[k] / n_made - known[k] / n_known) for k in {*made, *known}),
        n_made / own / (n_known / other),
    )


def paths_of(run, n_windows):
    """(ion, window) -> rows of its jumps."""
    found = {}
    for row in range(run.n):
        key = int(run.ion[row]), int(run.frame[row] * n_windows // run.n_frames)
        found.setdefault(key, []).append(row)
    return found


def largest(edges, n_left):
    """Number of pairs in the largest matching, by augmenting paths."""
    match = {}

    def augment(left, seen):
        for right in edges[left]:
            if right not in seen:
                seen.add(right)
                if right not in match or augment(match[right], seen):
                    match[right] = left
                    return True
        return False

    return sum(augment(left, set()) for left in range(n_left))


def naive_paths(model, reference, n_windows, *, whole):
    """Of two runs of equal length, path by path."""
    sides = []
    for run in (model, reference):
        visited = [
            {*run.origin[rows], *run.target[rows]} for rows in paths_of(run, n_windows).values()
        ]
        sides.append(visited)
    made, known = sides
    fits = [
        [j for j, k in enumerate(known) if len(m & k) * (1 if whole else 2) > len(m) - whole]
        for m in made
    ]
    matched = largest(fits, len(made))
    real = sum(bool(f) for f in fits)
    n = len(made)
    return matched / len(known), (n - real) / n, (real - matched) / n


def test_a_comparison_worked_by_hand():
    """Reference: A-B three times, B-A once. Model: A-B once, C-D twice, B-A three times."""
    reference = jumps_of([(0, 10, 0, 1), (0, 20, 1, 0), (0, 30, 0, 1), (1, 40, 0, 1)])
    model = jumps_of(
        [(0, 10, 0, 1), (0, 20, 1, 0), (1, 5, 2, 3), (1, 50, 1, 0), (1, 60, 1, 0), (1, 70, 2, 3)]
    )
    found = tally_of([model], [reference], pairs)
    assert_allclose(found, [1.0, 2 / 6, 2 / 6, 7 / 12, 6 / 4], rtol=1e-12, atol=0)


def test_a_lattice_vector_makes_another_pair():
    there, elsewhere = jumps_of([(0, 10, 0, 1, 0, 0, 1)]), jumps_of([(0, 10, 0, 1)])
    assert_array_equal(tally_of([there], [elsewhere], pairs)[:2], [0.0, 1.0])
    assert_array_equal(tally_of([there], [there], pairs)[:2], [1.0, 0.0])


@pytest.mark.parametrize("n_runs", [(1, 1), (1, 3), (2, 1)])
def test_jumps_are_counted_as_by_hand(n_runs):
    rng = np.random.default_rng(0)
    model, reference = ([jumpers(rng) for _ in range(n)] for n in n_runs)
    expected = naive_jumps(model, reference)
    assert_allclose(tally_of(model, reference, pairs), expected, rtol=1e-12, atol=0)


def test_exposures_are_equalized():
    """The same run twice is no duplicate, and a run of half the length no slow one."""
    run = jumpers(np.random.default_rng(1))
    found = tally_of([run, run], [run], pairs)
    assert_allclose(found, [1.0, 0.0, 0.0, 0.0, 1.0], rtol=0, atol=1e-12)
    first = run.between(0, run.n_frames // 2)
    expected = naive_jumps([first], [run])
    assert_allclose(tally_of([first], [run], pairs), expected, rtol=1e-12, atol=0)


def test_whole_paths_are_the_same_pairs_in_the_same_order():
    a, b, c = (0, 1), (1, 2), (2, 3)
    rows = [(0, 10, *a), (0, 20, *b), (1, 10, *b), (1, 20, *a), (2, 10, *a), (2, 30, *b)]
    run = jumps_of([*rows, (3, 5, *c), (3, 6, *a), (3, 7, *b)], n_ions=4, n_frames=800)
    happened = events([run], [run], window_ps=100.0)
    kinds = whole_paths(happened)[:9]
    assert len(set(kinds[[0, 1, 4, 5]])) == 1
    assert len({kinds[0], kinds[2], kinds[6]}) == 3


def test_windows_cut_paths():
    """Of two jumps on end one window has both, and two windows one each."""
    run = jumps_of([(0, 30, 0, 1), (0, 70, 1, 2)], n_frames=800, interval_ps=0.01)
    for window_ps, n_paths in ((8.0, 2), (0.5, 4)):
        assert len(events([run], [run], window_ps).starts) == n_paths


@given(seed=st.integers(0, 10**6), jumps=st.floats(0.5, 20.0))
def test_strict_is_never_better(seed, jumps):
    rng = np.random.default_rng(seed)
    sides = [[jumpers(rng, shape=(2, 2, 2), n_ions=4, jumps_per_ion=jumps)] for _ in range(2)]
    if not all(side[0].n for side in sides):
        return
    loose, strict = (tally_of(*sides, kinds) for kinds in (pairs, whole_paths))
    assert strict[0] <= loose[0] + 1e-12
    assert strict[1] >= loose[1] - 1e-12
    assert strict[1] + strict[2] >= loose[1] + loose[2] - 1e-12
    assert strict[3] >= loose[3] - 1e-12
    assert_allclose(strict[4], loose[4], rtol=1e-12, atol=0)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("whole", [False, True])
def test_paths_are_matched_as_by_hand(seed, whole):
    rng = np.random.default_rng(seed)
    model, reference = (jumpers(rng, axes=(0, 0, 1), jumps_per_ion=20) for _ in range(2))
    happened = events([model], [reference])
    units = happened.stretches
    sets, members = site_sets(happened, model.n_sites)
    counts = np.zeros((members.shape[0], units.n))
    np.add.at(counts, (sets, units.of_jump[happened.starts]), 1.0)
    tally = PathTally(counts, units.exposure_ps, allowed_matches(members, whole=whole))
    own = units.is_model[None].astype(float)
    n_windows = round(model.length_ps / happened.window_ps)
    expected = naive_paths(model, reference, n_windows, whole=whole)
    assert_allclose(tally(own, 1.0 - own)[0], expected, rtol=1e-12, atol=0)


def test_largest_matching_of_numbers_is_that_of_single_paths():
    rng = np.random.default_rng(0)
    for _ in range(100):
        n = int(rng.integers(1, 9))
        fits = rng.random((n, n)) < 0.25
        made, known = rng.integers(0, 4, (2, n))
        edges = np.array(np.nonzero(fits))
        edges = edges[:, (made[edges[0]] > 0) & (known[edges[1]] > 0)]
        single = fits[np.repeat(np.arange(n), made)][:, np.repeat(np.arange(n), known)]
        expected = largest([np.flatnonzero(row) for row in single], len(single))
        assert _largest_matching(made, known, edges) == expected


def test_majority_and_all_of_the_sites():
    """Model path 0-1-2 against reference paths 0-1 (most of it) and 0-1-2-3 (all of it)."""
    model = jumps_of([(0, 10, 0, 1), (0, 20, 1, 2)], n_ions=1)
    for rows, majority, every in (
        ([(0, 10, 0, 1)], 1.0, 0.0),
        ([(0, 10, 0, 1), (0, 20, 1, 2), (0, 30, 2, 3)], 1.0, 1.0),
        ([(0, 10, 2, 3)], 0.0, 0.0),
    ):
        reference = jumps_of(rows, n_ions=1)
        for whole, expected in ((False, majority), (True, every)):
            assert naive_paths(model, reference, 1, whole=whole)[0] == expected
