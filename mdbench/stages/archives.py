"""Archives of strangers, unpacked into a folder and nowhere else.

Python's own filters for tar do not know zip, bombs, names that differ by case, or files that are
already there; so members are read as streams and written here.
"""

from __future__ import annotations

import bz2
import filecmp
import gzip
import lzma
import posixpath
import shutil
import stat
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, Literal

from mdbench.errors import InputError
from mdbench.stages.catalog import safe_path
from mdbench.store import write_error
from mdbench.units import GB_IN_BYTES, MB_IN_BYTES

#: By which names end, and how such an archive is read.
_TARS: dict[str, Callable[[Path, Literal["rb"]], Any]] = {
    ".tar": Path.open,
    ".tar.gz": gzip.open,
    ".tgz": gzip.open,
    ".tar.bz2": bz2.open,
    ".tbz2": bz2.open,
    ".tar.xz": lzma.open,
    ".txz": lzma.open,
}
_SUFFIXES = (*_TARS, ".zip")
#: Text packs to a tenth, zeros to a thousandth.
_LARGEST_RATIO = 200
_RATIO_COUNTS_FROM = 100 * MB_IN_BYTES
_MOST_MEMBERS = 1_000_000
#: Older Pythons search headers in a time that grows with their square (CVE-2024-6232).
_LARGEST_HEADER = 16_384
_PIECE = 1 << 20
_DAMAGE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    EOFError,
    zlib.error,
    lzma.LZMAError,
    OSError,
    ValueError,
    NotImplementedError,
    RuntimeError,
    IndexError,
    OverflowError,
)


@dataclass(frozen=True)
class Limits:
    """How much an archive may become.

    Attributes:
        size: Bytes, unpacked.
        ratio: Bytes unpacked per byte packed, once they are many.
    """

    size: int
    ratio: float = _LARGEST_RATIO


@dataclass(frozen=True)
class Unpacked:
    """What was unpacked.

    Attributes:
        files: Paths within the folder.
        new: How many of them were not there before.
        left_out: Links within the archive, which are not made.
    """

    files: list[PurePosixPath]
    new: int
    left_out: list[str]


class _Header(tarfile.TarInfo):
    """A header of a tar archive that is not read into memory where it is no name but a bomb."""

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        if not self.isreg() and self.size > _LARGEST_HEADER:
            raise tarfile.ReadError("a header of unusual size")
        made: tarfile.TarInfo = super()._proc_member(archive)  # type: ignore[misc]
        return made


@dataclass(frozen=True)
class _Member:
    """A file in an archive."""

    path: PurePosixPath
    open: Callable[[], IO[bytes]]


def archive_stem(path: Path, name: str) -> str | None:
    """The name of an archive without its suffix; None where a file is none that can be unpacked.

    Checkpoints of PyTorch are often named .tar and are none: they stay as they are.
    """
    suffix = next((s for s in sorted(_SUFFIXES, key=len)[::-1] if name.lower().endswith(s)), None)
    if suffix is None or len(name) == len(suffix):
        return None
    if suffix == ".tar":
        try:
            tarfile.open(path, "r:").close()
        except (tarfile.TarError, ValueError):
            return None
    return name[: -len(suffix)]


def unpack(
    archive: Path, name: str, folder: Path, limits: Limits, *, force: bool = False
) -> Unpacked:
    """Unpacks an archive into a folder: all of it, or nothing.

    It is unpacked beside the folder first. What stands in the folder already stays: files of the
    same content are taken for the archive's own, others are in the way.

    Args:
        archive: zip, tar, tar.gz, tar.bz2 or tar.xz, as its name ends.
        name: That name.
        folder: Made where it is missing.
        limits: How much it may become.
        force: Replace files of other content.

    Raises:
        InputError: A member would lie outside the folder, is a device or encrypted; names collide;
            more data than allowed; a damaged archive; files in the way; a disk that is full.
    """
    beside = folder.with_name(f".{folder.name}.part")
    try:
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(parents=True)
        files, left_out = _unpack_all(archive, name, beside, limits)
        new = _move(beside, folder, files, name, force=force)
    except OSError as error:
        raise write_error(folder, error) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return Unpacked(files, new, left_out)


def _unpack_all(
    archive: Path, name: str, folder: Path, limits: Limits
) -> tuple[list[PurePosixPath], list[str]]:
    """Writes all members into an empty folder; their paths, and the links that are left out."""
    left_out: list[str] = []
    names: dict[str, str] = {}
    files: list[PurePosixPath] = []
    packed, total = max(archive.stat().st_size, 1), 0
    for member in _members(archive, name, left_out, limits):
        _claim(names, member.path, name)
        files.append(member.path)
        if len(files) > _MOST_MEMBERS:
            raise InputError("more files than any data set has", where=name)
        target = folder / member.path
        target.parent.mkdir(parents=True, exist_ok=True)
        with _reading(name):
            source = member.open()
        with source, target.open("xb") as out:
            while True:
                with _reading(name):
                    piece = source.read(_PIECE)
                if not piece:
                    break
                total += len(piece)
                _check_amount(total, packed, limits, name)
                out.write(piece)
    if not files:
        raise InputError("archive without files", where=name)
    return files, left_out


