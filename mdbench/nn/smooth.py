"""Smooth activations that cost what their arithmetic costs, as do their derivatives."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from mdbench.twins import compiled_module


def smooth_kernels() -> Any:
    """The compiled loops of this module, if any."""
    return compiled_module("nn.smooth_kernels")


def compiles(x: Tensor) -> bool:
    """Whether there are compiled loops for such tensors: those of models that run on a CPU.

    They are in single precision; double precision is for checks, and torch's.
    """
    on_cpu: bool = x.device.type == "cpu" and x.dtype == torch.float32
    return on_cpu and smooth_kernels() is not None


def softplus(x: Tensor) -> Tensor:
    """ln(1 + eˣ), of the shape of x.

    torch's own takes several times as long in single precision, and its derivative again.
    """
    made: Tensor = _Softplus.apply(x)  # type: ignore[no-untyped-call]
    return made


class _Softplus(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        if not compiles(x):
            return functional.softplus(x)
        x = x.detach().contiguous()
        found = torch.empty_like(x)
        smooth_kernels().softplus(x.view(-1).numpy(), found.view(-1).numpy())
        return found

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return gradients[0] * torch.sigmoid(x)


def silu(x: Tensor) -> Tensor:
    """x/(1 + e⁻ˣ), of the shape of x.

    Where forces are trained, torch differentiates the derivative as the many products that it is
    made of, each as large as x. Here it is one step, and so is its own derivative.
    """
    made: Tensor = _Silu.apply(x)  # type: ignore[no-untyped-call]
    return made


class _Silu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return functional.silu(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return _sloped(gradients[0], *ctx.saved_tensors)


def _sloped(y: Tensor, x: Tensor) -> Tensor:
    """The product y silu′(x)."""
    made: Tensor = _Sloped.apply(y, x)  # type: ignore[no-untyped-call]
    return made


class _Sloped(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, y: Tensor, x: Tensor) -> Tensor:
        ctx.save_for_backward(y, x)
        found: Tensor = torch.ops.aten.silu_backward(y, x)
        return found

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        y, x = ctx.saved_tensors
        return _sloped(gradients[0], x), _curved(gradients[0], y, x)


def _curved(z: Tensor, y: Tensor, x: Tensor) -> Tensor:
    """The product z y silu″(x), silu″ = s (1 − s) (2 + x (1 − 2 s)) with the sigmoid s."""
    if torch.is_grad_enabled() or not compiles(x):
        s = torch.sigmoid(x)
        return z * y * s * (1.0 - s) * (2.0 + x * (1.0 - 2.0 * s))
    parts = [part.detach().contiguous() for part in (z, y, x)]
    found = torch.empty_like(parts[0])
    smooth_kernels().curved(*(part.view(-1).numpy() for part in (*parts, found)))
    return found
