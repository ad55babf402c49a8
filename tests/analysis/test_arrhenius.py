"""Lines of ln D against 1/T: worked cases, naive twins, coverage, comparisons."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import optimize
from scipy.stats import chi2, f

from mdbench.analysis.arrhenius import fit_arrhenius
from mdbench.analysis.comparison import compare_extrapolated, compare_temperatures
from mdbench.analysis.transitions import KNOWN_TRANSITIONS, transitions_within
from mdbench.errors import InputError
from mdbench.stats import Estimate, Spread, log_estimate
from mdbench.units import BOLTZMANN_EV_PER_K

FIVE = (800.0, 900.0, 1000.0, 1100.0, 1200.0)
ENERGY, PREFACTOR = 0.25, 1.3e-3


def true_d(temperature_k, energy=ENERGY):
    return PREFACTOR * math.exp(-energy / (BOLTZMANN_EV_PER_K * temperature_k))


def measured(value, relative_error, freedom=math.inf):
    return log_estimate(math.log(value), Spread(relative_error**2, freedom), "cm^2/s")


def bound(high):
    return Estimate(None, None, high, "cm^2/s")


def drawn(rng, value, relative_error, freedom):
    """A measurement with noise, of which the error is measured, too."""
    shown = relative_error * math.sqrt(rng.chisquare(freedom) / freedom)
    return measured(value * math.exp(relative_error * rng.normal()), shown, freedom)


def counted(rng, value, hops, freedom):
    """A measurement from the number of hops; a bound below five of them."""
    seen = rng.poisson(hops)
    if seen >= 5:
        shown = math.sqrt(rng.chisquare(freedom) / freedom / seen)
        return measured(value * seen / hops, shown, freedom)
    return bound(value * 0.5 * chi2.ppf(0.95, 2 * (seen + 1)) / hops)


def covers(estimate, truth):
    return estimate.low <= truth <= estimate.high


@pytest.mark.parametrize(
    "temperatures, expected", [(FIVE, 7.03), ((800.0, 1000.0), 12.5), ((800.0, 1200.0), 7.8)]
)
def test_extrapolation_multiplies_errors(temperatures, expected):
    fit = fit_arrhenius(temperatures, [measured(true_d(t), 0.1, 12.0) for t in temperatures])
    assert_allclose(fit.amplification(300.0), expected, rtol=2e-3, atol=0)


def test_an_exact_line_is_found():
    fit = fit_arrhenius(FIVE, [measured(true_d(t), 0.1, 12.0) for t in FIVE])
    assert_allclose(fit.activation_energy.value, ENERGY, rtol=1e-10, atol=0)
    assert_allclose(fit.prefactor.value, PREFACTOR, rtol=1e-10, atol=0)
    assert_allclose(fit.diffusivity(300.0).value, true_d(300.0), rtol=1e-10, atol=0)
    assert fit.goodness.p_value > 0.999
    assert fit.curvature.p_value > 0.999


def test_with_known_errors_it_is_weighted_least_squares():
    """Against the normal equations and a chi-square, also with a repeated temperature."""
    rng = np.random.default_rng(1)
    temperatures = np.array([700.0, 800.0, 800.0, 1000.0, 1300.0])
    errors = rng.uniform(0.05, 0.3, 5)
    values = [
        true_d(t) * math.exp(e * rng.normal()) for t, e in zip(temperatures, errors, strict=True)
    ]
    fit = fit_arrhenius(temperatures, [measured(v, e) for v, e in zip(values, errors, strict=True)])
    design = np.column_stack([np.ones(5), 1.0 / temperatures])
    normal = np.linalg.inv(design.T @ np.diag(errors**-2.0) @ design)
    solution = normal @ design.T @ (np.log(values) / errors**2)
    assert_allclose([fit.log_prefactor, fit.slope], solution, rtol=1e-9, atol=0)
    assert_allclose(fit.covariance, normal, rtol=1e-9, atol=0)
    direction = np.array([1.0, 1.0 / 300.0])
    found = fit.diffusivity(300.0)
    width = 1.959964 * math.sqrt(direction @ normal @ direction)
    assert_allclose(found.high / found.value, math.exp(width), rtol=1e-6, atol=0)
    chi_square = (((np.log(values) - design @ solution) / errors) ** 2).sum()
    assert_allclose(fit.goodness.chi_square, chi_square, rtol=1e-9, atol=0)
    assert_allclose(fit.goodness.p_value, chi2.sf(chi_square, 3), rtol=1e-9, atol=0)


def test_a_repeated_temperature_is_a_mean():
    pair = [measured(1.1e-5, 0.1), measured(1.4e-5, 0.2)]
    rest = [measured(true_d(t), 0.1) for t in (900.0, 1100.0)]
    weights = np.array([100.0, 25.0])
    log_mean = weights @ np.log([1.1e-5, 1.4e-5]) / weights.sum()
    mean = measured(math.exp(log_mean), weights.sum() ** -0.5)
    apart = fit_arrhenius((800.0, 800.0, 900.0, 1100.0), [*pair, *rest])
    joined = fit_arrhenius((800.0, 900.0, 1100.0), [mean, *rest])
    assert_allclose(apart.slope, joined.slope, rtol=1e-10, atol=0)
    assert_allclose(apart.covariance, joined.covariance, rtol=1e-9, atol=0)


def test_variances_are_corrected_for_noisy_weights():
    """Variance and degrees of freedom of ln D(300 K) by sums over points."""
    errors, freedoms = np.array([0.3, 0.1, 0.2, 0.05, 0.1]), np.array([8.0, 12, 20, 9, 40])
    points = [measured(true_d(t), e, n) for t, e, n in zip(FIVE, errors, freedoms, strict=True)]
    fit = fit_arrhenius(FIVE, points)
    x, w = 1.0 / np.array(FIVE), errors**-2.0
    mean = w @ x / w.sum()
    square = w @ (x - mean) ** 2
    leverages = w / w.sum() + w * (x - mean) ** 2 / square
    shares = w / w.sum() + (1.0 / 300.0 - mean) * w * (x - mean) / square
    parts = shares**2 / w * (1.0 + 4.0 * (1.0 - leverages) / freedoms)
    value, spread = fit.log_diffusivity(300.0)
    assert_allclose(value, math.log(true_d(300.0)), rtol=1e-10, atol=0)
    assert_allclose(spread.variance, parts.sum(), rtol=1e-9, atol=0)
    assert_allclose(spread.freedom, parts.sum() ** 2 / (parts**2 / freedoms).sum(), rtol=1e-9)


def test_two_temperatures_give_a_line_without_goodness():
    fit = fit_arrhenius((800.0, 1200.0), [measured(true_d(t), 0.1, 10.0) for t in (800, 1200)])
    assert fit.goodness is None
    assert fit.curvature is None
    variance = 0.01 * (BOLTZMANN_EV_PER_K / (1 / 800 - 1 / 1200)) ** 2 * 2
    assert_allclose(fit.activation_energy.spread.variance, variance, rtol=1e-9, atol=0)
    assert_allclose(fit.activation_energy.spread.freedom, 20.0, rtol=1e-9, atol=0)


def test_a_mean_of_two_is_tested_as_welch_does():
    """With two replicas at one temperature of two the F of the scatter is Welch's t, squared."""
    points = [measured(1e-5, 0.1, 9.0), measured(1.5e-5, 0.2, 14.0), measured(5e-5, 0.1, 9.0)]
    fit = fit_arrhenius((800.0, 800.0, 1200.0), points)
    variance = 0.1**2 + 0.2**2
    freedom = variance**2 / (0.1**4 / 9.0 + 0.2**4 / 14.0)
    expected = f.sf(math.log(1.5) ** 2 / variance, 1, freedom)
    assert_allclose(fit.goodness.p_value, expected, rtol=1e-9, atol=0)


