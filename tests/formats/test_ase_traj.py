"""The reader of ASE .traj files against ASE itself, on whole, broken and hostile files."""

import bz2
import gzip
import json
import lzma
import pickle
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms
from ase.data import atomic_masses
from ase.io.trajectory import Trajectory as AseTrajectory
from hypothesis import given, settings
from hypothesis import strategies as st

from mdbench.errors import InputError
from mdbench.formats import ase_traj
from mdbench.formats.ase_traj import looks_like_ase_traj
from mdbench.formats.base import Frames, Hints
from mdbench.units import AMU_ANGSTROM2_PER_FS2_IN_EV, ASE_TIME_IN_FS, BOLTZMANN_EV_PER_K

open_ase_traj: Any = ase_traj.open_ase_traj

RNG = np.random.default_rng(5)


def images(n_frames=6, *, calculator=True, **keywords) -> list[Atoms]:
    """Frames of five atoms in a cell that changes."""
    made = []
    for frame in range(n_frames):
        atoms = Atoms(
            "Li2PS2",
            positions=RNG.normal(size=(5, 3)) * 5,
            cell=[[8 + 0.1 * frame, 0, 0], [1, 7, 0], [-1, 0.5, 9]],
            pbc=True,
            momenta=RNG.normal(size=(5, 3)),
            **keywords,
        )
        if calculator:
            atoms.calc = SinglePointCalculator(
                atoms,
                energy=RNG.normal(),
                forces=RNG.normal(size=(5, 3)),
                stress=RNG.normal(size=6),
            )
        made.append(atoms)
    return made


def write(path: Path, frames: list[Atoms], **description) -> Path:
    with AseTrajectory(path, "w") as trajectory:
        if description:
            trajectory.set_description(description)
        for atoms in frames:
            trajectory.write(atoms)
    return path


def read(path: Path) -> Any:
    """All frames of a file as one block."""
    blocks = list(open_ase_traj(path, Hints()).blocks)
    names = [n for n in vars(blocks[0]) if all(getattr(b, n) is not None for b in blocks)]
    return Frames(**{n: np.concatenate([getattr(b, n) for b in blocks]) for n in names})


def ulm(items: list[dict], arrays: bytes = b"", tag: bytes = b"ASE-Trajectory") -> bytes:
    """A container written by hand; `arrays` begin at byte 48."""
    body, offsets = arrays, []
    for item in items:
        text = json.dumps(item).encode()
        offsets.append(48 + len(body))
        body += np.int64(len(text)).tobytes() + text
    header = np.array([3, len(items), 48 + len(body)], np.int64).tobytes()
    index = np.array(offsets, np.int64).tobytes()
    return b"- of Ulm" + tag.ljust(16) + header + body + index


def by_hand(**changes) -> dict:
    """One oxygen atom, all in JSON."""
    return {
        "pbc": [True, True, True],
        "numbers": [8],
        "positions": [[1.0, 2.0, 3.0]],
        "cell": [[9.0, 0, 0], [0, 9.0, 0], [0, 0, 9.0]],
    } | changes


@pytest.fixture(scope="module")
def six_frames(tmp_path_factory) -> Path:
    return write(tmp_path_factory.mktemp("traj") / "six.traj", images())


def test_reads_what_ase_reads(six_frames):
    frames, peers = read(six_frames), ase.io.read(six_frames, index=":")
    assert frames.n_frames == len(peers) == 6
    for frame, atoms in enumerate(peers):
        np.testing.assert_array_equal(frames.coordinates[frame], atoms.positions)
        np.testing.assert_array_equal(frames.cells[frame], atoms.cell.array)
        np.testing.assert_array_equal(frames.forces[frame], atoms.get_forces())
        np.testing.assert_array_equal(frames.stresses[frame], atoms.get_stress(voigt=False))
        assert frames.energies[frame] == atoms.get_potential_energy()
        np.testing.assert_allclose(
            frames.velocities[frame], atoms.get_velocities() / ASE_TIME_IN_FS, rtol=1e-13, atol=0
        )


