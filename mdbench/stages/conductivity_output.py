"""Conductivities as JSON, text, CSV, HDF5 and figure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mdbench.config import ConductivityConfig, stamp
from mdbench.reporting.tables import Cell, quantity, text_table
from mdbench.stages.conductivity_against import Against, ConductivityResult, Ended
from mdbench.stages.conductivity_line import Extrapolation, Point
from mdbench.stages.outputs import already_done
from mdbench.stats import Estimate
from mdbench.store import Dataset, write_result
from mdbench.table import Table


def result_json(result: ConductivityResult, config: ConductivityConfig) -> dict[str, Any]:
    """One source and material as plain JSON values (docs/cli.md, keys of `conductivity`)."""
    fit = result.fit
    document: dict[str, Any] = {
        "source": result.group.source,
        "material": result.group.material,
        "species": result.species,
        "charge": result.charge,
        "temperatures": [
            {
                "temperature_k": p.temperature_k,
                "diffusivity": p.diffusivity.as_json(),
                "conductivity": p.conductivity.as_json(),
                "collective_conductivity": p.collective.as_json(),
                "haven_ratio": p.transport.collective.haven_ratio.as_json(),
                "n_eff": p.transport.diffusion.n_eff,
                "n_runs": len(p.transport.runs),
                "length_ps": p.transport.diffusion.length_ps,
            }
            for p in result.points
        ],
        "ended_early": [
            {"temperature_k": one.temperature_k, "reasons": list(one.reasons)}
            for one in result.ended
        ],
        "arrhenius": None if result.extrapolation is None else result.extrapolation.as_json(),
        "goodness_p": None if fit is None or fit.goodness is None else fit.goodness.p_value,
        "curvature_p": None if fit is None or fit.curvature is None else fit.curvature.p_value,
        "warnings": list(result.warnings),
        "settings": {
            **stamp(config),
            "at": config.at_k,
            "mobile": result.species,
            "skip_ps": {
                f"{p.temperature_k:g}": [run.skip_ps for run in p.transport.runs]
                for p in result.points
            },
        },
    }
    if result.against is not None:
        document["comparison"] = result.against.as_json()
    if result.paper is not None:
        document["paper"] = result.paper
    return document


def result_text(result: ConductivityResult) -> str:
    """One source and material as tables."""
    lines = [f"{result.name}, {result.species} of charge {result.charge:+g}", _table_text(result)]
    if result.extrapolation is not None:
        lines.append(_extrapolation_text(result.extrapolation))
    if result.paper is not None and result.points:
        lines.append(_paper_text(result.paper))
    if result.against is not None:
        lines.append(_against_text(result.against))
    return "\n".join(lines)


def _table_text(result: ConductivityResult) -> str:
    if not result.points:
        return "no run reaches its end: no diffusivity"
    rows: list[list[Cell]] = []
    for p in _by_temperature(result):
        if isinstance(p, Ended):
            rows.append([f"{p.temperature_k:g}", "ended early", *[None] * 6])
            continue
        d, sigma = quantity(p.diffusivity), quantity(p.conductivity)
        rows.append([f"{p.temperature_k:g}", *d[:3], *sigma[:3], quantity(p.collective)[0]])
    header = ("T (K)", "D (cm^2/s)", "low", "high", "sigma (mS/cm)", "low", "high", "collective")
    return text_table(header, rows)


def _by_temperature(result: ConductivityResult) -> list[Point | Ended]:
    return sorted([*result.points, *result.ended], key=lambda one: one.temperature_k)


def _extrapolation_text(line: Extrapolation) -> str:
    rows: list[list[Cell]] = [
        ["activation energy", *quantity(line.activation_energy)],
        [f"sigma at {line.at_k:g} K", *quantity(line.conductivity)],
        ["-log10 of it", *quantity(line.minus_log10)],
    ]
    table = text_table(("Arrhenius", "value", "low", "high", "unit"), rows)
    if line.amplification is None:
        return table
    factor = f"errors of ln D at the simulated temperatures grow {line.amplification:.3g} times"
    return f"{table}\n{factor} at {line.at_k:g} K"


def _paper_text(paper: dict[str, Any]) -> str:
    line = paper["arrhenius"]
    points = ", ".join(
        f"{p['temperature_k']:g} K {p['diffusivity']['value']:.3g}" for p in paper["temperatures"]
    )
    lines = [f"usual recipe ({paper['recipe']}): D {points} cm^2/s"]
    if line is not None:
        lines.append(
            f"  activation energy {line['activation_energy']['value']:.3g} eV, sigma at "
            f"{line['at_k']:g} K {line['conductivity']['value']:.3g} mS/cm, "
            f"-log10 {line['minus_log10']['value']:.3g}"
        )
    return "\n".join(lines)


def _against_text(found: Against) -> str:
    if not found.paired.ratios:
        return f"nothing to hold against {found.reference}: {found.failure_mode}"
    rows: list[list[Cell]] = []
    for ratio in found.paired.ratios:
        p = None if ratio.p_value is None else f"{ratio.p_value:.2g}"
        rows.append([f"{ratio.temperature_k:g} K", *quantity(ratio.estimate)[:3], p])
    if found.paired.ratio is not None:
        rows.append(["all", *quantity(found.paired.ratio)[:3], f"{found.paired.p_value:.2g}"])
    if found.extrapolated is not None:
        ratio = found.extrapolated
        name = f"{ratio.temperature_k:g} K (lines)"
        rows.append([name, *quantity(ratio.estimate)[:3], f"{ratio.p_value:.2g}"])
    table = text_table((f"D over that of {found.reference}", "ratio", "low", "high", "p"), rows)
    p = "" if found.p_value is None else f" (p = {found.p_value:.2g})"
    verdict = f"different{p}" if found.paired.resolved else f"no difference resolved{p}"
    if found.frozen_k:
        where = ", ".join(f"{t:g}" for t in found.frozen_k)
        verdict += f"; frozen at {where} K, where the reference diffuses"
    return f"{table}\n{verdict}"


def store(
    path: Path,
    result: ConductivityResult,
    references: Sequence[ConductivityResult],
    config: ConductivityConfig,
    *,
    force: bool,
) -> bool:
    """Writes a result, unless it is there already; whether it was not."""
    used = [r for r in references if result.against and r.name == result.against.reference]
    inputs = [i for side in (result, *used) for i in side.inputs]
    if already_done(path, inputs, config, force=force):
        return False
    points = ("temperature",)
    columns: dict[str, tuple[list[Estimate], str]] = {
        "diffusivity": ([p.diffusivity for p in result.points], "cm2 s-1"),
        "conductivity": ([p.conductivity for p in result.points], "mS cm-1"),
        "collective_conductivity": ([p.collective for p in result.points], "mS cm-1"),
    }
    datasets = {
        "temperature_k": Dataset(np.array([p.temperature_k for p in result.points]), "K", points)
    }
    for name, (estimates, unit) in columns.items():
        values = np.array([[_nan(e.value), _nan(e.low), _nan(e.high)] for e in estimates])
        axes = ("temperature", "value low high")
        datasets[name] = Dataset(values.reshape(-1, 3), unit, axes)
    group = result.group
    write_result(
        path,
        "observables",
        datasets,
        attributes={
            "observable": "conductivity",
            "source": group.source,
            "material": group.material,
            "potential": group.provenance.potential,
            "label": group.provenance.label,
            "document": result_json(result, config),
            "pilot": [_pilot(p) for p in result.points],
        },
        config=stamp(config),
        inputs=inputs,
    )
    return True


def _pilot(point: Point) -> dict[str, Any]:
    """What `mdbench plan` needs of a temperature."""
    spread = point.diffusivity.spread
    return {
        "temperature_k": point.temperature_k,
        "diffusivity": point.diffusivity.as_json(),
        "variance": None if spread is None else spread.variance,
        "freedom": None if spread is None else spread.freedom,
        "total_ps": point.transport.diffusion.length_ps,
        "n_replicas": len(point.transport.runs),
    }


def _nan(value: float | None) -> float:
    return math.nan if value is None else value


def results_table(results: Sequence[ConductivityResult]) -> Table:
    """One row per temperature, without values where all runs ended early."""
    names = ("diffusivity", "conductivity", "collective")
    header = ["source", "material", "temperature_k"]
    header += [f"{name}{part}" for name in names for part in ("", "_low", "_high")]
    rows: list[list[Cell]] = []
    for result in results:
        for p in _by_temperature(result):
            row: list[Cell] = [result.group.source, result.group.material, p.temperature_k]
            if isinstance(p, Ended):
                rows.append([*row, *[None] * (len(header) - len(row))])
                continue
            for estimate in (p.diffusivity, p.conductivity, p.collective):
                row += [estimate.value, estimate.low, estimate.high]
            rows.append(row)
    return Table(header, rows)


def draw(
    path: Path,
    results: Sequence[ConductivityResult],
    references: Sequence[ConductivityResult],
) -> None:
    """Writes the Arrhenius figure, references first."""
    from mdbench.reporting.figures import save
    from mdbench.reporting.transport_figures import ArrheniusCurves, arrhenius_figure

    used = {result.against.reference for result in results if result.against is not None}
    sides = []
    for result in (*[r for r in references if r.name in used], *results):
        line = result.extrapolation
        sides.append(
            ArrheniusCurves(
                label=result.name,
                temperatures_k=np.array([p.temperature_k for p in result.points]),
                conductivity=tuple(p.conductivity for p in result.points),
                temperatures_line_k=None if line is None else line.temperatures_k,
                line=None if line is None else line.line[:, 0],
                low=None if line is None else line.line[:, 1],
                high=None if line is None else line.line[:, 2],
                at_k=300.0 if line is None else line.at_k,
                at=None if line is None else line.conductivity,
                ended_k=tuple(one.temperature_k for one in result.ended),
            )
        )
    save(arrhenius_figure(sides), path)
