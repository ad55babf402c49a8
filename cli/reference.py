"""`mdbench reference`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from mdbench.config import ReferenceConfig

from . import options


@click.command(short_help="Run reference MD: embedded potential or ASE calculator.")
@options.materials
@options.run_folder
@options.settings(ReferenceConfig)
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
    """Reference trajectories: heated from 100 K, then NVT; several temperatures and replicas.

    They go to reference/MATERIAL/ of the run folder. What is there is not made again; what was
    begun and killed goes on where it was. The embedded potential (refpot) is analytic and
    synthetic: it stands in for DFT where no ab initio MD is at hand; no real material.

    \b
      mdbench reference --material lgps --temps 800-1200 --replicas 3
      mdbench reference --material cell.cif --calculator chgnet --temps 900 --ps 10
    """
    from mdbench.stages import reference

    if update and force:
        raise click.UsageError("--update or --force, not both")
    config = options.take(ReferenceConfig, values)
    with options.progress_bar(quiet=quiet) as progress:
        report = reference.run(
            materials,
            config,
            run_folder=run,
            threads=threads,
            force=force,
            update=update,
            progress=progress,
        )
    options.notes(report.notes, quiet=quiet)
    click.echo(json.dumps(report.as_json()) if as_json else report.as_text())
    return 0
