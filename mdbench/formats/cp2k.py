"""CP2K trajectories: an xyz file of positions, with cells, forces and velocities beside it.

`X-pos-1.xyz` states steps, times and energies; `X-frc-1.xyz`, `X-vel-1.xyz` and `X-1.cell` are
found by their names and matched by step number. `X-1.ener` gives the mean temperature.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mdbench.errors import InputError
from mdbench.formats._cp2k_files import COMMENT, ByStep, CellFile, Lines, XyzFile, XyzFrame, shown
from mdbench.formats.base import Frames, Header, Hints, Source, stack
from mdbench.trajectory import element_number
from mdbench.units import ATOMIC_TIME_IN_FS, BOHR_IN_ANGSTROM, HARTREE_IN_EV

FloatArray = NDArray[np.float64]

_BLOCK_BYTES = 1 << 23
_BLOCK_FRAMES = 1024
_SUFFIXES = ("", ".gz", ".bz2", ".xz")
#: Files beside the positions: what they hold, and the factor to eV/Å and Å/fs.
_BESIDE = {
    "frc": ("forces", HARTREE_IN_EV / BOHR_IN_ANGSTROM),
    "vel": ("velocities", BOHR_IN_ANGSTROM / ATOMIC_TIME_IN_FS),
}
_NAME = re.compile(r"(?P<stem>.+)(?P<dash>[-_.])(?P<role>pos|frc|vel)(?P<run>[-_.]\d+)?\.xyz")
_CELL_HEAD = re.compile(rb"#\s*Step\s+Time \[fs\]\s+Ax \[Angstrom\]")
_ENER_HEAD = re.compile(rb"#\s*Step Nr\.\s+Time\[fs\]\s+Kin\.\[a\.u\.\]")
#: Times are printed to 0.001 fs: shorter steps than this are not known to one in a thousand.
_KNOWN_STEP_FS = 0.5


def looks_like_cp2k(name: str, head: bytes) -> bool:
    """Whether a file is an xyz file with CP2K's comment line, or a table that goes with one."""
    del name
    lines = head.split(b"\n", 2)
    if _CELL_HEAD.match(lines[0]) or _ENER_HEAD.match(lines[0]):
        return True
    return len(lines) > 1 and lines[0].strip().isdigit() and COMMENT.match(lines[1]) is not None


def open_cp2k(path: Path, hints: Hints) -> Source:
    """The positions of a CP2K run, with what lies beside them.

    Cells come from `hints.cell` or from the `.cell` file. Where all times are zero (REFTRAJ) or
    none are stated, the frames have no time axis.
    """
    names = _Names(path)
    names.refuse_other_files()
    with ExitStack() as on_error:
        positions = on_error.enter_context(XyzFile(path))
        first = positions.read()
        if first is None:
            raise InputError(
                "cut off in the first frame",
                where=path,
                expected="at least one complete frame",
                remedy="copy the file again",
            )
        second = positions.read()
        header = _header(first, second, _elements(path, first.labels, hints))
        beside = _files_beside(names, hints, first.labels, on_error)
        files = on_error.pop_all()
    notes = _temperature_note(names.ener())
    held = [first] if second is None else [first, second]
    return Source(
        path=path,
        format="CP2K xyz",
        header=header,
        blocks=_blocks(positions, held, beside, header.time_axis, notes, files),
        notes=notes,
        fraction=positions.lines.stream.fraction,
    )


