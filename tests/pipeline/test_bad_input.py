"""Whatever is fed to the command line: one line that helps, status 2, and nothing half-written."""

import bz2
import gzip
import lzma
import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from mdbench.store import read_trajectory
from tests.pipeline import little
from tests.pipeline.little import FORMS, little_run
from tests.pipeline.test_ingest import error_of

INTERVAL = ("--frame-interval-fs", "20")


@pytest.fixture
def refused(mdbench, tmp_path):
    """Runs a command that must fail; the line that it prints."""

    def call(*args, words=(), names=None, output=tmp_path / "never.h5"):
        listed = {*tmp_path.iterdir()}
        options = ("-o", output) if output is not None else ()
        done = mdbench(*args, *options)
        assert done.status == 2, done
        assert done.out == ""
        assert done.err.startswith("mdbench: error: ")
        assert done.err.count("\n") == 1, done.err
        assert done.err.endswith("\n")
        for word in (str(args[1] if names is None else names), *words):
            assert word in done.err, word
        assert {*tmp_path.iterdir()} == listed
        return done.err

    return call


@pytest.fixture
def trajectory(tmp_path, mdbench):
    """A sound trajectory file."""
    output = tmp_path / "sound.h5"
    source = FORMS["extxyz"].write(tmp_path, little_run())
    assert mdbench("ingest", source, "-o", output, "--temperature", "800").status == 0
    return output


def write(folder: Path, name: str, content: bytes | str) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


