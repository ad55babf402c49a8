"""Limits of pairs of elements, and what end reasons say of them."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from mdbench.md.limits import (
    FORCE,
    PAIR,
    PAIR_LIMIT,
    TRAINING_FACTOR,
    end_reason,
    known_pairs,
    pair_limits,
)

LI, P, S, GE = 3, 15, 16, 32
CLOSEST = {"Li-S": 2.0, "P-S": 1.9, "Li-Li": 0.2, "Ge-S": 2.1, "Ge-Ge": 4.0}


def test_limits_are_a_share_of_the_training_distances_and_never_below_the_least():
    numbers = np.array([S, LI, LI, P, S, GE])
    found = pair_limits(CLOSEST, numbers, np.array([0, 5, 6]))
    expected = {(LI, S): 1.7, (P, S): 1.615, (GE, S): 1.785, (GE, GE): 3.4}
    for i, one in enumerate(numbers):
        for j, other in enumerate(numbers):
            limit = expected.get((one, other)) or expected.get((other, one)) or 0.3
            assert_allclose(found.limits[found.kinds[i], found.kinds[j]], limit, rtol=1e-12, atol=0)
    assert_allclose(TRAINING_FACTOR, 0.85, rtol=0, atol=0)
    # germanium is alone in its system
    assert_allclose(found.reaches, [1.7, 1.7, 1.7, 1.615, 1.7, 0.0], rtol=1e-12, atol=0)


def test_nothing_is_known_by_default():
    found = pair_limits({}, np.array([S, LI, LI]), np.array([0, 3]))
    assert_array_equal(found.limits, np.full((2, 2), PAIR_LIMIT))
    assert_array_equal(found.reaches, np.full(3, PAIR_LIMIT))


def test_what_is_known_of_other_elements_does_not_count():
    found = known_pairs(CLOSEST, np.array([S, LI, LI, P]))
    assert list(found.items()) == [("Li-Li", 0.2), ("Li-S", 2.0), ("P-S", 1.9)]
    assert known_pairs(CLOSEST, np.array([26])) == {}
    assert known_pairs({}, np.array([S, LI])) == {}


@pytest.mark.parametrize(
    ("code", "atoms", "closest", "expected"),
    [
        (PAIR, (0, 2), CLOSEST, "fusion: P-S 1.52 A at 3.4 ps (atoms 0 and 2; training saw no less "
                                "than 1.90 A)"),
        (PAIR, (0, 2), {"Li-S": 2.0}, "fusion: P-S 1.52 A at 3.4 ps (atoms 0 and 2)"),
        (PAIR, (1, 3), CLOSEST, "fusion: Li-Li 1.52 A at 3.4 ps (atoms 1 and 3)"),
        (FORCE, (0, 0), CLOSEST, "exploded: 2 eV/A on P 0 at 3.4 ps"),
    ],
)  # fmt: skip
def test_end_reasons_name_the_distance_of_the_training(code, atoms, closest, expected):
    numbers = np.array([P, LI, S, LI])
    reason = end_reason(code, 2200, 1.52, np.array(atoms), numbers, 800.0, 2.0, 500, closest)
    assert reason == expected
