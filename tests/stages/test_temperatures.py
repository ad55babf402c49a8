"""What `--temps` selects, and what it means where temperatures are made."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdbench.errors import InputError
from mdbench.stages.runs import Group
from mdbench.stages.temperatures import Temperatures, selected
from mdbench.trajectory import Provenance


def groups(*temperatures_k):
    return [Group("a", "m", t, (), Provenance(), {}) for t in temperatures_k]


def kept(temps, *temperatures_k):
    return [group.temperature_k for group in selected(groups(*temperatures_k), temps)]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("800-1200", (800, 900, 1000, 1100, 1200)),
        ("800-1200:50", (800, 850, 900, 950, 1000, 1050, 1100, 1150, 1200)),
        ("800-1000:150", (800, 950)),
        ("800-800", (800,)),
        (" 800 - 950 ", (800, 900)),
        ("300-301:0.25", (300, 300.25, 300.5, 300.75, 301)),
        ("800,1000", (800, 1000)),
        ("1000, 800.5", (1000, 800.5)),
        ("650", (650,)),
    ],
)
def test_temperatures_that_are_made(text, values):
    assert Temperatures.parse(text).values() == values


@pytest.mark.parametrize(
    ("temps", "expected"),
    [
        (None, [700, 800, 850, 1200, None]),
        ("800-1200", [800, 850, 1200]),
        ("800-1200:100", [800, 1200]),
        ("850,700", [700, 850]),
        ("799.8", [800]),
        ("700-700", [700]),
    ],
)
def test_temperatures_that_are_selected(temps, expected):
    assert kept(temps, 700, 800, 850, 1200, None) == expected


@given(
    low=st.integers(1, 2000),
    length=st.integers(0, 2000),
    step=st.integers(1, 500),
    there=st.lists(st.integers(1, 4000), min_size=1, unique=True),
)
def test_a_range_selects_what_lies_in_it_and_with_a_step_what_it_makes(low, length, step, there):
    high = low + length
    whole, stepped = (Temperatures.parse(f"{low}-{high}{s}") for s in ("", f":{step}"))
    made = [low + i * step for i in range(length // step + 1)]
    assert stepped.values() == tuple(made)
    assert [t for t in there if whole.holds(t)] == [t for t in there if low <= t <= high]
    assert [t for t in there if stepped.holds(t)] == [t for t in there if t in made]


@pytest.mark.parametrize(
    "text",
    ["", "hot", "800-", "-800", "1200-800", "0-800", "800-1200:0", "800,", "0", "nan", "inf",
     "800,nan", "1-1" + "0" * 400, "800-1e9", "800-1000000", "1-900000:0.001", "8e99",
     "800-900-1000", "-800,900"],
)  # fmt: skip
def test_nonsense_is_refused(text):
    with pytest.raises(InputError, match=r"^--temps: expected "):
        Temperatures.parse(text)


@pytest.mark.parametrize(
    ("temps", "line"),
    [
        ("800,1000", "--temps: no trajectory at 1000 K: found 700, 800 K"),
        ("900-1200", "--temps: no trajectory at 900-1200 K: found 700, 800 K"),
        ("710,900,800", "--temps: no trajectory at 710, 900 K: found 700, 800 K"),
    ],
)
def test_what_is_not_there_is_said(temps, line):
    with pytest.raises(InputError, match=f"^{re.escape(line)}$"):
        kept(temps, 800, 700, None)


def test_unknown_temperatures_are_said():
    with pytest.raises(InputError, match="found none that is known"):
        kept("800", None)
