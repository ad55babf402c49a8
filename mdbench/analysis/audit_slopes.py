"""Are forces the slope of the energy? Finite differences, virtual work, finite strain.

For a force F of a conservative force field, −dE/ds along any line is F · dx/ds; the work ∮ F · dx
around any loop is zero, which also holds forces without an energy to account; and the virial is the
slope of the energy under strain. Tolerances are those of the audit, and what the method cannot do:
the error of its step, from results of two steps, and three standard deviations of the noise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from mdbench.analysis.audit_probe import Answer, Structure, relative, unit_vector
from mdbench.analysis.audit_symmetry import Bench, Part
from mdbench.potentials.base import FloatArray

#: Bounds of the step of differences, Å along a direction of length 1.
_SMALLEST_STEP, _LARGEST_STEP = 1e-3, 0.1
#: How much smaller a second step is.
_SMALLER = 8.0
#: A strain moves atoms of a small cell about ten times as far as its size says, in Å.
_STRAIN_ARM = 10.0
#: Points of a loop, and its radius in Å along directions of length 1.
_LOOP_POINTS, _LOOP_RADIUS = 24, 0.1
#: Noise widens a tolerance up to here: what is noisier has no slope.
WIDEST = 1e-2


@dataclass(frozen=True)
class Slope:
    """A derivative by central differences.

    Attributes:
        value: Of fourth order in the step.
        error: Of the step, by the value of twice the step, and of the noise.
    """

    value: float
    error: float


def conservativeness(bench: Bench, rng: np.random.Generator) -> Iterator[Part]:
    """Forces against slopes of the energy, work around a loop, virial against strain."""
    for structure, answer, n in (
        (bench.material, bench.of_material, 1),
        (bench.small, bench.of_small, 2),
    ):
        for _ in range(n):
            yield _along(bench, structure, answer, unit_vector(structure, rng))
    yield _loop(bench, rng)
    if not np.isnan(bench.of_small.virial).all():
        yield _strained(bench, rng)


def slope(energy: Callable[[float], float], step: float, noise: float) -> Slope:
    """dE/ds at 0 from six energies: fourth order, with its error.

    Args:
        energy: E(s).
        step: Of s.
        noise: Standard deviation of energies.
    """
    central = {}
    for k in (1, 2, 4):
        central[k] = (energy(k * step) - energy(-k * step)) / (2.0 * k * step)
    fine = (4.0 * central[1] - central[2]) / 3.0
    coarse = (4.0 * central[2] - central[4]) / 3.0
    # of a smooth energy this is 45 times the error; an energy that jumps on the way makes an error
    # of up to twice the difference
    return Slope(fine, 3.0 * abs(fine - coarse) + 3.0 * noise / step)


def _along(bench: Bench, structure: Structure, answer: Answer, direction: FloatArray) -> Part:
    """F · u against −dE/du."""
    follower = bench.probe.follow(structure)

    def energy(s: float) -> float:
        return follower.at(structure.positions + s * direction)[0].energy

    return _compared(
        bench,
        energy,
        float((answer.forces * direction).sum()),
        scale=answer.force_scale,
        step=_step(bench, structure, answer),
        noise=_noise(bench, structure),
        what=f"forces are not the slope of the energy along a direction of {len(structure)} atoms",
        unit="eV/A",
    )


def _compared(
    bench: Bench,
    energy: Callable[[float], float],
    expected: float,
    *,
    scale: float,
    step: float,
    noise: float,
    what: str,
    unit: str,
) -> Part:
    """A slope −dE/ds that is expected, against the one by differences.

    A smaller step is less likely to meet a jump of the energy, so the better of two counts: what
    is no slope fails with both.
    """
    parts: list[Part] = []
    for size in (step, step / _SMALLER):
        found = slope(energy, size, noise)
        part = Part(
            relative(expected + found.value, scale),
            _widened(bench, relative(found.error, scale)),
            f"{what}: {expected:.6g} against {-found.value:.6g} {unit}",
        )
        parts.append(part)
        if part.excess <= 1.0:
            break
    return min(parts, key=lambda part: part.excess)


def _loop(bench: Bench, rng: np.random.Generator) -> Part:
    """∮ F · dx around a circle in a random plane, over its length and the rms force."""
    small, scale = bench.small, bench.of_small.force_scale
    u, v = unit_vector(small, rng), unit_vector(small, rng)
    v -= (v * u).sum() * u
    v /= np.linalg.norm(v)
    follower = bench.probe.follow(small)
    powers = np.zeros(_LOOP_POINTS)
    for k in range(_LOOP_POINTS):
        angle = 2.0 * np.pi * k / _LOOP_POINTS
        x = small.positions + _LOOP_RADIUS * (np.cos(angle) * u + np.sin(angle) * v)
        forces = follower.at(x)[0].forces
        powers[k] = (forces * (np.cos(angle) * v - np.sin(angle) * u)).sum()
    # the trapezoid rule converges exponentially on a circle: three thirds of the points that agree
    # leave no error to the whole, and a force that jumps on the way makes them disagree
    thirds = powers.reshape(-1, 3).mean(axis=0)
    noise = 3.0 * bench.noise.force / _LOOP_POINTS**0.5
    work = 2.0 * np.pi * _LOOP_RADIUS * powers.mean()
    return Part(
        relative(powers.mean(), scale),
        _widened(bench, relative(np.ptp(thirds) + noise, scale)),
        f"forces do a work of {work:.2e} eV around a closed loop",
    )


def _strained(bench: Bench, rng: np.random.Generator) -> Part:
    """The virial against −dE/dη of positions and cell times 1 + η."""
    small, answer = bench.small, bench.of_small
    strain = rng.normal(size=(3, 3))
    strain = strain + strain.T
    strain /= np.linalg.norm(strain)

    def energy(s: float) -> float:
        matrix = np.eye(3) + s * strain
        strained = Structure(small.numbers, small.positions @ matrix, small.cell @ matrix)
        return bench.probe.ask(strained)[0].energy

    return _compared(
        bench,
        energy,
        float((answer.virial * strain).sum()),
        scale=answer.energy_scale,
        step=_step(bench, small, answer) / _STRAIN_ARM,
        noise=bench.noise.energy,
        what="the virial is not the slope of the energy under strain",
        unit="eV",
    )


def _noise(bench: Bench, structure: Structure) -> float:
    """Of the energy of a structure, eV: that of the small one, as it grows with size."""
    return bench.noise.energy * math.sqrt(len(structure) / len(bench.small))


def _step(bench: Bench, structure: Structure, answer: Answer) -> float:
    """Where the error of fourth order is about that of the noise, Å."""
    noise, scale = _noise(bench, structure), answer.force_scale
    if not 0.0 < noise < np.inf or not scale > 0.0:
        return _SMALLEST_STEP
    return float(np.clip((noise / scale) ** 0.2, _SMALLEST_STEP, _LARGEST_STEP))


def _widened(bench: Bench, by: float) -> float:
    """The tolerance, and what the method cannot tell, up to a limit."""
    return max(bench.tolerance, min(bench.tolerance + by, WIDEST))
