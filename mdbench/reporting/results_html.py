"""Every result of a run, folded up by force field and material."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from mdbench.reporting.markup import count, folded, heading, number, section, small, table, text
from mdbench.reporting.path_html import PathSection, path_html
from mdbench.reporting.rdf_html import RdfSection, rdf_html
from mdbench.reporting.transport_html import (
    ConductivitySection,
    MsdSection,
    conductivity_html,
    conductivity_result,
    msd_html,
    msd_result,
)

Section = RdfSection | MsdSection | ConductivitySection | PathSection

_LEVEL = 5


def results_html(sections: Sequence[Section], lines: Sequence[str] = ()) -> str:
    """All results; empty without any.

    Args:
        sections: In any order.
        lines: What they are.
    """
    if not sections:
        return ""
    parts = [
        heading("Every result"),
        *(small(line) for line in lines),
        small("Open a material to see its figures and numbers, temperature by temperature."),
    ]
    numbered = list(enumerate(in_order(sections), start=1))
    for source, members in groupby(numbered, key=lambda pair: pair[1].source):
        parts.append(heading(source, level=3))
        for material, found in groupby(members, key=lambda pair: pair[1].material):
            parts.append(_material(material, list(found)))
    return section("results", parts)


def results_link(sections: Sequence[Section]) -> str:
    """How much there is, with a link to it; empty without any."""
    if not sections:
        return ""
    n = count(len({s.material for s in sections}), "material")
    return f'<p><a href="#results">{count(len(sections), "result")} on {n}</a>.</p>'


def in_order(sections: Sequence[Section]) -> list[Section]:
    """The reference first, then the rest by source and material.

    Within these the conductivity, g(r), diffusion and paths, by temperature.
    """
    judged = {s.source for s in sections if isinstance(s, RdfSection) and s.comparison is not None}
    kinds = (ConductivitySection, RdfSection, MsdSection, PathSection)

    def place(s: Section) -> tuple[bool, str, str, int, float]:
        temperature = getattr(s, "temperature_k", None) or 0.0
        return s.source in judged, s.source, s.material, kinds.index(type(s)), temperature

    return sorted(sections, key=place)


def came_out(sections: Sequence[Section]) -> str:
    """What the results of one source and material say, in a line."""
    parts = []
    verdicts: dict[str, list[str]] = {}
    n_rdf = n_msd = 0
    for s in sections:
        if isinstance(s, RdfSection) and s.comparison is not None:
            mode = s.comparison["failure_mode"]
            state = str(s.comparison["verdict"]) + ("" if mode is None else f" ({mode})")
            verdicts.setdefault(state, []).append(_kelvin(s.temperature_k))
        elif isinstance(s, RdfSection):
            n_rdf += 1
        elif isinstance(s, MsdSection):
            n_msd += 1
    for state, where in verdicts.items():
        parts.append(f"{state} at {', '.join(where)}")
    if n_rdf == 1 and len(sections) == 1:
        parts.append("g(r)" + _first_peak(sections[0]))
    elif n_rdf:
        parts.append(f"g(r) at {n_rdf} temperature{'s' * (n_rdf > 1)}")
    lines = [s for s in sections if isinstance(s, ConductivitySection)]
    if lines:
        parts += [conductivity_result(s) for s in lines]
    elif n_msd:
        diffusing = (s for s in sections if isinstance(s, MsdSection))
        parts += [f"{msd_result(s)} at {_kelvin(s.temperature_k)}" for s in diffusing]
    return "; ".join(parts)


def _first_peak(s: Section) -> str:
    peaks = s.peaks if isinstance(s, RdfSection) else ()
    total = next((p for p in peaks if p.pair == "total"), None)
    return "" if total is None or total.position is None else f", first peak {total.position:.3f} Å"


def _material(material: str, numbered: Sequence[tuple[int, Section]]) -> str:
    sections = [s for _, s in numbered]
    made_up = any(s.synthetic for s in sections)
    title = heading(material, level=4, synthetic=made_up)
    rows = [
        (f'<a href="#g{place}">{text(_what(s))}</a>', *map(text, _facts(s)))
        for place, s in numbered
    ]
    head = ("result", "T (K)", "runs", "frames", "skipped (ps)", "what came out")
    caption = f"Results of {sections[0].source} on {material}"
    return folded(
        f"{title} <span>{text(came_out(sections))}</span>",
        [
            table(head, rows, n_words=1, caption=caption),
            *(f'<div class="result" id="g{place}">\n{_html(s)}\n</div>' for place, s in numbered),
        ],
    )


def _html(s: Section) -> str:
    if isinstance(s, MsdSection):
        return msd_html(s, _LEVEL)
    if isinstance(s, ConductivitySection):
        return conductivity_html(s, _LEVEL)
    if isinstance(s, PathSection):
        return path_html(s, _LEVEL)
    return rdf_html(s, _LEVEL)


def _what(s: Section) -> str:
    if isinstance(s, MsdSection):
        return "diffusion"
    if isinstance(s, PathSection):
        return "paths"
    return "conductivity" if isinstance(s, ConductivitySection) else "g(r)"


def _facts(s: Section) -> tuple[str, ...]:
    """Temperatures, runs, frames, equilibration and what came out, in a few words."""
    skipped = ", ".join(f"{skip:.4g}" for skip in sorted(set(s.skip_ps))) or "–"
    if isinstance(s, ConductivitySection):
        known = [row.temperature_k for row in s.temperatures]
        span = f"{min(known):g}" if len(known) == 1 else f"{min(known):g}–{max(known):g}"
        return span, str(s.n_runs), "–", skipped, conductivity_result(s)
    result = msd_result(s) if isinstance(s, MsdSection) else "g(r)"
    if isinstance(s, PathSection):
        result = f"{s.n_sites} sites; {s.result}"
    if isinstance(s, RdfSection) and s.comparison is not None:
        result = str(s.comparison["verdict"])
    return number(s.temperature_k, ".6g"), str(s.n_runs), str(s.n_frames), skipped, result


def _kelvin(temperature_k: float | None) -> str:
    return "unknown temperature" if temperature_k is None else f"{temperature_k:g} K"
