"""Blocks of layers in pieces of rows: the same as layer by layer, with derivatives."""

import pytest
import torch
from torch.testing import assert_close

from mdbench.nn import directional
from mdbench.nn.directional import EDGES, HEARD, ITSELF, Residual, orthogonal_linear, run_blocks

N_CHANNELS = 6


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    """Rows that do not fill the last piece."""
    monkeypatch.setattr(directional, "_PIECE", 4)


def blocks() -> list[directional.Block]:
    torch.manual_seed(0)
    layers = [orthogonal_linear(N_CHANNELS, N_CHANNELS).double() for _ in range(3)]
    residual = Residual(N_CHANNELS).double()
    for layer in (*layers, residual.first, residual.second):
        torch.nn.init.normal_(layer.bias)
    first, second, third = layers
    return [((first,), HEARD), residual.block(), ((second,), EDGES), ((third, first), ITSELF)]


def naive(made: list[directional.Block], edges, heard):
    x = edges
    for layers, added in made:
        before = x
        for layer in layers:
            x = torch.nn.functional.silu(layer(x))
        x = x + {HEARD: heard, EDGES: edges, ITSELF: before}[added]
    return x


def frozen(made: list[directional.Block]) -> list[directional.Block]:
    for layers, _ in made:
        for layer in layers:
            layer.requires_grad_(False)
    return made


def inputs(n_rows: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    shape = (n_rows, N_CHANNELS)
    return [
        torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_()
        for _ in range(2)
    ]


@pytest.mark.parametrize("n_rows", [0, 3, 4, 11])
@pytest.mark.parametrize("trained", [True, False])
def test_blocks(trained, n_rows):
    made = blocks() if trained else frozen(blocks())
    edges, heard = inputs(n_rows)
    probe = torch.linspace(-1.0, 1.0, n_rows * N_CHANNELS, dtype=torch.float64)
    probe = probe.view(n_rows, N_CHANNELS)
    found, expected = run_blocks(made, edges, heard), naive(made, edges, heard)
    assert_close(found, expected, rtol=1e-13, atol=1e-14)
    slopes = [torch.autograd.grad(x, (edges, heard), probe) for x in (found, expected)]
    for one, other in zip(*slopes, strict=True):
        assert_close(one, other, rtol=1e-12, atol=1e-14)


def test_second_derivatives_of_weights_that_are_not_trained():
    made = frozen(blocks())

    def run(edges, heard):
        return run_blocks(made, edges, heard)

    assert torch.autograd.gradgradcheck(run, inputs(5))


def test_a_residual_and_its_block_are_the_same():
    residual = Residual(N_CHANNELS).double()
    edges, heard = inputs(5)
    found = run_blocks([residual.block()], edges, heard)
    assert_close(found, residual(edges), rtol=1e-14, atol=0)
