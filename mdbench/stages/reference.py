"""Reference dynamics: by the embedded potential, or by any ASE calculator."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from mdbench.config import ReferenceConfig
from mdbench.md.frames import Recording
from mdbench.potentials.calculators import force_field
from mdbench.potentials.materials import material
from mdbench.stages.dynamics import DynamicsReport, Progress, arguments, run_jobs
from mdbench.stages.outputs import current_run
from mdbench.stages.run_task import Job
from mdbench.stages.temperatures import Temperatures


def run(
    materials: Sequence[str],
    config: ReferenceConfig,
    *,
    run_folder: Path | None = None,
    threads: int | None = None,
    force: bool = False,
    update: bool = False,
    progress: Progress | None = None,
) -> DynamicsReport:
    """Reference trajectories into reference/<material>/ of a run folder.

    Args:
        materials: Names of crystals, or structure files.
        config: Temperatures, replicas, times, potential.
        run_folder: By default $MDBENCH_RUN, else `run`.
        threads: Threads or processes that share the runs; by default as many as there are cores.
        force: Make everything anew.
        update: Make anew what was made with other settings, and what cannot be gone on with.
        progress: Called with the share done and the speed.
    """
    folder = current_run(run_folder)
    temperatures = Temperatures.parse(config.temps).values()
    structures = [material(name) for name in materials]
    make = partial(force_field, config.calculator, arguments(config.calculator_args))
    potential = make()
    jobs = [
        Job(
            material=structure,
            temperature_k=t,
            replica=replica,
            target=folder / "reference" / structure.name / f"{t:g}K-r{replica}.h5",
            label="reference",
        )
        for structure in structures
        for t in temperatures
        for replica in range(config.replicas)
    ]
    return run_jobs(
        potential,
        jobs,
        config,
        Recording(forces=config.forces, stresses=True),
        threads=threads,
        force=force,
        update=update,
        stillborn="refused",
        progress=progress,
        remake=make,
    )