def test_curvature_is_the_coefficient_of_the_square():
    curve = [measured(math.exp(-6.0 - 3e3 / t - 4e5 / t**2), 0.002, 20.0) for t in FIVE]
    found = fit_arrhenius(FIVE, curve).curvature
    assert_allclose(found.coefficient.value, -4e5, rtol=1e-8, atol=0)
    assert found.p_value < 1e-3
    three = fit_arrhenius(FIVE[:3], curve[:3])
    assert_allclose(three.curvature.coefficient.value, -4e5, rtol=1e-8, atol=0)
    assert_allclose(three.curvature.p_value, three.goodness.p_value, rtol=1e-7, atol=0)


def naive_likelihood(parameters, temperatures, diffusivities):
    """Minus the logarithm, of line and bounds, in the shifted parameters ln D(1000 K), −Ea/k."""
    total = 0.0
    for t, d in zip(temperatures, diffusivities, strict=True):
        line = parameters[0] + parameters[1] * (1e3 / t - 1.0)
        if d.resolved:
            total += 0.5 * (line - math.log(d.value)) ** 2 / (d.spread.variance / d.value**2)
        else:
            total += 3.0 * math.exp(line) / d.high
    return total


@pytest.mark.parametrize("highs", [(0.5, 0.4), (1.0, 3.0), (30.0, 0.05)])
def test_bounds_enter_by_their_likelihood(highs):
    temperatures = (500.0, 600.0, *FIVE)
    rng = np.random.default_rng(4)
    points = [bound(h * true_d(t)) for h, t in zip(highs, temperatures, strict=False)]
    points += [measured(true_d(t) * math.exp(0.2 * rng.normal()), 0.2) for t in FIVE]
    fit = fit_arrhenius(temperatures, points)
    best = optimize.minimize(
        naive_likelihood,
        (-9.0, -3.0),
        args=(temperatures, points),
        method="Nelder-Mead",
        options={"xatol": 1e-9, "fatol": 1e-13, "maxiter": 4000},
    )
    found = (fit.log_prefactor + fit.slope / 1e3, fit.slope / 1e3)
    assert_allclose(found, best.x, rtol=1e-6, atol=0)
    hessian = np.zeros((2, 2))
    for t, d in zip(temperatures, points, strict=True):
        row = np.array([1.0, 1.0 / t])
        weight = 25.0 if d.resolved else 3.0 * fit.diffusivity(t).value / d.high
        hessian += weight * np.outer(row, row)
    assert_allclose(fit.covariance, np.linalg.inv(hessian), rtol=1e-6, atol=0)
    assert_array_equal(fit.censored, [True, True, *[False] * 5])
    assert_array_equal(np.isinf(fit.freedom), True)


