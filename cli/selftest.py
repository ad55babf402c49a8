"""`mdbench selftest`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from . import options


@click.command(short_help="Check known answers and planted faults, in seconds.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the random numbers.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@options.csv
@options.talk
def command(seed: int, as_json: bool, csv: Path | None, quiet: bool) -> int:
    """Check this installation against known answers and planted faults (seconds).

    Exit status 1 if one of them fails.
    """
    from mdbench.stages import selftest

    report = selftest.run(seed=seed, csv=csv)
    click.echo(json.dumps(report.as_json()) if as_json else report.as_text())
    return 1 if report.failed else 0
