"""How sound files are spoiled, by what they are: the files, what was done, what is expected.

What is expected of a reader: `same`, it reads what the sound files say; `prefix`, their first
frames, or nothing; `any`, something sound, or nothing; `hdf5`, the same of a file that is to be
changed where it lies.
"""

from __future__ import annotations

import hashlib
import json

import numpy as np

from tests.fuzz.documents import arrays_mutated, json_mutated, tensors_mutated, yaml_mutated
from tests.fuzz.mutations import BYTES, TEXT, Rng, cut, harmless, mutated
from tests.fuzz.seeds import Files


def _one(rng: Rng, files: Files) -> str:
    """One of the files, mostly the first."""
    names = list(files)
    return names[0] if rng.random() < 0.6 else names[int(rng.integers(len(names)))]


def text_spoiled(rng: Rng, files: Files) -> tuple[Files, str, str]:
    name, kind = _one(rng, files), rng.random()
    if kind < 0.06:
        content, what = harmless(rng, files[name], text=True)
        if name != next(iter(files)):
            return {**files, name: content}, f"{name}: {what}", "any"
        return {**files, name: content}, what, "same"
    if kind < 0.14:
        content, what = cut(rng, files[name])
        return {**files, name: content}, f"{name}: {what}", "prefix"
    content, what = mutated(rng, files[name], TEXT)
    return {**files, name: content}, f"{name}: {what}", "any"


def structure_spoiled(rng: Rng, files: Files) -> tuple[Files, str, str]:
    """ASE tells compressed files by their names alone."""
    made, what, _ = text_spoiled(rng, files)
    return made, what, "any"


def ulm_spoiled(rng: Rng, files: Files) -> tuple[Files, str, str]:
    (name,) = files
    data, kind = files[name], rng.random()
    if kind < 0.05:
        content, what = harmless(rng, data, text=False)
        return {name: content}, what, "same"
    if kind < 0.12:
        content, what = cut(rng, data)
        return {name: content}, what, "prefix"
    if kind < 0.5:
        content, what = mutated(rng, data, BYTES)
        return {name: content}, what, "any"
    # the JSON of a frame, with its length and the index behind it as they must be
    n_items, at = (int(x) for x in np.frombuffer(data[32:48], dtype="<i8"))
    offsets = np.frombuffer(data[at : at + 8 * n_items], dtype="<i8").tolist()
    start = offsets[int(rng.integers(len(offsets)))]
    size = int.from_bytes(data[start : start + 8], "little")
    text, what = json_mutated(rng, data[start + 8 : start + 8 + size])
    if len(text) <= size:
        content = data[: start + 8] + text.ljust(size) + data[start + 8 + size :]
    else:  # behind the file, which the index then names
        fresh = -len(data) % 8
        place = len(data) + fresh
        content = data + bytes(fresh) + len(text).to_bytes(8, "little") + text
        moved = [place if one == start else one for one in offsets]
        if moved == sorted(moved):
            index = np.array(moved, dtype="<i8").tobytes()
            content = content[:at] + index + content[at + len(index) :]
        elif n_items:
            head = np.array([1, len(content)], dtype="<i8").tobytes()
            content = content[:32] + head + content[48:] + np.array([place], "<i8").tobytes()
    return {name: content}, what, "any"


def hdf5_spoiled(rng: Rng, files: Files) -> tuple[Files, str, str]:
    """Marks the file that is to be changed where it lies; h5py needs it on a disk."""
    held = [name for name in files if name.endswith((".h5", ".h5md"))]
    name = held[0] if rng.random() < 0.7 else held[int(rng.integers(len(held)))]
    return files, f"{name}|{int(rng.integers(2**62))}", "hdf5"


def run_folder_spoiled(rng: Rng, files: Files) -> tuple[Files, str, str]:
    names = list(files)
    name = names[int(rng.integers(len(names)))]
    if name.endswith(".h5"):
        return files, f"{name}|{int(rng.integers(2**62))}", "hdf5"
    if name.endswith(".json"):
        content, what = json_mutated(rng, files[name])
        return {**files, name: content}, f"{name}: {what}", "any"
    content, what = mutated(rng, files[name], BYTES)
    return {**files, name: content}, f"{name}: {what}", "any"


def checkpoint_spoiled(rng: Rng, files: Files) -> tuple[Files, str, str]:
    """Another model.json, or other weights, mostly with the checksum that they then have."""
    about, weights = files["model.json"], files["model.safetensors"]
    if rng.random() < 0.5:
        about, what = json_mutated(rng, about)
    else:
        weights, what = tensors_mutated(rng, weights)
        if rng.random() < 0.8:
            known = json.loads(about)
            known["sha256"] = hashlib.sha256(weights).hexdigest()
            about = json.dumps(known).encode()
    return {**files, "model.json": about, "model.safetensors": weights}, what, "any"


def tensors_spoiled(rng: Rng, files: Files) -> tuple[Files, str, str]:
    """A state of a training; what is JSON in its header changed as JSON, too."""
    (name,) = files
    data = files[name]
    if rng.random() < 0.5:
        content, what = tensors_mutated(rng, data)
        return {name: content}, what, "any"
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    text, what = json_mutated(rng, header["__metadata__"]["mdbench"].encode())
    header["__metadata__"]["mdbench"] = text.decode("utf-8", "replace")
    made = json.dumps(header).encode()
    return {name: len(made).to_bytes(8, "little") + made + data[8 + size :]}, what, "any"


def journal_spoiled(rng: Rng, files: Files) -> tuple[Files, str, str]:
    name = "800K-r0.state" if rng.random() < 0.7 else "800K-r0.part"
    if name.endswith("state"):
        content, what = arrays_mutated(rng, files[name])
    elif rng.random() < 0.5:
        content, what = mutated(rng, files[name], BYTES)
    else:
        head = files[name][:16_384]
        text, what = json_mutated(rng, head.removeprefix(b"mdbench journal 1 ").rstrip())
        content = (b"mdbench journal 1 " + text).ljust(16_384)[:16_384] + files[name][16_384:]
    return {**files, name: content}, f"{name}: {what}", "any"


def json_spoiled(rng: Rng, files: Files) -> tuple[Files, str, str]:
    name = next(iter(files))
    content, what = json_mutated(rng, files[name])
    return {**files, name: content}, what, "any"


def yaml_spoiled(rng: Rng, files: Files) -> tuple[Files, str, str]:
    name = next(iter(files))
    content, what = yaml_mutated(rng, files[name])
    return {**files, name: content}, what, "any"
