"""Foreign trajectory files: which format a file has, and its reader.

A format is told by the content first and the name second. Readers are imported on demand.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from mdbench.errors import InputError
from mdbench.formats._stream import peek
from mdbench.formats.base import Hints, Source


class _Format(NamedTuple):
    name: str
    module: str
    function: str


#: In the order in which they are asked whether a file is theirs.
_FORMATS = (
    _Format("H5MD", "h5md", "h5md"),
    _Format("ASE .traj", "ase_traj", "ase_traj"),
    _Format("vasprun.xml", "vasprun", "vasprun"),
    _Format("OUTCAR", "outcar", "outcar"),
    _Format("LAMMPS dump", "lammps", "lammps"),
    _Format("CP2K xyz", "cp2k", "cp2k"),
    _Format("extxyz", "extxyz", "extxyz"),
    _Format("XDATCAR", "xdatcar", "xdatcar"),
)


def format_of(path: Path) -> str | None:
    """The name of a file's format, as "vasprun.xml"; None where it has none that is known.

    Raises:
        InputError: A file that cannot be read or is empty.
    """
    found = _format(path, peek(path))
    return None if found is None else found[0].name


def open_source(path: Path, hints: Hints) -> Source:
    """An open trajectory file of any known format.

    Raises:
        InputError: A file that cannot be read, is empty or has no known format.
    """
    head = peek(path)
    found = _format(path, head)
    if found is None:
        raise InputError(
            "unknown kind of file",
            where=path,
            expected="one of " + ", ".join(f.name for f in _FORMATS),
            found=_describe(head),
        )
    form, module = found
    source: Source = getattr(module, f"open_{form.function}")(path, hints)
    return source


def _format(path: Path, head: bytes) -> tuple[_Format, ModuleType] | None:
    """The first format that says that a file is its own, and its module."""
    name = path.name
    for suffix in (".gz", ".bz2", ".xz"):
        name = name.removesuffix(suffix)
    for form in _FORMATS:
        module = import_module(f"mdbench.formats.{form.module}")
        if getattr(module, f"looks_like_{form.function}")(name, head):
            return form, module
    return None


def _describe(head: bytes) -> str:
    line = head.splitlines()[0][:40] if head.splitlines() else b""
    if all(32 <= byte < 127 or byte == 9 for byte in line) and line.strip():
        return f"text that begins with {line.decode()!r}"
    return f"bytes {head[:8].hex(' ')}"
