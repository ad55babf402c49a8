"""Forms that are linear in each of their factors.

The derivative of such a form by one factor is linear in each of the others, and so are its own
derivatives: they are derivatives of the form, too, with the gradient in the place of the factor. So
all orders follow from one sum for each place.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor


class Form(Protocol):
    """A number that is linear in each of some tensors."""

    def add_derivative(self, place: int, factors: Sequence[Tensor]) -> None:
        """Adds the derivative by the factor at a place, of the other factors, to that one.

        Args:
            place: Of a factor.
            factors: All of them, contiguous and without gradients.
        """
        ...


def derivative(
    form: Form, place: int, shape: Sequence[int], factors: Sequence[Tensor | None]
) -> Tensor:
    """The derivative of a form by the factor at a place, which has this shape.

    Args:
        form: The form.
        place: Of a factor.
        shape: Of that factor.
        factors: The others, and None in that place.
    """
    made: Tensor = _Derivative.apply(form, place, shape, *factors)  # type: ignore[no-untyped-call]
    return made


class _Derivative(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, form: Form, place: int, shape: Sequence[int], *factors: Tensor | None
    ) -> Tensor:
        ctx.form, ctx.place = form, place
        ctx.save_for_backward(*factors)
        known = [factor.detach().contiguous() for factor in factors if factor is not None]
        found = known[0].new_zeros(shape)
        known.insert(place, found)
        form.add_derivative(place, known)
        return found

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        factors = list(ctx.saved_tensors)
        shapes = [None if factor is None else factor.shape for factor in factors]
        factors[ctx.place] = gradients[0]
        found: list[Tensor | None] = [None, None, None]
        for place, shape in enumerate(shapes):
            if shape is None or not ctx.needs_input_grad[3 + place]:
                found.append(None)
            else:
                others = (*factors[:place], None, *factors[place + 1 :])
                found.append(derivative(ctx.form, place, shape, others))
        return tuple(found)
