"""The page of a run: one HTML file that needs no network and nothing beside it.

Names of files, materials and sources come from strangers: every text goes through `markup.text`,
and the page forbids itself scripts and foreign content.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files

from mdbench.reporting.assessment import Assessment
from mdbench.reporting.benchmark_html import (
    Benchmark,
    Place,
    evidence_html,
    outcome_html,
    picture_html,
    place_html,
    table_html,
    unresolved_html,
)
from mdbench.reporting.citations import Citation, citations_html
from mdbench.reporting.environment import (
    RunFacts,
    cost_html,
    environment_html,
    moment,
    troubles,
)
from mdbench.reporting.files_html import SourceFile, files_html
from mdbench.reporting.glossary import glossary_html
from mdbench.reporting.markup import bullets, count, folded, heading, section, text
from mdbench.reporting.model_facts import Models, Verdict, accurate_but_unstable
from mdbench.reporting.model_html import models_parts, models_summary
from mdbench.reporting.rdf_html import RdfSection
from mdbench.reporting.results_html import Section, results_html, results_link

#: Starts every page; by it a page of ours is told from a file that must not be overwritten.
GENERATOR = '<!doctype html>\n<html lang="en">\n<head>\n<meta name="generator" content="mdbench '

_SUPPLEMENT = (
    *("s1-energy", "s2-force", "s3-rdf"),
    *("s4-diffusivity", "s5-activation", "s6-conductivity"),
)
#: The page's sections on the benchmark, in their order, with what stands in each.
PLACES = (
    Place("models", "Models", "Models", ("table-1", "run-models")),
    Place("faults", "What the published code’s faults cost", "Faults", ("faults",)),
    Place("table-2", "Conductivity (Table 2)", "Table 2", ("table-2",)),
    Place("figure-3", "Forces and structure (Figure 3)", "Figure 3", ("figure-3",)),
    Place(
        "figure-4",
        "Diffusion and conduction (Figure 4)",
        "Figure 4",
        ("figure-4", "diffusivity", "activation"),
    ),
    Place("paths", "Diffusion paths", "Paths", ("paths",)),
    Place(
        "supplement",
        "Tables S1–S6",
        "S1–S6",
        _SUPPLEMENT,
        folded=_SUPPLEMENT,
    ),
    Place(
        "correlation",
        "Forces and dynamics",
        "Forces and dynamics",
        ("correlation", "ranks"),
    ),
    Place(
        "survival",
        "Survival and failures",
        "Survival",
        ("survival", "verdicts"),
        folded=("verdicts",),
    ),
)


@dataclass(frozen=True)
class Page:
    """A page about one or several run folders.

    Attributes:
        run: Names of the run folders.
        created: When the page was made.
        version: Version of mdbench.
        sections: One per result, in any order.
        not_shown: Result files of kinds that this page has no section for.
        models: What is known about force fields.
        benchmark: What it comes to; None where no force field was looked at.
        runs: What the workflow wrote down.
        checksums: sha256 of files by their name.
        citations: What to cite for it.
    """

    run: str
    created: str
    version: str
    sections: Sequence[Section]
    not_shown: Sequence[str] = ()
    models: Models = field(default_factory=Models)
    benchmark: Benchmark | None = None
    runs: Sequence[RunFacts] = ()
    checksums: Mapping[str, str] = field(default_factory=dict)
    citations: Sequence[Citation] = ()


def render(page: Page) -> str:
    """The page as HTML."""
    style = files("mdbench.reporting").joinpath("assets/page.css").read_text(encoding="utf-8")
    shown = [part for part in _parts(page) if part[2]]
    links = "".join(f'<li><a href="#{anchor}">{text(name)}</a></li>' for anchor, name, _ in shown)
    return (
        f'{GENERATOR}{text(page.version)}">\n'
        '<meta charset="utf-8">\n'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>mdbench: {text(page.run)}</title>\n"
        f"<style>\n{style}</style>\n</head>\n<body>\n"
        '<a class="skip" href="#content">Skip to the content</a>\n'
        f"<header>\n<h1>mdbench report: {text(page.run)}</h1>\n"
        f'<nav aria-label="Contents"><ul>{links}</ul></nav>\n</header>\n'
        '<main id="content">\n' + "\n".join(html for _, _, html in shown) + "\n</main>\n"
        f"<footer>mdbench {text(page.version)}, {text(page.created)}</footer>\n"
        "</body>\n</html>\n"
    )


def _parts(page: Page) -> Iterator[tuple[str, str, str]]:
    """Anchor, name in the contents and HTML of every section; empty HTML where there is nothing."""
    yield "summary", "Summary", _summary(page)
    benchmark = page.benchmark
    if benchmark is not None:
        for place in PLACES:
            more = evidence_html(benchmark) if place.anchor == "survival" else []
            yield place.anchor, place.short, place_html(place, benchmark, more)
    # the summary has the warnings
    models = page.models if benchmark is None else dataclasses.replace(page.models, warnings=())
    yield from models_parts(models)
    yield "results", "Every result", results_html(page.sections, _what_was_run(page.sections))
    yield "cost", "Cost", cost_html(page.runs, _cost(benchmark))
    yield "environment", "Environment", environment_html(page.runs)
    yield "files", "Files", files_html(files_of(page), page.not_shown)
    yield "glossary", "Glossary", glossary_html()
    yield "cite", "What to cite", citations_html(page.citations)


def _cost(benchmark: Benchmark | None) -> list[str]:
    """Cost by force field, folded up, and against errors."""
    if benchmark is None:
        return []
    by_model = table_html(benchmark, "cost")
    shown = picture_html(benchmark, "cost")
    steps = table_html(benchmark, "speed")
    return [folded("Cost by force field", [by_model]) if by_model else "", shown, steps]


def _summary(page: Page) -> str:
    """What was run, on what, with what outcome, and what is missing."""
    benchmark = page.benchmark
    assessment = None if benchmark is None else benchmark.assessment
    unstable = accurate_but_unstable(page.models.errors, _verdicts(page.sections))
    parts = [
        heading("Summary"),
        *(f"<p>{text(line)}</p>" for line in _benchmarks(page.runs)),
        _banner(_synthetic(page)),
        troubles(page.runs),
        "" if benchmark is None else outcome_html(benchmark),
        _unstable(unstable),
        "" if assessment is None else unresolved_html(assessment),
        "" if assessment is None else bullets(_notes(assessment, page.runs)),
        "" if benchmark is not None else results_link(page.sections),
        models_summary(page.models),
    ]
    return section("summary", parts)


def _notes(assessment: Assessment, runs: Sequence[RunFacts]) -> list[str]:
    """What the reader should know, without the tasks that stand in a table of their own."""
    told = tuple(f"{run.prefix}{record.file}:" for run in runs for record in run.missed)
    return [note for note in assessment.notes if not note.startswith(told)]


def _benchmarks(runs: Sequence[RunFacts]) -> list[str]:
    """Profile, beginning and time of each run that the workflow made."""
    lines = []
    for run in runs:
        if not run.about:
            continue
        done = sum(record.state == "done" for record in run.records)
        parts = [f"profile {run.about.get('profile')}", f"begun {moment(run.about.get('began'))}"]
        if run.records:
            parts.append(f"{done} of {count(len(run.records), 'task')} done")
        lines.append(f"Benchmark {run.run}: {', '.join(parts)}.")
    return lines


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


def _synthetic(page: Page) -> list[bool]:
    """Whether what the page shows is made up, part by part."""
    models = [page.models.synthetic] if page.models.sources else []
    if page.benchmark is None:
        return [*(s.synthetic for s in page.sections), *models]
    # models are as made up as what they are held against
    judged = {model.source for model in page.benchmark.assessment.models}
    reference = [s.synthetic for s in page.sections if s.source not in judged]
    return [page.benchmark.assessment.synthetic, *reference, *models]


def _banner(synthetic: Sequence[bool]) -> str:
    if not any(synthetic):
        return ""
    which = "" if all(synthetic) else " in the sections marked below"
    return (
        f'<p class="banner" role="note"><strong>Synthetic sample data{which}: not a material.'
        "</strong> A toy model or an analytic toy potential made these trajectories. "
        "Their numbers say nothing about any substance or potential.</p>"
    )


def _unstable(lines: Sequence[str]) -> str:
    if not lines:
        return ""
    shown = "".join(f"<p>Accurate forces, wrong dynamics: {text(line)}</p>" for line in lines)
    return f'<div class="banner" role="note">{shown}</div>'


def files_of(page: Page) -> list[SourceFile]:
    """All files that numbers of the page lead to."""
    known = [SourceFile(s.file, None, s.settings, s.inputs) for s in page.sections]
    origins = [each.origin for each in page.models.results]
    origins += [origin for model in page.models.trained for origin in model.origins]
    known += [SourceFile(o.file, None, o.settings, o.inputs) for o in origins]
    found = {} if page.benchmark is None else dict.fromkeys(page.benchmark.files)
    listed = {name: SourceFile(name) for name in found} | {each.name: each for each in known}
    return [
        dataclasses.replace(each, sha256=page.checksums.get(name)) for name, each in listed.items()
    ]
