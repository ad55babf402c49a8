"""From a name to files in a folder: checksums, cache, offline, two at once."""

import hashlib
import io
import json
import multiprocessing
import os
import shutil
import tarfile
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mdbench.config import FetchConfig
from mdbench.errors import InputError
from mdbench.stages import fetch
from mdbench.stages.cache import Entry, cache_folder
from mdbench.stages.catalog import DATA_SETS, DataSet, RemoteFile, data_set, safe_path
from mdbench.stages.fetch import Fetched
from mdbench.stages.repositories import Hosts
from tests.stages.servers import Served, put_figshare, serving

XYZ = b'2\nLattice="5 0 0 0 5 0 0 0 5" Properties=species:S:1:pos:R:3\nLi 0 0 0\nS 2 2 2\n'
NOISE = np.random.default_rng(0).bytes(300_000)
DOI = "10.6084/m9.figshare.77"


def zipped(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


FILES = {"LGPS.zip": zipped({"800K/r0.extxyz": XYZ, "800K/log": b"x"}), "noise.bin": NOISE}


@pytest.fixture(scope="module")
def running():
    with serving() as one:
        yield one


@pytest.fixture
def server(running):
    running.files.clear()
    running.asked.clear()
    return replace(running)


class Fetcher:
    """Fetches from the server into a folder."""

    def __init__(self, server, folder):
        self.server, self.folder = server, folder
        self.cache, self.output = folder / "cache", folder / "out"

    def __call__(self, name=DOI, *, output=None, only=None, **kwargs) -> Fetched:
        names = ("offline", "unpack", "max_gb", "retries")
        config = FetchConfig(only=only, **{n: kwargs.pop(n) for n in names if n in kwargs})
        hosts = Hosts(f"{self.server.base}/v2", f"{self.server.base}/api")
        return fetch.run(
            name, output or self.output, config, cache=self.cache, hosts=hosts,
            sleep=lambda s: None, **kwargs,
        )  # fmt: skip

    def refused(self, *words, **kwargs) -> str:
        before = contents(self.output)
        with pytest.raises(InputError) as caught:
            self(**kwargs)
        text = str(caught.value)
        assert "\n" not in text
        for word in words:
            assert word in text, text
        assert contents(self.output) == before
        assert self.output.exists() == bool(before)
        return text

    @property
    def kept(self) -> Path:
        return self.cache / "fetch" / "figshare-77-v1" / "files"

    def downloads(self) -> int:
        return sum("/file/download/" in path for path, _ in self.server.asked)


@pytest.fixture
def get(server, tmp_path):
    return Fetcher(server, tmp_path)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


UNPACKED = {"LGPS/800K/r0.extxyz": XYZ, "LGPS/800K/log": b"x", "noise.bin": NOISE}


def test_a_deposit(server, get) -> None:
    put_figshare(server, 77, FILES)
    done = get()
    assert contents(get.output) == UNPACKED
    assert {str(p.relative_to(get.output)) for p in done.paths} == {*UNPACKED}
    assert done.n_new == 3
    assert done.formats == {"other": 2, "extxyz": 1}
    assert done.first == set()  # the server's MD5 was there to compare with
    assert contents(get.kept) == FILES
    assert all(path.stat().st_mode & 0o222 == 0 for path in get.kept.iterdir())
    record = json.loads((get.kept.parent / "record.json").read_text())
    assert record["source"] == "doi:10.6084/m9.figshare.77.v1"
    assert record["license"] == "CC BY 4.0"
    for one in record["files"]:
        content = FILES[one["name"]]
        assert one["sha256"] == hashlib.sha256(content).hexdigest()
        assert one["md5"] == hashlib.md5(content).hexdigest()
        assert one["size"] == len(content)
        assert one["url"].startswith(server.base)
        assert one["date"].startswith("20")


def test_once_more(server, get) -> None:
    """Nothing is downloaded or written again."""
    put_figshare(server, 77, FILES)
    get()
    server.asked.clear()
    done = get()
    assert done.n_new == 0
    assert get.downloads() == 0
    assert len(done.paths) == 3
    shutil.rmtree(get.output)
    assert get(offline=True).n_new == 3
    assert contents(get.output) == UNPACKED


def test_no_unpacking(server, get) -> None:
    put_figshare(server, 77, FILES)
    get(unpack=False)
    assert contents(get.output) == FILES


def test_only_some(server, get) -> None:
    put_figshare(server, 77, FILES)
    get(only="NOISE*")
    assert contents(get.output) == {"noise.bin": NOISE}
    assert contents(get.kept) == {"noise.bin": NOISE}
    get.refused("no file matches --only 'x*'", "LGPS.zip", only="x*")
    get.refused("1 of 2 files missing", "LGPS.zip", "--only", offline=True)
    assert get(only="noise*", offline=True).n_new == 0


def test_dry_run(server, get) -> None:
    put_figshare(server, 77, FILES)
    found = get(dry_run=True)
    assert [one.file.name for one in found.known] == [*FILES]
    assert [one.file.size for one in found.known] == [len(c) for c in FILES.values()]
    assert not get.cache.exists()
    assert not get.output.exists()


def test_folders_of_the_deposit(server, get) -> None:
    put_figshare(server, 77, FILES, folders={"LGPS.zip": "a/b", "noise.bin": "c"})
    get()
    assert {*contents(get.output)} == {
        "a/b/LGPS/800K/r0.extxyz",
        "a/b/LGPS/800K/log",
        "c/noise.bin",
    }


def test_two_archives_of_one_name(server, get) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        info = tarfile.TarInfo("x")
        info.size = 1
        archive.addfile(info, io.BytesIO(b"2"))
    put_figshare(server, 77, {"a.zip": zipped({"x": b"1"}), "a.tar.gz": out.getvalue()})
    assert get().n_new == 2
    assert contents(get.output) == {"a.zip.unpacked/x": b"1", "a.tar.gz.unpacked/x": b"2"}


def test_a_dropped_connection_and_a_second_command(server, get) -> None:
    served = put_figshare(server, 77, {"noise.bin": NOISE})["noise.bin"]
    served.cuts = [200_000, *[0] * 9]
    get.refused("tried 1 times", retries=0)
    part = get.kept / "noise.bin.part"
    kept = part.stat().st_size
    assert kept > 100_000
    served.cuts = []
    get()
    assert contents(get.output) == {"noise.bin": NOISE}
    assert server.ranges_of("/v2/file/download/77000")[-1] == f"bytes={kept}-"
    assert {path.name for path in get.kept.iterdir()} == {"noise.bin"}


def test_ctrl_c_keeps_the_part(server, get) -> None:
    put_figshare(server, 77, {"noise.bin": NOISE})

    def stop(share, text):
        if share > 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        get(progress=stop)
    assert (get.kept / "noise.bin.part").stat().st_size > 100_000
    assert not get.output.exists()
    get()
    assert contents(get.output) == {"noise.bin": NOISE}


def test_progress_only_grows(server, get) -> None:
    served = put_figshare(server, 77, {"a": NOISE, "b": NOISE[:100_000]})
    served["a"].cuts = [100_000, 100_000]
    told = []
    get(progress=lambda share, text: told.append((share, text)))
    shares = [share for share, _ in told]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert {text.split()[0] for _, text in told} == {"a", "b"}


def test_wrong_bytes(server, get) -> None:
    """Of the right size, but not of the MD5 that the server states."""
    put_figshare(server, 77, {"noise.bin": NOISE})["noise.bin"].content = NOISE[::-1]
    get.refused("noise.bin is not the file that was expected: another md5")
    assert contents(get.kept) == {}


def test_another_address_helps(server, get) -> None:
    """The API fails, the address that it names for the file does not."""
    for bad in (Served(NOISE[::-1]), Served(refusals=[(403, {})]), Served(b"<html>")):
        put_figshare(server, 77, {"noise.bin": NOISE})
        server.files["/v2/file/download/77000"] = bad
        server.files["/ndownloader/files/77000"] = Served(NOISE)
        get()
        assert contents(get.kept) == {"noise.bin": NOISE}
        shutil.rmtree(get.cache)
        shutil.rmtree(get.output)


def test_a_browser_is_wanted(server, get) -> None:
    put_figshare(server, 77, {"noise.bin": NOISE})
    for path in ("/v2/file/download/77000", "/ndownloader/files/77000"):
        server.files[path] = Served(refusals=[(202, {"x-amzn-waf-action": "challenge"})])
    get.refused("202", "browser", "--from")


def test_pieces_of_two_files_are_not_kept(server, get) -> None:
    """A server whose ETag stays as the file changes: the checksum tells, and it begins anew."""
    served = put_figshare(server, 77, {"noise.bin": NOISE})["noise.bin"]
    served.content, served.cuts = NOISE[::-1], [200_000, *[0] * 9]
    get.refused("tried", retries=0)
    served.content, served.cuts = NOISE, []
    get()
    assert contents(get.output) == {"noise.bin": NOISE}


def without_md5(server) -> None:
    for one in server.files["/v2/articles/77/versions/1/files"].rows:
        one["computed_md5"] = ""


def test_the_checksum_of_the_first_use(server, get) -> None:
    """Recorded where none is known; another one later is refused, in the cache or not."""
    served = put_figshare(server, 77, {"noise.bin": NOISE})["noise.bin"]
    without_md5(server)
    assert get().first == {"noise.bin"}
    assert get().first == set()
    served.content = NOISE[::-1]
    (get.kept / "noise.bin").unlink()
    shutil.rmtree(get.output)
    get.refused("noise.bin", "another sha256", "--force")
    assert not (get.kept / "noise.bin").exists()
    assert get(force=True).known[0].file.sha256 == hashlib.sha256(NOISE[::-1]).hexdigest()
    assert contents(get.output) == {"noise.bin": NOISE[::-1]}


def test_the_server_describes_another_file(server, get) -> None:
    """The same version, but another size or MD5 than when it was fetched."""
    put_figshare(server, 77, {"noise.bin": NOISE})
    get()
    put_figshare(server, 77, {"noise.bin": NOISE[::-1]})
    get.refused("noise.bin is not what was recorded on 20", "another md5", "--force")
    put_figshare(server, 77, {"noise.bin": NOISE[:-1]})
    get.refused("another size", "expected 300000, found 299999")
    shutil.rmtree(get.output)
    get(force=True)
    assert contents(get.output) == {"noise.bin": NOISE[:-1]}


def test_a_new_version_stands_beside_the_old_one(server, get) -> None:
    put_figshare(server, 77, {"noise.bin": NOISE})
    get()
    put_figshare(server, 77, {"noise.bin": NOISE[::-1]}, version=2)
    done = get(output=get.folder / "new")
    assert done.deposit.source.endswith(".v2")
    assert contents(get.folder / "new") == {"noise.bin": NOISE[::-1]}
    assert get(offline=True, output=get.folder / "newest").deposit.key == "figshare-77-v2"
    assert get(f"{DOI}.v1", offline=True).n_new == 0


def test_a_file_that_changed_in_the_cache(server, get) -> None:
    put_figshare(server, 77, {"noise.bin": NOISE})
    get()
    kept = get.kept / "noise.bin"
    shutil.rmtree(get.output)
    kept.chmod(0o644)
    kept.write_bytes(NOISE[:-1] + b"x")
    get.refused("changed since it was fetched", str(kept), offline=True)
    assert get().notes == ["noise.bin: changed in the cache, fetched again"]
    assert contents(get.output) == {"noise.bin": NOISE}


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"key": "../x", "files": []}'])
def test_a_damaged_record(text, server, get) -> None:
    put_figshare(server, 77, {"noise.bin": NOISE})
    get()
    (get.kept.parent / "record.json").write_text(text)
    get.refused("damaged record", "record.json")


