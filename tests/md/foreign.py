"""What must hold for every code that moves our force fields."""

import dataclasses

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from mdbench.errors import InputError
from mdbench.md.frames import Recording
from mdbench.md.settings import MDSettings
from mdbench.md.simulate import simulate
from mdbench.md.state import Run
from mdbench.potentials.refpot import RefPot
from tests.md.little import Evaluated, Free, LennardJones, argon, crystal, together
from tests.potentials.crystals import assert_near, distorted

ALL = Recording(velocities=True, forces=True, stresses=True)
#: 50 steps of production.
SHORT = MDSettings(ensemble="nve", ramp_ps=0.03, production_ps=0.1, stride=3, seed=4)


def sulfides():
    """Three distorted crystals, triclinic, one left-handed, atoms in several cells."""
    runs = []
    for k, name in enumerate(("lgps", "gamma-li3ps4", "li4ges4")):
        numbers, positions, cell = distorted(name, k, width=0.03)
        order = [1, 0, 2] if k == 1 else [0, 1, 2]
        runs.append(Run(name, numbers, positions, cell[order], 600.0 + 200.0 * k, k))
    assert np.linalg.det(runs[1].cell) < 0 < np.linalg.det(runs[0].cell)
    return runs


def assert_same_runs(found, expected, rtol):
    for one, other in zip(found, expected, strict=True):
        assert one.keys() == other.keys()
        assert_array_equal(one["steps"], other["steps"])
        for name in one:
            assert_near(one[name], other[name], rtol)


class Failing(Evaluated):
    """Raises an error at the eighth evaluation."""

    def __init__(self, systems, error):
        super().__init__(systems)
        self.error, self.n = error, 0

    def evaluate(self, positions, active):
        self.n += 1
        if self.n == 8:
            raise self.error


@dataclasses.dataclass
class Broken:
    error: BaseException
    label: str = "broken"
    closest: dict[str, float] = dataclasses.field(default_factory=dict)

    def evaluator(self, systems):
        return Failing(systems, self.error)


class Undefined(Failing):
    """Forces that are no numbers from the eighth evaluation on."""

    def evaluate(self, positions, active):
        self.n += 1
        self.forces[:] = np.nan if self.n > 8 else 0.0


class Vanishing(Broken):
    def evaluator(self, systems):
        return Undefined(systems, None)


