"""The moves of `integrators` on the CPU: every kernel goes through the whole batch in one call."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from mdbench.compiled import compiled
from mdbench.md.limits import FORCE, FORCE_LIMIT, NOT_FINITE, TEMPERATURE, pair_limits
from mdbench.md.near_pairs import look_at_pairs
from mdbench.md.random import LANGEVIN, WORD
from mdbench.md.settings import MDSettings
from mdbench.md.state import HostState
from mdbench.md.thermostats import (
    chain_energy,
    chain_half_step,
    normal_pair,
    rescaling,
    words,
)
from mdbench.potentials.base import Evaluator, FloatArray, IntArray
from mdbench.units import BOLTZMANN_EV_PER_K

BoolArray = NDArray[np.bool_]


class CpuMoves:
    """The moves of a batch in memory of the host, which they change in place.

    Args:
        state: Which the moves own from now on.
        settings: Of the simulation.
        closest: Å, of the `ForceField`.
    """

    def __init__(
        self, state: HostState, settings: MDSettings, closest: Mapping[str, float] | None = None
    ) -> None:
        self.state = state
        self._timestep = settings.timestep_fs
        self._damping = settings.damping
        self._n_ramp_steps = settings.n_ramp_steps
        self._thermal = BOLTZMANN_EV_PER_K * state.temperatures_k
        self._start = BOLTZMANN_EV_PER_K * settings.start_temperature_k
        self._freedoms = state.degrees_of_freedom.astype(np.float64)
        inverse = np.linalg.inv(state.cells)
        self._inverse = np.ascontiguousarray(inverse)
        self._heights = 1.0 / np.linalg.norm(inverse, axis=1)  # (n_systems, 3) Å
        self._limits = pair_limits(closest or {}, state.atomic_numbers, state.first_atom)
        self._order = np.arange(len(state.masses)) - np.repeat(
            state.first_atom[:-1], np.diff(state.first_atom)
        )
        self._scaled = np.empty((len(state.masses), 3))

    def kick_drift(self, evaluator: Evaluator) -> None:
        """Moves p by Δt/2 F, then x by Δt p/m."""
        s = self.state
        _kick_drift(
            s.positions,
            s.momenta,
            evaluator.forces,
            s.masses,
            s.first_atom,
            s.active,
            0.5 * self._timestep,
            self._timestep,
        )

    def kick(self, evaluator: Evaluator) -> None:
        """Moves p by Δt/2 F, takes K from p, counts the step, retires systems beyond limits."""
        self._kick(evaluator, 0.5 * self._timestep, 1)

    def look(self, evaluator: Evaluator) -> None:
        """Takes K from p and retires systems beyond limits: `kick` without moving or counting."""
        self._kick(evaluator, 0.0, 0)

    def _kick(self, evaluator: Evaluator, duration: float, count: int) -> None:
        s = self.state
        _kick(
            s.momenta,
            evaluator.forces,
            evaluator.energies,
            s.masses,
            s.first_atom,
            s.active,
            s.steps,
            s.kinetic_energies,
            s.kinetic_limits,
            self._freedoms,
            s.end_codes,
            s.end_steps,
            s.end_values,
            s.end_atoms,
            duration,
            count,
        )

    def half_chain(self) -> None:
        """The Nosé–Hoover chain over Δt/2: scales p and K."""
        s = self.state
        _half_chain(
            s.momenta,
            s.first_atom,
            s.active,
            s.kinetic_energies,
            s.chain_positions,
            s.chain_velocities,
            s.bath_energies,
            self._freedoms,
            self._thermal,
            self._damping,
            self._timestep,
        )

    def rescale(self) -> None:
        """Stochastic velocity rescaling over Δt: scales p and K."""
        s = self.state
        _rescale(
            s.momenta,
            s.first_atom,
            s.active,
            s.kinetic_energies,
            s.bath_energies,
            self._freedoms,
            self._thermal,
            self._damping,
            self._timestep,
            s.keys,
            s.steps,
        )

    def kick_drift_bath_drift(self, evaluator: Evaluator) -> None:
        """Moves p by Δt/2 F, x by Δt/2 p/m, p by friction and noise over Δt, x as before."""
        s = self.state
        _kick_drift_bath_drift(
            s.positions,
            s.momenta,
            evaluator.forces,
            s.masses,
            s.first_atom,
            s.active,
            s.bath_energies,
            self._thermal,
            0.5 * self._timestep,
            math.exp(-self._timestep / self._damping),
            s.keys,
            s.steps,
        )

    def ramp(self) -> None:
        """Scales p to the temperature that the ramp has reached."""
        s = self.state
        share = np.minimum(s.steps / self._n_ramp_steps, 1.0)
        thermal = self._start + share * (self._thermal - self._start)
        _scale_to(
            s.momenta,
            s.first_atom,
            s.active,
            s.kinetic_energies,
            0.5 * self._freedoms * thermal,
        )

    def on_host(self) -> HostState:
        """The state itself."""
        return self.state

    def look_at_pairs(self) -> None:
        """Retires systems in which two atoms are too near."""
        s, limits = self.state, self._limits
        look_at_pairs(
            s.positions,
            s.cells,
            self._inverse,
            self._heights,
            limits.kinds,
            limits.limits,
            limits.reaches,
            s.first_atom,
            s.active,
            s.steps,
            s.end_codes,
            s.end_steps,
            s.end_values,
            s.end_atoms,
            self._order,
            self._scaled,
        )


@compiled
def _kick_drift(
    positions: FloatArray,
    momenta: FloatArray,
    forces: FloatArray,
    masses: FloatArray,
    first_atom: IntArray,
    active: BoolArray,
    kick: float,
    drift: float,
) -> None:
    for s in range(len(active)):
        if not active[s]:
            continue
        for a in range(first_atom[s], first_atom[s + 1]):
            velocity = drift / masses[a]
            for k in range(3):
                momenta[a, k] += kick * forces[a, k]
                positions[a, k] += velocity * momenta[a, k]


@compiled
def _kick(
    momenta: FloatArray,
    forces: FloatArray,
    energies: FloatArray,
    masses: FloatArray,
    first_atom: IntArray,
    active: BoolArray,
    steps: IntArray,
    kinetic_energies: FloatArray,
    kinetic_limits: FloatArray,
    freedoms: FloatArray,
    end_codes: IntArray,
    end_steps: IntArray,
    end_values: FloatArray,
    end_atoms: IntArray,
    duration: float,
    count: int,
) -> None:
    for s in range(len(active)):
        steps[s] += count
        if not active[s]:
            continue
        largest, where, twice, finite = 0.0, 0, 0.0, math.isfinite(energies[s])
        for a in range(first_atom[s], first_atom[s + 1]):
            force, squares = 0.0, 0.0
            for k in range(3):
                force += forces[a, k] * forces[a, k]
                momentum = momenta[a, k] + duration * forces[a, k]
                squares += momentum * momentum
                momenta[a, k] = momentum
            twice += squares / masses[a]
            finite = finite and math.isfinite(force)
            if force > largest:
                largest, where = force, a - first_atom[s]
        kinetic_energies[s] = 0.5 * twice
        code, value = 0, 0.0
        if not (finite and math.isfinite(twice)):
            code = NOT_FINITE
        elif largest > FORCE_LIMIT * FORCE_LIMIT:
            code, value = FORCE, math.sqrt(largest)
        elif 0.5 * twice > kinetic_limits[s]:
            code, value = TEMPERATURE, twice / (freedoms[s] * BOLTZMANN_EV_PER_K)
        if code:
            active[s] = False
            end_codes[s], end_steps[s], end_values[s] = code, steps[s], value
            end_atoms[s, 0] = end_atoms[s, 1] = where


@compiled
def _scale(momenta: FloatArray, first: int, end: int, factor: float) -> None:
    for a in range(first, end):
        for k in range(3):
            momenta[a, k] *= factor


@compiled
def _half_chain(
    momenta: FloatArray,
    first_atom: IntArray,
    active: BoolArray,
    kinetic_energies: FloatArray,
    chain_positions: FloatArray,
    chain_velocities: FloatArray,
    bath_energies: FloatArray,
    freedoms: FloatArray,
    thermal: FloatArray,
    damping: float,
    timestep: float,
) -> None:
    for s in range(len(active)):
        if not active[s]:
            continue
        xi, v = chain_positions[s], chain_velocities[s]
        factor = chain_half_step(
            kinetic_energies[s], xi, v, freedoms[s], thermal[s], damping, timestep
        )
        bath_energies[s] = chain_energy(xi, v, freedoms[s], thermal[s], damping)
        kinetic_energies[s] *= factor * factor
        _scale(momenta, first_atom[s], first_atom[s + 1], factor)


@compiled
def _rescale(
    momenta: FloatArray,
    first_atom: IntArray,
    active: BoolArray,
    kinetic_energies: FloatArray,
    bath_energies: FloatArray,
    freedoms: FloatArray,
    thermal: FloatArray,
    damping: float,
    timestep: float,
    keys: IntArray,
    steps: IntArray,
) -> None:
    for s in range(len(active)):
        if not active[s]:
            continue
        factor = rescaling(
            kinetic_energies[s], freedoms[s], thermal[s], damping, timestep, keys[s], steps[s]
        )
        bath_energies[s] -= (factor * factor - 1.0) * kinetic_energies[s]
        kinetic_energies[s] *= factor * factor
        _scale(momenta, first_atom[s], first_atom[s + 1], factor)


@compiled
def _scale_to(
    momenta: FloatArray,
    first_atom: IntArray,
    active: BoolArray,
    kinetic_energies: FloatArray,
    targets: FloatArray,
) -> None:
    for s in range(len(active)):
        if active[s]:
            factor = math.sqrt(targets[s] / kinetic_energies[s])
            kinetic_energies[s] = targets[s]
            _scale(momenta, first_atom[s], first_atom[s + 1], factor)


@compiled
def _kick_drift_bath_drift(
    positions: FloatArray,
    momenta: FloatArray,
    forces: FloatArray,
    masses: FloatArray,
    first_atom: IntArray,
    active: BoolArray,
    bath_energies: FloatArray,
    thermal: FloatArray,
    half: float,
    decay: float,
    keys: IntArray,
    steps: IntArray,
) -> None:
    noise = 1.0 - decay * decay
    deviates = np.empty(3)
    for s in range(len(active)):
        if not active[s]:
            continue
        heat = 0.0
        for a in range(first_atom[s], first_atom[s + 1]):
            w0, w1, w2, w3 = words(
                a - first_atom[s], steps[s] & WORD, steps[s] >> 32, LANGEVIN, keys[s, 0], keys[s, 1]
            )
            deviates[0], deviates[1] = normal_pair(w0, w1)
            deviates[2], _ = normal_pair(w2, w3)
            width, squares = math.sqrt(noise * masses[a] * thermal[s]), 0.0
            velocity = half / masses[a]
            for k in range(3):
                before = momenta[a, k] + half * forces[a, k]
                after = decay * before + width * deviates[k]
                positions[a, k] += velocity * (before + after)
                momenta[a, k] = after
                squares += after * after - before * before
            heat += squares / masses[a]
        bath_energies[s] -= 0.5 * heat
