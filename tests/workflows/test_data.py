"""Users' own trajectories: what is found, what is refused, and that ingest takes what is said."""

import dataclasses
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import example, given, settings
from hypothesis import strategies as st
from mdbench_cli.main import cli
from mdbench_workflows.data import find_runs, structure_name
from mdbench_workflows.data_files import natural
from mdbench_workflows.data_yaml import read_stated
from numpy.testing import assert_allclose

from mdbench.config import IngestConfig
from mdbench.errors import InputError
from mdbench.formats import export
from mdbench.store import TrajectoryFile, write_trajectory
from mdbench.trajectory import Provenance
from tests.pipeline.little import (
    FORMS,
    gzipped,
    little_run,
    write_cp2k,
    write_outcar,
    write_vasprun,
)

FORMULA = "Li5P2S5"


def put(path, seed=0, **changes):
    """A little run as a file of the format that its name asks for."""
    path.parent.mkdir(parents=True, exist_ok=True)
    run = dataclasses.replace(little_run(n_frames=5, seed=seed), **changes)
    export.write_frames(path, [run])
    return path


def names(runs, place):
    return [[str(path.relative_to(place.absolute())) for path in run.files] for run in runs]


def ingested(run, output):
    """The trajectory that `mdbench ingest` makes of a run, with the options that are said."""
    arguments = ["ingest", *map(str, run.files), "-o", str(output), *run.extra]
    result = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return TrajectoryFile(output)


@pytest.mark.parametrize("form", FORMS)
def test_what_is_said_is_enough_for_ingest(form, tmp_path):
    kind, place = FORMS[form], tmp_path / "data" / "800K"
    place.mkdir(parents=True)
    run = little_run()
    kind.write(place, run)
    option = dict(zip(kind.options[::2], kind.options[1::2], strict=True))
    lines = [f"{k.lstrip('-').replace('-', '_')}: {v}\n" for k, v in option.items()]
    (tmp_path / "data/runs.yaml").write_text("mobile: Li\n" + "".join(lines))
    (found,) = find_runs(tmp_path / "data")
    assert (found.material, found.formula) == (FORMULA, FORMULA)
    assert (found.temperature_k, found.replica, found.n_atoms) == (800.0, 0, 12)
    assert found.has_forces == ({"energies", "forces"} <= set(kind.fields))
    with ingested(found, tmp_path / "out.h5") as file:
        assert file.n_frames == run.n_frames
        assert (file.provenance.temperature_k, file.provenance.mobile) == (800.0, "Li")
        assert file.provenance.material == FORMULA
        assert found.has_forces == ({"energies", "forces"} <= set(file.fields))


def test_the_files_of_a_vasp_run_are_one_run(tmp_path):
    place = tmp_path / "800K"
    place.mkdir()
    run = little_run()
    gzipped(write_vasprun(place, run))
    write_outcar(place, run)
    FORMS["XDATCAR"].write(place, run)
    (place / "POSCAR").write_text("Li\n1.0\n")
    (place / "plot_xdatcar.py").write_text("print()\n")
    assert names(find_runs(tmp_path), tmp_path) == [["800K/vasprun.xml"]]
    (place / "vasprun.xml").unlink()
    assert names(find_runs(tmp_path), tmp_path) == [["800K/vasprun.xml.gz"]]
    (place / "vasprun.xml.gz").unlink()
    assert names(find_runs(tmp_path), tmp_path) == [["800K/OUTCAR"]]


def test_another_file_of_a_run_takes_the_place_of_a_damaged_one(tmp_path):
    text = write_vasprun(tmp_path, little_run()).read_text()
    (tmp_path / "vasprun.xml").write_text(text[: text.index("<atominfo")])
    write_outcar(tmp_path, little_run())
    notes = []
    (found,) = find_runs(tmp_path, notes)
    assert found.files[0].name == "OUTCAR"
    assert "OUTCAR is taken" in notes[0]


