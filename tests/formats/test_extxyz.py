"""Extended XYZ: self-made files against a naive twin reader, against ASE, and a real one."""

import bz2
import gzip
import lzma
import warnings

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.data import atomic_masses
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from mdbench.errors import InputError
from mdbench.formats import _rows, open_source
from mdbench.formats._rows import BLOCK_FRAMES
from mdbench.formats.base import Frames, Hints
from mdbench.formats.extxyz import looks_like_extxyz, open_extxyz
from mdbench.units import ASE_TIME_IN_FS

TILTED = np.array([[9.0, 0.25, -0.5], [-3.5, 8.0, 0.125], [-2.0, 4.0, 11.0]])
LATTICE = " ".join(str(x) for x in TILTED.ravel().tolist())
BASIC = "species:S:1:pos:R:3"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("xyz")


def comment(properties=BASIC, extra="", lattice=LATTICE):
    return f'Lattice="{lattice}" Properties={properties} {extra}'.strip()


def simple_xyz(n_frames=3, symbols=("Li", "S", "Li", "P"), extra="", seed=0):
    """Species, positions and forces with six decimals; `{k}` in `extra` is the frame."""
    rng = np.random.default_rng(seed)
    text = ""
    for k in range(n_frames):
        line = comment(BASIC + ":forces:R:3", extra.replace("{k}", str(k)))
        text += f"{len(symbols)}\n{line}\n"
        for symbol in symbols:
            text += f"{symbol:3}" + "".join(f"{x:14.6f}" for x in rng.uniform(-9, 9, 6)) + "\n"
    return text


def one_atom(line, words="Li 1.0 2.0 3.0"):
    return f"1\n{line}\n{words}\n"


def twin(text):
    """Per frame: the comment line, and the words of each atom's line."""
    lines = text.split("\n")
    frames = []
    while lines and lines[0].strip():
        n_atoms = int(lines[0])
        frames.append((lines[1], [line.split() for line in lines[2 : 2 + n_atoms]]))
        lines = lines[2 + n_atoms :]
    return frames


def twin_vectors(frames, first_column):
    columns = slice(first_column, first_column + 3)
    return np.array([[[float(w) for w in row[columns]] for row in rows] for _, rows in frames])


