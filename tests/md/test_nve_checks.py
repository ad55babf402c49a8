"""Runs at constant energy, and echoes: what they show of sound and of faulty forces."""

import numpy as np
from numpy.testing import assert_allclose

from mdbench.analysis.audit import Claims
from mdbench.analysis.audit_dynamics import drift_check, energy_drift
from mdbench.md.nve_checks import echo, energy_run
from mdbench.md.settings import MDSettings
from mdbench.md.simulate import simulate
from tests.md.little import SpringEvaluator, Springs, crystal, grid, together

SPRINGS = Springs(k=0.2, q=0.5, anchor=0.1)
LENGTHS = {"production_ps": 1.0, "ramp_ps": 0.2}


class Changed(Springs):
    """Springs with a force beside theirs."""

    def evaluator(self, systems):
        return ChangedEvaluator(systems, self)


class ChangedEvaluator(SpringEvaluator):
    def evaluate(self, positions, active):
        super().evaluate(positions, active)
        self.forces += self.springs.other(positions, self)


class Swirl(Changed):
    """A force around an axis through each place, which does work on every turn."""

    def other(self, positions, evaluator):
        return 0.02 * np.cross([0.0, 0.0, 1.0], positions - evaluator.reference)


class Unsteady(Changed):
    """Other forces at every call."""

    rng = np.random.default_rng(0)

    def other(self, positions, evaluator):
        return self.rng.normal(0.0, 0.01, positions.shape)


def drifts(field):
    run = crystal(8)
    made = [energy_run(field, run, timestep_fs=dt, **LENGTHS) for dt in (1.0, 2.0)]
    return made, [
        energy_drift(m.times_ps, m.energies, m.n_atoms, timestep_fs=m.timestep_fs) for m in made
    ]


def test_a_run_is_that_of_the_engine():
    run, shares = crystal(8), []
    made = energy_run(SPRINGS, run, timestep_fs=2.0, progress=shares.append, **LENGTHS)
    settings = MDSettings(ensemble="nve", timestep_fs=2.0, **LENGTHS)
    (found,), _, _ = together(simulate(SPRINGS, [run], settings))
    assert_allclose(made.energies, found["conserved_energies"], rtol=1e-15, atol=0)
    assert_allclose(made.times_ps, found["times_ps"], rtol=1e-15, atol=0)
    assert (made.n_atoms, made.end_reason) == (8, None)
    assert made.steps_per_s > 0.0
    assert shares[-1] == 1.0
    assert shares == sorted(shares)


def test_sound_forces_keep_the_energy():
    _, found = drifts(SPRINGS)
    assert_allclose(found[1].fluctuation / found[0].fluctuation, 4.0, rtol=0.2, atol=0)
    check = drift_check(found, Claims())
    assert check.passed
    assert "fault" not in check.detail


def test_forces_that_are_no_slope_heat_whatever_the_timestep():
    _, found = drifts(Swirl(k=0.2, q=0.5, anchor=0.1))
    check = drift_check(found, Claims())
    assert not check.passed
    assert "the forces are at fault" in check.detail


def test_an_echo_returns():
    run = crystal(8)
    found = echo(SPRINGS, run, timestep_fs=2.0, ps=0.2)
    assert found.distance < 1e-11
    assert 0.01 < found.turned_at < 3.0
    assert found.end_reason is None


def test_an_echo_goes_as_far_as_the_run():
    """The turn is where a run of that length ends."""
    run = crystal(8)
    found = echo(SPRINGS, run, timestep_fs=2.0, ps=0.1)
    settings = MDSettings(ensemble="nve", timestep_fs=2.0, ramp_ps=0.0, production_ps=0.102)
    (frames,), _, _ = together(simulate(SPRINGS, [run], settings))
    moved = frames["positions"][50] - grid(8)
    assert_allclose(found.turned_at, np.sqrt((moved**2).sum(1).mean()), rtol=1e-12, atol=0)


def test_forces_that_change_from_call_to_call_leave_no_echo():
    found = echo(Unsteady(k=0.2, q=0.5, anchor=0.1), crystal(8), timestep_fs=2.0, ps=0.2)
    assert found.distance > 1e-5


def test_forces_without_a_potential_still_echo():
    """The integrator is reversible whatever the forces are, as long as they are the same."""
    found = echo(Swirl(k=0.2, q=0.5, anchor=0.1), crystal(8), timestep_fs=2.0, ps=0.2)
    assert found.distance < 1e-11


def test_a_run_that_explodes_says_so():
    class Bomb(Changed):
        def other(self, positions, evaluator):
            return np.full(positions.shape, 1e4)

    made = energy_run(Bomb(), crystal(8), timestep_fs=2.0, **LENGTHS)
    assert "exploded" in made.end_reason
    drift = energy_drift(
        made.times_ps, made.energies, 8, timestep_fs=2.0, end_reason=made.end_reason
    )
    check = drift_check([drift], Claims())
    assert not check.passed
    assert "exploded" in check.detail
    found = echo(Bomb(), crystal(8), timestep_fs=2.0, ps=0.1)
    assert found.distance == np.inf
    assert "exploded" in found.end_reason
