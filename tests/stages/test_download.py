"""Downloads from a server that drops, lies, changes its mind and asks to wait."""

import hashlib
import resource
from dataclasses import replace

import numpy as np
import pytest

from mdbench.errors import InputError
from mdbench.stages import download
from mdbench.stages.catalog import RemoteFile
from mdbench.stages.download import Client, NotServedError, shown_size
from tests.stages.servers import Served, serving

CONTENT = np.random.default_rng(0).bytes(400_000)
OTHER = np.random.default_rng(1).bytes(400_000)
SUM = hashlib.sha256(CONTENT).hexdigest()
PATH = "/data.bin"


@pytest.fixture(scope="module")
def running():
    with serving() as one:
        yield one


@pytest.fixture
def server(running):
    running.files.clear()
    running.asked.clear()
    return replace(running)


@pytest.fixture
def waits():
    return []


class Fetcher:
    """Downloads one file from the server."""

    def __init__(self, server, waits, folder):
        self.server, self.waits, self.part = server, waits, folder / "data.bin.part"
        self.told: list[tuple[int, int | None]] = []

    def __call__(self, *, retries=5, path=PATH, tell=None, **known) -> bytes:
        file = RemoteFile("data.bin", (), **known)
        client = Client(retries, self.waits.append)

        def note(at, total):
            self.told.append((at, total))
            if tell is not None:
                tell(at)

        client.download(file, self.server.base + path, self.part, note)
        return self.part.read_bytes()


@pytest.fixture
def fetch(server, waits, tmp_path):
    return Fetcher(server, waits, tmp_path)


def refused(fetch, *words, **known) -> str:
    with pytest.raises(InputError) as caught:
        fetch(**known)
    text = str(caught.value)
    assert "\n" not in text
    for word in words:
        assert word in text
    return text


def test_a_sound_server(server, fetch, waits) -> None:
    server.files[PATH] = Served(CONTENT)
    assert fetch() == CONTENT
    assert fetch.told[-1] == (len(CONTENT), len(CONTENT))
    assert [at for at, _ in fetch.told] == sorted(at for at, _ in fetch.told)
    assert waits == []
    assert server.asked[0][1]["Accept-Encoding"] == "identity"


def test_redirects_are_followed_with_the_range(server, fetch) -> None:
    server.files["/doi"] = Served(to=f"{server.base}{PATH}")
    server.files[PATH] = Served(CONTENT, cuts=[200_000])
    assert fetch(path="/doi") == CONTENT
    first, second = server.ranges_of(PATH)
    assert first is None
    assert second is not None
    assert second.startswith("bytes=")


def test_endless_redirects(server, fetch) -> None:
    server.files[PATH] = Served(to=f"{server.base}{PATH}")
    refused(fetch, "redirects")


@pytest.mark.parametrize("modified", ["", "Wed, 21 Oct 2015 07:28:00 GMT"])
def test_dropped_connections_are_continued(modified, server, fetch, waits) -> None:
    etag = "" if modified else '"1"'
    served = Served(CONTENT, etag=etag, modified=modified, cuts=[150_000, 70_000, 10])
    server.files[PATH] = served
    assert fetch() == CONTENT
    ranges = server.ranges_of(PATH)
    assert ranges[0] is None
    starts = [int(asked[6:-1]) for asked in ranges[1:] if asked]
    assert len(starts) == 3
    assert 80_000 < starts[0] <= 150_000  # at most one piece is lost
    assert starts == sorted(starts)
    assert server.asked[1][1]["If-Range"] == (modified or '"1"')
    assert waits == [1.0, 2.0, 4.0]


def test_a_connection_that_always_drops_is_given_up_and_the_part_stays(server, fetch, waits):
    server.files[PATH] = Served(CONTENT, cuts=[150_000, *[0] * 20])
    refused(fetch, "tried 4 times", "127.0.0.1", retries=3)
    kept = fetch.part.stat().st_size
    assert 80_000 < kept <= 150_000
    assert waits == [1.0, 2.0, 4.0]
    server.files[PATH].cuts = []
    assert fetch() == CONTENT
    assert server.ranges_of(PATH)[-1] == f"bytes={kept}-"


def test_progress_makes_new_tries(server, fetch, waits, monkeypatch) -> None:
    monkeypatch.setattr(download, "_GAIN", 40_000)
    server.files[PATH] = Served(CONTENT, cuts=[100_000] * 5)
    assert fetch(retries=0) == CONTENT
    assert set(waits) == {0.5}


def test_ctrl_c_keeps_the_part(server, fetch) -> None:
    server.files[PATH] = Served(CONTENT)

    def stop(at):
        if at > 200_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(tell=stop)
    kept = fetch.part.stat().st_size
    assert kept > 200_000
    assert fetch() == CONTENT
    assert server.ranges_of(PATH) == [None, f"bytes={kept}-"]


