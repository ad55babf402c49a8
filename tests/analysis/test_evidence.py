"""Curves that show failures: what they hold is what a naive look at the frames gives."""

import dataclasses

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from mdbench.analysis.evidence import _distances, evidence, near_ps
from mdbench.analysis.failures import Failure, find_failures
from mdbench.analysis.motion import SITE_DISTANCE, count_moves
from mdbench.analysis.windows import WindowedRun
from mdbench.md.limits import PAIR, TEMPERATURE, end_reason
from mdbench.synthetic import HoppingModel, drifting, fused, ion_conductor, melted, swollen
from mdbench.trajectory import Provenance, Trajectory

DR = 0.05
SKEW = np.array([[6.0, 0.0, 0.0], [2.9, 5.5, 0.0], [-2.5, 2.0, 7.0]])


def conductor(seed, n_frames=120, model=None, interval_fs=100.0):
    rng = np.random.default_rng(seed)
    return ion_conductor(model or HoppingModel(), n_frames, rng, frame_interval_fs=interval_fs)


def watched(run, *, end_reason=None):
    collector = WindowedRun(run.atomic_numbers, 6.0, DR)
    collector.add(run)
    return collector.result(end_reason=end_reason)


def shown(run, reference, mode, **known):
    """The first failure of a mode of one run, and what shows it."""
    windows = known.pop("windows", None) or watched(run)
    failure = next(f for f in find_failures([windows], reference) if f.mode == mode)
    return failure, evidence(failure, [windows], reference, **known)


def image_distances(one, others, cell):
    """(n_images, n) Å, by the images within one cell around."""
    shifts = np.array(list(np.ndindex(3, 3, 3))) - 1
    return np.linalg.norm(others - one + (shifts @ cell)[:, None], axis=-1)


def smallest(run, symbols):
    """(n_frames,) Å, smallest distance of two different species."""
    a, b = (np.flatnonzero(np.array(run.symbols) == s) for s in symbols)
    found = []
    for frame in run.positions:
        apart = (frame[b] - frame[a][:, None]).reshape(-1, 3)
        found.append(image_distances(np.zeros(3), apart, run.cells[0]).min())
    return np.array(found)


@pytest.fixture(scope="module")
def references():
    return [conductor(seed) for seed in (1, 2)]


@pytest.fixture(scope="module")
def reference(references):
    return [watched(run) for run in references]


@pytest.fixture(scope="module")
def model():
    return conductor(3)


def ended(code, value, atoms, run, step):
    """What the engine says, with a timestep of 1 fs."""
    return end_reason(
        code, step, value, np.array(atoms), run.atomic_numbers, 800.0, 1.0, 0, {"Li-S": 2.1}
    )


def test_a_fusion_by_its_windows(model, references, reference):
    """The smallest distance of the pair in every picosecond; to half a bin, or exact."""
    atoms = (model.n_atoms - 1, 0)
    run = fused(model, atoms, 0.9, start_ps=7.3)
    windows = watched(run)
    found = find_failures([windows], reference)
    failure = next(f for f in found if f.subject == "Li-S")
    assert near_ps(failure, windows) is None
    curve = evidence(failure, [windows], reference)
    assert_array_equal(curve.times_ps, windows.start_ps)
    naive = smallest(run, ("Li", "S")).reshape(12, 10).min(axis=1)
    assert (np.abs(curve.values - naive) <= 0.5 * DR + 1e-9).all()
    assert_allclose(curve.values[7], 0.9, rtol=1e-9, atol=0)
    assert_array_equal(curve.limit, np.full(12, failure.limit))
    theirs = [smallest(other, ("Li", "S")).reshape(12, 10).min(axis=1) for other in references]
    assert np.abs(curve.reference[:, 0] - [np.min(theirs), np.max(theirs)]).max() <= 0.5 * DR
    assert_array_equal(curve.reference, curve.reference[:, :1].repeat(12, axis=1))
    assert (curve.values < curve.limit).argmax() == 7 == failure.first_bad_time_ps
    assert curve.end_ps == 12.0
    assert "Li-S" in curve.what


def test_a_fusion_in_a_short_run_by_its_frames(reference):
    """Two windows tell nothing: the two atoms are followed, around their closest approach."""
    short = conductor(4, 100, interval_fs=20.0)
    atoms = (short.n_atoms - 1, 0)
    run = fused(short, atoms, 0.9, start_ps=1.5)
    windows = watched(run)
    failure, nothing = shown(run, reference, "fusion", windows=windows)
    assert nothing is None
    assert_allclose(near_ps(failure, windows), 1.5, rtol=1e-9, atol=0)
    curve = evidence(failure, [windows], reference, frames=run[40:])
    apart = [image_distances(f[atoms[0]], f[[atoms[1]]], run.cells[0]).min() for f in run.positions]
    assert_allclose(curve.values, apart[40:], rtol=1e-9, atol=0)
    assert_array_equal(curve.times_ps, run.times_ps[40:])
    assert (curve.values < curve.limit).argmax() == 35
    known = [other.approaches["Li-S"][-1].distance for other in reference]
    assert_array_equal(curve.reference[:, 0], [min(known), max(known)])
    assert curve.end_ps is None


