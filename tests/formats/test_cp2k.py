"""The reader of CP2K runs: files beside the positions, units, restarts, broken input."""

import bz2
import gzip
import lzma
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest
from ase import units
from hypothesis import given, settings
from hypothesis import strategies as st

from mdbench.errors import InputError
from mdbench.formats import cp2k
from mdbench.formats.base import Frames, Hints
from mdbench.formats.cp2k import looks_like_cp2k
from mdbench.units import ATOMIC_TIME_IN_FS, BOHR_IN_ANGSTROM, HARTREE_IN_EV

open_cp2k: Any = cp2k.open_cp2k

SYMBOLS = ("Li", "Li", "P", "S")
FIXED = Hints(cell=np.diag([9.0, 8.0, 7.0]))


@dataclass
class Run:
    """The numbers of a made-up run, as printed: what a reader has to give back."""

    steps: list[int]
    arrays: dict[str, np.ndarray]
    cells: np.ndarray
    energies: np.ndarray


def made_up(steps: list[int]) -> Run:
    rng = np.random.default_rng(len(steps))
    arrays = {role: rng.normal(size=(len(steps), 4, 3)).round(10) for role in ("pos", "frc", "vel")}
    cells = (np.diag([9.0, 8, 7]) + rng.uniform(size=(len(steps), 3, 3))).round(10)
    return Run(steps, arrays, cells, rng.normal(size=len(steps)).round(10))


def xyz(run: Run, role: str, *, labels=SYMBOLS, keep=slice(None), timestep=0.5) -> str:
    text = ""
    for at in range(len(run.steps))[keep]:
        step = run.steps[at]
        text += f"{len(labels):8d}\n i = {step:8d}, time = {step * timestep:12.3f}, "
        text += f"E = {run.energies[at]:20.10f}\n"
        for label, row in zip(labels, run.arrays[role][at], strict=False):
            text += f"  {label:<3}{row[0]:20.10f}{row[1]:20.10f}{row[2]:20.10f}\n"
    return text


def cell_table(run: Run, keep=slice(None)) -> str:
    text = "#   Step   Time [fs]       Ax [Angstrom]       Ay [Angstrom]  and so on\n"
    for at in range(len(run.steps))[keep]:
        numbers = "".join(f"{x:20.10f}" for x in run.cells[at].ravel())
        text += f"{run.steps[at]:8d}{run.steps[at] * 0.5:12.3f}{numbers}{500.0:25.10f}\n"
    return text


def ener_table(temperatures) -> str:
    text = "#     Step Nr.          Time[fs]        Kin.[a.u.]          Temp[K]      and so on\n"
    return text + "".join(
        f"{i} {i * 0.5:f} 0.7 {t:f} -6.0 -5.0 0.0\n" for i, t in enumerate(temperatures)
    )


def read(path: Path, hints: Hints | None = None) -> Any:
    blocks = list(open_cp2k(path, hints or Hints()).blocks)
    names = [n for n in vars(blocks[0]) if getattr(blocks[0], n) is not None]
    return Frames(**{n: np.concatenate([getattr(b, n) for b in blocks]) for n in names})


@pytest.fixture
def run_folder(tmp_path) -> tuple[Path, Run]:
    """A whole run under CP2K's own names: positions every 10 steps, the rest more often."""
    run = made_up([0, 10, 20, 30, 40])
    path = tmp_path / "LPS-pos-1.xyz"
    path.write_text(xyz(run, "pos"))
    (tmp_path / "LPS-frc-1.xyz").write_text(xyz(run, "frc"))
    (tmp_path / "LPS-vel-1.xyz").write_text(xyz(run, "vel"))
    (tmp_path / "LPS-1.cell").write_text(cell_table(run))
    (tmp_path / "LPS-1.ener").write_text(ener_table([800.0, 810.0, 820.0]))
    return path, run


