"""Real runs from ingest to conductivity: numbers that others computed, and where there are none.

The numbers of others are pymatgen-analysis-diffusion's, of single runs, without error bars.
"""

import json

import numpy as np
import pytest
from numpy.testing import assert_allclose

FS = "--frame-interval-fs"
CHLORIDE = ("Li6PS5Cl_50p_run1", "Li6PS5Cl_50p_run2")
IODIDE = "Li6PS5I_100p_run1"
#: D (cm²/s) and σ (mS/cm) by smoothing.
ARGYRODITES = {
    (CHLORIDE[0], "false"): (1.34374e-05, 1144.73),
    (CHLORIDE[0], "max"): (1.33307e-05, 1135.64),
    (CHLORIDE[1], "false"): (1.15487e-05, 983.83),
    (CHLORIDE[1], "max"): (1.17436e-05, 1000.43),
    (IODIDE, "false"): (7.31282e-06, 612.01),
    (IODIDE, "max"): (7.31449e-06, 612.15),
}


@pytest.fixture
def ingest(real_data, tmp_path, mdbench):
    """Makes a trajectory of a real file."""

    def call(source, *options, name="run.h5"):
        output = tmp_path / name
        done = mdbench("ingest", real_data / source, "-o", output, *options)
        assert done.status == 0, done
        return output

    return call


@pytest.fixture
def argyrodite(ingest):
    """Makes a trajectory of one of the argyrodites: 500 K, every 50th step of 2 fs."""

    def call(name):
        source = f"{name}.XDATCAR.gz"
        return ingest(source, FS, "100", "--temperature", "500", name=f"{name}.h5")

    return call


@pytest.fixture
def answer(mdbench):
    """Runs an analysis; its JSON document and what it says."""

    def call(command, *args):
        done = mdbench(command, *args, "--json")
        assert done.status == 0, done
        return json.loads(done.out), done.err

    return call


def conductivity_of(document):
    (point,) = document["temperatures"]
    return point["diffusivity"], point["conductivity"]


@pytest.mark.parametrize(("name", "smoothing"), ARGYRODITES)
def test_argyrodites_by_the_recipe_of_others(name, smoothing, argyrodite, answer) -> None:
    """To the six digits that they are known with."""
    options = ["--estimator", "pymatgen", "--smoothing", smoothing, "--skip-ps", "0"]
    document, _ = answer("conductivity", argyrodite(name), *options)
    diffusivity, conductivity = conductivity_of(document)
    known = ARGYRODITES[name, smoothing]
    assert_allclose(diffusivity["value"], known[0], rtol=5e-6, atol=0)
    assert_allclose(conductivity["value"], known[1], rtol=1e-5, atol=0)
    assert document["arrhenius"] is None


def test_argyrodites_with_intervals(argyrodite, answer) -> None:
    """Theirs fit all lags from one origin or from 1 ps on, where MSD still bends; ours later ones.

    Run 1: theirs inside our interval. Run 2: theirs on its lower side, and we say why. The iodide:
    ours is larger, and so wide that theirs is inside.
    """
    inside = {CHLORIDE[0]: True, CHLORIDE[1]: False, IODIDE: True}
    for name, contained in inside.items():
        document, err = answer("conductivity", argyrodite(name), "--skip-ps", "0")
        diffusivity, conductivity = conductivity_of(document)
        assert diffusivity["resolved"]
        assert conductivity["low"] < conductivity["value"] < conductivity["high"]
        for smoothing in ("false", "max"):
            theirs, _ = ARGYRODITES[name, smoothing]
            assert (diffusivity["low"] < theirs < diffusivity["high"]) == contained, name
            assert 0.95 * diffusivity["low"] < theirs < diffusivity["high"]
        if not contained:
            assert "MSD may still slow down at 3 ps: D may be too large, run longer" in err
        assert "one temperature: no Arrhenius line, nothing said about 300 K" in err
        assert document["temperatures"][0]["collective_conductivity"]["value"] is None


def test_two_runs_of_one_system_are_replicas(argyrodite, answer) -> None:
    files = [argyrodite(name) for name in CHLORIDE]
    document, _ = answer("conductivity", *files, "--skip-ps", "0", "--paper")
    assert (document["material"], document["species"]) == ("Li6PS5Cl", "Li")
    pooled, _ = conductivity_of(document)
    each = [conductivity_of(answer("conductivity", f, "--skip-ps", "0")[0])[0] for f in files]
    assert min(d["value"] for d in each) < pooled["value"] < max(d["value"] for d in each)
    narrowest = min(d["high"] / d["low"] for d in each)
    assert pooled["high"] / pooled["low"] < narrowest
    assert document["temperatures"][0]["n_runs"] == 2
    usual = document["paper"]["temperatures"][0]["diffusivity"]["value"]
    theirs = np.mean([ARGYRODITES[name, "false"][0] for name in CHLORIDE])
    assert_allclose(usual, theirs, rtol=5e-6, atol=0)


def test_two_anions_are_two_materials(argyrodite, answer, mdbench) -> None:
    chloride, iodide = argyrodite(CHLORIDE[0]), argyrodite(IODIDE)
    document, _ = answer("msd", chloride, iodide, "--skip-ps", "0")
    assert [g["material"] for g in document["groups"]] == ["Li6PS5Cl", "Li6PS5I"]
    for group in document["groups"]:
        assert set(group["others"]) == {"P", "S", group["material"].removeprefix("Li6PS5")}
        assert group["framework_drift"] < 0.1
    done = mdbench("conductivity", chloride, "--against", iodide)
    assert done.status == 2
    assert "no reference, or several: expected --against runs of the same material" in done.err


