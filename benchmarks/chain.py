"""From the HDF5 file to the printed answer, against the peer's counting alone."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.rdf import (
    CELL,
    N_FRAMES,
    PEER_FRAMES,
    SAMPLED,
    SPECIES,
    fastest,
    peer_counts,
    vibrations,
)
from mdbench.config import RdfConfig
from mdbench.stages import rdf
from mdbench.store import write_trajectory
from mdbench.trajectory import Provenance, Trajectory

NUMBERS = np.array([32, 3, 15, 16])[SPECIES]  # Ge, Li, P, S in alphabetical order


def rows() -> list[dict[str, Any]]:
    """`mdbench rdf traj.h5` in process, all frames, at 6 Å."""
    positions = vibrations(np.random.default_rng(0))
    run = Trajectory(
        positions=positions,
        cells=CELL,
        atomic_numbers=NUMBERS,
        times_ps=np.arange(N_FRAMES) * 0.002,
        provenance=Provenance(temperature_k=800.0),
    )
    some = positions[:: N_FRAMES // PEER_FRAMES]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "traj.h5")
        write_trajectory(path, run)
        seconds, _ = fastest(
            {
                "ours": lambda: rdf.run([path], RdfConfig(skip_ps=0.0)).as_text(),
                "peer": lambda: peer_counts(some, CELL, SPECIES, 6.0),
            }
        )
    return [
        {
            "name": "rdf file to answer 6 A",
            "peer": f"{SAMPLED}, reading not counted",
            "ours_s": seconds["ours"],
            "peer_s": seconds["peer"] * N_FRAMES / PEER_FRAMES,
            "target": 8.0,
        }
    ]
