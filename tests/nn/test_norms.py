"""Statistics of the first batches, and those of torch."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from torch.nn import functional

from mdbench.nn.norms import RowNorm


def normed(norm, rows):
    """Of rows of one system."""
    return norm(rows, torch.zeros(len(rows), dtype=torch.long), 1)


def test_statistics_are_those_of_the_first_batches():
    """Each batch is normalized by what was known before it: its own systems do not mix."""
    norm, rng = RowNorm(3, "fixed").train(), np.random.default_rng(2)
    batches = torch.tensor(rng.normal(2.0, 3.0, (60, 40, 3)), dtype=torch.float32)
    assert_array_equal(
        normed(norm, batches[0]).detach(), batches[0] / np.sqrt(np.float32(1.0 + 1e-5))
    )
    for batch in batches[1:]:
        normed(norm, batch)
    mean, variance = batches[:50].mean(dim=(0, 1)), batches[:50].var(dim=1).mean(dim=0)
    assert_allclose(norm.running_mean, mean, rtol=1e-4, atol=0)
    assert_allclose(norm.running_var, variance, rtol=1e-4, atol=0)
    expected = functional.batch_norm(batches[0], mean, variance)
    assert_allclose(normed(norm, batches[0]).detach(), expected, rtol=1e-3, atol=1e-4)
    assert torch.equal(normed(norm, batches[0]), normed(norm.eval(), batches[0]))


@pytest.mark.parametrize("norm", ["fixed", "batch"])
def test_few_rows_teach_nothing(norm):
    layer = RowNorm(3, norm).train()
    for n_rows in (0, 1):
        assert normed(layer, torch.ones(n_rows, 3)).isfinite().all()
    assert_array_equal(layer.running_mean, np.zeros(3))
    assert_array_equal(layer.running_var, np.ones(3))


def test_the_published_norm_is_that_of_torch_in_training_always():
    ours, theirs = RowNorm(4, "batch"), torch.nn.BatchNorm1d(4)
    generator = torch.Generator().manual_seed(3)
    for mode in (True, True, False):
        batch = torch.randn(20, 4, generator=generator)
        found, expected = normed(ours.train(mode), batch), theirs.train()(batch)
        assert_allclose(found.detach(), expected.detach(), rtol=1e-5, atol=1e-6)
