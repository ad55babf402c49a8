"""Simulations: batches, resuming, retirement, what frames hold."""

import dataclasses
import io
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from mdbench.errors import InputError
from mdbench.md.frames import Recording
from mdbench.md.integrators import STEPS
from mdbench.md.limits import PAIR_INTERVAL, closest_pair
from mdbench.md.settings import MDSettings
from mdbench.md.simulate import simulate, split
from mdbench.md.snapshots import join_snapshots, split_snapshot
from mdbench.md.state import Run
from mdbench.potentials.base import Systems
from mdbench.potentials.materials import material
from mdbench.potentials.refpot import RefPot
from mdbench.potentials.refpot_torch import RefPotTorch
from mdbench.units import BOLTZMANN_EV_PER_K
from tests.md.little import (
    Evaluated,
    Free,
    LennardJones,
    Springs,
    TorchSprings,
    argon,
    crystal,
    together,
)

ALL = Recording(velocities=True, forces=True, stresses=True)
SHORT = MDSettings(ramp_ps=0.05, production_ps=0.6, timestep_fs=5.0, stride=2, seed=3)
HOT = [argon(90.0, cells=4), argon(140.0, replica=1, cells=4), argon(200.0, cells=5)]


def assert_equal_runs(found, expected):
    for one, other in zip(found, expected, strict=True):
        assert one.keys() == other.keys()
        for name in one:
            assert_array_equal(one[name], other[name], err_msg=name)


@pytest.mark.parametrize("ensemble", sorted(STEPS))
def test_a_run_is_the_same_bit_for_bit_in_any_batch_and_chunk(ensemble):
    """The forces depend in their last bits on when each system's list was built."""
    settings = dataclasses.replace(SHORT, ensemble=ensemble)
    field = LennardJones()
    expected, _, _ = together(simulate(field, HOT, settings, recording=ALL))
    assert {field.builds.count(s) > 1 for s in range(3)} == {True}
    for order in ([2, 0, 1], [1]):
        runs = [HOT[i] for i in order]
        found, _, _ = together(
            simulate(LennardJones(), runs, settings, recording=ALL, chunk_frames=7)
        )
        assert_equal_runs(found, [expected[i] for i in order])


def test_a_chunk_ends_when_it_takes_long(monkeypatch):
    expected, _, _ = together(simulate(LennardJones(), HOT, SHORT, recording=ALL))
    monkeypatch.setattr("mdbench.md.simulate._CHUNK_S", -1.0)
    chunks = list(simulate(LennardJones(), HOT, SHORT, recording=ALL))
    assert [chunk.step for chunk in chunks] == list(
        range(1, SHORT.n_ramp_steps + SHORT.n_steps + 1)
    )
    found, _, _ = together(chunks)
    assert_equal_runs(found, expected)
    (last,) = list(
        simulate(LennardJones(), HOT, SHORT, recording=ALL, snapshot=chunks[-2].snapshot)
    )
    assert last.step == chunks[-1].step


@pytest.mark.parametrize("ensemble", sorted(STEPS))
def test_a_resumed_run_is_the_same_bit_for_bit(ensemble):
    settings = dataclasses.replace(SHORT, ensemble=ensemble)
    chunks = list(simulate(LennardJones(), HOT, settings, recording=ALL, chunk_frames=9))
    expected, _, last = together(chunks)
    for k in (0, 2, len(chunks) - 2):
        snapshot = through_a_file(chunks[k].snapshot)
        rest = simulate(LennardJones(), HOT, settings, recording=ALL, snapshot=snapshot)
        found, _, final = together([*chunks[: k + 1], *rest])
        assert_equal_runs(found, expected)
        assert_equal_runs([final], [last])


def through_a_file(snapshot):
    """What comes back from disk, without pickle."""
    file = io.BytesIO()
    np.savez(file, **snapshot)
    file.seek(0)
    with np.load(file, allow_pickle=False) as stored:
        return dict(stored)


