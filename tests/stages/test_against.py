"""`mdbench rdf --against`: verdicts from files, on runs whose truth is known."""

import dataclasses
import json

import numpy as np
import pytest
from mdbench_cli.main import run

from mdbench.analysis.rdf import TOTAL
from mdbench.config import RdfConfig
from mdbench.errors import InputError
from mdbench.reporting.verdict_figure import VerdictCurves, verdict_figure
from mdbench.stages import rdf
from mdbench.stages.report import run as report
from mdbench.store import read_result, write_trajectory
from mdbench.synthetic import HoppingModel, ion_conductor

MODEL = HoppingModel()
SWOLLEN = dataclasses.replace(MODEL, lattice_constant=1.02 * MODEL.lattice_constant)


def write(path, seed, model=MODEL, n_frames=120, material="toy", **known):
    trajectory = ion_conductor(model, n_frames, np.random.default_rng(seed))
    provenance = dataclasses.replace(trajectory.provenance, material=material, **known)
    write_trajectory(path, dataclasses.replace(trajectory, provenance=provenance))
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    made = {f"reference-{i}": write(folder / f"ref-{i}.h5", i) for i in range(3)}
    made |= {f"good-{i}": write(folder / f"good-{i}.h5", 10 + i, label="good") for i in range(2)}
    made["swollen"] = write(folder / "swollen.h5", 20, SWOLLEN, label="swollen")
    return made


def verdict_of(files, *names, **config):
    references = [files[n] for n in files if n.startswith("reference")]
    made = rdf.run([files[n] for n in names], RdfConfig(**config), references=references)
    (result,) = made.results
    assert result.against is not None
    return result


def test_a_right_model_is_not_called_unstable(files):
    found = verdict_of(files, "good-0", "good-1").against
    assert found.verdict.state in ("stable", "indistinguishable")
    assert found.failures == []
    total = found.by_pair[TOTAL]
    assert (total.floor.n_model, total.floor.n_reference) == (2, 3)
    assert total.rdf_mae < total.floor.q95
    np.testing.assert_array_equal(found.survival.survival, [1.0])


def test_a_swollen_model_is_unstable_and_its_lattice_is_named(files):
    found = verdict_of(files, "swollen").against
    assert found.verdict.state == "unstable"
    assert found.failures[0].mode == "lattice mismatch"
    (stretched,) = [f for f in found.failures if f.subject == "framework"]
    np.testing.assert_allclose(stretched.value, 1.02, rtol=1e-3, atol=0)


def test_rdf_mae_is_the_mean_difference_of_the_pooled_curves(files):
    result = verdict_of(files, "good-0", "good-1")
    difference = result.pooled.g[TOTAL] - result.against.pooled.g[TOTAL]
    np.testing.assert_allclose(
        result.against.by_pair[TOTAL].rdf_mae, np.abs(difference).mean(), rtol=1e-6, atol=0
    )


def test_json_has_what_the_rest_relies_on(files, capsys):
    references = [x for n in files if n[0] == "r" for x in ("--against", str(files[n]))]
    assert run(["rdf", str(files["swollen"]), *references, "--json", "--all-metrics"]) == 0
    found = json.loads(capsys.readouterr().out)["comparison"]
    assert found["verdict"] == found["paper_verdict"] == "unstable"
    assert found["failure_mode"] == "lattice mismatch"
    assert found["rdf_mae_interval"][0] < found["rdf_mae"] < found["rdf_mae_interval"][1]
    assert set(found["per_pair"]) == {"Li-Li", "Li-S", "S-S"}
    assert {"expected", "q95", "single", "n_model", "n_reference"} <= set(found["noise_floor"])
    # with one species in the framework, the framework is that pair
    assert found["framework"] == found["per_pair"]["S-S"]
    np.testing.assert_allclose(found["metrics"]["mdsim"], 6.0 * found["rdf_mae"], rtol=1e-9, atol=0)
    assert len(found["reference"]["files"]) == 3


