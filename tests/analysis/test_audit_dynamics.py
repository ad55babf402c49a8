"""Drifts and echoes as checks: known slopes, honest intervals, whose fault it is."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from mdbench.analysis.audit import Claims
from mdbench.analysis.audit_dynamics import Drift, drift_check, echo_check, energy_drift
from mdbench.errors import InputError

TIMES = np.arange(2000) * 1e-3


def test_a_line_is_found():
    """3 meV/atom/ps in a system of 10 atoms: 0.03 eV/ps."""
    drift = energy_drift(TIMES, -12.0 + 0.03 * TIMES, 10, timestep_fs=1.0)
    assert_allclose(drift.value, 3.0, rtol=1e-9, atol=0)
    assert drift.error < 1e-8
    assert_allclose(drift.fluctuation, 3.0 * TIMES.std(), rtol=1e-9, atol=0)


def test_the_interval_covers_the_truth():
    rng, covered = np.random.default_rng(0), 0
    for _ in range(400):
        noise = rng.normal(0.0, 1e-3, len(TIMES))
        drift = energy_drift(TIMES, 1e-3 * TIMES + noise, 10, timestep_fs=1.0)
        covered += abs(drift.value - 0.1) < drift.error
    assert 0.92 < covered / 400 < 0.98


def test_too_short_a_run_is_refused():
    with pytest.raises(InputError, match="12 steps or more"):
        energy_drift(TIMES[:5], TIMES[:5], 10, timestep_fs=1.0)


@pytest.mark.parametrize(
    "values, passed, word",
    [
        ((0.001, 0.004), True, ""),
        ((0.01, 0.3), True, "integrator"),
        ((0.5, 2.0), False, "integrator"),
        ((-0.8, -0.8), False, "forces"),
        ((1.0, 1.2), False, "forces"),
    ],
)
def test_two_timesteps_tell_whose_fault_it_is(values, passed, word):
    drifts = [Drift(dt, v, 0.01, 0.1) for dt, v in zip((1.0, 2.0), values, strict=True)]
    check = drift_check(drifts, Claims())
    assert check.passed == passed
    assert ("at fault" in check.detail) == bool(word)
    assert word in check.detail


def test_a_drift_within_its_error_is_none():
    noisy = Drift(1.0, 0.3, 0.4, 1.0)
    assert drift_check([noisy], Claims()).passed
    assert not drift_check([Drift(1.0, 0.3, 0.1, 1.0)], Claims()).passed


def test_only_conservative_force_fields_claim_no_drift():
    drifts = [Drift(1.0, 1.0, 0.1, 1.0)]
    assert drift_check(drifts, Claims()).claimed
    assert not drift_check(drifts, Claims(conservative=False)).claimed


def test_echoes():
    near = echo_check(1e-12, 0.2, 0.2, Claims(), single=False, reference=3e-15)
    assert near.passed
    assert "refpot's own echo 3.0e-15 A" in near.detail
    assert not echo_check(1e-6, 0.2, 0.2, Claims(), single=False).passed
    assert echo_check(1e-6, 0.2, 0.2, Claims(), single=True).passed
    ended = echo_check(np.inf, 0.2, 0.2, Claims(), single=False, end_reason="exploded: 900 K")
    assert not ended.passed
    assert ended.detail == "exploded: 900 K"
