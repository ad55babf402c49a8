"""vasprun.xml of VASP: every ionic step, also those of on-the-fly machine-learned force fields.

A step is an unnamed `<structure>` with the forces, stress and energy that follow it, inside a
`<calculation>` or not: the steps that VASP's own machine-learned force field makes between the
ab initio ones stand outside. The file is read as bytes, piece by piece; declarations, by which
an XML file can blow up in memory, are refused.

VASP writes every step here whatever NBLOCK says, except that ML_OUTBLOCK thins out a run that
only predicts (VASP 6.4.3 and later; vasp.at/wiki/ML_OUTBLOCK).
"""

from __future__ import annotations

import math
import re
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from mdbench.compiled import compiled
from mdbench.errors import InputError
from mdbench.formats._numbers import Bytes, scan_numbers, settle_hard
from mdbench.formats._stream import PIECE, ByteStream
from mdbench.formats.base import FloatArray, Frames, Header, Hints, Source
from mdbench.trajectory import element_number
from mdbench.units import KBAR_IN_EV_PER_ANGSTROM3

#: The list of atoms stands in the first bytes of the file, or it is no vasprun.xml.
_LONGEST_HEADER = 1 << 28
#: One step is never longer than this and 4 kB per atom.
_LONGEST_STEP = 1 << 26
#: Bytes that are looked at to tell one tag from another; the end of a file is padded with as many.
_TAG = 24

#: Columns of one step: its parts in this order, and the bit that says that a part is there.
_PARTS = ("basis", "positions", "forces", "stress", "velocities", "energy")
_BASIS, _POSITIONS, _FORCES, _STRESS, _VELOCITIES, _ENERGY = range(6)

_READ, _FULL, _TOO_FEW, _TOO_MANY, _NO_POSITIONS, _DECLARATION = range(6)

_STRUCTURE = np.frombuffer(b"<structure", dtype=np.uint8)
_VARRAY = np.frombuffer(b'<varray name="', dtype=np.uint8)
_VARRAY_END = np.frombuffer(b"</varray", dtype=np.uint8)
_ENERGY_TAG = np.frombuffer(b"<energy>", dtype=np.uint8)
_ENERGY_END = np.frombuffer(b"</energy", dtype=np.uint8)
_FREE_ENERGY = np.frombuffer(b'name="e_fr_energy">', dtype=np.uint8)
_CALCULATION = np.frombuffer(b"<calculation", dtype=np.uint8)
_CALCULATION_END = np.frombuffer(b"</calculation", dtype=np.uint8)
_MODELING_END = np.frombuffer(b"</modeling", dtype=np.uint8)
_COMMENT = np.frombuffer(b"<!--", dtype=np.uint8)
_COMMENT_END = np.frombuffer(b"-->", dtype=np.uint8)

_THERMOSTATS = {
    1: "Andersen",
    2: "Nose-Hoover",
    3: "Langevin",
    4: "Nose-Hoover chains",
    5: "CSVR",
    13: "Andersen (several subsystems)",
}


@compiled
def _begins(text: Bytes, at: int, word: Bytes) -> bool:  # pragma: no cover
    """Whether a word stands at a place of the text."""
    if at + len(word) > len(text):
        return False
    k = 0
    while k < len(word) and text[at + k] == word[k]:
        k += 1
    return k == len(word)


@compiled
def _find(text: Bytes, at: int, word: Bytes) -> int:  # pragma: no cover
    """The next place of a word; -1 where it does not come."""
    first = word[0]
    for i in range(at, len(text) - len(word) + 1):
        if text[i] == first and _begins(text, i, word):
            return i
    return -1


@compiled
def _only_tags(text: Bytes, at: int, stop: int) -> bool:  # pragma: no cover
    """Whether nothing but tags and white space is left."""
    while at < stop:
        if text[at] == 60:  # <
            while at < stop and text[at] != 62:  # >
                at += 1
        elif text[at] > 32:
            return False
        at += 1
    return True


@compiled
def _part(text: Bytes, at: int) -> int:  # pragma: no cover
    """Which part of a step a varray holds, from its name; -1 for one that is not needed."""
    c = text[at]
    if c == 98:  # basis
        return 0
    if c == 112:  # positions
        return 1
    if c == 102:  # forces
        return 2
    if c == 115:  # stress, but not selective
        return 3 if text[at + 1] == 116 else -1
    return 4 if c == 118 else -1  # velocities


