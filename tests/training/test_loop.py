"""Training: it learns, keeps to its budget, goes on bit for bit, and ends where it diverges."""

import dataclasses

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from mdbench.errors import InputError
from mdbench.models import create, parse_name
from mdbench.training.budget import Budget
from mdbench.training.loop import Training
from mdbench.training.loss import normalization, normalize
from mdbench.training.settings import DEFAULT_SMALL as DEFAULT
from mdbench.training.settings import PAPER
from mdbench.training.state import read_state, write_state
from mdbench.training.validation import frame_errors, plan_validations, spread_order
from tests.training.little import Steps, frame_set, samples

STAMP = {"model": "little"}


@pytest.fixture(scope="module")
def data():
    return samples(24), samples(9, seed=5)


def training(data, seconds, settings=DEFAULT, steps=None, **kwargs):
    """A training whose steps take one second each."""
    steps = steps or Steps()
    model = create(parse_name("schnet-small"), n_channels=8, n_filters=8, n_layers=1)
    normalize(model, normalization([data[0]], model.n_elements))
    options = {"seed": 1, "stamp": STAMP, "keep": lambda saved: None, "stop": steps.stop} | kwargs
    sets = [frame_set([part]) for part in data]
    return Training(model, *sets, settings, Budget(seconds, steps.clock), **options)


@pytest.fixture(scope="module")
def done(data):
    """A training of 100 steps."""
    one = training(data, 100.0)
    one.run()
    return one


def test_it_learns(done):
    first, last = done.validations[0], done.validations[-1]
    assert last.force_mae < 0.5 * first.force_mae
    assert done.best.loss == min(v.loss for v in done.validations)
    assert last.energy_mae < 0.02
    assert_allclose(done.losses.values[-1], last.loss, rtol=2.0, atol=0)


def test_it_takes_the_steps_that_the_budget_has(done):
    assert done.step == 100
    assert done.validations[-1].step == 100
    assert_allclose(done.epoch, 100 / np.ceil(24 / DEFAULT.batch_size), rtol=1e-12, atol=0)


def test_validations_are_spread_over_the_budget(done):
    assert len(done.validations) == 20
    steps = [v.step for v in done.validations]
    assert_allclose(np.diff(steps), 5, rtol=0.5, atol=0)


def test_rates_rise_and_fall(done):
    rates = [v.learning_rate for v in done.validations]
    assert max(rates) <= DEFAULT.learning_rate
    assert rates[-1] < 0.05 * DEFAULT.learning_rate
    assert np.argmax(rates) < 4


def test_validation_errors_written_out(done, data):
    model, judges = done.average, frame_set([data[1]])
    found = frame_errors(model, judges, np.arange(9), DEFAULT, most_edges=1e9, most_frames=4)
    energies, forces, losses = [], [], []
    for k in range(9):
        batch = judges.batch([k])
        made = model.predict(batch.graph)
        error = float(made.energies - batch.energies) / 4
        components = (made.forces - batch.forces).double().numpy()
        energies.append(abs(error))
        forces.append(np.abs(components).mean())
        scale = float(model.energy_scale)
        losses.append((error / scale) ** 2 + 1000 * np.mean((components / scale) ** 2))
    assert_allclose(found.energy_mae, np.mean(energies), rtol=1e-4, atol=0)
    assert_allclose(found.force_mae, np.mean(forces), rtol=1e-4, atol=0)
    assert_allclose(found.losses, losses, rtol=1e-4, atol=0)


def test_validation_that_is_cut_has_whole_batches(done, data):
    left = iter([False, True])
    found = frame_errors(
        done.average,
        frame_set([data[1]]),
        np.arange(9),
        DEFAULT,
        most_edges=1e9,
        most_frames=2,
        stop=lambda: next(left),
    )
    assert len(found.losses) == 4


def test_the_best_weights_are_kept(done, data):
    model = create(parse_name("schnet-small"), n_channels=8, n_filters=8, n_layers=1)
    model.load_state_dict(done.best_weights)
    found = frame_errors(
        model, frame_set([data[1]]), np.arange(9), DEFAULT, most_edges=1e9, most_frames=64
    )
    assert_allclose(found.losses.mean(), done.best.loss, rtol=1e-5, atol=0)


