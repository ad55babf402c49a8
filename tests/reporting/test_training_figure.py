"""The figure of a training shows what it was given."""

import numpy as np
from numpy.testing import assert_allclose

from mdbench.reporting.figures import save
from mdbench.reporting.training_figure import TrainingCurves, training_figure


def test_curves_and_the_kept_validation(tmp_path):
    curves = TrainingCurves(
        name="schnet-small",
        loss_steps=np.arange(1.0, 11.0),
        losses=np.geomspace(900.0, 3.0, 10),
        steps=np.array([4.0, 8.0, 10.0]),
        elapsed_s=np.array([30.0, 60.0, 75.0]),
        energy_mae=np.array([0.02, 0.004, 0.005]),
        force_mae=np.array([0.2, 0.06, 0.07]),
        validation_losses=np.array([90.0, 5.0, 6.0]),
        best=1,
    )
    figure = training_figure(curves)
    left, middle, right = figure.axes
    assert_allclose(left.lines[0].get_ydata(), curves.losses, rtol=1e-12, atol=0)
    for axes, errors in ((middle, curves.force_mae), (right, curves.energy_mae)):
        assert_allclose(axes.lines[0].get_ydata(), 1000.0 * errors, rtol=1e-12, atol=0)
        x, y = axes.lines[1].get_data()
        assert_allclose([*x, *y], [60.0, 1000.0 * errors[1]], rtol=1e-12, atol=0)
    path = tmp_path / "curve.svg"
    save(figure, path)
    assert "meV/atom" in path.read_text()
