"""How a model's runs fail, each failure by its name and with its evidence.

Judged against the reference's runs, from the `RunWindows` of both. The modes, in the order in
which they are named:

* `exploded`: the run ended early and says so.
* `fusion`: of the contacts of a pair of species in its first shell, more than 1e-4 and more than
  10 times the reference's share are nearer than 0.7 of the distance below which the reference
  has 0.1 % of them, and more than one passage of two atoms (0.3 ps) makes; or the run ended early
  and says so. Without a reference: nearer than 0.6 of the sum of the covalent radii.
* `drift`: the mass-weighted center of all atoms moved more than 0.5 Å and than three times as far
  as the reference's.
* `lattice mismatch`: atoms of the framework leave their places (`lattice`), or the framework is
  stretched by more than 0.5 % and than the noise (`stretch`). Needs a reference.
* `frozen`: the mobile ions move less than a tenth as often as the reference's, and so rarely that
  it is no chance (95 % limits of Poisson counts; at most 2.5 % of the reference's spans of that
  length are as still). Needs a reference that diffuses.

A failure's first bad time is the begin of the first window (1 ps) whose own data, or the data up
to its end, meet the criterion. Only runs that fail as a whole are searched for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from ase.data import atomic_numbers, covalent_radii
from numpy.typing import NDArray
from scipy.special import gammaincinv

from mdbench.analysis.lattice import LatticeReference
from mdbench.analysis.motion import SITE_DISTANCE, count_moves
from mdbench.analysis.pairs import FloatArray, IntArray
from mdbench.analysis.rdf import RadialDistribution, coordination_number, pool
from mdbench.analysis.stretch import bin_centers, framework_g, framework_stretch, stretch
from mdbench.analysis.windows import Approach, RunWindows
from mdbench.errors import InputError
from mdbench.units import PS_IN_NS

Mode = Literal["exploded", "fusion", "drift", "lattice mismatch", "frozen"]
#: In the order in which a verdict names the first that applies.
MODES: tuple[Mode, ...] = ("exploded", "fusion", "drift", "lattice mismatch", "frozen")
#: What the end reason of a run begins with, where its end is a failure: "fusion: Li-S 0.8 A".
_FAILED_ENDS: tuple[Mode, ...] = ("exploded", "fusion")

#: Share of the contacts that may be too near, the reference's own times a factor; too near is
#: below a factor times this quantile of the reference's contacts.
_FUSED_SHARE, _FUSED_FACTOR, _NEAR_FACTOR, _NEAR_QUANTILE = 1e-4, 10.0, 0.7, 1e-3
#: Two atoms that pass each other closely once, for so long or in so many frames, are no evidence,
#: neither of fusion in a model nor of its absence in a reference.
_PASSING_PS, _PASSING_FRAMES = 0.3, 3.0
#: Without a reference: too near is below this factor times the sum of covalent radii.
_COVALENT_FACTOR = 0.6
#: Å that the center of all atoms may move, and how many times as far as the reference's.
_DRIFT, _DRIFT_FACTOR = 0.5, 3.0
#: Stretch of the framework that is none, and standard deviations of windows of the reference.
_STRETCH, _STRETCH_DEVIATIONS = 0.005, 3.0
#: Windows of the reference that tell how much a stretch differs from window to window.
_STRETCH_WINDOWS = 32
#: Share of the reference's moves of mobile ions below which a model is frozen.
_FROZEN = 0.1
#: Share of the reference's spans that may be as still as a frozen run.
_FROZEN_SPANS = 0.025


@dataclass(frozen=True)
class Failure:
    """One way in which one run fails.

    Attributes:
        mode: One of `MODES`.
        run: Which of the model's runs.
        subject: The pair ("Li-S"), the element of the framework or of the mobile ions,
            "framework", "cell" or "run".
        value: Distance of the closest approach (Å), largest drift (Å), rms displacement (Å),
            stretch or moves per ion and ns; None where only the run says that it failed.
        limit: What the value is held against.
        first_bad_time_ps: On the clock of the run, ps.
        message: One sentence with the numbers.
        atoms: The two atoms of a closest approach.
    """

    mode: Mode
    run: int
    subject: str
    value: float | None
    limit: float | None
    first_bad_time_ps: float
    message: str
    atoms: tuple[int, int] | None = None


def find_failures(
    model: Sequence[RunWindows], reference: Sequence[RunWindows] | None = None
) -> list[Failure]:
    """All failures of a model's runs, in the order of the modes, then of time, then of the runs.

    Args:
        model: The runs of the model, after equilibration.
        reference: Runs of the reference with the same elements and bins; None if there are none.

    Raises:
        InputError: A reference without frames; runs with other elements or bins.
    """
    known = [run for run in reference or () if len(run.start_ps)]
    with_frames = [run for run in model if len(run.start_ps)]
    if reference is not None and not known:
        raise InputError("reference", expected="a run with frames", found="none")
    _check_alike([*with_frames, *known])
    contacts = list(_contacts(known or with_frames, compare=bool(known)))
    lattice = LatticeReference(known)
    found: list[Failure] = []
    for index, run in enumerate(model):
        found += _ended(index, run)
        if len(run.start_ps):
            found += _fused(index, run, contacts)
            found += _drifted(index, run, known)
            found += _wandered(index, run, lattice)
            found += _stretched(index, run, known)
            found += _frozen(index, run, known)
    return sorted(found, key=lambda f: (MODES.index(f.mode), f.first_bad_time_ps, f.run))


def drift_limit(length_ps: float, reference: Sequence[tuple[float, float]] = ()) -> float:
    """Å that the center of all atoms of a run may move.

    Args:
        length_ps: Of the run.
        reference: Å that it moved in each run of the reference, and their lengths, ps.
    """
    limit = _DRIFT
    for moved, other_ps in reference:
        longer = max(1.0, length_ps / other_ps)
        limit = max(limit, _DRIFT_FACTOR * moved * longer**0.5)
    return limit


def times_to_failure(
    model: Sequence[RunWindows], failures: Sequence[Failure]
) -> tuple[FloatArray, NDArray[np.bool_]]:
    """(n,) ps and (n,) when each run failed first or ended, and whether it failed: for `survival`.

    On the clocks of the runs, which begin before the equilibration that is left out.
    """
    times = np.array([run.end_ps for run in model])
    failed = np.zeros(len(model), dtype=bool)
    for failure in failures:
        times[failure.run] = min(times[failure.run], failure.first_bad_time_ps)
        failed[failure.run] = True
    return times, failed


def _check_alike(runs: Sequence[RunWindows]) -> None:
    for run in runs:
        mine, theirs = ((r.elements, r.mobile, r.dr, r.r_max) for r in (runs[0], run))
        if mine != theirs:
            raise InputError("elements, mobile species, dr, r_max", expected=mine, found=theirs)


def _ended(index: int, run: RunWindows) -> Iterator[Failure]:
    """The run's own word that it failed."""
    stated, _, why = (run.end_reason or "").partition(":")
    for mode in _FAILED_ENDS:
        if stated.strip().lower() == mode:
            message = f"the run ended at {run.end_ps:g} ps: {why.strip() or mode}"
            yield Failure(mode, index, "run", None, None, run.end_ps, message)


