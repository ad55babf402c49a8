"""What a file of mdbench holds, as facts to print."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mdbench.errors import InputError
from mdbench.stages.dataset_file import read_dataset, splits_hash
from mdbench.store import (
    Result,
    TrajectoryFile,
    check_kind,
    open_checked,
    read_result,
    reading,
)
from mdbench.trajectory import reduced_formula


def run(path: Path) -> dict[str, Any]:
    """Name and value of each fact, plain JSON values in the order of reading."""
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