def test_without_the_evaluators_state_it_would_not_be_the_same():
    """That the test above can fail."""
    chunks = list(simulate(LennardJones(), HOT[:1], SHORT, chunk_frames=9))
    expected, _, _ = together(chunks)
    lost = {k: v for k, v in chunks[2].snapshot.items() if k != "evaluator.reference"}
    lost["evaluator.reference"] = np.full_like(chunks[2].snapshot["state.positions"], np.inf)
    rest = simulate(LennardJones(), HOT[:1], SHORT, snapshot=lost)
    found, _, _ = together([*chunks[:3], *rest])
    assert (found[0]["positions"] != expected[0]["positions"]).any()


def test_snapshots_of_single_runs_are_joined_to_other_batches():
    chunks = list(simulate(LennardJones(), HOT, SHORT, chunk_frames=9))
    expected, _, _ = together(chunks)
    parts = split_snapshot(chunks[2].snapshot)
    assert_equal_runs([join_snapshots(parts)], [chunks[2].snapshot])
    order = [2, 0]
    rest = simulate(
        LennardJones(),
        [HOT[i] for i in order],
        SHORT,
        snapshot=join_snapshots([parts[i] for i in order]),
    )
    found, _, _ = together(rest)
    for one, i in zip(found, order, strict=True):
        n = len(one["steps"])
        assert_array_equal(one["positions"], expected[i]["positions"][-n:])


def test_a_finished_run_may_become_longer():
    longer = dataclasses.replace(SHORT, production_ps=0.9)
    expected, _, _ = together(simulate(LennardJones(), HOT, longer))
    first, _, snapshot = together(simulate(LennardJones(), HOT, SHORT))
    rest, _, _ = together(simulate(LennardJones(), HOT, longer, snapshot=snapshot))
    for one, more, whole in zip(first, rest, expected, strict=True):
        assert_array_equal(
            np.concatenate([one["positions"], more["positions"]]), whole["positions"]
        )
    assert list(simulate(LennardJones(), HOT, SHORT, snapshot=snapshot)) == []


def test_other_settings_runs_and_steps_are_not_resumed():
    chunks = list(simulate(Springs(), [crystal(8)], SHORT, chunk_frames=9))
    snapshot = chunks[0].snapshot
    with pytest.raises(InputError, match="cannot resume with other settings") as caught:
        simulate(Springs(), [crystal(8)], MDSettings(), snapshot=snapshot)
    assert "\n" not in str(caught.value)
    for other in (crystal(8, 301.0), crystal(8, replica=1), crystal(9), crystal(8, material="x")):
        with pytest.raises(InputError, match="cannot resume other runs"):
            simulate(Springs(), [other], SHORT, snapshot=snapshot)
    with pytest.raises(InputError, match="expected the array"):
        simulate(Springs(), [crystal(8)], SHORT, snapshot={})
    mixed = join_snapshots([chunks[0].snapshot, chunks[1].snapshot])
    with pytest.raises(InputError, match="different steps"):
        simulate(Springs(), [crystal(8), crystal(8)], SHORT, snapshot=mixed)


def test_batches_in_threads_give_the_same():
    runs = [argon(90.0 + 10 * r, replica=r, cells=4) for r in range(5)]
    expected, _, _ = together(simulate(LennardJones(), runs, SHORT))
    parts = split(runs, 2)

    def task(part):
        return together(simulate(LennardJones(), [runs[i] for i in part], SHORT))[0]

    with ThreadPoolExecutor(2) as pool:
        for part, found in zip(parts, pool.map(task, parts), strict=True):
            assert_equal_runs(found, [expected[i] for i in part])


def test_split_balances_atoms():
    runs = [crystal(n) for n in (50, 10, 20, 30, 8)]
    parts = split(runs, 2)
    assert sorted(i for part in parts for i in part) == [0, 1, 2, 3, 4]
    loads = [sum(len(runs[i].masses) for i in part) for part in parts]
    assert max(loads) - min(loads) <= 20
    assert split(runs[:1], 4) == [[0]]