def test_distances_in_a_cell_that_changes():
    rng = np.random.default_rng(5)
    cells = SKEW * (1.0 + 0.05 * np.sin(np.arange(20)))[:, None, None]
    run = Trajectory(
        rng.random((20, 2, 3)) @ cells + 7.0 * cells[:, :1], cells, [3, 16], np.arange(20) * 0.1
    )
    naive = [
        image_distances(x, y[None], c).min()
        for x, y, c in zip(
            run.wrapped_positions()[:, 0], run.wrapped_positions()[:, 1], cells, strict=True
        )
    ]
    assert_allclose(_distances(run, 0, 1), naive, rtol=1e-9, atol=0)


def test_a_run_that_the_engine_ended_by_fusion(model, reference):
    """Its two atoms, up to what the engine saw after the last frame."""
    atoms = (0, model.n_atoms - 1)
    reason = ended(PAIR, 0.74, atoms, model, 4993)
    windows = watched(model[:50], end_reason=reason)
    failure = next(f for f in find_failures([windows], reference) if f.subject == "run")
    assert near_ps(failure, windows) == windows.end_ps
    curve = evidence(failure, [windows], reference, frames=model[20:50])
    assert_allclose([curve.times_ps[-1], curve.values[-1]], [4.993, 0.74], rtol=1e-9, atol=0)
    assert_array_equal(curve.times_ps[:-1], model.times_ps[20:50])
    assert_allclose(curve.values[:-1], _distances(model[20:50], *atoms), rtol=1e-12, atol=0)
    assert curve.limit is None
    assert f"atoms 0 (S) and {atoms[1]} (Li)" in curve.what
    earlier = dataclasses.replace(windows, end_reason=ended(PAIR, 0.74, atoms, model, 4900))
    assert len(evidence(failure, [earlier], reference, frames=model[20:50]).values) == 30


@pytest.mark.parametrize("reason", ["fusion: an atom too near", "fusion: Li-S 0.8 A at 4 ps (atoms "
                                    "3 and 999999999)", "fusion"])  # fmt: skip
def test_a_fusion_of_unknown_atoms_is_that_of_the_nearest(model, reference, reason):
    run = fused(model[:50], (5, 17), 0.8, start_ps=4.5)
    windows = watched(run, end_reason=reason)
    failure = Failure("fusion", 0, "run", None, None, 4.9, reason)
    curve = evidence(failure, [windows], reference, frames=run)
    assert_allclose(curve.values, _distances(run, 5, 17), rtol=1e-9, atol=0)


def test_an_explosion_by_temperature_then_energy_then_motion(model, reference):
    reason = ended(TEMPERATURE, 23456.0, (0, 0), model, 4950)
    windows = watched(model[:50], end_reason=reason)
    frames = dataclasses.replace(
        model[:50],
        energies=np.append(model.energies[:49], np.inf),
        provenance=Provenance(temperature_k=800.0),
    )
    failure = find_failures([windows], reference)[0]
    assert failure.mode == "exploded"
    curve = evidence(failure, [windows], reference, frames=frames)
    assert curve.unit == "K"
    assert_allclose(curve.values[:-1], frames.kinetic_temperatures(), rtol=1e-12, atol=0)
    assert_allclose([curve.times_ps[-1], curve.values[-1]], [4.95, 23456.0], rtol=1e-12, atol=0)
    assert_array_equal(curve.reference, np.full((2, 51), 800.0))
    still = dataclasses.replace(frames, velocities=None)
    stored = np.arange(50.0)
    curve = evidence(failure, [windows], reference, frames=still, temperatures_k=stored)
    assert_array_equal(curve.values[:-1], stored)
    curve = evidence(failure, [windows], reference, frames=still)
    assert curve.unit == "eV/atom"
    assert_allclose(curve.values[:-1], model.energies[:49] / model.n_atoms, rtol=1e-12, atol=0)
    assert np.isnan(curve.values[-1])
    bare = dataclasses.replace(still, energies=None)
    curve = evidence(failure, [windows], reference, frames=bare)
    assert curve.unit == "Angstrom"
    steps = [np.linalg.norm(b - a, axis=1).max() for a, b in zip(bare.positions, bare.positions[1:],
                                                                  strict=False)]  # fmt: skip
    assert_allclose(curve.values, steps, rtol=1e-9, atol=0)
    assert_array_equal(curve.times_ps, bare.times_ps[1:])


def test_a_drift_beside_runs_of_another_length(model, references, reference):
    long = watched(conductor(8, 60))
    failure, curve = shown(drifting(model, (0.0, 0.4, 0.0), start_ps=4.0), [*reference, long],
                           "drift")  # fmt: skip
    expected = 0.4 * np.maximum(np.arange(12) + 0.9 - 4.0, 0.0)
    own = watched(model).drift
    assert (np.abs(curve.values - expected) <= own.max() + 1e-9).all()
    drifts = np.array([other.drift for other in reference])
    assert_allclose(curve.reference[:, 6:], [drifts.min(axis=0)[6:], drifts.max(axis=0)[6:]],
                    rtol=1e-12, atol=0)  # fmt: skip
    every = np.array([*drifts[:, :6], long.drift])
    assert_allclose(curve.reference[:, :6], [every.min(axis=0), every.max(axis=0)], rtol=1e-12,
                    atol=0)  # fmt: skip
    assert curve.times_ps[(curve.values > curve.limit).argmax()] == failure.first_bad_time_ps


