"""Little run folders of results whose numbers are given."""

import dataclasses

import numpy as np

from mdbench.records import Record, write_record
from mdbench.stages.evaluate_output import Evaluated, Failure, Parity, write_evaluated
from mdbench.stats import Estimate
from mdbench.store import Dataset, Input, write_result

RDF = {"r_max": 6.0, "dr": 0.05, "skip_ps": None, "stride": 1, "threads": 1, "threshold": 0.02}
CONDUCTIVITY = {
    "temps": None, "mobile": None, "skip_ps": None, "stride": 1, "estimator": "gls",
    "smoothing": "false", "at": None, "charge": None, "paper": False,
}  # fmt: skip
NEEDED = {"factor": 4.0, "n_model": 8, "n_reference": 12, "model_ps": 7.0, "reference_ps": 7.0}


def reference_of(run):
    """Checksums of the reference's runs, those of a run folder."""
    return [Input(f"800K-r{k}.h5", "trajectory", f"{run.name}-{k}") for k in range(2)]


def fusion(run=0):
    return {"mode": "fusion", "run": run, "message": "Li-S 1.20 A at 3 ps", "value": 1.2}


def write_rdf(
    run,
    source="m",
    material="salt",
    t=800.0,
    mae=0.01,
    width=0.002,
    state="stable",
    evidence=(),
    config=(),
    potential=None,
):
    """g(r) of a model with its verdict; of the reference without one."""
    comparison = {
        "rdf_mae": mae,
        "rdf_mae_interval": None if width is None else [max(mae - width, 0.0), mae + width],
        "noise_floor": {"expected": 0.004, "q95": 0.006, "single": 0.005},
        "reference": {"source": "reference", "material": material, "files": ["a", "b"]},
        "verdict": state,
        "reason": "a reason",
        "paper_verdict": "stable" if mae < 0.02 else "unstable",
        "failure_mode": evidence[0]["mode"] if evidence else None,
        "evidence": list(evidence),
        "needed": None if state == "stable" else NEEDED,
        "survival": None,
    }
    return _write(
        run,
        source,
        material,
        "rdf" if t is None else f"rdf-{t:g}K",
        {
            "observable": "rdf",
            "temperature_k": t,
            "potential": potential,
            "n_runs": 2,
            "comparison": None if source == "reference" else comparison,
        },
        {**RDF, **dict(config)},
    )


def quantity(value, low=None, high=None, unit=""):
    return Estimate(value, low, high, unit).as_json()


def write_conductivity(
    run,
    source="m",
    material="salt",
    ratio=1.0,
    spread=1.5,
    bounds=(None, None),
    mode=None,
    config=(),
    length_ps=14.0,
    at=300.0,
    potential=None,
):
    """Conductivity at 800 K and 1000 K; of a model its ratio to the reference's."""
    d = [1e-5, 2e-5]
    ended = mode == "ended early"
    temperatures = [
        {
            "temperature_k": t,
            "diffusivity": quantity(x, x / 1.2, x * 1.2, "cm^2/s"),
            "conductivity": quantity(4e7 * x, 3e7 * x, 5e7 * x, "mS/cm"),
            "n_runs": 2,
            "length_ps": length_ps,
        }
        for t, x in zip((800.0, 1000.0), d, strict=True)
    ]
    low, high = bounds
    direction = "lower" if high is not None and high < 1 else None
    direction = "higher" if low is not None and low > 1 else direction
    row = {"ratio": None, "low": low, "high": high, "p": None, "direction": direction}
    comparison = {
        "reference": f"reference: {material}",
        "temperatures": [] if ended else [{**row, "temperature_k": t} for t in (800.0, 1000.0)],
        "ratio": None
        if ratio is None or ended
        else quantity(ratio, ratio / spread, ratio * spread, "1"),
        "p": 0.5,
        "resolved": False,
        "failure_mode": mode,
    }
    line = {"temperature_k": [1000.0, 300.0], "value": [400.0, 2.0]}
    document = {
        "temperatures": [] if ended else temperatures,
        "ended_early": [{"temperature_k": t, "reasons": ["x"]} for t in (800.0, 1000.0)]
        if ended
        else [],
        "arrhenius": None
        if ended
        else {
            "activation_energy": quantity(0.25, 0.2, 0.3, "eV"),
            "conductivity": quantity(2.0, 1.0, 4.0, "mS/cm"),
            "minus_log10": quantity(-0.3, -0.6, 0.0),
            "at_k": at,
            "line": {**line, "low": [300.0, None], "high": [500.0, None]},
        },
        "settings": {"at": at},
    }
    if source != "reference":
        document["comparison"] = comparison
    pilot = [{"temperature_k": t, "variance": (0.1 * x) ** 2, "freedom": 7.0}
             for t, x in zip((800.0, 1000.0), d, strict=True)]  # fmt: skip
    return _write(
        run,
        source,
        material,
        "conductivity",
        {
            "observable": "conductivity",
            "potential": potential,
            "document": document,
            "pilot": [] if ended else pilot,
        },
        {**CONDUCTIVITY, **dict(config)},
    )


def _write(run, source, material, name, attributes, config):
    path = run / "observables" / source / material / f"{name}.h5"
    path.parent.mkdir(parents=True, exist_ok=True)
    own = [] if source == "reference" else [Input("800K-r0.h5", "trajectory", source)]
    write_result(
        path,
        "observables",
        {"x": Dataset(np.zeros(1), "", ("x",))},
        attributes={"source": source, "material": material, "label": source, **attributes},
        config=config,
        inputs=[*own, *reference_of(run)],
    )
    return path


def write_accuracy(
    run, source="m", material="salt", mae=50.0, width=2.0, failed=False, split="test", name=None
):
    """Errors of forces, those of energies beside them; the file may give another name."""
    path = run / "accuracy" / source / f"{material}{'-near' if split == 'near' else ''}.h5"
    path.parent.mkdir(parents=True, exist_ok=True)
    rmse, r2 = Estimate(1.0, 0.9, 1.1, "meV/atom"), Estimate(0.99, 0.98, 1.0, "")
    quantities = {
        "forces/mae": Estimate(mae, mae - width, mae + width, "meV/A"),
        "forces/rmse": Estimate(2 * mae, None, None, "meV/A"),
        "forces/r2": r2,
        "forces/per_element/Li/mae": Estimate(mae, mae - width, mae + width, "meV/A"),
        "energy/shift_removed/mae": rmse,
        "energy/shift_removed/rmse": rmse,
        "energy/shift_removed/r2": r2,
    }
    parity = Parity(np.ones((3, 2)), np.full(3, 800.0), np.ones((6, 2)), np.full(6, 3))
    result = Evaluated(
        source=name or source, label=source, material=material, split=split, stride=1,
        reference=None, files=(), n_atoms=2, n_frames=3, n_runs=1,
        failure=Failure(2, "800K-r0.h5", 1) if failed else None,
        quantities={} if failed else quantities, parity=parity,
    )  # fmt: skip
    write_evaluated(path, result, {"force_field": source, "split": split, "stride": 1}, [])
    return path


def write_task(run, stage, name, source, state="done", message=None, **known):
    """The record of a task."""
    record = Record(
        stage=stage, name=name, source=source, commands=[["x"]], state=state, message=message,
        began="2026-01-01T00:00:00+00:00", seconds=10.0, cpu_s=8.0, gpu_s=0.0, host="h",
        device="a CPU", fingerprint="f",
    )  # fmt: skip
    record = dataclasses.replace(record, **known)
    write_record(run / record.file, record)
