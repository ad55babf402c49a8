"""Scalars in the frames of edges: one edge and channel at a time, and their derivatives."""

import math

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import nn

from mdbench.nn import frame_scalars as module
from mdbench.nn.frame_scalars import frame_scalars


@pytest.fixture(params=["compiled", "torch"])
def way(request, monkeypatch):
    """Both ways to compute, in single precision."""
    if request.param == "torch":
        monkeypatch.setattr(module, "_kernels", lambda: None)


def some(dtype=torch.float32, n_edges=7, seed=0):
    """Vectors, frames, the atoms of edges, and two layers with large weights."""
    generator = torch.Generator().manual_seed(seed)

    def random(*shape):
        return torch.randn(*shape, dtype=torch.float64, generator=generator).to(dtype)

    vectors, frames = random(4, 3, 5), random(n_edges, 3, 3)
    ends = torch.randint(0, 4, (2, n_edges), generator=generator)
    layers = nn.Sequential(nn.Linear(3, 6), nn.SiLU(), nn.Linear(6, 1)).to(dtype)
    with torch.no_grad():
        for p in layers.parameters():
            p.copy_((1.0 if p.ndim == 1 else 2.0) * random(*p.shape))
    return vectors.requires_grad_(), frames.requires_grad_(), ends, layers


def naive(vectors, frames, ends, layers):
    """Number by number."""
    hidden, _, result = layers
    rows = []
    for e, frame in enumerate(frames):
        for end in ends[:, e]:
            for n in range(vectors.shape[2]):
                along, across, third = frame @ vectors[end, :, n]
                p = torch.stack([along, torch.sqrt(across**2 + 0.01) - 0.1, third])
                x = hidden.weight @ p + hidden.bias
                rows.append(along + result.weight[0] @ (x / (1.0 + torch.exp(-x))) + result.bias[0])
    return torch.stack(rows).view(len(frames), -1)


def slopes_of(made, factors, seed=1):
    generator = torch.Generator().manual_seed(seed)
    weights = torch.randn(made.shape, dtype=torch.float64, generator=generator).to(made)
    return torch.autograd.grad((weights * made).sum(), factors, create_graph=True)


def factors_of(vectors, frames, layers):
    return [vectors, frames, *layers.parameters()]


def assert_near(found, expected, share):
    scale = share * float(expected.detach().abs().max())
    assert_allclose(found.detach(), expected.detach(), rtol=0, atol=scale)


def test_scalars_and_their_slopes(way):
    vectors, frames, ends, layers = some()
    factors = factors_of(vectors, frames, layers)
    found = frame_scalars(vectors, frames, ends, layers)
    weights = torch.ones_like(found)
    slopes = torch.autograd.grad(found, factors, weights)

    exact = some(torch.float64)
    expected = naive(*exact)
    exact_factors = factors_of(exact[0], exact[1], exact[3])
    exact_slopes = torch.autograd.grad(expected, exact_factors, weights.double())
    assert found.dtype == torch.float32
    assert_near(found, expected, 1e-6)
    for one, other in zip(slopes, exact_slopes, strict=True):
        assert_near(one, other, 3e-6)


def test_slopes_can_be_differentiated(way):
    """In single precision too, where the compiled ones cannot."""
    for dtype, share in ((torch.float32, 1e-5), (torch.float64, 1e-12)):
        vectors, frames, ends, layers = some(dtype)
        factors = factors_of(vectors, frames, layers)
        curved = []
        for function in (frame_scalars, naive):
            slopes = slopes_of(function(vectors, frames, ends, layers), factors)
            total = sum(slope.square().sum() for slope in slopes)
            curved.append(torch.autograd.grad(total, factors[:-1]))  # the last bias is linear
        for one, other in zip(*curved, strict=True):
            assert_near(one, other, share)


def test_only_what_is_asked_for(way):
    """Weights that are not trained cost nothing and get nothing."""
    vectors, frames, ends, layers = some()
    layers.requires_grad_(False)
    made = frame_scalars(vectors.detach(), frames, ends, layers)
    made.sum().backward()
    assert frames.grad is not None
    assert vectors.grad is None


def test_sigmoids_are_those_of_single_precision():
    kernels = pytest.importorskip("mdbench.nn.frame_kernels")
    x = np.linspace(-40.0, 40.0, 4001, dtype=np.float32)
    found = [kernels._sigmoid(each) for each in x]
    expected = [1.0 / (1.0 + math.exp(-float(each))) for each in x]
    assert_allclose(found, expected, rtol=0, atol=1.2e-7)


def test_no_edges_have_no_scalars(way):
    vectors, frames, ends, layers = some(n_edges=0)
    made = frame_scalars(vectors, frames, ends, layers)
    assert made.shape == (0, 10)
    made.sum().backward()
    assert not vectors.grad.any()
