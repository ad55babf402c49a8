"""`mdbench ingest`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mdbench.config import IngestConfig

from . import options


@click.command(short_help="Read trajectory files of other codes.")
@click.argument("sources", nargs=-1, required=True, type=options.PATH)
@click.option("-o", "--output", required=True, type=options.PATH, help="Trajectory to write (.h5).")
@options.settings(IngestConfig)
@options.force
@options.talk
def command(
    sources: tuple[Path, ...], output: Path, force: bool, quiet: bool, **values: Any
) -> None:
    """Read trajectory files of other codes into one trajectory (HDF5).

    SOURCES are the files of one run, in order: vasprun.xml, XDATCAR, OUTCAR, LAMMPS dump,
    extxyz, ASE .traj, CP2K xyz (its .cell and forces are found beside it), H5MD; any of them
    also as .gz, .bz2 or .xz. Atoms are unwrapped, and the frames are checked against what the
    files say of themselves.

    \b
      mdbench ingest vasprun.xml -o traj.h5
      mdbench ingest XDATCAR --frame-interval-fs 2 --temperature 800 -o traj.h5
      mdbench ingest run1/vasprun.xml run2/vasprun.xml -o traj.h5
    """
    from mdbench.stages import ingest

    config = options.take(IngestConfig, values)
    with options.progress_bar(quiet=quiet) as progress:
        report = ingest.run(sources, output, config, force=force, progress=progress)
    options.notes(report.provenance.notes, quiet=quiet)
    if quiet:
        return
    parts = [report.formula, f"{report.n_atoms} atoms", f"{report.n_frames} frames"]
    if report.frame_interval_fs is not None:
        parts.append(f"{report.length_ps:g} ps at {report.frame_interval_fs:g} fs")
    else:
        parts.append("no time axis" if report.n_frames > 1 else "one frame")
    temperature = report.provenance.temperature_k
    parts.append("temperature unknown" if temperature is None else f"{temperature:g} K")
    if report.measured_temperature_k is not None:
        parts.append(f"measured {report.measured_temperature_k:.0f} K")
    click.echo(f"{output}: {', '.join(parts)}")
