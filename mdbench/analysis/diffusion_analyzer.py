"""The diffusivity that pymatgen's DiffusionAnalyzer reports, for comparison with published numbers.

S. P. Ong, Y. Mo, W. D. Richards, L. Miara, H. S. Lee, G. Ceder, Energy Environ. Sci. 2013, 6, 148,
doi:10.1039/c2ee23355j, as pymatgen-analysis-diffusion 2026.9.23 computes it: a line with an
intercept through the MSD over the lag time, its slope at least 1e-15 Å²/fs. It is not our own
estimator: values that are strongly correlated are fitted as if they were independent.

========== =============================== ======================================= ==========
smoothing  origins of a lag                lags in frames                          weights
========== =============================== ======================================= ==========
`false`    frame 0                         0, 1, … to the last frame               equal
`max`      all                             from 1 ps to n_ions·n_frames/min_obs,   1/lag time
                                           at most n_frames; 200 to 400 of them
`constant` the first avg_nsteps            0, 1, … to n_frames − avg_nsteps − 1    equal
========== =============================== ======================================= ==========

With min_obs ions or more, the longest lags of `max` have next to no origins.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft

from mdbench.errors import InputError, suggest
from mdbench.stats import FloatArray
from mdbench.units import ANGSTROM2_PER_PS_IN_CM2_PER_S, FS_IN_PS

Smoothing = Literal["false", "max", "constant"]
IntArray = NDArray[np.int64]

#: Shortest lag of `max`.
_SHORTEST_LAG_FS = 1000.0
#: Lags of `max` are thinned as long as at least so many are left.
_ENOUGH_LAGS = 200
#: A smaller slope, or a negative one, is replaced by this one, Å²/fs.
_LEAST_SLOPE = 1e-15
#: The residual of a line needs three points.
_FEWEST_LAGS = 3


@dataclass(frozen=True)
class AnalyzerDiffusivity:
    """What DiffusionAnalyzer reports.

    Attributes:
        diffusivity: Tracer diffusivity, cm²/s.
        diffusivity_error: Its stated standard deviation, cm²/s. Not to be trusted: on exact random
            walks it is 43 (`false`) to 4150 (`max`) times too small, and more in longer runs.
        axis_diffusivity: (3,) cm²/s, along the Cartesian x, y and z (not the lattice vectors).
        lag_times_ps: (n_lags,) ps.
        msd: (n_lags,) Å², mean square displacement.
    """

    diffusivity: float
    diffusivity_error: float
    axis_diffusivity: FloatArray
    lag_times_ps: FloatArray
    msd: FloatArray


def analyzer_diffusivity(
    displacements: NDArray[Any] | Sequence[NDArray[Any]],
    frame_interval_fs: float,
    smoothing: Smoothing,
    *,
    min_obs: int = 30,
    avg_nsteps: int = 1000,
) -> AnalyzerDiffusivity:
    """The diffusivity that DiffusionAnalyzer reports, within rounding.

    Args:
        displacements: (n_ions, 3, n_frames) Å, or one (3, n_frames) array for each ion: mobile
            ions, from the first frame, less the unweighted mean displacement of all other atoms.
        frame_interval_fs: Time between frames, fs: its time_step times its step_skip.
        smoothing: Its `smoothed`; "false" is its False.
        min_obs: Least observations of the longest lag of `max`, were they independent.
        avg_nsteps: Origins of `constant`.

    Raises:
        InputError: Too few frames for the smoothing, senseless settings or displacements.
    """
    n_ions = len(displacements)
    n_frames = _n_frames(displacements)
    _check_settings(frame_interval_fs, smoothing, min_obs, avg_nsteps)
    ions = _checked(displacements, n_frames)
    if smoothing == "max":
        lags = _max_lags(n_ions, n_frames, frame_interval_fs, min_obs)
        squares = _over_all_origins(ions, n_frames, lags)
    elif smoothing == "constant":
        lags = _constant_lags(n_frames, avg_nsteps)
        squares = _over_first_origins(ions, n_frames, avg_nsteps)
    else:
        lags = _every_frame(n_frames)
        squares = _from_first_frame(ions, n_frames)
    axis_msd = squares / n_ions
    msd = axis_msd.sum(axis=0)
    lag_times_fs = np.asarray(lags * frame_interval_fs, dtype=np.float64)
    weights = 1.0 / lag_times_fs if smoothing == "max" else np.ones(len(lags))
    slopes, residuals = _lines(lag_times_fs, np.vstack([msd, axis_msd]), weights)
    slopes = np.maximum(slopes, _LEAST_SLOPE) / FS_IN_PS * ANGSTROM2_PER_PS_IN_CM2_PER_S
    error = _stated_error(lag_times_fs, float(residuals[0]))
    return AnalyzerDiffusivity(
        diffusivity=float(slopes[0]) / 6.0,
        diffusivity_error=error / FS_IN_PS * ANGSTROM2_PER_PS_IN_CM2_PER_S / 6.0,
        axis_diffusivity=slopes[1:] / 2.0,
        lag_times_ps=lag_times_fs * FS_IN_PS,
        msd=msd,
    )


def _every_frame(n_frames: int) -> IntArray:
    """(n_lags,) lags of `false`, frames."""
    if n_frames < _FEWEST_LAGS:
        raise InputError(
            "smoothing false",
            expected=f"at least {_FEWEST_LAGS} frames",
            found=n_frames,
            remedy="give a longer run",
        )
    return np.arange(n_frames)


def _max_lags(n_ions: int, n_frames: int, frame_interval_fs: float, min_obs: int) -> IntArray:
    """(n_lags,) lags of `max`, frames.

    An interval that is taken from the times of stored frames is off by rounding: 100.00000000002
    for 100 fs must not move the first lag from 10 frames to 9.
    """
    first = int(_SHORTEST_LAG_FS / frame_interval_fs * (1.0 + 1e-9))
    stop = min(n_ions * n_frames // min_obs, n_frames)
    if first == 0:
        raise InputError(
            "smoothing max",
            expected=f"frames at most {_SHORTEST_LAG_FS:g} fs apart",
            found=f"{frame_interval_fs:g} fs",
            remedy="store frames more often, or use the smoothing false or constant",
        )
    if stop - first < _FEWEST_LAGS:
        raise InputError(
            f"smoothing max of {n_ions} ions, {n_frames} frames, min_obs {min_obs}",
            expected=f"at least {_FEWEST_LAGS} lags from {first} frames (1 ps) to {stop} frames",
            found=max(stop - first, 0),
            remedy="give a longer run, a smaller min_obs, or use the smoothing false",
        )
    return np.arange(first, stop, max((stop - first) // _ENOUGH_LAGS, 1))


def _constant_lags(n_frames: int, avg_nsteps: int) -> IntArray:
    """(n_lags,) lags of `constant`, frames."""
    if n_frames < avg_nsteps + _FEWEST_LAGS:
        raise InputError(
            "smoothing constant",
            expected=f"at least {avg_nsteps + _FEWEST_LAGS} frames for avg_nsteps {avg_nsteps}",
            found=n_frames,
            remedy="give a longer run, a smaller avg_nsteps, or use the smoothing false",
        )
    return np.arange(n_frames - avg_nsteps)


def _from_first_frame(ions: Iterator[FloatArray], n_frames: int) -> FloatArray:
    """(3, n_frames) Å², square displacements from zero, summed over ions."""
    squares = np.zeros((3, n_frames))
    for x in ions:
        squares += x * x
    return squares


def _over_all_origins(ions: Iterator[FloatArray], n_frames: int, lags: IntArray) -> FloatArray:
    """(3, n_lags) Å², square displacements averaged over all origins, summed over ions.

    ⟨(x(t+n) − x(t))²⟩ by squares and the autocorrelation, one transform for each ion and axis.
    Padding by the longest lag is enough; the mean position of an ion only adds to the rounding.
    """
    padded = next_fast_len(n_frames + int(lags[-1]), real=True)
    squares = np.zeros((3, n_frames))
    power = np.zeros((3, padded // 2 + 1))
    for x in ions:
        centered = x - x.mean(axis=1, keepdims=True)
        squares += centered * centered
        spectrum = rfft(centered, padded, axis=1)
        power += spectrum.real**2 + spectrum.imag**2
    products = irfft(power, padded, axis=1)[:, lags]
    sums = np.concatenate([np.zeros((3, 1)), np.cumsum(squares, axis=1)], axis=1)
    n_origins = n_frames - lags
    ends = sums[:, n_origins] + sums[:, -1:] - sums[:, lags]  # (3, n_lags)
    return np.asarray((ends - 2.0 * products) / n_origins)


def _over_first_origins(ions: Iterator[FloatArray], n_frames: int, n_origins: int) -> FloatArray:
    """(3, n_frames − n_origins) Å², square displacements from the first origins, summed over ions.

    The last frame is not used, as DiffusionAnalyzer does not.
    """
    from scipy.signal import oaconvolve  # slow to import, and rarely needed

    squares = np.zeros((3, n_frames - 1))
    products = np.zeros((3, n_frames - n_origins))
    for x in ions:
        y = x[:, :-1] - x[:, :n_origins].mean(axis=1, keepdims=True)
        squares += y * y
        products += oaconvolve(y, y[:, n_origins - 1 :: -1], mode="valid", axes=1)
    ones = np.ones(n_origins)
    sums = np.stack([np.convolve(axis, ones, mode="valid") for axis in squares])
    means = (sums + sums[:, :1] - 2.0 * products) / n_origins
    means[:, 0] = 0.0  # exactly, not by rounding
    return np.asarray(means)


def _lines(x: FloatArray, y: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(n,) slopes and (n,) weighted sums of squared residuals of least-squares lines.

    Args:
        x: (n_points,) abscissa.
        y: (n, n_points) ordinates.
        weights: (n_points,) weights of the squared residuals.
    """
    share = weights / weights.sum()
    dx = x - share @ x
    dy = y - (y @ share)[:, None]
    slopes = dy @ (weights * dx) / (weights @ dx**2)
    return slopes, (dy - slopes[:, None] * dx) ** 2 @ weights


