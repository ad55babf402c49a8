"""Sections of a page on diffusion and conductivity, from stored results.

What a file lacks or has of a wrong kind raises KeyError, TypeError or ValueError.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mdbench.reporting.embedded import png
from mdbench.reporting.result_section import is_synthetic
from mdbench.reporting.transport_figures import (
    ArrheniusCurves,
    MsdCurves,
    arrhenius_figure,
    msd_figure,
)
from mdbench.reporting.transport_html import (
    ArrheniusFacts,
    ConductivityComparison,
    ConductivityRow,
    ConductivitySection,
    MsdSection,
    Recipe,
)
from mdbench.stats import Estimate
from mdbench.store import Result

FloatArray = NDArray[np.float64]


def msd_section(name: str, result: Result) -> MsdSection:
    """The section of a file that `mdbench msd -o` writes.

    Args:
        name: Of the file within the run folder.
        result: Its content.
    """
    known = result.attributes
    document = _mapping(known["document"])
    temperature = known["temperature_k"]
    runs = [_mapping(run) for run in _list(document["runs"])]
    first, last = (float(x) for x in _list(document["window_ps"]))
    return MsdSection(
        file=name,
        material=str(known["material"]),
        source=str(known["source"]),
        temperature_k=None if temperature is None else float(temperature),
        n_runs=int(known["n_runs"]),
        n_frames=sum(int(run["n_frames"]) for run in runs),
        skip_ps=[float(run["skip_ps"]) for run in runs],
        synthetic=is_synthetic(known),
        figure=png(msd_figure(_msd_curves(result))),
        species=str(document["species"]),
        diffusivity=_estimate(document["diffusivity"]),
        along_cell=_three(document["along_cell_vectors"]),
        collective=_estimate(document["collective_diffusivity"]),
        haven_ratio=_estimate(document["haven_ratio"]),
        window_ps=(first, last),
        n_eff=float(document["n_eff"]),
        he_zhu_mo=float(document["relative_error_he_zhu_mo"]),
        n_hops=int(document["n_hops"]),
        site_distance=float(document["site_distance"]),
        warnings=[str(line) for line in _list(document["warnings"])],
        settings=_mapping(document["settings"]),
        inputs=result.inputs,
    )


def conductivity_section(
    name: str, result: Result, beside: Sequence[Result] = ()
) -> ConductivitySection:
    """The section of a file that `mdbench conductivity -o` writes.

    Args:
        name: Of the file within the run folder.
        result: Its content.
        beside: Results of the same kind that the figure shows, too, before this one: that of the
            reference.
    """
    known = result.attributes
    document = _mapping(known["document"])
    points = [_mapping(point) for point in _list(document["temperatures"])]
    rows = [_row(point) for point in points] + [_ended(t) for t in _ended_k(document)]
    if not rows:
        raise ValueError("no temperatures")
    settings = _mapping(document["settings"])
    line, paper = document["arrhenius"], document.get("paper")
    comparison = document.get("comparison")
    return ConductivitySection(
        file=name,
        material=str(known["material"]),
        source=str(known["source"]),
        n_runs=sum(int(point["n_runs"]) for point in points),
        skip_ps=[float(x) for skips in _mapping(settings["skip_ps"]).values() for x in skips],
        synthetic=is_synthetic(known),
        figure=png(arrhenius_figure([_arrhenius_curves(side) for side in (*beside, result)])),
        species=str(document["species"]),
        charge=float(document["charge"]),
        temperatures=sorted(rows, key=lambda row: row.temperature_k),
        line=None if line is None else _line(_mapping(line)),
        recipe=None if paper is None or not points else _recipe(_mapping(paper)),
        comparison=None if comparison is None else _comparison(_mapping(comparison)),
        warnings=[str(warning) for warning in _list(document["warnings"])],
        settings=settings,
        inputs=result.inputs,
    )


def _msd_curves(result: Result) -> MsdCurves:
    known, stored = result.attributes, result.datasets
    document = _mapping(known["document"])
    fit = _mapping(document["fit"])
    lag_ps = np.asarray(stored["lag_ps"], dtype=float)
    msd = np.asarray(stored["msd_xyz"], dtype=float)
    others = {
        name.removeprefix("others/"): np.asarray(curve, dtype=float)
        for name, curve in stored.items()
        if name.startswith("others/")
    }
    window_ps, window_msd = _array(fit["lag_ps"]), _array(fit["msd"])
    if lag_ps.ndim != 1 or len(lag_ps) < 2 or msd.shape != (3, len(lag_ps)):
        raise ValueError(f"lags {lag_ps.shape} and MSD {msd.shape}")
    if any(curve.shape != lag_ps.shape for curve in others.values()):
        raise ValueError("MSD of other species at other lags")
    if not len(window_ps) or window_ps.shape != window_msd.shape:
        raise ValueError("window without MSD")
    temperature = known["temperature_k"]
    state = "temperature unknown" if temperature is None else f"{float(temperature):g} K"
    return MsdCurves(
        title=f"{known['source']}: {known['material']}, {state}",
        lag_ps=lag_ps,
        msd=msd,
        others=others,
        window_ps=window_ps,
        window_msd=window_msd,
        slope=float(fit["slope"]),
        intercept=float(fit["intercept"]),
        diffusivity=_estimate(document["diffusivity"]),
        tensor=_tensor(_mapping(document["diffusivity_tensor"])),
        along_cell=_three(document["along_cell_vectors"]),
    )


def _arrhenius_curves(result: Result) -> ArrheniusCurves:
    known = result.attributes
    document = _mapping(known["document"])
    points = [_mapping(point) for point in _list(document["temperatures"])]
    found = document["arrhenius"]
    columns: dict[str, FloatArray | None] = dict.fromkeys(("temperature_k", "value", "low", "high"))
    at_k, at = float(_mapping(document["settings"])["at"]), None
    if found is not None:
        line = _mapping(_mapping(found)["line"])
        columns = {column: _array(line[column]) for column in columns}
        if len({len(x) for x in columns.values() if x is not None}) != 1:
            raise ValueError("columns of a line of different lengths")
        at_k, at = float(found["at_k"]), _estimate(found["conductivity"])
    temperatures_k = [_positive(point["temperature_k"]) for point in points]
    return ArrheniusCurves(
        label=f"{known['source']}: {known['material']}",
        temperatures_k=np.array(temperatures_k, dtype=float),
        conductivity=tuple(_estimate(point["conductivity"]) for point in points),
        temperatures_line_k=columns["temperature_k"],
        line=columns["value"],
        low=columns["low"],
        high=columns["high"],
        at_k=_positive(at_k),
        at=at,
        ended_k=tuple(_ended_k(document)),
    )


def _row(point: Mapping[str, Any]) -> ConductivityRow:
    collective, haven_ratio = (
        None if key not in point else _estimate(point[key])
        for key in ("collective_conductivity", "haven_ratio")
    )
    return ConductivityRow(
        temperature_k=_positive(point["temperature_k"]),
        diffusivity=_estimate(point["diffusivity"]),
        conductivity=_estimate(point["conductivity"]),
        collective=collective,
        haven_ratio=haven_ratio,
    )


def _ended_k(document: Mapping[str, Any]) -> list[float]:
    """Temperatures at which all runs ended early, K."""
    stored = _list(document.get("ended_early", []))
    return [_positive(_mapping(one)["temperature_k"]) for one in stored]


def _ended(temperature_k: float) -> ConductivityRow:
    d, sigma = (Estimate(None, None, None, unit) for unit in ("cm^2/s", "mS/cm"))
    return ConductivityRow(temperature_k, d, sigma, ended_early=True)


def _line(found: Mapping[str, Any]) -> ArrheniusFacts:
    factor = found["amplification"]
    return ArrheniusFacts(
        activation_energy=_estimate(found["activation_energy"]),
        prefactor=_estimate(found["prefactor"]),
        conductivity=_estimate(found["conductivity"]),
        minus_log10=_estimate(found["minus_log10"]),
        at_k=float(found["at_k"]),
        amplification=None if factor is None else float(factor),
    )


def _recipe(found: Mapping[str, Any]) -> Recipe:
    line = found["arrhenius"]
    return Recipe(
        name=str(found["recipe"]),
        temperatures=[_row(_mapping(point)) for point in _list(found["temperatures"])],
        line=None if line is None else _line(_mapping(line)),
    )


def _comparison(found: Mapping[str, Any]) -> ConductivityComparison:
    ratios = [_ratio("{:g} K", _mapping(row)) for row in _list(found["temperatures"])]
    p_value, mode = found["p"], found["failure_mode"]
    if found["ratio"] is not None:
        ratios.append(("mean", _estimate(found["ratio"]), None))
    if found["at"] is not None:
        ratios.append(_ratio("{:g} K (lines)", _mapping(found["at"])))
    energies = found["energy_difference"]
    return ConductivityComparison(
        reference=str(found["reference"]),
        ratios=ratios,
        energy_difference=None if energies is None else _estimate(energies),
        p_value=None if p_value is None else float(p_value),
        resolved=bool(found["resolved"]),
        failure_mode=None if mode is None else str(mode),
    )


def _ratio(form: str, row: Mapping[str, Any]) -> tuple[str, Estimate, float | None]:
    value, low, high, p_value = (
        None if row[key] is None else float(row[key]) for key in ("ratio", "low", "high", "p")
    )
    return form.format(float(row["temperature_k"])), Estimate(value, low, high, ""), p_value


def _tensor(found: Mapping[str, Any]) -> tuple[tuple[Estimate, ...], ...]:
    value, low, high = (np.array(found[key], dtype=float) for key in ("value", "low", "high"))
    if {value.shape, low.shape, high.shape} != {(3, 3)}:
        raise ValueError("a tensor that is not 3 by 3")
    unit = str(found["unit"])
    return tuple(
        tuple(
            Estimate(float(value[i, j]), float(low[i, j]), float(high[i, j]), unit)
            for j in range(3)
        )
        for i in range(3)
    )


def _three(stored: Any) -> tuple[Estimate, ...]:
    along = tuple(_estimate(quantity) for quantity in _list(stored))
    if len(along) != 3:
        raise ValueError("not one quantity per cell vector")
    return along


def _estimate(stored: Any) -> Estimate:
    known = _mapping(stored)
    value, low, high = (
        None if known[key] is None else float(known[key]) for key in ("value", "low", "high")
    )
    if any(x is not None and math.isnan(x) for x in (value, low, high)):
        raise ValueError("not a number")
    return Estimate(value, low, high, str(known["unit"]))


def _array(stored: Any) -> FloatArray:
    """(n,) numbers of a list, NaN where it has none."""
    return np.array([math.nan if x is None else float(x) for x in _list(stored)])


def _positive(stored: Any) -> float:
    number = float(stored)
    if not 0.0 < number < math.inf:
        raise ValueError(f"temperature {number:g} K")
    return number


def _mapping(stored: Any) -> Mapping[str, Any]:
    if not isinstance(stored, Mapping):
        raise TypeError(f"{type(stored).__name__} where names and values stand")
    return stored


def _list(stored: Any) -> Sequence[Any]:
    if not isinstance(stored, list):
        raise TypeError(f"{type(stored).__name__} where a list stands")
    return stored
