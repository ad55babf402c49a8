"""Random numbers: the published test vectors, distributions, and what they depend on."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import chi2, kstest, norm

from mdbench.md.kernels_torch import _chi_squared, _normal_pair, _uniform
from mdbench.md.random import CSVR, GAMMA_ATTEMPTS, LANGEVIN, normals, philox4x32, stream_key
from mdbench.md.thermostats import chi_squared, normal_pair, words

#: Of Random123's file kat_vectors: counter, key, result.
KNOWN = [
    (4 * "00000000 ", 2 * "00000000 ", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    (4 * "ffffffff ", 2 * "ffffffff ", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    (
        "243f6a88 85a308d3 13198a2e 03707344",
        "a4093822 299f31d0",
        "d16cfe09 94fdcceb 5001e420 24126ea1",
    ),
]


def numbers(text):
    return [int(word, 16) for word in text.split()]


@pytest.mark.parametrize("counter, key, result", KNOWN)
def test_philox_gives_the_published_words(counter, key, result):
    arguments, expected = [*numbers(counter), *numbers(key)], numbers(result)
    assert list(philox4x32(*arguments)) == expected
    assert list(words(*arguments)) == expected
    arrays = philox4x32(*(np.full(3, a, dtype=np.int64) for a in arguments))
    assert_array_equal(arrays, np.repeat(expected, 3).reshape(4, 3))
    tensors = philox4x32(*(torch.tensor([a]) for a in arguments))
    assert [int(t) for t in tensors] == expected


def test_words_of_all_back_ends_are_equal():
    index = np.arange(1000, dtype=np.int64)
    arguments = 7, 3, LANGEVIN, 0xDEADBEEF, 0x12345678
    arrays = philox4x32(index, *arguments)
    tensors = philox4x32(torch.tensor(index), *arguments)
    for i in (0, 1, 999):
        assert list(words(i, *arguments)) == [int(a[i]) for a in arrays]
    assert_array_equal(np.stack(arrays), torch.stack(tensors).numpy())


def test_keys_tell_runs_apart():
    runs = [(s, m, t, r) for s in (0, 1) for m in ("a", "b") for t in (300, 300.5) for r in (0, 1)]
    assert len({stream_key(*run) for run in runs}) == len(runs)
    assert stream_key(1, "lgps", 800, 2) == stream_key(1, "lgps", 800.0, 2)


def test_normals_are_normal_and_independent():
    sample = normals(np.array(stream_key(0, "x", 1.0, 0)), 40_000, 5, LANGEVIN)
    for column in sample.T:
        assert kstest(column, norm.cdf).pvalue > 1e-3
    for i, j in ((0, 1), (0, 2), (1, 2)):
        for one in (sample[:, i], sample[:, i] ** 2):
            for other in (sample[:, j], sample[:, j] ** 2):
                assert abs(np.corrcoef(one, other)[0, 1]) < 4.0 / 200.0


def test_normals_depend_on_step_and_purpose_not_on_the_number_of_atoms():
    key = np.array([5, 6])
    assert_array_equal(normals(key, 50, 9, LANGEVIN)[:7], normals(key, 7, 9, LANGEVIN))
    assert not (normals(key, 7, 9, LANGEVIN) == normals(key, 7, 9, CSVR)).any()
    assert not (normals(key, 7, 9, LANGEVIN) == normals(key, 7, 9 + 2**32, LANGEVIN)).any()


def test_compiled_and_torch_normals_are_those_of_numpy():
    key = np.array([5, 6])
    expected = normals(key, 20, 9, LANGEVIN)
    for i in range(20):
        w0, w1, w2, w3 = words(i, 9, 0, LANGEVIN, 5, 6)
        found = [*normal_pair(w0, w1), normal_pair(w2, w3)[0]]
        assert_allclose(found, expected[i], rtol=1e-13, atol=0)
    w = philox4x32(torch.arange(20), 9, 0, LANGEVIN, 5, 6)
    found = torch.stack([*_normal_pair(w[0], w[1]), _normal_pair(w[2], w[3])[0]], dim=1)
    assert_allclose(found.numpy(), expected, rtol=1e-13, atol=0)


@pytest.mark.parametrize("freedom", [2.0, 5.0, 146.0])
def test_chi_squared(freedom):
    key = np.array([5, 6])
    sample = np.array([chi_squared(key, step, freedom) for step in range(20_000)])
    assert kstest(sample, chi2(freedom).cdf).pvalue > 1e-3
    assert abs(np.corrcoef(sample[1:], sample[:-1])[0, 1]) < 4.0 / np.sqrt(len(sample))


def test_chi_squared_of_torch_is_the_compiled_one():
    steps = torch.arange(2000)
    attempts = torch.arange(1, GAMMA_ATTEMPTS + 1)[:, None]
    w0, w1, w2, _ = philox4x32(attempts, steps, 0, CSVR, 5, 6)
    freedom = torch.full((2000,), 2.0, dtype=torch.float64)
    found = _chi_squared(_normal_pair(w0, w1)[0], _uniform(w2), freedom)
    expected = [chi_squared(np.array([5, 6]), step, 2.0) for step in range(2000)]
    assert_allclose(found.numpy(), expected, rtol=1e-12, atol=0)