class Contract:
    """Tests of `self.simulate`, a function like `mdbench.md.simulate.simulate`."""

    @pytest.mark.parametrize("ramp_ps", [0.0, 0.03])
    def test_constant_energy_and_ramp_are_those_of_our_engine(self, ramp_ps):
        settings = dataclasses.replace(SHORT, ramp_ps=ramp_ps)
        expected, _, _ = together(simulate(RefPot(), sulfides(), settings, recording=ALL))
        chunks = list(self.simulate(RefPot(), sulfides(), settings, recording=ALL, chunk_frames=5))
        assert [c.step for c in chunks][-1] == chunks[-1].n_steps
        assert chunks[-1].n_steps == settings.n_ramp_steps + settings.n_steps
        assert all(c.snapshot == {} for c in chunks)
        found, ends, _ = together(chunks)
        assert ends == (None, None, None)
        assert_same_runs(found, expected, rtol=1e-10)

    def test_runs_end_as_in_our_engine(self):
        """A timestep that blows up: the same reason, at the same step; the others go on."""
        settings = MDSettings(
            ensemble="nve", ramp_ps=0.0, production_ps=2.0, timestep_fs=40.0, seed=1
        )
        runs = [argon(20.0, cells=3), argon(900.0, cells=3), argon(25.0, cells=3, replica=1)]
        expected, reasons, _ = together(simulate(LennardJones(cutoff=4.5), runs, settings))
        found, ends, _ = together(self.simulate(LennardJones(cutoff=4.5), runs, settings))
        assert [bool(r) for r in reasons] == [False, True, False]
        assert ends == reasons
        for one, other in zip(found, expected, strict=True):
            assert_array_equal(one["steps"], other["steps"])

    def test_runs_end_below_the_distances_of_the_training_as_in_our_engine(self):
        field = RefPot()
        field.closest = {"Li-S": 2.45, "P-S": 1.8}
        expected, reasons, _ = together(simulate(field, sulfides(), SHORT))
        found, ends, _ = together(self.simulate(field, sulfides(), SHORT))
        assert [bool(r) for r in reasons] == [False, False, True]
        assert "training saw no less than 2.45 A" in reasons[2]
        assert ends == reasons
        for one, other in zip(found, expected, strict=True):
            assert_array_equal(one["steps"], other["steps"])

    @pytest.mark.parametrize("ramp_ps", [0.0, 0.03])
    def test_runs_that_all_end_at_once_say_why(self, ramp_ps):
        settings = dataclasses.replace(SHORT, ramp_ps=ramp_ps)
        field = Free(closest={"Li-S": 4.0})
        expected, reasons, _ = together(simulate(field, [crystal(8)], settings))
        found, ends, _ = together(self.simulate(field, [crystal(8)], settings))
        assert ends == reasons
        assert ends[0].startswith("fusion: Li-S 3.00 A ")
        assert len(found[0]["steps"]) == len(expected[0]["steps"]) == 0

    def test_forces_that_are_no_numbers_end_a_run(self):
        settings = dataclasses.replace(SHORT, stride=1, ramp_ps=0.0)
        for ensemble in ("nve", "nose-hoover", "csvr", "langevin"):
            settings = dataclasses.replace(settings, ensemble=ensemble)
            found, ends, _ = together(self.simulate(Vanishing(None), [crystal(8)], settings))
            assert ends[0] is not None
            assert ends[0].startswith("exploded: forces or energy not finite")
            assert 4 < len(found[0]["steps"]) < 9
            assert np.isfinite(found[0]["positions"]).all()

    @pytest.mark.parametrize("error", [InputError("broken: out of memory"), KeyboardInterrupt()])
    def test_what_a_force_field_raises_comes_through(self, error):
        with pytest.raises(type(error)) as caught:
            list(self.simulate(Broken(error), [crystal(8)], SHORT))
        assert caught.value is error

    def test_chains_keep_the_temperature_of_3n_minus_3_degrees(self):
        """As our engine does; a code that counted 3N would be 14 % too hot here."""
        settings = MDSettings(ramp_ps=0.02, production_ps=0.1, damping_fs=10.0, timestep_fs=1.0)
        run = crystal(8, 500.0)
        expected, _, _ = together(simulate(RefPotOfCrystal(), [run], settings))
        found, _, _ = together(self.simulate(RefPotOfCrystal(), [run], settings))
        for name in ("positions", "temperatures_k"):
            assert_near(found[0][name], expected[0][name], rtol=self.chain_rtol)
        exchanged = np.ptp(expected[0]["kinetic_energies"])
        assert np.ptp(found[0]["conserved_energies"]) < 0.05 * exchanged

    def test_velocity_rescaling_draws_the_right_noise(self):
        """Free atoms: ⟨(ΔK)²⟩ of one step is 2 (1 − c) var K, c = exp(−Δt/τ)."""
        settings = MDSettings(
            ensemble="csvr", ramp_ps=0.0, production_ps=4.0, damping_fs=20.0, timestep_fs=2.0
        )
        found, _, _ = together(self.simulate(Free(), [crystal(12, 400.0)], settings))
        kinetic, freedom, c = found[0]["kinetic_energies"], 33, np.exp(-0.1)
        squares = np.mean(np.diff(kinetic) ** 2) / (2.0 * (1.0 - c))
        expected = (kinetic.mean() ** 2) * 2.0 / freedom
        assert_allclose(squares, expected, rtol=0.15, atol=0)
        assert_allclose(found[0]["temperatures_k"].mean(), 400.0, rtol=0.1, atol=0)
        assert np.ptp(found[0]["conserved_energies"]) < 1e-9 * kinetic.mean()

    def test_friction_is_the_inverse_of_the_time_constant(self):
        """Velocities of free atoms forget themselves as exp(−t/τ); 3N degrees of freedom."""
        settings = MDSettings(
            ensemble="langevin", ramp_ps=0.0, production_ps=0.1, damping_fs=50.0, stride=5
        )
        found, _, _ = together(
            self.simulate(Free(), [crystal(1000, 300.0)], settings, recording=ALL)
        )
        v = found[0]["velocities"]
        memory = (v * v[0]).sum(axis=(1, 2)) / (v[0] ** 2).sum()
        expected = np.exp(-found[0]["times_ps"] / 0.05)
        assert np.abs(memory - expected).max() < 0.06
        assert_allclose(found[0]["temperatures_k"].mean(), 300.0, rtol=0.05, atol=0)

    @pytest.mark.parametrize("ensemble", ["csvr", "langevin"])
    def test_noise_belongs_to_the_run(self, ensemble):
        settings = dataclasses.replace(SHORT, ensemble=ensemble, ramp_ps=0.0, damping_fs=20.0)
        runs = [argon(80.0, cells=3), argon(80.0, cells=3, replica=1)]
        first, _, _ = together(self.simulate(LennardJones(cutoff=4.5), runs, settings))
        again, _, _ = together(self.simulate(LennardJones(cutoff=4.5), runs[::-1], settings))
        for one, other in zip(first, again[::-1], strict=True):
            assert_array_equal(one["positions"], other["positions"])
        assert (first[0]["positions"][-1] != first[1]["positions"][-1]).all()

    @pytest.mark.parametrize("ensemble", ["nve", "nose-hoover", "csvr", "langevin"])
    def test_one_atom_alone(self, ensemble):
        """Three degrees of freedom, its momentum kept."""
        settings = dataclasses.replace(SHORT, ensemble=ensemble, damping_fs=500.0)
        found, ends, _ = together(self.simulate(Free(), [crystal(1)], settings, recording=ALL))
        assert ends == (None,)
        expected, _, _ = together(simulate(Free(), [crystal(1)], settings, recording=ALL))
        for name in ("positions", "temperatures_k", "velocities"):
            assert_near(found[0][name][:1], expected[0][name][:1], rtol=1e-12)
        if ensemble in ("nve", "nose-hoover"):
            assert_near(found[0]["velocities"], expected[0]["velocities"], rtol=1e-4)

    def test_no_runs(self):
        with pytest.raises(InputError, match=r"^simulation: expected at least one run"):
            self.simulate(Free(), [], SHORT)


class RefPotOfCrystal:
    """Springs that are stiff enough to exchange energy within the test, without a pair list."""

    label = "springs"

    def __init__(self):
        self.closest = {}

    def evaluator(self, systems):
        from tests.md.little import Springs

        return Springs(k=4.0, q=1.0).evaluator(systems)
