"""Learning rates, running averages, the thinned curve: against torch and naive twins."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from mdbench.models import create, parse_name
from mdbench.training.average import averaged, decay_at, update_average
from mdbench.training.curve import LossCurve
from mdbench.training.schedule import Plateau, cosine


def test_cosine_rises_and_falls():
    assert_allclose(cosine(0.0, 0), 0.01, rtol=1e-12, atol=0)
    assert_allclose(cosine(0.0, 99), 1.0, rtol=1e-12, atol=0)
    assert_allclose(cosine(0.5, 5000), 0.505, rtol=1e-12, atol=0)
    assert_allclose([cosine(1.0, 10**6), cosine(1.7, 10**6)], [0.01, 0.01], rtol=1e-9, atol=0)
    rates = [cosine(s, 10**6) for s in np.linspace(0.02, 1.0, 200)]
    assert (np.diff(rates) < 0).all()


def test_few_steps_rise_by_the_share_of_time():
    """Twenty steps in all: the rise does not eat them."""
    assert cosine(0.05, 1) > 0.99
    assert cosine(0.01, 0) < 0.51


@settings(deadline=None)
@given(st.lists(st.floats(0.1, 10.0), max_size=60))
def test_plateau_is_that_of_torch(losses):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1e-3)
    twin = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, factor=0.8, patience=5, min_lr=1e-6
    )
    ours = Plateau(1e-3)
    for loss in losses:
        twin.step(loss)
        ours.update(loss)
        assert_allclose(ours.learning_rate, optimizer.param_groups[0]["lr"], rtol=1e-9, atol=0)


def test_average_is_the_recursion():
    model = create(parse_name("schnet-small"), n_channels=8, n_filters=8, n_layers=1)
    average = averaged(model)
    twin = {k: v.double().clone() for k, v in model.state_dict().items()}
    generator = torch.Generator().manual_seed(0)
    for step in range(30):
        with torch.no_grad():
            for p in model.parameters():
                p += 0.1 * torch.randn(p.shape, generator=generator)
            model.energy_shifts += 1.0
        decay = decay_at(step, 0.9)
        update_average(average, model, decay)
        for k, v in model.state_dict().items():
            twin[k] = decay * twin[k] + (1.0 - decay) * v.double()
    for k, v in average.state_dict().items():
        assert_allclose(v, twin[k], rtol=1e-4, atol=1e-6)
    assert not average.training
    assert not any(p.requires_grad for p in average.parameters())


def test_decay_forgets_the_start_of_short_trainings():
    assert_allclose([decay_at(0, 0.999), decay_at(90, 0.999)], [0.1, 0.91], rtol=1e-12, atol=0)
    assert decay_at(10**6, 0.999) == 0.999


def test_curve_keeps_means():
    losses = np.random.default_rng(0).random(10_000)
    curve = LossCurve()
    for n, loss in enumerate(losses):
        curve.append(loss)
        if n == 7_777:
            curve = LossCurve.restored(curve.as_json(), curve.values)
    assert curve.every == 4
    assert len(curve.values) == 2_500
    assert_allclose(curve.values, losses.reshape(-1, 4).mean(axis=1), rtol=1e-12, atol=0)
    assert curve.steps[[0, -1]].tolist() == [4, 10_000]
