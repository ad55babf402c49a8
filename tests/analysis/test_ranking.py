"""Ranks and correlations: worked examples, naive twins, error rates, coverage."""

import math
from itertools import combinations, permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.stats import norm, spearmanr, ttest_ind

from mdbench.analysis.ranking import Pair, Rank, _chance, _interval, correlate, rank
from mdbench.stats import Estimate, Spread, mean_spread, normal_estimate


def between(value, low, high):
    return Estimate(value, low, high, "")


def give(value, width=1.0):
    return between(value, value - width, value + width)


def bare(value):
    return Estimate(value, None, None, "")


def places(found):
    return {name: (place.best, place.worst, place.of) for name, place in found.items()}


# ranks


def test_far_from_each_other_is_resolved():
    found = rank({"b": give(20.0), "a": give(10.0), "c": give(30.0)})
    assert places(found) == {"a": (1, 1, 3), "b": (2, 2, 3), "c": (3, 3, 3)}
    assert all(place.resolved for place in found.values())


def test_what_cannot_be_told_apart_shares_its_places():
    found = rank({"a": give(10.0), "b": give(10.5), "c": give(30.0)})
    assert places(found) == {"a": (1, 2, 3), "b": (1, 2, 3), "c": (3, 3, 3)}
    assert not found["a"].resolved


def test_a_chain_is_told_apart_at_its_ends():
    """Neighbors do not differ, the ends do: the middle may be anything."""
    found = rank({"a": give(0.0), "b": give(1.2), "c": give(2.4)})
    assert places(found) == {"a": (1, 2, 3), "b": (1, 3, 3), "c": (2, 3, 3)}


def test_one_alone_is_first():
    assert rank({"a": bare(3.0)}) == {"a": Rank(1, 1, 1)}
    assert rank({}) == {}


def test_variances_are_compared_as_by_welch():
    rng = np.random.default_rng(0)
    for n in (3, 5, 12):
        a, b = rng.normal(0.0, 1.0, 4), rng.normal(1.5, 0.3, n)
        one, other = (normal_estimate(x.mean(), mean_spread(x), "") for x in (a, b))
        expected = ttest_ind(a, b, equal_var=False).pvalue
        low, high = sorted((one, other), key=lambda e: e.value)
        assert_allclose(_chance(low, high), expected, rtol=1e-9, atol=0)


def test_symmetric_intervals_give_half_their_width_as_error():
    z = 1.5 / (math.hypot(0.8, 0.6) / norm.ppf(0.975))
    assert_allclose(_chance(give(1.0, 0.8), give(2.5, 0.6)), 2 * norm.sf(z), rtol=1e-9, atol=0)


def test_the_facing_sides_of_intervals_count():
    """A long upper tail says nothing about how far down the truth may be."""
    error = between(1.0, 0.9, 5.0)
    assert places(rank({"low": give(0.0, 0.1), "error": error}))["error"] == (2, 2, 2)
    assert places(rank({"high": give(2.0, 0.1), "error": error}))["error"] == (1, 2, 2)


def test_without_errors_nothing_differs():
    assert places(rank({"a": bare(1.0), "b": bare(9.0)})) == {"a": (1, 2, 2), "b": (1, 2, 2)}
    exact = Estimate(0.0, 0.0, 0.0, "", Spread(0.0, 9.0))
    assert places(rank({"a": exact, "b": exact}))["a"] == (1, 2, 2)
    other = Estimate(2.0, 2.0, 2.0, "", Spread(0.0, 9.0))
    assert places(rank({"a": exact, "b": other}))["b"] == (2, 2, 2)


def test_bounds_differ_only_beyond_an_interval():
    at_least, at_most = Estimate(None, 5.0, None, ""), Estimate(None, None, 1.0, "")
    unknown = Estimate(None, None, None, "")
    values = {"a": give(3.0), "at least": at_least, "at most": at_most, "unknown": unknown}
    assert places(rank(values)) == {
        "a": (2, 3, 4),
        "at least": (3, 4, 4),
        "at most": (1, 2, 4),
        "unknown": (1, 4, 4),
    }
    assert places(rank({"a": give(4.5), "at least": at_least}))["a"] == (1, 2, 2)


