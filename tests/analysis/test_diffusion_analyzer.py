"""The diffusivity of DiffusionAnalyzer: itself as the oracle, a naive twin, published runs."""

import json

import numpy as np
import pytest
from ase.io import read
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from mdbench.analysis.diffusion_analyzer import analyzer_diffusivity
from mdbench.errors import InputError
from mdbench.trajectory import Trajectory

RTOL = 1e-10
CELL = np.array([[8.1, 0.0, 0.0], [-1.3, 9.2, 0.0], [0.7, 2.1, 10.4]])
MODES = ("false", "max", "constant")
N_FRAMEWORK = 7


def walk(n_ions, n_frames, seed=0, step=0.15):
    """(n_ions, 3, n_frames) Å: random walks from zero."""
    steps = np.random.default_rng(seed).normal(0.0, step, (n_ions, 3, n_frames))
    steps[:, :, 0] = 0.0
    return np.cumsum(steps, axis=2)


def crystal(n_ions, n_frames, seed=0):
    """(n_ions + N_FRAMEWORK, n_frames, 3) Å: walking ions, a shaking and drifting framework."""
    rng = np.random.default_rng(seed)
    shaking = rng.normal(0.0, 0.2, (N_FRAMEWORK, n_frames, 3))
    shaking[:, 0] = 0.0
    drift = walk(1, n_frames, seed + 1000, 0.05).transpose(0, 2, 1)
    return np.concatenate([walk(n_ions, n_frames, seed).transpose(0, 2, 1), shaking]) + drift


def mobile(displacements, is_mobile):
    """(n_ions, 3, n_frames) Å less the drift of the others, of (n_atoms, n_frames, 3)."""
    drift = displacements[~is_mobile].mean(axis=0)
    return (displacements[is_mobile] - drift).transpose(0, 2, 1)


def mobile_of(displacements):
    return mobile(displacements, np.arange(len(displacements)) < len(displacements) - N_FRAMEWORK)


def lattice_positions(n_ions):
    return np.random.default_rng(5).random((n_ions + N_FRAMEWORK, 3))


@pytest.fixture(scope="session")
def oracle():
    """Makes a DiffusionAnalyzer of displacements in a triclinic cell."""
    analyzer = pytest.importorskip("pymatgen.analysis.diffusion.analyzer")
    from pymatgen.core import Structure

    def make(displacements, time_step, step_skip, mode, **options):
        n_ions = len(displacements) - N_FRAMEWORK
        species = ["Li"] * n_ions + ["S"] * N_FRAMEWORK
        structure = Structure(CELL, species, lattice_positions(n_ions))
        return analyzer.DiffusionAnalyzer(
            structure, displacements, "Li", 500, time_step, step_skip, smoothed(mode), **options
        )

    return make


def smoothed(mode):
    return False if mode == "false" else mode


def check(found, expected):
    """A result against a DiffusionAnalyzer; an axis on the scale of all: its slope may vanish."""
    assert_allclose(found.lag_times_ps, expected.dt / 1000, rtol=RTOL, atol=0)
    assert_allclose(found.msd, expected.msd, rtol=RTOL, atol=0)
    assert_allclose(found.diffusivity, expected.diffusivity, rtol=RTOL, atol=0)
    assert_allclose(found.diffusivity_error, expected.diffusivity_std_dev, rtol=RTOL, atol=0)
    axes = found.axis_diffusivity + found.diffusivity
    expected_axes = expected.diffusivity_components + expected.diffusivity
    assert_allclose(axes, expected_axes, rtol=RTOL, atol=0)


