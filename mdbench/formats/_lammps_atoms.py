"""Who the atoms of a LAMMPS dump are: ids, elements, and that they stay the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from ase.data import atomic_masses, chemical_symbols
from numpy.typing import NDArray

from mdbench.errors import InputError
from mdbench.formats._rows import Table, unpack_word
from mdbench.formats.base import Hints
from mdbench.trajectory import element_number

FloatArray = NDArray[np.float64]


class Atoms:
    """The atoms of the first frame: who they are and in which order later frames must come.

    Attributes:
        numbers: (n_atoms,) atomic numbers, atoms sorted by id.
    """

    def __init__(self, path: Path, hints: Hints, first: Table, notes: list[str]) -> None:
        self.path = path
        self.layout = first.layout
        places = first.layout.places
        if "id" not in places and not hints.constant_order:
            raise InputError(
                "no atom ids in this dump",
                where=path,
                expected="a column id",
                found=" ".join(first.layout.columns),
                remedy="--constant-order if its atoms are always in one order "
                "(dump_modify sort id)",
            )
        self._identity = [c for c in ("id", "type", "mass") if c in places]
        values, words = first.values[0], first.words[0]
        if "id" in places:
            ids = values[:, places["id"]]
            order = np.argsort(ids, kind="stable")
            values, words = values[order], words[order]
            self.ids = integers(ids[order], path, "id")
            twice = np.flatnonzero(np.diff(self.ids) == 0)
            if twice.size:
                raise InputError(
                    f"id {self.ids[twice[0]]} twice", where=f"{path}: frame 0",
                    expected="every id once", found="a damaged or merged dump",
                )  # fmt: skip
        else:
            self.ids = np.arange(len(values))
        self._who = {c: values[:, places[c]].copy() for c in self._identity}
        self._words = words.copy()
        types = integers(self._who["type"], path, "type") if "type" in self._who else None
        self.numbers = _elements(path, hints, self, types, notes)

    @property
    def symbols_stated(self) -> list[str] | None:
        """Words of the element column; None without one."""
        if self.layout.word is None:
            return None
        return [unpack_word(word) for word in self._words.tolist()]

    @property
    def masses(self) -> FloatArray | None:
        """(n_atoms,) amu."""
        return self._who.get("mass")

    def sorted(self, table: Table) -> tuple[FloatArray, NDArray[np.uint64]]:
        """Numbers and words with the atoms in the order of the first frame's ids, checked."""
        values, words, places = table.values, table.words, table.layout.places
        missing = [c for c in self._identity if c not in places]
        if missing or table.layout.word != self.layout.word:
            raise InputError(
                "the columns change", where=f"{self.path}: frame {table.first_frame}",
                expected=" ".join(self.layout.columns), found=" ".join(table.layout.columns),
            )  # fmt: skip
        if "id" in places:
            ids = values[:, :, places["id"]]
            if not (ids == self._who["id"]).all():
                order = np.argsort(ids, axis=1, kind="stable")
                values = np.take_along_axis(values, order[:, :, None], axis=1)
                words = np.take_along_axis(words, order, axis=1)
        for column in self._identity:
            self._same(column, values[:, :, places[column]], self._who[column], table.first_frame)
        if self.layout.word is not None:
            self._same("element", words, self._words, table.first_frame)
        return values, words

    def _same(
        self, column: str, found: NDArray[np.generic], expected: NDArray[np.generic], frame: int
    ) -> None:
        """Refuses an atom whose id, type, mass or element is not that of the first frame."""
        differs = found != expected
        if not differs.any():
            return
        at, atom = np.argwhere(differs)[0]
        was, now = expected[atom], found[at, atom]
        if column == "element":
            was, now = unpack_word(int(was)), unpack_word(int(now))
        what = "other ids than in frame 0" if column == "id" else f"{column} changes"
        raise InputError(
            what,
            where=f"{self.path}: frame {frame + at}, id {self.ids[atom]}",
            expected=f"{was:g}" if column != "element" else was,
            found=f"{now:.17g}" if column != "element" else now,
            remedy="a run with a constant set of atoms is needed",
        )


