"""Functions of a distance that networks take as input."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from mdbench.nn.envelopes import polynomial_envelope

#: Bell curves below this are 0, since arithmetic with denormal numbers takes many times as long on
#: a CPU; and a square of which they are.
_SMALLEST, _MOST = 1e-20, 47.0


class GaussianBasis(nn.Module):
    """exp(−(d − μ_k)²/2σ²) with centers from 0 to the cutoff, as wide as they are apart.

    Schütt et al., J. Chem. Phys. 2018, 148, 241722, eq. 12, doi:10.1063/1.5019779.

    Args:
        cutoff: Å.
        n_basis: Number of Gaussians.
        trainable: Whether training moves the centers and the one width.
    """

    centers: Tensor
    width: Tensor

    def __init__(self, cutoff: float, n_basis: int, *, trainable: bool = False) -> None:
        super().__init__()
        centers = torch.linspace(0.0, cutoff, n_basis)
        width = (centers[1] - centers[0]).clone()
        if trainable:
            self.centers, self.width = nn.Parameter(centers), nn.Parameter(width)
        else:
            self.register_buffer("centers", centers)
            self.register_buffer("width", width)

    def forward(self, lengths: Tensor) -> Tensor:
        """(n_edges, n_basis) of (n_edges,) distances in Å."""
        scaled = (lengths[:, None] - self.centers) / self.width
        return _bells(0.5 * scaled * scaled)


class BesselBasis(nn.Module):
    """u(d) √(2/c) sin(f_k d/c)/d, the solutions of the wave equation in a sphere; f_k start at kπ.

    Gasteiger, Groß, Günnemann, ICLR 2020, arXiv:2003.03123, eq. 7. u is the polynomial envelope.

    Args:
        cutoff: c, Å.
        n_basis: Number of frequencies, which training moves.
        power: Of the envelope.
    """

    def __init__(self, cutoff: float, n_basis: int, *, power: int = 6) -> None:
        super().__init__()
        self.cutoff, self.power = cutoff, power
        self.frequencies = nn.Parameter(math.pi * torch.arange(1.0, n_basis + 1.0))

    def forward(self, lengths: Tensor) -> Tensor:
        """(n_edges, n_basis) of (n_edges,) distances in Å."""
        x = lengths[:, None] / self.cutoff
        waves = math.sqrt(2.0 / self.cutoff**3) * torch.sin(self.frequencies * x) / x
        return polynomial_envelope(lengths, self.cutoff, self.power)[:, None] * waves


class ExpNormalBasis(nn.Module):
    """exp(−β (e^{−5d/c} − μ_k)²), centers μ_k from e⁻⁵ to 1, β = (2(1 − e⁻⁵)/n_basis)⁻².

    Close neighbors are resolved better than far ones. There is no envelope.

    Unke, Meuwly, J. Chem. Theory Comput. 2019, 15, 3678, doi:10.1021/acs.jctc.9b00181; the unit of
    d, a fifth of the cutoff, is that of TorchMD-NET, arXiv:2202.02541.

    Args:
        cutoff: c, Å.
        n_basis: Number of functions.
    """

    centers: Tensor

    def __init__(self, cutoff: float, n_basis: int) -> None:
        super().__init__()
        first = math.exp(-5.0)
        self.decay = 5.0 / cutoff
        self.sharpness = (2.0 * (1.0 - first) / n_basis) ** -2
        self.register_buffer("centers", torch.linspace(first, 1.0, n_basis))

    def forward(self, lengths: Tensor) -> Tensor:
        """(n_edges, n_basis) of (n_edges,) distances in Å."""
        shifted = torch.exp(-self.decay * lengths)[:, None] - self.centers
        return _bells(self.sharpness * shifted * shifted)


def _bells(squares: Tensor) -> Tensor:
    """exp(−x²) of squares x², 0 where that is very small."""
    # exp is slow where it gives denormal numbers, and at infinity
    bells = torch.exp(-squares.clamp(max=_MOST))
    return functional.threshold(bells, _SMALLEST, 0.0)