def test_frames_hold_the_stated_quantities():
    settings = MDSettings(ramp_ps=0.033, production_ps=0.1, stride=3)
    run = argon(120.0)
    (found,), ends, _ = together(simulate(LennardJones(), [run], settings, recording=ALL))
    assert ends == (None,)
    n = settings.n_frames
    assert n == 17
    assert_array_equal(found["steps"], 3 * np.arange(n))
    assert_allclose(found["times_ps"][1:], 0.006 * np.arange(1, n), rtol=1e-12, atol=0)
    masses = 39.948 * 103.642696562
    kinetic = 0.5 * masses * (found["velocities"] ** 2).sum(axis=(1, 2))
    assert_allclose(found["kinetic_energies"], kinetic, rtol=1e-10, atol=0)
    temperature = 2.0 * kinetic / (3 * 63 * BOLTZMANN_EV_PER_K)
    assert_allclose(found["temperatures_k"], temperature, rtol=1e-10, atol=0)
    assert_allclose(found["temperatures_k"][0], 120.0, rtol=0.1, atol=0)
    evaluator = LennardJones().evaluator(_systems(run))
    for k in (0, 5):
        evaluator.evaluate(found["positions"][k], np.array([True]))
        assert_allclose(found["forces"][k], evaluator.forces, rtol=1e-8, atol=0)
        assert_allclose(found["potential_energies"][k], evaluator.energies[0], rtol=1e-12, atol=0)


def _systems(run):
    return Systems(run.atomic_numbers, run.cell[None], np.array([0, len(run.masses)]))


def test_pressure_is_the_derivative_of_the_free_energy_terms():
    """−dE/dV by finite difference, and 2K/3V of 3N momenta."""
    run = argon(120.0)
    settings = MDSettings(ramp_ps=0.0, production_ps=0.02)
    (found,), _, _ = together(simulate(LennardJones(), [run], settings, recording=ALL))
    x, volume = found["positions"][4], np.linalg.det(run.cell)
    energies = []
    for factor in (1.0 - 1e-5, 1.0 + 1e-5):
        scaled = dataclasses.replace(run, positions=x * factor, cell=run.cell * factor)
        evaluator = LennardJones().evaluator(_systems(scaled))
        evaluator.evaluate(np.array(scaled.positions), np.array([True]))
        energies.append(evaluator.energies[0])
    virial_part = -(energies[1] - energies[0]) / (6e-5 * abs(volume))
    ideal_part = 2.0 * found["kinetic_energies"][4] / (3.0 * abs(volume))
    assert_allclose(found["pressures"][4], virial_part + ideal_part, rtol=1e-6, atol=0)
    assert_allclose(-np.trace(found["stresses"][4]) / 3.0, virial_part, rtol=1e-6, atol=0)


def test_only_what_is_asked_for_is_kept():
    chunk = next(simulate(Springs(), [crystal(8)], SHORT, recording=Recording(forces=True)))
    frames = chunk.frames[0]
    assert frames.forces is not None
    assert frames.velocities is None
    assert frames.stresses is None


def test_chunks_during_the_ramp_hold_no_frames_but_can_be_resumed():
    settings = MDSettings(ramp_ps=0.1, production_ps=0.1)
    chunks = list(simulate(Springs(), [crystal(8)], settings, chunk_frames=20))
    assert [len(c.frames[0].steps) for c in chunks] == [0, 0, 10, 20, 20]
    assert [c.step for c in chunks] == [20, 40, 60, 80, 100]
    assert chunks[0].n_steps == 100
    expected, _, _ = together(chunks)
    rest = simulate(Springs(), [crystal(8)], settings, snapshot=chunks[1].snapshot)
    assert_equal_runs(together(rest)[0], expected)


class Failing(Evaluated):
    """Springs that fail in system 1 at one call."""

    def __init__(self, systems, call, fail):
        super().__init__(systems)
        self.inner, self.call, self.fail, self.calls = Springs().evaluator(systems), call, fail, 0
        self.energies, self.forces = self.inner.energies, self.inner.forces
        self.inactive = []

    def evaluate(self, positions, active):
        assert np.isfinite(positions).all()
        self.inner.evaluate(positions, active)
        self.calls += 1
        if not active.all():
            self.inactive.append(self.calls)
        if self.calls == self.call:
            self.fail(self)


class FailingField:
    label = "failing"

    def __init__(self, call, fail):
        self.call, self.fail, self.closest = call, fail, {}

    def evaluator(self, systems):
        self.made = Failing(systems, self.call, self.fail)
        return self.made


