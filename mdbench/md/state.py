"""The state of a batch of simulations: many systems, atoms of one system next to each other."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mdbench.errors import InputError
from mdbench.md.limits import PAIR_LIMIT, closest_pair, kinetic_limits
from mdbench.md.random import VELOCITIES, normals, stream_key
from mdbench.md.settings import MDSettings
from mdbench.potentials.base import FloatArray, IntArray, Systems
from mdbench.units import AMU_ANGSTROM2_PER_FS2_IN_EV, BOLTZMANN_EV_PER_K

Array = TypeVar("Array")

#: Links of the Nosé–Hoover chain.
CHAIN_LENGTH = 3


@dataclass(frozen=True)
class Run:
    """A simulation that is asked for: a structure at a temperature.

    Attributes:
        material: Its name; with temperature and replica it names the run's random numbers.
        atomic_numbers: (n_atoms,).
        positions: (n_atoms, 3) Å.
        cell: (3, 3) Å, row vectors; periodic in all directions.
        temperature_k: Target, K.
        replica: Number of the replica.
        masses: (n_atoms,) amu; those of the elements by default.

    Raises:
        InputError: Arrays that do not fit, a cell without volume, overlapping atoms, a temperature
            that is not above zero.
    """

    material: str
    atomic_numbers: IntArray
    positions: FloatArray
    cell: FloatArray
    temperature_k: float
    replica: int = 0
    masses: FloatArray = field(default_factory=lambda: np.empty(0))

    def __post_init__(self) -> None:
        if not math.isfinite(self.temperature_k) or self.temperature_k <= 0.0:
            raise InputError(
                "temperature",
                where=self.material,
                expected="K, above zero",
                found=f"{self.temperature_k:g}",
            )
        numbers = np.array(self.atomic_numbers, dtype=np.int64)
        n_atoms = len(numbers)
        masses = _element_masses(numbers) if not len(self.masses) else self.masses
        self._take("atomic_numbers", numbers, (max(n_atoms, 1),))
        self._take("positions", self.positions, (n_atoms, 3))
        self._take("cell", self.cell, (3, 3))
        self._take("masses", masses, (n_atoms,))
        if not (self.masses > 0.0).all():
            raise InputError("masses", where=self.material, expected="amu, above zero")
        self._check_geometry()

    def _take(self, name: str, value: ArrayLike, shape: tuple[int, ...]) -> None:
        """Keeps a copy that nobody changes."""
        array = np.array(value, dtype=np.int64 if name == "atomic_numbers" else np.float64)
        if array.shape != shape:
            raise InputError(
                name, where=self.material, expected=f"shape {shape}", found=array.shape
            )
        if not np.isfinite(array).all():
            raise InputError(name, where=self.material, expected="finite numbers", found="NaN, inf")
        array.flags.writeable = False
        object.__setattr__(self, name, array)

    def _check_geometry(self) -> None:
        volume = abs(float(np.linalg.det(self.cell)))
        if volume <= 1e-6 * float(np.linalg.norm(self.cell, axis=1).prod()):
            raise InputError(
                "cell",
                where=self.material,
                expected="three lattice vectors that span a volume",
                found=np.array2string(self.cell, precision=4, separator=",").replace("\n", ""),
            )
        narrowest = 1.0 / float(np.linalg.norm(np.linalg.inv(self.cell), axis=0).max())
        if narrowest <= 2.0 * PAIR_LIMIT:
            raise InputError(
                "cell",
                where=self.material,
                expected=f"wider than {2.0 * PAIR_LIMIT:g} A",
                found=f"{narrowest:.3g} A",
            )
        distance, i, j = closest_pair(self.positions, self.cell)
        if distance < PAIR_LIMIT:
            raise InputError(
                "overlapping atoms",
                where=self.material,
                expected=f"{PAIR_LIMIT:g} A or more",
                found=f"{distance:.3g} A between atoms {i} and {j}",
                remedy="take a relaxed structure",
            )


@dataclass(frozen=True)
class State(Generic[Array]):
    """A batch of n_systems with n_atoms in all: numpy arrays, or torch tensors of the same shapes.

    The engine works in place on a state that it owns; `copy` makes one.

    Attributes:
        atomic_numbers: (n_atoms,).
        masses: (n_atoms,) eV fs²/Å²: amu times `AMU_ANGSTROM2_PER_FS2_IN_EV`.
        cells: (n_systems, 3, 3) Å, row vectors.
        first_atom: (n_systems + 1,) system s has the atoms first_atom[s] … first_atom[s + 1] − 1.
        temperatures_k: (n_systems,) targets, K.
        degrees_of_freedom: (n_systems,) of momenta.
        kinetic_limits: (n_systems,) eV, above which a system has exploded.
        keys: (n_systems, 2) of the random numbers.
        steps: (n_systems,) steps done, the ramp's included.
        positions: (n_atoms, 3) Å, unwrapped.
        momenta: (n_atoms, 3) eV fs/Å.
        kinetic_energies: (n_systems,) eV.
        chain_positions: (n_systems, 3) of the Nosé–Hoover chain.
        chain_velocities: (n_systems, 3) 1/fs.
        bath_energies: (n_systems,) eV, what makes the conserved quantity of the total energy.
        active: (n_systems,) not retired.
        end_codes: (n_systems,) why it was retired, see `limits`; 0 while active.
        end_steps: (n_systems,) `steps` of the first state that is beyond a limit.
        end_values: (n_systems,) what was held against the limit.
        end_atoms: (n_systems, 2) atoms that it is about, counted within the system.
    """

    atomic_numbers: Array
    masses: Array
    cells: Array
    first_atom: Array
    temperatures_k: Array
    degrees_of_freedom: Array
    kinetic_limits: Array
    keys: Array
    steps: Array
    positions: Array
    momenta: Array
    kinetic_energies: Array
    chain_positions: Array
    chain_velocities: Array
    bath_energies: Array
    active: Array
    end_codes: Array
    end_steps: Array
    end_values: Array
    end_atoms: Array


#: A state in memory of the host.
HostState = State[NDArray[Any]]

#: Fields that tell which runs these are.
IDENTITY = (
    "atomic_numbers",
    "masses",
    "cells",
    "first_atom",
    "temperatures_k",
    "degrees_of_freedom",
    "keys",
)


def fields(state: State[Array]) -> dict[str, Array]:
    """The arrays of a state by name, not copied."""
    return {f.name: getattr(state, f.name) for f in dataclasses.fields(state)}


def copy(state: HostState) -> HostState:
    """A state that shares nothing with this one."""
    return State(**{name: np.array(value) for name, value in fields(state).items()})


def systems(state: HostState) -> Systems:
    """What a force field needs to know of a batch."""
    return Systems(
        atomic_numbers=state.atomic_numbers, cells=state.cells, first_atom=state.first_atom
    )


def initial_state(runs: Sequence[Run], settings: MDSettings) -> HostState:
    """The state before the first step, with velocities of Maxwell and Boltzmann.

    With a ramp they are of its start temperature, exactly; without one they are drawn from the
    canonical ensemble at the target. The total momentum is zero where the ensemble conserves it.
    A single atom keeps its momentum and three degrees of freedom.
    """
    if not runs:
        raise InputError("simulation", expected="at least one run", found="none")
    sizes = [len(run.atomic_numbers) for run in runs]
    n_systems, first_atom = len(runs), np.cumsum([0, *sizes])
    at_rest = np.array([settings.conserves_momentum and n > 1 for n in sizes])
    freedoms = 3 * np.array(sizes) - 3 * at_rest
    temperatures = np.array([run.temperature_k for run in runs], dtype=np.float64)
    masses = np.concatenate([run.masses for run in runs]) * AMU_ANGSTROM2_PER_FS2_IN_EV
    keys = np.array(
        [stream_key(settings.seed, r.material, r.temperature_k, r.replica) for r in runs],
        dtype=np.int64,
    )
    momenta, kinetic = np.empty((len(masses), 3)), np.empty(n_systems)
    for s in range(n_systems):
        atoms = slice(first_atom[s], first_atom[s + 1])
        momenta[atoms], kinetic[s] = _thermal_momenta(
            masses[atoms], keys[s], settings, float(temperatures[s]), int(freedoms[s])
        )
    return State(
        atomic_numbers=np.concatenate([run.atomic_numbers for run in runs]),
        masses=masses,
        cells=np.stack([run.cell for run in runs]),
        first_atom=first_atom,
        temperatures_k=temperatures,
        degrees_of_freedom=freedoms,
        kinetic_limits=kinetic_limits(temperatures, freedoms),
        keys=keys,
        steps=np.zeros(n_systems, dtype=np.int64),
        positions=np.concatenate([run.positions for run in runs]),
        momenta=momenta,
        kinetic_energies=kinetic,
        chain_positions=np.zeros((n_systems, CHAIN_LENGTH)),
        chain_velocities=np.zeros((n_systems, CHAIN_LENGTH)),
        bath_energies=np.zeros(n_systems),
        active=np.ones(n_systems, dtype=np.bool_),
        end_codes=np.zeros(n_systems, dtype=np.int64),
        end_steps=np.zeros(n_systems, dtype=np.int64),
        end_values=np.zeros(n_systems),
        end_atoms=np.zeros((n_systems, 2), dtype=np.int64),
    )


def _thermal_momenta(
    masses: FloatArray, key: IntArray, settings: MDSettings, target_k: float, freedom: int
) -> tuple[FloatArray, float]:
    """(n_atoms, 3) eV fs/Å of one system, and their kinetic energy, eV."""
    temperature = settings.start_temperature_k if settings.n_ramp_steps else target_k
    thermal = BOLTZMANN_EV_PER_K * temperature
    deviates = normals(key, len(masses), 0, VELOCITIES)
    momenta = deviates * np.sqrt(masses * thermal)[:, None]
    if freedom < 3 * len(masses):
        momenta -= masses[:, None] * (momenta.sum(axis=0) / masses.sum())
    kinetic = float((momenta**2 / masses[:, None]).sum() / 2.0)
    if settings.n_ramp_steps:
        momenta *= math.sqrt(0.5 * freedom * thermal / kinetic)
        kinetic = 0.5 * freedom * thermal
    return momenta, kinetic


def _element_masses(numbers: IntArray) -> FloatArray:
    from ase.data import atomic_masses

    unknown = (numbers < 1) | (numbers >= len(atomic_masses))
    if unknown.any():
        raise InputError("atomic number", expected="an element", found=int(numbers[unknown][0]))
    return np.asarray(atomic_masses[numbers], dtype=np.float64)
