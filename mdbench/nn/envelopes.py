"""Functions that take a model smoothly to zero at its cutoff."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from mdbench.errors import check_word

Envelope = Callable[[Tensor, float], Tensor]


def polynomial_envelope(lengths: Tensor, cutoff: float, power: int = 6) -> Tensor:
    """1 at zero; 0 at the cutoff, with its first two derivatives.

    u(x) = 1 − (p+1)(p+2)/2 xᵖ + p(p+2) xᵖ⁺¹ − p(p+1)/2 xᵖ⁺², x = d/cutoff: Gasteiger, Groß,
    Günnemann, ICLR 2020, arXiv:2003.03123, eq. 8; here as (1 − x)³ Σ_{k<p} (k+1)(k+2)/2 xᵏ, in
    which nothing cancels near the cutoff.

    Args:
        lengths: (n_edges,) Å.
        cutoff: Å.
        power: p; a higher one stays at 1 for longer.
    """
    x = (lengths / cutoff).clamp(max=1.0)
    total = torch.full_like(x, 0.5 * power * (power + 1))
    for k in reversed(range(power - 1)):
        total = total * x + 0.5 * (k + 1) * (k + 2)
    return (1.0 - x) ** 3 * total


def cosine_envelope(lengths: Tensor, cutoff: float) -> Tensor:
    """(1 + cos(π d/cutoff))/2; its second derivative jumps at the cutoff.

    Behler, J. Chem. Phys. 2011, 134, 074106, eq. 4, doi:10.1063/1.3553717.

    Args:
        lengths: (n_edges,) Å.
        cutoff: Å.
    """
    x = (lengths / cutoff).clamp(max=1.0)
    return 0.5 * (torch.cos(math.pi * x) + 1.0)


_ENVELOPES: dict[str, Envelope] = {"polynomial": polynomial_envelope, "cosine": cosine_envelope}


def envelope(name: str) -> Envelope:
    """The envelope of that name: polynomial or cosine.

    Raises:
        InputError: Another name.
    """
    check_word("envelope", name, _ENVELOPES)
    return _ENVELOPES[name]
