"""What is known about the chemical elements, as network input: package data up to Z = 100."""

from __future__ import annotations

import csv
import math
from importlib import resources
from typing import NamedTuple, get_type_hints

import numpy as np
from numpy.typing import NDArray

#: Atomic numbers of the table are below this.
N_ELEMENTS = 101


class Element(NamedTuple):
    """One element; NaN, 0 or an empty text where nothing is known.

    Attributes:
        atomic_number: Z.
        symbol: Its name.
        group: 1 to 18; 0 in the f block.
        period: 1 to 7.
        electronegativity: Pauling's.
        covalent_radius: Å (Cordero et al. 2008, doi:10.1039/b801115j).
        valence_electrons: Outside the noble gas and closed f shells; closed d shells count in the d
            block only.
        ionization_energy: eV, the first one.
        electron_affinity: eV.
        block: s, p, d or f.
        molar_volume: cm³/mol, of the solid or liquid.
    """

    atomic_number: int
    symbol: str
    group: int
    period: int
    electronegativity: float
    covalent_radius: float
    valence_electrons: int
    ionization_energy: float
    electron_affinity: float
    block: str
    molar_volume: float


def elements() -> list[Element]:
    """The elements from hydrogen to fermium."""
    text = resources.files("mdbench.models").joinpath("assets/elements.csv").read_text("utf-8")
    kinds = get_type_hints(Element)
    return [
        Element(**{name: kinds[name](word) for name, word in row.items()})
        for row in csv.DictReader(text.splitlines())
    ]


def element_bits() -> NDArray[np.float64]:
    """(101, 92) zeros and ones by atomic number; row 0 is zero.

    Xie, Grossman, Phys. Rev. Lett. 2018, 120, 145301, Supplement, table of atom features: one bit
    for each property's class. Group 19 (1–18, and one for the f block), period 7,
    electronegativity 10 (0.5–4.0), covalent radius 10 (25–250 pm), valence electrons 12, logarithm
    of the ionization energy 10 (1.3–3.3), electron affinity 10 (−3.0–3.7 eV), block 4, logarithm
    of the atomic volume 10 (1.5–4.3). Classes of a continuous property are equally wide; what lies
    beyond the ends counts to the last one; valence electrons beyond 12 (some of the f block) begin
    at 1 again, else Dy, Ho and Er would be one element. An unknown property sets no bit.
    """
    bits = np.zeros((N_ELEMENTS, 92))
    for element in elements():
        start = 0
        for n_classes, found in _classes(element):
            if found is not None:
                bits[element.atomic_number, start + found] = 1.0
            start += n_classes
    return bits


def _classes(element: Element) -> list[tuple[int, int | None]]:
    """For each property how many classes it has, and the element's."""
    return [
        (19, element.group),
        (7, element.period - 1),
        (10, _bin(element.electronegativity, 0.5, 4.0)),
        (10, _bin(element.covalent_radius, 0.25, 2.5)),
        (12, (element.valence_electrons - 1) % 12),
        (10, _bin(math.log(element.ionization_energy), 1.3, 3.3)),
        (10, _bin(element.electron_affinity, -3.0, 3.7)),
        (4, "spdf".index(element.block)),
        (10, _bin(math.log(element.molar_volume), 1.5, 4.3)),
    ]


def _bin(value: float, low: float, high: float) -> int | None:
    if math.isnan(value):
        return None
    return min(max(int(10.0 * (value - low) / (high - low)), 0), 9)
