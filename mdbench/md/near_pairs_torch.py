"""Atoms that are too near each other, on any torch device: the twin of `near_pairs`.

All pairs, by the image that rounding of fractional coordinates gives: the nearest one, where it is
nearer than half the cell's width. Pairs whose limit is longer are few: all images are looked at.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from mdbench.md.limits import PairLimits
from mdbench.md.state import HostState
from mdbench.potentials.base import FloatArray, IntArray

#: Distances in flight.
_BLOCK_PAIRS = 2**22
#: Of each system: the square of distance over limit, Å², and (n_systems, 2) atoms.
_Found = tuple[Tensor, Tensor, Tensor]


class NearPairs:
    """What is nearest in each system of a batch.

    Nothing here asks the device for a value.

    Args:
        state: Of which cells and elements count.
        limits: Of the batch.
        places: (n_systems, n_max) rows of the atoms of each system, padded.
        inside: (n_systems, n_max) what is no padding.
    """

    def __init__(
        self, state: HostState, limits: PairLimits, places: Tensor, inside: Tensor
    ) -> None:
        device = places.device
        inverses = np.linalg.inv(state.cells)
        heights = 1.0 / np.linalg.norm(inverses, axis=1)  # (n_systems, 3) Å
        self._places, self._inside = places, inside
        self._cells = torch.tensor(state.cells, device=device)
        self._inverses = torch.tensor(inverses, device=device)
        self._kinds = torch.tensor(limits.kinds, device=device)[places]
        self._squares = torch.tensor(limits.limits**2, device=device)
        wide = _wide_pairs(limits, state.first_atom, heights)
        self._n_wide = max(len(pairs) for pairs in wide)
        # The padding is an atom with itself.
        padded = np.zeros((len(wide), self._n_wide, 2), dtype=np.int64)
        for s, pairs in enumerate(wide):
            padded[s, : len(pairs)] = pairs
        self._wide = torch.tensor(padded, device=device)
        turns = (limits.limits.max() / heights + 0.5).astype(np.int64).max(axis=0)
        images = np.stack(np.meshgrid(*[np.arange(-n, n + 1) for n in turns], indexing="ij"), -1)
        self._images = torch.tensor(images.reshape(-1, 3), dtype=torch.float64, device=device)

    def nearest(self, positions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(n_systems,) whether a pair is below its limit, (n_systems,) its distance, Å, its atoms.

        Atoms are (n_systems, 2), the lower one first: of the pair that is furthest below its limit
        relatively.

        Args:
            positions: (n_atoms, 3) Å, wrapped or not.
        """
        scaled = torch.einsum("sai,sij->saj", positions[self._places], self._inverses)
        n_systems, n_max, _ = scaled.shape
        rows = max(1, _BLOCK_PAIRS // (n_systems * n_max))
        column = torch.arange(n_max, device=scaled.device)
        nothing = scaled.new_full((n_systems,), math.inf)
        found = nothing, nothing, column.new_zeros((n_systems, 2))
        for begin in range(0, n_max, rows):
            row = column[begin : begin + rows]
            # The first atom of a pair is the lower one, so a padded row has no columns.
            wanted = (column > row[:, None]) & self._inside[:, None, :]
            difference = scaled[:, None, :] - scaled[:, row, None]  # (n_systems, rows, n_max, 3)
            squared = self._squared(difference - difference.round()).masked_fill(~wanted, math.inf)
            limits = self._squares[self._kinds[:, row, None], self._kinds[:, None, :]]
            ratio, squared, place = _least(squared.flatten(1), limits.flatten(1))
            pair = torch.stack([row[place // n_max], place % n_max], dim=1)
            found = _better(found, (ratio, squared, pair))
        if self._n_wide:
            found = _better(found, self._nearest_of_wide(scaled))
        ratio, squared, pair = found
        return ratio < 1.0, squared.sqrt(), pair

    def _nearest_of_wide(self, scaled: Tensor) -> _Found:
        """The best of the pairs whose limit is above half the width."""
        first, second = self._wide.unbind(dim=2)  # (n_systems, n_wide)
        system = torch.arange(len(first), device=first.device)[:, None]
        difference = scaled[system, second] - scaled[system, first]
        difference = difference - difference.round()
        least = torch.full_like(difference[..., 0], math.inf)
        n_images = max(1, _BLOCK_PAIRS // first.numel())
        for images in torch.split(self._images, n_images):
            moved = difference[:, None] + images[:, None]  # (n_systems, n_images, n_wide, 3)
            least = torch.minimum(least, self._squared(moved).amin(dim=1))
        least = least.masked_fill(first == second, math.inf)
        limits = self._squares[self._kinds[system, first], self._kinds[system, second]]
        ratio, squared, place = _least(least, limits)
        return ratio, squared, self._wide[system[:, 0], place]

    def _squared(self, scaled: Tensor) -> Tensor:
        """(n_systems, …, …) Å² of (n_systems, …, …, 3) vectors in fractional coordinates."""
        return (torch.einsum("srai,sij->sraj", scaled, self._cells) ** 2).sum(dim=3)


def _least(squared: Tensor, limits: Tensor) -> _Found:
    """(n_systems,) the least square of distance over limit, Å², and the place of that pair.

    Args:
        squared: (n_systems, n_pairs) Å².
        limits: (n_systems, n_pairs) Å², the squares of their limits.
    """
    ratio, place = (squared / limits).min(dim=1)
    return ratio, squared.gather(1, place[:, None])[:, 0], place


def _better(known: _Found, new: _Found) -> _Found:
    """Of each system the pair with the lower ratio."""
    better = new[0] < known[0]
    return (
        torch.where(better, new[0], known[0]),
        torch.where(better, new[1], known[1]),
        torch.where(better[:, None], new[2], known[2]),
    )


def _wide_pairs(limits: PairLimits, first_atom: IntArray, heights: FloatArray) -> list[IntArray]:
    """Of each system the (n_pairs, 2) atoms whose limit is above half the width of its cell."""
    found = []
    for s, half in enumerate(0.5 * heights.min(axis=1)):
        kinds = limits.kinds[first_atom[s] : first_atom[s + 1]]
        blocks = [np.empty((0, 2), dtype=np.int64)]
        for a, b in np.argwhere(np.triu(limits.limits > half)):
            one, other = np.flatnonzero(kinds == a), np.flatnonzero(kinds == b)
            pairs = np.stack(np.meshgrid(one, other, indexing="ij"), axis=-1).reshape(-1, 2)
            blocks.append(np.sort(pairs if a != b else pairs[pairs[:, 0] < pairs[:, 1]], axis=1))
        found.append(np.concatenate(blocks))
    return found
