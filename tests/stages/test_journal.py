"""Journals of running simulations: what is taken up again, and what is refused."""

import errno
import io
import json
import os
import pickle
import random
import resource
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from mdbench.errors import InputError
from mdbench.md.frames import Frames, Recording
from mdbench.stages.journal import Journal, record_type
from tests.fuzz import seeds

N_ATOMS = 4
RECORDING = Recording(velocities=True, forces=True, stresses=True)
SETTINGS = {"material": "lgps", "temperature_k": 800.0, "structure": "abc"}


def frames_from(start: int, n_frames: int) -> Frames:
    """Frames whose numbers are known by their step."""
    rng = np.random.default_rng(start)
    steps = np.arange(start, start + n_frames)
    vectors = rng.normal(size=(3, n_frames, N_ATOMS, 3))
    scalars = rng.normal(size=(5, n_frames))
    return Frames(
        steps=steps,
        times_ps=np.asarray(steps * 0.002, dtype=np.float64),
        positions=vectors[0],
        potential_energies=scalars[0],
        kinetic_energies=scalars[1],
        temperatures_k=scalars[2],
        conserved_energies=scalars[3],
        pressures=scalars[4],
        velocities=vectors[1],
        forces=vectors[2],
        stresses=rng.normal(size=(n_frames, 3, 3)),
    )


def snapshot_at(step: int) -> dict[str, np.ndarray]:
    return {"state.steps": np.array([step]), "state.positions": np.full((N_ATOMS, 3), step / 7.0)}


def journal(tmp_path: Path, *, float64: bool = True, **others: object) -> Journal:
    record = record_type(N_ATOMS, RECORDING, float64=float64)
    return Journal(tmp_path / "lgps" / "812.5K-r0.h5", record, SETTINGS | others)


def begun(tmp_path: Path) -> Journal:
    """A journal of 7 frames in two goes."""
    made = journal(tmp_path)
    made.append(frames_from(0, 3), snapshot_at(3))
    made.append(frames_from(3, 4), snapshot_at(7))
    return made


def content(made: Journal) -> np.ndarray:
    return np.concatenate(list(made.blocks()))


def names(tmp_path: Path) -> set[str]:
    return {path.name for path in tmp_path.rglob("*") if path.is_file()}


def assert_refused(made: Journal, *words: str) -> None:
    with pytest.raises(InputError) as caught:
        made.resume()
    text = str(caught.value)
    assert "\n" not in text
    for word in (*words, "--update starts it anew"):
        assert word in text


@pytest.mark.parametrize("float64", [True, False])
def test_frames_come_back_as_they_were_put_in(tmp_path, float64) -> None:
    made = journal(tmp_path, float64=float64)
    assert made.resume() is None
    parts = [frames_from(0, 3), frames_from(3, 0), frames_from(3, 400)]
    for part in parts:
        made.append(part, snapshot_at(0))
    records = content(made)
    assert made.n_frames == len(records) == 403
    real = np.float64 if float64 else np.float32
    for name, field in (
        ("step", "steps"),
        ("time", "times_ps"),
        ("potential_energy", "potential_energies"),
        ("kinetic_energy", "kinetic_energies"),
        ("temperature", "temperatures_k"),
        ("conserved_energy", "conserved_energies"),
        ("pressure", "pressures"),
        ("stress", "stresses"),
    ):
        assert_array_equal(records[name], np.concatenate([getattr(p, field) for p in parts]))
    for name, field in (("position", "positions"), ("velocity", "velocities"), ("forces",) * 2):
        expected = np.concatenate([getattr(p, field) for p in parts]).astype(real)
        assert_array_equal(records[name], expected)


def test_only_what_is_recorded_takes_room() -> None:
    every = record_type(N_ATOMS, RECORDING, float64=False)
    plain = record_type(N_ATOMS, Recording(), float64=False)
    assert plain.itemsize == 7 * 8 + N_ATOMS * 3 * 4
    assert every.itemsize == plain.itemsize + 2 * N_ATOMS * 3 * 4 + 9 * 8
    assert set(every.names or ()) - set(plain.names or ()) == {"velocity", "forces", "stress"}


def test_a_run_is_taken_up_where_it_was(tmp_path) -> None:
    begun(tmp_path)
    again = journal(tmp_path)
    snapshot = again.resume()
    assert snapshot is not None
    assert snapshot.keys() == snapshot_at(7).keys()
    for name, value in snapshot_at(7).items():
        assert_array_equal(snapshot[name], value)
    again.append(frames_from(7, 2), snapshot_at(9))
    assert_array_equal(content(again)["step"], np.arange(9))


