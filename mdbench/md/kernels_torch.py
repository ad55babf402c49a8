"""The moves of `integrators` on any torch device, in float64, without waiting for it.

The same numbers as `kernels` to rounding. Nothing in a step asks the device for a value, so the
host runs ahead, and a step can be captured as a CUDA graph: all tensors are changed in place.
Sums go through rows padded to the largest system, in an order that does not change from run to run.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mdbench.md.integrators import WEIGHTS
from mdbench.md.limits import FORCE, FORCE_LIMIT, NOT_FINITE, PAIR, TEMPERATURE, pair_limits
from mdbench.md.near_pairs_torch import NearPairs
from mdbench.md.random import CSVR, GAMMA_ATTEMPTS, LANGEVIN, PER_WORD, WORD, philox4x32
from mdbench.md.settings import MDSettings
from mdbench.md.state import HostState, State, fields
from mdbench.units import BOLTZMANN_EV_PER_K


class TorchMoves:
    """The moves of a batch in memory of a device, which they change in place.

    Args:
        state: Where the moves begin.
        settings: Of the simulation.
        device: Where the forces are.
        closest: Å, of the `ForceField`.
    """

    state: State[Tensor]

    def __init__(
        self,
        state: HostState,
        settings: MDSettings,
        device: torch.device,
        closest: Mapping[str, float] | None = None,
    ) -> None:
        self.state = State(
            **{name: torch.tensor(value, device=device) for name, value in fields(state).items()}
        )
        self._settings = settings
        sizes = np.diff(state.first_atom)
        column = np.arange(sizes.max())
        inside = column < sizes[:, None]  # (n_systems, n_max)
        self._system = torch.tensor(np.repeat(np.arange(len(sizes)), sizes), device=device)
        self._within = torch.tensor(
            np.arange(len(state.masses)) - np.repeat(state.first_atom[:-1], sizes), device=device
        )
        # The padding is the system's first atom, so that a NaN stays in its system.
        places = state.first_atom[:-1, None] + np.where(inside, column, 0)
        self._places, self._inside = (torch.tensor(a, device=device) for a in (places, inside))
        limits = pair_limits(closest or {}, state.atomic_numbers, state.first_atom)
        self._pairs = NearPairs(state, limits, self._places, self._inside)
        self._mass = self.state.masses[:, None]
        self._freedom = self.state.degrees_of_freedom.double()
        self._thermal = BOLTZMANN_EV_PER_K * self.state.temperatures_k
        self._no_force = self.state.momenta.new_zeros(())

    def on_host(self) -> HostState:
        """A copy of the state in memory of the host."""
        return State(**{name: value.cpu().numpy() for name, value in fields(self.state).items()})

    def kick_drift(self, evaluator: Any) -> None:
        """Moves p by Δt/2 F, then x by Δt p/m."""
        step = self._settings.timestep_fs
        self._push(evaluator.forces, 0.5 * step)
        self._drift(step)

    def kick(self, evaluator: Any) -> None:
        """Moves p by Δt/2 F, takes K from p, counts the step, retires systems beyond limits."""
        self._push(evaluator.forces, 0.5 * self._settings.timestep_fs)
        self.state.steps.add_(1)
        self.look(evaluator)

    def look(self, evaluator: Any) -> None:
        """Takes K from p and retires systems beyond limits: `kick` without moving or counting."""
        s = self.state
        twice = self._sum((s.momenta**2).sum(dim=1) / s.masses)
        squares = (evaluator.forces.double() ** 2).sum(dim=1)[self._places]  # (n_systems, n_max)
        largest, where = squares.masked_fill(~self._inside, -1.0).max(dim=1)
        finite = torch.isfinite(squares).all(dim=1) & torch.isfinite(twice + evaluator.energies)
        s.kinetic_energies.copy_(torch.where(s.active, 0.5 * twice, s.kinetic_energies))
        hot, torn = 0.5 * twice > s.kinetic_limits, largest > FORCE_LIMIT**2
        code = torch.where(finite, FORCE * torn, NOT_FINITE)
        code = torch.where(finite & ~torn, TEMPERATURE * hot, code)
        value = torch.where(torn, largest.sqrt(), twice / (self._freedom * BOLTZMANN_EV_PER_K))
        self._retire(code, torch.where(finite, value, 0.0), where[:, None].expand(-1, 2))

    def half_chain(self) -> None:
        """The Nosé–Hoover chain over Δt/2: scales p and K."""
        s, damping = self.state, self._settings.damping
        xi, v = list(s.chain_positions.unbind(1)), list(s.chain_velocities.unbind(1))
        other = self._thermal * damping * damping
        inertia = [self._freedom * other, *([other] * (len(v) - 1))]
        twice, scale = 2.0 * s.kinetic_energies, torch.ones_like(s.kinetic_energies)
        links = range(len(v))
        for weight in WEIGHTS:
            delta = 0.5 * weight * self._settings.timestep_fs
            for link in reversed(links):
                v[link] = self._pushed(link, v, inertia, twice, delta)
            factor = torch.exp(-delta * v[0])
            scale, twice = scale * factor, twice * factor * factor
            xi = [x + delta * velocity for x, velocity in zip(xi, v, strict=True)]
            for link in links:
                v[link] = self._pushed(link, v, inertia, twice, delta)
        counts = [self._freedom * self._thermal, *([self._thermal] * (len(v) - 1))]
        energy = sum(counts[k] * xi[k] + 0.5 * inertia[k] * v[k] ** 2 for k in links)
        on = s.active[:, None]
        s.chain_positions.copy_(torch.where(on, torch.stack(xi, 1), s.chain_positions))
        s.chain_velocities.copy_(torch.where(on, torch.stack(v, 1), s.chain_velocities))
        s.bath_energies.copy_(torch.where(s.active, energy, s.bath_energies))
        self._scale(scale)

    def _pushed(
        self, link: int, v: list[Tensor], inertia: list[Tensor], twice: Tensor, delta: float
    ) -> Tensor:
        """v_ξ of a link after a quarter of its step."""
        if link == 0:
            push = (twice - self._freedom * self._thermal) / inertia[0]
        else:
            push = (inertia[link - 1] * v[link - 1] ** 2 - self._thermal) / inertia[link]
        if link + 1 == len(v):
            return v[link] + 0.5 * delta * push
        friction = torch.exp(-0.25 * delta * v[link + 1])
        return friction * (friction * v[link] + 0.5 * delta * push)

    def rescale(self) -> None:
        """Stochastic velocity rescaling over Δt: scales p and K."""
        s = self.state
        decay = math.exp(-self._settings.timestep_fs / self._settings.damping)
        attempts = torch.arange(GAMMA_ATTEMPTS + 1, device=s.steps.device)[:, None]
        w0, w1, w2, _ = self._words(attempts, s.steps, CSVR, s.keys)  # (attempts, n_systems)
        deviates, _ = _normal_pair(w0, w1)
        squares = _chi_squared(deviates[1:], _uniform(w2[1:]), self._freedom - 1.0)
        share = (1.0 - decay) * 0.5 * self._thermal / s.kinetic_energies
        along = math.sqrt(decay) + share.sqrt() * deviates[0]
        scale = (along * along + share * squares).sqrt()
        scale = torch.where(along >= 0.0, scale, -scale)
        heat = (scale * scale - 1.0) * s.kinetic_energies
        s.bath_energies.sub_(torch.where(s.active, heat, 0.0))
        self._scale(scale)

    def kick_drift_bath_drift(self, evaluator: Any) -> None:
        """Moves p by Δt/2 F, x by Δt/2 p/m, p by friction and noise over Δt, x as before."""
        s, half = self.state, 0.5 * self._settings.timestep_fs
        decay = math.exp(-self._settings.timestep_fs / self._settings.damping)
        self._push(evaluator.forces, half)
        self._drift(half)
        steps, keys = s.steps[self._system], s.keys[self._system]
        w0, w1, w2, w3 = self._words(self._within, steps, LANGEVIN, keys)
        deviates = torch.stack([*_normal_pair(w0, w1), _normal_pair(w2, w3)[0]], dim=1)
        width = ((1.0 - decay * decay) * self._mass * self._thermal[self._system, None]).sqrt()
        after = decay * s.momenta + width * deviates
        heat = 0.5 * self._sum(((after**2 - s.momenta**2) / self._mass).sum(dim=1))
        s.bath_energies.sub_(torch.where(s.active, heat, 0.0))
        s.momenta.copy_(torch.where(self._on(), after, s.momenta))
        self._drift(half)

    def ramp(self) -> None:
        """Scales p to the temperature that the ramp has reached."""
        s = self.state
        start = BOLTZMANN_EV_PER_K * self._settings.start_temperature_k
        share = (s.steps.double() / self._settings.n_ramp_steps).clamp(max=1.0)
        target = 0.5 * self._freedom * (start + share * (self._thermal - start))
        self._scale((target / s.kinetic_energies).sqrt())

    def look_at_pairs(self) -> None:
        """Retires systems in which two atoms are too near."""
        near, distance, pair = self._pairs.nearest(self.state.positions)
        self._retire(PAIR * near, distance, pair)

    def _retire(self, code: Tensor, value: Tensor, atoms: Tensor) -> None:
        """Ends active systems whose code is not 0."""
        s = self.state
        new = s.active & (code != 0)
        s.end_codes.copy_(torch.where(new, code, s.end_codes))
        s.end_steps.copy_(torch.where(new, s.steps, s.end_steps))
        s.end_values.copy_(torch.where(new, value, s.end_values))
        s.end_atoms.copy_(torch.where(new[:, None], atoms, s.end_atoms))
        s.active.logical_and_(~new)

    def _on(self) -> Tensor:
        """(n_atoms, 1) whether an atom's system is active."""
        return self.state.active[self._system, None]

    def _push(self, forces: Tensor, duration: float) -> None:
        self.state.momenta.add_(torch.where(self._on(), duration * forces.double(), self._no_force))

    def _drift(self, duration: float) -> None:
        s = self.state
        s.positions.add_(
            torch.where(self._on(), (duration / self._mass) * s.momenta, self._no_force)
        )

    def _scale(self, factor: Tensor) -> None:
        """Momenta times a factor (n_systems,), and the kinetic energies with them."""
        factor = torch.where(self.state.active, factor, 1.0)
        self.state.kinetic_energies.mul_(factor * factor)
        self.state.momenta.mul_(factor[self._system, None])

    def _sum(self, values: Tensor) -> Tensor:
        """(n_systems,) sums of a value of each atom."""
        return values[self._places].masked_fill(~self._inside, 0.0).sum(dim=1)

    @staticmethod
    def _words(index: Tensor, steps: Tensor, purpose: int, keys: Tensor) -> Any:
        return philox4x32(index, steps & WORD, steps >> 32, purpose, keys[:, 0], keys[:, 1])


