"""One little run in every format: the same numbers come out, and what is known about them."""

import dataclasses
import hashlib
import json

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from mdbench.store import TrajectoryFile, read_trajectory
from tests.pipeline import little
from tests.pipeline.little import FORMS, Form, little_run

OTHERS = ("energies", "forces", "velocities", "stresses")


def error_of(found, expected) -> float:
    """Largest difference of two arrays of one shape."""
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape
    return float(np.abs(found - expected).max())


@pytest.fixture
def form(request) -> Form:
    return FORMS[request.param]


def test_the_little_run_crosses_the_boundaries() -> None:
    run = little_run()
    jumps = np.abs(np.diff(run.wrapped_positions(), axis=0)).max(axis=(1, 2))
    assert (jumps > 2.0).sum() > 5
    assert np.abs(np.diff(run.positions, axis=0)).max() < 0.6


@pytest.mark.parametrize("form", FORMS, indirect=True)
def test_the_same_numbers_from_every_format(form, tmp_path, mdbench) -> None:
    run, output = little_run(), tmp_path / "out" / "run.h5"
    source = form.write(tmp_path, run)
    done = mdbench("ingest", source, "-o", output, "--float64", *form.options)
    assert (done.status, done.err) == (0, "")
    assert "Li5P2S5, 12 atoms, 20 frames, 0.38 ps at 20 fs" in done.out
    stored = read_trajectory(output)
    assert stored.symbols == little.SYMBOLS
    assert error_of(stored.positions, run.positions) < form.exact
    assert error_of(stored.cells, run.cells) < 1e-9
    assert error_of(stored.times_ps, run.times_ps) < 1e-12
    for name in OTHERS:
        values = getattr(stored, name)
        assert (values is not None) == (name in form.fields), name
        if values is not None:
            assert error_of(values, getattr(run, name)) < form.exact, name


@pytest.mark.parametrize("form", FORMS, indirect=True)
def test_single_precision_is_the_double_one_rounded(form, tmp_path, mdbench) -> None:
    source = form.write(tmp_path, little_run())
    for name, options in (("double.h5", ["--float64"]), ("single.h5", [])):
        assert mdbench("ingest", source, "-o", tmp_path / name, *form.options, *options).status == 0
    double = read_trajectory(tmp_path / "double.h5").positions
    single = read_trajectory(tmp_path / "single.h5").positions
    assert single.dtype == np.float32
    assert_array_equal(single, double.astype(np.float32))


@pytest.mark.parametrize("form", ["vasprun", "outcar", "cp2k", "dump", "XDATCAR"], indirect=True)
def test_compressed_files_give_the_same(form, tmp_path, mdbench) -> None:
    source = form.write(tmp_path, little_run())
    packed = little.gzipped(source)
    for path, output in ((source, "plain.h5"), (packed, "packed.h5")):
        assert mdbench("ingest", path, "-o", tmp_path / output, *form.options).status == 0
        source.unlink(missing_ok=True)
    plain, other = read_trajectory(tmp_path / "plain.h5"), read_trajectory(tmp_path / "packed.h5")
    assert_array_equal(plain.positions, other.positions)
    assert_array_equal(plain.times_ps, other.times_ps)


EXPORTS = {
    "again.extxyz": (OTHERS, 1e-12),
    "again.xyz.gz": (OTHERS, 1e-12),
    "again.lammpstrj": (("forces", "velocities"), 1e-12),
    "again.traj": (OTHERS, 1e-12),
    "XDATCAR": ((), 2e-7),
}


