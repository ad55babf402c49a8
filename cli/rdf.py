"""`mdbench rdf`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from mdbench.config import RdfConfig

from . import options


@click.command()
@click.argument("files", nargs=-1, type=options.PATH)
@options.run_folder
@options.settings(RdfConfig)
@options.results
@options.talk
def command(
    files: tuple[Path, ...],
    run: Path | None,
    as_json: bool,
    csv: Path | None,
    plot: Path | None,
    output: Path | None,
    force: bool,
    quiet: bool,
    **values: Any,
) -> None:
    """The radial distribution g(r): of all atoms, and of each pair of species.

    FILES are trajectories (.h5) or patterns; those of one source, material and temperature are
    replicas and are averaged. Without files: those of the run folder. All periodic images within
    --r-max count, also beyond half the cell.

    \b
      mdbench rdf traj.h5
      mdbench rdf run-1.h5 run-2.h5 --plot rdf.png --csv rdf.csv
    """
    from mdbench.stages import rdf

    config = options.take(RdfConfig, values)
    with options.progress_bar(quiet=quiet) as progress:
        report = rdf.run(
            files,
            config,
            run_folder=run,
            output=output,
            csv=csv,
            plot=plot,
            force=force,
            progress=progress,
        )
    options.notes(report.notes, quiet=quiet)
    click.echo(json.dumps(report.as_json()) if as_json else report.as_text())
