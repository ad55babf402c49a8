"""Fidelity of paths: little data, no jumps, invariances, refusals."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from mdbench.analysis.path_events import events
from mdbench.analysis.path_fidelity import path_fidelity
from mdbench.errors import InputError
from tests.analysis.jumpers import jumpers, jumps_of
from tests.analysis.test_path_floors import scores

STILL = jumps_of([], n_ions=20, n_sites=54, n_frames=3500, interval_ps=0.01)


def fidelity(model, reference, **options):
    options = {"n_deals": 20, **options}
    return path_fidelity(model, reference, reference[0].n_sites, **options)


def run(seed, **options):
    return jumpers(np.random.default_rng(seed), **options)


def values(found):
    return {name: score.estimate.value for name, (score, _) in scores(found).items()}


def test_a_run_against_itself():
    same = run(0)
    found = values(fidelity([same], [same]))
    for name, value in found.items():
        good = name.endswith("efficiency")
        assert_allclose(value, 1.0 if good else 0.0, rtol=0, atol=1e-12, err_msg=name)


def test_shares_of_a_model_add_up():
    found = fidelity([run(0)], [run(1)])
    for group in (found, found.strict, found.paths.majority, found.paths.all):
        rest = 1.0 - group.fake_rate.estimate.value - group.duplicate_rate.estimate.value
        assert 0.0 <= rest <= 1.0
        assert group.fake_rate.estimate.low <= group.fake_rate.estimate.value


def test_a_frozen_model():
    found = fidelity([STILL], [run(0)])
    assert found.efficiency.estimate.value == 0.0
    assert found.strict.efficiency.estimate.value == 0.0
    assert found.paths.all.efficiency.estimate.value == 0.0
    assert not found.fake_rate.estimate.resolved
    assert not found.rate_distance.estimate.resolved
    assert found.rate_ratio.estimate.value == 0.0
    assert 0.0 < found.rate_ratio.estimate.high < 0.1
    assert found.frozen < 1e-12
    assert found.own_share is None


def test_few_jumps_are_no_proof_of_a_frozen_model():
    """Three jumps of the reference: with equal lengths all are there by chance once in 8 times."""
    three = jumps_of(
        [(0, 100, 0, 1), (1, 1500, 3, 4), (2, 3000, 5, 6)],
        n_ions=20, n_sites=54, n_frames=3500, interval_ps=0.01,
    )  # fmt: skip
    found = fidelity([STILL], [three])
    assert_allclose(found.frozen, 0.5**3, rtol=1e-12, atol=0)
    assert found.rate_ratio.estimate.high > 1.0
    twice = fidelity([STILL, STILL], [three])
    assert_allclose(twice.frozen, (1 / 3) ** 3, rtol=1e-12, atol=0)


def test_a_reference_without_jumps():
    found = fidelity([run(0)], [STILL])
    assert not found.efficiency.estimate.resolved
    assert found.fake_rate.estimate.value == 1.0
    assert found.duplicate_rate.estimate.value == 0.0
    assert found.rate_ratio.estimate.value is None
    assert found.rate_ratio.estimate.low > 10.0
    assert found.frozen is None


def test_no_jumps_at_all():
    found = fidelity([STILL], [STILL])
    assert not any(score.estimate.resolved for score, _ in scores(found).values())
    assert found.rate_ratio.floor is None
    assert found.frozen is None
    assert found.efficiency.as_json()["floor"] is None


def test_jumps_of_one_ion():
    rows = [(0, 10, 0, 1), (0, 50, 1, 0), (0, 90, 0, 1)]
    found = fidelity([jumps_of(rows, n_ions=1)], [jumps_of(rows, n_ions=1)])
    assert found.efficiency.estimate.value == 1.0
    assert found.efficiency.estimate.low < 0.6


def test_sites_that_only_the_model_has():
    reference = jumps_of([(0, 10, 0, 1), (1, 20, 1, 0)])
    model = jumps_of([(0, 10, 0, 1), (0, 20, 1, 6), (0, 30, 6, 1), (1, 40, 1, 0)])
    found = path_fidelity([model], [reference], 6, n_deals=20)
    assert found.own_share == 0.5
    assert found.fake_rate.estimate.value == 0.5
    assert found.n_pairs == (4, 2, 2)


def test_names_of_ions_and_sites_do_not_matter():
    rng = np.random.default_rng(0)
    model, reference = run(1), run(2)
    names, ions = rng.permutation(54), rng.permutation(20)

    def renamed(given):
        rows = np.column_stack(
            [ions[given.ion], given.frame, names[given.origin], names[given.target], given.shift]
        )
        return jumps_of(
            rows, n_ions=20, n_sites=54, n_frames=given.n_frames,
            interval_ps=given.frame_interval_ps,
        )  # fmt: skip

    before = values(fidelity([model], [reference]))
    after = values(fidelity([renamed(model)], [renamed(reference)]))
    assert_allclose(list(after.values()), list(before.values()), rtol=1e-12, atol=1e-12)


def test_the_same_seed_gives_the_same_floor():
    sides = [run(1)], [run(2)]
    once, again, other = (fidelity(*sides, seed=seed).efficiency.floor for seed in (1, 1, 2))
    assert once == again
    assert once != other


def test_runs_of_unequal_length_are_cut_alike():
    """35, 70 and 7 ps against 112: stretches of 14 ps, or what there is."""
    lengths = (3500, 7000, 700)
    model = [run(k, n_frames=n) for k, n in enumerate(lengths)]
    reference = [run(9, n_frames=11200)]
    happened = events(model, reference)
    assert np.bincount(happened.stretches.is_model).tolist() == [8, 8]
    exposures = happened.stretches.exposure_ps / 20
    assert_allclose(exposures[:7].sum(), 105.0, rtol=1e-12, atol=0)
    assert_allclose(exposures.sum(), 224.0, rtol=1e-12, atol=0)
    found = fidelity(model, reference)
    assert 0.8 < found.rate_ratio.estimate.value < 1.25
    assert found.rate_ratio.estimate.low < 1.0 < found.rate_ratio.estimate.high


def test_windows_hold_two_jumps_of_an_ion_and_divide_stretches():
    found = fidelity([run(0, jumps_per_ion=60)], [run(1, jumps_per_ion=60)])
    assert_allclose(found.window_ps, 35.0 / 60.0 * 2.0, rtol=0.25)
    assert found.n_stretches == (8, 8)
    asked = fidelity([run(0)], [run(1)], window_ps=1.0)
    assert_allclose(35.0 / 8.0 / asked.window_ps, 4.0, rtol=1e-12, atol=0)


def test_a_rate_is_compared_with_its_interval():
    found = fidelity([run(0, jumps_per_ion=20)], [run(1, jumps_per_ion=40)])
    ratio = found.rate_ratio.estimate
    assert ratio.low < 0.5 < ratio.high < 0.75
    assert found.rate_ratio.floor.p <= 1 / 21 + 1e-12


@pytest.mark.parametrize(
    "model, reference, n_sites, words",
    [
        ([], [run(0)], 54, "runs of the model: expected at least one"),
        ([run(0)], [], 54, "runs of the reference: expected at least one"),
        ([run(0, shape=(2, 2, 6))], [run(0)], 54, "model, run 1: .*expected 54, found 24"),
        ([run(0)], [run(0)], 55, "sites of the reference: expected at most all 54"),
        ([replace(STILL, n_frames=0)], [run(0)], 54, "model, run 1: .*ions and frames"),
    ],
)
def test_sides_that_cannot_be_compared(model, reference, n_sites, words):
    with pytest.raises(InputError, match=words):
        path_fidelity(model, reference, n_sites)


@pytest.mark.slow
def test_a_million_jumps():
    """Random ones, 500 ions on 1000 sites: the counts are those of plain numpy."""
    rng = np.random.default_rng(0)
    sides = []
    for _ in range(2):
        rows = np.column_stack(
            [rng.integers(500, size=500_000), rng.integers(1, 10_000, 500_000),
             rng.integers(1000, size=500_000), rng.integers(20, size=500_000)]
        )  # fmt: skip
        sides.append([jumps_of_table(rows)])
    found = fidelity(*sides, n_deals=100)
    made, known = (np.unique(side[0].origin * 1000 + side[0].target) for side in sides)
    assert_array_equal(found.n_pairs, [len(made), len(known), len(np.intersect1d(made, known))])
    assert found.efficiency.estimate.value == 1.0


def jumps_of_table(rows):
    empty = jumps_of([], n_ions=500, n_sites=1000, n_frames=10_000)
    rows = rows[np.lexsort((rows[:, 1], rows[:, 0]))]
    return replace(
        empty, ion=rows[:, 0], frame=rows[:, 1], origin=rows[:, 2], target=rows[:, 3],
        shift=np.zeros((len(rows), 3), dtype=np.int64),
    )  # fmt: skip
