"""Files of mdbench: round trips, interrupted writing, damage, and files from strangers."""

import hashlib
import json
import signal
import subprocess
import sys
import textwrap
from contextlib import contextmanager

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from mdbench import store
from mdbench.errors import InputError
from mdbench.store import (
    Dataset,
    Input,
    TrajectoryFile,
    TrajectoryWriter,
    check_output,
    input_of,
    read_result,
    read_trajectory,
    write_result,
    write_trajectory,
)
from mdbench.trajectory import Provenance, Trajectory

ARRAYS = ("positions", "cells", "times_ps", "energies", "forces", "velocities", "stresses")
OPTIONAL = ("energies", "forces", "velocities", "stresses")


def trajectory(n_frames=6, n_atoms=3, *, seed=0, dtype=np.float64, fields=OPTIONAL, **known):
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(3, n_frames, n_atoms, 3)).astype(dtype)
    every = {
        "energies": rng.normal(size=n_frames),
        "forces": vectors[1],
        "velocities": vectors[2],
        "stresses": rng.normal(size=(n_frames, 3, 3)),
    }
    return Trajectory(
        positions=vectors[0] * 9,
        cells=np.array([[6.0, 0, 0], [2, 5, 0], [1, -1.5, 7]])
        + rng.normal(size=(n_frames, 3, 3)) / 9,
        atomic_numbers=rng.integers(1, 119, size=n_atoms),
        times_ps=np.arange(n_frames) * 0.002,
        pbc=rng.integers(0, 2, size=3).astype(bool),
        provenance=Provenance(**known),
        **{name: every[name] for name in fields},
    )


def assert_same(found, expected, *, single=False):
    for name in ARRAYS:
        a, b = getattr(found, name), getattr(expected, name)
        assert (a is None) == (b is None), name
        if a is None:
            continue
        if name == "velocities":  # stored in Å/ps
            stored = (b * 1e3).astype(np.float32) if single else b * 1e3
            b = stored / 1e3
        elif single and name in ("positions", "forces"):
            b = b.astype(np.float32)
        assert_array_equal(a, b, err_msg=name)
    assert_array_equal(found.atomic_numbers, expected.atomic_numbers)
    assert_array_equal(found.pbc, expected.pbc)
    assert found.provenance == expected.provenance


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


@contextmanager
def refused(path, *words):
    with pytest.raises(InputError) as caught:
        yield
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    for word in words:
        assert word in message


@pytest.fixture
def small(tmp_path):
    """(path, content) of a small trajectory file."""
    path = tmp_path / "small.h5"
    write_trajectory(path, trajectory(), float64=True)
    return path, read_trajectory(path)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    n_frames=st.integers(1, 9),
    n_atoms=st.integers(1, 5),
    seed=st.integers(0, 999),
    double=st.booleans(),
    fields=st.sets(st.sampled_from(OPTIONAL)),
    material=st.none() | st.text(max_size=9),
    notes=st.lists(st.text(max_size=30), max_size=3),
)
def test_trajectory_round_trip(tmp_path, n_frames, n_atoms, seed, double, fields, material, notes):
    path = tmp_path / "t.h5"
    made = trajectory(
        n_frames, n_atoms, seed=seed, fields=fields, material=material, notes=tuple(notes)
    )
    write_trajectory(path, made, float64=double)
    found = read_trajectory(path)
    assert_same(found, made, single=not double)
    assert found.positions.dtype == (np.float64 if double else np.float32)
    assert names_in(tmp_path) == ["t.h5"]


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    shapes=st.lists(st.lists(st.integers(0, 4), max_size=3), max_size=4),
    kind=st.sampled_from([np.float32, np.float64, np.int64]),
    attributes=st.dictionaries(
        st.text(max_size=9), st.floats(allow_nan=False) | st.text(), max_size=4
    ),
    unit=st.text(alphabet="Åeps/^-1 ²", max_size=5),
)
def test_result_round_trip(tmp_path, shapes, kind, attributes, unit):
    path = tmp_path / "r.h5"
    arrays = {
        f"g/{i}": np.arange(np.prod(s, dtype=int)).astype(kind).reshape(s)
        for i, s in enumerate(shapes)
    }
    inputs = [Input("a.h5", "trajectory", "0" * 64)]
    write_result(
        path,
        "observables",
        {n: Dataset(a, unit, tuple(f"axis{k}" for k in range(a.ndim))) for n, a in arrays.items()},
        attributes=attributes,
        config={"r_max": 6.0},
        inputs=inputs,
    )
    found = read_result(path, "observables")
    assert found.datasets.keys() == arrays.keys()
    for name, array in arrays.items():
        assert_array_equal(found.datasets[name], array)
        assert found.datasets[name].dtype == array.dtype
        assert found.units[name] == unit
    assert found.attributes == attributes
    assert found.config == {"r_max": 6.0}
    assert found.inputs == inputs
    assert found.created.startswith("20")


