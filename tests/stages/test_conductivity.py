"""`mdbench conductivity`: from files by temperature to lines, bounds and comparisons."""

import csv
import dataclasses
import json
import math

import numpy as np
import pytest
from mdbench_cli.main import run
from numpy.testing import assert_allclose, assert_array_equal

from mdbench.analysis.arrhenius import fit_arrhenius, unweighted_line
from mdbench.config import ConductivityConfig, MsdConfig
from mdbench.errors import InputError
from mdbench.stages import conductivity, msd
from mdbench.stages.conductivity import run as analyze
from mdbench.store import read_result, write_trajectory
from mdbench.units import BOLTZMANN_EV_PER_K, E2_CM2_PER_S_PER_ANGSTROM3_EV_IN_MS_PER_CM
from tests.stages.little import FROZEN, HOPPERS, at, run_of, write_run

TEMPERATURES = (800, 900, 1000, 1100, 1200)
QUANTITY = {"value", "low", "high", "unit", "resolved"}
FAST = dataclasses.replace(HOPPERS, hops_per_ps=100.0)


def write_set(folder, walk=HOPPERS, seed=0, temperatures=TEMPERATURES, **options):
    """One run at each temperature."""
    return [
        write_run(folder / f"{walk.mobile}-{seed}-{t}.h5", at(float(t), walk), seed + t, **options)
        for t in temperatures
    ]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Runs at five temperatures."""
    return write_set(tmp_path_factory.mktemp("reference"))


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Runs of models: as the reference, twice as fast, frozen."""
    folder = tmp_path_factory.mktemp("models")
    kelvin = (800, 1000, 1200)
    return {
        "same": write_set(folder, HOPPERS, 1, kelvin, label="same"),
        "fast": write_set(folder, FAST, 2, kelvin, label="fast"),
        "frozen": write_set(folder, FROZEN, 3, kelvin, label="frozen"),
    }


def document_of(capsys, *args):
    """What --json prints, which is one document and nothing else."""
    assert run(["conductivity", *map(str, args), "--json"]) == 0
    return json.loads(capsys.readouterr().out, parse_constant=not_json)


def not_json(word):
    raise AssertionError(f"{word} is no JSON")


