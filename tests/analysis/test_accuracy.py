"""Errors of energies and forces: naive twins, degenerate cases, coverage."""

import math
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.stats import spearmanr

from mdbench.analysis.accuracy import Accuracy, Errors, Predictions, accuracy, errors, spearman
from mdbench.analysis.correlated import frame_blocks
from mdbench.errors import InputError
from mdbench.stats import Estimate

NUMBERS = np.array([3, 3, 15, 16, 16])


def predictions(seed=0, n_runs=4, n_frames=25, **changed) -> Predictions:
    """Predictions with errors of all kinds, two temperatures."""
    rng = np.random.default_rng(seed)
    n = n_runs * n_frames
    energies = rng.normal(-300.0, 0.5, n)
    forces = rng.normal(0.0, 1.0, (n, 5, 3))
    runs = np.repeat(np.arange(n_runs), n_frames)
    found = Predictions(
        atomic_numbers=NUMBERS,
        energies=energies + rng.normal(2.0, 0.1, n),
        forces=0.9 * forces + rng.normal(0.0, 0.1, forces.shape) * [1.0, 2.0, 3.0],
        reference_energies=energies,
        reference_forces=forces,
        temperatures_k=np.where(runs % 2, 1000.0, 800.0),
        runs=runs,
        frames=np.tile(np.arange(n_frames), n_runs),
    )
    return replace(found, **changed)


def agrees(found: Errors, model, reference):
    """Whether errors are what the definitions say, number by number."""
    e = [abs(m - r) for m, r in zip(np.ravel(model), np.ravel(reference), strict=True)]
    mean = sum(np.ravel(reference)) / len(e)
    scatter = sum((r - mean) ** 2 for r in np.ravel(reference))
    squares = sum(x * x for x in e)
    expected = {
        "mae": sum(e) / len(e),
        "median": float(np.percentile(e, 50)),
        "p99": float(np.percentile(e, 99)),
        "max": max(e),
        "rmse": math.sqrt(squares / len(e)),
        "r2": 1.0 - squares / scatter,
    }
    for name, value in expected.items():
        estimate = getattr(found, name)
        assert_allclose(estimate.value, value, rtol=1e-9, atol=0, err_msg=name)
        for limit, sign in ((estimate.low, -1), (estimate.high, 1)):
            assert limit is None or sign * (limit - value) > 0.0, name
    assert found.max.low is None
    assert found.max.high is None
    return True


def test_energies_are_per_atom_and_in_mev():
    p = predictions()
    found = accuracy(p)
    model, reference = 200.0 * p.energies, 200.0 * p.reference_energies
    assert agrees(found.energy.raw, model, reference)
    offset = float(np.mean(model - reference))
    assert agrees(found.energy.shift_removed, model - offset, reference)
    assert_allclose(found.shift.value, offset, rtol=1e-12, atol=0)
    assert found.shift.low < 400.0 < found.shift.high < found.shift.low + 20.0
    assert found.energy.raw.mae.unit == "meV/atom"
    for t in (800.0, 1000.0):
        own = p.temperatures_k == t
        there = found.energy_per_temperature[t]
        assert agrees(there.raw, model[own], reference[own])
        assert agrees(there.shift_removed, model[own] - offset, reference[own])
        assert_allclose(there.spearman.value, spearmanr(model[own], reference[own])[0], rtol=1e-9)


def test_forces_are_judged_by_component_and_by_kind():
    p = predictions()
    found = accuracy(p)
    model, reference = 1000.0 * p.forces, 1000.0 * p.reference_forces
    assert agrees(found.forces, model, reference)
    assert found.forces.mae.unit == "meV/A"
    for k, axis in enumerate("xyz"):
        assert agrees(found.per_axis[axis], model[..., k], reference[..., k])
    assert list(found.per_element) == ["Li", "P", "S"]
    for symbol, own in (("Li", slice(0, 2)), ("P", slice(2, 3)), ("S", slice(3, 5))):
        assert agrees(found.per_element[symbol], model[:, own], reference[:, own])
    for t in (800.0, 1000.0):
        own = p.temperatures_k == t
        assert agrees(found.per_temperature[t], model[own], reference[own])
    lengths = [np.sqrt((f**2).sum(axis=2)) for f in (model, reference)]
    assert agrees(found.magnitude, *lengths)
    cosines = (model * reference).sum(axis=2) / (lengths[0] * lengths[1])
    angles = np.degrees(np.arccos(cosines))
    assert_allclose(found.angle_mean.value, angles.mean(), rtol=1e-6, atol=0)
    assert_allclose(found.angle_median.value, np.median(angles), rtol=1e-6, atol=0)
    assert found.angle_mean.low < angles.mean() < found.angle_mean.high


