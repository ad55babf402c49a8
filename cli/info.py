"""`mdbench info`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from . import options


@click.command(short_help="Say what an HDF5 file of mdbench holds.")
@click.argument("file", type=options.H5)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@options.csv
@options.talk
def command(file: Path, as_json: bool, csv: Path | None, quiet: bool) -> None:
    """Say what an mdbench HDF5 file holds and where it comes from."""
    from mdbench.stages import info

    report = info.run(file, csv=csv)
    click.echo(json.dumps(report.as_json(), indent=2) if as_json else report.as_text())