def spoil_force(value):
    def fail(evaluator):
        evaluator.forces[8 + 5, 2] = value

    return fail


def spoil_energy(evaluator):
    evaluator.energies[1] = np.nan


@pytest.mark.parametrize(
    "fail, reason",
    [
        (spoil_force(np.nan), "exploded: forces or energy not finite at 0.04 ps"),
        (spoil_energy, "exploded: forces or energy not finite at 0.04 ps"),
        (spoil_force(-800.0), "exploded: 800 eV/A on P 5 at 0.04 ps"),
        (spoil_force(499.0), r"exploded: \d+ K at 0.04 ps \(target 300 K\)"),
    ],
)
@pytest.mark.parametrize("ensemble", ["nose-hoover", "langevin"])
def test_a_system_that_fails_is_retired_and_the_others_go_on(fail, reason, ensemble):
    settings = MDSettings(ensemble=ensemble, ramp_ps=0.02, production_ps=0.1)
    runs = [crystal(8), crystal(8, replica=1), crystal(8, replica=2)]
    expected, _, _ = together(simulate(Springs(), runs, settings))
    field = FailingField(1 + 10 + 20, fail)  # the first call, the ramp's steps, 0.04 ps
    found, ends, _ = together(simulate(field, runs, settings, chunk_frames=8))
    assert ends[0] is None
    assert ends[2] is None
    assert re.fullmatch(reason, ends[1])
    assert field.made.inactive[0] == 32
    assert_equal_runs([found[0], found[2]], [expected[0], expected[2]])
    for name, value in found[1].items():
        assert_array_equal(value, expected[1][name][:20])


def test_a_system_that_fails_in_the_ramp_or_at_the_start_has_no_frames():
    settings = MDSettings(ramp_ps=0.02, production_ps=0.1)
    runs = [crystal(8), crystal(8, replica=1)]
    for call, when in ((6, "0.01 ps into the ramp"), (1, "0 ps into the ramp")):
        found, ends, _ = together(simulate(FailingField(call, spoil_energy), runs, settings))
        assert ends == (None, f"exploded: forces or energy not finite {when}")
        assert [len(run["steps"]) for run in found] == [50, 0]


def test_a_batch_ends_early_when_all_have_failed():
    settings = MDSettings(ramp_ps=0.0, production_ps=1.0, ensemble="nve")
    run = dataclasses.replace(crystal(8), masses=np.full(8, 1e-4))  # ω Δt far above 2
    chunks = list(simulate(Springs(), [run], settings, chunk_frames=50))
    assert len(chunks) == 1
    assert chunks[0].end_reasons[0].startswith("exploded: ")
    assert 0 < len(chunks[0].frames[0].steps) < 50
    assert np.isfinite(chunks[0].frames[0].positions).all()


def test_retired_runs_stay_retired_when_resumed():
    settings = MDSettings(ramp_ps=0.0, production_ps=0.1)
    runs = [crystal(8), crystal(8, replica=1)]
    chunks = list(simulate(FailingField(12, spoil_energy), runs, settings, chunk_frames=20))
    rest = simulate(Springs(), runs, settings, snapshot=chunks[0].snapshot)
    found, ends, _ = together([chunks[0], *rest])
    assert ends[1] == chunks[-1].end_reasons[1] is not None
    assert [len(run["steps"]) for run in found] == [50, 11]


@pytest.mark.parametrize("ensemble", ["nve", "langevin"])
def test_atoms_that_fuse_are_named(ensemble):
    """Two free atoms in a small cell, one of them far away from where the cell begins."""
    run = dataclasses.replace(
        crystal(2, numbers=(16, 3)),
        positions=np.array([[40.0, 1.0, 1.0], [0.8, 1.7, -31.0]]),
        cell=np.array([[1.6, 0.0, 0.0], [0.5, 1.5, 0.0], [0.0, 0.4, 1.7]]),
    )
    settings = MDSettings(ramp_ps=0.0, ensemble=ensemble)
    chunks = list(simulate(Free(), [run], settings, chunk_frames=11))
    (found,), (end,), snapshot = together(chunks)
    matched = re.fullmatch(r"fusion: Li-S 0\.([0-9]+) A at (.*) ps \(atoms 0 and 1\)", end)
    assert int(matched[1]) < 30
    n = len(found["steps"])
    assert 0 < n < settings.n_frames
    assert n % PAIR_INTERVAL == 0
    assert_allclose(float(matched[2]), 0.002 * n, rtol=1e-9, atol=0)
    assert closest_pair(snapshot["state.positions"], run.cell)[0] < 0.3
    assert closest_pair(found["positions"][-PAIR_INTERVAL], run.cell)[0] == np.inf


