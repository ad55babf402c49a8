"""`mdbench rdf`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from mdbench.config import RdfConfig

from . import options


@click.command(short_help="Show g(r); with --against, the stability verdict.")
@click.argument("files", nargs=-1, type=options.H5)
@click.option(
    "--against",
    "references",
    multiple=True,
    type=options.H5,
    metavar="FILE",
    help="Trajectories of the reference (repeatable, patterns): gives a verdict.",
)
@click.option(
    "--require",
    type=click.Choice(["stable"]),
    help="With --against: exit status 1 unless every verdict is this.",
)
@options.sources
@options.run_folder
@options.settings(RdfConfig)
@options.results
@options.talk
def command(
    files: tuple[Path, ...],
    references: tuple[Path, ...],
    require: str | None,
    sources: tuple[str, ...],
    run: Path | None,
    as_json: bool,
    csv: Path | None,
    plot: Path | None,
    output: Path | None,
    force: bool,
    quiet: bool,
    **values: Any,
) -> int:
    """The radial distribution g(r): of all atoms, and of each pair of species.

    FILES are trajectories (.h5) or patterns; those of one source, material and temperature are
    replicas and are averaged. Without files: those of the run folder. All periodic images within
    --r-max count, also beyond half the cell.

    With --against, the structure of each group is held against the reference's: how much g(r)
    differs (rdf_mae), what noise alone would give, a verdict, and how runs failed.

    \b
      mdbench rdf traj.h5
      mdbench rdf 'model/800K-r*.h5' --against 'reference/800K-r*.h5' --plot verdict.png
      mdbench rdf run-1.h5 run-2.h5 --plot rdf.png --csv rdf.csv
    """
    from mdbench.stages import rdf

    config = options.take(RdfConfig, values)
    if not references and (require or config.all_metrics):
        raise click.UsageError("--require and --all-metrics need --against")
    with options.progress_bar(quiet=quiet) as progress:
        report = rdf.run(
            files,
            config,
            references=references,
            sources=sources,
            run_folder=run,
            output=output,
            csv=csv,
            plot=plot,
            force=force,
            progress=progress,
        )
    options.notes(report.notes, quiet=quiet)
    click.echo(json.dumps(report.as_json()) if as_json else report.as_text())
    verdicts = {r.against.verdict.state for r in report.results if r.against is not None}
    met = report.complete and verdicts == {require}
    return 1 if require and not met else 0
