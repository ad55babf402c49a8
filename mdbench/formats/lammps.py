"""LAMMPS text dumps (`dump atom`, `dump custom`) in units metal or real.

Coordinates are Cartesian with the origin of the box left in, as x, y, z are printed; scaled
coordinates become origin + s · cell, so that every kind of column gives the same numbers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mdbench.errors import InputError
from mdbench.formats._lammps_atoms import Atoms, integers
from mdbench.formats._rows import MOST_ATOMS, Layout, Table, frames_of, read_tables
from mdbench.formats._stream import ByteStream
from mdbench.formats.base import Frames, Header, Hints, Source
from mdbench.units import KCAL_PER_MOL_IN_EV, PS_IN_FS

FloatArray = NDArray[np.float64]

#: Of each style: fs per unit of time, eV/Å per unit of force.
_UNITS = {"metal": (PS_IN_FS, 1.0), "real": (1.0, KCAL_PER_MOL_IN_EV)}
#: The kinds of coordinates in the order of preference.
_KINDS = (("xu", "yu", "zu"), ("xsu", "ysu", "zsu"), ("x", "y", "z"), ("xs", "ys", "zs"))
_IMAGES = ("ix", "iy", "iz")
_VELOCITIES = ("vx", "vy", "vz")
_FORCES = ("fx", "fy", "fz")

_TOP = re.compile(
    rb"(?:ITEM: UNITS[ \t]*\r?\n[ \t]*(\w+)\s*\n)?"
    rb"(?:ITEM: TIME[ \t]*\r?\n[ \t]*([-+.\deE]+)\s*\n)?"
    rb"ITEM: TIMESTEP[ \t]*\r?\n[ \t]*(-?\d{1,18})\s*\n"
)
_HEAD_LINES = 20


def looks_like_lammps(name: str, head: bytes) -> bool:
    """Whether a file is a LAMMPS text dump, by its first bytes."""
    return re.match(rb"\s*ITEM: (TIMESTEP|TIME|UNITS)\b", head) is not None


def open_lammps(path: Path, hints: Hints) -> Source:
    """An open LAMMPS text dump; atoms are sorted by id.

    Raises:
        InputError: No complete frame, no ids, elements that cannot be told, foreign units.
    """
    stream = ByteStream(path)
    notes: list[str] = []
    dump = _Dump(path, hints)
    tables = read_tables(stream, dump, notes)
    first = next(tables)
    try:
        atoms = Atoms(path, hints, first, notes)
    except InputError:
        stream.close()
        raise
    names = first.layout.places
    header = Header(
        atomic_numbers=atoms.numbers,
        pbc=first.heads[0].box.pbc,
        unwrapped="xu" in names or "xsu" in names or "ix" in names,
        timestep_fs=hints.timestep_fs,
        code="LAMMPS",
    )
    blocks = frames_of(first, tables, lambda table: _frames(table, atoms, dump))
    return Source(path, "LAMMPS dump", header, blocks, notes, stream.fraction)


@dataclass(frozen=True)
class _Box:
    """What stays the same in the header lines of most frames.

    Attributes:
        n_atoms: Number of atoms.
        cell: (3, 3) Å.
        origin: (3,) Å.
        pbc: (3,) bool.
        layout: The columns.
    """

    n_atoms: int
    cell: FloatArray
    origin: FloatArray
    pbc: NDArray[np.bool_]
    layout: Layout


@dataclass(frozen=True, slots=True)
class _Head:
    """The header lines of one frame."""

    step: int
    time_fs: float | None
    box: _Box
    length: int

    @property
    def n_atoms(self) -> int:
        return self.box.n_atoms

    @property
    def layout(self) -> Layout:
        return self.box.layout


class _Dump:
    """The header lines of a dump, checked against those of its first frame."""

    declares = "ITEM: ATOMS"

    def __init__(self, path: Path, hints: Hints) -> None:
        self.path = path
        self.units = hints.lammps_units
        self._units_stated = False
        self._box_text = b""
        self._place = ""
        self._box: _Box | None = None

    def head(self, text: bytes, at: int, frame: int) -> _Head | None:
        """The header of the frame that begins at a byte; None where the text ends inside."""
        atoms = text.find(b"ITEM: ATOMS", at)
        end = text.find(b"\n", atoms) + 1 if atoms >= 0 else 0
        if not end:
            self._check_start(text, at, frame)
            return None
        top, item, rest = text[at:end].partition(b"ITEM: NUMBER OF ATOMS")
        match = _TOP.fullmatch(top)
        if match is None or not item:
            raise self._error(
                frame,
                "header",
                expected="ITEM: TIMESTEP with a number, then ITEM: NUMBER OF ATOMS",
                found=_shown(top),
            )
        units, time, step = match.groups()
        if units is not None:
            self._set_units(units.decode(), frame)
        if rest != self._box_text or self._box is None:
            self._box = self._parse_box(rest, frame)
            self._box_text = rest
        box = self._box
        time_fs = None if time is None else self._time_fs(time, frame)
        return _Head(int(step), time_fs, box, end - at)

    def _error(
        self, frame: int, what: str, *, expected: str, found: str, remedy: str | None = None
    ) -> InputError:
        where = f"{self.path}: frame {frame}"
        return InputError(what, where=where, expected=expected, found=found, remedy=remedy)

    def _check_start(self, text: bytes, at: int, frame: int) -> None:
        """Refuses what cannot become a header, however the text goes on."""
        lines = text[at : at + 4096].split(b"\n")[:-1]
        if lines and lines[0].strip() and not lines[0].startswith(b"ITEM: "):
            raise self._error(frame, "header", expected="ITEM: TIMESTEP", found=_shown(lines[0]))
        if len(lines) > _HEAD_LINES:
            raise self._error(
                frame, "header", expected="ITEM: ATOMS with the columns", found="none"
            )

    def _set_units(self, units: str, frame: int) -> None:
        if units not in _UNITS:
            raise self._error(
                frame, "units", expected=" or ".join(_UNITS), found=units,
                remedy="convert the dump, or write it with one of these",
            )  # fmt: skip
        if self._units_stated and units != self.units:
            raise self._error(frame, "other units than before", expected=self.units, found=units)
        if not self._units_stated and frame:
            raise self._error(
                frame, "units stated after the first frame", expected="from the start", found=units
            )
        self.units = units
        self._units_stated = True

    def _time_fs(self, word: bytes, frame: int) -> float:
        try:
            time = float(word)
        except ValueError:
            time = np.nan
        if not np.isfinite(time):
            raise self._error(frame, "ITEM: TIME", expected="a number", found=_shown(word))
        return time * _UNITS[self.units][0]

    def _parse_box(self, rest: bytes, frame: int) -> _Box:
        lines = rest.decode("utf-8", "replace").strip().split("\n")
        count = lines[0].strip()
        if not count.isascii() or not count.isdigit() or not 0 < int(count) <= MOST_ATOMS:
            raise self._error(frame, "number of atoms", expected="1 or more", found=repr(count))
        first = self._box
        if first is not None and int(count) != first.n_atoms:
            raise self._error(
                frame, "the number of atoms changes", expected=str(first.n_atoms), found=count,
                remedy="a run with a constant set of atoms is needed",
            )  # fmt: skip
        if len(lines) != 6 or not lines[1].startswith("ITEM: BOX BOUNDS"):
            raise self._error(
                frame, "no box", expected="ITEM: BOX BOUNDS and three lines, then ITEM: ATOMS",
                found=_shown(lines[1].encode()),
            )  # fmt: skip
        cell, origin, pbc = self._cell(lines[1].split()[3:], lines[2:5], frame)
        if first is not None and not np.array_equal(pbc, first.pbc):
            raise self._error(
                frame, "other boundaries than before", expected=str(first.pbc), found=str(pbc)
            )
        columns = tuple(lines[5].split()[2:])
        if first is not None and columns == first.layout.columns:
            layout = first.layout
        else:
            layout = self._layout(columns, frame)
        return _Box(int(count), cell, origin, pbc, layout)

    def _cell(
        self, style: list[str], lines: list[str], frame: int
    ) -> tuple[FloatArray, FloatArray, NDArray[np.bool_]]:
        """(3, 3) Å, (3,) Å and (3,): cell, origin and boundaries from ITEM: BOX BOUNDS."""
        letters = [word for word in style if re.fullmatch("[pfsm]{2}", word)]
        form = tuple(word for word in style if word not in letters)
        widths = {(): 2, ("xy", "xz", "yz"): 3, ("abc", "origin"): 4}
        try:
            numbers = np.array([[float(word) for word in line.split()] for line in lines])
        except ValueError:  # words, or lines of unequal length
            numbers = np.empty((0, 0))
        if form not in widths or len(letters) not in (0, 3):
            raise self._error(
                frame, "box", expected="pp pp pp, xy xz yz or abc origin", found=" ".join(style)
            )
        if numbers.shape != (3, widths[form]) or not np.isfinite(numbers).all():
            raise self._error(
                frame, "box", expected=f"three lines of {widths[form]} numbers", found=repr(lines)
            )
        if form == ("abc", "origin"):
            cell, origin = numbers[:, :3], numbers[:, 3]
        else:
            cell, origin = _restricted_cell(numbers)
        general = form == ("abc", "origin")
        if not (abs(np.linalg.det(cell)) > 0 and (general or (np.diag(cell) > 0).all())):
            raise self._error(frame, "box", expected="a volume above zero", found=repr(lines))
        pbc = np.array([word == "pp" for word in letters or ["pp"] * 3])
        return cell, origin, pbc

    def _layout(self, columns: tuple[str, ...], frame: int) -> Layout:
        kind = next((k for k in _KINDS if set(k) <= set(columns)), None)
        if kind is None:
            raise self._error(
                frame, "coordinates", expected="columns x y z, xs ys zs, xu yu zu or xsu ysu zsu",
                found=" ".join(columns) or "no columns",
            )  # fmt: skip
        if len(set(columns)) < len(columns):
            raise self._error(frame, "columns", expected="each once", found=" ".join(columns))
        groups = [_VELOCITIES, _FORCES, *([] if "u" in kind[0] else [_IMAGES])]
        present = [group for group in groups if set(group) <= set(columns)]
        place = " ".join(kind + _IMAGES if _IMAGES in present else kind)
        if self._place not in ("", place):
            raise self._error(
                frame, "other coordinates than before", expected=self._place, found=place
            )
        self._place = place
        wanted = {"id", "type", "mass", *kind, *chain(*present)}
        return Layout(columns, wanted, "element" if "element" in columns else None)


def _restricted_cell(numbers: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(3, 3) and (3,) Å, cell and origin of an orthogonal or tilted box.

    A tilted box is printed as the orthogonal box around it.

    Args:
        numbers: (3, 2 or 3) Å, low and high bound of x, y, z, and the tilts xy, xz, yz.
    """
    low, high = numbers[:, 0].copy(), numbers[:, 1].copy()
    xy, xz, yz = numbers[:, 2] if numbers.shape[1] == 3 else np.zeros(3)
    low[0] -= min(0.0, xy, xz, xy + xz)
    high[0] -= max(0.0, xy, xz, xy + xz)
    low[1] -= min(0.0, yz)
    high[1] -= max(0.0, yz)
    cell = np.diag(high - low)
    cell[1, 0], cell[2, 0], cell[2, 1] = xy, xz, yz
    return cell, low


