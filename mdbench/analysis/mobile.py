"""Which element of a conductor is the mobile one."""

from __future__ import annotations

from typing import Any

import numpy as np
from ase.data import atomic_numbers, chemical_symbols
from numpy.typing import NDArray

from mdbench.errors import InputError, suggest

#: The first of these that is present is the mobile species, where nothing else is stated.
MOBILE_SPECIES = ("Li", "Na", "Ag", "Cu", "K", "H", "Mg", "F")


def mobile_species(numbers: NDArray[Any], stated: str | None = None) -> str | None:
    """Symbol of the mobile species; None where none is stated and none of the usual is present.

    Args:
        numbers: (n_atoms,) atomic numbers.
        stated: Symbol that the user or the run states.

    Raises:
        InputError: The stated element is not present.
    """
    present = {chemical_symbols[z] for z in numbers}
    if stated is not None:
        if stated not in present:
            raise InputError(
                "mobile species",
                expected=f"one of {', '.join(sorted(present))}",
                found=stated,
                remedy=suggest(stated, present),
            )
        return stated
    return next((symbol for symbol in MOBILE_SPECIES if symbol in present), None)


def framework(numbers: NDArray[Any], mobile: str | None) -> NDArray[Any]:
    """(n_framework,) indices of the atoms that are not mobile; all where all are of one element.

    Args:
        numbers: (n_atoms,) atomic numbers.
        mobile: Symbol of the mobile species; None where there is none.
    """
    others = numbers != (0 if mobile is None else atomic_numbers[mobile])
    return np.flatnonzero(others if others.any() else ~others)
