"""Failures of model runs: planted ones are named, sound ones and real replicas have none."""

import dataclasses

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from mdbench.analysis.controls import all_controls
from mdbench.analysis.failures import MODES, find_failures, times_to_failure
from mdbench.analysis.rdf import radial_distribution
from mdbench.analysis.stretch import framework_stretch, stretch
from mdbench.analysis.survival import survival
from mdbench.analysis.windows import WindowedRun
from mdbench.config import IngestConfig
from mdbench.errors import InputError
from mdbench.stages import ingest
from mdbench.store import read_trajectory
from mdbench.synthetic import (
    HoppingModel,
    drifting,
    fused,
    ion_conductor,
    lattice,
    melted,
    swollen,
)
from mdbench.trajectory import Trajectory

LI, S = -1, 0  # atoms of each kind


def conductor(seed, n_frames=100, model=None, temperature_k=800.0, interval_fs=100.0):
    return ion_conductor(
        model or HoppingModel(),
        n_frames,
        np.random.default_rng(seed),
        temperature_k=temperature_k,
        frame_interval_fs=interval_fs,
    )


def watched(run, *, end_reason=None, dr=0.05, end_ps=None):
    collector = WindowedRun(run.atomic_numbers, 6.0, dr)
    collector.add(run)
    return collector.result(end_reason=end_reason, end_ps=end_ps)


@pytest.fixture(scope="module")
def reference():
    return [watched(conductor(seed)) for seed in (1, 2)]


@pytest.fixture(scope="module")
def model():
    return conductor(3)


@pytest.mark.parametrize(
    "n_frames, interval_fs, temperature_k",
    [(20, 100.0, 1200.0), (100, 100.0, 800.0), (200, 100.0, 1200.0), (60, 20.0, 1200.0)],
)
def test_a_perfect_model_does_not_fail(n_frames, interval_fs, temperature_k):
    """In at least 95 % of seeds, one run of each; also where the model's run is three times longer.

    Nothing keeps these ions apart, so that at 1200 K there are contacts below the limits.
    """
    failed = 0
    for seed in range(40):
        reference, model = (
            watched(conductor(1000 * k + seed, n, None, temperature_k, interval_fs))
            for k, n in enumerate((n_frames, n_frames * (1 if seed % 4 else 3)))
        )
        failed += bool(find_failures([model], [reference]))
    assert failed <= 2


@pytest.mark.parametrize("springs", [{"Li": 2.2, "S": 1.0}, {"Li": 2.2, "S": 0.5}])
def test_a_soft_framework_is_no_lattice_mismatch(springs):
    """Four atoms whose vibrations alone are beyond the limit that needs no reference."""
    soft = HoppingModel(repeats=1, n_vacancies=1, springs=springs)
    failed = 0
    for seed in range(40):
        reference, model = (
            watched(conductor(2000 * k + seed, n, soft)) for k, n in enumerate((100, 250))
        )
        found = find_failures([model], [reference])
        failed += any(f.mode == "lattice mismatch" for f in found)
    squares = model.squares.sum() / model.n_frames.sum() / 4
    assert squares**0.5 > 0.1 * 5.7 / 2**0.5
    assert failed <= 2


def test_a_swollen_lattice(reference):
    for seed in range(5):
        for factor in (1.02, 0.98, 1.008):
            [found] = find_failures([watched(swollen(conductor(50 + seed), factor))], reference)
            assert (found.mode, found.subject) == ("lattice mismatch", "framework")
            assert abs(found.value - factor) < 0.002
            assert found.first_bad_time_ps == 0.0
        assert not find_failures([watched(swollen(conductor(50 + seed), 1.003))], reference)


