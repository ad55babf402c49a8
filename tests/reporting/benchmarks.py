"""Assessments made by hand: what tests of a benchmark's figures show."""

from functools import cache

import numpy as np

from mdbench.analysis.ranking import Pair, correlate
from mdbench.analysis.survival import survival
from mdbench.reporting.assessment import (
    Accuracy,
    Assessed,
    Assessment,
    Cited,
    Cost,
    Stability,
    Standing,
    Transport,
)
from mdbench.stats import Estimate

NAMES = (
    "schnet-small-s0",
    "dimenet++-small-s0",
    "my_module.Calc",
    "cgcnn-small-s0",
    "painn-small-s0",
    "nequip-small-s0",
    "allegro-small-s0",
    "mace-small-s0",
    "chgnet",
    "m3gnet-small-s0",
    "gemnet-small-s0",
    "allegro-small-s1, run-of-someone-else",
)
MATERIALS = ("lgps", "li3ps4", "li4ges4")
KELVINS = (800.0, 900.0, 1000.0, 1100.0, 1200.0)
BOLTZMANN = 8.617333262e-5


def cited(value, low=None, high=None, unit="", key="quantities/x"):
    return Cited(Estimate(value, low, high, unit), "observables/some.h5", key)


def around(value, relative, unit=""):
    return cited(value, value / (1 + relative), value * (1 + relative), unit)


def stability(kelvin, rdf_mae, *, state, mode=None, failed_ps=(), n_runs=3, end_ps=20.0):
    times = [*failed_ps, *[end_ps] * (n_runs - len(failed_ps))]
    curve = survival(times, [True] * len(failed_ps) + [False] * (n_runs - len(failed_ps)))
    stored = {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in vars(curve).items()}
    evidence = [{"mode": mode, "run": i, "first_bad_time_ps": t} for i, t in enumerate(failed_ps)]
    return Stability(
        temperature_k=kelvin,
        rdf_mae=cited(None if rdf_mae is None else rdf_mae, key="comparison/rdf_mae"),
        floor=(0.008, 0.012),
        state=state,
        paper="stable" if (rdf_mae or 1.0) < 0.02 else "unstable",
        reason="",
        failure_mode=mode,
        evidence=evidence,
        survival={**stored, "end_ps": end_ps},
        needed=None,
        n_runs=n_runs,
        file="observables/some.h5",
    )


def transport(d0, energy, *, reference=None, kelvins=KELVINS, bounds=(), ended=(), spread=0.2):
    known = [k for k in kelvins if k not in ended]
    d = {k: d0 * np.exp(-energy / BOLTZMANN / k) for k in known}
    series = {
        k: cited(None, None, 2 * v, "cm^2/s") if k in bounds else around(v, spread, "cm^2/s")
        for k, v in d.items()
    }
    sigma = {
        k: Cited(c.estimate.scaled(4e7 / k, "mS/cm"), c.file, "conductivity")
        for k, c in series.items()
    }
    line = None
    if len(set(known) - set(bounds)) > 1:
        drawn = np.linspace(300.0, 1200.0, 30)
        at = d0 * np.exp(-energy / BOLTZMANN / drawn) * 4e7 / drawn
        width = np.exp(spread * (1 + 3 * abs(1000 / drawn - 1)))
        line = np.column_stack([drawn, at, at / width, at * width])
    minus = None if line is None else -float(np.log10(line[0, 1]))
    ratio = None
    if reference is not None and known:
        known_d = reference.diffusivity[KELVINS[2]].estimate.value
        ratio = around(d0 * np.exp(-energy / BOLTZMANN / 1000.0) / known_d, 0.3)
    return Transport(
        diffusivity=series,
        conductivity=sigma,
        ended_k=tuple(ended),
        activation_energy=None
        if line is None
        else cited(energy, energy - 0.05, energy + 0.06, "eV"),
        extrapolated=None,
        minus_log10=None if minus is None else cited(minus, minus - 0.8, minus + 0.9),
        at_k=300.0,
        ratio=ratio,
        p=None if ratio is None else 0.2,
        differs=None if reference is None else bool(ratio and ratio.estimate.low > 1.0),
        failure_mode=None if known else "ended early",
        line=line,
        file="observables/some.h5",
    )