class _Names:
    """The names of a run's files, from that of its positions (or of any other of its files)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._name = path.name
        for suffix in _SUFFIXES[1:]:
            self._name = self._name.removesuffix(suffix)
        match = _NAME.fullmatch(self._name)
        self._parts = None if match is None else match.groupdict(default="")

    def refuse_other_files(self) -> None:
        """Only the positions are a source; the other files are found beside them."""
        parts, stem = self._parts, Path(self._name).stem
        if self._name.endswith((".cell", ".ener")):
            what, stem = f"the {self._name[-5:]} file of a CP2K run", stem.removesuffix("-1")
            candidates = [f"{stem}-pos-1.xyz", f"{stem}.pos-1.xyz"]
        elif parts is not None and parts["role"] != "pos":
            what = f"the {_BESIDE[parts['role']][0]} of a CP2K run, not its positions"
            candidates = [self._beside("pos")]
        else:
            return
        positions = self._found(candidates) or self.path.with_name(candidates[0])
        raise InputError(what, where=self.path, remedy=f"give {positions.name}, in its folder")

    def beside(self, role: str) -> Path | None:
        """The existing file of forces (`frc`) or velocities (`vel`)."""
        return None if self._parts is None else self._found([self._beside(role)])

    def cell(self) -> Path:
        """The `.cell` file; an error that names it where there is none."""
        candidates = self._tables("cell")
        found = self._found(candidates)
        if found is None:
            raise InputError(
                "no cell",
                where=self.path,
                expected=f"{' or '.join(candidates)} beside it",
                remedy="give the cell with --cell (the .cell file, or numbers)",
            )
        return found

    def ener(self) -> Path | None:
        """The existing `.ener` file."""
        return self._found(self._tables("ener"))

    def _beside(self, role: str) -> str:
        parts = self._parts or {}
        return f"{parts['stem']}{parts['dash']}{role}{parts['run']}.xyz"

    def _tables(self, kind: str) -> list[str]:
        stem = Path(self._name).stem if self._parts is None else self._parts["stem"]
        run = "-1" if self._parts is None else self._parts["run"]
        return list(dict.fromkeys([f"{stem}{run}.{kind}", f"{stem}.{kind}"]))

    def _found(self, names: list[str]) -> Path | None:
        places = (self.path.with_name(name + suffix) for name in names for suffix in _SUFFIXES)
        return next((place for place in places if place.is_file()), None)


def _files_beside(
    names: _Names, hints: Hints, labels: list[bytes], files: ExitStack
) -> dict[str, ByStep | FloatArray]:
    """Cells, forces and velocities by their names in `Frames`; a fixed cell is an array."""
    beside: dict[str, ByStep | FloatArray] = {}
    if hints.cell is None or isinstance(hints.cell, Path):
        cells = files.enter_context(CellFile(hints.cell or names.cell()))
        beside["cells"] = ByStep(cells.path, "cells", cells.rows(), lambda: cells.cut)
    else:
        beside["cells"] = np.asarray(hints.cell, dtype=np.float64)
    for role, (what, factor) in _BESIDE.items():
        path = names.beside(role)
        if path is not None:
            xyz = files.enter_context(XyzFile(path))
            beside[what] = _xyz_by_step(xyz, what, factor, labels, hints)
    return beside


def _xyz_by_step(
    xyz: XyzFile, what: str, factor: float, labels: list[bytes], hints: Hints
) -> ByStep:
    """Forces or velocities in mdbench's units; of the same atoms as the positions."""

    def entries() -> Iterator[tuple[int, FloatArray]]:
        while frame := xyz.read():
            if xyz.index == 1:
                _same_atoms(xyz.path, frame.labels, labels, hints)
            with np.errstate(over="ignore"):  # what becomes infinite is refused with its frame
                values = frame.values * factor
            yield frame.step, values

    return ByStep(xyz.path, what, entries(), lambda: xyz.cut)


def _same_atoms(path: Path, found: list[bytes], known: list[bytes], hints: Hints) -> None:
    if len(found) != len(known):
        raise InputError(
            "other atoms than in the positions",
            where=path,
            expected=f"{len(known)} atoms",
            found=len(found),
        )
    for atom, (label, other) in enumerate(zip(found, known, strict=True)):
        if label != other and _symbol(label, hints) != _symbol(other, hints):
            raise InputError(
                f"atom {atom} is another one than in the positions",
                where=f"{path}: frame 0",
                expected=shown(other),
                found=shown(label),
            )


def _symbol(label: bytes, hints: Hints) -> str:
    """What a label stands for: `--species` first, else the letters that it begins with."""
    text = label.decode("latin-1")
    if isinstance(hints.species, Mapping) and text in hints.species:
        return hints.species[text]
    match = re.match(r"[A-Za-z]+", text)
    return match.group().capitalize() if match else text


