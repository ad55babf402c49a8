"""Rates of jumps with their limits, and where they lead."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.stats import poisson

from mdbench.analysis.jump_network import Rate, jump_rates, percolation
from mdbench.analysis.jumps import site_jumps
from mdbench.errors import InputError
from mdbench.stats import Estimate
from mdbench.synthetic import HoppingModel, ion_conductor
from mdbench.walks import Walk, walkers

from .hops import counted, made_sites


def rates_of(*pairs):
    """(origin, target, shift, number of jumps) each."""
    return [Rate(i, j, shift, n, Estimate(1.0, 0.5, 2.0, "1/ps")) for i, j, shift, n in pairs]


def test_rates_are_jumps_over_the_time_at_the_origin():
    """An ion at 0, 0, 1, 1, 1, 0 of 0.1 ps each, beside one that is in the upper cell's 0."""
    sites = made_sites([(0, 0, 0), (0, 0, 0.5)], np.eye(3) * 6.0)
    heights = np.array([[0, 0, 0.5, 0.5, 0.5, 0], [1, 1, 1, 1, 1, 1.5]])
    paths = np.zeros((2, 3, 6))
    paths[:, 2] = heights
    runs = [site_jumps(paths, sites, frame_interval_ps=0.1) for _ in range(2)]
    found = {(r.origin, r.target, r.shift): r for r in jump_rates(runs)}
    assert set(found) == {(0, 1, (0, 0, 0)), (1, 0, (0, 0, 0))}
    up, down = found[0, 1, (0, 0, 0)], found[1, 0, (0, 0, 0)]
    assert (up.n_jumps, down.n_jumps) == (4, 2)
    assert_allclose(up.rate.value, 4 / 1.6, rtol=1e-12, atol=0)
    assert_allclose(down.rate.value, 2 / 0.8, rtol=1e-12, atol=0)
    low, high = up.rate.low, up.rate.high
    assert_allclose(poisson.sf(3, low * 1.6), 0.025, rtol=1e-9, atol=0)
    assert_allclose(poisson.cdf(4, high * 1.6), 0.025, rtol=1e-9, atol=0)
    assert [rate.n_jumps for rate in jump_rates(runs)] == [4, 2]


def test_rates_of_a_conductor_cover_the_rate_of_its_bonds():
    """384 directed pairs, two jumps each on average."""
    model = HoppingModel()
    run = ion_conductor(model, 500, np.random.default_rng(1), temperature_k=1000.0)
    found = counted(run)
    rates = jump_rates([found.jumps])
    truth = model.bond_rate_per_ps(1000.0)
    covered = [rate.rate.low <= truth <= rate.rate.high for rate in rates]
    assert len(rates) > 250
    assert np.mean(covered) > 0.9
    assert sum(rate.n_jumps for rate in rates) == found.jumps.n
    leads = percolation(rates, found.sites.n_sites)
    assert leads.axes == (True, True, True)
    assert leads.dimension == 3


def test_runs_between_other_sites_are_refused():
    one, other = (
        site_jumps(
            np.zeros((1, 3, 4)), made_sites(np.zeros((n, 3)), np.eye(3)), frame_interval_ps=1
        )
        for n in (1, 2)
    )
    with pytest.raises(InputError, match="several sets of sites"):
        jump_rates([one, other])


def test_nothing_jumps():
    still = percolation([], 5)
    assert (still.axes, still.bottleneck, still.dimension) == ((False,) * 3, (0, 0, 0), 0)
    assert jump_rates([]) == []


def test_a_channel_leads_along_one_axis():
    """The way of two jumps along c has a bottleneck of three, there and back together."""
    rates = rates_of((0, 1, (0, 0, 0), 5), (1, 0, (0, 0, 1), 2), (0, 1, (0, 0, -1), 1))
    found = percolation(rates, 3)
    assert found.axes == (False, False, True)
    assert found.bottleneck == (0, 0, 3)
    assert found.dimension == 1


def test_a_way_to_and_fro_leads_nowhere():
    rates = rates_of((0, 1, (0, 0, 1), 9), (1, 0, (0, 0, -1), 9))
    assert percolation(rates, 2).dimension == 0