@pytest.mark.parametrize("torn", [1, 0.5, 2.25])
def test_frames_beyond_the_state_are_cut_off(tmp_path, torn) -> None:
    """Killed between frames and state, or in the middle of the frames."""
    made = begun(tmp_path)
    whole = content(made)
    with made.part.open("ab") as file:
        file.write(b"\x55" * int(torn * whole.itemsize))
    again = journal(tmp_path)
    assert again.resume() is not None
    assert content(again).tobytes() == whole.tobytes()
    again.append(frames_from(7, 1), snapshot_at(8))
    assert_array_equal(content(again)["step"], np.arange(8))


def test_a_state_that_was_half_written_does_not_count(tmp_path) -> None:
    made = begun(tmp_path)
    made.state.with_name(made.state.name + ".new").write_bytes(b"PK half of it")
    again = journal(tmp_path)
    snapshot = again.resume()
    assert snapshot is not None
    assert_array_equal(snapshot["state.steps"], [7])
    again.append(frames_from(7, 1), snapshot_at(8))
    assert names(tmp_path) == {"812.5K-r0.part", "812.5K-r0.state"}


@pytest.mark.parametrize("gone", ["part", "state"])
def test_without_frames_or_state_it_is_begun_anew(tmp_path, gone) -> None:
    getattr(begun(tmp_path), gone).unlink()
    again = journal(tmp_path)
    assert again.resume() is None
    again.append(frames_from(0, 2), snapshot_at(2))
    assert_array_equal(content(again)["step"], [0, 1])


def test_discarding_leaves_nothing(tmp_path) -> None:
    made = begun(tmp_path)
    made.discard()
    assert names(tmp_path) == set()
    made.discard()


@pytest.mark.parametrize(
    ("others", "word"),
    [
        ({"temperature_k": 900.0}, "temperature_k = 800.0 instead of 900.0"),
        ({"structure": "abd"}, "structure = abc instead of abd"),
        ({"engine": "{}"}, "engine = None instead of {}"),
    ],
)
def test_other_settings_are_refused(tmp_path, others, word) -> None:
    made = begun(tmp_path)
    before = made.part.read_bytes(), made.state.read_bytes()
    assert_refused(journal(tmp_path, **others), "other settings", word)
    assert (made.part.read_bytes(), made.state.read_bytes()) == before


@pytest.mark.parametrize(
    "foreign",
    [b"", b"\x89HDF\r\n\x1a\n" + bytes(20_000), b"[1]", b"\xff\xfe\x00", b"Li 0 0 0\n" * 3000],
    ids=["empty", "hdf5", "list", "bytes", "text"],
)
def test_a_foreign_part_is_refused(tmp_path, foreign) -> None:
    made = begun(tmp_path)
    made.part.write_bytes(foreign)
    assert_refused(journal(tmp_path), "another kind of file")
    assert made.part.read_bytes() == foreign


def test_frames_that_are_missing(tmp_path) -> None:
    made = begun(tmp_path)
    os.truncate(made.part, made.part.stat().st_size - 1)
    assert_refused(journal(tmp_path), "frames are missing", made.part.name)


def npz(**arrays: object) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def zipped(*members: Any) -> bytes:
    """An archive of members, each with its content behind its name."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in zip(members[::2], members[1::2], strict=True):
            archive.writestr(str(name), content)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "foreign",
    [
        b"",
        b"half",
        b"PK\x03\x04 no archive",
        npy(np.arange(3)),
        npz(other=np.arange(3)),
        npz(**{"journal.n_frames": np.arange(3)}),
        npz(**{"journal.n_frames": np.array(np.inf)}),
        npz(**{"journal.n_frames": np.array(-5)}),
        zipped("journal.n_frames.npy", npy(np.array(7)), "x", b"no array"),
        zipped("journal.n_frames.npy", npy(np.array(7)).replace(b", }", b", ((")),
    ],
    ids=["empty", "text", "zip", "npy", "other npz", "shape", "inf", "-5", "member", "header"],
)
def test_a_foreign_state_is_refused(tmp_path, foreign) -> None:
    begun(tmp_path).state.write_bytes(foreign)
    assert_refused(journal(tmp_path), "damaged state of a run")


class Bomb:
    """What a stranger's pickle would do."""

    def __reduce__(self):
        return os.system, ("touch exploded",)


