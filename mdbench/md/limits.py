"""When a system is retired, and what its end reason says.

A system ends at the first step at which a force, its energy or its momenta are not finite, a force
is above `FORCE_LIMIT`, or its kinetic temperature is above 10 times the target; and at every
`PAIR_INTERVAL`-th step at which two atoms are nearer than `PAIR_LIMIT`. Positions stay finite, as
such forces do not move atoms any more.
"""

from __future__ import annotations

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
#: Smallest distance of two atoms, Å, and how many steps lie between two looks at it.
PAIR_LIMIT, PAIR_INTERVAL = 0.3, 10
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
    """
    i, j = int(atoms[0]), int(atoms[1])
    if step < n_ramp_steps:
        when = f"{step * timestep_fs * FS_IN_PS:g} ps into the ramp"
    else:
        when = f"at {(step - n_ramp_steps) * timestep_fs * FS_IN_PS:g} ps"
    if code == PAIR:
        pair = "-".join(sorted((_symbol(numbers[i]), _symbol(numbers[j]))))
        return f"fusion: {pair} {value:.2f} A {when} (atoms {i} and {j})"
    if code == FORCE:
        return f"exploded: {value:.0f} eV/A on {_symbol(numbers[i])} {i} {when}"
    if code == TEMPERATURE:
        return f"exploded: {value:.0f} K {when} (target {target_k:g} K)"
    return f"exploded: forces or energy not finite {when}"


def _symbol(number: int) -> str:
    from ase.data import chemical_symbols

    return str(chemical_symbols[number])
