"""Steps against ASE's, backwards in time, and on torch devices."""

import dataclasses

import numpy as np
import pytest
import torch
from ase import Atoms, units
from ase.calculators.calculator import Calculator, all_changes
from ase.md.bussi import Bussi
from ase.md.langevinbaoab import LangevinBAOAB
from ase.md.nose_hoover_chain import NoseHooverChainNVT
from ase.md.verlet import VelocityVerlet
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from torch.utils._python_dispatch import TorchDispatchMode

from mdbench.md import near_pairs_torch
from mdbench.md.integrators import STEPS, ramp_step
from mdbench.md.kernels import CpuMoves
from mdbench.md.kernels_torch import TorchMoves
from mdbench.md.limits import closest_pair
from mdbench.md.random import LANGEVIN, normals
from mdbench.md.settings import MDSettings
from mdbench.md.state import copy, fields, initial_state, systems
from mdbench.md.thermostats import chi_squared, normal_pair, words
from mdbench.units import AMU_ANGSTROM2_PER_FS2_IN_EV, ASE_TIME_IN_FS, BOLTZMANN_EV_PER_K
from tests.md.little import LennardJones, Springs, TorchSprings, argon, crystal

ENSEMBLES = sorted(STEPS)


def prepared(force_field, runs, all_freedoms=False, **settings):
    """Moves and an evaluator that has evaluated, without a ramp."""
    settings = MDSettings(ramp_ps=0.0, **settings)
    state = initial_state(runs, settings)
    if all_freedoms:
        freedoms = 3 * np.diff(state.first_atom)
        state = dataclasses.replace(state, degrees_of_freedom=freedoms)
    evaluator = force_field.evaluator(systems(state))
    moves = CpuMoves(state, settings)
    evaluator.evaluate(state.positions, state.active)
    moves.look(evaluator)
    return moves, evaluator


class OurForces(Calculator):  # type: ignore[misc]
    """ASE's door to an evaluator of one system."""

    implemented_properties = ("energy", "free_energy", "forces")

    def __init__(self, evaluator):
        super().__init__()
        self.evaluator = evaluator

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.evaluator.evaluate(np.ascontiguousarray(atoms.positions), np.array([True]))
        energy = float(self.evaluator.energies[0])
        self.results["energy"] = self.results["free_energy"] = energy
        self.results["forces"] = self.evaluator.forces.copy()


def ase_twin(moves, force_field):
    s = moves.state
    atoms = Atoms(
        numbers=s.atomic_numbers,
        positions=s.positions,
        cell=s.cells[0],
        pbc=True,
        masses=s.masses / AMU_ANGSTROM2_PER_FS2_IN_EV,
    )
    atoms.set_velocities(s.momenta / s.masses[:, None] * ASE_TIME_IN_FS)
    atoms.calc = OurForces(force_field.evaluator(systems(s)))
    return atoms


def assert_same(state, atoms, rtol=1e-10):
    velocities = atoms.get_velocities() / ASE_TIME_IN_FS
    moved = np.abs(velocities).max()
    ours = state.momenta / state.masses[:, None]
    assert np.abs(ours - velocities).max() < rtol * moved
    assert np.abs(state.positions - atoms.positions).max() < rtol * np.abs(atoms.positions).max()


CASES = [(LennardJones(), argon()), (Springs(q=0.5), crystal(11, 400.0))]
#: In ASE's units by our constants: its own are of another CODATA year.
STEP = 2.0 / ASE_TIME_IN_FS


def ase_temperature(kelvin):
    return kelvin * BOLTZMANN_EV_PER_K / units.kB


@pytest.mark.parametrize("force_field, run", CASES)
def test_nve_is_that_of_ase(force_field, run):
    moves, evaluator = prepared(force_field, [run], ensemble="nve")
    atoms = ase_twin(moves, force_field)
    dynamics = VelocityVerlet(atoms, STEP)
    for _ in range(60):
        STEPS["nve"](moves, evaluator)
        dynamics.step()
        assert_same(moves.state, atoms)


