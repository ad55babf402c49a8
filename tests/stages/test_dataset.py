"""`mdbench dataset` from trajectories to splits, and the frames back from them."""

import dataclasses
import json
import math
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from mdbench_cli.main import run
from numpy.testing import assert_allclose, assert_array_equal

from mdbench.config import DatasetConfig, ReferenceConfig
from mdbench.errors import InputError
from mdbench.samples import frame_hashes
from mdbench.stages import dataset, reference
from mdbench.stages.dataset import content_hash, load
from mdbench.store import read_result, read_trajectory, write_trajectory
from mdbench.training.sampling import SPLITS
from mdbench.trajectory import Provenance, Trajectory

NUMBERS = np.array([3, 3, 3, 15, 16, 16])
INTERVAL_FS = 10.0
#: 100 training, 25 validation frames of each run, 100 test frames of each material.
FEW = DatasetConfig(fraction=0.05)
NAMES = ("800K-r0", "800K-r1", "1000K-r0", "1000K-r1")


def trajectory(seed=0, n_frames=600, interval_fs=INTERVAL_FS, **known) -> Trajectory:
    """Atoms on random walks, with energies and forces of no meaning."""
    rng = np.random.default_rng(seed)
    steps = rng.normal(0.0, 0.02, (n_frames, len(NUMBERS), 3))
    cell = np.array([[6.0, 0.0, 0.0], [1.0, 6.5, 0.0], [-1.0, 0.5, 7.0]])
    return Trajectory(
        positions=(rng.random((len(NUMBERS), 3)) @ cell + steps.cumsum(axis=0)).astype("f4"),
        cells=cell * (1.0 + 0.01 * rng.random((n_frames, 1, 1))),
        atomic_numbers=NUMBERS,
        times_ps=np.arange(n_frames) * interval_fs / 1000.0,
        energies=rng.normal(-30.0, 0.5, n_frames),
        forces=rng.normal(0.0, 0.8, (n_frames, len(NUMBERS), 3)).astype("f4"),
        provenance=Provenance(
            **{"material": "glass", "temperature_k": 800.0, "potential": "toy", **known}
        ),
    )


