"""H5MD of others: files written here by h5py, MDAnalysis and ZnH5MD, and a real one."""

import re
import warnings

import h5py
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from mdbench import store
from mdbench.errors import InputError
from mdbench.formats import h5md
from mdbench.formats._unit_names import ENERGY, FORCE, LENGTH, PRESSURE, VELOCITY, unit_factor
from mdbench.formats.base import Hints
from mdbench.formats.h5md import looks_like_h5md, open_h5md
from mdbench.trajectory import Trajectory
from mdbench.units import ASE_TIME_IN_FS, KCAL_PER_MOL_IN_EV

N_FRAMES, N_ATOMS = 7, 4
NUMBERS = np.array([3, 3, 16, 15])
CELL = np.array([[6.0, 0, 0], [2, 5, 0], [1, -1.5, 7]])


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def element(group, name, values, unit=None, *, times=None, steps=None, time_unit="ps"):
    made = group.create_group(name)
    made["value"] = values
    if unit is not None:
        made["value"].attrs["unit"] = unit
    made["step"] = np.arange(len(values)) * 10 if steps is None else steps
    made["time"] = np.arange(len(values)) * 0.02 if times is None else times
    if time_unit is not None:
        made["time"].attrs["unit"] = time_unit
    return made


def foreign(path, positions, *, unit="Angstrom", species=NUMBERS, edges=CELL, name="all", **axes):
    """A file in the manner of pyh5md; returns the open file."""
    file = h5py.File(path, "w")
    file.create_group("h5md/creator").attrs["name"] = "pyh5md"
    particles = file.create_group(f"particles/{name}")
    element(particles, "position", positions, unit, **axes)
    box = particles.create_group("box")
    box.attrs["dimension"] = 3
    box.attrs["boundary"] = ["periodic"] * 3
    if edges is not None:
        box["edges"] = edges
    if species is not None:
        particles["species"] = species
    return file


def read(path, hints=None):
    """(source, all its blocks joined)."""
    source = open_h5md(path, hints or Hints())
    blocks = list(source.blocks)
    names = [n for n, v in vars(blocks[0]).items() if v is not None]
    joined = {n: np.concatenate([getattr(b, n) for b in blocks]) for n in names}
    return source, joined


def refused(path, *words, hints=None):
    with pytest.raises(InputError) as caught:
        read(path, hints)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    for word in words:
        assert word in message


def test_looks_like():
    assert looks_like_h5md("x.h5md", b"\x89HDF\r\n\x1a\n" + bytes(8))
    assert not looks_like_h5md("x.h5md", b"\x1f\x8b\x08")
    assert not looks_like_h5md("x.h5", b"")


@pytest.mark.parametrize(
    ("text", "powers", "factor"),
    [
        ("Angstrom", LENGTH, 1.0),
        ("\u00c5", LENGTH, 1.0),
        ("nm", LENGTH, 10.0),
        ("pm", LENGTH, 0.01),
        ("bohr", LENGTH, 0.529177210903),
        ("Angstrom ps-1", VELOCITY, 1e-3),
        ("Angstrom/fs", VELOCITY, 1.0),
        ("nm ps-1", VELOCITY, 1e-2),
        ("m s-1", VELOCITY, 1e-5),
        ("m/s", VELOCITY, 1e-5),
        ("eV", ENERGY, 1.0),
        ("kJ mol-1", ENERGY, KCAL_PER_MOL_IN_EV / 4.184),
        ("kcal/mol", ENERGY, KCAL_PER_MOL_IN_EV),
        ("hartree", ENERGY, 27.211386245988),
        ("eV/Angstrom", FORCE, 1.0),
        ("eV*Angstrom^-1", FORCE, 1.0),
        ("kJ/(mol*Angstrom)", FORCE, KCAL_PER_MOL_IN_EV / 4.184),
        ("kJ mol-1 nm-1", FORCE, KCAL_PER_MOL_IN_EV / 41.84),
        ("kJ/mol/nm", FORCE, KCAL_PER_MOL_IN_EV / 41.84),
        ("hartree bohr-1", FORCE, 27.211386245988 / 0.529177210903),
        ("eV/Angstrom^3", PRESSURE, 1.0),
        ("eV Angstrom-3", PRESSURE, 1.0),
        ("eV/Angstrom**3", PRESSURE, 1.0),
        ("GPa", PRESSURE, 1 / 160.2176634),
    ],
)
def test_units(text, powers, factor):
    found = unit_factor(text, powers)
    assert found is not None
    assert_allclose(found, factor, rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    ("text", "powers"),
    [
        ("", ENERGY),
        ("kJ", ENERGY),  # of how many cells?
        ("eV/fs", VELOCITY),
        ("Angstrom", VELOCITY),
        ("epsilon", ENERGY),
        ("eV)", ENERGY),
        ("(eV", ENERGY),
        ("eV + 1", ENERGY),
        ("eV^999999999999", ENERGY),
        ("2 eV", ENERGY),
    ],
)
def test_units_not_understood(text, powers):
    assert unit_factor(text, powers) is None


