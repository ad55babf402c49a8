"""Trajectories as files of other programs: extxyz, XDATCAR, LAMMPS dump and ASE .traj.

Frames are written block by block under a temporary name, which becomes the file when all is
written. Numbers are printed so that they are read back unchanged: nine significant digits for
single precision, as many as it takes for double; XDATCAR has the eight decimals of VASP.
"""

from __future__ import annotations

import dataclasses
import gzip
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, ExitStack
from itertools import groupby
from pathlib import Path
from typing import IO, Any, ClassVar, Self

import numpy as np
from ase.data import atomic_masses
from numpy.typing import NDArray

from mdbench.errors import InputError, suggest
from mdbench.store import written
from mdbench.trajectory import Trajectory
from mdbench.units import ASE_TIME_IN_FS, FS_IN_PS, PS_IN_FS

FloatArray = NDArray[Any]

#: Cells whose parts above the diagonal are below this (Å) are in LAMMPS's orientation already.
_NO_TILT = 1e-9


class Exporter(AbstractContextManager["Exporter"]):
    """Writes a trajectory to a file, block after block; the file exists once the block ends.

    Args:
        path: The file to write.
        first: The first block: atoms, and what is known of the run.

    Raises:
        InputError: A file that cannot be written, a full disk, a cell that the format cannot hold.
    """

    format: ClassVar[str]
    compresses: ClassVar[bool] = True

    def __init__(self, path: Path, first: Trajectory) -> None:
        self.path = path
        self.first = first
        self.n_frames = 0
        still = first.n_frames > 1 and first.frame_interval_fs is None
        self._timed = not still and first.provenance.unwrapped_by != "not a time series"
        self._open = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as on_error:
            part = on_error.enter_context(written(self.path))
            self._start(part, on_error)
            self._open = on_error.pop_all()
        return self

    def __exit__(self, *error: Any) -> None:
        self._open.__exit__(*error)

    def write(self, block: Trajectory) -> None:
        """Appends the frames of a block."""
        if not np.array_equal(block.atomic_numbers, self.first.atomic_numbers):
            raise InputError("other atoms than in the first block", where=self.path)
        self._write(block)
        self.n_frames += block.n_frames

    def _start(self, part: Path, files: ExitStack) -> None:
        """Opens the temporary file; `files` closes it."""
        raise NotImplementedError

    def _write(self, block: Trajectory) -> None:
        raise NotImplementedError

    def _cells(self, block: Trajectory) -> FloatArray:
        """(n_frames, 3, 3) Å, cells that span a volume, which these formats need."""
        cells = np.asarray(block.cells, dtype=np.float64)
        flat = np.abs(np.linalg.det(cells)) == 0
        if flat.any():
            raise InputError(
                f"{self.format} needs a cell",
                where=f"{self.path}: frame {self.n_frames + int(np.flatnonzero(flat)[0])}",
                expected="three lattice vectors that span a volume",
                found="none",
                remedy="write extxyz or .traj",
            )
        return cells


class _TextExporter(Exporter):
    """Text, compressed where the name ends with .gz."""

    def _start(self, part: Path, files: ExitStack) -> None:
        self._file: IO[bytes] | gzip.GzipFile = files.enter_context(part.open("wb"))
        if self.path.suffix == ".gz":
            packed = gzip.GzipFile("", "wb", compresslevel=6, fileobj=self._file, mtime=0)
            self._file = files.enter_context(packed)

    def _put(self, text: str) -> None:
        self._file.write(text.encode("ascii"))


class ExtxyzExporter(_TextExporter):
    """Extended xyz as ASE reads it: momenta in ASE's unit, and the time in ps as `time_ps`."""

    format = "extxyz"

    def _write(self, block: Trajectory) -> None:
        columns, names = [(block.positions, block.positions)], ["pos:R:3"]
        if block.velocities is not None:
            columns.append((_momenta(block.velocities, block.atomic_numbers), block.velocities))
            names.append("momenta:R:3")
        if block.forces is not None:
            columns.append((block.forces, block.forces))
            names.append("forces:R:3")
        properties = "species:S:1:" + ":".join(names)
        rows = _rows(block.symbols, columns)
        pbc = " ".join("T" if periodic else "F" for periodic in block.pbc)
        for frame in range(block.n_frames):
            comment = f'Lattice="{_joined(block.cells[frame])}" Properties={properties}'
            comment += f' pbc="{pbc}"'
            if self._timed:
                comment += f" time_ps={float(block.times_ps[frame])!r}"
            if block.energies is not None:
                comment += f" energy={float(block.energies[frame])!r}"
            if block.stresses is not None:
                comment += f' stress="{_joined(block.stresses[frame])}"'
            self._put(f"{block.n_atoms}\n{comment}\n" + rows(frame))


