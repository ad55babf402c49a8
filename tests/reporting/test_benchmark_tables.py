"""Tables of a benchmark: values in their cells, bounds as bounds, the paper's apart from ours."""

import csv
import math
from dataclasses import replace

import pytest
from numpy.testing import assert_allclose

from mdbench.analysis.audit import Check
from mdbench.analysis.ranking import Rank
from mdbench.models import MODELS
from mdbench.reporting import benchmark_speed
from mdbench.reporting.assessment import (
    Accuracy,
    Assessed,
    Assessment,
    Cited,
    Cost,
    Stability,
    Standing,
    Transport,
)
from mdbench.reporting.benchmark_tables import benchmark_tables, csv_table, write_csv_tables
from mdbench.reporting.html import PLACES
from mdbench.reporting.model_facts import Audited, Origin, TrainedModel
from mdbench.reporting.published import TABLE_1
from mdbench.stats import Estimate

MATERIALS = ["lgps", "li3ps4", "li4ges4"]
NEEDED = {"factor": 12.0, "n_model": 72, "n_reference": 144, "model_ps": 10.0, "reference_ps": 50.0}


def cited(value, low=None, high=None, unit="", file="observables/x.h5", key="k"):
    return Cited(Estimate(value, low, high, unit), file, key)


def accuracy(force=31.27, transfer=False):
    return Accuracy(
        force_mae=cited(force, force - 1, force + 1, "meV/A", "accuracy/a.h5", "q/forces/mae"),
        force_r2=cited(0.99338, 0.991, 0.995, "", "accuracy/a.h5"),
        energy_mae=cited(1.5432, 1.2, 1.9, "meV/atom", "accuracy/a.h5"),
        n_frames=200,
        transfer=transfer,
    )


def stability(kelvin, value=0.0241, state="stable", **changed):
    made = Stability(
        temperature_k=kelvin,
        rdf_mae=cited(value, 0.9 * value, 1.1 * value, "", "observables/rdf.h5", "comparison"),
        floor=(0.0112, 0.0153),
        state=state,
        paper="unstable" if value > 0.02 else "stable",
        reason=f"because of {state}",
        failure_mode=None,
        evidence=(),
        survival=None,
        needed=None,
        n_runs=6,
        file="observables/rdf.h5",
    )
    return replace(made, **changed)


def transport(**changed):
    made = Transport(
        diffusivity={
            800.0: cited(1.234e-5, 1.1e-5, 1.4e-5, "cm^2/s"),
            1000.0: cited(3.21e-5, 3e-5, 3.4e-5, "cm^2/s"),
        },
        conductivity={
            800.0: cited(512.3, 450.0, 580.0, "mS/cm"),
            1000.0: cited(1234.0, 1100.0, 1400.0, "mS/cm"),
        },
        ended_k=(),
        activation_energy=cited(0.2346, 0.21, 0.26, "eV"),
        extrapolated=cited(25.7, 10.0, 66.0, "mS/cm"),
        minus_log10=cited(-1.4099, -1.82, -1.0),
        at_k=300.0,
        ratio=None,
        p=None,
        differs=None,
        failure_mode=None,
        line=None,
        file="observables/conductivity.h5",
    )
    return replace(made, **changed)


def unresolved():
    """Transport of which there are only bounds."""
    bound = cited(None, None, 4.27e-5, "cm^2/s")
    return transport(
        diffusivity={800.0: bound},
        conductivity={800.0: cited(None, None, 2086.0, "mS/cm")},
        ended_k=(1000.0,),
        activation_energy=cited(None, None, None, "eV"),
        extrapolated=cited(None, None, 86.0, "mS/cm"),
        minus_log10=cited(None, -1.9345, None),
    )


def checks(*failing, names=("translation", "rotation", "reflection", "extensivity")):
    return [Check(n, "done", 2e-3, 1e-8, claimed=True, passed=n not in failing) for n in names]


def audit(*failing):
    return Audited("x", "lgps", "double", checks(*failing), Origin("audit/x.h5", {}, []))


