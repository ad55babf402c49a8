"""What a file of mdbench holds, as facts to print."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mdbench.errors import InputError
from mdbench.reporting.tables import write_table
from mdbench.stages.dataset_file import read_dataset, splits_hash
from mdbench.stages.outputs import check_not_read, check_outputs
from mdbench.store import (
    Result,
    TrajectoryFile,
    check_kind,
    open_checked,
    read_result,
    reading,
)
from mdbench.table import Cell, Table, Tabular
from mdbench.trajectory import reduced_formula


@dataclass(frozen=True)
class InfoReport(Tabular):
    """What a file holds, ready to be printed.

    Attributes:
        facts: Name and value of each, plain JSON values in the order of reading.
    """

    facts: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        """One JSON document."""
        return self.facts

    def as_text(self) -> str:
        """One line for each fact."""
        width, lines = max(map(len, self.facts)), []
        for name, value in self.facts.items():
            for index, line in enumerate(value if _is_long(value) else [value]):
                lines.append(f"{name if index == 0 else '':<{width}}  {_shown(line)}")
        return "\n".join(lines)

    def table(self) -> Table:
        """One row per fact; what is nested has its place in the name, as "made_from.0.sha256"."""
        return Table(("fact", "value"), list(_flat(self.facts)))


def run(path: Path, *, csv: Path | None = None) -> InfoReport:
    """The facts about a file.

    Args:
        path: The file.
        csv: Table, one row per fact.
    """
    check_outputs(None, csv, None, force=False)
    check_not_read([csv], [path], "inputs")
    report = InfoReport(_facts(path))
    if csv is not None:
        write_table(csv, report.table())
    return report


def _is_long(value: object) -> bool:
    """Whether a fact is a list with a line for each of its parts."""
    return isinstance(value, list) and not (value and isinstance(value[0], bool))


def _shown(value: object) -> str:
    """A fact in one line; what is nested deeper is for --json."""
    if isinstance(value, list):
        return " ".join(_shown(each) for each in value)
    if isinstance(value, dict):
        plain = {k: v for k, v in value.items() if not isinstance(v, dict | list)}
        return ", ".join(f"{k} {v}" for k, v in plain.items()) or ", ".join(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.10g}"
    return "unknown" if value is None else str(value)


def _flat(value: Any, place: str = "") -> Iterator[tuple[str, Cell]]:
    """Every number and word that is nested in a value, with its place."""
    if not isinstance(value, dict | list):
        yield place, value
        return
    for key, each in value.items() if isinstance(value, dict) else enumerate(value):
        yield from _flat(each, f"{place}.{key}" if place else str(key))


def _facts(path: Path) -> dict[str, Any]:
    with reading(path), open_checked(path) as file:
        kind = check_kind(path, file, None)
    if kind == "trajectory":
        return _trajectory_facts(path)
    result = read_result(path, kind)
    if kind == "dataset":
        return _dataset_facts(path, result)
    return {
        "file": str(path),
        "kind": kind,
        **result.attributes,
        "datasets": [f"{n} {v.shape} {result.units[n]}" for n, v in result.datasets.items()],
        "settings": result.config,
        "made from": [vars(i) for i in result.inputs],
        "created": result.created,
    }


def _dataset_facts(path: Path, result: Result) -> dict[str, Any]:
    content = read_dataset(path)
    return {
        "file": str(path),
        "kind": "dataset",
        "formula": reduced_formula(content.atomic_numbers),
        "material": content.material,
        "atoms": len(content.atomic_numbers),
        "splits": [
            {"split": name, "frames": len(split), "from runs": len(set(split.run.tolist()))}
            for name, split in content.splits.items()
        ],
        "trajectories": [vars(source) for source in content.sources],
        "content_hash": splits_hash(content.splits),
        "settings": result.config,
        "notes": content.document.get("notes", []),
        "created": result.created,
        "checks": "no frame in two splits",
    }


def _trajectory_facts(path: Path) -> dict[str, Any]:
    with TrajectoryFile(path) as file:
        known = file.provenance
        interval = file.frame_interval_fs
        cell = file.read(0, 1).cells[0]
        checks = "every frame readable, checksums right"
        n_read = sum(block.n_frames for block in file.blocks())
        if n_read != file.n_frames:
            raise InputError("frames", where=path, expected=file.n_frames, found=n_read)
        return {
            "file": str(path),
            "kind": "trajectory",
            "formula": reduced_formula(file.atomic_numbers),
            "material": known.material,
            "atoms": file.n_atoms,
            "frames": file.n_frames,
            "length_ps": float(file.times_ps[-1] - file.times_ps[0]),
            "frame_interval_fs": interval,
            "timestep_fs": known.timestep_fs,
            "temperature_k": known.temperature_k,
            "cell_A": [[round(float(x), 6) for x in row] for row in cell],
            "periodic": [bool(p) for p in file.pbc],
            "mobile": known.mobile,
            "source": known.label or "ingested",
            "potential": known.potential,
            "thermostat": known.thermostat,
            "code": known.code,
            "end_reason": known.end_reason,
            "unwrapped_by": known.unwrapped_by,
            "also_stored": list(file.fields),
            "made_from": [vars(i) for i in file.inputs],
            "notes": list(known.notes),
            "created": f"{file.created} by mdbench {file.mdbench_version}",
            "checks": checks,
        }