def test_a_relaxation_is_no_run_whatever_lies_beside_it(tmp_path):
    for name in ("800K", "relax"):
        (tmp_path / name).mkdir()
        write_vasprun(tmp_path / name, little_run(seed=len(name)))
    path = tmp_path / "relax/vasprun.xml"
    path.write_text(path.read_text().replace('"IBRION">0', '"IBRION">2'))
    FORMS["XDATCAR"].write(tmp_path / "relax", little_run(seed=5))
    notes = []
    assert names(find_runs(tmp_path, notes), tmp_path) == [["800K/vasprun.xml"]]
    assert any("relax" in note and "IBRION = 2" in note for note in notes)
    shutil.rmtree(tmp_path / "800K")
    with pytest.raises(InputError, match=r"no trajectories: expected vasprun.xml, .* IBRION = 2"):
        find_runs(tmp_path)


def test_the_files_of_a_cp2k_run_are_one_run(tmp_path):
    (tmp_path / "T800").mkdir()
    write_cp2k(tmp_path / "T800", little_run())
    (found,) = find_runs(tmp_path)
    assert found.has_forces
    assert found.files[0].name == "run-pos-1.xyz"
    for path in (tmp_path / "T800").glob("*pos*"):
        path.unlink()
    with pytest.raises(InputError, match="no trajectories"):
        find_runs(tmp_path)


def test_replicas_are_numbered_in_the_order_of_paths(tmp_path):
    for seed, name in enumerate(["1000K/r10", "1000K/r2", "600K/a", "600K/b", "1000K/r1"]):
        put(tmp_path / name / "md.extxyz", seed)
    found = find_runs(tmp_path)
    assert [(r.temperature_k, r.replica) for r in found] == [
        (600.0, 0), (600.0, 1), (1000.0, 0), (1000.0, 1), (1000.0, 2)
    ]  # fmt: skip
    assert [r.files[0].parent.name for r in found] == ["a", "b", "r1", "r2", "r10"]
    assert all(path.is_absolute() for r in found for path in r.files)


@given(st.lists(st.tuples(st.integers(0, 999), st.sampled_from("ab")), min_size=1))
def test_numbers_in_names_sort_as_numbers(items):
    found = sorted((f"r{n}{letter}" for n, letter in items), key=natural)
    assert found == [f"r{n}{letter}" for n, letter in sorted(items)]


@pytest.mark.parametrize(
    "name, expected",
    [
        ("800K/md.extxyz", 800.0),
        ("LGPS_800K_r0.extxyz", 800.0),
        ("T800/x.extxyz", 800.0),
        ("T_1200.5K/x.extxyz", 1200.5),
        ("temp-650/x.extxyz", 650.0),
        ("run_700_K/x.extxyz", 700.0),
        ("800K/NVT_800K.extxyz", 800.0),
    ],
)
def test_temperatures_in_names(name, expected, tmp_path):
    put(tmp_path / "data" / name)
    (found,) = find_runs(tmp_path / "data")
    assert_allclose(found.temperature_k, expected, rtol=1e-12, atol=0)
    assert found.extra[found.extra.index("--temperature") + 1] == f"{expected:g}"


@pytest.mark.parametrize(
    "name", ["x.extxyz", "800k_atoms/x.extxyz", "K800/x.extxyz", "t800/x.extxyz", "K3PS4/1.extxyz"]
)
def test_other_names_say_no_temperature(name, tmp_path):
    put(tmp_path / "data" / name)
    with pytest.raises(InputError, match=r"temperature unknown; .*800K.*temperature: 800"):
        find_runs(tmp_path / "data")


def test_the_name_of_the_folder_that_is_given_counts_and_those_above_it_do_not(tmp_path):
    put(tmp_path / "300K" / "800K" / "a" / "md.extxyz")
    assert find_runs(tmp_path / "300K/800K")[0].temperature_k == 800.0
    with pytest.raises(InputError, match=r"two temperatures: found 300 K .* and 800 K"):
        find_runs(tmp_path / "300K")
    assert find_runs(tmp_path / "300K/800K/a/../../800K")[0].temperature_k == 800.0
    with pytest.raises(InputError, match="temperature unknown"):
        find_runs(tmp_path / "300K/800K/a")


