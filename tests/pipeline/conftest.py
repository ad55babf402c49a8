"""The command line, called in this process."""

import os
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import pytest
from mdbench_cli.main import run


@dataclass(frozen=True)
class Outcome:
    """What a command did.

    Attributes:
        status: Exit status.
        out: What it printed to stdout.
        err: What it printed to stderr.
    """

    status: int
    out: str
    err: str


@pytest.fixture(scope="session")
def base(tmp_path_factory) -> Path:
    """A folder with everything that the commands of `tests.pipeline.commands` read."""
    from tests.pipeline.commands import make_base

    folder: Path = tmp_path_factory.mktemp("base")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        make_base(folder)
    return folder


@pytest.fixture
def ordinary_user(tmp_path) -> Iterator[None]:
    """The rest of the test runs without the rights of root.

    What commands import late is imported before: others may not read a Python below /root.
    """
    for name in ("plistlib", "zoneinfo", "pandas", "matplotlib.backends.backend_agg"):
        import_module(name)
    if os.geteuid() != 0:
        yield
        return
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == 0 and folder != Path("/tmp"):
            folder.chmod(folder.stat().st_mode | 0o011)
        if folder.parent == Path("/tmp"):
            break
    os.setresuid(65534, 65534, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


@pytest.fixture
def mdbench(capsys) -> Callable[..., Outcome]:
    """Runs a command; a warning of numpy counts as a failure, since users would see it."""

    def call(*args: object) -> Outcome:
        capsys.readouterr()
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)
            status = run([str(arg) for arg in args])
        captured = capsys.readouterr()
        return Outcome(status, captured.out, captured.err)

    return call
