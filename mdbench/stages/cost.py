"""What simulations will cost, measured before they start, and which workers are done sooner."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from mdbench.md.simulate import seconds_per_step
from mdbench.potentials.ase_force_field import AseForceField
from mdbench.stages.crew import Simulation, snapshot_of
from mdbench.stages.run_task import RunTask
from mdbench.units import (
    FS_IN_PS,
    HOUR_IN_S,
    MINUTE_IN_S,
    PS_IN_NS,
    S_IN_MS,
    SECONDS_PER_DAY,
)

Kind = Literal["threads", "processes"]
#: Until a process computes: it imports torch, s.
_START_S = 3.0
#: How much faster threads are than one where they hold Python's lock in turn: SchNet, two of them.
_GAIN_OF_TURNS = 1.3


@dataclass(frozen=True)
class Cost:
    """What all runs will cost.

    Attributes:
        n_runs: Runs that are not done yet.
        n_workers: That share them.
        kind: Of the workers.
        ms_per_step: One step of one run on one core, as part of its batch, ms.
        ns_per_day: Of all runs together, if none ends early.
        ns_per_day_per_run: The same of one of them.
        expected_s: Until all runs are done, s.
    """

    n_runs: int
    n_workers: int
    kind: Kind
    ms_per_step: float
    ns_per_day: float
    ns_per_day_per_run: float
    expected_s: float

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    def as_text(self) -> str:
        """One line."""
        kind = {"threads": "thread", "processes": "process"}[self.kind]
        workers = f"{self.n_workers} {self.kind}" if self.n_workers > 1 else f"one {kind}"
        each = f" ({_number(self.ns_per_day_per_run)} each)" if self.n_runs > 1 else ""
        return (
            f"{self.n_runs} run(s), about {_duration(self.expected_s)} in {workers}: "
            f"{self.ms_per_step:.3g} ms per step of a run, "
            f"{_number(self.ns_per_day)} ns/day{each}"
        )


def expected_cost(
    simulation: Simulation,
    batches: Sequence[Sequence[RunTask]],
    n_workers: int,
    *,
    can_spawn: bool,
) -> Cost:
    """What the batches will cost, from a few steps of the first one.

    Steps are taken with an evaluator of their own, so that they change nothing.

    Args:
        simulation: What all runs have in common.
        batches: The runs that are not done yet.
        n_workers: Threads or processes that share them.
        can_spawn: Whether processes may do it: they do where that is sooner.

    Raises:
        InputError: Atoms that the force field does not know.
    """
    first = list(batches[0])
    if isinstance(simulation.force_field, AseForceField):
        first = first[:1]  # its calculators are asked run by run
    batch_s = seconds_per_step(
        simulation.force_field,
        [task.run for task in first],
        simulation.settings,
        snapshot=snapshot_of(first),
    )
    atom_s = batch_s / sum(task.n_atoms for task in first)
    work = [sum(task.n_atoms * task.n_steps_left for task in batch) * atom_s for batch in batches]
    spread_s, threads_s = _longest(work, n_workers), sum(work) / _GAIN_OF_TURNS
    if n_workers == 1 or getattr(simulation.force_field, "releases_lock", False):
        threads_s = spread_s
    spawns = can_spawn and spread_s + _START_S < threads_s
    moving_s = spread_s if spawns else max(spread_s, threads_s)
    tasks = [task for batch in batches for task in batch]
    n_steps = max(sum(task.n_steps_left for task in tasks), 1)
    per_day = ns_per_day(n_steps / max(moving_s, 1e-9), simulation.settings.timestep_fs)
    return Cost(
        n_runs=len(tasks),
        n_workers=n_workers,
        kind="processes" if spawns else "threads",
        ms_per_step=sum(work) / n_steps * S_IN_MS,
        ns_per_day=per_day,
        ns_per_day_per_run=per_day / len(tasks),
        expected_s=moving_s + _START_S * spawns,
    )


def _longest(work: Sequence[float], n_workers: int) -> float:
    """Time until the last of some workers is done, each taking the next batch when it is free."""
    loads = [0.0] * n_workers
    for seconds in work:
        loads[loads.index(min(loads))] += seconds
    return max(loads)


def ns_per_day(steps_per_s: float, timestep_fs: float) -> float:
    """Simulated time per day, ns, of steps of one run after another."""
    return steps_per_s * timestep_fs * FS_IN_PS * PS_IN_NS * SECONDS_PER_DAY


def speed_text(steps_per_s: float, timestep_fs: float) -> str:
    """A speed in steps per second and ns per day."""
    return f"{_number(steps_per_s)} steps/s, {_number(ns_per_day(steps_per_s, timestep_fs))} ns/day"


def _number(x: float) -> str:
    """Whole, or two digits of a small one."""
    return f"{x:,.0f}" if x >= 10.0 else f"{x:.2g}"


def _duration(seconds: float) -> str:
    """A time in s, min or h, by two digits or more."""
    if seconds < 1.5 * MINUTE_IN_S:
        return f"{_number(seconds)} s"
    if seconds < 1.5 * HOUR_IN_S:
        return f"{_number(seconds / MINUTE_IN_S)} min"
    return f"{_number(seconds / HOUR_IN_S)} h"
