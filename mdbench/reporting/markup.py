"""Pieces of HTML that the sections of a page are made of.

Names of files, materials and sources come from strangers: every text goes through `text`.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape

from mdbench.store import Input


def heading(name: str, *, synthetic: bool) -> str:
    """The title of a section; made-up data are marked."""
    mark = ' <span class="mark">not a material</span>' if synthetic else ""
    return f"<h2>{text(name)}{mark}</h2>"


def image(png: bytes, meaning: str) -> str:
    """A figure that stands in the page itself."""
    data = base64.b64encode(png).decode("ascii")
    source = f"data:image/png;base64,{data}"
    return f'<figure><img alt="{text(meaning)}" src="{source}"></figure>'


def provenance(file: str, settings: Mapping[str, object], inputs: Sequence[Input]) -> str:
    """Result file, settings and checksums of the inputs, folded up."""
    chosen = [(text(k), "by default" if v is None else text(v)) for k, v in settings.items()]
    sources = [(text(i.name), f"<code>{text(i.sha256)}</code>") for i in inputs]
    return "\n".join(
        [
            "<details><summary>Where this comes from</summary>",
            f"<p>Result file <code>{text(file)}</code></p>",
            table(("setting", "value"), chosen, n_words=2),
            table(("input", "sha256"), sources, n_words=2),
            "</details>",
        ]
    )


def table(
    head: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    n_words: int,
    caption: str = "",
    row_heads: bool = False,
) -> str:
    """A table of cells that are HTML already; the first `n_words` columns hold words.

    Args:
        head: Text of the first row.
        rows: Cells.
        n_words: Columns of words; the others hold numbers.
        caption: Text that says what the table shows.
        row_heads: Whether the first cell of a row names it.
    """
    kinds = [""] * n_words + [' class="n"'] * (len(head) - n_words)
    cells = "".join(f'<th scope="col"{k}>{text(c)}</th>' for k, c in zip(kinds, head, strict=True))
    lines = ["<tr>" + _cells(kinds, row, row_heads) + "</tr>" for row in rows]
    titled = f"<caption>{text(caption)}</caption>\n" if caption else ""
    return (
        f'<div class="wide"><table>\n{titled}<thead><tr>{cells}</tr></thead>\n<tbody>\n'
        + "\n".join(lines)
        + "\n</tbody></table></div>"
    )


def _cells(kinds: Sequence[str], row: Sequence[str], row_heads: bool) -> str:
    made = [f"<td{k}>{c}</td>" for k, c in zip(kinds, row, strict=True)]
    if row_heads:
        made[0] = f'<th scope="row"{kinds[0]}>{row[0]}</th>'
    return "".join(made)


def text(value: object) -> str:
    """Anything as text that is no markup; half a surrogate pair, which no file can hold, as "?"."""
    return escape(str(value).encode("utf-8", "replace").decode("utf-8"))


def number(value: float | None, form: str) -> str:
    """A number, or an en dash where there is none."""
    return "–" if value is None or not math.isfinite(value) else format(value, form)


def count(n: int, one: str, many: str | None = None) -> str:
    """A number of things, in the right number."""
    return f"{n} {one if n == 1 else many or one + 's'}"
