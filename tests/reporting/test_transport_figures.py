import itertools
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from numpy.testing import assert_allclose

from mdbench.reporting.arrhenius_figure import exponent, stated
from mdbench.reporting.figures import save
from mdbench.reporting.transport_figures import (
    ArrheniusCurves,
    MsdCurves,
    arrhenius_figure,
    msd_figure,
)
from mdbench.stats import Estimate

UNIT = "cm^2/s"


def estimate(value, unit=UNIT):
    return Estimate(value, value / 1.3, value * 1.3, unit)


def state(title="reference: li2s, 800 K", *, slope=0.8, rattling=0.3, n_lags=3000, **changes):
    lag_ps = 0.01 * np.arange(n_lags)
    total = slope * lag_ps + rattling * (1 - np.exp(-lag_ps / 0.1))
    window_ps = np.arange(1.0, 11.0)
    d = slope / 6e4
    zero = Estimate(0.0, -d / 9, d / 9, UNIT)
    tensor = tuple(tuple(estimate(d) if i == j else zero for j in range(3)) for i in range(3))
    known = MsdCurves(
        title=title,
        lag_ps=lag_ps,
        msd=np.outer([0.5, 0.3, 0.2], total),
        others={"S": np.full(n_lags, 0.1), "P": np.full(n_lags, 0.05)},
        window_ps=window_ps,
        window_msd=slope * window_ps + rattling,
        slope=slope,
        intercept=rattling,
        diffusivity=estimate(d),
        tensor=tensor,
        along_cell=(estimate(d),) * 3,
    )
    return replace(known, **changes)


def line_of(label="reference: li2s", temperatures=(400, 600, 800, 1000, 1200), at_k=300.0, ea=0.35):
    def sigma(kelvin):
        return 1e5 * np.exp(-ea / 8.617e-5 / np.asarray(kelvin, dtype=float))

    drawn = 1000.0 / np.linspace(1000 / 1200, 1000 / at_k, 40)
    return ArrheniusCurves(
        label=label,
        temperatures_k=np.array(temperatures, dtype=float),
        conductivity=tuple(estimate(s, "mS/cm") for s in sigma(temperatures)),
        temperatures_line_k=drawn,
        line=sigma(drawn),
        low=sigma(drawn) / 2,
        high=sigma(drawn) * 2,
        at_k=at_k,
        at=estimate(float(sigma(at_k)), "mS/cm"),
    )


NO_LINE = dict.fromkeys(("temperatures_line_k", "line", "low", "high", "at"))
BOUND = Estimate(None, None, 2.0, "mS/cm")
BALLISTIC = Estimate(None, None, None, UNIT)


def texts(figure):
    legends = [legend for a in figure.axes if (legend := a.get_legend())]
    return " ".join([figure.get_suptitle(), *(t.get_text() for g in legends for t in g.texts)])


def labeled(axes, label):
    return next(line for line in axes.lines if line.get_label() == label)


def drawn(figure):
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return canvas.get_renderer()


def test_msd_curves_are_the_ones_given():
    curves = state(n_lags=300)
    linear, logarithmic, _ = msd_figure(curves).axes
    shown = labeled(linear, "all axes").get_xydata()
    assert_allclose(shown, np.column_stack([curves.lag_ps, curves.total]), rtol=1e-12, atol=0)
    for axis, name in enumerate("xyz"):
        values = labeled(linear, f"${name}$").get_ydata()
        assert_allclose(values, curves.msd[axis], rtol=1e-12, atol=0)
    x, y = labeled(linear, "fit").get_data()
    assert_allclose(y, 0.3 + 0.8 * np.asarray(x), rtol=1e-12, atol=0)
    mobile = labeled(logarithmic, "mobile ions").get_xydata()
    assert_allclose(mobile[:, 1], curves.total[1:], rtol=1e-12, atol=0)
    assert labeled(logarithmic, "P").get_ydata()[0] == 0.05
    x, y = labeled(logarithmic, "slope 1").get_data()
    assert_allclose(y[1] / y[0], x[1] / x[0], rtol=1e-12, atol=0)


