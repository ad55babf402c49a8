"""`mdbench fetch` as it is typed, without any network."""

import json
import zipfile

import pytest

from tests.pipeline.little import FORMS, little_run

DOI = "doi:10.6084/m9.figshare.26089474"


@pytest.fixture(autouse=True)
def nowhere(tmp_path, monkeypatch):
    """A folder and a cache of its own, and a proxy that nobody listens at."""
    for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("MDBENCH_CACHE", str(tmp_path / "cache"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


@pytest.fixture
def downloads(tmp_path):
    """What a browser might have left: an archive of two runs, and a checkpoint."""
    folder = tmp_path / "downloads"
    folder.mkdir()
    plain = FORMS["extxyz"].write(tmp_path, little_run())
    with zipfile.ZipFile(folder / "LGPS.zip", "w") as archive:
        archive.write(plain, "800K/r0.extxyz")
        archive.write(plain, "800K/r1.extxyz")
    (folder / "best_model.pth.tar").write_bytes(b"PK\x03\x04" + bytes(600))
    return folder


def test_what_there_is(mdbench, tmp_path) -> None:
    done = mdbench("fetch")
    assert (done.status, done.err) == (0, "")
    for word in ("argyrodite", "2.3 MB", "MIT", "known", DOI, "at first use", "26089618"):
        assert word in done.out
    assert str(tmp_path / "cache") in done.out
    assert max(map(len, done.out.splitlines())) <= 100
    document = json.loads(mdbench("fetch", "--json").out)
    assert document["sets"][0]["name"] == "argyrodite"
    assert document["sets"][0]["size"] == 2_284_701
    assert not list((tmp_path / "here").iterdir())


def test_from_a_folder_to_a_trajectory(mdbench, downloads, tmp_path) -> None:
    done = mdbench("fetch", "paper-aimd", "--from", downloads)
    assert done.status == 0, done
    assert "paper-aimd: 3 files (3 new)" in done.out
    assert "formats: 2 extxyz, 1 other" in done.out
    assert "checksum of 2 files recorded" in done.out
    assert "mdbench benchmark --data paper-aimd --dry-run" in done.out
    here = tmp_path / "here"
    assert (here / "paper-aimd" / "best_model.pth.tar").is_file()
    source = here / "paper-aimd" / "LGPS" / "800K" / "r0.extxyz"
    assert mdbench("ingest", source, "--temperature", "800", "-o", "r0.h5").status == 0
    again = mdbench("fetch", "paper-aimd", "--offline", "--json")
    assert again.err == ""
    document = json.loads(again.out)
    assert document["new"] == 0
    assert {one["name"] for one in document["files"]} == {"LGPS.zip", "best_model.pth.tar"}
    assert "2" in mdbench("fetch").out
    assert mdbench("fetch", "paper-aimd", "--offline", "--quiet").out == ""
    listed = mdbench("fetch", "paper-aimd", "--offline", "--dry-run")
    assert "best_model.pth.tar" in listed.out
    assert "sha256 " in listed.out


def test_from_a_folder_with_a_progress_bar(mdbench, downloads, monkeypatch) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert mdbench("fetch", "paper-aimd", "--from", downloads).status == 0


WRONG = {
    "no network": (
        ["argyrodite"],
        ["raw.githubusercontent.com: server cannot be reached", "--from"],
    ),
    "no network for a list": ([DOI], ["api.figshare.com: server cannot be reached", "--offline"]),
    "zenodo": (["10.5281/zenodo.4924875"], ["zenodo.org: server cannot be reached"]),
    "offline": (["argyrodite", "--offline"], ["not in the cache", "3 of 3 files missing"]),
    "offline deposit": ([DOI, "--offline"], ["figshare-26089474: not in the cache"]),
    "unknown": (["argyrodit"], ["did you mean argyrodite", "DOI"]),
    "another DOI": (["10.1039/d4dd00140k"], ["not a DOI that can be fetched"]),
    "no folder": (["argyrodite", "--from", "none"], ["none: not a folder"]),
    "file as folder": (["argyrodite", "-o", "/dev/null"], ["/dev/null: not a folder"]),
    "limit": (["argyrodite", "--max-gb", "0"], ["--max-gb"]),
    "retries": (["argyrodite", "--retries", "-1"], ["--retries"]),
    "pattern": (["argyrodite", "--only", "x*"], ["no file matches --only 'x*'", "Li6PS5Cl"]),
    "folder of other files": (["argyrodite", "--from", "."], ["Li6PS5Cl_50p_run1", "not there"]),
    "output without a name": (["-o", "x"], ["without NAME", "mdbench fetch --help"]),
    "two names": (["a", "b"], ["b"]),
}


@pytest.mark.parametrize(("args", "words"), WRONG.values(), ids=WRONG)
def test_bad_input(args, words, mdbench, tmp_path) -> None:
    done = mdbench("fetch", *args)
    assert done.status == 2, done
    assert done.out == ""
    assert done.err.startswith("mdbench: error: ")
    assert done.err.count("\n") == 1
    for word in words:
        assert word in done.err
    assert not list((tmp_path / "here").iterdir())


def test_the_tutorial(mdbench, real_data, tmp_path) -> None:
    """The printed next step works on the real files."""
    done = mdbench("fetch", "argyrodite", "--from", real_data)
    assert done.status == 0, done
    assert "formats: 3 XDATCAR" in done.out
    assert "checksum of" not in done.out
    (line,) = [line for line in done.out.splitlines() if line.startswith("next: mdbench ")]
    assert mdbench(*line.removeprefix("next: mdbench ").split()).status == 0
    assert (tmp_path / "here" / "traj.h5").is_file()