def test_a_server_without_ranges_begins_anew(server, fetch) -> None:
    server.files[PATH] = Served(CONTENT, ranges=False, cuts=[150_000])
    assert fetch() == CONTENT
    assert len(server.asked) == 2


def test_without_etag_date_and_checksum_it_begins_anew(server, fetch) -> None:
    """Pieces of two files of one size could not be told apart."""
    server.files[PATH] = Served(CONTENT, etag="", cuts=[150_000])
    assert fetch() == CONTENT
    assert server.ranges_of(PATH) == [None, None]


def test_with_a_checksum_alone_it_goes_on(server, fetch) -> None:
    server.files[PATH] = Served(CONTENT, etag="", cuts=[150_000])
    assert fetch(sha256=SUM) == CONTENT
    assert server.ranges_of(PATH)[1] is not None


@pytest.mark.parametrize("heeds_change", [True, False])
@pytest.mark.parametrize("size", [400_000, 300_000, 120_000])
def test_a_file_that_changed_between_two_tries(size, heeds_change, server, fetch) -> None:
    """The new file, never pieces of both; also where the server does not look at If-Range."""
    server.files[PATH] = Served(CONTENT, cuts=[200_000, *[0] * 9])
    refused(fetch, retries=0)
    changed = Served(OTHER[:size], etag='"2"', heeds_change=heeds_change)
    server.files[PATH] = changed
    assert fetch() == OTHER[:size]


def test_a_part_of_another_address(server, fetch) -> None:
    server.files["/a"] = Served(CONTENT, cuts=[200_000, *[0] * 9])
    server.files["/b"] = Served(CONTENT, etag='"other"')
    refused(fetch, retries=0, path="/a")
    assert fetch(path="/b") == CONTENT
    assert server.ranges_of("/b") == [None]  # nothing says that the bytes are the same
    fetch.part.unlink()
    server.files["/a"].cuts = [200_000, 0, 0]
    refused(fetch, retries=0, path="/a")
    assert fetch(path="/b", sha256=SUM) == CONTENT
    assert server.ranges_of("/b")[1] is not None


def test_a_part_that_is_whole_is_not_asked_for(server, fetch) -> None:
    server.files[PATH] = Served(CONTENT)
    assert fetch() == CONTENT
    assert fetch() == CONTENT
    assert len(server.asked) == 1


@pytest.mark.parametrize("text", ["", "{", "[]", '{"url": 3}'])
def test_a_damaged_note_beside_a_part(text, server, fetch) -> None:
    server.files[PATH] = Served(CONTENT)
    fetch.part.write_bytes(OTHER[:1000])
    fetch.part.with_name(fetch.part.name + ".json").write_text(text)
    assert fetch() == CONTENT


def test_a_length_that_is_too_long(server, fetch, waits) -> None:
    """As a connection that drops: tried again, then given up."""
    server.files[PATH] = Served(CONTENT, length=500_000, ranges=False)
    refused(fetch, "tried 3 times", retries=2)
    assert len(waits) == 2


def test_a_length_that_is_too_short(server, fetch) -> None:
    server.files[PATH] = Served(CONTENT, length=300_000)
    refused(fetch, "another size", "expected 400000 bytes, found 300000", size=400_000)
    assert not fetch.part.exists()


def test_no_length_at_all(server, fetch, waits) -> None:
    server.files[PATH] = Served(CONTENT, length=-1)
    assert fetch() == CONTENT
    fetch.part.unlink()
    assert fetch(size=len(CONTENT)) == CONTENT
    assert waits == []


def test_no_length_and_more_than_expected(server, fetch) -> None:
    server.files[PATH] = Served(CONTENT, length=-1)
    refused(fetch, "sends more than", size=100_000)


def test_no_length_and_less_than_expected(server, fetch) -> None:
    server.files[PATH] = Served(CONTENT, length=-1, ranges=False)
    refused(fetch, "connection ended at 400000 of 500000 bytes", size=500_000, retries=1)


@pytest.mark.parametrize(
    "page", [b"<!DOCTYPE html><html>Log in</html>", b"\n <HTML><body>", b"<html lang='en'>"]
)
def test_a_web_page_instead_of_the_file(page, server, fetch) -> None:
    """Whatever the server calls it."""
    server.files[PATH] = Served(page)
    refused(fetch, "web page instead of data.bin", "--from", size=400_000)
    assert not fetch.part.exists()


REFUSALS = {
    400: ["Bad Request"],
    401: ["Unauthorized", "browser"],
    403: ["Forbidden", "--from"],
    404: ["Not Found", "DOI"],
    410: ["Gone"],
    202: ["Accepted", "browser"],
    204: ["No Content"],
    451: ["451"],
    799: ["799"],
}