def _members(archive: Path, name: str, left_out: list[str], limits: Limits) -> Iterator[_Member]:
    """The files of an archive, each to be read before the next one is asked for."""
    suffix = next((s for s in _TARS if name.lower().endswith(s)), None)
    walk = _in_zip(archive, name, left_out, limits)
    if suffix is not None:
        walk = _in_tar(archive, name, _TARS[suffix], left_out)
    while True:
        with _reading(name):
            member = next(walk, None)
        if member is None:
            return
        yield member


def _in_zip(archive: Path, name: str, left_out: list[str], limits: Limits) -> Iterator[_Member]:
    with zipfile.ZipFile(archive) as content:
        stated = sum(one.file_size for one in content.infolist())
        _check_amount(stated, max(archive.stat().st_size, 1), limits, name)
        for one in content.infolist():
            mode = one.external_attr >> 16
            kind = stat.S_IFMT(mode) if one.create_system == 3 else 0
            if one.is_dir() or one.filename.startswith("__MACOSX/"):
                safe_path(one.filename, name)
                continue
            if one.flag_bits & 1:
                raise InputError("encrypted", where=name, remedy="unpack it by hand")
            if kind == stat.S_IFLNK:
                with content.open(one) as data:
                    target = data.read(4096).decode("utf-8", "replace")
                _leave_out(one.filename, target, name, left_out)
            elif kind not in (0, stat.S_IFREG):
                raise _no_file(one.filename, name)
            else:
                path = safe_path(one.filename, name)
                yield _Member(path, lambda one=one: content.open(one))  # type: ignore[misc]


def _in_tar(
    archive: Path, name: str, opened: Callable[[Path, Literal["rb"]], Any], left_out: list[str]
) -> Iterator[_Member]:
    with (
        opened(archive, "rb") as stream,
        tarfile.open(fileobj=stream, mode="r|", tarinfo=_Header) as content,
    ):
        for one in content:
            if one.isdir():
                if one.name.strip("./"):
                    safe_path(one.name, name)
            elif one.issym():
                _leave_out(one.name, one.linkname, name, left_out)
            elif one.islnk():
                _leave_out(one.name, None, name, left_out)
                safe_path(one.linkname, name)
            elif not one.isreg():
                raise _no_file(one.name, name)
            else:
                data = content.extractfile(one)
                assert data is not None
                yield _Member(safe_path(one.name, name), lambda data=data: data)  # type: ignore[misc]
        while stream.read(_PIECE):  # to the end, so that a checksum there is looked at
            pass


def _leave_out(link: str, target: str | None, name: str, left_out: list[str]) -> None:
    """Notes a link; refuses one that leads out."""
    path = safe_path(link, name)
    if target is not None:
        end = posixpath.normpath(posixpath.join(str(path.parent), target.replace("\\", "/")))
        if end.startswith(("/", "../")) or end == ".." or end[1:2] == ":":
            raise InputError(
                "link out of its folder", where=name, found=f"{link!r} to {target[:80]!r}"
            )
    left_out.append(str(path))


def _no_file(member: str, name: str) -> InputError:
    return InputError("neither file nor folder", where=name, found=repr(member))


def _claim(names: dict[str, str], path: PurePosixPath, name: str) -> None:
    """Notes the name of a file; refuses one that some disks take for another's.

    Args:
        names: What stands for each name that was seen: the file, or empty for a folder.
        path: The next file.
        name: Of the archive.
    """
    folded = [unicodedata.normalize("NFC", part).casefold() for part in path.parts]
    for depth in range(1, len(folded)):
        if names.setdefault("/".join(folded[:depth]), ""):
            raise InputError("a file and a folder of one name", where=name, found=repr(str(path)))
    whole = "/".join(folded)
    if whole in names:
        other = names[whole] or "a folder"
        raise InputError(
            "names that differ by case at most", where=name, found=f"{str(path)!r} and {other!r}"
        )
    names[whole] = str(path)


def _check_amount(total: int, packed: int, limits: Limits, name: str) -> None:
    if total > limits.size:
        raise InputError(
            "archive unpacks to too much",
            where=name,
            expected=f"at most {limits.size / GB_IN_BYTES:g} GB",
            remedy="allow more with --max-gb, or --no-unpack",
        )
    if total > _RATIO_COUNTS_FROM and total > limits.ratio * packed:
        raise InputError(
            "archive unpacks to far more than data do",
            where=name,
            expected=f"at most {limits.ratio:g} times its size",
            remedy="look at it with --no-unpack",
        )


def _move(beside: Path, folder: Path, files: list[PurePosixPath], name: str, *, force: bool) -> int:
    """Gives unpacked files their place; how many of them are new."""
    if not folder.exists():
        with suppress(OSError):  # made by another process in the meantime
            beside.rename(folder)
            return len(files)
    home = folder.resolve()
    new = []
    for path in files:
        target = folder / path
        if not target.parent.resolve().is_relative_to(home) or target.is_symlink():
            raise InputError("a link is in the way", where=target, remedy="another folder with -o")
        if target.is_file() and filecmp.cmp(beside / path, target, shallow=False):
            continue
        if target.is_dir() or (target.exists() and not force):
            raise InputError(
                f"in the way of a file of {name}",
                where=target,
                remedy="another folder with -o, or --force to replace it",
            )
        new.append(path)
    for path in new:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (beside / path).replace(folder / path)
    return len(new)


@contextmanager
def _reading(name: str) -> Iterator[None]:
    """Turns whatever a damaged archive raises into one line."""
    try:
        yield
    except InputError:
        raise
    except _DAMAGE as error:
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise InputError("damaged archive", where=name, found=reason) from error