def test_offline_without_a_cache(get) -> None:
    get.refused("figshare-77: not in the cache", "--from", offline=True)
    get.refused("not in the cache", "3 of 3 files missing", name="argyrodite", offline=True)


def test_nobody_there(get) -> None:
    get.server.base = "http://127.0.0.1:1"
    get.refused("127.0.0.1: server cannot be reached", "--offline")


def test_files_from_a_folder(server, get) -> None:
    """Where nothing is known they are taken as they are, and recorded."""
    source = get.folder / "downloads"
    source.mkdir()
    for name, content in FILES.items():
        (source / name).write_bytes(content)
    done = get(source=source)
    assert done.first == {*FILES}
    assert contents(get.output) == UNPACKED
    assert server.asked == []
    (source / "noise.bin").write_bytes(NOISE[::-1])
    shutil.rmtree(get.cache / "fetch" / "figshare-77-v0" / "files")
    shutil.rmtree(get.output)
    get.refused("noise.bin", "another sha256", source=source)
    (source / "noise.bin").unlink()
    get.refused("noise.bin is not there", "downloads", source=source)


def test_files_from_a_folder_with_a_record(server, get) -> None:
    """The entry of another machine's cache can be carried over: everything is compared with it."""
    put_figshare(server, 77, FILES)
    get()
    carried = get.folder / "carried"
    shutil.copytree(get.kept.parent, carried)
    shutil.rmtree(get.cache)
    shutil.rmtree(get.output)
    server.asked.clear()
    done = get(source=carried)
    assert done.first == set()
    assert done.deposit.license == "CC BY 4.0"
    assert server.asked == []
    assert contents(get.output) == UNPACKED
    get.refused("another deposit", "figshare-78", name="10.6084/m9.figshare.78", source=carried)
    (carried / "files" / "noise.bin").chmod(0o644)
    (carried / "files" / "noise.bin").write_bytes(NOISE[::-1])
    shutil.rmtree(get.cache)
    get.refused("another md5", source=carried)


