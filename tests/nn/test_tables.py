"""Tables of radial functions: stated errors, slopes that belong to the values, both ways alike."""

import math

import pytest
import torch
from numpy.testing import assert_allclose
from torch import nn

from mdbench.errors import InputError
from mdbench.nn import tables
from mdbench.nn.radial import ExpNormalBasis, GaussianBasis
from mdbench.nn.tables import SLOPE_ERROR, VALUE_ERROR, RadialTable

CUTOFF = 6.0


@pytest.fixture(params=["compiled", "torch"])
def way(request, monkeypatch):
    """Both ways to compute."""
    if request.param == "torch":
        monkeypatch.setattr(tables, "_kernels", lambda table: None)


class Network(nn.Module):
    """A filter network with random weights."""

    def __init__(self, basis, n_basis, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.layers = nn.Sequential(basis, nn.Linear(n_basis, 8), nn.SiLU(), nn.Linear(8, 5))

    def forward(self, lengths):
        return self.layers(lengths)


class Wave(nn.Module):
    """sin(2π d/length) of one length after the other."""

    def __init__(self, *lengths):
        super().__init__()
        self.register_buffer("lengths", torch.tensor(lengths, dtype=torch.float64))

    def forward(self, lengths):
        return torch.sin(2.0 * math.pi * lengths[:, None] / self.lengths)


def distances(n=2_000, seed=0):
    generator = torch.Generator().manual_seed(seed)
    inside = CUTOFF * torch.rand(n, generator=generator, dtype=torch.float64)
    return torch.cat([inside, torch.tensor([1e-9, CUTOFF], dtype=torch.float64)]).requires_grad_()


def slopes(function, lengths):
    """(n, n_out), one function after the other."""
    columns = function(lengths).unbind(dim=1)
    return torch.stack(
        [torch.autograd.grad(c.sum(), lengths, retain_graph=True)[0] for c in columns], dim=1
    )


@pytest.mark.parametrize(
    "function",
    [
        Network(GaussianBasis(CUTOFF, 100), 100),
        Network(GaussianBasis(CUTOFF, 300), 300),
        Network(ExpNormalBasis(CUTOFF, 32), 32),
        Wave(1.0, 0.2),
    ],
    ids=["Gaussians", "narrow Gaussians", "exponentials", "waves"],
)
def test_errors_are_as_stated(way, function):
    table, lengths = RadialTable(function, CUTOFF, torch.float64), distances()
    exact = function.double()
    for of, error in (
        (lambda f: f(lengths), VALUE_ERROR),
        (lambda f: slopes(f, lengths), SLOPE_ERROR),
    ):
        found, expected = of(table).detach(), of(exact).detach()
        assert_allclose(found, expected, rtol=0, atol=1.05 * error * float(expected.abs().max()))


def test_the_slope_is_that_of_the_values(way):
    """Else energies would drift."""
    table = RadialTable(Wave(1.0, 0.7), CUTOFF, torch.float64)
    inside = distances(50).detach()[:-2].requires_grad_()
    assert torch.autograd.gradcheck(table, inside, eps=1e-6, atol=1e-7)


def test_a_table_is_smooth_at_its_knots():
    table = RadialTable(Wave(0.5), CUTOFF, torch.float64)
    knots = table.step * torch.arange(1, 40, dtype=torch.float64)
    before, after = ((knots + s * 1e-12).requires_grad_() for s in (-1.0, 1.0))
    assert_allclose(table(before).detach(), table(after).detach(), rtol=0, atol=1e-10)
    assert_allclose(slopes(table, before), slopes(table, after), rtol=0, atol=1e-8)


def test_the_function_stays_as_it_was():
    function = Network(GaussianBasis(CUTOFF, 20), 20)
    before = {k: v.clone() for k, v in function.state_dict().items()}
    table = RadialTable(function, CUTOFF, torch.float32)
    assert all(torch.equal(v, before[k]) for k, v in function.state_dict().items())
    assert all(p.requires_grad for p in function.parameters())
    assert table(distances().float()).dtype == torch.float32
    assert not table.state_dict()


def test_beyond_the_cutoff_it_stays_as_it_is_there(way):
    """Edges of whole neighbor lists are there, and have no effect where the function ends."""
    table = RadialTable(Wave(1.3), CUTOFF, torch.float64)
    lengths = torch.tensor([CUTOFF, CUTOFF + 1.0], dtype=torch.float64, requires_grad=True)
    at, beyond = table(lengths).detach()
    assert_allclose(beyond, at, rtol=0, atol=0)
    assert slopes(table, lengths)[1] == 0.0


def test_no_distances_have_no_values(way):
    table = RadialTable(Wave(1.0), CUTOFF, torch.float64)
    assert table(torch.empty(0, dtype=torch.float64)).shape == (0, 1)


def test_what_no_table_can_follow_is_refused():
    with pytest.raises(InputError, match="radial functions"):
        RadialTable(Wave(1e-3), CUTOFF, torch.float64)
