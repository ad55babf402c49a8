"""Files over HTTP: resumed where they broke off, refused where they are not what was asked for.

pooch and requests neither resume nor try again, so that is written here, on requests.
"""

from __future__ import annotations

import errno
import json
import re
import shutil
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests
import urllib3

from mdbench.errors import InputError
from mdbench.stages.catalog import RemoteFile
from mdbench.units import GB_IN_BYTES, MB_IN_BYTES
from mdbench.version import __version__

Progress = Callable[[int, int | None], None]
Outcome = TypeVar("Outcome")

_PIECE = 1 << 16
#: Bytes that a try must bring to count as progress.
_GAIN = 1 << 20
_TIMEOUTS_S = (20.0, 60.0)
_LONGEST_WAIT_S = 120.0
_LARGEST_ANSWER = 1 << 26
_AGAIN = {408, 429, 500, 502, 503, 504}
_ELSEWHERE = "download it in a browser and name its folder with --from"
_PLACE = "put the cache elsewhere with MDBENCH_CACHE"
_ROOM = f"free space, or {_PLACE}"


class NotServedError(InputError):
    """This address does not serve the file; another one might."""


class _DroppedError(Exception):
    """It can be tried again.

    Args:
        reason: Why it broke off.
        wait_s: How long the server asks to wait.
        hopeless: Nobody is there: no network, no such server.
    """

    def __init__(self, reason: str, *, wait_s: float | None = None, hopeless: bool = False) -> None:
        super().__init__(reason)
        self.wait_s = wait_s
        self.hopeless = hopeless


@dataclass(frozen=True)
class _State:
    """What a part of a file belongs to, kept beside it.

    Attributes:
        url: Where it is from.
        etag: The server's name for these bytes, empty where it gives none.
        modified: When they were changed, as the server says it.
        total: Bytes of the whole file.
    """

    url: str
    etag: str
    modified: str
    total: int | None

    @property
    def validator(self) -> str:
        """For If-Range: a strong ETag, else the date."""
        return self.etag if self.etag and not self.etag.startswith("W/") else self.modified

    def goes_on(self, other: _State) -> bool:
        """Whether an answer is of the same bytes, as far as one address or two can tell."""
        if self.url != other.url:
            return self.total == other.total
        return (self.etag, self.modified, self.total) == (other.etag, other.modified, other.total)


