"""What run folders say about force fields: numbers, places, ranks, and what is refused."""

import math
import shutil

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from mdbench.config import ConductivityConfig, RdfConfig
from mdbench.errors import InputError
from mdbench.stages import conductivity, rdf, report
from mdbench.stages.assess import assess
from mdbench.store import Dataset, read_result, write_result
from mdbench.synthetic import HoppingModel
from tests.stages.little import write_run
from tests.stages.results import (
    fusion,
    write_accuracy,
    write_conductivity,
    write_rdf,
    write_task,
)
from tests.stages.test_against import SWOLLEN, write


@pytest.fixture
def run(tmp_path):
    """A reference, and a model that is better than another one."""
    folder = tmp_path / "run"
    write_conductivity(folder, "reference")
    for source, k in (("good", 1.0), ("poor", 3.0)):
        write_accuracy(folder, source, mae=30.0 * k)
        for t in (800.0, 1000.0):
            write_rdf(folder, source, t=t, mae=0.01 * k)
        write_conductivity(folder, source, ratio=1.0 / k, spread=1.2)
    return folder


def standing(found, source, material="salt"):
    (model,) = [m for m in found.models if m.source == source]
    return model.standings[material]


def places(found, metric, material="salt"):
    ranks = {
        m.source: m.standings[material].ranks.get(metric)
        for m in found.models
        if material in m.standings
    }
    return {s: None if r is None else (r.best, r.worst, r.of) for s, r in ranks.items()}


def value(cited):
    return cited.estimate.value, cited.estimate.low, cited.estimate.high


def test_numbers_are_those_of_the_files(run):
    found = standing(assess([run]), "good")
    assert value(found.accuracy.force_mae) == (30.0, 28.0, 32.0)
    assert found.accuracy.force_mae.file == "accuracy/good/salt.h5"
    path = run / found.accuracy.force_mae.file
    stored = read_result(path, "accuracy").datasets[found.accuracy.force_mae.key]
    assert_array_equal(stored, value(found.accuracy.force_mae))
    assert [s.temperature_k for s in found.stability] == [800.0, 1000.0]
    assert value(found.stability[0].rdf_mae) == (0.01, 0.008, 0.012)
    assert found.stability[0].floor == (0.004, 0.006)
    assert (found.state, found.failure_modes, found.n_runs, found.n_failed) == ("stable", [], 4, 0)


def test_keys_lead_to_the_numbers(run):
    """A key is the path in the file: a dataset, or names in the JSON of an attribute."""
    assessment = assess([run])
    found = standing(assessment, "poor").transport
    shown = [*found.diffusivity.values(), *found.conductivity.values(), found.ratio]
    shown += [found.activation_energy, found.extrapolated, found.minus_log10]
    shown += [*assessment.reference["salt"].diffusivity.values()]
    for cited in shown:
        place, _, key = cited.key.partition("/")
        assert place == "attributes"
        there = read_result(run / cited.file, "observables").attributes
        for name in key.split("/"):
            there = there[int(name) if name.isdigit() else name]
        assert (there["value"], there["low"], there["high"]) == value(cited)
        assert there["unit"] == cited.estimate.unit


def test_transport(run):
    found = standing(assess([run]), "poor").transport
    assert list(found.diffusivity) == list(found.conductivity) == [800.0, 1000.0]
    spread = found.diffusivity[800.0].estimate.spread
    assert_allclose([spread.variance, spread.freedom], [1e-12, 7.0], rtol=1e-12, atol=0)
    assert_array_equal(found.line, [[1000, 400, 300, 500], [300, 2, math.nan, math.nan]])
    assert (found.at_k, found.p, found.differs, found.failure_mode) == (300.0, 0.5, False, None)
    reference = assess([run]).reference["salt"]
    assert (reference.ratio, reference.p, reference.differs) == (None, None, None)


@pytest.mark.parametrize(
    "ratio, spread, expected",
    [
        (1.0, 10.0, (0.0, 0.0, 1.0)),
        (100.0, 10.0, (2.0, 1.0, 3.0)),
        (0.01, 10.0, (2.0, 1.0, 3.0)),
        (10.0, 100.0, (1.0, 0.0, 3.0)),
        (0.1, 100.0, (1.0, 0.0, 3.0)),
    ],
)
def test_conductivity_error(run, ratio, spread, expected):
    write_conductivity(run, "good", ratio=ratio, spread=spread)
    found = standing(assess([run]), "good").conductivity_error
    assert_allclose(value(found), expected, rtol=1e-12, atol=1e-15)
    assert found.estimate.unit == "decades"