@compiled
def _read_steps(
    text: Bytes, at: int, columns: NDArray[np.int64], numbers: FloatArray, found: Any, hard: Any
) -> tuple[int, int, int, int, int, int, bool]:  # pragma: no cover
    """Reads complete steps until the text or the room for them ends.

    Args:
        text: (n_bytes,) ends with white space of the length of a tag.
        at: Where to begin.
        columns: (7,) first column of each part, and the number of columns.
        numbers: (n_steps, n_columns) receives the steps.
        found: (n_steps,) receives bits: which parts a step has.
        hard: (n, 3) receives the numbers that are left to `float`, see `scan_numbers`.

    Returns:
        Steps read; first byte that is not used up; entries in `hard`; what ended the reading;
        the part and the byte that it is about; whether a step was left unfinished.
    """
    stop = len(text) - _TAG
    step = 0
    n_hard = 0
    begun_hard = 0
    resume = at
    inside = False
    has = 0
    while step < numbers.shape[0]:
        while at < stop and text[at] != 60:
            at += 1
        if not inside:
            resume = at
        if at >= stop:
            return step, resume, begun_hard, _READ, 0, at, inside
        c = text[at + 1]
        if c == 33:  # !
            if not _begins(text, at, _COMMENT):
                return step, at, begun_hard, _DECLARATION, 0, at, inside
            end = _find(text, at, _COMMENT_END)
            if end < 0:
                return step, resume, begun_hard, _READ, 0, at, inside
            at = end
            continue
        if inside and c == 118 and _begins(text, at, _VARRAY):
            part = _part(text, at + 14)
            if part >= 0:
                end = _find(text, at, _VARRAY_END)
                if end < 0:
                    return step, resume, begun_hard, _READ, 0, at, inside
                first, last = columns[part], columns[part + 1]
                count, reached, more = scan_numbers(
                    text, at, end, numbers[step, first:last], hard[n_hard:]
                )
                for k in range(n_hard, n_hard + more):
                    hard[k, 0] += step * numbers.shape[1] + first
                n_hard += more
                if count < last - first:
                    why = _FULL if n_hard == hard.shape[0] else _TOO_FEW
                    return step, resume, begun_hard, why, part, reached, inside
                if not _only_tags(text, reached, end):
                    return step, resume, begun_hard, _TOO_MANY, part, reached, inside
                has |= 1 << part
                at = end
                continue
        elif inside and c == 101 and _begins(text, at, _ENERGY_TAG):
            end = _find(text, at, _ENERGY_END)
            if end < 0:
                return step, resume, begun_hard, _READ, 0, at, inside
            first = columns[_ENERGY]
            value = _find(text[:end], at, _FREE_ENERGY)
            if value >= 0:
                count, reached, more = scan_numbers(
                    text,
                    value + len(_FREE_ENERGY),
                    end,
                    numbers[step, first : first + 1],
                    hard[n_hard:],
                )
                if more:
                    hard[n_hard, 0] += step * numbers.shape[1] + first
                n_hard += more
                if count < 1:
                    why = _FULL if n_hard == hard.shape[0] else _TOO_FEW
                    return step, resume, begun_hard, why, _ENERGY, reached, inside
                has |= 1 << _ENERGY
            if has & 3 != 3:
                return step, resume, begun_hard, _NO_POSITIONS, 0, at, inside
            found[step] = has
            step += 1
            begun_hard = n_hard
            inside = False
            resume = at = end
            continue
        elif inside and (
            _begins(text, at, _STRUCTURE)
            or _begins(text, at, _CALCULATION)
            or _begins(text, at, _CALCULATION_END)
            or _begins(text, at, _MODELING_END)
        ):
            if has & 3 != 3:
                return step, resume, begun_hard, _NO_POSITIONS, 0, at, inside
            found[step] = has
            step += 1
            begun_hard = n_hard
            inside = False
            resume = at
            continue
        elif not inside and c == 115 and _begins(text, at, _STRUCTURE):
            end = at + len(_STRUCTURE)
            while end < stop and text[end] == 32:
                end += 1
            if text[end] == 62:  # >: without a name, so neither initial nor final nor primitive
                inside = True
                has = 0
        at += 1
    return step, resume, begun_hard, _FULL, 0, at, inside


def looks_like_vasprun(name: str, head: bytes) -> bool:
    """Whether a file is a vasprun.xml, by its name (without .gz) and its first bytes."""
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    return b"<modeling" in head or ("vasprun" in name.lower() and start.startswith(b"<"))


