"""The curves that show how a model's runs fail: made from its runs, kept in a result, read back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mdbench.analysis.evidence import EvidenceCurve, evidence, near_ps
from mdbench.analysis.failures import Failure
from mdbench.analysis.pairs import FloatArray
from mdbench.analysis.windows import RunWindows
from mdbench.stages.structure import RunStructure
from mdbench.store import Dataset, Result, TrajectoryFile
from mdbench.trajectory import Trajectory

#: Frames of a run that show a failure.
_N_FRAMES = 100
#: Texts about a curve, kept as attributes.
_TEXTS = ("unit", "quantity", "what", "reference_what")


@dataclass(frozen=True)
class Shown:
    """The curve of one failure.

    Attributes:
        curve: What is seen.
        place: Of the failure among all that were found.
    """

    curve: EvidenceCurve
    place: int


def show(
    failures: Sequence[Failure], runs: Sequence[RunStructure], reference: Sequence[RunStructure]
) -> dict[str, Shown]:
    """By failure mode, the curve of the first failure that has one.

    Args:
        failures: As `find_failures` found them in the windows of the runs.
        runs: The model's.
        reference: What they were held against.
    """
    watched, known = _windows(runs), _windows(reference)
    files = [run.path for run in runs if run.windows is not None]
    found: dict[str, Shown] = {}
    for place, failure in enumerate(failures):
        if failure.mode in found:
            continue
        time_ps = near_ps(failure, watched[failure.run])
        frames = temperatures_k = None
        if time_ps is not None:
            frames, temperatures_k = _frames(files[failure.run], time_ps)
        curve = evidence(failure, watched, known, frames=frames, temperatures_k=temperatures_k)
        if curve is not None:
            found[failure.mode] = Shown(curve, place)
    return found


def _windows(runs: Sequence[RunStructure]) -> list[RunWindows]:
    return [run.windows for run in runs if run.windows is not None]


def _frames(path: Path, time_ps: float) -> tuple[Trajectory, FloatArray | None]:
    """Frames of a run around a time, and their temperatures, K."""
    with TrajectoryFile(path) as file:
        middle = int(np.searchsorted(file.times_ps, time_ps))
        start = max(0, min(middle + _N_FRAMES // 2, file.n_frames) - _N_FRAMES)
        stop = min(start + _N_FRAMES, file.n_frames)
        return file.read(start, stop), file.observable("temperature", start, stop)


def evidence_datasets(shown: Mapping[str, Shown]) -> dict[str, Dataset]:
    """The arrays of the curves, as a result keeps them."""
    datasets = {}
    for mode, one in shown.items():
        curve, place = one.curve, f"evidence/{mode}"
        datasets[f"{place}/times_ps"] = Dataset(curve.times_ps, "ps", ("time",))
        datasets[f"{place}/values"] = Dataset(curve.values, curve.unit, ("time",))
        if curve.reference is not None:
            axes = ("lower and upper limit", "time")
            datasets[f"{place}/reference"] = Dataset(curve.reference, curve.unit, axes)
        if curve.limit is not None:
            datasets[f"{place}/limit"] = Dataset(curve.limit, curve.unit, ("time",))
    return datasets


def evidence_attributes(shown: Mapping[str, Shown]) -> dict[str, Any]:
    """By mode, what else is kept of the curves: plain JSON values."""
    return {
        mode: {
            "failure": one.place,
            "end_ps": one.curve.end_ps,
            **{name: getattr(one.curve, name) for name in _TEXTS},
        }
        for mode, one in shown.items()
    }


def read_evidence(result: Result) -> list[tuple[EvidenceCurve, Mapping[str, Any]]]:
    """The curves of a g(r) that was held against a reference, each with its failure.

    Failures are those of the `evidence` that `mdbench rdf --against --json` prints, in the order
    of the modes. Empty where nothing failed, and of results older than the curves.

    Raises:
        KeyError, TypeError, ValueError: Of a damaged result; inside `undamaged` it is one line.
    """
    found = []
    for mode, kept in (result.attributes.get("evidence") or {}).items():
        failure = result.attributes["comparison"]["evidence"][int(kept["failure"])]
        if failure["mode"] != mode:
            raise ValueError(f"evidence of {mode} for a failure by {failure['mode']}")
        for key in ("run", "subject", "message", "first_bad_time_ps"):
            failure[key]  # a figure needs it
        found.append((_curve(result, f"evidence/{mode}", kept), failure))
    return found


def _curve(result: Result, place: str, kept: Mapping[str, Any]) -> EvidenceCurve:
    arrays = {
        name: np.asarray(result.datasets[f"{place}/{name}"], dtype=np.float64)
        for name in ("times_ps", "values", "reference", "limit")
        if name in ("times_ps", "values") or f"{place}/{name}" in result.datasets
    }
    times = arrays["times_ps"]
    if times.ndim != 1 or not len(times) or not np.isfinite(times).all():
        raise ValueError(f"{place}: times {times.shape}")
    for name, array in arrays.items():
        if array.shape != ((2, len(times)) if name == "reference" else times.shape):
            raise ValueError(f"{place}/{name} of shape {array.shape}")
    return EvidenceCurve(
        times_ps=times,
        values=arrays["values"],
        reference=arrays.get("reference"),
        limit=arrays.get("limit"),
        end_ps=None if kept["end_ps"] is None else float(kept["end_ps"]),
        **{name: str(kept[name]) for name in _TEXTS},
    )
