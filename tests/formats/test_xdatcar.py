"""XDATCAR against a naive twin and ASE, and with every kind of damage."""

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal

from mdbench.errors import InputError
from mdbench.formats._stream import ByteStream
from mdbench.formats.base import Hints
from mdbench.formats.xdatcar import looks_like_xdatcar, open_xdatcar

CELL = np.array([[4.1, 0.0, 0.0], [-0.3, 5.2, 0.0], [0.25, -0.75, 6.3]])
KINDS = {"Li": 2, "P": 1, "S": 1}


def head(cell=CELL, kinds=KINDS, *, title="S4 first in the title", scale="1.0", symbols=True):
    rows = "".join(" ".join(f"{x:12.6f}" for x in row) + "\n" for row in cell)
    names = " ".join(kinds) + "\n" if symbols else ""
    return f"{title}\n  {scale}\n{rows}{names}{' '.join(map(str, kinds.values()))}\n"


def lines(scaled, *, after="", form="{:12.8f}"):
    return "".join("".join(form.format(x) for x in row) + after + "\n" for row in scaled)


def frames(n, n_atoms=4, seed=0):
    return np.random.default_rng(seed).random((n, n_atoms, 3)).round(8)


def fixed_cell(scaled, *, first=1, stride=1, **style):
    counters = range(first, first + stride * len(scaled), stride)
    body = "".join(
        f"Direct configuration={k:6d}\n{lines(frame, **style)}"
        for k, frame in zip(counters, scaled, strict=True)
    )
    return head() + body


def write(folder, text, name="XDATCAR"):
    path = Path(folder, name)
    path.write_bytes(text if isinstance(text, bytes) else text.encode("latin-1"))
    return path


def read(path, hints=None):
    source = open_xdatcar(path, hints or Hints())
    return source, list(source.blocks)


def coordinates(blocks):
    return np.concatenate([b.coordinates for b in blocks])


def test_equals_the_printed_digits(tmp_path):
    scaled = frames(5)
    source, blocks = read(write(tmp_path, fixed_cell(scaled)))
    assert_array_equal(coordinates(blocks), scaled)
    assert_array_equal(blocks[0].cells, [CELL] * 5)
    assert_array_equal(source.header.atomic_numbers, [3, 3, 15, 16])
    assert source.header.scaled
    assert source.header.frame_interval_fs is None
    assert source.header.timestep_fs is None
    assert blocks[0].steps is None
    assert source.notes == []


def test_timestep_is_not_the_time_between_frames(tmp_path):
    header = read(write(tmp_path, fixed_cell(frames(2))), Hints(timestep_fs=2.0))[0].header
    assert header.timestep_fs == 2.0
    assert header.frame_interval_fs is None


@given(
    arrays(float, (2, 4, 3), elements=st.floats(-1e6, 1e6)),
    st.sampled_from([" {:.8f}", " {:.17g}", " {:.30f}", " {:.12e}", "{:+.6f}"]),
)
@settings(max_examples=30, deadline=None)
def test_round_trip_of_any_number(tmp_path_factory, scaled, form):
    path = write(tmp_path_factory.mktemp("x"), fixed_cell(scaled, form=form))
    expected = [[[float(form.format(x)) for x in row] for row in frame] for frame in scaled]
    assert_array_equal(coordinates(read(path)[1]), expected)


def test_equals_ase(tmp_path):
    from ase.io import read as ase_read

    path = write(tmp_path, fixed_cell(frames(3)))
    _, blocks = read(path)
    for k, atoms in enumerate(ase_read(path, index=":", format="vasp-xdatcar")):
        assert_array_equal(blocks[0].cells[k], atoms.cell.array)
        assert_allclose(
            blocks[0].coordinates[k] @ blocks[0].cells[k], atoms.positions, rtol=1e-12, atol=0
        )


