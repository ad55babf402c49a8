"""Diffusion in one group of replicas: what `msd` shows and `conductivity` goes on with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from mdbench.analysis.collective import CollectiveDiffusion, collective_diffusion
from mdbench.analysis.diffusion_analyzer import Smoothing, analyzer_diffusivity
from mdbench.analysis.diffusion_window import N_LAGS
from mdbench.analysis.diffusivity import UNIT, Diffusion, tracer_diffusion
from mdbench.config import MsdConfig, stamp
from mdbench.errors import InputError, located
from mdbench.stages.loaded import Opener
from mdbench.stages.motion import Progress, RunMotion, motion_of
from mdbench.stages.runs import EndedEarlyError, Group, ended_early
from mdbench.stats import Estimate
from mdbench.store import Input, TrajectoryFile, input_of
from mdbench.units import PS_IN_FS

FloatArray = NDArray[np.float64]

#: Cells of replicas may differ by this share of a vector's length.
_SAME_CELL = 0.01
#: Lags that are printed and stored: all of them up to here, then a share of them.
_MOST_LAGS = 10_000


@dataclass(frozen=True)
class Transport:
    """Diffusion of the mobile ions over the replicas of one source, material and temperature.

    Attributes:
        group: The replicas.
        runs: What was read of them.
        diffusion: Tracer diffusion.
        collective: Collective diffusion and Haven ratio.
        diffusivity: Tracer diffusivity by the estimator that was asked for, cm²/s.
        lag_ps: (n_lags,) ps.
        msd: (3, n_lags) Å², mean over replicas.
        others: (n_lags,) Å² of each other element.
        left_out: Why runs are left out that ended early.
        config: Settings.
    """

    group: Group
    runs: tuple[RunMotion, ...]
    diffusion: Diffusion
    collective: CollectiveDiffusion
    diffusivity: Estimate
    lag_ps: FloatArray
    msd: FloatArray
    others: dict[str, FloatArray]
    left_out: tuple[str, ...]
    config: MsdConfig

    @property
    def species(self) -> str:
        """Symbol of the mobile ions."""
        return self.runs[0].motion.species

    @property
    def volume(self) -> float:
        """Å³, mean over replicas."""
        return float(np.mean([run.motion.volume for run in self.runs]))

    @property
    def drift(self) -> float:
        """Å, the farthest that the framework's mean position came, which is taken off."""
        return max(float(np.linalg.norm(r.motion.drift, axis=0).max()) for r in self.runs)

    @property
    def inputs(self) -> list[Input]:
        """The files, also those of runs that ended early: another end would be another result."""
        return [input_of(path, "trajectory") for path in self.group.paths]

    @property
    def notes(self) -> list[str]:
        """What the reader should know: of the analysis, then of the files."""
        lines = [*self.diffusion.warnings, *(f"left out: {line}" for line in self.left_out)]
        lines += synthetic(self.group)
        for run in self.runs:
            lines += [
                f"{run.path.name}: {note}"
                for note in run.provenance.notes
                if note.startswith("temperature")
            ]
        return lines

    @property
    def settings(self) -> dict[str, Any]:
        """Settings and what they came to."""
        return {
            **stamp(self.config),
            "skip_ps": [run.skip_ps for run in self.runs],
            "mobile": self.species,
            "origin": "window-averaged",
            "n_lags": len(self.diffusion.window.lags_ps),
            "site_distance": self.diffusion.site_distance,
        }


def transport(
    group: Group,
    config: MsdConfig,
    progress: Progress | None = None,
    *,
    opened: Opener = TrajectoryFile,
) -> Transport:
    """Diffusion in the replicas of a group.

    Args:
        group: Files of one source, material and temperature.
        config: Mobile species, equilibration, estimator.
        progress: Called with the share done and what is being read.
        opened: How a run is opened.
    """
    # the shortest run sets the window of all
    least = 3 * N_LAGS + 1
    left_out = ended_early(group.paths, config.skip_ps, config.stride, least, opened)
    paths = [path for path in group.paths if path not in left_out]
    if not paths:
        raise EndedEarlyError(group, list(left_out.values()))
    runs = []
    for path in paths:
        with opened(path) as file:
            found = motion_of(
                file,
                mobile=config.mobile,
                skip_ps=config.skip_ps,
                stride=config.stride,
                progress=progress,
            )
        runs.append(found)
    _check_replicas(runs)
    motions = [run.motion for run in runs]
    with located(min(runs, key=lambda run: run.motion.n_frames).path):
        diffusion = tracer_diffusion(motions, curves=[run.curve for run in runs])
    lag_ps, msd, others = _mean_curves(runs)
    return Transport(
        group=group,
        runs=tuple(runs),
        diffusion=diffusion,
        collective=collective_diffusion(motions, diffusion, alone=len(runs[0].n_atoms) == 1),
        diffusivity=diffusion.diffusivity
        if config.estimator == "gls"
        else analyzer_estimate(runs, config.smoothing),
        lag_ps=lag_ps,
        msd=msd,
        others=others,
        left_out=tuple(left_out.values()),
        config=config,
    )