@pytest.mark.parametrize("how", ["pickle", "object array", "object array in an archive"])
def test_no_pickle_is_read(tmp_path, how, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    bomb = np.array([Bomb()], dtype=object)
    state = begun(tmp_path).state
    if how == "pickle":
        state.write_bytes(pickle.dumps(Bomb()))
    elif how == "object array":
        state.write_bytes(npy(bomb))
    else:
        state.write_bytes(npz(**{"journal.n_frames": np.array(7), "state.steps": bomb}))
    assert_refused(journal(tmp_path), "damaged state of a run")
    assert not Path("exploded").exists()


def test_damage_anywhere_in_the_state_is_one_line_or_changes_nothing(tmp_path) -> None:
    state = begun(tmp_path).state
    whole = state.read_bytes()
    rng = random.Random(1)
    refused = []
    for place in sorted(rng.sample(range(len(whole)), 150)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << rng.randrange(8)
        state.write_bytes(damaged)
        try:
            snapshot = journal(tmp_path).resume()
        except InputError as error:
            refused.append(str(error))
        else:
            assert snapshot is not None
            for name, value in snapshot_at(7).items():
                assert_array_equal(snapshot[name], value)
    assert len(refused) > 50
    assert not any("\n" in text for text in refused)
    for size in range(0, len(whole), 37):
        state.write_bytes(whole[:size])
        assert_refused(journal(tmp_path), "damaged state of a run")


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_one_line_and_the_state_stays(tmp_path, code, monkeypatch) -> None:
    made = begun(tmp_path)
    before = content(made)

    def full(self, data):
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(InputError, match="disk full while writing") as caught:
            made.append(frames_from(7, 2), snapshot_at(9))
    assert str(made.part) in str(caught.value)
    again = journal(tmp_path)
    snapshot = again.resume()
    assert snapshot is not None
    assert_array_equal(snapshot["state.steps"], [7])
    assert content(again).tobytes() == before.tobytes()


def test_a_folder_that_cannot_be_written(tmp_path) -> None:
    (tmp_path / "lgps").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        journal(tmp_path).begin()


FULL = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
from mdbench_cli.main import main
main(sys.argv[2:])
"""


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="no limit of file sizes here")
def test_a_command_on_a_full_disk_goes_on_when_there_is_room(tmp_path) -> None:
    command = (
        *("reference", "--material", "lgps", "--temps", "800", "--replicas", "1"),
        *("--ps", "0.2", "--ramp-ps", "0.1", "--quiet", "--json"),
    )

    def call(limit: int, folder: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", FULL, str(limit), *command, "--run", str(tmp_path / folder)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    # too little for the header, for the frames, for the trajectory that is made of them
    record = record_type(50, Recording(forces=True, stresses=True), float64=False)
    room = 16_384 + 100 * record.itemsize
    for limit, folder in ((10_000, "a"), (60_000, "b"), (room + 1_000, "c")):
        done = call(limit, folder)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("mdbench: error: ")
        assert "disk full while writing" in done.stderr
        assert done.stderr.count("\n") == 1
        assert not list((tmp_path / folder).rglob("*.h5"))
    assert names(tmp_path / "c") == {"800K-r0.part", "800K-r0.state"}
    done = call(100_000_000, "c")
    assert done.returncode == 0, done.stderr
    (run,) = json.loads(done.stdout)["runs"]
    assert (run["state"], run["n_frames"], run["end_reason"]) == ("resumed", 100, None)
    assert names(tmp_path / "c") == {"800K-r0.h5"}


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("state.positions", np.zeros((4, 3), dtype=complex)),
        ("state.masses", np.zeros(4, dtype=[("a", "<f8")])),
        ("state.steps", np.array(["x"])),
        ("state.active", np.ones(1)),
        ("settings", np.array([255, 254], dtype=np.uint8)),
        ("state.momenta", None),
    ],
)
def test_a_state_of_other_arrays_is_named_or_begun_anew(tmp_path, name, changed) -> None:
    for file, content in seeds.journal()[0].items():
        (tmp_path / file).write_bytes(content)
    task = seeds.run_task(tmp_path)
    task.prepare(resume=True, update=False)
    assert task.snapshot is not None
    state = task.journal.state
    with np.load(state) as stored:
        arrays = dict(stored)
    arrays[name] = changed
    state.write_bytes(npz(**{key: value for key, value in arrays.items() if value is not None}))
    with pytest.raises(InputError) as caught:
        seeds.run_task(tmp_path).prepare(resume=True, update=False)
    assert state.name in str(caught.value)
    fresh = seeds.run_task(tmp_path)
    fresh.prepare(resume=True, update=True)
    assert fresh.snapshot is None
    assert not fresh.journal.exists


def test_frames_that_are_no_numbers_are_named(tmp_path) -> None:
    for file, content in seeds.journal()[0].items():
        (tmp_path / file).write_bytes(content)
    task = seeds.run_task(tmp_path)
    task.prepare(resume=True, update=False)
    damaged = bytearray(task.journal.part.read_bytes())
    damaged[16_384 + 60 : 16_384 + 64] = np.float32(np.nan).tobytes()
    task.journal.part.write_bytes(damaged)
    with pytest.raises(InputError, match="finite") as caught:
        task.finish()
    assert task.journal.part.name in str(caught.value)
    assert not task.job.target.exists()
