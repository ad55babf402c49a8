"""What stored results say about force fields, as a page shows it.

What a file lacks or has of a wrong kind raises KeyError, TypeError or ValueError.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mdbench.analysis.audit import Check
from mdbench.reporting.model_facts import Audited, Origin, TrainedModel
from mdbench.reporting.model_figures import LearningCurve
from mdbench.store import Result

_COLUMNS = ("deviation", "tolerance", "claimed", "passed")


def trained_model(
    source: str,
    about: Mapping[str, Any],
    *,
    symmetry: str,
    conservative: bool,
    materials: Sequence[str],
    origins: Sequence[Origin],
) -> TrainedModel:
    """A model by its description.

    Args:
        source: Name in paths and tables.
        about: What `model.json` says.
        symmetry: That its architecture claims.
        conservative: Likewise.
        materials: What it was trained on.
        origins: Files that this is from.
    """
    training, best = about["training"], about["training"]["validation"]
    ended = training["end_reason"]
    return TrainedModel(
        source=source,
        name=str(about["name"]),
        seed=int(about["seed"]),
        n_parameters=int(training["n_parameters"]),
        symmetry=symmetry,
        conservative=conservative,
        materials=materials,
        n_frames=int(training["n_frames"]),
        budget_s=float(training["budget_s"]),
        n_steps=int(training["n_steps"]),
        n_epochs=float(training["n_epochs"]),
        force_mae=float(best["force_mae"]),
        energy_mae=float(best["energy_mae"]),
        ended=None if ended is None else str(ended),
        weights=str(about["sha256"]),
        origins=origins,
    )


def learning_curve(source: str, result: Result) -> LearningCurve:
    """The validations of a training.

    Args:
        source: Name of the model.
        result: Content of `training.h5`.
    """
    elapsed, forces, energies = (
        _column(result.datasets[f"validation/{name}"])
        for name in ("elapsed_s", "force_mae", "energy_mae")
    )
    best = int(result.attributes["best"])
    if not len(elapsed) == len(forces) == len(energies):
        raise ValueError("columns of different lengths")
    if not 0 <= best < len(elapsed):
        raise ValueError(f"validation {best} of {len(elapsed)}")
    return LearningCurve(source, elapsed, forces, energies, best)


def audited(source: str, result: Result, origin: Origin) -> Audited:
    """The checks of a force field.

    Args:
        source: Its name.
        result: What `mdbench audit` wrote.
        origin: The file.
    """
    known = result.attributes
    precision = str(known["facts"]["precision"])
    return Audited(source, str(known["material"]), precision, stored_checks(result), origin)


def stored_checks(result: Result) -> list[Check]:
    """The checks that `mdbench audit` wrote."""
    numbers = [_column(result.datasets[name]).tolist() for name in _COLUMNS]
    return [
        Check(
            name=str(words["name"]),
            done=str(words["done"]),
            deviation=deviation,
            tolerance=tolerance,
            claimed=bool(claimed),
            passed=bool(passed),
            detail=str(words["detail"]),
        )
        for words, deviation, tolerance, claimed, passed in zip(
            result.attributes["checks"], *numbers, strict=True
        )
    ]


def _column(stored: NDArray[Any]) -> NDArray[np.float64]:
    if stored.dtype.kind not in "biuf":
        raise TypeError(f"{stored.dtype} where numbers stand")
    values = np.asarray(stored, dtype=np.float64)
    if values.ndim != 1:
        raise ValueError(f"an array of {values.ndim} axes where a column stands")
    return values
