"""The tables of a benchmark: its summary, ranks, verdicts and cost, and those of the paper.

A table is data: the page draws it, and a CSV file holds it.
"""

from __future__ import annotations

from collections.abc import Sequence

from mdbench.analysis.ranking import Rank
from mdbench.analysis.stability import Needed
from mdbench.reporting.assessment import (
    METRICS,
    Assessed,
    Assessment,
    Cited,
    Cost,
    Metric,
    Stability,
    State,
)
from mdbench.reporting.benchmark_cells import (
    COMPARISON,
    EMPTY,
    MATERIAL,
    MODEL,
    NOT_RESOLVED,
    NOTHING,
    BenchmarkTable,
    Shown,
    csv_table,
    duration,
    kelvin,
    make_table,
    measured,
    noted,
    said,
    standings,
    state_cell,
    state_words,
    stated,
    write_csv_tables,
)
from mdbench.reporting.benchmark_model_tables import run_models, table_1
from mdbench.reporting.benchmark_paths import paths
from mdbench.reporting.benchmark_result_tables import (
    activation_energies,
    conductivities,
    diffusivities,
    energies,
    forces,
    structures,
    table_2,
)
from mdbench.reporting.benchmark_speed import speed
from mdbench.reporting.benchmark_variants import faults
from mdbench.reporting.markup import count
from mdbench.reporting.transport_html import plain_number
from mdbench.stats import Estimate
from mdbench.units import HOUR_IN_S

__all__ = [
    "BenchmarkTable",
    "Shown",
    "benchmark_tables",
    "csv_table",
    "write_csv_tables",
]

_OPEN: tuple[State, ...] = ("undecided", "indistinguishable")
_METRICS: dict[Metric, str] = {
    "force_mae": "force MAE",
    "rdf_mae": "rdf_mae",
    "conductivity_error": "conductivity error",
}


def benchmark_tables(assessment: Assessment) -> list[BenchmarkTable]:
    """All tables that have something of this benchmark to show."""
    makers = (
        *(_summary, table_1, run_models, table_2),
        *(energies, forces, structures, diffusivities, activation_energies, conductivities),
        *(paths, _ranks, faults, _verdicts, _costs, speed),
    )
    made = [make(assessment) for make in makers]
    return [table for table in made if table.rows]


def _summary(a: Assessment) -> BenchmarkTable:
    columns = [
        MODEL,
        *((material, f"state_{material}") for material in a.materials),
        ("failure modes", "failure_modes"),
        *((f"rank by {words}", f"rank_{metric}") for metric, words in _METRICS.items()),
        ("to settle the rest", "data_factor"),
    ]
    rows = [
        [
            said(model.source),
            *(state_cell(model.standings.get(material)) for material in a.materials),
            _failures(model),
            *(_places(model, metric, a.materials) for metric in METRICS),
            _to_settle(model),
        ]
        for model in a.models
    ]
    several = f" on {a.materials[0]}, below on the others" if len(a.materials) > 1 else ""
    caption = (
        "The worst verdict over the temperatures of each material.",
        f"Ranks{several}, 1 is best; a range where intervals do not tell models apart.",
        "Last: how many times the data the verdict needs that is furthest from settled.",
    )
    title = "Outcome of each force field"
    return make_table("summary", title, caption, columns, rows, n_words=len(columns))


def _failures(model: Assessed) -> Shown:
    """Failure modes and their materials, and how many runs failed."""
    modes: dict[str, list[str]] = {}
    for material, standing in model.standings.items():
        found = list(standing.failure_modes)
        if standing.transport is not None and standing.transport.failure_mode is not None:
            found.append(standing.transport.failure_mode)
        for mode in dict.fromkeys(found):
            modes.setdefault(mode, []).append(material)
    n_runs = sum(standing.n_runs for standing in model.standings.values())
    n_failed = sum(standing.n_failed for standing in model.standings.values())
    if not n_runs and not modes:
        return EMPTY
    words = "; ".join(f"{mode} ({', '.join(where)})" for mode, where in modes.items())
    return said(words or "none", f"{n_failed} of {count(n_runs, 'run')} failed" if n_runs else "")


def _places(model: Assessed, metric: Metric, materials: Sequence[str]) -> Shown:
    """The rank on the first material, and below it those on the others."""
    ranks = {m: s.ranks[metric] for m, s in model.standings.items() if metric in s.ranks}
    known = {m: _place(ranks[m]) for m in materials if m in ranks}
    others = "; ".join(f"{m} {words}" for m, words in known.items() if m != materials[0])
    whole = "; ".join(f"{m} {words}" for m, words in known.items())
    first = known.get(materials[0], NOTHING) if materials else NOTHING
    return Shown(first, note=others, value=whole or None)


def _place(rank: Rank) -> str:
    if rank.of == 1:
        return "the only one"
    if rank.resolved:
        return f"{rank.best} of {rank.of}"
    if (rank.best, rank.worst) == (1, rank.of):
        return NOT_RESOLVED
    return f"{rank.best}–{rank.worst} of {rank.of}"


