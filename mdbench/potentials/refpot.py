"""`refpot-v1`: an analytic potential of Li, Ge, P and S that runs the benchmark without DFT.

Made for this project, tuned until lithium diffused as in sulfide electrolytes and the tetrahedra
PS4 and GeS4 held; not fitted to DFT. Its numbers say nothing about real materials, and its label
says so wherever it goes. The sum runs over all pairs within the cutoff rc, periodic images and
bonded pairs included; with x = r − rc (eV, Å):

    electrostatics   k qi qj [1/r − 15/(8 rc) + 5 r²/(4 rc³) − 3 r⁴/(8 rc⁵)]
    repulsion        A [exp(−r/ρ) − exp(−rc/ρ) (1 − x/ρ + x²/(2 ρ²))]
    dispersion       −C [r⁻⁶ − rc⁻⁶ + 6 x rc⁻⁷ − 21 x² rc⁻⁸]
    bond             D [exp(−2a (r − r0)) − 2 exp(−a (r − r0))] s(r)
    angle at P, Ge   λ h(r) h(r′) (cos θ + 1/3)²

The first three vanish at rc with slope and curvature. s is 1 below r1, 0 beyond r2 and
1 − t³ (10 − 15 t + 6 t²), t = (r − r1)/(r2 − r1), between; h = exp(1/(r − r3)) below r3, else 0.
There is no bond topology: bonds may break and form.

S–S turns attractive below 0.97 Å, behind a barrier of 234 eV.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import combinations_with_replacement
from typing import Any, NamedTuple

import numpy as np
from ase.data import atomic_numbers, chemical_symbols
from numpy.typing import NDArray

from mdbench.errors import InputError
from mdbench.neighbors import check_cell
from mdbench.potentials.base import FloatArray, IntArray, Systems
from mdbench.potentials.refpot_kernel import (
    ABSENT,
    READY,
    RESERVE,
    STALE,
    Atoms,
    Lists,
    Pairs,
    Results,
    Tables,
    Work,
    evaluate,
)

#: Centers of bonds and angles before their ligands.
SPECIES = ("Ge", "P", "Li", "S")


class Repulsion(NamedTuple):
    """A in eV and ρ in Å."""

    strength: float
    length: float


class Bond(NamedTuple):
    """D in eV, a in 1/Å, r0 in Å and λ in eV of the angles between such bonds."""

    depth: float
    steepness: float
    length: float
    angle: float


@dataclass(frozen=True)
class Parameters:
    """The numbers in the formulas of this module, eV and Å.

    Attributes:
        cutoff: rc.
        coulomb_constant: k, eV Å/e².
        charges: q of each species, e.
        repulsions: Of pairs of species.
        dispersions: C of pairs of species, eV Å⁶.
        bonds: Of pairs of species, the center first.
        switch: r1 and r2 of the bonds.
        angle_reach: r3.
    """

    cutoff: float = 6.0
    coulomb_constant: float = 14.3996454
    charges: Mapping[str, float] = field(
        default_factory=lambda: {"Li": 0.92, "P": 1.04, "Ge": 0.12, "S": -0.95}
    )
    repulsions: Mapping[tuple[str, str], Repulsion] = field(
        default_factory=lambda: {
            ("Li", "S"): Repulsion(25310.0, 0.195),
            ("S", "S"): Repulsion(7562.0, 0.338),
            ("Ge", "Li"): Repulsion(4067.0, 0.330),
        }
    )
    dispersions: Mapping[tuple[str, str], float] = field(
        default_factory=lambda: {("S", "S"): 170.0}
    )
    bonds: Mapping[tuple[str, str], Bond] = field(
        default_factory=lambda: {
            ("P", "S"): Bond(5.0, 1.340, 2.002, 5.03),
            ("Ge", "S"): Bond(5.0, 1.394, 2.071, 3.95),
        }
    )
    switch: tuple[float, float] = (2.5, 2.9)
    angle_reach: float = 3.5

    def digest(self) -> str:
        """SHA-256 over all parameters, hexadecimal."""
        values = [
            [name, sorted(value.items()) if isinstance(value, Mapping) else value]
            for name, value in sorted(vars(self).items())
        ]
        return hashlib.sha256(json.dumps(values).encode()).hexdigest()

    def tables(self, skin: float) -> Tables:
        """The parameters as the kernel takes them, with the skin of its lists in Å."""
        pairs = list(combinations_with_replacement(range(len(SPECIES)), 2))
        kinds = np.zeros((len(pairs), 8))
        kind_of = np.zeros((len(SPECIES), len(SPECIES)), dtype=np.int64)
        for row, (a, b) in enumerate(pairs):
            kind_of[a, b] = kind_of[b, a] = row
            names = SPECIES[a], SPECIES[b]
            sorted_names = min(names), max(names)
            product = self.charges[names[0]] * self.charges[names[1]]
            kinds[row, 0] = self.coulomb_constant * product
            kinds[row, 1:3] = self.repulsions.get(sorted_names, (0.0, 1.0))
            kinds[row, 3] = self.dispersions.get(sorted_names, 0.0)
            kinds[row, 4:] = self.bonds.get(names, (0.0, 0.0, 0.0, 0.0))
        lengths = np.array([self.cutoff, skin, *self.switch, self.angle_reach])
        return Tables(kinds, kind_of, lengths)


PARAMETERS = Parameters()


def species_of(numbers: IntArray) -> IntArray:
    """(n_atoms,) place of each element in `SPECIES`.

    Args:
        numbers: (n_atoms,) atomic numbers.

    Raises:
        InputError: An element that has no parameters.
    """
    known = np.array([atomic_numbers[name] for name in SPECIES])
    matches = numbers[:, None] == known  # (A, 4)
    strange = sorted({chemical_symbols[n] for n in numbers[~matches.any(axis=1)]})
    if strange:
        raise InputError(
            "refpot-v1",
            expected=f"only {', '.join(sorted(SPECIES))}",
            found=", ".join(strange),
            remedy="it is a toy potential of these four elements alone",
        )
    species: IntArray = matches.argmax(axis=1)
    return species


class RefPot:
    """The embedded reference potential, for the MD engine.

    Args:
        parameters: Other numbers in the same formulas; the label tells them apart by their hash.
        skin: By how much a neighbor list reaches beyond the cutoff, Å: costs time, changes nothing.
    """

    #: Its kernels run without Python's lock, so threads do not wait for each other.
    releases_lock = True

    def __init__(self, parameters: Parameters = PARAMETERS, *, skin: float = 1.0) -> None:
        self.parameters = parameters
        self.skin = skin
        self.closest: Mapping[str, float] = {}
        self.label = (
            "synthetic-refpot-v1 (analytic toy potential, not DFT), "
            f"parameters {parameters.digest()[:8]}"
        )

    def evaluator(self, systems: Systems) -> RefPotEvaluator:
        """An evaluator for these systems; it keeps a neighbor list for each.

        Raises:
            InputError: An element other than Ge, Li, P and S, or a cell without volume.
        """
        return RefPotEvaluator(systems, self.parameters.tables(self.skin))


class RefPotEvaluator:
    """Energies, forces and virials of some systems (`base.Evaluator`).

    Results of a system are bit for bit the same alone, in any batch, and after `restore`.
    """

    def __init__(self, systems: Systems, tables: Tables) -> None:
        n_systems, n_atoms = systems.n_systems, len(systems.atomic_numbers)
        first = systems.first_atom
        species = species_of(systems.atomic_numbers)
        owner = np.repeat(np.arange(n_systems), np.diff(first))
        order = np.lexsort((species, owner))
        reach = float(tables.lengths[0] + tables.lengths[1]) + RESERVE
        lattices = [check_cell(cell, reach, system=s) for s, cell in enumerate(systems.cells)]
        self._tables = tables
        self._atoms = Atoms(
            first_atom=np.array(first, dtype=np.int64),
            order=order,
            species=species[order],
            cells=np.array(systems.cells, dtype=np.float64, order="C"),
            inverses=np.array([inverse for inverse, _ in lattices]).reshape(-1, 3, 3),
            heights=np.array([heights for _, heights in lattices]).reshape(-1, 3),
        )
        self.energies = np.zeros(n_systems)
        self.forces = np.zeros((n_atoms, 3))
        self.virials = np.zeros((n_systems, 3, 3))
        self._results = Results(self.energies, self.forces, self.virials)
        self._positions = np.zeros((n_atoms, 3))
        self._active = np.zeros(n_systems, dtype=np.bool_)
        self._status = np.full(n_systems, ABSENT, dtype=np.int64)
        self._reference = np.zeros((n_atoms, 3))
        self._make_room(self._expected_pairs(reach))

    def evaluate(self, positions: FloatArray, active: NDArray[np.bool_]) -> None:
        """Computes energies, forces and virials in place.

        Args:
            positions: (n_atoms, 3) Å, wrapped or not.
            active: (n_systems,) the others keep what they have.
        """
        self._positions[:] = positions  # of the one type that the kernel is compiled for
        self._active[:] = active
        while True:
            system = evaluate(
                self._positions,
                self._active,
                self._tables,
                self._atoms,
                self._lists,
                self._results,
                self._work,
            )
            if system == len(self.energies):
                return
            room = np.diff(self._lists.first_pair)
            room[system] = 1.3 * self._lists.far.kind_starts[system, -1]
            self._make_room(room)

    def state(self) -> dict[str, NDArray[Any]]:
        """Where each system's neighbor list was built, and whether it has one."""
        return {
            "list_positions": self._reference.copy(),
            "has_list": self._status != ABSENT,
        }

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Builds the lists where they were built then, at the next `evaluate`."""
        self._reference[:] = state["list_positions"]
        self._status[:] = np.where(state["has_list"], STALE, ABSENT)

    def _expected_pairs(self, reach: float) -> IntArray:
        """(n_systems,) pairs of systems of even density, and some more."""
        n_atoms = np.diff(self._atoms.first_atom)
        volumes = np.abs(np.linalg.det(self._atoms.cells))
        sphere = 4.0 / 3.0 * math.pi * reach**3
        pairs: IntArray = (0.65 * n_atoms * n_atoms * sphere / volumes + 64).astype(np.int64)
        return pairs

    def _make_room(self, n_pairs: IntArray) -> None:
        """New lists with room for (n_systems,) pairs, to be filled at their references."""
        first = np.concatenate([[0], np.cumsum(n_pairs)]).astype(np.int64)
        largest = int(n_pairs.max(initial=0)) + 1
        n_atoms = int(np.diff(self._atoms.first_atom).max(initial=0))
        self._status[self._status == READY] = STALE
        self._lists = Lists(
            status=self._status,
            first_pair=first,
            far=_no_pairs(self._reference, n_pairs, len(self._tables.kinds)),
            near=_no_pairs(np.zeros_like(self._reference), n_pairs, len(self._tables.kinds)),
        )
        self._work = Work(
            positions=np.zeros((3, n_atoms)),
            forces=np.zeros((3, n_atoms)),
            ends=np.zeros((2, largest), dtype=np.uint32),
            pairs=np.zeros((6, largest)),
            bonds=np.zeros((6, largest)),
            chosen=np.zeros(largest, dtype=np.int64),
        )


def _no_pairs(reference: FloatArray, n_pairs: IntArray, n_kinds: int) -> Pairs:
    """Room for (n_systems,) pairs that are to be chosen at a reference."""
    room = int(n_pairs.sum())
    return Pairs(
        reference=reference,
        kind_starts=np.zeros((len(n_pairs), n_kinds + 1), dtype=np.int64),
        ends=np.zeros((2, room), dtype=np.uint32),
        shifts=np.zeros((3, room)),
    )
