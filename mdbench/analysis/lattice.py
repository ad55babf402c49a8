"""Does the framework keep its lattice? Displacements of its atoms about their own mean positions.

A span of time is compared with spans of the reference that are as long: whatever moves slowly,
a turning group of atoms or a melt, moves further the longer one looks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from ase.data import chemical_symbols

from mdbench.analysis.pairs import FloatArray, IntArray
from mdbench.analysis.windows import RunWindows, nearest_atoms

#: Largest rms displacement: this share of the distance to the nearest atom of the same element …
_SHARE_OF_NEAREST = 0.1
#: … or this factor times this quantile of the reference's atoms, if that is more.
_FACTOR, _QUANTILE = 1.3, 0.95
#: Fewest frames that tell a rms displacement; spans of the reference may be shorter by this share.
_FEWEST_FRAMES, _SHORTER = 10, 0.25


@dataclass(frozen=True)
class Wandering:
    """An element of the framework whose atoms leave their places.

    Attributes:
        element: Symbol.
        rms: Å, root mean square displacement in the span that is furthest beyond its limit.
        limit: Å, of that span.
        span_ps: Length of that span, ps.
        first_bad_time_ps: Begin of the first window at whose end a span is beyond its limit, ps.
    """

    element: str
    rms: float
    limit: float
    span_ps: float
    first_bad_time_ps: float


@dataclass(frozen=True)
class Spans:
    """How far an element of the framework is from its places in all spans of one length.

    Attributes:
        element: Symbol.
        n_windows: Windows of a span.
        span_ps: Length of a span, ps.
        rms: (W − n_windows + 1,) Å, root mean square displacement about the mean positions of the
            span; NaN in spans of too few frames.
        limit: Å, of spans of that length.
    """

    element: str
    n_windows: int
    span_ps: float
    rms: FloatArray
    limit: float


class LatticeReference:
    """How far the reference's framework atoms go from their mean positions.

    Args:
        runs: Runs of the reference; those that are time series count.
    """

    def __init__(self, runs: Sequence[RunWindows]) -> None:
        self._runs = [run for run in runs if run.time_axis]
        self._limits: dict[tuple[float, float], dict[str, float]] = {}
        self._nearest = _nearest_like(self._runs)

    def wandering(self, run: RunWindows) -> Iterator[Wandering]:
        """The elements of a run's framework that leave their places, in alphabetical order.

        Looked at are spans of 1, 2, 4, … windows and the longest that the reference has, too,
        each ending with every window.
        """
        worst: dict[str, tuple[float, float, float, float]] = {}
        first: dict[str, int] = {}
        for spans in self.spans(run):
            element, limit = spans.element, spans.limit
            bad = np.flatnonzero(spans.rms > limit)
            if not bad.size:
                continue
            top = float(np.nanmax(spans.rms))
            known = worst.get(element, (0.0, 0.0, 0.0, 0.0))
            worst[element] = max(known, (top / limit, top, limit, spans.span_ps))
            end = int(bad[0]) + spans.n_windows - 1
            first[element] = min(first.get(element, end), end)
        for element, (_, rms_top, limit, span_ps) in sorted(worst.items()):
            time = float(run.start_ps[first[element]])
            yield Wandering(element, rms_top, limit, span_ps, time)

    def spans(self, run: RunWindows, *, n_windows: int | None = None) -> Iterator[Spans]:
        """The spans of a run that `wandering` looks at, the shortest first.

        Args:
            run: Of the model, or of the reference itself.
            n_windows: Only spans of so many windows.
        """
        if not (run.time_axis and self._runs):
            return
        elements = _by_element(run)
        for length in _lengths(run, self._longest_ps(run)):
            if n_windows not in (None, length):
                continue
            squares, n_frames = _span_squares(run, length)
            span_ps = length * run.window_ps
            limits = self._limits_of(span_ps, min(span_ps, run.length_ps))
            for element, limit in limits.items():
                rms = np.sqrt(squares[:, elements[element]].mean(axis=1))
                rms[n_frames < _FEWEST_FRAMES] = np.nan
                yield Spans(element, length, span_ps, rms, limit)

    def _longest_ps(self, run: RunWindows) -> float:
        lengths = [len(other.start_ps) * other.window_ps for other in self._runs]
        return min(len(run.start_ps) * run.window_ps, max(lengths))

    def _limits_of(self, span_ps: float, at_least_ps: float) -> dict[str, float]:
        """Å by element; those that the reference has spans of that length for."""
        key = (span_ps, at_least_ps)
        if key not in self._limits:
            self._limits[key] = dict(self._find_limits(span_ps, at_least_ps))
        return self._limits[key]

    def _find_limits(self, span_ps: float, at_least_ps: float) -> Iterator[tuple[str, float]]:
        spans: dict[str, list[FloatArray]] = {name: [] for name in self._nearest}
        for run in self._runs:
            n_windows = max(1, round(span_ps / run.window_ps))
            if n_windows > len(run.start_ps) or run.length_ps < (1.0 - _SHORTER) * at_least_ps:
                continue
            squares, n_frames = _span_squares(run, n_windows)
            separate = slice(None, None, n_windows)
            enough = n_frames[separate] >= _FEWEST_FRAMES
            for element, atoms in _by_element(run).items():
                if enough.any():
                    spans[element].append(squares[separate][enough][:, atoms])
        for element, found in spans.items():
            if not found:
                continue
            of_atoms = np.quantile(np.concatenate([s.ravel() for s in found]), _QUANTILE)
            # the quantile of a few atoms in a few spans says little: none of them may be beyond
            of_element = max(float(s.mean(axis=1).max()) for s in found)
            most = float(max(of_atoms, of_element)) ** 0.5
            yield element, max(_SHARE_OF_NEAREST * self._nearest[element], _FACTOR * most)


def _lengths(run: RunWindows, longest_ps: float) -> list[int]:
    """1, 2, 4, … windows, and the longest."""
    longest = max(1, int(longest_ps / run.window_ps + 1e-6))
    return sorted({*(2**k for k in range(longest.bit_length())), longest})


def _span_squares(run: RunWindows, n_windows: int) -> tuple[FloatArray, IntArray]:
    """Mean square displacements about the mean positions in all spans of so many windows.

    Returns:
        (W − n_windows + 1, n_framework) Å² and the number of frames of each span.
    """
    n, moved, squares = (
        np.concatenate([np.zeros_like(x[:1]), np.cumsum(x, axis=0)])
        for x in (run.n_frames, run.moved, run.squares)
    )
    n, moved, squares = (x[n_windows:] - x[:-n_windows] for x in (n, moved, squares))
    mean = moved / n[:, None, None]
    found = squares / n[:, None] - np.einsum("sai,sai->sa", mean, mean)
    return np.maximum(found, 0.0), n


def _by_element(run: RunWindows) -> dict[str, IntArray]:
    """Places of each element's atoms among those of the framework."""
    numbers = run.atomic_numbers[run.framework]
    return {chemical_symbols[z]: np.flatnonzero(numbers == z) for z in np.unique(numbers)}


def _nearest_like(runs: Sequence[RunWindows]) -> dict[str, float]:
    """Å by element: mean distance to the nearest atom of the element, in the mean positions."""
    found: dict[str, list[float]] = {}
    for run in runs:
        places = run.mean_positions()
        for element, atoms in _by_element(run).items():
            distances, _ = nearest_atoms(places[atoms], places[atoms], run.cell, same=True)
            found.setdefault(element, []).append(float(distances.mean()))
    return {element: float(np.mean(values)) for element, values in found.items()}