def test_header_says_what_the_file_says(six_frames):
    source = open_ase_traj(six_frames, Hints())
    assert source.header.atomic_numbers.tolist() == [3, 3, 15, 16, 16]
    assert source.header.pbc.tolist() == [True, True, True]
    assert source.header.time_axis
    assert source.header.frame_interval_fs is None
    assert source.header.timestep_fs is None
    assert source.header.code.startswith("ASE 3.")
    assert source.fraction() == 0.0
    list(source.blocks)
    assert source.fraction() == 1.0
    assert source.notes == []


def test_description_of_a_dynamics_run_is_used(tmp_path):
    path = write(
        tmp_path / "md.traj",
        images(2),
        **{
            "type": "molecular-dynamics",
            "md-type": "Langevin",
            "timestep": 2.0 / ASE_TIME_IN_FS,
            "temperature_K": 800.0,
        },
    )
    header = open_ase_traj(path, Hints()).header
    assert (header.timestep_fs, header.temperature_k, header.thermostat) == (2.0, 800.0, "Langevin")


def test_an_optimization_is_no_time_series(tmp_path):
    path = write(tmp_path / "opt.traj", images(2), type="optimization", optimizer="BFGS")
    header = open_ase_traj(path, Hints()).header
    assert not header.time_axis
    assert "BFGS" in header.no_time_reason


def test_masses_of_the_file_give_the_velocities(tmp_path):
    path = write(tmp_path / "heavy.traj", images(2, masses=[7, 6, 31, 32, 34]))
    source = open_ase_traj(path, Hints())
    frames = next(source.blocks)
    peer = ase.io.read(path, index=1)
    np.testing.assert_allclose(
        frames.velocities[1], peer.get_velocities() / ASE_TIME_IN_FS, rtol=1e-13, atol=0
    )
    assert "masses" in source.notes[0]


def test_fields_that_end_are_left_out_with_a_note(tmp_path):
    path = write(tmp_path / "mixed.traj", [*images(3), *images(3, calculator=False)])
    source = open_ase_traj(path, Hints())
    (frames,) = source.blocks
    assert frames.n_frames == 6
    assert frames.forces is None
    assert frames.velocities is not None
    assert source.notes == ["frame 3 has no energies, forces, stresses: left out"]


def test_blocks_are_bounded(six_frames, monkeypatch):
    monkeypatch.setattr(ase_traj, "_BLOCK_FRAMES", 4)
    assert [b.n_frames for b in open_ase_traj(six_frames, Hints()).blocks] == [4, 2]
    monkeypatch.setattr(ase_traj, "_BLOCK_BYTES", 24 * 5 * 2)
    assert [b.n_frames for b in open_ase_traj(six_frames, Hints()).blocks] == [2, 2, 2]


