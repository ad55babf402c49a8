"""Dynamics as the commands make them: files, provenance, resuming, what is refused."""

import dataclasses
import json
import re
import shutil
from collections.abc import Callable
from concurrent.futures import wait
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pytest
from ase.io import write as write_atoms
from mdbench_cli.main import run as command_line
from numpy.testing import assert_allclose, assert_array_equal

from mdbench.analysis.failures import find_failures
from mdbench.analysis.windows import WindowedRun
from mdbench.config import ReferenceConfig, SimulateConfig
from mdbench.errors import InputError
from mdbench.md.ase_engine import simulate_ase
from mdbench.md.frames import Recording
from mdbench.md.simulate import simulate as our_engine
from mdbench.potentials.materials import material
from mdbench.potentials.refpot import RefPot
from mdbench.stages import crew, dynamics, reference, simulate
from mdbench.stages.force_fields import Resolved
from mdbench.stages.run_task import Job
from mdbench.store import TrajectoryFile, TrajectoryWriter, read_trajectory, write_trajectory
from mdbench.units import BOLTZMANN_EV_PER_K
from tests.stages.contents import arrays, files

#: 200 frames of each of four runs.
TINY = ReferenceConfig(temps="800,1000", replicas=2, ps=0.2, ramp_ps=0.1)
PLACES = [f"reference/lgps/{t}K-r{r}.h5" for t in (800, 1000) for r in (0, 1)]


