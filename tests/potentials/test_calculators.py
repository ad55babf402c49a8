"""Force fields by name."""

import re
import sys
from importlib.util import find_spec

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.emt import EMT
from numpy.testing import assert_allclose, assert_array_equal

from mdbench.errors import InputError
from mdbench.md.frames import Recording
from mdbench.md.settings import MDSettings
from mdbench.md.simulate import simulate
from mdbench.md.state import Run
from mdbench.potentials.calculators import NAMES, force_field, parsed
from mdbench.potentials.materials import material
from mdbench.potentials.refpot import RefPot
from tests.md.little import together
from tests.potentials.crystals import all_distorted, assert_near, distorted, single
from tests.potentials.test_ase_force_field import evaluated, metals

MODULE = """
from ase.calculators.emt import EMT
number = 3
class Inner:
    make = EMT
def make(scale=1.0, name="x", flag: bool = False):
    assert isinstance(name, str), name
    assert flag in (True, False), flag
    calculator = EMT()
    calculator.said = (scale, name, flag)
    return calculator
def needs(what):
    return EMT()
def wrong():
    return "a calculator"
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A current folder with a module of the user."""
    (tmp_path / "my_potential.py").write_text(MODULE)
    (tmp_path / "my_broken.py").write_text("import numpy_that_is_not_there\n")
    (tmp_path / "my_leaving.py").write_text("raise SystemExit('bye')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p])
    yield tmp_path
    for name in [n for n in sys.modules if n.startswith("my_")]:
        del sys.modules[name]


@pytest.mark.parametrize("arguments", [{}, {"skin": "0.5"}, {"device": "cpu"}])
def test_the_embedded_potential(arguments):
    found = force_field("refpot", arguments)
    assert found.label == RefPot().label
    systems, positions = all_distorted(0)
    evaluator, expected = found.evaluator(systems), RefPot().evaluator(systems)
    active = np.ones(systems.n_systems, dtype=bool)
    expected.evaluate(positions, active)
    if "device" in arguments:
        import torch

        positions, active = torch.tensor(positions), torch.tensor(active)
    evaluator.evaluate(positions, active)
    assert_near(evaluator.forces, expected.forces, rtol=1e-12)


def test_a_calculator_of_ase():
    found = evaluated(force_field("ase.calculators.emt:EMT", {"asap_cutoff": "true"}), metals(0))
    for s, (numbers, positions, cell) in enumerate(metals(0)):
        calculator = EMT(asap_cutoff=True)
        atoms = Atoms(numbers, positions, cell=cell, pbc=True, calculator=calculator)
        assert_allclose(found.energies[s], atoms.get_potential_energy(), rtol=1e-12, atol=0)
    label = force_field("ase.calculators.emt:EMT", {"asap_cutoff": "true"}).label
    assert re.fullmatch(r"ase\.calculators\.emt:EMT\(asap_cutoff=True\), ase [\d.]+", label)


def test_a_calculator_of_the_users_own(folder):
    found = force_field("my_potential:make", {"scale": "2", "name": "7", "flag": "True"})
    assert re.fullmatch(
        r"my_potential:make\(flag=True, name='7', scale=2\), my_potential\.py [0-9a-f]{8}",
        found.label,
    )
    assert found._one().said == (2, "7", True)
    evaluated(found, metals(0))
    assert evaluated(force_field("my_potential:Inner.make"), metals(0)).energies.any()


def test_the_label_changes_with_the_file(folder):
    before = force_field("my_potential:make").label
    (folder / "my_potential.py").write_text(MODULE + "# another\n")
    assert force_field("my_potential:make").label != before


@pytest.mark.parametrize(
    "text, value",
    [
        ("3", 3),
        ("-2.5e-3", -2.5e-3),
        ("true", True),
        ("False", False),
        ("none", None),
        ("1_000", "1_000"),
        ("7net-0", "7net-0"),
        ("0.3.0", "0.3.0"),
        ("", ""),
    ],
)
def test_arguments_are_what_they_look_like(text, value):
    assert parsed(text) == value
    assert type(parsed(text)) is type(value)


@pytest.mark.parametrize(
    "name, arguments, message",
    [
        ("refpt", {}, r"^calculator 'refpt': expected one of .*; did you mean refpot\?$"),
        ("Chgnet", {}, r"did you mean chgnet\?$"),
        ("refpot", {"skn": "1"}, r"argument 'skn': expected one of skin, .*did you mean skin\?"),
        ("refpot", {"skin": "-1"}, r"skin: expected A, zero or more, found -1$"),
        ("refpot", {"skin": "wide"}, r"skin: expected A, zero or more, found wide$"),
        ("refpot", {"device": "tpu9"}, r"^device 'tpu9': found .*; cpu always works$"),
        ("my_potental:make", {}, r"calculator my_potental:make: no module my_potental; give"),
        ("ase.calculators.emtt:EMT", {}, r"no module ase.calculators.emtt; give"),
        ("my_potential:mak", {}, r"my_potential\.py: .* has no mak; did you mean make\?$"),
        ("my_potential:Inner.mke", {}, r"has no Inner.mke; did you mean make\?$"),
        ("my_potential:", {}, r"my_potential has no empty name"),
        (":make", {}, r"no module \(empty name\)"),
        ("my_potential:number", {}, r"expected a function or class .*, found int$"),
        ("my_potential:needs", {}, r"expected a value of what, found none$"),
        ("my_potential:make", {"z": "1"}, r"argument 'z': expected one of scale, name, flag"),
        ("my_broken:make", {}, r"importing my_broken failed: found ModuleNotFoundError: No mod"),
        ("my_leaving:make", {}, r"importing my_leaving failed: found SystemExit: bye$"),
    ],
)
def test_what_cannot_be_is_said_in_a_line(folder, name, arguments, message):
    with pytest.raises(InputError, match=message) as caught:
        force_field(name, arguments)
    assert "\n" not in str(caught.value)


def test_a_factory_that_makes_something_else(folder):
    with pytest.raises(InputError, match=r"^calculator my_potential:wrong\(\), .*returns str$"):
        evaluated(force_field("my_potential:wrong"), metals(0))


@pytest.mark.parametrize("name", [n for n in NAMES if n != "refpot"])
def test_packages_that_are_missing(name, monkeypatch):
    for module in ("chgnet.model.dynamics", "sevenn.calculator", "mace.calculators"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError, match=r"^\S+ is not installed; .*pip install"):
        force_field(name)


def test_packages_that_are_broken(tmp_path, monkeypatch):
    (tmp_path / "sevenn").mkdir()
    (tmp_path / "sevenn" / "__init__.py").touch()
    (tmp_path / "sevenn" / "calculator.py").write_text("import something_else\n")
    monkeypatch.syspath_prepend(tmp_path)
    for name in [n for n in sys.modules if n.partition(".")[0] == "sevenn"]:
        monkeypatch.delitem(sys.modules, name)
    try:
        with pytest.raises(InputError, match=r"^sevenn cannot be imported: .*'something_else'"):
            force_field("sevennet")
    finally:
        sys.modules.pop("sevenn", None)


FOUNDATION = [
    pytest.param(
        name,
        marks=[
            pytest.mark.slow,
            pytest.mark.skipif(
                find_spec(package) is None, reason=f"{package} is not installed: extra [potentials]"
            ),
        ],
    )
    for name, package in (("chgnet", "chgnet"), ("sevennet", "sevenn"))
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", FOUNDATION)
def test_foundation_models_give_slopes_of_their_energy(name, capsys):
    """To single precision, and as far as the energy is smooth: CHGNet's has kinks."""
    numbers, positions, cell = distorted("lgps", 0, width=0.05, strain=0.02)
    active, rng = np.ones(1, dtype=bool), np.random.default_rng(0)
    field = force_field(name)

    def energy(x, change):
        systems, _ = single(numbers, x, cell @ change)
        evaluator = field.evaluator(systems)
        evaluator.evaluate(x @ change, active)
        return evaluator.energies[0], evaluator.forces.copy(), evaluator.virials[0].copy()

    _, forces, virial = energy(positions, np.eye(3))
    assert capsys.readouterr().out == ""
    direction = rng.normal(size=positions.shape)
    step = 2e-3 * direction
    slope = energy(positions + step, np.eye(3))[0] - energy(positions - step, np.eye(3))[0]
    assert_allclose(-slope / 4e-3, (forces * direction).sum(), rtol=0.03, atol=0)
    strain = 2e-3 * np.array([[3.0, 2.0, 1.0], [2.0, -4.0, 1.5], [1.0, 1.5, 5.0]]) / 3.0
    slope = energy(positions, np.eye(3) + strain)[0] - energy(positions, np.eye(3) - strain)[0]
    assert_allclose(-slope / 2.0, (virial * strain).sum(), rtol=0.03, atol=0)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", FOUNDATION)
def test_foundation_models_run(name):
    """Energy is conserved as far as single precision goes, in two systems of one batch."""
    lgps, other = material("lgps"), material("gamma-li3ps4")
    runs = [Run(m.name, m.atomic_numbers, m.positions, m.cell, 600.0) for m in (lgps, other)]
    settings = MDSettings(ensemble="nve", timestep_fs=1.0, ramp_ps=0.0, production_ps=0.012)
    field = force_field(name)
    found, ends, _ = together(simulate(field, runs, settings, recording=Recording(forces=True)))
    assert ends == (None, None)
    for run in found:
        exchanged = np.ptp(run["kinetic_energies"])
        assert exchanged > 0.1
        assert np.ptp(run["conserved_energies"]) < 0.02 * exchanged + 1e-3
    alone, _, _ = together(simulate(field, runs[1:], settings))
    assert_array_equal(alone[0]["steps"], found[1]["steps"])
    assert_allclose(
        alone[0]["potential_energies"], found[1]["potential_energies"], rtol=1e-5, atol=0
    )


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", FOUNDATION)
def test_foundation_models_refuse_in_a_line(name):
    with pytest.raises(InputError, match=r"^calculator \S+ .*0\.9\.9.*: \w+Error: ") as caught:
        evaluated(force_field(name, {"model": "0.9.9"}), metals(0))
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match=r"^device 'cuda:9': found .*; cpu always works$"):
        force_field(name, {"device": "cuda:9"})
