"""Trajectories whose truth is known: for the sample data, `mdbench selftest` and the tests.

Nothing here is molecular dynamics of any potential, and no number describes a real material.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from ase.data import atomic_masses
from ase.geometry import find_mic
from numpy.typing import ArrayLike, NDArray

from mdbench.errors import InputError
from mdbench.trajectory import Provenance, Trajectory, element_number
from mdbench.units import (
    AMU_ANGSTROM2_PER_FS2_IN_EV,
    ANGSTROM2_PER_PS_IN_CM2_PER_S,
    BOLTZMANN_EV_PER_K,
    FS_IN_PS,
    PS_IN_FS,
)

FloatArray = NDArray[np.float64]

_BASIS: dict[str, list[list[float]]] = {
    "sc": [[0, 0, 0]],
    "bcc": [[0, 0, 0], [0.5, 0.5, 0.5]],
    "fcc": [[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]],
}
#: (distance in lattice constants, neighbors) of the first shells.
SHELLS = {
    "sc": ((1.0, 6), (math.sqrt(2), 12), (math.sqrt(3), 8), (2.0, 6)),
    "bcc": ((math.sqrt(3) / 2, 8), (1.0, 6), (math.sqrt(2), 12), (math.sqrt(11) / 2, 24)),
    "fcc": ((math.sqrt(0.5), 12), (1.0, 6), (math.sqrt(1.5), 24), (math.sqrt(2), 12)),
}


def ideal_gas(
    n_atoms: int, n_frames: int, cell: ArrayLike, rng: np.random.Generator, *, symbol: str = "Ar"
) -> Trajectory:
    """Points without correlation: g(r) = (n_atoms − 1)/n_atoms within the shortest lattice vector.

    The frames are independent draws, so they have no time axis.

    Args:
        n_atoms: Number of atoms.
        n_frames: Number of frames.
        cell: (3, 3) Å, row vectors, of any shape.
        rng: Source of the random numbers.
        symbol: Element of the atoms.
    """
    scaled = rng.random((n_frames, n_atoms, 3))
    return Trajectory(
        positions=scaled @ np.asarray(cell, dtype=float),
        cells=np.asarray(cell, dtype=float),
        atomic_numbers=np.full(n_atoms, element_number(symbol)),
        times_ps=np.zeros(n_frames),
        provenance=Provenance(
            material="ideal gas",
            label="synthetic",
            potential="synthetic (independent random points)",
            unwrapped_by="not a time series",
        ),
    )


def lattice(
    kind: str,
    a: float,
    repeats: int,
    *,
    n_frames: int = 1,
    amplitude: float = 0.0,
    rng: np.random.Generator | None = None,
    symbol: str = "Cu",
) -> Trajectory:
    """A cubic lattice: the neighbors of an atom stand at the distances of `SHELLS[kind]`.

    The frames are independent draws, so they have no time axis.

    Args:
        kind: `sc`, `bcc` or `fcc`.
        a: Lattice constant, Å.
        repeats: Number of cubic cells along each axis.
        n_frames: Number of frames.
        amplitude: Standard deviation of each coordinate about its site, Å.
        rng: Source of the random numbers; needed where there is an amplitude.
        symbol: Element of the atoms.
    """
    if kind not in _BASIS:
        raise InputError("kind of lattice", expected=" or ".join(_BASIS), found=repr(kind))
    sites = a * _cubic_sites(_BASIS[kind], repeats)
    positions = np.tile(sites, (n_frames, 1, 1))
    if amplitude:
        if rng is None:
            raise InputError("rng", expected="a random generator beside an amplitude", found="none")
        positions += rng.normal(0.0, amplitude, positions.shape)
    return Trajectory(
        positions=positions,
        cells=np.eye(3) * a * repeats,
        atomic_numbers=np.full(len(sites), element_number(symbol)),
        times_ps=np.zeros(n_frames),
        provenance=Provenance(
            material=f"{kind} lattice",
            label="synthetic",
            potential="synthetic (points of a lattice)",
            unwrapped_by="not a time series",
        ),
    )


@dataclass(frozen=True)
class HoppingModel:
    """An antifluorite conductor whose diffusivity is known exactly: Li in the voids of fcc S.

    Sites: The mobile ions have the 8 tetrahedral sites (8c) of each cubic cell, a simple cubic
    grid of spacing a/2, at most one ion on each; `n_vacancies` of them are empty.

    Hops: On every one of the bonds between neighboring sites the occupants change places at the
    times of a Poisson process of rate Γ: ion and vacancy, or ion and ion, which pass each other
    through two octahedral voids. (Real ions rarely trade places. It is done here because in this
    *interchange process* a tagged ion finds all its six bonds open always, whatever stands at the
    other end: it walks at random with rate 6Γ, and its diffusivity has a closed form. With
    blocking it has none.)

    Transit: A hop is smeared over `transit_fs` by a smooth step. This adds a constant to the mean
    squared displacement and leaves its slope alone.

    Vibration: Every atom is a damped harmonic oscillator about its site in contact with a heat
    bath, independent of all others, propagated exactly: positions and velocities have the
    Boltzmann distribution, whatever the interval between the frames.

    Attributes:
        lattice_constant: Å.
        repeats: Number of cubic cells along each axis.
        n_vacancies: Empty sites.
        activation_energy: eV; Γ = attempts · exp(−activation_energy / kT).
        attempts_per_ps: Attempts per bond, 1/ps.
        transit_fs: Duration of a hop, fs.
        bulge: How far the path of a hop bends towards the octahedral void, Å.
        friction_per_fs: Damping of the vibrations, 1/fs.
        mobile: Element of the ions.
        framework: Element of the fcc framework.
        springs: Force constant of each element's site, eV/Å².
    """

    lattice_constant: float = 5.7
    repeats: int = 2
    n_vacancies: int = 4
    activation_energy: float = 0.35
    attempts_per_ps: float = 2.5
    transit_fs: float = 300.0
    bulge: float = 1.2
    friction_per_fs: float = 0.01
    mobile: str = "Li"
    framework: str = "S"
    springs: Mapping[str, float] = field(default_factory=lambda: {"Li": 2.2, "S": 3.5})

    @property
    def n_sites(self) -> int:
        """Number of sites of the mobile ions."""
        return 8 * self.repeats**3

    @property
    def hop_distance(self) -> float:
        """Å, between neighboring sites."""
        return self.lattice_constant / 2

    def bond_rate_per_ps(self, temperature_k: float) -> float:
        """Γ, 1/ps: how often the occupants of one bond change places."""
        barrier = self.activation_energy / (BOLTZMANN_EV_PER_K * temperature_k)
        return self.attempts_per_ps * math.exp(-barrier)

    def tracer_diffusivity(self, temperature_k: float) -> float:
        """cm²/s: D* = 6Γ·d²/6 = Γd² with d = a/2, exact for any number of vacancies."""
        d_squared = self.bond_rate_per_ps(temperature_k) * self.hop_distance**2
        return d_squared * ANGSTROM2_PER_PS_IN_CM2_PER_S

    def collective_diffusivity(self, temperature_k: float) -> float:
        """cm²/s, of the summed displacement: D* · n_vacancies / (n_sites − 1).

        Only a hop into a vacancy moves charge. Every arrangement of the ions is equally likely,
        so the far end of an ion's bond is empty with probability n_vacancies / (n_sites − 1); and
        the expected next step of the sum is zero in every arrangement, since each bond's share
        is a difference of two occupations and these cancel around the periodic grid.
        """
        return self.tracer_diffusivity(temperature_k) * self.n_vacancies / (self.n_sites - 1)


def ion_conductor(
    model: HoppingModel,
    n_frames: int,
    rng: np.random.Generator,
    *,
    temperature_k: float = 800.0,
    frame_interval_fs: float = 100.0,
    drift_per_ps: ArrayLike = (0.0, 0.0, 0.0),
) -> Trajectory:
    """A run of the model, with energies, forces and velocities of its oscillators.

    Framework atoms come first, then the ions. Energies and forces are those of the springs, which
    move with the ions during a hop.

    Args:
        model: What hops, and how.
        n_frames: Number of frames.
        rng: Source of the random numbers.
        temperature_k: Temperature of the vibrations and of the hops, K.
        frame_interval_fs: Time between the frames, fs.
        drift_per_ps: (3,) Å/ps, motion of the whole cell.
    """
    framework = model.lattice_constant * _cubic_sites(_BASIS["fcc"], model.repeats)
    centers, center_velocities = _hopping_centers(
        model, n_frames, rng, temperature_k, frame_interval_fs
    )
    n_ions = centers.shape[1]
    symbols = [model.framework] * len(framework) + [model.mobile] * n_ions
    numbers = np.array([element_number(s) for s in symbols])
    springs = np.array([model.springs[s] for s in symbols])  # (A,) eV/Å²
    displacements, velocities = _thermal_vibration(
        n_frames, springs, atomic_masses[numbers], temperature_k, frame_interval_fs, model, rng
    )
    drift = np.asarray(drift_per_ps, dtype=float)
    times_ps = np.arange(n_frames) * frame_interval_fs * FS_IN_PS
    positions = displacements + times_ps[:, None, None] * drift
    positions[:, : len(framework)] += framework
    positions[:, len(framework) :] += centers
    velocities += drift / PS_IN_FS
    velocities[:, len(framework) :] += center_velocities
    return Trajectory(
        positions=positions,
        cells=np.eye(3) * model.lattice_constant * model.repeats,
        atomic_numbers=numbers,
        times_ps=times_ps,
        energies=0.5 * np.einsum("a,fai,fai->f", springs, displacements, displacements),
        forces=-springs[:, None] * displacements,
        velocities=velocities,
        provenance=Provenance(
            material=f"{model.mobile}-{model.framework} hopping model",
            temperature_k=temperature_k,
            mobile=model.mobile,
            label="synthetic",
            potential="synthetic (hopping toy model, not MD of any potential)",
            unwrapped_by="as stored",
        ),
    )


def swollen(run: Trajectory, factor: float) -> Trajectory:
    """A run with all lengths times a factor: lattice mismatch."""
    return _without_forces(run, positions=factor * run.positions, cells=factor * run.cells)


def drifting(run: Trajectory, velocity: ArrayLike, *, start_ps: float = 0.0) -> Trajectory:
    """A run whose whole cell moves from a time on: drift.

    Args:
        run: A sound run.
        velocity: (3,) Å/ps.
        start_ps: When it begins to move, ps.
    """
    elapsed = np.maximum(run.times_ps - start_ps, 0.0)
    moved = elapsed[:, None, None] * np.asarray(velocity, dtype=float)
    return _without_forces(run, positions=run.positions + moved)


def fused(
    run: Trajectory,
    atoms: tuple[int, int],
    distance: float,
    *,
    start_ps: float = 0.0,
    stop_ps: float = math.inf,
) -> Trajectory:
    """A run in which two atoms stick together for a while: fusion.

    The second atom is put next to the first one, in the direction of its own nearest image.

    Args:
        run: A sound run.
        atoms: Which two.
        distance: Between them, Å.
        start_ps: First time at which they are together, ps.
        stop_ps: First time at which they are not, ps.
    """
    first, second = atoms
    positions = np.array(run.positions)
    for frame in np.flatnonzero((run.times_ps >= start_ps) & (run.times_ps < stop_ps)):
        cell = run.cells[frame]
        apart, length = find_mic(positions[frame, second] - positions[frame, first], cell)
        positions[frame, second] += apart * (distance / length - 1.0)
    return _without_forces(run, positions=positions)


def melted(
    run: Trajectory, rng: np.random.Generator, *, step: float = 0.35, start_ps: float = 0.0
) -> Trajectory:
    """A run that is a fluid from a time on: its framework leaves the lattice, nothing fuses.

    All atoms walk at random from where they are at that time. A step is taken where it brings no
    two atoms nearer than 0.85 of how near their elements come in a usual frame of the run. The
    center of mass stays where it is.

    Args:
        run: A sound run in an orthorhombic cell of constant size.
        rng: Source of the random numbers.
        step: Standard deviation of each coordinate of a step, of which there is one per frame, Å.
        start_ps: When it melts, ps.
    """
    sides = np.diagonal(run.cells[0])
    numbers = run.atomic_numbers
    masses = atomic_masses[numbers] / atomic_masses[numbers].sum()
    closest = {z: 0.85 * distances for z, distances in _closest(run, sides).items()}
    positions = np.array(run.positions, dtype=np.float64)
    first = int(np.searchsorted(run.times_ps, start_ps))
    for frame in range(max(first, 1), run.n_frames):
        now = positions[frame - 1].copy()
        trials = now + rng.normal(0.0, step, now.shape)
        for atom in rng.permutation(len(now)):
            apart = now - trials[atom]
            apart -= sides * np.rint(apart / sides)
            near = np.einsum("ai,ai->a", apart, apart) < closest[numbers[atom]] ** 2
            near[atom] = False
            if not near.any():
                now[atom] = trials[atom]
        recoil = masses @ (now - positions[frame - 1])  # (3,) Å
        positions[frame] = now - recoil
    return _without_forces(run, positions=positions)


def _closest(run: Trajectory, sides: FloatArray) -> dict[int, FloatArray]:
    """By atomic number: (n_atoms,) Å, how near its atoms come to each atom, mean over frames."""
    numbers = run.atomic_numbers
    kinds = [int(z) for z in np.unique(numbers)]
    least = np.zeros((len(kinds), len(kinds)))
    for frame in run.positions:
        apart = frame[:, None] - frame
        apart -= sides * np.rint(apart / sides)
        squared = np.einsum("abi,abi->ab", apart, apart) + np.diag(np.full(len(frame), np.inf))
        of_kind = np.array([squared[numbers == z].min(axis=0) for z in kinds])  # (K, A)
        least += np.sqrt([of_kind[:, numbers == z].min(axis=1) for z in kinds])
    least /= run.n_frames
    return {z: least[k][np.searchsorted(kinds, numbers)] for k, z in enumerate(kinds)}


def _without_forces(run: Trajectory, **changes: Any) -> Trajectory:
    """A run with other positions: what belonged to the old ones is left out."""
    return replace(run, velocities=None, forces=None, energies=None, stresses=None, **changes)


def _cubic_sites(basis: ArrayLike, repeats: int) -> FloatArray:
    """(n_sites, 3) in lattice constants."""
    corners = np.stack(np.meshgrid(*[np.arange(repeats)] * 3, indexing="ij"), axis=-1)
    sites = corners.reshape(-1, 1, 3) + np.asarray(basis, dtype=float)
    return np.asarray(sites.reshape(-1, 3))


def _hopping_centers(
    model: HoppingModel,
    n_frames: int,
    rng: np.random.Generator,
    temperature_k: float,
    frame_interval_fs: float,
) -> tuple[FloatArray, FloatArray]:
    """(n_frames, n_ions, 3) Å and Å/fs: where each ion's site is, and how fast it moves."""
    side = 2 * model.repeats
    sites = np.stack(np.meshgrid(*[np.arange(side)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    taken = np.sort(rng.permutation(model.n_sites)[model.n_vacancies :])
    occupants = np.full((side, side, side), -1)
    occupants[tuple(sites[taken].T)] = np.arange(len(taken))
    start = (sites[taken] + 0.5) * model.hop_distance
    centers = np.tile(start, (n_frames, 1, 1))
    velocities = np.zeros_like(centers)

    # Hops that began before the first frame or end after the last one count as well.
    times = np.arange(n_frames) * frame_interval_fs
    begin, end = -0.5 * model.transit_fs, times[-1] + 0.5 * model.transit_fs
    rate_per_fs = model.bond_rate_per_ps(temperature_k) / PS_IN_FS
    n_hops = rng.poisson(3 * model.n_sites * rate_per_fs * (end - begin))
    for time in np.sort(rng.uniform(begin, end, n_hops)):
        low, axis = rng.integers(side, size=3), int(rng.integers(3))
        turn = _towards_void(low, axis) * rng.choice((-1.0, 1.0)) * model.bulge
        high = (low + np.eye(3, dtype=int)[axis]) % side
        step = np.eye(3)[axis] * model.hop_distance
        first = int(np.searchsorted(times, time - 0.5 * model.transit_fs))
        path = _smooth_hop((times[first:] - time) / model.transit_fs)
        for site, sign in ((tuple(low), 1.0), (tuple(high), -1.0)):
            if (ion := occupants[site]) >= 0:
                shape = np.stack([sign * step, sign * turn])  # (2, 3): along, aside
                centers[first:, ion] += path[:, 0] @ shape
                velocities[first:, ion] += path[:, 1] @ shape / model.transit_fs
        occupants[tuple(low)], occupants[tuple(high)] = (
            occupants[tuple(high)],
            occupants[tuple(low)],
        )
    return centers, velocities


def _smooth_hop(phase: FloatArray) -> FloatArray:
    """(n, 2, 2): (value, slope) of (the way along, the bend aside) for −½ ≤ phase ≤ ½ and after."""
    s = np.clip(phase, -0.5, 0.5)
    along = s + 0.5 + np.sin(2 * np.pi * s) / (2 * np.pi)
    aside = np.cos(np.pi * s) ** 2
    along_slope = 1 + np.cos(2 * np.pi * s)
    aside_slope = -np.pi * np.sin(2 * np.pi * s)
    return np.stack([along, aside, along_slope, aside_slope], axis=-1).reshape(-1, 2, 2)


def _towards_void(site: NDArray[np.int64], axis: int) -> FloatArray:
    """(3,) unit vector from the middle of a bond to an octahedral void; the other is opposite."""
    signs = 1.0 - 2.0 * (site % 2)
    first, second = (i for i in range(3) if i != axis)
    direction = np.zeros(3)
    direction[first] = signs[first]
    direction[second] = signs[second] * signs[axis]
    return direction / math.sqrt(2)


def _thermal_vibration(
    n_frames: int,
    springs: FloatArray,
    masses: FloatArray,
    temperature_k: float,
    frame_interval_fs: float,
    model: HoppingModel,
    rng: np.random.Generator,
) -> tuple[FloatArray, FloatArray]:
    """(n_frames, n_atoms, 3) Å and Å/fs of damped oscillators in a heat bath.

    The Ornstein–Uhlenbeck process of (u, v): du = v dt, dv = −(k/m) u dt − γ v dt + noise. Over
    one interval its mean is M (u, v), and with the stationary covariance P its spread is
    P − M P Mᵀ: exact for intervals of any length.
    """
    kt = BOLTZMANN_EV_PER_K * temperature_k
    inertia = masses * AMU_ANGSTROM2_PER_FS2_IN_EV  # (A,) eV fs²/Å²
    stationary = np.zeros((len(springs), 2, 2))
    stationary[:, 0, 0], stationary[:, 1, 1] = kt / springs, kt / inertia
    drift = np.zeros((len(springs), 2, 2))
    drift[:, 0, 1], drift[:, 1, 0] = 1.0, -springs / inertia
    drift[:, 1, 1] = -model.friction_per_fs
    mean = _exponential(drift * frame_interval_fs)
    spread = np.linalg.cholesky(stationary - mean @ stationary @ mean.transpose(0, 2, 1))

    noise = rng.standard_normal((n_frames, len(springs), 2, 3))
    states = np.empty_like(noise)
    states[0] = np.sqrt(stationary) @ noise[0]
    noise = spread @ noise
    for frame in range(1, n_frames):
        states[frame] = mean @ states[frame - 1] + noise[frame]
    return np.ascontiguousarray(states[:, :, 0]), np.ascontiguousarray(states[:, :, 1])


def _exponential(matrices: FloatArray) -> FloatArray:
    """Matrix exponentials of (n, 2, 2) real matrices with two different eigenvalues."""
    values, vectors = np.linalg.eig(matrices)
    grown = vectors * np.exp(values)[:, None, :] @ np.linalg.inv(vectors)
    return np.ascontiguousarray(grown.real)