@pytest.mark.parametrize(
    "n_ions, n_frames, time_step, step_skip",
    [
        (3, 1003, 2, 10),
        (8, 1009, 1, 25),
        (20, 2000, 2.0, 50),
        (31, 1201, 0.5, 13),
        (40, 1777, 1, 1),
    ],
)
@pytest.mark.parametrize("mode", MODES)
def test_walks_give_what_pymatgen_gives(oracle, mode, n_ions, n_frames, time_step, step_skip):
    displacements = crystal(n_ions, n_frames, seed=n_ions)
    expected = oracle(displacements, time_step, step_skip, mode)
    check(analyzer_diffusivity(mobile_of(displacements), time_step * step_skip, mode), expected)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 2000),
    n_ions=st.integers(1, 12),
    n_frames=st.integers(3, 420),
    time_step=st.sampled_from([0.5, 1, 2, 3.0]),
    step_skip=st.integers(1, 400),
    min_obs=st.integers(1, 40),
    avg_nsteps=st.integers(1, 300),
    mode=st.sampled_from(MODES),
)
def test_any_run_gives_what_pymatgen_gives(
    oracle, seed, n_ions, n_frames, time_step, step_skip, min_obs, avg_nsteps, mode
):
    """Both refuse the same runs: pymatgen by ValueError, or IndexError for a line of two points."""
    displacements = crystal(n_ions, n_frames, seed)
    options = {"min_obs": min_obs, "avg_nsteps": avg_nsteps}
    ions, interval = mobile_of(displacements), time_step * step_skip
    if mode == "max" and interval > 1000:
        with pytest.raises(InputError, match="at most 1000 fs apart"):
            analyzer_diffusivity(ions, interval, mode, **options)
        return
    try:
        expected = oracle(displacements, time_step, step_skip, mode, **options)
    except (ValueError, IndexError):
        with pytest.raises(InputError, match="at least"):
            analyzer_diffusivity(ions, interval, mode, **options)
        return
    check(analyzer_diffusivity(ions, interval, mode, **options), expected)


@pytest.mark.parametrize("n_frames, n_lags", [(409, 399), (410, 200)])
def test_lags_over_all_origins_are_thinned(oracle, n_frames, n_lags):
    displacements = crystal(30, n_frames)
    found = analyzer_diffusivity(mobile_of(displacements), 100, "max")
    assert len(found.msd) == n_lags
    check(found, oracle(displacements, 2, 50, "max"))


@pytest.mark.parametrize("mode", MODES)
def test_ions_that_do_not_move_get_the_least_slope(oracle, mode):
    """Ions that return: the slope is negative, on every axis."""
    displacements = np.zeros((5 + N_FRAMEWORK, 1200, 3))
    displacements[:5] = np.exp(-np.arange(1200) / 400.0)[:, None]
    found = analyzer_diffusivity(mobile_of(displacements), 20, "false")
    assert_allclose(found.diffusivity, 1e-15 / 60, rtol=1e-12, atol=0)
    still = np.zeros((5 + N_FRAMEWORK, 1200, 3))
    expected = oracle(still, 2, 10, mode).diffusivity_components
    found = analyzer_diffusivity(mobile_of(still), 20, mode).axis_diffusivity
    assert_allclose(found, expected, rtol=1e-12, atol=0)


def test_unwrapped_structures_of_a_triclinic_cell(oracle):
    """From wrapped fractional coordinates, as published numbers are made."""
    analyzer = pytest.importorskip("pymatgen.analysis.diffusion.analyzer")
    from pymatgen.core import Structure

    displacements = crystal(6, 301)
    start = lattice_positions(6)
    scaled = (start[:, None] + displacements @ np.linalg.inv(CELL)) % 1.0
    species = ["Li"] * 6 + ["S"] * N_FRAMEWORK
    frames = [Structure(CELL, species, scaled[:, t]) for t in range(301)]
    for mode in MODES:
        expected = analyzer.DiffusionAnalyzer.from_structures(
            frames, "Li", 500, 2, 25, smoothed=smoothed(mode), avg_nsteps=100
        )
        found = analyzer_diffusivity(mobile_of(displacements), 50, mode, avg_nsteps=100)
        check(found, expected)


