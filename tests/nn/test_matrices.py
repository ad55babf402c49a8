"""The inverse square root of matrices beside that of their eigenvalues, and its derivatives."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from mdbench.nn.matrices import inverse_square_root


def with_eigenvalues(values, seed=0):
    """A matrix (3, 3) that is turned at random."""
    q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return (q * values) @ q.T


@pytest.mark.parametrize(
    "values",
    [(1, 1, 1), (2, 2, 5), (1, 3, 7), (1, 1, 1e6), (1, 1e3, 1e3), (1e-5, 1e-5, 1e-5), (1, 30, 1e4)],
)
def test_it_is_that_of_the_eigenvalues(values):
    values = np.array(values, float)
    found = inverse_square_root(torch.tensor(with_eigenvalues(values))[None])[0].numpy()
    expected = with_eigenvalues(values**-0.5)
    assert_allclose(found, expected, rtol=0, atol=1e-8 * np.abs(expected).max())


@pytest.mark.parametrize("values", [(2, 2, 2), (1, 3, 3), (1, 2, 5)])
def test_two_derivatives_are_finite_and_right(values):
    """Where eigenvalues are equal, derivatives of eigenvectors are not finite."""
    matrices = torch.tensor(with_eigenvalues(np.array(values, float)))[None].requires_grad_()

    def symmetric(x):
        return inverse_square_root(0.5 * (x + x.transpose(1, 2)))

    assert torch.autograd.gradcheck(symmetric, matrices)
    assert torch.autograd.gradgradcheck(symmetric, matrices)
