"""What shows a failure is kept in the result file, and read back from it alone."""

import dataclasses
import json

import h5py
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from mdbench.config import RdfConfig
from mdbench.errors import InputError
from mdbench.reporting.failure_figure import failure_figure
from mdbench.stages import rdf
from mdbench.stages.damage import undamaged
from mdbench.stages.evidence import read_evidence
from mdbench.store import Dataset, TrajectoryWriter, read_result, write_trajectory
from mdbench.synthetic import HoppingModel, drifting, fused, ion_conductor, swollen


def made(seed, n_frames=120, interval_fs=100.0):
    rng = np.random.default_rng(seed)
    return ion_conductor(HoppingModel(), n_frames, rng, frame_interval_fs=interval_fs)


def named(run, **known):
    provenance = dataclasses.replace(run.provenance, material="toy", **known)
    return dataclasses.replace(run, provenance=provenance)


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    paths = [tmp_path_factory.mktemp("reference") / f"{k}.h5" for k in range(2)]
    for k, path in enumerate(paths):
        write_trajectory(path, named(made(k), label="reference"))
    return paths


def judged(folder, reference, *runs):
    """The result of runs that are replicas, and its file."""
    paths = [folder / f"run-{k}.h5" for k in range(len(runs))]
    for path, run in zip(paths, runs, strict=True):
        write_trajectory(path, named(run, label="model", end_reason=run.provenance.end_reason))
    stored = folder / "rdf.h5"
    report = rdf.run(paths, RdfConfig(skip_ps=0.0), references=reference, output=stored, force=True)
    return report.results[0].against, stored


@pytest.fixture(scope="module")
def failed(reference, tmp_path_factory):
    """A sound run, one that drifts, and one that drifts later in a lattice that is too wide."""
    slow = drifting(swollen(made(7), 1.02), (0.0, 0.2, 0.0))
    fast = drifting(made(6), (0.0, 0.4, 0.0))
    return judged(tmp_path_factory.mktemp("failed"), reference, made(5), slow, fast)


def test_one_curve_of_each_mode_of_the_first_run_that_fails_so(failed):
    against, stored = failed
    found = read_evidence(read_result(stored, "observables"))
    assert [(f["mode"], f["run"]) for _, f in found] == [("drift", 2), ("lattice mismatch", 1)]
    for curve, failure in found:
        one = against.shown[failure["mode"]]
        assert failure == {**vars(against.failures[one.place]), "atoms": None}
        for name, value in vars(one.curve).items():
            assert_array_equal(getattr(curve, name), value)
        figure = failure_figure(curve, failure, "model: toy")
        assert failure["message"] in figure.get_suptitle().replace("\n", " ")


def test_arrays_have_unit_and_axes(failed):
    with h5py.File(failed[1]) as file:
        places = {"times_ps": "ps", "values": "Angstrom", "reference": "Angstrom"}
        for name, unit in places.items():
            item = file["evidence/drift"][name]
            assert item.attrs["unit"].decode() == unit
            assert len(item.attrs["axes"]) == item.ndim
        assert isinstance(file["evidence/lattice mismatch/values"].attrs["unit"], h5py.Empty)


def test_results_without_failures_or_of_old_have_none(reference, failed, tmp_path):
    against, stored = judged(tmp_path, reference, made(5))
    assert not against.failures
    assert read_evidence(read_result(stored, "observables")) == []
    old = read_result(failed[1], "observables")
    attributes = {k: v for k, v in old.attributes.items() if k != "evidence"}
    assert read_evidence(dataclasses.replace(old, attributes=attributes, datasets={})) == []
    alone = tmp_path / "alone.h5"
    rdf.run(reference[:1], RdfConfig(), output=alone)
    assert read_evidence(read_result(alone, "observables")) == []


def cut(datasets):
    datasets["evidence/drift/values"] = datasets["evidence/drift/values"][1:]


def lose(datasets):
    del datasets["evidence/drift/times_ps"]


def flatten(datasets):
    datasets["evidence/drift/reference"] = datasets["evidence/drift/reference"][0]


def letters(datasets):
    datasets["evidence/drift/limit"] = np.array(["x"] * len(datasets["evidence/drift/limit"]))


def unknown_times(datasets):
    datasets["evidence/drift/times_ps"] = np.full_like(datasets["evidence/drift/times_ps"], np.nan)


@pytest.mark.parametrize("damage", [cut, lose, flatten, letters, unknown_times])
def test_damaged_arrays_are_one_line(failed, damage):
    result = read_result(failed[1], "observables")
    datasets = dict(result.datasets)
    damage(datasets)
    with pytest.raises(InputError, match="damaged result"), undamaged(failed[1], "rdf"):
        read_evidence(dataclasses.replace(result, datasets=datasets))


@pytest.mark.parametrize(
    "changes",
    [{"failure": 99}, {"failure": -1}, {"failure": None}, {"end_ps": "x"}, {"what": ...}],
)
def test_damaged_attributes_are_one_line(failed, changes):
    result = read_result(failed[1], "observables")
    attributes = json.loads(json.dumps(result.attributes))
    kept = attributes["evidence"]["drift"]
    kept.update(changes)
    attributes["evidence"]["drift"] = {k: v for k, v in kept.items() if v is not ...}
    with pytest.raises(InputError, match="damaged result"), undamaged(failed[1], "rdf"):
        read_evidence(dataclasses.replace(result, attributes=attributes))


def test_the_last_frames_of_a_run_that_fused(reference, tmp_path):
    """The frames of the file, up to the moment that the engine names."""
    atoms = (0, 91)
    run = fused(made(8, 150), atoms, 1.6, start_ps=14.75)
    reason = "fusion: Li-S 0.74 A at 14.93 ps (atoms 0 and 91)"
    run = dataclasses.replace(
        run, provenance=dataclasses.replace(run.provenance, end_reason=reason)
    )
    _, stored = judged(tmp_path, reference, run)
    [(curve, failure)] = [
        found
        for found in read_evidence(read_result(stored, "observables"))
        if found[1]["mode"] == "fusion"
    ]
    assert (failure["subject"], failure["run"]) == ("run", 0)
    assert len(curve.values) == 101
    assert_allclose(curve.values[-3:], [1.6, 1.6, 0.74], rtol=1e-5, atol=0)
    assert_allclose(curve.times_ps[[0, -1]], [5.0, 14.93], rtol=1e-9, atol=0)


def test_an_explosion_shows_the_temperatures_that_are_stored(reference, tmp_path):
    run = dataclasses.replace(made(9, 40), velocities=None)
    run = named(run, end_reason="exploded: 812 eV/A on Li 3 at 3.95 ps")
    kelvin = np.append(np.full(38, 800.0), [5e3, 1e5])
    path, stored = tmp_path / "run.h5", tmp_path / "rdf.h5"
    with TrajectoryWriter(path) as writer:
        writer.append(run, observables={"temperature": Dataset(kelvin, "K", ("frame",))})
        writer.finish(run.provenance)
    rdf.run([path], RdfConfig(), references=reference, output=stored)
    (curve, failure), *_ = read_evidence(read_result(stored, "observables"))
    assert failure["mode"] == "exploded"
    assert_array_equal(curve.values, kelvin)
    assert_array_equal(curve.reference[:, 0], [800.0, 800.0])
