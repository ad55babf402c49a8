"""`mdbench evaluate`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from mdbench.config import EvaluateConfig

from . import options


@click.command(short_help="Show energy and force errors of a force field.")
@click.option(
    "--data",
    multiple=True,
    type=options.H5,
    metavar="FILE",
    help="Datasets, or trajectories with energies and forces (repeatable, patterns). "
    "Default: the datasets of the run folder.",
)
@options.run_folder
@options.settings(EvaluateConfig)
@options.threads
@options.results
@options.talk
def command(
    data: tuple[Path, ...],
    run: Path | None,
    threads: int | None,
    as_json: bool,
    csv: Path | None,
    plot: Path | None,
    output: Path | None,
    force: bool,
    quiet: bool,
    **values: Any,
) -> int:
    """Errors of predicted energies and forces, by material.

    The force field is asked for every frame of the data, of a dataset for those of one split.
    Errors of energies are per atom, as they are and after the mean offset was taken off; errors of
    forces are those of components, also by axis, element and temperature. Intervals allow for
    frames that resemble their neighbors.

    Without --data the datasets of the run folder are taken and results are kept there; with --data
    they are where --run names a folder, or -o a file.

    \b
      mdbench evaluate --model run/models/schnet-s0 --data run/dataset/lgps.h5 --json
      mdbench evaluate --calculator chgnet --data 'run/reference/lgps/*.h5' --stride 10
    """
    from mdbench.stages import evaluate

    config = options.take(EvaluateConfig, values)
    with options.progress_bar(quiet=quiet) as progress:
        report = evaluate.run(
            config,
            data=data,
            run_folder=run,
            output=output,
            plot=plot,
            csv=csv,
            threads=threads,
            force=force,
            progress=progress,
        )
    options.notes(report.notes, quiet=quiet)
    click.echo(json.dumps(report.as_json()) if as_json else report.as_text())
    return 0
