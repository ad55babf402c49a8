"""`mdbench plan`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from mdbench.config import PlanConfig

from . import options


@click.command(short_help="Show how long to run, and at which temperatures.")
@click.argument("files", nargs=-1, type=options.H5)
@options.run_folder
@options.settings(PlanConfig)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@options.csv
@options.talk
def command(
    files: tuple[Path, ...],
    run: Path | None,
    as_json: bool,
    csv: Path | None,
    quiet: bool,
    **values: Any,
) -> int:
    """How many ns, replicas and temperatures reach a wanted interval of the conductivity.

    FILES are results of `mdbench conductivity -o`, which serve as the pilot. Without files: those
    of the run folder.

    \b
      mdbench conductivity 'pilot-*.h5' -o pilot.h5
      mdbench plan pilot.h5 --at 300 --wanted 0.3
    """
    from mdbench.stages import plan

    config = options.take(PlanConfig, values)
    report = plan.run(files, config, run_folder=run, csv=csv)
    options.notes(report.notes, quiet=quiet)
    click.echo(json.dumps(report.as_json()) if as_json else report.as_text())
    return 0
