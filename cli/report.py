"""`mdbench report`."""

from __future__ import annotations

from pathlib import Path

import click

from . import options


@click.command(short_help="Write one page about a run folder.")
@click.argument("run", type=options.PATH)
@click.option(
    "-o", "--output", type=options.PATH, help="Folder of the page.  [default: RUN/report]"
)
@options.force
@options.talk
def command(run: Path, output: Path | None, force: bool, quiet: bool) -> None:
    """Write one page, index.html, about the results in a run folder.

    RUN is a run folder; the results are the files below its observables/, models/, accuracy/
    and audit/. The page needs no network and nothing beside it: it can be sent around as it is.
    What it says about models stands in tables/models.csv and tables/accuracy.csv beside it, too.

    \b
      mdbench report run
    """
    from mdbench.stages import report

    summary = report.run(run, output, force=force)
    options.notes((f"not shown: {name}" for name in summary.not_shown), quiet=quiet)
    if quiet:
        return
    for line in summary.shown:
        click.echo(line)
    click.echo(f"page: {summary.output}")
