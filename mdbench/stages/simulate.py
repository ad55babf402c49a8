"""Model dynamics: trajectories of a force field that is to be judged."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mdbench.config import SimulateConfig
from mdbench.errors import InputError
from mdbench.md.frames import Recording
from mdbench.md.simulate import simulate
from mdbench.potentials.materials import Material, material
from mdbench.stages.dynamics import DynamicsReport, Engine, Job, Progress, run_jobs
from mdbench.stages.force_fields import resolve
from mdbench.stages.outputs import current_run
from mdbench.stages.temperatures import Temperatures
from mdbench.store import TrajectoryFile


def run(
    materials: Sequence[str],
    config: SimulateConfig,
    *,
    run_folder: Path | None = None,
    threads: int | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> DynamicsReport:
    """Trajectories into rollouts/<name>/<material>/ of a run folder.

    Args:
        materials: Names of crystals, or structure files.
        config: Force field, temperatures, replicas, times, engine.
        run_folder: By default $MDBENCH_RUN, else `run`.
        threads: Threads that share the runs; by default as many as there are cores.
        force: Make everything anew.
        progress: Called with the share done and the speed.
    """
    folder = current_run(run_folder)
    temperatures = Temperatures.parse(config.temps).values()
    structures = [material(name) for name in materials]
    found = resolve(
        model=config.model,
        calculator=config.calculator,
        calculator_args=config.calculator_args,
        run_folder=folder,
        device=config.device,
    )
    name = found.source
    jobs = []
    for structure in structures:
        for t in temperatures:
            for replica in range(config.replicas):
                start = structure
                if config.start == "reference":
                    start = _end_of_reference(folder, structure, t, replica)
                target = folder / "rollouts" / name / structure.name / f"{t:g}K-r{replica}.h5"
                jobs.append(Job(start, t, replica, target, name))
    return run_jobs(
        found.force_field,
        jobs,
        config,
        Recording(stresses=True),
        engine=_engine(config.engine),
        threads=found.threads(threads),
        force=force,
        progress=progress,
    )


def _engine(name: str) -> Engine:
    """The loop of an engine; only ours resumes."""
    if name == "ase":
        from mdbench.md.ase_engine import simulate_ase

        return simulate_ase
    if name == "lammps":
        from mdbench.md.lammps_engine import simulate_lammps

        return simulate_lammps
    return simulate


def _end_of_reference(
    folder: Path, structure: Material, temperature_k: float, replica: int
) -> Material:
    """The last frame of the reference's run of the same number, counted around where fewer."""
    place = folder / "reference" / structure.name
    # r10 after r9
    paths = sorted(
        place.glob(f"{temperature_k:g}K-r*.h5"), key=lambda path: (len(path.name), path.name)
    )
    if not paths:
        raise InputError(
            f"--start reference: no run at {temperature_k:g} K",
            where=place,
            remedy="`mdbench reference` makes them",
        )
    path = paths[replica % len(paths)]
    with TrajectoryFile(path) as file:
        last = file.read(file.n_frames - 1)
        if not np.array_equal(last.atomic_numbers, structure.atomic_numbers):
            raise InputError(
                "other atoms", where=path, expected=structure.formula, found=last.formula
            )
    return dataclasses.replace(
        structure,
        positions=np.asarray(last.positions[0], dtype=np.float64),
        cell=np.asarray(last.cells[0], dtype=np.float64),
        source=f"last frame of {path.name}",
    )
