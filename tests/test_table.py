"""Tables and the frames that are made of them."""

import math

import numpy as np
import pandas
import pytest

from mdbench.reporting.tables import write_table
from mdbench.table import Table

ROWS = [
    ("Li-S, total", 1.0, 3, True, None, 2, None, ""),
    ('with "quotes"', 1e-7 / 3.0, -4, False, None, None, "word", "unit"),
    ("ü\nline", math.inf, 0, True, None, 7, None, "unit"),
]
TABLE = Table(("name", "number", "n", "passed", "nothing", "some", "words", "unit"), ROWS)


def test_a_frame_has_the_cells_of_the_table():
    frame = TABLE.to_frame()
    assert list(frame.columns) == list(TABLE.columns)
    assert len(frame) == len(ROWS)
    for row, (_, series) in zip(ROWS, frame.iterrows(), strict=True):
        for cell, shown in zip(row, series, strict=True):
            assert pandas.isna(shown) if cell is None else cell == shown


def test_columns_have_their_types():
    kinds = {name: kind.kind for name, kind in TABLE.to_frame().dtypes.items() if name != "words"}
    assert kinds.items() >= {"number": "f", "n": "i", "passed": "b", "nothing": "f"}.items()
    assert kinds["some"] == "f"


def test_what_is_written_is_read_back(tmp_path):
    write_table(tmp_path / "t.csv", TABLE)
    read = pandas.read_csv(tmp_path / "t.csv", keep_default_na=False, na_values={"some": [""]})
    frame = TABLE.to_frame()
    assert list(read["name"]) == list(frame["name"])
    assert np.array_equal(read["number"], frame["number"])
    assert np.array_equal(read["passed"], frame["passed"])
    assert np.array_equal(read["some"], frame["some"], equal_nan=True)


@pytest.mark.parametrize("columns", [(), ("a", "b")])
def test_a_table_without_rows(columns, tmp_path):
    table = Table(columns, [])
    assert list(table.to_frame().columns) == list(columns)
    assert table.to_frame().empty
    write_table(tmp_path / "t.csv", table)
    assert (tmp_path / "t.csv").read_text() == ",".join(columns) + "\n"
