import dataclasses

import numpy as np
import pytest

from mdbench.analysis.audit import Check
from mdbench.reporting.html import Page, render
from mdbench.reporting.markup import file_anchor
from mdbench.reporting.model_facts import (
    ENERGY_MAE,
    FORCE_MAE,
    FORCE_R2,
    Audited,
    MaterialErrors,
    Models,
    Origin,
    TrainedModel,
    Verdict,
    accurate_but_unstable,
)
from mdbench.reporting.model_figures import LearningCurve, learning_figure
from mdbench.reporting.model_html import model_line
from mdbench.stats import Estimate
from mdbench.store import Input
from tests.reporting.test_html import HOSTILE, Outline, section  # noqa: F401

ORIGIN = Origin("audit/a.h5", {"seed": 0}, [Input("a", "checkpoint", "ab" * 32)])
CHECK = Check("rotation", "rotated", 2e-14, 1e-8, claimed=True, passed=True)
MODEL = TrainedModel(
    source="schnet-s0",
    name="schnet",
    seed=0,
    n_parameters=12345,
    symmetry="E(3)",
    conservative=True,
    materials=["lgps"],
    n_frames=800,
    budget_s=36000.0,
    n_steps=5000,
    n_epochs=12.5,
    force_mae=0.0312,
    energy_mae=0.00123,
    ended=None,
    weights="ab" * 32,
    origins=[ORIGIN],
)


def errors_of(material="lgps", split="test", r2=0.9934, mae=31.0, **changed):
    quantities = {
        FORCE_MAE: Estimate(mae, mae - 1.0, mae + 1.0, "meV/A"),
        FORCE_R2: Estimate(r2, None, None, ""),
        ENERGY_MAE: Estimate(1.5, 1.0, 2.0, "meV/atom"),
    }
    made = MaterialErrors(
        source="schnet-s0",
        material=material,
        split=split,
        transfer=False,
        random=False,
        n_frames=2000,
        failure=None,
        quantities=quantities,
        synthetic=False,
        origin=ORIGIN,
    )
    return dataclasses.replace(made, **changed)


def audit_of(*checks, source="schnet-s0", precision="double"):
    return Audited(source, "lgps", precision, checks, ORIGIN)


def page_of(models, *sections):
    return render(Page("run", "", "1.2", sections, models=models))


def words_of(models, *sections):
    return Outline(page_of(models, *sections)).words.replace("\N{NO-BREAK SPACE}", " ")


def verdict(state="unstable", kelvin=800.0, material="lgps", mode=None, source="schnet-s0"):
    return Verdict(source, material, kelvin, state, mode)


def test_accurate_but_unstable_is_of_one_material():
    errors = [errors_of(), errors_of("li3ps4", r2=0.97), errors_of("li4ges4", r2=0.99)]
    verdicts = [
        verdict(kelvin=1200.0, mode="fusion"),
        verdict(),
        verdict("stable", 1000.0),
        verdict(source="other"),
        verdict(material="li3ps4"),
        verdict(material="li4ges4"),
        verdict(kelvin=None, mode="frozen"),
    ]
    assert accurate_but_unstable(errors, verdicts) == [
        "schnet-s0: R² 0.9934 on forces of lgps, and unstable (frozen) at an unknown temperature "
        "in lgps; unstable at 800 K in lgps; unstable (fusion) at 1200 K in lgps"
    ]


@pytest.mark.parametrize(
    "errors",
    (
        errors_of(split="near"),
        errors_of(failure="no finite prediction", quantities={}),
        errors_of(quantities={FORCE_R2: Estimate(None, None, None, "")}),
    ),
)
def test_nothing_is_said_without_the_error_on_test_frames(errors):
    assert accurate_but_unstable([errors], [verdict()]) == []


def test_a_page_without_force_fields_says_nothing_of_them(section):  # noqa: F811
    words = words_of(Models(), section)
    for name in ("Force fields", "Models", "Accuracy", "Audit"):
        assert name not in words