@pytest.mark.parametrize("name", EXPORTS)
@pytest.mark.parametrize("precision", ["--float64", "--quiet"])
def test_round_trip(name, precision, tmp_path, mdbench) -> None:
    source = FORMS["extxyz"].write(tmp_path, little_run())
    first, exported, again = tmp_path / "first.h5", tmp_path / name, tmp_path / "again.h5"
    assert mdbench("ingest", source, "-o", first, precision).status == 0
    done = mdbench("convert", first, "-o", exported)
    assert (done.status, done.out) == (0, f"{exported}: 20 frames\n")
    options = [] if "xyz" in name else ["--frame-interval-fs", "20"]
    assert mdbench("ingest", exported, "-o", again, precision, *options).status == 0
    a, b = read_trajectory(first), read_trajectory(again)
    fields, exact = EXPORTS[name]
    exact = exact if precision == "--float64" else max(exact, 1e-6)
    assert error_of(a.positions, b.positions) < exact
    assert error_of(a.times_ps, b.times_ps) < 1e-12
    for field in fields:
        assert error_of(getattr(a, field), getattr(b, field)) < 5 * exact


def test_convert_takes_every_nth_frame(tmp_path, mdbench) -> None:
    source = FORMS["extxyz"].write(tmp_path, little_run())
    mdbench("ingest", source, "-o", tmp_path / "run.h5", "--float64")
    assert "7 frames" in mdbench(
        "convert", tmp_path / "run.h5", "-o", tmp_path / "thin.extxyz", "--stride", "3"
    ).out  # fmt: skip
    mdbench("ingest", tmp_path / "thin.extxyz", "-o", tmp_path / "thin.h5", "--float64")
    thin = read_trajectory(tmp_path / "thin.h5")
    assert error_of(thin.positions, little_run().positions[::3]) < 1e-12
    assert error_of(thin.times_ps, little_run().times_ps[::3]) < 1e-12


@pytest.mark.parametrize("form", ["extxyz", "XDATCAR", "vasprun"], indirect=True)
@pytest.mark.parametrize("stride", [2, 3, 7, 19, 20, 50])
def test_stride_unwraps_with_every_frame(form, stride, tmp_path, mdbench) -> None:
    run, output = little_run(), tmp_path / "thin.h5"
    source = form.write(tmp_path, run)
    done = mdbench(
        "ingest", source, "-o", output, "--float64", "--stride", stride, *form.options
    )  # fmt: skip
    assert done.status == 0
    stored, kept = read_trajectory(output), run[::stride]
    assert error_of(stored.positions, kept.positions) < form.exact
    assert error_of(stored.times_ps, kept.times_ps) < 1e-12
    interval = "one frame" if stride >= 20 else f"at {20 * stride} fs"
    assert f"{kept.n_frames} frames, " in done.out
    assert interval in done.out


def test_atoms_that_cross_the_cell_between_kept_frames_need_every_frame(tmp_path, mdbench) -> None:
    """Frames of stride 19 alone are unwrapped wrong: some atoms go further than half a cell."""
    run = little_run()
    thin = little.wrapped(run)[::19]
    source = FORMS["XDATCAR"].write(tmp_path, thin)
    done = mdbench(
        "ingest", source, "-o", tmp_path / "thin.h5", "--float64", "--frame-interval-fs", "380"
    )
    wrong = done.status == 2 or (
        error_of(read_trajectory(tmp_path / "thin.h5").positions, run[::19].positions) > 1.0
    )
    assert wrong


def test_provenance(tmp_path, mdbench) -> None:
    source, output = little.write_vasprun(tmp_path, little_run()), tmp_path / "run.h5"
    mdbench(
        "ingest", source, "-o", output, "--material", "glass", "--mobile", "li", "--label", "AIMD",
        "--timestep-fs", "20",
    )  # fmt: skip
    with TrajectoryFile(output) as file:
        known, (made_from,) = file.provenance, file.inputs
        assert file.config["material"] == "glass"
    assert (known.material, known.mobile, known.label) == ("glass", "Li", "AIMD")
    assert (known.temperature_k, known.timestep_fs) == (800.0, 20.0)
    assert (known.code, known.unwrapped_by) == ("VASP 6.4.2", "minimum image")
    assert known.notes == ()
    assert made_from.name == "vasprun.xml"
    assert made_from.sha256 == hashlib.sha256(source.read_bytes()).hexdigest()