def test_a_whole_run_in_our_units(run_folder):
    path, run = run_folder
    source = open_cp2k(path, Hints())
    (frames,) = source.blocks
    np.testing.assert_array_equal(frames.coordinates, run.arrays["pos"])
    np.testing.assert_array_equal(frames.cells, run.cells)
    np.testing.assert_array_equal(frames.steps, run.steps)
    np.testing.assert_array_equal(frames.times_fs, np.array(run.steps) * 0.5)
    np.testing.assert_allclose(frames.energies, run.energies * HARTREE_IN_EV, rtol=1e-15, atol=0)
    force = HARTREE_IN_EV / BOHR_IN_ANGSTROM
    np.testing.assert_allclose(frames.forces, run.arrays["frc"] * force, rtol=1e-15, atol=0)
    speed = BOHR_IN_ANGSTROM / ATOMIC_TIME_IN_FS
    np.testing.assert_allclose(frames.velocities, run.arrays["vel"] * speed, rtol=1e-15, atol=0)
    assert source.header.atomic_numbers.tolist() == [3, 3, 15, 16]
    assert source.header.timestep_fs == 0.5
    assert not source.header.unwrapped
    assert source.notes == ["mean kinetic temperature 810.0 K (LPS-1.ener)"]
    assert source.fraction() == 1.0


def test_units_are_those_of_ase():
    factors = dict(cp2k._BESIDE.values())
    np.testing.assert_allclose(factors["forces"], units.Hartree / units.Bohr, rtol=1e-6, atol=0)
    atomic_time = units.create_units("2018")["_aut"] * 1e15
    np.testing.assert_allclose(factors["velocities"], units.Bohr / atomic_time, rtol=1e-6, atol=0)


@pytest.mark.parametrize(
    ("suffix", "compress"), [(".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress)]
)
def test_every_file_may_be_compressed(run_folder, suffix, compress):
    path, run = run_folder
    for file in list(path.parent.iterdir()):
        file.with_name(file.name + suffix).write_bytes(compress(file.read_bytes()))
        file.unlink()
    frames = read(path.with_name(path.name + suffix))
    np.testing.assert_array_equal(frames.coordinates, run.arrays["pos"])
    np.testing.assert_array_equal(frames.cells, run.cells)
    assert frames.forces is not None
    assert frames.velocities is not None


def test_other_names_with_a_dot(tmp_path):
    run = made_up([0, 1])
    (tmp_path / "npt.pos-1.xyz").write_text(xyz(run, "pos"))
    (tmp_path / "npt.frc-1.xyz").write_text(xyz(run, "frc"))
    (tmp_path / "npt.cell").write_text(cell_table(run))
    frames = read(tmp_path / "npt.pos-1.xyz")
    np.testing.assert_array_equal(frames.cells, run.cells)
    assert frames.forces is not None
    (tmp_path / "npt.pos-1.xyz").rename(tmp_path / "renamed.xyz")
    (tmp_path / "npt.cell").rename(tmp_path / "renamed.cell")
    frames = read(tmp_path / "renamed.xyz")
    np.testing.assert_array_equal(frames.cells, run.cells)
    assert frames.forces is None


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("LPS-frc-1.xyz", "the forces of a CP2K run"),
        ("LPS-vel-1.xyz", "the velocities of a CP2K run"),
        ("LPS-1.cell", "the .cell file of a CP2K run"),
        ("LPS-1.ener", "the .ener file of a CP2K run"),
    ],
)
def test_the_other_files_say_which_one_to_give(run_folder, name, message):
    path = run_folder[0].with_name(name)
    assert looks_like_cp2k(name, path.read_bytes())
    with pytest.raises(InputError, match=f"{message}.*give LPS-pos-1.xyz"):
        open_cp2k(path, Hints())


def test_the_cell_of_the_user_wins(run_folder, tmp_path):
    path, run = run_folder
    frames = read(path, FIXED)
    np.testing.assert_array_equal(frames.cells, [FIXED.cell] * 5)
    other = made_up(run.steps)
    other.cells = run.cells + 1
    table = tmp_path / "mine.cell"
    table.write_text(cell_table(other))
    np.testing.assert_array_equal(read(path, Hints(cell=table)).cells, other.cells.round(10))


def test_no_cell_names_the_file_and_the_remedy(run_folder):
    path, _ = run_folder
    (path.parent / "LPS-1.cell").unlink()
    with pytest.raises(InputError, match=r"no cell: expected LPS-1\.cell or LPS\.cell.*--cell"):
        open_cp2k(path, Hints())


def test_cells_are_matched_by_step(run_folder):
    path, run = run_folder
    dense = made_up(list(range(0, 45, 5)))
    (path.parent / "LPS-1.cell").write_text(cell_table(dense))
    np.testing.assert_array_equal(read(path).cells, dense.cells[::2])
    (path.parent / "LPS-1.cell").write_text(cell_table(run, slice(None, None, 2)))
    with pytest.raises(
        InputError, match=r"LPS-1\.cell: no cells for frame 1: expected step 10, found step 20"
    ):
        read(path)


