"""Densities for VESTA, opened again with pymatgen and ASE."""

import ase.io
import numpy as np
import pytest
from ase.calculators.vasp import VaspChargeDensity
from ase.io.cube import read_cube_data
from numpy.testing import assert_allclose, assert_array_equal
from pymatgen.io.common import VolumetricData
from pymatgen.io.vasp import Chgcar

from mdbench.errors import InputError
from mdbench.formats.volumetric import Volumetric, check_volumetric, write_volumetric
from mdbench.units import BOHR_IN_ANGSTROM

CELL = np.array([[8.0, 0.3, 0.2], [-1.0, 7.0, 0.4], [1.5, -2.0, 9.0]])
NUMBERS = np.array([16, 15, 15, 16])
SCALED = np.array([[0.1, 0.2, 0.3], [0.9, 0.5, 0.0], [-0.25, 1.5, 0.5], [0.6, 0.6, 0.999]])


def little(shape=(7, 5, 11), cell=CELL, title="density of Li") -> Volumetric:
    """Another value at each point, with a maximum at the second point of each axis."""
    density = np.random.default_rng(0).random(shape) * 1e-3
    density[1, 1, 1] = 0.5
    return Volumetric(density, cell, NUMBERS, SCALED, title)


@pytest.mark.parametrize("name", ["CHGCAR", "li.CHGCAR", "CHGCAR.vasp"])
def test_chgcar_for_pymatgen(name, tmp_path) -> None:
    what = little()
    write_volumetric(tmp_path / name, what)
    found = Chgcar.from_file(tmp_path / name)
    volume = abs(np.linalg.det(CELL))
    assert_allclose(found.data["total"] / volume, what.density, rtol=1e-9, atol=0)
    assert_allclose(found.structure.lattice.matrix, CELL, rtol=0, atol=1e-8)
    assert [site.specie.Z for site in found.structure] == NUMBERS.tolist()
    assert_allclose(found.structure.frac_coords, SCALED % 1.0, rtol=0, atol=1e-10)


def test_chgcar_for_ase(tmp_path) -> None:
    what = little()
    write_volumetric(tmp_path / "CHGCAR", what)
    found = VaspChargeDensity(str(tmp_path / "CHGCAR"))
    assert_allclose(found.chg[0], what.density, rtol=1e-7, atol=0)
    assert_array_equal(found.atoms[0].numbers, NUMBERS)


def test_the_mean_of_a_chgcar_is_the_number_of_particles(tmp_path) -> None:
    what = little()
    write_volumetric(tmp_path / "CHGCAR", what)
    text = (tmp_path / "CHGCAR").read_text().split("\n\n")[1]
    values = np.array(text.split()[3:], dtype=float)
    voxel = abs(np.linalg.det(CELL)) / what.density.size
    assert_allclose(values.mean(), what.density.sum() * voxel, rtol=1e-9, atol=0)


def test_cube_for_ase(tmp_path) -> None:
    what = little()
    write_volumetric(tmp_path / "li.cube", what)
    data, atoms = read_cube_data(str(tmp_path / "li.cube"))
    assert_allclose(data, what.density * BOHR_IN_ANGSTROM**3, rtol=1e-5, atol=0)
    assert_allclose(atoms.cell.array, CELL, rtol=0, atol=1e-6)
    assert_allclose(atoms.positions, (SCALED % 1.0) @ CELL, rtol=0, atol=1e-6)
    assert_array_equal(atoms.numbers, NUMBERS)
    with (tmp_path / "li.cube").open() as file:
        assert_allclose(ase.io.cube.read_cube(file)["origin"], 0.0, rtol=0, atol=0)


def test_cube_for_pymatgen(tmp_path) -> None:
    what = little()
    write_volumetric(tmp_path / "li.cube", what)
    found = VolumetricData.from_cube(tmp_path / "li.cube")
    assert_allclose(found.data["total"], what.density * BOHR_IN_ANGSTROM**3, rtol=1e-5, atol=0)
    assert_allclose(found.structure.lattice.matrix, CELL, rtol=0, atol=1e-5)


def test_both_say_the_same(tmp_path) -> None:
    """VESTA shows both per Bohr³: CHGCAR over the volume in Bohr³, cube as it stands."""
    what = little(shape=(6, 6, 6), cell=np.diag([4.0, 5.0, 6.0]))
    for name in ("a.cube", "CHGCAR"):
        write_volumetric(tmp_path / name, what)
    cube, _ = read_cube_data(str(tmp_path / "a.cube"))
    chgcar = Chgcar.from_file(tmp_path / "CHGCAR")
    per_bohr3 = chgcar.data["total"] * BOHR_IN_ANGSTROM**3 / chgcar.structure.volume
    assert_allclose(cube, per_bohr3, rtol=1e-5, atol=0)


@pytest.mark.parametrize("size", [(2, 2, 2), (5, 2, 3), (2, 3, 6), (41, 40, 39)])
def test_lines_that_are_full_or_not(size, tmp_path) -> None:
    what = little(shape=size)
    for name in ("a.cube", "CHGCAR"):
        write_volumetric(tmp_path / name, what)
    data, _ = read_cube_data(str(tmp_path / "a.cube"))
    assert data.shape == what.density.shape
    found = Chgcar.from_file(tmp_path / "CHGCAR").data["total"]
    assert_allclose(found, what.density * what.volume, rtol=1e-9, atol=0)


def test_a_title_is_one_line_of_ascii(tmp_path) -> None:
    write_volumetric(tmp_path / "a.cube", little(title="Å\nand more"))
    assert (tmp_path / "a.cube").read_bytes().startswith(b"? and more\n")


@pytest.mark.parametrize("name", ["li.vasp", "li", "CHGCAR.gz", "cube.txt"])
def test_names_that_say_nothing(name, tmp_path) -> None:
    with pytest.raises(InputError, match=r"--density: expected NAME.cube, or CHGCAR in the name"):
        check_volumetric(tmp_path / name)


def test_nothing_half_written(tmp_path) -> None:
    target = tmp_path / "a.cube"
    target.write_text("old")
    broken = Volumetric(np.zeros((2, 2, 2)), CELL, NUMBERS, np.zeros((4, 2)), "bad")
    with pytest.raises(ValueError, match="matmul"):
        write_volumetric(target, broken)
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.cube"]