def naive(ions, interval, mode, min_obs, avg_nsteps):
    """Lag times in fs, MSD and diffusivities by plain loops and `polyfit`."""
    n_ions, _, n = ions.shape
    if mode == "max":
        first, stop = int(1000 / interval), min(n_ions * n // min_obs, n)
        lags = list(range(first, stop, max((stop - first) // 200, 1)))
        pairs = [[(t, t + m) for t in range(n - m)] for m in lags]
    elif mode == "constant":
        lags = list(range(n - avg_nsteps))
        pairs = [[(t, t + m) for t in range(avg_nsteps)] for m in lags]
    else:
        lags = list(range(n))
        pairs = [[(0, m)] for m in lags]
    msd = np.zeros((len(lags), 3))
    for k, both in enumerate(pairs):
        for a, b in both:
            msd[k] += ((ions[:, :, b] - ions[:, :, a]) ** 2).sum(axis=0) / n_ions / len(both)
    times = np.array(lags) * interval
    weights = times**-0.5 if mode == "max" else None
    slopes = np.polyfit(times, np.column_stack([msd.sum(axis=1), msd]), 1, w=weights)[0]
    return times, msd.sum(axis=1), slopes[0] * 0.1 / 6, slopes[1:] * 0.1 / 2


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("n_ions, n_frames", [(2, 301), (7, 150)])
def test_equals_a_naive_twin(mode, n_ions, n_frames):
    ions = walk(n_ions, n_frames, seed=3)
    options = {"min_obs": 4, "avg_nsteps": 60}
    found = analyzer_diffusivity(ions, 40.0, mode, **options)
    times, msd, diffusivity, axes = naive(ions, 40.0, mode, **options)
    assert_allclose(found.lag_times_ps, times / 1000, rtol=1e-12, atol=0)
    assert_allclose(found.msd, msd, rtol=RTOL, atol=0)
    assert_allclose(found.diffusivity, diffusivity, rtol=RTOL, atol=0)
    assert_allclose(found.axis_diffusivity, axes, rtol=RTOL, atol=0)


@pytest.mark.parametrize("mode", MODES)
def test_layout_order_and_axes_do_not_matter(mode):
    ions = walk(5, 400)
    options = {"avg_nsteps": 100}
    plain = analyzer_diffusivity(ions, 20.0, mode, **options)
    as_list = analyzer_diffusivity([x.copy(order="F") for x in ions], 20.0, mode, **options)
    assert as_list.diffusivity == plain.diffusivity
    turned = analyzer_diffusivity(ions[::-1, [2, 0, 1]], 20.0, mode, **options)
    assert_allclose(turned.diffusivity, plain.diffusivity, rtol=1e-12, atol=0)
    assert_allclose(turned.axis_diffusivity, plain.axis_diffusivity[[2, 0, 1]], rtol=1e-12, atol=0)
    assert_allclose(plain.axis_diffusivity.mean(), plain.diffusivity, rtol=1e-12, atol=0)
    far = analyzer_diffusivity(10.0 * ions, 20.0, mode, **options)
    assert_allclose(far.diffusivity, 100.0 * plain.diffusivity, rtol=1e-12, atol=0)


@pytest.mark.parametrize("interval", [100.0, 100.0 * (1 + 3e-13), 100.0 * (1 - 3e-13)])
def test_rounding_of_the_interval_does_not_move_the_first_lag(interval):
    found = analyzer_diffusivity(walk(20, 140), interval, "max")
    assert_allclose(found.lag_times_ps[0], 1.0, rtol=1e-9, atol=0)


@pytest.mark.parametrize("mode", MODES)
def test_the_stated_error_is_far_too_small(mode):
    """Over 60 exact random walks the diffusivity scatters by much more than it is said to."""
    results = [analyzer_diffusivity(walk(20, 3000, seed), 20.0, mode) for seed in range(60)]
    spread = np.std([r.diffusivity for r in results], ddof=1)
    assert spread > 10 * np.mean([r.diffusivity_error for r in results])


def displacements_of(path):
    """(n_atoms, n_frames, 3) Å of an XDATCAR, and which atoms are Li."""
    images = read(path, index=":", format="vasp-xdatcar")
    run = Trajectory.from_ase(images, frame_interval_fs=100.0)
    return (run.positions - run.positions[0]).transpose(1, 0, 2), run.atomic_numbers == 3


@pytest.mark.parametrize(
    "name, from_first, over_all, times_ps, msd",
    [
        (
            "Li6PS5Cl_50p_run1",
            1.34374e-05,
            1.33307e-05,
            [0.1, 1.0, 7.0, 13.9],
            [0.46957, 1.0866, 6.83115, 11.81371],
        ),
        (
            "Li6PS5Cl_50p_run2",
            1.15487e-05,
            1.17436e-05,
            [0.1, 1.0, 7.0, 13.9],
            [0.52441, 2.1301, 6.46375, 11.29567],
        ),
        (
            "Li6PS5I_100p_run1",
            7.31282e-06,
            7.31449e-06,
            [0.1, 1.0, 5.0, 9.9],
            [0.50205, 1.13743, 3.0900, 4.98546],
        ),
    ],
)
def test_argyrodites(real_data, name, from_first, over_all, times_ps, msd):
    """AIMD (doi:10.1021/acs.chemmater.0c03738); numbers known from pymatgen's own reading."""
    displacements, is_lithium = displacements_of(real_data / f"{name}.XDATCAR.gz")
    ions = mobile(displacements, is_lithium)
    found = {m: analyzer_diffusivity(ions, 100.0, m, avg_nsteps=60) for m in MODES}
    assert_allclose(found["false"].diffusivity, from_first, rtol=5e-6, atol=0)
    assert_allclose(found["max"].diffusivity, over_all, rtol=5e-6, atol=0)
    at = np.rint(np.array(times_ps) / 0.1).astype(int)
    assert_allclose(found["false"].msd[at], msd, rtol=2e-5, atol=0)

    analyzer = pytest.importorskip("pymatgen.analysis.diffusion.analyzer")
    from pymatgen.core import Structure

    species = ["Li" if lithium else "S" for lithium in is_lithium]
    structure = Structure(CELL, species, np.zeros((len(species), 3)))
    for mode in MODES:
        expected = analyzer.DiffusionAnalyzer(
            structure, displacements, "Li", 500, 2.0, 50, smoothed(mode), avg_nsteps=60
        )
        check(found[mode], expected)


@pytest.mark.parametrize("mode", MODES)
def test_cubic_na3ps4(real_data, mode):
    """A DiffusionAnalyzer that was stored with its displacements."""
    analyzer = pytest.importorskip("pymatgen.analysis.diffusion.analyzer")
    stored = json.loads((real_data / "cNa3PS4_pda.json").read_text())
    stored |= {"smoothed": smoothed(mode), "avg_nsteps": 40}
    expected = analyzer.DiffusionAnalyzer.from_dict(stored)
    displacements = np.array(stored["displacements"])
    is_sodium = np.array([site.specie.symbol == "Na" for site in expected.structure])
    interval = stored["time_step"] * stored["step_skip"]
    found = analyzer_diffusivity(
        mobile(displacements, is_sodium), interval, mode, min_obs=stored["min_obs"], avg_nsteps=40
    )
    check(found, expected)
    if mode == "false":
        assert_allclose(found.diffusivity, 2.18847e-05, rtol=5e-6, atol=0)
        known = [0.04241839, 0.85170415, 2.11784538, 2.96074747]
        assert_allclose(found.msd[[1, 10, 50, 99]], known, rtol=1e-6, atol=0)


@pytest.mark.parametrize(
    "n_frames, interval, mode, options, message",
    [
        (2, 20.0, "false", {}, "at least 3 frames, found 2"),
        (1002, 20.0, "constant", {}, "at least 1003 frames for avg_nsteps 1000, found 1002"),
        (260, 20.0, "max", {}, r"at least 3 lags from 50 frames \(1 ps\) to 52 frames, found 2"),
        (200, 20.0, "max", {}, "found 0; give a longer run, a smaller min_obs"),
        (500, 1000.5, "max", {}, "frames at most 1000 fs apart, found 1000.5 fs"),
        (500, 20.0, "Max", {}, "did you mean max"),
        (500, 20.0, False, {}, "smoothing False; did you mean false"),
        (500, 0.0, "false", {}, "above 0 fs"),
        (500, np.nan, "false", {}, "above 0 fs"),
        (500, 20.0, "max", {"min_obs": 0}, "min_obs: expected at least 1, found 0"),
        (500, 20.0, "constant", {"avg_nsteps": 0}, "avg_nsteps: expected at least 1, found 0"),
    ],
)
def test_what_cannot_be_fitted_is_refused(n_frames, interval, mode, options, message):
    with pytest.raises(InputError, match=message):
        analyzer_diffusivity(walk(6, n_frames), interval, mode, **options)


def test_the_shortest_runs():
    assert len(analyzer_diffusivity(walk(6, 3), 20.0, "false").msd) == 3
    assert len(analyzer_diffusivity(walk(6, 1003), 20.0, "constant").msd) == 3
    assert len(analyzer_diffusivity(walk(6, 265), 20.0, "max").msd) == 3


def with_a_hole():
    ions = walk(3, 50)
    ions[1, 2, 30] = np.nan
    return ions


@pytest.mark.parametrize(
    "displacements, message",
    [
        ([], "at least one mobile ion, found none"),
        (np.zeros(30), r"ion 0: expected shape \(3, frames\), found \(\)"),
        (np.zeros((4, 30)), r"ion 0: expected shape \(3, frames\), found \(30,\)"),
        (np.zeros((4, 30, 3)), r"ion 0: expected shape \(3, 3\), found \(30, 3\)"),
        ([np.zeros((3, 30)), np.zeros((3, 29))], r"ion 1: expected shape \(3, 30\)"),
        (with_a_hole(), "ion 1: expected finite, found NaN or inf"),
    ],
)
def test_senseless_displacements_are_refused(displacements, message):
    with pytest.raises(InputError, match=message):
        analyzer_diffusivity(displacements, 20.0, "false")
