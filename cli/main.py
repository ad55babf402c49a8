"""The command group: commands are imported on demand, errors become one line."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import click

from mdbench.errors import InputError, suggest

#: In the order in which the work is done.
COMMANDS = (
    "fetch",
    "ingest",
    "info",
    "convert",
    "reference",
    "dataset",
    "train",
    "evaluate",
    "audit",
    "simulate",
    "rdf",
    "msd",
    "conductivity",
    "path",
    "plan",
    "verdict",
    "report",
    "benchmark",
    "models",
    "selftest",
)


class LazyGroup(click.Group):
    """Imports the module of a command when the command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name; None where there is none."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"{__package__}.{cmd_name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that was typed; near names where it is unknown."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            ctx.fail(f"unknown command {args[0]!r}; {suggest(args[0].lower(), COMMANDS)}")
        return super().resolve_command(ctx, args)


def _version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if not value:
        return
    from importlib.metadata import version

    import torch

    from mdbench.version import __version__

    device = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "CPU"
    click.echo(
        f"mdbench {__version__}, torch {torch.__version__}, h5py {version('h5py')}, {device}"
    )
    ctx.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_version,
    help="Versions of mdbench, torch, h5py, and the device.",
)
def cli() -> None:
    """Can the dynamics of a machine-learning force field be trusted?

    Stages read and write HDF5 files, so that commands chain:

    \b
      mdbench ingest vasprun.xml -o traj.h5
      mdbench rdf traj.h5
    """


@contextmanager
def _no_lost_interrupt() -> Iterator[None]:
    """Ctrl-C also counts in a callback that cannot raise, where Python only prints it."""
    usual, ident = sys.unraisablehook, threading.get_ident()

    def again(lost: sys.UnraisableHookArgs) -> None:
        if issubclass(lost.exc_type, KeyboardInterrupt):
            threading.Timer(0.01, signal.pthread_kill, (ident, signal.SIGINT)).start()
        else:
            usual(lost)

    sys.unraisablehook = again
    try:
        yield
    finally:
        sys.unraisablehook = usual


def main(args: Sequence[str] | None = None) -> None:
    """Runs the command line and exits: 0 done, 1 a result failed what was asked, 2 bad input."""
    sys.exit(run(list(sys.argv[1:] if args is None else args)))


def run(args: list[str]) -> int:
    """Runs the command line; the exit status."""
    debug = "--debug" in args
    try:
        with _no_lost_interrupt():
            outcome: Any = cli.main(args or ["--help"], prog_name="mdbench", standalone_mode=False)
    except InputError as error:
        if debug:
            raise
        click.echo(f"mdbench: error: {error}", err=True)
        return 2
    except click.ClickException as error:
        if debug:
            raise
        context = getattr(error, "ctx", None)
        hint = "" if context is None else f" (see `{context.command_path} --help`)"
        click.echo(f"mdbench: error: {error.format_message()}{hint}", err=True)
        return 2
    except (KeyboardInterrupt, click.Abort):
        click.echo("mdbench: interrupted", err=True)
        return 130
    except SystemExit:  # so click ends where the reader of a pipe went away
        return 0
    except Exception as error:
        if debug:
            raise
        if isinstance(error, OSError) and error.filename is not None:
            click.echo(f"mdbench: error: {error.filename}: {error.strerror}", err=True)
            return 2
        click.echo(
            f"mdbench: internal error, please report it: {type(error).__name__}: {error} "
            "(--debug shows where)",
            err=True,
        )
        return 70
    return outcome if isinstance(outcome, int) else 0