@pytest.mark.parametrize("status", REFUSALS)
def test_refusals_are_not_repeated(status, server, fetch, waits) -> None:
    server.files[PATH] = Served(CONTENT, refusals=[(status, {})])
    refused(fetch, str(status), *REFUSALS[status])
    assert waits == []
    assert not fetch.part.exists()


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_trouble_that_passes(status, server, fetch, waits) -> None:
    server.files[PATH] = Served(CONTENT, refusals=[(status, {}), (status, {})])
    assert fetch() == CONTENT
    assert waits == [1.0, 2.0]


@pytest.mark.parametrize("status", [429, 503])
def test_a_server_that_asks_to_wait(status, server, fetch, waits) -> None:
    server.files[PATH] = Served(CONTENT, refusals=[(status, {"Retry-After": "17"})])
    assert fetch() == CONTENT
    assert waits == [17.0]
    past = {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}
    server.files[PATH].refusals = [(status, past), (status, {"Retry-After": "soon"})]
    fetch.part.unlink()
    assert fetch() == CONTENT
    assert waits[1] == 0.0


def test_a_server_that_asks_to_wait_long(server, fetch, waits) -> None:
    server.files[PATH] = Served(CONTENT, refusals=[(429, {"Retry-After": "3600"})])
    refused(fetch, "429", "Too Many Requests", "try again in 3600 s")
    assert waits == []


def test_trouble_that_stays(server, fetch, waits) -> None:
    server.files[PATH] = Served(CONTENT, refusals=[(503, {})] * 9)
    refused(fetch, "503", "Service Unavailable", "tried 3 times", retries=2)
    assert waits == [1.0, 2.0]


def test_nobody_there(server, fetch, waits) -> None:
    """Refused at once where nothing has ever answered."""
    server.base = "http://127.0.0.1:1"
    refused(fetch, "127.0.0.1", "cannot be reached", "refused", "--offline")
    server.base = "http://name.invalid"
    refused(fetch, "name.invalid", "cannot be reached")
    assert waits == []


def test_no_http(server, fetch) -> None:
    server.base = "gopher://127.0.0.1"
    refused(fetch, "cannot be asked for")


def test_no_secure_connection(server, fetch) -> None:
    """TLS with a server that does not speak it."""
    server.base = server.base.replace("http:", "https:")
    refused(fetch, "no secure connection", "REQUESTS_CA_BUNDLE")


def test_a_secure_address_is_not_left(server) -> None:
    """A redirect to plain HTTP could give anything."""

    class Hop:
        url = "https://a/b"

    class Answer:
        status_code, history, url = 200, [Hop], "http://a/c"

    with pytest.raises(NotServedError, match="nothing is encrypted"):
        download._check_answer("https://a/b", Answer)  # type: ignore[arg-type]


def test_a_full_disk_before(server, fetch, monkeypatch) -> None:
    server.files[PATH] = Served(CONTENT)
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    refused(fetch, "too full for 0.4 MB", "MDBENCH_CACHE")
    assert not fetch.part.exists()


@pytest.fixture
def small_disk():
    """Files of 100,000 bytes at most."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_on_the_way(server, fetch, small_disk, waits) -> None:
    server.files[PATH] = Served(CONTENT)
    refused(fetch, "disk full", "data.bin.part", "MDBENCH_CACHE")
    assert waits == []


def test_json(server, waits) -> None:
    client = Client(3, waits.append)
    server.files["/api"] = Served(b'{"a": [1]}', refusals=[(503, {})])
    assert client.json(server.base + "/api") == {"a": [1]}
    assert waits == [1.0]
    server.files["/api"] = Served(b"<html>")
    with pytest.raises(NotServedError, match="does not answer with JSON"):
        client.json(server.base + "/api")


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (None, "unknown"), (0, "0.0 MB"), (842_426, "0.8 MB"), (2_284_701, "2.3 MB"),
        (99_900_000, "100 MB"), (1_000_000_000, "1 GB"), (23_456_000_000, "23.5 GB"),
    ],
)  # fmt: skip
def test_sizes(size, text) -> None:
    assert shown_size(size) == text


def test_an_address_that_is_none(server, fetch) -> None:
    """As a server might redirect to."""
    for to in ("http://" + "x" * 70 + ".invalid/", "http://[::1/", "http:///", "http://a..b/"):
        server.files[PATH] = Served(to=to)
        refused(fetch, "", retries=0)


def test_old_bytes_never_stand_beside_the_name_of_new_ones(server, fetch, monkeypatch) -> None:
    """Killed while the note beside a part is written: the next try finds no part."""
    server.files[PATH] = Served(CONTENT, cuts=[200_000, 0, 0])
    refused(fetch, retries=0)
    server.files[PATH] = Served(OTHER, etag='"2"')

    def killed(*_args):
        raise KeyboardInterrupt

    monkeypatch.setattr(download, "asdict", killed)
    with pytest.raises(KeyboardInterrupt):
        fetch()
    assert not fetch.part.exists()