def test_a_path_that_contradicts_the_file_is_refused(tmp_path):
    (tmp_path / "900K").mkdir()
    write_vasprun(tmp_path / "900K", little_run())
    with pytest.raises(InputError, match=r"800 K \(vasprun.xml\) and 900 K \(the name '900K'\)"):
        find_runs(tmp_path)
    listed = tmp_path / "runs.yaml"
    listed.write_text("runs: [{files: 900K/vasprun.xml, temperature: 800}]")
    (found,) = find_runs(tmp_path)
    assert found.temperature_k == 800.0
    assert "--temperature" not in found.extra
    listed.write_text("runs: [{files: 900K/vasprun.xml, temperature: 900}]")
    with pytest.raises(InputError, match=r"800 K \(vasprun.xml\) and 900 K \(runs.yaml\)"):
        find_runs(tmp_path)


def test_a_temperature_of_all_runs_does_not_win_over_names(tmp_path):
    put(tmp_path / "900K/md.extxyz")
    (tmp_path / "runs.yaml").write_text("temperature: 800")
    with pytest.raises(InputError, match=r"800 K \(runs.yaml\) and 900 K"):
        find_runs(tmp_path)
    (tmp_path / "runs.yaml").write_text("runs: [{files: 900K/md.extxyz, temperature: 800}]")
    assert find_runs(tmp_path)[0].temperature_k == 800.0


def test_pieces_of_a_run_are_joined_by_their_names(tmp_path):
    run = little_run(n_frames=50)
    for number in range(1, 11):
        piece = run.positions[5 * number - 5 : 5 * number]
        put(tmp_path / f"800K/r0/part{number}/md.extxyz", positions=piece)
    put(tmp_path / "800K/r1/md.extxyz", 20)
    joined, alone = find_runs(tmp_path)
    assert [p.parent.name for p in joined.files] == [f"part{n}" for n in range(1, 11)]
    assert (joined.replica, alone.replica) == (0, 1)
    with ingested(joined, tmp_path / "out.h5") as file:
        assert file.n_frames == 50
        assert_allclose(file.frame_interval_fs, 20.0, rtol=1e-9, atol=0)


def test_pieces_within_one_folder(tmp_path):
    for replica in (0, 1):
        for piece in (0, 1):
            put(tmp_path / f"800K/r{replica}_seg-0{piece}.extxyz", 2 * replica + piece)
    assert [len(run.files) for run in find_runs(tmp_path)] == [2, 2]


@pytest.mark.parametrize(
    "files",
    [
        ["800K/part1/md.extxyz", "800K/part3/md.extxyz"],  # one is missing
        ["800K/part2/md.extxyz", "800K/part3/md.extxyz"],
        ["800K/part1/md.extxyz", "800K/part01/md.extxyz"],
        ["800K/part1/md.extxyz", "800K/md.extxyz"],
        ["800K/a/md.extxyz", "800K/a/restart/md.extxyz"],
        ["800K/md.extxyz", "800K_cont2/md.extxyz"],
        ["800K/md1.extxyz", "800K/md2.extxyz"],
        ["800K/run1.extxyz", "800K/run2.extxyz"],
        ["800K/md.extxyz", "800K/final.traj"],
    ],
)
def test_what_may_be_pieces_or_replicas_is_asked_and_both_answers_help(files, tmp_path):
    for seed, name in enumerate(files):
        put(tmp_path / name, seed)
    if any(name.endswith("traj") for name in files):
        (tmp_path / "runs.yaml").write_text("frame_interval_fs: 20")
    with pytest.raises(InputError, match="one run in pieces, one run twice, or replicas") as error:
        find_runs(tmp_path)
    assert "\n" not in str(error.value)
    one, two = re.findall("`(runs: [^`]*)`", str(error.value))
    both = "frame_interval_fs: 20\n" if files[-1].endswith("traj") else ""
    (tmp_path / "runs.yaml").write_text(both + one)
    assert sorted(names(find_runs(tmp_path), tmp_path)[0]) == sorted(files)
    (tmp_path / "runs.yaml").write_text(both + two)
    assert sorted(names(find_runs(tmp_path), tmp_path)) == sorted([name] for name in files)


def test_runs_in_one_folder_that_are_named_as_replicas_or_begin_alike(tmp_path):
    for seed in (1, 2):
        put(tmp_path / f"800K-r{seed}.extxyz", seed)
    assert [run.replica for run in find_runs(tmp_path)] == [0, 1]
    run, other = little_run(n_frames=5, seed=0), little_run(n_frames=5, seed=9)
    start = run.positions[0] + (other.positions - other.positions[0])
    put(tmp_path / "alike/800K/a.extxyz")
    put(tmp_path / "alike/800K/b.extxyz", positions=start)
    assert [run.replica for run in find_runs(tmp_path / "alike")] == [0, 1]
    (tmp_path / "alike/runs.yaml").write_text("runs: [{files: 800K/*.extxyz}]")
    with pytest.raises(InputError, match=r"b.extxyz: begins as .*a.extxyz.* replicas"):
        find_runs(tmp_path / "alike")


