"""Any result file of mdbench as arrays and attributes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mdbench.errors import InputError, suggest
from mdbench.store import Input, check_kind, open_checked, reading
from mdbench.store import read_result as read_stored
from mdbench.table import Cell, Table

if TYPE_CHECKING:
    from pandas import DataFrame

#: Components of a quantity: what the columns of an array along such an axis mean.
_QUANTITY = "value low high"


@dataclass(frozen=True)
class ResultFile:
    """The content of a result file.

    Attributes:
        path: The file.
        kind: As `observables`, `accuracy`, `audit` or `verdict`.
        arrays: By their path in the file, as `g/Li-S`.
        units: Of the arrays.
        axes: Names of the axes of the arrays, as `("bin",)`.
        attributes: What else the command says; plain JSON values.
        settings: Of the command.
        inputs: Files that it was made from, with checksums.
        created: When, by ISO 8601.
    """

    path: Path
    kind: str
    arrays: Mapping[str, NDArray[Any]]
    units: Mapping[str, str]
    axes: Mapping[str, tuple[str, ...]]
    attributes: Mapping[str, Any]
    settings: Mapping[str, Any]
    inputs: tuple[Input, ...]
    created: str

    def __getitem__(self, name: str) -> NDArray[Any]:
        """An array by its path in the file."""
        if name not in self.arrays:
            raise InputError(
                f"no array {name!r}", where=self.path, remedy=suggest(name, self.arrays)
            )
        return self.arrays[name]

    def to_frame(self, along: str | None = None) -> DataFrame:
        """The arrays along one axis as columns of a table for pandas.

        Quantities become three columns: as `conductivity`, `conductivity_low`,
        `conductivity_high`. A file that holds single quantities (accuracy) has one row for each.

        Args:
            along: Name of the axis; by default the one that most arrays have.

        Raises:
            InputError: No array has this axis.
        """
        return self._table(along).to_frame()

    def _table(self, along: str | None) -> Table:
        names = Counter(axes[0] for axes in self.axes.values() if _is_column(axes))
        if along is None:
            if not names:
                raise InputError("no table in this file", where=self.path, found=self.kind)
            along = names.most_common(1)[0][0]
        if along not in names:
            raise InputError(f"no axis {along!r}", where=self.path, remedy=suggest(along, names))
        chosen = [n for n, axes in self.axes.items() if _is_column(axes) and axes[0] == along]
        chosen.sort(key=lambda name: (len(self.axes[name]) > 1, "/" in name))
        if along == _QUANTITY:
            rows = [[n, *_plain(self.arrays[n]), self.units[n]] for n in chosen]
            return Table(("quantity", *along.split(), "unit"), rows)
        columns = dict(self._labels(along))
        for name in chosen:
            columns |= _columns(name, self.arrays[name], self.axes[name])
        return Table(list(columns), [list(row) for row in zip(*columns.values(), strict=True)])

    def _labels(self, along: str) -> Iterator[tuple[str, list[Cell]]]:
        """What the attributes call the rows: `materials` along the axis `material`."""
        known = self.attributes.get(f"{along}s")
        if not isinstance(known, list) or not known:
            return
        if not isinstance(known[0], dict):
            yield along, known
            return
        for key in known[0]:
            yield key, [each[key] for each in known]


def read_result(path: Path | str) -> ResultFile:
    """The content of a result file of any command.

    Args:
        path: What a command wrote with `-o` or into a run folder, but no trajectory.

    Raises:
        InputError: No file, not one of mdbench, a damaged one, or a trajectory.
    """
    path = Path(path)
    with reading(path), open_checked(path) as file:
        kind = check_kind(path, file, None)
    if kind == "trajectory":
        raise InputError(
            "a trajectory",
            where=path,
            expected="a result",
            remedy="mdbench.read_trajectory reads it",
        )
    stored = read_stored(path, kind)
    return ResultFile(
        path=path,
        kind=kind,
        arrays=stored.datasets,
        units=stored.units,
        axes=stored.axes,
        attributes=stored.attributes,
        settings=stored.config,
        inputs=tuple(stored.inputs),
        created=stored.created,
    )


def _is_column(axes: tuple[str, ...]) -> bool:
    """Whether an array is a column, or a few that belong together."""
    return len(axes) == 1 or (len(axes) == 2 and " " in axes[1])


def _columns(
    name: str, array: NDArray[Any], axes: tuple[str, ...]
) -> Iterator[tuple[str, list[Cell]]]:
    if len(axes) == 1:
        yield name, _plain(array)
        return
    for part, column in zip(axes[1].split(), array.T, strict=True):
        yield name if part == "value" else f"{name}_{part}", _plain(column)


def _plain(values: NDArray[Any]) -> list[Cell]:
    """Python numbers; NaN, which stands for unknown, as None."""
    unknown = np.isnan(values) if values.dtype.kind == "f" else np.zeros(values.shape, dtype=bool)
    return [None if u else v for v, u in zip(values.tolist(), unknown.tolist(), strict=True)]
