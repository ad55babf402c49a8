"""What the eleven force fields do on a GPU: `make bench-gpu` -> benchmarks/gpu.json.

`python -m benchmarks.gpu [NAME …] [--device cuda|cpu]`. ns/day of LGPS cells at 800 K, 2 fs, by
Nosé–Hoover chains, of one run and of all runs of a batch together, beside Table 1 of the published
benchmark (one run on an RTX 4090); structures per second of training with batches of 2 and 32;
how often a step waits for the device (1: the flag of the neighbor lists); and how far forces with
matrix products in TF32 are from those in float32, with the speed they bring. Wall time.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.__main__ import processor
from benchmarks.md import replicas, settings
from benchmarks.model_cost import cells, evaluation, least_seconds, moving, training_step
from mdbench.md.simulate import seconds_per_step
from mdbench.models import MODELS, create, parse_name
from mdbench.models.force_field import ModelForceField
from mdbench.reporting.published import published_model
from mdbench.units import FS_IN_PS, PS_IN_NS, SECONDS_PER_DAY

TABLE = Path(__file__).parent / "gpu.json"
BATCHES, TRAINING_BATCHES = (1, 15, 90), (2, 32)
#: How many times Table 1 is aimed at, by size of the batch.
GOALS = {1: 3.0, 90: 100.0}
#: Forces with TF32 may deviate by this share of their root mean square.
TF32_TOLERANCE = 1e-3
TIMESTEP_FS, REPEAT = 2.0, 5


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser(prog="benchmarks.gpu", description=__doc__)
    parser.add_argument("names", nargs="*", default=list(MODELS), metavar="NAME")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--batches", type=int, nargs="*", default=BATCHES)
    parser.add_argument("--to", type=Path, default=TABLE, metavar="FILE")
    options = parser.parse_args(arguments)
    if options.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("no usable GPU: nothing measured (--device cpu measures the CPU)")
    result: dict[str, Any] = {"device": device_name(options.device), "torch": torch.__version__}
    result["rows"] = {}
    for name in options.names:
        result["rows"][name] = row = measured(name, options.device, options.batches)
        print(line(name, row), flush=True)
        options.to.write_text(json.dumps(result, indent=1) + "\n")


def device_name(device: str) -> str:
    """As the maker calls it."""
    if device == "cpu":
        return f"{processor()}, {platform.system()}"
    return torch.cuda.get_device_name(device)


def measured(name: str, device: str, batches: Sequence[int]) -> dict[str, Any]:
    """All of one model."""
    paper = published_model(name)
    return {
        "paper_ns_per_day": paper.ns_per_day if paper else None,
        "ns_per_day": {n: ns_per_day(name, n, device) for n in batches},
        "structures_per_s": {n: structures_per_s(name, n, device) for n in TRAINING_BATCHES},
        "waits_per_step": waits_per_step(name, device),
        "tf32": tf32(name, device, max(batches)),
    }


def force_field(name: str, device: str) -> ModelForceField:
    """With random weights, in single precision."""
    return ModelForceField(create(parse_name(name), seed=0), name, device=device)


def ns_per_day(name: str, n_systems: int, device: str) -> float:
    """Of all runs of a batch together; atoms hardly move in the few steps that are timed."""
    seconds = seconds_per_step(force_field(name, device), replicas(n_systems), settings(1_000))
    return n_systems / seconds * TIMESTEP_FS * FS_IN_PS * PS_IN_NS * SECONDS_PER_DAY


def structures_per_s(name: str, batch: int, device: str) -> float:
    """Of training, graphs not counted."""
    model = create(parse_name(name), seed=0).to(device)
    step = training_step(model, device, batch)
    return batch / least_seconds(step, REPEAT, device, time.perf_counter)


def waits_per_step(name: str, device: str) -> int | None:
    """How often an evaluation waits for the GPU while lists last; None on a CPU."""
    if device == "cpu":
        return None
    evaluate = evaluation(create(parse_name(name), seed=0), name, 1, device)
    evaluate()
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            evaluate()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return sum("synchroniz" in str(warning.message) for warning in found)


def tf32(name: str, device: str, n_systems: int) -> dict[str, Any] | None:
    """Deviation of forces, over their root mean square, and ns/day; None on a CPU."""
    if device == "cpu":
        return None
    positions = torch.as_tensor(next(moving(1)), device=device)
    forces = []
    for precision in ("highest", "high"):
        torch.set_float32_matmul_precision(precision)
        evaluator = force_field(name, device).evaluator(cells(1))
        evaluator.evaluate(positions, torch.ones(1, dtype=torch.bool, device=device))
        forces.append(evaluator.forces.cpu().numpy().copy())
    try:
        speed = ns_per_day(name, n_systems, device)
    finally:
        torch.set_float32_matmul_precision("highest")
    exact, rounded = forces
    deviation = float(np.abs(rounded - exact).max() / np.sqrt(np.mean(exact**2)))
    kept = deviation <= TF32_TOLERANCE
    return {"deviation": deviation, "within_tolerance": kept, f"ns_per_day_{n_systems}": speed}


def line(name: str, row: dict[str, Any]) -> str:
    """A row as it is printed."""
    paper = row["paper_ns_per_day"]
    parts = []
    for n, speed in row["ns_per_day"].items():
        text = f"{n:>3} runs {speed:10,.1f} ns/day"
        if paper:
            missed = "" if speed >= GOALS.get(n, 0.0) * paper else " MISSED"
            text += f" {speed / paper:7.1f}x{missed}"
        parts.append(text)
    trained = ", ".join(f"{v:,.0f}" for v in row["structures_per_s"].values())
    return f"{name:<14}" + "  ".join(parts) + f"  training {trained} structures/s"


if __name__ == "__main__":
    main()
