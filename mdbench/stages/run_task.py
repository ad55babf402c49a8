"""One run on its way: what it goes on from, its journal, and the trajectory that becomes of it."""

from __future__ import annotations

import hashlib
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mdbench.analysis.mobile import mobile_species
from mdbench.claims import claimed
from mdbench.errors import InputError, located
from mdbench.md.frames import Recording, end_reasons
from mdbench.md.limits import known_pairs
from mdbench.md.settings import MDSettings
from mdbench.md.snapshots import Snapshot, restored_state
from mdbench.md.state import Run, initial_state
from mdbench.potentials.base import ForceField
from mdbench.potentials.materials import Material
from mdbench.stages.journal import Journal, record_type
from mdbench.store import Dataset, Input, TrajectoryFile, TrajectoryWriter, check_output
from mdbench.trajectory import Provenance, Trajectory
from mdbench.version import __version__

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


class Outcome(NamedTuple):
    """What a run has come to.

    Attributes:
        end_reason: Why it ended early.
        n_frames: Frames of its trajectory; None while there is none.
    """

    end_reason: str | None
    n_frames: int | None


class RunTask:
    """One run on its way: its journal, and what it goes on from. It can travel to other processes.

    Args:
        job: The run.
        force_field: What moves the atoms: of it only what provenance states is kept.
        settings: Of the simulation.
        recording: What is kept of each frame.
        moved_by: Name of the engine.
        float64: Whether positions are kept in double precision.
    """

    def __init__(
        self,
        job: Job,
        force_field: ForceField,
        settings: MDSettings,
        recording: Recording,
        moved_by: str,
        *,
        float64: bool,
    ) -> None:
        self.job, self.run = job, job.run
        self.snapshot: Snapshot | None = None
        self.outcome = Outcome(end_reason=None, n_frames=None)
        self._float64, self._settings = float64, settings
        self._label, self._closest = force_field.label, dict(force_field.closest)
        self._structure = _structure_hash(job.material)
        self.config: dict[str, Any] = {
            "material": job.material.name,
            "structure": self._structure,
            "force_field": force_field.label,
            "temperature_k": job.temperature_k,
            "replica": job.replica,
            "ps": settings.production_ps,
            "engine": settings.stamp(),
            "moved_by": moved_by,
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
        if self.journal.exists:  # it was killed between the trajectory and this
            with claimed(self.journal.part):
                self.journal.discard()
        return known

    def claimed(self) -> AbstractContextManager[None]:
        """While it lasts, no other process makes this run; what cannot be written is refused."""
        check_output(self.job.target, force=True)
        return claimed(self.journal.part)

    def prepare(self, *, resume: bool, update: bool) -> None:
        """Takes up what was begun."""
        try:
            with located(self.journal.state):
                self._take_up(self.journal.resume() if resume else None)
        except InputError:
            if not update:
                raise
            self.journal.discard()

    def _take_up(self, snapshot: Snapshot | None) -> None:
        if snapshot is not None:
            start = initial_state([self.run], self._settings)
            state = restored_state(snapshot, start, self._settings)
            self.ends(*end_reasons(state, self._settings, self._closest))
            self.snapshot, self._how = snapshot, "resumed"

    def ends(self, reason: str | None) -> None:
        """Notes why the run has ended early; None: it has not."""
        self.outcome = self.outcome._replace(end_reason=reason)

    @property
    def has_frames(self) -> bool:
        """Whether the production has begun."""
        return self.journal.n_frames > 0

    @property
    def ended_at_once(self) -> bool:
        """Whether no step was taken."""
        first = "0 ps into the ramp" if self._settings.n_ramp_steps else "at 0 ps"
        return f" {first} " in f"{self.outcome.end_reason} "

    @property
    def n_atoms(self) -> int:
        """Number of atoms."""
        return len(self.job.material.atomic_numbers)

    @property
    def step(self) -> int:
        """Steps done, the ramp included."""
        return 0 if self.snapshot is None else int(self.snapshot["state.steps"][0])

    @property
    def n_steps_left(self) -> int:
        """Steps to do, if it does not end early."""
        if self.outcome.end_reason is not None:
            return 0
        return self._settings.n_ramp_steps + self._settings.n_steps - self.step

    def finish(self) -> None:
        """Makes the trajectory of the journal."""
        job = self.job
        source = Input(job.material.name, "structure", self._structure)
        unknown: set[str] = set()
        with TrajectoryWriter(
            job.target, config=self.config, inputs=[source], float64=self._float64
        ) as writer:
            for block in self.journal.blocks():
                if not writer.n_frames and np.isnan(block["pressure"]).all():
                    unknown = {"pressure", "stress"}
                with located(self.journal.part):
                    frames = self._trajectory(block, without=unknown)
                writer.append(
                    frames,
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
            self.outcome = self.outcome._replace(n_frames=writer.n_frames)
        self.journal.discard()

    @property
    def made(self) -> Made:
        """What became of the job."""
        reason, n_frames = self.outcome
        return Made(self.job, n_frames or 0, reason, self._how)

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
            potential=self._label,
            thermostat=thermostat,
            code=f"mdbench {__version__}",
            replica=job.replica,
            seed=settings.seed,
            end_reason=self.outcome.end_reason,
            unwrapped_by="as stored",
        )


def _structure_hash(material: Material) -> str:
    digest = hashlib.sha256()
    for array in (material.atomic_numbers, material.positions, material.cell):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