@pytest.mark.parametrize(
    "bounds, low",
    [((None, 0.01), 2.0), ((1000.0, None), 3.0), ((None, 3.0), None), ((None, None), None)],
)
def test_a_bound_makes_an_error_of_at_least_that(run, bounds, low):
    write_conductivity(run, "poor", ratio=None, bounds=bounds)
    found = assess([run])
    estimate = standing(found, "poor").conductivity_error.estimate
    assert (estimate.value, estimate.high) == (None, None)
    assert estimate.low is None if low is None else math.isclose(estimate.low, low, rel_tol=1e-12)
    expected = {"good": (1, 2, 2), "poor": (1, 2, 2)}
    if low is not None:
        expected = {"good": (1, 1, 2), "poor": (2, 2, 2)}
    assert places(found, "conductivity_error") == expected


def test_ranks(run):
    found = assess([run])
    for metric in ("force_mae", "rdf_mae", "conductivity_error"):
        assert places(found, metric) == {"good": (1, 1, 2), "poor": (2, 2, 2)}
    write_rdf(run, "poor", mae=0.0105)
    write_rdf(run, "poor", t=1000.0, mae=0.0105)
    assert places(assess([run]), "rdf_mae") == {"good": (1, 2, 2), "poor": (1, 2, 2)}


def test_mean_rdf_mae_is_over_common_temperatures(run):
    write_rdf(run, "poor", t=1200.0, mae=0.9)
    write_rdf(run, "good", t=900.0, mae=0.9)
    found = assess([run])
    assert standing(found, "poor").common_k == standing(found, "good").common_k == (800.0, 1000.0)
    width = math.hypot(0.002, 0.002) / 2
    expected = 0.03, 0.03 - width, 0.03 + width
    assert_allclose(value(standing(found, "poor").rdf_mae), expected, rtol=1e-9, atol=0)
    assert "800 K, 1000 K" in standing(found, "poor").rdf_mae.key


def test_without_common_temperatures_there_is_no_mean(run):
    shutil.rmtree(run / "observables/poor")
    write_rdf(run, "poor", t=1200.0)
    found = assess([run])
    assert standing(found, "poor").rdf_mae is None
    assert places(found, "rdf_mae") == {"good": None, "poor": None}
    assert found.notes == ["salt: no temperature that all models have: no ranks by rdf_mae"]


def test_no_interval_at_one_temperature_is_none_of_the_mean(run):
    write_rdf(run, "good", width=None)
    assert value(standing(assess([run]), "good").rdf_mae) == (0.01, None, None)


def test_failed_models_rank_last_whatever_their_value(run):
    """A run that ends after a picosecond may have the best g(r) of all."""
    write_rdf(run, "good", mae=0.001, state="unstable", evidence=[fusion(), fusion(1)])
    write_conductivity(run, "good", mode="ended early")
    write_accuracy(run, "good", failed=True)
    found = assess([run])
    good = standing(found, "good")
    assert good.failed == ("force_mae", "rdf_mae", "conductivity_error")
    for metric in good.failed:
        assert places(found, metric) == {"good": (2, 2, 2), "poor": (1, 1, 2)}
    assert (good.state, good.failure_modes, good.n_failed) == ("unstable", ["fusion"], 2)
    assert good.accuracy is None
    assert good.no_accuracy == "no finite prediction of 2 frames"
    assert good.conductivity_error is None
    assert good.transport.ended_k == [800.0, 1000.0]
    assert good.transport.failure_mode == "ended early"


def test_the_worst_verdict_is_that_of_the_material(run):
    write_rdf(run, "good", t=1000.0, state="indistinguishable")
    found = standing(assess([run]), "good")
    assert found.state == "indistinguishable"
    assert [s.needed is None for s in found.stability] == [True, False]


