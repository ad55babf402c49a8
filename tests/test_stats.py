"""Estimates and spreads: against scipy, by hand, and by coverage."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import stats as distributions

from mdbench.stats import (
    Estimate,
    Spread,
    log_estimate,
    mean_spread,
    normal_estimate,
    student_t,
    sum_of,
)

positive = st.floats(1e-3, 1e3)
freedoms = st.floats(1.0, 100.0)
spreads = st.lists(st.builds(Spread, positive, freedoms), min_size=1, max_size=6)


@pytest.mark.parametrize("freedom, quantile", [(1, 12.7062), (10, 2.22814), (math.inf, 1.95996)])
def test_student_t_is_that_of_the_tables(freedom, quantile):
    assert_allclose(student_t(freedom), quantile, rtol=1e-5, atol=0)


def test_the_spread_of_a_mean():
    values = [3.0, 5.0, 10.0]
    spread = mean_spread(values)
    assert_allclose(spread.standard_error, distributions.sem(values), rtol=1e-12, atol=0)
    assert spread.freedom == 2


def test_a_sum_has_the_degrees_of_freedom_of_welch_and_satterthwaite():
    """Those of Welch's t test are of a difference: weights 1 and −1."""
    rng = np.random.default_rng(0)
    few, many = rng.normal(0, 3, 4), rng.normal(1, 1, 15)
    total = sum_of([mean_spread(few), mean_spread(many)], [1.0, -1.0])
    welch = distributions.ttest_ind(few, many, equal_var=False)
    assert_allclose(total.freedom, welch.df, rtol=1e-12, atol=0)
    t = (few.mean() - many.mean()) / total.standard_error
    assert_allclose(t, welch.statistic, rtol=1e-12, atol=0)


@given(spreads, st.floats(0.1, 10.0))
def test_sums_of_spreads(parts, factor):
    total = sum_of(parts)
    assert_allclose(total.variance, sum(part.variance for part in parts), rtol=1e-12, atol=0)
    assert total.freedom >= min(part.freedom for part in parts) * (1 - 1e-9)
    assert total.freedom <= sum(part.freedom for part in parts) * (1 + 1e-9)
    weighted = sum_of(parts, np.full(len(parts), factor))
    assert_allclose(weighted.variance, total.scaled(factor).variance, rtol=1e-9, atol=0)
    assert_allclose(weighted.freedom, total.freedom, rtol=1e-9, atol=0)


def test_a_sum_of_exact_terms_is_exact():
    assert sum_of([Spread(0.0, 3.0), Spread(0.0, 4.0)]) == Spread(0.0, 7.0)


def test_limits_are_symmetric_about_the_value_or_its_logarithm():
    normal = normal_estimate(2.0, Spread(0.25, 10.0), "K")
    assert_allclose([normal.low, normal.high], [0.88593, 3.11407], rtol=1e-5, atol=0)
    assert normal.resolved
    log = log_estimate(math.log(2.0), Spread(0.25, 10.0), "K")
    assert_allclose(log.value, 2.0, rtol=1e-12, atol=0)
    assert_allclose([log.low, log.high], [2 / 3.04673, 2 * 3.04673], rtol=1e-5, atol=0)
    assert_allclose(log.spread.standard_error, 1.0, rtol=1e-12, atol=0)


def test_a_logarithm_that_says_nothing_has_infinite_limits():
    estimate = log_estimate(5.0, Spread(1e4, 1.0), "")
    assert estimate.low == 0.0
    assert estimate.high == math.inf


@given(positive, positive, freedoms)
def test_estimates_in_another_unit(value, factor, freedom):
    before = normal_estimate(value, Spread(0.1 * value**2, freedom), "cm^2/s")
    after = before.scaled(factor, "mS/cm")
    again = normal_estimate(factor * value, before.spread.scaled(factor), "mS/cm")
    assert after.unit == "mS/cm"
    found = [after.value, after.low, after.high, after.spread.variance]
    expected = [again.value, again.low, again.high, again.spread.variance]
    assert_allclose(found, expected, rtol=1e-9, atol=1e-12 * factor * value)


def test_bounds_stay_bounds():
    bound = Estimate(None, None, 3.0, "cm^2/s").scaled(2.0, "mS/cm")
    assert bound.as_json() == {
        "value": None,
        "low": None,
        "high": 6.0,
        "unit": "mS/cm",
        "resolved": False,
    }


def test_intervals_cover_the_mean():
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(2000):
        values = rng.normal(1.0, 0.2, 5)
        estimate = normal_estimate(values.mean(), mean_spread(values), "")
        covered += estimate.low <= 1.0 <= estimate.high
    assert 0.935 < covered / 2000 < 0.965
