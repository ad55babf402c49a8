"""Units as files spell them, turned into factors to Å, fs and eV."""

import re

from mdbench.units import (
    BAR_IN_EV_PER_ANGSTROM3,
    BOHR_IN_ANGSTROM,
    EV_PER_ANGSTROM3_IN_GPA,
    HARTREE_IN_EV,
    KCAL_PER_MOL_IN_EV,
    PS_IN_FS,
)

#: Powers of length, time, energy and mole.
Powers = tuple[int, int, int, int]

LENGTH: Powers = (1, 0, 0, 0)
TIME: Powers = (0, 1, 0, 0)
ENERGY: Powers = (0, 0, 1, 0)
VELOCITY: Powers = (1, -1, 0, 0)
FORCE: Powers = (-1, 0, 1, 0)
PRESSURE: Powers = (-3, 0, 1, 0)
_MOLES: Powers = (0, 0, 0, 1)
_MOLAR_ENERGY: Powers = (0, 0, 1, 1)

_UNITS: dict[str, tuple[float, Powers]] = {
    **dict.fromkeys(("Angstrom", "angstrom", "A", "\u00c5", "\u212b"), (1.0, LENGTH)),
    **dict.fromkeys(("bohr", "Bohr"), (BOHR_IN_ANGSTROM, LENGTH)),
    "nm": (10.0, LENGTH),
    "pm": (0.01, LENGTH),
    "m": (1e10, LENGTH),
    "fs": (1.0, TIME),
    "ps": (PS_IN_FS, TIME),
    "ns": (1e6, TIME),
    "s": (1e15, TIME),
    "eV": (1.0, ENERGY),
    "meV": (1e-3, ENERGY),
    **dict.fromkeys(("hartree", "Hartree", "Ha", "Eh"), (HARTREE_IN_EV, ENERGY)),
    # per mole only: what has these alone is not the energy of a cell
    "kcal": (KCAL_PER_MOL_IN_EV, _MOLAR_ENERGY),
    "kJ": (KCAL_PER_MOL_IN_EV / 4.184, _MOLAR_ENERGY),
    "mol": (1.0, _MOLES),
    "GPa": (1.0 / EV_PER_ANGSTROM3_IN_GPA, PRESSURE),
    "bar": (BAR_IN_EV_PER_ANGSTROM3, PRESSURE),
}
_TOKEN = re.compile(r"([^\W\d_]+)(?:\^?([+-]?\d+))?|([/*()])|(\S)")


def unit_factor(text: str, powers: Powers) -> float | None:
    """The factor from a unit to Å, fs and eV; None where it is unknown or of another dimension.

    Args:
        text: With exponents, as `kJ mol-1 nm-1`, or signs, as `kJ/(mol*nm)`, `eV/Angstrom^3`.
        powers: The dimension that it should have.
    """
    factor, found = 1.0, [0, 0, 0, 0]
    outer, sign = [1], 1
    for symbol, exponent, mark, _ in _TOKEN.findall(text.replace("**", "^")):
        if mark == "(":
            outer.append(outer[-1] * sign)
        elif mark == ")" and len(outer) > 1:
            outer.pop()
        elif symbol in _UNITS and len(exponent) < 3:
            power = int(exponent or 1) * sign * outer[-1]
            size, own = _UNITS[symbol]
            factor *= size**power
            found = [a + power * b for a, b in zip(found, own, strict=True)]
        elif mark not in ("/", "*"):
            return None
        sign = -1 if mark == "/" else 1
    return factor if tuple(found) == powers and len(outer) == 1 else None
