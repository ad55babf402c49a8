"""What can become of an HDF5 file: objects, attributes, types, links, storage."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from tests.fuzz.documents import json_mutated
from tests.fuzz.mutations import BYTES, Rng, mutated

#: What may stand where an attribute did.
_ATTRIBUTES: list[Any] = [
    0, 1, -1, 2**40, 1e400, float("nan"), "", "x", "x" * 5000, b"\xff\xfe", "periodic", "nm", "eV",
    [1, 2, 3], [], ["a", "b"], [[1.0]], True, h5py.Empty("f8"), h5py.Empty("S1"), np.bytes_(b"[]"),
    np.bytes_(b"{}"), np.bytes_(b"["), np.void(b"\x00\x01"), 1j, np.array(["a"], dtype="S1"), [3,
    3, 3],
    np.bytes_(b"[" * 3000), np.bytes_(b"trajectory"), np.bytes_(b"\x1b[2J"), [True, False, True],
]  # fmt: skip
_COMPOUND = np.dtype([("x", "<f8"), ("y", "<i4")])


def _objects(file: h5py.File) -> list[str]:
    found: list[str] = []
    file.visit(found.append)
    return found


def _remade(rng: Rng, file: h5py.File, name: str) -> str:
    """A dataset of another shape or type in place of one."""
    old = file[name]
    small = isinstance(old, h5py.Dataset) and (old.size or 0) < 1_000_000
    values = old[()] if small else np.zeros(3)
    attributes = dict(old.attrs)
    array = np.asarray(values)
    numeric = array.dtype.kind in "iufb"
    kind = int(rng.integers(24))
    del file[name]
    changed: Any = None
    if kind == 0:
        changed = array[:0] if array.ndim else np.zeros(0)
    elif kind == 1:
        changed = array[..., None]
    elif kind == 2:
        changed = array[0] if array.ndim and len(array) else np.zeros(())
    elif kind == 3:
        changed = np.concatenate([array, array]) if array.ndim else np.stack([array, array])
    elif kind == 4:
        changed = array[:-1] if array.ndim else np.zeros(2)
    elif kind == 5:
        changed = np.array(["x", "y"], dtype="S1")
    elif kind == 6:
        file.create_dataset(name, data=["a", "b"], dtype=h5py.string_dtype())
    elif kind == 7:
        changed = np.zeros(array.shape or (2,), dtype=_COMPOUND)
    elif kind == 8:
        file.create_dataset(name, shape=(2,), dtype=h5py.ref_dtype)
    elif kind == 9:
        file.create_dataset(name, shape=(2,), dtype=h5py.vlen_dtype(np.int32))
    elif kind == 10:
        file[name] = h5py.Empty("f8")
    elif kind == 11:
        file.create_group(name)
    elif kind == 12:
        shape = ((10**12,), (10**12, *array.shape[1:]), (4, 10**12, 3), (2**40, 2**20))[
            int(rng.integers(4))
        ]
        filters: dict[str, Any] = {"compression": "gzip"} if rng.random() < 0.5 else {}
        chunks = tuple(min(n, 16) for n in shape)
        dtype = array.dtype if numeric else "f8"
        file.create_dataset(name, shape=shape, chunks=chunks, dtype=dtype, **filters)
    elif kind == 13:
        shape = (3 * 10**8,) if rng.random() < 0.5 else (10**7, *array.shape[1:])
        dtype = array.dtype if numeric else "f8"
        file.create_dataset(name, shape=shape, chunks=tuple(min(n, 64) for n in shape), dtype=dtype)
    elif kind == 14:
        changed = array.astype("f2") if numeric else array
    elif kind == 15:
        changed = array.astype(np.complex64) if numeric else array
    elif kind == 16:
        changed = (
            array.astype(np.int8) if numeric and array.dtype.kind != "f" else array.astype("S4")
        )
    elif kind == 17:
        value = (np.nan, np.inf, -np.inf, 1e300, -1.0, 0.0)[int(rng.integers(6))]
        changed = np.full(array.shape, value)
    elif kind == 18 and numeric and array.size:
        changed = array.copy()
        info = np.iinfo(array.dtype) if array.dtype.kind in "iu" else np.finfo("f4")
        if array.dtype.kind != "b":
            changed.flat[int(rng.integers(array.size))] = (info.max, info.min)[int(rng.integers(2))]
    elif kind == 19 and array.dtype.kind == "f" and array.size:
        changed = array.copy()
        changed.flat[int(rng.integers(array.size))] = (np.nan, np.inf, 1e30, 0.0, -1e5)[
            int(rng.integers(5))
        ]
    elif kind == 20:
        changed = array.T
    elif kind == 21:
        changed = array.astype(">f8") if numeric else array
    elif kind == 22 and array.ndim:
        filters = (
            {"compression": "gzip", "shuffle": True}, {"compression": "lzf"}, {"fletcher32": True},
            {"scaleoffset": 3},
        )[int(rng.integers(4))]  # fmt: skip
        if numeric and array.size:
            file.create_dataset(name, data=array, chunks=True, **filters)
        else:
            changed = array
    else:
        changed = array.astype("S") if array.size else array
    if changed is not None:
        file.create_dataset(name, data=changed)
    if name in file:
        for key, value in attributes.items():
            file[name].attrs[key] = value
    return f"{name} remade {kind}"


def _linked(rng: Rng, file: h5py.File, name: str, others: list[str]) -> str:
    """A link in place of an object."""
    kind = int(rng.integers(8))
    other = others[int(rng.integers(len(others)))]
    old_shape = getattr(file.get(name), "shape", None) or (3,)
    del file[name]
    if kind == 0:
        file[name] = h5py.SoftLink(f"/{name}")
    elif kind == 1:
        file[name] = h5py.SoftLink("/nowhere/at/all")
    elif kind == 2:
        file[name] = h5py.ExternalLink(
            ("/etc/passwd", "x.h5", "")[int(rng.integers(3))] or "y", "/"
        )
    elif kind == 3:
        file[name] = file["/"]
    elif kind == 4 and other in file:
        file[name] = file[other]
    elif kind == 5:
        layout = h5py.VirtualLayout(shape=old_shape, dtype="f8")
        layout[...] = h5py.VirtualSource("/etc/hostname", "x", shape=old_shape)
        file.create_virtual_dataset(name, layout)
    elif kind == 6:
        file.create_dataset(
            name, shape=old_shape, dtype="u1", external=[("/etc/hostname", 0, 2**20)]
        )
    else:
        file[name] = h5py.SoftLink(f"/{other}")
    return f"{name} linked {kind} {other}"


def _attribute(rng: Rng, file: h5py.File, names: list[str]) -> str:
    holders = [n for n in ("/", *names) if n in file and len(file[n].attrs)]
    holder = file[holders[int(rng.integers(len(holders)))]] if rng.random() < 0.7 else file["/"]
    keys = list(holder.attrs)
    if not keys:
        return "no attribute"
    key = keys[int(rng.integers(len(keys)))]
    kind = rng.random()
    if kind < 0.2:
        del holder.attrs[key]
        return f"{holder.name}@{key} gone"
    if kind < 0.6:
        new = _ATTRIBUTES[int(rng.integers(len(_ATTRIBUTES)))]
        holder.attrs[key] = new
        return f"{holder.name}@{key} now {str(new)[:30]!r}"
    return _document(rng, file, holder, key)


def _document(rng: Rng, file: h5py.File, holder: Any, key: str) -> str:
    """JSON in an attribute, changed."""
    del file
    value = holder.attrs[key]
    try:
        text = value if isinstance(value, bytes) else str(value).encode()
        json.loads(text)
    except ValueError:
        holder.attrs[key] = 7
        return f"{holder.name}@{key} now 7"
    text, what = json_mutated(rng, text)
    if not 0 < len(text.rstrip(b"\0")) < 60_000:
        text = b"[]"
    holder.attrs[key] = np.bytes_(text)
    return f"{holder.name}@{key}: {what}"


def _stored_document(rng: Rng, file: h5py.File, names: list[str]) -> str:
    """JSON in a dataset, changed."""
    held = [n for n in names if getattr(file.get(n), "dtype", np.dtype("f8")).kind == "S"]
    if not held:
        return _attribute(rng, file, names)
    name = held[int(rng.integers(len(held)))]
    try:
        text, what = json_mutated(rng, bytes(np.ravel(file[name][()])[0]))
    except (ValueError, IndexError):
        return "no document"
    del file[name]
    file[name] = np.array([text or b" "])
    return f"{name}: {what}"


def _filtered(rng: Rng, file: h5py.File, name: str) -> str:
    """A dataset whose filter is one that only other programs have, or that was never written."""
    data = file[name]
    if not isinstance(data, h5py.Dataset) or not data.shape or data.dtype.kind not in "iuf":
        return f"{name} kept"
    shape, dtype = data.shape, data.id.get_type()
    chunks = tuple(max(1, min(n, 8)) for n in shape)
    del file[name]
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_chunk(chunks)
    code = (307, 32015, 32013, 305, 65000)[int(rng.integers(5))]
    properties.set_filter(code, h5py.h5z.FLAG_OPTIONAL, (1, 2))
    space = h5py.h5s.create_simple(shape)
    links = h5py.h5p.create(h5py.h5p.LINK_CREATE)
    links.set_create_intermediate_group(True)
    h5py.h5d.create(file.id, name.encode(), dtype, space, properties, links)
    return f"{name} with filter {code}"


def hdf5_mutated(rng: Rng, path: Path) -> str:
    """Changes a file in place: its bytes, or one to three of the objects in it."""
    if rng.random() < 0.25:
        content, what = mutated(rng, path.read_bytes(), BYTES)
        path.write_bytes(content)
        return what
    said = []
    with h5py.File(path, "r+") as file:
        for _ in range(min(int(rng.geometric(0.6)), 3)):
            names = _objects(file)
            if not names:
                break
            name = names[int(rng.integers(len(names)))]
            kind = rng.random()
            try:
                if kind < 0.1:
                    del file[name]
                    said.append(f"{name} gone")
                elif kind < 0.4:
                    said.append(_remade(rng, file, name))
                elif kind < 0.52:
                    said.append(_linked(rng, file, name, names))
                elif kind < 0.74:
                    said.append(_attribute(rng, file, names))
                elif kind < 0.9:
                    said.append(_stored_document(rng, file, names))
                elif kind < 0.93:
                    said.append(_filtered(rng, file, name))
                elif kind < 0.96:
                    other = names[int(rng.integers(len(names)))]
                    file.copy(file[other], file["/"], name=f"copy{len(names)}")
                    said.append(f"{other} copied")
                else:
                    deep = "/".join(["g"] * int(10 ** rng.uniform(0.5, 3.2)))
                    file.require_group(deep)
                    said.append(f"{len(deep) // 2} groups")
            # what HDF5 itself refuses to make is no input
            except (
                OSError,
                RuntimeError,
                ValueError,
                TypeError,
                KeyError,
                AttributeError,
            ) as error:
                said.append(f"{name} not made: {type(error).__name__}")
    return "; ".join(said)
