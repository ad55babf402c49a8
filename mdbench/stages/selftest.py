"""Runs the controls: known answers and planted faults."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mdbench.analysis.control import Control
from mdbench.analysis.controls import all_controls
from mdbench.reporting.tables import text_table, write_table
from mdbench.stages.outputs import check_outputs
from mdbench.table import Table, Tabular


@dataclass(frozen=True)
class SelftestReport(Tabular):
    """What came of the controls, ready to be printed."""

    controls: Sequence[Control]

    @property
    def failed(self) -> list[Control]:
        """Those that did not give the known answer."""
        return [control for control in self.controls if not control.passed]

    def as_json(self) -> dict[str, Any]:
        """One JSON document."""
        return {"controls": [vars(c) for c in self.controls], "passed": not self.failed}

    def as_text(self) -> str:
        """A table of the controls."""
        rows = [
            (c.name, c.expected, c.found, "ok" if c.passed else "FAILED") for c in self.controls
        ]
        n = len(self.controls)
        table = text_table(("control", "expected", "found", ""), rows)
        return f"{table}\n{n - len(self.failed)} of {n} passed"

    def table(self) -> Table:
        """One row per control."""
        rows = [(c.name, c.expected, c.found, c.passed) for c in self.controls]
        return Table(("control", "expected", "found", "passed"), rows)


def run(*, seed: int = 0, csv: Path | None = None) -> SelftestReport:
    """Every control with its outcome.

    Args:
        seed: Of the random numbers.
        csv: Table, one row per control.
    """
    check_outputs(None, csv, None, force=False)
    report = SelftestReport(list(all_controls(seed)))
    if csv is not None:
        write_table(csv, report.table())
    return report
