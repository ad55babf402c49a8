"""`mdbench path`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from mdbench.config import PathConfig

from . import options


@click.command(short_help="Show where ions go: density, sites, jumps, paths.")
@click.argument("files", nargs=-1, type=options.H5)
@click.option(
    "--against",
    "references",
    multiple=True,
    type=options.H5,
    metavar="FILE",
    help="Trajectories of the reference (repeatable, patterns): gives scores of the paths.",
)
@click.option(
    "--density",
    type=options.PATH,
    metavar="FILE",
    help="Write the density of the ions, for VESTA: NAME.cube, CHGCAR or NAME.CHGCAR.",
)
@options.sources
@options.run_folder
@options.settings(PathConfig)
@options.results
@options.talk
def command(
    files: tuple[Path, ...],
    references: tuple[Path, ...],
    density: Path | None,
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
    """Where the mobile ions are, between which sites they jump, and how far that leads.

    FILES are trajectories (.h5) or patterns; those of one source, material and temperature are
    replicas and are pooled. Without files: those of the run folder. Sites are maxima of the
    density of the ions in the frame of the other atoms; rattling about a site is no jump.

    With --against, ions of each group are followed between the sites of the reference, and their
    jumps and paths are held against the reference's: how many of these the model makes, too, how
    many of its own the reference never makes, and what a perfect model would score with so little
    data.

    \b
      mdbench path traj.h5 --plot path.png
      mdbench path 'model/800K-r*.h5' --against 'reference/800K-r*.h5' --plot path.png
      mdbench path traj.h5 --density li.cube
    """
    from mdbench.stages import path as stage

    config = options.take(PathConfig, values)
    with options.progress_bar(quiet=quiet) as progress:
        report = stage.run(
            files,
            config,
            references=references,
            sources=sources,
            run_folder=run,
            output=output,
            csv=csv,
            plot=plot,
            density=density,
            force=force,
            progress=progress,
        )
    options.notes(report.notes, quiet=quiet)
    click.echo(json.dumps(report.as_json()) if as_json else report.as_text())
    return 0
