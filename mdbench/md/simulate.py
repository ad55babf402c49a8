"""Simulations of a batch of runs, chunk after chunk of frames."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mdbench.collector import leaving_old_objects
from mdbench.md.frames import FrameBuffer, Frames, Recording, bytes_per_frame, end_reasons
from mdbench.md.integrators import STEPS, Moves, ramp_step
from mdbench.md.limits import PAIR_INTERVAL
from mdbench.md.settings import MDSettings
from mdbench.md.snapshots import Snapshot, evaluator_state, restored_state, take_snapshot
from mdbench.md.state import HostState, Run, copy, initial_state, systems
from mdbench.potentials.base import ForceField, on_host

#: Most frames of a chunk, and most bytes that they take.
_CHUNK_FRAMES, _CHUNK_BYTES = 500, 2**25
#: And longest time that it takes, s: what a kill loses, and how long an interruption waits.
_CHUNK_S = 15.0
#: Most steps whose time is taken, and after which time there are no more, s. Where one evaluation
#: takes longer than this last time, it is measure enough.
_TIMED_STEPS, _TIMED_S, _SLOW_S = 20, 0.5, 10.0


@dataclass(frozen=True)
class Chunk:
    """What happened since the last chunk.

    Attributes:
        frames: Of each run; none during the ramp and after a run's end.
        end_reasons: Why each run was retired; None for those that go on.
        step: Steps done, the ramp included.
        n_steps: Steps of the whole simulation, the ramp included.
        snapshot: From which `simulate` goes on after this chunk.
    """

    frames: tuple[Frames, ...]
    end_reasons: tuple[str | None, ...]
    step: int
    n_steps: int
    snapshot: Snapshot


def simulate(
    force_field: ForceField,
    runs: Sequence[Run],
    settings: MDSettings,
    *,
    recording: Recording | None = None,
    snapshot: Snapshot | None = None,
    chunk_frames: int | None = None,
) -> Iterator[Chunk]:
    """Frames of all runs, by the protocol: ramp, then production.

    Runs do not depend on each other: the batch may be split in any way. A run that is retired
    keeps its frames before that; the others go on. The arrays of a chunk belong to the caller.

    Args:
        force_field: What moves the atoms; its evaluator decides on which device.
        runs: The simulations.
        settings: Ensemble, times, seed.
        recording: What is kept beside positions and energies.
        snapshot: That of a chunk, to go on after it.
        chunk_frames: Frames of a chunk at most; by default 500 or 32 MiB. A chunk also ends when it
            has taken 15 s. Results do not depend on where chunks end.

    Raises:
        InputError: No runs, an unknown element, a snapshot of other runs or settings.
    """
    start = initial_state(runs, settings)
    evaluator = force_field.evaluator(systems(start))
    if snapshot is None:
        state = start
    else:
        state = restored_state(snapshot, start, settings)
        evaluator.restore(evaluator_state(snapshot))
    keep = recording or Recording()
    if chunk_frames is None:
        size = bytes_per_frame(len(state.masses), len(runs), keep)
        chunk_frames = max(1, min(_CHUNK_FRAMES, _CHUNK_BYTES // size))
    return _chunks(
        state,
        evaluator,
        settings,
        keep,
        chunk_frames,
        force_field.closest,
        fresh=snapshot is None,
    )


def seconds_per_step(
    force_field: ForceField,
    runs: Sequence[Run],
    settings: MDSettings,
    *,
    snapshot: Snapshot | None = None,
) -> float:
    """Wall time of a step of the whole batch, s, from a few that nothing is kept of.

    The first evaluation does not count: it compiles, and builds neighbor lists.

    Args:
        force_field: What moves the atoms.
        runs: The simulations.
        settings: Ensemble, times, seed.
        snapshot: From which they are to go on.

    Raises:
        InputError: As `simulate`.
    """
    start = initial_state(runs, settings)
    state = start if snapshot is None else restored_state(snapshot, start, settings)
    evaluator = force_field.evaluator(systems(state))
    moves = moves_of(copy(state), settings, evaluator.forces, force_field.closest)
    move, n_steps = STEPS[settings.ensemble], 0
    began = time.perf_counter()
    evaluator.evaluate(moves.state.positions, moves.state.active)
    first_s = time.perf_counter() - began
    if first_s > _SLOW_S:
        return first_s
    move(moves, _Still(evaluator))
    began = time.perf_counter()
    while n_steps < _TIMED_STEPS and (not n_steps or time.perf_counter() - began < _TIMED_S):
        move(moves, evaluator)
        n_steps += 1
    on_host(evaluator.energies)  # a GPU has come to the end
    return (time.perf_counter() - began) / n_steps


class _Still:
    """An evaluator that leaves the results of another one as they are: moves alone are compiled."""

    def __init__(self, evaluator: Any) -> None:
        self.energies, self.forces = evaluator.energies, evaluator.forces

    def evaluate(self, positions: Any, active: Any) -> None:
        """Does nothing."""


def split(runs: Sequence[Run], n_parts: int) -> list[list[int]]:
    """Indices of the runs for that many batches with about as many atoms each.

    For threads or processes of their own: results do not depend on it. Largest runs first, each to
    the batch that has the fewest atoms; no batch is empty.
    """
    parts: list[list[int]] = [[] for _ in range(min(n_parts, len(runs)))]
    loads = [0] * len(parts)
    sizes = [len(run.atomic_numbers) for run in runs]
    for index in sorted(range(len(runs)), key=lambda i: -sizes[i]):
        least = loads.index(min(loads))
        parts[least].append(index)
        loads[least] += sizes[index]
    return [sorted(part) for part in parts]


def moves_of(
    state: HostState, settings: MDSettings, like: Any, closest: Mapping[str, float]
) -> Moves:
    """The moves on the device where the forces are.

    Args:
        state: Which the moves own from now on.
        settings: Of the simulation.
        like: An array of the evaluator.
        closest: Å, of the `ForceField`.
    """
    if isinstance(like, np.ndarray):
        from mdbench.md.kernels import CpuMoves

        return CpuMoves(state, settings, closest)
    from mdbench.md.kernels_torch import TorchMoves

    return TorchMoves(state, settings, like.device, closest)


def _chunks(
    start: HostState,
    evaluator: Any,
    settings: MDSettings,
    recording: Recording,
    chunk_frames: int,
    closest: Mapping[str, float],
    *,
    fresh: bool,
) -> Iterator[Chunk]:
    moves = moves_of(copy(start), settings, evaluator.forces, closest)
    evaluator.evaluate(moves.state.positions, moves.state.active)
    if fresh:
        moves.look(evaluator)
        moves.look_at_pairs()
    n_ramp, stride = settings.n_ramp_steps, settings.stride
    move, last = STEPS[settings.ensemble], n_ramp + settings.n_steps
    step, state = int(start.steps[0]), start
    while step < last and state.active.any():
        buffer = FrameBuffer(moves.state, evaluator, recording, chunk_frames)
        end = min(step + chunk_frames * stride, last)
        deadline = time.monotonic() + _CHUNK_S
        with leaving_old_objects():
            for done in range(step, end):
                if done < n_ramp:
                    ramp_step(moves, evaluator)
                else:
                    if (done - n_ramp) % stride == 0:
                        buffer.record(done - n_ramp)
                    move(moves, evaluator)
                if (done + 1) % PAIR_INTERVAL == 0:
                    moves.look_at_pairs()
                if time.monotonic() > deadline:
                    end = done + 1
                    break
        step, state = end, moves.on_host()
        yield Chunk(
            frames=buffer.frames(state, settings),
            end_reasons=end_reasons(state, settings, closest),
            step=step,
            n_steps=last,
            snapshot=take_snapshot(state, evaluator.state(), settings),
        )