def test_a_reference_that_is_too_short_says_nothing_at_the_end(model):
    [short] = [watched(conductor(8, 60))]
    _, curve = shown(drifting(model, (0.0, 0.4, 0.0)), [short], "drift")
    assert_array_equal(np.isnan(curve.reference), [[False] * 6 + [True] * 6] * 2)


def test_a_melt_by_the_shortest_spans_that_show_it(model, references, reference):
    run = melted(model, np.random.default_rng(1), start_ps=6.0)
    failure, curve = shown(run, reference, "lattice mismatch")
    assert failure.subject == "S"
    n = round(12 - len(curve.values)) + 1
    assert_array_equal(curve.times_ps, np.arange(n - 1.0, 12.0))

    def rms(trajectory):
        inner = trajectory.positions[:, trajectory.atomic_numbers == 16]
        inner = inner - inner.mean(axis=1, keepdims=True)
        spans = [inner[10 * k : 10 * (k + n)] for k in range(12 - n + 1)]
        return [((s - s.mean(axis=0)) ** 2).sum(axis=2).mean() ** 0.5 for s in spans]

    assert_allclose(curve.values, rms(run), rtol=1e-6, atol=0)
    theirs = np.concatenate([rms(other) for other in references])
    assert_allclose(curve.reference[:, 0], [theirs.min(), theirs.max()], rtol=1e-6, atol=0)
    assert (curve.values > curve.limit).any()
    assert (curve.reference[1] < curve.limit).all()
    assert curve.values[0] < curve.limit[0]


def test_a_stretch_of_every_window(model, reference):
    failure, curve = shown(swollen(model, 1.02), reference, "lattice mismatch")
    assert failure.subject == "framework"
    assert (np.abs(curve.values - 1.02) < 0.004).all()
    assert (np.abs(curve.reference - 1.0) < 0.005).all()
    assert_allclose(curve.limit, np.full(12, 1.005), rtol=1e-12, atol=0)


def test_frozen_ions_beside_those_of_the_reference(reference):
    still = dataclasses.replace(HoppingModel(), attempts_per_ps=0.0)
    failure, curve = shown(conductor(5, model=still), reference, "frozen")
    assert_array_equal(curve.values, np.zeros(12))
    every = [
        [count_moves(o.paths[..., : k + 1], SITE_DISTANCE) / len(o.paths) for k in range(12)]
        for o in reference
    ]
    assert_allclose(curve.reference, [np.min(every, axis=0), np.max(every, axis=0)], rtol=1e-12,
                    atol=0)  # fmt: skip
    assert_allclose(curve.limit[-1], failure.limit * 0.01, rtol=1e-12, atol=0)  # 10 of 12 ps
    assert (curve.reference[0, 3:] > curve.limit[3:]).all()


def test_curves_of_long_runs_stay_small(reference):
    long = conductor(6, 300, interval_fs=500.0)
    still = dataclasses.replace(HoppingModel(), attempts_per_ps=0.0)
    cold = watched(conductor(6, 300, model=still, interval_fs=500.0))
    _, stretched = shown(swollen(long, 1.03), reference, "lattice mismatch")
    _, frozen = shown(None, [watched(long)], "frozen", windows=cold)
    for curve, most in ((stretched, 128), (frozen, 64)):
        assert len(curve.values) == len(curve.times_ps) == most
        assert curve.reference.shape == (2, most)
        assert (curve.times_ps[0], curve.times_ps[-1], curve.end_ps) == (0.0, 149.0, 150.0)


def test_nothing_to_draw(model, reference):
    """Frames without a time axis, a run that ended where it started, no frames at all."""
    still = dataclasses.replace(model, times_ps=np.zeros(model.n_frames))
    for run, mode in ((fused(still, (0, 1), 0.9), "fusion"), (swollen(still, 1.02), "lattice "
                      "mismatch")):  # fmt: skip
        assert shown(run, reference, mode, frames=run)[1] is None
    start = watched(model[:1], end_reason="exploded: 9000 K 0.3 ps into the ramp (target 800 K)")
    failure = next(f for f in find_failures([start], reference) if f.mode == "exploded")
    assert evidence(failure, [start], reference) is None
    assert evidence(failure, [start], reference, frames=model[:1]) is None


def test_without_a_reference(model):
    run = fused(model, (4, 9), 0.9, start_ps=5.0)
    windows = watched(run)
    failure = find_failures([windows])[0]
    curve = evidence(failure, [windows], [])
    assert curve.reference is None
    assert curve.reference_what == ""
    assert (curve.values < curve.limit).argmax() == 5