#: Settings that only one of the two commands has.
SPECIAL = ("calculator", "calculator_args", "forces")


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A run folder of four short runs, made by one thread."""
    folder = tmp_path_factory.mktemp("made") / "run"
    reference.run(["lgps"], TINY, run_folder=folder, threads=1)
    return folder


@pytest.fixture
def copied(made, tmp_path) -> Path:
    """The same, to be changed."""
    return Path(shutil.copytree(made, tmp_path / "run"))


def test_what_is_in_a_run_folder(made) -> None:
    assert files(made) == set(PLACES)
    for place, t, replica in zip(PLACES, (800, 800, 1000, 1000), (0, 1, 0, 1), strict=True):
        with TrajectoryFile(made / place) as file:
            known = file.provenance
            assert (file.n_frames, file.n_atoms) == (100, 50)
            assert file.times_ps[0] == 0.0
            assert_allclose(np.diff(file.times_ps), 0.002, rtol=1e-9, atol=0)
            assert_array_equal(file.steps, np.arange(100))
            assert set(file.fields) == {"forces", "energies", "stresses"}
            assert known.potential is not None
            assert known.potential.startswith("synthetic-refpot-v1 (analytic toy potential, not ")
            assert (known.material, known.temperature_k, known.replica) == ("lgps", t, replica)
            assert (known.mobile, known.timestep_fs, known.seed) == ("Li", 2.0, 0)
            assert (known.label, known.end_reason) == ("reference", None)
            assert known.thermostat == "nose-hoover, 40 fs"
            assert [(i.name, i.kind) for i in file.inputs] == [("lgps", "structure")]


def test_replicas_are_not_each_other(made) -> None:
    runs = [arrays(made / place)["particles/trajectory/position/value"] for place in PLACES]
    assert len(set(runs)) == 4


def test_observables_belong_to_the_frames(made) -> None:
    with h5py.File(made / PLACES[0]) as file:
        found = {name: item["value"][()] for name, item in file["observables/trajectory"].items()}
        units = {
            name: item["value"].attrs["unit"]
            for name, item in file["observables/trajectory"].items()
        }
    assert units == {
        "conserved_energy": "eV",
        "forces": "eV Angstrom-1",
        "kinetic_energy": "eV",
        "potential_energy": "eV",
        "pressure": "eV Angstrom-3",
        "stress": "eV Angstrom-3",
        "temperature": "K",
    }
    freedoms = 3 * 50 - 3
    temperature = 2.0 * found["kinetic_energy"] / (freedoms * BOLTZMANN_EV_PER_K)
    assert_allclose(found["temperature"], temperature, rtol=1e-9, atol=0)
    # the conserved quantity stays where the energy does not
    total = found["potential_energy"] + found["kinetic_energy"]
    assert np.ptp(found["conserved_energy"]) < 0.1 * np.ptp(total)
    volume = 8.69407**2 * 12.5994
    virial = -np.trace(found["stress"], axis1=1, axis2=2)
    pressure = 2.0 * found["kinetic_energy"] / (3.0 * volume) + virial / 3.0
    assert_allclose(found["pressure"], pressure, rtol=1e-4, atol=0)


def test_energies_and_forces_are_those_of_the_positions(tmp_path) -> None:
    from mdbench.potentials.base import Systems
    from mdbench.potentials.refpot import RefPot

    config = dataclasses.replace(TINY, temps="800", replicas=1, float64=True)
    reference.run(["lgps"], config, run_folder=tmp_path, threads=1)
    run = read_trajectory(tmp_path / PLACES[0])
    systems = Systems(run.atomic_numbers, run.cells[:1], np.array([0, 50]))
    evaluator = RefPot().evaluator(systems)
    assert run.energies is not None
    assert run.forces is not None
    assert run.stresses is not None
    for frame in (0, 57, 99):
        evaluator.evaluate(run.positions[frame], np.array([True]))
        assert_allclose(run.energies[frame], evaluator.energies[0], rtol=1e-12, atol=0)
        scale = np.abs(evaluator.forces).max()
        assert np.abs(run.forces[frame] - evaluator.forces).max() < 1e-10 * scale
        volume = abs(np.linalg.det(run.cells[0]))
        assert_allclose(
            np.trace(run.stresses[frame]), -np.trace(evaluator.virials[0]) / volume,
            rtol=1e-8, atol=0,
        )  # fmt: skip


@pytest.mark.parametrize(
    ("options", "n_frames"),
    [({"stride": 7}, 15), ({"timestep_fs": 1.0, "stride": 4}, 50), ({"ramp_ps": 0.0}, 100)],
)
def test_length_timestep_and_stride(tmp_path, options, n_frames) -> None:
    config = dataclasses.replace(TINY, temps="800", replicas=1, forces=False, **options)
    report = reference.run(["lgps"], config, run_folder=tmp_path)
    assert [m.n_frames for m in report.made] == [n_frames]
    with TrajectoryFile(tmp_path / PLACES[0]) as file:
        assert file.times_ps[0] == 0.0
        assert_array_equal(file.steps, config.stride * np.arange(n_frames))
        assert_allclose(file.times_ps, file.steps * config.timestep_fs / 1e3, rtol=1e-12, atol=0)
        assert "forces" not in file.fields


@pytest.mark.parametrize("threads", [2, 3, 8])
def test_threads_change_no_bit(made, tmp_path, threads) -> None:
    reference.run(["lgps"], TINY, run_folder=tmp_path, threads=threads)
    for place in PLACES:
        assert arrays(tmp_path / place) == arrays(made / place)


def test_a_run_is_the_same_alone_and_with_others(made, tmp_path) -> None:
    alone = dataclasses.replace(TINY, temps="1000", replicas=1)
    reference.run(["lgps"], alone, run_folder=tmp_path / "alone")
    crowd = dataclasses.replace(TINY, temps="700-1000", replicas=1)
    reference.run(["li4ges4", "lgps"], crowd, run_folder=tmp_path / "crowd", threads=1)
    for folder in ("alone", "crowd"):
        assert arrays(tmp_path / folder / PLACES[2]) == arrays(made / PLACES[2])


def test_what_is_done_is_not_made_again(copied) -> None:
    before = {place: (copied / place).stat().st_mtime_ns for place in PLACES}
    (copied / PLACES[1]).unlink()
    report = reference.run(["LGPS"], TINY, run_folder=copied)
    assert [m.how for m in report.made] == ["already done", "made", "already done", "already done"]
    assert [str(m.job.target.relative_to(copied)) for m in report.made] == PLACES
    for place in (PLACES[0], *PLACES[2:]):
        assert (copied / place).stat().st_mtime_ns == before[place]
    assert "synthetic data" in report.notes[0]


@pytest.mark.parametrize(
    "changed",
    [
        {"seed": 1},
        {"ps": 0.1},
        {"ramp_ps": 0.05},
        {"timestep_fs": 1.0},
        {"stride": 2},
        {"ensemble": "csvr"},
        {"damping_fs": 50.0},
        {"float64": True},
        {"forces": False},
    ],
    ids=str,
)
def test_other_settings_are_refused_where_they_matter(copied, changed) -> None:
    before = {place: arrays(copied / place) for place in PLACES}
    config = dataclasses.replace(TINY, **changed)
    with pytest.raises(InputError, match=r"made with other settings.*--update") as caught:
        reference.run(["lgps"], config, run_folder=copied)
    assert "\n" not in str(caught.value)
    assert {place: arrays(copied / place) for place in PLACES} == before
    assert files(copied) == set(PLACES)


def test_force_makes_it_anew(copied) -> None:
    before = arrays(copied / PLACES[0])
    config = dataclasses.replace(TINY, seed=1)
    report = reference.run(["lgps"], config, run_folder=copied, force=True)
    assert {m.how for m in report.made} == {"made"}
    assert files(copied) == set(PLACES)
    assert arrays(copied / PLACES[0]) != before
    reference.run(["lgps"], TINY, run_folder=copied, force=True)
    assert arrays(copied / PLACES[0]) == before


def test_update_makes_anew_what_has_other_settings(copied) -> None:
    """And nothing else: here the runs that have an own seed."""
    before = {place: arrays(copied / place) for place in PLACES}
    other = dataclasses.replace(TINY, temps="1000", seed=1)
    reference.run(["lgps"], other, run_folder=copied, force=True)
    assert [arrays(copied / place) == before[place] for place in PLACES] == [True] * 2 + [False] * 2
    stamps = [(copied / place).stat().st_mtime_ns for place in PLACES[:2]]
    report = reference.run(["lgps"], TINY, run_folder=copied, update=True)
    assert [m.how for m in report.made] == ["already done"] * 2 + ["made"] * 2
    assert {place: arrays(copied / place) for place in PLACES} == before
    assert [(copied / place).stat().st_mtime_ns for place in PLACES[:2]] == stamps


@pytest.mark.parametrize("command", ["reference", "simulate"])
def test_update_and_force_exclude_each_other(command, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    args = [command, "--force", "--update"]
    assert command_line([*args, "--calculator", "refpot"]) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("mdbench: error: --update or --force, not both")
    assert not files(tmp_path)


class KilledError(BaseException):
    """Nothing in the code catches it."""


def killed_after(chunks: int, monkeypatch) -> None:
    """The stage's engine gives chunks of 13 frames and is killed after some of them."""

    def killed(*args, **kwargs):
        for n, chunk in enumerate(our_engine(*args, **kwargs, chunk_frames=13)):
            if n == chunks:
                raise KilledError
            yield chunk

    killed.__name__ = our_engine.__name__

    monkeypatch.setattr(dynamics, "simulate", killed)  # known as the engine that resumes
    monkeypatch.setattr(reference, "run_jobs", partial(dynamics.run_jobs, engine=killed))


