"""Sections of a page on force fields: how they were trained, their errors, their audits."""

from __future__ import annotations

from collections.abc import Sequence

from mdbench.analysis.audit import Check
from mdbench.reporting.markup import (
    bullets,
    cited,
    count,
    folded,
    heading,
    image,
    number,
    provenance,
    section,
    small,
    table,
    text,
)
from mdbench.reporting.model_facts import (
    ENERGY_MAE,
    FORCE_MAE,
    FORCE_R2,
    Audited,
    MaterialErrors,
    Models,
    TrainedModel,
    paired,
)
from mdbench.stats import Estimate
from mdbench.units import EV_IN_MEV

_NONE = "–"
#: Of the validation whose weights were kept, in model.json.
_BEST = "training/validation"
_NO_BREAK = "\N{NO-BREAK SPACE}"
_DENSITY = (
    "Brighter: more force components, on a logarithmic scale; on the line, prediction and "
    "reference agree"
)


def models_parts(models: Models) -> list[tuple[str, str, str]]:
    """Anchor, name and HTML of training, accuracy and audit; empty where there is nothing."""
    return [
        ("training", "Training", _training(models) if models.trained or models.warnings else ""),
        ("accuracy", "Accuracy", _accuracy(models) if models.errors else ""),
        ("audit", "Audit", _audit(models) if models.audits else ""),
    ]


def models_summary(models: Models) -> str:
    """How much there is, in a sentence with links to the sections; empty where nothing is."""
    materials = len({each.material for each in models.errors})
    fields = len({each.source for each in models.errors})
    found = [
        ("training", count(len(models.trained), "trained model"), len(models.trained)),
        (
            "accuracy",
            f"errors of {count(fields, 'force field')} on {count(materials, 'material')}",
            fields,
        ),
        ("audit", count(len(models.audits), "audit"), len(models.audits)),
    ]
    links = [f'<a href="#{place}">{text(words)}</a>' for place, words, n in found if n]
    return f"<p>Force fields: {', '.join(links)}.</p>" if links else ""


def model_line(models: Models, source: str, verdicts: str = "") -> str:
    """A force field in one line, for the terminal.

    Args:
        models: What is known of all.
        source: Which one.
        verdicts: On its dynamics; empty without any.
    """
    shown = []
    for (name, material), (test, near) in paired(models.errors).items():
        each = test or near
        if name != source or each is None:
            continue
        what = "" if test is not None else "near, "
        mark = " (transfer)" if each.transfer else ""
        if each.failure is not None:
            shown.append(f"{material} {what}{each.failure}{mark}")
            continue
        mae = each.quantities[FORCE_MAE]
        limits = "" if mae.low is None or mae.high is None else f" ({_limits(mae, '.3g')})"
        shown.append(f"{material} {what}{number(mae.value, '.3g')}{limits} {mae.unit}{mark}")
    errors = f"force MAE {', '.join(shown)}" if shown else "not evaluated"
    judged = f"{verdicts}; " if verdicts else ""
    return f"{source}: {judged}{errors}; audit: {_audit_words(models.audit_of(source))}"


def _training(models: Models) -> str:
    head = (
        *("model", "claims and audit", "trained on", "force MAE", "energy MAE"),
        *("parameters", "budget (s)", "steps"),
    )
    rows = [_trained_row(each, models.audit_of(each.source)) for each in models.trained]
    caption = (
        "Trained models: what they claim, and their errors at the validation whose weights were "
        "kept, forces in meV/Å, energies in meV/atom"
    )
    curves = "learning curves of all models: validation errors against the time spent"
    learning = models.learning
    parts = [
        heading("Training", synthetic=models.synthetic),
        bullets(models.warnings),
        table(head, rows, n_words=3, caption=caption) if rows else "",
        *(image(png, curves, caption="Circles: the weights that were kept") for png in learning),
    ]
    return section("training", parts)


