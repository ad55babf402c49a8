"""Force fields as calculators of ASE, by name."""

import numpy as np
import pytest
from ase import Atoms
from numpy.testing import assert_allclose, assert_array_equal

import mdbench
from mdbench import InputError
from mdbench.md.single import SingleSystem
from mdbench.models import arguments_of, create, model_class, parse_name
from mdbench.potentials.materials import material
from mdbench.potentials.refpot import RefPot
from mdbench.training.checkpoint import Checkpoint, all_arguments, save_checkpoint


@pytest.fixture
def atoms():
    known = material("lgps")
    return Atoms(known.atomic_numbers, known.positions, cell=known.cell, pbc=True)


def test_a_calculator_by_name(atoms):
    atoms.rattle(0.05, seed=1)
    atoms.calc = mdbench.force_field("refpot")
    energy, forces, _ = evaluated(RefPot(), atoms)
    assert_allclose(atoms.get_potential_energy(), energy, rtol=1e-12, atol=0)
    assert_array_equal(atoms.get_forces(), forces)
    assert atoms.get_stress().shape == (6,)


def evaluated(force_field, atoms):
    system = SingleSystem(force_field, atoms.numbers, atoms.cell.array)
    system.evaluate(atoms.positions)
    return system.energy, system.forces, system.virial


def test_arguments_reach_the_calculator(atoms):
    calculator = mdbench.force_field("ase.calculators.lj:LennardJones", rc=4.0, epsilon=0.5)
    assert "epsilon=0.5, rc=4.0" in calculator.force_field.label
    with pytest.raises(InputError, match=r"argument 'skinn': .*did you mean skin"):
        mdbench.force_field("refpot", skinn=2.0)


def test_a_model_of_a_run_folder_and_a_checkpoint(atoms, tmp_path, monkeypatch):
    place = tmp_path / "run" / "models" / "cgcnn-small-s3"
    model = write_checkpoint(place, atoms)
    monkeypatch.chdir(tmp_path)
    energies = []
    for name in ("cgcnn-small", "cgcnn-small-s3", place, str(place)):
        atoms.calc = mdbench.force_field(name, device="cpu")
        energies.append(atoms.get_potential_energy())
    monkeypatch.chdir("/")
    atoms.calc = mdbench.force_field("cgcnn-small", run=tmp_path / "run", device="cpu")
    energies.append(atoms.get_potential_energy())
    assert len(set(energies)) == 1
    assert np.isfinite(energies[0])
    assert model.conservative


def write_checkpoint(place, atoms):
    name = parse_name("cgcnn-small")
    model = create(name, seed=3)
    checkpoint = Checkpoint(
        model=model,
        name=name.text,
        seed=3,
        arguments=all_arguments(model_class(name.architecture), arguments_of(name)),
        elements=tuple(sorted(set(atoms.symbols))),
        closest={},
        training={},
    )
    save_checkpoint(place, checkpoint)
    return model


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("refpt", {}, "did you mean refpot"),
        ("schnett", {}, "did you mean schnet"),
        ("schnet", {}, "no trained schnet"),
        ("schnet", {"model": "x"}, "a model takes no arguments"),
        ("none/such", {}, "none/such"),
        ("no_such_module:make", {}, "no module no_such_module"),
    ],
)
def test_unknown_names(name, options, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=words):
        mdbench.force_field(name, **options)
