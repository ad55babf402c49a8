"""MSD and diffusivity: 25,000 frames × 50 atoms, D with its interval, the command.

Displacements are given to everyone in memory, in the layout that each wants. The least possible
work is one real FFT of each coordinate and an inverse one for each species.

kinisi is given its start of the diffusive regime; ours finds it. Its default, a covariance of all
lags, takes 5 GB for 25,000 frames: there it gets 100 lags, as many as its version 1 took, to the
end of the run or to a third of it. Its seconds hold the MSD, its variances, their covariance and
the sampling.

CPU seconds in one thread, the least of three interleaved rounds after one that is not counted;
peers of many seconds run once.
"""

from __future__ import annotations

import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import freud
import numpy as np
import scipp
from kinisi.diffusion import Diffusion
from kinisi.displacement import calculate_msd
from numpy.typing import NDArray
from pymatgen.analysis.diffusion.analyzer import DiffusionAnalyzer
from pymatgen.core import Structure
from scipy import fft

from benchmarks.chain import NUMBERS
from benchmarks.rdf import CELL, N_FRAMES, SPECIES, fastest, vibrations
from mdbench.analysis.diffusion_analyzer import Smoothing, analyzer_diffusivity
from mdbench.analysis.diffusivity import tracer_diffusion
from mdbench.analysis.motion import IonMotion, ion_motion
from mdbench.analysis.msd import mean_squared_displacement
from mdbench.config import MsdConfig
from mdbench.stages import msd
from mdbench.store import TrajectoryFile, write_trajectory
from mdbench.trajectory import Provenance, Trajectory
from mdbench.units import ANGSTROM2_PER_PS_IN_CM2_PER_S, PS_IN_FS
from mdbench.walks import Walk, walkers

#: Hops per ps of one ion, for D = 2e-5 cm²/s, and the amplitude of its rattling in Å.
HOPS_PER_PS, RATTLE = 2.0 / 15.0, 0.4
#: ps, the start of the diffusive regime that kinisi is told: five relaxation times of the rattling.
START_PS = 2.5
KINISI_LAGS = 100
#: Runs up to about so long are analyzed several times in a round.
FEW_FRAMES = 4_000


