"""What the thermostats sample, against the canonical distribution.

Replicas are independent, so the standard error of a mean is the scatter of the replicas' means over
the root of their number: no correlation time is guessed.
"""

import dataclasses
from functools import cache

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import gamma, kstest

from mdbench.md.frames import Recording
from mdbench.md.settings import MDSettings
from mdbench.md.simulate import simulate
from mdbench.units import BOLTZMANN_EV_PER_K
from tests.md.little import Springs, crystal, together

THERMAL = BOLTZMANN_EV_PER_K * 300.0
REPLICAS = 100
#: Soft: ωΔt is below 0.1, so that the kinetic energy is canonical to 2e-3.
SOFT = Springs(k=0.05, q=0.2)
SOFT_ANCHORED = dataclasses.replace(SOFT, anchor=0.05)


@cache
def canonical(field, n_atoms):
    """Replicas whose positions are canonical: from Langevin dynamics, which is ergodic."""
    runs = [crystal(n_atoms, replica=r) for r in range(REPLICAS)]
    settings = MDSettings(
        ensemble="langevin", ramp_ps=0.0, production_ps=6.0, stride=2999, damping_fs=100.0, seed=1
    )
    found, _, _ = together(simulate(field, runs, settings))
    return [
        dataclasses.replace(run, positions=frames["positions"][-1])
        for run, frames in zip(runs, found, strict=True)
    ]


@cache
def sampled(field, n_atoms, ensemble, *, production_ps=6.0, **settings):
    """Frames of independent replicas that begin in equilibrium, each (n_replicas, n_frames, …)."""
    settings = MDSettings(
        ensemble=ensemble,
        ramp_ps=0.0,
        production_ps=production_ps,
        stride=20,
        **{"damping_fs": 40.0} | settings,
    )
    runs = canonical(field, n_atoms)
    recording = Recording(velocities=True, forces=True)
    found, ends, _ = together(simulate(field, runs, settings, recording=recording))
    assert ends == (None,) * REPLICAS
    return {name: np.stack([run[name] for run in found]) for name in found[0]}


def assert_mean(values, expected, allowed=0.0):
    """That the mean of replicas (n_replicas, …) is the expected one, to 4.5 standard errors."""
    means = values.reshape(len(values), -1).mean(axis=1)
    error = means.std(ddof=1) / np.sqrt(len(means))
    assert abs(means.mean() - expected) < 4.5 * error + allowed, (means.mean(), expected, error)
    assert error < 0.1 * abs(expected)


@pytest.mark.parametrize(
    "ensemble, n_atoms, freedom",
    [
        ("nose-hoover", 8, 21),
        ("nose-hoover", 2, 3),
        ("nose-hoover", 1, 3),
        ("csvr", 8, 21),
        ("csvr", 2, 3),
        ("csvr", 1, 3),
        ("langevin", 8, 24),
        ("langevin", 2, 6),
        ("langevin", 1, 3),
    ],
)
def test_kinetic_energies_are_canonical(ensemble, n_atoms, freedom):
    """K / kT is Gamma(N_f / 2): mean N_f / 2, variance N_f / 2."""
    field = SOFT_ANCHORED if n_atoms == 1 else SOFT
    scaled = sampled(field, n_atoms, ensemble)["kinetic_energies"] / THERMAL
    half = 0.5 * freedom
    assert_mean(scaled, half, allowed=1e-3 * half)
    assert_mean((scaled - half) ** 2, half, allowed=2e-3 * half)
    for frame in (0, -1):  # independent between replicas
        assert kstest(scaled[:, frame], gamma(half).cdf).pvalue > 1e-4


@pytest.mark.parametrize("ensemble", ["nose-hoover", "csvr", "langevin"])
def test_energy_is_shared_equally_between_species(ensemble):
    """⟨p²/m⟩ = 3kT (1 − m/M) with the total momentum at zero, 3kT without that."""
    found = sampled(SOFT, 8, ensemble)
    masses = crystal(8).masses * 103.642696562
    twice = (found["velocities"] ** 2).sum(axis=-1) * masses  # (n_replicas, n_frames, n_atoms)
    for species in range(3):
        share = 1.0 if ensemble == "langevin" else 1.0 - masses[species] / masses.sum()
        assert_mean(twice[:, :, species::3], 3.0 * THERMAL * share, allowed=3e-3 * THERMAL)


@pytest.mark.parametrize("ensemble", ["nose-hoover", "csvr", "langevin"])
def test_configurations_obey_the_virial_theorem(ensemble):
    """−⟨F·u⟩ = N_f kT for any potential, N_f of the coordinates that the potential binds."""
    found = sampled(SOFT, 8, ensemble)
    displaced = found["positions"] - crystal(8).positions
    virial = -(found["forces"] * displaced).sum(axis=(2, 3))
    assert_mean(virial, 21.0 * THERMAL, allowed=0.05 * THERMAL)


@pytest.mark.parametrize("timestep_fs", [2.0, 20.0])
def test_langevin_samples_harmonic_positions_exactly(timestep_fs):
    """⟨x²⟩ = kT/k for each coordinate, at any timestep: the property of BAOAB."""
    stiff = Springs(k=0.0, anchor=0.8, strides=())
    found = sampled(
        stiff,
        9,
        "langevin",
        timestep_fs=timestep_fs,
        production_ps=1.6 * timestep_fs,
        damping_fs=50.0,
    )
    squared = (found["positions"] - crystal(9).positions) ** 2
    for species in range(3):
        assert_mean(squared[:, :, species::3], THERMAL / 0.8)


@pytest.mark.parametrize("ensemble", ["nose-hoover", "csvr", "langevin"])
def test_the_conserved_quantity_is_conserved(ensemble):
    """It fluctuates with Δt² without a trend, while energy itself goes in and out of the bath."""
    field = Springs(k=0.2, q=0.5)
    deviations = []
    for timestep in (1.0, 2.0):
        settings = MDSettings(
            ensemble=ensemble,
            ramp_ps=0.2,
            timestep_fs=timestep,
            production_ps=20.0,
            stride=round(20.0 / timestep),
            damping_fs=40.0,
        )
        (found,), _, _ = together(simulate(field, [crystal(27)], settings))
        conserved, times = found["conserved_energies"], found["times_ps"]
        total = found["potential_energies"] + found["kinetic_energies"]
        trend = np.polyfit(times, conserved, 1)[0] * times[-1]
        deviations.append(conserved.std())
        assert conserved.std() < 5e-3 * total.std()
        assert abs(trend) < 4.0 * conserved.std()
    assert 2.5 < deviations[1] / deviations[0] < 6.5
    assert_allclose(found["temperatures_k"].mean(), 300.0, rtol=0.05, atol=0)
