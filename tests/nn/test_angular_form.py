"""The form of harmonics, moments, values and filters: its derivatives of all orders."""

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck
from torch.testing import assert_close

from mdbench.nn.angular_form import AngularForm

COUNTS, N_ROWS, N_DEGREES, N_CHANNELS = [3, 0, 2], 4, 3, 5
N_EDGES = sum(COUNTS)


def factors(dtype: torch.dtype) -> list[torch.Tensor]:
    """Harmonics, moments, values, filters."""
    generator = torch.Generator().manual_seed(0)
    shapes = [
        (N_EDGES, N_DEGREES**2),
        (len(COUNTS), N_DEGREES**2, N_CHANNELS),
        (N_EDGES, N_CHANNELS),
        (N_ROWS, N_DEGREES, N_CHANNELS),
    ]
    made = [torch.randn(s, generator=generator, dtype=torch.float64).to(dtype) for s in shapes]
    return [tensor.requires_grad_() for tensor in made]


@pytest.fixture
def form() -> AngularForm:
    """Five edges of three atoms, one of which has none; a row of two edges, and one of none."""
    return AngularForm(torch.tensor([0, 3, 3, 5]), torch.tensor([2, 0, 1, 2, 0]))


def weighted(form: AngularForm, values: torch.Tensor, filters: torch.Tensor) -> torch.Tensor:
    """(n_edges, n_degrees², n_channels) v w."""
    sizes = torch.arange(N_DEGREES) * 2 + 1
    return values[:, None] * filters[form.rows].repeat_interleave(sizes, dim=1)


@pytest.mark.parametrize("dtype, error", [(torch.float32, 1e-6), (torch.float64, 1e-14)])
def test_sums(form, dtype, error):
    y, a, v, w = factors(dtype)
    atoms = torch.repeat_interleave(torch.tensor(COUNTS))
    moments, heard = form.moments(y, v, w), form.values(y, a, w)
    products = y[:, :, None] * weighted(form, v, w)
    expected = torch.zeros_like(a).index_add(0, atoms, products)
    assert_close(moments, expected, rtol=0, atol=error * float(expected.detach().abs().max()))
    expected = (y[:, :, None] * weighted(form, torch.ones_like(v), w) * a[atoms]).sum(dim=1)
    assert_close(heard, expected, rtol=0, atol=error * float(expected.detach().abs().max()))


def test_derivatives_of_two_orders(form):
    y, a, v, w = factors(torch.float64)
    for sums, inputs in ((form.moments, (y, v, w)), (form.values, (y, a, w))):
        assert gradcheck(sums, inputs)
        assert gradgradcheck(sums, inputs)


def test_rows_need_not_lie_side_by_side(form):
    y, _, v, w = factors(torch.float64)
    expected = form.moments(y, v, w)
    apart = [torch.stack([t, t], dim=-1)[..., 0] for t in (y, v, w)]
    assert not apart[0].is_contiguous()
    assert_close(form.moments(*apart), expected, rtol=0, atol=0)