def test_correlations(run):
    for k, source in enumerate(("c", "d", "e")):
        write_accuracy(run, source, mae=100.0 + k)
        write_rdf(run, source, mae=0.04 + k)
        write_rdf(run, source, t=1000.0, mae=0.04 + k)
    first, second = assess([run]).correlations
    assert (first.x, first.y, first.n_models) == ("force_mae", "rdf_mae", 5)
    assert first.rho == 1.0
    assert_allclose(first.p, 2 / 120, rtol=1e-12, atol=0)
    assert "good, salt" in {name for name, _, _ in first.points}
    assert (second.y, len(second.points), second.rho) == ("conductivity_error", 2, None)
    write_rdf(run, "e", state="unstable", evidence=[fusion()])
    failed = assess([run]).correlations[0]
    assert [name for name, _ in failed.failed] == ["e, salt"]
    assert failed.rho == 1.0


def test_near_frames_are_not_the_error(run):
    write_accuracy(run, "good", split="near", mae=1.0)
    assert value(standing(assess([run]), "good").accuracy.force_mae)[0] == 30.0


def test_a_folder_with_observables_alone(tmp_path):
    """Without a reference, of an unknown temperature, not held against anything."""
    write_rdf(tmp_path, "m", t=None)
    write_rdf(tmp_path, "toy", material="other")
    found = assess([tmp_path])
    assert found.materials == ["other", "salt"]
    assert found.reference == {}
    assert standing(found, "m").stability[0].temperature_k is None
    assert standing(found, "m").common_k == (None,)
    assert standing(found, "toy", "other").ranks["rdf_mae"].of == 1


def test_other_observables_are_left_alone(run):
    before = assess([run])
    path = run / "observables/good/salt/path.h5"
    attributes = {"observable": "barrier", "material": "salt", "source": "good"}
    write_result(path, "observables", {}, attributes=attributes, config={}, inputs=[])
    after = assess([run])
    assert places(after, "rdf_mae") == places(before, "rdf_mae")
    assert after.notes == before.notes == []


def test_a_reference_alone_is_no_model(tmp_path):
    write_conductivity(tmp_path, "reference")
    found = assess([tmp_path])
    assert (found.models, found.materials) == ([], ["salt"])


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="no results"):
        assess([tmp_path])
    with pytest.raises(InputError, match="no such run folder"):
        assess([tmp_path / "none"])


def test_records(run):
    write_task(run, "train", "schnet-small-s1", "schnet-small-s1", "failed", "loss not finite")
    write_task(run, "simulate", "good", "good", gpu_s=3.0)
    write_task(run, "simulate", "poor", "poor", "died", seconds=None, cpu_s=None, gpu_s=None)
    found = assess([run])
    lost, good, poor = (
        next(m for m in found.models if m.source == s) for s in ("schnet-small-s1", "good", "poor")
    )
    assert (lost.name, lost.size, dict(lost.standings)) == ("schnet-small", "small", {})
    assert (good.name, good.size, good.trained) == ("good", None, None)
    (cost,) = good.costs
    assert (cost.stage, cost.seconds, cost.cpu_s, cost.gpu_s) == ("simulate", 10.0, 8.0, 3.0)
    assert (cost.device, cost.file) == ("a CPU", "jobs/simulate/good.json")
    assert poor.costs == []
    assert found.notes == [
        "jobs/simulate/poor.json: simulate of poor died",
        "jobs/train/schnet-small-s1.json: train of schnet-small-s1 failed: loss not finite",
    ]


def write_audit(run, source, **facts):
    write_result(
        run / f"audit/{source}.h5",
        "audit",
        {name: Dataset([], "", ("check",)) for name in
         ("deviation", "tolerance", "claimed", "passed")},
        attributes={"source": source, "material": "salt", "checks": [],
                    "facts": {"precision": "double", **facts}},
        config={}, inputs=[],
    )  # fmt: skip


def test_speed_is_what_the_audit_measured(run):
    write_audit(run, "good", ns_per_day=2.5)
    write_audit(run, "poor")
    write_task(run, "audit", "good", "good")
    good, poor = assess([run]).models
    assert (good.ns_per_day, good.device) == (2.5, "a CPU")
    assert (poor.ns_per_day, poor.device) == (None, None)
    assert poor.audit.source == "poor"


# several runs


def copied(run, name):
    return shutil.copytree(run, run.parent / name)


