"""XDATCAR of VASP: fractional coordinates, one cell or a cell before every frame.

The file says neither the timestep nor how many steps lie between frames: its counters count MD
steps in some versions and stored frames in others, so they only serve to find joined runs.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from mdbench.compiled import compiled
from mdbench.errors import InputError
from mdbench.formats._numbers import Bytes, parse_numbers, scan_numbers, settle_hard
from mdbench.formats._stream import PIECE, ByteStream
from mdbench.formats.base import FloatArray, Frames, Header, Hints, Source
from mdbench.trajectory import element_number

#: More atoms than any XDATCAR holds: a damaged line of counts.
_MOST_ATOMS = 20_000_000
#: Bytes of "0 0 0" and a line break.
_SHORTEST_LINE = 6
#: A frame is never longer than this and 1 kB per atom.
_LONGEST_FRAME = 1 << 24

_MORE_TEXT, _OTHER_LINE, _NO_ROOM, _BAD_LINE, _LONG_LINE = range(5)
_DIRECT = np.frombuffer(b"direct", dtype=np.uint8)
_CONFIGURATION = np.frombuffer(b"configuration", dtype=np.uint8)


@compiled
def _line_end(text: Bytes, at: int) -> int:  # pragma: no cover
    """The place of the next newline, or the end of the text."""
    while at < len(text) and text[at] != 10:
        at += 1
    return at


@compiled
def _skip_blanks(text: Bytes, at: int, stop: int) -> int:  # pragma: no cover
    """The next byte that is no blank."""
    while at < stop and text[at] <= 32:
        at += 1
    return at


@compiled
def _is_direct(text: Bytes, at: int, stop: int) -> bool:  # pragma: no cover
    """Whether a line is "Direct" or "Direct configuration …", not a title that begins so."""
    for word in (_DIRECT, _CONFIGURATION):
        for k in range(len(word)):
            if at + k >= stop or text[at + k] | 32 != word[k]:
                return False
        at = _skip_blanks(text, at + len(word), stop)
        if at == stop:
            return True
    return True


@compiled
def _decimals(text: Bytes, stop: int) -> int:  # pragma: no cover
    """How many digits after the point the number has that ends here."""
    at = stop
    while at > 0 and 48 <= text[at - 1] <= 57:
        at -= 1
    return stop - at if at > 0 and text[at - 1] == 46 else -1


@compiled
def _number_ends(text: Bytes, start: int, stop: int) -> bool:  # pragma: no cover
    """Whether the last number of the file is whole: as many decimals as the two before it.

    The line has no newline, so the file may have been cut off within the number.
    """
    last = _decimals(text, stop)
    if last < 4:
        return bool(text[stop - 1] <= 32)
    at = stop - last - 1
    for _ in range(2):
        while at > start and 48 <= text[at - 1] <= 57:
            at -= 1
        if at > start and (text[at - 1] == 45 or text[at - 1] == 43):
            at -= 1
        while at > start and text[at - 1] <= 32:
            at -= 1
        if _decimals(text, at) != last:
            return False
        at -= last + 1
    return True


@compiled
def _read_frames(
    text: Bytes,
    at: int,
    final: bool,
    begun: bool,
    numbers: FloatArray,
    counters: NDArray[np.int64],
    hard: NDArray[np.int64],
) -> tuple[int, int, int, int, int, int]:  # pragma: no cover
    """Reads complete frames, each a line "Direct …" and a line for every atom.

    Args:
        text: (n_bytes,).
        at: Where to begin, at the beginning of a line.
        final: The text ends with the file.
        begun: The line before the first frame's coordinates was read already.
        numbers: (n_frames, 3 n_atoms) receives the coordinates.
        counters: (n_frames,) receives the number after "Direct configuration=", -1 without one.
        hard: (n, 3) receives the numbers that are left to `float`, see `scan_numbers`.

    Returns:
        Frames read; first byte that is not used up; entries in `hard`; what ended the reading;
        the byte and the atom that it is about.
    """
    n_hard = 0
    resume = at
    n_atoms = numbers.shape[1] // 3
    for frame in range(numbers.shape[0]):
        resume = at
        hard_before = n_hard
        counters[frame] = -1
        if not begun:
            end = _line_end(text, at)
            if end == len(text):
                return frame, resume, hard_before, _MORE_TEXT, at, 0
            i = _skip_blanks(text, at, end)
            if not _is_direct(text, i, end):
                return frame, resume, hard_before, _OTHER_LINE, at, 0
            while i < end and text[i] != 61:  # =
                i += 1
            i = _skip_blanks(text, i + 1, end)
            if i < end and 48 <= text[i] <= 57:
                counters[frame] = 0
                while i < end and 48 <= text[i] <= 57 and counters[frame] < 10**15:
                    counters[frame] = 10 * counters[frame] + (text[i] - 48)
                    i += 1
            at = end + 1
        begun = False
        for atom in range(n_atoms):
            end = _line_end(text, at)
            cut = end == len(text)
            if cut and not final:
                return frame, resume, hard_before, _MORE_TEXT, at, atom
            row = numbers[frame, 3 * atom : 3 * atom + 3]
            count, i, more = scan_numbers(text, at, end, row, hard[n_hard:])
            for k in range(n_hard, n_hard + more):
                hard[k, 0] += frame * numbers.shape[1] + 3 * atom
            n_hard += more
            if count < 3:
                if n_hard == hard.shape[0]:
                    return frame, resume, hard_before, _NO_ROOM, at, atom
                why = _MORE_TEXT if cut else _BAD_LINE
                return frame, resume, hard_before, why, at, atom
            i = _skip_blanks(text, i, end)
            if i < end and (48 <= text[i] <= 57 or text[i] == 43 or 45 <= text[i] <= 46):
                why = _MORE_TEXT if cut else _LONG_LINE
                return frame, resume, hard_before, why, at, atom
            if cut and i == end and not _number_ends(text, at, end):
                return frame, resume, hard_before, _MORE_TEXT, at, atom
            at = min(end + 1, len(text))
    return numbers.shape[0], at, n_hard, _NO_ROOM, at, 0


def looks_like_xdatcar(name: str, head: bytes) -> bool:
    """Whether a file is an XDATCAR, by its name (without .gz) or its eighth line."""
    lines = head.split(b"\n", 9)
    return "xdatcar" in name.lower() or any(
        line.strip().lower().startswith(b"direct configuration") for line in lines[6:9]
    )


def open_xdatcar(path: Path, hints: Hints) -> Source:
    """An XDATCAR as a stream of frames; the time between them must come from the user."""
    stream = ByteStream(path)
    try:
        reader = _Reader(stream)
        numbers = reader.head.atomic_numbers(path, hints.species)
    except InputError:
        stream.close()
        raise
    return Source(
        path=path,
        format="XDATCAR",
        header=Header(
            atomic_numbers=numbers,
            scaled=True,
            timestep_fs=hints.timestep_fs,
            code="VASP",
        ),
        blocks=reader.blocks(),
        notes=reader.notes,
        fraction=stream.fraction,
    )


@dataclass(frozen=True)
class _Head:
    """The lines before a frame: cell, elements, numbers of atoms.

    Attributes:
        cell: (3, 3) Å.
        symbols: Element of each kind of atom; empty where the file does not name them.
        counts: Number of atoms of each kind.
        length: Bytes, up to the line "Direct …".
    """

    cell: FloatArray
    symbols: tuple[str, ...]
    counts: tuple[int, ...]
    length: int

    @property
    def n_atoms(self) -> int:
        """Number of atoms."""
        return sum(self.counts)

    def atomic_numbers(
        self, path: Path, species: Mapping[str, str] | tuple[str, ...] | None
    ) -> NDArray[np.int64]:
        """(n_atoms,) from the file, else from what the user says."""
        symbols = self.symbols
        if not symbols:
            if isinstance(species, Mapping):
                species = tuple(species[k] for k in sorted(species, key=lambda k: (len(k), k)))
            if species is not None and len(species) == self.n_atoms:
                return np.array([element_number(s) for s in species], dtype=np.int64)
            if species is None or len(species) != len(self.counts):
                raise InputError(
                    "no elements in line 6, as in files of VASP 4",
                    where=path,
                    expected=f"{len(self.counts)} symbols",
                    found="none" if species is None else len(species),
                    remedy="name them in the order of the file: --species Li,P,S",
                )
            symbols = tuple(species)
        try:
            kinds = [element_number(s) for s in symbols]
        except InputError as error:
            raise InputError(str(error), where=f"{path}: line 6") from error
        return np.repeat(np.array(kinds, dtype=np.int64), self.counts)


def _read_head(text: bytes, path: Path, line: int) -> _Head | None:
    """The head that begins a text; None where the text ends within it.

    Args:
        text: From the title on.
        path: For messages.
        line: Number of the title's line.
    """
    lines = _HeadLines(text.split(b"\n", 10)[:-1], path, line)
    if len(lines.lines) > 3 and lines.lines[3].strip() == b"CAR":
        raise InputError(
            "an XDATCAR of VASP 4.6, which has no cell",
            where=path,
            remedy="convert it with its POSCAR to a format with cells",
        )
    vectors = [lines.floats(k, (3,), "cell vector", "three numbers") for k in (2, 3, 4)]
    cell = lines.scaled_cell(vectors)
    if cell is None or len(lines.lines) < 8:
        return None
    symbols: tuple[str, ...] = ()
    k = 5
    if re.match(rb"\s*[A-Za-z]", lines.lines[k]):
        names = lines.lines[k].decode("latin-1").split()
        symbols = tuple(re.split(r"[_/.]", name)[0] for name in names)
        k += 1
    counts = lines.counts(k)
    if symbols and len(symbols) != len(counts):
        lines.refuse(5, "elements", f"{len(counts)} symbols, as many as numbers in the next line")
    k += 1
    if lines.lines[k].strip()[:1].lower() == b"s":  # Selective dynamics
        k += 1
        if len(lines.lines) <= k:
            return None
    mode = lines.lines[k].strip()[:6].lower()
    if mode and mode != b"direct":
        lines.refuse(k, "kind of coordinates", "Direct configuration=")
    length = sum(len(each) + 1 for each in lines.lines[:k])
    return _Head(cell=cell, symbols=symbols, counts=counts, length=length)


@dataclass(frozen=True)
class _HeadLines:
    """Lines of a head, with their numbers in the file for messages."""

    lines: list[bytes]
    path: Path
    first: int

    def refuse(self, k: int, what: str, expected: str) -> NoReturn:
        """Raises an error about a line."""
        found = self.lines[k].decode("latin-1").strip()[:60]
        raise InputError(
            what, where=f"{self.path}: line {self.first + k}", expected=expected, found=repr(found)
        )

    def floats(
        self, k: int, allowed: tuple[int, ...], what: str, expected: str
    ) -> FloatArray | None:
        """The numbers of a line; None where there is no such line."""
        if k >= len(self.lines):
            return None
        values = _floats(self.lines[k])
        if values is None or len(values) not in allowed:
            self.refuse(k, what, expected)
        return values

    def scaled_cell(self, vectors: list[FloatArray | None]) -> FloatArray | None:
        """(3, 3) Å; a negative scale is the volume, three scale x, y and z."""
        scale = self.floats(1, (1, 3), "scale", "a number, or three")
        if scale is None:
            return None
        if not scale.all() or (len(scale) == 3 and (scale < 0).any()):
            self.refuse(1, "scale", "a number other than zero")
        if any(vector is None for vector in vectors):
            return None
        cell = np.array(vectors, dtype=np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            if scale[0] < 0:
                volume = abs(float(np.linalg.det(cell)))
                if not 0.0 < volume < np.inf:
                    self.refuse(1, "scale", "a cell with a volume")
                scale = np.cbrt(-scale / volume)
            cell = np.asarray(scale * cell)
        if not np.isfinite(cell).all():
            self.refuse(1, "scale", "a cell of finite size")
        return cell

    def counts(self, k: int) -> tuple[int, ...]:
        """Numbers of atoms."""
        words = self.lines[k].split()
        counts = tuple(int(n) for n in words if re.fullmatch(rb"\d{1,9}", n))
        if len(counts) != len(words) or not 0 < sum(counts) <= _MOST_ATOMS:
            self.refuse(k, "numbers of atoms", "whole numbers above 0")
        return counts


def _floats(line: bytes) -> FloatArray | None:
    """The numbers of a line; None where something in it is no finite number."""
    values, at = parse_numbers(line, 8)
    if line[at:].strip() or b"<" in line or not np.isfinite(values).all():
        return None
    return values


class _Reader:
    """Turns the stream into blocks of frames."""

    def __init__(self, stream: ByteStream) -> None:
        self.stream = stream
        self.path = stream.path
        self.notes: list[str] = []
        self.n_frames = 0
        self.line = 1  # number of the line at which the buffer begins
        self.buffer = b""
        self.seams = _Seams()
        while (piece := stream.read(1 << 16)) and self.buffer.count(b"\n") < 12:
            self.buffer += piece
        self.buffer += piece
        self.final = not piece
        head = _read_head(self.buffer, self.path, 1)
        if head is None:
            raise InputError(
                "the file ends within its first lines",
                where=self.path,
                expected="title, scale, cell, elements, numbers of atoms, Direct configuration=",
            )
        if self.final and len(self.buffer) - head.length < _SHORTEST_LINE * head.n_atoms - 1:
            raise InputError(
                "no complete frame",
                where=self.path,
                expected=f"{head.n_atoms} lines of coordinates",
                found=f"{len(self.buffer) - head.length} bytes",
                remedy="are the numbers of atoms right?",
            )
        self.head = self.first = head
        self.room = max(1, min(1024, (1 << 23) // (24 * head.n_atoms)))

    def blocks(self) -> Generator[Frames]:
        """The frames in blocks of at most 1024 and about 8 MB of coordinates."""
        self._use(self.head.length)
        with self.stream:
            while True:
                yield from self._window()
                if self.final:
                    break
                if len(self.buffer) > _LONGEST_FRAME + 1024 * self.head.n_atoms:
                    self._refuse(0, "a frame without end", "shorter lines")
                piece = self.stream.read(max(PIECE, len(self.buffer)))
                self.buffer += piece
                self.final = not piece
        self._finish()

    def _window(self) -> Generator[Frames]:
        """The complete frames of the buffer, which keeps what comes after them."""
        text = np.frombuffer(self.buffer, dtype=np.uint8)
        at = 0
        more = True
        while more:
            numbers = np.empty((self.room, 3 * self.head.n_atoms))
            cells = np.empty((self.room, 3, 3))
            n = 0
            while n < self.room and more:
                head_length = self._head_length(at)
                if head_length is None:
                    more = False
                    break
                begun = head_length < 0
                count, at, why = self._frames(text, at + abs(head_length), begun, numbers[n:])
                cells[n : n + count] = self.head.cell
                if why == _MORE_TEXT:
                    at -= abs(head_length) if count == 0 else 0
                    more = False
                n += count
            if n:
                block = numbers[:n].reshape(n, self.head.n_atoms, 3)
                yield Frames(coordinates=block, cells=cells[:n])
        self._use(at)

    def _frames(
        self, text: Bytes, at: int, begun: bool, numbers: FloatArray
    ) -> tuple[int, int, int]:
        """Reads the frames of one cell: how many, where to go on, what ended them."""
        counters = np.empty(len(numbers), dtype=np.int64)
        hard = np.empty((numbers.shape[1] + 64, 3), dtype=np.int64)
        count, at, n_hard, why, where, atom = _read_frames(
            text, at, self.final, begun, numbers, counters, hard
        )
        if why in (_BAD_LINE, _LONG_LINE):
            what = f"frame {self.n_frames + count}, coordinates of atom {atom}"
            self._refuse(where, what, "three numbers")
        infinite = settle_hard(text, hard[:n_hard], numbers)
        if infinite is not None:
            frame = self.n_frames + infinite // numbers.shape[1]
            raise InputError(f"frame {frame}: a coordinate beyond 1e308", where=self.path)
        self.seams.watch(counters[:count].tolist(), self.n_frames)
        self.n_frames += count
        return count, at, why

    def _head_length(self, at: int) -> int | None:
        """Bytes to skip before "Direct …", negative for a blank line in its place.

        None where the text ends.
        """
        end = self.buffer.find(b"\n", at)
        line = self.buffer[at : end if end >= 0 else len(self.buffer)]
        if end < 0:
            return None
        if _is_direct(np.frombuffer(line.strip(), dtype=np.uint8), 0, len(line.strip())):
            return 0
        after = self.buffer.find(b"\n", end + 1)
        if not line.strip():
            if not self.buffer[end : end + 4096].strip() and self.final:
                return None
            if after < 0:
                return None
            values = _leading_floats(self.buffer[end + 1 : after])
            if values >= 3:
                return -(end + 1 - at)
            if not self.buffer[end + 1 : after].strip():
                return end + 1 - at
        if _leading_floats(line) >= 3:
            self._refuse(at, f"after {self.head.n_atoms} atoms", "Direct configuration=")
        head = _read_head(self.buffer[at : at + 65536], self.path, self._line_at(at))
        if head is None:
            return None
        if (head.symbols, head.counts) != (self.first.symbols, self.first.counts):
            raise InputError(
                f"frame {self.n_frames}: other atoms",
                where=f"{self.path}: line {self._line_at(at) + 5}",
                expected=f"{self.first.symbols} {self.first.counts}",
                found=f"{head.symbols} {head.counts}",
            )
        self.head = head
        return head.length

    def _line_at(self, at: int) -> int:
        return self.line + self.buffer.count(b"\n", 0, at)

    def _use(self, length: int) -> None:
        """Drops the beginning of the buffer."""
        self.line = self._line_at(length)
        self.buffer = self.buffer[length:]

    def _refuse(self, at: int, what: str, expected: str) -> NoReturn:
        found = self.buffer[at : at + 80].split(b"\n")[0].decode("latin-1").strip()
        raise InputError(
            what,
            where=f"{self.path}: line {self._line_at(at)}",
            expected=expected,
            found=repr(found),
            remedy="the file is damaged there: cut it before this frame",
        )

    def _finish(self) -> None:
        if self.stream.truncated:
            self.notes.append("the compressed file is cut off")
        if self.n_frames == 0:
            raise InputError(
                "no complete frame",
                where=self.path,
                expected=f"Direct configuration= and {self.first.n_atoms} lines of coordinates",
            )
        if self.buffer.strip():
            self.notes.append(f"the last frame is incomplete: {self.n_frames} complete frames used")
        self.notes.extend(self.seams.notes())


class _Seams:
    """Finds joined runs by the counters of the frames."""

    def __init__(self) -> None:
        self.last = -1
        self.stride: int | None = None
        self.found: list[tuple[int, int, int]] = []

    def watch(self, counters: list[int], first_frame: int) -> None:
        """Looks at the counters of the next frames; -1 is a frame without one."""
        for frame, counter in enumerate(counters, first_frame):
            if counter >= 0 and self.last >= 0:
                stride = counter - self.last
                if self.stride is None:
                    self.stride = stride
                if stride != self.stride:
                    self.found.append((frame, self.last, counter))
            self.last = counter

    def notes(self) -> list[str]:
        """One sentence about the seams, or none."""
        if not self.found:
            return []
        places = ", ".join(
            f"{last} to {now} at frame {frame}" for frame, last, now in self.found[:3]
        )
        more = f" and {len(self.found) - 3} more" if len(self.found) > 3 else ""
        return [f"the configuration counter jumps from {places}{more}: joined runs?"]


def _leading_floats(line: bytes) -> int:
    """How many numbers a line begins with, at most three."""
    return len(parse_numbers(line, 3)[0])
