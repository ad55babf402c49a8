"""Dynamics that tell about a force field: runs of constant energy, and echoes.

Without a thermostat the total energy of a conservative, smooth force field stays where it is but
for the error of the integrator, which grows with the square of the timestep. And velocity Verlet is
reversible: with the velocities turned around, atoms go back the way they came, unless the same
positions do not give the same forces or positions are rounded on the way.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mdbench.md.settings import MDSettings
from mdbench.md.simulate import Chunk, simulate
from mdbench.md.snapshots import Snapshot
from mdbench.md.state import Run
from mdbench.potentials.base import FloatArray, ForceField

Progress = Callable[[float], None]
#: Chunks of a run: the first is left out of its speed.
_CHUNKS = 10


@dataclass(frozen=True)
class EnergyRun:
    """Energies along a run without a thermostat.

    Attributes:
        timestep_fs: fs.
        n_atoms: Number of atoms.
        times_ps: (n_frames,) ps, every step.
        energies: (n_frames,) eV, potential and kinetic.
        temperature_k: Mean kinetic temperature, K.
        steps_per_s: Speed of the run.
        end_reason: Why it ended early; None where it did not.
    """

    timestep_fs: float
    n_atoms: int
    times_ps: FloatArray
    energies: FloatArray
    temperature_k: float
    steps_per_s: float
    end_reason: str | None


@dataclass(frozen=True)
class Echo:
    """How far from their start atoms are that were sent back.

    Attributes:
        distance: Root mean square over atoms, Å.
        turned_at: The same where the velocities were turned around, Å.
        ps: Time to there, ps.
        end_reason: Why it ended early; None where it did not.
    """

    distance: float
    turned_at: float
    ps: float
    end_reason: str | None


def energy_run(
    force_field: ForceField,
    run: Run,
    *,
    timestep_fs: float,
    production_ps: float,
    ramp_ps: float,
    seed: int = 0,
    progress: Progress | None = None,
) -> EnergyRun:
    """A run of constant energy, after heating by velocity scaling.

    Args:
        force_field: What moves the atoms.
        run: Structure and temperature.
        timestep_fs: fs.
        production_ps: Length, ps.
        ramp_ps: Of the heating before it, ps.
        seed: Of velocities.
        progress: Called with the share done.
    """
    settings = MDSettings(
        ensemble="nve",
        timestep_fs=timestep_fs,
        ramp_ps=ramp_ps,
        production_ps=production_ps,
        seed=seed,
    )
    n_steps = settings.n_ramp_steps + settings.n_steps
    frames, first, end_reason = [], (0, 0.0), None
    step, seconds = 0, 0.0
    started = time.perf_counter()
    for chunk in simulate(force_field, [run], settings, chunk_frames=max(1, n_steps // _CHUNKS)):
        frames.append(chunk.frames[0])
        step, seconds, end_reason = chunk.step, time.perf_counter() - started, chunk.end_reasons[0]
        if len(frames) == 1 < _CHUNKS and step < n_steps:
            first = step, seconds
        if progress is not None:
            progress(step / n_steps)
    temperatures = np.concatenate([f.temperatures_k for f in frames])
    return EnergyRun(
        timestep_fs=timestep_fs,
        n_atoms=len(run.atomic_numbers),
        times_ps=np.concatenate([f.times_ps for f in frames]),
        energies=np.concatenate([f.conserved_energies for f in frames]),
        temperature_k=float(temperatures.mean()) if len(temperatures) else np.nan,
        steps_per_s=(step - first[0]) / max(seconds - first[1], 1e-9),
        end_reason=end_reason,
    )


def echo(
    force_field: ForceField, run: Run, *, timestep_fs: float, ps: float, seed: int = 0
) -> Echo:
    """Runs at constant energy, turns the velocities around, and runs as long again.

    Args:
        force_field: What moves the atoms.
        run: Structure and temperature.
        timestep_fs: fs.
        ps: Time before the turn, ps.
        seed: Of velocities.
    """

    def settings(length_ps: float) -> MDSettings:
        return MDSettings(
            ensemble="nve",
            timestep_fs=timestep_fs,
            ramp_ps=0.0,
            production_ps=length_ps,
            seed=seed,
        )

    def last(length_ps: float, snapshot: Snapshot | None) -> Chunk:
        *_, chunk = simulate(force_field, [run], settings(length_ps), snapshot=snapshot)
        return chunk

    there = last(ps, None)
    turned = dict(there.snapshot)
    turned["state.momenta"] = -turned["state.momenta"]
    turned_at = _distance(there.snapshot["state.positions"], run.positions)
    if there.end_reasons[0] is not None:
        return Echo(np.inf, turned_at, ps, there.end_reasons[0])
    back = last(2.0 * ps, turned)
    distance = _distance(back.snapshot["state.positions"], run.positions)
    ended = back.end_reasons[0]
    return Echo(distance if ended is None else np.inf, turned_at, ps, ended)


def _distance(positions: FloatArray, start: FloatArray) -> float:
    return float(np.sqrt(((positions - start) ** 2).sum(axis=1).mean()))
