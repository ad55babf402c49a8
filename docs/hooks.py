"""What the build of the documentation adds: the commands' help texts, and formulas as MathML.

Both are made when the pages are built, so they cannot go stale and need nothing from the network.
"""

from __future__ import annotations

import re
from typing import Any

import click
from latex2mathml.converter import convert
from mkdocs.exceptions import PluginError

_FORMULA = re.compile(
    r"(?P<code>```.*?```|`[^`\n]*`)|\\\[(?P<block>.*?)\\\]|\\\((?P<inline>.*?)\\\)", re.S
)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Fills in the commands, then turns formulas into MathML."""
    if "<!-- commands -->" in markdown:
        markdown = markdown.replace("<!-- commands -->", _commands())
    return _FORMULA.sub(_mathml, markdown)


def _mathml(match: re.Match[str]) -> str:
    if match["code"]:
        return match["code"]
    display, text = ("block", match["block"]) if match["block"] else ("inline", match["inline"])
    # The converter does not know \bigl before \langle; MathML stretches brackets by itself.
    made = convert(re.sub(r"\\big[lr]?(?![a-z])", "", text.strip()), display=display)
    if "\\" in made:
        raise PluginError(f"a formula that the converter does not know: {text.strip()}")
    return made


def _commands() -> str:
    from mdbench_cli.main import cli

    group = click.Context(cli, info_name="mdbench")
    parts = []
    for name in cli.list_commands(group):
        command = cli.get_command(group, name)
        assert command is not None
        context = click.Context(command, info_name=name, parent=group, terminal_width=80)
        parts.append(f"## mdbench {name}\n\n```text\n{command.get_help(context)}\n```\n")
    return "\n".join(parts)
