"""`mdbench selftest`."""

from __future__ import annotations

import json

import click

from . import options


@click.command(short_help="Check known answers and planted faults, in seconds.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the random numbers.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@options.talk
@click.pass_context
def command(ctx: click.Context, seed: int, as_json: bool, quiet: bool) -> int:
    """Check this installation against known answers and planted faults (seconds).

    Exit status 1 if one of them fails.
    """
    from mdbench.reporting.tables import text_table
    from mdbench.stages import selftest

    controls = selftest.run(seed=seed)
    failed = [c.name for c in controls if not c.passed]
    if as_json:
        click.echo(json.dumps({"controls": [vars(c) for c in controls], "passed": not failed}))
    else:
        rows = [(c.name, c.expected, c.found, "ok" if c.passed else "FAILED") for c in controls]
        click.echo(text_table(("control", "expected", "found", ""), rows))
        click.echo(f"{len(controls) - len(failed)} of {len(controls)} passed")
    return 1 if failed else 0