class XdatcarExporter(_TextExporter):
    """XDATCAR as VASP 5 and later write it: fractional coordinates, wrapped into the cell.

    The atoms keep their order, so an element stands in the header once per run of its atoms. The
    header comes again where the cell changes. Times, forces and velocities have no place in it.
    """

    format = "XDATCAR"
    _last_cell: FloatArray | None = None

    def _write(self, block: Trajectory) -> None:
        cells = self._cells(block)
        scaled = np.einsum("fai,fij->faj", block.positions, np.linalg.inv(cells))
        scaled = np.round(scaled - np.floor(scaled) * block.pbc, 8)
        scaled -= (scaled == 1.0) * block.pbc  # what rounding made 1 is the other side, 0
        row = " %11.8f %11.8f %11.8f\n" * block.n_atoms
        for frame in range(block.n_frames):
            if self._last_cell is None or not np.array_equal(self._last_cell, cells[frame]):
                self._put(self._header(block, cells[frame]))
                self._last_cell = cells[frame]
            number = self.n_frames + frame + 1
            text = row % tuple(scaled[frame].ravel().tolist())
            self._put(f"Direct configuration={number:6d}\n{text}")

    def _header(self, block: Trajectory, cell: FloatArray) -> str:
        runs = [(symbol, len(list(atoms))) for symbol, atoms in groupby(block.symbols)]
        vectors = "".join(f"  {x:.10f}  {y:.10f}  {z:.10f}\n" for x, y, z in cell.tolist())
        symbols = "".join(f" {symbol:>4}" for symbol, _ in runs)
        counts = "".join(f" {count:>4}" for _, count in runs)
        return f"{block.formula}\n  1.0\n{vectors}{symbols}\n{counts}\n"


class LammpsDumpExporter(_TextExporter):
    """LAMMPS text dump in `metal` units: unwrapped `xu yu zu`, `vx vy vz` and `fx fy fz`.

    LAMMPS wants its first lattice vector along x and the second in the xy plane. Other cells are
    rotated, each frame with its positions, velocities and forces: lengths, angles and energies
    stay, directions are those of the rotated frame. Types count the elements in their order of
    appearance. TIMESTEP is the MD step where the timestep is known, else the number of the frame
    (LAMMPS's optional TIME and UNITS lines stop MDAnalysis). Energies and stress have no place.
    """

    format = "LAMMPS dump"

    def _write(self, block: Trajectory) -> None:
        cells, rotations = self._rotated(self._cells(block))
        columns = [(_turned(block.positions, rotations), block.positions)]
        names = ["xu yu zu"]
        if block.velocities is not None:
            velocities = np.asarray(block.velocities, dtype=np.float64) * PS_IN_FS
            columns.append((_turned(velocities, rotations), block.velocities))
            names.append("vx vy vz")
        if block.forces is not None:
            columns.append((_turned(block.forces, rotations), block.forces))
            names.append("fx fy fz")
        types = {symbol: i for i, symbol in enumerate(dict.fromkeys(block.symbols), start=1)}
        labels = [f"{i} {types[s]} {s}" for i, s in enumerate(block.symbols, start=1)]
        rows = _rows(labels, columns)
        steps = self._steps(block)
        for frame in range(block.n_frames):
            self._put(
                f"ITEM: TIMESTEP\n{steps[frame]}\nITEM: NUMBER OF ATOMS\n{block.n_atoms}\n"
                f"{_box(cells[frame], block.pbc)}"
                f"ITEM: ATOMS id type element {' '.join(names)}\n{rows(frame)}"
            )

    def _steps(self, block: Trajectory) -> list[int]:
        timestep = self.first.provenance.timestep_fs
        if timestep is None or not self._timed:
            return list(range(self.n_frames, self.n_frames + block.n_frames))
        steps: list[int] = np.rint(block.times_ps / (timestep * FS_IN_PS)).astype(int).tolist()
        return steps

    def _rotated(self, cells: FloatArray) -> tuple[FloatArray, FloatArray | None]:
        """(n_frames, 3, 3) Å, lower triangular cells, and the rotations to them (None: as is)."""
        left = np.linalg.det(cells) < 0
        if left.any():
            raise InputError(
                "left-handed cell",
                where=f"{self.path}: frame {self.n_frames + int(np.flatnonzero(left)[0])}",
                expected="a x b · c above zero, as LAMMPS needs",
                remedy="write extxyz, XDATCAR or .traj",
            )
        above = np.abs(cells[:, [0, 0, 1], [1, 2, 2]]).max(axis=1, initial=0.0)
        diagonal = cells[:, [0, 1, 2], [0, 1, 2]]
        if (above < _NO_TILT).all() and (diagonal > 0).all():
            return cells, None
        turn, upper = np.linalg.qr(cells.transpose(0, 2, 1))  # cell = upper.T @ turn.T
        signs = np.sign(np.einsum("fii->fi", upper))
        return (upper * signs[:, :, None]).transpose(0, 2, 1), turn * signs[:, None, :]


