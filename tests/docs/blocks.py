"""What stands in a page: blocks of commands, and what they are said to print."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
_FENCED = re.compile(r"^```(?P<kind>[^\n]*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)
_COMMAND = re.compile(r"(?:\$ )?(?:\.venv/bin/)?((?:mdbench|make|for|done|  mdbench)(?: .*)?)")


@dataclass(frozen=True)
class Block:
    """Lines for a shell.

    Attributes:
        page: As `howto/vasp.md`.
        number: Of the block in its page, from 1.
        text: What is typed.
        shown: What it is said to print; None where nothing is shown.
        varies: The numbers in it depend on the machine and on the day.
    """

    page: str
    number: int
    text: str
    shown: str | None = None
    varies: bool = False


def pages() -> list[str]:
    """All pages with commands, as paths below docs/, and README.md."""
    found = [str(path.relative_to(ROOT / "docs")) for path in sorted(ROOT.glob("docs/**/*.md"))]
    return [page for page in (*found, "README.md") if blocks(page)]


def source(page: str) -> str:
    """The text of a page."""
    return (ROOT / page if page == "README.md" else ROOT / "docs" / page).read_text()


def blocks(page: str) -> list[Block]:
    """The blocks of commands of a page, in order."""
    text = source(page)
    found = [
        Block(page, 0, command, shown, varies)
        for read in (_fenced, _indented)
        for command, shown, varies in read(text)
    ]
    return [
        Block(page, n, block.text, block.shown, block.varies) for n, block in enumerate(found, 1)
    ]


def _fenced(text: str) -> list[tuple[str, str | None, bool]]:
    """Blocks of bash; a block of text right below one is what it prints."""
    found: list[tuple[str, str | None, bool]] = []
    end = 0
    for match in _FENCED.finditer(text):
        kind = match["kind"]
        if kind == "bash":
            found.append((match["text"], None, False))
            end = match.end()
        elif "text" in kind and found and not text[end : match.start()].strip():
            found[-1] = (found[-1][0], match["text"], "varies" in kind)
    return found


def _indented(text: str) -> list[tuple[str, str | None, bool]]:
    """Blocks that are indented by four spaces: `$ command`, or commands alone."""
    plain = _FENCED.sub("", text)
    found: list[tuple[str, str | None, bool]] = []
    for match in re.finditer(r"(?:^\n|\A)((?:    .*\n)+)", plain, re.MULTILINE):
        lines = [line[4:] for line in match[1].splitlines()]
        dollars = any(line.startswith("$ ") for line in lines)
        typed = [
            m[1] for line in lines if (line.startswith("$ ") or not dollars)
            and (m := _COMMAND.fullmatch(line))
        ]  # fmt: skip
        if typed:
            found.append(("\n".join(typed) + "\n", None, False))
    return found


def commands(text: str) -> list[str]:
    """The lines of a block, with continued ones joined."""
    return [line for line in text.replace("\\\n", " ").splitlines() if line.strip()]


def changed(text: str, change: Callable[[str], str]) -> str:
    """A block with each of its lines changed."""
    return "\n".join(change(line) for line in commands(text)) + "\n"
