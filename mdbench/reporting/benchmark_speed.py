"""What a step of each force field costs, as measured for the documentation, not in this run.

`speed/` has the files that `python -m benchmarks.models` writes: of this version, of the version
before models were made fast, and of the published code, where it was measured on the same machine.
"""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

from mdbench.reporting.assessment import Assessment
from mdbench.reporting.benchmark_cells import (
    EMPTY,
    MODEL,
    BenchmarkTable,
    Shown,
    make_table,
    said,
    stated,
)
from mdbench.reporting.transport_html import plain_number

_PUBLISHED = ":published"


def speed(a: Assessment) -> BenchmarkTable:
    """CPU time of energy and forces of an LGPS cell, before and after, for the models there are."""
    now, before, published = (_measured(name) for name in ("models", "before", "published"))
    columns = [
        MODEL,
        ("published (ms)", "published_ms"),
        ("before (ms)", "before_ms"),
        ("now (ms)", "now_ms"),
        ("published/now", "faster_than_published"),
        ("before/now", "faster_than_before"),
    ]
    names = dict.fromkeys(model.name.removesuffix(_PUBLISHED) for model in a.models)
    rows = []
    for name in names:
        if (ours := _ms(now, name, now)) is None:
            continue
        others = [_ms(file, name, now) for file in (published, before)]
        ratios = [None if other is None else other / ours for other in others]
        rows.append([said(name), *map(_number, (*others, ours)), *map(_times, ratios)])
    caption = (
        "What a step costs: energy and forces of the 50-atom LGPS cell, alone, float32, on one "
        f"thread of an {now['machine']}, measured once and not in this run. Published: the code of "
        "the benchmark that was published; before and now: mdbench before models were made fast, "
        "and this version. Dynamics take less for each run, as runs are computed in batches.",
    )
    return make_table("speed", "What a step costs", caption, columns, rows, n_words=1)


def _measured(name: str) -> dict[str, Any]:
    """One of the files."""
    path = resources.files("mdbench.reporting") / "speed" / f"{name}.json"
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def _ms(file: dict[str, Any], name: str, beside: dict[str, Any]) -> float | None:
    """Time of a model; None where it was not measured on the machine of the file beside."""
    row = file["rows"].get(name)
    return None if row is None or file["machine"] != beside["machine"] else row["single"]["ms"]


def _number(ms: float | None) -> Shown:
    return EMPTY if ms is None else stated(ms, None, "", text=plain_number(ms))


def _times(ratio: float | None) -> Shown:
    return EMPTY if ratio is None else stated(ratio, None, "", text=f"{ratio:.1f}×")