def _elements(path: Path, labels: list[bytes], hints: Hints) -> NDArray[np.int64]:
    """(n_atoms,) atomic numbers of the labels, as `Fe1`, or of `--species`."""
    if isinstance(hints.species, tuple):
        if len(hints.species) != len(labels):
            raise InputError(
                "--species",
                where=path,
                expected=f"one element for each of {len(labels)} atoms, or Fe1=Fe,OW=O",
                found=f"{len(hints.species)} elements",
            )
        return np.array([element_number(symbol) for symbol in hints.species])
    known: dict[bytes, int] = {}
    for atom, label in enumerate(labels):
        if label in known:
            continue
        try:
            known[label] = element_number(_symbol(label, hints))
        except InputError as error:
            raise InputError(
                f"atom {atom} is no element",
                where=f"{path}: frame 0",
                expected="an element symbol, or one with a number behind it",
                found=shown(label),
                remedy="say what it is with --species, as OW=O",
            ) from error
    return np.array([known[label] for label in labels])


def _header(first: XyzFrame, second: XyzFrame | None, numbers: NDArray[np.int64]) -> Header:
    reason, timestep = None, None
    if first.time_fs is None:
        reason = "its frames state no times"
    elif second is not None and second.time_fs is not None:
        elapsed, steps = second.time_fs - first.time_fs, second.step - first.step
        if first.time_fs == second.time_fs == 0:
            reason = "every frame has time 0.000 fs (recomputed frames, REFTRAJ)"
        elif elapsed >= _KNOWN_STEP_FS and steps > 0:
            timestep = elapsed / steps
    return Header(
        numbers,
        time_axis=reason is None,
        no_time_reason=reason,
        timestep_fs=timestep,
        code="CP2K",
    )


def _temperature_note(path: Path | None) -> list[str]:
    """What the `.ener` file says about the temperature; a damaged one is not worth an error."""
    if path is None:
        return []
    total, count = 0.0, 0
    try:
        lines = Lines(path)
        with lines.stream:
            while rows := lines.take(_BLOCK_FRAMES):
                rows = rows[: len(rows) - lines.unended]
                words = [row.split() for row in rows if row.strip() and b"#" not in row]
                total += sum(float(word[3]) for word in words)
                count += len(words)
    except (InputError, ValueError, IndexError):
        return [f"{path.name} is damaged: not used"]
    mean = total / count if count else float("nan")
    return [f"mean kinetic temperature {mean:.1f} K ({path.name})"] if np.isfinite(mean) else []


def _blocks(
    positions: XyzFile,
    held: list[XyzFrame],
    beside: dict[str, ByStep | FloatArray],
    timed: bool,
    notes: list[str],
    files: ExitStack,
) -> Generator[Frames]:
    pending: list[dict[str, Any]] = []
    frames = chain(held, iter(positions.read, None))
    size = max(1, min(_BLOCK_FRAMES, _BLOCK_BYTES // (24 * len(held[0].labels))))
    with files:
        for index, frame in enumerate(frames):
            entry = _entry(positions.path, frame, index, timed)
            ended = _add_beside(entry, beside, frame.step, index)
            if ended is not None:
                if not ended.is_cut() and next(frames, None) is not None:
                    raise ended.missing(frame.step, index)
                notes.append(f"{ended.path.name} ends before frame {index}: dropped from there on")
                break
            pending.append(entry)
            if len(pending) == size:
                yield stack(pending)
                pending = []
        if positions.cut:
            notes.append(f"cut off in frame {positions.index}: that frame is dropped")
        if pending:
            yield stack(pending)


def _entry(path: Path, frame: XyzFrame, index: int, timed: bool) -> dict[str, Any]:
    """A frame as arguments of `Frames`."""
    entry: dict[str, Any] = {"coordinates": frame.values, "steps": frame.step}
    if timed:
        if frame.time_fs is None:
            raise InputError(
                "comment line", where=f"{path}: frame {index}", expected="a time", found="none"
            )
        entry["times_fs"] = frame.time_fs
    if frame.energy is not None:
        entry["energies"] = frame.energy * HARTREE_IN_EV
    return entry


def _add_beside(
    entry: dict[str, Any], beside: dict[str, ByStep | FloatArray], step: int, index: int
) -> ByStep | None:
    """Puts in what lies beside the positions; gives the file that ended before this step."""
    for name, source in beside.items():
        value = source.at(step, index) if isinstance(source, ByStep) else source
        if value is None:
            assert isinstance(source, ByStep)
            return source
        entry[name] = value
    return None