def test_one_run_twice_is_refused(tmp_path):
    put(tmp_path / "800K/a/md.extxyz")
    put(tmp_path / "800K/b/md.xyz")
    with pytest.raises(InputError, match=r"b/md.xyz: the same run as .*a/md.extxyz"):
        find_runs(tmp_path)
    (tmp_path / "800K").rename(tmp_path / "x")
    (tmp_path / "x/a").rename(tmp_path / "x/700K")
    (tmp_path / "x/b").rename(tmp_path / "x/900K")
    with pytest.raises(InputError, match="the same run"):  # a copied folder, at two temperatures
        find_runs(tmp_path)


def test_an_export_beside_the_run_is_the_same_run(tmp_path):
    put(tmp_path / "800K/md.extxyz")
    put(tmp_path / "800K/md.XDATCAR")
    (found,) = find_runs(tmp_path)
    assert found.files[0].name == "md.extxyz"


def test_links_hidden_files_and_results_are_passed_over(tmp_path):
    data = tmp_path / "data"
    path = put(data / "b/800K/md.extxyz", 1)
    put(tmp_path / "elsewhere/md.extxyz", 2)
    (data / "a_loop").symlink_to(tmp_path)
    (data / "a_copy").symlink_to(data / "b")
    (data / "b/800K/again.extxyz").symlink_to(path)
    (data / "lost.extxyz").symlink_to(tmp_path / "nothing")
    (data / "linked_900K").symlink_to(tmp_path / "elsewhere")
    put(data / ".cache/700K/md.extxyz", 3)
    put(data / "700K/.md.extxyz", 4)
    (data / "empty.extxyz").touch()
    (data / "notes.txt").write_text("text")
    put(data / "run/x/800K/md.extxyz", 5)
    (data / "run/benchmark.json").write_text("{}")
    write_trajectory(make_folder(data / "run2/reference/LGPS") / "800K-r0.h5", little_run(seed=6))
    notes = []
    assert names(find_runs(data, notes), data) == [["b/800K/md.extxyz"], ["linked_900K/md.extxyz"]]
    assert [note for note in notes if "a run folder" in note] == notes
    assert len(notes) == 2
    with pytest.raises(InputError, match=r"a run folder of mdbench.* give .*run2/reference"):
        find_runs(data / "run2")


def make_folder(path):
    path.mkdir(parents=True)
    return path


def test_nothing_and_single_structures(tmp_path):
    with pytest.raises(InputError, match="no such file or folder"):
        find_runs(tmp_path / "nowhere")
    with pytest.raises(InputError, match="found other files"):
        find_runs(tmp_path)
    run = little_run()
    export.write_frames(tmp_path / "start.extxyz", [run[:1]])
    with pytest.raises(InputError, match=r"no trajectories: .*start.extxyz: a single frame"):
        find_runs(tmp_path)
    with pytest.raises(InputError, match="a single frame: expected a trajectory"):
        find_runs(tmp_path / "start.extxyz")
    put(tmp_path / "800K.extxyz", 1)
    assert names(find_runs(tmp_path), tmp_path) == [["800K.extxyz"]]
    assert find_runs(tmp_path / "800K.extxyz") == find_runs(tmp_path)


@pytest.mark.parametrize("single", [False, True])
def test_what_ingest_would_miss_is_asked_before(single, tmp_path):
    path = put(tmp_path / "800K.lammpstrj")
    with pytest.raises(InputError, match=r"--timestep-fs; options .*runs.yaml.*frame_interval_fs"):
        find_runs(path if single else tmp_path)


