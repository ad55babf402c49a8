"""Options that recur, made from the settings' dataclasses."""

from __future__ import annotations

import dataclasses
import sys
import typing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from . import completion

Function = TypeVar("Function", bound=Callable[..., Any])
Config = TypeVar("Config")

PATH = click.Path(path_type=Path)
#: A file of mdbench.
H5 = completion.ResultFile(path_type=Path)

_KINDS = {"float": float, "int": int, "str": str}


def settings(config: type) -> Callable[[Function], Function]:
    """One option for every field of a settings dataclass."""

    def decorate(function: Function) -> Function:
        for field in reversed(dataclasses.fields(config)):
            flag = field.metadata["flag"] or "--" + field.name.replace("_", "-")
            kind = str(field.type).removesuffix(" | None")
            kwargs: dict[str, Any] = {"default": field.default, "help": field.metadata["help"]}
            if kind == "bool":
                kwargs["is_flag"] = True
                if field.default:
                    flag += f"/--no-{flag.removeprefix('--')}"
            else:
                kwargs |= {"type": _KINDS[kind], "metavar": field.metadata["metavar"]}
                kwargs["show_default"] = field.default is not None
            kwargs["shell_complete"] = completion.SETTINGS.get(field.name)
            function = click.option(flag, field.name, **kwargs)(function)
        return function

    return decorate


def take(config: type[Config], values: dict[str, Any]) -> Config:
    """The settings among a command's values, removed from them."""
    names = [f.name for f in dataclasses.fields(typing.cast(Any, config))]
    return config(**{name: values.pop(name) for name in names})


def force(function: Function) -> Function:
    """`--force`."""
    return click.option("--force", is_flag=True, help="Overwrite; settle contradictions.")(function)


def talk(function: Function) -> Function:
    """`--quiet` and `--debug`."""
    function = click.option(
        "--debug", is_flag=True, expose_value=False, help="Show the traceback of an error."
    )(function)
    return click.option("--quiet", is_flag=True, help="No progress, no notes.")(function)


def threads(function: Function) -> Function:
    """`--threads`."""
    return click.option(
        "--threads", type=click.IntRange(min=1), metavar="N", help="CPU threads. Default: all."
    )(function)


def materials(function: Function) -> Function:
    """`--material`, repeatable."""
    return click.option(
        "--material",
        "materials",
        multiple=True,
        default=("lgps",),
        show_default=True,
        metavar="NAME|FILE",
        shell_complete=completion.materials,
        help="lgps, li3ps4, gamma-li3ps4, li4ges4, or a structure file (repeatable). To simulate, "
        "also a material of reference/ in the run folder.",
    )(function)


def run_folder(function: Function) -> Function:
    """`--run`."""
    return click.option(
        "--run",
        type=PATH,
        metavar="DIR",
        help="Run folder, where no files are named. Default: $MDBENCH_RUN, else ./run.",
    )(function)


def sources(function: Function) -> Function:
    """`--source`, repeatable."""
    return click.option(
        "--source",
        "sources",
        multiple=True,
        metavar="NAME",
        shell_complete=completion.sources,
        help="Without files: only this source of the run folder, as schnet-s0 (repeatable).",
    )(function)


def update(function: Function) -> Function:
    """`--update`."""
    return click.option(
        "--update",
        is_flag=True,
        help="Make anew what was made with other settings; the rest stays.",
    )(function)


def csv(function: Function) -> Function:
    """`--csv`."""
    return click.option("--csv", type=PATH, help="Write the result as a table.")(function)


def results(function: Function) -> Function:
    """`--json`, `--csv`, `--plot`, `-o` and `--force` of an analysis."""
    function = force(function)
    function = click.option("-o", "--output", type=PATH, help="Write the result to an HDF5 file.")(
        function
    )
    function = click.option("--plot", type=PATH, help="Write a figure: .png, .svg or .pdf.")(
        function
    )
    function = csv(function)
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")(
        function
    )


def notes(lines: typing.Iterable[str], *, quiet: bool) -> None:
    """Prints what the user should know to stderr."""
    if not quiet:
        for line in lines:
            click.echo(f"note: {line}", err=True)


@contextmanager
def progress_bar(*, quiet: bool) -> Iterator[Callable[[float, str], None] | None]:
    """A progress bar with the time left on a terminal; None elsewhere."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from tqdm import tqdm

    form = "{desc} {percentage:3.0f}%|{bar}| {elapsed}<{remaining}"
    with tqdm(total=1.0, bar_format=form, leave=False, delay=0.5) as bar:

        def update(share: float, text: str) -> None:
            bar.set_description_str(text, refresh=False)
            if share < bar.n:  # the next file
                bar.reset()
            bar.update(share - bar.n)

        yield update
