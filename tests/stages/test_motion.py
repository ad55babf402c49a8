"""How a run's displacements are read: against the same run in memory."""

import dataclasses

import h5py
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from mdbench.analysis.motion import ion_motion
from mdbench.errors import InputError
from mdbench.stages.motion import read_motion
from mdbench.store import read_trajectory, write_trajectory
from mdbench.trajectory import Provenance, Trajectory
from mdbench.walks import Walk
from tests.stages.little import HOPPERS, run_of, write_run

DRIFTING = dataclasses.replace(HOPPERS, framework_rattle=0.15)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A run whose cell drifts by 3 Å."""
    place = tmp_path_factory.mktemp("runs") / "drifting.h5"
    run = run_of(DRIFTING, n_frames=120)
    moved = run.positions + np.linspace(0, 3, 120)[:, None, None] * [1.0, 0.5, 0.0]
    write_trajectory(place, dataclasses.replace(run, positions=moved), float64=True)
    return place


def naive_msd(paths):
    """(3, n_frames) Å², every origin of every lag by itself; paths are (n_ions, 3, n_frames)."""
    n_frames = paths.shape[2]
    found = np.zeros((3, n_frames))
    for lag in range(n_frames):
        moved = paths[..., lag:] - paths[..., : n_frames - lag]
        found[:, lag] = (moved**2).mean(axis=(0, 2))
    return found


@pytest.mark.parametrize(
    ("skip_ps", "stride", "first"), [(None, 1, 36), (0.0, 1, 0), (3.05, 1, 31), (2.0, 3, 20)]
)
def test_the_same_as_in_memory(path, skip_ps, stride, first):
    read = read_motion(path, skip_ps=skip_ps, stride=stride)
    expected = ion_motion(read_trajectory(path)[first::stride], "Li")
    motion = read.motion
    assert (motion.species, motion.n_ions, motion.n_frames) == ("Li", 20, expected.n_frames)
    assert_allclose(np.array(motion.displacements), expected.displacements, rtol=0, atol=1e-12)
    assert_allclose(motion.drift, expected.drift, rtol=0, atol=1e-12)
    assert_array_equal(motion.origin, expected.origin)
    assert_allclose(motion.cell, expected.cell, rtol=1e-12, atol=0)
    assert_allclose(motion.frame_interval_ps, 0.1 * stride, rtol=1e-9, atol=0)
    assert_allclose(read.curve, naive_msd(expected.displacements), rtol=1e-9, atol=1e-9)
    assert read.n_atoms == {"Li": 20, "S": 64}
    assert read.provenance.temperature_k == 800.0


def test_equilibration_is_stated(path):
    assert_allclose(read_motion(path).skip_ps, 3.6, rtol=1e-9, atol=0)
    assert read_motion(path, skip_ps=2.5).skip_ps == 2.5


def test_the_other_elements_are_seen_in_the_same_frame(path):
    """The framework rattles about its drift: twice the variance, and no 9 Å² of drift."""
    read = read_motion(path, skip_ps=0.0)
    run = read_trajectory(path)
    sulfur = run.positions[:, run.atomic_numbers == 16]
    sulfur = sulfur - sulfur.mean(axis=1, keepdims=True)
    paths = (sulfur - sulfur[0]).transpose(1, 2, 0)
    assert set(read.others) == {"S"}
    expected = naive_msd(paths).sum(axis=0)
    assert_allclose(read.others["S"], expected, rtol=1e-9, atol=1e-9)
    assert_allclose(read.others["S"][30:90].mean(), 6 * 0.15**2, rtol=0.1, atol=0)
    assert np.linalg.norm(read.motion.drift[:, -1]) > 3


def test_a_stated_mobile_ion(path):
    """Option before file before rule; then lithium is the frame."""
    read = read_motion(path, mobile="S", skip_ps=0.0)
    assert (read.motion.species, read.motion.n_ions) == ("S", 64)
    expected = ion_motion(read_trajectory(path), "S")
    assert_allclose(np.array(read.motion.displacements), expected.displacements, rtol=0, atol=1e-12)
    assert set(read.others) == {"Li"}


def test_the_mobile_ion_that_a_file_states(tmp_path):
    stated = write_run(tmp_path / "stated.h5", mobile="S")
    assert read_motion(stated).motion.species == "S"
    assert read_motion(stated, mobile="Li").motion.species == "Li"


@pytest.mark.parametrize(("ion", "other"), [("Na", "S"), ("Ag", "I"), ("F", "Pb"), ("H", "O")])
def test_the_mobile_ion_by_rule(ion, other, tmp_path):
    walk = Walk(n_ions=5, repeats=3, free_diffusivity=1e-4, mobile=ion, framework=other)
    path = write_run(tmp_path / "a.h5", walk, n_frames=60, mobile=None)
    assert read_motion(path).motion.species == ion


def test_cells_that_change(tmp_path):
    """At constant pressure: displacements are those of the file, the cell is the mean one."""
    run = run_of(n_frames=100)
    scale = 1.0 + 0.02 * np.sin(np.arange(100) / 5.0)
    cells = run.cells * scale[:, None, None]
    breathing = dataclasses.replace(
        run, cells=cells, positions=run.positions * scale[:, None, None]
    )
    write_trajectory(tmp_path / "npt.h5", breathing, float64=True)
    motion = read_motion(tmp_path / "npt.h5", skip_ps=0.0).motion
    assert_allclose(motion.cell, cells.mean(axis=0), rtol=1e-12, atol=0)
    expected = ion_motion(read_trajectory(tmp_path / "npt.h5"), "Li")
    assert_allclose(np.array(motion.displacements), expected.displacements, rtol=0, atol=1e-12)


def test_a_single_species_moves_against_its_own_center(tmp_path):
    run = run_of(Walk(n_ions=20, repeats=3, free_diffusivity=1e-4), n_frames=100)
    ions = run.atomic_numbers == 3
    alone = dataclasses.replace(
        run, positions=run.positions[:, ions], atomic_numbers=run.atomic_numbers[ions]
    )
    write_trajectory(tmp_path / "alone.h5", alone)
    read = read_motion(tmp_path / "alone.h5", skip_ps=0.0)
    assert read.others == {}
    assert_allclose(np.array(read.motion.displacements).sum(axis=0), 0.0, rtol=0, atol=1e-5)


def test_reading_reports_how_far_it_is(path):
    shares = []
    read_motion(path, progress=lambda share, name: shares.append((share, name)))
    assert shares[-1] == (1.0, "drifting.h5")
    assert sorted(shares) == shares


def trajectory(**changes):
    run = run_of(n_frames=60)
    return dataclasses.replace(run, **changes)


def test_what_is_no_diffusion_of_a_crystal_is_refused(tmp_path):
    framework = run_of().atomic_numbers == 16
    aluminium = Trajectory(
        positions=run_of(n_frames=60).positions[:, framework],
        cells=run_of(n_frames=60).cells,
        atomic_numbers=np.full(64, 13),
        times_ps=np.arange(60) * 0.1,
        provenance=Provenance(),
    )
    uneven = np.arange(60) * 0.1
    uneven[30:] += 0.05
    cases = {
        "no mobile species: expected one of Li, .* found Al; --mobile names it": aluminium,
        "no time axis: .* 60 frame.*--frame-interval-fs": trajectory(times_ps=np.zeros(60)),
        "frame 30 comes at another interval: expected 0.1 ps": trajectory(times_ps=uneven),
        "not periodic": trajectory(pbc=np.array([True, True, False])),
    }
    for line, run in cases.items():
        path = tmp_path / "bad.h5"
        path.unlink(missing_ok=True)
        write_trajectory(path, run)
        with pytest.raises(InputError, match=f"bad.h5: {line}"):
            read_motion(path)


def test_options_that_do_not_fit_the_file_are_refused(path):
    with pytest.raises(InputError, match="mobile species: expected one of Li, S, found Na"):
        read_motion(path, mobile="Na")
    with pytest.raises(InputError, match=r"no frames left after equilibration.*--skip-ps"):
        read_motion(path, skip_ps=12.0)


def test_a_cell_without_volume_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"frame 0: cell: expected .* that span a volume"):
        trajectory(cells=np.diag([9.0, 9.0, 0.0]))
    flat = tmp_path / "flat.h5"
    write_trajectory(flat, run_of(n_frames=60))
    spoil_cells(flat)
    with pytest.raises(InputError, match=r"flat\.h5: frame 0: cell"):
        read_motion(flat)


def spoil_cells(path):
    """Takes the volume out of the cells of a file, checksums and all."""
    with h5py.File(path, "r+") as file:
        edges = file["particles/trajectory/box/edges/value"]
        edges[...] = np.diag([9.0, 9.0, 0.0])