def _to_settle(model: Assessed) -> Shown:
    """How many times the data the verdict needs that needs most."""
    found = [(m, each) for m, standing in model.standings.items() for each in standing.stability]
    left = [(material, each) for material, each in found if each.state in _OPEN]
    if not found:
        return EMPTY
    if not left:
        return said("all settled")
    open_ones = f"{len(left)} of {count(len(found), 'verdict')} open"
    known = [
        (Needed(**each.needed), material, each)
        for material, each in left
        if each.needed is not None
    ]
    if not known:
        return said("unknown", open_ones)
    needed, material, each = max(known, key=lambda one: one[0].factor)
    note = noted(f"{material} at {kelvin(each)}: {needed}", open_ones)
    words = f"{plain_number(needed.factor)} × the data"
    cited = Cited(Estimate(needed.factor, None, None, ""), each.file, f"{COMPARISON}/needed/factor")
    return Shown(words, cited, note, value=needed.factor, remark=note)


def _ranks(a: Assessment) -> BenchmarkTable:
    columns = [MATERIAL, MODEL]
    for metric, words in _METRICS.items():
        columns += [(words, metric), ("rank", f"{metric}_rank")]
    rows = []
    for model, material, standing in standings(a):
        values: dict[Metric, Cited | None] = {
            "force_mae": None if standing.accuracy is None else standing.accuracy.force_mae,
            "rdf_mae": standing.rdf_mae,
            "conductivity_error": standing.conductivity_error,
        }
        cells = [
            cell
            for metric in METRICS
            for cell in (measured(values[metric]), _rank(standing.ranks.get(metric)))
        ]
        if any(value is not None for value in values.values()):
            rows.append([said(material), said(model.source), *cells])
    caption = (
        "Force MAE in meV/Å; mean rdf_mae over the temperatures that models share; conductivity "
        "error: |log10| of the ratio of diffusivities.",
        "Below each number its 95 % interval; a rank is a range where these do not tell models "
        "apart.",
    )
    title = "Ranks and their significance"
    return make_table("ranks", title, caption, columns, rows, n_words=2)


def _rank(rank: Rank | None) -> Shown:
    if rank is None:
        return EMPTY
    return Shown(
        _place(rank),
        value=rank.best if rank.resolved else None,
        remark=f"{rank.best} to {rank.worst} of {rank.of}",
    )


def _verdicts(a: Assessment) -> BenchmarkTable:
    columns = [
        *(MATERIAL, MODEL, ("T (K)", "temperature_k")),
        ("verdict", "verdict"),
        ("bare threshold", "paper_rule"),
        ("failure mode", "failure_mode"),
        ("rdf_mae", "rdf_mae"),
        ("floor", "floor_expected"),
        ("floor, 95 %", "floor_q95"),
        ("runs", "n_runs"),
    ]
    rows = [
        [said(material), said(model.source), *_verdict(each)]
        for model, material, standing in standings(a)
        for each in standing.stability
    ]
    caption = (
        "rdf_mae with its 95 % interval.",
        "Floor: what a perfect model would show on average, and in 95 % of cases, at this amount "
        "of data.",
        "Bare threshold: what rdf_mae alone says, without its noise, as in the paper.",
    )
    title = "Every verdict"
    return make_table("verdicts", title, caption, columns, rows, n_words=6)


def _verdict(found: Stability) -> list[Shown]:
    t = found.temperature_k
    failed = len({int(each["run"]) for each in found.evidence})
    floors = found.floor or (None, None)
    keys = (f"{COMPARISON}/noise_floor/{name}" for name in ("expected", "q95"))
    return [
        Shown(NOTHING if t is None else f"{t:g}", value=t),
        Shown(state_words(found.state), value=found.state, remark=found.reason),
        said(found.paper),
        said(found.failure_mode or NOTHING),
        measured(found.rdf_mae),
        *(
            EMPTY if x is None else stated(x, found.file, key, text=plain_number(x))
            for x, key in zip(floors, keys, strict=True)
        ),
        Shown(
            str(found.n_runs),
            note=f"{failed} failed" if failed else "",
            value=found.n_runs,
            remark=f"{failed} failed" if failed else "",
        ),
    ]


def _costs(a: Assessment) -> BenchmarkTable:
    columns = [
        *(MODEL, ("stage", "stage"), ("device", "device")),
        *(("wall-clock time", "wall_s"), ("CPU (h)", "cpu_h"), ("GPU (h)", "gpu_h")),
    ]
    rows = []
    for model in a.models:
        rows += [[said(model.source), *_cost(each)] for each in model.costs]
        if len(model.costs) > 1:
            rows.append([said(model.source), *_sum(model.costs)])
    if sum(bool(model.costs) for model in a.models) > 1:
        rows.append([said("all"), *_sum([each for model in a.models for each in model.costs])])
    caption = ("GPU: the time for which one was held. Stages may have run side by side.",)
    return make_table("cost", "Cost", caption, columns, rows, n_words=3)


def _cost(cost: Cost) -> list[Shown]:
    wall = stated(cost.seconds, cost.file, "seconds", text=duration(cost.seconds))
    return [
        said(cost.stage),
        said(cost.device or NOTHING),
        wall,
        _hours(cost.cpu_s, cost.file, "cpu_s"),
        _hours(cost.gpu_s, cost.file, "gpu_s"),
    ]


def _sum(costs: Sequence[Cost]) -> list[Shown]:
    seconds, cpu_s, gpu_s = (
        sum(getattr(cost, name) for cost in costs) for name in ("seconds", "cpu_s", "gpu_s")
    )
    wall = stated(seconds, None, "", text=duration(seconds))
    return [said("all"), EMPTY, wall, _hours(cpu_s), _hours(gpu_s)]


def _hours(seconds: float, file: str | None = None, key: str = "") -> Shown:
    hours = seconds / HOUR_IN_S
    return stated(hours, file, key, text=plain_number(hours))
