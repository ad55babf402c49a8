"""The element table: pymatgen's data, and bits that tell all elements apart."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from mdbench.models.elements import N_ELEMENTS, element_bits, elements
from tests.models.element_data import derived

#: Where the bits of a property begin.
STARTS = dict(
    zip(
        ("group", "period", "electronegativity", "radius", "valence", "ionization", "affinity"),
        np.cumsum([0, 19, 7, 10, 10, 12, 10]).tolist(),
        strict=True,
    )
) | {"block": 78, "volume": 82, "end": 92}


def test_the_table_is_what_pymatgen_says():
    """Numbers of a newer pymatgen may differ in their last digits."""
    for ours, theirs in zip(elements(), derived(), strict=True):
        for one, other in zip(ours, theirs, strict=True):
            if isinstance(one, float):
                assert_allclose(one, other, rtol=1e-3, atol=0, err_msg=ours.symbol)
            else:
                assert one == other, ours.symbol


def test_rows_stand_at_their_atomic_number():
    assert [e.atomic_number for e in elements()] == list(range(1, N_ELEMENTS))


@pytest.mark.parametrize(
    "symbol, set_bits",
    [
        # 5.39 eV: ln 1.685, 1.93 of 10 steps of 0.2; 13.02 cm³/mol: ln 2.566, 3.81 steps of 0.28
        ("Li", [("group", 1), ("period", 1), ("electronegativity", 1), ("radius", 4),
                ("valence", 0), ("ionization", 1), ("affinity", 5), ("block", 0), ("volume", 3)]),
        ("S", [("group", 16), ("period", 2), ("electronegativity", 5), ("radius", 3),
               ("valence", 5), ("ionization", 5), ("affinity", 7), ("block", 1), ("volume", 4)]),
        ("He", [("group", 18), ("period", 0), ("radius", 0), ("valence", 1), ("ionization", 9),
                ("affinity", 3), ("block", 0), ("volume", 5)]),
        ("Zn", [("group", 12), ("period", 3), ("electronegativity", 3), ("radius", 4),
                ("valence", 11), ("ionization", 4), ("affinity", 3), ("block", 2), ("volume", 2)]),
        ("Ho", [("group", 0), ("period", 5), ("electronegativity", 2), ("radius", 7),
                ("valence", 0), ("ionization", 2), ("affinity", 4), ("block", 3), ("volume", 5)]),
        ("Fm", [("group", 0), ("period", 6), ("electronegativity", 2), ("valence", 1),
                ("ionization", 2), ("affinity", 5), ("block", 3)]),
    ],
)  # fmt: skip
def test_bits_worked_by_hand(symbol, set_bits):
    number = next(e.atomic_number for e in elements() if e.symbol == symbol)
    expected = [STARTS[name] + k for name, k in set_bits]
    assert_array_equal(np.flatnonzero(element_bits()[number]), expected)


def test_a_property_sets_one_bit_or_none():
    bits, starts = element_bits()[1:], list(STARTS.values())
    counts = np.add.reduceat(bits, starts[:-1], axis=1)
    assert set(np.unique(bits)) == {0.0, 1.0}
    assert counts.max() == 1.0
    assert_array_equal(counts[:, [0, 1, 4, 5, 6, 7]], 1.0)
    unknown = {e.symbol for e, row in zip(elements(), counts, strict=True) if row.sum() < 9}
    assert unknown == {"He", "Ne", "Ar", "At", "Fr", "Bk", "Cf", "Es", "Fm"}


def test_no_two_elements_are_the_same():
    assert element_bits().shape == (N_ELEMENTS, 92)
    assert len(np.unique(element_bits(), axis=0)) == N_ELEMENTS
