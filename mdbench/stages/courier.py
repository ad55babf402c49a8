"""Files brought into the cache, from servers or from a folder, each of them checked."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pooch

from mdbench.config import FetchConfig
from mdbench.errors import InputError
from mdbench.stages.cache import Entry, Record
from mdbench.stages.catalog import RemoteFile
from mdbench.stages.download import Client, NotServedError, cache_error, forget, shown_size

Progress = Callable[[float, str], None]


class Courier:
    """Brings files into the cache.

    Args:
        entry: Of the cache.
        client: Asks servers.
        config: Settings.
        source: Folder of files that were downloaded elsewhere.
        progress: Called with the share that is done and what is being done.

    Attributes:
        first: Names of files whose checksum was recorded first.
        notes: What the user should know.
    """

    def __init__(
        self,
        entry: Entry,
        client: Client,
        config: FetchConfig,
        source: Path | None,
        progress: Progress | None,
    ) -> None:
        self.entry = entry
        self.first: set[str] = set()
        self.notes: list[str] = []
        self._client = client
        self._config = config
        self._source = source
        self._progress = progress

    def obtain(
        self, record: Record, files: list[RemoteFile], stated: dict[str, str | None]
    ) -> Record:
        """The record after all files are in the cache, each of them checked.

        Args:
            record: Of what was fetched so far.
            files: Those that are wanted.
            stated: Checksums that count instead of recorded ones, where a file has to be fetched.
        """
        done, whole = 0, sum(file.size or 0 for file in files)
        missing = [file for file in files if not self._is_there(file)]
        if missing and self._config.offline and self._source is None:
            raise InputError(
                "not in the cache",
                where=record.deposit.source,
                found=f"{len(missing)} of {len(files)} files missing, as {missing[0].name}",
                remedy="fetch them without --offline, or choose with --only",
            )
        for file in missing:

            def tell(at: int, total: int | None, name: str = file.name, before: int = done) -> None:
                if self._progress is not None:
                    share = (before + at) / whole if whole and total else 0.0
                    self._progress(min(share, 1.0), f"{name} {shown_size(at)}")

            wanted = replace(file, sha256=stated.get(file.name, file.sha256))
            record = self._bring(wanted, record, tell)
            done += file.size or 0
        return record

    def _is_there(self, file: RemoteFile) -> bool:
        """Whether the cache holds a file with the checksum that is recorded."""
        path = self.entry.path(file.name)
        if not path.is_file() or file.sha256 is None:
            return False
        if self._progress is not None:
            self._progress(0.0, f"checking {file.name}")
        if pooch.file_hash(str(path), "sha256") == file.sha256:
            return True
        if self._config.offline and self._source is None:
            raise InputError(
                "changed since it was fetched",
                where=path,
                remedy="fetch it without --offline",
            )
        self.notes.append(f"{file.name}: changed in the cache, fetched again")
        return False

    def _bring(
        self, file: RemoteFile, record: Record, tell: Callable[[int, int | None], None]
    ) -> Record:
        """The record after a file came into the cache."""
        part = self.entry.part(file.name)
        try:
            part.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cache_error(part, error) from error
        if self._source is not None:
            url = str(_copied(self._source, file, part))
            sha256 = self._checked(file, part, url)
        else:
            url, sha256 = self._downloaded(file, part, tell)
        if file.sha256 is None and file.md5 is None:
            self.first.add(file.name)
        record = self.entry.keep(record, file.name, sha256, url)
        forget(part)
        return record

    def _downloaded(
        self, file: RemoteFile, part: Path, tell: Callable[[int, int | None], None]
    ) -> tuple[str, str]:
        """Where a file was served, and its checksum."""
        refusals = []
        for url in file.urls:
            try:
                pieced = self._client.download(file, url, part, tell)
                try:
                    return url, self._checked(file, part, url)
                except NotServedError:
                    if not pieced:
                        raise
                # pieces of what changed in between, perhaps: once more in one go
                self._client.download(file, url, part, tell)
                return url, self._checked(file, part, url)
            except NotServedError as error:
                refusals.append(error)
        if not refusals:
            raise InputError(
                "nobody said where to fetch it from", where=file.name, remedy="use --from"
            )
        raise refusals[0]

    def _checked(self, file: RemoteFile, part: Path, where: str) -> str:
        """The checksum of a file that is whole; other bytes than expected are removed."""
        size = part.stat().st_size
        found = {"size": size, "md5": None, "sha256": pooch.file_hash(str(part), "sha256")}
        if file.md5 is not None:
            found["md5"] = pooch.file_hash(str(part), "md5")
        for word, value in found.items():
            expected = getattr(file, word)
            if expected is not None and expected != value:
                forget(part)
                raise NotServedError(
                    f"{file.name} is not the file that was expected: another {word}",
                    where=where.partition("?")[0],
                    expected=expected,
                    found=value,
                    remedy="try again; if it stays so, ask its owners, or take it with --force",
                )
        return str(found["sha256"])


def _copied(source: Path, file: RemoteFile, part: Path) -> Path:
    """Where a file that somebody downloaded stands, after it was copied."""
    places = (source / file.name, source / Path(file.name).name, source / "files" / file.name)
    found = next((path for path in places if path.is_file()), None)
    if found is None:
        raise InputError(
            f"{file.name} is not there", where=source, remedy="or choose files with --only"
        )
    try:
        forget(part)
        shutil.copyfile(found, part)
    except OSError as error:
        forget(part)
        raise cache_error(part, error) from error
    return found.resolve()