def trained(source, name, n_parameters=494_209):
    return TrainedModel(
        source=source,
        name=name,
        seed=0,
        n_parameters=n_parameters,
        symmetry="E(3)",
        conservative=True,
        materials=["lgps"],
        n_frames=800,
        budget_s=300.0,
        n_steps=5000,
        n_epochs=12.54,
        force_mae=0.03,
        energy_mae=0.001,
        ended=None,
        weights="ab" * 32,
        origins=[Origin(f"models/{source}/model.json", {}, [])],
    )


def model(name="schnet-small", size="small", seed=0, **changed):
    source = f"{name.replace(':', '@')}-s{seed}" if size else name
    made = Assessed(
        source=source,
        run="run",
        name=name,
        size=size,
        trained=trained(source, name) if size else None,
        audit=audit(),
        ns_per_day=3.456 if size else None,
        device="EPYC" if size else None,
        standings={"lgps": Standing("lgps", accuracy(), None, [stability(800.0)], transport())},
    )
    return replace(made, **changed)


def assessment(*models, **changed):
    made = Assessment(
        runs=["run"],
        materials=MATERIALS,
        synthetic=False,
        reference={"lgps": transport()},
        models=list(models),
    )
    return replace(made, **changed)


def tables_of(*models, **changed):
    found = {each.name: each for each in benchmark_tables(assessment(*models, **changed))}
    for each in found.values():
        assert {len(row) for row in each.rows} == {len(each.header)} == {len(each.columns)}
    return found


def cell(table, row, column):
    """The cell of the row with these words first, in the column with this header."""
    words = row if isinstance(row, tuple) else (row,)
    (found,) = [r for r in table.rows if tuple(c.text for c in r[: len(words)]) == words]
    return found[list(table.header).index(column)]


def texts(table, row):
    return [c.text for c in next(r for r in table.rows if r[0].text == row)]


