"""Simulations that another code moves, in the form of `simulate`: same chunks, same ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from mdbench.md.frames import FrameBuffer, Recording, bytes_per_frame, end_reasons
from mdbench.md.kernels import CpuMoves
from mdbench.md.limits import PAIR_INTERVAL
from mdbench.md.settings import MDSettings
from mdbench.md.simulate import Chunk
from mdbench.md.state import HostState, Run, initial_state
from mdbench.potentials.base import FloatArray

#: Most frames of a chunk, and most bytes that they take.
_CHUNK_FRAMES, _CHUNK_BYTES = 100, 2**25


@dataclass(frozen=True)
class Moved:
    """One run as another code has it after a step.

    Attributes:
        positions: (n_atoms, 3) Å, unwrapped.
        velocities: (n_atoms, 3) Å/fs.
        forces: (n_atoms, 3) eV/Å.
        energy: eV, potential.
        virial: (3, 3) eV.
        bath_energy: eV, what makes the conserved quantity of the total energy; NaN where the code
            does not know it.
    """

    positions: FloatArray
    velocities: FloatArray
    forces: FloatArray
    energy: float
    virial: FloatArray
    bath_energy: float


class Mover(Protocol):
    """A code that moves one run."""

    def now(self) -> Moved:
        """The run as it stands."""
        ...

    def heat(self) -> Moved:
        """One step of velocity Verlet."""
        ...

    def scale(self, factor: float) -> None:
        """Multiplies the velocities."""
        ...

    def step(self) -> Moved:
        """One step of the ensemble."""
        ...


#: Makes the mover of run s of a state that has not moved yet.
MakeMover = Callable[[HostState, int], Mover]


@dataclass(frozen=True)
class _Shown:
    """What the movers computed, as the arrays of an evaluator.

    Attributes:
        energies: (n_systems,) eV.
        forces: (n_atoms, 3) eV/Å.
        virials: (n_systems, 3, 3) eV.
    """

    energies: FloatArray
    forces: FloatArray
    virials: FloatArray


def simulate_foreign(
    make_mover: MakeMover,
    closest: Mapping[str, float],
    runs: Sequence[Run],
    settings: MDSettings,
    *,
    recording: Recording | None = None,
    chunk_frames: int | None = None,
) -> Iterator[Chunk]:
    """Frames of all runs as of `simulate`, one run after the other within each chunk.

    Velocities start as there, the ramp and the limits are the same; noise is the code's own. What
    such codes keep cannot be stored: snapshots are empty.

    Args:
        make_mover: Makes the code that moves a run.
        closest: Å, of the `ForceField`.
        runs: The simulations.
        settings: Ensemble, times, seed.
        recording: What is kept beside positions and energies.
        chunk_frames: Frames of a chunk.

    Raises:
        InputError: No runs, or what a code does not take.
    """
    state = initial_state(runs, settings)
    movers = [make_mover(state, s) for s in range(len(runs))]
    keep = recording or Recording()
    if chunk_frames is None:
        size = bytes_per_frame(len(state.masses), len(runs), keep)
        chunk_frames = max(1, min(_CHUNK_FRAMES, _CHUNK_BYTES // size))
    return _chunks(state, movers, settings, keep, chunk_frames, closest)


def _chunks(
    state: HostState,
    movers: Sequence[Mover],
    settings: MDSettings,
    recording: Recording,
    chunk_frames: int,
    closest: Mapping[str, float],
) -> Iterator[Chunk]:
    n_ramp, stride, n_systems = settings.n_ramp_steps, settings.stride, len(movers)
    shown = _Shown(np.zeros(n_systems), np.zeros_like(state.positions), np.zeros((n_systems, 3, 3)))
    moves, last = CpuMoves(state, settings, closest), n_ramp + settings.n_steps
    step, goes_on = 0, True
    for s, mover in enumerate(movers):
        _show(mover.now(), state, shown, s)
    _look(moves, shown)
    moves.look_at_pairs()
    while step < last and goes_on:  # once also where all have ended, to say why
        buffer = FrameBuffer(state, shown, recording, chunk_frames)
        end = min(step + chunk_frames * stride, last)
        for done in range(step, end):
            heats = done < n_ramp
            if not heats and (done - n_ramp) % stride == 0:
                buffer.record(done - n_ramp)
            for s in np.flatnonzero(state.active).tolist():
                moved = movers[s].heat() if heats else movers[s].step()
                _show(moved, state, shown, s)
            state.steps[:] += 1
            _look(moves, shown)
            if heats:
                _scale(moves, movers)
            if (done + 1) % PAIR_INTERVAL == 0:
                moves.look_at_pairs()
        step, goes_on = end, bool(state.active.any())
        yield Chunk(
            frames=buffer.frames(state, settings),
            end_reasons=end_reasons(state, settings, closest),
            step=step,
            n_steps=last,
            snapshot={},
        )


def _show(moved: Moved, state: HostState, shown: _Shown, s: int) -> None:
    """Puts a run into the arrays of the batch."""
    atoms = slice(state.first_atom[s], state.first_atom[s + 1])
    state.positions[atoms] = moved.positions
    state.momenta[atoms] = state.masses[atoms, None] * moved.velocities
    state.bath_energies[s] = moved.bath_energy
    shown.energies[s], shown.forces[atoms], shown.virials[s] = (
        moved.energy,
        moved.forces,
        moved.virial,
    )


def _look(moves: CpuMoves, shown: _Shown) -> None:
    """Kinetic energies, and which runs are beyond limits."""
    evaluator: Any = shown
    moves.look(evaluator)


def _scale(moves: CpuMoves, movers: Sequence[Mover]) -> None:
    """The ramp's scaling of velocities, here and in the codes."""
    state = moves.state
    before = state.kinetic_energies.copy()
    moves.ramp()
    for s in np.flatnonzero(state.active).tolist():
        movers[s].scale(float(np.sqrt(state.kinetic_energies[s] / before[s])))