def test_provenance_and_stamp(tmp_path):
    source, path = tmp_path / "XDATCAR", tmp_path / "t.h5"
    source.write_bytes(b"Li2S")
    known = Provenance(
        material="Li₂S", temperature_k=800.0, timestep_fs=2.0, mobile="Li", label="PBE",
        potential="VASP", thermostat="Nosé–Hoover", code="vasp 6.4", replica=3, seed=7,
        end_reason="exploded", unwrapped_by="minimum image", notes=("one", "two"),
    )  # fmt: skip
    made = trajectory()
    with TrajectoryWriter(path, config={"unwrap": True}, inputs=[input_of(source, "xdatcar")]) as w:
        w.append(made)
        w.finish(known)
    with TrajectoryFile(path) as file:
        assert file.provenance == known
        assert file.config == {"unwrap": True}
        digest = hashlib.sha256(b"Li2S").hexdigest()
        assert file.inputs == [Input("XDATCAR", "xdatcar", digest)]
        assert file.fields == ("velocities", "forces", "energies", "stresses")
        assert (file.n_frames, file.n_atoms) == (6, 3)
        assert file.steps.tolist() == list(range(6))
        assert file.frame_interval_fs is not None


def test_many_inputs_are_stamped_by_their_digest(tmp_path):
    path = tmp_path / "r.h5"
    inputs = [Input(f"{i}.h5", "trajectory", "0" * 64) for i in range(2000)]
    write_result(path, "observables", {}, attributes={}, config={}, inputs=inputs)
    found = read_result(path, "observables").inputs
    assert found[:100] == inputs[:100]
    assert "2000 in all" in found[-1].name


def test_large_attributes(tmp_path):
    path = tmp_path / "r.h5"
    attributes = {"rows": list(range(50_000))}
    write_result(path, "verdict", {}, attributes=attributes, config={}, inputs=[])
    assert read_result(path, "verdict").attributes == attributes


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    start=st.integers(-45, 45),
    stop=st.none() | st.integers(-45, 45),
    stride=st.integers(1, 12),
    per_block=st.integers(1, 50),
)
def test_blocks_are_the_slice(tmp_path, start, stop, stride, per_block):
    path = tmp_path / "t.h5"
    if not path.exists():
        write_trajectory(path, trajectory(40, 2), float64=True)
    whole = read_trajectory(path)
    expected = whole[slice(*slice(start, stop).indices(40))][::stride]
    with pytest.MonkeyPatch.context() as patch, TrajectoryFile(path) as file:
        patch.setattr(store, "_BLOCK_BYTES", per_block * 2 * 12)
        blocks = list(file.blocks(start, stop, stride=stride))
        assert all(0 < b.n_frames <= max(per_block, 1) for b in blocks)
        assert sum(b.n_frames for b in blocks) == expected.n_frames
        for name in ARRAYS if blocks else ():
            joined = np.concatenate([getattr(b, name) for b in blocks])
            assert_array_equal(joined, getattr(expected, name), err_msg=name)
        assert_same_or_empty(file.read(start, stop, stride=stride), expected)
        bare = list(file.blocks(start, stop, stride=stride, fields=()))
        assert all(b.forces is None and b.energies is None for b in bare)
    assert_same_or_empty(read_trajectory(path, slice(start, stop, stride)), expected)


def assert_same_or_empty(found, expected):
    assert found.n_frames == expected.n_frames
    for name in ARRAYS:
        assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name)


def test_a_step_of_nonsense(small):
    with pytest.raises(InputError, match="positive step"):
        read_trajectory(small[0], slice(None, None, -1))


