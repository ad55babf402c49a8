"""What a page shows of any result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mdbench.store import Input


def is_synthetic(attributes: Mapping[str, Any]) -> bool:
    """Whether the runs of a stored result are of a made-up potential, by its attributes."""
    return any(
        "synthetic" in str(attributes[key]).lower() for key in ("source", "label", "potential")
    )


@dataclass(frozen=True, kw_only=True)
class ResultSection:
    """A result of one source and material.

    Attributes:
        file: Name of the result file within the run folder.
        material: Name of the material.
        source: Where the trajectories come from.
        n_runs: Number of trajectories that were analyzed.
        skip_ps: Equilibration left out of each run.
        synthetic: The data were made up, by themselves or by their label.
        figure: PNG image.
        settings: Settings of the stage and what they came to.
        inputs: Files that the result was made from.
    """

    file: str
    material: str
    source: str
    n_runs: int
    skip_ps: Sequence[float]
    synthetic: bool
    figure: bytes
    settings: Mapping[str, object]
    inputs: Sequence[Input]


@dataclass(frozen=True, kw_only=True)
class StateSection(ResultSection):
    """A result at one temperature.

    Attributes:
        temperature_k: None is unknown.
        n_frames: Frames used of all trajectories.
    """

    temperature_k: float | None
    n_frames: int
