"""Tables for the terminal and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from mdbench.stats import Estimate
from mdbench.store import written
from mdbench.table import Cell, Table

__all__ = ["Cell", "quantity", "text_table", "write_csv", "write_table"]


def text_table(header: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """A plain table: first column to the left, the rest to the right; None is an en dash."""
    shown = [[_shown(cell) for cell in row] for row in rows]
    table = [list(header), *shown]
    widths = [max(len(row[i]) for row in table) for i in range(len(header))]
    lines = [
        "  ".join(
            c.ljust(w) if i == 0 else c.rjust(w)
            for i, (c, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in table
    ]
    lines.insert(1, "  ".join("-" * w for w in widths))
    return "\n".join(line.rstrip() for line in lines)


def quantity(estimate: Estimate) -> list[Cell]:
    """Value, limits and unit of an estimate as cells, three digits; a bound as "< high"."""

    def shown(x: float | None) -> str | None:
        return None if x is None else f"{x:.3g}"

    if estimate.value is None:
        bound = None if estimate.high is None else f"< {estimate.high:.3g}"
        return [bound or "not resolved", None, None, estimate.unit]
    return [shown(estimate.value), shown(estimate.low), shown(estimate.high), estimate.unit]


def write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
    """Writes a table as CSV with full precision; whole or not at all."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([["" if cell is None else cell for cell in row] for row in rows])
    with written(path) as part:
        part.write_text(text.getvalue(), encoding="utf-8", errors="replace")


def write_table(path: Path, table: Table) -> None:
    """Writes a table as CSV with full precision; whole or not at all."""
    write_csv(path, table.columns, table.rows)


def _shown(cell: Cell) -> str:
    if cell is None:
        return "–"
    return f"{cell:.3f}" if isinstance(cell, float) else str(cell)