@pytest.mark.parametrize("after", [" T T F", " Li", "   Li1 extra", "\r"])
def test_what_follows_the_three_numbers_is_passed_over(tmp_path, after):
    scaled = frames(3)
    assert_array_equal(
        coordinates(read(write(tmp_path, fixed_cell(scaled, after=after)))[1]), scaled
    )


def test_selective_dynamics_line(tmp_path):
    text = fixed_cell(frames(2)).replace("Direct", "Selective dynamics\nDirect", 1)
    assert_array_equal(coordinates(read(write(tmp_path, text))[1]), frames(2))


def test_fused_columns(tmp_path):
    text = head() + "Direct configuration= 1\n" + "-0.63265286-0.11227753 -0.15402785\n" * 4
    _, blocks = read(write(tmp_path, text))
    assert_array_equal(blocks[0].coordinates[0, 3], [-0.63265286, -0.11227753, -0.15402785])


@pytest.mark.parametrize("separator", ["Direct\n", "\n", "  direct configuration=\n"])
def test_frames_without_counter(tmp_path, separator):
    scaled = frames(3)
    text = head() + "".join(separator + lines(frame) for frame in scaled)
    source, blocks = read(write(tmp_path, text))
    assert_array_equal(coordinates(blocks), scaled)
    assert source.notes == []


@pytest.mark.parametrize("title", ["SYSTEM", "", "Direct methanol"])
def test_cell_before_every_frame(tmp_path, title):
    scaled = frames(4)
    cells = [np.round(CELL * (1 + 0.01 * k), 6) for k in range(4)]
    text = "".join(
        f"{head(cell, title=title)}Direct configuration={k:6d}\n{lines(frame)}"
        for k, (cell, frame) in enumerate(zip(cells, scaled, strict=True), 1)
    )
    _, blocks = read(write(tmp_path, text))
    assert_array_equal(coordinates(blocks), scaled)
    assert_array_equal(np.concatenate([b.cells for b in blocks]), cells)


def test_small_pieces_and_small_blocks_change_nothing(tmp_path, monkeypatch):
    scaled = frames(40)
    path = write(tmp_path, fixed_cell(scaled))
    reads = ByteStream.read
    monkeypatch.setattr(ByteStream, "read", lambda s, size=37: reads(s, min(size, 311)))
    _, blocks = read(path)
    assert len(blocks) > 5
    assert_array_equal(coordinates(blocks), scaled)


@pytest.mark.parametrize(
    ("scale", "expected"),
    [
        ("2.5", 2.5 * CELL),
        ("1.0 2.0 0.5", CELL * [1.0, 2.0, 0.5]),
        ("-200.0", CELL * np.cbrt(200.0 / np.linalg.det(CELL))),
    ],
)
def test_scale(tmp_path, scale, expected):
    text = head(scale=scale) + "Direct configuration= 1\n" + lines(frames(1)[0])
    cell = read(write(tmp_path, text))[1][0].cells[0]
    assert_array_equal(cell == 0, expected == 0)
    assert_allclose(cell[cell != 0], expected[expected != 0], rtol=1e-14, atol=0)


@pytest.mark.parametrize(
    "species", [("Li", "P", "S"), ("Li", "Li", "P", "S"), {"1": "Li", "2": "P", "3": "S"}]
)
def test_elements_from_the_user_where_the_file_has_none(tmp_path, species):
    text = head(symbols=False) + "Direct\n" + lines(frames(1)[0])
    source, _ = read(write(tmp_path, text), Hints(species=species))
    assert_array_equal(source.header.atomic_numbers, [3, 3, 15, 16])


def test_elements_are_asked_for(tmp_path):
    path = write(tmp_path, head(symbols=False) + "Direct\n" + lines(frames(1)[0]))
    with pytest.raises(InputError, match="--species Li,P,S"):
        read(path)
    with pytest.raises(InputError, match="expected 3 symbols, found 2"):
        read(path, Hints(species=("Li", "P")))


