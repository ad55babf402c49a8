"""The page of a run: one HTML file that needs no network and nothing beside it.

Names of files, materials and sources come from strangers: every text goes through `markup.text`,
and the page forbids itself scripts and foreign content.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

from mdbench.reporting.markup import count, heading, image, number, provenance, table, text
from mdbench.reporting.model_facts import Models, Verdict, accurate_but_unstable
from mdbench.reporting.model_html import models_html, models_summary
from mdbench.reporting.transport_html import (
    ConductivitySection,
    MsdSection,
    conductivity_html,
    conductivity_result,
    msd_html,
    msd_result,
)
from mdbench.store import Input

#: Starts every page; by it a page of ours is told from a file that must not be overwritten.
GENERATOR = '<!doctype html>\n<html lang="en">\n<meta name="generator" content="mdbench '


@dataclass(frozen=True)
class Peak:
    """The first maximum of g(r) of one species pair.

    Attributes:
        pair: `total` or `Li-S`.
        position: Å; None where there is no maximum.
        height: Value of g there.
        coordination: Of a pair A-B, mean number of B around an A up to the first minimum behind
            the peak; None where there is none.
        reverse: The same of A around a B.
    """

    pair: str
    position: float | None
    height: float | None
    coordination: float | None
    reverse: float | None


@dataclass(frozen=True)
class RdfSection:
    """What the page shows of one g(r).

    Attributes:
        file: Name of the result file within the run folder.
        material: Name of the material.
        source: Where the trajectories come from.
        temperature_k: Temperature; None is unknown.
        n_runs: Number of trajectories pooled.
        n_frames: Frames used of all of them.
        skip_ps: Equilibration left out of each run.
        synthetic: The data were made up, by themselves or by their label.
        figure: PNG image.
        peaks: One row per pair.
        comparison: What `mdbench rdf --against --json` prints so; None without a reference.
        settings: Settings of the stage.
        inputs: Files that the result was made from.
    """

    file: str
    material: str
    source: str
    temperature_k: float | None
    n_runs: int
    n_frames: int
    skip_ps: Sequence[float]
    synthetic: bool
    figure: bytes
    peaks: Sequence[Peak]
    comparison: Mapping[str, Any] | None
    settings: Mapping[str, object]
    inputs: Sequence[Input]


Section = RdfSection | MsdSection | ConductivitySection


@dataclass(frozen=True)
class Page:
    """A page about a run folder.

    Attributes:
        run: Name of the run folder.
        created: When the page was made.
        version: Version of mdbench.
        sections: One per result, in any order: verdicts come first, then conductivities,
            other g(r) and diffusivities.
        not_shown: Result files of kinds that this page has no section for.
        models: What is known about force fields.
    """

    run: str
    created: str
    version: str
    sections: Sequence[Section]
    not_shown: Sequence[str] = ()
    models: Models = field(default_factory=Models)


def render(page: Page) -> str:
    """The page as HTML."""
    sections = in_order(page.sections)
    style = files("mdbench.reporting").joinpath("assets/page.css").read_text(encoding="utf-8")
    body = [
        f"<h1>Run {text(page.run)}</h1>",
        *(f"<p>{text(line)}</p>" for line in _what_was_run(sections)),
        models_summary(page.models),
        _banner([*(s.synthetic for s in sections), *_marked(page.models)]),
        _overview(sections) if sections else "",
        models_html(page.models, accurate_but_unstable(page.models.errors, _verdicts(sections))),
        *(_section(place, s) for place, s in enumerate(sections, start=1)),
        _not_shown(page.not_shown),
    ]
    return (
        f'{GENERATOR}{text(page.version)}">\n'
        '<meta charset="utf-8">\n'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>mdbench: {text(page.run)}</title>\n"
        f"<style>\n{style}</style>\n"
        "<main>\n" + "\n".join(part for part in body if part) + "\n</main>\n"
        f"<footer>mdbench {text(page.version)}, {text(page.created)}</footer>\n</html>\n"
    )


def in_order(sections: Sequence[Section]) -> list[Section]:
    """Sections as the page shows them."""
    return sorted(sections, key=_place)


def _place(section: Section) -> tuple[int, str, str, float]:
    """Verdicts, then conductivities, g(r) and diffusivities; by material, source, temperature."""
    if isinstance(section, ConductivitySection):
        return 1, section.material, section.source, 0.0
    rank = 3
    if isinstance(section, RdfSection):
        rank = 0 if section.comparison is not None else 2
    return rank, section.material, section.source, section.temperature_k or 0.0


def _what_was_run(sections: Sequence[Section]) -> list[str]:
    structure = [s for s in sections if isinstance(s, RdfSection)]
    transport = [s for s in sections if not isinstance(s, RdfSection)]
    lines = []
    if structure:
        materials = len({s.material for s in structure})
        trajectories = sum(s.n_runs for s in structure)
        frames = sum(s.n_frames for s in structure)
        lines.append(
            f"Structure of {count(materials, 'material')} from "
            f"{count(trajectories, 'trajectory', 'trajectories')} with {count(frames, 'frame')} "
            "after equilibration: radial distribution functions g(r), every periodic image counted."
        )
    if transport:
        materials = len({s.material for s in transport})
        lines.append(
            f"Transport in {count(materials, 'material')}: mean squared displacements of the "
            "mobile ions in the frame of the others, averaged over all time origins; diffusivities "
            "and conductivities with 95 % intervals, or an upper bound where none is resolved."
        )
    return lines


def _verdicts(sections: Sequence[Section]) -> list[Verdict]:
    return [
        Verdict(
            s.source,
            s.material,
            s.temperature_k,
            str(s.comparison["verdict"]),
            s.comparison["failure_mode"],
        )
        for s in sections
        if isinstance(s, RdfSection) and s.comparison is not None
    ]


def _marked(models: Models) -> list[bool]:
    """Whether the sections on force fields are marked as made up, where there are any."""
    return [models.synthetic] if models.sources else []


def _banner(synthetic: Sequence[bool]) -> str:
    if not any(synthetic):
        return ""
    which = "" if all(synthetic) else " in the sections marked below"
    return (
        f'<p class="banner" role="note"><strong>Synthetic sample data{which}: not a material.'
        "</strong> A toy model or an analytic toy potential made these trajectories. "
        "Their numbers say nothing about any substance or potential.</p>"
    )


def _overview(sections: Sequence[Section]) -> str:
    rows = [
        (f'<a href="#g{place}">{text(s.material)}</a>', text(s.source), *map(text, _facts(s)))
        for place, s in enumerate(sections, start=1)
    ]
    head = ("material", "source", "T (K)", "runs", "frames", "skipped (ps)", "result")
    return table(head, rows, n_words=2)


def _facts(s: Section) -> tuple[str, ...]:
    """Temperatures, runs, frames, equilibration and what came out, in a few words."""
    skipped = ", ".join(f"{skip:.4g}" for skip in sorted(set(s.skip_ps))) or "–"
    if isinstance(s, ConductivitySection):
        known = [row.temperature_k for row in s.temperatures]
        span = f"{min(known):g}" if len(known) == 1 else f"{min(known):g}–{max(known):g}"
        return span, str(s.n_runs), "–", skipped, conductivity_result(s)
    result = msd_result(s) if isinstance(s, MsdSection) else "g(r)"
    if isinstance(s, RdfSection) and s.comparison is not None:
        result = str(s.comparison["verdict"])
    return number(s.temperature_k, ".6g"), str(s.n_runs), str(s.n_frames), skipped, result


def _section(place: int, s: Section) -> str:
    if isinstance(s, MsdSection):
        body = msd_html(s)
    elif isinstance(s, ConductivitySection):
        body = conductivity_html(s)
    else:
        body = _rdf_html(s)
    return f'<section id="g{place}">\n{body}\n</section>'


def _rdf_html(s: RdfSection) -> str:
    temperature = "temperature unknown" if s.temperature_k is None else f"{s.temperature_k:g} K"
    name = f"{s.material}, {temperature}, {s.source}"
    peaks = table(
        ("pair A-B", "first peak (Å)", "height", "CN A-B", "CN B-A"),
        [
            (
                text(p.pair),
                number(p.position, ".3f"),
                number(p.height, ".2f"),
                number(p.coordination, ".2f"),
                number(p.reverse, ".2f"),
            )
            for p in s.peaks
        ],
        n_words=1,
    )
    return "\n".join(
        [
            heading(f"g(r) of {name}", synthetic=s.synthetic),
            image(s.figure, f"g(r) of {name}, in total and by species pair"),
            _verdict(s.comparison),
            peaks,
            '<p class="small">CN A-B: mean number of B around an A, up to the first minimum '
            "behind the peak</p>",
            provenance(s.file, s.settings, s.inputs),
        ]
    )


def _verdict(found: Mapping[str, Any] | None) -> str:
    """The verdict with its reason, the numbers by pair, and how runs failed."""
    if found is None:
        return ""
    rows = [
        (text(name), *_verdict_numbers(row))
        for name, row in {
            "total": found,
            **found["per_pair"],
            "framework": found["framework"],
            "with mobile": found["with_mobile"],
        }.items()
        if row is not None
    ]
    reference = found["reference"]
    lines = [
        f'<p><strong class="verdict">{text(found["verdict"])}</strong> against '
        f"{text(reference['source'])} ({count(len(reference['files']), 'run')}): "
        f"{text(found['reason'])}. By rdf_mae alone, as in the literature: "
        f"{text(found['paper_verdict'])}.</p>",
        *(
            f"<p>Failure: {text(e['mode'])} in run {int(e['run']) + 1}: {text(e['message'])}</p>"
            for e in found["evidence"]
        ),
        table(("pair", "rdf_mae", "low", "high", "noise", "noise 95 %"), rows, n_words=1),
        '<p class="small">rdf_mae: mean |g - g of the reference|, with its 95 % interval; noise: '
        "what a perfect model would show at this amount of data</p>",
    ]
    return "\n".join(lines)


def _verdict_numbers(row: Mapping[str, Any]) -> list[str]:
    low, high = row["rdf_mae_interval"] or (None, None)
    floor = row["noise_floor"] or {"expected": None, "q95": None}
    numbers = (row["rdf_mae"], low, high, floor["expected"], floor["q95"])
    return [number(x, ".4f") for x in numbers]


def _not_shown(names: Sequence[str]) -> str:
    if not names:
        return ""
    listed = ", ".join(f"<code>{text(name)}</code>" for name in names)
    return f'<p class="small">Not shown, since this page has no section for them: {listed}</p>'
