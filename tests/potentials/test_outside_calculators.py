"""Calculators that other packages offer by name."""

import pytest
from ase import Atoms
from ase.calculators.lj import LennardJones
from mdbench_cli.main import run
from numpy.testing import assert_allclose

from mdbench.errors import InputError
from mdbench.potentials.calculators import GROUP, force_field
from tests.installed import install, visible
from tests.potentials.test_ase_force_field import evaluated, metals

CODE = """
from ase.calculators.lj import LennardJones

def make(epsilon=0.1):
    return LennardJones(sigma=2.0, epsilon=epsilon, rc=5.0, ro=4.0, smooth=True)

number = 3
"""


@pytest.fixture
def site(tmp_path):
    points = {"my-lj": "my_lj:make", "my-number": "my_lj:number", "refpot": "my_lj:make"}
    folder = install(tmp_path / "site", "my-lj", points, CODE, version="2.0", group=GROUP)
    with visible(folder):
        yield folder


def test_a_calculator_by_name(site):
    found = force_field("my-lj", {"epsilon": "0.2"})
    assert found.label == "my-lj(epsilon=0.2), my-lj 2.0"
    energies = evaluated(found, metals(0)).energies
    for energy, (numbers, positions, cell) in zip(energies, metals(0), strict=True):
        calculator = LennardJones(sigma=2.0, epsilon=0.2, rc=5.0, ro=4.0, smooth=True)
        atoms = Atoms(numbers, positions, cell=cell, pbc=True, calculator=calculator)
        assert_allclose(energy, atoms.get_potential_energy(), rtol=1e-12, atol=0)


def test_a_name_of_ours_stays_ours(site):
    assert "my-lj" not in force_field("refpot").label


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("my-lj", {"sigma": "2"}, "calculator my-lj: argument 'sigma': expected one of epsilon"),
        ("my-number", {}, "expected a function or class that returns a calculator of ASE"),
        ("my-l", {}, r"one of refpot, .*, my-lj, my-number, or MODULE.* did you mean my-lj"),
        ("My-LJ", {}, "did you mean my-lj"),
    ],
)
def test_refused(site, name, arguments, message):
    with pytest.raises(InputError, match=message):
        force_field(name, arguments)


def test_one_line_of_the_command(site, capsys):
    assert run(["audit", "--calculator", "my-number"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
