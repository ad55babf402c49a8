"""Sampling: disjoint, as many as asked, apart in time, reproducible."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from mdbench.errors import InputError
from mdbench.training.sampling import (
    SPLITS,
    Quota,
    blocks_and_gap,
    deal_blocks,
    quotas,
    split_at_random,
    split_by_blocks,
)


@st.composite
def cases(draw):
    """Runs of any length, some frames not to be used, cut in any way."""
    n_frames = draw(st.integers(12, 400))
    n_blocks, gap = blocks_and_gap(
        n_frames, draw(st.one_of(st.none(), st.integers(3, 40))), draw(st.integers(0, 60))
    )
    usable = np.ones(n_frames, dtype=bool)
    usable[draw(st.lists(st.integers(0, n_frames - 1), max_size=n_frames // 2))] = False
    quota = Quota(*(draw(st.integers(low, 80)) for low in (1, 1, 0)))
    known = {"rank": draw(st.integers(0, 20)), "seed": draw(st.integers(0, 2**40))}
    return usable, quota, n_blocks, gap, known


def check(usable, quota, split):
    """What holds for any sampling."""
    assert tuple(split.frames) == SPLITS
    every = np.concatenate(list(split.frames.values()))
    assert len(set(every.tolist())) == len(every)
    assert usable[every].all()
    asked = (quota.train, quota.validation, quota.test, quota.test)
    for (name, frames), n in zip(split.frames.items(), asked, strict=True):
        assert frames.dtype == np.int64
        assert_array_equal(frames, np.sort(frames))
        if name != "near":
            assert len(frames) <= n
            assert split.share < 1.0 or len(frames) == n


@given(cases())
def test_blocks_are_disjoint_and_apart(case):
    usable, quota, n_blocks, gap, known = case
    split = split_by_blocks(usable, quota, n_blocks=n_blocks, gap=gap, **known)
    check(usable, quota, split)
    assert len(split.frames["near"]) <= quota.test
    assert split.share < 1.0 or len(split.frames["near"]) == quota.test
    seen = np.concatenate([split.frames["train"], split.frames["near"]]).tolist()
    sides = (seen, split.frames["validation"].tolist(), split.frames["test"].tolist())
    for k, side in enumerate(sides):
        for other in sides[k + 1 :]:
            assert all(abs(i - j) > gap for i in side for j in other)


@given(cases())
def test_random_frames_are_disjoint(case):
    usable, quota, _, _, known = case
    split = split_at_random(usable, quota, **known)
    check(usable, quota, split)
    assert not len(split.frames["near"])
    assert (split.n_blocks, split.gap) == (0, 0)


@given(cases())
def test_what_is_short_is_short_in_proportion(case):
    """Of each split the same share, to a frame; where there is room for one, at least one."""
    usable, quota, n_blocks, gap, known = case
    split = split_by_blocks(usable, quota, n_blocks=n_blocks, gap=gap, **known)
    asked = (quota.train, quota.validation, quota.test, quota.test)
    for frames, n in zip(split.frames.values(), asked, strict=True):
        assert len(frames) <= max(1, split.share * n + 1e-6)
        assert len(frames) > split.share * n - 1 - 1e-6
    full = split_by_blocks(
        np.ones_like(usable), quota, n_blocks=n_blocks, gap=gap, **known
    ).frames  # fmt: skip
    assert all(len(frames) for name, frames in full.items() if quota.test or name in SPLITS[:2])


@settings(max_examples=20)
@given(cases())
def test_the_same_seed_gives_the_same_frames(case):
    usable, quota, n_blocks, gap, known = case
    for one, other in (
        [split_by_blocks(usable, quota, n_blocks=n_blocks, gap=gap, **known) for _ in "ab"],
        [split_at_random(usable, quota, **known) for _ in "ab"],
    ):
        for name in SPLITS:
            assert_array_equal(one.frames[name], other.frames[name])


def test_other_seeds_and_other_runs_have_other_frames():
    usable, quota = np.ones(2000, dtype=bool), Quota(200, 50, 40)
    for split in (
        lambda **known: split_by_blocks(usable, quota, n_blocks=10, gap=12, **known),
        lambda **known: split_at_random(usable, quota, **known),
    ):
        found = {
            tuple(split(rank=rank, seed=seed).frames["test"].tolist())
            for rank in range(3)
            for seed in range(3)
        }
        assert len(found) == 9


@pytest.mark.parametrize("n_blocks", [3, 4, 5, 7, 10, 25, 100])
@pytest.mark.parametrize("seed", range(3))
def test_blocks_are_held_out_in_turn(n_blocks, seed):
    """So many runs that every block of time is for test in one of them, and for validation."""
    held = max(1, round(n_blocks / 5))
    n_runs = n_blocks // held
    dealt = np.array([deal_blocks(n_blocks, rank, seed) for rank in range(n_runs)])
    for name in ("validation", "test"):
        assert_array_equal((dealt == SPLITS.index(name)).sum(axis=1), held)
        times = (dealt == SPLITS.index(name)).sum(axis=0)
        assert times.max() == 1
        assert times.sum() == n_runs * held
    assert set(dealt.ravel().tolist()) == {0, 1, 2}


def test_frames_are_spread_over_their_blocks():
    """One in each of equal stretches of the frames that the split has."""
    usable = np.ones(10_000, dtype=bool)
    quota = Quota(600, 100, 100)
    split = split_by_blocks(usable, quota, n_blocks=10, gap=0, rank=1, seed=5)
    owner = np.repeat(deal_blocks(10, 1, 5), 1000)
    for k, n in ((0, 600), (1, 100), (2, 100)):
        stretches = np.array_split(np.flatnonzero(owner == k), n)
        frames = split.frames[SPLITS[k]].tolist()
        assert [sum(f in set(s.tolist()) for f in frames) for s in stretches] == [1] * n
        steps = np.diff(frames)
        assert len(set(steps.tolist())) > 3  # not a comb
    assert (owner[split.frames["near"]] == 0).all()


def test_random_frames_are_of_all_times():
    split = split_at_random(np.ones(10_000, dtype=bool), Quota(1000, 250, 500), rank=0, seed=0)
    for name in SPLITS[:3]:
        counts, _ = np.histogram(split.frames[name], bins=10, range=(0, 10_000))
        assert (counts > 0.5 * counts.mean()).all()
    steps = np.abs(split.frames["test"][:, None] - split.frames["train"]).min(axis=1)
    assert (steps == 1).mean() > 0.1  # what blocks are for


def test_the_numbers_of_the_paper():
    asked = quotas(15)
    assert sum(q.train for q in asked) == 30_000
    assert sum(q.validation for q in asked) == 7_500
    assert sum(q.test for q in asked) == 2_000
    assert {q.test for q in asked} == {133, 134}


@given(st.integers(1, 60), st.floats(1e-6, 1.0))
def test_quotas_of_a_fraction(n_runs, fraction):
    asked = quotas(n_runs, fraction)
    assert len(asked) == n_runs
    assert {q.train for q in asked} == {max(1, round(2000 * fraction))}
    assert {q.validation for q in asked} == {max(1, round(500 * fraction))}
    test = [q.test for q in asked]
    assert sum(test) == max(1, round(2000 * fraction))
    assert max(test) - min(test) <= 1


@pytest.mark.parametrize(
    ("n_frames", "asked", "gap", "expected"),
    [
        (25_000, None, 125, (10, 125)),  # 50 ps
        (2_500, None, 125, (5, 125)),  # 5 ps
        (500, None, 25, (5, 25)),  # 5 ps, every fifth step
        (2_500, 10, 125, (10, 62)),
        (264, None, 125, (5, 13)),
        (100, None, 1, (10, 1)),
        (100, None, 0, (10, 0)),
        (12, None, 125, (3, 1)),
        (30, 50, 5, (7, 1)),
    ],
)
def test_blocks_and_gaps(n_frames, asked, gap, expected):
    assert blocks_and_gap(n_frames, asked, gap) == expected


def test_a_run_of_few_frames_is_refused():
    with pytest.raises(InputError, match="at least 12 frames, found 11"):
        blocks_and_gap(11, None, 1)
