"""Planning: the noise model, the best designs by brute force, predictions by simulation."""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose

from mdbench.analysis.arrhenius import fit_arrhenius
from mdbench.analysis.planning import (
    PilotPoint,
    best_shares,
    best_split,
    fit_noise,
    next_run,
    plan,
    predicted,
    time_until,
)
from mdbench.errors import InputError
from mdbench.stats import Estimate, Spread, log_estimate
from mdbench.units import BOLTZMANN_EV_PER_K

FIVE = (800.0, 900.0, 1000.0, 1100.0, 1200.0)
#: κ·D, ps cm²/s: a relative error of 0.3 after 100 ps at 800 K.
CONSTANT = 9.0 * 3.46e-5


def true_d(temperature_k):
    return 1.3e-3 * math.exp(-0.25 / (BOLTZMANN_EV_PER_K * temperature_k))


def true_kappa(temperature_k):
    return CONSTANT / true_d(temperature_k)


def exact(temperature_k, total_ps=105.0, n_replicas=3, freedom=24.0):
    spread = Spread(true_kappa(temperature_k) / total_ps, freedom)
    value = log_estimate(math.log(true_d(temperature_k)), spread, "cm^2/s")
    return PilotPoint(temperature_k, value, total_ps, n_replicas)


def drawn(rng, temperature_k, total_ps, n_replicas, freedom):
    variance = true_kappa(temperature_k) / total_ps
    shown = Spread(variance * rng.chisquare(freedom) / freedom, freedom)
    log_value = math.log(true_d(temperature_k)) + math.sqrt(variance) * rng.normal()
    return PilotPoint(temperature_k, log_estimate(log_value, shown, "cm^2/s"), total_ps, n_replicas)


@pytest.fixture
def noise():
    return fit_noise([exact(t) for t in FIVE])


def variance_at(noise, temperatures, times, at_k):
    """Variance of ln D on a line by normal equations."""
    kept = np.asarray(times) > 0.0
    temperatures = np.asarray(temperatures)[kept]
    weights = np.asarray(times)[kept] / noise.kappa_ps(temperatures)
    design = np.column_stack([np.ones(kept.sum()), 1.0 / temperatures])
    direction = np.array([1.0, 1.0 / at_k])
    return direction @ np.linalg.inv(design.T @ np.diag(weights) @ design) @ direction


def test_errors_are_smoothed_over_temperatures(noise):
    assert_allclose(noise.constant, CONSTANT, rtol=1e-9, atol=0)
    kappas = [true_kappa(t) for t in FIVE]
    assert_allclose(noise.measured_ps, kappas, rtol=1e-9, atol=0)
    assert_allclose(noise.kappa_ps([650.0, 900.0]), list(map(true_kappa, (650, 900))), rtol=1e-9)
    assert_allclose(noise.freedom_per_replica, 8.0, rtol=1e-12, atol=0)
    assert_allclose(noise.run_ps, 35.0, rtol=1e-12, atol=0)


def test_well_known_errors_count_more():
    """One point of five shows twice its variance, with 96 degrees of freedom against 24."""
    points = [exact(t) for t in FIVE]
    odd = points[2].diffusivity
    spread = Spread(2.0 * odd.spread.variance, 96.0)
    points[2] = PilotPoint(1000.0, Estimate(odd.value, odd.low, odd.high, "", spread), 105.0, 3)
    expected = CONSTANT * (96 * 2 + 4 * 24) / (96 + 4 * 24)
    assert_allclose(fit_noise(points).constant, expected, rtol=1e-9, atol=0)


def test_a_bound_of_the_pilot_has_a_smoothed_error():
    coldest = PilotPoint(500.0, Estimate(None, None, 1.0, "cm^2/s"), 105.0, 3)
    noise = fit_noise([coldest, *(exact(t) for t in FIVE)])
    assert np.isnan(noise.measured_ps[0])
    assert_allclose(noise.kappa_ps([500.0]), [true_kappa(500.0)], rtol=1e-4, atol=0)
    assert_allclose(noise.freedom_per_replica, 8.0, rtol=1e-12, atol=0)


