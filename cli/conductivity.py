"""`mdbench conductivity`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from mdbench.config import ConductivityConfig

from . import options


@click.command(short_help="Show conductivity over temperatures, down to 300 K.")
@click.argument("files", nargs=-1, type=options.H5)
@click.option(
    "--against",
    "references",
    multiple=True,
    type=options.H5,
    metavar="FILE",
    help="Trajectories of the reference (repeatable, patterns): ratios with significance.",
)
@options.sources
@options.run_folder
@options.settings(ConductivityConfig)
@options.results
@options.talk
def command(
    files: tuple[Path, ...],
    references: tuple[Path, ...],
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
    """Diffusivity and conductivity by temperature, and their Arrhenius line to 300 K.

    FILES are trajectories (.h5) or patterns; those of one source and material make one line,
    those of one temperature are replicas. Without files: those of the run folder. Every number
    has a 95 % interval; temperatures at which nothing is resolved enter as bounds.

    \b
      mdbench conductivity --temps 800-1200
      mdbench conductivity 'lgps-*.h5' --plot arrhenius.png
      mdbench conductivity 'model/*.h5' --against 'reference/*.h5' --paper
    """
    from mdbench.stages import conductivity

    config = options.take(ConductivityConfig, values)
    with options.progress_bar(quiet=quiet) as progress:
        report = conductivity.run(
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
    return 0
