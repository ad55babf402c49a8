"""H5MD of other programs: MDAnalysis, ZnH5MD, LAMMPS, pyh5md.

H5MD 1.1: de Buyl, Colberg, Höfling, Comput. Phys. Commun. 2014, 185, 1546,
doi:10.1016/j.cpc.2014.01.018. Two habits of ZnH5MD are known here: it stores ASE's velocities, in
Å per 10.18 fs, and calls them `Angstrom/fs`; and it writes 1 fs between frames where it was told
no time.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mdbench import store
from mdbench.errors import InputError
from mdbench.formats._unit_names import (
    ENERGY,
    FORCE,
    LENGTH,
    PRESSURE,
    TIME,
    VELOCITY,
    Powers,
    unit_factor,
)
from mdbench.formats.base import FloatArray, Frames, Header, Hints, Source
from mdbench.trajectory import check_cells, element_number
from mdbench.units import ASE_TIME_IN_FS

_MAGIC = b"\x89HDF\r\n\x1a\n"
_BLOCK_BYTES = 1 << 23
#: ASE's order of the six components of a symmetric tensor.
_VOIGT = np.array([[0, 5, 4], [5, 1, 3], [4, 3, 2]])


def looks_like_h5md(name: str, head: bytes) -> bool:
    """Whether a file is HDF5, by its first bytes."""
    return head.startswith(_MAGIC)


def open_h5md(path: Path, hints: Hints) -> Source:
    """An H5MD file of another program, open for reading.

    Args:
        path: The file.
        hints: `species`: symbols by type number, one for all atoms, or one per atom; `cell`: a
            (3, 3) cell for a file without a box.
    """
    file = store.open_checked(path)
    try:
        store.check_heaps(path)
        with store.reading(path):
            found = _Trajectory(path, file, hints)
    except BaseException:
        file.close()
        raise
    return Source(
        path=path,
        format="H5MD",
        header=found.header,
        blocks=found.blocks(),
        notes=found.notes,
        fraction=lambda: found.n_read / found.n_frames,
    )


@dataclass(frozen=True)
class _Element:
    """An H5MD element: values per frame with steps and times, or one value for all frames."""

    values: Any
    fixed: bool
    unit: str
    steps: Any = None
    times: Any = None

    @classmethod
    def at(cls, group: Any, name: str) -> _Element | None:
        """The element of that name, None where there is none with numbers in it."""
        item = group.get(name)
        if item is None:
            return None
        fixed = hasattr(item, "shape")
        values = item if fixed else item.get("value")
        if getattr(values, "dtype", np.dtype(object)).kind not in "iufb":
            return None
        unit = _text(values.attrs.get("unit", item.attrs.get("unit", "")))
        if fixed:
            return cls(values, fixed, unit)
        return cls(values, fixed, unit, item.get("step"), item.get("time"))


@dataclass(frozen=True)
class _Field:
    """A quantity that is read beside positions and cells, under its name in `Frames`."""

    name: str
    place: str
    values: Any
    convert: Callable[[NDArray[Any]], NDArray[Any]]


class _Trajectory:
    """What an open H5MD file holds and where.

    Attributes:
        header: What is known before the first frame.
        notes: What was dropped or assumed.
        n_frames: Complete frames.
        n_read: Frames read so far.
    """

    def __init__(self, path: Path, file: Any, hints: Hints) -> None:
        self.path, self.n_read = path, 0
        self.notes: list[str] = []
        self._file, self._hints = file, hints
        self._refuse_own()
        self._group, self._particles = self._find_particles()
        creator = getattr(file.get("h5md/creator"), "attrs", {})
        name, version = _text(creator.get("name", "")), _text(creator.get("version", ""))
        self._znh5md = name.lower() == "znh5md"
        self._position = self._find_position()
        self._edges = self._find_edges()
        self._species = _Element.at(self._particles, "species")
        self.n_frames = self._count_frames()
        self._length = self._length_factor()
        self._numbers = self._read_numbers(self._first_species())
        self._steps, self._times_fs = self._read_axes()
        self._ids = self._moving_ids()
        self._fields = self._find_fields()
        self.header = Header(
            atomic_numbers=self._numbers,
            pbc=self._read_pbc(),
            unwrapped=any(f.name == "images" for f in self._fields),
            code=f"{name} {version}".strip() or None,
        )

    def blocks(self) -> Generator[Frames]:
        """Yields the frames once, in order, about 8 MB of coordinates at a time."""
        values = self._position.values
        size = max(_BLOCK_BYTES // (values.shape[1] * 24), 1)
        chunk = (values.chunks or (1,))[0]
        size = size // chunk * chunk or size
        try:
            for start in range(0, self.n_frames, size):
                with store.reading(self.path):
                    block = self._read(start, min(start + size, self.n_frames))
                self.n_read += block.n_frames
                yield block
        finally:
            self._file.close()

    def _read(self, start: int, stop: int) -> Frames:
        span = slice(start, stop)
        order = self._order(span)
        self._check_species(span, order)
        coordinates = _finite(self.path, "position", self._position.values[span], start)
        extra = {}
        for found in self._fields:
            raw = _finite(self.path, found.place, found.values[span], start)
            value = found.convert(raw)
            extra[found.name] = _reorder(value, order) if found.name in _PER_ATOM else value
        return Frames(
            coordinates=_reorder(coordinates * self._length, order),
            cells=self._read_cells(span),
            steps=None if self._steps is None else self._steps[span],
            times_fs=None if self._times_fs is None else self._times_fs[span],
            **extra,
        )

    def _error(self, what: str, **details: Any) -> InputError:
        return InputError(what, where=self.path, **details)

    def _refuse_own(self) -> None:
        if "kind" not in self._file.attrs or "schema" not in self._file.attrs:
            return
        kind = _text(self._file.attrs["kind"])
        if kind == "trajectory":
            raise self._error(
                "already an mdbench trajectory", remedy="use it as it is, as `mdbench rdf` does"
            )
        raise self._error("a result of mdbench", expected="a trajectory", found=kind)

    def _find_particles(self) -> tuple[str, Any]:
        groups = self._file.get("particles")
        if not hasattr(groups, "items"):
            raise self._error(
                "an HDF5 file, but not H5MD", expected="a group /particles", found="none"
            )
        found = {n: g for n, g in groups.items() if hasattr(g, "items") and "position" in g}
        if len(found) != 1:
            raise self._error(
                "/particles",
                expected="one group with positions",
                found=" and ".join(sorted(found)) or "none",
                remedy="copy the group that is meant into a file of its own" if found else None,
            )
        return next(iter(found.items()))

    def _find_position(self) -> _Element:
        position = _Element.at(self._particles, "position")
        shape = position.values.shape if position else "no numbers"
        if position is None or position.fixed or len(shape) != 3 or shape[2] != 3 or not shape[1]:
            raise self._error("position/value", expected="shape (frames, atoms, 3)", found=shape)
        values = position.values
        size = values.size * values.dtype.itemsize
        if size > store.BEST_COMPRESSION * values.id.get_storage_size():
            raise self._error(
                "position/value", expected="positions of all frames", found="frames never written"
            )
        return position

    def _find_edges(self) -> _Element | None:
        box = self._particles.get("box", {})
        dimension = np.ravel(getattr(box, "attrs", {}).get("dimension", 3))
        if dimension.tolist() != [3]:
            raise self._error("box", expected="dimension 3", found=dimension.tolist())
        edges = _Element.at(box, "edges")
        if edges and edges.values.shape[0 if edges.fixed else 1 :] not in ((3,), (3, 3)):
            raise self._error(
                "box/edges", expected="3 or 3 x 3 numbers a frame", found=edges.values.shape
            )
        return edges

    def _count_frames(self) -> int:
        parts = {
            "position": self._position.values,
            "position/step": self._position.steps,
            "position/time": self._position.times,
            "box/edges": None if not self._edges or self._edges.fixed else self._edges.values,
            "species": None if not self._species or self._species.fixed else self._species.values,
        }
        lengths = {name: len(p) for name, p in parts.items() if getattr(p, "shape", ())}
        frames = min(lengths.values())
        if not frames or max(lengths.values()) > frames + 1:
            raise self._error(
                "frames",
                expected="one or more, as many in all parts",
                found=", ".join(f"{n} in {name}" for name, n in lengths.items()),
            )
        if max(lengths.values()) > frames:
            self.notes.append("The last frame is incomplete and was dropped.")
        return frames

    def _length_factor(self) -> float:
        unit = self._position.unit or (self._edges.unit if self._edges else "")
        if not unit:
            self.notes.append("Positions have no unit: taken as Å.")
            return 1.0
        factor = unit_factor(unit, LENGTH)
        if factor is None:
            raise self._error(
                "unit of positions", expected="Angstrom, nm, pm or bohr", found=repr(unit)
            )
        return factor

    def _read_axes(self) -> tuple[NDArray[np.int64] | None, FloatArray | None]:
        steps, times = self._axis(self._position.steps), self._axis(self._position.times)
        if steps is not None:
            steps = np.rint(steps)
            if (np.abs(steps) > 2**53).any():
                raise self._error(
                    "position/step", expected="counters", found=f"{np.abs(steps).max():g}"
                )
        if times is not None:
            unit = _text(self._position.times.attrs.get("unit", ""))
            factor = unit_factor(unit, TIME)
            if factor is None:
                self.notes.append(f"Times are not used: {_stated(unit)}.")
                times = None
            elif len(times) > 1 and times[0] == times[-1]:
                self.notes.append("Times are not used: the first and the last are the same.")
                times = None
            else:
                times = times * factor
                self._doubt(times)
        return None if steps is None else steps.astype(np.int64), times

    def _axis(self, dataset: Any) -> FloatArray | None:
        if getattr(dataset, "dtype", np.dtype(object)).kind not in "iuf":
            return None
        if dataset.shape:
            values = np.asarray(dataset[: self.n_frames], dtype=float)
        else:  # increment from frame to frame
            offset = float(dataset.attrs.get("offset", 0))
            values = offset + float(dataset[()]) * np.arange(self.n_frames)
        if values.ndim != 1:
            raise self._error(dataset.name, expected="one number a frame", found=values.shape)
        return _finite(self.path, dataset.name, values, 0)

    def _doubt(self, times_fs: FloatArray) -> None:
        if self._znh5md and len(times_fs) > 1 and times_fs[1] - times_fs[0] == 1.0:
            self.notes.append(
                "Frames are 1 fs apart, which ZnH5MD also writes where it was told no time: check."
            )

    def _read_pbc(self) -> NDArray[np.bool_]:
        boundary = getattr(self._particles.get("box"), "attrs", {}).get("boundary")
        if boundary is None:
            boundary = "none" if self._edges is None else "periodic"
            self.notes.append(f"The box does not state its boundary: taken as {boundary}.")
        words = [_text(word) for word in np.ravel(boundary)]
        words = words * 3 if len(words) == 1 else words
        if len(words) != 3 or not {"periodic", "none", "nonperiodic"}.issuperset(words):
            raise self._error("box boundary", expected="periodic or none, 3 times", found=words)
        pbc = np.array([word == "periodic" for word in words])
        if pbc.any() and self._edges is None and not isinstance(self._hints.cell, np.ndarray):
            raise self._error("periodic box", expected="edges", found="none", remedy="give --cell")
        return pbc

    def _read_cells(self, span: slice) -> FloatArray:
        shape = (span.stop - span.start, 3, 3)
        if self._edges is None:
            given = self._hints.cell
            return np.broadcast_to(given if isinstance(given, np.ndarray) else 0.0, shape).copy()
        factor = unit_factor(self._edges.unit, LENGTH) if self._edges.unit else self._length
        if factor is None:
            raise self._error(
                "unit of box/edges", expected="a length", found=repr(self._edges.unit)
            )
        edges = self._edges.values[()][None] if self._edges.fixed else self._edges.values[span]
        edges = _finite(self.path, "box/edges", edges, span.start) * factor
        if edges.ndim == 2:
            edges = edges[:, :, None] * np.eye(3)
        cells = np.broadcast_to(edges, shape).copy()
        if self.header.pbc.any():
            try:
                check_cells(cells, first_frame=span.start)
            except InputError as error:
                raise InputError(str(error), where=self.path) from error
        return cells

    def _first_species(self) -> NDArray[Any] | None:
        n_atoms = self._position.values.shape[1]
        if self._species is None:
            return None
        values = self._species.values[()] if self._species.fixed else self._species.values[0]
        if np.shape(values) != (n_atoms,):
            raise self._error("species", expected=f"shape ({n_atoms},)", found=np.shape(values))
        _finite(self.path, "species", values[None], 0)
        if (values != np.rint(values)).any():
            raise self._error("species", expected="whole numbers", found=values[:10].tolist())
        return np.asarray(values.astype(np.int64))

    def _read_numbers(self, types: NDArray[np.int64] | None) -> NDArray[np.int64]:
        n_atoms, given = self._position.values.shape[1], self._hints.species
        if given is not None and not isinstance(given, Mapping):
            if len(given) not in (1, n_atoms):
                raise self._error("--species", expected=f"1 or {n_atoms} symbols", found=len(given))
            numbers = [element_number(symbol) for symbol in given]
            return np.broadcast_to(np.array(numbers), (n_atoms,)).copy()
        if types is None:
            raise self._error(
                "no species", remedy="name the elements with --species, one for all or one per atom"
            )
        assert self._species is not None
        names = {
            v: k for k, v in ((self._species.values.dtype.metadata or {}).get("enum") or {}).items()
        }
        kinds = sorted(set(types.tolist()))
        symbols = {k: str(names.get(k, k)) for k in kinds}
        if given is not None:
            symbols = {k: given.get(symbols[k], given.get(str(k), "")) for k in kinds}
        elif not names:
            return self._check_numbers(types, kinds)
        unknown = [names.get(k, k) for k in kinds if not _is_element(symbols[k])]
        if unknown:
            raise self._error(
                "species", expected="an element for each", found=unknown, remedy=_BY_TYPE
            )
        table = {k: element_number(symbols[k]) for k in kinds}
        return np.array([table[k] for k in types.tolist()], dtype=np.int64)

    def _check_numbers(self, types: NDArray[np.int64], kinds: list[int]) -> NDArray[np.int64]:
        # 1, 2, ... without a gap are types of LAMMPS, not hydrogen and helium
        counted = kinds == list(range(kinds[0], kinds[0] + len(kinds))) and kinds[0] <= 1
        if kinds[0] < 1 or kinds[-1] > 118 or (counted and not self._znh5md):
            raise self._error(
                "species", expected="atomic numbers", found=f"types {kinds}", remedy=_BY_TYPE
            )
        return types

    def _moving_ids(self) -> Any:
        ids = _Element.at(self._particles, "id")
        if ids is None or ids.fixed:
            return None
        if (
            ids.values.shape[1:] != self._position.values.shape[1:2]
            or len(ids.values) < self.n_frames
        ):
            raise self._error("id", expected="one per atom and frame", found=ids.values.shape)
        return ids.values

    def _order(self, span: slice) -> NDArray[np.int64] | None:
        """(n_frames, n_atoms) where each atom of the first frame stands; None where it stays."""
        if self._ids is None:
            return None
        first, ids = self._ids[0], self._ids[span]
        order = np.argsort(ids, axis=1, kind="stable")
        changed = np.take_along_axis(ids, order, axis=1) != np.sort(first)
        if changed.any():
            frame = span.start + int(np.flatnonzero(changed.any(axis=1))[0])
            raise self._error(f"frame {frame}: id", expected="the atoms of frame 0", found="others")
        return order[:, np.argsort(np.argsort(first, kind="stable"))]

    def _check_species(self, span: slice, order: NDArray[np.int64] | None) -> None:
        if self._species is None or self._species.fixed:
            return
        species = self._species.values[span]
        if species.shape[1:] != self._position.values.shape[1:2]:
            raise self._error("species", expected="one per atom", found=species.shape)
        changed = (_reorder(species, order) != self._species.values[0]).any(axis=1)
        if changed.any():
            raise self._error(
                f"frame {span.start + int(np.flatnonzero(changed)[0])}: species",
                expected="the atoms of frame 0 in the same order",
                found="others",
                remedy="store a trajectory of the same atoms in one order",
            )

    def _find_fields(self) -> list[_Field]:
        n_atoms = self._position.values.shape[1]
        vector, tensor = [(n_atoms, 3)], [(3, 3)]
        velocity = (VELOCITY, ASE_TIME_IN_FS**-1) if self._znh5md else (VELOCITY, 1.0)
        observables = self._observables()
        own = [self._particles]
        found = [
            self._field("images", own, ("image",), vector, None),
            self._field("velocities", own, ("velocity",), vector, velocity),
            self._field("forces", own, ("force", "forces"), vector, (FORCE, 1.0)),
            self._field(
                "energies", observables, ("potential_energy", "energy"), [()], (ENERGY, 1.0)
            ),
            self._field(
                "stresses",
                [*observables, *own],
                ("stress",),
                [*tensor, (6,)] if self._znh5md else tensor,
                (PRESSURE, 1.0),
            ),
        ]
        if "momentum" in self._particles and found[1] is None:
            self.notes.append("momentum was not read: velocities are read from velocity only.")
        return [field for field in found if field is not None]

    def _observables(self) -> list[Any]:
        root = self._file.get("observables")
        if not hasattr(root, "items"):
            return []
        groups = {n: g for n, g in root.items() if hasattr(g, "items")}
        own = [groups.pop(self._group)] if self._group in groups else []
        return [*own, root, *groups.values()]

    def _field(
        self,
        name: str,
        groups: list[Any],
        names: tuple[str, ...],
        shapes: Sequence[tuple[int, ...]],
        unit: tuple[Powers, float] | None,
    ) -> _Field | None:
        places = ((f"{g.name}/{n}", _Element.at(g, n)) for n in names for g in groups)
        place, element = next(((p, e) for p, e in places if e is not None), ("", None))
        if element is None or element.fixed:
            return None
        factor = 1.0 if unit is None else unit_factor(element.unit, unit[0])
        shape = element.values.shape
        if factor is None:
            self.notes.append(f"{place} was not read: {_stated(element.unit)}.")
        elif shape[1:] not in shapes or shape[0] < self.n_frames:
            self.notes.append(f"{place} was not read: its shape is {shape}.")
        elif not self._in_step(element):
            self.notes.append(f"{place} was not read: it is stored at other steps than position.")
        else:
            if unit is not None:
                factor *= unit[1]
            if name == "velocities" and self._znh5md:
                self.notes.append(
                    "Velocities of ZnH5MD were taken in ASE's unit, as it stores them."
                )
            return _Field(name, place, element.values, _converter(name, factor, shape[1:]))
        return None

    def _in_step(self, element: _Element) -> bool:
        steps = self._axis(element.steps)
        return steps is None or self._steps is None or np.array_equal(np.rint(steps), self._steps)


_PER_ATOM = ("images", "velocities", "forces")
_BY_TYPE = "name the element of each type, as --species 1=Li,2=O"


def _converter(
    name: str, factor: float, shape: tuple[int, ...]
) -> Callable[[NDArray[Any]], NDArray[Any]]:
    if name == "images":
        return lambda raw: np.rint(raw).astype(np.int64)
    if shape == (6,):
        return lambda raw: raw[:, _VOIGT] * factor
    return lambda raw: raw * factor


def _finite(path: Path, name: str, values: NDArray[Any], first_frame: int) -> NDArray[Any]:
    """The values as real numbers; refuses NaN and infinity, naming the frame."""
    values = np.asarray(values, dtype=np.float64)
    bad = ~np.isfinite(values)
    if bad.any():
        frame = first_frame + int(np.argwhere(bad)[0][0])
        found = values[bad].flat[0]
        raise InputError(f"frame {frame}: {name}", where=path, expected="finite", found=found)
    return values


def _reorder(values: NDArray[Any], order: NDArray[np.int64] | None) -> NDArray[Any]:
    if order is None:
        return values
    return np.take_along_axis(values, order[..., None] if values.ndim == 3 else order, axis=1)


def _text(value: Any) -> str:
    value = value.item() if isinstance(value, np.ndarray) and value.size == 1 else value
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _stated(unit: str) -> str:
    return f"its unit {unit!r} is not understood" if unit else "it has no unit"


def _is_element(symbol: str) -> bool:
    try:
        element_number(symbol)
    except InputError:
        return False
    return True