@pytest.mark.parametrize(("unit", "factor"), [("Angstrom", 1), ("nm", 10), ("pm", 0.01)])
def test_everything_converted(tmp_path, rng, unit, factor):
    path = tmp_path / "t.h5"
    positions, velocities, forces = rng.normal(size=(3, N_FRAMES, N_ATOMS, 3))
    energies, stresses = rng.normal(size=N_FRAMES), rng.normal(size=(N_FRAMES, 3, 3))
    cells = CELL * (1 + 0.01 * np.arange(N_FRAMES))[:, None, None]
    with foreign(path, positions / factor, unit=unit, edges=None) as file:
        particles = file["particles/all"]
        element(particles["box"], "edges", cells / factor, unit)
        element(particles, "velocity", velocities, "nm ps-1")
        element(particles, "force", forces, "kcal/(mol*Angstrom)")
        element(file.create_group("observables/all"), "potential_energy", energies, "kJ mol-1")
        element(file["observables/all"], "stress", stresses, "GPa")
    source, found = read(path)
    assert source.notes == []
    assert source.format == "H5MD"
    assert source.fraction() == 1.0
    assert not source.header.unwrapped
    assert source.header.code == "pyh5md"
    assert_array_equal(source.header.atomic_numbers, NUMBERS)
    assert source.header.pbc.all()
    assert_allclose(found["coordinates"], positions, rtol=1e-12, atol=0)
    assert_allclose(found["cells"], cells, rtol=1e-12, atol=0)
    assert_allclose(found["velocities"], velocities * 1e-2, rtol=1e-12, atol=0)
    assert_allclose(found["forces"], forces * KCAL_PER_MOL_IN_EV, rtol=1e-12, atol=0)
    assert_allclose(found["energies"], energies * KCAL_PER_MOL_IN_EV / 4.184, rtol=1e-12, atol=0)
    assert_allclose(found["stresses"], stresses / 160.2176634, rtol=1e-12, atol=0)
    assert_array_equal(found["steps"], np.arange(N_FRAMES) * 10)
    assert_allclose(found["times_fs"], np.arange(N_FRAMES) * 20.0, rtol=1e-12, atol=0)


@pytest.mark.parametrize("diagonal", [True, False])
@pytest.mark.parametrize("fixed", [True, False])
def test_forms_of_the_box(tmp_path, rng, diagonal, fixed):
    path = tmp_path / "t.h5"
    box = np.array([5.0, 6.0, 7.0]) if diagonal else CELL
    with foreign(path, rng.normal(size=(N_FRAMES, N_ATOMS, 3)), edges=box if fixed else None) as f:
        if not fixed:
            element(f["particles/all/box"], "edges", np.stack([box] * N_FRAMES), "Angstrom")
        f["particles/all/box"].attrs["boundary"] = np.array([b"periodic", b"none", b"periodic"])
    source, found = read(path)
    expected = np.diag(box) if diagonal else box
    assert_array_equal(found["cells"], np.broadcast_to(expected, (N_FRAMES, 3, 3)))
    assert source.header.pbc.tolist() == [True, False, True]


