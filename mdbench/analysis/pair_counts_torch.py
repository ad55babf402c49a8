"""Distances between pairs of atoms, counted with all periodic images, on any torch device.

The same counts as `pair_counts`, pair by pair for many frames at once, without numba. Cost grows
with the square of the number of atoms: for cells of up to about 10⁴ atoms, on a GPU.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from mdbench.analysis.pairs import (
    FloatArray,
    IntArray,
    Lattices,
    PairCounts,
    bin_count,
    check_finite,
    check_frames,
    pair_index,
)

#: Temporary bytes for each distance in flight: coordinates, distance and place in the histogram.
_BYTES_PER_PAIR = 160


def count_pairs(
    positions: NDArray[Any] | Tensor,
    cells: ArrayLike,
    species: ArrayLike,
    r_max: float,
    dr: float,
    *,
    device: torch.device | str | None = None,
    pbc: ArrayLike = True,
    chunk_bytes: int = 2**28,
) -> PairCounts:
    """Counts of the distances between atoms of each pair of species, all periodic images.

    Args:
        positions: (n_frames, n_atoms, 3) Å, wrapped or not.
        cells: (n_frames, 3, 3) Å, any three vectors that span the lattice.
        species: (n_atoms,) integers from 0.
        r_max: Largest distance, Å; only whole bins below it are counted.
        dr: Bin width, Å.
        device: Where to count; by default where the positions are.
        pbc: Which lattice vectors are periodic; all must be.
        chunk_bytes: Device memory that intermediate results may take.

    Raises:
        InputError: Frames that have no pairs to count, or senseless bins.
    """
    if device is None:
        device = positions.device if isinstance(positions, Tensor) else "cpu"
    device = torch.device(device)
    cells, species = np.asarray(cells), np.asarray(species)
    lattices = check_frames(tuple(positions.shape), cells, species, r_max, dr, pbc)
    n_frames, n_atoms, _ = positions.shape
    n_bins, rows = bin_count(r_max, dr), pair_index(int(species.max()) + 1)
    n_rows = int(rows.max()) + 1
    images = torch.as_tensor(_near_images(lattices.lower, n_bins), device=device)
    lower = torch.as_tensor(lattices.lower, device=device)
    inverses = torch.as_tensor(lattices.inverses, device=device)
    which = torch.as_tensor(lattices.which, device=device)
    volumes = torch.as_tensor(lattices.volumes, device=device)[which]
    first_bin = torch.as_tensor(rows * (n_bins + 1), device=device)
    kinds = torch.as_tensor(species.astype(np.int64), device=device)
    width = n_rows * (n_bins + 1)
    counts = torch.zeros(width, dtype=torch.int64, device=device)
    volume_counts = torch.zeros(width, dtype=torch.float64, device=device)

    most_pairs = max(1, chunk_bytes // _BYTES_PER_PAIR)
    block = int(np.clip(min(2 * most_pairs // n_atoms**2, chunk_bytes // (8 * width)), 1, n_frames))
    for start in range(0, n_frames, block):
        frames = slice(start, start + block)
        lattice = which[frames]
        scaled = _on_device(positions[frames], start, device) @ inverses[lattice]
        scaled = scaled - torch.floor(scaled)
        found = torch.zeros(len(lattice), width, dtype=torch.int64, device=device)
        for i, j in _pair_blocks(n_atoms, max(1, most_pairs // len(lattice)), device):
            vectors = scaled[:, i] - scaled[:, j]
            vectors = vectors - torch.round(vectors)  # (F, P, 3)
            offsets = first_bin[kinds[i], kinds[j]]
            for image in images:
                bins = _distances(vectors - image, lower[lattice]).clamp_(max=n_bins).long()
                bins += offsets
                found.scatter_add_(1, bins, torch.ones_like(bins))
        counts += found.sum(dim=0)
        volume_counts += volumes[frames] @ found.double()
    return _with_own_images(counts, volume_counts, lattices, species, rows, n_bins)


def _on_device(positions: NDArray[Any] | Tensor, first_frame: int, device: torch.device) -> Tensor:
    """Positions as float64 on the device; those of an array are checked on the way."""
    if isinstance(positions, Tensor):
        return positions.to(device, torch.float64)
    check_finite(positions, first_frame)
    return torch.from_numpy(np.array(positions, dtype=np.float64)).to(device)


def _distances(vectors: Tensor, lower: Tensor) -> Tensor:
    """(F, P) lengths in bins of (F, P, 3) fractional vectors in (F, 6) triangular lattices."""
    a, b, c = vectors.unbind(-1)
    ax, bx, by, cx, cy, cz = lower[:, :, None].unbind(1)  # (F, 1) each
    x = a * ax + b * bx + c * cx
    y = b * by + c * cy
    z = c * cz
    return torch.sqrt(x * x + y * y + z * z)


def _pair_blocks(
    n_atoms: int, most_pairs: int, device: torch.device
) -> Iterator[tuple[Tensor, Tensor]]:
    """Pairs i < j of atoms, some rows of the triangle at a time."""
    step = max(1, most_pairs // n_atoms)
    for start in range(0, n_atoms - 1, step):
        n_rows = min(step, n_atoms - start)
        i, j = torch.triu_indices(n_rows, n_atoms - start, 1, device=device) + start
        yield i, j


def _near_images(lower: FloatArray, n_bins: int) -> FloatArray:
    """(n_images, 3) lattice vectors n for which v − n comes within reach, v within ±½ cell.

    Args:
        lower: (n_lattices, 6) in bins.
        n_bins: Largest distance, in bins.
    """
    ax, bx, by, cx, cy, cz = lower.T
    reach = n_bins + 1e-6
    near = []
    most_c = int(0.5 + (reach / cz).max())
    for c in range(-most_c, most_c + 1):
        z = np.maximum(0.0, (abs(c) - 0.5) * cz)
        # y and x of the images' centers, and how far the vectors of a cell reach from there
        y_width, x_width = 0.5 * (by + abs(cy)), 0.5 * (ax + abs(bx) + abs(cx))
        most_b = int(((reach + y_width + abs(c * cy)) / by).max())
        for b in range(-most_b, most_b + 1):
            y = np.maximum(0.0, abs(b * by + c * cy) - y_width)
            most_a = int(((reach + x_width + abs(b * bx + c * cx)) / ax).max())
            for a in range(-most_a, most_a + 1):
                x = np.maximum(0.0, abs(a * ax + b * bx + c * cx) - x_width)
                if (x * x + y * y + z * z <= reach * reach).any():
                    near.append((a, b, c))
    return np.array(near, dtype=np.float64)


def _with_own_images(
    counts: Tensor,
    volume_counts: Tensor,
    lattices: Lattices,
    species: NDArray[Any],
    rows: IntArray,
    n_bins: int,
) -> PairCounts:
    """The counts of pairs with those of each atom and its own images."""
    shape = (int(rows.max()) + 1, n_bins + 1)
    total = counts.cpu().numpy().reshape(shape)[:, :n_bins].copy()
    volume_total = volume_counts.cpu().numpy().reshape(shape)[:, :n_bins].copy()
    n_frames = np.bincount(lattices.which)  # of each lattice
    own, own_volumes = np.zeros(n_bins, dtype=np.int64), np.zeros(n_bins)
    most = np.ceil(n_bins / lattices.heights.min(axis=0)).astype(int)
    lower = np.zeros((len(n_frames), 3, 3))
    lower[:, *np.tril_indices(3)] = lattices.lower
    for image in product(*(range(-m, m + 1) for m in most)):
        if image <= (0, 0, 0):
            continue
        bins = np.sqrt(((np.array(image) @ lower) ** 2).sum(axis=1))  # (n_lattices,)
        inside = bins < n_bins
        np.add.at(own, bins[inside].astype(np.int64), n_frames[inside])
        weights = (n_frames * lattices.volumes)[inside]
        np.add.at(own_volumes, bins[inside].astype(np.int64), weights)
    for kind, n_atoms in enumerate(np.bincount(species)):
        total[rows[kind, kind]] += n_atoms * own
        volume_total[rows[kind, kind]] += n_atoms * own_volumes
    volume_sum = float(lattices.volumes @ n_frames)
    return PairCounts(total, volume_total, int(n_frames.sum()), volume_sum)
