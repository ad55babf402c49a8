"""Controls of the audit: the embedded potential passes, and with a planted fault it does not."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from mdbench.analysis.audit import audit
from mdbench.analysis.control import Control
from mdbench.potentials.base import FloatArray, ForceField, Systems
from mdbench.potentials.materials import material
from mdbench.potentials.refpot import PARAMETERS, RefPot, RefPotEvaluator


def audit_controls(seed: int) -> Iterator[Control]:
    """A sound force field fails no check; of each planted fault exactly those fail that name it."""
    crystal = material("gamma-li3ps4")
    for name, (force_field, expected) in _FORCE_FIELDS.items():
        made = audit(
            force_field, crystal.atomic_numbers, crystal.positions, crystal.cell, seed=seed
        )
        failed = [check.name for check in made.checks if not check.passed]
        yield Control(
            f"force field: {name}",
            ", ".join(expected) or "no fault",
            ", ".join(failed) or "no fault",
            failed == list(expected),
        )


class _Evaluator(RefPotEvaluator):
    """The embedded potential's evaluator, after which a fault changes what it found."""

    def __init__(self, systems: Systems, fault: Fault) -> None:
        super().__init__(systems, PARAMETERS.tables(1.0))
        self.n_atoms = np.diff(systems.first_atom)
        self._fault = fault

    def evaluate(self, positions: FloatArray, active: NDArray[np.bool_]) -> None:
        super().evaluate(positions, active)
        self._fault(self, positions)


Fault = Callable[[_Evaluator, FloatArray], None]


class _Faulty:
    """The embedded potential with a fault."""

    def __init__(self, fault: Fault) -> None:
        self.label = "faulty"
        self.closest: Mapping[str, float] = {}
        self._fault = fault

    def evaluator(self, systems: Systems) -> RefPotEvaluator:
        return _Evaluator(systems, self._fault)


def _mean_readout(found: _Evaluator, positions: FloatArray) -> None:
    """The mean over atoms, as several published models have it."""
    found.energies /= found.n_atoms
    found.virials /= found.n_atoms[:, None, None]
    found.forces /= np.repeat(found.n_atoms, found.n_atoms)[:, None]


def _preferred_direction(found: _Evaluator, positions: FloatArray) -> None:
    found.forces[:, 0] *= 1.01


def _mixed_batch(found: _Evaluator, positions: FloatArray) -> None:
    scale = 1.0 + 0.1 * (len(found.energies) - 1)
    for values in (found.energies, found.forces, found.virials):
        values *= scale


def _every_other_atom(found: _Evaluator, positions: FloatArray) -> None:
    found.forces[::2] *= 1.01


#: Name -> (force field, the checks that it fails).
_FORCE_FIELDS: dict[str, tuple[ForceField, tuple[str, ...]]] = {
    "sound": (RefPot(), ()),
    "mean over atoms": (_Faulty(_mean_readout), ("extensivity",)),
    "preferred direction": (
        _Faulty(_preferred_direction),
        ("rotation", "reflection", "conservativeness"),
    ),
    "mixed batch": (_Faulty(_mixed_batch), ("batch_independence",)),
    "order of atoms": (_Faulty(_every_other_atom), ("permutation", "conservativeness")),
    "bonds cut off": (
        RefPot(dataclasses.replace(PARAMETERS, switch=(2.5, 2.5 + 1e-12))),
        ("cutoff_smoothness",),
    ),
}