@pytest.mark.parametrize("chunks", [0, 2, 5, 11])
def test_a_run_that_was_broken_off_ends_up_the_same(made, tmp_path, chunks, monkeypatch) -> None:
    """In the ramp (the first four chunks) and after it."""
    with monkeypatch.context() as patch:
        killed_after(chunks, patch)
        with pytest.raises(KilledError):
            reference.run(["lgps"], TINY, run_folder=tmp_path, threads=2)
    assert not list(tmp_path.rglob("*.h5"))
    report = reference.run(["lgps"], TINY, run_folder=tmp_path, threads=1)
    # a thread that was stopped before its first chunk has nothing to go on from
    assert {m.how for m in report.made} <= {"resumed", "made"}
    assert ("resumed" in {m.how for m in report.made}) == (chunks > 0)
    assert files(tmp_path) == set(PLACES)
    for place in PLACES:
        assert arrays(tmp_path / place) == arrays(made / place)


def test_what_was_begun_with_other_settings_is_refused(tmp_path, monkeypatch) -> None:
    with monkeypatch.context() as patch:
        killed_after(3, patch)
        with pytest.raises(KilledError):
            reference.run(["lgps"], TINY, run_folder=tmp_path, threads=1)
    before = files(tmp_path)
    other = dataclasses.replace(TINY, seed=5)
    with pytest.raises(InputError, match=r"begun with other settings.*--update"):
        reference.run(["lgps"], other, run_folder=tmp_path)
    assert files(tmp_path) == before
    report = reference.run(["lgps"], other, run_folder=tmp_path, force=True)
    assert {m.how for m in report.made} == {"made"}
    assert files(tmp_path) == set(PLACES)


@pytest.mark.parametrize("fault", ["other settings", "damaged state"])
def test_update_begins_anew_what_cannot_be_gone_on_with(fault, tmp_path, monkeypatch) -> None:
    with monkeypatch.context() as patch:
        killed_after(6, patch)
        with pytest.raises(KilledError):
            reference.run(["lgps"], TINY, run_folder=tmp_path, threads=1)
    config, begun = TINY, sorted(tmp_path.rglob("*.state"))
    assert begun
    if fault == "other settings":
        config = dataclasses.replace(TINY, seed=5)
    else:
        begun[0].write_bytes(b"torn")
    with pytest.raises(InputError, match=r"--update starts"):
        reference.run(["lgps"], config, run_folder=tmp_path)
    report = reference.run(["lgps"], config, run_folder=tmp_path, update=True)
    others = {"made"} if fault == "other settings" else {"resumed"}
    assert {m.how for m in report.made if m.job.target != begun[0].with_suffix(".h5")} == others
    assert "made" in {m.how for m in report.made}
    assert files(tmp_path) == set(PLACES)
    reference.run(["lgps"], config, run_folder=tmp_path / "whole")
    for place in PLACES:
        assert arrays(tmp_path / place) == arrays(tmp_path / "whole" / place)


def test_journals_that_outlived_their_trajectory_are_removed(copied) -> None:
    """Killed between the rename of the trajectory and the end."""
    for suffix in (".part", ".state"):
        (copied / PLACES[0]).with_suffix(suffix).write_bytes(b"what is left")
    report = reference.run(["lgps"], TINY, run_folder=copied)
    assert {m.how for m in report.made} == {"already done"}
    assert files(copied) == set(PLACES)


