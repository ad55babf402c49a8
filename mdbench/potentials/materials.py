"""Where dynamics start: the benchmark's crystals by name, or anybody's structure file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

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
#: A structure file is never longer, bytes.
_MOST_BYTES = 100_000_000
#: Formats that say how many atoms there are, and how many lines of words they begin with.
_TITLES = {"extxyz": 0, "xyz": 0, "vasp": 1, "xsf": 0}
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
    import ase.io

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


def _check_counts(path: Path, form: str) -> None:
    """Refuses a number of atoms that is larger than the file: ASE would make room for them all."""
    with path.open("rb") as file:
        content = file.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise InputError("too large for a structure", where=path, expected=f"{_MOST_BYTES} bytes")
    if form not in _TITLES:
        return
    for line in content.splitlines()[_TITLES[form] :]:
        words = line.split()
        if not words or not all(word.isdigit() for word in words):
            continue
        most = max(words, key=lambda word: (len(word.lstrip(b"0")), word.lstrip(b"0")))
        if len(most.lstrip(b"0")) > 18 or int(most) > len(content):
            raise InputError(
                "number of atoms",
                where=path,
                expected=f"at most {len(content)}, the bytes of the file",
                found=most.decode(),
            )


def _read(path: Path) -> Atoms:
    """The last structure of a file, checked."""
    import ase.io
    from ase.io.formats import filetype

    try:
        form = filetype(str(path))
        if form in _UNSAFE_FORMATS:
            raise InputError("not read: such files may run code", where=path, found=form)
        _check_counts(path, form)
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
    if not np.isfinite(atoms.positions).all() or not np.isfinite(atoms.cell.array).all():
        raise InputError("positions and cell", where=path, expected="finite", found="NaN or inf")
    occupancies = [o for site in atoms.info.get("occupancy", {}).values() for o in site.values()]
    if not all(isinstance(o, int | float) for o in occupancies):
        raise InputError("occupancies", where=path, expected="numbers", found=str(occupancies))
    if any(o < 0.999 for o in occupancies):
        raise InputError(
            "sites that are occupied in part",
            where=path,
            expected="an ordered structure",
            found=f"an occupancy of {min(occupancies):g}",
            remedy="order it first, for example with pymatgen",
        )
    return atoms
