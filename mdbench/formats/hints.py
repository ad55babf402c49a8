"""What the user types about a source, parsed: elements and cells."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from ase.geometry import cellpar_to_cell
from numpy.typing import NDArray

from mdbench.config import IngestConfig
from mdbench.errors import InputError
from mdbench.formats.base import Hints
from mdbench.trajectory import element_number


def hints_from(config: IngestConfig) -> Hints:
    """The hints in the settings of an ingestion."""
    return Hints(
        species=None if config.species is None else parse_species(config.species),
        cell=None if config.cell is None else parse_cell(config.cell),
        constant_order=config.constant_order,
        timestep_fs=config.timestep_fs,
        lammps_units=config.lammps_units,
    )


def parse_species(text: str) -> dict[str, str] | tuple[str, ...]:
    """`1=O,2=H` as a mapping of types, `Li,P,S` as a list; element symbols checked."""
    items = [item.strip() for item in text.split(",") if item.strip()]
    pairs = [item.partition("=") for item in items]
    is_mapping = any(separator for _, separator, _ in pairs)
    if not items or (is_mapping and not all(k.strip() and v.strip() for k, _, v in pairs)):
        raise InputError("--species", expected="1=O,2=H or Li,P,S", found=repr(text))
    symbols = [
        v.strip() if is_mapping else item for item, (_, _, v) in zip(items, pairs, strict=True)
    ]
    for symbol in symbols:
        element_number(symbol)
    symbols = [symbol.capitalize() for symbol in symbols]
    if not is_mapping:
        return tuple(symbols)
    kinds = [kind.strip() for kind, _, _ in pairs]
    if len(set(kinds)) < len(kinds):
        raise InputError("--species", expected="each type once", found=repr(text))
    return dict(zip(kinds, symbols, strict=True))


def parse_cell(text: str) -> Path | NDArray[np.float64]:
    """A `.cell` file, or 3, 6 or 9 numbers as a (3, 3) cell in Å."""
    try:
        numbers = [float(item) for item in text.split(",")]
    except ValueError as error:
        path = Path(text)
        if is_file(path):
            return path
        raise InputError(
            "--cell", expected="an existing file, or numbers with commas", found=repr(text)
        ) from error
    if len(numbers) not in (3, 6, 9):
        raise InputError("--cell", expected="3, 6 or 9 numbers", found=len(numbers))
    cell = np.array(numbers)
    if len(numbers) < 9:
        cell = _cell_of(numbers[:3], numbers[3:] or [90.0, 90.0, 90.0])
    cell = cell.reshape(3, 3)
    if not np.isfinite(cell).all() or abs(np.linalg.det(cell)) <= 1e-6 * _lengths_product(cell):
        raise InputError(
            "--cell", expected="three lattice vectors that span a volume", found=repr(text)
        )
    return cell


def is_file(path: Path) -> bool:
    """Whether there is such a file; no file has a name that is too long for one."""
    try:
        return path.is_file()
    except OSError:
        return False


def _cell_of(lengths: list[float], angles: list[float]) -> NDArray[np.float64]:
    """(3, 3) Å; not finite where no cell has such lengths and angles."""
    possible = all(0.0 < length < np.inf for length in lengths) and all(a > 0.0 for a in angles)
    if not possible or not 2.0 * max(angles) < sum(angles) < 360.0:
        return np.full((3, 3), np.nan)
    return np.asarray(cellpar_to_cell([*lengths, *angles]))


def _lengths_product(cell: NDArray[np.float64]) -> float:
    return float(np.linalg.norm(cell, axis=1).prod())
