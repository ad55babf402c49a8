"""Every command on a disk that is full, and in folders that cannot be written."""

import os
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.pipeline.commands import CASES, check_whole, result
from tests.stages.contents import files

#: Commands that only print.
QUIET = ("info", "selftest", "models")


@contextmanager
def files_up_to(n_bytes: int) -> Iterator[None]:
    """No file may grow beyond so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize(
    "n_bytes",
    [pytest.param(0, id="at once"), pytest.param(3000, id="in the middle", marks=pytest.mark.slow)],
)
@pytest.mark.parametrize("name", [name for name in CASES if name not in QUIET])
def test_a_full_disk(name, n_bytes, base, tmp_path, monkeypatch, mdbench) -> None:
    case, folder = CASES[name], tmp_path / "folder"
    shutil.copytree(base, folder)
    before = result(folder)
    monkeypatch.chdir(folder)
    with files_up_to(n_bytes):
        done = mdbench(*case.words)
    assert (done.status, done.out) == (2, ""), done
    assert done.err.splitlines()[-1].startswith("mdbench: error: "), done
    assert "disk full" in done.err or "File too large" in done.err, done
    check_whole(folder, case)
    after = result(folder)
    assert {name: after[name] for name in before} == before
    assert mdbench(*case.words).status == 0


@pytest.mark.parametrize("name", [name for name in CASES if name != "selftest"])
def test_a_folder_that_cannot_be_written(
    name, base, tmp_path, monkeypatch, mdbench, request
) -> None:
    case, folder = CASES[name], tmp_path / "folder"
    shutil.copytree(base, folder)
    before = files(folder)
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    monkeypatch.chdir(folder)
    request.getfixturevalue("ordinary_user")
    if os.access(folder, os.W_OK):
        pytest.skip("rights do not count here")
    done = mdbench(*case.words)
    if name in QUIET:
        assert done.status == 0, done
    else:
        assert (done.status, done.out) == (2, ""), done
        assert done.err.splitlines()[-1].startswith("mdbench: error: "), done
        assert "Permission denied" in done.err, done
    assert files(folder) == before


@pytest.mark.parametrize("name", ["rdf", "msd", "conductivity", "path"])
def test_what_is_read_only_can_be_analyzed(
    name, base, tmp_path, monkeypatch, mdbench, request
) -> None:
    """Somebody else's run folder: results are printed."""
    folder = tmp_path / "folder"
    shutil.copytree(base, folder)
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    monkeypatch.chdir(tmp_path)
    request.getfixturevalue("ordinary_user")
    made = str(Path("folder/run/reference/lgps/800K-r*.h5"))
    done = mdbench(name, made, "--json")
    assert done.status == 0, done
