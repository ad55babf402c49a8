"""`mdbench verdict`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from . import completion, options


@click.command(short_help="Rank the force fields of a run folder, as far as data tell.")
@options.run_folder
@click.option(
    "--source",
    metavar="NAME",
    shell_complete=completion.sources,
    help="Only this force field, ranked among all.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@options.csv
@click.option(
    "--require",
    type=click.Choice(["stable"]),
    help="Exit status 1 unless every force field is this in every material.",
)
@options.force
@options.talk
def command(
    run: Path | None,
    source: str | None,
    as_json: bool,
    csv: Path | None,
    require: str | None,
    force: bool,
    quiet: bool,
) -> int:
    """All that a run folder says about each force field, and its rank.

    For each material: the verdict on the structure (the worst over the temperatures), how runs
    failed, the error of forces, of g(r) and of the diffusivity, and the ranks by each, with
    significance: what the data cannot tell apart shares its places. Then whether models with larger
    force errors have larger errors of the dynamics, too. Each force field's verdict is written to
    verdict/ in the run folder.

    Nothing is computed anew: run `rdf --against`, `conductivity --against` and `evaluate` first.

    \b
      mdbench verdict --run run
      mdbench verdict --source schnet-small-s0 --require stable
    """
    from mdbench.stages import verdict

    report = verdict.run(run, source=source, csv=csv, force=force)
    options.notes(report.notes, quiet=quiet)
    click.echo(json.dumps(report.as_json()) if as_json else report.as_text())
    return 1 if require and not report.stable else 0
