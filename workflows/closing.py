"""What is said before and after a benchmark, and what is made of its results at last."""

from __future__ import annotations

from pathlib import Path

from mdbench.errors import InputError
from mdbench.records import PLACE

from .benchmark import Outcome, Prepared
from .plan import STAGES
from .progress import duration

_GB, _MB = 1e9, 1e6


def planned_lines(prepared: Prepared, *, every_task: bool) -> list[str]:
    """What is to be done, how long it takes and how much disk space.

    Args:
        prepared: What is to be done.
        every_task: Also the commands of each task.
    """
    request, cost = prepared.request, prepared.cost
    names = ", ".join(entry.source for entry in prepared.entries)
    lines = [
        *(f"note: {line}" for line in prepared.notes),
        f"profile {request.profile}: {prepared.settings.about or 'no description'}",
        f"run folder {request.run_folder}",
        f"force fields: {names}",
        f"tasks: {len(prepared.todo)} to do, {len(prepared.tasks) - len(prepared.todo)} done",
    ]
    for stage in STAGES:
        members = [task for task in prepared.todo if task.stage == stage]
        if members and every_task:
            known = [cost.core_s[task.id] for task in members]
            total = sum(s for s in known if s is not None)
            mark = " and what is not known" if None in known else ""
            lines.append(f"{stage}: {len(members)}, {duration(total)} of one core{mark}")
            lines += [f"  {line}" for task in members for line in task.shown(cost.cores)]
    return [*lines, _cost_line(prepared)]


def _cost_line(prepared: Prepared) -> str:
    cost = prepared.cost
    line = (
        f"estimate: {duration(cost.seconds)} on {cost.cores} cores of a server, "
        f"{_size(cost.disk_bytes)} of disk space"
    )
    if cost.unknown:
        line += f"; and {', '.join(cost.unknown)}, of which the time is not known"
    return line


def _size(n_bytes: float) -> str:
    return f"{n_bytes / _GB:.1f} GB" if n_bytes >= _GB else f"{n_bytes / _MB:.0f} MB"


def write_results(run_folder: Path) -> list[str]:
    """Verdicts and report of what there is; the summary in lines, the page last."""
    from mdbench.stages import report, verdict

    lines = []
    try:
        verdict.run(run_folder)
    except InputError as error:
        lines.append(f"no verdicts: {error}")
    try:
        summary = report.run([run_folder])
    except InputError as error:
        return [*lines, f"no report: {error}"]
    return [*lines, *summary.shown, f"report: {summary.output}"]


def missed_lines(run_folder: Path, outcome: Outcome) -> list[str]:
    """What was not done, why, and where more is said."""
    lines = []
    for record in outcome.failed:
        lines.append(f"{record.state}: {record.stage} {record.name}: {record.message}")
        if record.state != "skipped":
            lines.append(f"  log: {run_folder / record.log}")
    lines += [f"not run: {name}" for name in outcome.missing]
    if outcome.missing:
        logs = [run_folder / "snakemake.log", run_folder / PLACE / "slurm"]
        lines.append(f"  log: {', '.join(str(log) for log in logs if log.exists())}")
    return lines