HOT = dataclasses.replace(TINY, timestep_fs=30.0, ps=0.6)


def test_a_reference_that_explodes_in_the_ramp_is_bad_input(tmp_path) -> None:
    with pytest.raises(InputError, match=r"every run ended.*exploded.*ramp.*--timestep-fs"):
        reference.run(["lgps"], HOT, run_folder=tmp_path)
    assert not files(tmp_path)


def test_a_model_that_explodes_in_the_ramp_has_one_frame(tmp_path) -> None:
    hot = SimulateConfig(
        calculator="refpot", **{k: v for k, v in vars(HOT).items() if k not in SPECIAL}
    )
    report = simulate.run(["lgps"], hot, run_folder=tmp_path)
    for made in report.made:
        assert made.n_frames == 1
        with TrajectoryFile(made.job.target) as file:
            assert file.provenance.end_reason == made.end_reason
            assert file.times_ps.tolist() == [0.0]
            assert_allclose(
                file.read().positions[0], made.job.material.positions, rtol=1e-6, atol=0
            )
        assert made.end_reason is not None
        assert made.end_reason.startswith(("exploded", "fusion"))
        assert "into the ramp" in made.end_reason
    assert "exploded" in report.as_text()
    again = simulate.run(["lgps"], hot, run_folder=tmp_path)
    assert [m.end_reason for m in again.made] == [m.end_reason for m in report.made]
    assert {m.how for m in again.made} == {"already done"}


def test_the_end_of_a_run_survives_a_full_disk(tmp_path, monkeypatch) -> None:
    """Retired, and killed before the trajectory was written: the reason is in the state."""
    config = dataclasses.replace(HOT, ramp_ps=0.0)
    expected = reference.run(["lgps"], config, run_folder=tmp_path / "whole").made

    def full(self, provenance):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(TrajectoryWriter, "finish", full)
        with pytest.raises(InputError, match="disk full"):
            reference.run(["lgps"], config, run_folder=tmp_path / "full")
    assert not list((tmp_path / "full").rglob("*.h5*"))
    found = reference.run(["lgps"], config, run_folder=tmp_path / "full").made
    for one, other in zip(found, expected, strict=True):
        assert one.end_reason == other.end_reason is not None
        assert other.end_reason.startswith(("exploded", "fusion"))
        assert arrays(one.job.target) == arrays(other.job.target)
    assert files(tmp_path / "full") == set(PLACES)


def run_lgps(folder: Path, closest: dict[str, float], engine=our_engine, **options):
    """Two runs of a force field that knows from which distances on it was trained."""
    potential = RefPot()
    potential.closest = closest
    config = dataclasses.replace(TINY, temps="800", **options)
    lgps = material("lgps")
    jobs = [Job(lgps, 800.0, r, folder / f"800K-r{r}.h5", "model") for r in (0, 1)]
    return dynamics.run_jobs(potential, jobs, config, Recording(), engine=engine, threads=1)


def test_a_run_below_the_distances_of_the_training_ends(tmp_path) -> None:
    report = run_lgps(tmp_path, {"Li-S": 2.4}, ps=0.6)
    ends = [m.end_reason for m in report.made]
    assert ends[0] is not None
    assert re.fullmatch(
        r"fusion: Li-S \S+ A at \S+ ps \(atoms \d+ and \d+; training saw no less than 2\.40 A\)",
        ends[0],
    )
    with TrajectoryFile(report.made[0].job.target) as file:
        assert 0 < file.n_frames < 300
        windows = WindowedRun(file.atomic_numbers, 6.0, 0.05)
        (failure,) = find_failures(
            [windows.result(end_reason=file.provenance.end_reason, end_ps=file.times_ps[-1])]
        )
    assert failure.mode == "fusion"
    assert ends[0].removeprefix("fusion: ") in failure.message


@pytest.mark.parametrize("known", [{}, {"Li-S": 1.9}], ids=["none", "others"])
def test_other_training_distances_are_other_runs(tmp_path, known, monkeypatch) -> None:
    """What is done, and what was begun; distances of other elements make no difference."""
    run_lgps(tmp_path / "done", known)
    again = run_lgps(tmp_path / "done", {**known, "Fe-O": 1.7})
    assert {m.how for m in again.made} == {"already done"}
    with pytest.raises(InputError, match=r"made with other settings: expected the same closest"):
        run_lgps(tmp_path / "done", {"Li-S": 2.0})
    with monkeypatch.context() as patch:
        killed_after(5, patch)
        with pytest.raises(KilledError):
            run_lgps(tmp_path / "begun", known, engine=vars(dynamics)["simulate"])
    with pytest.raises(InputError, match=r"begun with other settings.*found closest = .*--update"):
        run_lgps(tmp_path / "begun", {"Li-S": 2.0})
    if known:
        with pytest.raises(InputError, match=r"found closest = .* instead of None"):
            run_lgps(tmp_path / "begun", {})
    resumed = run_lgps(tmp_path / "begun", known)
    assert "resumed" in {m.how for m in resumed.made}


