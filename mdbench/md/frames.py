"""Frames of the runs of a batch, and where they are kept until they are handed over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mdbench.md.limits import end_reason
from mdbench.md.settings import MDSettings
from mdbench.md.state import HostState, State
from mdbench.potentials.base import FloatArray, IntArray
from mdbench.units import BOLTZMANN_EV_PER_K, FS_IN_PS


@dataclass(frozen=True)
class Frames:
    """Consecutive frames of one run.

    Attributes:
        steps: (n_frames,) steps since the start of the production.
        times_ps: (n_frames,) ps, on the same clock.
        positions: (n_frames, n_atoms, 3) Å, unwrapped.
        potential_energies: (n_frames,) eV.
        kinetic_energies: (n_frames,) eV.
        temperatures_k: (n_frames,) K, kinetic.
        conserved_energies: (n_frames,) eV, the conserved quantity of the ensemble.
        pressures: (n_frames,) eV/Å³, from the virial and the momenta.
        velocities: (n_frames, n_atoms, 3) Å/fs.
        forces: (n_frames, n_atoms, 3) eV/Å.
        stresses: (n_frames, 3, 3) eV/Å³ of the potential alone, positive under tension.
    """

    steps: IntArray
    times_ps: FloatArray
    positions: FloatArray
    potential_energies: FloatArray
    kinetic_energies: FloatArray
    temperatures_k: FloatArray
    conserved_energies: FloatArray
    pressures: FloatArray
    velocities: FloatArray | None
    forces: FloatArray | None
    stresses: FloatArray | None


@dataclass(frozen=True)
class Recording:
    """What is kept of every frame beside positions and energies.

    Attributes:
        velocities: Keep them.
        forces: Keep them.
        stresses: Keep them.
    """

    velocities: bool = False
    forces: bool = False
    stresses: bool = False


class FrameBuffer:
    """Frames of all systems, on the device of the state, until `frames` hands them over.

    Args:
        state: The state that is recorded.
        evaluator: Its evaluator, after a first evaluation.
        recording: What to keep.
        n_frames: Most frames.
    """

    def __init__(
        self, state: State[Any], evaluator: Any, recording: Recording, n_frames: int
    ) -> None:
        self._recording = recording
        self._steps: list[int] = []
        self._sources = [state.positions, state.kinetic_energies, state.bath_energies]
        self._sources += [evaluator.energies, evaluator.virials]
        self._sources += [state.momenta] if recording.velocities else []
        self._sources += [evaluator.forces] if recording.forces else []
        self._kept = [_empty(source, n_frames) for source in self._sources]

    def record(self, step: int) -> None:
        """Keeps a frame of this step of the production."""
        place = len(self._steps)
        for kept, source in zip(self._kept, self._sources, strict=True):
            kept[place] = source
        self._steps.append(step)

    def frames(self, state: HostState, settings: MDSettings) -> tuple[Frames, ...]:
        """The frames of each system, those before its end only."""
        steps = np.array(self._steps, dtype=np.int64)
        n_kept = len(steps)
        kept = [_on_host(array[:n_kept]) for array in self._kept]
        positions, kinetic, bath, potential, virials = kept[:5]
        momenta = kept[5] if self._recording.velocities else None
        forces = kept[-1] if self._recording.forces else None
        volumes = np.abs(np.linalg.det(state.cells))
        found = []
        for s in range(len(state.cells)):
            n = n_kept
            if not state.active[s]:
                n = int(np.searchsorted(steps, state.end_steps[s] - settings.n_ramp_steps))
            atoms = slice(state.first_atom[s], state.first_atom[s + 1])
            twice = 2.0 * kinetic[:n, s]
            trace = np.trace(virials[:n, s], axis1=1, axis2=2)
            found.append(
                Frames(
                    steps=steps[:n],
                    times_ps=np.asarray(steps[:n] * (settings.timestep_fs * FS_IN_PS)),
                    positions=positions[:n, atoms],
                    potential_energies=potential[:n, s],
                    kinetic_energies=kinetic[:n, s],
                    temperatures_k=twice / (state.degrees_of_freedom[s] * BOLTZMANN_EV_PER_K),
                    conserved_energies=potential[:n, s] + kinetic[:n, s] + bath[:n, s],
                    pressures=(twice + trace) / (3.0 * volumes[s]),
                    velocities=None
                    if momenta is None
                    else momenta[:n, atoms] / state.masses[atoms, None],
                    forces=None if forces is None else forces[:n, atoms],
                    stresses=-virials[:n, s] / volumes[s] if self._recording.stresses else None,
                )
            )
        return tuple(found)


def bytes_per_frame(n_atoms: int, n_systems: int, recording: Recording) -> int:
    """Bytes that a frame of a whole batch takes."""
    return 8 * (3 * n_atoms * (1 + recording.velocities + recording.forces) + 12 * n_systems)


def end_reasons(
    state: HostState, settings: MDSettings, closest: Mapping[str, float]
) -> tuple[str | None, ...]:
    """Why each system was retired; None for those that go on.

    Args:
        state: Of the batch.
        settings: Of the simulation.
        closest: Å, of the `ForceField`.
    """
    return tuple(
        None
        if state.active[s]
        else end_reason(
            int(state.end_codes[s]),
            int(state.end_steps[s]),
            float(state.end_values[s]),
            state.end_atoms[s],
            state.atomic_numbers[state.first_atom[s] : state.first_atom[s + 1]],
            float(state.temperatures_k[s]),
            settings.timestep_fs,
            settings.n_ramp_steps,
            closest,
        )
        for s in range(len(state.active))
    )


def _empty(source: Any, n_frames: int) -> Any:
    shape = (n_frames, *source.shape)
    if isinstance(source, np.ndarray):
        return np.empty(shape, dtype=source.dtype)
    return source.new_empty(shape)


def _on_host(array: Any) -> NDArray[Any]:
    if not isinstance(array, np.ndarray):
        array = array.cpu().numpy()
    return np.asarray(array, dtype=np.float64)
