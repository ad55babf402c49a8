"""The difference of two g(r) on the scales of other fields."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class OtherScales:
    """The same difference on the scales of other benchmarks; None is undefined.

    Attributes:
        mdsim: rdf_mae · r_max, Å.
        matbench: 100 · ∫|Δg| dr / ∫|g_reference − 1| dr.
        wasserstein: Wasserstein-1 distance of the densities of pair distances below r_max, Å.
    """

    mdsim: float
    matbench: float | None
    wasserstein: float | None


def other_scales(edges: FloatArray, model: FloatArray, reference: FloatArray) -> OtherScales:
    """The difference of two g(r) on the scales of other benchmarks.

    Args:
        edges: (n_bins + 1,) Å.
        model: (n_bins,) g(r) of the model.
        reference: (n_bins,) g(r) of the reference.
    """
    widths = np.diff(edges)
    difference = float(widths @ np.abs(model - reference))
    structure = float(widths @ np.abs(reference - 1.0))
    numbers = [np.diff(edges**3) * g for g in (model, reference)]  # of pairs in each bin
    wasserstein = None
    if all(n.sum() > 0.0 for n in numbers):
        reached = [np.cumsum(n) / n.sum() for n in numbers]  # at the upper edge of each bin
        wasserstein = float(widths @ np.abs(reached[0] - reached[1]))
    return OtherScales(
        mdsim=float(np.abs(model - reference).mean() * edges[-1]),
        matbench=100.0 * difference / structure if structure > 0.0 else None,
        wasserstein=wasserstein,
    )