def test_pseudopotential_names_are_elements(tmp_path):
    text = fixed_cell(frames(1)).replace("Li P S", "Li_sv P/1a2b3c S.5")
    assert_array_equal(read(write(tmp_path, text))[0].header.atomic_numbers, [3, 3, 15, 16])


def test_joined_runs_are_noted(tmp_path):
    text = fixed_cell(frames(3), first=50, stride=50)
    text += fixed_cell(frames(2), first=50, stride=50).removeprefix(head())
    source, blocks = read(write(tmp_path, text))
    assert sum(b.n_frames for b in blocks) == 5
    assert source.notes == [
        "the configuration counter jumps from 150 to 50 at frame 3: joined runs?"
    ]


@given(st.integers(0, 800), st.booleans())
@settings(max_examples=80, deadline=None)
def test_cut_off_anywhere(tmp_path_factory, cut, variable):
    scaled = frames(3)
    text = fixed_cell(scaled)
    if variable:
        text = "".join(
            head() + f"Direct configuration= {k}\n" + lines(f) for k, f in enumerate(scaled)
        )
    path = write(tmp_path_factory.mktemp("cut"), text[:cut])
    ends = [text.index(lines(frame)) + len(lines(frame)) for frame in scaled]
    complete = sum(end - 1 <= cut for end in ends)
    if complete == 0:
        with pytest.raises(InputError, match="XDATCAR"):
            read(path)
        return
    source, blocks = read(path)
    assert_array_equal(coordinates(blocks), scaled[:complete])
    left = text[ends[complete - 1] : cut].strip()
    assert any("incomplete" in note for note in source.notes) == bool(left)


@given(st.data())
@settings(max_examples=80, deadline=None)
def test_damaged_bytes_give_frames_or_an_input_error(tmp_path_factory, data):
    damaged = bytearray(fixed_cell(frames(3)).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    path = write(tmp_path_factory.mktemp("damaged"), bytes(damaged))
    try:
        _, blocks = read(path)
    except InputError:
        return
    assert np.isfinite(coordinates(blocks)).all()


def test_gzip(tmp_path):
    path = write(tmp_path, gzip.compress(fixed_cell(frames(3)).encode()), "XDATCAR.gz")
    assert_array_equal(coordinates(read(path)[1]), frames(3))


LAST = fixed_cell(frames(2)).splitlines(keepends=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("".join(LAST[:10] + LAST[11:]), "line 12: frame 0, coordinates of atom 3"),
        ("".join(LAST[:10] + LAST[9:]), "line 13: after 4 atoms: expected Direct"),
        ("".join([*LAST[:9], "0.1 ******** 0.2\n", *LAST[10:]]), "line 10: .*atom 1.*\\*\\*\\*"),
        ("".join([*LAST[:9], "0.1 0.3 0.2 0.4\n", *LAST[10:]]), "line 10: .*atom 1"),
        ("".join([*LAST[:9], "0.1 1e400 0.2\n", *LAST[10:]]), "frame 0: a coordinate beyond"),
        ("".join([*LAST[:1], "scale\n", *LAST[2:]]), "line 2: scale"),
        ("".join([*LAST[:1], "0.0\n", *LAST[2:]]), "line 2: scale"),
        ("".join([*LAST[:1], "1e308\n", *LAST[2:]]), "line 2: scale: expected a cell of finite"),
        ("".join([*LAST[:1], "-1\n", "1e308 0 0\n", *LAST[3:]]), "line 2: scale"),
        ("".join([*LAST[:3], "0 0\n", *LAST[4:]]), "line 4: cell vector"),
        ("".join([*LAST[:5], "Li P\n", *LAST[6:]]), "line 6: elements: expected 3 symbols"),
        ("".join([*LAST[:5], "Li P Qq\n", *LAST[6:]]), "line 6: unknown element"),
        ("".join([*LAST[:6], "2 1 -1\n", *LAST[7:]]), "line 7: numbers of atoms"),
        ("".join([*LAST[:6], "9 999999999 9\n", *LAST[7:]]), "line 7: numbers of atoms"),
        ("".join([*LAST[:6], "9 19999000 9\n", *LAST[7:]]), "19999018 lines of coordinates"),
        ("".join([*LAST[:7], "Cartesian\n", *LAST[8:]]), "line 8: kind of coordinates"),
        ("".join(LAST) + head(kinds={"Li": 4}) + "Direct\n" + "".join(LAST[8:12]), "other atoms"),
        ("".join(LAST[:9]), "no complete frame"),
        ("  80 80 1\n 0.1 9.0 9.0 9.0 1e-15\n 300\n  CAR\n SYSTEM\n\n 0 0 0\n", "VASP 4.6"),
        ("title\n", "ends within its first lines"),
    ],
)
def test_refuses(tmp_path, text, message):
    with pytest.raises(InputError, match=message) as caught:
        read(write(tmp_path, text))
    assert "XDATCAR" in str(caught.value)


