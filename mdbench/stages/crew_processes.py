"""Processes that share runs, for force fields that hold Python's lock: threads would take turns.

They are started anew ("spawn"), with one thread each. They end when whoever started them is gone,
however it ended, and leave journals that can be gone on with.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection
from threading import Thread
from typing import Any

from mdbench.errors import InputError
from mdbench.md.frames import Recording
from mdbench.md.settings import MDSettings
from mdbench.potentials.ase_force_field import AseForceField
from mdbench.potentials.base import ForceField
from mdbench.stages.crew import Engine, Simulation, work_off
from mdbench.stages.run_task import Outcome, RunTask

#: Engines that need nothing of the process that they were started from. LAMMPS does.
_ENGINES = ("mdbench.md.simulate", "mdbench.md.ase_engine")
#: Read by libraries when they are imported: threads of their own would spin on the same cores.
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Recipe:
    """What it takes to make a simulation in another process.

    Attributes:
        make: Makes the force field.
        label: That it must have then.
        settings: Times, ensemble, seed.
        recording: What is kept of each frame.
        engine: The loop.
    """

    make: Callable[[], ForceField]
    label: str
    settings: MDSettings
    recording: Recording
    engine: Engine

    @cached_property
    def simulation(self) -> Simulation:
        """The simulation, made once.

        Raises:
            InputError: The force field is not what it was.
        """
        force_field = self.make()
        if force_field.label != self.label:
            raise InputError(
                "the force field has changed", expected=self.label, found=force_field.label
            )
        return Simulation(force_field, self.settings, self.recording, self.engine)


def recipe_of(simulation: Simulation, remake: Callable[[], ForceField] | None) -> Recipe | None:
    """How other processes make the same simulation; None where it is to stay in this one.

    It stays where threads do as well, where a GPU does the work, and where nothing that travels
    makes the force field.

    Args:
        simulation: What all runs have in common.
        remake: Makes the force field once more, where it cannot travel itself.
    """
    force_field = simulation.force_field
    if getattr(force_field, "releases_lock", False) or _may_use_gpu(force_field):
        return None
    if simulation.engine.__module__ not in _ENGINES:
        return None
    make = remake
    with contextlib.suppress(pickle.PicklingError, TypeError, AttributeError):
        make = partial(pickle.loads, pickle.dumps(force_field))  # in memory, and our own
    if make is None:
        return None
    s = simulation
    return Recipe(make, force_field.label, s.settings, s.recording, s.engine)


def _may_use_gpu(force_field: ForceField) -> bool:
    device = getattr(force_field, "device", None)
    if device is not None:
        return str(device.type) != "cpu"
    torch = sys.modules.get("torch")  # calculators of ASE take a GPU where they find one
    is_calculator = isinstance(force_field, AseForceField)
    return is_calculator and torch is not None and bool(torch.cuda.is_available())


class Processes:
    """Processes that each take one batch after the other.

    Args:
        recipe: Of the simulation.
        batches: The runs.
        n_workers: How many processes.
    """

    def __init__(
        self, recipe: Recipe, batches: Sequence[Sequence[RunTask]], n_workers: int
    ) -> None:
        context = get_context("spawn")
        self._batches = batches
        self.done = context.RawArray("q", [sum(task.step for task in b) for b in batches])
        self._stopped = context.RawValue("b", 0)
        listens, self._lifeline = context.Pipe(duplex=False)
        self._pool = ProcessPoolExecutor(
            n_workers,
            mp_context=context,
            initializer=_enter,
            initargs=(_Post(recipe, self.done, self._stopped, listens),),
        )

    def start(self, number: int) -> Future[list[Outcome]]:
        """What will have become of a batch."""
        with _ready_to_spawn():
            return self._pool.submit(_work, number, list(self._batches[number]))

    def stop(self) -> None:
        """Waits until workers have come to the end of a chunk, and lets them go.

        Interrupted while it waits, it lets them go at once.
        """
        self._stopped.value = 1
        try:
            self._pool.shutdown(cancel_futures=True)
        finally:
            self._lifeline.close()


@contextlib.contextmanager
def _ready_to_spawn() -> Iterator[None]:
    """While processes start: they get one thread, and do not hear Ctrl-C, which is for us.

    Nor do they look for the script that we were started from: they would run it once more.
    """
    resource_tracker.ensure_running()  # its own start would unblock the signal
    main = vars(sys.modules["__main__"])
    script = {name: main.get(name) for name in ("__file__", "__spec__")}
    main.update(dict.fromkeys(script))
    known = {name: os.environ.get(name) for name in _ONE_THREAD}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT,))
    os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
    try:
        yield
    finally:
        main.update(script)
        for name, value in known.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


@dataclass(frozen=True)
class _Post:
    """What a worker has.

    Attributes:
        recipe: Of the simulation.
        done: Steps done of each batch, in memory that all share.
        stopped: Not 0 where workers are to stop, likewise.
        lifeline: Ends when whoever started the worker has ended.
    """

    recipe: Recipe
    done: Any
    stopped: Any
    lifeline: Connection


_post: _Post | None = None


def _enter(post: _Post) -> None:
    """Begins a worker's life."""
    global _post
    _post = post
    Thread(target=_die_with, args=(post.lifeline,), daemon=True).start()


def _die_with(lifeline: Connection) -> None:
    """Ends this process with the one that holds the other end: journals may be left at any time."""
    with contextlib.suppress(EOFError, OSError):
        lifeline.recv_bytes()
    os._exit(1)


def _work(number: int, batch: list[RunTask]) -> list[Outcome]:
    """What has become of a batch, in a worker."""
    assert _post is not None
    post = _post
    return work_off(
        batch,
        post.recipe.simulation.chunks(batch),
        partial(post.done.__setitem__, number),
        lambda: bool(post.stopped.value),
    )
