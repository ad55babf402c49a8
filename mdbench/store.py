"""HDF5 files of mdbench: kinds, schema, provenance. The only importer of h5py.

Every file is written as `NAME.h5.part` beside its final name and renamed when it is complete, so
a file that exists is a finished file. Trajectories are H5MD 1.1 (docs/files.md). Files come from
strangers: nothing outside a file is followed, and damage is one line, not a traceback.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import math
import mmap
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import h5py
import numpy as np
from numpy.typing import NDArray

from mdbench.claims import claimed
from mdbench.errors import InputError
from mdbench.trajectory import Provenance, Trajectory, frame_interval
from mdbench.units import FS_IN_PS, PS_IN_FS
from mdbench.version import __version__

SCHEMA = 1

#: gzip, shuffle, fletcher32, szip, n-bit, scale-offset, lzf: what every h5py has.
_FILTERS = {1, 2, 3, 4, 5, 6, 32000}
_DAMAGE = (
    OSError,
    KeyError,
    ValueError,
    RuntimeError,
    TypeError,
    AttributeError,
    IndexError,
    OverflowError,
    MemoryError,
)
_CHUNK_BYTES = 1 << 20
#: Of what takes more memory than this, a part of the file must be.
_SMALL_BYTES = 1 << 26
#: Deflate reaches 1032 : 1 at most; what claims more was never written.
BEST_COMPRESSION = 1100
#: How a collection of strings of any length begins, version 1.
_HEAP = b"GCOL\x01\0\0\0"
_BLOCK_BYTES = 1 << 23


@dataclass(frozen=True)
class Input:
    """A file that a result was made from."""

    name: str
    kind: str
    sha256: str


@dataclass(frozen=True)
class Dataset:
    """An array with its unit and the names of its axes."""

    values: Any
    unit: str
    axes: tuple[str, ...]


@dataclass(frozen=True)
class Result:
    """The content of a file that is not a trajectory.

    Attributes:
        datasets: Arrays by their path in the file, as `g/Li-S`.
        attributes: What the stage says about them.
        config: Settings of the stage.
        inputs: Files that it read.
        created: When it was written.
        units: Of the arrays.
        axes: Names of the axes of the arrays.
    """

    datasets: dict[str, NDArray[Any]]
    attributes: dict[str, Any]
    config: dict[str, Any]
    inputs: list[Input]
    created: str = ""
    units: dict[str, str] = field(default_factory=dict)
    axes: dict[str, tuple[str, ...]] = field(default_factory=dict)


def input_of(path: Path, kind: str) -> Input:
    """Name, kind and checksum of a file, to be stamped into what is made from it."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return Input(path.name, kind, digest.hexdigest())


def check_output(path: Path, *, force: bool) -> None:
    """Refuses an output that exists (unless forced) or cannot be written, before any work."""
    if path.is_dir():
        raise InputError("output is a folder", where=path, remedy="name a file in it")
    if path.exists() and not path.is_file():
        raise InputError("output is not a regular file", where=path)
    if path.exists() and not force:
        raise InputError("output exists", where=path, remedy="another name, or --force")
    folder = path.parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        raise InputError("not a folder", where=folder, remedy="write elsewhere")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(
            "folder cannot be written: Permission denied", where=folder, remedy="write elsewhere"
        )


@contextmanager
def written(path: Path) -> Iterator[Path]:
    """A name beside `path` to write to; it becomes `path` when the block ends without an error.

    Raises:
        InputError: It cannot be written, or another process is at it.
    """
    part = path.with_name(path.name + ".part")
    try:
        with claimed(path), _removed_unless_done(part):
            yield part
            with part.open("rb+") as file:
                os.fsync(file.fileno())
            part.replace(path)
    except OSError as error:
        raise write_error(path, error) from error