def test_looks_like():
    assert looks_like_xdatcar("run1.dat", fixed_cell(frames(1)).encode())
    assert looks_like_xdatcar("XDATCAR", b"")
    assert not looks_like_xdatcar("POSCAR", head().encode() + b"Direct\n")


@pytest.mark.parametrize(
    ("name", "n_frames", "n_atoms", "first"),
    [
        ("Li6PS5Cl_50p_run1.XDATCAR.gz", 140, 416, (0.01127708, 0.14362618, 0.34155668)),
        ("Li6PS5Cl_50p_run2.XDATCAR.gz", 140, 416, (0.03042893, 0.32987974, 0.20768064)),
        ("Li6PS5I_100p_run1.XDATCAR.gz", 100, 416, (0.07624489, 0.91855897, 0.96387423)),
        ("molten_Fe2O3.XDATCAR", 5, 80, (0.85729725, 0.44607741, 0.39190768)),
        ("Fe2TiO4_variable_cell.XDATCAR", 4, 7, (0.4375, 0.875, 0.1875)),
        ("LiSi_labelled_coords.XDATCAR", 100, 76, (0.492382, 0.424713, 0.083372)),
        ("NaCl_800K.XDATCAR", 40, 216, (0.9978388, 0.00431895, 0.00287784)),
        ("LLZO_ok.XDATCAR", 2, 382, (0.5, 0.0, 0.875)),
        ("fused_numbers.XDATCAR.gz", 3, 7, (-0.39386954, 0.00957493, -0.39151319)),
    ],
)
def test_real_files(real_data, name, n_frames, n_atoms, first):
    source, blocks = read(real_data / name)
    assert coordinates(blocks).shape == (n_frames, n_atoms, 3)
    assert_array_equal(blocks[0].coordinates[0, 0], first)
    assert source.notes == []


def test_real_elements_come_from_line_six(real_data):
    header = read(real_data / "Li6PS5Cl_50p_run1.XDATCAR.gz")[0].header
    assert_array_equal(header.atomic_numbers, np.repeat([3, 17, 16, 15], [192, 32, 160, 32]))


def test_real_cells_that_change(real_data):
    blocks = read(real_data / "Fe2TiO4_variable_cell.XDATCAR")[1]
    cells = np.concatenate([b.cells for b in blocks])
    assert_array_equal(cells[0, 0], [0.0, 2.095, 2.095])
    assert_array_equal(cells[-1, 2], [-4.574709, 2.284910, -2.284910])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("scale", "line 2: scale"),
        ("cell", "line 3: cell vector"),
        ("composition", "line 6: elements"),
        ("pos", "line 390: frame 0, coordinates of atom 381"),
    ],
)
def test_real_broken_files(real_data, name, message):
    with pytest.raises(InputError, match=message):
        read(real_data / f"LLZO_{name}_wrong.XDATCAR")
