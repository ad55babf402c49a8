"""Threads or processes that share runs: each takes a batch, and writes the files of its runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, BrokenExecutor, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from threading import Event
from typing import Protocol

from mdbench.errors import InputError
from mdbench.md.frames import Recording
from mdbench.md.settings import MDSettings
from mdbench.md.simulate import Chunk, split
from mdbench.md.snapshots import Snapshot, join_snapshots, split_snapshot
from mdbench.md.state import initial_state, systems
from mdbench.potentials.base import ForceField
from mdbench.stages.run_task import Outcome, RunTask

#: Chunks of a simulation: ours, or that of another engine.
Engine = Callable[..., Iterator[Chunk]]


@dataclass(frozen=True)
class Simulation:
    """What all runs have in common.

    Attributes:
        force_field: What moves the atoms.
        settings: Times, ensemble, seed.
        recording: What is kept of each frame.
        engine: The loop.
    """

    force_field: ForceField
    settings: MDSettings
    recording: Recording
    engine: Engine

    def chunks(self, batch: Sequence[RunTask]) -> Iterator[Chunk]:
        """Chunks of runs that are at the same step.

        Raises:
            InputError: Atoms that the force field does not know: at once.
        """
        snapshot = snapshot_of(batch)
        start = {} if snapshot is None else {"snapshot": snapshot}
        return self.engine(
            self.force_field,
            [task.run for task in batch],
            self.settings,
            recording=self.recording,
            **start,
        )

    def check(self, batches: Sequence[Sequence[RunTask]]) -> None:
        """Refuses atoms that the force field does not know, before others begin to work.

        Raises:
            InputError: Such atoms.
        """
        materials = {t.job.material.name: t.run for batch in batches for t in batch}
        for run in materials.values():
            self.force_field.evaluator(systems(initial_state([run], self.settings)))


def snapshot_of(batch: Sequence[RunTask]) -> Snapshot | None:
    """What runs that are at the same step go on from; None from their start."""
    snapshots = [task.snapshot for task in batch if task.snapshot is not None]
    return join_snapshots(snapshots) if snapshots else None


def work_off(
    batch: Sequence[RunTask],
    chunks: Iterator[Chunk],
    note: Callable[[int], None],
    is_stopped: Callable[[], bool],
) -> list[Outcome]:
    """What becomes of the runs of a batch: journals, and trajectories where they get to the end.

    Args:
        batch: The runs.
        chunks: Of them.
        note: Called with the steps that the runs of the batch have done, all together.
        is_stopped: Whether to leave it there: what was begun stays in the journals.
    """
    if not is_stopped() and _is_moved(batch, chunks, note, is_stopped):
        for task in batch:
            if task.has_frames:
                task.finish()
    return [task.outcome for task in batch]


def _is_moved(
    batch: Sequence[RunTask],
    chunks: Iterator[Chunk],
    note: Callable[[int], None],
    is_stopped: Callable[[], bool],
) -> bool:
    """Whether the runs were moved to their end, and not stopped before."""
    for chunk in chunks:
        pieces = split_snapshot(chunk.snapshot) if chunk.snapshot else [{}] * len(batch)
        for task, frames, reason, piece in zip(
            batch, chunk.frames, chunk.end_reasons, pieces, strict=True
        ):
            task.journal.append(frames, piece)
            task.ends(reason)
        note(chunk.step * len(batch))
        if is_stopped():
            return False
    return True


def batches_of(tasks: Sequence[RunTask], n_workers: int) -> list[list[RunTask]]:
    """Tasks that run together: from the same step, split over the workers."""
    found: list[list[RunTask]] = []
    for _, group in groupby(sorted(tasks, key=lambda task: task.step), key=lambda task: task.step):
        members = list(group)
        parts = split([task.run for task in members], n_workers)
        found += [[members[i] for i in part] for part in parts]
    return found


class Crew(Protocol):
    """Workers that each take one batch after the other."""

    @property
    def done(self) -> Sequence[int]:
        """Steps that the runs of each batch have done."""
        ...

    def start(self, number: int) -> Future[list[Outcome]]:
        """What will have become of a batch."""
        ...

    def stop(self) -> None:
        """Waits until workers have come to the end of a chunk, and lets them go."""
        ...


class Threads:
    """Threads of this process, as kernels are content with that do not hold Python's lock.

    Args:
        simulation: What all runs have in common.
        batches: The runs.
        n_workers: How many threads.

    Raises:
        InputError: Atoms that the force field does not know.
    """

    def __init__(
        self, simulation: Simulation, batches: Sequence[Sequence[RunTask]], n_workers: int
    ) -> None:
        self.done = [sum(task.step for task in batch) for batch in batches]
        self._batches = batches
        self._chunks = [simulation.chunks(batch) for batch in batches]
        self._stopped = Event()
        self._pool = ThreadPoolExecutor(n_workers)

    def start(self, number: int) -> Future[list[Outcome]]:
        """What will have become of a batch."""
        return self._pool.submit(
            work_off,
            self._batches[number],
            self._chunks[number],
            partial(self.done.__setitem__, number),
            self._stopped.is_set,
        )

    def stop(self) -> None:
        """Waits until workers have come to the end of a chunk, and lets them go."""
        self._stopped.set()
        self._pool.shutdown()


def share(crew: Crew, batches: Sequence[Sequence[RunTask]], watch: Callable[[int], None]) -> None:
    """Runs all batches to their end, or until one fails; tasks then know what became of them.

    Args:
        crew: Workers.
        batches: The runs.
        watch: Called now and then with the steps done by all.

    Raises:
        InputError: As the first batch that fails raises it, or a process was killed.
    """
    try:
        started = {crew.start(number): batch for number, batch in enumerate(batches)}
        pending = set(started)
        while pending:
            done, pending = wait(pending, timeout=0.5, return_when=FIRST_EXCEPTION)
            for future in done:
                for task, outcome in zip(started[future], future.result(), strict=True):
                    task.outcome = outcome
            watch(sum(crew.done))
    except BrokenExecutor as error:
        raise InputError(
            "a process that made dynamics has ended without a word: killed, or out of memory",
            remedy="the same command goes on where it was; --threads 1 needs less memory",
        ) from error
    finally:
        crew.stop()