def _stated_error(lag_times_fs: FloatArray, residual: float) -> float:
    """The stated standard deviation of a slope, Å²/fs: without the weights in its denominator."""
    n = len(lag_times_fs)
    dt = lag_times_fs - lag_times_fs.mean()
    return math.sqrt(residual / float(dt @ dt) / (n - 2))


def _n_frames(displacements: NDArray[Any] | Sequence[NDArray[Any]]) -> int:
    """Number of frames of the first ion."""
    if not len(displacements):
        raise InputError("displacements", expected="at least one mobile ion", found="none")
    shape = np.shape(displacements[0])
    if len(shape) != 2:
        raise InputError("displacements of ion 0", expected="shape (3, frames)", found=shape)
    return int(shape[1])


def _checked(
    displacements: NDArray[Any] | Sequence[NDArray[Any]], n_frames: int
) -> Iterator[FloatArray]:
    """(3, n_frames) Å of one ion after the other, in memory once."""
    for ion, x in enumerate(displacements):
        series = np.ascontiguousarray(x, dtype=np.float64)
        if series.shape != (3, n_frames):
            raise InputError(
                f"displacements of ion {ion}", expected=f"shape (3, {n_frames})", found=np.shape(x)
            )
        if not np.isfinite(series).all():
            raise InputError(f"displacements of ion {ion}", expected="finite", found="NaN or inf")
        yield series


def _check_settings(
    frame_interval_fs: float, smoothing: str, min_obs: int, avg_nsteps: int
) -> None:
    known = get_args(Smoothing)
    if smoothing not in known:
        raise InputError(f"smoothing {smoothing}", remedy=suggest(str(smoothing), known))
    if not (math.isfinite(frame_interval_fs) and frame_interval_fs > 0):
        raise InputError(
            "time between frames", expected="above 0 fs", found=f"{frame_interval_fs:g} fs"
        )
    for name, value in (("min_obs", min_obs), ("avg_nsteps", avg_nsteps)):
        if value < 1:
            raise InputError(name, expected="at least 1", found=value)
