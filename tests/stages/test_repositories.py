"""What figshare and Zenodo say of their deposits, in the words of their public documentation."""

from dataclasses import replace

import pytest

from mdbench.errors import InputError
from mdbench.stages.download import Client
from mdbench.stages.repositories import DepositName, Hosts, ask_deposit, deposit_name
from tests.stages.servers import Served, as_json, put_figshare, serving


@pytest.fixture(scope="module")
def running():
    with serving() as one:
        yield one


@pytest.fixture
def server(running):
    running.files.clear()
    running.asked.clear()
    return replace(running)


def ask(server, text: str):
    hosts = Hosts(f"{server.base}/v2", f"{server.base}/api")
    name = deposit_name(text)
    assert name is not None
    return ask_deposit(name, Client(0, lambda s: None), hosts)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("10.6084/m9.figshare.26089474", DepositName("figshare", 26089474)),
        ("doi:10.6084/m9.figshare.26089474.v2", DepositName("figshare", 26089474, 2)),
        ("DOI:10.6084/M9.FIGSHARE.26089474.V2", DepositName("figshare", 26089474, 2)),
        ("https://doi.org/10.6084/m9.figshare.1", DepositName("figshare", 1)),
        ("http://dx.doi.org/10.5281/zenodo.4924875", DepositName("zenodo", 4924875)),
        (" 10.5281/zenodo.4924875 ", DepositName("zenodo", 4924875)),
        ("https://zenodo.org/records/4924875", DepositName("zenodo", 4924875)),
        ("https://zenodo.org/record/4924875/", DepositName("zenodo", 4924875)),
        (
            "https://figshare.com/articles/dataset/AIMD_of_LGPS/26089474",
            DepositName("figshare", 26089474),
        ),
        (
            "https://figshare.com/articles/dataset/AIMD_2024/26089474/3",
            DepositName("figshare", 26089474, 3),
        ),
    ],
)
def test_names(text, name) -> None:
    assert deposit_name(text) == name


@pytest.mark.parametrize("text", ["argyrodite", "paper-aimd", "figshare", ""])
def test_words_that_are_no_doi(text) -> None:
    assert deposit_name(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "10.1039/d4dd00140k", "doi:10.1039/d4dd00140k", "https://example.org/data.zip",
        "doi:nonsense", "10.6084/m9.figshare.", "10.6084/m9.figshare.1.v", "10.5281/zenodo.12x",
        "a/b",        "10.6084/m9.figshare.1/../../x", "https://zenodo.org.evil.org/records/1",
    ],
)  # fmt: skip
def test_other_dois(text) -> None:
    with pytest.raises(InputError, match="not a DOI that can be fetched"):
        deposit_name(text)


def test_figshare(server) -> None:
    put_figshare(server, 77, {"LGPS.zip": b"123", "notes.txt": b""}, version=3)
    found = ask(server, "10.6084/m9.figshare.77")
    assert (found.key, found.source) == ("figshare-77-v3", "doi:10.6084/m9.figshare.77.v3")
    assert (found.title, found.license) == ("Trajectories", "CC BY 4.0")
    first, _ = found.files
    assert (first.name, first.size) == ("LGPS.zip", 3)
    assert first.md5 == "202cb962ac59075b964b07152d234b70"
    assert first.sha256 is None
    assert first.urls == (
        f"{server.base}/v2/file/download/77000",
        f"{server.base}/ndownloader/files/77000",
    )
    with pytest.raises(InputError, match="404"):
        ask(server, "10.6084/m9.figshare.77.v4")


def test_more_files_than_an_article_lists(server, monkeypatch) -> None:
    """The description of an article holds ten files at most; the list of files has pages."""
    put_figshare(server, 77, {f"{i}.zip": b"1" for i in range(12)})
    for page, n_pages in ((1000, 1), (5, 3), (6, 3), (12, 2)):
        monkeypatch.setattr("mdbench.stages.repositories._PAGE", page)
        server.asked.clear()
        assert len(ask(server, "10.6084/m9.figshare.77").files) == 12
        assert sum(path.endswith("/files") for path, _ in server.asked) == n_pages