def test_displacements_from_the_first_frame(argyrodite, answer) -> None:
    """Window-averaged, the longest lag has one origin: it is the one from the first frame."""
    for name, longest in zip((*CHLORIDE, IODIDE), (11.81371, 11.29567, 4.98546), strict=True):
        document, _ = answer("msd", argyrodite(name), "--skip-ps", "0")
        assert_allclose(document["msd"][-1], longest, rtol=2e-6, atol=0)


def test_half_a_picosecond_says_nothing(ingest, answer, mdbench) -> None:
    """The recipe of others gives 1122 mS/cm for it."""
    path = ingest("LGPS_bad_random_seed.vasprun.xml.gz")
    for options in ([], ["--skip-ps", "0"]):
        document, err = answer("conductivity", path, *options)
        collective = document["temperatures"][0]["collective_conductivity"]
        for quantity in (*conductivity_of(document), collective):
            assert (quantity["value"], quantity["low"], quantity["resolved"]) == (None, None, False)
            assert quantity["high"] > 0
        assert "no diffusion resolved: 0 hops seen" in err
    assert conductivity_of(document)[1]["high"] > 1121.84
    options = ["--estimator", "pymatgen", "--skip-ps", "0"]
    diffusivity, conductivity = conductivity_of(answer("conductivity", path, *options)[0])
    assert_allclose(diffusivity["value"], 2.38697e-05, rtol=5e-6, atol=0)
    assert_allclose(conductivity["value"], 1121.84, rtol=1e-5, atol=0)
    done = mdbench("conductivity", path, "--at", "300")
    assert done.status == 2
    assert "expected D resolved at two temperatures or more, found 0" in done.err


def test_hot_salt_for_78_femtoseconds(ingest, answer, mdbench) -> None:
    path = ingest("NaCl_800K.XDATCAR", FS, "2", "--temperature", "800")
    document, err = answer("conductivity", path, "--skip-ps", "0")
    diffusivity, _ = conductivity_of(document)
    assert diffusivity["value"] is None
    assert diffusivity["high"] > 0
    assert "no diffusion resolved: 0 hops seen" in err
    done = mdbench("conductivity", path)
    assert done.status == 2
    assert f"{path}: too few frames for a diffusivity: expected 31 or more" in done.err


def test_protons_whose_file_name_lies(real_data, ingest, answer, mdbench, tmp_path) -> None:
    """800 K by its name, 711 K by its velocities (3N − 3 degrees of freedom)."""
    unknown = ingest("BaZrYO3H_800K.traj", FS, "5", name="unknown.h5")
    done = mdbench("conductivity", unknown)
    assert done.status == 2
    assert f"{unknown}: temperature unknown" in done.err
    stated = tmp_path / "stated.h5"
    source = real_data / "BaZrYO3H_800K.traj"
    done = mdbench("ingest", source, "-o", stated, FS, "5", "--temperature", "800")
    assert done.status == 0
    contradiction = "the velocities say 711 K, --temperature says 800 K"
    assert contradiction in done.err
    document, err = answer("conductivity", stated)
    assert f"stated.h5: temperature: {contradiction}" in err
    assert document["species"] == "H"
    assert document["temperatures"][0]["temperature_k"] == 800.0
    diffusivity, _ = conductivity_of(document)
    assert diffusivity["value"] is None
    assert "no usual charges of the other elements balance 2 H ions" in err
    found, _ = answer("msd", unknown, "--skip-ps", "0")
    for lag, msd in zip((100, 200, 500), (3.167, 5.600, 11.808), strict=True):
        # theirs are relative to the center of mass, ours to the framework
        assert_allclose(found["msd"][lag], msd, rtol=0.02, atol=0)


def test_recomputed_frames_have_no_diffusion(real_data, ingest, mdbench) -> None:
    """All their times are zero: refused at ingest, and where they are stored as frames."""
    source, cell = "CP2K_reftraj_notime.pos-1.xyz.gz", ("--cell", "10.451,12.068,39.754")
    done = mdbench("ingest", real_data / source, "-o", "never.h5", *cell)
    assert done.status == 2
    assert "not a time series" in done.err
    path = ingest(source, *cell, FS, "0", "--temperature", "300")
    for command in ("msd", "conductivity"):
        done = mdbench(command, path)
        assert done.status == 2
        assert f"{path}: no time axis" in done.err
        assert done.err.count("\n") == 1


def test_aluminium_with_a_vacancy(ingest, answer, mdbench) -> None:
    """One species, which is not a usual mobile ion; theirs: a line from 50 to 100 ps."""
    path = ingest("Al31_1200K_unwrapped.lammpstrj", "--species", "Al", FS, "1000")
    done = mdbench("msd", path)
    assert done.status == 2
    assert "no mobile species" in done.err
    assert "found Al; --mobile names it" in done.err
    document, err = answer("msd", path, "--mobile", "Al", "--skip-ps", "0")
    for lag, msd in ((10, 0.6843), (50, 2.5019), (100, 4.9604)):
        assert document["lag_ps"][lag] == lag
        assert abs(document["msd"][lag] - msd) < 5e-5
    assert document["framework_drift"] < 1e-5
    assert document["others"] == {}
    diffusivity = document["diffusivity"]
    assert diffusivity["resolved"]
    assert diffusivity["low"] < 8.147e-07 < diffusivity["high"]
    assert document["collective_diffusivity"]["high"] is None
    assert "temperature 1200 K taken from the name of the file" in err