def test_materials_of_one_formula_are_told_apart_by_the_user_alone(tmp_path):
    run = little_run()
    put(tmp_path / "beta/800K.extxyz", 1)
    put(tmp_path / "gamma/800K.extxyz", 2, cells=run.cells[:5] * [[1.1], [1.0], [1.0]])
    with pytest.raises(
        InputError, match=r"gamma.* structure of the same name: expected about 6\.1"
    ):
        find_runs(tmp_path)
    (tmp_path / "runs.yaml").write_text(
        "runs:\n- {files: beta/800K.extxyz, material: beta}\n"
        "- {files: gamma/800K.extxyz, material: gamma}"
    )
    assert [run.material for run in find_runs(tmp_path)] == ["beta", "gamma"]


def test_a_cell_may_expand(tmp_path):
    put(tmp_path / "300K.extxyz", 1)
    put(tmp_path / "1200K.extxyz", 2, cells=little_run().cells[:5] * 1.03)
    assert [run.temperature_k for run in find_runs(tmp_path)] == [300.0, 1200.0]


@pytest.mark.parametrize(
    "order, message",
    [([11, *range(11)], "its atoms in another order"), ([*range(12)] * 2, "found 24 atoms")],
)
@pytest.mark.parametrize("stated", [False, True])
def test_other_atoms_of_one_material_are_refused(order, message, stated, tmp_path):
    put(tmp_path / "800K.extxyz")
    run = little_run(n_frames=5, seed=1)
    changed = {n: getattr(run, n)[:, order] for n in ("positions", "forces", "velocities")}
    numbers = run.atomic_numbers[order]
    put(tmp_path / "900K.extxyz", 1, atomic_numbers=numbers, energies=None, **changed)
    if stated:
        (tmp_path / "runs.yaml").write_text("material: X\nruns: [{files: 800K.extxyz}, "
                                            "{files: 900K.extxyz}]")  # fmt: skip
    with pytest.raises(InputError, match=message):
        find_runs(tmp_path)


def own(path, seed=0, **known):
    path.parent.mkdir(parents=True, exist_ok=True)
    provenance = Provenance(**known)
    write_trajectory(path, dataclasses.replace(little_run(seed=seed), provenance=provenance))


def test_trajectories_of_ours_are_taken_as_they_are(tmp_path):
    own(tmp_path / "LGPS/800K-r0.h5", 1, temperature_k=800.0, material="LGPS")
    own(tmp_path / "LGPS/800K-r1.h5", 2, temperature_k=800.0, material="LGPS")
    found = find_runs(tmp_path)
    assert [(r.kind, r.extra, r.material, r.replica) for r in found] == [
        ("mdbench", (), "LGPS", 0),
        ("mdbench", (), "LGPS", 1),
    ]
    assert all(run.has_forces for run in found)
    (tmp_path / "runs.yaml").write_text("material: other")
    with pytest.raises(InputError, match="expected 'LGPS', as the trajectory says, found 'other'"):
        find_runs(tmp_path)
    (tmp_path / "runs.yaml").write_text("runs: [{files: LGPS/*.h5}]")
    with pytest.raises(InputError, match="a run of its own"):
        find_runs(tmp_path)


def test_a_trajectory_of_ours_must_know_its_temperature(tmp_path):
    own(tmp_path / "800K.h5")
    with pytest.raises(InputError, match="ingest it again with --temperature"):
        find_runs(tmp_path)


def test_what_was_ingested_beside_its_files_is_not_taken_twice(tmp_path):
    put(tmp_path / "800K/md.extxyz")
    (run,) = find_runs(tmp_path)
    ingested(run, tmp_path / "800K/traj.h5")
    notes = []
    assert find_runs(tmp_path, notes) == [run]
    assert notes == ["800K/traj.h5: left out, what it was made of is beside it"]
    (tmp_path / "800K/md.extxyz").unlink()
    assert [r.kind for r in find_runs(tmp_path)] == ["mdbench"]


