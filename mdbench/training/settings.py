"""How a model is trained: the published recipe, and ours."""

from __future__ import annotations

import math
from dataclasses import dataclass

from mdbench.errors import InputError


@dataclass(frozen=True)
class TrainingSettings:
    """A recipe; the default one unless said otherwise.

    Attributes:
        batch_size: Frames of a step of the optimizer.
        learning_rate: The largest one.
        weight_decay: Of the optimizer.
        decoupled: Weight decay beside the gradient (AdamW), not within it (Adam).
        amsgrad: Adam with the largest second moment so far.
        energy_weight: Of the mean squared error of energies in the loss.
        force_weight: Of that of force components.
        follow: Share of the mean error of a step's energies that the energies of free atoms take up
            at once: the offset of the network, which forces do not know, is then no longer learned
            through the weights.
        per_atom: Energies per atom in the loss, not of whole systems.
        schedule: `cosine`: rises for the first 100 steps or 2 % of the budget, whichever is
            shorter, then falls with the elapsed share of the budget; `plateau`: falls by a fifth
            when six validations in a row were no better than the best.
        clip: Largest norm of the gradient, as a multiple of its running mean; None: any.
        average: Largest decay of the running average of the weights, by which models are judged.
        validations: Spread evenly over the budget; None: one after each epoch.
    """

    batch_size: int = 2
    learning_rate: float = 2.5e-3
    weight_decay: float = 0.0
    decoupled: bool = True
    amsgrad: bool = False
    energy_weight: float = 1.0
    force_weight: float = 1000.0
    per_atom: bool = True
    follow: float = 0.1
    schedule: str = "cosine"
    clip: float | None = 2.0
    average: float = 0.999
    validations: int | None = 20

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise InputError("batch size", expected="1 frame or more", found=self.batch_size)
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0.0):
            raise InputError(
                "learning rate", expected="a finite number above 0", found=self.learning_rate
            )


#: Ours, and that for models of a quarter of the width: Adam's best rate goes as one over the width
#: (Yang et al. 2022, arXiv:2203.03466). 0.01 is too much for SchNet at the size of the paper.
DEFAULT = TrainingSettings()
DEFAULT_SMALL = TrainingSettings(learning_rate=1e-2)
#: As published with the benchmark (Digital Discovery 2024, 3, 2177), but for its separate
#: normalization of energies and forces (`loss`), and its budget that ended between epochs.
PAPER = TrainingSettings(
    batch_size=2,
    learning_rate=1e-3,
    weight_decay=1e-6,
    decoupled=False,
    amsgrad=True,
    per_atom=False,
    follow=0.0,
    schedule="plateau",
    clip=None,
    validations=None,
)
