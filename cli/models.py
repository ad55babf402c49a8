"""`mdbench models`."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path

import click

from . import options


@click.command(short_help="List the force fields that can be trained.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@options.csv
@options.talk
def command(as_json: bool, csv: Path | None, quiet: bool) -> int:
    """The models: symmetry, forces, trainable parameters, beside the counts of the published code.

    Each is as its own paper means it, corrected where the benchmark's published code is not:
    NAME:published does as that code does. NAME-small is the same architecture, narrow enough for
    a laptop. Models that other installed packages bring along stand last.
    """
    from mdbench.reporting.tables import text_table
    from mdbench.stages import models

    report = models.run(csv=csv)
    options.notes(report.notes, quiet=quiet)
    if as_json:
        click.echo(json.dumps(report.as_json()))
        return 0
    entries = report.entries
    header = (
        *("model", "symmetry", "forces", "parameters", "published code", "difference"),
        *("-small", ":published"),
    )
    rows = [
        (
            entry["name"],
            entry["symmetry"],
            entry["forces"],
            f"{entry['parameters']:,}",
            _count(entry["paper_parameters"]),
            _difference(entry["parameters"], entry["paper_parameters"]),
            _count(entry["small_parameters"]),
            "yes" if entry["published_variant"] else "-",
        )
        for entry in entries
    ]
    click.echo(text_table(header, rows))
    for entry in entries:
        remark = f" {entry['remark']}" if entry["remark"] else ""
        package = f" Of {entry['package']}." if entry["package"] else ""
        text = f"{entry['name']}: {entry['source']}.{package}{remark}"
        click.echo(textwrap.fill(text, 96, subsequent_indent="  "))
    return 0


def _count(n: int | None) -> str:
    return "-" if n is None else f"{n:,}"


def _difference(ours: int, published: int | None) -> str:
    return "-" if published is None else f"{ours / published - 1.0:+.1%}"