def test_several_runs(run):
    other = copied(run, "other")
    (other / "observables/good").rename(other / "observables/third")
    shutil.rmtree(other / "accuracy")
    found = assess([run, other])
    assert found.runs == ["run", "other"]
    assert [m.source for m in found.models] == ["good", "poor (other)", "poor (run)", "third"]
    assert [m.run for m in found.models] == ["run", "other", "run", "other"]
    third = standing(found, "third")
    assert third.stability[0].file == "other/observables/third/salt/rdf-800K.h5"
    assert third.ranks["rdf_mae"].of == 4
    for model in found.models:
        for each in model.standings["salt"].stability:
            assert (run.parent / each.file).is_file()
            assert (run.parent / each.rdf_mae.file).is_file()


def test_a_force_field_of_several_runs_counts_once_in_correlations(run):
    alone, both = assess([run]), assess([run, copied(run, "other")])
    for one, merged in zip(alone.correlations, both.correlations, strict=True):
        assert len(merged.points) == len(one.points) == 2


def test_runs_of_one_name_are_told_apart(run):
    other = shutil.copytree(run, run.parent / "elsewhere/run")
    found = assess([run, other])
    assert found.runs == [f"{run.parent.name}/run", "elsewhere/run"]
    with pytest.raises(InputError, match="the same run folder twice"):
        assess([run, run / "../run"])


def test_other_references_are_said(run):
    other = run.parent / "other"
    write_conductivity(other, "reference")
    write_rdf(other, "third")
    (note,) = [n for n in assess([run, other]).notes if "reference runs" in n]
    assert note.startswith("the reference runs of salt are not the same files in run, other")
    assert not any("reference runs" in n for n in assess([run, copied(run, "copy")]).notes)


def test_other_lengths_are_said(run):
    other = copied(run, "other")
    for source in ("good", "poor"):
        write_conductivity(other, source, length_ps=70.0)
    (note,) = [n for n in assess([run, other]).notes if "length" in n]
    assert note.endswith("7 ps in run, 35 ps in other")


OTHER_SETTINGS = {
    "rdf dr": lambda run: write_rdf(run, "good", config={"dr": 0.1}),
    "rdf threshold": lambda run: write_rdf(run, "good", config={"threshold": 0.03}),
    "rdf skip_ps": lambda run: write_rdf(run, "good", config={"skip_ps": 5.0}),
    "conductivity at": lambda run: write_conductivity(run, "good", at=298.0),
    "conductivity estimator": lambda run: write_conductivity(
        run, "good", config={"estimator": "pymatgen"}
    ),
    "conductivity skip_ps": lambda run: write_conductivity(
        run, "reference", config={"skip_ps": 5.0}
    ),
    "evaluate split": lambda run: write_accuracy(run, "good", split=None),
    "dataset salt fraction": lambda run: write_dataset(run, 0.5),
}


def write_dataset(run, fraction):
    write_result(
        run / "dataset/salt.h5",
        "dataset",
        {},
        attributes={"material": "salt"},
        config={"sampling": "blocks", "fraction": fraction},
        inputs=[],
    )


@pytest.mark.parametrize("name", OTHER_SETTINGS)
def test_other_settings_are_not_mixed(run, name):
    """Refused between runs; said within one."""
    write_dataset(run, 0.1)
    other = copied(run, "other")
    assess([run, other])
    OTHER_SETTINGS[name](other)
    with pytest.raises(InputError) as error:
        assess([run, other])
    line = str(error.value)
    assert line.startswith(f"{name} is not the same in all runs: expected one value: ")
    assert " in run/" in line
    assert " in other/" in line
    notes = assess([other]).notes
    assert name.startswith("dataset") or notes[0].startswith(f"{name} is not the same in all")


def test_synthetic_and_real_references_are_not_mixed(run):
    other = copied(run, "other")
    write_conductivity(other, "reference", potential="synthetic-refpot")
    with pytest.raises(InputError, match=r"synthetic and real .* real in run, .* synthetic in oth"):
        assess([run, other])
    assert assess([other]).synthetic
    assert not assess([run]).synthetic
    write_conductivity(run, "reference", "toy", potential="synthetic")
    mixed = assess([run])
    assert mixed.notes == ["the reference is synthetic for toy, and not for the other materials"]


# damage