@pytest.mark.parametrize("force_field, run", CASES)
def test_nose_hoover_chains_are_those_of_ase(force_field, run):
    """ASE's chain always has 3N degrees of freedom."""
    moves, evaluator = prepared(force_field, [run], all_freedoms=True, ensemble="nose-hoover")
    atoms = ase_twin(moves, force_field)
    dynamics = NoseHooverChainNVT(
        atoms,
        STEP,
        ase_temperature(run.temperature_k),
        tdamp=40.0 / ASE_TIME_IN_FS,
        tchain=3,
        tloop=1,
    )
    state = moves.state
    for _ in range(60):
        STEPS["nose-hoover"](moves, evaluator)
        dynamics.step()
        assert_same(state, atoms)
        ours = evaluator.energies[0] + state.kinetic_energies[0] + state.bath_energies[0]
        assert_allclose(ours, dynamics.get_conserved_energy(), rtol=1e-9, atol=0)


class OurNumbers:
    """What a random generator of ASE is asked for."""

    def __init__(self, state):
        self.key, self.n_atoms, self.step = state.keys[0], len(state.masses), 0

    def normal(self, size):
        assert size == (self.n_atoms, 3)
        self.step += 1
        return normals(self.key, self.n_atoms, self.step - 1, LANGEVIN)

    def standard_normal(self):
        self.step += 1
        w0, w1, _, _ = words(0, self.step, 0, 2, *self.key)
        return normal_pair(w0, w1)[0]

    def standard_gamma(self, shape):
        return 0.5 * chi_squared(self.key, self.step, 2.0 * shape)


@pytest.mark.parametrize("force_field, run", CASES)
def test_langevin_is_that_of_ase(force_field, run):
    moves, evaluator = prepared(force_field, [run], ensemble="langevin", damping_fs=80.0)
    atoms = ase_twin(moves, force_field)
    dynamics = LangevinBAOAB(
        atoms,
        STEP,
        temperature_K=ase_temperature(run.temperature_k),
        T_tau=80.0 / ASE_TIME_IN_FS,
        rng=0,
    )
    dynamics.rng = OurNumbers(moves.state)
    for _ in range(60):
        STEPS["langevin"](moves, evaluator)
        dynamics.step()
        assert_same(moves.state, atoms)


@pytest.mark.parametrize("force_field, run", CASES)
def test_csvr_is_that_of_ase(force_field, run):
    """ASE scales before the step, we after it."""
    moves, evaluator = prepared(
        force_field, [run], all_freedoms=True, ensemble="csvr", damping_fs=50.0
    )
    atoms = ase_twin(moves, force_field)
    dynamics = Bussi(
        atoms, STEP, ase_temperature(run.temperature_k), taut=50.0 / ASE_TIME_IN_FS, rng=0
    )
    dynamics.rng = OurNumbers(moves.state)
    verlet = VelocityVerlet(atoms, STEP)
    for _ in range(60):
        STEPS["csvr"](moves, evaluator)
        verlet.step()
        dynamics.scale_velocities()
        assert_same(moves.state, atoms)
    heat = -moves.state.bath_energies[0]
    assert_allclose(heat, dynamics.transferred_energy, rtol=1e-8, atol=0)


@pytest.mark.parametrize("ensemble", ["nve", "nose-hoover"])
@pytest.mark.parametrize("force_field, run", CASES)
def test_deterministic_steps_run_backwards(ensemble, force_field, run):
    moves, evaluator = prepared(force_field, [run], ensemble=ensemble)
    state = moves.state
    begin = {name: np.array(value) for name, value in fields(state).items()}
    for _ in range(200):
        STEPS[ensemble](moves, evaluator)
    moved = np.abs(state.positions - begin["positions"]).max()
    assert moved > 0.05
    state.momenta[:] *= -1.0
    state.chain_velocities[:] *= -1.0
    for _ in range(200):
        STEPS[ensemble](moves, evaluator)
    assert np.abs(state.positions - begin["positions"]).max() < 1e-9 * moved
    speed = np.abs(begin["momenta"]).max()
    assert np.abs(state.momenta + begin["momenta"]).max() < 1e-9 * speed


@pytest.mark.parametrize("ensemble", ["nve", "nose-hoover", "csvr"])
def test_total_momentum_stays_zero(ensemble):
    moves, evaluator = prepared(LennardJones(), [argon()], ensemble=ensemble)
    for _ in range(300):
        STEPS[ensemble](moves, evaluator)
    momenta = moves.state.momenta
    assert np.abs(momenta.sum(axis=0)).max() < 1e-12 * np.abs(momenta).sum()