@contextmanager
def _removed_unless_done(part: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise


class _Sink(io.FileIO):
    """A file for HDF5 to write to that keeps its first failure to itself.

    HDF5 cannot close a file whose writes fail, and then crashes the interpreter at its exit.

    Attributes:
        error: Why writing failed; all that came later was discarded.
    """

    error: OSError | None = None

    def write(self, data: Any, /) -> int:
        """Writes all bytes, or none once something failed."""
        rest = memoryview(data).cast("B")
        size = len(rest)
        try:
            while len(rest) and self.error is None:
                rest = rest[super().write(rest) :]
        except OSError as error:
            self.error = error
        return size

    def truncate(self, size: int | None = None, /) -> int:
        """Sets the size of the file, unless something failed."""
        try:
            if self.error is None:
                return super().truncate(size)
        except OSError as error:
            self.error = error
        return size or 0

    def check(self) -> None:
        """Raises the failure."""
        if self.error is not None:
            raise self.error


@contextmanager
def _created(
    path: Path, kind: str, config: Mapping[str, Any], inputs: Sequence[Input]
) -> Iterator[tuple[h5py.File, _Sink]]:
    """A new HDF5 file that gets its name when the block ends without an error."""
    # version 1.10 of the format has checksums of its metadata, too
    with written(path) as part, _Sink(part, "wb+") as sink:
        with h5py.File(sink, "w", libver=("v110", "v110")) as file:
            _stamp(file, kind, config, inputs)
            yield file, sink
        sink.check()


def write_error(path: Path, error: OSError) -> InputError:
    """Why a file could not be written, in one line."""
    text = str(error)
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) or "No space" in text
    if full:
        return InputError(
            "disk full while writing", where=path, remedy="free space or write elsewhere with -o"
        )
    return InputError(f"cannot be written: {error.strerror or text}", where=path)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turns whatever a damaged HDF5 file raises into one line."""
    try:
        yield
    except InputError:
        raise
    except _DAMAGE as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            "damaged or incomplete HDF5 file", where=path, found=reason, remedy="write it again"
        ) from error


def open_checked(path: Path) -> h5py.File:
    """An HDF5 file open for reading, after nothing in it was found to lead out of it."""
    if not path.exists():
        raise InputError("no such file", where=path)
    if path.is_dir():
        raise InputError("a folder", where=path, expected="an HDF5 file")
    try:
        with path.open("rb") as raw:
            magic = raw.read(8)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=path) from error
    if not magic:
        raise InputError("empty file", where=path, expected="an HDF5 file")
    if magic != b"\x89HDF\r\n\x1a\n":
        raise InputError(
            "not an HDF5 file", where=path, remedy="`mdbench ingest` reads the files of other codes"
        )
    with reading(path):
        file = h5py.File(path, "r", locking="best-effort")
        try:
            _check_group(path, file, set())
        except BaseException:
            file.close()
            raise
        return file


def check_heaps(path: Path) -> None:
    """Refuses a file in which HDF5 would read one string for ever.

    HDF5 goes from string to string by their sizes; free space of no size, as only damage leaves it,
    keeps it where it is. (docs.hdfgroup.org, "HDF5 File Format Specification", III.E.)
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        at = content.find(_HEAP)
        while at >= 0:
            end = min(at + int.from_bytes(content[at + 8 : at + 16], "little"), len(content))
            place = at + 16
            while place + 16 <= end:
                index = int.from_bytes(content[place : place + 2], "little")
                size = int.from_bytes(content[place + 8 : place + 16], "little")
                if not index and not size:
                    raise InputError(
                        "damaged HDF5 file", where=path, expected="strings", found="endless ones"
                    )
                place += 16 + (size + 7) // 8 * 8 if index else size
            at = content.find(_HEAP, at + len(_HEAP))


def _check_group(path: Path, group: h5py.Group, seen: set[int]) -> None:
    address = h5py.h5o.get_info(group.id).addr
    if address in seen:
        return
    seen.add(address)
    for name in group:
        link = group.get(name, getlink=True)
        if isinstance(link, h5py.ExternalLink):
            raise InputError(
                f"{group.name.rstrip('/')}/{name} links to another file",
                where=path,
                expected="a file that is complete in itself",
                found=repr(link.filename),
            )
        if isinstance(link, h5py.SoftLink):
            continue  # with external links refused it stays inside
        item = group[name]
        if isinstance(item, h5py.Group):
            _check_group(path, item, seen)
        elif isinstance(item, h5py.Dataset):
            _check_dataset(path, item)


