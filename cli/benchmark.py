"""`mdbench benchmark`."""

from __future__ import annotations

from pathlib import Path

import click

from . import completion, options


@click.command(short_help="Run the whole chain: reference to report.")
@click.option(
    "--profile",
    default="laptop",
    show_default=True,
    metavar="NAME|FILE",
    shell_complete=completion.profiles,
    help="How large: smoke, laptop, gpu, paper, or a YAML file.",
)
@click.option(
    "--data",
    type=options.PATH,
    metavar="DIR|FILE",
    help="Your own trajectories, instead of reference dynamics that are made: a folder, or a "
    "YAML file that names them.",
)
@click.option(
    "--models",
    metavar="LIST",
    shell_complete=completion.force_fields,
    help="Force fields with commas between: models (schnet, cgcnn:published, dimenet++-small), "
    "checkpoints, calculators (chgnet, module:factory). Default: as the profile says.",
)
@click.option(
    "--run",
    type=options.PATH,
    metavar="DIR",
    help="Run folder. Default: $MDBENCH_RUN, else ./run.",
)
@click.option(
    "--executor",
    default="local",
    show_default=True,
    metavar="NAME|DIR",
    shell_complete=completion.words(("local", "slurm")),
    help="Where jobs run: local, slurm, or a folder with a profile of Snakemake.",
)
@click.option(
    "--cores",
    type=click.IntRange(min=1),
    metavar="N",
    help="CPU cores here, or of a job on a cluster. Default: all.",
)
@click.option("--dry-run", is_flag=True, help="Only show what would be done, time and disk space.")
@options.talk
def command(
    profile: str,
    data: Path | None,
    models: str | None,
    run: Path | None,
    executor: str,
    cores: int | None,
    dry_run: bool,
    quiet: bool,
) -> int:
    """The whole benchmark: reference dynamics, training, accuracy, audit, dynamics, report.

    Stop it at any moment; the same command goes on where it was, and with other settings makes
    anew only what depends on them. A force field that fails does not stop the others and stands
    in the report. Exit status 1 if something failed.

    \b
      mdbench benchmark --profile smoke --dry-run
      mdbench benchmark --profile laptop --run run
      mdbench benchmark --data my_aimd/ --models schnet-small,chgnet
      mdbench benchmark --profile paper --executor slurm
    """
    from mdbench_workflows import benchmark
    from mdbench_workflows.closing import missed_lines, planned_lines, write_results

    from mdbench.stages.outputs import current_run

    folder = current_run(run)
    prepared = benchmark.prepare(benchmark.Request(profile, folder, data, models, executor, cores))
    if dry_run or not quiet:
        for line in planned_lines(prepared, every_task=dry_run):
            click.echo(line, err=not dry_run)
    if dry_run:
        return 0

    def say(line: str) -> None:
        if not quiet:
            click.echo(line, err=True)

    outcome = benchmark.run(prepared, say)
    if outcome.interrupted:
        say(f"stopped; the same command goes on in {folder}")
        return 130
    say("verdicts and report")
    for line in (*missed_lines(folder, outcome), *write_results(folder)):
        click.echo(line)
    return 1 if outcome.failed or outcome.missing else 0
