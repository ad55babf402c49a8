"""Conductivity from diffusivity, and charges."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from mdbench.analysis.conductivity import (
    charge_of,
    charge_warnings,
    conductivity_factor,
    ionic_conductivity,
)
from mdbench.errors import InputError
from mdbench.stats import Estimate, Spread, log_estimate

STATE = {"n_ions": 192, "volume": 8380.714, "temperature_k": 500.0}


def test_argyrodite_at_500_k():
    """Li6PS5Cl, 192 Li in 8380.714 Å³: 1.34374e-05 cm²/s is 1144.73 mS/cm."""
    diffusivity = log_estimate(np.log(1.34374e-5), Spread(0.01, 20.0), "cm^2/s")
    found = ionic_conductivity(diffusivity, charge=1.0, **STATE)
    assert_allclose(found.value, 1144.73, rtol=1e-5, atol=0)
    assert found.unit == "mS/cm"
    limits = np.array([found.low, found.high]) / found.value
    expected = np.array([diffusivity.low, diffusivity.high]) / diffusivity.value
    assert_allclose(limits, expected, rtol=1e-12, atol=0)


def test_nernst_einstein_in_si():
    """n z² e² D / kT with the constants of scipy."""
    from scipy import constants as si

    carriers = 192 / (8380.714 * si.angstrom**3)
    siemens_per_m = carriers * (2 * si.e) ** 2 * (1e-5 * si.centi**2) / (si.k * 500.0)
    found = 1e-5 * conductivity_factor(charge=2.0, **STATE)
    assert_allclose(found, siemens_per_m / si.milli * si.centi, rtol=1e-8, atol=0)


def test_conductivity_grows_as_the_square_of_the_charge():
    one, minus_two = (conductivity_factor(charge=z, **STATE) for z in (1.0, -2.0))
    assert_allclose(minus_two, 4 * one, rtol=1e-12, atol=0)


def test_a_bound_stays_a_bound():
    found = ionic_conductivity(Estimate(None, None, 1e-6, "cm^2/s"), charge=1.0, **STATE)
    assert found.value is None
    assert_allclose(found.high, 1e-6 * conductivity_factor(charge=1.0, **STATE), rtol=1e-12, atol=0)


@pytest.mark.parametrize("species, charge", [("Li", 1), ("Mg", 2), ("F", -1), ("O", -2)])
def test_usual_charges(species, charge):
    assert charge_of(species) == charge
    assert charge_of(species, 0.8) == 0.8


def test_an_element_without_a_usual_charge():
    with pytest.raises(InputError, match=r"^charge of Xe: expected a known one; --charge Xe="):
        charge_of("Xe")
    assert charge_of("Xe", 1.0) == 1.0


@pytest.mark.parametrize(
    "n_atoms, species",
    [
        ({"Li": 20, "Ge": 2, "P": 4, "S": 24}, "Li"),
        ({"Li": 24, "P": 4, "S": 20, "Cl": 4}, "Li"),
        ({"Na": 12, "Sb": 4, "S": 16}, "Na"),
        ({"Li": 8}, "Li"),
        ({"Li": 8, "Xe": 3}, "Li"),
    ],
    ids=["LGPS", "argyrodite", "Na3SbS4", "metal", "unknown element"],
)
def test_cells_that_may_be_neutral(n_atoms, species):
    assert charge_warnings(n_atoms, species, charge_of(species)) == []


def test_an_unusual_charge_is_named():
    (warning,) = charge_warnings({"Li": 24, "P": 4, "S": 20, "Cl": 4}, "Li", 2.0)
    assert warning == "charge +2 of Li is unusual (usual: +1); sigma grows as z^2"
    (warning,) = charge_warnings({"Cu": 2, "S": 1}, "Cu", -1.0)
    assert "(usual: +1 or +2)" in warning


def test_a_cell_that_cannot_be_neutral():
    (warning,) = charge_warnings({"Li": 23, "P": 4, "S": 20, "Cl": 4}, "Li", 1.0)
    assert warning == "no usual charges of the other elements balance 23 Li ions"
