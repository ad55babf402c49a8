"""OUTCAR of VASP: Cartesian positions and forces to five and six decimals, step by step.

VASP prints positions and forces not always at every step (NWRITE, NBLOCK, ML_OUTBLOCK), so the
number of the ionic step is read, too. A step that is both ab initio and machine-learned is
printed twice; the ab initio forces and energy are taken.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from mdbench.errors import InputError
from mdbench.formats._numbers import parse_numbers
from mdbench.formats._stream import PIECE, ByteStream
from mdbench.formats.base import FloatArray, Frames, Header, Hints, Source, stack
from mdbench.trajectory import element_number
from mdbench.units import KBAR_IN_EV_PER_ANGSTROM3

#: The first ionic step begins in the first bytes of the file, or it is no OUTCAR.
_LONGEST_HEADER = 1 << 27
#: What is printed between two steps is dropped; one table is never longer than this.
_LONGEST_TABLE = 1 << 26

_STEP, _STRESS, _CELL, _FORCES, _ENERGY = range(5)
_MARKS = {
    _STEP: (b"Iteration", b"Ionic step"),
    _STRESS: (b"  in kB ",),
    _CELL: (b"direct lattice vectors ",),
    _FORCES: (b"TOTAL-FORCE (eV/Angst)",),
    _ENERGY: (b"  free  energy ",),
}
_DASHES = re.compile(rb"^ *-{20,} *\r?\n", re.MULTILINE)
_STEP_NUMBER = re.compile(rb"(?:Iteration|Ionic step)\s*(\d{1,15}(?!\d)|\*+)(?:\(\s*(\d+)\))?")
_SETTING = re.compile(r"\b(IBRION|POTIM|TEBEG|TEEND|SMASS|MDALGO)\s*=\s*(-?\d{1,15}(?!\d)\.?\d*)")
_END = b"General timing and accounting"
#: Bytes that are kept to find a mark that two pieces of the file share.
_LONGEST_MARK = 64
_THERMOSTATS = {1: "Andersen", 2: "Nose-Hoover", 3: "Langevin", 4: "Nose-Hoover chains", 5: "CSVR"}


def looks_like_outcar(name: str, head: bytes) -> bool:
    """Whether a file is an OUTCAR, by its name (without .gz) or its first lines."""
    first = head[:4096].lstrip()
    return "outcar" in name.lower() or (first.startswith(b"vasp.") and b"executed on" in first)


def open_outcar(path: Path, hints: Hints) -> Source:
    """An OUTCAR as a stream of ionic steps: positions, cells, energies, forces, stresses.

    Energies are the free energy TOTEN, the one that the forces are the derivative of.
    """
    stream = ByteStream(path)
    try:
        text = _read_header(stream)
        header = _header(text.decode("latin-1"), path, hints)
    except InputError:
        stream.close()
        raise
    reader = _Reader(stream, text, header)
    return Source(
        path=path,
        format="OUTCAR",
        header=header,
        blocks=reader.blocks(),
        notes=reader.notes,
        fraction=stream.fraction,
    )


def _read_header(stream: ByteStream) -> bytes:
    """The file up to at least its first ionic step, or the whole of a short one."""
    text = b""
    while (piece := stream.read()) and len(text) < _LONGEST_HEADER:
        text += piece
        if _MARKS[_FORCES][0] in text or b"- Iteration" in text or b"- Ionic step" in text:
            break
    return text


def _header(text: str, path: Path, hints: Hints) -> Header:
    """What the lines before the first step say."""
    numbers = _atoms(text, path)
    values = {name: float(value) for name, value in _SETTING.findall(text)}
    ibrion = values.get("IBRION")
    reason = None
    if ibrion is not None and ibrion != 0:
        reason = f"IBRION = {ibrion:.0f}: no molecular dynamics"
    potim = values.get("POTIM", 0.0)
    timestep = potim if potim > 0 and reason is None else None
    temperature = values.get("TEBEG", 0.0)
    ramp = values.get("TEEND", temperature) != temperature
    version = re.match(r"\s*vasp\.(\S+)", text)
    return Header(
        atomic_numbers=numbers,
        time_axis=reason is None,
        no_time_reason=reason,
        timestep_fs=hints.timestep_fs if timestep is None and reason is None else timestep,
        frame_interval_fs=timestep,
        temperature_k=temperature if temperature > 0.01 and not ramp and not reason else None,
        code=f"VASP {version[1]}" if version else "VASP",
        thermostat=None if reason else _thermostat(values),
    )


def _thermostat(values: dict[str, float]) -> str | None:
    if values.get("MDALGO", 0) in _THERMOSTATS:
        return _THERMOSTATS[int(values["MDALGO"])]
    named = {-3.0: "none (NVE)", -2.0: "none (fixed velocities)", -1.0: "velocity scaling"}
    return named.get(values["SMASS"], "Nose-Hoover") if "SMASS" in values else None


def _atoms(text: str, path: Path) -> NDArray[np.int64]:
    """(n_atoms,) atomic numbers from the pseudopotentials and the ions per type."""
    line = re.search(r"ions per type =([\d ]+)", text)
    if line is None:
        raise InputError(
            "not an OUTCAR, or cut off before the first step", where=path, expected="ions per type"
        )
    stated, words = line[1].strip(), line[1].split()
    counts = [int(word) for word in words if len(word) < 10]
    symbols = re.findall(r"VRHFIN\s*=\s*([A-Za-z]{1,2})\s*:", text)
    if len(symbols) != len(counts):
        symbols = re.findall(r"TITEL\s*=\s*\S+\s+([A-Z][a-z]?)", text)
    if not len(symbols) == len(counts) == len(words) or not 0 < sum(counts) < 20_000_000:
        raise InputError(
            "elements",
            where=path,
            expected=f"a pseudopotential (VRHFIN or TITEL) for each of ions per type {stated}",
            found=" ".join(symbols) or "none",
        )
    try:
        return np.repeat([element_number(s) for s in symbols], counts).astype(np.int64)
    except InputError as error:
        raise InputError(str(error), where=path) from error


class _Reader:
    """Turns the stream into blocks of steps."""

    def __init__(self, stream: ByteStream, text: bytes, header: Header) -> None:
        self.stream = stream
        self.buffer = text
        self.header = header
        self.n_atoms = len(header.atomic_numbers)
        self.notes: list[str] = []
        self.n_frames = 0
        self.step: int | None = None
        self.cell: FloatArray | None = None
        self.stress: FloatArray | None = None
        #: The step that is being read, ab initio and machine-learned.
        self.open: dict[bool, dict[str, Any]] = {}
        self.names: set[str] | None = None
        self.ready: list[dict[str, Any]] = []
        self.ended = False

    def blocks(self) -> Generator[Frames]:
        """The steps in blocks of at most 1024 and about 8 MB of coordinates."""
        room = max(1, min(1024, (1 << 23) // (24 * self.n_atoms)))
        with self.stream:
            final = False
            while not final:
                for mark, at, end in self._events():
                    self._take(mark, at, end)
                    if len(self.ready) >= room:
                        yield self._block()
                if len(self.buffer) > _LONGEST_TABLE + 512 * self.n_atoms:
                    self._refuse("a table without end", "shorter lines")
                piece = self.stream.read(max(PIECE, len(self.buffer)))
                self.buffer += piece
                final = not piece
        unfinished = any("coordinates" in f and "energies" not in f for f in self.open.values())
        self._close_step()
        if self.ready:
            yield self._block()
        self._finish(unfinished)

    def _events(self) -> Iterator[tuple[int, int, int]]:
        """(mark, place, end of its table) in order; then drops the text that was used."""
        text = self.buffer
        self.ended |= _END in text
        places = sorted(
            (at, mark)
            for mark, words in _MARKS.items()
            for word in words
            for at in _all(text, word)
        )
        done = 0
        used = max(0, len(text) - _LONGEST_MARK)
        for at, mark in places:
            if at < done:
                continue
            end = self._table_end(mark, at)
            if end is None:
                used = at
                break
            yield mark, at, end
            done = end
        self.buffer = text[max(used, done) :]

    def _table_end(self, mark: int, at: int) -> int | None:
        """The byte after the last line that belongs to a mark; None where the text ends before."""
        end = self.buffer.find(b"\n", at) + 1
        if end and mark == _CELL:
            for _ in range(3):
                end = end and self.buffer.find(b"\n", end) + 1
        if end and mark == _FORCES:
            for _ in range(2):
                dashes = _DASHES.search(self.buffer, end)
                end = dashes.end() if dashes else 0
                if not dashes:
                    break
        return end or None

    def _take(self, mark: int, at: int, end: int) -> None:
        """Uses one line or table."""
        line, _, table = self.buffer[at:end].partition(b"\n")
        learned = b"ML" in line
        if mark == _STEP:
            self._take_step(line)
        elif mark == _STRESS:
            xx, yy, zz, xy, yz, zx = self._numbers(line[7:], 6, "stress")
            voigt = np.array([[xx, xy, zx], [xy, yy, yz], [zx, yz, zz]])
            self.stress = -KBAR_IN_EV_PER_ANGSTROM3 * voigt
        elif mark == _CELL:
            self.cell = self._numbers(table, 18, "cell").reshape(3, 6)[:, :3]
        elif mark == _FORCES:
            self._take_forces(table, learned)
        elif b"TOTEN" in line and (frame := self.open.get(learned)) is not None:
            value = self._numbers(line.partition(b"=")[2].replace(b"eV", b""), 1, "energy")
            frame.setdefault("energies", value[0])

    def _take_step(self, line: bytes) -> None:
        number = _STEP_NUMBER.match(line)
        if number is None:
            return
        if number[1].isdigit():
            step = int(number[1])
        else:  # an overflow: electronic step 1 begins a new ionic step
            step = (self.step or 0) + (number[2] in (None, b"1"))
        if step != self.step:
            self._close_step()
        self.step = step

    def _take_forces(self, table: bytes, learned: bool) -> None:
        if learned in self.open and self.step is None:
            self._close_step()
        body = _DASHES.split(table)[1]
        rows = self._numbers(
            body, 6 * self.n_atoms, f"positions and forces of {self.n_atoms} atoms"
        )
        if self.cell is None:
            self._refuse("positions before a cell", "direct lattice vectors")
        values = rows.reshape(self.n_atoms, 6)
        frame: dict[str, Any] = {
            "coordinates": values[:, :3],
            "forces": values[:, 3:],
            "cells": self.cell,
        }
        if self.stress is not None:
            frame["stresses"] = self.stress
        if self.step is not None and self.header.time_axis:
            frame["steps"] = self.step
        self.open[learned] = frame
        self.stress = None

    def _numbers(self, text: bytes, n: int, what: str) -> FloatArray:
        """Exactly `n` finite numbers."""
        if 2 * n - 1 > len(text):  # before memory is taken for a count that is damaged
            self._refuse(what, f"{n} numbers", f"{len(text)} bytes")
        values, at = parse_numbers(text, n)
        rest = text[at:].strip()
        if len(values) < n or rest or not np.isfinite(values).all():
            found = rest[:30].decode("latin-1").split("\n")[0] if rest else f"{len(values)}"
            self._refuse(what, f"{n} numbers", found)
        return values

    def _close_step(self) -> None:
        """The step is over: keeps it if it is complete, the ab initio one before the learned."""
        complete = [
            f for learned in (False, True) if "energies" in (f := self.open.get(learned, {}))
        ]
        if complete:
            frame = complete[0]
            if self.names is None:
                self.names = set(frame)
            for name in sorted(self.names - set(frame)):
                self.names.discard(name)
                self.notes.append(f"no {name} in frame {self.n_frames}: left out from there")
            self.ready.append({name: frame[name] for name in self.names})
            self.n_frames += 1
        self.open = {}

    def _block(self) -> Frames:
        block = stack(self.ready)
        self.ready = []
        return block

    def _refuse(self, what: str, expected: str, found: str | None = None) -> NoReturn:
        raise InputError(
            what,
            where=f"{self.stream.path}: frame {self.n_frames}",
            expected=expected,
            found=None if found is None else repr(found),
        )

    def _finish(self, unfinished: bool) -> None:
        if self.stream.truncated:
            self.notes.append("the compressed file is cut off")
        if self.n_frames == 0:
            raise InputError(
                "no complete ionic step",
                where=self.stream.path,
                expected="at least one table of positions and forces with its energy",
            )
        count = f"{self.n_frames} complete step{'s' if self.n_frames > 1 else ''} used"
        if unfinished or _MARKS[_FORCES][0] in self.buffer:
            self.notes.append(f"the last step is incomplete: {count}")
        elif not self.ended:
            self.notes.append(f"the file was not finished (no timing at its end): {count}")


def _all(text: bytes, word: bytes) -> Iterator[int]:
    """Every place of a word."""
    at = text.find(word)
    while at >= 0:
        yield at
        at = text.find(word, at + len(word))
