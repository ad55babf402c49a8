"""`mdbench convert`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mdbench.config import ConvertConfig

from . import options


@click.command(short_help="Write a trajectory for another code.")
@click.argument("file", type=options.H5)
@click.option("-o", "--output", required=True, type=options.PATH, help="File to write.")
@options.settings(ConvertConfig)
@options.force
@options.talk
def command(file: Path, output: Path, force: bool, quiet: bool, **values: Any) -> None:
    """Write a trajectory in the format of another code, told by the name of OUTPUT.

    \b
      mdbench convert traj.h5 -o traj.extxyz     (.xyz)
      mdbench convert traj.h5 -o XDATCAR         (NAME.XDATCAR)
      mdbench convert traj.h5 -o traj.lammpstrj  (.dump)
      mdbench convert traj.h5 -o traj.traj       (ASE)
    """
    from mdbench.stages import convert

    config = options.take(ConvertConfig, values)
    with options.progress_bar(quiet=quiet) as progress:
        n_frames = convert.run(file, output, config, force=force, progress=progress)
    if not quiet:
        click.echo(f"{output}: {n_frames} frames")