def synthetic(group: Group) -> list[str]:
    """A line on data that were made up; none on others."""
    potential = group.provenance.potential
    return [f"synthetic data: {potential}"] if potential and "synthetic" in potential else []


def analyzer_estimate(runs: Sequence[RunMotion], smoothing: str) -> Estimate:
    """Diffusivity as pymatgen's DiffusionAnalyzer gives it, mean over replicas, no interval."""
    found = []
    for run in runs:
        with located(run.path):
            paths = run.motion.displacements
            interval = run.motion.frame_interval_ps * PS_IN_FS
            known = analyzer_diffusivity(paths, interval, cast(Smoothing, smoothing))
            found.append(known.diffusivity)
    return Estimate(float(np.mean(found)), None, None, UNIT)


def transport_json(result: Transport) -> dict[str, Any]:
    """One group as plain JSON values (docs/cli.md, keys of `msd`)."""
    found, group = result.diffusion, result.group
    return {
        "source": group.source,
        "material": group.material,
        "temperature_k": group.temperature_k,
        "species": result.species,
        "lag_ps": result.lag_ps.tolist(),
        "msd": result.msd.sum(axis=0).tolist(),
        "msd_xyz": result.msd.tolist(),
        "others": {symbol: curve.tolist() for symbol, curve in result.others.items()},
        "fit": {
            "lag_ps": found.window.lags_ps.tolist(),
            "msd": found.msd_at_lags.tolist(),
            "slope": found.slope,
            "intercept": found.intercept,
        },
        "diffusivity": result.diffusivity.as_json(),
        "diffusivity_tensor": _tensor_json(found),
        "along_cell_vectors": [d.as_json() for d in found.along_cell],
        "anisotropy": found.anisotropy,
        "isotropy_p": found.isotropy_p,
        "collective_diffusivity": result.collective.diffusivity.as_json(),
        "haven_ratio": result.collective.haven_ratio.as_json(),
        "n_eff": found.n_eff,
        "relative_error_he_zhu_mo": found.he_zhu_mo,
        "n_hops": found.n_hops,
        "site_distance": found.site_distance,
        "non_gaussian": found.non_gaussian.tolist(),
        "exponent": found.exponent,
        "window_ps": [float(found.window.lags_ps[0]), float(found.window.lags_ps[-1])],
        "regime": found.window.reached,
        "framework_drift": result.drift,
        "runs": [
            {
                "file": str(run.path),
                "n_frames": run.motion.n_frames,
                "skip_ps": run.skip_ps,
                "diffusivity": d,
            }
            for run, d in zip(result.runs, found.replicas, strict=True)
        ],
        "warnings": list(found.warnings),
        "settings": result.settings,
    }


def _tensor_json(found: Diffusion) -> dict[str, Any]:
    def matrix(name: str) -> list[list[float]]:
        return [[getattr(d, name) for d in row] for row in found.tensor]

    return {
        "value": matrix("value"),
        "low": matrix("low"),
        "high": matrix("high"),
        "unit": UNIT,
        "resolved": found.diffusivity.resolved,
    }


def _check_replicas(runs: Sequence[RunMotion]) -> None:
    """Replicas have one mobile species and one cell, and are not one run named twice."""
    first = runs[0]
    lengths = np.linalg.norm(first.motion.cell, axis=1, keepdims=True)
    for index, run in enumerate(runs[1:], start=1):
        if run.motion.species != first.motion.species:
            raise InputError(
                "replicas with another mobile species",
                where=run.path,
                expected=f"{first.motion.species}, as in {first.path}",
                found=run.motion.species,
                remedy="--mobile settles it",
            )
        if (np.abs(run.motion.cell - first.motion.cell) > _SAME_CELL * lengths).any():
            raise InputError(
                "replicas with another cell",
                where=run.path,
                expected=f"that of {first.path}, {first.motion.volume:.1f} A^3",
                found=f"{run.motion.volume:.1f} A^3",
                remedy="name the materials apart with `mdbench ingest --material`",
            )
        for other in runs[:index]:
            if np.array_equal(run.curve, other.curve):
                raise InputError(
                    "the same frames twice",
                    where=run.path,
                    expected="independent replicas",
                    found=f"those of {other.path}",
                    remedy="name each run once",
                )


def _mean_curves(
    runs: Sequence[RunMotion],
) -> tuple[FloatArray, FloatArray, dict[str, FloatArray]]:
    """MSD over the replicas that have the first one's interval, up to the shortest of them."""
    interval = runs[0].motion.frame_interval_ps
    alike = [r for r in runs if abs(r.motion.frame_interval_ps - interval) < 1e-3 * interval]
    n_lags = min(run.motion.n_frames for run in alike)
    kept = np.arange(n_lags)
    if n_lags > _MOST_LAGS:
        half = _MOST_LAGS // 2
        thinned = np.geomspace(half, n_lags - 1, half).astype(np.int64)
        kept = np.unique(np.concatenate([kept[:half], thinned]))
    others = {
        symbol: np.asarray(np.mean([run.others[symbol][kept] for run in alike], axis=0))
        for symbol in runs[0].others
    }
    msd = np.mean([run.curve[:, kept] for run in alike], axis=0)
    return np.asarray(kept * interval), np.asarray(msd), others
