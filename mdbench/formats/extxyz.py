"""Extended XYZ: a cell, properties and results in the comment line of each frame.

Units are those of ASE: Å, eV, eV/Å, stress in eV/Å³ (positive under tension; a virial in eV is
−stress · volume), `momenta` in √(amu eV). Columns `vel`, `velo` and `velocities` are in Å/fs, as
QUIP and GPUMD write them. Times are read from `time_fs` and `time_ps`; a plain `time` has no
agreed unit and is not used. `step` counts MD steps.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase.data import atomic_masses
from numpy.typing import NDArray

from mdbench.errors import InputError
from mdbench.formats._rows import (
    MOST_ATOMS,
    Layout,
    Table,
    frames_of,
    numbers_of_lines,
    read_tables,
    unpack_word,
)
from mdbench.formats._stream import ByteStream
from mdbench.formats.base import Frames, Header, Hints, Source
from mdbench.trajectory import check_cells, element_number
from mdbench.units import ASE_TIME_IN_FS, PS_IN_FS

FloatArray = NDArray[np.float64]

# Keys of bounded length and brackets that hold none: else a long comment takes a time that grows
# as its square.
_PAIR = re.compile(
    rb"""([^\s="'{\[]{1,100})\s*=\s*("[^"]*"|'[^']*'|\{[^{}]*\}|\[[^\[\]]*\]|[^\s"']+)"""
)
_QUOTES = b"\"'{}[]"
_CP2K_COMMENT = re.compile(rb"\s*i\s*=\s*\d+.*\bE\s*=")
_FORCES = ("forces", "force")
_VELOCITIES = ("velocities", "velocity", "velo", "vel")
_ENERGIES = (b"energy", b"potential_energy", b"free_energy")
_DEFAULT_PROPERTIES = b"species:S:1:pos:R:3"
#: Longest comment line; a longer one is no comment.
_LONGEST = 1 << 20


def looks_like_extxyz(name: str, head: bytes) -> bool:
    """Whether a file is an XYZ file, extended or plain, and not one of CP2K."""
    count, _, rest = head.partition(b"\n")
    if not re.fullmatch(rb"\s*\d+\s*", count):
        return False
    comment = rest.partition(b"\n")[0]
    if re.search(rb"\b(lattice|properties)\s*=", comment, re.IGNORECASE):
        return True
    return name.lower().endswith(("xyz", "xyz.txt")) and not _CP2K_COMMENT.match(comment)


def open_extxyz(path: Path, hints: Hints) -> Source:
    """An open extended XYZ file.

    Raises:
        InputError: No complete frame, no cell, unknown elements.
    """
    stream = ByteStream(path)
    notes: list[str] = []
    tables = read_tables(stream, _Comments(path, hints, notes), notes)
    first = next(tables)
    try:
        atoms = _Atoms(path, hints.species, first)
    except InputError:
        stream.close()
        raise
    header = Header(
        atomic_numbers=atoms.numbers,
        pbc=first.heads[0].box.pbc,
        timestep_fs=hints.timestep_fs,
    )
    blocks = frames_of(first, tables, lambda table: _frames(table, atoms))
    return Source(path, "extxyz", header, blocks, notes, stream.fraction)


@dataclass(frozen=True)
class _Box:
    """What stays the same in the comment lines of most frames.

    Attributes:
        cell: (3, 3) Å.
        pbc: (3,) bool.
        layout: The columns.
    """

    cell: FloatArray
    pbc: NDArray[np.bool_]
    layout: Layout


@dataclass(frozen=True, slots=True)
class _Head:
    """The two lines above the atoms of one frame, the second one as its items."""

    n_atoms: int
    length: int
    box: _Box
    items: dict[bytes, bytes]

    @property
    def layout(self) -> Layout:
        return self.box.layout


class _Comments:
    """The header lines of the frames, checked against those of the first frame."""

    declares = "Properties"

    def __init__(self, path: Path, hints: Hints, notes: list[str]) -> None:
        self.path = path
        self.hints = hints
        self.notes = notes
        self._count_line = b""
        self._n_atoms = 0
        self._stated: tuple[bytes | None, ...] = ()
        self._box: _Box | None = None
        self._layouts: dict[bytes, Layout] = {}

    def head(self, text: bytes, at: int, frame: int) -> _Head | None:
        """The header of the frame that begins at a byte; None where the text ends inside."""
        first = text.find(b"\n", at)
        if first < 0:
            return None
        if text[at:first] != self._count_line:
            if not text[at:].strip():
                return None  # empty lines at the end
            self._count(text[at:first], frame)
        second = text.find(b"\n", first + 1)
        if second < 0:
            if len(text) - first > _LONGEST:
                raise self._error(frame, "comment line", "a line", "one without an end")
            return None
        items = {key.lower(): value for key, value in _PAIR.findall(text, first + 1, second)}
        stated = (items.get(b"lattice"), items.get(b"pbc"), items.get(b"properties"))
        if self._box is None or stated != self._stated:
            self._box = self._parse_box(*stated, frame)
            self._stated = stated
        if frame == 0 and b"time" in items and not {b"time_fs", b"time_ps"} & set(items):
            self._note("the key time has no stated unit (time_fs, time_ps) and is not used")
        return _Head(self._n_atoms, second + 1 - at, self._box, items)

    def _note(self, note: str) -> None:
        if note not in self.notes:
            self.notes.append(note)

    def _error(
        self, frame: int, what: str, expected: str, found: object, remedy: str | None = None
    ) -> InputError:
        where = f"{self.path}: frame {frame}"
        return InputError(what, where=where, expected=expected, found=found, remedy=remedy)

    def _count(self, line: bytes, frame: int) -> None:
        word = line.strip()
        if not word.isdigit() or len(word) > 18 or not 0 < int(word) <= MOST_ATOMS:
            raise self._error(frame, "first line", "the number of atoms", _shown(line))
        if self._n_atoms not in (0, int(word)):
            raise self._error(
                frame, "the number of atoms changes", str(self._n_atoms), int(word),
                "a run with a constant set of atoms is needed",
            )  # fmt: skip
        self._n_atoms = int(word)
        self._count_line = line

    def _parse_box(
        self,
        lattice: bytes | None,
        pbc: bytes | None,
        properties: bytes | None,
        frame: int,
    ) -> _Box:
        first = self._box
        periodic = np.ones(3, dtype=bool) if pbc is None else self._pbc(pbc, frame)
        if first is not None and not np.array_equal(periodic, first.pbc):
            raise self._error(frame, "other boundaries than before", str(first.pbc), str(periodic))
        cell = self._cell(lattice, frame)
        properties = _DEFAULT_PROPERTIES if properties is None else properties
        if properties not in self._layouts:
            self._layouts[properties] = self._layout(properties, frame)
        return _Box(cell, periodic, self._layouts[properties])

    def _pbc(self, words: bytes, frame: int) -> NDArray[np.bool_]:
        known = {b"t": True, b"f": False, b"true": True, b"false": False, b"1": True, b"0": False}
        letters = [
            known.get(word) for word in words.strip(_QUOTES).lower().replace(b",", b" ").split()
        ]
        if len(letters) != 3 or None in letters:
            raise self._error(frame, "pbc", '"T T T" or the like', _shown(words))
        return np.array(letters, dtype=bool)

    def _cell(self, lattice: bytes | None, frame: int) -> FloatArray:
        if lattice is None:
            if isinstance(self.hints.cell, np.ndarray):
                return self.hints.cell
            raise self._error(
                frame, "no cell", 'Lattice="ax ay az bx by bz cx cy cz"', "none",
                "give it with --cell (3, 6 or 9 numbers)",
            )  # fmt: skip
        if self.hints.cell is not None:
            self._note("the file's own Lattice is used, not --cell")
        numbers = numbers_of_lines([_plain(lattice)], 9)
        if numbers is None:
            raise self._error(frame, "Lattice", "nine finite numbers", _shown(lattice))
        cell = numbers.reshape(3, 3)
        try:
            check_cells(cell[None], first_frame=frame)
        except InputError as error:
            raise InputError(str(error), where=self.path) from error
        return cell

    def _layout(self, properties: bytes, frame: int) -> Layout:
        """The columns of `name:type:count:…`, each named after its property and number."""
        words = properties.strip(_QUOTES).decode("utf-8", "replace").split(":")
        columns: list[str] = []
        for name, kind, count in zip(words[::3], words[1::3], words[2::3], strict=False):
            if kind not in ("S", "R", "I", "L") or not re.fullmatch("[1-9][0-9]{0,2}", count):
                break
            columns += [f"{name.lower()}[{k}]" for k in range(int(count))]
        else:
            names = set(words[::3])
            wanted = {"pos", *_FORCES, *_VELOCITIES, "momenta", "masses", "z"}
            species = "species[0]" in columns
            vectors = [c for c in columns if c.partition("[")[0] in wanted - {"z", "masses"}]
            complete = len(vectors) == 3 * len({c.partition("[")[0] for c in vectors})
            if (
                len(words) % 3 == 0
                and len(names) == len(words) // 3
                and "pos[2]" in columns
                and (species or "z[0]" in columns)
                and complete
            ):
                numbers = {c for c in columns if c.partition("[")[0] in wanted}
                return Layout(
                    columns,
                    numbers - {"z[0]"} if species else numbers,
                    "species[0]" if species else None,
                )
        raise self._error(
            frame, "Properties", "species:S:1 (or Z:I:1), pos:R:3 and others, as name:type:count",
            _shown(properties),
        )  # fmt: skip


def _shown(text: bytes) -> str:
    return repr(text.decode("utf-8", "replace").strip()[:60])


class _Atoms:
    """The atoms of the first frame, which all later frames must have in the same order.

    Attributes:
        numbers: (n_atoms,) atomic numbers.
    """

    def __init__(
        self, path: Path, species: Mapping[str, str] | tuple[str, ...] | None, first: Table
    ) -> None:
        self.path = path
        self._renamed = species if isinstance(species, Mapping) else {}
        self._words = first.words[0].copy()
        self.numbers = self._read(first, 0)

    def check(self, table: Table) -> None:
        """Refuses a frame whose atoms are others, naming the frame and the atom."""
        if table.layout.word is not None and (table.words == self._words).all():
            return
        for frame in range(len(table.heads)):
            numbers = self._read(table, frame)
            differs = np.flatnonzero(numbers != self.numbers)
            if differs.size:
                atom = int(differs[0])
                raise InputError(
                    "the atoms change", where=f"{self.path}: frame {table.first_frame + frame}, "
                    f"atom {atom}", expected=f"atomic number {self.numbers[atom]}",
                    found=int(numbers[atom]), remedy="every frame needs the same atoms in order",
                )  # fmt: skip

    def _read(self, table: Table, frame: int) -> NDArray[np.int64]:
        """(n_atoms,) atomic numbers of one frame."""
        where = f"{self.path}: frame {table.first_frame + frame}"
        if table.layout.word is None:
            numbers = table.values[frame, :, table.layout.places["z[0]"]]
            bad = (numbers != np.rint(numbers)) | (numbers < 1) | (numbers >= len(atomic_masses))
            if bad.any():
                raise InputError(
                    f"Z of atom {np.flatnonzero(bad)[0]}", where=where,
                    expected="an atomic number", found=f"{numbers[bad][0]:g}",
                )  # fmt: skip
            return numbers.astype(np.int64)
        packed, inverse = np.unique(table.words[frame], return_inverse=True)
        words = [unpack_word(word) for word in packed.tolist()]
        try:
            known = [element_number(self._renamed.get(word, word)) for word in words]
        except InputError as error:
            raise InputError(str(error), where=where) from error
        return np.array(known, dtype=np.int64)[inverse]


def _frames(table: Table, atoms: _Atoms) -> Frames:
    """A block of frames in our units."""
    atoms.check(table)
    items = _Items(atoms.path, table)

    def vectors(name: str) -> FloatArray | None:
        if f"{name}[0]" not in table.layout.places:
            return None
        return table.layout.pick(table.values, [f"{name}[{k}]" for k in range(3)])

    cells = np.concatenate([head.box.cell for head in table.heads]).reshape(-1, 3, 3)
    energies = (items.numbers(key) for key in _ENERGIES)
    return Frames(
        coordinates=table.layout.pick(table.values, ["pos[0]", "pos[1]", "pos[2]"]),
        cells=cells,
        steps=items.steps(),
        times_fs=items.times_fs(),
        energies=next((found for found in energies if found is not None), None),
        forces=_first_present(vectors, _FORCES),
        velocities=_velocities(table, atoms, vectors),
        stresses=items.stresses(cells),
    )


class _Items:
    """What the comment lines of a block say; None where one of them does not."""

    def __init__(self, path: Path, table: Table) -> None:
        self.path = path
        self.first_frame = table.first_frame
        self.items: list[dict[bytes, bytes]] = [head.items for head in table.heads]

    def numbers(self, key: bytes, n: int = 1) -> FloatArray | None:
        """(n_frames,), or (n_frames, n) for more numbers than one."""
        if not all(key in items for items in self.items):
            return None
        words = [_plain(items[key]) for items in self.items]
        numbers = numbers_of_lines(words, n)
        if numbers is None:
            wrong = next(k for k, w in enumerate(words) if numbers_of_lines([w], n) is None)
            raise InputError(
                key.decode(),
                where=f"{self.path}: frame {self.first_frame + wrong}",
                expected=f"{n} finite numbers" if n > 1 else "a finite number",
                found=_shown(words[wrong]),
            )
        return numbers if n > 1 else numbers[:, 0]

    def steps(self) -> NDArray[np.int64] | None:
        """(n_frames,) MD steps."""
        steps = self.numbers(b"step")
        if steps is None:
            return None
        wrong = np.flatnonzero((steps != np.rint(steps)) | (np.abs(steps) > 2**53))
        if wrong.size:
            raise InputError(
                "step",
                where=f"{self.path}: frame {self.first_frame + wrong[0]}",
                expected="a whole number",
                found=f"{steps[wrong[0]]:g}",
            )
        return steps.astype(np.int64)

    def times_fs(self) -> FloatArray | None:
        """(n_frames,) fs."""
        times = self.numbers(b"time_fs")
        if times is None and (times := self.numbers(b"time_ps")) is not None:
            times = times * PS_IN_FS
        return times

    def stresses(self, cells: FloatArray) -> FloatArray | None:
        """(n_frames, 3, 3) eV/Å³, from the stress or the virial."""
        tensors = self._tensors(b"stress")
        if tensors is None and (virials := self._tensors(b"virial")) is not None:
            tensors = -virials / np.abs(np.linalg.det(cells))[:, None, None]
        return tensors

    def _tensors(self, key: bytes) -> FloatArray | None:
        """(n_frames, 3, 3), of nine numbers column after column, or the six of Voigt."""
        if len(_plain(self.items[0].get(key, b"")).split()) == 6:
            six = self.numbers(key, 6)  # xx yy zz yz xz xy
            return None if six is None else six[:, [0, 5, 4, 5, 1, 3, 4, 3, 2]].reshape(-1, 3, 3)
        nine = self.numbers(key, 9)
        return None if nine is None else nine.reshape(-1, 3, 3).transpose(0, 2, 1)


def _plain(value: bytes) -> bytes:
    """A value without quotes, brackets and commas."""
    value = value.strip(_QUOTES)
    return value.replace(b",", b" ") if b"," in value else value


def _first_present(
    vectors: Callable[[str], FloatArray | None], names: tuple[str, ...]
) -> FloatArray | None:
    return next((found for name in names if (found := vectors(name)) is not None), None)


def _velocities(
    table: Table, atoms: _Atoms, vectors: Callable[[str], FloatArray | None]
) -> FloatArray | None:
    """(n_frames, n_atoms, 3) Å/fs, as printed or from the momenta."""
    momenta = vectors("momenta")
    stated = _first_present(vectors, _VELOCITIES)
    if stated is not None or momenta is None:
        return stated
    masses = atomic_masses[atoms.numbers][:, None]
    if "masses[0]" in table.layout.places:
        masses = table.layout.pick(table.values, ["masses[0]"])
    return np.asarray(momenta / masses / ASE_TIME_IN_FS)