@pytest.mark.parametrize(("name", "status"), [("swollen", 1), ("good-0", 0)])
def test_require_stable(files, name, status, capsys):
    references = [x for n in files if n[0] == "r" for x in ("--against", str(files[n]))]
    options = [*references, "--threshold", "0.05", "--require", "stable"]
    assert run(["rdf", str(files[name]), *options]) == status
    assert ("verdict: stable" in capsys.readouterr().out) == (status == 0)


def test_one_run_of_each_and_unequal_lengths_work(files, tmp_path):
    short = write(tmp_path / "short.h5", 30, n_frames=50)
    made = rdf.run([short], RdfConfig(), references=[files["reference-0"]])
    found = made.results[0].against
    assert found.by_pair[TOTAL].interval is not None
    assert found.verdict.state != "unstable"


def test_frames_that_stand_twice_do_not_change_the_noise(files, tmp_path):
    trajectory = ion_conductor(MODEL, 120, np.random.default_rng(10))
    index = np.repeat(np.arange(120), 3)
    repeated = dataclasses.replace(
        trajectory,
        positions=trajectory.positions[index],
        cells=trajectory.cells[index],
        times_ps=np.arange(360) * 0.1 / 3,
        **dict.fromkeys(("velocities", "forces", "energies")),
    )
    write_trajectory(tmp_path / "thrice.h5", repeated)
    reference = [files["reference-0"]]
    plain = rdf.run([files["good-0"]], RdfConfig(), references=reference).results[0].against
    thrice = rdf.run([tmp_path / "thrice.h5"], RdfConfig(), references=reference).results[0].against
    assert thrice.verdict.state == plain.verdict.state
    np.testing.assert_allclose(
        thrice.by_pair[TOTAL].floor.q95, plain.by_pair[TOTAL].floor.q95, rtol=0.15, atol=0
    )


def test_the_reference_must_be_of_the_same_temperature(files, tmp_path):
    hot = write(tmp_path / "hot.h5", 1, temperature_k=900.0)
    with pytest.raises(InputError, match="no reference of this temperature"):
        rdf.run([files["good-0"]], RdfConfig(), references=[hot])


def test_pressures_stand_beside_each_other(tmp_path):
    """Stress is positive under tension: 0.01 eV/Å³ of it is a pressure of -1.6 GPa."""
    paths = []
    for seed, tension in ((1, 0.01), (2, -0.02)):
        trajectory = ion_conductor(MODEL, 30, np.random.default_rng(seed))
        stresses = np.tile(tension * np.eye(3), (30, 1, 1))
        paths.append(tmp_path / f"{seed}.h5")
        write_trajectory(paths[-1], dataclasses.replace(trajectory, stresses=stresses))
    found = rdf.run(paths[:1], RdfConfig(), references=paths[1:]).results[0].against
    np.testing.assert_allclose(found.pressure_gpa, [-1.602177, 3.204353], rtol=1e-6, atol=0)


def test_a_copy_is_no_replica(files, tmp_path):
    copy = tmp_path / "copy.h5"
    copy.write_bytes(files["reference-0"].read_bytes())
    with pytest.raises(InputError, match="the same frames twice"):
        rdf.run([files["good-0"]], RdfConfig(), references=[files["reference-0"], copy])


def test_a_reference_that_drifts_is_said_so(files, tmp_path):
    """Two temperatures, one after the other: the halves differ by more than noise."""
    rng = np.random.default_rng(5)
    cold, hot = (ion_conductor(MODEL, 60, rng, temperature_k=t) for t in (300.0, 1200.0))
    joined = dataclasses.replace(
        cold,
        positions=np.concatenate([cold.positions, hot.positions]),
        cells=cold.cells[:1].repeat(120, axis=0),
        times_ps=np.arange(120) * 0.1,
        provenance=dataclasses.replace(cold.provenance, temperature_k=800.0, material="toy"),
        **dict.fromkeys(("velocities", "forces", "energies")),
    )
    write_trajectory(tmp_path / "joined.h5", joined)
    made = rdf.run([files["good-0"]], RdfConfig(skip_ps=0.0), references=[tmp_path / "joined.h5"])
    assert any("is it equilibrated" in note for note in made.notes)


