"""What the eleven force fields cost, beside the published code: mdbench/reporting/speed/.

`python -m benchmarks.models [NAME …]`. One thread, float32, the 50-atom LGPS cell; each number in a
process of its own (`model_cost`). `--published COMMAND` runs the published code instead: COMMAND
NAME WHAT prints the same line of JSON, of code that is not ours to ship; what it prints is kept in
published.json. Ratios are of times on one machine: on another one, they are left out.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.__main__ import ONE_THREAD, processor
from mdbench.models import MODELS

SPEED = Path(__file__).parent.parent / "mdbench" / "reporting" / "speed"
TABLE, PUBLISHED = SPEED / "models.json", SPEED / "published.json"
WHATS = ("single", "batch", "train")
#: Least ratios of the geometric mean and of any one model.
GOALS = {"single": (5.0, 2.0), "train": (3.0, 1.0)}


def main() -> None:
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser(prog="benchmarks.models", description=__doc__)
    parser.add_argument("names", nargs="*", default=list(MODELS), metavar="NAME")
    parser.add_argument("--published", help="command that measures the published code")
    parser.add_argument("--note", default="", help="what is to be said of that code")
    options = parser.parse_args()
    if options.published:
        keep(PUBLISHED, options.names, options.published.split(), options.note)
        return
    rows = keep(TABLE, options.names, [sys.executable, "-m", "benchmarks.model_cost"])
    show(rows)


def keep(target: Path, names: Sequence[str], command: Sequence[str], note: str = "") -> Any:
    """Measures some models, and puts them in a file beside what it has of others.

    What was measured on another machine is dropped.
    """
    known = read(target)
    result = {
        "machine": processor(),
        "note": note or (known or {}).get("note", ""),
        "rows": known["rows"] if known and known["machine"] == processor() else {},
    }
    for name in names:
        row = {what: measured([*command, name, what]) for what in WHATS}
        result["rows"][name] = row
        print(f"{name:<14}" + "".join(f"{row[w]['ms']:10.1f} ms {w}" for w in WHATS), flush=True)
        target.write_text(json.dumps(result, indent=1) + "\n")
    return result["rows"]


def read(path: Path) -> Any:
    """What a file has; None without it."""
    return json.loads(path.read_text()) if path.exists() else None


def measured(command: Sequence[str]) -> dict[str, Any]:
    """What a command prints, with one thread."""
    environment = {**os.environ, **dict.fromkeys(ONE_THREAD, "1")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-2_000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def show(rows: dict[str, Any]) -> None:
    """Prints ratios, and whether goals are met."""
    peer = read(PUBLISHED)
    if peer is None or peer["machine"] != processor():
        print("no times of the published code on this machine: no ratios")
        return
    for what in WHATS:
        ratios = {
            n: peer["rows"][n][what]["ms"] / rows[n][what]["ms"] for n in rows if n in peer["rows"]
        }
        mean = math.exp(sum(map(math.log, ratios.values())) / len(ratios))
        print(f"\n{what}: {mean:.1f}x in the geometric mean, goal {GOALS.get(what, ('none',))[0]}")
        for name, ratio in ratios.items():
            mark = "" if what not in GOALS or ratio >= GOALS[what][1] else "  MISSED"
            print(f"  {name:<14}{ratio:8.1f}x{mark}")
    slow = [n for n in rows if rows[n]["batch"]["ms"] > 1.1 * rows[n]["single"]["ms"]]
    print(f"\nslower per system in a batch than alone: {', '.join(slow) or 'none'}")


if __name__ == "__main__":
    main()
