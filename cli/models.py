"""`mdbench models`."""

from __future__ import annotations

import json
import textwrap

import click

from . import options


@click.command(short_help="List the force fields that can be trained.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@options.talk
def command(as_json: bool, quiet: bool) -> int:
    """The models: symmetry, forces, trainable parameters, beside the counts of the published code.

    Each is as its own paper means it, corrected where the benchmark's published code is not:
    NAME:published does as that code does. NAME-small is the same architecture, narrow enough for
    a laptop.
    """
    from mdbench.reporting.tables import text_table
    from mdbench.stages import models

    entries = models.run()
    if as_json:
        click.echo(json.dumps(entries))
        return 0
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
            f"{entry['paper_parameters']:,}",
            f"{entry['parameters'] / entry['paper_parameters'] - 1.0:+.1%}",
            f"{entry['small_parameters']:,}",
            "yes" if entry["published_variant"] else "-",
        )
        for entry in entries
    ]
    click.echo(text_table(header, rows))
    for entry in entries:
        remark = f" {entry['remark']}" if entry["remark"] else ""
        text = f"{entry['name']}: {entry['source']}.{remark}"
        click.echo(textwrap.fill(text, 96, subsequent_indent="  "))
    return 0