def _uniform(word: Tensor) -> Tensor:
    return (word.double() + 0.5) * PER_WORD


def _normal_pair(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Two standard normal deviates from two random words (Box and Muller)."""
    radius = (-2.0 * _uniform(first).log()).sqrt()
    angle = 2.0 * math.pi * _uniform(second)
    return radius * angle.cos(), radius * angle.sin()


def _chi_squared(deviates: Tensor, uniforms: Tensor, freedom: Tensor) -> Tensor:
    """(n_systems,) χ² variates: the first of the attempts that Marsaglia and Tsang accept.

    Args:
        deviates: (n_attempts, n_systems) normal.
        uniforms: (n_attempts, n_systems).
        freedom: (n_systems,) degrees of freedom, at least 2.
    """
    d = 0.5 * freedom - 1.0 / 3.0
    cube = (1.0 + deviates / (9.0 * d).sqrt()) ** 3
    bound = 0.5 * deviates**2 + d - d * cube + d * cube.clamp(min=1e-300).log()
    accepted = (cube > 0.0) & (uniforms.log() < bound)
    accepted[-1] = True
    attempts = torch.arange(len(accepted), 0, -1, device=cube.device)[:, None]
    first = (accepted * attempts).argmax(dim=0, keepdim=True)
    return 2.0 * d * cube.gather(0, first)[0]
