"""Sections of a page on a benchmark: its summary, the paper's tables and figures, and ours."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mdbench.reporting.assessment import STATES, Assessment, Stability, Standing, State
from mdbench.reporting.benchmark_cells import BenchmarkTable, Shown, state_words
from mdbench.reporting.markup import (
    bullets,
    cited,
    count,
    folded,
    heading,
    image,
    provenance,
    section,
    table,
    text,
)

#: Verdicts as cells show them, by sign and word.
_STATES: dict[str, State] = {state_words(state): state for state in STATES}
#: Columns of the table of the summary that the page shows first; the others have their sections.
_OUTCOME = ("model", "state_", "failure_modes")
_OUTCOME_CAPTION = (
    "What became of each force field: the worst verdict over the temperatures of each material, "
    "and where it was found."
)
#: Tables of a supplement have its numbers in their names.
_SUPPLEMENT = tuple(f"s{k}" for k in range(1, 7))
#: More lines than these on what would settle a verdict are folded up.
_MOST_LINES = 4


@dataclass(frozen=True)
class Picture:
    """A figure in the page.

    Attributes:
        name: Stem of its files; empty where there are none.
        title: What it shows.
        alt: The same for who does not see it, with what it says.
        caption: What its marks mean.
        png: The image.
        files: Result files that it was made from.
    """

    name: str
    title: str
    alt: str
    caption: str
    png: bytes
    files: Sequence[str] = ()


@dataclass(frozen=True)
class Benchmark:
    """What a page shows of a benchmark.

    Attributes:
        assessment: What was found out.
        tables: The paper's and ours.
        pictures: Likewise.
        evidence: Of failures.
    """

    assessment: Assessment
    tables: Sequence[BenchmarkTable] = ()
    pictures: Sequence[Picture] = ()
    evidence: Sequence[Picture] = ()

    @property
    def files(self) -> Iterator[str]:
        """Every file that a number or picture leads to."""
        for one in self.tables:
            yield from (cell.cited.file for row in one.rows for cell in row if cell.cited)
        for picture in (*self.pictures, *self.evidence):
            yield from picture.files


@dataclass(frozen=True)
class Place:
    """A section of the page.

    Attributes:
        anchor: Of it.
        title: Its heading.
        short: The same for the list of contents.
        names: Tables and pictures that stand in it, in their order.
        folded: Those of them that a reader must open.
    """

    anchor: str
    title: str
    short: str
    names: tuple[str, ...]
    folded: tuple[str, ...] = ()


def table_html(benchmark: Benchmark, name: str) -> str:
    """The table of a name without a title; empty where there is none."""
    found = next((each for each in benchmark.tables if each.name == name), None)
    return "" if found is None else _cells(found)


def outcome_html(benchmark: Benchmark) -> str:
    """The verdict on each force field by material, from the table of the summary."""
    found = next((each for each in benchmark.tables if each.name == "summary"), None)
    if found is None:
        return ""
    chosen = [i for i, name in enumerate(found.columns) if name.startswith(_OUTCOME)]
    return _cells(
        dataclasses.replace(
            found,
            caption=_OUTCOME_CAPTION,
            header=[found.header[i] for i in chosen],
            columns=[found.columns[i] for i in chosen],
            n_words=len(chosen),
            rows=[[row[i] for i in chosen] for row in found.rows],
        )
    )


def picture_html(benchmark: Benchmark, name: str) -> str:
    """The picture of a name; empty where there is none."""
    found = next((each for each in benchmark.pictures if each.name == name), None)
    return "" if found is None else _picture(found)


def unresolved_html(assessment: Assessment) -> str:
    """What would settle the verdicts that are open; empty where none is."""
    lines = [
        f"{model.source} on {standing.material}{_at(stability)}: {stability.state}; "
        f"{_would_settle(stability)}"
        for model in assessment.models
        for standing in model.standings.values()
        for stability in [_hardest(standing)]
        if stability is not None
    ]
    if not lines:
        return ""
    first = (
        f"{count(len(lines), 'verdict')} not resolved; what would bring the upper limit of rdf_mae "
        "below the threshold"
    )
    if len(lines) <= _MOST_LINES:
        return f"<p>{text(first)}:</p>{bullets(lines)}"
    return folded(text(first), [bullets(lines)])


def place_html(place: Place, benchmark: Benchmark, more: Sequence[str] = ()) -> str:
    """A section with its tables and pictures; empty where it has none of them.

    Args:
        place: The section.
        benchmark: What there is.
        more: HTML that stands behind them.
    """
    found = [each for name in place.names for each in _named(benchmark, name)]
    if not found and not any(more):
        return ""
    if len(found) == 1 and not place.folded:
        return section(place.anchor, [heading(found[0].title), *_shown(found[0]), *more])
    parts = []
    for each in found:
        number, mark, _ = each.name.partition("-")
        numbered = mark and number in _SUPPLEMENT
        title = heading(f"{number.upper()}: {each.title}" if numbered else each.title, level=3)
        if each.name in place.folded:
            parts.append(folded(title, _shown(each)))
        else:
            parts += [title, *_shown(each)]
    return section(place.anchor, [heading(place.title), *parts, *more])


def evidence_html(benchmark: Benchmark) -> list[str]:
    """Pictures of failures, each folded up."""
    if not benchmark.evidence:
        return []
    return [
        heading("Evidence of failures", level=3),
        *(
            folded(
                text(each.title),
                [image(each.png, each.alt, caption=each.caption), provenance(*each.files)],
            )
            for each in benchmark.evidence
        ),
    ]


def _hardest(standing: Standing) -> Stability | None:
    """Of the open verdicts of a material the one that asks for most; None where none is open."""
    found = [s for s in standing.stability if s.state in ("undecided", "indistinguishable")]
    return max(found, key=_factor, default=None)


def _factor(stability: Stability) -> float:
    needed = stability.needed
    return float("inf") if needed is None else float(needed["factor"])


def _would_settle(stability: Stability) -> str:
    needed = stability.needed
    if needed is None:
        return "no amount of data would, if the difference is as it seems"
    runs = " and ".join(
        f"{count(int(needed[f'n_{side}']), 'run')}{_length(needed, side)} of the {side}"
        for side in ("model", "reference")
    )
    return f"about {runs} ({float(needed['factor']):.2g} times the data)"


def _length(needed: Mapping[str, Any], side: str) -> str:
    ps = needed[f"{side}_ps"]
    return "" if ps is None else f" of {float(ps):.3g} ps"


def _at(stability: Stability) -> str:
    return "" if stability.temperature_k is None else f" at {stability.temperature_k:g} K"


def _named(benchmark: Benchmark, name: str) -> list[Picture | BenchmarkTable]:
    """The picture and the table of a name."""
    both: list[Picture | BenchmarkTable] = [*benchmark.pictures, *benchmark.tables]
    return [each for each in both if each.name == name]


def _shown(each: Picture | BenchmarkTable) -> list[str]:
    """A picture or table, and its files."""
    if isinstance(each, Picture):
        return [_picture(each), _beside(f"figures/{each.name}.svg, .pdf, .png")]
    return [_cells(each), _beside(f"tables/{each.name}.csv")]


def _beside(names: str) -> str:
    """Files that lie beside the page."""
    return f'<p class="beside">{text(names)}</p>'


def _picture(picture: Picture) -> str:
    return image(picture.png, picture.alt, caption=picture.caption)


def _cells(found: BenchmarkTable) -> str:
    rows = [[_cell(cell) for cell in row] for row in found.rows]
    return table(found.header, rows, n_words=found.n_words, caption=found.caption)


def _cell(cell: Shown) -> str:
    """Value and below it what is noted; the paper's are marked."""
    shown = _cited(cell)
    if cell.text in _STATES:
        shown = f'<strong class="state {_STATES[cell.text]}">{shown}</strong>'
    if cell.published:
        shown = f'<span class="paper">{shown}</span> <span class="tag">paper</span>'
    lines = "<br>".join(text(line) for line in cell.note.split("\n"))
    return f'{shown}<br><span class="small">{lines}</span>' if cell.note else shown


def _cited(cell: Shown) -> str:
    shown = text(cell.text)
    return shown if cell.cited is None else cited(shown, cell.cited.file, cell.cited.key)
