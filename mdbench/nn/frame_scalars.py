"""Scalars of an atom's vectors seen in the frames of its edges, by one small network for all.

The network has some tens of hidden units for every channel at both ends of every edge: as tensors
they would be the largest ones of a model by far. Compiled loops keep none of them, and compute them
anew for derivatives. Elsewhere, in double precision, and where a derivative is to be differentiated
once more, torch makes the tensors.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from mdbench.nn.layers import soft_length
from mdbench.twins import compiled_module


def frame_scalars(vectors: Tensor, frames: Tensor, ends: Tensor, layers: nn.Sequential) -> Tensor:
    """(n_edges, 2 n_channels): p₁ + f(p₁, √(p₂² + 0.01) − 0.1, p₃) at both ends of edges.

    p are the three projections of one vector.

    Args:
        vectors: (n_atoms, 3, n_channels).
        frames: (n_edges, 3, 3), vectors in rows.
        ends: (2, n_edges) atoms.
        layers: f, two linear layers of 3 numbers to 1 with SiLU between them.
    """
    made: Tensor = _FrameScalars.apply(  # type: ignore[no-untyped-call]
        ends, vectors, frames, *layers.parameters()
    )
    return made


class _FrameScalars(torch.autograd.Function):
    """The scalars; of the ends, vectors, frames, and the weights and biases of two layers."""

    @staticmethod
    def forward(ctx: Any, ends: Tensor, *factors: Tensor) -> Tensor:
        ctx.save_for_backward(ends, *factors)
        if (kernels := _kernels_for(factors[0])) is None:
            return _scalars(ends, *factors)
        vectors, frames, *layers = (factor.detach().contiguous() for factor in factors)
        found = frames.new_empty(len(frames), 2, vectors.shape[2])
        inputs = (vectors.numpy(), frames.numpy(), ends.numpy(), _layer(*layers).numpy())
        kernels.set_scalars(*inputs, layers[3].numpy()[0], found.numpy())
        return found.flatten(1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        ends, *factors = ctx.saved_tensors
        needed = ctx.needs_input_grad[1:]
        kernels, again = _kernels_for(factors[0]), torch.is_grad_enabled()
        if kernels is not None and not again:
            found = _compiled_slopes(kernels, ends, factors, gradients[0])
        else:
            found = _torch_slopes(ends, factors, gradients[0], again)
        return None, *(slope if need else None for slope, need in zip(found, needed, strict=True))


def _scalars(
    ends: Tensor, vectors: Tensor, frames: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor
) -> Tensor:
    """The scalars, with tensors of all hidden units."""
    seen = []
    for end in ends:
        along, across, third = (frames @ torch.index_select(vectors, 0, end)).unbind(dim=1)
        rows = torch.stack([along, soft_length(across.square()), third], dim=2)
        units = functional.silu(functional.linear(rows, w1, b1))
        seen.append(along + functional.linear(units, w2, b2)[:, :, 0])
    return torch.cat(seen, dim=1)


def _compiled_slopes(
    kernels: Any, ends: Tensor, factors: list[Tensor], gradient: Tensor
) -> tuple[Tensor, ...]:
    """The derivatives by all factors."""
    vectors, frames, *layers = (factor.detach().contiguous() for factor in factors)
    layer, gradient = _layer(*layers), gradient.contiguous()
    found = [torch.zeros_like(each) for each in (vectors, frames, layer)]
    inputs = (vectors.numpy(), frames.numpy(), ends.numpy(), layer.numpy())
    by_end = gradient.view(len(frames), 2, vectors.shape[2]).numpy()
    kernels.add_slopes(*inputs, by_end, *(each.numpy() for each in found))
    of_layer = found[2]
    of_biases = of_layer[:, 3], gradient.sum().view(1)
    return *found[:2], of_layer[:, :3], of_biases[0], of_layer[:, 4:].T, of_biases[1]


def _torch_slopes(
    ends: Tensor, factors: list[Tensor], gradient: Tensor, create_graph: bool
) -> tuple[Tensor, ...]:
    """The derivatives by all factors, which may have derivatives themselves."""
    with torch.enable_grad():
        known = [factor if create_graph else factor.detach() for factor in factors]
        known = [f if f.requires_grad else f.detach().requires_grad_() for f in known]
        made = _scalars(ends, *known)
        return torch.autograd.grad(made, known, gradient, create_graph=create_graph)


def _layer(w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> Tensor:
    """(n_hidden, 5): of each hidden unit its weights, its bias and its weight in the result."""
    return torch.cat([w1, b1[:, None], w2.T], dim=1)


def _kernels_for(x: Tensor) -> Any:
    is_single = x.device.type == "cpu" and x.dtype == torch.float32
    return _kernels() if is_single else None


def _kernels() -> Any:
    return compiled_module("nn.frame_kernels")