def refused(capsys, *args):
    assert run(["conductivity", *map(str, args)]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("mdbench: error: ")
    assert told.err.count("\n") == 1
    return told.err


def nernst_einstein(diffusivity, temperature_k, *, charge=1.0, walk=HOPPERS):
    """MS/cm, written out."""
    density = walk.n_ions / walk.volume
    factor = E2_CM2_PER_S_PER_ANGSTROM3_EV_IN_MS_PER_CM / (BOLTZMANN_EV_PER_K * temperature_k)
    return density * charge**2 * factor * diffusivity


# One source and material


def test_json_has_what_the_rest_relies_on(files, capsys):
    document = document_of(capsys, *files)
    (group,) = document["groups"]
    assert {k: v for k, v in document.items() if k != "groups"} == group
    assert {"source", "material", "temperatures", "arrhenius", "settings"} <= set(group)
    assert [p["temperature_k"] for p in group["temperatures"]] == list(TEMPERATURES)
    for point in group["temperatures"]:
        for name, unit in (("diffusivity", "cm^2/s"), ("conductivity", "mS/cm")):
            assert set(point[name]) == QUANTITY
            assert point[name]["unit"] == unit
            assert point[name]["low"] < point[name]["value"] < point[name]["high"]
    line = group["arrhenius"]
    for name, unit in (
        ("activation_energy", "eV"), ("prefactor", "cm^2/s"), ("conductivity", "mS/cm"),
        ("minus_log10", ""),
    ):  # fmt: skip
        assert set(line[name]) == QUANTITY
        assert line[name]["unit"] == unit
        assert line[name]["low"] < line[name]["value"] < line[name]["high"]
    assert line["at_k"] == 300.0
    assert isinstance(line["amplification"], float)
    assert "comparison" not in group
    assert "paper" not in group
    assert group["settings"]["at"] == 300.0


def test_the_truth_lies_in_the_intervals(files, capsys):
    document = document_of(capsys, *files)
    for point in document["temperatures"]:
        t = point["temperature_k"]
        known = at(t).tracer_diffusivity
        assert point["diffusivity"]["low"] < known < point["diffusivity"]["high"]
        for limit in ("low", "value", "high"):
            expected = nernst_einstein(point["diffusivity"][limit], t)
            assert_allclose(point["conductivity"][limit], expected, rtol=1e-9, atol=0)
    line = document["arrhenius"]
    assert line["activation_energy"]["low"] < 0.25 < line["activation_energy"]["high"]
    known = nernst_einstein(at(300.0).tracer_diffusivity, 300.0)
    assert line["conductivity"]["low"] < known < line["conductivity"]["high"]
    assert line["minus_log10"]["low"] < -math.log10(known) < line["minus_log10"]["high"]


def test_the_line_is_that_through_the_points(files):
    (result,) = analyze(files, ConductivityConfig(at=298.0)).results
    each = [msd.run([path], MsdConfig()).results[0].diffusivity for path in files]
    assert [p.diffusivity for p in result.points] == each
    fit = fit_arrhenius([float(t) for t in TEMPERATURES], each)
    line = result.extrapolation
    assert line.activation_energy == fit.activation_energy
    assert line.amplification == fit.amplification(298.0)
    expected = nernst_einstein(fit.diffusivity(298.0).value, 298.0)
    assert_allclose(line.conductivity.value, expected, rtol=1e-6, atol=0)
    assert_allclose(line.minus_log10.value, -math.log10(expected), rtol=1e-5, atol=0)
    assert line.at_k == 298.0
    assert_allclose(line.temperatures_k[[0, -1]], [1200.0, 298.0], rtol=1e-9, atol=0)
    ends = [nernst_einstein(fit.diffusivity(t).value, t) for t in (1200.0, 298.0)]
    assert_allclose(line.line[[0, -1], 0], ends, rtol=1e-6, atol=0)


def test_replicas_are_pooled_by_temperature(files, tmp_path, capsys):
    more = write_set(tmp_path, HOPPERS, 40, (800, 1200))
    points = document_of(capsys, *files, *more)["temperatures"]
    assert [p["n_runs"] for p in points] == [2, 1, 1, 1, 2]
    pooled = msd.run([files[0], more[0]], MsdConfig()).results[0].diffusivity
    assert points[0]["diffusivity"] == pooled.as_json()


def test_sources_and_materials_stand_apart(files, models, tmp_path, capsys):
    other = write_set(tmp_path, FAST, 60, (800, 1000), material="other")
    document = document_of(capsys, *files[:2], *models["same"], *other)
    assert set(document) == {"groups"}
    names = [(g["source"], g["material"]) for g in document["groups"]]
    assert names == [("synthetic", "walkers"), ("same", "walkers"), ("synthetic", "other")]
    assert [len(g["temperatures"]) for g in document["groups"]] == [2, 3, 2]
    with pytest.raises(InputError, match=r"^-o takes one source and material: found synthetic: w"):
        analyze([*files, *other], ConductivityConfig(), output=tmp_path / "out.h5")
    assert not (tmp_path / "out.h5").exists()


@pytest.mark.parametrize(
    ("temps", "expected"),
    [
        ("800-1000", [800, 900, 1000]),
        ("1200,800", [800, 1200]),
        ("800-1200:200", [800, 1000, 1200]),
    ],
)
def test_temperatures_are_selected(temps, expected, files, capsys):
    points = document_of(capsys, *files, "--temps", temps)["temperatures"]
    assert [p["temperature_k"] for p in points] == expected


def test_files_in_any_order_give_one_line(files, capsys):
    one, other = (document_of(capsys, *order) for order in (files[:3], files[2::-1]))
    assert one["arrhenius"] == other["arrhenius"]


@pytest.mark.parametrize("stated", ["2", "Li=2", "Na=1,Li=2", "+2", " Li = -2"])
def test_a_stated_charge(stated, files, capsys):
    usual, found = (document_of(capsys, *files[:2], *x) for x in ([], ["--charge", stated]))
    assert abs(found["charge"]) == 2.0
    ours, theirs = found["arrhenius"]["conductivity"], usual["arrhenius"]["conductivity"]
    assert_allclose(ours["value"], 4 * theirs["value"], rtol=1e-9, atol=0)
    assert found["temperatures"][0]["diffusivity"] == usual["temperatures"][0]["diffusivity"]


def test_a_wrong_charge_is_warned_of(files, capsys):
    warnings = document_of(capsys, files[0], "--charge", "2")["warnings"]
    assert "charge +2 of Li is unusual (usual: +1); sigma grows as z^2" in warnings
    assert run(["conductivity", str(files[0]), "--charge", "2"]) == 0
    told = capsys.readouterr()
    assert "charge +2 of Li is unusual" in told.err
    assert "Li of charge +2" in told.out


@pytest.mark.parametrize("stated", ["0", "Li=0", "two", "Li=", "Na=1", "nan", "Li=inf", ""])
def test_charges_that_cannot_be(stated, files, capsys):
    line = refused(capsys, files[0], "--charge", stated)
    assert line.startswith("mdbench: error: --charge: expected")


def test_an_ion_of_unknown_charge(tmp_path, capsys):
    walk = dataclasses.replace(HOPPERS, mobile="Xe")
    path = write_run(tmp_path / "a.h5", walk)
    assert "charge of Xe: expected a known one; --charge Xe=" in refused(capsys, path)
    assert document_of(capsys, path, "--charge", "Xe=8")["charge"] == 8.0


def test_pymatgen_s_estimator(files, capsys):
    document = document_of(capsys, *files, "--estimator", "pymatgen", "--smoothing", "max")
    each = [
        msd.run([path], MsdConfig(estimator="pymatgen", smoothing="max")).results[0].diffusivity
        for path in files
    ]
    assert [p["diffusivity"] for p in document["temperatures"]] == [d.as_json() for d in each]
    log_prefactor, slope = unweighted_line(TEMPERATURES, [d.value for d in each])
    line = document["arrhenius"]
    energy = -BOLTZMANN_EV_PER_K * slope
    assert_allclose(line["activation_energy"]["value"], energy, rtol=1e-9, atol=0)
    assert (line["activation_energy"]["low"], line["amplification"]) == (None, None)
    expected = nernst_einstein(math.exp(log_prefactor + slope / 300.0), 300.0)
    assert_allclose(line["conductivity"]["value"], expected, rtol=1e-6, atol=0)
    assert set(line["line"]["low"]) == {None}


def test_the_paper_s_recipe_stands_beside_ours(files, capsys):
    files = files[::2]
    plain = document_of(capsys, *files)
    document = document_of(capsys, *files, "--paper")
    recipe = document_of(capsys, *files, "--estimator", "pymatgen")
    assert document["arrhenius"] == plain["arrhenius"]
    for ours, theirs in zip(document["paper"]["temperatures"], recipe["temperatures"], strict=True):
        assert ours == {k: theirs[k] for k in ("temperature_k", "diffusivity", "conductivity")}
    ours, theirs = document["paper"]["arrhenius"], recipe["arrhenius"]
    for name in ("activation_energy", "conductivity", "minus_log10"):
        assert_allclose(ours[name]["value"], theirs[name]["value"], rtol=1e-9, atol=0)
    shown = analyze(files, ConductivityConfig(paper=True)).as_text()
    assert "usual recipe (pymatgen DiffusionAnalyzer smoothed=False, unweighted line)" in shown
    assert f"sigma at 300 K {ours['conductivity']['value']:.3g} mS/cm" in shown


# How much a line says


@pytest.mark.parametrize("options", [[], ["--estimator", "pymatgen"]], ids=["gls", "pymatgen"])
def test_one_temperature(options, files, capsys):
    document = document_of(capsys, files[0], *options)
    assert document["arrhenius"] is None
    assert document["temperatures"][0]["conductivity"]["value"] > 0
    line = "one temperature: no Arrhenius line, nothing said about 300 K"
    assert document["warnings"].count(line) == 1
    assert run(["conductivity", str(files[0]), *options]) == 0
    assert capsys.readouterr().err.count(line) == 1
    told = refused(capsys, files[0], "--at", "300", *options)
    assert "--at 300: expected D resolved at two temperatures or more, found 1" in told


@pytest.mark.parametrize("options", [[], ["--estimator", "pymatgen"]], ids=["gls", "pymatgen"])
def test_two_temperatures(options, files, capsys):
    document = document_of(capsys, files[0], files[-1], *options)
    assert document["arrhenius"]["conductivity"]["value"] > 0
    assert (document["goodness_p"], document["curvature_p"]) == (None, None)
    assert "two temperatures: a line without a goodness of fit" in document["warnings"]


def test_three_temperatures_have_a_goodness_of_fit(files, capsys):
    document = document_of(capsys, *files[::2])
    assert 0.001 < document["goodness_p"] <= 1
    assert not any("two temperatures" in line for line in document["warnings"])


def test_a_bound_enters_the_line_as_censored_data(files, tmp_path, capsys):
    slow = dataclasses.replace(HOPPERS, hops_per_ps=0.1)
    bound = write_run(tmp_path / "600.h5", at(600.0, slow), 5)
    document = document_of(capsys, bound, *files)
    first = document["temperatures"][0]
    assert first["diffusivity"]["value"] is None
    assert first["conductivity"]["value"] is None
    expected = nernst_einstein(first["diffusivity"]["high"], 600.0)
    assert_allclose(first["conductivity"]["high"], expected, rtol=1e-9, atol=0)
    assert any("bounds at 600 K enter the line as censored" in w for w in document["warnings"])
    (result,) = analyze([bound, *files], ConductivityConfig()).results
    assert_array_equal(result.fit.censored, [True, False, False, False, False, False])


def test_bounds_alone_make_no_line(files, models, capsys):
    document = document_of(capsys, *models["frozen"])
    assert document["arrhenius"] is None
    told = "D is resolved at 0 of 3 temperatures: no Arrhenius line, run longer"
    assert told in document["warnings"]
    assert "--at 300: expected D resolved" in refused(capsys, *models["frozen"], "--at", "300")


def test_ballistic_temperatures_are_left_out(files, tmp_path, capsys):
    flight = dataclasses.replace(HOPPERS, hops_per_ps=0.0, speed=1.0)
    path = write_run(tmp_path / "700.h5", at(700.0, flight), 5)
    document = document_of(capsys, path, *files)
    assert document["temperatures"][0]["conductivity"]["high"] is None
    left_out = "temperatures without diffusion (ballistic) are left out of the line"
    assert left_out in document["warnings"]
    assert (
        document["arrhenius"]["activation_energy"]
        == (document_of(capsys, *files)["arrhenius"]["activation_energy"])
    )


@pytest.mark.parametrize("at_k", [100.0, 10.0, 1.0, 0.001, 1000.0, 1e5])
def test_other_temperatures_to_extrapolate_to(at_k, files, capsys):
    """Also where no number holds the conductivity: then there is none."""
    line = document_of(capsys, *files[::4], "--at", at_k)["arrhenius"]
    assert line["at_k"] == at_k
    assert line["conductivity"]["resolved"] == (at_k > 1.0)
    if at_k > 1.0:
        log10 = math.log10(line["conductivity"]["value"])
        assert_allclose(line["minus_log10"]["value"], -log10, rtol=1e-9, atol=0)


@pytest.mark.parametrize("at_k", ["0", "-300", "nan", "inf", "cold"])
def test_temperatures_that_cannot_be(at_k, files, capsys):
    assert "--at" in refused(capsys, files[0], "--at", at_k)


@pytest.mark.parametrize(
    ("temperatures", "words"),
    [
        ((700, 900), ["746 K, within the line", "573 K, between the line and 300 K"]),
        ((800, 900), ["746 K, between the line and 300 K", "573 K, between the line and 300 K"]),
        ((400, 500), []),
    ],
)
@pytest.mark.parametrize("estimator", ["gls", "pymatgen"])
def test_known_transitions_are_warned_of(estimator, temperatures, words, tmp_path):
    """Ions of a compound with the atoms of Li3PS4."""
    base = run_of(HOPPERS)
    numbers = base.atomic_numbers.copy()
    ions, others = np.flatnonzero(numbers == 3), np.flatnonzero(numbers == 16)
    kept = np.concatenate([ions[:18], others[:30]])
    paths = []
    for t in temperatures:
        run_ = run_of(at(800.0), t, temperature_k=float(t), material="thiophosphate")
        elements = run_.atomic_numbers.copy()
        elements[others[:6]] = 15
        paths.append(tmp_path / f"{t}.h5")
        write_trajectory(paths[-1], dataclasses.replace(
            run_, positions=run_.positions[:, kept], atomic_numbers=elements[kept]
        ))  # fmt: skip
    (result,) = analyze(paths, ConductivityConfig(estimator=estimator)).results
    told = [line for line in result.warnings if "changes its phase" in line]
    assert len(told) == len(words)
    for word in words:
        assert any(word in line for line in told)


# Against a reference


def test_the_same_motion_is_no_difference(files, models, capsys):
    document = document_of(capsys, *models["same"], *against(files))
    assert [g["source"] for g in document["groups"]] == ["same"]
    found = document["comparison"]
    assert {"temperatures", "p", "resolved"} <= set(found)
    assert found["resolved"] is False
    assert found["p"] > 0.05
    assert found["failure_mode"] is None
    assert [r["temperature_k"] for r in found["temperatures"]] == [800, 1000, 1200]
    for ratio in found["temperatures"]:
        assert {"temperature_k", "ratio", "p"} <= set(ratio)
        assert ratio["p"] > 0.01
    assert found["ratio"]["low"] < 1.0 < found["ratio"]["high"]
    assert found["reference"] == "synthetic: walkers"
    assert found["at"]["low"] < 1.0 < found["at"]["high"]


def against(files):
    return [x for path in files for x in ("--against", path)]


def test_twice_the_diffusivity_is_a_difference(files, models, capsys):
    document = document_of(capsys, *models["fast"], *against(files))
    found = document["comparison"]
    assert found["resolved"] is True
    assert found["p"] < 1e-4
    assert found["ratio"]["low"] < 2.0 < found["ratio"]["high"]
    for ratio in found["temperatures"]:
        assert ratio["low"] < 2.0 < ratio["high"]
        assert ratio["direction"] == "higher"
    own = {p["temperature_k"]: p["diffusivity"]["value"] for p in document["temperatures"]}
    reference = document_of(capsys, *files)
    theirs = {p["temperature_k"]: p["diffusivity"]["value"] for p in reference["temperatures"]}
    for ratio in found["temperatures"]:
        t = ratio["temperature_k"]
        assert_allclose(ratio["ratio"], own[t] / theirs[t], rtol=1e-9, atol=0)


def test_a_frozen_model_is_called_frozen(files, models, capsys):
    found = document_of(capsys, *models["frozen"], *against(files))["comparison"]
    assert found["failure_mode"] == "frozen"
    assert found["resolved"] is True
    for ratio in found["temperatures"]:
        assert (ratio["ratio"], ratio["p"]) == (None, None)
        assert ratio["high"] < 0.05
    assert run(["conductivity", *map(str, models["frozen"]), *map(str, against(files))]) == 0
    told = "different; frozen at 800, 1000, 1200 K, where the reference diffuses"
    assert told in capsys.readouterr().out


def test_a_frozen_reference_is_no_failure_of_the_model(files, models, capsys):
    found = document_of(capsys, *files, *against(models["frozen"]))["comparison"]
    assert found["failure_mode"] is None
    assert found["resolved"] is True
    assert all(ratio["direction"] == "higher" for ratio in found["temperatures"])


def test_temperatures_are_paired_within_what_tells_them_apart(files, tmp_path, capsys):
    """Half a kelvin, whatever they round to; 801 K has no partner."""
    theirs = write_run(tmp_path / "theirs.h5", at(800.0), 3, temperature_k=800.3)
    near = write_run(tmp_path / "near.h5", at(800.0, FAST), 4, temperature_k=800.6, label="x")
    other = write_run(tmp_path / "other.h5", at(800.0, FAST), 5, temperature_k=801.2, label="x")
    found = document_of(capsys, near, other, *against([theirs, *files[1:]]))["comparison"]
    assert [ratio["temperature_k"] for ratio in found["temperatures"]] == [800.6]
    assert found["temperatures"][0]["direction"] == "higher"


def test_materials_find_their_reference(files, models, tmp_path, capsys):
    """By name, else by the atoms."""
    bigger = dataclasses.replace(HOPPERS, n_ions=30)
    theirs = write_set(tmp_path, bigger, 70, (800, 1000), material="other")
    ours = write_set(tmp_path, bigger, 80, (800, 1000), material="unnamed", label="x")
    document = document_of(capsys, *models["same"], *ours, *against([*files, *theirs]))
    found = [g["comparison"]["reference"] for g in document["groups"]]
    assert found == ["synthetic: walkers", "synthetic: other"]
    line = refused(capsys, *ours, *against(files))
    assert "x: unnamed: no reference, or several" in line


def test_only_references_that_are_needed_are_read(files, models, tmp_path, monkeypatch):
    """Those of the same material, at all their temperatures, once for all models."""
    sodium = dataclasses.replace(HOPPERS, mobile="Na", n_ions=30)
    unused = write_set(tmp_path, sodium, 70, (800, 1000), material="another", label="reference")
    read = []

    def noted(group, *args, **options):
        read.extend(group.paths)
        return transport(group, *args, **options)

    transport = conductivity.transport
    monkeypatch.setattr(conductivity, "transport", noted)
    ours = [*models["same"], *models["fast"]]
    report = analyze(ours, ConductivityConfig(), references=[*unused, *files])
    assert len(report.results) == 2
    assert sorted(read) == sorted([*ours, *files])


def test_a_reference_without_a_shared_temperature(files, models, capsys):
    assert "a temperature that model and reference share" in refused(
        capsys, models["same"][0], *against(files[1:])
    )


def test_estimators_without_errors_compare_nothing(files, models, capsys):
    line = refused(capsys, *models["same"], *against(files), "--estimator", "pymatgen")
    assert "--against: expected --estimator gls, found pymatgen" in line


# Runs that ended early


def write_ended(folder, temperatures, n_runs=1, n_frames=20, reason="fusion at 1.9 ps", **options):
    """Runs that broke off, replicas of each other at each temperature."""
    options = {"label": "broken", "end_reason": reason, **options}
    return [
        write_run(folder / f"ended-{t}-{k}.h5", at(float(t)), t + k, n_frames, **options)
        for t in temperatures
        for k in range(n_runs)
    ]


def test_a_model_of_which_no_run_reaches_its_end(tmp_path, capsys):
    """Also where nothing but the structure was kept; species and charge are known all the same."""
    paths = write_ended(tmp_path, [1000], n_frames=1) + write_ended(tmp_path, [800], 2)
    document = document_of(capsys, *paths, "--paper", "--at", "300", "--charge", "2")
    assert (document["source"], document["material"]) == ("broken", "walkers")
    assert (document["species"], document["charge"]) == ("Li", 2.0)
    assert (document["temperatures"], document["arrhenius"]) == ([], None)
    assert document["ended_early"] == [
        {
            "temperature_k": 800.0,
            "reasons": [f"ended-800-{k}.h5: fusion at 1.9 ps" for k in range(2)],
        },
        {"temperature_k": 1000.0, "reasons": ["ended-1000-0.h5: fusion at 1.9 ps"]},
    ]
    assert document["warnings"] == [
        "800 K: all 2 runs ended early, the first: ended-800-0.h5: fusion at 1.9 ps",
        "1000 K: ended early: ended-1000-0.h5: fusion at 1.9 ps",
        "charge +2 of Li is unusual (usual: +1); sigma grows as z^2",
        "synthetic data: synthetic (walkers, not MD of any potential)",
    ]
    assert (document["paper"]["temperatures"], document["paper"]["arrhenius"]) == ([], None)
    assert "comparison" not in document
    assert run(["conductivity", *map(str, paths), "--paper"]) == 0
    told = capsys.readouterr()
    lines = ["broken: walkers, Li of charge +1", "no run reaches its end: no diffusivity"]
    assert told.out.splitlines() == lines
    assert "note: broken: walkers: 1000 K: ended early: ended-1000-0.h5: fusion" in told.err


@pytest.mark.parametrize("options", [{"mobile": "Xe"}, {}], ids=["stated", "by rule"])
def test_ions_of_runs_that_ended_early_follow_the_usual_rule(options, tmp_path, capsys):
    walk = dataclasses.replace(HOPPERS, mobile="Al" if not options else "Xe")
    known = {"end_reason": "exploded", "mobile": None, **options}
    path = write_run(tmp_path / "a.h5", walk, 0, 20, **known)
    told = "charge of Xe: expected a known one" if options else "a.h5: no mobile species"
    assert told in refused(capsys, path)
    symbol = options.get("mobile", "Al")
    found = document_of(capsys, path, "--mobile", symbol, "--charge", f"{symbol}=3")
    assert (found["species"], found["charge"]) == (symbol, 3.0)
    assert found["settings"]["mobile"] == symbol


def test_nothing_of_a_model_to_hold_against_the_reference(files, tmp_path, capsys):
    paths = write_ended(tmp_path, (800, 1000))
    document = document_of(capsys, *paths, *against(files), "--at", "298")
    assert document["comparison"] == {
        "reference": "synthetic: walkers",
        "temperatures": [],
        "ratio": None,
        "energy_difference": None,
        "p": None,
        "resolved": False,
        "at": None,
        "failure_mode": "ended early",
    }
    assert run(["conductivity", *map(str, paths), *map(str, against(files))]) == 0
    told = capsys.readouterr().out
    assert "nothing to hold against synthetic: walkers: ended early" in told
    unnamed = write_ended(tmp_path, (1200,), material="unnamed")
    named = document_of(capsys, *unnamed, *against(files))["comparison"]["reference"]
    assert named == "synthetic: walkers"
    other = write_ended(tmp_path, (1200,), material="unnamed", mobile="S")
    others = write_set(tmp_path, dataclasses.replace(HOPPERS, n_ions=30), 70, (800,))
    assert "no reference, or several" in refused(capsys, *other, *against(others))


def test_one_temperature_of_a_model_ended_early(files, models, tmp_path, capsys):
    paths = [models["fast"][0], *write_ended(tmp_path, (1200,), label="fast")]
    document = document_of(capsys, *paths, *against(files), "--at", "300")
    assert [p["temperature_k"] for p in document["temperatures"]] == [800.0]
    assert [e["temperature_k"] for e in document["ended_early"]] == [1200.0]
    assert "1200 K: ended early: ended-1200-0.h5: fusion at 1.9 ps" in document["warnings"]
    assert document["arrhenius"] is None
    found = document["comparison"]
    assert [r["temperature_k"] for r in found["temperatures"]] == [800.0]
    assert (found["resolved"], found["failure_mode"]) == (True, None)
    assert run(["conductivity", *map(str, paths)]) == 0
    rows = capsys.readouterr().out.splitlines()
    assert rows[3].startswith("800")
    assert rows[4].split() == ["1200", "ended", "early", *"––––––"]


def test_a_line_through_the_other_temperatures(models, tmp_path, capsys):
    whole = document_of(capsys, *models["fast"])
    ended = write_ended(tmp_path, (1100,), label="fast")
    document = document_of(capsys, *models["fast"], *ended)
    for key in ("temperatures", "arrhenius", "goodness_p"):
        assert document[key] == whole[key]
    assert (whole["ended_early"], len(document["ended_early"])) == ([], 1)


def test_all_shared_temperatures_ended_early(files, models, tmp_path, capsys):
    paths = [models["fast"][0], *write_ended(tmp_path, (1200,), label="fast")]
    found = document_of(capsys, *paths, *against(files[-1:]))["comparison"]
    assert (found["temperatures"], found["failure_mode"]) == ([], "ended early")
    line = refused(capsys, *paths, *against(files[2:3]))
    assert "a temperature that model and reference share" in line


def test_a_reference_without_a_run_that_reaches_its_end(files, tmp_path, capsys):
    ended = write_ended(tmp_path, (800, 1000))
    for ours in (files, ended):
        line = refused(capsys, *ours, *against(ended))
        assert "broken: walkers: nothing to hold against: expected a run of the ref" in line
        assert "found ended-800-0.h5: fusion at 1.9 ps" in line
    assert run(["msd", str(ended[0])]) == 2
    assert (
        "800 K: nothing to analyze: expected a run that reaches its end" in capsys.readouterr().err
    )


def test_short_runs_that_reached_their_end_are_bad_input(tmp_path, capsys):
    path = write_run(tmp_path / "short.h5", at(800.0), 0, 20)
    assert "too few frames for a diffusivity" in refused(capsys, path)


def test_all_that_the_benchmark_asks_for_is_written(files, models, tmp_path):
    """The same files as of a model that runs, with a row of each temperature in the table."""
    ended = write_ended(tmp_path, (800, 1200))
    some = [models["fast"][0], *write_ended(tmp_path, (1000,), label="fast")]
    for name, paths, rows in (("all", ended, [0, 0]), ("some", some, [9, 0])):
        out, table, figure = (tmp_path / f"{name}.{x}" for x in ("out.h5", "csv", "svg"))
        analyze(
            paths, ConductivityConfig(paper=True), references=files, output=out, csv=table,
            plot=figure,
        )  # fmt: skip
        stored = read_result(out, "observables")
        n_points = sum(map(bool, rows))
        assert stored.datasets["temperature_k"].shape == (n_points,)
        assert stored.datasets["conductivity"].shape == (n_points, 3)
        assert [i.name for i in stored.inputs] == [p.name for p in (*paths, *files)]
        with table.open() as file:
            found = [list(row.values()) for row in csv.DictReader(file)]
        assert [sum(cell != "" for cell in row[3:]) for row in found] == rows
        assert [float(row[2]) for row in found] == [800.0, [1200.0, 1000.0][n_points]]
        drawn = figure.read_text(encoding="utf-8")
        assert "synthetic: walkers" in drawn
        told = "ended early at 1000 K" if n_points else "no value: all runs ended early"
        assert told in drawn


def test_a_figure_of_nothing_but_runs_that_ended_early(tmp_path):
    figure = tmp_path / "a.svg"
    analyze(write_ended(tmp_path, (800,)), ConductivityConfig(), plot=figure)
    assert "no value: all runs ended early" in figure.read_text(encoding="utf-8")


@pytest.mark.parametrize("kelvin", [(800,), (800, 1000, 1200)], ids=["one", "all"])
def test_a_run_folder_keeps_that_runs_ended_early(kelvin, run_folder, capsys):
    for t in kelvin:
        path = run_folder / f"rollouts/mace-s0/walkers/{t}K-r0.h5"
        write_run(path, at(float(t), FAST), t, 20, end_reason="exploded")
    assert run(["conductivity"]) == 0
    assert "mace-s0: walkers: 800 K: ended early: 800K-r0.h5: exploded" in capsys.readouterr().err
    before = written(run_folder)
    assert len(before) == 2
    assert run(["conductivity"]) == 0
    assert capsys.readouterr().err.count("already done") == 2
    write_run(path, at(float(t), FAST), t, 25, end_reason="exploded")
    assert "other settings or from other trajectories" in refused(capsys)
    assert written(run_folder) == before


def test_a_broken_replica_that_changes_is_noticed(run_folder, capsys):
    path = run_folder / "rollouts/mace-s0/walkers/800K-r1.h5"
    write_run(path, at(800.0), 9, 20, end_reason="exploded")
    assert run(["conductivity"]) == 0
    assert "800 K: left out: 800K-r1.h5: exploded" in capsys.readouterr().err
    write_run(path, at(800.0), 9, 25, end_reason="exploded")
    assert "other settings or from other trajectories" in refused(capsys)


# Files that are written, and run folders


def test_files_that_are_written(files, models, tmp_path, capsys):
    out, table = tmp_path / "out.h5", tmp_path / "out.csv"
    options = [*against(files), "-o", out, "--csv", table, "--json"]
    assert run(["conductivity", *map(str, models["same"]), *map(str, options)]) == 0
    document = json.loads(capsys.readouterr().out)["groups"][0]
    stored = read_result(out, "observables")
    assert stored.attributes["observable"] == "conductivity"
    assert stored.attributes["document"] == document
    assert len(stored.inputs) == 3 + 5
    assert_array_equal(stored.datasets["temperature_k"], [800, 1000, 1200])
    for name in ("diffusivity", "conductivity", "collective_conductivity"):
        expected = [
            [p[name][k] for k in ("value", "low", "high")] for p in document["temperatures"]
        ]
        assert_array_equal(stored.datasets[name], np.array(expected, dtype=float))
    assert stored.units["conductivity"] == "mS cm-1"
    with table.open() as file:
        rows = list(csv.DictReader(file))
    assert [row["temperature_k"] for row in rows] == ["800.0", "1000.0", "1200.0"]
    for name in ("diffusivity", "conductivity"):
        for column, key in (("", "value"), ("_low", "low"), ("_high", "high")):
            found = [float(row[f"{name}{column}"]) for row in rows]
            assert_array_equal(found, [p[name][key] for p in document["temperatures"]])


def test_bounds_are_written_as_such(models, tmp_path):
    out, table = tmp_path / "out.h5", tmp_path / "out.csv"
    analyze(models["frozen"], ConductivityConfig(), output=out, csv=table)
    stored = read_result(out, "observables").datasets["diffusivity"]
    assert_array_equal(np.isnan(stored), [[True, True, False]] * 3)
    with table.open() as file:
        row = next(csv.DictReader(file))
    assert (row["diffusivity"], row["diffusivity_low"]) == ("", "")
    assert float(row["diffusivity_high"]) == stored[0, 2]


def test_figures(files, models, tmp_path):
    for name, paths in (("line", models["fast"]), ("bounds", models["frozen"][:1])):
        figure = tmp_path / f"{name}.png"
        analyze(paths, ConductivityConfig(), references=files, plot=figure)
        assert figure.read_bytes().startswith(b"\x89PNG")


@pytest.fixture
def run_folder(tmp_path, monkeypatch):
    """A run folder with a reference and a model of one material, three temperatures each."""
    for t in (800, 1000, 1200):
        write_run(tmp_path / f"run/reference/walkers/{t}K-r0.h5", at(float(t)), t)
        write_run(tmp_path / f"run/rollouts/mace-s0/walkers/{t}K-r0.h5", at(float(t), FAST), t + 1)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MDBENCH_RUN", raising=False)
    return tmp_path / "run"


def written(run_folder):
    places = (run_folder / "observables").rglob("*.h5")
    return {str(p.relative_to(run_folder)): p.read_bytes() for p in places}


def test_a_run_folder_keeps_its_results(run_folder, capsys):
    document = document_of(capsys, "--temps", "800-1200")
    assert [g["source"] for g in document["groups"]] == ["reference", "mace-s0"]
    before = written(run_folder)
    assert set(before) == {
        "observables/reference/walkers/conductivity.h5",
        "observables/mace-s0/walkers/conductivity.h5",
    }
    assert run(["conductivity", "--temps", "800-1200", "--run", "run"]) == 0
    told = capsys.readouterr().err
    assert told.count("already done") == 2
    assert "note: run folder run: 6 trajectories" in told
    assert "other settings" in refused(capsys, "--at", "298", "--temps", "800-1200")
    assert written(run_folder) == before
    assert run(["conductivity", "--at", "298", "--force"]) == 0
    for path in (run_folder / "observables").rglob("*.h5"):
        assert read_result(path, "observables").config["at"] == 298.0


def test_a_model_in_a_run_folder_against_its_reference(run_folder, capsys):
    files = (f"run/rollouts/mace-s0/walkers/{t}K-r*.h5" for t in (800, 1000, 1200))
    found = document_of(capsys, *files, "--against", "run/reference/walkers/*.h5")["comparison"]
    assert found["ratio"]["low"] < 2.0 < found["ratio"]["high"]
    assert not (run_folder / "observables").exists()


def test_the_reference_of_a_run_folder_is_the_other_side_not_a_group(run_folder, capsys):
    document = document_of(capsys, "--against", "run/reference/walkers/*.h5")
    assert [g["source"] for g in document["groups"]] == ["mace-s0"]
    assert document["comparison"]["reference"] == "synthetic: walkers"
    for path in run_folder.glob("rollouts/*/*/*.h5"):
        path.unlink()
    line = refused(capsys, "--against", "run/reference/walkers/*.h5")
    assert "run: nothing to hold against the reference" in line


def test_a_name_that_contradicts_its_temperature(run_folder, capsys):
    place = run_folder / "reference/walkers/900K-r0.h5"
    write_run(place, at(1000.0), 99)
    line = refused(capsys)
    assert "reference/walkers/900K-r0.h5: temperatures contradict each other" in line
    assert "expected 900 K by its name, found 1000 K in the file" in line
    assert not (run_folder / "observables").exists()


@pytest.mark.parametrize("option", ["-o", "--csv", "--plot"])
def test_a_trajectory_is_not_overwritten_even_under_force(option, files, tmp_path, capsys):
    path = tmp_path / "a.svg"
    path.write_bytes(files[0].read_bytes())
    before = path.read_bytes()
    for args in ([path], [files[1], "--against", path]):
        line = refused(capsys, *args, option, path, "--force")
        assert f"{path}: output is one of the trajectories" in line
    assert path.read_bytes() == before


# Bad input


def test_a_temperature_that_is_not_known(files, tmp_path, capsys):
    path = write_run(tmp_path / "a.h5", temperature_k=None)
    line = refused(capsys, *files, path)
    assert f"{path}: temperature unknown: expected the temperature of every run" in line
    assert "`mdbench ingest --temperature`" in line


def test_temperatures_that_speak_of_other_ions(files, tmp_path, capsys):
    other = write_run(tmp_path / "other.h5", at(1300.0), mobile="S")
    assert f"{other}: another mobile species: expected Li" in refused(capsys, *files, other)


def test_replicas_that_do_not_fit(files, tmp_path, capsys):
    base = run_of(at(800.0), 3)
    wider, copy, short = (tmp_path / f"{name}.h5" for name in ("wider", "copy", "short"))
    write_trajectory(wider, dataclasses.replace(base, cells=1.05 * base.cells))
    copy.write_bytes(files[0].read_bytes())
    write_run(short, at(800.0), 3, 43)
    for path, line in (
        (wider, "replicas with another cell"),
        (copy, "the same frames twice"),
        (short, "too few frames for a diffusivity"),
    ):
        assert f"{path}: {line}" in refused(capsys, *files, path)


def test_a_crystal_without_a_mobile_ion(tmp_path, capsys):
    path = write_run(tmp_path / "a.h5", dataclasses.replace(HOPPERS, mobile="Al"), mobile=None)
    line = refused(capsys, path)
    assert "no mobile species: expected one of Li, Na, Ag, Cu, K, H, Mg, F, found Al, S" in line
    assert document_of(capsys, path, "--mobile", "Al")["charge"] == 3.0