def test_settings_of_the_file_reach_ingest(tmp_path):
    run = little_run(n_frames=5)
    for name in ("a", "b", "c"):
        put(tmp_path / f"{name}.lammpstrj", ord(name))
    for path in tmp_path.glob("*.lammpstrj"):
        path.write_text(path.read_text().replace("element", "other"))
    (tmp_path / "runs.yaml").write_text(
        "frame_interval_fs: 20\n"
        "lammps_units: metal\n"
        "species: [Li, Li, Li, Li, Li, P, P, S, S, S, S, S]\n"
        "runs:\n"
        "  - files: [c.lammpstrj, a.lammpstrj]\n"
        "    temperature: 800\n"
        "  - {files: 'b*', temperature: 900.5, stride: 2, float64: true, mobile: S}\n"
    )
    first, second = find_runs(tmp_path / "runs.yaml")
    assert names([first, second], tmp_path) == [["c.lammpstrj", "a.lammpstrj"], ["b.lammpstrj"]]
    options = dict(zip(first.extra[::2], first.extra[1::2], strict=True))
    assert options["--species"] == "Li,Li,Li,Li,Li,P,P,S,S,S,S,S"
    assert "--lammps-units" not in options
    with ingested(second, tmp_path / "b.h5") as file:
        assert file.n_frames == 3
        assert (file.provenance.temperature_k, file.provenance.mobile) == (900.5, "S")
        assert_allclose(file.frame_interval_fs, 40.0, rtol=1e-9, atol=0)
        np.testing.assert_array_equal(file.atomic_numbers, run.atomic_numbers)


def test_species_by_type_and_cells(tmp_path):
    cell = tmp_path / "cells/x.cell"
    cell.parent.mkdir()
    cell.write_text("text")
    path = tmp_path / "runs.yaml"
    path.write_text("species: {1: Li, 2: No}\ncell: cells/x.cell\nconstant_order: true")
    assert read_stated(path)[1] == IngestConfig(
        species="1=Li,2=No", cell=str(cell), constant_order=True
    )
    path.write_text("cell: [10, 10.5, 12]")
    assert read_stated(path)[1].cell == "10,10.5,12"


@pytest.mark.parametrize(
    "text, message",
    [
        ("- a\n", r"no keys and values: expected runs"),
        ("runs: [", r"no YAML"),
        ("runs: []", r"runs: expected a list, found \[\]"),
        ("run: [{files: a.extxyz}]", r"unknown key 'run'; did you mean runs"),
        ("runs: [{file: a.extxyz}]", r"run 1: unknown key 'file'; did you mean files"),
        ("runs: [{files: a.extxyz, temp: 8}]", r"run 1: unknown key 'temp'; did you mean temp"),
        ("label: x", "unknown key 'label'"),
        ("runs: [a.extxyz]", r"run 1: expected keys and values.* found 'a.extxyz'"),
        ("runs: [{files: []}]", r"run 1: files: expected names of files"),
        ("runs: [{material: x}]", r"run 1: files: expected names of files, found None"),
        ("runs: [{files: b.extxyz}]", r"run 1: files: expected existing files, found 'b.extxyz'"),
        ("runs: [{files: 'b*'}]", r"run 1: files: expected existing files, found 'b\*'"),
        ('runs: [{files: "\\0"}]', r"run 1: files: expected names of files"),
        ("temperature: hot", r"temperature: expected a number, found 'hot'"),
        ("temperature: yes", r"temperature: expected a number, found True"),
        ("temperature: -5", r"--temperature: expected a finite number above zero, found -5"),
        ("temperature: .nan", r"temperature: expected a number, found nan"),
        (f"temperature: 0x{'f' * 5000}", r"temperature: expected a number, found a number of"),
        ("material: 5", r"material: expected text, in quotes, found 5"),
        ("material: a/b\ntemperature: 8", r"material 'a/b': expected letters"),
        ("species: Lx", r"unknown element 'Lx'"),
        ("cell: [1, 2]", r"--cell: expected 3, 6 or 9 numbers, found 2"),
        ("frame_interval_fs: 0", r"frame_interval_fs: expected above 0"),
        ("lammps_units: lj", r"--lammps-units: expected metal or real, found 'lj'"),
        ("stride: 2.5", r"stride: expected a whole number, found 2.5"),
        ("constant_order: 1", r"constant_order: expected true or false, found 1"),
        ("a: &a [1]\nb: *a", r"an alias"),
        ("[" * 100_000, r"lists within lists"),
        ("? {a: b}\n: 1", r"no YAML"),
        ("temperature: !!bool 'x'", r"no YAML"),
        (f"cell: {'5' * 300}.5,x", r"--cell: expected an existing file"),
        (f"runs: [{{files: {'x' * 300}}}]", r"run 1: files: expected existing files"),
        ("# " + "x" * 300_000, r"too long"),
        ("\x00", r"no YAML"),
    ],
)
def test_what_a_file_may_not_say(text, message, tmp_path):
    put(tmp_path / "a.extxyz")
    (tmp_path / "runs.yaml").write_text(text)
    with pytest.raises(InputError, match=message) as error:
        find_runs(tmp_path)
    assert "runs.yaml" in str(error.value)
    assert "\n" not in str(error.value)


