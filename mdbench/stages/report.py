"""The page of a run: what its result files hold, in one HTML file."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mdbench.analysis.rdf import first_peak
from mdbench.errors import InputError
from mdbench.reporting.figures import rdf_figure
from mdbench.reporting.html import GENERATOR, Page, Peak, RdfSection, render
from mdbench.store import Result, check_output, read_result, written
from mdbench.version import __version__

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class ReportSummary:
    """What came of a report.

    Attributes:
        output: The page.
        shown: One line per section of the page.
        not_shown: Result files that the page has no section for.
    """

    output: Path
    shown: list[str]
    not_shown: list[str]


def run(run_folder: Path, output: Path | None = None, *, force: bool = False) -> ReportSummary:
    """Writes index.html from the files below observables/ of a run folder.

    Args:
        run_folder: The run folder.
        output: Folder of the page. By default report/ in the run folder, where an earlier page
            of ours is replaced; elsewhere a page that exists is refused.
        force: Replace whatever is there.
    """
    page = (run_folder / "report" if output is None else output) / "index.html"
    check_output(page, force=force or (output is None and _is_ours(page)))
    if not run_folder.is_dir():
        raise InputError("no such run folder", where=run_folder, expected="a folder")
    sections, not_shown = [], []
    for path in sorted((run_folder / "observables").rglob("*.h5")):
        result = read_result(path, "observables")
        name = path.relative_to(run_folder).as_posix()
        if result.attributes.get("observable") == "rdf":
            sections.append(_rdf_section(path, name, result))
        else:
            not_shown.append(name)
    if not sections:
        raise InputError(
            "no results to show",
            where=run_folder / "observables",
            expected="a file written by `mdbench rdf … -o`",
            found=f"{len(not_shown)} files of other kinds" if not_shown else "none",
            remedy="`make benchmark` makes a complete run folder",
        )
    content = render(
        Page(
            run=run_folder.resolve().name,
            created=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            version=__version__,
            sections=sections,
            not_shown=not_shown,
        )
    )
    with written(page) as part:
        part.write_text(content, encoding="utf-8")
    return ReportSummary(page, [_line(s) for s in sections], not_shown)


def _is_ours(page: Path) -> bool:
    try:
        with page.open("rb") as file:
            return file.read(len(GENERATOR)) == GENERATOR.encode()
    except OSError:
        return False


def _rdf_section(path: Path, name: str, result: Result) -> RdfSection:
    known = result.attributes
    r, g = _rdf_arrays(path, result)
    try:
        material, source = str(known["material"]), str(known["source"])
        temperature = None if known["temperature_k"] is None else float(known["temperature_k"])
        n_runs, n_frames = int(known["n_runs"]), int(known["n_frames"])
        skip_ps = None if known["skip_ps"] is None else float(known["skip_ps"])
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(path, f"attributes of an rdf: {error}") from error
    return RdfSection(
        file=name,
        material=material,
        source=source,
        temperature_k=temperature,
        n_runs=n_runs,
        n_frames=n_frames,
        skip_ps=skip_ps,
        synthetic=_is_synthetic(known),
        figure=_png(r, g),
        peaks=[_peak(pair, r, values) for pair, values in g.items()],
        settings=result.config,
        inputs=result.inputs,
    )
