"""Frames of a few header lines and one line per atom: LAMMPS dumps and extended XYZ.

A format says how its header lines read; everything about the atoms' lines is here.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mdbench.compiled import compiled
from mdbench.errors import InputError
from mdbench.formats._numbers import scan_numbers, settle_hard
from mdbench.formats._stream import ByteStream
from mdbench.formats.base import Frames

FloatArray = NDArray[np.float64]

#: Bytes that are read at a time: they stay in the processor's cache.
WINDOW = 1 << 18
#: A block holds at most so many frames …
BLOCK_FRAMES = 1024
#: … and so many bytes of coordinates (or one frame).
BLOCK_BYTES = 8 << 20
#: More atoms than this are a damaged count.
MOST_ATOMS = 200_000_000

_SKIP, _NUMBERS, _WORD = 0, 1, 2
_READ, _TEXT_ENDS, _BAD_LINE = 0, 1, 2


@compiled
def scan_rows(
    text: NDArray[np.uint8],
    start: int,
    runs: NDArray[np.int64],
    out: NDArray[np.float64],
    words: NDArray[np.uint64],
    hard: NDArray[np.int64],
) -> tuple[int, int, int, int]:  # pragma: no cover
    """Reads the lines of the atoms of one frame.

    Args:
        text: (n_bytes,) the text.
        start: First byte of the first line.
        runs: (n_runs, 2) kind and length of the runs of equal columns: skipped, numbers, word.
        out: (n_atoms, n_values) receives the numbers.
        words: (n_atoms,) receives the up to eight bytes of the word, the first one lowest.
        hard: (n_atoms * n_values, 3) receives (index in `out`, first byte, byte after) of
            numbers that are left to `float`.

    Returns:
        What happened, the lines read, the byte where the next line begins, how many are in `hard`.
    """
    flat = out.reshape(-1)
    n_hard = 0
    n_values = out.shape[1]
    line = start
    for row in range(out.shape[0]):
        end = line
        while end < text.shape[0] and text[end] != 10:
            end += 1
        if end == text.shape[0]:
            return _TEXT_ENDS, row, line, n_hard
        i = line
        at = row * n_values
        for run in range(runs.shape[0]):
            length = runs[run, 1]
            if runs[run, 0] == _NUMBERS:
                count, i, more = scan_numbers(text, i, end, flat[at : at + length], hard[n_hard:])
                if count < length:
                    return _BAD_LINE, row, line, n_hard
                for k in range(n_hard, n_hard + more):
                    hard[k, 0] += at
                n_hard += more
                at += length
                continue
            for _ in range(length):
                while i < end and (text[i] == 32 or 9 <= text[i] <= 13):
                    i += 1
                first = i
                while i < end and not (text[i] == 32 or 9 <= text[i] <= 13):
                    i += 1
                if i == first or (runs[run, 0] == _WORD and i - first > 8):
                    return _BAD_LINE, row, line, n_hard
            if runs[run, 0] == _WORD:
                word = np.uint64(0)
                for k in range(i - 1, first - 1, -1):
                    word = (word << np.uint64(8)) | np.uint64(text[k])
                words[row] = word
        while i < end and (text[i] == 32 or 9 <= text[i] <= 13):
            i += 1
        if i < end:
            return _BAD_LINE, row, line, n_hard
        line = end + 1
    return _READ, out.shape[0], line, n_hard


def numbers_of_lines(lines: list[bytes], n: int) -> FloatArray | None:
    """(n_lines, n) the numbers of lines of n finite numbers each; None where one is not so."""
    text = np.frombuffer(b"\n".join(lines) + b"\n", dtype=np.uint8)
    out = np.empty((len(lines), n))
    hard = np.empty((out.size, 3), dtype=np.int64)
    words = np.empty(len(lines), dtype=np.uint64)
    what, _, _, n_hard = scan_rows(text, 0, np.array([[_NUMBERS, n]]), out, words, hard)
    settle_hard(text, hard[:n_hard], out)
    return out if what == _READ and np.isfinite(out).all() else None


class Layout:
    """The columns of the atoms' lines, and where their numbers go.

    Attributes:
        columns: Names of all columns in order.
        runs: (n_runs, 2) for `scan_rows`.
        places: Where in a row of numbers a column stands.
        word: The column that is read as a word.
    """

    def __init__(self, columns: Sequence[str], numbers: set[str], word: str | None) -> None:
        self.columns = tuple(columns)
        self.word = word
        self.places: dict[str, int] = {}
        runs: list[list[int]] = []
        for column in columns:
            kind = _WORD if column == word else _NUMBERS if column in numbers else _SKIP
            if kind == _NUMBERS:
                self.places[column] = self.n_values
            if runs and runs[-1][0] == kind != _WORD:
                runs[-1][1] += 1
            else:
                runs.append([kind, 1])
        self.runs = np.array(runs, dtype=np.int64)

    @property
    def n_values(self) -> int:
        """Numbers per row."""
        return len(self.places)

    def pick(self, values: FloatArray, names: Sequence[str]) -> FloatArray:
        """(n_frames, n_atoms, n_names) the columns of these names, as a copy."""
        places = [self.places[name] for name in names]
        if places == list(range(places[0], places[0] + len(places))):
            return values[..., places[0] : places[-1] + 1].copy()
        return values[..., places]


class Head(Protocol):
    """What the header lines of one frame say."""

    @property
    def n_atoms(self) -> int:
        """Number of lines that follow."""

    @property
    def layout(self) -> Layout:
        """Their columns; the same object as long as nothing changes."""

    @property
    def length(self) -> int:
        """Bytes of the header lines."""


class Format(Protocol):
    """How the header lines of a format read."""

    #: How an error message names the place where columns are declared.
    declares: str

    def head(self, text: bytes, at: int, frame: int) -> Head | None:
        """The header of the frame that begins at a byte; None where the text ends inside."""


@dataclass(frozen=True)
class Table:
    """Consecutive frames with the same columns.

    Attributes:
        heads: Of each frame.
        values: (n_frames, n_atoms, n_values).
        words: (n_frames, n_atoms) the word of each line, packed.
        first_frame: Number of the first of them in the file.
    """

    heads: list[Any]
    values: FloatArray
    words: NDArray[np.uint64]
    first_frame: int

    @property
    def layout(self) -> Layout:
        """The columns."""
        layout: Layout = self.heads[0].layout
        return layout


def unpack_word(word: int) -> str:
    """A word that `scan_rows` packed."""
    return int(word).to_bytes(8, "little").rstrip(b"\0").decode("utf-8", "replace")


def read_tables(stream: ByteStream, form: Format, notes: list[str]) -> Generator[Table, None, None]:
    """Yields the frames of a file in blocks of bounded size; closes the stream at the end."""
    reader = _Reader(stream, form, notes)
    try:
        while table := reader.table():
            yield table
        reader.close_account()
    finally:
        stream.close()


def frames_of(
    first: Table, tables: Generator[Table, None, None], build: Callable[[Table], Frames]
) -> Generator[Frames]:
    """Yields a block of frames for each table; closes the file also where one is refused."""
    with closing(tables):
        for table in chain([first], tables):
            yield build(table)


class _Reader:
    """A window that moves over the text, and the frame that begins in it."""

    def __init__(self, stream: ByteStream, form: Format, notes: list[str]) -> None:
        self.stream = stream
        self.form = form
        self.notes = notes
        self.n_frames = 0
        self.text = b""
        self.view = np.frombuffer(self.text, dtype=np.uint8)
        self.at = 0
        self.hard = np.empty((0, 3), dtype=np.int64)

    def table(self) -> Table | None:
        """The next frames with equal columns, or None at the end."""
        head = self._head()
        if head is None:
            return None
        first_frame, layout, n_atoms = self.n_frames, head.layout, head.n_atoms
        room = min(BLOCK_FRAMES, max(1, BLOCK_BYTES // (24 * n_atoms)))
        if not self._has_bytes(2 * n_atoms * len(layout.columns) - 1):
            return None
        values = np.empty((room, n_atoms, layout.n_values))
        words = np.zeros((room, n_atoms), dtype=np.uint64)
        if len(self.hard) < n_atoms * layout.n_values:
            self.hard = np.empty((n_atoms * layout.n_values, 3), dtype=np.int64)
        heads: list[Head] = []
        while head and head.layout is layout and head.n_atoms == n_atoms and len(heads) < room:
            done = len(heads)
            if not self._rows(head, values[done], words[done]):
                break
            heads.append(head)
            self.n_frames += 1
            head = self._head() if len(heads) < room else None
        done = len(heads)
        return Table(heads, values[:done], words[:done], first_frame) if heads else None

    def _has_bytes(self, n_bytes: int) -> bool:
        """Whether so much text is left: a damaged count shows before memory is taken for it."""
        while len(self.text) - self.at < n_bytes:
            if not self._refill():
                return False
        return True

    def _head(self) -> Head | None:
        """The header of the frame at the window's start."""
        while True:
            head = self.form.head(self.text, self.at, self.n_frames)
            if head is not None or not self._refill():
                return head

    def _rows(self, head: Head, values: FloatArray, words: NDArray[np.uint64]) -> bool:
        """Reads the lines of one frame and moves behind them; False where the text ends inside."""
        layout = head.layout
        while True:
            start = self.at + head.length
            what, row, line, n_hard = scan_rows(
                self.view, start, layout.runs, values, words, self.hard
            )
            if what == _BAD_LINE:
                raise self._bad_line(layout, row, line)
            if what == _READ:
                break
            if self._refill():
                continue
            if row + 1 < len(values) or not self._ends_whole(start, line, layout):
                return False
            self._hold(self.text + b"\n")
        if n_hard:
            infinite = settle_hard(self.view, self.hard[:n_hard], values)
            if infinite is not None:
                raise self._bad_line(layout, infinite // layout.n_values, None)
        self.at = line
        return True

    def _hold(self, text: bytes) -> None:
        self.text = text
        self.view = np.frombuffer(text, dtype=np.uint8)

    def _refill(self) -> bool:
        """Drops what was read and reads on, at least as much as is left; False at the end."""
        left = len(self.text) - self.at
        piece = self.stream.read(max(WINDOW, left))
        if not piece:
            return False
        self._hold(self.text[self.at :] + piece)
        self.at = 0
        return True

    def _ends_whole(self, start: int, line: int, layout: Layout) -> bool:
        """Whether the last line of the file, which has no line end, was not cut in the middle."""
        last = self.text[line:]
        before = self.text[max(start, line - (1 << 16)) : line].splitlines()
        if self.stream.truncated or len(last.split()) != len(layout.columns):
            return False
        if before and before[-1][-1:].isspace():
            return last[-1:].isspace()
        # vectors come in threes, so the last three columns are printed alike
        words = [word for row in (*before, last) for word in row.split()[-3:]]
        return _same_print(words[-1], words[:-1])

    def close_account(self) -> None:
        """Says what the end of the file left over.

        Raises:
            InputError: There was no complete frame.
        """
        rest = self.text[self.at :]
        if self.n_frames == 0:
            raise InputError(
                "no complete frame",
                where=self.stream.path,
                expected="at least one",
                found=f"{len(rest)} bytes that end inside the first frame",
                remedy="was the file cut off?",
            )
        if rest.strip():
            self.notes.append(f"the last frame is incomplete: {self.n_frames} complete frames used")
        if self.stream.truncated:
            self.notes.append(
                f"the compressed file is cut off: {self.n_frames} complete frames used"
            )

    def _bad_line(self, layout: Layout, row: int, line: int | None) -> InputError:
        """What is wrong with an atom's line; without its place, the number is too large."""
        where = f"{self.stream.path}: frame {self.n_frames}, atom {row}"
        if line is None:
            return InputError("a number is too large", where=where, expected="a finite number")
        words = self.text[line : self.text.find(b"\n", line)].decode("utf-8", "replace").split()
        for column, word in zip(layout.columns, words, strict=False):
            if column in layout.places and not _is_number(word):
                return InputError(
                    f"column {column}", where=where, expected="a finite number", found=repr(word)
                )
            if column == layout.word and len(word.encode()) > 8:
                return InputError(
                    f"column {column}", where=where, expected="an element symbol", found=repr(word)
                )
        return InputError(
            "not an atom's line",
            where=where,
            expected=f"{len(layout.columns)} columns ({self.form.declares})",
            found=f"{len(words)}: {' '.join(words)[:60]!r}",
            remedy="is a line missing or the number of atoms wrong?",
        )


def _is_number(word: str) -> bool:
    try:
        return bool(np.isfinite(float(word.lower().replace("d", "e"))))
    except ValueError:
        return False


def _same_print(last: bytes, others: list[bytes]) -> bool:
    """Whether a number is printed as fully as others of its kind, so that nothing is cut off it.

    Where all have one number of decimals it has as many; where all have about the same number of
    digits it has the most; where all have one digit it has one. In doubt it is not.
    """
    if not _is_decimal(last):
        return last in others
    others = [word.lower() for word in others if _is_decimal(word)]
    mantissa, e, exponent = last.lower().partition(b"e")
    if len(others) < 2 or (not e and any(b"e" in word for word in others)):
        return False
    if e and len(exponent.lstrip(b"+-")) < 2:
        return False
    mantissas = [word.partition(b"e")[0].lstrip(b"+-") for word in others]
    most_digits = max(_n_digits(m) for m in mantissas)
    decimals = {len(m.partition(b".")[2]) for m in mantissas}
    if decimals == {0}:
        return most_digits <= 1 and len(mantissa.lstrip(b"+-")) == 1
    if len(decimals) == 1 and (e or most_digits < 15):
        return len(mantissa.partition(b".")[2]) in decimals
    return _n_digits(mantissa) >= most_digits


def _is_decimal(word: bytes) -> bool:
    return word.lower().partition(b"e")[0].lstrip(b"+-").replace(b".", b"", 1).isdigit()


def _n_digits(mantissa: bytes) -> int:
    """Significant digits."""
    return len(mantissa.lstrip(b"+-").replace(b".", b"").lstrip(b"0"))