def test_folders_that_are_none(get) -> None:
    get.refused("not a folder", source=get.folder / "none")
    empty = get.folder / "empty"
    empty.mkdir()
    get.refused("no files", source=empty)


def test_other_files_in_the_folder(server, get) -> None:
    put_figshare(server, 77, FILES)
    get.output.mkdir()
    (get.output / "noise.bin").write_text("mine")
    (get.output / "traj.h5").write_text("mine")
    with pytest.raises(InputError, match=r"noise\.bin: in the way"):
        get()
    assert contents(get.output) == {"noise.bin": b"mine", "traj.h5": b"mine"}
    get(force=True)
    assert contents(get.output) == UNPACKED | {"traj.h5": b"mine"}


def test_an_archive_that_is_refused(server, get) -> None:
    put_figshare(server, 77, {"evil.zip": zipped({"../../evil": b"1"})})
    get.refused("evil.zip: file name leads out")
    put_figshare(server, 78, {"large.zip": zipped({"a": bytes(3_000_000)})})
    get.refused("--max-gb", name="10.6084/m9.figshare.78", max_gb=0.002)


@pytest.mark.parametrize("at", ["file", "file/below"])
def test_a_file_where_the_folder_belongs(at, get) -> None:
    (get.folder / "file").write_text("mine")
    get.refused("file: not a folder", output=get.folder / at)


