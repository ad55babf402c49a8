"""The page of a run: what its result files hold, in one HTML file, with its tables and figures."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

from mdbench.errors import InputError
from mdbench.reporting.assessment import Standing
from mdbench.reporting.benchmark_figures import benchmark_figures, save_all
from mdbench.reporting.benchmark_html import Benchmark, Picture
from mdbench.reporting.benchmark_tables import benchmark_tables, write_csv_tables
from mdbench.reporting.citations import bibtex, citations
from mdbench.reporting.embedded import png
from mdbench.reporting.html import GENERATOR, Page, files_of, render
from mdbench.reporting.model_html import model_line
from mdbench.reporting.model_tables import NAMES, write_tables
from mdbench.reporting.results_html import Section, came_out, in_order
from mdbench.stages.report_citations import uses_of
from mdbench.stages.report_runs import ReadRun, merged, read_runs
from mdbench.store import check_output, input_of, written
from mdbench.version import __version__


@dataclass(frozen=True)
class ReportSummary:
    """What came of a report.

    Attributes:
        output: The page.
        shown: One line for each force field, and for each other source and material.
        missed: One line for each task of a benchmark that came to nothing.
        not_shown: Result files that the page has no section for.
    """

    output: Path
    shown: list[str]
    missed: list[str]
    not_shown: list[str]


def run(runs: Sequence[Path], output: Path | None = None, *, force: bool = False) -> ReportSummary:
    """Writes index.html on the results of one or several run folders, with tables/ and figures/.

    Args:
        runs: Run folders. Several of them need an output.
        output: Folder of the page. By default report/ in the run folder, where an earlier page
            of ours is replaced; elsewhere a page that exists is refused.
        force: Replace whatever is there.
    """
    page = _page_of(runs, output)
    # in a run folder the tables are ours, also where a workflow has taken the page away
    force = force or (output is None and (_is_ours(page) or not page.exists()))
    check_output(page, force=force)
    read, assessment = read_runs(runs)
    made = _page(read)
    tables = [] if assessment is None else benchmark_tables(assessment)
    figures = [] if assessment is None else benchmark_figures(assessment)
    bibliography = page.parent / "citations.bib"
    check_output(bibliography, force=force)
    names = [*(each.name for each in tables), *(Path(name).stem for name in NAMES)]
    for name in names:
        check_output(page.parent / "tables" / f"{name}.csv", force=force)
    for each in figures:
        check_output(page.parent / "figures" / f"{each.name}.svg", force=force)
    if assessment is not None:
        pictures = [Picture(f.name, f.title, f.alt, f.caption, png(f.figure)) for f in figures]
        evidence = [each for one in read for each in one.results.evidence]
        benchmark = Benchmark(assessment, tables, pictures, evidence)
        made = dataclasses.replace(made, benchmark=benchmark)
    made = dataclasses.replace(
        made,
        checksums=_checksums(made, read),
        citations=citations(uses_of(made, assessment, runs), __version__),
    )
    with written(page) as part:
        part.write_text(render(made), encoding="utf-8")
    with written(bibliography) as part:
        part.write_text(bibtex(made.citations), encoding="ascii")
    write_tables(page.parent / "tables", made.models)
    write_csv_tables(page.parent / "tables", tables)
    save_all(page.parent / "figures", figures)
    return ReportSummary(page, list(_lines(made)), list(_missed(read)), list(made.not_shown))


def _page(read: Sequence[ReadRun]) -> Page:
    """What stands in the run folders.

    Raises:
        InputError: Nothing does.
    """
    models, results = merged(read)
    records = [record for each in read for record in each.facts.records]
    if not (results.sections or models.sources or records):
        left = results.not_shown
        raise InputError(
            "no results to show",
            where=", ".join(str(each.folder) for each in read),
            expected="files below observables/, models/, accuracy/ or audit/",
            found=f"{len(left)} of other kinds" if left else "none",
            remedy="`make benchmark` makes a complete run folder",
        )
    return Page(
        run=", ".join(each.facts.run for each in read),
        created=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        version=__version__,
        sections=results.sections,
        not_shown=results.not_shown,
        models=models,
        runs=[each.facts for each in read],
    )


def _page_of(runs: Sequence[Path], output: Path | None) -> Path:
    """Where the page is written."""
    for folder in runs:
        if not folder.is_dir():
            raise InputError("no such run folder", where=folder, expected="a folder")
    if output is None and len(runs) > 1:
        raise InputError(
            "a page on several run folders belongs to none of them",
            expected="a folder for it",
            remedy="-o FOLDER",
        )
    return (runs[0] / "report" if output is None else output) / "index.html"


def _is_ours(page: Path) -> bool:
    try:
        with page.open("rb") as file:
            return file.read(len(GENERATOR)) == GENERATOR.encode()
    except OSError:
        return False


def _checksums(page: Page, read: Sequence[ReadRun]) -> dict[str, str]:
    """sha256 of the files of the page by their name."""
    found = {}
    for name in (each.name for each in files_of(page)):
        for one in read:
            path = one.folder / name.removeprefix(one.facts.prefix)
            if name.startswith(one.facts.prefix) and path.is_file():
                found[name] = input_of(path, "").sha256
    return found


def _missed(read: Sequence[ReadRun]) -> Iterator[str]:
    """Tasks that came to nothing, with their logs."""
    for each in read:
        for record in each.facts.missed:
            about = f"{record.stage} {record.name} {record.state}: {record.message}"
            yield f"{each.facts.prefix}{record.log}: {about}"


def _lines(page: Page) -> Iterator[str]:
    """What came out, for the terminal."""
    judged = set()
    if page.benchmark is not None:
        for model in page.benchmark.assessment.models:
            judged.add(model.source)
            verdicts = ", ".join(
                _verdict(standing) for standing in model.standings.values() if standing.stability
            )
            yield model_line(page.models, model.source, verdicts)
    others = [s for s in in_order(page.sections) if s.source not in judged]
    for (source, material), found in groupby(others, key=lambda s: (s.source, s.material)):
        members: list[Section] = list(found)
        mark = " (synthetic data: not a material)" if any(s.synthetic for s in members) else ""
        yield f"{source}: {material} {came_out(members)}{mark}"


def _verdict(standing: Standing) -> str:
    modes = ", ".join(standing.failure_modes)
    return f"{standing.material} {standing.state}" + (f" ({modes})" if modes else "")