def open_vasprun(path: Path, hints: Hints) -> Source:
    """A vasprun.xml as a stream of ionic steps: positions, cells, energies, forces, stresses.

    Energies are VASP's free energy `e_fr_energy`, the one that the forces are the derivative of
    (less P V where PSTRESS is set), in ab initio and in machine-learned steps alike.
    """
    stream = ByteStream(path)
    try:
        text = _read_header(stream)
        start, end = text.index(b"<atominfo"), text.index(b"</atominfo>")
        settings = _Settings.of(text[:end].decode("latin-1"))
        numbers = _atoms(text[start:end].decode("latin-1"), path)
    except InputError:
        stream.close()
        raise
    notes: list[str] = []
    return Source(
        path=path,
        format="vasprun.xml",
        header=settings.header(numbers, hints, notes),
        blocks=_Reader(stream, text[end:], settings, len(numbers), notes).blocks(),
        notes=notes,
        fraction=stream.fraction,
    )


def _read_header(stream: ByteStream) -> bytes:
    """The file up to at least the end of its list of atoms."""
    text = b""
    while (piece := stream.read()) and len(text) < _LONGEST_HEADER:
        text += piece
        if b"</atominfo>" in text:
            break
    head = text.partition(b"</atominfo>")[0]
    for declaration in re.finditer(rb"<!(?!--)", head):
        _refuse_declaration(stream.path, text, declaration.start())
    if b"<modeling" not in head:
        raise InputError("not a vasprun.xml", where=stream.path, expected="<modeling>")
    if len(head) == len(text) or b"<atominfo" not in head:
        raise InputError(
            "the file ends before its list of atoms",
            where=stream.path,
            expected="<atominfo> and at least one ionic step",
            remedy="the run was stopped before it began",
        )
    return text


def _refuse_declaration(path: Path, text: Bytes | bytes, at: int) -> NoReturn:
    raise InputError(
        "a declaration in the XML",
        where=path,
        expected="a file as VASP writes it, without DOCTYPE and ENTITY",
        found=repr(bytes(text[at : at + 30]).decode("latin-1")),
        remedy="such a file can fill the memory and is not read",
    )


def _atoms(info: str, path: Path) -> NDArray[np.int64]:
    """(n_atoms,) atomic numbers from the text of `<atominfo>`."""
    atoms, _, types = info.partition('<array name="atomtypes"')
    symbols = re.findall(r"<rc>\s*<c>([^<]*)</c>", atoms)
    stated = re.search(r"<atoms>\s*(\d{1,18})\s*</atoms>", atoms)
    if not symbols or (stated and int(stated[1]) != len(symbols)):
        raise InputError(
            "list of atoms",
            where=path,
            expected=f"{stated[1]} atoms" if stated else "at least one atom",
            found=len(symbols),
        )
    # VASP cuts off some symbols ("r" for Zr); the name of the pseudopotential has them in full.
    titles = re.findall(r"<c>\s*[^\s<]+\s+([A-Z][a-z]?)[^<]*</c>\s*</rc>", types)
    kinds = re.findall(r"<rc>\s*<c>[^<]*</c>\s*<c>\s*([^<]*?)\s*</c>", types)
    full = dict(zip(kinds, titles, strict=True)) if len(kinds) == len(titles) else {}
    try:
        known = {s: element_number(full.get(s.strip(), s)) for s in set(symbols)}
    except InputError as error:
        raise InputError(str(error), where=path) from error
    return np.array([known[s] for s in symbols], dtype=np.int64)