def _trained_row(model: TrainedModel, audit: Audited | None) -> tuple[str, ...]:
    forces = "conservative" if model.conservative else "direct"
    claims = f"{text(model.symmetry)}, {forces} forces"
    ended = "" if model.ended is None else f'<br><span class="small">{text(model.ended)}</span>'
    file = model.origins[0].file
    steps = cited(f"{model.n_steps:,}", file, "training/n_steps")
    return (
        f"{text(model.source)}{ended}",
        f'{claims}<br><span class="small">{_audit_mark(audit)}</span>',
        text(", ".join(model.materials)) or _NONE,
        cited(number(EV_IN_MEV * model.force_mae, ".3g"), file, f"{_BEST}/force_mae"),
        cited(number(EV_IN_MEV * model.energy_mae, ".3g"), file, f"{_BEST}/energy_mae"),
        cited(f"{model.n_parameters:,}", file, "training/n_parameters"),
        cited(number(model.budget_s, ",.6g"), file, "training/budget_s"),
        f'{steps}<br><span class="small">{number(model.n_epochs, ".3g")} epochs</span>',
    )


def _accuracy(models: Models) -> str:
    head = (
        *("model", "material", "frames", "force MAE, test", "force MAE, near"),
        *("R² of forces, test", "energy MAE, test"),
    )
    rows = [_errors_row(test, near) for test, near in paired(models.errors).values()]
    caption = "Errors with 95 % intervals, forces in meV/Å, energies in meV/atom"
    parts = [
        heading("Accuracy", synthetic=models.synthetic),
        table(head, rows, n_words=2, caption=caption),
        _explained(models),
        *(_parity(models, source) for source in sorted(models.parity)),
    ]
    return section("accuracy", parts)


def _parity(models: Models, source: str) -> str:
    """Predicted against reference forces of a force field, folded up."""
    meaning = f"predicted against reference forces of {source}, a panel by material"
    files = [each.origin.file for each in models.errors if each.source == source]
    maes = ", ".join(
        f"{number(test.quantities[FORCE_MAE].value, '.3g')} meV/Å on {material}"
        for (name, material), (test, _) in paired(models.errors).items()
        if name == source and test is not None and test.failure is None
    )
    return folded(
        f"Predicted against reference forces of {text(source)}: MAE {text(maes)}",
        [image(models.parity[source], meaning), small(_DENSITY), provenance(*files)],
    )


def _explained(models: Models) -> str:
    """What the columns mean, as far as the table has them."""
    lines = [
        "MAE: mean absolute error. Below each number its interval, from whole blocks of time. "
        "Energies are compared after their mean offset was taken off."
    ]
    held_out = any(each.split == "test" and not each.random for each in models.errors)
    if held_out:
        lines.append("Test frames are from blocks of time that were held out whole.")
    if any(each.random for each in models.errors):
        lines.append(
            "Random frames: drawn from all times, as is usual. Training frames are moments away, "
            "which flatters the model."
        )
    if any(each.split == "near" for each in models.errors):
        lines.append(
            "Near frames are from the blocks that training frames were taken from, moments away "
            "from one: what random sampling tests on. A model that knows the neighbors of a frame "
            "by heart errs less there than on frames that a simulation meets later; where both "
            "errors agree, it does not."
        )
    if any(each.transfer for each in models.errors):
        lines.append("Transfer: the model was not trained on this material.")
    return bullets(lines, small=True)


def _errors_row(test: MaterialErrors | None, near: MaterialErrors | None) -> tuple[str, ...]:
    each = test or near
    assert each is not None
    marks = ["transfer"] if each.transfer else []
    if test is not None and test.random:
        marks.append("random frames")
    if test is not None and test.split is None:
        marks.append("whole trajectories")
    if test is not None and test.failure is not None:
        marks.append(test.failure)
    shown = "".join(f' <span class="tag">{text(mark)}</span>' for mark in marks)
    return (
        text(each.source),
        f"{text(each.material)}{shown}",
        _NONE if test is None else f"{test.n_frames:,}",
        _quantity(test, FORCE_MAE, ".3g"),
        _quantity(near, FORCE_MAE, ".3g"),
        _quantity(test, FORCE_R2, ".4f"),
        _quantity(test, ENERGY_MAE, ".3g"),
    )


