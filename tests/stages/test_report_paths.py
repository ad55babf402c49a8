"""Paths of ions in the report: a section for each result, a table against the reference's."""

import dataclasses
import json
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from mdbench.analysis.path_controls import ChannelWalk, channel_walkers
from mdbench.config import PathConfig
from mdbench.errors import InputError
from mdbench.stages import report
from mdbench.stages.assess import assess
from mdbench.stages.path import run as analyze
from mdbench.store import write_trajectory

WALK = ChannelWalk(n_ions=27, repeats=3, hops_per_ps=0.5)
ACROSS = dataclasses.replace(WALK, across=1.0)
NAME = "observables/{}/walkers/path-800K.h5"


def write_run(path: Path, walk: ChannelWalk, seed: int) -> None:
    rng = np.random.default_rng(seed)
    path.parent.mkdir(parents=True)
    write_trajectory(path, channel_walkers(walk, 400, rng, frame_interval_fs=50.0))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run folder with one model as good as the reference, and one whose ions cross."""
    folder = tmp_path_factory.mktemp("paths")
    for seed, (place, walk) in enumerate(
        {"reference": WALK, "rollouts/good": WALK, "rollouts/crossing": ACROSS}.items()
    ):
        write_run(folder / place / "walkers" / "800K-r0.h5", walk, seed)
    known = [folder / "reference/walkers/800K-r0.h5"]
    analyze([], PathConfig(), sources=["reference"], run_folder=folder)
    for source in ("good", "crossing"):
        analyze([], PathConfig(), references=known, sources=[source], run_folder=folder)
    report.run([folder])
    return folder


def test_standings(made):
    models = {model.source: model for model in assess([made]).models}
    (good,), (crossing,) = (
        models[name].standings["walkers"].paths for name in ("good", "crossing")
    )
    assert good.temperature_k == 800.0
    assert good.scores["efficiency"].estimate.value > 0.9
    assert good.axes == good.reference_axes == "c"
    assert crossing.scores["fake_rate"].estimate.value > 0.9
    assert crossing.axes == "a"
    low, high = crossing.floors["fake_rate"]
    assert 0.0 <= low <= high < 0.5


def test_every_number_leads_to_its_place(made) -> None:
    document = json.loads(h5py.File(made / NAME.format("good")).attrs["attributes"])["document"]
    (good,) = (m for m in assess([made]).models if m.source == "good")
    (found,) = good.standings["walkers"].paths
    for name, score in found.scores.items():
        assert score.file == NAME.format("good")
        assert score.key == f"attributes/document/comparison/{name}"
        assert score.estimate.value == document["comparison"][name]["value"]


def test_page(made) -> None:
    page = (made / "report/index.html").read_text()
    assert '<section id="paths">' in page
    for words in ("Paths of Li in walkers, 800 K, crossing", "jumps lead along c", "Buchete"):
        assert words in page
    table = pd.read_csv(made / "report/tables/paths.csv")
    assert list(table["model"]) == ["crossing", "good"]
    assert list(table["percolation_axes"]) == ["a", "c"]
    document = json.loads(h5py.File(made / NAME.format("crossing")).attrs["attributes"])["document"]
    assert table["fake_rate"][0] == document["comparison"]["fake_rate"]["value"]
    assert "buchete2008" in (made / "report/citations.bib").read_text()


def test_a_damaged_result_is_one_line(made, tmp_path) -> None:
    path = tmp_path / NAME.format("good")
    path.parent.mkdir(parents=True)
    path.write_bytes((made / NAME.format("good")).read_bytes())
    with h5py.File(path, "a") as file:
        del file["rates/shift"]
    with pytest.raises(InputError, match=r"path-800K\.h5: damaged result"):
        report.run([tmp_path])