def write(path: Path, run: Trajectory) -> Path:
    write_trajectory(path, run)
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A run folder with four runs of a glass."""
    folder = tmp_path_factory.mktemp("made") / "run"
    for seed, name in enumerate(NAMES):
        t, replica = name.split("K-r")
        known = {"temperature_k": float(t), "replica": int(replica)}
        write(folder / f"reference/glass/{name}.h5", trajectory(seed, **known))
    return folder


@pytest.fixture
def folder(made, tmp_path) -> Path:
    """The same, to be changed."""
    return Path(shutil.copytree(made, tmp_path / "run"))


@pytest.fixture(scope="module")
def made_glass(made, tmp_path_factory) -> Path:
    """The dataset of the glass, of a copy of the run folder."""
    folder = shutil.copytree(made, tmp_path_factory.mktemp("glass") / "run")
    dataset.run((), FEW, run_folder=folder)
    return folder / "dataset/glass.h5"


@pytest.fixture
def glass(folder, made_glass) -> Path:
    """The same, to be changed."""
    (folder / "dataset").mkdir()
    return Path(shutil.copy(made_glass, folder / "dataset/glass.h5"))


def numbers_of(path: Path) -> dict[str, list[tuple[int, int]]]:
    """Run and number of each frame of the splits."""
    stored = read_result(path, "dataset").datasets
    return {
        name: list(
            zip(
                *(stored[f"split/{name}/{part}"].tolist() for part in ("run", "frame")), strict=True
            )
        )
        for name in SPLITS
    }


def changed(path: Path, name: str, change) -> None:
    """Changes an array of a file in place."""
    with h5py.File(path, "r+") as file:
        values = file[name][()]
        change(values)
        file[name][...] = values


def replaced(path: Path, name: str, values) -> None:
    """Puts another array in place of one of a file."""
    with h5py.File(path, "r+") as file:
        attributes = dict(file[name].attrs)
        del file[name]
        file[name] = values
        file[name].attrs.update(attributes)


def test_numbers_of_frames(glass):
    found = {name: len(frames) for name, frames in numbers_of(glass).items()}
    assert found == {"train": 400, "validation": 100, "test": 100, "near": 100}


@pytest.mark.parametrize("names", [SPLITS, ("test",), ("validation", "train", "train")])
def test_loading_gives_the_frames_of_the_trajectories(glass, names):
    loaded = load(glass, names)
    assert list(loaded) == list(dict.fromkeys(names))
    runs = [read_trajectory(glass.parent.parent / f"reference/glass/{n}.h5") for n in NAMES]
    for name, samples in loaded.items():
        index = numbers_of(glass)[name]
        assert samples.material == "glass"
        assert_array_equal(samples.atomic_numbers, NUMBERS)
        assert list(zip(samples.runs.tolist(), samples.frames.tolist(), strict=True)) == index
        for k, (r, f) in enumerate(index):
            assert_array_equal(samples.positions[k], runs[r].positions[f])
            assert_array_equal(samples.cells[k], runs[r].cells[f])
            assert_array_equal(samples.forces[k], runs[r].forces[f])
            assert samples.energies[k] == runs[r].energies[f]
            assert samples.temperatures_k[k] == runs[r].provenance.temperature_k
    assert load(glass, ()) == {}


def test_what_is_in_the_file(glass):
    result = read_result(glass, "dataset")
    sources = result.attributes["trajectories"]
    assert [source["path"] for source in sources] == [
        f"../reference/glass/{name}.h5" for name in NAMES
    ]
    for source, known in zip(sources, result.inputs, strict=True):
        assert (source["sha256"], source["n_frames"]) == (known.sha256, 600)
        # 6 ps: six blocks of a picosecond, a quarter between them
        assert (source["n_blocks"], source["gap_frames"]) == (6, 25)
        assert_allclose(source["gap_ps"], 0.25, rtol=1e-12, atol=0)
    with h5py.File(glass) as file:
        for name in SPLITS:
            for part in ("run", "frame", "hash", "label"):
                assert set(file[f"split/{name}/{part}"].attrs) >= {"unit", "axes"}
    run_0 = read_trajectory(glass.parent / sources[0]["path"])
    frames = [f for r, f in numbers_of(glass)["test"] if r == 0]
    hashes = frame_hashes(NUMBERS, run_0.positions[frames], run_0.cells[frames])
    assert_array_equal(result.datasets["split/test/hash"][: len(frames)], hashes)


def test_splits_are_apart_in_time(glass):
    found = numbers_of(glass)
    sides = [found["train"] + found["near"], found["validation"], found["test"]]
    for k, side in enumerate(sides):
        for other in sides[k + 1 :]:
            assert all(abs(f - g) > 25 for r, f in side for s, g in other if r == s)


def test_near_frames_are_between_those_of_training(glass):
    found = numbers_of(glass)

    def distance(name):
        train = np.array(found["train"])
        each = [np.abs(train[train[:, 0] == r, 1] - f).min() for r, f in found[name]]
        return np.array(each)

    assert distance("near").max() < 10
    assert distance("test").min() > 25


def test_statistics_are_those_of_the_frames(folder, capsys):
    assert run(["dataset", "--run", str(folder), "--fraction", "0.05", "--json"]) == 0
    shown = capsys.readouterr()
    assert shown.out.count("\n") == 1
    document = json.loads(shown.out)
    assert document["datasets"] == [{k: v for k, v in document.items() if k != "datasets"}]
    assert document["content_hash"] == content_hash(folder / "dataset/glass.h5")
    for name, samples in load(folder / "dataset/glass.h5").items():
        told = document["splits"][name]
        assert told["n_frames"] == len(samples)
        for entry in told["per_temperature"]:
            assert entry["n_frames"] == (samples.temperatures_k == entry["temperature_k"]).sum()
        assert_allclose(told["energy"]["mean"], samples.energies.mean(), rtol=1e-12, atol=0)
        assert_allclose(told["energy"]["sd"], samples.energies.std(), rtol=1e-12, atol=0)
        assert_allclose(
            told["forces"]["rms"], (samples.forces**2).mean() ** 0.5, rtol=1e-12, atol=0
        )
        assert told["forces"]["largest"] == np.abs(samples.forces).max()


def test_the_table(folder, capsys):
    assert run(["dataset", "--run", str(folder), "--fraction", "0.05"]) == 0
    shown = capsys.readouterr()
    rows = {line.split()[0]: line.split()[1:4] for line in shown.out.splitlines()[3:]}
    assert rows["train"] == ["400", "200", "200"]
    assert list(rows) == list(SPLITS)
    assert shown.err == f"note: run folder {folder}: glass\n"


def test_paper_sampling(folder, capsys):
    assert run(["dataset", "--run", str(folder), "--fraction", "0.05", "--sampling", "paper"]) == 0
    shown = capsys.readouterr()
    assert "test frames stand next to training frames" in shown.err
    found = numbers_of(folder / "dataset/glass.h5")
    assert [len(found[name]) for name in SPLITS] == [400, 100, 100, 0]
    train = set(found["train"])
    assert any((r, f + 1) in train or (r, f - 1) in train for r, f in found["test"])
    assert len(load(folder / "dataset/glass.h5")["near"]) == 0
    assert "–" in shown.out.splitlines()[-1]


def test_short_runs_give_what_they_have_in_proportion(folder, capsys):
    path = folder / "reference/glass/800K-r0.h5"
    known = read_trajectory(path)
    write(path, known[:60])
    assert run(["dataset", "--run", str(folder), "--fraction", "0.05"]) == 0
    found = numbers_of(folder / "dataset/glass.h5")
    counts = {name: [r for r, _ in found[name]].count(0) for name in SPLITS}
    others = {name: [r for r, _ in found[name]].count(1) for name in SPLITS}
    assert others == {"train": 100, "validation": 25, "test": 25, "near": 25}
    note = "1 of 4 runs are too short for the paper's numbers times 0.05"
    assert note in capsys.readouterr().err
    share = counts["train"] / 100
    assert 0.1 < share < 0.5
    for name in SPLITS[1:]:
        assert math.floor(25 * share) - 1 <= counts[name] <= math.ceil(25 * share) + 1


def test_the_whole_of_the_paper_does_not_fit(folder, capsys):
    assert run(["dataset", "--run", str(folder), "--blocks", "10", "--gap-ps", "0.3"]) == 0
    err = capsys.readouterr().err
    assert "4 of 4 runs are too short for the paper's numbers: they give" in err
    assert "down to 0.15 ps between blocks of different splits instead of 0.3" in err


def test_runs_too_short_for_blocks_are_left_out(tmp_path, capsys):
    paths = [
        write(tmp_path / "long.h5", trajectory(0)),
        write(tmp_path / "x.h5", trajectory(1, 11)),
    ]
    out = tmp_path / "d.h5"
    assert run(["dataset", *map(str, paths), "-o", str(out), "--fraction", "0.01"]) == 0
    assert "x.h5: 11 frames are too few for blocks, left out" in capsys.readouterr().err
    assert len(read_result(out, "dataset").attributes["trajectories"]) == 1
    assert run(["dataset", str(paths[1]), "-o", str(tmp_path / "e.h5")]) == 2
    assert "no frame for train: expected runs of at least 12" in capsys.readouterr().err


def test_the_shortest_run_gives_one_frame_of_each_split(tmp_path):
    path = write(tmp_path / "a.h5", trajectory(0, 12))
    dataset.run([path], DatasetConfig(), output=tmp_path / "d.h5")
    assert [len(frames) for frames in numbers_of(tmp_path / "d.h5").values()] == [1, 1, 1, 1]


def test_the_same_frames_whatever_files_are_called(folder, tmp_path):
    """Another order, other names, another folder: the same splits."""
    dataset.run((), FEW, run_folder=folder)
    expected = content_hash(folder / "dataset/glass.h5")
    for order in ((0, 1, 2, 3), (3, 1, 0, 2)):
        files = [
            Path(shutil.copy(folder / f"reference/glass/{NAMES[k]}.h5", tmp_path / f"{name}.h5"))
            for k, name in zip(order, "abcd", strict=True)
        ]
        out = tmp_path / "elsewhere" / "d.h5"
        for given in (files, files[::-1]):
            dataset.run(given, FEW, output=out, force=True)
            assert content_hash(out) == expected


def test_seeds_differ(folder):
    found = set()
    for seed in range(3):
        config = dataclasses.replace(FEW, seed=seed)
        dataset.run((), config, run_folder=folder, force=True)
        found.add(content_hash(folder / "dataset/glass.h5"))
    assert len(found) == 3


def test_temperatures_are_selected(folder):
    config = dataclasses.replace(FEW, temps="900-1200")
    (document,) = dataset.run((), config, run_folder=folder).documents
    assert document["n_runs"] == 2
    assert set(load(folder / "dataset/glass.h5", ["test"])["test"].temperatures_k) == {1000.0}


def test_materials_of_a_run_folder(folder, capsys):
    write(folder / "reference/Other-Glass/800K-r0.h5", trajectory(9, material="other-glass"))
    args = ["dataset", "--run", str(folder), "--fraction", "0.02"]
    assert run([*args, "--material", "otherglass", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["material"] == "Other-Glass"
    assert [path.name for path in folder.glob("dataset/*")] == ["Other-Glass.h5"]
    assert run([*args, "--material", "glas"]) == 2
    assert "did you mean glass" in capsys.readouterr().err
    assert run([*args, "-o", str(folder / "d.h5")]) == 2
    assert "-o takes one material" in capsys.readouterr().err
    assert run([*args, "--json"]) == 0
    shown = capsys.readouterr()
    assert [d["material"] for d in json.loads(shown.out)["datasets"]] == ["Other-Glass", "glass"]
    assert "Other-Glass.h5: already done" in shown.err


def test_files_of_two_materials(tmp_path, capsys):
    one = write(tmp_path / "a.h5", trajectory(0))
    two = write(tmp_path / "b.h5", trajectory(1, material="other"))
    args = ["dataset", "--data", str(one), str(two), "--fraction", "0.02"]
    assert run(args) == 2
    assert "-o FILE" in capsys.readouterr().err
    args += ["-o", str(tmp_path / "d.h5")]
    assert run(args) == 2
    assert "-o takes one material: found glass; other" in capsys.readouterr().err
    assert run([*args, "--material", "Other"]) == 0
    assert run([*args[:2], str(two), "-o", str(tmp_path / "d.h5")]) == 2
    assert "output exists" in capsys.readouterr().err


def test_already_done(folder, glass, capsys):
    before = glass.read_bytes()
    args = ["dataset", "--run", str(folder), "--fraction", "0.05"]
    assert run(args) == 0
    first = capsys.readouterr()
    assert f"{glass}: already done" in first.err
    assert run([*args, "--temps", "800-1000"]) == 0  # the same trajectories
    assert capsys.readouterr().out == first.out
    assert glass.read_bytes() == before
    for other in (["--seed", "1"], ["--temps", "800"], ["--sampling", "paper"]):
        assert run([*args, *other]) == 2
        assert "made with other settings or from other trajectories" in capsys.readouterr().err
    assert glass.read_bytes() == before
    assert run([*args, "--seed", "1", "--force"]) == 0
    assert glass.read_bytes() != before


def test_a_run_folder_that_moves(glass, tmp_path):
    expected = load(glass, ["test"])["test"]
    moved = (glass.parent.parent).rename(tmp_path / "moved")
    found = load(moved / "dataset/glass.h5", ["test"])["test"]
    assert_array_equal(found.positions, expected.positions)


POSITIONS = "particles/trajectory/position/value"
FORCES = "observables/trajectory/forces/value"
ENERGIES = "observables/trajectory/potential_energy/value"


@pytest.mark.parametrize(
    ("place", "words"),
    [
        (POSITIONS, "other positions or cell than in the dataset"),
        ("particles/trajectory/box/edges/value", "other positions or cell"),
        (FORCES, "another energy or other forces"),
        (ENERGIES, "another energy or other forces"),
    ],
)
def test_a_frame_that_changed(folder, glass, place, words):
    r, f = numbers_of(glass)["validation"][-1]
    path = folder / f"reference/glass/{NAMES[r]}.h5"

    changed(path, place, lambda values: np.multiply(values[f], 1.001, out=values[f : f + 1]))
    with pytest.raises(InputError, match=f"{path.name}: frame {f} has {words}.*--force"):
        load(glass, ["train", "validation"])
    assert len(load(glass, ["test"])["test"]) == 100


def test_trajectories_that_are_gone_or_others(folder, glass):
    path = folder / "reference/glass/800K-r1.h5"
    whole = read_trajectory(path)
    for other, words in (
        (whole[:100], r"no frame \d+: found 100 frames"),
        (whole.select("Li", "S"), "other atoms: expected 6 atoms, Li3PS2, found 5 atoms"),
        (dataclasses.replace(whole, forces=None), "no forces"),
    ):
        write(path, other)
        with pytest.raises(InputError, match=f"{path.name}: {words}"):
            load(glass)
    path.unlink()
    with pytest.raises(InputError, match=f"{path.name}: no such file.*makes it anew") as error:
        load(glass)
    assert "\n" not in str(error.value)


def test_a_leak_is_found_at_loading(glass):
    first = read_result(glass, "dataset").datasets["split/train/hash"][0]
    changed(glass, "split/test/hash", lambda values: values.__setitem__(3, first))
    for read in (load, content_hash):
        with pytest.raises(InputError, match="a frame of split train stands in split test, too"):
            read(glass)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("split/test/run", np.full(100, 7)),
        ("split/test/run", np.full(100, -1)),
        ("split/test/frame", np.full(100, 600)),
        ("split/test/frame", np.full(100, -2)),
        ("split/test/frame", np.full(99, 2)),
        ("split/test/frame", np.full(100, 2.5)),
        ("split/test/label", np.full((100, 1), 2, dtype=np.uint64)),
        ("atomic_numbers", np.array([b"Li"])),
    ],
)
def test_a_damaged_dataset_is_one_line(glass, name, values):
    replaced(glass, name, values)
    with pytest.raises(InputError, match="damaged or incomplete HDF5 file") as error:
        load(glass)
    assert "\n" not in str(error.value)


def test_what_is_no_dataset(folder, glass):
    with pytest.raises(InputError, match="expected dataset, found trajectory"):
        load(folder / "reference/glass/800K-r0.h5")
    with pytest.raises(InputError, match="no such file"):
        load(folder / "dataset/none.h5")
    with pytest.raises(InputError, match=r"split 'tets'; did you mean test\?"):
        load(glass, ["tets"])
    glass.write_bytes(glass.read_bytes()[:5000])
    with pytest.raises(InputError, match="damaged"):
        content_hash(glass)


def test_the_content_hash_knows_labels(folder, glass):
    before = content_hash(glass)
    r, f = numbers_of(glass)["train"][0]
    path = folder / f"reference/glass/{NAMES[r]}.h5"
    changed(path, ENERGIES, lambda values: values.__setitem__(f, values[f] + 0.5))
    dataset.run((), FEW, run_folder=folder, force=True)
    assert content_hash(glass) != before


def test_repeated_frames_are_used_once(tmp_path):
    """A run that stands still for a while, as one that is written twice by a restart."""
    whole = trajectory(0)
    index = np.concatenate([np.arange(600), np.arange(300, 600)])
    known = {
        name: getattr(whole, name)[index] for name in ("positions", "cells", "energies", "forces")
    }
    times = np.arange(900) * INTERVAL_FS / 1000.0
    path = write(tmp_path / "a.h5", dataclasses.replace(whole, times_ps=times, **known))
    report = dataset.run([path], DatasetConfig(), output=tmp_path / "d.h5")
    assert any("300 frames occur more than once" in note for note in report.notes)
    frames = np.concatenate([s.frames for s in load(tmp_path / "d.h5").values()])
    assert len(frames) > 100
    assert len(set(index[frames].tolist())) == len(frames)


def test_runs_that_overlap_leave_no_neighbors(tmp_path):
    """Two files of one run: what both have is used once, and splits are apart on its time axis."""
    whole = trajectory(0, 1000)
    one = write(tmp_path / "one.h5", whole[:600])
    two = write(tmp_path / "two.h5", whole[450:])
    starts = {600: 0, 550: 450}
    for seed in range(6):
        config = DatasetConfig(seed=seed)
        dataset.run([two, one], config, output=tmp_path / "d.h5", force=True)
        sources = read_result(tmp_path / "d.h5", "dataset").attributes["trajectories"]
        start = [starts[source["n_frames"]] for source in sources]
        times = {
            name: [start[r] + f for r, f in frames]
            for name, frames in numbers_of(tmp_path / "d.h5").items()
        }
        every = [time for side in times.values() for time in side]
        assert len(set(every)) == len(every)
        sides = [times["train"] + times["near"], times["validation"], times["test"]]
        for k, side in enumerate(sides):
            for other in sides[k + 1 :]:
                assert min(abs(f - g) for f in side for g in other) > 25


def test_a_run_is_named_once(folder, tmp_path):
    path = folder / "reference/glass/800K-r0.h5"
    copy = shutil.copy(path, tmp_path / "copy.h5")
    with pytest.raises(InputError, match=r"the same frames twice.*name each run once"):
        dataset.run([path, Path(copy)], FEW, output=tmp_path / "d.h5")


def test_frames_need_energies_and_forces(tmp_path, capsys):
    whole = trajectory(0)
    for name in ("energies", "forces"):
        path = write(tmp_path / "a.h5", dataclasses.replace(whole, **{name: None}))
        assert run(["dataset", str(path), "-o", str(tmp_path / "d.h5")]) == 2
        err = capsys.readouterr().err
        assert f"{path}: no {name}: " in err
        assert "--no-forces" in err
        assert err.count("\n") == 1
    for name, words in (("energies", "energy of frame 417"), ("forces", "forces of frame 417")):
        values = np.array(getattr(whole, name))
        values[417] = np.nan
        path = write(tmp_path / "a.h5", dataclasses.replace(whole, **{name: values}))
        assert run(["dataset", str(path), "-o", str(tmp_path / "d.h5")]) == 2
        assert f"{path}: {words}: expected finite" in capsys.readouterr().err
    assert not (tmp_path / "d.h5").exists()


def test_trajectories_that_do_not_belong_together(tmp_path, capsys):
    one, out = write(tmp_path / "a.h5", trajectory(0)), str(tmp_path / "d.h5")
    other = trajectory(1, temperature_k=900.0)
    swapped = dataclasses.replace(other, atomic_numbers=NUMBERS[::-1].copy())
    two = write(tmp_path / "b.h5", swapped)
    assert run(["dataset", str(one), str(two), "-o", out]) == 2
    assert (
        f"{two}: other atoms, or in another order: expected the 6 atoms" in capsys.readouterr().err
    )
    molecule = dataclasses.replace(other, pbc=np.array([True, True, False]))
    assert run(["dataset", str(write(two, molecule)), "-o", out]) == 2
    assert "periodic in three directions" in capsys.readouterr().err
    write(two, trajectory(1, temperature_k=900.0, potential="another toy"))
    assert run(["dataset", str(one), str(two), "-o", out]) == 2
    assert "several potentials: found toy; another toy" in capsys.readouterr().err
    assert run(["dataset", str(one), str(two), "-o", out, "--force"]) == 0
    assert "note: glass: energies and forces of several potentials" in capsys.readouterr().err


def test_what_is_not_known_about_a_run(tmp_path):
    """No temperature, no material, no time axis: frames can be split all the same."""
    known = trajectory(0, interval_fs=0.0, temperature_k=None, material=None, potential=None)
    path = write(tmp_path / "a.h5", known)
    report = dataset.run([path], FEW, output=tmp_path / "d.h5")
    (document,) = report.documents
    assert document["material"] == "Li3PS2"
    assert document["splits"]["train"]["per_temperature"][0]["temperature_k"] is None
    assert "? K" in report.as_text()
    assert any("without a time axis" in note for note in report.notes)
    samples = load(tmp_path / "d.h5", ["train"])["train"]
    assert np.isnan(samples.temperatures_k).all()
    (source,) = read_result(tmp_path / "d.h5", "dataset").attributes["trajectories"]
    assert (source["n_blocks"], source["gap_frames"], source["gap_ps"]) == (10, 1, None)


def test_info(glass, capsys):
    assert run(["info", str(glass), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["splits"][0] == {"split": "train", "frames": 400, "from runs": 4}
    assert facts["content_hash"] == content_hash(glass)
    assert facts["trajectories"][2]["temperature_k"] == 1000.0
    assert run(["info", str(glass)]) == 0
    assert "split validation, frames 100, from runs 4" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--fraction", "0"], "--fraction"),
        (["--fraction", "1.5"], "at most 1"),
        (["--fraction", "nan"], "--fraction"),
        (["--blocks", "2"], "--blocks"),
        (["--gap-ps", "-1"], "--gap-ps"),
        (["--gap-ps", "inf"], "--gap-ps"),
        (["--sampling", "random"], "blocks or paper"),
        (["--seed", "-1"], "--seed"),
        (["--temps", "900"], "no trajectory at 900 K"),
        (["-o", "file/d.h5"], "not a folder"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(folder, args, words, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    (folder / "file").write_text("")
    before = set(folder.rglob("*"))
    assert run(["dataset", "--run", ".", *args]) == 2
    err = capsys.readouterr().err
    assert words in err
    assert err.count("\n") == 1
    assert set(folder.rglob("*")) == before


def test_a_run_folder_without_reference(tmp_path, capsys):
    write(tmp_path / "rollouts/schnet/glass/800K-r0.h5", trajectory(0))
    assert run(["dataset", "--run", str(tmp_path)]) == 2
    assert "no reference trajectories in this run folder" in capsys.readouterr().err


def test_from_the_reference(tmp_path, capsys):
    """Two short runs of the embedded potential."""
    config = ReferenceConfig(temps="800,1000", replicas=1, ps=0.2, ramp_ps=0.1)
    reference.run(["lgps"], config, run_folder=tmp_path, threads=1)
    assert run(["dataset", "--run", str(tmp_path), "--material", "LGPS", "--quiet"]) == 0
    capsys.readouterr()
    loaded = load(tmp_path / "dataset/lgps.h5")
    assert all(samples.n_atoms == 50 and len(samples) for samples in loaded.values())
    assert_allclose(loaded["train"].forces.sum(axis=1) + 1.0, 1.0, rtol=1e-4, atol=0)
    bare = dataclasses.replace(config, forces=False, temps="800")
    reference.run(["lgps"], bare, run_folder=tmp_path / "bare", threads=1)
    assert run(["dataset", "--run", str(tmp_path / "bare")]) == 2
    assert "800K-r0.h5: no forces" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "options", "n_atoms"),
    [
        ("LGPS_bad_random_seed.vasprun.xml.gz", [], 50),
        ("BaZrYO3H_800K.traj", ["--frame-interval-fs", "5"], 42),
    ],
)
def test_real_files(real_data, name, options, n_atoms, tmp_path, capsys):
    path, out = tmp_path / "a.h5", tmp_path / "d.h5"
    assert run(["ingest", str(real_data / name), "-o", str(path), *options]) == 0
    assert run(["dataset", str(path), "-o", str(out)]) == 0
    whole = read_trajectory(path)
    for samples in load(out).values():
        assert len(samples) > 10
        assert samples.n_atoms == n_atoms
        assert_array_equal(samples.positions, whole.positions[samples.frames])
        assert_array_equal(samples.forces, whole.forces[samples.frames])
        assert_array_equal(samples.energies, whole.energies[samples.frames])
