"""Molecular dynamics of many runs: batched, over threads, resumable, each run to its own file."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from threading import Event
from typing import Any, Literal

import numpy as np

from mdbench.analysis.mobile import mobile_species
from mdbench.config import DynamicsConfig
from mdbench.errors import InputError
from mdbench.md.frames import Recording, end_reasons
from mdbench.md.limits import known_pairs
from mdbench.md.settings import MDSettings
from mdbench.md.simulate import Chunk, simulate, split
from mdbench.md.snapshots import Snapshot, join_snapshots, restored_state, split_snapshot
from mdbench.md.state import Run, initial_state
from mdbench.potentials.base import ForceField
from mdbench.potentials.materials import Material
from mdbench.stages.journal import Journal, record_type
from mdbench.store import Dataset, Input, TrajectoryFile, TrajectoryWriter, check_output
from mdbench.trajectory import Provenance, Trajectory
from mdbench.units import FS_IN_PS, PS_IN_NS, SECONDS_PER_DAY
from mdbench.version import __version__

Progress = Callable[[float, str], None]
#: Chunks of a simulation: ours, or that of another engine.
Engine = Callable[..., Iterator[Chunk]]
#: Runs that all end before their production: bad input, so where no step was taken (the structure
#: or the force field is broken), or a result of the force field, from a start known to be sound.
Stillborn = Literal["refused", "refused at once", "kept"]

_OBSERVABLES = {
    "kinetic_energy": "eV",
    "temperature": "K",
    "conserved_energy": "eV",
    "pressure": "eV Angstrom-3",
}


@dataclass(frozen=True)
class Job:
    """One run that is asked for, and where its trajectory goes.

    Attributes:
        material: The structure that it starts from.
        temperature_k: K.
        replica: Number of the replica.
        target: The trajectory.
        label: Name of the source, as tables show it.
    """

    material: Material
    temperature_k: float
    replica: int
    target: Path
    label: str

    @property
    def run(self) -> Run:
        """What the engine takes."""
        m = self.material
        return Run(m.name, m.atomic_numbers, m.positions, m.cell, self.temperature_k, self.replica)


@dataclass(frozen=True)
class Made:
    """What became of a job.

    Attributes:
        job: The job.
        n_frames: Frames of the trajectory.
        end_reason: Why it ended early.
        how: `made`, `resumed` or `already done`.
    """

    job: Job
    n_frames: int
    end_reason: str | None
    how: str


@dataclass
class DynamicsReport:
    """What became of all jobs, ready to be printed."""

    made: list[Made] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """One JSON document."""
        return {
            "runs": [
                {
                    "file": str(m.job.target),
                    "material": m.job.material.name,
                    "temperature_k": m.job.temperature_k,
                    "replica": m.job.replica,
                    "n_frames": m.n_frames,
                    "end_reason": m.end_reason,
                    "state": m.how,
                }
                for m in self.made
            ]
        }

    def as_text(self) -> str:
        """One line for the runs of each material and temperature."""
        lines = []
        for (name, t), group in groupby(
            self.made, key=lambda m: (m.job.material.name, m.job.temperature_k)
        ):
            members = list(group)
            frames = sum(m.n_frames for m in members)
            ended = [m.end_reason for m in members if m.end_reason]
            how = ", ".join(dict.fromkeys(m.how for m in members))
            line = f"{name}, {t:g} K: {len(members)} run(s), {frames} frames, {how}"
            lines += [line, *(f"  ended early: {reason}" for reason in ended)]
        return "\n".join(lines)


def arguments(text: str | None) -> dict[str, str]:
    """The arguments in `key=value,key=value`."""
    found = {}
    for part in (text or "").split(","):
        key, equals, value = part.partition("=")
        if not part.strip():
            continue
        if not equals or not key.strip():
            raise InputError("--calculator-args", expected="key=value,…", found=repr(text))
        found[key.strip()] = value.strip()
    return found


def md_settings(config: DynamicsConfig) -> MDSettings:
    """The engine's settings of a stage's."""
    return MDSettings(
        ensemble=config.ensemble,
        timestep_fs=config.timestep_fs,
        ramp_ps=config.heating_ps,
        production_ps=config.ps,
        stride=config.stride,
        damping_fs=config.damping_fs,
        seed=config.seed,
    )


def run_jobs(
    force_field: ForceField,
    jobs: Sequence[Job],
    config: DynamicsConfig,
    recording: Recording,
    *,
    engine: Engine = simulate,
    threads: int | None = None,
    force: bool = False,
    update: bool = False,
    stillborn: Stillborn = "refused at once",
    progress: Progress | None = None,
) -> DynamicsReport:
    """Runs what is not done yet; goes on with what was begun.

    Args:
        force_field: What moves the atoms.
        jobs: The runs.
        config: Times, ensemble, seed.
        recording: What is kept of each frame beside positions and energies.
        engine: `simulate`, or another one's loop with the same signature; only ours resumes.
        threads: Threads that share the runs; by default as many as there are cores.
        force: Make everything anew.
        update: Make anew what was made with other settings, and what cannot be gone on with.
        stillborn: What runs are that all end before their production.
        progress: Called with the share done and the speed.
    """
    settings = md_settings(config)
    _check_targets(jobs)
    tasks, report = [], DynamicsReport()
    for job in jobs:
        task = _Task(job, force_field, settings, recording, engine, float64=config.float64)
        known = None if force else task.finished(update=update)
        if known is not None:
            report.made.append(known)
            continue
        task.prepare(resume=engine is simulate and not force, update=update)
        tasks.append(task)
    if tasks:
        _Crew(force_field, tasks, settings, recording, engine, progress).work(threads)
        _finish_stillborn(tasks, stillborn)
    report.made += [task.made for task in tasks]
    order = {job.target: place for place, job in enumerate(jobs)}
    report.made.sort(key=lambda made: order[made.job.target])
    if "synthetic" in force_field.label:
        report.notes.append(f"synthetic data: {force_field.label}")
    return report


class _Task:
    """One run on its way: its journal, and what it goes on from."""

    def __init__(
        self,
        job: Job,
        force_field: ForceField,
        settings: MDSettings,
        recording: Recording,
        engine: Engine,
        *,
        float64: bool,
    ) -> None:
        self.job, self.run = job, job.run
        self.snapshot: Snapshot | None = None
        self.end_reason: str | None = None
        self.n_frames: int | None = None
        self.float64, self._settings, self._force_field = float64, settings, force_field
        self._structure = _structure_hash(job.material)
        self.config: dict[str, Any] = {
            "material": job.material.name,
            "structure": self._structure,
            "force_field": force_field.label,
            "temperature_k": job.temperature_k,
            "replica": job.replica,
            "ps": settings.production_ps,
            "engine": settings.stamp(),
            "moved_by": engine.__name__,
            "recording": vars(recording),
            "float64": float64,
        }
        if closest := known_pairs(force_field.closest, job.material.atomic_numbers):
            self.config["closest"] = closest
        record = record_type(len(job.material.atomic_numbers), recording, float64=float64)
        self.journal = Journal(job.target, record, self.config)
        self._how = "made"

    def finished(self, *, update: bool) -> Made | None:
        """What is there already; what was made with other settings is refused, or to be updated."""
        if not self.job.target.exists():
            return None
        with TrajectoryFile(self.job.target) as file:
            if file.config != self.config:
                if update:
                    return None
                every = {**self.config, **file.config}
                names = [n for n in every if file.config.get(n) != self.config.get(n)]
                raise InputError(
                    "made with other settings",
                    where=self.job.target,
                    expected="the same " + ", ".join(names or ["settings"]),
                    remedy="--update makes it anew, another --run keeps both",
                )
            known = Made(self.job, file.n_frames, file.provenance.end_reason, "already done")
        self.journal.discard()  # it was killed between the trajectory and this
        return known

    def prepare(self, *, resume: bool, update: bool) -> None:
        """Takes up what was begun; what cannot be written is refused before any work."""
        check_output(self.job.target, force=True)
        try:
            self.snapshot = self.journal.resume() if resume else None
        except InputError:
            if not update:
                raise
        if self.snapshot is not None:
            start = initial_state([self.run], self._settings)
            state = restored_state(self.snapshot, start, self._settings)
            (self.end_reason,) = end_reasons(state, self._settings, self._force_field.closest)
            self._how = "resumed"

    @property
    def has_frames(self) -> bool:
        """Whether the production has begun."""
        return self.journal.n_frames > 0

    @property
    def ended_at_once(self) -> bool:
        """Whether no step was taken."""
        first = "0 ps into the ramp" if self._settings.n_ramp_steps else "at 0 ps"
        return f" {first} " in f"{self.end_reason} "

    @property
    def step(self) -> int:
        """Steps done, the ramp included."""
        return 0 if self.snapshot is None else int(self.snapshot["state.steps"][0])

    def finish(self) -> None:
        """Makes the trajectory of the journal."""
        job = self.job
        source = Input(job.material.name, "structure", self._structure)
        unknown: set[str] = set()
        with TrajectoryWriter(
            job.target, config=self.config, inputs=[source], float64=self.float64
        ) as writer:
            for block in self.journal.blocks():
                if not writer.n_frames and np.isnan(block["pressure"]).all():
                    unknown = {"pressure", "stress"}
                writer.append(
                    self._trajectory(block, without=unknown),
                    steps=block["step"],
                    observables={
                        name: Dataset(block[name], unit, ("frame",))
                        for name, unit in _OBSERVABLES.items()
                        if name not in unknown
                    },
                )
            if not writer.n_frames:  # it ended in the ramp: where it started is all there is
                writer.append(
                    Trajectory(
                        positions=job.material.positions[None],
                        cells=job.material.cell,
                        atomic_numbers=job.material.atomic_numbers,
                        times_ps=np.zeros(1),
                    )
                )
            writer.finish(self._provenance())
            self.n_frames = writer.n_frames
        self.journal.discard()

    @property
    def made(self) -> Made:
        """What became of the job."""
        return Made(self.job, self.n_frames or 0, self.end_reason, self._how)

    def _trajectory(self, block: Any, *, without: set[str]) -> Trajectory:
        names = set(block.dtype.names) - without
        return Trajectory(
            positions=block["position"],
            cells=self.job.material.cell,
            atomic_numbers=self.job.material.atomic_numbers,
            times_ps=block["time"],
            energies=block["potential_energy"],
            forces=block["forces"] if "forces" in names else None,
            velocities=block["velocity"] if "velocity" in names else None,
            stresses=block["stress"] if "stress" in names else None,
        )

    def _provenance(self) -> Provenance:
        job, settings = self.job, self._settings
        thermostat = settings.ensemble
        if settings.ensemble != "nve":
            thermostat += f", {settings.damping:g} fs"
        return Provenance(
            material=job.material.name,
            temperature_k=job.temperature_k,
            timestep_fs=settings.timestep_fs,
            mobile=mobile_species(job.material.atomic_numbers),
            label=job.label,
            potential=self._force_field.label,
            thermostat=thermostat,
            code=f"mdbench {__version__}",
            replica=job.replica,
            seed=settings.seed,
            end_reason=self.end_reason,
            unwrapped_by="as stored",
        )


class _Crew:
    """Threads that share the tasks. Each runs a batch of its own and writes its own files."""

    def __init__(
        self,
        force_field: ForceField,
        tasks: Sequence[_Task],
        settings: MDSettings,
        recording: Recording,
        engine: Engine,
        progress: Progress | None,
    ) -> None:
        self._force_field, self._tasks = force_field, tasks
        self._settings, self._recording = settings, recording
        self._engine, self._progress = engine, progress
        self._stop = Event()
        self._done: dict[int, int] = {}
        self._began, self._at_start = time.monotonic(), sum(task.step for task in tasks)

    def work(self, threads: int | None) -> None:
        """Runs all tasks to their end, or until one fails."""
        n_threads = threads or len(os.sched_getaffinity(0))
        batches = list(_batches(self._tasks, n_threads))
        self._done = {n: sum(task.step for task in batch) for n, batch in enumerate(batches)}
        streams = [self._chunks(batch) for batch in batches]  # refuses atoms before any work
        with ThreadPoolExecutor(min(n_threads, len(batches))) as pool:
            futures = [
                pool.submit(self._run, number, batch, chunks)
                for number, (batch, chunks) in enumerate(zip(batches, streams, strict=True))
            ]
            try:
                pending = set(futures)
                while pending:
                    done, pending = wait(pending, timeout=0.5, return_when=FIRST_EXCEPTION)
                    for future in done:
                        future.result()
                    self._report()
            finally:
                self._stop.set()  # what was begun stays in the journals

    def _chunks(self, batch: Sequence[_Task]) -> Iterator[Chunk]:
        snapshots = [task.snapshot for task in batch if task.snapshot is not None]
        start = {"snapshot": join_snapshots(snapshots)} if snapshots else {}
        return self._engine(
            self._force_field,
            [task.run for task in batch],
            self._settings,
            recording=self._recording,
            **start,
        )

    def _run(self, number: int, batch: Sequence[_Task], chunks: Iterator[Chunk]) -> None:
        if self._stop.is_set():
            return
        for chunk in chunks:
            pieces = split_snapshot(chunk.snapshot) if chunk.snapshot else [{}] * len(batch)
            for task, frames, reason, piece in zip(
                batch, chunk.frames, chunk.end_reasons, pieces, strict=True
            ):
                task.journal.append(frames, piece)
                task.end_reason = reason
            self._done[number] = chunk.step * len(batch)
            if self._stop.is_set():
                return
        for task in batch:
            if task.has_frames:
                task.finish()

    def _report(self) -> None:
        if self._progress is None:
            return
        done = sum(self._done.values())
        total = len(self._tasks) * (self._settings.n_ramp_steps + self._settings.n_steps)
        speed = (done - self._at_start) / max(time.monotonic() - self._began, 1e-9)
        ns = speed * self._settings.timestep_fs * FS_IN_PS * PS_IN_NS * SECONDS_PER_DAY
        self._progress(done / total, f"{speed:,.0f} steps/s, {max(ns, 0):,.0f} ns/day")


def _batches(tasks: Sequence[_Task], n_threads: int) -> Iterable[list[_Task]]:
    """Tasks that run together: from the same step, split over the threads."""
    for _, group in groupby(sorted(tasks, key=lambda task: task.step), key=lambda task: task.step):
        members = list(group)
        for part in split([task.run for task in members], n_threads):
            yield [members[i] for i in part]


def _finish_stillborn(tasks: Sequence[_Task], kind: Stillborn) -> None:
    """Finishes runs that ended before their production; may refuse where none did better."""
    ended = [task for task in tasks if task.n_frames is None]
    at_once = all(task.ended_at_once for task in ended)
    refuse = kind == "refused" or (kind == "refused at once" and at_once)
    if ended and len(ended) == len(tasks) and refuse:
        for task in ended:
            task.journal.discard()
        raise InputError(
            "every run ended before its production",
            where=ended[0].job.target,
            found=ended[0].end_reason,
            remedy=("" if at_once else "a smaller --timestep-fs, ")
            + "another structure, or is the force field broken?",
        )
    for task in ended:
        task.finish()


def _check_targets(jobs: Sequence[Job]) -> None:
    """Refuses jobs of one name: a material or temperature twice, structure files named alike."""
    known: set[Path] = set()
    for job in jobs:
        if job.target in known:
            raise InputError(
                "two runs of one name",
                where=job.target,
                remedy="give each material and temperature once; structure files need own names",
            )
        known.add(job.target)


def _structure_hash(material: Material) -> str:
    digest = hashlib.sha256()
    for array in (material.atomic_numbers, material.positions, material.cell):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