def test_with_known_errors_predictions_have_a_closed_form():
    noise = fit_noise([exact(t, freedom=1e9) for t in FIVE])
    times = np.array([400.0, 0.0, 200.0, 100.0, 50.0])
    found = predicted(noise, FIVE, times, times / 35.0, 300.0)
    expected = math.sqrt(variance_at(noise, FIVE, times, 300.0)) / math.log(10.0)
    assert_allclose(found.standard_error, expected, rtol=1e-7, atol=0)
    assert_allclose(found.half_width, 1.959964 * expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize(
    "times", [(105.0,) * 5, (400.0, 0.0, 0.0, 0.0, 200.0), (300.0, 200.0, 100.0, 60.0, 40.0)]
)
def test_predictions_are_those_of_simulations(noise, times):
    rng = np.random.default_rng(31)
    replicas = np.array(times) / 35.0
    found = predicted(noise, FIVE, times, replicas, 300.0)
    values, widths = [], []
    for _ in range(600):
        points = [
            drawn(rng, t, ps, 1, 8.0 * n)
            for t, ps, n in zip(FIVE, times, replicas, strict=True)
            if ps > 0.0
        ]
        fit = fit_arrhenius([p.temperature_k for p in points], [p.diffusivity for p in points])
        sigma = fit.diffusivity(300.0)
        values.append(math.log10(sigma.value))
        widths.append(0.5 * math.log10(sigma.high / sigma.low))
    assert_allclose(np.std(values), found.standard_error, rtol=0.15, atol=0)
    assert_allclose(np.mean(widths), found.half_width, rtol=0.15, atol=0)


def test_time_falls_with_the_square_of_the_width():
    noise = fit_noise([exact(t, freedom=1e9) for t in FIVE])
    present = predicted(noise, FIVE, noise.total_ps, [3] * 5, 300.0)
    for width in (2.0 * present.half_width, 0.3 * present.half_width):
        found = time_until(noise, FIVE, noise.total_ps, width, 300.0, run_ps=35.0)
        factor = (present.half_width / width) ** 2
        assert_allclose(found.total_ps, factor * noise.total_ps, rtol=1e-6, atol=0)
        assert_allclose(found.predicted.half_width, width, rtol=1e-6, atol=0)


def test_two_temperatures_have_a_closed_form(noise):
    shares = best_shares(noise, (800.0, 1200.0), 300.0)
    levers = np.array([1 / 300 - 1 / 1200, 1 / 300 - 1 / 800]) / (1 / 800 - 1 / 1200)
    roots = levers * np.sqrt([true_kappa(800.0), true_kappa(1200.0)])
    assert_allclose(shares, roots / roots.sum(), rtol=1e-9, atol=0)
    least = variance_at(noise, (800.0, 1200.0), 700.0 * shares, 300.0)
    assert_allclose(least, roots.sum() ** 2 / 700.0, rtol=1e-9, atol=0)


@pytest.mark.parametrize("temperatures", [(800.0, 1000.0, 1200.0), (450.0, 700.0, 1200.0)])
def test_the_best_split_by_a_grid(noise, temperatures):
    shares = best_shares(noise, temperatures, 300.0)
    least = variance_at(noise, temperatures, shares, 300.0)
    grid = [(a, b, 100 - a - b) for a in range(101) for b in range(101 - a)]
    found = min(
        variance_at(noise, temperatures, np.array(times) / 100.0, 300.0)
        for times in grid
        if sum(ps > 0 for ps in times) > 1
    )
    assert least <= found * (1.0 + 1e-9)
    assert_allclose(least, found, rtol=2e-3, atol=0)


def test_no_random_split_over_many_temperatures_is_better(noise):
    temperatures = (450.0, 550.0, 650.0, *FIVE)
    shares = best_shares(noise, temperatures, 300.0)
    assert (shares > 0.0).sum() == 2
    least = variance_at(noise, temperatures, shares, 300.0)
    rng = np.random.default_rng(32)
    for trial in rng.dirichlet(np.full(8, 0.4), 3000):
        assert variance_at(noise, temperatures, trial, 300.0) >= least * (1.0 - 1e-12)


def test_a_third_temperature_tells_about_curvature(noise):
    """Against all thirds, by the variance of the quadratic term, and all splits of the rest."""
    pair = np.flatnonzero(best_shares(noise, FIVE, 300.0))
    shares = best_shares(noise, FIVE, 300.0, third_share=0.25)
    (third,) = set(np.flatnonzero(shares)) - set(pair)
    assert_allclose(shares.sum(), 1.0, rtol=1e-12, atol=0)
    assert_allclose(shares[third], 0.25, rtol=1e-12, atol=0)

    def of_square(k):
        trial = 0.75 * best_shares(noise, FIVE, 300.0)
        trial[k] = 0.25
        kept = trial > 0.0
        x = 1e3 / np.array(FIVE)[kept]
        weights = (trial / noise.kappa_ps(FIVE))[kept]
        design = np.column_stack([np.ones(3), x, x**2])
        return np.linalg.inv(design.T @ np.diag(weights) @ design)[2, 2]

    assert third == min(set(range(5)) - set(pair), key=of_square)

    def split(part):
        trial = np.zeros(5)
        trial[pair], trial[third] = 0.75 * np.array([part, 1.0 - part]), 0.25
        return variance_at(noise, FIVE, trial, 300.0)

    least = min(split(part) for part in np.linspace(0.002, 0.998, 499))
    assert_allclose(variance_at(noise, FIVE, shares, 300.0), least, rtol=1e-4, atol=0)


def test_the_next_run_by_trial(noise):
    candidates = (650.0, *FIVE)
    found = next_run(noise, candidates, 50.0, 300.0)
    present = math.sqrt(variance_at(noise, FIVE, noise.total_ps, 300.0))
    for one in found:
        times = [*noise.total_ps, 50.0]
        after = math.sqrt(variance_at(noise, (*FIVE, one.temperature_k), times, 300.0))
        assert_allclose(one.standard_error, after / math.log(10.0), rtol=1e-9, atol=0)
        gain = (present - after) / math.log(10.0) / 50.0
        assert_allclose(one.gain_per_ps, gain, rtol=1e-6, atol=0)
    gains = [one.gain_per_ps for one in found]
    assert gains == sorted(gains, reverse=True)
    assert min(gains) > 0.0
    assert {one.temperature_k for one in found} == set(candidates)


def test_a_plan_reaches_the_width():
    found = plan([exact(t) for t in FIVE], 0.3, 300.0, run_ps=50.0)
    ways = (found.proportional, found.equal, found.best, found.robust)
    for way in ways:
        assert_allclose(way.predicted.half_width, 0.3, rtol=1e-6, atol=0)
        errors = np.sqrt(found.noise.kappa_ps(way.temperatures_k) / way.total_ps)
        assert_allclose(way.relative_errors, errors, rtol=1e-12, atol=0)
        for n, ps in zip(way.replicas, way.total_ps, strict=True):
            assert 50.0 * (n - 1) < ps <= 50.0 * n * (1.0 + 1e-8)
        assert_allclose(way.total_ns, np.array(way.total_ps) / 1e3, rtol=1e-12, atol=0)
    total = [sum(way.total_ps) for way in ways]
    assert total[2] < total[3] < total[1]
    assert_allclose(total[0], total[1], rtol=1e-6, atol=0)
    assert len(found.best.temperatures_k) == 2
    assert len(found.robust.temperatures_k) == 3
    given = best_split(found.noise, FIVE, total[2], 300.0, run_ps=50.0)
    assert_allclose(given.total_ps, found.best.total_ps, rtol=1e-9, atol=0)
    assert_allclose(given.predicted.half_width, 0.3, rtol=1e-6, atol=0)
    assert found.next_run[0].temperature_k == 800.0
    assert found.present.half_width > 0.3


def test_plans_of_noisy_pilots_come_true():
    """Median half width of what the plans of 60 pilots give."""
    rng = np.random.default_rng(33)
    widths = []
    for _ in range(60):
        found = plan([drawn(rng, t, 105.0, 3, 24.0) for t in FIVE], 0.3, 300.0).best
        points = [
            drawn(rng, t, ps, 1, 8.0 * ps / 35.0).diffusivity
            for t, ps in zip(found.temperatures_k, found.total_ps, strict=True)
        ]
        sigma = fit_arrhenius(found.temperatures_k, points).diffusivity(300.0)
        widths.append(0.5 * math.log10(sigma.high / sigma.low))
    assert_allclose(np.median(widths), 0.3, rtol=0.1, atol=0)


def test_two_temperatures_have_no_robust_design():
    found = plan([exact(800.0), exact(1200.0)], 0.5, 300.0)
    assert found.robust is None
    assert found.best.temperatures_k == (800.0, 1200.0)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda: fit_noise([exact(800.0), exact(800.0)]), "each temperature once"),
        (lambda: fit_noise([exact(800.0), exact(900.0, n_replicas=0)]), "with its time"),
        (lambda: fit_noise([exact(800.0)]), "two temperatures"),
        (lambda: fit_noise([exact(t, freedom=math.inf) for t in FIVE]), "degrees of freedom"),
        (lambda: plan([exact(t) for t in FIVE], 0.0, 300.0), "half width above 0"),
        (lambda: plan([exact(t) for t in FIVE], 0.3, 900.0), "design for 900 K"),
        (lambda: plan([exact(t) for t in FIVE], 0.3, 300.0, third_share=1.0), "share from 0 to 1"),
    ],
)
def test_what_cannot_be_planned_is_refused(change, message):
    with pytest.raises(InputError, match=message):
        change()