AT_ONCE = "fusion: Li-S 0.20 A at 0 ps (atoms 1 and 2)"


@pytest.mark.parametrize("n_dead", [1, 2, 3])
def test_runs_that_ended_where_they_started_have_a_verdict(n_dead, files, tmp_path, capsys):
    """Replicas may start from one structure: their single frames are the same."""
    paths = [write(tmp_path / f"d{i}.h5", 40, n_frames=1, end_reason=AT_ONCE) for i in range(3)]
    for k in range(n_dead, 3):
        paths[k] = write(tmp_path / f"d{k}.h5", 40 + k, n_frames=120)
    references = [files[n] for n in files if n.startswith("reference")]
    out, figure = tmp_path / "o.h5", tmp_path / "v.png"
    made = rdf.run(paths, RdfConfig(), references=references, output=out, plot=figure)
    found = made.results[0].against
    assert (found.verdict.state, found.verdict.failure_mode) == ("unstable", "fusion")
    assert [failure.first_bad_time_ps for failure in found.failures[:n_dead]] == [0.0] * n_dead
    assert found.survival.failed[0] == n_dead
    np.testing.assert_allclose(found.survival.survival[0], 1.0 - n_dead / 3, rtol=1e-9, atol=0)
    assert found.by_pair[TOTAL].floor is not None
    assert read_result(out, "observables").attributes["comparison"]["failure_mode"] == "fusion"
    assert figure.read_bytes().startswith(b"\x89PNG")
    assert "verdict: unstable - fusion, whatever g(r) is" in made.as_text()


def test_a_single_run_of_one_frame(files, tmp_path):
    """With an end reason and without one, against one reference and against three."""
    references = [files[n] for n in files if n.startswith("reference")]
    states = []
    for reason in (AT_ONCE, "exploded: 900000 K at 0 ps (target 800 K)", None):
        path = write(tmp_path / "one.h5", 41, n_frames=1, end_reason=reason)
        for others in (references[:1], references):
            made = rdf.run([path], RdfConfig(), references=others)
            states.append(made.results[0].against.verdict.state)
            assert (made.results[0].against.survival is None) == (reason is None)
    assert states[:4] == ["unstable"] * 4
    assert "unstable" not in states[4:]


def test_a_run_that_ended_before_its_equilibration_did(files, tmp_path):
    references = [files["reference-0"]]
    path = write(tmp_path / "short.h5", 42, n_frames=20, end_reason=AT_ONCE)
    (result,) = rdf.run([path], RdfConfig(skip_ps=3.0), references=references).results
    assert result.against.verdict.state == "unstable"
    (structure,) = result.runs
    assert structure.n_frames == 1
    np.testing.assert_allclose(structure.skip_ps, 1.9, rtol=1e-9, atol=0)
    np.testing.assert_allclose(result.against.survival.end_ps, 1.9, rtol=1e-9, atol=0)
    write(path, 42, n_frames=20)
    with pytest.raises(InputError, match="no frames left after equilibration"):
        rdf.run([path], RdfConfig(skip_ps=3.0), references=references)


def test_only_references_that_are_needed_are_read(files, tmp_path, monkeypatch):
    """Those of the same temperature and atoms, each once."""
    other = HoppingModel(repeats=1, n_vacancies=1)
    unused = [
        write(tmp_path / "hot.h5", 1, temperature_k=900.0),
        write(tmp_path / "other.h5", 1, other, material="another"),
    ]
    read = []

    def noted(file, *args, **options):
        read.append(file.path)
        return run_structure(file, *args, **options)

    run_structure = rdf.run_structure
    monkeypatch.setattr(rdf, "run_structure", noted)
    ours = [files["good-0"], files["swollen"]]
    made = rdf.run(ours, RdfConfig(), references=[*unused, files["reference-0"]])
    assert len(made.results) == 2
    assert sorted(read) == sorted([*ours, files["reference-0"]])


