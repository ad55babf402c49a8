"""Ionic conductivity from diffusivity, and the charge of the ion that carries it."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

from mdbench.errors import InputError
from mdbench.stats import Estimate
from mdbench.units import BOLTZMANN_EV_PER_K, E2_CM2_PER_S_PER_ANGSTROM3_EV_IN_MS_PER_CM

UNIT = "mS/cm"

#: Charges (e) that ions of an element usually have in solids, the most common first.
CHARGES: Mapping[str, tuple[int, ...]] = {
    "H": (1, -1), "Li": (1,), "Na": (1,), "K": (1,), "Rb": (1,), "Cs": (1,), "Ag": (1,),
    "Cu": (1, 2), "Tl": (1, 3), "Be": (2,), "Mg": (2,), "Ca": (2,), "Sr": (2,), "Ba": (2,),
    "Zn": (2,), "Cd": (2,), "Hg": (2, 1), "Pb": (2, 4), "Sn": (4, 2), "Ge": (4, 2), "Si": (4, -4),
    "C": (4, -4, 2, -2), "B": (3,), "Al": (3,), "Ga": (3,), "In": (3, 1), "Sc": (3,), "Y": (3,),
    "La": (3,), "Ce": (3, 4), "Pr": (3,), "Nd": (3,), "Sm": (3,), "Eu": (3, 2), "Gd": (3,),
    "Tb": (3, 4), "Dy": (3,), "Ho": (3,), "Er": (3,), "Tm": (3,), "Yb": (3, 2), "Lu": (3,),
    "Ti": (4, 3), "Zr": (4,), "Hf": (4,), "V": (5, 4, 3), "Nb": (5,), "Ta": (5,),
    "Cr": (3, 6), "Mo": (6, 4), "W": (6, 4), "Mn": (2, 3, 4, 7), "Fe": (3, 2), "Co": (2, 3),
    "Ni": (2, 3), "N": (-3, 5, 3), "P": (5, -3, 3), "As": (5, 3, -3), "Sb": (5, 3, -3),
    "Bi": (3, 5), "O": (-2,), "S": (-2, 6, 4), "Se": (-2, 6, 4), "Te": (-2, 6, 4),
    "F": (-1,), "Cl": (-1, 7), "Br": (-1,), "I": (-1,),
}  # fmt: skip


def ionic_conductivity(
    diffusivity: Estimate, *, n_ions: int, volume: float, charge: float, temperature_k: float
) -> Estimate:
    """σ = n z² e² D / (k_B T), mS/cm: tracer by Nernst–Einstein, or collective with D_σ.

    Args:
        diffusivity: cm²/s.
        n_ions: Mobile ions in the cell.
        volume: Å³, of the cell.
        charge: z, of the mobile ion.
        temperature_k: K.
    """
    return diffusivity.scaled(
        conductivity_factor(
            n_ions=n_ions, volume=volume, charge=charge, temperature_k=temperature_k
        ),
        UNIT,
    )


def conductivity_factor(
    *, n_ions: float, volume: float, charge: float, temperature_k: float
) -> float:
    """σ/D, mS/cm per cm²/s."""
    carriers = n_ions / volume * charge**2
    thermal = BOLTZMANN_EV_PER_K * temperature_k
    return E2_CM2_PER_S_PER_ANGSTROM3_EV_IN_MS_PER_CM * carriers / thermal


def charge_of(species: str, stated: float | None = None) -> float:
    """The charge of the mobile ion: as stated, else the one that is most common."""
    if stated is not None:
        return stated
    if species not in CHARGES:
        raise InputError(
            f"charge of {species}", expected="a known one", remedy=f"--charge {species}=…"
        )
    return float(CHARGES[species][0])


def charge_warnings(n_atoms: Mapping[str, int], species: str, charge: float) -> list[str]:
    """What is odd about a charge: not one of the element, or no neutral cell with it.

    Args:
        n_atoms: Number of atoms of each element in the cell.
        species: The mobile element.
        charge: e, of its ions.
    """
    if species in CHARGES and charge not in CHARGES[species]:
        usual = " or ".join(f"{z:+d}" for z in CHARGES[species])
        return [f"charge {charge:+g} of {species} is unusual (usual: {usual}); sigma grows as z^2"]
    others = [symbol for symbol in n_atoms if symbol != species]
    if not others or any(symbol not in CHARGES for symbol in others):
        return []
    start = charge * n_atoms[species]
    for charges in product(*(CHARGES[symbol] for symbol in others)):
        if start + sum(z * n_atoms[s] for s, z in zip(others, charges, strict=True)) == 0:
            return []
    return [f"no usual charges of the other elements balance {n_atoms[species]} {species} ions"]
