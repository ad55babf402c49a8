"""How much more simulation a wanted interval needs: reads what `conductivity` wrote."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mdbench.analysis.planning import Allocation, PilotPoint, Plan, plan
from mdbench.config import PlanConfig, stamp
from mdbench.errors import InputError
from mdbench.reporting.tables import Cell, text_table, write_table
from mdbench.stages.outputs import check_not_read, check_outputs, current_run
from mdbench.stages.runs import expand
from mdbench.stats import Estimate, Spread
from mdbench.store import Result, read_result
from mdbench.table import Table, Tabular

#: Relative errors above this are optimistic: such a run may resolve nothing.
_LARGE_ERROR = 0.4
#: Half widths that a plan can be made for, decades.
_NARROWEST, _WIDEST = 1e-3, 10.0


@dataclass(frozen=True)
class MaterialPlan:
    """Plans for one source and material.

    Attributes:
        name: Source and material.
        source: Name of the source.
        material: Name of the material.
        plan: Ways to the wanted interval.
    """

    name: str
    source: str
    material: str
    plan: Plan


@dataclass
class PlanReport(Tabular):
    """The plans, ready to be printed."""

    config: PlanConfig
    results: list[MaterialPlan] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """One JSON document: `groups`; a single group's keys also at top level."""
        groups = [_json(result, self.config) for result in self.results]
        return {**(groups[0] if len(groups) == 1 else {}), "groups": groups}

    def as_text(self) -> str:
        """A table of ways to the interval, for each source and material."""
        return "\n\n".join(_text(result, self.config) for result in self.results)

    def table(self) -> Table:
        """One row per source, material, way to the interval, and temperature."""
        columns = [
            *("source", "material", "way", "temperature_k", "ns", "replicas", "run_ps"),
            *("relative_error", "total_ns", "half_width", "present_half_width"),
        ]
        rows: list[list[Cell]] = []
        for result in self.results:
            document = _json(result, self.config)
            for name, way in document["ways"].items():
                for at in [] if way is None else way["temperatures"]:
                    row: list[Cell] = [result.source, result.material, name, at["temperature_k"]]
                    row += [at["ns"], at["replicas"], way["run_ps"], at["relative_error"]]
                    row += [way["total_ns"], way["half_width"], document["present_half_width"]]
                    rows.append(row)
        return Table(columns, rows)


def run(
    files: Sequence[Path],
    config: PlanConfig,
    *,
    run_folder: Path | None = None,
    csv: Path | None = None,
) -> PlanReport:
    """Plans from the results of `mdbench conductivity`.

    Args:
        files: What `mdbench conductivity -o` wrote; none means those of the run folder.
        config: The wanted interval.
        run_folder: Where to look without files; by default $MDBENCH_RUN, else `run`.
        csv: Table, one row per way and temperature.
    """
    check_outputs(None, csv, None, force=False)
    if not _NARROWEST <= config.wanted <= _WIDEST:
        raise InputError(
            "--wanted",
            expected=f"{_NARROWEST:g} to {_WIDEST:g} decades",
            found=f"{config.wanted:g}",
        )
    report = PlanReport(config)
    folder = current_run(run_folder)
    if files:
        paths = expand(files)
    else:
        paths = sorted(folder.glob("observables/*/*/conductivity.h5"))
        report.notes.append(f"run folder {folder}: {len(paths)} result(s) of conductivity")
        if not paths:
            raise InputError(
                "no conductivities in this run folder",
                where=folder,
                remedy=f"`mdbench conductivity --run {folder}` first",
            )
    check_not_read([csv], paths, "results")
    for path in paths:
        result = read_result(path, "observables")
        known = result.attributes
        if known.get("observable") != "conductivity":
            raise InputError(
                "wrong observable",
                where=path,
                expected="a result of `mdbench conductivity`",
                found=str(known.get("observable")),
            )
        if known.get("pilot") == [] and not files:
            report.notes.append(f"{path}: left out: no run reaches its end")
            continue
        report.results.append(_plan_of(path, result, config))
    if not report.results:
        raise InputError("nothing to plan from", where=folder, found="no run that reaches its end")
    if csv is not None:
        write_table(csv, report.table())
    return report


