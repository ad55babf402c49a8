"""The curve that shows a failure, with that of the reference and the limit: small enough to keep.

Most come from the `RunWindows` that `failures` judges. What happens within a picosecond, as the
end of a run that explodes or a fusion in a short one, is shown by the frames around it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from ase.geometry import find_mic

from mdbench.analysis.failures import Failure
from mdbench.analysis.lattice import LatticeReference, Spans
from mdbench.analysis.motion import SITE_DISTANCE, count_moves
from mdbench.analysis.pairs import FloatArray, IntArray
from mdbench.analysis.stretch import bin_centers, framework_g, stretch
from mdbench.analysis.windows import RunWindows, nearest_atoms
from mdbench.trajectory import Trajectory
from mdbench.units import PS_IN_NS

#: A run of fewer windows than this shows a fusion by its frames.
_FEW_WINDOWS = 8
#: Most points of curves that take a computation each, and most windows of the reference.
_MOST_STRETCHES, _MOST_COUNTS, _REFERENCE_STRETCHES = 128, 64, 32

_NUMBER = r"(\d+(?:\.\d+)?(?:e[-+]?\d+)?)"
#: What the engine says about its end: "Li-S 0.81 A at 1.2 ps (atoms 3 and 40", "9e3 K at 1.2 ps".
_STATED_PAIR = re.compile(rf": \S+ {_NUMBER} A at {_NUMBER} ps \(atoms (\d{{1,9}}) and (\d{{1,9}})")
_STATED_TEMPERATURE = re.compile(rf": {_NUMBER} K at {_NUMBER} ps")


@dataclass(frozen=True)
class EvidenceCurve:
    """What a run does in time, where it shows that the run fails; n points.

    Attributes:
        times_ps: (n,) ps, on the clock of the run; of windows, when they begin.
        values: (n,) in `unit`; NaN where nothing is known.
        reference: (2, n) in `unit`, lower and upper limit of what the reference does; NaN where
            the reference is shorter. None without one.
        limit: (n,) in `unit`, what the values are held against; None where only the run says that
            it failed.
        unit: "Angstrom", "K", "eV/atom", "moves/ion"; "" has none.
        quantity: What the values are, as an axis is labeled: "distance".
        what: The same in full: "smallest Li-S distance in each window of 1 ps".
        reference_what: What the reference shows; "" without one.
        end_ps: When the last window ends, ps; None where values are those of frames.
    """

    times_ps: FloatArray
    values: FloatArray
    reference: FloatArray | None
    limit: FloatArray | None
    unit: str
    quantity: str
    what: str
    reference_what: str
    end_ps: float | None


def evidence(
    failure: Failure,
    model: Sequence[RunWindows],
    reference: Sequence[RunWindows],
    *,
    frames: Trajectory | None = None,
    temperatures_k: FloatArray | None = None,
) -> EvidenceCurve | None:
    """The curve that shows a failure; None where there is none to draw, as without a time axis.

    Args:
        failure: One that `find_failures` found.
        model: The runs that it was found in.
        reference: The runs that they were held against.
        frames: Of the failing run, around `near_ps`.
        temperatures_k: (n_frames,) K, of these frames; by default from their velocities.
    """
    run = model[failure.run]
    known = [other for other in reference if len(other.start_ps)]
    curve = None
    if failure.mode == "exploded" and frames is not None:
        curve = _explosion(run, frames, temperatures_k)
    elif failure.mode == "fusion" and near_ps(failure, run) is None:
        curve = _contacts(failure, run, known)
    elif failure.mode == "fusion" and frames is not None:
        curve = _collision(failure, run, known, frames)
    elif failure.mode == "drift":
        curve = _drift(failure, run, known)
    elif failure.mode == "lattice mismatch" and failure.subject == "framework":
        curve = _stretches(failure, run, known)
    elif failure.mode == "lattice mismatch":
        curve = _displacements(failure, run, known)
    elif failure.mode == "frozen":
        curve = _moves(failure, run, known)
    if curve is None or np.isfinite(curve.values).sum() < 2:
        return None
    return curve if curve.times_ps[-1] > curve.times_ps[0] else None


def near_ps(failure: Failure, run: RunWindows) -> float | None:
    """When the frames were that show a failure, ps; None where the windows show it."""
    if failure.subject == "run":
        return run.end_ps
    if failure.mode != "fusion":
        return None
    ended = (run.end_reason or "").startswith("fusion")
    if not ended and len(run.start_ps) >= _FEW_WINDOWS:
        return None
    times = (a.time_ps for a in run.approaches[failure.subject] if a.distance == failure.value)
    return next(times, failure.first_bad_time_ps)


def _explosion(
    run: RunWindows, frames: Trajectory, temperatures_k: FloatArray | None
) -> EvidenceCurve | None:
    """Temperature, else potential energy, else how far atoms jump from frame to frame."""
    times = frames.times_ps
    found = frames.kinetic_temperatures() if temperatures_k is None else temperatures_k
    if found is not None:
        stated = _STATED_TEMPERATURE.search(run.end_reason or "")
        if stated is not None and float(stated[2]) > times[-1]:
            times = np.append(times, float(stated[2]))
            found = np.append(found, float(stated[1]))
        target = frames.provenance.temperature_k
        return EvidenceCurve(
            times_ps=times,
            values=_finite(found),
            reference=None if target is None else _band([np.array([target])], len(times)),
            limit=None,
            unit="K",
            quantity="temperature",
            what="kinetic temperature in the last frames",
            reference_what="" if target is None else "target",
            end_ps=None,
        )
    if frames.energies is not None:
        values, unit, quantity = frames.energies / frames.n_atoms, "eV/atom", "energy"
        what = "potential energy per atom in the last frames"
    else:
        jumps = np.linalg.norm(np.diff(frames.positions, axis=0), axis=2)  # (F - 1, A) Å
        times, values, unit, quantity = times[1:], jumps.max(axis=1), "Angstrom", "displacement"
        what = "farthest that an atom moved since the frame before, in the last frames"
    return EvidenceCurve(times, _finite(values), None, None, unit, quantity, what, "", None)


def _contacts(failure: Failure, run: RunWindows, known: Sequence[RunWindows]) -> EvidenceCurve:
    """Window by window, how near the atoms of a pair of species come to each other."""
    pair = failure.subject
    return EvidenceCurve(
        times_ps=run.start_ps,
        values=_smallest(run, pair),
        reference=_band([_smallest(other, pair) for other in known], len(run.start_ps)),
        limit=_constant(failure.limit, len(run.start_ps)),
        unit="Angstrom",
        quantity="distance",
        what=f"smallest {pair} distance in each window of {run.window_ps:g} ps",
        reference_what="range of the reference's windows" if known else "",
        end_ps=_end_ps(run),
    )


def _smallest(run: RunWindows, pair: str) -> FloatArray:
    """(W,) Å, to half a bin; that of the closest approaches is exact."""
    counts = run.counts[:, run.pairs.index(pair)]
    lowest = (counts > 0).argmax(axis=1)
    values = np.where(counts.any(axis=1), run.dr * (lowest + 0.5), np.nan)
    for approach in run.approaches[pair]:
        k = int(np.searchsorted(run.start_ps, approach.time_ps, side="right")) - 1
        if abs(approach.distance - values[k]) <= 0.5 * run.dr:
            values[k] = approach.distance
    return values


def _collision(
    failure: Failure, run: RunWindows, known: Sequence[RunWindows], frames: Trajectory
) -> EvidenceCurve:
    """Frame by frame, how near two atoms come to each other."""
    stated = _STATED_PAIR.search(run.end_reason or "")
    atoms, times = failure.atoms, frames.times_ps
    if atoms is None and stated is not None:
        atoms = int(stated[3]), int(stated[4])
    if atoms is None or max(atoms) >= frames.n_atoms:
        atoms = _closest(frames)
    values = _distances(frames, *atoms)
    same = stated is not None and {int(stated[3]), int(stated[4])} == {*atoms}
    if stated is not None and same and float(stated[2]) > times[-1]:
        times = np.append(times, float(stated[2]))
        values = np.append(values, float(stated[1]))
    symbols = frames.symbols
    pair = "-".join(sorted(symbols[atom] for atom in atoms))
    nearest = [
        np.array([other.approaches[pair][-1].distance])
        for other in known
        if other.approaches.get(pair)
    ]
    return EvidenceCurve(
        times_ps=times,
        values=values,
        reference=_band(nearest, len(times)),
        limit=_constant(failure.limit, len(times)),
        unit="Angstrom",
        quantity="distance",
        what=f"distance of the atoms {atoms[0]} ({symbols[atoms[0]]}) and {atoms[1]} "
        f"({symbols[atoms[1]]}) in each frame",
        reference_what=f"smallest {pair} distance of the reference" if nearest else "",
        end_ps=None,
    )


def _closest(frames: Trajectory) -> tuple[int, int]:
    """The two atoms that are nearest to each other in the last frame."""
    points = np.asarray(frames.positions[-1], dtype=np.float64)
    distances, others = nearest_atoms(points, points, frames.cells[-1], same=True)
    one = int(distances.argmin())
    return one, int(others[one])


def _distances(frames: Trajectory, one: int, other: int) -> FloatArray:
    """(n_frames,) Å, of two atoms, by their nearest images."""
    apart = np.asarray(frames.positions[:, other] - frames.positions[:, one], dtype=np.float64)
    if (frames.cells == frames.cells[0]).all():
        return np.asarray(find_mic(apart, frames.cells[0], frames.pbc)[1])
    each = zip(apart, frames.cells, strict=True)
    return np.array([float(find_mic(vector, cell, frames.pbc)[1]) for vector, cell in each])


def _drift(failure: Failure, run: RunWindows, known: Sequence[RunWindows]) -> EvidenceCurve:
    """How far the center of all atoms is from where it was."""
    theirs = _over_time(run.start_ps, known, lambda other: (other.start_ps, other.drift))
    return EvidenceCurve(
        times_ps=run.start_ps,
        values=run.drift,
        reference=theirs,
        limit=_constant(failure.limit, len(run.start_ps)),
        unit="Angstrom",
        quantity="distance",
        what="farthest that the center of all atoms is from its start, in each window of "
        f"{run.window_ps:g} ps",
        reference_what="" if theirs is None else "range of the reference's runs",
        end_ps=_end_ps(run),
    )


def _displacements(
    failure: Failure, run: RunWindows, known: Sequence[RunWindows]
) -> EvidenceCurve | None:
    """How far an element is from its places, in the shortest spans that are beyond their limit."""
    lattice, element = LatticeReference(known), failure.subject
    spans = [s for s in lattice.spans(run) if s.element == element and (s.rms > s.limit).any()]
    if not spans:
        return None
    shown = spans[0]
    theirs = [s.rms for other in known for s in _spans_like(shown, lattice, other)]
    return EvidenceCurve(
        times_ps=run.start_ps[shown.n_windows - 1 :],
        values=shown.rms,
        reference=_band(theirs, len(shown.rms)),
        limit=_constant(shown.limit, len(shown.rms)),
        unit="Angstrom",
        quantity="rms displacement",
        what=f"rms displacement of {element} from its mean positions, in the {shown.span_ps:g} ps "
        "that end with each window",
        reference_what="range of such spans of the reference",
        end_ps=_end_ps(run),
    )


def _spans_like(shown: Spans, lattice: LatticeReference, run: RunWindows) -> list[Spans]:
    n_windows = max(1, round(shown.span_ps / run.window_ps))
    found = lattice.spans(run, n_windows=n_windows)
    return [spans for spans in found if spans.element == shown.element]


def _stretches(failure: Failure, run: RunWindows, known: Sequence[RunWindows]) -> EvidenceCurve:
    """How much wider the framework is, window by window."""
    r = bin_centers(run)
    theirs = np.concatenate([framework_g(other) for other in known])
    mean = np.average(theirs, axis=0, weights=np.concatenate([o.n_frames for o in known]))

    def factors(g: FloatArray) -> FloatArray:
        found = (stretch(r, mean, window) for window in g)
        return np.array([np.nan if s is None else s for s in found])

    kept = _thinned(len(run.start_ps), _MOST_STRETCHES)
    some = theirs[_thinned(len(theirs), _REFERENCE_STRETCHES)]
    return EvidenceCurve(
        times_ps=run.start_ps[kept],
        values=factors(framework_g(run)[kept]),
        reference=_band([factors(some)], len(kept)),
        limit=_constant(failure.limit, len(kept)),
        unit="",
        quantity="stretch",
        what="width of the framework in each window, in that of the reference",
        reference_what=f"range of {len(some)} of the reference's windows",
        end_ps=_end_ps(run),
    )


def _moves(failure: Failure, run: RunWindows, known: Sequence[RunWindows]) -> EvidenceCurve:
    """How often the mobile ions have moved so far."""
    times, values = _counted(run)
    moving = [other for other in known if other.time_axis and len(other.paths)]
    kept = _thinned(len(run.start_ps), _MOST_COUNTS)
    watched_ns = np.maximum(kept - 1, 0) * run.window_ps * PS_IN_NS
    return EvidenceCurve(
        times_ps=times,
        values=values,
        reference=_over_time(times, moving, _counted),
        limit=None if failure.limit is None else failure.limit * watched_ns,
        unit="moves/ion",
        quantity="moves",
        what=f"moves of the {failure.subject} ions so far, by half a site distance",
        reference_what="range of the reference's runs",
        end_ps=_end_ps(run),
    )


def _counted(run: RunWindows) -> tuple[FloatArray, FloatArray]:
    """(n,) ps and (n,) moves per ion up to the end of windows."""
    kept = _thinned(len(run.start_ps), _MOST_COUNTS)
    moves = [count_moves(run.paths[..., : k + 1], SITE_DISTANCE) for k in kept.tolist()]
    return run.start_ps[kept], np.array(moves) / len(run.paths)


def _over_time(
    times_ps: FloatArray,
    runs: Sequence[RunWindows],
    curve: Callable[[RunWindows], tuple[FloatArray, FloatArray]],
) -> FloatArray | None:
    """(2, n) the range of what runs do at the same times after their begin; None without any."""
    elapsed = times_ps - times_ps[0]
    found = []
    for run in runs:
        if run.time_axis:
            own, values = curve(run)
            found.append(np.interp(elapsed, own - own[0], values, right=np.nan))
    if not found:
        return None
    return np.array([np.fmin.reduce(found), np.fmax.reduce(found)])


def _band(curves: Sequence[FloatArray], n: int) -> FloatArray | None:
    """(2, n) the smallest and the largest of all values at all times; None without any."""
    values = np.concatenate([*curves, np.empty(0)])
    values = values[np.isfinite(values)]
    if not values.size:
        return None
    return np.repeat([[values.min()], [values.max()]], n, axis=1)


def _end_ps(run: RunWindows) -> float:
    """When the last window ends: full, or a frame interval after its last frame."""
    interval = run.length_ps / max(int(run.n_frames.sum()) - 1, 1)
    return min(float(run.start_ps[-1]) + run.window_ps, run.end_ps + interval)


def _constant(limit: float | None, n: int) -> FloatArray | None:
    return None if limit is None else np.full(n, limit)


def _thinned(n: int, most: int) -> IntArray:
    """Evenly spread ones of n, the first and the last among them."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).astype(np.int64))


def _finite(values: FloatArray) -> FloatArray:
    return np.where(np.isfinite(values), values, np.nan)
