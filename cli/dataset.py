"""`mdbench dataset`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from mdbench.config import DatasetConfig

from . import completion, options


@click.command(short_help="Split frames into training, validation and test.")
@click.argument("files", nargs=-1, type=options.H5)
@click.option("--data", multiple=True, type=options.H5, metavar="FILE", help="The same as FILES.")
@click.option(
    "--material",
    "materials",
    multiple=True,
    metavar="NAME",
    shell_complete=completion.materials,
    help="Which material (repeatable). Default: all of the run folder.",
)
@options.run_folder
@options.settings(DatasetConfig)
@click.option("-o", "--output", type=options.PATH, help="The dataset, where files are named.")
@options.force
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@options.csv
@options.talk
def command(
    files: tuple[Path, ...],
    data: tuple[Path, ...],
    materials: tuple[str, ...],
    run: Path | None,
    output: Path | None,
    force: bool,
    as_json: bool,
    csv: Path | None,
    quiet: bool,
    **values: Any,
) -> int:
    """Which frames are for training, for validation and for test; the same for every model.

    FILES are trajectories (.h5) with energies and forces, of one material, or patterns. Without
    files: the reference of the run folder; each material goes to dataset/MATERIAL.h5. Frames are
    not copied, so keep the trajectories. Neighboring frames are alike and flatter every model:
    whole blocks of time are held out, with a gap around them; `near` are unseen frames between
    those of training.

    \b
      mdbench dataset --material lgps --fraction 0.1
      mdbench dataset run1.h5 run2.h5 -o dataset.h5
    """
    from mdbench.stages import dataset

    config = options.take(DatasetConfig, values)
    with options.progress_bar(quiet=quiet) as progress:
        report = dataset.run(
            (*data, *files),
            config,
            materials=materials,
            run_folder=run,
            output=output,
            csv=csv,
            force=force,
            progress=progress,
        )
    options.notes(report.notes, quiet=quiet)
    click.echo(json.dumps(report.as_json()) if as_json else report.as_text())
    return 0