@dataclass(frozen=True)
class _Contact:
    """What is a contact of a pair, and which are too near.

    Attributes:
        pair: As "Li-S".
        row: Of the counts.
        shell: Bins of the first shell.
        limit: Å, below which contacts are too near.
        near: Whole bins below the limit.
        share: Most of the contacts of a run that may be too near.
        window_share: Most of those of a window.
    """

    pair: str
    row: int
    shell: int
    limit: float
    near: int
    share: float = _FUSED_SHARE
    window_share: float = _FUSED_SHARE

    def n_near(self, run: RunWindows) -> IntArray:
        """(W,) contacts that are too near in each window."""
        near: IntArray = run.counts[:, self.row, : self.near].sum(axis=1)
        return near

    def n_all(self, run: RunWindows) -> IntArray:
        """(W,) contacts in each window, at least one."""
        contacts: IntArray = np.maximum(run.counts[:, self.row, : self.shell].sum(axis=1), 1)
        return contacts


def _contacts(runs: Sequence[RunWindows], *, compare: bool) -> Iterator[_Contact]:
    """The contacts of all pairs; not compared with the runs where these are the model's own."""
    if not runs:
        return
    mean = pool([run.distribution() for run in runs])
    for row, pair in enumerate(runs[0].pairs):
        shell = _shell_bins(mean, pair)
        limit = _COVALENT_FACTOR * sum(
            float(covalent_radii[atomic_numbers[symbol]]) for symbol in pair.split("-")
        )
        counts = mean.counts[pair][:shell]
        if compare and counts.any():
            limit = _NEAR_FACTOR * _quantile(counts, mean.dr)
        near = int(limit / mean.dr + 1e-9)
        contact = _Contact(pair, row, max(shell, near), limit, near)
        yield _compared(contact, runs) if compare else contact


