"""What can become of documents: JSON and YAML by nodes, tensors and arrays by headers."""

from __future__ import annotations

import copy
import io
import json
import zipfile
from typing import Any

import numpy as np

from tests.fuzz.mutations import BYTES, NUMBERS, TEXT, Rng, bytes_of, mutated

#: What may stand where a value did.
VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 2, 7, 10**6, 2**31, 2**53, 2**63, 10**12, 10**30, 10**400,
    -(10**400),
    0.5, -0.0, 1e-320, 1e308, -1e308, float("nan"), float("inf"), -float("inf"), "", " ", "x", "Li",
    "1", "nan", "x" * 70, "x" * 10_000, "\0", "\n", "\x1b[31m", "\ud800", "Å", "../..",
    "/dev/null", "-",
    [], {}, [None], [[]], [1], [1, 2, 3], ["x"], {"a": 1}, {"": None}, [[1.0] * 3] * 3,
    {"value": 1},
]  # fmt: skip


def _places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a document, from the root."""
    found = [path]
    if isinstance(node, dict):
        for key, value in node.items():
            found += _places(value, (*path, key))
    elif isinstance(node, list):
        for index, value in enumerate(node[:8]):
            found += _places(value, (*path, index))
    return found


def _at(node: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        node = node[key]
    return node


def _nested(depth: int, rng: Rng) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value] if rng.random() < 0.5 else {"a": value}
    return value


def node_mutated(rng: Rng, document: Any) -> tuple[Any, str]:
    """The document with one to three of its nodes changed."""
    document, said = copy.deepcopy(document), []
    for _ in range(min(int(rng.geometric(0.6)), 3)):
        places = _places(document)
        path = places[int(rng.integers(len(places)))]
        kind = int(rng.integers(6))
        if not path:
            if rng.random() < 0.2:
                document = VALUES[int(rng.integers(len(VALUES)))]
                said.append("root replaced")
            continue
        parent, key = _at(document, path[:-1]), path[-1]
        if kind <= 2:
            parent[key] = copy.deepcopy(VALUES[int(rng.integers(len(VALUES)))])
            said.append(f"{path} now {str(parent[key])[:30]!r}")
        elif kind == 3:
            del parent[key]
            said.append(f"{path} gone")
        elif kind == 4:
            other = places[int(rng.integers(len(places)))]
            parent[key] = copy.deepcopy(_at(document, other))
            said.append(f"{path} now {other}")
        elif isinstance(parent, dict):
            parent[f"{key}x" if rng.random() < 0.5 else ""] = parent.pop(key)
            said.append(f"{path} renamed")
        else:
            parent.extend(copy.deepcopy(parent))
            said.append(f"{path[:-1]} doubled")
    return document, "; ".join(said)


def json_mutated(rng: Rng, data: bytes) -> tuple[bytes, str]:
    """JSON that is JSON still, or hardly."""
    kind = rng.random()
    if kind < 0.25:
        return mutated(rng, data, TEXT)
    if kind < 0.3:
        depth = int(10 ** rng.uniform(2, 5))
        return b"[" * depth + b"]" * depth, f"{depth} lists"
    document, what = node_mutated(rng, json.loads(data))
    text = json.dumps(document)
    if kind < 0.4 and isinstance(document, dict) and document:
        key = list(document)[int(rng.integers(len(document)))]
        text = f"{text[:-1]}, {json.dumps(key)}: {NUMBERS[int(rng.integers(20))]}}}"
        what += f"; {key} twice"
    return bytes_of(text), what


#: Whole YAML documents that are not what is asked for.
YAML = [
    "!!python/object/apply:os.system [exit]", "!!binary x", "!!timestamp 2001-99-99", "2001-99-99",
    "a: &a [x, x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a]\nc: [*b, *b, *b, *b]", "a: &a [*a]",
    "&a [*a]",
    "<<: [{a: 1}, {b: 2}]", "? [1, 2]\n: 3", "? {a: 1}\n: 3", "---\na: 1\n---\nb: 2",
    "%YAML 9.9\n---\na",
    "a: 1:2:3:4:5:6", "a: 0o777", "a: 0x" + "f" * 3000, "a: " + "9" * 5000,
    "a: " + "1:" * 3000 + "1", "\t",
    "a: !!int 'x'", "a: !!float 'x'", "a: !!bool 'x'", "!!set {a, b}", "!!omap [a: 1]",
    "!!pairs [a: 1]",
    "a: 2001-01-01", "a: =", "=: =", "~: 1", "1: 2", ".nan: 1", "true: 1", "a: .inf", "a: -.inf",
    "a: .nan",
    "a: |\n  x\n b", "'", '"\\ud800"', '"\\x00"', "a: \x85", "a: \u2028b", "\ufeff\ufeffa: 1",
]  # fmt: skip


def bomb(rng: Rng) -> str:
    """Aliases of aliases: small as it stands, enormous when it is written out."""
    depth, width = int(rng.integers(3, 25)), int(rng.integers(2, 11))
    rows = ["k0: &k0 [x, x]"]
    rows += [f"k{n}: &k{n} [{', '.join([f'*k{n - 1}'] * width)}]" for n in range(1, depth)]
    if rng.random() < 0.5:
        rows = ["k0: &k0 {x: 1}"]
        rows += [
            f"k{n}: &k{n} {{<<: [{', '.join([f'*k{n - 1}'] * width)}], x{n}: 1}}"
            for n in range(1, depth)
        ]
    return "\n".join(rows)


def yaml_mutated(rng: Rng, data: bytes) -> tuple[bytes, str]:
    """YAML: its lines and nodes, and what else the language has."""
    import yaml

    kind = rng.random()
    if kind < 0.35:
        return mutated(rng, data, TEXT)
    if kind < 0.45:
        text = bomb(rng) if rng.random() < 0.4 else YAML[int(rng.integers(len(YAML)))]
        at = data.find(b"\n", int(rng.integers(len(data)))) + 1
        whole = rng.random() < 0.5
        return bytes_of(text if whole else "") or data[:at] + bytes_of(text) + b"\n" + data[at:], (
            f"{text[:60]!r} {'alone' if whole else f'at {at}'}"
        )
    if kind < 0.6:
        rows = data.decode().splitlines()
        k = int(rng.integers(len(rows)))
        value = (*YAML, *map(str, VALUES), bomb(rng))[
            int(rng.integers(len(YAML) + len(VALUES) + 1))
        ]
        name = rows[k].partition(":")[0]
        rows[k] = f"{name}: {value.removeprefix('a: ')}"
        return bytes_of("\n".join(rows)), f"line {k} now {rows[k][:60]!r}"
    document, what = node_mutated(rng, yaml.safe_load(data))
    try:
        return yaml.safe_dump(document).encode("utf-8", "surrogatepass"), what
    except (yaml.YAMLError, ValueError):
        return bytes_of(json.dumps(document)), what


def tensors_mutated(rng: Rng, data: bytes) -> tuple[bytes, str]:
    """A safetensors file with another header, or with other bytes."""
    if rng.random() < 0.3:
        return mutated(rng, data, BYTES)
    size = int.from_bytes(data[:8], "little")
    header, what = node_mutated(rng, json.loads(data[8 : 8 + size]))
    entries = (
        [e for e in header.values() if isinstance(e, dict)] if isinstance(header, dict) else []
    )
    if entries and rng.random() < 0.5:
        entry = entries[int(rng.integers(len(entries)))]
        kinds = ("F64", "F16", "BF16", "I64", "BOOL", "U8", "F8_E4M3", "F4", "C64", "X", 3)
        offsets = ([0, 8], [8, 0], [0, 2**40], [-8, 0], [0, 0], [2**63, 2**63 + 8], [0.0, 8.0])
        shapes: Any = ([], [0], [2**31, 2**31, 2**31], [-1], [10**12], [1] * 70, [1.5], "x")
        if rng.random() < 0.6:
            entry["dtype"] = kinds[int(rng.integers(len(kinds)))]
        if rng.random() < 0.6:
            entry["shape"] = shapes[int(rng.integers(len(shapes)))]
        if rng.random() < 0.6:
            entry["data_offsets"] = offsets[int(rng.integers(len(offsets)))]
        what += f"; {entry}"[:200]
    text = bytes_of(json.dumps(header))
    stated = len(text)
    if rng.random() < 0.15:
        stated = (0, 1, 7, stated - 1, stated + 1, 2**40, 2**63, 2**64 - 1)[int(rng.integers(8))]
        what += f"; header of {stated}"
    return stated.to_bytes(8, "little") + text + data[8 + size :], what


_HEADERS = [
    b"'shape': (1000000000000,)", b"'shape': (0,)", b"'shape': ()", b"'shape': (-1,)",
    b"'shape': (1,)" * 9,
    b"'descr': '|O'", b"'descr': '<f4'", b"'descr': '<U9'", b"'descr': [('a', '<f8')]",
    b"'descr': '<M8[s]'",
    b"'fortran_order': True", b"'fortran_order': 7", b"__import__('os')", b"(" * 300,
    b"'descr': '<c16'",
]  # fmt: skip


def arrays_mutated(rng: Rng, data: bytes) -> tuple[bytes, str]:
    """An archive of numpy arrays with other members, or with other bytes."""
    if rng.random() < 0.35:
        return mutated(rng, data, BYTES)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = list(members)[int(rng.integers(len(members)))]
    kind = int(rng.integers(7))
    what = f"{name}: "
    if kind == 0:
        del members[name]
        what += "gone"
    elif kind == 1:
        members[name], said = mutated(rng, members[name], BYTES)
        what += said
    elif kind == 2:
        new = _HEADERS[int(rng.integers(len(_HEADERS)))]
        key = new.partition(b":")[0]
        at = members[name].find(key)
        end = members[name].find(b", '", at) if at >= 0 else -1
        if end < 0:
            at, end = 10, 40
        members[name] = members[name][:at] + new + members[name][end:]
        what += repr(new[:40])
    elif kind == 3:
        other = list(members)[int(rng.integers(len(members)))]
        members[name] = members[other]
        what += f"now {other}"
    elif kind == 4:
        members[f"{name[:-4]}x.npy"] = members.pop(name)
        what += "renamed"
    else:
        old = np.load(io.BytesIO(members[name]))
        arrays = (
            np.full(old.shape, np.nan), np.full(old.shape, np.inf), np.zeros(0), np.array("x"),
            np.zeros((2, *old.shape)), np.full(old.shape, -1), np.full(old.shape, 2**62), old[...,
            None],
            np.full(old.shape, 1e300), old.astype(np.complex128), np.array([b"\xff"]),
            old.astype(bool),
        )  # fmt: skip
        k = int(rng.integers(len(arrays)))
        content = io.BytesIO()
        np.save(content, arrays[k])
        members[name] = content.getvalue()
        what += f"array {k}"
    made = io.BytesIO()
    method = zipfile.ZIP_DEFLATED if rng.random() < 0.2 else zipfile.ZIP_STORED
    with zipfile.ZipFile(made, "w", method) as archive:
        for member, content_of in members.items():
            archive.writestr(member, content_of)
    return made.getvalue(), what
