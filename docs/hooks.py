"""What the build of the documentation adds: help texts, tables of speed, formulas as MathML.

All are made when the pages are built, so they cannot go stale and need nothing from the network.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from latex2mathml.converter import convert
from mkdocs.exceptions import PluginError

#: What was measured of each model.
_WHATS = ("single", "batch", "train")
_SPEED = "mdbench/reporting/speed"
_FILES = {
    "models": f"{_SPEED}/models.json",
    "before": f"{_SPEED}/before.json",
    "published": f"{_SPEED}/published.json",
    "gpu": "benchmarks/gpu.json",
    "peers": "benchmarks/results.json",
}
_FORMULA = re.compile(
    r"(?P<code>```.*?```|`[^`\n]*`)|\\\[(?P<block>.*?)\\\]|\\\((?P<inline>.*?)\\\)", re.S
)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Fills in commands and tables, then turns formulas into MathML."""
    for mark, made in _PARTS.items():
        if f"<!-- {mark} -->" in markdown:
            markdown = markdown.replace(f"<!-- {mark} -->", made())
    return _FORMULA.sub(_mathml, markdown)


def _mathml(match: re.Match[str]) -> str:
    if match["code"]:
        return match["code"]
    display, text = ("block", match["block"]) if match["block"] else ("inline", match["inline"])
    # The converter does not know \bigl before \langle; MathML stretches brackets by itself.
    made = convert(re.sub(r"\\big[lr]?(?![a-z])", "", text.strip()), display=display)
    if "\\" in made:
        raise PluginError(f"a formula that the converter does not know: {text.strip()}")
    return made


def _commands() -> str:
    from mdbench_cli.main import cli

    group = click.Context(cli, info_name="mdbench")
    parts = []
    for name in cli.list_commands(group):
        command = cli.get_command(group, name)
        assert command is not None
        context = click.Context(command, info_name=name, parent=group, terminal_width=80)
        parts.append(f"## mdbench {name}\n\n```text\n{command.get_help(context)}\n```\n")
    return "\n".join(parts)


def _speed_on_cpu() -> str:
    """What each model costs, beside the published code on the same machine."""
    ours, theirs = _measured("models"), _measured("published")
    same = theirs["machine"] == ours["machine"]
    big = {name: row for name, row in ours["rows"].items() if not name.endswith("-small")}
    steps, training, small = [], [], []
    for name, row in ours["rows"].items():
        if name not in big:
            small.append([name, *(_digits(row[what]["ms"]) for what in _WHATS)])
            continue
        peer = theirs["rows"].get(name) if same else None
        single, batch, train = (_beside(row, peer, what) for what in _WHATS)
        peaks = [_peaks(row), _peaks(peer) if peer else ""]
        steps.append([name, *single, *batch])
        training.append([name, *train, *peaks])
    if same:
        means = [_mean_ratio(big, theirs["rows"], what) for what in _WHATS]
        steps.append(["geometric mean", "", "", means[0], "", "", means[1]])
        training.append(["geometric mean", "", "", means[2], "", ""])
    head = ["model", "alone", "published", "", "in a batch", "published", ""]
    more = ["model", "training step", "published", "", "peak memory, MB", "published"]
    parts = [
        _table(head, steps),
        _table(more, training),
        f"{ours['machine']}, one thread. Peak memory alone / in a batch / in training. Published "
        f"code: {theirs['note']}",
        "The small models:",
        _table(["model", "alone", "in a batch", "training step"], small),
    ]
    return "\n\n".join(parts)


def _peaks(row: dict[str, Any]) -> str:
    return " / ".join(f"{row[what]['peak_mb']:,.0f}" for what in _WHATS)


def _mean_ratio(ours: dict[str, Any], theirs: dict[str, Any], what: str) -> str:
    """Geometric mean of how many times faster the models are."""
    ratios = [math.log(theirs[n][what]["ms"] / row[what]["ms"]) for n, row in ours.items()]
    return f"**{math.exp(sum(ratios) / len(ratios)):.1f}×**"


def _beside(row: dict[str, Any], peer: dict[str, Any] | None, what: str) -> list[str]:
    """Ours, theirs, and the ratio."""
    ms = row[what]["ms"]
    if peer is None:
        return [_digits(ms), "", ""]
    return [_digits(ms), _digits(peer[what]["ms"]), f"**{peer[what]['ms'] / ms:.1f}×**"]


def _speed_on_gpu() -> str:
    """ns/day, or that there is no table yet."""
    found = _measured("gpu")
    if not found:
        return "_Not measured yet: `make bench-gpu` makes the table on a machine with a GPU._"
    batches = list(next(iter(found["rows"].values()))["ns_per_day"])
    head = [
        "model",
        "Table 1 (RTX 4090)",
        *(f"{n} runs" for n in batches),
        "training, structures/s",
    ]
    rows = []
    for name, row in found["rows"].items():
        speeds = [_digits(row["ns_per_day"][n]) for n in batches]
        trained = " / ".join(_digits(v) for v in row["structures_per_s"].values())
        rows.append([name, _digits(row["paper_ns_per_day"]), *speeds, trained])
    return f"{_table(head, rows)}\n\n{found['device']}, torch {found['torch']}."


def _speed_beside_others() -> str:
    """Every row of `make bench`: what, against what, how many times as fast."""
    found = _measured("peers")
    rows = [[row["name"], row["peer"], f"{row['ratio']:.1f}"] for row in found["rows"]]
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    table = _table(["job", "against", "times as fast"], rows)
    return f"{table}\n\n{found['machine']}, Python {found['python']}; {versions}."


def _measured(name: str) -> dict[str, Any]:
    """A file of the benchmarks; empty if there is none."""
    path = Path(__file__).parent.parent / _FILES[name]
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return found


def _digits(x: float) -> str:
    return f"{x:,.0f}" if x >= 100.0 else f"{x:.1f}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


#: What stands for a mark in a page.
_PARTS = {
    "commands": _commands,
    "speed on a CPU": _speed_on_cpu,
    "speed on a GPU": _speed_on_gpu,
    "speed beside others": _speed_beside_others,
}
