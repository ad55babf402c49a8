"""Whether the dynamics of a machine-learning force field can be trusted.

In a notebook: `mdbench.read_trajectory("run.h5")`, `mdbench.Trajectory.from_ase(images, …)`,
`mdbench.radial_distribution(trajectory)`. Everything is imported on demand.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mdbench.version import __version__

if TYPE_CHECKING:
    from mdbench.analysis.rdf import radial_distribution
    from mdbench.errors import InputError
    from mdbench.store import TrajectoryFile, read_trajectory, write_trajectory
    from mdbench.trajectory import Trajectory

__all__ = [
    "InputError",
    "Trajectory",
    "TrajectoryFile",
    "__version__",
    "radial_distribution",
    "read_trajectory",
    "write_trajectory",
]

_HOME = {
    "InputError": "mdbench.errors",
    "Trajectory": "mdbench.trajectory",
    "TrajectoryFile": "mdbench.store",
    "radial_distribution": "mdbench.analysis.rdf",
    "read_trajectory": "mdbench.store",
    "write_trajectory": "mdbench.store",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'mdbench' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
