"""Constant energy: how far from constant, and how that depends on the timestep."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from mdbench.md.settings import MDSettings
from mdbench.md.simulate import simulate
from tests.md.little import LennardJones, Springs, argon, crystal, together


def total_energies(field, run, timestep_fs, production_ps, stride_fs):
    settings = MDSettings(
        ensemble="nve",
        ramp_ps=0.0,
        timestep_fs=timestep_fs,
        production_ps=production_ps,
        stride=round(stride_fs / timestep_fs),
    )
    (found,), ends, _ = together(simulate(field, [run], settings))
    assert ends == (None,)
    return found["conserved_energies"], found


def test_a_harmonic_oscillator_conserves_verlets_own_energy():
    """K + (1 − (ωΔt)²/4) U is exact for velocity Verlet: the known size of the fluctuation.

    E. Hairer, C. Lubich, G. Wanner, Acta Numer. 2003, 12, 399, doi:10.1017/S0962492902000144.
    """
    anchor, timestep = 0.4, 2.0
    run = crystal(1, numbers=(3,))
    energies, found = total_energies(Springs(anchor=anchor), run, timestep, 5.0, timestep)
    correction = anchor / (6.94 * 103.642696562) * timestep**2 / 4.0
    own = found["kinetic_energies"] + (1.0 - correction) * found["potential_energies"]
    assert np.ptp(own) < 1e-11 * own.mean()
    swing = correction * np.ptp(found["potential_energies"])
    assert_allclose(np.ptp(energies), swing, rtol=1e-6, atol=0)


@pytest.mark.parametrize(
    "field, run", [(LennardJones(), argon(60.0)), (Springs(k=0.2, q=0.5), crystal(27))]
)
def test_energy_fluctuates_with_the_square_of_the_timestep(field, run):
    deviations = []
    for timestep in (1.0, 2.0, 4.0):
        energies, found = total_energies(field, run, timestep, 2.0, 4.0)
        deviations.append(energies.std())
    ratios = np.array(deviations[1:]) / deviations[:-1]
    assert_allclose(ratios, 4.0, rtol=0.1, atol=0)
    assert deviations[1] < 1e-3 * found["kinetic_energies"].mean()


@pytest.mark.parametrize(
    "field, run", [(LennardJones(), argon(60.0)), (Springs(k=0.2, q=0.5), crystal(27))]
)
def test_energy_has_no_trend(field, run):
    """Over 10 ps the energy drifts by less than it fluctuates, and by less than 1e-5 eV/atom/ns."""
    energies, found = total_energies(field, run, 2.0, 10.0, 20.0)
    times_ns = 1e-3 * found["times_ps"]
    slope = np.polyfit(times_ns, energies, 1)[0]
    assert abs(slope) * times_ns[-1] < energies.std()
    assert abs(slope) / len(run.masses) < 1e-2
