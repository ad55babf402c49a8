"""Cells of a benchmark's tables: how quantities, bounds and published numbers are written."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mdbench.reporting.arrhenius_figure import close, exponent
from mdbench.reporting.assessment import (
    Assessed,
    Assessment,
    Cited,
    Stability,
    Standing,
    State,
    Transport,
)
from mdbench.reporting.tables import Cell, write_csv
from mdbench.reporting.transport_html import plain_number
from mdbench.stats import Estimate
from mdbench.units import HOUR_IN_S, MINUTE_IN_S

NOTHING, NOT_RESOLVED, NOT_AT_HAND = "–", "not resolved", "not at hand"

#: Where results of `rdf` have what they say.
COMPARISON = "attributes/comparison"
_SYMBOLS: dict[State, str] = {
    "stable": "✓",
    "indistinguishable": "≈",
    "undecided": "?",
    "unstable": "✗",
}

#: Header of a column, and its name in the CSV file.
Column = tuple[str, str]
MODEL, MATERIAL, SOURCE = ("model", "model"), ("material", "material"), ("source", "source")


@dataclass(frozen=True)
class Shown:
    """A cell as it is shown, and what its column in a CSV file holds.

    Attributes:
        text: The value, a bound, or words.
        cited: Where it stands; None of words and sums.
        note: Small lines below: interval, remark.
        published: The paper's, not ours.
        value: In full precision, where it is not the cited quantity.
        remark: Words for the CSV file, those of the note or longer ones.
    """

    text: str
    cited: Cited | None = None
    note: str = ""
    published: bool = False
    value: Cell = None
    remark: str = ""


#: Nothing to show.
EMPTY = Shown(NOTHING)


@dataclass(frozen=True)
class BenchmarkTable:
    """A table of the report.

    Attributes:
        name: Stem of its file.
        title: What it shows.
        caption: What its cells mean.
        header: Of each column.
        columns: Name of each column in the CSV file; published numbers stand in a column of their
            own, whose name begins with paper_.
        n_words: The first columns hold words, the others numbers.
        rows: Cells, one for each column.
    """

    name: str
    title: str
    caption: str
    header: Sequence[str]
    columns: Sequence[str]
    n_words: int
    rows: Sequence[Sequence[Shown]]


def make_table(
    name: str,
    title: str,
    caption: Sequence[str],
    columns: Iterable[Column],
    rows: Sequence[Sequence[Shown]],
    *,
    n_words: int,
) -> BenchmarkTable:
    """A table of these columns; its caption in sentences."""
    heads, names = zip(*columns, strict=True)
    return BenchmarkTable(name, title, " ".join(caption), heads, names, n_words, rows)


def standings(assessment: Assessment) -> list[tuple[Assessed, str, Standing]]:
    """Of each material all models that have it."""
    return [
        (model, material, model.standings[material])
        for material in assessment.materials
        for model in assessment.models
        if material in model.standings
    ]


def measured(
    cited: Cited | None, remark: str = "", form: Callable[[float], str] = plain_number
) -> Shown:
    """A quantity with its interval; a bound without a value, which is marked.

    Args:
        cited: None is shown as an en dash.
        remark: Words below it.
        form: How its numbers are written.
    """
    if cited is None:
        return Shown(NOTHING, note=remark, remark=remark)
    text, limits = _written(cited.estimate, form)
    return Shown(text, cited, noted(limits, remark), remark=remark)


def stated(number: float, file: str | None, key: str, *, text: str, remark: str = "") -> Shown:
    """A number without an interval; without a file it cannot be cited.

    Args:
        number: In full precision.
        file: Where it stands.
        key: Where in it.
        text: The number as it is shown.
        remark: Words below it.
    """
    if file is None:
        return Shown(text, note=remark, value=number, remark=remark)
    return Shown(text, Cited(Estimate(number, None, None, ""), file, key), remark, remark=remark)


def said(words: str, remark: str = "") -> Shown:
    """Words, and smaller ones below."""
    return Shown(words, note=remark, remark=remark)


def in_place(words: str) -> Shown:
    """Words where a number would be."""
    return Shown(words, remark="" if words == NOTHING else words)


def published(value: float | str | None) -> Shown:
    """What the paper states; None is not at hand."""
    if value is None:
        return Shown(NOT_AT_HAND, published=True)
    text = value if isinstance(value, str) else f"{value:g}".replace("-", "−")
    return Shown(text, published=True, value=value)


def state_words(state: State) -> str:
    """A verdict by symbol and word."""
    return f"{_SYMBOLS[state]} {state}"


def state_cell(standing: Standing | None) -> Shown:
    """The worst verdict, and where; the file is the one furthest from the reference."""
    if standing is None or standing.state is None:
        return EMPTY
    found = [each for each in standing.stability if each.state == standing.state]
    worst = max(found, key=lambda each: each.rdf_mae.estimate.value or 0.0)
    where = "at " + ", ".join(kelvin(each) for each in found)
    if len(found) == len(standing.stability) > 1:
        where = "at both temperatures" if len(found) == 2 else f"at all {len(found)} temperatures"
    words = state_words(standing.state)
    cited = Cited(worst.rdf_mae.estimate, worst.file, f"{COMPARISON}/verdict")
    return Shown(words, cited, where, value=standing.state, remark=where)


def kelvin(found: Stability) -> str:
    """The temperature in words."""
    return "unknown K" if found.temperature_k is None else f"{found.temperature_k:g} K"


def diffusion_ratio(found: Transport) -> Shown:
    """The diffusivity over that of the reference, and whether they differ."""
    if found.ratio is None:
        return in_place(found.failure_mode or NOTHING)
    words = {True: "different", False: "no difference resolved", None: ""}[found.differs]
    return measured(found.ratio, words)


def noted(*parts: str) -> str:
    """What there is to note, in one line."""
    return "; ".join(part for part in parts if part)


def duration(seconds: float) -> str:
    """A time in s, min or h."""
    if seconds < 100.0:
        return f"{plain_number(seconds)} s"
    if seconds < 100.0 * MINUTE_IN_S:
        return f"{plain_number(seconds / MINUTE_IN_S)} min"
    return f"{plain_number(seconds / HOUR_IN_S)} h"


def four_decimals(x: float) -> str:
    """A number next to one."""
    return f"{x:.4f}".replace("-", "−")


def _written(found: Estimate, form: Callable[[float], str]) -> tuple[str, str]:
    """Value or bound, and its limits or that it is a bound."""
    if found.value is not None:
        if found.low is None or found.high is None:
            return form(found.value), ""
        return form(found.value), _interval(found.value, found.low, found.high, form)
    low, high = (
        None if x is None or not math.isfinite(x) else form(x) for x in (found.low, found.high)
    )
    if low is None and high is None:
        return NOT_RESOLVED, ""
    if low is None:
        return f"< {high}", NOT_RESOLVED
    if high is None:
        return f"> {low}", NOT_RESOLVED
    return NOT_RESOLVED, f"{low} to {high}"


def _interval(value: float, low: float, high: float, form: Callable[[float], str]) -> str:
    """Limits, with the power of ten of the value where all have it."""
    power = exponent(value)
    if power is None or not close(low, high) or not math.isfinite(high):
        return f"{form(low)} to {form(high)}"
    shares = " to ".join(f"{x / 10.0**power:.2f}" for x in (low, high))
    return f"({shares}){plain_number(10.0**power).removeprefix('1.00')}"


def write_csv_tables(folder: Path, tables: Sequence[BenchmarkTable]) -> None:
    """Writes NAME.csv of each table, in full precision."""
    for table in tables:
        write_csv(folder / f"{table.name}.csv", *csv_table(table))


def csv_table(table: BenchmarkTable) -> tuple[list[str], list[list[Cell]]]:
    """Header and rows of the CSV file.

    A quantity has its limits, unit and file in columns of their own, NAME_low, …; an unresolved
    one has no value, only its bound as a limit. The paper's numbers are in paper_NAME.
    """
    header: list[str] = []
    rows: list[list[Cell]] = [[] for _ in table.rows]
    for i, name in enumerate(table.columns):
        for suffix, cells in _csv_columns([row[i] for row in table.rows], words=i < table.n_words):
            header.append(f"paper_{name}" if suffix == "paper" else name + suffix)
            for row, cell in zip(rows, cells, strict=True):
                row.append(cell)
    return header, rows


def _csv_columns(cells: Sequence[Shown], *, words: bool) -> list[tuple[str, list[Cell]]]:
    """What a column becomes: suffix of the name, and its cells."""
    found: list[tuple[str, list[Cell]]] = []
    if not all(cell.published for cell in cells):
        found.append(("", [_own(cell, words) for cell in cells]))
        given = [None if words or c.cited is None else c.cited.estimate for c in cells]
        for suffixes in (("low", "high"), ("unit",)):
            columns: list[list[Cell]] = [
                [None if each is None else getattr(each, suffix) for each in given]
                for suffix in suffixes
            ]
            if any(value not in (None, "") for column in columns for value in column):
                found += [(f"_{s}", c) for s, c in zip(suffixes, columns, strict=True)]
        if any(cell.cited for cell in cells):
            files = [None if cell.cited is None else cell.cited.file for cell in cells]
            found.append(("_file", [*files]))
        if any(cell.remark for cell in cells):
            found.append(("_note", [cell.remark for cell in cells]))
    if any(cell.published for cell in cells):
        found.append(("paper", [cell.value if cell.published else None for cell in cells]))
    return found


def _own(cell: Shown, words: bool) -> Cell:
    if cell.published:
        return None
    if cell.value is not None:
        return cell.value
    if words:
        return None if cell.text == NOTHING else cell.text
    return None if cell.cited is None else cell.cited.estimate.value
