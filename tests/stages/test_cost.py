"""What a simulation will cost: measured beside it, worked out by hand, printed once."""

import dataclasses
import json
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from mdbench_cli.main import run as command_line
from numpy.testing import assert_allclose, assert_array_equal

from mdbench.config import SimulateConfig
from mdbench.md.frames import Recording
from mdbench.md.settings import MDSettings
from mdbench.md.simulate import seconds_per_step, simulate
from mdbench.stages import cost
from mdbench.stages import simulate as stage
from mdbench.stages.cost import Cost, expected_cost
from mdbench.stages.crew import Simulation
from tests.md.little import Springs, crystal
from tests.stages.contents import arrays, files

CONFIG = SimulateConfig(calculator="refpot", temps="300", replicas=2, ps=0.02, ramp_ps=0.01)


class Counted:
    """A force field that counts its evaluators and what they are asked."""

    def __init__(self):
        self.label, self.closest, self.field, self.calls = "counted", {}, Springs(), []

    def evaluator(self, systems):
        evaluator, number = self.field.evaluator(systems), len(self.calls)
        self.calls.append([])

        def evaluate(positions, active):
            self.calls[number].append(np.array(positions))
            type(evaluator).evaluate(evaluator, positions, active)

        evaluator.evaluate = evaluate
        return evaluator


def test_steps_are_real_ones_and_nothing_is_kept():
    runs, settings = [crystal(8, replica=r) for r in (0, 1)], MDSettings(production_ps=1.0)
    before = [run.positions.copy() for run in runs]
    field = Counted()
    assert 0.0 < seconds_per_step(field, runs, settings) < 10.0
    (calls,) = field.calls
    assert 2 <= len(calls) <= 21
    for one, other in pairwise(calls):
        assert np.abs(one - other).max() > 0.0
    for run, positions in zip(runs, before, strict=True):
        assert_array_equal(run.positions, positions)


def test_a_slow_force_field_is_asked_once(monkeypatch):
    monkeypatch.setattr("mdbench.md.simulate._SLOW_S", 0.0)
    field = Counted()
    assert seconds_per_step(field, [crystal(8)], MDSettings()) > 0.0
    assert [len(calls) for calls in field.calls] == [1]


def test_the_time_of_steps_goes_on_from_where_runs_are():
    settings = MDSettings(ramp_ps=0.0, production_ps=0.02)
    runs = [crystal(8)]
    *_, last = simulate(Springs(), runs, settings)
    field = Counted()
    seconds_per_step(field, runs, settings, snapshot=last.snapshot)
    assert_array_equal(field.calls[0][0], last.snapshot["state.positions"])


def batches(*sizes: int, n_atoms: int = 50, n_steps: int = 1000) -> list[list[SimpleNamespace]]:
    task = SimpleNamespace(n_atoms=n_atoms, n_steps_left=n_steps, run=None, snapshot=None)
    return [[task] * size for size in sizes]


def estimated(monkeypatch, parts, batch_s, n_workers, *, can_spawn, releases_lock=False) -> Cost:
    monkeypatch.setattr(cost, "seconds_per_step", lambda *_, **__: batch_s)
    field = SimpleNamespace(releases_lock=releases_lock)
    simulation = Simulation(field, MDSettings(timestep_fs=2.0), Recording(), simulate)
    return expected_cost(simulation, parts, n_workers, can_spawn=can_spawn)


@pytest.mark.parametrize(
    ("can_spawn", "releases_lock", "kind", "moving_s", "start_s"),
    [
        (True, False, "processes", 30.0, 3.0),
        (False, False, "threads", 60.0 / 1.3, 0.0),
        (False, True, "threads", 30.0, 0.0),
    ],
)
def test_cost_by_hand(monkeypatch, can_spawn, releases_lock, kind, moving_s, start_s) -> None:
    """Two batches of three runs and 1000 steps at 30 ms for a step of three."""
    found = estimated(
        monkeypatch, batches(3, 3), 0.03, 2, can_spawn=can_spawn, releases_lock=releases_lock
    )
    assert (found.n_runs, found.n_workers, found.kind) == (6, 2, kind)
    assert_allclose(found.ms_per_step, 10.0, rtol=1e-12, atol=0)
    assert_allclose(found.expected_s, moving_s + start_s, rtol=1e-12, atol=0)
    # 6000 steps of 2 fs, 86,400 s a day
    assert_allclose(found.ns_per_day, 6000 * 2e-6 / moving_s * 86_400, rtol=1e-12, atol=0)
    assert_allclose(found.ns_per_day_per_run * 6, found.ns_per_day, rtol=1e-12, atol=0)


