"""Motions of ions made from paths."""

import numpy as np

from mdbench.analysis.motion import IonMotion, ion_motion
from mdbench.walks import Walk, walkers


def motion_of(paths, *, interval_ps=0.1, side=12.0, cell=None, seed=0):
    """The motion of ions that start anywhere; paths are (n_ions, 3, n_frames) Å."""
    paths = np.asarray(paths, dtype=float)
    box = side * np.eye(3) if cell is None else np.asarray(cell, dtype=float)
    return IonMotion(
        displacements=paths - paths[:, :, :1],
        origin=np.random.default_rng(seed).random((len(paths), 3)) @ box,
        cell=box,
        frame_interval_ps=interval_ps,
        drift=np.zeros((3, paths.shape[2])),
        species="Li",
    )


def walk_of(walk: Walk, n_frames=1000, seed=0, **options) -> IonMotion:
    """The ions of a run of walkers."""
    run = walkers(walk, n_frames, np.random.default_rng(seed), **options)
    return ion_motion(run, walk.mobile)