@pytest.mark.parametrize("start_ps, stop_ps", [(0.0, 10.0), (4.3, 5.6), (8.85, 10.0)])
def test_fused_atoms(model, reference, start_ps, stop_ps):
    atoms = (model.n_atoms + LI, S)
    run = fused(model, atoms, 0.9, start_ps=start_ps, stop_ps=stop_ps)
    found = find_failures([watched(model), watched(run)], reference)
    assert {(f.mode, f.run) for f in found} == {("fusion", 1)}
    first = found[0]
    assert (first.subject, first.atoms) == ("Li-S", atoms)
    assert_allclose(first.value, 0.9, rtol=1e-9, atol=0)
    assert first.value < first.limit < 0.7 * 2.47
    assert abs(first.first_bad_time_ps - start_ps) <= 1.0
    assert "Li-S" in first.message
    assert "0.90 A" in first.message


def test_fused_atoms_without_a_reference(model):
    run = watched(fused(model, (4, 9), 0.9, start_ps=5.0))
    first, *_ = find_failures([run])
    assert (first.mode, first.subject, first.atoms) == ("fusion", "S-S", (4, 9))
    assert_allclose(first.limit, 0.6 * 2 * 1.05, rtol=1e-12, atol=0)
    assert first.first_bad_time_ps == 5.0
    assert not find_failures([watched(model)])


def test_one_close_passage_is_no_fusion(model, reference):
    """Two frames (0.2 ps) are more than 1e-4 of the contacts, but no evidence."""
    assert not find_failures([watched(fused(model, (4, 9), 0.9, start_ps=5.0, stop_ps=5.2))],
                             reference)  # fmt: skip


def test_contacts_that_the_reference_has_too_are_no_fusion(model):
    """A dimer in the reference and in the model; ten times as long in the model is fusion."""
    short, long = ({"start_ps": 5.0, "stop_ps": 5.5}, {"start_ps": 0.0, "stop_ps": 10.0})
    reference = [watched(fused(conductor(1), (4, 9), 1.6, **short))]
    assert not find_failures([watched(fused(model, (2, 7), 1.6, **short))], reference)
    found = find_failures([watched(fused(model, (2, 7), 1.6, **long))], reference)
    assert {f.mode for f in found} == {"fusion"}


def test_a_drifting_cell(model, reference):
    run = drifting(model, (0.3, 0.0, 0.4), start_ps=2.0)
    [found] = find_failures([watched(run)], reference)
    assert (found.mode, found.subject, found.limit) == ("drift", "cell", 0.5)
    assert abs(found.value - 0.5 * 7.9) < 0.2
    assert abs(found.first_bad_time_ps - 3.0) <= 1.0
    assert not find_failures([watched(drifting(model, (0.02, 0.0, 0.0)))], reference)


def test_a_drift_as_the_references_is_none(model):
    """Up to three times as far; further in proportion to the root of a longer time."""
    reference = [watched(drifting(conductor(1), (0.1, 0.0, 0.0)))]
    assert not find_failures([watched(drifting(model, (0.0, 0.27, 0.0)))], reference)
    [found] = find_failures([watched(drifting(model, (0.0, 0.4, 0.0)))], reference)
    assert found.mode == "drift"
    long = conductor(4, 400)
    assert not find_failures([watched(drifting(long, (0.0, 0.13, 0.0)))], reference)
    assert find_failures([watched(drifting(long, (0.0, 0.2, 0.0)))], reference)


@pytest.mark.parametrize("start_ps", [0.0, 6.0])
def test_a_melted_crystal(reference, start_ps):
    for seed in range(5):
        melt = melted(conductor(60 + seed), np.random.default_rng(seed), start_ps=start_ps)
        found = find_failures([watched(melt)], reference)
        assert {f.mode for f in found} == {"lattice mismatch"}
        [sulfur] = [f for f in found if f.subject == "S"]
        assert sulfur.value > sulfur.limit >= 0.4
        assert start_ps <= sulfur.first_bad_time_ps <= start_ps + 3.0


def test_a_melt_as_the_references_is_none():
    """A fluid against a fluid, also a longer one: equal spans of time are compared."""
    rng = np.random.default_rng(8)
    reference = [watched(melted(conductor(seed), rng)) for seed in (1, 2)]
    for n_frames in (100, 300):
        found = find_failures([watched(melted(conductor(3, n_frames), rng))], reference)
        assert not [f for f in found if f.subject == "S"]