def test_block_by_block_is_the_whole(tmp_path):
    made = trajectory(30)
    with TrajectoryWriter(tmp_path / "t.h5", float64=True) as writer:
        for start in range(0, 30, 7):
            writer.append(made[start : start + 7], steps=np.arange(start, min(start + 7, 30)) * 5)
        writer.append(made[:0])
        writer.finish(made.provenance)
    found = read_trajectory(tmp_path / "t.h5")
    assert_same(found, made)
    with TrajectoryFile(tmp_path / "t.h5") as file:
        assert file.steps.tolist() == [5 * i for i in range(30)]


def test_numbers_of_each_frame(tmp_path):
    path, kelvin = tmp_path / "t.h5", np.arange(6.0)
    with TrajectoryWriter(path) as writer:
        dataset = Dataset(kelvin, "K", ("frame",))
        writer.append(trajectory(), observables={"temperature": dataset})
        writer.finish(Provenance())
    with TrajectoryFile(path) as file:
        assert_array_equal(file.observable("temperature"), kelvin)
        assert_array_equal(file.observable("temperature", 2, 5), kelvin[2:5])
        assert file.observable("pressure") is None
        with refused(path, "stress of shape (6, 3, 3)"):
            file.observable("stress")


def test_a_later_block_that_lacks_something(tmp_path):
    made = trajectory(4)
    bare = trajectory(4, fields=())
    with TrajectoryWriter(tmp_path / "t.h5") as writer:
        writer.append(made)
        writer.append(bare)
        writer.finish(made.provenance)
    found = read_trajectory(tmp_path / "t.h5")
    assert found.energies is not None
    assert found.forces is not None
    assert np.isnan(found.energies).tolist() == [False] * 4 + [True] * 4
    assert np.isnan(found.forces[4:]).all()


def test_no_name_before_it_is_complete(tmp_path):
    path = tmp_path / "t.h5"
    with TrajectoryWriter(path) as writer:
        writer.append(trajectory())
        assert names_in(tmp_path) == ["t.h5.lock", "t.h5.part"]
        writer.finish(Provenance())
    assert names_in(tmp_path) == ["t.h5"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, InputError, ValueError])
@pytest.mark.parametrize("exists", [True, False])
def test_an_error_leaves_nothing(tmp_path, error, exists):
    path = tmp_path / "t.h5"
    if exists:
        path.write_bytes(b"the old one")

    def attempt():
        with TrajectoryWriter(path) as writer:
            writer.append(trajectory())
            raise error("on purpose")

    with pytest.raises(error, match="on purpose"):
        attempt()
    assert names_in(tmp_path) == ["t.h5"] * exists
    assert not exists or path.read_bytes() == b"the old one"


def test_an_error_in_a_result_leaves_nothing(tmp_path):
    path = tmp_path / "r.h5"
    path.write_bytes(b"the old one")
    with pytest.raises(TypeError):
        write_result(
            path,
            "observables",
            {"g": Dataset(object(), "", ())},
            attributes={},
            config={},
            inputs=[],
        )
    with pytest.raises(TypeError):
        write_result(path, "observables", {}, attributes={}, config={"a": object()}, inputs=[])
    assert names_in(tmp_path) == ["r.h5"]
    assert path.read_bytes() == b"the old one"


def test_no_frames_are_no_file(tmp_path):
    path = tmp_path / "t.h5"
    with refused(path, "no frames"):
        write_trajectory(path, trajectory()[:0])
    assert names_in(tmp_path) == []


def test_a_folder_that_is_not_there(tmp_path):
    path = tmp_path / "none" / "t.h5"
    write_trajectory(path, trajectory())
    assert path.is_file()
    with refused(path / "t.h5", "File exists"):
        write_trajectory(path / "t.h5", trajectory())


def test_check_output(tmp_path):
    path = tmp_path / "deep" / "t.h5"
    check_output(path, force=False)
    assert not path.parent.exists()
    path.parent.mkdir()
    path.write_bytes(b"")
    with refused(path, "output exists", "--force"):
        check_output(path, force=False)
    check_output(path, force=True)
    with refused(tmp_path, "folder"):
        check_output(tmp_path, force=True)
    with refused(path, "not a folder"):
        check_output(path / "t.h5", force=False)