@pytest.mark.parametrize(
    ("suffix", "compress"), [(".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress)]
)
def test_compressed_files_leave_nothing_behind(six_frames, tmp_path, monkeypatch, suffix, compress):
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    path = tmp_path / f"six.traj{suffix}"
    path.write_bytes(compress(six_frames.read_bytes()))
    np.testing.assert_array_equal(read(path).coordinates, read(six_frames).coordinates)
    path.write_bytes(compress(six_frames.read_bytes()[:100]))
    with pytest.raises(InputError, match=r"damaged|cut off"):
        open_ase_traj(path, Hints())
    assert list(folder.iterdir()) == []


def test_a_full_temporary_folder_is_one_line(six_frames, tmp_path, monkeypatch):
    class Full:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def write(self, _):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: Full())
    path = tmp_path / "six.traj.gz"
    path.write_bytes(gzip.compress(six_frames.read_bytes()))
    with pytest.raises(InputError, match=r"No space left.*TMPDIR"):
        open_ase_traj(path, Hints())


def test_other_atoms_in_a_later_frame_are_refused(tmp_path):
    frames = images(3)
    frames[2].symbols[1] = "Na"
    path = write(tmp_path / "swap.traj", frames)
    with pytest.raises(InputError, match=r"frame 2: other atoms.*expected atom 1 .* 3, found 11"):
        read(path)
    path = write(tmp_path / "fewer.traj", [*images(2), images(1)[0][:3]])
    with pytest.raises(InputError, match=r"frame 2: other atoms.*expected 5 atoms, found 3"):
        read(path)


def test_changing_boundaries_are_refused(tmp_path):
    frames = images(2)
    frames[1].pbc = [True, True, False]
    with pytest.raises(InputError, match="frame 1: periodic directions change"):
        read(write(tmp_path / "slab.traj", frames))


@pytest.mark.parametrize("field", ["positions", "momenta", "cell"])
def test_nan_is_refused(tmp_path, field):
    frames = images(3)
    values = {"positions": frames[1].positions, "cell": frames[1].cell.array}
    values["momenta"] = frames[1].arrays["momenta"]
    values[field][0, 0] = np.nan
    with pytest.raises(InputError, match=r"frame 1: \w+: expected finite"):
        read(write(tmp_path / "nan.traj", frames))


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("magic", [b"PickleTrajectory", b""])
def test_pickles_are_refused_and_never_loaded(tmp_path, magic):
    path, trace = tmp_path / "old.traj", tmp_path / "it ran"
    path.write_bytes(magic + pickle.dumps(Bomb(trace)))
    assert looks_like_ase_traj(path.name, path.read_bytes())
    with pytest.raises(InputError, match="pickled file, which could run any program"):
        open_ase_traj(path, Hints())
    assert not trace.exists()


def test_constraints_and_objects_are_never_built(tmp_path):
    item = by_hand(
        constraints='[{"name": "os.system", "kwargs": {"command": "touch /tmp/x"}}]',
        info={"__ase_objtype__": "atoms", "no": "such"},
    )
    path = tmp_path / "hostile.traj"
    path.write_bytes(ulm([item]))
    np.testing.assert_array_equal(read(path).coordinates, [[[1.0, 2.0, 3.0]]])


def test_constrained_runs_are_read(tmp_path):
    frames = images(2, constraint=FixAtoms([0]))
    path = write(tmp_path / "fixed.traj", frames)
    np.testing.assert_array_equal(read(path).coordinates[1], frames[1].positions)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"numbers": [0]}, "elements 1 to 118, found 0"),
        ({"numbers": [300]}, "elements 1 to 118, found 300"),
        ({"numbers": []}, "one per atom"),
        ({"masses": [0.0]}, "masses: expected one above 0"),
        ({"pbc": "yes please"}, "frame 0: damaged frame.*periodic directions"),
        ({"positions": [[1, 2]]}, "frame 0: damaged frame.*coordinates of shape"),
        ({"positions": None}, "frame without coordinates"),
        ({"positions.": {"ndarray": [[1, 3], "object", 48]}}, "damaged frame.*object"),
        ({"positions.": {"ndarray": [[1, 3], "float64", 10**9]}}, "damaged frame.*bytes"),
        ({"positions.": {"ndarray": [[10**12, 3], "float64", 48]}}, "damaged frame.*bytes"),
        ({"calculator.": {"energy": 10**400}}, "damaged frame.*Overflow"),
        ({"calculator.": {"stress": [1, 2, 3]}}, "damaged frame.*stresses of shape"),
        ({"calculator.": {"energy": float("inf")}}, "energies: expected finite"),
    ],
)
def test_nonsense_is_one_line(tmp_path, change, message):
    path = tmp_path / "bad.traj"
    path.write_bytes(ulm([by_hand(**change)]))
    with pytest.raises(InputError, match=message):
        read(path)


def test_numbers_of_a_big_endian_machine(tmp_path):
    positions = np.array([[1.5, -2.25, 3.125]])
    item = by_hand(_little_endian=False)
    item["positions."] = {"ndarray": [[1, 3], "float64", 48]}
    path = tmp_path / "big.traj"
    path.write_bytes(ulm([item], arrays=positions.astype(">f8").tobytes()))
    np.testing.assert_array_equal(read(path).coordinates[0], positions)


