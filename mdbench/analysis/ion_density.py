"""Where the mobile ions are: counts on a grid of the cell, and how much two of them overlap."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from mdbench.analysis.msd import FloatArray
from mdbench.errors import InputError

IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class IonDensity:
    """How often ions were in each voxel of a grid.

    Attributes:
        counts: (n_a, n_b, n_c) ions × frames; voxel i along an axis holds the fractional
            coordinates from i/n to (i + 1)/n.
        cell: (3, 3) Å, row vectors.
        n_frames: Frames that were counted, of all runs together.
        length_ps: ps that these frames stand for.
    """

    counts: IntArray
    cell: FloatArray
    n_frames: int
    length_ps: float

    @property
    def n_samples(self) -> int:
        """Ions times frames."""
        return int(self.counts.sum())

    @property
    def n_ions(self) -> float:
        """Mean number of ions."""
        return self.n_samples / self.n_frames

    @property
    def voxel_volume(self) -> float:
        """Å³."""
        return float(abs(np.linalg.det(self.cell))) / self.counts.size

    @property
    def probability(self) -> FloatArray:
        """(n_a, n_b, n_c) share of all ions × frames; their sum is 1."""
        return self.counts / self.n_samples

    @property
    def per_volume(self) -> FloatArray:
        """(n_a, n_b, n_c) ions per Å³."""
        return self.counts / (self.n_frames * self.voxel_volume)

    def smoothed(self, width: float) -> FloatArray:
        """(n_a, n_b, n_c) probability, folded with a Gaussian; their sum is 1.

        Args:
            width: Å, its standard deviation.
        """
        return _folded(self.counts / self.n_samples, self.cell, width)

    def smoothed_per_volume(self, width: float) -> FloatArray:
        """(n_a, n_b, n_c) ions per Å³, folded with a Gaussian.

        Args:
            width: Å, its standard deviation.
        """
        return self.smoothed(width) * (self.n_ions / self.voxel_volume)


def grid_shape(cell: FloatArray, spacing: float) -> tuple[int, int, int]:
    """Voxels along each lattice vector, no edge longer than `spacing` (Å)."""
    if not spacing > 0.0:
        raise InputError("spacing of the grid", expected="a length in Å", found=spacing)
    # a vector of 10 Å has 40 voxels of 0.25 Å, whatever its last bits are
    a, b, c = (
        max(1, math.ceil(length / spacing - 1e-6)) for length in np.linalg.norm(cell, axis=1)
    )
    return a, b, c


def ion_density(
    paths: Sequence[FloatArray] | FloatArray,
    shape: tuple[int, int, int],
    cell: FloatArray,
    *,
    frame_interval_ps: float,
) -> IonDensity:
    """Counts of one run.

    Args:
        paths: n_ions arrays (3, n_frames), fractional, wrapped or not.
        shape: Voxels along each lattice vector.
        cell: (3, 3) Å, row vectors.
        frame_interval_ps: Time between frames.
    """
    counts = np.zeros(math.prod(shape), dtype=np.int64)
    n_frames = 0
    for path in paths:
        a, b, c = (_voxels(x, n) for x, n in zip(path, shape, strict=True))
        np.add.at(counts, (a * shape[1] + b) * shape[2] + c, 1)
        n_frames = path.shape[1]
    return IonDensity(
        counts=counts.reshape(shape),
        cell=np.asarray(cell, dtype=np.float64),
        n_frames=n_frames,
        length_ps=n_frames * frame_interval_ps,
    )


def pooled(densities: Sequence[IonDensity]) -> IonDensity:
    """The density of several runs on one grid, in the first one's cell; all frames count alike."""
    first = densities[0]
    if any(density.counts.shape != first.counts.shape for density in densities):
        shapes = sorted({density.counts.shape for density in densities})
        raise InputError("densities on several grids", expected="one grid", found=shapes)
    counts = np.sum([density.counts for density in densities], axis=0)
    return IonDensity(
        counts=counts,
        cell=first.cell,
        n_frames=sum(density.n_frames for density in densities),
        length_ps=sum(density.length_ps for density in densities),
    )


def density_overlap(a: IonDensity, b: IonDensity, *, width: float) -> float:
    """Σ min(p, q) over the voxels: 1 where two densities are the same, 0 where they are apart.

    It is 1 − the total-variation distance of the two probabilities. Noise of the counts makes it
    smaller, on a fine grid by more than a difference between the ions would: both are smoothed.

    Args:
        a: One density.
        b: Another one on the same grid.
        width: Å, of the Gaussian with which both are smoothed, in the cell of each.
    """
    if a.counts.shape != b.counts.shape:
        raise InputError("densities on two grids", expected=a.counts.shape, found=b.counts.shape)
    return float(np.minimum(a.smoothed(width), b.smoothed(width)).sum())


def _voxels(scaled: FloatArray, n: int) -> IntArray:
    """(n_frames,) voxel along one axis."""
    # a coordinate just below 0 wraps to exactly 1
    return np.floor((scaled - np.floor(scaled)) * n).astype(np.int64) % n


def _folded(values: FloatArray, cell: FloatArray, width: float) -> FloatArray:
    """A periodic function folded with a Gaussian, in reciprocal space: cells of any shape.

    Args:
        values: (n_a, n_b, n_c) on a grid of the cell.
        cell: (3, 3) Å, row vectors.
        width: Å, standard deviation of the Gaussian.
    """
    n_a, n_b, n_c = values.shape
    frequencies = (fft.fftfreq(n_a, 1 / n_a), fft.fftfreq(n_b, 1 / n_b), fft.rfftfreq(n_c, 1 / n_c))
    miller = np.stack(np.meshgrid(*frequencies, indexing="ij"), axis=-1)  # (n_a, n_b, n_c/2 + 1, 3)
    waves = 2.0 * np.pi * miller @ np.linalg.inv(cell).T
    decay = np.exp(-0.5 * width**2 * (waves**2).sum(axis=-1))
    smooth = fft.irfftn(fft.rfftn(values) * decay, values.shape)
    # ringing of a narrow Gaussian on a coarse grid
    smooth = np.maximum(smooth, 0.0)
    return np.asarray(smooth * (values.sum() / smooth.sum()))