def test_the_ramp_reaches_the_target_linearly():
    runs = [crystal(11, 400.0), crystal(1, 50.0)]
    settings = MDSettings(ramp_ps=0.2)
    state = initial_state(runs, settings)
    evaluator = Springs(anchor=1.0).evaluator(systems(state))
    moves = CpuMoves(state, settings)
    evaluator.evaluate(state.positions, state.active)
    for step in range(1, 101):
        ramp_step(moves, evaluator)
        per_atom = (state.momenta**2).sum(axis=1) / state.masses
        twice = np.array([per_atom[:11].sum(), per_atom[11]])
        temperatures = twice / (state.degrees_of_freedom * BOLTZMANN_EV_PER_K)
        expected = 100.0 + step / 100.0 * (state.temperatures_k - 100.0)
        assert_allclose(temperatures, expected, rtol=1e-12, atol=0)
        assert_allclose(2.0 * state.kinetic_energies, twice, rtol=1e-12, atol=0)


MIXED = [crystal(11, 400.0), crystal(1, 300.0), crystal(30, 900.0), crystal(2, 100.0)]
SPRINGS = Springs(q=0.5, anchor=0.3)


def on_torch(runs, settings, device="cpu"):
    state = initial_state(runs, settings)
    evaluator = TorchSprings(SPRINGS, device).evaluator(systems(state))
    moves = TorchMoves(state, settings, torch.device(device))
    evaluator.evaluate(moves.state.positions, moves.state.active)
    return moves, evaluator


@pytest.mark.parametrize("ensemble", ENSEMBLES)
@pytest.mark.parametrize("ramp_ps", [0.0, 0.1])
def test_torch_moves_are_the_compiled_ones(ensemble, ramp_ps):
    settings = MDSettings(ensemble=ensemble, ramp_ps=ramp_ps)
    state = initial_state(MIXED, settings)
    evaluator = SPRINGS.evaluator(systems(state))
    moves = CpuMoves(state, settings)
    evaluator.evaluate(state.positions, state.active)
    moves_torch, evaluator_torch = on_torch(MIXED, settings)
    for own, its in ((moves, evaluator), (moves_torch, evaluator_torch)):
        own.look(its)
        for step in range(100):
            (ramp_step if step < settings.n_ramp_steps else STEPS[ensemble])(own, its)
            own.look_at_pairs()
    expected, found = fields(state), fields(moves_torch.on_host())
    assert state.active.all()
    for name, value in expected.items():
        if value.dtype == np.float64:
            difference = np.abs(found[name] - value).max()
            assert difference <= 1e-12 * np.abs(value).max(), name
        else:
            assert_array_equal(found[name], value)