WRITER = """
    import sys
    import numpy as np
    from pathlib import Path
    from mdbench.errors import InputError
    from mdbench.store import Dataset, TrajectoryWriter, write_result
    from mdbench.trajectory import Provenance, Trajectory

    def frames(n):
        positions = np.random.default_rng(0).normal(size=(n, 50, 3))
        return Trajectory(positions, np.eye(3), np.ones(50, int), np.arange(n))

    def trajectory(path):
        with TrajectoryWriter(Path(path)) as writer:
            for _ in range(10):
                writer.append(frames(100))
                print("appended", flush=True)
            writer.finish(Provenance())

    def result(path):
        dataset = Dataset(np.zeros((1000, 50, 3)), "", ("frame", "atom", "xyz"))
        write_result(Path(path), "observables", {"g": dataset}, attributes={}, config={}, inputs=[])

    def attempt(write, path):
        try:
            write(path)
            print("written")
        except InputError as error:
            print("refused", error)
"""


def run_python(code, *arguments, **options):
    program = textwrap.dedent(WRITER) + textwrap.dedent(code)
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def test_kill_leaves_no_final_name(tmp_path):
    path = tmp_path / "t.h5"
    process = run_python(
        """
        import time
        with TrajectoryWriter(Path(sys.argv[1])) as writer:
            writer.append(frames(100))
            print("appended", flush=True)
            time.sleep(60)
        """,
        path,
    )
    assert process.stdout.readline() == "appended\n"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not path.exists()
    write_trajectory(path, trajectory())  # over what the dead one left
    assert names_in(tmp_path) == ["t.h5"]
    assert read_trajectory(path).n_frames == 6


FULL = """
    if sys.argv[3] != "-":
        import resource, signal
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]),) * 2)
    attempt(globals()[sys.argv[2]], sys.argv[1])
"""


def check_full(folder, what, limit):
    process = run_python(FULL, folder / "x.h5", what, limit)
    out, err = process.communicate()
    assert err == ""
    assert process.returncode == 0  # HDF5 crashes at exit where it saw a write fail
    last = out.splitlines()[-1]
    assert last.startswith("refused")
    assert "disk full" in last
    assert "x.h5" in last
    assert names_in(folder) == []


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="sets a limit in Linux' way")
@pytest.mark.parametrize(
    ("what", "limit"),
    [("trajectory", 0), ("trajectory", 9000), ("trajectory", 300_000), ("result", 50_000)],
)
def test_file_that_cannot_grow(tmp_path, what, limit):
    check_full(tmp_path, what, limit)


@pytest.mark.slow
@pytest.mark.parametrize("what", ["trajectory", "result"])
def test_file_that_cannot_grow_beyond_any_size(tmp_path, what):
    for limit in range(100, 600_000, 23_456):
        check_full(tmp_path, what, limit)


@pytest.mark.parametrize("what", ["trajectory", "result"])
def test_full_disk(tmp_path, what):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(disk)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("cannot mount a small tmpfs here")
    try:
        check_full(disk, what, "-")
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_full_disk_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "t.h5"
    path.write_bytes(b"the old one")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store._Sink, "check", full)
    with refused(path, "disk full"):
        write_trajectory(path, trajectory())
    assert path.read_bytes() == b"the old one"
    assert names_in(tmp_path) == ["t.h5"]


def change(path, action):
    with h5py.File(path, "a") as file:
        action(file)


def external_link(file):
    file["particles/more"] = h5py.ExternalLink("/etc/passwd", "/x")


def external_storage(file):
    file.create_dataset("raw", shape=(8,), dtype="u1", external=[("/etc/passwd", 0, 8)])


def virtual_dataset(file):
    layout = h5py.VirtualLayout(shape=(8,), dtype="u1")
    layout[:] = h5py.VirtualSource("other.h5", "x", shape=(8,))
    file.create_virtual_dataset("virtual", layout)


def unknown_filter(file):
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_chunk((8,))
    plist.set_filter(305, h5py.h5z.FLAG_OPTIONAL, (1,))  # one that no h5py brings along
    space = h5py.h5s.create_simple((8,))
    h5py.h5d.create(file.id, b"packed", h5py.h5t.NATIVE_INT8, space, plist)


@pytest.mark.parametrize(
    ("action", "words"),
    [
        (external_link, "links to another file"),
        (external_storage, "another file"),
        (virtual_dataset, "another file"),
        (unknown_filter, "filter 305"),
    ],
)
def test_what_leads_out_of_the_file(small, action, words):
    path, _ = small
    change(path, action)
    with refused(path, words):
        read_trajectory(path)
    with refused(path, words):
        read_result(path, "observables")


