"""The table of a benchmark on the paths of ions, held against the reference's."""

from __future__ import annotations

from dataclasses import replace

from mdbench.reporting.assessment import Assessment, Paths
from mdbench.reporting.benchmark_cells import (
    MATERIAL,
    MODEL,
    NOTHING,
    BenchmarkTable,
    Shown,
    make_table,
    measured,
    said,
    standings,
)
from mdbench.reporting.path_html import SCORES

_NONE = "nowhere"


def paths(a: Assessment) -> BenchmarkTable:
    """Density, jumps and their directions by material, temperature and model."""
    columns = [
        *(MATERIAL, ("T (K)", "temperature_k"), MODEL),
        *((words, name) for name, words in SCORES.items()),
        ("jumps lead along", "percolation_axes"),
        ("the reference’s", "reference_axes"),
        ("failure", "failure_mode"),
    ]
    held = [(material, each, model) for model, material, s in standings(a) for each in s.paths]
    held.sort(key=lambda row: (a.materials.index(row[0]), row[1].temperature_k or 0.0))
    rows = [
        [
            said(material),
            said("unknown" if each.temperature_k is None else f"{each.temperature_k:g}"),
            said(model.source),
            *(_score(each, name) for name in SCORES),
            Shown(each.axes or _NONE, value=each.axes or _NONE),
            Shown(each.reference_axes or _NONE, value=each.reference_axes or _NONE),
            Shown(each.failure_mode or NOTHING, value=each.failure_mode),
        ]
        for material, each, model in held
    ]
    caption = (
        "Efficiency: share of the reference’s jumps between pairs of sites that the model uses, "
        "too. Fake rate: share of the model’s jumps between pairs that the reference never uses. "
        "Duplicate rate: share of its jumps beyond the reference’s number for that pair.",
        "Below each number its 95 % interval, and what a perfect model would show at this amount "
        "of data in 90 % of cases.",
    )
    return make_table(
        "paths", "Diffusion paths against the reference’s", caption, columns, rows, n_words=3
    )


def _score(found: Paths, name: str) -> Shown:
    shown, floor = measured(found.scores[name]), found.floors[name]
    if floor is None:
        return shown
    perfect = f"perfect {floor[0]:.2f} to {floor[1]:.2f}"
    return replace(shown, note=f"{shown.note}\n{perfect}".strip(), remark=perfect)