@dataclass(frozen=True)
class _Settings:
    """What the header says about the run; None is not said.

    Attributes:
        version: Version of VASP.
        values: Numbers of the INCAR and of all parameters, by name; the latter win.
    """

    version: str | None
    values: dict[str, float]

    @classmethod
    def of(cls, header: str) -> _Settings:
        version = re.search(r'<i name="version"[^>]*>\s*([^<]*?)\s*</i>', header)
        values: dict[str, float] = {}
        for section in ("incar", "parameters"):
            body = header.partition(f"<{section}>")[2].partition(f"</{section}>")[0]
            for name, value in re.findall(r'<i\b[^>]*\bname="(\w+)"[^>]*>([^<]*)</i>', body):
                try:
                    number = float(value)
                except ValueError:
                    continue
                if math.isfinite(number):
                    values[name] = number
        return cls(version=version[1] if version else None, values=values)

    @property
    def timestep_fs(self) -> float | None:
        """POTIM of a molecular-dynamics run."""
        potim = self.values.get("POTIM", 0.0)
        return potim if potim > 0 and not self.not_dynamics else None

    @property
    def not_dynamics(self) -> str | None:
        """Why the steps have no time axis, from IBRION and NSW with VASP's own defaults."""
        if not {"IBRION", "NSW"} & set(self.values):
            return None
        ibrion = self.values.get("IBRION", -1 if self.values.get("NSW", 0) <= 1 else 0)
        if ibrion == 0:
            return None
        kinds = {
            -1: "a static calculation",
            1: "a relaxation",
            2: "a relaxation",
            3: "a relaxation",
        }
        return f"IBRION = {ibrion:.0f}: {kinds.get(int(ibrion), 'no molecular dynamics')}"

    @property
    def steps_between_frames(self) -> int:
        """ML_OUTBLOCK where this version of VASP applies it to vasprun.xml, else 1."""
        version = tuple(int(n) for n in re.findall(r"\d{1,9}", self.version or "")[:3])
        return max(1, int(self.values.get("ML_OUTBLOCK", 1))) if version >= (6, 4, 3) else 1

    @property
    def thermostat(self) -> str | None:
        """Name of the thermostat, from MDALGO and SMASS."""
        if self.not_dynamics or "SMASS" not in self.values:
            return None
        algorithm, smass = self.values.get("MDALGO", 0), self.values["SMASS"]
        if algorithm == 1 and self.values.get("ANDERSEN_PROB") == 0:
            return "none (NVE)"
        if algorithm in _THERMOSTATS:
            return _THERMOSTATS[int(algorithm)]
        named = {-3.0: "none (NVE)", -2.0: "none (fixed velocities)", -1.0: "velocity scaling"}
        return named.get(smass, "Nose-Hoover")

    def header(self, numbers: NDArray[np.int64], hints: Hints, notes: list[str]) -> Header:
        """What is known before the first step."""
        reason = self.not_dynamics
        potim = self.timestep_fs
        start, end = self.values.get("TEBEG"), self.values.get("TEEND")
        # VASP writes its default of 0.0001 K where no temperature was given
        temperature = start if start is not None and start > 0.01 and not reason else None
        if temperature is not None and end is not None and end != start:
            notes.append(f"TEBEG {start:g} K, TEEND {end:g} K: a ramp, no single temperature")
            temperature = None
        return Header(
            atomic_numbers=numbers,
            scaled=True,
            time_axis=reason is None,
            no_time_reason=reason,
            timestep_fs=hints.timestep_fs if potim is None and reason is None else potim,
            frame_interval_fs=None if potim is None else potim * self.steps_between_frames,
            temperature_k=temperature,
            code=f"VASP {self.version}" if self.version else "VASP",
            thermostat=self.thermostat,
        )


