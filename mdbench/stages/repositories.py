"""What a deposit at figshare or Zenodo holds, asked of their public APIs.

pooch can look a DOI up, too, but knows only the first ten files of a figshare deposit, neither
sizes nor licenses, and always asks the servers themselves.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from mdbench.errors import InputError
from mdbench.stages.catalog import RemoteFile, safe_path
from mdbench.stages.download import Client, NotServedError

_PAGE = 1000
_NAMES = (
    ("figshare", re.compile(r"10\.6084/m9\.figshare\.(\d{1,12})(?:\.v(\d{1,4}))?")),
    (
        "figshare",
        re.compile(r"https?://figshare\.com/articles/(?:[^/]+/)*?(\d{4,12})(?:/(\d+))?/?"),
    ),
    ("zenodo", re.compile(r"10\.5281/zenodo\.(\d{1,12})")),
    ("zenodo", re.compile(r"https?://zenodo\.org/records?/(\d{1,12})/?")),
)


@dataclass(frozen=True)
class Hosts:
    """Where the servers are asked.

    Attributes:
        figshare: Base of figshare's API.
        zenodo: Base of Zenodo's.
    """

    figshare: str = "https://api.figshare.com/v2"
    zenodo: str = "https://zenodo.org/api"


@dataclass(frozen=True)
class DepositName:
    """Which deposit is meant.

    Attributes:
        host: figshare or zenodo.
        number: Its number there.
        version: The version that was asked for, of figshare.
    """

    host: str
    number: int
    version: int | None = None

    @property
    def stem(self) -> str:
        """Without its version, as figshare-26089474."""
        return f"{self.host}-{self.number}"

    @property
    def key(self) -> str | None:
        """The name in the cache; None while a version has not been settled."""
        if self.host == "zenodo":
            return self.stem
        return None if self.version is None else f"{self.stem}-v{self.version}"


@dataclass(frozen=True)
class Deposit:
    """What a server says of a deposit, or the table of data sets.

    Attributes:
        key: Its name in the cache, with the version.
        title: As the server states it.
        source: DOI with version, or address.
        license: As stated; empty where nothing is.
        files: What it holds.
    """

    key: str
    title: str
    source: str
    license: str
    files: tuple[RemoteFile, ...]


def deposit_name(text: str) -> DepositName | None:
    """The deposit that a DOI or an address means; None where the text is neither.

    Raises:
        InputError: A DOI of another repository.
    """
    plain = re.sub(r"^(doi:|https?://(dx\.)?doi\.org/)", "", text.strip(), flags=re.IGNORECASE)
    for host, pattern in _NAMES:
        if found := pattern.fullmatch(plain.lower()):
            version = found[2] if found.re.groups > 1 else None
            return DepositName(host, int(found[1]), None if version is None else int(version))
    if plain != text.strip() or "/" in plain:
        raise InputError(
            "not a DOI that can be fetched",
            expected="10.6084/m9.figshare.NUMBER or 10.5281/zenodo.NUMBER",
            found=repr(text),
            remedy="download the files in a browser",
        )
    return None


def ask_deposit(name: DepositName, client: Client, hosts: Hosts) -> Deposit:
    """What a server says that a deposit holds."""
    ask = _ask_figshare if name.host == "figshare" else _ask_zenodo
    try:
        deposit = ask(name, client, hosts)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise InputError(
            "server describes the deposit in an unknown way",
            where=name.stem,
            found=f"{type(error).__name__} {error}",
            remedy="download it in a browser and name its folder with --from",
        ) from error
    if not deposit.files:
        raise InputError("deposit without files", where=deposit.source)
    check_names(deposit)
    return deposit


def check_names(deposit: Deposit) -> None:
    """Refuses file names that lead out of a folder or that not every disk tells apart."""
    seen: dict[str, str] = {}
    for file in deposit.files:
        folded = str(safe_path(file.name, deposit.source)).casefold()
        if folded in seen:
            raise InputError(
                "two files whose names differ by case at most",
                where=deposit.source,
                found=f"{seen[folded]!r} and {file.name!r}",
                remedy="choose with --only",
            )
        seen[folded] = file.name


def _ask_figshare(name: DepositName, client: Client, hosts: Hosts) -> Deposit:
    base = f"{hosts.figshare}/articles/{name.number}"
    version = name.version
    if version is None:
        version = int(client.json(base)["version"])
    base += f"/versions/{version}"
    article = client.json(base)
    if article.get("download_disabled") or article.get("is_confidential"):
        raise InputError("its owners do not let it be downloaded", where=name.stem)
    folders = article.get("folder_structure") or {}
    found: list[dict[str, Any]] = []
    page = 1
    while len(found) == (page - 1) * _PAGE:
        found += client.json(f"{base}/files?page={page}&page_size={_PAGE}")
        page += 1
    return Deposit(
        f"{name.stem}-v{version}",
        str(article.get("title", "")),
        f"doi:10.6084/m9.figshare.{name.number}.v{version}",
        str((article.get("license") or {}).get("name", "")),
        tuple(_of_figshare(one, folders, hosts) for one in found if not one.get("is_link_only")),
    )


def _of_figshare(one: dict[str, Any], folders: dict[str, str], hosts: Hosts) -> RemoteFile:
    number = int(one["id"])
    folder = str(folders.get(str(number)) or "").strip("/")
    name = f"{folder}/{one['name']}" if folder else str(one["name"])
    # figshare.com/ndownloader can want a browser (202, an empty answer); the API does not
    urls = (f"{hosts.figshare}/file/download/{number}", str(one["download_url"]))
    md5 = one.get("computed_md5") or one.get("supplied_md5") or None
    return RemoteFile(name, urls, int(one["size"]), md5=_hexadecimal(md5))


def _ask_zenodo(name: DepositName, client: Client, hosts: Hosts) -> Deposit:
    try:
        record = client.json(f"{hosts.zenodo}/records/{name.number}")
    except NotServedError as error:
        # the number of all versions together; the newest is meant
        query = f"q=conceptrecid:{name.number}&sort=mostrecent&size=1"
        hits = client.json(f"{hosts.zenodo}/records?{query}")["hits"]["hits"]
        if not hits:
            raise error
        record = hits[0]
    number, about = int(record["id"]), record["metadata"]
    license_ = about.get("license") or {}
    return Deposit(
        f"zenodo-{number}",
        str(about.get("title", "")),
        f"doi:{record.get('doi') or f'10.5281/zenodo.{number}'}",
        str(license_.get("id", "") if isinstance(license_, dict) else license_),
        tuple(_of_zenodo(one, number, hosts) for one in record["files"]),
    )


def _of_zenodo(one: dict[str, Any], number: int, hosts: Hosts) -> RemoteFile:
    name = str(one.get("key") or one["filename"])
    algorithm, _, digest = str(one.get("checksum") or "").rpartition(":")
    url = f"{hosts.zenodo}/records/{number}/files/{quote(name)}/content"
    size = one.get("size", one.get("filesize"))
    return RemoteFile(
        name,
        (url,),
        None if size is None else int(size),
        md5=_hexadecimal(digest) if algorithm in ("", "md5") else None,
    )


def _hexadecimal(digest: object) -> str | None:
    """An MD5 sum in lower case; None where there is none."""
    text = str(digest or "").lower()
    return text if re.fullmatch(r"[0-9a-f]{32}", text) else None
