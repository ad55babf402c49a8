"""The tables and xyz files of CP2K, entry after entry, and how they are matched by step."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, Self

import numpy as np
from numpy.typing import NDArray

from mdbench.errors import InputError
from mdbench.formats._numbers import parse_numbers
from mdbench.formats._stream import PIECE, ByteStream

FloatArray = NDArray[np.float64]

COMMENT = re.compile(
    rb"\s*i\s*=\s*(\d{1,18})\b(?:.*?\btime\s*=\s*([^\s,]+))?(?:.*?\bE\s*=\s*(\S+))?"
)


class Lines:
    """The lines of a file, some at a time.

    Attributes:
        unended: The last line that was taken ends with the file, not with a line break.
    """

    def __init__(self, path: Path) -> None:
        self.stream = ByteStream(path)
        self.unended = False
        self._lines: list[bytes] = []
        self._at = 0
        self._tail = b""

    def take(self, count: int) -> list[bytes]:
        """The next lines; fewer at the end of the file."""
        while len(self._lines) - self._at < count and self._fill():
            pass
        taken = self._lines[self._at : self._at + count]
        self._at += len(taken)
        return taken

    def _fill(self) -> bool:
        piece = self.stream.read()
        if not piece and not self._tail:
            return False
        if not piece:
            self.unended = True
            lines, self._tail = [self._tail], b""
        else:
            *lines, self._tail = (self._tail + piece).split(b"\n")
        if len(self._tail) > PIECE:
            raise InputError("a line without end", where=self.stream.path, expected="text in lines")
        self._lines = self._lines[self._at :] + lines
        self._at = 0
        return True


@dataclass(frozen=True)
class XyzFrame:
    """A frame of an xyz file; values (n_atoms, 3) in the file's unit."""

    step: int
    time_fs: float | None
    energy: float | None
    labels: list[bytes]
    values: FloatArray


