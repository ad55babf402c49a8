"""Simulations that ASE moves."""

import numpy as np

from mdbench.md.ase_engine import simulate_ase
from mdbench.md.settings import MDSettings
from tests.md.foreign import Contract
from tests.md.little import Free, crystal, together


class TestAse(Contract):
    simulate = staticmethod(simulate_ase)
    chain_rtol = 1e-9

    def test_langevin_has_no_conserved_quantity(self):
        settings = MDSettings(ensemble="langevin", ramp_ps=0.0, production_ps=0.01)
        found, _, _ = together(simulate_ase(Free(), [crystal(3)], settings))
        assert np.isnan(found[0]["conserved_energies"]).all()
