"""Measures every row and writes benchmarks/results.json.

`python -m benchmarks WORD …` measures only rows whose names have one of the words.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

MODULES = ("readers_vasp", "readers_text", "rdf", "chain", "transport", "md")
PEERS = (
    "ase",
    "pymatgen",
    "pymatgen-analysis-diffusion",
    "chemfiles",
    "freud-analysis",
    "kinisi",
    "numpy",
    "scipy",
    "numba",
    "torch",
    "h5py",
)
#: Libraries of linear algebra read these when they are imported: CPU seconds are of one thread.
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def main(words: list[str]) -> None:
    """Measures and prints row by row."""
    os.environ.update(dict.fromkeys(ONE_THREAD, "1"))
    rows: list[dict[str, Any]] = []
    for module in MODULES:
        for row in import_module(f"benchmarks.{module}").rows():
            if words and not any(w in row["name"] for w in words):
                continue
            row["ratio"] = row["peer_s"] / row["ours_s"]
            row["met"] = None if row["target"] is None else row["ratio"] >= row["target"]
            rows.append(row)
            print(line(row), flush=True)
    result = {
        "machine": f"{processor()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "versions": {name: metadata.version(name) for name in PEERS},
        "rows": rows,
    }
    target = Path(__file__).parent / "results.json"
    if not words:
        target.write_text(json.dumps(result, indent=2) + "\n")
        print(f"\nwritten: {target}")


def line(row: dict[str, Any]) -> str:
    """A row as it is printed."""
    goal = "" if row["target"] is None else f"(goal {row['target']:g}x)"
    mark = {True: "ok", False: "MISSED", None: ""}[row["met"]]
    return (
        f"{row['name']:<34} ours {row['ours_s']:9.4f} s   {row['peer']:<52} {row['peer_s']:9.4f} s "
        f"{row['ratio']:8.1f}x {goal} {mark}"
    )


def processor() -> str:
    """Name of the processor."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor()
    names = [n.partition(":")[2].strip() for n in text.splitlines() if n.startswith("model name")]
    return names[0] if names else platform.machine()


if __name__ == "__main__":
    main(sys.argv[1:])
