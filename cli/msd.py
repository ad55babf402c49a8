"""`mdbench msd`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from mdbench.config import MsdConfig

from . import options


@click.command(short_help="Show diffusion: MSD, D with its interval, tensor.")
@click.argument("files", nargs=-1, type=options.H5)
@options.sources
@options.run_folder
@options.settings(MsdConfig)
@options.results
@options.talk
def command(
    files: tuple[Path, ...],
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
    """Mean squared displacement and diffusivity of the mobile ions.

    FILES are trajectories (.h5) or patterns; those of one source, material and temperature are
    replicas and are pooled. Without files: those of the run folder. Displacements are taken in
    the frame of the other atoms, averaged over all time origins. D comes with its 95 % interval;
    where no diffusion is resolved there is an upper bound and no value.

    \b
      mdbench msd traj.h5
      mdbench msd 'run-*.h5' --plot msd.png
      mdbench msd traj.h5 --estimator pymatgen --smoothing max
    """
    from mdbench.stages import msd

    config = options.take(MsdConfig, values)
    with options.progress_bar(quiet=quiet) as progress:
        report = msd.run(
            files,
            config,
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