def test_a_bound_far_above_the_line_has_no_effect():
    resolved = [measured(true_d(t), 0.1, 15.0) for t in FIVE]
    plain = fit_arrhenius(FIVE, resolved)
    fit = fit_arrhenius((700.0, *FIVE), [bound(1e6 * true_d(700.0)), *resolved])
    assert_allclose(fit.slope, plain.slope, rtol=1e-5, atol=0)
    assert_allclose(fit.covariance, plain.covariance, rtol=1e-5, atol=0)
    found, before = (each.log_diffusivity(300.0)[1].freedom for each in (fit, plain))
    assert_allclose(found, before, rtol=1e-5, atol=0)
    assert not fit.contradicted.any()


@pytest.mark.parametrize("factor", [1e-2, 1e-10, 1e-60])
def test_a_bound_far_below_the_line_is_named(factor):
    resolved = [measured(true_d(t), 0.1, 15.0) for t in FIVE]
    fit = fit_arrhenius((700.0, *FIVE), [bound(factor * true_d(700.0)), *resolved])
    assert_array_equal(fit.contradicted, [True, *[False] * 5])
    assert fit.activation_energy.value > ENERGY


@given(
    st.permutations(range(5)),
    st.floats(1e-3, 1e3),
    st.integers(0, 2**32 - 1),
)
def test_order_and_scale_do_not_matter(order, factor, seed):
    rng = np.random.default_rng(seed)
    points = [bound(2.0 * true_d(800.0)), *(drawn(rng, true_d(t), 0.2, 12) for t in FIVE[1:])]
    fit = fit_arrhenius(FIVE, points)
    moved = fit_arrhenius(
        [FIVE[i] for i in order], [points[i].scaled(factor, "cm^2/s") for i in order]
    )
    assert_allclose(moved.slope, fit.slope, rtol=1e-7, atol=0)
    assert_allclose(moved.covariance, fit.covariance, rtol=1e-6, atol=0)
    here, there = (each.diffusivity(300.0) for each in (fit, moved))
    assert_allclose(there.low, factor * here.low, rtol=1e-6, atol=0)
    assert_allclose(moved.goodness.p_value, fit.goodness.p_value, rtol=1e-6, atol=0)