def _check_dataset(path: Path, dataset: h5py.Dataset) -> None:
    properties = dataset.id.get_create_plist()
    if dataset.is_virtual or properties.get_external_count():
        raise InputError(
            f"{dataset.name} keeps its data in another file",
            where=path,
            expected="a file that is complete in itself",
        )
    size = dataset.size or 0
    if size * dataset.dtype.itemsize > max(
        _SMALL_BYTES, BEST_COMPRESSION * dataset.id.get_storage_size()
    ):
        raise InputError(
            f"{dataset.name} claims values that were never written",
            where=path,
            expected=f"{size} values",
            found=f"{dataset.id.get_storage_size()} bytes",
            remedy="write the file again",
        )
    for index in range(properties.get_nfilters()):
        code = properties.get_filter(index)[0]
        if code not in _FILTERS:
            raise InputError(
                f"{dataset.name} is compressed by HDF5 filter {code}",
                where=path,
                expected="gzip, lzf, szip or none",
                remedy="write it again with one of these",
            )


def _fixed(text: str) -> np.bytes_:
    # Strings of fixed length stand where HDF5 has checksums. Those of any length stand in a heap
    # without, and HDF5 2.0 can hang in a damaged heap: written for other programs, never read.
    return np.bytes_(text.encode())


def read_string(value: Any) -> str:
    """A string attribute as text, whatever its type in the file."""
    return value.decode() if isinstance(value, bytes) else str(value)


def _stamp(file: h5py.File, kind: str, config: Mapping[str, Any], inputs: Sequence[Input]) -> None:
    listed = [vars(i) for i in inputs]
    if len(json.dumps(listed)) > 60_000:  # an HDF5 attribute holds 64 kB
        digest = hashlib.sha256(json.dumps(listed).encode()).hexdigest()
        listed = [*listed[:100], {"name": f"… {len(inputs)} in all", "kind": "", "sha256": digest}]
    file.attrs["kind"] = _fixed(kind)
    file.attrs["schema"] = SCHEMA
    file.attrs["mdbench_version"] = _fixed(__version__)
    file.attrs["created"] = _fixed(datetime.now(UTC).isoformat(timespec="seconds"))
    file.attrs["config"] = _fixed(json.dumps(config))
    file.attrs["inputs"] = _fixed(json.dumps(listed))


def check_kind(path: Path, file: h5py.File, kind: str | None) -> str:
    """The kind of an open file; refuses a foreign one, another kind or another schema."""
    if "kind" not in file.attrs or "schema" not in file.attrs:
        raise InputError(
            "an HDF5 file, but not of mdbench", where=path, remedy="`mdbench ingest` it first"
        )
    schema = file.attrs["schema"]
    if not isinstance(schema, np.integer) or schema != SCHEMA:
        raise InputError(
            "written by another version of mdbench",
            where=path,
            expected=f"schema {SCHEMA}",
            found=f"schema {schema}",
            remedy="use that version, or make the file again",
        )
    found = read_string(file.attrs["kind"])
    if kind is not None and found != kind:
        raise InputError("wrong kind of file", where=path, expected=kind, found=found)
    return found


def write_result(
    path: Path,
    kind: str,
    datasets: Mapping[str, Dataset],
    *,
    attributes: Mapping[str, Any],
    config: Mapping[str, Any],
    inputs: Sequence[Input],
) -> None:
    """Writes a file of any kind but `trajectory`."""
    with _created(path, kind, config, inputs) as (file, _):
        file.attrs["attributes"] = _fixed(json.dumps(attributes))
        for name, dataset in datasets.items():
            made = file.create_dataset(name, data=np.asarray(dataset.values))
            made.attrs["unit"] = _fixed(dataset.unit) or h5py.Empty("S1")
            made.attrs["axes"] = np.array([_fixed(axis) for axis in dataset.axes], dtype="S")


