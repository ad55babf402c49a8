"""Sections of a page on the paths of ions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mdbench.reporting.embedded import png
from mdbench.reporting.markup import bullets, heading, image, provenance, table, text
from mdbench.reporting.path_figures import path_figure
from mdbench.reporting.path_pictures import picture_of
from mdbench.reporting.result_section import StateSection, is_synthetic
from mdbench.reporting.transport_html import plain_number
from mdbench.store import Result

#: Scores of a comparison, and how they are called.
SCORES = {
    "density_overlap": "density overlap",
    "efficiency": "efficiency",
    "fake_rate": "fake rate",
    "duplicate_rate": "duplicate rate",
    "rate_ratio": "jumps, model over reference",
}


@dataclass(frozen=True, kw_only=True)
class PathSection(StateSection):
    """What the page shows of the paths of ions in one state.

    Attributes:
        species: Symbol of the mobile ions.
        n_sites: Sites that they use.
        n_jumps: Jumps between them, of all runs.
        at_sites: Share of the time that ions are at sites.
        result: Which way jumps lead, or how the run fails.
        comparison: As `mdbench path --against --json` prints it; None without a reference.
        warnings: What the reader should know.
    """

    species: str
    n_sites: int
    n_jumps: int
    at_sites: float
    result: str
    comparison: Mapping[str, Any] | None
    warnings: Sequence[str]


def path_section(name: str, result: Result) -> PathSection:
    """The section of a file that `mdbench path -o` writes.

    What it lacks or has of a wrong kind raises KeyError, TypeError or ValueError.

    Args:
        name: Of the file within the run folder.
        result: Its content.
    """
    known = result.attributes
    document = known["document"]
    temperature = known["temperature_k"]
    picture = picture_of(known, result.datasets)
    return PathSection(
        file=name,
        material=str(known["material"]),
        source=str(known["source"]),
        temperature_k=None if temperature is None else float(temperature),
        n_runs=int(known["n_runs"]),
        n_frames=int(known["n_frames"]),
        skip_ps=[float(run["skip_ps"]) for run in document["runs"]],
        synthetic=is_synthetic(known),
        figure=png(path_figure(picture)),
        species=str(document["species"]),
        n_sites=len(picture.side.sites),
        n_jumps=int(document["n_jumps"]),
        at_sites=float(document["at_sites"]),
        result=picture.result,
        comparison=document.get("comparison"),
        warnings=[str(line) for line in document["warnings"]],
        settings=document["settings"],
        inputs=result.inputs,
    )


def path_html(s: PathSection, level: int) -> str:
    """Figure, which way jumps lead, scores beside those of a perfect model, warnings.

    Args:
        s: What is shown.
        level: Of the heading.
    """
    temperature = "temperature unknown" if s.temperature_k is None else f"{s.temperature_k:g} K"
    name = f"{s.species} in {s.material}, {temperature}, {s.source}"
    parts = [
        heading(f"Paths of {name}", level=level, synthetic=s.synthetic),
        image(s.figure, f"density, jumps and paths of {name}"),
        bullets(s.warnings),
        f"<p>{s.n_sites} sites, where ions are {s.at_sites:.0%} of the time; {s.n_jumps} jumps; "
        f"{text(s.result)}.</p>",
        "" if s.comparison is None else _comparison(s.comparison, name),
        provenance(s.file),
    ]
    return "\n".join(part for part in parts if part)


def _comparison(found: Mapping[str, Any], name: str) -> str:
    rows = []
    for key, words in SCORES.items():
        score, floor = found[key], found["floors"][key]
        limits = (score["value"], score["low"], score["high"])
        perfect = (
            (None,) * 3 if floor is None else tuple(floor[k] for k in ("expected", "q05", "q95"))
        )
        rows.append([text(words), *(_number(x) for x in (*limits, *perfect))])
    head = ("score", "value", "low", "high", "perfect model", "5 %", "95 %")
    return f"<p>{text(found['meaning'])}.</p>" + table(
        head, rows, n_words=1, caption=f"Paths of {name}, against the reference’s"
    )


def _number(value: float | None) -> str:
    return "–" if value is None else text(plain_number(float(value)))