def _quantity(errors: MaterialErrors | None, path: str, form: str) -> str:
    """Value, and below it the interval."""
    if errors is None or errors.failure is not None:
        return _NONE
    found = errors.quantities[path]
    value = cited(number(found.value, form), errors.origin.file, f"quantities/{path}")
    if found.low is None or found.high is None:
        return value
    return f'{value}<br><span class="small">{_limits(found, form)}</span>'


def _limits(found: Estimate, form: str) -> str:
    return f"{number(found.low, form)} to {number(found.high, form)}"


def _audit(models: Models) -> str:
    names = list(dict.fromkeys(check.name for audit in models.audits for check in audit.checks))
    found = [{check.name: check for check in audit.checks} for audit in models.audits]
    files = [audit.origin.file for audit in models.audits]
    rows = [
        (text(name), *(_check(c.get(name), file) for c, file in zip(found, files, strict=True)))
        for name in names
    ]
    head = ("check", *(each.source for each in models.audits))
    caption = "What force fields claim, measured: outcome and deviation of each check"
    parts = [
        heading("Audit"),
        table(head, rows, n_words=len(head), caption=caption),
        small(
            f"{_measured_on(models.audits)} Deviations are relative; nve_drift is in "
            "meV/atom/ps, echo in Å. What a force field does not claim is measured, too, and is "
            "no failure."
        ),
        bullets([line for audit in models.audits for line in _details(audit)]),
    ]
    return section("audit", parts)


def _measured_on(audits: Sequence[Audited]) -> str:
    """Structures and precision of the audits."""
    places: dict[str, list[str]] = {}
    for each in audits:
        place = f"on {each.material} in {each.precision} precision"
        places.setdefault(place, []).append(each.source)
    if len(places) == 1:
        return f"Measured {next(iter(places))}."
    return "Measured " + "; ".join(f"{k}: {', '.join(v)}" for k, v in places.items()) + "."


def _check(check: Check | None, file: str) -> str:
    """Outcome by symbol and word, and the deviation."""
    if check is None:
        return _NONE
    words = "✓ passed" if check.passed else "✗ FAILED" if check.claimed else "✗ does not pass"
    shown = words if check.passed or not check.claimed else f"<strong>{words}</strong>"
    claim = "" if check.claimed else ', <span class="tag">not claimed</span>'
    deviation = cited(_deviation(check.deviation), file, f"deviation of {check.name}")
    return f'{shown}{claim}<br><span class="small">{deviation}</span>'


def _deviation(value: float) -> str:
    return "0" if value == 0.0 else number(value, ".1e")


def _details(audit: Audited) -> list[str]:
    """A line for each check that does not pass."""
    return [
        f"{audit.source}, {check.name}{'' if check.claimed else ' (not claimed)'}: deviation "
        f"{_deviation(check.deviation)}, tolerance {_deviation(check.tolerance)}"
        + (f": {check.detail}" if check.detail else "")
        for check in audit.checks
        if not check.passed
    ]


def _audit_mark(audit: Audited | None) -> str:
    if audit is None:
        return text(_audit_words(audit))
    result, colon, names = _audit_words(audit).partition(":")
    mark = f"{'✗' if audit.failed else '✓'} {result}".replace(" ", _NO_BREAK)
    return text(f"{mark}{colon}{names}")


def _audit_words(audit: Audited | None) -> str:
    if audit is None:
        return "not audited"
    if not audit.failed:
        return f"{audit.n_claimed} of {audit.n_claimed} claims hold"
    names = ", ".join(check.name for check in audit.failed)
    return f"{len(audit.failed)} of {audit.n_claimed} claims fail: {names}"