@pytest.mark.parametrize(
    "temperatures, points, message",
    [
        ((800.0,), [measured(1e-5, 0.1)], "two temperatures"),
        ((800.0, 900.0), [measured(1e-5, 0.1), bound(1e-5)], "two temperatures"),
        ((800.0, 800.0), [measured(1e-5, 0.1)] * 2, "two temperatures"),
        ((800.0, 900.0), [measured(1e-5, 0.1)], "a temperature above 0 K"),
        ((-800.0, 900.0), [measured(1e-5, 0.1)] * 2, "a temperature above 0 K"),
        ((800.0, 900.0), [measured(1e-5, 0.1), measured(1e-5, 0.0)], "variance above 0"),
        (
            (800.0, 900.0, 700.0),
            [measured(1e-5, 0.1), measured(2e-5, 0.1), bound(0.0)],
            "an upper bound",
        ),
    ],
)
def test_unusable_points_are_refused(temperatures, points, message):
    with pytest.raises(InputError, match=message):
        fit_arrhenius(temperatures, points)


def rates(relative_errors, freedoms, trials, seed):
    """Coverage of D(300 K) and Ea, rejections by goodness and curvature at 5 %."""
    rng = np.random.default_rng(seed)
    found = np.zeros(4)
    for _ in range(trials):
        points = [
            drawn(rng, true_d(t), e, n)
            for t, e, n in zip(FIVE, relative_errors, freedoms, strict=True)
        ]
        fit = fit_arrhenius(FIVE, points)
        found += (
            covers(fit.diffusivity(300.0), true_d(300.0)),
            covers(fit.activation_energy, ENERGY),
            fit.goodness.p_value < 0.05,
            fit.curvature.p_value < 0.05,
        )
    return found / trials


def check_rates(found):
    assert (found[:2] >= 0.92).all(), found
    assert (found[:2] <= 0.98).all(), found
    assert (found[2:] >= 0.02).all(), found
    assert (found[2:] <= 0.08).all(), found


ERRORS = [
    (0.1, 0.1, 0.1, 0.1, 0.1),
    (0.3, 0.2, 0.12, 0.08, 0.05),
    (0.05, 0.08, 0.12, 0.2, 0.3),
    (0.3, 0.05, 0.3, 0.05, 0.3),
]


@pytest.mark.parametrize("freedoms", [(8,) * 5, (8, 12, 20, 30, 40)])
def test_intervals_cover_and_p_values_are_uniform(freedoms):
    check_rates(rates(ERRORS[1], freedoms, 1200, seed=11))


@pytest.mark.slow
@pytest.mark.parametrize("freedoms", [(8,) * 5, (15,) * 5, (40,) * 5, (40, 30, 20, 12, 8)])
@pytest.mark.parametrize("errors", ERRORS)
def test_rates_of_all_kinds_of_errors(errors, freedoms):
    check_rates(rates(errors, freedoms, 5000, seed=12))


