"""Archives of strangers: what is theirs comes out, and nothing else happens."""

import bz2
import gzip
import io
import lzma
import os
import resource
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdbench.errors import InputError
from mdbench.stages import archives
from mdbench.stages.archives import Limits, archive_stem, unpack

FILES = {
    "LGPS/800K/vasprun.xml": b"<modeling>" * 500,
    "LGPS/1000K/vasprun.xml": b"other" * 900,
    "README.md": b"hello",
    "empty": b"",
}
LIMITS = Limits(10**7)


def make_zip(path: Path, files: dict[str, bytes], **kwargs) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, **kwargs) as out:
        for name, content in files.items():
            out.writestr(name, content)
    return path


def tar_bytes(members: list[tuple[tarfile.TarInfo, bytes]], **kwargs) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", **kwargs) as archive:
        for info, content in members:
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def member(name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE, to: str = ""):
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname = len(content), kind, to
    return info, content


PACKED: dict[str, Callable[[bytes], bytes]] = {
    ".tar": bytes,
    ".tar.gz": gzip.compress,
    ".tgz": gzip.compress,
    ".tar.bz2": bz2.compress,
    ".tar.xz": lzma.compress,
    ".TXZ": lzma.compress,
}
KINDS = [".zip", *PACKED]


def make(folder: Path, kind: str, files: dict[str, bytes]) -> Path:
    """An archive of any kind."""
    path = folder / f"data{kind}"
    if kind == ".zip":
        return make_zip(path, files)
    path.write_bytes(PACKED[kind](tar_bytes([member(n, c) for n, c in files.items()])))
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def everything(folder: Path) -> set[Path]:
    return {*folder.rglob("*")}


@pytest.mark.parametrize("kind", KINDS)
def test_all_kinds(kind, tmp_path) -> None:
    path = make(tmp_path, kind, FILES)
    assert archive_stem(path, path.name) == "data"
    done = unpack(path, path.name, tmp_path / "out", LIMITS)
    assert contents(tmp_path / "out") == FILES
    assert {str(p) for p in done.files} == {*FILES}
    assert (done.new, done.left_out) == (len(FILES), [])
    assert {p.name for p in tmp_path.iterdir()} == {path.name, "out"}
    again = unpack(path, path.name, tmp_path / "out", LIMITS)
    assert again.new == 0
    assert again.files == done.files


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("XDATCAR.gz", gzip.compress(b"x")),
        ("best_model.pth.tar", b"PK\x03\x04" + bytes(600)),
        ("checkpoint-5000.pth.tar", b"\x80\x02}" + bytes(600)),
        ("a.xyz", b"2\n"),
        (".zip", b"PK"),
        (".tar.gz", b"\x1f\x8b"),
    ],
)
def test_no_archives(name, content, tmp_path) -> None:
    """Checkpoints of PyTorch end with .tar and are pickles in a zip: never opened."""
    (tmp_path / name).write_bytes(content)
    assert archive_stem(tmp_path / name, name) is None


def refused(path: Path, *words: str, limits: Limits = LIMITS, name: str | None = None) -> None:
    """One line, and the folder as before."""
    folder = path.parent
    before = everything(folder)
    with pytest.raises(InputError) as caught:
        unpack(path, name or path.name, folder / "out", limits)
    text = str(caught.value)
    assert "\n" not in text
    for word in words:
        assert word in text, text
    assert everything(folder) == before


OUTSIDE = [
    "../evil", "a/../../evil", "/etc/evil", "..", "a/..", "..\\evil", "\\evil", "C:\\evil",
    "c:evil", "a\nb", "a\x1b[2Jb", "x" * 300, "a/" * 1200 + "b",
]  # fmt: skip


@pytest.mark.parametrize("name", OUTSIDE, ids=repr)
@pytest.mark.parametrize("kind", [".zip", ".tar.gz"])
def test_names_that_lead_out(kind, name, tmp_path) -> None:
    refused(make(tmp_path, kind, {"good": b"1", name: b"2"}), "name", f"data{kind}")


def test_folders_that_lead_out(tmp_path) -> None:
    path = tmp_path / "data.tar"
    path.write_bytes(tar_bytes([member("../evil", kind=tarfile.DIRTYPE), member("a", b"1")]))
    refused(path, "leads out")
    refused(make(tmp_path, ".zip", {"../evil/": b"", "a": b"1"}), "leads out")