@pytest.mark.parametrize(("batch_s", "kind"), [(0.003, "threads"), (0.3, "processes")])
def test_short_runs_do_not_wait_for_processes(monkeypatch, batch_s, kind) -> None:
    assert estimated(monkeypatch, batches(3, 3), batch_s, 2, can_spawn=True).kind == kind


def test_one_worker_takes_batch_after_batch(monkeypatch) -> None:
    found = estimated(monkeypatch, batches(1, 2), 0.01, 1, can_spawn=False)
    assert_allclose(found.expected_s, 30.0, rtol=1e-12, atol=0)


def test_workers_take_the_next_batch_when_they_are_free(monkeypatch) -> None:
    """Three batches for two: 3, then 2 and 2 one after the other."""
    found = estimated(monkeypatch, batches(3, 2, 2), 0.03, 2, can_spawn=False, releases_lock=True)
    assert_allclose(found.expected_s, 40.0, rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (
            {},
            "15 run(s), about 25 min in 2 processes: 4.9 ms per step of a run, "
            "70 ns/day (4.7 each)",
        ),
        (
            {"n_runs": 1, "n_workers": 1, "kind": "threads", "expected_s": 7.26},
            "1 run(s), about 7.3 s in one thread: 4.9 ms per step of a run, 70 ns/day",
        ),
        (
            {"expected_s": 90_000.0, "ns_per_day": 12_345.6, "ns_per_day_per_run": 823.04},
            "15 run(s), about 25 h in 2 processes: 4.9 ms per step of a run, "
            "12,346 ns/day (823 each)",
        ),
    ],
)
def test_what_is_printed(changes, text) -> None:
    known = Cost(15, 2, "processes", 4.9, 70.4, 70.4 / 15, 1500.0)
    assert dataclasses.replace(known, **changes).as_text() == text


def test_it_is_said_once_and_only_where_there_is_work(tmp_path, monkeypatch) -> None:
    said: list[Cost] = []
    report = stage.run(["lgps"], CONFIG, run_folder=tmp_path, announce=said.append)
    assert report.cost == said[0]
    assert said[0].n_runs == 2
    monkeypatch.setattr(cost, "seconds_per_step", None)
    again = stage.run(["lgps"], CONFIG, run_folder=tmp_path, announce=said.append)
    assert [m.how for m in again.made] == ["already done"] * 2
    assert len(said) == 1
    assert again.cost is None


def test_measuring_changes_no_bit(tmp_path) -> None:
    stage.run(["lgps"], CONFIG, run_folder=tmp_path / "without")
    stage.run(["lgps"], CONFIG, run_folder=tmp_path / "with", announce=lambda _: None)
    places = files(tmp_path / "with")
    assert len(places) == 2
    for place in places:
        assert arrays(tmp_path / "with" / place) == arrays(tmp_path / "without" / place)


ASK = ("simulate", "--calculator", "refpot", "--temps", "300", "--replicas", "2", "--ps", "0.02")


def test_the_command_says_it_on_standard_error(tmp_path, capsys) -> None:
    ask = [*ASK, "--ramp-ps", "0", "--run"]
    assert command_line([*ask, str(tmp_path / "a")]) == 0
    shown = capsys.readouterr()
    line = shown.err.splitlines()[0]
    assert line.startswith("2 run(s), about ")
    assert line.endswith("each)")
    assert "ns/day" not in shown.out
    assert command_line([*ask, str(tmp_path / "a")]) == 0
    assert "ns/day" not in capsys.readouterr().err
    assert command_line([*ask, str(tmp_path / "b"), "--quiet"]) == 0
    assert not capsys.readouterr().err


def test_the_command_has_it_in_json(tmp_path, capsys) -> None:
    ask = [*ASK, "--ramp-ps", "0", "--run", str(tmp_path), "--json"]
    assert command_line(ask) == 0
    shown = capsys.readouterr()
    found = json.loads(shown.out)["cost"]
    assert set(found) == {field.name for field in dataclasses.fields(Cost)}
    assert found["n_runs"] == 2
    assert found["expected_s"] > 0.0
    assert "ns/day" not in shown.err
    assert command_line(ask) == 0
    assert json.loads(capsys.readouterr().out)["cost"] is None
