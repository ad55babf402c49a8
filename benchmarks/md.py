"""Molecular dynamics of LGPS by the embedded potential: steps, their overhead, and forces alone.

Seconds are those of 1,000 steps of one system, so they read as ms per step. All start at 800 K
without a ramp and take 2,500 steps of 2 fs by Nosé–Hoover chains. We record every frame; ASE's loop
records none. Both must make the same motion.

Overhead is a step less the forces on lists of just the pairs within the cutoff: integrator,
bookkeeping, and all that neighbor lists cost. Building them alone would not do: a wider skin builds
fewer, and pays for it in every call. Steps without forces are integrator and bookkeeping. The
goals, 0.03 ms for one system and 0.005 ms in a batch, are written as ratios to 0.5 ms of ASE's.

A network's steps hold Python's lock for much of their time, so that runs are shared by processes:
two of them, already started, against one; random weights.

CPU seconds of one thread, or wall seconds of two, the least of interleaved rounds after one that
is not counted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import cache, partial
from multiprocessing import get_context
from typing import Any, ClassVar

import numpy as np
import torch
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.lj import LennardJones
from ase.md.nose_hoover_chain import NoseHooverChainNVT
from numpy.typing import NDArray

from benchmarks.rdf import fastest
from mdbench.md.ase_calculator import MdbenchCalculator
from mdbench.md.settings import MDSettings
from mdbench.md.simulate import Chunk, simulate, split
from mdbench.md.state import Run, initial_state, systems
from mdbench.models import create, parse_name
from mdbench.models.force_field import ModelForceField
from mdbench.potentials.base import Systems
from mdbench.potentials.materials import material
from mdbench.potentials.refpot import PARAMETERS, RefPot
from mdbench.potentials.refpot_torch import RefPotTorch
from mdbench.units import ASE_TIME_IN_FS, FS_IN_PS

TEMPERATURE_K, TIMESTEP_FS, N_STEPS = 800.0, 2.0, 2_500
N_REPLICAS, N_THREADS = 15, 2
#: Steps without forces at this temperature leave atoms apart.
COLD_K, OVERHEAD_STEPS = 1e-3, 2_000
#: Structures with lists of just the pairs within the cutoff, and their skin, Å.
N_FIXED, NO_SKIN = 20, 1e-9
#: Structures for slow force fields.
FEW = 250
#: Goals of the overhead, ms, and the step of ASE to which they are ratios.
SINGLE_MS, BATCHED_MS, ASE_MS = 0.03, 0.005, 0.5
#: A network, and its runs: with random weights they go wrong when they are hot or long.
NETWORK, NETWORK_K, NETWORK_STEPS = "schnet-small", 300.0, 60
CHAIN = "ASE NoseHooverChainNVT"


def rows() -> Iterator[dict[str, Any]]:
    """Name, peer, seconds of ours and of the peer, and the ratio that is aimed at."""
    runs = replicas(N_REPLICAS)
    check_motion(runs[:1])
    yield from aggregate_rows(runs)
    yield single_row(runs[:1])
    frames = joined(motion(runs, N_STEPS))
    first = frames[:, : len(runs[0].atomic_numbers)]
    yield from overhead_rows(runs[:1], first, ASE_MS / SINGLE_MS)
    yield from overhead_rows(runs, frames, ASE_MS / BATCHED_MS)
    yield from force_rows(runs[0], first)
    yield network_row(len(runs))


def replicas(n: int, temperature_k: float = TEMPERATURE_K) -> list[Run]:
    """Runs of LGPS that start at rest positions with velocities of their own."""
    m = material("lgps")
    return [
        Run(m.name, m.atomic_numbers, m.positions, m.cell, temperature_k, replica)
        for replica in range(n)
    ]


def settings(n_steps: int) -> MDSettings:
    """Nosé–Hoover chains as in the paper, without a ramp."""
    length_ps = n_steps * TIMESTEP_FS * FS_IN_PS
    return MDSettings(timestep_fs=TIMESTEP_FS, ramp_ps=0.0, production_ps=length_ps)


def motion(runs: Sequence[Run], n_steps: int, force_field: Any = None) -> list[Chunk]:
    """Frames of all runs by our engine, and by our potential if no other is given."""
    chunks = list(simulate(force_field or RefPot(), runs, settings(n_steps)))
    assert not any(chunks[-1].end_reasons)
    return chunks


def joined(chunks: Sequence[Chunk]) -> NDArray[Any]:
    """(n_frames, n_atoms, 3) Å, atoms of all runs after each other."""
    return np.concatenate(
        [np.concatenate([frames.positions for frames in c.frames], axis=1) for c in chunks]
    )


def threaded_motion(runs: Sequence[Run]) -> list[list[Chunk]]:
    """Frames of all runs, a batch for each thread."""
    batches = [[runs[i] for i in part] for part in split(runs, N_THREADS)]
    with ThreadPoolExecutor(N_THREADS) as pool:
        return list(pool.map(lambda batch: motion(batch, N_STEPS), batches))


def ase_motion(n_steps: int, calculator: Calculator | None = None) -> NDArray[Any]:
    """(n_atoms, 3) Å, where ASE's loop takes the first replica.

    Args:
        n_steps: Steps.
        calculator: By default our potential.
    """
    (run,) = replicas(1)
    start = initial_state([run], settings(n_steps))
    atoms = Atoms(run.atomic_numbers, run.positions, cell=run.cell, masses=run.masses, pbc=True)
    atoms.set_velocities(start.momenta / start.masses[:, None] * ASE_TIME_IN_FS)
    atoms.calc = calculator or MdbenchCalculator(RefPot())
    damping = settings(n_steps).damping / ASE_TIME_IN_FS
    timestep = TIMESTEP_FS / ASE_TIME_IN_FS
    NoseHooverChainNVT(atoms, timestep, TEMPERATURE_K, damping).run(n_steps)
    return np.asarray(atoms.positions)


def check_motion(runs: Sequence[Run]) -> None:
    """Both loops move the atoms alike, but for ASE's chain of 3N degrees of freedom."""
    ours, theirs = joined(motion(runs, 11))[-1], ase_motion(10)
    moved = np.linalg.norm(ours - runs[0].positions)
    assert np.linalg.norm(ours - theirs) < 1e-2 * moved