@pytest.mark.parametrize("ramp_ps", [0.0, 0.1])
@pytest.mark.parametrize("engine", [our_engine, simulate_ase])
def test_a_structure_below_the_distances_of_the_training_is_bad_input(
    tmp_path, ramp_ps, engine
) -> None:
    with pytest.raises(InputError) as caught:
        run_lgps(tmp_path, {"P-S": 2.5}, engine, ramp_ps=ramp_ps)
    when = "0 ps into the ramp" if ramp_ps else "at 0 ps"
    assert re.fullmatch(
        r".*800K-r0\.h5: every run ended before its production: found fusion: "
        rf"P-S 2\.\d\d A {when} "
        r"\(atoms \d+ and \d+; training saw no less than 2\.50 A\); another structure, .*",
        str(caught.value),
    )  # fmt: skip
    assert not files(tmp_path)


MODEL = SimulateConfig(
    calculator="refpot", temps="800", replicas=2, ps=0.1, ramp_ps=0.05, stride=5, seed=1
)


@pytest.mark.parametrize("engine", ["torch", "ase"])
def test_simulate_the_embedded_potential(tmp_path, engine) -> None:
    config = dataclasses.replace(MODEL, engine=engine)
    report = simulate.run(["li3ps4"], config, run_folder=tmp_path)
    places = {f"rollouts/refpot/li3ps4/800K-r{r}.h5" for r in (0, 1)}
    assert files(tmp_path) == places
    for made in report.made:
        with TrajectoryFile(made.job.target) as file:
            assert file.n_frames == 10
            assert file.provenance.label == "refpot"
            assert "synthetic" in (file.provenance.potential or "")
            assert "forces" not in file.fields
    # another engine is another run
    other = dataclasses.replace(config, engine="ase" if engine == "torch" else "torch")
    with pytest.raises(InputError, match="made with other settings"):
        simulate.run(["li3ps4"], other, run_folder=tmp_path)


def test_both_engines_start_alike(tmp_path) -> None:
    for engine in ("torch", "ase"):
        config = dataclasses.replace(
            MODEL, engine=engine, replicas=1, float64=True, stride=1, ensemble="nve"
        )
        simulate.run(["li3ps4"], config, run_folder=tmp_path / engine)
    runs = [
        read_trajectory(tmp_path / engine / "rollouts/refpot/li3ps4/800K-r0.h5")
        for engine in ("torch", "ase")
    ]
    assert_allclose(runs[0].positions, runs[1].positions, rtol=1e-6, atol=1e-9)


def test_start_where_the_reference_ended(made, copied) -> None:
    config = dataclasses.replace(MODEL, start="reference", replicas=3, ramp_ps=0.0, float64=True)
    simulate.run(["lgps"], config, run_folder=copied)
    for replica, source in ((0, 0), (1, 1), (2, 0)):
        last = read_trajectory(made / PLACES[source]).positions[-1]
        first = read_trajectory(copied / f"rollouts/refpot/lgps/800K-r{replica}.h5").positions[0]
        assert_array_equal(first, last.astype(np.float64))
    with pytest.raises(InputError, match=r"--start reference: no run at 900 K.*mdbench reference"):
        simulate.run(["lgps"], dataclasses.replace(config, temps="900"), run_folder=copied)
    with pytest.raises(InputError, match="made with other settings: expected the same structure"):
        simulate.run(["lgps"], dataclasses.replace(config, start="structure"), run_folder=copied)


def test_the_tenth_replica_starts_where_the_tenth_ended(made, tmp_path) -> None:
    folder = tmp_path / "reference/lgps"
    folder.mkdir(parents=True)
    for replica in range(11):
        shutil.copy(made / PLACES[2 * (replica == 2)], folder / f"800K-r{replica}.h5")
    config = dataclasses.replace(MODEL, start="reference", replicas=3, ramp_ps=0.0, float64=True)
    simulate.run(["lgps"], config, run_folder=tmp_path)
    first = read_trajectory(tmp_path / "rollouts/refpot/lgps/800K-r2.h5").positions[0]
    assert_array_equal(first, read_trajectory(made / PLACES[2]).positions[-1])


@pytest.mark.parametrize("start", ["structure", "reference"])
def test_a_reference_of_other_atoms_under_a_known_name(start, copied) -> None:
    (copied / "reference/lgps").rename(copied / "reference/li3ps4")
    with pytest.raises(InputError, match=r"other atoms: .* of Li3PS4, .* 50 of Li10GeP2S12;"):
        simulate.run(["li3ps4"], dataclasses.replace(MODEL, start=start), run_folder=copied)
    assert not (copied / "rollouts").exists()


