"""The list of the files that a page is made from, which its numbers lead to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from mdbench.reporting.markup import count, file_anchor, folded, heading, section, small, text
from mdbench.store import Input


@dataclass(frozen=True)
class SourceFile:
    """A file that numbers of the page stand in.

    Attributes:
        name: Within the run folder; of several runs below their parent.
        sha256: Of the file; None where it is not known.
        settings: Of the stage that wrote it.
        inputs: Files that it was made from.
    """

    name: str
    sha256: str | None = None
    settings: Mapping[str, object] = field(default_factory=dict)
    inputs: Sequence[Input] = ()


def files_html(listed: Iterable[SourceFile], not_shown: Sequence[str] = ()) -> str:
    """All files with their checksums, settings and inputs, folded up by folder.

    Args:
        listed: What numbers of the page lead to.
        not_shown: Names of result files that the page does not use.
    """
    ordered = sorted({each.name: each for each in listed}.values(), key=lambda e: _key(e.name))
    if not ordered and not not_shown:
        return ""
    groups = [
        folded(
            f"<code>{text(folder)}</code> ({count(len(members), 'file')})",
            [_file(each) for each in members],
        )
        for folder, found in groupby(ordered, key=lambda e: _folder(e.name))
        if (members := list(found))
    ]
    explained = (
        "Every number of this page leads here: to the file that it stands in, the settings that "
        "it was made with, and the checksums (sha256) of the files that it was made from."
    )
    left = ", ".join(f"<code>{text(name)}</code>" for name in not_shown)
    unused = f'<p class="small">Not shown, since this page has no section for them: {left}</p>'
    return section(
        "files", [heading("Files"), small(explained), *groups, unused if not_shown else ""]
    )


def _key(name: str) -> tuple[str, str]:
    return _folder(name), name


def _folder(name: str) -> str:
    return name.rpartition("/")[0] or "."


def _file(each: SourceFile) -> str:
    own = "" if each.sha256 is None else f" <code>{text(each.sha256)}</code>"
    settings = ", ".join(
        f"{key} {'by default' if value is None else value}" for key, value in each.settings.items()
    )
    inputs = "".join(f"<li>{text(i.name)} <code>{text(i.sha256)}</code></li>" for i in each.inputs)
    parts = [
        f"<p><strong>{text(each.name)}</strong>{own}</p>",
        f"<p>Settings: {text(settings)}</p>" if settings else "",
        f"<p>Made from</p><ul>{inputs}</ul>" if inputs else "",
    ]
    body = "".join(parts)
    return f'<div class="file" id="{file_anchor(each.name)}">{body}</div>'
