"""Paths in a file: the same numbers as in memory, and little memory."""

import dataclasses
import json
import resource
import subprocess
import sys
import tempfile
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from mdbench.config import ConductivityConfig, MsdConfig
from mdbench.errors import InputError
from mdbench.stages import conductivity, msd, spool
from mdbench.stages.motion import read_motion
from mdbench.stages.spool import Rows, Spool
from mdbench.store import TrajectoryWriter
from mdbench.walks import Walk
from tests.stages.little import HOPPERS, run_of, write_run


@pytest.mark.parametrize("edges", [(0, 50), (0, 1, 2, 50), (0, 17, 34, 50)])
def test_what_is_written_by_frames_is_read_by_rows(edges):
    paths = np.random.default_rng(0).normal(size=(7, 3, 50))
    stored = Spool(7, 50)
    for start, stop in pairwise(edges):
        stored.write(start, paths[..., start:stop])
    assert len(stored) == 7
    for row, path in enumerate(stored):
        assert_array_equal(path, paths[row])
    assert_array_equal(np.array(stored[1:6:2]), paths[1:6:2])
    with pytest.raises(IndexError):
        stored[7]


def test_some_rows():
    paths = np.random.default_rng(1).normal(size=(6, 3, 20))
    stored = Spool(6, 20)
    stored.write(0, paths)
    rows = np.array([4, 0, 5])
    some = Rows(stored, rows)
    assert len(some) == 3
    assert_array_equal(np.array(list(some)), paths[rows])
    assert_array_equal(np.array(some[1:]), paths[rows][1:])


def test_the_file_has_no_name(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    stored = Spool(3, 100)
    stored.write(0, np.ones((3, 3, 100)))
    assert list(tmp_path.iterdir()) == []
    assert stored[2].sum() == 300


def test_results_are_the_same_bit_for_bit(tmp_path, monkeypatch):
    walk = dataclasses.replace(HOPPERS, framework_rattle=0.1)
    files = [write_run(tmp_path / f"{seed}.h5", walk, seed) for seed in (0, 1)]

    def results():
        motion = read_motion(files[0]).motion
        documents = [
            msd.run(files, MsdConfig()).as_json(),
            msd.run(files, MsdConfig(estimator="pymatgen", smoothing="max")).as_json(),
            conductivity.run(files, ConductivityConfig(paper=True)).as_json(),
        ]
        return motion, json.dumps(documents)

    there, in_memory = results()
    monkeypatch.setattr(spool, "IN_MEMORY", 0)
    here, in_a_file = results()
    assert isinstance(there.displacements, np.ndarray)
    assert isinstance(here.displacements, Rows)
    assert_array_equal(np.array(list(here.displacements)), there.displacements)
    assert in_a_file == in_memory


def test_no_room_for_the_file_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    stored = Spool(20, 1000)
    block = np.ones((20, 3, 1000))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(InputError, match=r"no room for the paths.*TMPDIR") as caught:
            stored.write(0, block)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert str(tmp_path) in str(caught.value)


def test_no_folder_for_the_file_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    with pytest.raises(InputError, match="no room for the paths of the atoms: No such file"):
        Spool(2, 10)


#: Runs a command and prints the peak of its own resident memory, kB.
PEAK = """
import sys
from mdbench_cli.main import run
status = run(sys.argv[1:])
(line,) = [line for line in open("/proc/self/status") if line.startswith("VmHWM")]
print(line.split()[1], file=sys.stderr)
sys.exit(status)
"""


def peak_mb(path):
    done = subprocess.run(
        [sys.executable, "-c", PEAK, "msd", path, "--json", "--quiet", "--skip-ps", "0"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return int(done.stderr.split()[-1]) / 1e3, json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no peak of memory to read here")
def test_memory_does_not_hold_the_paths(tmp_path):
    """300,000 frames of 50 atoms: 360 MB of paths. A row and its transforms are in memory."""
    walk = Walk(n_ions=23, repeats=3, hops_per_ps=0.5, rattle=0.2)
    n_blocks, n_frames = 100, 3000
    block = run_of(walk, n_frames=n_frames)
    assert block.n_atoms == 50
    moves = block.positions[-1] - block.positions[0]
    long, short = tmp_path / "long.h5", tmp_path / "short.h5"
    with TrajectoryWriter(long) as writer:
        for k in range(n_blocks):
            shifted = dataclasses.replace(
                block,
                positions=block.positions + k * moves,
                times_ps=(k * n_frames + np.arange(n_frames)) * 0.1,
            )
            writer.append(shifted)
        writer.finish(block.provenance)
    write_run(short, walk)
    (much, found), (little, _) = peak_mb(long), peak_mb(short)
    assert found["runs"][0]["n_frames"] == n_blocks * n_frames
    paths_mb = 50 * 3 * 8 * n_blocks * n_frames / 1e6
    assert much - little < 0.6 * paths_mb
    assert much < 600
