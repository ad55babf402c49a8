"""A model's conductivity against the reference's, paired over temperatures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mdbench.analysis.arrhenius import ArrheniusFit
from mdbench.analysis.comparison import (
    PairedComparison,
    Ratio,
    compare_extrapolated,
    compare_temperatures,
)
from mdbench.config import ConductivityConfig
from mdbench.errors import InputError
from mdbench.stages.conductivity_line import Extrapolation, Point
from mdbench.stages.runs import Group, same_temperature
from mdbench.store import Input, input_of

#: The comparison of a model without a diffusivity.
_NOTHING = PairedComparison((), None, None, None, None, None)


@dataclass(frozen=True)
class Against:
    """A model's conductivity against the reference's.

    Attributes:
        reference: Name of the reference.
        paired: Over the temperatures that both have; without ratios where all runs of the model
            ended early.
        extrapolated: At `at_k` on both lines; None without two lines.
    """

    reference: str
    paired: PairedComparison
    extrapolated: Ratio | None

    @property
    def p_value(self) -> float | None:
        """Of no difference: of the mean ratio or of the energies, the smaller one doubled."""
        known = [p for p in (self.paired.p_value, self.paired.trend_p_value) if p is not None]
        return min(1.0, len(known) * min(known)) if known else None

    @property
    def frozen_k(self) -> list[float]:
        """Temperatures at which the reference diffuses and the model's bound lies below it, K."""
        return [
            ratio.temperature_k
            for ratio in self.paired.ratios
            if ratio.p_value is None and ratio.direction == "lower"
        ]

    @property
    def failure_mode(self) -> str | None:
        """`ended early` without anything to compare, `frozen` where only the reference diffuses."""
        if not self.paired.ratios:
            return "ended early"
        return "frozen" if self.frozen_k else None

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        paired = self.paired
        return {
            "reference": self.reference,
            "temperatures": [ratio_json(ratio) for ratio in paired.ratios],
            "ratio": None if paired.ratio is None else paired.ratio.as_json(),
            "energy_difference": None
            if paired.energy_difference is None
            else paired.energy_difference.as_json(),
            "p": self.p_value,
            "resolved": paired.resolved,
            "at": None if self.extrapolated is None else ratio_json(self.extrapolated),
            "failure_mode": self.failure_mode,
        }


@dataclass(frozen=True)
class Ended:
    """A temperature at which all runs ended early.

    Attributes:
        temperature_k: K.
        reasons: Why each run ended.
    """

    temperature_k: float
    reasons: tuple[str, ...]

    @property
    def warning(self) -> str:
        """All of it in one line."""
        first, *others = self.reasons
        runs = f"all {1 + len(others)} runs ended early, the first" if others else "ended early"
        return f"{self.temperature_k:g} K: {runs}: {first}"


@dataclass(frozen=True)
class ConductivityResult:
    """One source and material.

    Attributes:
        groups: Its replicas by temperature.
        species: Symbol of the mobile ions.
        n_atoms: Number of atoms of each element.
        points: By temperature, where a run reaches its end.
        ended: The other temperatures.
        charge: e, of the mobile ion.
        extrapolation: None with fewer than two temperatures resolved.
        fit: The line with its errors; None without one, or by another estimator.
        paper: What the usual recipe gives; None where it was not asked for.
        against: None without a reference.
        warnings: What the reader should know.
    """

    groups: tuple[Group, ...]
    species: str
    n_atoms: Mapping[str, int]
    points: tuple[Point, ...]
    ended: tuple[Ended, ...]
    charge: float
    extrapolation: Extrapolation | None
    fit: ArrheniusFit | None
    paper: dict[str, Any] | None
    against: Against | None
    warnings: tuple[str, ...]

    @property
    def group(self) -> Group:
        """The first group of replicas, which names source and material."""
        return self.groups[0]

    @property
    def name(self) -> str:
        """Source and material."""
        return f"{self.group.source}: {self.group.material}"

    @property
    def inputs(self) -> list[Input]:
        """The files, also those of runs that ended early."""
        return [input_of(path, "trajectory") for group in self.groups for path in group.paths]


def reference_of(
    members: Sequence[Group], references: Sequence[Sequence[Group]]
) -> Sequence[Group]:
    """The reference of the same material, else of the same atoms.

    Args:
        members: The replicas of one source and material by temperature.
        references: What was named with --against, likewise.
    """
    one = members[0]
    named = [r for r in references if r[0].material == one.material]
    alike = [r for r in references if r[0].n_atoms == one.n_atoms]
    chosen = next((c for c in (named, alike) if len(c) == 1), None)
    if chosen is None:
        raise InputError(
            f"{one.source}: {one.material}: no reference, or several",
            expected="--against runs of the same material",
            found="; ".join(f"{r[0].source}: {r[0].material}" for r in references),
        )
    return chosen[0]


def held_against(
    result: ConductivityResult, reference: ConductivityResult, config: ConductivityConfig
) -> Against:
    """Holds a material's diffusivities against those of its reference."""
    if _all_ended(result, reference):
        return Against(reference.name, _NOTHING, None)
    ours = {p.temperature_k: p.diffusivity for p in result.points}
    theirs = {_paired(p.temperature_k, ours): p.diffusivity for p in reference.points}
    fit, other = result.fit, reference.fit
    return Against(
        reference=reference.name,
        paired=compare_temperatures(ours, theirs),
        extrapolated=compare_extrapolated(fit, other, config.at_k)
        if fit is not None and other is not None
        else None,
    )


def _all_ended(result: ConductivityResult, reference: ConductivityResult) -> bool:
    """Whether the runs ended early at all temperatures that the reference has, or at all."""
    if not result.points:
        return True
    known = [p.temperature_k for p in reference.points]

    def shared(temperatures_k: Iterable[float]) -> bool:
        return any(same_temperature(a, b) for a in temperatures_k for b in known)

    ended = shared(e.temperature_k for e in result.ended)
    return ended and not shared(p.temperature_k for p in result.points)


def _paired(temperature_k: float, known: Iterable[float]) -> float:
    """The known temperature that is the same within what tells temperatures apart, else itself."""
    return next((t for t in known if same_temperature(t, temperature_k)), temperature_k)


def ratio_json(ratio: Ratio) -> dict[str, Any]:
    """A ratio at a temperature as plain JSON values."""
    found = ratio.estimate
    return {
        "temperature_k": ratio.temperature_k,
        "ratio": found.value,
        "low": found.low,
        "high": found.high,
        "p": ratio.p_value,
        "direction": ratio.direction,
    }
