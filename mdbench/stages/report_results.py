"""What a run folder holds about structure and transport: observables/."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from mdbench.reporting.benchmark_html import Picture
from mdbench.reporting.embedded import png
from mdbench.reporting.failure_figure import failure_figure
from mdbench.reporting.figures import rdf_figure
from mdbench.reporting.path_html import path_section
from mdbench.reporting.rdf_html import Peak, RdfSection
from mdbench.reporting.result_section import is_synthetic
from mdbench.reporting.results_html import Section
from mdbench.reporting.transport_sections import conductivity_section, msd_section
from mdbench.reporting.verdict_figure import VerdictCurves, verdict_figure
from mdbench.stages.damage import undamaged
from mdbench.stages.evidence import read_evidence
from mdbench.store import Result, read_result

#: What the page has sections for.
_SECTIONS = ("rdf", "msd", "conductivity", "path")


@dataclass(frozen=True)
class Results:
    """What a run folder holds below observables/.

    Attributes:
        sections: One for each result.
        evidence: Pictures of failures: of each source, material and mode the first one.
        not_shown: Names of files of other kinds.
    """

    sections: list[Section]
    evidence: list[Picture]
    not_shown: list[str]


def read_results(run_folder: Path) -> Results:
    """The sections of a page on the observables of a run folder.

    Raises:
        InputError: A damaged file.
    """
    results: list[tuple[Path, str, Result]] = []
    not_shown = []
    for path in sorted((run_folder / "observables").rglob("*.h5")):
        result = read_result(path, "observables")
        name = path.relative_to(run_folder).as_posix()
        if result.attributes.get("observable") in _SECTIONS:
            results.append((path, name, result))
        else:
            not_shown.append(name)
    conductivities = [r for _, _, r in results if r.attributes["observable"] == "conductivity"]
    sections = [_section(path, name, r, conductivities) for path, name, r in results]
    # a force field has the name of its folder, as in the tables
    sections = [
        replace(section, source=folder) if (folder := _source(name)) is not None else section
        for (_, name, _), section in zip(results, sections, strict=True)
    ]
    pictures: dict[tuple[str, str, str], Picture] = {}
    pairs = zip(results, sections, strict=True)
    structures = [(one, s) for one, s in pairs if isinstance(s, RdfSection)]
    for (path, name, result), section in sorted(structures, key=lambda p: p[1].place):
        with undamaged(path, "rdf"):
            for mode, picture in _evidence(name, result, section):
                pictures.setdefault((section.source, section.material, mode), picture)
    return Results(sections, list(pictures.values()), not_shown)


def _source(name: str) -> str | None:
    """The source that a file is of by its place, observables/<source>/<material>/<file>."""
    parts = name.split("/")
    return parts[1] if len(parts) == 4 else None


def _section(path: Path, name: str, result: Result, others: Sequence[Result]) -> Section:
    """The section of a result file; others are conductivities, of which a figure shows one, too."""
    with undamaged(path, str(result.attributes["observable"])):
        if result.attributes["observable"] == "rdf":
            return _rdf_section(name, result)
        if result.attributes["observable"] == "msd":
            return msd_section(name, result)
        if result.attributes["observable"] == "path":
            return path_section(name, result)
        reference = (result.attributes["document"].get("comparison") or {}).get("reference")
        beside = [
            other
            for other in others
            if f"{other.attributes.get('source')}: {other.attributes.get('material')}" == reference
        ]
        return conductivity_section(name, result, beside)


def _evidence(name: str, result: Result, section: RdfSection) -> list[tuple[str, Picture]]:
    """Failure mode and picture of each failure that has one."""
    found = []
    for curve, failure in read_evidence(result):
        mode, subject = str(failure["mode"]), str(failure["subject"])
        kelvin = "" if section.temperature_k is None else f" at {section.temperature_k:g} K"
        where = f"{section.source} on {section.material}{kelvin}"
        title = f"{where}: {mode}" + ("" if subject == "run" else f" ({subject})")
        picture = Picture(
            name="",
            title=title,
            alt=f"{title}: {curve.what}, against the reference's",
            caption=str(failure["message"]),
            png=png(failure_figure(curve, failure, where)),
            files=[name],
        )
        found.append((mode, picture))
    return found


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
        synthetic=is_synthetic(known),
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