class Client:
    """Asks servers, again where they break off.

    Args:
        retries: Tries in a row without progress before giving up.
        sleep: Waits some seconds.
    """

    def __init__(self, retries: int, sleep: Callable[[float], None] = time.sleep) -> None:
        self._retries = retries
        self._sleep = sleep
        self._reached: set[str] = set()
        self._session = requests.Session()
        self._session.headers["User-Agent"] = f"mdbench/{__version__} python-requests"
        self._session.headers["Accept-Encoding"] = "identity"

    def json(self, url: str) -> Any:
        """What a server answers, as JSON.

        Raises:
            NotServedError: It answers something else.
        """

        def ask() -> bytes:
            with self._ask(url, {}) as response:
                return _piece(response, _LARGEST_ANSWER)

        content = self._patiently(url, ask)
        try:
            return json.loads(content)
        except ValueError as error:
            raise NotServedError(
                "server does not answer with JSON", where=_shown(url), remedy=_ELSEWHERE
            ) from error

    def download(self, file: RemoteFile, url: str, part: Path, progress: Progress) -> bool:
        """Brings a file from one of its addresses; what is there of it already is not asked again.

        Args:
            file: What is known of it.
            url: The address.
            part: Where it is written; kept when it breaks off.
            progress: Called with the bytes that are there, and of the whole.

        Returns:
            Whether it was put together from several answers.
        """
        return self._patiently(
            url, lambda: self._attempt(file, url, part, progress), lambda: _size(part)
        )

    def _patiently(
        self, url: str, act: Callable[[], Outcome], done: Callable[[], int] = lambda: 0
    ) -> Outcome:
        """The outcome of an act that is tried again where it breaks off."""
        fruitless = 0
        while True:
            before = done()
            try:
                return act()
            except _DroppedError as error:
                reason, wait_s = str(error), error.wait_s
                if error.hopeless and _host(url) not in self._reached:
                    raise NotServedError(
                        f"server cannot be reached ({reason})",
                        where=_host(url),
                        remedy="check the network; --offline uses what is in the cache, --from "
                        "files that were downloaded elsewhere",
                    ) from error
            fruitless = 0 if done() - before >= _GAIN else fruitless + 1
            if wait_s is not None and wait_s > _LONGEST_WAIT_S:
                raise NotServedError(
                    reason, where=_shown(url), remedy=f"try again in {wait_s:.0f} s"
                )
            if fruitless > self._retries:
                raise NotServedError(
                    f"{reason} (tried {fruitless} times)",
                    where=_shown(url),
                    remedy="try again later; what is there is kept",
                )
            self._sleep(wait_s if wait_s is not None else min(2.0 ** (fruitless - 1), 60.0))

    def _ask(self, url: str, headers: dict[str, str]) -> requests.Response:
        """An answer whose content has not been read yet."""
        try:
            answer = self._session.get(url, headers=headers, stream=True, timeout=_TIMEOUTS_S)
        except requests.exceptions.SSLError as error:
            raise NotServedError(
                "no secure connection",
                where=_host(url),
                found=_innermost(error),
                remedy="check the clock, a proxy, or the certificates (REQUESTS_CA_BUNDLE)",
            ) from error
        except (
            requests.exceptions.ConnectionError,
            requests.exceptions.Timeout,
            requests.exceptions.ChunkedEncodingError,
        ) as error:
            cause = getattr(error.args[0] if error.args else None, "reason", None)
            nobody = (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ProxyError)
            raise _DroppedError(_innermost(error), hopeless=isinstance(cause, nobody)) from error
        except (
            requests.exceptions.RequestException,
            urllib3.exceptions.HTTPError,
            ValueError,  # an address that is none
        ) as error:
            raise NotServedError(
                "cannot be asked for", where=_shown(url), found=_innermost(error)
            ) from error
        self._reached.add(_host(url))
        try:
            _check_answer(url, answer)
        except BaseException:
            answer.close()
            raise
        return answer

    def _attempt(self, file: RemoteFile, url: str, part: Path, progress: Progress) -> bool:
        """One try; whether it continued what was there."""
        state, at = _read_state(part), _size(part)
        checkable = bool(file.sha256 or file.md5)
        same = state is not None and state.url == url
        if state is None or not (checkable or (same and state.validator)):
            at = 0  # pieces of different bytes could not be told apart
        headers = {}
        if state is not None and at:
            if at == state.total:
                return True
            headers["Range"] = f"bytes={at}-"
            if same and state.validator:
                headers["If-Range"] = state.validator
        with self._ask(url, headers) as answer:
            new = _state(url, answer, at)
            if answer.status_code == HTTPStatus.OK:
                at = 0
            elif state is None or new is None or not state.goes_on(new):
                part.unlink(missing_ok=True)
                raise _DroppedError("the file changed on the server", wait_s=0.0)
            assert new is not None
            first = _piece(answer)
            if at == 0:
                _check_page(file, first, url)
            _check_size(file, new.total, url)
            _check_room(part, (new.total or file.size or 0) - at)
            _write(file, new, chain([first], iter(lambda: _piece(answer), b"")), part, at, progress)
        return at > 0


def _write(
    file: RemoteFile, state: _State, pieces: Iterable[bytes], part: Path, at: int, tell: Progress
) -> None:
    """Appends the content of an answer to what is there up to a byte."""
    total = state.total if state.total is not None else file.size
    try:
        if at == 0:  # before the state: old bytes never stand beside the name of new ones
            part.unlink(missing_ok=True)
        _state_path(part).write_text(json.dumps(asdict(state)))
        with part.open("ab" if at else "wb") as out:
            for content in pieces:
                at += len(content)
                if total is not None and at > total:
                    raise NotServedError(
                        "server sends more than it states",
                        where=_shown(state.url),
                        expected=f"{total} bytes",
                    )
                out.write(content)
                tell(at, total)
    except OSError as error:  # those of the connection have been named before
        raise cache_error(part, error) from error
    if total is not None and at < total:
        raise _DroppedError(f"connection ended at {at} of {total} bytes")


def _piece(answer: requests.Response, size: int = _PIECE) -> bytes:
    """The next bytes as they are on the server, whatever it says of their encoding."""
    try:
        content: bytes = answer.raw.read(size, decode_content=False)
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise _DroppedError(f"connection broke off: {_innermost(error)}") from error
    return content


