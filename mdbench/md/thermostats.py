"""Thermostats of one system, compiled for the CPU. `integrators` has the symbols and sources."""

from __future__ import annotations

import math

from mdbench.compiled import compiled
from mdbench.md.integrators import WEIGHTS
from mdbench.md.random import CSVR, GAMMA_ATTEMPTS, PER_WORD, WORD, philox4x32
from mdbench.potentials.base import FloatArray, IntArray

words = compiled(philox4x32)


@compiled
def normal_pair(first: int, second: int) -> tuple[float, float]:
    """Two standard normal deviates from two random words (Box and Muller)."""
    radius = math.sqrt(-2.0 * math.log((first + 0.5) * PER_WORD))
    angle = 2.0 * math.pi * ((second + 0.5) * PER_WORD)
    return radius * math.cos(angle), radius * math.sin(angle)


@compiled
def chain_half_step(
    kinetic: float,
    positions: FloatArray,
    velocities: FloatArray,
    freedom: float,
    thermal: float,
    damping: float,
    timestep: float,
) -> float:
    """Factor of the momenta after half a timestep of the chain, which moves in place.

    Args:
        kinetic: K, eV.
        positions: (n_links,) ξ.
        velocities: (n_links,) v_ξ, 1/fs.
        freedom: N_f.
        thermal: kT, eV.
        damping: τ, fs.
        timestep: Δt, fs.
    """
    n_links = len(positions)
    other = thermal * damping * damping
    twice, scale = 2.0 * kinetic, 1.0
    for weight in WEIGHTS:
        delta = 0.5 * weight * timestep
        for up in range(2 * n_links):
            link = n_links - 1 - up if up < n_links else up - n_links
            if up == n_links:
                factor = math.exp(-delta * velocities[0])
                scale *= factor
                twice *= factor * factor
                for k in range(n_links):
                    positions[k] += delta * velocities[k]
            if link == 0:
                push = (twice - freedom * thermal) / (freedom * other)
            else:
                inertia = freedom * other if link == 1 else other
                push = (inertia * velocities[link - 1] ** 2 - thermal) / other
            friction = 1.0
            if link + 1 < n_links:
                friction = math.exp(-0.25 * delta * velocities[link + 1])
            velocities[link] = friction * (friction * velocities[link] + 0.5 * delta * push)
    return scale


@compiled
def chain_energy(
    positions: FloatArray, velocities: FloatArray, freedom: float, thermal: float, damping: float
) -> float:
    """Energy of the chain, eV; arguments as of `chain_half_step`."""
    energy, other = 0.0, thermal * damping * damping
    for k in range(len(positions)):
        count = freedom if k == 0 else 1.0
        energy += count * (thermal * positions[k] + 0.5 * other * velocities[k] ** 2)
    return energy


@compiled
def chi_squared(key: IntArray, step: int, freedom: float) -> float:
    """χ² variate with that many degrees of freedom, at least 2.

    G. Marsaglia, W. W. Tsang, ACM Trans. Math. Softw. 2000, 26, 363, doi:10.1145/358407.358414,
    with attempt 1, 2 … as the counter.
    """
    d = 0.5 * freedom - 1.0 / 3.0
    c = 1.0 / math.sqrt(9.0 * d)
    cube = 1.0
    for attempt in range(1, GAMMA_ATTEMPTS + 1):
        w0, w1, w2, _ = words(attempt, step & WORD, step >> 32, CSVR, key[0], key[1])
        x, _ = normal_pair(w0, w1)
        cube = (1.0 + c * x) ** 3
        if cube > 0.0:
            bound = 0.5 * x * x + d - d * cube + d * math.log(cube)
            if math.log((w2 + 0.5) * PER_WORD) < bound:
                return 2.0 * d * cube
    return 2.0 * d * cube


@compiled
def rescaling(
    kinetic: float,
    freedom: float,
    thermal: float,
    damping: float,
    timestep: float,
    key: IntArray,
    step: int,
) -> float:
    """α of a step of stochastic velocity rescaling; arguments as of `chain_half_step`."""
    w0, w1, _, _ = words(0, step & WORD, step >> 32, CSVR, key[0], key[1])
    deviate, _ = normal_pair(w0, w1)
    squares = chi_squared(key, step, freedom - 1.0)
    decay = math.exp(-timestep / damping)
    share = (1.0 - decay) * 0.5 * thermal / kinetic
    along = math.sqrt(decay) + math.sqrt(share) * deviate
    scale = math.sqrt(along * along + share * squares)
    return scale if along >= 0.0 else -scale
