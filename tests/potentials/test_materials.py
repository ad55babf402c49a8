"""Crystals by name, structure files of users."""

import hashlib
import re
from importlib.resources import files

import ase.io
import numpy as np
import pytest
from ase.build import bulk, molecule
from ase.units import _amu
from numpy.testing import assert_allclose, assert_array_equal

from mdbench.errors import InputError
from mdbench.potentials.materials import MATERIALS, material

DISORDERED = """data_x
_cell_length_a 5
_cell_length_b 5
_cell_length_c 5
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_space_group_name_H-M_alt 'P 1'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
Li1 Li 0 0 0 0.5
S1 S 0.5 0.5 0.5 1
"""


@pytest.mark.parametrize(
    "names, formula, n_atoms, density",
    [
        (("LGPS", "lgps", "Li10GeP2S12", "li10-gep2-s12"), "Li10GeP2S12", 50, 2.05),
        (("li3ps4", "Li3PS4", "beta-Li3PS4", "β-Li3PS4", "Li3PS4_beta"), "Li3PS4", 32, 1.85),
        (("gamma-li3ps4", "γ-Li3PS4", "Li3PS4_gamma"), "Li3PS4", 16, 1.93),
        (("li4ges4", "Li4GeS4", "LI4_GES4"), "Li4GeS4", 36, 2.26),
    ],
)
def test_crystals_by_their_names(names, formula, n_atoms, density):
    """Densities in g/cm³: those of the published cells."""
    for name in names:
        crystal = material(name)
        assert crystal.name in MATERIALS
        assert crystal.formula == formula
        assert crystal.positions.shape == (n_atoms, 3)
        masses = ase.data.atomic_masses[crystal.atomic_numbers]
        found = masses.sum() * _amu * 1e3 / (np.linalg.det(crystal.cell) * 1e-24)
        assert_allclose(found, density, rtol=0.02, atol=0)
        assert re.search("Kamaya|Homma|Murayama", crystal.source)


@pytest.mark.parametrize("name", MATERIALS)
def test_published_and_relaxed_crystals_share_a_cell(name):
    relaxed, published = material(name), material(name, relaxed=False)
    assert_array_equal(relaxed.cell, published.cell)
    assert_array_equal(relaxed.atomic_numbers, published.atomic_numbers)
    assert np.abs(relaxed.positions - published.positions).max() > 0.01


def test_the_files_are_those_of_the_readme():
    folder = files("mdbench_data")
    stated = re.findall(
        r"^\| `(\S+)` \| `(\w{64})`", folder.joinpath("README.md").read_text(), re.M
    )
    present = {f.name for f in folder.iterdir() if f.name.endswith(".extxyz")}
    assert {name for name, _ in stated} == present
    for name, digest in stated:
        assert hashlib.sha256(folder.joinpath(name).read_bytes()).hexdigest() == digest


@pytest.mark.parametrize("name", ["salt.cif", "POSCAR", "salt.xyz", "with@sign.vasp"])
def test_structure_files(name, tmp_path):
    salt = bulk("NaCl", "rocksalt", 5.64, cubic=True)
    form = {"cif": "cif", "xyz": "extxyz"}.get(name.rpartition(".")[2], "vasp")
    ase.io.write(tmp_path / "file", salt, format=form)
    (tmp_path / "file").rename(tmp_path / name)
    read = material(tmp_path / name)
    assert read.formula == "NaCl"
    assert read.source == str(tmp_path / name)
    assert_allclose(np.abs(np.linalg.det(read.cell)), 5.64**3, rtol=1e-9, atol=0)
    assert_array_equal(np.sort(read.atomic_numbers), np.sort(salt.numbers))


def test_a_file_may_have_the_name_of_a_crystal(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ase.io.write("lgps", bulk("NaCl", "rocksalt", 5.64), format="traj")
    assert material("lgps").formula == "Li10GeP2S12"
    assert material("./lgps").formula == "NaCl"


@pytest.mark.parametrize(
    "name, message",
    [
        ("lgsp", r"material 'lgsp': expected .*did you mean lgps"),
        ("li3ps5", "did you mean li3ps4"),
        ("nowhere/POSCAR", "expected a name that is known or the path of a structure file"),
    ],
)
def test_unknown_names_get_near_ones(name, message):
    with pytest.raises(InputError, match=message):
        material(name)


CELL_LINE = b'Lattice="5 0 0 0 5 0 0 0 5" Properties=species:S:1:pos:R:3 pbc="T T T"\n'


def test_bad_files_are_one_line(tmp_path):
    contents = {
        "noise.cif": b"\x00\xff\x01 nothing",
        "empty.cif": b"",
        "POSCAR": b"a comment\n1.0\n1 0 0\n",
        "half.cif": DISORDERED.encode(),
        "words.cif": DISORDERED.replace("0 0 0 0.5", "0 0 0 half").encode(),
        "old.traj": b"PickleTrajectory\x00",
        "atoms.xyz": b"99999999999\n" + CELL_LINE + b"Li 0 0 0\n",
        "counts/POSCAR": b"x\n1.0\n5 0 0\n0 5 0\n0 0 5\nLi S\n1 99999999\nDirect\n0 0 0\n",
    }
    (tmp_path / "counts").mkdir()
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    ase.io.write(tmp_path / "water.xyz", molecule("H2O"), format="extxyz")
    wall = bulk("NaCl", "rocksalt", 5.64)
    wall.pbc = [True, True, False]
    ase.io.write(tmp_path / "wall.xyz", wall, format="extxyz")
    wall.pbc = True
    wall.positions[1] = np.nan
    ase.io.write(tmp_path / "nan.xyz", wall, format="extxyz")
    expected = {"half.cif": "occupied in part", "water.xyz": "periodic", "wall.xyz": "periodic"}
    expected["words.cif"] = "occupancies: expected numbers"
    expected |= dict.fromkeys(("atoms.xyz", "counts/POSCAR"), "number of atoms")
    for name in [*contents, "water.xyz", "wall.xyz", "nan.xyz"]:
        with pytest.raises(InputError) as caught:
            material(tmp_path / name)
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)
        assert expected.get(name, "") in str(caught.value)


def test_nothing_is_unpickled(tmp_path):
    (tmp_path / "bundle.bundle").mkdir()
    with pytest.raises(InputError, match="path of a structure file"):
        material(tmp_path / "bundle.bundle")
    (tmp_path / "old.trj").write_bytes(b"PickleTrajectory")
    with pytest.raises(InputError, match=r"old\.trj: .*may run code"):
        material(tmp_path / "old.trj")


def test_a_title_is_no_number_of_atoms(tmp_path):
    path = tmp_path / "POSCAR"
    path.write_text("20260131\n1.0\n5 0 0\n0 5 0\n0 0 5\nLi S\n1 1\nDirect\n0 0 0\n0.5 0.5 0.5\n")
    assert material(path).formula == "LiS"
