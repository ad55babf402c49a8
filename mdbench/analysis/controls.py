"""Known answers and planted faults: does this installation compute what it should?

Each control runs on a small synthetic trajectory whose truth is known, in well under a second.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from mdbench.analysis.audit_controls import audit_controls
from mdbench.analysis.control import Control
from mdbench.analysis.failures import find_failures
from mdbench.analysis.integrity import IntegrityAudit
from mdbench.analysis.path_controls import path_controls
from mdbench.analysis.rdf import radial_distribution
from mdbench.analysis.transport_controls import transport_controls
from mdbench.analysis.windows import RunWindows, WindowedRun
from mdbench.synthetic import (
    SHELLS,
    HoppingModel,
    drifting,
    fused,
    ideal_gas,
    ion_conductor,
    lattice,
    melted,
    swollen,
)
from mdbench.trajectory import Trajectory, Unwrapper

FloatArray = NDArray[np.float64]


def all_controls(seed: int = 0) -> Iterator[Control]:
    """Runs every control in turn."""
    rng = np.random.default_rng(seed)
    yield _ideal_gas(rng)
    for kind in ("fcc", "bcc"):
        yield _shells(kind)
    conductor = ion_conductor(HoppingModel(), 500, rng, temperature_k=800.0, frame_interval_fs=2.0)
    yield _audit("sound run", conductor, set())
    for name, (fault, finding) in _FAULTS.items():
        yield _audit(name, fault(conductor), {finding})
    yield _unwrapping(rng)
    yield from _failures(rng)
    yield from transport_controls(rng)
    yield from audit_controls(seed)
    yield from path_controls(rng)


def _ideal_gas(rng: np.random.Generator) -> Control:
    """An ideal gas has g = (N − 1)/N, to the noise of Poisson counts."""
    n_atoms = 20
    cell = np.array([[9.0, 0.0, 0.0], [2.0, 8.5, 0.0], [-1.5, 1.0, 9.5]])
    result = radial_distribution(ideal_gas(n_atoms, 2000, cell, rng), r_max=8.0, dr=0.1)
    weights = result.edges[1:] ** 3 - result.edges[:-1] ** 3
    mean = float(np.average(result.g["total"], weights=weights))
    error = float(1.0 / np.sqrt(result.counts["total"].sum()))
    truth = (n_atoms - 1) / n_atoms
    return Control(
        "ideal gas: g(r) = (N - 1)/N",
        f"{truth:.4f}",
        f"{mean:.4f} ± {error:.4f}",
        abs(mean - truth) < 5.0 * error,
    )


def _shells(kind: str) -> Control:
    """How many neighbors stand in each of the first three shells of a cubic lattice."""
    a = 4.07
    crystal = lattice(kind, a, 1)
    result = radial_distribution(crystal, r_max=1.6 * a, dr=0.01)
    found = []
    for distance, _ in SHELLS[kind][:3]:
        near = np.abs(result.r - distance * a) < 0.03 * a
        found.append(2.0 * float(result.counts["total"][near].sum()) / crystal.n_atoms)
    expected = [n for _, n in SHELLS[kind][:3]]
    return Control(
        f"{kind} shells", _numbers(expected), _numbers(found), bool(np.array_equal(found, expected))
    )


def _audit(name: str, trajectory: Trajectory, expected: set[str]) -> Control:
    audit = IntegrityAudit(trajectory.atomic_numbers)
    audit.add(trajectory)
    found = {f.name for f in audit.findings(stated_temperature_k=800.0)}
    return Control(
        name, ", ".join(expected) or "no finding", ", ".join(sorted(found)) or "no finding",
        found == expected,
    )  # fmt: skip


def _unwrapping(rng: np.random.Generator) -> Control:
    """A wrapped walk, unwrapped, is the walk."""
    cell = np.array([[6.0, 0.0, 0.0], [2.5, 5.5, 0.0], [-2.0, 1.5, 7.0]])
    steps = rng.normal(scale=0.4, size=(400, 10, 3))
    walk = np.cumsum(steps, axis=0)
    trajectory = Trajectory(walk, cell, np.full(10, 3), np.arange(400) * 0.1)
    wrapped = trajectory.wrapped_positions()
    followed = Unwrapper(np.ones(3)).unwrap(wrapped, trajectory.cells)
    error = float(np.abs((followed - followed[0]) - (walk - walk[0])).max())
    return Control("unwrapping a wrapped walk", "error 0 A", f"error {error:.0e} A", error < 1e-9)


def _failures(rng: np.random.Generator) -> Iterator[Control]:
    """A sound model has no failure; each planted fault is the first one that is named."""
    runs = [ion_conductor(HoppingModel(), 100, rng, temperature_k=800.0) for _ in range(3)]
    reference = [_windows(run) for run in runs[:2]]
    for name, (fault, mode) in {"sound model": (_unchanged, ""), **_MODEL_FAULTS}.items():
        found = [f.mode for f in find_failures([_windows(fault(runs[2], rng))], reference)]
        yield Control(
            name,
            mode or "no failure",
            ", ".join(dict.fromkeys(found)) or "no failure",
            found[:1] == [mode] if mode else not found,
        )


def _windows(run: Trajectory) -> RunWindows:
    windows = WindowedRun(run.atomic_numbers, r_max=6.0, dr=0.05)
    windows.add(run)
    return windows.result()


def _unchanged(run: Trajectory, rng: np.random.Generator) -> Trajectory:
    return run


def _swollen(run: Trajectory, rng: np.random.Generator) -> Trajectory:
    return swollen(run, 1.02)


def _fused(run: Trajectory, rng: np.random.Generator) -> Trajectory:
    return fused(run, (0, run.n_atoms - 1), 0.9, start_ps=4.0, stop_ps=7.0)


def _drifting(run: Trajectory, rng: np.random.Generator) -> Trajectory:
    return drifting(run, (0.2, 0.1, 0.0), start_ps=2.0)


def _melted(run: Trajectory, rng: np.random.Generator) -> Trajectory:
    return melted(run, rng, start_ps=2.0)


def _frozen(run: Trajectory, rng: np.random.Generator) -> Trajectory:
    still = dataclasses.replace(HoppingModel(), attempts_per_ps=0.0)
    return ion_conductor(still, run.n_frames, rng, temperature_k=800.0)


def _slow_clock(run: Trajectory) -> Trajectory:
    return dataclasses.replace(run, times_ps=2.0 * run.times_ps)


def _wrapped(run: Trajectory) -> Trajectory:
    return dataclasses.replace(run, positions=run.wrapped_positions())


def _swapped_labels(run: Trajectory) -> Trajectory:
    return dataclasses.replace(run, atomic_numbers=run.atomic_numbers[::-1])


def _exchanged_atoms(run: Trajectory) -> Trajectory:
    """From the middle on, the first atom and the last change places in the file."""
    order = np.arange(run.n_atoms)
    order[[0, -1]] = order[[-1, 0]]
    half = run.n_frames // 2
    positions = np.concatenate([run.positions[:half], run.positions[half:, order]])
    return dataclasses.replace(run, positions=positions, velocities=None, forces=None)


#: Planted fault -> (how it is planted, the finding that must name it).
_FAULTS: dict[str, tuple[Callable[[Trajectory], Trajectory], str]] = {
    "wrong timestep": (_slow_clock, "frame interval"),
    "wrapped input": (_wrapped, "wrapped"),
    "swapped species labels": (_swapped_labels, "species"),
    "atoms that change order": (_exchanged_atoms, "atom order"),
}

#: Planted fault of a model -> (how it is planted, the failure that must name it).
_MODEL_FAULTS: dict[str, tuple[Callable[[Trajectory, np.random.Generator], Trajectory], str]] = {
    "lattice swollen by 2 %": (_swollen, "lattice mismatch"),
    "fused atoms": (_fused, "fusion"),
    "drifting cell": (_drifting, "drift"),
    "melted crystal": (_melted, "lattice mismatch"),
    "ions that do not hop": (_frozen, "frozen"),
}


def _numbers(values: list[float] | list[int]) -> str:
    return ", ".join(f"{v:g}" for v in values)
