"""`mdbench audit`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from mdbench.config import AuditConfig

from . import completion, options


@click.command(short_help="Check that a force field is what it claims to be.")
@click.option(
    "--model",
    metavar="NAME|CHECKPOINT",
    shell_complete=completion.models,
    help="Model; a name that is not trained: random weights.",
)
@click.option(
    "--calculator",
    metavar="NAME",
    shell_complete=completion.calculators,
    help="Force field: refpot, chgnet, sevennet, mace, or module:factory.",
)
@click.option("--calculator-args", metavar="LIST", help="Arguments of the calculator: key=value,…")
@options.settings(AuditConfig)
@options.run_folder
@click.option(
    "--require",
    type=click.Choice(["claimed"]),
    help="Exit status 1 if a claimed check does not pass.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@options.csv
@click.option("-o", "--output", type=options.PATH, help="Write the result to an HDF5 file.")
@click.option("--threads", type=click.IntRange(min=1), metavar="N", help="CPU threads. Default: 1.")
@options.force
@options.talk
def command(
    model: str | None,
    calculator: str | None,
    calculator_args: str | None,
    run: Path | None,
    require: str | None,
    as_json: bool,
    csv: Path | None,
    output: Path | None,
    threads: int | None,
    force: bool,
    quiet: bool,
    **values: Any,
) -> int:
    """Symmetry, slopes, smoothness and repeatability of a force field, measured.

    Each check changes what must not matter, or compares forces with slopes of the energy, and shows
    the largest deviation beside what rounding explains. With a run folder the result goes to
    audit/NAME.h5.

    \b
      mdbench audit --calculator refpot
      mdbench audit --model schnet-small --json
      mdbench audit --model run/models/schnet-s0 --dynamics --require claimed
    """
    from mdbench.stages import audit

    config = options.take(AuditConfig, values)
    with options.progress_bar(quiet=quiet) as progress:
        report = audit.run(
            config,
            model=model,
            calculator=calculator,
            calculator_args=calculator_args,
            run_folder=run,
            output=output,
            csv=csv,
            threads=threads,
            force=force,
            progress=progress,
        )
    options.notes(report.notes, quiet=quiet)
    click.echo(json.dumps(report.as_json()) if as_json else report.as_text())
    return 1 if require and report.failed else 0