def test_a_frozen_model_is_named(reference):
    """No hop where the reference has dozens; a run too short to tell is not condemned."""
    still = dataclasses.replace(HoppingModel(), attempts_per_ps=0.0)
    run = ion_conductor(still, 100, np.random.default_rng(5), temperature_k=800.0)
    (found,) = find_failures([watched(run)], reference)
    assert (found.mode, found.subject, found.value) == ("frozen", "Li", 0.0)
    assert found.limit > 0.0
    assert "0 times" in found.message
    assert not find_failures([watched(run[:10])], reference)
    assert not find_failures([watched(conductor(7))], [watched(run)])


def test_a_pause_that_the_reference_makes_too_is_not_frozen(reference):
    """Ions that hop in bursts are still between them, in the reference as in a short run."""
    still = dataclasses.replace(HoppingModel(), attempts_per_ps=0.0)
    pauses = [
        watched(ion_conductor(still, 100, np.random.default_rng(seed), temperature_k=800.0))
        for seed in (5, 6, 7)
    ]
    assert [f.mode for f in find_failures(pauses[:1], reference)] == ["frozen"]
    assert not find_failures(pauses[:1], [*reference, *pauses[1:]])


def test_modes_come_in_their_order(model, reference):
    atoms = (model.n_atoms + LI, S)
    run = melted(model, np.random.default_rng(1), start_ps=1.0)
    run = fused(drifting(run, (0.3, 0.0, 0.0)), atoms, 0.9, start_ps=6.0)
    found = find_failures([watched(run, end_reason="exploded: 1e6 K at 10 ps")], reference)
    assert list(dict.fromkeys(f.mode for f in found)) == list(MODES[:4])  # a melt is not frozen
    order = [(MODES.index(f.mode), f.first_bad_time_ps) for f in found]
    assert order == sorted(order)
    times, failed = times_to_failure([watched(run)], found)
    assert_array_equal(times, [min(f.first_bad_time_ps for f in found)])
    assert failed.all()


@pytest.mark.parametrize("reason, mode", [
    ("exploded: temperature of 1e6 K", "exploded"),
    ("fusion: Li-S at 0.81 A", "fusion"),
    ("wall time", None),
    ("a pair exploded", None),
    (None, None),
])  # fmt: skip
def test_a_run_says_why_it_ended(model, reference, reason, mode):
    cut = watched(model[:40], end_reason=reason)
    found = find_failures([watched(model), cut], reference)
    assert [(f.mode, f.run) for f in found] == ([] if mode is None else [(mode, 1)])
    for failure in found:
        assert failure.first_bad_time_ps == cut.end_ps
        assert reason.split(": ")[1] in failure.message


def test_a_run_that_ended_before_its_first_frame(model, reference):
    empty = WindowedRun(model.atomic_numbers, 6.0, 0.05).result(
        end_reason="exploded: NaN", end_ps=0.3
    )
    [found] = find_failures([watched(model), empty], reference)
    assert (found.mode, found.run, found.first_bad_time_ps) == ("exploded", 1, 0.3)
    assert [f.mode for f in find_failures([empty], reference)] == ["exploded"]
    assert [f.mode for f in find_failures([empty])] == ["exploded"]


def test_survivors_are_censored(model, reference):
    runs = [
        watched(model),
        watched(drifting(model, (0.0, 1.0, 0.0), start_ps=4.0)),
        watched(model[:60], end_reason="wall time"),
        watched(model[:30], end_reason="exploded: NaN"),
    ]
    times, failed = times_to_failure(runs, find_failures(runs, reference))
    assert_array_equal(failed, [False, True, False, True])
    assert_allclose(times, [9.9, 4.0, 5.9, 2.9], rtol=1e-9, atol=0)
    curve = survival(times, failed)
    assert_allclose(curve.survival, [1, 3 / 4, 1 / 2, 1 / 2], rtol=1e-12, atol=0)