@pytest.mark.parametrize(
    ("name", "typed"), [("My-LGPS", "my_lgps"), ("Li10GeP2S12", "Li10GeP2S12"), ("LGPS", "LGPS")]
)
@pytest.mark.parametrize("start", ["structure", "reference"])
def test_a_material_of_the_run_folder(start, name, typed, made, copied) -> None:
    """By the name of its folder, also where a crystal is called so, too."""
    (copied / "reference/lgps").rename(copied / "reference" / name)
    config = dataclasses.replace(MODEL, start=start, replicas=1, ramp_ps=0.0, float64=True)
    report = simulate.run([typed], config, run_folder=copied)
    (target,) = (m.job.target for m in report.made)
    assert target == copied / f"rollouts/refpot/{name}/800K-r0.h5"
    frames = read_trajectory(made / PLACES[0]).positions
    with TrajectoryFile(target) as file:
        assert file.provenance.material == name
        wanted = frames[0 if start == "structure" else -1].astype(np.float64)
        assert_array_equal(file.read(0, 1).positions[0], wanted)


def test_the_first_trajectory_is_that_of_the_lowest_temperature(copied) -> None:
    place = copied / "reference/mine"
    (copied / "reference/lgps").rename(place)
    config = dataclasses.replace(MODEL, temps="1000", ramp_ps=0.0, replicas=1, float64=True)
    (made_run,) = simulate.run(["mine"], config, run_folder=copied).made
    first = read_trajectory(place / "800K-r0.h5").positions[0].astype(np.float64)
    assert_array_equal(made_run.job.material.positions, first)


def test_the_order_of_the_atoms_is_that_of_the_reference(made, tmp_path) -> None:
    run = read_trajectory(made / PLACES[0])
    order = np.random.default_rng(0).permutation(50)
    place = tmp_path / "reference/lgps/800K-r0.h5"
    place.parent.mkdir(parents=True)
    numbers, positions = run.atomic_numbers[order], run.positions[:, order]
    other = dataclasses.replace(
        run, atomic_numbers=numbers, positions=positions, energies=None, forces=None, stresses=None
    )
    write_trajectory(place, other)
    config = dataclasses.replace(MODEL, start="reference", replicas=1)
    (made_run,) = simulate.run(["lgps"], config, run_folder=tmp_path).made
    assert made_run.end_reason is None
    assert_array_equal(read_trajectory(made_run.job.target).atomic_numbers, numbers)


def test_an_unknown_material_gets_near_names_of_both_kinds(copied) -> None:
    (copied / "reference/lgps").rename(copied / "reference/argyrodite")
    for word, meant in (("lgsp", "lgps"), ("argirodite", "argyrodite")):
        with pytest.raises(InputError, match=f"did you mean {meant}") as caught:
            simulate.run([word], MODEL, run_folder=copied)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("ramp_ps", [None, 0.1])
def test_a_model_that_fails_where_the_reference_goes_on_is_a_result(ramp_ps, copied) -> None:
    """At the very first step: training saw no two atoms as near as the reference has them."""
    field = dataclasses.replace(SimulateConfig(calculator="refpot"), start="reference")
    config = dataclasses.replace(field, temps="800", replicas=2, ps=0.1, ramp_ps=ramp_ps)
    known = RefPot()
    known.closest = {"P-S": 2.5}
    found = Resolved(known, "careless")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(simulate, "resolve", lambda **_: found)
        report = simulate.run(["lgps"], config, run_folder=copied)
        with pytest.raises(InputError, match="every run ended before its production"):
            simulate.run(
                ["lgps"], dataclasses.replace(config, start="structure"), run_folder=copied,
                force=True,
            )  # fmt: skip
        again = simulate.run(["lgps"], config, run_folder=copied)
    when = "at 0 ps" if ramp_ps is None else "0 ps into the ramp"
    for replica, one in enumerate(report.made):
        assert one.n_frames == 1
        assert re.fullmatch(rf"fusion: P-S [12]\.\d\d A {when} \(.*\)", one.end_reason or "")
        with TrajectoryFile(one.job.target) as file:
            assert file.provenance.end_reason == one.end_reason
            last = read_trajectory(copied / PLACES[replica]).positions[-1]
            assert_array_equal(file.read().positions[0], last)
    assert {m.how for m in again.made} == {"already done"}


CALCULATOR = """
import numpy as np
from ase.calculators.calculator import Calculator, all_changes


class Faulty(Calculator):
    implemented_properties = ["energy", "forces"]

    def __init__(self, fault="none", after=0):
        super().__init__()
        self.fault, self.calls, self.after = fault, 0, after

    def calculate(self, atoms=None, properties=None, system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.calls += 1
        forces = np.zeros((len(atoms), 3))
        if self.calls > self.after:
            if self.fault == "raises":
                raise RuntimeError("out of\\nmemory")
            if self.fault == "nan":
                forces[0, 0] = np.nan
            if self.fault == "shape":
                forces = forces[1:]
            if self.fault == "hits":
                forces[3] = 1e4
        self.results = {"energy": 0.0, "forces": forces}


def broken():
    raise FileNotFoundError("no weights")
"""