def read_result(path: Path, kind: str) -> Result:
    """The content of a file that `write_result` wrote."""
    with reading(path), open_checked(path) as file:
        check_heaps(path)  # files of mdbench 0.1 have axes as strings of any length
        check_kind(path, file, kind)
        datasets: dict[str, NDArray[Any]] = {}
        units: dict[str, str] = {}
        axes: dict[str, tuple[str, ...]] = {}

        def collect(name: str, item: object) -> None:
            if isinstance(item, h5py.Dataset):
                datasets[name] = item[()]
                unit = item.attrs["unit"]
                units[name] = "" if isinstance(unit, h5py.Empty) else read_string(unit)
                axes[name] = tuple(read_string(axis) for axis in item.attrs["axes"])

        file.visititems(collect)
        return Result(
            datasets=datasets,
            attributes=_mapping(json.loads(file.attrs["attributes"])),
            config=_mapping(json.loads(file.attrs["config"])),
            inputs=[Input(**i) for i in json.loads(file.attrs["inputs"])],
            created=read_string(file.attrs["created"]),
            units=units,
            axes=axes,
        )


class TrajectoryWriter:
    """Writes a trajectory block by block; the file gets its name when the block ends.

    Use as a context manager. What the first block has beside positions is stored for every
    frame; a later block without it is filled with NaN.

    Args:
        path: The final name.
        config: Settings of the stage.
        inputs: Files that the frames come from.
        float64: Store positions, velocities and forces in double precision.
    """

    def __init__(
        self,
        path: Path,
        *,
        config: Mapping[str, Any] | None = None,
        inputs: Sequence[Input] = (),
        float64: bool = False,
    ) -> None:
        self.path = path
        self.n_frames = 0
        self._finished = False
        self._real = np.float64 if float64 else np.float32
        self._file: h5py.File | None = None
        self._series: dict[str, h5py.Dataset] = {}
        self._context = _created(path, "trajectory", config or {}, inputs)

    def __enter__(self) -> Self:
        self._file, self._sink = self._context.__enter__()
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if error is None and not self._finished:
            unfinished = RuntimeError("finish() was not called: nothing is written")
            self._context.__exit__(RuntimeError, unfinished, None)
        self._context.__exit__(kind, error, trace)

    def append(
        self,
        block: Trajectory,
        steps: NDArray[np.integer[Any]] | None = None,
        observables: Mapping[str, Dataset] | None = None,
    ) -> None:
        """Appends the frames of a block.

        Args:
            block: Consecutive frames.
            steps: MD step counters, else frame numbers.
            observables: More numbers of each frame by name, the same ones for every block.
        """
        if not block.n_frames:
            return
        extra = observables or {}
        if not self._series:
            self._create(block, extra)
        if steps is None:
            steps = np.arange(self.n_frames, self.n_frames + block.n_frames)
        values = {
            "step": steps,
            "time": block.times_ps,
            "position": block.positions,
            "edges": block.cells,
            "species": np.broadcast_to(block.atomic_numbers, block.positions.shape[:2]),
            "velocity": None if block.velocities is None else block.velocities * PS_IN_FS,
            "forces": block.forces,
            "potential_energy": block.energies,
            "stress": block.stresses,
            "temperature": None if "temperature" in extra else block.kinetic_temperatures(),
            **{name: dataset.values for name, dataset in extra.items()},
        }
        start, self.n_frames = self.n_frames, self.n_frames + block.n_frames
        for name, dataset in self._series.items():
            dataset.resize(self.n_frames, axis=0)
            value = values[name]
            dataset[start:] = np.nan if value is None else value
        self._sink.check()

    def finish(self, provenance: Provenance) -> None:
        """Stores what is known about the run; call once, after the last block."""
        assert self._file is not None
        if not self.n_frames:
            raise InputError("no frames to write", where=self.path)
        parameters = self._file.require_group("parameters")
        known = np.array([_fixed(json.dumps(vars(provenance)))])
        parameters.create_dataset("mdbench", data=known, chunks=(1,), fletcher32=True)
        interval = frame_interval(self._series["time"][()])
        if interval is not None:
            self._write_interval(interval)
        self._finished = True

    def _write_interval(self, interval_fs: float) -> None:
        """MDAnalysis takes 1 ps between frames where no observable is called dt."""
        assert self._file is not None
        group = self._file.create_group("observables/dt")
        group["step"], group["time"] = self._series["step"], self._series["time"]
        dt = _growing(group, "value", (), np.float64, "ps", ("frame",))
        dt.resize(self.n_frames, axis=0)
        dt[:] = interval_fs * FS_IN_PS

    def _create(self, first: Trajectory, extra: Mapping[str, Dataset]) -> None:
        assert self._file is not None
        n_atoms = first.n_atoms
        h5md = self._file.create_group("h5md")
        h5md.attrs["version"] = np.array([1, 1])
        h5md.create_group("author").attrs["name"] = "unknown"
        creator = h5md.create_group("creator")
        creator.attrs["name"], creator.attrs["version"] = "mdbench", __version__
        for module in ("units", "thermodynamics"):
            h5md.create_group(f"modules/{module}").attrs["version"] = np.array([1, 0])
        particles = self._file.create_group("particles/trajectory")
        box = particles.create_group("box")
        box.attrs["dimension"] = 3
        box.attrs["boundary"] = ["periodic" if p else "none" for p in first.pbc]
        box.attrs["pbc"] = first.pbc.astype(np.int8)
        observables = self._file.create_group("observables/trajectory")
        observables.attrs["dimension"] = 3
        atoms, vector = ("frame", "atom"), ("frame", "atom", "xyz")
        real = self._real
        self._element(particles, "position", (n_atoms, 3), real, "Angstrom", vector)
        self._element(box, "edges", (3, 3), np.float64, "Angstrom", ("frame", "vector", "xyz"))
        self._element(particles, "species", (n_atoms,), np.int32, "", atoms, compression="gzip")
        if first.velocities is not None:
            unit = "Angstrom ps-1"
            self._element(particles, "velocity", (n_atoms, 3), real, unit, vector)
            if "temperature" not in extra:
                self._element(observables, "temperature", (), np.float64, "K", ("frame",))
        if first.forces is not None:
            # MDAnalysis refuses a file whose particles/*/force has this unit
            self._element(observables, "forces", (n_atoms, 3), real, "eV Angstrom-1", vector)
        if first.energies is not None:
            self._element(observables, "potential_energy", (), np.float64, "eV", ("frame",))
        if first.stresses is not None:
            axes = ("frame", "xyz", "xyz")
            self._element(observables, "stress", (3, 3), np.float64, "eV Angstrom-3", axes)
        for name, dataset in extra.items():
            self._element(observables, name, (), np.float64, dataset.unit, dataset.axes)

    def _element(
        self,
        group: h5py.Group,
        name: str,
        shape: tuple[int, ...],
        dtype: Any,
        unit: str,
        axes: tuple[str, ...],
        **storage: Any,
    ) -> None:
        element = group.create_group(name)
        if "step" not in self._series:
            for series, kind, series_unit in (("step", np.int64, ""), ("time", np.float64, "ps")):
                self._series[series] = _growing(element, series, (), kind, series_unit, ("frame",))
        else:  # one array, seen from every element
            element["step"], element["time"] = self._series["step"], self._series["time"]
        self._series[name] = _growing(element, "value", shape, dtype, unit, axes, **storage)