def test_a_diagonal_leads_along_no_axis():
    found = percolation(rates_of((0, 0, (1, 1, 0), 7)), 1)
    assert (found.axes, found.dimension) == ((False, False, False), 1)


def test_two_diagonals_of_one_set_lead_along_two_axes():
    """(1, 1, 0) and (1, −1, 0) give (2, 0, 0); in two sets that do not meet they do not."""
    pairs = [(0, 0, (1, 1, 0), 7), (1, 1, (1, -1, 0), 4)]
    apart = percolation(rates_of(*pairs), 2)
    assert (apart.axes, apart.dimension) == ((False, False, False), 1)
    joined = percolation(rates_of(*pairs, (0, 1, (0, 0, 3), 2)), 2)
    assert joined.axes == (True, True, False)
    assert joined.bottleneck == (2, 2, 0)
    assert joined.dimension == 2


def test_sets_that_do_not_meet_lead_each_their_way():
    found = percolation(rates_of((0, 0, (1, 0, 0), 3), (1, 1, (0, 2, 0), 8)), 2)
    assert found.axes == (True, True, False)
    assert found.bottleneck == (3, 8, 0)
    assert found.dimension == 1


def naive_axes(rates, n_sites, span=20):
    """Whether a site's images in a row of cells meet, by flooding a block of cells."""
    steps = [[] for _ in range(n_sites)]
    for rate in rates:
        (a, b, c), i, j = rate.shift, rate.origin, rate.target
        steps[i].append((j, a, b, c))
        steps[j].append((i, -a, -b, -c))
    axes = [False] * 3
    for start in range(n_sites):
        seen, todo = {(start, 0, 0, 0)}, [(start, 0, 0, 0)]
        while todo:
            site, a, b, c = todo.pop()
            for target, u, v, w in steps[site]:
                there = target, a + u, b + v, c + w
                if there not in seen and max(map(abs, there[1:])) <= span:
                    seen.add(there)
                    todo.append(there)
        for axis in range(3):
            row = ((start, *(k * (axis == other) for other in range(3))) for k in range(1, span))
            axes[axis] |= any(place in seen for place in row)
    return tuple(axes)


#: In a layer, since a block of cells is slow to flood.
pairs = st.tuples(
    st.integers(0, 2),
    st.integers(0, 2),
    st.sampled_from([(0, 0, 0), (1, 0, 0), (0, 1, 0), (-1, 0, 0), (0, -1, 0), (1, 1, 0)]),
    st.integers(1, 4),
).filter(lambda pair: pair[0] != pair[1] or any(pair[2]))


@settings(max_examples=25, deadline=None)
@given(made=st.lists(pairs, max_size=5), moved=st.lists(st.integers(-2, 2), min_size=9, max_size=9))
def test_axes_are_those_of_the_naive_twin_whatever_cell_a_site_is_named_in(made, moved):
    rates = rates_of(*made)
    found = percolation(rates, 3)
    assert found.axes == naive_axes(rates, 3)
    homes = np.array(moved).reshape(3, 3)
    others = rates_of(
        *((i, j, tuple((np.array(s) + homes[j] - homes[i]).tolist()), n) for i, j, s, n in made)
    )
    assert percolation(others, 3) == found


@settings(max_examples=30, deadline=None)
@given(made=st.lists(pairs, max_size=6))
def test_the_bottleneck_is_the_least_number_of_jumps_on_the_best_way(made):
    found = percolation(rates_of(*made), 3)
    totals = {}
    for i, j, shift, n in made:
        key = min((i, j, shift), (j, i, tuple(-x for x in shift)))
        totals[key] = totals.get(key, 0) + n
    for least in range(1, 26):
        strong = percolation(rates_of(*((*k, n) for k, n in totals.items() if n >= least)), 3)
        assert strong.axes == tuple(least <= k for k in found.bottleneck)


def test_ions_bound_to_their_sites_lead_nowhere():
    found = counted(walkers(Walk(rattle=0.3), 300, np.random.default_rng(0)))
    assert percolation(jump_rates([found.jumps]), found.sites.n_sites).dimension == 0