def _plan_of(path: Path, result: Result, config: PlanConfig) -> MaterialPlan:
    known = result.attributes
    try:
        pilot = [_point(point) for point in known["pilot"]]
        source, material = str(known["source"]), str(known["material"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            "damaged result", where=path, found=f"{type(error).__name__} {error}"
        ) from error
    if not pilot:
        raise InputError(
            "nothing to plan from",
            where=path,
            expected="a pilot with runs that reach their end",
            found="none: all ended early",
        )
    try:
        found = plan(pilot, config.wanted, config.at, run_ps=config.ps)
    except InputError as error:
        raise InputError(str(error), where=path) from error
    return MaterialPlan(f"{source}: {material}", source, material, found)


def _point(stored: dict[str, Any]) -> PilotPoint:
    known = stored["diffusivity"]
    limits = (known[name] for name in ("value", "low", "high"))
    value, low, high = (None if x is None else float(x) for x in limits)
    spread = None
    if stored["variance"] is not None:
        spread = Spread(float(stored["variance"]), float(stored["freedom"]))
    return PilotPoint(
        temperature_k=float(stored["temperature_k"]),
        diffusivity=Estimate(value, low, high, str(known["unit"]), spread),
        total_ps=float(stored["total_ps"]),
        n_replicas=int(stored["n_replicas"]),
    )


def _ways(found: Plan) -> dict[str, Allocation | None]:
    return {
        "as the pilot": found.proportional,
        "equal times": found.equal,
        "two temperatures": found.best,
        "with a third": found.robust,
    }


def _json(result: MaterialPlan, config: PlanConfig) -> dict[str, Any]:
    found = result.plan
    return {
        "source": result.source,
        "material": result.material,
        "settings": stamp(config),
        "present_half_width": found.present.half_width,
        "ways": {
            name: None if way is None else _allocation_json(way)
            for name, way in _ways(found).items()
        },
        "next_run": [
            {"temperature_k": c.temperature_k, "standard_error": c.standard_error}
            for c in found.next_run
        ],
    }


def _allocation_json(way: Allocation) -> dict[str, Any]:
    return {
        "temperatures": [
            {"temperature_k": t, "ns": ns, "replicas": n, "relative_error": error}
            for t, ns, n, error in zip(
                way.temperatures_k, way.total_ns, way.replicas, way.relative_errors, strict=True
            )
        ],
        "total_ns": sum(way.total_ns),
        "run_ps": way.run_ps,
        "half_width": way.predicted.half_width,
    }


def _text(result: MaterialPlan, config: PlanConfig) -> str:
    found = result.plan
    rows: list[list[Cell]] = []
    for name, way in _ways(found).items():
        if way is None:
            continue
        runs = ", ".join(
            f"{n} at {t:g} K" for n, t in zip(way.replicas, way.temperatures_k, strict=True)
        )
        mark = " *" if max(way.relative_errors) > _LARGE_ERROR else ""
        rows.append([name, f"{sum(way.total_ns):.3g}", f"{runs} of {way.run_ps:.3g} ps{mark}"])
    best = found.next_run[0]
    lines = [
        f"{result.name}: log10 sigma({config.at:g} K) to ± {config.wanted:g} decades; "
        f"the pilot has ± {found.present.half_width:.2g}",
        text_table(("way", "ns in all", "runs, the pilot's included"), rows),
        f"the next run of {found.proportional.run_ps:.3g} ps is worth most at "
        f"{best.temperature_k:g} K",
    ]
    if found.present.half_width <= config.wanted:
        lines.insert(1, "the pilot is enough")
    if any(max(w.relative_errors) > _LARGE_ERROR for w in _ways(found).values() if w is not None):
        lines.append("* so short at one temperature that D may not be resolved there")
    return "\n".join(lines)