def test_links_in_circles(small):
    path, content = small

    def circles(file):
        file["particles/again"] = file["particles"]
        file["particles/trajectory/box/top"] = file["/"]
        file["soft"] = h5py.SoftLink("/soft")
        file["a"], file["b"] = h5py.SoftLink("/b"), h5py.SoftLink("/a")
        file["nowhere"] = h5py.SoftLink("/not/there")

    change(path, circles)
    assert_same(read_trajectory(path), content)


@pytest.mark.parametrize("name", ["particles/trajectory/position/value", "parameters/mdbench"])
@pytest.mark.parametrize("target", ["itself", "nothing", "group"])
def test_soft_links_in_place_of_data(small, name, target):
    path, _ = small

    def replace(file):
        del file[name]
        file[name] = h5py.SoftLink(
            {"itself": f"/{name}", "nothing": "/none", "group": "/h5md"}[target]
        )

    change(path, replace)
    with refused(path):
        read_trajectory(path)


def test_deep_groups(small):
    path, content = small

    def dig(file):
        group = file
        for _ in range(300):
            group = group.create_group("g")

    change(path, dig)
    assert_same(read_trajectory(path), content)


@pytest.mark.parametrize(
    "name",
    [
        "particles/trajectory/position/value",
        "particles/trajectory/position/time",
        "particles/trajectory/species/value",
        "particles/trajectory/box/edges/value",
        "particles/trajectory",
        "observables/trajectory/forces/value",
        "parameters/mdbench",
    ],
)
@pytest.mark.parametrize("what", ["text", "short", "gone"])
def test_something_else_in_place_of_data(small, name, what):
    path, _ = small

    def replace(file):
        del file[name]
        if what != "gone":
            file[name] = "text" if what == "text" else np.ones((2, 2))

    change(path, replace)
    if what == "gone" and "forces" in name:
        assert read_trajectory(path).forces is None
        return
    with refused(path):
        read_trajectory(path)


def test_wrong_kind(small, tmp_path):
    path, _ = small
    with refused(path, "expected observables", "found trajectory"):
        read_result(path, "observables")
    other = tmp_path / "r.h5"
    write_result(other, "observables", {}, attributes={}, config={}, inputs=[])
    with refused(other, "expected trajectory", "found observables"):
        TrajectoryFile(other)


def test_another_schema(small):
    path, _ = small
    change(path, lambda file: file.attrs.modify("schema", 2))
    with refused(path, "schema 1", "schema 2", "another version"):
        read_trajectory(path)


def test_foreign_files(tmp_path):
    foreign, empty, text = (tmp_path / name for name in ("f.h5", "e.h5", "t.h5"))
    with h5py.File(foreign, "w") as file:
        file["x"] = 1
    empty.write_bytes(b"")
    text.write_text("XDATCAR")
    for path, words in (
        (foreign, "not of mdbench"),
        (empty, "empty file"),
        (text, "not an HDF5 file"),
        (tmp_path, "a folder"),
        (tmp_path / "none.h5", "no such file"),
    ):
        with refused(path, words):
            TrajectoryFile(path)
        with refused(path, words):
            read_result(path, "observables")


