"""Trajectories of walkers whose transport is known exactly: for `mdbench selftest` and the tests.

`synthetic.HoppingModel` is a crystal whose ions share its sites; here each motion that an analysis
of diffusion can meet stands alone or beside the others, and no ion knows of any other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.signal import lfilter

from mdbench.errors import InputError
from mdbench.trajectory import Provenance, Trajectory, element_number
from mdbench.units import ANGSTROM2_PER_PS_IN_CM2_PER_S, BOLTZMANN_EV_PER_K, FS_IN_PS

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Walk:
    """Mobile ions that move by any of four motions, and a framework that stays.

    Free walk: Brownian motion with a given diffusion tensor.

    Hops: by ±`hop_distance` along x, y or z, at the times of a Poisson process. A hop takes no
    time and is made by `group` ions at once, drawn anew for each hop, all in one direction: D* is
    that of ions that hop alone, and D_σ is `group` times as large.

    Rattling: an Ornstein–Uhlenbeck process about the site. It adds 6·`rattle`² to the MSD at lags
    far beyond `relaxation_ps`, and nothing to the diffusivity.

    Flight: at a constant velocity, drawn once for each ion: MSD = 3·`speed`²t², no diffusion.

    The ions start on sites of a simple cubic grid of spacing `hop_distance`, at most one on each;
    later ones may stand on the same site. Framework atoms fill the middles of the cubes.

    Attributes:
        n_ions: Mobile ions.
        repeats: Sites along each axis of the cell.
        free_diffusivity: cm²/s, of the free walk: a number, or the rows of a (3, 3) tensor.
        hop_distance: a, Å.
        hops_per_ps: Hops of one ion, 1/ps; where there is an activation energy, attempts.
        group: Ions that hop at once.
        rattle: Standard deviation of each coordinate about its site, Å.
        relaxation_ps: Time in which rattling forgets, ps.
        speed: Standard deviation of each component of the velocity in flight, Å/ps.
        activation_energy: eV; hop rate = hops_per_ps · exp(−activation_energy / kT).
        temperature_k: K.
        framework_rattle: As `rattle`, of the framework atoms, Å.
        mobile: Element of the ions.
        framework: Element of the framework.
    """

    n_ions: int = 20
    repeats: int = 4
    free_diffusivity: float | Sequence[Sequence[float]] = 0.0
    hop_distance: float = 3.0
    hops_per_ps: float = 0.0
    group: int = 1
    rattle: float = 0.0
    relaxation_ps: float = 0.5
    speed: float = 0.0
    activation_energy: float = 0.0
    temperature_k: float = 800.0
    framework_rattle: float = 0.0
    mobile: str = "Li"
    framework: str = "S"

    def __post_init__(self) -> None:
        if not 1 <= self.n_ions <= self.repeats**3:
            raise InputError(
                "n_ions", expected=f"1 to {self.repeats**3}, the sites", found=self.n_ions
            )
        if not 1 <= self.group <= self.n_ions:
            raise InputError("group", expected=f"1 to {self.n_ions}, the ions", found=self.group)

    @property
    def volume(self) -> float:
        """Å³, of the cell."""
        return (self.repeats * self.hop_distance) ** 3

    @property
    def free_tensor(self) -> FloatArray:
        """(3, 3) cm²/s, diffusion tensor of the free walk."""
        given = np.asarray(self.free_diffusivity, dtype=float)
        return given * np.eye(3) if given.ndim == 0 else given

    @property
    def hop_rate_per_ps(self) -> float:
        """Hops of one ion, 1/ps."""
        barrier = self.activation_energy / (BOLTZMANN_EV_PER_K * self.temperature_k)
        return self.hops_per_ps * math.exp(-barrier)

    @property
    def tensor(self) -> FloatArray:
        """(3, 3) cm²/s, tracer diffusion tensor; infinite for ions in flight."""
        if self.speed:
            return np.full((3, 3), math.inf)
        return self.free_tensor + self._hopping_diffusivity * np.eye(3)

    @property
    def tracer_diffusivity(self) -> float:
        """cm²/s: D* = trace(free tensor)/3 + Γa²/6, Γ the hop rate of one ion."""
        return float(np.trace(self.tensor)) / 3.0

    @property
    def collective_diffusivity(self) -> float:
        """cm²/s, of the summed displacement: hops count `group` times as much as in D*."""
        return self.tracer_diffusivity + (self.group - 1) * self._hopping_diffusivity

    @property
    def _hopping_diffusivity(self) -> float:
        d_squared = self.hop_rate_per_ps * self.hop_distance**2
        return d_squared / 6.0 * ANGSTROM2_PER_PS_IN_CM2_PER_S


def walkers(
    walk: Walk,
    n_frames: int,
    rng: np.random.Generator,
    *,
    frame_interval_fs: float = 100.0,
    drift_per_ps: ArrayLike = (0.0, 0.0, 0.0),
) -> Trajectory:
    """A run of walkers: framework atoms first, then the ions; positions only.

    Args:
        walk: How they move.
        n_frames: Number of frames.
        rng: Source of the random numbers.
        frame_interval_fs: Time between the frames, fs.
        drift_per_ps: (3,) Å/ps, motion of the whole cell.
    """
    interval_ps = frame_interval_fs * FS_IN_PS
    times_ps = np.arange(n_frames) * interval_ps
    corners = np.stack(np.meshgrid(*[np.arange(walk.repeats)] * 3, indexing="ij"), axis=-1)
    sites = walk.hop_distance * corners.reshape(-1, 3)
    n_sites = len(sites)
    taken = sites[rng.permutation(n_sites)[: walk.n_ions]]
    positions = np.empty((n_frames, n_sites + walk.n_ions, 3))
    positions[:, :n_sites] = sites + 0.5 * walk.hop_distance
    positions[:, n_sites:] = taken + _paths(walk, n_frames, interval_ps, rng)
    if walk.framework_rattle:
        positions[:, :n_sites] += _rattling(
            (n_frames, n_sites, 3), walk.framework_rattle, interval_ps / walk.relaxation_ps, rng
        )
    positions += times_ps[:, None, None] * np.asarray(drift_per_ps, dtype=float)
    symbols = [walk.framework] * n_sites + [walk.mobile] * walk.n_ions
    return Trajectory(
        positions=positions,
        cells=np.eye(3) * walk.repeats * walk.hop_distance,
        atomic_numbers=np.array([element_number(symbol) for symbol in symbols]),
        times_ps=times_ps,
        provenance=Provenance(
            material="walkers",
            temperature_k=walk.temperature_k,
            mobile=walk.mobile,
            label="synthetic",
            potential="synthetic (walkers, not MD of any potential)",
            unwrapped_by="as stored",
        ),
    )


def _paths(walk: Walk, n_frames: int, interval_ps: float, rng: np.random.Generator) -> FloatArray:
    """(n_frames, n_ions, 3) Å, from the sites at which the ions start."""
    shape = (n_frames, walk.n_ions, 3)
    steps = np.zeros(shape)
    if walk.free_tensor.any():
        spread = 2.0 * walk.free_tensor / ANGSTROM2_PER_PS_IN_CM2_PER_S * interval_ps
        scales, axes = np.linalg.eigh(spread)
        root = axes * np.sqrt(np.maximum(scales, 0.0))  # (3, 3), root @ root.T = spread
        steps[1:] += rng.standard_normal((n_frames - 1, *shape[1:])) @ root.T
    if walk.hops_per_ps:
        _add_hops(steps, walk, interval_ps, rng)
    if walk.speed:
        steps[1:] += walk.speed * interval_ps * rng.standard_normal(shape[1:])
    paths = np.cumsum(steps, axis=0)
    if walk.rattle:
        paths += _rattling(shape, walk.rattle, interval_ps / walk.relaxation_ps, rng)
    return paths


def _add_hops(steps: FloatArray, walk: Walk, interval_ps: float, rng: np.random.Generator) -> None:
    """Adds to the step before each frame, (n_frames, n_ions, 3) Å, the hops made in it."""
    n_frames, n_ions, _ = steps.shape
    expected = walk.hop_rate_per_ps * n_ions * (n_frames - 1) * interval_ps / walk.group
    n_hops = rng.poisson(expected)
    if walk.group == 1:
        ions = rng.integers(n_ions, size=(n_hops, 1))
    else:
        ions = rng.random((n_hops, n_ions)).argsort(axis=1)[:, : walk.group]
    frames = rng.integers(1, n_frames, size=(n_hops, 1))
    axes = rng.integers(3, size=(n_hops, 1))
    signs = rng.choice((-1.0, 1.0), size=(n_hops, 1))
    np.add.at(steps, (frames, ions, axes), signs * walk.hop_distance)


def _rattling(
    shape: tuple[int, int, int], amplitude: float, forgets: float, rng: np.random.Generator
) -> FloatArray:
    """(n_frames, n_atoms, 3) Å, a stationary Ornstein–Uhlenbeck process, exact at any interval.

    Args:
        shape: Of the result.
        amplitude: Standard deviation, Å.
        forgets: Frame interval over relaxation time.
        rng: Source of the random numbers.
    """
    kept = math.exp(-forgets)
    noise = amplitude * rng.standard_normal(shape)
    noise[1:] *= math.sqrt(1.0 - kept**2)
    return np.asarray(lfilter([1.0], [1.0, -kept], noise, axis=0))