def _growing(
    group: h5py.Group,
    name: str,
    shape: tuple[int, ...],
    dtype: Any,
    unit: str,
    axes: tuple[str, ...],
    **storage: Any,
) -> h5py.Dataset:
    row = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    frames = int(np.clip(_CHUNK_BYTES // row, 1, 256))
    dataset = group.create_dataset(
        name,
        shape=(0, *shape),
        maxshape=(None, *shape),
        chunks=(frames, *shape),
        dtype=dtype,
        fletcher32=True,
        **storage,
    )
    dataset.attrs["unit"] = unit
    dataset.attrs["axes"] = list(axes)
    return dataset


def frames_per_block(n_atoms: int, stride: int = 1) -> int:
    """Frames that a block of bounded size spans, a multiple of the stride."""
    size = max(_BLOCK_BYTES // (n_atoms * 12), 1)
    return max(size // stride, 1) * stride


def _mapping(stored: Any) -> dict[str, Any]:
    if not isinstance(stored, dict):
        raise TypeError(f"a {type(stored).__name__} where names and values stand")
    return stored


def _provenance(stored: dict[str, Any]) -> Provenance:
    """What is known about a run, after its values were found to be of the types that they have.

    Raises:
        TypeError: Another type, or an unknown name.
    """
    known = {**stored, "notes": tuple(stored["notes"])}
    for field_ in fields(Provenance):
        value, kind = known.get(field_.name), str(field_.type).partition(" ")[0]
        types = {"str": (str,), "int": (int,), "float": (int, float)}.get(kind)
        if value is not None and types is not None and type(value) not in types:
            raise TypeError(f"{field_.name} {str(value)[:40]!r}")
        if kind == "float" and value is not None and not 0.0 < float(value) < math.inf:
            raise TypeError(f"{field_.name} {str(value)[:40]!r}")
    if not all(isinstance(note, str) for note in known["notes"]):
        raise TypeError("notes that are no text")
    return Provenance(**known)


class TrajectoryFile:
    """A trajectory on disk, read in blocks of bounded size. Use as a context manager.

    Attributes:
        n_frames, n_atoms: Its size.
        atomic_numbers: (n_atoms,).
        times_ps: (n_frames,) ps.
        steps: (n_frames,) MD step counters.
        pbc: (3,) bool.
        provenance: What is known about the run.
        inputs: Files that it was made from.
        fields: Names of what is stored beside positions and cells.
    """

    _FIELDS: Mapping[str, str] = {
        "velocities": "particles/trajectory/velocity/value",
        "forces": "observables/trajectory/forces/value",
        "energies": "observables/trajectory/potential_energy/value",
        "stresses": "observables/trajectory/stress/value",
    }

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._file = open_checked(self.path)
        try:
            with reading(self.path):
                check_kind(self.path, self._file, "trajectory")
                self._read_header()
        except BaseException:
            self._file.close()
            raise

    def _read_header(self) -> None:
        particles = self._file["particles/trajectory"]
        self._position = particles["position/value"]
        self._edges = particles["box/edges/value"]
        self.n_frames, self.n_atoms, _ = self._position.shape
        if not self.n_frames:
            raise InputError("trajectory without frames", where=self.path)
        self.fields = tuple(n for n, place in self._FIELDS.items() if place in self._file)
        self._check_types(
            [self._position, self._edges, particles["position/time"]]
            + [self._file[self._FIELDS[name]] for name in self.fields],
            [particles["position/step"], particles["species/value"]],
        )
        smallest = self._position.dtype.itemsize * self._position.size
        missing = self._position.id.get_storage_size() < smallest and not self._position.compression
        if missing or len(self._edges) != self.n_frames:
            raise InputError("incomplete trajectory", where=self.path, remedy="write it again")
        self.atomic_numbers = np.asarray(particles["species/value"][0])
        if self.atomic_numbers.min() < 1 or self.atomic_numbers.max() > 118:
            raise InputError("species", where=self.path, expected="atomic numbers 1 to 118")
        self.times_ps = np.asarray(particles["position/time"][()])
        self.steps = np.asarray(particles["position/step"][()])
        self.pbc = particles["box"].attrs["pbc"].astype(bool)
        if self.times_ps.shape != (self.n_frames,) or self.steps.shape != (self.n_frames,):
            raise InputError("incomplete trajectory", where=self.path, remedy="write it again")
        self.provenance = _provenance(json.loads(self._file["parameters/mdbench"][0]))
        self.inputs = [Input(**i) for i in json.loads(self._file.attrs["inputs"])]
        self.config = _mapping(json.loads(self._file.attrs["config"]))
        self.created = read_string(self._file.attrs["created"])
        self.mdbench_version = read_string(self._file.attrs["mdbench_version"])

    def _check_types(self, reals: Sequence[h5py.Dataset], integers: Sequence[h5py.Dataset]) -> None:
        """Raises TypeError where numbers are of other types than those that are written."""
        for dataset in (*reals, *integers):
            kinds = "f" if dataset in reals else "iu"
            if dataset.dtype.kind not in kinds or dataset.dtype.itemsize not in (4, 8):
                raise TypeError(f"{dataset.name} of type {dataset.dtype}")

    @property
    def frame_interval_fs(self) -> float | None:
        """Time between frames, fs; None for one frame or without a time axis."""
        return frame_interval(self.times_ps)

    def read(self, start: int = 0, stop: int | None = None, *, stride: int = 1) -> Trajectory:
        """The frames of a range, as one trajectory with all that is stored."""
        span = slice(*slice(start, stop).indices(self.n_frames))
        return self._read(span, stride, self.fields)

    def blocks(
        self,
        start: int = 0,
        stop: int | None = None,
        *,
        stride: int = 1,
        fields: Sequence[str] | None = None,
    ) -> Iterator[Trajectory]:
        """Yields the frames of a range in blocks of bounded size.

        Args:
            start: First frame.
            stop: Frame after the last; the end by default.
            stride: Every how many frames.
            fields: Which of `self.fields` to read beside positions and cells; all by default.
        """
        first, last, _ = slice(start, stop).indices(self.n_frames)
        size = frames_per_block(self.n_atoms, stride)
        for begin in range(first, last, size):
            span = slice(begin, min(begin + size, last))
            wanted = self.fields if fields is None else [f for f in fields if f in self.fields]
            yield self._read(span, stride, wanted)

    def _read(self, span: slice, stride: int, fields: Sequence[str]) -> Trajectory:
        with reading(self.path):
            extra = {n: self._file[self._FIELDS[n]][span][::stride] for n in fields}
            if "velocities" in extra:
                extra["velocities"] = extra["velocities"] / PS_IN_FS
            arrays = {
                "positions": self._position[span][::stride],
                "cells": self._edges[span][::stride],
                "times_ps": self.times_ps[span][::stride],
                **extra,
            }
        try:
            return Trajectory(
                atomic_numbers=self.atomic_numbers,
                pbc=self.pbc,
                provenance=self.provenance,
                **arrays,
            )
        except InputError as error:
            raise InputError(str(error), where=self.path) from error

    def observable(
        self, name: str, start: int = 0, stop: int | None = None
    ) -> NDArray[np.float64] | None:
        """(n_frames,) one number of each frame of a range; None where it is not stored.

        Args:
            name: As `temperature` (K), `kinetic_energy` (eV) or `pressure` (eV/Å³).
            start: First frame.
            stop: Frame after the last; the end by default.
        """
        place = f"observables/trajectory/{name}/value"
        with reading(self.path):
            if place not in self._file:
                return None
            values = self._file[place]
            if values.shape != (self.n_frames,):
                raise ValueError(f"{name} of shape {values.shape}")
            return np.asarray(values[slice(start, stop)], dtype=np.float64)

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def write_trajectory(path: Path | str, trajectory: Trajectory, *, float64: bool = False) -> None:
    """Writes a trajectory in memory to a file of kind `trajectory`.

    Args:
        path: The file; one that is there is replaced.
        trajectory: With what is known about the run.
        float64: Store positions, velocities and forces in double precision.
    """
    with TrajectoryWriter(Path(path), float64=float64) as writer:
        writer.append(trajectory)
        writer.finish(trajectory.provenance)


def read_trajectory(path: Path | str, frames: slice = slice(None)) -> Trajectory:
    """The frames of a trajectory file, in memory, as `read_trajectory("t.h5", slice(0, 100))`.

    Args:
        path: A trajectory of mdbench.
        frames: Which of them; all by default.

    Raises:
        InputError: No such file, another kind of file, a damaged one.
    """
    with TrajectoryFile(path) as file:
        start, stop, stride = frames.indices(file.n_frames)
        if stride < 1:
            raise InputError("frames", expected="a slice with a positive step", found=stride)
        return file.read(start, stop, stride=stride)
