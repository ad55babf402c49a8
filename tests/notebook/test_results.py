"""Result files as arrays and tables."""

import json

import numpy as np
import pytest
from mdbench_cli.main import run as command
from numpy.testing import assert_array_equal

import mdbench
from mdbench import InputError
from mdbench.store import Dataset, write_result
from tests.stages.little import at, write_run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    files = [str(write_run(folder / f"{k:g}.h5", at(k), int(k))) for k in (800.0, 1000.0)]
    for words in (["rdf", files[0]], ["msd", files[0]], ["conductivity", *files]):
        assert command([*words, "-o", str(folder / f"{words[0]}.h5"), "--quiet"]) == 0
    return folder


def test_arrays_units_and_attributes(folder):
    found = mdbench.read_result(folder / "msd.h5")
    assert found.kind == "observables"
    assert found.attributes["observable"] == "msd"
    assert found.settings["estimator"] == "gls"
    assert found.units["msd"] == "Angstrom2"
    assert found.axes["msd_xyz"] == ("xyz", "lag")
    assert [each.name for each in found.inputs] == ["800.h5"]
    assert found["msd"].shape == found["lag_ps"].shape
    with pytest.raises(InputError, match=r"no array 'mds'; did you mean msd"):
        found["mds"]


@pytest.mark.parametrize(("name", "rows"), [("msd", "lag_ps"), ("rdf", "r")])
def test_curves_are_the_columns_of_a_table(folder, name, rows):
    found = mdbench.read_result(str(folder / f"{name}.h5"))
    frame = found.to_frame()
    assert frame.columns[0] == rows
    for column in frame:
        assert_array_equal(frame[column], found[column])


def test_quantities_have_three_columns(folder):
    frame = mdbench.read_result(folder / "conductivity.h5").to_frame()
    assert frame["temperature_k"].tolist() == [800.0, 1000.0]
    stored = mdbench.read_result(folder / "conductivity.h5")["conductivity"]
    names = ["conductivity", "conductivity_low", "conductivity_high"]
    assert_array_equal(frame[names], stored)


def test_other_axes(folder):
    found = mdbench.read_result(folder / "rdf.h5")
    assert list(found.to_frame("edge").columns) == ["edges"]
    with pytest.raises(InputError, match=r"no axis 'bins'; did you mean bin"):
        found.to_frame("bins")


def test_rows_have_the_names_that_attributes_give(tmp_path, capsys):
    path = tmp_path / "audit.h5"
    assert command(["audit", "--calculator", "refpot", "-o", str(path), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)["checks"]
    frame = mdbench.read_result(path).to_frame()
    for key in ("name", "deviation", "tolerance", "claimed", "passed"):
        assert frame[key].tolist() == [check[key] for check in shown]


def test_single_quantities_are_rows(tmp_path):
    quantity = ("value low high",)
    datasets = {
        "forces/mae": Dataset(np.array([1.0, 0.5, 2.0]), "meV Angstrom-1", quantity),
        "forces/r2": Dataset(np.array([0.5, np.nan, np.nan]), "", quantity),
    }
    write_result(tmp_path / "a.h5", "accuracy", datasets, attributes={}, config={}, inputs=[])
    frame = mdbench.read_result(tmp_path / "a.h5").to_frame().set_index("quantity")
    assert frame.loc["forces/mae"].tolist() == [1.0, 0.5, 2.0, "meV Angstrom-1"]
    assert np.isnan(frame.loc["forces/r2", "low"])


def test_what_is_no_result(folder, tmp_path):
    with pytest.raises(InputError, match=r"a trajectory: expected a result; mdbench\.read_traj"):
        mdbench.read_result(folder / "800.h5")
    with pytest.raises(InputError, match="no such file"):
        mdbench.read_result(tmp_path / "none.h5")
    write_result(tmp_path / "n.h5", "verdict", {}, attributes={}, config={}, inputs=[])
    with pytest.raises(InputError, match="no table in this file"):
        mdbench.read_result(tmp_path / "n.h5").to_frame()
