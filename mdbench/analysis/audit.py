"""Is a force field what it claims to be? Symmetry, slopes, smoothness, repeatability, measured.

Only energies, forces and virials of structures are asked for, so anything that the MD engine can
run can be audited. Deviations are relative: forces to the root mean square of their components,
energies and virials to the energy or the rms force times 1 Å for every atom, whichever is larger.
A force field in double precision is held to 1e-8, another one to 1e-4. Checks that it does not
claim to pass are measured all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from mdbench.analysis import audit_symmetry as symmetry
from mdbench.analysis.audit_probe import (
    Noise,
    Probe,
    Structure,
    audited,
    is_single,
    noise_of,
    small_structure,
)
from mdbench.analysis.audit_slopes import conservativeness
from mdbench.analysis.audit_smoothness import cutoff_smoothness
from mdbench.analysis.audit_symmetry import Bench, Part
from mdbench.errors import InputError, suggest
from mdbench.potentials.base import FloatArray, ForceField, IntArray

#: Relative deviations that rounding explains, in double and in lower precision.
DOUBLE, SINGLE = 1e-8, 1e-4

Progress = Callable[[float, str], None]
_Parts = Callable[[Bench, np.random.Generator], Iterator[Part]]


@dataclass(frozen=True)
class _Definition:
    """A check by its function, and what it does in a few words."""

    parts: _Parts
    done: str


_DEFINITIONS: dict[str, _Definition] = {
    "translation": _Definition(symmetry.translation, "all atoms moved together"),
    "rotation": _Definition(symmetry.rotations, "cell and atoms rotated"),
    "reflection": _Definition(symmetry.reflection, "inverted, and mirrored"),
    "permutation": _Definition(symmetry.permutation, "atoms in another order"),
    "periodic_wrap": _Definition(symmetry.periodic_wrap, "atoms moved by whole cells"),
    "extensivity": _Definition(symmetry.extensivity, "cell doubled along each axis"),
    "cutoff_smoothness": _Definition(cutoff_smoothness, "atoms moved through the cutoff"),
    "conservativeness": _Definition(conservativeness, "forces against slopes of the energy"),
    "determinism": _Definition(symmetry.determinism, "the same asked again"),
    "batch_independence": _Definition(symmetry.batch_independence, "computed beside others"),
}
#: Names of the checks, in the order in which they are made.
CHECKS = tuple(_DEFINITIONS)

#: Groups that a force field may claim, and the checks that each of them means.
_GROUPS: dict[str, tuple[str, ...]] = {
    "E(3)": ("translation", "rotation", "reflection"),
    "O(3)": ("translation", "rotation", "reflection"),
    "SE(3)": ("translation", "rotation"),
    "SO(3)": ("translation", "rotation"),
    "T(3)": ("translation",),
}


@dataclass(frozen=True)
class Claims:
    """What a force field claims; everything that is no symmetry or slope is claimed by all.

    Attributes:
        symmetry: E(3), SE(3) or T(3); O(3) and SO(3) of the atoms' environments mean the first two.
        conservative: Whether forces are the slope of the energy.
        tolerances: Of single checks, where they are not those of the precision.

    Raises:
        InputError: An unknown group or check.
    """

    symmetry: str = "E(3)"
    conservative: bool = True
    tolerances: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.symmetry not in _GROUPS:
            raise InputError(
                "symmetry", found=self.symmetry, remedy=suggest(self.symmetry, _GROUPS)
            )
        for name in self.tolerances:
            if name not in CHECKS:
                raise InputError("tolerance of a check", found=name, remedy=suggest(name, CHECKS))

    def include(self, check: str) -> bool:
        """Whether a check, also one of the dynamics, must pass."""
        if check in _GROUPS["E(3)"]:
            return check in _GROUPS[self.symmetry]
        return self.conservative or check not in ("conservativeness", "nve_drift")


@dataclass(frozen=True)
class Check:
    """A check and what came of it.

    Attributes:
        name: One of `CHECKS`, or `nve_drift`, `echo`.
        done: What was done, in a few words.
        deviation: Relative, the largest one in tolerances; of the dynamics in their own unit.
        tolerance: That it was held against.
        claimed: Whether the force field claims to pass.
        passed: Whether it does.
        detail: What is wrong where it fails, or should be known; may be empty.
    """

    name: str
    done: str
    deviation: float
    tolerance: float
    claimed: bool
    passed: bool
    detail: str = ""


@dataclass(frozen=True)
class Audit:
    """The checks of a force field.

    Attributes:
        checks: In the order of `CHECKS`.
        single: Whether it computes in less than double precision.
        noise: Scatter of its energies and forces.
        n_calls: Calls of evaluators.
        n_structures: Structures that were computed, several in some calls.
        n_atoms: Their atoms, added up.
    """

    checks: tuple[Check, ...]
    single: bool
    noise: Noise
    n_calls: int
    n_structures: int
    n_atoms: int


def audit(
    force_field: ForceField,
    atomic_numbers: IntArray,
    positions: FloatArray,
    cell: FloatArray,
    claims: Claims | None = None,
    *,
    seed: int = 0,
    checks: tuple[str, ...] = CHECKS,
    progress: Progress | None = None,
) -> Audit:
    """Static checks of a force field on a material, which is displaced at random.

    Args:
        force_field: Anything that the engine can run.
        atomic_numbers: (n_atoms,) of the material.
        positions: (n_atoms, 3) Å.
        cell: (3, 3) Å, row vectors.
        claims: By default those of an ordinary potential.
        seed: Of displacements, directions and small cells.
        checks: Which of `CHECKS`.
        progress: Called with the share done and the next check.

    Raises:
        InputError: An element that the force field does not know, an unknown check.
    """
    claims = claims or Claims()
    unknown = [name for name in checks if name not in CHECKS]
    if unknown:
        raise InputError("check", found=unknown[0], remedy=suggest(unknown[0], CHECKS))
    probe = Probe(force_field)
    start = np.random.default_rng([seed, len(CHECKS)])
    material = audited(Structure(atomic_numbers, positions, cell), start)
    bench = _bench(probe, material, start)
    made = []
    for done, name in enumerate(checks):
        if progress is not None:
            progress(done / len(checks), name)
        rng = np.random.default_rng([seed, CHECKS.index(name)])
        made.append(_checked(name, bench, claims, rng))
    counts = probe.n_calls, probe.n_structures, probe.n_atoms
    return Audit(tuple(made), bench.single, bench.noise, *counts)


def _bench(probe: Probe, material: Structure, rng: np.random.Generator) -> Bench:
    """What all checks work on; the material serves as small cell where that is refused."""
    (of_material,) = probe.ask(material)
    small = small_structure(material, rng)
    try:
        (of_small,) = probe.ask(small)
    except InputError:  # some calculators refuse cells that are narrower than their cutoff
        small, of_small = material, of_material
    noise = noise_of(probe, small, rng)
    single = is_single(probe.force_field, of_small, noise)
    return Bench(
        probe=probe,
        material=material,
        small=small,
        of_material=of_material,
        of_small=of_small,
        noise=noise,
        tolerance=SINGLE if single else DOUBLE,
        single=single,
    )


def _checked(name: str, bench: Bench, claims: Claims, rng: np.random.Generator) -> Check:
    """A check, by the part that is worst in its own tolerance."""
    definition = _DEFINITIONS[name]
    parts = list(definition.parts(bench, rng))
    if (allowed := claims.tolerances.get(name)) is not None:
        parts = [replace(part, tolerance=max(allowed, part.tolerance)) for part in parts]
    worst = max(parts, key=lambda part: part.excess)
    passed = worst.excess <= 1.0
    remarks = [part.remark for part in parts if part.remark]
    return Check(
        name=name,
        done=definition.done,
        deviation=worst.deviation,
        tolerance=worst.tolerance,
        claimed=claims.include(name),
        passed=passed,
        detail=worst.detail if not passed else remarks[-1] if remarks else "",
    )