def _elements(
    path: Path,
    hints: Hints,
    atoms: Atoms,
    types: NDArray[np.int64] | None,
    notes: list[str],
) -> NDArray[np.int64]:
    """(n_atoms,) atomic numbers from the element column, the user's word or the masses."""
    stated = atoms.symbols_stated
    told = None if hints.species is None else _told(path, hints, len(atoms.ids), types)
    if stated is not None and set(stated) == {"C"} and told is not None:
        stated = None  # LAMMPS prints C where no elements were set
    if stated is not None:
        numbers = _numbers(path, stated)
        if told is not None and not np.array_equal(told, numbers):
            at = int(np.flatnonzero(told != numbers)[0])
            raise InputError(
                f"--species contradicts the element column at id {atoms.ids[at]}", where=path,
                expected=stated[at], found=chemical_symbols[told[at]],
                remedy="leave --species out, or drop the column",
            )  # fmt: skip
        if set(stated) == {"C"}:
            notes.append(
                "every element is C, which LAMMPS also prints where none was set: "
                "--species if that is wrong"
            )
        return numbers
    if told is not None:
        return told
    if atoms.masses is not None:
        return _by_mass(path, atoms.masses)
    if types is None:
        raise InputError(
            "no element and no type in this dump", where=path,
            remedy="name the elements: --species Al (all atoms), or one symbol per atom",
        )  # fmt: skip
    kinds = np.unique(types).tolist()
    example = ",".join(
        f"{kind}={symbol}" for kind, symbol in zip(kinds, ("Li", "S", "P"), strict=False)
    )
    raise InputError(
        "elements unknown", where=path, expected="a column element or mass",
        found=f"types {', '.join(map(str, kinds))}",
        remedy=f"name them, as --species {example}",
    )  # fmt: skip


def _told(
    path: Path, hints: Hints, n_atoms: int, types: NDArray[np.int64] | None
) -> NDArray[np.int64]:
    """(n_atoms,) atomic numbers as the user states them."""
    species = hints.species
    kinds = [] if types is None else np.unique(types).tolist()
    if isinstance(species, tuple):
        if len(species) == 1:
            return _numbers(path, list(species) * n_atoms)
        if types is None or len(species) != len(kinds):
            if len(species) == n_atoms:
                return _numbers(path, list(species))
            raise InputError(
                "--species", where=path,
                expected=f"one symbol, {len(kinds)} (one per type) or {n_atoms} (one per atom)"
                if kinds else f"one symbol, or {n_atoms} (one per atom)",
                found=len(species),
            )  # fmt: skip
        species = dict(zip(map(str, kinds), species, strict=True))
    assert species is not None
    if types is None:
        raise InputError(
            "--species by type, but this dump has no types", where=path,
            remedy="name one symbol for all atoms, or one per atom",
        )  # fmt: skip
    missing = [str(kind) for kind in kinds if str(kind) not in species]
    if missing:
        raise InputError(
            "--species", where=path, expected=f"types {', '.join(map(str, kinds))}",
            found=f"nothing for {', '.join(missing)}",
        )  # fmt: skip
    return _numbers(path, [species[str(kind)] for kind in types.tolist()])


def _numbers(path: Path, symbols: list[str]) -> NDArray[np.int64]:
    try:
        known = {symbol: element_number(symbol) for symbol in set(symbols)}
    except InputError as error:
        raise InputError(str(error), where=path) from error
    return np.array([known[symbol] for symbol in symbols], dtype=np.int64)


def _by_mass(path: Path, masses: FloatArray) -> NDArray[np.int64]:
    """(n_atoms,) the one element within 0.02 amu of each mass."""
    known = {}
    for mass in np.unique(masses).tolist():
        near = np.flatnonzero(np.abs(atomic_masses[1:] - mass) <= 0.02) + 1
        if len(near) != 1:
            raise InputError(
                f"mass {mass:g} amu", where=path, expected="that of one element within 0.02 amu",
                found=" and ".join(chemical_symbols[z] for z in near) or "none",
                remedy="name the elements: --species 1=Li,2=S",
            )  # fmt: skip
        known[mass] = int(near[0])
    return np.array([known[mass] for mass in masses.tolist()], dtype=np.int64)


def integers(values: FloatArray, where: object, name: str) -> NDArray[np.int64]:
    bad = (values != np.rint(values)) | (np.abs(values) > 2**53)
    if bad.any():
        raise InputError(name, where=where, expected="whole numbers", found=f"{values[bad][0]:g}")
    return values.astype(np.int64)
