"""D and its error beside those of kinisi, on the same walkers."""

from dataclasses import replace

import numpy as np
import pytest

from mdbench.analysis.diffusivity import tracer_diffusion
from mdbench.analysis.motion import ion_motion
from mdbench.trajectory import Trajectory
from mdbench.walks import Walk, walkers

kinisi = pytest.importorskip("kinisi.analyze")
sc = pytest.importorskip("scipp")

HOPPING = Walk(repeats=3, hops_per_ps=0.06, rattle=0.4)
KINDS = {
    "free walk": Walk(repeats=3, free_diffusivity=1e-4),
    "hops": HOPPING,
    "hops by fours": replace(HOPPING, group=4),
}


def kinisi_diffusivity(run: Trajectory, start_ps: float) -> tuple[float, float]:
    """cm²/s, mean and standard deviation of the posterior, from 60 lags up to a third of the run.

    Args:
        run: Frames that differ by less than half a cell.
        start_ps: Where diffusion begins, which kinisi has to be told.
    """
    assert run.frame_interval_fs is not None
    interval = run.frame_interval_fs / 1000
    lags = np.unique(np.linspace(1, run.n_frames // 3, 60).astype(int)) * interval
    analyzer = kinisi.DiffusionAnalyzer.from_ase(
        trajectory=run.to_ase(),
        specie="Li",
        time_step=sc.scalar(interval, unit="ps"),
        step_skip=sc.scalar(1),
        dt=sc.array(dims=["time interval"], values=lags, unit="ps"),
        progress=False,
    )
    start = sc.scalar(start_ps * (1 - 1e-9), unit="ps")
    analyzer.diffusion(start, progress=False, random_state=np.random.RandomState(0))
    samples = analyzer.D.values
    return float(samples.mean()), float(samples.std())


def side_by_side(walk: Walk, seed: int) -> tuple[float, float, float, float]:
    """D and its standard error, ours and kinisi's, over the truth; both begin at one lag."""
    run = walkers(walk, 1000, np.random.default_rng([9, seed]))
    ours = tracer_diffusion([ion_motion(run, "Li")])
    value, error = kinisi_diffusivity(run, ours.window.lags_ps[0])
    assert ours.diffusivity.value is not None
    assert ours.diffusivity.spread is not None
    found = [ours.diffusivity.value, ours.diffusivity.spread.standard_error, value, error]
    mine, my_error, theirs, their_error = (x / walk.tracer_diffusivity for x in found)
    return mine, my_error, theirs, their_error


@pytest.mark.parametrize("kind", KINDS)
def test_kinisi_agrees(kind):
    mine, my_error, theirs, their_error = side_by_side(KINDS[kind], 0)
    assert abs(mine - theirs) < 2 * np.hypot(my_error, their_error)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_no_further_from_the_truth_than_kinisi(kind):
    """Kinisi is told where our window begins."""
    found = np.array([side_by_side(KINDS[kind], seed) for seed in range(20)])
    mine, theirs = (found[:, column] - 1.0 for column in (0, 2))
    rms = [float(np.sqrt((x**2).mean())) for x in (mine, theirs, found[:, 1], found[:, 3])]
    print(
        f"\n{kind:14s} rms error {rms[0]:.3f} (stated {rms[2]:.3f}), "
        f"kinisi {rms[1]:.3f} (stated {rms[3]:.3f})",
        end="",
    )
    assert (mine**2).mean() <= 1.2 * (theirs**2).mean()
    assert (np.abs(mine - theirs) < 2 * np.hypot(found[:, 1], found[:, 3])).all()