def test_sections_stand_before_every_result(section):  # noqa: F811
    models = Models(trained=[MODEL], errors=[errors_of()], audits=[audit_of(CHECK)])
    found = Outline(page_of(models, section))
    ids = [value for value in found.values("id") if not value.startswith("file-")]
    parts = ["training", "accuracy", "audit", "results"]
    assert ids == ["content", "summary", *parts, "g1", "files", "glossary"]
    assert {f"#{part}" for part in parts} <= set(found.values("href"))


def test_a_page_of_models_alone_has_no_empty_overview():
    assert "T (K)" not in words_of(Models(trained=[MODEL]))


def test_numbers_lead_to_their_files():
    models = Models(trained=[MODEL], errors=[errors_of()], audits=[audit_of(CHECK)])
    page = page_of(models)
    for shown, key in (
        ("31.2", "training/validation/force_mae"),
        ("12,345", "training/n_parameters"),
        ("0.9934", f"quantities/{FORCE_R2}"),
        ("2.0e-14", "deviation of rotation"),
    ):
        place = f'href="#{file_anchor(ORIGIN.file)}" title="{ORIGIN.file}: {key}"'
        assert f'<a class="cited" {place}>{shown}</a>' in page
    assert f'id="{file_anchor(ORIGIN.file)}"' in page


def test_parity_is_folded_up_with_what_it_says():
    models = Models(errors=[errors_of(), errors_of("li3ps4", mae=40.0)], parity={"schnet-s0": b""})
    shown = "<summary>Predicted against reference forces of schnet-s0: MAE 31 meV/Å on lgps, 40"
    assert shown in page_of(models)


def test_tables_have_captions_and_heads():
    models = Models(trained=[MODEL], errors=[errors_of()], audits=[audit_of(CHECK)])
    found = Outline(page_of(models))
    assert found.tags.count("caption") == 3
    scopes = [value for tag, name, value in found.attributes if (tag, name) == ("th", "scope")]
    assert len(scopes) == found.tags.count("th")
    assert scopes.count("row") == 3


def test_both_errors_stand_side_by_side():
    errors = [errors_of(), errors_of(split="near", mae=20.0)]
    assert "lgps 2,000 31 30 to 32 20 19 to 21 0.9934 1.5 1 to 2" in words_of(Models(errors=errors))
    assert "lgps – – 20 19 to 21 – –" in words_of(Models(errors=errors[1:]))


def test_what_test_frames_are_is_said_as_it_is():
    held_out = "held out whole"
    assert held_out in words_of(Models(errors=[errors_of()]))
    random = words_of(Models(errors=[errors_of(random=True)]))
    assert held_out not in random
    assert "Random frames" in random
    whole = words_of(Models(errors=[errors_of(split=None, transfer=None)]))
    assert held_out not in whole
    assert "lgps whole trajectories" in whole


def test_outcomes_are_words():
    checks = [
        CHECK,
        dataclasses.replace(CHECK, name="reflection", passed=False, deviation=0.5, detail="mirror"),
        dataclasses.replace(CHECK, name="extensivity", passed=False, claimed=False),
        dataclasses.replace(CHECK, name="determinism", claimed=False, deviation=0.0),
        dataclasses.replace(CHECK, name="nve_drift", passed=False, deviation=np.inf),
    ]
    other = audit_of(CHECK, source="refpot", precision="single")
    words = words_of(Models(audits=[other, audit_of(*checks)]))
    for expected in (
        "rotation ✓ passed 2.0e-14 ✓ passed 2.0e-14",
        "reflection – ✗ FAILED 5.0e-01",
        "extensivity – ✗ does not pass, not claimed 2.0e-14",
        "determinism – ✓ passed, not claimed 0",
        "nve_drift – ✗ FAILED –",
        "schnet-s0, reflection: deviation 5.0e-01, tolerance 1.0e-08: mirror",
        "on lgps in single precision: refpot; on lgps in double precision: schnet-s0.",
    ):
        assert expected in words


