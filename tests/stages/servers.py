"""A server on this machine that behaves as badly as those of the world."""

from __future__ import annotations

import hashlib
import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass
class Served:
    """What stands at an address.

    Attributes:
        content: The file.
        etag: As it is sent; empty sends none.
        modified: Last-Modified, the same.
        kind: Content-Type.
        ranges: Whether Range is heeded; otherwise all is sent.
        heeds_change: Whether If-Range is.
        cuts: Bytes after which the next answers break off, one each.
        length: Content-Length that is stated; -1 for none: the file ends with the connection.
        refusals: Status and headers of the next answers, before the file is served.
        to: Where it is redirected to.
        rows: A list that is given out by pages, as JSON.
    """

    content: bytes = b""
    etag: str = '"1"'
    modified: str = ""
    kind: str = "application/octet-stream"
    ranges: bool = True
    heeds_change: bool = True
    cuts: list[int] = field(default_factory=list)
    length: int | None = None
    refusals: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    to: str = ""
    rows: list[Any] | None = None


@dataclass
class Server:
    """An HTTP server.

    Attributes:
        base: Its address.
        files: What stands where.
        asked: Path and headers of every request.
    """

    base: str
    files: dict[str, Served] = field(default_factory=dict)
    asked: list[tuple[str, Message]] = field(default_factory=list)

    def ranges_of(self, path: str) -> list[str | None]:
        """The Range headers that were sent for a path, one of each request."""
        return [headers["Range"] for asked, headers in self.asked if asked == path]


class _Handler(http.server.BaseHTTPRequestHandler):
    server_of: Server

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        self.server_of.asked.append((path, self.headers))
        one = self.server_of.files.get(path)
        if one is None:
            self._end(404, {})
        elif one.refusals:
            self._end(*one.refusals.pop(0))
        elif one.to:
            self._end(302, {"Location": one.to})
        elif one.rows is not None:
            query = parse_qs(urlsplit(self.path).query)
            page, size = int(query["page"][0]), int(query["page_size"][0])
            self._serve(as_json(one.rows[(page - 1) * size : page * size]))
        else:
            self._serve(one)

    def _end(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": "0"} | headers).items():
            self.send_header(name, value)
        self.end_headers()

    def _serve(self, one: Served) -> None:
        start, content = 0, one.content
        asked, only_if = self.headers["Range"], self.headers["If-Range"]
        stands = only_if in (None, one.etag, one.modified) or not one.heeds_change
        if asked and one.ranges and stands:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            if start >= len(content):
                self._end(416, {"Content-Range": f"bytes */{len(content)}"})
                return
            self.send_response(206)
            last = len(content) - 1
            self.send_header("Content-Range", f"bytes {start}-{last}/{len(content)}")
        else:
            self.send_response(200)
        body = content[start:]
        for name, value in (
            ("ETag", one.etag), ("Last-Modified", one.modified), ("Content-Type", one.kind)
        ):  # fmt: skip
            if value:
                self.send_header(name, value)
        if one.length != -1:
            stated = len(body) if one.length is None else one.length
            self.send_header("Content-Length", str(stated))
        self.end_headers()
        cut = one.cuts.pop(0) if one.cuts else len(body)
        self.wfile.write(body[:cut])
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""


@contextmanager
def serving() -> Iterator[Server]:
    """A server while it runs."""
    handler = type("Handler", (_Handler,), {})
    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    httpd.daemon_threads = True
    server = Server(f"http://127.0.0.1:{httpd.server_address[1]}")
    handler.server_of = server  # type: ignore[attr-defined]
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        httpd.shutdown()
        httpd.server_close()
        thread.join()


def as_json(value: object) -> Served:
    """An answer of an API."""
    return Served(json.dumps(value).encode(), kind="application/json", etag="")


def put_figshare(
    server: Server,
    number: int,
    files: dict[str, bytes],
    *,
    version: int = 1,
    folders: dict[str, str] | None = None,
) -> dict[str, Served]:
    """Puts an article onto a server, as figshare's API would describe it; its files by name."""
    entries, served = [], {}
    for at, (name, content) in enumerate(files.items()):
        file_id = number * 1000 + at
        served[name] = Served(content)
        server.files[f"/v2/file/download/{file_id}"] = served[name]
        entries.append(
            {
                "id": file_id, "name": name, "size": len(content), "is_link_only": False,
                "download_url": f"{server.base}/ndownloader/files/{file_id}",
                "supplied_md5": "", "computed_md5": hashlib.md5(content).hexdigest(),
            }
        )  # fmt: skip
    paths = {str(number * 1000 + i): (folders or {}).get(n, "") for i, n in enumerate(files)}
    article = {
        "id": number, "title": "Trajectories", "version": version, "download_disabled": False,
        "license": {"value": 1, "name": "CC BY 4.0"}, "files": entries[:10],
        "folder_structure": paths if folders else None,
    }  # fmt: skip
    base = f"/v2/articles/{number}"
    server.files[base] = as_json(article)
    server.files[f"{base}/versions/{version}"] = as_json(article)
    server.files[f"{base}/versions/{version}/files"] = Served(rows=entries)
    return served