def test_forces_of_other_steps_are_refused(run_folder):
    path, run = run_folder
    (path.parent / "LPS-frc-1.xyz").write_text(xyz(run, "frc", keep=slice(None, None, 2)))
    with pytest.raises(InputError, match=r"frc-1\.xyz: no forces for frame 1.*move the file away"):
        read(path)
    (path.parent / "LPS-frc-1.xyz").write_text(xyz(run, "frc", keep=slice(0, 2)))
    with pytest.raises(InputError, match=r"no forces for frame 2: expected step 20, found the end"):
        read(path)


def test_a_restart_that_repeats_steps(tmp_path):
    run = made_up([0, 10, 20, 20, 30])
    run.cells[3] += 0.5
    path = tmp_path / "R-pos-1.xyz"
    path.write_text(xyz(run, "pos"))
    dense = made_up([0, 5, 10, 15, 20, 25, 10, 15, 20, 25, 30])
    (tmp_path / "R-1.cell").write_text(cell_table(dense))
    np.testing.assert_array_equal(read(path).cells, dense.cells[[0, 2, 4, 8, 10]])


def test_a_killed_run_ends_with_its_last_whole_frame(run_folder):
    path, run = run_folder
    text = path.read_text()
    path.write_text(text[:-40])
    source = open_cp2k(path, Hints())
    (frames,) = source.blocks
    np.testing.assert_array_equal(frames.coordinates, run.arrays["pos"][:4])
    assert source.notes[1:] == ["cut off in frame 4: that frame is dropped"]
    path.write_text(text)
    forces = path.parent / "LPS-frc-1.xyz"
    for cut in (forces.read_text()[:-40], xyz(run, "frc", keep=slice(0, 4))):
        forces.write_text(cut)
        source = open_cp2k(path, Hints())
        (frames,) = source.blocks
        np.testing.assert_array_equal(frames.coordinates, run.arrays["pos"][:4])
        assert source.notes[1:] == ["LPS-frc-1.xyz ends before frame 4: dropped from there on"]


def test_a_damaged_energy_table_is_a_note(run_folder):
    path, _ = run_folder
    (path.parent / "LPS-1.ener").write_text("# Step Nr.\n0 0.0 what is this\n")
    assert open_cp2k(path, Hints()).notes == ["LPS-1.ener is damaged: not used"]


def test_recomputed_frames_have_no_time_axis(tmp_path):
    run = made_up([1, 2, 3])
    path = tmp_path / "R-pos-1.xyz"
    path.write_text(xyz(run, "pos", timestep=0.0))
    source = open_cp2k(path, FIXED)
    assert not source.header.time_axis
    assert "every frame has time 0.000 fs" in source.header.no_time_reason
    assert source.header.timestep_fs is None
    (frames,) = source.blocks
    assert frames.times_fs is None
    assert frames.steps.tolist() == [1, 2, 3]


def test_an_optimization_has_no_times(tmp_path):
    path = tmp_path / "opt-pos-1.xyz"
    path.write_text("1\n i =        1, E =       -17.5\n H 0.0 0.0 0.0\n" * 2)
    source = open_cp2k(path, FIXED)
    assert not source.header.time_axis
    (frames,) = source.blocks
    assert frames.energies.tolist() == [-17.5 * HARTREE_IN_EV] * 2


def test_blocks_are_bounded(run_folder, monkeypatch):
    path, _ = run_folder
    monkeypatch.setattr(cp2k, "_BLOCK_FRAMES", 2)
    assert [b.n_frames for b in open_cp2k(path, Hints()).blocks] == [2, 2, 1]
    monkeypatch.setattr(cp2k, "_BLOCK_BYTES", 24 * 4)
    assert [b.n_frames for b in open_cp2k(path, Hints()).blocks] == [1] * 5


def test_small_pieces_of_the_file_make_no_difference(run_folder, monkeypatch):
    path, run = run_folder
    from mdbench.formats._stream import ByteStream

    whole = ByteStream.read
    monkeypatch.setattr(ByteStream, "read", lambda stream: whole(stream, 37))
    np.testing.assert_array_equal(read(path).coordinates, run.arrays["pos"])


