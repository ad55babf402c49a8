"""A run folder as a benchmark leaves it: small, of made-up runs, with a model that fails."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from mdbench_cli.main import run as command

from mdbench.records import Record, write_record
from mdbench.store import write_trajectory
from mdbench.synthetic import HoppingModel, ion_conductor

MATERIAL = "salt"
FAITHFUL, BROKEN = "faithful", "broken"
TRAINING = Record(
    stage="train",
    name=BROKEN,
    source=BROKEN,
    commands=[["train", "--model", BROKEN]],
    state="done",
    message=None,
    began="2026-01-01T00:00:00+00:00",
    seconds=90.0,
    cpu_s=180.0,
    gpu_s=0.0,
    host="laptop",
    device="a CPU",
    fingerprint="f",
)
FAILED = replace(TRAINING, stage="simulate", state="failed", message="refused & gone")
ABOUT = {
    "schema": 1,
    "mdbench_version": "0.0",
    "profile": "smoke",
    "settings": {"training": {"budget": "5s"}, "seed": 3},
    "began": "2026-01-01T00:00:00+00:00",
    "environment": {"python": "3.11", "processor": "a processor", "gpu": None},
}


def write_run_folder(folder: Path, seed: int = 0) -> Path:
    """Reference and two models at two temperatures, analyzed; records and benchmark.json."""
    for source in ("reference", FAITHFUL, BROKEN):
        top = folder / ("reference" if source == "reference" else f"rollouts/{source}") / MATERIAL
        top.mkdir(parents=True)
        for kelvin in (800.0, 1000.0):
            for replica in range(2):
                rng = np.random.default_rng([seed, len(source), int(kelvin), replica])
                run = ion_conductor(HoppingModel(repeats=1), 250, rng, temperature_k=kelvin)
                about = replace(
                    run.provenance, label=source, material=MATERIAL, replica=replica, seed=replica
                )
                if source == BROKEN and replica == 1:
                    run, about = run[:60], replace(about, end_reason="exploded: too hot")
                path = top / f"{kelvin:g}K-r{replica}.h5"
                write_trajectory(path, replace(run, provenance=about))
    against = ["--against", f"{folder}/reference/*/*.h5"]
    for words in (["rdf", *against], ["msd"], ["conductivity", "--paper", *against]):
        assert command([*words, "--run", str(folder), "--quiet"]) == 0
    (folder / "benchmark.json").write_text(json.dumps(ABOUT))
    for record in (TRAINING, FAILED):
        write_record(folder / record.file, record)
    return folder
