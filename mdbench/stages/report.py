"""The page of a run: what its result files hold, in one HTML file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from mdbench.errors import InputError
from mdbench.reporting.figures import png, rdf_figure
from mdbench.reporting.html import GENERATOR, Page, Peak, RdfSection, Section, in_order, render
from mdbench.reporting.model_html import model_line
from mdbench.reporting.model_tables import ACCURACY_NAME, MODELS_NAME, write_tables
from mdbench.reporting.transport_html import (
    ConductivitySection,
    MsdSection,
    conductivity_result,
    msd_result,
)
from mdbench.reporting.transport_sections import conductivity_section, msd_section
from mdbench.reporting.verdict_figure import VerdictCurves, verdict_figure
from mdbench.stages.damage import undamaged
from mdbench.stages.report_models import read_models
from mdbench.store import Result, check_output, read_result, written
from mdbench.version import __version__


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
    """Writes index.html from the results in a run folder, and tables/ of its models beside it.

    Args:
        run_folder: The run folder.
        output: Folder of both. By default report/ in the run folder, where an earlier page
            of ours is replaced; elsewhere a page that exists is refused.
        force: Replace whatever is there.
    """
    page = (run_folder / "report" if output is None else output) / "index.html"
    if not run_folder.is_dir():
        raise InputError("no such run folder", where=run_folder, expected="a folder")
    targets = [page, *(page.parent / "tables" / name for name in (MODELS_NAME, ACCURACY_NAME))]
    # in a run folder the tables are ours, also where a workflow has taken the page away
    own = output is None and (_is_ours(page) or not page.exists())
    for target in targets:
        check_output(target, force=force or own)
    results: list[tuple[Path, str, Result]] = []
    not_shown = []
    for path in sorted((run_folder / "observables").rglob("*.h5")):
        result = read_result(path, "observables")
        name = path.relative_to(run_folder).as_posix()
        observable = result.attributes.get("observable")
        if observable in _SECTIONS:
            results.append((path, name, result))
        else:
            not_shown.append(name)
    sections = [_section(path, name, result, results) for path, name, result in results]
    models, left = read_models(run_folder)
    not_shown += left
    if not sections and not models.sources:
        raise InputError(
            "no results to show",
            where=run_folder,
            expected="files below observables/, models/, accuracy/ or audit/",
            found=f"{len(not_shown)} of other kinds" if not_shown else "none",
            remedy="`make benchmark` makes a complete run folder",
        )
    content = render(
        Page(
            run=run_folder.resolve().name,
            created=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            version=__version__,
            sections=sections,
            not_shown=not_shown,
            models=models,
        )
    )
    with written(page) as part:
        part.write_text(content, encoding="utf-8")
    write_tables(page.parent / "tables", models)
    shown = [model_line(models, source) for source in models.sources]
    return ReportSummary(page, shown + [_line(s) for s in in_order(sections)], not_shown)


def _is_ours(page: Path) -> bool:
    try:
        with page.open("rb") as file:
            return file.read(len(GENERATOR)) == GENERATOR.encode()
    except OSError:
        return False


#: What the page has sections for.
_SECTIONS = ("rdf", "msd", "conductivity")


def _section(
    path: Path, name: str, result: Result, others: Sequence[tuple[Path, str, Result]]
) -> Section:
    """The section of a result file; others are the reference's that a figure shows beside."""
    with undamaged(path, str(result.attributes["observable"])):
        if result.attributes["observable"] == "rdf":
            return _rdf_section(name, result)
        if result.attributes["observable"] == "msd":
            return msd_section(name, result)
        reference = (result.attributes["document"].get("comparison") or {}).get("reference")
        beside = [
            other
            for _, _, other in others
            if other.attributes.get("observable") == "conductivity"
            and f"{other.attributes.get('source')}: {other.attributes.get('material')}" == reference
        ]
        return conductivity_section(name, result, beside)


def _rdf_section(name: str, result: Result) -> RdfSection:
    known = result.attributes
    temperature = known["temperature_k"]
    return RdfSection(
        file=name,
        material=str(known["material"]),
        source=str(known["source"]),
        temperature_k=None if temperature is None else float(temperature),
        n_runs=int(known["n_runs"]),
        n_frames=int(known["n_frames"]),
        skip_ps=[float(skip) for skip in known["skip_ps"]],
        synthetic=any(
            "synthetic" in str(known[key]).lower() for key in ("source", "label", "potential")
        ),
        figure=_png(result),
        comparison=known.get("comparison"),
        peaks=[_peak(pair, known["peaks"][pair]) for pair in known["peaks"]],
        settings=result.config,
        inputs=result.inputs,
    )


def _peak(pair: str, stored: Mapping[str, float | None]) -> Peak:
    values = [stored[key] for key in ("r", "height", "coordination", "reverse")]
    return Peak(pair, *(None if value is None else float(value) for value in values))


def _png(result: Result) -> bytes:
    r, g = result.datasets["r"], _curves(result, "g/")
    if r.ndim != 1 or any(values.shape != r.shape for values in g.values()):
        raise ValueError("arrays of different lengths")
    comparison = result.attributes.get("comparison")
    if comparison is None:
        return png(rdf_figure(r, {"": g}))
    reference, noise = _curves(result, "reference/"), _curves(result, "noise/")
    name = str(result.attributes["source"])
    return png(verdict_figure(VerdictCurves(r, reference, g, noise, comparison, name)))


def _curves(result: Result, place: str) -> dict[str, NDArray[Any]]:
    """(n_bins,) arrays by pair, all atoms first."""
    found = {n.removeprefix(place): v for n, v in result.datasets.items() if n.startswith(place)}
    return {"total": found.pop("total"), **found}


def _line(section: Section) -> str:
    """The section in one line, for the terminal."""
    mark = " (synthetic data: not a material)" if section.synthetic else ""
    if isinstance(section, MsdSection):
        return f"diffusion in {_name(section)}: {msd_result(section)}{mark}"
    if isinstance(section, ConductivitySection):
        name = f"{section.material}, {section.source}"
        return f"conductivity of {name}: {conductivity_result(section)}{mark}"
    first = next((p for p in section.peaks if p.pair == "total"), None)
    peak = "" if first is None or first.position is None else f", first peak {first.position:.3f} A"
    if section.comparison is not None:
        mode = section.comparison["failure_mode"]
        why = "" if mode is None else f" ({mode})"
        return f"verdict on {_name(section)}: {section.comparison['verdict']}{why}{mark}"
    return f"g(r) of {_name(section)}{peak}{mark}"


def _name(section: RdfSection | MsdSection) -> str:
    temperature = "" if section.temperature_k is None else f", {section.temperature_k:g} K"
    return f"{section.material}{temperature}, {section.source}"