def damaged(path, kind, change):
    stored = read_result(path, kind)
    change(stored.attributes)
    datasets = {
        name: Dataset(values, stored.units[name], tuple("ab"[: np.ndim(values)]))
        for name, values in stored.datasets.items()
    }
    write_result(path, kind, datasets, attributes=stored.attributes, config=stored.config,
                 inputs=stored.inputs)  # fmt: skip


DAMAGE = {
    "no verdict": ("rdf-800K", lambda a: a["comparison"].pop("verdict")),
    "unknown verdict": ("rdf-800K", lambda a: a["comparison"].update(verdict="fine")),
    "words for numbers": ("rdf-800K", lambda a: a["comparison"].update(rdf_mae="small")),
    "not a number": ("rdf-800K", lambda a: a["comparison"].update(rdf_mae=math.nan)),
    "evidence": ("rdf-800K", lambda a: a["comparison"].update(evidence=[{"mode": "x"}])),
    "needed": (
        "rdf-800K",
        lambda a: a["comparison"].update(verdict="undecided", needed={"factor": 2}),
    ),
    "no document": ("conductivity", lambda a: a.pop("document")),
    "no material": ("conductivity", lambda a: a.pop("material")),
    "temperatures": ("conductivity", lambda a: a["document"].update(temperatures=[1])),
    "ratio": ("conductivity", lambda a: a["document"]["comparison"]["ratio"].update(value=-1)),
    "columns": (
        "conductivity",
        lambda a: a["document"]["arrhenius"]["line"].update(value=[1.0]),
    ),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_one_line(run, name):
    file, change = DAMAGE[name]
    path = run / f"observables/good/salt/{file}.h5"
    damaged(path, "observables", change)
    with pytest.raises(InputError, match=r"damaged result.*make it again") as error:
        assess([run])
    assert str(path) in str(error.value)


def test_a_file_that_is_cut_off(run):
    path = run / "observables/good/salt/conductivity.h5"
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(InputError, match=str(path)):
        assess([run])


# with the stages that write what is read


def test_a_run_folder_of_real_stages(tmp_path):
    """A faithful toy model and a swollen one, held against a toy reference."""
    references = [write(tmp_path / f"reference/toy/800K-r{k}.h5", k) for k in range(2)]
    for source, model in (("faithful", HoppingModel()), ("swollen", SWOLLEN)):
        for k in range(2):
            write(tmp_path / f"rollouts/{source}/toy/800K-r{k}.h5", 10 + k, model)
    rdf.run([], RdfConfig(), references=references, run_folder=tmp_path)
    conductivity.run([], ConductivityConfig(), references=references, run_folder=tmp_path)
    conductivity.run(
        references,
        ConductivityConfig(),
        output=tmp_path / "observables/reference/toy/conductivity.h5",
    )
    found = assess([tmp_path])
    assert [m.source for m in found.models] == ["faithful", "swollen"]
    assert places(found, "rdf_mae", "toy") == {"faithful": (1, 1, 2), "swollen": (2, 2, 2)}
    swollen = standing(found, "swollen", "toy")
    assert (swollen.state, swollen.failure_modes) == ("unstable", ["lattice mismatch"])
    stored = read_result(tmp_path / swollen.rdf_mae.file, "observables").attributes["comparison"]
    expected = stored["rdf_mae"], *stored["rdf_mae_interval"]
    assert_allclose(value(swollen.rdf_mae), expected, rtol=1e-12, atol=0)
    assert set(found.reference) == {"toy"}
    error = standing(found, "faithful", "toy").conductivity_error.estimate
    assert error.value is None or error.low <= error.value <= error.high
    assert found.synthetic


def test_references_alone_are_enough_for_a_page(tmp_path):
    """Of several runs that hold nothing but g(r) of the reference."""
    folders = [tmp_path / name for name in ("mine", "theirs")]
    for seed, folder in enumerate(folders):
        place = folder / "reference/walkers"
        place.mkdir(parents=True)
        write_run(place / "800K-r0.h5", seed=seed)
        rdf.run([], RdfConfig(), run_folder=folder)
    found = assess(folders)
    assert (found.runs, found.models) == (["mine", "theirs"], [])
    page = report.run(folders, tmp_path / "both").output.read_text()
    assert page.count('<div class="result"') == 2