def test_folders_that_cannot_be_written(server, get, tmp_path_factory) -> None:
    put_figshare(server, 77, FILES)
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    get.folder.chmod(0o555)
    if os.access(get.folder, os.W_OK):
        pytest.skip("root may write everywhere")
    try:
        get.refused("Permission denied")
        get.refused("MDBENCH_CACHE", output=elsewhere / "out")
    finally:
        get.folder.chmod(0o755)


def test_a_cache_of_others(server, get) -> None:
    """As one that a group shares: read, where it cannot be written."""
    put_figshare(server, 77, FILES)
    get()
    folders = [get.kept, get.kept.parent]
    for folder in folders:
        folder.chmod(0o555)
    (get.kept.parent / "lock").chmod(0o444)
    if os.access(get.kept, os.W_OK):
        pytest.skip("root may write everywhere")
    try:
        assert get(offline=True, output=get.folder / "mine").n_new == 3
    finally:
        for folder in folders:
            folder.chmod(0o755)


def test_a_file_where_the_cache_belongs(server, get) -> None:
    put_figshare(server, 77, FILES)
    get.cache.write_text("mine")
    get.refused("cache cannot be written", "MDBENCH_CACHE")


def test_copies_where_links_cannot_be(server, get, monkeypatch) -> None:
    def no_links(*_args):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr("mdbench.stages.delivery.os.link", no_links)
    put_figshare(server, 77, FILES)
    get()
    assert contents(get.output) == UNPACKED
    (get.output / "noise.bin").chmod(0o644)
    (get.output / "noise.bin").write_bytes(b"mine now")
    assert contents(get.kept) == FILES


def _fetch_in_a_process(base: str, folder: Path) -> None:
    class There:
        pass

    there = There()
    there.base = base  # type: ignore[attr-defined]
    Fetcher(there, folder)(output=folder / f"out-{os.getpid()}")


