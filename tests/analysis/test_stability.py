"""Noise floor, interval and verdict against closed forms and hand-made g(r)."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import t as student
from scipy.stats import ttest_ind, wasserstein_distance

from mdbench.analysis.noise import (
    Floor,
    RunSample,
    _scatter,
    memory,
    noise_floor,
    noise_ratio,
)
from mdbench.analysis.scales import other_scales
from mdbench.analysis.stability import (
    Comparison,
    Needed,
    classify,
    compare,
    compare_halves,
)
from mdbench.errors import InputError

N_BINS = 60


def run(blocks, length_ps=10.0, n_frames=100):
    return RunSample(np.atleast_2d(np.asarray(blocks, dtype=float)), length_ps, n_frames)


def noisy(rng, n_runs, *, n_blocks=10, amplitude=0.05, length_ps=10.0, shift=0.0):
    """Runs of independent blocks and bins; amplitude is that of one block of a run of 10 ps."""
    size = (n_runs, n_blocks, N_BINS)
    blocks = 1.0 + shift + amplitude * np.sqrt(10.0 / length_ps) * rng.standard_normal(size)
    return [run(b, length_ps=length_ps, n_frames=int(10 * length_ps)) for b in blocks]


def levels(*values):
    """Runs of a single block whose g is the same number in every bin."""
    return [run(np.full((1, N_BINS), value)) for value in values]


# rdf_mae and its interval


def test_rdf_mae_is_the_mean_difference_of_the_pooled_runs():
    model = [run([[1.0, 3.0]]), run([[2.0, 2.0]])]
    reference = [run([[1.0, 1.0], [2.0, 5.0]])]
    # pooled g 1.5, 2.5 against 1.5, 3
    assert compare(model, reference).rdf_mae == 0.25


def test_interval_is_that_of_welch_where_no_sign_can_change():
    model, reference = [2.0, 2.3, 1.9, 2.2], [1.0, 1.1, 1.05, 0.9, 1.0]
    expected = ttest_ind(model, reference, equal_var=False).confidence_interval(0.95)
    found = compare(levels(*model), levels(*reference))
    assert_allclose(found.rdf_mae, np.mean(model) - np.mean(reference), rtol=1e-12)
    assert_allclose(found.interval, [expected.low, expected.high], rtol=1e-12)


def test_single_runs_take_their_blocks_for_replicas():
    rng = np.random.default_rng(0)
    model, reference = 2.0 + 0.1 * rng.standard_normal(4), 1.0 + 0.1 * rng.standard_normal(4)
    expected = ttest_ind(model, reference, equal_var=False).confidence_interval(0.95)
    columns = [run(np.outer(values, np.ones(N_BINS))) for values in (model, reference)]
    found = compare(columns[:1], columns[1:])
    assert_allclose(found.interval, [expected.low, expected.high], rtol=1e-12)


def test_the_noisier_of_runs_and_blocks_sets_the_interval():
    rng = np.random.default_rng(1)
    reference = noisy(rng, 6, amplitude=1e-4)
    near = noisy(rng, 2, amplitude=1e-4, shift=1.0)
    one_astray = [near[0], replace(near[1], blocks=near[1].blocks + 0.2)]
    alike = [run(near[0].blocks + 0.3 * rng.standard_normal((10, 1)))] * 2  # to the last digit
    widths = []
    for model in (near, one_astray, alike):
        found = compare(model, reference)
        widths.append(found.interval[1] - found.rdf_mae)
    assert_allclose(widths[1], student.ppf(0.975, 1) * 0.1, rtol=0.01)  # t · 0.2/2
    blocks = alike[0].blocks.mean(axis=1)
    assert widths[2] > blocks.std(ddof=1) / np.sqrt(20)
    assert widths[0] < 0.01 * widths[2]


def test_a_single_frame_borrows_the_noise_of_the_other_side():
    rng = np.random.default_rng(2)
    reference = noisy(rng, 1)
    frame = run(1.5 * np.ones(N_BINS), length_ps=0.1, n_frames=1)
    both = compare(noisy(rng, 1, shift=0.5), reference)
    single = compare([frame], reference)
    ratio = (single.interval[1] - single.rdf_mae) / (both.interval[1] - both.rdf_mae)
    assert 3.0 < ratio < 12.0  # √(100 / 2), each side known from ten blocks
    assert single.floor.expected > 5 * both.floor.expected


def test_single_frames_have_no_noise_and_no_verdict():
    found = compare(levels(1.0), levels(1.001))
    assert (found.interval, found.floor, found.needed) == (None, None, None)
    verdict = classify(found)
    assert (verdict.state, verdict.paper) == ("undecided", "stable")
    assert "single frames" in verdict.reason
    assert classify(found, "fusion").state == "unstable"


def test_a_single_frame_of_the_reference_is_no_reference():
    found = compare(noisy(np.random.default_rng(3), 3, shift=0.5), levels(1.0))
    assert found.floor is None
    assert classify(found).state == "undecided"
    assert "single frame of the reference" in classify(found).reason


def test_identical_sides():
    runs = noisy(np.random.default_rng(4), 2, amplitude=0.01)
    found = compare(runs, runs)
    assert (found.rdf_mae, found.interval[0]) == (0.0, 0.0)
    assert classify(found).state == "stable"
    frozen = compare(levels(1.0, 1.0), levels(1.0, 1.0))
    assert (frozen.interval, frozen.floor.q95) == ((0.0, 0.0), 0.0)
    assert classify(frozen).state == "stable"


# the floor


def test_floor_of_replicas_is_the_mean_of_their_pairs():
    reference = levels(1.0, 1.1, 1.4)
    pairs = (0.1 + 0.3 + 0.4) / 3
    for n_model, factor in ((1, 4 / 3), (3, 2 / 3), (6, 1 / 6 + 1 / 3)):
        floor = noise_floor(levels(*[5.0] * n_model), reference)
        assert_allclose(floor.expected, pairs * np.sqrt(factor / 2), rtol=1e-12)
        assert_allclose(floor.single, pairs, rtol=1e-12)
        assert (floor.n_model, floor.n_reference) == (n_model, 3)


def test_floor_counts_lengths():
    reference = [replace(r, length_ps=ps) for r, ps in zip(levels(1.0, 1.3), (10, 30), strict=True)]
    model = [replace(r, length_ps=5.0) for r in levels(1.0, 2.0)]
    floor = noise_floor(model, reference)
    variance = 0.3**2 / (1 / 10 + 1 / 30)  # of a run of 1 ps
    expected = np.sqrt(variance * ((1 / 10 + 1 / 30) / 4 + (1 / 5 + 1 / 5) / 4))
    assert_allclose(floor.expected, expected, rtol=1e-12)
    unclocked = [replace(r, length_ps=None, n_frames=int(10 * r.length_ps)) for r in reference]
    frames = [replace(r, n_frames=50) for r in model]
    assert_allclose(noise_floor(frames, unclocked).expected, expected, rtol=1e-12)


def test_floor_of_a_single_run_from_its_blocks():
    rng = np.random.default_rng(5)
    floors = [noise_floor(noisy(rng, 1), noisy(rng, 1)) for _ in range(300)]
    deviation = 0.05 / np.sqrt(10)  # of a run's mean
    truth = np.sqrt(2 / np.pi) * np.sqrt(2) * deviation
    assert_allclose(np.mean([f.expected for f in floors]), truth, rtol=0.02)
    assert_allclose(np.mean([f.single for f in floors]), truth, rtol=0.02)


def test_quantile_of_one_mode_is_student_t():
    """Where all bins move together, |Δg| over the |Δg| of two runs is |t| with one degree."""
    shape = np.linspace(0.5, 2.0, N_BINS)
    floor = noise_floor(levels(1.0), [run([shape]), run([1.2 * shape])])
    assert_allclose(floor.q95 / floor.expected, student.ppf(0.975, 1), rtol=0.02)


@pytest.mark.parametrize("n_rows", [8, 27, 200])
@pytest.mark.parametrize("parts", [1, 5, 60])
def test_scatter_of_the_mean_of_independent_parts(n_rows, parts):
    """That of |x| is π/2 − 1, and few rows do not hide that there are more parts than rows."""
    rng = np.random.default_rng(6)
    groups = np.repeat(np.eye(parts), N_BINS // parts, axis=1)
    found = [_scatter(rng.standard_normal((n_rows, parts)) @ groups) for _ in range(200)]
    assert_allclose(np.mean(found), (np.pi / 2 - 1) / parts, rtol=0.05 if n_rows > 8 else 0.2)


def test_memory_is_the_lost_share_of_independent_blocks():
    rng = np.random.default_rng(7)
    for kept in (0.0, 0.9, 0.95):  # per frame, 20 frames to a block
        state = rng.standard_normal((500, N_BINS))
        blocks = np.zeros((10, 500, N_BINS))
        for frame in range(200):
            blocks[frame // 20] += state / 20
            noise = rng.standard_normal(state.shape)
            state = kept * state + np.sqrt(1 - kept**2) * noise
        naive = blocks.var(axis=0, ddof=1).mean() / 10
        truth = (blocks.mean(axis=0) ** 2).mean() / naive
        found = np.mean([memory(blocks[:, i]) for i in range(500)])
        assert_allclose(found, truth, rtol=0.1)


def test_memory_of_little():
    assert memory(np.random.default_rng(8).standard_normal((4, N_BINS))) == 1.0
    assert memory(np.ones((10, N_BINS))) == 1.0
    assert memory(np.arange(10.0)[:, None]) > 4.0  # a drift: as long as can be told
    assert memory((-1.0) ** np.arange(10)[:, None]) == 0.5


def test_noise_ratio_sees_repeated_frames_but_no_change_of_structure():
    rng = np.random.default_rng(9)
    model, reference = noisy(rng, 3, amplitude=0.01), noisy(rng, 3, amplitude=0.01)
    assert noise_ratio(model, reference) == 1.0
    repeated = [replace(r, length_ps=5 * r.length_ps, n_frames=5 * r.n_frames) for r in model]
    assert_allclose(noise_ratio(repeated, reference), 5.0, rtol=0.1)
    drift = [replace(r, blocks=r.blocks + np.linspace(0, 0.02, 10)[:, None]) for r in model]
    broken = [replace(r, blocks=r.blocks + np.eye(10)[:, 9:]) for r in model]
    assert noise_ratio(drift, reference) == 1.0
    assert noise_ratio(broken, reference) == 1.0
    assert noise_ratio(levels(1.0, 2.0), reference) == 1.0


def test_one_bad_run_of_the_model_does_not_raise_the_floor():
    rng = np.random.default_rng(10)
    model, reference = noisy(rng, 6), noisy(rng, 3)
    bad = [*model[:5], replace(model[5], blocks=model[5].blocks + 1.0)]
    assert noise_floor(bad, reference) == noise_floor(model, reference)
    assert compare(bad, reference).rdf_mae > 3 * compare(model, reference).rdf_mae


def test_any_g_may_be_compared():
    """Bins without atoms, and a pair without any."""
    rng = np.random.default_rng(11)
    empty = np.zeros((10, 20))
    model, reference = (
        [run(np.hstack([empty, r.blocks])) for r in noisy(rng, 3)] for _ in range(2)
    )
    found = compare(model, reference)
    assert 0.0 < found.floor.expected < found.floor.q95
    nothing = compare([run(empty)], [run(empty)])
    assert (nothing.rdf_mae, nothing.floor.q95) == (0.0, 0.0)


def test_the_same_input_gives_the_same_answer():
    rng = np.random.default_rng(12)
    model, reference = noisy(rng, 2), noisy(rng, 3)
    assert compare(model, reference) == compare(model, reference)


# bad input


@pytest.mark.parametrize(
    ("model", "reference", "message"),
    [
        ([], levels(1.0), "runs of the model: expected at least one, found none"),
        (levels(1.0), [], "runs of the reference: expected at least one"),
        (levels(1.0), [run(np.ones(7))], "model, run 1: bins of g(r): expected 7, found 60"),
        (levels(1.0), [run(np.ones((0, 60)))], "reference, run 1: g(r): expected frames"),
        (levels(1.0, np.nan), levels(1.0), "model, run 2: g(r): expected numbers"),
    ],
)
def test_what_cannot_be_compared(model, reference, message):
    with pytest.raises(InputError) as error:
        compare(model, reference)
    assert message in str(error.value)


# the rules


def comparison(value, low, high, q95=0.01, threshold=0.02, needed=None):
    floor = Floor(
        expected=0.8 * q95, q95=q95, single=q95, n_model=1, n_reference=1, noise_ratio=1.0
    )
    return Comparison(value, (low, high), floor, value, needed, threshold)


@pytest.mark.parametrize(
    ("numbers", "failure", "state", "rule", "paper"),
    [
        ((0.001, 0.000, 0.002), "fusion", "unstable", 1, "stable"),
        ((0.001, 0.000, 0.002), "drift", "unstable", 1, "stable"),
        ((0.001, 0.000, 0.002), "exploded", "unstable", 1, "stable"),
        ((0.001, 0.000, 0.002), "lattice mismatch", "stable", 3, "stable"),
        ((0.030, 0.021, 0.039), None, "unstable", 2, "unstable"),
        ((0.030, 0.020, 0.040), None, "undecided", 5, "unstable"),
        ((0.060, 0.040, 0.080, 0.05), None, "undecided", 5, "unstable"),
        ((0.060, 0.051, 0.069, 0.05), None, "unstable", 2, "unstable"),
        ((0.015, 0.011, 0.019), None, "stable", 3, "stable"),
        ((0.015, 0.011, 0.019, 0.05), None, "stable", 3, "stable"),
        ((0.015, 0.010, 0.020), None, "undecided", 5, "stable"),
        ((0.015, 0.010, 0.020, 0.015), None, "indistinguishable", 4, "stable"),
        ((0.020, 0.010, 0.030, 0.03), None, "indistinguishable", 4, "unstable"),
        ((0.060, 0.050, 0.070, 0.03, 0.1), None, "stable", 3, "stable"),
    ],
)
def test_the_first_rule_that_applies(numbers, failure, state, rule, paper):
    verdict = classify(comparison(*numbers), failure)
    assert (verdict.state, verdict.rule, verdict.paper) == (state, rule, paper)
    assert verdict.failure_mode == failure
    assert f"{numbers[0]:.4f}" in verdict.reason


def test_reasons_carry_the_numbers():
    needed = Needed(3.2, 4, 4, 35.0, None)
    text = classify(comparison(0.015, 0.01, 0.02, 0.016, needed=needed)).reason
    for part in ("0.0150 (0.0100 to 0.0200)", "1 x 1 runs", "expected 0.0128", "95 % 0.0160"):
        assert part in text
    assert "4 runs of 35 ps of the model and 4 runs of the reference" in text
    text = classify(comparison(0.03, 0.01, 0.05)).reason
    assert "more data would not" in text
    assert "holds the threshold 0.02" in text
    assert "reaches below the noise 0.0500" in classify(comparison(0.06, 0.03, 0.09, 0.05)).reason


# how much data is needed


def test_needed_is_nothing_more_where_the_limit_is_met():
    rng = np.random.default_rng(13)
    found = compare(noisy(rng, 2, amplitude=0.01), noisy(rng, 3, amplitude=0.01))
    assert found.needed == Needed(1.0, 2, 3, 10.0, 10.0)


def test_needed_grows_with_the_square_of_the_noise():
    rng = np.random.default_rng(14)
    noise = [r.blocks - 1.0 for r in noisy(rng, 6)]

    def needed(amplitude):
        runs = [run(1.0 + amplitude * n) for n in noise]
        return compare(runs[:3], runs[3:])

    few, many = needed(4.0), needed(8.0)
    assert_allclose(many.needed.factor / few.needed.factor, 4.0, rtol=0.1)
    assert many.needed.n_model == int(np.ceil(3 * many.needed.factor))
    assert many.needed.model_ps == 10.0


def test_no_data_remove_a_true_difference():
    rng = np.random.default_rng(15)
    found = compare(noisy(rng, 3, shift=0.05), noisy(rng, 3))
    assert found.needed is None
    assert_allclose(found.without_noise, 0.05, rtol=0.1)
    assert classify(found).state == "unstable"


# is the reference equilibrated?


def test_halves_of_an_equilibrated_and_of_a_drifting_reference():
    rng = np.random.default_rng(16)
    runs = noisy(rng, 3)
    halves = compare_halves(runs)
    assert halves.rdf_mae < halves.floor.q95
    settling = np.linspace(0.1, 0.0, 10)[:, None]
    for n in (1, 3):
        moved = compare_halves([replace(r, blocks=r.blocks + settling) for r in runs[:n]])
        assert moved.rdf_mae > moved.floor.q95
    assert compare_halves([run(np.ones((3, N_BINS)))]) is None


def test_halves_leave_out_the_block_in_the_middle():
    blocks = np.array([1.0, 1.0, 9.0, 2.0, 2.0])[:, None] * np.ones(N_BINS)
    assert compare_halves([run(blocks)]).rdf_mae == 1.0


# other scales


def test_other_scales():
    rng = np.random.default_rng(17)
    edges = 0.05 * np.arange(121)
    r = 0.5 * (edges[1:] + edges[:-1])
    reference = 1.0 + np.sin(3 * r) * (r > 1)
    model = reference + 0.1 * rng.random(120)
    found = other_scales(edges, model, reference)
    assert_allclose(found.mdsim, 6.0 * np.abs(model - reference).mean(), rtol=1e-12)
    area = np.abs(model - reference).sum() / np.abs(reference - 1).sum()
    assert_allclose(found.matbench, 100 * area, rtol=1e-12)
    shells = np.diff(edges**3)
    expected = wasserstein_distance(r, r, model * shells, reference * shells)
    assert_allclose(found.wasserstein, expected, rtol=1e-10)


def test_wasserstein_is_the_distance_that_pairs_move():
    edges = 0.1 * np.arange(61)
    shells = np.diff(edges**3)
    model, reference = np.zeros((2, 60))
    reference[20], model[25] = 1 / shells[20], 1 / shells[25]
    assert_allclose(other_scales(edges, model, reference).wasserstein, 0.5, rtol=1e-12)


def test_other_scales_that_are_undefined():
    edges = 0.1 * np.arange(61)
    assert other_scales(edges, np.ones(60), np.ones(60)).matbench is None
    nothing = other_scales(edges, np.zeros(60), np.ones(60))
    assert nothing.wasserstein is None
    assert nothing.mdsim == edges[-1]