def _shown(text: bytes) -> str:
    lines = text.decode("utf-8", "replace").strip().splitlines()
    return repr(lines[0][:60]) if lines else "nothing"


def _frames(table: Table, atoms: Atoms, dump: _Dump) -> Frames:
    """A block of frames in our units, atoms sorted by id."""
    values, _ = atoms.sorted(table)
    layout, heads = table.layout, table.heads
    fs_per_time, ev_per_angstrom = _UNITS[dump.units]
    kind = next(k for k in _KINDS if k[0] in layout.places)
    coordinates = layout.pick(values, kind)
    cells = np.concatenate([head.box.cell for head in heads]).reshape(-1, 3, 3)
    if "s" in kind[0]:
        origins = np.array([head.box.origin for head in heads])
        coordinates = coordinates @ cells + origins[:, None]
    images = None
    if "ix" in layout.places:
        where = f"{atoms.path}: frames {table.first_frame} to {table.first_frame + len(heads) - 1}"
        images = integers(layout.pick(values, _IMAGES), where, "image flags")
    times = [head.time_fs for head in heads]
    return Frames(
        coordinates=coordinates,
        cells=cells,
        steps=np.array([head.step for head in heads], dtype=np.int64),
        times_fs=None if None in times else np.array(times, dtype=np.float64),
        images=images,
        forces=layout.pick(values, _FORCES) * ev_per_angstrom if "fx" in layout.places else None,
        velocities=layout.pick(values, _VELOCITIES) / fs_per_time
        if "vx" in layout.places
        else None,
    )