def test_info_prints_what_ingest_stored(tmp_path, mdbench) -> None:
    source, output = little.write_vasprun(tmp_path, little_run()), tmp_path / "run.h5"
    mdbench("ingest", source, "-o", output, "--label", "AIMD")
    done = mdbench("info", output)
    assert (done.status, done.err) == (0, "")
    lines = [line for line in done.out.splitlines() if line[0] != " "]
    facts = dict(line.split(maxsplit=1) for line in lines)
    assert facts["kind"] == "trajectory"
    assert facts["formula"] == "Li5P2S5"
    assert (facts["atoms"], facts["frames"]) == ("12", "20")
    assert facts["frame_interval_fs"].startswith("20")
    assert facts["source"] == "AIMD"
    assert facts["material"] == "unknown"
    assert hashlib.sha256(source.read_bytes()).hexdigest() in facts["made_from"]


def test_info_json(tmp_path, mdbench) -> None:
    output = tmp_path / "run.h5"
    mdbench("ingest", FORMS["extxyz"].write(tmp_path, little_run()), "-o", output)
    done = mdbench("info", output, "--json")
    facts = json.loads(done.out)
    assert (done.status, done.err) == (0, "")
    assert (facts["atoms"], facts["frames"], facts["temperature_k"]) == (12, 20, None)
    assert set(facts["also_stored"]) == set(OTHERS)
    assert error_of(facts["cell_A"], little.CELL) < 1e-6
    assert abs(facts["frame_interval_fs"] - 20.0) < 1e-9
    assert abs(facts["length_ps"] - 0.38) < 1e-9


def test_what_the_audit_finds_is_printed_and_stored(tmp_path, mdbench) -> None:
    run = little_run(n_frames=60)
    stretched = dataclasses.replace(run, times_ps=run.times_ps * 1.5)
    source, output = FORMS["extxyz"].write(tmp_path, stretched), tmp_path / "run.h5"
    done = mdbench("ingest", source, "-o", output)
    assert done.status == 0
    (note,) = done.err.splitlines()
    assert note.startswith("note: frame interval: displacements and velocities say 20.00 fs")
    facts = json.loads(mdbench("info", output, "--json").out)
    assert facts["notes"] == [note.removeprefix("note: ")]
    quiet = mdbench("ingest", source, "-o", output, "--quiet", "--force")
    assert (quiet.status, quiet.out, quiet.err) == (0, "", "")


def test_a_temperature_in_the_name_is_taken_unless_the_frames_contradict_it(
    tmp_path, mdbench
) -> None:
    run = little_run(n_frames=60)
    source = FORMS["extxyz"].write(tmp_path, run)
    for name, temperature, words in (
        ("Li_800K.extxyz", 800.0, "800 K taken from the name"),
        ("Li_300K.extxyz", None, "300 K in the name not stored"),
        ("Li_80Kx.extxyz", None, None),
    ):
        source = source.rename(tmp_path / name)
        done = mdbench("ingest", source, "-o", tmp_path / f"{name}.h5")
        assert read_trajectory(tmp_path / f"{name}.h5").provenance.temperature_k == temperature
        assert (done.err == "") if words is None else (words in done.err)


@pytest.mark.parametrize("form", ["XDATCAR", "extxyz", "ase"], indirect=True)
def test_without_a_time_axis(form, tmp_path, mdbench) -> None:
    run, output = little.wrapped(little_run()), tmp_path / "run.h5"
    source = form.write(tmp_path, run)
    done = mdbench("ingest", source, "-o", output, "--float64", "--frame-interval-fs", "0")
    assert (done.status, done.err) == (0, "")
    assert "no time axis" in done.out
    stored = read_trajectory(output)
    assert stored.provenance.unwrapped_by == "not a time series"
    assert error_of(stored.positions, run.positions) < form.exact
    assert not stored.times_ps.any()
