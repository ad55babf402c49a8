"""Collective diffusion and the Haven ratio of motions for which they are known."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from mdbench.analysis.collective import collective_diffusion, summed
from mdbench.analysis.diffusivity import tracer_diffusion
from mdbench.analysis.motion import ion_motion
from mdbench.synthetic import HoppingModel, ion_conductor
from mdbench.walks import Walk

from .little import motion_of, walk_of

HOPPING = Walk(hops_per_ps=0.3, rattle=0.3)


def both(motions):
    tracer = tracer_diffusion(motions)
    return tracer, collective_diffusion(motions, tracer)


def holds(estimate, truth):
    """Whether an interval covers the truth; a bound does where the truth is below it."""
    if estimate.resolved:
        return estimate.low <= truth <= estimate.high
    return estimate.high is None or truth <= estimate.high


def test_the_sum_of_the_ions_over_the_root_of_their_number():
    motion = walk_of(HOPPING, 50)
    expected = sum(motion.displacements[ion] for ion in range(20)) / 20**0.5
    assert_allclose(summed(motion), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("group", [1, 4])
def test_haven_ratio_of_ions_that_hop_together(group):
    """1/group; intervals of D_σ and of the ratio, over seeds."""
    walk = replace(HOPPING, group=group)
    ratio = walk.tracer_diffusivity / walk.collective_diffusivity
    assert_allclose(ratio, 1 / group, rtol=1e-12, atol=0)
    found = [both([walk_of(walk, 2000, seed)])[1] for seed in range(40)]
    assert all(c.haven_ratio.resolved for c in found)
    covered = [holds(c.haven_ratio, ratio) for c in found]
    assert np.mean(covered) >= 0.88
    assert np.mean([holds(c.diffusivity, walk.collective_diffusivity) for c in found]) >= 0.88
    typical = np.exp(np.mean([np.log(c.haven_ratio.value) for c in found]))
    assert_allclose(typical, ratio, rtol=0.1, atol=0)


def test_the_ratio_is_that_of_the_values_and_its_width_that_of_both():
    tracer, collective = both([walk_of(HOPPING, 2000)])
    above, below = tracer.diffusivity, collective.diffusivity
    found = collective.haven_ratio
    assert_allclose(found.value, above.value / below.value, rtol=1e-9, atol=0)
    relative = [e.spread.standard_error / e.value for e in (above, below, found)]
    assert_allclose(relative[2], np.hypot(*relative[:2]), rtol=1e-9, atol=0)
    assert found.unit == ""
    assert below.unit == "cm^2/s"


def test_replicas_narrow_the_ratio():
    motions = [walk_of(HOPPING, 1000, seed) for seed in range(4)]
    widths = []
    for replicas in (motions[:1], motions):
        ratio = both(replicas)[1].haven_ratio
        assert ratio.low / 2 < 1.0 < 2 * ratio.high
        widths.append(ratio.high / ratio.low)
    assert widths[1] < widths[0]


def test_short_runs_do_not_tell():
    """Some five moves of ten ions at once."""
    walk = Walk(hops_per_ps=0.06, rattle=0.4, group=10)
    found = [both([walk_of(walk, 400, seed)])[1] for seed in range(30)]
    unresolved = [c for c in found if not c.haven_ratio.resolved]
    assert len(unresolved) >= 8
    for c in unresolved:
        assert (c.haven_ratio.low, c.haven_ratio.high) == (None, None)
    bounds = [c.diffusivity for c in found if not c.diffusivity.resolved]
    assert bounds
    assert all(bound.low is None and bound.high > 0 for bound in bounds)
    assert np.mean([holds(c.diffusivity, walk.collective_diffusivity) for c in found]) >= 0.8


@pytest.mark.parametrize("walk", [Walk(speed=5.0), Walk()], ids=["flight", "frozen"])
def test_no_diffusion_has_no_ratio(walk):
    tracer, collective = both([walk_of(walk, 400)])
    assert not tracer.diffusivity.resolved
    assert not collective.diffusivity.resolved
    assert not collective.haven_ratio.resolved
    assert (collective.diffusivity.high is None) == (walk.speed > 0)


def test_ions_that_exchange_places_carry_nothing():
    """Pairs that move opposite to each other: the sum stands still."""
    half = np.array(walk_of(Walk(free_diffusivity=1e-4), 600).displacements)
    tracer, collective = both([motion_of(np.concatenate([half, -half]))])
    assert tracer.diffusivity.resolved
    assert not collective.haven_ratio.resolved


def test_diffusivities_of_a_conductor():
    """`HoppingModel`: ions that exchange places as often as vacancies let them pass."""
    model = HoppingModel(n_vacancies=24)
    tracer_covered, covered, ratio_covered = [], [], []
    exact = model.tracer_diffusivity(1000.0), model.collective_diffusivity(1000.0)
    for seed in range(20):
        run = ion_conductor(model, 1000, np.random.default_rng(seed), temperature_k=1000.0)
        tracer, collective = both([ion_motion(run, "Li")])
        tracer_covered.append(holds(tracer.diffusivity, exact[0]))
        covered.append(holds(collective.diffusivity, exact[1]))
        ratio_covered.append(holds(collective.haven_ratio, exact[0] / exact[1]))
    assert min(map(sum, (tracer_covered, covered, ratio_covered))) >= 17
