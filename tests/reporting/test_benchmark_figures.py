"""The figures of a benchmark: what stands in them, and that all of it can be read."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from numpy.testing import assert_allclose, assert_array_equal

from mdbench.analysis.ranking import Pair, correlate
from mdbench.analysis.survival import survival
from mdbench.reporting.assessment import Assessment, Standing
from mdbench.reporting.benchmark_figures import (
    benchmark_figures,
    correlation_figure,
    cost_figure,
    save_all,
)
from mdbench.reporting.benchmark_marks import cut, draw, legend_rows, scale_of
from mdbench.reporting.benchmark_stability import noise_of, structure_figure
from mdbench.reporting.benchmark_survival import pooled_survival, survival_figure
from mdbench.reporting.benchmark_transport import (
    activation_figure,
    conduction_figure,
    diffusivity_figure,
)
from mdbench.reporting.embedded import png
from mdbench.reporting.figures import Look, looks
from mdbench.stats import Estimate
from tests.reporting.benchmarks import KELVINS, MATERIALS, NAMES, assessment, cited, stability

NOTHING = cited(None, None, None)


MAKERS = {
    "figure-3": structure_figure,
    "figure-4": conduction_figure,
    "correlation": correlation_figure,
    "survival": survival_figure,
    "diffusivity": diffusivity_figure,
    "activation": activation_figure,
    "cost": cost_figure,
}


def made(found, name):
    return MAKERS[name](found)


def panels(found, name):
    return made(found, name).figure.axes


def points(axes, label):
    """(n, 2) of the line with a label."""
    return next(line for line in axes.lines if line.get_label() == label).get_xydata()


def words(axes):
    return [text.get_text() for text in axes.texts]


def lost(found):
    """The same models without a single number."""
    standings = {m: Standing(m, no_accuracy="no finite prediction") for m in found.materials}
    models = [replace(model, standings=standings) for model in found.models]
    return replace(found, models=models, correlations=(), reference={})


def unresolved(found):
    """The same models with bounds instead of values."""

    def bounds(known):
        series = {k: cited(None, None, 1e-6 * k) for k in KELVINS}
        nothing = dict.fromkeys(("activation_energy", "minus_log10", "line", "ratio"))
        return replace(known, diffusivity=series, conductivity=series, **nothing)

    models = [
        replace(
            model,
            standings={
                m: replace(s, transport=bounds(s.transport), conductivity_error=NOTHING)
                for m, s in model.standings.items()
            },
        )
        for model in found.models
    ]
    reference = {m: bounds(t) for m, t in found.reference.items()}
    empty = [correlate(c.x, c.y, []) for c in found.correlations]
    return replace(found, models=models, reference=reference, correlations=empty)


KINDS = {
    "3 models": lambda: assessment(3, 2),
    "12 models": lambda: assessment(12, 1, gpu=("chgnet",)),
    "one model": lambda: assessment(1, 1),
    "lost": lambda: lost(assessment(3, 1)),
    "all failed": lambda: assessment(3, 1, failing=NAMES[:3]),
    "unresolved": lambda: unresolved(assessment(3, 1)),
}


@pytest.mark.slow
def test_all_words_of_many_models_and_materials_are_on_the_canvas():
    for each in benchmark_figures(assessment(12, 3, gpu=("chgnet",))):
        check_layout(each)


@pytest.mark.parametrize("kind", KINDS)
def test_all_words_are_on_the_canvas_and_no_legend_is_on_a_panel(kind):
    for each in benchmark_figures(KINDS[kind]()):
        check_layout(each)
        check_words(each)


def check_layout(each):
    canvas = FigureCanvasAgg(each.figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    frame = each.figure.bbox.padded(1.0)
    for axes in each.figure.axes:
        assert axes.bbox.width > 60, each.name
        assert axes.bbox.height > 15, each.name
        box = axes.get_tightbbox(renderer)
        assert frame.x0 <= box.x0, each.name
        assert box.x1 <= frame.x1, each.name
        assert box.y1 <= frame.y1, each.name
    for legend in each.figure.legends:
        box = legend.get_window_extent(renderer)
        assert frame.x0 <= box.x0, each.name
        assert box.x1 <= frame.x1, each.name
        assert frame.y0 <= box.y0, each.name
        lowest = min(axes.get_tightbbox(renderer).y0 for axes in each.figure.axes)
        assert box.y1 <= lowest + 1.0, each.name


def check_words(each):
    assert len(each.title) < 50
    assert each.alt.endswith(".")
    assert each.caption.endswith(".")
    assert "nan" not in each.alt + each.caption
    assert "None" not in each.alt + each.caption


def test_there_are_all_figures_and_only_those_with_something_to_show():
    found = assessment(3, 1)
    assert tuple(each.name for each in benchmark_figures(found)) == tuple(MAKERS)
    assert [each.name for each in benchmark_figures(lost(found))] == ["figure-3"]
    assert benchmark_figures(Assessment([], [], False, {}, [])) == []
    names = [each.name for each in benchmark_figures(unresolved(found))]
    assert names == ["figure-3", "figure-4", "survival", "diffusivity", "cost"]


def test_figures_are_saved_in_three_formats_always_the_same(tmp_path):
    chosen = [made(assessment(2, 1), "activation")]
    save_all(tmp_path / "a", chosen)
    save_all(tmp_path / "b", chosen)
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert names == ["activation.pdf", "activation.png", "activation.svg"]
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_errors_are_the_ones_given_in_order_of_forces():
    found = assessment(8, 2)
    axes = panels(found, "figure-3")
    for block, material in enumerate(found.materials):
        left, right = axes[2 * block : 2 * block + 2]
        known = {m.source: m.standings.get(material) for m in found.models}
        order = [label.get_text() for label in left.get_yticklabels()]
        assert sorted(order) == sorted(known)
        drawn = np.array(
            [line.get_xydata()[0] for line in left.lines if line.get_label() == "force MAE"]
        )
        expected = [
            (s.accuracy.force_mae.estimate.value, row)
            for row, name in enumerate(order)
            if (s := known[name]) is not None and s.accuracy is not None
        ]
        assert_allclose(drawn, expected, rtol=1e-12, atol=0)
        assert (np.diff(drawn[:, 0]) > 0).all()
        means = [line.get_xydata()[0] for line in right.lines if line.get_label() == "rdf_mae"]
        expected = [
            (s.rdf_mae.estimate.value, row)
            for row, name in enumerate(order)
            if (s := known[name]) is not None and s.rdf_mae is not None
        ]
        assert_allclose(means, expected, rtol=1e-12, atol=0)


def test_bars_are_intervals_and_the_noise_and_threshold_are_there():
    found = assessment(1, 1)
    (standing,) = found.models[0].standings.values()
    _, right = panels(found, "figure-3")
    (bar,) = [c.get_segments()[0] for c in right.collections if len(c.get_segments()) == 1]
    limits = standing.rdf_mae.estimate
    assert_allclose(bar[:, 0], [limits.low, limits.high], rtol=1e-12, atol=0)
    (band,) = right.patches
    assert_allclose([band.get_x(), band.get_x() + band.get_width()], [0.008, 0.012], rtol=1e-9)
    assert 0.02 in [line.get_xdata()[0] for line in right.lines if len(line.get_xdata()) == 2]


def test_noise_is_that_of_the_temperatures_of_the_mean():
    runs = [replace(stability(k, 0.01, state="stable"), floor=(k / 1e5, k / 5e4)) for k in KELVINS]
    standing = Standing("lgps", stability=runs, common_k=(800.0, 1000.2))
    assert_allclose(noise_of(standing), (0.009, 0.018), rtol=1e-12, atol=0)
    assert_allclose(noise_of(replace(standing, common_k=())), (0.01, 0.02), rtol=1e-12, atol=0)
    assert noise_of(replace(standing, stability=[replace(runs[0], floor=None)])) is None


def test_a_failure_stands_with_its_mode_and_nothing_stands_at_zero():
    found = assessment(3, 1)
    left, right = panels(found, "figure-3")
    assert "unstable: fusion, no mean" in words(right)
    assert "no finite forces" in words(left)
    for axes in (left, right):
        for line in axes.lines:
            if line.get_label() in ("force MAE", "rdf_mae"):
                assert line.get_xdata()[0] > 0.0
    left, right = panels(lost(found), "figure-3")
    assert words(left) == ["no finite forces"] * 3
    assert words(right) == ["no runs"] * 3
    assert not len(left.get_xticks())


def test_states_differ_in_more_than_color():
    found = assessment(8, 3)
    (legend,) = made(found, "figure-3").figure.legends
    marks = [
        (line.get_marker(), line.get_fillstyle())
        for line, text in zip(legend.get_lines(), legend.texts[:4], strict=False)
        if text.get_text() in ("stable", "indistinguishable", "undecided", "unstable")
    ]
    assert len(set(marks)) == len(marks) == 4


def test_conductivities_stand_a_little_apart_at_their_temperature():
    found = assessment(3, 1)
    above, below = panels(found, "figure-4")[:2]
    reference = found.reference["lgps"]
    drawn = points(above, "reference (synthetic)")
    known = [c.estimate.value for _, c in sorted(reference.conductivity.items())]
    assert_allclose(drawn[:, 1], known, rtol=1e-12, atol=0)
    shifts = drawn[:, 0] - 1000.0 / np.array(KELVINS)
    assert_allclose(shifts, shifts[0], rtol=1e-6, atol=0)
    assert abs(shifts[0]) < 0.02
    line = points(above, "reference (synthetic) line")
    expected = np.column_stack([1000.0 / reference.line[:, 0], reference.line[:, 1]])
    assert_allclose(line, expected, rtol=1e-12, atol=0)
    for row, model in enumerate(found.models):
        minus = model.standings["lgps"].transport.minus_log10
        if minus is not None:
            value = points(below, model.source)
            assert_allclose(value, [(minus.estimate.value, row + 1)], rtol=1e-12, atol=0)
    assert words(below) == ["ended early"]


def test_where_all_runs_ended_early_there_is_a_cross():
    found = assessment(3, 1)
    above = panels(found, "figure-4")[0]
    crosses = points(above, "my_module.Calc ended early")
    assert len(crosses) == len(KELVINS)
    assert len(points(above, "my_module.Calc")) == 0
    (legend,) = made(found, "figure-4").figure.legends
    assert "all runs ended early" in [text.get_text() for text in legend.texts]


def test_many_models_have_no_lines():
    labels = [line.get_label() for line in panels(assessment(3, 1), "figure-4")[0].lines]
    assert "schnet-small-s0 line" in labels
    labels = [line.get_label() for line in panels(assessment(4, 1), "figure-4")[0].lines]
    assert "schnet-small-s0 line" not in labels
    assert "reference (synthetic) line" in labels


def test_bounds_are_hollow_with_an_arrow_to_where_the_value_may_be():
    axes = Figure().add_subplot()
    axes.set_yscale("log")
    axes.set_ylim(0.1, 100.0)
    bounds = [Estimate(None, None, 5.0, ""), Estimate(None, 2.0, None, "")]
    draw(axes, [1.0, 2.0], bounds, Look("#0072B2", "s"))
    hollow = [line for line in axes.lines if line.get_markerfacecolor() == "white"]
    assert_allclose([line.get_xydata()[0] for line in hollow], [(1, 5), (2, 2)], rtol=1e-12, atol=0)
    tips = [line.get_xydata()[0, 1] for line in axes.lines if isinstance(line.get_marker(), int)]
    assert tips[0] < 5.0
    assert tips[1] > 2.0


def test_an_estimate_without_value_and_bound_leaves_no_mark():
    axes = Figure().add_subplot()
    draw(axes, [1.0], [NOTHING.estimate], Look("#0072B2", "s"))
    assert all(len(line.get_xdata()) == 0 for line in axes.lines)


def test_ratios_are_over_the_reference_of_the_same_material():
    found = assessment(3, 2)
    axes = panels(found, "diffusivity")
    for number, material in enumerate(found.materials):
        above, middle, rows = axes[3 * number : 3 * number + 3]
        reference = found.reference[material].diffusivity
        for row, model in enumerate(found.models):
            known = model.standings[material].transport
            resolved = {
                k: c.estimate.value for k, c in known.diffusivity.items() if c.estimate.value
            }
            assert_allclose(
                points(above, model.source)[:, 1], list(resolved.values()), rtol=1e-12, atol=0
            )
            expected = [v / reference[k].estimate.value for k, v in resolved.items()]
            assert_allclose(points(middle, model.source)[:, 1], expected, rtol=1e-12, atol=0)
            if known.ratio is not None:
                at = (known.ratio.estimate.value, row)
                assert_allclose(points(rows, model.source), [at], rtol=1e-12, atol=0)
        assert above.get_xlim() == middle.get_xlim()


def test_energies_stand_over_the_interval_of_the_reference():
    found = assessment(3, 1)
    (axes,) = panels(found, "activation")
    energy = found.reference["lgps"].activation_energy.estimate
    box = axes.patches[0].get_bbox()
    assert_allclose([box.x0, box.x1], [energy.low, energy.high], rtol=1e-12, atol=0)
    assert_allclose(
        points(axes, "reference (synthetic)"), [(energy.value, 0)], rtol=1e-12, atol=1e-12
    )


def test_correlations_are_stated_with_what_is_not_resolved():
    found = assessment(6, 3)
    axes = panels(found, "correlation")
    for panel, correlation in zip(axes, found.correlations, strict=True):
        drawn = {line.get_label(): line.get_xydata() for line in panel.lines}
        for label, x, y in correlation.points:
            assert_allclose(drawn[label], [(x.value, y.value)], rtol=1e-12, atol=0)
        title = panel.get_title(loc="left")
        assert f"p = {correlation.p:.2g}" in title
        assert title.endswith("not resolved") != correlation.resolved
    assert "Without both errors: my_module.Calc." in made(found, "correlation").caption


def test_few_points_say_why_there_is_no_correlation():
    title = panels(assessment(3, 1), "correlation")[0].get_title(loc="left")
    assert title.startswith("Spearman's ρ: not resolved\n2 pairs")


def test_models_that_failed_stand_above_all_others():
    found = assessment(5, 1, failing=())
    force = [m.standings["lgps"].accuracy.force_mae.estimate for m in found.models]
    pairs = [
        Pair(model.source, "lgps", x, Estimate(0.1 * (i + 1), None, None, ""), failed=i == 0)
        for i, (model, x) in enumerate(zip(found.models, force, strict=True))
    ]
    found = replace(found, correlations=[correlate("force_mae", "rdf_mae", pairs)])
    (axes,) = panels(found, "correlation")
    FigureCanvasAgg(axes.figure).draw()
    line = next(
        line for line in axes.lines if line.get_label() == f"{found.models[0].source}, lgps"
    )
    height = line.get_transform().transform(line.get_xydata())[0, 1]
    assert_allclose(line.get_xdata(), force[0].value, rtol=1e-12, atol=0)
    for _, x, y in found.correlations[0].points:
        assert axes.transData.transform((x.value, y.value))[1] < height
    assert "failed models" in made(found, "correlation").caption


def test_hours_of_cpus_and_gpus_stand_apart():
    found = assessment(4, 1, gpu=("cgcnn-small-s0",))
    axes = panels(found, "cost")
    assert [a.get_xlabel() for a in axes] == ["CPU hours", "CPU hours", "GPU hours", "GPU hours"]
    model = found.models[-1]
    hours = sum(cost.gpu_s for cost in model.costs) / 3600.0
    error = model.standings["lgps"].accuracy.force_mae.estimate.value
    drawn = points(axes[2], "cgcnn-small-s0, lgps")
    assert_allclose(drawn, [(hours, error)], rtol=1e-12, atol=0)
    assert "cgcnn-small-s0, lgps" not in [line.get_label() for line in axes[0].lines]
    free = replace(found, models=[replace(m, costs=()) for m in found.models])
    assert made(free, "cost") is None


def naive_survival(times, failed, at):
    """Kaplan and Meier, a run at a time."""
    share = 1.0
    for time in sorted({t for t, bad in zip(times, failed, strict=True) if bad and t <= at}):
        at_risk = sum(t >= time for t in times)
        bad = sum(t == time and f for t, f in zip(times, failed, strict=True))
        share *= 1.0 - bad / at_risk
    return share


@given(
    runs=st.lists(
        st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=1, max_size=6),
        min_size=1,
        max_size=4,
    )
)
def test_runs_of_all_temperatures_make_one_curve(runs):
    """Curves by temperature are taken apart into their runs, whatever those were."""
    stored = []
    for group in runs:
        times, failed = zip(*group, strict=True)
        curve = survival(times, failed)
        known = {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in vars(curve).items()}
        run = stability(800.0, 0.01, state="stable", n_runs=len(group))
        stored.append(replace(run, survival=known))
    times = [float(t) for group in runs for t, _ in group]
    failed = [bad for group in runs for _, bad in group]
    found, expected = pooled_survival(Standing("lgps", stability=stored)), survival(times, failed)
    assert_array_equal(found.times_ps, expected.times_ps)
    assert_array_equal(found.at_risk, expected.at_risk)
    assert_allclose(found.survival, expected.survival, rtol=1e-12, atol=1e-15)
    naive = [naive_survival(times, failed, at) for at in found.times_ps]
    assert_allclose(found.survival, naive, rtol=1e-9, atol=1e-12)


def test_survival_stands_in_the_lane_of_its_model():
    found = assessment(4, 2)
    for axes, material in zip(panels(found, "survival"), found.materials, strict=True):
        curves = [line for line in axes.lines if line.get_label() == "survival"]
        for lane, (model, line) in enumerate(zip(found.models, curves, strict=True)):
            curve = pooled_survival(model.standings[material])
            share = 0.5 - (np.asarray(line.get_ydata()) - lane) / 0.8
            assert_allclose(share[:-1], curve.survival, rtol=0, atol=1e-9)
            assert_allclose(line.get_xdata()[-1], curve.end_ps, rtol=1e-12, atol=0)
    assert "15 of 15 failed" in words(panels(found, "survival")[0])


def test_without_times_there_is_no_curve():
    found = assessment(2, 1)
    timeless = [
        replace(
            m, standings={"lgps": replace(s, stability=[replace(s.stability[0], survival=None)])}
        )
        for m in found.models
        for s in [m.standings["lgps"]]
    ]
    axes = panels(replace(found, models=[found.models[0], timeless[1]]), "survival")[0]
    assert words(axes)[1] == "times unknown"
    assert made(replace(found, models=timeless), "survival") is None


@given(
    values=st.lists(st.floats(1e-9, 1e9), min_size=1, max_size=8),
    width=st.floats(0.0, 1e6),
    zero=st.booleans(),
)
def test_a_scale_shows_all_values(values, width, zero):
    estimates = [Estimate(v, v - width, v + width, "") for v in values]
    scale = scale_of(estimates, zero=zero)
    assert scale.low < scale.high
    for value in values:
        assert scale.low <= value <= scale.high
    assert scale.low > 0.0 or not scale.log


def test_a_scale_is_logarithmic_over_decades_and_cuts_what_says_nothing():
    known = [Estimate(v, 1e-30, 1e30, "") for v in (1.0, 1000.0)]
    scale = scale_of(known)
    assert scale.log
    assert 1e-3 < scale.low < 0.2
    assert 5e3 < scale.high < 1e6
    assert not scale_of([Estimate(v, None, None, "") for v in (1.0, 5.0)]).log
    wide = [Estimate(v, v - 0.1, v + 0.1, "") for v in (1.0, 1.1, 1.2)]
    assert scale_of([*wide, Estimate(1.1, -1e6, 1e6, "")]).high < 2.0
    assert not scale_of([]).known


def test_looks_can_be_told_apart_without_color():
    names = [str(i) for i in range(72)]
    found = looks(names)
    assert len({found[name].marker for name in names[:12]}) == 12
    assert len(set(found.values())) == 72
    assert all(to_hex(look.color) != "#000000" for look in found.values())


def test_long_names_keep_what_tells_them_apart():
    a, b = ("a-very-long-name-of-a-model-small-s0", "a-very-long-name-of-a-model-small-s1")
    assert cut(a) != cut(b)
    assert len(cut(a)) <= 26
    assert cut("cost$x$") == r"cost\$x\$"
    assert legend_rows(["x" * 200]) == (1, 1)


def test_names_that_begin_with_an_underscore_are_in_the_legend():
    found = assessment(2, 1)
    found = replace(found, models=[replace(found.models[0], source="_mine.Calc"), found.models[1]])
    (legend,) = made(found, "figure-4").figure.legends
    assert " _mine.Calc" in [text.get_text() for text in legend.texts]
    assert png(made(found, "figure-4").figure).startswith(b"\x89PNG")


def test_four_materials_stand_two_by_two():
    found = assessment(2, 3)
    more = {m: replace(s, material=m) for m, s in found.models[0].standings.items()}
    more["li2s"] = replace(more[MATERIALS[0]], material="li2s")
    found = replace(
        found,
        materials=[*found.materials, "li2s"],
        models=[replace(found.models[0], standings=more), found.models[1]],
    )
    axes = panels(found, "survival")
    FigureCanvasAgg(axes[0].figure).draw()
    lefts = [round(a.get_position().x0, 2) for a in axes]
    assert lefts[0] == lefts[2] < lefts[1] == lefts[3]
    assert words(axes[3])[1] == "no runs"
