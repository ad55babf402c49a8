"""The interval of the diffusivity keeps its word: motions of known D, drawn again and again.

Of each motion: bias and spread of D over its truth, the spread that is stated, and how often the
95 % interval (or the bound, where nothing is resolved) covers the truth. `pytest -s` shows them.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest

from mdbench.analysis.diffusivity import tracer_diffusion
from mdbench.analysis.motion import IonMotion, ion_motion
from mdbench.stats import Estimate
from mdbench.synthetic import HoppingModel, ion_conductor
from mdbench.walks import Walk, walkers

#: 20 ions; in 100 ps 120 hops of 3 Å, or 18 where they are rare. Rattling forgets in 0.5 ps.
_HOPPING = Walk(repeats=3, hops_per_ps=0.06, rattle=0.4)
KINDS = {
    "free walk": Walk(repeats=3, free_diffusivity=1e-4),
    "hops": _HOPPING,
    "rare hops": replace(_HOPPING, hops_per_ps=0.009),
    "hops by fours": replace(_HOPPING, group=4),
    "hops by tens": replace(_HOPPING, group=10),
}


@dataclass(frozen=True)
class Coverage:
    """What many runs gave, D in units of the truth."""

    found: list[Estimate]

    @property
    def resolved(self) -> list[Estimate]:
        return [d for d in self.found if d.resolved]

    @property
    def values(self) -> list[float]:
        return [d.value for d in self.found if d.value is not None]

    @property
    def bias(self) -> float:
        return float(np.mean(self.values))

    @property
    def spread(self) -> float:
        return float(np.std(self.values, ddof=1))

    @property
    def stated(self) -> float:
        variances = [d.spread.variance for d in self.resolved if d.spread is not None]
        return float(np.sqrt(np.mean(variances)))

    @property
    def covered(self) -> float:
        return float(np.mean([_covers(d) for d in self.found]))

    def show(self, name: str) -> None:
        unresolved = len(self.found) - len(self.resolved)
        print(
            f"\n{name:32s} bias {self.bias:.3f}  spread {self.spread:.3f}  stated {self.stated:.3f}"
            f"  ratio {self.stated / self.spread:.2f}  covered {self.covered:.3f}"
            f"  unresolved {unresolved} of {len(self.found)}",
            end="",
        )


def _covers(d: Estimate) -> bool:
    if d.low is not None and d.low > 1.0:
        return False
    return d.high is None or d.high >= 1.0


def coverage(
    name: str, truth: float, runs: Callable[[np.random.Generator], list[IonMotion]], n_seeds: int
) -> Coverage:
    """Each seed gives the replicas of one measurement."""
    found = []
    for seed in range(n_seeds):
        diffusion = tracer_diffusion(runs(np.random.default_rng([1, seed])))
        found.append(diffusion.diffusivity.scaled(1.0 / truth, ""))
    result = Coverage(found)
    result.show(name)
    return result


def of_walk(name: str, walk: Walk, n_seeds: int, *, n_frames=1000, interval_fs=100.0, n_runs=1):
    def runs(rng: np.random.Generator) -> list[IonMotion]:
        return [
            ion_motion(walkers(walk, n_frames, rng, frame_interval_fs=interval_fs), "Li")
            for _ in range(n_runs)
        ]

    return coverage(name, walk.tracer_diffusivity, runs, n_seeds)


def check(
    result: Coverage, *, bias: float = 0.06, covered: float = 0.9, stated: float = 0.9
) -> None:
    assert -0.06 < result.bias - 1.0 < bias
    assert result.covered >= covered
    assert stated < result.stated / result.spread < 1.6
    assert len(result.resolved) > 0.7 * len(result.found)


@pytest.mark.parametrize("kind", KINDS)
def test_five_kinds_of_motion(kind):
    check(of_walk(kind, KINDS[kind], 200))


def test_a_cage_is_never_resolved():
    """Ions that rattle and go nowhere have a D of zero, and any interval above it is wrong."""
    walk = replace(_HOPPING, hops_per_ps=0.0)
    for seed in range(60):
        run = walkers(walk, 1000, np.random.default_rng(seed))
        found = tracer_diffusion([ion_motion(run, "Li")]).diffusivity
        assert not found.resolved
        assert found.high is not None
        assert found.high < 6e-7  # of the motions above the slowest has 1.4e-6 cm²/s


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_five_kinds_of_motion_in_many_draws(kind):
    check(of_walk(f"{kind}, 600 seeds", KINDS[kind], 600))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_frames_at_short_intervals(kind):
    """4000 frames, 25 fs apart: the window is a question of time, not of frames."""
    check(of_walk(f"{kind}, every 25 fs", KINDS[kind], 200, n_frames=4000, interval_fs=25.0))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_three_replicas(kind):
    result = of_walk(f"{kind}, three replicas", KINDS[kind], 200, n_runs=3)
    check(result, bias=0.03, covered=0.92)


@pytest.mark.slow
@pytest.mark.parametrize("n_runs", [1, 3])
@pytest.mark.parametrize("relaxation_ps", [0.2, 0.5])
@pytest.mark.parametrize("kind", KINDS)
def test_short_runs_of_thirty_ions(kind, relaxation_ps, n_runs):
    """40 ps: Δ is 1.3 ps at most, where rattling that forgets in 0.5 ps still bends the MSD.

    Hops then come out a tenth too fast, rare ones (11 in a run) by a quarter, and the intervals
    of three runs cover 85 %: a limit of the method. Rattling that forgets in 0.2 ps is no matter.
    """
    walk = replace(KINDS[kind], n_ions=30, repeats=4, relaxation_ps=relaxation_ps)
    name = f"{kind}, {relaxation_ps} ps, {n_runs} × 40 ps"
    result = of_walk(name, walk, 200, n_frames=400, n_runs=n_runs)
    if relaxation_ps == 0.2:
        check(result, bias=0.15, stated=0.85)
    else:
        check(result, bias=0.3, covered=0.82, stated=0.85)


@pytest.mark.slow
@pytest.mark.parametrize("n_vacancies", [4, 24])
def test_a_conductor_every_20_fs(n_vacancies):
    """`HoppingModel`, 40 ps: vibrations are resolved, hops take 300 fs."""
    model = HoppingModel(n_vacancies=n_vacancies)

    def runs(rng: np.random.Generator) -> list[IonMotion]:
        run = ion_conductor(model, 2000, rng, temperature_k=1000.0, frame_interval_fs=20.0)
        return [ion_motion(run, "Li")]

    truth = model.tracer_diffusivity(1000.0)
    check(coverage(f"conductor, {n_vacancies} vacancies", truth, runs, 100))