def test_long_curves_are_thinned_to_their_ends():
    curves = state(n_lags=50_000)
    linear, logarithmic, _ = msd_figure(curves).axes
    for axes in (linear, logarithmic):
        assert max(len(line.get_xdata()) for line in axes.lines) <= 400
    lags = labeled(logarithmic, "mobile ions").get_xdata()
    assert_allclose(lags[[0, 1, -1]], [0.01, 0.02, curves.lag_ps[-1]], rtol=1e-12, atol=0)
    assert (np.diff(lags) > 0).all()
    assert_allclose(labeled(linear, "all axes").get_xdata()[-1], 15.0, rtol=1e-2, atol=0)


def test_the_window_is_shaded():
    for axes in msd_figure(state()).axes[:2]:
        box = axes.patches[0].get_bbox()
        assert_allclose([box.x0, box.x1], [1.0, 10.0], rtol=1e-12, atol=0)


def test_tensor_shows_values_and_intervals():
    axes = msd_figure(state()).axes[2]
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names[:3] == ["$D_{xx}$", "$D_{yy}$", "$D_{zz}$"]
    assert names[-3:] == ["along $a$", "along $b$", "along $c$"]
    bars = [line.get_xdata() for line in axes.lines if len(line.get_xdata()) == 2]
    # D = 1.33e-5 in units of 1e-5
    assert_allclose(bars[0], [0.8 / 6 / 1.3 * 10, 0.8 / 6 * 1.3 * 10], rtol=1e-6, atol=0)
    assert "10^{-5}" in axes.get_xlabel()


def test_an_interval_that_says_nothing_does_not_hide_the_others():
    curves = state()
    wide = Estimate(1e-5, -1.0, 1.0, UNIT)
    left, right = msd_figure(replace(curves, along_cell=(wide,) * 3)).axes[2].get_xlim()
    assert -10 < left < 0 < right < 10


def test_diffusivity_is_stated_with_its_interval_or_bound():
    assert r"D = 1.33$ ($1.03$ to $1.73$)$\,\times 10^{-5}$ cm$^2$/s" in texts(msd_figure(state()))
    bound = state(diffusivity=Estimate(None, None, 4e-8, UNIT))
    figure = msd_figure(bound)
    assert r"D < 4.00\times 10^{-8}$ cm$^2$/s: not resolved" in texts(figure)
    markers = [line for line in figure.axes[2].lines if line.get_marker() == "o"]
    assert {line.get_fillstyle() for line in markers} == {"none"}
    assert "$D$ not resolved" in texts(msd_figure(state(diffusivity=BALLISTIC)))


def test_several_states_have_one_color_per_temperature_and_one_dash_per_source():
    states = [
        state(f"{source}: li2s, {kelvin} K", slope=kelvin / 1000)
        for source in ("reference", "schnet")
        for kelvin in (600, 800, 1000)
    ]
    figure = msd_figure(states)
    assert len(figure.axes) == 3
    curves = [line for line in figure.axes[0].lines if line.get_linewidth() < 2]
    colors = [to_hex(line.get_color()) for line in curves]
    assert colors[:3] == colors[3:]
    assert len(set(colors)) == 3
    dashes = [line.get_linestyle() for line in curves]
    assert set(dashes[:3]).isdisjoint(dashes[3:])
    assert "schnet: li2s, 1000 K" in texts(figure)
    alone = texts(msd_figure(states[:3]))
    assert alone.startswith("reference: li2s")
    assert "\n$D = " in alone
    assert alone.count("reference: li2s") == 1


def test_several_states_are_in_the_order_of_temperature():
    states = [state(f"li2s, {t}", slope=0.1) for t in ("1000 K", "temperature unknown", "800 K")]
    legend = msd_figure(states).axes[2].get_legend().texts
    names = [label.get_text().partition("\n")[0] for label in legend]
    assert names == ["800 K", "1000 K", "temperature unknown"]


@pytest.mark.parametrize("slope, rattling", ((0.0, 0.0), (0.0, 3.0), (0.01, 1.0), (0.8, 1e-3)))
def test_legends_cover_no_curve(slope, rattling):
    window_msd = slope * np.arange(1.0, 11.0) + rattling
    curves = state(slope=slope, rattling=rattling, window_msd=window_msd)
    figure = msd_figure(replace(curves, others={"S": np.full(3000, 0.3 * rattling)}))
    renderer = drawn(figure)
    for axes in figure.axes[:2]:
        if (legend := axes.get_legend()) is None:
            continue
        box = legend.get_window_extent(renderer)
        for line in axes.lines:
            points = axes.transData.transform(line.get_xydata())
            x, y = points[np.isfinite(points).all(axis=1)].T
            # between the points, too
            fine = np.linspace(x[0], x[-1], 2000)
            inside = (fine > box.x0) & (fine < box.x1)
            assert not (inside & (np.interp(fine, x, y) > box.y0)).any()


