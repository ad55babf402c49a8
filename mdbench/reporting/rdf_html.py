"""Sections of a page on radial distributions and verdicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mdbench.reporting.markup import count, heading, image, number, provenance, table, text
from mdbench.reporting.result_section import StateSection


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


@dataclass(frozen=True, kw_only=True)
class RdfSection(StateSection):
    """What the page shows of one g(r).

    Attributes:
        peaks: One row per pair.
        comparison: What `mdbench rdf --against --json` prints so; None without a reference.
    """

    peaks: Sequence[Peak]
    comparison: Mapping[str, Any] | None

    @property
    def place(self) -> tuple[str, str, float]:
        """By what results are put in order."""
        return self.source, self.material, self.temperature_k or 0.0


def rdf_html(s: RdfSection, level: int) -> str:
    """Figure, verdict with its reason, first peaks.

    Args:
        s: What is shown.
        level: Of the heading.
    """
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
        caption=f"First peaks of g(r) of {name}",
    )
    return "\n".join(
        [
            heading(f"g(r) of {name}", level=level, synthetic=s.synthetic),
            image(s.figure, f"g(r) of {name}, in total and by species pair"),
            _verdict(s.comparison),
            peaks,
            '<p class="small">CN A-B: mean number of B around an A, up to the first minimum '
            "behind the peak</p>",
            provenance(s.file),
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
    caption = f"Difference from g(r) of {reference['source']}, by pair"
    lines = [
        f'<p><strong class="verdict">{text(found["verdict"])}</strong> against '
        f"{text(reference['source'])} ({count(len(reference['files']), 'run')}): "
        f"{text(found['reason'])}. By rdf_mae alone, as in the literature: "
        f"{text(found['paper_verdict'])}.</p>",
        *(
            f"<p>Failure: {text(e['mode'])} in run {int(e['run']) + 1}: {text(e['message'])}</p>"
            for e in found["evidence"]
        ),
        table(
            ("pair", "rdf_mae", "low", "high", "noise", "noise 95 %"),
            rows,
            n_words=1,
            caption=caption,
        ),
        '<p class="small">rdf_mae: mean |g - g of the reference|, with its 95 % interval; noise: '
        "what a perfect model would show at this amount of data</p>",
    ]
    return "\n".join(lines)


def _verdict_numbers(row: Mapping[str, Any]) -> list[str]:
    low, high = row["rdf_mae_interval"] or (None, None)
    floor = row["noise_floor"] or {"expected": None, "q95": None}
    numbers = (row["rdf_mae"], low, high, floor["expected"], floor["q95"])
    return [number(x, ".4f") for x in numbers]
