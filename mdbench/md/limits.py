"""When a system is retired, and what its end reason says.

A system ends at the first step at which a force, its energy or its momenta are not finite, a force
is above `FORCE_LIMIT`, or its kinetic temperature is above 10 times the target; and at the start or
every `PAIR_INTERVAL`-th step at which two atoms are nearer than the limit of their elements. This
is `PAIR_LIMIT`, or more where it is known how near they came to each other in the training data.
Positions stay finite, as such forces do not move atoms any more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations_with_replacement, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mdbench.potentials.base import FloatArray, IntArray
from mdbench.units import BOLTZMANN_EV_PER_K, FS_IN_PS

#: What `end_codes` say.
NOT_FINITE, FORCE, TEMPERATURE, PAIR = 1, 2, 3, 4

#: Largest force on an atom, eV/Å.
FORCE_LIMIT = 500.0
#: Largest kinetic temperature, in targets.
TEMPERATURE_FACTOR = 10.0
#: Smallest distance of any two atoms, Å, and how many steps lie between two looks at it.
PAIR_LIMIT, PAIR_INTERVAL = 0.3, 10
#: Smallest distance of two atoms, in smallest distances of their elements in the training data.
TRAINING_FACTOR = 0.85
#: Normal deviate whose upper tail is 1e-12: the canonical ensemble itself may go so far.
_RARE = 7.03


def kinetic_limits(temperatures_k: FloatArray, degrees_of_freedom: IntArray) -> FloatArray:
    """(n_systems,) eV, largest kinetic energies.

    With fewer than 9 degrees of freedom, 10 times the target happens in equilibrium. The limit is
    then the kinetic energy that is exceeded with a probability of 1e-12 (Wilson and Hilferty's
    approximation of χ², doi:10.1073/pnas.17.12.684).
    """
    width = 2.0 / (9.0 * degrees_of_freedom)
    factor = np.maximum(TEMPERATURE_FACTOR, (1.0 - width + _RARE * np.sqrt(width)) ** 3)
    limits: FloatArray = 0.5 * degrees_of_freedom * BOLTZMANN_EV_PER_K * temperatures_k * factor
    return limits


@dataclass(frozen=True)
class PairLimits:
    """How near the atoms of a batch may come to each other.

    Attributes:
        kinds: (n_atoms,) row of `limits` of an atom's element.
        limits: (n_kinds, n_kinds) Å.
        reaches: (n_atoms,) Å, an atom's largest limit with another atom of its system.
    """

    kinds: IntArray
    limits: FloatArray
    reaches: FloatArray


def pair_limits(
    closest: Mapping[str, float], atomic_numbers: IntArray, first_atom: IntArray
) -> PairLimits:
    """The limits of a batch.

    Args:
        closest: Å, of a `ForceField`.
        atomic_numbers: (n_atoms,).
        first_atom: (n_systems + 1,) where each system's atoms begin, and the end of the last one.
    """
    elements, kinds = np.unique(atomic_numbers, return_inverse=True)
    limits = np.full((len(elements), len(elements)), PAIR_LIMIT)
    known = known_pairs(closest, elements)
    for a, b in combinations_with_replacement(range(len(elements)), 2) if known else ():
        limit = _limit(known.get(_pair(elements[a], elements[b])))
        limits[a, b] = limits[b, a] = limit
    reaches = np.zeros(len(kinds))
    for begin, end in pairwise(first_atom):
        own = kinds[begin:end]
        others = np.bincount(own, minlength=len(elements)) - np.eye(len(elements))
        reaches[begin:end] = np.where(others > 0.0, limits, 0.0).max(axis=1)[own]
    return PairLimits(kinds.astype(np.int64), limits, reaches)


def known_pairs(closest: Mapping[str, float], atomic_numbers: IntArray) -> dict[str, float]:
    """The part of `closest` that is about pairs of these elements, in alphabetical order.

    Args:
        closest: Å, of a `ForceField`.
        atomic_numbers: (n_atoms,), of any number of atoms of each element.
    """
    if not closest:
        return {}
    elements = np.unique(atomic_numbers)
    names = (_pair(a, b) for a, b in combinations_with_replacement(elements, 2))
    return {name: float(closest[name]) for name in sorted(names) if name in closest}


def _limit(closest: float | None) -> float:
    """Å, of a pair that has come so near in the training data; None where that is not known."""
    return PAIR_LIMIT if closest is None else max(PAIR_LIMIT, TRAINING_FACTOR * closest)


def closest_pair(positions: FloatArray, cell: FloatArray) -> tuple[float, int, int]:
    """Distance (Å) and the two atoms of the closest pair below `PAIR_LIMIT`; inf without one.

    Exact in cells that are wider than twice the limit: a shorter vector is its own nearest image.
    Atoms are sorted along the widest direction of the cell and compared with those next to them.
    """
    n_atoms, inverse = len(positions), np.linalg.inv(cell)
    heights = 1.0 / np.linalg.norm(inverse, axis=0)
    axis = int(heights.argmax())
    scaled = positions @ inverse
    scaled -= np.floor(scaled)
    order = np.argsort(scaled[:, axis], kind="stable")
    scaled = scaled[order]
    best: tuple[float, int, int] = (np.inf, 0, 0)
    for step in range(1, n_atoms // 2 + 1):
        difference = np.roll(scaled, -step, axis=0) - scaled
        difference -= np.rint(difference)
        along = (np.roll(scaled[:, axis], -step) - scaled[:, axis]) % 1.0
        distances = np.linalg.norm(difference @ cell, axis=1)
        i = int(distances.argmin())
        if distances[i] < min(PAIR_LIMIT, best[0]):
            pair = sorted((int(order[i]), int(order[(i + step) % n_atoms])))
            best = float(distances[i]), pair[0], pair[1]
        if along.min() * heights[axis] > PAIR_LIMIT:
            break
    return best


def end_reason(
    code: int,
    step: int,
    value: float,
    atoms: NDArray[Any],
    numbers: NDArray[Any],
    target_k: float,
    timestep_fs: float,
    n_ramp_steps: int,
    closest: Mapping[str, float],
) -> str:
    """Why a system was retired, as provenance states it.

    Args:
        code: Of the reason.
        step: Of the first state beyond the limit, the ramp included.
        value: What was held against the limit: K, eV/Å or Å.
        atoms: (2,) atoms that it is about.
        numbers: (n_atoms,) atomic numbers of the system.
        target_k: Target temperature, K.
        timestep_fs: fs.
        n_ramp_steps: Steps of the ramp.
        closest: Å, of the `ForceField`.
    """
    i, j = int(atoms[0]), int(atoms[1])
    if step < n_ramp_steps:
        when = f"{step * timestep_fs * FS_IN_PS:g} ps into the ramp"
    else:
        when = f"at {(step - n_ramp_steps) * timestep_fs * FS_IN_PS:g} ps"
    if code == PAIR:
        pair = _pair(numbers[i], numbers[j])
        known = closest.get(pair)
        seen = f"; training saw no less than {known:.2f} A" if _limit(known) > PAIR_LIMIT else ""
        return f"fusion: {pair} {value:.2f} A {when} (atoms {i} and {j}{seen})"
    if code == FORCE:
        return f"exploded: {value:.0f} eV/A on {_symbol(numbers[i])} {i} {when}"
    if code == TEMPERATURE:
        return f"exploded: {value:.0f} K {when} (target {target_k:g} K)"
    return f"exploded: forces or energy not finite {when}"


def _pair(one: int, other: int) -> str:
    """Name of a pair of elements, "Li-S"."""
    return "-".join(sorted((_symbol(one), _symbol(other))))


def _symbol(number: int) -> str:
    from ase.data import chemical_symbols

    return str(chemical_symbols[number])
