"""`mdbench train`."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import click

from mdbench.config import TrainConfig

from . import completion, options

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@click.command(short_help="Train a model within a given time.")
@click.option(
    "--material",
    "materials",
    multiple=True,
    default=("lgps",),
    show_default=True,
    metavar="NAME",
    shell_complete=completion.materials,
    help="Whose dataset of the run folder (repeatable).",
)
@click.option(
    "--data", multiple=True, type=options.H5, metavar="FILE", help="Datasets, instead of those."
)
@options.run_folder
@options.settings(TrainConfig)
@click.option("--plot", type=options.PATH, help="Write the learning curve: .png, .svg or .pdf.")
@options.force
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@options.talk
def command(
    materials: tuple[str, ...],
    data: tuple[Path, ...],
    run: Path | None,
    plot: Path | None,
    force: bool,
    as_json: bool,
    quiet: bool,
    **values: Any,
) -> int:
    """A trained model in models/NAME-sSEED/ of the run folder, as good as the budget allows.

    The budget is the time of the command, reading and validation included. What was killed or
    interrupted goes on with the same command, its budget where it was. The weights are those of
    the best validation; training.h5 beside them holds the learning curve.

    \b
      mdbench train --model schnet-small --budget 5m
      mdbench train --model dimenet++ --budget 10h --paper --plot curve.png
    """
    from mdbench.stages import train

    config = options.take(TrainConfig, values)
    with options.progress_bar(quiet=quiet) as progress, _stopping() as stop:
        report = train.run(
            config,
            materials=materials,
            data=data,
            run_folder=run,
            plot=plot,
            force=force,
            progress=progress,
            stop=stop,
        )
    options.notes(report.notes, quiet=quiet)
    if report.stopped:
        return 130
    click.echo(json.dumps(report.as_json()) if as_json else report.as_text())
    return 0


@contextmanager
def _stopping() -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C, or a request to end, came; a second one ends at once."""
    wanted = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield wanted.is_set
        return

    def note(number: int, _: FrameType | None) -> None:
        if wanted.is_set():
            raise KeyboardInterrupt
        wanted.set()

    before = {number: signal.signal(number, note) for number in _SIGNALS}
    try:
        yield wanted.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