def test_frames_without_a_time_axis(reference):
    """No drift and no vibration can be told; fused atoms and a wide lattice can."""
    still = dataclasses.replace(conductor(5), times_ps=np.zeros(100))
    assert not find_failures([watched(drifting(still, (9.0, 0.0, 0.0)))], reference)
    moved = dataclasses.replace(
        still, positions=still.positions + 5.0 * (np.arange(100) > 50)[:, None, None]
    )
    assert not find_failures([watched(moved)], reference)
    assert {f.mode for f in find_failures([watched(fused(still, (0, 1), 0.9))], reference)} == {
        "fusion"
    }
    [found] = find_failures([watched(swollen(still, 1.02))], reference)
    assert found.mode == "lattice mismatch"


@pytest.mark.parametrize("n_frames", [1, 2, 9])
def test_runs_of_a_few_frames(reference, n_frames):
    short = watched(conductor(7, n_frames))
    assert not find_failures([short], reference)
    assert not find_failures([short], [watched(conductor(8, n_frames))])
    assert not find_failures(reference, [short])


def test_thinned_and_repeated_frames_fail_the_same(reference):
    """Correlated frames are no more evidence."""
    dense = conductor(9, 500, interval_fs=20.0)
    atoms = (dense.n_atoms + LI, S)
    faulty = fused(dense, atoms, 0.9, start_ps=3.0, stop_ps=6.0)
    for run, modes in (
        (dense, set()),
        (faulty, {"fusion"}),
        (swollen(dense, 1.02), {"lattice mismatch"}),
    ):
        for variant in (run, run[::5], run[::10]):
            found = find_failures([watched(variant)], reference)
            assert {f.mode for f in found} == modes


def test_other_elements_or_bins_are_refused(model, reference):
    other = watched(conductor(1, model=HoppingModel(mobile="Na", springs={"Na": 2.0, "S": 3.0})))
    with pytest.raises(InputError, match=r"^elements, mobile species, dr, r_max: expected"):
        find_failures([other], reference)
    with pytest.raises(InputError, match=r"^elements, mobile species, dr, r_max: expected"):
        find_failures([watched(model, dr=0.1)], reference)
    empty = WindowedRun(model.atomic_numbers, 6.0, 0.05).result()
    with pytest.raises(InputError, match=r"^reference: expected a run with frames, found none"):
        find_failures([watched(model)], [empty])


@pytest.mark.parametrize("kind, a", [("fcc", 4.1), ("bcc", 3.2), ("sc", 2.8)])
@pytest.mark.parametrize("factor", [0.97, 0.995, 1.0, 1.02, 1.05])
def test_stretch_of_a_crystal(kind, a, factor):
    rng = np.random.default_rng(2)
    g = []
    for scale in (1.0, factor):
        crystal = lattice(kind, scale * a, 3, n_frames=60, amplitude=0.15 * scale, rng=rng)
        g.append(radial_distribution(crystal, r_max=6.0, dr=0.05))
    assert abs(stretch(g[0].r, g[0].g["total"], g[1].g["total"]) - factor) < 1e-3


def test_stretch_has_an_error_that_holds():
    """The 99 % intervals of perfect models cover 1; they widen where there is less data."""
    widths = {}
    for n_frames in (20, 100):
        inside = 0
        for seed in range(40):
            a, b = (watched(conductor(3000 * k + seed, n_frames)) for k in (1, 2))
            found = framework_stretch(a, [b])
            inside += abs(found.value - 1.0) <= found.error
            widths.setdefault(n_frames, []).append(found.error)
        assert inside >= 37
    assert np.median(widths[100]) < 0.5 * np.median(widths[20])
    single = watched(conductor(1, 5))
    assert framework_stretch(single, [single]).error == np.inf
    assert np.isfinite(framework_stretch(single, [watched(conductor(2))]).error)