def read(folder, name):
    with (folder / f"{name}.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def standing(*stabilities, material="lgps", **changed):
    return {material: Standing(material, stability=list(stabilities), **changed)}


def test_the_summary_shows_the_worst_verdict_and_where():
    states = [
        stability(800.0),
        stability(1000.0, 0.05, "unstable", file="observables/rdf-1000K.h5"),
        stability(1200.0, 0.04, "unstable"),
    ]
    summary = tables_of(model(standings=standing(*states)))["summary"]
    found = cell(summary, "schnet-small-s0", "lgps")
    assert (found.text, found.note) == ("✗ unstable", "at 1000 K, 1200 K")
    assert found.cited.file == "observables/rdf-1000K.h5"
    assert cell(summary, "schnet-small-s0", "li3ps4").text == "–"


@pytest.mark.parametrize("state", ["stable", "indistinguishable", "undecided", "unstable"])
def test_a_state_has_a_sign_of_its_own_and_its_word(state):
    summary = tables_of(model(standings=standing(stability(800.0, state=state))))["summary"]
    found = cell(summary, "schnet-small-s0", "lgps")
    sign, _, word = found.text.partition(" ")
    assert (
        sign == {"stable": "✓", "indistinguishable": "≈", "undecided": "?", "unstable": "✗"}[state]
    )
    assert word == found.value == state


def test_failures_of_structure_and_of_transport_are_named_with_their_materials():
    evidence = [{"run": 0}, {"run": 0}, {"run": 4}]
    fused = stability(800.0, state="unstable", failure_mode="fusion", evidence=evidence)
    standings = {
        **standing(fused),
        **standing(fused, material="li3ps4", transport=transport(failure_mode="frozen")),
    }
    summary = tables_of(model(standings=standings))["summary"]
    found = cell(summary, "schnet-small-s0", "failure modes")
    assert found.text == "fusion (lgps, li3ps4); frozen (li3ps4)"
    assert found.note == "4 of 12 runs failed"


@pytest.mark.parametrize(
    "rank, words",
    [
        (Rank(1, 1, 11), "1 of 11"),
        (Rank(2, 4, 11), "2–4 of 11"),
        (Rank(1, 3, 3), "not resolved"),
        (Rank(1, 1, 1), "the only one"),
    ],
)
def test_ranks_are_as_narrow_as_the_data_allow(rank, words):
    standings = {
        **standing(stability(800.0), ranks={"rdf_mae": rank}, rdf_mae=cited(0.03)),
        **standing(material="li3ps4", ranks={"rdf_mae": Rank(2, 2, 3)}, rdf_mae=cited(0.04)),
    }
    tables = tables_of(model(standings=standings))
    found = cell(tables["summary"], "schnet-small-s0", "rank by rdf_mae")
    assert (found.text, found.note) == (words, "li3ps4 2 of 3")
    assert cell(tables["summary"], "schnet-small-s0", "rank by force MAE").text == "–"
    own = next(row for row in tables["ranks"].rows if row[0].text == "lgps")
    assert [c.text for c in own[4:6]] == ["0.03", words]


def test_what_would_settle_is_the_most_that_any_verdict_needs():
    states = [
        stability(800.0, state="undecided", needed=NEEDED | {"factor": 3.0}),
        stability(1000.0, state="indistinguishable", needed=NEEDED),
        stability(1200.0, state="unstable"),
    ]
    found = cell(
        tables_of(model(standings=standing(*states)))["summary"],
        "schnet-small-s0",
        "to settle the rest",
    )
    assert (found.text, found.value) == ("12 × the data", 12.0)
    assert found.note == (
        "lgps at 1000 K: 72 runs of 10 ps of the model and 144 runs of 50 ps of the reference; "
        "2 of 3 verdicts open"
    )


@pytest.mark.parametrize(
    "states, words",
    [
        ([], "–"),
        ([stability(800.0), stability(900.0, state="unstable")], "all settled"),
        ([stability(800.0, state="undecided")], "unknown"),
    ],
)
def test_without_an_estimate_nothing_is_said_to_be_enough(states, words):
    summary = tables_of(model(standings=standing(*states)))["summary"]
    assert cell(summary, "schnet-small-s0", "to settle the rest").text == words


def test_small_models_and_calculators_never_stand_in_table_1():
    names = ("schnet-small-s0", "refpot")
    alone = tables_of(model(), model("refpot", None))
    assert "table-1" not in alone
    both = tables_of(model(), model("refpot", None), model("schnet", "paper"))
    shown = {row[0].text for row in both["table-1"].rows}
    assert "schnet-s0" in shown
    assert not shown & set(names)
    assert {row[0].text for row in both["run-models"].rows} == set(names)


def test_table_1_has_ours_beside_the_papers():
    table = tables_of(model("schnet", "paper"))["table-1"]
    assert texts(table, "schnet-s0") == [
        *("schnet-s0", "E(3)", "E(3)", "✓ E(3)"),
        *("494,209", "0.49", "12.5", "48", "3.46", "22.5"),
    ]
    row = next(row for row in table.rows if row[0].text == "schnet-s0")
    assert [c.published for c in row] == [0, 1, 0, 0, 0, 1, 0, 1, 0, 1]
    assert row[4].cited.file == "models/schnet-s0/model.json"
    assert row[6].note == "800 frames, 5 min"
    assert row[8].note == "EPYC"


def test_table_1_has_all_rows_of_the_paper():
    table = tables_of(model("schnet", "paper"))["table-1"]
    assert len(table.rows) == len(TABLE_1) + 1
    assert texts(table, "eSCN") == ["eSCN", "SO(2)", "–", "–", "–", "34.28", "–", "5", "–", "8.1"]
    aimd = texts(table, "AIMD")
    assert aimd == ["AIMD", "not at hand", *"–––––––", "0.034"]
    for row in table.rows:
        if row[0].text != "schnet-s0":
            assert all(c.published or c.text == "–" for c in row[1:])


def test_each_seed_and_variant_has_its_row():
    models = [
        model("cgcnn", "paper"),
        model("cgcnn", "paper", seed=1),
        model("cgcnn:published", "paper"),
    ]
    table = tables_of(*models)["table-1"]
    ours = [row for row in table.rows if row[0].note == "CGCNN"]
    assert [row[0].text for row in ours] == ["cgcnn-s0", "cgcnn-s1", "cgcnn@published-s0"]
    assert {row[5].text for row in ours} == {"0.25"}
    assert len(table.rows) == len(TABLE_1) + 1 + 2


@pytest.mark.parametrize(
    "failing, words, note",
    [
        ((), "✓ E(3)", "all 4 claims hold"),
        (("reflection",), "✗ SE(3)", "fails: reflection"),
        (("rotation", "reflection"), "✗ T(3)", "fails: rotation, reflection"),
        (("translation",), "✗ none", "fails: translation"),
        (("extensivity",), "✗ E(3)", "fails: extensivity"),
    ],
)
def test_the_measured_symmetry_is_that_of_the_audit(failing, words, note):
    table = tables_of(model(audit=audit(*failing)))["run-models"]
    found = cell(table, "schnet-small-s0", "measured")
    assert (found.text, found.note, found.cited.file) == (words, note, "audit/x.h5")


def test_a_symmetry_that_was_not_looked_at_is_not_known():
    seen = replace(audit(), checks=checks(names=("translation",)))
    table = tables_of(model(audit=seen))["run-models"]
    assert cell(table, "schnet-small-s0", "measured").text == "✓ T(3), rotation not known"


def test_table_2_has_the_papers_number_where_it_is_at_hand():
    table = tables_of(model())["table-2"]
    assert [row[0].text for row in table.rows] == ["reference", "AIMD", "schnet-small-s0"]
    assert cell(table, "reference", "lgps").text == "−1.41"
    assert cell(table, "reference", "lgps").note == "−1.82 to −1"
    aimd = table.rows[1][1:]
    assert [c.text for c in aimd] == ["−1.41", "not at hand", "not at hand"]
    assert all(c.published for c in aimd)
    assert not any(c.published for row in (table.rows[0], table.rows[2]) for c in row)


@pytest.mark.parametrize(
    "changed",
    [
        {"materials": ["mine"], "reference": {"mine": transport()}},
        {"reference": {"lgps": transport(at_k=298.0)}},
    ],
)
def test_the_papers_number_stands_only_beside_the_same_quantity(changed):
    table = tables_of(**changed)["table-2"]
    assert [row[0].text for row in table.rows] == ["reference"]


def test_bounds_are_bounds_in_the_right_direction():
    tables = tables_of(model(standings=standing(transport=unresolved())))
    low = cell(tables["table-2"], "schnet-small-s0", "lgps")
    assert (low.text, low.note) == ("> −1.93", "not resolved")
    high = cell(tables["s4-diffusivity"], ("lgps", "schnet-small-s0"), "800 K")
    assert (high.text, high.note) == ("< 4.27×10⁻⁵", "not resolved")
    assert cell(tables["s5-activation"], "schnet-small-s0", "lgps").text == "not resolved"
    ended = cell(tables["s4-diffusivity"], ("lgps", "schnet-small-s0"), "1000 K")
    assert ended.text == "ended early"


@pytest.mark.parametrize(
    "low, high, words",
    [
        (9.5e-6, 2.5e-5, "(0.95 to 2.50)×10⁻⁵"),
        (1.2e-9, 1e-3, "1.20×10⁻⁹ to 1.00×10⁻³"),
        (0.0, 3e-5, "0 to 3.00×10⁻⁵"),
        (1.2e-5, math.inf, "1.20×10⁻⁵ to ∞"),
        (None, None, ""),
    ],
)
def test_limits_share_a_power_of_ten_where_they_are_close(low, high, words):
    found = transport(diffusivity={800.0: cited(1.3e-5, low, high, "cm^2/s")})
    table = tables_of(reference={"lgps": found})["s4-diffusivity"]
    assert cell(table, ("lgps", "reference"), "800 K").note == words


def test_an_infinite_bound_is_no_bound():
    found = transport(minus_log10=cited(None, -math.inf, None))
    table = tables_of(reference={"lgps": found})["table-2"]
    assert cell(table, "reference", "lgps").text == "not resolved"


def test_what_is_not_resolved_has_no_value_anywhere(tmp_path):
    broken = model(standings=standing(transport=unresolved()))
    tables = tables_of(broken)
    n = 0
    for table in tables.values():
        header, rows = csv_table(table)
        for shown, written in zip(table.rows, rows, strict=True):
            for name, c in zip(table.columns, shown, strict=True):
                if c.cited is not None and c.cited.estimate.value is None:
                    n += 1
                    assert c.text == "not resolved" or c.text[:2] in ("< ", "> ")
                    assert written[header.index(name)] is None
    assert n == 5


def test_without_a_line_the_reason_stands_in_its_place():
    none = {"activation_energy": None, "extrapolated": None, "minus_log10": None}
    melted = transport(**none, failure_mode="ended early")
    tables = tables_of(model(standings=standing(transport=melted)), reference={})
    assert cell(tables["table-2"], "schnet-small-s0", "lgps").text == "ended early"
    plain = tables_of(reference={"lgps": transport(**none)})
    assert cell(plain["s5-activation"], "reference", "lgps").text == "no line"


def test_errors_stand_under_their_material():
    standings = {
        "lgps": Standing("lgps", accuracy(31.27)),
        "li3ps4": Standing("li3ps4", accuracy(62.5, transfer=True)),
        "li4ges4": Standing("li4ges4", no_accuracy="no finite prediction"),
    }
    tables = tables_of(model(standings=standings))
    assert texts(tables["s1-energy"], "schnet-small-s0")[1:] == ["1.54", "1.54", "–"]
    forces = tables["s2-force"]
    assert cell(forces, "schnet-small-s0", "lgps, MAE").text == "31.3"
    assert cell(forces, "schnet-small-s0", "lgps, MAE").note == "30.3 to 32.3"
    assert cell(forces, "schnet-small-s0", "li3ps4, MAE").note == "61.5 to 63.5; transfer"
    assert cell(forces, "schnet-small-s0", "lgps, R²").text == "0.9934"
    assert cell(forces, "schnet-small-s0", "li4ges4, MAE").note == "no finite prediction"


def test_materials_without_errors_have_no_column():
    table = tables_of(model())["s1-energy"]
    assert list(table.header) == ["model", "lgps"]


def test_structure_errors_stand_under_their_temperature_with_their_floor():
    states = [stability(800.0, 0.0241), stability(None, 0.5, floor=None)]
    table = tables_of(
        model(standings=standing(*states)),
        model("cgcnn-small", standings=standing(stability(1000.0, 0.07))),
    )["s3-rdf"]
    assert list(table.header) == ["material", "model", "800 K", "1000 K", "unknown T"]
    found = cell(table, ("lgps", "schnet-small-s0"), "800 K")
    assert (found.text, found.note) == ("0.0241", "0.0217 to 0.0265; floor 0.0112")
    assert cell(table, ("lgps", "schnet-small-s0"), "1000 K").text == "–"
    assert "floor not known" in cell(table, ("lgps", "schnet-small-s0"), "unknown T").note
    assert cell(table, ("lgps", "cgcnn-small-s0"), "1000 K").text == "0.07"


def test_diffusivities_and_conductivities_stand_under_their_temperature():
    tables = tables_of(model())
    row = ("lgps", "reference")
    found = cell(tables["s4-diffusivity"], row, "1000 K")
    assert (found.text, found.note) == ("3.21×10⁻⁵", "(3.00 to 3.40)×10⁻⁵")
    assert cell(tables["s6-conductivity"], row, "1000 K").text == "1230"
    assert cell(tables["s6-conductivity"], row, "extrapolated").text == "25.7"
    assert cell(tables["s6-conductivity"], row, "D over the reference’s").text == "–"
    assert cell(tables["s5-activation"], "reference", "lgps").text == "0.235"


@pytest.mark.parametrize("differs, words", [(True, "different"), (False, "no difference resolved")])
def test_the_ratio_says_whether_it_is_resolved(differs, words):
    held = transport(ratio=cited(1.31, 0.9, 1.9), p=0.1234, differs=differs)
    table = tables_of(model(standings=standing(transport=held)))["s6-conductivity"]
    row = ("lgps", "schnet-small-s0")
    ratio = cell(table, row, "D over the reference’s")
    assert (ratio.text, ratio.note) == ("1.31", f"0.9 to 1.9; {words}")
    assert cell(table, row, "p").text == "0.123"


def test_every_verdict_has_its_row():
    states = [
        stability(800.0, 0.0241, "indistinguishable"),
        stability(1000.0, 0.3, "unstable", failure_mode="fusion", evidence=[{"run": 2}]),
    ]
    table = tables_of(model(standings=standing(*states)))["verdicts"]
    same, floors = ["lgps", "schnet-small-s0"], ["0.0112", "0.0153"]
    assert [[c.text for c in row] for row in table.rows] == [
        [*same, "800", "≈ indistinguishable", "unstable", "–", "0.0241", *floors, "6"],
        [*same, "1000", "✗ unstable", "unstable", "fusion", "0.3", *floors, "6"],
    ]
    assert table.rows[1][-1].note == "1 failed"


def pair(right, wrong, **changed):
    """A corrected and a published CGCNN, with these force errors on two materials."""
    return [
        model(
            name,
            standings={
                m: Standing(m, accuracy(error), None, [stability(800.0)], transport())
                for m, error in zip(MATERIALS, errors, strict=False)
            },
            **more,
        )
        for name, errors, more in (
            ("cgcnn-small", right, {}),
            ("cgcnn-small:published", wrong, {"audit": audit("extensivity"), **changed}),
        )
    ]


def test_the_cost_of_faults_is_a_ratio_with_an_interval_by_material():
    found = tables_of(*pair([20.0, 40.0], [20.5, 80.0]))["faults"]
    assert [(row[0].text, row[1].text, row[1].note) for row in found.rows] == [
        ("lgps", "cgcnn-small-s0", "extensivity"),
        ("li3ps4", "cgcnn-small-s0", "extensivity"),
    ]
    near, far = (cell(found, m, "ratio") for m in MATERIALS[:2])
    assert (near.text, far.text) == ("1.02", "2")
    assert near.note.endswith("; not resolved")
    assert "not resolved" not in far.note
    # both errors are known to 1 meV/Å
    limits = far.cited.estimate
    down = math.hypot(math.log(80.0 / 79.0), math.log(41.0 / 40.0))
    up = math.hypot(math.log(81.0 / 80.0), math.log(40.0 / 39.0))
    assert_allclose([limits.low, limits.high], [2 * math.exp(-down), 2 * math.exp(up)], rtol=1e-12)


@pytest.mark.parametrize(
    "changed",
    [
        {"run": "another"},
        {"trained": replace(trained("x", "cgcnn-small:published"), seed=1)},
        {"trained": replace(trained("x", "cgcnn-small:published"), budget_s=60.0)},
        {"trained": replace(trained("x", "cgcnn-small:published"), materials=["li3ps4"])},
    ],
)
def test_models_that_were_not_trained_alike_are_no_pair(changed):
    assert "faults" not in tables_of(*pair([20.0], [30.0], **changed))


def test_every_table_has_its_place_on_the_page():
    placed = {name for place in PLACES for name in place.names} | {"summary", "cost", "speed"}
    made = {table.name for table in benchmark_tables(everything())}
    assert "faults" in made <= placed


FILES = {
    "models": {"machine": "Xeon", "rows": {"cgcnn": {"single": {"ms": 8.0}}}},
    "before": {"machine": "Xeon", "rows": {"cgcnn": {"single": {"ms": 20.0}}}},
    "published": {"machine": "Xeon", "rows": {"cgcnn": {"single": {"ms": 44.0}}}},
}


@pytest.mark.parametrize("machine, ratio", [("Xeon", "5.5×"), ("EPYC", "–")])
def test_speed_is_compared_on_one_machine(monkeypatch, machine, ratio):
    """Once for a model and its variants; models that were not measured have no row."""
    files = FILES | {"published": FILES["published"] | {"machine": machine}}
    monkeypatch.setattr(benchmark_speed, "_measured", files.get)
    models = [model(name) for name in ("cgcnn", "cgcnn:published", "chgnet")]
    (row,) = tables_of(*models)["speed"].rows
    words = [cell.text for cell in row]
    assert words == ["cgcnn", "44" if machine == "Xeon" else "–", "20", "8", ratio, "2.5×"]


def test_speed_was_measured_for_every_model():
    """At both sizes, on one machine, the published code at its own."""
    names = {f"{name}{size}" for name in MODELS for size in ("", "-small")}
    now, before, published = (
        benchmark_speed._measured(name) for name in ("models", "before", "published")
    )
    assert set(now["rows"]) == set(before["rows"]) == names
    assert set(published["rows"]) == set(MODELS)
    assert now["machine"] == before["machine"] == published["machine"]


def test_costs_are_summed_by_model_and_over_all():
    costs = [
        Cost("train", 30.0, 3600.0, 1800.0, "H200", "jobs/train/a.json"),
        Cost("simulate", 7200.0, 900.0, 0.0, "EPYC", "jobs/simulate/a.json"),
    ]
    table = tables_of(model(costs=costs), model("cgcnn-small", costs=costs[:1]))["cost"]
    assert [[c.text for c in row] for row in table.rows] == [
        ["schnet-small-s0", "train", "H200", "30 s", "1", "0.5"],
        ["schnet-small-s0", "simulate", "EPYC", "2 h", "0.25", "0"],
        ["schnet-small-s0", "all", "–", "2.01 h", "1.25", "0.5"],
        ["cgcnn-small-s0", "train", "H200", "30 s", "1", "0.5"],
        ["all", "all", "–", "2.02 h", "2.25", "1"],
    ]
    assert table.rows[0][3].cited.file == "jobs/train/a.json"


def everything():
    """Eleven models of both sizes and a calculator on three materials."""
    held = transport(ratio=cited(1.31, 0.9, 1.9), p=0.04, differs=True)
    standings = {
        material: Standing(
            material,
            accuracy(transfer=material != "lgps"),
            None,
            [stability(t, state="undecided", needed=NEEDED) for t in (800.0, 1000.0)],
            held,
            cited(0.03, 0.02, 0.04),
            cited(0.12, 0.05, 0.2),
            {metric: Rank(1, 2, 3) for metric in ("force_mae", "rdf_mae", "conductivity_error")},
        )
        for material in MATERIALS
    }
    costs = [Cost("train", 30.0, 30.0, 0.0, "EPYC", "jobs/train/a.json")]
    names = ["cgcnn", "cgcnn:published", "dimenet++", "escn", "schnet"]
    full = [model(n, "paper", standings=standings, costs=costs) for n in names]
    small = [model(f"{n}-small", standings=standings, costs=costs) for n in names if ":" not in n]
    others = [model("refpot", None, standings=standings)]
    return assessment(*full, *small, *others, reference=dict.fromkeys(MATERIALS, transport()))


def test_every_number_of_ours_says_where_it_stands():
    """But for sums and ranks, which stand in no file, counts and temperatures; and speed.

    That was measured before, and its caption says on what.
    """
    found = benchmark_tables(everything())
    assert len(found) == 15
    assert "not in this run" in found[-1].caption
    for table in found[:-1]:
        for row in table.rows:
            for name, c in zip(table.columns[table.n_words :], row[table.n_words :], strict=True):
                if c.published or c.text == "–" or row[0].text == "all" or "_rank" in name:
                    continue
                if name in ("extrapolated_to_k", "n_runs"):
                    continue
                assert c.cited is not None, (table.name, name)


def test_csv_files_hold_what_was_given_in_full_precision(tmp_path):
    write_csv_tables(tmp_path, benchmark_tables(everything()))
    assert len(list(tmp_path.glob("*.csv"))) == 15
    (row,) = [
        each
        for each in read(tmp_path, "s4-diffusivity")
        if (each["material"], each["source"]) == ("li3ps4", "reference")
    ]
    names = ("diffusivity_800K", "diffusivity_800K_low", "diffusivity_800K_high")
    assert_allclose([float(row[n]) for n in names], [1.234e-5, 1.1e-5, 1.4e-5], rtol=1e-15, atol=0)
    assert row["diffusivity_800K_unit"] == "cm^2/s"
    assert row["diffusivity_800K_file"] == "observables/x.h5"
    forces = read(tmp_path, "s2-force")[0]
    assert (forces["force_r2_lgps"], forces["force_mae_li3ps4_note"]) == ("0.99338", "transfer")
    summary = read(tmp_path, "summary")[0]
    assert (summary["state_lgps"], summary["data_factor"]) == ("undecided", "12.0")
    verdicts = read(tmp_path, "verdicts")
    assert len(verdicts) == 10 * 3 * 2
    assert verdicts[0]["verdict_note"] == "because of undecided"
    assert (verdicts[0]["temperature_k"], verdicts[0]["floor_q95"]) == ("800.0", "0.0153")
    ranks = read(tmp_path, "ranks")[0]
    assert (ranks["rdf_mae_rank"], ranks["rdf_mae_rank_note"]) == ("", "1 to 2 of 3")


def test_csv_files_hold_the_papers_numbers_apart(tmp_path):
    write_csv_tables(tmp_path, benchmark_tables(everything()))
    rows = {row["model"]: row for row in read(tmp_path, "table-1")}
    ours = rows["schnet-s0"]
    assert (ours["parameters"], ours["paper_parameters_in_millions"]) == ("494209", "0.49")
    assert (ours["ns_per_day"], ours["paper_ns_per_day"]) == ("3.456", "22.5")
    assert (ours["epochs"], ours["paper_epochs"]) == ("12.54", "48")
    assert (ours["symmetry_measured"], ours["paper_symmetry_claimed"]) == ("E(3)", "E(3)")
    alone = rows["ForceNet"]
    assert (alone["parameters"], alone["epochs"], alone["ns_per_day"]) == ("", "", "")
    assert alone["paper_ns_per_day"] == "25.7"
    assert rows["AIMD"]["paper_symmetry_claimed"] == ""
    table_2 = {row["source"]: row for row in read(tmp_path, "table-2")}
    assert (table_2["AIMD"]["lgps"], table_2["AIMD"]["paper_lgps"]) == ("", "-1.41")
    assert (table_2["reference"]["lgps"], table_2["reference"]["paper_lgps"]) == ("-1.4099", "")
    assert table_2["AIMD"]["paper_li3ps4"] == ""


def test_the_columns_of_a_csv_file_have_each_their_name():
    for table in benchmark_tables(everything()):
        header, _ = csv_table(table)
        assert len(header) == len(set(header)), table.name


def test_limits_come_in_pairs():
    found = transport(minus_log10=cited(None, -1.9, None))
    header, rows = csv_table(tables_of(reference={"lgps": found}, materials=["lgps"])["table-2"])
    assert header[2:6] == ["lgps", "lgps_low", "lgps_high", "lgps_file"]
    assert rows[0][2:5] == [None, -1.9, None]


def test_names_from_strangers_survive(tmp_path):
    name = 'a,"b"\n<c>'
    found = assessment(
        model(standings=standing(stability(800.0), material=name)), materials=[name], reference={}
    )
    write_csv_tables(tmp_path, benchmark_tables(found))
    assert read(tmp_path, "verdicts")[0]["material"] == name


def test_what_has_nothing_to_show_is_left_out():
    assert benchmark_tables(assessment(reference={})) == []
    bare = model(trained=None, audit=None, ns_per_day=None, device=None, standings={})
    assert list(tables_of(bare, reference={})) == ["summary", "run-models", "speed"]
    assert texts(tables_of(bare)["summary"], "schnet-small-s0")[1:] == ["–"] * 8