def test_no_box(tmp_path, rng):
    path = tmp_path / "t.h5"
    with foreign(path, rng.normal(size=(2, N_ATOMS, 3)), edges=None) as file:
        pass
    refused(path, "edges", "--cell")
    source, found = read(path, Hints(cell=CELL))
    assert source.header.pbc.all()
    assert_array_equal(found["cells"], np.stack([CELL] * 2))
    with h5py.File(path, "a") as file:
        file["particles/all/box"].attrs["boundary"] = "none"
    source, found = read(path)
    assert not source.header.pbc.any()
    assert_array_equal(found["cells"], np.zeros((2, 3, 3)))


def test_scalar_step_and_time_with_offset(tmp_path, rng):
    path = tmp_path / "t.h5"
    with foreign(path, rng.normal(size=(3, N_ATOMS, 3)), steps=5, times=0.25) as file:
        group = file["particles/all/position"]
        group["step"].attrs["offset"] = 100
        group["time"].attrs["offset"] = 2.0
    _, found = read(path)
    assert found["steps"].tolist() == [100, 105, 110]
    assert_allclose(found["times_fs"], [2000.0, 2250.0, 2500.0], rtol=1e-15, atol=0)


def test_unstated_units(tmp_path, rng):
    path = tmp_path / "t.h5"
    positions = rng.normal(size=(3, N_ATOMS, 3))
    with foreign(path, positions, unit=None, time_unit=None) as file:
        element(file["particles/all"], "velocity", positions)
        element(file.create_group("observables"), "potential_energy", np.ones(3), "epsilon")
    source, found = read(path)
    assert_array_equal(found["coordinates"], positions)
    assert found["steps"].tolist() == [0, 10, 20]
    assert not {"times_fs", "velocities", "energies"} & set(found)
    assert any("taken as Å" in note for note in source.notes)
    assert any("velocity" in note and "no unit" in note for note in source.notes)
    assert any("'epsilon'" in note for note in source.notes)
    assert any(note.startswith("Times") for note in source.notes)


def test_a_strange_unit_of_positions(tmp_path, rng):
    path = tmp_path / "t.h5"
    foreign(path, rng.normal(size=(3, N_ATOMS, 3)), unit="sigma").close()
    refused(path, "'sigma'", "Angstrom")


def test_images_make_it_unwrapped(tmp_path, rng):
    path = tmp_path / "t.h5"
    images = rng.integers(-3, 4, size=(N_FRAMES, N_ATOMS, 3))
    with foreign(path, rng.normal(size=(N_FRAMES, N_ATOMS, 3))) as file:
        element(file["particles/all"], "image", images)
    source, found = read(path)
    assert source.header.unwrapped
    assert_array_equal(found["images"], images)
    assert found["images"].dtype == np.int64


def test_particles_that_change_places(tmp_path, rng):
    path = tmp_path / "t.h5"
    positions, velocities = rng.normal(size=(2, N_FRAMES, N_ATOMS, 3))
    ids = np.array([rng.permutation([7, 2, 9, 4]) for _ in range(N_FRAMES)])
    sorting = np.argsort(np.argsort(ids[0]))
    expected = np.argsort(ids, axis=1)[:, sorting]
    species = np.array([NUMBERS[[list(ids[0]).index(i) for i in row]] for row in ids])
    with foreign(path, positions, species=None) as file:
        particles = file["particles/all"]
        element(particles, "id", ids)
        element(particles, "velocity", velocities, "Angstrom/fs")
        element(particles, "species", species)
    _, found = read(path)
    for frame in range(N_FRAMES):
        assert_array_equal(ids[frame, expected[frame]], ids[0])
        assert_array_equal(found["coordinates"][frame], positions[frame, expected[frame]])
        assert_array_equal(found["velocities"][frame], velocities[frame, expected[frame]])
    with h5py.File(path, "a") as file:
        file["particles/all/id/value"][3, 0] = 77
    refused(path, "frame 3", "id")