class _Reader:
    """Turns the rest of the stream into blocks of steps."""

    def __init__(
        self, stream: ByteStream, rest: bytes, settings: _Settings, n_atoms: int, notes: list[str]
    ) -> None:
        self.stream = stream
        self.rest = rest
        self.settings = settings
        self.n_atoms = n_atoms
        self.notes = notes
        self.n_steps = 0
        self.parts: int | None = None
        widths = [9, 3 * n_atoms, 3 * n_atoms, 9, 3 * n_atoms, 1]
        self.columns = np.cumsum([0, *widths])

    def blocks(self) -> Generator[Frames]:
        """The steps in blocks of at most 1024 and about 8 MB of coordinates."""
        room = max(1, min(1024, (1 << 23) // (24 * self.n_atoms)))
        buffer, self.rest = self.rest, b""
        ending = b""
        unfinished = False
        with self.stream:
            final = False
            while not final:
                piece = self.stream.read(max(PIECE, len(buffer)))
                final = not piece
                ending = (ending + piece)[-64:] if piece else (ending or buffer)[-64:]
                text = np.frombuffer(buffer + piece + b" " * _TAG, dtype=np.uint8)
                at, more = 0, True
                while more:
                    block, at, more, unfinished = self._read(text, at, room)
                    if block is not None:
                        yield block
                buffer = text[at:-_TAG].tobytes()
                self._limit(len(buffer))
        self._finish(unfinished, b"</modeling>" in ending)

    def _read(self, text: Bytes, at: int, room: int) -> tuple[Frames | None, int, bool, bool]:
        """A block from the text; where to go on; whether to go on; if a step is unfinished."""
        numbers = np.empty((room, self.columns[-1]))
        found = np.empty(room, dtype=np.int64)
        hard = np.empty((self.columns[-1] + 64, 3), dtype=np.int64)
        n, at, n_hard, why, part, where, unfinished = _read_steps(
            text, at, self.columns, numbers, found, hard
        )
        infinite = settle_hard(text, hard[:n_hard], numbers)
        if infinite is not None:
            step = self.n_steps + infinite // self.columns[-1]
            raise InputError(
                "a number", where=self._step(step), expected="finite", found="one beyond 1e308"
            )
        block = self._block(numbers[:n], found[:n]) if n else None
        if why == _DECLARATION:
            _refuse_declaration(self.stream.path, text, where)
        if why in (_TOO_FEW, _TOO_MANY, _NO_POSITIONS):
            self._refuse(text, why, part, where)
        return block, at, why == _FULL, unfinished

    def _block(self, numbers: FloatArray, found: NDArray[np.int64]) -> Frames:
        first, n, c = self.n_steps, len(numbers), self.columns
        self.n_steps += n
        if self.parts is None:
            self.parts = int(found[0])
        for part, name in enumerate(_PARTS):
            lacking = np.flatnonzero((found & 1 << part) == 0)
            if self.parts & 1 << part and len(lacking):
                self.parts &= ~(1 << part)
                self.notes.append(f"no {name} in frame {first + lacking[0]}: left out from there")
        has = [bool(self.parts & 1 << part) for part in range(len(_PARTS))]
        cells = numbers[:, :9].reshape(n, 3, 3)
        shape = (n, self.n_atoms, 3)
        energies = numbers[:, c[_ENERGY]].copy()
        if pressure := self.settings.values.get("PSTRESS", 0.0):
            volumes = np.abs(np.linalg.det(cells))
            energies -= pressure * KBAR_IN_EV_PER_ANGSTROM3 * volumes
        velocities = None
        if has[_VELOCITIES] and (potim := self.settings.timestep_fs):
            # fractional coordinates per timestep
            steps = numbers[:, c[_VELOCITIES] : c[_ENERGY]].reshape(shape)
            velocities = np.einsum("fai,fij->faj", steps, cells) / potim
        stresses = -KBAR_IN_EV_PER_ANGSTROM3 * numbers[:, c[_STRESS] : c[_STRESS] + 9]
        return Frames(
            coordinates=numbers[:, c[_POSITIONS] : c[_FORCES]].reshape(shape),
            cells=cells,
            energies=energies if has[_ENERGY] else None,
            forces=numbers[:, c[_FORCES] : c[_STRESS]].reshape(shape) if has[_FORCES] else None,
            velocities=velocities,
            stresses=stresses.reshape(n, 3, 3) if has[_STRESS] else None,
        )

    def _step(self, step: int) -> str:
        return f"{self.stream.path}: frame {step}"

    def _refuse(self, text: Bytes, why: int, part: int, where: int) -> NoReturn:
        if why == _NO_POSITIONS:
            raise InputError(
                "no cell or no positions",
                where=self._step(self.n_steps),
                expected="both in every <structure>",
            )
        count = int(self.columns[part + 1] - self.columns[part])
        expected = f"{count} numbers"
        if part in (_POSITIONS, _FORCES, _VELOCITIES):
            expected += f" for {self.n_atoms} atoms"
        line = text[where : where + 40].tobytes().decode("latin-1").split("<")[0].strip()
        found = "more" if why == _TOO_MANY else repr(line) if line else "fewer"
        raise InputError(
            _PARTS[part], where=self._step(self.n_steps), expected=expected, found=found
        )

    def _limit(self, n_bytes: int) -> None:
        if n_bytes > _LONGEST_STEP + 4096 * self.n_atoms:
            raise InputError(
                "a step without end", where=self._step(self.n_steps), expected="</energy>"
            )

    def _finish(self, unfinished: bool, closed: bool) -> None:
        if self.stream.truncated:
            self.notes.append("the compressed file is cut off")
        if self.n_steps == 0:
            raise InputError(
                "no complete ionic step",
                where=self.stream.path,
                expected="at least one step with positions",
                found="the file is cut off in the first" if unfinished else "none",
            )
        count = f"{self.n_steps} complete step{'s' if self.n_steps > 1 else ''} used"
        if unfinished:
            self.notes.append(f"the last step is incomplete: {count}")
        elif not closed:
            self.notes.append(f"the file was not finished (no </modeling>): {count}")
