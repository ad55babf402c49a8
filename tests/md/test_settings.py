"""Settings of the engine: steps, frames, and what is refused."""

import dataclasses

import pytest

from mdbench.errors import InputError
from mdbench.md.settings import MDSettings


def test_the_papers_protocol():
    settings = MDSettings()
    assert (settings.n_ramp_steps, settings.n_steps, settings.n_frames) == (2500, 25_000, 25_000)
    assert settings.damping == 40.0


@pytest.mark.parametrize("stride, n_frames", [(1, 10), (3, 4), (10, 1), (100, 1)])
def test_number_of_frames(stride, n_frames):
    settings = MDSettings(production_ps=0.02, stride=stride)
    assert settings.n_frames == n_frames == len(range(0, settings.n_steps, stride))


@pytest.mark.parametrize(
    "change, message",
    [
        ({"ensemble": "nose-hover"}, r"^ensemble: found 'nose-hover'; did you mean nose-hoover"),
        ({"timestep_fs": 0.0}, r"^timestep: expected fs, above zero, found 0$"),
        ({"timestep_fs": float("nan")}, r"^timestep: "),
        ({"ramp_ps": -1.0}, r"^ramp: expected ps, zero or more, found -1$"),
        ({"production_ps": 0.0}, r"^production: "),
        ({"production_ps": 1e-4}, r"^production: expected one step of 2 fs or more"),
        ({"start_temperature_k": 0.0}, r"^start temperature: "),
        ({"damping_fs": -40.0}, r"^thermostat damping: "),
        ({"stride": 0}, r"^stride: "),
    ],
)
def test_senseless_settings_are_refused_in_one_line(change, message):
    with pytest.raises(InputError, match=message) as caught:
        MDSettings(**change)
    assert "\n" not in str(caught.value)


def test_the_stamp_holds_all_that_a_run_depends_on():
    settings = MDSettings()
    others = {
        "ensemble": "nve",
        "timestep_fs": 1.0,
        "ramp_ps": 1.0,
        "stride": 2,
        "start_temperature_k": 50.0,
        "damping_fs": 50.0,
        "seed": 1,
    }
    for name, value in others.items():
        assert dataclasses.replace(settings, **{name: value}).stamp() != settings.stamp()
    assert MDSettings(timestep_fs=2, damping_fs=40).stamp() == settings.stamp()
    assert dataclasses.replace(settings, production_ps=99.0).stamp() == settings.stamp()
