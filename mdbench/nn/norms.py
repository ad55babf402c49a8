"""Normalization by statistics that do not mix systems."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from mdbench.errors import check_word
from mdbench.graph import segment_sum

_NORMS = ("fixed", "batch")
#: Training batches whose statistics become the fixed normalization.
_FIRST_BATCHES = 50


class RowNorm(nn.Module):
    """Channels shifted and scaled to mean 0 and variance 1, then by learned factors.

    Statistics are over rows, which are edges or atoms.

    S. Ioffe, C. Szegedy, ICML 2015, arXiv:1502.03167, but for when the statistics are taken.

    Args:
        n_channels: Of the rows.
        norm: fixed: those of the first training batches. batch: those of each batch in training,
            of each system in evaluation.
    """

    running_mean: Tensor
    running_var: Tensor
    n_batches: Tensor

    def __init__(self, n_channels: int, norm: str) -> None:
        super().__init__()
        check_word("norm", norm, _NORMS)
        self.fixed = norm == "fixed"
        self.weight = nn.Parameter(torch.ones(n_channels))
        self.bias = nn.Parameter(torch.zeros(n_channels))
        self.register_buffer("running_mean", torch.zeros(n_channels))
        self.register_buffer("running_var", torch.ones(n_channels))
        self.register_buffer("n_batches", torch.zeros((), dtype=torch.long))

    def forward(self, rows: Tensor, system_index: Tensor, n_systems: int) -> Tensor:
        """(n_rows, n_channels), as the argument.

        Args:
            rows: (n_rows, n_channels).
            system_index: (n_rows,) the system of each row.
            n_systems: Number of systems.
        """
        if not self.fixed:
            if self.training:
                system_index, n_systems = torch.zeros_like(system_index), 1
            return self._normed_by_itself(rows, system_index, n_systems)
        scale, shift = self.factors(lambda: rows)
        return torch.addcmul(shift, rows, scale)

    def factors(self, rows: Callable[[], Tensor]) -> tuple[Tensor, Tensor]:
        """(n_channels,) scale and shift of rows, if the normalization is fixed.

        What is linear in front of it can take them in, and rows need not be made.

        Args:
            rows: Makes the (n_rows, n_channels) rows, for the statistics of the first batches.
        """
        mean, variance = self.running_mean, self.running_var
        if self.training and int(self.n_batches) < _FIRST_BATCHES:
            mean, variance = mean.clone(), variance.clone()  # backward passes to come need them
            with torch.no_grad():
                self._learn(rows())
        scale = self.weight * torch.rsqrt(variance + 1e-5)
        return scale, self.bias - scale * mean

    def _normed_by_itself(self, rows: Tensor, index: Tensor, n: int) -> Tensor:
        counts = torch.bincount(index, minlength=n).clamp(min=1)[:, None]
        centered = rows - (segment_sum(rows, index, n) / counts)[index]
        variance = segment_sum(centered * centered, index, n) / counts
        scale = self.weight * torch.rsqrt(variance + 1e-5)
        return torch.addcmul(self.bias, centered, scale[index])

    def _learn(self, rows: Tensor) -> None:
        """Averages the statistics of the first batches, for the batches that follow."""
        if len(rows) < 2:
            return
        self.n_batches += 1
        mean = rows.mean(dim=0)
        variance = (rows - mean).square().sum(dim=0) / (len(rows) - 1)  # var_mean is far slower
        self.running_mean.lerp_(mean, 1.0 / int(self.n_batches))
        self.running_var.lerp_(variance, 1.0 / int(self.n_batches))
