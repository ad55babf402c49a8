"""What runs without a thermostat say: the drift of the energy, and whether atoms find back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import t as student

from mdbench.analysis.audit import Check, Claims
from mdbench.errors import InputError
from mdbench.units import EV_IN_MEV

#: Blocks of a run that a line is fitted to: few, as the energy wanders slowly around its mean.
_BLOCKS = 6
#: Drift that a force field may have, meV/atom/ps: 2.5 meV per atom, about 10 K, in 50 ps.
DRIFT = 0.05
#: Distance from the start after an echo, Å, in double and in lower precision.
ECHO_DOUBLE, ECHO_SINGLE = 1e-8, 1e-4


@dataclass(frozen=True)
class Drift:
    """Trend of the total energy, meV/atom/ps.

    Attributes:
        timestep_fs: Of the run, fs.
        value: Slope of a line through the means of blocks.
        error: Half width of its 95 % interval.
        fluctuation: Standard deviation of the energy, meV/atom.
        end_reason: Why the run ended early; None where it did not.
    """

    timestep_fs: float
    value: float
    error: float
    fluctuation: float
    end_reason: str | None = None


def energy_drift(
    times_ps: ArrayLike,
    energies: ArrayLike,
    n_atoms: int,
    *,
    timestep_fs: float,
    end_reason: str | None = None,
) -> Drift:
    """The drift of a run at constant energy.

    Args:
        times_ps: (n_frames,) ps.
        energies: (n_frames,) eV, potential and kinetic.
        n_atoms: Number of atoms.
        timestep_fs: fs.
        end_reason: Why the run ended early.

    Raises:
        InputError: Fewer frames than two for each block, where the run did not end early.
    """
    times = np.asarray(times_ps, dtype=np.float64)
    values = EV_IN_MEV / n_atoms * np.asarray(energies, dtype=np.float64)
    if len(times) < 2 * _BLOCKS:
        if end_reason is None:
            raise InputError("drift", expected=f"{2 * _BLOCKS} steps or more", found=len(times))
        return Drift(timestep_fs, np.inf, 0.0, np.inf, end_reason)
    x = np.array([part.mean() for part in np.array_split(times, _BLOCKS)])
    y = np.array([part.mean() for part in np.array_split(values, _BLOCKS)])
    x = x - x.mean()
    slope = float((x * y).sum() / (x**2).sum())
    rest = y - y.mean() - slope * x
    error = np.sqrt((rest**2).sum() / (_BLOCKS - 2) / (x**2).sum())
    half_width = float(student.ppf(0.975, _BLOCKS - 2) * error)
    return Drift(timestep_fs, slope, half_width, float(values.std()), end_reason)


def drift_check(drifts: Sequence[Drift], claims: Claims) -> Check:
    """Whether the energy stays at the smallest timestep; at larger ones it tells the reason.

    Args:
        drifts: Of runs from the smallest timestep to the largest.
        claims: Of the force field.
    """
    least = drifts[0]
    ended = next((d.end_reason for d in drifts if d.end_reason is not None), None)
    deviation = np.inf if ended else abs(least.value)
    tolerance = DRIFT + least.error
    shown = ", ".join(f"{d.value:.3g} ± {d.error:.1g} at {d.timestep_fs:g} fs" for d in drifts)
    detail = ended or f"drift in meV/atom/ps: {shown}{_reason(drifts)}"
    return Check(
        name="nve_drift",
        done="run at constant energy",
        deviation=deviation,
        tolerance=tolerance,
        claimed=claims.include("nve_drift"),
        passed=deviation <= tolerance,
        detail=detail,
    )


def _reason(drifts: Sequence[Drift]) -> str:
    """Whose fault a drift is that two timesteps resolve."""
    small, large = drifts[0], drifts[-1]
    if len(drifts) < 2 or abs(large.value) <= max(DRIFT, 2.0 * large.error):
        return ""
    square = (large.timestep_fs / small.timestep_fs) ** 2
    share = abs(small.value) / abs(large.value)
    if share > (1.0 / square) ** 0.5:
        return "; it does not grow with the timestep: the forces are at fault"
    return "; it grows with the timestep: the integrator is at fault"


def echo_check(
    distance: float,
    turned_at: float,
    ps: float,
    claims: Claims,
    *,
    single: bool,
    reference: float | None = None,
    end_reason: str | None = None,
) -> Check:
    """Whether atoms that are sent back arrive where they started.

    Args:
        distance: From there, Å.
        turned_at: The same where they were sent back, Å.
        ps: Time to there, ps.
        claims: Of the force field.
        single: Whether it computes in less than double precision.
        reference: Distance of the embedded potential's own echo, Å.
        end_reason: Why the run ended early.
    """
    tolerance = ECHO_SINGLE if single else ECHO_DOUBLE
    beside = "" if reference is None else f"; refpot's own echo {reference:.1e} A"
    return Check(
        name="echo",
        done="run, velocities turned around, run",
        deviation=distance,
        tolerance=tolerance,
        claimed=claims.include("echo"),
        passed=distance <= tolerance,
        detail=end_reason
        or f"{distance:.1e} A from the start after {ps:g} ps there ({turned_at:.2g} A) and back"
        + beside,
    )