def _compared(contact: _Contact, reference: Sequence[RunWindows]) -> _Contact:
    """A contact with the shares that the reference's own ones allow."""
    near = sum(int(contact.n_near(run).sum()) for run in reference)
    contacts = sum(int(contact.n_all(run).sum()) for run in reference)
    worst = max(float((contact.n_near(run) / contact.n_all(run)).max()) for run in reference)
    share = max(_FUSED_SHARE, _FUSED_FACTOR * near / contacts)
    return replace(
        contact,
        share=max(share, (near + min(map(_passing, reference))) / contacts),
        window_share=max(share, worst),
    )


def _passing(run: RunWindows) -> float:
    """Frames of one short passage of two atoms; at most half of a run."""
    n_frames = int(run.n_frames.sum())
    interval_ps = run.length_ps / max(n_frames - 1, 1)
    frames = _PASSING_PS / interval_ps if interval_ps else 0.0
    return min(max(frames, _PASSING_FRAMES), 0.5 * n_frames)


def _shell_bins(mean: RadialDistribution, pair: str) -> int:
    """Bins of the first shell, that of `coordination_number`; all where it has no end."""
    center, neighbor = pair.split("-")
    coordination = coordination_number(mean, center, neighbor)
    if coordination is None:
        return len(mean.r)
    order = 2.0 if center == neighbor else 1.0
    contacts = coordination * mean.n_atoms[center] * mean.n_frames / order
    return int(np.searchsorted(np.cumsum(mean.counts[pair]), contacts - 0.5)) + 1


def _quantile(counts: IntArray, dr: float) -> float:
    """Å, the distance below which 0.1 % of the counts lie, evenly spread over each bin."""
    below = np.concatenate([[0.0], np.cumsum(counts)])
    wanted = _NEAR_QUANTILE * below[-1]
    k = int(np.searchsorted(below, wanted)) - 1
    return float(dr * (k + (wanted - below[k]) / counts[k]))


def _fused(index: int, run: RunWindows, contacts: Sequence[_Contact]) -> list[Failure]:
    """Pairs of atoms that are too near, the nearest in relation to its limit first."""
    found = []
    for contact in contacts:
        near, contacts_all = contact.n_near(run), contact.n_all(run)
        share = float(near.sum() / contacts_all.sum())
        allowed = max(contact.share, _passing(run) / float(contacts_all.sum()))
        if share <= allowed:
            continue
        bad = (near > _passing(run)) & (near / contacts_all > contact.window_share)
        bad |= np.cumsum(near) > allowed * contacts_all.sum()
        first = int(bad.argmax())
        time, approach = float(run.start_ps[first]), _approach(run, contact.pair, first)
        message = (
            f"{contact.pair}: {share:.2g} of the contacts are below {contact.limit:.2f} A "
            f"(at most {allowed:.2g}); atoms {approach.atoms[0]} and {approach.atoms[1]} "
            f"at {approach.distance:.2f} A, {approach.time_ps:g} ps"
        )
        found.append(
            Failure(
                "fusion", index, contact.pair, approach.distance, contact.limit, time, message,
                approach.atoms,
            )
        )  # fmt: skip
    return sorted(found, key=lambda f: (f.value or 0.0) / (f.limit or 1.0))


def _approach(run: RunWindows, pair: str, window: int) -> Approach:
    """The closest approach up to the end of a window."""
    later = run.start_ps[window + 1] if window + 1 < len(run.start_ps) else np.inf
    known = [a for a in run.approaches[pair] if not run.time_axis or a.time_ps < later]
    return known[-1]


def _drifted(index: int, run: RunWindows, reference: Sequence[RunWindows]) -> Iterator[Failure]:
    """The center of all atoms; that of a longer run may go further, as that of a random walk."""
    if not run.time_axis:
        return
    known = [(float(r.drift.max()), r.length_ps) for r in reference if r.time_axis]
    limit = drift_limit(run.length_ps, known)
    bad = np.flatnonzero(run.drift > limit)
    if bad.size:
        value, time = float(run.drift.max()), float(run.start_ps[bad[0]])
        message = (
            f"the center of all atoms moved {value:.2f} A (at most {limit:.2f} A), "
            f"beyond from {time:g} ps on"
        )
        yield Failure("drift", index, "cell", value, limit, time, message)