class XyzFile:
    """The frames of one xyz file of CP2K, with the same atoms in each.

    Attributes:
        index: Number of the frame that is read next.
        cut: The file ended in the middle of a frame.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines = Lines(path)
        self.index = 0
        self.cut = False
        self._labels: list[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.lines.stream.close()

    def read(self) -> XyzFrame | None:
        """The next frame; None at the end or where the file was cut off."""
        count = self.lines.take(1)
        while count and not count[0].strip():
            count = self.lines.take(1)
        if not count:
            self.cut |= self.lines.stream.truncated
            return None
        n_atoms = self._count(count[0])
        rows = [] if n_atoms is None else self.lines.take(n_atoms + 1)
        if n_atoms is None or len(rows) <= n_atoms or self._is_half(rows):
            self.cut = True
            return None
        frame = self._frame(rows[0], rows[1:])
        self._labels = frame.labels
        self.index += 1
        return frame

    def _count(self, line: bytes) -> int | None:
        """The number of atoms; None where the file ends in this line."""
        if self.lines.unended:
            return None
        found = line.strip()
        known = None if self._labels is None else len(self._labels)
        if not found.isdigit() or len(found) > 12 or int(found) == 0:
            expected = "a number of atoms" if known is None else f"a frame that begins with {known}"
            self._refuse("number of atoms", expected, shown(line))
        if known not in (None, int(found)):
            self._refuse("number of atoms changes", known, int(found))
        return int(found)

    def _is_half(self, rows: list[bytes]) -> bool:
        """Whether the file ended in the last row, as far as the lengths of the rows tell."""
        if not self.lines.unended:
            return False
        lengths = {len(row) for row in rows[1:]}
        return len(rows) == 2 or len(lengths) > 1

    def _frame(self, comment: bytes, rows: list[bytes]) -> XyzFrame:
        match = COMMENT.match(comment)
        if match is None:
            self._refuse("comment line", "'i = STEP, time = FS, E = HARTREE'", shown(comment))
        step, time, energy = match.groups()
        tokens = b" ".join(rows).split()
        labels = tokens[::4]
        del tokens[::4]
        text = b" ".join(tokens)
        values, end = parse_numbers(text, 3 * len(rows))
        whole = len(tokens) == len(values) == 3 * len(rows) and end == len(text)
        known = labels if self._labels is None else self._labels
        if not whole or labels != known or b"<" in text or not np.isfinite(values).all():
            self._refuse_rows(rows)
        return XyzFrame(
            step=int(step),
            time_fs=self._number("time", time),
            energy=self._number("E", energy),
            labels=labels,
            values=values.reshape(-1, 3),
        )

    def _number(self, name: str, text: bytes | None) -> float | None:
        if text is None:
            return None
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not np.isfinite(value):
            self._refuse(f"{name} in the comment line", "a finite number", shown(text))
        return value

    def _refuse_rows(self, rows: list[bytes]) -> NoReturn:
        """Names the first row that is not an atom with three finite numbers, or another atom."""
        for atom, row in enumerate(rows):
            label, *numbers = row.split() or [b""]
            known = label if self._labels is None else self._labels[atom]
            if label != known:
                self._refuse(f"atom {atom} changes", known.decode("latin-1"), shown(label))
            if len(numbers) != 3 or not all(map(_is_number, numbers)):
                self._refuse(f"atom {atom}", "a label and three finite numbers", shown(row))
        self._refuse("atoms", "a label and three finite numbers each", "something else")

    def _refuse(self, what: str, expected: object, found: object) -> NoReturn:
        raise InputError(
            what, where=f"{self.path}: frame {self.index}", expected=expected, found=found
        )


class ByStep:
    """Arrays of a file beside the positions, asked for by step number.

    Args:
        path: The file.
        what: What it holds, in the plural.
        entries: (step, array), steps increasing; a step that goes back is a restart.
        is_cut: Tells, at the end, whether the file ended in the middle of an entry.
    """

    def __init__(
        self,
        path: Path,
        what: str,
        entries: Iterator[tuple[int, FloatArray]],
        is_cut: Callable[[], bool],
    ) -> None:
        self.path = path
        self.what = what
        self.is_cut = is_cut
        self._entries = entries
        self._entry = next(entries, None)
        self._asked: int | None = None

    def at(self, step: int, frame: int) -> FloatArray | None:
        """The array of a step; None where the file ended before it."""
        again = self._asked is not None and step <= self._asked
        self._asked = step
        if again:
            self._go_back()
        while self._entry is not None and self._entry[0] < step:
            self._entry = next(self._entries, None)
        if self._entry is None:
            return None
        if self._entry[0] != step:
            raise self.missing(step, frame)
        return self._entry[1]

    def missing(self, step: int, frame: int) -> InputError:
        """That a step of the positions is not in the file."""
        return InputError(
            f"no {self.what} for frame {frame}",
            where=self.path,
            expected=f"step {step}",
            found="the end" if self._entry is None else f"step {self._entry[0]}",
            remedy="give the cell with --cell"
            if self.what == "cells"
            else f"move the file away to read the run without {self.what}",
        )

    def _go_back(self) -> None:
        """Goes on to where a restart wrote the steps once more."""
        while self._entry is not None:
            before = self._entry[0]
            self._entry = next(self._entries, None)
            if self._entry is not None and self._entry[0] <= before:
                return


class CellFile:
    """The rows of a `.cell` file: step, time in fs, nine components in Å, volume."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.cut = False
        self._lines = Lines(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.stream.close()

    def rows(self) -> Iterator[tuple[int, FloatArray]]:
        """Yields step and cell, row vectors in Å."""
        number, length = 0, 0
        while taken := self._lines.take(1):
            number += 1
            line = taken[0]
            if self._lines.unended and len(line) != length:
                break
            length = len(line)
            if line.strip() and not line.lstrip().startswith(b"#"):
                yield self._row(line, number)
        self.cut = self._lines.unended or self._lines.stream.truncated

    def _row(self, line: bytes, number: int) -> tuple[int, FloatArray]:
        step, *rest = line.split()
        try:
            values = np.array([float(word) for word in rest])
            if not re.fullmatch(rb"\d{1,18}", step) or len(values) not in (10, 11):
                raise ValueError
            if not np.isfinite(values).all():
                raise ValueError
        except ValueError as error:
            raise InputError(
                "cell",
                where=f"{self.path}: line {number}",
                expected="step, time, nine components, volume",
                found=shown(line),
            ) from error
        return int(step), values[1:10].reshape(3, 3)


def _is_number(word: bytes) -> bool:
    values, end = parse_numbers(word, 2)
    whole = len(values) == 1 and end == len(word) and b"<" not in word
    return whole and bool(np.isfinite(values[0]))


def shown(text: bytes) -> str:
    """The beginning of a text, for a message."""
    return repr(text[:60].decode("latin-1").strip())
