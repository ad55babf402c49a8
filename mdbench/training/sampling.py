"""Which frames of a run are for training, validation and test: by blocks of time, or at random.

Frames that are close in time look alike. A test frame that is drawn at random from a run has a
training frame a few steps away, and its error flatters every model. By default whole blocks of
time are therefore dealt to the splits, with a gap between blocks of different splits, and `near`
holds what random sampling would have tested on: unseen frames between those of training.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mdbench.errors import InputError

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

#: In the order of the rows of `Quota`.
SPLITS = ("train", "validation", "test", "near")
#: The paper's numbers of frames: of each run, of each run, of all runs of a material.
TRAIN_FRAMES, VALIDATION_FRAMES, TEST_FRAMES = 2000, 500, 2000
#: A block is at least as many gaps long, and has at least as many frames.
_BLOCK_IN_GAPS, _SHORTEST_BLOCK = 4, 4
#: Blocks of a run: at least, in short runs, in long runs; where they are not asked for.
FEWEST_BLOCKS, _FEW_BLOCKS, _MANY_BLOCKS = 3, 5, 10
#: Shares of the blocks that are held out: a fifth for validation, a fifth for test.
_HELD_OUT = 5
#: Runs with fewer frames cannot be cut into blocks.
FEWEST_FRAMES = FEWEST_BLOCKS * _SHORTEST_BLOCK


@dataclass(frozen=True)
class Quota:
    """How many frames are asked of one run; `near` has as many as `test`."""

    train: int
    validation: int
    test: int


@dataclass(frozen=True)
class RunSplit:
    """The frames of one run by split.

    Attributes:
        frames: (n,) sorted frame numbers of each of `SPLITS`.
        n_blocks: Blocks of time that the run was cut into; 0 where drawn at random.
        gap: Frames left out between blocks of different splits.
        share: Share of the quota that the run could give, the same for all splits.
    """

    frames: dict[str, IntArray]
    n_blocks: int
    gap: int
    share: float


def quotas(n_runs: int, fraction: float = 1.0) -> list[Quota]:
    """What is asked of each run of a material: the paper's numbers, times a fraction.

    Test frames are counted over all runs and spread evenly.
    """
    test = max(1, round(TEST_FRAMES * fraction))
    train = max(1, round(TRAIN_FRAMES * fraction))
    validation = max(1, round(VALIDATION_FRAMES * fraction))
    return [
        Quota(train, validation, (i + 1) * test // n_runs - i * test // n_runs)
        for i in range(n_runs)
    ]


def blocks_and_gap(n_frames: int, n_blocks: int | None, gap: int) -> tuple[int, int]:
    """Number of blocks of a run, and the gap that fits them.

    Without a number asked for: ten, down to five where blocks would be shorter than four gaps.
    The gap is at most a quarter of a block: a block between two others loses at most that.

    Args:
        n_frames: Length of the run.
        n_blocks: As asked for.
        gap: Frames between blocks of different splits, as asked for.
    """
    if n_frames < FEWEST_FRAMES:
        raise InputError("run", expected=f"at least {FEWEST_FRAMES} frames", found=n_frames)
    if n_blocks is None:
        fitting = n_frames // (_BLOCK_IN_GAPS * max(gap, 1))
        n_blocks = min(max(fitting, _FEW_BLOCKS), _MANY_BLOCKS)
    n_blocks = max(FEWEST_BLOCKS, min(n_blocks, n_frames // _SHORTEST_BLOCK))
    return n_blocks, min(gap, n_frames // n_blocks // _BLOCK_IN_GAPS)


def deal_blocks(n_blocks: int, rank: int, seed: int) -> IntArray:
    """(n_blocks,) index in `SPLITS` of the split that gets each block of a run.

    A fifth is for test, a fifth for validation. Successive runs hold out successive blocks of one
    shuffled order, so that five runs test each part of the time once.

    Args:
        n_blocks: Number of blocks, at least three.
        rank: Number of the run.
        seed: Of the shuffled order.
    """
    held = max(1, round(n_blocks / _HELD_OUT))
    shuffled = np.random.default_rng([seed, n_blocks, 1]).permutation(n_blocks)
    order = np.roll(shuffled, -rank * held)
    dealt = np.full(n_blocks, SPLITS.index("train"))
    dealt[order[:held]] = SPLITS.index("test")
    dealt[order[held : 2 * held]] = SPLITS.index("validation")
    return dealt


def split_by_blocks(
    usable: BoolArray, quota: Quota, *, n_blocks: int, gap: int, rank: int, seed: int
) -> RunSplit:
    """Frames of a run whose splits are apart in time.

    Within the blocks of a split frames are evenly spaced, each moved at random within its stretch:
    evenly spaced ones know most of the run for their number, and the jitter keeps the spacing
    from locking in with a vibration.

    Args:
        usable: (n_frames,) which frames may be drawn.
        quota: How many are asked for.
        n_blocks: Blocks of time, of equal length.
        gap: Frames left out between blocks of different splits.
        rank: Number of the run among those of the material.
        seed: Of all random numbers.
    """
    edges = np.arange(n_blocks + 1) * len(usable) // n_blocks
    dealt = deal_blocks(n_blocks, rank, seed)
    owner = np.repeat(dealt, np.diff(edges))  # (F,)
    kept = usable.copy()
    for boundary in edges[1:-1][np.diff(dealt) != 0]:
        start = boundary - gap // 2
        kept[start : start + gap] = False
    rooms = [np.flatnonzero(kept & (owner == k)) for k in range(3)]
    asked = np.array([quota.train, quota.validation, quota.test, quota.test])
    room = [len(frames) for frames in rooms]
    needed = (quota.train + quota.test, quota.validation, quota.test)
    share = min([1.0, *(r / n for r, n in zip(room, needed, strict=True) if n)])
    n = _counts(asked, share)
    rng = np.random.default_rng([seed, rank])
    train = _spread(rooms[0], min(n[0], room[0]), rng)
    unseen = np.setdiff1d(rooms[0], train)
    frames = {
        "train": train,
        "validation": _spread(rooms[1], min(n[1], room[1]), rng),
        "test": _spread(rooms[2], min(n[2], room[2]), rng),
        "near": _spread(unseen, min(n[3], len(unseen)), rng),
    }
    return RunSplit(frames, n_blocks, gap, share)


def split_at_random(usable: BoolArray, quota: Quota, *, rank: int, seed: int) -> RunSplit:
    """Frames of a run drawn at random from all times, as in the paper; `near` is empty.

    Args:
        usable: (n_frames,) which frames may be drawn.
        quota: How many are asked for.
        rank: Number of the run among those of the material.
        seed: Of all random numbers.
    """
    frames = np.random.default_rng([seed, rank]).permutation(np.flatnonzero(usable))
    asked = np.array([quota.train, quota.validation, quota.test])
    share = min(1.0, len(frames) / int(asked.sum()))
    ends = np.cumsum(_counts(asked, share))
    parts = [np.sort(part) for part in np.split(frames, ends)[:3]]
    drawn = dict(zip(SPLITS, [*parts, frames[:0]], strict=True))
    return RunSplit(drawn, n_blocks=0, gap=0, share=share)


def _counts(asked: IntArray, share: float) -> IntArray:
    """The share of what is asked for, of each split at least one frame where one is asked for."""
    scaled = np.floor(asked * share + 1e-9).astype(np.int64)
    return np.asarray(np.maximum(scaled, np.minimum(asked, 1)))


def _spread(frames: IntArray, n: int, rng: np.random.Generator) -> IntArray:
    """(n,) one frame at random from each of n stretches with equally many of the frames."""
    edges = np.arange(n + 1) * len(frames) // max(n, 1)
    return frames[rng.integers(edges[:-1], edges[1:])]
