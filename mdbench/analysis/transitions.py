"""Temperatures at which ionic conductors change their phase: a line across one means little."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import reduce

from mdbench.errors import InputError

#: Temperatures at which the crystal changes its phase, K.
#: Li3PS4: γ–β–α, K. Homma et al., Solid State Ionics 2011, 182, 53.
#: Na3PS4: α–β, M. Jansen, U. Henseler, J. Solid State Chem. 1992, 99, 110; β–γ at 500 °C,
#: T. Famprikis et al., ACS Materials Lett. 2019, 1, 641.
#: LiBH4: M. Matsuo et al., Appl. Phys. Lett. 2007, 91, 224103.
#: AgI: β–α at 147 °C, S. Hull, Rep. Prog. Phys. 2004, 67, 1233.
#: RbAg4I5: γ–β–α, W. V. Johnston, H. Wiedersich, G. W. Lindberg, J. Chem. Phys. 1969, 51, 3739.
KNOWN_TRANSITIONS: Mapping[str, tuple[float, ...]] = {
    "Li3PS4": (573.0, 746.0),
    "Na3PS4": (534.0, 773.0),
    "LiBH4": (390.0,),
    "AgI": (420.0,),
    "RbAg4I5": (122.0, 209.0),
}


def transitions_within(formula: str, low_k: float, high_k: float) -> tuple[float, ...]:
    """Known transition temperatures of a compound between two temperatures, K.

    Args:
        formula: Elements and whole counts in any order, as Li3PS4 or Li12P4S16.
        low_k: Lowest temperature, K.
        high_k: Highest temperature, K.
    """
    composition = _composition(formula)
    for known, transitions in KNOWN_TRANSITIONS.items():
        if _composition(known) == composition:
            return tuple(t for t in transitions if low_k <= t <= high_k)
    return ()


def _composition(formula: str) -> dict[str, int]:
    """Smallest whole counts of the elements."""
    if not re.fullmatch(r"([A-Z][a-z]?[0-9]*)+", formula):
        raise InputError("formula", expected="elements and whole counts", found=formula)
    counts: dict[str, int] = {}
    for element, count in re.findall(r"([A-Z][a-z]?)([0-9]*)", formula):
        counts[element] = counts.get(element, 0) + int(count or 1)
    divisor = reduce(math.gcd, counts.values())
    return {element: count // divisor for element, count in counts.items()}