def test_arrhenius_points_bars_and_line_are_the_ones_given():
    side = line_of()
    axes = arrhenius_figure([side]).axes[0]
    points = [line.get_xydata()[0] for line in axes.lines if line.get_marker() == "o"]
    expected = [
        (1000 / t, s.value) for t, s in zip(side.temperatures_k, side.conductivity, strict=True)
    ]
    assert_allclose(points, [*expected, (1000 / 300, side.at.value)], rtol=1e-12, atol=0)
    bars = [line.get_ydata() for line in axes.lines if len(line.get_xdata()) == 2]
    assert_allclose(
        bars, [(s.low, s.high) for s in (*side.conductivity, side.at)], rtol=1e-12, atol=0
    )
    line = next(line for line in axes.lines if len(line.get_xdata()) == 40)
    assert_allclose(line.get_xdata(), 1000 / side.temperatures_line_k, rtol=1e-12, atol=0)
    assert_allclose(line.get_ydata(), side.line, rtol=1e-12, atol=0)


def test_extrapolation_is_shaded_and_stated():
    figure = arrhenius_figure([line_of()])
    spans = [p.get_bbox() for p in figure.axes[0].patches]
    assert_allclose(spans[0].x0, 2.5, rtol=1e-12, atol=0)
    assert spans[0].x1 > 1000 / 300
    assert r"\sigma(300\,\mathrm{K}) = 0.132$ ($0.101$ to $0.171$) mS/cm" in texts(figure)
    within = arrhenius_figure([line_of(at_k=700.0)])
    assert not within.axes[0].patches
    assert "extrapolated" not in texts(within)
    above = arrhenius_figure([line_of(at_k=2000.0)]).axes[0].patches[0].get_bbox()
    assert_allclose(above.x1, 1000 / 1200, rtol=1e-12, atol=0)


def test_bounds_are_hollow_with_an_arrow_down():
    side = line_of()
    sigma = (BOUND, Estimate(None, None, None, "mS/cm"), *side.conductivity[2:])
    figure = arrhenius_figure([replace(side, conductivity=sigma)])
    axes = figure.axes[0]
    hollow = [line for line in axes.lines if line.get_markerfacecolor() == "white"]
    assert_allclose([line.get_xydata()[0] for line in hollow], [(2.5, 2.0)], rtol=1e-12, atol=0)
    (arrow,) = axes.texts
    assert arrow.xy[0] == arrow.xyann[0]
    assert arrow.xy[1] < arrow.xyann[1] == 2.0
    assert "upper bound" in texts(figure)
    assert "upper bound" not in texts(arrhenius_figure([side]))


@pytest.mark.parametrize("n", (1, 2))
@pytest.mark.parametrize("sigma", (estimate(700.0, "mS/cm"), BOUND))
def test_a_line_is_not_needed(n, sigma):
    side = line_of(temperatures=(1000, 1200)[:n])
    figure = arrhenius_figure([replace(side, conductivity=(sigma,) * n, **NO_LINE)])
    axes = figure.axes[0]
    left, right = axes.get_xlim()
    assert left < 1000 / 1200 or n == 1
    assert left < 1.0 < right < 2.0
    bottom, top = axes.get_ylim()
    assert bottom < (sigma.value or sigma.high) < top
    drawn(figure)
    shown = [y for y in axes.get_yticks() if bottom <= y <= top]
    assert len(shown) >= 2
    assert "extrapolated" not in texts(figure)


def test_nothing_to_show_at_all_is_drawn():
    side = line_of(temperatures=(800,))
    drawn(arrhenius_figure([replace(side, conductivity=(BALLISTIC,), **NO_LINE)]))


