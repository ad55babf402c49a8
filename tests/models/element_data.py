"""The element table of the package, derived from pymatgen's data.

    python -m tests.models.element_data > mdbench/models/assets/elements.csv

writes it again.
"""

import csv
import re
import sys
import warnings

from pymatgen.analysis.molecule_structure_comparator import CovalentRadius
from pymatgen.core import Element as Species

from mdbench.models.elements import N_ELEMENTS, Element


def valence_electrons(species):
    """Outside the noble gas, without closed f shells, and closed d shells in the p block."""
    shells = re.findall(r"\d([spdf])(\d+)", species.electronic_structure)
    closed = {("f", "14"), ("d", "10")} if block(species) == "p" else {("f", "14")}
    return sum(int(n) for kind, n in shells if (kind, n) not in closed)


def block(species):
    """Helium has no p electrons, though it stands above neon."""
    return "s" if species.symbol == "He" else species.block


def derived():
    """All elements, as the package's table should have them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # noble gases without electronegativity
        return [element(Species.from_Z(z)) for z in range(1, N_ELEMENTS)]


def element(species):
    radius = CovalentRadius.radius.get(species.symbol)
    volume = species.data.get("Molar volume")
    return Element(
        atomic_number=species.Z,
        symbol=species.symbol,
        group=0 if block(species) == "f" else species.group,
        period=species.row,
        electronegativity=float(species.X),
        covalent_radius=float("nan") if radius is None else float(radius),
        valence_electrons=valence_electrons(species),
        ionization_energy=round(float(species.ionization_energy), 4),
        electron_affinity=round(float(species.electron_affinity), 4),
        block=block(species),
        molar_volume=float("nan") if volume is None else float(volume),
    )


if __name__ == "__main__":
    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow(Element._fields)
    table.writerows(derived())
