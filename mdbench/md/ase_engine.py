"""The same simulations by ASE's own integrators: slow, and written by others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from ase import Atoms, units
from ase.constraints import FixCom
from ase.md.bussi import Bussi
from ase.md.langevin import Langevin
from ase.md.nose_hoover_chain import NoseHooverChainNVT
from ase.md.verlet import VelocityVerlet

from mdbench.md.ase_calculator import MdbenchCalculator
from mdbench.md.foreign import Moved, simulate_foreign
from mdbench.md.frames import Recording
from mdbench.md.settings import MDSettings
from mdbench.md.simulate import Chunk
from mdbench.md.state import CHAIN_LENGTH, HostState, Run
from mdbench.potentials.ase_force_field import stress_of
from mdbench.potentials.base import ForceField
from mdbench.units import (
    AMU_ANGSTROM2_PER_FS2_IN_EV,
    ASE_TIME_IN_FS,
    BOLTZMANN_EV_PER_K,
)


def simulate_ase(
    force_field: ForceField,
    runs: Sequence[Run],
    settings: MDSettings,
    *,
    recording: Recording | None = None,
    chunk_frames: int | None = None,
) -> Iterator[Chunk]:
    """Frames of all runs as of `mdbench.md.simulate.simulate`, moved by ASE.

    `VelocityVerlet`, `NoseHooverChainNVT`, `Bussi` and `Langevin` of ASE for the ensembles `nve`,
    `nose-hoover`, `csvr` and `langevin`. Velocities start as in our engine; noise is drawn from
    numpy with a seed of the run. Langevin dynamics of ASE has no conserved quantity: NaN. Cannot
    be resumed: snapshots are empty.

    Args:
        force_field: What moves the atoms.
        runs: The simulations.
        settings: Ensemble, times, seed.
        recording: What is kept beside positions and energies.
        chunk_frames: Frames of a chunk; by default 100 or 32 MiB.

    Raises:
        InputError: No runs, an unknown element.
    """

    def make(state: HostState, s: int) -> _AseMover:
        return _AseMover(force_field, settings, state, s)

    return simulate_foreign(
        make,
        force_field.closest,
        runs,
        settings,
        recording=recording,
        chunk_frames=chunk_frames,
    )


class _Counted(Atoms):  # type: ignore[misc]
    """Atoms for ASE's chain, which takes three degrees of freedom for each of them.

    With the total momentum at zero there are 3N − 3, those of N − 1 atoms; else the crystal would
    be N/(N − 1) times too hot.
    """

    n_free = 0

    def get_global_number_of_atoms(self) -> int:
        return self.n_free


class _AseMover:
    """One run in ASE, see `foreign.Mover`."""

    def __init__(
        self, force_field: ForceField, settings: MDSettings, state: HostState, s: int
    ) -> None:
        rows = slice(state.first_atom[s], state.first_atom[s + 1])
        freedoms = int(state.degrees_of_freedom[s])
        atoms = _Counted(
            numbers=state.atomic_numbers[rows],
            positions=state.positions[rows],
            cell=state.cells[s],
            masses=state.masses[rows] / AMU_ANGSTROM2_PER_FS2_IN_EV,
            pbc=True,
        )
        atoms.n_free = freedoms // 3
        atoms.calc = MdbenchCalculator(force_field)
        velocities = state.momenta[rows] / state.masses[rows, None] * ASE_TIME_IN_FS
        atoms.set_velocities(velocities)
        if settings.ensemble == "csvr" and freedoms < 3 * len(atoms):
            atoms.set_constraint(FixCom())
        self._atoms = atoms
        self._timestep = settings.timestep_fs / ASE_TIME_IN_FS
        self._verlet = VelocityVerlet(atoms, self._timestep)
        self._settings = settings
        # by our constants: ASE's are of another CODATA year
        self._kelvin = state.temperatures_k[s] * BOLTZMANN_EV_PER_K / units.kB
        self._key = state.keys[s]
        self._dynamics: Any = None

    def now(self) -> Moved:
        """The run as it stands."""
        atoms, calculator = self._atoms, self._atoms.calc
        energy = calculator.get_property("energy", atoms)
        return Moved(
            positions=atoms.positions,
            velocities=atoms.get_velocities() / ASE_TIME_IN_FS,
            forces=calculator.get_property("forces", atoms),
            energy=energy,
            virial=-stress_of(atoms) * atoms.get_volume(),
            bath_energy=self._bath_energy(),
        )

    def heat(self) -> Moved:
        """One step of velocity Verlet."""
        self._verlet.step()
        return self.now()

    def scale(self, factor: float) -> None:
        """Multiplies the velocities."""
        self._atoms.set_momenta(factor * self._atoms.get_momenta())

    def step(self) -> Moved:
        """One step of the ensemble."""
        if self._dynamics is None:  # copies the momenta, so only after the ramp
            self._dynamics = self._new_dynamics()
        self._dynamics.step()
        return self.now()

    def _new_dynamics(self) -> Any:
        ensemble, damping = self._settings.ensemble, self._settings.damping / ASE_TIME_IN_FS
        if ensemble == "nve":
            return self._verlet
        common = {"timestep": self._timestep, "temperature_K": self._kelvin}
        if ensemble == "nose-hoover":
            return NoseHooverChainNVT(self._atoms, **common, tdamp=damping, tchain=CHAIN_LENGTH)
        rng = np.random.default_rng(self._key)
        if ensemble == "csvr":
            return Bussi(self._atoms, **common, taut=damping, rng=rng)
        return Langevin(self._atoms, **common, friction=1.0 / damping, fixcm=False, rng=rng)

    def _bath_energy(self) -> float:
        """What ASE adds to potential and kinetic energy for its conserved quantity, eV."""
        dynamics = self._dynamics
        if isinstance(dynamics, NoseHooverChainNVT):
            atoms = self._atoms
            total = atoms.calc.get_property("energy", atoms) + atoms.get_kinetic_energy()
            return float(dynamics.get_conserved_energy()) - float(total)
        if isinstance(dynamics, Bussi):
            return -float(dynamics.transferred_energy)
        return float("nan") if self._settings.ensemble == "langevin" else 0.0
