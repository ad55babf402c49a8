"""What single result files say about a force field, each number with the place where it stands."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mdbench.reporting.assessment import STATES, Accuracy, Cited, Paths, Stability, Transport
from mdbench.reporting.model_facts import ENERGY_MAE, FORCE_MAE, FORCE_R2, MaterialErrors
from mdbench.reporting.path_html import SCORES
from mdbench.stats import Estimate, Spread
from mdbench.store import Result

#: Where results of `rdf` and `conductivity` have what they say.
_COMPARISON, _DOCUMENT = "attributes/comparison", "attributes/document"
#: Unit of errors of logarithms.
DECADES = "decades"


def accuracy(found: MaterialErrors) -> Accuracy:
    """Errors on test frames that are finite."""
    cited = {
        path: Cited(found.quantities[path], found.origin.file, f"quantities/{path}")
        for path in (FORCE_MAE, FORCE_R2, ENERGY_MAE)
    }
    return Accuracy(
        force_mae=cited[FORCE_MAE],
        force_r2=cited[FORCE_R2],
        energy_mae=cited[ENERGY_MAE],
        n_frames=found.n_frames,
        transfer=found.transfer,
    )


def stability(file: str, result: Result) -> Stability | None:
    """The verdict that `mdbench rdf --against` wrote; None without a reference."""
    known = result.attributes
    found = known.get("comparison")
    if found is None:
        return None
    if found["verdict"] not in STATES:
        raise ValueError(f"verdict {found['verdict']!r}")
    floor, needed, alive = (found.get(key) for key in ("noise_floor", "needed", "survival"))
    low, high = found["rdf_mae_interval"] or (None, None)
    limits = Estimate(_finite(found["rdf_mae"]), _number(low), _number(high), "")
    decided = found["verdict"] in ("stable", "unstable")
    return Stability(
        temperature_k=_number(known["temperature_k"]),
        rdf_mae=Cited(limits, file, f"{_COMPARISON}/rdf_mae"),
        floor=None if floor is None else (float(floor["expected"]), float(floor["q95"])),
        state=found["verdict"],
        paper=str(found["paper_verdict"]),
        reason=str(found["reason"]),
        failure_mode=None if found["failure_mode"] is None else str(found["failure_mode"]),
        evidence=[_evidence(one) for one in found["evidence"]],
        survival=None if alive is None else dict(alive),
        needed=None if decided or needed is None else _needed(needed),
        n_runs=int(known["n_runs"]),
        file=file,
    )


def transport(file: str, result: Result) -> Transport:
    """What `mdbench conductivity` wrote."""
    document = result.attributes["document"]
    spreads = {float(p["temperature_k"]): _spread(p) for p in result.attributes.get("pilot") or ()}
    diffusivity, conductivity = {}, {}
    for k, point in enumerate(document["temperatures"]):
        t, key = float(point["temperature_k"]), f"{_DOCUMENT}/temperatures/{k}"
        found = _estimate(point["diffusivity"], spreads.get(t))
        diffusivity[t] = Cited(found, file, f"{key}/diffusivity")
        conductivity[t] = Cited(_estimate(point["conductivity"]), file, f"{key}/conductivity")
    line, against = document["arrhenius"], document.get("comparison")
    ratio, mode = None, None if diffusivity else "ended early"
    if against is not None:
        ratio = against["ratio"]
        mode = None if against["failure_mode"] is None else str(against["failure_mode"])
    key = f"{_DOCUMENT}/arrhenius"
    cited = {
        name: None if line is None else Cited(_estimate(line[name]), file, f"{key}/{name}")
        for name in ("activation_energy", "conductivity", "minus_log10")
    }
    return Transport(
        diffusivity=diffusivity,
        conductivity=conductivity,
        ended_k=[float(one["temperature_k"]) for one in document.get("ended_early", [])],
        activation_energy=cited["activation_energy"],
        extrapolated=cited["conductivity"],
        minus_log10=cited["minus_log10"],
        at_k=float(document["settings"]["at"] if line is None else line["at_k"]),
        ratio=None
        if ratio is None
        else Cited(_estimate(ratio), file, f"{_DOCUMENT}/comparison/ratio"),
        p=None if against is None else _number(against["p"]),
        differs=None if against is None else bool(against["resolved"]),
        failure_mode=mode,
        line=None if line is None else _line(line["line"]),
        file=file,
    )


def paths(file: str, result: Result) -> Paths | None:
    """The scores that `mdbench path --against` wrote; None without a reference."""
    known = result.attributes
    document = known["document"]
    found = document.get("comparison")
    if found is None:
        return None
    key = f"{_DOCUMENT}/comparison"
    floors = {name: found["floors"][name] for name in SCORES}
    return Paths(
        temperature_k=_number(known["temperature_k"]),
        scores={name: Cited(_estimate(found[name]), file, f"{key}/{name}") for name in SCORES},
        floors={
            name: None if each is None else (_finite(each["q05"]), _finite(each["q95"]))
            for name, each in floors.items()
        },
        axes="".join(str(axis) for axis in document["percolation_axes"]),
        reference_axes="".join(str(axis) for axis in found["reference"]["percolation_axes"]),
        failure_mode=None if found["failure_mode"] is None else str(found["failure_mode"]),
        file=file,
    )


def conductivity_error(file: str, result: Result) -> Cited | None:
    """|log10(D / D of the reference)| over the simulated temperatures, in decades.

    Its lower limit is 0 where the interval of the ratio holds 1. Where the ratio is known to lie
    beyond bounds, it has a lower limit without a value: that of the weakest bound. Where nothing
    is resolved, it has neither.

    Returns:
        None where nothing was compared, or no run of the model reaches its end.
    """
    against = result.attributes["document"].get("comparison")
    if against is None or not against["temperatures"]:
        return None
    key = f"|log10| of {_DOCUMENT}/comparison"
    if against["ratio"] is not None:
        return Cited(_decades(_estimate(against["ratio"])), file, f"{key}/ratio")
    bounds = []
    for row in against["temperatures"]:
        limit = {"lower": row["high"], "higher": row["low"], None: None}[row["direction"]]
        if limit is not None:
            bounds.append(math.log10(limit))
    alike = bounds and (max(bounds) < 0.0 or min(bounds) > 0.0)
    weakest = min(map(abs, bounds)) if alike else None
    return Cited(Estimate(None, weakest, None, DECADES), file, f"{key}/temperatures")


def mean_rdf_mae(chosen: Sequence[Stability]) -> Cited:
    """Mean rdf_mae over temperatures.

    Temperatures are independent runs: the distances from the values to their upper limits add in
    squares. (Lower limits may have been cut at 0.) Without an interval where one has none.
    """
    estimates = [each.rdf_mae.estimate for each in chosen]
    value = float(np.mean([e.value for e in estimates if e.value is not None]))
    low = high = None
    upper = [e.high - e.value for e in estimates if e.high is not None and e.value is not None]
    if len(upper) == len(estimates):
        width = math.hypot(*upper) / len(upper)
        low, high = max(value - width, 0.0), value + width
    first, *others = chosen
    key = first.rdf_mae.key
    if others:
        key = f"mean of {key} at {', '.join(kelvin(each.temperature_k) for each in chosen)}"
    return Cited(Estimate(value, low, high, ""), first.file, key)


def kelvin(temperature_k: float | None) -> str:
    """A temperature in words."""
    return "an unknown temperature" if temperature_k is None else f"{temperature_k:g} K"


def _evidence(stored: Mapping[str, Any]) -> dict[str, Any]:
    words = {key: str(stored[key]) for key in ("mode", "message")}
    return {**stored, **words, "run": int(stored["run"])}


def _needed(stored: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "factor": float(stored["factor"]),
        "n_model": int(stored["n_model"]),
        "n_reference": int(stored["n_reference"]),
        "model_ps": _number(stored["model_ps"]),
        "reference_ps": _number(stored["reference_ps"]),
    }


def _decades(ratio: Estimate) -> Estimate:
    low, value, high = (
        None if x is None or not 0.0 < x < math.inf else math.log10(x)
        for x in (ratio.low, ratio.value, ratio.high)
    )
    if value is None:
        raise ValueError(f"ratio {ratio.value}")
    limits = [x for x in (low, high) if x is not None]
    if len(limits) < 2:
        return Estimate(abs(value), None, None, DECADES)
    nearest = 0.0 if min(limits) <= 0.0 <= max(limits) else min(map(abs, limits))
    return Estimate(abs(value), nearest, max(map(abs, limits)), DECADES)


def _estimate(stored: Mapping[str, Any], spread: Spread | None = None) -> Estimate:
    value, low, high = (_number(stored[key]) for key in ("value", "low", "high"))
    return Estimate(value, low, high, str(stored["unit"]), None if value is None else spread)


def _spread(pilot: Mapping[str, Any]) -> Spread | None:
    variance, freedom = _number(pilot["variance"]), _number(pilot["freedom"])
    return None if variance is None or freedom is None else Spread(variance, freedom)


def _number(stored: Any) -> float | None:
    if stored is None:
        return None
    number = float(stored)
    if math.isnan(number):
        raise ValueError("not a number")
    return number


def _finite(stored: Any) -> float:
    number = float(stored)
    if not math.isfinite(number):
        raise ValueError(f"not a finite number: {number:g}")
    return number


def _line(stored: Mapping[str, Any]) -> Any:
    """(n, 4) K, and mS/cm with limits, NaN where there are none."""
    names = ("temperature_k", "value", "low", "high")
    columns = [[math.nan if x is None else float(x) for x in stored[name]] for name in names]
    return np.array(columns).T.reshape(-1, 4)
