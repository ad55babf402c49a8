"""LAMMPS dumps: self-made ones against a naive twin reader, and real ones."""

import bz2
import gzip
import lzma
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from mdbench.errors import InputError
from mdbench.formats import _rows, open_source
from mdbench.formats._rows import BLOCK_FRAMES
from mdbench.formats.base import Frames, Hints
from mdbench.formats.lammps import looks_like_lammps, open_lammps
from mdbench.units import KCAL_PER_MOL_IN_EV

TILTED = np.array([[9.0, 0.0, 0.0], [-3.5, 8.0, 0.0], [-2.0, 4.0, 11.0]])
ORIGIN = np.array([50.5, -3.25, 7.0])
TYPES = {"1": "Li", "2": "S", "3": "P"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("dumps")


def box_lines(cell, origin, letters="pp pp pp", general=False):
    """The box as LAMMPS prints it; the orthogonal box around a tilted one."""
    if general:
        rows = np.column_stack([cell, origin])
        text = "\n".join(" ".join(f"{x:.16e}" for x in row) for row in rows)
        return f"ITEM: BOX BOUNDS abc origin {letters}\n{text}\n"
    xy, xz, yz = cell[1, 0], cell[2, 0], cell[2, 1]
    low, high = origin.copy(), origin + np.diag(cell)
    low[0] += min(0, xy, xz, xy + xz)
    high[0] += max(0, xy, xz, xy + xz)
    low[1] += min(0, yz)
    high[1] += max(0, yz)
    if not (xy or xz or yz):
        lines = [f"{a!r} {b!r}" for a, b in zip(low.tolist(), high.tolist(), strict=True)]
        return f"ITEM: BOX BOUNDS {letters}\n" + "\n".join(lines) + "\n"
    tilts = (xy, xz, yz)
    lines = [f"{a:.16e} {b:.16e} {c:.16e}" for a, b, c in zip(low, high, tilts, strict=True)]
    return f"ITEM: BOX BOUNDS xy xz yz {letters}\n" + "\n".join(lines) + "\n"


def frame_text(step, columns, rows, box, before="", end=" \n"):
    """One frame; `rows` are lists of words."""
    return (
        f"{before}ITEM: TIMESTEP\n{step}\nITEM: NUMBER OF ATOMS\n{len(rows)}\n{box}"
        f"ITEM: ATOMS {' '.join(columns)}\n" + "".join(" ".join(row) + end for row in rows)
    )


def simple_dump(n_frames=3, n_atoms=4, columns=("id", "type", "x", "y", "z"), end=" \n", seed=0):
    """A dump of random numbers with six digits, ids in order."""
    rng = np.random.default_rng(seed)
    box = box_lines(np.diag([10.0, 11.0, 12.0]), np.zeros(3))
    text = ""
    for frame in range(n_frames):
        rows = []
        for atom in range(n_atoms):
            words = {"id": str(atom + 1), "type": str(atom % 2 + 1), "element": "Li"}
            rows.append([words.get(c, f"{rng.uniform(1, 9):g}") for c in columns])
        text += frame_text(frame * 10, columns, rows, box, end=end)
    return text


def twin(text):
    """(n_frames, n_atoms) dicts of words by column, sorted by id: the naive reader."""
    frames = []
    for part in text.split("ITEM: TIMESTEP\n")[1:]:
        head, _, table = part.partition("ITEM: ATOMS ")
        columns, *lines = table.split("\n")
        n_atoms = int(head.split("ITEM: NUMBER OF ATOMS\n")[1].split()[0])
        rows = [dict(zip(columns.split(), line.split(), strict=True)) for line in lines[:n_atoms]]
        frames.append(sorted(rows, key=lambda row: int(row["id"])))
    return frames


def twin_vectors(frames, names):
    return np.array([[[float(row[n]) for n in names] for row in rows] for rows in frames])


def read(path, **hints):
    """Header, all frames as one block, notes."""
    source = open_lammps(path, Hints(**{"species": TYPES, **hints}))
    blocks = list(source.blocks)
    names = [n for n in Frames.__dataclass_fields__ if getattr(blocks[0], n) is not None]
    joined = Frames(**{n: np.concatenate([getattr(b, n) for b in blocks]) for n in names})
    return source.header, joined, source.notes


def write(folder, text, name="a.lammpstrj"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def refused(folder, text, match, **hints):
    with pytest.raises(InputError, match=match) as caught:
        read(write(folder, text), **hints)
    assert "\n" not in str(caught.value)
    assert "a.lammpstrj" in str(caught.value)


@st.composite
def dumps(draw):
    """A dump with columns in any order, ids in another order in each frame, any print format."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    columns = ["id", "type", "x", "y", "z"]
    for group in (["fx", "fy", "fz"], ["vx", "vy", "vz"], ["ix", "iy", "iz"], ["q"],
                  ["c_pe[1]"], ["mol"], ["element"], ["mass"], ["xs"], ["label"]):  # fmt: skip
        columns += group if draw(st.booleans()) else []
    columns = draw(st.permutations(columns))
    form = draw(st.sampled_from(["{:g}", "{:.16e}", "{:.8f}", "{!r}", "{:20.15g}"]))
    n_atoms = draw(st.integers(1, 12))
    ids = rng.permutation(n_atoms * 3)[:n_atoms] + 1
    types = rng.integers(1, 4, n_atoms)
    box = box_lines(TILTED, ORIGIN)
    text = ""
    for frame in range(draw(st.integers(1, 4))):
        rows = []
        for atom in rng.permutation(n_atoms) if draw(st.booleans()) else range(n_atoms):
            fixed = {
                "id": str(ids[atom]),
                "type": str(types[atom]),
                "mol": "7",
                "label": "a-long-word",
                "element": TYPES[str(types[atom])],
                "mass": {1: "6.94", 2: "32.06", 3: "30.974"}[types[atom]],
                **{c: str(rng.integers(-3, 4)) for c in ("ix", "iy", "iz")},
            }
            rows.append(
                [fixed.get(c, form.format(float(rng.normal() * 10.0 ** rng.integers(-9, 9))))
                 for c in columns]
            )  # fmt: skip
        text += frame_text(frame * 50, columns, rows, box, end=draw(st.sampled_from(["\n", " \n"])))
    return text


@given(dumps())
@settings(max_examples=60, deadline=None)
def test_every_number_is_that_of_a_naive_reader(folder, text):
    header, frames, notes = read(write(folder, text))
    expected = twin(text)
    assert not notes
    assert_array_equal(frames.coordinates, twin_vectors(expected, "xyz"))
    symbols = {"1": 3, "2": 16, "3": 15}
    assert header.atomic_numbers.tolist() == [symbols[row["type"]] for row in expected[0]]
    assert frames.steps.tolist() == [50 * k for k in range(len(expected))]
    assert_allclose(
        frames.cells, np.broadcast_to(TILTED, frames.cells.shape), rtol=1e-14, atol=1e-13
    )
    for name, columns, factor in (
        ("forces", ("fx", "fy", "fz"), 1.0),
        ("velocities", ("vx", "vy", "vz"), 1000.0),
        ("images", ("ix", "iy", "iz"), 1.0),
    ):
        if columns[0] in expected[0][0]:
            assert_array_equal(getattr(frames, name), twin_vectors(expected, columns) / factor)
        else:
            assert getattr(frames, name) is None
    assert header.unwrapped is ("ix" in expected[0][0])


def kinds_of_one_run(cell, general=False):
    """The same random walk printed with each kind of coordinates."""
    rng = np.random.default_rng(3)
    n_frames, n_atoms = 5, 7
    scaled = 0.1 + 0.8 * rng.random((n_frames, n_atoms, 3))
    images = rng.integers(-2, 3, scaled.shape)
    wrapped = scaled @ cell + ORIGIN
    texts = {}
    for kind, numbers in {
        "x y z ix iy iz": np.concatenate([wrapped, images], axis=2),
        "xs ys zs ix iy iz": np.concatenate([scaled, images], axis=2),
        "xu yu zu": wrapped + images @ cell,
        "xsu ysu zsu": scaled + images,
        "xu yu zu ix iy iz": np.concatenate([wrapped + images @ cell, images], axis=2),
    }.items():
        columns = ["type", *kind.split(), "id"]
        texts[kind] = "".join(
            frame_text(
                frame, columns,
                [["1", *(f"{x:.17g}" for x in numbers[frame, a]), str(a)]
                 for a in rng.permutation(n_atoms)],
                box_lines(cell, ORIGIN, general=general),
            )
            for frame in range(n_frames)
        )  # fmt: skip
    return texts, wrapped + images @ cell


@pytest.mark.parametrize("box", ["orthogonal", "tilted", "tilted the other way", "general"])
def test_all_kinds_of_coordinates_give_one_trajectory(folder, box):
    cell = {
        "orthogonal": np.diag([9.0, 8.0, 11.0]),
        "tilted": TILTED,
        "tilted the other way": TILTED * [[1, 1, 1], [-1, 1, 1], [-1, -1, 1]],
        "general": TILTED[[2, 0, 1]],
    }[box]
    texts, expected = kinds_of_one_run(cell, general=box == "general")
    for kind, text in texts.items():
        header, frames, _ = read(write(folder, text))
        assert header.unwrapped
        assert not header.scaled
        assert (frames.images is not None) is ("u" not in kind and "ix" in kind)
        found = frames.coordinates
        if frames.images is not None:
            found = found + frames.images @ frames.cells
        assert_allclose(frames.cells[-1], cell, rtol=1e-14, atol=1e-14)
        assert_allclose(found, expected, rtol=1e-12, atol=0)


def test_the_cell_may_change_from_frame_to_frame(folder):
    columns = ["id", "type", "xs", "ys", "zs"]
    text = "".join(
        frame_text(k, columns, [["1", "1", "0.5", "0.5", "0.5"]], box_lines(TILTED * k, ORIGIN))
        for k in (1, 2, 3)
    )
    _, frames, _ = read(write(folder, text))
    for k in (1, 2, 3):
        assert_allclose(frames.cells[k - 1], TILTED * k, rtol=1e-14, atol=1e-14)
        centre = ORIGIN + TILTED.sum(axis=0) * k / 2
        assert_allclose(frames.coordinates[k - 1, 0], centre, rtol=1e-13, atol=0)


def test_boundary_letters(folder):
    box = box_lines(TILTED, ORIGIN, letters="pp fs mm")
    text = frame_text(0, ["id", "type", "x", "y", "z"], [["1", "1", "1", "2", "3"]], box)
    assert read(write(folder, text))[0].pbc.tolist() == [True, False, False]
    old = text.replace(" pp fs mm", "")
    assert read(write(folder, old))[0].pbc.tolist() == [True, True, True]
    both = text + text.replace("TIMESTEP\n0", "TIMESTEP\n1").replace("pp fs mm", "pp pp mm")
    refused(folder, both, "frame 1: other boundaries")


def test_units_and_times(folder):
    columns = ["id", "type", "x", "y", "z", "vx", "vy", "vz", "fx", "fy", "fz"]
    row = ["1", "1", *"123456789"]
    box = box_lines(np.eye(3) * 10, np.zeros(3))

    def dump(units, first="ITEM: UNITS\n{}\n"):
        return "".join(
            frame_text(
                5 * k, columns, [row], box,
                (first.format(units) if k == 0 else "") + f"ITEM: TIME\n{k * 0.25}\n",
            )
            for k in range(3)
        )  # fmt: skip

    _, metal, _ = read(write(folder, dump("metal")), lammps_units="real")  # the file wins
    assert metal.times_fs.tolist() == [0.0, 250.0, 500.0]
    assert metal.velocities[0, 0].tolist() == [0.004, 0.005, 0.006]
    assert metal.forces[0, 0].tolist() == [7.0, 8.0, 9.0]
    for text in (dump("real"), dump("real", first="")):
        _, real, _ = read(write(folder, text), lammps_units="real")
        assert real.times_fs.tolist() == [0.0, 0.25, 0.5]
        assert real.velocities[0, 0].tolist() == [4.0, 5.0, 6.0]
        assert_allclose(
            real.forces[0, 0], np.array([7.0, 8.0, 9.0]) * KCAL_PER_MOL_IN_EV, rtol=1e-15, atol=0
        )
    refused(folder, dump("lj"), "frame 0: units: expected metal or real, found lj")
    header, frames, _ = read(write(folder, simple_dump()), timestep_fs=2.0)
    assert header.timestep_fs == 2.0
    assert frames.times_fs is None
    assert frames.steps.tolist() == [0, 10, 20]


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
def test_compressed_dumps(folder, compress):
    text = simple_dump()
    path = write(folder, compress(text.encode()), "b.bin")
    source = open_source(path, Hints(species=TYPES))
    assert source.format == "LAMMPS dump"
    (frames,) = source.blocks
    assert_array_equal(frames.coordinates, twin_vectors(twin(text), "xyz"))
    assert source.fraction() == 1.0


def test_blocks_are_bounded_and_in_order(folder):
    n_frames = BLOCK_FRAMES + 100
    text = simple_dump(n_frames=n_frames, n_atoms=5)
    source = open_lammps(write(folder, text), Hints(species=TYPES))
    blocks = list(source.blocks)
    assert [b.n_frames for b in blocks] == [BLOCK_FRAMES, 100]
    found = np.concatenate([b.coordinates for b in blocks])
    assert_array_equal(found, twin_vectors(twin(text), "xyz"))


@pytest.mark.parametrize("window", [1, 50, 333, 1000])
@pytest.mark.parametrize("block_bytes", [1, 300, 1 << 20])
def test_any_window_and_block_give_the_same(folder, monkeypatch, window, block_bytes):
    monkeypatch.setattr(_rows, "WINDOW", window)
    monkeypatch.setattr(_rows, "BLOCK_BYTES", block_bytes)
    text = simple_dump(n_frames=9)
    path = write(folder, text)
    assert_array_equal(read(path)[1].coordinates, twin_vectors(twin(text), "xyz"))
    _, frames, notes = read(write(folder, text[:-3]))
    assert_array_equal(frames.coordinates, twin_vectors(twin(text), "xyz")[:8])
    assert notes == ["the last frame is incomplete: 8 complete frames used"]


def test_one_frame_larger_than_the_window(folder):
    text = simple_dump(n_frames=2, n_atoms=40_000)
    assert len(text) > 1_000_000
    _, frames, _ = read(write(folder, text))
    assert_array_equal(frames.coordinates, twin_vectors(twin(text), "xyz"))


def test_elements_by_type_by_list_by_mass_and_by_column(folder):
    def numbers(columns=("id", "type", "x", "y", "z"), species=None, replace=("", "")):
        text = simple_dump(n_atoms=4, columns=columns).replace(*replace)
        return read(write(folder, text), species=species)[0].atomic_numbers.tolist()

    assert numbers(species={"1": "O", "2": "H"}) == [8, 1, 8, 1]
    assert numbers(species=("O", "H")) == [8, 1, 8, 1]
    assert numbers(species=("Al",)) == [13] * 4
    assert numbers(species=("O", "H", "Li", "S")) == [8, 1, 3, 16]
    assert numbers(("id", "element", "x", "y", "z")) == [3] * 4
    assert numbers(("id", "x", "y", "z"), species=("Al",)) == [13] * 4
    assert numbers(("id", "x", "y", "z"), species=("O", "H", "Li", "S")) == [8, 1, 3, 16]
    # LAMMPS prints C where no elements were set: the user's word wins
    with_c = ("id", "type", "element", "x", "y", "z")
    assert numbers(with_c, ("O", "H"), (" Li ", " C ")) == [8, 1, 8, 1]
    assert numbers(with_c, None, (" Li ", " C ")) == [6] * 4
    box = box_lines(TILTED, ORIGIN)
    for mass, number in (("6.94", 3), ("6.941", 3), ("55.845", 26), ("28.0855", 14)):
        text = frame_text(0, ["id", "mass", "x", "y", "z"], [["1", mass, "1", "2", "3"]], box)
        assert read(write(folder, text), species=None)[0].atomic_numbers.tolist() == [number]


def test_elements_that_cannot_be_told_are_refused(folder):
    refused(folder, simple_dump(), r"found types 1, 2; .*--species 1=Li,2=S", species=None)
    refused(folder, simple_dump(), r"nothing for 2", species={"1": "Li"})
    refused(folder, simple_dump(), r"2 \(one per type\) or 4 \(one per atom\)", species=("O",) * 3)
    bare = simple_dump(columns=("id", "x", "y", "z"))
    refused(folder, bare, "--species Al", species=None)
    refused(folder, bare, "no types", species={"1": "Li"})
    refused(folder, bare, "4 .one per atom", species=("Li", "S"))
    column = simple_dump(columns=("id", "type", "element", "x", "y", "z"))
    refused(folder, column, "contradicts the element column at id 2: expected Li, found S")
    refused(folder, column.replace(" Li ", " Xx "), "unknown element 'Xx'", species=None)
    refused(folder, column.replace(" Li ", " Lithium-6 ", 1), "element symbol", species=None)
    box = box_lines(TILTED, ORIGIN)
    for mass in ("5.5", "nan", "247"):
        text = frame_text(0, ["id", "mass", "x", "y", "z"], [["1", mass, "1", "2", "3"]], box)
        refused(folder, text, "mass", species=None)


def test_dumps_without_ids(folder):
    text = simple_dump(columns=("type", "x", "y", "z"))
    refused(folder, text, "no atom ids in this dump: .*--constant-order")
    _, frames, _ = read(write(folder, text), constant_order=True)
    assert frames.coordinates.shape == (3, 4, 3)


def bad(text, old, new, at=-1):
    """The text with the last (or the n-th) occurrence of something replaced."""
    parts = text.split(old)
    at = at % (len(parts) - 1)
    return old.join(parts[: at + 1]) + new + old.join(parts[at + 1 :])


def test_bad_input_names_the_frame_and_what_is_wrong(folder):
    text = simple_dump(n_frames=3)
    box = text[text.index("ITEM: BOX") : text.index("ITEM: ATOMS")]
    first_line = text.split("ITEM: ATOMS")[1].split("\n")[1]
    x = first_line.split()[2]
    for wrong, match in (
        (bad(text, "ATOMS\n4\n", "ATOMS\n5\n"), "frame 2: the number of atoms changes: expected 4"),
        (bad(text, "ATOMS\n4\n", "ATOMS\n3\n"), "frame 2: the number of atoms changes"),
        (bad(text, "ATOMS\n4\n", "ATOMS\n0\n"), "frame 2: number of atoms: expected 1 or more"),
        (bad(text, "\n3 1 ", "\n9 1 "), "frame 2, id 3: other ids than in frame 0: .*found 4"),
        (bad(text, "\n3 1 ", "\n4 1 "), "frame 2, id 3: other ids"),
        (bad(text, "\n3 1 ", "\n3 2 "), "frame 2, id 3: type changes: expected 1, found 2"),
        (bad(text, "\n3 1 ", "\n1 1 ", 0), "frame 0: id 1 twice"),
        (bad(text, "\n3 1 ", "\n3.5 1 ", 0), "id: expected whole numbers, found 3.5"),
        (text.replace(x, "nan", 1), "frame 0, atom 0: column x: .* a finite number, found 'nan'"),
        (text.replace(x, "-inf", 1), "frame 0, atom 0: column x: .*'-inf'"),
        (text.replace(x, "1e999", 1), "frame 0, atom 0: a number is too large"),
        (text.replace(x, "1.5x", 1), "frame 0, atom 0: column x: .*'1.5x'"),
        (text.replace(first_line, "1 1 2.0", 1), "frame 0, atom 0: .*5 columns .*found 3: "),
        (text.replace(first_line, first_line + "7", 1), "found 6"),
        (text.replace(first_line + "\n", "", 1), "frame 0, atom 3: column id: .*found 'ITEM:'"),
        (text.replace("id type x y z", "id type x y", 1), "coordinates: expected columns x y z"),
        (text.replace("id type x y z", "id type x y z z", 1), "columns: expected each once"),
        (bad(text, "type x y z", "type xs ys zs"), "frame 2: other coordinates"),
        (bad(text, "id type x y z", "id mol x y z"), "frame 2: the columns change"),
        (text.replace(box, ""), "frame 0: no box"),
        (bad(text, "0.0 10.0", "0.0 -10.0"), "frame 2: box: expected a volume above zero"),
        (bad(text, "0.0 10.0", "0.0 ten"), "frame 2: box: expected three lines of 2 numbers"),
        (bad(text, "0.0 10.0", "0.0"), "frame 2: box: expected three lines of 2 numbers"),
        (bad(text, "pp pp pp", "pp pp"), "frame 2: box: expected pp pp pp"),
        (bad(text, "TIMESTEP\n20", "TIMESTEP\ntwenty"), "frame 2: header"),
        (bad(text, "ITEM: TIMESTEP", "ITEM: TIMESTOP"), "frame 2: header"),
        ("ITEM: TIMESTEP\n0\n", "no complete frame"),
        ("ITEM: TIMESTEP\n" * 30, "ITEM: ATOMS"),
    ):  # fmt: skip
        refused(folder, wrong, match)


def test_a_dump_cut_at_any_byte_gives_whole_frames_or_one_line(folder):
    for end in (" \n", "\n"):
        text = simple_dump(n_frames=2, n_atoms=3, end=end).encode()
        first = text.index(b"ITEM: TIMESTEP", 1)
        whole = twin_vectors(twin(text.decode()), "xyz")
        for stop in range(len(text) + 1):
            path = write(folder, text[:stop])
            try:
                _, frames, notes = read(path)
            except InputError:
                assert stop < first
                continue
            n = len(frames.coordinates)
            assert_array_equal(frames.coordinates, whole[:n])
            if stop == len(text):
                assert n == 2
            elif n == 2:
                assert len(text) - stop <= len(end)
            cut = n == 1 and stop > first
            assert notes == ["the last frame is incomplete: 1 complete frames used"] * cut


def test_a_cut_compressed_dump_says_so(folder):
    text = simple_dump(n_frames=400, n_atoms=20).encode()
    packed = gzip.compress(text)
    path = write(folder, packed[: len(packed) // 2], "cut.gz")
    _, frames, notes = read(path)
    n = len(frames.coordinates)
    assert 100 < n < 300
    assert_array_equal(frames.coordinates, twin_vectors(twin(text.decode()), "xyz")[:n])
    assert any("the compressed file is cut off" in note for note in notes)


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=4))
@settings(max_examples=150, deadline=None)
def test_damaged_bytes_never_give_another_error(folder, changes):
    text = bytearray(simple_dump(columns=("id", "type", "x", "y", "z", "ix", "iy", "iz")).encode())
    for place, byte in changes:
        text[place % len(text)] = byte
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            _, frames, _ = read(write(folder, bytes(text)))
        except InputError:
            return
    assert np.isfinite(frames.coordinates).all()


def test_what_looks_like_a_dump():
    assert looks_like_lammps("a", b"ITEM: TIMESTEP\n0\n")
    assert looks_like_lammps("a", b"ITEM: UNITS\nmetal\n")
    assert looks_like_lammps("a", b"ITEM: TIME\n0\n")
    assert not looks_like_lammps("dump.lammpstrj", b"12\nLattice=")
    assert not looks_like_lammps("dump.lammpstrj", b"")


def test_real_polymer_with_image_flags(real_data):
    header, frames, notes = read(
        real_data / "polymer_wrapped_images.lammpstrj.gz", species=("H", "C", "O")
    )
    assert frames.coordinates.shape == (42, 1714, 3)
    assert frames.steps.tolist() == [500 * k for k in range(42)]
    assert header.unwrapped
    assert not notes
    first = (frames.coordinates + frames.images @ frames.cells)[0]
    assert_allclose(first[0], [51.8474, 100.348, 116.516], rtol=1e-12, atol=0)
    assert_allclose(first[1189], [116.829, 91.2404, 79.8858], rtol=0, atol=1e-3)
    assert_allclose(first[1327], [173.311, 87.853, 109.417], rtol=0, atol=1e-3)
    assert frames.images[0, 1189].tolist() == [1, 0, 0]
    assert frames.images[0, 1327].tolist() == [2, 0, 0]
    with gzip.open(real_data / "polymer_wrapped_images.lammpstrj.gz", "rt") as file:
        expected = twin(file.read())
    assert_array_equal(frames.coordinates, twin_vectors(expected, "xyz"))
    assert_array_equal(frames.images, twin_vectors(expected, ("ix", "iy", "iz")))


def test_real_scaled_dump_without_ids(real_data):
    path = real_data / "NaCl_scaled_noid.lammpstrj"
    with pytest.raises(InputError, match="--constant-order"):
        read(path, species=("Na",))
    hints = {"species": ("Na",), "constant_order": True, "lammps_units": "real"}
    _, frames, _ = read(path, **hints)
    assert frames.coordinates.shape == (6, 512, 3)
    assert_allclose(frames.coordinates[0, 222], [14.1005, 0.0, 8.4603], rtol=0, atol=1e-3)
    assert_allclose(frames.coordinates[0, 0], [0, 0, 0], rtol=0, atol=1e-3)
    assert_allclose(frames.coordinates[5, 0], [0.095924, -0.0222584, -0.0152489], rtol=0, atol=1e-5)
    assert_allclose(frames.coordinates[5, 222], [14.0788, 0.0954186, 8.56453], rtol=0, atol=1e-3)
    assert frames.velocities[0, 222].tolist() == [-0.00466812, -0.00196397, -0.000147051]


def test_real_tilted_boxes(real_data):
    path = real_data / "TATB_triclinic.lammpsdump"
    header, frames, _ = read(path, species=("C", "H", "N", "O"))
    assert frames.coordinates.shape == (1, 384, 3)
    assert frames.coordinates[0, 0].tolist() == [-1.54861, 11.2503, 5.49299]
    lengths = np.linalg.norm(frames.cells[0], axis=1)
    assert_allclose(lengths, [13.624, 18.056, 18.0462], rtol=1e-5, atol=0)
    assert np.bincount(header.atomic_numbers)[[1, 6, 7, 8]].tolist() == [96] * 4
    path = real_data / "triclinic_scaled_unwrapped.lammpsdump"
    header, frames, _ = read(path, species=("Fe",))
    assert frames.coordinates.shape == (6, 81, 3)
    assert frames.steps.tolist() == [0, 200, 400, 600, 800, 1000]
    assert_allclose(frames.coordinates[0, 0], [0.702251, 0.697741, 0.0], rtol=1e-6, atol=0)
    assert frames.forces[0, 0].tolist() == [
        -25.2490766756577,
        -45.8707824815849,
        7.09237786722383e-07,
    ]
    assert header.unwrapped


def test_real_dump_without_types(real_data):
    path = real_data / "Al31_1200K_unwrapped.lammpstrj"
    with pytest.raises(InputError, match="--species"):
        read(path, species=None)
    header, frames, _ = read(path, species=("Al",))
    assert frames.coordinates.shape == (501, 31, 3)
    assert set(header.atomic_numbers.tolist()) == {13}
    assert np.diff(frames.steps).tolist() == [500] * 500
    assert_array_equal(frames.coordinates, twin_vectors(twin(path.read_text()), ("xu", "yu", "zu")))
    for lag, msd in ((10, 0.6843), (50, 2.5019), (100, 4.9604)):
        moved = frames.coordinates[lag:] - frames.coordinates[:-lag]
        assert_allclose((moved**2).sum(axis=2).mean(), msd, rtol=1e-4, atol=0)