@pytest.mark.parametrize(
    ("labels", "hints", "numbers"),
    [
        (("Li1", "LI2", "P", "s"), {}, [3, 3, 15, 16]),
        (("Li_a", "Li", "P", "S"), {}, [3, 3, 15, 16]),
        (("LiA", "Li", "P", "S"), {"LiA": "Na"}, [11, 3, 15, 16]),
        (("A", "B", "C", "D"), ("Li", "Li", "P", "S"), [3, 3, 15, 16]),
    ],
)
def test_kinds_become_elements(tmp_path, labels, hints, numbers):
    path = tmp_path / "k-pos-1.xyz"
    path.write_text(xyz(made_up([0, 1]), "pos", labels=labels))
    header = open_cp2k(path, Hints(cell=FIXED.cell, species=hints or None)).header
    assert header.atomic_numbers.tolist() == numbers


def test_unknown_kinds_are_refused_with_the_remedy(tmp_path):
    path = tmp_path / "k-pos-1.xyz"
    path.write_text(xyz(made_up([0]), "pos", labels=("Li", "OW", "P", "S")))
    with pytest.raises(InputError, match=r"frame 0: atom 1 is no element.*'OW'; .*--species"):
        open_cp2k(path, FIXED)
    with pytest.raises(InputError, match=r"one element for each of 4 atoms.*found 2"):
        open_cp2k(path, Hints(cell=FIXED.cell, species=("Li", "O")))


def test_forces_of_other_atoms_are_refused(run_folder):
    path, run = run_folder
    forces = path.parent / "LPS-frc-1.xyz"
    forces.write_text(xyz(run, "frc", labels=("Li", "P", "Li", "S")))
    with pytest.raises(InputError, match=r"frc-1\.xyz: frame 0: atom 1 is another one.*'Li'.*'P'"):
        read(path)
    forces.write_text(xyz(run, "frc", labels=SYMBOLS[:3]))
    with pytest.raises(InputError, match="other atoms than in the positions: expected 4"):
        read(path)
    forces.write_text(xyz(run, "frc", labels=("Li1", "Li2", "P", "S")))
    assert read(path).forces is not None


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("  P  ", "  Na ", r"frame 1: atom 2 changes: expected P, found 'Na'"),
        ("       4\n", "       3\n", r"frame 1: number of atoms changes: expected 4, found 3"),
        ("       4\n", "    four\n", r"frame 1: number of atoms: expected a frame that begins"),
        (" i = ", " k = ", r"frame 1: comment line: expected 'i = STEP"),
        ("time =        5.000, ", "", r"frame 1: expected a time|frame 1: comment line"),
        ("time =        5.000", "time =    *******", r"frame 1: time in the comment line"),
    ],
)
def test_a_later_frame_that_does_not_fit(tmp_path, old, new, message):
    first, second = (xyz(made_up([0, 10]), "pos", keep=slice(i, i + 1)) for i in (0, 1))
    path = tmp_path / "b-pos-1.xyz"
    path.write_text(first + second.replace(old, new, 1) + first)
    with pytest.raises(InputError, match=message):
        read(path, FIXED)


@pytest.mark.parametrize("junk", ["NaN", "inf", "1e999", "********", "abc", "1.0-2.0", "<a>", ""])
def test_what_is_no_number_is_named_by_frame_and_atom(tmp_path, junk):
    text = xyz(made_up([0, 10]), "pos")
    lines = text.splitlines()
    label, x, _, z = lines[9].split()
    lines[9] = f"  {label} {x} {junk} {z}"
    path = tmp_path / "n-pos-1.xyz"
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(InputError, match="frame 1: atom 1: expected a label and three finite"):
        read(path, FIXED)


@pytest.mark.parametrize(
    ("row", "found"),
    [("10 5.0 1 2 3", "10 5.0 1 2 3"), ("ten" + " 1.0" * 11, "ten"), ("10" + " nan" * 11, "nan")],
)
def test_a_broken_cell_table_is_named_by_line(run_folder, row, found):
    path, run = run_folder
    table = path.parent / "LPS-1.cell"
    lines = cell_table(run).splitlines()
    table.write_text("\n".join([*lines[:2], row, *lines[3:]]) + "\n")
    with pytest.raises(InputError, match=rf"LPS-1\.cell: line 3: cell: .*{found}"):
        read(path)


