"""Diffusion and conductivity of trajectories in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mdbench.config import ConductivityConfig, MsdConfig
from mdbench.errors import InputError
from mdbench.notebook.runs import Loaded, Runs, loaded, replicas_of
from mdbench.stages.conductivity import conductivity_of
from mdbench.stages.conductivity_against import ConductivityResult as _Result
from mdbench.stages.conductivity_line import Point
from mdbench.stages.conductivity_output import results_table
from mdbench.stages.loaded import LoadedRun
from mdbench.stages.runs import same_temperature
from mdbench.stages.transport import transport
from mdbench.stats import Estimate
from mdbench.table import Cell, Table, Tabular
from mdbench.trajectory import Trajectory

FloatArray = NDArray[np.float64]
_DEFAULT = MsdConfig()
_LINE = ConductivityConfig()


@dataclass(frozen=True)
class DiffusionResult(Tabular):
    """Diffusion of the mobile ions over the replicas of one state.

    Attributes:
        species: Symbol of the mobile ions.
        temperature_k: None is unknown.
        diffusivity: Of a tracer, cm²/s; where no diffusion is resolved a bound without a value.
        tensor: (3, 3) estimates, cm²/s, Cartesian.
        along_cell: D along the cell vectors a, b, c, cm²/s.
        collective_diffusivity: Of the sum of all ions, cm²/s.
        haven_ratio: Tracer over collective.
        n_eff: Effective number of hops.
        window_ps: First and last lag of the fit, ps.
        lag_ps: (n_lags,) ps.
        msd: (n_lags,) Å², mean over ions, time origins and replicas.
        msd_xyz: (3, n_lags) Å², its parts.
        warnings: What the reader should know.
    """

    species: str
    temperature_k: float | None
    diffusivity: Estimate
    tensor: tuple[tuple[Estimate, ...], ...]
    along_cell: tuple[Estimate, ...]
    collective_diffusivity: Estimate
    haven_ratio: Estimate
    n_eff: float
    window_ps: tuple[float, float]
    lag_ps: FloatArray
    msd: FloatArray
    msd_xyz: FloatArray
    warnings: tuple[str, ...]

    def table(self) -> Table:
        """One row per quantity, as `diffusivity_xx`."""
        found = {"diffusivity": self.diffusivity}
        found |= {
            f"diffusivity_{i}{j}": self.tensor["xyz".index(i)]["xyz".index(j)]
            for i, j in ("xx", "yy", "zz", "xy", "xz", "yz")
        }
        along = zip("abc", self.along_cell, strict=True)
        found |= {f"diffusivity_along_{vector}": estimate for vector, estimate in along}
        found |= {
            "collective_diffusivity": self.collective_diffusivity,
            "haven_ratio": self.haven_ratio,
        }
        rows: list[list[Cell]] = [
            [name, e.value, e.low, e.high, e.unit, e.resolved] for name, e in found.items()
        ]
        return Table(("quantity", "value", "low", "high", "unit", "resolved"), rows)


def diffusion(
    runs: Runs,
    *,
    mobile: str | None = None,
    skip_ps: float | None = None,
    stride: int = 1,
    estimator: str = _DEFAULT.estimator,
    smoothing: str = _DEFAULT.smoothing,
) -> DiffusionResult:
    """Diffusivity of the mobile ions with its interval or bound: the numbers of `mdbench msd`.

    Args:
        runs: One trajectory or replicas, unwrapped, with a time axis.
        mobile: Symbol of the mobile ion; by default what the runs state, else by rule.
        skip_ps: Equilibration to leave out, ps; by default 15 of runs of 50 or more, else 30 %.
        stride: Use every N-th frame.
        estimator: `gls`, or `pymatgen` as its DiffusionAnalyzer does, without an interval.
        smoothing: Of the latter: `false`, `max` or `constant`.

    Raises:
        InputError: No mobile ion, no time axis, runs that are too short, other replicas.
    """
    known = loaded(runs)
    config = MsdConfig(
        mobile=mobile, skip_ps=skip_ps, stride=stride, estimator=estimator, smoothing=smoothing
    )
    found = transport(known.group, config, opened=known.opened)
    window = found.diffusion.window.lags_ps
    return DiffusionResult(
        species=found.species,
        temperature_k=known.group.temperature_k,
        diffusivity=found.diffusivity,
        tensor=found.diffusion.tensor,
        along_cell=found.diffusion.along_cell,
        collective_diffusivity=found.collective.diffusivity,
        haven_ratio=found.collective.haven_ratio,
        n_eff=found.diffusion.n_eff,
        window_ps=(float(window[0]), float(window[-1])),
        lag_ps=found.lag_ps,
        msd=found.msd.sum(axis=0),
        msd_xyz=found.msd,
        warnings=tuple(found.notes),
    )


@dataclass(frozen=True)
class ConductivityAt:
    """Diffusion and conduction at one temperature.

    Attributes:
        temperature_k: K.
        diffusivity: Of a tracer, cm²/s.
        conductivity: From it by Nernst and Einstein, mS/cm.
        collective_conductivity: Of the sum of all ions, mS/cm.
        haven_ratio: Tracer over collective.
    """

    temperature_k: float
    diffusivity: Estimate
    conductivity: Estimate
    collective_conductivity: Estimate
    haven_ratio: Estimate


@dataclass(frozen=True)
class ConductivityResult(Tabular):
    """Conduction over temperatures.

    Attributes:
        species: Symbol of the mobile ions.
        charge: e.
        temperatures: By temperature, ascending, where a run reaches its end.
        activation_energy: eV; None without a line, as with fewer than two temperatures resolved.
        prefactor: Of the line, cm²/s; None without one.
        at_k: Temperature that the line is drawn out to, K.
        conductivity: There, mS/cm; None without a line.
        minus_log10: -log10 of it; None without a line.
        amplification: How many times errors of ln D grow on the way; None without a line.
        warnings: What the reader should know.
        details: All of it, as `mdbench conductivity` has it.
    """

    species: str
    charge: float
    temperatures: tuple[ConductivityAt, ...]
    activation_energy: Estimate | None
    prefactor: Estimate | None
    at_k: float
    conductivity: Estimate | None
    minus_log10: Estimate | None
    amplification: float | None
    warnings: tuple[str, ...]
    details: _Result

    def table(self) -> Table:
        """One row per temperature: the table of `mdbench conductivity --csv`."""
        return results_table([self.details])


def conductivity(
    runs: Mapping[float, Runs] | Sequence[Trajectory],
    *,
    charge: float | None = None,
    at: float | None = None,
    mobile: str | None = None,
    skip_ps: float | None = None,
    stride: int = 1,
    estimator: str = _DEFAULT.estimator,
    smoothing: str = _DEFAULT.smoothing,
) -> ConductivityResult:
    """Conductivity over temperatures and its Arrhenius line: the numbers of `mdbench conductivity`.

    Args:
        runs: Trajectories of one material by temperature, K; or a list of them that say theirs.
        charge: Of the mobile ion, e; by default its usual one.
        at: Temperature that the line is drawn out to, K; by default 300.
        mobile: Symbol of the mobile ion; by default what the runs state, else by rule.
        skip_ps: Equilibration to leave out, ps; by default 15 of runs of 50 or more, else 30 %.
        stride: Use every N-th frame.
        estimator: `gls`, or `pymatgen` as its DiffusionAnalyzer does, without intervals.
        smoothing: Of the latter: `false`, `max` or `constant`.

    Raises:
        InputError: As `diffusion`; a run that does not say its temperature; other materials.
    """
    config = ConductivityConfig(
        mobile=mobile,
        skip_ps=skip_ps,
        stride=stride,
        estimator=estimator,
        smoothing=smoothing,
        charge=None if charge is None else f"{charge}",
        at=at,
    )
    members = _by_temperature(runs)
    opened: dict[Path, LoadedRun] = {name: run for one in members for name, run in one.runs.items()}
    together = Loaded(members[0].group, opened)
    result = conductivity_of([one.group for one in members], config, opened=together.opened)
    line = result.extrapolation
    return ConductivityResult(
        species=result.species,
        charge=result.charge,
        temperatures=tuple(_at(point) for point in result.points),
        activation_energy=None if line is None else line.activation_energy,
        prefactor=None if line is None else line.prefactor,
        at_k=config.at_k,
        conductivity=None if line is None else line.conductivity,
        minus_log10=None if line is None else line.minus_log10,
        amplification=None if line is None else line.amplification,
        warnings=result.warnings,
        details=result,
    )


def _at(point: Point) -> ConductivityAt:
    haven = point.transport.collective.haven_ratio
    return ConductivityAt(
        point.temperature_k, point.diffusivity, point.conductivity, point.collective, haven
    )


def _by_temperature(runs: Mapping[float, Runs] | Sequence[Trajectory]) -> list[Loaded]:
    """The replicas of each temperature, ascending."""
    if isinstance(runs, Mapping):
        given = [(float(t), replicas_of(each, "run")) for t, each in sorted(runs.items())]
    else:
        given = _stated(replicas_of(runs, "run"))
    if not given:
        raise InputError("runs", expected="trajectories by temperature", found="none")
    first = given[0][1][0]
    found = []
    for t, each in given:
        if each[0].formula != first.formula:
            raise InputError(
                f"runs at {t:g} K", expected=f"of {first.formula}", found=each[0].formula
            )
        found.append(loaded(each, f"{t:g} K, run", t))
    same = [replace(one.group, source=found[0].group.source) for one in found]
    return [Loaded(group, one.runs) for group, one in zip(same, found, strict=True)]


def _stated(runs: Sequence[Trajectory]) -> list[tuple[float, list[Trajectory]]]:
    """The runs by the temperatures that they state."""
    found: list[tuple[float, list[Trajectory]]] = []
    for number, run in enumerate(runs, start=1):
        t = run.provenance.temperature_k
        if t is None:
            raise InputError(
                f"run {number}: temperature unknown",
                remedy="give the runs by temperature: conductivity({800: run})",
            )
        place = next((each for known, each in found if same_temperature(known, t)), None)
        if place is None:
            found.append((t, [run]))
        else:
            place.append(run)
    return sorted(found, key=lambda each: each[0])