@pytest.mark.parametrize("to", ["../secret", "/etc/passwd", "a/../../b", "..", "C:/x"])
def test_links_that_lead_out(to, tmp_path) -> None:
    path = tmp_path / "data.tar"
    path.write_bytes(tar_bytes([member("link", kind=tarfile.SYMTYPE, to=to)]))
    refused(path, "link out of its folder")
    info = zipfile.ZipInfo("link")
    info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as out:
        out.writestr(info, to)
    refused(tmp_path / "data.zip", "link out of its folder")


def test_a_hard_link_that_leads_out(tmp_path) -> None:
    path = tmp_path / "data.tar"
    path.write_bytes(tar_bytes([member("link", kind=tarfile.LNKTYPE, to="/etc/passwd")]))
    refused(path, "leads out")


def test_a_file_through_a_link(tmp_path) -> None:
    """A link first, then a file below its name: no link is made, so the file stays inside."""
    path = tmp_path / "data.tar"
    path.write_bytes(tar_bytes([member("a", kind=tarfile.SYMTYPE, to="b"), member("a/file", b"1")]))
    done = unpack(path, path.name, tmp_path / "out", LIMITS)
    assert contents(tmp_path / "out") == {"a/file": b"1"}
    assert done.left_out == ["a"]
    assert not any(p.is_symlink() for p in everything(tmp_path))


def test_links_within_are_left_out_and_said(tmp_path) -> None:
    path = tmp_path / "data.tar"
    path.write_bytes(
        tar_bytes(
            [
                member("r0/POTCAR", b"1"),
                member("r1/POTCAR", kind=tarfile.SYMTYPE, to="../r0/POTCAR"),
                member("r2/POTCAR", kind=tarfile.LNKTYPE, to="r0/POTCAR"),
            ]
        )
    )
    assert unpack(path, path.name, tmp_path / "out", LIMITS).left_out == ["r1/POTCAR", "r2/POTCAR"]


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, b"Q"])
def test_devices(kind, tmp_path) -> None:
    path = tmp_path / "data.tar"
    path.write_bytes(tar_bytes([member("a", b"1"), member("device", kind=kind)]))
    refused(path, "neither file nor folder", "device")


def contents_of(path: Path) -> dict[str, bytes]:
    unpack(path, path.name, path.parent / "out", LIMITS)
    return contents(path.parent / "out")


def test_a_device_in_a_zip(tmp_path) -> None:
    info = zipfile.ZipInfo("device")
    info.create_system, info.external_attr = 3, stat.S_IFBLK << 16
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as out:
        out.writestr(info, b"")
    refused(tmp_path / "data.zip", "neither file nor folder")


