"""Any calculator of ASE as a force field of the engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from threading import Lock
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError
from ase.stress import voigt_6_to_full_3x3_stress
from numpy.typing import NDArray

from mdbench.errors import InputError
from mdbench.potentials.base import FloatArray, Systems


class AseForceField:
    """A force field that asks calculators of ASE.

    Args:
        make: Makes a calculator.
        label: As provenance states it.
        shared: Whether one calculator serves all systems in turn. For large networks, whose results
            depend on the atoms alone. Otherwise each system has its own, and what a calculator
            keeps from step to step (neighbor lists, wave functions) stays with its system.

    Several threads may use it: calculators are made one at a time, and a shared one is asked one
    question at a time.
    """

    def __init__(self, make: Callable[[], Any], label: str, *, shared: bool = False) -> None:
        self.label = label
        self.closest: Mapping[str, float] = {}
        self._make = make
        self._shared = shared
        self._calculator: Any = None
        self._lock = Lock()

    def evaluator(self, systems: Systems) -> AseEvaluator:
        """An evaluator for these systems.

        Raises:
            InputError: A calculator that cannot be made, or that refuses the atoms at once.
        """
        with self._lock:
            calculators = [self._one() for _ in systems.cells]
        return AseEvaluator(systems, calculators, self.label, self._lock if self._shared else None)

    def _one(self) -> Any:
        """A calculator for a system."""
        if self._calculator is not None:
            return self._calculator
        try:
            calculator = self._make()
        except Exception as error:
            raise _refused(self.label, error) from error
        if isinstance(calculator, type) or not hasattr(calculator, "get_property"):
            raise InputError(
                f"calculator {self.label}",
                expected="a function or class that returns a calculator of ASE",
                found=f"one that returns {_kind(calculator)}",
            )
        if self._shared:
            self._calculator = calculator
        return calculator


class AseEvaluator:
    """Energies, forces and virials of some systems (`base.Evaluator`).

    Energies are those that belong to the forces (ASE's `free_energy`) where a calculator tells
    them apart. Virials are NaN where it has no stress. NaN from a calculator is passed on.
    """

    def __init__(
        self, systems: Systems, calculators: list[Any], label: str, lock: Lock | None = None
    ) -> None:
        self.energies = np.zeros(systems.n_systems)
        self.forces = np.zeros((len(systems.atomic_numbers), 3))
        self.virials = np.zeros((systems.n_systems, 3, 3))
        self._label = label
        self._turn = lock or nullcontext()
        self._first_atom = np.array(systems.first_atom)
        self._atoms: list[Atoms] = []
        for s, calculator in enumerate(calculators):
            numbers = systems.atomic_numbers[self._first_atom[s] : self._first_atom[s + 1]]
            atoms = Atoms(numbers=numbers, cell=systems.cells[s], pbc=True)
            try:
                atoms.calc = calculator
            except Exception as error:
                raise _refused(label, error) from error
            self._atoms.append(atoms)

    def evaluate(self, positions: FloatArray, active: NDArray[np.bool_]) -> None:
        """Computes energies, forces and virials in place.

        Args:
            positions: (n_atoms, 3) Å, wrapped or not.
            active: (n_systems,) the others keep what they have.

        Raises:
            InputError: A calculator that raises, or that returns arrays of another shape.
        """
        for s in np.flatnonzero(active):
            atoms, rows = self._atoms[s], slice(self._first_atom[s], self._first_atom[s + 1])
            atoms.set_positions(positions[rows])
            try:
                with self._turn:
                    forces = _property(atoms, "forces")
                    energy = _energy(atoms)
                    stress = stress_of(atoms)
            except Exception as error:
                raise _refused(self._label, error) from error
            _check_shape(self._label, "forces", forces, (len(atoms), 3))
            _check_shape(self._label, "stress", stress, (3, 3))
            if energy.size != 1:
                _check_shape(self._label, "energy", energy, ())
            self.forces[rows] = forces
            self.energies[s] = energy.item()
            self.virials[s] = -stress * atoms.get_volume()

    def state(self) -> dict[str, NDArray[Any]]:
        """Nothing: results depend on the positions alone, as far as the calculator can be known."""
        return {}

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Does nothing."""


def _property(atoms: Atoms, name: str) -> FloatArray:
    return np.asarray(atoms.calc.get_property(name, atoms), dtype=np.float64)


def _energy(atoms: Atoms) -> FloatArray:
    """Energy that the forces are the slope of, eV."""
    try:
        return _property(atoms, "free_energy")
    except PropertyNotImplementedError:
        return _property(atoms, "energy")


def stress_of(atoms: Atoms) -> FloatArray:
    """(3, 3) eV/Å³ of the atoms' calculator; NaN where it has none."""
    try:
        stress = _property(atoms, "stress")
    except NotImplementedError:
        return np.full((3, 3), np.nan)
    full: FloatArray = voigt_6_to_full_3x3_stress(stress) if stress.shape == (6,) else stress
    return full


def _check_shape(label: str, name: str, array: FloatArray, shape: tuple[int, ...]) -> None:
    if array.shape != shape:
        raise InputError(
            f"calculator {label}: {name}", expected=f"shape {shape}", found=array.shape
        )


def _refused(label: str, error: Exception) -> InputError:
    """What a calculator raised, in one line."""
    if isinstance(error, InputError):
        return error
    return InputError(f"calculator {label}: {type(error).__name__}: {error}")


def _kind(thing: Any) -> str:
    """What something is, for a message."""
    return f"the class {thing.__name__}" if isinstance(thing, type) else type(thing).__name__