def test_every_truncation_is_a_prefix_or_one_line(run_folder):
    path, run = run_folder
    data, counts = path.read_bytes(), set()
    for length in [*range(1, len(data), 7), len(data)]:
        path.write_bytes(data[:length])
        try:
            frames = read(path)
        except InputError:
            continue
        counts.add(frames.n_frames)
        np.testing.assert_array_equal(frames.coordinates, run.arrays["pos"][: frames.n_frames])
        np.testing.assert_array_equal(frames.cells, run.cells[: frames.n_frames])
    assert counts == {1, 2, 3, 4, 5}


def test_truncated_files_beside_never_shift_frames(run_folder):
    path, run = run_folder
    for name in ("LPS-frc-1.xyz", "LPS-1.cell"):
        beside = path.with_name(name)
        data = beside.read_bytes()
        for length in range(1, len(data), 41):
            beside.write_bytes(data[:length])
            blocks = []
            with suppress(InputError):
                blocks = list(open_cp2k(path, Hints()).blocks)
            for frames in blocks:
                n = frames.n_frames
                np.testing.assert_array_equal(frames.coordinates, run.arrays["pos"][:n])
                np.testing.assert_array_equal(frames.cells, run.cells[:n])
        beside.write_bytes(data)


@settings(max_examples=100, deadline=None)
@given(
    role=st.sampled_from(["P-pos-1.xyz", "P-frc-1.xyz", "P-1.cell", "P-1.ener"]),
    place=st.floats(0, 1, exclude_max=True),
    junk=st.binary(min_size=1, max_size=12),
)
def test_corruption_is_never_a_traceback(role, place, junk):
    run = made_up([0, 1, 2])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "P-pos-1.xyz"
        path.write_text(xyz(run, "pos"))
        (path.parent / "P-frc-1.xyz").write_text(xyz(run, "frc"))
        (path.parent / "P-1.cell").write_text(cell_table(run))
        (path.parent / "P-1.ener").write_text(ener_table([300.0, 301.0]))
        data = bytearray((path.parent / role).read_bytes())
        at = int(place * len(data))
        data[at : at + len(junk)] = junk
        (path.parent / role).write_bytes(data)
        with suppress(InputError):
            assert sum(b.n_frames for b in open_cp2k(path, Hints()).blocks) <= 3


@settings(max_examples=50, deadline=None)
@given(junk=st.binary(max_size=200), head=st.sampled_from([b"", b"2\n i = 0, time = 0, E = 1\n"]))
def test_random_bytes_are_never_a_traceback(junk, head):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bad.xyz"
        path.write_bytes(head + junk)
        with pytest.raises(InputError):
            read(path, FIXED)


def test_told_from_other_xyz_files():
    run = made_up([0])
    assert looks_like_cp2k("x.xyz", xyz(run, "pos").encode())
    assert not looks_like_cp2k("x.xyz", b"2\nwater\nO 0 0 0\nH 0 0 1\n")
    assert not looks_like_cp2k("x.xyz", b'1\nLattice="1 0 0 0 1 0 0 0 1"\nH 0 0 0\n')
    assert not looks_like_cp2k("x.xyz", b"")


@pytest.mark.parametrize(
    ("name", "n_frames", "hints"),
    [
        ("CP2K_npt_f.pos-1.xyz", 11, Hints()),
        ("CP2K_npt.pos-1.xyz.gz", 101, Hints()),
        ("CP2K_reftraj_notime.pos-1.xyz.gz", 30, Hints(cell=np.diag([10.451, 12.068, 39.754]))),
    ],
)
def test_real_runs(real_data, name, n_frames, hints):
    frames = read(real_data / name, hints)
    assert frames.n_frames == n_frames
    peer = ase.io.read(real_data / name, index=-1)
    np.testing.assert_array_equal(frames.coordinates[-1], peer.positions)
    source = open_cp2k(real_data / name, hints)
    np.testing.assert_array_equal(source.header.atomic_numbers, peer.numbers)
    assert source.header.time_axis == ("reftraj" not in name)


def test_real_cells_and_forces(real_data):
    frames = read(real_data / "CP2K_npt.pos-1.xyz.gz")
    volumes = np.linalg.det(frames.cells)
    np.testing.assert_allclose(volumes[[0, -1]], [27286.327614, 36350.2658], rtol=1e-8, atol=0)
    frames = read(real_data / "CP2K_npt_f.pos-1.xyz")
    peer = ase.io.read(real_data / "CP2K_npt_f.frc-1.xyz", index=10).positions
    factor = HARTREE_IN_EV / BOHR_IN_ANGSTROM
    np.testing.assert_allclose(frames.forces[10], peer * factor, rtol=1e-14, atol=0)
