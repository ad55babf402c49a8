"""What can become of a file: of bytes, of text in lines, and of compressed streams.

Every mutation takes a random number generator and the content, and gives the content and a few
words that say what was done.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
from collections.abc import Callable

import numpy as np

Rng = np.random.Generator
Mutation = Callable[[Rng, bytes], tuple[bytes, str]]

#: What may stand where a number did.
NUMBERS = [
    "nan", "NaN", "inf", "-inf", "Infinity", "1e400", "-1e400", "1e308", "-1e308", "1e-400", "-0",
    "-0.0", "0", "-1", "1", "2", "3", "0.5", "999999", "1000000007", "4294967296", "2147483648",
    "1000000000000", "9223372036854775807", "9223372036854775808", "-9223372036854775809",
    "18446744073709551616", "1" + "0" * 30, "9" * 400, "9" * 5000, "0." + "1" * 400, "1e", "1e+",
    "0x10", "1_000", "1,5", "1d5", "1D+05", "--1", "+-1", "+5", ".", ".5", "5.", "1.2.3", "1-2",
    "******", "٣", "１２", "²", "½", "Ⅷ", "\0", "", " ", "\t", "\ud800x", "true", "null",
    "None", "1e5", "1e15", "2e15", "200000000", "20000000", "19999999", "1e99999999999999999999",
    "\x1b[31m", "\x7f", "\u2028", "\x85", "\x0c",
]  # fmt: skip
_NUMBER = re.compile(rb"[-+]?\d+\.?\d*(?:[eE][-+]?\d+)?")
_WORD = re.compile(rb"[A-Za-z_:]{2,}")
_TAG = re.compile(rb"<[^<>]*>")
_NOISE = [
    b"\0", b"\xff", b"\xfe\xff", b"\x80", b"\n", b"\r", b"\r\n", b"\t", b" ", b"<", b">", b"</",
    b"<!",
    b"<!--", b"-->", b"<![CDATA[", b"&lt;", b'"', b"'", b"{", b"}", b"[", b"]", b"(", b")", b"=",
    b":",
    b",", b";", b"#", b"@", b"%s", b"\\", b"\x1a", b"\x1b[2J", b"\xc3", b"\xe2\x80\xa8", b"ITEM: ",
    b"*",
]  # fmt: skip
_ENCODINGS = ("utf-16", "utf-16-le", "utf-32", "utf-7", "cp037")
_PACKED: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
}
_DEEP = [b"[", b"(", b"<a>", b'{"a":', b"{", b"- ", b"<varray>", b"<structure>", b'"', b"'"]


def bytes_of(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _place(rng: Rng, size: int) -> int:
    """A place, often near the beginning, where headers are."""
    if rng.random() < 0.5:
        size = min(size, 1 + int(size * rng.random() ** 3))
    return int(rng.integers(max(size, 1)))


def cut(rng: Rng, data: bytes) -> tuple[bytes, str]:
    at = int(rng.integers(len(data) + 1))
    return data[:at], f"cut at {at}"


def flip(rng: Rng, data: bytes) -> tuple[bytes, str]:
    changed, places = bytearray(data), []
    for _ in range(int(rng.integers(1, 9)) if data else 0):
        at = _place(rng, len(data))
        changed[at] = int(rng.integers(256))
        places.append(at)
    return bytes(changed), f"bytes {places} changed"


def bit(rng: Rng, data: bytes) -> tuple[bytes, str]:
    at = _place(rng, len(data))
    changed = bytearray(data or b"\0")
    changed[at] ^= 1 << int(rng.integers(8))
    return bytes(changed), f"bit of byte {at}"


def _span(rng: Rng, size: int) -> tuple[int, int]:
    start = _place(rng, size)
    return start, min(size, start + int(2 ** rng.uniform(0, 11)))


def remove(rng: Rng, data: bytes) -> tuple[bytes, str]:
    a, b = _span(rng, len(data))
    return data[:a] + data[b:], f"bytes {a} to {b} removed"


def double(rng: Rng, data: bytes) -> tuple[bytes, str]:
    a, b = _span(rng, len(data))
    return data[:b] + data[a:], f"bytes {a} to {b} doubled"


def move(rng: Rng, data: bytes) -> tuple[bytes, str]:
    a, b = _span(rng, len(data))
    rest = data[:a] + data[b:]
    at = _place(rng, len(rest))
    return rest[:at] + data[a:b] + rest[at:], f"bytes {a} to {b} moved to {at}"


def insert(rng: Rng, data: bytes) -> tuple[bytes, str]:
    at, noise = _place(rng, len(data)), _NOISE[int(rng.integers(len(_NOISE)))]
    return data[:at] + noise + data[at:], f"{noise!r} at {at}"


def zeros(rng: Rng, data: bytes) -> tuple[bytes, str]:
    a, b = _span(rng, len(data))
    return data[:a] + bytes(b - a) + data[b:], f"bytes {a} to {b} zero"


def integer(rng: Rng, data: bytes) -> tuple[bytes, str]:
    """Eight bytes of a binary file as a number, small or enormous."""
    values = (0, 1, -1, 7, 2**16, 2**31, 2**32, 2**40, 2**62, 2**63 - 1, -(2**63), 10**12)
    at = _place(rng, max(len(data) - 8, 1)) // 8 * 8
    value = values[int(rng.integers(len(values)))]
    changed = value.to_bytes(8, "little", signed=True)
    return data[:at] + changed + data[at + 8 :], f"integer {value} at {at}"


def number(rng: Rng, data: bytes) -> tuple[bytes, str]:
    found = [m.span() for m in _NUMBER.finditer(data)]
    if not found:
        return insert(rng, data)
    a, b = found[_place(rng, len(found))]
    new = NUMBERS[int(rng.integers(len(NUMBERS)))]
    return data[:a] + bytes_of(new) + data[b:], f"number at {a} now {new[:20]!r}"


def word(rng: Rng, data: bytes) -> tuple[bytes, str]:
    found = [m.span() for m in _WORD.finditer(data)]
    if not found:
        return insert(rng, data)
    a, b = found[_place(rng, len(found))]
    c, d = found[int(rng.integers(len(found)))]
    choices = [data[c:d], data[a:b].lower(), data[a:b].upper(), b"", b"Xx", b"x" * 300]
    new = choices[int(rng.integers(len(choices)))]
    return data[:a] + new + data[b:], f"word at {a} now {new[:20]!r}"


def tag(rng: Rng, data: bytes) -> tuple[bytes, str]:
    found = [m.span() for m in _TAG.finditer(data)]
    if not found:
        return word(rng, data)
    a, b = found[_place(rng, len(found))]
    c, d = found[int(rng.integers(len(found)))]
    k = int(rng.integers(5))
    new = (b"", data[a:b] * 2, data[c:d], data[a:b] + data[c:d], data[a : b - 1])[k]
    return data[:a] + new + data[b:], f"tag at {a} now {new[:40]!r}"


def lines(rng: Rng, data: bytes) -> tuple[bytes, str]:
    rows = data.splitlines(keepends=True)
    if len(rows) < 2:
        return double(rng, data)
    a = _place(rng, len(rows))
    b = int(rng.integers(len(rows)))
    n = 1 if rng.random() < 0.7 else int(rng.integers(1, len(rows)))
    kind = int(rng.integers(7))
    if kind == 0:
        del rows[a : a + n]
    elif kind == 1:
        rows[a:a] = rows[a : a + n]
    elif kind == 2:
        rows[a], rows[b] = rows[b], rows[a]
    elif kind == 3:
        rows[a] = rows[a].rstrip(b"\r\n")
    elif kind == 4:
        rows.insert(a, (b"\n", b"   \n", b"#\n", b"\x00\n")[int(rng.integers(4))])
    elif kind == 5:
        rows[a] = rows[a][: int(rng.integers(len(rows[a]) + 1))] + b"\n"
    else:
        rows[a] = rows[a].rstrip(b"\r\n") + b" " + rows[b]
    what = ("dropped", "doubled", "swapped", "joined", "empty", "cut", "appended")[kind]
    return b"".join(rows), f"line {a} {what} ({n}, {b})"


def deep(rng: Rng, data: bytes) -> tuple[bytes, str]:
    at, new = _place(rng, len(data)), _DEEP[int(rng.integers(len(_DEEP)))]
    times = int(10 ** rng.uniform(1, 4.5))
    return data[:at] + new * times + data[at:], f"{times} times {new!r} at {at}"


def long_line(rng: Rng, data: bytes) -> tuple[bytes, str]:
    at = _place(rng, len(data))
    filler = (b" ", b"1", b"0 ", b"x", b"-", b"\t", b"\xff", b"1.5 ")[int(rng.integers(8))]
    times = int(10 ** rng.uniform(2, 5))
    return data[:at] + filler * times + data[at:], f"{times} times {filler!r} at {at}"


def encoding(rng: Rng, data: bytes) -> tuple[bytes, str]:
    name = _ENCODINGS[int(rng.integers(len(_ENCODINGS)))]
    return data.decode("latin-1").encode(name, "replace"), name


def bom(rng: Rng, data: bytes) -> tuple[bytes, str]:
    mark = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")[int(rng.integers(3))]
    return mark + data, f"mark {mark.hex()}"


def old_mac(rng: Rng, data: bytes) -> tuple[bytes, str]:
    del rng
    return data.replace(b"\n", b"\r"), "lines end with CR"


def twice(rng: Rng, data: bytes) -> tuple[bytes, str]:
    at = 0 if rng.random() < 0.5 else _place(rng, len(data))
    return data + data[at:], f"itself from {at} behind it"


def packed(rng: Rng, data: bytes) -> tuple[bytes, str]:
    """Compressed, and then damaged."""
    form = list(_PACKED)[int(rng.integers(3))]
    damage = (cut, flip, remove, double, insert)[int(rng.integers(5))]
    content, what = damage(rng, _PACKED[form](data))
    return content, f"{form}, then {what}"


#: For any file.
BYTES: tuple[Mutation, ...] = (cut, flip, bit, remove, double, move, insert, zeros, integer)
#: For text.
TEXT: tuple[Mutation, ...] = (
    *(cut, flip, bit, remove, double, move, insert),
    *(number, number, number, number, word, word, tag, tag, lines, lines, lines),
    *(deep, long_line, encoding, bom, old_mac, twice, packed),
)


def mutated(rng: Rng, data: bytes, kinds: tuple[Mutation, ...]) -> tuple[bytes, str]:
    """One to four mutations, mostly one."""
    said = []
    for _ in range(min(1 + int(rng.geometric(0.6)) - 1, 4)):
        data, what = kinds[int(rng.integers(len(kinds)))](rng, data)
        said.append(what)
    return data, "; ".join(said)


def harmless(rng: Rng, data: bytes, *, text: bool) -> tuple[bytes, str]:
    """The same content, written in another way."""
    kinds = ["gz", "bz2", "xz", *(["crlf"] if text else [])]
    kind = kinds[int(rng.integers(len(kinds)))]
    if kind == "crlf":
        return data.replace(b"\n", b"\r\n"), kind
    return _PACKED["." + kind](data), kind