WORDS = st.sampled_from(
    ["runs:", "- ", "files: ", "a.extxyz", "[", "]", "{", "}", "temperature: ", "8", "species: ",
     "\n", "  ", "cell: ", "1,2,3", ", ", ": ", "*", "&a ", "<<: ", "!!python/name:os ", "'", "~",
     "2001-99-99", "é", "material: ", "1e999", "stride: "]
)  # fmt: skip


@pytest.mark.usefixtures("one_file")
@given(st.lists(WORDS, max_size=14).map("".join))
@example("species: {1: [Li]}")
@example("cell: {a: 1}")
@example("? [a]\n: 1")
@example("2001-99-99: 1")
@settings(max_examples=300, deadline=None)
def test_any_text_is_read_or_refused_in_one_line(one_file, text):
    one_file.write_text(text, encoding="utf-8")
    try:
        listed, config = read_stated(one_file)
    except InputError as error:
        assert len(str(error).splitlines()) == 1  # noqa: PT017
        return
    assert isinstance(config, IngestConfig)
    assert listed is None or all(path.is_file() for one in listed for path in one.files)


@pytest.fixture(scope="module")
def one_file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("yaml")
    put(folder / "a.extxyz")
    return folder / "runs.yaml"


@pytest.mark.parametrize("name", ["LGPS", "Li10Ge(PS6)2", "beta-Li3PS4", "0.5Li2S", "a+b_c.1"])
def test_names_that_are_safe(name):
    assert structure_name(name) == name


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "a/b", "../x", ".hidden", "a..b", "a b", "{x}", "-x", "a*", "[a]", "a\n", "β",
     "a,b", "a;b", "$x", "a" * 81]
)  # fmt: skip
def test_names_that_are_not_are_refused(name):
    with pytest.raises(InputError, match=r"^material .*expected letters.*`material:` in runs.yaml"):
        structure_name(name)


def test_names_that_some_file_systems_take_for_one(tmp_path):
    for seed in (0, 1):
        put(tmp_path / f"{seed}.extxyz", seed)
    (tmp_path / "runs.yaml").write_text(
        "temperature: 800\nruns:\n- {files: 0.extxyz, material: LGPS}\n"
        "- {files: 1.extxyz, material: lgps}"
    )
    with pytest.raises(InputError, match="two materials of one name: found LGPS, lgps"):
        find_runs(tmp_path)


def test_temperatures_that_are_nearly_one(tmp_path):
    for seed, name in enumerate(["800.0K", "800.4K", "800.8K"]):
        put(tmp_path / name / "md.extxyz", seed)
    found = [(run.temperature_k, run.replica) for run in find_runs(tmp_path)]
    assert found == [(800.0, 0), (800.0, 1), (800.8, 0)]


def test_damaged_files_are_not_passed_over(tmp_path):
    put(tmp_path / "800K/md.extxyz")
    (tmp_path / "900K").mkdir()
    (tmp_path / "900K/XDATCAR").write_text("LGPS\nscale\n")
    with pytest.raises(InputError, match=r"900K/XDATCAR.*`runs:` there lists"):
        find_runs(tmp_path)


PAGE = Path(__file__).parents[2] / "docs/howto/own-data.md"


def test_what_the_documentation_shows_is_accepted(tmp_path):
    blocks = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    for name in ("LGPS/run1", "LGPS/run1b", "LGPS/run2", "beta"):
        make_folder(tmp_path / name)
        (tmp_path / name / "vasprun.xml").touch()
        (tmp_path / name / "md-1.lammpstrj").touch()
    (tmp_path / "beta/md-10.lammpstrj").touch()
    (tmp_path / "beta/md-2.lammpstrj").touch()
    seen = []
    for block in blocks:
        (tmp_path / "runs.yaml").write_text(block)
        seen.append(read_stated(tmp_path / "runs.yaml"))
    assert [listed is None for listed, _ in seen] == [True, True, False]
    assert seen[1][1] == IngestConfig(timestep_fs=1.0, species="1=Li,2=P,3=S")
    assert [[path.name for path in one.files] for one in seen[2][0]] == [
        ["vasprun.xml", "vasprun.xml"],
        ["vasprun.xml"],
        ["md-1.lammpstrj", "md-2.lammpstrj", "md-10.lammpstrj"],
    ]


