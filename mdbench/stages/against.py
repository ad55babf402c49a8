"""`mdbench rdf --against`: a model's runs held against those of a reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mdbench.analysis.evidence import EvidenceCurve
from mdbench.analysis.failures import Failure, find_failures, times_to_failure
from mdbench.analysis.mobile import mobile_species
from mdbench.analysis.noise import RunSample
from mdbench.analysis.rdf import TOTAL, RadialDistribution, framework_curves, pool
from mdbench.analysis.scales import other_scales
from mdbench.analysis.stability import (
    Comparison,
    Verdict,
    classify,
    compare,
    compare_halves,
)
from mdbench.analysis.survival import Survival, survival
from mdbench.analysis.windows import RunWindows
from mdbench.config import RdfConfig
from mdbench.errors import InputError
from mdbench.stages.evidence import Shown, show
from mdbench.stages.runs import Group, same_temperature
from mdbench.stages.structure import RunStructure

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Against:
    """What came of holding a model against a reference.

    Attributes:
        reference: The runs of the reference.
        runs: What was read of them.
        pooled: g(r) of the reference.
        band: (n_bins,) each, half the 95 % band of Δg of a perfect model, as `by_pair`.
        by_pair: By `total`, pair, `framework` and `with mobile`: those that both sides have.
        verdict: On the total g(r), with the failures.
        failures: All failures of the model's runs.
        shown: The curve that shows a failure, by mode.
        survival: Over the model's runs; None without a time axis.
        end_ps: When the longest of the model's runs ends, on its own clock.
        pressure_gpa: Mean pressure of model and reference; None where not both are known.
        metrics: The scales of other benchmarks, by name; empty unless asked for.
        notes: What the reader should know about the comparison.
    """

    reference: Group
    runs: tuple[RunStructure, ...]
    pooled: RadialDistribution
    band: dict[str, FloatArray]
    by_pair: dict[str, Comparison]
    verdict: Verdict
    failures: list[Failure]
    shown: dict[str, Shown]
    survival: Survival | None
    end_ps: float
    pressure_gpa: tuple[float, float] | None
    metrics: dict[str, float | None]
    notes: tuple[str, ...]

    @property
    def evidence(self) -> tuple[EvidenceCurve, Mapping[str, Any]] | None:
        """What shows the first failure that has a curve, and that failure; None without one."""
        for one in self.shown.values():
            return one.curve, vars(self.failures[one.place])
        return None

    def as_json(self) -> dict[str, Any]:
        """The `comparison` of one group."""
        total = self.by_pair[TOTAL]
        return {
            **_comparison_json(total),
            "reference": {
                "source": self.reference.source,
                "material": self.reference.material,
                "temperature_k": self.reference.temperature_k,
                "files": [str(run.path) for run in self.runs],
            },
            "per_pair": {
                pair: _comparison_json(found)
                for pair, found in self.by_pair.items()
                if pair not in (TOTAL, *_KINDS)
            },
            "framework": _optional(self.by_pair.get("framework")),
            "with_mobile": _optional(self.by_pair.get("with mobile")),
            "verdict": self.verdict.state,
            "reason": self.verdict.reason,
            "paper_verdict": self.verdict.paper,
            "failure_mode": self.failures[0].mode if self.failures else None,
            "evidence": [vars(failure) for failure in self.failures],
            "needed": None if total.needed is None else vars(total.needed),
            "survival": None
            if self.survival is None
            else {**_plain(vars(self.survival)), "end_ps": self.end_ps},
            "pressure_gpa": None
            if self.pressure_gpa is None
            else dict(zip(("model", "reference"), self.pressure_gpa, strict=True)),
            "metrics": self.metrics,
            "notes": list(self.notes),
        }


_KINDS = ("framework", "with mobile")
#: Noise of the model over that of the reference, or its inverse, that is worth a note.
_ODD_NOISE = 3.0


def against(
    group: Group,
    runs: Sequence[RunStructure],
    reference: Group,
    known: Sequence[RunStructure],
    config: RdfConfig,
) -> Against:
    """Holds the runs of a group against those of its reference.

    Args:
        group: The model's runs.
        runs: What was read of them.
        reference: The one that `reference_of` gives.
        known: What was read of its runs.
        config: Threshold, mobile species.
    """
    notes = _notes(runs, known)
    mobile = mobile_species(_numbers(runs), config.mobile or group.provenance.mobile)
    sides = [_curves(side, mobile) for side in (runs, known)]
    shared = [pair for pair in sides[0][0][0] if pair in sides[1][0][0]]
    by_pair = {
        pair: compare(
            _samples(runs, sides[0], pair),
            _samples(known, sides[1], pair),
            threshold=config.threshold,
        )
        for pair in shared
    }
    notes += _noise_notes(by_pair[TOTAL], _samples(known, sides[1], TOTAL))
    failures: list[Failure] = []
    if runs[0].whole.n_atoms.keys() == known[0].whole.n_atoms.keys():
        failures = find_failures(_windows(runs), _windows(known))
    alive = None
    if all(run.length_ps is not None for run in runs):
        alive = survival(*times_to_failure(_windows(runs), failures))
    pooled = [pool([run.whole for run in side]) for side in (runs, known)]
    metrics: dict[str, float | None] = {}
    if config.all_metrics:
        metrics = vars(other_scales(pooled[0].edges, pooled[0].g[TOTAL], pooled[1].g[TOTAL]))
    return Against(
        reference=reference,
        runs=tuple(known),
        pooled=pooled[1],
        band={
            pair: _noise_band(_samples(known, sides[1], pair), found)
            for pair, found in by_pair.items()
        },
        by_pair=by_pair,
        verdict=classify(by_pair[TOTAL], failures[0].mode if failures else None),
        failures=failures,
        shown=show(failures, runs, known),
        survival=alive,
        end_ps=max(windows.end_ps for windows in _windows(runs)),
        pressure_gpa=_pressures(runs, known),
        metrics=metrics,
        notes=tuple(notes),
    )


def reference_of(group: Group, references: Sequence[Group]) -> Group:
    """The reference of the same temperature and, where there are several, of the same atoms.

    Args:
        group: The model's runs.
        references: What was named with --against.
    """
    at_temperature = [
        r for r in references if same_temperature(r.temperature_k, group.temperature_k)
    ]
    of_material = [r for r in at_temperature if r.n_atoms == group.n_atoms]
    named = [r for r in of_material if r.material == group.material]
    for candidates in (named, of_material, at_temperature):
        if len(candidates) == 1:
            return candidates[0]
    found = "; ".join(r.name for r in references)
    if at_temperature:
        raise InputError(f"{group.name}: several references", expected="one", found=found)
    raise InputError(
        f"{group.name}: no reference of this temperature",
        expected="--against runs at the same temperature",
        found=found,
        remedy="`mdbench ingest --temperature` states it",
    )


def _notes(runs: Sequence[RunStructure], known: Sequence[RunStructure]) -> list[str]:
    ours, theirs = runs[0].whole.n_atoms, known[0].whole.n_atoms
    if ours == theirs:
        return []
    notes = [
        f"other cells: {_composition(ours)} against {_composition(theirs)}; g(r) of small cells "
        "depends on the number of atoms"
    ]
    if ours.keys() != theirs.keys():
        notes.append("other elements: only pairs that both have are compared, failures not sought")
    return notes


def _noise_notes(total: Comparison, reference: Sequence[RunSample]) -> list[str]:
    """What is odd about the noise: frames worth less than their time, a reference that drifts."""
    notes = []
    ratio = 1.0 if total.floor is None else total.floor.noise_ratio
    if not 1.0 / _ODD_NOISE < ratio < _ODD_NOISE:
        notes.append(
            f"blocks of the model's runs scatter {ratio:.2g} times as much (variance) as the "
            "reference's of the same length: frames that repeat, or motion of another speed; the "
            "noise floor counts it"
        )
    halves = compare_halves(reference)
    if halves is not None and halves.floor is not None and halves.rdf_mae > halves.floor.q95:
        notes.append(
            f"first and second halves of the reference differ by {halves.rdf_mae:.4f}, more than "
            f"noise ({halves.floor.q95:.4f}): is it equilibrated (--skip-ps)?"
        )
    return notes


def _composition(n_atoms: dict[str, int]) -> str:
    return " ".join(f"{symbol}{n}" for symbol, n in n_atoms.items())


def _numbers(runs: Sequence[RunStructure]) -> NDArray[np.int64]:
    return _windows(runs)[0].atomic_numbers


def _windows(runs: Sequence[RunStructure]) -> list[RunWindows]:
    return [run.windows for run in runs if run.windows is not None]


def _curves(runs: Sequence[RunStructure], mobile: str | None) -> list[list[dict[str, FloatArray]]]:
    """For each run, g(r) by `total`, pair and kind of pair: of each block, and of the whole."""
    return [[_all_curves(g, mobile) for g in (*run.blocks, run.whole)] for run in runs]


def _all_curves(block: RadialDistribution, mobile: str | None) -> dict[str, FloatArray]:
    if mobile is None or len(block.n_atoms) < 2:
        return dict(block.g)
    return {**block.g, **framework_curves(block, mobile)}


def _samples(
    runs: Sequence[RunStructure], curves: list[list[dict[str, FloatArray]]], pair: str
) -> list[RunSample]:
    """g(r) of the blocks; the last of each run's curves is that of the whole run.

    Blocks may differ by a frame: they are moved together so that their mean is the run's g(r).
    """
    samples = []
    for run, (*parts, whole) in zip(runs, curves, strict=True):
        blocks = np.array([part[pair] for part in parts])
        blocks += whole[pair] - blocks.mean(axis=0)
        samples.append(RunSample(blocks, run.length_ps, run.n_frames))
    return samples


def _noise_band(reference: Sequence[RunSample], found: Comparison) -> FloatArray:
    """(n_bins,) 1.96 standard deviations of Δg of a perfect model, bin by bin.

    Their shape is that of the scatter of the reference's blocks; their mean is that of the floor.
    """
    rows = np.concatenate([run.blocks - run.g for run in reference])
    deviation = rows.std(axis=0)
    if found.floor is None or not deviation.any():
        return np.zeros_like(deviation)
    mean_deviation = found.floor.expected * np.sqrt(0.5 * np.pi)
    return np.asarray(1.96 * deviation * mean_deviation / deviation.mean())


def _pressures(
    runs: Sequence[RunStructure], known: Sequence[RunStructure]
) -> tuple[float, float] | None:
    ours, theirs = ([run.pressure_gpa for run in side] for side in (runs, known))
    if None in ours or None in theirs:
        return None
    return float(np.mean(np.array(ours, float))), float(np.mean(np.array(theirs, float)))


def _comparison_json(found: Comparison) -> dict[str, Any]:
    floor = found.floor
    return {
        "rdf_mae": found.rdf_mae,
        "rdf_mae_interval": None if found.interval is None else list(found.interval),
        "noise_floor": None if floor is None else vars(floor),
    }


def _optional(found: Comparison | None) -> dict[str, Any] | None:
    return None if found is None else _comparison_json(found)


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    return {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in values.items()}
