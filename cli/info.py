"""`mdbench info`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from . import options


@click.command(short_help="Say what an HDF5 file of mdbench holds.")
@click.argument("file", type=options.PATH)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@options.talk
def command(file: Path, as_json: bool, quiet: bool) -> None:
    """Say what an mdbench HDF5 file holds and where it comes from."""
    from mdbench.stages import info

    facts = info.run(file)
    if as_json:
        click.echo(json.dumps(facts, indent=2))
        return
    width = max(map(len, facts))
    for name, value in facts.items():
        for index, line in enumerate(value if isinstance(value, list) else [value]):
            shown = _shown(line)
            click.echo(f"{name if index == 0 else '':<{width}}  {shown}")


def _shown(value: object) -> str:
    """A fact in one line; what is nested deeper is for --json."""
    if isinstance(value, dict):
        plain = {k: v for k, v in value.items() if not isinstance(v, dict | list)}
        return ", ".join(f"{k} {v}" for k, v in plain.items()) or ", ".join(value)
    return "unknown" if value is None else str(value)