def test_the_failed_come_after_all_others():
    values = {"a": give(10.0), "b": give(30.0), "lost": give(1.0)}
    found = rank(values, failed=["lost", "without a value"])
    assert places(found) == {
        "a": (1, 1, 4),
        "b": (2, 2, 4),
        "lost": (3, 4, 4),
        "without a value": (3, 4, 4),
    }


def holm(values):
    """Names that differ, by the definition, step by step."""
    tests = []
    for a, b in combinations(values, 2):
        low, high = sorted((a, b), key=lambda name: values[name].value)
        tests.append((_chance(values[low], values[high]), low, high))
    found, left = set(), sorted(tests)
    while left and left[0][0] * len(left) < 0.05:
        found.add(left.pop(0)[1:])
    return found


@given(st.lists(st.floats(-5.0, 5.0), min_size=2, max_size=6), st.floats(0.1, 3.0))
def test_places_are_those_of_holms_pairs(numbers, width):
    values = {str(k): give(x, width) for k, x in enumerate(numbers)}
    apart, found = holm(values), rank(values)
    for name, place in found.items():
        assert place.best == 1 + sum(high == name for _, high in apart)
        assert place.worst == len(values) - sum(low == name for low, _ in apart)


@given(st.permutations(range(5)), st.floats(0.1, 1e3))
def test_order_and_unit_do_not_matter(order, factor):
    numbers = [0.0, 0.4, 2.0, 2.2, 9.0]
    values = {str(k): give(x, 0.5) for k, x in enumerate(numbers)}
    shuffled = {str(k): values[str(k)].scaled(factor, "") for k in order}
    assert rank(shuffled) == rank(values)


def test_equal_ones_are_rarely_put_in_order():
    """Five equal models, 500 times: a wrong order in at most 5 %, within two standard errors."""
    rng = np.random.default_rng(1)
    wrong = 0
    for _ in range(500):
        samples = rng.normal(1.0, 0.2, (5, 6))
        values = {
            str(k): normal_estimate(x.mean(), mean_spread(x), "") for k, x in enumerate(samples)
        }
        wrong += any(place.best > 1 for place in rank(values).values())
    assert wrong / 500 < 0.05 + 2 * math.sqrt(0.05 * 0.95 / 500)


# correlations


def pairs_of(x, y):
    """Pairs of (n_models, n_materials) values."""
    return [
        Pair(f"model {i}", f"material {j}", bare(float(x[i, j])), bare(float(y[i, j])))
        for i, j in np.ndindex(*np.shape(x))
    ]


@pytest.mark.parametrize(
    "x, y",
    [
        ([1, 2, 3, 4, 5], [2, 1, 4, 3, 5]),
        ([1, 1, 2, 5, 5, 5], [3, 2, 2, 9, 1, 7]),
        ([4, 3, 2, 1], [1, 2, 3, 4]),
    ],
)
def test_one_material_is_spearmans(x, y):
    found = correlate("x", "y", pairs_of(np.array([x]).T, np.array([y]).T))
    assert_allclose(found.rho, spearmanr(x, y).statistic, rtol=1e-12, atol=0)
    others = np.array([spearmanr(x, order).statistic for order in permutations(y)])
    sides = (others >= found.rho - 1e-9).mean(), (others <= found.rho + 1e-9).mean()
    assert_allclose(found.p, min(1.0, 2 * min(sides)), rtol=1e-12, atol=0)
    assert found.low < found.rho <= found.high or found.low <= found.rho < found.high


