"""A `trajectory` file in the hands of MDAnalysis, ZnH5MD and ASE: equal numbers."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from mdbench.store import write_trajectory
from mdbench.trajectory import Trajectory

N_FRAMES, N_ATOMS = 6, 5
TRICLINIC = np.array([[6.0, 0.3, 0.1], [2.0, 5.0, -0.2], [1.0, -1.5, 7.0]])

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(params=["triclinic", "cubic", "slab"])
def trajectory(request):
    rng = np.random.default_rng(2)
    cell = np.eye(3) * 8.0 if request.param == "cubic" else TRICLINIC
    vectors = rng.normal(size=(3, N_FRAMES, N_ATOMS, 3)) * 5
    return Trajectory(
        positions=vectors[0],
        cells=cell * (1 + 0.01 * np.arange(N_FRAMES))[:, None, None],
        atomic_numbers=np.array([3, 3, 15, 16, 17]),
        times_ps=np.arange(N_FRAMES) * 0.002,
        pbc=np.array([True, True, request.param != "slab"]),
        energies=rng.normal(size=N_FRAMES) * 100,
        forces=vectors[1],
        velocities=vectors[2] * 1e-3,
        stresses=(s := rng.normal(size=(N_FRAMES, 3, 3))) + s.transpose(0, 2, 1),
    )


@pytest.fixture(params=[True, False], ids=["float64", "float32"])
def written(request, trajectory, tmp_path):
    def write(suffix):
        path = tmp_path / f"t.{suffix}"
        write_trajectory(path, trajectory, float64=request.param)
        return str(path)

    return write


def check_universe(universe, trajectory):
    assert len(universe.trajectory) == N_FRAMES
    assert universe.atoms.n_atoms == N_ATOMS
    for frame, step in enumerate(universe.trajectory):
        # MDAnalysis works in single precision; its cell is turned into the standard orientation
        assert_allclose(step.positions, trajectory.positions[frame], rtol=1e-6, atol=0)
        velocities = trajectory.velocities[frame] * 1e3  # Å/ps
        assert_allclose(step.velocities, velocities, rtol=1e-6, atol=0)
        lengths = np.linalg.norm(trajectory.cells[frame], axis=1)
        assert_allclose(step.dimensions[:3], lengths, rtol=1e-6, atol=0)
        a, b, c = trajectory.cells[frame] / lengths[:, None]
        angles = np.degrees(np.arccos([b @ c, a @ c, a @ b]))
        assert_allclose(step.dimensions[3:], angles, rtol=1e-6, atol=0)
        assert_allclose(step.time, trajectory.times_ps[frame], rtol=1e-12, atol=0)
        assert step.data["step"] == frame
        data = {k.removeprefix("trajectory/"): v for k, v in step.data.items()}
        assert data["potential_energy"] == trajectory.energies[frame]
        assert_allclose(data["forces"], trajectory.forces[frame], rtol=1e-6, atol=0)
        assert_array_equal(data["stress"], trajectory.stresses[frame])
        temperature = trajectory.kinetic_temperatures()[frame]
        assert_allclose(data["temperature"], temperature, rtol=1e-12, atol=0)


def test_mdanalysis_by_suffix_alone(written, trajectory):
    mda = pytest.importorskip("MDAnalysis")
    check_universe(mda.Universe(written("h5md")), trajectory)


def test_mdanalysis_whatever_the_suffix(written, trajectory):
    mda = pytest.importorskip("MDAnalysis")
    universe = mda.Universe.empty(N_ATOMS, trajectory=True)
    universe.load_new(written("h5"), format="H5MD")
    check_universe(universe, trajectory)


def test_mdanalysis_writes_what_we_read(written, trajectory, tmp_path):
    mda = pytest.importorskip("MDAnalysis")
    from mdbench.formats.base import Hints
    from mdbench.formats.h5md import open_h5md

    universe = mda.Universe(written("h5md"))
    path = tmp_path / "copy.h5md"
    with mda.Writer(str(path), N_ATOMS) as writer:
        for _ in universe.trajectory:
            writer.write(universe)
    source = open_h5md(path, Hints(species=("Li", "Li", "P", "S", "Cl")))
    (block,) = source.blocks
    assert_allclose(block.coordinates, trajectory.positions, rtol=1e-6, atol=0)
    assert block.velocities is not None
    assert block.times_fs is not None
    assert_allclose(block.velocities, trajectory.velocities, rtol=1e-6, atol=0)
    assert_allclose(block.times_fs, trajectory.times_ps * 1e3, rtol=1e-6, atol=0)


def check_images(images, trajectory, *, single):
    assert len(images) == N_FRAMES
    for frame, atoms in enumerate(images):
        rtol = 1e-6 if single else 0.0
        assert_array_equal(atoms.numbers, trajectory.atomic_numbers)
        assert_array_equal(atoms.pbc, trajectory.pbc)
        assert_array_equal(atoms.cell.array, trajectory.cells[frame])
        assert_allclose(atoms.positions, trajectory.positions[frame], rtol=rtol, atol=0)
        assert atoms.get_potential_energy() == trajectory.energies[frame]
        assert_allclose(atoms.get_forces(), trajectory.forces[frame], rtol=rtol, atol=0)
        stress = atoms.get_stress(voigt=False)
        assert_array_equal(stress, trajectory.stresses[frame])
        # ZnH5MD does not look at units: Å/ps come out as if they were ASE's
        velocities = trajectory.velocities[frame] * 1e3
        assert_allclose(atoms.get_velocities(), velocities, rtol=max(rtol, 1e-12), atol=0)


def test_znh5md(written, trajectory, request):
    znh5md = pytest.importorskip("znh5md")
    single = "float32" in request.node.name
    check_images(list(znh5md.IO(written("h5"))), trajectory, single=single)
    assert len(znh5md.IO(written("h5"))[2:5]) == 3


@pytest.mark.parametrize("options", [{}, {"format": "znh5md"}])
def test_ase(written, trajectory, options, request):
    pytest.importorskip("znh5md")
    import ase.io

    single = "float32" in request.node.name
    check_images(ase.io.read(written("h5"), ":", **options), trajectory, single=single)
    last = ase.io.read(written("h5"), -1, **options)
    assert_array_equal(last.cell.array, trajectory.cells[-1])