def test_validation_frames_are_spread(data):
    many = frame_set([samples(12, seed=2), samples(12, seed=3, material="other")])
    order = spread_order(many)
    assert sorted(order.tolist()) == list(range(24))
    kinds = [(n // 12, many.temperatures_k[n]) for n in order]
    for first in (0, 6, 12, 18):
        assert len(set(kinds[first : first + 6])) == 6


@pytest.mark.parametrize("frame_s, frames, times", [(1e-6, 9, 20), (0.01, 9, 20), (1.0, 9, 1)])
def test_validations_take_a_tenth_of_the_budget(data, monkeypatch, frame_s, frames, times):
    judges = frame_set([data[1]])
    seconds = Steps()

    def slow(model, data, some, *args, **kwargs):
        seconds.n += frame_s * len(some)

    monkeypatch.setattr("mdbench.training.validation.frame_errors", slow)
    budget = Budget(200.0, seconds.clock)
    plan = plan_validations(None, judges, DEFAULT, budget, 24, 1e9)
    assert (len(plan.frames), plan.n_validations) == (frames, times)
    assert_allclose(plan.estimate_s, frames * frame_s, rtol=1e-6, atol=0)
    short = plan_validations(None, judges, DEFAULT, Budget(1.0, seconds.clock), 24, 1e9)
    assert len(short.frames) >= 1
    paper = plan_validations(None, judges, PAPER, budget, 24, 1e9)
    assert len(paper.frames) == 7  # a tenth of the time of an epoch


@pytest.mark.parametrize("settings", [DEFAULT, PAPER], ids=["ours", "paper"])
@pytest.mark.parametrize("last", [1, 13])
def test_going_on_is_bit_for_bit(data, tmp_path, settings, last):
    whole = training(data, 26.0, settings)
    whole.run()
    path = tmp_path / "training.state"
    first = training(data, 26.0, settings, Steps(last), keep=lambda saved: write_state(path, saved))
    first.run()
    assert first.stopped
    assert first.step == last
    second = training(data, 26.0, settings)
    second.restore(read_state(path, STAMP))
    assert second.budget.elapsed == last
    second.run()
    assert (whole.step, second.step) == (26, 26)
    for part in ("model", "average"):
        twins = getattr(second, part).state_dict()
        for name, value in getattr(whole, part).state_dict().items():
            assert torch.equal(value, twins[name]), name
    assert second.validations == whole.validations
    assert second.losses.values == whole.losses.values
    assert second.best == whole.best
    assert_array_equal(second.closest, whole.closest)


def test_killed_after_a_validation_it_goes_on_from_there(data):
    kept = []

    def killed():
        if len(kept) == 3:
            raise SystemExit
        return False

    steps = Steps()
    one = training(data, 30.0, steps=steps, keep=kept.append, stop=lambda: steps.stop() or killed())
    with pytest.raises(SystemExit):
        one.run()
    two = training(data, 30.0)
    two.restore(kept[-1])
    assert 0 < two.step < 30
    assert two.step in [v.step for v in one.validations]
    two.run()
    assert two.step == 30


def test_paper_validates_after_each_epoch(data):
    one = training(data, 40.0, PAPER)
    one.run()
    assert [v.step for v in one.validations] == [12, 24, 36, 40]


@pytest.mark.parametrize("seconds", [1e-3, 1.0, 2.0])
def test_a_short_budget_is_enough_for_a_step_and_a_validation(data, seconds):
    one = training(data, seconds)
    one.run()
    assert one.step == max(1, int(seconds))
    assert one.validations[-1].step == one.step
    assert one.best_weights


def test_small_memory_changes_nothing_but_rounding(data, monkeypatch):
    expected = training(data, 5.0)
    expected.run()
    monkeypatch.setattr("mdbench.training.loop.room", lambda device: 1.0)
    found = training(data, 5.0)
    found.run()
    assert_allclose(found.losses.values, expected.losses.values, rtol=1e-3, atol=0)


def test_a_loss_that_is_not_finite_ends_it(data):
    huge = dataclasses.replace(DEFAULT, learning_rate=1e18, clip=None)
    one = training(data, 150.0, huge)
    one.run()
    found = one.divergence
    assert found is not None
    assert 0 < found.step <= one.step
    assert len(found.frames) in (0, DEFAULT.batch_size)
    for value in one.best_weights.values():
        assert torch.isfinite(value).all()


def test_a_state_of_something_else(data, done):
    saved = done.saved()
    other = training(data, 150.0)
    for broken in (
        dataclasses.replace(saved, tensors={}),
        dataclasses.replace(saved, counters={}),
        dataclasses.replace(saved, counters=saved.counters | {"step": "x"}),
    ):
        with pytest.raises(InputError, match="damaged state of a training"):
            other.restore(broken)


def test_states_on_disk(done, tmp_path):
    path = tmp_path / "deep" / "training.state"
    write_state(path, done.saved())
    assert [p.name for p in path.parent.iterdir()] == ["training.state"]
    found = read_state(path, STAMP)
    assert found.counters["step"] == done.step
    with pytest.raises(InputError, match=r"trained with other settings.*model = little, not big"):
        read_state(path, {"model": "big"})
    content = path.read_bytes()
    for damaged in (b"", content[:100], content[:-100], b"\0" * 500):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match="damaged"):
            read_state(path, STAMP)


class Busy(Steps):
    """A clock on which a step takes 1 s, and a frame's energies and forces 0.05 s."""

    def __init__(self):
        super().__init__()
        self.frames = 0

    def clock(self):
        return self.n + 0.05 * self.frames


@pytest.mark.parametrize("seconds", [20.0, 33.3, 61.7, 100.0])
def test_the_last_validation_is_within_the_budget(data, monkeypatch, seconds):
    busy = Busy()

    def counted(model, data, frames, *args, **kwargs):
        busy.frames += len(frames)
        return frame_errors(model, data, frames, *args, **kwargs)

    for place in ("loop", "validation"):
        monkeypatch.setattr(f"mdbench.training.{place}.frame_errors", counted)
    one = training(data, seconds, steps=busy)
    one.run()
    assert one.validations[-1].step == one.step
    step_and_validation = 1.0 + 0.05 * 9
    assert seconds - step_and_validation - 1e-9 <= one.budget.elapsed <= seconds + 1.0 + 1e-9
    assert busy.frames * 0.05 <= 0.1 * seconds + 0.05 * (9 + 8)  # the last one and the measuring
