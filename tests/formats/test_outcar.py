"""OUTCAR against ASE and the vasprun.xml of the same run, and with every kind of damage."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from mdbench.errors import InputError
from mdbench.formats import outcar
from mdbench.formats._stream import ByteStream
from mdbench.formats.base import Hints
from mdbench.formats.outcar import looks_like_outcar, open_outcar
from mdbench.formats.vasprun import open_vasprun
from mdbench.units import KBAR_IN_EV_PER_ANGSTROM3

CELL = np.array([[4.1, 0.0, 0.0], [-0.3, 5.2, 0.0], [0.25, -0.75, 6.3]])
TAGS = {"IBRION": "0", "POTIM": "2.0000", "TEBEG": " 800.0;   TEEND = 800.0", "SMASS": "0.40"}
END = " General timing and accounting informations for this job:\n"


def head(tags=TAGS, elements=("Li", "S"), counts="2 1"):
    potentials = "".join(f"   VRHFIN ={e}: s1p0\n   TITEL  = PAW_PBE {e} x\n" for e in elements)
    settings = "".join(f"   {name} = {value}  a comment\n" for name, value in tags.items())
    start = f" vasp.6.3.0 (build)\n executed on Linux\n{potentials}"
    return f"{start}   ions per type = {counts}\n{settings}"


def numbers(seed):
    generator = np.random.default_rng(seed)
    return {
        "stress": generator.normal(size=6).round(5) * 10,
        "cell": (CELL + seed * 1e-3).round(9),
        "positions": (5 * generator.random((3, 3))).round(5),
        "forces": generator.normal(size=(3, 3)).round(6),
        "energy": -20.0 - round(generator.random(), 8),
    }


def tables(values, *, learned=False, stress=True, energy=True):
    mark, total = (" (ML)", " ML TOTEN") if learned else ("", "   TOTEN")
    rows = zip(values["positions"], values["forces"], strict=True)
    lattice = "".join(
        " ".join(f"{x:13.9f}" for x in (*row, 0, 0, 0)) + "\n" for row in values["cell"]
    )
    text = "  in kB  " + "".join(f"{x:12.5f}" for x in values["stress"]) + "\n" if stress else ""
    text += f"      direct lattice vectors                 reciprocal lattice vectors\n{lattice}\n"
    text += f" POSITION{' ' * 39}TOTAL-FORCE (eV/Angst){mark}\n {'-' * 83}\n"
    for position, force in rows:
        text += "".join(f"{x:13.5f}" for x in position) + "   "
        text += "".join(f"{x:14.6f}" for x in force) + "\n"
    text += f" {'-' * 83}\n    total drift: 0.0 0.0 0.0\n"
    return text + f"  free  energy{total}  = {values['energy']:18.8f} eV\n\n" if energy else text


def scf(step):
    return "".join(
        f"{'-' * 40} Iteration {step:6d}({k:4d})  {'-' * 39}\n  free energy    TOTEN  = 7.0 eV\n"
        for k in (1, 2)
    )


def document(n, first=1):
    steps = "".join(scf(k) + tables(numbers(k)) for k in range(first, first + n))
    return head() + steps + END


def write(folder, text, name="OUTCAR"):
    path = Path(folder, name)
    path.write_bytes(text if isinstance(text, bytes) else text.encode("latin-1"))
    return path


def read(path, hints=None):
    source = open_outcar(path, hints or Hints())
    return source, list(source.blocks)


def joined(blocks, name):
    return np.concatenate([getattr(b, name) for b in blocks])


def check(blocks, seeds):
    known = [numbers(seed) for seed in seeds]
    assert_array_equal(joined(blocks, "coordinates"), [k["positions"] for k in known])
    assert_array_equal(joined(blocks, "forces"), [k["forces"] for k in known])
    assert_array_equal(joined(blocks, "cells"), [k["cell"] for k in known])
    assert_array_equal(joined(blocks, "energies"), [k["energy"] for k in known])
    kbar = np.array([[float(f"{x:.5f}") for x in k["stress"]] for k in known])
    full = kbar[:, [0, 3, 5, 3, 1, 4, 5, 4, 2]].reshape(-1, 3, 3)
    assert_allclose(
        joined(blocks, "stresses"), -KBAR_IN_EV_PER_ANGSTROM3 * full, rtol=1e-14, atol=0
    )


def test_equals_the_printed_digits(tmp_path):
    source, blocks = read(write(tmp_path, document(4)))
    check(blocks, range(1, 5))
    assert_array_equal(blocks[0].steps, [1, 2, 3, 4])
    header = source.header
    assert_array_equal(header.atomic_numbers, [3, 3, 16])
    assert not header.scaled
    assert (header.timestep_fs, header.frame_interval_fs) == (2.0, 2.0)
    assert header.temperature_k == 800.0
    assert header.thermostat == "Nose-Hoover"
    assert header.code == "VASP 6.3.0"
    assert source.notes == []


def test_small_pieces_and_small_blocks_change_nothing(tmp_path, monkeypatch):
    reads = ByteStream.read
    monkeypatch.setattr(ByteStream, "read", lambda s, size=37: reads(s, min(size, 37)))
    monkeypatch.setattr(outcar, "PIECE", 37)
    path = write(tmp_path, document(5))
    source, blocks = read(path)
    check(blocks, range(1, 6))
    assert source.notes == []


def test_steps_without_numbers(tmp_path):
    values = [numbers(k) for k in range(3)]
    source, blocks = read(write(tmp_path, head() + "".join(map(tables, values)) + END))
    check(blocks, range(3))
    assert blocks[0].steps is None
    assert source.header.frame_interval_fs == 2.0


def test_learned_and_ab_initio_steps(tmp_path):
    text = head() + scf(1) + tables(numbers(1)) + tables(numbers(9), learned=True)
    text += f"{'-' * 40} Ionic step      2  {'-' * 30}\n" + tables(numbers(2), learned=True)
    text += scf(3) + tables(numbers(8), learned=True) + tables(numbers(3)) + END
    _, blocks = read(write(tmp_path, text))
    check(blocks, [1, 2, 3])
    assert_array_equal(blocks[0].steps, [1, 2, 3])


def test_steps_without_positions_are_counted(tmp_path):
    text = head() + scf(1) + tables(numbers(1)) + scf(2) + "  free  energy   TOTEN = -1.0 eV\n"
    text += scf(3) + tables(numbers(3)) + END
    _, blocks = read(write(tmp_path, text))
    check(blocks, [1, 3])
    assert_array_equal(blocks[0].steps, [1, 3])


def test_step_numbers_that_overflow_are_counted_on(tmp_path):
    text = document(3, first=99998).replace("100000(", "******(")
    assert_array_equal(read(write(tmp_path, text))[1][0].steps, [99998, 99999, 100000])


def test_stress_that_is_missing_from_some_frame_on_is_left_out(tmp_path):
    text = head() + scf(1) + tables(numbers(1)) + scf(2) + tables(numbers(2), stress=False) + END
    source, blocks = read(write(tmp_path, text))
    assert blocks[0].stresses is None
    assert blocks[0].n_frames == 2
    assert source.notes == ["no stresses in frame 1: left out from there"]


@pytest.mark.parametrize(
    ("changes", "interval", "temperature"),
    [
        ({"IBRION": "2"}, None, None),
        ({"TEBEG": "300.0;  TEEND = 900.0"}, 2.0, None),
        ({"TEBEG": "0.0;  TEEND = 0.0"}, 2.0, None),
    ],
)
def test_header(tmp_path, changes, interval, temperature):
    path = write(tmp_path, head({**TAGS, **changes}) + scf(1) + tables(numbers(1)))
    source, blocks = read(path)
    assert source.header.frame_interval_fs == interval
    assert source.header.temperature_k == temperature
    assert source.header.time_axis == (interval is not None)
    assert (blocks[0].steps is None) == (interval is None)


@pytest.fixture(scope="module")
def short_file(tmp_path_factory):
    return tmp_path_factory.mktemp("short"), document(3)


@given(st.data())
@settings(max_examples=80, deadline=None)
def test_cut_off_anywhere(short_file, data):
    folder, text = short_file
    cut = data.draw(st.integers(0, len(text) - 1))
    path = write(folder, text[:cut])
    ends = [text.index(tables(numbers(k))) + len(tables(numbers(k))) - 1 for k in (1, 2, 3)]
    complete = sum(end <= cut for end in ends)
    if complete == 0:
        with pytest.raises(InputError, match="OUTCAR"):
            read(path)
        return
    source, blocks = read(path)
    check(blocks, range(1, complete + 1))
    finished = "General timing and accounting" in text[:cut]
    assert any(f"{complete} complete step" in note for note in source.notes) != finished


@given(st.data())
@settings(max_examples=80, deadline=None)
def test_damaged_bytes_give_frames_or_an_input_error(short_file, data):
    folder, text = short_file
    damaged = bytearray(text.encode())
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        _, blocks = read(write(folder, bytes(damaged)))
    except InputError:
        return
    assert np.isfinite(joined(blocks, "coordinates")).all()


GOOD = document(2)
ROW = f"{numbers(2)['positions'][1][0]:13.5f}{numbers(2)['positions'][1][1]:13.5f}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD.replace(ROW, "  ******** 1.0"), r"frame 1: positions and forces.*\*\*\*"),
        (GOOD.replace(ROW, " 1.0 1.0 1.0"), "frame 1: positions and forces of 3 atoms"),
        (GOOD.replace("per type = 2 1", "per type = 2 2"), "frame 0: positions and forces of 4"),
        (GOOD.replace("per type = 2 1", "per type = 3"), "elements: expected a pseudopotential"),
        (GOOD.replace("per type = 2 1", f"per type = 2 {'9' * 5000}"), "elements: expected"),
        (GOOD.replace("per type = 2 1", "per type = 2 19000000"), "numbers, found '.* bytes'"),
        (GOOD.replace("VRHFIN =S", "VRHFIN =Qq"), "unknown element"),
        (head() + END, "no complete ionic step"),
        ("nothing of that kind\n", "not an OUTCAR"),
    ],
)
def test_refuses(tmp_path, text, message):
    with pytest.raises(InputError, match=message) as caught:
        read(write(tmp_path, text))
    assert "OUTCAR" in str(caught.value)


def test_numbers_of_thousands_of_digits_are_no_steps_and_no_settings(tmp_path):
    """Python refuses to turn them into numbers, or makes them infinite."""
    digits = "9" * 5000
    text = re.sub(r"Iteration\s+1\(", f"Iteration {digits}(", GOOD)
    text = re.sub(r"POTIM = \S+", f"POTIM = {digits}", text)
    assert digits in text
    source, blocks = read(write(tmp_path, text))
    assert source.header.timestep_fs is None or np.isfinite(source.header.timestep_fs)
    assert sum(block.n_frames for block in blocks) == 2


def test_looks_like():
    assert looks_like_outcar("run.log", head().encode())
    assert looks_like_outcar("H2O.OUTCAR", b"")
    assert not looks_like_outcar("run.log", b"vasp is mentioned")


def test_real_file_against_the_vasprun_of_the_same_run(real_data):
    source, (ours,) = read(real_data / "H2O_md10.OUTCAR")
    (other,) = open_vasprun(real_data / "H2O_md10.vasprun.xml", Hints()).blocks
    assert_array_equal(source.header.atomic_numbers, [8, 8, 1, 1, 1, 1])
    assert source.header.frame_interval_fs == 1.0
    assert ours.n_frames == 10
    assert_array_equal(ours.steps, np.arange(1, 11))
    assert_array_equal(ours.energies, other.energies)
    assert_array_equal(ours.cells, other.cells)
    positions = np.einsum("fai,fij->faj", other.coordinates, other.cells)
    assert np.abs(ours.coordinates - positions).max() < 5.1e-6
    assert np.abs(ours.forces - other.forces).max() < 5.1e-7
    assert np.abs(ours.stresses - other.stresses).max() < 1e-4 * KBAR_IN_EV_PER_ANGSTROM3
    assert source.notes == []


def test_real_file_against_ase(real_data):
    from ase.io import read as ase_read

    _, (ours,) = read(real_data / "H2O_md10.OUTCAR")
    images = ase_read(real_data / "H2O_md10.OUTCAR", index=":")
    assert_array_equal(ours.coordinates, [a.positions for a in images])
    assert_array_equal(ours.forces, [a.get_forces() for a in images])
    stresses = [a.get_stress(voigt=False) for a in images]
    assert_allclose(ours.stresses, stresses, rtol=1e-7, atol=0)