def aggregate_rows(runs: Sequence[Run]) -> Iterator[dict[str, Any]]:
    """Wall seconds of two threads against ASE in one process, and in two."""
    with ProcessPoolExecutor(N_THREADS, mp_context=get_context("spawn")) as pool:
        seconds, _ = fastest(
            {
                "ours": lambda: threaded_motion(runs),
                "one process": lambda: ase_motion(N_STEPS),
                "two processes": lambda: list(pool.map(ase_motion, [N_STEPS] * N_THREADS)),
            },
            time.perf_counter,
            rounds=7,  # wall time, also of what else the machine does
        )
    for words, n_systems, target in (("one process", 1, 20.0), ("two processes", N_THREADS, None)):
        yield {
            "name": f"md {len(runs)} LGPS, two threads",
            "peer": f"{CHAIN}, {words}",
            "ours_s": per_1000_steps(seconds["ours"], len(runs) * N_STEPS),
            "peer_s": per_1000_steps(seconds[words], n_systems * N_STEPS),
            "target": target,
        }


def single_row(runs: Sequence[Run]) -> dict[str, Any]:
    """CPU seconds of one run."""
    seconds, _ = fastest(
        {"ours": lambda: motion(runs, N_STEPS), "ASE": lambda: ase_motion(N_STEPS)}, rounds=5
    )
    return {
        "name": "md one LGPS, one thread",
        "peer": CHAIN,
        "ours_s": per_1000_steps(seconds["ours"], N_STEPS),
        "peer_s": per_1000_steps(seconds["ASE"], N_STEPS),
        "target": None,
    }


def per_1000_steps(seconds: float, n_steps: int) -> float:
    """Seconds of 1,000 steps of one system."""
    return seconds * 1_000 / n_steps


def overhead_rows(
    runs: Sequence[Run], frames: NDArray[Any], target: float
) -> Iterator[dict[str, Any]]:
    """CPU seconds of steps less those of the potential, and of steps without forces.

    Args:
        runs: The batch.
        frames: (n_frames, n_atoms, 3) Å of it.
        target: Ratio that is aimed at, neighbors included.
    """
    n_systems, cold = len(runs), replicas(len(runs), COLD_K)
    calls = exact_calls(runs, frames)
    seconds, _ = fastest(
        {
            "step": lambda: motion(runs, OVERHEAD_STEPS),
            "forces": lambda: repeat(calls, OVERHEAD_STEPS),
            "no forces": lambda: motion(cold, OVERHEAD_STEPS, NoPotential()),
            "ASE": lambda: ase_motion(OVERHEAD_STEPS, NoForces()),
        },
        rounds=7,
    )
    ours = {"overhead": seconds["step"] - seconds["forces"], "no forces": seconds["no forces"]}
    for words, goal in (("overhead", target), ("no forces", None)):
        yield {
            "name": f"md {words}, {n_systems} LGPS",
            "peer": f"{CHAIN}, no forces, no neighbors",
            "ours_s": per_1000_steps(ours[words], n_systems * OVERHEAD_STEPS),
            "peer_s": per_1000_steps(seconds["ASE"], OVERHEAD_STEPS),
            "target": goal,
        }