# Files of another kind

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
OTHER_KINDS = {
    "empty": b"",
    "blank": b"\n\n   \n",
    "png": PNG,
    "pickle": pickle.dumps({"positions": [1, 2, 3]}),
    "zip": b"PK\x03\x04" + bytes(100),
    "elf": b"\x7fELF" + bytes(100),
    "json": b'{"positions": [[0, 0, 0]]}',
    "html": b"<!DOCTYPE html><html><body>404</body></html>",
    "other xml": b'<?xml version="1.0"?>\n<svg></svg>',
    "prose": "Sehr geehrte Damen und Herren,\nanbei die Trajektorie.\n".encode("utf-16"),
    "null bytes": bytes(5000),
    "random bytes": np.random.default_rng(0).bytes(5000),
    "empty gz": gzip.compress(b""),
    "png in gz": gzip.compress(PNG),
    "png in bz2": bz2.compress(PNG),
    "png in xz": lzma.compress(PNG),
    "broken gz": b"\x1f\x8b\x08\x00" + bytes(range(200)),
    "broken xz": b"\xfd7zXZ\x00" + bytes(range(200)),
    "hdf5 signature only": b"\x89HDF\r\n\x1a\n",
    "hdf5 signature and noise": b"\x89HDF\r\n\x1a\n" + np.random.default_rng(1).bytes(4000),
    "ase signature only": b"- of UlmASE-Trajectory",
}
NAMES = (
    "file", "XDATCAR", "OUTCAR", "vasprun.xml", "a.extxyz", "a.xyz", "a.lammpstrj", "a.traj",
    "run-pos-1.xyz", "a.h5md",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("content", OTHER_KINDS.values(), ids=OTHER_KINDS)
def test_another_kind_of_file(content, name, tmp_path, refused) -> None:
    refused("ingest", write(tmp_path, name, content), *INTERVAL)


@pytest.mark.parametrize("command", ["info", "rdf", "convert"])
@pytest.mark.parametrize("content", OTHER_KINDS.values(), ids=OTHER_KINDS)
def test_another_kind_of_file_where_a_trajectory_belongs(content, command, tmp_path, refused):
    output = tmp_path / "out.extxyz" if command == "convert" else None
    refused(command, write(tmp_path, "traj.h5", content), output=output)


def test_a_folder_and_a_file_that_is_not_there(tmp_path, refused) -> None:
    refused("ingest", tmp_path / "none.extxyz", words=["no such file"])
    folder = tmp_path / "folder"
    folder.mkdir()
    refused("ingest", folder, words=["a folder"])
    for command in ("info", "rdf"):
        refused(command, tmp_path / "none.h5", words=["no such file"], output=None)
        refused(command, folder, words=["folder"], output=None)


def test_names_that_cannot_be(tmp_path, refused) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    refused("ingest", loop, words=["Too many levels of symbolic links"])
    refused("ingest", tmp_path / ("x" * 300), words=["File name too long"])


# Cut off and damaged files

TEXT = ("extxyz", "XDATCAR", "dump", "vasprun", "outcar", "cp2k")


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gz"])
@pytest.mark.parametrize("share", [0.004, 0.02, 0.31, 0.52, 0.77, 0.97])
@pytest.mark.parametrize("name", TEXT)
def test_cut_off_files(name, share, packed, tmp_path, mdbench) -> None:
    """The complete frames before the cut, with a note; none of them: refused."""
    form, run = FORMS[name], little_run()
    source = form.write(tmp_path, run)
    if packed:
        plain, source = source, little.gzipped(source)
        plain.unlink()
    content = source.read_bytes()
    source.write_bytes(content[: int(share * len(content))])
    output = tmp_path / "cut.h5"
    done = mdbench("ingest", source, "-o", output, "--float64", *form.options)
    assert done.status == (0 if output.exists() else 2), done
    if done.status == 2:
        assert share < 0.3
        assert done.err.startswith(f"mdbench: error: {source}")
        assert done.err.count("\n") == 1
        return
    stored = read_trajectory(output)
    assert share * 20 - 2.5 < stored.n_frames <= share * 20 + 1 or packed
    assert error_of(stored.positions, run.positions[: stored.n_frames]) < form.exact
    assert f"note: {source.name}: " in done.err
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("name", FORMS)
def test_bytes_that_were_changed(name, seed, tmp_path, mdbench) -> None:
    """Read as they are or refused in one line; never a traceback, never another shape."""
    form, rng = FORMS[name], np.random.default_rng(seed)
    source = form.write(tmp_path, little_run(6))
    content = bytearray(source.read_bytes())
    for at in rng.integers(len(content), size=3):
        content[at] = rng.integers(256)
    source.write_bytes(content)
    output = tmp_path / "damaged.h5"
    done = mdbench("ingest", source, "-o", output, *form.options)
    assert done.status in (0, 2), done
    if done.status == 2:
        assert not output.exists()
        assert done.err.startswith(f"mdbench: error: {source}")
        assert done.err.count("\n") == 1
    else:
        assert np.isfinite(read_trajectory(output).positions).all()
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("share", [0.01, 0.2, 0.5, 0.8, 0.99, 0.9999])
def test_trajectory_files_cut_off(share, trajectory, tmp_path, refused) -> None:
    content = trajectory.read_bytes()
    trajectory.write_bytes(content[: int(share * len(content))])
    for command in ("info", "rdf"):
        refused(command, trajectory, output=None)
    refused("convert", trajectory, output=tmp_path / "out.extxyz")


@pytest.mark.parametrize("share", [0.01, 0.2, 0.5, 0.8, 0.99])
@pytest.mark.parametrize("name", ["h5md", "ase"])
def test_foreign_binary_files_cut_off(name, share, tmp_path, mdbench) -> None:
    form, run = FORMS[name], little_run()
    source = form.write(tmp_path, run)
    content = source.read_bytes()
    source.write_bytes(content[: int(share * len(content))])
    done = mdbench("ingest", source, "-o", tmp_path / "cut.h5", "--float64", *form.options)
    if done.status == 0:  # an ASE .traj keeps its complete frames
        assert name == "ase"
        stored = read_trajectory(tmp_path / "cut.h5")
        assert error_of(stored.positions, run.positions[: stored.n_frames]) < form.exact
        assert "note: " in done.err
    else:
        assert done.status == 2
        assert done.err.startswith(f"mdbench: error: {source}")
        assert done.err.count("\n") == 1
        assert not (tmp_path / "cut.h5").exists()


@pytest.mark.parametrize("seed", range(25))
def test_trajectory_files_with_changed_bytes(seed, trajectory, mdbench) -> None:
    """A checksum tells, or nothing that is used was touched."""
    before = read_trajectory(trajectory)
    rng, content = np.random.default_rng(seed), bytearray(trajectory.read_bytes())
    for at in rng.integers(len(content), size=2):
        content[at] ^= rng.integers(1, 256)
    trajectory.write_bytes(content)
    done = mdbench("info", trajectory)
    assert done.status in (0, 2), done
    if done.status == 2:
        assert done.err.startswith(f"mdbench: error: {trajectory}")
        assert done.err.count("\n") == 1
    else:
        after = read_trajectory(trajectory)
        assert error_of(after.positions, before.positions) == 0


# Numbers and cells

EXTXYZ = '2\nLattice="{cell}" Properties=species:S:1:pos:R:3 pbc="T T T"\n{rows}'
GOOD_CELL = "5 0 0 0 5 0 0 0 5"
GOOD_ROWS = "Li 0.1 0.2 0.3\nS 2.5 2.5 2.5\n"
DUMP = (
    "ITEM: TIMESTEP\n{step}\nITEM: NUMBER OF ATOMS\n2\nITEM: BOX BOUNDS pp pp pp\n{box}\n"
    "ITEM: ATOMS {columns}\n{rows}"
)
GOOD_BOX = "0 5\n0 5\n0 5"
GOOD_ATOMS = "1 Li 0.1 0.2 0.3\n2 S 2.5 2.5 2.5\n"
XDATCAR = "run\n1.0\n{cell}\nLi S\n1 1\n"
FRAME = "Direct configuration= {n}\n{rows}"
ROWS = "0.1 0.2 0.3\n0.5 0.5 0.5\n"


def extxyz(cell=GOOD_CELL, rows=GOOD_ROWS) -> str:
    good = EXTXYZ.format(cell=GOOD_CELL, rows=GOOD_ROWS)
    return good + EXTXYZ.format(cell=cell, rows=rows) + good


def dump(box=GOOD_BOX, columns="id element x y z", rows=GOOD_ATOMS) -> str:
    good = {"box": GOOD_BOX, "columns": "id element x y z", "rows": GOOD_ATOMS}
    changed = {"box": box, "columns": columns, "rows": rows}
    return "".join(DUMP.format(step=i, **(changed if i == 1 else good)) for i in range(3))


def xdatcar(rows=ROWS, cell="5 0 0\n0 5 0\n0 0 5") -> str:
    frames = (FRAME.format(n=i + 1, rows=rows if i == 1 else ROWS) for i in range(3))
    return XDATCAR.format(cell=cell) + "".join(frames)


BAD_NUMBERS = {
    "extxyz nan": ("a.extxyz", extxyz(rows=GOOD_ROWS.replace("0.2", "nan")), ["frame 1"]),
    "extxyz inf": ("a.extxyz", extxyz(rows=GOOD_ROWS.replace("0.2", "-inf")), ["frame 1"]),
    "extxyz huge": ("a.extxyz", extxyz(rows=GOOD_ROWS.replace("0.2", "1e400")), ["frame 1"]),
    "extxyz word": ("a.extxyz", extxyz(rows=GOOD_ROWS.replace("0.2", "two")), ["frame 1", "two"]),
    "extxyz stars": ("a.extxyz", extxyz(rows=GOOD_ROWS.replace("0.2", "******")), ["frame 1"]),
    "dump nan": ("a.dump", dump(rows=GOOD_ATOMS.replace("0.2", "nan")), ["frame 1"]),
    "dump inf": ("a.dump", dump(rows=GOOD_ATOMS.replace("0.2", "inf")), ["frame 1"]),
    "dump word": ("a.dump", dump(rows=GOOD_ATOMS.replace("0.2", "two")), ["frame 1", "two"]),
    "XDATCAR nan": ("XDATCAR", xdatcar(rows=ROWS.replace("0.2", "NaN")), ["frame 1", "line 12"]),
    "XDATCAR inf": ("XDATCAR", xdatcar(rows=ROWS.replace("0.2", "Infinity")), ["line 12"]),
    "XDATCAR stars": ("XDATCAR", xdatcar(rows=ROWS.replace("0.2", "*****")), ["line 12"]),
    "extxyz zero cell": ("a.extxyz", extxyz(cell="0 0 0 0 0 0 0 0 0"), ["frame 1"]),
    "extxyz flat cell": ("a.extxyz", extxyz(cell="5 0 0 0 5 0 5 5 0"), ["frame 1"]),
    "extxyz nan cell": ("a.extxyz", extxyz(cell="5 0 0 0 5 0 0 0 nan"), ["frame 1"]),
    "extxyz inf cell": ("a.extxyz", extxyz(cell="5 0 0 0 inf 0 0 0 5"), ["frame 1"]),
    "extxyz eight numbers": ("a.extxyz", extxyz(cell="5 0 0 0 5 0 0 0"), ["frame 1"]),
    "dump zero box": ("a.dump", dump(box="0 5\n0 0\n0 5"), ["frame 1"]),
    "dump negative box": ("a.dump", dump(box="0 5\n5 0\n0 5"), ["frame 1"]),
    "dump nan box": ("a.dump", dump(box="0 5\n0 nan\n0 5"), ["frame 1"]),
    "XDATCAR zero cell": ("XDATCAR", xdatcar(cell="0 0 0\n0 0 0\n0 0 0"), []),
    "XDATCAR flat cell": ("XDATCAR", xdatcar(cell="5 0 0\n0 5 0\n5 5 0"), []),
    "XDATCAR nan cell": ("XDATCAR", xdatcar(cell="5 0 0\n0 nan 0\n0 0 5"), ["line 4"]),
}


@pytest.mark.parametrize(("name", "text", "words"), BAD_NUMBERS.values(), ids=BAD_NUMBERS)
def test_numbers_and_cells(name, text, words, tmp_path, refused) -> None:
    refused("ingest", write(tmp_path, name, text), *INTERVAL, words=words)


@pytest.mark.parametrize("text", [extxyz(), dump(), xdatcar()], ids=["extxyz", "dump", "XDATCAR"])
def test_what_was_spoiled_was_sound_before(text, tmp_path, mdbench) -> None:
    name = {"2": "a.extxyz", "I": "a.dump", "r": "XDATCAR"}[text[0]]
    done = mdbench("ingest", write(tmp_path, name, text), "-o", tmp_path / "a.h5", *INTERVAL)
    assert done.status == 0
    assert "2 atoms, 3 frames" in done.out


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("name", ["ase", "h5md", "vasprun", "outcar", "cp2k"])
def test_positions_that_are_no_numbers(name, value, tmp_path, refused) -> None:
    form = FORMS[name]
    if name in ("vasprun", "outcar", "cp2k"):
        source = form.write(tmp_path, little_run())
        text = source.read_text()
        place = {"vasprun": '"positions"', "outcar": "POSITION", "cp2k": "i = "}[name]
        at = text.index("0.", text.index(place, len(text) // 2))
        source.write_text(f"{text[:at]}{value} {text[at + 6 :]}")
    else:
        source = form.write(tmp_path, little_run())
        if name == "h5md":
            with h5py.File(source, "r+") as file:
                file["particles/all/position/value"][7, 3, 1] = value
        else:
            content, wanted = source.read_bytes(), little.wrapped(little_run()).positions[7, 3, 1]
            spoiled = content.replace(wanted.tobytes(), np.float64(value).tobytes())
            assert spoiled != content
            source.write_bytes(spoiled)
    refused("ingest", source, *form.options, words=["frame"])


# Atoms

ATOMS = {
    "extxyz number": ("a.extxyz", extxyz().replace("2\n", "1\n", 2).replace("1\n", "2\n", 1), []),
    "extxyz order": (
        "a.extxyz",
        extxyz(rows="S 2.5 2.5 2.5\nLi 0.1 0.2 0.3\n"),
        ["frame 1", "atom 0"],
    ),
    "extxyz element": ("a.extxyz", extxyz(rows=GOOD_ROWS.replace("S", "Se")), ["frame 1, atom 1"]),
    "extxyz unknown": ("a.extxyz", extxyz().replace("Li", "Xx"), ["Xx"]),
    "dump number": (
        "a.dump",
        dump() + dump().replace("ATOMS\n2", "ATOMS\n1"),
        ["frame 3", "number of atoms"],
    ),
    "dump element": ("a.dump", dump(rows=GOOD_ATOMS.replace("S", "Se")), ["frame 1"]),
    "dump id twice": ("a.dump", dump(rows=GOOD_ATOMS.replace("2 S", "1 S")), ["frame 1"]),
    "dump other id": ("a.dump", dump(rows=GOOD_ATOMS.replace("2 S", "3 S")), ["frame 1"]),
    "dump unknown": ("a.dump", dump().replace("Li", "Xx"), ["Xx"]),
    "dump no ids": (
        "a.dump",
        dump().replace("id element", "element").replace("1 Li", "Li").replace("2 S", "S"),
        ["no atom ids", "--constant-order"],
    ),
    "dump no box": (
        "a.dump",
        dump().replace(f"ITEM: BOX BOUNDS pp pp pp\n{GOOD_BOX}\n", ""),
        ["box"],
    ),
    "dump types": ("a.dump", dump().replace("element", "type").replace("Li", "1"), ["type"]),
    "dump no positions": ("a.dump", dump().replace("x y z", "fx fy fz"), ["x y z"]),
    "XDATCAR unknown": ("XDATCAR", xdatcar().replace("Li", "Xx"), ["line 6", "Xx"]),
    "XDATCAR VASP 4": ("XDATCAR", xdatcar().replace("Li S\n", ""), ["--species"]),
    "XDATCAR fewer rows": ("XDATCAR", xdatcar(rows="0.1 0.2 0.3\n"), ["line 13", "frame 1"]),
    "XDATCAR other atoms": (
        "XDATCAR",
        xdatcar() + xdatcar().replace("Li S\n1 1", "S Li\n1 1"),
        ["frame 3"],
    ),
    "XDATCAR more atoms": (
        "XDATCAR",
        xdatcar() + xdatcar(rows=ROWS).replace("\n1 1\n", "\n2 1\n"),
        ["frame 3"],
    ),
}


@pytest.mark.parametrize(("name", "text", "words"), ATOMS.values(), ids=ATOMS)
def test_atoms(name, text, words, tmp_path, refused) -> None:
    refused("ingest", write(tmp_path, name, text), *INTERVAL, words=words)


@pytest.mark.parametrize(
    "text",
    [
        extxyz().replace("Li", "S").replace("S 2.5", "Li 2.5"),
        extxyz().replace("S 2.5", "P 2.5"),
        extxyz().replace("2\n", "1\n").replace("S 2.5 2.5 2.5\n", ""),
    ],
    ids=["order", "element", "number"],
)
def test_other_atoms_in_a_continuation(text, tmp_path, refused) -> None:
    first = write(tmp_path, "first.extxyz", extxyz())
    second = write(tmp_path, "second.extxyz", text)
    refused("ingest", first, second, *INTERVAL, words=["other atoms", "Li1 S1"], names=second)


def test_frames_too_far_apart(tmp_path, refused) -> None:
    far = "".join(
        EXTXYZ.format(cell=GOOD_CELL, rows=f"Li {x} {x} 0.3\nS 2.5 2.5 2.5\n")
        for x in (0.0, 0.1, 2.5)
    )
    refused(
        "ingest",
        write(tmp_path, "a.extxyz", far),
        *INTERVAL,
        words=["frame 2, atom 0", "too far apart", "found 3.39 A", "--frame-interval-fs 0"],
    )


def test_one_source_that_is_bad_spoils_the_run(tmp_path, refused) -> None:
    good = write(tmp_path, "good.extxyz", extxyz())
    bad = write(tmp_path, "bad.extxyz", extxyz(rows=GOOD_ROWS.replace("0.2", "nan")))
    refused("ingest", good, bad, *INTERVAL, names=bad)


# Settings

SETTINGS = {
    "interval negative": ["--frame-interval-fs", "-1"],
    "interval nan": ["--frame-interval-fs", "nan"],
    "interval infinite": ["--frame-interval-fs", "inf"],
    "interval word": ["--frame-interval-fs", "2fs"],
    "timestep zero": ["--timestep-fs", "0"],
    "temperature zero": ["--temperature", "0"],
    "temperature negative": ["--temperature", "-300"],
    "stride zero": ["--stride", "0"],
    "stride negative": ["--stride", "-2"],
    "stride fraction": ["--stride", "1.5"],
    "mobile unknown": ["--mobile", "Xx"],
    "mobile empty": ["--mobile", ""],
    "species unknown": ["--species", "Xx"],
    "species empty": ["--species", ""],
    "species half": ["--species", "1=O,2"],
    "species twice": ["--species", "1=O,1=H"],
    "cell zero": ["--cell", "0,0,0"],
    "cell two numbers": ["--cell", "1,2"],
    "cell nan": ["--cell", "nan,5,5"],
    "cell infinite": ["--cell", "inf,5,5"],
    "cell negative": ["--cell", "-5,5,5"],
    "cell angles": ["--cell", "5,5,5,200,90,90"],
    "cell impossible angles": ["--cell", "5,5,5,10,20,170"],
    "cell flat angles": ["--cell", "5,5,5,30,60,90"],
    "cell flat": ["--cell", "5,0,0,0,5,0,5,5,0"],
    "cell words": ["--cell", "five,five,five"],
    "cell no file": ["--cell", "none.cell"],
    "cell very long": ["--cell", "x" * 5000],
    "units": ["--lammps-units", "lj"],
}


@pytest.mark.parametrize("options", SETTINGS.values(), ids=SETTINGS)
def test_settings(options, tmp_path, refused) -> None:
    source = write(tmp_path, "a.extxyz", extxyz())
    others = [] if options[0] == INTERVAL[0] else INTERVAL
    refused("ingest", source, *others, *options, names="")


RDF_SETTINGS = {
    "bins negative": (["--dr", "-0.1"], "--dr"),
    "bins zero": (["--dr", "0"], "--dr"),
    "bins nan": (["--dr", "nan"], "--dr"),
    "bins wider than all": (["--dr", "7"], "--dr"),
    "too many bins": (["--dr", "1e-9"], "--dr"),
    "r max zero": (["--r-max", "0"], "--r-max"),
    "r max negative": (["--r-max", "-6"], "--r-max"),
    "r max nan": (["--r-max", "nan"], "--r-max"),
    "r max infinite": (["--r-max", "inf"], "--r-max"),
    "r max word": (["--r-max", "six"], "--r-max"),
    "r max of nonsense": (["--r-max", "1e5", "--dr", "1"], "r"),
    "skip negative": (["--skip-ps", "-1"], "--skip-ps"),
    "skip everything": (["--skip-ps", "1000"], "skip"),
    "stride zero": (["--stride", "0"], "--stride"),
    "threads": (["--threads", "0"], "--threads"),
}


@pytest.mark.parametrize(("options", "word"), RDF_SETTINGS.values(), ids=RDF_SETTINGS)
def test_rdf_settings(options, word, trajectory, tmp_path, refused) -> None:
    refused("rdf", trajectory, *options, names=word)


# Outputs

COMMANDS = ("ingest", "convert", "rdf")


def command_line(name: str, trajectory: Path) -> list[object]:
    source = trajectory.with_name("run.extxyz")
    return [name, source if name == "ingest" else trajectory]


def fitting(name: str, folder: Path) -> Path:
    return folder / ("out.extxyz" if name == "convert" else "out.h5")


@pytest.mark.parametrize("name", COMMANDS)
def test_an_output_that_exists(name, trajectory, tmp_path, refused, mdbench) -> None:
    output = fitting(name, tmp_path)
    output.write_text("mine")
    refused(*command_line(name, trajectory), output=output, names=output, words=["--force"])
    assert output.read_text() == "mine"
    assert mdbench(*command_line(name, trajectory), "-o", output, "--force").status == 0
    assert len(output.read_bytes()) > 1000


def test_a_failure_under_force_leaves_the_old_file(tmp_path, refused) -> None:
    output = write(tmp_path, "old.h5", "mine")
    bad = write(tmp_path, "bad.extxyz", extxyz(rows=GOOD_ROWS.replace("0.2", "nan")))
    refused("ingest", bad, *INTERVAL, "--force", output=output)
    assert output.read_text() == "mine"


@pytest.mark.parametrize("name", COMMANDS)
def test_an_output_that_is_a_folder(name, trajectory, tmp_path, refused) -> None:
    folder = fitting(name, tmp_path)
    folder.mkdir()
    refused(
        *command_line(name, trajectory), "--force", output=folder, names=folder, words=["folder"]
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_an_output_below_a_file(name, trajectory, tmp_path, refused) -> None:
    output = fitting(name, trajectory / "deep")
    refused(*command_line(name, trajectory), output=output, names=trajectory)


@pytest.mark.parametrize("name", COMMANDS)
def test_an_output_that_is_no_regular_file(name, trajectory, tmp_path, refused) -> None:
    """A pipe or a device is not replaced by a file, also under --force."""
    pipe = fitting(name, tmp_path)
    os.mkfifo(pipe)
    refused(*command_line(name, trajectory), "--force", output=pipe, names=pipe)
    assert pipe.is_fifo()


def test_an_output_with_a_long_name(tmp_path, refused) -> None:
    source = write(tmp_path, "a.extxyz", extxyz())
    for length in (252, 300):  # with and without room for the temporary name
        refused(
            "ingest", source, *INTERVAL, output=tmp_path / ("y" * length), names="",
            words=["File name too long"],
        )  # fmt: skip


def test_an_output_of_unknown_kind(trajectory, tmp_path, refused) -> None:
    output = tmp_path / "out.xzy"
    refused("convert", trajectory, output=output, names=output, words=["did you mean .xyz"])


@pytest.mark.parametrize("how", ["same name", "symbolic link", "hard link"])
def test_an_output_that_is_a_source(how, tmp_path, refused) -> None:
    source = write(tmp_path, "a.extxyz", extxyz())
    output = source if how == "same name" else tmp_path / "b.h5"
    if how == "symbolic link":
        output.symlink_to(source)
    elif how == "hard link":
        output.hardlink_to(source)
    refused("ingest", source, *INTERVAL, "--force", output=output, names=output, words=["source"])
    assert source.read_text() == extxyz()


@pytest.mark.parametrize("name", COMMANDS)
def test_a_folder_that_cannot_be_written(name, trajectory, tmp_path, refused, request) -> None:
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o555)
    tmp_path.chmod(0o777)
    request.getfixturevalue("ordinary_user")
    for output in (fitting(name, folder), fitting(name, folder / "new")):
        refused(
            *command_line(name, trajectory), output=output, names=folder,
            words=["Permission denied"],
        )  # fmt: skip
    assert not list(folder.iterdir())


def test_files_that_cannot_be_read(trajectory, tmp_path, refused, request) -> None:
    source = trajectory.with_name("run.extxyz")
    tmp_path.chmod(0o777)
    for path in (source, trajectory):
        path.chmod(0o000)
    request.getfixturevalue("ordinary_user")
    refused("ingest", source, words=["not readable"])
    for command in ("info", "rdf"):
        refused(command, trajectory, words=["not readable"], output=None)


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("limit", [0, 9000], ids=["at once", "in the middle"])
def test_a_full_disk(name, limit, tmp_path, mdbench) -> None:
    """A process whose files may not grow past a limit, at the start and in the middle."""
    run = little_run(300)
    mdbench("ingest", FORMS["extxyz"].write(tmp_path, run), "-o", tmp_path / "sound.h5")
    output = fitting(name, tmp_path)
    args = [*command_line(name, tmp_path / "sound.h5"), "-o", output, "--quiet"]
    code = (
        "import resource, sys; from mdbench_cli.main import run; import mdbench.stages.rdf;"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}));"
        "sys.exit(run(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, args)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2, done
    assert done.stderr == (
        f"mdbench: error: {output}: disk full while writing; "
        "free space or write elsewhere with -o\n"
    )
    assert not output.exists()
    assert not list(tmp_path.glob("*.part"))


def test_a_disk_that_is_full(tmp_path, mdbench, refused) -> None:
    """The same on a real file system, where the machine lets us make a small one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)],
        capture_output=True,
        check=False,
    )
    if made.returncode:
        pytest.skip("a file system cannot be mounted here")
    try:
        source = FORMS["extxyz"].write(tmp_path, little_run(200))
        words = ["disk full while writing"]
        refused("ingest", source, output=disk / "out.h5", names=disk / "out.h5", words=words)
        assert not list(disk.iterdir())
        mdbench("ingest", source, "-o", tmp_path / "sound.h5")
        output = disk / "out.extxyz"
        refused("convert", tmp_path / "sound.h5", output=output, names=output, words=words)
        assert not list(disk.iterdir())
    finally:
        subprocess.run(["umount", str(disk)], check=True)


STOPPED = """
import sys, time
from mdbench.store import TrajectoryWriter
append = TrajectoryWriter.append
def slow(self, *args):
    append(self, *args)
    self._file.flush()
    print("writing", flush=True)
    time.sleep(60)
TrajectoryWriter.append = slow
from mdbench_cli.main import main
main(sys.argv[1:])
"""


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGINT], ids=["kill -9", "ctrl-c"])
def test_a_process_that_is_stopped(sign, tmp_path, mdbench) -> None:
    source, output = write(tmp_path, "a.extxyz", extxyz()), tmp_path / "a.h5"
    args = ["ingest", str(source), *INTERVAL, "-o", str(output)]
    process = subprocess.Popen(
        [sys.executable, "-c", STOPPED, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"writing\n"
    assert (tmp_path / "a.h5.part").exists()
    process.send_signal(sign)
    _, err = process.communicate()
    assert not output.exists()
    if sign == signal.SIGINT:
        assert process.returncode == 130
        assert err.split(b"\n") == [b"", b"mdbench: interrupted", b""]
        assert not (tmp_path / "a.h5.part").exists()
    assert mdbench(*args).status == 0
    assert read_trajectory(output).n_frames == 3
    assert not (tmp_path / "a.h5.part").exists()


# Hostile files

SECRET = "correct horse battery staple"
BOMB = "".join(f'<!ENTITY e{i} "{f"&e{i - 1};" * 10}">\n' for i in range(1, 30))
ENTITIES = {
    "bomb": f'<!DOCTYPE modeling [\n<!ENTITY e0 "ha">\n{BOMB}]>',
    "long entity": f'<!DOCTYPE modeling [\n<!ENTITY e29 "{"ha" * 100_000}">\n]>',
    "external entity": '<!DOCTYPE modeling [\n<!ENTITY e29 SYSTEM "file://{secret}">\n]>',
    "parameter entity": '<!DOCTYPE modeling [\n<!ENTITY % e SYSTEM "file://{secret}"> %e;\n]>',
    "external subset": '<!DOCTYPE modeling SYSTEM "file://{secret}">',
}


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gz"])
@pytest.mark.parametrize("doctype", ENTITIES.values(), ids=ENTITIES)
def test_entities_in_a_vasprun(doctype, packed, tmp_path, refused) -> None:
    secret = write(tmp_path, "secret", SECRET)
    source = little.write_vasprun(tmp_path, little_run(3))
    first, rest = source.read_text().split("\n", 1)
    rest = rest.replace("<generator>", "<generator>\n<i>&e29;</i>", 1)
    source.write_text(f"{first}\n{doctype.replace('{secret}', str(secret))}\n{rest}")
    if packed:
        source = little.gzipped(source)
    line = refused("ingest", source)
    assert SECRET not in line
    assert len(line) < 1000


def link(path: Path, kind: str, target: Path) -> None:
    """Makes the positions of an HDF5 file come from another one."""
    with h5py.File(path, "r+") as file:
        (place,) = [
            p for p in ("particles/trajectory/position", "particles/all/position") if p in file
        ]
        values, group = file[f"{place}/value"][()], file[place]
        del group["value"]
        if kind == "external link":
            group["value"] = h5py.ExternalLink(target, f"{place}/value")
        elif kind == "linked group":
            del file["particles"]
            file["particles"] = h5py.ExternalLink(target, "particles")
        elif kind == "virtual dataset":
            layout = h5py.VirtualLayout(values.shape, values.dtype)
            layout[...] = h5py.VirtualSource(target, f"{place}/value", values.shape)
            group.create_virtual_dataset("value", layout)
        else:
            raw = target.with_suffix(".raw")
            raw.write_bytes(values.tobytes())
            group.create_dataset(
                "value", values.shape, values.dtype, external=[(str(raw), 0, values.nbytes)]
            )


LINKS = ("external link", "linked group", "virtual dataset", "external storage")


@pytest.mark.parametrize("kind", LINKS)
def test_trajectories_that_lead_elsewhere(kind, trajectory, tmp_path, refused) -> None:
    target = write(tmp_path, "target.h5", trajectory.read_bytes())
    link(trajectory, kind, target)
    for command in ("info", "rdf"):
        refused(command, trajectory, words=["another file"], output=None)
    refused("convert", trajectory, words=["another file"], output=tmp_path / "out.extxyz")


@pytest.mark.parametrize("kind", LINKS)
def test_foreign_hdf5_files_that_lead_elsewhere(kind, tmp_path, refused) -> None:
    source = little.write_h5md(tmp_path, little_run())
    target = write(tmp_path, "target.h5", source.read_bytes())
    link(source, kind, target)
    refused("ingest", source, words=["another file"])


def test_a_trajectory_is_not_a_foreign_file_and_the_other_way_round(
    trajectory, tmp_path, refused
) -> None:
    foreign = little.write_h5md(tmp_path, little_run())
    for command in ("info", "rdf"):
        refused(command, foreign, words=["mdbench ingest"], output=None)
    refused("ingest", trajectory, words=["already an mdbench trajectory"])
