"""Figures of diffusion paths: what is drawn, where, and that it fits a page."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex
from numpy.testing import assert_allclose

from mdbench.reporting import path_figures
from mdbench.reporting.figures import COLORS, PAGE_WIDTH, save
from mdbench.reporting.path_figures import PathPicture, PathSide, path_figure, picture_of
from mdbench.reporting.path_panels import View
from tests.reporting.test_transport_figures import drawn

CELL = np.diag([8.0, 8.0, 12.0])
TRICLINIC = np.array([[8.0, 0.3, 0.2], [-3.0, 7.0, 0.4], [1.5, -2.0, 12.0]])
#: Sites in a line along c: 0 – 1 – 2 – 0', and one apart.
SITES = np.array([[0.25, 0.25, 0.1], [0.25, 0.25, 0.4], [0.25, 0.25, 0.7], [0.75, 0.75, 0.5]])


def side(cell=CELL, *, n_ions=5, **changes) -> PathSide:
    rng = np.random.default_rng(0)
    start = rng.random((n_ions, 3)) @ cell
    steps = rng.normal(size=(n_ions, 3, 40)) * 0.4
    steps[..., 0] = 0.0
    known = PathSide(
        density=rng.random((8, 9, 12)) * 0.1,
        cell=cell,
        framework=rng.random((10, 3)),
        sites=SITES,
        own=np.zeros(4, dtype=bool),
        origin=np.array([0, 1, 1, 2]),
        target=np.array([1, 0, 2, 0]),
        shift=np.array([[0, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 1]]),
        per_ns=np.array([30.0, 50.0, 8.0, 2.0]),
        alone=np.array([False, False, False, True]),
        paths=start[..., None] + np.cumsum(steps, axis=2),
        path_ps=20.0,
    )
    return replace(known, **changes)


def lines_of(axes):
    """Ends of the lines of jumps, with color and width."""
    found = []
    for collection in axes.collections:
        if isinstance(collection, LineCollection) and collection.get_array() is None:
            color = to_hex(collection.get_colors()[0]) if len(collection.get_colors()) else ""
            widths = collection.get_linewidths()
            found += [
                (s, color, w) for s, w in zip(collection.get_segments(), widths, strict=False)
            ]
    return found


def test_there_and_back_are_one_line():
    ends, per_ns, alone = side().segments
    assert len(ends) == 3
    lengths = np.abs(ends[:, 1, 2] - ends[:, 0, 2])
    assert sorted(per_ns) == [2.0, 8.0, 80.0]
    assert_allclose(lengths[per_ns > 5.0], 0.3, rtol=1e-9, atol=0)
    assert_allclose(lengths[alone], 0.4, rtol=1e-9, atol=0)


def test_a_line_from_a_site_to_its_own_image():
    """There and back are the same pair: one line, all jumps."""
    alone = side(
        origin=np.array([3, 3]), target=np.array([3, 3]),
        shift=np.array([[1, 0, 0], [-1, 0, 0]]), per_ns=np.array([4.0, 5.0]),
        alone=np.array([False, False]),
    )  # fmt: skip
    ends, per_ns, _ = alone.segments
    assert_allclose(np.abs(np.diff(ends, axis=1)[0, 0]), [1.0, 0.0, 0.0], rtol=0, atol=1e-12)
    assert per_ns.tolist() == [9.0]


@pytest.mark.parametrize("cell", [CELL, TRICLINIC], ids=["orthogonal", "triclinic"])
@pytest.mark.parametrize("along", [0, 1, 2])
def test_views_keep_lengths_across_the_ray(cell, along):
    view = View.of(cell, along)
    assert_allclose(view.plane[along], 0.0, rtol=0, atol=1e-12)
    ray = cell[along] / np.linalg.norm(cell[along])
    others = [k for k in range(3) if k != along]
    for k in others:
        across = cell[k] - (cell[k] @ ray) * ray
        assert_allclose(np.linalg.norm(view.plane[k]), np.linalg.norm(across), rtol=1e-12, atol=0)
    assert_allclose(view.plane[others[0]][1], 0.0, rtol=0, atol=1e-12)
    assert view.plane[others[0]][0] > 0
    assert view.plane[others[1]][1] > 0
    assert view.names == tuple("abc"[k] for k in others)


def test_jumps_are_drawn_between_their_sites():
    figure = path_figure(PathPicture("schnet-s0: lgps, 900 K", side()))
    along_a = figure.axes[0]
    lines = lines_of(along_a)
    by_width = sorted(lines, key=lambda line: line[2])
    ends = np.sort(by_width[-1][0], axis=0)
    assert_allclose(ends, [[2.0, 1.2], [2.0, 4.8]], rtol=1e-9, atol=0)
    assert by_width[-1][1] == to_hex(COLORS[6])
    assert by_width[0][1] == to_hex(COLORS[1])
    # what leaves the cell above comes in from below
    thin = sorted(float(s[:, 1].max()) for s, color, _ in lines if color == to_hex(COLORS[1]))
    assert_allclose(thin, [1.2, 13.2], rtol=1e-9, atol=0)


def test_paths_begin_and_end_where_they_do():
    one = side()
    figure = path_figure(PathPicture("a: b, 900 K", one))
    paths = figure.axes[5]  # seen along c
    first, last = (line.get_xydata() for line in paths.lines if line.get_marker() == "o")
    order = np.argsort(np.linalg.norm(one.paths[..., -1] - one.paths[..., 0], axis=1))
    assert_allclose(first, one.paths[order][:, :2, 0], rtol=1e-9, atol=0)
    assert_allclose(last, one.paths[order][:, :2, -1], rtol=1e-9, atol=0)
    (low, high), (bottom, top) = paths.get_xlim(), paths.get_ylim()
    assert low <= one.paths[:, 0].min()
    assert one.paths[:, 0].max() <= high
    assert bottom <= one.paths[:, 1].min()
    assert one.paths[:, 1].max() <= top


def test_of_many_ions_the_farthest_have_colors():
    figure = path_figure(PathPicture("a: b, 900 K", side(n_ions=60)))
    colored = [c for c in figure.axes[5].collections if c.get_array() is not None]
    assert sum(len(c.get_segments()) for c in colored) == 40 * 39
    labels = [t.get_text() for legend in figure.legends for t in legend.get_texts()]
    assert "ions less mobile" in labels


@pytest.mark.parametrize("cell", [CELL, TRICLINIC, np.diag([60.0, 6.0, 6.0])])
@pytest.mark.parametrize("compared", [False, True])
def test_panels_have_one_scale_and_fit_a_page(cell, compared):
    picture = PathPicture("a: b, 900 K", side(cell), side(cell) if compared else None, "drift")
    figure = path_figure(picture)
    width, height = figure.get_size_inches()
    assert_allclose(width, PAGE_WIDTH, rtol=1e-9, atol=0)
    assert height < 9.4
    panels = figure.axes[: 12 if compared else 6]
    scales = []
    for axes in panels:
        box = axes.get_position()
        assert box.x0 > 0.0
        assert box.x1 < 1.0
        inches = (box.width * width, box.height * height)
        spans = (np.ptp(axes.get_xlim()), np.ptp(axes.get_ylim()))
        assert_allclose(inches[0] / spans[0], inches[1] / spans[1], rtol=1e-6, atol=0)
        scales.append(inches[0] / spans[0])
    kinds = [axes.collections[0].get_array() is not None for axes in panels]
    assert len({round(s, 6) for s, first in zip(scales, kinds, strict=True) if first}) <= 2


@pytest.mark.parametrize("name", ["paths.png", "paths.svg", "paths.pdf"])
def test_figures_are_written(name, tmp_path):
    """Densities are pixels also where the rest is lines."""
    save(path_figure(PathPicture("a: b, 900 K", side(TRICLINIC))), tmp_path / name)
    assert 20_000 < (tmp_path / name).stat().st_size < 1_500_000


def test_the_reference_stands_beside_its_model():
    figure = path_figure(PathPicture("schnet-s0: lgps, 900 K", side(), side()))
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles[:4] == [
        "reference, along a", "schnet-s0, along a", "reference, along a", "schnet-s0, along a",
    ]  # fmt: skip
    assert figure.axes[2].get_xlim() == figure.axes[3].get_xlim()
    labels = [t.get_text() for legend in figure.legends for t in legend.get_texts()]
    assert "this side alone" in labels


def test_many_states_are_an_overview(monkeypatch):
    """Two states in a row, seen along the vector that jumps go along least."""
    pictures = [PathPicture(f"reference: lgps, {t} K", side()) for t in (800, 900, 1000)]
    figure = path_figure(pictures)
    drawn(figure)
    titles = [axes.get_title(loc="left") for axes in figure.axes[:6]]
    assert titles == [p.title for p in pictures for _ in range(2)]
    tops = [round(axes.get_position().y1, 6) for axes in figure.axes[:6]]
    assert tops[0] == tops[3] > tops[4]
    shown = {t.get_text() for t in figure.axes[0].texts}
    assert "$c\\rightarrow$" in shown
    compared = path_figure([PathPicture("m: lgps, 800 K", side(), side()), *pictures])
    assert [a.get_title(loc="left") for a in compared.axes[:4]] == [
        "reference", "m: lgps, 800 K", "reference", "m: lgps, 800 K",
    ]  # fmt: skip
    monkeypatch.setattr(path_figures, "_MOST_ROWS", 1)
    assert len(path_figure(pictures).axes) == 4 + 2


@pytest.mark.parametrize("what", ["no jumps", "no sites", "one point", "no density beside one"])
def test_what_is_hardly_there(what):
    none = np.zeros(0, dtype=np.int64)
    no_jumps = {
        "origin": none, "target": none, "shift": none.reshape(0, 3), "per_ns": none.astype(float),
        "alone": none.astype(bool),
    }  # fmt: skip
    changes = {
        "no jumps": no_jumps,
        "no sites": {**no_jumps, "sites": np.zeros((0, 3)), "own": none.astype(bool)},
        "one point": {"paths": side().paths[..., :1], "path_ps": 0.0},
        "no density beside one": {"density": np.pad([[[1.0]]], (0, 7))},
    }[what]
    drawn(path_figure(PathPicture("a: b", side(**changes))))


def arrays(n_jumps=(4, 2)):
    rng = np.random.default_rng(1)
    return {
        "sites/scaled": SITES,
        "density/counts": rng.integers(0, 50, (8, 9, 12)).astype(np.int32),
        "density/cell": CELL,
        "framework/scaled": rng.random((6, 3)),
        "rates/origin": np.array([0, 1]),
        "rates/target": np.array([1, 2]),
        "rates/shift": np.zeros((2, 3), dtype=np.int64),
        "rates/n_jumps": np.array(n_jumps),
        "paths/positions": rng.random((3, 3, 5)).astype(np.float32),
        "paths/time_ps": np.arange(5.0) * 0.5 + 7.0,
    }


def attributes(**changes):
    known = {
        "source": "schnet-s0", "material": "lgps", "temperature_k": 900.0, "n_frames": 100,
        "length_ps": 50.0, "n_reference_sites": None, "reference": None,
        "document": {"failure_mode": None, "percolation_axes": ["c"]},
    }  # fmt: skip
    return known | changes


def test_a_stored_result():
    stored = arrays()
    picture = picture_of(attributes(), stored)
    assert picture.title == "schnet-s0: lgps, 900 K"
    assert picture.result == "jumps lead along c"
    assert_allclose(picture.side.per_ns, [80.0, 40.0], rtol=1e-12, atol=0)
    assert not picture.side.alone.any()
    assert picture.side.path_ps == 2.0
    voxel = np.linalg.det(CELL) / (8 * 9 * 12)
    n_ions = stored["density/counts"].sum() / 100
    assert_allclose(picture.side.density.sum() * voxel, n_ions, rtol=1e-9, atol=0)
    unknown = attributes(temperature_k=None, document={"failure_mode": "drift"})
    assert picture_of(unknown, stored).title == "schnet-s0: lgps"
    assert picture_of(unknown, stored).result == "drift"


def test_a_stored_comparison():
    other = {f"reference/{name}": values for name, values in arrays().items()}
    other["reference/rates/target"] = np.array([1, 3])
    known = attributes(
        n_reference_sites=3, reference={"name": "x", "n_frames": 200, "length_ps": 100.0}
    )
    picture = picture_of(known, arrays() | other)
    assert picture.side.alone.tolist() == [False, True]
    assert picture.reference.alone.tolist() == [False, True]
    assert picture.side.own.tolist() == [False, False, False, True]
    assert_allclose(picture.reference.per_ns, [40.0, 20.0], rtol=1e-12, atol=0)
    drawn(path_figure(picture))


def test_a_file_without_an_array():
    stored = arrays()
    del stored["paths/positions"]
    with pytest.raises(KeyError, match="paths/positions"):
        picture_of(attributes(), stored)