def bounded_coverage(errors, hops, trials, seed):
    """Coverage of D(300 K) and Ea where the coldest of five points is a bound."""
    rng = np.random.default_rng(seed)
    found, n = np.zeros(2), 0
    for _ in range(trials):
        coldest = counted(rng, true_d(700.0), hops, 15)
        if coldest.resolved:
            continue
        points = [
            coldest,
            *(drawn(rng, true_d(t), e, 15) for t, e in zip(FIVE, errors, strict=False)),
        ]
        fit = fit_arrhenius((700.0, *FIVE[: len(errors)]), points)
        found += (
            covers(fit.diffusivity(300.0), true_d(300.0)),
            covers(fit.activation_energy, ENERGY),
        )
        n += 1
    return found / n


def test_intervals_cover_with_a_bound():
    assert (bounded_coverage((0.3, 0.2, 0.12, 0.08), 1.0, 1000, seed=13) >= 0.92).all()


@pytest.mark.slow
@pytest.mark.parametrize("hops", [0.05, 0.3, 1.0, 2.0, 3.0, 4.0])
@pytest.mark.parametrize("errors", [(0.3, 0.2, 0.12, 0.08), (0.1, 0.1, 0.1, 0.1)])
def test_coverage_with_all_kinds_of_bounds(errors, hops):
    assert (bounded_coverage(errors, hops, 4000, seed=14) >= 0.92).all()


def test_transitions_are_found_by_composition():
    assert transitions_within("Li3PS4", 300.0, 1200.0) == (573.0, 746.0)
    assert transitions_within("S16P4Li12", 600.0, 1200.0) == (746.0,)
    assert transitions_within("Li10GeP2S12", 300.0, 1200.0) == ()
    assert transitions_within("AgI", 500.0, 900.0) == ()
    assert all(tuple(sorted(each)) == each for each in KNOWN_TRANSITIONS.values())
    with pytest.raises(InputError, match="formula"):
        transitions_within("Li3.5PS4", 300.0, 1200.0)


def test_ratios_are_those_of_welch():
    model, reference = {900.0: measured(2e-5, 0.1, 9.0)}, {900.0: measured(1e-5, 0.2, 14.0)}
    found = compare_temperatures(model, reference)
    (ratio,) = found.ratios
    assert_allclose(ratio.estimate.value, 2.0, rtol=1e-12, atol=0)
    variance = 0.1**2 + 0.2**2
    freedom = variance**2 / (0.1**4 / 9.0 + 0.2**4 / 14.0)
    p_value = f.sf(math.log(2.0) ** 2 / variance, 1, freedom)
    assert_allclose([ratio.p_value, found.p_value], p_value, rtol=1e-9, atol=0)
    assert found.ratio.value == ratio.estimate.value
    assert ratio.direction == "higher"
    assert found.energy_difference is None
    assert found.scatter is None
    assert found.resolved


def test_bounds_are_compared_with_limits():
    value = Estimate(1e-5, 0.8e-5, 1.3e-5, "cm^2/s", Spread(1e-12, 20.0))
    for model, reference, limits, direction in (
        (bound(0.4e-5), value, (None, 0.5), "lower"),
        (bound(1.6e-5), value, (None, 2.0), None),
        (value, bound(0.2e-5), (4.0, None), "higher"),
        (value, bound(1.6e-5), (0.5, None), None),
        (bound(1e-6), bound(1e-5), (None, None), None),
    ):
        found = compare_temperatures({600.0: model}, {600.0: reference, 700.0: value})
        (ratio,) = found.ratios
        assert ratio.p_value is None
        assert ratio.direction == direction
        for limit, expected in zip((ratio.estimate.low, ratio.estimate.high), limits, strict=True):
            assert (limit is None) == (expected is None)
            if expected is not None:
                assert_allclose(limit, expected, rtol=1e-12, atol=0)
        assert found.ratio is None
        assert found.resolved == (direction is not None)


def test_nothing_in_common_is_refused():
    with pytest.raises(InputError, match="share"):
        compare_temperatures({800.0: measured(1e-5, 0.1)}, {900.0: measured(1e-5, 0.1)})