def test_noise_is_no_stretch():
    """Four soft atoms in a few frames: far from 1 by chance, and known to be."""
    soft = HoppingModel(repeats=1, n_vacancies=1, springs={"Li": 2.2, "S": 0.3})
    far, failed = 0, 0
    for seed in range(40):
        reference, model = (watched(conductor(4000 * k + seed, 12, soft, 1200.0)) for k in (1, 2))
        far += abs(framework_stretch(model, [reference]).value - 1.0) > 0.005
        failed += any(f.subject == "framework" for f in find_failures([model], [reference]))
    assert far >= 10
    assert failed <= 2


def test_stretch_needs_structure():
    r = np.arange(0.025, 6.0, 0.05)
    assert stretch(r, np.zeros(120), np.ones(120)) is None
    positions = np.tile([[1.0, 1.0, 1.0], [10.0, 10.0, 10.0]], (20, 1, 1))
    far = Trajectory(positions, 20.0 * np.eye(3), np.array([16, 3]), np.arange(20) * 0.1)
    assert framework_stretch(watched(far), [watched(far)]) is None
    assert not find_failures([watched(far)], [watched(far)])


def test_every_planted_fault_of_the_selftest_is_named():
    controls = {control.name: control for control in all_controls(seed=11)}
    assert all(control.passed for control in controls.values())
    faults = ("lattice swollen by 2 %", "fused atoms", "drifting cell", "melted crystal")
    assert [controls[name].found.split(", ")[0] for name in faults] == [
        "lattice mismatch", "fusion", "drift", "lattice mismatch",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def argyrodite(real_data, tmp_path_factory):
    """Two parts of one run of Li6PS5Cl at 500 K (the second file continues the first)."""
    folder, runs = tmp_path_factory.mktemp("argyrodite"), []
    for k in (1, 2):
        target = folder / f"run{k}.h5"
        source = real_data / f"Li6PS5Cl_50p_run{k}.XDATCAR.gz"
        ingest.run([source], target, IngestConfig(frame_interval_fs=100.0))
        run = read_trajectory(target)
        runs.append(run[int(0.3 * run.n_frames) :])
    return runs


def test_real_replicas_have_no_failure(argyrodite):
    first, second = (watched(run) for run in argyrodite)
    assert not find_failures([first], [second])
    assert not find_failures([second], [first])
    assert not find_failures([first, second])
    for start in range(0, 80, 20):
        assert not find_failures([watched(argyrodite[0][start : start + 20])], [second])
        assert not find_failures([first], [watched(argyrodite[1][start : start + 20])])


def test_real_vibrations_are_large(argyrodite):
    """S and Cl are 0.40-0.44 Å from their mean positions: 0.1 of the nearest distance is less."""
    run = watched(argyrodite[0])
    numbers = run.atomic_numbers[run.framework]
    n = run.n_frames.sum()
    squares = run.squares.sum(axis=0) / n - ((run.moved.sum(axis=0) / n) ** 2).sum(axis=1)
    found = {z: float(squares[numbers == z].mean() ** 0.5) for z in (16, 17)}
    assert abs(found[16] - 0.40) < 0.01
    assert abs(found[17] - 0.44) < 0.01


def test_faults_planted_in_a_real_run(argyrodite):
    reference = [watched(argyrodite[1])]
    run = argyrodite[0]
    begin = float(run.times_ps[0])
    for factor in (1.02, 0.985):
        found, *_ = find_failures([watched(swollen(run, factor))], reference)
        assert found.mode == "lattice mismatch"
        assert abs(found.value - factor) < 0.002
    found, *_ = find_failures([watched(fused(run, (0, 300), 0.9, start_ps=begin + 4.0))], reference)
    assert (found.mode, found.subject, found.atoms) == ("fusion", "Li-S", (0, 300))
    assert abs(found.first_bad_time_ps - begin - 4.0) <= 1.0
    found, *_ = find_failures([watched(drifting(run, (0.1, 0.1, 0.1)))], reference)
    assert found.mode == "drift"
    melt = melted(run, np.random.default_rng(0), start_ps=begin + 3.0)
    found = find_failures([watched(melt)], reference)
    assert {f.mode for f in found} == {"lattice mismatch"}
    assert {"S", "Cl"} <= {f.subject for f in found}
