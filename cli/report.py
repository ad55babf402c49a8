"""`mdbench report`."""

from __future__ import annotations

from pathlib import Path

import click

from . import options


@click.command(short_help="Write one page about a run folder, or several.")
@click.argument("runs", metavar="RUN...", type=options.PATH, nargs=-1, required=True)
@click.option(
    "-o",
    "--output",
    type=options.PATH,
    help="Folder of the page; several runs need one.  [default: RUN/report]",
)
@options.force
@options.talk
def command(runs: tuple[Path, ...], output: Path | None, force: bool, quiet: bool) -> None:
    """Write one page, index.html, about the results in a run folder.

    RUN is a run folder; the results are the files below its observables/, models/, accuracy/,
    audit/ and jobs/. The page needs no network and nothing beside it: it can be sent around as it
    is. Its tables stand in tables/ as CSV, its figures in figures/ as PNG, SVG and PDF.

    Several run folders, of several people or machines, make one page. Synthetic and real
    references, or other settings, are refused in one table.

    \b
      mdbench report run
      mdbench report mine theirs -o both
    """
    from mdbench.stages import report

    summary = report.run(runs, output, force=force)
    options.notes((f"not shown: {name}" for name in summary.not_shown), quiet=quiet)
    if quiet:
        return
    for line in summary.shown:
        click.echo(line)
    for line in summary.missed:
        click.echo(f"missing: {line}")
    click.echo(f"page: {summary.output}")