@pytest.mark.parametrize("kind", [np.int32, np.float64, np.uint8])
@pytest.mark.parametrize("moving", [True, False])
def test_species_are_atomic_numbers(tmp_path, rng, kind, moving):
    path = tmp_path / "t.h5"
    with foreign(path, rng.normal(size=(3, N_ATOMS, 3)), species=None) as file:
        if moving:
            element(file["particles/all"], "species", np.stack([NUMBERS.astype(kind)] * 3))
        else:
            file["particles/all/species"] = NUMBERS.astype(kind)
    source, _ = read(path)
    assert_array_equal(source.header.atomic_numbers, NUMBERS)


def test_species_enumerated_by_name(tmp_path, rng):
    path = tmp_path / "t.h5"
    kind = h5py.enum_dtype({"Li": 0, "S": 1, "P": 2}, basetype="i1")
    with foreign(path, rng.normal(size=(2, N_ATOMS, 3)), species=None) as file:
        file["particles/all"].create_dataset("species", data=[0, 0, 1, 2], dtype=kind)
    source, _ = read(path)
    assert_array_equal(source.header.atomic_numbers, NUMBERS)


def test_species_enumerated_by_unknown_names(tmp_path, rng):
    path = tmp_path / "t.h5"
    kind = h5py.enum_dtype({"cation": 0, "anion": 1}, basetype="i1")
    with foreign(path, rng.normal(size=(2, 2, 3)), species=None) as file:
        file["particles/all"].create_dataset("species", data=[0, 1], dtype=kind)
    refused(path, "cation", "--species")
    source, _ = read(path, Hints(species={"cation": "Na", "anion": "Cl"}))
    assert source.header.atomic_numbers.tolist() == [11, 17]


def test_species_are_types(tmp_path, rng):
    path = tmp_path / "t.h5"
    foreign(path, rng.normal(size=(2, N_ATOMS, 3)), species=np.array([1, 1, 2, 3])).close()
    refused(path, "types [1, 2, 3]", "--species")
    refused(path, "[2, 3]", hints=Hints(species={"1": "Li"}))
    source, _ = read(path, Hints(species={"1": "Li", "2": "S", "3": "P"}))
    assert_array_equal(source.header.atomic_numbers, NUMBERS)


def test_no_species(tmp_path, rng):
    path = tmp_path / "t.h5"
    foreign(path, rng.normal(size=(2, N_ATOMS, 3)), species=None).close()
    refused(path, "no species", "--species")
    refused(path, "1 or 4 symbols", hints=Hints(species=("Li", "S")))
    refused_by_name = pytest.raises(InputError, match="unknown element 'Xq'")
    with refused_by_name:
        read(path, Hints(species=("Xq",)))
    assert read(path, Hints(species=("Cu",)))[0].header.atomic_numbers.tolist() == [29] * 4
    source, _ = read(path, Hints(species=("Li", "Li", "S", "P")))
    assert_array_equal(source.header.atomic_numbers, NUMBERS)


@pytest.mark.parametrize("bad", [0, 119, -1, 3.5, np.nan])
def test_species_that_cannot_be(tmp_path, rng, bad):
    path = tmp_path / "t.h5"
    foreign(path, rng.normal(size=(2, 2, 3)), species=np.array([29, bad])).close()
    refused(path, "species")


def test_species_change(tmp_path, rng):
    path = tmp_path / "t.h5"
    species = np.stack([NUMBERS] * N_FRAMES)
    species[4] = NUMBERS[::-1]
    with foreign(path, rng.normal(size=(N_FRAMES, N_ATOMS, 3)), species=None) as file:
        element(file["particles/all"], "species", species)
    refused(path, "frame 4: species")


def test_blocks_are_bounded(tmp_path, rng, monkeypatch):
    path = tmp_path / "t.h5"
    positions = rng.normal(size=(50, N_ATOMS, 3))
    with foreign(path, positions) as file:
        element(file.create_group("observables"), "energy", np.arange(50.0), "eV")
    whole = read(path)[1]
    monkeypatch.setattr(h5md, "_BLOCK_BYTES", 7 * N_ATOMS * 24)
    source = open_h5md(path, Hints())
    blocks = []
    for block in source.blocks:
        blocks.append(block)
        assert source.fraction() == sum(b.n_frames for b in blocks) / 50
    assert [b.n_frames for b in blocks] == [7] * 7 + [1]
    for name, values in whole.items():
        assert_array_equal(np.concatenate([getattr(b, name) for b in blocks]), values)