def test_harder_materials_are_no_correlation():
    """Both errors grow from material to material; models of one material are in random order."""
    x = np.array([[1, 11, 21], [2, 12, 22], [3, 13, 23], [4, 14, 24]])
    y = np.array([[2, 14, 21], [4, 12, 24], [1, 13, 22], [3, 11, 23]])
    assert spearmanr(x.ravel(), y.ravel()).statistic > 0.8
    found = correlate("x", "y", pairs_of(x, y))
    within = [spearmanr(x[:, j], y[:, j]).statistic for j in range(3)]
    assert_allclose(found.rho, np.mean(within), rtol=1e-12, atol=0)
    assert not found.resolved


def test_materials_that_repeat_each_other_add_nothing_to_significance():
    """Three models in the same order in three materials: one order of six, to either side."""
    x = np.array([[1, 10, 100], [2, 20, 200], [3, 30, 300]])
    found = correlate("x", "y", pairs_of(x, 7.0 * x))
    assert found.rho == 1.0
    assert_allclose([found.p, found.least_p], 1 / 3, rtol=1e-12, atol=0)
    assert (found.n_models, found.resolved) == (3, False)
    five = np.arange(1, 6)[:, None] * np.array([[1, 10]])
    assert_allclose(correlate("x", "y", pairs_of(five, five)).p, 2 / 120, rtol=1e-12, atol=0)


def test_p_moves_models_as_wholes():
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(2, 5, 3))

    def stratified(y):
        a, b = (np.argsort(np.argsort(v, axis=0), axis=0) - 2.0 for v in (x, y))
        return (a * b).sum() / np.sqrt((a**2).sum() * (b**2).sum())

    found = correlate("x", "y", pairs_of(x, y))
    others = np.array([stratified(y[list(order)]) for order in permutations(range(5))])
    assert_allclose(found.rho, stratified(y), rtol=1e-12, atol=0)
    sides = (others >= found.rho - 1e-9).sum(), (others <= found.rho + 1e-9).sum()
    assert_allclose(found.p, min(1.0, 2 * min(sides) / 120), rtol=1e-12, atol=0)


def test_only_models_of_the_same_materials_change_places():
    """Four models have both materials, two only the second: 4! · 2! arrangements."""
    pairs = pairs_of(np.arange(8.0).reshape(4, 2), np.arange(8.0).reshape(4, 2))
    more = [Pair(f"other {k}", "material 1", bare(90.0 + k), bare(90.0 + k)) for k in range(2)]
    found = correlate("x", "y", [*pairs, *more])
    assert found.rho == 1.0
    assert_allclose(found.p, 2 / 48, rtol=1e-12, atol=0)


def test_many_models_are_drawn_the_same_way_each_time():
    x = np.arange(9.0)[:, None]
    found = correlate("x", "y", pairs_of(x, x))
    assert_allclose(found.p, 2 / 10_000, rtol=1e-12, atol=0)
    y = np.array([[3, 1, 0, 4, 2, 8, 5, 7, 6]]).T
    first, again = (correlate("x", "y", pairs_of(x, y)).p for _ in range(2))
    assert first == again
    assert_allclose(first, spearmanr(x, y).pvalue, rtol=0.3, atol=0)


def test_the_failed_count_as_the_worst():
    x = np.array([[1.0, 2.0, 3.0, 4.0, 5.0]]).T
    pairs = pairs_of(x, x)
    nothing = Estimate(None, None, None, "")
    pairs[3] = Pair("model 3", "material 0", bare(4.0), bare(0.1), failed=True)
    pairs[4] = Pair("model 4", "material 0", bare(5.0), nothing, failed=True)
    found = correlate("x", "y", pairs)
    expected = spearmanr([1, 2, 3, 4, 5], [1, 2, 3, 9, 9]).statistic
    assert_allclose(found.rho, expected, rtol=1e-12, atol=0)
    assert [name for name, _, _ in found.points] == [f"model {k}, material 0" for k in range(3)]
    assert [name for name, _ in found.failed] == ["model 3, material 0", "model 4, material 0"]


