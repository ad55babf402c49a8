"""The figure of a failure shows the run, the reference, the limit and when it began."""

import dataclasses

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from mdbench.analysis.evidence import EvidenceCurve
from mdbench.reporting.failure_figure import failure_figure
from mdbench.reporting.figures import save

DRIFT = EvidenceCurve(
    times_ps=np.arange(5.0),
    values=np.array([0.1, 0.1, 0.4, 0.7, np.nan]),
    reference=np.array([[0.0, 0.05, 0.05, np.nan, np.nan], [0.1, 0.1, 0.15, np.nan, np.nan]]),
    limit=np.full(5, 0.5),
    unit="Angstrom",
    quantity="distance",
    what="farthest that the center of all atoms is from its start",
    reference_what="range of the reference's runs",
    end_ps=4.6,
)
FAILURE = {
    "mode": "drift",
    "run": 1,
    "subject": "cell",
    "first_bad_time_ps": 3.0,
    "message": "the center of all atoms moved 0.70 A (at most 0.50 A), beyond from 3 ps on",
}


def lines(axes):
    return {line.get_label(): line for line in axes.lines}


def test_windows_are_steps_that_reach_their_end():
    figure = failure_figure(DRIFT, FAILURE, "model: toy, 800 K")
    (axes,) = figure.axes
    found = lines(axes)
    assert_array_equal(found["the run"].get_xdata(), [0, 1, 2, 3, 4, 4.6])
    assert_array_equal(found["the run"].get_ydata(), [*DRIFT.values, np.nan])
    assert found["the run"].get_drawstyle() == "steps-post"
    assert_array_equal(found["limit"].get_ydata(), np.full(6, 0.5))
    assert_array_equal(found["first bad window"].get_xdata(), [3.0, 3.0])
    (band,) = axes.collections
    assert "reference's" in band.get_label()
    low, high = band.get_datalim(axes.transData).intervaly
    assert (low, high) == (0.0, 0.15)
    assert axes.get_xlim() == (0.0, 4.6)
    assert axes.get_ylabel() == "distance (Å)"
    assert axes.get_title(loc="left") == DRIFT.what
    title = figure.get_suptitle()
    assert title.startswith("model: toy, 800 K: drift in run 2\n")
    assert FAILURE["message"] in title


def test_frames_are_points_and_explosions_are_logarithmic():
    curve = dataclasses.replace(
        DRIFT,
        times_ps=np.array([0.0, 0.01, 0.02, 0.03]),
        values=np.array([800.0, 790.0, 5000.0, 2e6]),
        reference=None,
        limit=None,
        unit="K",
        quantity="temperature",
        end_ps=None,
    )
    failure = {**FAILURE, "mode": "exploded", "subject": "run", "first_bad_time_ps": 0.02}
    (axes,) = failure_figure(curve, failure, "m").axes
    found = lines(axes)
    assert set(found) == {"the run", "last frame"}
    assert_array_equal(found["the run"].get_ydata(), curve.values)
    assert found["the run"].get_drawstyle() == "default"
    assert not axes.collections
    assert axes.get_yscale() == "log"
    assert axes.get_ylabel() == "temperature (K)"
    falling = dataclasses.replace(curve, values=np.array([-3.0, -3.0, 5.0, 2e6]))
    assert failure_figure(falling, failure, "m").axes[0].get_yscale() == "linear"


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_any_text_and_any_message_can_be_drawn(tmp_path, suffix):
    """Materials, sources and end reasons come from strangers."""
    failure = {**FAILURE, "message": "the run ended: $x_{ " + "a very long story " * 20 + "\ud800"}
    curve = dataclasses.replace(DRIFT, what=r"$\frac{", reference_what="$^")
    path = tmp_path / f"failure{suffix}"
    save(failure_figure(curve, failure, "$_: \\"), path)
    assert path.stat().st_size > 1000


def test_a_begin_that_is_not_seen_is_not_marked():
    (axes,) = failure_figure(DRIFT, {**FAILURE, "first_bad_time_ps": 99.0}, "m").axes
    assert "first bad window" not in lines(axes)
    assert axes.get_xlim() == (0.0, 4.6)
