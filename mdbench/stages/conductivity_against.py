"""A model's conductivity against the reference's, paired over temperatures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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


@dataclass(frozen=True)
class Against:
    """A model's conductivity against the reference's.

    Attributes:
        reference: Name of the reference.
        paired: Over the temperatures that both have.
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
            "failure_mode": "frozen" if self.frozen_k else None,
        }


@dataclass(frozen=True)
class ConductivityResult:
    """One source and material.

    Attributes:
        group: Its first group of replicas, which names source and material.
        points: By temperature.
        charge: e, of the mobile ion.
        extrapolation: None with fewer than two temperatures resolved.
        fit: The line with its errors; None without one, or by another estimator.
        paper: What the usual recipe gives; None where it was not asked for.
        against: None without a reference.
        warnings: What the reader should know.
    """

    group: Group
    points: tuple[Point, ...]
    charge: float
    extrapolation: Extrapolation | None
    fit: ArrheniusFit | None
    paper: dict[str, Any] | None
    against: Against | None
    warnings: tuple[str, ...]

    @property
    def name(self) -> str:
        """Source and material."""
        return f"{self.group.source}: {self.group.material}"


def held_against(
    group: Group,
    points: Sequence[Point],
    fit: ArrheniusFit | None,
    references: Sequence[ConductivityResult],
    config: ConductivityConfig,
) -> Against:
    """Holds a material's diffusivities against those of the reference of the same material."""
    atoms = points[0].transport.runs[0].n_atoms
    named = [r for r in references if r.group.material == group.material]
    alike = [r for r in references if r.points[0].transport.runs[0].n_atoms == atoms]
    chosen = next((c for c in (named, alike) if len(c) == 1), None)
    if chosen is None:
        raise InputError(
            f"{group.source}: {group.material}: no reference, or several",
            expected="--against runs of the same material",
            found="; ".join(r.name for r in references),
        )
    reference = chosen[0]
    ours = {p.temperature_k: p.diffusivity for p in points}
    theirs = {_paired(p.temperature_k, ours): p.diffusivity for p in reference.points}
    lines = fit is not None and reference.fit is not None
    return Against(
        reference=reference.name,
        paired=compare_temperatures(ours, theirs),
        extrapolated=compare_extrapolated(fit, reference.fit, config.at_k)
        if lines and fit is not None and reference.fit is not None
        else None,
    )


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
