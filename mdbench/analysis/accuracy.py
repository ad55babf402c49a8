"""Errors of predicted energies and forces against a reference, with intervals.

The error of a frame resembles that of its neighbors, so all intervals come from whole blocks of
time and whole runs (`correlated`). Quantities that cannot be negative (MAE, RMSE, 1 − R²) are
treated on a log scale; a rank correlation by Fisher's z. A quantile p has the errors at
the shares p₋ and p₊ as limits, which bound the share of errors below it on a logit scale
(R. S. Woodruff, J. Am. Stat. Assoc. 1952, 47, 635, doi:10.1080/01621459.1952.10483443). A maximum
is that of the frames at hand: it grows with their number and has no interval.

Undefined are all intervals of a single frame, and R² and ranks where all references are equal.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from ase.data import chemical_symbols
from numpy.typing import NDArray
from scipy.special import expit, logit
from scipy.stats import rankdata

from mdbench.analysis.correlated import FrameBlocks, frame_blocks
from mdbench.errors import InputError
from mdbench.stats import Estimate, log_estimate, normal_estimate, student_t
from mdbench.units import EV_IN_MEV

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

ENERGY_UNIT, FORCE_UNIT, ANGLE_UNIT = "meV/atom", "meV/A", "deg"


@dataclass(frozen=True)
class Predictions:
    """What a force field says of frames whose energies and forces are known.

    Attributes:
        atomic_numbers: (n_atoms,) of every frame.
        energies: (n_frames,) eV, predicted.
        forces: (n_frames, n_atoms, 3) eV/Å, predicted.
        reference_energies: (n_frames,) eV.
        reference_forces: (n_frames, n_atoms, 3) eV/Å.
        temperatures_k: (n_frames,) K, NaN is unknown.
        runs: (n_frames,) the run of each frame.
        frames: (n_frames,) its number there.
    """

    atomic_numbers: IntArray
    energies: FloatArray
    forces: FloatArray
    reference_energies: FloatArray
    reference_forces: FloatArray
    temperatures_k: FloatArray
    runs: IntArray
    frames: IntArray

    def __len__(self) -> int:
        return len(self.energies)

    @cached_property
    def unsound(self) -> IntArray:
        """The frames whose prediction is not finite."""
        sound = np.isfinite(self.energies) & np.isfinite(self.forces).all(axis=(1, 2))
        return np.flatnonzero(~sound)

    @cached_property
    def per_atom(self) -> tuple[FloatArray, FloatArray]:
        """(n_frames,) predicted and reference energies, meV per atom."""
        scale = EV_IN_MEV / len(self.atomic_numbers)
        return scale * self.energies, scale * self.reference_energies


@dataclass(frozen=True)
class Errors:
    """How predicted numbers differ from reference numbers.

    Attributes:
        mae: Mean absolute error.
        median: Median absolute error.
        p99: What one absolute error in a hundred exceeds.
        max: Largest absolute error, without an interval.
        rmse: Root mean squared error.
        r2: 1 − Σ(model − reference)²/Σ(reference − mean reference)², the coefficient of
            determination: below zero where the mean of the reference were the better model.
    """

    mae: Estimate
    median: Estimate
    p99: Estimate
    max: Estimate
    rmse: Estimate
    r2: Estimate


@dataclass(frozen=True)
class EnergyErrors:
    """Errors of energies per atom.

    Attributes:
        raw: As predicted.
        shift_removed: After the shift was taken off.
        spearman: Rank correlation of predicted and reference energies, which no shift changes.
    """

    raw: Errors
    shift_removed: Errors
    spearman: Estimate


@dataclass(frozen=True)
class Accuracy:
    """Errors of a force field for one composition.

    Attributes:
        energy: Of energies per atom, meV/atom.
        energy_per_temperature: The same of each temperature, K; the shift is that of all.
        shift: Mean of model − reference, meV/atom: what a least-squares fit of one energy per
            element takes off where all frames have one composition.
        forces: Of Cartesian force components, meV/Å.
        per_axis: Of the components along x, y, z.
        per_element: Of the components at atoms of an element.
        per_temperature: Of the components at a temperature, K.
        magnitude: Of the lengths of forces, meV/Å.
        angle_mean: Mean angle between predicted and reference force, degrees, over the atoms
            where neither is zero.
        angle_median: Their median.
    """

    energy: EnergyErrors
    energy_per_temperature: Mapping[float, EnergyErrors]
    shift: Estimate
    forces: Errors
    per_axis: Mapping[str, Errors]
    per_element: Mapping[str, Errors]
    per_temperature: Mapping[float, Errors]
    magnitude: Errors
    angle_mean: Estimate
    angle_median: Estimate


def accuracy(predictions: Predictions) -> Accuracy:
    """Errors of the predictions, with 95 % intervals.

    Raises:
        InputError: No frames, or predictions that are not finite.
    """
    p = predictions
    if not len(p) or len(p.unsound):
        raise InputError(
            "predictions", expected="finite ones", found=f"{len(p.unsound)} of {len(p)} not"
        )
    model, reference = p.per_atom
    shift = model - reference
    blocks = frame_blocks(p.temperatures_k, p.runs, p.frames)
    by_temperature = {
        float(t): np.flatnonzero(p.temperatures_k == t)
        for t in np.unique(p.temperatures_k[np.isfinite(p.temperatures_k)])
    }
    found, known = EV_IN_MEV * p.forces, EV_IN_MEV * p.reference_forces
    elements = {chemical_symbols[z]: p.atomic_numbers == z for z in np.unique(p.atomic_numbers)}
    angle_mean, angle_median = _angles(found, known, blocks)
    return Accuracy(
        energy=_energy_errors(model, reference, shift.mean(), blocks),
        energy_per_temperature={
            t: _energy_errors(model[own], reference[own], shift.mean(), blocks.select(own))
            for t, own in by_temperature.items()
        },
        shift=_mean(shift, blocks),
        forces=errors(found, known, blocks, FORCE_UNIT),
        per_axis={
            axis: errors(found[..., k], known[..., k], blocks, FORCE_UNIT)
            for k, axis in enumerate("xyz")
        },
        per_element={
            symbol: errors(found[:, own], known[:, own], blocks, FORCE_UNIT)
            for symbol, own in elements.items()
        },
        per_temperature={
            t: errors(found[own], known[own], blocks.select(own), FORCE_UNIT)
            for t, own in by_temperature.items()
        },
        magnitude=errors(
            np.linalg.norm(found, axis=2), np.linalg.norm(known, axis=2), blocks, FORCE_UNIT
        ),
        angle_mean=angle_mean,
        angle_median=angle_median,
    )


def errors(model: FloatArray, reference: FloatArray, blocks: FrameBlocks, unit: str) -> Errors:
    """The errors of some numbers of each frame.

    Args:
        model: (n_frames, …) predicted, finite.
        reference: (n_frames, …) true.
        blocks: Which frames belong together.
        unit: Of the numbers.
    """
    known = reference.reshape(len(reference), -1)
    absolute = np.abs(model.reshape(known.shape) - known)  # (F, K)
    squared = (absolute**2).mean(axis=1)
    mse = _positive_mean(squared, blocks, "")
    return Errors(
        mae=_positive_mean(absolute.mean(axis=1), blocks, unit),
        median=_quantile(absolute, 0.5, blocks, unit),
        p99=_quantile(absolute, 0.99, blocks, unit),
        max=Estimate(float(absolute.max()), None, None, unit),
        rmse=Estimate(_root(mse.value), _root(mse.low), _root(mse.high), unit),
        r2=_determination(squared, known, blocks),
    )


def spearman(model: FloatArray, reference: FloatArray, blocks: FrameBlocks) -> Estimate:
    """Rank correlation of one number of each frame, middle ranks for equal ones.

    The influence of a frame on ρ = 12 E[(F − ½)(G − ½)] has three terms: its own product of ranks,
    and how it moves the ranks of the others in either list. The upper limit of a perfect order is
    1, and it has no lower limit: nothing scatters.

    Args:
        model: (n_frames,)
        reference: (n_frames,)
        blocks: Which frames belong together.
    """
    if np.ptp(model) == 0.0 or np.ptp(reference) == 0.0:
        return Estimate(None, None, None, "")
    n = len(model)
    a, b = ((rankdata(x) - 0.5) / n - 0.5 for x in (model, reference))
    value = float(np.corrcoef(a, b)[0, 1])
    if 1.0 - abs(value) < 1e-12:
        return Estimate(1.0, None, 1.0, "") if value > 0.0 else Estimate(-1.0, -1.0, None, "")
    influence = 12.0 * (a * b + _above(model, b) + _above(reference, a))
    spread = blocks.spread(influence - influence.mean())
    if spread is None:
        return Estimate(value, None, None, "")
    width = student_t(spread.freedom) * spread.standard_error / (1.0 - value**2)
    z = math.atanh(value)
    return Estimate(value, math.tanh(z - width), math.tanh(z + width), "", spread)


def _energy_errors(
    model: FloatArray, reference: FloatArray, shift: float, blocks: FrameBlocks
) -> EnergyErrors:
    return EnergyErrors(
        raw=errors(model, reference, blocks, ENERGY_UNIT),
        shift_removed=errors(model - shift, reference, blocks, ENERGY_UNIT),
        spearman=spearman(model, reference, blocks),
    )


def _angles(
    model: FloatArray, reference: FloatArray, blocks: FrameBlocks
) -> tuple[Estimate, Estimate]:
    """Mean and median angle, degrees, of (n_frames, n_atoms, 3) vectors."""
    across = np.linalg.norm(np.cross(model, reference), axis=2)
    angles = np.degrees(np.arctan2(across, np.einsum("fai,fai->fa", model, reference)))
    defined = (model != 0.0).any(axis=2) & (reference != 0.0).any(axis=2)
    seen = np.flatnonzero(defined.any(axis=1))
    if not len(seen):
        nothing = Estimate(None, None, None, ANGLE_UNIT)
        return nothing, nothing
    angles, blocks = np.where(defined, angles, np.nan)[seen], blocks.select(seen)
    mean = _positive_mean(np.nanmean(angles, axis=1), blocks, ANGLE_UNIT)
    return mean, _quantile(angles, 0.5, blocks, ANGLE_UNIT)


def _mean(values: FloatArray, blocks: FrameBlocks) -> Estimate:
    """The mean of (n_frames,) meV/atom."""
    value, spread = float(values.mean()), blocks.spread(values)
    if spread is None:
        return Estimate(value, None, None, ENERGY_UNIT)
    return normal_estimate(value, spread, ENERGY_UNIT)


def _positive_mean(values: FloatArray, blocks: FrameBlocks, unit: str) -> Estimate:
    """The mean of (n_frames,) numbers that are not negative, its interval on a log scale."""
    value, spread = float(values.mean()), blocks.spread(values)
    if spread is None:
        return Estimate(value, None, None, unit)
    if value == 0.0:
        return Estimate(0.0, 0.0, 0.0, unit, spread)
    return log_estimate(math.log(value), spread.scaled(1.0 / value), unit)


def _determination(squared: FloatArray, reference: FloatArray, blocks: FrameBlocks) -> Estimate:
    """R² by (n_frames,) mean squared errors and (n_frames, n) references."""
    if np.ptp(reference) == 0.0:
        return Estimate(None, None, None, "")
    around = ((reference - reference.mean()) ** 2).mean(axis=1)
    ratio = float(squared.mean() / around.mean())
    spread = blocks.spread(squared - ratio * around)
    if spread is None:
        return Estimate(1.0 - ratio, None, None, "")
    if ratio == 0.0:
        return Estimate(1.0, 1.0, 1.0, "", spread)
    log_spread = spread.scaled(1.0 / float(squared.mean()))
    width = student_t(log_spread.freedom) * log_spread.standard_error
    low, high = (1.0 - ratio * math.exp(side * width) for side in (1.0, -1.0))
    return Estimate(1.0 - ratio, low, high, "", log_spread.scaled(ratio))


def _quantile(values: FloatArray, share: float, blocks: FrameBlocks, unit: str) -> Estimate:
    """The quantile of (n_frames, n) numbers, NaN left out; no limit where no number is beyond."""
    value = float(np.nanquantile(values, share))
    below = np.where(np.isnan(values), np.nan, values <= value)
    spread = blocks.spread(np.nanmean(below, axis=1))
    if spread is None:
        return Estimate(value, None, None, unit)
    width = student_t(spread.freedom) * spread.standard_error / (share * (1.0 - share))
    low, high = (float(expit(logit(share) + side * width)) for side in (-1.0, 1.0))
    n = np.count_nonzero(np.isfinite(values))
    limits = np.nanquantile(values, [low, high]).tolist()
    return Estimate(
        value,
        limits[0] if low * n >= 1.0 else None,
        limits[1] if (1.0 - high) * n >= 1.0 else None,
        unit,
    )


def _above(values: FloatArray, ranks: FloatArray) -> FloatArray:
    """(n,) mean over all j of [values_i ≤ values_j] ranks_j."""
    order = np.argsort(values)
    sums = np.cumsum(ranks[order][::-1])[::-1] / len(values)
    return np.asarray(sums[np.searchsorted(values[order], values)])


def _root(value: float | None) -> float | None:
    return None if value is None else math.sqrt(value)
