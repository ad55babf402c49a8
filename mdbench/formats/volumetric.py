"""Densities on a grid as files of other programs, for VESTA: VASP CHGCAR and Gaussian cube.

Both hold values at the points i/n of each lattice vector, beginning at the origin of the cell, with
the atoms that the density lies between. A number density n(r) stands in

* CHGCAR as n(r) times the volume of the cell, the first axis running fastest: the mean over the
  grid is the number of particles in the cell. Programs divide by the volume that they read.
* cube in particles per Bohr³, lengths in Bohr, the last axis running fastest. VESTA shows CHGCAR
  in the same unit, so that both have the same isosurfaces.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import IO

import numpy as np
from ase.data import chemical_symbols
from numpy.typing import NDArray

from mdbench.errors import InputError
from mdbench.store import written
from mdbench.units import BOHR_IN_ANGSTROM

FloatArray = NDArray[np.float64]

#: Values that become text at once.
_PIECE = 60_000


@dataclass(frozen=True)
class Volumetric:
    """A number density on a grid, and the atoms around it.

    Attributes:
        density: (n_a, n_b, n_c) per Å³, at the points (i/n_a, j/n_b, k/n_c) of the cell.
        cell: (3, 3) Å, row vectors.
        atomic_numbers: (n_atoms,) of the atoms that are shown with it, at least one.
        scaled: (n_atoms, 3) their fractional coordinates.
        title: One line that says what it is.
    """

    density: FloatArray
    cell: FloatArray
    atomic_numbers: NDArray[np.int64]
    scaled: FloatArray
    title: str

    @property
    def volume(self) -> float:
        """Å³, of the cell."""
        return float(abs(np.linalg.det(self.cell)))


def check_volumetric(path: Path) -> None:
    """Refuses a name that `write_volumetric` cannot write, before any work is done."""
    _writer(path)


def write_volumetric(path: Path, what: Volumetric) -> None:
    """Writes a density as cube (NAME.cube) or CHGCAR (CHGCAR, NAME.CHGCAR); whole or not at all."""
    write = _writer(path)
    with written(path) as part, part.open("w", encoding="ascii", errors="replace") as file:
        write(file, what)


def _writer(path: Path) -> Callable[[IO[str], Volumetric], None]:
    if path.suffix.lower() == ".cube":
        return _write_cube
    if "CHGCAR" in path.name.upper() and path.suffix.lower() not in (".gz", ".bz2", ".xz"):
        return _write_chgcar
    raise InputError("--density", expected="NAME.cube, or CHGCAR in the name", found=path.name)


def _write_chgcar(file: IO[str], what: Volumetric) -> None:
    """As VASP 5 and later do: atoms keep their order, elements stand once per run of atoms."""
    symbols = [chemical_symbols[z] for z in what.atomic_numbers]
    runs = [(symbol, len(list(atoms))) for symbol, atoms in groupby(symbols)]
    file.write(f"{_one_line(what.title)}\n   1.00000000000000\n")
    for x, y, z in what.cell.tolist():
        file.write(f" {x:14.8f} {y:14.8f} {z:14.8f}\n")
    file.write("".join(f" {symbol:>4}" for symbol, _ in runs) + "\n")
    file.write("".join(f" {count:>4}" for _, count in runs) + "\nDirect\n")
    for x, y, z in (what.scaled % 1.0).tolist():
        file.write(f" {x:14.10f} {y:14.10f} {z:14.10f}\n")
    file.write("\n" + "".join(f" {n:4d}" for n in what.density.shape) + "\n")
    values = (what.density * what.volume).ravel(order="F")
    file.writelines(_lines(values, " %.11E", 5))


def _write_cube(file: IO[str], what: Volumetric) -> None:
    to_bohr = 1.0 / BOHR_IN_ANGSTROM
    file.write(f"{_one_line(what.title)}\nper Bohr^3, lengths in Bohr; the last axis is fastest\n")
    file.write(f"{len(what.atomic_numbers):5d} {0.0:14.8f} {0.0:14.8f} {0.0:14.8f}\n")
    for n, vector in zip(what.density.shape, what.cell, strict=True):
        x, y, z = (vector * to_bohr / n).tolist()
        file.write(f"{n:5d} {x:14.8f} {y:14.8f} {z:14.8f}\n")
    positions = (what.scaled % 1.0) @ what.cell * to_bohr
    for number, (x, y, z) in zip(what.atomic_numbers.tolist(), positions.tolist(), strict=True):
        file.write(f"{number:5d} {float(number):10.6f} {x:14.8f} {y:14.8f} {z:14.8f}\n")
    # a row of the last axis begins a line of its own
    rows = (what.density * BOHR_IN_ANGSTROM**3).reshape(-1, what.density.shape[2])
    for row in rows:
        file.writelines(_lines(row, " %12.5E", 6))


def _lines(values: FloatArray, form: str, per_line: int) -> Iterator[str]:
    """Numbers as text, so many to a line; the last line may be shorter."""
    line = form * per_line + "\n"
    for start in range(0, len(values), _PIECE):
        piece = values[start : start + _PIECE].tolist()
        whole, rest = divmod(len(piece), per_line)
        yield line * whole % tuple(piece[: whole * per_line])
        if rest:
            yield form * rest % tuple(piece[-rest:]) + "\n"


def _one_line(title: str) -> str:
    return " ".join(title.split()) or "density"