def test_temperatures_at_which_all_runs_ended_early():
    """They widen the axis, have no point, and are named; a side without points has no marker."""
    known = line_of()
    nothing = replace(known, label="schnet: li2s", temperatures_k=np.array([]), conductivity=())
    nothing = replace(nothing, **NO_LINE, ended_k=(600.0, 1500.0))
    alone, (left, right) = texts(arrhenius_figure([nothing])), (1000 / 1500, 1000 / 600)
    assert "schnet: li2s\nno value: all runs ended early" in alone
    assert "upper bound" not in alone
    for sides in ([nothing], [known, nothing]):
        figure = arrhenius_figure(sides)
        drawn(figure)
        limits = figure.axes[0].get_xlim()
        assert limits[0] < left < right < limits[1]
    axes, beside = figure.axes
    n_lines = len(arrhenius_figure([known]).axes[0].lines)
    assert len(axes.lines) == n_lines
    handles = beside.get_legend().legend_handles
    assert [h.get_marker() for h in handles[:2]] == ["o", "none"]
    some = texts(arrhenius_figure([replace(known, ended_k=(1100.0, 1500.0))]))
    assert "ended early at 1100, 1500 K" in some
    assert "no value" not in some


def test_lines_without_errors():
    side = line_of()
    nothing = np.full(40, np.nan)
    plain = Estimate(0.13, None, None, "mS/cm")
    figure = arrhenius_figure([replace(side, low=nothing, high=nothing, at=plain)])
    drawn(figure)
    assert r"\mathrm{K}) = 0.13$ mS/cm" in texts(figure)


def test_many_decades_leave_the_values_to_be_seen():
    side = line_of()
    wide = Estimate(5.0, 1e-300, np.inf, "mS/cm")
    figure = arrhenius_figure([replace(side, conductivity=(wide, *side.conductivity[1:]))])
    drawn(figure)
    bottom, top = figure.axes[0].get_ylim()
    assert 1e-5 < bottom < side.line.min() < side.line.max() < top < 1e8
    band = replace(side, low=side.line / 1e5, high=side.line * 1e5)
    bottom, top = arrhenius_figure([band]).axes[0].get_ylim()
    assert bottom < band.low.min() < band.high.max() < top


@pytest.mark.parametrize(
    "n, temperatures", ((1, (300, 310)), (2, (1000, 1200)), (9, (800, 900, 1000, 1100, 1200)))
)
def test_no_text_overlaps(n, temperatures):
    sides = [
        line_of(f"model-{k}: a long name of a material" + "x" * 40 * k, temperatures)
        for k in range(n)
    ]
    figure = arrhenius_figure(sides)
    renderer = drawn(figure)
    axes, beside = figure.axes
    labels = [t for t in axes.child_axes[0].get_xticklabels() if t.get_text()]
    assert "300" in {t.get_text() for t in labels}
    legend = beside.get_legend().texts
    boxes = [t.get_window_extent(renderer) for t in (*labels, axes.xaxis.label, *legend)]
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))
    page = figure.bbox
    assert all(page.x0 <= b.x0 and b.x1 <= page.x1 and b.y0 >= page.y0 for b in boxes)


def test_sides_are_told_apart():
    figure = arrhenius_figure([line_of(f"model-{k}") for k in range(12)])
    handles = figure.axes[1].get_legend().legend_handles[:12]
    assert len({(to_hex(h.get_color()), h.get_marker()) for h in handles}) == 12


def test_names_are_no_mathematics(tmp_path):
    name = r"$\frac{: {, 800 K"
    save(msd_figure(state(name, others={"$": np.ones(3000)})), tmp_path / "msd.svg")
    save(msd_figure([state(name), state(name)]), tmp_path / "msds.pdf")
    save(arrhenius_figure([line_of(name)]), tmp_path / "arrhenius.svg")
    for shown in ("msd.svg", "arrhenius.svg"):
        assert r"$\frac{: {" in (tmp_path / shown).read_text(encoding="utf-8")


def test_powers_of_ten():
    known = {0.0: None, 0.0123: None, 9999.4: 4, 12345.0: 4, 999.0: None, 9.996e-4: -3, -3e-5: -5}
    assert {x: exponent(x) for x in known} == known
    assert exponent(np.inf) is None
    assert stated(Estimate(1260.0, None, None, "mS/cm"), "s") == "$s = 1260$ mS/cm"
    wide = stated(Estimate(3e-7, 9e-13, 0.1, UNIT), "D")
    assert wide == r"$D = 3.00\times 10^{-7}$ ($9.00\times 10^{-13}$ to $0.1$) cm$^2$/s"
