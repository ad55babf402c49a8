"""Tables: named columns and rows, from which CSV files, pandas frames and pages are made."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pandas import DataFrame

Cell = str | float | int | None


@dataclass(frozen=True)
class Table:
    """A tidy table.

    Attributes:
        columns: Their names.
        rows: One cell for each column; None is unknown.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]

    def to_frame(self) -> DataFrame:
        """The table for pandas; what is unknown is NaN."""
        from pandas import DataFrame

        cells = {name: [row[i] for row in self.rows] for i, name in enumerate(self.columns)}
        return DataFrame({name: _column(each) for name, each in cells.items()})


class Tabular(ABC):
    """What can be shown as a table."""

    @abstractmethod
    def table(self) -> Table:
        """The table, one row per thing."""

    def to_frame(self) -> DataFrame:
        """The table for pandas; what is unknown is NaN."""
        return self.table().to_frame()


def _column(cells: Sequence[Cell]) -> Any:
    """The cells of a column, numbers and truth values as arrays."""
    known = [cell for cell in cells if cell is not None]
    if all(isinstance(cell, bool) for cell in known) and len(known) == len(cells) > 0:
        return np.array(cells, dtype=bool)
    if not all(isinstance(cell, int | float) and not isinstance(cell, bool) for cell in known):
        return [math.nan if cell is None else cell for cell in cells]
    if cells and len(known) == len(cells) and all(isinstance(cell, int) for cell in known):
        return np.array(cells, dtype=np.int64)
    return np.array([math.nan if cell is None else cell for cell in cells], dtype=np.float64)