def test_folders_of_figshare(server) -> None:
    put_figshare(server, 77, {"800K.zip": b"1", "a.txt": b"2"}, folders={"800K.zip": "LGPS/x"})
    assert [f.name for f in ask(server, "10.6084/m9.figshare.77").files] == [
        "LGPS/x/800K.zip",
        "a.txt",
    ]


@pytest.mark.parametrize("name", ["../evil", "/etc/passwd", "a/../../b", "a\nb", "..", ""])
def test_names_of_files_that_lead_out(name, server) -> None:
    put_figshare(server, 77, {name: b"1"})
    with pytest.raises(InputError, match=r"file name|unusable"):
        ask(server, "10.6084/m9.figshare.77")


def test_names_of_files_that_collide(server) -> None:
    put_figshare(server, 77, {"a.zip": b"1", "A.zip": b"2"})
    with pytest.raises(InputError, match="differ by case"):
        ask(server, "10.6084/m9.figshare.77")


@pytest.mark.parametrize(
    "answer", [{}, [], {"version": "x"}, {"version": 1, "files": []}, 3, None, {"version": None}]
)
def test_unknown_answers(answer, server) -> None:
    for path in ("", "/versions/1", "/versions/1/files"):
        server.files["/v2/articles/77" + path] = as_json(answer)
    with pytest.raises(InputError, match="unknown way") as caught:
        ask(server, "10.6084/m9.figshare.77")
    assert "\n" not in str(caught.value)


def test_articles_without_files_or_leave(server) -> None:
    put_figshare(server, 77, {})
    with pytest.raises(InputError, match="without files"):
        ask(server, "10.6084/m9.figshare.77")
    server.files["/v2/articles/77/versions/1"] = as_json({"download_disabled": True})
    with pytest.raises(InputError, match="do not let it"):
        ask(server, "10.6084/m9.figshare.77")


RECORD = {
    "id": 123,
    "doi": "10.5281/zenodo.123",
    "conceptrecid": "122",
    "metadata": {"title": "Runs", "license": {"id": "cc-by-4.0"}},
    "files": [
        {
            "id": "0d", "key": "run 1.zip", "size": 3,
            "checksum": "md5:202cb962ac59075b964b07152d234b70",
            "links": {"self": "https://zenodo.org/api/records/123/files/run 1.zip/content"},
        }
    ],
}  # fmt: skip


def test_zenodo(server) -> None:
    server.files["/api/records/123"] = as_json(RECORD)
    found = ask(server, "10.5281/zenodo.123")
    assert (found.key, found.source) == ("zenodo-123", "doi:10.5281/zenodo.123")
    assert (found.title, found.license) == ("Runs", "cc-by-4.0")
    (file,) = found.files
    assert (file.name, file.size) == ("run 1.zip", 3)
    assert file.md5 == "202cb962ac59075b964b07152d234b70"
    assert file.urls == (f"{server.base}/api/records/123/files/run%201.zip/content",)


def test_zenodo_in_other_words(server) -> None:
    """As the API described files for some time, and with a checksum of another kind."""
    file = {"filename": "a.zip", "filesize": 3, "checksum": "sha512:00"}
    about = {"title": "Runs", "license": "mit"}
    server.files["/api/records/123"] = as_json({"id": 123, "metadata": about, "files": [file]})
    found = ask(server, "10.5281/zenodo.123")
    assert (found.license, found.files[0].size, found.files[0].md5) == ("mit", 3, None)


def test_the_number_of_all_versions(server) -> None:
    server.files["/api/records"] = as_json({"hits": {"hits": [RECORD]}})
    assert ask(server, "10.5281/zenodo.122").key == "zenodo-123"
    server.files["/api/records"] = as_json({"hits": {"hits": []}})
    with pytest.raises(InputError, match="404"):
        ask(server, "10.5281/zenodo.122")


def test_a_web_page_instead_of_an_answer(server) -> None:
    server.files["/v2/articles/77"] = Served(b"<html>maintenance</html>")
    with pytest.raises(InputError, match="does not answer with JSON"):
        ask(server, "10.6084/m9.figshare.77")
