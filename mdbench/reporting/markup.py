"""Pieces of HTML that the sections of a page are made of.

Names of files, materials and sources come from strangers: every text goes through `text`.
"""

from __future__ import annotations

import base64
import hashlib
import math
import re
from collections.abc import Iterable, Sequence
from html import escape

_TAG = re.compile("<[^>]*>")
#: Characters in a cell that is not broken into lines.
_LONGEST_NAME = 40


def heading(name: str, *, level: int = 2, synthetic: bool = False) -> str:
    """The title of a section; made-up data are marked."""
    mark = ' <span class="mark">not a material</span>' if synthetic else ""
    return f"<h{level}>{text(name)}{mark}</h{level}>"


def section(place: str, parts: Iterable[str]) -> str:
    """A part of the page that links lead to.

    Args:
        place: Its anchor.
        parts: HTML; the first one is its heading, empty ones are left out.
    """
    body = "\n".join(part for part in parts if part)
    return f'<section id="{place}">\n{body}\n</section>'


def folded(summary: str, parts: Iterable[str], *, place: str = "") -> str:
    """What a reader may open.

    Args:
        summary: HTML that is always seen.
        parts: HTML below it; empty ones are left out.
        place: Its anchor; empty for none.
    """
    anchor = f' id="{place}"' if place else ""
    body = "\n".join(part for part in parts if part)
    return f"<details{anchor}><summary>{summary}</summary>\n{body}\n</details>"


def bullets(lines: Iterable[str], *, small: bool = False) -> str:
    """A list of texts; empty where there is none."""
    items = "".join(f"<li>{text(line)}</li>" for line in lines)
    style = ' class="small"' if small else ""
    return f"<ul{style}>{items}</ul>" if items else ""


def small(line: str) -> str:
    """A remark."""
    return f'<p class="small">{text(line)}</p>'


def image(png: bytes, meaning: str, *, caption: str = "") -> str:
    """A figure that stands in the page itself.

    Args:
        png: The image.
        meaning: What it shows, for who does not see it.
        caption: What its marks mean.
    """
    data = base64.b64encode(png).decode("ascii")
    below = f"<figcaption>{text(caption)}</figcaption>" if caption else ""
    shown = f'<img alt="{text(meaning)}" src="data:image/png;base64,{data}">'
    return f"<figure>{shown}{below}</figure>"


def file_anchor(file: str) -> str:
    """The anchor of a file in the list of files."""
    return "file-" + hashlib.sha256(file.encode("utf-8", "replace")).hexdigest()[:12]


def file_link(file: str, words: str | None = None) -> str:
    """A link to a file in the list of files.

    Args:
        file: Its name.
        words: What is shown, if not its name.
    """
    shown = f"<code>{text(file)}</code>" if words is None else text(words)
    return f'<a href="#{file_anchor(file)}">{shown}</a>'


def cited(shown: str, file: str, key: str) -> str:
    """A number that leads to its file.

    Args:
        shown: HTML.
        file: Name of the file.
        key: Where in the file it stands.
    """
    place = text(f"{file}: {key}")
    return f'<a class="cited" href="#{file_anchor(file)}" title="{place}">{shown}</a>'


def provenance(*names: str) -> str:
    """The result files that a section is made from, with links to what they were made from."""
    listed = ", ".join(file_link(name) for name in dict.fromkeys(names))
    return f'<p class="small">From {listed}</p>' if listed else ""


def table(
    head: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    n_words: int,
    caption: str,
) -> str:
    """A table of cells that are HTML already; the first cell of a row names it.

    Args:
        head: Text of the first row.
        rows: Cells.
        n_words: Number of columns, from the first, that hold words; the others hold numbers.
        caption: Text that says what the table shows.
    """
    rows = list(rows)
    words = [_kind([row[i] for row in rows]) for i in range(n_words)]
    kinds = words + [' class="n"'] * (len(head) - n_words)
    cells = "".join(f'<th scope="col"{k}>{text(c)}</th>' for k, c in zip(kinds, head, strict=True))
    lines = ["<tr>" + _cells(kinds, row) + "</tr>" for row in rows]
    named = f'role="region" aria-label="{text(caption)}" tabindex="0"'
    return (
        f'<div class="wide" {named}><table>\n<caption>{text(caption)}</caption>\n'
        f"<thead><tr>{cells}</tr></thead>\n<tbody>\n"
        + "\n".join(lines)
        + "\n</tbody></table></div>"
    )


def _kind(cells: Sequence[str]) -> str:
    """A column of names is not broken, one of sentences is."""
    names = all(len(_TAG.sub("", cell)) <= _LONGEST_NAME for cell in cells)
    return ' class="name"' if names else ""


def _cells(kinds: Sequence[str], row: Sequence[str]) -> str:
    first, *others = (f"{k}>{c}" for k, c in zip(kinds, row, strict=True))
    return f'<th scope="row"{first}</th>' + "".join(f"<td{other}</td>" for other in others)


def text(value: object) -> str:
    """Anything as text that is no markup; half a surrogate pair, which no file can hold, as "?"."""
    return escape(str(value).encode("utf-8", "replace").decode("utf-8"))


def number(value: float | None, form: str) -> str:
    """A number, or an en dash where there is none."""
    return "–" if value is None or not math.isfinite(value) else format(value, form)


def count(n: int, one: str, many: str | None = None) -> str:
    """A number of things, in the right number."""
    return f"{n} {one if n == 1 else many or one + 's'}"