def _check_answer(url: str, answer: requests.Response) -> None:
    """Refuses answers that are no content."""
    code, where = answer.status_code, _shown(url)
    hops = [one.url for one in answer.history] + [answer.url]
    if url.startswith("https:") and not all(hop.startswith("https:") for hop in hops):
        raise NotServedError("redirected to where nothing is encrypted", where=where)
    name = HTTPStatus(code).phrase if code in set(HTTPStatus) else "unknown"
    reason = f"server answers {code} ({name})"
    if code in _AGAIN:
        raise _DroppedError(reason, wait_s=_retry_after(answer))
    if code in (404, 410):
        raise NotServedError(reason, where=where, remedy="check the name, or DOI and its version")
    if code in (401, 403) or code == HTTPStatus.ACCEPTED:
        raise NotServedError(reason, where=where, remedy=f"it may want a browser: {_ELSEWHERE}")
    if code not in (200, 206, 416):
        raise NotServedError(reason, where=where)


def _retry_after(answer: requests.Response) -> float | None:
    """How long a server asks to wait, s."""
    text = answer.headers.get("Retry-After", "").strip()
    if text.isdigit():
        return float(text[:9])
    with suppress(ValueError, TypeError):
        then = parsedate_to_datetime(text)
        return max((then.astimezone(UTC) - datetime.now(UTC)).total_seconds(), 0.0)
    return None


def _state(url: str, answer: requests.Response, at: int) -> _State | None:
    """What an answer says of the whole file; None where it is not what was asked for."""
    headers = answer.headers
    total: int | None = None
    if answer.status_code == HTTPStatus.PARTIAL_CONTENT:
        unit, _, span = headers.get("Content-Range", "").partition(" ")
        first, _, rest = span.partition("-")
        if unit != "bytes" or first != str(at):
            return None
        length = rest.partition("/")[2]
        total = int(length) if length.isdigit() else None
    elif answer.status_code == HTTPStatus.OK:
        length = headers.get("Content-Length", "")
        total = int(length) if length.isdigit() else None
    else:
        return None
    return _State(url, headers.get("ETag", ""), headers.get("Last-Modified", ""), total)


def _check_size(file: RemoteFile, total: int | None, url: str) -> None:
    if file.size is not None and total is not None and total != file.size:
        raise NotServedError(
            f"{file.name} has another size",
            where=_shown(url),
            expected=f"{file.size} bytes",
            found=total,
            remedy=_ELSEWHERE,
        )


def _check_page(file: RemoteFile, head: bytes, url: str) -> None:
    """Refuses a web page, as of a login, where a file was asked for; by its content."""
    start = head[:512].lstrip().lower()
    if start.startswith((b"<!doctype html", b"<html")) and ".htm" not in file.name.lower():
        raise NotServedError(
            f"server answers with a web page instead of {file.name}",
            where=_shown(url),
            remedy=_ELSEWHERE,
        )


def _check_room(part: Path, missing: int) -> None:
    if missing > shutil.disk_usage(part.parent).free:
        raise InputError(
            f"disk too full for {shown_size(missing)}", where=part.parent, remedy=_ROOM
        )


def cache_error(path: Path, error: OSError) -> InputError:
    """Why the cache could not be written, in one line."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return InputError("disk full", where=path, remedy=_ROOM)
    reason = error.strerror or str(error)
    return InputError(f"cache cannot be written: {reason}", where=path, remedy=_PLACE)


def _state_path(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _read_state(part: Path) -> _State | None:
    """What a part belongs to; None where that is not known."""
    try:
        found = json.loads(_state_path(part).read_text())
        state = _State(found["url"], found["etag"], found["modified"], found["total"])
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return state


def forget(part: Path) -> None:
    """Removes a part and what is kept beside it."""
    part.unlink(missing_ok=True)
    _state_path(part).unlink(missing_ok=True)


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _host(url: str) -> str:
    return urlsplit(url).hostname or url


def _shown(url: str) -> str:
    """An address without its query, which can be long and secret."""
    return url.partition("?")[0]


def _innermost(error: BaseException) -> str:
    """The reason at the bottom of an error of requests, in few words."""
    found: Any = error
    while True:
        inner = getattr(found, "reason", None)
        args = getattr(found, "args", ())
        if not isinstance(inner, BaseException):
            inner = next((a for a in args if isinstance(a, BaseException)), None)
        if inner is None or inner is found:
            break
        found = inner
    text = getattr(found, "strerror", None) or str(found) or type(found).__name__
    plain = re.sub(
        r"^<?(urllib3\.connection\.)?HTTPS?Connection(Pool)?\(.*?\)[ :>]*", "", str(text)
    )
    return " ".join(plain.split())[:160]


def shown_size(size: int | None) -> str:
    """A number of bytes for people, as 2.3 MB."""
    if size is None:
        return "unknown"
    if size >= GB_IN_BYTES:
        return f"{size / GB_IN_BYTES:.3g} GB"
    return f"{size / MB_IN_BYTES:.{0 if size >= 10 * MB_IN_BYTES else 1}f} MB"
