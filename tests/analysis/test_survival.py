"""Survival of replicas: worked examples, exact limits, coverage."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import binomtest

from mdbench.analysis.survival import survival
from mdbench.errors import InputError


def at(curve, values, time):
    return values[np.searchsorted(curve.times_ps, time, side="right") - 1]


def test_a_curve_worked_by_hand():
    """Six replicas: one fails at 3 ps, two at 5, one ends sound at 20, two at 35."""
    curve = survival([35, 5, 20, 3, 35, 5], [False, True, False, True, False, True])
    assert_array_equal(curve.times_ps, [0, 3, 5, 20])
    assert_array_equal(curve.at_risk, [6, 5, 3, 2])
    assert_array_equal(curve.failed, [0, 1, 2, 0])
    assert_allclose(curve.survival, [1, 5 / 6, 5 / 6 * 3 / 5, 1 / 2], rtol=1e-12, atol=0)
    assert curve.end_ps == 35


def test_censored_replicas_count_until_they_end():
    """One ends at 4 ps: of the others each is a third, not a quarter."""
    curve = survival([4, 6, 8, 10], [False, True, True, False])
    assert_allclose(curve.survival, [1, 1, 2 / 3, 1 / 3], rtol=1e-12, atol=0)
    together = survival([6, 6, 8], [False, True, False])
    assert_allclose(at(together, together.survival, 6), 2 / 3, rtol=1e-12, atol=0)


def test_the_estimate_is_the_product_over_times():
    rng = np.random.default_rng(0)
    times = rng.integers(0, 12, 40).astype(float)
    failed = rng.random(40) < 0.6
    curve = survival(times, failed)
    product = 1.0
    for t in range(12):
        running = sum(other >= t for other in times)
        dead = sum(f and other == t for f, other in zip(failed, times, strict=True))
        product *= 1.0 - dead / running if running else 1.0
        assert_allclose(at(curve, curve.survival, t), product, rtol=1e-12, atol=0)
    assert (np.diff(curve.low) <= 0).all()
    assert (np.diff(curve.high) <= 0).all()
    assert ((curve.low <= curve.survival) & (curve.survival <= curve.high)).all()


@pytest.mark.parametrize("level", [0.95, 0.8])
def test_without_censoring_limits_are_exact(level):
    times = np.array([1.0, 2.0, 2.0, 4.0, 7.0, 9.0])
    curve = survival(times, np.ones(6, dtype=bool), level=level)
    for t in (0.5, 1.5, 2.5, 5.0, 8.0, 9.0):
        sound = int((times > t).sum())
        limits = binomtest(sound, 6).proportion_ci(level)
        found = at(curve, curve.low, t), at(curve, curve.high, t)
        assert_allclose(found, (limits.low, limits.high), rtol=1e-9, atol=0)


def test_sound_replicas_leave_room_for_failure():
    curve = survival([35.0] * 6, [False] * 6)
    assert_array_equal(curve.survival, [1.0])
    assert_array_equal(curve.high, [1.0])
    assert_allclose(curve.low, [0.025 ** (1 / 6)], rtol=1e-12, atol=0)


@pytest.mark.parametrize("n", [3, 6, 20])
def test_intervals_cover_the_truth(n):
    """Exponential failures, censored between 5 and 35 ps."""
    rng = np.random.default_rng(n)
    covered = np.zeros(3)
    for _ in range(400):
        fails, ends = rng.exponential(20.0, n), rng.uniform(5.0, 35.0, n)
        curve = survival(np.minimum(fails, ends), fails <= ends)
        for k, t in enumerate((3.0, 10.0, 20.0)):
            low = at(curve, curve.low, t) if t <= curve.end_ps else 0.0
            covered[k] += low <= np.exp(-t / 20.0) <= at(curve, curve.high, t)
    assert (covered / 400 >= 0.94).all()


@pytest.mark.parametrize(
    "times, failed", [([], []), ([1.0], [True, False]), ([np.nan], [True]), ([-1.0], [False])]
)
def test_senseless_times_are_refused(times, failed):
    with pytest.raises(InputError, match=r"^survival: expected"):
        survival(times, failed)
