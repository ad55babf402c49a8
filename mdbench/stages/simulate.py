"""Model dynamics: trajectories of a force field that is to be judged."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from mdbench.config import SimulateConfig
from mdbench.md.frames import Recording
from mdbench.md.simulate import simulate
from mdbench.potentials.base import ForceField
from mdbench.stages.crew import Engine
from mdbench.stages.dynamics import Announce, DynamicsReport, Progress, run_jobs
from mdbench.stages.force_fields import Resolved, resolve
from mdbench.stages.outputs import current_run
from mdbench.stages.run_task import Job
from mdbench.stages.structures import end_of_reference, structure_of
from mdbench.stages.temperatures import Temperatures


def run(
    materials: Sequence[str],
    config: SimulateConfig,
    *,
    run_folder: Path | None = None,
    threads: int | None = None,
    force: bool = False,
    update: bool = False,
    progress: Progress | None = None,
    announce: Announce | None = None,
) -> DynamicsReport:
    """Trajectories into rollouts/<name>/<material>/ of a run folder.

    Args:
        materials: Names of crystals or of references of the run folder, or structure files.
        config: Force field, temperatures, replicas, times, engine.
        run_folder: By default $MDBENCH_RUN, else `run`.
        threads: Threads or processes that share the runs; by default as many as there are cores.
        force: Make everything anew.
        update: Make anew what was made with other settings, and what cannot be gone on with.
        progress: Called with the share done and the speed.
        announce: Called with the cost before the first run starts.
    """
    folder = current_run(run_folder)
    temperatures = Temperatures.parse(config.temps).values()
    structures = [structure_of(name, folder) for name in materials]
    found = _resolved(config, folder)
    name = found.source
    jobs = []
    for structure in structures:
        for t in temperatures:
            for replica in range(config.replicas):
                start = structure
                if config.start == "reference":
                    start = end_of_reference(folder, structure, t, replica)
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
        update=update,
        stillborn="kept" if config.start == "reference" else "refused at once",
        progress=progress,
        remake=partial(_made_again, config, folder),
        announce=announce,
    )


def _resolved(config: SimulateConfig, folder: Path) -> Resolved:
    return resolve(
        model=config.model,
        calculator=config.calculator,
        calculator_args=config.calculator_args,
        run_folder=folder,
        device=config.device,
    )


def _made_again(config: SimulateConfig, folder: Path) -> ForceField:
    """The force field, in another process."""
    return _resolved(config, folder).force_field


def _engine(name: str) -> Engine:
    """The loop of an engine; only ours resumes."""
    if name == "ase":
        from mdbench.md.ase_engine import simulate_ase

        return simulate_ase
    if name == "lammps":
        from mdbench.md.lammps_engine import simulate_lammps

        return simulate_lammps
    return simulate
