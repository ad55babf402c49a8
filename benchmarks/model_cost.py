"""What one force field costs: `python -m benchmarks.model_cost NAME WHAT [--device cpu|cuda]`.

WHAT is `single` or `batch` (energy and forces of one LGPS cell, or of --systems of them, along a
motion of 0.003 Å a step, with graphs and neighbor lists) or `train` (a step of Adam on two
structures, their graphs not counted). One process measures one thing, so that its peak memory is
that of the thing. CPU seconds of one thread, wall seconds of a GPU, the least of --repeat after one
that is not counted. Prints one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mdbench.collector import leaving_old_objects
from mdbench.graph import build_graph
from mdbench.models import create, parse_name
from mdbench.models.base import EnergyModel
from mdbench.models.force_field import ModelForceField
from mdbench.potentials.base import Systems
from mdbench.potentials.materials import material

#: Random displacements of atoms, and of each step of their motion, Å.
NOISE, STEP = 0.1, 0.003
TRAINING_BATCH = 2
#: Time after which nothing is repeated once more, s.
_LONG_S = 20.0


def main(arguments: list[str] | None = None) -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(prog="benchmarks.model_cost", description=__doc__)
    parser.add_argument("name")
    parser.add_argument("what", choices=("single", "batch", "train"))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--systems", type=int, default=15)
    parser.add_argument("--repeat", type=int, default=5)
    print(json.dumps(measured(**vars(parser.parse_args(arguments)))))


def measured(name: str, what: str, device: str, systems: int, repeat: int) -> dict[str, Any]:
    """Milliseconds per system (of a training step: in all), and the peak memory in MB."""
    torch.set_num_threads(1)
    model = create(parse_name(name), seed=0).to(device)
    if what == "train":
        n_systems, job = 1, training_step(model, device, TRAINING_BATCH)
    else:
        n_systems = systems if what == "batch" else 1
        job = evaluation(model, name, n_systems, device)
    clock = time.process_time if device == "cpu" else time.perf_counter
    seconds = least_seconds(job, repeat, device, clock)
    return {
        "model": name,
        "what": what,
        "systems": TRAINING_BATCH if what == "train" else n_systems,
        "ms": 1e3 * seconds / n_systems,
        "peak_mb": peak_mb(device),
        "parameters": model.n_parameters,
    }


def least_seconds(
    job: Callable[[], None], repeat: int, device: str, clock: Callable[[], float]
) -> float:
    """Seconds of a job by a clock, the least of some after one; of fewer where they take long."""
    best, first = math.inf, clock()
    with leaving_old_objects():  # as in dynamics and training
        for n in range(repeat + 1):
            begun = clock()
            if n > 1 and begun - first > _LONG_S:
                break
            job()
            if device != "cpu":
                torch.cuda.synchronize()
            best = min(best, clock() - begun) if n else math.inf
    return best


def peak_mb(device: str) -> float:
    """Of the process, or of torch on a GPU."""
    if device != "cpu":
        return torch.cuda.max_memory_allocated() / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def moving(n_systems: int) -> Iterator[NDArray[np.float64]]:
    """(n_systems · n_atoms, 3) Å, step after step, without end."""
    rng, cell = np.random.default_rng(0), material("lgps")
    x = np.tile(cell.positions, (n_systems, 1))
    x += rng.normal(0.0, NOISE, x.shape)
    while True:
        yield x
        x = x + rng.normal(0.0, STEP, x.shape)


def cells(n_systems: int) -> Systems:
    """As many LGPS cells."""
    m = material("lgps")
    return Systems(
        atomic_numbers=np.tile(m.atomic_numbers, n_systems),
        cells=np.stack([m.cell] * n_systems),
        first_atom=np.arange(n_systems + 1) * len(m.atomic_numbers),
    )


def evaluation(model: EnergyModel, label: str, n_systems: int, device: str) -> Callable[[], None]:
    """One call of an evaluator."""
    evaluator = ModelForceField(model, label, device=device).evaluator(cells(n_systems))
    frames = (torch.as_tensor(x, device=device) for x in moving(n_systems))
    active = torch.ones(n_systems, dtype=torch.bool, device=device)

    def evaluate() -> None:
        evaluator.evaluate(next(frames), active)

    return evaluate


def training_step(model: EnergyModel, device: str, n_systems: int) -> Callable[[], None]:
    """One step with the recipe of the paper, on random energies and forces."""
    batch = cells(n_systems)
    graph = build_graph(
        batch.atomic_numbers,
        next(moving(n_systems)),
        batch.cells,
        model.cutoff,
        first_atom=batch.first_atom,
    ).to(device, torch.float32)
    generator = torch.Generator().manual_seed(0)
    energies = torch.randn(n_systems, generator=generator).to(device)
    forces = torch.randn(graph.n_atoms, 3, generator=generator).to(device)
    optimizer = torch.optim.Adam(model.train().parameters(), lr=1e-4, amsgrad=True, fused=True)

    def step() -> None:
        optimizer.zero_grad()
        found = model.predict(graph, create_graph=True)
        loss = (found.energies.float() - energies).square().mean()
        loss = loss + 1_000.0 * (found.forces - forces).square().mean()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step


if __name__ == "__main__":
    main()
