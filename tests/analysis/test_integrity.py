"""Every contradiction in a trajectory is called by its name, and a sound one is left alone."""

import dataclasses

import numpy as np
import pytest

from mdbench.analysis.integrity import IntegrityAudit
from mdbench.synthetic import HoppingModel, ion_conductor
from mdbench.trajectory import Trajectory


def run(seed: int = 0, interval_fs: float = 2.0, n_frames: int = 600) -> Trajectory:
    rng = np.random.default_rng(seed)
    return ion_conductor(
        HoppingModel(), n_frames, rng, temperature_k=800.0, frame_interval_fs=interval_fs
    )


def names(trajectory: Trajectory, temperature_k: float | None = 800.0, block: int = 97) -> set[str]:
    audit = IntegrityAudit(trajectory.atomic_numbers)
    for start in range(0, trajectory.n_frames, block):
        audit.add(trajectory[start : start + block])
    return {f.name for f in audit.findings(stated_temperature_k=temperature_k)}


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("interval_fs", [1.0, 2.0, 10.0, 100.0])
def test_a_sound_run_is_left_alone(seed: int, interval_fs: float) -> None:
    assert names(run(seed, interval_fs)) == set()


@pytest.mark.parametrize("seed", range(4))
def test_a_sound_run_without_velocities_is_left_alone(seed: int) -> None:
    assert names(dataclasses.replace(run(seed), velocities=None)) == set()


def test_findings_do_not_depend_on_the_blocks() -> None:
    wrong = dataclasses.replace(run(), times_ps=run().times_ps * 2)
    assert names(wrong, block=600) == names(wrong, block=7) == {"frame interval"}


def test_wrong_timestep_with_velocities() -> None:
    trajectory = run()
    stretched = dataclasses.replace(trajectory, times_ps=trajectory.times_ps * 1.5)
    audit = IntegrityAudit(trajectory.atomic_numbers)
    audit.add(stretched)
    (finding,) = audit.findings(stated_temperature_k=800.0)
    assert finding.name == "frame interval"
    assert "2.0" in finding.message
    assert "not 3 fs" in finding.message


def test_wrong_timestep_without_velocities_shows_as_a_wrong_temperature() -> None:
    trajectory = dataclasses.replace(run(), velocities=None)
    stretched = dataclasses.replace(trajectory, times_ps=trajectory.times_ps * 2)
    audit = IntegrityAudit(trajectory.atomic_numbers)
    audit.add(stretched)
    (finding,) = audit.findings(stated_temperature_k=800.0)
    assert finding.name == "temperature"
    assert "0.5" in finding.message


def test_wrong_temperature() -> None:
    assert names(run(), temperature_k=1000.0) == {"temperature"}


def test_kinetic_temperature_from_dense_displacements_agrees_with_velocities() -> None:
    trajectory = run(interval_fs=1.0)
    audits = []
    for source in (trajectory, dataclasses.replace(trajectory, velocities=None)):
        audit = IntegrityAudit(trajectory.atomic_numbers)
        audit.add(source)
        audits.append(audit.kinetic_temperature)
    assert audits[0] is not None
    assert audits[1] is not None
    np.testing.assert_allclose(audits[1][0], audits[0][0], rtol=0.02, atol=0)


def test_wrapped_coordinates() -> None:
    trajectory = run(interval_fs=100.0)
    wrapped = dataclasses.replace(trajectory, positions=trajectory.wrapped_positions())
    assert names(wrapped) == {"wrapped"}


def test_species_assigned_to_the_wrong_atoms() -> None:
    trajectory = run()
    swapped = dataclasses.replace(trajectory, atomic_numbers=trajectory.atomic_numbers[::-1])
    assert "species" in names(swapped)
    without = dataclasses.replace(swapped, velocities=None)
    assert "species" in names(without)


def test_two_atoms_that_change_places() -> None:
    trajectory = run(interval_fs=100.0)
    positions = np.array(trajectory.positions)
    lithium = int(np.flatnonzero(trajectory.atomic_numbers == 3)[5])
    positions[300:, [2, lithium]] = positions[300:, [lithium, 2]]
    audit = IntegrityAudit(trajectory.atomic_numbers)
    for start in range(0, 600, 300):  # the exchange falls between two blocks
        audit.add(
            dataclasses.replace(trajectory, positions=positions, velocities=None)[
                start : start + 300
            ]
        )
    found = {f.name: f.message for f in audit.findings()}
    assert set(found) == {"atom order"}
    assert f"S (atom 2) and Li (atom {lithium})" in found["atom order"]
    assert "frames 299 and 300" in found["atom order"]


def test_repeated_frames_and_seams() -> None:
    trajectory = run()
    index = [*range(200), 199, *range(200, 600)]
    repeated = Trajectory(
        positions=trajectory.positions[index],
        cells=trajectory.cells[0],
        atomic_numbers=trajectory.atomic_numbers,
        times_ps=np.arange(601) * 0.002,
    )
    assert names(repeated, None) == {"duplicate frames"}
    other = run(seed=5)
    joined = Trajectory(
        positions=np.concatenate([trajectory.positions, other.positions]),
        cells=trajectory.cells[0],
        atomic_numbers=trajectory.atomic_numbers,
        times_ps=np.arange(1200) * 0.002,
    )
    assert names(joined, None) == {"seam"}


def test_uneven_frames() -> None:
    trajectory = run()
    index = [*range(300), *range(310, 600)]
    gap = dataclasses.replace(
        trajectory,
        positions=trajectory.positions[index],
        cells=trajectory.cells[index],
        times_ps=trajectory.times_ps[index],
        velocities=None,
        forces=None,
        energies=None,
    )
    assert "uneven frames" in names(gap, None)
