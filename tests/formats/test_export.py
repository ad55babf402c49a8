"""What the exporters write, read back with ASE, pymatgen, MDAnalysis and chemfiles."""

import gzip
import warnings
from itertools import pairwise
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest
from ase.data import chemical_symbols
from hypothesis import given, settings
from hypothesis import strategies as st

from mdbench.errors import InputError
from mdbench.formats.export import (
    EXPORTERS,
    AseTrajExporter,
    ExtxyzExporter,
    LammpsDumpExporter,
    XdatcarExporter,
    exporter_for,
    write_frames,
)
from mdbench.trajectory import Provenance, Trajectory
from mdbench.units import ASE_TIME_IN_FS

ORTHOGONAL = np.diag([8.0, 7.0, 9.0])
TRICLINIC = np.array([[8.0, 0.3, 0.2], [-1.0, 7.0, 0.4], [1.5, -2.0, 9.0]])
FORMATS = {
    "out.extxyz": "extxyz",
    "out.extxyz.gz": "extxyz",
    "XDATCAR": "vasp-xdatcar",
    "out.lammpstrj": "lammps-dump-text",
    "out.lammpstrj.gz": "lammps-dump-text",
    "out.traj": "traj",
}


def trajectory(cell=TRICLINIC, *, n_frames=5, dtype=np.float32, grow=0.01, seed=0, **more) -> Any:
    """Frames of eight unsorted atoms far outside the cell, with all that a file can hold."""
    rng = np.random.default_rng(seed)
    shape = (n_frames, 8, 3)
    stresses = rng.normal(size=(n_frames, 3, 3))
    given = {
        "positions": (rng.normal(size=shape) * 20).astype(dtype),
        "cells": cell * (1 + grow * np.arange(n_frames))[:, None, None],
        "atomic_numbers": [8, 1, 1, 3, 3, 16, 8, 1],
        "times_ps": np.arange(n_frames) * 0.02,
        "energies": rng.normal(size=n_frames) * 1e3,
        "forces": rng.normal(size=shape).astype(dtype),
        "velocities": (rng.normal(size=shape) * 0.01).astype(dtype),
        "stresses": stresses + stresses.transpose(0, 2, 1),
        "provenance": Provenance(timestep_fs=2.0),
    }
    return Trajectory(**given | more)