def too_near(force_field):
    """With training distances above some that occur soon."""
    force_field.closest = {"Li-S": 2.4, "P-S": 1.5}
    return force_field


def lgps(replica):
    m = material("lgps")
    return Run(m.name, m.atomic_numbers, m.positions, m.cell, 900.0, replica)


SOON = MDSettings(ramp_ps=0.1, production_ps=0.4, stride=2)


@pytest.mark.parametrize("ensemble", ["nose-hoover", "langevin"])
def test_a_run_ends_where_it_leaves_the_distances_of_the_training(ensemble):
    """At the first look below 0.85 × 2.4 Å; all that is before stays as it is."""
    settings = dataclasses.replace(SOON, ensemble=ensemble)
    runs = [lgps(replica) for replica in range(3)]
    whole, _, _ = together(simulate(RefPot(), runs, settings))
    found, ends, snapshot = together(simulate(too_near(RefPot()), runs, settings))
    assert any(ends)
    for s, (run, frames, end) in enumerate(zip(runs, found, ends, strict=True)):
        n = len(frames["steps"])
        assert_array_equal(frames["positions"], whole[s]["positions"][:n])
        looked_at = frames["positions"][:: PAIR_INTERVAL // 2]
        assert min((li_s(run, x).min() for x in looked_at), default=np.inf) >= 0.85 * 2.4
        assert (n == settings.n_frames) == (end is None)
        if end is None:
            continue
        matched = re.fullmatch(
            r"fusion: Li-S ([0-9.]+) A (?:at (.*) ps|.* ps into the ramp) "
            r"\(atoms ([0-9]+) and ([0-9]+); training saw no less than 2\.40 A\)", end
        )  # fmt: skip
        distances = li_s(run, snapshot["state.positions"][50 * s : 50 * (s + 1)])
        assert_allclose(distances.min(), snapshot["state.end_values"][s], rtol=1e-12, atol=0)
        assert_allclose(float(matched[1]), distances.min(), rtol=0.003, atol=0)
        pair = sorted(np.argwhere(distances == distances.min())[0])
        assert pair == [int(matched[3]), int(matched[4])]
        if matched[2]:
            assert_allclose(float(matched[2]), 0.004 * n, rtol=1e-9, atol=0)


def li_s(run, positions):
    """(n_atoms, n_atoms) Å between lithium and sulfur, else infinite."""
    inverse = np.linalg.inv(run.cell)
    d = (positions[None, :] - positions[:, None]) @ inverse
    distances = np.linalg.norm((d - np.rint(d)) @ run.cell, axis=2)
    lithium, sulfur = run.atomic_numbers == 3, run.atomic_numbers == 16
    return np.where(lithium[:, None] & sulfur, distances, np.inf)


def test_a_run_that_ends_so_is_the_same_when_resumed():
    runs = [lgps(replica) for replica in range(3)]
    chunks = list(simulate(too_near(RefPot()), runs, SOON, recording=ALL, chunk_frames=9))
    expected, ends, last = together(chunks)
    assert len({len(run["steps"]) for run in expected}) == 3
    for k in (0, 4, len(chunks) - 2):
        snapshot = through_a_file(chunks[k].snapshot)
        rest = simulate(
            too_near(RefPot()), runs, SOON, recording=ALL, snapshot=snapshot, chunk_frames=9
        )
        found, same_ends, final = together([*chunks[: k + 1], *rest])
        assert same_ends == ends
        assert_equal_runs(found, expected)
        assert_equal_runs([final], [last])


def test_both_devices_end_it_alike():
    runs = [lgps(replica) for replica in range(3)]
    settings = dataclasses.replace(SOON, production_ps=0.1)
    expected, ends, _ = together(simulate(too_near(RefPot()), runs, settings))
    found, its_ends, _ = together(simulate(too_near(RefPotTorch()), runs, settings))
    assert its_ends == ends
    assert any(ends)
    for one, other in zip(found, expected, strict=True):
        assert_array_equal(one["steps"], other["steps"])


@pytest.mark.parametrize("field", [Springs, lambda **known: TorchSprings(Springs(**known))])
@pytest.mark.parametrize("ramp_ps, when", [(0.0, "at 0 ps"), (0.1, "0 ps into the ramp")])
def test_a_structure_below_the_distances_of_the_training_ends_at_once(field, ramp_ps, when):
    settings = MDSettings(ramp_ps=ramp_ps, production_ps=0.1)
    runs = [crystal(8), crystal(8, numbers=(3,), replica=1)]
    found, ends, _ = together(simulate(field(closest={"Li-S": 3.6}), runs, settings))
    assert ends[0].startswith(f"fusion: Li-S 3.00 A {when} (atoms ")
    assert ends[0].endswith("; training saw no less than 3.60 A)")
    assert ends[1] is None
    assert [len(run["steps"]) for run in found] == [0, 50]


def test_one_atom():
    settings = MDSettings(ramp_ps=0.1, production_ps=0.2)
    for ensemble in STEPS:
        changed = dataclasses.replace(settings, ensemble=ensemble)
        (found,), ends, _ = together(simulate(Free(), [crystal(1)], changed))
        assert ends == (None,)
        assert_allclose(found["temperatures_k"][0], 300.0, rtol=1e-12, atol=0)


def test_ten_thousand_atoms_run():
    settings = MDSettings(ramp_ps=0.02, production_ps=0.02)
    (found,), ends, _ = together(simulate(Springs(k=0.05), [crystal(10_000)], settings))
    assert ends == (None,)
    assert found["positions"].shape == (10, 10_000, 3)
    assert np.ptp(found["conserved_energies"]) < 1e-4 * found["kinetic_energies"][0]


def test_a_triclinic_cell_is_only_a_cell():
    """The same crystal in another cell of the same lattice moves alike."""
    run = argon(90.0, cells=5)
    skewed = run.cell.copy()
    skewed[2] += skewed[0]
    settings = dataclasses.replace(SHORT, production_ps=0.2)
    field = LennardJones(cutoff=4.5, skin=0.2)
    (one,), _, _ = together(simulate(field, [run], settings))
    (other,), _, _ = together(simulate(field, [dataclasses.replace(run, cell=skewed)], settings))
    moved = np.abs(one["positions"] - run.positions).max()
    assert np.abs(one["positions"] - other["positions"]).max() < 1e-8 * moved


@pytest.mark.parametrize("ensemble", sorted(STEPS))
def test_torch_goes_through_the_same_door(ensemble):
    settings = MDSettings(ensemble=ensemble, ramp_ps=0.02, production_ps=0.1, stride=3)
    springs, runs = Springs(q=0.3), [crystal(8), crystal(1), crystal(5, 900.0)]
    expected, _, _ = together(simulate(springs, runs, settings, recording=ALL))
    chunks = list(simulate(TorchSprings(springs), runs, settings, recording=ALL, chunk_frames=5))
    found, ends, _ = together(chunks)
    assert ends == (None,) * 3
    for one, other in zip(found, expected, strict=True):
        for name, value in other.items():
            scale = np.abs(value).max()
            assert np.abs(one[name] - value).max() <= 1e-11 * scale, name
    rest = simulate(
        TorchSprings(springs), runs, settings, recording=ALL, snapshot=chunks[1].snapshot
    )
    resumed, _, _ = together([*chunks[:2], *rest])
    assert_equal_runs(resumed, found)


def test_the_engine_needs_numpy_alone():
    """Numba, torch and ASE come with what needs them; files, options and plots never."""
    code = (
        "import sys, mdbench.md.simulate as s; "
        "print(sorted({'numba', 'torch', 'ase', 'h5py', 'click', 'matplotlib', 'mdbench.store', "
        "'mdbench.config'} & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