def test_an_energy_offset_is_all_that_the_shift_takes_off():
    p = predictions()
    moved = accuracy(replace(p, energies=p.energies + 50.0))
    found = accuracy(p)
    for f in fields(Errors):
        one, other = (getattr(a.energy.shift_removed, f.name).value for a in (found, moved))
        assert_allclose(one, other, rtol=1e-7, atol=0)
    assert_allclose(moved.shift.value - found.shift.value, 1e4, rtol=1e-9, atol=0)
    assert_allclose(moved.energy.spearman.value, found.energy.spearman.value, rtol=1e-12, atol=0)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(1e-3, 1e3))
def test_order_and_scale_do_not_matter(seed, scale):
    """Frames in another order, atoms turned about, all numbers in another unit."""
    p = predictions(n_frames=12)
    rng = np.random.default_rng(seed)
    order, atoms = rng.permutation(len(p)), rng.permutation(5)
    other = Predictions(
        atomic_numbers=p.atomic_numbers[atoms],
        energies=scale * p.energies[order],
        forces=scale * p.forces[order][:, atoms],
        reference_energies=scale * p.reference_energies[order],
        reference_forces=scale * p.reference_forces[order][:, atoms],
        temperatures_k=p.temperatures_k[order],
        runs=p.runs[order],
        frames=p.frames[order],
    )
    one, two = accuracy(p), accuracy(other)
    for a, b in ((one.forces, two.forces), (one.energy.raw, two.energy.raw)):
        for f in fields(Errors):
            factor = 1.0 if f.name == "r2" else scale
            for part in ("value", "low", "high"):
                x, y = (getattr(getattr(e, f.name), part) for e in (a, b))
                assert (x is None) == (y is None)
                if x is not None:
                    assert_allclose(y, factor * x, rtol=1e-6, atol=0)


@pytest.mark.parametrize("ties", [False, True])
def test_rank_correlation_is_that_of_scipy(ties):
    rng = np.random.default_rng(5)
    x = rng.standard_normal(300)
    y = x + rng.standard_normal(300)
    if ties:
        x, y = np.round(x), np.round(y)
    blocks = frame_blocks(np.zeros(300), np.repeat(np.arange(3), 100), np.tile(np.arange(100), 3))
    found = spearman(x, y, blocks)
    assert_allclose(found.value, spearmanr(x, y)[0], rtol=1e-9, atol=0)
    assert found.low < found.value < found.high
    assert_allclose(spearman(-x, y, blocks).value, -found.value, rtol=1e-9, atol=0)


# What is undefined


def every_number(found: Accuracy) -> list[float]:
    """All numbers anywhere in the result."""
    numbers: list[float] = []

    def collect(thing):
        if isinstance(thing, Estimate):
            numbers.extend(x for x in (thing.value, thing.low, thing.high) if x is not None)
        elif isinstance(thing, dict):
            for value in thing.values():
                collect(value)
        else:
            for f in fields(thing):
                collect(getattr(thing, f.name))

    collect(found)
    return numbers


def test_one_frame_has_values_and_no_intervals():
    found = accuracy(predictions(n_runs=1, n_frames=1))
    assert (found.forces.mae.low, found.forces.mae.high) == (None, None)
    assert found.forces.mae.value > 0.0
    assert found.energy.raw.r2.value is None
    assert not found.energy.spearman.resolved
    assert np.isfinite(every_number(found)).all()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "changed",
    [
        {"reference_forces": np.zeros((100, 5, 3))},
        {"forces": np.zeros((100, 5, 3))},
        {"reference_energies": np.full(100, -300.1)},
        {"energies": np.full(100, -300.1)},
        {"temperatures_k": np.full(100, np.nan)},
        {"temperatures_k": np.arange(100.0)},
        {"energies": predictions().reference_energies},
        {"forces": predictions().reference_forces, "energies": predictions().reference_energies},
    ],
)
def test_what_is_undefined_is_none_and_never_nan(changed):
    found = accuracy(predictions(**changed))
    assert np.isfinite(every_number(found)).all()


def test_references_without_variance_have_no_r2():
    found = accuracy(
        predictions(reference_forces=np.zeros((100, 5, 3)), reference_energies=np.full(100, -300.1))
    )
    for r2 in (found.forces.r2, found.energy.raw.r2, found.per_element["Li"].r2):
        assert (r2.value, r2.low, r2.high) == (None, None, None)
    assert found.angle_mean.value is None
    assert found.energy.spearman.value is None
    assert found.forces.mae.resolved