@pytest.fixture
def module(tmp_path, monkeypatch) -> str:
    """The name of a module that makes calculators."""
    name = f"faulty_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(CALCULATOR)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return name


SHORT = dataclasses.replace(TINY, temps="800", replicas=1, ps=0.02, ramp_ps=0.01)


def test_any_calculator_of_ase(module, tmp_path) -> None:
    config = dataclasses.replace(SHORT, calculator=f"{module}:Faulty", calculator_args="after=7")
    report = reference.run(["lgps"], config, run_folder=tmp_path / "run")
    assert [(m.n_frames, m.end_reason) for m in report.made] == [(10, None)]
    assert report.notes == []
    with TrajectoryFile(report.made[0].job.target) as file:
        assert (file.provenance.potential or "").startswith(f"{module}:Faulty(after=7), {module}")
    found = simulate.run(
        ["lgps"],
        dataclasses.replace(MODEL, calculator=f"{module}:Faulty", replicas=1),
        run_folder=tmp_path / "run",
    )
    assert found.made[0].job.target.parts[-3:] == (f"{module}.Faulty", "lgps", "800K-r0.h5")


@pytest.mark.parametrize("engine", ["torch", "ase"])
def test_a_stress_that_is_not_known_is_not_stored(module, tmp_path, engine) -> None:
    config = dataclasses.replace(MODEL, calculator=f"{module}:Faulty", replicas=1, engine=engine)
    (made,) = simulate.run(["lgps"], config, run_folder=tmp_path).made
    known = simulate.run(["lgps"], dataclasses.replace(MODEL, replicas=1), run_folder=tmp_path)
    for one, has in ((made, False), (known.made[0], True)):
        with h5py.File(one.job.target) as file:
            stored = file["observables/trajectory"]
            assert ("stress" in stored, "pressure" in stored) == (has, has)


@pytest.mark.parametrize("after", [0, 3, 8])
@pytest.mark.parametrize(
    ("fault", "words"),
    [("raises", "RuntimeError: out of memory"), ("shape", "forces: expected shape (50, 3)")],
)
def test_a_calculator_that_fails_is_one_line(module, tmp_path, fault, words, after) -> None:
    config = dataclasses.replace(
        SHORT, calculator=f"{module}:Faulty", calculator_args=f"fault={fault},after={after}"
    )
    with pytest.raises(InputError) as caught:
        reference.run(["lgps"], config, run_folder=tmp_path / "run")
    assert words in str(caught.value)
    assert f"calculator {module}:Faulty" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("fault", "after", "reason", "n_frames"),
    [
        ("nan", 3, "exploded: forces or energy not finite 0.006 ps into the ramp", 1),
        ("nan", 10, "exploded: forces or energy not finite at 0.01 ps", 5),
        ("hits", 10, "exploded: 17321 eV/A on Li 3 at 0.01 ps", 5),
    ],
)
def test_a_calculator_that_explodes_ends_the_run(
    module, tmp_path, fault, after, reason, n_frames
) -> None:
    config = dataclasses.replace(
        SHORT, calculator=f"{module}:Faulty", calculator_args=f"fault={fault},after={after}"
    )
    known = {k: v for k, v in vars(config).items() if k not in ("forces",)}
    report = simulate.run(["lgps"], SimulateConfig(**known), run_folder=tmp_path / "run")
    assert [(m.n_frames, m.end_reason) for m in report.made] == [(n_frames, reason)]


def test_a_calculator_without_a_number_is_bad_input(module, tmp_path) -> None:
    config = SimulateConfig(
        calculator=f"{module}:Faulty", calculator_args="fault=nan,after=0", temps="800", replicas=1
    )
    with pytest.raises(InputError, match=r"every run ended.*not finite 0 ps into the ramp"):
        simulate.run(["lgps"], config, run_folder=tmp_path / "run")
    assert not files(tmp_path / "run")


def overlapping(folder: Path) -> str:
    from ase import Atoms

    atoms = Atoms("LiS2", [[0, 0, 0], [3, 3, 3], [3, 3, 3.1]], cell=[6, 6, 6], pbc=True)
    write_atoms(folder / "close.extxyz", atoms)
    return str(folder / "close.extxyz")


def salt(folder: Path) -> str:
    from ase.build import bulk

    write_atoms(folder / "salt.cif", bulk("NaCl", "rocksalt", a=5.64))
    return str(folder / "salt.cif")


def molecule(folder: Path) -> str:
    from ase import Atoms

    write_atoms(folder / "molecule.xyz", Atoms("LiS", [[0, 0, 0], [0, 0, 2]]))
    return str(folder / "molecule.xyz")


