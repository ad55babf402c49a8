"""A trajectory that the engine made, in the hands of MDAnalysis, ZnH5MD and ASE."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from mdbench.config import ReferenceConfig, SimulateConfig
from mdbench.stages import reference, simulate
from mdbench.store import read_trajectory

OBSERVABLES = ("potential_energy", "kinetic_energy", "temperature", "conserved_energy", "pressure")

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module", params=[False, True], ids=["whole", "ended in the ramp"])
def made(request, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    size: dict = {"temps": "800", "replicas": 1, "ps": 0.12, "ramp_ps": 0.1, "stride": 4}
    if request.param:  # of a reference this would be bad input
        broken = SimulateConfig(calculator="refpot", timestep_fs=30.0, **size)
        report = simulate.run(["lgps"], broken, run_folder=folder)
    else:
        report = reference.run(["lgps"], ReferenceConfig(**size), run_folder=folder)
    assert report.made[0].n_frames == (1 if request.param else 15)
    return report.made[0].job.target


def observables(path: Path) -> dict[str, np.ndarray]:
    with h5py.File(path) as file:
        group = file["observables/trajectory"]
        return {name: group[name]["value"][()] for name in OBSERVABLES if name in group}


def test_mdanalysis(made) -> None:
    mda = pytest.importorskip("MDAnalysis")
    run, expected = read_trajectory(made), observables(made)
    universe = mda.Universe.empty(50, trajectory=True)
    universe.load_new(str(made), format="H5MD")
    assert len(universe.trajectory) == run.n_frames
    for frame, step in enumerate(universe.trajectory):
        assert_allclose(step.positions, run.positions[frame], rtol=1e-6, atol=0)
        assert_allclose(step.dimensions[:3], [8.69407, 8.69407, 12.5994], rtol=1e-6, atol=0)
        assert_allclose(step.time, run.times_ps[frame], rtol=1e-12, atol=0)
        assert step.data["step"] == 4 * frame
        data = {name.removeprefix("trajectory/"): value for name, value in step.data.items()}
        for name, values in expected.items():
            assert data[name] == values[frame]
        if run.forces is not None:
            assert_array_equal(data["forces"], run.forces[frame])
    assert set(expected) == (set(OBSERVABLES) if run.n_frames > 1 else set())


def test_znh5md_and_ase(made) -> None:
    znh5md = pytest.importorskip("znh5md")
    import ase.io

    run, expected = read_trajectory(made), observables(made)
    for images in (list(znh5md.IO(str(made))), ase.io.read(made, ":")):
        assert len(images) == run.n_frames
        for frame, atoms in enumerate(images):
            assert_array_equal(atoms.numbers, run.atomic_numbers)
            assert_array_equal(atoms.positions, run.positions[frame])
            assert_array_equal(atoms.cell.array, run.cells[frame])
            assert atoms.pbc.all()
            if run.energies is not None:
                assert run.forces is not None
                assert run.stresses is not None
                assert atoms.get_potential_energy() == run.energies[frame]
                assert_array_equal(atoms.get_forces(), run.forces[frame])
                # six numbers of nine
                stress = atoms.get_stress(voigt=False)
                assert_allclose(stress, run.stresses[frame], rtol=1e-9, atol=0)
                for name in ("temperature", "conserved_energy"):
                    known = atoms.info | atoms.calc.results
                    assert known[name] == expected[name][frame]
