"""Files of walkers, small and quick."""

import dataclasses
from pathlib import Path

import numpy as np

from mdbench.store import write_trajectory
from mdbench.trajectory import Trajectory
from mdbench.walks import Walk, walkers

#: D* is 2.0e-4 cm²/s at 800 K and 6.7e-4 at 1200 K.
HOPPERS = Walk(n_ions=20, hops_per_ps=50.0, activation_energy=0.25, rattle=0.2)
FROZEN = Walk(n_ions=20, rattle=0.2)


def run_of(walk=HOPPERS, seed=0, n_frames=300, *, interval_fs=100.0, **known) -> Trajectory:
    """A run of walkers; what is known about it can be replaced."""
    rng = np.random.default_rng(seed)
    run = walkers(walk, n_frames, rng, frame_interval_fs=interval_fs)
    return dataclasses.replace(run, provenance=dataclasses.replace(run.provenance, **known))


def write_run(path: Path, walk=HOPPERS, seed=0, n_frames=300, **options) -> Path:
    """Writes a run of walkers in single precision, as the commands do."""
    write_trajectory(path, run_of(walk, seed, n_frames, **options))
    return path


def at(temperature_k: float, walk=HOPPERS) -> Walk:
    """The same walk at another temperature."""
    return dataclasses.replace(walk, temperature_k=temperature_k)