def comparisons(trials, seed, *, factor=1.0, energy=ENERGY, errors=ERRORS[1], scatter=0.0):
    """Shares of trials in which mean, trend and both together are significant, and of coverage."""
    rng = np.random.default_rng(seed)
    found = np.zeros(4)
    for _ in range(trials):
        sides = []
        for side_factor, side_energy, own in ((factor, energy, scatter), (1.0, ENERGY, 0.0)):
            sides.append(
                {
                    t: drawn(
                        rng,
                        side_factor * true_d(t, side_energy) * math.exp(own * rng.normal()),
                        e,
                        12,
                    )
                    for t, e in zip(FIVE, errors, strict=False)
                }
            )
        result = compare_temperatures(*sides)
        found += (
            result.p_value < 0.05,
            result.trend_p_value < 0.05,
            result.resolved,
            covers(result.ratio, factor),
        )
    return found / trials


def test_equal_sides_are_rarely_told_apart():
    found = comparisons(1500, seed=21)
    assert ((found[:3] >= 0.02) & (found[:3] <= 0.075)).all(), found
    assert found[3] >= 0.92


@pytest.mark.slow
@pytest.mark.parametrize("errors", [*ERRORS, (0.1, 0.2), (0.3, 0.1, 0.1)])
def test_equal_sides_of_all_kinds(errors):
    found = comparisons(6000, seed=20, errors=errors)
    assert ((found[:3] >= 0.025) & (found[:3] <= 0.075)).all(), found
    assert found[3] >= 0.93


def test_a_planted_factor_is_found():
    mean, trend, resolved, covered = comparisons(300, seed=22, factor=2.0)
    assert mean > 0.95
    assert trend < 0.1
    assert resolved > 0.95
    assert covered > 0.92


def test_a_planted_activation_energy_is_found():
    """Equal at about 970 K: the mean ratio is near 1 and only the trend tells."""
    energy = ENERGY + 0.2
    factor = math.exp(0.2 / (BOLTZMANN_EV_PER_K * 970.0))
    found = comparisons(300, seed=23, factor=factor, energy=energy, errors=(0.1,) * 5)
    assert found[1] > 0.9
    assert found[2] > 0.9


def test_scatter_beyond_the_errors_widens():
    """Systematic scatter as large as the errors: without widening more are told apart."""
    found = comparisons(800, seed=24, errors=(0.1,) * 5, scatter=0.14)
    assert (found[:3] <= 0.09).all(), found
    assert found[3] >= 0.92


def test_extrapolated_ratio_is_the_difference_of_lines():
    rng = np.random.default_rng(25)
    fits = [
        fit_arrhenius(FIVE, [drawn(rng, scale * true_d(t), 0.1, 12) for t in FIVE])
        for scale in (3.0, 1.0)
    ]
    ratio = compare_extrapolated(*fits, 300.0)
    (own, s), (other, r) = (fit.log_diffusivity(300.0) for fit in fits)
    assert_allclose(ratio.estimate.value, math.exp(own - other), rtol=1e-12, atol=0)
    spread = ratio.estimate.spread.scaled(1.0 / ratio.estimate.value)
    assert_allclose(spread.variance, s.variance + r.variance, rtol=1e-9, atol=0)
    assert ratio.temperature_k == 300.0
    same = compare_extrapolated(fits[0], fits[0], 300.0)
    assert_allclose(same.p_value, 1.0, rtol=1e-12, atol=0)
    assert same.direction is None


def test_extrapolated_ratios_of_equal_sides():
    rng = np.random.default_rng(26)
    trials = 600
    rejected = 0
    for _ in range(trials):
        fits = [
            fit_arrhenius(FIVE, [drawn(rng, true_d(t), 0.15, 12) for t in FIVE]) for _ in range(2)
        ]
        rejected += compare_extrapolated(*fits, 300.0).p_value < 0.05
    assert 0.025 <= rejected / trials <= 0.075