def test_the_angle_leaves_out_forces_that_are_zero():
    p = predictions()
    reference = np.array(p.reference_forces)
    reference[:, 2] = 0.0
    rest = np.array([0, 1, 3, 4])
    without = replace(
        p,
        atomic_numbers=NUMBERS[rest],
        forces=p.forces[:, rest],
        reference_forces=p.reference_forces[:, rest],
    )
    found, expected = accuracy(replace(p, reference_forces=reference)), accuracy(without)
    assert found.angle_mean == expected.angle_mean
    assert_allclose(found.angle_median.value, expected.angle_median.value, rtol=1e-9, atol=0)


def test_perfect_predictions():
    p = predictions()
    found = accuracy(replace(p, energies=p.reference_energies, forces=p.reference_forces))
    assert (found.forces.mae.value, found.forces.mae.low, found.forces.mae.high) == (0.0, 0.0, 0.0)
    assert found.forces.r2.value == 1.0
    assert (found.energy.spearman.value, found.energy.spearman.low) == (1.0, None)


@pytest.mark.parametrize("place", ["energies", "forces"])
def test_predictions_that_are_not_finite(place):
    values = np.array(getattr(predictions(), place))
    values[7] = np.nan
    values[9] = np.inf
    p = predictions(**{place: values})
    assert p.unsound.tolist() == [7, 9]
    with pytest.raises(InputError, match="2 of 100 not"):
        accuracy(p)


# The intervals keep their word


def forgetful(rng, shape, tau):
    """(n_runs, n_frames, n) standard normal numbers that forget in tau frames."""
    phi = math.exp(-1.0 / tau)
    noise = rng.standard_normal(shape)
    noise[:, 1:] *= math.sqrt(1.0 - phi**2)
    for k in range(1, shape[1]):
        noise[:, k] += phi * noise[:, k - 1]
    return noise


#: Of standard normal errors and a reference of deviation 4: the spread of the sum tells R² and ρ.
TRUTH = {
    "mae": math.sqrt(2.0 / math.pi),
    "median": 0.6744897501960817,
    "p99": 2.5758293035489004,
    "rmse": 1.0,
    "r2": 1.0 - 1.0 / 16.0,
    "spearman": 6.0 / math.pi * math.asin(0.5 * 4.0 / math.sqrt(17.0)),
}


@pytest.mark.parametrize(
    ("n_temperatures", "n_runs", "n_frames", "tau"),
    [(1, 3, 200, 10.0), (2, 2, 100, 5.0)],
)
def test_intervals_cover_the_truth(n_temperatures, n_runs, n_frames, tau):
    """Errors that last for frames: 200 times drawn; an interval of independent numbers fails."""
    n_all = n_temperatures * n_runs
    runs = np.repeat(np.arange(n_all), n_frames)
    temperatures, frames = (runs // n_runs).astype(float), np.tile(np.arange(n_frames), n_all)
    blocks = frame_blocks(temperatures, runs, frames)
    covered, naive = dict.fromkeys(TRUTH, 0), 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        wrong = forgetful(rng, (n_all, n_frames, 12), tau).reshape(-1, 12)
        known = 4.0 * forgetful(rng, (n_all, n_frames, 12), tau).reshape(-1, 12)
        found = vars(errors(known + wrong, known, blocks, ""))
        found["spearman"] = spearman((known + wrong)[:, 0], known[:, 0], blocks)
        for name, truth in TRUTH.items():
            low, high = found[name].low, found[name].high
            covered[name] += (low is None or low <= truth) and (high is None or truth <= high)
        each = np.abs(wrong)
        naive += abs(each.mean() - TRUTH["mae"]) < 1.96 * each.std() / math.sqrt(each.size)
    assert all(count >= 180 for count in covered.values()), covered
    assert naive < 140


def test_intervals_are_no_wider_than_needed():
    """Half the width of the interval of MAE against its true scatter over 200 draws."""
    blocks = frame_blocks(np.zeros(600), np.repeat(np.arange(3), 200), np.tile(np.arange(200), 3))
    values, widths = [], []
    for seed in range(200):
        wrong = forgetful(np.random.default_rng(seed), (3, 200, 12), 5.0).reshape(-1, 12)
        mae = errors(wrong, np.zeros_like(wrong), blocks, "").mae
        values.append(mae.value)
        widths.append(0.5 * (mae.high - mae.low))
    assert 1.7 < np.median(widths) / np.std(values, ddof=1) < 3.0
