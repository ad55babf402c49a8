"""What a benchmark ran on, what it cost, and what of it came to nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from mdbench.records import Record
from mdbench.reporting.benchmark_cells import duration
from mdbench.reporting.markup import count, folded, heading, section, table, text


@dataclass(frozen=True)
class RunFacts:
    """What the workflow wrote down about a run.

    Attributes:
        run: Name of the run folder.
        about: Content of benchmark.json; empty where it was not made by the workflow.
        records: What became of its tasks.
        prefix: What stands before the names of its files on the page: its folder and a slash
            where there are several runs, else nothing.
    """

    run: str
    about: Mapping[str, Any] = field(default_factory=dict)
    records: Sequence[Record] = ()
    prefix: str = ""

    @property
    def missed(self) -> list[Record]:
        """Tasks that failed, were skipped or died."""
        return [record for record in self.records if record.state != "done"]


def troubles(runs: Sequence[RunFacts]) -> str:
    """Tasks that came to nothing, with what they said; empty where there are none."""
    rows = [
        (
            text(f"{record.stage} {record.name}"),
            f"<strong>{text(record.state)}</strong>",
            text(record.message or "–"),
            f"<code>{text(run.prefix + record.log)}</code>",
        )
        for run in runs
        for record in run.missed
    ]
    if not rows:
        return ""
    n = len(rows)
    caption = (
        f"{count(n, 'task')} did not come to an end; what {'it' if n == 1 else 'they'} would "
        "have made is missing below"
    )
    return table(("task", "what became of it", "message", "log"), rows, n_words=4, caption=caption)


def cost_html(runs: Sequence[RunFacts], more: Sequence[str] = ()) -> str:
    """Time by stage and device; empty without records.

    Args:
        runs: With the records.
        more: HTML that stands behind it.
    """
    records = [record for run in runs for record in run.records]
    if not records:
        return section("cost", [heading("Cost"), *more]) if any(more) else ""
    in_time = sorted(records, key=lambda record: record.began)
    kinds = list(dict.fromkeys((record.stage, record.device) for record in in_time))
    rows = [
        (text(stage), text(device), *_sums([r for r in records if (r.stage, r.device) == kind]))
        for kind in kinds
        for stage, device in (kind,)
    ]
    rows.append(("all", "", *_sums(records)))
    head = ("stage", "device", "tasks", "time", "CPU time", "GPU time")
    caption = "Cost by stage: the sums of the tasks' times, some of which ran side by side"
    shown = table(head, rows, n_words=2, caption=caption)
    return section("cost", [heading("Cost"), shown, *more])


def environment_html(runs: Sequence[RunFacts]) -> str:
    """Versions, machines and settings by run; empty where they were not written down."""
    known = [run for run in runs if run.about]
    if not known:
        return ""
    parts = [heading("Environment")]
    for run in known:
        about = run.about
        facts = {
            "mdbench": about.get("mdbench_version"),
            "profile": about.get("profile"),
            "begun": None if about.get("began") is None else moment(about["began"]),
            "data": about.get("data"),
            **_mapping(about.get("environment")),
        }
        name = f" of {run.run}" if len(runs) > 1 else ""
        parts.append(_facts(f"Environment{name}", facts))
        settings = _flat(_mapping(about.get("settings")))
        if settings:
            shown = [_facts(f"Settings of the profile{name}", settings)]
            parts.append(folded(f"Settings of the profile{text(name)}", shown))
    return section("environment", parts)


def moment(stored: object) -> str:
    """A time that is stored by ISO 8601, in UTC; anything else as it is."""
    try:
        return datetime.fromisoformat(str(stored)).astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (ValueError, OverflowError):
        return str(stored)


def _sums(records: Sequence[Record]) -> tuple[str, ...]:
    sums = (
        sum(record.seconds or 0.0 for record in records),
        sum(record.cpu_s or 0.0 for record in records),
        sum(record.gpu_s or 0.0 for record in records),
    )
    return str(len(records)), *("–" if total == 0.0 else duration(total) for total in sums)


def _facts(caption: str, facts: Mapping[str, object]) -> str:
    rows = [(text(key), _value(value)) for key, value in facts.items() if value is not None]
    return table(("what", "value"), rows, n_words=2, caption=caption)


def _value(value: object) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return text(", ".join(str(each) for each in value) or "none")
    return text("none" if value is None else value)


def _flat(settings: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Settings by their whole name, as "training.budget"."""
    found: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{above}{key}.")
        else:
            found[f"{above}{key}"] = value
    return found


def _mapping(stored: object) -> Mapping[str, Any]:
    return stored if isinstance(stored, Mapping) else {}