def test_two_processes_at_once(server, get) -> None:
    """One downloads, the other waits and takes what is there."""
    served = put_figshare(server, 77, {"noise.bin": NOISE})["noise.bin"]
    served.cuts = [100_000, 100_000]
    context = multiprocessing.get_context("fork")
    both = [
        context.Process(target=_fetch_in_a_process, args=(server.base, get.folder))
        for _ in range(2)
    ]
    for one in both:
        one.start()
    for one in both:
        one.join(30)
    assert [one.exitcode for one in both] == [0, 0]
    for one in both:
        assert contents(get.folder / f"out-{one.pid}") == {"noise.bin": NOISE}
    assert get.downloads() == 3


def test_a_claim_is_waited_for(get) -> None:
    entry = Entry(get.cache, "x")
    context = multiprocessing.get_context("fork")
    order = context.Queue()

    def other() -> None:
        with Entry(get.cache, "x").claimed():
            order.put("other")

    with entry.claimed():
        process = context.Process(target=other)
        process.start()
        time.sleep(0.1)
        order.put("first")
    process.join(30)
    assert [order.get(timeout=10), order.get(timeout=10)] == ["first", "other"]


def test_the_place_of_the_cache(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("MDBENCH_CACHE", str(tmp_path / "named"))
    assert cache_folder() == tmp_path / "named" / "fetch"
    monkeypatch.delenv("MDBENCH_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder().is_relative_to(tmp_path)
    assert "mdbench" in cache_folder().parts


def test_a_data_set_with_known_checksums(server, get, monkeypatch) -> None:
    """As argyrodite, from this server; a first address that is gone does no harm."""
    files = tuple(
        RemoteFile(
            name,
            (f"{server.base}/gone", f"{server.base}/{name}"),
            len(content),
            hashlib.sha256(content).hexdigest(),
        )
        for name, content in FILES.items()
    )
    one = DataSet("little", "a little data set", "here", license="MIT", files=files, ingest="-x 1")
    monkeypatch.setattr("mdbench.stages.catalog.DATA_SETS", (one,))
    for name, content in FILES.items():
        server.files[f"/{name}"] = Served(content)
    done = get("Little")
    assert contents(get.output) == UNPACKED
    assert done.first == set()
    assert (done.deposit.license, done.ingest) == ("MIT", "-x 1")
    shutil.rmtree(get.cache)
    server.files["/noise.bin"] = Served(NOISE[::-1])
    shutil.rmtree(get.output)
    get.refused("404", name="little")
    server.files["/gone"] = Served(NOISE[::-1])
    get.refused("noise.bin is not the file", "another s", name="little", force=True)


def test_what_there_is(server, get) -> None:
    listed = {one.name: record for one, record in fetch.available(get.cache)}
    assert [*listed] == ["argyrodite", "paper-aimd", "paper-mlff", "paper-models"]
    assert not any(listed.values())
    put_figshare(server, 26089474, {"noise.bin": NOISE})
    get("paper-aimd")
    listed = {one.name: record for one, record in fetch.available(get.cache)}
    assert listed["paper-mlff"] is None
    assert listed["paper-aimd"] is not None
    assert listed["paper-aimd"].deposit.license == "CC BY 4.0"


def test_the_table_of_data_sets() -> None:
    for one in DATA_SETS:
        assert bool(one.doi) != bool(one.files)
        for file in one.files:
            assert file.sha256 is not None
            assert len(file.sha256) == 64
            assert file.size
            assert all(url.startswith("https://") for url in file.urls)
        if one.doi:
            assert one.source == f"doi:{one.doi}"
    assert data_set("Paper_AIMD").doi == "10.6084/m9.figshare.26089474"
    with pytest.raises(InputError, match=r"unknown data set 'paper-amd'; did you mean paper-aimd"):
        data_set("paper-amd")


def test_argyrodite_as_it_is(real_data, get) -> None:
    """Sizes and checksums of the table are those of the real files."""
    done = get("argyrodite", source=real_data)
    assert done.formats == {"XDATCAR": 3}
    for path in done.paths:
        assert path.read_bytes() == (real_data / path.name).read_bytes()


@pytest.mark.parametrize("name", ["a", "a/b.c", "run 1/ü.xyz", "...", "a\\b"])
def test_names_that_are_fine(name) -> None:
    assert str(safe_path(name, "here")) == name.replace("\\", "/")
