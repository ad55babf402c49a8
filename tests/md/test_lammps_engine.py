"""Simulations that LAMMPS moves."""

import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec

import numpy as np
import pytest
from ase import Atoms
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from mdbench.errors import InputError
from mdbench.md import lammps_engine
from mdbench.md.ase_calculator import MdbenchCalculator
from mdbench.md.lammps_engine import simulate_lammps, standard_cell
from mdbench.md.settings import MDSettings
from mdbench.potentials.refpot import RefPot
from mdbench.units import AMU_ANGSTROM2_PER_FS2_IN_EV, BAR_IN_EV_PER_ANGSTROM3
from tests.md.foreign import ALL, SHORT, Contract, sulfides
from tests.md.little import Free, LennardJones, argon, crystal, together
from tests.potentials.crystals import assert_near

needs_lammps = pytest.mark.skipif(
    find_spec("lammps") is None, reason="LAMMPS is not installed: extra [lammps]"
)


@given(st.integers(0, 2**32 - 1))
def test_cells_are_turned_to_the_standard_form(seed):
    """Lower triangular with a positive diagonal, the same lengths and angles."""
    cell = np.random.default_rng(seed).normal(size=(3, 3)) * 5.0
    box, turn = standard_cell(cell)
    assert (np.diag(box) > 0).all()
    assert (box[np.triu_indices(3, 1)] == 0).all()
    assert_near(turn @ turn.T, np.eye(3), rtol=1e-12)
    assert_near(cell @ turn, box, rtol=1e-12)
    assert_near(box @ box.T, cell @ cell.T, rtol=1e-12)


def test_a_cell_in_standard_form_stays():
    cell = np.array([[8.0, 0.0, 0.0], [1.0, 7.0, 0.0], [-2.0, 0.5, 6.0]])
    box, turn = standard_cell(cell)
    assert_near(box, cell, rtol=1e-14)
    assert_near(turn, np.eye(3), rtol=1e-14)


def test_without_lammps(monkeypatch):
    monkeypatch.setitem(sys.modules, "lammps", None)
    with pytest.raises(InputError, match=r"^LAMMPS is not installed; .*mdbench\[lammps\]'$"):
        simulate_lammps(Free(), [crystal(3)], SHORT)


def simulate_all(runs):
    return together(simulate_lammps(RefPot(), runs, SHORT))


@pytest.mark.slow
@needs_lammps
class TestLammps(Contract):
    simulate = staticmethod(simulate_lammps)
    #: Its chain is integrated in substeps.
    chain_rtol = 2e-3

    def test_energies_forces_and_stresses_are_those_of_ase(self):
        settings = MDSettings(ensemble="nve", ramp_ps=0.0, production_ps=0.02)
        runs = sulfides()
        found, _, _ = together(simulate_lammps(RefPot(), runs, settings, recording=ALL))
        for run, one in zip(runs, found, strict=True):
            for k in (0, 7):
                atoms = Atoms(run.atomic_numbers, one["positions"][k], cell=run.cell, pbc=True)
                atoms.calc = MdbenchCalculator(RefPot())
                energy = atoms.get_potential_energy()
                assert_allclose(one["potential_energies"][k], energy, rtol=1e-12, atol=0)
                assert_near(one["forces"][k], atoms.get_forces(), rtol=1e-10)
                assert_near(one["stresses"][k], atoms.get_stress(voigt=False), rtol=1e-10)

    def test_it_sees_our_virial_and_temperature(self, monkeypatch):
        """LAMMPS's own pressure and energy, from what it is told through the callback."""
        kept = []

        class Watched(lammps_engine._LammpsMover):
            def __init__(self, *arguments):
                super().__init__(*arguments)
                kept.append(self)

        monkeypatch.setattr(lammps_engine, "_LammpsMover", Watched)
        settings = MDSettings(ensemble="nve", ramp_ps=0.0, production_ps=0.002)
        runs = sulfides()
        together(simulate_lammps(RefPot(), runs, settings))
        for mover, run in zip(kept, runs, strict=True):
            mover._do("thermo_style one", "run 0 post no")
            volume = abs(np.linalg.det(run.cell))
            state = mover.now()
            masses = Atoms(run.atomic_numbers).get_masses()
            twice = (masses[:, None] * state.velocities**2).sum() * AMU_ANGSTROM2_PER_FS2_IN_EV
            pressure = (twice + np.trace(state.virial)) / (3.0 * volume)
            seen = mover._lammps.get_thermo("press") * BAR_IN_EV_PER_ANGSTROM3
            assert_allclose(seen, pressure, rtol=1e-6, atol=0)
            assert_allclose(mover._lammps.get_thermo("pe"), state.energy, rtol=1e-12, atol=0)
            turned = mover._turn.T @ state.virial @ mover._turn
            for name, (i, j) in {"pxy": (0, 1), "pxz": (0, 2), "pyz": (1, 2)}.items():
                v = state.velocities @ mover._turn
                kinetic = (masses * v[:, i] * v[:, j]).sum() * AMU_ANGSTROM2_PER_FS2_IN_EV
                seen = mover._lammps.get_thermo(name) * BAR_IN_EV_PER_ANGSTROM3 * volume
                assert_allclose(seen, kinetic + turned[i, j], rtol=1e-6, atol=1e-6 * twice)

    def test_atoms_that_leave_the_cell_stay_unwrapped(self):
        """Fast free flight through several cells."""
        settings = MDSettings(ensemble="nve", ramp_ps=0.0, production_ps=4.0, stride=50)
        run = argon(3000.0, cells=3)
        found, _, _ = together(simulate_lammps(Free(), [run], settings, recording=ALL))
        x, v = found[0]["positions"], found[0]["velocities"]
        assert np.abs((x[-1] - x[0]) @ np.linalg.inv(run.cell)).max() > 1.5
        flight = x[0] + 1000.0 * found[0]["times_ps"][:, None, None] * v[0]
        assert_near(x, flight, rtol=1e-10)

    def test_langevin_keeps_account_of_its_heat(self):
        settings = MDSettings(ensemble="langevin", ramp_ps=0.0, production_ps=1.0)
        found, _, _ = together(simulate_lammps(LennardJones(), [argon(cells=4)], settings))
        kinetic = found[0]["kinetic_energies"]
        assert np.ptp(found[0]["conserved_energies"]) < 0.05 * np.ptp(kinetic)

    def test_what_lammps_says_is_one_line(self):
        class Mover(lammps_engine._LammpsMover):
            def _fix_ensemble(self):
                self._do("fix 1 all nonsense")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(lammps_engine, "_LammpsMover", Mover)
            with pytest.raises(InputError, match=r"^LAMMPS, at `fix 1 all nonsense`: ") as caught:
                simulate_lammps(Free(), [crystal(3)], MDSettings(ramp_ps=0.0))
        assert "\n" not in str(caught.value)

    def test_threads_take_turns(self):
        expected, _, _ = together(simulate_lammps(RefPot(), sulfides(), SHORT))
        with ThreadPoolExecutor(3) as pool:
            parts = pool.map(lambda run: simulate_all([run]), sulfides())
            for one, (found, _, _) in zip(expected, parts, strict=True):
                assert_array_equal(found[0]["positions"], one["positions"])

    def test_simulations_repeat(self):
        first, _, _ = together(simulate_lammps(RefPot(), sulfides(), SHORT))
        again, _, _ = together(simulate_lammps(RefPot(), sulfides(), SHORT))
        for one, other in zip(first, again, strict=True):
            assert_array_equal(one["positions"], other["positions"])