def written(path: Path, made: Any, *, blocks=2) -> Any:
    """The file as ASE reads it, written in some blocks."""
    step = -(-made.n_frames // blocks)
    n_frames = write_frames(path, (made[i : i + step] for i in range(0, made.n_frames, step)))
    assert n_frames == made.n_frames
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    return ase.io.read(path, index=":", format=FORMATS[path.name])


def gram(vectors) -> np.ndarray:
    """(n, n) dot products: what a rotation leaves alone."""
    return np.asarray(vectors @ vectors.T)


@pytest.mark.parametrize("name", ["out.extxyz", "out.extxyz.gz", "out.traj"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_extxyz_and_traj_give_everything_back(tmp_path, name, dtype):
    made = trajectory(dtype=dtype)
    images = written(tmp_path / name, made)
    assert len(images) == 5
    for frame, atoms in enumerate(images):
        assert atoms.numbers.tolist() == made.atomic_numbers.tolist()
        assert atoms.pbc.all()
        np.testing.assert_array_equal(atoms.cell.array, made.cells[frame])
        np.testing.assert_array_equal(atoms.positions.astype(dtype), made.positions[frame])
        np.testing.assert_array_equal(atoms.get_forces().astype(dtype), made.forces[frame])
        assert atoms.get_potential_energy() == made.energies[frame]
        np.testing.assert_array_equal(atoms.get_stress(voigt=False), made.stresses[frame])
        velocities = atoms.get_velocities() / ASE_TIME_IN_FS
        np.testing.assert_allclose(velocities, made.velocities[frame], rtol=1e-8, atol=0)


@settings(max_examples=60, deadline=None)
@given(st.floats(-1e6, 1e6, width=32), st.floats(-1e6, 1e6))
def test_numbers_survive_the_text(tmp_path_factory, single, double):
    for value, dtype in ((single, np.float32), (double, np.float64)):
        made = trajectory(n_frames=1, dtype=dtype)
        positions = np.full((1, 8, 3), value, dtype=dtype)
        path = tmp_path_factory.mktemp("numbers") / "out.extxyz"
        write_frames(path, [trajectory(n_frames=1, dtype=dtype, positions=positions)])
        words = path.read_text().splitlines()[2].split()
        assert dtype(words[1]) == positions[0, 0, 0]
        assert dtype(words[7]) == made.forces[0, 0, 0]


def test_extxyz_states_times_only_where_there_are_any(tmp_path):
    path = tmp_path / "out.extxyz"
    write_frames(path, [trajectory()])
    assert "time_ps=0.04" in path.read_text()
    write_frames(path, [trajectory(times_ps=np.zeros(5))])
    assert "time_ps" not in path.read_text()
    single = trajectory(n_frames=1, provenance=Provenance(unwrapped_by="not a time series"))
    write_frames(path, [single, single])
    assert "time_ps" not in path.read_text()


def test_what_is_unknown_is_not_written(tmp_path):
    made = trajectory(energies=None, forces=None, velocities=None, stresses=None)
    for name in ("out.extxyz", "out.traj", "out.lammpstrj"):
        folder = tmp_path / name.replace(".", "-")
        folder.mkdir()
        (atoms, *_) = written(folder / name, made)
        assert set(atoms.arrays) - {"type"} == {"numbers", "positions"}
        assert atoms.calc is None


@pytest.mark.parametrize("name", ["out.lammpstrj", "out.lammpstrj.gz"])
def test_lammps_keeps_a_cell_of_its_own_form(tmp_path, name):
    cell = np.array([[8.0, 0, 0], [-1.0, 7.0, 0], [1.5, -2.0, 9.0]])
    made = trajectory(cell)
    for frame, atoms in enumerate(written(tmp_path / name, made)):
        np.testing.assert_allclose(atoms.cell.array, made.cells[frame], rtol=1e-12, atol=1e-12)
        assert atoms.numbers.tolist() == made.atomic_numbers.tolist()
        np.testing.assert_array_equal(atoms.positions.astype("f4"), made.positions[frame])
        np.testing.assert_array_equal(atoms.get_forces().astype("f4"), made.forces[frame])
        velocities = atoms.get_velocities() / ASE_TIME_IN_FS
        np.testing.assert_allclose(velocities, made.velocities[frame], rtol=2e-8, atol=0)


@pytest.mark.parametrize("grow", [0.0, 0.01])
def test_lammps_rotates_other_cells_with_all_vectors(tmp_path, grow):
    made = trajectory(grow=grow, dtype=np.float64)
    images = written(tmp_path / "out.lammpstrj", made)
    for frame, atoms in enumerate(images):
        cell = atoms.cell.array
        assert (cell[[0, 0, 1], [1, 2, 2]] == 0).all()
        together = [
            np.concatenate([cell, atoms.positions]),
            np.concatenate([cell, atoms.get_forces()]),
            np.concatenate([cell, atoms.get_velocities() / ASE_TIME_IN_FS * 100]),
        ]
        expected = [
            np.concatenate([made.cells[frame], made.positions[frame]]),
            np.concatenate([made.cells[frame], made.forces[frame]]),
            np.concatenate([made.cells[frame], made.velocities[frame] * 100]),
        ]
        for ours, theirs in zip(together, expected, strict=True):
            scale = np.abs(gram(theirs)).max()
            np.testing.assert_allclose(gram(ours) / scale, gram(theirs) / scale, rtol=0, atol=1e-8)
        assert np.linalg.det(cell) > 0


def test_lammps_text_as_lammps_writes_it(tmp_path):
    path = tmp_path / "out.lammpstrj"
    made = trajectory(ORTHOGONAL, pbc=[True, True, False], grow=0)
    write_frames(path, [made[:3], made[3:]])
    lines = path.read_text().splitlines()
    assert lines[:9] == [
        *("ITEM: TIMESTEP", "0", "ITEM: NUMBER OF ATOMS", "8", "ITEM: BOX BOUNDS pp pp ff"),
        *("0.0 8.0", "0.0 7.0", "0.0 9.0"),
        "ITEM: ATOMS id type element xu yu zu vx vy vz fx fy fz",
    ]
    assert [line.split()[:3] for line in lines[9:13]] == [
        *(["1", "1", "O"], ["2", "2", "H"], ["3", "2", "H"], ["4", "3", "Li"])
    ]
    steps = [int(b) for a, b in pairwise(lines) if a == "ITEM: TIMESTEP"]
    assert steps == [0, 10, 20, 30, 40]
    write_frames(path, [trajectory(provenance=Provenance())])
    lines = path.read_text().splitlines()
    steps = [int(b) for a, b in pairwise(lines) if a == "ITEM: TIMESTEP"]
    assert steps == [0, 1, 2, 3, 4]


def test_lammps_bounds_hold_the_tilted_box(tmp_path):
    path = tmp_path / "out.dump"
    cell = np.array([[8.0, 0, 0], [-1.0, 7.0, 0], [1.5, -2.0, 9.0]])
    write_frames(path, [trajectory(cell, n_frames=1)])
    rows = path.read_text().splitlines()[4:8]
    assert rows == [
        *("ITEM: BOX BOUNDS xy xz yz pp pp pp", "-1.0 9.5 -1.0", "-2.0 7.0 1.5", "0.0 9.0 -2.0")
    ]


def test_lammps_refuses_a_left_handed_cell(tmp_path):
    good, bad = trajectory(n_frames=2), trajectory(TRICLINIC[[1, 0, 2]], n_frames=2)
    with pytest.raises(InputError, match=r"out\.dump: frame 2: left-handed cell.*extxyz"):
        write_frames(tmp_path / "out.dump", [good, bad])
    assert list(tmp_path.iterdir()) == []


def test_other_programs_open_the_dump(tmp_path):
    chemfiles = pytest.importorskip("chemfiles")
    mdanalysis = pytest.importorskip("MDAnalysis")
    path, made = tmp_path / "out.lammpstrj", trajectory(ORTHOGONAL, grow=0)
    write_frames(path, [made])
    with chemfiles.Trajectory(str(path), "r", "LAMMPS") as opened:
        frame = opened.read_step(4)
        assert len(frame.atoms) == 8
        np.testing.assert_allclose(frame.positions, made.positions[4], rtol=1e-6, atol=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        universe = mdanalysis.Universe(str(path), format="LAMMPSDUMP", topology_format="LAMMPSDUMP")
        universe.trajectory[4]
        np.testing.assert_allclose(
            universe.atoms.positions, made.positions[4], rtol=1e-5, atol=1e-5
        )


@pytest.mark.parametrize("cell", [ORTHOGONAL, TRICLINIC, TRICLINIC[[1, 0, 2]]])
@pytest.mark.parametrize("grow", [0.0, 0.01])
def test_xdatcar_is_wrapped_and_in_order(tmp_path, cell, grow):
    made = trajectory(cell, grow=grow)
    images = written(tmp_path / "XDATCAR", made)
    scaled = np.einsum("fai,fij->faj", made.positions, np.linalg.inv(made.cells))
    for frame, atoms in enumerate(images):
        assert atoms.numbers.tolist() == made.atomic_numbers.tolist()
        np.testing.assert_allclose(atoms.cell.array, made.cells[frame], rtol=0, atol=1e-10)
        ours = atoms.get_scaled_positions(wrap=False)
        assert ((ours > -1e-9) & (ours < 1)).all()
        gap = ours - scaled[frame]
        np.testing.assert_allclose(gap, np.rint(gap), rtol=0, atol=1e-8)


def test_xdatcar_repeats_its_header_only_where_the_cell_changes(tmp_path):
    path = tmp_path / "XDATCAR"
    write_frames(path, [trajectory(grow=0)[:2], trajectory(grow=0)[2:]])
    text = path.read_text()
    assert text.startswith("Li2H3SO2\n")
    assert text.count("    O    H   Li    S    O    H\n    1    2    2    1    1    1\n") == 1
    assert text.count("Direct configuration=") == 5
    assert "Direct configuration=     5\n" in text
    write_frames(path, [trajectory(grow=0.01)])
    assert path.read_text().count("    O    H   Li    S    O    H\n") == 5


def test_pymatgen_reads_the_xdatcar(tmp_path):
    from pymatgen.io.vasp import Xdatcar

    path, made = tmp_path / "XDATCAR", trajectory()
    write_frames(path, [made])
    structures = Xdatcar(str(path)).structures
    assert len(structures) == 5
    assert [site.specie.symbol for site in structures[4]] == made.symbols
    np.testing.assert_allclose(structures[4].lattice.matrix, made.cells[4], rtol=0, atol=1e-9)


def test_a_coordinate_that_rounds_to_one_becomes_zero(tmp_path):
    positions = np.full((1, 8, 3), -1e-12)
    path = tmp_path / "XDATCAR"
    write_frames(path, [trajectory(ORTHOGONAL, n_frames=1, positions=positions)])
    assert path.read_text().splitlines()[-1].split() == ["0.00000000"] * 3


def test_a_molecule_without_cell(tmp_path):
    made = trajectory(np.zeros((3, 3)), pbc=[False] * 3, stresses=None)
    (atoms, *_) = written(tmp_path / "out.extxyz", made)
    assert not atoms.pbc.any()
    np.testing.assert_array_equal(atoms.positions.astype("f4"), made.positions[0])
    for name in ("XDATCAR", "out.dump"):
        with pytest.raises(InputError, match=r"frame 0: .* needs a cell.*extxyz"):
            write_frames(tmp_path / name, [made])


@pytest.mark.parametrize(
    ("name", "exporter"),
    [
        ("a.extxyz", ExtxyzExporter),
        ("a.XYZ", ExtxyzExporter),
        ("a.xyz.gz", ExtxyzExporter),
        ("XDATCAR", XdatcarExporter),
        ("XDATCAR.gz", XdatcarExporter),
        ("800K.XDATCAR", XdatcarExporter),
        ("XDATCAR_800K", XdatcarExporter),
        ("a.vasp", XdatcarExporter),
        ("a.lammpstrj", LammpsDumpExporter),
        ("a.lammpsdump.gz", LammpsDumpExporter),
        ("a.dump", LammpsDumpExporter),
        ("a.traj", AseTrajExporter),
    ],
)
def test_the_name_chooses_the_format(name, exporter):
    assert exporter_for(Path(name)) is exporter
    assert exporter in EXPORTERS.values()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a.pdb", r"unknown kind of output.*\.extxyz.*found '\.pdb'"),
        ("a.lammpstraj", r"did you mean \.lammpstrj"),
        ("a", "unknown kind of output"),
        ("a.gz", "unknown kind of output"),
        ("a.traj.gz", r"ASE \.traj is not written compressed"),
    ],
)
def test_other_names_are_refused(name, message):
    with pytest.raises(InputError, match=message):
        exporter_for(Path(name))


@pytest.mark.parametrize("name", FORMATS)
def test_nothing_half_written_stays(tmp_path, name):
    path = tmp_path / name
    path.write_text("an older result")

    def blocks():
        yield trajectory()
        assert path.with_name(path.name + ".part").exists()
        raise InputError("the source broke")

    with pytest.raises(InputError, match="the source broke"):
        write_frames(path, blocks())
    assert path.read_text() == "an older result"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", FORMATS)
def test_a_full_disk_is_one_line(tmp_path, name):
    part = tmp_path / (name + ".part")
    part.symlink_to("/dev/full")
    with pytest.raises(InputError, match=r"disk full while writing|cannot be written"):
        write_frames(tmp_path / name, [trajectory(n_frames=2)] * 50)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_missing_is_made_and_a_file_in_its_place_is_one_line(tmp_path):
    write_frames(tmp_path / "none" / "out.extxyz", [trajectory()])
    assert (tmp_path / "none" / "out.extxyz").is_file()
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="cannot be written: File exists"):
        write_frames(tmp_path / "file" / "out.extxyz", [trajectory()])


def test_nothing_to_write_is_refused(tmp_path):
    with pytest.raises(InputError, match="nothing to write"):
        write_frames(tmp_path / "out.extxyz", [])


def test_other_atoms_in_a_later_block_are_refused(tmp_path):
    other = trajectory(atomic_numbers=[8] * 8)
    with pytest.raises(InputError, match="other atoms than in the first block"):
        write_frames(tmp_path / "out.extxyz", [trajectory(), other])
    assert list(tmp_path.iterdir()) == []


def test_compressed_output_is_the_same_each_time(tmp_path):
    for name in ("a.xyz.gz", "b.xyz.gz"):
        write_frames(tmp_path / name, [trajectory()])
    first, second = ((tmp_path / n).read_bytes() for n in ("a.xyz.gz", "b.xyz.gz"))
    assert first == second
    assert gzip.decompress(first).startswith(b"8\nLattice=")


def test_every_element_has_its_symbol(tmp_path):
    numbers = np.arange(1, 9) * 11
    write_frames(tmp_path / "out.xyz", [trajectory(atomic_numbers=numbers)])
    rows = (tmp_path / "out.xyz").read_text().splitlines()[2:10]
    assert [row.split()[0] for row in rows] == [chemical_symbols[z] for z in numbers]
