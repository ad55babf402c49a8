"""Where dynamics start: the benchmark's crystals by name, or anybody's structure file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

import ase.io
import numpy as np
from ase.io.formats import filetype

from mdbench.errors import InputError, suggest
from mdbench.potentials.base import FloatArray, IntArray
from mdbench.trajectory import reduced_formula

if TYPE_CHECKING:
    from ase import Atoms

#: Name of each crystal, its files in `data/structures`, and what else it is called.
_CRYSTALS = {
    "lgps": ("LGPS", ("li10gep2s12",)),
    "li3ps4": ("Li3PS4_beta", ("betali3ps4", "li3ps4beta")),
    "gamma-li3ps4": ("Li3PS4_gamma", ("li3ps4gamma",)),
    "li4ges4": ("Li4GeS4", ()),
}
#: The crystals that are known by name.
MATERIALS = tuple(_CRYSTALS)
#: Formats of ASE that run pickled code when they are read.
_UNSAFE_FORMATS = ("trj", "bundletrajectory")


@dataclass(frozen=True)
class Material:
    """A periodic structure, where it comes from included.

    Attributes:
        name: As in `MATERIALS`, or the stem of the file.
        formula: Reduced, as `Li10GeP2S12`.
        atomic_numbers: (n_atoms,)
        positions: (n_atoms, 3) Å.
        cell: (3, 3) Å, row vectors.
        source: Publication and preparation, or the file.
    """

    name: str
    formula: str
    atomic_numbers: IntArray
    positions: FloatArray
    cell: FloatArray
    source: str


def material(name: str | Path, *, relaxed: bool = True) -> Material:
    """One of the benchmark's crystals, or the last structure of a file.

    Args:
        name: One of `MATERIALS`, whatever its case, dashes and underscores, also by formula; or
            the path of a file that ASE reads: CIF, POSCAR, extended XYZ and many others.
        relaxed: A crystal's atoms where the embedded potential has them at rest; else as published.

    Raises:
        InputError: An unknown name, or a file without a periodic, ordered structure.
    """
    word = _plain(str(name))
    is_path = isinstance(name, Path) or any(c in name for c in "/.")
    for known, (stem, others) in _CRYSTALS.items():
        if not is_path and word in (_plain(known), *others):
            return _crystal(known, f"{stem}_{'annealed' if relaxed else 'exp'}.extxyz")
    path = Path(name)
    if not path.is_file():
        raise InputError(
            f"material {str(name)!r}",
            expected="a name that is known or the path of a structure file",
            remedy=suggest(str(name).lower(), MATERIALS),
        )
    atoms = _read(path)
    return _material(path.stem, atoms, str(path))


def known_as(name: str, known: Iterable[str]) -> str | None:
    """The one of some names that is meant, whatever its case and dashes; None where it is none."""
    return {_plain(each): each for each in known}.get(_plain(name))


def _plain(word: str) -> str:
    """A name without what people write differently."""
    greek = word.lower().replace("β", "beta").replace("γ", "gamma")
    return "".join(c for c in greek if c.isalnum())


def _crystal(name: str, file: str) -> Material:
    text = files("mdbench_data").joinpath(file).read_text(encoding="utf-8")
    atoms = ase.io.read(StringIO(text), format="extxyz")
    return _material(name, atoms, str(atoms.info.get("note") or atoms.info["source"]))


def _material(name: str, atoms: Atoms, source: str) -> Material:
    return Material(
        name=name,
        formula=reduced_formula(atoms.numbers),
        atomic_numbers=np.asarray(atoms.numbers, dtype=np.int64),
        positions=np.asarray(atoms.positions, dtype=np.float64),
        cell=np.asarray(atoms.cell.array, dtype=np.float64),
        source=source,
    )


def _read(path: Path) -> Atoms:
    """The last structure of a file, checked."""
    try:
        form = filetype(str(path))
        if form in _UNSAFE_FORMATS:
            raise InputError("not read: such files may run code", where=path, found=form)
        atoms = ase.io.read(path, index=-1, format=form, do_not_split_by_at_sign=True)
    except InputError:
        raise
    except Exception as error:  # ASE's readers raise whatever they stumble over
        reason = str(error).strip() or type(error).__name__
        raise InputError(
            "no structure could be read", where=path, found=reason, remedy="try CIF or POSCAR"
        ) from error
    if not len(atoms):
        raise InputError("structure", where=path, expected="atoms", found="none")
    if not atoms.pbc.all() or not atoms.cell.volume > 0.0:
        raise InputError(
            "structure",
            where=path,
            expected="a cell that is periodic in all three directions",
            found=f"pbc {atoms.pbc.tolist()}, cell {atoms.cell.lengths().tolist()} A",
        )
    if not np.isfinite(atoms.positions).all():
        raise InputError("positions", where=path, expected="finite", found="NaN or inf")
    occupancies = [o for site in atoms.info.get("occupancy", {}).values() for o in site.values()]
    if any(o < 0.999 for o in occupancies):
        raise InputError(
            "sites that are occupied in part",
            where=path,
            expected="an ordered structure",
            found=f"an occupancy of {min(occupancies):g}",
            remedy="order it first, for example with pymatgen",
        )
    return atoms