def test_what_was_not_finite_is_named(tmp_path, rng):
    path = tmp_path / "t.h5"
    positions = rng.normal(size=(N_FRAMES, N_ATOMS, 3))
    with foreign(path, positions) as file:
        element(file["particles/all"], "force", positions, "eV/Angstrom")
    with h5py.File(path, "a") as file:
        file["particles/all/force/value"][5, 1, 2] = np.nan
    refused(path, "frame 5", "force", "nan")
    with h5py.File(path, "a") as file:
        file["particles/all/position/value"][2, 1, 2] = np.inf
    refused(path, "frame 2: position", "inf")


def test_a_cell_without_volume_is_named(tmp_path, rng):
    path = tmp_path / "t.h5"
    cells = np.stack([CELL] * N_FRAMES)
    cells[3, 2] = cells[3, 0]
    with foreign(path, rng.normal(size=(N_FRAMES, N_ATOMS, 3)), edges=None) as file:
        element(file["particles/all/box"], "edges", cells, "Angstrom")
    refused(path, "frame 3: cell")


def test_several_groups(tmp_path, rng):
    path = tmp_path / "t.h5"
    positions = rng.normal(size=(2, N_ATOMS, 3))
    with foreign(path, positions, name="solid") as file:
        file.create_group("particles/empty")
    assert_array_equal(read(path)[1]["coordinates"], positions)
    with h5py.File(path, "a") as file:
        element(file["particles/empty"], "position", positions, "nm")
    refused(path, "empty and solid")


def test_one_of_our_own(tmp_path, rng):
    path = tmp_path / "t.h5"
    store.write_trajectory(
        path, Trajectory(rng.normal(size=(2, 4, 3)), CELL, NUMBERS, np.arange(2))
    )
    refused(path, "already an mdbench trajectory", "mdbench rdf")
    store.write_result(tmp_path / "r.h5", "observables", {}, attributes={}, config={}, inputs=[])
    refused(tmp_path / "r.h5", "observables")


def test_what_is_stored_at_other_steps_is_left_out(tmp_path, rng):
    path = tmp_path / "t.h5"
    positions = rng.normal(size=(4, N_ATOMS, 3))
    with foreign(path, positions) as file:
        element(file["particles/all"], "velocity", positions[:2], "Angstrom/fs")
        element(file["particles/all"], "force", positions, "eV/Angstrom", steps=[0, 20, 40, 60])
    source, found = read(path)
    assert not {"velocities", "forces"} & set(found)
    assert any("velocity" in note for note in source.notes)
    assert any("force" in note and "other steps" in note for note in source.notes)


def test_a_last_frame_half_written(tmp_path, rng):
    path = tmp_path / "t.h5"
    cells = np.stack([CELL] * N_FRAMES)
    with foreign(path, rng.normal(size=(N_FRAMES, N_ATOMS, 3)), edges=None) as file:
        element(file["particles/all/box"], "edges", cells[:-1], "Angstrom")
    source, found = read(path)
    assert len(found["coordinates"]) == N_FRAMES - 1
    assert any("incomplete" in note for note in source.notes)
    with h5py.File(path, "a") as file:
        del file["particles/all/box/edges"]
        element(file["particles/all/box"], "edges", cells[:2], "Angstrom")
    refused(path, "2 in box/edges")


@pytest.mark.parametrize("shape", [(3, 4), (3, 4, 2), (0, 4, 3), (3, 0, 3)])
def test_shapes_that_are_no_trajectory(tmp_path, shape):
    path = tmp_path / "t.h5"
    foreign(path, np.zeros(shape)).close()
    refused(path)