def exact_calls(runs: Sequence[Run], frames: NDArray[Any]) -> list[Callable[[], None]]:
    """Calls of the potential at some frames, each with lists of its own that stay right."""
    batch = systems(initial_state(runs, settings(1)))
    active = np.ones(len(runs), dtype=np.bool_)
    some = frames[:: len(frames) // N_FIXED]
    return [partial(RefPot(skin=NO_SKIN).evaluator(batch).evaluate, x, active) for x in some]


def repeat(calls: Sequence[Callable[[], None]], n: int) -> None:
    """Makes n calls in all."""
    for call in calls:
        for _ in range(n // len(calls)):
            call()


class NoForces(Calculator):  # type: ignore[misc]
    """A calculator of ASE that costs nothing."""

    implemented_properties: ClassVar[list[str]] = ["energy", "forces"]

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: list[str] = all_changes,
    ) -> None:
        """Fills `results` with zeros."""
        super().calculate(atoms, properties or ["energy"], system_changes)
        self.results = {"energy": 0.0, "forces": np.zeros((len(self.atoms), 3))}


class NoPotential:
    """A force field that costs nothing."""

    label = "no potential"
    closest: Mapping[str, float] = {}

    def evaluator(self, systems: Systems) -> NoPotentialEvaluator:
        """An evaluator for these systems."""
        return NoPotentialEvaluator(systems)


class NoPotentialEvaluator:
    """Zeros (`base.Evaluator`)."""

    def __init__(self, systems: Systems) -> None:
        self.energies = np.zeros(systems.n_systems)
        self.forces = np.zeros((len(systems.atomic_numbers), 3))
        self.virials = np.zeros((systems.n_systems, 3, 3))

    def evaluate(self, positions: NDArray[Any], active: NDArray[np.bool_]) -> None:
        """Leaves the zeros as they are."""

    def state(self) -> dict[str, NDArray[Any]]:
        """Nothing."""
        return {}

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Nothing to go back to."""


def force_rows(run: Run, frames: NDArray[Any]) -> Iterator[dict[str, Any]]:
    """CPU seconds of 1,000 calls along a run, neighbor lists included; ASE's for scale.

    Args:
        run: Of one LGPS.
        frames: (n_frames, n_atoms, 3) Å of it.
    """
    first = np.array([0, len(run.atomic_numbers)])
    one = Systems(run.atomic_numbers, run.cell[None], first)
    ours, twin = RefPot().evaluator(one), RefPotTorch().evaluator(one)
    atoms = Atoms(run.atomic_numbers, cell=run.cell, pbc=True)
    atoms.calc = LennardJones(sigma=2.0, rc=PARAMETERS.cutoff)
    active = np.ones(1, dtype=np.bool_)
    tensors, active_tensor = torch.as_tensor(frames[:FEW]), torch.as_tensor(active)

    def call_ours(some: NDArray[Any]) -> NDArray[Any]:
        for frame in some:
            ours.evaluate(frame, active)
        return ours.forces.copy()

    def call_twin() -> NDArray[Any]:
        for frame in tensors:
            twin.evaluate(frame, active_tensor)
        return np.asarray(twin.forces)

    def call_ase() -> None:
        for frame in frames[:FEW]:
            atoms.positions = frame
            atoms.get_forces()

    same, expected = call_ours(frames[:FEW]), call_twin()
    assert np.abs(same - expected).max() < 1e-10 * np.abs(expected).max()
    seconds, _ = fastest({"ours": lambda: call_ours(frames), "twin": call_twin, "ASE": call_ase})
    for key, peer in (
        ("twin", "its torch twin, float64, CPU"),
        ("ASE", "ASE LennardJones, the same cutoff"),
    ):
        yield {
            "name": "forces LGPS",
            "peer": peer,
            "ours_s": per_1000_steps(seconds["ours"], len(frames)),
            "peer_s": per_1000_steps(seconds[key], FEW),
            "target": None,
        }


@cache
def network() -> ModelForceField:
    """With random weights."""
    torch.set_num_threads(1)
    return ModelForceField(create(parse_name(NETWORK), seed=0), NETWORK)


def network_motion(chosen: Sequence[int]) -> NDArray[Any]:
    """(n_frames, n_atoms, 3) Å of some of the replicas, moved by the network."""
    runs = replicas(N_REPLICAS, NETWORK_K)
    return joined(motion([runs[i] for i in chosen], NETWORK_STEPS, network()))


def network_row(n_runs: int) -> dict[str, Any]:
    """Wall seconds of two processes against one, as `stages/crew_processes.py` shares runs."""
    parts = split(replicas(n_runs), N_THREADS)
    with ProcessPoolExecutor(N_THREADS, mp_context=get_context("spawn")) as pool:
        seconds, found = fastest(
            {
                "two": lambda: list(pool.map(network_motion, parts)),
                "one": lambda: network_motion(range(n_runs)),
            },
            time.perf_counter,
            rounds=7,  # wall time, also of what else the machine does
        )
    last = np.concatenate([frames[-1] for frames in found["two"]])
    expected = found["one"][-1].reshape(n_runs, -1)[[i for part in parts for i in part]]
    assert np.abs(last.reshape(n_runs, -1) - expected).max() < 1e-4
    return {
        "name": f"md {NETWORK}, {n_runs} LGPS, two processes",
        "peer": "one process",
        "ours_s": per_1000_steps(seconds["two"], n_runs * NETWORK_STEPS),
        "peer_s": per_1000_steps(seconds["one"], n_runs * NETWORK_STEPS),
        "target": 1.7,
    }