def test_pairs_without_values_are_left_out():
    x = np.arange(5.0)[:, None]
    bound = Estimate(None, None, 3.0, "")
    more = [
        Pair("a", "material 0", bare(1.0), bound),
        Pair("b", "material 0", bound, bare(1.0)),
        Pair("c", "material 0", bound, bound, failed=True),
    ]
    assert correlate("x", "y", [*pairs_of(x, x), *more]) == correlate("x", "y", pairs_of(x, x))


@pytest.mark.parametrize(
    "x, y, reason",
    [
        (np.empty((0, 1)), np.empty((0, 1)), "0 pairs"),
        ([[1.0], [2.0], [3.0]], [[1.0], [2.0], [3.0]], "3 pairs"),
        ([[1.0, 2.0, 3.0, 4.0]], [[1.0, 2.0, 3.0, 4.0]], "no material"),
        ([[1.0], [1.0], [1.0], [1.0]], [[1.0], [2.0], [3.0], [4.0]], "no material"),
    ],
)
def test_nothing_is_said_where_there_is_nothing_to_say(x, y, reason):
    found = correlate("x", "y", pairs_of(np.array(x), np.array(y)))
    assert (found.rho, found.low, found.high, found.p) == (None, None, None, None)
    assert found.reason.startswith(reason)
    assert not found.resolved


def test_two_models_have_a_correlation_without_significance():
    x = np.array([[1.0, 2.0], [3.0, 4.0]])
    found = correlate("x", "y", pairs_of(x, x))
    assert (found.rho, found.low, found.high, found.p) == (1.0, None, None, None)
    assert found.reason.startswith("2 models")


def test_intervals_of_a_perfect_order():
    """Four of no correlation are in order once in 24 times, more than 2.5 %; five once in 120."""
    (four, high), (five, _) = _interval(1.0, 4), _interval(1.0, 5)
    assert four < 0.0 < five < high == 1.0
    assert -1.0 == _interval(-1.0, 4)[0] < 0.0 < _interval(-1.0, 4)[1]


def test_intervals_are_mirrored_and_shrink_with_models():
    widths = []
    for n in (4, 6, 9, 12):
        low, high = _interval(0.6, n)
        assert_allclose(_interval(-0.6, n), (-high, -low), rtol=1e-12, atol=0)
        widths.append(high - low)
    assert (np.diff(widths) < 0).all()


def copula(rng, rho_s, n_models, n_materials, shared):
    """x and y of models; of their variance a share is the same in all materials."""
    r = 2.0 * math.sin(math.pi * rho_s / 6.0)
    own = rng.standard_normal((2, n_models, n_materials))
    everywhere = rng.standard_normal((2, n_models, 1))
    x, noise = math.sqrt(1.0 - shared) * own + math.sqrt(shared) * everywhere
    return x, r * x + math.sqrt(1.0 - r * r) * noise


@pytest.mark.slow
@pytest.mark.parametrize("n_materials, shared", [(1, 0.0), (3, 0.0), (3, 0.9)])
@pytest.mark.parametrize("rho_s", [0.0, 0.6, 0.95])
@pytest.mark.parametrize("n_models", [4, 5, 8])
def test_intervals_cover_the_truth(n_models, rho_s, n_materials, shared):
    rng = np.random.default_rng(n_models)
    covered, n_trials = 0, 400
    for _ in range(n_trials):
        x, y = copula(rng, rho_s, n_models, n_materials, shared)
        rho = np.mean([spearmanr(x[:, j], y[:, j]).statistic for j in range(n_materials)])
        low, high = _interval(rho, n_models)
        covered += low <= rho_s <= high
    assert covered / n_trials >= 0.93


@pytest.mark.slow
@pytest.mark.parametrize("shared", [0.0, 0.9])
def test_no_correlation_is_rarely_called_one(shared):
    rng = np.random.default_rng(7)
    found = [
        correlate("x", "y", pairs_of(*copula(rng, 0.0, 5, 3, shared))).resolved for _ in range(600)
    ]
    assert np.mean(found) <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 600)