@pytest.mark.parametrize(
    ("structure", "words"),
    [
        (lambda folder: "lgsp", ["material 'lgsp'", "did you mean lgps"]),
        (lambda folder: "none.cif", ["material 'none.cif'"]),
        (overlapping, ["overlapping atoms", "0.1 A between atoms 1 and 2"]),
        (salt, ["refpot-v1: expected only Ge, Li, P, S", "found Cl, Na"]),
        (molecule, ["molecule.xyz: structure", "periodic"]),
    ],
    ids=["unknown", "no file", "overlapping", "elements", "molecule"],
)
def test_a_structure_that_cannot_be_run(structure, words, tmp_path) -> None:
    name = structure(tmp_path)
    with pytest.raises(InputError) as caught:
        reference.run(["lgps", name], SHORT, run_folder=tmp_path / "run")
    for word in words:
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"temps": "0"}, ["--temps", "above 0 and below 1e6 K"]),
        ({"temps": "-300"}, ["--temps", "above 0 and below 1e6 K"]),
        ({"temps": "800,nan"}, ["--temps"]),
        ({"temps": "800,800"}, ["two runs of one name", "800K-r0.h5"]),
        ({"ensemble": "nosehoover"}, ["ensemble", "did you mean nose-hoover"]),
        ({"calculator": "refpto"}, ["calculator 'refpto'", "did you mean refpot"]),
        ({"calculator": "no_module:make"}, ["no module no_module"]),
        ({"calculator": "math:make"}, ["math has no make"]),
        ({"calculator_args": "skin"}, ["--calculator-args", "key=value"]),
        ({"calculator_args": "skn=2"}, ["argument 'skn'", "skin"]),
        ({"calculator_args": "device=cuda:99"}, ["device 'cuda:99'", "cpu always works"]),
        ({"ps": 1e-4}, ["production", "2 fs"]),
    ],
    ids=str,
)
def test_settings_that_make_no_sense(options, words, tmp_path) -> None:
    config = dataclasses.replace(SHORT, **options)
    with pytest.raises(InputError) as caught:
        reference.run(["lgps"], config, run_folder=tmp_path / "run")
    for word in words:
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "make",
    [
        lambda: ReferenceConfig(replicas=0),
        lambda: ReferenceConfig(ps=float("nan")),
        lambda: ReferenceConfig(timestep_fs=-2.0),
        lambda: ReferenceConfig(stride=0),
        lambda: ReferenceConfig(seed=-1),
        lambda: ReferenceConfig(damping_fs=0.0),
        lambda: SimulateConfig(engine="gromacs"),
        lambda: SimulateConfig(start="anywhere"),
        lambda: simulate.run(["lgps"], SimulateConfig()),
    ],
)
def test_settings_that_are_refused_at_once(make: Callable[[], object]) -> None:
    with pytest.raises(InputError):
        make()


def test_structure_files_of_one_name(made, tmp_path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        shutil.copy("data/structures/Li4GeS4_annealed.extxyz", tmp_path / folder / "cell.extxyz")
    names = [str(tmp_path / folder / "cell.extxyz") for folder in ("a", "b")]
    with pytest.raises(InputError, match=r"cell/800K-r0.h5: two runs of one name"):
        reference.run(names, SHORT, run_folder=tmp_path / "run")


def test_a_place_that_cannot_be_written(tmp_path) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(InputError, match="not a folder"):
        reference.run(["lgps"], SHORT, run_folder=tmp_path / "run")


def test_progress_only_goes_on(tmp_path, monkeypatch) -> None:
    with monkeypatch.context() as patch:
        killed_after(8, patch)
        with pytest.raises(KilledError):
            reference.run(["lgps"], TINY, run_folder=tmp_path, threads=1)
    seen: list[tuple[float, str]] = []
    with monkeypatch.context() as patch:  # reports also before the first chunk
        patch.setattr(crew, "wait", lambda futures, **known: wait(futures, 0.0))
        reference.run(
            ["lgps"], TINY, run_folder=tmp_path, threads=1, progress=lambda *call: seen.append(call)
        )
    shares = [share for share, _ in seen]
    assert shares == sorted(shares)
    # eight chunks of 13 steps of 150 were done
    assert shares[0] > 103 / 150
    assert shares[-1] == 1.0
    for _, text in seen:
        assert text.endswith("ns/day")
        assert not text.startswith("-")


def test_what_is_printed_as_json(made) -> None:
    report = reference.run(["lgps"], TINY, run_folder=made)
    document = json.loads(json.dumps(report.as_json()))
    assert document["runs"][2] == {
        "file": str(made / PLACES[2]),
        "material": "lgps",
        "temperature_k": 1000.0,
        "replica": 0,
        "n_frames": 100,
        "end_reason": None,
        "state": "already done",
    }