@pytest.mark.parametrize(
    "names",
    [
        ("a", "A"), ("x/Run", "x/run"), ("X/run", "x/RUN"), ("straße", "STRASSE"),
        ("caf\u00e9", "cafe\u0301"), ("a", "a/b"), ("a/b", "a"), ("A", "a/b"), ("a", "./a"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", [".zip", ".tar"])
def test_names_that_collide(kind, names, tmp_path) -> None:
    refused(make(tmp_path, kind, dict.fromkeys(names, b"1")), "name")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_one_name_twice(tmp_path) -> None:
    path = tmp_path / "data.tar"
    path.write_bytes(tar_bytes([member("a", b"1"), member("a", b"2")]))
    refused(path, "differ by case at most")
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as out:
        out.writestr("a", b"1")
        out.writestr("a", b"2")
    refused(tmp_path / "data.zip", "differ by case at most")


def test_an_apple_zip(tmp_path) -> None:
    assert contents_of(make_zip(tmp_path / "d.zip", {"a": b"1", "__MACOSX/._a": b"2"})) == {
        "a": b"1"
    }


@pytest.mark.parametrize("kind", KINDS)
def test_too_much(kind, tmp_path) -> None:
    path = make(tmp_path, kind, {"zeros": bytes(300_000), "more": bytes(300_000)})
    refused(path, "too much", "--max-gb", limits=Limits(500_000))
    assert len(contents_of(path)) == 2


@pytest.mark.parametrize("kind", [".zip", ".tar.gz", ".tar.bz2", ".tar.xz"])
def test_bombs(kind, tmp_path, monkeypatch) -> None:
    """Zeros pack a thousandfold; small files of zeros are none of a bomb's business."""
    monkeypatch.setattr(archives, "_RATIO_COUNTS_FROM", 300_000)
    refused(make(tmp_path, kind, {"zeros": bytes(400_000)}), "far more than data do", "200")
    noise = np.random.default_rng(0).bytes(10_000)
    assert len(contents_of(make(tmp_path, kind, {"z": bytes(400_000), "n": noise}))) == 2


def test_a_zip_that_lies_about_sizes(tmp_path) -> None:
    """What is stated to be small is read no further than stated."""
    path = make_zip(tmp_path / "data.zip", {"zeros": bytes(2_000_000)})
    content = path.read_bytes()
    path.write_bytes(content.replace((2_000_000).to_bytes(4, "little"), b"\x10\0\0\0"))
    refused(path, "damaged archive")


def test_a_header_that_fills_the_memory(tmp_path) -> None:
    info, content = member("a", b"1")
    info.pax_headers = {"comment": "0" * 20_000}
    path = tmp_path / "data.tar"
    path.write_bytes(tar_bytes([(info, content)], format=tarfile.PAX_FORMAT))
    refused(path, "unusual size")


def test_very_many_files(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(archives, "_MOST_MEMBERS", 3)
    refused(make(tmp_path, ".tar", FILES), "more files")


def test_an_encrypted_zip(tmp_path) -> None:
    path = make_zip(tmp_path / "data.zip", {"a": b"1"})
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    refused(path, "encrypted")


def test_empty_archives(tmp_path) -> None:
    refused(make(tmp_path, ".zip", {}), "without files")
    refused(make(tmp_path, ".tar.gz", {}), "without files")


@pytest.mark.parametrize("content", [b"", b"not an archive", gzip.compress(b"text"), bytes(1024)])
@pytest.mark.parametrize("kind", [".zip", ".tar.gz", ".tar.bz2", ".tar.xz"])
def test_other_files_by_the_name_of_an_archive(kind, content, tmp_path) -> None:
    path = tmp_path / f"data{kind}"
    path.write_bytes(content)
    refused(path, "archive")


@pytest.mark.parametrize("kind", [k for k in KINDS if k != ".tar"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_cut_off(kind, share, tmp_path) -> None:
    files = {f"{i}": np.random.default_rng(i).bytes(20_000) for i in range(5)}
    path = make(tmp_path, kind, files)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    refused(path, "damaged archive")


def test_a_checksum_at_the_end(tmp_path) -> None:
    """gzip tells it after the last byte of the tar that anybody would look at."""
    path = make(tmp_path, ".tar.gz", FILES)
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    refused(path, "damaged archive", "CRC")


@settings(max_examples=30, deadline=None)
@given(kind=st.sampled_from(KINDS), seed=st.integers(0, 10**6))
def test_changed_bytes(kind, seed, tmp_path_factory) -> None:
    """Unpacked or refused in one line, and nothing outside the folder."""
    folder = tmp_path_factory.mktemp("changed")
    path = make(folder, kind, FILES)
    rng, content = np.random.default_rng(seed), bytearray(path.read_bytes())
    for at in rng.integers(len(content), size=4):
        content[at] = rng.integers(256)
    path.write_bytes(content)
    try:
        unpack(path, path.name, folder / "out", LIMITS)
    except InputError:
        assert {p.name for p in folder.iterdir()} == {path.name}
    else:
        assert {p.name for p in folder.iterdir()} == {path.name, "out"}


PARTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=8)


@settings(max_examples=30, deadline=None)
@given(names=st.lists(st.lists(PARTS, min_size=1, max_size=3).map("/".join), max_size=4))
def test_any_names(names, tmp_path_factory) -> None:
    """Whatever members are called, only the folder changes."""
    folder = tmp_path_factory.mktemp("names")
    path = folder / "data.tar"
    path.write_bytes(tar_bytes([member(name, b"1") for name in names]))
    try:
        done = unpack(path, path.name, folder / "out", LIMITS)
    except InputError:
        assert {p.name for p in folder.iterdir()} == {path.name}
    else:
        assert {*map(PurePosixPath, contents(folder / "out"))} == {*done.files}
        assert {p.name for p in folder.iterdir()} == {path.name, "out"}


def test_files_that_are_there_already(tmp_path) -> None:
    """Missing ones come back, others' stay, one that differs is in the way of all."""
    path, out = make(tmp_path, ".zip", FILES), tmp_path / "out"
    unpack(path, path.name, out, LIMITS)
    (out / "mine.h5").write_text("mine")
    (out / "empty").unlink()
    assert unpack(path, path.name, out, LIMITS).new == 1
    assert contents(out) == FILES | {"mine.h5": b"mine"}
    (out / "README.md").write_text("my notes")
    (out / "empty").unlink()
    with pytest.raises(InputError, match=r"README\.md: in the way of a file of data\.zip"):
        unpack(path, path.name, out, LIMITS)
    assert not (out / "empty").exists()
    assert unpack(path, path.name, out, LIMITS, force=True).new == 2
    assert contents(out) == FILES | {"mine.h5": b"mine"}


def test_links_of_others_in_the_folder(tmp_path) -> None:
    """What is put through them would lie elsewhere."""
    path, out = make(tmp_path, ".zip", FILES), tmp_path / "out"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    out.mkdir()
    (out / "LGPS").symlink_to(elsewhere)
    with pytest.raises(InputError, match="a link is in the way"):
        unpack(path, path.name, out, LIMITS, force=True)
    assert not list(elsewhere.iterdir())


def test_a_folder_where_a_file_belongs(tmp_path) -> None:
    path, out = make(tmp_path, ".zip", FILES), tmp_path / "out"
    (out / "README.md").mkdir(parents=True)
    with pytest.raises(InputError, match="in the way"):
        unpack(path, path.name, out, LIMITS, force=True)


def test_what_a_killed_process_left(tmp_path) -> None:
    path = make(tmp_path, ".zip", FILES)
    (tmp_path / ".out.part" / "LGPS").mkdir(parents=True)
    (tmp_path / ".out.part" / "junk").write_text("half")
    unpack(path, path.name, tmp_path / "out", LIMITS)
    assert contents(tmp_path / "out") == FILES
    assert not (tmp_path / ".out.part").exists()


@pytest.mark.parametrize("kind", [".zip", ".tar.gz"])
def test_a_full_disk(kind, tmp_path) -> None:
    path = make(tmp_path, kind, {"a": b"1", "big": bytes(500_000)})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        refused(path, "disk full")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_folder_that_cannot_be_written(tmp_path) -> None:
    path = make(tmp_path, ".zip", FILES)
    tmp_path.chmod(0o555)
    if os.access(tmp_path, os.W_OK):
        pytest.skip("root may write everywhere")
    try:
        refused(path, "Permission denied")
    finally:
        tmp_path.chmod(0o755)


def test_ctrl_c(tmp_path, monkeypatch) -> None:
    path = make(tmp_path, ".zip", FILES)

    def stop(*_args):
        raise KeyboardInterrupt

    monkeypatch.setattr(archives, "_check_amount", stop)
    with pytest.raises(KeyboardInterrupt):
        unpack(path, path.name, tmp_path / "out", LIMITS)
    assert {p.name for p in tmp_path.iterdir()} == {path.name}


def test_a_sparse_file_of_nothing(tmp_path) -> None:
    """GNU tar stores holes: a small archive of a large file."""
    info = tarfile.TarInfo("hole")
    info.size, info.type = 0, tarfile.GNUTYPE_SPARSE
    buffer = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    buffer[386:398] = b"%011o\0" % 50_000_000  # offset of the only piece
    buffer[398:410] = b"%011o\0" % 0
    buffer[483:495] = b"%011o\0" % 50_000_000  # size of the file
    buffer[148:156] = b" " * 8
    buffer[148:156] = b"%06o\0 " % sum(buffer[:512])
    path = tmp_path / "data.tar"
    path.write_bytes(bytes(buffer) + bytes(10_240))
    refused(path, "too much", limits=Limits(10**6))
