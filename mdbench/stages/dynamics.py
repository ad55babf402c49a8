"""Molecular dynamics of many runs: batched, over cores, resumable, each run to its own file."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

from mdbench.config import DynamicsConfig
from mdbench.errors import InputError
from mdbench.md.frames import Recording
from mdbench.md.settings import MDSettings
from mdbench.md.simulate import simulate
from mdbench.potentials.base import ForceField
from mdbench.stages.cost import Cost, expected_cost, speed_text
from mdbench.stages.crew import Crew, Engine, Simulation, Threads, batches_of, share
from mdbench.stages.crew_processes import Processes, recipe_of
from mdbench.stages.run_task import Job, Made, RunTask

Progress = Callable[[float, str], None]
#: Is told what runs will cost, before they start.
Announce = Callable[[Cost], None]
#: Makes a force field once more, as processes that it cannot travel to need it.
Remake = Callable[[], ForceField]
#: Runs that all end before their production: bad input, so where no step was taken (the structure
#: or the force field is broken), or a result of the force field, from a start known to be sound.
Stillborn = Literal["refused", "refused at once", "kept"]


@dataclass
class DynamicsReport:
    """What became of all jobs, ready to be printed.

    Attributes:
        made: Of each job.
        notes: What the user should know.
        cost: As it was expected before; None where nobody asked, or nothing was to be done.
    """

    made: list[Made] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    cost: Cost | None = None

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
            ],
            "cost": None if self.cost is None else self.cost.as_json(),
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
    remake: Remake | None = None,
    announce: Announce | None = None,
) -> DynamicsReport:
    """Runs what is not done yet; goes on with what was begun.

    Args:
        force_field: What moves the atoms.
        jobs: The runs.
        config: Times, ensemble, seed.
        recording: What is kept of each frame beside positions and energies.
        engine: `simulate`, or another one's loop with the same signature; only ours resumes.
        threads: Threads that share the runs, or processes where threads would take turns and the
            runs take long enough; by default as many as there are cores.
        force: Make everything anew.
        update: Make anew what was made with other settings, and what cannot be gone on with.
        stillborn: What runs are that all end before their production.
        progress: Called with the share done and the speed.
        remake: Makes the force field in another process, if it cannot travel there.
        announce: Called with the cost, measured on a few steps, before the first run starts.
    """
    settings = md_settings(config)
    _check_targets(jobs)
    report = DynamicsReport()
    with ExitStack() as claims:
        tasks = []
        for job in jobs:
            task = RunTask(
                job, force_field, settings, recording, engine.__name__, float64=config.float64
            )
            known = None if force else task.finished(update=update)
            if known is not None:
                report.made.append(known)
                continue
            claims.enter_context(task.claimed())
            task.prepare(resume=engine is simulate and not force, update=update)
            tasks.append(task)
        if tasks:
            simulation = Simulation(force_field, settings, recording, engine)
            n_workers = threads or len(os.sched_getaffinity(0))
            batches = batches_of(tasks, n_workers)
            n_workers = min(n_workers, len(batches))
            crew, report.cost = _hired(simulation, batches, n_workers, remake, announce)
            share(crew, batches, _watch(tasks, settings, progress))
            _finish_stillborn(tasks, stillborn)
    report.made += [task.made for task in tasks]
    order = {job.target: place for place, job in enumerate(jobs)}
    report.made.sort(key=lambda made: order[made.job.target])
    if "synthetic" in force_field.label:
        report.notes.append(f"synthetic data: {force_field.label}")
    return report


def _hired(
    simulation: Simulation,
    batches: Sequence[Sequence[RunTask]],
    n_workers: int,
    remake: Remake | None,
    announce: Announce | None,
) -> tuple[Crew, Cost | None]:
    """Workers of the kind that is done sooner, and the cost where that had to be known."""
    recipe = recipe_of(simulation, remake) if n_workers > 1 else None
    cost = None
    if announce is not None or recipe is not None:
        cost = expected_cost(simulation, batches, n_workers, can_spawn=recipe is not None)
        if announce is not None:
            announce(cost)
    if recipe is not None and cost is not None and cost.kind == "processes":
        simulation.check(batches)
        return Processes(recipe, batches, n_workers), cost
    return Threads(simulation, batches, n_workers), cost


def _watch(
    tasks: Sequence[RunTask], settings: MDSettings, progress: Progress | None
) -> Callable[[int], None]:
    """Reports the share done, and the speed since now, of so many steps done by all runs."""
    began, at_start = time.monotonic(), sum(task.step for task in tasks)
    total = len(tasks) * (settings.n_ramp_steps + settings.n_steps)

    def watch(done: int) -> None:
        if progress is not None:
            speed = (done - at_start) / max(time.monotonic() - began, 1e-9)
            progress(done / total, speed_text(max(speed, 0.0), settings.timestep_fs))

    return watch


def _finish_stillborn(tasks: Sequence[RunTask], kind: Stillborn) -> None:
    """Finishes runs that ended before their production; may refuse where none did better."""
    ended = [task for task in tasks if task.outcome.n_frames is None]
    at_once = all(task.ended_at_once for task in ended)
    refuse = kind == "refused" or (kind == "refused at once" and at_once)
    if ended and len(ended) == len(tasks) and refuse:
        for task in ended:
            task.journal.discard()
        raise InputError(
            "every run ended before its production",
            where=ended[0].job.target,
            found=ended[0].outcome.end_reason,
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
