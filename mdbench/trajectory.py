"""Trajectories in memory: frozen arrays, frame axis first, positions unwrapped."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise, product
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from ase.data import atomic_masses, atomic_numbers, chemical_symbols
from ase.formula import Formula
from ase.geometry import minkowski_reduce
from numpy.typing import ArrayLike, NDArray

from mdbench.errors import InputError, suggest
from mdbench.units import (
    AMU_ANGSTROM2_PER_FS2_IN_EV,
    ASE_TIME_IN_FS,
    BOLTZMANN_EV_PER_K,
    FS_IN_PS,
)

if TYPE_CHECKING:
    from ase import Atoms
    from pymatgen.core.trajectory import Trajectory as PymatgenTrajectory

FloatArray = NDArray[Any]
IntArray = NDArray[Any]

#: A step between frames above this share of half the shortest lattice vector cannot be unwrapped …
UNWRAP_LIMIT = 0.95
#: … and above this share it is worth a warning.
UNWRAP_WARNING = 0.75

_NEIGHBOR_IMAGES = np.array([s for s in product((-1, 0, 1), repeat=3) if any(s)])


@dataclass(frozen=True)
class Provenance:
    """Where a trajectory comes from and what is known about the run; None is unknown.

    Attributes:
        material: Name of the material, as the user states it.
        temperature_k: Temperature that the run was set to.
        timestep_fs: MD timestep (not the time between stored frames).
        mobile: Symbol of the mobile ion.
        label: Name of the source as tables show it.
        potential: What the forces came from.
        thermostat: Thermostat of the run.
        code: Program that wrote the source files.
        replica: Number of the replica.
        seed: Seed of the run.
        end_reason: Why the run ended early.
        unwrapped_by: `minimum image`, `image flags`, `as stored` or `not a time series`.
        notes: What reading dropped and what the audit found, one sentence each.
    """

    material: str | None = None
    temperature_k: float | None = None
    timestep_fs: float | None = None
    mobile: str | None = None
    label: str | None = None
    potential: str | None = None
    thermostat: str | None = None
    code: str | None = None
    replica: int | None = None
    seed: int | None = None
    end_reason: str | None = None
    unwrapped_by: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Trajectory:
    """A molecular-dynamics run: consecutive frames of the same atoms in the same order.

    Attributes:
        positions: (n_frames, n_atoms, 3) Å, Cartesian, unwrapped.
        cells: (n_frames, 3, 3) Å, row vectors. One (3, 3) cell is repeated for every frame.
        atomic_numbers: (n_atoms,).
        times_ps: (n_frames,) ps, increasing; zeros where the frames have no time axis.
        pbc: (3,) which of the three lattice vectors are periodic.
        energies: (n_frames,) eV, potential energy.
        forces: (n_frames, n_atoms, 3) eV/Å.
        velocities: (n_frames, n_atoms, 3) Å/fs.
        stresses: (n_frames, 3, 3) eV/Å³, positive under tension (ASE's sign).
        provenance: What is known about the run.

    Raises:
        InputError: Shapes that do not fit, numbers that are not finite, a cell without volume.
    """

    positions: FloatArray
    cells: FloatArray
    atomic_numbers: IntArray
    times_ps: FloatArray
    pbc: NDArray[np.bool_] = field(default_factory=lambda: np.ones(3, dtype=bool))
    energies: FloatArray | None = None
    forces: FloatArray | None = None
    velocities: FloatArray | None = None
    stresses: FloatArray | None = None
    provenance: Provenance = Provenance()

    def __post_init__(self) -> None:
        positions = np.asarray(self.positions)
        if positions.ndim != 3 or positions.shape[2] != 3:
            raise InputError("positions", expected="(frames, atoms, 3)", found=positions.shape)
        n_frames, n_atoms, _ = positions.shape
        if n_atoms == 0:
            raise InputError("trajectory", expected="at least one atom", found="none")
        if positions.dtype not in (np.float32, np.float64):
            positions = positions.astype(np.float64)
        shapes = {
            "positions": (n_frames, n_atoms, 3),
            "cells": (n_frames, 3, 3),
            "atomic_numbers": (n_atoms,),
            "times_ps": (n_frames,),
            "pbc": (3,),
            "energies": (n_frames,),
            "forces": (n_frames, n_atoms, 3),
            "velocities": (n_frames, n_atoms, 3),
            "stresses": (n_frames, 3, 3),
        }
        for name, shape in shapes.items():
            value = getattr(self, name)
            if value is None:
                continue
            array = np.asarray(positions if name == "positions" else value)
            if name == "cells" and array.shape == (3, 3):
                array = np.broadcast_to(array, shape)
            if array.shape != shape:
                raise InputError(name, expected=f"shape {shape}", found=array.shape)
            if name in ("positions", "cells") and not np.isfinite(array).all():
                frame = int(np.argwhere(~np.isfinite(array))[0][0])
                raise InputError(f"{name} of frame {frame}", expected="finite", found="NaN or inf")
            view = array.view()
            view.flags.writeable = False
            object.__setattr__(self, name, view)
        if self.pbc.any() and n_frames:
            check_cells(self.cells)

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        return int(self.positions.shape[0])

    @property
    def n_atoms(self) -> int:
        """Number of atoms."""
        return int(self.positions.shape[1])

    @property
    def symbols(self) -> list[str]:
        """Element symbol of every atom."""
        return [chemical_symbols[z] for z in self.atomic_numbers]

    @property
    def formula(self) -> str:
        """Reduced chemical formula, electropositive elements first, as `Li10GeP2S12`."""
        return reduced_formula(self.atomic_numbers)

    @cached_property
    def frame_interval_fs(self) -> float | None:
        """Time between frames, fs; None for a single frame or frames without a time axis."""
        return frame_interval(self.times_ps)

    @cached_property
    def volumes(self) -> FloatArray:
        """(n_frames,) Å³, cell volumes."""
        return np.asarray(np.abs(np.linalg.det(self.cells)))

    def __len__(self) -> int:
        return self.n_frames

    def __getitem__(self, frames: slice) -> Self:
        """The trajectory of a slice of the frames, as `trajectory[1000::10]`."""
        if not isinstance(frames, slice):
            raise TypeError("slice the frames: trajectory[i : i + 1] is the frame i")
        cut = {
            f.name: value[frames]
            for f in dataclasses.fields(self)
            if f.name not in ("atomic_numbers", "pbc", "provenance")
            and (value := getattr(self, f.name)) is not None
        }
        return dataclasses.replace(self, **cut)

    def select(self, *symbols: str) -> Self:
        """The trajectory of the atoms of some elements only, as `trajectory.select("Li")`."""
        keep = np.isin(self.atomic_numbers, [element_number(s) for s in symbols])
        if not keep.any():
            raise InputError(
                f"no atom of {', '.join(symbols)}", remedy=suggest(symbols[0], set(self.symbols))
            )
        cut = {
            name: value[:, keep]
            for name in ("positions", "forces", "velocities")
            if (value := getattr(self, name)) is not None
        }
        return dataclasses.replace(self, atomic_numbers=self.atomic_numbers[keep], **cut)

    def wrapped_positions(self) -> FloatArray:
        """(n_frames, n_atoms, 3) Å, positions moved into the cell along its periodic vectors."""
        if not self.pbc.any():
            return np.array(self.positions)
        scaled = np.einsum("fai,fij->faj", self.positions, np.linalg.inv(self.cells))
        images = np.floor(scaled) * self.pbc
        return np.asarray(self.positions - np.einsum("fai,fij->faj", images, self.cells))

    def kinetic_temperatures(self) -> FloatArray | None:
        """(n_frames,) K, from the velocities: see `kinetic_temperatures`; None without them."""
        if self.velocities is None:
            return None
        return kinetic_temperatures(self.velocities, self.atomic_numbers)

    @classmethod
    def from_ase(
        cls, images: Sequence[Atoms], *, frame_interval_fs: float, unwrap: bool = True
    ) -> Self:
        """The trajectory of a list of ASE `Atoms`, with what their calculators hold.

        Args:
            images: Frames of the same atoms in the same order.
            frame_interval_fs: Time between the frames, fs; 0 where they have no time axis.
            unwrap: Follow atoms across the periodic boundary by minimum image.
        """
        images = list(images)
        if not images:
            raise InputError("images", expected="at least one ASE Atoms", found="none")
        first = images[0]
        for frame, atoms in enumerate(images):
            if not np.array_equal(atoms.numbers, first.numbers):
                raise InputError(
                    f"images[{frame}]",
                    expected=f"the atoms of images[0], {first.symbols} in that order",
                    found=str(atoms.symbols),
                )
        known = [set() if a.calc is None else set(a.calc.results) for a in images]
        everywhere = set.intersection(*known)
        cells = np.array([a.cell.array for a in images])
        positions = np.array([a.positions for a in images])
        if unwrap and frame_interval_fs:
            positions = Unwrapper(first.pbc).unwrap(positions, cells)
        return cls(
            positions=positions,
            cells=cells,
            atomic_numbers=first.numbers,
            times_ps=np.arange(len(images)) * frame_interval_fs * FS_IN_PS,
            pbc=first.pbc,
            energies=np.array([a.calc.results["energy"] for a in images])
            if "energy" in everywhere
            else None,
            forces=np.array([a.calc.results["forces"] for a in images])
            if "forces" in everywhere
            else None,
            velocities=np.array([a.get_velocities() for a in images]) / ASE_TIME_IN_FS
            if all(a.has("momenta") for a in images)
            else None,
            stresses=np.array([a.get_stress(voigt=False) for a in images])
            if "stress" in everywhere
            else None,
        )

    @classmethod
    def from_pymatgen(
        cls, trajectory: PymatgenTrajectory, *, frame_interval_fs: float | None = None
    ) -> Self:
        """The trajectory of a pymatgen `Trajectory` of structures, unwrapped by minimum image.

        Args:
            trajectory: With a lattice; fractional coordinates or displacements.
            frame_interval_fs: Time between the frames, fs; by default its `time_step`.
        """
        if trajectory.lattice is None:
            raise InputError(
                "pymatgen Trajectory", expected="structures with a lattice", found="molecules"
            )
        interval = trajectory.time_step if frame_interval_fs is None else frame_interval_fs
        if interval is None:
            raise InputError(
                "pymatgen Trajectory", expected="a time_step", remedy="give frame_interval_fs"
            )
        trajectory = copy.copy(trajectory)  # to_positions changes it in place
        trajectory.to_positions()
        scaled = np.asarray(trajectory.coords, dtype=float)
        cells = np.broadcast_to(
            np.asarray(trajectory.lattice, dtype=float).reshape(-1, 3, 3), (len(scaled), 3, 3)
        )
        numbers = [
            element_number(getattr(getattr(s, "element", s), "symbol", str(s)))
            for s in trajectory.species
        ]
        positions = np.einsum("fai,fij->faj", scaled, cells)
        return cls(
            positions=Unwrapper(np.ones(3, dtype=bool)).unwrap(positions, cells),
            cells=cells,
            atomic_numbers=np.array(numbers),
            times_ps=np.arange(len(scaled)) * float(interval) * FS_IN_PS,
        )

    def to_ase(self) -> list[Atoms]:
        """The frames as ASE `Atoms`, with energy, forces and stress where they are known."""
        from ase import Atoms
        from ase.calculators.singlepoint import SinglePointCalculator

        images = []
        for frame in range(self.n_frames):
            atoms = Atoms(
                numbers=self.atomic_numbers,
                positions=self.positions[frame],
                cell=self.cells[frame],
                pbc=self.pbc,
            )
            if self.velocities is not None:
                atoms.set_velocities(self.velocities[frame].astype(np.float64) * ASE_TIME_IN_FS)
            results: dict[str, Any] = {}
            if self.energies is not None:
                results["energy"] = float(self.energies[frame])
            if self.forces is not None:
                results["forces"] = np.array(self.forces[frame])
            if self.stresses is not None:
                s = self.stresses[frame]
                results["stress"] = np.array([s[0, 0], s[1, 1], s[2, 2], s[1, 2], s[0, 2], s[0, 1]])
            if results:
                atoms.calc = SinglePointCalculator(atoms, **results)
            images.append(atoms)
        return images


class Unwrapper:
    """Follows atoms across periodic boundaries, block after block of consecutive frames.

    The displacement of an atom between consecutive frames is its shortest periodic image, found
    in the Minkowski-reduced cell with the 26 cells around it (right for any triclinic cell).
    Where the cell changes from frame to frame, the displacement is taken in fractional
    coordinates and measured in the later frame's cell.

    Attributes:
        largest_step: Largest displacement seen, as a share of half the shortest lattice vector.
        largest_at: (frame, atom) of that displacement, frames counted over all blocks.
    """

    def __init__(self, pbc: ArrayLike) -> None:
        self.pbc = np.asarray(pbc, dtype=bool)
        self.largest_step = 0.0
        self.largest_at = (0, 0)
        self._n_frames = 0
        self._last_scaled: FloatArray | None = None
        self._last_images: NDArray[np.int64] | None = None

    def image_counts(self, scaled: FloatArray, cells: FloatArray) -> NDArray[np.int64]:
        """(n_frames, n_atoms, 3) how many lattice vectors to add to each position.

        Args:
            scaled: (n_frames, n_atoms, 3) fractional coordinates, wrapped or not.
            cells: (n_frames, 3, 3) Å.

        Raises:
            InputError: An atom moved further between two frames than can be unwrapped.
        """
        first = scaled[:1] if self._last_scaled is None else self._last_scaled[None]
        steps = np.diff(np.concatenate([first, scaled]), axis=0)  # (F, A, 3)
        images = np.empty(steps.shape, dtype=np.int64)
        for start, stop in _equal_cells(cells):
            images[start:stop] = self._shortest_images(
                steps[start:stop], cells[start], self._n_frames + start
            )
        if self._last_images is not None:
            images[0] += self._last_images
        np.cumsum(images, axis=0, out=images)
        self._last_scaled, self._last_images = scaled[-1].copy(), images[-1].copy()
        self._n_frames += len(scaled)
        return images

    def unwrap(self, positions: FloatArray, cells: FloatArray) -> FloatArray:
        """(n_frames, n_atoms, 3) Å, Cartesian positions followed across the boundaries."""
        if not self.pbc.any():
            self._n_frames += len(positions)
            return np.array(positions)
        check_cells(cells, first_frame=self._n_frames)
        scaled = np.einsum("fai,fij->faj", positions, np.linalg.inv(cells))
        images = self.image_counts(scaled, cells)
        return np.asarray(positions + np.einsum("fai,fij->faj", images, cells))

    def _shortest_images(
        self, steps: FloatArray, cell: FloatArray, first_frame: int
    ) -> NDArray[np.int64]:
        if not self.pbc.any():
            return np.zeros(steps.shape, dtype=np.int64)
        reduced, transform = minkowski_reduce(cell, pbc=self.pbc)  # reduced = transform @ cell
        inverse = np.rint(np.linalg.inv(transform))
        heights = 1.0 / np.linalg.norm(np.linalg.inv(reduced), axis=0)
        lengths = np.linalg.norm(reduced, axis=1)
        local = steps @ inverse
        # Where a vector is not periodic, only what lies in the span of the others is rounded.
        within = (
            local
            if self.pbc.all()
            else local @ reduced @ np.linalg.pinv(reduced * self.pbc[:, None])
        )
        images = -np.rint(within)
        moved = (local + images) @ reduced  # (F, A, 3) Å
        squared = np.einsum("fai,fai->fa", moved, moved)
        # Inside the largest sphere of the cell no other image can be nearer.
        unsure = np.nonzero(squared > (0.5 * heights[self.pbc].min()) ** 2)
        if unsure[0].size:
            around = _NEIGHBOR_IMAGES[(_NEIGHBOR_IMAGES[:, ~self.pbc] == 0).all(axis=1)]
            others = moved[unsure][:, None] + around @ reduced  # (U, 26, 3) Å
            distances = np.einsum("uki,uki->uk", others, others)
            best = distances.argmin(axis=1)
            nearest = distances[np.arange(len(best)), best]
            nearer = nearest < squared[unsure]
            rows = tuple(index[nearer] for index in unsure)
            images[rows] += around[best[nearer]]
            squared[rows] = nearest[nearer]
        self._watch(squared, 0.5 * lengths[self.pbc].min(), first_frame)
        return np.asarray(np.rint(images @ transform), dtype=np.int64)

    def _watch(self, squared: FloatArray, half_shortest: float, first_frame: int) -> None:
        frame, atom = np.unravel_index(int(squared.argmax()), squared.shape)
        share = float(squared[frame, atom] ** 0.5) / half_shortest
        if share > self.largest_step:
            self.largest_step = share
            self.largest_at = (first_frame + int(frame), int(atom))
        if share > UNWRAP_LIMIT:
            raise InputError(
                f"frame {first_frame + frame}, atom {atom}: frames too far apart to unwrap",
                expected=f"a step below {UNWRAP_LIMIT * half_shortest:.2f} A "
                f"({UNWRAP_LIMIT} of half the shortest lattice vector)",
                found=f"{share * half_shortest:.2f} A",
                remedy="store frames more often, or unwrapped coordinates or image flags; "
                "--frame-interval-fs 0 stores frames without a time axis",
            )


def check_cells(cells: FloatArray, *, first_frame: int = 0) -> None:
    """Refuses cells that are not finite or have no volume, naming the frame."""
    bad = ~np.isfinite(cells).all(axis=(1, 2))
    if not bad.any():
        lengths = np.linalg.norm(cells, axis=2)
        bad = np.abs(np.linalg.det(cells)) <= 1e-6 * lengths.prod(axis=1)
    if bad.any():
        frame = int(np.flatnonzero(bad)[0])
        raise InputError(
            f"frame {first_frame + frame}: cell",
            expected="three lattice vectors that span a volume",
            found=np.array2string(cells[frame], precision=4, separator=",").replace("\n", ""),
        )


def frame_interval(times_ps: FloatArray) -> float | None:
    """Time between frames, fs: the median step; None for one frame or without a time axis."""
    if len(times_ps) < 2 or times_ps[-1] == times_ps[0]:
        return None
    return float(np.median(np.diff(times_ps))) / FS_IN_PS


def kinetic_temperatures(velocities: FloatArray, numbers: IntArray) -> FloatArray:
    """(n_frames,) K, the kinetic temperature of each frame.

    3N − 3 degrees of freedom where the total momentum is zero (below 1e-3 of the momenta's
    root sum of squares), else 3N; undefined (NaN) for a single atom at rest in its own frame.

    Args:
        velocities: (n_frames, n_atoms, 3) Å/fs.
        numbers: (n_atoms,) atomic numbers.
    """
    masses = atomic_masses[numbers]
    momenta = velocities * masses[:, None]  # (F, A, 3) amu Å/fs
    twice_kinetic = np.einsum("fai,fai->f", momenta, velocities) * AMU_ANGSTROM2_PER_FS2_IN_EV
    total = np.linalg.norm(momenta.sum(axis=1), axis=1)
    scale = np.sqrt(np.einsum("fai,fai->f", momenta, momenta))
    at_rest = bool((total <= 1e-3 * scale + 1e-12).all())
    freedoms = 3 * len(masses) - (3 if at_rest else 0)
    if freedoms <= 0:
        return np.full(len(velocities), np.nan)
    return np.asarray(twice_kinetic / (freedoms * BOLTZMANN_EV_PER_K))


def element_number(symbol: str) -> int:
    """The atomic number of an element symbol, in any case."""
    name = symbol.strip().capitalize()
    if name not in atomic_numbers or name == "X":
        raise InputError(f"unknown element {symbol!r}", remedy=suggest(name, chemical_symbols[1:]))
    return int(atomic_numbers[name])


def reduced_formula(numbers: IntArray) -> str:
    """Reduced chemical formula in order of electronegativity, as `Li10GeP2S12`."""
    from ase.symbols import Symbols

    formula, _ = Formula(Symbols(np.asarray(numbers)).get_chemical_formula()).reduce()
    order = sorted(formula.count().items(), key=lambda item: _formula_place(item[0]))
    return "".join(f"{symbol}{count if count > 1 else ''}" for symbol, count in order)


#: Cations first, the anions of salts last: the order in which formulas are usually written.
_FORMULA_ORDER = (
    "Li Na K Rb Cs Be Mg Ca Sr Ba Ag Cu Tl La Ce Pr Nd Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Y Sc Zr Hf "
    "Ti Nb Ta V W Mo Cr Mn Fe Co Ni Zn Cd Hg Al Ga In Pb Bi Sn Ge Si B Sb As P C H N Te Se S O "
    "I Br Cl F"
)


def _equal_cells(cells: FloatArray) -> list[tuple[int, int]]:
    """(start, stop) of the runs of consecutive frames that share one cell."""
    changes = np.flatnonzero(np.any(np.diff(cells, axis=0) != 0, axis=(1, 2))) + 1
    edges = [0, *changes.tolist(), len(cells)]
    return list(pairwise(edges))


def _formula_place(symbol: str) -> int:
    order = _FORMULA_ORDER.split()
    return order.index(symbol) if symbol in order else len(order)