def rows() -> Iterator[dict[str, Any]]:
    """Name, peer, seconds of ours and of the peer, and the ratio that is aimed at."""
    freud.parallel.set_num_threads(1)
    positions = vibrations(np.random.default_rng(0))
    yield from curve_rows(positions)
    yield command_row(positions)
    few = hopping(n_ions=30, n_frames=400, frame_interval_fs=100.0)
    many = hopping(n_ions=20, n_frames=N_FRAMES, frame_interval_fs=20.0)
    every = np.arange(1, few.n_frames)
    yield interval_row(few, every, "all lags", target=100.0, rounds=3)
    for longest, words in ((N_FRAMES - 1, "lags to the end"), (N_FRAMES // 3, "lags to a third")):
        lags = np.linspace(1, longest, KINISI_LAGS).astype(np.int64)
        yield interval_row(many, lags, f"{KINISI_LAGS} {words}", target=15.0, rounds=1)
    yield from analyzer_rows(many)


def curve_rows(positions: NDArray[Any]) -> list[dict[str, Any]]:
    """MSD of each species at all lags, along each axis."""
    moved = positions - positions[0]
    by_species = [moved[:, species == SPECIES] for species in np.unique(SPECIES)]
    paths = [np.ascontiguousarray(x.transpose(1, 2, 0)) for x in by_species]
    seconds, results = fastest(
        {
            "ours": lambda: [mean_squared_displacement(x) for x in paths],
            "limit": lambda: [bare_transforms(x) for x in paths],
            "freud": lambda: [freud.msd.MSD(mode="window").compute(x).msd for x in by_species],
        }
    )
    for ours, theirs in zip(results["ours"], results["freud"], strict=True):
        # freud has single precision, and the last lags have few origins
        few = slice(1, N_FRAMES // 2)
        np.testing.assert_allclose(ours.sum(axis=0)[few], theirs[few], rtol=1e-3, atol=0)
    return [
        {
            "name": f"msd {N_FRAMES}x{len(SPECIES)} all species",
            "peer": peer,
            "ours_s": seconds["ours"],
            "peer_s": seconds[key],
            "target": target,
        }
        for key, peer, target in (
            ("limit", "bare scipy rfft, one irfft per species (limit)", 1 / 1.5),
            ("freud", "freud.msd.MSD, window, not per axis", 5.0),
        )
    ]


def bare_transforms(paths: NDArray[Any]) -> NDArray[Any]:
    """(n_frames,) Å², autocorrelation summed over ions and axes: what no MSD by FFT can leave out.

    Args:
        paths: (n_ions, 3, n_frames) Å.
    """
    n_frames = paths.shape[-1]
    n_points = fft.next_fast_len(2 * n_frames - 1, real=True)
    power = np.zeros(n_points // 2 + 1)
    for path in paths:
        spectrum = fft.rfft(path, n_points, axis=1)
        power += (spectrum.real**2 + spectrum.imag**2).sum(axis=0)
    return np.asarray(fft.irfft(power, n_points)[:n_frames])


def command_row(positions: NDArray[Any]) -> dict[str, Any]:
    """`mdbench msd traj.h5` in process, all frames, against reading them."""
    run = Trajectory(
        positions=positions,
        cells=CELL,
        atomic_numbers=NUMBERS,
        times_ps=np.arange(N_FRAMES) * 0.002,
        provenance=Provenance(temperature_k=800.0),
    )

    def reading() -> None:
        with TrajectoryFile(path) as file:
            for _ in file.blocks(0, fields=()):
                pass

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "traj.h5")
        write_trajectory(path, run)
        seconds, _ = fastest(
            {
                "ours": lambda: msd.run([path], MsdConfig(skip_ps=0.0)).as_text(),
                "reading": reading,
            }
        )
    return {
        "name": "msd file to answer",
        "peer": "reading the file alone",
        "ours_s": seconds["ours"],
        "peer_s": seconds["reading"],
        "target": None,
    }


def hopping(*, n_ions: int, n_frames: int, frame_interval_fs: float) -> IonMotion:
    """Ions that rattle and hop, D = 2e-5 cm²/s."""
    walk = Walk(n_ions=n_ions, repeats=4, hops_per_ps=HOPS_PER_PS, rattle=RATTLE)
    rng = np.random.default_rng(0)
    run = walkers(walk, n_frames, rng, frame_interval_fs=frame_interval_fs)
    return ion_motion(run, walk.mobile)


def interval_row(
    motion: IonMotion, lags: NDArray[np.int64], words: str, *, target: float, rounds: int
) -> dict[str, Any]:
    """D with its interval against kinisi's posterior of D.

    Args:
        motion: Of the ions.
        lags: (n_lags,) frames, of kinisi.
        words: What these lags are.
        target: Ratio that is aimed at.
        rounds: Of kinisi.
    """
    repeats = 1 + FEW_FRAMES // motion.n_frames  # milliseconds are timed ten at a time
    jobs: dict[str, Callable[[], Any]] = {
        "ours": lambda: [tracer_diffusion([motion]) for _ in range(repeats)][-1]
    }
    if rounds > 1:
        jobs["kinisi"] = lambda: kinisi_diffusivity(motion, lags)
    seconds, results = fastest(jobs)
    if rounds == 1:
        seconds["kinisi"], results["kinisi"] = once(lambda: kinisi_diffusivity(motion, lags))
    ours, theirs = results["ours"].diffusivity, results["kinisi"]
    assert ours.low < np.percentile(theirs, 97.5)
    assert ours.high > np.percentile(theirs, 2.5)
    return {
        "name": f"diffusivity {motion.n_frames}x{motion.n_ions}, interval",
        "peer": f"kinisi, {words}",
        "ours_s": seconds["ours"] / repeats,
        "peer_s": seconds["kinisi"],
        "target": target,
    }


def once(job: Callable[[], Any]) -> tuple[float, Any]:
    """CPU seconds of a job that is run once, and its result."""
    start = time.process_time()
    result = job()
    return time.process_time() - start, result


def kinisi_diffusivity(motion: IonMotion, lags: NDArray[np.int64]) -> NDArray[Any]:
    """(n_samples,) cm²/s, kinisi's posterior of D.

    Args:
        motion: Of the ions.
        lags: (n_lags,) frames.
    """
    paths = np.asarray(motion.displacements)[..., 1:].transpose(2, 0, 1)  # (F - 1, N, 3)
    parsed = SimpleNamespace(
        displacements=scipp.array(
            dims=["obs", "particle", "dimension"],
            values=np.ascontiguousarray(paths),
            unit="angstrom",
        ),
        dt=scipp.array(dims=["time interval"], values=lags * motion.frame_interval_ps, unit="ps"),
        dt_index=scipp.array(dims=["time interval"], values=lags),
        dimensionality=scipp.scalar(3),
    )
    fit = Diffusion(calculate_msd(parsed, progress=False))
    fit.bayesian_regression(
        scipp.scalar(START_PS, unit="ps"),
        progress=False,
        random_state=np.random.RandomState(0),
    )
    return np.asarray(fit.gradient.values / 6.0 * ANGSTROM2_PER_PS_IN_CM2_PER_S)


def analyzer_rows(motion: IonMotion) -> Iterator[dict[str, Any]]:
    """What DiffusionAnalyzer reports, by our code and by its own; D with its interval beside."""
    paths = np.asarray(motion.displacements)
    frame = np.zeros((1, motion.n_frames, 3))
    sites = np.concatenate([paths.transpose(0, 2, 1), frame])  # (N + 1, F, 3)
    places = np.concatenate([motion.origin, np.full((1, 3), 0.5)])
    symbols = [motion.species] * motion.n_ions + ["S"]
    structure = Structure(motion.cell, symbols, places, coords_are_cartesian=True)
    interval_fs = motion.frame_interval_ps * PS_IN_FS

    def theirs(smoothed: bool | str) -> DiffusionAnalyzer:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return DiffusionAnalyzer(
                structure, sites, motion.species, 800.0, interval_fs, 1, smoothed=smoothed
            )

    modes: tuple[tuple[Smoothing, bool | str], ...]
    modes = (("false", False), ("max", "max"), ("constant", "constant"))
    for mode, smoothed in modes:
        seconds, results = fastest(
            {
                "ours": lambda mode=mode: analyzer_diffusivity(paths, interval_fs, mode),
                "interval": lambda: tracer_diffusion([motion]),
            }
        )
        seconds["pymatgen"], analyzer = once(lambda smoothed=smoothed: theirs(smoothed))
        np.testing.assert_allclose(
            results["ours"].diffusivity, analyzer.diffusivity, rtol=1e-10, atol=0
        )
        size = f"{motion.n_frames}x{motion.n_ions}"
        for key, words in (("ours", "the same number"), ("interval", "interval")):
            yield {
                "name": f"diffusivity {size}, {words}",
                "peer": f"pymatgen DiffusionAnalyzer, smoothed={smoothed}",
                "ours_s": seconds[key],
                "peer_s": seconds["pymatgen"],
                "target": None,
            }