class NoWaiting(TorchDispatchMode):
    """Refuses what makes the host wait for a device."""

    FORBIDDEN = ("_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "equal", "unique")

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.name().removeprefix("aten::").partition(".")[0]
        assert name not in self.FORBIDDEN, name
        out = func(*args, **(kwargs or {}))
        if name in ("_to_copy", "copy_"):
            tensors = [t for t in args if isinstance(t, torch.Tensor)] + [out]
            assert len({t.device for t in tensors}) == 1, "copy between devices"
        return out


@pytest.mark.parametrize("ensemble", ENSEMBLES)
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_torch_steps_never_wait_for_the_device(ensemble, device):
    """Tensors on `meta` have no data to ask for, and do not mix with those of the host."""
    moves, evaluator = on_torch(MIXED, MDSettings(ensemble=ensemble), device)
    assert {t.device.type for t in fields(moves.state).values()} == {device}
    with NoWaiting():
        moves.look(evaluator)
        for _ in range(2):
            ramp_step(moves, evaluator)
            STEPS[ensemble](moves, evaluator)
        moves.look_at_pairs()


def test_the_guard_against_waiting_works():
    ones = torch.ones(3)
    with NoWaiting(), pytest.raises(AssertionError, match="_local_scalar_dense"):
        float(ones.sum())
    with NoWaiting(), pytest.raises(AssertionError, match="copy between devices"):
        ones.to("meta")
    with pytest.raises(RuntimeError, match="device"):
        ones + ones.to("meta")


@pytest.mark.parametrize("back_end", ["cpu", "torch"])
@pytest.mark.parametrize(
    "spoil, code, atoms, value",
    [
        ("force", 2, [3, 3], 600.0),
        ("nan", 1, [0, 0], 0.0),
        ("energy", 1, [0, 0], 0.0),
        ("momenta", 3, [0, 0], None),
        ("pair", 4, [2, 5], 0.2),
    ],
)
def test_both_back_ends_retire_alike(back_end, spoil, code, atoms, value):
    runs, settings = [crystal(6), crystal(8), crystal(5)], MDSettings(ensemble="nve")
    state = initial_state(runs, settings)
    if back_end == "cpu":
        moves, evaluator = CpuMoves(state, settings), SPRINGS.evaluator(systems(state))
        evaluator.evaluate(state.positions, state.active)
    else:
        moves, evaluator = on_torch(runs, settings)
    s = moves.state
    place = 6 + 3
    if spoil == "force":
        evaluator.forces[place, 1] = 600.0
    elif spoil == "nan":
        evaluator.forces[place, 1] = float("nan")
    elif spoil == "energy":
        evaluator.energies[1] = float("inf")
    elif spoil == "momenta":
        s.momenta[6:14] *= 1000.0
    else:
        s.positions[6 + 5] = s.positions[6 + 2] + (s.positions[0] * 0.0 + 0.2 / 3**0.5)
        s.positions[6 + 5] += 6.0
        s.positions[6 + 2] -= 6.0
    moves.look(evaluator)
    moves.look_at_pairs()
    after = moves.on_host()
    assert_array_equal(after.active, [True, False, True])
    assert_array_equal(after.end_codes, [0, code, 0])
    if code in (2, 4):
        assert_array_equal(after.end_atoms[1], atoms)
        assert_allclose(after.end_values[1], value, rtol=1e-9, atol=0)
    before = {name: np.array(v) for name, v in fields(moves.on_host()).items()}
    for step in (*STEPS.values(), ramp_step):
        step(moves, evaluator)
    frozen = fields(moves.on_host())
    for name in ("positions", "momenta"):
        assert_array_equal(frozen[name][6:14], before[name][6:14])
        assert (frozen[name][:6] != before[name][:6]).any()
    for name in ("kinetic_energies", "chain_positions", "bath_energies", "end_steps"):
        assert_array_equal(frozen[name][1], before[name][1])


@given(st.integers(0, 10_000))
@settings(deadline=None)
def test_both_back_ends_find_the_pairs_that_brute_force_finds(seed):
    """Twice: the second look begins with the order of the first."""
    rng = np.random.default_rng(seed)
    runs = [crystal(n) for n in (1, 2, 9, 14)]
    options = MDSettings(ensemble="nve")
    state = initial_state(runs, options)
    cells = 2.0 * np.eye(3) + 0.3 * rng.uniform(-1.0, 1.0, (4, 3, 3))
    state = dataclasses.replace(state, cells=cells)
    back_ends = [
        CpuMoves(copy(state), options),
        TorchMoves(state, options, torch.device("cpu")),
    ]
    for _ in range(2):
        before = back_ends[0].state.active.copy()
        positions = rng.uniform(-6.0, 6.0, state.positions.shape)
        for moves in back_ends:
            moves.state.positions[:] = (
                positions if isinstance(moves, CpuMoves) else torch.tensor(positions)
            )
            moves.look_at_pairs()
            after = moves.on_host()
            for s in np.flatnonzero(before):
                atoms = slice(*state.first_atom[s : s + 2])
                distance, i, j = closest_pair(positions[atoms], cells[s])
                assert after.active[s] == (distance == np.inf)
                if distance < np.inf:
                    assert_allclose(after.end_values[s], distance, rtol=1e-9, atol=0)
                    assert_array_equal(after.end_atoms[s], [i, j])


def test_large_systems_are_looked_at_in_blocks(monkeypatch):
    monkeypatch.setattr(near_pairs_torch, "_BLOCK_PAIRS", 60)
    state = initial_state([crystal(20), crystal(9)], MDSettings())
    state.positions[13] = state.positions[4] + 0.1
    moves = TorchMoves(state, MDSettings(), torch.device("cpu"))
    moves.look_at_pairs()
    after = moves.on_host()
    assert_array_equal(after.active, [False, True])
    assert_array_equal(after.end_atoms[0], [4, 13])
