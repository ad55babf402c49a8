"""What every model must do, as checks that the author of a model runs in tests of their own.

    from mdbench.testing import CHECKS, check_class, check_model, random_weights

    def test_the_class():
        check_class(MyModel)

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    def test_the_contract(check):
        check(random_weights(MyModel()).double())

mdbench holds its own models to the same `CHECKS`. A check takes a model on the CPU, in evaluation
mode, in single or double precision, and raises AssertionError with a sentence; what a model does
not claim (`symmetry`, `conservative`) is not asked. numpy and torch are all that this needs.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

from mdbench.models.base import EnergyModel
from mdbench.testing.batches import (
    batch_is_single,
    determinism,
    no_leak,
    no_leak_in_training,
    round_trip,
    scale_and_shifts,
    training_is_evaluation,
)
from mdbench.testing.classes import check_class
from mdbench.testing.force_fields import check_calculator, check_force_field
from mdbench.testing.neighborhoods import (
    edges_beyond_the_cutoff,
    few_atoms,
    few_neighbors,
    smooth_at_the_cutoff,
    strange_elements,
)
from mdbench.testing.slopes import (
    all_weights_learn,
    forces_are_derivatives,
    loss_has_right_gradients,
    virials_are_derivatives,
)
from mdbench.testing.symmetries import (
    extensivity,
    periodic_wrap,
    permutation,
    proper_rotation,
    reflection,
    translation,
)

__all__ = [
    "CHECKS",
    "EXACT",
    "Check",
    "check_calculator",
    "check_class",
    "check_force_field",
    "check_model",
    "random_weights",
]

#: Raises AssertionError for a model that does not do what the check is named after.
Check = Callable[[EnergyModel], None]
Model = TypeVar("Model", bound=EnergyModel)

#: Checks that are made in double precision, whatever the precision of the model.
EXACT: tuple[Check, ...] = (
    forces_are_derivatives,
    virials_are_derivatives,
    smooth_at_the_cutoff,
    loss_has_right_gradients,
    all_weights_learn,
)
#: All checks.
CHECKS: tuple[Check, ...] = (
    translation,
    proper_rotation,
    reflection,
    permutation,
    periodic_wrap,
    extensivity,
    batch_is_single,
    no_leak,
    no_leak_in_training,
    training_is_evaluation,
    determinism,
    few_atoms,
    few_neighbors,
    edges_beyond_the_cutoff,
    round_trip,
    scale_and_shifts,
    strange_elements,
    *EXACT,
)


def check_model(model: EnergyModel, checks: Sequence[Check] = CHECKS) -> None:
    """Requires all that a model must do, of a copy of it on the CPU in evaluation mode.

    Zeros that a network starts from hide what is wrong behind them: `random_weights` has none.

    Args:
        model: With any weights, in single or double precision.
        checks: Which ones.

    Raises:
        AssertionError: A line for each check that fails.
    """
    failed = []
    for check in checks:
        try:
            check(copy.deepcopy(model).cpu().eval())
        except AssertionError as error:
            failed.append(f"{check.__name__}: {error}")
    if failed:
        raise AssertionError(f"{type(model).__name__}: " + "\n".join(failed))


def random_weights(model: Model, seed: int = 1) -> Model:
    """A copy of a model in evaluation mode, all weights random, also those that start at 0 or 1.

    Args:
        model: Any.
        seed: Of what is added to the weights.
    """
    changed = copy.deepcopy(model).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in changed.parameters():
            size = torch.where(p == 0.0, 1.0, p.abs())
            p.add_(0.1 * size * torch.randn(p.shape, generator=generator))
    return changed
