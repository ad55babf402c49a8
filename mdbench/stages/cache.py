"""The folder of what was fetched, with the checksum of everything that is in it.

CACHE/fetch/KEY/record.json    what the deposit is, and of each file size, checksum, address, date
CACHE/fetch/KEY/files/NAME     read-only; NAME.part while it is on its way
"""

from __future__ import annotations

import dataclasses
import fcntl
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pooch

from mdbench.errors import InputError
from mdbench.stages.catalog import RemoteFile
from mdbench.stages.download import cache_error
from mdbench.stages.repositories import Deposit, check_names

_READ_ONLY = 0o444


def cache_folder(asked: Path | None = None) -> Path:
    """Where fetched files are kept: $MDBENCH_CACHE, else the platform's folder of caches."""
    named = os.environ.get("MDBENCH_CACHE")
    found = asked or (Path(named) if named else pooch.os_cache("mdbench"))
    return found.expanduser() / "fetch"


@dataclass(frozen=True)
class Known:
    """What is recorded of a file.

    Attributes:
        file: Name, addresses, size, checksums.
        url: Where it was fetched from; empty while it was not.
        date: When, UTC.
    """

    file: RemoteFile
    url: str = ""
    date: str = ""


@dataclass(frozen=True)
class Record:
    """What is recorded of a deposit.

    Attributes:
        deposit: As the server described it.
        known: What is recorded of each of its files, by name.
    """

    deposit: Deposit
    known: dict[str, Known]

    @classmethod
    def of(cls, deposit: Deposit) -> Record:
        """The record of a deposit of which nothing has been fetched."""
        return cls(deposit, {file.name: Known(file) for file in deposit.files})

    @classmethod
    def read(cls, path: Path) -> Record | None:
        """The record in a file; None where there is none.

        Raises:
            InputError: It is damaged.
        """
        try:
            found = json.loads(path.read_text())
            known = {
                one["name"]: Known(
                    RemoteFile(
                        str(one["name"]),
                        tuple(map(str, one["urls"])),
                        None if one["size"] is None else int(one["size"]),
                        _text(one["sha256"]),
                        _text(one["md5"]),
                    ),
                    str(one["url"]),
                    str(one["date"]),
                )
                for one in found["files"]
            }
            key, title, source, terms = (
                str(found[word]) for word in ("key", "title", "source", "license")
            )
            deposit = Deposit(key, title, source, terms, _files(known))
            if not re.fullmatch(r"[a-z0-9-]+", deposit.key):
                raise ValueError("key")
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise InputError(
                "damaged record of what was fetched",
                where=path,
                remedy="remove it: checksums are recorded anew",
            ) from error
        check_names(deposit)
        return cls(deposit, known)

    def write(self, path: Path) -> None:
        """Writes the record to a file, whole or not at all."""
        about = {
            "key": self.deposit.key,
            "title": self.deposit.title,
            "source": self.deposit.source,
            "license": self.deposit.license,
            "files": [
                dataclasses.asdict(one.file) | {"url": one.url, "date": one.date}
                for one in self.known.values()
            ],
        }
        part = path.with_name(path.name + ".part")
        part.write_text(json.dumps(about, indent=1))
        part.replace(path)

    def joined(self, deposit: Deposit, *, force: bool) -> Record:
        """This record, brought together with what a server says now.

        Args:
            deposit: As the server describes it now.
            force: Let the server win.

        Raises:
            InputError: Size or checksum of a file is another one than recorded.
        """
        known = {}
        for file in deposit.files:
            old = self.known.get(file.name, Known(file))
            for word in ("size", "md5", "sha256"):
                was, now = getattr(old.file, word), getattr(file, word)
                if was is not None and now is not None and was != now:
                    if not force:
                        raise _changed(file.name, word, was, now, old)
                    old = Known(file)
            filled = {
                word: getattr(file, word) if getattr(file, word) is not None else value
                for word, value in dataclasses.asdict(old.file).items()
            }
            known[file.name] = dataclasses.replace(old, file=RemoteFile(**filled))
        return Record(dataclasses.replace(deposit, files=_files(known)), known)


def _changed(name: str, word: str, was: object, now: object, old: Known) -> InputError:
    when = f" on {old.date}" if old.date else ""
    return InputError(
        f"{name} is not what was recorded{when}: another {word}",
        expected=was,
        found=now,
        remedy="--force takes what is there now",
    )


class Entry:
    """What the cache holds of a deposit.

    Args:
        cache: The cache's folder.
        key: The deposit's name in it.

    Attributes:
        folder: Of the deposit.
    """

    def __init__(self, cache: Path, key: str) -> None:
        self.folder = cache / key

    @property
    def record(self) -> Record | None:
        """What is recorded; None where nothing is."""
        return Record.read(self.folder / "record.json")

    def path(self, name: str) -> Path:
        """Where a file is kept."""
        return self.folder / "files" / name

    def part(self, name: str) -> Path:
        """Where a file is written while it is on its way."""
        path = self.path(name)
        return path.with_name(path.name + ".part")

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """While it lasts, no other process changes the entry; waits for one that does.

        The lock ends with its process. A cache that cannot be written is read without.
        """
        descriptor = None
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            if not self.folder.is_dir():
                raise cache_error(self.folder, error) from error
        try:
            if descriptor is not None:
                with suppress(OSError):  # no locks here
                    fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            if descriptor is not None:
                with suppress(OSError):  # also where a child process has the file open
                    fcntl.flock(descriptor, fcntl.LOCK_UN)
                os.close(descriptor)

    def keep(self, record: Record, name: str, sha256: str, url: str) -> Record:
        """Records the checksum of a file that is whole, and gives it its name.

        Args:
            record: Of the deposit so far.
            name: Of the file.
            sha256: Of what is in its part.
            url: Where it is from.
        """
        old, part = record.known[name], self.part(name)
        file = dataclasses.replace(old.file, sha256=sha256, size=part.stat().st_size)
        date = datetime.now(UTC).isoformat(timespec="seconds")
        known = record.known | {name: Known(file, url, old.date or date)}
        new = Record(dataclasses.replace(record.deposit, files=_files(known)), known)
        try:
            self.write(new)
            part.chmod(_READ_ONLY)
            part.replace(self.path(name))
        except OSError as error:
            raise cache_error(self.folder, error) from error
        return new

    def write(self, record: Record) -> None:
        """Writes what is known of the deposit."""
        try:
            record.write(self.folder / "record.json")
        except OSError as error:
            raise cache_error(self.folder, error) from error


def newest_key(cache: Path, stem: str) -> str | None:
    """The entry of the latest version of a deposit in the cache; None where there is none."""
    pattern = re.compile(re.escape(stem) + r"(?:-v(\d+))?")
    keys = (path.parent.name for path in cache.glob(f"{stem}*/record.json"))
    found = [(int(match[1] or 0), match[0]) for key in keys if (match := pattern.fullmatch(key))]
    return max(found)[1] if found else None


def _files(known: dict[str, Known]) -> tuple[RemoteFile, ...]:
    return tuple(one.file for one in known.values())


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