class AseTrajExporter(Exporter):
    """ASE .traj, with energy, forces and stress as a calculator's results."""

    format = "ASE .traj"
    compresses = False

    def _start(self, part: Path, files: ExitStack) -> None:
        from ase.io.trajectory import TrajectoryWriter

        file = files.enter_context(part.open("wb"))
        self._writer = files.enter_context(TrajectoryWriter(file))

    def _write(self, block: Trajectory) -> None:
        if block.velocities is not None:  # so that the change of units does not round them
            velocities = block.velocities.astype(np.float64)
            block = dataclasses.replace(block, velocities=velocities)
        for atoms in block.to_ase():
            self._writer.write(atoms)


EXPORTERS: dict[str, type[Exporter]] = {
    exporter.format: exporter
    for exporter in (ExtxyzExporter, XdatcarExporter, LammpsDumpExporter, AseTrajExporter)
}

_SUFFIXES: dict[str, type[Exporter]] = {
    ".extxyz": ExtxyzExporter,
    ".xyz": ExtxyzExporter,
    ".xdatcar": XdatcarExporter,
    ".vasp": XdatcarExporter,
    ".lammpstrj": LammpsDumpExporter,
    ".lammpsdump": LammpsDumpExporter,
    ".dump": LammpsDumpExporter,
    ".traj": AseTrajExporter,
}


def exporter_for(path: Path) -> type[Exporter]:
    """The exporter that a file name asks for: by its suffix, or XDATCAR in it; .gz behind text."""
    name = path.name.removesuffix(".gz")
    suffix = Path(name).suffix.lower()
    exporter = _SUFFIXES.get(suffix)
    if exporter is None and "XDATCAR" in name.upper():
        exporter = XdatcarExporter
    if exporter is None:
        raise InputError(
            "unknown kind of output",
            where=path,
            expected=f"XDATCAR or a name with {', '.join(sorted(_SUFFIXES))}",
            found=repr(path.suffix),
            remedy=suggest(suffix, _SUFFIXES) if suffix else None,
        )
    if name != path.name and not exporter.compresses:
        raise InputError(f"{exporter.format} is not written compressed", where=path)
    return exporter


def write_frames(path: Path, blocks: Iterable[Trajectory]) -> int:
    """Writes the blocks of a trajectory in the format that the name asks for; counts frames."""
    exporter = exporter_for(path)
    rest = iter(blocks)
    first = next(rest, None)
    if first is None:
        raise InputError("nothing to write", where=path, expected="at least one frame")
    with exporter(path, first) as output:
        output.write(first)
        for block in rest:
            output.write(block)
        return output.n_frames


def _momenta(velocities: FloatArray, numbers: FloatArray) -> FloatArray:
    """(n_frames, n_atoms, 3) amu Å per ASE time unit, of velocities in Å/fs."""
    return np.asarray(velocities * (atomic_masses[numbers][:, None] * ASE_TIME_IN_FS))


def _turned(vectors: FloatArray, rotations: FloatArray | None) -> FloatArray:
    """(n_frames, n_atoms, 3), turned by (n_frames, 3, 3)."""
    return vectors if rotations is None else np.einsum("fai,fij->faj", vectors, rotations)


def _rows(labels: list[str], columns: list[tuple[FloatArray, FloatArray]]) -> Callable[[int], str]:
    """What writes the rows of a frame: a label per atom, then its vectors.

    Args:
        labels: One per atom.
        columns: (n_frames, n_atoms, 3) values, and the array whose precision they have.
    """
    numbers = "".join(
        " %.9g %.9g %.9g" if like.dtype == np.float32 else " %r %r %r" for _, like in columns
    )
    template = "".join(f"{label}{numbers}\n" for label in labels)

    def rows(frame: int) -> str:
        table = np.concatenate([np.asarray(values[frame], float) for values, _ in columns], axis=1)
        return template % tuple(table.ravel().tolist())

    return rows


def _box(cell: FloatArray, pbc: NDArray[np.bool_]) -> str:
    """LAMMPS's box of a lower triangular cell, its corner at the origin."""
    (lx, _, _), (xy, ly, _), (xz, yz, lz) = cell.tolist()
    borders = " ".join("pp" if periodic else "ff" for periodic in pbc)
    if xy == xz == yz == 0:
        rows = "".join(f"0.0 {length!r}\n" for length in (lx, ly, lz))
        return f"ITEM: BOX BOUNDS {borders}\n{rows}"
    x_shifts = (0.0, xy, xz, xy + xz)
    return (
        f"ITEM: BOX BOUNDS xy xz yz {borders}\n"
        f"{min(x_shifts)!r} {lx + max(x_shifts)!r} {xy!r}\n"
        f"{min(0.0, yz)!r} {ly + max(0.0, yz)!r} {xz!r}\n"
        f"0.0 {lz!r} {yz!r}\n"
    )


def _joined(matrix: FloatArray) -> str:
    """The nine numbers of a matrix, row after row."""
    return " ".join(repr(number) for number in np.asarray(matrix, float).ravel().tolist())