def test_a_claim_of_many_frames(tmp_path):
    path = tmp_path / "t.h5"
    with foreign(path, np.zeros((1, N_ATOMS, 3))) as file:
        del file["particles/all/position/value"]
        file["particles/all/position"].create_dataset(
            "value", shape=(10**9, 10**6, 3), chunks=(1, 1000, 3), dtype="f8"
        )
    refused(path, "never written")


def test_not_h5md(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = 1
    refused(tmp_path / "a.h5", "/particles")
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["particles"] = 1
    refused(tmp_path / "b.h5", "/particles")
    with h5py.File(tmp_path / "c.h5", "w") as file:
        file.create_group("particles/all/box")
    refused(tmp_path / "c.h5", "positions", "none")
    (tmp_path / "d.h5").write_text("positions")
    refused(tmp_path / "d.h5", "not an HDF5 file")


def test_links_out_of_the_file(tmp_path, rng):
    path = tmp_path / "t.h5"
    with foreign(path, rng.normal(size=(2, N_ATOMS, 3))) as file:
        file["particles/all/force"] = h5py.ExternalLink("/etc/passwd", "/x")
    refused(path, "links to another file")


def test_any_truncation_is_one_line(tmp_path, rng):
    path, cut = tmp_path / "t.h5", tmp_path / "cut.h5"
    with foreign(path, rng.normal(size=(20, N_ATOMS, 3))) as file:
        element(file.create_group("observables"), "energy", np.arange(20.0), "eV")
    content = path.read_bytes()
    for length in range(1, len(content), 997):
        cut.write_bytes(content[:length])
        refused(cut)


def test_mdanalysis_writer(tmp_path, rng):
    mda = pytest.importorskip("MDAnalysis")
    path = tmp_path / "t.h5md"
    positions, velocities = rng.normal(size=(2, N_FRAMES, N_ATOMS, 3)).astype(np.float32)
    forces = rng.normal(size=(N_FRAMES, N_ATOMS, 3)).astype(np.float32)
    box = np.array([6.0, 7.0, 8.0, 80.0, 95.0, 100.0])
    universe = mda.Universe.empty(N_ATOMS, trajectory=True, velocities=True, forces=True)
    units = {"timeunit": "ps", "lengthunit": "nm", "velocityunit": "nm/ps"}
    with (
        warnings.catch_warnings(action="ignore"),
        mda.Writer(str(path), N_ATOMS, forceunit="kJ/(mol*nm)", **units) as writer,
    ):
        for frame in range(N_FRAMES):
            step = universe.trajectory.ts
            step.positions, step.velocities = positions[frame], velocities[frame]
            step.forces, step.dimensions = forces[frame], box
            step.time = frame * 0.5
            writer.write(universe)
    source, found = read(path, Hints(species=("Ar",)))
    assert source.header.code == f"MDAnalysis {mda.__version__}"
    # MDAnalysis' own units: Å, ps, kJ/mol; it stores single precision
    assert_allclose(found["coordinates"], positions, rtol=3e-7, atol=0)
    assert_allclose(found["velocities"], velocities * 1e-3, rtol=3e-7, atol=0)
    assert_allclose(found["forces"], forces * KCAL_PER_MOL_IN_EV / 4.184, rtol=1e-6, atol=0)
    assert_allclose(found["times_fs"], np.arange(N_FRAMES) * 500.0, rtol=1e-6, atol=0)
    lengths = np.linalg.norm(found["cells"][0], axis=1)
    assert_allclose(lengths, box[:3], rtol=1e-6, atol=0)
    cosine = found["cells"][0, 0] @ found["cells"][0, 1] / (lengths[0] * lengths[1])
    assert_allclose(np.degrees(np.arccos(cosine)), box[5], rtol=1e-5, atol=0)


@pytest.mark.parametrize("form", ["linear", "time"])
def test_znh5md_writer(tmp_path, rng, form):
    znh5md = pytest.importorskip("znh5md")
    from ase import Atoms
    from ase.calculators.singlepoint import SinglePointCalculator

    images = []
    for _ in range(N_FRAMES):
        atoms = Atoms(NUMBERS, rng.normal(size=(N_ATOMS, 3)), cell=CELL, pbc=(True, True, False))
        atoms.set_velocities(rng.normal(size=(N_ATOMS, 3)))
        atoms.calc = SinglePointCalculator(
            atoms,
            energy=float(rng.normal()),
            forces=rng.normal(size=(N_ATOMS, 3)),
            stress=rng.normal(size=6),
        )
        images.append(atoms)
    path = tmp_path / "t.h5"
    znh5md.IO(str(path), store=form, timestep=2.0, tqdm_limit=100).extend(images)
    source, found = read(path)
    assert source.header.code == f"znh5md {znh5md.__version__}"
    assert source.header.pbc.tolist() == [True, True, False]
    assert_array_equal(source.header.atomic_numbers, NUMBERS)
    for frame, atoms in enumerate(images):
        assert_array_equal(found["coordinates"][frame], atoms.positions)
        assert_array_equal(found["cells"][frame], atoms.cell.array)
        assert_array_equal(found["forces"][frame], atoms.get_forces())
        assert found["energies"][frame] == atoms.get_potential_energy()
        assert_array_equal(found["stresses"][frame], atoms.get_stress(voigt=False))
        # it calls ASE's velocities Angstrom/fs
        expected = atoms.get_velocities() / ASE_TIME_IN_FS
        assert_allclose(found["velocities"][frame], expected, rtol=1e-14, atol=0)
    assert_allclose(np.diff(found["times_fs"]), 2.0, rtol=1e-12, atol=0)
    assert any("ASE's unit" in note for note in source.notes)


def test_znh5md_of_changing_size(tmp_path, rng):
    znh5md = pytest.importorskip("znh5md")
    from ase import Atoms

    images = [Atoms("Cu4", rng.normal(size=(4, 3)), cell=CELL, pbc=True) for _ in range(4)]
    del images[2][0]
    path = tmp_path / "t.h5"
    znh5md.IO(str(path)).extend(images)
    refused(path, "frame 2: species")


def test_real_cu108(real_data):
    source, found = read(real_data / "Cu108_znh5md.h5md")
    assert_array_equal(source.header.atomic_numbers, np.full(108, 29))
    assert found["coordinates"].shape == (20, 108, 3)
    assert_allclose(
        found["coordinates"][0, 0], [0.07884859, -0.03009585, -0.02360368], rtol=1e-6, atol=0
    )
    assert_array_equal(found["cells"], np.broadcast_to(np.eye(3) * 10.83, (20, 3, 3)))
    assert found["times_fs"].tolist() == list(range(20))
    assert_allclose(found["energies"][:2], [2.5973967, 1.59499549], rtol=1e-8, atol=0)
    assert_allclose(found["forces"][0, 0, 0], -3.04377527e-01, rtol=1e-8, atol=0)
    assert "velocities" not in found
    notes = " ".join(source.notes)
    assert re.search("momentum.*not read", notes)
    assert "1 fs apart" in notes


def test_strings_that_hdf5_would_read_for_ever_are_refused(tmp_path, rng):
    """Free space of no size among the strings of a file, as damage leaves it."""
    path = tmp_path / "endless.h5md"
    foreign(path, rng.random((N_FRAMES, N_ATOMS, 3))).close()
    content = bytearray(path.read_bytes())
    at = content.index(b"GCOL") + 16
    content[at : at + 16] = bytes(16)
    path.write_bytes(content)
    refused(path, "damaged HDF5 file", "endless")


def test_more_than_was_ever_written_is_refused(tmp_path, rng):
    path = tmp_path / "huge.h5md"
    with foreign(path, rng.random((N_FRAMES, N_ATOMS, 3))) as file:
        del file["particles/all/species"]
        file.create_dataset("particles/all/species", shape=(10**9,), chunks=(1000,), dtype="i8")
    refused(path, "/particles/all/species claims values that were never written")


def test_steps_that_no_run_takes(tmp_path, rng):
    path = tmp_path / "a.h5md"
    steps = np.arange(N_FRAMES) * 10
    steps[-1] = np.iinfo(np.int64).max
    foreign(path, rng.random((N_FRAMES, N_ATOMS, 3)), steps=steps).close()
    refused(path, "position/step")
