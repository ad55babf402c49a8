"""Which site a point is at: against all sites and images, one by one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from mdbench.analysis.site_map import nearest_sites, site_map
from mdbench.errors import InputError

IMAGES = np.stack(np.meshgrid(*[np.arange(-5, 6)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)


def naive(scaled, cell, radius, points):
    wrapped = (points - np.floor(points)).T
    found = np.full(len(wrapped), -1)
    for k, point in enumerate(wrapped):
        apart = (point - scaled[:, None] - IMAGES) @ cell  # (n_sites, n_images, 3)
        distance = np.linalg.norm(apart, axis=-1).min(axis=1)
        if distance.min() < radius:
            found[k] = distance.argmin()
    return found


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    length=st.floats(1.5, 6.0),
    skew=st.floats(0.0, 0.45),
    radius=st.floats(0.2, 1.6),
    n_sites=st.integers(1, 6),
)
def test_the_nearest_site_in_any_cell(seed, length, skew, radius, n_sites):
    rng = np.random.default_rng(seed)
    cell = length * (np.eye(3) + rng.uniform(-skew, skew, (3, 3)))
    scaled, points = rng.random((n_sites, 3)), rng.normal(0.0, 3.0, (3, 60))
    found = nearest_sites(site_map(scaled, cell, radius), points)
    assert_array_equal(found, naive(scaled, cell, radius, points))


def test_no_sites():
    none = site_map(np.empty((0, 3)), np.eye(3) * 5.0, 1.0)
    assert_array_equal(nearest_sites(none, np.random.default_rng(0).random((3, 5))), -1)


@pytest.mark.parametrize("radius", [0.0, -1.0, np.nan, np.inf])
def test_senseless_radii_are_refused(radius):
    with pytest.raises(InputError, match="radius of a site"):
        site_map(np.zeros((1, 3)), np.eye(3), radius)