def test_options_that_need_a_reference(files, capsys):
    assert run(["rdf", str(files["good-0"]), "--require", "stable"]) == 2
    assert "need --against" in capsys.readouterr().err


def test_a_verdict_is_stored_drawn_and_reported(files, tmp_path, capsys):
    stored = tmp_path / "run/observables/swollen/toy/rdf-800K.h5"
    figure = tmp_path / "v.png"
    references = [x for n in files if n[0] == "r" for x in ("--against", str(files[n]))]
    options = ["-o", str(stored), "--plot", str(figure)]
    assert run(["rdf", str(files["swollen"]), *references, *options]) == 0
    result = read_result(stored, "observables")
    assert result.attributes["comparison"]["verdict"] == "unstable"
    assert len(result.inputs) == 4
    assert figure.read_bytes().startswith(b"\x89PNG")
    summary = report([tmp_path / "run"])
    assert "unstable (lattice mismatch)" in summary.shown[0]
    page = (tmp_path / "run/report/index.html").read_text()
    assert "the framework is 1.02" in page


def test_the_figure_shows_model_reference_noise_and_survival(files):
    result = verdict_of(files, "swollen")
    found = result.against
    curves = VerdictCurves(
        result.pooled.r, found.pooled.g, result.pooled.g, found.band, found.as_json(), "swollen"
    )
    figure = verdict_figure(curves)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    for name in ("all atoms", "Li-Li", "Li-S", "S-S", "share of sound runs"):
        assert name in titles
    main = figure.axes[titles.index("all atoms")]
    drawn = [line.get_ydata() for line in main.lines]
    assert any(np.array_equal(y, result.pooled.g[TOTAL]) for y in drawn)
    assert any(np.array_equal(y, found.pooled.g[TOTAL]) for y in drawn)
    assert "unstable (lattice mismatch)" in figure.get_suptitle()


def test_the_evidence_of_a_failure_stands_below(files):
    found = verdict_of(files, "swollen").against
    curve, failure = found.evidence
    assert failure == vars(found.failures[0])
    g = found.pooled.g
    curves = VerdictCurves(
        found.pooled.r, g, g, found.band, found.as_json(), "swollen", found.evidence
    )
    *_, last = verdict_figure(curves).axes
    assert last.get_title(loc="left") == curve.what
    assert any(np.array_equal(line.get_ydata()[:-1], curve.values) for line in last.lines)
    assert verdict_of(files, "good-0").against.evidence is None


def test_real_argyrodites(real_data, tmp_path):
    """The second run of a system confirms the first; another anion does not."""
    paths = {}
    for name in ("Li6PS5Cl_50p_run1", "Li6PS5Cl_50p_run2", "Li6PS5I_100p_run1"):
        paths[name] = str(tmp_path / f"{name}.h5")
        options = ["--frame-interval-fs", "100", "--temperature", "500", "-o", paths[name]]
        assert run(["ingest", str(real_data / f"{name}.XDATCAR.gz"), *options]) == 0
    one, two, iodide = ([paths[name]] for name in paths)
    same = rdf.run(list(map(_path, one)), RdfConfig(), references=list(map(_path, two)))
    found = same.results[0].against
    assert found.verdict.state in ("stable", "indistinguishable")
    assert found.failures == []
    other = rdf.run(list(map(_path, one)), RdfConfig(), references=list(map(_path, iodide)))
    found = other.results[0].against
    assert found.verdict.state == "unstable"
    assert "Li-S" in found.by_pair
    assert "Cl-Li" not in found.by_pair
    assert any("other elements" in note for note in found.notes)


def _path(name):
    from pathlib import Path

    return Path(name)
