"""How well a model's jumps and paths are those of the reference, with intervals and floors.

A jump is known by its directed pair: the site that it starts from, the site that it ends at, and
the lattice vectors between them. No symmetry is assumed: what equivalent pairs do elsewhere does
not count.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from mdbench.analysis.jumps import IntArray, Jumps
from mdbench.analysis.msd import FloatArray
from mdbench.analysis.path_deals import deal_out, deal_tracks
from mdbench.analysis.path_events import Events, Units, counted, events, site_sets, whole_paths
from mdbench.analysis.path_floors import (
    Deals,
    Score,
    Tally,
    dispersion,
    drawn,
    mean_of,
    rate_ratio,
    share,
    told_apart,
)
from mdbench.analysis.path_matching import JumpTally, PathTally, allowed_matches
from mdbench.errors import InputError

#: Paths that are matched; of more, every second, third, …
_MOST_PATHS = 4000
#: Numbers that a table of deals may have.
_MOST_NUMBERS = 20_000_000


@dataclass(frozen=True)
class Scores:
    """How many of the reference's jumps or paths a model finds, and what else it makes.

    The model's are matched, duplicate or fake: the shares of the three add up to 1.

    Attributes:
        efficiency: Share of the reference's that the model makes, too.
        fake_rate: Share of the model's that the reference never makes.
        duplicate_rate: Share of the model's that the reference makes, but less often.
    """

    efficiency: Score
    fake_rate: Score
    duplicate_rate: Score


@dataclass(frozen=True)
class PathScores:
    """Scores of whole paths: the sites that one ion visits in a window, matched one to one.

    Attributes:
        majority: A path may be matched to one of the reference that holds most of its sites.
        all: To one that holds all of them.
    """

    majority: Scores
    all: Scores


@dataclass(frozen=True)
class Fidelity(Scores):
    """A model's jumps and paths against the reference's; the scores at the top are of jumps.

    Attributes:
        strict: Of jumps, each of which counts only if the whole path of its ion in a window is
            matched, jump by jump.
        paths: Of whole paths, by the sites that they visit.
        rate_distance: Total variation between the distributions of jumps over pairs: 0 where the
            shares are the same, 1 where no pair is.
        rate_ratio: Jumps per ion and time of the model over those of the reference.
        frozen: Probability that a perfect model makes no jump at all; None where the model makes
            any or the reference none.
        own_share: Share of the model's jumps from or to sites that only the model has; None where
            it makes none.
        n_jumps: Of the model and of the reference.
        n_pairs: Pairs that the model makes, that the reference makes, and that both make.
        window_ps: Length of a window.
        n_stretches: Stretches of time, of the model and of the reference.
    """

    strict: Scores
    paths: PathScores
    rate_distance: Score
    rate_ratio: Score
    frozen: float | None
    own_share: float | None
    n_jumps: tuple[int, int]
    n_pairs: tuple[int, int, int]
    window_ps: float
    n_stretches: tuple[int, int]


def path_fidelity(
    model: Sequence[Jumps],
    reference: Sequence[Jumps],
    n_reference_sites: int,
    *,
    window_ps: float | None = None,
    n_deals: int = 400,
    seed: int = 0,
) -> Fidelity:
    """The scores of a model's jumps and paths.

    Args:
        model: Runs of the model.
        reference: Runs of the reference, of the same sites.
        n_reference_sites: Sites that are the reference's; those after them are the model's own.
        window_ps: About how long windows are; by default the time in which an ion makes two jumps,
            mean over both sides.
        n_deals: How often units are dealt out for the floors, 100 times at least, for less does
            not show what is rare; half as often for those of whole paths, whose matching takes
            longer.
        seed: Of the deals.

    Raises:
        InputError: Sides that cannot be compared.
    """
    _check(model, reference, n_reference_sites)
    rng = np.random.default_rng(seed)
    happened = events(model, reference, window_ps)
    deals = partial(_deals, happened, _masks(happened, n_deals, rng), rng)
    by_pair = deals(partial(JumpTally.of, happened.pair), apart=False)
    apart = told_apart(by_pair, {0: "high", 1: "low", 3: "low"})
    if apart:
        by_pair = deals(partial(JumpTally.of, happened.pair), apart=True)
    by_path = deals(partial(JumpTally.of, whole_paths(happened)), apart=apart)
    crowd = dispersion(happened.stretches)
    n_model = int(happened.is_model.sum())
    n_reference = happened.n_jumps - n_model
    trials = n_model / crowd, n_reference / crowd
    jumps = _scores(by_pair, trials)
    exposures = [sum(run.exposure_ps for run in side) for side in (model, reference)]
    own = np.maximum(happened.origin, happened.target)[happened.is_model] >= n_reference_sites
    made, known = (np.unique(happened.pair[s]) for s in (happened.is_model, ~happened.is_model))
    n_stretches = int(happened.stretches.is_model.sum())
    return Fidelity(
        efficiency=jumps.efficiency,
        fake_rate=jumps.fake_rate,
        duplicate_rate=jumps.duplicate_rate,
        strict=_scores(by_path, trials),
        paths=_path_scores(
            happened, reference[0].n_sites, crowd, max(1, n_deals // 2), rng, apart=apart
        ),
        rate_distance=share(by_pair, 3, trials=min(trials), best="low"),
        rate_ratio=rate_ratio(
            by_pair, 4, events=trials, exposure_ratio=exposures[0] / exposures[1]
        ),
        frozen=_still(n_model, trials[1], exposures[0], exposures[1]),
        own_share=float(own.mean()) if n_model else None,
        n_jumps=(n_model, n_reference),
        n_pairs=(len(made), len(known), len(np.intersect1d(made, known))),
        window_ps=happened.window_ps,
        n_stretches=(n_stretches, happened.stretches.n - n_stretches),
    )


def _check(model: Sequence[Jumps], reference: Sequence[Jumps], n_reference_sites: int) -> None:
    for side, runs in (("reference", reference), ("model", model)):
        if not runs:
            raise InputError(f"runs of the {side}", expected="at least one", found="none")
        for number, run in enumerate(runs, start=1):
            where = f"{side}, run {number}"
            if not (run.n_frames and run.n_ions):
                raise InputError("paths", where=where, expected="ions and frames", found="none")
            n_sites = reference[0].n_sites
            if run.n_sites != n_sites:
                raise InputError("sites", where=where, expected=n_sites, found=run.n_sites)
    if not 0 <= n_reference_sites <= reference[0].n_sites:
        expected = f"at most all {reference[0].n_sites}"
        raise InputError("sites of the reference", expected=expected, found=n_reference_sites)


Masks = tuple[FloatArray, FloatArray, FloatArray]


def _masks(happened: Events, n_deals: int, rng: np.random.Generator) -> Masks:
    """(n_deals, n_units) of stretches, tracks and cells, 1 for those of the model.

    Of very many cells there are fewer deals: only their mean counts.
    """
    return (
        deal_out(happened.stretches, n_deals, rng),
        deal_tracks(happened, n_deals, rng),
        deal_out(happened.cells, min(n_deals, 1 + _MOST_NUMBERS // happened.cells.n), rng),
    )


def _deals(
    happened: Events,
    masks: Masks,
    rng: np.random.Generator,
    tally: Callable[[Units], Tally],
    *,
    apart: bool,
) -> Deals:
    """By all kinds of units."""
    stretches, tracks, cells = happened.stretches, happened.tracks, happened.cells
    return Deals(
        stretches=drawn(tally(stretches), stretches, masks[0], rng, apart=apart),
        tracks=drawn(tally(tracks), tracks, masks[1], rng, apart=apart),
        cells=mean_of(tally(cells)(masks[2], 1.0 - masks[2])),
    )


def _scores(deals: Deals, trials: tuple[float, float]) -> Scores:
    """Of the first three columns.

    Args:
        deals: By all kinds of units.
        trials: Independent jumps or paths of the model and of the reference.
    """
    return Scores(
        efficiency=share(deals, 0, trials=trials[1], best="high"),
        fake_rate=share(deals, 1, trials=trials[0], best="low"),
        duplicate_rate=share(deals, 2, trials=trials[0], best="low"),
    )


def _path_scores(
    happened: Events,
    n_sites: int,
    crowd: float,
    n_deals: int,
    rng: np.random.Generator,
    *,
    apart: bool,
) -> PathScores:
    sets, members = site_sets(happened, n_sites)
    paths = np.arange(0, len(sets), max(1, -(-len(sets) // _MOST_PATHS)))
    kinds, sets = np.unique(sets[paths], return_inverse=True)
    members, firsts = members[kinds], happened.starts[paths]
    n_model = float(happened.is_model[firsts].sum())
    trials = n_model / crowd, (len(paths) - n_model) / crowd
    deals = partial(_deals, happened, _masks(happened, n_deals, rng), rng)
    found = []
    for whole in (False, True):
        allowed = allowed_matches(members, whole=whole)

        def tally(units: Units, allowed: IntArray = allowed) -> PathTally:
            shape = members.shape[0], units.n
            counts = counted(sets, units.of_jump[firsts], shape)
            return PathTally(counts, units.exposure_ps, allowed)

        found.append(_scores(deals(tally, apart=apart), trials))
    return PathScores(majority=found[0], all=found[1])


def _still(n_model: int, events: float, own_ps: float, other_ps: float) -> float | None:
    """Probability that all of so many independent events are in the reference by chance."""
    return (other_ps / (own_ps + other_ps)) ** events if not n_model and events > 0.0 else None
