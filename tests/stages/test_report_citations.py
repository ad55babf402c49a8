"""What to cite follows from what trajectories say of themselves; for methods see test_report."""

import dataclasses

import numpy as np
import pytest

from mdbench.reporting.citations import citations
from mdbench.reporting.html import Page
from mdbench.stages.catalog import DATA_SETS
from mdbench.stages.report_citations import uses_of
from mdbench.store import Input, TrajectoryWriter
from mdbench.synthetic import HoppingModel, ion_conductor

PAGE = Page(run="run", created="2026-01-01", version="1.2", sections=())
OURS = {"code": "mdbench 1.0", "material": "lgps"}


@pytest.fixture
def said(tmp_path):
    """What is cited where one trajectory of a run folder says something."""
    run = ion_conductor(HoppingModel(repeats=1), 2, np.random.default_rng(0))

    def cited(*, config=None, inputs=(), **known):
        path = tmp_path / "reference" / "salt" / "800K-r0.h5"
        with TrajectoryWriter(path, config=config, inputs=inputs) as writer:
            writer.append(run)
            writer.finish(dataclasses.replace(run.provenance, **known))
        found = citations(uses_of(PAGE, None, [tmp_path]), "1.2")
        return [each.reference.key for each in found[2:]]

    return cited


def test_synthetic_data_of_others(said):
    assert said() == []


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ({"potential": "CHGNet 0.4, model 0.3.0"}, ["deng2023"]),
        ({"potential": "schnet-small of seed 0, weights 12345678"}, ["schutt2018"]),
        ({"code": "VASP 6.3", "thermostat": "nose-hoover"}, ["kresse1996"]),
        ({"code": "VASP 6.3", "material": "lgps"}, ["kresse1996"]),
        ({**OURS, "thermostat": "nose-hoover, 40 fs"}, ["martyna1996", "kamaya2011"]),
    ],
)
def test_provenance(known, expected, said):
    assert said(**known) == expected


@pytest.mark.parametrize(
    ("engine", "thermostat", "expected"),
    [
        ("torch", "langevin, 1000 fs", ["leimkuhler2013"]),
        ("ase", "langevin, 1000 fs", ["larsen2017"]),  # not the splitting of ours
        ("ase", "csvr, 100 fs", ["bussi2007", "larsen2017"]),
        ("lammps", "nve", ["swope1982", "thompson2022"]),
    ],
)
def test_engines(engine, thermostat, expected, said):
    found = said(config={"engine": engine}, code="mdbench 1.0", thermostat=thermostat)
    assert found == expected


def test_data_of_others_are_known_by_their_checksums(said):
    one = next(each for each in DATA_SETS if any(file.sha256 for file in each.files))
    sha256 = next(file.sha256 for file in one.files if file.sha256)
    assert said(inputs=[Input("XDATCAR.gz", "XDATCAR", sha256)]) == [f"data-{one.name}"]
    assert said(inputs=[Input("XDATCAR.gz", "XDATCAR", "ab" * 32)]) == []


def test_trajectories_that_are_damaged_or_gone_say_nothing(said, tmp_path):
    said(potential="CHGNet 0.4, model 0.3.0")
    path = tmp_path / "reference" / "salt" / "800K-r0.h5"
    path.write_bytes(path.read_bytes()[:5000])
    assert len(citations(uses_of(PAGE, None, [tmp_path]), "1.2")) == 2
    path.unlink()
    assert len(citations(uses_of(PAGE, None, [tmp_path]), "1.2")) == 2
