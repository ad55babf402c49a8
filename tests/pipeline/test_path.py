"""From trajectory files of other codes to diffusion paths."""

import json

import numpy as np
import pytest
from numpy.testing import assert_allclose
from pymatgen.io.vasp import Chgcar

from mdbench.analysis.path_controls import ChannelWalk, channel_walkers
from mdbench.formats.export import write_frames
from mdbench.store import read_result

WALK = ChannelWalk(n_ions=20, repeats=3, hops_per_ps=0.5)


def test_from_an_xdatcar_to_paths(tmp_path, mdbench) -> None:
    """Wrapped coordinates of eight decimals, without times: the ways are those of the walk."""
    files = []
    for seed in (0, 1):
        run = channel_walkers(WALK, 300, np.random.default_rng(seed))
        write_frames(tmp_path / f"{seed}.XDATCAR", [run])
        files.append(tmp_path / f"{seed}.h5")
        options = ["--frame-interval-fs", "50", "--temperature", "800", "--label", f"run {seed}"]
        done = mdbench("ingest", tmp_path / f"{seed}.XDATCAR", "-o", files[-1], *options)
        assert done.status == 0, done
    out, figure = tmp_path / "path.h5", tmp_path / "path.pdf"
    known = ["--against", files[0], "-o", out, "--plot", figure, "--json"]
    done = mdbench("path", files[1], *known)
    assert done.status == 0, done
    document = json.loads(done.out)
    assert document["percolation_axes"] == ["c"]
    assert document["comparison"]["floors"]["efficiency"]["p"] > 0.01
    assert figure.read_bytes().startswith(b"%PDF")
    shown = mdbench("info", out)
    assert shown.status == 0
    assert "path" in shown.out
    assert read_result(out, "observables").attributes["document"]["n_jumps"] > 50


@pytest.fixture
def argyrodites(real_data, tmp_path, mdbench):
    """Two runs of Li6PS5Cl at 500 K, every 50th step of 2 fs."""
    files = []
    for number in (1, 2):
        files.append(tmp_path / f"{number}.h5")
        source = real_data / f"Li6PS5Cl_50p_run{number}.XDATCAR.gz"
        options = ["--frame-interval-fs", "100", "--temperature", "500", "-o", files[-1]]
        assert mdbench("ingest", source, *options).status == 0
    return files


def test_argyrodites(argyrodites, tmp_path, mdbench) -> None:
    """Two runs of ab initio dynamics, each as if it were a model of the other."""
    target = tmp_path / "CHGCAR"
    done = mdbench("path", argyrodites[1], "--skip-ps", "0", "--density", target, "--json")
    assert done.status == 0, done
    document = json.loads(done.out)
    assert document["n_ions"] == 192
    assert 150 < len(document["sites"]) < 350
    assert document["cell_drift"]["value"] < 0.1
    assert document["failure_mode"] is None
    density = Chgcar.from_file(target)
    assert density.structure.composition.reduced_formula == "PS5Cl"
    assert_allclose(density.data["total"].mean(), 192.0, rtol=1e-6, atol=0)
    known = ["--against", argyrodites[0], "--skip-ps", "0", "--json"]
    done = mdbench("path", argyrodites[1], *known)
    assert done.status == 0, done
    comparison = json.loads(done.out)["comparison"]
    assert comparison["failure_mode"] is None
    assert "cannot be told" in comparison["meaning"]
    assert 0.6 < comparison["density_overlap"]["value"] < 0.85
    for name in ("density_overlap", "efficiency", "fake_rate", "rate_ratio"):
        assert comparison["floors"][name]["p"] > 0.01