def test_an_early_end_stands_with_its_model():
    ended = dataclasses.replace(MODEL, ended="loss of step 7 was not finite", conservative=False)
    words = words_of(Models(trained=[ended]))
    assert (
        "schnet-s0 loss of step 7 was not finite E(3), direct forces not audited lgps 31.2 1.23"
        in words
    )


def test_made_up_references_are_marked(section):  # noqa: F811
    toy = Models(errors=[errors_of(synthetic=True)])
    assert "Synthetic sample data: not a material." in words_of(toy)
    assert "in the sections marked below" in words_of(toy, section)
    assert "not a material" not in words_of(Models(errors=[errors_of()]), section)


def test_lines_for_the_terminal():
    failed = errors_of("li3ps4", transfer=True, failure="no finite prediction of 3 frames")
    models = Models(trained=[MODEL], errors=[errors_of(), failed], audits=[audit_of(CHECK)])
    assert model_line(models, "schnet-s0") == (
        "schnet-s0: force MAE lgps 31 (30 to 32) meV/A, "
        "li3ps4 no finite prediction of 3 frames (transfer); audit: 1 of 1 claims hold"
    )
    assert model_line(Models(trained=[MODEL]), "schnet-s0") == (
        "schnet-s0: not evaluated; audit: not audited"
    )
    judged = model_line(Models(trained=[MODEL]), "schnet-s0", "lgps unstable (fusion)")
    assert judged.startswith("schnet-s0: lgps unstable (fusion); not evaluated; audit")
    near = Models(errors=[errors_of(split="near")])
    assert "force MAE lgps near, 31 (30 to 32) meV/A" in model_line(near, "schnet-s0")


def test_nothing_from_a_stranger_becomes_markup():
    origin = Origin(HOSTILE, {HOSTILE: HOSTILE}, [Input(HOSTILE, HOSTILE, HOSTILE)])
    names = {"source": HOSTILE, "origin": origin}
    check = Check(HOSTILE, HOSTILE, 1.0, 0.1, claimed=True, passed=False, detail=HOSTILE)
    models = Models(
        trained=[
            dataclasses.replace(
                MODEL,
                source=HOSTILE,
                symmetry=HOSTILE,
                materials=[HOSTILE],
                ended=HOSTILE,
                origins=[origin],
            )
        ],
        errors=[
            errors_of(HOSTILE, **names),
            errors_of("b", failure=HOSTILE, quantities={}, **names),
        ],
        audits=[Audited(HOSTILE, HOSTILE, HOSTILE, [check], origin)],
        parity={HOSTILE: b""},
        warnings=[HOSTILE + "\ud800"],
    )
    page = page_of(models)
    assert "<script" not in page
    page.encode("utf-8")
    found = Outline(page)
    assert found.words.count("alert") >= 20
    assert not [name for _, name, _ in found.attributes if name.startswith("on")]


def test_learning_curves_of_many_models_can_be_told_apart():
    curves = [
        LearningCurve(f"m{k}$", np.array([1.0, 2.0]), np.array([3.0, 1.0 + k]), np.ones(2), 1)
        for k in range(12)
    ]
    figure = learning_figure(curves)
    forces, energies = figure.axes
    drawn = [line for line in forces.lines if len(line.get_xdata()) == 2]
    assert len({(line.get_color(), line.get_linestyle()) for line in drawn}) == 12
    kept = [line for line in forces.lines if len(line.get_xdata()) == 1]
    assert [line.get_ydata()[0] for line in kept] == [1e3 * (1.0 + k) for k in range(12)]
    assert [t.get_text() for t in figure.legends[0].get_texts()][:2] == [r"m0\$", r"m1\$"]
    assert forces.get_yscale() == energies.get_xscale() == "log"