def copy(real_data, name, target):
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(real_data / name, target)


def test_real_vasp_files(real_data, tmp_path):
    copy(real_data, "LGPS_bad_random_seed.vasprun.xml.gz", tmp_path / "LGPS/800K/vasprun.xml.gz")
    relaxed = "LiFePO4.relax_variable_cell.vasprun.xml.gz"
    copy(real_data, relaxed, tmp_path / "relax/vasprun.xml.gz")
    copy(real_data, "Si64.md.vasprun.xml.gz", tmp_path / "Si/vasprun.xml.gz")
    notes = []
    lgps, silicon = find_runs(tmp_path, notes)
    assert (lgps.material, lgps.temperature_k, lgps.n_atoms) == ("Li10GeP2S12", 800.0, 50)
    assert lgps.has_forces
    assert (silicon.material, silicon.temperature_k) == ("Si", 2000.0)
    assert ["relax" in note for note in notes] == [True]
    with ingested(lgps, tmp_path / "out.h5") as file:
        assert (file.n_frames, file.provenance.temperature_k) == (264, 800.0)


def test_real_replicas_without_temperature_and_time(real_data, tmp_path):
    for name in ("run1", "run2"):
        copy(real_data, f"Li6PS5Cl_50p_{name}.XDATCAR.gz", tmp_path / f"500K/{name}/XDATCAR.gz")
    copy(real_data, "Li6PS5I_100p_run1.XDATCAR.gz", tmp_path / "Li6PS5I_500K_XDATCAR.gz")
    with pytest.raises(InputError, match=r"give --frame-interval-fs .*runs.yaml"):
        find_runs(tmp_path)
    (tmp_path / "runs.yaml").write_text("frame_interval_fs: 100\nmobile: Li\n")
    found = find_runs(tmp_path)
    assert [(r.material, r.temperature_k, r.replica, r.has_forces) for r in found] == [
        ("Li6PS5Cl", 500.0, 0, False),
        ("Li6PS5Cl", 500.0, 1, False),
        ("Li6PS5I", 500.0, 0, False),
    ]
    with ingested(found[1], tmp_path / "out.h5") as file:
        assert_allclose(file.times_ps[-1], 13.9, rtol=1e-9, atol=0)


def test_real_files_of_other_codes(real_data, tmp_path):
    for name in ("pos-1.xyz", "frc-1.xyz", "cell"):
        copy(real_data, f"CP2K_npt_f.{name}", tmp_path / f"cp2k/298.15K/CP2K_npt_f.{name}")
    copy(real_data, "Al31_1200K_unwrapped.lammpstrj", tmp_path / "Al/Al31_1200K.lammpstrj")
    for name in ("800", "900", "1000"):
        copy(real_data, f"BaZrYO3H_{name}K.traj", tmp_path / f"protons/{name}K.traj")
    (tmp_path / "all.yaml").write_text(
        "runs:\n"
        "  - files: cp2k/298.15K/*pos-1.xyz\n"
        "  - {files: Al/Al31_1200K.lammpstrj, species: Al, frame_interval_fs: 1000}\n"
        + "".join(
            f"  - {{files: protons/{t}K.traj, frame_interval_fs: 5, mobile: H}}\n"
            for t in (800, 900, 1000)
        )
    )
    found = find_runs(tmp_path / "all.yaml")
    assert [(r.material, r.temperature_k, r.has_forces) for r in found] == [
        ("Al", 1200.0, False),
        ("CH4N5O2", 298.15, True),
        ("Ba8YZr7H2O24", 800.0, True),
        ("Ba8YZr7H2O24", 1000.0, True),
        ("Ba8YZr7HO24", 900.0, True),
    ]
    for number, run in enumerate(found[:3]):
        with ingested(run, tmp_path / f"{number}.h5") as file:
            assert file.provenance.temperature_k == run.temperature_k
            assert len(file.atomic_numbers) == run.n_atoms
