"""Controls of transport: walkers of known D, and motions that are no diffusion."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mdbench.analysis.arrhenius import fit_arrhenius
from mdbench.analysis.collective import collective_diffusion
from mdbench.analysis.conductivity import charge_warnings
from mdbench.analysis.control import Control
from mdbench.analysis.diffusivity import Diffusion, tracer_diffusion
from mdbench.analysis.motion import IonMotion, ion_motion
from mdbench.analysis.msd import mean_squared_displacement
from mdbench.stats import Estimate
from mdbench.walks import Walk, walkers

_N_FRAMES = 600
_HOPPING = Walk(n_ions=32, hops_per_ps=0.5, rattle=0.4)


def transport_controls(rng: np.random.Generator) -> Iterator[Control]:
    """Runs every control of transport in turn."""
    motion = _motion(_HOPPING, rng)
    known = tracer_diffusion([motion])
    yield _holds("walkers: D", _HOPPING.tracer_diffusivity, known.diffusivity)
    yield _holds("walkers: Haven ratio", 1.0, collective_diffusion([motion], known).haven_ratio)
    yield _drift(rng)
    yield _ballistic(rng)
    yield _frozen(rng)
    yield _arrhenius(rng)
    found = charge_warnings({"Li": 20, "Ge": 2, "P": 4, "S": 24}, "Li", 2.0)
    yield Control(
        "wrong charge",
        "warning",
        "warning" if found else "none",
        bool(found) and not charge_warnings({"Li": 20, "Ge": 2, "P": 4, "S": 24}, "Li", 1.0),
    )


def _motion(walk: Walk, rng: np.random.Generator) -> IonMotion:
    return ion_motion(walkers(walk, _N_FRAMES, rng), walk.mobile)


def _holds(name: str, truth: float, found: Estimate) -> Control:
    """Whether the 95 % interval, or what is twice as wide in ln D, holds the truth."""
    if found.value is None or found.low is None or found.high is None:
        return Control(name, f"{truth:.3g}", "not resolved", passed=False)
    low, high = found.low**2 / found.value, found.high**2 / found.value
    shown = f"{found.value:.3g} ({found.low:.3g} to {found.high:.3g})"
    return Control(name, f"{truth:.3g}", shown, low <= truth <= high)


def _drift(rng: np.random.Generator) -> Control:
    """A cell that moves as a whole, ions and all: nothing of it is diffusion."""
    still = Walk(n_ions=32, framework_rattle=0.1, rattle=0.3)
    run = walkers(still, _N_FRAMES, rng, drift_per_ps=(0.5, 0.2, -0.1))
    return _bounded("rigidly drifting cell: D = 0", tracer_diffusion([ion_motion(run, "Li")]))


def _frozen(rng: np.random.Generator) -> Control:
    """Ions that only rattle: at most a bound, below that of three hops."""
    return _bounded("frozen crystal", tracer_diffusion([_motion(Walk(n_ions=32, rattle=0.4), rng)]))


def _bounded(name: str, found: Diffusion) -> Control:
    high = found.diffusivity.high
    if found.diffusivity.resolved or high is None:
        return Control(name, "a bound", "a value", passed=False)
    return Control(name, "a bound", f"< {high:.2g} cm^2/s", found.n_hops == 0)


def _ballistic(rng: np.random.Generator) -> Control:
    """Flight has MSD = v²t² exactly, and no diffusivity."""
    motion = _motion(Walk(n_ions=32, speed=2.0), rng)
    msd = mean_squared_displacement(motion.displacements).sum(axis=0)
    lags = np.arange(motion.n_frames)
    exact = bool(np.abs(msd[1:] / (msd[1] * lags[1:] ** 2) - 1.0).max() < 1e-6)
    found = tracer_diffusion([motion])
    named = found.window.reached == "ballistic" and not found.diffusivity.resolved
    shown = f"{'v^2 t^2' if exact else 'other'}, {found.window.reached}"
    return Control("ballistic motion", "v^2 t^2, ballistic", shown, exact and named)


def _arrhenius(rng: np.random.Generator) -> Control:
    """Walkers with a known activation energy, extrapolated to 300 K."""
    temperatures = (800.0, 1000.0, 1200.0)
    walks = [
        Walk(n_ions=32, hops_per_ps=20.0, activation_energy=0.3, rattle=0.4, temperature_k=t)
        for t in temperatures
    ]
    points = [tracer_diffusion([_motion(walk, rng)]).diffusivity for walk in walks]
    cold = Walk(n_ions=32, hops_per_ps=20.0, activation_energy=0.3, temperature_k=300.0)
    if not all(point.resolved for point in points):
        return Control("D at 300 K", f"{cold.tracer_diffusivity:.3g}", "not resolved", passed=False)
    fit = fit_arrhenius(temperatures, points)
    return _holds("D at 300 K", cold.tracer_diffusivity, fit.diffusivity(300.0))
