"""The page of a run: one HTML file that needs no network and nothing beside it.

Names of files, materials and sources come from strangers: every text goes through `_text`, and
the page forbids itself scripts and foreign content.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from typing import Any

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


@dataclass(frozen=True)
class Page:
    """A page about a run folder.

    Attributes:
        run: Name of the run folder.
        created: When the page was made.
        version: Version of mdbench.
        sections: One per result.
        not_shown: Result files of kinds that this page has no section for.
    """

    run: str
    created: str
    version: str
    sections: Sequence[RdfSection]
    not_shown: Sequence[str] = ()


def render(page: Page) -> str:
    """The page as HTML."""
    style = files("mdbench.reporting").joinpath("assets/page.css").read_text(encoding="utf-8")
    body = [
        f"<h1>Run {_text(page.run)}</h1>",
        f"<p>{_text(_what_was_run(page.sections))}</p>",
        _banner(page.sections),
        _overview(page.sections),
        *(_section(number, s) for number, s in enumerate(page.sections, start=1)),
        _not_shown(page.not_shown),
    ]
    return (
        f'{GENERATOR}{_text(page.version)}">\n'
        '<meta charset="utf-8">\n'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>mdbench: {_text(page.run)}</title>\n"
        f"<style>\n{style}</style>\n"
        "<main>\n" + "\n".join(part for part in body if part) + "\n</main>\n"
        f"<footer>mdbench {_text(page.version)}, {_text(page.created)}</footer>\n</html>\n"
    )


def _what_was_run(sections: Sequence[RdfSection]) -> str:
    materials = len({s.material for s in sections})
    trajectories = sum(s.n_runs for s in sections)
    frames = sum(s.n_frames for s in sections)
    return (
        f"Structure of {_count(materials, 'material')} from "
        f"{_count(trajectories, 'trajectory', 'trajectories')} with {_count(frames, 'frame')} "
        "after equilibration: radial distribution functions g(r), every periodic image counted."
    )


def _banner(sections: Sequence[RdfSection]) -> str:
    made_up = [s for s in sections if s.synthetic]
    if not made_up:
        return ""
    which = "" if len(made_up) == len(sections) else " in the sections marked below"
    return (
        f'<p class="banner" role="note"><strong>Synthetic sample data{which}: not a material.'
        "</strong> A toy model made these trajectories to try the tools on. "
        "Their numbers say nothing about any substance or potential.</p>"
    )


def _overview(sections: Sequence[RdfSection]) -> str:
    rows = [
        (
            f'<a href="#g{number}">{_text(s.material)}</a>',
            _text(s.source),
            _number(s.temperature_k, ".6g"),
            str(s.n_runs),
            str(s.n_frames),
            ", ".join(f"{skip:.4g}" for skip in sorted(set(s.skip_ps))) or "–",
        )
        for number, s in enumerate(sections, start=1)
    ]
    head = ("material", "source", "T (K)", "runs", "frames", "skipped (ps)")
    return _table(head, rows, n_words=2)


def _section(number: int, s: RdfSection) -> str:
    temperature = "temperature unknown" if s.temperature_k is None else f"{s.temperature_k:g} K"
    name = f"{s.material}, {temperature}, {s.source}"
    mark = ' <span class="mark">not a material</span>' if s.synthetic else ""
    image = base64.b64encode(s.figure).decode("ascii")
    peaks = _table(
        ("pair A-B", "first peak (Å)", "height", "CN A-B", "CN B-A"),
        [
            (
                _text(p.pair),
                _number(p.position, ".3f"),
                _number(p.height, ".2f"),
                _number(p.coordination, ".2f"),
                _number(p.reverse, ".2f"),
            )
            for p in s.peaks
        ],
        n_words=1,
    )
    return "\n".join(
        [
            f'<section id="g{number}">',
            f"<h2>g(r) of {_text(name)}{mark}</h2>",
            f'<figure><img alt="g(r) of {_text(name)}, in total and by species pair" '
            f'src="data:image/png;base64,{image}"></figure>',
            _verdict(s.comparison),
            peaks,
            '<p class="small">CN A-B: mean number of B around an A, up to the first minimum '
            "behind the peak</p>",
            _provenance(s),
            "</section>",
        ]
    )


def _verdict(found: Mapping[str, Any] | None) -> str:
    """The verdict with its reason, the numbers by pair, and how runs failed."""
    if found is None:
        return ""
    rows = [
        (_text(name), *_verdict_numbers(row))
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
        f'<p><strong class="verdict">{_text(found["verdict"])}</strong> against '
        f"{_text(reference['source'])} ({_count(len(reference['files']), 'run')}): "
        f"{_text(found['reason'])}. By rdf_mae alone, as in the literature: "
        f"{_text(found['paper_verdict'])}.</p>",
        *(
            f"<p>Failure: {_text(e['mode'])} in run {int(e['run']) + 1}: {_text(e['message'])}</p>"
            for e in found["evidence"]
        ),
        _table(("pair", "rdf_mae", "low", "high", "noise", "noise 95 %"), rows, n_words=1),
        '<p class="small">rdf_mae: mean |g - g of the reference|, with its 95 % interval; noise: '
        "what a perfect model would show at this amount of data</p>",
    ]
    return "\n".join(lines)


def _verdict_numbers(row: Mapping[str, Any]) -> list[str]:
    low, high = row["rdf_mae_interval"] or (None, None)
    floor = row["noise_floor"] or {"expected": None, "q95": None}
    numbers = (row["rdf_mae"], low, high, floor["expected"], floor["q95"])
    return [_number(x, ".4f") for x in numbers]


def _provenance(s: RdfSection) -> str:
    settings = [(_text(k), "by default" if v is None else _text(v)) for k, v in s.settings.items()]
    inputs = [(_text(i.name), f"<code>{_text(i.sha256)}</code>") for i in s.inputs]
    return "\n".join(
        [
            "<details><summary>Where this comes from</summary>",
            f"<p>Result file <code>{_text(s.file)}</code></p>",
            _table(("setting", "value"), settings, n_words=2),
            _table(("input", "sha256"), inputs, n_words=2),
            "</details>",
        ]
    )


def _not_shown(names: Sequence[str]) -> str:
    if not names:
        return ""
    listed = ", ".join(f"<code>{_text(name)}</code>" for name in names)
    return f'<p class="small">Not shown, since this page has no section for them: {listed}</p>'


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], *, n_words: int) -> str:
    """A table of cells that are HTML already; the first `n_words` columns hold words."""
    kinds = [""] * n_words + [' class="n"'] * (len(head) - n_words)
    cells = "".join(f"<th{k}>{_text(c)}</th>" for k, c in zip(kinds, head, strict=True))
    lines = [
        "<tr>" + "".join(f"<td{k}>{c}</td>" for k, c in zip(kinds, row, strict=True)) + "</tr>"
        for row in rows
    ]
    return (
        f'<div class="wide"><table>\n<thead><tr>{cells}</tr></thead>\n<tbody>\n'
        + "\n".join(lines)
        + "\n</tbody></table></div>"
    )


def _text(value: object) -> str:
    return escape(str(value))


def _number(value: float | None, form: str) -> str:
    return "–" if value is None or not math.isfinite(value) else format(value, form)


def _count(n: int, one: str, many: str | None = None) -> str:
    return f"{n} {one if n == 1 else many or one + 's'}"