@cache
def assessment(n_models=3, n_materials=3, *, seed=0, gpu=(), failing=("my_module.Calc",)):
    """Models of all kinds: sound, undecided, failing; some materials are missing."""
    rng = np.random.default_rng(seed)
    materials = MATERIALS[:n_materials]
    reference = {m: transport(3e-3 / (1 + i), 0.22 + 0.03 * i) for i, m in enumerate(materials)}
    models, pairs = [], []
    for number, name in enumerate(NAMES[:n_models]):
        standings = {}
        for material in materials:
            standing = one_standing(rng, name, number, material, reference, failing)
            if standing is not None:
                standings[material] = standing
                pairs.append((name, material, standing))
        on_gpu = name in gpu
        costs = [
            Cost(stage, t, 0.0 if on_gpu else t, t if on_gpu else 0.0, "x", "jobs/x.json")
            for stage, t in (("train", 300.0), ("simulate", 40.0 * 3**number % 4000))
        ]
        models.append(
            Assessed(
                name, "run", name.split("-")[0], "small", None, None, 1.0, "CPU", standings, costs
            )
        )
    correlations = [
        correlate("force_mae", metric, found)
        for metric in ("rdf_mae", "conductivity_error")
        if (found := pairs_of(pairs, metric))
    ]
    return Assessment(["run"], list(materials), True, reference, models, correlations)


def pairs_of(standings, metric):
    return [
        Pair(name, material, s.accuracy.force_mae.estimate, y.estimate)
        for name, material, s in standings
        if s.accuracy is not None and (y := getattr(s, metric)) is not None
    ]


def one_standing(rng, name, number, material, reference, failing):
    force = 30.0 * 1.3**number * rng.uniform(0.7, 1.4) * (2 if material != "lgps" else 1)
    accuracy = Accuracy(
        around(force, 0.08, "meV/A"), cited(0.97), cited(3.0), 200, material != "lgps"
    )
    if name in failing:
        runs = [
            stability(
                k,
                0.4 if k < 1000 else None,
                state="unstable",
                mode="fusion",
                failed_ps=(0.5, 1.2, 3.0),
            )
            for k in KELVINS
        ]
        ended = transport(1e-3, 0.2, reference=reference[material], ended=KELVINS)
        return Standing(material, None, "forces are not finite", runs, ended)
    if number == 4 and material == "li3ps4":
        return None
    mae = float(rng.choice([0.009, 0.013, 0.018, 0.03, 0.08]) * rng.uniform(0.8, 1.2))
    state = "stable" if mae < 0.012 else "indistinguishable" if mae < 0.016 else "undecided"
    state = "unstable" if mae > 0.035 else state
    mode = "lattice mismatch" if state == "unstable" else None
    failed = (7.0,) if state == "unstable" else ()
    runs = [
        stability(k, mae * rng.uniform(0.8, 1.25), state=state, mode=mode, failed_ps=failed)
        for k in KELVINS
    ]
    factor = float(rng.uniform(0.6, 1.9))
    found = transport(
        factor * 3e-3,
        0.22 + float(rng.normal(0, 0.03)),
        reference=reference[material],
        bounds=(800.0,) if number % 3 == 1 else (),
        ended=(1200.0,) if mode else (),
    )
    return Standing(
        material,
        accuracy,
        None,
        runs,
        found,
        rdf_mae=cited(mae, max(mae - 0.006, 0.0), mae + 0.006),
        conductivity_error=cited(abs(np.log10(factor)), 0.0, abs(np.log10(factor)) + 0.15),
    )