@pytest.mark.parametrize("kind", ["trajectory", "observables"])
def test_truncation(tmp_path, kind):
    path, cut = tmp_path / "t.h5", tmp_path / "cut.h5"
    if kind == "trajectory":
        write_trajectory(path, trajectory())
    else:
        dataset = Dataset(np.arange(2000.0), "", ("r",))
        write_result(path, kind, {"g/a": dataset}, attributes={"a": 1}, config={}, inputs=[])
    content = path.read_bytes()
    for length in (
        *range(0, 600, 7),
        *range(600, len(content), len(content) // 100),
        len(content) - 1,
    ):
        cut.write_bytes(content[:length])
        with refused(cut):
            read_trajectory(cut) if kind == "trajectory" else read_result(cut, kind)


def check_flips(path, content, n_flips):
    """Flips single bits; what is read is right or refused. Returns how many were refused."""
    rng = np.random.default_rng(1)
    good, refusals = path.read_bytes(), 0
    damaged = path.with_name("damaged.h5")
    for _ in range(n_flips):
        bad = bytearray(good)
        bad[rng.integers(len(bad))] ^= 1 << int(rng.integers(8))
        damaged.write_bytes(bad)
        message = ""
        try:
            found = read_trajectory(damaged)
        except InputError as error:
            message = str(error)
            refusals += 1
        else:
            assert_same(found, content)
        assert "\n" not in message
    return refusals


def test_flipped_bits(small):
    assert check_flips(small[0], small[1], 500) > 300


@pytest.mark.slow
def test_many_flipped_bits(small):
    assert check_flips(small[0], small[1], 10_000) > 6000


def test_data_damage_is_caught_by_the_checksum(small):
    path, content = small
    good = path.read_bytes()
    for name in ("positions", "forces"):
        place = good.find(getattr(content, name)[2].tobytes())
        assert place > 0
        bad = bytearray(good)
        bad[place + 5] ^= 1
        path.write_bytes(bad)
        with refused(path, "damaged"):
            read_trajectory(path)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(content=st.binary(min_size=1, max_size=300), magic=st.booleans())
def test_random_bytes(tmp_path, content, magic):
    path = tmp_path / "random.h5"
    path.write_bytes(b"\x89HDF\r\n\x1a\n" * magic + content)
    with refused(path):
        read_trajectory(path)


def test_results_whose_strings_hdf5_would_read_for_ever(tmp_path):
    """Older files have the names of axes as strings of any length, in a heap without checksums."""
    path = tmp_path / "r.h5"
    data = {"g": Dataset(np.zeros(2), "", ("r",))}
    write_result(path, "observables", data, attributes={}, config={}, inputs=[])
    assert b"GCOL" not in path.read_bytes()
    with h5py.File(path, "r+") as file:
        file["g"].attrs["axes"] = ["r"]
    assert read_result(path, "observables").axes["g"] == ("r",)
    content = bytearray(path.read_bytes())
    at = content.index(b"GCOL") + 16
    content[at : at + 16] = bytes(16)
    path.write_bytes(content)
    with refused(path, "endless"):
        read_result(path, "observables")


@pytest.mark.parametrize("attribute", ["attributes", "config"])
@pytest.mark.parametrize("text", ["7", "[]", "null", '"x"'])
def test_results_that_are_no_names_and_values(tmp_path, attribute, text):
    path = tmp_path / "r.h5"
    write_result(path, "observables", {}, attributes={}, config={}, inputs=[])
    with h5py.File(path, "r+") as file:
        file.attrs[attribute] = np.bytes_(text)
    with refused(path):
        read_result(path, "observables")


def test_results_that_claim_more_than_was_ever_written(tmp_path):
    path = tmp_path / "r.h5"
    write_result(path, "observables", {}, attributes={}, config={}, inputs=[])
    with h5py.File(path, "r+") as file:
        made = file.create_dataset("g", shape=(10**9,), chunks=(1000,), dtype="f8")
        made.attrs["unit"] = np.bytes_("A")
    with refused(path, "claims values that were never written"):
        read_result(path, "observables")


@pytest.mark.parametrize(
    "name, kind",
    [
        ("particles/trajectory/position/value", "f2"),
        ("particles/trajectory/position/value", "c8"),
        ("particles/trajectory/box/edges/value", "f2"),
        ("particles/trajectory/box/edges/value", "S8"),
        ("observables/trajectory/forces/value", "S8"),
        ("particles/trajectory/species/value", "f8"),
        ("particles/trajectory/position/step", "f8"),
    ],
)
def test_numbers_of_another_type(small, name, kind):
    path, _ = small

    def replace(file):
        values = file[name][()]
        del file[name]
        file[name] = values.astype(kind)

    change(path, replace)
    with refused(path, "of type"):
        read_trajectory(path)


@pytest.mark.parametrize(
    "changed",
    [
        {"material": ["x"]}, {"temperature_k": "hot"}, {"temperature_k": -1.0}, {"replica": {}},
        {"timestep_fs": float("inf")}, {"seed": 1.5}, {"notes": [1]}, {"label": True}, {"other": 1},
    ],
)  # fmt: skip
def test_provenance_of_other_types(small, changed):
    path, _ = small

    def replace(file):
        known = json.loads(file["parameters/mdbench"][0]) | changed
        del file["parameters/mdbench"]
        file["parameters/mdbench"] = np.array([np.bytes_(json.dumps(known))])

    change(path, replace)
    with refused(path):
        read_trajectory(path)