def test_arrays_inside_the_json(tmp_path):
    item = by_hand(positions={"__ndarray__": [[1, 3], "float64", [3.0, 2.0, 1.0]]})
    path = tmp_path / "inline.traj"
    path.write_bytes(ulm([item]))
    np.testing.assert_array_equal(read(path).coordinates, [[[3.0, 2.0, 1.0]]])


def test_other_containers_and_empty_ones_are_refused(tmp_path):
    path = tmp_path / "x.traj"
    path.write_bytes(ulm([by_hand()], tag=b"GPAW"))
    with pytest.raises(InputError, match="ulm file of kind 'GPAW'"):
        open_ase_traj(path, Hints())
    path.write_bytes(ulm([]))
    with pytest.raises(InputError, match="no frames"):
        open_ase_traj(path, Hints())


def test_a_cut_file_gives_its_complete_frames(six_frames, tmp_path):
    data, whole = six_frames.read_bytes(), read(six_frames)
    path = tmp_path / "cut.traj"
    path.write_bytes(data[:-100])
    source = open_ase_traj(path, Hints())
    (frames,) = source.blocks
    assert frames.n_frames == 5
    np.testing.assert_array_equal(frames.forces, whole.forces[:5])
    assert source.notes == ["cut off: 5 of 6 frames are complete, the rest is lost"]


def test_every_truncation_is_a_prefix_or_one_line(six_frames, tmp_path):
    data, whole = six_frames.read_bytes(), read(six_frames).coordinates
    path, counts = tmp_path / "cut.traj", set()
    for length in range(1, len(data), 13):
        path.write_bytes(data[:length])
        try:
            frames = read(path).coordinates
        except InputError:
            continue
        counts.add(len(frames))
        np.testing.assert_array_equal(frames, whole[: len(frames)])
    assert counts == {2, 3, 4, 5}  # ASE writes the index behind the second frame


@settings(max_examples=150, deadline=None)
@given(place=st.floats(0, 1, exclude_max=True), junk=st.binary(min_size=1, max_size=12))
def test_corruption_is_never_a_traceback(six_frames, place, junk):
    data = bytearray(six_frames.read_bytes())
    at = int(place * len(data))
    data[at : at + len(junk)] = junk
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bad.traj"
        path.write_bytes(data)
        with suppress(InputError):
            assert read(path).n_frames <= 6


@settings(max_examples=60, deadline=None)
@given(junk=st.binary(max_size=200), tag=st.sampled_from([b"", b"- of UlmASE-Trajectory  "]))
def test_random_bytes_are_never_a_traceback(junk, tag):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bad.traj"
        path.write_bytes(tag + junk)
        with pytest.raises(InputError):
            open_ase_traj(path, Hints())


def test_told_from_other_files(six_frames):
    assert looks_like_ase_traj("whatever", six_frames.read_bytes())
    assert looks_like_ase_traj("x.traj", b"\x80\x04\x95")
    assert not looks_like_ase_traj("x.traj", b"ITEM: TIMESTEP\n0\n")
    assert not looks_like_ase_traj("x.h5", b"\x89HDF\r\n\x1a\n")


@pytest.mark.parametrize(
    ("name", "n_atoms", "temperature"),
    [("800K", 42, 693.9), ("900K", 41, 696.0), ("1000K", 42, 1096.3)],
)
def test_real_trajectories(real_data, name, n_atoms, temperature):
    path = real_data / f"BaZrYO3H_{name}.traj"
    frames = read(path)
    assert frames.coordinates.shape == (1000, n_atoms, 3)
    peer = ase.io.read(path, index=999)
    np.testing.assert_array_equal(frames.coordinates[999], peer.positions)
    np.testing.assert_array_equal(frames.forces[999], peer.get_forces())
    masses = atomic_masses[peer.numbers][:, None]
    twice_kinetic = (masses * frames.velocities**2).sum() * AMU_ANGSTROM2_PER_FS2_IN_EV / 1000
    assert round(twice_kinetic / (3 * n_atoms * BOLTZMANN_EV_PER_K), 1) == temperature