def write(folder, text, name="a.xyz"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def read(path, **hints):
    """Header, all frames as one block, notes."""
    source = open_extxyz(path, Hints(**hints))
    blocks = list(source.blocks)
    names = [
        n for n in Frames.__dataclass_fields__ if all(getattr(b, n) is not None for b in blocks)
    ]
    joined = Frames(**{n: np.concatenate([getattr(b, n) for b in blocks]) for n in names})
    return source.header, joined, source.notes


def refused(folder, text, match, **hints):
    with pytest.raises(InputError, match=match) as caught:
        read(write(folder, text), **hints)
    assert "\n" not in str(caught.value)
    assert "a.xyz" in str(caught.value)


@st.composite
def files(draw):
    """Properties in any order with strangers among them, any print format, other cells."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    known = [("species", "S", 1), ("pos", "R", 3)]
    strangers = [("forces", "R", 3), ("vel", "R", 3), ("tags", "I", 1), ("move_mask", "L", 3),
                 ("magmoms", "R", 1), ("local_energy", "R", 1), ("label", "S", 2)]  # fmt: skip
    known += [s for s in strangers if draw(st.booleans())]
    known = draw(st.permutations(known))
    form = draw(st.sampled_from(["{:g}", "{:16.8f}", "{:.16e}", "{!r}"]))
    symbols = [str(s) for s in rng.choice(["Li", "P", "S", "Ge"], draw(st.integers(1, 9)))]
    text = ""
    for _ in range(draw(st.integers(1, 4))):
        cell = " ".join(map(repr, (TILTED * rng.uniform(0.9, 1.1)).ravel().tolist()))
        energy = float(rng.normal(-220))
        items = draw(st.permutations(
            [f'Lattice="{cell}"', "Properties=" + ":".join(f"{n}:{k}:{c}" for n, k, c in known),
             f"energy={energy!r}", 'pbc="T F T"', "config_type=bulk", 'comment="a = b"', "flag"]
        ))  # fmt: skip
        text += f"{len(symbols)}\n{' '.join(items)}\n"
        for symbol in symbols:
            row = []
            for name, kind, count in known:
                for _ in range(count):
                    number = form.format(float(rng.normal() * 10.0 ** rng.integers(-9, 9)))
                    word = {"R": number, "I": "3", "L": "T", "S": "a-long-word"}[kind]
                    row.append(symbol if name == "species" else word)
            text += draw(st.sampled_from(["", "  "])) + " ".join(row) + "\n"
    return known, text


@given(files())
@settings(max_examples=60, deadline=None)
def test_every_number_is_that_of_a_naive_reader(folder, file):
    known, text = file
    header, frames, notes = read(write(folder, text))
    expected = twin(text)
    columns = np.cumsum([0] + [count for _, _, count in known])
    place = {name: int(column) for (name, _, _), column in zip(known, columns, strict=False)}
    assert not notes
    assert header.pbc.tolist() == [True, False, True]
    assert not header.unwrapped
    assert_array_equal(frames.coordinates, twin_vectors(expected, place["pos"]))
    for name, field in (("forces", "forces"), ("vel", "velocities")):
        if name in place:
            assert_array_equal(getattr(frames, field), twin_vectors(expected, place[name]))
        else:
            assert getattr(frames, field) is None
    for k, (line, _) in enumerate(expected):
        cell = [float(x) for x in line.split('Lattice="')[1].split('"')[0].split()]
        assert frames.cells[k].ravel().tolist() == cell
        assert frames.energies[k] == float(line.split("energy=")[1].split()[0])
    symbols = {"Li": 3, "P": 15, "S": 16, "Ge": 32}
    words = [row[place["species"]] for row in expected[0][1]]
    assert header.atomic_numbers.tolist() == [symbols[w] for w in words]


def ase_images(n_frames=4, stress=True):
    rng = np.random.default_rng(8)
    images = []
    for k in range(n_frames):
        atoms = Atoms("Li2PS3", cell=TILTED * (1 + 0.01 * k), pbc=[True, True, False])
        atoms.set_scaled_positions(rng.uniform(-0.5, 1.5, (6, 3)))
        atoms.set_momenta(rng.normal(size=(6, 3)))
        results = {"energy": rng.normal(), "forces": rng.normal(size=(6, 3))}
        if stress:
            results["stress"] = rng.normal(size=6)
        atoms.calc = SinglePointCalculator(atoms, **results)
        images.append(atoms)
    return images


@pytest.mark.parametrize("suffix", ["", ".gz", ".bz2", ".xz"])
def test_files_of_ase(folder, suffix):
    path = folder / "ase.extxyz"
    ase.io.write(path, ase_images())
    packed = {"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}
    ours = write(folder, packed[suffix](path.read_bytes()), "ours.extxyz" + suffix)
    source = open_source(ours, Hints())
    assert source.format == "extxyz"
    (frames,) = source.blocks
    assert source.fraction() == 1.0
    assert source.header.pbc.tolist() == [True, True, False]
    for k, atoms in enumerate(ase.io.read(path, index=":")):
        assert_array_equal(source.header.atomic_numbers, atoms.numbers)
        assert_array_equal(frames.coordinates[k], atoms.positions)
        assert_array_equal(frames.cells[k], atoms.cell.array)
        assert_array_equal(frames.forces[k], atoms.get_forces())
        assert frames.energies[k] == atoms.get_potential_energy()
        assert_array_equal(frames.stresses[k], atoms.get_stress(voigt=False))
        assert_allclose(
            frames.velocities[k], atoms.get_velocities() / ASE_TIME_IN_FS, rtol=1e-14, atol=0
        )


def test_momenta_with_masses_of_the_file(folder):
    text = one_atom(comment(BASIC + ":momenta:R:3:masses:R:1"), "H 0 0 0 2.0 4.0 -6.0 2.0")
    velocities = read(write(folder, text))[1].velocities
    expected = np.array([1.0, 2.0, -3.0]) / ASE_TIME_IN_FS
    assert_allclose(velocities[0, 0], expected, rtol=1e-15, atol=0)
    text = one_atom(comment(BASIC + ":momenta:R:3"), "H 0 0 0 2.0 4.0 -6.0")
    velocities = read(write(folder, text))[1].velocities
    expected = np.array([2.0, 4.0, -6.0]) / atomic_masses[1] / ASE_TIME_IN_FS
    assert_allclose(velocities[0, 0], expected, rtol=1e-15, atol=0)


@pytest.mark.parametrize("name", ["vel", "velo", "velocities", "velocity"])
def test_velocities_of_others(folder, name):
    text = one_atom(comment(f"{BASIC}:{name}:R:3"), "H 0 0 0 0.25 0.5 -1e-3")
    assert read(write(folder, text))[1].velocities.tolist() == [[[0.25, 0.5, -1e-3]]]


def test_other_words_for_the_same(folder):
    def frames(extra="", properties=BASIC, words="Li 1.0 2.0 3.0", **hints):
        return read(write(folder, one_atom(comment(properties, extra), words)), **hints)

    force = frames(properties=BASIC + ":force:R:3", words="Li 1 2 3 4 5 6")[1].forces
    assert force.tolist() == [[[4.0, 5.0, 6.0]]]
    header, block, _ = frames(properties="Z:I:1:pos:R:3", words="16 1 2 3")
    assert header.atomic_numbers.tolist() == [16]
    assert block.coordinates.tolist() == [[[1.0, 2.0, 3.0]]]
    assert frames(properties="Z:I:1:" + BASIC, words="16 S 1 2 3")[0].atomic_numbers[0] == 16
    for words in ("energy=-1.5", "Energy=-1.5", "potential_energy=-1.5", "free_energy = -1.5",
                  'energy="-1.5"', "free_energy=7 energy=-1.5 potential_energy=9"):  # fmt: skip
        assert frames(words)[1].energies.tolist() == [-1.5]
    assert frames()[1].energies is None
    assert frames("pbc=[T,F,True]")[0].pbc.tolist() == [True, False, True]
    assert frames()[0].pbc.tolist() == [True] * 3
    assert frames("step=40", timestep_fs=2.0)[1].steps.tolist() == [40]
    assert frames("step=40", timestep_fs=2.0)[0].timestep_fs == 2.0
    assert frames("time_fs=1.5")[1].times_fs.tolist() == [1.5]
    assert frames("time_ps=1.5")[1].times_fs.tolist() == [1500.0]
    _, block, notes = frames("time=1.5")
    assert block.times_fs is None
    assert "time has no stated unit" in notes[0]
    assert frames(words="c1 1 2 3", species={"c1": "C"})[0].atomic_numbers.tolist() == [6]


def test_stress_and_virial(folder):
    nine = "1 2 3 4 5 6 7 8 9"
    volume = abs(np.linalg.det(TILTED))

    def stress(extra):
        return read(write(folder, one_atom(comment(extra=extra))))[1].stresses[0]

    tensor = np.arange(1.0, 10.0).reshape(3, 3).T  # ASE reads column after column
    assert_array_equal(stress(f'stress="{nine}"'), tensor)
    assert_allclose(stress(f'virial="{nine}"'), -tensor / volume, rtol=1e-14, atol=0)
    assert_array_equal(stress(f'virial="{nine}" stress="{nine}"'), tensor)
    voigt = [[1.0, 6.0, 5.0], [6.0, 2.0, 4.0], [5.0, 4.0, 3.0]]
    assert stress('stress="1 2 3 4 5 6"').tolist() == voigt
    assert_array_equal(stress("stress={" + nine.replace(" ", ", ") + "}"), tensor)


def test_what_only_some_frames_have_is_left_out(folder):
    text = one_atom(comment(extra="energy=1.0")) + one_atom(comment())
    assert read(write(folder, text))[1].energies is None


def test_columns_may_change_between_frames(folder):
    text = one_atom(comment()) + one_atom(comment("pos:R:3:species:S:1"), "4 5 6 Li")
    _, frames, _ = read(write(folder, text))
    assert frames.coordinates.tolist() == [[[1.0, 2.0, 3.0]], [[4.0, 5.0, 6.0]]]


def test_blocks_are_bounded_and_in_order(folder):
    text = simple_xyz(n_frames=BLOCK_FRAMES + 100, extra="step={k}")
    source = open_extxyz(write(folder, text), Hints())
    blocks = list(source.blocks)
    assert [b.n_frames for b in blocks] == [BLOCK_FRAMES, 100]
    assert np.concatenate([b.steps for b in blocks]).tolist() == list(range(BLOCK_FRAMES + 100))
    found = np.concatenate([b.coordinates for b in blocks])
    assert_array_equal(found, twin_vectors(twin(text), 1))


@pytest.mark.parametrize("window", [1, 50, 333, 1000])
@pytest.mark.parametrize("block_bytes", [1, 300, 1 << 20])
def test_any_window_and_block_give_the_same(folder, monkeypatch, window, block_bytes):
    monkeypatch.setattr(_rows, "WINDOW", window)
    monkeypatch.setattr(_rows, "BLOCK_BYTES", block_bytes)
    text = simple_xyz(n_frames=9)
    path = write(folder, text)
    assert_array_equal(read(path)[1].coordinates, twin_vectors(twin(text), 1))
    _, frames, notes = read(write(folder, text[:-3]))
    assert_array_equal(frames.coordinates, twin_vectors(twin(text), 1)[:8])
    assert notes == ["the last frame is incomplete: 8 complete frames used"]


def test_one_frame_larger_than_the_window(folder):
    text = simple_xyz(n_frames=2, symbols=("Li", "S") * 8000)
    assert len(text) > 1_000_000
    _, frames, _ = read(write(folder, text))
    assert_array_equal(frames.forces, twin_vectors(twin(text), 4))


def test_plain_xyz_needs_a_cell(folder):
    text = "1\nmade by hand\nLi 1.0 2.0 3.0\n"
    refused(folder, text, "frame 0: no cell: .*--cell")
    refused(folder, text, "no cell", cell=folder / "run.cell")
    header, frames, _ = read(write(folder, text), cell=TILTED)
    assert_array_equal(frames.cells, TILTED[None])
    assert header.pbc.all()
    _, frames, notes = read(write(folder, one_atom(comment())), cell=np.eye(3))
    assert_array_equal(frames.cells, TILTED[None])
    assert "not --cell" in notes[0]


def test_line_ends_and_blank_lines(folder):
    text = simple_xyz()
    expected = twin_vectors(twin(text), 1)
    for other in (text.replace("\n", "\r\n"), text + "\n \n", text.rstrip("\n"),
                  text.replace(" ", "\t").replace("\t", " ", 4)):  # fmt: skip
        if "\t" in other:
            other = "\n".join(
                a if "=" in a else b
                for a, b in zip(text.split("\n"), other.split("\n"), strict=True)
            )
        _, frames, notes = read(write(folder, other))
        assert_array_equal(frames.coordinates, expected)
        assert not notes


def last_replaced(text, old, new):
    head, _, tail = text.rpartition(old)
    return head + new + tail


def test_bad_input_names_the_frame_and_what_is_wrong(folder):
    text = simple_xyz(n_frames=3, extra="energy=1.0 step={k}")
    line = text.rstrip("\n").rpartition("\n")[2]
    x = line.split()[1]
    for wrong, match in (
        (last_replaced(text, "4\nL", "5\nL"), "frame 2: the number of atoms changes: expected 4"),
        (last_replaced(text, "4\nL", "3\nL"), "frame 2: the number of atoms changes"),
        (last_replaced(text, "4\nL", "four\nL"), "frame 2: first line: expected the number"),
        (text.replace("4\nL", "0\nL", 1), "frame 0: first line: expected the number of atoms"),
        (last_replaced(text, "S ", "P "), "frame 2, atom 1: the atoms change: .*16, found 15"),
        (last_replaced(text, "S ", "Xx"), "frame 2: unknown element 'Xx'"),
        (text.replace("Li ", "Lithium-6 ", 1), "frame 0, atom 0: column species"),
        (text.replace(x, "nan"), "frame 2, atom 3: column pos.0.: expected a finite number, found"),
        (text.replace(x, "1e999"), "frame 2, atom 3: a number is too large"),
        (text.replace(x, "1.5x"), "frame 2, atom 3: column pos.0.: .*'1.5x'"),
        (text.replace(line, "P 1 2 3"), "frame 2, atom 3: .*7 columns .Properties.*found 4"),
        (text.replace(line, line + " 8"), "frame 2, atom 3: .*found 8"),
        (text.replace(line.split()[2], line.split()[2].replace(".", "_")), "frame 2, atom 3"),
        (last_replaced(text, "energy=1.0", "energy=nan"), "frame 2: energy: .*'nan'"),
        (last_replaced(text, "energy=1.0", "energy="), "frame 2: energy: .*'step=2'"),
        (last_replaced(text, "step=2", "step=2.5"), "frame 2: step: expected a whole number"),
        (last_replaced(text, "step=2", 'stress="1 2"'), "no step"),
        (last_replaced(text, '="9.0 ', '="nan '), "frame 2: Lattice: expected nine finite"),
        (last_replaced(text, '="9.0 ', '="'), "frame 2: Lattice: expected nine finite"),
        (text.replace(LATTICE, "1 0 0 2 0 0 0 0 1"), "frame 0: cell: expected three lattice vec"),
        (last_replaced(text, "step=2", 'pbc="T T F"'), "frame 2: other boundaries"),
        (text.replace("step=0", 'pbc="T T"'), "frame 0: pbc: expected .T T T."),
        (text.replace("pos:R:3", "pos:R:2"), "frame 0: Properties: expected"),
        (text.replace("pos:R:3", "pos:R"), "frame 0: Properties: expected"),
        (text.replace("species:S:1", "name:S:1"), "frame 0: Properties: expected"),
        (text.replace("forces:R:3", "forces:R:2"), "frame 0: Properties: expected"),
        (last_replaced(text, "\n4\n", "\n\n4\n"), "frame 2: first line: .*found ''"),
        ("4\n", "no complete frame"),
    ):  # fmt: skip
        if match == "no step":
            assert read(write(folder, wrong))[1].steps is None
        else:
            refused(folder, wrong, match)
    for word in ("0", "119", "1.5"):
        refused(folder, one_atom(comment("Z:I:1:pos:R:3"), f"{word} 1 2 3"), "Z of atom 0")
    both = one_atom(comment(extra='stress="1 2 3"'))
    refused(folder, both, "frame 0: stress: expected 9 finite numbers, found '1 2 3'")


def test_a_file_cut_at_any_byte_gives_whole_frames_or_one_line(folder):
    text = simple_xyz(n_frames=2).encode()
    first = text.index(b"\n4\n") + 1
    whole = twin_vectors(twin(text.decode()), 1)
    whole_forces = twin_vectors(twin(text.decode()), 4)
    for stop in range(1, len(text) + 1):
        path = write(folder, text[:stop])
        try:
            _, frames, notes = read(path)
        except InputError:
            assert stop < first - 1
            continue
        n = len(frames.coordinates)
        assert_array_equal(frames.coordinates, whole[:n])
        assert_array_equal(frames.forces, whole_forces[:n])
        assert n == (2 if stop >= len(text) - 1 else 1)
        cut = n == 1 and stop > first
        assert notes == ["the last frame is incomplete: 1 complete frames used"] * cut


@pytest.mark.parametrize("form", ["{:g}", "{!r}", "{:.3e}", "{:.0f}"])
def test_a_last_number_without_line_end_is_never_a_shorter_one(folder, form):
    rng = np.random.default_rng(4)
    for n_atoms in (1, 2, 5):
        rows = (rng.normal(size=(n_atoms, 3)) * 100).tolist()
        lines = ["Li " + " ".join(form.format(x) for x in row) for row in rows]
        text = f"{n_atoms}\n{comment()}\n" + "\n".join(lines) + "\n"
        for missing in range(1, 12):
            try:
                _, frames, _ = read(write(folder, text[:-missing]))
            except InputError:
                continue
            assert missing == 1
            assert frames.coordinates[0, -1, 2] == float(lines[-1].split()[-1])


def test_a_cut_compressed_file_says_so(folder):
    text = simple_xyz(n_frames=600).encode()
    packed = gzip.compress(text)
    _, frames, notes = read(write(folder, packed[: len(packed) // 2], "cut.gz"))
    n = len(frames.coordinates)
    assert 100 < n < 500
    assert_array_equal(frames.coordinates, twin_vectors(twin(text.decode()), 1)[:n])
    assert any("the compressed file is cut off" in note for note in notes)


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=4))
@settings(max_examples=150, deadline=None)
def test_damaged_bytes_never_give_another_error(folder, changes):
    text = bytearray(simple_xyz(extra='energy=1.5 step={k} stress="1 2 3 4 5 6 7 8 9"').encode())
    for place, byte in changes:
        text[place % len(text)] = byte
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            _, frames, _ = read(write(folder, bytes(text)))
        except InputError:
            return
    assert np.isfinite(frames.coordinates).all()


def test_what_looks_like_xyz():
    assert looks_like_extxyz("any", f"4\n{comment()}\n".encode())
    assert looks_like_extxyz("a.xyz", b"4\nmade by hand\nLi 0 0 0\n")
    assert not looks_like_extxyz("a.txt", b"4\nmade by hand\nLi 0 0 0\n")
    assert not looks_like_extxyz("a.xyz", b" 4\n i =        0, time =  0.000, E =  -17.1\n")
    assert not looks_like_extxyz("a.xyz", b"ITEM: TIMESTEP\n0\n")
    assert not looks_like_extxyz("a.xyz", b"")


def test_real_file_with_forces_and_stress(real_data):
    path = real_data / "Si64_forces.extxyz"
    header, frames, notes = read(path)
    assert frames.coordinates.shape == (110, 64, 3)
    assert set(header.atomic_numbers.tolist()) == {14}
    assert not notes
    assert frames.energies[0] == -8324.287843648983
    expected = twin(path.read_text())
    assert_array_equal(frames.coordinates, twin_vectors(expected, 1))
    assert_array_equal(frames.forces, twin_vectors(expected, 4))
    images = ase.io.read(path, index=":")
    assert len(images) == 110
    for k in (0, 1, 54, 109):
        assert_array_equal(frames.cells[k], images[k].cell.array)
        assert_array_equal(frames.coordinates[k], images[k].positions)
        assert_array_equal(frames.forces[k], images[k].get_forces())
        assert_array_equal(frames.stresses[k], images[k].get_stress(voigt=False))
        assert frames.energies[k] == images[k].get_potential_energy()


@pytest.mark.parametrize(
    "junk", [b"x" * 500_000, b"a={ " * 120_000, b"a=[ " * 120_000, b"a=" * 250_000, b"}" * 500_000]
)
def test_long_comments_take_no_time_that_grows_as_their_square(folder, junk):
    """As a square of half a million bytes, each would take minutes."""
    text = simple_xyz(n_frames=1).encode()
    at = text.index(b"Lattice")
    path = folder / "long.xyz"
    path.write_bytes(text[:at] + junk + b" " + text[at:])
    source = open_extxyz(path, Hints())
    assert sum(block.n_frames for block in source.blocks) == 1
