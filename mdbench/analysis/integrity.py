"""Is a trajectory what it says it is? What its own frames contradict, each finding by its name.

Works block by block in bounded memory (10-science page, section 2): velocities or dense
displacements against the stated temperature and frame interval, equal temperatures of the
elements, atoms that change places, frames that stand twice, seams of joined runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from ase.data import atomic_masses, chemical_symbols
from numpy.typing import NDArray

from mdbench.trajectory import UNWRAP_WARNING, Trajectory
from mdbench.units import AMU_ANGSTROM2_PER_FS2_IN_EV, BOLTZMANN_EV_PER_K, PS_IN_FS

FloatArray = NDArray[np.float64]

#: Consecutive displacements with at least this correlation follow the motion itself.
_DENSE = 0.9
#: Stated and measured may differ by this share, and by three standard errors on top.
_TOLERANCE = 0.05
_INTERVAL_TOLERANCE = 0.2
#: Fewer frames than this have no temperature that one could hold against them.
_FEWEST_FRAMES = 50
#: Temperatures of two elements may differ by this share, and by five standard errors on top.
_ELEMENT_TOLERANCE = 0.4


@dataclass(frozen=True)
class Finding:
    """Something that a trajectory's own frames contradict.

    Attributes:
        name: `temperature`, `frame interval`, `species`, `atom order`, `duplicate frames`,
            `seam`, `uneven frames`, `wrapped` or `far frames`.
        message: One sentence with the numbers.
    """

    name: str
    message: str


class IntegrityAudit:
    """Collects, block after block, what `findings` then judges.

    Args:
        atomic_numbers: (n_atoms,).
        time_axis: The frames are a time series.
    """

    def __init__(self, atomic_numbers: NDArray[Any], *, time_axis: bool = True) -> None:
        self._numbers = np.asarray(atomic_numbers)
        self._time_axis = time_axis
        self._masses = atomic_masses[self._numbers]
        self._elements = np.unique(self._numbers)
        self._last: Trajectory | None = None
        self._last_step: FloatArray | None = None
        self._n_frames = 0
        self._times: list[FloatArray] = []
        self._moved: list[FloatArray] = []  # rms displacement of each frame from the one before
        self._duplicates: list[int] = []
        self._exchanges: list[tuple[int, int, int]] = []
        self._crossings: list[tuple[int, int]] = []  # (frame, atoms that jump by a lattice vector)
        self._velocity_kinetic: list[FloatArray] = []  # (F, n_elements + 1) eV
        self._step_kinetic: list[FloatArray] = []  # (F, n_elements + 1) amu Å²
        self._dense = np.zeros(2)  # Σ d_t·d_(t+1), Σ d_t·d_t
        self._ballistic = np.zeros(3)  # Σ d·v, Σ v·v, Σ d·d

    def add(self, block: Trajectory) -> None:
        """Takes the next frames of the run, unwrapped."""
        self._times.append(np.asarray(block.times_ps))
        if block.velocities is not None:
            self._velocity_kinetic.append(self._kinetic(block.velocities))
        if self._time_axis:
            self._add_displacements(block)
        self._n_frames += block.n_frames
        self._last = block[-1:]

    def _add_displacements(self, block: Trajectory) -> None:
        positions = np.asarray(block.positions, dtype=np.float64)
        cells, velocities = block.cells, block.velocities
        first = self._n_frames
        if self._last is not None:
            positions = np.concatenate([self._last.positions, positions])
            cells = np.concatenate([self._last.cells, cells])
            if velocities is not None and self._last.velocities is not None:
                velocities = np.concatenate([self._last.velocities, velocities])
            first -= 1
        if len(positions) < 2:
            return
        steps = np.diff(positions, axis=0)  # (F - 1, A, 3) Å
        if (cells != cells[0]).any():  # less what the atoms move with the cell
            scaled = np.einsum("fai,fij->faj", positions, np.linalg.inv(cells))
            steps = np.einsum("fai,fij->faj", np.diff(scaled, axis=0), cells[1:])
        squared = np.einsum("fai,fai->fa", steps, steps)
        self._moved.append(np.sqrt(squared.mean(axis=1)))
        self._find_crossings(steps, squared, np.asarray(block.cells[0]), first)
        same = np.flatnonzero(squared.max(axis=1) == 0)
        self._duplicates.extend((first + 1 + same).tolist())
        if not self._exchanges and not self._crossings:
            self._find_exchange(positions, squared, np.asarray(block.cells[0]), first)
        if velocities is not None and len(velocities) == len(positions):
            mean = 0.5 * (velocities[1:] + velocities[:-1])  # (F - 1, A, 3) Å/fs
            self._ballistic += [(steps * mean).sum(), (mean * mean).sum(), squared.sum()]
        self._step_kinetic.append(self._kinetic(steps))
        chain = steps if self._last_step is None else np.concatenate([self._last_step, steps])
        self._dense += [(chain[1:] * chain[:-1]).sum(), (chain[1:] * chain[1:]).sum()]
        self._last_step = steps[-1:]

    def _kinetic(self, velocities: FloatArray) -> FloatArray:
        """(n_frames, n_elements + 1) Σ m v² of all atoms and of each element."""
        terms = np.einsum("fai,fai,a->fa", velocities, velocities, self._masses)
        parts = [terms[:, self._numbers == z].sum(axis=1) for z in self._elements]
        return np.stack([terms.sum(axis=1), *parts], axis=1)

    def _find_crossings(
        self, steps: FloatArray, squared: FloatArray, cell: FloatArray, first: int
    ) -> None:
        """Atoms that jump by a lattice vector: coordinates that were wrapped, or a wrong cell."""
        far = squared > (0.5 * np.linalg.norm(cell, axis=1).min()) ** 2
        frames, atoms = np.nonzero(far)
        if not len(frames):
            return
        jumps = steps[frames, atoms]
        scaled = jumps @ np.linalg.inv(cell)
        rest = (scaled - np.rint(scaled)) @ cell  # (n_jumps, 3) Å
        usual = np.sqrt(np.median(squared))
        crossed = np.linalg.norm(rest, axis=1) < max(0.5, 4.0 * usual)
        for frame in np.unique(frames[crossed]):
            self._crossings.append((first + 1 + int(frame), int(np.sum(frames[crossed] == frame))))

    def _find_exchange(
        self, positions: FloatArray, squared: FloatArray, cell: FloatArray, first: int
    ) -> None:
        """Two atoms that both jump, each to where the other was."""
        rms = np.sqrt(squared.mean(axis=1))
        far = squared > np.maximum(1.0, 4.0 * np.median(rms)) ** 2
        inverse = np.linalg.inv(cell)
        n_far = far.sum(axis=1)
        few = max(2, len(self._numbers) // 4)  # where all atoms jump it is a seam
        for frame in np.flatnonzero((n_far >= 2) & (n_far <= few))[:50]:
            jumped = np.flatnonzero(far[frame])
            gap = positions[frame + 1, jumped][:, None] - positions[frame, jumped][None]
            scaled = gap @ inverse
            gap = (scaled - np.rint(scaled)) @ cell  # (J, J, 3) Å, new place to old place
            taken = np.linalg.norm(gap, axis=2) < 0.25 * np.sqrt(squared[frame, jumped])[:, None]
            mutual = np.argwhere(np.triu(taken & taken.T, k=1))
            if len(mutual):
                i, j = jumped[mutual[0]]
                self._exchanges.append((first + 1 + int(frame), int(i), int(j)))
                return

    @property
    def kinetic_temperature(self) -> tuple[float, float] | None:
        """Mean and standard error, K, from velocities, else from dense displacements."""
        series = self._temperatures()
        return None if series is None else _mean_and_error(series[:, 0])

    def _temperatures(self) -> FloatArray | None:
        """(n_frames, n_elements + 1) K, of all atoms and of each element."""
        counts = np.array(
            [len(self._numbers), *(np.sum(self._numbers == z) for z in self._elements)]
        )
        if self._velocity_kinetic:
            twice = np.concatenate(self._velocity_kinetic) * AMU_ANGSTROM2_PER_FS2_IN_EV
        else:
            interval = self._interval_fs()
            if not self._is_dense() or not interval:
                return None
            twice = np.concatenate(self._step_kinetic) * AMU_ANGSTROM2_PER_FS2_IN_EV / interval**2
        # the centre of mass at rest takes three degrees of freedom, shared by mass
        share = np.array(
            [
                1.0,
                *(
                    self._masses[self._numbers == z].sum() / self._masses.sum()
                    for z in self._elements
                ),
            ]
        )
        freedoms = np.maximum(3 * counts - 3 * share, 1e-9)
        return np.asarray(twice / (freedoms * BOLTZMANN_EV_PER_K))

    def _is_dense(self) -> bool:
        return self._n_frames > 3 and self._dense[0] > _DENSE * self._dense[1] > 0

    def _interval_fs(self) -> float | None:
        times = np.concatenate(self._times)
        if len(times) < 2 or times[-1] == times[0]:
            return None
        return float(np.median(np.diff(times))) * PS_IN_FS

    def findings(
        self,
        *,
        stated_temperature_k: float | None = None,
        stated_by: str = "the file",
        largest_step: float = 0.0,
    ) -> list[Finding]:
        """What the frames contradict.

        Args:
            stated_temperature_k: Temperature that the run is said to have.
            stated_by: Who says so, for the message.
            largest_step: Largest displacement between frames, as `Unwrapper` gives it.
        """
        found = [*self._judge_times(), *self._judge_order(), *self._judge_interval()]
        # wrong masses make a wrong temperature: the labels are the fault to name
        wrong_labels = self._judge_elements()
        found += wrong_labels or self._judge_temperature(stated_temperature_k, stated_by)
        if self._crossings:
            frame, n = self._crossings[0]
            found.append(
                Finding(
                    "wrapped",
                    f"{n} atom(s) jump by a lattice vector between frames {frame - 1} and {frame}: "
                    "these coordinates are wrapped into the cell",
                )
            )
        if largest_step > UNWRAP_WARNING:
            found.append(
                Finding(
                    "far frames",
                    f"an atom moved {largest_step:.2f} of half the shortest lattice vector between "
                    "two frames: unwrapping is near its limit, store frames more often",
                )
            )
        return found

    def _judge_times(self) -> list[Finding]:
        found = []
        if self._duplicates:
            n, first = len(self._duplicates), self._duplicates[0]
            found.append(
                Finding(
                    "duplicate frames", f"{n} frame(s) repeat the one before, first frame {first}"
                )
            )
        moved = np.concatenate(self._moved) if self._moved else np.zeros(0)
        typical = float(np.median(moved[moved > 0])) if (moved > 0).any() else 0.0
        jumps = np.flatnonzero(moved > 8.0 * typical)
        if len(moved) > 10 and len(jumps) and not self._exchanges and not self._crossings:
            found.append(
                Finding(
                    "seam",
                    f"all atoms jump between frames {jumps[0]} and {jumps[0] + 1} "
                    f"({moved[jumps[0]]:.2f} A rms, usually {typical:.2f} A): joined runs?",
                )
            )
        gaps = np.diff(np.concatenate(self._times)) * PS_IN_FS if self._times else np.zeros(0)
        if self._time_axis and len(gaps) and np.ptp(gaps) > 1e-3 * np.median(gaps):
            found.append(
                Finding(
                    "uneven frames",
                    f"frames are {gaps.min():g} to {gaps.max():g} fs apart: "
                    "time averages need even frames",
                )
            )
        return found

    def _judge_order(self) -> list[Finding]:
        messages = []
        for frame, i, j in self._exchanges:
            names = [f"{chemical_symbols[self._numbers[a]]} (atom {a})" for a in (i, j)]
            messages.append(
                f"{names[0]} and {names[1]} change places between frames {frame - 1} and {frame}: "
                "the order of the atoms changed"
            )
        return [Finding("atom order", message) for message in messages]

    def _judge_interval(self) -> list[Finding]:
        along, speed, moved = self._ballistic
        stated = self._interval_fs()
        if stated is None or along <= _DENSE * np.sqrt(speed * moved):
            return []
        implied = along / speed
        if abs(implied / stated - 1.0) <= _INTERVAL_TOLERANCE:
            return []
        return [
            Finding(
                "frame interval",
                f"displacements and velocities say {implied:.2f} fs between frames, "
                f"not {stated:g} fs",
            )
        ]

    def _judge_temperature(self, stated: float | None, by: str) -> list[Finding]:
        measured = self.kinetic_temperature
        if stated is None or measured is None or not np.isfinite(measured[0]):
            return []
        if self._n_frames < _FEWEST_FRAMES:
            return []
        mean, error = measured
        if abs(mean - stated) <= _TOLERANCE * stated + 3.0 * error:
            return []
        how, reason = "velocities", "a wrong temperature or velocities in other units"
        if not self._velocity_kinetic:
            how = "displacements"
            reason = (
                f"a wrong temperature, or frames {(mean / stated) ** 0.5:.2f} times as far apart"
            )
        return [
            Finding(
                "temperature",
                f"the {how} say {mean:.0f} K, {by} says {stated:g} K: {reason}",
            )
        ]

    def _judge_elements(self) -> list[Finding]:
        """Equipartition: every element has the temperature of the whole."""
        series = self._temperatures()
        if series is None or len(self._elements) < 2:
            return []
        estimates = [_mean_and_error(column) for column in series.T]
        total, _ = estimates[0]
        off = []
        for z, (mean, error) in zip(self._elements, estimates[1:], strict=True):
            # few atoms, few frames: the canonical spread of one frame bounds the error from below
            spread = total * np.sqrt(2.0 / (3.0 * np.sum(self._numbers == z)))
            floor = spread / np.sqrt(max(self._n_frames / 50.0, 1.0))
            if abs(mean - total) > _ELEMENT_TOLERANCE * total + 5.0 * max(error, floor):
                off.append(f"{chemical_symbols[z]} {mean:.0f} K")
        if not off:
            return []
        return [
            Finding(
                "species",
                f"elements differ in temperature ({', '.join(off)}; all atoms {total:.0f} K): "
                "are the species assigned to the right atoms?",
            )
        ]


def _mean_and_error(series: FloatArray) -> tuple[float, float]:
    """Mean and its standard error from ten blocks (from single values where there are few)."""
    edges = np.linspace(0, len(series), min(len(series), 10) + 1).astype(int)
    means = np.array([series[a:b].mean() for a, b in pairwise(edges)])
    error = means.std(ddof=1) / np.sqrt(len(means)) if len(means) > 1 else 0.3 * abs(means[0])
    return float(series.mean()), float(error)
