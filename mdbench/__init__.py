"""Whether the dynamics of a machine-learning force field can be trusted.

In a notebook: `mdbench.read_trajectory("run.h5")`, `mdbench.Trajectory.from_ase(images, …)`,
`mdbench.diffusion(runs)`, `mdbench.stability(model_runs, reference_runs)` (docs/python.md).
Everything is imported on demand.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mdbench.version import __version__

if TYPE_CHECKING:
    from mdbench.errors import InputError
    from mdbench.notebook.force_fields import force_field
    from mdbench.notebook.paths import diffusion_paths
    from mdbench.notebook.results import read_result
    from mdbench.notebook.structure import radial_distribution, stability
    from mdbench.notebook.transport import conductivity, diffusion
    from mdbench.store import TrajectoryFile, read_trajectory, write_trajectory
    from mdbench.trajectory import Trajectory

__all__ = [
    "InputError",
    "Trajectory",
    "TrajectoryFile",
    "__version__",
    "conductivity",
    "diffusion",
    "diffusion_paths",
    "force_field",
    "radial_distribution",
    "read_result",
    "read_trajectory",
    "stability",
    "write_trajectory",
]

_HOME = {
    "InputError": "mdbench.errors",
    "Trajectory": "mdbench.trajectory",
    "TrajectoryFile": "mdbench.store",
    "conductivity": "mdbench.notebook.transport",
    "diffusion": "mdbench.notebook.transport",
    "diffusion_paths": "mdbench.notebook.paths",
    "force_field": "mdbench.notebook.force_fields",
    "radial_distribution": "mdbench.notebook.structure",
    "read_result": "mdbench.notebook.results",
    "read_trajectory": "mdbench.store",
    "stability": "mdbench.notebook.structure",
    "write_trajectory": "mdbench.store",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'mdbench' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
