"""Floors and intervals of path statistics: their rules, and whether they hold on simulated ions."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from mdbench.analysis.path_deals import deal_out, deal_tracks, small_sides
from mdbench.analysis.path_events import events
from mdbench.analysis.path_fidelity import path_fidelity
from mdbench.analysis.path_floors import dispersion
from tests.analysis.jumpers import KINDS, jumpers, wells


def scores(fidelity):
    """name -> (score, whether large values are good)."""
    named = {"rate distance": (fidelity.rate_distance, False)}
    for group, found in {
        "jumps": fidelity,
        "strict": fidelity.strict,
        "majority": fidelity.paths.majority,
        "all": fidelity.paths.all,
    }.items():
        named[f"{group}: efficiency"] = found.efficiency, True
        named[f"{group}: fake rate"] = found.fake_rate, False
        named[f"{group}: duplicate rate"] = found.duplicate_rate, False
    return named


def perfect(kind, n_seeds, n_runs=(1, 1), n_deals=100):
    """Fidelities of models that are the reference with other seeds."""
    for seed in range(n_seeds):
        rng = np.random.default_rng(seed)
        sides = [[KINDS[kind](rng) for _ in range(n)] for n in n_runs]
        yield path_fidelity(*sides, sides[0][0].n_sites, n_deals=n_deals, seed=seed)


def coverage(found, name):
    """Share of intervals that hold the mean of all values, and of values beyond their floors."""
    picked = [scores(f)[name] for f in found]
    values = np.array([score.estimate.value for score, _ in picked if score.estimate.resolved])
    mean = values.mean()
    covered = beyond = 0
    for score, good in picked:
        if not score.estimate.resolved:
            continue
        e, floor = score.estimate, score.floor
        covered += e.low - 1e-12 <= mean <= e.high + 1e-12
        low, high = floor.low - 1e-12, floor.high + 1e-12
        beyond += e.value < low if good else e.value > high
    return covered / len(values), beyond / len(values)


def check(found, share=0.05):
    """Intervals cover, and about that share of the values, or less, is beyond a floor."""
    for name in scores(found[0]):
        covered, beyond = coverage(found, name)
        assert covered >= 0.9, name
        assert beyond <= share + 3.0 * np.sqrt(share * (1.0 - share) / len(found)), name


@pytest.mark.parametrize("kind", ["few", "in concert"])
def test_intervals_cover_and_floors_hold(kind):
    check(list(perfect(kind, 15, n_deals=40)))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_intervals_cover_and_floors_hold_in_100_draws(kind):
    found = list(perfect(kind, 100))
    check(found)
    ratios = [f.rate_ratio.estimate for f in found]
    values = [r.value for r in ratios if r.resolved]
    if kind != "few":  # a ratio of 3 to 3 jumps has no mean
        mean = np.mean(values)
        assert np.mean([r.low <= mean <= r.high for r in ratios]) >= 0.9


@pytest.mark.slow
@pytest.mark.parametrize("n_runs", [(3, 1), (1, 3), (3, 3)])
@pytest.mark.parametrize("kind", ["channels", "in concert", "back and forth", "wells"])
def test_several_runs(kind, n_runs):
    # whole paths of ions that hop by tens: twice as often as it should be
    check(list(perfect(kind, 40, n_runs)), 0.1 if kind == "in concert" else 0.05)


def test_stretches_alone_would_forget_where_ions_are():
    """What each kind of unit misses, and that the floor has the less favorable mean."""
    rng = np.random.default_rng(0)
    runs = [jumpers(rng, back=0.7) for _ in range(2)]
    found = path_fidelity(runs[:1], runs[1:], runs[0].n_sites, n_deals=100)
    happened = events(runs[:1], runs[1:])
    pairs = [set(happened.pair[happened.is_model == side]) for side in (True, False)]
    by_stretch = []
    for mask in deal_out(happened.stretches, 100, rng):
        own = mask[happened.stretches.of_jump] > 0.0
        made = set(happened.pair[own])
        by_stretch.append(np.mean([pair in made for pair in happened.pair[~own]]))
    assert found.efficiency.estimate.value < np.quantile(by_stretch, 0.05)
    assert found.efficiency.estimate.value > found.efficiency.floor.low
    assert pairs[0] != pairs[1]


def test_a_perfect_model_whose_ions_stay_in_their_wells_finds_all():
    rng = np.random.default_rng(0)
    found = path_fidelity([wells(rng)], [wells(rng)], 40, n_deals=100)
    assert found.efficiency.estimate.value == 1.0
    assert found.efficiency.floor.expected > 0.98


def test_the_floor_is_not_that_of_a_bad_model():
    """A model that hops along other axes does not lower what a perfect one would show."""
    rng = np.random.default_rng(0)
    lines = [jumpers(rng, axes=(0, 0, 1), jumps_per_ion=60) for _ in range(2)]
    other = jumpers(rng, axes=(1, 0, 0), jumps_per_ion=60)
    good, bad = (path_fidelity([m], lines[1:], 54, n_deals=200) for m in (lines[0], other))
    assert bad.efficiency.estimate.value == 0.0
    assert bad.efficiency.floor.p < 0.01
    assert_allclose(bad.efficiency.floor.expected, good.efficiency.floor.expected, rtol=0.12)


def test_deals_keep_the_numbers_and_do_not_know_the_sides():
    rng = np.random.default_rng(0)
    runs = [jumpers(rng) for _ in range(4)]
    happened = events(runs[:1], runs[1:])
    tracks, stretches = happened.tracks, happened.stretches
    for units, dealt in (
        (stretches, deal_out(stretches, 300, rng)),
        (tracks, deal_tracks(happened, 300, rng)),
    ):
        assert_array_equal(dealt.sum(axis=1), units.is_model.sum())
        assert set(np.unique(dealt)) == {0.0, 1.0}
        share = units.is_model.mean()
        # a quarter of all tracks, whichever side they are on
        assert_allclose(dealt.mean(axis=0), share, rtol=0, atol=5 * np.sqrt(share / 300))


def test_tracks_of_one_well_are_dealt_within_it():
    rng = np.random.default_rng(0)
    runs = [wells(rng) for _ in range(3)]
    happened = events(runs[:1], runs[1:])
    dealt = deal_tracks(happened, 50, rng).reshape(50, 3, 20)  # run, ion
    assert_array_equal(dealt.sum(axis=1), 1.0)


def test_small_sides_have_the_shape_of_the_sides():
    rng = np.random.default_rng(0)
    runs = [jumpers(rng) for _ in range(3)]
    tracks = events(runs[:1], runs[1:]).tracks
    own, other = small_sides(tracks, np.flatnonzero(~tracks.is_model), 20, rng)
    assert_array_equal(own.sum(axis=1), 13)  # a third of 40
    assert_array_equal(other.sum(axis=1), 27)
    assert not (own * other).any()
    assert not own[:, tracks.is_model].any()


def test_jumps_in_concert_are_fewer_events():
    found = []
    for group in (1, 10):
        rng = np.random.default_rng(0)
        runs = [jumpers(rng, group=group, jumps_per_ion=60) for _ in range(8)]
        found.append(dispersion(events(runs[:4], runs[4:]).stretches))
    assert 1.0 <= found[0] < 2.5
    assert 5.0 < found[1] < 30.0