def _wandered(index: int, run: RunWindows, lattice: LatticeReference) -> Iterator[Failure]:
    """Elements of the framework that leave their places."""
    for element in lattice.wandering(run):
        message = (
            f"{element.element} atoms are {element.rms:.2f} A rms from their mean positions within "
            f"{element.span_ps:g} ps (at most {element.limit:.2f} A), beyond from "
            f"{element.first_bad_time_ps:g} ps on"
        )
        yield Failure(
            "lattice mismatch", index, element.element, element.rms, element.limit,
            element.first_bad_time_ps, message,
        )  # fmt: skip


def _stretched(index: int, run: RunWindows, reference: Sequence[RunWindows]) -> Iterator[Failure]:
    """A framework that is wider or narrower than the reference's."""
    found = framework_stretch(run, reference) if reference else None
    if found is None or abs(found.value - 1.0) <= max(_STRETCH, found.error):
        return
    time = _first_stretched_ps(run, reference)
    message = (
        f"the framework is {found.value:.4f} ± {found.error:.4f} times as wide as the reference's "
        f"(at most {_STRETCH:g} from 1), from {time:g} ps on"
    )
    limit = 1.0 + np.copysign(_STRETCH, found.value - 1.0)
    yield Failure(
        "lattice mismatch", index, "framework", found.value, float(limit), time, message
    )  # fmt: skip


def _frozen(index: int, run: RunWindows, reference: Sequence[RunWindows]) -> Iterator[Failure]:
    """Mobile ions that hardly move where the reference's do.

    The reference is counted in spans as long as the run: moves come in bursts, and a short run
    may fall between two of them.
    """
    spans = [span for other in reference for span in _spans_like(run, other)]
    exposure, their_exposure = _watched_ns(run), sum(exposure for _, exposure in spans)
    if not exposure or not their_exposure:
        return
    hops, theirs = count_moves(run.paths, SITE_DISTANCE), sum(moves for moves, _ in spans)
    most = float(gammaincinv(hops + 1, 0.95)) / exposure
    least = float(gammaincinv(theirs, 0.05)) / their_exposure if theirs else 0.0
    rate, limit = hops / exposure, _FROZEN * theirs / their_exposure
    as_still = sum(moves <= hops for moves, _ in spans)
    if rate > limit or most >= least or as_still > _FROZEN_SPANS * len(spans):
        return
    message = (
        f"{run.mobile} ions moved by half a site distance {hops} times ({rate:.3g} per ion, ns), "
        f"the reference's {theirs} times ({theirs / their_exposure:.3g}) in {len(spans)} spans as "
        f"long, {as_still} of which are as still"
    )
    time = float(run.start_ps[0])
    yield Failure("frozen", index, str(run.mobile), rate, limit, time, message)


def _spans_like(run: RunWindows, other: RunWindows) -> Iterator[tuple[int, float]]:
    """Moves and ion-nanoseconds of spans of a reference's run, each as long as another run."""
    n = min(len(other.start_ps), round(len(run.start_ps) * run.window_ps / other.window_ps))
    exposure = _ion_ns(other, n)
    if exposure:
        for start in range(0, len(other.start_ps) - n + 1, n):
            yield count_moves(other.paths[..., start : start + n], SITE_DISTANCE), exposure


def _watched_ns(run: RunWindows) -> float:
    """Ion-nanoseconds in which a move of a run is seen."""
    return _ion_ns(run, len(run.start_ps))


def _ion_ns(run: RunWindows, n_windows: int) -> float:
    """Ion-nanoseconds of windows of a run: a move takes a window before and two after."""
    watched = max(n_windows - 2, 0) if run.time_axis else 0
    return float(len(run.paths) * watched * run.window_ps * PS_IN_NS)


def _first_stretched_ps(run: RunWindows, reference: Sequence[RunWindows]) -> float:
    """Begin of the first window that is stretched for itself; of the last where none is."""
    r = bin_centers(run)
    windows = np.concatenate([framework_g(other) for other in reference])
    weights = np.concatenate([other.n_frames for other in reference])
    mean = np.average(windows, axis=0, weights=weights)
    some = windows[
        np.linspace(0, len(windows) - 1, min(len(windows), _STRETCH_WINDOWS)).astype(int)
    ]
    off = np.array([s - 1.0 for g in some if (s := stretch(r, mean, g)) is not None])
    limit = max(_STRETCH, _STRETCH_DEVIATIONS * float(np.sqrt(np.mean(off**2))))
    for start, g in zip(run.start_ps.tolist(), framework_g(run), strict=True):
        value = stretch(r, mean, g)
        if value is not None and abs(value - 1.0) > limit:
            return float(start)
    return float(run.start_ps[-1])
