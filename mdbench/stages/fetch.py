"""Published data, fetched once, checked, and put into a folder."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

from mdbench.config import FetchConfig
from mdbench.errors import InputError
from mdbench.formats import format_of
from mdbench.stages.cache import Entry, Known, Record, cache_folder, newest_key
from mdbench.stages.catalog import DATA_SETS, DataSet, RemoteFile, data_set
from mdbench.stages.courier import Courier
from mdbench.stages.delivery import deliver
from mdbench.stages.download import Client
from mdbench.stages.repositories import (
    Deposit,
    DepositName,
    Hosts,
    ask_deposit,
    check_names,
    deposit_name,
)

Progress = Callable[[float, str], None]

#: Files whose format is looked at in the end.
_LOOKED_AT = 500


@dataclass(frozen=True)
class Fetched:
    """What was fetched, or would be.

    Attributes:
        deposit: What it is.
        output: Where it was put.
        known: What is recorded of each file that was chosen.
        first: Names of those whose checksum was recorded just now, with nothing to compare it with.
        paths: Files in the folder.
        n_new: How many of them were not there before.
        formats: How many of them have a format that `mdbench ingest` reads, by its name, and how
            many do not, as "other".
        notes: What the user should know.
        ingest: What `mdbench ingest` has to be told.
    """

    deposit: Deposit
    output: Path
    known: list[Known]
    first: set[str] = field(default_factory=set)
    paths: list[Path] = field(default_factory=list)
    n_new: int = 0
    formats: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    ingest: str = ""


def available(cache: Path | None = None) -> list[tuple[DataSet, Record | None]]:
    """The data sets that have a name, each with what the cache knows of it."""
    folder = cache_folder(cache)
    found = []
    for one in DATA_SETS:
        asked = deposit_name(one.doi) if one.doi else None
        key = one.name if asked is None else newest_key(folder, asked.stem)
        found.append((one, None if key is None else Entry(folder, key).record))
    return found


def run(
    name: str,
    output: Path | None,
    config: FetchConfig,
    *,
    source: Path | None = None,
    dry_run: bool = False,
    force: bool = False,
    cache: Path | None = None,
    hosts: Hosts | None = None,
    sleep: Callable[[float], None] = time.sleep,
    progress: Progress | None = None,
) -> Fetched:
    """Fetches a data set into the cache, as far as it is not there, and puts it into a folder.

    Args:
        name: Of a data set, or a DOI of figshare or Zenodo.
        output: Folder; by default the name's.
        config: Settings.
        source: Folder of files that were downloaded elsewhere; no server is asked.
        dry_run: Only say which files there are.
        force: Take what changed on the server, replace files in the folder.
        cache: Folder of the cache; by default $MDBENCH_CACHE or the platform's.
        hosts: Where figshare and Zenodo are asked.
        sleep: Waits some seconds.
        progress: Called with the share that is done and what is being done.
    """
    asked = deposit_name(name)
    one = data_set(name) if asked is None else None
    if one is not None and one.doi is not None:
        asked = deposit_name(one.doi)
    folder = output or Path(one.name if one is not None else asked.stem if asked else name)
    if not dry_run:
        _check_folder(folder)
    if source is not None:
        _check_source(source)
    client, place = Client(config.retries, sleep), cache_folder(cache)
    if asked is not None and source is None and not config.offline:
        deposit = ask_deposit(asked, client, hosts or Hosts())
    elif asked is not None:
        deposit = _recorded(asked, place, source)
    else:
        assert one is not None
        deposit = Deposit(one.name, one.name, one.source, one.license or "", one.files)
    entry = Entry(place, deposit.key)
    if dry_run:
        return Fetched(deposit, folder, _chosen(_joined(entry, deposit, force=force), config))
    courier = Courier(entry, client, config, source, progress)
    with entry.claimed():
        record = _joined(entry, deposit, force=force)
        chosen = _chosen(record, config)
        stated = {file.name: file.sha256 for file in deposit.files} if force else {}
        record = courier.obtain(record, [one.file for one in chosen], stated)
        known = [record.known[one.file.name] for one in chosen]
        put = deliver(entry, known, folder, config, force=force, progress=progress)
    few = [f"formats of the first {_LOOKED_AT} files"] if len(put.paths) > _LOOKED_AT else []
    return Fetched(
        deposit,
        folder,
        known,
        courier.first,
        put.paths,
        put.n_new,
        _formats(put.paths),
        courier.notes + put.notes + few,
        "" if one is None else one.ingest,
    )


def _recorded(asked: DepositName, cache: Path, source: Path | None) -> Deposit:
    """What a deposit holds, as far as it can be known without a server.

    Raises:
        InputError: Nothing is recorded, and no folder of its files was named.
    """
    if source is not None:
        record = Record.read(source / "record.json")
        if record is not None and not _is_of(record.deposit.key, asked):
            raise InputError(
                "files of another deposit",
                where=source,
                expected=asked.stem,
                found=record.deposit.key,
            )
        if record is not None:
            return record.deposit
    key = asked.key or newest_key(cache, asked.stem)
    record = None if key is None else Entry(cache, key).record
    if record is not None:
        return record.deposit
    if source is None:
        raise InputError(
            "not in the cache",
            where=asked.stem,
            remedy="fetch it without --offline, or name a folder of its files with --from",
        )
    return _found_in(source, asked)


def _is_of(key: str, asked: DepositName) -> bool:
    return key == asked.key or (asked.key is None and key.startswith(f"{asked.stem}-v"))


def _found_in(source: Path, asked: DepositName) -> Deposit:
    """A deposit of which nothing is known, as the files in a folder."""
    files = tuple(
        RemoteFile(str(path.relative_to(source)), (), path.stat().st_size)
        for path in sorted(source.rglob("*"))
        if path.is_file() and not path.name.startswith(".") and path.suffix != ".part"
    )
    if not files:
        raise InputError("no files", where=source)
    key = asked.key or f"{asked.stem}-v0"
    deposit = Deposit(key, "", f"files of {asked.stem} from a folder", "", files)
    check_names(deposit)
    return deposit


def _joined(entry: Entry, deposit: Deposit, *, force: bool) -> Record:
    record = entry.record
    return Record.of(deposit) if record is None else record.joined(deposit, force=force)


def _chosen(record: Record, config: FetchConfig) -> list[Known]:
    """The files that are wanted."""
    found = [
        one
        for name, one in record.known.items()
        if config.only is None or fnmatch(name.lower(), config.only.lower())
    ]
    if not found:
        raise InputError(
            f"no file matches --only {config.only!r}",
            where=record.deposit.source,
            found=", ".join(list(record.known)[:5]),
        )
    return found


def _check_source(source: Path) -> None:
    if not source.is_dir():
        raise InputError("not a folder", where=source, remedy="--from names a folder of files")


def _check_folder(folder: Path) -> None:
    """Refuses a folder that cannot be written, before any work."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        raise InputError("not a folder", where=folder, remedy="another folder with -o")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(
            "folder cannot be written: Permission denied",
            where=folder,
            remedy="another folder with -o",
        )


def _formats(paths: list[Path]) -> dict[str, int]:
    """How many files have which format that `mdbench ingest` reads; the first ones alone."""
    found: Counter[str] = Counter()
    for path in paths[:_LOOKED_AT]:
        try:
            found[format_of(path) or "other"] += 1
        except InputError:
            found["other"] += 1
    return dict(found.most_common())
